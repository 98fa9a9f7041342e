#include "upstream/conn_pool.h"

#include <stdlib.h>
#include "base/obj.h"
#include "upstream/connect.h"

#define H2_USUAL_ROOM 100 /* what most backends allow, and RFC 9113 6.5.2 asks them to allow at least */

static void on_change(struct http_conn *c);
static void on_closed(struct http_conn *c, enum reason why);

static const struct http_conn_owner_ops pool_conn_ops = {.on_change = on_change, .on_closed = on_closed};

struct conn_pool *conn_pool_new(struct loop *l, const struct backend *b)
{
	struct conn_pool *p = calloc(1, sizeof(*p));

	MUST(p);
	p->magic = CONN_POOL_MAGIC;
	p->loop = l;
	p->backend = b;
	list_init(&p->free);
	list_init(&p->full);
	list_init(&p->opening);
	list_init(&p->settling);
	list_init(&p->waiting);
	return p;
}

struct backend_tally *conn_pool_tally(struct conn_pool *p)
{
	if (p->retired)
		return backend_tally(p->backend->tallies, p->worker);
	if (!p->tally)
		p->tally = backend_tally(p->backend->tallies, p->worker);
	return p->tally;
}

/* The backend's record may go with the last snapshot that names it, before the last connection. */
static void tell_now(struct conn_pool *p)
{
	struct backend_tally *t;

	if (p->retired)
		return;
	t = conn_pool_tally(p);
	counter_set(&t->in_flight, p->streams);
	counter_set(&t->connections, p->conns);
}

static bool speaks_the_same(const struct conn_settings *a, const struct conn_settings *b)
{
	return a->protocol == b->protocol && a->tls == b->tls && a->tls_lost == b->tls_lost &&
	       a->proxy_protocol == b->proxy_protocol && strcmp(a->server_name, b->server_name) == 0;
}

/* For whom the next connection is made: nobody gets two in his name. */
static struct conn_waiter *next_in_line(const struct conn_pool *p)
{
	struct list *link = list_first(&p->waiting);

	while (CONTAINER(link, struct conn_waiter, link)->own)
		link = link->next;
	return CONTAINER(link, struct conn_waiter, link);
}

/* How many requests at once a new connection is expected to take. */
static uint32_t expected_room(const struct conn_pool *p)
{
	const struct conn_settings *set = &p->settings;

	/* One that names a client is that one's. What `auto` will find is waited for like HTTP/2, once. */
	if (set->proxy_protocol || p->draining || set->protocol == CONF_HTTP1)
		return 1;
	if (p->room > 0)
		return p->room;
	return set->limits.max_streams ? MIN(set->limits.max_streams, H2_USUAL_ROOM) : H2_USUAL_ROOM;
}

static bool may_open(const struct conn_pool *p)
{
	return p->settings.max_conns == 0 || p->conns + p->opening_n < p->settings.max_conns;
}

static enum reason open_one(struct conn_pool *p, struct conn_waiter *w, uint32_t carries)
{
	enum reason why = opening_begin(p, w, carries);

	if (why == REASON_NONE)
		counter_add(&conn_pool_tally(p)->connects, 1);
	return why;
}

/* Enough connections are being made for those who wait, within the limit. Returns why one could not be begun. */
static enum reason open_more(struct conn_pool *p)
{
	enum reason why = REASON_NONE;

	/* What is made for others is of no use to those who need one of their own. */
	list_each (link, &p->waiting) {
		struct conn_waiter *w = CONTAINER(link, struct conn_waiter, link);

		if (w->http1 && !w->own && why == REASON_NONE && may_open(p))
			why = open_one(p, w, 1);
	}
	while (why == REASON_NONE && p->coming < p->waiting_n && may_open(p))
		why = open_one(p, next_in_line(p), expected_room(p));
	return why;
}

/* Takes no new requests, and is counted on for none. */
static void drain(struct conn_pool *p, struct http_conn *c)
{
	opening_settle(p, c);
	http_conn_drain(c);
}

static void drain_all(struct conn_pool *p)
{
	list_each_safe (link, &p->free)
		drain(p, CONTAINER(link, struct http_conn, link));
	list_each_safe (full, &p->full)
		drain(p, CONTAINER(full, struct http_conn, link));
	/* If none can be begun now, then when the next connection ends. */
	(void)open_more(p);
}

void conn_pool_configure(struct conn_pool *p, const struct conn_settings *settings)
{
	bool same = speaks_the_same(&p->settings, settings);

	p->settings = *settings;
	if (same)
		return;
	p->room = 0;
	openings_outdate(p);
	drain_all(p);
}

void conn_pool_set_draining(struct conn_pool *p, bool on)
{
	if (p->draining == on)
		return;
	p->draining = on;
	if (on)
		drain_all(p);
}

/* An answer that is whole outlives its connection until the client has taken it: its stream is still to be counted out. */
static void end_if_empty(struct conn_pool *p)
{
	if (!p->retired || p->conns > 0 || p->opening_n > 0 || p->waiting_n > 0 || p->streams > 0)
		return;
	p->magic = 0;
	free(p->error);
	free(p);
}

