/* control/deploy_begin.c - how a deploy begins or is joined, what may be done to it by hand, and what is told of it. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"
#include "config/unit.h"
#include "control/control.h"
#include "control/deploy_run.h"
#include "control/members_json.h"

#define HEALTHY_WITHIN_DEFAULT 60000
#define HEALTHY_WITHIN_MAX     (3600u * 1000)
#define WARM_REQUESTS_MAX      10000
#define KEY_MAX                128

/* -- what is asked for -- */

/* The shift's plan: as given, or the switch at once. */
static json_t *plan_of(const json_t *body)
{
	const json_t *given = json_object_get(body, "shift");
	json_t *plan = json_is_object(given) ? json_deep_copy(given) : json_pack("{s:[i]}", "steps", 100);
	static const char *const taken[] = {"pool", "drain", "drain_timeout"};

	for (size_t i = 0; i < COUNT_OF(taken); i++)
		if (json_object_get(body, taken[i]))
			json_object_set(plan, taken[i], json_object_get(body, taken[i]));
	return plan;
}

static bool read_warm_up(const json_t *body, json_t *doc, struct shift_answer *a)
{
	const json_t *warm = json_object_get(body, "warm_up");
	const char *path = json_string_value(json_object_get(warm, "path"));
	const json_t *requests = json_object_get(warm, "requests");
	json_int_t n = requests ? json_integer_value(requests) : 1;

	if (!warm || json_is_null(warm))
		return true;
	if (!path || path[0] != '/')
		return shift_refuse(a, SHIFT_BAD, "\"warm_up\" needs a \"path\" that begins with a slash");
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return shift_refuse(a, SHIFT_BAD, "the \"path\" of \"warm_up\" must have no spaces");
	if (n < 1 || n > WARM_REQUESTS_MAX)
		return shift_refuse(a, SHIFT_BAD,
			"the \"requests\" of \"warm_up\" must be a number from 1 to %d", WARM_REQUESTS_MAX);
	json_object_set_new(doc, "warm_path", json_string(path));
	json_object_set_new(doc, "warm_requests", json_integer(n));
	return true;
}

static bool read_backends(const json_t *body, json_t *doc, struct shift_answer *a)
{
	json_t *given = json_object_get(body, "backends"), *checked;

	if (!given || json_is_null(given))
		return true;
	checked = members_json_check(given, a->text, sizeof(a->text));
	if (!checked) {
		a->outcome = SHIFT_BAD;
		return false;
	}
	if (json_array_size(checked) == 0) {
		json_decref(checked);
		return shift_refuse(a, SHIFT_BAD, "\"backends\" is empty: there would be nobody to serve");
	}
	json_object_set_new(doc, "backends", checked);
	return true;
}

static bool read_health_time(const json_t *body, json_t *doc, struct shift_answer *a)
{
	const json_t *given = json_object_get(body, "healthy_within");
	uint64_t ms = HEALTHY_WITHIN_DEFAULT;

	if (given && !json_is_null(given) &&
		(!unit_duration(str_of(json_string_value(given)), &ms) || ms < 100 ||
			ms > HEALTHY_WITHIN_MAX))
		return shift_refuse(a, SHIFT_BAD,
			"\"healthy_within\" must be a duration from 100ms to 1h, such as \"60s\"");
	json_object_set_new(doc, "healthy_within_ms", json_integer((json_int_t)ms));
	return true;
}

static bool no_pool(
	const struct conf_service *conf, struct str service, const char *name, struct shift_answer *a)
{
	struct str meant = service_doc_pool_meant(conf, name);

	if (meant.n)
		return shift_refuse(a, SHIFT_UNKNOWN,
			"there is no pool " STR_FMT "/%s; did you mean \"" STR_FMT "\"?", STR_ARG(service),
			name, STR_ARG(meant));
	return shift_refuse(a, SHIFT_UNKNOWN,
		"there is no pool " STR_FMT "/%s; a pool has to be in the file before it can be deployed to",
		STR_ARG(service), name);
}

