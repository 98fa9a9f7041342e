/* case.h - runs one row of the case table: a house, a fake client, a fake origin, and what each must have heard in the end. */
#ifndef WEIR_TESTS_EXCHANGE_CASE_H
#define WEIR_TESTS_EXCHANGE_CASE_H

#include <sys/un.h>
#include <time.h>
#include "fake_h1.h"
#include "fake_h2.h"

/* For what is expected; nothing waits that long unless it is broken. */
#define CASE_PATIENCE_MS 20000
#define CASE_OVER_MS     3000 /* ... and this long when no exchange lives any more */
#define CASE_MOMENT_MS   2500 /* what takes longer is a timeout, and is waited for */
#define CASE_QUIET       8 /* turns of the loop in which no fake reads or writes: nothing moves any more */
#define CASE_MEMORY      (1536u * 1024) /* of blocks in use at any moment, the fakes' TLS included */

enum case_only { ON_ALL, ON_H1_CLIENT = 1, ON_H2_CLIENT = 2, ON_H1_ORIGIN = 4, ON_H2_ORIGIN = 8 };

struct test_case {
	const char *name;
	unsigned only; /* bits of enum case_only: where it can happen */
	bool split; /* short enough to be cut at every byte */
	bool dead; /* the pool has a second backend, which refuses connections */
	const char *top; /* lines of configuration */
	const char *service; /* a service's keys, each with a comma behind it */
	const char *pools; /* its other pools, each with a comma before it */
	const char *route; /* a route's keys, each with a comma before it; NULL: the path alone */
	const char *path; /* the route's; NULL: "/" */
	const char *listener, *tenant; /* keys of theirs: each with a comma before it; lines */
	size_t window; /* of HTTP/2 streams towards the fakes */
	const char *show; /* see side.show */
	const char *client, *origin; /* scripts */
	const char *answer, *asked; /* what each has heard in the end */
	const char *answer_h2, *asked_h2; /* where an HTTP/2 origin makes another answer; NULL: the same */
};

/* One of the ways of speaking that a case is run in. */
struct pairing {
	bool client_h2, origin_h2, client_tls, origin_tls;
};

struct stage {
	const struct test_case *c;
	struct pairing how;
	struct house_tls *tls;
	struct house house;
	struct side client, origin;
	int listener; /* the origin's */
	char path[300]; /* ... if it is a unix socket's */
	struct tls_server *origin_tls;
	struct tls_client *client_tls;
};

static inline uint64_t case_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static inline void stage_contexts(struct stage *st)
{
	struct conf_upstream_tls up = {.on = true, .verify = true, .ca = str_of(st->tls->ca.cert)};
	char err[256];

	if (st->how.client_tls)
		st->client_tls =
			tls_client_new(&up, st->how.client_h2 ? CONF_H2 : CONF_HTTP1, err, sizeof(err));
	if (st->how.origin_tls)
		st->origin_tls = tls_server_new(
			&st->tls->conf, st->tls->store, st->tls->keys, st->how.origin_h2, err, sizeof(err));
}

/* Does somebody reset a connection? That takes TCP. */
static inline bool case_resets(const struct test_case *c)
{
	return strstr(c->client, "reset") || strstr(c->origin, "reset") || strstr(c->origin, "abort");
}

/* Where the origin listens; its address as the configuration has it. */
static inline void stage_listen(struct stage *st, char *address, size_t n)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct sockaddr_in at;
	struct addr addr;
	char text[ADDR_TEXT_MAX];

	if (case_resets(st->c)) {
		st->listener = house_listen(&at);
		addr_from_sockaddr(&addr, (struct sockaddr *)&at, sizeof(at));
		snprintf(address, n, "%s", addr_text(&addr, text).p);
		return;
	}
	snprintf(st->path, sizeof(st->path), "%s/origin.sock", st->tls->dir);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/origin.sock", st->tls->dir);
	snprintf(address, n, "unix:%s", st->path);
	unlink(st->path);
	st->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	MUST(bind(st->listener, (struct sockaddr *)&un, sizeof(un)) == 0 && listen(st->listener, 16) == 0);
}

static inline void stage_open(
	struct stage *st, const struct test_case *c, struct pairing how, struct house_tls *tls)
{
	char conf[4096], upstream[512] = "", certs[1024] = "", dead[320] = "", origin[320];

