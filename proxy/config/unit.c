#include "config/unit.h"

#include "base/obj.h"

struct unit {
	struct str suffix;
	uint64_t factor;
};

/* Largest first: that is the order in which writers try them. */
static const struct unit durations[] = {
	{STR("h"), 3600000},
	{STR("m"), 60000},
	{STR("s"), 1000},
	{STR("ms"), 1},
};

static const struct unit sizes[] = {
	{STR("GiB"), 1ull << 30},
	{STR("GB"), 1000000000},
	{STR("MiB"), 1 << 20},
	{STR("MB"), 1000000},
	{STR("KiB"), 1 << 10},
	{STR("kB"), 1000},
	{STR("B"), 1},
	{STR(""), 1},
};

static bool with_unit(struct str s, const struct unit *units, size_t n, uint64_t *out)
{
	size_t digits = 0;
	struct str suffix;
	uint64_t number;

	while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
		digits++;
	if (!str_to_u64(str_head(s, digits), &number))
		return false;
	suffix = str_skip(s, digits);
	for (size_t i = 0; i < n; i++)
		if (str_eq(suffix, units[i].suffix))
			return !__builtin_mul_overflow(number, units[i].factor, out);
	return false;
}

bool unit_duration(struct str s, uint64_t *ms)
{
	if (str_eq(s, STR("0"))) {
		*ms = 0;
		return true;
	}
	return with_unit(s, durations, COUNT_OF(durations), ms);
}

bool unit_size(struct str s, uint64_t *bytes)
{
	return with_unit(s, sizes, COUNT_OF(sizes), bytes);
}

bool unit_share(struct str s, uint64_t *parts)
{
	uint64_t whole, hundredths = 0;
	struct str fraction;
	size_t point;

	if (!str_ends(s, STR("%")))
		return false;
	s.n--;
	point = str_find(s, '.');
	if (!str_to_u64(str_head(s, point), &whole) || whole > 100)
		return false;
	if (point < s.n) {
		fraction = str_skip(s, point + 1);
		if (fraction.n > 2 || !str_to_u64(fraction, &hundredths))
			return false;
		if (fraction.n == 1)
			hundredths *= 10;
	}
	*parts = whole * 100 + hundredths;
	return *parts <= UNIT_SHARE_ONE;
}

static void put_with_unit(uint64_t v, const struct unit *units, size_t n, struct text *out)
{
	for (size_t i = 0; i < n; i++) {
		if (v % units[i].factor == 0) {
			text_u64(out, v / units[i].factor);
			text_put(out, units[i].suffix);
			return;
		}
	}
}

void unit_duration_text(uint64_t ms, struct text *out)
{
	if (ms == 0)
		text_put(out, STR("0s"));
	else
		put_with_unit(ms, durations, COUNT_OF(durations), out);
}

void unit_size_text(uint64_t bytes, struct text *out)
{
	if (bytes == 0)
		text_char(out, '0');
	else
		put_with_unit(bytes, sizes, COUNT_OF(sizes), out);
}

void unit_share_text(uint64_t parts, struct text *out)
{
	text_u64(out, parts / 100);
	if (parts % 100) {
		text_char(out, '.');
		text_u64(out, parts % 100 / 10);
		if (parts % 10)
			text_u64(out, parts % 10);
	}
	text_char(out, '%');
}
