#include "supervisor/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/obj.h"

#define FIRST_FREE_FD (CHANNEL_CRASH_FD + 1)
#define REPORT_MAX    16384
#define EXEC_FAILED   127

extern char **environ;

/* -- in the child -- */

static void set_signals(void)
{
	static const int ignored[] = {SIGHUP, SIGUSR1, SIGUSR2, SIGINT, SIGTERM, SIGQUIT};
	sigset_t none;

	/* Before they are let in: between exec and its first line one sent to the whole group would end it. */
	for (size_t i = 0; i < COUNT_OF(ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Moves both descriptors to where the program looks for them; all others close on exec, whoever has opened them. */
static bool place(int channel, int crash)
{
	/* Either may lie where the other has to go. */
	int a = fcntl(channel, F_DUPFD, FIRST_FREE_FD), b = fcntl(crash, F_DUPFD, FIRST_FREE_FD);

	return a >= 0 && b >= 0 && dup2(a, CHANNEL_FD) >= 0 && dup2(b, CHANNEL_CRASH_FD) >= 0 &&
	       close_range(FIRST_FREE_FD, ~0u, CLOSE_RANGE_CLOEXEC) == 0;
}

static _Noreturn void become_worker(const struct process_plan *plan, int channel, int crash)
{
	char *argv[] = {
		(char *)(uintptr_t)plan->program,
		(char *)(uintptr_t)PROCESS_COMMAND,
		(char *)(uintptr_t) "-c",
		(char *)(uintptr_t)plan->config,
		plan->watch ? (char *)(uintptr_t) "--watch" : NULL,
		NULL,
	};

	set_signals();
	if (place(channel, crash) && identity_assume(plan->identity))
		fexecve(plan->program_fd, argv, environ);
	dprintf(STDERR_FILENO, "weir: cannot start %s: %s\n", plan->program, strerror(errno));
	_exit(EXEC_FAILED);
}

/* -- in the parent -- */

struct process *process_start(struct loop *l, const struct process_plan *plan)
{
	int ends[2], crash[2];
	pid_t pid;

	if (!channel_pair(ends))
		return NULL;
	if (pipe2(crash, O_CLOEXEC) < 0) {
		close(ends[0]);
		close(ends[1]);
		return NULL;
	}
	fcntl(crash[0], F_SETFL, O_NONBLOCK);
	pid = fork();
	if (pid == 0)
		become_worker(plan, ends[1], crash[1]);
	close(ends[1]);
	close(crash[1]);
	if (pid < 0) {
		close(ends[0]);
		close(crash[0]);
		return NULL;
	}
	return process_adopt(l, pid, ends[0], crash[0]);
}

struct process *process_adopt(struct loop *l, pid_t pid, int channel, int crash)
{
	struct process *p = calloc(1, sizeof(*p));

	MUST(p);
	p->magic = PROCESS_MAGIC;
	p->pid = pid;
	p->crash_fd = crash;
	p->started_ms = l->now_ms;
	channel_open(&p->channel, l, channel);
	return p;
}

void process_free(struct process **pp)
{
	struct process *p = TAKE(pp);

	OBJ_CHECK(p, PROCESS_MAGIC);
	p->magic = 0;
	list_remove(&p->link);
	deadline_disarm(p->channel.loop, &p->lost);
	channel_close(&p->channel);
	close(p->crash_fd);
	json_decref(p->keep);
	json_decref(p->replaced);
	free(p->failure);
	free(p->version);
	free(p);
}

/* -- the last words -- */

static char *read_last_words(int fd)
{
	char *text = calloc(1, REPORT_MAX + 1);
	size_t n = 0;
	ssize_t got;

	MUST(text);
	while (n < REPORT_MAX && (got = read(fd, text + n, REPORT_MAX - n)) > 0)
		n += (size_t)got;
	return text;
}

/* Lines of control/crash.h. Whatever a broken process has written becomes no more than texts. */
static void add_last_words(json_t *report, char *text)
{
	json_t *stack = json_array();
	bool frames = false;
	char *rest = text;

	for (char *line; (line = strsep(&rest, "\n"));) {
		if (frames && *line)
			json_array_append_new(stack, json_string(line));
		else if (strncmp(line, "thread: ", 8) == 0)
			json_object_set_new(report, "thread", json_string(line + 8));
		else if (strncmp(line, "reason: ", 8) == 0)
			json_object_set_new(report, "reason", json_string(line + 8));
		else if (strcmp(line, "stack:") == 0)
			frames = true;
	}
	if (json_array_size(stack))
		json_object_set(report, "stack", stack);
	json_decref(stack);
}

json_t *process_obituary(const struct process *p, int status, uint64_t now_ms)
{
	json_t *report = json_pack(
		"{s:i, s:I}", "pid", (int)p->pid, "uptime_ms", (json_int_t)(now_ms - p->started_ms));
	char *text = read_last_words(p->crash_fd), name[32];

	if (WIFSIGNALED(status)) {
		const char *abbreviation = sigabbrev_np(WTERMSIG(status));

		snprintf(name, sizeof(name), "SIG%s", abbreviation ? abbreviation : "?");
		json_object_set_new(report, "signal", json_string(name));
	} else {
		json_object_set_new(report, "status", json_integer(WEXITSTATUS(status)));
	}
	add_last_words(report, text);
	if (p->failure)
		json_object_set_new(report, "reason", json_string(p->failure));
	free(text);
	return report;
}
