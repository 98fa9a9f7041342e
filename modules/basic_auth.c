/* modules/basic_auth.c - names and passwords (RFC 7617).
 *
 * Hashes of passwords are slow on purpose, so a helper thread of the worker does them while the request is held; what was right once is
 * remembered by a digest under a key of the worker's own. The helper does one at a time, and few may wait: guessing many
 * passwords at once gets 503. A name that is not there costs the same time as one that is. */
#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include "auth.h"
#include "base64.h"
#include "files.h"
#include "modules.h"

#define FILE_MAX   (4u * 1024 * 1024)
#define SECRET_MAX 600 /* name, colon and password; libcrypt takes 512 bytes of password */
#define REMEMBERED 1024 /* a power of two */
#define HASH_MAX   384

struct basic_auth {
	struct str realm, file, header;
	struct conf_strs users;
	bool forward;
};

static void check(struct parse *p, const struct node *v, void *obj)
{
	const struct basic_auth *b = obj;

	if (!b->users.n && !b->file.n)
		parse_error(p, v, "basic_auth needs \"users\" or \"file\"");
}

static const struct config_field fields[] = {
	STRING("realm", struct basic_auth, realm, "what browsers show when they ask for the password",
		.text = "restricted"),
	STRINGS("users", struct basic_auth, users, type_text,
		"\"name:hash\", as `mkpasswd -m yescrypt` makes the hash: yescrypt, bcrypt, sha512-crypt, "
		"sha256-crypt"),
	INPUT("file", struct basic_auth, file,
		"the same, one to a line, as `htpasswd -B` writes it; read at each reload"),
	CUSTOM("header", type_header_name, struct basic_auth, header,
		"of the request to the backend: the name of the user. One that a client sends is taken out"),
	BOOL("forward", struct basic_auth, forward, "the backend gets the password too", .dflt = false),
	END,
};

static const struct config_object object = {
	.id = OBJECT_MODULE,
	.path = "modules.basic_auth",
	.what = "basic_auth",
	.doc = "Names and passwords. See [basic_auth](modules/basic_auth.md).",
	.size = sizeof(struct basic_auth),
	.fields = fields,
	.check = check,
};

/* -- who there is -- */

struct user {
	struct str name, hash; /* in the text of the list; NUL behind the hash */
};

struct users {
	char *text; /* malloc'ed: all that was given, its separators NULs */
	struct user *v; /* by name */
	uint32_t n;
	uint8_t digest[SHA256_DIGEST_LENGTH]; /* of what was given */
};

static int by_name(const void *a, const void *b)
{
	return str_cmp(((const struct user *)a)->name, ((const struct user *)b)->name);
}

static const struct user *user_find(const struct users *all, struct str name)
{
	struct user key = {.name = name};

	return all->n ? bsearch(&key, all->v, all->n, sizeof(*all->v), by_name) : NULL;
}

static bool is_safe_hash(const char *hash)
{
	static const char *const kinds[] = {"$y$", "$gy$", "$7$", "$2a$", "$2b$", "$2y$", "$6$", "$5$"};

	int salt = crypt_checksalt(hash);

	/* sha256-crypt is old to libcrypt, but not weak. */
	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		if (strncmp(hash, kinds[i], strlen(kinds[i])) == 0)
			return (salt == CRYPT_SALT_OK || salt == CRYPT_SALT_METHOD_LEGACY) &&
			       strlen(hash) < HASH_MAX;
	return false;
}

static void release(void *data)
{
	struct users *all = data;

	free(all->text);
	free(all->v);
	free(all);
}

/* Backends get it in a header: a control character would not arrive (RFC 7617 2 has none either), nor would a space at an end, without which
 * it is somebody else's. */
static bool is_plain_name(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if ((unsigned char)name.p[i] < ' ' || name.p[i] == 0x7f)
			return false;
	return str_trim(name).n == name.n;
}

/* One line, which ends with a NUL. */
static bool take_line(struct users *all, char *line, char *err, size_t err_n)
{
	char *colon = strchr(line, ':'), *end;

	if (line[strspn(line, "\r")] == '\0' || line[0] == '#')
		return true;
	end = colon ? strpbrk(colon + 1, ": \t\r") : NULL;
	if (!colon || colon == line) {
		snprintf(err, err_n, "a user is written \"name:hash\", not \"%.40s\"", line);
		return false;
	}
	if (end)
		*end = '\0';
	*colon = '\0';
	if (!is_plain_name(str_of(line))) {
		snprintf(err, err_n,
			"the name of user \"%.64s\" has a control character, or a space at one of its ends",
			line);
		return false;
	}
	if (!is_safe_hash(colon + 1)) {
		snprintf(err, err_n,
			"the hash of user \"%.64s\" is of no safe kind; make one with mkpasswd -m yescrypt",
			line);
		return false;
	}
	all->v[all->n++] = (struct user){str_of(line), str_of(colon + 1)};
	return true;
}

