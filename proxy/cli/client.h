/* cli/client.h - how commands talk to a running weir: one call of its admin API after the other, over the unix socket or over TCP.
 *
 * What goes wrong is said on standard error with what to do about it, so that a command has only to return the status. */
#ifndef WEIR_CLI_CLIENT_H
#define WEIR_CLI_CLIENT_H

#include <jansson.h>
#include "base/str.h"
#include "cli/command.h"

#define CLIENT_SOCKET     "/run/weir/admin.sock"
#define CLIENT_TIMEOUT_MS 30000

/* The options that every command has that talks to weir: a member `client` of its struct, and CLIENT_OPTIONS(struct ...) among its
 * rows. The environment has WEIR_SOCKET, WEIR_ADMIN, WEIR_TOKEN, WEIR_CA, WEIR_CERT, WEIR_KEY. */
struct client_options {
	const char *socket; /* NULL: WEIR_SOCKET, else CLIENT_SOCKET */
	const char *admin; /* "https://weir.internal:9900"; goes before the socket */
	const char *timeout; /* a duration; NULL: CLIENT_TIMEOUT_MS */
	bool json;
};

#define CLIENT_OPTIONS(s) CLIENT_OPTIONS_AT(s, client)
/* The same, where the struct has it at a place of its own. */
#define CLIENT_OPTIONS_AT(s, m) \
	TEXT("socket", 0, "PATH", s, m.socket, "of the weir that is meant; WEIR_SOCKET, or " CLIENT_SOCKET), \
		TEXT("admin", 0, "URL", s, m.admin, \
			"over TCP instead: https://host:port; WEIR_ADMIN, with the token in WEIR_TOKEN"), \
		TEXT("timeout", 0, "TIME", s, m.timeout, "how long to wait, such as 5m; 30s"), \
		SWITCH("json", 0, s, m.json, "print what weir answers, as JSON")

/* Freed by client_answer_free(). */
struct client_answer {
	unsigned status; /* 0: there was none */
	json_t *body; /* NULL: it is no JSON */
	struct str text; /* NUL-terminated */
	char etag[64]; /* with its quotes; empty: none */
};

/* One call. body is borrowed, NULL for none. CLI_DONE: the status is below 400. Else the problem was told, and the status of the command is
 * returned: CLI_TIMED_OUT, CLI_CONFLICT (412), CLI_FAILED. The answer is filled as far as there was one; free it either way. */
int client_call(const struct client_options *o, const char *method, const char *path, json_t *body,
	struct client_answer *a);
/* The same under a condition: if_match is an ETag, or NULL. */
int client_call_if(const struct client_options *o, const char *method, const char *path, json_t *body,
	const char *if_match, struct client_answer *a);
/* The same, without a word about a status from 400 on: the caller tells the problem. */
int client_ask(const struct client_options *o, const char *method, const char *path, json_t *body,
	struct client_answer *a);
/* A GET that may well fail, of which nothing is said. True: there was an answer. */
bool client_try(
	const struct client_options *o, const char *path, uint64_t timeout_ms, struct client_answer *a);
void client_answer_free(struct client_answer *a);

/* Says what a problem document says, and returns the exit status for it. */
int client_problem(const struct client_answer *a);

/* Server-sent events, until on_event says false, or weir ends the stream. No timeout. */
int client_follow(const struct client_options *o, const char *path,
	bool (*on_event)(void *ctx, struct str name, struct str data), void *ctx);

/* Does anybody listen there still? */
bool client_reaches(const struct client_options *o);

/* Prints an answer's JSON as it came. */
void client_print_json(const struct client_answer *a);

/* --timeout in ms; false: it was not understood, which was told. */
bool client_timeout(const struct client_options *o, uint64_t *ms);

/* A clock that goes on evenly, for --timeout. */
uint64_t client_now_ms(void);

/* A text for a query, percent-encoded; malloc'ed. */
char *client_encode(const char *text);

#endif
