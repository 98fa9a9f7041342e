/* control/admin/openapi.c - the OpenAPI 3.1 document, made of the same rows that requests are routed by. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"
#include "control/admin/routes.h"

/* What several rows speak of. */
static const struct {
	const char *name, *schema;
} schemas[] = {
	{"Problem",
		"{\"type\": \"object\", \"description\": \"RFC 9457\", \"required\": [\"type\", \"title\", "
		"\"status\", \"detail\", \"reason\"], \"properties\": {\"type\": {\"type\": \"string\"}, "
		"\"title\": "
		"{\"type\": \"string\"}, \"status\": {\"type\": \"integer\"}, \"detail\": {\"type\": "
		"\"string\"}, "
		"\"reason\": {\"type\": \"string\", \"description\": \"what kind of problem, in one "
		"word\"}}}"},
	{"Backend",
		"{\"type\": \"object\", \"required\": [\"address\", \"weight\", \"health\", \"ejected\"], "
		"\"properties\": {\"address\": {\"type\": \"string\"}, \"weight\": {\"type\": \"integer\"}, "
		"\"priority\": {\"type\": \"integer\"}, \"ejected\": {\"type\": \"boolean\"}, \"drained\": "
		"{\"type\": \"boolean\"}, \"health\": "
		"{\"type\": "
		"\"object\", \"properties\": {\"state\": {\"enum\": [\"checking\", \"up\", \"down\"]}, "
		"\"checked\": "
		"{\"type\": \"boolean\"}, \"since_s\": {\"type\": \"number\"}, \"reason\": {\"type\": "
		"[\"string\", "
		"\"null\"]}, \"text\": {\"type\": [\"string\", \"null\"]}, \"status\": {\"type\": "
		"[\"integer\", "
		"\"null\"]}, \"duration_ms\": {\"type\": \"number\"}}}}}"},
	{"Pool", "{\"type\": \"object\", \"required\": [\"name\", \"weight\", \"effective_weight\", "
		 "\"state\", "
		 "\"backends\"], \"properties\": {\"name\": {\"type\": \"string\"}, \"weight\": {\"type\": "
		 "\"integer\"}, "
		 "\"runtime_weight\": {\"type\": [\"integer\", \"null\"]}, \"effective_weight\": {\"type\": "
		 "\"number\"}, "
		 "\"capacity\": {\"type\": \"number\"}, \"state\": {\"enum\": [\"open\", \"pinned\", "
		 "\"draining\", "
		 "\"closed\"]}, \"runtime_state\": {\"type\": [\"string\", \"null\"]}, "
		 "\"runtime_backends\": {\"type\": \"boolean\"}, "
		 "\"up\": {\"type\": \"integer\"}, \"down\": {\"type\": \"integer\"}, "
		 "\"checking\": {\"type\": "
		 "\"integer\"}, \"panic\": {\"type\": \"boolean\"}, \"backends\": {\"type\": \"array\", "
		 "\"items\": "
		 "{\"$ref\": \"#/components/schemas/Backend\"}}}}"},
	{"Service",
		"{\"type\": \"object\", \"required\": [\"tenant\", \"service\", \"version\", \"pools\"], "
		"\"properties\": {\"tenant\": {\"type\": \"string\"}, \"service\": {\"type\": "
		"\"string\"}, \"version\": "
		"{\"type\": \"integer\"}, \"lease\": {\"type\": [\"object\", \"null\"]}, "
		"\"shift\": {\"type\": [\"object\", \"null\"], \"description\": \"the gist of one that is "
		"under way, or of the last\"}, \"deploy\": {\"type\": [\"object\", \"null\"]}, \"hold\": "
		"{\"type\": [\"object\", \"null\"]}, "
		"\"pools\": {\"type\": \"array\", \"items\": {\"$ref\": "
		"\"#/components/schemas/Pool\"}}}}"},
	{"LogEntry",
		"{\"type\": \"object\", \"required\": [\"time_ms\", \"serial\", \"state\", \"text\"], "
		"\"properties\": {\"time_ms\": {\"type\": \"integer\"}, \"serial\": {\"type\": \"integer\"}, "
		"\"state\": {\"type\": \"string\"}, \"share\": {\"type\": \"number\"}, \"text\": {\"type\": "
		"\"string\"}}}"},
	{"Figures",
		"{\"type\": \"object\", \"properties\": {\"requests\": {\"type\": \"integer\"}, "
		"\"failures\": {\"type\": \"integer\"}, \"error_rate\": {\"type\": \"number\"}, \"p50_ms\": "
		"{\"type\": \"number\"}, \"p90_ms\": {\"type\": \"number\"}, \"p99_ms\": {\"type\": "
		"\"number\"}}}"},
	{"Verdict", "{\"type\": \"object\", \"properties\": {\"outcome\": {\"enum\": [\"pass\", \"fail\", "
		    "\"inconclusive\"]}, \"text\": {\"type\": \"string\"}, \"window_ms\": {\"type\": "
		    "\"integer\"}, \"share\": {\"type\": \"number\"}, \"new\": {\"$ref\": "
		    "\"#/components/schemas/Figures\"}, \"old\": {\"$ref\": "
		    "\"#/components/schemas/Figures\"}}}"},
	{"Shift",
		"{\"type\": \"object\", \"description\": \"a shift that is under way, or the last "
		"one\", \"required\": [\"id\", \"serial\", \"state\", \"ended\", \"why\", \"service\", "
		"\"pool\", \"plan\", \"base\", \"weights\", \"step\", \"steps\", \"share\", \"started_ms\", "
		"\"changed_ms\", \"log\"], \"properties\": {\"id\": {\"type\": \"string\"}, \"serial\": "
		"{\"type\": \"integer\", \"description\": \"grows with all that happens: ?after=\"}, "
		"\"state\": {\"enum\": [\"beginning\", \"stepping\", \"observing\", \"inconclusive\", "
		"\"judging\", \"waiting\", \"paused\", \"returning\", \"draining\", \"done\", \"aborted\", "
		"\"rolled_back\"]}, \"ended\": {\"type\": \"boolean\"}, \"why\": {\"type\": \"string\"}, "
		"\"service\": {\"type\": \"string\"}, \"pool\": {\"type\": \"string\"}, \"from\": {\"type\": "
		"[\"string\", \"null\"], \"description\": \"the pool it is compared with\"}, \"plan\": "
		"{\"type\": \"object\", \"description\": \"as it was asked for\"}, \"base\": {\"type\": "
		"\"object\", \"additionalProperties\": {\"type\": \"integer\"}, \"description\": \"what "
		"it goes back to\"}, \"weights\": {\"type\": \"object\", \"additionalProperties\": "
		"{\"type\": \"integer\"}, \"description\": \"in force\"}, \"step\": {\"type\": \"integer\"}, "
		"\"steps\": {\"type\": \"integer\"}, \"share\": {\"type\": \"number\", \"description\": "
		"\"percent of new users\"}, \"author\": {\"type\": [\"string\", \"null\"]}, \"reason\": "
		"{\"type\": [\"string\", \"null\"]}, \"deploy\": {\"type\": [\"string\", \"null\"], "
		"\"description\": \"whose it is\"}, \"started_ms\": {\"type\": \"integer\"}, "
		"\"changed_ms\": {\"type\": \"integer\"}, \"left_ms\": {\"type\": \"integer\", "
		"\"description\": \"of the window\"}, \"in_flight\": {\"type\": \"integer\", "
		"\"description\": \"while the old pool drains\"}, \"ending\": {\"type\": \"string\"}, "
		"\"drained\": {\"type\": \"boolean\"}, \"baseline\": {\"$ref\": "
		"\"#/components/schemas/Figures\"}, \"verdict\": {\"$ref\": "
		"\"#/components/schemas/Verdict\"}, \"log\": {\"type\": \"array\", \"items\": {\"$ref\": "
		"\"#/components/schemas/LogEntry\"}}}}"},
	{"Deploy",
		"{\"type\": \"object\", \"description\": \"a deploy that is under way, or the last "
		"one\", \"required\": [\"id\", \"key\", \"serial\", \"state\", \"ended\", \"why\", "
		"\"service\", "
		"\"pool\", \"plan\", \"healthy_within_ms\", \"started_ms\", \"changed_ms\", \"timed_out\", "
		"\"log\"], \"properties\": {\"id\": {\"type\": \"string\"}, \"key\": {\"type\": \"string\", "
		"\"description\": \"what its caller calls it, or a digest of what was asked "
		"for\"}, \"serial\": {\"type\": \"integer\"}, \"state\": {\"enum\": [\"beginning\", "
		"\"setting\", \"checking\", \"warming\", \"shifting\", \"done\", \"failed\", \"aborted\", "
		"\"rolled_back\"]}, \"ended\": {\"type\": \"boolean\"}, \"why\": {\"type\": \"string\"}, "
		"\"service\": {\"type\": \"string\"}, \"pool\": {\"type\": \"string\"}, \"plan\": {\"type\": "
		"\"object\"}, \"backends\": {\"type\": \"array\", \"items\": {\"type\": \"object\"}}, "
		"\"healthy_within_ms\": {\"type\": \"integer\"}, \"warm_path\": {\"type\": \"string\"}, "
		"\"warm_requests\": {\"type\": \"integer\"}, \"author\": {\"type\": [\"string\", \"null\"]}, "
		"\"reason\": {\"type\": [\"string\", \"null\"]}, \"started_ms\": {\"type\": \"integer\"}, "
		"\"changed_ms\": {\"type\": \"integer\"}, \"timed_out\": {\"type\": \"boolean\", "
		"\"description\": \"not every backend has become healthy in time\"}, \"joined\": "
		"{\"type\": \"boolean\", \"description\": \"the same one had begun already\"}, "
		"\"shift\": {\"$ref\": \"#/components/schemas/Shift\"}, \"log\": {\"type\": \"array\", "
		"\"items\": {\"$ref\": \"#/components/schemas/LogEntry\"}}}}"},
	{"Hold", "{\"type\": \"object\", \"required\": [\"service\", \"held\", \"left_ms\", \"waiting\", "
		 "\"had_to_wait\", \"found_no_room\", \"timed_out\", \"terms\"], \"properties\": "
		 "{\"service\": {\"type\": \"string\"}, \"held\": {\"type\": \"boolean\"}, \"left_ms\": "
		 "{\"type\": \"integer\"}, \"waiting\": {\"type\": \"integer\"}, \"had_to_wait\": {\"type\": "
		 "\"integer\"}, \"found_no_room\": {\"type\": \"integer\"}, \"timed_out\": {\"type\": "
		 "\"integer\"}, \"terms\": {\"type\": [\"object\", \"null\"], \"properties\": {\"for_ms\": "
		 "{\"type\": \"integer\"}, \"queue\": {\"type\": \"integer\"}, \"wait_ms\": {\"type\": "
		 "\"integer\"}, \"spread_ms\": {\"type\": \"integer\"}, \"rate\": {\"type\": \"integer\", "
		 "\"description\": \"requests a second; 0: spread_ms counts\"}, \"path\": {\"type\": "
		 "[\"string\", \"null\"]}, \"status\": {\"type\": \"integer\"}, \"author\": {\"type\": "
		 "[\"string\", \"null\"]}, \"reason\": {\"type\": [\"string\", \"null\"]}, \"since_ms\": "
		 "{\"type\": \"integer\"}, \"until_ms\": {\"type\": \"integer\"}}}}}"},
};

