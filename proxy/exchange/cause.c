#include "exchange/cause.h"

#include <stdlib.h>
#include "base/obj.h"
#include "exchange/exchange.h"

/* -- as it happens: attempts are noted in the exchange's arena -- */

struct cause_notes {
	uint32_t n;
	uint64_t queue_us, connect_us; /* of all that are noted */
	struct {
		struct cause_attempt facts;
		struct str backend, error;
	} v[CAUSE_ATTEMPTS_MAX];
};

void cause_note(struct exchange *x, enum reason why)
{
	struct cause_notes *notes = x->notes;
	const struct conn_pool *p = x->conn_pool;
	uint64_t now_us = x->edge->loop->now_us;

	if (!notes)
		notes = x->notes = arena_new(&x->arena, struct cause_notes);
	if (notes->n == CAUSE_ATTEMPTS_MAX || !exchange_backend(x).n)
		return;
	notes->v[notes->n].backend = arena_str(&x->arena, exchange_backend(x));
	if (p && p->error && (why == REASON_UPSTREAM_TLS || why == REASON_UPSTREAM_TLS_VERIFY))
		notes->v[notes->n].error = arena_str(&x->arena, str_of(p->error));
	notes->v[notes->n++].facts = (struct cause_attempt){
		.reason = (uint16_t)why,
		.phase = x->state,
		.reused = x->upstream && x->upstream_reused,
		.at_us = x->wait_us - x->start_us,
		.queue_us = x->queue_us - notes->queue_us,
		.connect_us = x->connect_us - notes->connect_us,
		.lasted_us = now_us - x->wait_us,
	};
	notes->queue_us = x->queue_us;
	notes->connect_us = x->connect_us;
}

/* -- a record -- */

/* Puts a record together: first only its length, then for good. */
struct writer {
	struct cause *to; /* NULL: only counts */
	uint32_t n;
};

static struct cause_text put(struct writer *w, struct str s)
{
	struct cause_text t = {(uint16_t)w->n, (uint16_t)MIN(s.n, (size_t)CAUSE_TEXT_MAX)};

	if (w->to && t.n)
		memcpy(w->to->text + t.at, s.p, t.n);
	w->n += t.n;
	return t;
}

static void put_attempts(struct writer *w, struct cause *c, const struct cause_notes *notes)
{
	for (uint32_t i = 0; notes && i < notes->n; i++) {
		struct cause_attempt *a = &c->attempt[i];

		*a = notes->v[i].facts;
		a->backend = put(w, notes->v[i].backend);
		a->error = put(w, notes->v[i].error);
	}
	c->attempt_n = notes ? (uint8_t)notes->n : 0;
}

static void put_fields(struct writer *w, struct cause *c, const struct module_field *f)
{
	for (c->field_n = 0; f && c->field_n < CAUSE_FIELDS_MAX; f = f->next) {
		struct cause_field *to = &c->field[c->field_n++];

		to->name = put(w, f->name);
		to->value = put(w, f->value);
	}
}

static void put_texts(struct writer *w, struct cause *c, const struct exchange *x)
{
	char client[ADDR_TEXT_MAX];

	c->id = put(w, x->id);
	c->client = put(w, addr_ip_text(&x->client_addr, client));
	c->listener = put(w, x->entry->conf.name);
	c->tenant = put(w, exchange_tenant(x));
	c->service = put(w, exchange_service(x));
	c->pool = put(w, exchange_pool(x));
	c->backend = put(w, exchange_backend(x));
	c->route = put(w, exchange_route_path(x));
	c->method = put(w, exchange_method(x));
	c->host = put(w, x->host);
	c->path = put(w, x->path);
	put_fields(w, c, x->modules ? x->modules->log : NULL);
}

