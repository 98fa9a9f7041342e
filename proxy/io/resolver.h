/* io/resolver.h - names to addresses, through c-ares on the loop: /etc/hosts, then DNS, both A and AAAA, with the time to live.
 *
 * Belongs to one thread (control). It reads /etc/resolv.conf when it is made. */
#ifndef WEIR_IO_RESOLVER_H
#define WEIR_IO_RESOLVER_H

#include "base/addr.h"
#include "base/list.h"
#include "io/loop.h"

struct ares_channeldata;

#define RESOLVE_ADDRS_MAX 64 /* more of one name are not looked at */

struct resolve_answer {
	struct addr addrs
		[RESOLVE_ADDRS_MAX]; /* with the port that was asked with, in the order of the answer, no two alike */
	uint32_t n;
	uint32_t ttl_s; /* the shortest; 0 for /etc/hosts and literal addresses, which have none */
	const char *error; /* n == 0: c-ares' words, static; else NULL */
};

struct resolver {
	struct loop *loop;
	struct ares_channeldata *channel;
	struct list sockets; /* events on c-ares' descriptors */
	struct list pending; /* struct resolve */
	struct deadline tick; /* while questions are open: c-ares looks for timeouts */
};

struct resolve; /* a question */

/* servers: "127.0.0.1:5353,..." or NULL for the system's. False when c-ares cannot be set up. */
bool resolver_init(struct resolver *r, struct loop *l, const char *servers);
/* Open questions end without an answer. */
void resolver_free(struct resolver *r);
/* Asks. done is called once, from the loop, unless the question is cancelled; the answer is valid during the call. */
struct resolve *resolver_ask(struct resolver *r, const char *name, uint16_t port,
	void (*done)(const struct resolve_answer *answer, void *ctx), void *ctx);
/* NULLs *qp; done will not be called. NULL is fine. */
void resolve_cancel(struct resolve **qp);

#endif
