/* exchange/modules.c, module.c, filter.c: when a module is called, what it may do, and what that does to the exchange around it.
 *
 * The module of this program, `fake`, does as its keys say; `second` is the same behind it. */
#include "suite.h"
#include "exchange/module.h"

enum what { DO_NOTHING, DO_PASS, DO_DECLINE, DO_HOLD, DO_ANSWER, DO_FAIL, DO_FOREVER };
static const char *const whats[] = {"nothing", "pass", "decline", "hold", "answer", "fail", "forever", NULL};

struct fake_conf {
	uint8_t request, routed, response; /* enum what */
	bool up, down; /* filters */
	struct str name; /* to be written into headers and logs */
	struct str claim; /* a name of headers */
};

/* What the tests look at afterwards. */
static struct {
	unsigned logs, cancels, freed_filters, workers, built, released;
} seen;

#define FAKE_FIELDS_OF(n) \
	ENUM("request", struct fake_conf, request, whats, "then"), \
		ENUM("routed", struct fake_conf, routed, whats, "then"), \
		ENUM("response", struct fake_conf, response, whats, "then"), \
		BOOL("up", struct fake_conf, up, "filter the request"), \
		BOOL("down", struct fake_conf, down, "filter the answer"), \
		STRING("claim", struct fake_conf, claim, "that clients cannot say"), \
		STRING("name", struct fake_conf, name, "in headers", .text = n)

static const struct config_field fake_fields[] = {FAKE_FIELDS_OF("fake"), END};
static const struct config_field second_fields[] = {FAKE_FIELDS_OF("second"), END};

static const struct config_object fake_object = {.id = OBJECT_MODULE,
	.path = "modules.fake",
	.what = "fake",
	.doc = "",
	.size = sizeof(struct fake_conf),
	.fields = fake_fields};
static const struct config_object second_object = {.id = OBJECT_MODULE,
	.path = "modules.second",
	.what = "second",
	.doc = "",
	.size = sizeof(struct fake_conf),
	.fields = second_fields};

/* What a held request waits with. */
struct hold {
	struct deadline deadline;
	struct exchange *x;
};

static void on_waited(struct deadline *d)
{
	module_resume(CONTAINER(d, struct hold, deadline)->x, MODULE_PASS);
}

static int act(struct module_call *c, enum what what)
{
	struct fields fields = {0};
	struct hold *h;

	switch (what) {
	case DO_DECLINE:
		return MODULE_DECLINE;
	case DO_HOLD:
	case DO_FOREVER:
		*c->slot = h = arena_new(c->arena, struct hold);
		h->x = c->x;
		h->deadline.fire = on_waited;
		if (what == DO_HOLD)
			deadline_arm(c->loop, &h->deadline, 1);
		return MODULE_HOLD;
	case DO_ANSWER:
		fields_add(c->arena, &fields, FIELD_CONTENT_TYPE, STR("content-type"), STR("text/x"));
		return module_answer(c, 299, &fields, STR("mine"));
	case DO_FAIL:
		module_reply_header(c, STR("x-why"), STR("because"));
		return REASON_FILTER;
	default:
		return MODULE_PASS;
	}
}

/* Every letter becomes the next but one, twice: another length, and nothing of the old bytes. */
static bool double_body(void *state, struct mem *mem, struct chain *in, struct chain *out, bool last)
{
	char byte;

	while (in->n) {
		chain_peek(in, &byte, 1);
		chain_drain(mem, in, 1);
		if (byte == '!')
			return false;
		chain_add_copy(mem, out, &byte, 1);
		chain_add_copy(mem, out, &byte, 1);
	}
	if (last)
		chain_add_copy(mem, out, state, 1);
	return true;
}

static void trim_doubled(void *state, struct fields *trailers)
{
	(void)state;
	fields_remove_name(trailers, STR("x-length"));
}

static void free_filter(void *state)
{
	(void)state;
	seen.freed_filters++;
}

static const struct module_filter doubler = {double_body, trim_doubled, free_filter};

static int on_request(struct module_call *c)
{
	const struct fake_conf *conf = c->values;

	assert_true(module_service(c).n == 0);
	if (conf->request)
		module_set_header(c, module_request(c), STR("x-request"), conf->name);
	return act(c, (enum what)conf->request);
}

