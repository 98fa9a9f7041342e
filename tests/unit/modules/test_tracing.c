/* modules/trace_context.c, trace_text.c: the headers of W3C Trace Context, and spans as OTLP's JSON has them. */
#include "unit.h"
#include <jansson.h>
#include "../../../modules/trace_text.h"

#define GOOD "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static void a_context_is_read_and_written_as_it_was(void **state)
{
	struct trace_context c;
	char text[TRACE_TEXT];

	(void)state;
	assert_true(trace_context_parse(&c, STR(GOOD)));
	assert_true(c.sampled);
	assert_int_equal(c.trace[0], 0x0a);
	assert_int_equal(c.span[7], 0x31);
	trace_context_write(&c, text);
	assert_memory_equal(text, GOOD, TRACE_TEXT);
	c.sampled = false;
	trace_context_write(&c, text);
	assert_memory_equal(text + TRACE_TEXT - 2, "00", 2);
}

static void flags_that_are_not_known_are_passed_over(void **state)
{
	struct trace_context c;

	(void)state;
	assert_true(trace_context_parse(&c, STR("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fe")));
	assert_false(c.sampled);
	assert_true(trace_context_parse(&c, STR("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03")));
	assert_true(c.sampled);
}

static void what_is_no_context_is_refused(void **state)
{
	static const char *const bad[] = {"", "00", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
		"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"00 0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", GOOD "-", GOOD "-00",
		"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x"};
	struct trace_context c;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_false(trace_context_parse(&c, str_of(bad[i])));
}

static void of_a_later_version_the_beginning_counts(void **state)
{
	struct trace_context c;

	(void)state;
	assert_true(trace_context_parse(&c, STR("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")));
	assert_true(
		trace_context_parse(&c, STR("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-new")));
}

static void a_share_of_traces_is_a_share(void **state)
{
	struct trace_context c = {0};
	struct loop l;
	unsigned among = 0, more = 0;

	(void)state;
	assert_true(loop_init(&l));
	l.rng[0] = 7; /* the same traces each time */
	l.rng[1] = 8;
	l.rng[2] = 9;
	l.rng[3] = 10;
	for (unsigned i = 0; i < 10000; i++) {
		trace_context_new_trace(&c, &l);
		assert_false(trace_context_is_among(&c, 0));
		assert_true(trace_context_is_among(&c, 10000));
		among += trace_context_is_among(&c, 1000);
		/* Who is among a smaller share is among a larger one. */
		more += trace_context_is_among(&c, 1000) && !trace_context_is_among(&c, 2000);
	}
	loop_free(&l);
	assert_in_range(among, 800, 1200);
	assert_int_equal(more, 0);
}

static json_t *load(struct text *t)
{
	json_t *j;

	assert_false(t->cut);
	j = json_loadb(t->p, t->n, 0, NULL);
	assert_non_null(j);
	return j;
}

static const char *member(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

static void a_span_is_json_whatever_strangers_have_sent(void **state)
{
	static const uint8_t trace[TRACE_ID] = {1}, id[SPAN_ID] = {2}, parent[SPAN_ID] = {3};
	char buf[4096];
	struct text t = text_in(buf, sizeof(buf));
	const json_t *all, *value;
	json_t *j;

	(void)state;
	span_begin(&t, &(struct span){.trace = trace,
			       .id = id,
			       .parent = parent,
			       .state = STR("a=\"1\""),
			       .name = STR("GET\n"),
			       .suffix = STR("/\xff"),
			       .kind = SPAN_CLIENT,
			       .begun_us = 1700000000000001,
			       .ended_us = 1700000000000000});
	attribute_text(&t, STR("nothing"), STR_NONE);
	attribute_text(&t, STR("text"), STR("\"\\\x01"));
	attribute_number(&t, STR("number"), UINT64_MAX);
	span_end(&t, STR("why"));
	j = load(&t);
	assert_string_equal(member(j, "traceId"), "01000000000000000000000000000000");
	assert_string_equal(member(j, "spanId"), "0200000000000000");
	assert_string_equal(member(j, "parentSpanId"), "0300000000000000");
	assert_string_equal(member(j, "traceState"), "a=\"1\"");
	/* It never ends before it has begun. */
	assert_string_equal(member(j, "startTimeUnixNano"), "1700000000000001000");
	assert_string_equal(member(j, "endTimeUnixNano"), "1700000000000001000");
	assert_int_equal(json_integer_value(json_object_get(j, "kind")), 3);
	all = json_object_get(j, "attributes");
	assert_int_equal(json_array_size(all), 2);
	value = json_object_get(json_array_get(all, 0), "value");
	assert_string_equal(member(value, "stringValue"), "\"\\\x01");
	value = json_object_get(json_array_get(all, 1), "value");
	assert_string_equal(member(value, "intValue"), "18446744073709551615");
	assert_string_equal(member(json_object_get(j, "status"), "message"), "why");
	json_decref(j);
}

static void a_span_without_attributes_or_error_is_one_too(void **state)
{
	static const uint8_t trace[TRACE_ID] = {1}, id[SPAN_ID] = {2};
	char buf[1024];
	struct text t = text_in(buf, sizeof(buf));
	json_t *j;

	(void)state;
	span_begin(&t, &(struct span){.trace = trace, .id = id, .name = STR("queue"), .kind = SPAN_INTERNAL});
	span_end(&t, STR_NONE);
	j = load(&t);
	assert_null(json_object_get(j, "parentSpanId"));
	assert_null(json_object_get(j, "status"));
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_context_is_read_and_written_as_it_was),
		cmocka_unit_test(flags_that_are_not_known_are_passed_over),
		cmocka_unit_test(what_is_no_context_is_refused),
		cmocka_unit_test(of_a_later_version_the_beginning_counts),
		cmocka_unit_test(a_share_of_traces_is_a_share),
		cmocka_unit_test(a_span_is_json_whatever_strangers_have_sent),
		cmocka_unit_test(a_span_without_attributes_or_error_is_one_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
