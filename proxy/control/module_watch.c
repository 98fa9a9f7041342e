#include "control/module_watch.h"

#include <stdlib.h>
#include "base/obj.h"
#include "control/control.h"
#include "control/file_watch.h"

struct watched_file {
	char *path;
	uint64_t mark;
	struct file_watch *watch;
};

/* Also the first time: it may have changed since it was read. */
static void on_news(struct str text, const char *error, void *ctx)
{
	(void)text;
	(void)error; /* build() says it better */
	control_rebuild_modules(ctx);
}

static void follow_file(struct module_watch *w, struct str path)
{
	struct watched_file *f = map_get(&w->files, path);

	if (!f) {
		f = calloc(1, sizeof(*f));
		MUST(f);
		f->path = strndup(path.p, path.n);
		MUST(f->path);
		f->watch = file_watch_new(&w->control->io, &w->control->box, f->path, 0, on_news, w->control);
		map_put(&w->files, str_of(f->path), f);
	}
	f->mark = w->mark;
}

static struct watched_file *unnamed(const struct module_watch *w)
{
	for (struct map_entry *e = map_next(&w->files, NULL); e; e = map_next(&w->files, e)) {
		struct watched_file *f = e->value;

		if (f->mark != w->mark)
			return f;
	}
	return NULL;
}

void module_watch_follow(struct module_watch *w, const struct module_set *set)
{
	struct watched_file *f;

	w->mark++;
	for (uint32_t i = 0; set && i < set->n; i++) {
		const struct module_place *p = set->places[i];
		struct str path;

		for (uint32_t k = 0; p->module->watches && (path = p->module->watches(p->values, k)).n; k++)
			follow_file(w, path);
	}
	while ((f = unnamed(w))) {
		map_remove(&w->files, str_of(f->path));
		file_watch_end(&f->watch);
		free(f->path);
		free(f);
	}
	if (w->files.n == 0)
		map_free(&w->files);
}

static json_t *errors_of(const struct conf_report *report)
{
	char *text = conf_report_json(report);
	json_t *all = json_loads(text, 0, NULL);

	free(text);
	return all;
}

/* "geo", "geo@acme": those that are not what they were. */
static json_t *changed_places(const struct module_set *now, const struct module_set *before)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < now->n; i++) {
		struct str name = now->places[i]->name;

		if (now->places[i]->built == before->places[i]->built)
			continue;
		if (str_ends(name, STR("@")))
			name.n--;
		json_array_append_new(all, json_stringn(name.p, name.n));
	}
	return all;
}

struct module_set *module_watch_build(struct control *c)
{
	struct module_set *before = c->snapshot->modules, *set;
	struct conf_report report = {0};

	if (!before)
		return NULL;
	set = module_set_refresh(c->snapshot->conf, before, &c->homes, &report);
	if (report.errors)
		event_emit(&c->io, CONF_LEVEL_ERROR, "module_files",
			json_pack("{s:s, s:o}", "outcome", "refused", "errors", errors_of(&report)));
	conf_report_free(&report);
	if (module_set_same(set, before)) {
		module_set_unref(set);
		return module_set_ref(before);
	}
	event_emit(&c->io, CONF_LEVEL_INFO, "module_files",
		json_pack("{s:s, s:o}", "outcome", "applied", "modules", changed_places(set, before)));
	return set;
}
