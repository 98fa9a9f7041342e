#include <jansson.h>
#include <stdlib.h>
#include <time.h>
#include "cli/demo/demo.h"
#include "cli/demo/websocket.h"
#include "route/path.h"

#define ANSWER_MAGIC  0xde30a25e
#define ECHO_MAX      (1024u * 1024) /* of a body that is sent back */
#define BODY_WINDOW   (64u * 1024)
#define SLOW_MS       1000
#define SLOW_MAX_MS   60000
#define STREAM_PARTS  5
#define STREAM_MS     200
#define TUNNEL_WINDOW (64u * 1024)

struct answer;

/* What is served: a path, and what answers it. */
struct page {
	struct str path;
	bool below; /* everything below the path as well */
	bool wants_body; /* begins when the request is complete, which is in answer.body */
	void (*begin)(struct answer *a);
};

/* One request and its answer. */
struct answer {
	uint32_t magic;
	struct demo *demo;
	struct stream *stream;
	struct arena arena;
	struct head request;
	const struct page *page;
	struct chain body; /* of the request, if the page wants it */
	struct deadline next; /* /slow, /stream */
	uint64_t part, parts, ms; /* /stream */
	struct websocket_echo websocket;
	uint64_t unsent,
		owed; /* /ws: bytes of answers on their way; credit that is given when they have left */
};

static struct mem *mem_of(struct answer *a)
{
	return &a->demo->loop.mem;
}

static void answer_free(struct answer *a)
{
	struct mem *m = mem_of(a);

	OBJ_CHECK(a, ANSWER_MAGIC);
	deadline_disarm(&a->demo->loop, &a->next);
	stream_release(&a->stream);
	chain_clear(m, &a->body);
	arena_free(&a->arena);
	a->magic = 0;
	mem_obj_free(m, a, sizeof(*a));
}

/* -- sending -- */

static void send_head(struct answer *a, struct head *head, struct str type)
{
	char *date = arena_bytes(&a->arena, 32);
	time_t now = time(NULL);
	struct tm tm;
	size_t n = strftime(date, 32, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));

	if (type.n)
		fields_add(&a->arena, &head->fields, FIELD_CONTENT_TYPE, field_std_name(FIELD_CONTENT_TYPE),
			type);
	fields_add(&a->arena, &head->fields, FIELD_DATE, field_std_name(FIELD_DATE), (struct str){date, n});
	fields_add(&a->arena, &head->fields, FIELD_OTHER, STR("x-backend"), a->demo->name);
	stream_send_head(a->stream, head, head->body == BODY_NONE);
}

/* The whole answer; takes the body. */
static void reply(struct answer *a, unsigned status, struct str type, struct chain *body)
{
	bool no_body = status == 204 || status == 304;
	struct head head = {
		.status = (uint16_t)status, .has_length = !no_body, .length = body->n, .body = BODY_LENGTH};

	if (no_body || a->request.method_id == METHOD_HEAD || body->n == 0)
		head.body = BODY_NONE;
	send_head(a, &head, no_body ? STR_NONE : type);
	if (head.body == BODY_LENGTH)
		stream_send_body(a->stream, body, true);
	chain_clear(mem_of(a), body);
}

static void reply_text(struct answer *a, unsigned status, struct str text)
{
	struct chain body = {0};

	chain_add_copy(mem_of(a), &body, text.p, text.n);
	reply(a, status, STR("text/plain; charset=utf-8"), &body);
}

/* -- the pages -- */

/* A number from the query; dflt if it is not there. */
static uint64_t query_number(const struct answer *a, struct str name, uint64_t dflt, uint64_t max)
{
	struct str rest = str_skip(a->request.path, str_find(a->request.path, '?') + 1);
	uint64_t n;

	while (rest.n) {
		struct str pair = str_head(rest, str_find(rest, '&'));
		size_t equals = str_find(pair, '=');

		rest = str_skip(rest, pair.n + 1);
		if (str_eq(str_head(pair, equals), name) && str_to_u64(str_skip(pair, equals + 1), &n))
			return MIN(n, max);
	}
	return dflt;
}

static bool accepts(const struct answer *a, struct str type)
{
	const struct field *f = fields_find(&a->request.fields, FIELD_ACCEPT);
	struct str list = f ? field_value(f) : STR_NONE, range;

	while (str_next_element(&list, &range))
		if (str_case_eq(str_trim(str_head(range, str_find(range, ';'))), type))
			return true;
	return false;
}

static void hello(struct answer *a)
{
	struct chain body = {0};

	if (!accepts(a, STR("text/html"))) {
		reply_text(a, 200, arena_fmt(&a->arena, "hello from " STR_FMT "\n", STR_ARG(a->demo->name)));
		return;
	}
	demo_page(a->demo, mem_of(a), &a->request, &body);
	reply(a, 200, STR("text/html; charset=utf-8"), &body);
}

