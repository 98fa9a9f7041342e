/* modules/modules.h - the modules that come with weir; each is a file of its name. */
#ifndef WEIR_MODULES_MODULES_H
#define WEIR_MODULES_MODULES_H

#include "exchange/module.h"

extern const struct module tracing_module;
extern const struct module geo_module;
extern const struct module maintenance_module;
extern const struct module ratelimit_module;
extern const struct module access_module;
extern const struct module cors_module;
extern const struct module jwt_module;
extern const struct module basic_auth_module;
extern const struct module forward_auth_module;
extern const struct module fault_module;
extern const struct module errors_module;
extern const struct module compress_module;
extern const struct module respond_module;
extern const struct module rewrite_module;
extern const struct module headers_module;

#endif
