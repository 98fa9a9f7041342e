#include "cli/progress.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BAR 20

static bool is_watched(void)
{
	const char *term = getenv("TERM");

	return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

void progress(unsigned long long done, unsigned long long all, const char *fmt, ...)
{
	unsigned long long full = all ? BAR * done / all : 0;
	va_list ap;

	if (!is_watched())
		return;
	fputs("\r\033[K[", stderr);
	for (unsigned long long i = 0; i < BAR; i++)
		fputc(i < full ? '#' : '-', stderr);
	fputs("] ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fflush(stderr);
}

void progress_end(void)
{
	if (is_watched())
		fputs("\r\033[K", stderr);
}
