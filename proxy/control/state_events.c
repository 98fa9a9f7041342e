/* control/state_events.c - the events in state.db: the lines of the event log, with who and why in columns of their own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/obj.h"
#include "control/state_db.h"

#define DAY_MS 86400000ll

static void bind_member(sqlite3_stmt *s, int at, const json_t *line, const char *name)
{
	const char *text = json_string_value(json_object_get(line, name));

	if (text)
		sqlite3_bind_text(s, at, text, -1, SQLITE_TRANSIENT);
	else
		sqlite3_bind_null(s, at);
}

/* The members that are columns of their own are not kept twice. */
static char *other_members(const json_t *line)
{
	static const char *const columns[] = {"number", "time", "level", "event", "author", "reason"};
	json_t *rest = json_copy((json_t *)line);
	char *text;

	MUST(rest);
	for (size_t i = 0; i < COUNT_OF(columns); i++)
		json_object_del(rest, columns[i]);
	text = json_dumps(rest, JSON_COMPACT);
	json_decref(rest);
	MUST(text);
	return text;
}

/* RFC 3339 with milliseconds, as event_emit() writes it. */
static int64_t time_of(const json_t *line)
{
	const char *text = json_string_value(json_object_get(line, "time"));
	struct tm tm = {0};
	int ms = 0;

	if (!text || sscanf(text, "%d-%d-%dT%d:%d:%d.%dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
			     &tm.tm_min, &tm.tm_sec, &ms) != 7)
		return state_wall_ms();
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return (int64_t)timegm(&tm) * 1000 + ms;
}

static int add_event(const struct state_db *d, sqlite3_stmt *s, const json_t *line)
{
	json_int_t number = json_integer_value(json_object_get(line, "number"));
	char *members = other_members(line);

	if (number)
		sqlite3_bind_int64(s, 7, d->numbered_from + number);
	else
		sqlite3_bind_null(s, 7);
	sqlite3_bind_int64(s, 1, time_of(line));
	bind_member(s, 2, line, "level");
	bind_member(s, 3, line, "event");
	sqlite3_bind_text(s, 4, members, -1, free);
	bind_member(s, 5, line, "author");
	bind_member(s, 6, line, "reason");
	if (sqlite3_step(s) == SQLITE_CONSTRAINT_PRIMARYKEY) {
		sqlite3_reset(s);
		sqlite3_bind_null(s, 7);
		sqlite3_step(s);
	}
	return sqlite3_reset(s); /* what the step came to */
}

static int drop_old_events(struct state_db *d)
{
	char sql[192];

	snprintf(sql, sizeof(sql),
		"DELETE FROM events WHERE seq <= (SELECT seq FROM events ORDER BY seq DESC LIMIT 1 OFFSET "
		"%d) OR time < %lld",
		STATE_DB_EVENTS_MAX, (long long)(state_wall_ms() - STATE_DB_EVENT_DAYS * DAY_MS));
	return state_db_run(d, sql);
}

static enum state_finished add_events_once(struct state_db *d, const json_t *lines)
{
	int code = state_db_begin(d);
	sqlite3_stmt *s = NULL;
	json_t *line;
	size_t i;

	if (code == SQLITE_OK)
		code = sqlite3_prepare_v2(d->db,
			"INSERT INTO events(time, level, name, members, author, reason, seq) VALUES(?, ?, ?, "
			"?, ?, ?, ?)",
			-1, &s, NULL);
	json_array_foreach(lines, i, line)
	{
		if (code == SQLITE_OK)
			code = add_event(d, s, line);
	}
	sqlite3_finalize(s);
	if (code == SQLITE_OK)
		code = drop_old_events(d);
	return state_db_finish(d, code);
}

bool state_db_add_events(struct state_db *d, const json_t *lines)
{
	enum state_finished done;

	MUST(d->loaded);
	done = add_events_once(d, lines);
	if (done == STATE_AGAIN)
		done = add_events_once(d, lines);
	return done == STATE_DONE && state_db_succeed(d);
}

static json_t *event_line(sqlite3_stmt *s)
{
	json_t *line = json_object(), *members = json_loads((const char *)sqlite3_column_text(s, 4), 0, NULL);
	int64_t at = sqlite3_column_int64(s, 1);
	time_t seconds = (time_t)(at / 1000);
	char when[40];
	struct tm tm;
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(when + n, sizeof(when) - n, ".%03dZ", (int)(at % 1000));
	json_object_set_new(line, "number", json_integer(sqlite3_column_int64(s, 0)));
	json_object_set_new(line, "time", json_string(when));
	json_object_set_new(line, "level", json_string((const char *)sqlite3_column_text(s, 2)));
	json_object_set_new(line, "event", json_string((const char *)sqlite3_column_text(s, 3)));
	if (members)
		json_object_update(line, members);
	json_decref(members);
	if (sqlite3_column_type(s, 5) == SQLITE_TEXT)
		json_object_set_new(line, "author", json_string((const char *)sqlite3_column_text(s, 5)));
	if (sqlite3_column_type(s, 6) == SQLITE_TEXT)
		json_object_set_new(line, "reason", json_string((const char *)sqlite3_column_text(s, 6)));
	return line;
}

json_t *state_db_events(struct state_db *d, int64_t after, int64_t before, int64_t since_ms, uint32_t limit)
{
	sqlite3_stmt *s = NULL;
	json_t *found;
	int code;

	if (!d->db)
		return NULL;
	if (sqlite3_prepare_v2(d->db,
		    "SELECT seq, time, level, name, members, author, reason FROM events WHERE seq > ? AND "
		    "seq < ? AND time >= ? ORDER BY seq LIMIT ?",
		    -1, &s, NULL) != SQLITE_OK)
		return NULL;
	sqlite3_bind_int64(s, 1, after);
	sqlite3_bind_int64(s, 2, before ? before : INT64_MAX);
	sqlite3_bind_int64(s, 3, since_ms);
	sqlite3_bind_int64(s, 4, limit);
	found = json_array();
	while ((code = sqlite3_step(s)) == SQLITE_ROW)
		json_array_append_new(found, event_line(s));
	sqlite3_finalize(s);
	if (code == SQLITE_DONE)
		return found;
	json_decref(found);
	return NULL;
}
