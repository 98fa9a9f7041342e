#include "base/escape.h"
#include "cli/demo/demo.h"

#define PAGE_MAX 8192
#define LINE_MAX 256 /* of the text of a stranger */

static const char before_color[] = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
				   "<meta name=\"viewport\" content=\"width=device-width\">\n<title>weir "
				   "demo</title>\n<style>\n:root { --pool: ";
static const char after_color[] =
	" }\n"
	"body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--pool);\n"
	"  color: #fff; font: 1.1rem/1.6 system-ui, sans-serif }\n"
	"main { padding: 2rem; max-width: 40rem }\n"
	"h1 { font-size: 4rem; line-height: 1.1; margin: 0 }\n"
	"code, a { color: inherit }\n"
	"dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; opacity: .9 }\n"
	"dd { margin: 0; overflow-wrap: anywhere; font-family: ui-monospace, monospace }\n"
	"button { font: inherit; padding: .4rem 1rem; border: 1px solid #fff; border-radius: .4rem; "
	"background: none;\n"
	"  color: inherit; cursor: pointer }\n"
	"</style>\n</head>\n<body>\n<main>\n<p>hello from</p>\n<h1>";
static const char after_name[] = "</h1>\n"
				 "<p>Reload a few times: weir chooses a pool by weight for every request of "
				 "somebody it does not know.</p>\n"
				 "<p><button>ask 100 times</button> <output></output></p>\n<dl>\n";
static const char after_rows[] =
	"</dl>\n"
	"<p><a href=\"/echo\">what arrives here</a> \302\267 <a href=\"/stream\">a stream</a> \302\267\n"
	"<a href=\"/slow?ms=2000\">a slow answer</a> \302\267 <a href=\"/status/503\">an "
	"error</a></p>\n</main>\n"
	"<script>\n"
	"document.querySelector('button').onclick = async () => {\n"
	"  const count = {}, out = document.querySelector('output')\n"
	"  for (let i = 0; i < 100; i++) {\n"
	"    const pool = (await fetch('/healthz', {cache: 'no-store'})).headers.get('x-backend')\n"
	"    count[pool] = (count[pool] || 0) + 1\n"
	"    out.textContent = Object.entries(count).sort().map(([k, v]) => k + ' ' + v).join(', ')\n"
	"  }\n"
	"}\n"
	"</script>\n</body>\n</html>\n";

static void put_row(struct text *t, const char *what, struct str value)
{
	if (!value.n)
		return;
	text_fmt(t, "<dt>%s</dt><dd>", what);
	text_html(t, str_head(value, LINE_MAX));
	text_put(t, STR("</dd>\n"));
}

static struct str value_of(const struct head *request, enum field_id id)
{
	const struct field *f = fields_find(&request->fields, id);

	return f ? field_value(f) : STR_NONE;
}

void demo_page(const struct demo *d, struct mem *m, const struct head *request, struct chain *out)
{
	char buf[PAGE_MAX];
	struct text t = text_in(buf, sizeof(buf));

	text_put(&t, str_of(before_color));
	text_html(&t, d->color);
	text_put(&t, str_of(after_color));
	text_html(&t, d->name);
	text_put(&t, str_of(after_name));
	put_row(&t, "host", request->authority);
	put_row(&t, "for", value_of(request, FIELD_X_FORWARDED_FOR));
	put_row(&t, "by", value_of(request, FIELD_X_FORWARDED_PROTO));
	put_row(&t, "via", value_of(request, FIELD_VIA));
	put_row(&t, "id", value_of(request, FIELD_X_REQUEST_ID));
	text_put(&t, str_of(after_rows));
	chain_add_copy(m, out, t.p, t.n);
}
