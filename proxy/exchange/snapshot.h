/* exchange/snapshot.h - the whole configuration, ready for use: const once built.
 *
 * Control builds it aside and gives it to every worker. A worker counts the exchanges that use it with a plain counter of its own
 * (struct snapshot_use) and says once, by mail, that it has let go; when all have, control frees it. */
#ifndef WEIR_EXCHANGE_SNAPSHOT_H
#define WEIR_EXCHANGE_SNAPSHOT_H

#include "exchange/module_set.h"
#include "route/router.h"

#define SNAPSHOT_MAGIC 0x54a9508e

/* Who the members of a pool are, instead of what its configuration says of them. */
struct roster {
	const struct conf_backend *v; /* no two of the same address */
	uint32_t n;
	uint8_t lookup; /* enum pool_lookup */
};

struct roster_source {
	/* Of the pool `tenant/service/pool`; the array stands until the next call. */
	struct roster (*members)(void *ctx, struct str pool_key, const struct conf_pool *conf);
	void *ctx;
};

/* Where a backend is named. */
struct membership {
	const struct pool *pool; /* NULL: nowhere */
	uint32_t index; /* in the pool's backends */
};

struct snapshot {
	uint32_t magic;
	uint32_t
		workers_left; /* that have not let go yet, and others that hold it on the control thread; control's */
	uint64_t generation; /* of the configuration */
	uint64_t serial; /* of the snapshot: one more for each that is built, whatever has changed */
	struct conf *conf; /* a reference: snapshots that differ in members alone share it */
	struct arena arena; /* of everything below */
	struct tenant *tenants; /* beside conf->tenants */
	struct router *router;
	struct module_set *modules; /* a reference; NULL: no module is configured */
	const struct module_chain *chain; /* of the top level: for connections, and requests of no tenant */
	struct pool **pools; /* all of them, for those who visit each */
	uint32_t pool_n;
	const struct service **by_slot; /* its services by slot number; NULL where the number is another's */
	uint32_t by_slot_n;
	struct membership *by_backend; /* by slot number */
	uint32_t by_backend_n;
	struct slots *pool_slots, *service_slots, *tenant_slots; /* the registries, to give slots back to */
	struct backend_registry *backends;
};

/* What a snapshot is made of besides the configuration. The registries outlive it. */
struct snapshot_parts {
	uint64_t generation, serial;
	const struct roster_source *roster; /* NULL: what the configuration says, names unresolved */
	struct backend_registry *backends;
	struct slots *pool_slots, *service_slots;
	struct module_set *modules; /* it takes a reference of its own; NULL: none is configured */
	struct slots *tenant_slots; /* NULL: tenants' limits are not kept */
};

/* Takes *conf. Never fails: everything that can be wrong was found in conf_load(). */
struct snapshot *snapshot_build(struct conf **conf, const struct snapshot_parts *parts);
/* Would it be built with other members now? */
bool snapshot_is_outdated(const struct snapshot *s, const struct roster_source *source);
/* The service whose slot has that number; NULL: it has none. */
const struct service *snapshot_service(const struct snapshot *s, uint32_t slot);
/* Where it names the backend of that slot. */
struct membership snapshot_member(const struct snapshot *s, uint32_t slot);
/* On the control thread, when no worker uses it. */
void snapshot_free(struct snapshot **sp);

#endif
