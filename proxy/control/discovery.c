#include "control/discovery.h"

#include <event2/event.h>
#include <stdlib.h>
#include "base/obj.h"
#include "config/backend_address.h"
#include "control/io_thread.h"
#include "control/source.h"

#define TTL_UNKNOWN_S 30 /* /etc/hosts has none */
#define EXPAND_DEPTH  3 /* file: names srv: names dns: */

/* -- what a source says -- */

struct source_list source_list_new(uint32_t n)
{
	struct source_list list = {.n = n};

	arena_init(&list.texts, NULL);
	list.v = arena_array(&list.texts, struct conf_backend, n);
	return list;
}

static void list_free(struct source_list *list)
{
	if (list->v || list->conf)
		arena_free(&list->texts);
	conf_free(list->conf);
	*list = (struct source_list){0};
}

static bool same_member(const struct conf_backend *a, const struct conf_backend *b)
{
	return str_eq(a->address, b->address) && a->weight == b->weight && a->priority == b->priority &&
	       a->requests == b->requests && str_eq(a->zone, b->zone) && str_eq(a->host, b->host);
}

static bool same_list(const struct source_list *a, const struct source_list *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (!same_member(&a->v[i], &b->v[i]))
			return false;
	return true;
}

static json_t *address_list(const struct source_list *list)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < list->n; i++)
		json_array_append_new(all, json_stringn(list->v[i].address.p, list->v[i].address.n));
	return all;
}

static void tell_found(const struct source *s)
{
	event_emit(s->discovery->io, CONF_LEVEL_INFO, "resolved",
		json_pack("{s:s, s:s, s:o}", "source", s->key.p, "kind", s->kind->what, "backends",
			address_list(&s->said)));
}

static struct source *source_of(struct discovery *d, const struct conf_backend *entry);

/* Have all the sources that the list names been heard, some time? Names them, so that they are kept and asked. */
static bool all_heard(struct discovery *d, const struct source_list *list)
{
	bool heard = true;

	for (uint32_t i = 0; i < list->n; i++)
		if (list->v[i].kind != CONF_ADDRESS && source_of(d, &list->v[i])->lookup == POOL_ASKED)
			heard = false;
	return heard;
}

static bool publish(struct source *s)
{
	bool changed;

	if (!s->has_next || !all_heard(s->discovery, &s->next))
		return false;
	changed = s->lookup != POOL_KNOWN || !same_list(&s->said, &s->next);
	list_free(&s->said);
	s->said = s->next;
	s->next = (struct source_list){0};
	s->has_next = false;
	s->lookup = POOL_KNOWN;
	if (changed)
		tell_found(s);
	return changed;
}

/* One source that is heard may be what another was waiting for. */
static void publish_all(struct discovery *d)
{
	bool any;

	do {
		any = false;
		for (struct map_entry *e = map_next(&d->sources, NULL); e; e = map_next(&d->sources, e)) {
			struct source *s = e->value;

			/* Publishing looks for sources, and may make one: the map would move. */
			if (s->has_next && publish(s)) {
				any = true;
				break;
			}
		}
	} while (any);
}

void source_heard(struct source *s, struct source_list *list)
{
	struct discovery *d = s->discovery;

	s->failing = false;
	list_free(&s->next);
	s->next = *list;
	*list = (struct source_list){0};
	s->has_next = true;
	if (publish(s)) {
		publish_all(d);
		d->changed(d->ctx);
	}
}

void source_failed(struct source *s, const char *why)
{
	struct discovery *d = s->discovery;

	if (!s->failing)
		event_emit(d->io, CONF_LEVEL_WARNING, "resolve_failed",
			json_pack("{s:s, s:s, s:s, s:i}", "source", s->key.p, "kind", s->kind->what, "error",
				why, "backends_kept", (int)s->said.n));
	s->failing = true;
	if (s->lookup != POOL_ASKED)
		return;
	s->lookup = POOL_UNKNOWN;
	publish_all(d);
	d->changed(d->ctx);
}

static void on_again(struct deadline *dl)
{
	struct source *s = CONTAINER(dl, struct source, again);

	s->kind->ask(s);
}

void source_again(struct source *s, uint32_t ms)
{
	deadline_arm(s->discovery->loop, &s->again, ms);
}

