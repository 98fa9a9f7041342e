#include "base/escape.h"

static const char hex[] = "0123456789abcdef";

static void put_u00(struct text *t, unsigned char c)
{
	text_put(t, STR("\\u00"));
	text_char(t, hex[c >> 4]);
	text_char(t, hex[c & 15]);
}

/* Nothing in it needs escaping in JSON. Without a branch per byte: a log line has some 250 of them, and hardly ever another kind. */
static bool is_plain(struct str s)
{
	static const bool plain[256] = {[' ' ... '!'] = true, ['#' ... '['] = true, [']' ... '~'] = true};
	bool all = true;

	for (size_t i = 0; i < s.n; i++)
		all &= plain[(unsigned char)s.p[i]];
	return all;
}

void text_json(struct text *t, struct str s, size_t max)
{
	bool cut = s.n > max;
	size_t plain = 0;

	if (!cut && is_plain(s)) {
		text_put(t, s);
		return;
	}
	s = str_head(s, max);
	for (size_t i = 0; i < s.n;) {
		unsigned char c = (unsigned char)s.p[i];
		size_t n = 1;

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			i++;
			continue;
		}
		text_put(t, (struct str){s.p + plain, i - plain});
		if (c == '"' || c == '\\') {
			text_char(t, '\\');
			text_char(t, (char)c);
		} else if (c < 0x20 || c == 0x7f || (n = str_utf8_length(str_skip(s, i))) == 0) {
			put_u00(t, c);
			n = 1;
		} else {
			text_put(t, (struct str){s.p + i, n});
		}
		i += n;
		plain = i;
	}
	text_put(t, (struct str){s.p + plain, s.n - plain});
	if (cut)
		text_put(t, STR("..."));
}

void text_utf8(struct text *t, struct str s, size_t max)
{
	size_t n;

	s = str_head_utf8(s, max);
	for (size_t i = 0; i < s.n; i += n) {
		unsigned char c = (unsigned char)s.p[i];

		n = c < 0x20 || c == 0x7f ? 0 : str_utf8_length(str_skip(s, i));
		if (n)
			text_put(t, (struct str){s.p + i, n});
		else
			text_char(t, '?');
		n = n ? n : 1;
	}
}

void text_combined(struct text *t, struct str s, size_t max)
{
	bool cut = s.n > max;

	s = str_head(s, max);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			text_char(t, (char)c);
			continue;
		}
		text_put(t, STR("\\x"));
		text_char(t, hex[c >> 4]);
		text_char(t, hex[c & 15]);
	}
	if (cut)
		text_put(t, STR("..."));
}

void text_logfmt(struct text *t, struct str s, size_t max)
{
	bool bare = s.n > 0 && s.n <= max;

	for (size_t i = 0; i < s.n && bare; i++)
		bare = s.p[i] > 0x20 && s.p[i] < 0x7f && s.p[i] != '"' && s.p[i] != '=' && s.p[i] != '\\';
	if (bare) {
		text_put(t, s);
		return;
	}
	text_char(t, '"');
	text_json(t, s, max);
	text_char(t, '"');
}

void text_html(struct text *t, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		switch (s.p[i]) {
		case '&':
			text_put(t, STR("&amp;"));
			break;
		case '<':
			text_put(t, STR("&lt;"));
			break;
		case '>':
			text_put(t, STR("&gt;"));
			break;
		case '"':
			text_put(t, STR("&quot;"));
			break;
		case '\'':
			text_put(t, STR("&#39;"));
			break;
		default:
			text_char(t, s.p[i]);
		}
	}
}

void text_ms(struct text *t, uint64_t us)
{
	text_u64(t, us / 1000);
	text_char(t, '.');
	text_char(t, (char)('0' + us / 100 % 10));
	text_char(t, (char)('0' + us / 10 % 10));
	text_char(t, (char)('0' + us % 10));
}