static int on_routed(struct module_call *c)
{
	const struct fake_conf *conf = c->values;

	assert_true(str_eq(module_tenant(c), STR("acme")));
	assert_int_equal((uintptr_t)c->worker, 7);
	if (conf->routed)
		module_set_header(c, module_request(c), STR("x-routed"), conf->name);
	if (conf->claim.n)
		module_claim_header(c, conf->claim);
	if (conf->up)
		module_filter_request(c, &doubler, (void *)(uintptr_t) ".");
	return act(c, (enum what)conf->routed);
}

static int on_response(struct module_call *c, struct head *head, bool own)
{
	const struct fake_conf *conf = c->values;

	module_set_header(c, head, own ? STR("x-own") : STR("x-theirs"), conf->name);
	if (own)
		return MODULE_PASS;
	if (conf->down)
		module_filter_response(c, head, &doubler, (void *)(uintptr_t) ".");
	return act(c, (enum what)conf->response);
}

static void on_cancel(struct module_call *c)
{
	struct hold *h = *c->slot;

	deadline_disarm(c->loop, &h->deadline);
	seen.cancels++;
}

static void on_log(struct module_call *c)
{
	const struct fake_conf *conf = c->values;

	module_log_field(c, conf->name, STR("told"));
	seen.logs++;
}

static void *build(struct module_build *b, const void *values)
{
	const struct fake_conf *conf = values;

	if (str_eq(conf->name, STR("broken"))) {
		snprintf(b->err, sizeof(b->err), "it is broken");
		return NULL;
	}
	if (b->previous)
		return b->previous;
	seen.built++;
	return strndup(b->place.p, b->place.n);
}

static void release(void *data)
{
	seen.released++;
	free(data);
}

static void *worker_begin(struct loop *l, void *data, uint32_t worker, uint32_t workers)
{
	(void)l;
	(void)data;
	assert_true(worker < workers);
	seen.workers++;
	return (void *)7;
}

static void worker_end(void *state, void *data)
{
	(void)data;
	assert_int_equal((uintptr_t)state, 7);
	seen.workers--;
}

/* An empty name is that of the level around. */
static const char *inherit(void *values, const void *wider)
{
	struct fake_conf *f = values;

	if (f->name.n == 0 && wider)
		f->name = ((const struct fake_conf *)wider)->name;
	return f->name.n ? NULL : "name";
}

#define HOOKS \
	.build = build, .release = release, .worker_init = worker_begin, .worker_free = worker_end, \
	.request = on_request, .routed = on_routed, .response = on_response, .cancel = on_cancel, \
	.log = on_log

static const struct module fake_module = {
	.config = {MODULE_ABI, "fake", MODULE_ANYWHERE, true, &fake_object, NULL, inherit}, HOOKS};
static const struct module second_module = {
	.config = {MODULE_ABI, "second", MODULE_ROUTE, false, &second_object}, HOOKS};

const struct config_module *const config_modules[] = {&fake_module.config, &second_module.config, NULL};

/* -- the cases -- */

#define SHOW ",x-request,x-routed,x-theirs,x-own,x-why,content-type,"

