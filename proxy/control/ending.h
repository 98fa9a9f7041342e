/* control/ending.h - how the process comes to its end: drained, left behind by an upgrade, or stopped; and the last words when its workers have
 * ended. control_stop(), control_drain() and control_leave() begin it (control.h). */
#ifndef WEIR_CONTROL_ENDING_H
#define WEIR_CONTROL_ENDING_H

#include <jansson.h>

struct control;

/* Before anything is armed. */
void ending_init(struct control *c);
/* The last worker has ended: who has just come to the admin API is answered, modules send what they have, then the loop stops. */
void ending_say_farewell(struct control *c);
/* What is open in the process now: {"connections", "requests", "websockets", "streams"}; the latter two are among the requests. */
json_t *ending_left(const struct control *c);

#endif