static bool take_text(struct users *all, size_t n, char *err, size_t err_n)
{
	uint32_t lines = 1;

	if (memchr(all->text, '\0', n)) {
		snprintf(err, err_n, "a list of users is text, and has no NUL in it");
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		if (all->text[i] != '\n')
			continue;
		all->text[i] = '\0';
		lines++;
	}
	all->v = calloc(lines, sizeof(*all->v));
	MUST(all->v);
	for (size_t at = 0; at < n;) {
		size_t length = strlen(all->text + at);

		if (!take_line(all, all->text + at, err, err_n))
			return false;
		at += length + 1;
	}
	qsort(all->v, all->n, sizeof(*all->v), by_name);
	for (uint32_t i = 1; i < all->n; i++) {
		if (by_name(&all->v[i - 1], &all->v[i]) == 0) {
			snprintf(err, err_n, "user \"%.64s\" is there twice", all->v[i].name.p);
			return false;
		}
	}
	return true;
}

static void *build(struct module_build *b, const void *values)
{
	const struct basic_auth *conf = values;
	const struct users *before = b->previous;
	struct users *all;
	struct str file = STR_NONE;
	size_t n = 1, at = 0;

	if (conf->file.n && !file_read(conf->file, FILE_MAX, &file, b->err, sizeof(b->err)))
		return NULL;
	for (uint32_t i = 0; i < conf->users.n; i++)
		n += conf->users.v[i].n + 1;
	all = calloc(1, sizeof(*all));
	MUST(all);
	all->text = calloc(1, n + file.n);
	MUST(all->text);
	for (uint32_t i = 0; i < conf->users.n; i++) {
		memcpy(all->text + at, conf->users.v[i].p, conf->users.v[i].n);
		at += conf->users.v[i].n;
		all->text[at++] = '\n';
	}
	if (file.n)
		memcpy(all->text + at, file.p, file.n);
	at += file.n;
	free((char *)(uintptr_t)file.p);
	SHA256((const uint8_t *)all->text, at, all->digest);
	if (before && memcmp(before->digest, all->digest, sizeof(all->digest)) == 0) {
		release(all);
		return b->previous;
	}
	if (take_text(all, at, b->err, sizeof(b->err)))
		return all;
	release(all);
	return NULL;
}

/* -- what a worker keeps -- */

struct memory {
	struct offload *offload;
	uint8_t key[32];
	uint8_t right[REMEMBERED]
		     [SHA256_DIGEST_LENGTH]; /* where a digest belongs its first bytes say; zeroed: none */
};

static void *worker_begin(struct loop *l, void *data, uint32_t worker, uint32_t workers)
{
	struct memory *m = calloc(1, sizeof(*m));

	(void)data;
	(void)worker;
	(void)workers;
	MUST(m && RAND_bytes(m->key, sizeof(m->key)) == 1);
	m->offload = offload_new(l);
	return m;
}

static void worker_end(void *state, void *data)
{
	struct memory *m = state;

	(void)data;
	offload_free(&m->offload);
	OPENSSL_cleanse(m, sizeof(*m));
	free(m);
}

static void digest_of(const struct memory *m, const char *secret, size_t n, const char *hash,
	uint8_t digest[SHA256_DIGEST_LENGTH])
{
	uint8_t all[SECRET_MAX + HASH_MAX + 1];
	size_t hash_n = strlen(hash);

	memcpy(all, secret, n);
	all[n] = '\0';
	memcpy(all + n + 1, hash, hash_n);
	MUST(HMAC(EVP_sha256(), m->key, sizeof(m->key), all, n + 1 + hash_n, digest, NULL));
	OPENSSL_cleanse(all, n);
}

static uint8_t *place_of(struct memory *m, const uint8_t digest[SHA256_DIGEST_LENGTH])
{
	return m->right[(digest[0] | digest[1] << 8) & (REMEMBERED - 1)];
}

/* -- one request -- */

struct verify {
	struct offload_job job;
	struct module_call call; /* x NULL: nobody waits any more */
	uint8_t digest[SHA256_DIGEST_LENGTH];
	bool known, right;
	struct str user; /* in the request's arena */
	char password[SECRET_MAX + 1], hash[HASH_MAX];
	struct crypt_data work;
};

static struct str challenge(const struct module_call *c)
{
	const struct basic_auth *b = c->values;
	size_t room = 2 * b->realm.n + 1; /* each of its bytes may need a backslash */
	struct text t = text_in(arena_alloc(c->arena, room), room);

	for (size_t i = 0; i < b->realm.n; i++) {
		if (b->realm.p[i] == '"' || b->realm.p[i] == '\\')
			text_char(&t, '\\');
		text_char(&t, b->realm.p[i]);
	}
	return arena_fmt(c->arena, "Basic realm=\"" STR_FMT "\", charset=\"UTF-8\"", STR_ARG(text_str(&t)));
}