static const struct test_case table[] = {
	{.name = "hooks see the request before it is routed, then routed, then its answer",
		.top = "modules: {fake: {request: pass, routed: pass}}\n",
		.client = "GET / end",
		.origin = "200 length=2; say ok; end",
		.answer = "200 length=2 [x-theirs: fake]\nbody ok\nend\n",
		.asked = "GET / [x-request: fake] [x-routed: fake]\nend\n"},
	{.name = "the most specific level counts, as a whole",
		.top = "modules: {fake: {request: pass, routed: pass}}\n",
		.route = ", modules: {fake: {name: mine}, second: {routed: pass}}",
		.client = "GET / end",
		.origin = "200 end",
		.answer = "200 [x-theirs: second]\nend\n",
		.asked = "GET / [x-request: fake] [x-routed: second]\nend\n"},
	{.name = "a tenant takes from the top level, a route from its tenant, what a module lets them "
		 "inherit",
		.top = "modules: {fake: {name: top, request: fail}}\n",
		.tenant = "    modules: {fake: {name: '', request: pass}}\n",
		.route = ", modules: {fake: {name: '', routed: pass}}",
		.client = "GET / end",
		.origin = "200 end",
		.answer = "200 [x-theirs: top]\nend\n",
		.asked = "GET / [x-request: top] [x-routed: top]\nend\n"},
	{.name = "what the tenant switches off is inherited from further around",
		.top = "modules: {fake: {name: top}}\n",
		.tenant = "    modules: {fake: off}\n",
		.route = ", modules: {fake: {name: '', routed: pass}}",
		.client = "GET / end",
		.origin = "200 end",
		.answer = "200 [x-theirs: top]\nend\n",
		.asked = "GET / [x-routed: top]\nend\n"},
	{.name = "a level can switch a module off",
		.top = "modules: {fake: {routed: fail}}\n",
		.route = ", modules: {fake: off}",
		.client = "GET / end",
		.origin = "200 end",
		.answer = "200\nend\n",
		.asked = "GET /\nend\n"},
	{.name = "who declines is not asked again",
		.top = "modules: {fake: {request: decline, routed: fail, response: fail}}\n",
		.client = "GET / end",
		.origin = "200 end",
		.answer = "200\nend\n",
		.asked = "GET / [x-request: fake]\nend\n"},
	{.name = "a request that is held goes on where it stood, its body behind it",
		.top = "modules: {fake: {request: hold, routed: hold}}\n",
		.route = ", modules: {fake: {routed: hold}, second: {routed: pass}}",
		.client = "POST / length=5; say hello; end",
		.origin = "wait end; 200 end",
		.answer = "200 [x-theirs: second]\nend\n",
		.asked = "POST / length=5 [x-request: fake] [x-routed: second]\nbody hello\nend\n"},
	{.name = "a module answers before routing",
		.top = "modules: {fake: {request: answer}}\n",
		.client = "GET / end",
		.origin = "200 end",
		.answer = "299 length=4 [content-type: text/x] [x-own: fake]\nbody mine\nend\n",
		.asked = ""},
	{.name = "a module answers in place of the backend",
		.top = "modules: {fake: {response: answer}}\n",
		.client = "GET / end",
		.origin = "200 end",
		.answer = "299 length=4 [content-type: text/x] [x-own: fake]\nbody mine\nend\n",
		.asked = "GET /\nend\n"},
	{.name = "a module's reason fails the request, with the headers that it gave",
		.top = "modules: {fake: {routed: fail}}\n",
		.client = "GET / [accept: text/plain] end",
		.origin = "200 end",
		.answer = "500 filter\nend\n",
		.asked = ""},
	{.name = "filters change both bodies, and their lengths",
		.split = true,
		.top = "modules: {fake: {up: true, down: true}}\n",
		.client = "POST / length=3; say abc; end",
		.origin = "wait end; 200 length=2; say xy; end",
		.answer = "200 [x-theirs: fake]\nbody xxyy.\nend\n",
		.asked = "POST /\nbody aabbcc.\nend\n"},
	{.name = "two filters are passed one after the other",
		.route = ", modules: {fake: {up: true, down: true}, second: {up: true, down: true}}",
		.client = "POST / length=1; say a; end",
		.origin = "wait end; 200 length=1; say x; end",
		.answer = "200 [x-theirs: second]\nbody xxxx...\nend\n",
		.asked = "POST /\nbody aaaa...\nend\n"},
	{.name = "filters end before trailers",
		.split = true,
		.top = "modules: {fake: {up: true, down: true}}\n",
		.client = "POST / stream; say a; trailers [x-sum: 1]",
		.origin = "wait end; 200 stream; say x; trailers [x-sum: 2]",
		.answer = "200 [x-theirs: fake]\nbody xx.\ntrailers [x-sum: 2]\nend\n",
		.asked = "POST /\nbody aa.\ntrailers [x-sum: 1]\nend\n"},
	{.name = "filters take out of trailers what they have made untrue",
		.top = "modules: {fake: {up: true, down: true}}\n",
		.client = "POST / stream; say a; trailers [x-length: 1] [x-sum: 1]",
		.origin = "wait end; 200 stream; say x; trailers [x-length: 1] [x-sum: 2]",
		.answer = "200 [x-theirs: fake]\nbody xx.\ntrailers [x-sum: 2]\nend\n",
		.asked = "POST /\nbody aa.\ntrailers [x-sum: 1]\nend\n"},
	{.name = "without any trailer left, the body is the end",
		.split = true,
		.top = "modules: {fake: {up: true, down: true}}\n",
		.client = "POST / stream; say a; trailers [x-length: 1]",
		.origin = "wait end; 200 stream; say x; trailers [x-length: 1]",
		.answer = "200 [x-theirs: fake]\nbody xx.\nend\n",
		.asked = "POST /\nbody aa.\nend\n"},
	{.name = "filters of a request that was held with its trailers see its end",
		.route = ", modules: {fake: {up: true}, second: {routed: hold}}",
		.client = "POST / stream; say abc; trailers [x-length: 3] [x-sum: 1]",
		.origin = "wait end; 200 end",
		.answer = "200 [x-theirs: second]\nend\n",
		.asked = "POST / [x-routed: second]\nbody aabbcc.\ntrailers [x-sum: 1]\nend\n"},
	{.name = "what a module claims, clients say in no spelling and in no trailer",
		.split = true,
		.top = "modules: {fake: {claim: x-who}}\n",
		.listener = ", underscore_headers: pass",
		.client = "POST / stream [x-who: me] [x_who: me] [x-who-else: me]; say a; trailers "
			  "[x-who: me] [x_who: me] [x-whom: me]",
		.origin = "wait end; 200 end",
		.answer = "200 [x-theirs: fake]\nend\n",
		.asked = "POST / [x-who-else: me]\nbody a\ntrailers [x-whom: me]\nend\n"},
	{.name = "all names that begin so can be claimed, and trailers that come before the module does",
		.route = ", modules: {fake: {claim: x-who-}, second: {routed: hold, claim: x-sum}}",
		.listener = ", underscore_headers: pass",
		.client = "POST / stream [x_who_else: me]; say a; trailers [x-who_else: me] [x-sum: 1]",
		.origin = "wait end; 200 end",
		.answer = "200 [x-theirs: second]\nend\n",
		.asked = "POST / [x-routed: second]\nbody a\nend\n"},
	{.name = "a body that came while the request was held is filtered too",
		.route = ", modules: {fake: {up: true}, second: {routed: hold}}",
		.client = "POST / length=3; say abc; end",
		.origin = "wait end; 200 end",
		.answer = "200 [x-theirs: second]\nend\n",
		.asked = "POST / [x-routed: second]\nbody aabbcc.\nend\n"},
	{.name = "filters are given credit for what they take, however much comes out",
		.top = "modules: {fake: {up: true, down: true}}\n",
		.client = "POST / stream; fill 400000; end",
		.origin = "wait end; 200 stream; fill 900000; end",
		.answer = "200 [x-theirs: fake]\nbody (1800001 garbled)\nend\n",
		.asked = "POST /\nbody (800001 garbled)\nend\n"},
	{.name = "a filter that cannot go on cuts the answer off",
		.top = "modules: {fake: {down: true}}\n",
		.client = "GET / end",
		.origin = "200 stream; say ab; pause; say !; pause; say c",
		.answer = "200 [x-theirs: fake]\nbody aabb\ncut\n",
		.asked = "GET /\nend\ncut\n"},
	{.name = "a filter that cannot go on with the request fails it",
		.top = "modules: {fake: {up: true}}\n",
		.client = "POST / stream; say !; wait end; end",
		.origin = "wait nothing",
		.answer = "500 filter\nend\n",
		.asked = ""},
};