static json_t *parsed(const char *text)
{
	json_t *j = json_loads(text, 0, NULL);

	MUST(j);
	return j;
}

static json_t *parameter(const char *name, const char *in, const char *type, const char *doc)
{
	bool duration = strcmp(type, "duration") == 0;
	json_t *j = json_pack(
		"{s:s, s:s, s:{s:s}}", "name", name, "in", in, "schema", "type", duration ? "string" : type);

	if (strcmp(in, "path") == 0)
		json_object_set_new(j, "required", json_true());
	if (duration)
		json_object_set_new(json_object_get(j, "schema"), "examples", json_pack("[s]", "30s"));
	if (doc)
		json_object_set_new(j, "description", json_string(doc));
	return j;
}

static const char *path_parameter_doc(const char *name)
{
	static const struct {
		const char *name, *doc;
	} docs[] = {{"t", "the tenant"}, {"s", "the service"}, {"p", "the pool"}, {"id", "the request's id"},
		{"l", "the listener"}};

	for (size_t i = 0; i < COUNT_OF(docs); i++)
		if (strcmp(name, docs[i].name) == 0)
			return docs[i].doc;
	return NULL;
}

static json_t *parameters(const struct admin_route *r)
{
	json_t *all = json_array();
	const char *open = r->path;
	char name[32];

	while ((open = strchr(open, '{'))) {
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(open + 1, "}"), open + 1);
		json_array_append_new(all, parameter(name, "path", "string", path_parameter_doc(name)));
		open++;
	}
	for (const struct admin_param *p = r->query; p && p->name; p++)
		json_array_append_new(all, parameter(p->name, "query", p->type, p->doc));
	return all;
}

