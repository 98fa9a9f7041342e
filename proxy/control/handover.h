/* control/handover.h - what a worker process knows that its successor must not learn anew: of an upgrade's old process to the new.
 *
 * A JSON object of sections, each saved and loaded by the engine that it belongs to. Old and new may be of different versions, in
 * either order: a section that one of them does not know is left out or passed over, so is a member. Times are on CLOCK_MONOTONIC,
 * which both share. Once saved, nothing of it may change here any more: control->frozen. */
#ifndef WEIR_CONTROL_HANDOVER_H
#define WEIR_CONTROL_HANDOVER_H

#include <jansson.h>
#include <stdint.h>

struct control;

struct handover_section {
	const char *name;
	json_t *(*save)(struct control *c); /* NULL: nothing to say */
	/* After the first snapshot is built and its identities are known, before workers see it. v: what save() made, of any version. */
	void (*load)(struct control *c, const json_t *v);
};

/* All sections. */
json_t *handover_save(struct control *c);
/* NULL: there was no predecessor. */
void handover_load(struct control *c, const json_t *sections);
/* The number of its last event that the predecessor knew; 0: none. */
uint64_t handover_last_event(const json_t *sections);
/* The generation that the predecessor served; 0: none. The successor goes on from there. */
uint64_t handover_generation(const json_t *sections);

#endif
