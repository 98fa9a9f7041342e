#include "trace_exporter.h"

#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>
#include "trace_text.h"

#define BATCH_MAX    (256u * 1024) /* bytes: what collectors take without a word */
#define LINE_MAX     LOOP_SCRATCH
#define ANSWER_MAX   (16u * 1024)
#define AGAIN_MIN    1000 /* ms; doubled with each try, and up to a half more by chance */
#define AGAIN_MAX    30000
#define GIVE_UP_MS   60000
#define GOODBYE_MS   10000 /* for what is left when nobody uses it any more */
#define RING_MIN     (128u * 1024) /* room for the longest line */
#define IDENTITY_MAX 16384

struct batch {
	char *p; /* BATCH_MAX + LINE_MAX; NULL: nothing was ever in it */
	size_t n;
	uint32_t spans;
	uint64_t since_ms; /* when the first came */
};

struct trace_exporter {
	struct list link; /* in the home's */
	struct trace_home *home; /* NULL: it never sends */
	struct arena arena; /* its texts: it outlives the configuration that it was made for */
	struct str identity, endpoint;
	struct str head; /* of each message, up to the first span */
	struct fields headers;
	struct conf_upstream_tls tls;
	uint32_t interval_ms, timeout_ms;
	uint64_t ring_size;
	struct ring *_Atomic rings[CONF_WORKERS_MAX];
	struct fetcher *fetcher;
	struct fetching *fetching; /* `sending` is on its way */
	struct batch filling, sending; /* sending: until it was taken, or given up */
	uint32_t tries;
	uint64_t again_ms, give_up_ms; /* of `sending` */
	bool hurry; /* the process ends, or nobody uses it any more: nothing waits */
	uint64_t gone_ms; /* nobody uses it: until when it may still send; 0: it is used */
	uint64_t sent, failed, rejected;
	struct dependency state;
};

struct trace_home {
	struct loop *loop;
	struct list exporters;
	struct deadline tick; /* armed while there is one */
};

static const char tail[] = "]}]}]}";

/* -- what it is made of -- */

static void put_map(struct text *t, const struct conf_pair *all, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		text_fmt(t, STR_FMT "=" STR_FMT "\n", STR_ARG(all[i].name), STR_ARG(all[i].value));
	text_char(t, '\n');
}

/* What makes two the same. */
static struct str identify(const struct trace_export *c, char buf[IDENTITY_MAX])
{
	struct text t = text_in(buf, IDENTITY_MAX);

	text_fmt(&t, STR_FMT "\n" STR_FMT "\n%u %u %llu\n", STR_ARG(c->endpoint), STR_ARG(c->service),
		c->interval_ms, c->timeout_ms, (unsigned long long)c->buffer);
	text_fmt(&t, "%d%d\n" STR_FMT "\n" STR_FMT "\n" STR_FMT "\n" STR_FMT "\n", c->tls.on, c->tls.verify,
		STR_ARG(c->tls.ca), STR_ARG(c->tls.server_name), STR_ARG(c->tls.cert), STR_ARG(c->tls.key));
	put_map(&t, c->headers, c->header_n);
	put_map(&t, c->resource, c->resource_n);
	return text_str(&t);
}

static bool has_resource(const struct trace_export *c, const char *name)
{
	for (uint32_t i = 0; i < c->resource_n; i++)
		if (str_eq(c->resource[i].name, str_of(name)))
			return true;
	return false;
}

static struct str make_head(struct arena *a, const struct trace_export *c)
{
	size_t room = 1024;
	struct text t;
	char host[256] = "";

	for (uint32_t i = 0; i < c->resource_n; i++)
		room += 6 * (c->resource[i].name.n + c->resource[i].value.n) + 64;
	t = text_in(arena_bytes(a, room + 6 * c->service.n), room + 6 * c->service.n);
	gethostname(host, sizeof(host) - 1);
	text_put(&t, STR("{\"resourceSpans\":[{\"resource\":{\"attributes\":["));
	attribute_text(&t, STR("service.name"), c->service);
	attribute_text(&t, STR("service.version"), STR(WEIR_VERSION));
	if (!has_resource(c, "host.name"))
		attribute_text(&t, STR("host.name"), str_of(host));
	for (uint32_t i = 0; i < c->resource_n; i++)
		attribute_text(&t, c->resource[i].name, c->resource[i].value);
	text_put(&t, STR("]},\"scopeSpans\":[{\"scope\":{\"name\":\"weir\",\"version\":\"" WEIR_VERSION
			 "\"},\"spans\":["));
	return text_str(&t);
}

