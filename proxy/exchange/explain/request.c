#include "exchange/explain/explain.h"

#include <stdio.h>

static struct str lower(struct arena *a, struct str s)
{
	char *p = arena_bytes(a, s.n);

	for (size_t i = 0; i < s.n; i++)
		p[i] = str_lower_char(s.p[i]);
	return (struct str){p, s.n};
}

static bool refuse(char *err, size_t err_n, const char *what, struct str written)
{
	snprintf(err, err_n, "%s: \"" STR_FMT "\"", what, STR_ARG(written));
	return false;
}

/* The port behind the host, or the scheme's own. */
static uint16_t port_of(struct str authority, bool tls)
{
	uint64_t n;

	/* Not inside the brackets of an IPv6 address. */
	for (size_t i = authority.n; i-- > 0 && authority.p[i] != ']';)
		if (authority.p[i] == ':' && str_to_u64(str_skip(authority, i + 1), &n))
			return (uint16_t)n;
	return tls ? 443 : 80;
}

static bool parse_url(struct explain_request *r, struct str url, char *err, size_t err_n)
{
	struct str rest, authority;
	size_t end;

	if (str_starts(url, STR("https://"))) {
		r->tls = true;
		rest = str_skip(url, 8);
	} else if (str_starts(url, STR("http://"))) {
		rest = str_skip(url, 7);
	} else {
		return refuse(err, err_n, "the URL must begin with http:// or https://", url);
	}
	rest = str_head(rest, str_find(rest, '#'));
	for (end = 0; end < rest.n && rest.p[end] != '/' && rest.p[end] != '?'; end++)
		;
	authority = lower(&r->arena, str_head(rest, end));
	rest = str_skip(rest, end);
	if (!authority_is_valid(authority))
		return refuse(err, err_n, "the URL has no valid host", url);
	for (size_t i = 0; i < rest.n; i++)
		if ((unsigned char)rest.p[i] <= ' ' || rest.p[i] == 127)
			return refuse(err, err_n, "the URL's path holds a space or control character", url);
	r->port = port_of(authority, r->tls);
	r->head.authority = authority;
	r->head.scheme = r->tls ? STR("https") : STR("http");
	r->head.path = rest.n && rest.p[0] == '/' ? rest : arena_fmt(&r->arena, "/" STR_FMT, STR_ARG(rest));
	return true;
}

static bool add_header(struct explain_request *r, struct str line, char *err, size_t err_n)
{
	size_t colon = str_find(line, ':');
	struct str name = str_head(line, colon), value = str_trim(str_skip(line, colon + 1));
	enum field_id id = field_id_of(name);

	if (colon == line.n || colon == 0 || str_find(name, ' ') < name.n)
		return refuse(err, err_n, "a header is written 'name: value'", line);
	if (id == FIELD_HOST) {
		r->head.authority = lower(&r->arena, value);
		if (!authority_is_valid(r->head.authority))
			return refuse(err, err_n, "not a valid host", value);
		return true;
	}
	/* What is hop-by-hop is never routed on. */
	if (!(field_rows[id].flags & FIELD_HOP))
		fields_add(&r->arena, &r->head.fields, id, name, value);
	return true;
}

bool explain_request_parse(struct explain_request *r, const char *url, const char *method,
	const char *const *headers, uint32_t header_n, const char *ip, char *err, size_t err_n)
{
	*r = (struct explain_request){.url = str_of(url)};
	arena_init(&r->arena, NULL);
	if (!parse_url(r, r->url, err, err_n))
		return false;
	r->head.method = method ? str_of(method) : STR("GET");
	r->head.method_id = method_of(r->head.method);
	for (uint32_t i = 0; i < header_n; i++)
		if (!add_header(r, str_of(headers[i]), err, err_n))
			return false;
	if (!addr_parse_ip(&r->client, ip ? str_of(ip) : STR("127.0.0.1")))
		return refuse(err, err_n, "not an IP address", str_of(ip));
	return true;
}

void explain_request_free(struct explain_request *r)
{
	arena_free(&r->arena);
}
