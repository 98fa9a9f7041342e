#include "supervisor/good.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/obj.h"
#include "control/last_good.h"
#include "supervisor/supervisor.h"

#define PAUSE_MS 1000

static void set(struct good *g, int fd)
{
	if (g->fd >= 0)
		close(g->fd);
	g->fd = fd;
}

static void keep(struct supervisor *s, const struct conf *conf)
{
	struct good *g = &s->good;
	int fd = last_good_write(conf->state_dir.p, s->config, conf);
	bool written = fd >= 0;

	if (!written && !g->lost)
		supervisor_tell(s, CONF_LEVEL_WARNING, "last_good_lost",
			json_pack("{s:s, s:s}", "state_dir", conf->state_dir.p, "error", strerror(errno)));
	set(g, written ? fd : last_good_hold(s->config, conf));
	g->kept = (json_int_t)conf->fingerprint;
	g->lost = !written;
}

/* If the file has changed since it was read there, what is kept stays: that is known to be good. */
static void look(struct supervisor *s)
{
	struct good *g = &s->good;
	struct conf_report report;
	struct conf *conf;

	if (g->kept == g->served && !g->lost)
		return;
	deadline_arm(&s->loop, &g->later, PAUSE_MS);
	conf = conf_load_texts(s->config, &report);
	if (conf && (json_int_t)conf->fingerprint == g->served)
		keep(s, conf);
	conf_free(conf);
	conf_report_free(&report);
	malloc_trim(0); /* it took several times what is kept */
}

static void on_later(struct deadline *d)
{
	struct supervisor *s = CONTAINER(d, struct supervisor, good.later);

	if (s->good.kept != s->good.served)
		look(s);
}

void good_init(struct supervisor *s)
{
	s->good = (struct good){.fd = -1, .later.fire = on_later};
}

void good_free(struct supervisor *s)
{
	set(&s->good, -1);
}

void good_find(struct supervisor *s)
{
	char *dir = last_good_dir(s->config);

	set(&s->good, last_good_open(dir, s->config));
	free(dir);
}

struct conf *good_load(struct supervisor *s, struct conf_report *report)
{
	struct conf *conf = conf_load_root(s->config, report);
	struct conf_report of_kept;

	good_find(s);
	if (conf || s->good.fd < 0)
		return conf;
	conf = last_good_load(s->good.fd, &of_kept);
	conf_report_free(&of_kept);
	return conf;
}

void good_served(struct supervisor *s, const json_t *message)
{
	struct good *g = &s->good;

	g->served = json_integer_value(json_object_get(message, "fingerprint"));
	if (!deadline_armed(&g->later))
		look(s);
}
