#include "route/path.h"

struct str path_only(struct str p)
{
	return str_head(p, str_find(p, '?'));
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = str_lower_char(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte at p.p[i], percent-decoded if it is encoded; *len says how many bytes it took. */
static unsigned char decoded(struct str p, size_t i, size_t *len)
{
	*len = 1;
	if (p.p[i] == '%' && i + 2 < p.n && hex(p.p[i + 1]) >= 0 && hex(p.p[i + 2]) >= 0) {
		*len = 3;
		return (unsigned char)(hex(p.p[i + 1]) * 16 + hex(p.p[i + 2]));
	}
	return (unsigned char)p.p[i];
}

static bool is_slash(unsigned char c)
{
	return c == '/' || c == '\\';
}

/* Is p a segment that names this or the parent folder, to a reader that decodes and cuts parameters? */
static bool is_dot_segment(struct str segment)
{
	size_t dots = 0, len;

	for (size_t i = 0; i < segment.n; i += len) {
		unsigned char c = decoded(segment, i, &len);

		if (c == ';')
			break;
		if (c != '.' || ++dots > 2)
			return false;
	}
	return dots > 0;
}

/* Most paths have none of what it takes to be read in two ways: a '%', '\\' or ';', or a '.' or '/' behind a slash. A third of what
 * the closer look costs. */
static bool is_beyond_doubt(struct str p)
{
	enum { ALWAYS = 1, BEHIND_SLASH = 2 };
	static const uint8_t suspect[256] = {
		['%'] = ALWAYS, ['\\'] = ALWAYS, [';'] = ALWAYS, ['.'] = BEHIND_SLASH, ['/'] = BEHIND_SLASH};
	unsigned found = 0, asked = ALWAYS;

	for (size_t i = 0; i < p.n; i++) {
		found |= suspect[(unsigned char)p.p[i]] & asked;
		asked = p.p[i] == '/' ? ALWAYS | BEHIND_SLASH : ALWAYS;
	}
	return found == 0;
}

enum path_kind path_kind(struct str p)
{
	enum path_kind kind = PATH_PLAIN;
	size_t segment = 0, len;

	if (is_beyond_doubt(p))
		return PATH_PLAIN;
	for (size_t i = 0; i <= p.n; i += len) {
		unsigned char c = '/';

		len = 1;
		if (i < p.n) {
			c = (unsigned char)p.p[i];
			if (c == '%') {
				c = decoded(p, i, &len);
				if (c == 0)
					return PATH_BAD;
				kind = PATH_AMBIGUOUS;
			} else if (c == '\\' || c == ';') {
				kind = PATH_AMBIGUOUS;
			} else if (c == '/' && i > 0 && p.p[i - 1] == '/') {
				kind = PATH_AMBIGUOUS;
			}
		}
		if (!is_slash(c))
			continue;
		if (i > segment && is_dot_segment((struct str){p.p + segment, i - segment}))
			return PATH_BAD;
		segment = i + len;
	}
	return kind;
}

struct str path_lenient(struct str p, char *buf)
{
	bool in_parameters = false;
	size_t n = 0, len;

	for (size_t i = 0; i < p.n; i += len) {
		unsigned char c = decoded(p, i, &len);

		if (c == '\\')
			c = '/';
		if (c == '/')
			in_parameters = false;
		else if (c == ';')
			in_parameters = true;
		if (in_parameters || (c == '/' && n > 0 && buf[n - 1] == '/'))
			continue;
		buf[n++] = (char)c;
	}
	return (struct str){buf, n};
}
