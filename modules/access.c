/* modules/access.c - who may come, by address and by client certificate; and whether that is enough, or others must agree. */
#include <stdlib.h>
#include "auth.h"
#include "modules.h"
#include "networks.h"
#include "pattern.h"

enum satisfy { SATISFY_ALL, SATISFY_ANY };
static const char *const satisfy_names[] = {"all", "any", NULL};

struct access {
	struct cidr *allow, *deny;
	uint32_t allow_n, deny_n;
	struct {
		struct conf_strs allow, deny;
	} subjects;
	uint8_t satisfy; /* enum satisfy */
};

static const struct config_field subjects_fields[] = {
	STRINGS("allow", struct access, subjects.allow, type_text,
		"who may come: patterns with `*` for the subject (RFC 2253, \"CN=shop,O=Acme\") or for one "
		"of "
		"the alternative names (\"DNS:shop.acme.test\", \"URI:spiffe://acme/\\*\", "
		"\"email:*@acme.test\")"),
	STRINGS("deny", struct access, subjects.deny, type_text, "who may not, whatever `allow` says"),
	END,
};

static const struct config_object subjects_object = {
	.id = OBJECT_MODULE,
	.path = "modules.access.subjects",
	.what = "subjects",
	.doc = "Clients by their verified certificate; the listener must ask for one (`client_ca`).",
	.size = sizeof(struct access),
	.fields = subjects_fields,
};

static const struct config_field fields[] = {
	NETWORKS("allow", struct access, allow, allow_n,
		"addresses and networks that may come; where there are some, no others may. The order does "
		"not "
		"matter: of all networks of both lists that have the address the narrowest counts, and "
		"`deny` if "
		"both name it"),
	NETWORKS("deny", struct access, deny, deny_n, "addresses and networks that may not come"),
	WITHIN("subjects", subjects_object,
		"clients by certificate, beside their address: both must be allowed"),
	ENUM("satisfy", struct access, satisfy, satisfy_names,
		"`all`: whoever is not allowed here is turned away, and the others must satisfy `jwt`, "
		"`basic_auth` "
		"and `forward_auth` too, as far as they are configured. `any`: one of all these is enough",
		.dflt = SATISFY_ALL),
	END,
};

static const struct config_object object = {
	.id = OBJECT_MODULE,
	.path = "modules.access",
	.what = "access",
	.doc = "Who may come, by address and client certificate. See [access](modules/access.md).",
	.size = sizeof(struct access),
	.fields = fields,
};

/* Ordered: of the same network in both lists the larger mark stays. */
enum mark { MARK_NONE, MARK_ALLOW, MARK_DENY };

struct tables {
	struct networks networks;
	struct cidr *names; /* what it is made of, to know it again: allow, then deny */
	uint32_t allow_n, deny_n;
};

static void release(void *data)
{
	struct tables *t = data;

	networks_free(&t->networks);
	free(t->names);
	free(t);
}

static bool is_made_of(const struct tables *t, const struct access *a)
{
	return t->allow_n == a->allow_n && t->deny_n == a->deny_n &&
	       (!a->allow_n || memcmp(t->names, a->allow, a->allow_n * sizeof(*a->allow)) == 0) &&
	       (!a->deny_n || memcmp(t->names + a->allow_n, a->deny, a->deny_n * sizeof(*a->deny)) == 0);
}

static void *build(struct module_build *b, const void *values)
{
	const struct access *a = values;
	struct tables *t;

	if (b->previous && is_made_of(b->previous, a))
		return b->previous;
	t = calloc(1, sizeof(*t));
	MUST(t);
	t->allow_n = a->allow_n;
	t->deny_n = a->deny_n;
	t->names = calloc((size_t)a->allow_n + a->deny_n + 1, sizeof(*t->names));
	MUST(t->names);
	for (uint32_t i = 0; i < a->allow_n; i++) {
		t->names[i] = a->allow[i];
		networks_add(&t->networks, &a->allow[i], MARK_ALLOW);
	}
	for (uint32_t i = 0; i < a->deny_n; i++) {
		t->names[a->allow_n + i] = a->deny[i];
		networks_add(&t->networks, &a->deny[i], MARK_DENY);
	}
	return t;
}

static bool allows_address(const struct access *a, const struct tables *t, const struct addr *client)
{
	uint8_t mark = networks_find(&t->networks, client);

	return mark == MARK_ALLOW || (mark == MARK_NONE && a->allow_n == 0);
}

static bool names_match(const struct conf_strs *patterns, struct str subject, struct str names)
{
	struct str name;

	if (subject.n && patterns_have(patterns, subject))
		return true;
	while (str_next_element(&names, &name))
		if (patterns_have(patterns, name))
			return true;
	return false;
}

static bool allows_subject(const struct access *a, struct str subject, struct str names)
{
	if (names_match(&a->subjects.deny, subject, names))
		return false;
	return a->subjects.allow.n == 0 || names_match(&a->subjects.allow, subject, names);
}

/* Under `any`: a rule that is not there satisfies nobody. */
static bool has_rules(const struct access *a)
{
	return a->allow_n || a->deny_n || a->subjects.allow.n || a->subjects.deny.n;
}

static bool allows(const struct module_call *c, const struct access *a)
{
	if (!allows_address(a, c->data, module_client(c)))
		return false;
	if (a->subjects.allow.n == 0 && a->subjects.deny.n == 0)
		return true;
	return allows_subject(a, module_peer_subject(c), module_peer_names(c));
}

static int routed(struct module_call *c)
{
	const struct access *a = c->values;

	if (a->satisfy == SATISFY_ANY)
		*c->slot = (void *)(uintptr_t)AUTH_ANY;
	if (allows(c, a) && (a->satisfy == SATISFY_ALL || has_rules(a)))
		return auth_grant(c);
	return auth_refuse(c, REASON_ACCESS_DENIED, STR_NONE);
}

static void explain(const void *values, void *data, const struct head *request, const struct addr *client,
	struct text *out)
{
	const struct access *a = values;

	(void)request;
	text_put(out, allows_address(a, data, client) ? STR("the address is allowed")
						      : STR("the address is denied"));
	if (a->subjects.allow.n || a->subjects.deny.n)
		text_put(out, STR(", the certificate is looked at too"));
	if (a->satisfy == SATISFY_ANY)
		text_put(out, STR("; or other credentials are enough"));
}

/* By the address, which is all that is known: under `any` other credentials may do. */
static enum reason explain_refusal(
	const void *values, void *data, const struct head *request, const struct addr *client)
{
	const struct access *a = values;

	(void)request;
	return a->satisfy == SATISFY_ALL && !allows_address(a, data, client) ? REASON_ACCESS_DENIED
									     : REASON_NONE;
}

const struct module access_module = {
	.config = {.abi = MODULE_ABI, .name = "access", .levels = MODULE_ANYWHERE, .object = &object},
	.build = build,
	.release = release,
	.routed = routed,
	.explain = explain,
	.explain_refusal = explain_refusal,
};
