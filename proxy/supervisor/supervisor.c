#include "supervisor/supervisor.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/obj.h"
#include "control/verify.h"
#include "supervisor/manifest.h"
#include "supervisor/program.h"

#define KILL_MS    10000 /* for a worker process that was told to stop at once */
#define EVENTS_MAX 100 /* that wait for a worker process */

static const uint8_t legal[SUPERVISOR_STATES] = {
	[SUPERVISOR_STARTING] = BIT(SUPERVISOR_SERVING) | BIT(SUPERVISOR_STOPPING),
	[SUPERVISOR_SERVING] = BIT(SUPERVISOR_RESTARTING) | BIT(SUPERVISOR_STOPPING),
	[SUPERVISOR_RESTARTING] = BIT(SUPERVISOR_SERVING) | BIT(SUPERVISOR_STOPPING),
};

void supervisor_set_state(struct supervisor *s, enum supervisor_state to)
{
	MUST(legal[s->state] & BIT(to));
	s->state = (uint8_t)to;
}

void supervisor_tell(struct supervisor *s, uint8_t level, const char *event, json_t *members)
{
	json_t *line = json_pack("{s:i, s:s, s:o}", "level", (int)level, "event", event, "members", members);

	MUST(line);
	if (s->current && s->current->ready) {
		channel_send(&s->current->channel, "event", line, NULL, 0);
		return;
	}
	if (json_array_size(s->events) >= EVENTS_MAX)
		json_array_remove(s->events, 0);
	json_array_append_new(s->events, line);
}

static void end_if_alone(struct supervisor *s)
{
	if (s->state == SUPERVISOR_STOPPING && list_empty(&s->processes))
		loop_stop(&s->loop);
}

static void stopping(struct supervisor *s)
{
	if (s->state == SUPERVISOR_STOPPING)
		return;
	upgrade_fail(s, "weir is stopping");
	notify_send(&s->notify, "STOPPING=1\nSTATUS=Open requests finish");
	supervisor_set_state(s, SUPERVISOR_STOPPING);
	deadline_disarm(&s->loop, &s->restart);
}

/* -- what worker processes report -- */

static struct process *process_of(struct channel *channel)
{
	struct process *p = CONTAINER(channel, struct process, channel);

	OBJ_CHECK(p, PROCESS_MAGIC);
	return p;
}

static void tell_ready(struct supervisor *s, json_int_t generation)
{
	s->reload_done = s->reload_asked;
	notify_send(&s->notify, "READY=1\nSTATUS=Serves generation %lld", (long long)generation);
}

static void on_hello(struct process *p, const json_t *message)
{
	const char *version = json_string_value(json_object_get(message, "version"));

	free(p->version);
	p->version = strdup(version ? version : "");
	p->manifest_newest = (uint32_t)json_integer_value(json_object_get(message, "manifest"));
	p->manifest_oldest = (uint32_t)json_integer_value(json_object_get(message, "manifest_oldest"));
	p->tells_left = json_is_true(json_object_get(message, "tells_left"));
}

static void on_ready(struct supervisor *s, struct process *p, const json_t *message)
{
	p->ready = true;
	if (upgrade_ready(s, p)) /* comes back only if the supervisor stays */
		return;
	if (p != s->current || s->state == SUPERVISOR_STOPPING)
		return;
	json_array_clear(s->events);
	supervisor_set_state(s, SUPERVISOR_SERVING);
	good_served(s, message);
	tell_ready(s, json_integer_value(json_object_get(message, "generation")));
}

static void on_known(struct supervisor *s, const struct process *p, json_t *message)
{
	if (p != s->current)
		return;
	json_decref(s->known);
	s->known = json_incref(json_object_get(message, "sections"));
}

static void on_failed(struct process *p, const json_t *message)
{
	const char *error = json_string_value(json_object_get(message, "error"));

	free(p->failure);
	p->failure = strdup(error ? error : "");
}

static void on_keep(struct supervisor *s, struct process *p, json_t *message)
{
	json_decref(p->keep);
	p->keep = json_incref(json_object_get(message, "addresses"));
	/* Of two that serve, neither may take the other's away. */
	if (p == s->current && s->upgrade.state == UPGRADE_NONE)
		sockets_keep(&s->sockets, p->keep);
}

