/* control/admin/dashboard.c - the dashboard: one page, which is part of the program and looks at the API as anybody does.
 *
 * It asks for nothing but this weir's API, and the policy that goes with it lets it do nothing else: its own script and style are
 * known by their digests. It holds no secrets, so nobody needs a token to get it; what it asks for needs one. */
#include <openssl/evp.h>
#include <openssl/sha.h>
#include "base/obj.h"
#include "control/admin/routes.h"

extern const char dashboard_page[];
extern const uint64_t dashboard_page_n;

/* clang-format off */
__asm__(".pushsection .rodata\n"
	".global dashboard_page, dashboard_page_n\n"
	"dashboard_page: .incbin \"proxy/control/admin/dashboard.html\"\n"
	"0: .balign 8\n"
	"dashboard_page_n: .quad 0b - dashboard_page\n"
	".popsection\n");
/* clang-format on */

#define DIGEST_TEXT 48 /* base64 of SHA-256, with its end */

/* Of what stands between the first such tags. */
static void digest_between(struct str page, struct str open, struct str close, char out[DIGEST_TEXT])
{
	const char *from = memmem(page.p, page.n, open.p, open.n);
	const char *to = from ? memmem(from, (size_t)(page.p + page.n - from), close.p, close.n) : NULL;
	unsigned char sum[SHA256_DIGEST_LENGTH];

	MUST(to);
	from += open.n;
	SHA256((const unsigned char *)from, (size_t)(to - from), sum);
	EVP_EncodeBlock((unsigned char *)out, sum, sizeof(sum));
}

static void dashboard(struct admin_request *rq)
{
	struct str page = {dashboard_page, dashboard_page_n};
	char script[DIGEST_TEXT], style[DIGEST_TEXT];

	digest_between(page, STR("<script>"), STR("</script>"), script);
	digest_between(page, STR("<style>"), STR("</style>"), style);
	admin_header(rq, "content-security-policy",
		arena_fmt(&rq->arena,
			"default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; connect-src "
			"'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			script, style));
	admin_header(rq, "x-frame-options", STR("DENY"));
	admin_header(rq, "referrer-policy", STR("no-referrer"));
	admin_header(rq, "cross-origin-opener-policy", STR("same-origin"));
	admin_answer_text(rq, "text/html; charset=utf-8", page);
}

const struct admin_route dashboard_routes[] = {
	{.method = METHOD_GET,
		.role = ADMIN_ANYBODY,
		.path = "/",
		.summary = "The dashboard, a page for browsers",
		.type = "text/html",
		.handle = dashboard},
	{.path = NULL},
};
