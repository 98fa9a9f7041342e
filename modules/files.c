#include "files.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool file_read(struct str path, size_t max, struct str *content, char *err, size_t err_n)
{
	const char *why = "memory is short";
	int fd = file_open(path.p, &why);
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
	char *text = f ? malloc(max + 1) : NULL;
	bool good;

	if (!f) {
		snprintf(err, err_n, "cannot read " STR_FMT ": %s", STR_ARG(path), why);
		if (fd >= 0)
			close(fd);
		return false;
	}
	MUST(text);
	content->n = fread(text, 1, max, f);
	good = !ferror(f) && fgetc(f) == EOF;
	if (!good)
		snprintf(err, err_n, ferror(f) ? "cannot read " STR_FMT : STR_FMT " is longer than %zu bytes",
			STR_ARG(path), max);
	fclose(f);
	if (!good) {
		free(text);
		return false;
	}
	text[content->n] = '\0';
	content->p = text;
	return true;
}
