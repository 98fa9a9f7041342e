/* exchange/reply.c - answers of weir's own: errors that say why, and redirects. */
#include "base/escape.h"
#include "base/obj.h"
#include "exchange/edit.h"
#include "exchange/exchange.h"
#include "exchange/render.h"
#include "route/path.h"

#define BODY_MAX 2048

enum form { FORM_PLAIN, FORM_HTML, FORM_JSON };

static const struct {
	struct str type;
	enum form form;
} offers[] = {
	{STR("text/plain"), FORM_PLAIN},
	{STR("text/html"), FORM_HTML},
	{STR("application/xhtml+xml"), FORM_HTML},
	{STR("application/json"), FORM_JSON},
	{STR("application/problem+json"), FORM_JSON},
};

static const struct str form_types[] = {
	[FORM_PLAIN] = STR("text/plain; charset=utf-8"),
	[FORM_HTML] = STR("text/html; charset=utf-8"),
	[FORM_JSON] = STR("application/problem+json"),
};

/* "q=0.5" among a media range's parameters, in thousandths (RFC 9110 12.4.2). */
static unsigned quality(struct str parameters)
{
	while (parameters.n) {
		struct str one = str_trim(str_head(parameters, str_find(parameters, ';')));
		unsigned q = 0, unit = 1000;

		parameters = str_skip(parameters, str_find(parameters, ';') + 1);
		if (one.n < 3 || str_lower_char(one.p[0]) != 'q' || one.p[1] != '=')
			continue;
		for (size_t i = 2; i < one.n && unit; i++) {
			if (one.p[i] == '.')
				continue;
			if (one.p[i] < '0' || one.p[i] > '9')
				break;
			q += (unsigned)(one.p[i] - '0') * unit;
			unit /= 10;
		}
		return q;
	}
	return 1000;
}

/* RFC 9110 12.5.1: the most specific range that has the type counts. */
unsigned reply_accepts(const struct exchange *x, struct str type)
{
	const struct field *accept = fields_find(&x->request.fields, FIELD_ACCEPT);
	struct str list = accept ? field_value(accept) : STR_NONE, range;
	struct str group = str_head(type, str_find(type, '/') + 1);
	unsigned best = 0, found = 0;

	while (str_next_element(&list, &range)) {
		struct str name = str_trim(str_head(range, str_find(range, ';')));
		unsigned specific = str_case_eq(name, type)    ? 3
				    : str_eq(name, STR("*/*")) ? 1
				    : name.n == group.n + 1 && name.p[group.n] == '*' &&
						    str_case_eq(str_head(name, group.n), group)
					    ? 2
					    : 0;

		if (specific > found) {
			found = specific;
			best = quality(str_skip(range, str_find(range, ';') + 1));
		}
	}
	return accept ? best : 1000;
}

/* RFC 9110 12.5.1; who accepts anything, or says nothing, gets plain text: it is most likely a tool. */
static enum form negotiate(const struct head *request)
{
	const struct field *accept = fields_find(&request->fields, FIELD_ACCEPT);
	struct str list = accept ? field_value(accept) : STR_NONE, range;
	enum form best = FORM_PLAIN;
	unsigned best_q = 0;

	while (str_next_element(&list, &range)) {
		struct str type = str_trim(str_head(range, str_find(range, ';')));
		unsigned q = quality(str_skip(range, type.n + 1));

		for (size_t i = 0; i < COUNT_OF(offers); i++) {
			if (q > best_q && str_case_eq(type, offers[i].type)) {
				best = offers[i].form;
				best_q = q;
			}
		}
	}
	return best;
}

static void write_body(struct exchange *x, struct text *t, enum form form, unsigned status, enum reason why)
{
	struct str phrase = status_phrase(status), detail = reason_row(why)->text;
	char name_buf[REASON_NAME_MAX];
	struct str name = reason_name(why, name_buf);

	switch (form) {
	case FORM_JSON:
		text_fmt(t,
			"{\"type\":\"about:blank\",\"title\":\"" STR_FMT
			"\",\"status\":%u,\"detail\":\"" STR_FMT "\",\"reason\":\"" STR_FMT
			"\",\"request_id\":\"" STR_FMT "\"}\n",
			STR_ARG(phrase), status, STR_ARG(detail), STR_ARG(name), STR_ARG(x->id));
		break;
	case FORM_HTML:
		text_fmt(t,
			"<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
			"<meta name=\"viewport\" content=\"width=device-width\">\n<title>%u " STR_FMT
			"</title>\n"
			"<style>body{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:15vh "
			"auto;padding:0 1em;"
			"color:#223}small{color:#667}</style>\n<h1>%u " STR_FMT "</h1>\n<p>",
			status, STR_ARG(phrase), status, STR_ARG(phrase));
		text_html(t, detail);
		text_fmt(t, "</p>\n<p><small>reason: " STR_FMT "<br>request: ", STR_ARG(name));
		text_html(t, x->id);
		text_put(t, STR("</small></p>\n</html>\n"));
		break;
	case FORM_PLAIN:
		text_fmt(t, "%u " STR_FMT "\n" STR_FMT "\nreason: " STR_FMT "\nrequest: " STR_FMT "\n",
			status, STR_ARG(phrase), STR_ARG(detail), STR_ARG(name), STR_ARG(x->id));
		break;
	}
}

