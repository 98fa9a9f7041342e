#include "config/suggest.h"

#include "base/obj.h"

#define WORD_MAX 63
#define FAR      1000

/* Damerau-Levenshtein, optimal string alignment: three rows are enough. */
unsigned suggest_distance(struct str a, struct str b)
{
	unsigned rows[3][WORD_MAX + 1];
	unsigned *before = rows[0], *above = rows[1], *row = rows[2];

	if (a.n > WORD_MAX || b.n > WORD_MAX)
		return FAR;
	for (size_t j = 0; j <= b.n; j++)
		above[j] = (unsigned)j;
	for (size_t i = 1; i <= a.n; i++) {
		unsigned *free_row = before;

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b.n; j++) {
			char x = str_lower_char(a.p[i - 1]), y = str_lower_char(b.p[j - 1]);
			unsigned best = above[j - 1] + (x != y);

			best = MIN(best, above[j] + 1);
			best = MIN(best, row[j - 1] + 1);
			if (i > 1 && j > 1 && x == str_lower_char(b.p[j - 2]) &&
				y == str_lower_char(a.p[i - 2]))
				best = MIN(best, before[j - 2] + 1);
			row[j] = best;
		}
		before = above;
		above = row;
		row = free_row;
	}
	return above[b.n];
}

void suggest_try(struct suggestion *s, struct str candidate)
{
	unsigned limit = s->word.n < 3 ? 1 : (unsigned)(s->word.n + 2) / 3;
	unsigned distance = suggest_distance(s->word, candidate);

	if (distance > limit || distance >= candidate.n || (s->best.n && distance >= s->distance))
		return;
	s->best = candidate;
	s->distance = distance;
}

/* Begins and ends like the word, with its letters in their order; numbers tell versions apart, so the end counts. */
static bool is_short_for(struct str candidate, struct str word)
{
	size_t found = 0;

	if (candidate.n < 2 || candidate.n >= word.n ||
		str_lower_char(candidate.p[0]) != str_lower_char(word.p[0]) ||
		str_lower_char(candidate.p[candidate.n - 1]) != str_lower_char(word.p[word.n - 1]))
		return false;
	for (size_t i = 0; i < word.n && found < candidate.n; i++)
		found += str_lower_char(word.p[i]) == str_lower_char(candidate.p[found]);
	return found == candidate.n;
}

void suggest_try_short(struct suggestion *s, struct str candidate)
{
	if (!is_short_for(candidate, s->word)) {
		suggest_try(s, candidate);
	} else if (!s->best.n || s->distance > 0) {
		s->best = candidate;
		s->distance = 0;
	}
}