static void on_reloaded(struct supervisor *s, const struct process *p, json_t *message)
{
	uint64_t seq = (uint64_t)json_integer_value(json_object_get(message, "seq"));

	if (p != s->current)
		return;
	good_served(s, message);
	json_decref(s->last_reload);
	s->last_reload = json_pack("{s:O, s:O, s:I}", "outcome", json_object_get(message, "outcome"),
		"generation", json_object_get(message, "generation"), "time", (json_int_t)time(NULL));
	if (seq == s->reload_asked && seq != s->reload_done)
		tell_ready(s, json_integer_value(json_object_get(message, "generation")));
}

/* Takes members: what is to be said of p, which another one has replaced, to the one that serves. */
static void tell_of_older(struct supervisor *s, const struct process *p, json_t *members)
{
	if (!s->current || p == s->current || p == s->upgrade.next) {
		json_decref(members);
		return;
	}
	json_object_set_new(members, "pid", json_integer(p->pid));
	channel_send(&s->current->channel, "older", members, NULL, 0);
}

static void on_message(struct channel *channel, const char *type, json_t *message, int *fds, uint32_t fd_n)
{
	struct supervisor *s = channel->user;
	struct process *p = process_of(channel);

	(void)fds;
	(void)fd_n;
	if (strcmp(type, "hello") == 0)
		on_hello(p, message);
	else if (strcmp(type, "bind") == 0)
		sockets_answer(&s->sockets, p, message);
	else if (strcmp(type, "keep") == 0)
		on_keep(s, p, message);
	else if (strcmp(type, "ready") == 0)
		on_ready(s, p, message);
	else if (strcmp(type, "known") == 0)
		on_known(s, p, message);
	else if (strcmp(type, "failed") == 0)
		on_failed(p, message);
	else if (strcmp(type, "reloaded") == 0)
		on_reloaded(s, p, message);
	else if (strcmp(type, "state") == 0)
		upgrade_frozen(s, p, json_object_get(message, "sections"));
	else if (strcmp(type, "upgrade") == 0 && p == s->current)
		upgrade_begin(s, (uint64_t)json_integer_value(json_object_get(message, "seq")));
	else if (strcmp(type, "left") == 0)
		upgrade_left(s, p);
	else if (strcmp(type, "finishing") == 0)
		tell_of_older(s, p, json_copy(message));
	else if (strcmp(type, "pong") == 0 && p == s->current)
		s->pinged = false;
}

static void on_lost(struct deadline *d)
{
	kill(CONTAINER(d, struct process, lost)->pid, SIGKILL);
}

static void on_end(struct channel *channel)
{
	struct supervisor *s = channel->user;
	struct process *p = process_of(channel);

	/* It is about to end. If not, it can be neither reloaded nor stopped. */
	p->lost.fire = on_lost;
	deadline_arm(&s->loop, &p->lost, KILL_MS);
}

void supervisor_attend(struct supervisor *s, struct process *p)
{
	p->channel.user = s;
	p->channel.on_message = on_message;
	p->channel.on_end = on_end;
	list_push_back(&s->processes, &p->link);
}

struct process *supervisor_start_process(struct supervisor *s, int program_fd, json_t *state)
{
	const struct process_plan plan = {s->program, program_fd, s->config, s->watch, &s->identity};
	struct process *p = process_start(&s->loop, &plan);

	if (!p) {
		fprintf(stderr, "weir: no worker process can be started: %s\n", strerror(errno));
		return NULL;
	}
	supervisor_attend(s, p);
	/* An upgrade is to fail if the new program cannot serve the file: there is one who serves. */
	channel_send(&p->channel, "begin", json_pack("{s:O, s:O*}", "events", s->events, "state", state),
		&s->good.fd, s->upgrade.state == UPGRADE_NONE && s->good.fd >= 0);
	return p;
}

static void tell_all(struct supervisor *s, const char *type, const char *why)
{
	list_each (link, &s->processes)
		channel_send(&CONTAINER(link, struct process, link)->channel, type,
			why ? json_pack("{s:s}", "why", why) : NULL, NULL, 0);
}

/* -- the ends of processes -- */

