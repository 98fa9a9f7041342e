/* modules/jwt.c - bearer tokens (RFC 6750, RFC 7519): signed by a known key, for us, at this time, with the claims that are asked for. */
#include <jansson.h>
#include <openssl/sha.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include "auth.h"
#include "files.h"
#include "jws.h"
#include "key_source.h"
#include "modules.h"
#include "verified.h"

#define FILE_MAX (256u * 1024)

struct claim { /* and what goes with it: a header, or the value that it must have */
	struct str name, text;
};

struct jwt {
	struct str keys, file, url, issuer, header, cookie;
	struct conf_strs audience;
	uint32_t leeway, refresh; /* ms */
	bool expires, forward;
	struct claim *require, *to_headers;
	uint32_t require_n, to_header_n;
};

/* -- what it is told -- */

static void parse_claims(struct parse *p, const struct config_field *f, const struct node *v, void *obj)
{
	struct claim *all;
	uint32_t n = 0;

	if (v->kind != NODE_MAP) {
		parse_bad(p, f, v, f->type->expects);
		return;
	}
	all = arena_array(&p->conf->arena, struct claim, v->n);
	for (const struct node *k = v->first; k; k = k->next->next) {
		struct config_field named = {.key = arena_str(&p->conf->arena, node_str(k)).p};

		if (f->choice && k->next->kind == NODE_SCALAR && !type_header_name.valid(node_str(k->next))) {
			parse_error(p, k->next, "%s in \"%s\" must be given a header name",
				parse_quote(p, node_str(k)), f->key);
			continue;
		}
		all[n].name = str_of(named.key);
		n += parse_text(p, &named, &type_text, k->next, &all[n].text);
	}
	*(struct claim **)field_member(f, obj) = all;
	*field_count(f, obj) = n;
}

static const struct config_type type_claims = {
	.name = "mapping of claims to texts",
	.expects = "a mapping of claims to texts",
	.schema = "{\"type\": \"object\", \"additionalProperties\": {\"type\": [\"string\", \"number\", "
		  "\"boolean\"]}}",
	.parse = parse_claims,
};

static void check(struct parse *p, const struct node *v, void *obj)
{
	const struct jwt *j = obj;

	if (!j->keys.n && !j->file.n && !j->url.n)
		parse_error(p, v,
			"jwt needs \"keys\", \"keys_file\" or \"jwks_url\", or nothing could be verified");
	if (j->url.n && !fetcher_url_is_valid(j->url))
		parse_error(p, v, "\"jwks_url\" must be an http:// or https:// URL, not %s",
			parse_quote(p, j->url));
}

static const struct config_field fields[] = {
	LINES("keys", struct jwt, keys,
		"public keys that sign tokens: PEM (BEGIN PUBLIC KEY), or a JSON Web Key Set. RSA, P-256, "
		"P-384, "
		"Ed25519; the kind of the key decides the algorithm"),
	INPUT("keys_file", struct jwt, file, "a file with the same; read at each reload"),
	STRING("jwks_url", struct jwt, url,
		"where the issuer shows its JSON Web Key Set; fetched by each worker, again when a token "
		"names a key that "
		"is not in it, and every `refresh`. What was fetched last stays in force while fetching "
		"fails"),
	DURATION("refresh", struct jwt, refresh, "how often `jwks_url` is fetched", .dflt = 600000,
		.min = 10000),
	STRING("issuer", struct jwt, issuer, "what `iss` must be; empty: anything"),
	STRINGS("audience", struct jwt, audience, type_text, "`aud` must name one of these; empty: anything"),
	DURATION("leeway", struct jwt, leeway, "by how much clocks may differ, for `exp`, `nbf` and `iat`",
		.dflt = 30000),
	BOOL("expires", struct jwt, expires, "a token without `exp` is refused", .dflt = true),
	CUSTOM("require", type_claims, struct jwt, require,
		"claims and what they must be; a list, or words as in `scope`, must have it",
		.count_offset = offsetof(struct jwt, require_n)),
	CUSTOM("claims", type_claims, struct jwt, to_headers,
		"claims and the request headers in which the backend gets them; what a client sends there is "
		"taken out",
		.count_offset = offsetof(struct jwt, to_header_n), .choice = 1),
	CUSTOM("header", type_token, struct jwt, header,
		"of the request that has the token; in `authorization` behind `Bearer`",
		.text = "authorization"),
	CUSTOM("cookie", type_token, struct jwt, cookie, "that has the token where the header has none"),
	BOOL("forward", struct jwt, forward, "the backend gets the token's header too", .dflt = true),
	END,
};

