#include "control/verify.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/map.h"
#include "base/obj.h"
#include "config/report.h"
#include "control/admin/door.h"
#include "io/tls.h"

/* One verification. */
struct verify {
	const struct conf *conf;
	const struct verified *before;
	struct conf_report *report;
	struct arena scratch;
	struct map clients; /* of what was tried already: many pools speak TLS in the same way */
};

static void say(void *ctx, struct conf_place place, bool warning, const char *text)
{
	struct verify *v = ctx;

	conf_report_add(v->report, v->conf, place, warning, "%s", text);
}

/* The certificates that this listener has now. */
static const struct cert_store *store_before(const struct verify *v, const struct conf_listener *l)
{
	for (uint32_t i = 0; v->before && i < v->before->stores->n; i++)
		if (v->before->stores->v[i] &&
			str_eq(v->before->conf->listeners[i].socket_key, l->socket_key))
			return v->before->stores->v[i];
	return NULL;
}

/* A context is made for trial: what would fail in a worker fails here, where it can be refused. */
static struct cert_store *verify_listener(
	struct verify *v, const struct conf_listener *l, const struct cert_store *before)
{
	char err[512] = "";
	struct cert_store *store = cert_store_new(&l->tls, before, say, v);
	struct ticket_keys *keys;
	struct tls_server *server;

	if (!store)
		return NULL;
	keys = ticket_keys_rotate(NULL);
	server = keys ? tls_server_new(&l->tls, store, keys, l->http2, err, sizeof(err)) : NULL;
	if (!server)
		conf_report_add(v->report, v->conf, l->tls.place, false, "listener \"" STR_FMT "\": %s",
			STR_ARG(l->name), keys ? err : "no randomness for session tickets");
	tls_server_release(server);
	ticket_keys_unref(keys);
	return store;
}

/* Can the socket's directory be made, if it is not there? Where the file is only a default, that is no more than a warning. */
static void verify_admin_socket(struct verify *v, const struct conf_listener *l)
{
	bool given = v->conf->admin.socket_given;
	struct sockaddr_un un;
	struct stat st;
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), STR_FMT, STR_ARG(l->unix_path));

	if (n >= (int)sizeof(un.sun_path)) {
		conf_report_add(v->report, v->conf, l->place, false,
			"the admin socket's path is longer than %zu bytes: \"" STR_FMT "\"",
			sizeof(un.sun_path) - 1, STR_ARG(l->unix_path));
		return;
	}
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		conf_report_add(v->report, v->conf, l->place, !given,
			"the admin socket \"%s\" cannot be made: a file that is no socket has that name",
			path);
	/* Its directory is made; what that one lies in must be there. */
	for (int i = 0; i < 2 && strcmp(path, "/") != 0; i++)
		if (access(dirname(path), F_OK) == 0)
			break;
	/* With `user` the supervisor makes it, as root. */
	if (given && !v->conf->user.n && access(path, W_OK | X_OK) != 0)
		conf_report_add(v->report, v->conf, l->place, true,
			"the admin socket \"" STR_FMT "\" cannot be made as this user: %s: %s",
			STR_ARG(l->unix_path), path, strerror(errno));
}

static struct cert_store *verify_admin(struct verify *v)
{
	struct conf_listener listeners[2];
	struct admin_texts texts;
	uint32_t n = admin_listeners(&v->conf->admin, &texts, listeners);
	struct cert_store *store = NULL;

	for (uint32_t i = 0; i < n; i++) {
		if (listeners[i].addr.family == ADDR_UNIX)
			verify_admin_socket(v, &listeners[i]);
		else if (listeners[i].has_tls)
			store = verify_listener(
				v, &listeners[i], v->before ? v->before->stores->admin : NULL);
	}
	return store;
}

/* Lines that cannot be written are dropped, and the file is tried again; whoever has just changed the path wants to know at once. */
static void verify_log(struct verify *v, struct str path, struct conf_place place)
{
	char file[PATH_MAX];
	struct stat st;
	int why = 0;

	if (str_eq(path, STR("stdout")) || str_eq(path, STR("stderr")) ||
		snprintf(file, sizeof(file), STR_FMT, STR_ARG(path)) >= (int)sizeof(file))
		return;
	if (stat(file, &st) == 0 && S_ISDIR(st.st_mode))
		why = EISDIR;
	else if (access(file, W_OK) != 0 && (errno != ENOENT || access(dirname(file), W_OK | X_OK) != 0))
		why = errno;
	if (why)
		conf_report_add(v->report, v->conf, place, true,
			"the log \"" STR_FMT "\" cannot be written: %s; its lines are lost until it can",
			STR_ARG(path), strerror(why));
}

/* Only by the process that is to write there: another machine's, or another user's, directories say nothing. */
static void verify_logs(struct verify *v)
{
	const struct conf_log *log = &v->conf->log;

	if (!v->before)
		return;
	if (log->access_format != CONF_LOG_OFF)
		verify_log(v, log->access_path, log->access_place);
	verify_log(v, log->events_path, log->events_place);
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

void cert_stores_free(struct cert_stores *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		cert_store_unref(s->v[i]);
	free(s->v);
	cert_store_unref(s->admin);
	*s = (struct cert_stores){0};
}

bool conf_verify(const struct conf *c, const struct verified *before, struct module_homes *homes,
	struct cert_stores *stores, struct module_set **modules, struct conf_report *r)
{
	struct module_set *built = module_set_build(c, before ? before->modules : NULL, homes, r);
	struct verify v = {.conf = c, .before = before, .report = r};
	struct cert_stores made = {.n = c->listener_n, .v = calloc(c->listener_n + 1, sizeof(*made.v))};

	MUST(made.v);
	arena_init(&v.scratch, NULL);
	for (uint32_t i = 0; i < c->listener_n; i++)
		if (c->listeners[i].has_tls)
			made.v[i] = verify_listener(&v, &c->listeners[i], store_before(&v, &c->listeners[i]));
	made.admin = verify_admin(&v);
	verify_logs(&v);
	for (uint32_t t = 0; t < c->tenant_n; t++)
		for (uint32_t s = 0; s < c->tenants[t].service_n; s++)
			for (uint32_t p = 0; p < c->tenants[t].services[s].pool_n; p++)
				if (c->tenants[t].services[s].pools[p].policy->tls.on)
					verify_client(&v, c->tenants[t].services[s].pools[p].policy);
	map_free(&v.clients);
	arena_free(&v.scratch);
	report_sort(r);
	if (stores)
		*stores = made;
	else
		cert_stores_free(&made);
	if (modules)
		*modules = built;
	else
		module_set_unref(built);
	return r->errors == 0;
}

void conf_tell_not_started(const char *file, const struct conf_report *r)
{
	char *text = conf_report_text(r);

	fprintf(stderr, "%sweir: not started: %u error%s in %s\n", text, r->errors, r->errors == 1 ? "" : "s",
		file);
	free(text);
}
