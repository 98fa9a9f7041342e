#include "route/split.h"

#include <stdlib.h>
#include "base/map.h"
#include "base/obj.h"
#include "route/pin.h"
#include "route/router.h"

#define SKIP_MAX 4096 /* of the first round of turns: a moment's work */

const char *split_why_text(enum split_why why)
{
	static const char *const text[] = {
		[SPLIT_NONE] = "no pool can take it",
		[SPLIT_OVERRIDE] = "the request names the pool",
		[SPLIT_MODULE] = "a module chose the pool",
		[SPLIT_PIN] = "the user was given this pool before",
		[SPLIT_STABLE] = "the user's place among the weights",
		[SPLIT_TURN] = "its turn by weight",
	};

	return text[why];
}

const char *split_why_name(enum split_why why)
{
	static const char *const names[] = {
		[SPLIT_NONE] = "none",
		[SPLIT_OVERRIDE] = "override",
		[SPLIT_MODULE] = "module",
		[SPLIT_PIN] = "pin",
		[SPLIT_STABLE] = "stable",
		[SPLIT_TURN] = "turn",
	};

	return names[why];
}

void split_state_free(struct split_state *state)
{
	free(state->turns);
	*state = (struct split_state){0};
}

static struct str header_value(const struct head *head, struct str name)
{
	const struct field *f = fields_find_name(&head->fields, name);

	return f ? field_value(f) : STR_NONE;
}

static bool may_override(const struct conf_split *split, const struct addr *client)
{
	for (uint32_t i = 0; i < split->override_from_n; i++)
		if (cidr_has(&split->override_from[i], client))
			return true;
	return split->override_from_n == 0;
}

static const struct pool_now *now_of(const struct split_request *rq, uint32_t i)
{
	return &rq->now[rq->service->pools[i].slot->number];
}

static bool takes(const struct split_request *rq, const struct pool *pool)
{
	return rq->now[pool->slot->number].state <= POOL_PINNED;
}

/* Would a request be better off elsewhere for now? */
static bool spills(const struct split_request *rq, const struct pool *pool)
{
	return pool->conf->spill && !rq->usable(rq->ctx, pool);
}

/* -- 1: who chooses for himself -- */

static const struct pool *pool_of_host(const struct split_request *rq)
{
	struct str host = authority_host(rq->head->authority);

	for (uint32_t i = 0; i < rq->service->n; i++) {
		const struct conf_strs *hosts = &rq->service->pools[i].conf->hosts;

		for (uint32_t h = 0; h < hosts->n; h++)
			if (str_eq(hosts->v[h], host))
				return &rq->service->pools[i];
	}
	return NULL;
}

/* The most explicit goes first: a header is sent on purpose, a cookie may be forgotten. */
static const struct pool *choice(const struct split_request *rq)
{
	const struct conf_split *split = &rq->service->conf->split;
	const struct pool *pool;
	struct str name = STR_NONE;

	if (split->override_header.n)
		name = header_value(rq->head, split->override_header);
	if (!name.n && split->by_host && (pool = pool_of_host(rq)))
		return pool;
	if (!name.n && split->override_cookie.n)
		name = cookie_value(rq->head, split->override_cookie);
	return name.n ? service_pool(rq->service, name) : NULL;
}

static bool overridden(const struct split_request *rq, struct split_result *result)
{
	const struct pool *pool = choice(rq);

	if (!pool || !may_override(&rq->service->conf->split, rq->client))
		return false;
	result->chosen = true;
	if (!takes(rq, pool))
		return false;
	result->pool = pool;
	result->why = SPLIT_OVERRIDE;
	return true;
}

/* -- 2: who has been given a pool -- */

static bool pinned(const struct split_request *rq, struct split_result *result)
{
	struct pin pin = {0};

	if (!rq->service->pin_cookie.n)
		return false;
	pin = pin_read(rq->keys, rq->service, rq->head, rq->now_s);
	if (!pin.pool || !takes(rq, pin.pool)) {
		result->issue_pin = true;
		return false;
	}
	/* While his pool is down another one helps out, but does not keep him: when a blip of blue is over, green has not got everybody. */
	if (spills(rq, pin.pool))
		return false;
	result->pool = pin.pool;
	result->why = SPLIT_PIN;
	result->issue_pin = pin.renew;
	return true;
}

/* -- 3: who can be told apart -- */

/* The share that counts for this request: an unusable pool leaves its own to the others, unless it is told not to spill. */
static uint64_t share_of(const struct split_request *rq, uint32_t i)
{
	uint64_t share = pool_share(now_of(rq, i));

	return share && !spills(rq, &rq->service->pools[i]) ? share : 0;
}

static uint64_t share_sum(const struct split_request *rq)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < rq->service->n; i++)
		sum += share_of(rq, i);
	return sum;
}