static const struct config_object object = {
	.id = OBJECT_MODULE,
	.path = "modules.jwt",
	.what = "jwt",
	.doc = "Signed bearer tokens. See [jwt](modules/jwt.md).",
	.size = sizeof(struct jwt),
	.fields = fields,
	.check = check,
};

/* -- keys -- */

struct trusted {
	struct jwks keys;
	char *url; /* of a key set to fetch; empty: none */
	uint32_t refresh;
	uint8_t digest[SHA256_DIGEST_LENGTH]; /* of the texts they came from */
	_Atomic uint64_t signatures, spared; /* looked at; known to be good from before */
	struct dependency state; /* of who has the key set */
};

/* What a worker has. The keys of `data` stay the same as long as it does. */
struct keeper {
	struct key_source source;
	bool fetches; /* otherwise source is not there */
	struct verified verified; /* by the keys there were after that many fetches: */
	uint32_t takes;
};

static void release(void *data)
{
	struct trusted *t = data;

	jwks_free(&t->keys);
	dependency_clear(&t->state);
	free(t->url);
	free(t);
}

static void add_to_digest(struct trusted *t, const void *p, size_t n)
{
	uint8_t all[2 * SHA256_DIGEST_LENGTH];

	memcpy(all, t->digest, sizeof(t->digest));
	SHA256(p, n, all + sizeof(t->digest));
	SHA256(all, sizeof(all), t->digest);
}

static bool take(struct trusted *t, struct str text, char *err, size_t err_n)
{
	add_to_digest(t, text.p, text.n);
	return jwks_parse(&t->keys, text, err, err_n);
}

static void *build(struct module_build *b, const void *values)
{
	const struct jwt *j = values;
	const struct trusted *before = b->previous;
	struct trusted *t = calloc(1, sizeof(*t));
	struct str file = STR_NONE;
	bool good = true;

	MUST(t);
	t->url = strndup(j->url.n ? j->url.p : "", j->url.n);
	t->refresh = j->refresh;
	MUST(t->url);
	add_to_digest(t, j->url.p, j->url.n);
	add_to_digest(t, &j->refresh, sizeof(j->refresh));
	if (j->keys.n)
		good = take(t, j->keys, b->err, sizeof(b->err));
	if (good && j->file.n)
		good = file_read(j->file, FILE_MAX, &file, b->err, sizeof(b->err)) &&
		       take(t, file, b->err, sizeof(b->err));
	free((char *)(uintptr_t)file.p);
	jwks_left_out(&t->keys, b->warn);
	if (good && !(before && memcmp(before->digest, t->digest, sizeof(t->digest)) == 0))
		return t;
	release(t);
	return good ? b->previous : NULL;
}

static void *worker_begin(struct loop *l, void *data, uint32_t worker, uint32_t workers)
{
	struct trusted *t = data;
	struct keeper *k = calloc(1, sizeof(*k));

	(void)worker;
	(void)workers;
	MUST(k);
	verified_init(&k->verified);
	k->fetches = t->url[0];
	if (k->fetches)
		key_source_init(&k->source, l, str_of(t->url), t->refresh, &t->state);
	return k;
}

static void worker_end(void *state, void *data)
{
	struct keeper *k = state;

	(void)data;
	if (k->fetches)
		key_source_free(&k->source);
	verified_free(&k->verified);
	free(k);
}

/* -- the token -- */

