#include "control/handover.h"

#include "base/obj.h"
#include "control/control.h"

#define GENERATION "generation"
#define EVENTS     "last_event"

static json_t *save_generation(struct control *c)
{
	return c->snapshot ? json_integer((json_int_t)c->snapshot->generation) : NULL;
}

/* handover_generation() and handover_last_event() are asked before there is a snapshot. */
static void load_before(struct control *c, const json_t *v)
{
	(void)c;
	(void)v;
}

uint64_t handover_generation(const json_t *sections)
{
	json_int_t generation = json_integer_value(json_object_get(sections, GENERATION));

	return generation > 0 ? (uint64_t)generation : 0;
}

/* Numbers of events that may not be on the disk yet. */
static json_t *save_events(struct control *c)
{
	return json_integer((json_int_t)(c->store.numbered_from + c->events.next - 1));
}

uint64_t handover_last_event(const json_t *sections)
{
	json_int_t last = json_integer_value(json_object_get(sections, EVENTS));

	return last > 0 ? (uint64_t)last : 0;
}

/* Clients go on with the session tickets that they have. */
static json_t *save_tickets(struct control *c)
{
	char text[TICKET_TEXT_MAX];
	struct str keys = ticket_keys_text(c->keys, text);

	return json_pack(
		"{s:s%, s:I}", "keys", keys.p, keys.n, "rotate_at_ms", (json_int_t)c->key_rotation.at_ms);
}

static void load_tickets(struct control *c, const json_t *v)
{
	const json_t *text = json_object_get(v, "keys");
	json_int_t at_ms = json_integer_value(json_object_get(v, "rotate_at_ms"));
	struct ticket_keys *keys =
		ticket_keys_parse((struct str){json_string_value(text), json_string_length(text)});

	if (!keys)
		return;
	ticket_keys_unref(c->keys);
	c->keys = keys;
	if (at_ms > (json_int_t)c->loop.now_ms && at_ms < (json_int_t)c->key_rotation.at_ms)
		deadline_arm(&c->loop, &c->key_rotation, (uint32_t)((uint64_t)at_ms - c->loop.now_ms));
}

static json_t *save_health(struct control *c)
{
	return health_save(&c->health);
}

static void load_health(struct control *c, const json_t *v)
{
	health_load(&c->health, v);
}

static json_t *save_outliers(struct control *c)
{
	return outlier_save(&c->outliers);
}

static void load_outliers(struct control *c, const json_t *v)
{
	outlier_load(&c->outliers, v);
}

static const struct handover_section sections[] = {
	{GENERATION, save_generation, load_before},
	{EVENTS, save_events, load_before},
	{"tickets", save_tickets, load_tickets},
	{"health", save_health, load_health},
	{"outliers", save_outliers, load_outliers},
};

json_t *handover_save(struct control *c)
{
	json_t *all = json_object();

	for (size_t i = 0; i < COUNT_OF(sections); i++) {
		json_t *v = sections[i].save(c);

		if (v)
			json_object_set_new(all, sections[i].name, v);
	}
	return all;
}

void handover_load(struct control *c, const json_t *all)
{
	for (size_t i = 0; i < COUNT_OF(sections); i++) {
		const json_t *v = json_object_get(all, sections[i].name);

		if (v)
			sections[i].load(c, v);
	}
}
