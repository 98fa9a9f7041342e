/* control/drain.h - backends that an operator has drained: they take no new requests until they are enabled again, whatever reloads, crashes
 * and upgrades come between. Pools are drained by their state (runtime.h), the process by control_drain().
 *
 * A drain is stored before it takes effect. It belongs to the backend's name, and goes when no configuration names it any more. */
#ifndef WEIR_CONTROL_DRAIN_H
#define WEIR_CONTROL_DRAIN_H

#include <jansson.h>
#include "control/admin/admin.h"

#define DRAIN_KIND    "drain" /* of documents: {"author", "reason", "since_ms"}; the key is the backend's */
#define DRAIN_LOOK_MS 200 /* while somebody waits for progress */

struct backend;
struct snapshot;

struct drains {
	struct control *control;
	json_t *documents; /* {"acme/shop/green/10.0.0.1:80": document} */
	struct admin_topic progress; /* woken every DRAIN_LOOK_MS while anybody waits on it */
	struct deadline look;
};

void drains_init(struct drains *d, struct control *c);
/* Takes over what was stored. */
void drains_load(struct drains *d);
/* Marks the backends of a snapshot that is about to be served; forgets those that it does not name. */
void drains_follow(struct drains *d, const struct snapshot *s);
void drains_free(struct drains *d);
/* Drains it, or enables it again. done: later, once; error NULL: workers know. Texts are copied; NULL: not told. */
void drains_set(struct drains *d, const struct backend *b, bool on, const char *author, const char *reason,
	void (*done)(void *ctx, const char *error), void *ctx);
/* Who and why; borrowed; NULL: it is not drained. */
const json_t *drains_document(const struct drains *d, const struct backend *b);
/* As admin_wait() on the progress of drains. */
bool drains_wait(struct drains *d, struct admin_request *rq);

#endif
