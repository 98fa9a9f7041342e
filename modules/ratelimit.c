/* modules/ratelimit.c - so many requests for each client, tenant, route, header or country, over all workers; with
 * Redis over all nodes (ratelimit_fleet.h). */
#include "ratelimit.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "modules.h"
#include "ratelimit_fleet.h"

/* -- configuration -- */

static bool is_by(struct str s)
{
	static const char *const words[] = {"tenant", "address", "route", "country"};

	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (str_eq(s, str_of(words[i])))
			return true;
	return str_starts(s, STR("header:")) && type_token.valid(str_skip(s, sizeof("header:") - 1));
}

static const struct config_type type_by = {
	.name = "what is counted",
	.plural = "words for what is counted",
	.expects = "tenant, address, route, country or header:NAME",
	.schema = "{\"type\": \"string\", \"pattern\": "
		  "\"^(tenant|address|route|country|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+)$\"}",
	.valid = is_by,
};

static const struct config_field rule_fields[] = {
	COUNT("rate", struct ratelimit_rule, rate, "requests that may come in `per`, in the long run",
		REQUIRED, .min = 1, .max = 1000000000),
	DURATION("per", struct ratelimit_rule, per, "the time that `rate` is for", .dflt = 1000, .min = 1,
		.max = 86400000),
	COUNT("burst", struct ratelimit_rule, burst,
		"requests that may come at once, and are made up for afterwards; 0: as many as `rate`",
		.dflt = 0, .max = 1000000000),
	STRINGS("by", struct ratelimit_rule, by, type_by,
		"each of what is counted for itself: tenant, address, route, country, header:NAME; several: "
		"each "
		"combination of them; empty: all requests together"),
	COUNT("ipv6_prefix", struct ratelimit_rule, ipv6_prefix,
		"bits of an IPv6 address that make one client of `address`", .dflt = 64, .min = 16,
		.max = 128),
	COUNT("entries", struct ratelimit_rule, entries,
		"how many are remembered at once, at 16 bytes each, rounded up to a power of two; beyond "
		"that, those who "
		"have used least are forgotten",
		.dflt = 65536, .min = 4, .max = 16777216),
	BOOL("fleet", struct ratelimit_rule, fleet,
		"all nodes with the same `redis` count together; `entries` is for while it cannot be asked",
		.dflt = false),
	BOOL("dry_run", struct ratelimit_rule, dry_run, "refuse nobody, but log and count it", .dflt = false),
	END,
};

static const struct config_object rule_object = {
	.id = OBJECT_MODULE,
	.path = "modules.ratelimit.rules.NAME",
	.what = "rule",
	.doc = "One limit. Its name is told to clients.",
	.size = sizeof(struct ratelimit_rule),
	.fields = rule_fields,
};

static bool is_address(struct str s)
{
	return redis_address_is_valid(s);
}

static const struct config_type type_redis_address = {
	.name = "address",
	.expects = "HOST:PORT or unix:/PATH",
	.schema = "{\"type\": \"string\"}",
	.valid = is_address,
	.parse = type_text_parse,
	.init = type_text_init,
};

static const char *const failure_names[] = {"local", "allow", "deny", NULL};

static const struct config_field redis_fields[] = {
	CUSTOM("address", type_redis_address, struct ratelimit_redis, server.address,
		"of the server, HOST:PORT or unix:/PATH", REQUIRED),
	STRING("username", struct ratelimit_redis, server.username,
		"whom to log in as; unset: the default user", NULLABLE),
	STRING("password", struct ratelimit_redis, server.password,
		"to log in with, as `${NAME}` from the environment; unset: no login", NULLABLE),
	COUNT("database", struct ratelimit_redis, server.database, "the number of the database", .dflt = 0,
		.max = 65535),
	DURATION("timeout", struct ratelimit_redis, server.timeout_ms,
		"for an answer, looked at every 100 ms; after one that is late nobody else waits until the "
		"server speaks again",
		.dflt = 100, .min = 1, .max = 10000),
	ENUM("on_failure", struct ratelimit_redis, on_failure, failure_names,
		"without an answer: each node keeps the rule for itself, lets the request pass, or answers "
		"503",
		.dflt = RATELIMIT_LOCAL),
	STRING("prefix", struct ratelimit_redis, prefix, "what the names of all keys begin with",
		.text = "weir:ratelimit"),
	OBJECT("tls", struct ratelimit_redis, server.tls, upstream_tls_object,
		"TLS to the server; null: plain", .present = offsetof(struct ratelimit_redis, server.tls.on),
		NULLABLE),
	END,
};

