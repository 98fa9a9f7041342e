/* control/reload.c - from the file to the workers: everything that can be wrong is found before anything is changed. */
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "base/obj.h"
#include "control/control.h"
#include "control/install.h"

/* What is being put together; on any error it is dropped, and nothing has happened. */
struct candidate {
	struct conf *conf;
	struct conf_report report;
	struct cert_stores stores;
	struct module_set *modules;
	uint64_t fingerprint;
};

/* -- is it new? -- */

static uint64_t hash_file(struct str path, uint64_t seed)
{
	FILE *f = fopen(path.p, "re");
	char buf[16384];
	size_t n;

	seed = hash_bytes(path.p, path.n, seed);
	while (f && (n = fread(buf, 1, sizeof(buf), f)) > 0)
		seed = hash_bytes(buf, n, seed);
	if (f)
		fclose(f);
	return seed;
}

/* The bytes of everything that was read, but for certificates, which tell by themselves whether they are the same. */
static uint64_t fingerprint(const struct conf *conf)
{
	uint64_t h = 0;

	for (uint32_t i = 0; i < conf->file_n; i++)
		h = hash_file(conf->files[i], h);
	for (uint32_t t = 0; t < conf->tenant_n; t++)
		for (uint32_t e = 0; e < conf->tenants[t].error_n; e++)
			h = hash_bytes(
				conf->tenants[t].errors[e].body.p, conf->tenants[t].errors[e].body.n, h);
	return h;
}

static bool same_certs(const struct cert_store *a, const struct cert_store *b)
{
	if (!a || !b || a->cert_n != b->cert_n)
		return a == b;
	for (uint32_t i = 0; i < a->cert_n; i++)
		if (a->certs[i] != b->certs[i])
			return false;
	return true;
}

static bool is_unchanged(const struct control *c, const struct candidate *next)
{
	if (!c->snapshot || next->fingerprint != c->fingerprint || next->stores.n != c->stores.n)
		return false;
	for (uint32_t i = 0; i < next->stores.n; i++)
		if (!same_certs(next->stores.v[i], c->stores.v[i]))
			return false;
	return same_certs(next->stores.admin, c->stores.admin) &&
	       module_set_same(next->modules, c->snapshot->modules);
}

/* -- listening sockets -- */

static void make_directory_of(struct str path)
{
	char *copy = strndup(path.p, path.n);

	MUST(copy);
	mkdir(dirname(copy), 0755); /* if it fails, bind() says why */
	free(copy);
}

/* A default that does not work here costs the way in, but is no reason not to serve. */
static void open_admin_sockets(struct control *c, struct candidate *next)
{
	struct conf_listener admin[2];
	struct admin_texts texts;
	uint32_t n = admin_listeners(&next->conf->admin, &texts, admin);
	char err[512];

	for (uint32_t i = 0; i < n; i++) {
		bool optional = admin[i].addr.family == ADDR_UNIX && !next->conf->admin.socket_given;

		if (admin[i].addr.family == ADDR_UNIX)
			make_directory_of(admin[i].unix_path);
		if (listener_sockets_open(&c->sockets, &admin[i], 1, err, sizeof(err)))
			continue;
		conf_report_add(&next->report, next->conf, admin[i].place, optional, "%s", err);
	}
}

static void open_sockets(struct control *c, struct candidate *next)
{
	char err[512];

	for (uint32_t i = 0; i < next->conf->listener_n; i++) {
		const struct conf_listener *l = &next->conf->listeners[i];

		if (!listener_sockets_open(&c->sockets, l, c->worker_n, err, sizeof(err)))
			conf_report_add(&next->report, next->conf, l->place, false, "%s", err);
	}
	open_admin_sockets(c, next);
}

static bool has_sockets(const struct conf *conf, const char *key)
{
	struct conf_listener admin[2];
	struct admin_texts texts;
	uint32_t admin_n = admin_listeners(&conf->admin, &texts, admin);

	for (uint32_t i = 0; i < admin_n; i++)
		if (str_eq(admin[i].socket_key, str_of(key)))
			return true;
	for (uint32_t i = 0; i < conf->listener_n; i++)
		if (str_eq(conf->listeners[i].socket_key, str_of(key)))
			return true;
	return false;
}

/* Closes the sockets that no listener of conf uses. */
static void close_unused_sockets(struct control *c, const struct conf *conf)
{
	list_each_safe (link, &c->sockets.all) {
		struct listener_socket *ls = CONTAINER(link, struct listener_socket, link);

		if (!has_sockets(conf, ls->key))
			listener_socket_close(&ls, false);
	}
}

/* -- installing -- */

static void install(struct control *c, struct candidate *next)
{
	c->fingerprint = next->fingerprint;
	cert_stores_free(&c->stores);
	c->stores = next->stores;
	next->stores = (struct cert_stores){0};
	io_thread_configure(&c->io, &next->conf->log);
	store_open(&c->store, next->conf->state_dir.p);
	runtime_follow(&c->runtime, next->conf);
	install_begin(c, &next->conf, next->modules, c->snapshot ? c->snapshot->generation + 1 : 1);
	admin_follow(&c->admin);
}

/* -- outcomes -- */

