/* modules/ratelimit_fleet.h - rules that all nodes keep together: their buckets are in Redis, where one script takes from all that a
 * request needs, or from none. The clock is Redis's, so that nodes need not agree on the time. */
#ifndef WEIR_MODULES_RATELIMIT_FLEET_H
#define WEIR_MODULES_RATELIMIT_FLEET_H

#include "ratelimit.h"

#define FLEET_SHA_CHARS 40

/* For one place of the configuration. Const but for the counts; control makes and frees it. */
struct ratelimit_fleet {
	struct arena arena; /* its texts: it may outlive the configuration that it was made for */
	struct redis_conf redis;
	struct str prefix; /* of keys: the configuration's, and the place */
	size_t prefix_conf_n; /* of it, the configuration's */
	char sha[FLEET_SHA_CHARS + 1]; /* the script's name */
	_Atomic uint64_t asked, failed;
	struct dependency state;
};

/* NULL: no rule is counted in Redis. */
struct ratelimit_fleet *ratelimit_fleet_new(const struct ratelimit *conf, struct str place);
/* NULL is fine. */
void ratelimit_fleet_free(struct ratelimit_fleet *f);
/* Would conf make the same? */
bool ratelimit_fleet_is(const struct ratelimit_fleet *f, const struct ratelimit *conf);

/* What is asked for one request. In its arena, zeroed. */
struct fleet_ask {
	struct redis_call call;
	struct redis *redis;
	/* Once; problem NULL: there is an answer. Never from within fleet_ask_send(). */
	void (*done)(struct fleet_ask *a, const char *problem);
	void *ctx;
	uint32_t n; /* rules */
	struct str keys[RATELIMIT_RULES_MAX], args[RATELIMIT_RULES_MAX][3];
	uint64_t each_us[RATELIMIT_RULES_MAX],
		depth_us[RATELIMIT_RULES_MAX]; /* what a token and the whole bucket are worth */
	const char *sha;
	bool whole; /* Redis did not know the script, and was sent it */
	/* The answer: how long until there is a token, 0: one was taken, if from all; and until the bucket is full. */
	uint64_t wait_us[RATELIMIT_RULES_MAX], lacks_us[RATELIMIT_RULES_MAX];
};

/* key: whom the rule counts the request for. Copied to arena. */
void fleet_ask_add(struct fleet_ask *a, struct arena *arena, const struct ratelimit_fleet *f,
	const struct ratelimit_rule *r, struct str key);
/* NULL: done follows. Else why it cannot be asked. */
const char *fleet_ask_send(struct fleet_ask *a, struct ratelimit_fleet *f, struct redis *redis);

#endif
