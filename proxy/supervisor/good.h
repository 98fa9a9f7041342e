/* supervisor/good.h - the configuration that is served, kept by the supervisor for the day on which the file is broken and something has
 * to be started: in a file in state_dir for the next supervisor, by its descriptor for the next worker process.
 *
 * The supervisor reads the file itself, and keeps it if it is the one that the worker process says it serves: what root starts
 * with is never what an unprivileged process has written. */
#ifndef WEIR_SUPERVISOR_GOOD_H
#define WEIR_SUPERVISOR_GOOD_H

#include <jansson.h>
#include "io/loop.h"

struct conf;
struct conf_report;
struct supervisor;

struct good {
	int fd; /* last_good_write(), or last_good_hold() if it could not be written; -1: nothing is kept */
	json_int_t kept,
		served; /* fingerprints: of what is kept, and of what the worker process serves; 0: none */
	struct deadline later; /* armed for a while after a look: reloads may come in storms */
	bool lost; /* it could not be written, and was said to be */
};

void good_init(struct supervisor *s);
void good_free(struct supervisor *s);
/* At the start, as conf_load(): what is kept there is found, and loaded if the file cannot be. The report stays that of the file. */
struct conf *good_load(struct supervisor *s, struct conf_report *report);
/* The supervisor is another program now: what is kept there is found. */
void good_find(struct supervisor *s);
/* A worker process says what it serves: message has the fingerprint. */
void good_served(struct supervisor *s, const json_t *message);

#endif