static void healthz(struct answer *a)
{
	reply_text(a, 200, STR("ok\n"));
}

static void on_slow(struct deadline *d)
{
	struct answer *a = CONTAINER(d, struct answer, next);

	reply_text(a, 200,
		arena_fmt(&a->arena, "hello from " STR_FMT ", after a while\n", STR_ARG(a->demo->name)));
}

static void slow(struct answer *a)
{
	a->next.fire = on_slow;
	/* 0 would mean never. */
	deadline_arm(&a->demo->loop, &a->next,
		(uint32_t)MAX(query_number(a, STR("ms"), SLOW_MS, SLOW_MAX_MS), 1u));
}

static void status(struct answer *a)
{
	struct str number = str_skip(path_only(a->request.path), sizeof("/status/") - 1);
	uint64_t n;

	if (!str_to_u64(number, &n) || n < 200 || n > 599)
		reply_text(a, 400, STR("/status/NNN takes a number from 200 to 599\n"));
	else
		reply_text(a, (unsigned)n,
			arena_fmt(&a->arena, "%u from " STR_FMT "\n", (unsigned)n, STR_ARG(a->demo->name)));
}

static void on_part(struct deadline *d)
{
	struct answer *a = CONTAINER(d, struct answer, next);
	struct chain body = {0};
	struct str text = arena_fmt(&a->arena, "part %llu of %llu from " STR_FMT "\n",
		(unsigned long long)++a->part, (unsigned long long)a->parts, STR_ARG(a->demo->name));

	chain_add_copy(mem_of(a), &body, text.p, text.n);
	if (a->part < a->parts)
		deadline_arm(&a->demo->loop, &a->next, (uint32_t)a->ms);
	stream_send_body(a->stream, &body, a->part == a->parts);
}

static void stream_parts(struct answer *a)
{
	struct head head = {
		.status = 200, .body = a->request.method_id == METHOD_HEAD ? BODY_NONE : BODY_STREAM};

	a->parts = MAX(query_number(a, STR("n"), STREAM_PARTS, 10000), 1u);
	a->ms = MAX(query_number(a, STR("ms"), STREAM_MS, SLOW_MAX_MS), 1u);
	a->next.fire = on_part;
	send_head(a, &head, STR("text/plain; charset=utf-8"));
	if (head.body == BODY_STREAM)
		on_part(&a->next);
}

static void echo_text(struct answer *a, struct chain *out)
{
	const struct head *h = &a->request;
	struct str head = arena_fmt(&a->arena, STR_FMT " " STR_FMT " from " STR_FMT "\nhost: " STR_FMT "\n",
		STR_ARG(h->method), STR_ARG(h->path), STR_ARG(a->demo->name), STR_ARG(h->authority));

	chain_add_copy(mem_of(a), out, head.p, head.n);
	for (uint32_t i = 0; i < h->fields.n; i++) {
		struct str line = arena_fmt(&a->arena, STR_FMT ": " STR_FMT "\n",
			STR_ARG(field_name(&h->fields.v[i])), STR_ARG(field_value(&h->fields.v[i])));

		chain_add_copy(mem_of(a), out, line.p, line.n);
	}
	if (a->body.n) {
		chain_add_static(mem_of(a), out, STR("\n"));
		chain_move(out, &a->body);
	}
}

static json_t *json_text(struct str s)
{
	json_t *j = json_stringn(s.n ? s.p : "", s.n);

	return j ? j : json_string("(not UTF-8)");
}

static void echo_json(struct answer *a, struct chain *out)
{
	const struct head *h = &a->request;
	char *bytes = arena_bytes(&a->arena, a->body.n + 1), *text;
	size_t n = chain_peek(&a->body, bytes, a->body.n);
	json_t *headers = json_array();
	json_t *j;

	for (uint32_t i = 0; i < h->fields.n; i++)
		json_array_append_new(headers, json_pack("[o, o]", json_text(field_name(&h->fields.v[i])),
						       json_text(field_value(&h->fields.v[i]))));
	j = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "backend", json_text(a->demo->name), "method",
		json_text(h->method), "path", json_text(h->path), "host", json_text(h->authority), "headers",
		headers, "body", json_text((struct str){bytes, n}));
	text = json_dumps(j, JSON_INDENT(2));
	MUST(text);
	chain_add_copy(mem_of(a), out, text, strlen(text));
	chain_add_static(mem_of(a), out, STR("\n"));
	free(text);
	json_decref(j);
}

static void echo(struct answer *a)
{
	bool json = accepts(a, STR("application/json"));
	struct chain body = {0};

	if (json)
		echo_json(a, &body);
	else
		echo_text(a, &body);
	reply(a, 200, json ? STR("application/json") : STR("text/plain; charset=utf-8"), &body);
}