static struct str cookie_value(struct str list, struct str name)
{
	while (list.n) {
		struct str one = str_trim(str_head(list, str_find(list, ';')));
		size_t eq = str_find(one, '=');

		if (eq < one.n && str_eq(str_head(one, eq), name))
			return str_skip(one, eq + 1);
		list = str_skip(list, str_find(list, ';') + 1);
	}
	return STR_NONE;
}

static struct str token_of(const struct jwt *j, const struct head *request)
{
	bool bearer = str_case_eq(j->header, STR("authorization"));

	for (uint32_t i = 0; i < request->fields.n; i++) {
		const struct field *f = &request->fields.v[i];
		struct str value = field_value(f);

		if (!str_case_eq(field_name(f), j->header))
			continue;
		if (!bearer && value.n)
			return value;
		if (bearer && value.n > 7 && str_case_eq(str_head(value, 7), STR("bearer ")))
			return str_trim(str_skip(value, 7));
	}
	for (uint32_t i = 0; j->cookie.n && i < request->fields.n; i++) {
		const struct field *f = &request->fields.v[i];
		struct str value = f->id == FIELD_COOKIE ? cookie_value(field_value(f), j->cookie) : STR_NONE;

		if (value.n)
			return value;
	}
	return STR_NONE;
}

/* -- claims -- */

/* A claim as a text; false: it is none, or holds what must not stand in a header. */
static bool claim_text(const json_t *v, struct arena *a, struct str *out)
{
	struct str s;

	if (json_is_string(v))
		s = (struct str){json_string_value(v), json_string_length(v)};
	else if (json_is_integer(v))
		s = arena_fmt(a, "%lld", (long long)json_integer_value(v));
	else if (json_is_boolean(v))
		s = json_is_true(v) ? STR("true") : STR("false");
	else
		return false;
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	*out = arena_str(a, s);
	return true;
}

/* The same for those who get it in a header. A space at an end would be lost on its way, and the claim be somebody else's (RFC 9110 5.5). */
static bool claim_value(const json_t *v, struct arena *a, struct str *out)
{
	return claim_text(v, a, out) && str_trim(*out).n == out->n;
}

static bool has_word(struct str words, struct str wanted)
{
	while (words.n) {
		if (str_eq(str_head(words, str_find(words, ' ')), wanted))
			return true;
		words = str_skip(words, str_find(words, ' ') + 1);
	}
	return false;
}

static bool claim_is(const json_t *v, struct str wanted, struct arena *a)
{
	struct str text;
	const json_t *one;
	size_t i;

	json_array_foreach(v, i, one) if (claim_text(one, a, &text) && str_eq(text, wanted)) return true;
	return claim_text(v, a, &text) && (str_eq(text, wanted) || has_word(text, wanted));
}

static bool is_for_us(const struct jwt *j, const json_t *claims)
{
	const json_t *aud = json_object_get(claims, "aud"), *one;
	size_t i;

	for (uint32_t k = 0; k < j->audience.n; k++) {
		if (json_is_string(aud) && str_eq(str_of(json_string_value(aud)), j->audience.v[k]))
			return true;
		json_array_foreach(aud, i,
			one) if (json_is_string(one) &&
				 str_eq(str_of(json_string_value(one)), j->audience.v[k])) return true;
	}
	return j->audience.n == 0;
}

/* A time is a number (RFC 7519 2); one that is something else is as bad as one that is over. */
static bool time_is(const json_t *claims, const char *name, bool may_lack, bool after, double limit)
{
	const json_t *v = json_object_get(claims, name);

	if (!v)
		return may_lack;
	return json_is_number(v) && (after ? json_number_value(v) > limit : json_number_value(v) <= limit);
}

/* What is wrong with it; empty: nothing. */
static struct str judge(const struct jwt *j, const json_t *claims, double now)
{
	double leeway = j->leeway / 1000.0;
	const char *iss = json_string_value(json_object_get(claims, "iss"));

