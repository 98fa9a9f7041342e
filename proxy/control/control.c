#include "control/control.h"

#include <errno.h>
#include <event2/event.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "base/obj.h"
#include "control/install.h"
#include "control/roster.h"

static const uint8_t legal[CONTROL_STATES] = {
	[CONTROL_STARTING] =
		BIT(CONTROL_STARTING) | BIT(CONTROL_SERVING) | BIT(CONTROL_DRAINING) | BIT(CONTROL_STOPPING),
	[CONTROL_SERVING] = BIT(CONTROL_INSTALLING) | BIT(CONTROL_DRAINING) | BIT(CONTROL_STOPPING),
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
	return runtime_pool_now(&c->runtime, pool);
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
		loop_stop(&c->loop);
}

/* -- stopping -- */

void control_stop(struct control *c, const char *why)
{
	if (c->state == CONTROL_STOPPING)
		return;
	event_emit(&c->io, CONF_LEVEL_INFO, "stopping", json_pack("{s:b, s:s}", "drain", 0, "why", why));
	if (c->state != CONTROL_DRAINING)
		c->workers_waited_for = c->worker_n;
	control_set_state(c, CONTROL_STOPPING);
	rebuild_stop(&c->rebuild);
	for (uint32_t i = 0; i < c->worker_n; i++)
		worker_stop(&c->workers[i]);
}

static void on_stop_deadline(struct deadline *d)
{
	control_stop(CONTAINER(d, struct control, stop_deadline), "timeouts.shutdown has passed");
}

void control_drain(struct control *c, uint32_t limit_ms)
{
	if (c->state == CONTROL_DRAINING) {
		control_stop(c, "told again");
		return;
	}
	if (c->state == CONTROL_STOPPING)
		return;
	event_emit(&c->io, CONF_LEVEL_INFO, "stopping", json_pack("{s:b}", "drain", 1));
	control_set_state(c, CONTROL_DRAINING);
	c->workers_waited_for = c->worker_n;
	rebuild_stop(&c->rebuild);
	for (uint32_t i = 0; i < c->worker_n; i++)
		worker_drain(&c->workers[i]);
	deadline_arm(&c->loop, &c->stop_deadline, limit_ms);
	admin_topic_wake(&c->reloads.changed);
}

/* -- signals -- */

uint64_t control_reload(struct control *c)
{
	uint64_t next = c->reloads.ended + 1;

	switch ((enum control_state)c->state) {
	case CONTROL_SERVING:
		reload(c);
		return next;
	case CONTROL_STARTING:
	case CONTROL_INSTALLING:
		c->reload_again = true;
		return next + 1;
	default:
		return 0;
	}
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	struct control *c = arg;
	struct signalfd_siginfo info;

	(void)what;
	loop_enter(&c->loop);
	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGHUP:
			control_reload(c);
			break;
		case SIGUSR1:
			io_thread_reopen(&c->io);
			break;
		case SIGINT:
			control_stop(c, "interrupted");
			break;
		default:
			control_drain(c, c->snapshot ? c->snapshot->conf->timeouts.shutdown : 1);
			break;
		}
	}
}

/* Before any thread is started: they inherit the mask, so signals come to control alone. */
static int catch_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a limit of file size is a full disk: an error of write() */
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGQUIT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* -- the life of the process -- */

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
	struct control *c = arg;

	(void)fd;
	(void)what;
	loop_enter(&c->loop);
	mailbox_deliver(&c->box, c);
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

/* The number of workers stands for the life of the process, and must be known before the configuration is given to them. */
static bool count_workers(struct control *c)
{
	c->first = conf_load(c->config, &c->first_report);
	if (!c->first) {
		reload_tell_not_started(c, &c->first_report);
		conf_report_free(&c->first_report);
		return false;
	}
	c->backends.worker_n = c->worker_n =
		MIN(c->first->workers ? c->first->workers : usable_cpus(), IO_RINGS_MAX);
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
		on_suspect, on_stopped, on_connection_failed};

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

