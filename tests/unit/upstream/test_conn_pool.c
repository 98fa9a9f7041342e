/* upstream/conn_pool.h: who gets which connection, who waits, and who is told that it was in vain. */
#include "pool_bench.h"

/* The backend's answer on the connection that it accepted as the nth. */
static void answer(struct bench *b, unsigned n)
{
	static const char text[] = "HTTP/1.1 204 No Content\r\n\r\n";

	assert_int_equal(send(b->accepted[n], text, sizeof(text) - 1, MSG_NOSIGNAL), sizeof(text) - 1);
}

/* The backend sees that weir has closed the connection that it accepted as the nth. */
static bool has_ended(struct bench *b, unsigned n)
{
	char request[256];
	ssize_t got;

	while ((got = recv(b->accepted[n], request, sizeof(request), MSG_DONTWAIT)) > 0)
		;
	return got == 0;
}

/* A user gets a connection of its own. */
static void connect_user(struct bench *b, unsigned n)
{
	assert_int_equal(wait_for_one(&b->user[n]), REASON_NONE);
	UNTIL(b, b->user[n].conn && b->accepted_n > n);
}

static void finish_user(struct bench *b, unsigned n)
{
	unsigned before = b->user[n].answers;

	answer(b, n);
	UNTIL(b, b->user[n].answers > before && b->user[n].conn->capacity);
}

/* -- tests -- */

static void a_new_connection_is_made_for_each_who_waits(void **state)
{
	struct bench *b = *state;

	connect_user(b, 0);
	connect_user(b, 1);
	assert_ptr_not_equal(b->user[0].conn, b->user[1].conn);
	assert_int_equal(b->pool->conns, 2);
	assert_int_equal(b->pool->streams, 2);
	assert_null(conn_pool_take(b->pool));
}

static void the_warmest_connection_is_used_first(void **state)
{
	struct bench *b = *state;

	connect_user(b, 0);
	connect_user(b, 1);
	finish_user(b, 0);
	finish_user(b, 1);
	assert_ptr_equal(conn_pool_take(b->pool), b->user[1].conn);
	assert_int_equal(b->pool->streams, 0);
}

static void at_the_limit_the_next_waits_for_one_that_comes_free(void **state)
{
	struct bench *b = *state;

	b->settings.max_conns = 1;
	conn_pool_configure(b->pool, &b->settings);
	connect_user(b, 0);
	assert_int_equal(wait_for_one(&b->user[1]), REASON_NONE);
	assert_int_equal(b->pool->waiting_n, 1);
	assert_int_equal(b->pool->opening_n, 0);
	answer(b, 0);
	UNTIL(b, b->user[1].conn);
	assert_ptr_equal(b->user[1].conn, b->user[0].conn);
	assert_int_equal(b->accepted_n, 1);
}

static void no_more_wait_than_may(void **state)
{
	struct bench *b = *state;

	b->settings.max_conns = 1;
	b->settings.max_pending = 1;
	conn_pool_configure(b->pool, &b->settings);
	connect_user(b, 0);
	assert_int_equal(wait_for_one(&b->user[1]), REASON_NONE);
	assert_int_equal(wait_for_one(&b->user[2]), REASON_PENDING_FULL);
	conn_waiter_cancel(&b->user[1].waiter);
	assert_int_equal(wait_for_one(&b->user[2]), REASON_NONE);
}

static void who_waits_too_long_is_told(void **state)
{
	struct bench *b = *state;

	b->settings.max_conns = 1;
	b->settings.pending_ms = 1;
	conn_pool_configure(b->pool, &b->settings);
	connect_user(b, 0);
	assert_int_equal(wait_for_one(&b->user[1]), REASON_NONE);
	UNTIL(b, b->user[1].why != REASON_NONE);
	assert_int_equal(b->user[1].why, REASON_PENDING_TIMEOUT);
	assert_int_equal(b->pool->waiting_n, 0);
}

static void who_needs_a_fresh_connection_is_given_no_used_one(void **state)
{
	struct bench *b = *state;

	connect_user(b, 0);
	finish_user(b, 0);
	b->user[1].waiter.fresh = true;
	connect_user(b, 1);
	assert_ptr_not_equal(b->user[1].conn, b->user[0].conn);
}

static void at_the_limit_an_idle_connection_gives_way_to_a_fresh_one(void **state)
{
	struct bench *b = *state;

	b->settings.max_conns = 1;
	conn_pool_configure(b->pool, &b->settings);
	connect_user(b, 0);
	finish_user(b, 0);
	b->user[1].waiter.fresh = true;
	connect_user(b, 1);
	assert_int_equal(b->accepted_n, 2);
	assert_int_equal(b->pool->conns, 1);
}

