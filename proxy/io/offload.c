#include "io/offload.h"

#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "base/obj.h"

/* The loop's thread uses loop, event, waiting, running; the helper stop; each the mailbox that it is the receiver of. */
struct offload {
	struct loop *loop;
	struct event *event; /* of `back`; NULL: no helper has been started */
	uint32_t waiting;
	struct mailbox to, back; /* to the helper, to the loop */
	struct mail stop_mail;
	bool stop;
	atomic_uint refs; /* of the two threads: a mailbox must stand until its sender has come back */
};

static void deliver_done(struct mail *m, void *receiver)
{
	struct offload_job *job = CONTAINER(m, struct offload_job, mail);
	struct offload *o = receiver;

	if (o)
		o->waiting--;
	job->done(job, o && o->event);
}

static void deliver_job(struct mail *m, void *receiver)
{
	struct offload_job *job = CONTAINER(m, struct offload_job, mail);
	struct offload *o = receiver;

	job->work(job);
	job->mail.deliver = deliver_done;
	mailbox_send(&o->back, &job->mail);
}

/* The last mail: the loop's side has let go. */
static void deliver_stop(struct mail *m, void *receiver)
{
	struct offload *o = receiver;

	(void)m;
	o->stop = true;
}

static void unref(struct offload *o)
{
	if (atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) > 1)
		return;
	mailbox_free(&o->to);
	mailbox_free(&o->back);
	free(o);
}

static void *help(void *arg)
{
	struct offload *o = arg;
	struct pollfd mail = {.fd = o->to.fd, .events = POLLIN};

	while (!o->stop) {
		poll(&mail, 1, -1);
		mailbox_deliver(&o->to, o);
	}
	mailbox_deliver(&o->back, NULL);
	unref(o);
	return NULL;
}

static void on_back(evutil_socket_t fd, short what, void *arg)
{
	struct offload *o = arg;

	(void)fd;
	(void)what;
	loop_enter(o->loop);
	/* What is done with one job may let go of the offload. */
	atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
	mailbox_deliver(&o->back, o);
	unref(o);
}

static bool start(struct offload *o)
{
	pthread_attr_t detached;
	pthread_t thread;
	int failed;

	if (mailbox_init(&o->to) < 0)
		return false;
	if (mailbox_init(&o->back) < 0) {
		mailbox_free(&o->to);
		return false;
	}
	atomic_store_explicit(&o->refs, 2, memory_order_relaxed); /* the thread's start orders it */
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	failed = pthread_create(&thread, &detached, help, o);
	pthread_attr_destroy(&detached);
	if (failed) {
		mailbox_free(&o->to);
		mailbox_free(&o->back);
		return false;
	}
	o->event = event_new(o->loop->base, o->back.fd, EV_READ | EV_PERSIST, on_back, o);
	MUST(o->event);
	event_add(o->event, NULL);
	return true;
}

struct offload *offload_new(struct loop *l)
{
	struct offload *o = calloc(1, sizeof(*o));

	MUST(o);
	o->loop = l;
	return o;
}

void offload_free(struct offload **op)
{
	struct offload *o = TAKE(op);

	if (!o)
		return;
	if (!o->event) {
		free(o);
		return;
	}
	event_free(TAKE(&o->event));
	o->stop_mail.deliver = deliver_stop;
	mailbox_send(&o->to, &o->stop_mail);
	unref(o);
}

bool offload_run(struct offload *o, struct offload_job *job)
{
	if (o->waiting == OFFLOAD_WAITING_MAX || (!o->event && !start(o)))
		return false;
	o->waiting++;
	job->offload = o;
	job->mail.deliver = deliver_job;
	mailbox_send(&o->to, &job->mail);
	return true;
}
