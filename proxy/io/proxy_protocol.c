#include "io/proxy_protocol.h"

#include <arpa/inet.h>
#include "base/obj.h"

#define V1_MAX       107 /* with CRLF */
#define V2_HEAD      16
#define V2_ADDR_IP4  12
#define V2_ADDR_IP6  36
#define V2_ADDR_UNIX 216

static const char v1_start[] = "PROXY ";
static const uint8_t v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

enum { V2_LOCAL = 0x20, V2_PROXY = 0x21 };
enum { V2_UNSPEC = 0x00, V2_TCP4 = 0x11, V2_TCP6 = 0x21, V2_UNIX = 0x31 };

/* Takes the next word, which one space follows, or the end if it is the last. */
static bool word(struct str *line, struct str *w, bool last)
{
	size_t n = str_find(*line, ' ');

	if (n == 0 || (n == line->n) != last)
		return false;
	*w = str_head(*line, n);
	*line = str_skip(*line, last ? n : n + 1);
	return true;
}

static bool v1_ip(struct str s, bool six, struct addr *a)
{
	/* A mapped IPv6 address becomes IPv4, so the text tells the family. */
	if ((str_find(s, ':') < s.n) != six || s.p[0] == '[')
		return false;
	return addr_parse_ip(a, s);
}

static bool v1_port(struct str s, struct addr *a)
{
	uint64_t port;

	if (s.n > 5 || (s.n > 1 && s.p[0] == '0') || !str_to_u64(s, &port) || port > 65535)
		return false;
	a->port = (uint16_t)port;
	return true;
}

static enum proxy_parse v1_line(struct str line, struct proxy_header *h)
{
	struct str family, src, dst, sport, dport;
	bool six;

	if (str_eq(line, STR("UNKNOWN")) || str_starts(line, STR("UNKNOWN ")))
		return PROXY_DONE;
	if (!word(&line, &family, false) || !word(&line, &src, false) || !word(&line, &dst, false) ||
		!word(&line, &sport, false) || !word(&line, &dport, true))
		return PROXY_BAD;
	six = str_eq(family, STR("TCP6"));
	if (!six && !str_eq(family, STR("TCP4")))
		return PROXY_BAD;
	if (!v1_ip(src, six, &h->src) || !v1_ip(dst, six, &h->dst) || !v1_port(sport, &h->src) ||
		!v1_port(dport, &h->dst))
		return PROXY_BAD;
	h->names = true;
	return PROXY_DONE;
}

static enum proxy_parse v1_parse(struct str s, struct proxy_header *h)
{
	size_t cr = str_find(str_head(s, V1_MAX), '\r');
	struct str line;

	for (size_t i = 0; i < cr && i < V1_MAX; i++)
		if (i < s.n && (s.p[i] < ' ' || s.p[i] > '~'))
			return PROXY_BAD;
	if (cr + 1 >= s.n)
		return cr + 1 < V1_MAX ? PROXY_MORE : PROXY_BAD;
	if (cr + 1 >= V1_MAX || s.p[cr + 1] != '\n')
		return PROXY_BAD;
	h->bytes = cr + 2;
	line = str_skip(str_head(s, cr), sizeof(v1_start) - 1);
	return v1_line(line, h);
}

static void v2_ip(struct addr *a, int family, const uint8_t *ip, const uint8_t *port)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6};
	struct sockaddr_in four = {.sin_family = AF_INET};

	if (family == V2_TCP4) {
		memcpy(&four.sin_addr, ip, 4);
		memcpy(&four.sin_port, port, 2);
		addr_from_sockaddr(a, (struct sockaddr *)&four, sizeof(four));
	} else {
		memcpy(&six.sin6_addr, ip, 16);
		memcpy(&six.sin6_port, port, 2);
		addr_from_sockaddr(a, (struct sockaddr *)&six, sizeof(six));
	}
}

static enum proxy_parse v2_parse(const uint8_t *p, size_t n, struct proxy_header *h)
{
	const uint8_t *at = p + V2_HEAD;
	size_t len;

