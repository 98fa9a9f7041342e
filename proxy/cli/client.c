#include "cli/client.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "base/obj.h"
#include "cli/client_link.h"
#include "config/unit.h"
#include "http/conn.h"

#define ANSWER_MAX  (64u * 1024 * 1024)
#define BODY_WINDOW (256u * 1024)

/* One exchange with weir. */
struct client {
	struct loop loop;
	struct client_link link;
	struct http_conn *conn;
	struct stream *stream;
	struct arena arena;
	struct deadline patience;
	struct client_answer *answer;
	struct chain received;
	bool (*on_event)(void *ctx, struct str name, struct str data); /* NULL: the answer is a document */
	void *ctx;
	bool complete, timed_out, closed;
	enum reason why;
	char err[640]; /* what went wrong, for the user; empty: nothing */
};

static const struct http_limits limits = {.header_bytes = 16 * 1024, .header_count = 64, .max_streams = 1};

static int failed(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("weir: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	return CLI_FAILED;
}

/* -- the answer -- */

static void finish(struct client *c)
{
	c->complete = true;
	loop_stop(&c->loop);
}

static void on_head(struct stream *s, const struct head *head, bool last)
{
	struct client *c = s->owner;
	const struct field *etag = fields_find(&head->fields, FIELD_ETAG);

	if (head->status < 200)
		return;
	c->answer->status = head->status;
	if (etag)
		snprintf(c->answer->etag, sizeof(c->answer->etag), STR_FMT, STR_ARG(field_value(etag)));
	if (head->status >= 300)
		c->on_event = NULL; /* a problem, not a stream */
	if (last)
		finish(c);
}

/* The events that are complete in what has come; false: enough. */
static bool take_events(struct client *c)
{
	size_t n = c->received.n, taken = 0;
	char *text = malloc(n + 1);
	struct str rest = {text, chain_peek(&c->received, text, n)};
	bool more = true;

	MUST(text);
	while (more) {
		char *end = memmem(rest.p, rest.n, "\n\n", 2);
		struct str block = {rest.p, end ? (size_t)(end - rest.p) : 0}, name = STR_NONE,
			   data = STR_NONE;

		if (!end)
			break;
		rest = str_skip(rest, block.n + 2);
		taken += block.n + 2;
		while (block.n) {
			struct str line = str_head(block, str_find(block, '\n'));

			block = str_skip(block, line.n + 1);
			if (str_starts(line, STR("event: ")))
				name = str_skip(line, 7);
			else if (str_starts(line, STR("data: ")))
				data = str_skip(line, 6);
		}
		if (data.n)
			more = c->on_event(c->ctx, name, data);
	}
	chain_drain(&c->loop.mem, &c->received, taken);
	free(text);
	return more;
}

static void on_body(struct stream *s, struct chain *chain, bool last)
{
	struct client *c = s->owner;
	size_t n = chain->n;

	chain_move(&c->received, chain);
	if (c->on_event && !take_events(c))
		last = true;
	if (last || c->received.n > ANSWER_MAX)
		finish(c);
	else
		stream_credit(s, n);
}

static void on_trailers(struct stream *s, const struct fields *trailers)
{
	(void)trailers;
	finish(s->owner);
}

static void on_sent(struct stream *s, size_t n)
{
	(void)s;
	(void)n;
}

static void on_reset(struct stream *s, enum reason why)
{
	struct client *c = s->owner;

	c->why = why;
	loop_stop(&c->loop);
}

static const struct stream_owner_ops stream_ops = {on_head, on_body, on_trailers, on_sent, on_reset};

static void on_change(struct http_conn *conn)
{
	(void)conn;
}

static void on_closed(struct http_conn *conn, enum reason why)
{
	struct client *c = conn->owner;

	c->conn = NULL;
	c->closed = true;
	if (!c->complete && c->why == REASON_NONE)
		c->why = why;
	loop_stop(&c->loop);
}

static const struct http_conn_owner_ops conn_ops = {.on_change = on_change, .on_closed = on_closed};

static void on_patience_end(struct deadline *d)
{
	struct client *c = CONTAINER(d, struct client, patience);

	c->timed_out = true;
	loop_stop(&c->loop);
}

/* -- the question -- */

static void send_question(
	struct client *c, const char *method, const char *path, json_t *body, const char *if_match)
{
	const char *token = getenv("WEIR_TOKEN");
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct head head = {
		.method = str_of(method),
		.method_id = method_of(str_of(method)),
		.scheme = c->link.tls ? STR("https") : STR("http"),
		.authority = str_of(c->link.authority),
		.path = str_of(path),
		.body = text ? BODY_LENGTH : BODY_NONE,
		.has_length = text != NULL,
		.length = text ? strlen(text) : 0,
	};
	struct chain chain = {0};

	fields_add(&c->arena, &head.fields, FIELD_ACCEPT, STR("accept"),
		c->on_event ? STR("text/event-stream") : STR("*/*"));
	if (text)
		fields_add(&c->arena, &head.fields, FIELD_CONTENT_TYPE, STR("content-type"),
			STR("application/json"));
	if (if_match)
		fields_add(&c->arena, &head.fields, FIELD_OTHER, STR("if-match"), str_of(if_match));
	if (token && *token)
		fields_add(&c->arena, &head.fields, FIELD_AUTHORIZATION, STR("authorization"),
			arena_fmt(&c->arena, "Bearer %s", token));
	stream_send_head(c->stream, &head, !text);
	if (text) {
		chain_add_copy(&c->loop.mem, &chain, text, strlen(text));
		stream_send_body(c->stream, &chain, true);
	}
	free(text);
	stream_credit(c->stream, BODY_WINDOW);
}

static void keep_answer(struct client *c)
{
	struct client_answer *a = c->answer;
	char *text = malloc(c->received.n + 1);

	MUST(text);
	a->text = (struct str){text, chain_peek(&c->received, text, c->received.n)};
	text[a->text.n] = '\0';
	a->body = json_loadb(text, a->text.n, 0, NULL);
}

static void hang_up(struct client *c)
{
	stream_release(&c->stream);
	if (c->conn)
		http_conn_close(c->conn, REASON_CANCELLED);
	client_link_close(&c->link);
	loop_run_tasks(&c->loop);
	deadline_disarm(&c->loop, &c->patience);
	chain_clear(&c->loop.mem, &c->received);
	arena_free(&c->arena);
	loop_free(&c->loop);
}

static int outcome(struct client *c, uint64_t timeout_ms)
{
	char name[REASON_NAME_MAX];
	char time[32];
	struct text t = text_in(time, sizeof(time) - 1);

	if (c->complete)
		return CLI_DONE;
	if (c->timed_out) {
		unit_duration_text(timeout_ms, &t);
		time[t.n] = '\0';
		snprintf(c->err, sizeof(c->err), "no answer within %s; --timeout waits longer", time);
		return CLI_TIMED_OUT;
	}
	snprintf(c->err, sizeof(c->err),
		"weir closed the connection before its answer was complete (" STR_FMT ")",
		STR_ARG(reason_name(c->why, name)));
	return CLI_FAILED;
}

/* Says nothing: what went wrong is in c->err. */
static int exchange(struct client *c, const struct client_options *o, const char *method, const char *path,
	json_t *body, const char *if_match, uint64_t timeout_ms)
{
	int status;

	signal(SIGPIPE, SIG_IGN);
	if (!loop_init(&c->loop)) {
		snprintf(c->err, sizeof(c->err), "no descriptors for an event loop");
		return CLI_FAILED;
	}
	arena_init(&c->arena, &c->loop.mem);
	c->patience.fire = on_patience_end;
	deadline_arm(&c->loop, &c->patience, (uint32_t)MIN(timeout_ms, UINT32_MAX));
	if (!client_link_open(&c->link, &c->loop, o, c->err, sizeof(c->err)) ||
		!client_link_wait(&c->link, c->err, sizeof(c->err))) {
		status = c->timed_out ? outcome(c, timeout_ms) : CLI_FAILED;
		hang_up(c);
		return status;
	}
	c->conn = h1_client(&c->link.transport, &limits, &conn_ops, c);
	c->stream = http_conn_open(c->conn, &stream_ops, c);
	MUST(c->stream);
	send_question(c, method, path, body, if_match);
	c->loop.stop = false;
	loop_run(&c->loop);
	status = outcome(c, timeout_ms);
	if (c->complete)
		keep_answer(c);
	hang_up(c);
	return status;
}

static int told(const struct client *c, int status)
{
	if (status != CLI_DONE)
		failed("%s", c->err);
	return status;
}

/* -- calls -- */

uint64_t client_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

bool client_timeout(const struct client_options *o, uint64_t *ms)
{
	*ms = CLIENT_TIMEOUT_MS;
	if (!o->timeout || unit_duration(str_of(o->timeout), ms))
		return true;
	failed("--timeout takes a duration such as 30s or 5m, not \"%s\"", o->timeout);
	return false;
}

static int ask(const struct client_options *o, const char *method, const char *path, json_t *body,
	const char *if_match, struct client_answer *a)
{
	struct client c = {.answer = a};
	uint64_t timeout_ms;

	*a = (struct client_answer){0};
	if (!client_timeout(o, &timeout_ms))
		return CLI_USAGE;
	return told(&c, exchange(&c, o, method, path, body, if_match, timeout_ms));
}

int client_ask(const struct client_options *o, const char *method, const char *path, json_t *body,
	struct client_answer *a)
{
	return ask(o, method, path, body, NULL, a);
}

bool client_try(
	const struct client_options *o, const char *path, uint64_t timeout_ms, struct client_answer *a)
{
	struct client c = {.answer = a};

	*a = (struct client_answer){0};
	return exchange(&c, o, "GET", path, NULL, NULL, timeout_ms) == CLI_DONE;
}

int client_problem(const struct client_answer *a)
{
	const char *detail = json_string_value(json_object_get(a->body, "detail"));

	if (a->status < 400)
		return CLI_DONE;
	if (detail)
		failed("%s", detail);
	else
		failed("weir answered %u", a->status);
	if (a->status == 401)
		fputs("weir: a token is given in WEIR_TOKEN\n", stderr);
	return a->status == 412 ? CLI_CONFLICT : CLI_FAILED;
}

int client_call_if(const struct client_options *o, const char *method, const char *path, json_t *body,
	const char *if_match, struct client_answer *a)
{
	int status = ask(o, method, path, body, if_match, a);

	if (status != CLI_DONE || a->status < 400)
		return status;
	if (o->json)
		client_print_json(a);
	return client_problem(a);
}

int client_call(const struct client_options *o, const char *method, const char *path, json_t *body,
	struct client_answer *a)
{
	return client_call_if(o, method, path, body, NULL, a);
}

void client_answer_free(struct client_answer *a)
{
	json_decref(a->body);
	free((char *)(uintptr_t)a->text.p);
	*a = (struct client_answer){0};
}

int client_follow(const struct client_options *o, const char *path,
	bool (*on_event)(void *ctx, struct str name, struct str data), void *ctx)
{
	struct client_answer a = {0};
	struct client c = {.answer = &a, .on_event = on_event, .ctx = ctx};
	int status = told(&c, exchange(&c, o, "GET", path, NULL, NULL, 0));

	if (status == CLI_DONE)
		status = client_problem(&a);
	client_answer_free(&a);
	return status;
}

bool client_reaches(const struct client_options *o)
{
	struct client_link link = {0};
	struct loop l;
	char err[512];
	bool there;

	if (!loop_init(&l))
		return true;
	there = client_link_open(&link, &l, o, err, sizeof(err)) && client_link_wait(&link, err, sizeof(err));
	client_link_close(&link);
	loop_run_tasks(&l);
	loop_free(&l);
	return there;
}

void client_print_json(const struct client_answer *a)
{
	fwrite(a->text.p, 1, a->text.n, stdout);
	if (a->text.n && a->text.p[a->text.n - 1] != '\n')
		putchar('\n');
}

char *client_encode(const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = malloc(strlen(text) * 3 + 1), *p = out;

	MUST(out);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			strchr("-._~", c)) {
			*p++ = (char)c;
			continue;
		}
		*p++ = '%';
		*p++ = hex[c >> 4];
		*p++ = hex[c & 15];
	}
	*p = '\0';
	return out;
}
