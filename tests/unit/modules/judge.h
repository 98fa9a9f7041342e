/* judge.h - the server that a module asks (forward_auth, an issuer of keys): says the bytes that a row gives it, whatever they are.
 *
 * It has no thread and no loop: judge_turn() does what can be done now. */
#ifndef WEIR_TESTS_MODULES_JUDGE_H
#define WEIR_TESTS_MODULES_JUDGE_H

#include "exchange/suite.h"

#define JUDGE_CONNS 4

struct judge_conn {
	int fd; /* -1: closed */
	char asked[4096]; /* the request at hand */
	size_t asked_n, said; /* said: bytes of the answer that have left */
	bool answers;
};

struct judge {
	int listener;
	struct sockaddr_in at;
	struct judge_conn conns[JUDGE_CONNS]; /* the ones after those are closed at once */
	unsigned conn_n, questions;
	struct str answer; /* empty: none comes */
	bool close; /* after it, or in its place */
	char last[4096]; /* the request's head that came last */
};

static inline void judge_open(struct judge *j)
{
	*j = (struct judge){0};
	j->listener = house_listen(&j->at);
}

static inline void judge_close(struct judge *j)
{
	for (unsigned i = 0; i < j->conn_n; i++)
		if (j->conns[i].fd >= 0)
			close(j->conns[i].fd);
	close(j->listener);
}

/* "127.1.2.3:4567" */
static inline const char *judge_address(const struct judge *j, char text[ADDR_TEXT_MAX])
{
	struct addr addr;

	addr_from_sockaddr(&addr, (const struct sockaddr *)&j->at, sizeof(j->at));
	return addr_text(&addr, text).p;
}

static inline void judge_hang_up(struct judge_conn *c)
{
	close(c->fd);
	c->fd = -1;
}

static inline void judge_listen(struct judge *j, struct judge_conn *c)
{
	ssize_t n = read(c->fd, c->asked + c->asked_n, sizeof(c->asked) - 1 - c->asked_n);

	if (n == 0) {
		judge_hang_up(c);
		return;
	}
	if (n < 0)
		return;
	c->asked_n += (size_t)n;
	c->asked[c->asked_n] = '\0';
	if (!strstr(c->asked, "\r\n\r\n"))
		return;
	memcpy(j->last, c->asked, c->asked_n + 1);
	j->questions++;
	c->asked_n = c->said = 0;
	c->answers = true;
}

static inline void judge_speak(struct judge *j, struct judge_conn *c)
{
	ssize_t n;

	if (j->answer.n == 0 && !j->close)
		return;
	while (c->said < j->answer.n) {
		n = send(c->fd, j->answer.p + c->said, j->answer.n - c->said, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) { /* it has heard enough */
			judge_hang_up(c);
			return;
		}
		c->said += (size_t)n;
	}
	c->answers = false;
	if (j->close)
		judge_hang_up(c);
}

static inline void judge_turn(struct judge *j)
{
	int fd = house_accept(j->listener);

	if (fd >= 0 && j->conn_n < JUDGE_CONNS)
		j->conns[j->conn_n++] = (struct judge_conn){.fd = fd};
	else if (fd >= 0)
		close(fd);
	for (unsigned i = 0; i < j->conn_n; i++) {
		struct judge_conn *c = &j->conns[i];

		if (c->fd >= 0 && !c->answers)
			judge_listen(j, c);
		if (c->fd >= 0 && c->answers)
			judge_speak(j, c);
	}
}

/* The case, with the judge beside it, until both sides have heard what they must. hurry: what is put off for less than CASE_MOMENT_MS
 * happens now. */
static inline void judge_case(struct judge *j, const struct test_case *c, struct pairing how, bool hurry)
{
	struct stage *st = stage_new(c, how);
	uint64_t end = case_ms() + CASE_PATIENCE_MS;

	stage_connect(st);
	for (;;) {
		judge_turn(j);
		stage_settle(st);
		if (stage_done(st))
			break;
		if (case_ms() > end) {
			stage_explain(st, SIZE_MAX, "");
			fail_msg("%s", c->name);
		}
		/* Only once it was asked: looking for its address takes a moment too. */
		if (hurry && j->questions)
			stage_hurry(st);
		house_turn(&st->house, 1);
	}
	if (st->house.most > CASE_MEMORY)
		fail_msg("%s: %zu bytes were in use", c->name, st->house.most);
	stage_clear(st);
	stage_free(&st);
}

#endif
