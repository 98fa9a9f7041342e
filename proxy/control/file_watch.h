/* control/file_watch.h - a small file whose content somebody wants to know, now and whenever it changes. The I/O thread looks after it.
 *
 * A change is seen within a second, by the file's stat(): that works on every file system, and for files that are replaced by rename as
 * well as for those that are written in place. What is being written is left alone until it has rested for one look. */
#ifndef WEIR_CONTROL_FILE_WATCH_H
#define WEIR_CONTROL_FILE_WATCH_H

#include "base/list.h"
#include "base/mailbox.h"
#include "base/str.h"

struct io_thread;
struct file_watch;

/* error NULL: the file says `text`, valid during the call. Otherwise it cannot be read, and why. */
typedef void file_watch_news(struct str text, const char *error, void *ctx);

/* news comes through the mailbox `to`, on the thread that reads it: soon, and after every change. max: bytes; 0: the text is not read,
 * and news says no more than that there is another one. */
struct file_watch *file_watch_new(struct io_thread *io, struct mailbox *to, const char *path, size_t max,
	file_watch_news *news, void *ctx);
/* No more news. NULLs *wp; what it takes is freed when the I/O thread has answered, through the same mailbox. */
void file_watch_end(struct file_watch **wp);

/* -- the I/O thread's side -- */
/* Looks at those that are due. watches: struct file_watch. now_ms: a monotonic clock. */
void file_watches_look(struct list *watches, uint64_t now_ms);

#endif
