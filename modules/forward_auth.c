/* modules/forward_auth.c - another server decides: it is asked for each request, with what it needs to know of it. */
#include <stdlib.h>
#include "auth.h"
#include "modules.h"

#define BODY_MAX (64u * 1024) /* of an answer that is passed on */

struct forward_auth {
	struct str url, method;
	struct conf_strs send, copy;
	uint32_t timeout; /* ms */
	bool open;
};

static void check(struct parse *p, const struct node *v, void *obj)
{
	const struct forward_auth *f = obj;

	if (f->url.n && !fetcher_url_is_valid(f->url))
		parse_error(
			p, v, "\"url\" must be an http:// or https:// URL, not %s", parse_quote(p, f->url));
}

static const struct config_field fields[] = {
	STRING("url", struct forward_auth, url, "that is asked: http:// or https://", REQUIRED),
	CUSTOM("method", type_token, struct forward_auth, method, "that it is asked with", .text = "GET"),
	STRINGS("send", struct forward_auth, send, type_header_name,
		"request headers that it gets; empty: Authorization and Cookie"),
	STRINGS("copy", struct forward_auth, copy, type_header_name,
		"headers of its answer that the backend gets, as often as it has them; what a client sends "
		"there is "
		"taken out"),
	DURATION("timeout", struct forward_auth, timeout, "for its whole answer", .dflt = 2000, .min = 1),
	BOOL("fail_open", struct forward_auth, open,
		"a request passes if nobody answers, or 5xx; else it is answered 503", .dflt = false),
	END,
};

static const struct config_object object = {
	.id = OBJECT_MODULE,
	.path = "modules.forward_auth",
	.what = "forward_auth",
	.doc = "Another server decides. See [forward_auth](modules/forward_auth.md).",
	.size = sizeof(struct forward_auth),
	.fields = fields,
	.check = check,
};

/* What places share that ask the same server: how it fares. */
struct judge {
	char *url;
	struct dependency state;
};

static void release(void *data)
{
	struct judge *judge = data;

	dependency_clear(&judge->state);
	free(judge->url);
	free(judge);
}

static void *build(struct module_build *b, const void *values)
{
	const struct forward_auth *f = values;
	struct judge *judge = b->previous;

	if (judge && str_eq(str_of(judge->url), f->url))
		return judge;
	for (uint32_t i = 0; (judge = b->other(b, i)); i++)
		if (str_eq(str_of(judge->url), f->url))
			return judge;
	judge = calloc(1, sizeof(*judge));
	MUST(judge);
	judge->url = strndup(f->url.p, f->url.n);
	MUST(judge->url);
	return judge;
}

static bool depends(const void *values, void *data, struct module_dependency *out)
{
	const struct forward_auth *f = values;
	struct judge *judge = data;

	/* A query may be a secret. */
	*out = (struct module_dependency){.what = STR("server"),
		.address = str_head(str_of(judge->url), str_find(str_of(judge->url), '?')),
		.meanwhile = f->open ? "requests pass unasked" : "requests are answered 503",
		.state = &judge->state};
	return true;
}

static void *worker_begin(struct loop *l, void *data, uint32_t worker, uint32_t workers)
{
	(void)data;
	(void)worker;
	(void)workers;
	return fetcher_new(l, NULL);
}

static void worker_end(void *state, void *data)
{
	struct fetcher *f = state;

	(void)data;
	fetcher_free(&f);
}

/* A request that waits for the answer. In its arena. */
struct asking {
	struct fetching *fetching;
	struct module_call call;
};

static void add(const struct module_call *c, struct fields *to, struct str name, struct str value)
{
	fields_add(c->arena, to, field_id_of(name), name, value);
}

static void add_all_of(const struct module_call *c, struct fields *to, struct str name)
{
	const struct fields *all = &module_request(c)->fields;

	for (uint32_t i = 0; i < all->n; i++)
		if (str_case_eq(field_name(&all->v[i]), name))
			add(c, to, name, field_value(&all->v[i]));
}

