#include "control/file_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "base/obj.h"
#include "config/load.h"
#include "control/io_thread.h"

#define LOOK_EVERY_MS 300

/* What tells one content from another. */
struct looks {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec modified, changed;
};

struct file_watch {
	/* Set once, before the I/O thread knows of it. */
	struct io_thread *io;
	struct mailbox *to;
	char *path;
	size_t max;
	struct mail begin, end, gone;
	/* The I/O thread's. */
	struct list link;
	uint64_t look_at_ms;
	struct looks last, told; /* of the last look; of the content that was told */
	int told_errno; /* why it could not be read; 0: it could */
	bool looked;
	/* The owner's. */
	bool ended;
	file_watch_news *news;
	void *ctx;
};

struct news_mail {
	struct mail mail;
	struct file_watch *watch;
	const char *error; /* static; NULL: the text is what the file says */
	size_t n;
	char text[];
};

/* -- the owner's side -- */

static void deliver_news(struct mail *m, void *receiver)
{
	struct news_mail *news = CONTAINER(m, struct news_mail, mail);
	struct file_watch *w = news->watch;

	(void)receiver;
	if (!w->ended)
		w->news((struct str){news->text, news->n}, news->error, w->ctx);
	free(news);
}

static void deliver_gone(struct mail *m, void *receiver)
{
	struct file_watch *w = CONTAINER(m, struct file_watch, gone);

	(void)receiver;
	free(w->path);
	free(w);
}

static void deliver_begin(struct mail *m, void *io);
static void deliver_end(struct mail *m, void *io);

struct file_watch *file_watch_new(struct io_thread *io, struct mailbox *to, const char *path, size_t max,
	file_watch_news *news, void *ctx)
{
	struct file_watch *w = calloc(1, sizeof(*w));

	MUST(w);
	w->io = io;
	w->to = to;
	w->path = strdup(path);
	MUST(w->path);
	w->max = max;
	w->news = news;
	w->ctx = ctx;
	w->begin.deliver = deliver_begin;
	w->end.deliver = deliver_end;
	w->gone.deliver = deliver_gone;
	mailbox_send(&io->box, &w->begin);
	return w;
}

void file_watch_end(struct file_watch **wp)
{
	struct file_watch *w = TAKE(wp);

	if (!w)
		return;
	w->ended = true;
	mailbox_send(&w->io->box, &w->end);
}

/* -- the I/O thread's side -- */

static void deliver_begin(struct mail *m, void *io)
{
	list_push_back(&((struct io_thread *)io)->files, &CONTAINER(m, struct file_watch, begin)->link);
}

static void deliver_end(struct mail *m, void *io)
{
	struct file_watch *w = CONTAINER(m, struct file_watch, end);

	(void)io;
	list_remove(&w->link);
	mailbox_send(w->to, &w->gone);
}

static void tell(struct file_watch *w, struct str text, const char *error)
{
	struct news_mail *news = malloc(sizeof(*news) + text.n);

	MUST(news);
	news->mail.deliver = deliver_news;
	news->watch = w;
	news->error = error;
	news->n = text.n;
	if (text.n)
		memcpy(news->text, text.p, text.n);
	mailbox_send(w->to, &news->mail);
}

/* 0, or why not. */
static int look(const char *path, struct looks *l)
{
	struct stat st;

	memset(l, 0, sizeof(*l));
	if (stat(path, &st) < 0)
		return errno;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	l->size = st.st_size;
	l->modified = st.st_mtim;
	l->changed = st.st_ctim;
	return 0;
}

static bool same(const struct looks *a, const struct looks *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static void read_and_tell(struct file_watch *w, const struct looks *now)
{
	struct arena bytes;
	struct looks after;
	struct str text;
	const char *why;

	arena_init(&bytes, NULL);
	if (w->max == 0)
		tell(w, STR_NONE, NULL);
	else if (!load_file(&bytes, w->path, w->max, &text, &why))
		tell(w, STR_NONE, why);
	else if (look(w->path, &after) == 0 && same(&after, now))
		tell(w, text, NULL);
	else
		w->last = (struct looks){0}; /* it changed under the reading: once more */
	arena_free(&bytes);
	if (same(&w->last, now))
		w->told = *now;
}

static void look_at(struct file_watch *w)
{
	struct looks now;
	int failed = look(w->path, &now);
	/* The first content is taken as it is found: requests may be waiting for it. */
	bool rests = !w->looked || same(&now, &w->last);

	w->last = now;
	w->looked = true;
	if (failed && failed != w->told_errno) {
		tell(w, STR_NONE, strerror(failed));
		w->told = now;
	}
	w->told_errno = failed;
	if (!failed && rests && !same(&now, &w->told))
		read_and_tell(w, &now);
}

void file_watches_look(struct list *watches, uint64_t now_ms)
{
	list_each (link, watches) {
		struct file_watch *w = CONTAINER(link, struct file_watch, link);

		if (now_ms < w->look_at_ms)
			continue;
		w->look_at_ms = now_ms + LOOK_EVERY_MS;
		look_at(w);
	}
}
