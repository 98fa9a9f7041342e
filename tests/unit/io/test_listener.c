/* Listening sockets: what is refused and how it is said, what survives, and who accepts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "base/obj.h"
#include "io/listener.h"
#include "io/socket.h"

struct bench {
	struct loop loop;
	struct listener_sockets sockets;
	struct acceptor acceptor;
	char dir[64], path[128], address[160], err[300];
	uint32_t accepted, exhausted;
	struct addr peer, local; /* of the last accepted */
	int idle_s; /* of silence, until the kernel asks it; 0: never */
};

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_true(loop_init(&b->loop));
	listener_sockets_init(&b->sockets);
	strcpy(b->dir, "/tmp/weir-unit-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->path, sizeof(b->path), "%s/s", b->dir);
	snprintf(b->address, sizeof(b->address), "unix:%s", b->path);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	acceptor_stop(&b->acceptor);
	listener_sockets_free(&b->sockets, false);
	loop_free(&b->loop);
	unlink(b->path);
	rmdir(b->dir);
	free(b);
	return 0;
}

static struct conf_listener on_ip(const char *address)
{
	struct conf_listener l = {.address = str_of(address), .socket_key = str_of(address), .backlog = 16};

	assert_true(addr_parse(&l.addr, l.address));
	return l;
}

static struct conf_listener on_unix(struct bench *b)
{
	return (struct conf_listener){.address = str_of(b->address),
		.socket_key = str_of(b->address),
		.addr = {.family = ADDR_UNIX},
		.unix_path = str_of(b->path),
		.unix_mode = 0620,
		.backlog = 16};
}

static struct listener_socket *must_open(struct bench *b, struct conf_listener l, uint32_t workers)
{
	struct listener_socket *ls = listener_sockets_open(&b->sockets, &l, workers, b->err, sizeof(b->err));

	if (!ls)
		print_message("%s\n", b->err);
	assert_non_null(ls);
	return ls;
}

static int connect_to(const struct addr *a, const char *path)
{
	struct sockaddr_storage ss = {0};
	struct sockaddr_un *un = (struct sockaddr_un *)&ss;
	socklen_t n = path ? sizeof(*un) : addr_to_sockaddr(a, &ss);
	int fd;

	if (path) {
		un->sun_family = AF_UNIX;
		strcpy(un->sun_path, path);
	}
	fd = socket(ss.ss_family, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&ss, n) == 0)
		return fd;
	close(fd);
	return -1;
}

static int asked_after(int fd)
{
	int on = 0, idle_s = 0;
	socklen_t n = sizeof(on);

	if (getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &n) == 0 && on)
		getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, &n);
	return idle_s;
}

static void on_accept(struct acceptor *a, int fd, const struct addr *peer, const struct addr *local)
{
	struct bench *b = a->user;

	b->accepted++;
	b->peer = *peer;
	b->local = *local;
	b->idle_s = asked_after(fd);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	close(fd);
}

static void on_exhausted(struct acceptor *a, int err)
{
	struct bench *b = a->user;

	assert_int_equal(err, EMFILE);
	b->exhausted++;
}

static void start(struct bench *b, const struct listener_socket *ls)
{
	b->acceptor.on_accept = on_accept;
	b->acceptor.on_exhausted = on_exhausted;
	b->acceptor.user = b;
	assert_true(acceptor_start(&b->acceptor, &b->loop, listener_socket_fd(ls, 0), &ls->addr));
}

static bool turn_until_accepted(struct bench *b, uint32_t n)
{
	for (int turn = 0; turn < 1000 && b->accepted < n; turn++)
		loop_once(&b->loop, 20);
	return b->accepted == n;
}

static void every_worker_has_a_socket_on_the_same_port(void **state)
{
	struct bench *b = *state;
	struct listener_socket *ls = must_open(b, on_ip("127.0.0.1:0"), 3);

	assert_int_equal(ls->n, 3);
	assert_int_not_equal(ls->addr.port, 0);
	for (uint32_t i = 0; i < 3; i++) {
		struct sockaddr_storage ss;
		socklen_t n = sizeof(ss);
		struct addr a;

		assert_int_equal(getsockname(listener_socket_fd(ls, i), (struct sockaddr *)&ss, &n), 0);
		addr_from_sockaddr(&a, (struct sockaddr *)&ss, n);
		assert_int_equal(a.port, ls->addr.port);
	}
	assert_int_equal(listener_socket_fd(ls, 3), listener_socket_fd(ls, 0));
}

