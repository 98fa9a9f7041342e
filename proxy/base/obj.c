#include "base/obj.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

void obj_panic(const char *file, int line, const char *what)
{
	char text[512];

	snprintf(text, sizeof(text), "%s:%d: %s", file, line, what);
	fprintf(stderr, "weir: %s\n", text);
	/* Whoever handles SIGABRT finds the text in the signal's value. */
	pthread_sigqueue(pthread_self(), SIGABRT, (union sigval){.sival_ptr = text});
	abort();
}
