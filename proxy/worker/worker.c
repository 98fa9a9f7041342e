#include "worker/worker.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"
#include "io/tls_memory.h"

#define ACCESS_RING (1024 * 1024)

static struct worker_note *worker_note_new(struct worker *w, void (*deliver)(struct mail *, void *))
{
	struct worker_note *note = calloc(1, sizeof(*note));

	MUST(note);
	note->mail.deliver = deliver;
	note->worker = w;
	return note;
}

void worker_tell(struct worker *w, void (*deliver)(struct mail *, void *), struct snapshot *s,
	uint64_t serial, int error)
{
	struct worker_note *note = worker_note_new(w, deliver);

	note->snapshot = s;
	note->serial = serial;
	note->error = error;
	mailbox_send(w->owner.box, &note->mail);
}

static void on_let_go(struct edge *e, struct snapshot_use *use)
{
	struct worker *w = CONTAINER(e, struct worker, edge);

	module_locals_free(&use->modules);
	worker_tell(w, w->owner.on_let_go, use->snapshot, 0, 0);
	free(use);
}

static void on_suspect(struct edge *e, const struct backend *b, enum outcome_kind kind)
{
	struct worker *w = CONTAINER(e, struct worker, edge);
	struct worker_note *note = worker_note_new(w, w->owner.on_suspect);

	note->backend = b;
	note->kind = (uint8_t)kind;
	mailbox_send(w->owner.box, &note->mail);
}

static void on_wake_log(struct edge *e)
{
	struct worker *w = CONTAINER(e, struct worker, edge);

	w->wake_log(w->wake_log_ctx);
}

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	loop_enter(&w->loop);
	mailbox_deliver(&w->box, w);
}

/* A draining worker ends when nobody is left. */
static void end_if_done(struct worker *w)
{
	if (w->draining && w->conn_n == 0 && w->edge.exchange_n == 0 && w->inbounds.pending_n == 0)
		loop_stop(&w->loop);
}

static void *run(void *arg)
{
	struct worker *w = arg;

	while (!w->loop.stop) {
		loop_once(&w->loop, -1);
		end_if_done(w);
	}
	drain_end(&w->clients);
	install_free(w);
	tls_memory_trim();
	worker_tell(w, w->owner.on_stopped, NULL, 0, 0);
	return NULL;
}

bool worker_init(struct worker *w, uint32_t index, const struct worker_owner *owner)
{
	w->magic = WORKER_MAGIC;
	w->index = index;
	w->owner = *owner;
	if (mailbox_init(&w->box) < 0)
		return false;
	if (!loop_init(&w->loop)) {
		mailbox_free(&w->box);
		return false;
	}
	w->edge.loop = &w->loop;
	w->edge.worker = index;
	w->edge.let_go = on_let_go;
	w->edge.suspect = on_suspect;
	w->edge.reach = install_reach;
	w->edge.wake_log = on_wake_log;
	list_init(&w->edge.exchanges);
	list_init(&w->edge.queues);
	list_init(&w->edge.lasting);
	list_init(&w->edge.mirrors);
	ring_init(&w->access, ACCESS_RING);
	gates_init(w);
	w->box_event = event_new(w->loop.base, w->box.fd, EV_READ | EV_PERSIST, on_mail, w);
	MUST(w->box_event);
	event_add(w->box_event, NULL);
	return true;
}

bool worker_start(struct worker *w, uint32_t index, const struct worker_owner *owner)
{
	char name[16];

	if (!worker_init(w, index, owner))
		return false;
	if (pthread_create(&w->thread, NULL, run, w) != 0)
		return false;
	snprintf(name, sizeof(name), "worker-%u", index);
	pthread_setname_np(w->thread, name);
	return true;
}

void worker_install(struct worker *w, struct worker_install *order)
{
	order->mail.deliver = install_deliver;
	mailbox_send(&w->box, &order->mail);
}

