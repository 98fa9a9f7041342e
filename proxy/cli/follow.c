#include "cli/follow.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "base/obj.h"
#include "cli/paint.h"

#define BAR_MIN      10
#define BAR_MAX      40
#define PAUSE_MS     300
#define WAIT_BAR_MS  1000
#define WAIT_LINE_MS 5000
#define LOGS         2 /* a deploy's own, and its shift's */

/* One that is being watched. */
struct watch {
	const struct cli_command *command;
	const struct client_options *options;
	bool bar; /* standard output is a terminal, for people */
	uint64_t told[LOGS]; /* the serial number of what has been told last, of each log */
	bool open_line; /* the bar stands on the last line */
	uint64_t seen_ms; /* when weir last answered */
	char service[256]; /* of the document; empty: not known yet */
};

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* -- lines -- */

static const char *paint_of(const char *state)
{
	static const struct {
		const char *state;
		enum paint paint;
	} paints[] = {{"done", PAINT_GOOD}, {"rolled_back", PAINT_BAD}, {"returning", PAINT_BAD},
		{"failed", PAINT_BAD}, {"aborted", PAINT_WARN}, {"inconclusive", PAINT_WARN},
		{"waiting", PAINT_WARN}, {"paused", PAINT_WARN}};

	for (size_t i = 0; i < COUNT_OF(paints); i++)
		if (strcmp(state, paints[i].state) == 0)
			return paint(paints[i].paint);
	return "";
}

static void print_entry(const json_t *entry)
{
	int64_t ms = json_integer_value(json_object_get(entry, "time_ms"));
	time_t seconds = (time_t)(ms / 1000);
	const char *state = text_of(entry, "state"), *colour = paint_of(state);
	struct tm tm;
	char when[16];

	localtime_r(&seconds, &tm);
	strftime(when, sizeof(when), "%H:%M:%S", &tm);
	printf("%s %s%-12s%s %s\n", when, colour, state, *colour ? paint_end() : "", text_of(entry, "text"));
}

static uint64_t serial_of(const json_t *entry)
{
	return (uint64_t)json_integer_value(json_object_get(entry, "serial"));
}

/* A deploy tells itself how its shift begins and ends. */
static bool is_told_twice(const json_t *entry)
{
	static const char *const states[] = {"beginning", "done", "aborted", "rolled_back"};

	for (size_t i = 0; i < COUNT_OF(states); i++)
		if (strcmp(text_of(entry, "state"), states[i]) == 0)
			return true;
	return false;
}

/* The oldest of what has not been told, of all logs; NULL: there is nothing. It counts as told. */
static const json_t *next_entry(struct watch *w, const json_t *const logs[LOGS], size_t at[LOGS])
{
	const json_t *best = NULL;
	int from = 0;

	for (int i = 0; i < LOGS; i++) {
		const json_t *one;

		while ((one = json_array_get(logs[i], at[i])) &&
			(serial_of(one) <= w->told[i] || (i > 0 && is_told_twice(one))))
			at[i]++;
		if (one && (!best || json_integer_value(json_object_get(one, "time_ms")) <
					     json_integer_value(json_object_get(best, "time_ms")))) {
			best = one;
			from = i;
		}
	}
	if (best)
		w->told[from] = serial_of(best);
	return best;
}

static void print_news(struct watch *w, const json_t *document)
{
	const json_t *logs[LOGS] = {json_object_get(document, "log"),
		json_object_get(json_object_get(document, "shift"), "log")},
		     *entry;
	size_t at[LOGS] = {0, 0};

	while ((entry = next_entry(w, logs, at))) {
		if (w->open_line)
			printf("\r\033[K");
		w->open_line = false;
		print_entry(entry);
	}
	fflush(stdout);
}

/* -- the bar -- */