static bool set_up(struct control *c)
{
	raise_descriptor_limit();
	c->signal_fd = catch_signals();
	if (c->signal_fd < 0 || mailbox_init(&c->box) < 0 || !loop_init(&c->loop))
		return false;
	listener_sockets_init(&c->sockets);
	c->box_event = event_new(c->loop.base, c->box.fd, EV_READ | EV_PERSIST, on_mail, c);
	c->signal_event = event_new(c->loop.base, c->signal_fd, EV_READ | EV_PERSIST, on_signal, c);
	MUST(c->box_event && c->signal_event);
	event_add(c->box_event, NULL);
	event_add(c->signal_event, NULL);
	c->stop_deadline.fire = on_stop_deadline;
	c->keys = ticket_keys_rotate(NULL);
	arm_key_rotation(c);
	event_ring_init(&c->events, &c->loop);
	reload_log_init(&c->reloads, &c->loop);
	return c->keys && start_threads(c);
}

static void tear_down(struct control *c)
{
	for (uint32_t i = 0; i < c->worker_n; i++)
		worker_join(&c->workers[i]);
	mailbox_deliver(&c->box, c); /* snapshots that were let go of at the end */
	admin_free(&c->admin);
	rebuild_stop(&c->rebuild);
	mailbox_deliver(&c->box, c); /* what its requests had begun */
	discovery_free(&c->discovery);
	health_free(&c->health);
	outlier_free(&c->outliers);
	publish_free(&c->publisher);
	runtime_stop(&c->runtime);
	event_emit(&c->io, CONF_LEVEL_INFO, "stopped", NULL);
	io_thread_stop(&c->io);
	mailbox_deliver(&c->box, c); /* what the store answered at the end */
	runtime_free(&c->runtime);
	store_free(&c->store);
	mailbox_deliver(&c->box, c); /* its last events */
	event_ring_free(&c->events);
	reload_log_free(&c->reloads);
	for (uint32_t i = 0; i < c->worker_n; i++)
		worker_free(&c->workers[i]);
	listener_sockets_free(&c->sockets, false);
	if (c->snapshot)
		snapshot_free(&c->snapshot);
	cert_stores_free(&c->stores);
	ticket_keys_unref(c->keys);
	backend_registry_free(&c->backends);
	slots_free(&c->pool_slots);
	slots_free(&c->service_slots);
	event_free(c->box_event);
	event_free(c->signal_event);
	loop_free(&c->loop);
	mailbox_free(&c->box);
	close(c->signal_fd);
	free(c->workers);
}

int control_run(const struct control_options *options)
{
	struct control c = {.config = options->config, .state = CONTROL_STARTING};
	int code = 0;

	if (!count_workers(&c))
		return 1;
	if (!set_up(&c)) {
		fprintf(stderr, "weir: not started: %s; is the limit of descriptors or threads too low?\n",
			strerror(errno));
		conf_free(c.first);
		conf_report_free(&c.first_report);
		return 1;
	}
	metrics_init(&c.metrics);
	discovery_init(&c.discovery, &c.loop, &c.io, c.workers, c.worker_n);
	health_init(&c.health, &c.loop, &c.io, c.workers, c.worker_n);
	publish_init(&c.publisher, c.workers, c.worker_n);
	c.roster = roster_source_of(&c);
	rebuild_init(&c.rebuild, &c);
	outlier_init(&c.outliers, &c.loop, &c.io, c.workers, c.worker_n);
	admin_init(&c.admin, &c);
	c.started_ms = c.loop.now_ms;
	io_thread_configure(&c.io, &c.first->log); /* the store has things to tell */
	store_open(&c.store, c.first->state_dir.p);
	store_wait(&c.store, &c);
	runtime_init(&c.runtime, &c);
	runtime_load(&c.runtime);
	if (!reload(&c)) {
		code = 1;
		control_stop(&c, "the configuration cannot be served");
	}
	loop_run(&c.loop);
	tear_down(&c);
	return code;
}
