/* modules/errors.c - pages of one's own for failures: for weir's, and if told for those of backends. Files are read when the module is
 * built, and again when they change. */
#include <stdio.h>
#include <stdlib.h>

#include "files.h"
#include "modules.h"

#define PAGE_MAX (256u * 1024)

struct range { /* of statuses */
	uint16_t from, to;
};

struct page { /* and what it is for: a reason, or statuses */
	uint16_t reason; /* enum reason; NONE: the statuses count */
	struct range statuses;
	struct conf_strs files; /* absolute; one for each form */
};

struct errors {
	struct page *pages;
	uint32_t page_n;
	struct range *intercept;
	uint32_t intercept_n;
};

/* -- configuration -- */

/* "404" or "5xx" */
static bool range_parse(struct str s, struct range *r)
{
	uint64_t n;

	if (s.n != 3 || (s.p[0] != '4' && s.p[0] != '5'))
		return false;
	if (s.p[1] == 'x' && s.p[2] == 'x') {
		r->from = (uint16_t)(s.p[0] - '0') * 100;
		r->to = r->from + 99;
		return true;
	}
	if (!str_to_u64(s, &n))
		return false;
	r->from = r->to = (uint16_t)n;
	return true;
}

static bool is_range(struct str s)
{
	struct range ignored;

	return range_parse(s, &ignored);
}

static const struct config_type type_status = {
	.name = "status",
	.expects = "a status such as 404, or 4xx or 5xx",
	.schema = "{\"type\": [\"string\", \"integer\"], \"pattern\": \"^[45]([0-9][0-9]|xx)$\"}",
	.valid = is_range,
};

static const struct {
	struct str suffix, type, accept;
	uint8_t into; /* enum render_into */
} forms[] = {
	{STR(".html"), STR("text/html; charset=utf-8"), STR("text/html"), RENDER_HTML},
	{STR(".htm"), STR("text/html; charset=utf-8"), STR("text/html"), RENDER_HTML},
	{STR(".json"), STR("application/json"), STR("application/json"), RENDER_JSON},
	{STR(".txt"), STR("text/plain; charset=utf-8"), STR("text/plain"), RENDER_PLAIN},
};

/* By its file's name; COUNT_OF(forms): none of them. */
static uint8_t form_of(struct str path)
{
	uint8_t i = 0;

	while (i < COUNT_OF(forms) && !str_ends(path, forms[i].suffix))
		i++;
	return i;
}

struct reading { /* parse_list() has one place for what its elements go into */
	struct page *page;
};

static void take_file(struct parse *p, const struct config_field *f, const struct node *e, void *obj)
{
	struct page *page = ((struct reading *)obj)->page;

	if (e->kind != NODE_SCALAR || form_of(node_str(e)) == COUNT_OF(forms)) {
		parse_error(p, e, "a page for %s must be a file whose name ends with .html, .json or .txt",
			f->key);
		return;
	}
	page->files.v[page->files.n++] = parse_path(p, e);
}

static bool key_parse(struct str key, struct page *page)
{
	if (range_parse(key, &page->statuses))
		return true;
	page->reason = (uint16_t)reason_from_name(key);
	return page->reason != REASON_NONE;
}

static void parse_pages(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct errors *errors = obj;

	if (v->kind != NODE_MAP) {
		parse_bad(p, f, v, f->type->expects);
		return;
	}
	errors->pages = arena_array(&p->conf->arena, struct page, v->n);
	for (const struct node *k = v->first; k; k = k->next->next) {
		struct page *page = &errors->pages[errors->page_n];
		struct config_field named = {
			.key = arena_str(&p->conf->arena, node_str(k)).p, .type = f->type};

		if (!key_parse(node_str(k), page)) {
			parse_error(p, k,
				"a key of \"%s\" must be a status such as 404, 4xx or 5xx, or a reason, not "
				"%s",
				f->key, parse_quote(p, node_str(k)));
			continue;
		}
		page->files.v = arena_array(&p->conf->arena, struct str, MAX(1u, k->next->n));
		parse_list(p, &named, k->next, take_file, &(struct reading){page});
		errors->page_n += page->files.n > 0;
	}
}

static const struct config_type type_pages = {
	.name = "mapping of statuses and reasons to files",
	.expects = "a mapping of statuses (404, 5xx) and reasons to files",
	.schema = "{\"type\": \"object\", \"additionalProperties\": {\"anyOf\": [{\"type\": \"string\", "
		  "\"minLength\": 1}, {\"type\": \"array\", \"items\": {\"type\": \"string\", "
		  "\"minLength\": 1}}]}}",
	.parse = parse_pages,
};

static void take_status(struct parse *p, const struct config_field *f, const struct node *e, void *obj)
{
	struct errors *errors = obj;

	if (e->kind == NODE_SCALAR && range_parse(node_str(e), &errors->intercept[errors->intercept_n]))
		errors->intercept_n++;
	else
		parse_error(p, e, "an element of \"%s\" must be %s", f->key, type_status.expects);
}