static uint32_t columns(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

static void draw(struct watch *w, const json_t *document)
{
	const json_t *shift = json_object_get(document, "shift");
	const json_t *s = shift ? shift : document;
	double share = json_number_value(json_object_get(s, "share"));
	uint32_t wide = columns(), bar = MIN(MAX(wide / 3, (uint32_t)BAR_MIN), (uint32_t)BAR_MAX),
		 full = (uint32_t)(share / 100 * bar);
	int left = (int)(json_integer_value(json_object_get(s, "left_ms")) / 1000);
	char rest[256];

	snprintf(rest, sizeof(rest), "%s", text_of(json_object_get(s, "verdict"), "text"));
	if (left)
		snprintf(rest + strlen(rest), sizeof(rest) - strlen(rest), "%s%ds left", *rest ? ", " : "",
			left);
	printf("\r\033[K%s [%s", text_of(document, "pool"), paint(PAINT_GOOD));
	for (uint32_t i = 0; i < bar; i++)
		putchar(i < full ? '#' : '-');
	printf("%s] %5.1f%% %s %.*s", paint_end(), share, text_of(s, "state"),
		(int)(wide > bar + 45 ? wide - bar - 45 : 0), rest);
	fflush(stdout);
	w->open_line = true;
}

static void print_document(const json_t *document)
{
	const json_t *shift = json_object_get(document, "shift");
	const json_t *verdict = json_object_get(shift ? shift : document, "verdict");
	const char *state = text_of(document, "state"), *why = text_of(document, "why");
	/* "aborted by ann" says it by itself. */
	bool said = strncmp(why, state, strlen(state)) == 0;

	printf("%s/%s: %s%s%s\n", text_of(document, "service"), text_of(document, "pool"), said ? "" : state,
		said ? "" : ", ", why);
	if (json_object_get(document, "share"))
		printf("  step %lld of %lld, %g%%",
			(long long)json_integer_value(json_object_get(document, "step")),
			(long long)json_integer_value(json_object_get(document, "steps")),
			json_number_value(json_object_get(document, "share")));
	else if (shift)
		printf("  shift: %s, %g%%", text_of(shift, "state"),
			json_number_value(json_object_get(shift, "share")));
	if (verdict)
		printf("; guards: %s, %s", text_of(verdict, "outcome"), text_of(verdict, "text"));
	if (verdict || shift || json_object_get(document, "share"))
		putchar('\n');
}

void follow_print(const struct client_options *o, const struct client_answer *a)
{
	if (o->json)
		client_print_json(a);
	else
		print_document(a->body);
}

int follow_show(const struct client_options *o, const char *path)
{
	struct client_answer a;
	int status = client_call(o, "GET", path, NULL, &a);

	if (status == CLI_DONE)
		follow_print(o, &a);
	client_answer_free(&a);
	return status;
}

/* -- the end -- */

static int ended(const struct watch *w, const json_t *document)
{
	const char *state = text_of(document, "state");
	int status = CLI_FAILED;

	if (strcmp(state, "done") == 0)
		return CLI_DONE;
	if (strcmp(state, "rolled_back") == 0)
		status = CLI_ROLLED_BACK;
	else if (json_is_true(json_object_get(document, "timed_out")))
		status = CLI_TIMED_OUT;
	fprintf(stderr, "weir %s: %s: %s\n", w->command->name,
		status == CLI_ROLLED_BACK ? "rolled back" : state, text_of(document, "why"));
	return status;
}

/* One look; the answer is the caller's. False: nobody answers, which may pass. */
static bool ask(struct watch *w, const char *path, uint64_t serial, uint64_t end, struct client_answer *a,
	int *status)
{
	struct client_options patient = *w->options;
	const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};
	char *query;

	*a = (struct client_answer){0};
	*status = CLI_DONE;
	patient.timeout = NULL;
	if (!client_reaches(w->options) && client_now_ms() < w->seen_ms + FOLLOW_ABSENCE_S * 1000) {
		nanosleep(&pause, NULL);
		return false;
	}
	MUST(asprintf(&query, "%s?wait=%llums&after=%llu", path,
		     (unsigned long long)MIN(
			     w->bar ? WAIT_BAR_MS : WAIT_LINE_MS, end - MIN(end, client_now_ms()) + 1),
		     (unsigned long long)serial) > 0);
	*status = client_ask(&patient, "GET", query, NULL, a);
	free(query);
	if (a->status == 0 && client_now_ms() < w->seen_ms + FOLLOW_ABSENCE_S * 1000) {
		client_answer_free(a);
		return false;
	}
	w->seen_ms = client_now_ms();
	return true;
}

static int finish(struct watch *w, const struct client_answer *a)
{
	if (w->open_line)
		putchar('\n');
	if (w->options->json)
		client_print_json(a);
	return ended(w, a->body);
}

int follow(const struct cli_command *c, const struct client_options *o, const char *path, uint64_t limit_ms)
{
	struct watch w = {.command = c,
		.options = o,
		.bar = !o->json && isatty(STDOUT_FILENO),
		.seen_ms = client_now_ms()};
	uint64_t serial = 0, end = limit_ms ? client_now_ms() + limit_ms : UINT64_MAX;
	struct client_answer a;
	int status;

	if (w.bar)
		printf("Ctrl-C ends this view, not the %s; --abort does that\n", c->name);
	while (client_now_ms() < end) {
		bool over;

		if (!ask(&w, path, serial, end, &a, &status))
			continue;
		if (status == CLI_DONE)
			status = client_problem(&a);
		if (status != CLI_DONE) {
			client_answer_free(&a);
			return status;
		}
		serial = (uint64_t)json_integer_value(json_object_get(a.body, "serial"));
		over = json_is_true(json_object_get(a.body, "ended"));
		snprintf(w.service, sizeof(w.service), "%s", text_of(a.body, "service"));
		if (!o->json)
			print_news(&w, a.body);
		if (w.bar && !over)
			draw(&w, a.body);
		if (over)
			status = finish(&w, &a);
		client_answer_free(&a);
		if (over)
			return status;
	}
	if (w.open_line)
		putchar('\n');
	fprintf(stderr, "weir %s: not over yet; it goes on by itself: weir %s %s --status\n", c->name,
		c->name, w.service);
	return CLI_TIMED_OUT;
}

int follow_within_timeout(const struct cli_command *c, const struct client_options *o, const char *path)
{
	uint64_t limit_ms = 0;

	if (o->timeout && !client_timeout(o, &limit_ms))
		return CLI_USAGE;
	return follow(c, o, path, limit_ms);
}
