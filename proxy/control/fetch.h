/* control/fetch.h - one HTTP request to a URL, and its answer whole: for those whom control asks, judges and the like.
 *
 * HTTP/1.1, a connection of its own for each, names through the loop's own resolver. It runs on any thread's loop, and blocks nobody. https
 * verifies the certificate against the system's authorities. Redirects are not followed. */
#ifndef WEIR_CONTROL_FETCH_H
#define WEIR_CONTROL_FETCH_H

#include "http/head.h"
#include "io/loop.h"

#define FETCH_BODY_MAX (256u * 1024) /* of an answer; a longer one is a failure */

struct fetch; /* one that is under way */

struct fetch_request {
	struct str method; /* "GET", "POST" */
	struct str url; /* http://host[:port]/path, https://...; a host is a name or an address */
	struct str content_type; /* of body; empty: there is none */
	struct str body;
	uint32_t timeout_ms; /* of the whole */
};

struct fetch_answer {
	enum reason why; /* NONE: there is an answer */
	uint16_t status; /* 0: none */
	struct str body; /* NUL-terminated */
	char detail[96]; /* what DNS or TLS said; may be empty */
};

/* Everything of rq is copied. done comes once, from the loop, never from within this call; the answer is valid during it. */
struct fetch *fetch_begin(struct loop *l, const struct fetch_request *rq,
	void (*done)(void *ctx, const struct fetch_answer *answer), void *ctx);
/* NULLs *fp; done will not be called. NULL is fine. */
void fetch_cancel(struct fetch **fp);

#endif
