/* io/resolver.h - names to addresses, through c-ares on the loop: /etc/hosts, then DNS, both A and AAAA, with the time to live; and to
 * SRV records.
 *
 * Belongs to one thread (control). It reads /etc/resolv.conf when it is made. */
#ifndef WEIR_IO_RESOLVER_H
#define WEIR_IO_RESOLVER_H

#include "base/addr.h"
#include "base/list.h"
#include "io/loop.h"
#include "io/srv_reply.h"

struct ares_channeldata;

#define RESOLVE_ADDRS_MAX 256 /* more of one name are not looked at */

struct resolve_answer {
	struct addr addrs
		[RESOLVE_ADDRS_MAX]; /* with the port that was asked with, in the order of the answer, no two alike */
	uint32_t n;
	bool none; /* n == 0: there are no such records, for DNS says so */
	uint32_t ttl_s; /* the shortest; 0 for /etc/hosts and literal addresses, which have none */
	const char *error; /* n == 0: c-ares' words, static; else NULL */
};

/* Which records are asked for. */
enum resolve_family { RESOLVE_BOTH, RESOLVE_IP4, RESOLVE_IP6 };

struct resolver_options {
	const char *servers; /* "127.0.0.1:5353,...", or NULL for the system's */
	uint32_t timeout_ms; /* of one try; the next server, or the next try, waits longer */
	uint32_t tries; /* of each server */
};

struct resolver {
	struct loop *loop;
	struct ares_channeldata *channel;
	struct list sockets; /* events on c-ares' descriptors */
	struct list pending; /* struct resolve */
	struct deadline tick; /* while questions are open: c-ares looks for timeouts */
};

struct resolve; /* a question */

/* False when c-ares cannot be set up. */
bool resolver_init(struct resolver *r, struct loop *l, const struct resolver_options *options);
/* Open questions end without an answer. */
void resolver_free(struct resolver *r);
/* Asks. done is called once, from the loop, unless the question is cancelled; the answer is valid during the call. */
struct resolve *resolver_ask(struct resolver *r, const char *name, uint16_t port, enum resolve_family family,
	void (*done)(const struct resolve_answer *answer, void *ctx), void *ctx);
/* The same for the SRV records of a name, which is taken as it stands: no search domains. */
struct resolve *resolver_ask_srv(struct resolver *r, const char *name,
	void (*done)(const struct srv_answer *answer, void *ctx), void *ctx);
/* NULLs *qp; done will not be called. NULL is fine. */
void resolve_cancel(struct resolve **qp);

#endif
