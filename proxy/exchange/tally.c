#include "exchange/tally.h"

#include <stdlib.h>
#include "base/obj.h"

void tally_free(struct tally *t)
{
	counters_free(t->codes, TALLY_CODES);
	counters_free(t->duration, HISTOGRAM_BUCKETS);
	counters_free(t->first_byte, HISTOGRAM_BUCKETS);
}

static void tallies_free(void *kept)
{
	struct tallies *all = kept;

	for (uint32_t i = 0; i < all->n; i++) {
		struct tally *t = atomic_load_explicit(&all->v[i], memory_order_relaxed);

		if (t)
			tally_free(t);
		free(t);
	}
	free(all);
}

void tallies_attach(struct slots *slots, struct slot *slot, uint32_t worker_n)
{
	struct tallies *all;

	if (slot->kept)
		return;
	all = calloc(1, sizeof(*all) + worker_n * sizeof(all->v[0]));
	MUST(all);
	all->n = worker_n;
	slot->kept = all;
	slots->forget = tallies_free;
}

static struct tally *tally_begin(struct tallies *all, uint32_t worker)
{
	struct tally *t = calloc(1, sizeof(*t));

	MUST(t);
	atomic_store_explicit(&all->v[worker], t, memory_order_release);
	return t;
}

struct tally *tally_of(const struct slot *slot, uint32_t worker)
{
	struct tallies *all = slot->kept;
	struct tally *t;

	if (!all || worker >= all->n)
		return NULL;
	t = atomic_load_explicit(&all->v[worker], memory_order_relaxed);
	return t ? t : tally_begin(all, worker);
}

static void count_requests(struct tally_sums *sums)
{
	sums->requests = 0;
	for (uint32_t i = 0; i < TALLY_CODES; i++)
		sums->requests += sums->codes[i];
}

void tally_sum(const struct tally *t, struct tally_sums *sums)
{
	counters_sum(t->codes, TALLY_CODES, sums->codes);
	counters_sum(t->duration, HISTOGRAM_BUCKETS, sums->duration);
	counters_sum(t->first_byte, HISTOGRAM_BUCKETS, sums->first_byte);
	sums->duration_us += counter_get(&t->duration_us);
	sums->first_byte_us += counter_get(&t->first_byte_us);
	sums->failures += counter_get(&t->failures);
	sums->bytes_in += counter_get(&t->bytes_in);
	sums->bytes_out += counter_get(&t->bytes_out);
	sums->retries += counter_get(&t->retries);
	sums->retries_denied += counter_get(&t->retries_denied);
	sums->in_flight += counter_get(&t->in_flight);
	count_requests(sums);
}

bool tallies_sum(const struct slot *slot, struct tally_sums *sums)
{
	const struct tallies *all = slot->kept;
	bool counted = false;

	memset(sums, 0, sizeof(*sums));
	for (uint32_t i = 0; all && i < all->n; i++) {
		const struct tally *t = atomic_load_explicit(&all->v[i], memory_order_acquire);

		if (!t)
			continue;
		counted = true;
		tally_sum(t, sums);
	}
	return counted;
}

uint64_t tallies_in_flight(const struct slot *slot)
{
	const struct tallies *all = slot->kept;
	uint64_t n = 0;

	for (uint32_t i = 0; all && i < all->n; i++) {
		const struct tally *t = atomic_load_explicit(&all->v[i], memory_order_acquire);

		n += t ? counter_get(&t->in_flight) : 0;
	}
	return n;
}

static void subtract(uint64_t *v, const uint64_t *now, const uint64_t *before, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		v[i] = now[i] - MIN(before[i], now[i]);
}

void tally_sums_since(
	const struct tally_sums *now, const struct tally_sums *before, struct tally_sums *window)
{
	if (now->requests < before->requests) {
		*window = *now;
		return;
	}
	subtract(window->codes, now->codes, before->codes, TALLY_CODES);
	subtract(window->duration, now->duration, before->duration, HISTOGRAM_BUCKETS);
	subtract(window->first_byte, now->first_byte, before->first_byte, HISTOGRAM_BUCKETS);
	subtract(&window->duration_us, &now->duration_us, &before->duration_us, 1);
	subtract(&window->first_byte_us, &now->first_byte_us, &before->first_byte_us, 1);
	subtract(&window->failures, &now->failures, &before->failures, 1);
	subtract(&window->bytes_in, &now->bytes_in, &before->bytes_in, 1);
	subtract(&window->bytes_out, &now->bytes_out, &before->bytes_out, 1);
	subtract(&window->retries, &now->retries, &before->retries, 1);
	subtract(&window->retries_denied, &now->retries_denied, &before->retries_denied, 1);
	window->in_flight = now->in_flight;
	count_requests(window);
}

double tally_sums_error_rate(const struct tally_sums *s)
{
	return s->requests ? (double)s->failures / (double)s->requests : 0;
}