static void set_pools(struct worker *w, const struct worker_pools *pools)
{
	bool drains = false;

	for (uint32_t i = 0; i < pools->n; i++) {
		struct pool_now *now = &w->edge.now[pools->v[i].slot];

		drains = drains || (now->state >= POOL_DRAINING) != (pools->v[i].now.state >= POOL_DRAINING);
		*now = pools->v[i].now;
	}
	if (drains)
		install_drains(w);
	/* Who waits may wait for another pool now, or for none. */
	queues_look_again(&w->edge);
}

static void deliver_pools(struct mail *m, void *receiver)
{
	struct worker *w = receiver;
	struct worker_pools *pools = CONTAINER(m, struct worker_pools, mail);
	struct worker_note *note = worker_note_new(w, w->owner.on_pools_set);

	/* One that has ended has none any more. */
	if (w->edge.now_n)
		set_pools(w, pools);
	note->serial = pools->serial;
	free(pools);
	mailbox_send(w->owner.box, &note->mail);
}

void worker_set_pools(struct worker *w, struct worker_pools *pools)
{
	pools->mail.deliver = deliver_pools;
	mailbox_send(&w->box, &pools->mail);
}

static void deliver_health(struct mail *m, void *receiver)
{
	struct worker *w = receiver;

	free(m);
	queues_look_again(&w->edge);
}

struct question {
	struct mail mail;
	uint64_t asked_us;
};

static void deliver_question(struct mail *m, void *receiver)
{
	struct question *q = CONTAINER(m, struct question, mail);
	struct worker *w = receiver;
	struct worker_tally *t = &w->edge.tally;

	counter_set(&t->lag_us, w->loop.now_us - MIN(q->asked_us, w->loop.now_us));
	counter_set(&t->memory, w->loop.mem.in_use);
	free(q);
}

static void deliver_cause_order(struct mail *m, void *receiver)
{
	struct worker_causes *order = CONTAINER(m, struct worker_causes, mail);
	struct worker *w = receiver;

	order->query.id = str_of(order->id);
	order->query.tenant = str_of(order->tenant);
	order->n = causes_find(&w->edge.causes, &order->query, &order->found);
	order->mail.deliver = order->answered;
	mailbox_send(w->owner.box, &order->mail);
}

static void deliver_hold(struct mail *m, void *receiver)
{
	struct worker_hold *order = CONTAINER(m, struct worker_hold, mail);
	struct worker *w = receiver;

	/* One that has ended holds nobody. */
	if (!w->loop.stop && order->on)
		hold_begin(&w->edge, order->slot, &order->terms);
	else if (!w->loop.stop)
		hold_release(&w->edge, order->slot, &order->terms.pace);
	if (w->draining && !w->loop.stop)
		holds_shorten(&w->edge, w->edge.tunnel_ms);
	if (!order->followed) {
		free(order);
		return;
	}
	order->mail.deliver = order->followed;
	mailbox_send(w->owner.box, &order->mail);
}

void worker_set_hold(struct worker *w, struct worker_hold *order)
{
	order->mail.deliver = deliver_hold;
	mailbox_send(&w->box, &order->mail);
}

static void deliver_gate(struct mail *m, void *receiver)
{
	struct worker_gate *order = CONTAINER(m, struct worker_gate, mail);
	struct worker *w = receiver;

	/* One that has ended has nothing open. */
	if (!w->loop.stop)
		gate_follow(w, order);
	if (!order->followed) {
		free(order);
		return;
	}
	order->mail.deliver = order->followed;
	mailbox_send(w->owner.box, &order->mail);
}

void worker_set_gate(struct worker *w, struct worker_gate *order)
{
	order->mail.deliver = deliver_gate;
	mailbox_send(&w->box, &order->mail);
}

void worker_ask_causes(struct worker *w, struct worker_causes *order)
{
	order->mail.deliver = deliver_cause_order;
	mailbox_send(&w->box, &order->mail);
}

void worker_measure(struct worker *w, uint64_t now_us)
{
	struct question *q = calloc(1, sizeof(*q));

	MUST(q);
	q->mail.deliver = deliver_question;
	q->asked_us = now_us;
	mailbox_send(&w->box, &q->mail);
}

