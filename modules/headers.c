/* modules/headers.c - changes to the headers of requests and answers, as `request_headers` and `response_headers` of a route, but at
 * any level, and for weir's own answers too. */
#include "modules.h"

struct headers {
	struct conf_headers request, response;
};

static const struct config_field fields[] = {
	OBJECT("request", struct headers, request, request_headers_object,
		"changes on the way to the backend, before those of the route"),
	OBJECT("response", struct headers, response, response_headers_object,
		"changes on the way to the client, after those of the route; weir's own answers too"),
	END,
};

static const struct config_object object = {
	.id = OBJECT_MODULE,
	.path = "modules.headers",
	.what = "headers",
	.doc = "Changes to headers. See [headers](modules/headers.md).",
	.size = sizeof(struct headers),
	.fields = fields,
};

static int forward(struct module_call *c)
{
	const struct headers *h = c->values;

	module_edit_headers(c, module_request(c), &h->request, false);
	return MODULE_PASS;
}

static int response(struct module_call *c, struct head *head, bool own)
{
	const struct headers *h = c->values;

	(void)own;
	module_edit_headers(c, head, &h->response, true);
	return MODULE_PASS;
}

static void tell(struct text *out, const char *where, const struct conf_headers *h)
{
	text_fmt(out, "%s: %u removed, %u renamed, %u set, %u added", where, h->remove.n, h->rename_n,
		h->set_n, h->add_n);
}

static void explain(const void *values, void *data, const struct head *request, const struct addr *client,
	struct text *out)
{
	const struct headers *h = values;

	(void)data;
	(void)request;
	(void)client;
	tell(out, "request", &h->request);
	text_put(out, STR("; "));
	tell(out, "answer", &h->response);
}

const struct module headers_module = {
	.config = {.abi = MODULE_ABI, .name = "headers", .levels = MODULE_ANYWHERE, .object = &object},
	.forward = forward,
	.response = response,
	.explain = explain,
};
