/* exchange/explain/explain.h - what weir would do with a request, and why; found from a snapshot, without sending anything. */
#ifndef WEIR_EXCHANGE_EXPLAIN_EXPLAIN_H
#define WEIR_EXCHANGE_EXPLAIN_EXPLAIN_H

#include <jansson.h>
#include <stdio.h>
#include "exchange/snapshot.h"
#include "route/split.h"

/* The request that is asked about, as a codec would have delivered it. */
struct explain_request {
	struct arena arena;
	struct str url; /* as written */
	struct head head;
	bool tls;
	uint16_t port; /* that it would be sent to */
	struct addr client;
};

/* A route of the tenant whose path and host match as well, but that does not get the request. */
struct rival {
	const struct route *route;
	bool matches; /* it would get the request if there were no better one */
	const char *why;
};

/* A module that the request meets. */
struct met {
	const struct module_place *place;
	const char *level; /* whose configuration counts: "global", "tenant", "route" */
	struct str says; /* what it would decide; empty: it does not tell */
	struct str pool; /* that it would choose; empty: none */
};

struct explanation {
	struct explain_request *request; /* its arena also holds what is found */
	const struct snapshot *snapshot;
	const struct pool_now *now; /* by pool slot */
	bool live; /* the health of the backends is known: it is weir itself who explains */
	struct cookie_keys *keys;
	bool keys_known; /* those of the running weir, as far as this machine knows */
	const struct conf_listener *listener; /* NULL: none speaks the request's scheme */
	bool listener_guessed; /* none has the request's port; it is the first of that scheme */
	bool to_https; /* the listener redirects it */
	struct str host; /* of the tenant's hosts, the one that matches */
	struct routed routed;
	struct rival *rivals; /* in the request's arena */
	uint32_t rival_n;
	struct met *met; /* in the order of their calls; in the request's arena */
	uint32_t met_n;
	struct split_result split; /* with a service only; pool NULL: any, by weight */
	bool found; /* it is answered by a backend or a redirect */
};

/* modules.c, for find.c: what the modules that see a request before it is routed do to its head; and whom of all it meets. */
void explain_before_routing(struct explanation *e);
void explain_modules(struct explanation *e);

/* request.c: fills r from what somebody has written; the texts must outlive r. False, with a text in err, when it makes no request. r must be
 * freed either way. headers: "name: value"; method, ip: NULL for GET and 127.0.0.1. */
bool explain_request_parse(struct explain_request *r, const char *url, const char *method,
	const char *const *headers, uint32_t header_n, const char *ip, char *err, size_t err_n);
void explain_request_free(struct explain_request *r);

/* find.c: everything of e but request, snapshot, now, live and the keys, which are set by the caller. */
void explain_find(struct explanation *e);

/* tell.c: in words, and as a document. */
void explain_text(const struct explanation *e, FILE *to);
json_t *explain_json(const struct explanation *e);

#endif
