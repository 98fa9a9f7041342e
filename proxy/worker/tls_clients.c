#include <stdlib.h>
#include <sys/stat.h>
#include "base/obj.h"
#include "worker/worker.h"

struct tls_client_entry {
	char *key; /* everything that the context depends on */
	struct tls_client *client;
};

/* When a file changes under the same name it is another context. */
static void put_file(struct text *t, struct str path)
{
	struct stat st = {0};

	if (path.n && stat(path.p, &st) != 0)
		st = (struct stat){0};
	text_fmt(t, STR_FMT "@%llu.%lu.%lu|", STR_ARG(path), (unsigned long long)st.st_ino,
		(unsigned long)st.st_mtim.tv_sec, (unsigned long)st.st_mtim.tv_nsec);
}

struct tls_client *tls_clients_get(struct tls_clients *c, const struct conf_policy *policy)
{
	char key[16384], err[256];
	struct text t = text_in(key, sizeof(key) - 1);
	struct tls_client *client;

	if (!policy->tls.on)
		return NULL;
	text_fmt(&t, "%d|%d|", policy->protocol, policy->tls.verify);
	put_file(&t, policy->tls.ca);
	put_file(&t, policy->tls.cert);
	put_file(&t, policy->tls.key);
	key[t.n] = '\0';
	for (uint32_t i = 0; i < c->n; i++)
		if (strcmp(c->v[i].key, key) == 0)
			return c->v[i].client;
	client = tls_client_new(&policy->tls, policy->protocol, err, sizeof(err));
	if (!client)
		return NULL;
	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 8;
		c->v = realloc(c->v, c->cap * sizeof(*c->v));
		MUST(c->v);
	}
	c->v[c->n].client = client;
	c->v[c->n].key = strdup(key);
	MUST(c->v[c->n].key);
	return c->v[c->n++].client;
}

void tls_clients_free(struct tls_clients *c)
{
	for (uint32_t i = 0; i < c->n; i++) {
		tls_client_release(c->v[i].client);
		free(c->v[i].key);
	}
	free(c->v);
	*c = (struct tls_clients){0};
}
