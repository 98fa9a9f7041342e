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
	(void)c;
	return pool_now_of(pool->conf);
}

/* -- what workers say -- */

static struct worker_note *note_of(struct mail *m)
{
	return CONTAINER(m, struct worker_note, mail);
}

static void on_installed(struct mail *m, void *control)
{
	struct control *c = control;
	uint64_t generation = note_of(m)->generation;
	/* Told to stop meanwhile, workers are waited for to stop: this must not count as one that has. */
	bool awaited = c->state == CONTROL_STARTING || c->state == CONTROL_INSTALLING;

	free(note_of(m));
	if (awaited && generation == c->snapshot->generation && --c->workers_waited_for == 0)
		reload_installed(c);
}

static void on_pools_set(struct mail *m, void *control)
{
	struct control *c = control;
	uint64_t serial = note_of(m)->serial;

	free(note_of(m));
	publish_followed(&c->publisher, serial);
}

static void on_let_go(struct mail *m, void *control)
{
	struct control *c = control;
	struct snapshot *s = note_of(m)->snapshot;

	free(note_of(m));
	if (--s->workers_left > 0)
		return;
	c->snapshots_alive--;
	snapshot_free(&s);
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

static void on_stopped(struct mail *m, void *control)
{
	struct control *c = control;

	free(note_of(m));
	if (--c->workers_waited_for == 0)
		loop_stop(&c->loop);
}

/* -- stopping -- */

static void stop_now(struct control *c, const char *why)
{
	if (c->state == CONTROL_STOPPING)
		return;
	event_emit(&c->io, CONF_LEVEL_INFO, "stopping", json_pack("{s:b, s:s}", "drain", 0, "why", why));
	if (c->state != CONTROL_DRAINING)
		c->workers_waited_for = c->worker_n;
	control_set_state(c, CONTROL_STOPPING);
	for (uint32_t i = 0; i < c->worker_n; i++)
		worker_stop(&c->workers[i]);
}

static void on_stop_deadline(struct deadline *d)
{
	stop_now(CONTAINER(d, struct control, stop_deadline), "timeouts.shutdown has passed");
}

static void drain(struct control *c)
{
	if (c->state == CONTROL_DRAINING) {
		stop_now(c, "told again");
		return;
	}
	if (c->state == CONTROL_STOPPING)
		return;
	event_emit(&c->io, CONF_LEVEL_INFO, "stopping", json_pack("{s:b}", "drain", 1));
	control_set_state(c, CONTROL_DRAINING);
	c->workers_waited_for = c->worker_n;
	for (uint32_t i = 0; i < c->worker_n; i++)
		worker_drain(&c->workers[i]);
	deadline_arm(&c->loop, &c->stop_deadline, c->snapshot->conf->timeouts.shutdown);
}

/* -- signals -- */

static void on_hup(struct control *c)
{
	if (c->state == CONTROL_SERVING)
		reload(c);
	else if (c->state == CONTROL_STARTING || c->state == CONTROL_INSTALLING)
		c->reload_again = true;
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
			on_hup(c);
			break;
		case SIGUSR1:
			io_thread_reopen(&c->io);
			break;
		case SIGINT:
			stop_now(c, "interrupted");
			break;
		default:
			drain(c);
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
	c->worker_n = MIN(c->first->workers ? c->first->workers : usable_cpus(), IO_RINGS_MAX);
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
	const struct worker_owner owner = {
		&c->box, on_installed, on_pools_set, on_let_go, on_exhausted, on_suspect, on_stopped};

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
	return c->keys && start_threads(c);
}

static void tear_down(struct control *c)
{
	for (uint32_t i = 0; i < c->worker_n; i++)
		worker_join(&c->workers[i]);
	mailbox_deliver(&c->box, c); /* snapshots that were let go of at the end */
	admin_free(&c->admin);
	discovery_free(&c->discovery);
	health_free(&c->health);
	outlier_free(&c->outliers);
	publish_free(&c->publisher);
	event_emit(&c->io, CONF_LEVEL_INFO, "stopped", NULL);
	io_thread_stop(&c->io);
	mailbox_deliver(&c->box, c); /* what the store answered at the end */
	store_free(&c->store);
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
	discovery_init(&c.discovery, &c.loop, &c.io, c.workers, c.worker_n);
	health_init(&c.health, &c.loop, &c.io, c.workers, c.worker_n);
	publish_init(&c.publisher, c.workers, c.worker_n);
	outlier_init(&c.outliers, &c.loop, &c.io, c.workers, c.worker_n);
	admin_init(&c.admin, &c);
	c.started_ms = c.loop.now_ms;
	io_thread_configure(&c.io, &c.first->log); /* the store has things to tell */
	store_open(&c.store, c.first->state_dir.p);
	store_wait(&c.store, &c);
	if (!reload(&c)) {
		code = 1;
		stop_now(&c, "the configuration cannot be served");
	}
	loop_run(&c.loop);
	tear_down(&c);
	return code;
}