	*st = (struct stage){.c = c, .how = how, .tls = tls};
	stage_listen(st, origin, sizeof(origin));
	if (c->dead)
		snprintf(dead, sizeof(dead), ", 'unix:%s/nobody.sock'", tls->dir);
	if (how.origin_tls)
		snprintf(upstream, sizeof(upstream), "tls: {ca: '%s', server_name: shop.test}, ",
			tls->ca.cert);
	if (how.client_tls)
		snprintf(certs, sizeof(certs), ", tls: {certificates: [{cert: '%s', key: '%s'}]}",
			tls->cert.cert, tls->cert.key_path);
	snprintf(conf, sizeof(conf),
		"%s"
		"log: {access: {path: stdout, format: json}}\n"
		"listeners: {in: {address: '127.0.0.1:8080'%s%s}}\n"
		"tenants:\n"
		"  acme:\n"
		"    hosts: [shop.test]\n%s"
		"    services:\n"
		"      shop: {%s%sretries: {budget: 100%%}, protocol: %s, pools: {blue: {weight: 1, "
		"backends: ['%s'%s]}%s}}\n"
		"    routes: [{path: %s, service: shop%s}]\n",
		c->top ? c->top : "", certs, c->listener ? c->listener : "", c->tenant ? c->tenant : "",
		c->service ? c->service : "", upstream,
		!how.origin_h2   ? "http1"
		: how.origin_tls ? "h2"
				 : "h2c",
		origin, dead, c->pools ? c->pools : "", c->path ? c->path : "/", c->route ? c->route : "");
	house_init(&st->house, conf, tls);
	stage_contexts(st);
	st->client = (struct side){.house = &st->house,
		.client = true,
		.wire = how.client_h2 ? &fake_h2 : &fake_h1,
		.script = c->client,
		.window = c->window,
		.show = c->show};
	st->origin = (struct side){.house = &st->house,
		.wire = how.origin_h2 ? &fake_h2 : &fake_h1,
		.script = c->origin,
		.window = c->window,
		.show = c->show};
	side_reset(&st->client);
	side_reset(&st->origin);
}

static inline void stage_close(struct stage *st)
{
	side_reset(&st->client);
	side_reset(&st->origin);
	house_free(&st->house);
	tls_client_release(st->client_tls);
	tls_server_release(st->origin_tls);
	close(st->listener);
	if (st->path[0])
		unlink(st->path);
}

static inline void stage_connect(struct stage *st)
{
	struct house *h = &st->house;
	int fd = house_client_fd(h, case_resets(st->c));
	enum reason why;
	struct fake *f;

	f = fake_new(&st->client, st->how.client_tls
					  ? tls_connect_fd(&h->worker.loop, fd, &h->local, st->client_tls,
						    STR("shop.test"), &why)
					  : plain_from_fd(&h->worker.loop, fd, &h->local, &h->peer));
	f->at = st->client.script;
	fake_advance(f);
}

static inline void stage_accept(struct stage *st)
{
	struct house *h = &st->house;
	int fd = house_accept(st->listener);

	if (fd < 0)
		return;
	house_small_buffers(fd);
	fake_new(&st->origin, st->how.origin_tls
				      ? tls_accept(&h->worker.loop, fd, &h->local, &h->local, st->origin_tls)
				      : plain_from_fd(&h->worker.loop, fd, &h->local, &h->local));
}

/* Turns until nothing moves. */
static inline void stage_settle(struct stage *st)
{
	for (unsigned quiet = 0; quiet < CASE_QUIET; quiet++) {
		uint64_t before = st->client.activity + st->origin.activity;

		house_turn(&st->house, 0);
		stage_accept(st);
		if (st->client.activity + st->origin.activity != before)
			quiet = 0;
	}
}

static inline const char *stage_want(const char *h2, const char *other, bool is_h2)
{
	return is_h2 && h2 ? h2 : other;
}

static inline bool stage_done(struct stage *st)
{
	bool h2 = st->how.origin_h2;

	return st->house.worker.edge.exchange_n == 0 &&
	       strcmp(side_heard(&st->client), stage_want(st->c->answer_h2, st->c->answer, h2)) == 0 &&
	       strcmp(side_heard(&st->origin), stage_want(st->c->asked_h2, st->c->asked, h2)) == 0;
}

/* Lets a side that is held at a byte, or at a "pause", go on. */
static inline bool stage_release(struct side *s, size_t by)
{
	if (s->limit != SIZE_MAX && s->passed >= s->limit) {
		s->limit = by == SIZE_MAX ? by : s->limit + by;
		side_advance(s);
		return true;
	}
	if (side_paused(s)) {
		s->pausing = true;
		side_advance(s);
		return true;
	}
	return false;
}

