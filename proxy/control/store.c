#include "control/store.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/obj.h"
#include "control/io_thread.h"

#define EVENTS_AFTER_MS 1000 /* how old an event may grow before it is written */
#define EVENTS_AT_ONCE  200 /* so many are written at once, however young */
#define TRY_AGAIN_MS    5000
#define LOOK_MS         1000 /* how often it is looked whether another process has changed the file */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* -- what the I/O thread tells of the file -- */

struct news {
	struct mail mail;
	struct store *store;
	uint8_t fault;
	bool opened, loaded;
	bool elsewhere;
	uint64_t numbered_from;
	char error[256];
	json_t *documents; /* NULL: none were read with this */
};

static void deliver_news(struct mail *m, void *receiver)
{
	struct news *n = CONTAINER(m, struct news, mail);
	struct store *s = n->store;
	bool first = !s->opened;

	(void)receiver;
	if (s->fault == STATE_WELL && n->fault != STATE_WELL)
		s->since_ms = s->loop->now_ms;
	s->fault = n->fault;
	memcpy(s->error, n->error, sizeof(s->error));
	s->opened |= n->opened;
	s->loaded |= n->loaded;
	s->numbered_from = n->numbered_from;
	if (n->documents) {
		json_decref(s->documents);
		s->documents = n->documents;
		s->elsewhere = n->elsewhere;
	}
	if (s->changed && !first)
		s->changed(s->ctx, n->documents != NULL);
	free(n);
}

/* Texts become JSON again. One that cannot be read is nobody's: it is told and left out. */
static json_t *parse_documents(const struct state_db *d)
{
	json_t *all = json_object(), *of_kind, *texts, *text, *body;
	const char *kind, *key;

	json_object_foreach(d->documents, kind, texts)
	{
		of_kind = json_object();
		json_object_foreach(texts, key, text)
		{
			body = json_loads(json_string_value(text), JSON_DECODE_ANY, NULL);
			if (body)
				json_object_set_new(of_kind, key, body);
			else
				event_emit(d->io, CONF_LEVEL_ERROR, "state_unreadable",
					json_pack("{s:s, s:s}", "kind", kind, "key", key));
		}
		json_object_set_new(all, kind, of_kind);
	}
	return all;
}

static void tell_events(struct store_keeper *k)
{
	const struct state_db *d = &k->db;

	if (d->fault == STATE_WELL)
		event_emit(d->io, CONF_LEVEL_INFO, "state_writable",
			json_pack("{s:s, s:I}", "path", d->path, "events_lost", (json_int_t)k->dropped));
	else
		event_emit(d->io, CONF_LEVEL_ERROR, "state_unwritable",
			json_pack("{s:s, s:s}", "error", d->error, "now",
				"serving goes on; changes at run time are refused"));
}

/* After each use of the file: control learns what has changed. */
static void tell(struct store_keeper *k, bool opened, bool documents)
{
	struct state_db *d = &k->db;
	bool elsewhere = d->changed;
	struct news *n;

	documents |= elsewhere;
	d->changed = false;
	if (elsewhere)
		event_emit(d->io, CONF_LEVEL_WARNING, "state_changed",
			json_pack("{s:s, s:s}", "path", d->path, "now",
				"another process has changed it: what it says now holds"));
	if (d->fault != STATE_WELL)
		k->tried_ms = now_ms();
	if (!opened && !documents && d->fault == k->told)
		return;
	if (d->fault != k->told)
		tell_events(k);
	k->told = d->fault;
	n = calloc(1, sizeof(*n));
	MUST(n);
	n->mail.deliver = deliver_news;
	n->store = k->store;
	n->fault = d->fault;
	n->opened = opened;
	n->loaded = d->loaded;
	n->elsewhere = elsewhere;
	n->numbered_from = (uint64_t)d->numbered_from;
	memcpy(n->error, d->error, sizeof(n->error));
	n->documents = documents ? parse_documents(d) : NULL;
	mailbox_send(k->box, &n->mail);
}

/* Tries to read the file for the first time. */
static bool load(struct store_keeper *k, bool opened)
{
	char err[200];

	if (k->db.dir && !state_dir_make(k->db.dir, NULL, err, sizeof(err))) {
		k->db.fault = STATE_UNWRITABLE;
		snprintf(k->db.error, sizeof(k->db.error), "state_dir: %s", err);
	} else {
		state_db_load(&k->db);
	}
	tell(k, opened, k->db.loaded);
	return k->db.loaded;
}

/* -- events -- */

