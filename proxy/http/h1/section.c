#include "http/h1/section.h"
#include "base/obj.h"
#include "http/chars.h"

/* The line at p but for its end: the place behind the value, which is `limit` when more has to come. NULL: it is malformed. */
static inline __attribute__((always_inline)) char *take_field(char *p, char *limit, struct field *f)
{
	char *colon = chars_find_colon(p, limit), *value, *stop, *end;
	struct str name = {p, (size_t)(colon - p)};
	enum field_id id;

	if (colon == limit)
		return chars_skip(p, limit, CHAR_TOKEN) == limit ? limit : NULL;
	if (name.n > UINT16_MAX)
		return NULL;
	id = field_id_of(name);
	/* The names that are known consist of token characters. */
	if (id == FIELD_OTHER && !chars_all(name, CHAR_TOKEN))
		return NULL;
	value = colon + 1;
	/* Nearly all lines have one space there, and none at the end. */
	if (limit - value >= 2 && value[0] == ' ' && (uint8_t)value[1] > ' ')
		value++;
	else
		while (value < limit && (*value == ' ' || *value == '\t'))
			value++;
	end = stop = chars_skip_value(value, limit);
	/* Spaces and tabs: no other byte of a value is as low. */
	while (end > value && (uint8_t)end[-1] <= ' ')
		end--;
	*f = (struct field){.name = p,
		.value = value,
		.value_len = (uint32_t)(end - value),
		.name_len = (uint16_t)name.n,
		.id = (uint8_t)id,
		.raw = end == stop && value == colon + 2 && colon[1] == ' '};
	return stop;
}

/* RFC 9110 7.6.1. Elements that are no tokens cannot name a field and are passed over. */
static bool note_connection(struct h1_facts *k, struct str list)
{
	struct str e;

	while (str_next_element(&list, &e)) {
		if (str_case_eq(e, STR("close")))
			k->close = true;
		else if (str_case_eq(e, STR("keep-alive")))
			k->keep = true;
		else if (str_case_eq(e, STR("upgrade")))
			k->upgrade = true;
		else if (field_id_of(e) != FIELD_OTHER || !chars_all(e, CHAR_TOKEN))
			continue; /* what field.def knows is hop-by-hop already, or end-to-end whatever a peer says */
		else if (k->named_n == H1_NAMED_MAX)
			return false;
		else
			k->named[k->named_n++] = e;
	}
	return true;
}

static void note_list(struct str list, struct str wanted, bool *found)
{
	struct str e;

	while (str_next_element(&list, &e))
		if (str_case_eq(e, wanted))
			*found = true;
}

static void note(struct str *last, uint8_t *count, struct str value)
{
	*last = value;
	*count = (uint8_t)MIN(2, *count + 1);
}

/* A field with a canonical form elsewhere: what it says is noted. *keep: it stays among the fields all the same. False: it is malformed. */
static bool sort_field(struct head *h, struct h1_facts *k, const struct field *f, bool *keep)
{
	struct str value = field_value(f);

	*keep = false;
	switch (f->id) {
	case FIELD_CONNECTION:
		return note_connection(k, value);
	case FIELD_CONTENT_LENGTH:
		note(&k->length, &k->lengths, value);
		break;
	case FIELD_TRANSFER_ENCODING:
		note(&k->coding, &k->codings, value);
		break;
	case FIELD_HOST:
		note(&k->host, &k->hosts, value);
		break;
	case FIELD_SEC_WEBSOCKET_KEY:
		note(&k->key, &k->keys, value);
		break;
	case FIELD_SEC_WEBSOCKET_ACCEPT:
		note(&k->accept, &k->accepts, value);
		break;
	case FIELD_TE:
		note_list(value, STR("trailers"), &h->te_trailers);
		break;
	case FIELD_UPGRADE:
		note_list(value, STR("websocket"), &k->websocket);
		break;
	case FIELD_EXPECT:
		if (str_case_eq(value, STR("100-continue")))
			h->expect_continue = true;
		else
			*keep = true;
		break;
	default: /* hop-by-hop, and says nothing that matters here */
		break;
	}
	return true;
}

enum h1_result h1_take_fields(struct h1_cursor *c, struct head *h, struct h1_facts *k,
	const struct http_limits *lim, enum reason otherwise, enum reason too_many)
{
	struct fields *fs = &h->fields;
	struct field *f = fs->v, *const last = f + fs->cap;
	uint32_t lines_left = h1_count_max(lim);
	const uint8_t drop = k ? FIELD_HOP | FIELD_TOLD : FIELD_NO_TRAILER;
	enum h1_result r = H1_COMPLETE;
	char *p = c->p, *const limit = c->end;

	while (p < limit && *p != '\r') {
		bool keep = true;

		if (f == last || lines_left-- == 0) {
			r = h1_bad(c, too_many);
			break;
		}
		p = take_field(p, limit, f);
		r = p ? h1_skip_crlf(&p, limit) : H1_BAD;
		if (r == H1_COMPLETE && field_rows[f->id].flags & drop) {
			keep = false;
			if (k && !sort_field(h, k, f, &keep))
				r = H1_BAD;
		}
		if (r == H1_BAD)
			c->why = otherwise;
		if (r != H1_COMPLETE)
			break;
		f += keep;
	}
	fs->n = (uint16_t)(f - fs->v);
	if (r != H1_COMPLETE)
		return r;
	c->p = p;
	return h1_take_crlf(c, otherwise);
}
