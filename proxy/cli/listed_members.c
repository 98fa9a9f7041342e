#include "cli/listed_members.h"

#include <stdlib.h>
#include "config/backend_address.h"
#include "config/backend_list.h"
#include "config/load.h"

/* No two of the same address. */
static void add(struct listed_members *m, struct conf_backend member)
{
	if (map_get(&m->seen, member.address))
		return;
	if (m->n == m->cap) {
		m->cap = m->cap ? 2 * m->cap : 16;
		m->v = realloc(m->v, m->cap * sizeof(*m->v));
		MUST(m->v);
	}
	m->v[m->n++] = member;
	map_put(&m->seen, member.address, m);
}

/* NULL: not a list. What is returned lives as long as m. */
static const struct conf *read_list(struct listed_members *m, struct str path)
{
	struct conf_report report;
	struct conf *list = NULL;
	struct arena bytes;
	struct str text;
	const char *why;

	arena_init(&bytes, NULL);
	if (load_file(&bytes, path.p, BACKEND_LIST_BYTES_MAX, &text, &why)) {
		list = backend_list_load(path.p, text, &report);
		conf_report_free(&report);
	}
	arena_free(&bytes);
	if (!list)
		return NULL;
	m->lists = realloc(m->lists, (m->list_n + 1) * sizeof(struct conf *));
	MUST(m->lists);
	m->lists[m->list_n++] = list;
	return list;
}

static struct roster members(void *ctx, struct str pool_key, const struct conf_pool *pool)
{
	struct listed_members *m = ctx;

	(void)pool_key;
	m->n = 0;
	map_free(&m->seen);
	for (uint32_t i = 0; i < pool->backend_n; i++) {
		const struct conf_backend *entry = &pool->backends[i];
		const struct conf *list = entry->kind == CONF_FILE ? read_list(m, entry->file) : NULL;

		if (!list)
			add(m, *entry);
		for (uint32_t j = 0; list && j < list->listed_n; j++)
			add(m, backend_inherit(list->listed[j], entry));
	}
	return (struct roster){m->v, m->n, POOL_KNOWN};
}

struct roster_source listed_members_source(struct listed_members *m)
{
	return (struct roster_source){members, m};
}

void listed_members_free(struct listed_members *m)
{
	for (uint32_t i = 0; i < m->list_n; i++)
		conf_free(m->lists[i]);
	free(m->lists);
	free(m->v);
	map_free(&m->seen);
}
