/* cli/listed_members.h - the members of pools without a running weir: lists in files are read, names stay what they are. */
#ifndef WEIR_CLI_LISTED_MEMBERS_H
#define WEIR_CLI_LISTED_MEMBERS_H

#include "exchange/snapshot.h"

/* Zeroed is empty. */
struct listed_members {
	struct conf_backend *v; /* of the pool that was asked for last */
	uint32_t n, cap;
	struct map seen; /* their addresses */
	struct conf **lists; /* that have been read: owners of texts */
	uint32_t list_n;
};

/* For snapshot_build(). A list that cannot be read, or makes no sense, stays one member of the kind CONF_FILE. */
struct roster_source listed_members_source(struct listed_members *m);
/* After the snapshot: its texts may be theirs. */
void listed_members_free(struct listed_members *m);

#endif
