/* http/fetcher.h - HTTP requests of weir's own to URLs, and their answers whole: for modules that ask somebody before they go on, and for
 * control, which asks judges.
 *
 * HTTP/1.1 over connections that are kept for the next request to the same server; names through a resolver of its own; https verifies
 * the certificate, against the system's authorities unless it is told others. Redirects are not followed. Belongs to one loop's thread, and blocks nobody. */
#ifndef WEIR_HTTP_FETCHER_H
#define WEIR_HTTP_FETCHER_H

#include "config/conf.h"
#include "http/head.h"
#include "io/loop.h"

struct fetcher; /* for one loop: resolver, TLS, kept connections */
struct fetching; /* one request that is under way */

struct fetcher_request {
	struct str method; /* "GET", "POST" */
	struct str url; /* http://host[:port]/path, https://...; a host is a name or an address */
	struct fields fields; /* of the request, besides Host, User-Agent and what says where the body ends */
	struct str body;
	uint32_t timeout_ms; /* of the whole */
	uint32_t body_max; /* of an answer; a longer one is a failure */
	bool once; /* it must not be sent twice: it goes by no connection that may be about to close */
};

struct fetcher_answer {
	enum reason why; /* NONE: there is an answer */
	uint16_t status; /* 0: none, or not all of it */
	const struct fields *fields; /* of the answer's head */
	struct str body; /* NUL-terminated */
	const char *detail; /* what DNS or TLS said; may be empty */
};

#define FETCHER_PROBLEM_MAX 192
/* What is wrong with it, in a few words: "it answered 503", "upstream_tls_verify: certificate has expired". */
const char *fetcher_problem(const struct fetcher_answer *a, char buf[FETCHER_PROBLEM_MAX]);

/* tls: whom https trusts, and as whom it comes; borrowed. NULL: the system's authorities, as nobody. */
struct fetcher *fetcher_new(struct loop *l, const struct conf_upstream_tls *tls);
/* All that is under way must have been cancelled. NULLs *fp; NULL is fine. */
void fetcher_free(struct fetcher **fp);
/* Is it a URL that can be asked? */
bool fetcher_url_is_valid(struct str url);

/* Everything of rq is copied. done comes once, from the loop, never from within this call; the answer is valid during it. */
struct fetching *fetcher_begin(struct fetcher *f, const struct fetcher_request *rq,
	void (*done)(void *ctx, const struct fetcher_answer *answer), void *ctx);
/* NULLs *gp; done will not be called. NULL is fine. */
void fetching_cancel(struct fetching **gp);

#endif
