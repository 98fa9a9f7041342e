/* modules/ratelimit_key.c - for whom a rule counts a request: its `by`, as one text. */
#include "modules.h"
#include "ratelimit.h"

/* The network that an IPv6 address lies in: who has one address has as many as a network holds. */
static void put_address(struct text *t, const struct addr *a, uint8_t prefix)
{
	char buf[ADDR_TEXT_MAX];
	struct addr net = *a;

	if (a->family == ADDR_IP6) {
		for (unsigned bit = prefix; bit < 128; bit++)
			net.ip[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	}
	text_put(t, addr_ip_text(&net, buf));
}

static void put_header(struct text *t, const struct head *request, struct str name)
{
	const struct field *f = fields_find_name(&request->fields, name);
	struct str value = f ? field_value(f) : STR_NONE;

	text_put(t, str_head(value, t->cap - t->n));
}

static void put_part(struct text *t, const struct module_call *c, const struct ratelimit *conf,
	const struct ratelimit_rule *r, struct str by)
{
	if (str_eq(by, STR("address")))
		put_address(t, module_client(c), r->ipv6_prefix);
	else if (str_eq(by, STR("tenant")))
		text_put(t, module_tenant(c));
	else if (str_eq(by, STR("route")))
		text_put(t, module_route(c));
	else if (str_eq(by, STR("country")))
		put_header(t, module_request(c), conf->country_header);
	else
		put_header(t, module_request(c), str_skip(by, sizeof("header:") - 1));
}

struct str ratelimit_key(const struct module_call *c, const struct ratelimit *conf,
	const struct ratelimit_rule *r, char buf[RATELIMIT_KEY_MAX])
{
	struct text t = text_in(buf, RATELIMIT_KEY_MAX);

	/* No part has a line's end in it, so two lists of parts are never the same text. */
	for (uint32_t i = 0; i < r->by.n; i++) {
		put_part(&t, c, conf, r, r->by.v[i]);
		text_char(&t, '\n');
	}
	return text_str(&t);
}
