/* control/deploy_run.h - one deploy as it runs: between deploy.c, deploy_begin.c and deploy_warm.c. */
#ifndef WEIR_CONTROL_DEPLOY_RUN_H
#define WEIR_CONTROL_DEPLOY_RUN_H

#include "control/deploy.h"

#define DEPLOY_KIND "deploy"

struct pool;

/* doc: {"id", "key", "serial", "state", "why", "service", "pool", "backends", "plan", "healthy_within_ms", "warm_path", "warm_requests",
 * "author", "reason", "started_ms", "changed_ms", "timed_out", "log"} */
struct deploy {
	struct deploy_engine *engine;
	char *service; /* "acme/shop" */
	uint8_t state; /* enum deploy_state */
	json_t *doc; /* NULL: none yet */
	json_t *before; /* while BEGINNING: what doc was */
	uint64_t turn; /* counts states: what answers an earlier one is late */
	uint32_t jobs; /* runtime changes that are under way */
	bool loaded; /* from the store, and has not gone on yet */
	uint64_t give_up_ms; /* on being healthy */
	uint64_t look_again_ms; /* a last look has failed, and there is none before that; 0: none has */
	/* -- WARMING -- */
	struct probe *probe;
	struct task next; /* the next question */
	struct snapshot *snapshot; /* held: the probe's texts are its */
	uint32_t backend, asked; /* the one that is being asked, how often it was */
	/* -- */
	void (*begun)(void *ctx, const char *error);
	void *begun_ctx;
};

/* -- deploy.c -- */
void deploy_set_state(struct deploy *d, enum deploy_state to, const char *why);
/* The same, and stores it; then (may be NULL) is called if the state is still this one. */
void deploy_move(struct deploy *d, enum deploy_state to, const char *why,
	void (*then)(struct deploy *d, const char *error));
/* Not every backend was healthy in time. */
void deploy_late(struct deploy *d, const char *why);
const char *deploy_text(const struct deploy *d, const char *name);
struct deploy *deploy_find(const struct deploy_engine *e, struct str service);
struct deploy *deploy_of(struct deploy_engine *e, struct str service);
uint8_t deploy_state_in(const json_t *doc);
/* The backends are set. */
void deploy_set_backends(struct deploy *d, const char *error);
/* All are healthy and warm. */
void deploy_shift(struct deploy *d);

/* -- deploy_warm.c -- */
/* Have all backends passed their checks? why (n bytes): who has not. */
bool deploy_all_healthy(const struct deploy *d, char *why, size_t n);
void deploy_warm(struct deploy *d);
void deploy_warm_end(struct deploy *d);

#endif