static void answer(struct exchange *x, struct head *head, struct str body)
{
	struct chain chain = {0};
	bool no_body = body.n == 0 || x->request.method_id == METHOD_HEAD;
	struct stream *client = x->client;

	exchange_set_state(x, EXCHANGE_REPLYING);
	x->status = head->status;
	x->response_begun = true;
	head->body = no_body ? BODY_NONE : BODY_LENGTH;
	head->has_length = true;
	head->length = body.n;
	fields_add_line(&x->arena, &head->fields, FIELD_DATE, edge_date_line(x->edge), sizeof("date") - 1);
	forward_hsts(x, &head->fields);
	if (x->modules)
		modules_response(x, head, true);
	stream_send_head(client, head, no_body);
	if (no_body)
		return;
	chain_add_copy(&x->edge->loop->mem, &chain, body.p, body.n);
	stream_send_body(client, &chain, true);
	chain_clear(&x->edge->loop->mem, &chain);
}

/* gRPC clients read grpc-status, never the HTTP status: a trailers-only answer (gRPC over HTTP/2, "Responses"). */
bool reply_is_grpc(const struct exchange *x)
{
	const struct field *type = fields_find(&x->request.fields, FIELD_CONTENT_TYPE);

	return type && x->request.version == HTTP_2 && str_starts(field_value(type), STR("application/grpc"));
}

/* The mapping that gRPC itself gives for answers of HTTP-only peers (http-grpc-status-mapping.md). */
static struct str grpc_status(unsigned status)
{
	switch (status) {
	case 400:
		return STR("13"); /* INTERNAL */
	case 401:
		return STR("16"); /* UNAUTHENTICATED */
	case 403:
		return STR("7"); /* PERMISSION_DENIED */
	case 404:
		return STR("12"); /* UNIMPLEMENTED */
	case 408:
	case 504:
		return STR("4"); /* DEADLINE_EXCEEDED */
	case 413:
	case 431:
		return STR("8"); /* RESOURCE_EXHAUSTED */
	case 429:
	case 502:
	case 503:
		return STR("14"); /* UNAVAILABLE */
	default:
		return STR("2"); /* UNKNOWN */
	}
}

void reply_grpc_status(struct exchange *x, struct fields *to, enum reason why)
{
	const struct reason_row *row = reason_row(why);

	fields_add(&x->arena, to, FIELD_GRPC_STATUS, STR("grpc-status"), grpc_status(row->status));
	fields_add(&x->arena, to, FIELD_GRPC_MESSAGE, STR("grpc-message"), row->text);
}

static void reply_grpc(struct exchange *x, unsigned status, enum reason why)
{
	struct head head = {.status = 200};

	fields_add(&x->arena, &head.fields, FIELD_CONTENT_TYPE, STR("content-type"), STR("application/grpc"));
	reply_grpc_status(x, &head.fields, why);
	fields_add(&x->arena, &head.fields, FIELD_OTHER, STR("x-request-id"), x->id);
	answer(x, &head, STR_NONE);
	x->status = (uint16_t)status; /* what the log tells is what happened */
}

/* In place of weir's own of the same name. A challenge that was answered after all stays out of what else may go wrong. */
static void add_module_fields(struct exchange *x, struct fields *fields, unsigned status)
{
	const struct module_field *first = x->modules ? x->modules->reply : NULL;

	for (const struct module_field *f = first; f; f = f->next)
		fields_remove_name(fields, f->name);
	for (const struct module_field *f = first; f; f = f->next) {
		enum field_id id = field_id_of(f->name);

		if (id != FIELD_WWW_AUTHENTICATE || status == 401 || status == 403)
			fields_add(&x->arena, fields, id, f->name, f->value);
	}
}

void reply_error(struct exchange *x, enum reason why)
{
	unsigned status = reason_row(why)->status;
	struct head head = {.status = (uint16_t)status};
	struct module_page page = {.negotiated = false};
	char name_buf[REASON_NAME_MAX], *body;
	struct str name = reason_name(why, name_buf);
	struct text text;
	enum form form;

	if (reply_is_grpc(x)) {
		reply_grpc(x, status, why);
		return;
	}
	fields_add(&x->arena, &head.fields, FIELD_X_REQUEST_ID, STR("x-request-id"), x->id);
	fields_add(&x->arena, &head.fields, FIELD_OTHER, STR("x-weir-reason"), arena_str(&x->arena, name));
	fields_add(&x->arena, &head.fields, FIELD_CACHE_CONTROL, STR("cache-control"), STR("no-store"));
	if (status == 503 || status == 429)
		fields_add(&x->arena, &head.fields, FIELD_RETRY_AFTER, STR("retry-after"), STR("1"));
	add_module_fields(x, &head.fields, status);
	if (status == 405)
		fields_add(&x->arena, &head.fields, FIELD_OTHER, STR("allow"),
			STR("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"));
	if (modules_page(x, &head, why, &page)) {
		fields_add(
			&x->arena, &head.fields, FIELD_CONTENT_TYPE, STR("content-type"), page.content_type);
		if (page.negotiated)
			fields_add(&x->arena, &head.fields, FIELD_VARY, STR("vary"), STR("accept"));
		answer(x, &head, page.body);
		return;
	}
	form = negotiate(&x->request);
	body = arena_bytes(&x->arena, BODY_MAX);
	text = text_in(body, BODY_MAX);
	write_body(x, &text, form, status, why);
	fields_add(&x->arena, &head.fields, FIELD_CONTENT_TYPE, STR("content-type"), form_types[form]);
	fields_add(&x->arena, &head.fields, FIELD_VARY, STR("vary"), STR("accept"));
	answer(x, &head, text_str(&text));
}

