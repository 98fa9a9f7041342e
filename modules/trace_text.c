#include "trace_text.h"

#define VALUE_MAX 256

static void put_id(struct text *t, const char *name, const uint8_t *id, size_t n)
{
	char hex[2 * TRACE_ID];

	trace_hex(hex, id, n);
	text_fmt(t, "\"%s\":\"%.*s\",", name, (int)(2 * n), hex);
}

static void put_quoted(struct text *t, struct str s)
{
	text_char(t, '"');
	text_json(t, s, VALUE_MAX);
	text_char(t, '"');
}

void span_begin(struct text *t, const struct span *s)
{
	text_char(t, '{');
	put_id(t, "traceId", s->trace, TRACE_ID);
	put_id(t, "spanId", s->id, SPAN_ID);
	if (s->parent)
		put_id(t, "parentSpanId", s->parent, SPAN_ID);
	if (s->state.n) {
		text_put(t, STR("\"traceState\":\""));
		text_json(t, s->state, STATE_MAX);
		text_put(t, STR("\","));
	}
	text_put(t, STR("\"name\":\""));
	text_json(t, s->name, VALUE_MAX);
	if (s->suffix.n) {
		text_char(t, ' ');
		text_json(t, s->suffix, VALUE_MAX);
	}
	text_fmt(t,
		"\",\"kind\":%u,\"startTimeUnixNano\":\"%llu000\",\"endTimeUnixNano\":\"%llu000\","
		"\"attributes\":[",
		s->kind, (unsigned long long)s->begun_us, (unsigned long long)MAX(s->ended_us, s->begun_us));
}

static void put_key(struct text *t, struct str name)
{
	if (t->n && t->p[t->n - 1] != '[')
		text_char(t, ',');
	text_put(t, STR("{\"key\":"));
	put_quoted(t, name);
	text_put(t, STR(",\"value\":{"));
}

void attribute_text(struct text *t, struct str name, struct str value)
{
	if (!value.n)
		return;
	put_key(t, name);
	text_put(t, STR("\"stringValue\":"));
	put_quoted(t, value);
	text_put(t, STR("}}"));
}

void attribute_number(struct text *t, struct str name, uint64_t value)
{
	put_key(t, name);
	text_fmt(t, "\"intValue\":\"%llu\"}}", (unsigned long long)value);
}

void span_end(struct text *t, struct str error)
{
	text_char(t, ']');
	if (error.n) {
		text_put(t, STR(",\"status\":{\"code\":2,\"message\":"));
		put_quoted(t, error);
		text_char(t, '}');
	}
	text_char(t, '}');
}
