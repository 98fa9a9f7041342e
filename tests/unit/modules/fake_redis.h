/* fake_redis.h - a Redis server that says the bytes that a row gives it, whatever they are, and writes down what it was asked.
 *
 * It has no thread and no loop: fake_redis_turn() does what can be done now. */
#ifndef WEIR_TESTS_MODULES_FAKE_REDIS_H
#define WEIR_TESTS_MODULES_FAKE_REDIS_H

#include "exchange/suite.h"

#define REDIS_ARGS  80 /* of a command */
#define REDIS_SAYS  3
#define REDIS_HEARD 8192

struct fake_redis {
	int listener, fd; /* fd -1: nobody is connected */
	struct sockaddr_in at;
	char in[16384];
	size_t in_n;
	const char *says
		[REDIS_SAYS]; /* to the first question, the second, ...; NULL: nothing; SELECT is not one */
	bool close; /* after the last of them, or in its place */
	bool holds; /* what is to be said waits */
	unsigned questions, said;
	struct str out; /* what has not left of an answer */
	char script[4096]; /* the last EVAL's */
	char sha[64]; /* the last EVALSHA's */
	char heard_buf
		[REDIS_HEARD]; /* "EVALSHA 1 key args\n", without the script or its name; odd bytes as \xHH */
	struct text heard;
};

static inline void fake_redis_open(struct fake_redis *r)
{
	*r = (struct fake_redis){.fd = -1};
	r->listener = house_listen(&r->at);
	r->heard = text_in(r->heard_buf, sizeof(r->heard_buf) - 1);
}

static inline void fake_redis_hang_up(struct fake_redis *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	r->in_n = 0;
	r->out = STR_NONE;
}

static inline void fake_redis_close(struct fake_redis *r)
{
	fake_redis_hang_up(r);
	close(r->listener);
}

/* "127.1.2.3:4567" */
static inline const char *fake_redis_address(const struct fake_redis *r, char text[ADDR_TEXT_MAX])
{
	struct addr addr;

	addr_from_sockaddr(&addr, (const struct sockaddr *)&r->at, sizeof(r->at));
	return addr_text(&addr, text).p;
}

/* The number behind a mark, and where its line ends; SIZE_MAX: it has not come yet. */
static inline size_t fake_redis_line(const struct fake_redis *r, size_t at, char mark, size_t *number)
{
	const char *end = memmem(r->in + at, r->in_n - at, "\r\n", 2);

	if (!end)
		return SIZE_MAX;
	MUST(r->in[at] == mark);
	*number = strtoul(r->in + at + 1, NULL, 10);
	return (size_t)(end - r->in) + 2;
}

/* The command at the front: how long it is, 0: it is not whole. */
static inline size_t fake_redis_command(const struct fake_redis *r, struct str args[REDIS_ARGS], size_t *n)
{
	size_t at = r->in_n ? fake_redis_line(r, 0, '*', n) : SIZE_MAX;

	MUST(at == SIZE_MAX || *n <= REDIS_ARGS);
	for (size_t i = 0; at != SIZE_MAX && i < *n; i++) {
		size_t len = 0;

		at = at < r->in_n ? fake_redis_line(r, at, '$', &len) : SIZE_MAX;
		if (at == SIZE_MAX || at + len + 2 > r->in_n)
			return 0;
		args[i] = (struct str){r->in + at, len};
		at += len + 2;
	}
	return at == SIZE_MAX ? 0 : at;
}

static inline void fake_redis_write_down(struct fake_redis *r, const struct str *args, size_t n)
{
	bool whole = str_eq(args[0], STR("EVAL"));

	snprintf(whole ? r->script : r->sha, whole ? sizeof(r->script) : sizeof(r->sha), STR_FMT,
		STR_ARG(args[1]));
	for (size_t i = 0; i < n; i++) {
		if (i == 1)
			continue;
		text_put(&r->heard, i ? STR(" ") : STR_NONE);
		for (size_t k = 0; k < args[i].n; k++) {
			unsigned char c = (unsigned char)args[i].p[k];

			if (c > ' ' && c < 0x7f)
				text_char(&r->heard, (char)c);
			else
				text_fmt(&r->heard, "\\x%02x", c);
		}
	}
	text_char(&r->heard, '\n');
	r->heard_buf[r->heard.n] = '\0';
}

static inline void fake_redis_listen(struct fake_redis *r)
{
	ssize_t n = read(r->fd, r->in + r->in_n, sizeof(r->in) - r->in_n);
	struct str args[REDIS_ARGS];
	size_t command, arg_n = 0;

	if (n == 0) {
		fake_redis_hang_up(r);
		return;
	}
	if (n > 0)
		r->in_n += (size_t)n;
	while ((command = fake_redis_command(r, args, &arg_n)) > 0) {
		if (str_eq(args[0], STR("SELECT"))) {
			MUST(send(r->fd, "+OK\r\n", 5, MSG_NOSIGNAL) == 5);
		} else {
			fake_redis_write_down(r, args, arg_n);
			r->questions++;
		}
		r->in_n -= command;
		memmove(r->in, r->in + command, r->in_n);
	}
}

static inline void fake_redis_speak(struct fake_redis *r)
{
	while (r->fd >= 0 && !r->holds && (r->out.n || r->said < r->questions)) {
		ssize_t n;

		if (r->out.n == 0) {
			const char *says = r->said < REDIS_SAYS ? r->says[r->said] : NULL;

			r->said++;
			r->out = says ? str_of(says) : STR_NONE;
		}
		n = r->out.n ? send(r->fd, r->out.p, r->out.n, MSG_NOSIGNAL) : 0;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n >= 0)
			r->out = str_skip(r->out, (size_t)n);
		if (n < 0 || (r->close && r->out.n == 0 && (r->said >= REDIS_SAYS || !r->says[r->said])))
			fake_redis_hang_up(r);
	}
}

static inline void fake_redis_turn(struct fake_redis *r)
{
	if (r->fd < 0)
		r->fd = house_accept(r->listener);
	if (r->fd >= 0)
		fake_redis_listen(r);
	if (r->fd >= 0)
		fake_redis_speak(r);
}

/* What a turn of everybody is, until cond holds. */
#define FAKE_REDIS_UNTIL(r, st, cond) \
	do { \
		uint64_t end_ = case_ms() + CASE_PATIENCE_MS; \
		while (!(cond)) { \
			fake_redis_turn(r); \
			stage_settle(st); \
			if (case_ms() > end_) { \
				stage_explain(st, SIZE_MAX, ""); \
				fail_msg("%s: %s; Redis heard\n%s", (st)->c->name, #cond, (r)->heard_buf); \
			} \
			house_turn(&(st)->house, 1); \
		} \
	} while (0)

#endif
