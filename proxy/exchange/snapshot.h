/* exchange/snapshot.h - the whole configuration, ready for use: const once built.
 *
 * Control builds it aside and gives it to every worker. A worker counts the exchanges that use it with a plain counter of its own
 * (struct snapshot_use) and says once, by mail, that it has let go; when all have, control frees it. */
#ifndef WEIR_EXCHANGE_SNAPSHOT_H
#define WEIR_EXCHANGE_SNAPSHOT_H

#include "route/router.h"

#define SNAPSHOT_MAGIC 0x54a9508e

struct snapshot {
	uint32_t magic;
	uint32_t
		workers_left; /* that have not let go yet, and others that hold it on the control thread; control's */
	uint64_t generation;
	struct conf *conf; /* owned */
	struct arena arena; /* of everything below */
	struct tenant *tenants; /* beside conf->tenants */
	struct router *router;
	struct pool **pools; /* all of them, for those who visit each */
	uint32_t pool_n;
	struct slots *pool_slots, *service_slots; /* the registries, to give slots back to */
	struct backend_registry *backends;
};

/* Takes *conf. The registries outlive the snapshot. Never fails: everything that can be wrong was found in conf_load(). */
struct snapshot *snapshot_build(struct conf **conf, uint64_t generation, struct backend_registry *backends,
	struct slots *pool_slots, struct slots *service_slots);
/* On the control thread, when no worker uses it. */
void snapshot_free(struct snapshot **sp);

#endif
