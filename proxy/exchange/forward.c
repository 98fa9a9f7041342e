/* exchange/forward.c - what a proxy adds to heads, takes away and passes on (RFC 9110 7.6, RFC 7239).
 *
 * What a client says of where it comes from is believed only from trusted_proxies; from anybody else it is replaced, so that a
 * backend can rely on it. */
#include "base/obj.h"
#include "exchange/edit.h"
#include "exchange/exchange.h"
#include "route/pin.h"

#define VIA_NAME        "weir"
#define VIA_LOOP        8 /* as often through this proxy, and it is a loop */
#define LINES_MAX       9 /* that a request gets */
#define SUBJECT_DEFAULT "X-Client-Cert-Subject"
#define POOL_HEADER     "x-weir-pool" /* who has answered, for those who chose */

/* Lines for an HTTP/1 head in one run of bytes, each also a field: a neighbourly block that the writer copies at once. All of it
 * is inline, so that names are stores of literals and the rest stays in registers: 700 instructions of a request. */
#define INLINE static inline __attribute__((always_inline))

struct lines {
	struct text text;
	struct fields *fields; /* with room for every line */
	size_t line, value; /* where the one that is being written begins */
};

INLINE struct lines lines_begin(struct arena *a, struct fields *fs, size_t cap, unsigned n)
{
	fields_room(a, fs, n);
	return (struct lines){.fields = fs, .text = text_in(arena_bytes(a, cap), cap)};
}

INLINE void line_begin(struct lines *l, struct str name)
{
	l->line = l->text.n;
	text_put(&l->text, name);
	text_put(&l->text, STR(": "));
	l->value = l->text.n;
}

INLINE void line_end(struct lines *l, enum field_id id)
{
	struct fields *fs = l->fields;

	fs->v[fs->n++] = (struct field){.name = l->text.p + l->line,
		.value = l->text.p + l->value,
		.value_len = (uint32_t)(l->text.n - l->value),
		.name_len = (uint16_t)(l->value - 2 - l->line),
		.id = (uint8_t)id,
		.raw = true};
	text_put(&l->text, STR("\r\n"));
}

INLINE void line(struct lines *l, enum field_id id, struct str name, struct str value)
{
	line_begin(l, name);
	text_put(&l->text, value);
	line_end(l, id);
}

/* -- before routing -- */

static bool id_is_fit(struct str id)
{
	if (id.n == 0 || id.n > EXCHANGE_ID_MAX)
		return false;
	for (size_t i = 0; i < id.n; i++) {
		char c = str_lower_char(id.p[i]);

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || memchr("-_.:=+/", c, 7)))
			return false;
	}
	return true;
}

/* The last address in X-Forwarded-For that is not itself a trusted proxy: the nearest that somebody trusted vouches for. */
static void believe_forwarded_for(struct exchange *x)
{
	struct addr hop;

	for (uint32_t i = x->request.fields.n; i-- > 0;) {
		const struct field *f = &x->request.fields.v[i];
		struct str value = field_value(f);

		if (f->id != FIELD_X_FORWARDED_FOR)
			continue;
		while (value.n) {
			size_t comma = value.n;
			struct str element;

			while (comma > 0 && value.p[comma - 1] != ',')
				comma--;
			element = str_trim(str_skip(value, comma));
			value = str_head(value, comma ? comma - 1 : 0);
			if (element.n == 0)
				continue;
			if (!addr_parse_ip(&hop, element) && !addr_parse(&hop, element))
				return;
			x->client_addr = hop;
			if (!entry_trusts(x->entry, &hop))
				return;
		}
	}
}

void forward_identify(struct exchange *x)
{
	const struct field *id = fields_find(&x->request.fields, FIELD_X_REQUEST_ID);

	if (entry_trusts(x->entry, &x->peer))
		believe_forwarded_for(x);
	if (id && id_is_fit(field_value(id))) {
		x->id = field_value(id);
		return;
	}
	x->id = (struct str){arena_bytes(&x->arena, EDGE_ID_CHARS), EDGE_ID_CHARS};
	edge_new_id(x->edge, (char *)(uintptr_t)x->id.p);
}

static struct str subject_header(const struct exchange *x)
{
	struct str name = x->entry->conf.tls.client_subject_header;