static void a_known_address_keeps_its_sockets(void **state)
{
	struct bench *b = *state;
	struct listener_socket *ls = must_open(b, on_ip("127.0.0.1:0"), 2);

	assert_ptr_equal(must_open(b, on_ip("127.0.0.1:0"), 2), ls);
	assert_ptr_equal(listener_sockets_find(&b->sockets, STR("127.0.0.1:0")), ls);
	listener_socket_close(&ls, false);
	assert_null(listener_sockets_find(&b->sockets, STR("127.0.0.1:0")));
}

static void ipv6_and_ipv4_stand_side_by_side_on_one_port(void **state)
{
	struct bench *b = *state;
	struct listener_socket *four = must_open(b, on_ip("0.0.0.0:0"), 1);
	struct conf_listener six = on_ip("[::]:0");

	if (!listener_sockets_open(&b->sockets, &six, 1, b->err, sizeof(b->err)))
		skip(); /* a machine without IPv6 */
	six.socket_key = STR("the same port");
	six.addr.port = four->addr.port;
	must_open(b, six, 1);
}

static void an_address_in_use_is_refused_even_if_it_could_be_shared(void **state)
{
	struct bench *b = *state;
	struct listener_socket *ls = must_open(b, on_ip("127.0.0.1:0"), 1);
	struct listener_sockets other;
	struct conf_listener l = on_ip("127.0.0.1:1");
	char text[ADDR_TEXT_MAX], want[200];

	listener_sockets_init(&other);
	l.addr.port = ls->addr.port;
	l.address = addr_text(&l.addr, text);
	assert_null(listener_sockets_open(&other, &l, 1, b->err, sizeof(b->err)));
	snprintf(want, sizeof(want),
		"cannot listen on %s: Address already in use; another program, or another weir, listens "
		"there",
		text);
	assert_string_equal(b->err, want);
}

static void an_address_of_another_machine_is_refused(void **state)
{
	struct bench *b = *state;
	struct conf_listener l = on_ip("192.0.2.1:8080");

	assert_null(listener_sockets_open(&b->sockets, &l, 1, b->err, sizeof(b->err)));
	assert_string_equal(b->err, "cannot listen on 192.0.2.1:8080: Cannot assign requested address; "
				    "this machine does not have that address");
}

