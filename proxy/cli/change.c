#include "cli/change.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"

#define PARTS_MAX 3

char *change_path(const struct cli_command *c, const char *target, uint32_t parts, const char *prefix,
	const char *suffix)
{
	struct str rest = str_of(target);
	char *path = strdup(prefix), *longer, *part, *encoded;
	uint32_t n = 0;

	MUST(path);
	for (bool more = true; more && n <= PARTS_MAX; n++) {
		struct str one = str_head(rest, str_find(rest, '/'));

		more = one.n < rest.n;
		if (one.n == 0)
			break;
		part = strndup(one.p, one.n);
		MUST(part);
		encoded = client_encode(part);
		MUST(asprintf(&longer, "%s/%s", path, encoded) > 0);
		free(part);
		free(encoded);
		free(path);
		path = longer;
		rest = str_skip(rest, one.n + 1);
	}
	if (n != parts || rest.n) {
		cli_usage(c, "\"%s\" is not a %s", target,
			parts == 2 ? "service: TENANT/SERVICE" : "pool: TENANT/SERVICE/POOL");
		free(path);
		return NULL;
	}
	MUST(asprintf(&longer, "%s/%s", path, suffix) > 0);
	free(path);
	return longer;
}

json_t *change_body(const struct change_options *o)
{
	const char *author = o->author;
	json_t *body = json_object();

	if (!author)
		author = getenv("SUDO_USER");
	if (!author)
		author = getenv("USER");
	if (author && *author)
		json_object_set_new(body, "author", json_string(author));
	if (o->reason)
		json_object_set_new(body, "reason", json_string(o->reason));
	if (o->force)
		json_object_set_new(body, "force", json_true());
	return body;
}

int change_send(const struct cli_command *c, const struct change_options *o, const char *method,
	const char *path, json_t *body, struct client_answer *a)
{
	char match[32];
	uint64_t version;
	int status;

	*a = (struct client_answer){0};
	if (o->if_version && !str_to_u64(str_of(o->if_version), &version)) {
		json_decref(body);
		return cli_usage(c, "--if-version takes a number, not \"%s\"", o->if_version);
	}
	if (o->if_version)
		snprintf(match, sizeof(match), "\"%llu\"", (unsigned long long)version);
	status = client_call_if(&o->client, method, path, body, o->if_version ? match : NULL, a);
	json_decref(body);
	return status;
}

void change_print_outcome(const struct change_options *o, const struct client_answer *a)
{
	if (o->client.json)
		client_print_json(a);
	else
		printf("%s, version %lld\n",
			json_is_true(json_object_get(a->body, "changed")) ? "changed" : "unchanged",
			(long long)json_integer_value(json_object_get(a->body, "version")));
}
