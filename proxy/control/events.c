#include "control/events.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"

static struct event_entry *entry_of(const struct event_ring *r, uint64_t number)
{
	return (struct event_entry *)&r->v[number % EVENT_RING_ENTRIES];
}

void event_ring_init(struct event_ring *r, struct loop *l)
{
	*r = (struct event_ring){.loop = l, .first = 1, .next = 1};
	admin_topic_init(&r->changed, l);
}

static void forget_oldest(struct event_ring *r)
{
	struct event_entry *e = entry_of(r, r->first++);

	r->bytes -= e->n;
	free(e->text);
	e->text = NULL;
}

void event_ring_free(struct event_ring *r)
{
	while (r->first < r->next)
		forget_oldest(r);
}

void event_tenant(const json_t *event, char *out, size_t cap)
{
	static const char *const members[] = {"tenant", "service", "pool", "backend"};
	const char *value = NULL;

	for (size_t i = 0; i < COUNT_OF(members) && !value; i++)
		value = json_string_value(json_object_get(event, members[i]));
	snprintf(out, cap, "%.*s", value ? (int)strcspn(value, "/") : 0, value ? value : "");
}

void event_ring_add(struct event_ring *r, struct str line)
{
	struct event_entry *e = entry_of(r, r->next);
	json_t *event = json_loadb(line.p, line.n, 0, NULL);
	const char *name = json_string_value(json_object_get(event, "event"));

	if (r->next - r->first == EVENT_RING_ENTRIES)
		forget_oldest(r);
	while (r->first < r->next && r->bytes + line.n > EVENT_RING_BYTES)
		forget_oldest(r);
	*e = (struct event_entry){.number = r->next++, .at_ms = r->loop->now_ms};
	snprintf(e->name, sizeof(e->name), "%s", name ? name : "");
	event_tenant(event, e->tenant, sizeof(e->tenant));
	json_decref(event);
	e->n = (uint32_t)(line.n - 1);
	e->text = strndup(line.p + 1, e->n);
	MUST(e->text);
	r->bytes += e->n;
	admin_topic_wake(&r->changed);
}

const struct event_entry *event_ring_from(const struct event_ring *r, uint64_t number)
{
	number = MAX(number, r->first);
	return number < r->next ? entry_of(r, number) : NULL;
}

uint64_t event_ring_since(const struct event_ring *r, uint64_t ms)
{
	uint64_t number = r->next;

	while (number > r->first && entry_of(r, number - 1)->at_ms + ms >= r->loop->now_ms)
		number--;
	return number;
}
