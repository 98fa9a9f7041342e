/* base/addr.h - a network address in 20 bytes: IPv4, IPv6, or a unix socket (whose path lives elsewhere). */
#ifndef WEIR_BASE_ADDR_H
#define WEIR_BASE_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include "base/str.h"

enum addr_family { ADDR_NONE, ADDR_IP4, ADDR_IP6, ADDR_UNIX };

struct addr {
	uint8_t family; /* enum addr_family */
	uint16_t port; /* host order */
	uint8_t ip[16]; /* IPv4 in the first four; an IPv4-mapped IPv6 address is stored as IPv4 */
};

/* A network: every address whose first `bits` bits are those of `net`. */
struct cidr {
	struct addr net;
	uint8_t bits;
};

#define ADDR_TEXT_MAX 56 /* "[...]:65535" and a NUL */

void addr_from_sockaddr(struct addr *a, const struct sockaddr *sa, socklen_t n);
/* Unix addresses cannot be converted this way: returns 0. */
socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *ss);
/* "1.2.3.4:80", "[::1]:80"; the port is required, a name is refused. */
bool addr_parse(struct addr *a, struct str s);
/* "1.2.3.4", "::1", "[::1]": no port. */
bool addr_parse_ip(struct addr *a, struct str s);
/* "10.0.0.0/8", or an address alone. */
bool cidr_parse(struct cidr *c, struct str s);
bool cidr_has(const struct cidr *c, const struct addr *a);
/* With and without the port; IPv6 gets brackets only with a port. NUL-terminated; "unix" for a unix socket. */
struct str addr_text(const struct addr *a, char buf[ADDR_TEXT_MAX]);
struct str addr_ip_text(const struct addr *a, char buf[ADDR_TEXT_MAX]);
bool addr_eq_ip(const struct addr *a, const struct addr *b);
static inline bool addr_is_loopback(const struct addr *a)
{
	return a->family == ADDR_UNIX || (a->family == ADDR_IP4 && a->ip[0] == 127) ||
	       (a->family == ADDR_IP6 && memcmp(a->ip, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16) == 0);
}

#endif
