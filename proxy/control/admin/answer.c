/* control/admin/answer.c - what is said to a request: documents, problems, streams; and waiting until there is something to say. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "base/obj.h"
#include "control/admin/request.h"
#include "control/control.h"

#define WAIT_STEP_MS \
	500 /* how exact ?wait= is: few lengths of time, because the loop keeps a queue for each */
#define ALIVE_MS 15000 /* a stream in which nothing happens says that it is there */

static struct loop *loop_of(const struct admin_request *rq)
{
	return &rq->control->loop;
}

static void put_field(struct admin_request *rq, enum field_id id, const char *name, struct str value)
{
	fields_add(&rq->arena, &rq->fields, id, str_of(name), value);
}

void admin_header(struct admin_request *rq, const char *name, struct str value)
{
	put_field(rq, field_id_of(str_of(name)), name, arena_str(&rq->arena, value));
}

/* What every answer carries. */
static void put_common(struct admin_request *rq, const char *type)
{
	char *date = arena_bytes(&rq->arena, 32);
	time_t now = time(NULL);
	struct tm tm;
	size_t n = strftime(date, 32, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));

	put_field(rq, FIELD_CONTENT_TYPE, "content-type", str_of(type));
	put_field(rq, FIELD_DATE, "date", (struct str){date, n});
	put_field(rq, FIELD_CACHE_CONTROL, "cache-control", STR("no-store"));
	put_field(rq, FIELD_OTHER, "x-content-type-options", STR("nosniff"));
}

static void send_text(struct admin_request *rq, unsigned status, const char *type, struct str text)
{
	bool empty = text.n == 0 || rq->head.method_id == METHOD_HEAD;
	struct head head = {.status = (uint16_t)status,
		.body = empty ? BODY_NONE : BODY_LENGTH,
		.has_length = true,
		.length = text.n};
	struct chain chain = {0};

	OBJ_CHECK(rq, ADMIN_MAGIC);
	admin_set_state(rq, ADMIN_ANSWERED);
	rq->gone = NULL;
	list_remove(&rq->link);
	list_remove(&rq->in_topic);
	deadline_disarm(loop_of(rq), &rq->deadline);
	put_common(rq, type);
	head.fields = rq->fields;
	stream_send_head(rq->stream, &head, empty);
	if (empty)
		return;
	chain_add_copy(&loop_of(rq)->mem, &chain, text.p, text.n);
	stream_send_body(rq->stream, &chain, true);
	chain_clear(&loop_of(rq)->mem, &chain);
}

static void send_json(struct admin_request *rq, unsigned status, const char *type, json_t *body)
{
	char *text = json_dumps(body, JSON_INDENT(2) | JSON_REAL_PRECISION(EVENT_DIGITS));
	size_t n;

	json_decref(body);
	MUST(text);
	n = strlen(text);
	text[n] = '\n'; /* in place of the NUL */
	send_text(rq, status, type, (struct str){text, n + 1});
	free(text);
}

void admin_answer(struct admin_request *rq, unsigned status, json_t *body)
{
	send_json(rq, status, "application/json", body);
}

void admin_answer_etag(struct admin_request *rq, unsigned status, json_t *body, uint64_t version)
{
	put_field(rq, FIELD_ETAG, "etag", arena_fmt(&rq->arena, "\"%llu\"", (unsigned long long)version));
	admin_answer(rq, status, body);
}

void admin_answer_text(struct admin_request *rq, const char *content_type, struct str text)
{
	send_text(rq, 200, content_type, text);
}

/* -- problems -- */

/* jansson takes UTF-8 only, and what is told of may be a stranger's. */
static json_t *json_text(const char *text)
{
	json_t *j = json_string(text);

	return j ? j : json_string("(not UTF-8)");
}

static void problem(struct admin_request *rq, unsigned status, const char *type, json_t *members,
	const char *fmt, va_list ap)
{
	char detail[1024], urn[96], phrase[64];
	json_t *j;

	vsnprintf(detail, sizeof(detail), fmt, ap);
	snprintf(urn, sizeof(urn), "urn:weir:problem:%s", type);
	snprintf(phrase, sizeof(phrase), STR_FMT, STR_ARG(status_phrase(status)));
	j = json_pack("{s:s, s:s, s:i, s:o, s:s}", "type", urn, "title", phrase, "status", (int)status,
		"detail", json_text(detail), "reason", type);
	MUST(j);
	if (members) {
		json_object_update(j, members);
		json_decref(members);
	}
	send_json(rq, status, "application/problem+json", j);
}

void admin_problem(struct admin_request *rq, unsigned status, const char *type, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	problem(rq, status, type, NULL, fmt, ap);
	va_end(ap);
}

void admin_problem_with(
	struct admin_request *rq, unsigned status, const char *type, json_t *members, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	problem(rq, status, type, members, fmt, ap);
	va_end(ap);
}

/* -- conditions -- */

static bool names_version(struct str list, uint64_t version)
{
	struct str tag;
	uint64_t n;

	while (str_next_element(&list, &tag)) {
		if (str_eq(tag, STR("*")))
			return true;
		/* A weak tag never matches here (RFC 9110 8.8.3.2). */
		if (tag.n > 2 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"' &&
			str_to_u64((struct str){tag.p + 1, tag.n - 2}, &n) && n == version)
			return true;
	}
	return false;
}

