#include "control/io_thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "base/obj.h"
#include "control/file_watch.h"
#include "control/store.h"

#define LOOK_MS       100 /* how old a line may grow in a ring */
#define TRY_AGAIN_S   5
#define WRITE_WAIT_MS 1000 /* for a pipe that nobody reads; then its lines are dropped, and counted */

/* -- files -- */

static uint64_t milliseconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint64_t seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec + 1;
}

static bool is_standard(const struct log_file *f)
{
	return f->fd == STDOUT_FILENO || f->fd == STDERR_FILENO;
}

static void file_close(struct log_file *f)
{
	if (f->fd >= 0 && !is_standard(f))
		close(f->fd);
	f->fd = -1;
}

static void file_open(struct log_file *f)
{
	file_close(f);
	if (!f->path)
		return;
	if (strcmp(f->path, "stdout") == 0)
		f->fd = STDOUT_FILENO;
	else if (strcmp(f->path, "stderr") == 0)
		f->fd = STDERR_FILENO;
	else
		f->fd = open(f->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	f->failed_at_s = f->fd < 0 ? seconds() : 0;
}

static void file_set(struct log_file *f, const char *path)
{
	if (f->path && strcmp(f->path, path) == 0)
		return;
	free(f->path);
	f->path = strdup(path);
	MUST(f->path);
	file_open(f);
}

/* Writes all of it, or gives up: a full disk or a reader that has stopped must not keep the rings from being emptied. */
static bool file_write(struct log_file *f, const char *p, size_t n)
{
	if (f->fd < 0 && f->path && seconds() - f->failed_at_s >= TRY_AGAIN_S)
		file_open(f);
	while (n && f->fd >= 0) {
		ssize_t done = write(f->fd, p, n);

		if (done >= 0) {
			p += done;
			n -= (size_t)done;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN) {
			struct pollfd pfd = {.fd = f->fd, .events = POLLOUT};

			if (poll(&pfd, 1, WRITE_WAIT_MS) > 0)
				continue;
		}
		f->failed_at_s = seconds();
		return false;
	}
	return f->fd >= 0;
}

static uint64_t count_lines(const char *p, size_t n)
{
	uint64_t lines = 0;

	for (const char *end = p + n; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
		lines++;
	return lines;
}

static void drain_ring(struct io_thread *io, struct ring *r)
{
	struct iovec part[2];
	int parts = ring_peek(r, part);

	for (int i = 0; i < parts; i++) {
		if (!file_write(&io->access, part[i].iov_base, part[i].iov_len))
			io->access.lost += count_lines(part[i].iov_base, part[i].iov_len);
		ring_drain(r, part[i].iov_len);
	}
}

/* What was lost is told as soon as it can be told. */
static void tell_losses(struct io_thread *io)
{
	uint64_t dropped = io->access.lost;

	for (uint32_t i = 0; i < io->ring_n; i++)
		dropped += atomic_exchange_explicit(&io->rings[i]->dropped, 0, memory_order_relaxed);
	io->access.lost = 0;
	counter_add(&io->lost, dropped);
	if (dropped)
		event_emit(io, CONF_LEVEL_WARNING, "access_log_lost",
			json_pack("{s:I, s:s}", "lines", (json_int_t)dropped, "path", io->access.path));
}

/* -- the thread -- */

static void *run(void *arg)
{
	struct io_thread *io = arg;
	uint64_t told = seconds();

	for (;;) {
		struct pollfd pfd = {.fd = io->box.fd, .events = POLLIN};

		poll(&pfd, 1, LOOK_MS);
		mailbox_deliver(&io->box, io);
		file_watches_look(&io->files, milliseconds());
		for (uint32_t i = 0; i < io->ring_n; i++)
			drain_ring(io, io->rings[i]);
		if (io->keeper)
			store_tick(io->keeper, io->stop);
		if (seconds() != told) {
			told = seconds();
			tell_losses(io);
		}
		/* The order to stop is mail, and the last: what was sent before it has been written. */
		if (io->stop)
			break;
	}
	file_close(&io->access);
	file_close(&io->events);
	return NULL;
}

bool io_thread_start(struct io_thread *io)
{
	io->access.fd = io->events.fd = -1;
	list_init(&io->files);
	if (mailbox_init(&io->box) < 0)
		return false;
	if (pthread_create(&io->thread, NULL, run, io) != 0) {
		mailbox_free(&io->box);
		return false;
	}
	pthread_setname_np(io->thread, "io");
	io->running = true;
	return true;
}

/* -- mail -- */

struct configure {
	struct mail mail;
	char *access, *events;
};

static void deliver_configure(struct mail *m, void *receiver)
{
	struct configure *c = CONTAINER(m, struct configure, mail);
	struct io_thread *io = receiver;

	file_set(&io->access, c->access);
	file_set(&io->events, c->events);
	free(c->access);
	free(c->events);
	free(c);
}

void io_thread_configure(struct io_thread *io, const struct conf_log *log)
{
	struct configure *c = calloc(1, sizeof(*c));

	MUST(c);
	c->mail.deliver = deliver_configure;
	c->access = strdup(log->access_path.p);
	c->events = strdup(log->events_path.p);
	MUST(c->access && c->events);
	atomic_store_explicit(&io->level, log->events_level, memory_order_relaxed);
	mailbox_send(&io->box, &c->mail);
}

static void deliver_reopen(struct mail *m, void *receiver)
{
	struct io_thread *io = receiver;

	free(m);
	for (uint32_t i = 0; i < io->ring_n; i++)
		drain_ring(io, io->rings[i]);
	file_open(&io->access);
	file_open(&io->events);
}

static void deliver_nothing(struct mail *m, void *receiver)
{
	(void)receiver;
	free(m);
}

static void send_plain(struct io_thread *io, void (*deliver)(struct mail *, void *))
{
	struct mail *m = calloc(1, sizeof(*m));

	MUST(m);
	m->deliver = deliver;
	mailbox_send(&io->box, m);
}

void io_thread_reopen(struct io_thread *io)
{
	send_plain(io, deliver_reopen);
}

void io_thread_wake(struct io_thread *io)
{
	send_plain(io, deliver_nothing);
}

static void deliver_stop(struct mail *m, void *receiver)
{
	struct io_thread *io = receiver;

	free(m);
	io->stop = true;
}

void io_thread_stop(struct io_thread *io)
{
	if (!io->running)
		return;
	send_plain(io, deliver_stop);
	pthread_join(io->thread, NULL);
	mailbox_free(&io->box);
	free(io->access.path);
	free(io->events.path);
	io->running = false;
}

/* -- events -- */

static void deliver_line(struct mail *m, void *receiver)
{
	struct event_line *line = CONTAINER(m, struct event_line, mail);
	struct io_thread *io = receiver;

	/* Before the configuration names a place, and when that place cannot be written, events go to standard error: somebody must see them. */
	if (line->logged && !file_write(&io->events, line->text, line->n)) {
		if (write(STDERR_FILENO, line->text, line->n) < 0)
			io->events.lost++;
	}
	line->number = ++io->event_n;
	if (line->kept && io->keeper)
		store_keep_event(io->keeper, line->number, line->text, line->n - 1);
	line->mail.deliver = io->on_event;
	if (io->audience)
		mailbox_send(io->audience, &line->mail);
	else
		free(line);
}

static const char *level_name(uint8_t level)
{
	static const char *const names[] = {"debug", "info", "warning", "error"};

	return names[level];
}

void event_emit(struct io_thread *io, uint8_t level, const char *name, json_t *members)
{
	struct timespec ts;
	struct tm tm;
	char when[40];
	size_t n;
	json_t *all;
	char *text;
	struct event_line *line;
	bool logged = level >= atomic_load_explicit(&io->level, memory_order_relaxed);
	bool kept = level >= CONF_LEVEL_INFO;

	if (!logged && !kept) {
		json_decref(members);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(when + n, sizeof(when) - n, ".%03ldZ", ts.tv_nsec / 1000000);
	all = json_pack("{s:s, s:s, s:s}", "time", when, "level", level_name(level), "event", name);
	MUST(all);
	if (members) {
		json_object_update(all, members);
		json_decref(members);
	}
	text = json_dumps(all, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(EVENT_DIGITS));
	json_decref(all);
	MUST(text);
	n = strlen(text);
	line = malloc(sizeof(*line) + n + 1);
	MUST(line);
	line->mail.deliver = deliver_line;
	memcpy(line->text, text, n);
	line->text[n] = '\n';
	line->n = n + 1;
	line->logged = logged;
	line->kept = kept;
	free(text);
	mailbox_send(&io->box, &line->mail);
}
