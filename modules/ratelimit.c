/* modules/ratelimit.c - so many requests for each client, tenant, route, header or country, over all workers. */
#include "ratelimit.h"

#include <stdio.h>
#include <stdlib.h>
#include "modules.h"

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

static const struct config_field fields[] = {
	MAP_OF("rules", struct ratelimit, rules, rule_n, rule_object,
		"the limits, by name; a request must be within all of them", REQUIRED),
	STRING("country_header", struct ratelimit, country_header,
		"the request's header that says the country: the one that module geo sets, for a client "
		"could say "
		"anything",
		.text = "x-geo-country"),
	BOOL("headers", struct ratelimit, headers,
		"tell clients the limits and what is left of them: RateLimit-Policy and RateLimit",
		.dflt = true),
	END,
};

static void check(struct parse *p, const struct node *v, void *obj)
{
	const struct ratelimit *conf = obj;

	if (conf->rule_n > RATELIMIT_RULES_MAX)
		parse_error(
			p, v, "ratelimit has %u rules; it may have %d", conf->rule_n, RATELIMIT_RULES_MAX);
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

uint32_t ratelimit_burst_of(const struct ratelimit_rule *r)
{
	return r->burst ? r->burst : r->rate;
}

struct ratelimit_rate ratelimit_rate_of(const struct ratelimit_rule *r)
{
	uint64_t each = MAX(r->per * 1000000ull / r->rate, 1ull);

	return (struct ratelimit_rate){each, each * ratelimit_burst_of(r)};
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

	if (!d || d->n != conf->rule_n)
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
	return d;
}

static void release(void *data)
{
	struct ratelimit_data *d = data;

	for (uint32_t i = 0; i < d->n; i++)
		ratelimit_table_unref(d->tables[i]);
	free(d);
}

/* -- requests -- */

/* What became of a request: in its arena, for the answer's head. */
struct verdict_of {
	uint64_t lacks[RATELIMIT_RULES_MAX]; /* ns until the bucket is full */
};

static uint64_t seconds(uint64_t ns)
{
	return (ns + 999999999) / 1000000000;
}

static int refuse(struct module_call *c, const struct ratelimit_rule *r, uint64_t wait_ns)
{
	module_log_field(c, STR("ratelimit"), r->name);
	module_reply_header(c, STR("retry-after"),
		arena_fmt(c->arena, "%llu", (unsigned long long)MAX(seconds(wait_ns), 1ull)));
	return REASON_RATE_LIMITED;
}

static int routed(struct module_call *c)
{
	const struct ratelimit *conf = c->values;
	struct ratelimit_data *d = c->data;
	struct verdict_of *v = arena_new(c->arena, struct verdict_of);
	uint64_t now = c->loop->now_us * 1000, wait = 0;
	_Atomic uint64_t *buckets[RATELIMIT_RULES_MAX];
	char buf[RATELIMIT_KEY_MAX];
	uint32_t n = 0;

	*c->slot = v;
	for (; n < d->n && !wait; n++) {
		const struct ratelimit_rule *r = &conf->rules[n];
		struct ratelimit_rate rate = ratelimit_rate_of(r);

		buckets[n] = ratelimit_table_find(d->tables[n], ratelimit_key(c, conf, r, buf), now);
		wait = rate_take(buckets[n], rate.each, rate.depth, now);
		v->lacks[n] = rate_lacks(buckets[n], now);
		if (!wait)
			continue;
		atomic_fetch_add_explicit(r->dry_run ? &d->tables[n]->would_refuse : &d->tables[n]->refused,
			1, memory_order_relaxed);
		if (r->dry_run) {
			module_log_field(c, STR("ratelimit_dry_run"), r->name);
			buckets[n] = NULL;
			wait = 0;
		}
	}
	if (!wait)
		return MODULE_PASS;
	/* It is not served, so it does not count for the rules before the one that refused it. */
	for (uint32_t i = 0; i + 1 < n; i++)
		if (buckets[i])
			rate_give_back(buckets[i], ratelimit_rate_of(&conf->rules[i]).each);
	return refuse(c, &conf->rules[n - 1], wait);
}

#define HEADER_MAX (RATELIMIT_RULES_MAX * 128)

/* draft-ietf-httpapi-ratelimit-headers-10: names are strings of RFC 9651; q requests in w seconds; r are left, all of them in t seconds. */
static int response(struct module_call *c, struct head *head, bool own)
{
	const struct ratelimit *conf = c->values;
	const struct verdict_of *v = *c->slot;
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

static void explain(const void *values, void *data, const struct head *request, const struct addr *client,
	struct text *out)
{
	const struct ratelimit *conf = values;

	(void)data;
	(void)request;
	(void)client;
	for (uint32_t i = 0; i < conf->rule_n; i++) {
		const struct ratelimit_rule *r = &conf->rules[i];

		text_fmt(out, "%s" STR_FMT ": %u in %u ms, %u at once, by", i ? "; " : "", STR_ARG(r->name),
			r->rate, r->per, ratelimit_burst_of(r));
		for (uint32_t b = 0; b < r->by.n; b++)
			text_fmt(out, " " STR_FMT, STR_ARG(r->by.v[b]));
		text_put(out, r->by.n ? STR_NONE : STR(" nothing"));
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
}

const struct module ratelimit_module = {
	.config = {.abi = MODULE_ABI, .name = "ratelimit", .levels = MODULE_ANYWHERE, .object = &object},
	.build = build,
	.release = release,
	.routed = routed,
	.response = response,
	.explain = explain,
	.counts = counts,
};