static void a_refused_connection_fails_all_who_wait(void **state)
{
	struct bench *b = *state;

	close(b->listener);
	b->listener = -1;
	assert_int_equal(wait_for_one(&b->user[0]), REASON_NONE);
	assert_int_equal(wait_for_one(&b->user[1]), REASON_NONE);
	UNTIL(b, b->user[0].why && b->user[1].why);
	assert_int_equal(b->user[0].why, REASON_UPSTREAM_REFUSED);
	assert_int_equal(b->user[1].why, REASON_UPSTREAM_REFUSED);
	assert_int_equal(b->pool->conns + b->pool->opening_n + b->pool->waiting_n, 0);
}

static void without_its_tls_nobody_is_connected_to(void **state)
{
	struct bench *b = *state;

	connect_user(b, 0);
	finish_user(b, 0);
	b->settings.tls_lost = true;
	conn_pool_configure(b->pool, &b->settings);
	UNTIL(b, b->pool->conns == 0);
	assert_null(conn_pool_take(b->pool));
	assert_int_equal(wait_for_one(&b->user[1]), REASON_UPSTREAM_TLS);
	assert_int_equal(b->pool->waiting_n + b->pool->opening_n, 0);
	turn(b);
	assert_int_equal(b->accepted_n, 1);
}

static void a_backend_that_is_taken_away_lets_everybody_finish(void **state)
{
	struct bench *b = *state;
	struct conn_pool *p = b->pool;

	b->settings.max_conns = 1;
	conn_pool_configure(p, &b->settings);
	connect_user(b, 0);
	assert_int_equal(wait_for_one(&b->user[1]), REASON_NONE);
	conn_pool_retire(&p);
	assert_null(p);
	assert_int_equal(b->user[1].why, REASON_NONE);
	assert_int_equal(b->pool->conns, 1);
	/* Who waits gets a connection as soon as the first has gone, and that goes too. */
	answer(b, 0);
	UNTIL(b, b->user[0].answers == 1);
	UNTIL(b, b->user[1].stream);
	assert_int_equal(b->pool->waiting_n, 0);
	answer(b, 1);
	UNTIL(b, b->user[1].answers == 1);
	UNTIL(b, has_ended(b, 1));
	b->pool = NULL; /* it has freed itself with its last connection */
}

static void a_connection_that_nobody_waits_for_any_more_goes_with_its_backend(void **state)
{
	struct bench *b = *state;
	struct conn_pool *p = b->pool;

	assert_int_equal(wait_for_one(&b->user[0]), REASON_NONE);
	b->user[0].leaves_it = true;
	conn_pool_retire(&p);
	UNTIL(b, b->accepted_n == 1 && has_ended(b, 0));
	assert_non_null(b->user[0].conn);
	b->pool = NULL;
}

/* From here on the backend is told who asks: each user has an address of its own. */
static void name_users(struct bench *b)
{
	for (unsigned i = 0; i < USERS; i++) {
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(1000 + i))};

		a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		addr_from_sockaddr(&b->user[i].name, (struct sockaddr *)&a, sizeof(a));
		b->user[i].waiter.client = b->user[i].waiter.client_local = &b->user[i].name;
	}
	b->settings.proxy_protocol = 1;
	conn_pool_configure(b->pool, &b->settings);
}

