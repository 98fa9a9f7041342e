/* control/listener_drain.h - listeners that an operator has drained: they let nobody in until they are enabled again, whatever reloads,
 * crashes and upgrades come between.
 *
 * The socket stays open, so that nobody else takes its port: who connects is closed at once. A drain is stored before it takes effect. It
 * belongs to the listener's name, and goes when the configuration does not name it any more. */
#ifndef WEIR_CONTROL_LISTENER_DRAIN_H
#define WEIR_CONTROL_LISTENER_DRAIN_H

#include <jansson.h>
#include "base/str.h"

#define LISTENER_DRAIN_KIND "listener_drain" /* of documents: {"author", "reason", "since_ms"} */

struct conf;
struct conf_listener;
struct control;
struct gate_sums;

struct listener_drains {
	struct control *control;
	json_t *documents; /* {"https": document} */
};

/* How it went; error: NULL, sums: what is open on the listener now. */
typedef void (*listener_drain_done)(void *ctx, const char *error, const struct gate_sums *sums);

void listener_drains_init(struct listener_drains *d, struct control *c);
/* Takes over what was stored. */
void listener_drains_load(struct listener_drains *d);
/* Forgets those that the configuration does not name. */
void listener_drains_follow(struct listener_drains *d, const struct conf *conf);
void listener_drains_free(struct listener_drains *d);
/* Drains it, or enables it again. done: later, once, when all workers follow. Texts are copied; NULL: not told. Not while it drains or
 * stops as a whole, like what follows. */
void listener_drain_set(struct listener_drains *d, const struct conf_listener *l, bool on, const char *author,
	const char *reason, listener_drain_done done, void *ctx);
/* What is open on it? */
void listener_drain_ask(
	struct listener_drains *d, const struct conf_listener *l, listener_drain_done done, void *ctx);
/* Who and why; borrowed; NULL: it is not drained. */
const json_t *listener_drain_document(const struct listener_drains *d, struct str name);

#endif
