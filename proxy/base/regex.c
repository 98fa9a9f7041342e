#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/regex.h"

#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/obj.h"

/* PCRE2's own limit is a hundred times as high, and bounds what a pattern may set for itself: the last one counts. */
static const char steps[] = "(*LIMIT_MATCH=100000)";

/* The names of weir's side: what they stand for is PCRE2's. */
static const pcre2_code *code_of(const struct regex *re)
{
	return (const pcre2_code *)(const void *)re;
}

struct regex *regex_compile(struct str pattern, char *err, size_t err_n)
{
	size_t before = sizeof(steps) - 1, n = before + pattern.n;
	char *text = malloc(n);
	PCRE2_UCHAR why[128];
	PCRE2_SIZE at;
	pcre2_code *code;
	int error;

	MUST(text);
	memcpy(text, steps, before);
	if (pattern.n)
		memcpy(text + before, pattern.p, pattern.n);
	code = pcre2_compile((PCRE2_SPTR)text, n, PCRE2_ANCHORED | PCRE2_ENDANCHORED, &error, &at, NULL);
	free(text);
	if (code) {
		pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* without JIT it works too */
		return (struct regex *)(void *)code;
	}
	pcre2_get_error_message(error, why, sizeof(why));
	snprintf(err, err_n, "broken at character %zu: %s", at > before ? (size_t)at - before + 1 : 1,
		(const char *)why);
	return NULL;
}

void regex_free(struct regex *re)
{
	pcre2_code_free((pcre2_code *)(void *)re);
}

struct regex_room *regex_room_new(unsigned captures)
{
	pcre2_match_data *m = pcre2_match_data_create(captures, NULL);

	MUST(m);
	return (struct regex_room *)(void *)m;
}

void regex_room_free(struct regex_room *room)
{
	pcre2_match_data_free((pcre2_match_data *)(void *)room);
}

static int match(const struct regex *re, struct regex_room *room, struct str subject)
{
	return pcre2_match(code_of(re), (PCRE2_SPTR)(subject.p ? subject.p : ""), subject.n, 0, 0,
		(pcre2_match_data *)(void *)room, NULL);
}

bool regex_matches(const struct regex *re, struct str subject)
{
	/* Only whether it matches is asked, so one pair of offsets will do; it is made per call because threads share the code. */
	struct regex_room *room = regex_room_new(1);
	int n = match(re, room, subject);

	regex_room_free(room);
	return n >= 0;
}

bool regex_capture(const struct regex *re, struct regex_room *room, struct str subject, struct str *captures)
{
	pcre2_match_data *m = (pcre2_match_data *)(void *)room;
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(m);
	int n = match(re, room, subject);

	if (n == 0) /* it captures more than there is room for */
		n = (int)pcre2_get_ovector_count(m);
	for (int i = 0; i < n; i++)
		if (at[2 * i] != PCRE2_UNSET && at[2 * i] <= at[2 * i + 1])
			captures[i] = (struct str){subject.p + at[2 * i], at[2 * i + 1] - at[2 * i]};
	return n > 0;
}