static void check_redis(struct parse *p, const struct node *v, void *obj)
{
	const struct ratelimit_redis *r = obj;

	if (r->server.username.n && !r->server.password.n)
		parse_error(p, v, "\"username\" needs a \"password\"");
}

static const struct config_object redis_object = {
	.id = OBJECT_MODULE,
	.path = "modules.ratelimit.redis",
	.what = "redis",
	.doc = "Where the rules of the fleet are counted.",
	.size = sizeof(struct ratelimit_redis),
	.fields = redis_fields,
	.check = check_redis,
};

static const struct config_field fields[] = {
	MAP_OF("rules", struct ratelimit, rules, rule_n, rule_object,
		"the limits, by name; a request must be within all of them. Required, but where there is "
		"`redis` for narrower levels"),
	STRING("country_header", struct ratelimit, country_header,
		"the request's header that says the country: the one that module geo sets, for a client "
		"could say "
		"anything",
		.text = "x-geo-country"),
	BOOL("headers", struct ratelimit, headers,
		"tell clients the limits and what is left of them: RateLimit-Policy and RateLimit",
		.dflt = true),
	OBJECT("redis", struct ratelimit, redis, redis_object,
		"the server that counts rules with `fleet`; null: that of a wider level",
		.present = offsetof(struct ratelimit, redis.on), NULLABLE),
	END,
};

#define FLEET_EACH_MIN_US 10 /* whole microseconds are exact enough */

/* So long may a bucket take to fill: as nanoseconds it still is a number. */
#define FULL_MAX_MS (100 * 365 * 86400000ull)

static void check_depth(struct parse *p, const struct node *v, const struct ratelimit *conf)
{
	for (uint32_t i = 0; i < conf->rule_n; i++) {
		const struct ratelimit_rule *r = &conf->rules[i];

		if (r->rate && (uint64_t)r->per * ratelimit_burst_of(r) / r->rate > FULL_MAX_MS)
			parse_error(p, v,
				"rule %s: its \"burst\" would take more than a hundred years to come back",
				parse_quote(p, r->name));
	}
}

static void check_fleet(struct parse *p, const struct node *v, const struct ratelimit *conf)
{
	for (uint32_t i = 0; i < conf->rule_n; i++) {
		const struct ratelimit_rule *r = &conf->rules[i];

		if (r->fleet && r->rate && ratelimit_each_us(r) < FLEET_EACH_MIN_US)
			parse_error(p, v, "rule %s has \"fleet\": at most 100000 requests a second",
				parse_quote(p, r->name));
	}
}

static void check(struct parse *p, const struct node *v, void *obj)
{
	const struct ratelimit *conf = obj;

	if (conf->rule_n == 0 && !conf->redis.on)
		parse_error(p, v, "\"rules\" is missing in ratelimit");
	if (conf->rule_n > RATELIMIT_RULES_MAX)
		parse_error(
			p, v, "ratelimit has %u rules; it may have %d", conf->rule_n, RATELIMIT_RULES_MAX);
	check_depth(p, v, conf);
	check_fleet(p, v, conf);
}

static const struct config_object object = {
	.id = OBJECT_MODULE,
	.path = "modules.ratelimit",
	.what = "ratelimit",
	.doc = "So many requests for each client, tenant, route, header or country. See "
	       "[ratelimit](modules/ratelimit.md).",
	.size = sizeof(struct ratelimit),
	.fields = fields,
	.check = check,
};

static const char *inherit(void *values, const void *wider)
{
	struct ratelimit *conf = values;
	const struct ratelimit *from = wider;
	bool fleet = false;

	for (uint32_t i = 0; i < conf->rule_n; i++)
		fleet = fleet || conf->rules[i].fleet;
	if (!conf->redis.on && from)
		conf->redis = from->redis;
	return fleet && !conf->redis.on ? "redis" : NULL;
}

