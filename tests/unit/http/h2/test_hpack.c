#include "unit.h"
#include "base/obj.h"
#include "http/h2/block.h"
#include "http/h2/frame.h"

static const struct http_limits limits = {.header_bytes = 4096, .header_count = 40};

struct pair {
	struct mem mem;
	struct h2_hpack ours, peer;
	struct chain out;
	char flat[70000];
	struct h2_block block;
};

static int setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	mem_init(&p->mem);
	h2_hpack_init(&p->ours);
	h2_hpack_init(&p->peer);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	h2_block_free(&p->block);
	chain_clear(&p->mem, &p->out);
	h2_hpack_free(&p->ours);
	h2_hpack_free(&p->peer);
	mem_free(&p->mem);
	free(p);
	return 0;
}

/* Writes a head with our side and reads it with the peer's, fragment by fragment. How many bytes it took. */
static size_t carry(struct pair *p, enum h2_headers_kind kind, enum h2_block_kind as, const struct head *h)
{
	size_t n, at = 0;

	h2_hpack_write(&p->ours, &p->mem, &p->out, 1, kind, h, true);
	n = chain_peek(&p->out, p->flat, sizeof(p->flat));
	chain_drain(&p->mem, &p->out, n);
	h2_block_free(&p->block);
	h2_block_init(&p->block, &p->mem, &limits, 1, as);
	p->block.end_stream = true;
	p->block.tunnel_ok = true;
	while (at < n) {
		struct h2_frame f;

		h2_frame_parse(&f, (uint8_t *)p->flat + at);
		assert_int_equal(f.type, at ? H2_FRAME_CONTINUATION : H2_FRAME_HEADERS);
		at += H2_FRAME_HEADER;
		assert_int_equal(h2_block_feed(&p->block, &p->peer, (uint8_t *)p->flat + at, f.length,
					 f.flags & H2_FLAG_END_HEADERS),
			H2_NO_ERROR);
		at += f.length;
	}
	h2_block_finish(&p->block, METHOD_GET);
	return n;
}

static struct head request(struct field *f, unsigned n)
{
	return (struct head){
		.method_id = METHOD_GET,
		.method = STR("GET"),
		.scheme = STR("https"),
		.authority = STR("a.test"),
		.path = STR("/x"),
		.fields = {f, (uint16_t)n, (uint16_t)n},
	};
}

static void a_head_comes_out_as_it_went_in(void **state)
{
	struct pair *p = *state;
	struct field f[] = {
		{.name = "Accept", .name_len = 6, .value = "*/*", .value_len = 3, .id = FIELD_ACCEPT},
		{.name = "X-Own", .name_len = 5, .value = "", .value_len = 0},
	};
	struct head h = request(f, 2), *got = &p->block.head;

	h.te_trailers = true;
	carry(p, H2_HEADERS_REQUEST, H2_BLOCK_REQUEST, &h);
	assert_int_equal(p->block.wrong, REASON_NONE);
	assert_int_equal(got->method_id, METHOD_GET);
	assert_str(got->scheme, "https");
	assert_str(got->authority, "a.test");
	assert_str(got->path, "/x");
	assert_true(got->te_trailers);
	assert_int_equal(got->fields.n, 2);
	assert_int_equal(got->fields.v[0].id, FIELD_ACCEPT);
	assert_str(field_name(&got->fields.v[1]), "x-own");
	assert_str(field_value(&got->fields.v[1]), "");
}

static void fields_lie_ready_as_lines_for_http1(void **state)
{
	struct pair *p = *state;
	struct field f[] = {
		{.name = "a", .name_len = 1, .value = "1", .value_len = 1},
		{.name = "b", .name_len = 1, .value = "2", .value_len = 1},
	};
	struct head h = request(f, 2);
	const struct field *got;

	carry(p, H2_HEADERS_REQUEST, H2_BLOCK_REQUEST, &h);
	got = p->block.head.fields.v;
	assert_true(got[0].raw && got[1].raw);
	assert_memory_equal(got[0].name, "a: 1\r\nb: 2\r\n", 12);
	assert_ptr_equal(got[0].name + 6, got[1].name);
}

static void a_repeated_head_is_indexed(void **state)
{
	struct pair *p = *state;
	struct field f = {.name = "user-agent",
		.name_len = 10,
		.value = "something long",
		.value_len = 14,
		.id = FIELD_USER_AGENT};
	struct head h = request(&f, 1);

	assert_true(carry(p, H2_HEADERS_REQUEST, H2_BLOCK_REQUEST, &h) > 20);
	assert_int_equal(carry(p, H2_HEADERS_REQUEST, H2_BLOCK_REQUEST, &h),
		H2_FRAME_HEADER + 5 + 3); /* a path is not */
}

static void short_secrets_are_never_indexed(void **state)
{
	struct pair *p = *state;
	struct field f = {
		.name = "cookie", .name_len = 6, .value = "pin=1234", .value_len = 8, .id = FIELD_COOKIE};
	struct head h = request(&f, 1);
	size_t first = carry(p, H2_HEADERS_REQUEST, H2_BLOCK_REQUEST, &h);
	const char *at;

	assert_true(carry(p, H2_HEADERS_REQUEST, H2_BLOCK_REQUEST, &h) >=
		    first - 8); /* only the authority shrinks */
	/* RFC 7541 6.2.3: 0001, then the static index of "cookie", 32, in a 4-bit prefix. */
	at = memchr(p->flat + H2_FRAME_HEADER, 0x1f, 64);
	assert_non_null(at);
	assert_int_equal(at[1], 32 - 15);
}

