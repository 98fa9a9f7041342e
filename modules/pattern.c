#include "pattern.h"

bool pattern_has(struct str pattern, struct str s)
{
	size_t p = 0, i = 0, star = SIZE_MAX, from = 0;

	/* Only the last star is ever gone back to: time is bounded by the product of the lengths. */
	while (i < s.n) {
		if (p < pattern.n && pattern.p[p] == '*') {
			star = p++;
			from = i;
		} else if (p < pattern.n && pattern.p[p] == s.p[i]) {
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
