/* control/admin/request.c - the life of a request: an owner of its stream. It is let in, gathers its body, is handled, and answered. */
#include <stdlib.h>
#include <sys/socket.h>
#include "base/obj.h"
#include "config/suggest.h"
#include "config/unit.h"
#include "control/admin/door.h"
#include "control/admin/match.h"
#include "control/admin/request.h"
#include "control/control.h"
#include "route/path.h"

#define BODY_WINDOW (64u * 1024)

/* Over TCP: all requests together; those without a good token. */
#define REQUESTS_PER_SECOND 500
#define REQUESTS_BURST      1000
#define FAILURES_PER_SECOND 10
#define FAILURES_BURST      50

static const uint8_t legal[ADMIN_STATES] = {
	[ADMIN_READING] = BIT(ADMIN_HANDLING) | BIT(ADMIN_ANSWERED),
	[ADMIN_HANDLING] = BIT(ADMIN_ANSWERED) | BIT(ADMIN_STREAMING),
	[ADMIN_STREAMING] = BIT(ADMIN_ANSWERED),
};

void admin_set_state(struct admin_request *rq, enum admin_request_state to)
{
	MUST(legal[rq->state] & BIT(to));
	rq->state = (uint8_t)to;
}

static struct loop *loop_of(const struct admin_request *rq)
{
	return &rq->control->loop;
}

static void request_free(struct admin_request *rq)
{
	struct loop *l = loop_of(rq);

	OBJ_CHECK(rq, ADMIN_MAGIC);
	list_remove(&rq->in_server);
	list_remove(&rq->in_topic);
	list_remove(&rq->link);
	deadline_disarm(l, &rq->deadline);
	stream_release(&rq->stream);
	chain_clear(&l->mem, &rq->received);
	json_decref(rq->body);
	free(rq->rest);
	arena_free(&rq->arena);
	rq->magic = 0;
	mem_obj_free(&l->mem, rq, sizeof(*rq));
}

void admin_gone(struct admin_request *rq)
{
	void (*gone)(struct admin_request *) = rq->gone;

	rq->gone = NULL;
	if (gone)
		gone(rq);
	list_remove(&rq->link);
}

void admin_abandon(struct admin_request *rq)
{
	if (rq->state != ADMIN_ANSWERED)
		admin_gone(rq);
	request_free(rq);
}

/* -- letting in -- */

/* Each answers and returns false, or lets the request through. */

static bool refuse(struct admin_request *rq, enum reason why)
{
	const struct reason_row *row = reason_row(why);
	char name[REASON_NAME_MAX];
	struct str n = reason_name(why, name);

	admin_problem(
		rq, row->status ? row->status : 400, arena_str(&rq->arena, n).p, STR_FMT, STR_ARG(row->text));
	return false;
}

static bool check_browser(struct admin_request *rq)
{
	const struct conf_admin *conf = &rq->control->snapshot->conf->admin;

	if (rq->door->local)
		return true;
	if (!auth_host_is_ours(conf, rq->door->store, rq->head.authority)) {
		admin_problem(rq, 403, "foreign_host",
			"the Host \"" STR_FMT
			"\" is none of this weir's: use its address or localhost, or list the "
			"name under admin.hosts",
			STR_ARG(rq->head.authority));
		return false;
	}
	if (!auth_origin_is_ours(&rq->head, rq->door->store != NULL)) {
		admin_problem(rq, 403, "foreign_origin", "the request comes from a page of another site");
		return false;
	}
	return true;
}

static bool check_rate(struct admin_request *rq, struct auth_rate *rate, uint32_t per_second, uint32_t burst)
{
	if (rq->door->local || auth_rate_take(rate, loop_of(rq)->now_us, per_second, burst))
		return true;
	admin_header(rq, "retry-after", STR("1"));
	admin_problem(
		rq, 429, "too_many_requests", "more than %u a second; try again in a second", per_second);
	return false;
}

static bool unauthorized(struct admin_request *rq, bool given)
{
	if (!check_rate(rq, &rq->door->failures, FAILURES_PER_SECOND, FAILURES_BURST))
		return false;
	admin_header(rq, "www-authenticate",
		given ? STR("Bearer realm=\"weir\", error=\"invalid_token\"") : STR("Bearer realm=\"weir\""));
	admin_problem(rq, 401, given ? "unknown_token" : "no_token",
		given ? "nobody has this token" : "this needs a token: Authorization: Bearer TOKEN");
	return false;
}

