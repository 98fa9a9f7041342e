/* Who is asked for the addresses of names. */
#include "base/obj.h"
#include "config/fields.h"

#define DNS_PORT 53

static void each_server(struct parse *p, const struct config_field *f, const struct node *e, void *obj)
{
	struct conf_resolver *r = obj;
	struct addr *server = &r->servers[r->server_n];

	if (e->kind == NODE_SCALAR && addr_parse(server, node_str(e)) && server->port > 0) {
		r->server_n++;
	} else if (e->kind == NODE_SCALAR && addr_parse_ip(server, node_str(e))) {
		server->port = DNS_PORT;
		r->server_n++;
	} else {
		parse_bad(p, f, e, f->type->expects);
	}
}

static void parse_servers(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct conf_resolver *r = obj;

	r->server_n = 0;
	r->servers = arena_array(&p->conf->arena, struct addr, v->kind == NODE_LIST ? v->n : 1);
	parse_list(p, f, v, each_server, obj);
}

static const struct config_type type_servers = {
	.name = "list of addresses",
	.expects = "a list of addresses such as 10.0.0.53 or 127.0.0.1:5353",
	.schema = "{\"type\": \"array\", \"items\": {\"type\": \"string\"}}",
	.parse = parse_servers,
};

static const struct config_field resolver_fields[] = {
	CUSTOM("servers", type_servers, struct conf_resolver, servers,
		"DNS servers, asked in this order; `10.0.0.53`, `[fd00::53]:5353`",
		.text = "those of /etc/resolv.conf"),
	DURATION("timeout", struct conf_resolver, timeout, "of the first attempt; further ones wait longer",
		.dflt = 2000, .min = 50, .max = 30000),
	COUNT("attempts", struct conf_resolver, attempts, "for each server, before the name counts as failed",
		.dflt = 3, .min = 1, .max = 10),
	END,
};

const struct config_object resolver_object = {
	.id = OBJECT_RESOLVER,
	.path = "resolver",
	.what = "resolver",
	.doc = "How the names of `dns:` and `srv:` backends become addresses: by /etc/hosts, then DNS.",
	.size = sizeof(struct conf_resolver),
	.fields = resolver_fields,
};
