/* control/shift_run.h - one shift as it runs: between shift.c, shift_watch.c and shift_ask.c.
 *
 * What must outlive the process is in doc; everything else begins anew after a start. */
#ifndef WEIR_CONTROL_SHIFT_RUN_H
#define WEIR_CONTROL_SHIFT_RUN_H

#include "control/shift.h"

struct conf_service;
struct pool;
struct shift_window;

/* doc: {"id", "serial", "state", "why", "service", "pool", "from", "plan", "base": {pool: weight}, "weights": {pool: weight} that should be in
 * force, "step": taken so far, "steps", "share" in percent, "author", "reason", "started_ms", "changed_ms", "ending", "baseline", "verdict",
 * "deploy", "log": [...]} */
struct shift {
	struct shift_engine *engine;
	char *key; /* "acme/shop" */
	uint8_t state; /* enum shift_state */
	json_t *doc; /* NULL: none yet */
	json_t *before; /* while BEGINNING: what doc was */
	struct shift_plan plan; /* its texts are doc's */
	uint64_t turn; /* counts states: what answers an earlier one is late */
	uint32_t jobs; /* runtime changes that are under way */
	bool loaded; /* from the store, and has not gone on yet */
	bool pause_wanted; /* as soon as the step is taken */
	uint64_t step_ms; /* when the step came into force */
	uint64_t ask_ms; /* not before */
	uint64_t drain_ms; /* when draining began */
	struct shift_window *window; /* while it runs */
	struct fetching *question; /* to a judge */
	bool asked_hook; /* who has passed it */
	void (*begun)(void *ctx, const char *error);
	void *begun_ctx;
};

/* -- shift.c -- */
/* Everything has passed at the end of the window: the next step, or the end. */
void shift_advance(struct shift *s);
void shift_set_state(struct shift *s, enum shift_state to, const char *why);
/* The same, and stores it: nothing is waited for. */
void shift_move(struct shift *s, enum shift_state to, const char *why);
/* then (may be NULL) is called if the state is still this one. What cannot be stored now is with the next state. */
void shift_save(struct shift *s, void (*then)(struct shift *s, const char *error));
/* Taken so far; those that the pool had already when it began: they are passed over, for users only move forwards. */
uint32_t shift_step(const struct shift *s);
uint32_t shift_first(const struct shift *s);
/* That many steps, and what comes with it: the share and the weights. */
void shift_set_step(struct shift *s, uint32_t step);
/* If the gates are open. promoted: whatever the schedule says. */
void shift_next_step(struct shift *s, bool promoted);
const char *shift_text(const struct shift *s, const char *name);
uint8_t shift_state_in(const json_t *doc);
void shift_tick_soon(struct shift_engine *e);
/* NULL: there is none. */
struct shift *shift_find(const struct shift_engine *e, struct str service);
/* Made if it is new. */
struct shift *shift_of(struct shift_engine *e, struct str service);
uint64_t shift_now_ms(const struct shift *s);

/* Changes the service, in the name of the shift; then is called if the state is still this one. weights, states: borrowed, may be NULL.
 * must: though nobody would be left to serve. */
void shift_change(struct shift *s, json_t *weights, json_t *states, bool must,
	void (*then)(struct shift *s, const struct runtime_result *r));
/* Is it so now, whoever has made it so? */
static inline bool shift_change_holds(const struct runtime_result *r)
{
	return r->outcome <= CHANGE_RENEWED;
}

/* -- shift_end.c -- */
/* All steps have been taken. */
void shift_complete(struct shift *s);
/* In DRAINING: the old pool is told to, and (the look) is closed once it has run empty or its time is over. */
void shift_begin_draining(struct shift *s);
void shift_look_at_draining(struct shift *s);
/* The weights are put back, then it ends so. */
void shift_return(struct shift *s, enum shift_state ending, const char *why);
/* In RETURNING: tries it (again). */
void shift_put_back(struct shift *s);

/* -- shift_watch.c: windows and gates -- */
/* A new window begins now. */
void shift_mark(struct shift *s);
/* What the guards say of the window so far; the evidence goes into *evidence (new reference) if it is not NULL. */
void shift_judge_window(struct shift *s, struct guard_verdict *v, json_t **evidence);
/* What the old pool is like, for when it gets nobody any more. */
void shift_keep_baseline(struct shift *s);
void shift_window_free(struct shift *s);
/* May the next step be taken? why (n bytes): why not. */
bool shift_gate_open(const struct shift *s, bool promoted, char *why, size_t n);
/* Can the pool carry what it gets: are enough of its backends healthy? */
bool shift_pool_ready(const struct control *c, const char *service, const char *pool, char *why, size_t n);
/* Requests that are with the old pools now. */
uint64_t shift_in_flight(const struct shift *s);
/* Has somebody else changed the weights, or taken the pool away? */
bool shift_overridden(const struct shift *s, const json_t *expected, char *why, size_t n);
const struct pool *shift_find_pool(const struct control *c, const char *service, const char *pool);

/* -- shift_ask.c -- */
static inline bool shift_has_judges(const struct shift *s)
{
	return s->plan.judge.hook || s->plan.judge.prometheus;
}
/* In JUDGING: asks those outside, one after the other. */
void shift_ask(struct shift *s);

#endif