/* The process at the other end of the unix socket: the kernel says whose it is. */
static struct str local_name(struct admin_request *rq)
{
	const struct transport *t = rq->stream->conn->transport;
	struct ucred peer;
	socklen_t n = sizeof(peer);

	if (t && getsockopt(t->fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0)
		return arena_fmt(&rq->arena, "uid:%u", (unsigned)peer.uid);
	return STR("socket");
}

/* The configuration may be gone before the request is. */
static void set_caller(struct admin_request *rq, const struct conf_token *t)
{
	struct admin_caller *c = &rq->caller;

	c->name = arena_str(&rq->arena, t->name);
	c->role = (uint8_t)(t->role + ADMIN_VIEWER);
	c->known = true;
	c->tenants.n = t->tenants.n;
	c->tenants.v = arena_array(&rq->arena, struct str, t->tenants.n + 1);
	for (uint32_t i = 0; i < t->tenants.n; i++)
		c->tenants.v[i] = arena_str(&rq->arena, t->tenants.v[i]);
}

static bool check_caller(struct admin_request *rq, const struct admin_route *route)
{
	const struct conf_admin *conf = &rq->control->snapshot->conf->admin;
	const struct tls_info *tls =
		rq->stream->conn->transport ? transport_tls(rq->stream->conn->transport) : NULL;
	struct str token = auth_bearer(&rq->head);
	const struct conf_token *t;

	if (rq->door->local) {
		rq->caller =
			(struct admin_caller){.name = local_name(rq), .role = ADMIN_ADMIN, .known = true};
		return true;
	}
	rq->caller = (struct admin_caller){.name = STR("anonymous"), .role = ADMIN_ANYBODY};
	t = auth_find(conf, token, tls ? tls->peer_subject : STR_NONE);
	if (t)
		set_caller(rq, t);
	else if (conf->token_n == 0)
		rq->caller.role = ADMIN_VIEWER; /* loopback: it cannot be reached by others without tokens */
	else if (!route || route->role > ADMIN_ANYBODY)
		return unauthorized(rq, token.n > 0);
	return true;
}

static bool check_role(struct admin_request *rq)
{
	const struct admin_route *route = rq->route;
	int tenant = admin_match_param(route->path, "t");

	if (rq->caller.role < route->role && !rq->caller.known)
		return unauthorized(rq, auth_bearer(&rq->head).n > 0);
	if (rq->caller.role < route->role) {
		admin_problem(rq, 403, "role", "this needs the role %s; \"" STR_FMT "\" has %s",
			admin_role_name((enum admin_role)route->role), STR_ARG(rq->caller.name),
			admin_role_name((enum admin_role)rq->caller.role));
		return false;
	}
	if ((route->global && rq->caller.tenants.n) ||
		(tenant >= 0 && !admin_sees(&rq->caller, rq->params[tenant]))) {
		admin_problem(rq, 403, "tenant", "\"" STR_FMT "\" is confined to other tenants",
			STR_ARG(rq->caller.name));
		return false;
	}
	return true;
}

static bool no_route(struct admin_request *rq, const struct admin_match *m)
{
	if (m->found) {
		admin_header(rq, "allow", text_str(&m->allow));
		admin_problem(rq, 405, "method", "this takes " STR_FMT, STR_ARG(text_str(&m->allow)));
	} else {
		admin_problem(rq, 404, "no_such_path",
			"there is no " STR_FMT "; GET /v1/openapi.json lists what there is",
			STR_ARG(rq->path));
	}
	return false;
}

static const struct admin_param *row_of(const struct admin_route *route, struct str name)
{
	for (const struct admin_param *p = route->query; p && p->name; p++)
		if (str_eq(str_of(p->name), name))
			return p;
	return NULL;
}

static bool unknown_parameter(struct admin_request *rq, struct str name)
{
	struct suggestion s = {.word = name};

	for (const struct admin_param *p = rq->route->query; p && p->name; p++)
		suggest_try(&s, str_of(p->name));
	if (s.best.n)
		admin_problem(rq, 400, "query",
			"unknown query parameter \"" STR_FMT "\"; did you mean \"" STR_FMT "\"?",
			STR_ARG(name), STR_ARG(s.best));
	else
		admin_problem(rq, 400, "query", "unknown query parameter \"" STR_FMT "\"", STR_ARG(name));
	return false;
}

static bool check_query(struct admin_request *rq)
{
	struct str query = str_skip(rq->head.path, rq->path.n + 1);
	const char *wrong = admin_match_query(&rq->arena, query, rq->query, &rq->query_n);
	uint64_t wait = 0;

	if (wrong) {
		admin_problem(rq, 400, "query", "%s", wrong);
		return false;
	}
	for (uint32_t i = 0; i < rq->query_n; i++) {
		const struct admin_param *p = row_of(rq->route, rq->query[i].name);

		if (!p)
			return unknown_parameter(rq, rq->query[i].name);
	}
	if (!row_of(rq->route, STR("wait")))
		return true;
	if (!admin_query_ms(rq, "wait", &wait))
		return false;
	if (wait)
		rq->wait_until_ms = loop_of(rq)->now_ms + MIN(wait, ADMIN_WAIT_MAX_MS);
	return true;
}

static struct str field_of(const struct admin_request *rq, enum field_id id)
{
	const struct field *f = fields_find(&rq->head.fields, id);

