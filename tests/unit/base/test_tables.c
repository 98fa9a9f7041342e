/* base/map.h, base/slots.h, base/ring.h, base/arena.h, base/mailbox.h. */
#include "unit.h"
#include <poll.h>
#include <pthread.h>
#include "base/arena.h"
#include "base/mailbox.h"
#include "base/map.h"
#include "base/ring.h"
#include "base/slots.h"

static void a_map_finds_what_is_left_after_removals(void **state)
{
	static char keys[2000][16];
	struct map m = {0};

	(void)state;
	for (int i = 0; i < 2000; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%d", i);
		assert_null(map_put(&m, str_of(keys[i]), keys[i]));
	}
	for (int i = 0; i < 2000; i += 3)
		assert_ptr_equal(map_remove(&m, str_of(keys[i])), keys[i]);
	for (int i = 0; i < 2000; i++)
		assert_ptr_equal(map_get(&m, str_of(keys[i])), i % 3 == 0 ? NULL : keys[i]);
	map_free(&m);
	assert_null(map_get(&m, STR("k1")));
}

static void a_name_keeps_its_slot_until_nobody_has_it(void **state)
{
	struct slots s = {0};
	struct slot *a = slot_acquire(&s, STR("a")), *b = slot_acquire(&s, STR("b")), *again;

	(void)state;
	assert_int_equal(a->number, 0);
	assert_int_equal(b->number, 1);
	again = slot_acquire(&s, STR("a"));
	assert_ptr_equal(a, again);
	slot_release(&s, a);
	slot_release(&s, again);
	assert_int_equal(slot_acquire(&s, STR("c"))->number, 0);
	assert_int_equal(s.n, 2);
	slots_free(&s);
}

static void a_ring_gives_whole_lines_in_order_around_its_end(void **state)
{
	struct ring r;
	struct iovec part[2];
	char got[64];
	size_t n = 0;

	(void)state;
	ring_init(&r, 16);
	assert_true(ring_put(&r, STR("0123456789")));
	assert_false(ring_put(&r, STR("too long")));
	ring_drain(&r, 10);
	assert_true(ring_put(&r, STR("abcdefghij")));
	assert_int_equal(ring_peek(&r, part), 2);
	for (int i = 0; i < 2; i++) {
		memcpy(got + n, part[i].iov_base, part[i].iov_len);
		n += part[i].iov_len;
	}
	assert_str(((struct str){got, n}), "abcdefghij");
	assert_int_equal(atomic_load(&r.dropped), 1);
	assert_true(ring_urgent(&r));
	ring_free(&r);
}

static void an_arena_gives_aligned_zeroed_memory(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, NULL);
	for (size_t n = 1; n < 20000; n = n * 2 + 1) {
		char *p = arena_alloc(&a, n);

		assert_int_equal((uintptr_t)p % 8, 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(p[i], 0);
		memset(p, 1, n);
		arena_bytes(&a, 3);
	}
	assert_str(arena_fmt(&a, "%d/%s", 7, "x"), "7/x");
	arena_free(&a);
}

#define SENDERS 4
#define MAILS   500

struct letter {
	struct mail mail;
	int sender, number;
};

struct receiver {
	struct mailbox box;
	int last[SENDERS];
	int total;
};

struct sender {
	struct receiver *to;
	int index;
};

static void deliver(struct mail *m, void *receiver)
{
	struct letter *l = (struct letter *)(void *)m;
	struct receiver *r = receiver;

	if (l->number == r->last[l->sender] + 1)
		r->total++;
	r->last[l->sender] = l->number;
	free(l);
}

static void *send_all(void *arg)
{
	struct sender *s = arg;

	for (int i = 1; i <= MAILS; i++) {
		struct letter *l = calloc(1, sizeof(*l));

		l->mail.deliver = deliver;
		l->sender = s->index;
		l->number = i;
		mailbox_send(&s->to->box, &l->mail);
	}
	return NULL;
}

static void mail_of_each_sender_arrives_whole_and_in_order(void **state)
{
	struct receiver r = {0};
	struct sender senders[SENDERS];
	pthread_t threads[SENDERS];
	int got = 0;

	(void)state;
	assert_int_equal(mailbox_init(&r.box), 0);
	for (int i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){&r, i};
		assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
	}
	while (got < SENDERS * MAILS) {
		struct pollfd pfd = {.fd = r.box.fd, .events = POLLIN};

		assert_true(poll(&pfd, 1, 10000) > 0);
		got += mailbox_deliver(&r.box, &r);
	}
	for (int i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(r.total, SENDERS * MAILS);
	mailbox_free(&r.box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_finds_what_is_left_after_removals),
		cmocka_unit_test(a_name_keeps_its_slot_until_nobody_has_it),
		cmocka_unit_test(a_ring_gives_whole_lines_in_order_around_its_end),
		cmocka_unit_test(an_arena_gives_aligned_zeroed_memory),
		cmocka_unit_test(mail_of_each_sender_arrives_whole_and_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