static void a_unix_socket_has_its_mode_and_goes_when_closed(void **state)
{
	struct bench *b = *state;
	struct listener_socket *ls = must_open(b, on_unix(b), 2);
	struct stat st;
	int fd;

	assert_int_equal(stat(b->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0620);
	start(b, ls);
	fd = connect_to(NULL, b->path);
	assert_true(fd >= 0);
	assert_true(turn_until_accepted(b, 1));
	assert_int_equal(b->peer.family, ADDR_UNIX);
	close(fd);
	acceptor_stop(&b->acceptor);
	listener_socket_close(&ls, false);
	assert_int_equal(stat(b->path, &st), -1);
}

static void a_stale_unix_socket_is_replaced_and_a_live_one_is_not(void **state)
{
	struct bench *b = *state;
	struct listener_socket *ls = must_open(b, on_unix(b), 1);
	struct conf_listener l = on_unix(b);
	struct listener_sockets other;
	struct stat st;

	listener_sockets_init(&other);
	assert_null(listener_sockets_open(&other, &l, 1, b->err, sizeof(b->err)));
	assert_non_null(strstr(b->err, "another weir"));
	/* As after a crash: the file stays, nobody listens. */
	listener_socket_close(&ls, true);
	assert_int_equal(stat(b->path, &st), 0);
	must_open(b, on_unix(b), 1);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
	struct bench *b = *state;
	struct conf_listener l = on_unix(b);
	struct stat st;

	fclose(fopen(b->path, "w"));
	assert_null(listener_sockets_open(&b->sockets, &l, 1, b->err, sizeof(b->err)));
	assert_non_null(strstr(b->err, "File exists"));
	assert_int_equal(stat(b->path, &st), 0);
}

static void a_socket_file_that_was_replaced_is_not_unlinked(void **state)
{
	struct bench *b = *state;
	struct listener_socket *ls = must_open(b, on_unix(b), 1);
	struct stat st;

	unlink(b->path);
	fclose(fopen(b->path, "w"));
	listener_socket_close(&ls, false);
	assert_int_equal(stat(b->path, &st), 0);
}

static void inherited_sockets_are_found_by_their_address(void **state)
{
	struct bench *b = *state;
	struct listener_socket *ls = must_open(b, on_ip("127.0.0.1:0"), 1), *again;
	struct listener_sockets other;
	int fd = dup(listener_socket_fd(ls, 0));

	listener_sockets_init(&other);
	again = listener_sockets_adopt(&other, STR("127.0.0.1:0"), &fd, 1);
	assert_int_equal(again->addr.port, ls->addr.port);
	assert_ptr_equal(listener_sockets_find(&other, STR("127.0.0.1:0")), again);
	listener_sockets_free(&other, true);
}

static void a_connection_on_any_address_says_which_it_came_to(void **state)
{
	struct bench *b = *state;
	struct listener_socket *ls = must_open(b, on_ip("0.0.0.0:0"), 1);
	struct addr to;
	int fd;

	assert_true(addr_parse(&to, STR("127.0.0.2:1")));
	to.port = ls->addr.port;
	start(b, ls);
	fd = connect_to(&to, NULL);
	assert_true(turn_until_accepted(b, 1));
	assert_true(addr_eq_ip(&b->local, &to));
	assert_int_equal(b->local.port, to.port);
	assert_true(addr_is_loopback(&b->peer));
	close(fd);
}

static void a_client_that_is_silent_for_long_is_asked_by_the_kernel(void **state)
{
	struct bench *b = *state;
	struct listener_socket *ls = must_open(b, on_ip("127.0.0.1:0"), 1);
	int fd;

	start(b, ls);
	fd = connect_to(&ls->addr, NULL);
	assert_true(turn_until_accepted(b, 1));
	assert_int_equal(b->idle_s, SOCKET_CLIENT_IDLE_S);
	close(fd);
}

static void stopping_accepts_what_is_in_the_queue(void **state)
{
	struct bench *b = *state;
	struct listener_socket *ls = must_open(b, on_ip("127.0.0.1:0"), 1);
	int fds[5];

	start(b, ls);
	for (int i = 0; i < 5; i++)
		fds[i] = connect_to(&ls->addr, NULL);
	acceptor_stop(&b->acceptor);
	assert_int_equal(b->accepted, 5);
	for (int i = 0; i < 5; i++)
		close(fds[i]);
}

static void without_descriptors_it_backs_off_and_comes_back(void **state)
{
	struct bench *b = *state;
	struct listener_socket *ls = must_open(b, on_ip("127.0.0.1:0"), 1);
	struct rlimit old, tight;
	struct timespec before, after;
	int fd = connect_to(&ls->addr, NULL), lowest = dup(0);

	start(b, ls);
	close(lowest);
	getrlimit(RLIMIT_NOFILE, &old);
	tight = old;
	tight.rlim_cur = (rlim_t)lowest;
	setrlimit(RLIMIT_NOFILE, &tight);
	while (b->exhausted < 3)
		loop_once(&b->loop, 200);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	while (b->exhausted < 5)
		loop_once(&b->loop, 200);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	setrlimit(RLIMIT_NOFILE, &old);
	/* Two rounds of waiting, some 200 ms, in which a spinning loop would burn as much. */
	assert_true((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 < 50);
	assert_int_equal(b->accepted, 0);
	assert_true(turn_until_accepted(b, 1));
	close(fd);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(every_worker_has_a_socket_on_the_same_port),
		T(a_known_address_keeps_its_sockets),
		T(ipv6_and_ipv4_stand_side_by_side_on_one_port),
		T(an_address_in_use_is_refused_even_if_it_could_be_shared),
		T(an_address_of_another_machine_is_refused),
		T(a_unix_socket_has_its_mode_and_goes_when_closed),
		T(a_stale_unix_socket_is_replaced_and_a_live_one_is_not),
		T(a_file_that_is_no_socket_is_left_alone),
		T(a_socket_file_that_was_replaced_is_not_unlinked),
		T(inherited_sockets_are_found_by_their_address),
		T(a_connection_on_any_address_says_which_it_came_to),
		T(a_client_that_is_silent_for_long_is_asked_by_the_kernel),
		T(stopping_accepts_what_is_in_the_queue),
		T(without_descriptors_it_backs_off_and_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
