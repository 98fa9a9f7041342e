#include "config/report.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"

void report_init(struct conf_report *r)
{
	*r = (struct conf_report){0};
	arena_init(&r->arena, NULL);
}

void conf_report_free(struct conf_report *r)
{
	free(r->v);
	arena_free(&r->arena);
	*r = (struct conf_report){0};
}

static struct str format(struct arena *a, const char *fmt, va_list ap)
{
	va_list again;
	char *p;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	MUST(n >= 0);
	p = arena_bytes(a, (size_t)n + 1);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	return (struct str){p, (size_t)n};
}

void report_add_in(struct conf_report *r, struct str file, struct conf_place at, bool warning,
	const char *fmt, va_list ap)
{
	struct conf_problem *last = r->n ? &r->v[r->n - 1] : NULL;
	struct str name = last && str_eq(last->file, file) ? last->file : arena_str(&r->arena, file);

	if (r->n == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 16;
		r->v = realloc(r->v, r->cap * sizeof(*r->v));
		MUST(r->v);
	}
	r->v[r->n++] = (struct conf_problem){at, name, warning, format(&r->arena, fmt, ap)};
	if (!warning)
		r->errors++;
}

void conf_report_add(
	struct conf_report *r, const struct conf *c, struct conf_place at, bool warning, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report_add_in(r, at.file < c->file_n ? c->names[at.file] : STR("?"), at, warning, fmt, ap);
	va_end(ap);
}

static int by_place(const void *a, const void *b)
{
	const struct conf_problem *p = a, *q = b;
	const struct conf_place *x = &p->place, *y = &q->place;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->col != y->col)
		return x->col < y->col ? -1 : 1;
	return str_cmp(p->text, q->text);
}

void report_sort(struct conf_report *r)
{
	if (r->n)
		qsort(r->v, r->n, sizeof(*r->v), by_place);
}

char *conf_report_text(const struct conf_report *r)
{
	char *out = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&out, &n);

	MUST(f);
	for (uint32_t i = 0; i < r->n; i++) {
		const struct conf_problem *p = &r->v[i];

		fprintf(f, STR_FMT ":", STR_ARG(p->file));
		if (p->place.line)
			fprintf(f, "%u:%u:", p->place.line, p->place.col);
		fprintf(f, " %s" STR_FMT "\n", p->warning ? "warning: " : "", STR_ARG(p->text));
	}
	fclose(f);
	return out;
}

/* What came from the file may be cut inside a character: then it is shown with replacements rather than lost. */
static json_t *json_text(struct str s)
{
	json_t *j = json_stringn(s.p, s.n);
	char *clean;

	if (j)
		return j;
	clean = malloc(s.n + 1);
	MUST(clean);
	for (size_t i = 0; i < s.n; i++)
		clean[i] = (signed char)s.p[i] < 0 ? '?' : s.p[i];
	j = json_stringn(clean, s.n);
	free(clean);
	return j;
}

char *conf_report_json(const struct conf_report *r)
{
	json_t *all = json_array();
	char *out;

	for (uint32_t i = 0; i < r->n; i++) {
		const struct conf_problem *p = &r->v[i];

		json_array_append_new(all,
			json_pack("{s:o, s:I, s:I, s:s, s:o}", "file", json_text(p->file), "line",
				(json_int_t)p->place.line, "column", (json_int_t)p->place.col, "severity",
				p->warning ? "warning" : "error", "message", json_text(p->text)));
	}
	out = json_dumps(all, JSON_INDENT(2));
	json_decref(all);
	MUST(out);
	return out;
}