static void take_headers(struct trace_exporter *e, const struct trace_export *c)
{
	fields_add(&e->arena, &e->headers, FIELD_CONTENT_TYPE, STR("content-type"), STR("application/json"));
	for (uint32_t i = 0; i < c->header_n; i++) {
		struct str name = arena_str(&e->arena, c->headers[i].name);

		str_lower((char *)(uintptr_t)name.p, name.n);
		fields_add(&e->arena, &e->headers, field_id_of(name), name,
			arena_str(&e->arena, c->headers[i].value));
	}
}

/* -- sending -- */

static void drop_sending(struct trace_exporter *e)
{
	e->sending.n = e->sending.spans = 0;
	e->tries = 0;
}

static bool may_be_sent_again(const struct fetcher_answer *a)
{
	return a->why != REASON_NONE || a->status == 429 || a->status == 502 || a->status == 503 ||
	       a->status == 504;
}

/* RFC 9110 10.2.3, in seconds; 0: nothing is asked for. */
static uint64_t asked_pause_ms(const struct fetcher_answer *a)
{
	const struct field *after = fields_find(a->fields, FIELD_RETRY_AFTER);
	uint64_t seconds;

	return after && str_to_u64(field_value(after), &seconds) ? MIN(seconds, GIVE_UP_MS / 1000ull) * 1000
								 : 0;
}

/* Spans of a message that was taken, but for these (OTLP: partial success). */
static uint32_t rejected_of(const struct fetcher_answer *a)
{
	json_t *body = json_loadb(a->body.p, a->body.n, 0, NULL);
	const json_t *n = json_object_get(json_object_get(body, "partialSuccess"), "rejectedSpans");
	long long rejected = json_is_string(n) ? atoll(json_string_value(n)) : json_integer_value(n);

	json_decref(body);
	return rejected > 0 ? (uint32_t)MIN(rejected, (long long)UINT32_MAX) : 0;
}

static void turn(struct trace_exporter *e);

static void on_answer(void *ctx, const struct fetcher_answer *a)
{
	struct trace_exporter *e = ctx;
	uint64_t now_ms = e->home->loop->now_ms, pause = AGAIN_MIN << MIN(e->tries, 5u);
	char problem[FETCHER_PROBLEM_MAX];
	uint32_t rejected;

	e->fetching = NULL;
	if (a->why == REASON_NONE && a->status / 100 == 2) {
		dependency_good(&e->state);
		rejected = MIN(rejected_of(a), e->sending.spans);
		e->rejected += rejected;
		e->sent += e->sending.spans - rejected;
		drop_sending(e);
		turn(e); /* there may be another batch already */
		return;
	}
	dependency_bad(&e->state, fetcher_problem(a, problem));
	pause = MAX(MIN(pause, AGAIN_MAX), asked_pause_ms(a));
	pause += loop_random(e->home->loop) % (pause / 2);
	if (may_be_sent_again(a) && !e->hurry && now_ms + pause < e->give_up_ms) {
		e->tries++;
		e->again_ms = now_ms + pause;
		return;
	}
	e->failed += e->sending.spans;
	drop_sending(e);
}

static void send_batch(struct trace_exporter *e)
{
	struct fetcher_request rq = {.method = STR("POST"),
		.url = e->endpoint,
		.fields = e->headers,
		.body = {e->sending.p, e->sending.n},
		.timeout_ms = e->hurry ? MIN(e->timeout_ms, GOODBYE_MS) : e->timeout_ms,
		.body_max = ANSWER_MAX};

	e->fetching = fetcher_begin(e->fetcher, &rq, on_answer, e);
}

/* -- gathering -- */

