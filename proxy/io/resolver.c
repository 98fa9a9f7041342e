#include "io/resolver.h"

#include <ares.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netdb.h>
#include <stdlib.h>
#include "base/obj.h"

#define TICK_MS  100
#define CLASS_IN 1 /* RFC 1035 3.2.4 */
#define TYPE_SRV 33 /* RFC 2782 */

struct resolver_socket {
	struct list link;
	struct resolver *r;
	struct event ev;
	evutil_socket_t fd;
};

struct resolve {
	struct list link;
	struct resolver *r;
	struct task task;
	bool answered; /* c-ares is done with it */
	uint16_t port;
	bool cancelled;
	void (*done)(const struct resolve_answer *answer, void *ctx); /* one of the two */
	void (*done_srv)(const struct srv_answer *answer, void *ctx);
	void *ctx;
	struct resolve_answer answer;
	struct srv_answer *srv; /* owned; NULL unless they are asked for */
};

static struct resolver_socket *find_socket(struct resolver *r, evutil_socket_t fd)
{
	list_each (link, &r->sockets) {
		struct resolver_socket *s = CONTAINER(link, struct resolver_socket, link);

		if (s->fd == fd)
			return s;
	}
	return NULL;
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct resolver *r = arg;

	loop_enter(r->loop);
	ares_process_fd(
		r->channel, what & EV_READ ? fd : ARES_SOCKET_BAD, what & EV_WRITE ? fd : ARES_SOCKET_BAD);
}

/* c-ares says what it waits for on a descriptor of its own; neither: it is about to close it. */
static void on_interest(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = arg;
	struct resolver_socket *s = find_socket(r, fd);
	short what = (short)((readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));

	if (s)
		event_del(&s->ev);
	if (!what) {
		if (s) {
			list_remove(&s->link);
			free(s);
		}
		return;
	}
	if (!s) {
		s = calloc(1, sizeof(*s));
		MUST(s);
		s->r = r;
		s->fd = fd;
		list_push_back(&r->sockets, &s->link);
	}
	event_assign(&s->ev, r->loop->base, fd, (short)(what | EV_PERSIST), on_socket, r);
	event_add(&s->ev, NULL);
}

static void on_tick(struct deadline *d)
{
	struct resolver *r = CONTAINER(d, struct resolver, tick);

	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	if (!list_empty(&r->pending))
		deadline_arm(r->loop, &r->tick, TICK_MS);
}

bool resolver_init(struct resolver *r, struct loop *l, const struct resolver_options *o)
{
	struct ares_options options = {.sock_state_cb = on_interest,
		.sock_state_cb_data = r,
		.timeout = (int)o->timeout_ms,
		.tries = (int)o->tries};
	int flags = ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;

	*r = (struct resolver){.loop = l, .tick = {.fire = on_tick}};
	list_init(&r->sockets);
	list_init(&r->pending);
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		return false;
	if (ares_init_options(&r->channel, &options, flags) != ARES_SUCCESS) {
		ares_library_cleanup();
		return false;
	}
	if (o->servers && ares_set_servers_ports_csv(r->channel, o->servers) != ARES_SUCCESS) {
		resolver_free(r);
		return false;
	}
	return true;
}

static void question_free(struct resolve *q)
{
	task_cancel(&q->task);
	list_remove(&q->link);
	free(q->srv);
	free(q);
}

void resolver_free(struct resolver *r)
{
	list_each (link, &r->pending)
		CONTAINER(link, struct resolve, link)->cancelled = true;
	deadline_disarm(r->loop, &r->tick);
	ares_destroy(r->channel); /* calls back for everything open */
	list_each_safe (link, &r->pending)
		question_free(CONTAINER(link, struct resolve, link));
	ares_library_cleanup();
}

static bool known(const struct resolve_answer *a, const struct addr *addr)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (addr_eq_ip(&a->addrs[i], addr))
			return true;
	return false;
}