static void on_death(struct supervisor *s, struct process *p, int status)
{
	bool in_order = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	channel_read(&p->channel); /* what it has said last */
	upgrade_left(s, p);
	tell_of_older(s, p, json_pack("{s:b}", "ended", 1));
	if (s->state == SUPERVISOR_STOPPING) {
		/* One that was only starting is ended by force, and that is no failure. */
		if (!in_order && p->ready)
			s->code = 1;
	} else if (p == s->upgrade.next) {
		upgrade_died(s, p, status);
	} else if (p == s->current && in_order) {
		stopping(s); /* it was told to by its own means */
		tell_all(s, "drain", NULL);
	} else if (p == s->current && s->state == SUPERVISOR_STARTING) {
		/* It has said why on standard error, unless it could not. */
		s->code = 1;
		if (WIFSIGNALED(status))
			restart_not(s, p, status, "it has never served, so weir ends");
		stopping(s);
	} else if (p == s->current) {
		s->current = NULL;
		upgrade_died(s, p, status);
		restart_after(s, p, status);
	} else if (!in_order && p->ready) {
		restart_not(s, p, status, "it was finishing what it had before the upgrade");
	}
	if (p == s->current)
		s->current = NULL;
	process_free(&p);
	end_if_alone(s);
}

static struct process *find_process(const struct supervisor *s, pid_t pid)
{
	list_each (link, &s->processes) {
		struct process *p = CONTAINER(link, struct process, link);

		if (p->pid == pid)
			return p;
	}
	return NULL;
}

/* Children of ours, and as PID 1 orphans of anybody. */
static void reap(struct supervisor *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct process *p = find_process(s, pid);

		if (p)
			on_death(s, p, status);
	}
}

/* -- signals -- */

static void stop_now(struct supervisor *s, const char *why)
{
	stopping(s);
	tell_all(s, "stop", why);
	if (!deadline_armed(&s->kill))
		deadline_arm(&s->loop, &s->kill, KILL_MS);
	end_if_alone(s);
}

static void on_kill(struct deadline *d)
{
	struct supervisor *s = CONTAINER(d, struct supervisor, kill);

	list_each (link, &s->processes)
		kill(CONTAINER(link, struct process, link)->pid, SIGKILL);
}

static void stop_in_order(struct supervisor *s)
{
	if (s->state == SUPERVISOR_STOPPING) {
		stop_now(s, "told again");
		return;
	}
	stopping(s);
	tell_all(s, "drain", NULL);
	end_if_alone(s);
}

void supervisor_reload(struct supervisor *s)
{
	if (s->state == SUPERVISOR_STOPPING)
		return;
	/* Two processes, one of which is about to go: the one that stays is told. */
	if (s->upgrade.state != UPGRADE_NONE) {
		s->upgrade.reload = true;
		return;
	}
	notify_reloading(&s->notify);
	s->reload_asked++;
	/* A process that is to be started reads the file anyway. */
	if (s->current)
		channel_send(&s->current->channel, "reload",
			json_pack("{s:I}", "seq", (json_int_t)s->reload_asked), NULL, 0);
}

/* New log files in directories of root's cannot be made by the worker process. */
static void reopen(struct supervisor *s)
{
	struct conf_report report;
	struct conf *conf = s->identity.name ? conf_load_root(s->config, &report) : NULL;

	if (conf)
		identity_prepare(&s->identity, conf);
	if (s->identity.name)
		conf_report_free(&report);
	conf_free(conf);
	tell_all(s, "reopen", NULL);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;
	struct signalfd_siginfo info;

	(void)what;
	loop_enter(&s->loop);
	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGCHLD:
			reap(s);
			break;
		case SIGHUP:
			supervisor_reload(s);
			break;
		case SIGUSR2:
			upgrade_begin(s, 0);
			break;
		case SIGUSR1:
			reopen(s);
			break;
		case SIGINT:
			stop_now(s, "interrupted");
			break;
		case SIGTERM:
		case SIGQUIT:
			stop_in_order(s);
			break;
		}
	}
}

/* -- the watchdog: systemd hears from us while the worker process answers -- */

static void on_watchdog(struct deadline *d)
{
	struct supervisor *s = CONTAINER(d, struct supervisor, watchdog);

	/* One that is not there yet is being started: that is our part, and we do it. */
	if (!s->current || !s->current->ready || !s->pinged)
		notify_send(&s->notify, "WATCHDOG=1");
	if (s->current && !s->pinged) {
		s->pinged = true;
		channel_send(&s->current->channel, "ping", NULL, NULL, 0);
	}
	deadline_arm(&s->loop, &s->watchdog, s->notify.watchdog_ms);
}

/* -- life -- */

