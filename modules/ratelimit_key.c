/* modules/ratelimit_key.c - for whom a rule counts a request: its `by`, as one text. */
#include <endian.h>
#include <openssl/evp.h>
#include <string.h>
#include "modules.h"
#include "ratelimit.h"

#define DIGEST 32 /* SHA-256 */

/* The network that an IPv6 address lies in: who has one address has as many as a network holds. */
static struct str address(const struct addr *a, uint8_t prefix, char buf[ADDR_TEXT_MAX])
{
	struct addr net = *a;

	if (a->family == ADDR_IP6) {
		for (unsigned bit = prefix; bit < 128; bit++)
			net.ip[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	}
	return addr_ip_text(&net, buf);
}

static struct str header(const struct head *request, struct str name)
{
	const struct field *f = fields_find_name(&request->fields, name);

	return f ? field_value(f) : STR_NONE;
}

/* One word of `by`; in buf, or borrowed. */
static struct str part(const struct ratelimit_whom *w, const struct ratelimit *conf,
	const struct ratelimit_rule *r, struct str by, char buf[ADDR_TEXT_MAX])
{
	if (str_eq(by, STR("address")))
		return address(w->client, r->ipv6_prefix, buf);
	if (str_eq(by, STR("tenant")))
		return module_tenant(w->call);
	if (str_eq(by, STR("route")))
		return module_route(w->call);
	if (str_eq(by, STR("country")))
		return header(w->request, conf->country_header);
	return header(w->request, str_skip(by, sizeof("header:") - 1));
}

bool ratelimit_key_needs_call(const struct ratelimit_rule *r)
{
	for (uint32_t i = 0; i < r->by.n; i++)
		if (str_eq(r->by.v[i], STR("tenant")) || str_eq(r->by.v[i], STR("route")))
			return true;
	return false;
}

/* In place of parts that are too long to be kept. Strangers write them, and must not find two that are the same. It ends with no line's
 * end, so it is no list of parts either. */
static struct str digest_of(const struct ratelimit_whom *w, const struct ratelimit *conf,
	const struct ratelimit_rule *r, char buf[RATELIMIT_KEY_MAX])
{
	struct text t = text_in(buf, RATELIMIT_KEY_MAX);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t digest[DIGEST];
	uint64_t word;
	char ip[ADDR_TEXT_MAX];

	MUST(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1);
	for (uint32_t i = 0; i < r->by.n; i++) {
		struct str one = part(w, conf, r, r->by.v[i], ip);

		MUST(EVP_DigestUpdate(ctx, one.p, one.n) == 1 && EVP_DigestUpdate(ctx, "\n", 1) == 1);
	}
	MUST(EVP_DigestFinal_ex(ctx, digest, NULL) == 1);
	EVP_MD_CTX_free(ctx);
	text_put(&t, STR("sha256:"));
	for (size_t i = 0; i < sizeof(digest); i += sizeof(word)) {
		char hex[16];

		memcpy(&word, digest + i, sizeof(word));
		text_hex_16(hex, be64toh(word));
		text_put(&t, (struct str){hex, sizeof(hex)});
	}
	return text_str(&t);
}

struct str ratelimit_key(const struct ratelimit_whom *w, const struct ratelimit *conf,
	const struct ratelimit_rule *r, char buf[RATELIMIT_KEY_MAX])
{
	struct text t = text_in(buf, RATELIMIT_KEY_MAX);
	char ip[ADDR_TEXT_MAX];

	/* No part has a line's end in it, so two lists of parts are never the same text. */
	for (uint32_t i = 0; i < r->by.n; i++) {
		text_put(&t, part(w, conf, r, r->by.v[i], ip));
		text_char(&t, '\n');
	}
	return t.cut ? digest_of(w, conf, r, buf) : text_str(&t);
}
