#include "cli/client.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"
#include "cli/listed_members.h"
#include "control/cookie_secret.h"
#include "exchange/explain/explain.h"

struct explain_options {
	const char *config, *method, *ip;
	struct cli_list headers;
	struct client_options client;
};

static const struct cli_option options[] = {
	TEXT("config", 'c', "FILE", struct explain_options, config,
		"the configuration to look in; else the running weir is asked"),
	TEXT("method", 'X', "METHOD", struct explain_options, method, "of the request; GET"),
	LIST("header", 'H', "'NAME: VALUE'", struct explain_options, headers,
		"of the request; may be given many times"),
	TEXT("ip", 0, "ADDRESS", struct explain_options, ip, "who asks; 127.0.0.1"),
	CLIENT_OPTIONS(struct explain_options),
	OPTIONS_END,
};

/* Takes it. */
static void print_document(json_t *j)
{
	char *text = json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(6));

	MUST(text);
	puts(text);
	free(text);
	json_decref(j);
}

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

/* Takes the configuration; modules: what its modules have built. */
static int explain(struct conf **c, struct module_set *modules, struct explain_request *r, bool json)
{
	struct backend_registry backends = {0};
	struct slots pool_slots = {0}, service_slots = {0};
	struct listed_members listed = {0};
	struct roster_source roster = listed_members_source(&listed);
	struct snapshot *snapshot = snapshot_build(c, &(struct snapshot_parts){.roster = &roster,
							      .backends = &backends,
							      .pool_slots = &pool_slots,
							      .service_slots = &service_slots,
							      .modules = modules});
	struct pool_now *now = calloc(pool_slots.n + 1, sizeof(*now));
	struct explanation e = {.request = r, .snapshot = snapshot, .now = now};

	MUST(now);
	for (uint32_t p = 0; p < snapshot->pool_n; p++)
		now[snapshot->pools[p]->slot->number] = pool_now_of(snapshot->pools[p]->conf);
	e.keys_known = find_keys(&e);
	explain_find(&e);
	if (json)
		print_document(explain_json(&e));
	else
		explain_text(&e, stdout);
	free(now);
	cookie_keys_unref(e.keys);
	snapshot_free(&snapshot);
	listed_members_free(&listed);
	backend_registry_free(&backends);
	slots_free(&pool_slots);
	slots_free(&service_slots);
	return e.found ? CLI_DONE : CLI_FAILED;
}

static int explain_file(const struct explain_options *o, struct explain_request *r)
{
	struct conf_report report;
	struct conf *c = conf_load(o->config, &report);
	struct module_set *modules = c ? module_set_build(c, NULL, NULL, &report) : NULL;
	int status = CLI_FAILED;

	if (c && report.errors == 0) {
		status = explain(&c, modules, r, o->client.json);
	} else {
		char *text = conf_report_text(&report);

		fputs(text, stderr);
		free(text);
		if (c)
			conf_free(c);
	}
	module_set_unref(modules);
	conf_report_free(&report);
	return status;
}

static void put_parameter(FILE *f, const char *name, const char *value)
{
	char *encoded = client_encode(value);

	fprintf(f, "%c%s=%s", strcmp(name, "url") == 0 ? '?' : '&', name, encoded);
	free(encoded);
}

/* "/v1/explain?url=...&header=..."; malloc'ed. */
static char *path_of(const struct explain_options *o, const char *url)
{
	size_t n;
	char *path = NULL;
	FILE *f = open_memstream(&path, &n);

	MUST(f);
	fputs("/v1/explain", f);
	put_parameter(f, "url", url);
	if (o->method)
		put_parameter(f, "method", o->method);
	if (o->ip)
		put_parameter(f, "ip", o->ip);
	for (uint32_t i = 0; i < o->headers.n; i++)
		put_parameter(f, "header", o->headers.v[i]);
	fclose(f);
	MUST(path);
	return path;
}

static int explain_running(const struct explain_options *o, const char *url)
{
	char *path = path_of(o, url);
	struct client_answer a;
	int status = client_call(&o->client, "GET", path, NULL, &a);
	const char *text = json_string_value(json_object_get(a.body, "text"));

	if (status == CLI_DONE && o->client.json)
		client_print_json(&a);
	else if (status == CLI_DONE && text)
		fputs(text, stdout);
	if (status == CLI_DONE && !json_is_true(json_object_get(a.body, "found")))
		status = CLI_FAILED;
	client_answer_free(&a);
	free(path);
	return status;
}

static int run(const void *parsed, const struct cli_list *arguments)
{
	const struct explain_options *o = parsed;
	struct explain_request r;
	char err[512];
	int status;

	if (arguments->n == 0)
		return cli_usage(&explain_command, "which request? Give its URL: http://host/path");
	if (!explain_request_parse(
		    &r, arguments->v[0], o->method, o->headers.v, o->headers.n, o->ip, err, sizeof(err)))
		status = cli_usage(&explain_command, "%s", err);
	else if (o->config)
		status = explain_file(o, &r);
	else
		status = explain_running(o, arguments->v[0]);
	explain_request_free(&r);
	return status;
}

const struct cli_command explain_command = {
	.name = "explain",
	.synopsis = "URL [-c FILE] [-X METHOD] [-H 'NAME: VALUE']... [--ip ADDRESS] [--json]",
	.summary = "say what would happen to a request, and why",
	.examples = "  weir explain https://shop.acme.test/api/items\n"
		    "  weir explain http://acme.test/ -c weir.yaml -X POST -H 'X-Weir-Pool: green'\n"
		    "  weir explain http://acme.test/ -c weir.yaml -H 'Cookie: weir_id=...'",
	.help = "Goes the way of a request without sending it: which listener it comes to, which tenant has "
		"the host, which route is\n"
		"the most specific and what the others lack, which modules it meets, which pool the split "
		"gives it to and why, and "
		"which backends it may\n"
		"reach. Where nobody knows the user yet, all pools are shown with their shares.\n"
		"\n"
		"With -c FILE that configuration is looked in, and every backend is taken for usable; lists "
		"in files are read, names (dns:, srv:)\n"
		"are not looked up. Else the running weir is asked, which knows their addresses, their "
		"health, and what weights are in effect.\n"
		"\n"
		"exit status: 0 something answers, 1 nothing does, or a module turns it away",
	.options = options,
	.options_size = sizeof(struct explain_options),
	.arguments = 1,
	.run = run,
};
