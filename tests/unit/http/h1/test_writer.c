#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/obj.h"
#include "http/h1/parser.h"
#include "http/h1/writer.h"

struct fixture {
	struct mem mem;
	struct arena arena;
	struct chain out;
	char *text;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	mem_init(&f->mem);
	arena_init(&f->arena, NULL);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	chain_clear(&f->mem, &f->out);
	arena_free(&f->arena);
	mem_free(&f->mem);
	free(f->text);
	free(f);
	return 0;
}

static const char *written(struct fixture *f)
{
	size_t n = f->out.n;

	f->text = realloc(f->text, n + 1);
	chain_peek(&f->out, f->text, n);
	f->text[n] = '\0';
	return f->text;
}

static const struct head get = {
	.method = STR("GET"), .method_id = METHOD_GET, .authority = STR("a.test"), .path = STR("/")};

static void fields_that_came_together_leave_together(void **state)
{
	struct fixture *f = *state;
	char in[] = "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nConnection: x\r\nC:3\r\nD: 4\r\n\r\n";
	struct http_limits lim = {.header_bytes = 1000, .header_count = 20};
	struct h1_progress g = {0};
	struct h1_message m;
	struct field fields[20];
	struct h1_lines none = {0};

	m.head.fields = (struct fields){fields, 0, 20};
	assert_int_equal(h1_parse_request(&m, &g, in, sizeof(in) - 1, &lim), H1_COMPLETE);
	assert_true(h1_write_request(&f->mem, &f->out, &m.head, &none));
	assert_string_equal(written(f), "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n");
	assert_null(f->out.first->next);
}

static void no_field_can_end_a_line(void **state)
{
	static const struct {
		const char *name, *value;
	} bad[] = {{"x", "a\r\nb: c"}, {"x", "a\nb"}, {"x", "a\rb"}, {"x\r\ny", "a"}, {"x:", "a"},
		{"x y", "a"}, {"", "a"}, {"x", "\x01"}, {"x", "a\x7f"}};
	struct fixture *f = *state;
	struct head h = {.status = 200};
	struct h1_lines none = {0};

	for (size_t i = 0; i < COUNT_OF(bad); i++)
		fields_add(&f->arena, &h.fields, FIELD_OTHER, str_of(bad[i].name), str_of(bad[i].value));
	fields_add(&f->arena, &h.fields, FIELD_OTHER, STR("nul"), STR("a\0b"));
	fields_add(&f->arena, &h.fields, FIELD_OTHER, STR("good"), STR("a b"));
	h1_write_response(&f->mem, &f->out, &h, &none);
	assert_string_equal(written(f), "HTTP/1.1 200 OK\r\ngood: a b\r\n\r\n");
}

static void framing_among_the_fields_is_not_believed(void **state)
{
	struct fixture *f = *state;
	struct head h = {.status = 200};
	struct h1_lines l = {.length = true, .content_length = 7};

	fields_add(&f->arena, &h.fields, FIELD_CONTENT_LENGTH, STR("Content-Length"), STR("5"));
	fields_add(&f->arena, &h.fields, FIELD_TRANSFER_ENCODING, STR("Transfer-Encoding"), STR("chunked"));
	fields_add(&f->arena, &h.fields, FIELD_CONNECTION, STR("Connection"), STR("close"));
	fields_add(&f->arena, &h.fields, FIELD_HOST, STR("Host"), STR("x"));
	h1_write_response(&f->mem, &f->out, &h, &l);
	assert_string_equal(written(f), "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
}

static void a_target_that_could_split_a_request_is_not_sent(void **state)
{
	static const char *const bad[] = {"", "/a b", "/a\r\nX: y", "/a\nb", "/\x7f", "/#f", "/\xc3\xa4"};
	struct fixture *f = *state;
	struct h1_lines none = {0};

	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct head h = get;

		h.path = str_of(bad[i]);
		assert_false(h1_write_request(&f->mem, &f->out, &h, &none));
		h = get;
		h.authority = str_of(bad[i]);
		if (i < 4)
			h.authority = str_of(i == 0 ? "" : "a\r\nb");
		assert_false(h1_write_request(&f->mem, &f->out, &h, &none));
	}
	assert_true(chain_empty(&f->out));
}

static void every_status_has_a_line(void **state)
{
	struct fixture *f = *state;
	struct head h = {.status = 599};
	struct h1_lines l = {.close = true};

	h1_write_response(&f->mem, &f->out, &h, &l);
	assert_string_equal(written(f), "HTTP/1.1 599 \r\nConnection: close\r\n\r\n");
}

static void a_head_larger_than_a_block_is_written_whole(void **state)
{
	struct fixture *f = *state;
	struct head h = {.status = 200};
	struct h1_lines none = {0};
	static char value[40000];
	size_t n;

	memset(value, 'v', sizeof(value));
	for (int i = 0; i < 4; i++)
		fields_add(&f->arena, &h.fields, FIELD_OTHER, STR("x"), (struct str){value, sizeof(value)});
	h1_write_response(&f->mem, &f->out, &h, &none);
	n = strlen(written(f));
	assert_int_equal(n, strlen("HTTP/1.1 200 OK\r\n") + 4 * (sizeof(value) + strlen("x: \r\n")) + 2);
	assert_string_equal(f->text + n - 6, "vv\r\n\r\n");
}

static void chunks_take_their_bytes_without_copying(void **state)
{
	struct fixture *f = *state;
	struct chain body = {0};
	static char bytes[0x1234];
	char line[32];

	memset(bytes, 'b', sizeof(bytes));
	chain_add_static(&f->mem, &body, (struct str){bytes, sizeof(bytes)});
	h1_write_chunk(&f->mem, &f->out, &body);
	assert_true(chain_empty(&body));
	assert_int_equal(chain_peek(&f->out, line, 6), 6);
	assert_memory_equal(line, "1234\r\n", 6);
	assert_ptr_equal(f->out.first->next->p, bytes);
	assert_int_equal(f->out.n, 6 + sizeof(bytes) + 2);
	h1_write_chunk(&f->mem, &f->out, &body); /* nothing: it would end the message */
	assert_int_equal(f->out.n, 6 + sizeof(bytes) + 2);
}

static void the_last_chunk_carries_the_trailers(void **state)
{
	struct fixture *f = *state;
	struct fields fs = {0};

	h1_write_last_chunk(&f->mem, &f->out, NULL);
	fields_add(&f->arena, &fs, FIELD_OTHER, STR("x-sum"), STR("1"));
	h1_write_last_chunk(&f->mem, &f->out, &fs);
	assert_string_equal(written(f), "0\r\n\r\n0\r\nx-sum: 1\r\n\r\n");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(fields_that_came_together_leave_together),
		T(no_field_can_end_a_line),
		T(framing_among_the_fields_is_not_believed),
		T(a_target_that_could_split_a_request_is_not_sent),
		T(every_status_has_a_line),
		T(a_head_larger_than_a_block_is_written_whole),
		T(chunks_take_their_bytes_without_copying),
		T(the_last_chunk_carries_the_trailers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