static bool has_path(const struct template *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		if (t->v[i].variable == VARIABLE_REQUEST_PATH)
			return true;
	return false;
}

/* The route's `to` filled in. */
static struct str render_target(struct exchange *x, struct str path)
{
	const struct template *to = &x->route->conf->redirect.to;
	struct render r = {.into = RENDER_URL};
	struct regex_room *room;

	if (template_has_captures(to)) {
		room = regex_room_new(RENDER_CAPTURES);
		regex_capture(x->route->regex, room, path, r.captures);
		regex_room_free(room);
	}
	return render(x, &r, to);
}

/* Without the slashes that it begins with, and what browsers take for them. */
static struct str skip_slashes(struct str s)
{
	while (s.n && (s.p[0] == '/' || s.p[0] == '\\'))
		s = str_skip(s, 1);
	return s;
}

/* What of the path stands behind a prefix route's own, as it goes behind `base`. */
static struct str carried_over(const struct conf_route *route, struct str path, struct str base)
{
	struct str prefix = route->path, rest;

	while (prefix.n && prefix.p[prefix.n - 1] == '/')
		prefix.n--;
	rest = str_skip(path, prefix.n);
	if (base.n && base.p[base.n - 1] == '/')
		rest = skip_slashes(rest);
	return str_eq(rest, STR("/")) ? STR_NONE : rest;
}

/* Where a route's redirect leads: a prefix route carries the rest of the path over, and every route the query, unless the target has
 * one. A fragment stays at the end. */
static struct str redirect_target(struct exchange *x)
{
	const struct conf_route *route = x->route->conf;
	struct str path = path_only(x->request.path), query = str_skip(x->request.path, path.n);
	struct str to = render_target(x, path), base, rest = STR_NONE, own, fragment;
	const char *root = "";

	base = str_head(to, MIN(str_find(to, '?'), str_find(to, '#')));
	own = str_skip(to, base.n);
	fragment = str_skip(own, str_find(own, '#'));
	own = str_head(own, str_find(own, '#'));
	if (route->path_kind == CONF_PATH_PREFIX && !has_path(&route->redirect.to))
		rest = carried_over(route, path, base);
	if (own.n)
		query = own;
	/* A path stays one, whatever was asked for: what stands behind "//" would be a host (RFC 3986 4.2). */
	if (str_starts(base, STR("/")) && !str_starts(route->redirect.to.literal, STR("//"))) {
		base = skip_slashes(base);
		root = "/";
	}
	return arena_fmt(&x->arena, "%s" STR_FMT STR_FMT STR_FMT STR_FMT, root, STR_ARG(base), STR_ARG(rest),
		STR_ARG(query), STR_ARG(fragment));
}

static void begin_head(struct exchange *x, struct head *head, unsigned status, const struct fields *fields)
{
	*head = (struct head){.status = (uint16_t)status};
	for (uint32_t i = 0; fields && i < fields->n; i++)
		fields_add(&x->arena, &head->fields, (enum field_id)fields->v[i].id,
			field_name(&fields->v[i]), field_value(&fields->v[i]));
	fields_add(&x->arena, &head->fields, FIELD_X_REQUEST_ID, STR("x-request-id"), x->id);
}

void reply_with(struct exchange *x, unsigned status, const struct fields *fields, struct str body)
{
	struct head head;

	begin_head(x, &head, status, fields);
	answer(x, &head, body);
}

void reply_for_route(struct exchange *x, unsigned status, const struct fields *fields, struct str body)
{
	struct head head;

	begin_head(x, &head, status, fields);
	headers_edit(x, &head, &x->route->conf->response_headers, true);
	answer(x, &head, body);
}

void reply_redirect(struct exchange *x, unsigned status, struct str location)
{
	struct fields fields = {0};
	bool of_route = location.n == 0;

	fields_add(&x->arena, &fields, FIELD_LOCATION, STR("location"),
		of_route ? redirect_target(x) : location);
	if (of_route)
		reply_for_route(x, status, &fields, STR_NONE);
	else
		reply_with(x, status, &fields, STR_NONE);
}
