#include "exchange/render.h"

#include <time.h>
#include "base/escape.h"
#include "exchange/exchange.h"
#include "route/cookie.h"
#include "route/path.h"

/* -- values -- */

static struct str address_text(struct exchange *x, const struct addr *a)
{
	char buf[ADDR_TEXT_MAX];

	return arena_str(&x->arena, addr_ip_text(a, buf));
}

/* The connection may go before what it says has been sent. */
static struct str of_tls(struct exchange *x, enum variable v)
{
	const struct tls_info *tls = transport_tls(x->client->conn->transport);

	if (!tls)
		return STR_NONE;
	switch (v) {
	case VARIABLE_CLIENT_SUBJECT:
		return arena_str(&x->arena, tls->peer_subject);
	case VARIABLE_CLIENT_NAMES:
		return arena_str(&x->arena, tls->peer_names);
	case VARIABLE_CLIENT_FINGERPRINT:
		return arena_str(&x->arena, tls->peer_fingerprint);
	case VARIABLE_TLS_SNI:
		return arena_str(&x->arena, tls->sni);
	default:
		return str_of(v == VARIABLE_TLS_VERSION ? tls->version : tls->cipher);
	}
}

static struct str time_text(struct exchange *x)
{
	uint64_t us = edge_wall_us(x->edge, x->start_us);
	time_t second = (time_t)(us / 1000000);
	char iso[32];
	struct tm tm;

	gmtime_r(&second, &tm);
	strftime(iso, sizeof(iso), "%Y-%m-%dT%H:%M:%S", &tm);
	return arena_fmt(&x->arena, "%s.%03uZ", iso, (unsigned)(us / 1000 % 1000));
}

static struct str user_of(const struct exchange *x)
{
	for (const struct module_field *f = x->modules ? x->modules->log : NULL; f; f = f->next)
		if (str_eq(f->name, STR("user")))
			return f->value;
	return STR_NONE;
}

static struct str parameter(struct str query, struct str name)
{
	while (query.n) {
		struct str pair = str_head(query, str_find(query, '&'));
		size_t equals = str_find(pair, '=');

		if (str_eq(str_head(pair, equals), name))
			return str_skip(pair, equals + 1);
		query = str_skip(query, pair.n + 1);
	}
	return STR_NONE;
}

static struct str header_of(const struct head *head, struct str name)
{
	const struct field *f = fields_find_name(&head->fields, name);

	if (f)
		return field_value(f);
	return str_case_eq(name, STR("host")) ? head->authority : STR_NONE;
}

static struct str query_of(const struct exchange *x)
{
	return str_skip(x->path, path_only(x->path).n + 1);
}

static struct str name_of_reason(struct exchange *x)
{
	char buf[REASON_NAME_MAX];

	return x->reason == REASON_NONE ? STR_NONE
					: arena_str(&x->arena, reason_name((enum reason)x->reason, buf));
}

static struct str of_answer(struct exchange *x, const struct head *answer, const struct template_piece *p)
{
	if (!answer)
		return STR_NONE;
	switch ((enum variable)p->variable) {
	case VARIABLE_STATUS:
		return arena_fmt(&x->arena, "%u", answer->status);
	case VARIABLE_PHRASE:
		return status_phrase(answer->status);
	case VARIABLE_REASON:
		return name_of_reason(x);
	case VARIABLE_DETAIL:
		return x->reason == REASON_NONE ? STR_NONE : reason_row((enum reason)x->reason)->text;
	default:
		return header_of(answer, p->name);
	}
}

/* Of the request's place among what the file names. */
static struct str of_place(const struct exchange *x, enum variable v)
{
	switch (v) {
	case VARIABLE_LISTENER:
		return x->entry->conf.name;
	case VARIABLE_TENANT:
		return exchange_tenant(x);
	case VARIABLE_SERVICE:
		return exchange_service(x);
	case VARIABLE_POOL:
		return exchange_pool(x);
	case VARIABLE_BACKEND:
		return exchange_backend(x);
	default:
		return exchange_route_path(x);
	}
}

static struct str of_request(struct exchange *x, const struct template_piece *p)
{
	switch ((enum variable)p->variable) {
	case VARIABLE_CLIENT_ADDRESS:
		return address_text(x, &x->client_addr);
	case VARIABLE_PEER_ADDRESS:
		return address_text(x, &x->peer);
	case VARIABLE_REQUEST_ID:
		return x->id;
	case VARIABLE_REQUEST_METHOD:
		return exchange_method(x);
	case VARIABLE_REQUEST_SCHEME:
		return x->request.scheme;
	case VARIABLE_REQUEST_HOST:
		return x->host;
	case VARIABLE_REQUEST_PATH:
		return path_only(x->path);
	case VARIABLE_REQUEST_QUERY:
		return query_of(x);
	case VARIABLE_TIME:
		return time_text(x);
	case VARIABLE_TIME_UNIX:
		return arena_fmt(&x->arena, "%llu",
			(unsigned long long)(edge_wall_us(x->edge, x->start_us) / 1000000));
	case VARIABLE_USER:
		return user_of(x);
	case VARIABLE_HEADER:
		return header_of(&x->request, p->name);
	case VARIABLE_COOKIE:
		return cookie_value(&x->request, p->name);
	default:
		return parameter(query_of(x), p->name);
	}
}