static json_t *problems(const struct conf_report *report, bool warnings)
{
	char *text = conf_report_json(report);
	json_t *all = json_loads(text, 0, NULL), *some = json_array(), *one;
	size_t i;

	json_array_foreach(all, i,
		one) if ((strcmp(json_string_value(json_object_get(one, "severity")), "warning") == 0) ==
			 warnings) json_array_append(some, one);
	json_decref(all);
	free(text);
	return some;
}

void reload_tell_not_started(const struct control *c, const struct conf_report *report)
{
	char *text = conf_report_text(report);

	fprintf(stderr, "%sweir: not started: %u error%s in %s\n", text, report->errors,
		report->errors == 1 ? "" : "s", c->config);
	free(text);
}

/* An event, and an answer for those who wait for it. Takes the outcome. */
static void tell_ended(struct control *c, uint8_t level, json_t *outcome)
{
	reload_log_end(&c->reloads, outcome);
	event_emit(&c->io, level, "reload", outcome);
}

static void tell_refused(struct control *c, const struct candidate *next)
{
	if (!c->snapshot) {
		reload_tell_not_started(c, &next->report);
		return;
	}
	metrics_reloaded(&c->metrics, RELOAD_REFUSED);
	tell_ended(c, CONF_LEVEL_ERROR,
		json_pack("{s:s, s:I, s:o}", "outcome", "refused", "generation",
			(json_int_t)c->snapshot->generation, "errors", problems(&next->report, false)));
}

static void tell_warnings(struct control *c, const struct candidate *next)
{
	if (next->report.n > next->report.errors)
		event_emit(&c->io, CONF_LEVEL_WARNING, "config_warnings",
			json_pack("{s:o}", "warnings", problems(&next->report, true)));
}

static void verify(const struct control *c, struct candidate *next)
{
	struct verified served = {.stores = &c->stores};

	if (c->snapshot) {
		served.conf = c->snapshot->conf;
		served.modules = c->snapshot->modules;
	}
	conf_verify(next->conf, c->snapshot ? &served : NULL, &next->stores, &next->modules, &next->report);
}

bool reload(struct control *c)
{
	struct candidate next = {.report = c->first_report};
	bool good = false;

	next.conf = TAKE(&c->first);
	if (!next.conf)
		next.conf = conf_load(c->config, &next.report);
	if (next.conf) {
		verify(c, &next);
		next.fingerprint = fingerprint(next.conf);
	}
	if (next.conf && next.report.errors == 0 && is_unchanged(c, &next)) {
		metrics_reloaded(&c->metrics, RELOAD_UNCHANGED);
		tell_ended(c, CONF_LEVEL_INFO,
			json_pack("{s:s, s:I}", "outcome", "unchanged", "generation",
				(json_int_t)c->snapshot->generation));
		good = true;
	} else if (next.conf && next.report.errors == 0) {
		open_sockets(c, &next);
		if (next.report.errors == 0) {
			tell_warnings(c, &next);
			install(c, &next);
			good = true;
		} else if (c->snapshot) {
			close_unused_sockets(c, c->snapshot->conf);
		}
	}
	if (!good)
		tell_refused(c, &next);
	if (next.conf)
		conf_free(next.conf);
	cert_stores_free(&next.stores);
	module_set_unref(next.modules);
	conf_report_free(&next.report);
	return good;
}

/* One event for each listener that was not there before. */
static void tell_listening(struct control *c, const struct conf_listener *listeners, uint32_t n)
{
	char text[ADDR_TEXT_MAX];

	for (uint32_t i = 0; i < n; i++) {
		const struct conf_listener *l = &listeners[i];
		struct listener_socket *ls = listener_sockets_find(&c->sockets, l->socket_key);

		if (!ls || ls->told)
			continue;
		ls->told = true;
		event_emit(&c->io, CONF_LEVEL_INFO, "listening",
			json_pack("{s:s, s:s, s:b}", "listener", l->name.p, "address",
				ls->unix_path ? ls->key : addr_text(&ls->addr, text).p, "tls", l->has_tls));
	}
}

void reload_installed(struct control *c)
{
	const struct conf *conf = c->snapshot->conf;
	json_int_t generation = (json_int_t)c->snapshot->generation;
	struct conf_listener admin[2];
	struct admin_texts texts;

	/* The workers have let go of what is no longer named. */
	close_unused_sockets(c, conf);
	tell_listening(c, conf->listeners, conf->listener_n);
	tell_listening(c, admin, admin_listeners(&conf->admin, &texts, admin));
	metrics_reloaded(&c->metrics, RELOAD_APPLIED);
	if (c->state == CONTROL_STARTING) {
		event_emit(&c->io, CONF_LEVEL_INFO, "ready",
			json_pack("{s:I, s:i, s:i, s:s}", "generation", generation, "workers",
				(int)c->worker_n, "tenants", (int)c->snapshot->conf->tenant_n, "version",
				WEIR_VERSION));
		reload_log_end(&c->reloads, NULL);
	} else {
		tell_ended(c, CONF_LEVEL_INFO,
			json_pack("{s:s, s:I, s:i}", "outcome", "applied", "generation", generation,
				"generations_alive", (int)c->snapshots_alive));
	}
}