static bool check_pool(const struct control *c, struct str service, const char *name, struct shift_answer *a)
{
	const struct conf_service *conf = runtime_conf_service(&c->runtime, service);
	const json_t *doc = runtime_doc(&c->runtime, service);
	const struct conf_pool *pool;
	uint64_t mine, all = 0;

	if (!name)
		return shift_refuse(a, SHIFT_BAD, "which pool shall be deployed? {\"pool\": \"green\"}");
	pool = conf ? service_doc_pool(conf, name) : NULL;
	if (!pool)
		return no_pool(conf, service, name, a);
	for (uint32_t i = 0; i < conf->pool_n; i++)
		if (service_doc_state(doc, &conf->pools[i]) == POOL_OPEN)
			all += service_doc_weight(doc, &conf->pools[i]);
	mine = service_doc_state(doc, pool) == POOL_OPEN ? service_doc_weight(doc, pool) : 0;
	if (all && mine == all)
		return shift_refuse(a, SHIFT_NOT_NOW,
			"pool %s has all users now: deploy to another pool of " STR_FMT, name,
			STR_ARG(service));
	if (mine)
		return shift_refuse(a, SHIFT_NOT_NOW,
			"pool %s has users (%.1f%%): deploy to a pool without any, or set its weight to 0 "
			"first: weir weights " STR_FMT " %s=0",
			name, 100.0 * (double)mine / (double)all, STR_ARG(service), name);
	return true;
}

/* A digest of all that is asked for; order and spaces do not matter. */
static void digest(const json_t *body, const char *const *ignored, char key[KEY_MAX + 1])
{
	json_t *asked = json_deep_copy(body);
	unsigned char sum[EVP_MAX_MD_SIZE];
	char *text;
	unsigned n = 0;

	for (const char *const *name = ignored; name && *name; name++)
		json_object_del(asked, *name);
	text = json_dumps(asked, JSON_COMPACT | JSON_SORT_KEYS);
	MUST(text && EVP_Digest(text, strlen(text), sum, &n, EVP_sha256(), NULL));
	for (unsigned i = 0; i < 16; i++)
		snprintf(key + 2 * i, 3, "%02x", sum[i]);
	free(text);
	json_decref(asked);
}

static bool key_of(const struct deploy_wish *wish, char key[KEY_MAX + 1], struct shift_answer *a)
{
	const json_t *id = json_object_get(wish->body, "id");
	const char *text = json_string_value(id);

	if (!id || json_is_null(id)) {
		digest(wish->body, wish->ignored, key);
		return true;
	}
	if (!text || !*text || strlen(text) > KEY_MAX)
		return shift_refuse(a, SHIFT_BAD, "\"id\" must be a text of 1 to %d bytes", KEY_MAX);
	snprintf(key, KEY_MAX + 1, "%s", text);
	return true;
}

/* The new document, or NULL. */
static json_t *doc_of(struct deploy_engine *e, struct str service, const struct deploy_wish *wish,
	const char *key, struct shift_answer *a)
{
	const char *pool = json_string_value(json_object_get(wish->body, "pool"));
	struct shift_plan plan;
	char id[24];
	json_t *doc;

	snprintf(id, sizeof(id), "%llx", (unsigned long long)state_wall_ms());
	doc = json_pack("{s:s, s:s, s:I, s:s, s:s, s:s%, s:s?, s:o, s:s?, s:s?, s:I, s:b, s:[]}", "id", id,
		"key", key, "serial", (json_int_t)0, "state", "none", "why", "", "service", service.p,
		service.n, "pool", pool, "plan", plan_of(wish->body), "author", wish->author, "reason",
		wish->reason, "started_ms", (json_int_t)state_wall_ms(), "timed_out", 0, "log");
	MUST(doc);
	if (check_pool(e->control, service, pool, a) && read_backends(wish->body, doc, a) &&
		read_warm_up(wish->body, doc, a) && read_health_time(wish->body, doc, a)) {
		if (shift_plan_parse(&plan, json_object_get(doc, "plan"), NULL, a->text, sizeof(a->text)))
			return doc;
		a->outcome = SHIFT_BAD;
	}
	json_decref(doc);
	return NULL;
}

