/* control/store.h - what weir must not forget, as the control thread sees it: documents that are read once at the start and written in
 * transactions, and the events. The I/O thread does the work (state_db.h); answers come back by mail.
 *
 * A store that cannot be written never stops anything: changes are refused with the reason, events wait in memory (STORE_EVENTS_MAX of
 * them), and it is tried again every few seconds and with every change. */
#ifndef WEIR_CONTROL_STORE_H
#define WEIR_CONTROL_STORE_H

#include "base/mailbox.h"
#include "control/state_db.h"
#include "io/loop.h"

#define STORE_EVENTS_MAX 2000 /* that wait to be written; then the oldest go */

/* One document of a transaction. */
struct store_write {
	const char *kind, *key;
	const json_t *body; /* NULL: the document goes */
};

/* The I/O thread's part: where events wait. */
struct store_keeper {
	struct state_db db;
	json_t *events; /* lines that are not in the file yet */
	uint64_t
		numbers_used; /* by the process before, which may not have written all of them; set before the thread starts to use the file */
	uint64_t dropped; /* that never came into it */
	uint64_t first_ms; /* when the oldest of them came */
	uint64_t tried_ms; /* when the file last failed */
	uint64_t looked_ms; /* when it was last looked whether others have changed it */
	bool wanted; /* control has said where it is */
	uint8_t told; /* enum state_fault that control knows of */
	struct mailbox *box; /* control's */
	struct store *store; /* control's; only to be named in mail */
};

struct store {
	struct io_thread *io;
	bool opened; /* it was tried: documents is what there is */
	bool loaded; /* the file was read: changes are possible */
	json_t *documents; /* {kind: {key: body}} as read; NULL once taken */
	uint8_t fault; /* enum state_fault: as the I/O thread last told */
	uint64_t
		numbered_from; /* what the numbers of this process's events begin after, for all who read them */
	bool elsewhere; /* the documents that came last were changed by another process */
	char error[256];
	uint64_t since_ms; /* of the fault, on control's clock */
	struct loop *loop;
	/* The fault came, changed or went; documents were read that could not be read at the start. From the loop. */
	void (*changed)(void *ctx, bool documents_came);
	void *ctx;
	uint32_t open; /* commits that have not been answered yet */
	struct store_keeper keeper;
};

/* Before the I/O thread starts: it keeps events from then on. box: control's, which delivers with any receiver. */
void store_init(struct store *s, struct io_thread *io, struct loop *l, struct mailbox *box);
/* Where the file is, made if it is missing. The answer comes by mail: see store_wait(). Called again with another directory, what is in
 * force moves there; with the same one, nothing happens. */
void store_open(struct store *s, const char *dir);
/* At the start, before the loop runs: until the documents have been read or cannot be. */
void store_wait(struct store *s, void *receiver);
/* The documents of a kind as they were read, {key: body}; new reference. For the start, and for `changed` when documents came. */
json_t *store_load(const struct store *s, const char *kind);
/* The documents have been taken over. */
void store_forget(struct store *s);
/* One transaction: bodies are copied. done comes on the control thread, once, in the order of the commits; error NULL: it is on
 * the disk; else nothing was written, and store_is_full() tells whether for want of room. */
void store_commit(struct store *s, const struct store_write *writes, uint32_t n,
	void (*done)(void *ctx, const char *error), void *ctx);
/* Nothing is on its way to the disk. */
static inline bool store_is_quiet(const struct store *s)
{
	return s->open == 0;
}
static inline bool store_is_full(const struct store *s)
{
	return s->fault == STATE_FULL;
}
/* Events that were kept, oldest first, those that still wait included: the oldest `limit` of those after number `after`, before number
 * `before` (0: any), not older than since_ms (on the wall clock). An array, or NULL and why not; the array belongs to the call. */
void store_events(struct store *s, int64_t after, int64_t before, int64_t since_ms, uint32_t limit,
	void (*done)(void *ctx, json_t *events, const char *error), void *ctx);
/* For /v1/status: {"path", "writable", "error", "fault"}. */
json_t *store_status(const struct store *s);
/* After the I/O thread has ended and its last answers were delivered. */
void store_free(struct store *s);

/* -- for the I/O thread -- */
/* A line of the event log, without its end; number: it is the how-manieth of this process. */
void store_keep_event(struct store_keeper *k, uint64_t number, const char *line, size_t n);
/* Every now and then; last: nothing comes after. */
void store_tick(struct store_keeper *k, bool last);

#endif
