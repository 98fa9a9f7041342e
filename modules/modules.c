/* modules/modules.c - the modules that come with weir, in the order in which requests meet them. */
#include "modules.h"

const struct config_module *const config_modules[] = {
	&tracing_module.config,
	&geo_module.config,
	&maintenance_module.config,
	&cors_module.config,
	&access_module.config,
	&jwt_module.config,
	&basic_auth_module.config,
	&forward_auth_module.config,
	&ratelimit_module.config,
	&fault_module.config,
	&errors_module.config,
	&compress_module.config,
	&respond_module.config,
	&rewrite_module.config,
	&headers_module.config,
	NULL,
};
