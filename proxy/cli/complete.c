/* cli/complete.c - `weir complete`: what may stand at the end of a command line, for the scripts of `weir completion`.
 *
 * Everything is read from the rows of the commands: names and options from theirs, what an argument may be from the synopsis, where
 * TENANT/SERVICE/POOL, TENANT[/SERVICE] and the like are names that the running weir knows, FILE is a file, a|b|c are words.
 * A candidate is a line: the word, a tab, what it is. ":files" asks the shell for its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/obj.h"
#include "base/reason.h"
#include "cli/client.h"

#define PATIENCE "2s" /* somebody waits with a finger on the key */
#define SPEC_MAX 128
#define LEVELS   4 /* tenant, service, pool, address */

/* The line so far. */
struct line {
	const struct cli_command *command;
	const struct cli_option *pending; /* its value comes next; NULL: none */
	const char *first; /* argument; NULL: none yet */
	uint32_t arguments;
	struct str current;
	const char *before; /* of the word that is completed: "--state="; "" */
	struct client_options client;
};

static void offer(const struct line *l, struct str word, const char *text)
{
	if (str_starts(word, l->current))
		printf("%s" STR_FMT "\t%s\n", l->before, STR_ARG(word), text);
}

/* -- the synopsis -- */

/* The next word of a synopsis, as written. */
static struct str next_word(struct str *rest)
{
	struct str word;

	*rest = str_trim(*rest);
	word = str_head(*rest, str_find(*rest, ' '));
	*rest = str_skip(*rest, word.n);
	return word;
}

/* "[--state" is "--state". */
static struct str without_brackets(struct str word)
{
	while (word.n && word.p[0] == '[')
		word = str_skip(word, 1);
	while (word.n && (word.p[word.n - 1] == ']' || word.p[word.n - 1] == '.'))
		word.n--;
	return word;
}

static const struct cli_option *option_named(const struct cli_command *c, struct str word)
{
	for (const struct cli_option *o = c->options; o && o->name; o++)
		if ((str_starts(word, STR("--")) && str_eq(str_skip(word, 2), str_of(o->name))) ||
			(word.n == 2 && word.p[0] == '-' && o->letter && word.p[1] == o->letter))
			return o;
	return NULL;
}

/* What stands behind an option; it may hold spaces within quotes. */
static struct str option_value(struct str *rest)
{
	struct str word = next_word(rest);

	if (word.n && word.p[0] == '\'')
		while (rest->n && !memchr(word.p + 1, '\'', word.n - 1))
			word = next_word(rest);
	return without_brackets(word);
}

/* What the value of o may be. */
static struct str spec_of_option(const struct cli_command *c, const struct cli_option *o)
{
	struct str rest = str_of(c->synopsis);

	while (rest.n) {
		const struct cli_option *found = option_named(c, without_brackets(next_word(&rest)));
		struct str value = found && found->argument ? option_value(&rest) : STR_NONE;

		if (found == o && str_find(value, '|') < value.n)
			return value;
	}
	return str_of(o->argument);
}

/* What the argument of this number may be; the last one's stands for all that follow. */
static struct str spec_of_argument(const struct cli_command *c, uint32_t number)
{
	struct str rest = str_of(c->synopsis), spec = STR_NONE;

	while (rest.n) {
		struct str word = next_word(&rest);
		struct str bare = without_brackets(word);
		const struct cli_option *o = option_named(c, bare);

		if (o && o->argument)
			option_value(&rest);
		if (bare.n == 0 || strchr("->|", bare.p[0]))
			continue;
		spec = word;
		if (number-- == 0)
			break;
	}
	return spec;
}

/* -- what the running weir knows -- */

static json_t *ask(const struct line *l, const char *path)
{
	struct client_answer a;
	json_t *body =
		client_call(&l->client, "GET", path, NULL, &a) == CLI_DONE ? json_incref(a.body) : NULL;

	client_answer_free(&a);
	return body;
}

static const char *text(const json_t *j, const char *key)
{
	const char *value = json_string_value(json_object_get(j, key));

	return value ? value : "";
}

static void offer_backends(const struct line *l, const char *pool, const json_t *backends)
{
	for (size_t i = 0; i < json_array_size(backends); i++) {
		const json_t *b = json_array_get(backends, i);
		char word[512];

		snprintf(word, sizeof(word), "%s%s%s", pool, *pool ? "/" : "", text(b, "address"));
		offer(l, str_of(word), text(json_object_get(b, "health"), "state"));
	}
}