static int accept_user(const struct module_call *c, struct str user)
{
	const struct basic_auth *b = c->values;
	struct head *request = module_request(c);

	if (b->header.n)
		module_set_header(c, request, b->header, user);
	if (!b->forward)
		fields_remove(&request->fields, FIELD_AUTHORIZATION);
	module_log_field(c, STR("user"), user);
	return auth_grant(c);
}

static void verify_work(struct offload_job *job)
{
	struct verify *v = CONTAINER(job, struct verify, job);
	const char *got = crypt_r(v->password, v->hash, &v->work);

	v->right = v->known && got && strlen(got) == strlen(v->hash) &&
		   CRYPTO_memcmp(got, v->hash, strlen(v->hash)) == 0;
}

static void verify_done(struct offload_job *job, bool here)
{
	struct verify *v = CONTAINER(job, struct verify, job);
	struct module_call call = v->call;
	struct str user = v->user;
	bool right = v->right;

	if (here && call.x && right) {
		struct memory *m = call.worker;

		memcpy(place_of(m, v->digest), v->digest, sizeof(v->digest));
	}
	OPENSSL_cleanse(v, sizeof(*v));
	free(v);
	if (!here || !call.x)
		return;
	*call.slot = NULL;
	module_resume(call.x, right ? accept_user(&call, user)
				    : auth_refuse(&call, REASON_AUTH_REQUIRED, challenge(&call)));
}

static void cancel(struct module_call *c)
{
	struct verify *v = *c->slot;

	v->call.x = NULL;
}

/* "Basic " and base64 of "name:password"; the secret's length, 0: there is none. */
static size_t read_secret(const struct head *request, char secret[SECRET_MAX])
{
	const struct field *f = fields_find(&request->fields, FIELD_AUTHORIZATION);
	struct str value = f ? field_value(f) : STR_NONE;
	size_t n;

	if (value.n < 7 || !str_case_eq(str_head(value, 6), STR("basic ")))
		return 0;
	n = base64_decode(str_trim(str_skip(value, 6)), (uint8_t *)secret, SECRET_MAX);
	return memchr(secret, '\0', n) || !memchr(secret, ':', n) ? 0 : n;
}

static int look_up(struct module_call *c, const char *secret, size_t n)
{
	const struct users *all = c->data;
	struct memory *m = c->worker;
	struct str name = str_head((struct str){secret, n}, str_find((struct str){secret, n}, ':'));
	const struct user *user = user_find(all, name), *stand_in = user ? user : &all->v[0];
	uint8_t digest[SHA256_DIGEST_LENGTH];
	struct verify *v;

	if (!all->n)
		return auth_refuse(c, REASON_AUTH_REQUIRED, challenge(c));
	digest_of(m, secret, n, stand_in->hash.p, digest);
	if (user && CRYPTO_memcmp(place_of(m, digest), digest, sizeof(digest)) == 0)
		return accept_user(c, arena_str(c->arena, name));
	v = calloc(1, sizeof(*v));
	MUST(v);
	v->job.work = verify_work;
	v->job.done = verify_done;
	v->call = *c;
	memcpy(v->digest, digest, sizeof(digest));
	v->known = user != NULL;
	v->user = arena_str(c->arena, name);
	memcpy(v->password, secret + name.n + 1, n - name.n - 1);
	memcpy(v->hash, stand_in->hash.p, stand_in->hash.n);
	if (offload_run(m->offload, &v->job)) {
		*c->slot = v;
		return MODULE_HOLD;
	}
	OPENSSL_cleanse(v, sizeof(*v));
	free(v);
	return auth_refuse(c, REASON_AUTH_UNAVAILABLE, STR_NONE);
}

static int routed(struct module_call *c)
{
	const struct basic_auth *b = c->values;
	struct head *request = module_request(c);
	char secret[SECRET_MAX];
	size_t n;
	int verdict;

	if (b->header.n)
		module_claim_header(c, b->header);
	if (auth_is_granted(c))
		return MODULE_PASS;
	n = auth_has_several(request, STR("authorization")) ? 0 : read_secret(request, secret);
	if (!n)
		return auth_refuse(c, REASON_AUTH_REQUIRED, challenge(c));
	verdict = look_up(c, secret, n);
	OPENSSL_cleanse(secret, n);
	return verdict;
}

static void explain(const void *values, void *data, const struct head *request, const struct addr *client,
	struct text *out)
{
	const struct users *all = data;

	(void)values;
	(void)client;
	text_fmt(out, "%u users; the request has %s", all->n,
		fields_find(&request->fields, FIELD_AUTHORIZATION) ? "credentials" : "no credentials");
}

const struct module basic_auth_module = {
	.config = {.abi = MODULE_ABI, .name = "basic_auth", .levels = MODULE_ANYWHERE, .object = &object},
	.build = build,
	.release = release,
	.worker_init = worker_begin,
	.worker_free = worker_end,
	.routed = routed,
	.cancel = cancel,
	.explain = explain,
};
