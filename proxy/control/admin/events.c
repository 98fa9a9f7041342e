/* control/admin/events.c - what has happened, what happens next. */
#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"
#include "config/unit.h"
#include "control/admin/routes.h"
#include "control/control.h"

#define LIMIT_DEFAULT 500
#define PAGE          500 /* events that the store is asked for at once */

/* One reader. rq->mark is the number in the ring of the event that he has not seen; what is older than the ring comes from the store
 * first. Outside, events have the store's numbers, which go on over restarts. */

/* Where he begins. */
struct start {
	bool past; /* before the ring */
	uint64_t after; /* number; 0: the first */
	uint64_t since_ms; /* how long ago; 0: whenever */
};

/* What the store has said so far. */
struct past {
	struct admin_request *rq; /* NULL: he has gone; then the answer of the store ends this */
	int64_t after, before, since_ms;
	uint64_t limit, n; /* of his events */
	char *text; /* for those who want one document */
	size_t size;
	FILE *out;
};

static bool wanted(const struct admin_request *rq, const char *event, const char *about)
{
	struct str name = admin_query(rq, "name"), tenant = admin_query(rq, "tenant");

	if (name.n && !str_eq(name, str_of(event)))
		return false;
	if (tenant.n && !str_eq(tenant, str_of(about)))
		return false;
	return rq->caller.tenants.n == 0 || (*about && admin_sees(&rq->caller, str_of(about)));
}

/* ?since=: the number of the last event that was seen, or how long ago. Last-Event-ID is what a browser sends when it comes back. */
static bool find_start(struct admin_request *rq, struct start *start)
{
	const struct event_ring *ring = &rq->control->events;
	const struct field *id = fields_find_name(&rq->head.fields, STR("last-event-id"));
	struct str since = id ? field_value(id) : admin_query(rq, "since");
	uint64_t from = rq->control->store.numbered_from, n;

	rq->mark = ring->first;
	if (!since.n) {
		if (rq->wants_stream)
			rq->mark = ring->next;
	} else if (str_to_u64(since, &n)) {
		/* A number that is yet to come is one of a weir that was here before. */
		if (n >= from + ring->first && n < from + ring->next)
			rq->mark = n - from + 1;
		else if (n + 1 < from + ring->first)
			*start = (struct start){.past = true, .after = n};
	} else if (unit_duration(since, &n)) {
		rq->mark = event_ring_since(ring, n);
		if (rq->mark == ring->first)
			*start = (struct start){.past = true, .since_ms = n};
	} else {
		admin_problem(rq, 400, "query",
			"\"since\" must be the number of an event, or a duration such as 1h");
		return false;
	}
	return true;
}

/* Passes over what is not wanted; NULL: there is nothing new. */
static const struct event_entry *next_wanted(struct admin_request *rq)
{
	const struct event_entry *e;

	while ((e = event_ring_from(&rq->control->events, rq->mark)) && !wanted(rq, e->name, e->tenant))
		rq->mark = e->number + 1;
	return e;
}

static unsigned long long number_of(const struct admin_request *rq, uint64_t in_ring)
{
	return (unsigned long long)(rq->control->store.numbered_from + in_ring);
}

/* Everything that came up to the limit, as one document; past: with what came before the ring, NULL: nothing did. */
static void answer_list(struct admin_request *rq, const struct past *past, uint64_t limit)
{
	const struct event_entry *e;
	uint64_t n = past ? past->n : 0;
	unsigned long long last;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	MUST(out);
	fprintf(out, "{\"events\": [%s", past ? past->text : "");
	for (; n < limit && (e = next_wanted(rq)); n++) {
		fprintf(out, "%s{\"number\":%llu,%.*s", n ? ",\n" : "\n", number_of(rq, e->number), (int)e->n,
			e->text);
		rq->mark = e->number + 1;
	}
	/* Cut off in the past, he goes on there. */
	last = past && past->n == limit ? (unsigned long long)past->after : number_of(rq, rq->mark - 1);
	fprintf(out, "],\n\"last\": %llu}\n", last);
	MUST(fclose(out) == 0);
	admin_answer_text(rq, "application/json", (struct str){text, size});
	free(text);
}

static void push(struct admin_request *rq)
{
	const struct event_entry *e;

	while ((e = next_wanted(rq))) {
		char *text;
		int n = asprintf(
			&text, "{\"number\":%llu,%.*s", number_of(rq, e->number), (int)e->n, e->text);
		bool sent;

		MUST(n > 0);
		rq->mark = e->number + 1;
		sent = admin_stream_send(
			rq, number_of(rq, e->number), e->name, (struct str){text, (size_t)n});
		free(text);
		if (!sent)
			return;
	}
	admin_wait_on(rq, &rq->control->events.changed);
}