static void offer_pools(
	const struct line *l, const char *service, const json_t *pools, unsigned least, unsigned most)
{
	for (size_t i = 0; i < json_array_size(pools); i++) {
		const json_t *p = json_array_get(pools, i);
		long long up = json_integer_value(json_object_get(p, "up"));
		char word[512], doc[96];

		/* What is too long to be a word is not offered. */
		if (snprintf(word, sizeof(word), "%s/%s", service, text(p, "name")) >= (int)sizeof(word))
			continue;
		snprintf(doc, sizeof(doc), "%s, weight %g, %lld of %zu up", text(p, "state"),
			json_number_value(json_object_get(p, "effective_weight")), up,
			json_array_size(json_object_get(p, "backends")));
		if (least <= 3)
			offer(l, str_of(word), doc);
		if (most == LEVELS)
			offer_backends(l, word, json_object_get(p, "backends"));
	}
}

/* "acme", "acme/shop", "acme/shop/blue", "acme/shop/blue/10.0.0.7:8080": the names of these levels. */
static void offer_names(const struct line *l, unsigned least, unsigned most)
{
	size_t slash = str_find(l->current, '/');
	const char *tenant = "";
	char path[300], word[512];
	const json_t *services;
	json_t *answer;

	/* Another tenant's cannot be meant any more. */
	if (slash < l->current.n)
		snprintf(path, sizeof(path), "/v1/services?tenant=%.*s", (int)slash, l->current.p);
	else
		snprintf(path, sizeof(path), "/v1/services");
	answer = ask(l, path);
	services = json_object_get(answer, "services");
	for (size_t i = 0; i < json_array_size(services); i++) {
		const json_t *s = json_array_get(services, i);

		if (least == 1 && strcmp(tenant, text(s, "tenant")) != 0)
			offer(l, str_of(text(s, "tenant")), "tenant");
		tenant = text(s, "tenant");
		snprintf(word, sizeof(word), "%s/%s", tenant, text(s, "service"));
		if (least <= 2 && most >= 2)
			offer(l, str_of(word), "service");
		if (most >= 3)
			offer_pools(l, word, json_object_get(s, "pools"), least, most);
	}
	json_decref(answer);
}

/* Of the service that the first argument names: its pools; of the pool: its backends. */
static void offer_parts(const struct line *l, const char *suffix, bool backends)
{
	struct str rest = str_of(l->first ? l->first : "");
	struct str tenant = str_head(rest, str_find(rest, '/')), service, pool;
	const json_t *pools;
	char path[300], word[300];
	json_t *answer;

	rest = str_skip(rest, tenant.n + 1);
	service = str_head(rest, str_find(rest, '/'));
	pool = str_skip(rest, service.n + 1);
	if (service.n == 0)
		return;
	snprintf(path, sizeof(path), "/v1/services/" STR_FMT "/" STR_FMT, STR_ARG(tenant), STR_ARG(service));
	answer = ask(l, path);
	pools = json_object_get(answer, "pools");
	for (size_t i = 0; i < json_array_size(pools); i++) {
		const json_t *p = json_array_get(pools, i);

		snprintf(word, sizeof(word), "%s%s", text(p, "name"), suffix);
		if (!backends)
			offer(l, str_of(word), text(p, "state"));
		else if (str_eq(pool, str_of(text(p, "name"))))
			offer_backends(l, "", json_object_get(p, "backends"));
	}
	json_decref(answer);
}

static void offer_listeners(const struct line *l)
{
	json_t *answer = ask(l, "/v1/listeners");
	const json_t *all = json_object_get(answer, "listeners");

	for (size_t i = 0; i < json_array_size(all); i++) {
		const json_t *one = json_array_get(all, i);
		bool drains = json_is_true(json_object_get(one, "draining"));
		char doc[160];

		snprintf(doc, sizeof(doc), "%s%s", text(one, "address"), drains ? ", drains" : "");
		offer(l, str_of(text(one, "listener")), doc);
	}
	json_decref(answer);
}

/* -- candidates -- */

static void offer_commands(const struct line *l)
{
	const struct cli_command *const *commands;
	size_t n;

	commands = cli_commands(&n);
	for (size_t i = 0; i < n; i++)
		if (!commands[i]->hidden)
			offer(l, str_of(commands[i]->name), commands[i]->summary);
	offer(l, STR("help"), "explain a command");
	offer(l, STR("version"), "say which weir this is");
}

static void offer_reasons(const struct line *l)
{
	for (int r = REASON_NONE + 1; r < REASONS; r++) {
		char name[REASON_NAME_MAX], doc[160];

		snprintf(doc, sizeof(doc), STR_FMT, STR_ARG(reason_row((enum reason)r)->text));
		offer(l, reason_name((enum reason)r, name), doc);
	}
}