static void deliver_drains(struct mail *m, void *receiver)
{
	struct worker *w = receiver;

	free(m);
	if (w->edge.now_n)
		install_drains(w);
	queues_look_again(&w->edge);
}

struct key_mail {
	struct mail mail;
	struct ticket_keys *keys;
};

static void deliver_keys(struct mail *m, void *receiver)
{
	struct key_mail *k = CONTAINER(m, struct key_mail, mail);

	gates_set_keys(receiver, k->keys);
	ticket_keys_unref(k->keys);
	free(k);
}

void worker_set_keys(struct worker *w, struct ticket_keys *keys)
{
	struct key_mail *k = calloc(1, sizeof(*k));

	MUST(k);
	k->mail.deliver = deliver_keys;
	k->keys = keys;
	mailbox_send(&w->box, &k->mail);
}

/* rest_ms 0: who rests on a connection stays until he asks. */
static void drain(struct worker *w, const struct worker_farewell *farewell, uint32_t rest_ms)
{
	w->draining = true;
	w->edge.draining = true;
	w->edge.tunnel_ms = farewell->tunnel_ms;
	w->edge.stream_ms = farewell->stream_ms;
	holds_shorten(&w->edge, farewell->tunnel_ms);
	gates_stop(w);
	drain_end(&w->clients);
	drain_begin(&w->clients, w, STR_NONE, farewell->spread_ms, rest_ms);
}

static void deliver_leave(struct mail *m, void *receiver)
{
	struct worker *w = receiver;

	(void)m;
	/* One that has ended accepts nothing either. */
	if (!w->loop.stop)
		drain(w, &w->leave_farewell, 0);
	worker_tell(w, w->owner.on_left, NULL, 0, 0);
}

static void deliver_drain(struct mail *m, void *receiver)
{
	struct worker *w = receiver;

	(void)m;
	drain(w, &w->drain_farewell, DRAIN_REST_MS);
}

static void deliver_stop(struct mail *m, void *receiver)
{
	struct worker *w = receiver;

	(void)m;
	w->draining = true;
	gates_stop(w);
	inbounds_close(&w->inbounds, REASON_SHUTDOWN, NULL);
	exchange_end_all(&w->edge);
	gates_close_conns(w, REASON_SHUTDOWN);
	loop_run_tasks(&w->loop);
	loop_stop(&w->loop);
}

void worker_health_changed(struct worker *w)
{
	struct mail *m = calloc(1, sizeof(*m));

	MUST(m);
	m->deliver = deliver_health;
	mailbox_send(&w->box, m);
}

void worker_leave(struct worker *w, const struct worker_farewell *farewell)
{
	w->leave_farewell = *farewell;
	w->leave_mail.deliver = deliver_leave;
	mailbox_send(&w->box, &w->leave_mail);
}

void worker_drains_changed(struct worker *w)
{
	struct mail *m = calloc(1, sizeof(*m));

	MUST(m);
	m->deliver = deliver_drains;
	mailbox_send(&w->box, m);
}

void worker_drain(struct worker *w, const struct worker_farewell *farewell)
{
	w->drain_farewell = *farewell;
	w->drain_mail.deliver = deliver_drain;
	mailbox_send(&w->box, &w->drain_mail);
}

void worker_stop(struct worker *w)
{
	w->stop_mail.deliver = deliver_stop;
	mailbox_send(&w->box, &w->stop_mail);
}

void worker_close(struct worker *w)
{
	mailbox_deliver(
		&w->box, w); /* what was sent to it while it ended finds nothing to do, and is freed */
	event_free(w->box_event);
	loop_free(&w->loop);
	mailbox_free(&w->box);
}

void worker_join(struct worker *w)
{
	pthread_join(w->thread, NULL);
	worker_close(w);
}

void worker_free(struct worker *w)
{
	ring_free(&w->access);
	tally_free(&w->edge.tally.unrouted);
	causes_free(&w->edge.causes);
	w->magic = 0;
}