void split_place(const struct split_request *rq, struct str id, struct split_result *result)
{
	struct str key = rq->service->slot->key;
	uint64_t hash = hash_bytes(id.p, id.n, hash_bytes(key.p, key.n, 0)), sum = share_sum(rq), at;

	result->id = id;
	result->why = SPLIT_NONE;
	result->point = (double)(hash >> 11) / (double)(1ull << 53);
	at = (uint64_t)(((unsigned __int128)hash * sum) >> 64);
	for (uint32_t i = 0; i < rq->service->n && sum; i++) {
		uint64_t share = share_of(rq, i);

		if (at < share) {
			result->pool = &rq->service->pools[i];
			result->why = SPLIT_STABLE;
			return;
		}
		at -= share;
	}
}

/* The id that weir gave him; result->issue_id when there is none, or when it is to be signed anew. */
static struct str issued_id(const struct split_request *rq, struct split_result *result)
{
	struct str cookie = cookie_value(rq->head, STR(SPLIT_COOKIE)), id = STR_NONE;

	result->issue_id = cookie.n == 0 || cookie_verify(rq->keys, STR(SPLIT_COOKIE), cookie, &id) != 0;
	return id.n == SPLIT_ID_CHARS ? id : STR_NONE;
}

/* -- 4: who cannot -- */

/* Whose turn it is, or UINT32_MAX. all: whoever is usable. */
static uint32_t advance(struct split_state *state, const struct split_request *rq, bool all)
{
	uint32_t best = UINT32_MAX;
	int64_t total = 0;

	for (uint32_t i = 0; i < state->n; i++) {
		struct split_turn *turn = &state->turns[i];
		int64_t share = (int64_t)(all ? turn->share : share_of(rq, i));

		if (share == 0)
			continue;
		turn->credit += share;
		total += share;
		if (best == UINT32_MAX || turn->credit > state->turns[best].credit)
			best = i;
	}
	if (best != UINT32_MAX)
		state->turns[best].credit -= total;
	return best;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* The turns begin anywhere in their round: many workers, and many fresh starts, would all begin with the heaviest. */
static void begin(struct split_state *state, struct loop *l, const struct split_request *rq)
{
	uint64_t sum = 0, common = 0;

	split_state_free(state);
	state->turns = calloc(rq->service->n, sizeof(*state->turns));
	MUST(state->turns);
	state->n = rq->service->n;
	for (uint32_t i = 0; i < state->n; i++) {
		state->turns[i].share = pool_share(now_of(rq, i));
		sum += state->turns[i].share;
		common = gcd(state->turns[i].share, common);
	}
	if (sum == 0)
		return;
	for (uint64_t skip = loop_random(l) % MIN(sum / common, (uint64_t)SKIP_MAX); skip > 0; skip--)
		advance(state, rq, true);
}

/* What was earned at other shares says nothing: after 1000000 and 1 became 1 and 1, the first would wait for a million requests. */
static bool is_current(const struct split_state *state, const struct split_request *rq)
{
	if (state->n != rq->service->n)
		return false;
	for (uint32_t i = 0; i < state->n; i++)
		if (state->turns[i].share != pool_share(now_of(rq, i)))
			return false;
	return true;
}

/* Who waited keeps his pool, if it still takes its turns: with a second one he would take it from the others. */
static uint32_t turn_had(const struct split_request *rq)
{
	for (uint32_t i = 0; rq->had && i < rq->service->n; i++)
		if (rq->service->pools[i].slot == rq->had && share_of(rq, i))
			return i;
	return UINT32_MAX;
}

static const struct pool *turn_of(struct split_state *state, struct loop *l, const struct split_request *rq)
{
	uint32_t i = UINT32_MAX;

	/* One takes all turns. */
	if (rq->service->n == 1)
		return share_of(rq, 0) ? &rq->service->pools[0] : NULL;
	if (is_current(state, rq))
		i = turn_had(rq);
	else
		begin(state, l, rq);
	if (i == UINT32_MAX)
		i = advance(state, rq, false);
	return i == UINT32_MAX ? NULL : &rq->service->pools[i];
}

struct split_result split_pick(struct split_state *state, struct loop *l, const struct split_request *rq)
{
	const struct conf_split *split = &rq->service->conf->split;
	struct split_result result = {0};
	char ip[ADDR_TEXT_MAX];
	struct str id = STR_NONE;

	if (overridden(rq, &result) || pinned(rq, &result))
		return result;
	switch ((enum conf_sticky)split->sticky) {
	case CONF_STICKY_COOKIE:
		id = issued_id(rq, &result);
		if (!id.n)
			return result;
		break;
	case CONF_STICKY_HEADER:
		id = header_value(rq->head, split->sticky_header);
		break;
	case CONF_STICKY_IP:
		split_place(rq, addr_ip_text(rq->client, ip), &result);
		result.id = STR_NONE;
		return result;
	case CONF_STICKY_NONE:
		break;
	}
	if (id.n) {
		split_place(rq, id, &result);
		return result;
	}
	result.pool = turn_of(state, l, rq);
	result.why = result.pool ? SPLIT_TURN : SPLIT_NONE;
	return result;
}

void split_new_id(struct loop *l, char id[SPLIT_ID_CHARS])
{
	for (int i = 0; i < SPLIT_ID_CHARS; i += 16)
		text_hex_16(id + i, loop_random(l));
}
