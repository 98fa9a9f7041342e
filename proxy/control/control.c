#include "control/control.h"

#include <errno.h>
#include <event2/event.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/obj.h"
#include "control/crash.h"
#include "control/ending.h"
#include "control/handover.h"
#include "control/install.h"
#include "control/roster.h"

#define SETTLE_MS 300
#define TIDY_MS   1000
/* With so many configurations alive another one waits longer: uploads, and requests that backends take their time with, keep theirs. */
#define CROWD    8
#define CROWD_MS 5000

static const uint8_t legal[CONTROL_STATES] = {
	[CONTROL_STARTING] =
		BIT(CONTROL_STARTING) | BIT(CONTROL_SERVING) | BIT(CONTROL_DRAINING) | BIT(CONTROL_STOPPING),
	[CONTROL_SERVING] = BIT(CONTROL_BINDING) | BIT(CONTROL_INSTALLING) | BIT(CONTROL_DRAINING) |
			    BIT(CONTROL_STOPPING),
	[CONTROL_BINDING] = BIT(CONTROL_SERVING) | BIT(CONTROL_INSTALLING) | BIT(CONTROL_DRAINING) |
			    BIT(CONTROL_STOPPING),
	[CONTROL_INSTALLING] = BIT(CONTROL_SERVING) | BIT(CONTROL_DRAINING) | BIT(CONTROL_STOPPING),
	[CONTROL_DRAINING] = BIT(CONTROL_STOPPING),
};

void control_set_state(struct control *c, enum control_state to)
{
	MUST(legal[c->state] & BIT(to));
	c->state = (uint8_t)to;
}

struct pool_now control_pool_now(const struct control *c, const struct pool *pool)
{
	struct pool_now now = runtime_pool_now(&c->runtime, pool);

	now.capacity = capacity_of(&c->capacity, pool);
	return now;
}

static void on_capacity(void *ctx, const struct pool *const *pools, uint32_t n)
{
	struct control *c = ctx;
	struct pool_change *changes = calloc(n, sizeof(*changes));

	MUST(changes);
	for (uint32_t i = 0; i < n; i++)
		changes[i] = (struct pool_change){pools[i], control_pool_now(c, pools[i])};
	publish_pools(&c->publisher, changes, n, NULL, NULL);
	free(changes);
}

static void reload_now(struct control *c)
{
	if (c->state == CONTROL_SERVING && !c->frozen)
		reload(c);
	else if (c->state != CONTROL_DRAINING && c->state != CONTROL_STOPPING)
		c->reload_again = true;
}

static void on_settled(struct deadline *d)
{
	reload_now(CONTAINER(d, struct control, settle));
}

/* -- what workers say -- */

static struct worker_note *note_of(struct mail *m)
{
	return CONTAINER(m, struct worker_note, mail);
}

static void on_installed(struct mail *m, void *control)
{
	struct control *c = control;
	uint64_t serial = note_of(m)->serial;

	free(note_of(m));
	install_answered(c, serial);
}

static void on_pools_set(struct mail *m, void *control)
{
	struct control *c = control;
	uint64_t serial = note_of(m)->serial;

	free(note_of(m));
	publish_followed(&c->publisher, serial);
}

/* A configuration of many tenants takes twice its memory while it is replaced. Not at once: the next reload of a storm would fetch it back,
 * page by page. */
static void on_tidy(struct deadline *d)
{
	(void)d;
	malloc_trim(0);
}

void control_tidy(struct control *c)
{
	deadline_arm(&c->loop, &c->tidy, TIDY_MS);
}

void control_hold(struct snapshot *s)
{
	s->workers_left++;
}

void control_let_go(struct control *c, struct snapshot *s)
{
	if (--s->workers_left > 0)
		return;
	c->snapshots_alive--;
	snapshot_free(&s);
	control_tidy(c);
	if (deadline_armed(&c->settle) && (c->snapshots_alive <= 1 || c->snapshots_alive == CROWD - 1)) {
		deadline_disarm(&c->loop, &c->settle);
		reload_now(c);
	}
}

static void on_let_go(struct mail *m, void *control)
{
	struct control *c = control;
	struct snapshot *s = note_of(m)->snapshot;

	free(note_of(m));
	control_let_go(c, s);
}

