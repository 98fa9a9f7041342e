/* control/state_db.h - the file that weir must not lose: STATE_DIR/state.db, SQLite with a write-ahead log and a sync for every
 * transaction. The I/O thread's alone.
 *
 * It holds documents (kind and key -> a JSON text), and the events of the last days. What every document said last is kept in memory
 * too: when the file turns out to be damaged, or was taken away, it is set aside or left where it is, and written anew. A file that
 * somebody else wrote, a newer weir or another program, is left alone: then nothing is stored until it is gone. */
#ifndef WEIR_CONTROL_STATE_DB_H
#define WEIR_CONTROL_STATE_DB_H

#include <jansson.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct io_thread;

#define STATE_DB_SCHEMA     1 /* user_version of what this weir writes */
#define STATE_DB_EVENTS_MAX 20000 /* older ones go */
#define STATE_DB_EVENT_DAYS 90
/* Numbers of events that a process which begins leaves to the one before it, which may still finish what it has. */
#define STATE_DB_NUMBERS_LEFT 1000

enum state_fault {
	STATE_WELL,
	STATE_FULL, /* there is no room on the disk, or none that weir may take */
	STATE_BUSY, /* another process holds the file for longer than STATE_DB_BUSY_MS */
	STATE_UNWRITABLE, /* read-only, no right to it, a broken disk */
	STATE_FOREIGN, /* another program or a newer weir wrote it */
};

struct state_db {
	struct io_thread *io; /* for events */
	char *dir, *path; /* NULL: nowhere */
	sqlite3 *db; /* NULL: not open; the next transaction tries again */
	dev_t dev; /* of the open file: it may be taken away or replaced */
	ino_t ino;
	bool loaded; /* documents says what the file holds, or must */
	bool anew; /* the file is another one than it was: the next transaction begins with all documents */
	json_t *documents; /* {kind: {key: text}} */
	int64_t numbered_from; /* the numbers of this process's events come after it; before the file is loaded: it must be beyond that */
	int64_t data_version; /* of the file, as SQLite counts what others have committed, when documents were read or compared */
	bool changed; /* another process has changed documents, which are what the file says now: for the caller to tell, and to put out */
	uint8_t fault; /* enum state_fault: of the last transaction */
	char error[256]; /* what it means, for operators; empty: nothing is wrong */
};

/* One document: body NULL takes it away. */
struct state_change {
	char *kind, *key, *body;
};

void state_db_init(struct state_db *d, struct io_thread *io, const char *dir);
void state_db_free(struct state_db *d);
/* Opens the file and reads the documents, once; makes what is missing. False: see fault and error. */
bool state_db_load(struct state_db *d);
/* Looks whether another process has changed documents; true: `changed` is set. */
bool state_db_look(struct state_db *d);
/* All of them or none, on the disk when it returns true. Not before the documents have been read. If another process has changed
 * documents `changed` is set; if these are among them nothing is written, and error says so though there is no fault. */
bool state_db_write(struct state_db *d, const struct state_change *v, uint32_t n);
/* Lines of the event log, JSON objects in an array, oldest first; drops what is too old. All or none. "number" is the event's in this
 * process, and numbered_from is added to it; one that another process has used, or that is missing, becomes the next free one. */
bool state_db_add_events(struct state_db *d, const json_t *lines);
/* The events after number `after`, before number `before` (0: any) and not older than since_ms (0: any), the oldest `limit` of them,
 * oldest first: an array of the lines with their "number". NULL: the file cannot be read. */
json_t *state_db_events(struct state_db *d, int64_t after, int64_t before, int64_t since_ms, uint32_t limit);

/* -- state_db.c and state_events.c -- */
enum state_finished {
	STATE_DONE,
	STATE_FAILED, /* see fault */
	STATE_AGAIN, /* the file was damaged, and is another one now */
};
/* Begins a transaction in the file that has the name now, with everything in it that must be. A code of SQLite's; below 0: see fault. */
int state_db_begin(struct state_db *d);
/* Commits it if code is SQLITE_OK, or takes it back. */
enum state_finished state_db_finish(struct state_db *d, int code);
int state_db_run(struct state_db *d, const char *sql);
/* Nothing is wrong any more; true. */
bool state_db_succeed(struct state_db *d);
int64_t state_wall_ms(void);

/* Makes the directory, mode 0750, and those above it that are missing, which anybody may pass through; the last one belongs to user (NULL or empty: nobody else).
 * False, and why not in err. */
bool state_dir_make(const char *dir, const char *user, char *err, size_t n);

#endif