	return f ? field_value(f) : STR_NONE;
}

static bool check_types(struct admin_request *rq)
{
	const struct admin_route *route = rq->route;
	struct str accept = field_of(rq, FIELD_ACCEPT), type = field_of(rq, FIELD_CONTENT_TYPE);
	struct str made = route->type ? str_of(route->type) : STR("application/json");

	rq->wants_stream = route->streams && admin_accept_names(accept, STR("text/event-stream"));
	if (!rq->wants_stream && !admin_accepts(accept, made) &&
		!(route->other && admin_accepts(accept, str_of(route->other)))) {
		admin_problem(rq, 406, "accept", "the answer is " STR_FMT ", which Accept does not take",
			STR_ARG(made));
		return false;
	}
	if (rq->head.body == BODY_NONE || !route->request)
		return true;
	type = str_trim(str_head(type, str_find(type, ';')));
	if (!str_case_eq(type, STR("application/json"))) {
		admin_problem(rq, 415, "content_type", "the body must be Content-Type: application/json");
		return false;
	}
	return true;
}

static bool too_large(struct admin_request *rq)
{
	admin_problem(rq, 413, "body_too_large", "the body may have %u bytes", ADMIN_BODY_MAX);
	return false;
}

static bool unwanted_body(struct admin_request *rq)
{
	admin_problem(rq, 400, "body", "this takes no body");
	return false;
}

static bool check_body(struct admin_request *rq)
{
	const struct head *h = &rq->head;

	if (h->body == BODY_TUNNEL)
		return refuse(rq, REASON_WEBSOCKET_OFF);
	/* That it will be empty is known only when it has a length. */
	if (!rq->route->request && h->body != BODY_NONE && h->has_length && h->length > 0)
		return unwanted_body(rq);
	if (h->has_length && h->length > ADMIN_BODY_MAX)
		return too_large(rq);
	return true;
}

static bool admit(struct admin_request *rq)
{
	struct admin_match m;

	if (rq->head.reject != REASON_NONE)
		return refuse(rq, (enum reason)rq->head.reject);
	if (!check_browser(rq) || !check_rate(rq, &rq->door->requests, REQUESTS_PER_SECOND, REQUESTS_BURST))
		return false;
	admin_match_route(
		&m, &rq->arena, admin_tables, (enum method)rq->head.method_id, rq->path, rq->params);
	if (!check_caller(rq, m.route))
		return false;
	if (!m.route)
		return no_route(rq, &m);
	rq->route = m.route;
	return check_role(rq) && check_query(rq) && check_types(rq) && check_body(rq);
}

/* -- the body -- */

static bool parse_body(struct admin_request *rq)
{
	size_t n = rq->received.n;
	char *text = arena_bytes(&rq->arena, n + 1);
	json_error_t e;

	chain_peek(&rq->received, text, n);
	if (admin_json_depth((struct str){text, n}) > ADMIN_DEPTH_MAX) {
		admin_problem(rq, 400, "json", "the JSON nests deeper than %u", ADMIN_DEPTH_MAX);
		return false;
	}
	if (n == 0)
		return true;
	rq->body = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
	if (!rq->body) {
		admin_problem(rq, 400, "json", "line %d, column %d: %s", e.line, e.column, e.text);
		return false;
	}
	return true;
}

static void handle(struct admin_request *rq)
{
	if (!parse_body(rq))
		return;
	chain_clear(&loop_of(rq)->mem, &rq->received);
	admin_set_state(rq, ADMIN_HANDLING);
	rq->route->handle(rq);
}

/* -- as the owner of the stream -- */

static void on_head(struct stream *s, const struct head *head, bool last)
{
	struct admin_request *rq = s->owner;
	const struct head go_on = {.status = 100};

	OBJ_CHECK(rq, ADMIN_MAGIC);
	head_copy(&rq->arena, &rq->head, head);
	rq->path = path_only(rq->head.path);
	if (!admit(rq))
		return;
	if (last) {
		handle(rq);
		return;
	}
	if (head->expect_continue)
		stream_send_head(s, &go_on, false);
	stream_credit(s, BODY_WINDOW);
}

static void on_body(struct stream *s, struct chain *chain, bool last)
{
	struct admin_request *rq = s->owner;
	size_t n = chain->n;

	OBJ_CHECK(rq, ADMIN_MAGIC);
	if (rq->state != ADMIN_READING)
		return;
	if (n && !rq->route->request) {
		unwanted_body(rq);
		return;
	}
	if (rq->received.n + n > ADMIN_BODY_MAX) {
		too_large(rq);
		return;
	}
	/* In small pieces each would hold a block of its own. */
	chain_move(&rq->received, chain);
	chain_settle(&loop_of(rq)->mem, &rq->received);
	if (last)
		handle(rq);
	else
		stream_credit(s, n);
}

static void on_trailers(struct stream *s, const struct fields *trailers)
{
	struct admin_request *rq = s->owner;

	OBJ_CHECK(rq, ADMIN_MAGIC);
	(void)trailers;
	if (rq->state == ADMIN_READING)
		handle(rq);
}

static void on_sent(struct stream *s, size_t n)
{
	struct admin_request *rq = s->owner;

	OBJ_CHECK(rq, ADMIN_MAGIC);
	rq->unsent -= MIN(n, rq->unsent);
	if (s->sent_all)
		request_free(rq);
	else
		admin_send_rest(rq);
}

static void on_reset(struct stream *s, enum reason why)
{
	struct admin_request *rq = s->owner;

	OBJ_CHECK(rq, ADMIN_MAGIC);
	/* A body that came too slowly, or malformed: the codec can still get an answer across. */
	if (rq->state == ADMIN_READING && reason_row(why)->status >= 400 && reason_row(why)->status != 499)
		refuse(rq, why);
	admin_abandon(rq);
}

static const struct stream_owner_ops stream_ops = {on_head, on_body, on_trailers, on_sent, on_reset};

void admin_begin(struct admin_door *door, struct stream *s)
{
	struct control *c = door->server->control;
	struct admin_request *rq = mem_obj(&c->loop.mem, sizeof(*rq));

	rq->magic = ADMIN_MAGIC;
	rq->state = ADMIN_READING;
	rq->control = c;
	rq->door = door;
	rq->stream = s;
	arena_init(&rq->arena, &c->loop.mem);
	list_push_back(&door->server->requests, &rq->in_server);
	s->owner_ops = &stream_ops;
	s->owner = rq;
}

/* -- what handlers ask -- */

const char *admin_role_name(enum admin_role role)
{
	static const char *const names[ADMIN_ROLES] = {"none", "viewer", "operator", "admin"};

	return names[role];
}

struct str admin_param(const struct admin_request *rq, const char *name)
{
	int i = admin_match_param(rq->route->path, name);

	MUST(i >= 0);
	return rq->params[i];
}

struct str admin_query(const struct admin_request *rq, const char *name)
{
	for (uint32_t i = 0; i < rq->query_n; i++)
		if (str_eq(rq->query[i].name, str_of(name)))
			return rq->query[i].value;
	return STR_NONE;
}

bool admin_query_u64(struct admin_request *rq, const char *name, uint64_t *out)
{
	struct str value = admin_query(rq, name);

	if (!value.p || str_to_u64(value, out))
		return true;
	admin_problem(rq, 400, "query", "\"%s\" must be a number", name);
	return false;
}

bool admin_query_ms(struct admin_request *rq, const char *name, uint64_t *out)
{
	struct str value = admin_query(rq, name);

	if (!value.p || unit_duration(value, out))
		return true;
	admin_problem(rq, 400, "query", "\"%s\" must be a duration such as 500ms, 30s or 5m", name);
	return false;
}

bool admin_sees(const struct admin_caller *caller, struct str tenant)
{
	for (uint32_t i = 0; i < caller->tenants.n; i++)
		if (str_eq(caller->tenants.v[i], tenant))
			return true;
	return caller->tenants.n == 0;
}