static void put_facts(struct cause *c, struct exchange *x)
{
	uint64_t now_us = x->edge->loop->now_us;

	c->status = (uint16_t)exchange_status(x);
	c->reason = x->reason;
	c->phase = x->reason ? x->phase : EXCHANGE_RELAYING;
	c->version = x->request.version;
	c->upstream_version = x->upstream_version;
	c->attempts = x->attempts;
	c->tls = x->tls_version != NULL;
	c->upstream_tls = x->upstream_tls;
	c->tunnel = x->tunnel;
	c->panic = x->panic;
	c->began_us = edge_wall_us(x->edge, x->start_us);
	c->duration_us = now_us - x->start_us;
	c->first_byte_us = x->first_byte_us ? x->first_byte_us - x->start_us : 0;
	c->bytes_in = x->bytes_in;
	c->bytes_out = x->bytes_out;
	c->generation = exchange_generation(x);
}

/* The client's doing, or that of nobody in particular: what it asked for does not exist. */
static bool is_clients(const struct exchange *x)
{
	return (x->status >= 400 && x->status < 500) ||
	       str_eq(reason_side((enum reason)x->reason), STR("client"));
}

static struct cause **next_place(struct cause_ring *r, uint32_t size)
{
	if (!r->v) {
		r->v = calloc(size, sizeof(struct cause *));
		if (!r->v)
			return NULL;
		r->size = size;
	}
	return &r->v[r->next++ % r->size];
}

void cause_record(struct exchange *x)
{
	struct causes *all = &x->edge->causes;
	struct cause counted, *c, **at;
	struct writer w = {0};

	put_texts(&w, &counted, x);
	put_attempts(&w, &counted, x->notes);
	at = is_clients(x) ? next_place(&all->clients, CAUSES_CLIENT) : next_place(&all->kept, CAUSES_KEPT);
	c = at ? calloc(1, sizeof(*c) + w.n) : NULL;
	if (!c)
		return;
	c->size = (uint32_t)sizeof(*c) + w.n;
	w = (struct writer){.to = c};
	put_facts(c, x);
	put_texts(&w, c, x);
	put_attempts(&w, c, x->notes);
	free(*at);
	*at = c;
}

/* -- asking -- */

static bool matches(const struct cause *c, const struct cause_query *q)
{
	return (q->id.n == 0 || str_eq(cause_str(c, c->id), q->id)) &&
	       (q->tenant.n == 0 || str_eq(cause_str(c, c->tenant), q->tenant)) &&
	       (q->reason == REASON_NONE || c->reason == q->reason);
}

static uint32_t find_in(const struct cause_ring *r, const struct cause_query *q, struct cause **found,
	uint32_t n, uint32_t max)
{
	for (uint32_t i = 1; i <= r->size && n < max; i++) {
		const struct cause *c = r->v[(r->next - i) % r->size];

		if (!c || !matches(c, q))
			continue;
		found[n] = malloc(c->size);
		if (!found[n])
			break;
		memcpy(found[n++], c, c->size);
	}
	return n;
}

static int newest_first(const void *a, const void *b)
{
	const struct cause *left = *(struct cause *const *)a, *right = *(struct cause *const *)b;

	return (left->began_us < right->began_us) - (left->began_us > right->began_us);
}

uint32_t causes_find(const struct causes *all, const struct cause_query *q, struct cause ***found)
{
	uint32_t most = all->kept.size + all->clients.size, n, kept;
	uint32_t limit = q->limit ? q->limit : most;

	*found = most ? calloc(most, sizeof(struct cause *)) : NULL;
	if (!*found)
		return 0;
	kept = find_in(&all->kept, q, *found, 0, MIN(limit, most));
	n = kept;
	if (q->clients || q->id.n)
		n = find_in(&all->clients, q, *found, n, MIN(kept + limit, most));
	qsort(*found, n, sizeof(struct cause *), newest_first);
	while (n > limit)
		free((*found)[--n]);
	return n;
}

static void ring_clear(struct cause_ring *r)
{
	for (uint32_t i = 0; i < r->size; i++)
		free(r->v[i]);
	free(r->v);
	*r = (struct cause_ring){0};
}

void causes_free(struct causes *all)
{
	ring_clear(&all->kept);
	ring_clear(&all->clients);
}
