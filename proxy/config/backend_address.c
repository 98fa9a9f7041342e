#include "config/backend_address.h"

#include <sys/un.h>
#include "base/obj.h"

static bool is_name(struct str s)
{
	if (s.n == 0 || s.n > BACKEND_NAME_MAX || s.p[0] == '.')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = str_lower_char(s.p[i]);

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.')
			return false;
		if (c == '.' && i > 0 && s.p[i - 1] == '.')
			return false;
	}
	return true;
}

/* "NAME:PORT" */
static bool name_and_port(struct str s, struct str *host, uint16_t *port)
{
	size_t colon = str_find(s, ':');
	uint64_t n;

	*host = str_head(s, colon);
	if (!is_name(*host) || !str_to_u64(str_skip(s, colon + 1), &n) || n < 1 || n > 65535)
		return false;
	*port = (uint16_t)n;
	return true;
}

static bool is_path(struct str s, size_t max)
{
	return s.n > 0 && s.n <= max && memchr(s.p, '\0', s.n) == NULL;
}

static bool parse_named(struct str text, struct conf_backend *b, const char **why)
{
	if (str_starts(text, STR("dns:"))) {
		b->kind = CONF_DNS;
		*why = "is not dns:NAME:PORT";
		return name_and_port(str_skip(text, 4), &b->host, &b->port);
	}
	if (str_starts(text, STR("srv:"))) {
		b->kind = CONF_SRV;
		b->host = str_skip(text, 4);
		*why = "is not srv:NAME, such as srv:_http._tcp.app.internal";
		return is_name(b->host);
	}
	if (str_starts(text, STR("file:"))) {
		b->kind = CONF_FILE;
		b->file = str_skip(text, 5);
		*why = "is not file:PATH, with a path of at most 512 bytes";
		return is_path(b->file, BACKEND_PATH_MAX);
	}
	b->kind = CONF_ADDRESS;
	b->addr.family = ADDR_UNIX;
	b->unix_path = str_skip(text, 5);
	*why = "is not unix:PATH, with a path of at most 107 bytes";
	return is_path(b->unix_path, sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
}

static bool is_named(struct str text)
{
	return str_starts(text, STR("dns:")) || str_starts(text, STR("srv:")) ||
	       str_starts(text, STR("file:")) || str_starts(text, STR("unix:"));
}

static bool parse_plain(struct str text, struct conf_backend *b, const char **why)
{
	struct str host;
	uint16_t port;

	b->kind = CONF_ADDRESS;
	if (addr_parse(&b->addr, text)) {
		b->port = b->addr.port;
		*why = "has port 0: nobody can be reached there";
		return b->port > 0;
	}
	*why = name_and_port(text, &host, &port)
		       ? "has a name that has to be resolved: write dns:NAME:PORT"
		       : "is not an address and port such as 10.0.0.1:8080 or [fd00::1]:8080, "
			 "dns:NAME:PORT, srv:NAME, file:PATH or unix:PATH";
	return false;
}

bool backend_address_parse(struct arena *a, struct str text, struct conf_backend *b, const char **why)
{
	struct conf_backend found = {0};

	if (!(is_named(text) ? parse_named(text, &found, why) : parse_plain(text, &found, why)))
		return false;
	b->kind = found.kind;
	b->addr = found.addr;
	b->port = found.port;
	b->address = arena_str(a, text);
	b->host = arena_str(a, found.host);
	b->unix_path = arena_str(a, found.unix_path);
	b->file = arena_str(a, found.file);
	return true;
}

void backend_address_set(struct arena *a, struct conf_backend *b, const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];

	b->kind = CONF_ADDRESS;
	b->addr = *addr;
	b->port = addr->port;
	b->address = arena_str(a, addr_text(addr, text));
}

struct conf_backend backend_inherit(struct conf_backend found, const struct conf_backend *entry)
{
	found.weight = (uint32_t)MIN((uint64_t)found.weight * entry->weight, BACKEND_WEIGHT_MAX);
	found.priority = MIN(found.priority + entry->priority, CONF_PRIORITIES - 1);
	if (found.requests == 0)
		found.requests = entry->requests;
	if (found.zone.n == 0)
		found.zone = entry->zone;
	return found;
}
