/* io/proxy_protocol.h - the PROXY protocol, versions 1 and 2: a header before the first byte of a connection in which a load balancer
 * names the client. Pure: bytes in, addresses out (haproxy.org, proxy-protocol.txt 2.1 and 2.2). */
#ifndef WEIR_IO_PROXY_PROTOCOL_H
#define WEIR_IO_PROXY_PROTOCOL_H

#include "base/addr.h"

#define PROXY_HEADER_MAX 4096 /* of those we read: TLVs longer than this are refused */
#define PROXY_WRITE_MAX  108 /* of those we write */

struct proxy_header {
	bool names; /* false: LOCAL, UNKNOWN, UNSPEC or a unix socket: the connection's own addresses stay */
	struct addr src, dst; /* the client, and what it connected to */
	size_t bytes; /* of the header: exactly what is to be consumed */
};

enum proxy_parse { PROXY_MORE, PROXY_DONE, PROXY_BAD };

/* Looks at the n bytes that are there. MORE: a valid header may still come of it; n < PROXY_HEADER_MAX then. TLVs are skipped. */
enum proxy_parse proxy_protocol_parse(const uint8_t *p, size_t n, struct proxy_header *h);
/* version 1 or 2. Addresses that are not both of IP are written as UNKNOWN or LOCAL; mixed ones as IPv6. Returns the length. */
size_t proxy_protocol_write(
	int version, const struct addr *src, const struct addr *dst, char out[PROXY_WRITE_MAX]);

#endif