uint32_t ratelimit_burst_of(const struct ratelimit_rule *r)
{
	return r->burst ? r->burst : r->rate;
}

struct ratelimit_rate ratelimit_rate_of(const struct ratelimit_rule *r)
{
	uint64_t each = MAX(r->per * 1000000ull / r->rate, 1ull);

	return (struct ratelimit_rate){each, each * ratelimit_burst_of(r)};
}

uint64_t ratelimit_each_us(const struct ratelimit_rule *r)
{
	return MAX((r->per * 1000ull + r->rate / 2) / r->rate, 1ull);
}

/* -- tables, which reloads keep -- */

#define IDENTITY_MAX 1024

/* What makes two rules count the same. */
static void identify(const struct ratelimit *conf, const struct ratelimit_rule *r, char buf[IDENTITY_MAX])
{
	struct text t = text_in(buf, IDENTITY_MAX - 1);

	text_fmt(&t, STR_FMT " %u/%u " STR_FMT, STR_ARG(r->name), r->ipv6_prefix, r->entries,
		STR_ARG(conf->country_header));
	for (uint32_t i = 0; i < r->by.n; i++)
		text_fmt(&t, " " STR_FMT, STR_ARG(r->by.v[i]));
	buf[t.n] = '\0';
}

static struct ratelimit_table *find_table(const struct ratelimit_data *d, const char *identity)
{
	for (uint32_t i = 0; d && i < d->n; i++)
		if (strcmp(d->tables[i]->identity, identity) == 0)
			return d->tables[i];
	return NULL;
}

static bool is_same(const struct ratelimit_data *d, const struct ratelimit *conf)
{
	char identity[IDENTITY_MAX];

	if (!d || d->n != conf->rule_n || !ratelimit_fleet_is(d->fleet, conf))
		return false;
	for (uint32_t i = 0; i < d->n; i++) {
		identify(conf, &conf->rules[i], identity);
		if (strcmp(d->tables[i]->identity, identity) != 0)
			return false;
	}
	return true;
}

static void *build(struct module_build *b, const void *values)
{
	const struct ratelimit *conf = values;
	struct ratelimit_data *d, *before = b->previous;
	char identity[IDENTITY_MAX];

	if (is_same(before, conf))
		return before;
	d = calloc(1, sizeof(*d));
	MUST(d);
	for (uint32_t i = 0; i < conf->rule_n; i++) {
		struct ratelimit_table *kept;

		identify(conf, &conf->rules[i], identity);
		kept = find_table(before, identity);
		d->tables[d->n++] = kept ? ratelimit_table_ref(kept)
					 : ratelimit_table_new(identity, conf->rules[i].entries);
	}
	d->fleet = ratelimit_fleet_new(conf, b->place);
	return d;
}

static void release(void *data)
{
	struct ratelimit_data *d = data;

	for (uint32_t i = 0; i < d->n; i++)
		ratelimit_table_unref(d->tables[i]);
	ratelimit_fleet_free(d->fleet);
	free(d);
}

/* A worker's connection to Redis. */
static void *worker_begin(struct loop *l, void *data, uint32_t worker, uint32_t workers)
{
	struct ratelimit_data *d = data;

	(void)worker;
	(void)workers;
	return d->fleet ? redis_new(l, &d->fleet->redis) : NULL;
}

static void worker_end(void *state, void *data)
{
	struct redis *r = state;

	(void)data;
	redis_free(&r);
}

/* -- requests -- */

/* How it goes with a request. In its arena, also for the answer's head. */
struct counting {
	struct module_call call; /* while Redis is asked */
	struct fleet_ask *ask; /* NULL: no rule of the fleet */
	uint64_t lacks[RATELIMIT_RULES_MAX]; /* ns until the bucket is full */
	_Atomic uint64_t
		*taken[RATELIMIT_RULES_MAX]; /* the bucket here that has given a token; NULL: none has */
};

static uint64_t seconds(uint64_t ns)
{
	return (ns + 999999999) / 1000000000;
}