static void parse_statuses(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct errors *errors = obj;

	errors->intercept = arena_array(&p->conf->arena, struct range, MAX(1u, v->n));
	parse_list(p, f, v, take_status, obj);
}

static const struct config_type type_statuses = {
	.name = "list of statuses",
	.expects = "a list of statuses (404, 5xx)",
	.schema = "{\"type\": \"array\", \"items\": {\"type\": [\"string\", \"integer\"]}}",
	.parse = parse_statuses,
};

static const struct config_field fields[] = {
	CUSTOM("pages", type_pages, struct errors, pages,
		"files by status (`404`, `5xx`) or [reason](reasons.md), with [$(variables)](#variables); "
		"several in "
		"different forms (`.html`, `.json`, `.txt`): the client chooses. A reason goes before a "
		"status, that before "
		"`4xx` and `5xx`. Watched, and read again when they change",
		REQUIRED),
	CUSTOM("intercept", type_statuses, struct errors, intercept,
		"answers of backends that get these pages too; none, if it is not there"),
	END,
};

static const struct config_object object = {
	.id = OBJECT_MODULE,
	.path = "modules.errors",
	.what = "errors",
	.doc = "Error pages of one's own. See [errors](modules/errors.md).",
	.size = sizeof(struct errors),
	.fields = fields,
};

/* -- pages, read -- */

struct sheet { /* one file */
	uint8_t form; /* in `forms` */
	struct template text;
};

struct book {
	struct arena arena;
	uint32_t n;
	struct sheets { /* as the configuration's pages */
		uint32_t n;
		struct sheet *v;
	} * pages;
};

static void release(void *data)
{
	struct book *b = data;

	arena_free(&b->arena);
	free(b);
}

static bool read_sheet(struct book *book, struct str path, struct sheet *sheet, char *err, size_t err_n)
{
	struct str text;
	const char *why;
	bool good;

	if (!file_read(path, PAGE_MAX, &text, err, err_n))
		return false;
	sheet->form = form_of(path);
	good = template_parse(&book->arena, text, TEMPLATE_REQUEST | TEMPLATE_ANSWER, &sheet->text, &why);
	free((char *)(uintptr_t)text.p);
	if (!good)
		snprintf(err, err_n, STR_FMT ": %s", STR_ARG(path), why);
	return good;
}

static bool is_same(const struct book *a, const struct book *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++) {
		if (a->pages[i].n != b->pages[i].n)
			return false;
		for (uint32_t s = 0; s < a->pages[i].n; s++)
			if (a->pages[i].v[s].form != b->pages[i].v[s].form ||
				!str_eq(a->pages[i].v[s].text.literal, b->pages[i].v[s].text.literal))
				return false;
	}
	return true;
}

static void *build(struct module_build *b, const void *values)
{
	const struct errors *e = values;
	struct book *book = calloc(1, sizeof(*book));
	bool good = true;

	MUST(book);
	arena_init(&book->arena, NULL);
	book->n = e->page_n;
	book->pages = arena_array(&book->arena, struct sheets, e->page_n);
	for (uint32_t i = 0; good && i < e->page_n; i++) {
		const struct conf_strs *files = &e->pages[i].files;
		struct sheets *to = &book->pages[i];

		to->v = arena_array(&book->arena, struct sheet, files->n);
		for (; good && to->n < files->n; to->n++)
			good = read_sheet(book, files->v[to->n], &to->v[to->n], b->err, sizeof(b->err));
	}
	if (good && !(b->previous && is_same(b->previous, book)))
		return book;
	release(book);
	return good ? b->previous : NULL;
}

static struct str watches(const void *values, uint32_t i)
{
	const struct errors *e = values;

	for (uint32_t p = 0; p < e->page_n; p++) {
		if (i < e->pages[p].files.n)
			return e->pages[p].files.v[i];
		i -= e->pages[p].files.n;
	}
	return STR_NONE;
}

/* -- choosing -- */

static bool has_status(const struct range *r, unsigned status)
{
	return status >= r->from && status <= r->to;
}

/* Of the pages for a reason, else the one with the narrowest range; NULL: none. */
static const struct sheets *find(
	const struct errors *e, const struct book *book, unsigned status, enum reason why)
{
	uint32_t best = e->page_n;

	for (uint32_t i = 0; i < e->page_n; i++) {
		const struct page *p = &e->pages[i];

		if (p->reason != REASON_NONE && p->reason == (uint16_t)why)
			return &book->pages[i];
		if (p->reason == REASON_NONE && has_status(&p->statuses, status) &&
			(best == e->page_n || p->statuses.from == p->statuses.to))
			best = i;
	}
	return best < e->page_n ? &book->pages[best] : NULL;
}