void store_keep_event(struct store_keeper *k, uint64_t number, const char *line, size_t n)
{
	json_t *event = json_loadb(line, n, 0, NULL);

	if (!event)
		return;
	if (json_array_size(k->events) == 0)
		k->first_ms = now_ms();
	if (json_array_size(k->events) == STORE_EVENTS_MAX) {
		json_array_remove(k->events, 0);
		k->dropped++;
	}
	json_object_set_new(event, "number", json_integer((json_int_t)number));
	json_array_append_new(k->events, event);
}

static void write_events(struct store_keeper *k)
{
	if (state_db_add_events(&k->db, k->events)) {
		json_array_clear(k->events);
		tell(k, false, false);
		k->dropped = 0;
	} else {
		tell(k, false, false);
	}
}

void store_tick(struct store_keeper *k, bool last)
{
	size_t n = json_array_size(k->events);
	uint64_t now = now_ms();

	if (!k->wanted || (k->db.fault != STATE_WELL && now - k->tried_ms < TRY_AGAIN_MS))
		return;
	if (!k->db.loaded && !load(k, false))
		return;
	if (!last && now - k->looked_ms >= LOOK_MS) {
		k->looked_ms = now;
		if (state_db_look(&k->db))
			tell(k, false, false);
	}
	if (n && (last || n >= EVENTS_AT_ONCE || now - k->first_ms >= EVENTS_AFTER_MS))
		write_events(k);
}

/* -- opening, moving -- */

struct opening {
	struct mail mail;
	char *dir;
};

/* What is in force goes to the other directory; until that has worked, the old file is the one. */
static void move_to(struct store_keeper *k, const char *dir)
{
	struct state_db next;
	char err[256];

	state_db_init(&next, k->db.io, dir);
	if (!state_dir_make(dir, NULL, err, sizeof(err))) {
		event_emit(k->db.io, CONF_LEVEL_ERROR, "state_not_moved",
			json_pack("{s:s, s:s}", "to", dir, "error", err));
		state_db_free(&next);
		return;
	}
	json_decref(next.documents);
	next.documents = json_incref(k->db.documents);
	next.numbered_from = k->db.numbered_from;
	next.loaded = next.anew = true;
	if (state_db_write(&next, NULL, 0)) {
		state_db_free(&k->db);
		k->db = next;
		event_emit(k->db.io, CONF_LEVEL_INFO, "state_moved", json_pack("{s:s}", "path", next.path));
		tell(k, false, false);
	} else {
		event_emit(k->db.io, CONF_LEVEL_ERROR, "state_not_moved",
			json_pack("{s:s, s:s}", "to", dir, "error", next.error));
		state_db_free(&next);
	}
}

static void deliver_opening(struct mail *m, void *receiver)
{
	struct opening *o = CONTAINER(m, struct opening, mail);
	struct store_keeper *k = ((struct io_thread *)receiver)->keeper;

	if (!k->wanted || !k->db.loaded) {
		if (k->db.documents)
			state_db_free(&k->db);
		state_db_init(&k->db, receiver, o->dir);
		k->db.numbered_from = (int64_t)k->numbers_used;
		load(k, !k->wanted);
		k->wanted = true;
	} else if (strcmp(k->db.dir, o->dir) != 0) {
		move_to(k, o->dir);
	}
	free(o->dir);
	free(o);
}

void store_init(struct store *s, struct io_thread *io, struct loop *l, struct mailbox *box)
{
	*s = (struct store){.io = io, .loop = l};
	s->keeper = (struct store_keeper){.events = json_array(), .box = box, .store = s};
	MUST(s->keeper.events);
	io->keeper = &s->keeper;
}

void store_open(struct store *s, const char *dir)
{
	struct opening *o = calloc(1, sizeof(*o));

	MUST(o);
	o->mail.deliver = deliver_opening;
	o->dir = strdup(dir);
	MUST(o->dir);
	mailbox_send(&s->io->box, &o->mail);
}

void store_wait(struct store *s, void *receiver)
{
	struct mailbox *box = s->keeper.box;

	while (!s->opened) {
		struct pollfd pfd = {.fd = box->fd, .events = POLLIN};

		poll(&pfd, 1, -1);
		mailbox_deliver(box, receiver);
	}
}

json_t *store_load(const struct store *s, const char *kind)
{
	json_t *all = s->documents ? json_object_get(s->documents, kind) : NULL;

	return all ? json_incref(all) : json_object();
}

void store_forget(struct store *s)
{
	json_decref(s->documents);
	s->documents = NULL;
}

/* -- commits -- */

struct commit {
	struct mail mail;
	struct store *store;
	void (*done)(void *ctx, const char *error);
	void *ctx;
	bool good;
	char error[256];
	uint32_t n;
	struct state_change v[];
};

