#include "cli/term.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "base/obj.h"
#include "base/str.h"

#define NARROWEST 40
#define WIDEST    100 /* longer lines are hard to read */

unsigned term_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	uint64_t n;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		return size.ws_col;
	return columns && str_to_u64(str_of(columns), &n) && n < 10000 ? (unsigned)n : 0;
}

unsigned term_text_width(void)
{
	unsigned width = term_width();

	return width ? MAX(MIN(width, WIDEST), NARROWEST) : WIDEST;
}

/* Columns of UTF-8 text, none of which is wide. */
static unsigned columns_of(struct str s)
{
	unsigned n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

static void new_line(FILE *f, unsigned indent)
{
	fprintf(f, "\n%*s", (int)indent, "");
}

void term_wrap(FILE *f, const char *text, unsigned indent, unsigned width)
{
	struct str rest = str_of(text);
	unsigned column = indent;
	bool joins = false; /* the line before goes on in this one */

	for (bool first = true; rest.n; first = false) {
		struct str line = str_head(rest, str_find(rest, '\n'));
		bool keeps = line.n == 0 || line.p[0] == ' ';

		rest = str_skip(rest, line.n + 1);
		if (!first && (keeps || !joins)) {
			new_line(f, line.n ? indent : 0);
			column = indent;
		}
		joins = !keeps;
		if (keeps) {
			fwrite(line.p, 1, line.n, f);
			continue;
		}
		while (line.n) {
			struct str word = str_head(line, str_find(line, ' '));
			unsigned n = columns_of(word);

			line = str_skip(line, word.n + 1);
			if (column > indent && column + 1 + n > width) {
				new_line(f, indent);
				column = indent;
			} else if (column > indent) {
				fputc(' ', f);
				column++;
			}
			fwrite(word.p, 1, word.n, f);
			column += n;
		}
	}
}