void conn_pool_retire(struct conn_pool **pp)
{
	struct conn_pool *p = TAKE(pp);

	OBJ_CHECK(p, CONN_POOL_MAGIC);
	if (p->tally) {
		counter_set(&p->tally->in_flight, 0);
		counter_set(&p->tally->connections, 0);
		p->tally = NULL;
	}
	p->retired = true;
	opening_close_beyond(p, p->waiting_n);
	drain_all(p);
	end_if_empty(p);
}

void conn_pool_close(struct conn_pool *p)
{
	opening_close_beyond(p, 0);
	list_each_safe (link, &p->free)
		http_conn_close(CONTAINER(link, struct http_conn, link), REASON_SHUTDOWN);
	list_each_safe (full, &p->full)
		http_conn_close(CONTAINER(full, struct http_conn, link), REASON_SHUTDOWN);
}

struct http_conn *conn_pool_take(struct conn_pool *p)
{
	list_each (link, &p->free) {
		struct http_conn *c = CONTAINER(link, struct http_conn, link);

		/* One that has ended in this tick is still here: its pool is told from the loop. */
		if (c->capacity > 0 && !c->draining)
			return c;
	}
	return NULL;
}

/* Puts c on the list where it belongs: the front of `free` when it has room. */
static void place(struct conn_pool *p, struct http_conn *c)
{
	list_remove(&c->link);
	list_push_front(c->capacity > 0 && !c->draining ? &p->free : &p->full, &c->link);
}

struct stream *conn_pool_open(
	struct conn_pool *p, struct http_conn *c, const struct stream_owner_ops *ops, void *owner)
{
	struct stream *s = http_conn_open(c, ops, owner);

	if (!s)
		return NULL;
	p->streams++;
	if (!p->retired)
		counter_add(&conn_pool_tally(p)->requests, 1);
	tell_now(p);
	/* The PROXY header named this client: nobody else may come through here. */
	if (p->settings.proxy_protocol || p->draining)
		drain(p, c);
	if (c->capacity == 0 || c->draining)
		place(p, c);
	return s;
}

void conn_pool_done(struct conn_pool *p)
{
	p->streams--;
	tell_now(p);
	end_if_empty(p);
}

/* Ends the wait, whatever has come of it. */
static void stop_waiting(struct conn_waiter *w)
{
	list_remove(&w->link);
	deadline_disarm(w->pool->loop, &w->deadline);
	if (w->own)
		opening_end(w->own);
	w->pool->waiting_n--;
	w->pool = NULL;
}

void conn_waiter_cancel(struct conn_waiter *w)
{
	struct conn_pool *p = w->pool;
	bool own = w->own;

	if (!p)
		return;
	stop_waiting(w);
	/* Requests that are given up as fast as they come must not leave a connection each behind; one may be kept for the next. */
	opening_close_beyond(p, p->waiting_n + !p->retired);
	/* What was made for it alone has made room. If it cannot be used now, then when the next connection ends. */
	if (own)
		(void)open_more(p);
	end_if_empty(p);
}

/* At the limit, an idle connection gives way to a new one. */
static void make_room(struct conn_pool *p)
{
	struct list *coldest = list_last(&p->free);

	if (coldest && p->settings.max_conns && p->conns + p->opening_n >= p->settings.max_conns)
		drain(p, CONTAINER(coldest, struct http_conn, link));
}

static void on_waited_enough(struct deadline *d)
{
	struct conn_waiter *w = CONTAINER(d, struct conn_waiter, deadline);
	struct conn_pool *p = w->pool;

	stop_waiting(w);
	w->failed(w, REASON_PENDING_TIMEOUT);
	conn_pool_open_again(p);
}

static bool has_leaving(const struct list *conns)
{
	list_each (link, conns) {
		const struct http_conn *c = CONTAINER(link, struct http_conn, link);

		if (c->version == HTTP_2 && c->draining)
			return true;
	}
	return false;
}

/* At the limit, who needs HTTP/1 has nothing of one of HTTP/2 that has room again: it gives way, unless one does already. */
static void give_way(struct conn_pool *p)
{
	list_each (link, &p->waiting) {
		const struct conn_waiter *w = CONTAINER(link, struct conn_waiter, link);

		if (!w->http1 || w->own)
			continue;
		if (!has_leaving(&p->free) && !has_leaving(&p->full))
			make_room(p);
		return;
	}
}

enum reason conn_pool_wait(struct conn_pool *p, struct conn_waiter *w)
{
	enum reason why;

	if (p->settings.max_pending && p->waiting_n >= p->settings.max_pending)
		return REASON_PENDING_FULL;
	w->pool = p;
	list_push_back(&p->waiting, &w->link);
	p->waiting_n++;
	w->newest = p->made;
	if (w->fresh || w->http1)
		make_room(p);
	why = open_more(p);
	if (why != REASON_NONE) {
		stop_waiting(w);
		return why;
	}
	w->deadline.fire = on_waited_enough;
	deadline_arm(p->loop, &w->deadline, p->settings.pending_ms);
	return REASON_NONE;
}

