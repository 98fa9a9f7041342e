#include "base/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void set_ip6(struct addr *a, const void *ip)
{
	if (memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0) {
		a->family = ADDR_IP4;
		memcpy(a->ip, (const char *)ip + sizeof(mapped_prefix), 4);
		return;
	}
	a->family = ADDR_IP6;
	memcpy(a->ip, ip, 16);
}

void addr_from_sockaddr(struct addr *a, const struct sockaddr *sa, socklen_t n)
{
	*a = (struct addr){0};
	if (n >= sizeof(struct sockaddr_in) && sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;

		a->family = ADDR_IP4;
		a->port = ntohs(in->sin_port);
		memcpy(a->ip, &in->sin_addr, 4);
	} else if (n >= sizeof(struct sockaddr_in6) && sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;

		a->port = ntohs(in6->sin6_port);
		set_ip6(a, &in6->sin6_addr);
	} else if (sa->sa_family == AF_UNIX) {
		a->family = ADDR_UNIX;
	}
}

socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	if (a->family == ADDR_IP4) {
		struct sockaddr_in *in = (struct sockaddr_in *)ss;

		in->sin_family = AF_INET;
		in->sin_port = htons(a->port);
		memcpy(&in->sin_addr, a->ip, 4);
		return sizeof(*in);
	}
	if (a->family == ADDR_IP6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(a->port);
		memcpy(&in6->sin6_addr, a->ip, 16);
		return sizeof(*in6);
	}
	return 0;
}

bool addr_parse_ip(struct addr *a, struct str s)
{
	char text[INET6_ADDRSTRLEN + 1];
	uint8_t ip[16];

	if (s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		s = str_head(str_skip(s, 1), s.n - 2);
	if (s.n == 0 || s.n >= sizeof(text))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	*a = (struct addr){0};
	if (inet_pton(AF_INET, text, ip) == 1) {
		a->family = ADDR_IP4;
		memcpy(a->ip, ip, 4);
		return true;
	}
	if (inet_pton(AF_INET6, text, ip) == 1) {
		set_ip6(a, ip);
		return true;
	}
	return false;
}

bool addr_parse(struct addr *a, struct str s)
{
	size_t colon = s.n;
	uint64_t port;
	struct str host;

	while (colon > 0 && s.p[colon - 1] != ':')
		colon--;
	if (colon == 0 || !str_to_u64(str_skip(s, colon), &port) || port > 65535)
		return false;
	host = str_head(s, colon - 1);
	/* An IPv6 address must be in brackets, or its last group would be taken for the port. */
	if (str_find(host, ':') != host.n && !(host.n > 2 && host.p[0] == '['))
		return false;
	if (!addr_parse_ip(a, host))
		return false;
	a->port = (uint16_t)port;
	return true;
}

bool cidr_parse(struct cidr *c, struct str s)
{
	size_t slash = str_find(s, '/');
	uint64_t bits;

	if (!addr_parse_ip(&c->net, str_head(s, slash)))
		return false;
	bits = c->net.family == ADDR_IP4 ? 32 : 128;
	if (slash < s.n) {
		uint64_t asked;

		if (!str_to_u64(str_skip(s, slash + 1), &asked) || asked > bits)
			return false;
		bits = asked;
	}
	c->bits = (uint8_t)bits;
	return true;
}

bool cidr_has(const struct cidr *c, const struct addr *a)
{
	unsigned whole = c->bits / 8, rest = c->bits % 8;

	if (a->family != c->net.family || memcmp(a->ip, c->net.ip, whole) != 0)
		return false;
	return rest == 0 || ((a->ip[whole] ^ c->net.ip[whole]) >> (8 - rest)) == 0;
}

/* Written with every request: inet_ntop() goes through sprintf(), which costs 2,000 instructions. */
static struct str ip4_text(const uint8_t ip[4], char *buf)
{
	char *at = buf;

	for (int i = 0; i < 4; i++) {
		unsigned v = ip[i];

		if (v >= 100)
			*at++ = (char)('0' + v / 100);
		if (v >= 10)
			*at++ = (char)('0' + v / 10 % 10);
		*at++ = (char)('0' + v % 10);
		*at++ = '.';
	}
	*--at = '\0';
	return (struct str){buf, (size_t)(at - buf)};
}

struct str addr_ip_text(const struct addr *a, char buf[ADDR_TEXT_MAX])
{
	if (a->family == ADDR_IP4)
		return ip4_text(a->ip, buf);
	if (a->family == ADDR_IP6)
		inet_ntop(AF_INET6, a->ip, buf, ADDR_TEXT_MAX);
	else
		memcpy(buf, a->family == ADDR_UNIX ? "unix" : "none", 5);
	return str_of(buf);
}

struct str addr_text(const struct addr *a, char buf[ADDR_TEXT_MAX])
{
	char ip[ADDR_TEXT_MAX];
	int n;

	addr_ip_text(a, ip);
	if (a->family == ADDR_IP4)
		n = snprintf(buf, ADDR_TEXT_MAX, "%.15s:%u", ip, a->port);
	else if (a->family == ADDR_IP6)
		n = snprintf(buf, ADDR_TEXT_MAX, "[%.45s]:%u", ip, a->port);
	else
		n = snprintf(buf, ADDR_TEXT_MAX, "%.4s", ip);
	return (struct str){buf, (size_t)n};
}

bool addr_eq_ip(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}
