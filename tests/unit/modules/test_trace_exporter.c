/* modules/trace_exporter.c: spans reach a collector in batches, whatever he says; what does not is counted, and takes no memory. */
#include "collector.h"
#include <jansson.h>
#include "../../../modules/trace_exporter.h"

#define TAKEN   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define SAYS(s) "HTTP/1.1 " s "\r\nContent-Length: 0\r\n\r\n"
#define HOUR_MS 3600000u
#define SECOND  1000u
#define BATCH   (256u * 1024)

struct counts {
	struct module_counts out;
	uint64_t sent, failed, rejected, dropped;
};

struct bench {
	struct loop loop;
	struct collector collector;
	struct deadline *tick; /* the home's */
	struct trace_home *home;
	struct trace_exporter *exporter;
	struct trace_export conf;
	char url[128];
};

/* -- the bench -- */

#define UNTIL(b, cond) \
	do { \
		uint64_t end_ = case_ms() + CASE_PATIENCE_MS; \
		while (!(cond) && case_ms() < end_) \
			turn(b, 1); \
		assert_true(cond); \
	} while (0)

static void turn(struct bench *b, int wait_ms)
{
	collector_turn(&b->collector);
	loop_once(&b->loop, wait_ms);
}

/* As if so much time had passed, for the exporters; what they do then, they do so much later. Answers come at the real time. */
static void pass(struct bench *b, uint64_t ms)
{
	loop_once(&b->loop, 0);
	b->loop.now_ms += ms;
	assert_true(deadline_armed(b->tick));
	deadline_disarm(&b->loop, b->tick);
	b->tick->fire(b->tick);
	loop_run_tasks(&b->loop);
}

/* Whatever can happen has happened. */
static void settle(struct bench *b)
{
	for (int i = 0; i < 20; i++)
		turn(b, 0);
}

static void begin(struct bench *b)
{
	struct sockaddr_in *at = &b->collector.at;
	struct addr addr;
	char text[ADDR_TEXT_MAX];

	*b = (struct bench){.conf = {.service = STR("weir"), .interval_ms = 0, .timeout_ms = HOUR_MS}};
	collector_open(&b->collector);
	b->collector.answer = TAKEN;
	addr_from_sockaddr(&addr, (const struct sockaddr *)at, sizeof(*at));
	snprintf(b->url, sizeof(b->url), "http://%s/v1/traces?token=1", addr_text(&addr, text).p);
	b->conf.endpoint = str_of(b->url);
	MUST(loop_init(&b->loop));
	b->home = trace_home_new(&b->loop);
}

static void export(struct bench *b)
{
	b->exporter = trace_exporter_new(b->home, &b->conf);
	b->tick = CONTAINER(list_first(&b->loop.queues[0].entries), struct deadline, link);
	assert_int_equal(b->loop.queues[0].length_ms, LOOP_TICK_MS);
}

static void end(struct bench *b)
{
	trace_home_free(b->home);
	collector_close(&b->collector);
	assert_int_equal(b->loop.armed, 0);
	loop_free(&b->loop);
}

/* A line of n spans of so many bytes each, as a worker writes it. */
static void put(struct bench *b, uint32_t worker, unsigned n, size_t bytes)
{
	static char buf[LOOP_SCRATCH];
	struct text t = text_in(buf, sizeof(buf));

	text_char(&t, '@');
	for (unsigned i = 0; i < n; i++) {
		text_fmt(&t, "%s{\"name\":\"", i ? "," : "");
		for (size_t k = 0; k < bytes; k++)
			text_char(&t, 's');
		text_put(&t, STR("\"}"));
	}
	trace_line_put(trace_exporter_ring(b->exporter, worker), &t, n);
}

