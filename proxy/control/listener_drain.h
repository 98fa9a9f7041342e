/* control/listener_drain.h - listeners that an operator has drained: they let nobody in until they are enabled again, whatever reloads,
 * crashes and upgrades come between.
 *
 * The socket stays open, so that nobody else takes its port: who connects is closed at once. A drain is stored before it takes effect. It
 * belongs to the listener's name, and goes when the configuration does not name it any more. */
#ifndef WEIR_CONTROL_LISTENER_DRAIN_H
#define WEIR_CONTROL_LISTENER_DRAIN_H

#include <jansson.h>
#include "base/str.h"
#include "io/loop.h"

#define LISTENER_DRAIN_KIND "listener_drain" /* of documents: {"author", "reason", "since_ms"} */
#define LISTENER_LOOK_MS    1000 /* between two looks at what is left there */

struct conf;
struct conf_listener;
struct control;
struct gate_sums;

struct listener_drains {
	struct control *control;
	json_t *documents; /* {"https": document} */
	json_t *left; /* {"https": {"connections", "requests", "websockets", "streams"}}: at the last look; less than all of documents */
	uint32_t asked; /* questions of the look that workers have not answered yet */
	struct deadline look; /* armed while anything is drained */
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
/* What was left there at the last look, or when it was drained; borrowed; NULL: it is not drained, or has just been. */
const json_t *listener_drain_left(const struct listener_drains *d, struct str name);
/* All that are drained: [{"listener", "author", "reason", "since_ms", "connections", ...}]. */
json_t *listener_drains_told(const struct listener_drains *d);
/* Who and why; borrowed; NULL: it is not drained. */
const json_t *listener_drain_document(const struct listener_drains *d, struct str name);

#endif