	return name.n ? name : STR(SUBJECT_DEFAULT);
}

/* Would an origin that cannot tell "_" from "-" take it for a header that weir knows or writes? */
static bool is_mistakable(const struct exchange *x, struct str name)
{
	char dashed[64];

	if (name.n > sizeof(dashed))
		return false;
	for (size_t i = 0; i < name.n; i++)
		dashed[i] = name.p[i] == '_' ? '-' : str_lower_char(name.p[i]);
	name.p = dashed;
	return field_id_of(name) != FIELD_OTHER || str_case_eq(name, subject_header(x));
}

enum reason forward_screen(struct exchange *x, struct fields *fs)
{
	enum conf_underscores rule = (enum conf_underscores)x->entry->conf.underscores;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < fs->n; i++) {
		const struct field *f = &fs->v[i];

		/* No name that weir knows has one. */
		if (f->id != FIELD_OTHER || !memchr(f->name, '_', f->name_len) ||
			(rule == CONF_UNDERSCORES_PASS && !is_mistakable(x, field_name(f)))) {
			if (kept != i)
				fs->v[kept] = *f;
			kept++;
		} else if (rule == CONF_UNDERSCORES_REFUSE) {
			return REASON_CLIENT_UNDERSCORE;
		}
	}
	if (kept < fs->n)
		counter_add(&x->edge->tally.headers_dropped, fs->n - kept);
	fs->n = (uint16_t)kept;
	return REASON_NONE;
}

/* -- what routes say -- */

/* "/api/x?q" without "/api" is "/x?q"; without all of it, "/". */
static void strip_prefix(struct exchange *x)
{
	struct str prefix = x->route->conf->path, rest;

	while (prefix.n && prefix.p[prefix.n - 1] == '/')
		prefix.n--;
	rest = str_skip(x->request.path, prefix.n);
	if (rest.n == 0 || rest.p[0] != '/')
		rest = arena_fmt(&x->arena, "/" STR_FMT, STR_ARG(rest));
	x->request.path = rest;
}

/* -- the request -- */

/* What came from trusted hops before, to be appended to. */
struct provenance {
	struct str forwarded_for, forwarded, host, proto, port;
};

/* Takes out of the request what is written anew, and keeps what a trusted peer said in it. */
static struct provenance take_provenance(struct exchange *x)
{
	struct fields *fs = &x->request.fields;
	bool trusted = entry_trusts(x->entry, &x->peer);
	struct str subject = subject_header(x), ignored = STR_NONE;
	struct provenance p = {0};
	uint32_t kept = 0;

	for (uint32_t i = 0; i < fs->n; i++) {
		const struct field *f = &fs->v[i];
		struct str *into = NULL;
		bool list = false;

		switch ((enum field_id)f->id) {
		case FIELD_X_FORWARDED_FOR:
			into = &p.forwarded_for;
			list = true;
			break;
		case FIELD_FORWARDED:
			into = &p.forwarded;
			list = true;
			break;
		case FIELD_X_FORWARDED_HOST:
			into = &p.host;
			break;
		case FIELD_X_FORWARDED_PROTO:
			into = &p.proto;
			break;
		case FIELD_X_FORWARDED_PORT:
			into = &p.port;
			break;
		case FIELD_X_REAL_IP:
		case FIELD_X_REQUEST_ID:
			into = &ignored;
			break;
		case FIELD_OTHER:
			if (f->name_len == subject.n && str_case_eq(field_name(f), subject))
				into = &ignored;
			break;
		default:
			break;
		}
		if (!into)
			fs->v[kept++] = *f;
		else if (list && into->n && trusted)
			*into = arena_fmt(
				&x->arena, STR_FMT ", " STR_FMT, STR_ARG(*into), STR_ARG(field_value(f)));
		else if (trusted)
			*into = field_value(f);
	}
	fs->n = (uint16_t)kept;
	return p;
}

INLINE void put_list(struct text *t, struct str before)
{
	if (before.n) {
		text_put(t, before);
		text_put(t, STR(", "));
	}
}