static void on_count(struct module_counts *out, struct str what, struct str event, uint64_t n)
{
	struct counts *c = CONTAINER(out, struct counts, out);

	assert_true(str_eq(what, str_eq(event, STR("dropped")) ? STR("traces") : STR("spans")));
	*(str_eq(event, STR("sent"))             ? &c->sent
		: str_eq(event, STR("failed"))   ? &c->failed
		: str_eq(event, STR("rejected")) ? &c->rejected
						 : &c->dropped) = n;
}

static struct counts counts_of(const struct bench *b)
{
	struct counts c = {.out.tell = on_count};

	trace_exporter_counts(b->exporter, &c.out);
	return c;
}

static void assert_counts(const struct bench *b, uint64_t sent, uint64_t failed, uint64_t rejected)
{
	struct counts c = counts_of(b);

	assert_int_equal(c.sent, sent);
	assert_int_equal(c.failed, failed);
	assert_int_equal(c.rejected, rejected);
	assert_int_equal(c.dropped, 0);
}

/* How many spans the last message has; it must be JSON. Puts the attributes of the resource in *resource if it is not NULL. */
static size_t spans_of(const struct collector *c, json_t **resource)
{
	json_error_t why;
	json_t *all = json_loadb(c->body, c->body_n, JSON_REJECT_DUPLICATES, &why), *first, *spans;
	size_t n;

	if (!all)
		fail_msg("%s at %d: %.200s", why.text, why.position, c->body);
	first = json_array_get(json_object_get(all, "resourceSpans"), 0);
	spans = json_object_get(json_array_get(json_object_get(first, "scopeSpans"), 0), "spans");
	assert_true(json_is_array(spans));
	n = json_array_size(spans);
	if (resource)
		*resource = json_incref(json_object_get(json_object_get(first, "resource"), "attributes"));
	json_decref(all);
	return n;
}

/* -- batches -- */

static void spans_go_together_when_the_oldest_has_waited(void **state)
{
	struct bench b;

	(void)state;
	begin(&b);
	b.conf.interval_ms = HOUR_MS;
	b.conf.headers = (struct conf_pair[]){{STR("Authorization"), STR("Bearer x")}};
	b.conf.header_n = 1;
	export(&b);
	put(&b, 0, 2, 10);
	put(&b, 3, 1, 10);
	pass(&b, 0);
	put(&b, 0, TRACE_LINE_SPANS, 10);
	pass(&b, HOUR_MS / 2);
	settle(&b);
	assert_int_equal(b.collector.messages, 0);
	pass(&b, HOUR_MS);
	UNTIL(&b, b.collector.messages == 1);
	assert_int_equal(spans_of(&b.collector, NULL), 3 + TRACE_LINE_SPANS);
	assert_memory_equal(b.collector.head, "POST /v1/traces?token=1 HTTP/1.1\r\n", 34);
	assert_non_null(strstr(b.collector.head, "\r\ncontent-type: application/json\r\n"));
	assert_non_null(strstr(b.collector.head, "\r\nauthorization: Bearer x\r\n"));
	UNTIL(&b, counts_of(&b).sent == 3 + TRACE_LINE_SPANS);
	/* Nothing is asked of anybody when there is nothing to tell. */
	pass(&b, HOUR_MS);
	settle(&b);
	assert_int_equal(b.collector.messages, 1);
	end(&b);
}

