/* control/shift_end.c - how a shift ends: the old pool runs empty and is closed, or the weights go back to what they were. */
#include <stdio.h>
#include "base/obj.h"
#include "control/control.h"
#include "control/shift_run.h"

/* -- forwards: the old pool is not needed any more -- */

static void on_closed(struct shift *s, const struct runtime_result *r)
{
	if (shift_change_holds(r))
		shift_move(s, SHIFT_DONE, "all new users are there; the old pool has drained and is closed");
	else if (r->outcome == CHANGE_UNKNOWN)
		shift_move(s, SHIFT_DONE, r->text);
}

/* The other pools that could take users, in that state. */
static json_t *states_of_others(const struct shift *s, const char *state)
{
	json_t *states = json_object(), *weight;
	const char *name;

	json_object_foreach(json_object_get(s->doc, "base"), name, weight)
	{
		if (strcmp(name, s->plan.pool) != 0)
			json_object_set_new(states, name, json_string(state));
	}
	return states;
}

static void set_others(
	struct shift *s, const char *state, void (*then)(struct shift *s, const struct runtime_result *r))
{
	json_t *states = states_of_others(s, state);

	shift_change(s, NULL, states, false, then);
	json_decref(states);
}

static void on_draining(struct shift *s, const struct runtime_result *r)
{
	/* Else it is tried again at the next look. */
	if (shift_change_holds(r))
		s->drain_ms = MAX(shift_now_ms(s), 1u);
}

void shift_begin_draining(struct shift *s)
{
	set_others(s, "draining", on_draining);
}

static void on_drain_stored(struct shift *s, const char *error)
{
	(void)error;
	shift_begin_draining(s);
}

void shift_complete(struct shift *s)
{
	if (!s->plan.drain) {
		shift_move(s, SHIFT_DONE, "the last step has been taken");
		return;
	}
	s->drain_ms = 0;
	shift_set_state(s, SHIFT_DRAINING, "all new users are there; the old pool drains");
	shift_save(s, on_drain_stored);
}

void shift_look_at_draining(struct shift *s)
{
	bool over;

	if (s->jobs)
		return;
	if (!s->drain_ms) {
		shift_begin_draining(s);
		return;
	}
	over = shift_now_ms(s) >= s->drain_ms + s->plan.drain_ms;
	if (over || shift_in_flight(s) == 0)
		set_others(s, "closed", on_closed);
}

/* -- back -- */

static void on_returned(struct shift *s, const struct runtime_result *r)
{
	const char *ending = shift_text(s, "ending");
	enum shift_state end = ending && strcmp(ending, "aborted") == 0 ? SHIFT_ABORTED : SHIFT_ROLLED_BACK;
	char why[SHIFT_TEXT];

	snprintf(why, sizeof(why), "%s", shift_text(s, "why"));
	if (shift_change_holds(r) || r->outcome == CHANGE_UNKNOWN)
		shift_move(s, end, why);
}

void shift_put_back(struct shift *s)
{
	json_t *base = json_object_get(s->doc, "base");
	json_t *states =
		json_is_true(json_object_get(s->doc, "drained")) ? states_of_others(s, "open") : NULL;

	shift_change(s, base, states, true, on_returned);
	json_decref(states);
}

static void on_return_stored(struct shift *s, const char *error)
{
	(void)error; /* it goes back all the same */
	shift_put_back(s);
}

void shift_return(struct shift *s, enum shift_state ending, const char *why)
{
	if (s->state == SHIFT_DRAINING)
		json_object_set_new(s->doc, "drained", json_true());
	json_object_set_new(s->doc, "ending", json_string(shift_state_names[ending]));
	json_object_set(s->doc, "weights", json_object_get(s->doc, "base"));
	json_object_set_new(s->doc, "share",
		json_real(shift_share(json_object_get(s->doc, "base"), s->plan.pool) / 100.0));
	shift_set_state(s, SHIFT_RETURNING, why);
	shift_save(s, on_return_stored);
}