static struct str value_of(struct exchange *x, const struct render *r, const struct template_piece *p)
{
	switch ((enum variable)p->variable) {
	case VARIABLE_CAPTURE:
		return r->captures[p->capture];
	case VARIABLE_MODULE:
		return modules_value(x, p->module, p->name);
	case VARIABLE_CLIENT_SUBJECT:
	case VARIABLE_CLIENT_NAMES:
	case VARIABLE_CLIENT_FINGERPRINT:
	case VARIABLE_TLS_VERSION:
	case VARIABLE_TLS_CIPHER:
	case VARIABLE_TLS_SNI:
		return of_tls(x, (enum variable)p->variable);
	case VARIABLE_LISTENER:
	case VARIABLE_TENANT:
	case VARIABLE_SERVICE:
	case VARIABLE_POOL:
	case VARIABLE_BACKEND:
	case VARIABLE_ROUTE:
		return of_place(x, (enum variable)p->variable);
	case VARIABLE_STATUS:
	case VARIABLE_PHRASE:
	case VARIABLE_REASON:
	case VARIABLE_DETAIL:
	case VARIABLE_RESPONSE:
		return of_answer(x, r->answer, p);
	default:
		return of_request(x, p);
	}
}

/* -- writing them -- */

static bool is_path(const struct template_piece *p)
{
	return p->variable == VARIABLE_CAPTURE || p->variable == VARIABLE_REQUEST_PATH;
}

/* Besides what is unreserved (RFC 3986 2.3): bytes that a value may bring into a URL without ending the part that it stands in. */
static const char *allowed_in_url(const struct template_piece *p, bool in_query)
{
	/* An authority, with a port or an IPv6 address (RFC 3986 3.2): what makes one ends nothing elsewhere. */
	if (p->variable == VARIABLE_REQUEST_HOST)
		return "-._~:[]";
	if (p->variable == VARIABLE_REQUEST_QUERY && in_query)
		return "-._~%!$&'()*+,;=:@/?";
	if (is_path(p))
		return in_query ? "-._~%!$'()*,:@/" : "-._~%!$&'()*+,;=:@/";
	return variable_rows[p->variable].url ? "-._~%" : "-._~";
}

static void put_encoded(struct text *t, struct str s, const char *allowed)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		char lower = str_lower_char((char)c);

		if ((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || (c && strchr(allowed, c))) {
			text_char(t, (char)c);
			continue;
		}
		text_char(t, '%');
		text_char(t, hex[c >> 4]);
		text_char(t, hex[c & 15]);
	}
}

/* Is that a scheme and a host, to whose name or port whatever follows would belong? */
static bool ends_in_host(struct str url)
{
	size_t colon = str_find(url, ':');
	struct str host = str_skip(url, colon + sizeof("://") - 1);
	char last = host.n ? str_lower_char(host.p[host.n - 1]) : 0;

	return str_starts(str_skip(url, colon), STR("://")) && str_find(url, '/') > colon &&
	       str_find(host, '/') == host.n && str_find(host, '?') == host.n &&
	       str_find(host, '#') == host.n &&
	       ((last >= 'a' && last <= 'z') || (last >= '0' && last <= '9') || last == ']');
}

/* Does the piece end the part of the URL that it stands in? */
static bool is_last_of_part(const struct template *t, uint32_t i)
{
	struct str next = i + 1 < t->n && t->v[i + 1].variable == VARIABLE_TEXT ? t->v[i + 1].text : STR_NONE;

	return i + 1 == t->n || (next.n && strchr("/?#", next.p[0]));
}

/* Would this path go on with the host's name: "https://b.test" with ".evil.test", or "@evil.test"? */
static bool wants_slash(const struct text *so_far, const struct template *t, uint32_t i, struct str path)
{
	return is_path(&t->v[i]) && path.n && path.p[0] != '/' && is_last_of_part(t, i) &&
	       ends_in_host(text_str(so_far));
}

static void put_clean(struct text *t, struct str s, bool lines)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool control = c < ' ' || c == 0x7f;
		bool kept = c == '\t' || (lines && c == '\n');

		text_char(t, control && !kept ? ' ' : (char)c);
	}
}

static void put_value(struct text *t, const struct render *r, const struct template_piece *p, struct str s)
{
	switch ((enum render_into)r->into) {
	case RENDER_HEADER:
		put_clean(t, s, false);
		break;
	case RENDER_URL:
		put_encoded(t, s, allowed_in_url(p, str_find(text_str(t), '?') < t->n));
		break;
	case RENDER_HTML:
		text_html(t, s);
		break;
	case RENDER_JSON:
		text_json(t, s, s.n);
		break;
	case RENDER_PLAIN:
		put_clean(t, s, true);
		break;
	}
}

struct str render(struct exchange *x, const struct render *r, const struct template *t)
{
	/* As long as any byte of a value can become: "&quot;", "\u0000", "%00". */
	static const uint8_t growth[] = {[RENDER_URL] = 3, [RENDER_HTML] = 6, [RENDER_JSON] = 6};
	size_t factor = MAX(growth[r->into < COUNT_OF(growth) ? r->into : 0], 1), room = 0;
	struct str values[TEMPLATE_PIECES_MAX];
	struct text out;

	if (t->n == 0)
		return t->literal;
	for (uint32_t i = 0; i < t->n; i++) {
		const struct template_piece *p = &t->v[i];

		values[i] = p->variable == VARIABLE_TEXT ? p->text : value_of(x, r, p);
		if (values[i].n == 0)
			values[i] = p->text;
		room += values[i].n * factor + sizeof("/");
	}
	out = text_in(arena_bytes(&x->arena, room), room);
	for (uint32_t i = 0; i < t->n; i++) {
		const struct template_piece *p = &t->v[i];

		if (r->into == RENDER_URL && wants_slash(&out, t, i, values[i]))
			text_char(&out, '/');
		if (p->variable == VARIABLE_TEXT || values[i].p == p->text.p)
			text_put(&out, values[i]);
		else
			put_value(&out, r, p, values[i]);
	}
	MUST(!out.cut);
	return r->into == RENDER_HEADER ? str_trim(text_str(&out)) : text_str(&out);
}