static void a_batch_that_is_full_does_not_wait_and_the_next_waits_for_its_answer(void **state)
{
	struct bench b;
	uint64_t all = 0, lines = 0;

	(void)state;
	begin(&b);
	b.conf.interval_ms = HOUR_MS;
	b.collector.answer = NULL;
	export(&b);
	/* Until the batch that is sent, the one behind it and the ring are full. */
	while (counts_of(&b).dropped < 5 && lines < 1000) {
		put(&b, 0, 2, 5000);
		lines++;
		pass(&b, 0);
		turn(&b, 0);
	}
	assert_int_equal(counts_of(&b).dropped, 5);
	assert_in_range(lines * 10000, 2 * BATCH, 3 * BATCH);
	UNTIL(&b, b.collector.messages == 1);
	settle(&b);
	assert_int_equal(b.collector.messages, 1);
	assert_in_range(b.collector.body_n, BATCH, BATCH + LOOP_SCRATCH);
	all = spans_of(&b.collector, NULL);
	b.collector.answer = TAKEN;
	UNTIL(&b, b.collector.messages == 2);
	all += spans_of(&b.collector, NULL);
	UNTIL(&b, counts_of(&b).sent == all);
	/* The rest waits for company again. */
	pass(&b, HOUR_MS);
	pass(&b, HOUR_MS);
	UNTIL(&b, counts_of(&b).sent == 2 * (lines - 5));
	end(&b);
}

static void a_line_that_lies_around_the_ring_s_end_is_whole(void **state)
{
	struct bench b;

	(void)state;
	begin(&b);
	export(&b);
	for (unsigned i = 1; i <= 20; i++) {
		put(&b, 0, 3, 7000 + i);
		pass(&b, 0);
		UNTIL(&b, b.collector.messages == i);
		assert_int_equal(spans_of(&b.collector, NULL), 3);
		UNTIL(&b, counts_of(&b).sent == (uint64_t)3 * i);
	}
	end(&b);
}

static void spans_that_are_too_long_for_a_line_are_dropped_and_counted(void **state)
{
	struct bench b;

	(void)state;
	begin(&b);
	export(&b);
	put(&b, 0, 2, LOOP_SCRATCH / 2);
	assert_int_equal(counts_of(&b).dropped, 1);
	assert_false(trace_home_busy(b.home));
	end(&b);
}

static void a_message_is_json_whatever_the_configuration_says(void **state)
{
	struct bench b;
	json_t *resource, *one;
	size_t i, host_names = 0;

	(void)state;
	begin(&b);
	b.conf.service = STR("a \"service\"\\ \x01\xff\xc3\x28");
	b.conf.resource = (struct conf_pair[]){
		{STR("host.name"), STR("mine")}, {STR("k\n\"\xf0"), STR("\x7f\t\xed\xa0\x80")}};
	b.conf.resource_n = 2;
	export(&b);
	put(&b, 0, 1, 1);
	pass(&b, 0);
	UNTIL(&b, b.collector.messages == 1);
	assert_int_equal(spans_of(&b.collector, &resource), 1);
	assert_int_equal(json_array_size(resource), 4); /* service.name, service.version and these two */
	json_array_foreach(resource, i, one)
	{
		if (strcmp(json_string_value(json_object_get(one, "key")), "host.name") == 0)
			host_names++;
	}
	assert_int_equal(host_names, 1);
	json_decref(resource);
	end(&b);
}

/* -- what a collector may say -- */

static void begin_with_one(struct bench *b, const char *answer, bool close)
{
	begin(b);
	b->collector.answer = answer;
	b->collector.close = close;
	export(b);
	put(b, 0, 2, 10);
	pass(b, 0);
	UNTIL(b, b->collector.messages == 1);
}

static void what_it_refuses_is_counted_and_not_sent_again(void **state)
{
	static const char *const rows[] = {SAYS("400 Bad"), SAYS("401 Who"), SAYS("403 No"),
		SAYS("404 Where"), SAYS("413 Large"), SAYS("500 Oops"), SAYS("501 What"), SAYS("505 Old"),
		SAYS("599 Odd"), SAYS("302 Found\r\nLocation: /x"), SAYS("304 Same"),
		SAYS("429 Slow\r\nRetry-After: 60"), SAYS("503 Later\r\nRetry-After: 86400"),
		SAYS("503 Later\r\nRetry-After: 18446744073709551615")};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct module_dependency about;
		struct bench b;
		char *problem;

		begin_with_one(&b, rows[i], false);
		UNTIL(&b, counts_of(&b).failed);
		assert_counts(&b, 0, 2, 0);
		trace_exporter_depends(b.exporter, &about);
		assert_int_equal(about.state->bad, 1);
		problem = dependency_take_problem(about.state);
		assert_memory_equal(problem, "it answered ", 12);
		free(problem);
		assert_null(
			memchr(about.address.p, '?', about.address.n)); /* what may be secret is not told */
		/* The next batch is a new beginning. */
		b.collector.answer = TAKEN;
		put(&b, 0, 1, 10);
		pass(&b, 0);
		UNTIL(&b, b.collector.messages == 2);
		assert_int_equal(spans_of(&b.collector, NULL), 1);
		UNTIL(&b, counts_of(&b).sent == 1);
		assert_int_equal(about.state->good, 1);
		end(&b);
	}
}

