/* modules/compress.c - answers of the right kind and size go out compressed, in the coding that the client likes best. */
#include <stdlib.h>
#include "compress_accept.h"
#include "modules.h"

/* -- configuration -- */

struct compress {
	struct conf_strs codings, types;
	uint8_t levels[CODINGS];
	uint64_t min_size;
	uint32_t streams;
};

static bool is_coding(struct str s)
{
	for (int i = 0; i < CODINGS; i++)
		if (str_eq(s, coding_rows[i].name))
			return true;
	return false;
}

static const struct config_type type_coding = {
	.name = "coding",
	.expects = "gzip, br or zstd",
	.schema = "{\"enum\": [\"gzip\", \"br\", \"zstd\"]}",
	.valid = is_coding,
};

/* A whole one, all of a kind, or all with a suffix. */
static bool is_type_pattern(struct str s)
{
	size_t slash = str_find(s, '/');

	if (str_starts(s, STR("*+")))
		return type_token.valid(str_skip(s, 2));
	return slash < s.n && type_token.valid(str_head(s, slash)) &&
	       type_token.valid(str_skip(s, slash + 1));
}

static const struct config_type type_media = {
	.name = "media type",
	.expects = "a media type such as text/html, text/* or *+json",
	.schema = "{\"type\": \"string\", \"pattern\": \"^([^/ ]+/[^/ ]+|[*][+][^/ ]+)$\"}",
	.valid = is_type_pattern,
};

#define LEVEL(coding, member, lo, hi, d, doc) \
	COUNT(coding, struct compress, levels[member], doc, .dflt = d, .min = lo, .max = hi)

static const struct config_field fields[] = {
	STRINGS("codings", struct compress, codings, type_coding,
		"gzip, br, zstd: those that are offered; of what a client likes equally well the first is "
		"taken; empty: zstd, "
		"br, gzip"),
	STRINGS("types", struct compress, types, type_media,
		"media types of what is worth it: whole ones, text/*, *+json; empty: text/*, and what else "
		"is text on "
		"the web"),
	SIZE("min_size", struct compress, min_size, "what is known to be shorter goes out as it is",
		.dflt = 1024),
	LEVEL("gzip_level", CODING_GZIP, 1, 9, 5, "of gzip: more takes longer"),
	LEVEL("br_level", CODING_BR, 0, 11, 4,
		"of Brotli; beyond 9 it is for files that are compressed once"),
	LEVEL("zstd_level", CODING_ZSTD, 1, 19, 3, "of Zstandard"),
	COUNT("streams", struct compress, streams,
		"answers that are being compressed at once, over all workers; above it they go out as they "
		"are: a bound "
		"of the memory",
		.dflt = 4096, .min = 1),
	END,
};

static const struct config_object object = {
	.id = OBJECT_MODULE,
	.path = "modules.compress",
	.what = "compress",
	.doc = "Compresses answers: gzip, Brotli, Zstandard. See [compress](modules/compress.md).",
	.size = sizeof(struct compress),
	.fields = fields,
};

/* -- what is kept -- */

/* For all workers; they count once for each answer. */
struct shared {
	_Atomic uint64_t answers[CODINGS], taken[CODINGS], given[CODINGS], full, failed;
};

/* A worker's. */
struct local {
	struct coders coders;
	uint32_t workers;
};

static void *build(struct module_build *b, const void *values)
{
	struct shared *s = b->previous ? b->previous : calloc(1, sizeof(*s));

	(void)values;
	MUST(s);
	return s;
}

static void *worker_init(struct loop *l, void *data, uint32_t worker, uint32_t workers)
{
	struct local *own = calloc(1, sizeof(*own));

	(void)data;
	(void)worker;
	MUST(own);
	coders_init(&own->coders, l);
	own->workers = workers;
	return own;
}

static void worker_free(void *state, void *data)
{
	struct local *own = state;

	(void)data;
	coders_free(&own->coders);
	free(own);
}

/* -- which answers -- */

static struct str media_type(const struct head *head)
{
	const struct field *f = fields_find(&head->fields, FIELD_CONTENT_TYPE);
	struct str value = f ? field_value(f) : STR_NONE;

	return str_trim(str_head(value, str_find(value, ';')));
}