/* Which user the PROXY header on the nth connection names; USERS: it ended before a byte was sent on it. */
static unsigned named(struct bench *b, unsigned n)
{
	char text[512];
	ssize_t got;
	unsigned from = 0;

	UNTIL(b, recv(b->accepted[n], text, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN);
	got = recv(b->accepted[n], text, sizeof(text) - 1, MSG_DONTWAIT);
	if (got <= 0)
		return USERS;
	text[got] = '\0';
	assert_int_equal(sscanf(text, "PROXY TCP4 127.0.0.1 127.0.0.1 %u ", &from), 1);
	return from - 1000;
}

static void nobody_asks_in_the_name_of_another_who_waits(void **state)
{
	struct bench *b = *state;

	name_users(b);
	assert_int_equal(wait_for_one(&b->user[0]), REASON_NONE);
	assert_int_equal(wait_for_one(&b->user[1]), REASON_NONE);
	assert_int_equal(wait_for_one(&b->user[2]), REASON_NONE);
	conn_waiter_cancel(&b->user[0].waiter);
	UNTIL(b, b->user[1].stream && b->user[2].stream && b->accepted_n >= 2);
	assert_null(b->user[0].conn);
	for (unsigned n = 0, seen = 0; n < b->accepted_n; n++) {
		unsigned who = named(b, n);

		if (who == USERS) /* of the one who has left */
			continue;
		assert_true(who == 1 || who == 2);
		assert_false(seen & 1u << who);
		seen |= 1u << who;
		/* The other end of this connection is that user's. */
		answer(b, n);
		UNTIL(b, b->user[who].answers == 1);
	}
	assert_int_equal(b->user[1].answers + b->user[2].answers, 2);
	UNTIL(b, b->pool->conns == 0);
}

static void who_leaves_makes_room_for_another_name(void **state)
{
	struct bench *b = *state;

	b->settings.max_conns = 1;
	name_users(b);
	assert_int_equal(wait_for_one(&b->user[0]), REASON_NONE);
	assert_int_equal(wait_for_one(&b->user[1]), REASON_NONE);
	assert_int_equal(b->pool->opening_n, 1);
	conn_waiter_cancel(&b->user[0].waiter);
	assert_int_equal(b->pool->opening_n, 1);
	UNTIL(b, b->user[1].stream);
	assert_null(b->user[0].conn);
}

static void a_connection_begun_under_other_settings_is_not_used(void **state)
{
	struct bench *b = *state;

	assert_int_equal(wait_for_one(&b->user[0]), REASON_NONE);
	name_users(b);
	UNTIL(b, b->user[0].stream && b->accepted_n == 2);
	assert_true(has_ended(b, 0));
	assert_int_equal(named(b, 1), 0);
}

static void connections_that_speak_otherwise_take_no_new_requests(void **state)
{
	struct bench *b = *state;

	connect_user(b, 0);
	connect_user(b, 1);
	finish_user(b, 0);
	conn_pool_configure(b->pool, &b->settings); /* the same */
	assert_non_null(conn_pool_take(b->pool));
	strcpy(b->settings.server_name, "other.test");
	conn_pool_configure(b->pool, &b->settings);
	UNTIL(b, b->pool->conns == 1);
	assert_null(conn_pool_take(b->pool));
	answer(b, 1);
	UNTIL(b, b->pool->conns == 0);
	assert_int_equal(b->user[1].answers, 1);
}

static void a_connection_that_has_just_ended_is_given_to_nobody(void **state)
{
	struct bench *b = *state;
	struct http_conn *c;

	connect_user(b, 0);
	finish_user(b, 0);
	c = conn_pool_take(b->pool);
	assert_non_null(c);
	http_conn_close(c, REASON_NONE);
	/* The pool has not been told yet. */
	assert_int_equal(b->pool->conns, 1);
	assert_null(conn_pool_take(b->pool));
	UNTIL(b, b->pool->conns == 0);
}

static void a_backend_that_drains_keeps_no_connection_and_cuts_none(void **state)
{
	struct bench *b = *state;

	connect_user(b, 0);
	connect_user(b, 1);
	finish_user(b, 0);
	conn_pool_set_draining(b->pool, true);
	UNTIL(b, b->pool->conns == 1);
	answer(b, 1);
	UNTIL(b, b->pool->conns == 0);
	assert_int_equal(b->user[1].answers, 1);
	/* Who comes all the same is served once. */
	connect_user(b, 2);
	answer(b, 2);
	UNTIL(b, b->pool->conns == 0);
	assert_int_equal(b->user[2].answers, 1);
	conn_pool_set_draining(b->pool, false);
	connect_user(b, 3);
	finish_user(b, 3);
	assert_int_equal(b->pool->conns, 1);
}

static void a_connection_that_closes_idle_is_forgotten(void **state)
{
	struct bench *b = *state;

	connect_user(b, 0);
	finish_user(b, 0);
	close(b->accepted[0]);
	b->accepted[0] = -1;
	UNTIL(b, b->pool->conns == 0);
	assert_null(conn_pool_take(b->pool));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_connection_is_made_for_each_who_waits),
		TEST(the_warmest_connection_is_used_first),
		TEST(at_the_limit_the_next_waits_for_one_that_comes_free),
		TEST(no_more_wait_than_may),
		TEST(who_waits_too_long_is_told),
		TEST(who_needs_a_fresh_connection_is_given_no_used_one),
		TEST(at_the_limit_an_idle_connection_gives_way_to_a_fresh_one),
		TEST(a_refused_connection_fails_all_who_wait),
		TEST(without_its_tls_nobody_is_connected_to),
		TEST(a_backend_that_is_taken_away_lets_everybody_finish),
		TEST(a_connection_that_nobody_waits_for_any_more_goes_with_its_backend),
		TEST(nobody_asks_in_the_name_of_another_who_waits),
		TEST(who_leaves_makes_room_for_another_name),
		TEST(a_connection_begun_under_other_settings_is_not_used),
		TEST(connections_that_speak_otherwise_take_no_new_requests),
		TEST(a_connection_that_has_just_ended_is_given_to_nobody),
		TEST(a_backend_that_drains_keeps_no_connection_and_cuts_none),
		TEST(a_connection_that_closes_idle_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
