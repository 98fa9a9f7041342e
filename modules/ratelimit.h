/* modules/ratelimit.h - the rules of module ratelimit as the configuration gives them, and what is made of them. */
#ifndef WEIR_MODULES_RATELIMIT_H
#define WEIR_MODULES_RATELIMIT_H

#include "ratelimit_table.h"

struct ratelimit_fleet;

#define RATELIMIT_RULES_MAX 16
#define RATELIMIT_KEY_MAX   512 /* of what is longer there is a digest */

struct ratelimit_rule {
	struct str name; /* the first member: it lies in a map */
	uint32_t rate, per, burst; /* requests; ms; requests, 0: as many as rate */
	struct conf_strs by;
	uint8_t ipv6_prefix;
	uint32_t entries;
	bool fleet; /* counted in Redis */
	bool dry_run;
};

/* What a rule of the fleet comes to while Redis cannot be asked. */
enum ratelimit_failure { RATELIMIT_LOCAL, RATELIMIT_ALLOW, RATELIMIT_DENY };

/* Where the rules of the fleet are counted. */
struct ratelimit_redis {
	bool on;
	uint8_t on_failure; /* enum ratelimit_failure */
	struct redis_conf server;
	struct str prefix; /* of keys */
};

struct ratelimit {
	struct ratelimit_rule *rules;
	uint32_t rule_n;
	struct str country_header;
	bool headers;
	struct ratelimit_redis redis;
};

/* build()'s: the tables, beside the rules. */
struct ratelimit_data {
	uint32_t n;
	struct ratelimit_table *tables[RATELIMIT_RULES_MAX];
	struct ratelimit_fleet *fleet; /* NULL: no rule is counted in Redis */
};

struct ratelimit_rate ratelimit_rate_of(const struct ratelimit_rule *r);
uint32_t ratelimit_burst_of(const struct ratelimit_rule *r);
/* A token's worth in Redis, in whole microseconds. */
uint64_t ratelimit_each_us(const struct ratelimit_rule *r);

/* Who is counted. */
struct ratelimit_whom {
	const struct head *request;
	const struct addr *client;
	const struct module_call *call; /* NULL: the request is only asked about */
};

/* Whom the rule counts this request for, as text in buf. */
struct str ratelimit_key(const struct ratelimit_whom *w, const struct ratelimit *conf,
	const struct ratelimit_rule *r, char buf[RATELIMIT_KEY_MAX]);
/* It counts by what only a call knows. */
bool ratelimit_key_needs_call(const struct ratelimit_rule *r);

#endif
