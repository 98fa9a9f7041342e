#include "networks.h"

#include <stdlib.h>

#define ROOTS 2

static uint32_t node_new(struct networks *all)
{
	if (all->n == all->cap) {
		all->cap = all->cap ? all->cap * 2 : 64;
		all->v = realloc(all->v, all->cap * sizeof(*all->v));
		MUST(all->v);
	}
	all->v[all->n] = (struct network_node){0};
	return all->n++;
}

static unsigned bit_of(const struct addr *a, unsigned i)
{
	return a->ip[i / 8] >> (7 - i % 8) & 1;
}

static bool root_of(const struct addr *a, uint32_t *at, unsigned *bits)
{
	*at = a->family == ADDR_IP6;
	*bits = a->family == ADDR_IP6 ? 128 : 32;
	return a->family == ADDR_IP4 || a->family == ADDR_IP6;
}

void networks_add(struct networks *all, const struct cidr *net, uint8_t mark)
{
	uint32_t at;
	unsigned bits;

	while (all->n < ROOTS)
		node_new(all);
	if (!root_of(&net->net, &at, &bits))
		return;
	for (unsigned i = 0; i < net->bits; i++) {
		unsigned bit = bit_of(&net->net, i);

		if (!all->v[at].child[bit]) {
			uint32_t child = node_new(all); /* which may move all */

			all->v[at].child[bit] = child;
		}
		at = all->v[at].child[bit];
	}
	all->v[at].mark = MAX(all->v[at].mark, mark);
}

uint8_t networks_find(const struct networks *all, const struct addr *a)
{
	uint32_t at;
	unsigned bits;
	uint8_t mark;

	if (!all->n || !root_of(a, &at, &bits))
		return 0;
	mark = all->v[at].mark;
	for (unsigned i = 0; i < bits; i++) {
		at = all->v[at].child[bit_of(a, i)];
		if (!at)
			break;
		if (all->v[at].mark)
			mark = all->v[at].mark;
	}
	return mark;
}

void networks_free(struct networks *all)
{
	free(all->v);
	*all = (struct networks){0};
}
