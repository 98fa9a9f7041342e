/* collector.h - whom traces are sent to: takes POSTs whole, and says what it is told to, whatever that is.
 *
 * It has no thread and no loop: collector_turn() does what can be done now. */
#ifndef WEIR_TESTS_MODULES_COLLECTOR_H
#define WEIR_TESTS_MODULES_COLLECTOR_H

#include "exchange/case.h"

#define COLLECTOR_BODY  (512u * 1024)
#define COLLECTOR_CONNS 4

struct collector {
	int listener, fds[COLLECTOR_CONNS];
	struct sockaddr_in at;
	char *in; /* COLLECTOR_BODY; of the one that speaks: there is one at a time */
	size_t in_n, body_n; /* body_n: of the last message */
	char *body; /* COLLECTOR_BODY */
	char head[2048];
	unsigned messages;
	const char *answer; /* NULL: none comes */
	bool close; /* after it, or in its place */
	int *asks; /* of fds: who waits for an answer; NULL: nobody */
};

static inline void collector_open(struct collector *c)
{
	*c = (struct collector){.in = malloc(COLLECTOR_BODY), .body = malloc(COLLECTOR_BODY)};
	MUST(c->in && c->body);
	for (size_t i = 0; i < COLLECTOR_CONNS; i++)
		c->fds[i] = -1;
	c->listener = house_listen(&c->at);
}

static inline void collector_close(struct collector *c)
{
	for (size_t i = 0; i < COLLECTOR_CONNS; i++)
		if (c->fds[i] >= 0)
			close(c->fds[i]);
	close(c->listener);
	free(c->in);
	free(c->body);
}

static inline void collector_listen(struct collector *c, int *fd)
{
	ssize_t n = read(*fd, c->in + c->in_n, COLLECTOR_BODY - 1 - c->in_n);
	const char *body, *length;
	size_t head_n, body_n;

	if (n == 0) {
		close(*fd);
		*fd = -1;
		return;
	}
	c->in_n += n > 0 ? (size_t)n : 0;
	c->in[c->in_n] = '\0';
	body = strstr(c->in, "\r\n\r\n");
	if (!body)
		return;
	head_n = (size_t)(body - c->in) + 4;
	length = strcasestr(c->in, "\r\ncontent-length: ");
	assert_non_null(length);
	body_n = strtoul(length + 18, NULL, 10);
	if (c->in_n < head_n + body_n)
		return;
	assert_int_equal(c->in_n, head_n + body_n);
	snprintf(c->head, sizeof(c->head), "%.*s", (int)head_n, c->in);
	memcpy(c->body, c->in + head_n, body_n);
	c->body_n = body_n;
	c->in_n = 0;
	c->messages++;
	c->asks = fd;
}

static inline void collector_turn(struct collector *c)
{
	for (size_t i = 0; i < COLLECTOR_CONNS; i++) {
		if (c->fds[i] < 0)
			c->fds[i] = house_accept(c->listener);
		if (c->fds[i] >= 0 && !c->asks)
			collector_listen(c, &c->fds[i]);
		if (c->asks != &c->fds[i] || (!c->answer && !c->close))
			continue;
		if (c->answer) /* shorter than a socket's room */
			assert_int_equal(send(c->fds[i], c->answer, strlen(c->answer), MSG_NOSIGNAL),
				strlen(c->answer));
		c->asks = NULL;
		if (c->close) {
			close(c->fds[i]);
			c->fds[i] = -1;
		}
	}
}

#endif