static void what_it_could_not_take_is_sent_again_as_it_was(void **state)
{
	static const struct {
		const char *says;
		bool close;
	} rows[] = {{SAYS("429 Slow"), false}, {SAYS("502 Bad"), false}, {SAYS("503 Later"), false},
		{SAYS("504 Late"), false}, {SAYS("503 Later\r\nRetry-After: soon"), false},
		{SAYS("503 Later\r\nRetry-After: -1"), false},
		{SAYS("503 Later\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT"), false}, {NULL, true},
		{"HTTP/1.1 200 OK\r\nContent-Le", true},
		{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", true}, {"SSH-2.0-OpenSSH_9.2\r\n", false},
		{"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", false},
		{"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n", false}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct module_dependency about;
		struct bench b;
		char *first;

		begin_with_one(&b, rows[i].says, rows[i].close);
		trace_exporter_depends(b.exporter, &about);
		UNTIL(&b, about.state->bad == 1);
		assert_counts(&b, 0, 0, 0);
		first = strndup(b.collector.body, b.collector.body_n);
		assert_non_null(first);
		b.collector.answer = TAKEN;
		b.collector.close = false;
		pass(&b, 1500);
		UNTIL(&b, b.collector.messages == 2);
		assert_int_equal(b.collector.body_n, strlen(first));
		assert_memory_equal(b.collector.body, first, b.collector.body_n);
		free(first);
		UNTIL(&b, counts_of(&b).sent);
		assert_counts(&b, 2, 0, 0);
		end(&b);
	}
}

/* After a pause of so long, and up to a half more by chance. */
static void assert_pause(struct bench *b, unsigned pause_s)
{
	unsigned messages = b->collector.messages;

	pass(b, pause_s * SECOND / 2);
	settle(b);
	assert_int_equal(b->collector.messages, messages);
	pass(b, pause_s * SECOND * 3 / 2);
	UNTIL(b, b->collector.messages == messages + 1);
}

static void it_is_given_as_long_as_it_asks_for_and_longer_each_time(void **state)
{
	struct module_dependency about;
	struct bench b;

	(void)state;
	begin_with_one(&b, SAYS("503 Later\r\nRetry-After: 30"), false);
	trace_exporter_depends(b.exporter, &about);
	UNTIL(&b, about.state->bad == 1);
	b.collector.answer = SAYS("503 Later");
	assert_pause(&b, 30);
	for (unsigned tries = 2; tries < 4; tries++) {
		UNTIL(&b, about.state->bad == tries);
		pass(&b, 1500 << (tries - 1));
		UNTIL(&b, b.collector.messages == tries + 1);
	}
	UNTIL(&b, about.state->bad == 4);
	b.collector.answer = TAKEN;
	assert_pause(&b, 8);
	UNTIL(&b, counts_of(&b).sent == 2);
	end(&b);
}

static void what_it_took_in_part_is_counted_apart(void **state)
{
	static const struct {
		const char *body;
		uint64_t rejected;
	} rows[] = {{"{}", 0}, {"{\"partialSuccess\":{}}", 0},
		{"{\"partialSuccess\":{\"rejectedSpans\":1}}", 1},
		{"{\"partialSuccess\":{\"rejectedSpans\":\"2\"}}", 2},
		{"{\"partialSuccess\":{\"rejectedSpans\":3}}", 2},
		{"{\"partialSuccess\":{\"rejectedSpans\":-1}}", 0},
		{"{\"partialSuccess\":{\"rejectedSpans\":4294967297}}", 2},
		{"{\"partialSuccess\":{\"rejectedSpans\":\"99999999999999999999\"}}", 2},
		{"{\"partialSuccess\":{\"rejectedSpans\":99999999999999999999}}",
			0}, /* no JSON for anybody */
		{"{\"partialSuccess\":{\"rejectedSpans\":\"many\"}}", 0},
		{"{\"partialSuccess\":{\"rejectedSpans\":[1]}}", 0}, {"{\"partialSuccess\":1}", 0},
		{"[1]", 0}, {"1", 0}, {"", 0}, {"<html>", 0},
		{"{\"partialSuccess\":{\"rejectedSpans\":1}", 0}, {"\xff\xfe", 0}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char answer[256];
		struct bench b;

		snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
			strlen(rows[i].body), rows[i].body);
		begin_with_one(&b, answer, false);
		UNTIL(&b, counts_of(&b).sent + counts_of(&b).rejected);
		assert_counts(&b, 2 - rows[i].rejected, 0, rows[i].rejected);
		end(&b);
	}
}

