/* cli/change.h - what the commands that change a service at run time have in common. */
#ifndef WEIR_CLI_CHANGE_H
#define WEIR_CLI_CHANGE_H

#include "cli/client.h"

/* A member `change` of the command's struct, and CHANGE_OPTIONS(struct ...) among its rows. */
struct change_options {
	struct client_options client;
	const char *reason, *author, *if_version;
	bool force, wait;
};

#define CHANGE_OPTIONS(s) \
	TEXT("reason", 0, "TEXT", s, change.reason, "why; stands in events and the history"), \
		TEXT("author", 0, "NAME", s, change.author, "who; your login name"), \
		TEXT("if-version", 0, "N", s, change.if_version, \
			"only if the service still has this version: exit status 4 if not"), \
		SWITCH("force", 0, s, change.force, "though nobody would be left to serve"), \
		SWITCH("wait", 0, s, change.wait, "until it is done, --timeout at most; see above"), \
		CLIENT_OPTIONS_AT(s, change.client)

/* "acme/shop/green" with so many parts (2 or 3), as "PREFIX/acme/shop/green/SUFFIX"; malloc'ed. NULL: it has not; which was said. */
char *change_path(const struct cli_command *c, const char *target, uint32_t parts, const char *prefix,
	const char *suffix);
/* The body of a change, with what the options say of it. */
json_t *change_body(const struct change_options *o);
/* Sends it, under --if-version. As client_call(). Takes body. */
int change_send(const struct cli_command *c, const struct change_options *o, const char *method,
	const char *path, json_t *body, struct client_answer *a);
/* "changed" or "unchanged", and the version; nothing with --json, which prints the answer. */
void change_print_outcome(const struct change_options *o, const struct client_answer *a);

#endif
