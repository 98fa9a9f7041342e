/* exchange/modules.h - the modules of a configuration and of a request, as the exchange runs them.
 *
 *   struct module_set    what a configuration's modules have built. Control's; shared by the snapshots of one configuration
 *   struct module_chain  which modules a tenant's or a route's requests meet, in order. Part of a snapshot; NULL where there is none
 *   struct module_locals what a worker keeps for them, as long as it uses the snapshot
 *   struct module_run    where one request stands among them. NULL until it meets one */
#ifndef WEIR_EXCHANGE_MODULES_H
#define WEIR_EXCHANGE_MODULES_H

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
	struct map by_name; /* "geo", "geo@acme/3" -> struct module_place */
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

/* -- one request -- */
struct module_field {
	struct str name, value;
	struct module_field *next;
};

enum module_stage { MODULE_STAGE_REQUEST, MODULE_STAGE_ROUTED, MODULE_STAGES };

struct module_run {
	const struct module_chain *chain; /* of the present stage */
	uint8_t stage; /* enum module_stage */
	uint32_t at; /* the one that is called next */
	uint32_t declined; /* bits: modules by number */
	uint32_t filtering; /* ... those whose filters a body goes through */
	const struct module_place *held; /* who holds the request; NULL: nobody */
	struct module_field *log, *reply; /* the last one first */
	struct str pool; /* module_choose_pool() */
	const struct module_place *met[MODULES_MAX]; /* by number: as it was met last */
	void *slots[MODULES_MAX];
};

struct exchange;

/* Calls the hooks of a stage. False: the request has been answered, has failed (and may be gone), or is held. */
bool modules_run(struct exchange *x, const struct module_chain *chain, enum module_stage stage);
/* The chosen backend is about to be asked; it came to nothing. */
void modules_attempt(struct exchange *x);
void modules_attempt_failed(struct exchange *x, enum reason why);
/* The hooks for the answer's head. PASS, ANSWERED, or the reason why it must not go out. */
int modules_response(struct exchange *x, struct head *head, bool own);
/* The hooks for what the backend is to get. NONE, or why it must not get it. */
enum reason modules_forward(struct exchange *x);
/* A page for a request that fails, of the first module that it would meet which has one; it may have met none. */
bool modules_page(struct exchange *x, const struct head *head, enum reason why, struct module_page *out);
/* Of a variable of that module; empty: the request does not meet it, or it has none. */
struct str modules_value(struct exchange *x, const struct config_module *m, struct str variable);
/* Nobody holds the request any more: whoever did must not resume it. */
void modules_cancel(struct exchange *x);
/* The answer has begun: x goes on under a configuration with that set (NULL: it names no module). False: it cannot, because what it
 * still needs of a module is not there, or was built anew. */
bool modules_follow(struct exchange *x, const struct module_set *set);
/* The request is over. */
void modules_end(struct exchange *x);

/* A connection has been opened. NONE, or why it is to be closed. */
enum reason modules_accept(const struct module_chain *chain, const struct module_locals *locals,
	struct loop *l, const struct addr *peer, const struct addr *local, struct str listener);

#endif
