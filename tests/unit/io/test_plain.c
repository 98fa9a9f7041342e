/* io/plain.c: what is written in pieces arrives whole and in order, whether they are sent as one or as a list. */
#include "unit.h"
#include <sys/socket.h>
#include <unistd.h>
#include "io/transport.h"

struct fixture {
	struct loop loop;
	struct transport *transport;
	int peer;
	char sent[3 * 4096], got[3 * 4096];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct addr nobody = {.family = ADDR_UNIX};
	int fds[2];

	*state = f;
	if (!loop_init(&f->loop) ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
		return -1;
	f->peer = fds[1];
	f->transport = plain_from_fd(&f->loop, fds[0], &nobody, &nobody);
	for (size_t i = 0; i < sizeof(f->sent); i++)
		f->sent[i] = (char)(i * 7 + i / 256);
	return f->transport ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	transport_close(&f->transport);
	close(f->peer);
	loop_free(&f->loop);
	free(f);
	return 0;
}

/* Writes `first`, nothing, and `second` bytes as three pieces. */
static void write_pieces(struct fixture *f, size_t first, size_t second)
{
	const struct iovec iov[] = {{f->sent, first}, {f->sent, 0}, {f->sent + first, second}};
	size_t n = first + second;

	assert_int_equal(transport_writev(f->transport, iov, 3), n);
	memset(f->got, 0, sizeof(f->got));
	assert_int_equal(recv(f->peer, f->got, sizeof(f->got), 0), n);
	assert_memory_equal(f->got, f->sent, n);
}

static void short_pieces_arrive_whole_and_in_order(void **state)
{
	write_pieces(*state, 300, 1024);
	write_pieces(*state, 1, 4095); /* the most that is sent as one */
}

static void longer_pieces_arrive_whole_and_in_order(void **state)
{
	write_pieces(*state, 1, 4096);
	write_pieces(*state, 4096, 1);
	write_pieces(*state, 4096, 2 * 4096);
}

static void one_piece_needs_no_list(void **state)
{
	struct fixture *f = *state;
	const struct iovec iov = {f->sent, sizeof(f->sent)};

	assert_int_equal(transport_writev(f->transport, &iov, 1), sizeof(f->sent));
	assert_int_equal(recv(f->peer, f->got, sizeof(f->got), 0), sizeof(f->sent));
	assert_memory_equal(f->got, f->sent, sizeof(f->sent));
}

static void a_peer_that_is_gone_is_an_error_whatever_the_pieces(void **state)
{
	struct fixture *f = *state;
	const struct iovec iov[] = {{f->sent, 10}, {f->sent + 10, 10}};

	shutdown(f->peer, SHUT_RDWR);
	assert_int_equal(transport_writev(f->transport, iov, 2), TRANSPORT_ERROR);
	assert_int_equal(f->transport->state, TRANSPORT_DEAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(short_pieces_arrive_whole_and_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(longer_pieces_arrive_whole_and_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_piece_needs_no_list, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_peer_that_is_gone_is_an_error_whatever_the_pieces, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