static void every_case_in_every_pairing(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		for (unsigned p = 0; p < 4; p++) {
			struct test_case c = table[i];
			struct stage *st;

			c.show = SHOW;
			memset(&seen, 0, sizeof(seen));
			st = stage_new(&c, (struct pairing){.client_h2 = p & 1, .origin_h2 = p & 2});
			stage_run(st, SIZE_MAX, SIZE_MAX, false, NULL);
			stage_free(&st);
			if (seen.workers || seen.built != seen.released)
				fail_msg("%s: %u workers' states, %u of %u built are left", c.name,
					seen.workers, seen.built - seen.released, seen.built);
			if (!c.split)
				continue;
			st = stage_new(&c, (struct pairing){.client_h2 = p & 1, .origin_h2 = p & 2});
			stage_run(st, SIZE_MAX, SIZE_MAX, true, NULL);
			stage_free(&st);
		}
	}
}

static void a_client_that_leaves_a_held_request_cancels_it(void **state)
{
	static const struct test_case c = {.name = "leaves",
		.top = "modules: {fake: {routed: forever, up: true}}\n",
		.client = "POST / stream; say abc; pause; reset",
		.origin = "200 end",
		.answer = "",
		.asked = ""};

	(void)state;
	for (int i = 0; i < 2; i++) {
		memset(&seen, 0, sizeof(seen));
		case_once(&c, i ? h2 : h1, &tls);
		assert_int_equal(seen.cancels, 1);
		assert_int_equal(seen.logs, 1);
		assert_int_equal(seen.freed_filters, 1);
	}
}