static void describe(const struct module_call *c, struct fields *to)
{
	const struct forward_auth *f = c->values;
	const struct head *request = module_request(c);
	char ip[ADDR_TEXT_MAX];

	add(c, to, STR("x-forwarded-method"), request->method);
	add(c, to, STR("x-forwarded-proto"), module_is_tls(c) ? STR("https") : STR("http"));
	add(c, to, STR("x-forwarded-host"), request->authority);
	add(c, to, STR("x-forwarded-uri"), request->path);
	add(c, to, STR("x-forwarded-for"), arena_str(c->arena, addr_ip_text(module_client(c), ip)));
	add(c, to, STR("x-request-id"), module_request_id(c));
	for (uint32_t i = 0; i < f->send.n; i++)
		add_all_of(c, to, f->send.v[i]);
	if (f->send.n == 0) {
		add_all_of(c, to, STR("authorization"));
		add_all_of(c, to, STR("cookie"));
	}
}

/* As often as the answer has it, in its order: where a list may be written on several lines, each of them counts (RFC 9110 5.3). */
static void copy_all_of(const struct module_call *c, const struct fields *from, struct str name)
{
	struct head *request = module_request(c);

	fields_remove_name(&request->fields, name);
	for (uint32_t i = 0; i < from->n; i++)
		if (str_case_eq(field_name(&from->v[i]), name))
			add(c, &request->fields, name, arena_str(c->arena, field_value(&from->v[i])));
}

static int copy(const struct module_call *c, const struct fields *from)
{
	const struct forward_auth *f = c->values;

	for (uint32_t i = 0; i < f->copy.n; i++)
		copy_all_of(c, from, f->copy.v[i]);
	return auth_grant(c);
}

/* What it says to the client in its own words: a login page, a redirect, a challenge. */
static void pass_on(const struct module_call *c, const struct fetcher_answer *answer)
{
	struct fields all = {0};

	fields_copy(c->arena, &all, answer->fields);
	fields_remove(&all, FIELD_DATE);
	fields_remove(&all, FIELD_X_REQUEST_ID);
	module_resume_answer(c->x, answer->status == 401 ? REASON_AUTH_REQUIRED : REASON_AUTH_DENIED,
		answer->status, &all, answer->body);
}

static void on_answer(void *ctx, const struct fetcher_answer *answer)
{
	struct asking *a = ctx;
	struct module_call call = a->call;
	const struct forward_auth *f = call.values;
	struct judge *judge = call.data;

	a->fetching = NULL;
	if (answer->why == REASON_NONE && answer->status < 500)
		dependency_good(&judge->state);
	if (answer->why == REASON_NONE && answer->status / 100 == 2) {
		module_resume(call.x, copy(&call, answer->fields));
	} else if (answer->why == REASON_NONE && answer->status < 500) {
		pass_on(&call, answer);
	} else {
		char name[REASON_NAME_MAX], problem[FETCHER_PROBLEM_MAX];

		dependency_bad(&judge->state, fetcher_problem(answer, problem));
		module_log_field(&call, STR("forward_auth"),
			answer->why ? arena_str(call.arena, reason_name(answer->why, name))
				    : arena_fmt(call.arena, "%u", answer->status));
		module_resume(call.x,
			f->open ? auth_grant(&call) : auth_refuse(&call, REASON_AUTH_UNAVAILABLE, STR_NONE));
	}
}

static int routed(struct module_call *c)
{
	const struct forward_auth *f = c->values;
	struct fetcher_request rq = {
		.method = f->method, .url = f->url, .timeout_ms = f->timeout, .body_max = BODY_MAX};
	struct asking *a;

	if (!auth_is_granted(c))
		describe(c, &rq.fields);
	for (uint32_t i = 0; i < f->copy.n; i++)
		module_claim_header(c, f->copy.v[i]);
	if (auth_is_granted(c))
		return MODULE_PASS;
	*c->slot = a = arena_new(c->arena, struct asking);
	a->call = *c;
	a->fetching = fetcher_begin(c->worker, &rq, on_answer, a);
	return MODULE_HOLD;
}

static void cancel(struct module_call *c)
{
	struct asking *a = *c->slot;

	fetching_cancel(&a->fetching);
}

static void explain(const void *values, void *data, const struct head *request, const struct addr *client,
	struct text *out)
{
	const struct forward_auth *f = values;

	(void)data;
	(void)request;
	(void)client;
	text_fmt(out, "asks " STR_FMT, STR_ARG(f->url));
}

const struct module forward_auth_module = {
	.config = {.abi = MODULE_ABI, .name = "forward_auth", .levels = MODULE_ANYWHERE, .object = &object},
	.build = build,
	.release = release,
	.worker_init = worker_begin,
	.worker_free = worker_end,
	.routed = routed,
	.cancel = cancel,
	.explain = explain,
	.depends = depends,
};