/* -- ends -- */

static void at_the_end_of_the_process_what_there_is_is_sent_at_once(void **state)
{
	struct bench b;

	(void)state;
	begin(&b);
	b.conf.interval_ms = HOUR_MS;
	export(&b);
	assert_false(trace_home_busy(b.home));
	put(&b, 0, 2, 10);
	assert_true(trace_home_busy(b.home));
	UNTIL(&b, !trace_home_busy(b.home));
	assert_counts(&b, 2, 0, 0);
	/* Who cannot take it now is not asked again; and who says nothing holds nothing up but himself. */
	b.collector.answer = SAYS("503 Later");
	put(&b, 0, 1, 10);
	UNTIL(&b, !trace_home_busy(b.home));
	assert_counts(&b, 2, 1, 0);
	b.collector.answer = NULL;
	put(&b, 0, 1, 10);
	assert_true(trace_home_busy(b.home));
	UNTIL(&b, b.collector.messages == 3);
	assert_true(trace_home_busy(b.home));
	end(&b);
}

static void one_that_waits_to_try_again_tries_at_once_at_the_end(void **state)
{
	struct module_dependency about;
	struct bench b;

	(void)state;
	begin_with_one(&b, SAYS("503 Later\r\nRetry-After: 30"), false);
	trace_exporter_depends(b.exporter, &about);
	UNTIL(&b, about.state->bad == 1);
	b.collector.answer = TAKEN;
	UNTIL(&b, !trace_home_busy(b.home));
	assert_int_equal(b.collector.messages, 2);
	assert_counts(&b, 2, 0, 0);
	end(&b);
}

static void one_that_nobody_uses_any_more_sends_what_is_left_and_goes(void **state)
{
	struct bench b;

	(void)state;
	begin(&b);
	b.conf.interval_ms = HOUR_MS;
	export(&b);
	put(&b, 0, 2, 10);
	put(&b, 7, 1, 10);
	trace_exporter_release(b.exporter);
	UNTIL(&b, b.collector.messages == 1);
	assert_int_equal(spans_of(&b.collector, NULL), 3);
	UNTIL(&b, !trace_home_busy(b.home));
	/* With the last one the ticking ends. */
	UNTIL(&b, !deadline_armed(b.tick));
	end(&b);
}

