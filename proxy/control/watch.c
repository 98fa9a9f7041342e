#include "control/watch.h"

#include <event2/event.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>
#include "base/obj.h"

/* Where the last '/' or '.' is, or the start. */
static struct str behind(struct str s, char c)
{
	for (size_t i = s.n; i-- > 0;)
		if (s.p[i] == c)
			return str_skip(s, i + 1);
	return s;
}

bool watch_concerns(const struct conf *conf, struct str name)
{
	struct str ending = behind(name, '.');

	if (str_eq(name, STR("..data")))
		return true;
	/* What editors leave beside a file. */
	if (name.n == 0 || name.p[0] == '.')
		return false;
	for (uint32_t i = 0; i < conf->file_n; i++) {
		struct str file = behind(conf->files[i], '/');

		if (str_eq(file, name) || (ending.n < name.n && str_eq(behind(file, '.'), ending)))
			return true;
	}
	return false;
}

static void on_quiet(struct deadline *d)
{
	struct watch *w = CONTAINER(d, struct watch, quiet);

	w->changed(w->ctx);
}

static void on_change(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;
	_Alignas(struct inotify_event) char buf[4096];
	ssize_t n;

	(void)what;
	loop_enter(w->loop);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *e = (const struct inotify_event *)(void *)p;

			if ((e->mask & IN_Q_OVERFLOW) ||
				(e->len && w->conf && watch_concerns(w->conf, str_of(e->name))))
				deadline_arm(w->loop, &w->quiet, WATCH_QUIET_MS);
			p += sizeof(*e) + e->len;
		}
	}
}

bool watch_init(struct watch *w, struct loop *l, void (*changed)(void *ctx), void *ctx)
{
	*w = (struct watch){.loop = l, .changed = changed, .ctx = ctx, .quiet = {.fire = on_quiet}};
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->fd < 0)
		return false;
	w->event = event_new(l->base, w->fd, EV_READ | EV_PERSIST, on_change, w);
	MUST(w->event);
	event_add(w->event, NULL);
	return true;
}

void watch_follow(struct watch *w, const struct conf *conf)
{
	if (!w->event)
		return;
	w->conf = conf;
	for (uint32_t i = 0; i < conf->file_n; i++) {
		char *path = strndup(conf->files[i].p, conf->files[i].n);

		MUST(path);
		/* Again is fine: it is the same watch. */
		inotify_add_watch(w->fd, dirname(path),
			IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR);
		free(path);
	}
}

void watch_free(struct watch *w)
{
	if (!w->event)
		return;
	deadline_disarm(w->loop, &w->quiet);
	event_free(w->event);
	close(w->fd);
	w->event = NULL;
}
