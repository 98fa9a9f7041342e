/* control/io_thread.h - the thread that waits for disks, so that no other does: it writes the access log from the workers'
 * rings and the event log from mail, and reopens both when told. */
#ifndef WEIR_CONTROL_IO_THREAD_H
#define WEIR_CONTROL_IO_THREAD_H

#include <jansson.h>
#include <pthread.h>
#include "base/counter.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "base/ring.h"
#include "config/conf.h"

struct store_keeper;

/* A file that lines go to: "stdout", "stderr", or a path that is opened for appending. */
struct log_file {
	char *path;
	int fd; /* -1: closed, or it cannot be opened; tried again when the log is reopened and every few seconds */
	uint64_t failed_at_s; /* when it last could not be written or opened; 0: it works */
	uint64_t lost; /* lines that could not be written */
};

#define IO_RINGS_MAX CONF_WORKERS_MAX

#define EVENT_DIGITS \
	9 /* of a number with a fraction, here and in answers of the API: microseconds of some minutes */

/* One line of the event log on its way. malloc'ed. */
struct event_line {
	struct mail mail;
	bool logged, kept; /* in the log, in the store */
	uint64_t number; /* the how-manieth event of this process it is */
	size_t n;
	char text[]; /* JSON, with its newline */
};

struct io_thread {
	pthread_t thread;
	bool running;
	struct mailbox box;
	struct ring *rings[IO_RINGS_MAX]; /* set before the thread starts */
	uint32_t ring_n;
	_Atomic uint64_t lost; /* lines of the access log, ever; written by the thread alone */
	struct log_file access, events; /* the thread's own */
	uint64_t event_n; /* events so far; the thread's own */
	struct list files; /* struct file_watch; the thread's own */
	/* Who is given each event_line once it has been written, in their order; set before the thread starts. Takes the mail. */
	struct mailbox *audience;
	void (*on_event)(struct mail *m, void *receiver);
	_Atomic uint8_t level; /* events below it are not logged; written by control alone */
	bool stop; /* the thread's own */
	struct store_keeper *
		keeper; /* who keeps events and documents (store.h); set before the thread starts, NULL: nobody */
};

/* The rings are given before. False when the system has no descriptors or threads left. */
bool io_thread_start(struct io_thread *io);
/* Writes everything that has come, then ends. Nobody may send to it any more. */
void io_thread_stop(struct io_thread *io);
/* From any thread: where to write from now on. */
void io_thread_configure(struct io_thread *io, const struct conf_log *log);
/* From any thread: opens the files again under their names (after a rotation). */
void io_thread_reopen(struct io_thread *io);
/* From any thread: look at the rings now. */
void io_thread_wake(struct io_thread *io);

/* One line of the event log: {"time": ..., "level": ..., "event": NAME, ...members}. Takes members (an object, or NULL). From any
 * thread. level: enum conf_log_level. Whatever the log's level is, the store keeps what is not for debugging. */
void event_emit(struct io_thread *io, uint8_t level, const char *name, json_t *members);

#endif
