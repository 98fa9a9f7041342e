/* upstream/backend.h - one address of a pool, as an identity that outlives configurations.
 *
 * A backend is `tenant/service/pool/address`. A reload that names it again gets the same object, so everything that was
 * learned about it stays. Made, counted and freed by the control thread alone; workers read it as const and find by its slot what
 * they keep of it themselves: connections and counters. */
#ifndef WEIR_UPSTREAM_BACKEND_H
#define WEIR_UPSTREAM_BACKEND_H

#include <stdatomic.h>
#include "base/slots.h"
#include "config/conf.h"
#include "upstream/backend_tally.h"
#include "upstream/outcome.h"

#define BACKEND_MAGIC 0xbac4e9d1

/* What the checks say of it. Without checks a backend is always UP. */
enum backend_state {
	BACKEND_CHECKING, /* new: no check has ended yet; takes no requests */
	BACKEND_UP,
	BACKEND_DOWN,
	BACKEND_STATES
};

struct health;
struct outlier;

struct backend {
	uint32_t magic;
	uint32_t refs; /* snapshots that name it */
	uint64_t named_since, named_last; /* serials of the snapshots that name it without a gap */
	struct slot *slot; /* its key is "acme/shop/blue/127.0.0.1:9001" */
	struct str address; /* the last part of the key */
	struct str unix_path; /* empty: not a unix socket */
	struct addr addr;
	struct health *health; /* control's record of its checks; NULL: none */
	struct outlier *outlier; /* control's record of its ejections; NULL: none */
	struct backend_tallies *tallies; /* for workers to count in */
	/* Likewise, to judge it by; read only under a snapshot whose policy has `outlier`. NULL until the first such. */
	struct outcomes *outcomes;
	/* Written by control alone, read by workers for each request. */
	_Atomic uint8_t state; /* enum backend_state */
	_Atomic uint64_t warm_from_ms; /* when it came up, for slow start; 0: with its pool, or long ago */
	_Atomic bool
		draining; /* told to take no new requests, whatever its checks say, until told otherwise */
	_Atomic bool
		ejected; /* requests went badly, whatever its checks say: takes none for a while (control/outlier.h) */
};

static inline enum backend_state backend_state(const struct backend *b)
{
	return (enum backend_state)atomic_load_explicit(&b->state, memory_order_relaxed);
}

static inline bool backend_draining(const struct backend *b)
{
	return atomic_load_explicit(&b->draining, memory_order_relaxed);
}

/* Control's; tell the workers with worker_drains_changed(). Requests in flight go on to their end, checks go on. */
static inline void backend_set_draining(struct backend *b, bool on)
{
	atomic_store_explicit(&b->draining, on, memory_order_release);
}

static inline bool backend_ejected(const struct backend *b)
{
	return atomic_load_explicit(&b->ejected, memory_order_relaxed);
}

/* What checks and requests together say of it: one that is ejected is as good as down. */
static inline enum backend_state backend_standing(const struct backend *b)
{
	enum backend_state state = backend_state(b);

	return state == BACKEND_UP && backend_ejected(b) ? BACKEND_DOWN : state;
}

/* All backends there are; control's. */
struct backend_registry {
	struct map by_key;
	struct slots slots;
	uint32_t worker_n; /* who count at them; 0 counts as 1 */
	uint8_t stick_key
		[32]; /* for cookies that name backends, where the configuration has no secret for them */
	bool has_stick_key; /* drawn when it is first needed */
};

void backend_registry_free(struct backend_registry *r);
const uint8_t *backend_stick_key(struct backend_registry *r);
/* The backend of that identity, made if it is new, with one more reference; the snapshot of that serial names it. */
struct backend *backend_acquire(
	struct backend_registry *r, struct str pool_key, const struct conf_backend *conf, uint64_t serial);
/* Drops a reference; the last one frees it. Call it when no worker uses it any more. */
void backend_release(struct backend_registry *r, struct backend **bp);

#endif
