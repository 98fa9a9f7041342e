#include "cli/paint.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool wanted(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

const char *paint(enum paint p)
{
	static const char *const codes[] = {"\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[2m", "\x1b[1m"};

	return wanted() ? codes[p] : "";
}

const char *paint_end(void)
{
	return wanted() ? "\x1b[0m" : "";
}
