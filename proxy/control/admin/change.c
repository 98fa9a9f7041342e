#include "control/admin/change.h"

#include "config/suggest.h"
#include "control/admin/services.h"
#include "control/control.h"

/* A change under way, for the request that waits for it; in the request's arena. */
struct change_wait {
	struct runtime_job *job;
	json_t *(*answer)(struct admin_request *rq);
};

/* -- the body -- */

static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names; names++)
		if (strcmp(name, *names) == 0)
			return true;
	return false;
}

static bool check_members(struct admin_request *rq, const char *const *own)
{
	static const char *const common[] = {"reason", "author", "force", NULL};
	const char *name;
	json_t *value;

	json_object_foreach(rq->body, name, value)
	{
		struct suggestion s = {.word = str_of(name)};

		if (is_one_of(name, common) || is_one_of(name, own))
			continue;
		for (const char *const *n = common; *n; n++)
			suggest_try(&s, str_of(*n));
		for (const char *const *n = own; *n; n++)
			suggest_try(&s, str_of(*n));
		if (s.best.n)
			admin_problem(rq, 400, "unknown_member",
				"unknown member \"%.64s\"; did you mean \"" STR_FMT "\"?", name,
				STR_ARG(s.best));
		else
			admin_problem(rq, 400, "unknown_member", "unknown member \"%.64s\"", name);
		return false;
	}
	return true;
}

static bool read_text(struct admin_request *rq, const char *name, const char **text)
{
	const json_t *v = json_object_get(rq->body, name);

	if (v && !json_is_null(v) && !json_is_string(v)) {
		admin_problem(rq, 400, "bad_member", "\"%s\" must be a text", name);
		return false;
	}
	*text = json_string_value(v);
	return true;
}

bool change_read(struct admin_request *rq, const char *const *own, struct service_change *change)
{
	const json_t *force;
	const char *author = NULL;

	if (rq->body && !json_is_object(rq->body)) {
		admin_problem(rq, 400, "bad_body", "the body must be a JSON object");
		return false;
	}
	if (!check_members(rq, own) || !read_text(rq, "reason", &change->reason) ||
		!read_text(rq, "author", &author))
		return false;
	if (change->reason && strlen(change->reason) > REASON_MAX) {
		admin_problem(rq, 400, "bad_value", "the reason is longer than %d bytes", REASON_MAX);
		return false;
	}
	force = json_object_get(rq->body, "force");
	if (force && !json_is_boolean(force)) {
		admin_problem(rq, 400, "bad_member", "\"force\" must be true or false");
		return false;
	}
	change->force = json_is_true(force);
	/* Whatever somebody calls himself, who he is stands beside it. */
	if (author && *author)
		change->author = arena_fmt(&rq->arena, STR_FMT " (" STR_FMT ")",
			STR_ARG(str_head_utf8(str_of(author), AUTHOR_MAX / 2)), STR_ARG(rq->caller.name))
					 .p;
	else
		change->author = arena_str(&rq->arena, rq->caller.name).p;
	return true;
}

/* -- the outcome -- */

static void answer_problem(struct admin_request *rq, const struct runtime_result *r)
{
	static const struct {
		unsigned status;
		const char *type;
	} problems[] = {
		[CHANGE_UNKNOWN] = {404, "unknown_name"},
		[CHANGE_BAD] = {400, "bad_value"},
		[CHANGE_UNSAFE] = {409, "unsafe"},
		[CHANGE_CONFLICT] = {412, "version_conflict"},
		[CHANGE_BUSY] = {503, "busy"},
		[CHANGE_UNWRITABLE] = {503, "state_unwritable"},
		[CHANGE_FULL] = {507, "state_unwritable"},
		[CHANGE_STOPPING] = {503, "stopping"},
	};

	admin_problem_with(rq, problems[r->outcome].status, problems[r->outcome].type,
		json_pack("{s:I}", "version", (json_int_t)r->version), "%s", r->text);
}

static void on_done(void *ctx, const struct runtime_result *r)
{
	struct admin_request *rq = ctx;
	struct change_wait *w = rq->user;
	json_t *body;

	rq->gone = NULL;
	if (r->outcome > CHANGE_RENEWED) {
		answer_problem(rq, r);
		return;
	}
	body = w->answer(rq);
	/* The version that this change made: the next one may have been made already, and If-Match must notice it. */
	json_object_set_new(body, "version", json_integer(r->version));
	json_object_set_new(body, "changed", json_boolean(r->outcome == CHANGE_DONE));
	admin_answer_etag(rq, 200, body, (uint64_t)r->version);
}

static void on_gone(struct admin_request *rq)
{
	runtime_job_forget(((struct change_wait *)rq->user)->job);
}

/* While one process hands over to another neither may be told anything: who goes on would not know it. */
bool change_may_begin(struct admin_request *rq)
{
	if (control_may_change(rq->control))
		return true;
	admin_header(rq, "Retry-After", STR("1"));
	admin_problem(rq, 503, "upgrading",
		"an upgrade is under way: nothing can be changed until it has ended; try again in a moment");
	return false;
}

const struct service *change_asked(
	struct admin_request *rq, const char *const *own, struct service_change *change)
{
	const struct tenant *t;
	const struct service *s = service_asked(rq, &t);

	if (!s || !change_read(rq, own, change) || !change_may_begin(rq) ||
		!admin_if_match(rq, service_version(rq->control, s)))
		return NULL;
	return s;
}

/* Is it in the hands of a deploy or a shift? By force it is changed all the same, which ends that. */
static bool check_held(struct admin_request *rq, struct str service, const struct service_change *change)
{
	const struct control *c = rq->control;
	char text[SHIFT_TEXT];

	if (change->force ||
		!(deploy_holds(&c->deploys, service, change->backends_pool, text) ||
			((change->weights || change->states) && shift_holds(&c->shifts, service, text))))
		return true;
	admin_problem(rq, 409, "shift_under_way", "%s", text);
	return false;
}

void change_begin(struct admin_request *rq, const struct service *s, struct service_change *change,
	json_t *(*answer)(struct admin_request *rq))
{
	struct runtime *rt = &rq->control->runtime;
	struct str service = s->slot->key;
	const struct field *match = fields_find_name(&rq->head.fields, STR("if-match"));
	int64_t version = runtime_version(rt, service);
	struct change_wait *w = arena_new(&rq->arena, struct change_wait);

	if (!change_may_begin(rq) || !admin_if_match(rq, (uint64_t)version) ||
		!check_held(rq, service, change))
		return;
	if (runtime_is_busy(rt, service)) {
		admin_problem(rq, 503, "busy",
			"too many changes of this service wait for their turn; try again later");
		return;
	}
	/* It matches now; others may come first until it has its turn. */
	if (match && !str_eq(field_value(match), STR("*")))
		change->if_version = version;
	w->answer = answer;
	rq->user = w;
	rq->gone = on_gone;
	w->job = runtime_change(rt, service, change, on_done, rq);
}