/* What the client likes best; the first of those that it likes alike, or that it says nothing of. */
static const struct sheet *choose(const struct module_call *c, const struct sheets *of)
{
	const struct sheet *best = &of->v[0];
	unsigned best_quality = 0;

	for (uint32_t i = 0; i < of->n; i++) {
		unsigned quality = module_accepts(c, forms[of->v[i].form].accept);

		if (quality > best_quality) {
			best = &of->v[i];
			best_quality = quality;
		}
	}
	return best;
}

static bool fill(struct module_call *c, const struct head *head, enum reason why, struct module_page *out)
{
	const struct sheets *of = find(c->values, c->data, head->status, why);
	struct render r = {.answer = head};
	const struct sheet *s;

	if (!of)
		return false;
	s = choose(c, of);
	r.into = forms[s->form].into;
	out->body = module_render(c, &r, &s->text);
	out->content_type = forms[s->form].type;
	out->negotiated = of->n > 1;
	return true;
}

/* -- answers of backends -- */

/* The backend's own words go nowhere, in their place comes this. In the request's arena. */
struct swap {
	struct str page; /* empty: it has gone */
};

static bool swap_body(void *state, struct mem *mem, struct chain *in, struct chain *out, bool last)
{
	struct swap *s = state;

	(void)last;
	chain_clear(mem, in);
	if (s->page.n)
		chain_add_copy(mem, out, s->page.p, s->page.n);
	s->page = STR_NONE;
	return true;
}

/* They were the end of what the backend said. */
static void swap_trailers(void *state, struct fields *trailers)
{
	(void)state;
	trailers->n = 0;
}

static bool is_intercepted(const struct module_call *c, const struct head *head)
{
	const struct errors *e = c->values;
	const struct head *request = module_request(c);
	const struct field *type = fields_find(&request->fields, FIELD_CONTENT_TYPE);

	if (request->method_id == METHOD_HEAD || head->body == BODY_TUNNEL ||
		(type && str_starts(field_value(type), STR("application/grpc"))))
		return false;
	for (uint32_t i = 0; i < e->intercept_n; i++)
		if (has_status(&e->intercept[i], head->status))
			return true;
	return false;
}

/* What speaks of the body that goes: its form, its length, its version. */
static void forget_body(struct fields *fs)
{
	static const struct str names[] = {STR("etag"), STR("last-modified"), STR("accept-ranges"),
		STR("digest"), STR("repr-digest"), STR("trailer")};
	uint16_t kept = 0;

	for (uint16_t i = 0; i < fs->n; i++)
		if (!str_case_eq(str_head(field_name(&fs->v[i]), 8), STR("content-")))
			fs->v[kept++] = fs->v[i];
	fs->n = kept;
	for (size_t i = 0; i < COUNT_OF(names); i++)
		fields_remove_name(fs, names[i]);
}

static int answer_empty(struct module_call *c, const struct head *head, struct str body)
{
	struct fields kept = {0};

	for (uint16_t i = 0; i < head->fields.n; i++) {
		const struct field *f = &head->fields.v[i];

		/* The answer that is made from them gets its own. */
		if (f->id != FIELD_DATE && f->id != FIELD_X_REQUEST_ID)
			fields_add(c->arena, &kept, (enum field_id)f->id, arena_str(c->arena, field_name(f)),
				arena_str(c->arena, field_value(f)));
	}
	return module_answer(c, head->status, &kept, body);
}

static int response(struct module_call *c, struct head *head, bool own)
{
	static const struct module_filter filter = {.body = swap_body, .trailers = swap_trailers};
	struct module_page page;
	struct swap *swap;

	if (own || !is_intercepted(c, head) || !fill(c, head, REASON_NONE, &page))
		return MODULE_PASS;
	module_log_field(c, STR("errors"), STR("intercepted"));
	forget_body(&head->fields);
	module_set_header(c, head, STR("content-type"), page.content_type);
	if (page.negotiated)
		fields_add(c->arena, &head->fields, FIELD_VARY, STR("vary"), STR("accept"));
	if (head->body == BODY_NONE)
		return answer_empty(c, head, page.body);
	swap = arena_new(c->arena, struct swap);
	swap->page = page.body;
	module_filter_response(c, head, &filter, swap);
	head->body = BODY_LENGTH;
	head->has_length = true;
	head->length = page.body.n;
	return MODULE_PASS;
}

static void explain(const void *values, void *data, const struct head *request, const struct addr *client,
	struct text *out)
{
	const struct errors *e = values;

	(void)data;
	(void)request;
	(void)client;
	text_fmt(out, "%u pages; %s", e->page_n,
		e->intercept_n ? "backends' errors may get them too" : "backends' errors are left alone");
}

const struct module errors_module = {
	.config = {.abi = MODULE_ABI, .name = "errors", .levels = MODULE_ANYWHERE, .object = &object},
	.build = build,
	.release = release,
	.watches = watches,
	.response = response,
	.page = fill,
	.explain = explain,
};
