/* control/source_file.c - `file:PATH`: a list of backends in a file that is watched. */
#include <stdlib.h>
#include "config/backend_list.h"
#include "control/file_watch.h"
#include "control/source.h"

/* Every content is news: one that is refused is told of, even if the one before it was refused too. */
static void refuse(struct source *s, const char *why)
{
	s->failing = false;
	source_failed(s, why);
}

static void on_news(struct str text, const char *error, void *ctx)
{
	struct source *s = ctx;
	struct source_list list = {0};
	struct conf_report report;
	char *said;

	if (error) {
		refuse(s, error);
		return;
	}
	list.conf = backend_list_load(s->name, text, &report);
	if (list.conf) {
		list.v = list.conf->listed;
		list.n = list.conf->listed_n;
		source_heard(s, &list);
	} else {
		said = conf_report_text(&report);
		refuse(s, said);
		free(said);
	}
	conf_report_free(&report);
}

static void ask(struct source *s)
{
	struct discovery *d = s->discovery;

	s->private = file_watch_new(d->io, &d->box, s->name, BACKEND_LIST_BYTES_MAX, on_news, s);
}

static void end(struct source *s)
{
	struct file_watch *w = s->private;

	file_watch_end(&w);
	s->private = NULL;
}

const struct source_kind source_file = {"file", ask, end};
