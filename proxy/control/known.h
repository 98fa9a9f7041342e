/* control/known.h - what the supervisor is kept told of, so that the process that follows one that dies goes on with it: the sections of an
 * upgrade's hand-over (control/handover.h). Told when the first configuration is served, and whenever something in it has
 * changed: at once while there is little to tell, else so rarely that telling takes no more than a small part of the thread. */
#ifndef WEIR_CONTROL_KNOWN_H
#define WEIR_CONTROL_KNOWN_H

#include "io/loop.h"

struct control;

struct known {
	struct control *control;
	struct task tell; /* at the end of this tick */
	struct deadline pause; /* armed for a while after a long message */
	bool again; /* something has changed meanwhile */
	bool on;
};

void known_init(struct known *k, struct control *c);
/* The first configuration is served: from now on the supervisor is told. */
void known_begin(struct known *k);
/* Something has changed that handover_save() tells of. known: the struct. */
void known_changed(void *known);
void known_stop(struct known *k);

#endif