	/* What is wrong is said as early as it shows. */
	if (n > 12 && p[12] != V2_LOCAL && p[12] != V2_PROXY)
		return PROXY_BAD;
	if (n < V2_HEAD)
		return PROXY_MORE;
	len = (size_t)(p[14] << 8 | p[15]);
	if (V2_HEAD + len > PROXY_HEADER_MAX)
		return PROXY_BAD;
	h->bytes = V2_HEAD + len;
	if (p[12] == V2_PROXY) {
		switch (p[13]) {
		case V2_UNSPEC:
			break;
		case V2_TCP4:
		case V2_TCP6:
			if (len < (p[13] == V2_TCP4 ? V2_ADDR_IP4 : V2_ADDR_IP6))
				return PROXY_BAD;
			h->names = true;
			break;
		case V2_UNIX:
			if (len < V2_ADDR_UNIX)
				return PROXY_BAD;
			break;
		default: /* datagrams on a stream, and families that do not exist */
			return PROXY_BAD;
		}
	}
	if (n < h->bytes)
		return PROXY_MORE;
	if (h->names) {
		size_t ip_n = p[13] == V2_TCP4 ? 4 : 16;

		v2_ip(&h->src, p[13], at, at + 2 * ip_n);
		v2_ip(&h->dst, p[13], at + ip_n, at + 2 * ip_n + 2);
	}
	return PROXY_DONE;
}

enum proxy_parse proxy_protocol_parse(const uint8_t *p, size_t n, struct proxy_header *h)
{
	size_t v1_n = MIN(n, sizeof(v1_start) - 1), v2_n = MIN(n, sizeof(v2_signature));

	*h = (struct proxy_header){0};
	if (n == 0)
		return PROXY_MORE;
	if (memcmp(p, v2_signature, v2_n) == 0)
		return v2_n < sizeof(v2_signature) ? PROXY_MORE : v2_parse(p, n, h);
	if (memcmp(p, v1_start, v1_n) == 0)
		return v1_n < sizeof(v1_start) - 1 ? PROXY_MORE
						   : v1_parse((struct str){(const char *)p, n}, h);
	return PROXY_BAD;
}

/* -- writing -- */
static bool is_ip(const struct addr *a)
{
	return a->family == ADDR_IP4 || a->family == ADDR_IP6;
}

/* The 16 bytes of a, mapped if it is IPv4 (RFC 4291 2.5.5.2). */
static void as_ip6(const struct addr *a, uint8_t out[16])
{
	if (a->family == ADDR_IP6) {
		memcpy(out, a->ip, 16);
		return;
	}
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	memcpy(out + 12, a->ip, 4);
}

static size_t v1_write(const struct addr *src, const struct addr *dst, bool six, char *out)
{
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
	struct text t = text_in(out, PROXY_WRITE_MAX);
	uint8_t ip[16];

	if (six) {
		as_ip6(src, ip);
		inet_ntop(AF_INET6, ip, from, sizeof(from));
		as_ip6(dst, ip);
		inet_ntop(AF_INET6, ip, to, sizeof(to));
	} else {
		inet_ntop(AF_INET, src->ip, from, sizeof(from));
		inet_ntop(AF_INET, dst->ip, to, sizeof(to));
	}
	text_fmt(&t, "PROXY TCP%c %s %s %u %u\r\n", six ? '6' : '4', from, to, src->port, dst->port);
	return t.n;
}

static size_t v2_write(const struct addr *src, const struct addr *dst, bool six, char *out)
{
	uint8_t *p = (uint8_t *)out;
	size_t ip_n = six ? 16 : 4, len = 2 * ip_n + 4;
	uint16_t sport = htons(src->port), dport = htons(dst->port);

	memcpy(p, v2_signature, sizeof(v2_signature));
	p[12] = V2_PROXY;
	p[13] = six ? V2_TCP6 : V2_TCP4;
	p[14] = 0;
	p[15] = (uint8_t)len;
	p += V2_HEAD;
	if (six) {
		as_ip6(src, p);
		as_ip6(dst, p + 16);
	} else {
		memcpy(p, src->ip, 4);
		memcpy(p + 4, dst->ip, 4);
	}
	memcpy(p + 2 * ip_n, &sport, 2);
	memcpy(p + 2 * ip_n + 2, &dport, 2);
	return V2_HEAD + len;
}

size_t proxy_protocol_write(
	int version, const struct addr *src, const struct addr *dst, char out[PROXY_WRITE_MAX])
{
	static const char v1_unknown[] = "PROXY UNKNOWN\r\n";
	bool six = src->family == ADDR_IP6 || dst->family == ADDR_IP6;

	MUST(version == 1 || version == 2);
	if (is_ip(src) && is_ip(dst))
		return version == 1 ? v1_write(src, dst, six, out) : v2_write(src, dst, six, out);
	if (version == 1) {
		memcpy(out, v1_unknown, sizeof(v1_unknown) - 1);
		return sizeof(v1_unknown) - 1;
	}
	memcpy(out, v2_signature, sizeof(v2_signature));
	memcpy(out + 12, "\x20\0\0", 4);
	return V2_HEAD;
}
