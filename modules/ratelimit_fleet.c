#include "ratelimit_fleet.h"

#include <hiredis.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#define ARGS_MAX (3 + 4 * RATELIMIT_RULES_MAX)

/* A bucket is the moment at which it is full again, in microseconds, as in base/rate.h; whole ones, which Lua's numbers hold exactly.
 * A clock that is set back, or a rule that has become smaller, leaves no bucket emptier than empty. */
static const char script[] =
	"local time = redis.call('TIME')\n"
	"local now = time[1] * 1000000 + time[2]\n"
	"local full, answer, refused = {}, {}, false\n"
	"for i, key in ipairs(KEYS) do\n"
	"  local each, depth = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])\n"
	"  local at = tonumber(redis.call('GET', key) or 0)\n"
	"  at = math.min(math.max(at, now), now + depth)\n"
	"  local wait = at + each - now - depth\n"
	"  if wait <= 0 then\n"
	"    wait = 0\n"
	"    at = at + each\n"
	"    full[i] = at\n"
	"  elseif ARGV[3 * i] == '0' then\n"
	"    refused = true\n"
	"  end\n"
	"  answer[2 * i - 1] = wait\n"
	"  answer[2 * i] = at - now\n"
	"end\n"
	"if not refused then\n"
	"  for i, at in pairs(full) do\n"
	"    redis.call('SET', KEYS[i], string.format('%.0f', at), 'PX', math.ceil((at - now) / 1000))\n"
	"  end\n"
	"end\n"
	"return answer\n";

/* -- what is told to connections -- */

static void name_script(char sha[FLEET_SHA_CHARS + 1])
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	MUST(EVP_Digest(script, sizeof(script) - 1, digest, NULL, EVP_sha1(), NULL));
	for (int i = 0; i < FLEET_SHA_CHARS / 2; i++)
		snprintf(sha + (size_t)i * 2, 3, "%02x", digest[i]);
}

static bool has_rule(const struct ratelimit *conf)
{
	for (uint32_t i = 0; i < conf->rule_n; i++)
		if (conf->rules[i].fleet)
			return true;
	return false;
}

struct ratelimit_fleet *ratelimit_fleet_new(const struct ratelimit *conf, struct str place)
{
	const struct redis_conf *from = &conf->redis.server;
	struct ratelimit_fleet *f;

	if (!has_rule(conf))
		return NULL;
	f = calloc(1, sizeof(*f));
	MUST(f);
	arena_init(&f->arena, NULL);
	f->redis = *from;
	f->redis.address = arena_str(&f->arena, from->address);
	f->redis.username = arena_str(&f->arena, from->username);
	f->redis.password = arena_str(&f->arena, from->password);
	f->redis.tls.ca = arena_str(&f->arena, from->tls.ca);
	f->redis.tls.cert = arena_str(&f->arena, from->tls.cert);
	f->redis.tls.key = arena_str(&f->arena, from->tls.key);
	f->redis.tls.server_name = arena_str(&f->arena, from->tls.server_name);
	f->prefix_conf_n = conf->redis.prefix.n;
	f->prefix =
		arena_fmt(&f->arena, STR_FMT ":" STR_FMT ":", STR_ARG(conf->redis.prefix), STR_ARG(place));
	name_script(f->sha);
	return f;
}

void ratelimit_fleet_free(struct ratelimit_fleet *f)
{
	if (!f)
		return;
	dependency_clear(&f->state);
	arena_free(&f->arena);
	free(f);
}

static bool same_tls(const struct conf_upstream_tls *a, const struct conf_upstream_tls *b)
{
	return a->on == b->on && a->verify == b->verify && str_eq(a->ca, b->ca) && str_eq(a->cert, b->cert) &&
	       str_eq(a->key, b->key) && str_eq(a->server_name, b->server_name);
}

