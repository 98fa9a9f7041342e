#include "upstream/adaptive.h"

#include <stdbool.h>
#include "base/obj.h"

#define ONE       1024u /* of a limit, and of a logarithm */
#define TOLERANCE 599u /* log2(1.5): what the mean may be above the floor */
#define STEEPEST  ONE /* log2(2): a limit is never more than halved */

/* log2(v) in 1/1024; between two powers of two a straight line, within 9%. */
static uint32_t log_2(uint64_t v)
{
	uint32_t whole;

	v = MAX(v, 1u);
	whole = 63 - (uint32_t)__builtin_clzll(v);
	return whole * ONE + (uint32_t)(((v << 10) >> whole) - ONE);
}

/* n times 2^-(down/1024), for what log_2() gives. */
static uint32_t shrunk(uint32_t n, uint32_t down)
{
	uint32_t whole = down / ONE, rest = down % ONE;

	/* 2^-x = 2^(1-x) / 2, and 2^y is 1+y on the straight line. */
	if (rest)
		n = (uint32_t)((uint64_t)n * (2 * ONE - rest) / (2 * ONE));
	return n >> whole;
}

/* In and out in 1/1024. */
static uint32_t root(uint32_t v)
{
	uint64_t n = (uint64_t)v * ONE, r = n, next = (r + 1) / 2;

	while (next < r) {
		r = next;
		next = (r + n / r) / 2;
	}
	return (uint32_t)r;
}

static uint32_t within(const struct adaptive *a, uint64_t limit)
{
	return (uint32_t)MIN(MAX(limit, (uint64_t)a->min * ONE), (uint64_t)a->max * ONE);
}

void adaptive_configure(struct adaptive *a, uint32_t min, uint32_t max)
{
	a->min = min;
	a->max = max;
	a->limit = within(a, a->limit ? a->limit : ADAPTIVE_START * ONE);
}

static bool is_looking(uint64_t us)
{
	return us / 1000 % ADAPTIVE_PERIOD_MS < ADAPTIVE_LOOK_MS;
}

uint32_t adaptive_limit(const struct adaptive *a, uint64_t now_us)
{
	uint32_t limit = a->limit / ONE;

	if (a->max == 0)
		return UINT32_MAX;
	return is_looking(now_us) ? MAX(limit / 2, a->min) : limit;
}

void adaptive_enter(struct adaptive *a, uint32_t in_flight)
{
	a->busiest = MAX(a->busiest, in_flight);
}

static void add(struct adaptive_window *w, uint64_t us)
{
	w->sum += log_2(us);
	w->n++;
}

static uint32_t mean_of(const struct adaptive_window *w)
{
	return (uint32_t)MAX(w->sum / w->n, 1u);
}

static void change(struct adaptive *a, uint64_t now_us)
{
	uint32_t latest = mean_of(&a->window), above, next = a->limit;

	/* One window is a small sample. */
	a->mean = a->mean ? (a->mean * 3 + latest) / 4 : latest;
	if (a->floor == 0 || a->mean < a->floor)
		a->floor = a->mean;
	above = a->mean > a->floor + TOLERANCE ? a->mean - a->floor - TOLERANCE : 0;
	/* A limit that nobody comes near has nothing to learn from good times. */
	if (above || (uint64_t)a->busiest * ONE * 2 >= a->limit)
		next = within(a, (uint64_t)shrunk(a->limit, MIN(above, STEEPEST)) + root(a->limit));
	a->limit = (a->limit + next + 1) / 2;
	a->changed_us = now_us;
	a->busiest = 0;
	a->window = (struct adaptive_window){0};
}

void adaptive_observe(struct adaptive *a, uint64_t start_us, uint64_t now_us)
{
	if (a->max == 0)
		return;
	if (is_looking(start_us)) {
		add(&a->look, now_us - start_us);
		return;
	}
	/* The look is over. Where it has seen next to nothing, there is no load that could hide the floor. */
	if (a->look.n >= ADAPTIVE_SAMPLES)
		a->floor = mean_of(&a->look);
	a->look = (struct adaptive_window){0};
	add(&a->window, now_us - start_us);
	if (a->window.n >= ADAPTIVE_SAMPLES && now_us - a->changed_us >= ADAPTIVE_WINDOW_MS * 1000)
		change(a, now_us);
}

void adaptive_overload(struct adaptive *a, uint64_t now_us)
{
	if (a->max == 0 || now_us - a->changed_us < ADAPTIVE_WINDOW_MS * 1000)
		return;
	a->limit = within(a, (uint64_t)a->limit * 9 / 10);
	a->changed_us = now_us;
}