static json_t *responses(const struct admin_route *r)
{
	const char *type = r->type ? r->type : "application/json";
	json_t *schema = strstr(type, "json") ? parsed(r->response ? r->response : "{\"type\": \"object\"}")
					      : parsed("{\"type\": \"string\"}");
	json_t *content = json_pack("{s:{s:o}}", type, "schema", schema);

	if (r->streams)
		json_object_set_new(
			content, "text/event-stream", parsed("{\"schema\": {\"type\": \"string\"}}"));
	return json_pack("{s:{s:s, s:o}, s:{s:s, s:{s:{s:{s:s}}}}}", "2XX", "description", "done", "content",
		content, "default", "description", "a problem", "content", "application/problem+json",
		"schema", "$ref", "#/components/schemas/Problem");
}

/* "get_v1_services_t_s" */
static json_t *operation_id(const struct admin_route *r)
{
	char id[128];
	struct text t = text_in(id, sizeof(id));
	bool gap = true;

	text_put(&t, method_name((enum method)r->method));
	for (const char *p = r->path; *p; p++) {
		if (!isalnum((unsigned char)*p)) {
			gap = true;
			continue;
		}
		if (gap)
			text_char(&t, '_');
		gap = false;
		text_char(&t, *p);
	}
	str_lower(id, t.n);
	return json_stringn(id, t.n);
}

