/* control/install.h - from a configuration, or from other members of its pools, to what all workers serve. */
#ifndef WEIR_CONTROL_INSTALL_H
#define WEIR_CONTROL_INSTALL_H

#include <stdint.h>

struct conf;
struct control;
struct module_set;

/* Builds a snapshot and gives it to the workers; in CONTROL_STARTING or CONTROL_SERVING. Takes *conf, and a
 * reference to what its modules have built (NULL: it has none). generation: the one that is
 * served already says that only members have changed. */
void install_begin(struct control *c, struct conf **conf, struct module_set *modules, uint64_t generation);
/* A worker serves the snapshot of that serial. */
void install_answered(struct control *c, uint64_t serial);
/* Begins what was asked for while it could not be done. */
void install_next(struct control *c);

#endif