static void on_exhausted(struct mail *m, void *control)
{
	struct control *c = control;
	struct worker_note *note = note_of(m);

	event_emit(&c->io, CONF_LEVEL_WARNING, "accept_exhausted",
		json_pack("{s:i, s:s}", "worker", (int)note->worker->index, "error", strerror(note->error)));
	free(note);
}

static void on_suspect(struct mail *m, void *control)
{
	struct worker_note *note = note_of(m);

	(void)control;
	outlier_suspect(note->backend, (enum outcome_kind)note->kind);
	free(note);
}

static void on_connection_failed(struct mail *m, void *control)
{
	struct control *c = control;
	struct worker_failure *f = CONTAINER(m, struct worker_failure, mail);
	char reason[REASON_NAME_MAX], peer[ADDR_TEXT_MAX];
	struct str name = reason_name((enum reason)f->why, reason);
	json_t *members = json_pack("{s:s, s:s, s:s%}", "side", f->inbound ? "client" : "backend",
		f->inbound ? "listener" : "backend", f->at, "reason", name.p, name.n);

	if (f->inbound)
		json_object_set_new(members, "peer", json_string(addr_text(&f->peer, peer).p));
	if (f->text[0])
		json_object_set_new(members, "error", json_string(f->text));
	if (f->passed_over)
		json_object_set_new(members, "passed_over", json_integer(f->passed_over));
	event_emit(&c->io, f->inbound ? CONF_LEVEL_DEBUG : CONF_LEVEL_WARNING, "connection_failed", members);
	free(f);
}

static void on_event(struct mail *m, void *control)
{
	struct control *c = control;
	struct event_line *line = CONTAINER(m, struct event_line, mail);

	event_ring_add(&c->events, (struct str){line->text, line->n - 1});
	free(line);
}

static void on_stopped(struct mail *m, void *control)
{
	struct control *c = control;

	free(note_of(m));
	if (--c->workers_waited_for == 0)
		ending_say_farewell(c);
}

static void on_left(struct mail *m, void *control)
{
	struct control *c = control;

	free(note_of(m));
	if (--c->leaving == 0)
		orders_tell_left(c);
}

/* In a storm of reloads no third configuration is made while requests still go by two, unless they take long. */
uint64_t control_reload(struct control *c)
{
	uint64_t next = c->reloads.begun + 1;

	switch ((enum control_state)c->state) {
	case CONTROL_SERVING:
		if (c->frozen)
			c->reload_again = true; /* the successor reads the file; without one, so do we */
		else if (c->snapshots_alive <= 1)
			reload(c);
		else if (!deadline_armed(&c->settle))
			deadline_arm(&c->loop, &c->settle, c->snapshots_alive < CROWD ? SETTLE_MS : CROWD_MS);
		return next;
	case CONTROL_STARTING:
	case CONTROL_BINDING:
	case CONTROL_INSTALLING:
		c->reload_again = true;
		return next;
	default:
		return 0;
	}
}

/* -- the life of the process -- */

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
	struct control *c = arg;

	(void)fd;
	(void)what;
	loop_enter(&c->loop);
	mailbox_deliver(&c->box, c);
	orders_settled(c);
}

static void raise_descriptor_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static uint32_t usable_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
}

uint32_t control_workers_for(const struct conf *conf)
{
	return MIN(conf->workers ? conf->workers : usable_cpus(), CONF_WORKERS_MAX);
}

/* The number of workers stands for the life of the process, and must be known before the configuration is given to them. */
static bool count_workers(struct control *c)
{
	struct conf_report report;

	c->first = conf_load(c->config, &c->first_report);
	report = c->first_report;
	if (!c->first && !reload_from_last_good(c, &report)) {
		reload_tell_not_started(c, &c->first_report);
		conf_report_free(&c->first_report);
		return false;
	}
	c->backends.worker_n = c->worker_n = control_workers_for(c->first);
	return true;
}

static void on_rotate_keys(struct deadline *d);

static void arm_key_rotation(struct control *c)
{
	c->key_rotation.fire = on_rotate_keys;
	deadline_arm(&c->loop, &c->key_rotation, TICKET_ROTATE_S * 1000u);
}