/* -- what is older than the ring -- */

static void past_free(struct past *p)
{
	fclose(p->out);
	free(p->text);
	free(p);
}

/* One of the store's. False: the reader of a stream has been cut off. */
static bool past_take(struct past *p, json_t *event)
{
	const char *name = json_string_value(json_object_get(event, "event"));
	char about[64], *text;
	bool sent = true;

	p->after = json_integer_value(json_object_get(event, "number"));
	event_tenant(event, about, sizeof(about));
	if (!name || !wanted(p->rq, name, about))
		return true;
	text = json_dumps(event, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(EVENT_DIGITS));
	MUST(text);
	if (p->rq->wants_stream)
		sent = admin_stream_send(p->rq, (uint64_t)p->after, name, str_of(text));
	else
		fprintf(p->out, "%s%s", p->n ? ",\n" : "\n", text);
	p->n++;
	free(text);
	return sent;
}

static void past_end(struct past *p)
{
	struct admin_request *rq = p->rq;

	rq->gone = NULL;
	rq->user = NULL;
	fflush(p->out);
	if (rq->wants_stream)
		push(rq);
	else if (p->n || next_wanted(rq) || !admin_wait(rq, &rq->control->events.changed))
		answer_list(rq, p, p->limit);
	past_free(p);
}

static void on_past(void *ctx, json_t *events, const char *error);

static void past_ask(struct past *p)
{
	store_events(&p->rq->control->store, p->after, p->before, p->since_ms, PAGE, on_past, p);
}

/* A store that cannot be read has said so already: then there is what the ring has. */
static void on_past(void *ctx, json_t *events, const char *error)
{
	struct past *p = ctx;
	size_t n = error ? 0 : json_array_size(events);

	for (size_t i = 0; i < n && p->rq && (p->rq->wants_stream || p->n < p->limit); i++)
		past_take(p, json_array_get(events, i));
	json_decref(events);
	if (!p->rq)
		past_free(p);
	else if (n == PAGE && (p->rq->wants_stream || p->n < p->limit))
		past_ask(p);
	else
		past_end(p);
}

static void on_gone(struct admin_request *rq)
{
	struct past *p = rq->user;

	p->rq = NULL;
}

static void past_begin(struct admin_request *rq, const struct start *start, uint64_t limit)
{
	struct past *p = calloc(1, sizeof(*p));

	MUST(p);
	p->out = open_memstream(&p->text, &p->size);
	MUST(p->out);
	p->rq = rq;
	p->after = (int64_t)MIN(start->after, (uint64_t)INT64_MAX);
	p->before = (int64_t)number_of(rq, rq->mark);
	p->since_ms = start->since_ms ? MAX(state_wall_ms() - (int64_t)start->since_ms, 1) : 0;
	p->limit = limit;
	rq->user = p;
	rq->gone = on_gone;
	past_ask(p);
}

static void events(struct admin_request *rq)
{
	uint64_t limit = LIMIT_DEFAULT;
	struct start start = {0};

	if (!rq->woken && !find_start(rq, &start))
		return;
	if (!admin_query_u64(rq, "limit", &limit))
		return;
	if (rq->wants_stream && !rq->woken)
		admin_stream_begin(rq);
	if (rq->wants_stream && rq->head.method_id == METHOD_HEAD)
		return;
	if (start.past)
		past_begin(rq, &start, limit);
	else if (rq->wants_stream)
		push(rq);
	else if (next_wanted(rq) || !admin_wait(rq, &rq->control->events.changed))
		answer_list(rq, NULL, limit);
}

static const struct admin_param parameters[] = {
	{"since", "string", "the number of the last event that was seen, or how long ago: 1h"},
	{"name", "string", "only events of this name"},
	{"tenant", "string", "only events about this tenant"},
	{"limit", "integer", "at most so many; 500"},
	{"wait", "duration", "while there is none, wait so long for one"},
	{.name = NULL},
};

const struct admin_route event_routes[] = {
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.streams = true,
		.path = "/v1/events",
		.summary = "What has happened, oldest first; with Accept: text/event-stream, what happens "
			   "from now on",
		.query = parameters,
		.response = "{\"type\": \"object\", \"required\": [\"events\", \"last\"], \"properties\": "
			    "{\"events\": "
			    "{\"type\": \"array\", \"items\": {\"type\": \"object\"}}, \"last\": {\"type\": "
			    "\"integer\"}}}",
		.handle = events},
	{.path = NULL},
};