static inline void stage_explain(struct stage *st, size_t split, const char *where)
{
	static char log[HOUSE_LOG + 1];
	struct iovec part[2];

	print_error("split at %zd%s\n-- answer:\n%s-- wanted:\n%s-- asked:\n%s-- wanted:\n%s", (ssize_t)split,
		where, side_heard(&st->client),
		stage_want(st->c->answer_h2, st->c->answer, st->how.origin_h2), side_heard(&st->origin),
		stage_want(st->c->asked_h2, st->c->asked, st->how.origin_h2));
	if (ring_peek(&st->house.worker.access, part) > 0) {
		snprintf(log, sizeof(log), "%.*s", (int)part[0].iov_len, (char *)part[0].iov_base);
		print_error("-- log:\n%s", log);
	}
	for (unsigned i = 0; i < st->origin.n; i++) {
		struct fake *f = st->origin.conns[i];

		print_error("-- origin's connection %u: %s, next \"%s\", %zu bytes wait, eof %d\n", i,
			f->t ? "open" : "closed", f->at ? f->at : "", f->out.n, f->eof);
	}
	print_error("-- exchanges %u, connections %u, upstream %u\n", st->house.worker.edge.exchange_n,
		st->house.worker.conn_n, house_upstreams(&st->house));
}

/* Everybody leaves: nothing may be left of the case. */
static inline void stage_clear(struct stage *st)
{
	struct house *h = &st->house;
	uint64_t end = case_ms() + CASE_PATIENCE_MS;
	struct iovec part[2];
	int n;

	assert_int_equal(house_in_flight(h), 0);
	side_reset(&st->client);
	house_close_upstreams(h);
	stage_settle(st);
	side_reset(&st->origin);
	while ((h->worker.conn_n || house_upstreams(h) || house_held(h) || h->worker.inbounds.pending_n) &&
		case_ms() < end)
		house_turn(h, 10);
	assert_int_equal(h->worker.conn_n, 0);
	assert_int_equal(house_upstreams(h), 0);
	assert_int_equal(h->worker.edge.exchange_n, 0);
	assert_int_equal(h->worker.edge.use->exchanges, 0);
	assert_int_equal(house_held(h), 0);
	for (n = ring_peek(&h->worker.access, part); n > 0; n = ring_peek(&h->worker.access, part))
		ring_drain(&h->worker.access, part[0].iov_len);
}

/* What is put off for a moment, a retry say, happens now: the loop's timer is coarse, and there are many runs. */
static inline void stage_hurry(struct stage *st)
{
	struct loop *l = &st->house.worker.loop;

	for (uint32_t i = 0; i < l->queue_count; i++) {
		struct list *link;

		while (l->queues[i].length_ms < CASE_MOMENT_MS &&
			(link = list_first(&l->queues[i].entries))) {
			struct deadline *d = CONTAINER(link, struct deadline, link);

			deadline_disarm(l, d);
			d->fire(d);
		}
	}
	loop_run_tasks(l);
}

/* The case once. client_at, origin_at: how many bytes of theirs leave before the rest waits until nothing moves; SIZE_MAX: all.
 * drip: and then one more byte at a time. Writes how many each has sent. */
static inline void stage_run(struct stage *st, size_t client_at, size_t origin_at, bool drip, size_t sent[2])
{
	uint64_t end = case_ms() + CASE_PATIENCE_MS, moved = case_ms(), activity = 0;
	size_t by = drip ? 1 : SIZE_MAX;

	st->client.limit = client_at;
	st->origin.limit = origin_at;
	stage_connect(st);
	for (;;) {
		bool client, origin;

		stage_settle(st);
		client = stage_release(&st->client, by);
		origin = stage_release(&st->origin, by);
		if (client || origin)
			continue;
		if (stage_done(st))
			break;
		if (activity != st->client.activity + st->origin.activity) {
			activity = st->client.activity + st->origin.activity;
			moved = case_ms();
		}
		if (case_ms() > end ||
			(st->house.worker.edge.exchange_n == 0 && case_ms() > moved + CASE_OVER_MS)) {
			stage_explain(st, MIN(client_at, origin_at),
				client_at < origin_at ? " of the client's" : " of the origin's");
			fail_msg("%s", st->c->name);
		}
		stage_hurry(st);
		house_turn(&st->house, 1);
		stage_accept(st);
	}
	if (sent) {
		sent[0] = st->client.passed;
		sent[1] = st->origin.passed;
	}
	if (st->house.most > CASE_MEMORY)
		fail_msg("%s: %zu bytes were in use", st->c->name, st->house.most);
	stage_clear(st);
}

/* The case in one pairing, all bytes at once. */
static inline void case_once(const struct test_case *c, struct pairing how, struct house_tls *tls)
{
	struct stage *st = calloc(1, sizeof(*st));

	assert_non_null(st);
	stage_open(st, c, how, tls);
	stage_run(st, SIZE_MAX, SIZE_MAX, false, NULL);
	stage_close(st);
	free(st);
}

#endif