static void batch_begin(struct trace_exporter *e, struct batch *b)
{
	if (!b->p) {
		b->p = malloc(e->head.n + BATCH_MAX + LINE_MAX + sizeof(tail));
		MUST(b->p);
	}
	memcpy(b->p, e->head.p, e->head.n);
	b->n = e->head.n;
	b->since_ms = e->home->loop->now_ms;
}

/* One line: the number of its spans as a letter, and the spans. */
static void batch_add(struct trace_exporter *e, struct str line)
{
	struct batch *b = &e->filling;

	if (b->spans == 0)
		batch_begin(e, b);
	else
		b->p[b->n++] = ',';
	b->spans += (uint32_t)(line.p[0] - '@');
	memcpy(b->p + b->n, line.p + 1, line.n - 1);
	b->n += line.n - 1;
}

/* The ring's lines, as far as the batch has room for them. */
static void gather_from(struct trace_exporter *e, struct ring *r)
{
	char *line = (char *)e->home->loop->scratch;
	struct iovec part[2];

	while (e->filling.spans == 0 || e->filling.n < e->head.n + BATCH_MAX) {
		int parts = ring_peek(r, part);
		size_t n = 0;
		bool whole = false;

		for (int i = 0; i < parts && !whole; i++) {
			const char *p = part[i].iov_base, *end = memchr(p, '\n', part[i].iov_len);
			size_t take = end ? (size_t)(end - p) : part[i].iov_len;

			MUST(n + take <= LINE_MAX);
			memcpy(line + n, p, take);
			n += take;
			whole = end != NULL;
		}
		if (!whole)
			return;
		batch_add(e, (struct str){line, n});
		ring_drain(r, n + 1);
	}
}

static void gather(struct trace_exporter *e)
{
	for (size_t i = 0; i < CONF_WORKERS_MAX; i++) {
		struct ring *r = atomic_load_explicit(&e->rings[i], memory_order_acquire);

		if (r)
			gather_from(e, r);
	}
}

static void turn(struct trace_exporter *e)
{
	uint64_t now_ms = e->home->loop->now_ms;
	struct batch done = e->sending;

	gather(e);
	if (e->fetching)
		return;
	if (e->sending.spans && (now_ms >= e->again_ms || e->hurry)) {
		send_batch(e);
	} else if (!e->sending.spans && e->filling.spans &&
		   (e->hurry || e->filling.n >= e->head.n + BATCH_MAX ||
			   now_ms - e->filling.since_ms >= e->interval_ms)) {
		e->sending = e->filling;
		e->filling = (struct batch){.p = done.p};
		memcpy(e->sending.p + e->sending.n, tail, sizeof(tail) - 1);
		e->sending.n += sizeof(tail) - 1;
		e->give_up_ms = now_ms + GIVE_UP_MS;
		send_batch(e);
	}
}

static bool is_empty(const struct trace_exporter *e)
{
	return !e->fetching && !e->sending.spans && !e->filling.spans;
}

static void exporter_free(struct trace_exporter *e)
{
	list_remove(&e->link);
	fetching_cancel(&e->fetching);
	fetcher_free(&e->fetcher);
	for (size_t i = 0; i < CONF_WORKERS_MAX; i++) {
		struct ring *r = atomic_load_explicit(&e->rings[i], memory_order_relaxed);

		if (r)
			ring_free(r);
		free(r);
	}
	dependency_clear(&e->state);
	free(e->filling.p);
	free(e->sending.p);
	arena_free(&e->arena);
	free(e);
}

static void on_tick(struct deadline *d)
{
	struct trace_home *h = CONTAINER(d, struct trace_home, tick);

	list_each_safe (link, &h->exporters) {
		struct trace_exporter *e = CONTAINER(link, struct trace_exporter, link);

		turn(e);
		if (e->gone_ms && (is_empty(e) || h->loop->now_ms >= e->gone_ms))
			exporter_free(e);
	}
	if (!list_empty(&h->exporters))
		deadline_arm(h->loop, &h->tick, LOOP_TICK_MS);
}

/* -- from outside -- */

struct trace_home *trace_home_new(struct loop *l)
{
	struct trace_home *h = calloc(1, sizeof(*h));

	MUST(h);
	h->loop = l;
	h->tick.fire = on_tick;
	list_init(&h->exporters);
	return h;
}

