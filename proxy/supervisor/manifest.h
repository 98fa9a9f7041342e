/* supervisor/manifest.h - what a supervisor leaves to the program that it becomes: children, sockets, and where it stood. JSON in a
 * memory file; descriptors by number, open across exec. The PID stays, so do the children.
 *
 * Versioned by SUPERVISOR_MANIFEST. Members may be added under one version: unknown ones are passed over, missing ones have
 * their default. A program says in its worker process's hello which versions it reads, and only becomes the supervisor if ours is
 * among them. */
#ifndef WEIR_SUPERVISOR_MANIFEST_H
#define WEIR_SUPERVISOR_MANIFEST_H

#include <jansson.h>
#include <stdbool.h>

struct supervisor;

/* Execs the program of the current worker process in our place. Comes back only if that does not work, and has told of it; nothing has
 * changed then. */
void manifest_become(struct supervisor *s);
/* The manifest that we were exec'ed with; NULL: none. Takes it out of the environment. */
json_t *manifest_inherited(void);
/* Takes over what the manifest names. s is set up and empty. False with a text on standard error. */
bool manifest_load(struct supervisor *s, const json_t *manifest);
/* For the test: what would be left. */
json_t *manifest_save(const struct supervisor *s);

#endif
