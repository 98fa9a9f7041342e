#include "key_source.h"

#include <stdlib.h>

#define FETCH_MS 5000
#define BODY_MAX (256u * 1024)
#define PAUSE_MS 10000 /* between two that tokens ask for: anybody can make up a name of a key */
#define AGAIN_MS 1000 /* after a failure */

static void fetch(struct key_source *s);

static void on_refresh(struct deadline *d)
{
	struct key_source *s = CONTAINER(d, struct key_source, refresh);

	if (!s->fetching)
		fetch(s);
}

/* False with err: they are no keys. */
static bool take(struct key_source *s, struct str text, char *err, size_t err_n)
{
	struct jwks *fresh = calloc(1, sizeof(*fresh));
	bool good;

	MUST(fresh);
	good = jwks_parse(fresh, text, err, err_n);
	if (good) {
		jwks_free(&s->keys);
		s->keys = *fresh;
		s->fetched = true;
		s->takes++;
	}
	free(fresh);
	return good;
}

static void on_fetched(void *ctx, const struct fetcher_answer *answer)
{
	struct key_source *s = ctx;
	bool answered = answer->why == REASON_NONE && answer->status == 200, good;
	char err[256] = "", problem[FETCHER_PROBLEM_MAX], left_out[JWKS_LEFT_OUT_MAX];
	struct list all;
	struct list *link;

	s->fetching = NULL;
	good = answered && take(s, answer->body, err, sizeof(err));
	if (good) {
		dependency_good(s->state);
		dependency_remark(s->state, jwks_left_out(&s->keys, left_out));
	} else {
		dependency_bad(s->state, answered ? err : fetcher_problem(answer, problem));
	}
	deadline_arm(s->loop, &s->refresh, good ? s->refresh_ms : AGAIN_MS * 10);
	/* Who goes on may wait again, or end the last use of s. */
	list_init(&all);
	while ((link = list_pop_front(&s->waiting)))
		list_push_back(&all, link);
	while ((link = list_pop_front(&all))) {
		struct key_wait *w = CONTAINER(link, struct key_wait, link);

		w->go_on(w);
	}
}

static void fetch(struct key_source *s)
{
	struct fetcher_request rq = {
		.method = STR("GET"), .url = s->url, .timeout_ms = FETCH_MS, .body_max = BODY_MAX};
	struct arena a;

	arena_init(&a, &s->loop->mem);
	fields_add(&a, &rq.fields, FIELD_ACCEPT, STR("accept"), STR("application/json"));
	s->asked_ms = s->loop->now_ms;
	s->fetching = fetcher_begin(s->fetcher, &rq, on_fetched, s);
	arena_free(&a);
}

void key_source_init(
	struct key_source *s, struct loop *l, struct str url, uint32_t refresh_ms, struct dependency *state)
{
	s->loop = l;
	s->fetcher = fetcher_new(l, NULL);
	s->url = url;
	s->refresh_ms = refresh_ms;
	s->state = state;
	s->refresh.fire = on_refresh;
	list_init(&s->waiting);
	fetch(s);
}

void key_source_free(struct key_source *s)
{
	deadline_disarm(s->loop, &s->refresh);
	fetching_cancel(&s->fetching);
	fetcher_free(&s->fetcher);
	jwks_free(&s->keys);
}

bool key_source_wait(struct key_source *s, struct key_wait *w)
{
	/* What was begun by itself costs tokens nothing: a key may have been replaced a second later. */
	uint64_t now = s->loop->now_ms;
	bool early =
		s->fetched ? s->called_ms && now - s->called_ms < PAUSE_MS : now - s->asked_ms < AGAIN_MS;

	if (!s->fetching && early)
		return false;
	if (!s->fetching) {
		s->called_ms = now;
		fetch(s);
	}
	list_push_back(&s->waiting, &w->link);
	return true;
}
