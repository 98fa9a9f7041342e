#include "exchange/filter.h"

void filters_add(struct filters *f, struct arena *a, const struct module_filter *filter, void *state)
{
	struct filter_step *step = arena_new(a, struct filter_step);

	step->filter = filter;
	step->state = state;
	if (!f->first)
		f->end = &f->first;
	*f->end = step;
	f->end = &step->next;
}

bool filters_pass(struct filters *f, struct mem *mem, struct chain *chain, bool last)
{
	bool ok = true;

	f->taken += chain->n;
	for (struct filter_step *step = f->first; step && ok; step = step->next) {
		struct chain out = {0};

		ok = step->filter->body(step->state, mem, chain, &out, last);
		chain_clear(mem, chain);
		*chain = out;
	}
	/* Room that nothing was put into: passed on, it would wait with the codec for the bytes that it is sent with. */
	if (chain->n == 0)
		chain_clear(mem, chain);
	f->on_way += chain->n;
	return ok;
}

void filters_trailers(const struct filters *f, struct fields *trailers)
{
	for (struct filter_step *step = f->first; step; step = step->next)
		if (step->filter->trailers)
			step->filter->trailers(step->state, trailers);
}

uint64_t filters_sent(struct filters *f, uint64_t n, uint64_t window)
{
	uint64_t due;

	f->on_way -= MIN(n, f->on_way);
	if (f->on_way > window / 2)
		return 0;
	due = f->taken;
	f->taken = 0;
	return due;
}

void filters_free(struct filters *f)
{
	for (struct filter_step *step = f->first; step; step = step->next)
		if (step->filter->free)
			step->filter->free(step->state);
	*f = (struct filters){0};
}
