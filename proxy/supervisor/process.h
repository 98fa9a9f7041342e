/* supervisor/process.h - a worker process as its supervisor sees it: started, spoken to, and read when it has died. */
#ifndef WEIR_SUPERVISOR_PROCESS_H
#define WEIR_SUPERVISOR_PROCESS_H

#include <sys/types.h>
#include "control/channel.h"
#include "supervisor/identity.h"

#define PROCESS_MAGIC 0x9c0ce551

/* The private command that a worker process is started with. */
#define PROCESS_COMMAND "worker-process"

struct process {
	uint32_t magic;
	struct list link;
	pid_t pid;
	struct channel channel;
	int crash_fd; /* what it says while it dies */
	uint64_t started_ms;
	struct deadline lost; /* armed when it speaks no more, but lives */
	bool ready; /* it serves */
	char *failure; /* why it could not start, in its own words; NULL: nothing said */
	json_t *keep; /* addresses that it listens on; NULL: not said yet */
	char *version; /* of its program; NULL: not said yet */
	bool tells_left; /* its program says when it accepts nothing new any more */
	json_t *replaced; /* another one serves in its place: what is to be told of that as soon as this one accepts nothing new; NULL: it was
				 * told, or none does */
	uint32_t manifest_oldest,
		manifest_newest; /* that its program could read if it were the supervisor's */
};

struct process_plan {
	const char *program; /* path, as its argv[0] */
	int program_fd; /* what is started, whatever lies at that path by now */
	const char *config;
	bool watch;
	const struct identity *identity;
};

/* NULL with errno. The channel is open; its callbacks are set by the caller before anything can come. */
struct process *process_start(struct loop *l, const struct process_plan *plan);
/* One that runs already, of whoever we were before. Takes the descriptors. */
struct process *process_adopt(struct loop *l, pid_t pid, int channel, int crash);
/* Closes what is open; the process itself is not touched. */
void process_free(struct process **p);
/* {signal, status, thread, reason, stack[], pid, uptime_ms}: how it ended, as far as it is known. status: of waitpid(). */
json_t *process_obituary(const struct process *p, int status, uint64_t now_ms);

#endif