static void tunnel(struct answer *a)
{
	struct head head = {.status = 200, .body = BODY_TUNNEL};

	if (a->request.body != BODY_TUNNEL) {
		reply_text(a, 426, STR("this path speaks WebSocket\n"));
		return;
	}
	send_head(a, &head, STR_NONE);
	stream_credit(a->stream, TUNNEL_WINDOW);
}

static void not_found(struct answer *a)
{
	reply_text(a, 404,
		STR("not found; there are / /healthz /slow?ms=500 /status/503 /echo /stream?n=5&ms=200 "
		    "/ws\n"));
}

static const struct page pages[] = {
	{STR("/"), .begin = hello},
	{STR("/healthz"), .begin = healthz},
	{STR("/slow"), .begin = slow},
	{STR("/status/"), .below = true, .begin = status},
	{STR("/echo"), .wants_body = true, .begin = echo},
	{STR("/stream"), .begin = stream_parts},
	{STR("/ws"), .begin = tunnel},
};

static const struct page no_page = {.begin = not_found};

static const struct page *page_of(struct str path)
{
	for (size_t i = 0; i < COUNT_OF(pages); i++)
		if (pages[i].below ? str_starts(path, pages[i].path) : str_eq(path, pages[i].path))
			return &pages[i];
	return &no_page;
}

/* -- as the owner of the stream -- */

static bool is_tunnel(const struct answer *a)
{
	return a->request.body == BODY_TUNNEL && a->page->begin == tunnel;
}

static void on_head(struct stream *s, const struct head *head, bool last)
{
	struct answer *a = s->owner;

	OBJ_CHECK(a, ANSWER_MAGIC);
	head_copy(&a->arena, &a->request, head);
	a->page = page_of(path_only(a->request.path));
	if (head->reject != REASON_NONE) {
		const struct reason_row *row = reason_row((enum reason)head->reject);

		reply_text(a, row->status, arena_fmt(&a->arena, STR_FMT "\n", STR_ARG(row->text)));
		return;
	}
	if (!last && !is_tunnel(a))
		stream_credit(s, BODY_WINDOW);
	if (last || !a->page->wants_body)
		a->page->begin(a);
}

static void echo_frames(struct answer *a, struct chain *chain, bool last)
{
	struct chain out = {0};
	size_t n = chain->n;
	bool over = !websocket_echo_feed(&a->websocket, mem_of(a), chain, &out) || last;

	a->unsent += out.n;
	a->owed += n;
	if (!a->unsent && !over) {
		stream_credit(a->stream, (size_t)a->owed);
		a->owed = 0;
	}
	if (out.n || over)
		stream_send_body(a->stream, &out, over);
}

static void on_body(struct stream *s, struct chain *chain, bool last)
{
	struct answer *a = s->owner;
	size_t n = chain->n;

	OBJ_CHECK(a, ANSWER_MAGIC);
	if (is_tunnel(a)) {
		echo_frames(a, chain, last);
		return;
	}
	if (a->page->wants_body && a->body.n + n > ECHO_MAX) {
		a->page = &no_page;
		reply_text(a, 413, STR("/echo takes up to 1 MiB\n"));
		return;
	}
	if (a->page->wants_body)
		chain_move(&a->body, chain);
	if (!last)
		stream_credit(s, n);
	else if (a->page->wants_body)
		a->page->begin(a);
}

static void on_trailers(struct stream *s, const struct fields *trailers)
{
	struct answer *a = s->owner;

	OBJ_CHECK(a, ANSWER_MAGIC);
	(void)trailers;
	if (a->page->wants_body)
		a->page->begin(a);
}

static void on_sent(struct stream *s, size_t n)
{
	struct answer *a = s->owner;

	OBJ_CHECK(a, ANSWER_MAGIC);
	if (s->sent_all) {
		answer_free(a);
		return;
	}
	if (!is_tunnel(a))
		return;
	a->unsent -= MIN(n, a->unsent);
	if (!a->unsent && a->owed) {
		stream_credit(s, (size_t)a->owed);
		a->owed = 0;
	}
}

static void on_reset(struct stream *s, enum reason why)
{
	(void)why;
	answer_free(s->owner);
}

static const struct stream_owner_ops answer_ops = {
	.on_head = on_head,
	.on_body = on_body,
	.on_trailers = on_trailers,
	.on_sent = on_sent,
	.on_reset = on_reset,
};

void demo_answer(struct demo *d, struct stream *s)
{
	struct answer *a = mem_obj(&d->loop.mem, sizeof(*a));

	a->magic = ANSWER_MAGIC;
	a->demo = d;
	a->stream = s;
	arena_init(&a->arena, &d->loop.mem);
	s->owner_ops = &answer_ops;
	s->owner = a;
}
