#include "cli/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"
#include "control/cookie_secret.h"

struct explain_options {
	const char *config, *method, *ip;
	struct cli_list headers;
	bool json;
};

static const struct cli_option options[] = {
	TEXT("config", 'c', "FILE", struct explain_options, config, "the configuration to look in"),
	TEXT("method", 'X', "METHOD", struct explain_options, method, "of the request; GET"),
	LIST("header", 'H', "'NAME: VALUE'", struct explain_options, headers,
		"of the request; may be given many times"),
	TEXT("ip", 0, "ADDRESS", struct explain_options, ip, "who asks; 127.0.0.1"),
	SWITCH("json", 0, struct explain_options, json, "print it as JSON"),
	OPTIONS_END,
};

/* The configuration's, and weir's own if this user may read it; any, if there are none: then no cookie is believed. */
static bool find_keys(struct explanation *e)
{
	const struct conf *c = e->snapshot->conf;
	struct str secrets[COOKIE_SECRETS_MAX + 1];
	char own[COOKIE_SECRET_CHARS + 1];
	uint32_t n = 0;
	bool known;

	for (; n < c->cookie_secrets.n; n++)
		secrets[n] = c->cookie_secrets.v[n];
	if (c->state_dir.n && cookie_secret_read(c->state_dir.p, own))
		secrets[n++] = str_of(own);
	known = n > 0;
	if (!known)
		secrets[n++] = STR("nobody's");
	e->keys = cookie_keys_new(secrets, n);
	return known;
}

/* Takes the configuration. */
static int explain(struct conf **c, struct explain_request *r, bool json)
{
	struct backend_registry backends = {0};
	struct slots pool_slots = {0}, service_slots = {0};
	struct snapshot *snapshot = snapshot_build(c,
		&(struct snapshot_parts){
			.backends = &backends, .pool_slots = &pool_slots, .service_slots = &service_slots});
	struct pool_now *now = calloc(pool_slots.n + 1, sizeof(*now));
	struct explanation e = {.request = r, .snapshot = snapshot, .now = now};

	MUST(now);
	for (uint32_t p = 0; p < snapshot->pool_n; p++)
		now[snapshot->pools[p]->slot->number] = pool_now_of(snapshot->pools[p]->conf);
	e.keys_known = find_keys(&e);
	explain_find(&e);
	if (json)
		explain_print_json(&e);
	else
		explain_print_text(&e);
	free(now);
	cookie_keys_unref(e.keys);
	snapshot_free(&snapshot);
	backend_registry_free(&backends);
	slots_free(&pool_slots);
	slots_free(&service_slots);
	return e.found ? CLI_DONE : CLI_FAILED;
}

static int run(const void *parsed, const struct cli_list *arguments)
{
	const struct explain_options *o = parsed;
	struct explain_request r;
	struct conf_report report;
	struct conf *c;
	char err[512];
	int status;

	if (arguments->n == 0)
		return cli_usage(&explain_command, "which request? Give its URL: http://host/path");
	if (!o->config)
		return cli_usage(&explain_command, "which configuration? Give it with -c FILE");
	if (!explain_request_parse(&r, arguments->v[0], o->method, &o->headers, o->ip, err, sizeof(err))) {
		explain_request_free(&r);
		return cli_usage(&explain_command, "%s", err);
	}
	c = conf_load(o->config, &report);
	if (c) {
		status = explain(&c, &r, o->json);
	} else {
		char *text = conf_report_text(&report);

		fputs(text, stderr);
		free(text);
		status = CLI_FAILED;
	}
	conf_report_free(&report);
	explain_request_free(&r);
	return status;
}

const struct cli_command explain_command = {
	.name = "explain",
	.synopsis = "URL -c FILE [-X METHOD] [-H 'NAME: VALUE']... [--ip ADDRESS] [--json]",
	.summary = "say what would happen to a request, and why",
	.help = "Goes the way of a request through FILE without sending it: which listener it comes to, "
		"which tenant has the host,\n"
		"which route is the most specific and what the others lack, which pool the split gives it to "
		"and why, and which\n"
		"backends it may reach. Where nobody knows the user yet, all pools are shown with their "
		"shares. Health is not known\n"
		"here: every backend is taken for usable.\n\n"
		"exit status: 0 something answers, 1 nothing does\n\n"
		"  weir explain https://shop.acme.test/api/items -c weir.yaml\n"
		"  weir explain http://acme.test/ -c weir.yaml -X POST -H 'X-Weir-Pool: green'\n"
		"  weir explain http://acme.test/ -c weir.yaml -H 'Cookie: weir_id=...'",
	.options = options,
	.options_size = sizeof(struct explain_options),
	.arguments = 1,
	.run = run,
};