static void modules_write_into_the_log(void **state)
{
	static const struct test_case c = {.name = "log",
		.top = "modules: {fake: {name: 'a\"b'}}\n",
		.client = "GET / end",
		.origin = "200 end"};
	struct stage *st = stage_new(&c, h1);
	struct iovec part[2];

	(void)state;
	stage_hear(st, "end\n");
	while (ring_peek(&st->house.worker.access, part) == 0)
		stage_settle(st);
	assert_non_null(memmem(part[0].iov_base, part[0].iov_len, ",\"a\\\"b\":\"told\"}\n", 15));
	stage_clear(st);
	stage_free(&st);
}

static struct module_set *set_of(
	const char *modules, const struct module_set *running, char **said, struct conf **conf)
{
	struct conf_report report;
	struct module_set *set;
	char text[512];

	snprintf(text, sizeof(text),
		"listeners: {in: {address: '127.0.0.1:1'}}\n"
		"modules: {fake: {}}\n"
		"tenants: {acme: {hosts: [a.test], routes: [{redirect: {to: /x}, modules: {%s}}]}}\n",
		modules);
	*conf = conf_load_text("m.yaml", str_of(text), &report);
	set = *conf ? module_set_build(*conf, running, NULL, &report) : NULL;
	*said = conf_report_text(&report);
	conf_report_free(&report);
	return set;
}

static void what_stays_the_same_is_taken_over(void **state)
{
	struct conf *conf[2];
	struct module_set *a, *b;
	char *said;

	(void)state;
	memset(&seen, 0, sizeof(seen));
	a = set_of("fake: {routed: pass}", NULL, &said, &conf[0]);
	assert_string_equal(said, "");
	free(said);
	assert_int_equal(seen.built, 2);
	b = set_of("fake: {routed: pass}, second: {}", a, &said, &conf[1]);
	free(said);
	assert_int_equal(seen.built, 3);
	assert_false(module_set_same(b, a));
	assert_true(module_set_same(a, a));
	module_set_unref(a);
	assert_int_equal(seen.released, 0);
	module_set_unref(b);
	assert_int_equal(seen.released, 3);
	conf_free(conf[0]);
	conf_free(conf[1]);
}

static void what_cannot_be_built_is_an_error_where_it_is_named(void **state)
{
	struct conf *conf;
	char *said;

	(void)state;
	assert_null(set_of("fake: {name: broken}", NULL, &said, &conf));
	assert_string_equal(said, "m.yaml:3:75: module \"fake\": it is broken\n");
	free(said);
	conf_free(conf);
}

static void says(const char *modules, const char *wanted)
{
	struct conf *conf;
	char *said;

	assert_null(set_of(modules, NULL, &said, &conf));
	assert_string_equal(said, wanted);
	free(said);
	assert_null(conf);
}

static void mistakes_in_modules_are_explained(void **state)
{
	(void)state;
	says("fkae: {}", "m.yaml:3:75: there is no module \"fkae\"; did you mean \"fake\"?\n");
	says("fake: {rquest: pass}", "m.yaml:3:82: unknown key \"rquest\" in fake of route of tenant "
				     "\"acme\"; did you mean \"request\"?\n");
	says("fake: [1]", "m.yaml:3:81: module \"fake\" takes a mapping of its keys, on, or off\n");
	says("fake: on, fake: off", "m.yaml:3:85: \"fake\" is written twice in \"modules\"\n");
	says("zzz: {path: /x.so}", "m.yaml:3:75: there is no module \"zzz\"; there are fake, second, and one "
				   "of your own must be named "
				   "with its path in the top "
				   "level's \"modules\", above \"tenants\"\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case_in_every_pairing),
		cmocka_unit_test(a_client_that_leaves_a_held_request_cancels_it),
		cmocka_unit_test(modules_write_into_the_log),
		cmocka_unit_test(what_stays_the_same_is_taken_over),
		cmocka_unit_test(what_cannot_be_built_is_an_error_where_it_is_named),
		cmocka_unit_test(mistakes_in_modules_are_explained),
	};

	return RUN_SUITE(tests);
}