static bool fits(struct str type, struct str pattern)
{
	if (str_starts(pattern, STR("*+")))
		return type.n > pattern.n - 1 &&
		       str_case_eq(str_skip(type, type.n - (pattern.n - 1)), str_skip(pattern, 1));
	if (str_ends(pattern, STR("/*")))
		return type.n >= pattern.n &&
		       str_case_eq(str_head(type, pattern.n - 1), str_head(pattern, pattern.n - 1));
	return str_case_eq(type, pattern);
}

static const struct str web_texts[] = {STR("text/*"), STR("*+json"), STR("*+xml"), STR("application/json"),
	STR("application/javascript"), STR("application/xml"), STR("application/wasm"),
	STR("application/x-ndjson"), STR("application/vnd.ms-fontobject"), STR("font/ttf"), STR("font/otf"),
	STR("image/bmp"), STR("image/x-icon"), STR("image/vnd.microsoft.icon")};

static bool is_worth_it(const struct compress *conf, struct str type)
{
	const struct str *patterns = conf->types.n ? conf->types.v : web_texts;
	uint32_t n = conf->types.n ? conf->types.n : COUNT_OF(web_texts);

	for (uint32_t i = 0; i < n && type.n; i++)
		if (fits(type, patterns[i]))
			return true;
	return false;
}

static bool lists(const struct fields *fs, enum field_id id, struct str word)
{
	for (uint32_t i = 0; i < fs->n; i++) {
		struct str list = field_value(&fs->v[i]), element;

		while (fs->v[i].id == id && str_next_element(&list, &element))
			if (str_case_eq(element, word))
				return true;
	}
	return false;
}

/* Codings may stand on several lines, the outermost last. */
static bool is_encoded(const struct fields *fs)
{
	for (uint32_t i = 0; i < fs->n; i++)
		if (fs->v[i].id == FIELD_CONTENT_ENCODING &&
			!str_case_eq(field_value(&fs->v[i]), STR("identity")))
			return true;
	return false;
}

/* Would it be compressed for a client that accepts all there is? Then caches must be told that answers differ. A part of a body (206) is
 * of the body as it is; HEAD and 304 tell of a body that they do not carry. */
static bool may_be_compressed(const struct compress *conf, const struct head *head)
{
	const struct fields *fs = &head->fields;

	return head->status >= 200 && head->status != 204 && head->status != 205 && head->status != 206 &&
	       head->body != BODY_TUNNEL && !(head->has_length && head->length < conf->min_size) &&
	       is_worth_it(conf, media_type(head)) && !is_encoded(fs) &&
	       !fields_find(fs, FIELD_CONTENT_RANGE) && !lists(fs, FIELD_CACHE_CONTROL, STR("no-transform"));
}

static enum coding choose(const struct compress *conf, const struct head *request)
{
	static const uint8_t all[] = {CODING_ZSTD, CODING_BR, CODING_GZIP};
	uint8_t offered[CODINGS * 2];
	uint32_t n = 0;

	if (conf->codings.n == 0)
		return accept_coding(&request->fields, all, COUNT_OF(all));
	for (uint32_t i = 0; i < conf->codings.n && n < COUNT_OF(offered); i++)
		for (uint8_t c = 0; c < CODINGS; c++)
			if (str_eq(conf->codings.v[i], coding_rows[c].name))
				offered[n++] = c;
	return accept_coding(&request->fields, offered, n);
}

/* -- one answer -- */

struct body {
	struct coder *coder;
	struct shared *shared;
	uint64_t taken, given;
	bool flushes; /* what has come must not wait for more */
	bool failed;
};

static bool filter(void *state, struct mem *mem, struct chain *in, struct chain *out, bool last)
{
	struct body *b = state;
	enum coder_step step = last ? CODER_END : b->flushes && in->n ? CODER_FLUSH : CODER_GO_ON;

	b->taken += in->n;
	b->failed = !coder_run(b->coder, mem, in, out, step);
	b->given += out->n;
	return !b->failed;
}

static void add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void filter_free(void *state)
{
	struct body *b = state;
	uint8_t coding = b->coder->coding;

	add(&b->shared->answers[coding], 1);
	add(&b->shared->taken[coding], b->taken);
	add(&b->shared->given[coding], b->given);
	if (b->failed)
		add(&b->shared->failed, 1);
	coder_give_back(b->coder);
}