/* One alternative of a spec, in which brackets tell what may be left out. */
static void offer_one(const struct line *l, struct str spec)
{
	char name[SPEC_MAX];
	unsigned least = 0, most = 1;
	uint32_t n = 0;

	for (size_t i = 0; i < spec.n && n < sizeof(name) - 1; i++) {
		if (spec.p[i] == '[' && i > 0 && !least)
			least = most;
		most += spec.p[i] == '/';
		if (!strchr("[]", spec.p[i]))
			name[n++] = spec.p[i];
	}
	while (n && name[n - 1] == '.')
		n--;
	name[n] = '\0';
	if (strncmp(name, "TENANT", 6) == 0)
		offer_names(l, least ? least : most, most);
	else if (strcmp(name, "POOL") == 0 || strcmp(name, "POOL=WEIGHT") == 0)
		offer_parts(l, strchr(name, '=') ? "=" : "", false);
	else if (strncmp(name, "ADDRESS:PORT", 12) == 0)
		offer_parts(l, "", true);
	else if (strcmp(name, "LISTENER") == 0)
		offer_listeners(l);
	else if (strcmp(name, "FILE") == 0 || strcmp(name, "PATH") == 0)
		puts(":files");
	else if (strcmp(name, "COMMAND") == 0)
		offer_commands(l);
	else if (strcmp(name, "REASON") == 0)
		offer_reasons(l);
	else if (n && str_lower_char(name[0]) == name[0])
		offer(l, str_of(name), "");
}

static void offer_spec(const struct line *l, struct str spec)
{
	while (spec.n) {
		struct str one = str_head(spec, str_find(spec, '|'));

		spec = str_skip(spec, one.n + 1);
		offer_one(l, one);
	}
}

static void offer_options(const struct line *l)
{
	char word[64];

	for (const struct cli_option *o = l->command->options; o && o->name; o++) {
		snprintf(word, sizeof(word), "--%s", o->name);
		offer(l, str_of(word), o->doc);
	}
	offer(l, STR("--help"), "this command explained");
}

/* -- the line -- */

static void take_value(struct line *l, const struct cli_option *o, const char *value)
{
	if (strcmp(o->name, "socket") == 0)
		l->client.socket = value;
	if (strcmp(o->name, "admin") == 0)
		l->client.admin = value;
}

/* A word that is complete. */
static void take_word(struct line *l, const char *word)
{
	struct str s = str_of(word), name = str_head(s, str_find(s, '='));
	const struct cli_option *o = option_named(l->command, name);

	if (l->pending) {
		take_value(l, l->pending, word);
		l->pending = NULL;
	} else if (o && o->argument && name.n < s.n) {
		take_value(l, o, word + name.n + 1);
	} else if (o && o->argument) {
		l->pending = o;
	} else if (word[0] != '-' && l->arguments++ == 0) {
		l->first = word;
	}
}

static void complete(struct line *l)
{
	size_t equals = str_find(l->current, '=');
	const struct cli_option *o = option_named(l->command, str_head(l->current, equals));
	char before[64];

	if (!l->pending && o && o->argument && equals < l->current.n) {
		snprintf(before, sizeof(before), STR_FMT "=", STR_ARG(str_head(l->current, equals)));
		l->before = before;
		l->current = str_skip(l->current, equals + 1);
		l->pending = o;
	}
	if (l->pending)
		offer_spec(l, spec_of_option(l->command, l->pending));
	else if (str_starts(l->current, STR("-")))
		offer_options(l);
	else if (l->arguments < l->command->arguments)
		offer_spec(l, spec_of_argument(l->command, l->arguments));
	l->before = "";
}

static int run(const void *parsed, const struct cli_list *words)
{
	struct line l = {.before = "", .client = {.timeout = PATIENCE}};
	const struct cli_command *const *commands;
	size_t n;

	(void)parsed;
	/* What goes wrong must not be written between the words of a command line. */
	if (words->n == 0 || !freopen("/dev/null", "w", stderr))
		return CLI_FAILED;
	l.current = str_of(words->v[words->n - 1]);
	if (words->n == 1 || (words->n == 2 && strcmp(words->v[0], "help") == 0)) {
		offer_commands(&l);
		return CLI_DONE;
	}
	commands = cli_commands(&n);
	for (size_t i = 0; i < n; i++)
		if (strcmp(commands[i]->name, words->v[0]) == 0)
			l.command = commands[i];
	if (!l.command)
		return CLI_DONE;
	for (uint32_t i = 1; i + 1 < words->n; i++)
		take_word(&l, words->v[i]);
	complete(&l);
	return CLI_DONE;
}

const struct cli_command complete_command = {
	.name = "complete",
	.synopsis = "-- WORD...",
	.summary = "what may stand at the end of a command line",
	.help = "Prints what may stand in place of the last WORD behind those before it; the scripts of "
		"\"weir completion\" call it.",
	.arguments = 10000,
	.hidden = true,
	.run = run,
};
