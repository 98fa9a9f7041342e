/* config/module.h - modules as the configuration sees them: a name, a table of keys, and the values that the file gives.
 *
 * What a module does is exchange/module.h; here it is a row in a list that the program brings along, or a shared object that
 * `modules: {NAME: {path: FILE}}` loads. `modules` may stand at the top level, in a tenant and in a route; for each module the most
 * specific one counts, as a whole but for what it inherits; `off` switches it off there, `on` has it with its defaults. */
#ifndef WEIR_CONFIG_MODULE_H
#define WEIR_CONFIG_MODULE_H

#include "config/field.h"

/* What the two sides of a shared object must agree on. Raised with every change of exchange/module.h or of what it includes. */
#define MODULE_ABI 7

/* Where a module may stand: bits. */
enum conf_module_level { MODULE_GLOBAL = 1, MODULE_TENANT = 2, MODULE_ROUTE = 4 };
#define MODULE_ANYWHERE (MODULE_GLOBAL | MODULE_TENANT | MODULE_ROUTE)

struct config_module {
	uint32_t abi; /* MODULE_ABI; the first member for ever */
	const char *name;
	uint8_t levels; /* bits of enum conf_module_level */
	bool answers; /* a route with it needs neither service nor redirect */
	const struct config_object *object; /* its keys, with .id = OBJECT_MODULE */
	/* What templates may ask of it as $(NAME.variable), ends with NULL; "*": any name. NULL: nothing. Only of modules that the program
	 * brings along. */
	const char *const *variables;
	/* When all is read: takes what `values` leave out of `wider`, those of the nearest level around it that has the module on, such as a
	 * server's address that all levels share. NULL: none has. Returns a key that is missing even so; NULL: none is. NULL: nothing is
	 * inherited. */
	const char *(*inherit)(void *values, const void *wider);
};

/* One module's values at one level. */
struct conf_module {
	const struct config_module *module;
	void *values; /* of module->object; NULL: switched off here */
	struct conf_place place;
	bool wrong; /* has errors that were told */
};

/* Those that the program has; ends with NULL. Weak: a program without modules/ has none. */
extern const struct config_module *const config_modules[] __attribute__((weak));

/* NULL: there is none of that name. */
const struct config_module *config_module_find(struct str name);
/* This level's values of a module, or NULL if it does not name it. */
const struct conf_module *conf_modules_find(const struct conf_modules *all, const struct config_module *m);

/* The last step of a load: what tenants and routes leave to the levels around them. */
void modules_inherit(struct parse *p);

#endif
