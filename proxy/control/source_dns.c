/* control/source_dns.c - `dns:NAME:PORT`: all the addresses of a name. */
#include <stdlib.h>
#include "base/obj.h"
#include "config/backend_address.h"
#include "control/source.h"

static int by_address(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct addr));
}

/* The order of an answer changes with every question; only another set of addresses is news. */
static struct source_list list_of(const struct source *s, const struct addr *addrs, uint32_t n)
{
	struct addr sorted[RESOLVE_ADDRS_MAX];
	struct source_list list = source_list_new(n);
	struct str host = arena_str(&list.texts, str_of(s->name));

	memset(sorted, 0, sizeof(sorted));
	for (uint32_t i = 0; i < n; i++)
		sorted[i] = addrs[i];
	qsort(sorted, n, sizeof(*sorted), by_address);
	for (uint32_t i = 0; i < n; i++) {
		backend_address_set(&list.texts, &list.v[i], &sorted[i]);
		list.v[i].host = host;
		list.v[i].weight = 1;
	}
	return list;
}

static bool has_family(const struct addr *addrs, uint32_t n, uint8_t family)
{
	for (uint32_t i = 0; i < n; i++)
		if (addrs[i].family == family)
			return true;
	return false;
}

static bool said_family(const struct source *s, uint8_t family)
{
	for (uint32_t i = 0; i < s->said.n; i++)
		if (s->said.v[i].addr.family == family)
			return true;
	return false;
}

static void conclude(struct source *s, const struct addr *addrs, uint32_t n, uint32_t ttl_s)
{
	struct source_list list = list_of(s, addrs, n);

	source_again_after_ttl(s, ttl_s);
	source_heard(s, &list);
}

/* What an answer said, while the family that it lacks is asked for by itself. */
struct doubt {
	struct resolve_answer answer;
	uint8_t family; /* enum addr_family */
};

static void on_second_answer(const struct resolve_answer *second, void *ctx)
{
	struct source *s = ctx;
	struct doubt *doubt = s->private;
	struct resolve_answer *all = &doubt->answer;

	s->question = NULL;
	s->private = NULL;
	for (uint32_t i = 0; i < second->n && all->n < RESOLVE_ADDRS_MAX; i++)
		all->addrs[all->n++] = second->addrs[i];
	/* Nobody has said that there are none: they stay. */
	for (uint32_t i = 0; !second->none && second->n == 0 && i < s->said.n && all->n < RESOLVE_ADDRS_MAX;
		i++)
		if (s->said.v[i].addr.family == doubt->family)
			all->addrs[all->n++] = s->said.v[i].addr;
	conclude(s, all->addrs, all->n, all->ttl_s);
	free(doubt);
}

/* c-ares takes one family for the whole answer when the question for the other has failed. Before the addresses of a whole family
 * go, they are asked for once more. */
static bool is_doubtful(struct source *s, const struct resolve_answer *answer)
{
	uint8_t missing;
	struct doubt *doubt;

	if (said_family(s, ADDR_IP4) && !has_family(answer->addrs, answer->n, ADDR_IP4))
		missing = ADDR_IP4;
	else if (said_family(s, ADDR_IP6) && !has_family(answer->addrs, answer->n, ADDR_IP6))
		missing = ADDR_IP6;
	else
		return false;
	doubt = malloc(sizeof(*doubt));
	MUST(doubt);
	doubt->answer = *answer;
	doubt->family = missing;
	s->private = doubt;
	s->question = resolver_ask(&s->discovery->resolver, s->name, s->port,
		missing == ADDR_IP4 ? RESOLVE_IP4 : RESOLVE_IP6, on_second_answer, s);
	return true;
}

static void on_answer(const struct resolve_answer *answer, void *ctx)
{
	struct source *s = ctx;

	s->question = NULL;
	if (answer->n == 0) {
		source_again(s, SOURCE_RETRY_MS);
		source_failed(s, answer->error);
	} else if (!is_doubtful(s, answer)) {
		conclude(s, answer->addrs, answer->n, answer->ttl_s);
	}
}

static void end(struct source *s)
{
	free(s->private);
	s->private = NULL;
}

static void ask(struct source *s)
{
	end(s);
	if (source_resolver(s))
		s->question =
			resolver_ask(&s->discovery->resolver, s->name, s->port, RESOLVE_BOTH, on_answer, s);
	else
		source_again(s, SOURCE_RETRY_MS);
}

const struct source_kind source_dns = {"dns", ask, end};
