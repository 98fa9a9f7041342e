/* control/source_srv.c - `srv:NAME`: the targets of SRV records (RFC 2782), each a dns: of its own. */
#include <stdlib.h>
#include "base/obj.h"
#include "config/backend_address.h"
#include "control/source.h"

#define WEIGHT_MAX 1000u /* of a backend; DNS has up to 65535 */

/* In an order that does not change with every answer. */
static int by_rank(const void *a, const void *b)
{
	const struct srv_record *x = a, *y = b;
	int targets = strcmp(x->target, y->target);

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return targets ? targets : (int)x->port - (int)y->port;
}

/* Shares stay what they are, but for the smallest; 0 means "hardly any" beside others, and an even share among zeros. */
static uint32_t weight_of(const struct srv_record *r, uint32_t heaviest)
{
	uint32_t weight = heaviest > WEIGHT_MAX ? r->weight * WEIGHT_MAX / heaviest : r->weight;

	return MAX(weight, 1u);
}

static void fill(struct conf_backend *b, struct arena *a, const struct srv_record *r)
{
	size_t n = strlen(r->target);
	struct addr literal;

	b->host = arena_str(a, (struct str){r->target, n});
	b->port = r->port;
	b->kind = CONF_DNS;
	b->address = arena_fmt(a, "dns:%s:%u", r->target, r->port);
	if (addr_parse_ip(&literal, b->host)) {
		literal.port = r->port;
		backend_address_set(a, b, &literal);
	}
}

static struct source_list list_of(const struct srv_answer *answer)
{
	struct srv_record *sorted = calloc(answer->n, sizeof(*sorted));
	struct source_list list = source_list_new(answer->n);
	uint32_t group = 0, heaviest = 0;

	MUST(sorted);
	memcpy(sorted, answer->v, answer->n * sizeof(*sorted));
	qsort(sorted, answer->n, sizeof(*sorted), by_rank);
	for (uint32_t i = 0; i < answer->n; i++)
		heaviest = MAX(heaviest, (uint32_t)sorted[i].weight);
	for (uint32_t i = 0; i < answer->n; i++) {
		if (i && sorted[i].priority != sorted[i - 1].priority)
			group++;
		fill(&list.v[i], &list.texts, &sorted[i]);
		list.v[i].weight = weight_of(&sorted[i], heaviest);
		list.v[i].priority = MIN(group, (uint32_t)CONF_PRIORITIES - 1);
	}
	free(sorted);
	return list;
}

static void on_answer(const struct srv_answer *answer, void *ctx)
{
	struct source *s = ctx;
	struct source_list list;

	s->question = NULL;
	if (answer->n == 0) {
		source_again(s, SOURCE_RETRY_MS);
		source_failed(s, answer->error);
		return;
	}
	source_again_after_ttl(s, answer->ttl_s);
	list = list_of(answer);
	source_heard(s, &list);
}

static void ask(struct source *s)
{
	if (source_resolver(s))
		s->question = resolver_ask_srv(&s->discovery->resolver, s->name, on_answer, s);
	else
		source_again(s, SOURCE_RETRY_MS);
}

static void end(struct source *s)
{
	(void)s;
}

const struct source_kind source_srv = {"srv", ask, end};