static void on_rotate_keys(struct deadline *d)
{
	struct control *c = CONTAINER(d, struct control, key_rotation);
	struct ticket_keys *next = ticket_keys_rotate(c->keys);

	if (next) {
		for (uint32_t i = 0; i < c->worker_n; i++)
			worker_set_keys(&c->workers[i], ticket_keys_ref(next));
		ticket_keys_unref(c->keys);
		c->keys = next;
		known_changed(&c->known);
	}
	arm_key_rotation(c);
}

static void wake_log(void *ctx)
{
	io_thread_wake(ctx);
}

static bool start_threads(struct control *c)
{
	const struct worker_owner owner = {&c->box, on_installed, on_pools_set, on_let_go, on_exhausted,
		on_suspect, on_stopped, on_connection_failed, on_left};

	/* Workers hold linked lists into themselves: the array must never move. */
	c->workers = calloc(c->worker_n, sizeof(*c->workers));
	MUST(c->workers);
	for (uint32_t i = 0; i < c->worker_n; i++) {
		c->workers[i].wake_log = wake_log;
		c->workers[i].wake_log_ctx = &c->io;
		if (!worker_start(&c->workers[i], i, &owner))
			return false;
		c->io.rings[c->io.ring_n++] = &c->workers[i].access;
	}
	store_init(&c->store, &c->io, &c->loop, &c->box);
	c->io.audience = &c->box;
	c->io.on_event = on_event;
	return io_thread_start(&c->io);
}

static void on_members_changed(void *ctx)
{
	control_rebuild(ctx, NULL, NULL);
}

static bool set_up(struct control *c)
{
	raise_descriptor_limit();
	if (mailbox_init(&c->box) < 0)
		return false;
	if (!loop_init(&c->loop)) {
		mailbox_free(&c->box);
		return false;
	}
	listener_sockets_init(&c->sockets);
	event_ring_init(&c->events, &c->loop);
	reload_log_init(&c->reloads, &c->loop);
	c->box_event = event_new(c->loop.base, c->box.fd, EV_READ | EV_PERSIST, on_mail, c);
	MUST(c->box_event);
	event_add(c->box_event, NULL);
	c->settle.fire = on_settled;
	c->tidy.fire = on_tidy;
	ending_init(c);
	c->homes.loop = &c->loop;
	orders_open(c);
	return true;
}

static bool cannot_start(struct control *c)
{
	char text[256];

	snprintf(text, sizeof(text), "%s; is the limit of descriptors or threads too low?", strerror(errno));
	fprintf(stderr, "weir: not started: %s\n", text);
	orders_tell_failed(c, text);
	return false;
}

/* Whether it will be needed is for this configuration and all later ones to say. */
static void get_cookie_secret(struct control *c)
{
	char why[1024] = "";
	enum cookie_secret_state state =
		cookie_secret_get(c->first->state_dir.p, c->own_secret, why, sizeof(why));

	if (state == COOKIE_SECRET_SET_ASIDE ||
		(state == COOKIE_SECRET_LOST && c->first->cookie_secrets.n == 0))
		event_emit(&c->io, CONF_LEVEL_WARNING, "cookie_secret",
			json_pack("{s:b, s:s}", "kept", state != COOKIE_SECRET_LOST, "error", why));
}

static void on_files_changed(void *control)
{
	control_reload(control);
}

