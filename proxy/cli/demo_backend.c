#include "cli/command.h"

#include <string.h>
#include "base/obj.h"
#include "cli/demo/demo.h"

struct demo_options {
	const char *listen, *name, *color;
};

static const struct cli_option options[] = {
	TEXT("listen", 0, "ADDRESS", struct demo_options, listen,
		"IP:PORT to listen on; port 0: one that is free"),
	TEXT("name", 0, "NAME", struct demo_options, name, "who it says it is: blue, green, ..."),
	TEXT("color", 0, "COLOR", struct demo_options, color,
		"of its page, as CSS names it; made from the name if not given"),
	OPTIONS_END,
};

/* Shades on which white text can be read. */
static const struct {
	struct str name, color;
} shades[] = {
	{STR("blue"), STR("#2563eb")},
	{STR("green"), STR("#15803d")},
	{STR("red"), STR("#b91c1c")},
	{STR("purple"), STR("#7e22ce")},
	{STR("orange"), STR("#c2410c")},
};

static struct str color_of(struct str name)
{
	for (size_t i = 0; i < COUNT_OF(shades); i++)
		if (str_eq(shades[i].name, name))
			return shades[i].color;
	return STR("#334155");
}

/* Letters, digits, "-_.": what can stand in a header and a page as it is; "#" for colors. */
static bool is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = str_lower_char(s.p[i]);

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !memchr("-_.#", c, 4))
			return false;
	}
	return s.n > 0 && s.n <= 64;
}

static int run(const void *parsed, const struct cli_list *arguments)
{
	const struct demo_options *o = parsed;
	struct demo d = {
		.name = str_of(o->name ? o->name : "demo"),
		.limits = {.header_ms = 15000,
			.body_ms = 60000,
			.idle_ms = 300000,
			.header_bytes = 65536,
			.header_count = 200,
			.max_streams = 256,
			.h2c = true},
	};
	struct addr addr;
	char err[256];

	(void)arguments;
	d.color = o->color ? str_of(o->color) : color_of(d.name);
	if (!o->listen || !addr_parse(&addr, str_of(o->listen)))
		return cli_usage(
			&demo_backend_command, "where? Give an address with --listen 127.0.0.1:9001");
	if (!is_plain(d.name) || !is_plain(d.color))
		return cli_usage(&demo_backend_command,
			"names and colors are made of letters, digits, \"-\", \"_\", \".\" and \"#\"");
	if (!demo_serve(&d, str_of(o->listen), &addr, err, sizeof(err)))
		return cli_failed(&demo_backend_command, "%s", err);
	return CLI_DONE;
}

const struct cli_command demo_backend_command = {
	.name = "demo-backend",
	.synopsis = "--listen ADDRESS [--name NAME] [--color COLOR]",
	.summary = "a small backend to try weir with",
	.examples = "  weir demo-backend --listen 127.0.0.1:9001 --name blue",
	.help = "A web server to put behind weir while trying it out. It speaks HTTP/1.1 and, on the same "
		"port, HTTP/2 without TLS\n"
		"(h2c), and says in every answer who it is: X-Backend.\n"
		"\n"
		"  /                   a page in its color; for curl a line\n"
		"  /healthz            200\n"
		"  /slow?ms=1000       answers after a while\n"
		"  /status/503         answers with that status\n"
		"  /echo               the request as it arrived, body included; JSON if asked for with "
		"Accept\n"
		"  /stream?n=5&ms=200  an answer in parts\n"
		"  /ws                 WebSocket: what is sent comes back",
	.options = options,
	.options_size = sizeof(struct demo_options),
	.run = run,
};