bool trace_home_busy(struct trace_home *h)
{
	bool busy = false;

	list_each (link, &h->exporters) {
		struct trace_exporter *e = CONTAINER(link, struct trace_exporter, link);

		e->hurry = true;
		turn(e);
		busy |= !is_empty(e);
	}
	return busy;
}

void trace_home_free(struct trace_home *h)
{
	struct list *link;

	while ((link = list_first(&h->exporters)))
		exporter_free(CONTAINER(link, struct trace_exporter, link));
	deadline_disarm(h->loop, &h->tick);
	free(h);
}

struct trace_exporter *trace_exporter_new(struct trace_home *home, const struct trace_export *conf)
{
	struct trace_exporter *e = calloc(1, sizeof(*e));
	char buf[IDENTITY_MAX];

	MUST(e);
	arena_init(&e->arena, NULL);
	e->home = home;
	e->identity = arena_str(&e->arena, identify(conf, buf));
	e->endpoint = arena_str(&e->arena, conf->endpoint);
	e->tls = conf->tls;
	e->tls.ca = arena_str(&e->arena, conf->tls.ca);
	e->tls.server_name = arena_str(&e->arena, conf->tls.server_name);
	e->tls.cert = arena_str(&e->arena, conf->tls.cert);
	e->tls.key = arena_str(&e->arena, conf->tls.key);
	e->interval_ms = conf->interval_ms;
	e->timeout_ms = conf->timeout_ms;
	for (e->ring_size = RING_MIN; e->ring_size < conf->buffer; e->ring_size *= 2)
		;
	e->head = make_head(&e->arena, conf);
	take_headers(e, conf);
	list_init(&e->link);
	if (!home)
		return e;
	e->fetcher = fetcher_new(home->loop, e->tls.on ? &e->tls : NULL);
	if (list_empty(&home->exporters))
		deadline_arm(home->loop, &home->tick, LOOP_TICK_MS);
	list_push_back(&home->exporters, &e->link);
	return e;
}

bool trace_exporter_is(const struct trace_exporter *e, const struct trace_export *conf)
{
	char buf[IDENTITY_MAX];

	return str_eq(e->identity, identify(conf, buf));
}

void trace_exporter_release(struct trace_exporter *e)
{
	if (!e->home) {
		exporter_free(e);
		return;
	}
	e->hurry = true;
	e->gone_ms = e->home->loop->now_ms + GOODBYE_MS;
}

struct ring *trace_exporter_ring(struct trace_exporter *e, uint32_t worker)
{
	struct ring *r = atomic_load_explicit(&e->rings[worker], memory_order_relaxed);

	if (r)
		return r;
	r = aligned_alloc(_Alignof(struct ring), sizeof(*r));
	MUST(r);
	ring_init(r, e->ring_size);
	atomic_store_explicit(&e->rings[worker], r, memory_order_release);
	return r;
}

void trace_line_put(struct ring *r, struct text *spans, unsigned n)
{
	spans->p[0] = (char)('@' + n);
	text_char(spans, '\n');
	if (spans->cut)
		atomic_fetch_add_explicit(&r->dropped, 1, memory_order_relaxed);
	else
		ring_put(r, text_str(spans));
}

void trace_exporter_counts(const struct trace_exporter *e, struct module_counts *out)
{
	uint64_t dropped = 0;

	for (size_t i = 0; i < CONF_WORKERS_MAX; i++) {
		struct ring *r = atomic_load_explicit(&e->rings[i], memory_order_acquire);

		dropped += r ? atomic_load_explicit(&r->dropped, memory_order_relaxed) : 0;
	}
	module_count(out, STR("spans"), STR("sent"), e->sent);
	module_count(out, STR("spans"), STR("failed"), e->failed);
	module_count(out, STR("spans"), STR("rejected"), e->rejected);
	module_count(out, STR("traces"), STR("dropped"), dropped);
}

void trace_exporter_depends(struct trace_exporter *e, struct module_dependency *out)
{
	*out = (struct module_dependency){.what = STR("collector"),
		.address = str_head(e->endpoint, str_find(e->endpoint, '?')),
		.meanwhile = "traces are kept as far as there is room, and a minute at most",
		.state = &e->state};
}
