/* base/list.h - intrusive, circular, doubly linked lists. A link that is on no list points to itself or is
 * zeroed, so removal is always safe and "is it queued?" is one compare. */
#ifndef WEIR_BASE_LIST_H
#define WEIR_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l || l->next == NULL;
}

/* For a link: is it on some list? */
static inline bool list_linked(const struct list *link)
{
	return link->next != NULL && link->next != link;
}

static inline void list_insert_(struct list *link, struct list *prev, struct list *next)
{
	next->prev = link;
	link->next = next;
	link->prev = prev;
	prev->next = link;
}

static inline void list_push_front(struct list *l, struct list *link)
{
	list_insert_(link, l, l->next);
}

static inline void list_push_back(struct list *l, struct list *link)
{
	list_insert_(link, l->prev, l);
}

static inline void list_remove(struct list *link)
{
	if (link->next == NULL)
		return;
	link->prev->next = link->next;
	link->next->prev = link->prev;
	link->next = link->prev = link;
}

static inline struct list *list_first(const struct list *l)
{
	return list_empty(l) ? NULL : l->next;
}

static inline struct list *list_last(const struct list *l)
{
	return list_empty(l) ? NULL : l->prev;
}

static inline struct list *list_pop_front(struct list *l)
{
	struct list *link = list_first(l);

	if (link)
		list_remove(link);
	return link;
}

/* The loop variable is the link; the _safe form allows removing it. */
#define list_each(link, l) for (struct list *link = (l)->next; link != (l); link = link->next)
#define list_each_safe(link, l) \
	for (struct list *link = (l)->next, *next_##link = link->next; link != (l); \
		link = next_##link, next_##link = link->next)

#endif