static void what_each_request_says_anew_pushes_nothing_out_of_the_table(void **state)
{
	struct pair *p = *state;
	char id[24] = "0", parent[40] = "0";
	struct field f[] = {
		{.name = "user-agent",
			.name_len = 10,
			.value = "something long",
			.value_len = 14,
			.id = FIELD_USER_AGENT},
		{.name = "x-request-id",
			.name_len = 12,
			.value = id,
			.value_len = 20,
			.id = FIELD_X_REQUEST_ID},
		{.name = "traceparent",
			.name_len = 11,
			.value = parent,
			.value_len = 36,
			.id = FIELD_TRACEPARENT},
	};
	struct head h = request(f, 3);
	size_t alone, with;

	carry(p, H2_HEADERS_REQUEST, H2_BLOCK_REQUEST, &h);
	h.fields.n = 1;
	alone = carry(p, H2_HEADERS_REQUEST, H2_BLOCK_REQUEST, &h);
	h.fields.n = 3;
	for (unsigned i = 0; i < 200; i++) {
		snprintf(id, sizeof(id), "%020u", i);
		snprintf(parent, sizeof(parent), "%036u", i);
		with = carry(p, H2_HEADERS_REQUEST, H2_BLOCK_REQUEST, &h);
		assert_true(with > alone + 20);
		assert_int_equal(p->block.head.fields.n, 3);
		assert_str(field_value(&p->block.head.fields.v[1]), id);
	}
	h.fields.n = 1;
	assert_int_equal(carry(p, H2_HEADERS_REQUEST, H2_BLOCK_REQUEST, &h), alone);
}

static void a_peer_may_shrink_our_table(void **state)
{
	struct pair *p = *state;
	struct field f = {.name = "user-agent",
		.name_len = 10,
		.value = "something long",
		.value_len = 14,
		.id = FIELD_USER_AGENT};
	struct head h = request(&f, 1);

	h2_hpack_peer_table(&p->ours, 0);
	carry(p, H2_HEADERS_REQUEST, H2_BLOCK_REQUEST, &h);
	assert_true(carry(p, H2_HEADERS_REQUEST, H2_BLOCK_REQUEST, &h) > 20);
	h2_hpack_peer_table(&p->ours, UINT32_MAX); /* never beyond what we want to spend */
	carry(p, H2_HEADERS_REQUEST, H2_BLOCK_REQUEST, &h);
	assert_int_equal(p->block.wrong, REASON_NONE);
}

static void what_exceeds_the_limits_is_inflated_and_dropped(void **state)
{
	struct pair *p = *state;
	static char value[5000];
	struct field f[60];
	struct head h;

	memset(value, 'v', sizeof(value));
	f[0] = (struct field){.name = "x", .name_len = 1, .value = value, .value_len = sizeof(value)};
	h = request(f, 1);
	carry(p, H2_HEADERS_REQUEST, H2_BLOCK_REQUEST, &h);
	assert_true(p->block.too_large);
	assert_int_equal(p->block.head.reject, REASON_CLIENT_HEADERS_TOO_LARGE);
	for (unsigned i = 0; i < COUNT_OF(f); i++)
		f[i] = (struct field){.name = "x", .name_len = 1, .value = "", .value_len = 0};
	h = request(f, COUNT_OF(f));
	carry(p, H2_HEADERS_REQUEST, H2_BLOCK_REQUEST, &h);
	assert_true(p->block.too_large);
	h = request(f, 1);
	carry(p, H2_HEADERS_REQUEST, H2_BLOCK_REQUEST, &h);
	assert_false(p->block.too_large);
	assert_int_equal(p->block.head.reject, REASON_NONE);
}

static void many_fields_and_large_values_are_written(void **state)
{
	struct pair *p = *state;
	static char value[3000];
	struct field f[200];
	struct head h = {.status = 200, .fields = {f, 200, 200}};

	memset(value, '~', sizeof(value));
	for (unsigned i = 0; i < COUNT_OF(f); i++)
		f[i] = (struct field){
			.name = "x", .name_len = 1, .value = value, .value_len = i == 0 ? 3000 : 60};
	h2_hpack_write(&p->ours, &p->mem, &p->out, 1, H2_HEADERS_RESPONSE, &h, true);
	assert_true(p->out.n > 3000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_head_comes_out_as_it_went_in),
		TEST(fields_lie_ready_as_lines_for_http1),
		TEST(a_repeated_head_is_indexed),
		TEST(short_secrets_are_never_indexed),
		TEST(what_each_request_says_anew_pushes_nothing_out_of_the_table),
		TEST(a_peer_may_shrink_our_table),
		TEST(what_exceeds_the_limits_is_inflated_and_dropped),
		TEST(many_fields_and_large_values_are_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