static void deliver_done(struct mail *m, void *receiver)
{
	struct commit *c = CONTAINER(m, struct commit, mail);

	(void)receiver;
	c->store->open--;
	if (c->done)
		c->done(c->ctx, c->good ? NULL : c->error);
	free(c);
}

static void deliver_commit(struct mail *m, void *receiver)
{
	struct commit *c = CONTAINER(m, struct commit, mail);
	struct store_keeper *k = ((struct io_thread *)receiver)->keeper;

	if (!k->db.loaded && load(k, false)) {
		/* It was decided without knowing what is in the file. */
		snprintf(c->error, sizeof(c->error),
			"the state can be read again since just now: look at it, then "
			"try again");
	} else if (k->db.loaded) {
		c->good = state_db_write(&k->db, c->v, c->n);
		if (!c->good)
			memcpy(c->error, k->db.error, sizeof(c->error));
		tell(k, false, false);
	}
	if (!c->good && !c->error[0])
		memcpy(c->error, k->db.error, sizeof(c->error));
	for (uint32_t i = 0; i < c->n; i++) {
		free(c->v[i].kind);
		free(c->v[i].key);
		free(c->v[i].body);
	}
	c->mail.deliver = deliver_done;
	mailbox_send(k->box, &c->mail);
}

void store_commit(struct store *s, const struct store_write *writes, uint32_t n,
	void (*done)(void *ctx, const char *error), void *ctx)
{
	struct commit *c = calloc(1, sizeof(*c) + n * sizeof(c->v[0]));

	MUST(c);
	s->open++;
	c->store = s;
	c->mail.deliver = deliver_commit;
	c->done = done;
	c->ctx = ctx;
	c->n = n;
	for (uint32_t i = 0; i < n; i++) {
		c->v[i].kind = strdup(writes[i].kind);
		c->v[i].key = strdup(writes[i].key);
		MUST(c->v[i].kind && c->v[i].key);
		if (!writes[i].body)
			continue;
		c->v[i].body = json_dumps(writes[i].body, JSON_COMPACT | JSON_ENCODE_ANY);
		MUST(c->v[i].body);
	}
	mailbox_send(&s->io->box, &c->mail);
}

/* -- reading events -- */

struct question {
	struct mail mail;
	int64_t after, before, since_ms;
	uint32_t limit;
	json_t *found;
	char error[256];
	void (*done)(void *ctx, json_t *events, const char *error);
	void *ctx;
};

static void deliver_answer(struct mail *m, void *receiver)
{
	struct question *q = CONTAINER(m, struct question, mail);

	(void)receiver;
	q->done(q->ctx, q->found, q->found ? NULL : q->error);
	free(q);
}

static void deliver_question(struct mail *m, void *receiver)
{
	struct question *q = CONTAINER(m, struct question, mail);
	struct store_keeper *k = ((struct io_thread *)receiver)->keeper;

	if (k->db.loaded && json_array_size(k->events))
		write_events(k);
	q->found = state_db_events(&k->db, q->after, q->before, q->since_ms, q->limit);
	if (!q->found)
		snprintf(q->error, sizeof(q->error), "%s",
			k->db.error[0] ? k->db.error : "the events cannot be read");
	q->mail.deliver = deliver_answer;
	mailbox_send(k->box, &q->mail);
}

void store_events(struct store *s, int64_t after, int64_t before, int64_t since_ms, uint32_t limit,
	void (*done)(void *ctx, json_t *events, const char *error), void *ctx)
{
	struct question *q = calloc(1, sizeof(*q));

	MUST(q);
	q->mail.deliver = deliver_question;
	q->after = after;
	q->before = before;
	q->since_ms = since_ms;
	q->limit = limit;
	q->done = done;
	q->ctx = ctx;
	mailbox_send(&s->io->box, &q->mail);
}

/* -- the rest -- */

json_t *store_status(const struct store *s)
{
	static const char *const names[] = {"none", "full", "busy", "unwritable", "foreign"};
	json_t *status =
		json_pack("{s:b, s:s}", "writable", s->fault == STATE_WELL, "fault", names[s->fault]);

	if (s->fault != STATE_WELL) {
		json_object_set_new(status, "error", json_string(s->error));
		json_object_set_new(status, "for_seconds",
			json_integer((json_int_t)((s->loop->now_ms - s->since_ms) / 1000)));
	}
	return status;
}

void store_free(struct store *s)
{
	store_forget(s);
	if (s->keeper.db.documents)
		state_db_free(&s->keeper.db);
	json_decref(s->keeper.events);
	s->keeper.events = NULL;
}
