/* worker/: what a worker owes to those who are with it, and to control, when it is told something. */
#include "exchange/house.h"

#define CONF(backend) \
	"log: {access: {path: stdout, format: json}}\n" \
	"listeners: {in: {address: '127.0.0.1:8080'}}\n" \
	"tenants: {acme: {hosts: [shop.test], services: {shop: {pools: {blue: {backends: ['" backend \
	"']}}}}}}\n"
#define TURNS 1000 /* of 10 ms, until something has to have happened */

static struct snapshot *later; /* the one that is let go of, to be freed as control does it */
static uint32_t taken_away; /* its backend's slot */
static unsigned told;

static void on_let_go(struct edge *e, struct snapshot_use *use)
{
	assert_ptr_equal(use->snapshot, later);
	assert_null(e->backends[taken_away]); /* nothing of the worker's counts at its backends any more */
	module_locals_free(&use->modules);
	free(use);
	snapshot_free(&later);
	told++;
}

static void a_snapshot_is_let_go_of_after_the_backends_that_it_alone_names(void **state)
{
	struct house h;
	struct conf_report report;
	struct conf *conf;
	struct worker_install *order = calloc(1, sizeof(*order));

	(void)state;
	assert_non_null(order);
	house_init(&h, CONF("127.0.0.1:1"), NULL);
	taken_away = h.snapshot->pools[0]->backends[0]->slot->number;
	assert_non_null(conn_pool_tally(edge_backend(&h.worker.edge, h.snapshot->pools[0]->backends[0])));
	later = h.snapshot;
	h.worker.edge.let_go = on_let_go;

	conf = conf_load_text("test.yaml", STR(CONF("127.0.0.1:2")), &report);
	assert_non_null(conf);
	conf_report_free(&report);
	h.snapshot = snapshot_build(&conf, &(struct snapshot_parts){.generation = 7,
						   .serial = 1,
						   .backends = &h.backends,
						   .pool_slots = &h.pool_slots,
						   .service_slots = &h.service_slots,
						   .tenant_slots = &h.tenant_slots});
	order->snapshot = h.snapshot;
	order->members_only = true;
	order->now = calloc(h.snapshot->pool_n, sizeof(*order->now));
	assert_non_null(order->now);
	order->now[0] = pool_now_of(h.snapshot->pools[0]->conf);
	order->backend_slots = h.backends.slots.n;
	order->pool_slots = h.pool_slots.n;
	order->service_slots = h.service_slots.n;
	order->workers = 1;
	order->cookie_keys = cookie_keys_new(&STR("a secret for tests alone"), 1);
	worker_install(&h.worker, order);
	mailbox_deliver(&h.worker.box, &h.worker);
	assert_int_equal(told, 1);
	house_free(&h);
}

static void nothing_is_kept_for_a_backend_before_somebody_asks_for_it(void **state)
{
	struct backend *b;
	struct conn_pool *p;
	struct edge *e;
	struct house h;

	(void)state;
	house_init(&h, CONF("127.0.0.1:1"), NULL);
	e = &h.worker.edge;
	b = h.snapshot->pools[0]->backends[0];
	backend_set_draining(b, true);
	worker_drains_changed(&h.worker);
	mailbox_deliver(&h.worker.box, &h.worker);
	assert_null(e->backends[b->slot->number]);
	p = edge_backend(e, b);
	assert_non_null(p);
	assert_ptr_equal(edge_backend(e, b), p);
	assert_true(p->draining); /* what was said before it was there counts */
	assert_int_equal(p->settings.max_conns, h.snapshot->pools[0]->conf->policy->breaker.connections);
	house_free(&h);
}

/* A connection to the worker's listener that it has not been told of. */
static int connect_unseen(const struct house *h)
{
	struct sockaddr_in to;
	socklen_t n = sizeof(to);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(getsockname(h->gate->acceptors[0].fd, (struct sockaddr *)&to, &n), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, n), 0);
	return fd;
}

static void who_waits_to_be_accepted_is_answered_by_a_worker_that_leaves(void **state)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n";
	const struct worker_farewell farewell = {.tunnel_ms = 1};
	char answer[512];
	ssize_t got = -1;
	struct house h;
	int fd;

	(void)state;
	house_init(&h, CONF("127.0.0.1:1"), NULL);
	fd = connect_unseen(&h);
	worker_leave(&h.worker, &farewell);
	mailbox_deliver(&h.worker.box, &h.worker);
	for (int i = 0; i < 10; i++)
		house_turn(&h, 0);
	assert_int_equal(h.worker.conn_n, 1);
	assert_int_equal(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL), sizeof(request) - 1);
	for (int i = 0; i < TURNS && got < 0; i++) {
		house_turn(&h, 10);
		got = recv(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT);
	}
	assert_true(got > 0);
	answer[got] = '\0';
	assert_true(str_starts(str_of(answer), STR("HTTP/1.1 4")));
	assert_non_null(strcasestr(answer, "\r\nconnection: close\r\n"));
	close(fd);
	for (int i = 0; i < TURNS && h.worker.conn_n; i++)
		house_turn(&h, 10);
	house_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_kept_for_a_backend_before_somebody_asks_for_it),
		cmocka_unit_test(a_snapshot_is_let_go_of_after_the_backends_that_it_alone_names),
		cmocka_unit_test(who_waits_to_be_accepted_is_answered_by_a_worker_that_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