static bool begin(struct control *c)
{
	if (!count_workers(c))
		return false;
	c->keys = ticket_keys_rotate(NULL);
	if (!c->keys || !discovery_init(&c->discovery, &c->loop, &c->io, on_members_changed, c) ||
		!start_threads(c))
		return cannot_start(c);
	arm_key_rotation(c);
	metrics_init(&c->metrics);
	health_init(&c->health, &c->loop, &c->io, c->workers, c->worker_n);
	publish_init(&c->publisher, c->workers, c->worker_n);
	c->roster = roster_source_of(c);
	rebuild_init(&c->rebuild, c);
	c->module_watch.control = c;
	dependencies_init(&c->dependencies, &c->loop, &c->io);
	outlier_init(&c->outliers, &c->loop, &c->io, c->workers, c->worker_n);
	capacity_init(&c->capacity, &c->loop, &c->io, on_capacity, c);
	c->health.capacity = c->outliers.capacity = &c->capacity;
	known_init(&c->known, c);
	c->health.changed = c->outliers.changed = known_changed;
	c->health.ctx = c->outliers.ctx = &c->known;
	admin_init(&c->admin, c);
	c->started_ms = c->loop.now_ms;
	io_thread_configure(&c->io, &c->first->log); /* the store has things to tell */
	c->store.keeper.numbers_used = handover_last_event(c->orders.state);
	store_open(&c->store, c->first->state_dir.p);
	store_wait(&c->store, c);
	get_cookie_secret(c);
	runtime_init(&c->runtime, c);
	drains_init(&c->drains, c);
	drains_load(&c->drains);
	listener_drains_init(&c->listener_drains, c);
	listener_drains_load(&c->listener_drains);
	holds_init(&c->holds, c);
	holds_load(&c->holds);
	shift_init(&c->shifts, c);
	deploy_init(&c->deploys, c);
	runtime_load(&c->runtime);
	if (c->watches && !watch_init(&c->watch, &c->loop, on_files_changed, c))
		fprintf(stderr, "weir: --watch: %s; is fs.inotify.max_user_instances too low?\n",
			strerror(errno));
	return true;
}

void control_begin(struct control *c)
{
	if (c->worker_n > 0)
		return;
	if (begin(c)) {
		reload(c);
		return;
	}
	/* With half of the threads there is nothing to end in order. */
	fflush(NULL);
	_exit(1);
}

static void tear_down(struct control *c)
{
	for (uint32_t i = 0; i < c->worker_n; i++)
		worker_join(&c->workers[i]);
	publish_free(&c->publisher);
	mailbox_deliver(&c->box, c); /* snapshots that were let go of at the end */
	known_stop(&c->known);
	admin_free(&c->admin);
	rebuild_stop(&c->rebuild);
	mailbox_deliver(&c->box, c); /* what its requests had begun */
	watch_free(&c->watch);
	module_watch_follow(&c->module_watch, NULL);
	dependencies_follow(&c->dependencies, NULL);
	candidate_free(&c->candidate);
	discovery_free(&c->discovery);
	health_free(&c->health);
	outlier_free(&c->outliers);
	capacity_free(&c->capacity);
	deploy_stop(&c->deploys);
	shift_stop(&c->shifts);
	runtime_stop(&c->runtime);
	event_emit(&c->io, CONF_LEVEL_INFO, "stopped", json_pack("{s:i}", "pid", (int)getpid()));
	io_thread_stop(&c->io);
	mailbox_deliver(&c->box, c); /* what the store answered at the end */
	runtime_free(&c->runtime);
	drains_free(&c->drains);
	listener_drains_free(&c->listener_drains);
	deploy_free(&c->deploys);
	shift_free(&c->shifts);
	store_free(&c->store);
	mailbox_deliver(&c->box, c); /* its last events */
	event_ring_free(&c->events);
	reload_log_free(&c->reloads);
	json_decref(c->changes);
	json_decref(c->warnings);
	json_decref(c->not_first);
	discovery_close(&c->discovery);
	for (uint32_t i = 0; i < c->worker_n; i++)
		worker_free(&c->workers[i]);
	holds_close(&c->holds);
	if (c->snapshot)
		snapshot_free(&c->snapshot);
	module_homes_free(&c->homes);
	cert_stores_free(&c->stores);
	ticket_keys_unref(c->keys);
	cookie_keys_unref(c->cookie_keys);
	backend_registry_free(&c->backends);
	slots_free(&c->pool_slots);
	slots_free(&c->service_slots);
	slots_free(&c->tenant_slots);
	free(c->workers);
}

int control_run(const struct control_options *options)
{
	struct control c = {.config = options->config, .watches = options->watch, .state = CONTROL_STARTING};

	crash_watch();
	if (!set_up(&c)) {
		fprintf(stderr, "weir: not started: %s; is the limit of descriptors too low?\n",
			strerror(errno));
		return 1;
	}
	loop_run(&c.loop);
	if (c.worker_n > 0)
		tear_down(&c);
	/* The files of unix sockets are the supervisor's. */
	listener_sockets_free(&c.sockets, true);
	orders_close(&c);
	older_free(&c.older);
	event_free(c.box_event);
	loop_free(&c.loop);
	mailbox_free(&c.box);
	return c.code;
}
