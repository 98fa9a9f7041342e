/* control/admin/events.c - what has happened, what happens next. */
#include <stdlib.h>
#include "base/obj.h"
#include "config/unit.h"
#include "control/admin/routes.h"
#include "control/control.h"

#define LIMIT_DEFAULT 500

/* One reader. rq->mark is the number of the event that he has not seen. */

static bool wanted(const struct admin_request *rq, const struct event_entry *e)
{
	struct str name = admin_query(rq, "name"), tenant = admin_query(rq, "tenant");

	if (name.n && !str_eq(name, str_of(e->name)))
		return false;
	if (tenant.n && !str_eq(tenant, str_of(e->tenant)))
		return false;
	return rq->caller.tenants.n == 0 || (e->tenant[0] && admin_sees(&rq->caller, str_of(e->tenant)));
}

/* ?since=: the number of the last event that was seen, or how long ago. Last-Event-ID is what a browser sends when it comes back. */
static bool find_start(struct admin_request *rq)
{
	const struct event_ring *ring = &rq->control->events;
	const struct field *id = fields_find_name(&rq->head.fields, STR("last-event-id"));
	struct str since = id ? field_value(id) : admin_query(rq, "since");
	uint64_t n;

	rq->mark = ring->first;
	if (!since.n) {
		if (rq->wants_stream)
			rq->mark = ring->next;
	} else if (str_to_u64(since, &n)) {
		/* A number that is yet to come is one of a weir that was here before. */
		rq->mark = n < ring->next ? n + 1 : ring->first;
	} else if (unit_duration(since, &n)) {
		rq->mark = event_ring_since(ring, n);
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

	while ((e = event_ring_from(&rq->control->events, rq->mark)) && !wanted(rq, e))
		rq->mark = e->number + 1;
	return e;
}

/* Everything new, up to the limit, as one document. */
static void answer_list(struct admin_request *rq, uint64_t limit)
{
	size_t cap = rq->control->events.bytes + (EVENT_RING_ENTRIES + 64) * 2;
	struct text t = text_in(malloc(cap), cap);
	const struct event_entry *e;

	MUST(t.p);
	text_put(&t, STR("{\"events\": ["));
	for (uint64_t n = 0; n < limit && (e = next_wanted(rq)); n++) {
		text_put(&t, n ? STR(",\n") : STR("\n"));
		text_put(&t, (struct str){e->text, e->n});
		rq->mark = e->number + 1;
	}
	text_fmt(&t, "],\n\"last\": %llu}\n", (unsigned long long)rq->mark - 1);
	MUST(!t.cut);
	admin_answer_text(rq, "application/json", text_str(&t));
	free(t.p);
}

static void push(struct admin_request *rq)
{
	const struct event_entry *e;

	while ((e = next_wanted(rq))) {
		rq->mark = e->number + 1;
		if (!admin_stream_send(rq, e->number, e->name, (struct str){e->text, e->n}))
			return;
	}
	admin_wait_on(rq, &rq->control->events.changed);
}

static void events(struct admin_request *rq)
{
	uint64_t limit = LIMIT_DEFAULT;

	if (!rq->woken && !find_start(rq))
		return;
	if (!admin_query_u64(rq, "limit", &limit))
		return;
	if (rq->wants_stream) {
		if (!rq->woken)
			admin_stream_begin(rq);
		if (rq->head.method_id != METHOD_HEAD)
			push(rq);
		return;
	}
	if (next_wanted(rq) || !admin_wait(rq, &rq->control->events.changed))
		answer_list(rq, limit);
}

static const struct admin_param parameters[] = {
	{"since", "string", "the number of the last event that was seen, or how long ago: 1h"},
	{"name", "string", "only events of this name"},
	{"tenant", "string", "only events about this tenant"},
	{"limit", "integer", "at most so many; 500"},
	{"wait", "duration", "while there is none, wait so long for one"},
	{NULL},
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