static void one_that_nobody_uses_any_more_does_not_wait_for_ever(void **state)
{
	struct bench b;

	(void)state;
	begin(&b);
	b.collector.answer = NULL;
	export(&b);
	put(&b, 0, 2, 10);
	trace_exporter_release(b.exporter);
	UNTIL(&b, b.collector.messages == 1);
	assert_true(deadline_armed(b.tick));
	pass(&b, 10 * SECOND);
	assert_false(deadline_armed(b.tick));
	assert_false(trace_home_busy(b.home));
	end(&b);
}

static void one_that_never_sends_takes_lines_and_goes(void **state)
{
	struct bench b;

	(void)state;
	begin(&b);
	b.exporter = trace_exporter_new(NULL, &b.conf);
	for (int i = 0; i < 20; i++)
		put(&b, 0, 2, 5000);
	assert_int_equal(counts_of(&b).dropped, 7); /* of 10 kB each, beyond the smallest ring */
	trace_exporter_release(b.exporter);
	end(&b);
}

static void those_that_would_send_the_same_are_the_same(void **state)
{
	static struct conf_pair one = {STR("a"), STR("1")}, other = {STR("a"), STR("2")};
	static const struct trace_export base = {.endpoint = STR("http://a/"),
		.service = STR("s"),
		.interval_ms = 1,
		.timeout_ms = 2,
		.buffer = 3};
	struct trace_export rows[] = {base, base, base, base, base, base, base, base, base, base, base};
	struct trace_exporter *e = trace_exporter_new(NULL, &base);

	(void)state;
	assert_true(trace_exporter_is(e, &base));
	rows[0].endpoint = STR("http://b/");
	rows[1].service = STR("t");
	rows[2].interval_ms = 2;
	rows[3].timeout_ms = 3;
	rows[4].buffer = 4;
	rows[5].tls.on = true;
	rows[6].tls.verify = true;
	rows[7].tls.ca = STR("ca");
	rows[8].tls.server_name = STR("ca");
	rows[9].headers = &one;
	rows[9].header_n = 1;
	rows[10].resource = &one;
	rows[10].resource_n = 1;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct trace_exporter *that = trace_exporter_new(NULL, &rows[i]);

		assert_false(trace_exporter_is(e, &rows[i]));
		for (size_t k = 0; k < COUNT_OF(rows); k++)
			assert_int_equal(trace_exporter_is(that, &rows[k]), i == k);
		trace_exporter_release(that);
	}
	trace_exporter_release(e);
	e = trace_exporter_new(NULL, &rows[9]);
	rows[9].headers = &other;
	assert_false(trace_exporter_is(e, &rows[9]));
	trace_exporter_release(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spans_go_together_when_the_oldest_has_waited),
		cmocka_unit_test(a_batch_that_is_full_does_not_wait_and_the_next_waits_for_its_answer),
		cmocka_unit_test(a_line_that_lies_around_the_ring_s_end_is_whole),
		cmocka_unit_test(spans_that_are_too_long_for_a_line_are_dropped_and_counted),
		cmocka_unit_test(a_message_is_json_whatever_the_configuration_says),
		cmocka_unit_test(what_it_refuses_is_counted_and_not_sent_again),
		cmocka_unit_test(what_it_could_not_take_is_sent_again_as_it_was),
		cmocka_unit_test(it_is_given_as_long_as_it_asks_for_and_longer_each_time),
		cmocka_unit_test(what_it_took_in_part_is_counted_apart),
		cmocka_unit_test(at_the_end_of_the_process_what_there_is_is_sent_at_once),
		cmocka_unit_test(one_that_waits_to_try_again_tries_at_once_at_the_end),
		cmocka_unit_test(one_that_nobody_uses_any_more_sends_what_is_left_and_goes),
		cmocka_unit_test(one_that_nobody_uses_any_more_does_not_wait_for_ever),
		cmocka_unit_test(one_that_never_sends_takes_lines_and_goes),
		cmocka_unit_test(those_that_would_send_the_same_are_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
