/* Messages between processes: in order, with descriptors, of any length; a peer that is gone or does not read is noticed. */
#include "unit.h"

#include <event2/event.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/obj.h"
#include "control/channel.h"

struct end {
	struct channel channel;
	char types[64]; /* the first letters of what came */
	uint32_t n, fds, ended;
	json_t *last;
	char read_back[8]; /* from the first descriptor that came */
};

struct bench {
	struct loop loop;
	struct end a, b;
};

static void on_message(struct channel *c, const char *type, json_t *message, int *fds, uint32_t fd_n)
{
	struct end *e = c->user;

	if (e->n < sizeof(e->types) - 1)
		e->types[e->n] = type[0];
	e->n++;
	e->fds += fd_n;
	json_decref(e->last);
	e->last = json_incref(message);
	if (fd_n)
		assert_true(pread(fds[0], e->read_back, sizeof(e->read_back) - 1, 0) >= 0);
}

static void on_end(struct channel *c)
{
	((struct end *)c->user)->ended++;
}

static void end_open(struct end *e, struct loop *l, int fd)
{
	e->channel.user = e;
	e->channel.on_message = on_message;
	e->channel.on_end = on_end;
	channel_open(&e->channel, l, fd);
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	int fds[2];

	assert_true(loop_init(&b->loop));
	assert_true(channel_pair(fds));
	end_open(&b->a, &b->loop, fds[0]);
	end_open(&b->b, &b->loop, fds[1]);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	channel_close(&b->a.channel);
	channel_close(&b->b.channel);
	json_decref(b->a.last);
	json_decref(b->b.last);
	loop_free(&b->loop);
	free(b);
	return 0;
}

static void run_until(struct bench *b, const uint32_t *count, uint32_t want)
{
	for (int i = 0; i < 1000 && *count < want; i++)
		loop_once(&b->loop, 100);
	assert_int_equal(*count, want);
}

static void messages_come_in_order_both_ways(void **state)
{
	struct bench *b = *state;

	channel_send(&b->a.channel, "one", json_pack("{s:i}", "x", 7), NULL, 0);
	channel_send(&b->a.channel, "two", NULL, NULL, 0);
	channel_send(&b->b.channel, "three", NULL, NULL, 0);
	run_until(b, &b->b.n, 2);
	run_until(b, &b->a.n, 1);
	assert_string_equal(b->b.types, "ot");
	assert_string_equal(b->a.types, "t");
}

static void descriptors_come_along_and_what_is_not_taken_is_closed(void **state)
{
	struct bench *b = *state;
	int fds[3], next;

	for (size_t i = 0; i < COUNT_OF(fds); i++)
		fds[i] = memfd_create("x", MFD_CLOEXEC);
	assert_int_equal(write(fds[0], "hello", 5), 5);
	channel_send(&b->a.channel, "socket", NULL, fds, COUNT_OF(fds));
	for (size_t i = 0; i < COUNT_OF(fds); i++)
		close(fds[i]);
	run_until(b, &b->b.n, 1);
	assert_int_equal(b->b.fds, 3);
	assert_string_equal(b->b.read_back, "hello");
	next = dup(0);
	assert_int_equal(next, fds[0]); /* the lowest that is free */
	close(next);
}

static void a_long_message_comes_whole_with_its_descriptors(void **state)
{
	struct bench *b = *state;
	const size_t n = 3000000;
	char *text = malloc(n + 1);
	int fd = memfd_create("x", MFD_CLOEXEC);

	memset(text, 'x', n);
	text[n] = '\0';
	assert_int_equal(write(fd, "mine", 4), 4);
	channel_send(&b->a.channel, "state", json_pack("{s:s}", "text", text), &fd, 1);
	close(fd);
	run_until(b, &b->b.n, 1);
	assert_int_equal(json_string_length(json_object_get(b->b.last, "text")), n);
	assert_int_equal(b->b.fds, 1);
	assert_string_equal(b->b.read_back, "mine");
	free(text);
}

static void what_the_peer_has_no_room_for_waits(void **state)
{
	struct bench *b = *state;
	char text[20000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < 500; i++)
		channel_send(&b->a.channel, "x", json_pack("{s:s, s:i}", "text", text, "i", i), NULL, 0);
	assert_true(b->a.channel.queued > 0);
	run_until(b, &b->b.n, 500);
	assert_int_equal(json_integer_value(json_object_get(b->b.last, "i")), 499);
	assert_int_equal(b->a.channel.queued, 0);
}

static void a_peer_that_never_reads_is_given_up(void **state)
{
	struct bench *b = *state;

	event_del(b->b.channel.readable);
	for (int i = 0; i < 30000 && b->a.channel.queued < CHANNEL_QUEUE_MAX; i++)
		channel_send(&b->a.channel, "x", NULL, NULL, 0);
	assert_int_equal(b->a.channel.queued, CHANNEL_QUEUE_MAX);
	channel_send(&b->a.channel, "x", NULL, NULL, 0);
	run_until(b, &b->a.ended, 1);
}

static void garbage_is_passed_over(void **state)
{
	struct bench *b = *state;
	static const char *const texts[] = {"{", "[]", "7", "{\"type\": 3}", "long", "\xff\xfe"};

	for (size_t i = 0; i < COUNT_OF(texts); i++)
		assert_true(write(b->a.channel.fd, texts[i], strlen(texts[i])) > 0);
	channel_send(&b->a.channel, "good", NULL, NULL, 0);
	run_until(b, &b->b.n, 1);
	assert_string_equal(b->b.types, "g");
}

static void the_end_of_a_peer_is_told_once_after_its_last_words(void **state)
{
	struct bench *b = *state;

	channel_send(&b->a.channel, "last", NULL, NULL, 0);
	channel_close(&b->a.channel);
	run_until(b, &b->b.ended, 1);
	assert_int_equal(b->b.n, 1);
	loop_once(&b->loop, 0);
	assert_int_equal(b->b.ended, 1);
	channel_send(&b->b.channel, "nobody", NULL, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(messages_come_in_order_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(
			descriptors_come_along_and_what_is_not_taken_is_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_long_message_comes_whole_with_its_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_peer_has_no_room_for_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(a_peer_that_never_reads_is_given_up, setup, teardown),
		cmocka_unit_test_setup_teardown(garbage_is_passed_over, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_end_of_a_peer_is_told_once_after_its_last_words, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
