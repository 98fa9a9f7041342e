/* spec.h - a head in the words of fake.h's scripts, and the scripts' steps. */
#ifndef WEIR_TESTS_EXCHANGE_SPEC_H
#define WEIR_TESTS_EXCHANGE_SPEC_H

#include "unit.h"
#include "base/obj.h"

#define FAKE_FIELDS 128

/* A head as a script has it, and as it is heard. */
struct spec {
	struct str method, path;
	unsigned status; /* 0: a request */
	bool end, stream, tunnel, expect, te, has_length;
	size_t length;
	struct {
		struct str name, value;
	} fields[FAKE_FIELDS];
	unsigned n;
};

static inline bool listed(const char *list, struct str name)
{
	char want[128];

	snprintf(want, sizeof(want), "," STR_FMT ",", STR_ARG(name));
	return list && strstr(list, want);
}

static inline struct str spec_value(const struct spec *s, const char *name)
{
	for (unsigned i = 0; i < s->n; i++)
		if (str_eq(s->fields[i].name, str_of(name)))
			return s->fields[i].value;
	return STR_NONE;
}

/* Where the first sep outside of brackets stands, or NULL. */
static inline const char *find_outside(const char *at, const char *sep)
{
	bool inside = false;

	for (; *at; at++) {
		inside = *at == '[' || (inside && *at != ']');
		if (!inside && strncmp(at, sep, strlen(sep)) == 0)
			return at;
	}
	return NULL;
}

/* The step that begins at *at; moves it to the next one, NULL after the last. */
static inline struct str next_step(const char **at)
{
	struct str step = {*at, strlen(*at)};
	const char *more = find_outside(*at, "; "), *part = find_outside(*at, " || ");

	if (part && (!more || part < more)) {
		step.n = (size_t)(part - *at);
		more = NULL;
	} else if (more) {
		step.n = (size_t)(more - *at);
	}
	*at = more ? more + 2 : NULL;
	return step;
}

/* The part of the script for the nth request, from 0; the last one for those after it. */
static inline const char *part_of(const char *script, unsigned n)
{
	while (n-- > 0) {
		const char *next = find_outside(script, " || ");

		if (!next)
			break;
		script = next + 4;
	}
	return script;
}

static inline void spec_add(struct spec *s, struct str name, struct str value)
{
	MUST(s->n < FAKE_FIELDS);
	s->fields[s->n].name = name;
	s->fields[s->n++].value = value;
}

static inline void spec_many(struct spec *s, unsigned n)
{
	static char names[FAKE_FIELDS][24];

	for (unsigned i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "x-many-%u", i);
		spec_add(s, str_of(names[i]), STR("a value of some length"));
	}
}

static inline struct str word(struct str *s)
{
	struct str w;

	*s = str_trim(*s);
	w = str_head(*s, str_find(*s, ' '));
	*s = str_skip(*s, w.n);
	return w;
}

static inline unsigned number(struct str s)
{
	uint64_t n;

	MUST(str_to_u64(s, &n));
	return (unsigned)n;
}

static inline void spec_attributes(struct spec *s, struct str rest)
{
	while ((rest = str_trim(rest)).n) {
		struct str w;

		if (rest.p[0] == '[') {
			struct str field = str_head(str_skip(rest, 1), str_find(rest, ']') - 1);

			rest = str_skip(rest, field.n + 2);
			spec_add(s, str_head(field, str_find(field, ':')),
				str_trim(str_skip(field, str_find(field, ':') + 1)));
			continue;
		}
		w = word(&rest);
		s->end |= str_eq(w, STR("end"));
		s->stream |= str_eq(w, STR("stream"));
		s->tunnel |= str_eq(w, STR("tunnel"));
		s->expect |= str_eq(w, STR("expect"));
		s->te |= str_eq(w, STR("te"));
		if (str_starts(w, STR("length="))) {
			s->has_length = true;
			s->length = number(str_skip(w, 7));
		}
		if (str_starts(w, STR("many=")))
			spec_many(s, number(str_skip(w, 5)));
	}
}

#endif
