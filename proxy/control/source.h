/* control/source.h - one name, SRV record or file that backends are found by: what it said last, and when it is asked again.
 *
 * source_dns.c, source_srv.c and source_file.c know how to ask; discovery.c what comes of it. */
#ifndef WEIR_CONTROL_SOURCE_H
#define WEIR_CONTROL_SOURCE_H

#include "control/discovery.h"

/* What a source says: an array and its texts, given away as one. */
struct source_list {
	struct conf_backend *v;
	uint32_t n;
	struct arena texts; /* v lies in it, unless `conf` is there */
	struct conf *conf; /* owner of v, when it was read by the configuration's tables */
};

struct source {
	struct discovery *discovery;
	const struct source_kind *kind;
	struct str key; /* malloc'ed */
	char *name; /* of the host or service, or the path */
	uint16_t port;
	uint64_t mark; /* of the last sweep that found it named */
	struct source *next_gone; /* within a sweep: another that nobody names any more */
	uint8_t lookup; /* enum pool_lookup */
	bool failing; /* the last attempt was in vain; told once */
	struct source_list said; /* what holds */
	struct source_list next; /* said since, but some of its own names have not been heard yet */
	bool has_next;
	struct deadline again;
	struct resolve *question; /* open; NULL: none */
	void *private; /* of its kind */
};

struct source_kind {
	const char *what; /* in events */
	/* Asks; source_heard() or source_failed() follow, later. */
	void (*ask)(struct source *s);
	/* Gives up what is open. */
	void (*end)(struct source *s);
};

extern const struct source_kind source_dns, source_srv, source_file;

/* -- for the kinds -- */
struct source_list source_list_new(uint32_t n);
/* It says this now. Takes the list. */
void source_heard(struct source *s, struct source_list *list);
/* It could not be asked, or made no sense: what it said last holds. why: for the event. */
void source_failed(struct source *s, const char *why);
/* The resolver is there to be asked; false when it cannot be set up. */
bool source_resolver(struct source *s);
/* Asks again in ms. */
void source_again(struct source *s, uint32_t ms);
/* After a time to live in seconds, 0: unknown; within bounds, in few steps because the loop keeps a queue for each. */
void source_again_after_ttl(struct source *s, uint32_t ttl_s);

#define SOURCE_RETRY_MS 2000 /* after a failure */

#endif