static bool catch_signals(struct supervisor *s)
{
	static const int numbers[] = {SIGCHLD, SIGHUP, SIGUSR1, SIGUSR2, SIGINT, SIGTERM, SIGQUIT};
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(&set);
	for (size_t i = 0; i < COUNT_OF(numbers); i++)
		sigaddset(&set, numbers[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return s->signal_fd >= 0;
}

/* What has its meaning for us alone. */
static void clear_environment(void)
{
	static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID",
		"LISTEN_FDS", "LISTEN_FDNAMES"};

	for (size_t i = 0; i < COUNT_OF(names); i++)
		unsetenv(names[i]);
}

bool supervisor_set_up(struct supervisor *s)
{
	if (!catch_signals(s) || !loop_init(&s->loop)) {
		fprintf(stderr, "weir: not started: %s; is the limit of descriptors too low?\n",
			strerror(errno));
		return false;
	}
	list_init(&s->processes);
	listener_sockets_init(&s->sockets.all);
	s->sockets.config = s->config;
	s->sockets.identity = &s->identity;
	s->sockets.notify = &s->notify;
	s->events = json_array();
	s->signal_event = event_new(s->loop.base, s->signal_fd, EV_READ | EV_PERSIST, on_signal, s);
	MUST(s->signal_event && event_add(s->signal_event, NULL) == 0);
	s->kill.fire = on_kill;
	s->watchdog.fire = on_watchdog;
	restart_init(s);
	good_init(s);
	upgrade_init(s);
	return true;
}

static bool read_configuration(struct supervisor *s)
{
	struct conf_report report;
	struct conf *conf = good_load(s, &report);
	bool ignored = false, good = conf != NULL;
	char err[256];

	if (!conf) {
		conf_tell_not_started(s->config, &report);
	} else if (!identity_find(&s->identity, conf->user, &ignored, err, sizeof(err))) {
		fprintf(stderr, "weir: not started: %s\n", err);
		good = false;
	}
	if (ignored)
		supervisor_tell(s, CONF_LEVEL_WARNING, "user_ignored",
			json_pack("{s:s, s:s}", "user", conf->user.p, "why", "not started as root"));
	conf_report_free(&report);
	if (!good) {
		conf_free(conf);
		return false;
	}
	identity_prepare(&s->identity, conf);
	sockets_inherit(&s->sockets, conf);
	s->sockets.conf = conf;
	return true;
}

static bool start(struct supervisor *s)
{
	notify_open(&s->notify);
	s->program_fd = open(s->program, O_PATH | O_CLOEXEC);
	if (s->program_fd < 0) {
		fprintf(stderr, "weir: not started: %s: %s\n", s->program, strerror(errno));
		return false;
	}
	if (!read_configuration(s))
		return false;
	clear_environment();
	s->current = supervisor_start_process(s, s->program_fd, NULL);
	return s->current != NULL;
}

/* We were the supervisor before, and another program. */
static bool go_on(struct supervisor *s, const json_t *manifest)
{
	prctl(PR_SET_NAME, "weir"); /* started by descriptor, the kernel has called it after that */
	if (!manifest_load(s, manifest) || !s->current)
		return false;
	s->state = SUPERVISOR_SERVING;
	good_find(s);
	if (s->current->keep)
		sockets_keep(&s->sockets, s->current->keep);
	reap(s); /* whoever has died meanwhile */
	return true;
}

void supervisor_tear_down(struct supervisor *s)
{
	list_each_safe (link, &s->processes) {
		struct process *p = CONTAINER(link, struct process, link);

		process_free(&p);
	}
	listener_sockets_free(&s->sockets.all, false);
	conf_free(s->sockets.conf);
	json_decref(s->events);
	json_decref(s->last_reload);
	json_decref(s->known);
	good_free(s);
	event_free(s->signal_event);
	loop_free(&s->loop);
	close(s->signal_fd);
	if (s->notify.fd >= 0)
		close(s->notify.fd);
	if (s->program_fd >= 0)
		close(s->program_fd);
	identity_free(&s->identity);
	free(s->program);
}

int supervisor_run(const struct supervisor_options *options)
{
	struct supervisor s = {.config = options->config,
		.watch = options->watch,
		.program = program_path(options->program),
		.program_fd = -1,
		.notify.fd = -1,
		.state = SUPERVISOR_STARTING};
	json_t *manifest = manifest_inherited();

	if (!supervisor_set_up(&s))
		return 1;
	if (manifest ? go_on(&s, manifest) : start(&s)) {
		if (s.notify.watchdog_ms)
			deadline_arm(&s.loop, &s.watchdog, s.notify.watchdog_ms);
		loop_run(&s.loop);
	} else {
		s.code = 1;
	}
	json_decref(manifest);
	supervisor_tear_down(&s);
	return s.code;
}
