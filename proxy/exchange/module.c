/* exchange/module.c - what modules may ask and do (exchange/module.h). */
#include "exchange/module.h"

#include "exchange/edit.h"
#include "exchange/exchange.h"
#include "io/transport.h"
#include "route/path.h"

/* -- reading -- */

struct head *module_request(const struct module_call *c)
{
	return &c->x->request;
}

const struct addr *module_client(const struct module_call *c)
{
	return &c->x->client_addr;
}

const struct addr *module_peer(const struct module_call *c)
{
	return &c->x->peer;
}

struct str module_tenant(const struct module_call *c)
{
	return exchange_tenant(c->x);
}

struct str module_service(const struct module_call *c)
{
	return exchange_service(c->x);
}

struct str module_pool(const struct module_call *c)
{
	return exchange_pool(c->x);
}

struct str module_backend(const struct module_call *c)
{
	return exchange_backend(c->x);
}

struct str module_listener(const struct module_call *c)
{
	return c->x->entry->conf.name;
}

struct str module_request_id(const struct module_call *c)
{
	return c->x->id;
}

unsigned module_accepts(const struct module_call *c, struct str type)
{
	return reply_accepts(c->x, type);
}

struct str module_route(const struct module_call *c)
{
	return exchange_route_path(c->x);
}

struct str module_peer_subject(const struct module_call *c)
{
	const struct tls_info *tls = transport_tls(c->x->client->conn->transport);

	return tls ? tls->peer_subject : STR_NONE;
}

struct str module_peer_names(const struct module_call *c)
{
	const struct tls_info *tls = transport_tls(c->x->client->conn->transport);

	return tls ? tls->peer_names : STR_NONE;
}

bool module_is_tls(const struct module_call *c)
{
	return c->x->tls_version != NULL;
}

unsigned module_status(const struct module_call *c)
{
	return exchange_status(c->x);
}

enum reason module_reason(const struct module_call *c)
{
	return (enum reason)c->x->reason;
}

uint64_t module_bytes_in(const struct module_call *c)
{
	return c->x->bytes_in;
}

uint64_t module_bytes_out(const struct module_call *c)
{
	return c->x->bytes_out;
}

uint64_t module_start_us(const struct module_call *c)
{
	return c->x->start_us;
}

uint64_t module_first_byte_us(const struct module_call *c)
{
	return c->x->first_byte_us;
}

uint64_t module_attempt_us(const struct module_call *c)
{
	return c->x->wait_us;
}

uint64_t module_queue_us(const struct module_call *c)
{
	return c->x->queue_us;
}

bool module_handshake(const struct module_call *c, uint64_t *begun_us, uint64_t *done_us)
{
	struct http_conn *conn = c->x->client->conn;
	const struct tls_info *tls = transport_tls(conn->transport);

	if (!tls || conn->handshake_told)
		return false;
	conn->handshake_told = true;
	*begun_us = tls->begun_us;
	*done_us = tls->begun_us + tls->took_us;
	return true;
}

uint64_t module_wall_us(const struct module_call *c, uint64_t loop_us)
{
	return edge_wall_us(c->x->edge, loop_us);
}

unsigned module_attempts(const struct module_call *c)
{
	return c->x->attempts;
}

void **module_slot(const struct module_call *c, const struct module *other)
{
	const struct module_chain *chain = c->x->modules->chain;

	for (uint32_t i = 0; i < chain->n; i++)
		if (chain->v[i]->module == other)
			return &c->x->modules->slots[chain->v[i]->number];
	return NULL;
}

/* -- doing -- */

void module_set_header(const struct module_call *c, struct head *head, struct str name, struct str value)
{
	fields_remove_name(&head->fields, name);
	fields_add(c->arena, &head->fields, field_id_of(name), name, value);
}

void module_claim_header(const struct module_call *c, struct str name)
{
	claim_header(c->x, name);
}

void module_edit_headers(
	const struct module_call *c, struct head *head, const struct conf_headers *edits, bool answer)
{
	headers_edit(c->x, head, edits, answer);
}

struct str module_render(const struct module_call *c, const struct render *r, const struct template *t)
{
	return render(c->x, r, t);
}

bool module_set_path(const struct module_call *c, struct str path)
{
	if (path.n == 0 || path.p[0] != '/' || path_kind(path_only(path)) == PATH_BAD)
		return false;
	for (size_t i = 0; i < path.n; i++)
		if (path.p[i] <= ' ' || path.p[i] >= 0x7f || path.p[i] == '#')
			return false;
	c->x->request.path = path;
	return true;
}

bool module_set_host(const struct module_call *c, struct str host)
{
	struct str copy = arena_str(c->arena, host);

	if (!authority_is_valid(host))
		return false;
	str_lower((char *)(uintptr_t)copy.p, copy.n);
	c->x->request.authority = copy;
	return true;
}

static void push(const struct module_call *c, struct module_field **list, struct str name, struct str value)
{
	struct module_field *f = arena_new(c->arena, struct module_field);

	*f = (struct module_field){name, value, *list};
	*list = f;
}

void module_log_field(const struct module_call *c, struct str name, struct str value)
{
	push(c, &c->x->modules->log, name, value);
}

void module_reply_header(const struct module_call *c, struct str name, struct str value)
{
	push(c, &c->x->modules->reply, name, value);
}

void module_choose_pool(const struct module_call *c, struct str pool)
{
	c->x->modules->pool = pool;
}

void module_set_reason(const struct module_call *c, enum reason why)
{
	c->x->reason = (uint16_t)why;
}

int module_answer(const struct module_call *c, unsigned status, const struct fields *fields, struct str body)
{
	attempt_drop(c->x);
	if (c->module->config.answers && c->x->route)
		reply_for_route(c->x, status, fields, body);
	else
		reply_with(c->x, status, fields, body);
	return MODULE_ANSWERED;
}

/* -- bodies -- */

static void forget_length(struct head *head)
{
	if (head->body == BODY_LENGTH)
		head->body = BODY_STREAM;
	head->has_length = false;
	head->length = 0;
}

/* What its state points to has to live as long as the exchange. */
static void note_filter(const struct module_call *c)
{
	struct module_run *run = c->x->modules;

	for (uint32_t i = 0; i < MODULES_MAX; i++)
		if (run->met[i] && run->met[i]->module == c->module)
			run->filtering |= BIT(i);
}

void module_filter_request(const struct module_call *c, const struct module_filter *filter, void *state)
{
	forget_length(&c->x->request);
	note_filter(c);
	filters_add(&c->x->filters_up, c->arena, filter, state);
}

void module_filter_response(
	const struct module_call *c, struct head *head, const struct module_filter *filter, void *state)
{
	forget_length(head);
	note_filter(c);
	filters_add(&c->x->filters_down, c->arena, filter, state);
}