/* A request that is not served does not count for other rules. */
static void give_back(struct module_call *c, struct counting *v)
{
	const struct ratelimit *conf = c->values;

	for (uint32_t i = 0; i < conf->rule_n; i++)
		if (v->taken[i])
			rate_give_back(v->taken[i], ratelimit_rate_of(&conf->rules[i]).each);
}

/* Its bucket has no token for wait_ns: PASS for a dry run, or the reason. */
static int refuse(struct module_call *c, struct counting *v, uint32_t i, uint64_t wait_ns)
{
	const struct ratelimit *conf = c->values;
	const struct ratelimit_rule *r = &conf->rules[i];
	struct ratelimit_data *d = c->data;

	atomic_fetch_add_explicit(
		r->dry_run ? &d->tables[i]->would_refuse : &d->tables[i]->refused, 1, memory_order_relaxed);
	if (r->dry_run) {
		module_log_field(c, STR("ratelimit_dry_run"), r->name);
		return MODULE_PASS;
	}
	give_back(c, v);
	module_log_field(c, STR("ratelimit"), r->name);
	module_reply_header(c, STR("retry-after"),
		arena_fmt(c->arena, "%llu", (unsigned long long)MAX(seconds(wait_ns), 1ull)));
	return REASON_RATE_LIMITED;
}

static struct ratelimit_whom whom_of(const struct module_call *c)
{
	return (struct ratelimit_whom){module_request(c), module_client(c), c};
}

/* Of the rules that are counted here, or of the others: PASS, or why not. */
static int count_here(struct module_call *c, struct counting *v, bool fleet)
{
	const struct ratelimit *conf = c->values;
	struct ratelimit_data *d = c->data;
	const struct ratelimit_whom whom = whom_of(c);
	uint64_t now = c->loop->now_us * 1000, wait;
	char buf[RATELIMIT_KEY_MAX];
	int verdict = MODULE_PASS;

	for (uint32_t i = 0; i < d->n && verdict == MODULE_PASS; i++) {
		const struct ratelimit_rule *r = &conf->rules[i];
		struct ratelimit_rate rate = ratelimit_rate_of(r);
		_Atomic uint64_t *bucket;

		if (r->fleet != fleet)
			continue;
		bucket = ratelimit_table_find(d->tables[i], ratelimit_key(&whom, conf, r, buf), now);
		wait = rate_take(bucket, rate.each, rate.depth, now);
		v->lacks[i] = rate_lacks(bucket, now);
		if (wait)
			verdict = refuse(c, v, i, wait);
		else
			v->taken[i] = bucket;
	}
	return verdict;
}

/* -- rules of the fleet -- */

static int go_without(struct module_call *c, struct counting *v, const char *problem)
{
	const struct ratelimit *conf = c->values;
	struct ratelimit_data *d = c->data;

	atomic_fetch_add_explicit(&d->fleet->failed, 1, memory_order_relaxed);
	dependency_bad(&d->fleet->state, problem);
	module_log_field(c, STR("ratelimit_redis"), arena_str(c->arena, str_of(problem)));
	switch ((enum ratelimit_failure)conf->redis.on_failure) {
	case RATELIMIT_ALLOW:
		return MODULE_PASS;
	case RATELIMIT_DENY:
		give_back(c, v);
		return REASON_RATELIMIT_UNAVAILABLE;
	case RATELIMIT_LOCAL:
		break;
	}
	return count_here(c, v, true);
}

static int settle(struct module_call *c, struct counting *v)
{
	const struct ratelimit *conf = c->values;
	const struct fleet_ask *a = v->ask;
	struct ratelimit_data *d = c->data;
	int verdict = MODULE_PASS;

	dependency_good(&d->fleet->state);
	for (uint32_t i = 0, n = 0; i < conf->rule_n && verdict == MODULE_PASS; i++) {
		if (!conf->rules[i].fleet)
			continue;
		v->lacks[i] = a->lacks_us[n] * 1000;
		if (a->wait_us[n])
			verdict = refuse(c, v, i, a->wait_us[n] * 1000);
		n++;
	}
	return verdict;
}