void source_again_after_ttl(struct source *s, uint32_t ttl_s)
{
	/* A change is seen within a minute, whatever the zone says. */
	static const uint32_t steps[] = {60, 30, 20, 10, 5, 3, 2, 1};
	size_t i = 0;

	if (ttl_s == 0)
		ttl_s = TTL_UNKNOWN_S;
	while (i < COUNT_OF(steps) - 1 && steps[i] > ttl_s)
		i++;
	source_again(s, steps[i] * 1000);
}

/* -- the sources there are -- */

static struct source *source_new(struct discovery *d, const struct conf_backend *entry, struct str key)
{
	static const struct source_kind *const kinds[] = {
		[CONF_DNS] = &source_dns, [CONF_SRV] = &source_srv, [CONF_FILE] = &source_file};
	struct str name = entry->kind == CONF_FILE ? entry->file : entry->host;
	struct source *s = calloc(1, sizeof(*s));

	MUST(s);
	s->discovery = d;
	s->kind = kinds[entry->kind];
	s->key = (struct str){strndup(key.p, key.n), key.n};
	s->name = strndup(name.p, name.n);
	MUST(s->key.p && s->name);
	s->port = entry->port;
	s->lookup = POOL_ASKED;
	s->again.fire = on_again;
	map_put(&d->sources, s->key, s);
	s->kind->ask(s);
	return s;
}

static void source_free(struct source *s)
{
	map_remove(&s->discovery->sources, s->key);
	s->kind->end(s);
	resolve_cancel(&s->question);
	deadline_disarm(s->discovery->loop, &s->again);
	list_free(&s->said);
	list_free(&s->next);
	free((char *)(uintptr_t)s->key.p);
	free(s->name);
	free(s);
}

/* The source of an entry that is no address, made if it is new; named from now on. */
static struct source *source_of(struct discovery *d, const struct conf_backend *entry)
{
	char buf[BACKEND_PATH_MAX + 4096];
	struct text key = text_in(buf, sizeof(buf));
	struct source *s;

	/* Two files may be called alike from different directories. */
	text_put(&key, entry->kind == CONF_FILE ? STR("file:") : entry->address);
	text_put(&key, entry->kind == CONF_FILE ? entry->file : STR_NONE);
	s = map_get(&d->sources, text_str(&key));
	if (!s)
		s = source_new(d, entry, text_str(&key));
	if (s->mark != d->mark) {
		s->mark = d->mark;
		if (s->has_next)
			all_heard(d, &s->next);
	}
	return s;
}

/* -- expanding -- */

struct expansion {
	struct discovery *d;
	struct map seen; /* addresses */
	struct conf_backend *v;
	uint32_t n, cap;
	bool asked, unknown; /* some source was never heard of: it is being asked, it failed */
};

static void put(struct expansion *x, const struct conf_backend *found)
{
	struct conf_backend *grown;

	if (map_get(&x->seen, found->address))
		return;
	if (x->n == x->cap) {
		x->cap = x->cap ? 2 * x->cap : 8;
		grown = arena_array(&x->d->scratch, struct conf_backend, x->cap);
		if (x->n)
			memcpy(grown, x->v, x->n * sizeof(*grown));
		x->v = grown;
	}
	x->v[x->n++] = *found;
	map_put(&x->seen, found->address, x);
}

static void expand(struct expansion *x, const struct conf_backend *entry, int depth)
{
	struct source *s;

	if (entry->kind == CONF_ADDRESS) {
		put(x, entry);
		return;
	}
	if (depth == 0)
		return;
	s = source_of(x->d, entry);
	x->asked |= s->lookup == POOL_ASKED;
	x->unknown |= s->lookup == POOL_UNKNOWN;
	for (uint32_t i = 0; i < s->said.n; i++) {
		struct conf_backend member = backend_inherit(s->said.v[i], entry);

		expand(x, &member, depth - 1);
	}
}

struct roster discovery_expand(struct discovery *d, const struct conf_backend *v, uint32_t n)
{
	struct expansion x = {.d = d};
	uint32_t i = 0;

