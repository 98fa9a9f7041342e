/* exchange/cause.h - what happened to a request that failed: one record each, kept for a while, so that the id in an error answer can be
 * asked about (`weir why`). Good requests cost nothing.
 *
 * A worker keeps the last CAUSES_KEPT failures that were weir's or a backend's doing, and apart from them the last CAUSES_CLIENT that were
 * the client's (4xx, 499): who sends nonsense must not wash away what matters. A record is one piece of memory without pointers, so
 * that it can be copied to another thread as it is. */
#ifndef WEIR_EXCHANGE_CAUSE_H
#define WEIR_EXCHANGE_CAUSE_H

#include "base/reason.h"
#include "base/str.h"

struct exchange;

#define CAUSES_KEPT        4096
#define CAUSES_CLIENT      1024
#define CAUSE_TEXT_MAX     256 /* of one value */
#define CAUSE_ATTEMPTS_MAX 8
#define CAUSE_FIELDS_MAX   8 /* of modules */

/* A value: where it lies in the record's text. */
struct cause_text {
	uint16_t at, n;
};

/* What a module has written into the request's line in the log. */
struct cause_field {
	struct cause_text name, value;
};

struct cause_attempt {
	struct cause_text backend; /* its address */
	struct cause_text error; /* what OpenSSL said; empty: nothing */
	uint16_t reason; /* enum reason: why it failed */
	uint8_t phase; /* enum exchange_state: how far it came */
	bool reused; /* over a connection that had served others before */
	uint64_t at_us; /* when it began, from the beginning of the request */
	uint64_t queue_us, connect_us; /* of it: waiting for a connection, making one */
	uint64_t lasted_us;
};

struct cause {
	uint32_t size; /* of the whole, text included */
	uint16_t status; /* what the client got; 0: nothing */
	uint16_t reason; /* enum reason; NONE: the backend itself answered with an error */
	uint8_t phase; /* enum exchange_state in which it failed */
	uint8_t version, upstream_version; /* enum http_version */
	uint8_t attempts; /* made; the first CAUSE_ATTEMPTS_MAX that failed are told */
	uint8_t attempt_n, field_n;
	bool tls, upstream_tls, tunnel, panic;
	uint64_t began_us; /* since 1970 */
	uint64_t duration_us, first_byte_us; /* first_byte 0: no answer came */
	uint64_t bytes_in, bytes_out;
	uint64_t generation;
	struct cause_text id, client, listener, tenant, service, pool, backend, route, method, host, path;
	struct cause_attempt attempt[CAUSE_ATTEMPTS_MAX];
	struct cause_field field[CAUSE_FIELDS_MAX];
	char text[];
};

static inline struct str cause_str(const struct cause *c, struct cause_text t)
{
	return (struct str){c->text + t.at, t.n};
}

/* What is looked for. Zeroed finds everything. */
struct cause_query {
	struct str id;
	struct str tenant;
	enum reason reason; /* NONE: any */
	bool clients; /* also what was the client's doing; an id finds it anyway */
	uint32_t limit; /* 0: no limit */
};

struct cause_ring {
	struct cause **v; /* the oldest is overwritten; NULL until the first */
	uint32_t size, next;
};

/* A worker's. Zeroed is empty. */
struct causes {
	struct cause_ring kept, clients;
};

/* -- as it happens -- */
/* An attempt of x has failed: noted, in case x comes to nothing. Before the attempt is dropped. */
void cause_note(struct exchange *x, enum reason why);
/* x has ended badly. Nothing is recorded when memory is short. */
void cause_record(struct exchange *x);

/* -- asking -- */
/* Those that match, the newest first; copies, to be freed one by one and as a whole with free(). Returns how many. */
uint32_t causes_find(const struct causes *all, const struct cause_query *q, struct cause ***found);
void causes_free(struct causes *all);

#endif