static void on_answer(struct fleet_ask *a, const char *problem)
{
	struct module_call call = *(struct module_call *)a->ctx;
	struct counting *v = *call.slot;

	module_resume(call.x, problem ? go_without(&call, v, problem) : settle(&call, v));
}

static int ask(struct module_call *c, struct counting *v)
{
	const struct ratelimit *conf = c->values;
	const struct ratelimit_whom whom = whom_of(c);
	struct ratelimit_data *d = c->data;
	char buf[RATELIMIT_KEY_MAX];
	const char *problem;

	v->ask = arena_new(c->arena, struct fleet_ask);
	v->ask->done = on_answer;
	v->ask->ctx = &v->call;
	v->call = *c;
	for (uint32_t i = 0; i < conf->rule_n; i++)
		if (conf->rules[i].fleet)
			fleet_ask_add(v->ask, c->arena, d->fleet, &conf->rules[i],
				ratelimit_key(&whom, conf, &conf->rules[i], buf));
	problem = fleet_ask_send(v->ask, d->fleet, c->worker);
	return problem ? go_without(c, v, problem) : MODULE_HOLD;
}

static int routed(struct module_call *c)
{
	struct counting *v = arena_new(c->arena, struct counting);
	struct ratelimit_data *d = c->data;
	int verdict;

	*c->slot = v;
	verdict = count_here(c, v, false);
	/* Who is refused here costs Redis nothing. */
	return verdict == MODULE_PASS && d->fleet ? ask(c, v) : verdict;
}

static void cancel(struct module_call *c)
{
	struct counting *v = *c->slot;

	redis_call_cancel(&v->ask->call);
}

#define HEADER_MAX (RATELIMIT_RULES_MAX * 128)

/* draft-ietf-httpapi-ratelimit-headers-10: names are strings of RFC 9651; q requests in w seconds; r are left, all of them in t seconds. */
static int response(struct module_call *c, struct head *head, bool own)
{
	const struct ratelimit *conf = c->values;
	const struct counting *v = *c->slot;
	struct text policy, left;

	(void)own;
	if (!v || !conf->headers)
		return MODULE_PASS;
	policy = text_in(arena_bytes(c->arena, HEADER_MAX), HEADER_MAX);
	left = text_in(arena_bytes(c->arena, HEADER_MAX), HEADER_MAX);
	for (uint32_t i = 0; i < conf->rule_n; i++) {
		const struct ratelimit_rule *r = &conf->rules[i];
		struct ratelimit_rate rate = ratelimit_rate_of(r);
		const char *comma = policy.n ? ", " : "";

		if (r->dry_run)
			continue;
		text_fmt(&policy, "%s\"" STR_FMT "\";q=%u;w=%llu", comma, STR_ARG(r->name), r->rate,
			(unsigned long long)MAX(seconds(r->per * 1000000ull), 1ull));
		text_fmt(&left, "%s\"" STR_FMT "\";r=%llu;t=%llu", comma, STR_ARG(r->name),
			(unsigned long long)((rate.depth - MIN(v->lacks[i], rate.depth)) / rate.each),
			(unsigned long long)seconds(v->lacks[i]));
	}
	if (policy.n == 0)
		return MODULE_PASS;
	module_set_header(c, head, STR("ratelimit-policy"), text_str(&policy));
	module_set_header(c, head, STR("ratelimit"), text_str(&left));
	return MODULE_PASS;
}

