/* supervisor/upgrade.h - another program takes over: a new worker process beside the old one, then the supervisor itself.
 *
 *   NONE      nothing is under way
 *   FREEZING  the process that serves was asked for what it knows
 *   STARTING  the program that lies at our path now was started with it, and has to prove that it serves
 *
 * Until it does, the old process serves and nothing has happened; whatever goes wrong ends there, is told, and the old process goes
 * on. Then the old one finishes what it has (timeouts.upgrade), the outcome is told once it accepts nothing new, and the supervisor becomes the new program under its PID
 * (supervisor/manifest.h), if that one reads what we write. */
#ifndef WEIR_SUPERVISOR_UPGRADE_H
#define WEIR_SUPERVISOR_UPGRADE_H

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>
#include "io/loop.h"

enum upgrade_state { UPGRADE_NONE, UPGRADE_FREEZING, UPGRADE_STARTING, UPGRADE_STATES };

/* Older processes that still finish; more than these, and an upgrade is refused: each takes its memory. */
#define UPGRADE_OLD_MAX 8

struct supervisor;
struct process;

struct upgrade {
	uint8_t state; /* enum upgrade_state */
	bool reload; /* was asked for meanwhile */
	uint64_t asked; /* the worker process's number for its question; 0: it was a signal */
	int program_fd; /* what is being tried; -1: nothing */
	struct process *next; /* STARTING */
	struct deadline deadline; /* of FREEZING and STARTING */
};

void upgrade_init(struct supervisor *s);
/* Begins, or refuses loudly. asked: by the worker process that serves, under that number; 0: by a signal. */
void upgrade_begin(struct supervisor *s, uint64_t asked);
/* The process that serves has sent what it knows. Takes a reference. */
void upgrade_frozen(struct supervisor *s, const struct process *p, json_t *sections);
/* p serves. True: it is the new one, and the current one from now on. */
bool upgrade_ready(struct supervisor *s, struct process *p);
/* p accepts nothing new any more, or is dead: if it has been replaced, the upgrade is told of now. */
void upgrade_left(struct supervisor *s, struct process *p);
/* p, which is the next or the current one, has died. */
void upgrade_died(struct supervisor *s, const struct process *p, int status);
/* The outcome is failed; the old process goes on. Harmless when nothing is under way. */
void upgrade_fail(struct supervisor *s, const char *why);

#endif