/* RFC 9530 lets digests come behind the body that they were made of. */
static const struct str digests[] = {
	STR("content-md5"), STR("digest"), STR("content-digest"), STR("repr-digest")};

static void forget_digests(struct fields *fs)
{
	for (size_t i = 0; i < COUNT_OF(digests); i++)
		fields_remove_name(fs, digests[i]);
}

static void filter_trailers(void *state, struct fields *trailers)
{
	(void)state;
	forget_digests(trailers);
}

static const struct module_filter compressing = {filter, filter_trailers, filter_free};

static void vary(const struct module_call *c, struct head *head)
{
	if (!lists(&head->fields, FIELD_VARY, STR("accept-encoding")) &&
		!lists(&head->fields, FIELD_VARY, STR("*")))
		fields_add(c->arena, &head->fields, FIELD_VARY, STR("vary"), STR("accept-encoding"));
}

/* The bytes are others now: what was said of the old ones goes, and an ETag says no more than that they mean the same (RFC 9110
 * 8.8.1). */
static void retell(const struct module_call *c, struct head *head, struct str coding)
{
	const struct field *etag = fields_find(&head->fields, FIELD_ETAG);

	module_set_header(c, head, STR("content-encoding"), coding);
	fields_remove_name(&head->fields, STR("accept-ranges"));
	forget_digests(&head->fields);
	if (etag && !str_starts(field_value(etag), STR("W/")))
		module_set_header(
			c, head, STR("etag"), arena_fmt(c->arena, "W/" STR_FMT, STR_ARG(field_value(etag))));
}

static int response(struct module_call *c, struct head *head, bool own)
{
	const struct compress *conf = c->values;
	struct local *own_state = c->worker;
	struct shared *shared = c->data;
	enum coding coding;
	struct body *b;

	if (own || !may_be_compressed(conf, head))
		return MODULE_DECLINE;
	vary(c, head);
	coding = choose(conf, module_request(c));
	if (coding == CODING_IDENTITY || head->body == BODY_NONE || head->status == 304)
		return MODULE_DECLINE;
	if (own_state->coders.in_use >= MAX(conf->streams / own_state->workers, 1u)) {
		add(&shared->full, 1);
		return MODULE_DECLINE;
	}
	b = arena_new(c->arena, struct body);
	/* A body whose length nobody knows is made while it is sent: events, the first part of a page. */
	*b = (struct body){.shared = shared, .flushes = !head->has_length};
	b->coder = coder_take(&own_state->coders, coding, conf->levels[coding]);
	if (!b->coder) {
		add(&shared->full, 1);
		return MODULE_DECLINE;
	}
	retell(c, head, coding_rows[coding].name);
	module_filter_response(c, head, &compressing, b);
	return MODULE_DECLINE;
}

static void explain(const void *values, void *data, const struct head *request, const struct addr *client,
	struct text *out)
{
	enum coding coding = choose(values, request);

	(void)data;
	(void)client;
	if (coding == CODING_IDENTITY)
		text_put(out, STR("the client accepts no coding that is offered"));
	else
		text_fmt(out, STR_FMT " for answers that are worth it", STR_ARG(coding_rows[coding].name));
}

static void counts(const void *values, void *data, struct module_counts *out)
{
	struct shared *s = data;

	(void)values;
	for (int i = 0; i < CODINGS; i++) {
		module_count(out, coding_rows[i].name, STR("answers"), atomic_load(&s->answers[i]));
		module_count(out, coding_rows[i].name, STR("bytes_in"), atomic_load(&s->taken[i]));
		module_count(out, coding_rows[i].name, STR("bytes_out"), atomic_load(&s->given[i]));
	}
	module_count(out, STR("any"), STR("passed_for_streams"), atomic_load(&s->full));
	module_count(out, STR("any"), STR("failed"), atomic_load(&s->failed));
}

const struct module compress_module = {
	.config = {.abi = MODULE_ABI, .name = "compress", .levels = MODULE_ANYWHERE, .object = &object},
	.build = build,
	.release = free,
	.worker_init = worker_init,
	.worker_free = worker_free,
	.response = response,
	.explain = explain,
	.counts = counts,
};
