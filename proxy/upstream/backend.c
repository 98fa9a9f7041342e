#include "upstream/backend.h"

#include <stdlib.h>
#include <sys/random.h>
#include "base/obj.h"

static void backend_free(struct backend *b)
{
	b->magic = 0;
	free(b->outcomes);
	backend_tallies_free(&b->tallies);
	free(b);
}

void backend_registry_free(struct backend_registry *r)
{
	for (struct map_entry *e = map_next(&r->by_key, NULL); e; e = map_next(&r->by_key, e))
		backend_free(e->value);
	map_free(&r->by_key);
	slots_free(&r->slots);
}

const uint8_t *backend_stick_key(struct backend_registry *r)
{
	if (!r->has_stick_key)
		MUST(getrandom(r->stick_key, sizeof(r->stick_key), 0) == (ssize_t)sizeof(r->stick_key));
	r->has_stick_key = true;
	return r->stick_key;
}

/* Copies s behind *at, NUL-terminated, and moves *at. */
static struct str keep(char **at, struct str s)
{
	struct str kept = {*at, s.n};

	if (s.n)
		memcpy(*at, s.p, s.n);
	(*at)[s.n] = '\0';
	*at += s.n + 1;
	return kept;
}

static struct backend *backend_new(struct slot *slot, size_t address_at, const struct conf_backend *conf)
{
	struct backend *b = calloc(1, sizeof(*b) + conf->unix_path.n + 1);
	char *at;

	MUST(b);
	at = (char *)(b + 1);
	b->magic = BACKEND_MAGIC;
	b->slot = slot;
	b->address = str_skip(slot->key, address_at);
	b->unix_path = keep(&at, conf->unix_path);
	b->addr = conf->addr;
	atomic_init(&b->state, BACKEND_UP);
	return b;
}

struct backend *backend_acquire(
	struct backend_registry *r, struct str pool_key, const struct conf_backend *conf, uint64_t serial)
{
	char buf[1024];
	struct text key = text_in(buf, sizeof(buf));
	struct backend *b;

	text_put(&key, pool_key);
	text_char(&key, '/');
	text_put(&key, conf->address);
	MUST(!key.cut); /* names and addresses are limited by the configuration's tables */
	b = map_get(&r->by_key, text_str(&key));
	if (!b) {
		b = backend_new(slot_acquire(&r->slots, text_str(&key)), pool_key.n + 1, conf);
		b->tallies = backend_tallies_new(MAX(r->worker_n, 1u));
		map_put(&r->by_key, b->slot->key, b);
	}
	if (b->refs == 0 || b->named_last + 1 < serial)
		b->named_since = serial;
	b->named_last = serial;
	b->refs++;
	return b;
}

void backend_release(struct backend_registry *r, struct backend **bp)
{
	struct backend *b = TAKE(bp);

	OBJ_CHECK(b, BACKEND_MAGIC);
	if (--b->refs > 0)
		return;
	map_remove(&r->by_key, b->slot->key);
	slot_release(&r->slots, b->slot);
	backend_free(b);
}