/* -- joining -- */

/* Does what the last deploy has brought about still hold? */
static bool still_holds(const struct deploy *d)
{
	const struct runtime *rt = &d->engine->control->runtime;
	const struct conf_service *conf = runtime_conf_service(rt, str_of(d->service));
	const struct conf_pool *pool = conf ? service_doc_pool(conf, deploy_text(d, "pool")) : NULL;
	const json_t *doc = runtime_doc(rt, str_of(d->service)), *set = json_object_get(d->doc, "backends"),
		     *now;
	json_t *file;
	bool same;

	if (!pool || service_doc_state(doc, pool) != POOL_OPEN || !service_doc_weight(doc, pool))
		return false;
	now = service_doc_backends(doc, pool->name);
	file = members_json(pool->backends, pool->backend_n);
	same = !set || json_equal(set, now ? now : file);
	json_decref(file);
	return same;
}

/* Is it the same as the last one, and under way or (by the name that its caller gave it, or because it still holds) over? */
static bool joins(const struct deploy *d, const struct deploy_wish *wish, const char *key)
{
	const char *mine = d && d->doc ? deploy_text(d, "key") : NULL;

	if (!mine || strcmp(mine, key) != 0)
		return false;
	if (!deploy_has_ended(d->state))
		return true;
	if (json_string_value(json_object_get(wish->body, "id")))
		return d->state != DEPLOY_NONE;
	return d->state == DEPLOY_DONE && still_holds(d);
}

/* -- beginning -- */

static void on_begun(struct deploy *d, const char *error)
{
	void (*begun)(void *, const char *) = TAKE(&d->begun);

	if (error) {
		d->turn++;
		json_decref(d->doc);
		d->doc = TAKE(&d->before);
		d->state = deploy_state_in(d->doc);
	} else {
		json_decref(TAKE(&d->before));
		deploy_move(d, DEPLOY_SETTING, "the pool gets its backends", deploy_set_backends);
	}
	if (begun)
		begun(d->begun_ctx, error);
}

static bool check_members(const struct deploy_wish *wish, struct shift_answer *a)
{
	static const char *const own[] = {"pool", "backends", "id", "healthy_within", "warm_up", "shift",
		"drain", "drain_timeout", NULL};
	const json_t *shift = json_object_get(wish->body, "shift");
	const char *name;
	json_t *value;

	if (!json_is_object(wish->body))
		return shift_refuse(a, SHIFT_BAD, "which pool shall be deployed? {\"pool\": \"green\"}");
	json_object_foreach((json_t *)wish->body, name, value)
	{
		bool known = false;

		for (const char *const *n = own; *n; n++)
			known |= strcmp(*n, name) == 0;
		for (const char *const *n = wish->ignored; n && *n; n++)
			known |= strcmp(*n, name) == 0;
		if (!known)
			return shift_refuse(a, SHIFT_BAD, "unknown member \"%.64s\"", name);
	}
	if (shift && !json_is_null(shift) && !json_is_object(shift))
		return shift_refuse(a, SHIFT_BAD,
			"\"shift\" must be an object, such as {\"steps\": [10, 100]}; without it, users are "
			"switched at once");
	return true;
}

void deploy_begin(struct deploy_engine *e, struct str service, const struct deploy_wish *wish,
	struct shift_answer *answer, bool *joined, void (*done)(void *ctx, const char *error), void *ctx)
{
	struct deploy *d = deploy_find(e, service);
	char key[KEY_MAX + 1];
	json_t *doc;

