/* control/shift.h - users move from one pool of a service to another, step by step, for as long as the new one is good enough; and back at
 * once when it is not.
 *
 *   STEPPING      the next step is stored, then applied; workers do not all follow yet
 *   OBSERVING     the window runs: guards may fail it at any moment, and pass it at its end
 *   INCONCLUSIVE  its time is over, but there were too few requests, or a judge has no answer: held
 *   JUDGING       its guards have passed; those outside are asked
 *   WAITING       the next step may not be taken now: the schedule, the capacity of the pool, the store
 *   PAUSED        by somebody; guards still judge
 *   RETURNING     the weights are being put back: a guard has failed, or somebody has aborted it
 *   DRAINING      the pool has all; the old one runs empty, then it is closed
 *   DONE, ABORTED, ROLLED_BACK
 *
 * There is one shift a service. It is stored before its step is applied, and goes on after a crash, a reload or an upgrade from the last
 * step that was stored, with a new window. Whoever changes the weights beside it (the file, somebody with force) ends it: they stay as he
 * has set them. */
#ifndef WEIR_CONTROL_SHIFT_H
#define WEIR_CONTROL_SHIFT_H

#include "control/admin/admin.h"
#include "control/shift_plan.h"
#include "http/fetcher.h"

struct control;
struct shift;

enum shift_state {
	SHIFT_NONE, /* there is none yet */
	SHIFT_BEGINNING, /* is being stored; nothing has changed */
	SHIFT_STEPPING,
	SHIFT_OBSERVING,
	SHIFT_INCONCLUSIVE,
	SHIFT_JUDGING,
	SHIFT_WAITING,
	SHIFT_PAUSED,
	SHIFT_RETURNING,
	SHIFT_DRAINING,
	SHIFT_DONE,
	SHIFT_ABORTED,
	SHIFT_ROLLED_BACK,
	SHIFT_STATES
};

extern const char *const shift_state_names[SHIFT_STATES];

/* All of them; control's. */
struct shift_engine {
	struct control *control;
	struct fetcher *fetcher; /* asks judges outside */
	struct map shifts; /* "acme/shop" -> struct shift */
	struct admin_topic changed; /* some shift or deploy has a new state */
	struct deadline tick;
	struct list saving, changing; /* what is under way */
	uint64_t ended[SHIFT_STATES]; /* since the start, for metrics: of DONE, ABORTED, ROLLED_BACK */
	bool stopped;
};

/* How a wish was taken. */
enum shift_outcome {
	SHIFT_TAKEN,
	SHIFT_BAD, /* malformed, or makes no sense */
	SHIFT_UNKNOWN, /* there is no such service, pool or shift */
	SHIFT_HELD, /* another one is under way */
	SHIFT_NOT_NOW, /* its state does not allow that */
	SHIFT_UNSTORED, /* it could not be stored: nothing has begun */
};

#define SHIFT_TEXT 1024

struct shift_answer {
	uint8_t outcome; /* enum shift_outcome */
	char text[SHIFT_TEXT]; /* why not */
};

/* Why not; false. */
__attribute__((format(printf, 3, 4))) bool shift_refuse(
	struct shift_answer *a, enum shift_outcome outcome, const char *fmt, ...);

enum shift_action { SHIFT_PAUSE, SHIFT_RESUME, SHIFT_PROMOTE, SHIFT_ABORT, SHIFT_ACTIONS };

extern const char *const shift_action_names[SHIFT_ACTIONS];

/* What is asked for. Borrowed. */
struct shift_wish {
	const json_t *plan; /* shift_plan.h */
	const char *author, *reason; /* NULL: not told */
	const char *deploy; /* the id of the deploy that it belongs to; NULL: none */
	const char *const *ignored; /* members of the plan that are somebody else's */
};

void shift_init(struct shift_engine *e, struct control *c);
/* The documents have been read: those that were under way go on once the configuration is served. */
void shift_load(struct shift_engine *e);
/* Nothing moves any more. */
void shift_stop(struct shift_engine *e);
/* After the I/O thread has ended and its mail was delivered. */
void shift_free(struct shift_engine *e);

/* Begins one, if nothing speaks against it. done comes once it is stored, or could not be; never from within this call, and not at all unless
 * TAKEN. */
void shift_begin(struct shift_engine *e, struct str service, const struct shift_wish *wish,
	struct shift_answer *answer, void (*done)(void *ctx, const char *error), void *ctx);
/* Who waits for done of that service has gone. */
void shift_forget(struct shift_engine *e, struct str service, void *ctx);
void shift_act(struct shift_engine *e, struct str service, enum shift_action action, const char *author,
	const char *reason, struct shift_answer *answer);

/* The state of the last one; NONE: there was none. */
enum shift_state shift_state(const struct shift_engine *e, struct str service);
static inline bool shift_has_ended(enum shift_state s)
{
	return s == SHIFT_NONE || s >= SHIFT_DONE;
}
/* Does one hold the weights of this service? text (SHIFT_TEXT bytes) says which, and what to do. */
bool shift_holds(const struct shift_engine *e, struct str service, char *text);
/* The last one, as of now; new reference, NULL: there was none. */
json_t *shift_document(struct shift_engine *e, struct str service);
/* Of the last one; may be NULL. Borrowed. */
const json_t *shift_stored(const struct shift_engine *e, struct str service);
/* Is the shift under way one to that pool? Its share then, 0 to SHIFT_WHOLE, or -1. */
int shift_share_now(const struct shift_engine *e, struct str pool_key, enum shift_state *state);

#endif
