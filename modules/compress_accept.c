#include "compress_accept.h"

#define UNSAID 1001 /* thousandths: no weight was given */

/* "q=0.5" behind a coding, in thousandths (RFC 9110 12.4.2); what is malformed counts for nothing. */
static unsigned weight(struct str parameters)
{
	struct str one = str_trim(parameters);
	unsigned q, unit = 100;

	if (one.n == 0)
		return 1000;
	if (one.n < 3 || (one.p[0] != 'q' && one.p[0] != 'Q') || one.p[1] != '=' ||
		(one.p[2] != '0' && one.p[2] != '1'))
		return 0;
	q = one.p[2] == '1' ? 1000 : 0;
	for (size_t i = 4; i < one.n && unit; i++, unit /= 10) {
		if (one.p[3] != '.' || one.p[i] < '0' || one.p[i] > '9')
			return 0;
		q += (unsigned)(one.p[i] - '0') * unit;
	}
	return MIN(q, 1000u);
}

struct wishes {
	unsigned of[CODINGS + 1]; /* CODING_IDENTITY too */
	unsigned others; /* "*" */
};

static void note(struct wishes *w, struct str coding, unsigned q)
{
	if (str_eq(coding, STR("*")))
		w->others = q;
	else if (str_case_eq(coding, STR("identity")))
		w->of[CODING_IDENTITY] = q;
	for (int i = 0; i < CODINGS; i++)
		if (str_case_eq(coding, coding_rows[i].name) ||
			(coding_rows[i].alias.n && str_case_eq(coding, coding_rows[i].alias)))
			w->of[i] = q;
}

static void read_field(struct wishes *w, struct str list)
{
	struct str element;

	while (str_next_element(&list, &element)) {
		struct str coding = str_trim(str_head(element, str_find(element, ';')));

		note(w, coding, weight(str_skip(element, str_find(element, ';') + 1)));
	}
}

static unsigned wish_for(const struct wishes *w, enum coding coding)
{
	if (w->of[coding] != UNSAID)
		return w->of[coding];
	return w->others == UNSAID ? 0 : w->others;
}

enum coding accept_coding(const struct fields *request, const uint8_t *offered, uint32_t n)
{
	struct wishes w = {.others = UNSAID};
	enum coding best = CODING_IDENTITY;
	unsigned best_q = 0;

	for (int i = 0; i <= CODING_IDENTITY; i++)
		w.of[i] = UNSAID;
	for (uint32_t i = 0; i < request->n; i++)
		if (request->v[i].id == FIELD_ACCEPT_ENCODING)
			read_field(&w, field_value(&request->v[i]));
	for (uint32_t i = 0; i < n; i++) {
		unsigned q = wish_for(&w, (enum coding)offered[i]);

		if (q > best_q) {
			best = (enum coding)offered[i];
			best_q = q;
		}
	}
	/* Who gives the body as it is a weight of its own may prefer it. */
	if (w.of[CODING_IDENTITY] != UNSAID && w.of[CODING_IDENTITY] > best_q)
		return CODING_IDENTITY;
	return best;
}
