/* control/reload.c - from the file to the workers: everything that can be wrong is found before anything is changed. */
#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"
#include "control/control.h"
#include "control/diff.h"
#include "control/handover.h"
#include "control/install.h"
#include "control/last_good.h"

/* What is being put together; on any error it is dropped, and nothing has happened. Waits in control->candidate while the supervisor
 * opens sockets. */
struct candidate {
	struct conf *conf;
	struct conf_report report;
	struct cert_stores stores;
	struct module_set *modules;
	uint64_t fingerprint;
};

void candidate_free(struct candidate **nextp)
{
	struct candidate *next = TAKE(nextp);

	if (!next)
		return;
	if (next->conf)
		conf_free(next->conf);
	cert_stores_free(&next->stores);
	module_set_unref(next->modules);
	conf_report_free(&next->report);
	free(next);
}

/* -- is it new? -- */

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

static void add_address(
	const struct control *c, json_t *addresses, const struct conf_listener *l, bool missing)
{
	if (!missing || !listener_sockets_find(&c->sockets, l->socket_key))
		json_array_append_new(addresses, json_stringn(l->socket_key.p, l->socket_key.n));
}

/* The addresses that conf listens on; missing: only those that have no sockets here yet. */
static json_t *addresses_of(const struct control *c, const struct conf *conf, bool missing)
{
	json_t *addresses = json_array();
	struct conf_listener admin[2];
	struct admin_texts texts;
	uint32_t admin_n = admin_listeners(&conf->admin, &texts, admin);

	for (uint32_t i = 0; i < conf->listener_n; i++)
		add_address(c, addresses, &conf->listeners[i], missing);
	for (uint32_t i = 0; i < admin_n; i++)
		add_address(c, addresses, &admin[i], missing);
	return addresses;
}

static void check_socket(const struct control *c, struct candidate *next, const struct conf_listener *l,
	bool optional, const json_t *errors)
{
	json_t *why = json_object_getn(errors, l->socket_key.p, l->socket_key.n);

	if (listener_sockets_find(&c->sockets, l->socket_key))
		return;
	conf_report_add(&next->report, next->conf, l->place, optional, "%s",
		why ? json_string_value(why) : "the supervisor has sent no socket for this listener");
}

/* Those that could not be had are errors of the configuration. An admin socket that is only the default costs the way in, but is no
 * reason not to serve. */
