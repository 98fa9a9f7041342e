#include "control/admin/auth.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include "base/map.h"
#include "base/obj.h"

bool auth_rate_left(const struct auth_rate *r, uint64_t now_us, uint32_t per_second, uint32_t burst)
{
	uint64_t step = 1000000 / per_second;

	return r->spent_us <= now_us || r->spent_us - now_us + step <= burst * step;
}

bool auth_rate_take(struct auth_rate *r, uint64_t now_us, uint32_t per_second, uint32_t burst)
{
	if (!auth_rate_left(r, now_us, per_second, burst))
		return false;
	r->spent_us = MAX(r->spent_us, now_us) + 1000000 / per_second;
	return true;
}

struct str auth_bearer(const struct head *head)
{
	const struct field *f = fields_find(&head->fields, FIELD_AUTHORIZATION);
	struct str value = f ? field_value(f) : STR_NONE;

	if (!str_case_eq(str_head(value, 7), STR("bearer ")))
		return STR_NONE;
	return str_trim(str_skip(value, 7));
}

/* Takes as long whether the digests are alike at the start or not. */
static bool same_digest(const struct conf_token *t, const uint8_t digest[SHA256_DIGEST_LENGTH])
{
	return t->has_sha256 && CRYPTO_memcmp(t->sha256, digest, SHA256_DIGEST_LENGTH) == 0;
}

const struct conf_token *auth_find(const struct conf_admin *conf, struct str token, struct str subject)
{
	const struct conf_token *found = NULL;
	uint8_t digest[SHA256_DIGEST_LENGTH];

	if (token.n)
		SHA256((const unsigned char *)token.p, token.n, digest);
	for (uint32_t i = 0; i < conf->token_n; i++) {
		const struct conf_token *t = &conf->tokens[i];

		if (token.n ? same_digest(t, digest) : t->subject.n && str_eq(t->subject, subject))
			found = t;
	}
	return found;
}

/* -- browsers -- */

/* Without its port; brackets are kept. */
static struct str host_of(struct str authority)
{
	for (size_t i = authority.n; i-- > 0 && authority.p[i] != ']';)
		if (authority.p[i] == ':')
			return str_head(authority, i);
	return authority;
}

static bool is_in(const struct conf_strs *names, struct str host)
{
	for (uint32_t i = 0; i < names->n; i++) {
		struct str name = names->v[i];

		if (str_eq(name, host))
			return true;
		if (str_starts(name, STR("*.")) && host.n > name.n - 1 && str_ends(host, str_skip(name, 1)))
			return true;
	}
	return false;
}

static bool certificate_has(const struct cert_store *store, struct str host)
{
	struct str parent = str_skip(host, str_find(host, '.') + 1);

	return map_get(&store->exact, host) || (parent.n && map_get(&store->wild, parent));
}

bool auth_host_is_ours(const struct conf_admin *conf, const struct cert_store *store, struct str authority)
{
	struct str host = host_of(authority);
	struct addr ip;

	/* No name, so nobody can have made it point here. */
	if (addr_parse_ip(&ip, host))
		return true;
	return str_eq(host, STR("localhost")) || is_in(&conf->hosts, host) ||
	       (store && certificate_has(store, host));
}

/* A browser goes to a page of ours by a link of somebody else's: he cannot see what comes of it, and a GET changes nothing. */
static bool is_navigation(const struct head *head)
{
	const struct field *mode = fields_find_name(&head->fields, STR("sec-fetch-mode"));
	const struct field *dest = fields_find_name(&head->fields, STR("sec-fetch-dest"));

	return head->method_id == METHOD_GET && mode && str_eq(field_value(mode), STR("navigate")) && dest &&
	       str_eq(field_value(dest), STR("document"));
}

bool auth_origin_is_ours(const struct head *head, bool tls)
{
	const struct field *origin = fields_find(&head->fields, FIELD_ORIGIN);
	const struct field *site = fields_find_name(&head->fields, STR("sec-fetch-site"));
	struct str scheme = tls ? STR("https://") : STR("http://");

	if (site && !str_eq(field_value(site), STR("same-origin")) &&
		!str_eq(field_value(site), STR("none")) && !is_navigation(head))
		return false;
	if (!origin)
		return true;
	return str_starts(field_value(origin), scheme) &&
	       str_case_eq(str_skip(field_value(origin), scheme.n), head->authority);
}