/* RFC 7239 4: a value with other than token characters is quoted; IPv6 goes in brackets. */
INLINE void put_forwarded(
	struct text *t, const struct addr *peer, struct str ip, struct str proto, struct str host)
{
	text_put(t, STR("for="));
	if (peer->family == ADDR_IP6) {
		text_put(t, STR("\"["));
		text_put(t, ip);
		text_put(t, STR("]\""));
	} else {
		text_put(t, peer->family == ADDR_UNIX ? STR("unknown") : ip);
	}
	text_put(t, STR(";host=\""));
	text_put(t, host);
	text_put(t, STR("\";proto="));
	text_put(t, proto);
}

static void add_provenance(struct exchange *x, const struct provenance *p)
{
	const struct tls_info *tls = transport_tls(x->client->conn->transport);
	struct str subject = tls ? tls->peer_subject : STR_NONE, host = x->request.authority;
	struct str proto = tls ? STR("https") : STR("http");
	char ip_buf[ADDR_TEXT_MAX], client_buf[ADDR_TEXT_MAX];
	struct str ip = addr_ip_text(&x->peer, ip_buf);
	struct str client =
		addr_eq_ip(&x->client_addr, &x->peer) ? ip : addr_ip_text(&x->client_addr, client_buf);
	struct lines l = lines_begin(&x->arena, &x->request.fields,
		512 + p->forwarded_for.n + p->forwarded.n + p->host.n + p->proto.n + p->port.n + 2 * host.n +
			subject.n + subject_header(x).n,
		LINES_MAX);

	line_begin(&l, STR("x-forwarded-for"));
	put_list(&l.text, p->forwarded_for);
	text_put(&l.text, ip);
	line_end(&l, FIELD_X_FORWARDED_FOR);
	line(&l, FIELD_X_FORWARDED_HOST, STR("x-forwarded-host"), p->host.n ? p->host : host);
	line(&l, FIELD_X_REAL_IP, STR("x-real-ip"), client);
	line_begin(&l, STR("forwarded"));
	put_list(&l.text, p->forwarded);
	put_forwarded(&l.text, &x->peer, ip, proto, host);
	line_end(&l, FIELD_FORWARDED);
	line(&l, FIELD_X_REQUEST_ID, STR("x-request-id"), x->id);
	if (subject.n)
		line(&l, FIELD_OTHER, subject_header(x), subject);
	if (p->proto.n)
		line(&l, FIELD_X_FORWARDED_PROTO, STR("x-forwarded-proto"), p->proto);
	else
		fields_add_line(&x->arena, l.fields, FIELD_X_FORWARDED_PROTO, x->entry->proto_line,
			sizeof("x-forwarded-proto") - 1);
	if (p->port.n)
		line(&l, FIELD_X_FORWARDED_PORT, STR("x-forwarded-port"), p->port);
	else
		fields_add_line(&x->arena, l.fields, FIELD_X_FORWARDED_PORT, x->entry->port_line,
			sizeof("x-forwarded-port") - 1);
	MUST(!l.text.cut); /* it was sized above */
}

static void add_via(struct arena *a, struct fields *fs, uint8_t version)
{
	struct str line = version == HTTP_2     ? STR("via: 2 " VIA_NAME "\r\n")
			  : version == HTTP_1_0 ? STR("via: 1.0 " VIA_NAME "\r\n")
						: STR("via: 1.1 " VIA_NAME "\r\n");

	fields_add_line(a, fs, FIELD_VIA, line, sizeof("via") - 1);
}

bool forward_loops(const struct exchange *x)
{
	uint32_t times = 0;

	for (uint32_t i = 0; i < x->request.fields.n; i++)
		if (x->request.fields.v[i].id == FIELD_VIA &&
			str_ends(field_value(&x->request.fields.v[i]), STR(" " VIA_NAME)))
			times++;
	return times >= VIA_LOOP;
}

bool forward_request(struct exchange *x)
{
	const struct conf_route *route = x->route->conf;
	struct provenance p = take_provenance(x);
	enum reason why;

	claim_trailer(x, subject_header(x));
	add_provenance(x, &p);
	add_via(&x->arena, &x->request.fields, x->request.version);
	if (route->strip_prefix)
		strip_prefix(x);
	why = x->modules ? modules_forward(x) : REASON_NONE;
	if (why != REASON_NONE) {
		deadline_disarm(x->edge->loop, &x->deadline); /* it may have waited for its pool */
		exchange_fail(x, why);
		return false;
	}
	headers_edit(x, &x->request, &route->request_headers, false);
	return true;
}

