/* modules/ratelimit.h - the rules of module ratelimit as the configuration gives them, and what is made of them. */
#ifndef WEIR_MODULES_RATELIMIT_H
#define WEIR_MODULES_RATELIMIT_H

#include "ratelimit_table.h"

#define RATELIMIT_RULES_MAX 16
#define RATELIMIT_KEY_MAX   512 /* what is longer is cut: such keys share a bucket */

struct ratelimit_rule {
	struct str name; /* the first member: it lies in a map */
	uint32_t rate, per, burst; /* requests; ms; requests, 0: as many as rate */
	struct conf_strs by;
	uint8_t ipv6_prefix;
	uint32_t entries;
	bool dry_run;
};

struct ratelimit {
	struct ratelimit_rule *rules;
	uint32_t rule_n;
	struct str country_header;
	bool headers;
};

/* build()'s: the tables, beside the rules. */
struct ratelimit_data {
	uint32_t n;
	struct ratelimit_table *tables[RATELIMIT_RULES_MAX];
};

struct ratelimit_rate ratelimit_rate_of(const struct ratelimit_rule *r);
uint32_t ratelimit_burst_of(const struct ratelimit_rule *r);
/* Whom the rule counts this request for, as text in buf. */
struct str ratelimit_key(const struct module_call *c, const struct ratelimit *conf,
	const struct ratelimit_rule *r, char buf[RATELIMIT_KEY_MAX]);

#endif
