/* exchange/access_log.c: one line for each exchange, whatever was in it. */
#include <jansson.h>
#include "suite.h"
#include "exchange/access_log.h"

static char line[ACCESS_LINE_MAX + 1];

/* The line that a request with these fields leaves. */
static const char *line_of(uint8_t format, const char *path, const char *fields)
{
	static char client[8192];
	const struct test_case c = {.name = "log", .client = client, .origin = "200 length=2; say ok; end"};
	struct stage *st;
	struct iovec part[2];

	snprintf(client, sizeof(client), "GET %s %s end", path, fields);
	st = stage_new(&c, (struct pairing){0});
	st->house.worker.edge.access_format = format;
	stage_connect(st);
	for (uint64_t end = case_ms() + CASE_PATIENCE_MS;
		case_ms() < end && ring_peek(&st->house.worker.access, part) == 0;)
		stage_settle(st);
	assert_int_equal(ring_peek(&st->house.worker.access, part), 1);
	assert_true(part[0].iov_len < sizeof(line));
	memcpy(line, part[0].iov_base, part[0].iov_len);
	line[part[0].iov_len] = '\0';
	assert_ptr_equal(strchr(line, '\n'), line + part[0].iov_len - 1);
	stage_clear(st);
	stage_free(&st);
	return line;
}

static json_t *json_of(const char *path, const char *fields)
{
	json_error_t error;
	json_t *j = json_loads(line_of(CONF_LOG_JSON, path, fields), 0, &error);

	if (!j)
		fail_msg("%s: %s", error.text, line);
	return j;
}

static void assert_member(json_t *j, const char *name, const char *value)
{
	const char *got = json_string_value(json_object_get(j, name));

	if (!got || strcmp(got, value) != 0)
		fail_msg("%s is %s in %s", name, got ? got : "missing", line);
}

static void json_tells_who_asked_what_and_who_answered(void **state)
{
	json_t *j = json_of("/a?b", "[user-agent: test/1] [referer: http://x/]");

	(void)state;
	assert_member(j, "client", "192.0.2.7");
	assert_member(j, "listener", "in");
	assert_member(j, "tenant", "acme");
	assert_member(j, "service", "shop");
	assert_member(j, "pool", "blue");
	assert_member(j, "method", "GET");
	assert_member(j, "host", "shop.test");
	assert_member(j, "path", "/a?b");
	assert_member(j, "protocol", "HTTP/1.1");
	assert_member(j, "upstream_protocol", "HTTP/1.1");
	assert_member(j, "user_agent", "test/1");
	assert_member(j, "referer", "http://x/");
	assert_int_equal(json_integer_value(json_object_get(j, "status")), 200);
	assert_int_equal(json_integer_value(json_object_get(j, "bytes_out")), 2);
	assert_int_equal(json_integer_value(json_object_get(j, "attempts")), 1);
	assert_int_equal(json_integer_value(json_object_get(j, "generation")), 7);
	assert_null(json_object_get(j, "reason"));
	json_decref(j);
}

static void quotes_and_backslashes_stay_inside_their_value(void **state)
{
	json_t *j = json_of("/a", "[user-agent: a\"b\\c\",\"status\":1]");

	(void)state;
	assert_member(j, "user_agent", "a\"b\\c\",\"status\":1");
	assert_int_equal(json_integer_value(json_object_get(j, "status")), 200);
	json_decref(j);
	assert_non_null(
		strstr(line_of(CONF_LOG_LOGFMT, "/a", "[user-agent: a\"b c]"), " user_agent=\"a\\\"b c\""));
	assert_non_null(strstr(line_of(CONF_LOG_COMBINED, "/a", "[user-agent: a\"b] [referer: http://x/]"),
		" \"http://x/\" \"a\\x22b\"\n"));
}

static void bytes_that_are_no_text_do_not_break_the_line(void **state)
{
	json_t *j = json_of("/a", "[user-agent: \xff\xfe \xc3\xa9]");

	(void)state;
	assert_non_null(json_object_get(j, "user_agent"));
	json_decref(j);
}

static void combined_is_what_every_log_reader_knows(void **state)
{
	const char *got = line_of(CONF_LOG_COMBINED, "/a?b", "");

	(void)state;
	assert_int_equal(strncmp(got, "192.0.2.7 - - [", 15), 0);
	assert_non_null(strstr(got, " +0000] \"GET /a?b HTTP/1.1\" 200 2 \"-\" \"-\"\n"));
}

static void a_line_that_is_too_long_loses_what_the_client_chose(void **state)
{
	char fields[4096], junk[1200];
	json_t *j;

	(void)state;
	memset(junk, '\xff', sizeof(junk) - 1);
	junk[sizeof(junk) - 1] = '\0';
	snprintf(fields, sizeof(fields), "[user-agent: %s] [referer: %s]", junk, junk);
	j = json_of("/a", fields);
	assert_int_equal(json_integer_value(json_object_get(j, "status")), 200);
	assert_null(json_object_get(j, "user_agent"));
	assert_member(j, "tenant", "acme");
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_tells_who_asked_what_and_who_answered),
		cmocka_unit_test(quotes_and_backslashes_stay_inside_their_value),
		cmocka_unit_test(bytes_that_are_no_text_do_not_break_the_line),
		cmocka_unit_test(combined_is_what_every_log_reader_knows),
		cmocka_unit_test(a_line_that_is_too_long_loses_what_the_client_chose),
	};

	return RUN_SUITE(tests);
}