static void collect(struct resolve *q, const struct ares_addrinfo *info)
{
	struct resolve_answer *a = &q->answer;

	for (const struct ares_addrinfo_node *n = info->nodes; n && a->n < RESOLVE_ADDRS_MAX;
		n = n->ai_next) {
		struct addr addr = {0};

		addr_from_sockaddr(&addr, n->ai_addr, n->ai_addrlen);
		addr.port = q->port;
		if (addr.family == ADDR_NONE || known(a, &addr))
			continue;
		if (n->ai_ttl > 0 && (a->n == 0 || (uint32_t)n->ai_ttl < a->ttl_s))
			a->ttl_s = (uint32_t)n->ai_ttl;
		a->addrs[a->n++] = addr;
	}
}

static void answer(struct task *task)
{
	struct resolve *q = CONTAINER(task, struct resolve, task);

	list_remove(&q->link);
	if (!q->cancelled && q->done)
		q->done(&q->answer, q->ctx);
	else if (!q->cancelled)
		q->done_srv(q->srv, q->ctx);
	free(q->srv);
	free(q);
}

/* The caller hears it from the loop, even if it was known at once. */
static void answered(struct resolve *q)
{
	q->answered = true;
	q->task.run = answer;
	loop_defer(q->r->loop, &q->task, LOOP_READY);
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct resolve *q = arg;

	(void)timeouts;
	if (info) {
		collect(q, info);
		ares_freeaddrinfo(info);
	}
	if (q->answer.n == 0)
		q->answer.error = ares_strerror(status == ARES_SUCCESS ? ARES_ENODATA : status);
	q->answer.none = q->answer.n == 0 &&
			 (status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND);
	answered(q);
}

static void on_srv_answer(void *arg, int status, int timeouts, unsigned char *reply, int n)
{
	struct resolve *q = arg;

	(void)timeouts;
	if (status == ARES_SUCCESS && !srv_reply_parse(q->srv, reply, (size_t)n))
		status = ARES_EBADRESP;
	if (q->srv->n == 0)
		q->srv->error = ares_strerror(status == ARES_SUCCESS ? ARES_ENODATA : status);
	answered(q);
}

static struct resolve *question_new(struct resolver *r, void *ctx)
{
	struct resolve *q = calloc(1, sizeof(*q));

	MUST(q);
	q->r = r;
	q->ctx = ctx;
	list_push_back(&r->pending, &q->link);
	if (!deadline_armed(&r->tick))
		deadline_arm(r->loop, &r->tick, TICK_MS);
	return q;
}

struct resolve *resolver_ask_srv(struct resolver *r, const char *name,
	void (*done)(const struct srv_answer *answer, void *ctx), void *ctx)
{
	struct resolve *q = question_new(r, ctx);

	q->done_srv = done;
	q->srv = calloc(1, sizeof(*q->srv));
	MUST(q->srv);
	ares_query(r->channel, name, CLASS_IN, TYPE_SRV, on_srv_answer, q);
	return q;
}

struct resolve *resolver_ask(struct resolver *r, const char *name, uint16_t port, enum resolve_family family,
	void (*done)(const struct resolve_answer *answer, void *ctx), void *ctx)
{
	static const int families[] = {
		[RESOLVE_BOTH] = AF_UNSPEC, [RESOLVE_IP4] = AF_INET, [RESOLVE_IP6] = AF_INET6};
	struct ares_addrinfo_hints hints = {
		.ai_family = families[family], .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NOSORT};
	struct resolve *q = question_new(r, ctx);

	q->port = port;
	q->done = done;
	/* c-ares 1.18 asks DNS for addresses too, when either family will do. */
	if (addr_parse_ip(&q->answer.addrs[0], str_of(name))) {
		q->answer.addrs[0].port = port;
		q->answer.n = 1;
		answered(q);
		return q;
	}
	ares_getaddrinfo(r->channel, name, NULL, &hints, on_answer, q);
	return q;
}

void resolve_cancel(struct resolve **qp)
{
	struct resolve *q = TAKE(qp);

	if (!q)
		return;
	q->cancelled = true;
	/* c-ares cannot forget one question: it is freed when the answer comes. */
	if (q->answered)
		question_free(q);
}
