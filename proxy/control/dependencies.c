#include "control/dependencies.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"

static struct watched_dependency *watched_new(const char *module, const struct module_dependency *named)
{
	struct watched_dependency *w = calloc(1, sizeof(*w));
	size_t n = strlen(module) + 1 + named->address.n + 1;

	MUST(w);
	w->key = malloc(n);
	MUST(w->key);
	snprintf(w->key, n, "%s " STR_FMT, module, STR_ARG(named->address));
	w->module = module;
	w->address = (struct str){w->key + strlen(module) + 1, named->address.n};
	w->what = named->what;
	return w;
}

static void watched_free(struct watched_dependency *w)
{
	free(w->key);
	free(w->problem);
	free(w->remark);
	free(w);
}

static struct watched_dependency *watched_of(
	struct dependencies *d, const char *module, const struct module_dependency *named)
{
	char key[1024];
	struct text t = text_in(key, sizeof(key));
	struct watched_dependency *w;

	text_fmt(&t, "%s " STR_FMT, module, STR_ARG(named->address));
	w = t.cut ? NULL : map_get(&d->by_key, text_str(&t));
	if (!w && !t.cut) {
		w = watched_new(module, named);
		map_put(&d->by_key, str_of(w->key), w);
	}
	return w;
}

/* -- looking -- */

/* Servers may say anything. Takes said. */
static char *cleaned(char *said)
{
	char clean[256], *copy;
	struct text t = text_in(clean, sizeof(clean));

	text_utf8(&t, str_of(said), sizeof(clean));
	free(said);
	copy = strndup(clean, t.n);
	MUST(copy);
	return copy;
}

static void take_problem(struct watched_dependency *w, struct dependency *state)
{
	char *problem = dependency_take_problem(state);

	if (!problem)
		return;
	free(w->problem);
	w->problem = cleaned(problem);
}

/* Each worker asks for itself, and each place has a state of its own: what all of them say is told once. */
static void take_remark(struct dependencies *d, struct watched_dependency *w, struct dependency *state)
{
	char *remark = dependency_take_remark(state);
	bool new;

	if (!remark)
		return;
	remark = cleaned(remark);
	new = remark[0] && !(w->remark && strcmp(w->remark, remark) == 0);
	free(w->remark);
	w->remark = remark;
	if (new)
		event_emit(d->io, CONF_LEVEL_WARNING, "dependency_remark",
			json_pack("{s:s, s:s%, s:s%, s:s}", "module", w->module, "what", w->what.p, w->what.n,
				"address", w->address.p, w->address.n, "remark", remark));
}

static void count(struct dependencies *d, const struct module_place *p)
{
	struct module_dependency named = {.state = NULL};
	struct watched_dependency *w;
	uint64_t good, bad;

	if (!p->module->depends || !p->module->depends(p->values, p->built->data, &named))
		return;
	w = watched_of(d, p->module->config.name, &named);
	if (!w)
		return;
	if (w->mark != d->mark) {
		w->good_now = w->bad_now = 0;
		w->well = true;
	}
	w->mark = d->mark;
	w->meanwhile = named.meanwhile;
	bad = atomic_load_explicit(&named.state->bad, memory_order_acquire);
	good = atomic_load_explicit(&named.state->good, memory_order_acquire);
	w->bad_now += bad;
	w->good_now += good;
	if (bad + good > 0 && !atomic_load_explicit(&named.state->well, memory_order_relaxed))
		w->well = false;
	take_problem(w, named.state);
	take_remark(d, w, named.state);
}

static void lose(struct dependencies *d, struct watched_dependency *w)
{
	w->lost_ms = d->loop->now_ms;
	event_emit(d->io, CONF_LEVEL_WARNING, "dependency_lost",
		json_pack("{s:s, s:s%, s:s%, s:s, s:s}", "module", w->module, "what", w->what.p, w->what.n,
			"address", w->address.p, w->address.n, "error", w->problem ? w->problem : "",
			"meanwhile", w->meanwhile));
}

static void find(struct dependencies *d, struct watched_dependency *w)
{
	uint64_t lost_ms = d->loop->now_ms - w->lost_ms;

	w->lost_ms = 0;
	event_emit(d->io, CONF_LEVEL_INFO, "dependency_back",
		json_pack("{s:s, s:s%, s:s%, s:I}", "module", w->module, "what", w->what.p, w->what.n,
			"address", w->address.p, w->address.n, "lost_ms", (json_int_t)lost_ms));
}

/* Sums that have become less are those of modules that were built anew. */
static void judge(struct dependencies *d, struct watched_dependency *w)
{
	bool anew = w->good_now < w->good || w->bad_now < w->bad;
	bool good = !anew && w->good_now > w->good, bad = !anew && w->bad_now > w->bad;
	bool well = w->well && w->good_now > 0;

	w->good = w->good_now;
	w->bad = w->bad_now;
	if (bad && !good && !w->lost_ms)
		lose(d, w);
	else if (!bad && (good || well) && w->lost_ms)
		find(d, w);
}

static struct watched_dependency *unnamed(const struct dependencies *d)
{
	for (struct map_entry *e = map_next(&d->by_key, NULL); e; e = map_next(&d->by_key, e)) {
		struct watched_dependency *w = e->value;

		if (w->mark != d->mark)
			return w;
	}
	return NULL;
}

static void look(struct dependencies *d)
{
	struct watched_dependency *gone;

	d->mark++;
	for (uint32_t i = 0; d->set && i < d->set->n; i++)
		count(d, d->set->places[i]);
	while ((gone = unnamed(d))) {
		map_remove(&d->by_key, str_of(gone->key));
		watched_free(gone);
	}
	for (struct map_entry *e = map_next(&d->by_key, NULL); e; e = map_next(&d->by_key, e))
		judge(d, e->value);
	if (d->by_key.n)
		deadline_arm(d->loop, &d->look, DEPENDENCY_LOOK_MS);
	else
		map_free(&d->by_key);
}

static void on_look(struct deadline *deadline)
{
	look(CONTAINER(deadline, struct dependencies, look));
}

void dependencies_init(struct dependencies *d, struct loop *l, struct io_thread *io)
{
	*d = (struct dependencies){.loop = l, .io = io, .look.fire = on_look};
}

void dependencies_follow(struct dependencies *d, const struct module_set *set)
{
	deadline_disarm(d->loop, &d->look);
	d->set = set;
	look(d);
}
