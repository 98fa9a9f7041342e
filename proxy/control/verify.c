#include "control/verify.h"

#include "base/map.h"
#include "config/report.h"
#include "io/tls.h"

/* One verification. */
struct verify {
	const struct conf *conf;
	struct conf_report *report;
	struct arena scratch;
	struct map clients; /* of what was tried already: many pools speak TLS in the same way */
};

static void say(void *ctx, struct conf_place place, bool warning, const char *text)
{
	struct verify *v = ctx;

	conf_report_add(v->report, v->conf, place, warning, "%s", text);
}

static void verify_listener(struct verify *v, const struct conf_listener *l)
{
	char err[512] = "";
	struct cert_store *store = cert_store_new(&l->tls, NULL, say, v);
	struct ticket_keys *keys;
	struct tls_server *server;

	if (!store)
		return;
	keys = ticket_keys_rotate(NULL);
	server = keys ? tls_server_new(&l->tls, store, keys, l->http2, err, sizeof(err)) : NULL;
	if (!server)
		conf_report_add(v->report, v->conf, l->tls.place, false, "listener \"" STR_FMT "\": %s",
			STR_ARG(l->name), keys ? err : "no randomness for session tickets");
	tls_server_release(server);
	ticket_keys_unref(keys);
	cert_store_unref(store);
}

static void verify_admin(struct verify *v)
{
	struct conf_listener_tls tls = {.certs = (struct conf_cert *)&v->conf->admin.tls,
		.cert_n = 1,
		.place = v->conf->admin.tls.place};

	cert_store_unref(cert_store_new(&tls, NULL, say, v));
}

static void verify_client(struct verify *v, const struct conf_policy *p)
{
	const struct conf_upstream_tls *t = &p->tls;
	struct str key = arena_fmt(&v->scratch, "%d%d\n" STR_FMT "\n" STR_FMT "\n" STR_FMT, p->protocol,
		t->verify, STR_ARG(t->ca), STR_ARG(t->cert), STR_ARG(t->key));
	char err[512] = "";
	struct tls_client *client;

	if (map_put(&v->clients, key, v))
		return;
	client = tls_client_new(t, p->protocol, err, sizeof(err));
	if (!client)
		conf_report_add(v->report, v->conf, t->place, false, "%s", err);
	tls_client_release(client);
}

bool conf_verify(const struct conf *c, struct conf_report *r)
{
	struct verify v = {.conf = c, .report = r};

	arena_init(&v.scratch, NULL);
	for (uint32_t i = 0; i < c->listener_n; i++)
		if (c->listeners[i].has_tls)
			verify_listener(&v, &c->listeners[i]);
	if (c->admin.has_tls)
		verify_admin(&v);
	for (uint32_t t = 0; t < c->tenant_n; t++)
		for (uint32_t s = 0; s < c->tenants[t].service_n; s++)
			for (uint32_t p = 0; p < c->tenants[t].services[s].pool_n; p++)
				if (c->tenants[t].services[s].pools[p].policy.tls.on)
					verify_client(&v, &c->tenants[t].services[s].pools[p].policy);
	map_free(&v.clients);
	arena_free(&v.scratch);
	report_sort(r);
	return r->errors == 0;
}
