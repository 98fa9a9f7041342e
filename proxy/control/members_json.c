#include "control/members_json.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"

json_t *members_json(const struct conf_backend *v, uint32_t n)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(list,
			json_pack("{s:s%, s:I, s:I}", "address", v[i].address.p, v[i].address.n, "weight",
				(json_int_t)v[i].weight, "priority", (json_int_t)v[i].priority));
	return list;
}

/* JSON is YAML: the file's own tables read it. */
static struct conf *parse(const json_t *list, struct conf_pool *pool, struct conf_report *report)
{
	json_t *object = json_pack("{s:O}", "backends", list);
	char *text = json_dumps(object, JSON_COMPACT);
	struct conf *conf;

	MUST(text);
	conf = conf_load_members(str_of(text), pool, report);
	json_decref(object);
	free(text);
	return conf;
}

json_t *members_json_check(const json_t *list, char *text, size_t n)
{
	struct conf_report report;
	struct conf_pool pool = {0};
	struct text why = text_in(text, n - 1);
	struct conf *conf;
	json_t *checked = NULL;

	if (!json_is_array(list)) {
		snprintf(text, n,
			"the backends must be a list of addresses, or of {address, weight, priority}");
		return NULL;
	}
	conf = parse(list, &pool, &report);
	if (conf)
		checked = members_json(pool.backends, pool.backend_n);
	else
		for (uint32_t i = 0; i < report.n; i++)
			text_fmt(&why, "%s" STR_FMT, i ? "; " : "", STR_ARG(report.v[i].text));
	text[why.n] = '\0';
	conf_free(conf);
	conf_report_free(&report);
	return checked;
}

struct conf *members_json_parse(const json_t *list, struct conf_backend **v, uint32_t *n)
{
	struct conf_report report;
	struct conf_pool pool = {0};
	struct conf *conf = parse(list, &pool, &report);

	*v = pool.backends;
	*n = pool.backend_n;
	conf_report_free(&report);
	return conf;
}