bool admin_if_match(struct admin_request *rq, uint64_t version)
{
	const struct field *f = fields_find_name(&rq->head.fields, STR("if-match"));

	if (!f || names_version(field_value(f), version))
		return true;
	admin_problem_with(rq, 412, "version_conflict", json_pack("{s:I}", "version", (json_int_t)version),
		"somebody has changed it meanwhile: its version is %llu; read it again, then decide",
		(unsigned long long)version);
	return false;
}

bool admin_must_match(struct admin_request *rq, uint64_t version)
{
	if (fields_find_name(&rq->head.fields, STR("if-match")))
		return admin_if_match(rq, version);
	admin_problem(rq, 428, "version_needed",
		"this needs If-Match with the ETag that GET gives, or *, so that nobody's change is lost");
	return false;
}

/* -- waiting -- */

static void handle_again(struct admin_request *rq)
{
	list_remove(&rq->in_topic);
	rq->woken = true;
	rq->route->handle(rq);
}

static void on_wait(struct deadline *d)
{
	struct admin_request *rq = CONTAINER(d, struct admin_request, deadline);

	if (loop_of(rq)->now_ms < rq->wait_until_ms)
		deadline_arm(loop_of(rq), d, WAIT_STEP_MS);
	else
		handle_again(rq);
}

bool admin_wait(struct admin_request *rq, struct admin_topic *t)
{
	if (rq->wait_until_ms <= loop_of(rq)->now_ms)
		return false;
	if (!deadline_armed(&rq->deadline)) {
		rq->deadline.fire = on_wait;
		deadline_arm(loop_of(rq), &rq->deadline, WAIT_STEP_MS);
	}
	admin_wait_on(rq, t);
	return true;
}

void admin_wait_on(struct admin_request *rq, struct admin_topic *t)
{
	list_push_back(&t->waiting, &rq->in_topic);
}

static void on_wake(struct task *task)
{
	struct admin_topic *t = CONTAINER(task, struct admin_topic, wake);
	struct list woken;
	struct list *link;

	/* Apart, because each may come back. */
	list_init(&woken);
	while ((link = list_pop_front(&t->waiting)))
		list_push_back(&woken, link);
	while ((link = list_first(&woken)))
		handle_again(CONTAINER(link, struct admin_request, in_topic));
}

void admin_topic_init(struct admin_topic *t, struct loop *l)
{
	*t = (struct admin_topic){.loop = l, .wake = {.run = on_wake}};
	list_init(&t->waiting);
}

void admin_topic_wake(struct admin_topic *t)
{
	if (!list_empty(&t->waiting))
		loop_defer(t->loop, &t->wake, LOOP_READY);
}

/* -- streams -- */

static void put_event(struct admin_request *rq, struct chain *chain)
{
	rq->unsent += chain->n;
	stream_send_body(rq->stream, chain, false);
}

static void on_alive(struct deadline *d)
{
	struct admin_request *rq = CONTAINER(d, struct admin_request, deadline);
	struct chain chain = {0};

	deadline_arm(loop_of(rq), d, ALIVE_MS);
	if (rq->unsent > 0)
		return;
	chain_add_static(&loop_of(rq)->mem, &chain, STR(":\n\n"));
	put_event(rq, &chain);
}

void admin_stream_begin(struct admin_request *rq)
{
	bool empty = rq->head.method_id == METHOD_HEAD;
	struct head head = {.status = 200, .body = empty ? BODY_NONE : BODY_STREAM};

	OBJ_CHECK(rq, ADMIN_MAGIC);
	admin_set_state(rq, empty ? ADMIN_ANSWERED : ADMIN_STREAMING);
	put_common(rq, "text/event-stream");
	head.fields = rq->fields;
	stream_send_head(rq->stream, &head, empty);
	if (empty) {
		admin_gone(rq);
		return;
	}
	rq->deadline.fire = on_alive;
	deadline_arm(loop_of(rq), &rq->deadline, ALIVE_MS);
}

static void stream_finish(struct admin_request *rq, struct str last)
{
	struct chain chain = {0};

	deadline_disarm(loop_of(rq), &rq->deadline);
	admin_set_state(rq, ADMIN_ANSWERED);
	chain_add_static(&loop_of(rq)->mem, &chain, last);
	stream_send_body(rq->stream, &chain, true);
	admin_gone(rq);
}

bool admin_stream_send(struct admin_request *rq, uint64_t id, const char *name, struct str data)
{
	struct mem *m = &loop_of(rq)->mem;
	struct chain chain = {0};
	char line[128];
	struct text t = text_in(line, sizeof(line));

	OBJ_CHECK(rq, ADMIN_MAGIC);
	if (rq->state != ADMIN_STREAMING)
		return false;
	if (rq->unsent + data.n > ADMIN_STREAM_MAX) {
		stream_finish(rq, STR("event: cut\ndata: {\"reason\": \"slow_reader\"}\n\n"));
		return false;
	}
	if (id)
		text_fmt(&t, "id: %llu\n", (unsigned long long)id);
	text_fmt(&t, "event: %s\ndata: ", name);
	MUST(!t.cut);
	chain_add_copy(m, &chain, line, t.n);
	chain_add_copy(m, &chain, data.p, data.n);
	chain_add_static(m, &chain, STR("\n\n"));
	put_event(rq, &chain);
	return true;
}

void admin_stream_end(struct admin_request *rq)
{
	OBJ_CHECK(rq, ADMIN_MAGIC);
	if (rq->state == ADMIN_STREAMING)
		stream_finish(rq, STR(":\n\n"));
}
