/* control/roster.h - who the members of a pool are: what was set at run time, else what its configuration
 * lists. */
#ifndef WEIR_CONTROL_ROSTER_H
#define WEIR_CONTROL_ROSTER_H

#include "exchange/snapshot.h"

struct control;

/* What snapshots of this control thread ask. */
struct roster_source roster_source_of(struct control *c);

#endif
