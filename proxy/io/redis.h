/* io/redis.h - one connection to a Redis server: commands are asked now, in order, many under way at once, and answered from the loop.
 *
 *   RESTING     it could not be reached: the next try follows, each later than the one before
 *   RESOLVING, CONNECTING, GREETING
 *               a connection is being made: resolved, connected with TLS if told, authenticated. Who asks waits for it the first time,
 *               and after a good connection has ended; while it fails again and again nobody does
 *   READY
 *   LATE        an answer is overdue: nobody else is made to wait. READY again when the server speaks, a new connection when it does not
 *
 * hiredis writes commands and reads answers; the bytes go through weir's own transports, resolver and TLS. Belongs to one loop's thread,
 * and blocks nobody. */
#ifndef WEIR_IO_REDIS_H
#define WEIR_IO_REDIS_H

#include "config/conf.h"
#include "io/loop.h"

struct redisReply;

struct redis_conf {
	struct str address; /* "host:port", "127.0.0.1:6379", "[::1]:6379", "unix:/path" */
	struct str username, password; /* empty: the default user; no authentication */
	uint32_t database;
	uint32_t timeout_ms; /* for an answer; looked at every LOOP_TICK_MS */
	struct conf_upstream_tls tls; /* .on */
};

struct redis_answer {
	const struct redisReply *reply; /* may be an error of the server's; NULL: there is none */
	const char *problem; /* why there is none */
};

/* One question. Embedded in what waits for it; zeroed is not asked. */
struct redis_call {
	struct redis_slot *slot; /* NULL: nothing is awaited */
	/* Once, from the loop, never from within redis_ask(); the answer is valid during the call, in which the connection may be freed. */
	void (*done)(struct redis_call *c, const struct redis_answer *answer);
};

struct redis;

/* conf is borrowed. It begins to connect at once. */
struct redis *redis_new(struct loop *l, const struct redis_conf *conf);
/* Nobody waits any more. NULLs *rp; NULL is fine. */
void redis_free(struct redis **rp);
/* Is it an address that can be connected to? */
bool redis_address_is_valid(struct str address);

/* NULL: done will be called. Else why it cannot be asked now; static, or valid until the loop turns. */
const char *redis_ask(struct redis *r, struct redis_call *c, int argc, const char **argv, const size_t *lens);
/* done will not be called; nothing if it is not asked. */
void redis_call_cancel(struct redis_call *c);

#endif
