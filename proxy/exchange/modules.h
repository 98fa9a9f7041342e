/* exchange/modules.h - the modules that a request meets, as the exchange calls them. struct module_run is where it stands among them; NULL
 * until it meets one. */
#ifndef WEIR_EXCHANGE_MODULES_H
#define WEIR_EXCHANGE_MODULES_H

#include "exchange/module_set.h"

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
