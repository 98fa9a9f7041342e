#include "base/roff.h"

#include <stdbool.h>

/* The character that closes what p opens, if something is marked there. */
static const char *marked(const char *p, const char *begin, const char *end)
{
	const char *close;

	if (*p == '`')
		return memchr(p + 1, '`', (size_t)(end - p - 1));
	if (*p != '*' || p + 1 == end || strchr(" .,*]\"", p[1]) || (p > begin && !strchr(" (", p[-1])))
		return NULL;
	close = memchr(p + 1, '*', (size_t)(end - p - 1));
	return close && (close + 1 == end || strchr(" .,;:)", close[1])) ? close : NULL;
}

static void put_char(FILE *f, char c)
{
	if (c == '\\')
		fputs("\\e", f);
	else if (c == '-')
		fputs("\\-", f);
	else if (c == '\'')
		fputs("\\(aq", f);
	else if (c == '^')
		fputs("\\(ha", f);
	else if (c == '~')
		fputs("\\(ti", f);
	else
		fputc(c, f);
}

void roff_words(FILE *f, struct str text)
{
	const char *end = text.p + text.n, *close = NULL;

	if (text.n && text.p[0] == '.')
		fputs("\\&", f);
	for (const char *p = text.p; p < end; p++) {
		if (close && p == close) {
			fputs("\\fR", f);
			close = NULL;
		} else if (!close && (close = marked(p, text.p, end))) {
			fputs(*p == '`' ? "\\fB" : "\\fI", f);
		} else {
			put_char(f, *p);
		}
	}
}

void roff_text(FILE *f, struct str text)
{
	bool kept = false;

	for (bool first = true; text.n; first = false) {
		struct str line = str_head(text, str_find(text, '\n'));
		bool keeps = line.n && line.p[0] == ' ';

		text = str_skip(text, line.n + 1);
		if (keeps != kept)
			fputs(keeps ? ".nf\n" : ".fi\n", f);
		kept = keeps;
		if (line.n == 0) {
			if (!first)
				fputs(".PP\n", f);
			continue;
		}
		roff_words(f, line);
		fputc('\n', f);
	}
	if (kept)
		fputs(".fi\n", f);
}
