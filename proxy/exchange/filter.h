/* exchange/filter.h - one direction's body filters, and the credit for what went into them.
 *
 * What comes out of a filter is not as long as what went in, so bytes sent on cannot be given back as credit one for one. Credit is
 * given for all that went in as soon as little enough of what came out is still on its way. */
#ifndef WEIR_EXCHANGE_FILTER_H
#define WEIR_EXCHANGE_FILTER_H

#include "exchange/module.h"

struct filter_step {
	const struct module_filter *filter;
	void *state;
	struct filter_step *next;
};

/* Zeroed: no filter. */
struct filters {
	struct filter_step *first, **end;
	uint64_t taken; /* bytes that went in and were not given credit for yet */
	uint64_t on_way; /* bytes that came out and have not been sent yet */
};

static inline bool filters_any(const struct filters *f)
{
	return f->first != NULL;
}

void filters_add(struct filters *f, struct arena *a, const struct module_filter *filter, void *state);
/* `chain` goes in, and is what came out. False: a filter cannot go on. */
bool filters_pass(struct filters *f, struct mem *mem, struct chain *chain, bool last);
/* What follows the end, in place: filters take out what speaks of a body that they changed. */
void filters_trailers(const struct filters *f, struct fields *trailers);
/* n bytes of what came out have been sent: how much credit is due. Call it with 0 when nothing came out. */
uint64_t filters_sent(struct filters *f, uint64_t n, uint64_t window);
void filters_free(struct filters *f);

#endif
