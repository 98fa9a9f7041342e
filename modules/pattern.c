#include "pattern.h"

/* RFC 2253 2.4: behind a backslash it is part of a value, not what stands between two. */
static bool is_escaped(struct str s, size_t at)
{
	size_t n = 0;

	while (n < at && s.p[at - n - 1] == '\\')
		n++;
	return n % 2;
}

static bool is_same(struct str pattern, size_t p, struct str s, size_t i)
{
	return pattern.p[p] == s.p[i] &&
	       ((s.p[i] != ',' && s.p[i] != '+') || is_escaped(pattern, p) == is_escaped(s, i));
}

bool pattern_has(struct str pattern, struct str s)
{
	size_t p = 0, i = 0, star = SIZE_MAX, from = 0;

	/* Only the last star is ever gone back to: time is bounded by the product of the lengths. */
	while (i < s.n) {
		if (p < pattern.n && pattern.p[p] == '*') {
			star = p++;
			from = i;
		} else if (p < pattern.n && is_same(pattern, p, s, i)) {
			p++;
			i++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			i = ++from;
		} else {
			return false;
		}
	}
	while (p < pattern.n && pattern.p[p] == '*')
		p++;
	return p == pattern.n;
}

bool patterns_have(const struct conf_strs *patterns, struct str s)
{
	for (uint32_t i = 0; i < patterns->n; i++)
		if (pattern_has(patterns->v[i], s))
			return true;
	return false;
}
