/* io/srv_reply.h - the SRV records of a DNS answer (RFC 2782), with their time to live. */
#ifndef WEIR_IO_SRV_REPLY_H
#define WEIR_IO_SRV_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SRV_TARGET_MAX  254
#define SRV_RECORDS_MAX 128 /* more of one name are not looked at */

struct srv_record {
	char target[SRV_TARGET_MAX];
	uint16_t port, priority, weight;
};

struct srv_answer {
	struct srv_record v[SRV_RECORDS_MAX];
	uint32_t n;
	uint32_t ttl_s; /* the shortest */
	const char *error; /* n == 0: what went wrong, static; else NULL */
};

/* Adds the records of a whole message. Records of other kinds, and those that say "not available" (the target "."), are passed over.
 * False: it is malformed, and nothing in it is to be believed. */
bool srv_reply_parse(struct srv_answer *a, const unsigned char *message, size_t n);

#endif
