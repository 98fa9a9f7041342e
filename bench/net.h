/* bench/net.h - what the bench's small programs share: sockets on loopback, the clock, and a strict reader of answers.
 *
 * Every program here ends with status 1 and a sentence on stderr at the first thing that is not as it should be: a
 * figure taken while something failed is worse than none. */
#ifndef WEIR_BENCH_NET_H
#define WEIR_BENCH_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ANSWER_HEAD_MAX = 8192 };

/* One HTTP/1.1 answer as it arrives in pieces. Zeroed before each answer. */
struct answer {
	char head[ANSWER_HEAD_MAX]; /* what came before the empty line, while it is incomplete */
	size_t head_len;
	bool in_body;
	uint64_t left; /* bytes of the body still to come */
};

enum answer_state { ANSWER_MORE, ANSWER_DONE };

/* Takes n bytes. Ends the program unless the status is `status` and Content-Length is `size` (size is not looked at
 * for 101). Bytes after the answer are an error too, except after 101: nothing here pipelines. */
enum answer_state answer_feed(struct answer *a, const char *p, size_t n, int status, uint64_t size);

/* printf-like; writes to stderr and exits 1. */
__attribute__((format(printf, 1, 2), noreturn)) void die(const char *fmt, ...);

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t now_ns(void);

/* A decimal argument within [min, max], or the program ends. */
uint64_t number(const char *text, const char *what, uint64_t min, uint64_t max);

/* A blocking connection to 127.0.0.1 with TCP_NODELAY. Never fails: the program ends instead. */
int net_connect(uint16_t port);

/* A non-blocking listening socket on 127.0.0.1; port 0 lets the kernel choose, *port says which. */
int net_listen(uint16_t *port);

void net_nonblocking(int fd);
void net_nodelay(int fd);

/* Lifts the soft limit of descriptors to the hard one. */
void net_many_files(void);

#endif
