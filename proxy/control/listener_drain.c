#include "control/listener_drain.h"

#include <stdlib.h>
#include <time.h>
#include "base/obj.h"
#include "control/control.h"

/* A change that is being stored and then followed by workers, or a question to them. */
struct listener_job {
	struct listener_drains *drains;
	char *name, *socket_key;
	json_t *document; /* NULL: it is enabled */
	enum gate_wish wish;
	uint32_t left; /* workers that have not answered */
	struct gate_sums sums;
	listener_drain_done done; /* NULL: it is the look's */
	void *ctx;
};

static void on_look(struct deadline *deadline);

void listener_drains_init(struct listener_drains *d, struct control *c)
{
	*d = (struct listener_drains){
		.control = c, .documents = json_object(), .left = json_object(), .look.fire = on_look};
}

void listener_drains_free(struct listener_drains *d)
{
	deadline_disarm(&d->control->loop, &d->look);
	json_decref(d->documents);
	json_decref(d->left);
}

/* name may be the key of the document itself, which goes with it. */
static void forget(struct listener_drains *d, const char *name)
{
	json_object_del(d->left, name);
	json_object_del(d->documents, name);
}

const json_t *listener_drain_document(const struct listener_drains *d, struct str name)
{
	return json_object_getn(d->documents, name.p, name.n);
}

const json_t *listener_drain_left(const struct listener_drains *d, struct str name)
{
	return json_object_getn(d->left, name.p, name.n);
}

json_t *listener_drains_told(const struct listener_drains *d)
{
	json_t *all = json_array(), *document;
	const char *name;

	json_object_foreach(d->documents, name, document)
	{
		json_t *told = json_pack("{s:s}", "listener", name), *left = json_object_get(d->left, name);

		json_object_update(told, document);
		if (left)
			json_object_update(told, left);
		json_array_append_new(all, told);
	}
	return all;
}

static struct worker_gate *order_of(struct str socket_key, enum gate_wish wish)
{
	struct worker_gate *order = calloc(1, sizeof(*order) + socket_key.n + 1);

	MUST(order);
	memcpy(order->socket_key, socket_key.p, socket_key.n);
	order->wish = wish;
	return order;
}

void listener_drains_load(struct listener_drains *d)
{
	struct control *c = d->control;
	json_t *stored = store_load(&c->store, LISTENER_DRAIN_KIND);

	json_object_update(d->documents, stored);
	json_decref(stored);
	deadline_arm(&c->loop, &d->look, LISTENER_LOOK_MS);
	if (!c->snapshot)
		return;
	/* They serve already. */
	for (uint32_t l = 0; l < c->snapshot->conf->listener_n; l++) {
		const struct conf_listener *conf = &c->snapshot->conf->listeners[l];

		for (uint32_t i = 0; i < c->worker_n && listener_drain_document(d, conf->name); i++)
			worker_set_gate(&c->workers[i], order_of(conf->socket_key, GATE_SHUT));
	}
	listener_drains_follow(d, c->snapshot->conf);
}

static const struct conf_listener *find(const struct conf *conf, struct str name)
{
	for (uint32_t i = 0; i < conf->listener_n; i++)
		if (str_eq(conf->listeners[i].name, name))
			return &conf->listeners[i];
	return NULL;
}

/* What becomes of the store makes no difference: at the next start it is forgotten again. */
static void on_forgotten(void *ctx, const char *error)
{
	(void)ctx;
	(void)error;
}

void listener_drains_follow(struct listener_drains *d, const struct conf *conf)
{
	const char *name;
	json_t *document;
	void *next;

	json_object_foreach_safe(d->documents, next, name, document)
	{
		const struct store_write write = {LISTENER_DRAIN_KIND, name, NULL};

		if (find(conf, str_of(name)))
			continue;
		store_commit(&d->control->store, &write, 1, on_forgotten, NULL);
		event_emit(&d->control->io, CONF_LEVEL_INFO, "drain_forgotten",
			json_pack("{s:s}", "listener", name));
		forget(d, name);
	}
}

/* -- workers -- */

static void finish(struct listener_job *job, const char *error)
{
	struct listener_drains *d = job->drains;

	if (!error && json_object_get(d->documents, job->name))
		json_object_set_new(d->left, job->name,
			json_pack("{s:I, s:I, s:I, s:I}", "connections", (json_int_t)job->sums.connections,
				"requests", (json_int_t)job->sums.requests, "websockets",
				(json_int_t)job->sums.websockets, "streams", (json_int_t)job->sums.streams));
	if (job->done)
		job->done(job->ctx, error, &job->sums);
	else
		d->asked--;
	json_decref(job->document);
	free(job->name);
	free(job->socket_key);
	free(job);
}

