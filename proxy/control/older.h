/* control/older.h - processes that an upgrade has replaced and that still finish what they have, as the one that serves knows them.
 *
 * Each says through the supervisor what is left in it, about once a second ("finishing", "older": control/channel.h), and the supervisor
 * says when it has ended. A process that was started anew after a death learns of them with their next word. One of a version that does
 * not tell is not known here. */
#ifndef WEIR_CONTROL_OLDER_H
#define WEIR_CONTROL_OLDER_H

#include <jansson.h>
#include <stdint.h>

struct older {
	/* {"4711": {"pid", "version", "connections", "requests", "websockets", "streams", "ends_ms"}}: what each said last; ends_ms: when
	 * what is left is cut, on the loop's clock; without it never. NULL: nobody has said anything yet */
	json_t *said;
};

/* One has said something, or has ended: the supervisor's message, borrowed. */
void older_heard(struct older *o, const json_t *message, uint64_t now_ms);
/* Those that have not ended: [{"pid", "version", "connections", "requests", "websockets", "streams", "ends_in_s"}]. */
json_t *older_list(const struct older *o, uint64_t now_ms);
/* How many there are, and the sum over them of what lies under that key. */
uint64_t older_count(const struct older *o);
uint64_t older_left(const struct older *o, const char *what);
void older_free(struct older *o);

#endif
