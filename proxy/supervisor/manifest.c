#include "supervisor/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/obj.h"
#include "control/orders.h"
#include "supervisor/supervisor.h"

#define VARIABLE "WEIR_SUPERVISOR_MANIFEST"

extern char **environ;

/* -- writing -- */

static json_t *save_processes(const struct supervisor *s)
{
	json_t *all = json_array();

	list_each (link, &s->processes) {
		const struct process *p = CONTAINER(link, struct process, link);

		json_array_append_new(
			all, json_pack("{s:i, s:i, s:i, s:I, s:b, s:b, s:s, s:O*, s:b, s:O*}", "pid",
				     (int)p->pid, "channel", p->channel.fd, "crash", p->crash_fd,
				     "started_ms", (json_int_t)p->started_ms, "ready", p->ready, "current",
				     p == s->current, "version", p->version ? p->version : "", "keep",
				     p->keep, "tells_left", p->tells_left, "replaced", p->replaced));
	}
	return all;
}

static json_t *save_sockets(const struct supervisor *s)
{
	json_t *all = json_array();

	list_each (link, &s->sockets.all.all) {
		const struct listener_socket *ls = CONTAINER(link, struct listener_socket, link);
		json_t *fds = json_array();

		for (uint32_t i = 0; i < ls->n; i++)
			json_array_append_new(fds, json_integer(ls->fds[i]));
		json_array_append_new(all, json_pack("{s:s, s:o}", "address", ls->key, "fds", fds));
	}
	return all;
}

json_t *manifest_save(const struct supervisor *s)
{
	json_t *all = json_pack("{s:i, s:o, s:o, s:i, s:i, s:i, s:I, s:I, s:O, s:O*}", "version",
		SUPERVISOR_MANIFEST, "processes", save_processes(s), "sockets", save_sockets(s), "program_fd",
		s->program_fd, "notify_fd", s->notify.fd, "watchdog_ms", (int)s->notify.watchdog_ms,
		"reload_asked", (json_int_t)s->reload_asked, "reload_done", (json_int_t)s->reload_done,
		"events", s->events, "last_reload", s->last_reload);

	MUST(all);
	if (s->identity.name)
		json_object_set_new(all, "user",
			json_pack("{s:s, s:I, s:I}", "name", s->identity.name, "uid",
				(json_int_t)s->identity.uid, "gid", (json_int_t)s->identity.gid));
	return all;
}

/* Every descriptor that the manifest names, open across exec or not. */
static void set_inherited(const struct supervisor *s, bool on)
{
	int flag = on ? 0 : FD_CLOEXEC;

	list_each (link, &s->processes) {
		const struct process *p = CONTAINER(link, struct process, link);

		if (p->channel.fd >= 0)
			fcntl(p->channel.fd, F_SETFD, flag);
		fcntl(p->crash_fd, F_SETFD, flag);
	}
	list_each (sockets, &s->sockets.all.all) {
		const struct listener_socket *ls = CONTAINER(sockets, struct listener_socket, link);

		for (uint32_t i = 0; i < ls->n; i++)
			fcntl(ls->fds[i], F_SETFD, flag);
	}
	fcntl(s->program_fd, F_SETFD, flag);
	if (s->notify.fd >= 0)
		fcntl(s->notify.fd, F_SETFD, flag);
}

static int write_file(const json_t *manifest)
{
	char *text = json_dumps(manifest, JSON_COMPACT);
	int fd = memfd_create("weir-manifest", 0);
	size_t n;

	MUST(text);
	n = strlen(text);
	if (fd >= 0 && (write(fd, text, n) != (ssize_t)n)) {
		close(fd);
		fd = -1;
	}
	free(text);
	return fd;
}

static void exec_self(struct supervisor *s)
{
	char *argv[] = {s->program, (char *)(uintptr_t) "run", (char *)(uintptr_t) "-c",
		(char *)(uintptr_t)s->config, s->watch ? (char *)(uintptr_t) "--watch" : NULL, NULL};
	json_t *manifest = manifest_save(s);
	int fd = write_file(manifest), why;
	char number[16];

	json_decref(manifest);
	if (fd < 0)
		return;
	snprintf(number, sizeof(number), "%d", fd);
	setenv(VARIABLE, number, 1);
	set_inherited(s, true);
	fflush(NULL);
	fexecve(s->program_fd, argv, environ);
	why = errno;
	set_inherited(s, false);
	unsetenv(VARIABLE);
	close(fd);
	errno = why;
}

static void stay(struct supervisor *s, const char *why)
{
	fprintf(stderr, "weir: the new program serves, but the supervisor stays the old one: %s\n", why);
	supervisor_tell(s, CONF_LEVEL_WARNING, "supervisor_stays", json_pack("{s:s}", "why", why));
}