/* Over HTTP/1 one that somebody else has used meanwhile may be closing again. */
static bool suits(const struct conn_waiter *w, const struct http_conn *c)
{
	if (w->http1 && c->version == HTTP_2)
		return false;
	return !w->fresh || c->unused || (c->version == HTTP_2 && (int32_t)(c->number - w->newest) > 0);
}

static struct conn_waiter *oldest_suited(const struct conn_pool *p, const struct http_conn *c)
{
	list_each (link, &p->waiting) {
		struct conn_waiter *w = CONTAINER(link, struct conn_waiter, link);

		if (suits(w, c))
			return w;
	}
	return NULL;
}

/* Hands connections with room to those who wait, oldest first. */
static void serve(struct conn_pool *p)
{
	struct conn_waiter *w;
	struct http_conn *c;

	while ((c = conn_pool_take(p)) && (w = oldest_suited(p, c))) {
		stop_waiting(w);
		w->ready(w, c);
	}
}

/* Nothing new comes to this backend: once nobody waits, its connections end with the requests that they have. */
static void end_with_the_last(struct conn_pool *p, struct http_conn *c)
{
	if ((p->retired || p->draining) && p->waiting_n == 0 && !c->draining)
		drain(p, c);
}

static struct conn_waiter *oldest(const struct conn_pool *p)
{
	struct list *link = list_first(&p->waiting);

	return link ? CONTAINER(link, struct conn_waiter, link) : NULL;
}

static void fail(struct conn_waiter *w, enum reason why)
{
	if (!w)
		return;
	stop_waiting(w);
	w->failed(w, why);
}

/* The oldest of those who wait may try elsewhere. */
static void fail_oldest(struct conn_pool *p, uint32_t requests, enum reason why)
{
	/* Who begins to wait meanwhile is not meant. */
	requests = MIN(requests, p->waiting_n);
	for (uint32_t i = 0; i < requests; i++)
		fail(oldest(p), why);
}

/* Those who still wait need connections; who cannot have one, because of why, is told. */
static void open_for_the_rest(struct conn_pool *p, enum reason why)
{
	while (oldest(p) && open_more(p) != REASON_NONE)
		fail_oldest(p, expected_room(p), why);
}

/* The backend has said how many requests c takes, or never will. How many were counted on it beyond those that it took. */
static uint32_t settle(struct conn_pool *p, const struct http_conn *c)
{
	if (c->settled && !c->draining)
		p->room = MAX(c->streams + c->capacity, 1);
	return opening_settle(p, c);
}

void conn_pool_opened(struct conn_pool *p, struct opening *o, struct transport **t, enum http_version version,
	struct conn_waiter *w)
{
	struct http_conn *c = version == HTTP_2 ? h2_client(t, &p->settings.limits, &pool_conn_ops, p)
						: h1_client(t, &p->settings.limits, &pool_conn_ops, p);

	c->number = ++p->made;
	p->conns++;
	tell_now(p);
	opening_made(o, c);
	/* What one waiter needed says nothing of what others will get. */
	if (c->settled && !w)
		settle(p, c);
	place(p, c);
	if (w) {
		stop_waiting(w);
		w->ready(w, c);
		if (!c->draining)
			drain(p, c); /* left to the next, who has another name */
	} else {
		serve(p);
		/* It may be one of HTTP/1, where HTTP/2 was hoped for. */
		open_for_the_rest(p, REASON_UPSTREAM_CONNECT);
	}
	end_with_the_last(p, c);
}

void conn_pool_open_failed(struct conn_pool *p, enum reason why, struct conn_waiter *w, uint32_t requests)
{
	if (!p->retired)
		counter_add(&conn_pool_tally(p)->connect_failures, 1);
	if (w)
		fail(w, why);
	else
		fail_oldest(p, requests, why);
	open_for_the_rest(p, why);
	end_if_empty(p);
}

void conn_pool_open_again(struct conn_pool *p)
{
	open_for_the_rest(p, REASON_UPSTREAM_CONNECT);
	end_if_empty(p);
}

static void on_change(struct http_conn *c)
{
	struct conn_pool *p = c->owner;

	OBJ_CHECK(p, CONN_POOL_MAGIC);
	if (c->settled && !list_empty(&p->settling))
		settle(p, c);
	place(p, c);
	serve(p);
	if (p->waiting_n > 0)
		give_way(p);
	/* It may take fewer than were counted on it. */
	if (p->waiting_n > 0)
		open_for_the_rest(p, REASON_UPSTREAM_CONNECT);
	end_with_the_last(p, c);
}

static void on_closed(struct http_conn *c, enum reason why)
{
	struct conn_pool *p = c->owner;
	uint32_t counted = settle(p, c);

	(void)why;
	OBJ_CHECK(p, CONN_POOL_MAGIC);
	list_remove(&c->link);
	p->conns--;
	tell_now(p);
	/* One that never was heard of has not come to be. */
	if (counted > 0 && !c->settled)
		conn_pool_open_failed(p, REASON_UPSTREAM_CONNECT, NULL, counted);
	else
		conn_pool_open_again(p);
}