	if (!time_is(claims, "exp", !j->expires, true, now - leeway))
		return STR("expired");
	if (!time_is(claims, "nbf", true, false, now + leeway) ||
		!time_is(claims, "iat", true, false, now + leeway))
		return STR("not_yet_valid");
	if (j->issuer.n && !str_eq(str_of(iss), j->issuer))
		return STR("issuer");
	return is_for_us(j, claims) ? STR_NONE : STR("audience");
}

/* What templates may ask for as $(jwt.NAME). In the request's arena; the module's word in it once the token is good. */
struct claims {
	uint32_t n;
	struct claim v[];
};

static void remember(struct module_call *c, const json_t *all)
{
	struct claims *claims =
		arena_alloc(c->arena, sizeof(*claims) + json_object_size(all) * sizeof(*claims->v));
	const char *name;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)all, name, v)
	{
		struct claim *to = &claims->v[claims->n];

		if (!claim_value(v, c->arena, &to->text))
			continue;
		to->name = arena_str(c->arena, str_of(name));
		claims->n++;
	}
	*c->slot = claims;
}

static void value(struct module_call *c, struct str variable, struct str *out)
{
	const struct claims *claims = *c->slot;

	for (uint32_t i = 0; claims && i < claims->n; i++)
		if (str_eq(claims->v[i].name, variable))
			*out = claims->v[i].text;
}

/* -- one request -- */

static int refuse_token(struct module_call *c, struct str why)
{
	module_log_field(c, STR("jwt"), why);
	return auth_refuse(c, REASON_AUTH_REQUIRED,
		arena_fmt(c->arena, "Bearer error=\"invalid_token\", error_description=\"" STR_FMT "\"",
			STR_ARG(why)));
}

static int use_claims(struct module_call *c, const json_t *claims)
{
	const struct jwt *j = c->values;
	struct head *request = module_request(c);
	struct str text;

	for (uint32_t i = 0; i < j->require_n; i++) {
		if (claim_is(json_object_get(claims, j->require[i].name.p), j->require[i].text, c->arena))
			continue;
		module_log_field(c, STR("jwt"), STR("claim"));
		return auth_refuse(c, REASON_AUTH_DENIED, STR("Bearer error=\"insufficient_scope\""));
	}
	/* Before a claim may take its place. */
	if (!j->forward)
		fields_remove_name(&request->fields, j->header);
	for (uint32_t i = 0; i < j->to_header_n; i++)
		if (claim_value(json_object_get(claims, j->to_headers[i].name.p), c->arena, &text))
			module_set_header(c, request, j->to_headers[i].text, text);
	if (claim_text(json_object_get(claims, "sub"), c->arena, &text))
		module_log_field(c, STR("user"), text);
	remember(c, claims);
	return auth_grant(c);
}

static int verify(struct module_call *c, struct str token, bool may_wait);

/* The key set has been fetched, or could not be. */
static void on_keys(struct key_wait *w)
{
	struct module_call call = w->call;
	const struct jwt *j = call.values;
	int verdict;

	*call.slot = NULL;
	verdict = verify(&call, token_of(j, module_request(&call)), false);
	module_resume(call.x, verdict);
}

static int wait_for_keys(struct module_call *c)
{
	struct key_wait *w = arena_new(c->arena, struct key_wait);
	struct keeper *k = c->worker;

	w->call = *c;
	w->go_on = on_keys;
	*c->slot = w;
	if (key_source_wait(&k->source, w))
		return MODULE_HOLD;
	*c->slot = NULL;
	return MODULE_PASS;
}

static void cancel(struct module_call *c)
{
	struct key_wait *w = *c->slot;

	list_remove(&w->link);
	*c->slot = NULL;
}

/* A token whose signature was good with these keys needs no second look at it; what it says is judged every time. */
static enum jws_error check_signature(struct trusted *t, struct keeper *k, const struct key_source *source,
	struct str token, json_t **claims)
{
	const struct jwks *sets[2] = {&t->keys, source ? &source->keys : NULL};
	uint8_t digest[VERIFIED_DIGEST];
	enum jws_error e;

