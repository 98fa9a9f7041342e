/* Requests out of arbitrary bytes: the parser says the same however they are cut, what it accepts survives being written and
 * parsed again, and a connection sees the same requests whole and in pieces. */
#include "h1_log.h"
#include "http/h1/parser.h"
#include "http/h1/writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct http_limits limits = {.header_bytes = 4096, .header_count = 20};

struct parsed {
	struct h1_message m;
	struct field fields[20];
	char *bytes;
};

static enum h1_result parse(struct parsed *p, const uint8_t *data, size_t n, size_t step)
{
	struct h1_progress g = {0};
	enum h1_result r = H1_PARTIAL;

	for (size_t have = MIN(step, n); r == H1_PARTIAL; have = MIN(have + step, n)) {
		/* A copy of its own size: the sanitizer guards its end. */
		free(p->bytes);
		p->bytes = malloc(have ? have : 1);
		MUST(p->bytes);
		memcpy(p->bytes, data, have);
		p->m.head.fields = (struct fields){p->fields, 0, COUNT_OF(p->fields)};
		r = h1_parse_request(&p->m, &g, p->bytes, have, &limits);
		if (have == n)
			break;
	}
	return r;
}

static bool same_head(const struct head *a, const struct head *b)
{
	if (!str_eq(a->method, b->method) || !str_eq(a->authority, b->authority) ||
		!str_eq(a->path, b->path) || !str_eq(a->protocol, b->protocol) || a->body != b->body ||
		a->length != b->length || a->fields.n != b->fields.n)
		return false;
	for (unsigned i = 0; i < a->fields.n; i++)
		if (!str_eq(field_name(&a->fields.v[i]), field_name(&b->fields.v[i])) ||
			!str_eq(field_value(&a->fields.v[i]), field_value(&b->fields.v[i])))
			return false;
	return true;
}

/* What goes to a backend means what was understood here. */
static void check_written(const struct h1_message *m)
{
	struct h1_lines l = {.length = m->head.body == BODY_LENGTH,
		.content_length = m->head.length,
		.chunked = m->chunked,
		.websocket = m->websocket_key};
	struct parsed again = {0};
	struct mem mem;
	struct chain out = {0};
	char *bytes;

	mem_init(&mem);
	MUST(h1_write_request(&mem, &out, &m->head, &l));
	bytes = malloc(out.n);
	MUST(bytes && chain_peek(&out, bytes, out.n) == out.n);
	/* The lines that are added may take it over the limits that it was accepted under. */
	if (out.n < limits.header_bytes && m->head.fields.n + 5 < limits.header_count) {
		MUST(parse(&again, (uint8_t *)bytes, out.n, out.n) == H1_COMPLETE && again.m.size == out.n);
		MUST(m->websocket_key.n || same_head(&m->head, &again.m.head));
	}
	free(bytes);
	free(again.bytes);
	chain_clear(&mem, &out);
	mem_free(&mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct parsed whole = {0}, pieces = {0};
	enum h1_result a, b;

	if (n > 65536)
		return 0;
	a = parse(&whole, data, n, n);
	b = parse(&pieces, data, n, 1 + n % 13);
	if (a == H1_COMPLETE) {
		MUST(b == H1_COMPLETE && whole.m.size == pieces.m.size &&
			same_head(&whole.m.head, &pieces.m.head));
		check_written(&whole.m);
	} else {
		MUST(b != H1_COMPLETE);
	}
	free(whole.bytes);
	free(pieces.bytes);
	h1_log_compare(true, data, n);
	return 0;
}
