/* The resolver against a name server of the test's own, on loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/obj.h"
#include "io/resolver.h"

#define TYPE_A    1
#define TYPE_AAAA 28

struct bench {
	struct loop loop;
	struct resolver r;
	int fd; /* the name server */
	struct event *ev;
	bool mute;
	uint32_t asked, answered;
	struct resolve_answer last;
};

/* RFC 1035 4.1: the question comes back with two A records (TTL 300 and 60), or one AAAA, or NXDOMAIN for names that begin with n. */
static void on_question(evutil_socket_t fd, short what, void *arg)
{
	struct bench *b = arg;
	uint8_t m[600];
	struct sockaddr_storage from;
	socklen_t from_n = sizeof(from);
	ssize_t got = recvfrom(fd, m, 400, 0, (struct sockaddr *)&from, &from_n);
	size_t n = 12;
	bool nothing;
	int type, records;

	(void)what;
	b->asked++;
	if (got < 17 || b->mute)
		return;
	nothing = m[13] == 'n';
	while (m[n])
		n += m[n] + 1u;
	type = m[n + 2];
	n += 5;
	records = nothing ? 0 : type == TYPE_A ? 2 : type == TYPE_AAAA ? 1 : 0;
	m[2] = 0x81;
	m[3] = (uint8_t)(0x80 | (nothing ? 3 : 0));
	m[7] = (uint8_t)records;
	m[9] = m[11] = 0; /* no authority; the question's EDNS record is left out */
	for (int i = 0; i < records; i++) {
		uint8_t len = type == TYPE_A ? 4 : 16;
		const uint8_t head[12] = {0xc0, 12, 0, (uint8_t)type, 0, 1, 0, 0, (uint8_t)(i ? 0 : 1),
			(uint8_t)(i ? 60 : 44), 0, len};

		memcpy(m + n, head, 12);
		memset(m + n + 12, 0, len);
		m[n + 12] = 10;
		m[n + 12 + len - 1] = (uint8_t)(i + 1);
		n += 12u + len;
	}
	sendto(fd, m, n, 0, (struct sockaddr *)&from, from_n);
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(sin);
	char server[40];

	assert_true(loop_init(&b->loop));
	b->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(b->fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	getsockname(b->fd, (struct sockaddr *)&sin, &n);
	b->ev = event_new(b->loop.base, b->fd, EV_READ | EV_PERSIST, on_question, b);
	event_add(b->ev, NULL);
	snprintf(server, sizeof(server), "127.0.0.1:%u", ntohs(sin.sin_port));
	assert_true(resolver_init(&b->r, &b->loop, &(struct resolver_options){server, 2000, 3}));
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	resolver_free(&b->r);
	event_free(b->ev);
	close(b->fd);
	loop_free(&b->loop);
	free(b);
	return 0;
}

static void on_answer(const struct resolve_answer *a, void *ctx)
{
	struct bench *b = ctx;

	b->answered++;
	b->last = *a;
}

static void turn_until(struct bench *b, const uint32_t *count, uint32_t want)
{
	for (int i = 0; i < 1000 && *count < want; i++)
		loop_once(&b->loop, 50);
	assert_true(*count >= want);
}

static void assert_has(const struct resolve_answer *a, const char *want)
{
	char buf[ADDR_TEXT_MAX];

	for (uint32_t i = 0; i < a->n; i++)
		if (strcmp(addr_text(&a->addrs[i], buf).p, want) == 0)
			return;
	fail_msg("%s is not in the answer", want);
}

static void a_name_gives_all_its_addresses_and_the_shortest_ttl(void **state)
{
	struct bench *b = *state;

	resolver_ask(&b->r, "green.internal.test", 8080, RESOLVE_BOTH, on_answer, b);
	turn_until(b, &b->answered, 1);
	assert_int_equal(b->last.n, 3);
	assert_has(&b->last, "10.0.0.1:8080");
	assert_has(&b->last, "10.0.0.2:8080");
	assert_has(&b->last, "[a00::1]:8080");
	assert_int_equal(b->last.ttl_s, 60);
	assert_null(b->last.error);
}

static void a_name_that_is_not_there_says_so(void **state)
{
	struct bench *b = *state;

	resolver_ask(&b->r, "nobody.internal.test", 80, RESOLVE_BOTH, on_answer, b);
	turn_until(b, &b->answered, 1);
	assert_int_equal(b->last.n, 0);
	assert_string_equal(b->last.error, "Domain name not found");
}

static void a_literal_address_is_answered_later_too(void **state)
{
	struct bench *b = *state;

	resolver_ask(&b->r, "127.0.0.1", 80, RESOLVE_BOTH, on_answer, b);
	assert_int_equal(b->answered, 0);
	turn_until(b, &b->answered, 1);
	assert_has(&b->last, "127.0.0.1:80");
	assert_int_equal(b->last.ttl_s, 0);
	assert_int_equal(b->asked, 0);
}

static void a_lost_question_is_asked_again(void **state)
{
	struct bench *b = *state;

	b->mute = true;
	resolver_ask(&b->r, "green.internal.test", 80, RESOLVE_BOTH, on_answer, b);
	turn_until(b, &b->asked, 2);
	b->mute = false;
	turn_until(b, &b->answered, 1);
	assert_int_equal(b->last.n, 3);
}

static void a_cancelled_question_is_never_answered(void **state)
{
	struct bench *b = *state;
	struct resolve *q = resolver_ask(&b->r, "green.internal.test", 80, RESOLVE_BOTH, on_answer, b);
	struct resolve *known = resolver_ask(&b->r, "127.0.0.1", 80, RESOLVE_BOTH, on_answer, b);

	resolve_cancel(&q);
	resolve_cancel(&known);
	assert_null(q);
	resolver_ask(&b->r, "nobody.internal.test", 80, RESOLVE_BOTH, on_answer, b);
	turn_until(b, &b->answered, 1);
	assert_int_equal(b->last.n, 0);
	assert_int_equal(b->answered, 1);
}

static void questions_may_be_open_when_it_ends(void **state)
{
	struct bench *b = *state;

	b->mute = true;
	resolver_ask(&b->r, "green.internal.test", 80, RESOLVE_BOTH, on_answer, b);
	resolver_ask(&b->r, "127.0.0.1", 80, RESOLVE_BOTH, on_answer, b);
	turn_until(b, &b->asked, 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_name_gives_all_its_addresses_and_the_shortest_ttl),
		T(a_name_that_is_not_there_says_so),
		T(a_literal_address_is_answered_later_too),
		T(a_lost_question_is_asked_again),
		T(a_cancelled_question_is_never_answered),
		T(questions_may_be_open_when_it_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