	if (token.n > JWS_MAX)
		return JWS_MALFORMED;
	if (k->takes != k->source.takes)
		verified_forget(&k->verified);
	k->takes = k->source.takes;
	verified_digest(&k->verified, token, digest);
	if (verified_has(&k->verified, digest)) {
		atomic_fetch_add_explicit(&t->spared, 1, memory_order_relaxed);
		return jws_claims(token, claims);
	}
	e = jws_verify(token, sets, source ? 2 : 1, claims);
	atomic_fetch_add_explicit(&t->signatures, 1, memory_order_relaxed);
	if (e == JWS_GOOD)
		verified_add(&k->verified, digest);
	return e;
}

static int verify(struct module_call *c, struct str token, bool may_wait)
{
	const struct jwt *j = c->values;
	struct keeper *k = c->worker;
	const struct key_source *source = k->fetches ? &k->source : NULL;
	struct str wrong;
	enum jws_error e;
	json_t *claims;
	int verdict;

	e = check_signature(c->data, k, source, token, &claims);
	if (e == JWS_UNKNOWN_KEY && source && may_wait && wait_for_keys(c) == MODULE_HOLD)
		return MODULE_HOLD;
	if (e == JWS_UNKNOWN_KEY && source && !source->fetched) {
		module_log_field(c, STR("jwt"), STR("no_keys"));
		return auth_refuse(c, REASON_AUTH_UNAVAILABLE, STR_NONE);
	}
	if (e != JWS_GOOD)
		return refuse_token(c, jws_error_text(e));
	wrong = judge(j, claims, (double)module_wall_us(c, c->loop->now_us) / 1e6);
	verdict = wrong.n ? refuse_token(c, wrong) : use_claims(c, claims);
	json_decref(claims);
	return verdict;
}

static int routed(struct module_call *c)
{
	const struct jwt *j = c->values;
	struct head *request = module_request(c);
	struct str token;

	for (uint32_t i = 0; i < j->to_header_n; i++)
		if (!str_case_eq(j->to_headers[i].text, j->header))
			module_claim_header(c, j->to_headers[i].text);
	if (auth_is_granted(c))
		return MODULE_PASS;
	if (auth_has_several(request, j->header))
		return refuse_token(c, STR("several"));
	token = token_of(j, request);
	if (!token.n)
		return auth_refuse(c, REASON_AUTH_REQUIRED, STR("Bearer"));
	return verify(c, token, true);
}

static void explain(const void *values, void *data, const struct head *request, const struct addr *client,
	struct text *out)
{
	const struct jwt *j = values;
	const struct trusted *t = data;

	(void)client;
	text_fmt(out, "%u keys; the request has %s", t->keys.n,
		token_of(j, request).n ? "a token" : "no token");
}

static void counts(const void *values, void *data, struct module_counts *out)
{
	struct trusted *t = data;

	(void)values;
	module_count(out, STR("signatures"), STR("verified"), atomic_load(&t->signatures));
	module_count(out, STR("signatures"), STR("known"), atomic_load(&t->spared));
}

static const char *const any_claim[] = {"*", NULL};

static bool depends(const void *values, void *data, struct module_dependency *out)
{
	struct trusted *t = data;

	(void)values;
	*out = (struct module_dependency){.what = STR("issuer"),
		.address = str_head(str_of(t->url), str_find(str_of(t->url), '?')),
		.meanwhile = "the keys that it gave last still count; without any, requests are answered 503",
		.state = &t->state};
	return out->address.n > 0;
}

const struct module jwt_module = {
	.config = {.abi = MODULE_ABI,
		.name = "jwt",
		.levels = MODULE_ANYWHERE,
		.object = &object,
		.variables = any_claim},
	.build = build,
	.release = release,
	.worker_init = worker_begin,
	.worker_free = worker_end,
	.routed = routed,
	.cancel = cancel,
	.value = value,
	.explain = explain,
	.counts = counts,
	.depends = depends,
};
