/* control/events.h - the last events, as they stand in the event log, for those who ask what has happened. */
#ifndef WEIR_CONTROL_EVENTS_H
#define WEIR_CONTROL_EVENTS_H

#include "control/admin/admin.h"

#define EVENT_RING_ENTRIES 2048
#define EVENT_RING_BYTES   (4u * 1024 * 1024) /* of their texts; older ones go */

struct event_entry {
	uint64_t number; /* of this process; with store.numbered_from the one that everybody sees */
	uint64_t at_ms; /* on the loop's clock */
	char *text; /* what follows {"number": 7, of one JSON object */
	uint32_t n;
	char name[48];
	char tenant[64]; /* empty: it is about none */
};

struct event_ring {
	struct loop *loop;
	struct event_entry v[EVENT_RING_ENTRIES]; /* by number */
	uint64_t first, next; /* numbers: the oldest that is kept, and that of the one to come; from 1 */
	size_t bytes;
	struct admin_topic changed;
};

void event_ring_init(struct event_ring *r, struct loop *l);
void event_ring_free(struct event_ring *r);
/* What an event is about: a tenant, or something of one whose name begins with the tenant's; empty: nothing of the kind. */
void event_tenant(const json_t *event, char *out, size_t cap);
/* line: an event as event_emit() writes it. */
void event_ring_add(struct event_ring *r, struct str line);
/* The first entry with at least that number; NULL: there is none yet. */
const struct event_entry *event_ring_from(const struct event_ring *r, uint64_t number);
/* The number of the first event of the last ms milliseconds. */
uint64_t event_ring_since(const struct event_ring *r, uint64_t ms);

#endif