static json_t *operation(const struct admin_route *r)
{
	json_t *j = json_pack("{s:s, s:o, s:s, s:b, s:o, s:o}", "summary", r->summary, "operationId",
		operation_id(r), "x-weir-role", admin_role_name((enum admin_role)r->role), "x-weir-global",
		r->global, "parameters", parameters(r), "responses", responses(r));

	if (r->request)
		json_object_set_new(j, "requestBody",
			json_pack("{s:{s:{s:o}}}", "content", "application/json", "schema",
				parsed(r->request)));
	if (r->role == ADMIN_ANYBODY)
		json_object_set_new(j, "security", json_array());
	return j;
}

static json_t *paths(void)
{
	json_t *all = json_object();

	for (const struct admin_route *const *t = admin_tables; *t; t++) {
		for (const struct admin_route *r = *t; r->path; r++) {
			json_t *path = json_object_get(all, r->path);
			char method[16];
			struct str name = method_name((enum method)r->method);

			if (!path) {
				path = json_object();
				json_object_set_new(all, r->path, path);
			}
			snprintf(method, sizeof(method), STR_FMT, STR_ARG(name));
			str_lower(method, name.n);
			json_object_set_new(path, method, operation(r));
		}
	}
	return all;
}

static void openapi(struct admin_request *rq)
{
	json_t *components = json_object();

	for (size_t i = 0; i < COUNT_OF(schemas); i++)
		json_object_set_new(components, schemas[i].name, parsed(schemas[i].schema));
	admin_answer(rq, 200,
		json_pack("{s:s, s:{s:s, s:s, s:s}, s:[{s:s}], s:[{s:[]}], s:o, s:{s:o, s:{s:{s:s, s:s}}}}",
			"openapi", "3.1.0", "info", "title", "weir admin API", "version", WEIR_VERSION,
			"description",
			"x-weir-role is the least role that may use an operation: viewer, operator or admin; "
			"x-weir-global: it is not for tokens that are confined to some tenants. "
			"Over the unix "
			"socket no token is needed.",
			"servers", "url", "/", "security", "bearer", "paths", paths(), "components",
			"schemas", components, "securitySchemes", "bearer", "type", "http", "scheme",
			"bearer"));
}

const struct admin_route openapi_routes[] = {
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.path = "/v1/openapi.json",
		.summary = "This document",
		.handle = openapi},
	{.path = NULL},
};