/* What the bucket of whoever asks lacks; 0 where it is not counted here, or by what only a call knows. */
static uint64_t lacks_here(const struct ratelimit *conf, const struct ratelimit_rule *r,
	const struct ratelimit_table *table, const struct ratelimit_whom *whom)
{
	char buf[RATELIMIT_KEY_MAX];
	struct timespec now;

	if (r->fleet || ratelimit_key_needs_call(r))
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &now); /* as loops do */
	return ratelimit_table_lacks(table, ratelimit_key(whom, conf, r, buf),
		(uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
}

static bool has_none_left(const struct ratelimit_rule *r, uint64_t lacks)
{
	struct ratelimit_rate rate = ratelimit_rate_of(r);

	return lacks + rate.each > rate.depth;
}

static enum reason explain_refusal(
	const void *values, void *data, const struct head *request, const struct addr *client)
{
	const struct ratelimit *conf = values;
	const struct ratelimit_data *d = data;
	const struct ratelimit_whom whom = {request, client, NULL};

	for (uint32_t i = 0; i < conf->rule_n; i++) {
		const struct ratelimit_rule *r = &conf->rules[i];

		if (!r->dry_run && has_none_left(r, lacks_here(conf, r, d->tables[i], &whom)))
			return REASON_RATE_LIMITED;
	}
	return REASON_NONE;
}

/* A full bucket says nothing. */
static void explain_left(const struct ratelimit_rule *r, uint64_t lacks, struct text *out)
{
	struct ratelimit_rate rate = ratelimit_rate_of(r);

	if (has_none_left(r, lacks))
		text_put(out, STR(", has none left"));
	else if (lacks)
		text_fmt(out, ", has %llu left", (unsigned long long)((rate.depth - lacks) / rate.each));
}

static void explain(const void *values, void *data, const struct head *request, const struct addr *client,
	struct text *out)
{
	const struct ratelimit *conf = values;
	const struct ratelimit_data *d = data;
	const struct ratelimit_whom whom = {request, client, NULL};

	for (uint32_t i = 0; i < conf->rule_n; i++) {
		const struct ratelimit_rule *r = &conf->rules[i];

		text_fmt(out, "%s" STR_FMT ": %u in ", i ? "; " : "", STR_ARG(r->name), r->rate);
		type_duration.write(r->per, out);
		text_fmt(out, ", %u at once, by", ratelimit_burst_of(r));
		for (uint32_t b = 0; b < r->by.n; b++)
			text_fmt(out, " " STR_FMT, STR_ARG(r->by.v[b]));
		text_put(out, r->by.n ? STR_NONE : STR(" nothing"));
		text_put(out, r->fleet ? STR(", in Redis") : STR_NONE);
		explain_left(r, lacks_here(conf, r, d->tables[i], &whom), out);
		text_put(out, r->dry_run ? STR(" (dry run)") : STR_NONE);
	}
}

static void counts(const void *values, void *data, struct module_counts *out)
{
	const struct ratelimit *conf = values;
	const struct ratelimit_data *d = data;

	for (uint32_t i = 0; i < d->n; i++) {
		const struct ratelimit_table *t = d->tables[i];

		module_count(out, conf->rules[i].name, STR("refused"), atomic_load(&t->refused));
		module_count(out, conf->rules[i].name, STR("would_refuse"), atomic_load(&t->would_refuse));
		module_count(out, conf->rules[i].name, STR("pushed_out"), atomic_load(&t->pushed_out));
	}
	if (d->fleet) {
		module_count(out, STR("redis"), STR("asked"), atomic_load(&d->fleet->asked));
		module_count(out, STR("redis"), STR("failed"), atomic_load(&d->fleet->failed));
	}
}

static bool depends(const void *values, void *data, struct module_dependency *out)
{
	static const char *const meanwhile[] = {
		[RATELIMIT_LOCAL] = "each node counts for itself",
		[RATELIMIT_ALLOW] = "what the fleet counts passes uncounted",
		[RATELIMIT_DENY] = "requests that the fleet counts are answered 503",
	};
	const struct ratelimit *conf = values;
	struct ratelimit_data *d = data;

	if (!d->fleet)
		return false;
	*out = (struct module_dependency){.what = STR("Redis"),
		.address = d->fleet->redis.address,
		.meanwhile = meanwhile[conf->redis.on_failure],
		.state = &d->fleet->state};
	return true;
}

const struct module ratelimit_module = {
	.config = {.abi = MODULE_ABI,
		.name = "ratelimit",
		.levels = MODULE_ANYWHERE,
		.object = &object,
		.inherit = inherit},
	.build = build,
	.release = release,
	.worker_init = worker_begin,
	.worker_free = worker_end,
	.routed = routed,
	.response = response,
	.cancel = cancel,
	.explain = explain,
	.explain_refusal = explain_refusal,
	.counts = counts,
	.depends = depends,
};