bool ratelimit_fleet_is(const struct ratelimit_fleet *f, const struct ratelimit *conf)
{
	const struct redis_conf *a = f ? &f->redis : NULL, *b = &conf->redis.server;

	if (!f || !has_rule(conf))
		return !f && !has_rule(conf);
	return str_eq(a->address, b->address) && str_eq(a->username, b->username) &&
	       str_eq(a->password, b->password) && a->database == b->database &&
	       a->timeout_ms == b->timeout_ms && same_tls(&a->tls, &b->tls) &&
	       str_eq(str_head(f->prefix, f->prefix_conf_n), conf->redis.prefix);
}

/* -- one request -- */

void fleet_ask_add(struct fleet_ask *a, struct arena *arena, const struct ratelimit_fleet *f,
	const struct ratelimit_rule *r, struct str key)
{
	uint64_t each = ratelimit_each_us(r);
	uint32_t i = a->n++;

	a->keys[i] = arena_fmt(
		arena, STR_FMT STR_FMT "\n" STR_FMT, STR_ARG(f->prefix), STR_ARG(r->name), STR_ARG(key));
	a->each_us[i] = each;
	a->depth_us[i] = each * ratelimit_burst_of(r);
	a->args[i][0] = arena_fmt(arena, "%llu", (unsigned long long)a->each_us[i]);
	a->args[i][1] = arena_fmt(arena, "%llu", (unsigned long long)a->depth_us[i]);
	a->args[i][2] = r->dry_run ? STR("1") : STR("0");
}

static void put(const char **argv, size_t *lens, int *n, struct str s)
{
	argv[*n] = s.p;
	lens[(*n)++] = s.n;
}

static const char *ask(struct fleet_ask *a)
{
	const char *argv[ARGS_MAX];
	size_t lens[ARGS_MAX];
	char number[16];
	int n = 0;

	snprintf(number, sizeof(number), "%u", a->n);
	put(argv, lens, &n, a->whole ? STR("EVAL") : STR("EVALSHA"));
	put(argv, lens, &n, str_of(a->whole ? script : a->sha));
	put(argv, lens, &n, str_of(number));
	for (uint32_t i = 0; i < a->n; i++)
		put(argv, lens, &n, a->keys[i]);
	for (uint32_t i = 0; i < a->n; i++)
		for (int k = 0; k < 3; k++)
			put(argv, lens, &n, a->args[i][k]);
	return redis_ask(a->redis, &a->call, n, argv, lens);
}

/* Why it is none. */
static const char *take(struct fleet_ask *a, const struct redisReply *reply)
{
	if (reply->type == REDIS_REPLY_ERROR)
		return reply->str;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 * (size_t)a->n)
		return "not an answer to what was asked";
	for (size_t i = 0; i < reply->elements; i++) {
		const struct redisReply *e = reply->element[i];
		uint64_t most = i % 2 ? a->depth_us[i / 2] : a->each_us[i / 2];

		if (e->type != REDIS_REPLY_INTEGER || (uint64_t)e->integer > most)
			return "not an answer to what was asked";
		*(i % 2 ? &a->lacks_us[i / 2] : &a->wait_us[i / 2]) = (uint64_t)e->integer;
	}
	return NULL;
}

static void on_answer(struct redis_call *c, const struct redis_answer *answer)
{
	struct fleet_ask *a = CONTAINER(c, struct fleet_ask, call);
	const char *problem = answer->reply ? take(a, answer->reply) : answer->problem;

	/* A server that has been started anew knows no scripts. */
	if (problem && answer->reply && str_starts(str_of(problem), STR("NOSCRIPT")) && !a->whole) {
		a->whole = true;
		problem = ask(a);
		if (!problem)
			return;
	}
	a->done(a, problem);
}

const char *fleet_ask_send(struct fleet_ask *a, struct ratelimit_fleet *f, struct redis *redis)
{
	atomic_fetch_add_explicit(&f->asked, 1, memory_order_relaxed);
	a->redis = redis;
	a->sha = f->sha;
	a->call.done = on_answer;
	return ask(a);
}