	*answer = (struct shift_answer){.outcome = SHIFT_TAKEN};
	*joined = false;
	if (!check_members(wish, answer) || !key_of(wish, key, answer))
		return;
	*joined = joins(d, wish, key);
	if (*joined)
		return;
	if (deploy_holds(e, service, NULL, answer->text) ||
		shift_holds(&e->control->shifts, service, answer->text)) {
		answer->outcome = SHIFT_HELD;
		return;
	}
	doc = doc_of(e, service, wish, key, answer);
	if (!doc)
		return;
	d = deploy_of(e, service);
	d->before = d->doc;
	json_object_set_new(doc, "serial", json_integer((json_int_t)deploy_serial(e, service)));
	d->doc = doc;
	d->loaded = false;
	d->begun = done;
	d->begun_ctx = ctx;
	deploy_move(d, DEPLOY_BEGINNING, "is being stored", on_begun);
}

bool deploy_is_unwinding(struct deploy_engine *e, struct str service)
{
	const struct deploy *d = deploy_find(e, service);

	return d && deploy_has_ended(d->state) && d->jobs;
}

void deploy_forget(struct deploy_engine *e, struct str service, void *ctx)
{
	struct deploy *d = deploy_find(e, service);

	if (d && d->begun_ctx == ctx)
		d->begun = NULL;
}

void deploy_abort(struct deploy_engine *e, struct str service, const char *author, const char *reason,
	struct shift_answer *answer)
{
	struct deploy *d = deploy_find(e, service);
	char why[SHIFT_TEXT];

	*answer = (struct shift_answer){.outcome = SHIFT_TAKEN};
	if (!d || !d->doc || deploy_has_ended(d->state)) {
		shift_refuse(answer, SHIFT_UNKNOWN, "there is no deploy of " STR_FMT " under way",
			STR_ARG(service));
		return;
	}
	snprintf(why, sizeof(why), "aborted by " STR_FMT "%s" STR_FMT,
		STR_ARG(str_head_utf8(author ? str_of(author) : STR("somebody"), 200)), reason ? ": " : "",
		STR_ARG(str_head_utf8(str_of(reason), 600)));
	if (d->state == DEPLOY_SHIFTING)
		shift_act(&e->control->shifts, service, SHIFT_ABORT, author, reason, answer);
	else if (d->state == DEPLOY_BEGINNING || d->loaded)
		shift_refuse(answer, SHIFT_NOT_NOW, "the deploy is just beginning; try again");
	else
		deploy_move(d, DEPLOY_ABORTED, why, NULL);
}

/* -- what is known -- */

bool deploy_holds(const struct deploy_engine *e, struct str service, const char *pool, char *text)
{
	const struct deploy *d = deploy_find(e, service);
	const char *author;

	if (!d || !d->doc || deploy_has_ended(d->state))
		return false;
	if (pool && strcmp(pool, deploy_text(d, "pool")) != 0)
		return false;
	author = deploy_text(d, "author");
	snprintf(text, SHIFT_TEXT,
		"a deploy of pool %s is under way (%s, by %.128s): wait for its end, or end it with weir "
		"deploy " STR_FMT " --abort",
		deploy_text(d, "pool"), deploy_state_names[d->state], author ? author : "somebody",
		STR_ARG(service));
	return true;
}

json_t *deploy_document(struct deploy_engine *e, struct str service)
{
	struct deploy *d = deploy_find(e, service);
	const json_t *shift = shift_stored(&e->control->shifts, service);
	const char *mine = json_string_value(json_object_get(shift, "deploy"));
	json_t *document;

	if (!d || !d->doc)
		return NULL;
	document = json_deep_copy(d->doc);
	json_object_set_new(document, "serial", json_integer((json_int_t)deploy_serial(e, service)));
	json_object_set_new(document, "ended", json_boolean(deploy_has_ended(d->state)));
	if (mine && strcmp(mine, deploy_text(d, "id")) == 0)
		json_object_set_new(document, "shift", shift_document(&e->control->shifts, service));
	return document;
}

uint64_t deploy_serial(struct deploy_engine *e, struct str service)
{
	const struct deploy *d = deploy_find(e, service);

	return (uint64_t)(json_integer_value(json_object_get(d ? d->doc : NULL, "serial")) +
			  json_integer_value(
				  json_object_get(shift_stored(&e->control->shifts, service), "serial")));
}