static void on_followed(struct mail *m, void *control)
{
	struct worker_gate *order = CONTAINER(m, struct worker_gate, mail);
	struct listener_job *job = order->ctx;

	(void)control;
	job->sums.connections += order->sums.connections;
	job->sums.requests += order->sums.requests;
	job->sums.websockets += order->sums.websockets;
	job->sums.streams += order->sums.streams;
	free(order);
	if (--job->left == 0)
		finish(job, NULL);
}

static void tell_workers(struct listener_job *job)
{
	struct control *c = job->drains->control;

	job->left = c->worker_n;
	for (uint32_t i = 0; i < c->worker_n; i++) {
		struct worker_gate *order = order_of(str_of(job->socket_key), job->wish);

		order->followed = on_followed;
		order->ctx = job;
		worker_set_gate(&c->workers[i], order);
	}
}

static struct listener_job *job_of(
	struct listener_drains *d, const struct conf_listener *l, listener_drain_done done, void *ctx)
{
	struct listener_job *job = calloc(1, sizeof(*job));

	MUST(job);
	*job = (struct listener_job){.drains = d,
		.name = strndup(l->name.p, l->name.n),
		.socket_key = strndup(l->socket_key.p, l->socket_key.n),
		.done = done,
		.ctx = ctx};
	MUST(job->name && job->socket_key);
	return job;
}

void listener_drain_ask(
	struct listener_drains *d, const struct conf_listener *l, listener_drain_done done, void *ctx)
{
	struct listener_job *job = job_of(d, l, done, ctx);

	job->wish = GATE_COUNT;
	tell_workers(job);
}

/* Not once workers are about to end: who has ended answers nobody. */
static void on_look(struct deadline *deadline)
{
	struct listener_drains *d = CONTAINER(deadline, struct listener_drains, look);
	struct control *c = d->control;
	json_t *document;
	const char *name;

	if (json_object_size(d->documents) == 0 || c->state == CONTROL_DRAINING ||
		c->state == CONTROL_STOPPING)
		return;
	deadline_arm(&c->loop, deadline, LISTENER_LOOK_MS);
	if (d->asked || !c->snapshot)
		return;
	json_object_foreach(d->documents, name, document)
	{
		const struct conf_listener *l = find(c->snapshot->conf, str_of(name));

		if (!l)
			continue;
		d->asked++;
		listener_drain_ask(d, l, NULL, NULL);
	}
}

/* -- changes -- */

static void on_stored(void *ctx, const char *error)
{
	struct listener_job *job = ctx;
	struct listener_drains *d = job->drains;
	struct control *c = d->control;
	const struct conf_listener *l;

	if (error) {
		finish(job, error);
		return;
	}
	if (job->document)
		json_object_set(d->documents, job->name, job->document);
	else
		forget(d, job->name);
	if (!deadline_armed(&d->look))
		deadline_arm(&c->loop, &d->look, LISTENER_LOOK_MS);
	if (c->state == CONTROL_DRAINING || c->state == CONTROL_STOPPING) {
		finish(job, NULL);
		return;
	}
	/* A reload may have taken the listener away meanwhile, or given it another address. */
	listener_drains_follow(d, c->snapshot->conf);
	l = find(c->snapshot->conf, str_of(job->name));
	if (l) {
		free(job->socket_key);
		job->socket_key = strndup(l->socket_key.p, l->socket_key.n);
		MUST(job->socket_key);
	}
	tell_workers(job);
}

void listener_drain_set(struct listener_drains *d, const struct conf_listener *l, bool on, const char *author,
	const char *reason, listener_drain_done done, void *ctx)
{
	struct listener_job *job = job_of(d, l, done, ctx);
	struct store_write write = {LISTENER_DRAIN_KIND, job->name, NULL};
	struct timespec now;

	job->wish = on ? GATE_SHUT : GATE_OPEN;
	clock_gettime(CLOCK_REALTIME, &now);
	if (on)
		job->document = json_pack("{s:s?, s:s?, s:I}", "author", author, "reason", reason, "since_ms",
			(json_int_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
	event_emit(&d->control->io, CONF_LEVEL_INFO, on ? "drain" : "enable",
		json_pack("{s:s, s:s?, s:s?}", "listener", job->name, "author", author, "reason", reason));
	write.body = job->document;
	store_commit(&d->control->store, &write, 1, on_stored, job);
}
