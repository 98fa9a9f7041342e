/* modules/modules.c - the modules that come with weir, in the order in which requests meet them. */
#include "modules.h"

const struct config_module *const config_modules[] = {
	&respond_module.config,
	NULL,
};
