#include "config/backend_list.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"
#include "config/report.h"

#define HEAD "backends:"

enum form { FORM_NOTHING, FORM_LINES, FORM_LIST, FORM_FLOW, FORM_MAP };

static struct str trim(struct str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = str_skip(s, 1);
	while (s.n && strchr(" \t\r", s.p[s.n - 1]))
		s.n--;
	return s;
}

/* The next line without its comment, trimmed; *rest is moved behind it. */
static struct str next_line(struct str *rest)
{
	size_t n = str_find(*rest, '\n');
	struct str line = str_head(*rest, n);

	*rest = str_skip(*rest, MIN(n + 1, rest->n));
	return trim(str_head(line, str_find(line, '#')));
}

/* What the first line that says anything looks like. */
static enum form form_of(struct str text)
{
	while (text.n) {
		struct str line = next_line(&text);

		if (line.n == 0)
			continue;
		if (line.p[0] == '-')
			return FORM_LIST;
		if (line.p[0] == '[')
			return FORM_FLOW;
		if (line.p[0] == '{' || str_starts(line, STR(HEAD)))
			return FORM_MAP;
		return FORM_LINES;
	}
	return FORM_NOTHING;
}

static struct str next_word(struct str *line)
{
	size_t n = 0;
	struct str word;

	while (n < line->n && line->p[n] != ' ' && line->p[n] != '\t')
		n++;
	word = str_head(*line, n);
	*line = trim(str_skip(*line, n));
	return word;
}

/* Can it stand in YAML between single quotes, and mean itself? The environment is not for those who write lists. */
static bool is_quotable(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f || s.p[i] == '\'' || s.p[i] == '$')
			return false;
	return true;
}

static bool is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && !strchr("_-.", s.p[i]))
			return false;
	return s.n > 0;
}

/* One line as an element of a YAML list. False: it cannot be one. */
static bool put_line(FILE *f, struct str line)
{
	struct str address = next_word(&line);

	if (!is_quotable(address))
		return false;
	fprintf(f, "- {address: '" STR_FMT "'", STR_ARG(address));
	while (line.n) {
		struct str word = next_word(&line), key = str_head(word, str_find(word, '='));
		struct str value = str_skip(word, MIN(key.n + 1, word.n));

		if (!is_plain(key) || !is_plain(value))
			return false;
		fprintf(f, ", " STR_FMT ": " STR_FMT, STR_ARG(key), STR_ARG(value));
	}
	fputc('}', f);
	return true;
}

/* Line by line, so that the places of mistakes stay right. Returns the number of the line that is none, or 0. */
static uint32_t put_lines(FILE *f, struct str text)
{
	for (uint32_t number = 1; text.n; number++) {
		struct str line = next_line(&text);

		if (line.n && !put_line(f, line))
			return number;
		fputc('\n', f);
	}
	return 0;
}

/* The text as a mapping with the key that the table knows; malloc'ed. *bad_line: of a line that is neither. */
static char *as_mapping(enum form form, struct str text, uint32_t *bad_line)
{
	char *out = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&out, &n);

	MUST(f);
	*bad_line = 0;
	if (form == FORM_LINES || form == FORM_LIST)
		fputs(HEAD "\n", f);
	else if (form == FORM_FLOW)
		fputs(HEAD " ", f);
	if (form == FORM_LINES)
		*bad_line = put_lines(f, text);
	else
		fwrite(text.p, 1, text.n, f);
	fclose(f);
	return out;
}

static struct conf *refuse(const char *name, struct conf_report *report, uint32_t line, const char *why)
{
	struct str file = str_of(name);
	struct conf files = {.names = &file, .file_n = 1};

	report_init(report);
	conf_report_add(report, &files, (struct conf_place){0, line ? 1 : 0, line}, false, "%s", why);
	return NULL;
}

static void refuse_nested(struct conf **c, struct conf_report *report)
{
	for (uint32_t i = 0; i < (*c)->listed_n; i++)
		if ((*c)->listed[i].kind == CONF_FILE)
			conf_report_add(report, *c, (*c)->listed[i].place, false,
				"a list cannot name another file: " STR_FMT,
				STR_ARG((*c)->listed[i].address));
	if (report->errors == 0)
		return;
	conf_free(*c);
	*c = NULL;
}

struct conf *backend_list_load(const char *name, struct str text, struct conf_report *report)
{
	enum form form = form_of(text);
	uint32_t bad_line;
	struct conf *c;
	char *mapping;

	if (form == FORM_NOTHING)
		return refuse(name, report, 0, "the list is empty; a list of nobody is written []");
	mapping = as_mapping(form, text, &bad_line);
	if (bad_line) {
		free(mapping);
		return refuse(name, report, bad_line,
			"not a backend: write ADDRESS, then KEY=VALUE for its other keys");
	}
	c = conf_load_members(name, str_of(mapping), report);
	free(mapping);
	if (c)
		refuse_nested(&c, report);
	/* The line that was put in front is nobody's. */
	for (uint32_t i = 0; (form == FORM_LINES || form == FORM_LIST) && i < report->n; i++)
		report->v[i].place.line -= report->v[i].place.line > 1;
	return c;
}
