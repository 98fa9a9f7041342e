#include "control/discovery.h"

#include <stdlib.h>
#include "base/obj.h"
#include "control/health.h"
#include "control/io_thread.h"
#include "worker/worker.h"

#define TTL_MIN_S     1
#define TTL_MAX_S     60 /* a change is seen within a minute, whatever the zone says */
#define TTL_UNKNOWN_S 30 /* /etc/hosts has none */
#define RETRY_MS      2000

/* One name of one backend. */
struct watch {
	struct list link;
	struct discovery *discovery;
	char *key, *host; /* of the backend */
	struct backend *backend; /* the current snapshot's */
	uint32_t slot;
	uint16_t port;
	uint64_t serial; /* that last named it */
	struct resolve *question;
	struct deadline again;
	struct addr *addrs; /* last good ones, sorted */
	uint32_t n;
	bool failing;
};

static int by_address(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct addr));
}

static void tell_workers(const struct watch *w)
{
	for (uint32_t i = 0; i < w->discovery->worker_n; i++) {
		struct worker_addrs *mail = malloc(sizeof(*mail) + w->n * sizeof(*w->addrs));

		MUST(mail);
		mail->slot = w->slot;
		mail->n = w->n;
		memcpy(mail->v, w->addrs, w->n * sizeof(*w->addrs));
		worker_set_addrs(&w->discovery->workers[i], mail);
	}
}

static json_t *address_list(const struct watch *w)
{
	json_t *list = json_array();
	char text[ADDR_TEXT_MAX];

	for (uint32_t i = 0; i < w->n; i++)
		json_array_append_new(list, json_string(addr_text(&w->addrs[i], text).p));
	return list;
}

static void resolved(struct watch *w, const struct resolve_answer *answer)
{
	struct addr *sorted = malloc(answer->n * sizeof(*sorted));

	MUST(sorted);
	memcpy(sorted, answer->addrs, answer->n * sizeof(*sorted));
	qsort(sorted, answer->n, sizeof(*sorted), by_address);
	w->failing = false;
	/* The order of an answer changes with every question; only another set of addresses is news. */
	if (answer->n == w->n && memcmp(sorted, w->addrs, w->n * sizeof(*sorted)) == 0) {
		free(sorted);
		return;
	}
	free(w->addrs);
	w->addrs = sorted;
	w->n = answer->n;
	tell_workers(w);
	health_set_addr(w->backend, &w->addrs[0]);
	event_emit(w->discovery->io, CONF_LEVEL_INFO, "resolved",
		json_pack("{s:s, s:o}", "backend", w->key, "addresses", address_list(w)));
}

static void on_answer(const struct resolve_answer *answer, void *ctx)
{
	struct watch *w = ctx;
	uint32_t ttl = answer->ttl_s ? MIN(MAX(answer->ttl_s, TTL_MIN_S), TTL_MAX_S) : TTL_UNKNOWN_S;

	w->question = NULL;
	if (answer->n) {
		resolved(w, answer);
	} else if (!w->failing) {
		w->failing = true;
		event_emit(w->discovery->io, CONF_LEVEL_WARNING, "resolve_failed",
			json_pack("{s:s, s:s, s:s, s:i}", "backend", w->key, "host", w->host, "error",
				answer->error, "addresses_kept", (int)w->n));
	}
	deadline_arm(w->discovery->loop, &w->again, answer->n ? ttl * 1000 : RETRY_MS);
}

static void ask(struct watch *w)
{
	w->question = resolver_ask(&w->discovery->resolver, w->host, w->port, on_answer, w);
}

static void on_again(struct deadline *d)
{
	ask(CONTAINER(d, struct watch, again));
}

static struct watch *find(struct discovery *d, const struct backend *b)
{
	list_each (link, &d->watches) {
		struct watch *w = CONTAINER(link, struct watch, link);

		if (str_eq(str_of(w->key), b->slot->key))
			return w;
	}
	return NULL;
}

static struct watch *watch_new(struct discovery *d, const struct backend *b)
{
	struct watch *w = calloc(1, sizeof(*w));

	MUST(w);
	w->discovery = d;
	w->key = strdup(b->slot->key.p);
	w->host = strdup(b->host.p);
	MUST(w->key && w->host);
	w->slot = b->slot->number;
	w->port = b->port;
	w->again.fire = on_again;
	list_push_back(&d->watches, &w->link);
	return w;
}

static void watch_free(struct watch *w)
{
	list_remove(&w->link);
	resolve_cancel(&w->question);
	deadline_disarm(w->discovery->loop, &w->again);
	free(w->key);
	free(w->host);
	free(w->addrs);
	free(w);
}

void discovery_init(
	struct discovery *d, struct loop *l, struct io_thread *io, struct worker *workers, uint32_t worker_n)
{
	*d = (struct discovery){.loop = l, .io = io, .workers = workers, .worker_n = worker_n};
	list_init(&d->watches);
}

static void follow(struct discovery *d, struct backend *b, uint64_t serial)
{
	struct watch *w;

	if (!d->begun)
		d->begun = resolver_init(&d->resolver, d->loop, NULL);
	if (!d->begun)
		return;
	w = find(d, b);
	if (!w) {
		w = watch_new(d, b);
		ask(w);
	}
	w->backend = b;
	w->serial = serial;
	if (w->n)
		health_set_addr(w->backend, &w->addrs[0]);
}

void discovery_follow(struct discovery *d, const struct snapshot *s)
{
	for (uint32_t p = 0; p < s->pool_n; p++)
		for (uint32_t i = 0; i < s->pools[p]->n; i++)
			if (s->pools[p]->backends[i]->host.n)
				follow(d, s->pools[p]->backends[i], s->serial);
	list_each_safe (link, &d->watches) {
		struct watch *w = CONTAINER(link, struct watch, link);

		if (w->serial != s->serial)
			watch_free(w);
	}
}

void discovery_free(struct discovery *d)
{
	list_each_safe (link, &d->watches)
		watch_free(CONTAINER(link, struct watch, link));
	if (d->begun)
		resolver_free(&d->resolver);
}
