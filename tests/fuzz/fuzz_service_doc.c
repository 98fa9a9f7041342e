/* What is stored of a service, and what somebody asks to be changed of it: "DOCUMENT\nCHANGE", both JSON of any shape, the first as if
 * another program had written the state. What comes of a change is a document that holds, and has a newer version. */
#include <stdint.h>
#include <stdlib.h>
#include "base/obj.h"
#include "control/service_change.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct conf *load(void)
{
	struct conf_report report;
	struct conf *c = conf_load_text("fuzz.yaml",
		STR("{listeners: {l: {address: \"127.0.0.1:80\"}}, tenants: {t: {hosts: [t.test], services: "
		    "{s: {pools: {"
		    "blue: {weight: 9, backends: [\"10.0.0.1:80\"]}, green: {weight: 1, backends: "
		    "[\"10.0.0.2:80\"]}}}}}}}"),
		&report);

	MUST(c);
	conf_report_free(&report);
	return c;
}

static const char *text_of(const json_t *from, const char *name)
{
	return json_string_value(json_object_get(from, name));
}

static void look(const json_t *doc, const struct conf_service *service)
{
	uint32_t left;

	for (uint32_t i = 0; i < service->pool_n; i++) {
		const struct conf_pool *pool = &service->pools[i];

		MUST(service_doc_weight(doc, pool) <= WEIGHT_MAX);
		MUST(service_doc_state(doc, pool) < POOL_STATES);
		service_doc_backend_count(doc, pool);
		service_doc_set(doc, pool->name, "backends");
	}
	service_doc_serves(doc, service);
	if (service_doc_lease(doc, 1, &left))
		MUST(left <= LEASE_MAX_MS);
}

static void change(const json_t *doc, const struct conf_service *service, const json_t *asked)
{
	struct service_change c = {
		.if_version = json_integer_value(json_object_get(asked, "if_version")),
		.author = text_of(asked, "author"),
		.reason = text_of(asked, "reason"),
		.weights = json_object_get(asked, "weights"),
		.states = json_object_get(asked, "states"),
		.backends = json_object_get(asked, "backends"),
		.backends_pool = text_of(asked, "pool") ? text_of(asked, "pool") : "blue",
		.backends_how = (uint8_t)(json_integer_value(json_object_get(asked, "how")) & 1),
		.lease_ms = json_is_true(json_object_get(asked, "lease")) ? LEASE_MIN_MS : 0,
		.force = json_is_true(json_object_get(asked, "force")),
		.lease_is_over = json_is_true(json_object_get(asked, "over")),
	};
	enum change_outcome outcome;
	char said[CHANGE_TEXT];
	json_t *next = service_change_apply(doc, service, &c, 1790000000000ll, &outcome, said);

	if (!next) {
		MUST(outcome != CHANGE_DONE && outcome != CHANGE_RENEWED);
		return;
	}
	MUST(outcome == CHANGE_RENEWED || service_doc_version(next) > service_doc_version(doc));
	look(next, service);
	json_decref(service_doc_difference(doc, next, service));
	json_decref(next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct conf *conf;
	const char *text = (const char *)data, *end = n ? memchr(text, '\n', n) : NULL;
	const struct conf_service *service;
	size_t first = end ? (size_t)(end - text) : n;
	json_t *stored = json_loadb(text, first, 0, NULL), *lost = json_array();
	json_t *asked = end ? json_loadb(end + 1, n - first - 1, 0, NULL) : NULL, *doc;

	if (!conf)
		conf = load();
	service = &conf->tenants[0].services[0];
	doc = stored ? service_doc_follow(stored, service, lost) : service_doc_new(service);
	if (!doc)
		doc = service_doc_new(service);
	look(doc, service);
	change(doc, service, asked);
	json_decref(service_doc_without_service(doc, lost));
	json_decref(doc);
	json_decref(lost);
	json_decref(asked);
	json_decref(stored);
	return 0;
}