	while (i < n && v[i].kind == CONF_ADDRESS)
		i++;
	if (i == n)
		return (struct roster){v, n, POOL_KNOWN};
	arena_free(&d->scratch);
	for (i = 0; i < n; i++)
		expand(&x, &v[i], EXPAND_DEPTH);
	map_free(&x.seen);
	return (struct roster){x.v, x.n, x.asked ? POOL_ASKED : x.unknown ? POOL_UNKNOWN : POOL_KNOWN};
}

void discovery_begin(struct discovery *d)
{
	d->mark++;
}

void discovery_sweep(struct discovery *d)
{
	struct source *gone = NULL, *s;

	/* Removing moves entries about: afterwards. */
	for (struct map_entry *e = map_next(&d->sources, NULL); e; e = map_next(&d->sources, e)) {
		s = e->value;
		if (s->mark == d->mark)
			continue;
		s->next_gone = gone;
		gone = s;
	}
	while ((s = gone)) {
		gone = s->next_gone;
		source_free(s);
	}
}

bool discovery_is_asking(const struct discovery *d)
{
	for (struct map_entry *e = map_next(&d->sources, NULL); e; e = map_next(&d->sources, e))
		if (((const struct source *)e->value)->lookup == POOL_ASKED)
			return true;
	return false;
}

/* -- the resolver -- */

/* As c-ares wants them; malloc'ed. NULL: none. */
static char *server_list(const struct conf_resolver *conf)
{
	size_t cap = conf->server_n * (ADDR_TEXT_MAX + 1) + 1;
	char one[ADDR_TEXT_MAX], *list;
	struct text t;

	if (conf->server_n == 0)
		return NULL;
	list = malloc(cap);
	MUST(list);
	t = text_in(list, cap - 1);
	for (uint32_t i = 0; i < conf->server_n; i++) {
		if (i)
			text_char(&t, ',');
		text_put(&t, addr_text(&conf->servers[i], one));
	}
	list[t.n] = '\0';
	return list;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

void discovery_configure(struct discovery *d, const struct conf_resolver *conf)
{
	char *servers = server_list(conf);

	if (same_text(servers, d->servers) && conf->timeout == d->timeout_ms && conf->attempts == d->tries) {
		free(servers);
		return;
	}
	free(d->servers);
	d->servers = servers;
	d->timeout_ms = conf->timeout;
	d->tries = conf->attempts;
	if (!d->resolving)
		return;
	/* Whatever is open or planned is asked anew, of the new servers. */
	for (struct map_entry *e = map_next(&d->sources, NULL); e; e = map_next(&d->sources, e)) {
		struct source *s = e->value;

		resolve_cancel(&s->question);
		if (s->kind != &source_file)
			source_again(s, LOOP_TICK_MS);
	}
	resolver_free(&d->resolver);
	d->resolving = false;
}

bool source_resolver(struct source *s)
{
	struct discovery *d = s->discovery;
	const struct resolver_options options = {d->servers, d->timeout_ms, d->tries};

	if (!d->resolving)
		d->resolving = resolver_init(&d->resolver, d->loop, &options);
	return d->resolving;
}

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
	struct discovery *d = arg;

	(void)fd;
	(void)what;
	loop_enter(d->loop);
	mailbox_deliver(&d->box, d);
}

bool discovery_init(
	struct discovery *d, struct loop *l, struct io_thread *io, void (*changed)(void *ctx), void *ctx)
{
	*d = (struct discovery){
		.loop = l, .io = io, .changed = changed, .ctx = ctx, .timeout_ms = 2000, .tries = 3};
	arena_init(&d->scratch, NULL);
	if (mailbox_init(&d->box) < 0)
		return false;
	d->box_event = event_new(l->base, d->box.fd, EV_READ | EV_PERSIST, on_mail, d);
	MUST(d->box_event);
	event_add(d->box_event, NULL);
	return true;
}

void discovery_free(struct discovery *d)
{
	discovery_begin(d);
	discovery_sweep(d);
	map_free(&d->sources);
	if (d->resolving)
		resolver_free(&d->resolver);
	arena_free(&d->scratch);
	free(d->servers);
	event_free(d->box_event);
}

void discovery_close(struct discovery *d)
{
	mailbox_deliver(&d->box, d);
	mailbox_free(&d->box);
}
