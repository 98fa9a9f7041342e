/* modules/maintenance.c - a tenant or a route is closed for a while: 503 with Retry-After, but for those who may pass. */
#include "modules.h"

struct maintenance {
	uint32_t retry_after; /* ms */
	struct cidr *allow;
	uint32_t allow_n;
	struct str body, content_type;
};

static const struct config_field fields[] = {
	DURATION("retry_after", struct maintenance, retry_after,
		"when clients should come back; the answer says it in whole seconds", .dflt = 300000),
	NETWORKS("allow", struct maintenance, allow, allow_n,
		"who passes: addresses and networks; the client's address, as trusted proxies tell it"),
	LINES("body", struct maintenance, body,
		"what the others read; empty: the page for 503 of module errors, or weir's"),
	STRING("content_type", struct maintenance, content_type, "of the body",
		.text = "text/html; charset=utf-8"),
	END,
};

static const struct config_object object = {
	.id = OBJECT_MODULE,
	.path = "modules.maintenance",
	.what = "maintenance",
	.doc = "Closed for a while: 503 with Retry-After, but for those who may pass. See "
	       "[maintenance](modules/maintenance.md).",
	.size = sizeof(struct maintenance),
	.fields = fields,
};

static bool may_pass(const struct maintenance *m, const struct addr *client)
{
	for (uint32_t i = 0; i < m->allow_n; i++)
		if (cidr_has(&m->allow[i], client))
			return true;
	return false;
}

static int routed(struct module_call *c)
{
	const struct maintenance *m = c->values;
	struct fields head = {0};
	struct str seconds;

	if (may_pass(m, module_client(c)))
		return MODULE_DECLINE;
	seconds = arena_fmt(c->arena, "%u", MAX(1u, m->retry_after / 1000));
	if (m->body.n == 0) {
		module_reply_header(c, STR("retry-after"), seconds);
		return REASON_MAINTENANCE;
	}
	fields_add(c->arena, &head, FIELD_CONTENT_TYPE, STR("content-type"), m->content_type);
	fields_add(c->arena, &head, FIELD_RETRY_AFTER, STR("retry-after"), seconds);
	fields_add(c->arena, &head, FIELD_CACHE_CONTROL, STR("cache-control"), STR("no-store"));
	fields_add(c->arena, &head, FIELD_OTHER, STR("x-weir-reason"), STR("maintenance"));
	module_set_reason(c, REASON_MAINTENANCE);
	return module_answer(c, 503, &head, m->body);
}

static void explain(const void *values, void *data, const struct head *request, const struct addr *client,
	struct text *out)
{
	(void)data;
	(void)request;
	text_put(out,
		may_pass(values, client) ? STR("the client may pass") : STR("the client is turned away"));
}

const struct module maintenance_module = {
	.config = {.abi = MODULE_ABI, .name = "maintenance", .levels = MODULE_ANYWHERE, .object = &object},
	.routed = routed,
	.explain = explain,
};