/* -- the answer -- */

static void add_cookie(
	struct exchange *x, struct fields *fs, struct str name, struct str value, uint32_t age_s)
{
	fields_add(&x->arena, fs, FIELD_SET_COOKIE, STR("set-cookie"),
		arena_fmt(&x->arena, STR_FMT "=" STR_FMT "; Path=/; Max-Age=%u; HttpOnly; SameSite=Lax%s",
			STR_ARG(name), STR_ARG(value), age_s, x->tls_version ? "; Secure" : ""));
}

static void add_sticky_cookie(struct exchange *x, struct fields *fs)
{
	char text[SPLIT_ID_CHARS + 1 + COOKIE_SIGNATURE];
	struct text t = text_in(text, sizeof(text));
	char signature[COOKIE_SIGNATURE];

	cookie_sign(x->edge->cookie_keys, STR(SPLIT_COOKIE), x->sticky_id, signature);
	text_put(&t, x->sticky_id);
	text_char(&t, '.');
	text_put(&t, (struct str){signature, sizeof(signature)});
	add_cookie(x, fs, STR(SPLIT_COOKIE), text_str(&t), SPLIT_COOKIE_AGE_S);
}

static void add_pin(struct exchange *x, struct fields *fs)
{
	char text[PIN_TEXT_MAX];
	struct str value = pin_write(x->edge->cookie_keys, x->service, x->pool,
		edge_wall_us(x->edge, x->edge->loop->now_us) / 1000000, text);

	add_cookie(x, fs, x->service->pin_cookie, value, pin_age(x->service));
}

/* The client is told anew whenever it was served by another backend than its cookie names. */
static void add_stick_cookie(struct exchange *x, struct fields *fs)
{
	const struct conf_stick *stick = &x->pool->conf->policy->stick;
	struct text age = text_in(arena_bytes(&x->arena, 32), 32);
	uint32_t i = 0;

	while (x->pool->backends[i] != x->backend)
		i++;
	if (stick->ttl)
		text_fmt(&age, "; Max-Age=%u", stick->ttl / 1000);
	fields_add(&x->arena, fs, FIELD_SET_COOKIE, STR("set-cookie"),
		arena_fmt(&x->arena, STR_FMT "=%.*s; Path=" STR_FMT STR_FMT "; HttpOnly; SameSite=Lax%s",
			STR_ARG(stick->cookie), STICK_CHARS, x->pool->tokens[i].text, STR_ARG(stick->path),
			STR_ARG(text_str(&age)), x->tls_version ? "; Secure" : ""));
}

void forward_hsts(struct exchange *x, struct fields *fs)
{
	const struct conf_listener *l = &x->entry->conf;

	if (l->hsts.n == 0 || !l->has_tls)
		return;
	fields_remove(fs, FIELD_STRICT_TRANSPORT_SECURITY);
	fields_add(&x->arena, fs, FIELD_STRICT_TRANSPORT_SECURITY, STR("strict-transport-security"), l->hsts);
}

void forward_response(struct exchange *x, struct head *to, const struct head *from)
{
	struct arena *a = &x->arena;
	struct fields *fs = &to->fields;

	*to = *from;
	fs->cap = (uint16_t)(from->fields.n + 8);
	fs->v = arena_room(a, fs->cap * sizeof(*fs->v));
	if (from->fields.n)
		memcpy(fs->v, from->fields.v, from->fields.n * sizeof(*fs->v));
	add_via(a, fs, from->version);
	/* RFC 9110 6.6.1: a recipient with a clock adds what the origin left out. */
	if (!fields_find(fs, FIELD_DATE))
		fields_add_line(a, fs, FIELD_DATE, edge_date_line(x->edge), sizeof("date") - 1);
	forward_hsts(x, fs);
	if (x->sticky_id.n)
		add_sticky_cookie(x, fs);
	if (x->pool->tokens && x->stuck_to != x->backend)
		add_stick_cookie(x, fs);
	if (x->issue_pin)
		add_pin(x, fs);
	if (x->chose_pool) {
		fields_remove_name(fs, STR(POOL_HEADER));
		fields_add(a, fs, FIELD_OTHER, STR(POOL_HEADER), x->pool->conf->name);
	}
	headers_edit(x, to, &x->route->conf->response_headers, true);
}
