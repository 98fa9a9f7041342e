#include "control/members_json.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"

/* What only few have is left out where it is not said. */
static json_t *member_json(const struct conf_backend *b)
{
	json_t *j = json_pack("{s:s%, s:I, s:I}", "address", b->address.p, b->address.n, "weight",
		(json_int_t)b->weight, "priority", (json_int_t)b->priority);

	if (b->requests)
		json_object_set_new(j, "requests", json_integer(b->requests));
	if (b->zone.n)
		json_object_set_new(j, "zone", json_stringn(b->zone.p, b->zone.n));
	return j;
}

json_t *members_json(const struct conf_backend *v, uint32_t n)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(list, member_json(&v[i]));
	return list;
}

/* JSON is YAML: the file's own tables read it. */
static struct conf *parse(const json_t *list, struct conf_report *report)
{
	json_t *object = json_pack("{s:O}", "backends", list);
	char *text = json_dumps(object, JSON_COMPACT);
	struct conf *conf;

	MUST(text);
	conf = conf_load_members("backends", str_of(text), report);
	json_decref(object);
	free(text);
	return conf;
}

json_t *members_json_check(const json_t *list, char *text, size_t n)
{
	struct conf_report report;
	struct text why = text_in(text, n - 1);
	struct conf *conf;
	json_t *checked = NULL;

	if (!json_is_array(list)) {
		snprintf(text, n,
			"the backends must be a list of addresses, or of {address, weight, priority, "
			"requests, zone}");
		return NULL;
	}
	conf = parse(list, &report);
	if (conf)
		checked = members_json(conf->listed, conf->listed_n);
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
	struct conf *conf = parse(list, &report);

	*v = conf ? conf->listed : NULL;
	*n = conf ? conf->listed_n : 0;
	conf_report_free(&report);
	return conf;
}