void manifest_become(struct supervisor *s)
{
	const struct process *p = s->current;

	if (p->manifest_newest < SUPERVISOR_MANIFEST || p->manifest_oldest > SUPERVISOR_MANIFEST) {
		stay(s, "it does not read what this one would leave to it; restart weir when that is "
			"convenient");
		return;
	}
	/* What still waits in the channels would be lost: the next upgrade takes the supervisor along. */
	list_each (link, &s->processes) {
		if (CONTAINER(link, struct process, link)->channel.queued > 0) {
			stay(s, "a worker process does not listen");
			return;
		}
	}
	exec_self(s);
	stay(s, strerror(errno));
}

/* -- reading -- */

json_t *manifest_inherited(void)
{
	const char *number = getenv(VARIABLE);
	json_t *manifest = NULL;
	uint64_t fd;
	struct stat st;
	char *text;

	if (!number)
		return NULL;
	if (str_to_u64(str_of(number), &fd) && fd > STDERR_FILENO && fd < INT32_MAX &&
		fstat((int)fd, &st) == 0 && S_ISREG(st.st_mode)) {
		text = malloc((size_t)st.st_size + 1);
		MUST(text);
		if (pread((int)fd, text, (size_t)st.st_size, 0) == (ssize_t)st.st_size)
			manifest = json_loadb(text, (size_t)st.st_size, 0, NULL);
		free(text);
		close((int)fd);
	}
	unsetenv(VARIABLE);
	return manifest;
}

/* A descriptor that was left to us, close-on-exec again; -1: there is none. */
static int descriptor(const json_t *from, const char *name)
{
	const json_t *v = json_object_get(from, name);
	int fd = json_is_integer(v) ? (int)json_integer_value(v) : -1;

	return fd > STDERR_FILENO && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? fd : -1;
}

static uint64_t number(const json_t *from, const char *name)
{
	json_int_t v = json_integer_value(json_object_get(from, name));

	return v > 0 ? (uint64_t)v : 0;
}

static void load_process(struct supervisor *s, const json_t *from)
{
	int channel = descriptor(from, "channel"), crash = descriptor(from, "crash");
	const char *version = json_string_value(json_object_get(from, "version"));
	struct process *p;

	if (channel < 0 || crash < 0)
		return;
	p = process_adopt(&s->loop, (pid_t)number(from, "pid"), channel, crash);
	p->started_ms = number(from, "started_ms");
	p->ready = json_is_true(json_object_get(from, "ready"));
	p->version = version ? strdup(version) : NULL;
	p->keep = json_incref(json_object_get(from, "keep"));
	p->tells_left = json_is_true(json_object_get(from, "tells_left"));
	p->replaced = json_incref(json_object_get(from, "replaced"));
	supervisor_attend(s, p);
	if (json_is_true(json_object_get(from, "current")))
		s->current = p;
}

static void load_sockets(struct supervisor *s, const json_t *from)
{
	const char *address = json_string_value(json_object_get(from, "address"));
	const json_t *numbers = json_object_get(from, "fds");
	int fds[CHANNEL_FDS_MAX];
	uint32_t n = 0;

	for (size_t i = 0; i < json_array_size(numbers) && n < CHANNEL_FDS_MAX; i++) {
		int fd = (int)json_integer_value(json_array_get(numbers, i));

		if (fd > STDERR_FILENO && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
			fds[n++] = fd;
	}
	if (address && n)
		listener_sockets_adopt(&s->sockets.all, str_of(address), fds, n);
}

static void load_identity(struct supervisor *s, const json_t *user)
{
	const char *name = json_string_value(json_object_get(user, "name"));

	if (!name)
		return;
	s->identity.name = strdup(name);
	MUST(s->identity.name);
	s->identity.uid = (uid_t)number(user, "uid");
	s->identity.gid = (gid_t)number(user, "gid");
}

bool manifest_load(struct supervisor *s, const json_t *m)
{
	const json_t *processes = json_object_get(m, "processes"), *sockets = json_object_get(m, "sockets");
	uint64_t version = number(m, "version");

	if (version < SUPERVISOR_MANIFEST_OLDEST || version > SUPERVISOR_MANIFEST) {
		fprintf(stderr,
			"weir: the supervisor before this one has left a manifest of version %llu, which is "
			"not known\n",
			(unsigned long long)version);
		return false;
	}
	load_identity(s, json_object_get(m, "user"));
	s->notify.fd = descriptor(m, "notify_fd");
	s->notify.watchdog_ms = (uint32_t)number(m, "watchdog_ms");
	s->program_fd = descriptor(m, "program_fd");
	s->reload_asked = number(m, "reload_asked");
	s->reload_done = number(m, "reload_done");
	s->last_reload = json_incref(json_object_get(m, "last_reload"));
	json_array_extend(s->events, json_object_get(m, "events"));
	for (size_t i = 0; i < json_array_size(sockets); i++)
		load_sockets(s, json_array_get(sockets, i));
	for (size_t i = 0; i < json_array_size(processes); i++)
		load_process(s, json_array_get(processes, i));
	return true;
}
