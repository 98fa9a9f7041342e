/* supervisor/supervisor.h - the small process that weir is to the outside: it owns the listening sockets, answers signals, starts
 * the worker process, and starts it again if it dies, on the same sockets.
 *
 * One thread, no traffic, no state of its own beyond what is here. It may be PID 1: it reaps whatever it is given. */
#ifndef WEIR_SUPERVISOR_SUPERVISOR_H
#define WEIR_SUPERVISOR_SUPERVISOR_H

#include "supervisor/good.h"
#include "supervisor/sockets.h"
#include "supervisor/upgrade.h"

enum supervisor_state {
	SUPERVISOR_STARTING, /* the first worker process does not serve yet */
	SUPERVISOR_SERVING,
	SUPERVISOR_RESTARTING, /* the worker process has died; another is about to serve */
	SUPERVISOR_STOPPING, /* told to: the worker processes end */
	SUPERVISOR_STATES
};

struct supervisor {
	uint8_t state; /* enum supervisor_state */
	int code; /* the exit status */
	const char *config; /* the file */
	bool watch; /* worker processes reload when the file changes */
	char *program; /* the path that we were started by: an upgrade is to what lies there then */
	int program_fd; /* the program that serves, whatever has become of its path */
	struct identity identity;
	struct notifier notify;
	struct sockets sockets;
	struct loop loop;
	int signal_fd;
	struct event *signal_event;
	struct list processes; /* struct process */
	struct process *current; /* serves, or is about to; NULL between a death and the next start */
	struct upgrade upgrade;
	struct deadline restart; /* armed while a restart waits */
	struct deadline kill; /* armed when processes were told to stop at once */
	struct deadline watchdog;
	uint32_t deaths; /* in a row, each soon after its start */
	bool pinged; /* and not answered yet */
	json_t *events; /* what the next worker process is to write to the event log */
	json_t *known; /* what the worker process that serves has handed over in case it dies; NULL: nothing yet */
	struct good good;
	json_t *last_reload; /* {outcome, generation, time}; NULL: none */
	uint64_t reload_asked, reload_done; /* orders to reload, by number */
};

struct supervisor_options {
	const char *config;
	bool watch; /* reload when the configuration's files change */
	const char *program; /* as in argv[0] */
};

/* Runs weir until it is told to stop. The exit code: 0 stopped in order, 1 it could not start (said on standard error). */
int supervisor_run(const struct supervisor_options *options);

/* -- between the files of supervisor/ -- */
/* Everything but a worker process: config, program and the descriptors' -1 are set by the caller. False, and said on standard error. */
bool supervisor_set_up(struct supervisor *s);
void supervisor_tear_down(struct supervisor *s);
void supervisor_set_state(struct supervisor *s, enum supervisor_state to);
/* Writes a line of the event log, through the worker process that serves or the next that does. Takes members. level: enum
 * conf_log_level. */
void supervisor_tell(struct supervisor *s, uint8_t level, const char *event, json_t *members);
/* Starts that program as a worker process, not yet the current one. state: what it begins with, or NULL. NULL with errno, and said on
 * standard error, if none can be. */
struct process *supervisor_start_process(struct supervisor *s, int program_fd, json_t *state);
/* Listens to a process from now on. */
void supervisor_attend(struct supervisor *s, struct process *p);
void supervisor_reload(struct supervisor *s);
/* supervisor/restart.c */
/* The current worker process has died, status as of waitpid(). */
void restart_after(struct supervisor *s, const struct process *dead, int status);
/* One has died that nobody is to follow: only says so, and what comes of it. */
void restart_not(struct supervisor *s, const struct process *dead, int status, const char *follows);
/* The time before the start that follows so many deaths in a row, ms. */
uint32_t restart_delay_ms(uint32_t deaths);
void restart_init(struct supervisor *s);

#endif
