#include "io/cert_store.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/obj.h"

/* A store of no more certificates than this has all of them ready for the first handshake. */
#define READY_MAX 64

struct builder {
	struct cert_store *store;
	const struct cert_store *previous;
	struct conf_place place; /* of what is being loaded */
	uint32_t errors;
	uint32_t room; /* of store->certs */
	void (*say)(void *ctx, struct conf_place place, bool warning, const char *text);
	void *ctx;
};

static void builder_say(void *ctx, bool warning, const char *text)
{
	struct builder *b = ctx;

	b->errors += !warning;
	b->say(b->ctx, b->place, warning, text);
}

/* Every path of strings in conf is NUL-terminated; an empty one means none. */
static const char *path_or_null(struct str s)
{
	return s.n ? s.p : NULL;
}

static void add(struct builder *b, const char *cert, const char *key, const char *ocsp)
{
	struct cert_store *s = b->store;
	struct cert *c = b->previous ? map_get(&b->previous->paths, str_of(cert)) : NULL;
	struct cert_log log = {builder_say, b};

	if (c && cert_is_current(c, cert, key, ocsp))
		cert_ref(c);
	else
		c = cert_load(cert, key, ocsp, &log);
	if (!c)
		return;
	if (s->cert_n == b->room) {
		b->room = b->room ? b->room * 2 : 16;
		s->certs = realloc(s->certs, b->room * sizeof(*s->certs));
		MUST(s->certs);
	}
	s->certs[s->cert_n++] = c;
	map_put(&s->paths, str_of(c->cert.path), c);
}

/* The stem of NAME.pem or NAME.crt, 0 for other files. */
static size_t stem_length(const char *file)
{
	struct str s = str_of(file);

	if (s.n > 4 && s.p[0] != '.' && (str_ends(s, STR(".pem")) || str_ends(s, STR(".crt"))))
		return s.n - 4;
	return 0;
}

static int is_cert(const struct dirent *e)
{
	return stem_length(e->d_name) > 0;
}

static void add_directory(struct builder *b, const char *dir)
{
	struct dirent **found;
	char cert[4096], key[4096], ocsp[4096], text[4200];
	int n = scandir(dir, &found, is_cert, alphasort);

	if (n < 0) {
		snprintf(text, sizeof(text), "cannot read the directory %s: %s", dir, strerror(errno));
		builder_say(b, false, text);
		return;
	}
	for (int i = 0; i < n; i++) {
		int stem = (int)stem_length(found[i]->d_name);

		snprintf(cert, sizeof(cert), "%s/%s", dir, found[i]->d_name);
		snprintf(key, sizeof(key), "%s/%.*s.key", dir, stem, found[i]->d_name);
		snprintf(ocsp, sizeof(ocsp), "%s/%.*s.ocsp", dir, stem, found[i]->d_name);
		if (access(key, F_OK) == 0) {
			add(b, cert, key, access(ocsp, F_OK) == 0 ? ocsp : NULL);
		} else {
			snprintf(text, sizeof(text), "%s is left out: there is no %.*s.key beside it", cert,
				stem, found[i]->d_name);
			builder_say(b, true, text);
		}
		free(found[i]);
	}
	free(found);
}

static void name_put(struct cert_store *s, struct str name, struct cert *c)
{
	bool wild = str_starts(name, STR("*."));
	struct map *m = wild ? &s->wild : &s->exact;
	struct str key = wild ? str_skip(name, 2) : name;
	struct cert_choice *choice;

	if (key.n == 0 || memchr(key.p, '*', key.n))
		return;
	choice = map_get(m, key);
	if (!choice) {
		choice = &s->choices[s->choice_n++];
		choice->v[0] = c;
		map_put(m, key, choice);
	} else if (!choice->v[1] && choice->v[0] != c && choice->v[0]->key_type != c->key_type) {
		choice->v[1] = c;
	}
}

static void index_names(struct cert_store *s)
{
	size_t names = 0;

	for (uint32_t i = 0; i < s->cert_n; i++)
		names += s->certs[i]->name_n;
	s->choices = calloc(names ? names : 1, sizeof(*s->choices));
	MUST(s->choices);
	for (uint32_t i = 0; i < s->cert_n; i++)
		for (uint32_t k = 0; k < s->certs[i]->name_n; k++)
			name_put(s, s->certs[i]->names[k], s->certs[i]);
	/* The default brings its other kind of key along. */
	s->fallback.v[0] = s->certs[0];
	for (uint32_t k = 0; k < s->certs[0]->name_n && !s->fallback.v[1]; k++) {
		const struct cert_choice *same = cert_store_find(s, s->certs[0]->names[k]);

		if (same->v[0] == s->certs[0])
			s->fallback.v[1] = same->v[1];
	}
}

struct cert_store *cert_store_new(const struct conf_listener_tls *conf, const struct cert_store *previous,
	void (*say)(void *ctx, struct conf_place place, bool warning, const char *text), void *ctx)
{
	struct cert_store *s = calloc(1, sizeof(*s));
	struct builder b = {.store = s, .previous = previous, .say = say, .ctx = ctx};

	MUST(s);
	atomic_init(&s->refs, 1);
	for (uint32_t i = 0; i < conf->cert_n; i++) {
		const struct conf_cert *c = &conf->certs[i];

		b.place = c->place;
		add(&b, c->cert.p, c->key.p, path_or_null(c->ocsp));
	}
	b.place = conf->place;
	if (conf->directory.n)
		add_directory(&b, conf->directory.p);
	if (b.errors == 0 && s->cert_n == 0)
		builder_say(&b, false,
			"there is no certificate: name some under certificates, or a directory that has "
			"some");
	if (b.errors) {
		cert_store_unref(s);
		return NULL;
	}
	index_names(s);
	for (uint32_t i = 0; i < s->cert_n && s->cert_n <= READY_MAX; i++)
		cert_live(s->certs[i]);
	return s;
}

struct cert_store *cert_store_ref(struct cert_store *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void cert_store_unref(struct cert_store *s)
{
	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
		return;
	map_free(&s->exact);
	map_free(&s->wild);
	map_free(&s->paths);
	for (uint32_t i = 0; i < s->cert_n; i++)
		cert_unref(s->certs[i]);
	free(s->certs);
	free(s->choices);
	free(s);
}

const struct cert_choice *cert_store_find(const struct cert_store *s, struct str name)
{
	struct cert_choice *choice = name.n ? map_get(&s->exact, name) : NULL;
	size_t dot;

	if (choice)
		return choice;
	dot = str_find(name, '.');
	if (dot > 0 && dot < name.n)
		choice = map_get(&s->wild, str_skip(name, dot + 1));
	return choice ? choice : &s->fallback;
}
