/* exchange/module_set.h - the modules of a configuration.
 *
 *   struct module_set    what a configuration's modules have built. Control's; shared by the snapshots of one configuration
 *   struct module_chain  which modules a tenant's or a route's requests meet, in order. Part of a snapshot; NULL where there is none
 *   struct module_locals what a worker keeps for them, as long as it uses the snapshot */
#ifndef WEIR_EXCHANGE_MODULE_SET_H
#define WEIR_EXCHANGE_MODULE_SET_H

#include "exchange/module.h"

#define MODULES_MAX 32 /* different ones in a configuration: bits of a word */

/* What was built once; several sets may share it. */
struct module_data {
	const struct module *module;
	void *data;
	uint32_t refs; /* sets */
};

/* One place of the configuration that names a module. */
struct module_place {
	const struct module *module;
	uint8_t number; /* of the module, in the set's order */
	uint32_t index; /* in the set, and in a worker's locals */
	const void *values;
	struct module_data *built;
	struct str name; /* see module_build.place; in the set's arena */
};

struct module_set {
	uint32_t refs;
	struct arena arena;
	const struct module *modules[MODULES_MAX];
	uint32_t module_n;
	struct module_place **places;
	uint32_t n, cap;
	struct map by_values; /* the bytes of place->values -> struct module_place */
	struct map by_name; /* "geo", "geo@acme/its/path" -> struct module_place */
};

/* What modules have on control's thread, from the first configuration that names them to the end of the process. */
struct module_homes {
	struct loop *loop;
	uint32_t n;
	struct {
		const struct module *module;
		void *home;
	} v[MODULES_MAX];
};

/* Is something still to be sent, now that no worker serves any more? */
bool module_homes_busy(struct module_homes *homes);
/* After the last module_set. */
void module_homes_free(struct module_homes *homes);

/* Builds what conf names; what stays the same is taken over from `running` (NULL: none). homes: NULL where
 * nothing runs. NULL: conf names no module, or the report says
 * what is wrong. */
struct module_set *module_set_build(const struct conf *conf, const struct module_set *running,
	struct module_homes *homes, struct conf_report *report);
/* The same configuration again, because files have changed that modules watch: what cannot be built stays as it was in `running`, and
 * the report says why. */
struct module_set *module_set_refresh(const struct conf *conf, const struct module_set *running,
	struct module_homes *homes, struct conf_report *report);
/* Is everything in a taken over from b, and nothing left out? */
bool module_set_same(const struct module_set *a, const struct module_set *b);
struct module_set *module_set_ref(struct module_set *set);
/* NULL is fine. */
void module_set_unref(struct module_set *set);

struct module_chain {
	uint32_t n;
	const struct module_place *v[];
};

/* Of the levels from the widest to the narrowest, any of them NULL. Returns `wider` if the narrowest adds nothing to it. */
const struct module_chain *module_chain_build(struct arena *a, const struct module_set *set,
	const struct conf_modules *global, const struct conf_modules *tenant,
	const struct conf_modules *route, const struct module_chain *wider);

/* A worker's state for one module_data; shared by the uses of snapshots that have it. */
struct module_local {
	struct module_data *built;
	void *state;
	uint32_t refs;
};

struct module_locals {
	uint32_t n; /* as the set's places */
	struct module_local *v[];
};

/* For a set (NULL: returns NULL), on the worker's thread; what `before` has is shared with it. */
struct module_locals *module_locals_new(const struct module_set *set, const struct module_locals *before,
	struct loop *l, uint32_t worker, uint32_t workers);
void module_locals_free(struct module_locals **lp);

#endif
