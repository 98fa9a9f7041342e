#include "config/fields.h"

/* stdout and stderr are names of their own, everything else is a file. */
static void parse_log_path(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct str s = v->kind == NODE_SCALAR ? node_str(v) : STR_NONE;
	struct conf_log *log = obj;

	if (field_member(f, obj) == &log->access_path)
		log->access_place = node_place(v);
	else
		log->events_place = node_place(v);
	if (str_eq(s, STR("stdout")) || str_eq(s, STR("stderr")))
		*(struct str *)field_member(f, obj) = arena_str(&p->conf->arena, s);
	else
		type_path.parse(p, f, v, obj);
}

static const struct config_type type_log_path = {
	.name = "stdout, stderr or a path",
	.expects = "stdout, stderr or a path",
	.schema = "{\"type\": \"string\", \"minLength\": 1}",
	.parse = parse_log_path,
	.init = type_text_init,
	.say = type_text_say,
};

static const char *const format_names[] = {
	[CONF_LOG_OFF] = "off",
	[CONF_LOG_JSON] = "json",
	[CONF_LOG_COMBINED] = "combined",
	[CONF_LOG_LOGFMT] = "logfmt",
	NULL,
};

static const char *const level_names[] = {
	[CONF_LEVEL_DEBUG] = "debug",
	[CONF_LEVEL_INFO] = "info",
	[CONF_LEVEL_WARNING] = "warning",
	[CONF_LEVEL_ERROR] = "error",
	NULL,
};

static const struct config_field access_fields[] = {
	CUSTOM("path", type_log_path, struct conf_log, access_path, "where to; a file is reopened on SIGUSR1",
		.text = "stdout"),
	ENUM("format", struct conf_log, access_format, format_names, "how each request is written",
		.dflt = CONF_LOG_JSON),
	END,
};

static const struct config_object access_object = {
	.id = OBJECT_LOG_ACCESS,
	.path = "log.access",
	.what = "access",
	.doc = "One line for each request.",
	.size = sizeof(struct conf_log),
	.fields = access_fields,
};

static const struct config_field events_fields[] = {
	CUSTOM("path", type_log_path, struct conf_log, events_path, "where to; a file is reopened on SIGUSR1",
		.text = "stderr"),
	ENUM("level", struct conf_log, events_level, level_names, "what is worth a line",
		.dflt = CONF_LEVEL_INFO),
	END,
};

static const struct config_object events_object = {
	.id = OBJECT_LOG_EVENTS,
	.path = "log.events",
	.what = "events",
	.doc = "What happens to weir itself: reloads, health, shifts, drains, upgrades.",
	.size = sizeof(struct conf_log),
	.fields = events_fields,
};

static const struct config_field log_fields[] = {
	WITHIN("access", access_object, "one line for each request"),
	WITHIN("events", events_object, "what happens to weir itself"),
	END,
};

const struct config_object log_object = {
	.id = OBJECT_LOG,
	.path = "log",
	.what = "log",
	.doc = "Logs are written by a thread of their own.",
	.size = sizeof(struct conf_log),
	.fields = log_fields,
};
