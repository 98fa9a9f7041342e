#include "exchange/dependency.h"

#include <stdlib.h>
#include <string.h>
#include "base/obj.h"

void dependency_good(struct dependency *d)
{
	atomic_store_explicit(&d->well, true, memory_order_relaxed);
	atomic_fetch_add_explicit(&d->good, 1, memory_order_release);
}

/* Most of many failures find the text of an earlier one, and leave it at that. */
void dependency_bad(struct dependency *d, const char *problem)
{
	char *text, *none = NULL;

	if (!atomic_load_explicit(&d->problem, memory_order_relaxed)) {
		text = strdup(problem);
		MUST(text);
		if (!atomic_compare_exchange_strong_explicit(
			    &d->problem, &none, text, memory_order_release, memory_order_relaxed))
			free(text);
	}
	atomic_store_explicit(&d->well, false, memory_order_relaxed);
	atomic_fetch_add_explicit(&d->bad, 1, memory_order_release);
}

void dependency_remark(struct dependency *d, const char *remark)
{
	char *text = strdup(remark);

	MUST(text);
	free(atomic_exchange_explicit(&d->remark, text, memory_order_acq_rel));
}

char *dependency_take_remark(struct dependency *d)
{
	return atomic_exchange_explicit(&d->remark, NULL, memory_order_acquire);
}

char *dependency_take_problem(struct dependency *d)
{
	return atomic_exchange_explicit(&d->problem, NULL, memory_order_acquire);
}

void dependency_clear(struct dependency *d)
{
	free(dependency_take_problem(d));
	free(dependency_take_remark(d));
}