static void check_sockets(const struct control *c, struct candidate *next, const json_t *errors)
{
	struct conf_listener admin[2];
	struct admin_texts texts;
	uint32_t admin_n = admin_listeners(&next->conf->admin, &texts, admin);

	for (uint32_t i = 0; i < next->conf->listener_n; i++)
		check_socket(c, next, &next->conf->listeners[i], false, errors);
	for (uint32_t i = 0; i < admin_n; i++)
		check_socket(c, next, &admin[i],
			admin[i].addr.family == ADDR_UNIX && !next->conf->admin.socket_given, errors);
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

/* Closes the sockets that no listener of conf uses, here and at the supervisor. */
static void close_unused_sockets(struct control *c, const struct conf *conf)
{
	list_each_safe (link, &c->sockets.all) {
		struct listener_socket *ls = CONTAINER(link, struct listener_socket, link);

		if (!has_sockets(conf, ls->key))
			listener_socket_close(&ls, true);
	}
	orders_keep_sockets(c, addresses_of(c, conf, false));
}

/* -- installing -- */

static void install(struct control *c, struct candidate *next)
{
	const struct verified before = {.conf = c->snapshot ? c->snapshot->conf : NULL, .stores = &c->stores},
			      after = {.conf = next->conf, .stores = &next->stores};
	uint64_t generation = c->snapshot ? c->snapshot->generation : handover_generation(c->orders.state);

	if (c->snapshot) {
		json_decref(c->changes);
		c->changes = conf_diff(&before, &after);
	}
	c->fingerprint = next->fingerprint;
	cert_stores_free(&c->stores);
	c->stores = next->stores;
	next->stores = (struct cert_stores){0};
	io_thread_configure(&c->io, &next->conf->log);
	store_open(&c->store, next->conf->state_dir.p);
	runtime_follow(&c->runtime, next->conf);
	install_begin(c, &next->conf, next->modules, generation + 1);
	admin_follow(&c->admin);
	watch_follow(&c->watch, c->snapshot->conf);
	module_watch_follow(&c->module_watch, c->snapshot->modules);
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

void reload_tell_not_started(struct control *c, const struct conf_report *report)
{
	char *text = conf_report_text(report);

	conf_tell_not_started(c->config, report);
	if (*text)
		text[strlen(text) - 1] = 0; /* the end of its last line: it is told within a sentence */
	orders_tell_failed(c, text);
	free(text);
}

bool reload_from_last_good(struct control *c, struct conf_report *report)
{
	struct conf_report of_kept;
	struct conf *conf;
	char *text;

	if (c->orders.last_good < 0 || c->not_first)
		return false;
	conf = last_good_load(c->orders.last_good, &of_kept);
	if (!conf) {
		conf_report_free(&of_kept);
		return false;
	}
	text = conf_report_text(report);
	fprintf(stderr, "%sweir: %s cannot be served; what is served is the last good configuration\n", text,
		c->config);
	free(text);
	c->not_first = problems(report, false);
	conf_report_free(report);
	c->first = conf;
	c->first_report = of_kept;
	return true;
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
	orders_tell_reloaded(c, "refused", c->snapshot->generation);
}

static void tell_unchanged(struct control *c)
{
	metrics_reloaded(&c->metrics, RELOAD_UNCHANGED);
	tell_ended(c, CONF_LEVEL_INFO,
		json_pack("{s:s, s:I}", "outcome", "unchanged", "generation",
			(json_int_t)c->snapshot->generation));
	orders_tell_reloaded(c, "unchanged", c->snapshot->generation);
}

static void tell_warnings(struct control *c, const struct candidate *next)
{
	json_decref(c->warnings);
	c->warnings = NULL;
	if (next->report.n <= next->report.errors)
		return;
	c->warnings = problems(&next->report, true);
	event_emit(
		&c->io, CONF_LEVEL_WARNING, "config_warnings", json_pack("{s:O}", "warnings", c->warnings));
}

/* Connections, counters and sockets belong to workers: their number stands for the life of the process, and so does whose it is. */
static void check_for_restart(const struct control *c, struct candidate *next)
{
	uint32_t wanted = control_workers_for(next->conf);

	if (c->snapshot && !str_eq(next->conf->user, c->snapshot->conf->user))
		conf_report_add(&next->report, next->conf, next->conf->user_place, true,
			"another \"user\" takes effect when weir is started again");
	if (c->snapshot && wanted != c->worker_n)
		conf_report_add(&next->report, next->conf, next->conf->workers_place, true,
			"%u workers take effect when weir is started again; until then there are %u", wanted,
			c->worker_n);
}

static void verify(struct control *c, struct candidate *next)
{
	struct verified served = {.stores = &c->stores};

	if (c->snapshot) {
		served.conf = c->snapshot->conf;
		served.modules = c->snapshot->modules;
	}
	conf_verify(next->conf, c->snapshot ? &served : NULL, &c->homes, &next->stores, &next->modules,
		&next->report);
}

/* Nothing has happened. */
static void refuse(struct control *c, struct candidate *next)
{
	tell_refused(c, next);
	candidate_free(&next);
	if (!c->snapshot) {
		c->code = 1;
		control_stop(c, "the configuration cannot be served");
	}
}

static struct candidate *candidate_load(struct control *c)
{
	struct candidate *next = calloc(1, sizeof(*next));

	MUST(next);
	next->report = c->first_report;
	c->first_report = (struct conf_report){0};
	next->conf = TAKE(&c->first);
	if (!next->conf)
		next->conf = conf_load(c->config, &next->report);
	if (next->conf) {
		verify(c, next);
		check_for_restart(c, next);
		next->fingerprint = next->conf->fingerprint;
		conf_forget_texts(next->conf);
	}
	return next;
}

void reload(struct control *c)
{
	struct candidate *next;

	reload_log_begin(&c->reloads);
	next = candidate_load(c);
	if (!c->snapshot && next->report.errors > 0 && reload_from_last_good(c, &next->report)) {
		candidate_free(&next);
		next = candidate_load(c);
	}
	c->orders.reload_running = c->orders.reload_asked;
	if (!next->conf || next->report.errors > 0) {
		refuse(c, next);
	} else if (is_unchanged(c, next)) {
		tell_unchanged(c);
		candidate_free(&next);
	} else {
		json_t *missing = addresses_of(c, next->conf, true);
		bool ask = json_array_size(missing) > 0;

		c->candidate = next;
		if (c->state != CONTROL_STARTING)
			control_set_state(c, CONTROL_BINDING);
		if (ask)
			orders_ask_sockets(c, json_incref(missing), c->worker_n);
		json_decref(missing);
		if (!ask)
			reload_bound(c, NULL);
	}
}

void reload_bound(struct control *c, const json_t *errors)
{
	struct candidate *next = TAKE(&c->candidate);
	bool starting = c->state == CONTROL_STARTING;

	if (!next)
		return;
	check_sockets(c, next, errors);
	if (!starting && c->state != CONTROL_BINDING) { /* told to stop meanwhile */
		candidate_free(&next);
	} else if (next->report.errors == 0) {
		tell_warnings(c, next);
		install(c, next);
		candidate_free(&next);
	} else {
		if (!starting) {
			close_unused_sockets(c, c->snapshot->conf);
			control_set_state(c, CONTROL_SERVING);
		}
		refuse(c, next);
		install_next(c);
	}
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
	control_tidy(c);
	if (c->state == CONTROL_STARTING) {
		/* Before the event: whoever has seen it may kill us, and that is no failed start. */
		orders_tell_ready(c);
		event_emit(&c->io, CONF_LEVEL_INFO, "ready",
			json_pack("{s:I, s:i, s:i, s:s}", "generation", generation, "workers",
				(int)c->worker_n, "tenants", (int)c->snapshot->conf->tenant_n, "version",
				WEIR_VERSION));
		if (c->not_first) {
			metrics_reloaded(&c->metrics, RELOAD_REFUSED);
			tell_ended(c, CONF_LEVEL_ERROR,
				json_pack("{s:s, s:I, s:b, s:o}", "outcome", "refused", "generation",
					generation, "last_good", 1, "errors", TAKE(&c->not_first)));
		} else {
			reload_log_end(&c->reloads, NULL);
		}
	} else {
		tell_ended(c, CONF_LEVEL_INFO,
			json_pack("{s:s, s:I, s:i, s:o, s:o*}", "outcome", "applied", "generation",
				generation, "generations_alive", (int)c->snapshots_alive, "changes",
				TAKE(&c->changes), "warnings", TAKE(&c->warnings)));
		orders_tell_reloaded(c, "applied", c->snapshot->generation);
	}
}
