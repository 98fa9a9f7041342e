/* control/deploy.h - a new version comes into service: its backends are set, all of them become healthy, are warmed up, take over step by
 * step or at once, and the old ones drain. Whatever fails before the shift leaves the weights alone; what fails in it goes back.
 *
 *   SETTING   the pool gets its backends, and is opened, with a weight of 0
 *   CHECKING  until each backend has passed its checks
 *   WARMING   each is asked once more, now, and then gets its warm-up requests
 *   SHIFTING  shift.h's
 *   DONE, FAILED, ABORTED, ROLLED_BACK
 *
 * There is one a service, known by its key: what its caller calls it, or a digest of all that was asked for. Asked for again it is not done
 * again: who has lost his connection learns how it goes. It is stored, and goes on after a crash. */
#ifndef WEIR_CONTROL_DEPLOY_H
#define WEIR_CONTROL_DEPLOY_H

#include "control/probe.h"
#include "control/shift.h"

struct deploy;

enum deploy_state {
	DEPLOY_NONE, /* there is none yet */
	DEPLOY_BEGINNING, /* is being stored */
	DEPLOY_SETTING,
	DEPLOY_CHECKING,
	DEPLOY_WARMING,
	DEPLOY_SHIFTING,
	DEPLOY_DONE,
	DEPLOY_FAILED,
	DEPLOY_ABORTED,
	DEPLOY_ROLLED_BACK,
	DEPLOY_STATES
};

extern const char *const deploy_state_names[DEPLOY_STATES];

struct deploy_engine {
	struct control *control;
	struct map deploys; /* "acme/shop" -> struct deploy */
	struct list pending; /* what the store or the service is being changed for */
	struct deadline tick;
	bool stopped;
};

/* What is asked for. Borrowed. */
struct deploy_wish {
	const json_t *
		body; /* {"pool", "backends", "id", "healthy_within", "warm_up": {"path", "requests"}, "shift": a plan, "drain",
			       "drain_timeout"} */
	const char *author, *reason; /* NULL: not told */
	const char *const *ignored; /* members of the body that are somebody else's */
};

void deploy_init(struct deploy_engine *e, struct control *c);
void deploy_load(struct deploy_engine *e);
void deploy_stop(struct deploy_engine *e);
void deploy_free(struct deploy_engine *e);

/* The last one has ended, but a change that it asked for is still on its way: no other begins until control->shifts.changed is woken. */
bool deploy_is_unwinding(struct deploy_engine *e, struct str service);
/* Begins one, or joins the same one that is under way or done: then *joined, and done is not called. Otherwise as shift_begin(). */
void deploy_begin(struct deploy_engine *e, struct str service, const struct deploy_wish *wish,
	struct shift_answer *answer, bool *joined, void (*done)(void *ctx, const char *error), void *ctx);
void deploy_forget(struct deploy_engine *e, struct str service, void *ctx);
void deploy_abort(struct deploy_engine *e, struct str service, const char *author, const char *reason,
	struct shift_answer *answer);

static inline bool deploy_has_ended(enum deploy_state s)
{
	return s == DEPLOY_NONE || s >= DEPLOY_DONE;
}
/* Does one hold this service's weights and states, and (pool not NULL) the backends of that pool? text as shift_holds(). */
bool deploy_holds(const struct deploy_engine *e, struct str service, const char *pool, char *text);
/* The last one, with its shift; new reference, NULL: there was none. */
json_t *deploy_document(struct deploy_engine *e, struct str service);
/* Grows with all that happens to it and to its shift. */
uint64_t deploy_serial(struct deploy_engine *e, struct str service);

#endif
