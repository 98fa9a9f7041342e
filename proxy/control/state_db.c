#include "control/state_db.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/obj.h"
#include "control/io_thread.h"

#define APPLICATION_ID   0x57656972 /* "Weir": what file(1) and we know it by */
#define STATE_DB_BUSY_MS 2000
#define NAME_TRIES       100

static const char schema[] = "CREATE TABLE documents(kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT "
			     "NULL, updated INTEGER NOT "
			     "NULL, PRIMARY KEY(kind, key)) WITHOUT ROWID;"
			     "CREATE TABLE events(seq INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT "
			     "NULL, level TEXT NOT NULL, "
			     "name TEXT NOT NULL, members TEXT NOT NULL, author TEXT, reason TEXT);"
			     "CREATE INDEX events_by_time ON events(time);";

int64_t state_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void state_db_init(struct state_db *d, struct io_thread *io, const char *dir)
{
	*d = (struct state_db){.io = io, .documents = json_object()};
	MUST(d->documents);
	if (!dir)
		return;
	d->dir = strdup(dir);
	MUST(d->dir && asprintf(&d->path, "%s/state.db", dir) > 0);
}

/* -- what goes wrong -- */

__attribute__((format(printf, 3, 4))) static bool fail(
	struct state_db *d, enum state_fault fault, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->error, sizeof(d->error), fmt, ap);
	va_end(ap);
	d->fault = (uint8_t)fault;
	return false;
}

bool state_db_succeed(struct state_db *d)
{
	d->fault = STATE_WELL;
	d->error[0] = '\0';
	return true;
}

static void close_file(struct state_db *d)
{
	sqlite3_close(d->db);
	d->db = NULL;
	d->data_version = -1; /* it is counted anew for each connection */
}

static bool is_damaged(int code)
{
	return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

/* What SQLite said, in our words; a connection that has seen the disk fail is not used again. */
static bool fail_sqlite(struct state_db *d, int code, int err)
{
	const char *why = err ? strerror(err) : "no error of the system";

	if ((code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED)
		return fail(d, STATE_BUSY, "%s: another process holds it", d->path);
	if ((code & 0xff) == SQLITE_FULL || err == ENOSPC || err == EDQUOT || err == EFBIG)
		fail(d, STATE_FULL, "%s: no room is left on the disk", d->path);
	else
		fail(d, STATE_UNWRITABLE, "%s: %s (%s)", d->path, sqlite3_errstr(code), why);
	close_file(d);
	return false;
}

/* -- one file -- */

int state_db_run(struct state_db *d, const char *sql)
{
	return sqlite3_exec(d->db, sql, NULL, NULL, NULL);
}

/* The first column of the first row. */
static int ask_number(struct state_db *d, const char *sql, int64_t *value)
{
	sqlite3_stmt *s = NULL;
	int code = sqlite3_prepare_v2(d->db, sql, -1, &s, NULL);

	if (code == SQLITE_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
		*value = sqlite3_column_int64(s, 0);
		code = SQLITE_OK;
	}
	sqlite3_finalize(s);
	return code;
}

static int check_pages(struct state_db *d)
{
	sqlite3_stmt *s = NULL;
	int code = sqlite3_prepare_v2(d->db, "PRAGMA quick_check(1)", -1, &s, NULL);

	if (code == SQLITE_OK && (code = sqlite3_step(s)) == SQLITE_ROW)
		code = strcmp((const char *)sqlite3_column_text(s, 0), "ok") == 0 ? SQLITE_OK
										  : SQLITE_CORRUPT;
	sqlite3_finalize(s);
	return code;
}

/* Whose is it? A new file is ours. */
static bool check_owner(struct state_db *d, int64_t *version, int *code)
{
	int64_t id = 0, tables = 0;

	*code = ask_number(d, "PRAGMA user_version", version);
	if (*code == SQLITE_OK)
		*code = ask_number(d, "PRAGMA application_id", &id);
	if (*code == SQLITE_OK)
		*code = ask_number(d, "SELECT count(*) FROM sqlite_master", &tables);
	if (*code != SQLITE_OK)
		return false;
	if (tables && id != APPLICATION_ID)
		return fail(d, STATE_FOREIGN, "%s is not weir's: move it away, or set another state_dir",
			d->path);
	if (*version > STATE_DB_SCHEMA)
		return fail(d, STATE_FOREIGN,
			"%s was written by a newer weir (schema %lld, this one knows %d): run that one, or "
			"move "
			"the file away",
			d->path, (long long)*version, STATE_DB_SCHEMA);
	return true;
}

/* Two processes may meet at a new file: who comes second finds it made. */
static int make_tables(struct state_db *d)
{
	int64_t version = 0;
	char end[96];
	int code = state_db_run(d, "BEGIN IMMEDIATE");

	if (code != SQLITE_OK)
		return code;
	code = ask_number(d, "PRAGMA user_version", &version);
	if (code == SQLITE_OK && version == 0) {
		snprintf(end, sizeof(end), "PRAGMA application_id=%d; PRAGMA user_version=%d", APPLICATION_ID,
			STATE_DB_SCHEMA);
		code = state_db_run(d, schema);
		if (code == SQLITE_OK)
			code = state_db_run(d, end);
	}
	if (code == SQLITE_OK)
		code = state_db_run(d, "COMMIT");
	if (code != SQLITE_OK)
		state_db_run(d, "ROLLBACK");
	return code;
}

static bool remember_file(struct state_db *d)
{
	struct stat st;

	if (stat(d->path, &st) != 0)
		return fail(d, STATE_UNWRITABLE, "%s: %s", d->path, strerror(errno));
	if (d->dev != st.st_dev || d->ino != st.st_ino)
		d->anew = true;
	d->dev = st.st_dev;
	d->ino = st.st_ino;
	return true;
}

/* Opens and makes it. False with *code SQLite's, when it was SQLite that failed. */
static bool open_once(struct state_db *d, int *code)
{
	int64_t version = 0;
	int fd;

	*code = SQLITE_OK;
	/* SQLite gives its other files the mode of this one. */
	fd = open(d->path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (fd < 0)
		return fail(d, errno == ENOSPC || errno == EDQUOT ? STATE_FULL : STATE_UNWRITABLE, "%s: %s",
			d->path, strerror(errno));
	close(fd);
	*code = sqlite3_open_v2(
		d->path, &d->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (*code != SQLITE_OK)
		return false;
	sqlite3_extended_result_codes(d->db, 1);
	sqlite3_busy_timeout(d->db, STATE_DB_BUSY_MS);
	if (!remember_file(d) || !check_owner(d, &version, code))
		return false;
	*code = check_pages(d);
	if (*code == SQLITE_OK)
		*code = state_db_run(d,
			"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-256; PRAGMA "
			"journal_size_limit=4194304");
	if (*code == SQLITE_OK && version == 0) {
		d->anew = true;
		*code = make_tables(d);
	}
	return *code == SQLITE_OK;
}

static bool move(const char *path, const char *to, const char *suffix)
{
	char *from_name, *to_name;
	bool moved;

	MUST(asprintf(&from_name, "%s%s", path, suffix) > 0 && asprintf(&to_name, "%s%s", to, suffix) > 0);
	moved = rename(from_name, to_name) == 0;
	free(from_name);
	free(to_name);
	return moved;
}

/* state.db.corrupt-TIME, with a number if there is one of this second already. The caller frees it. */
static char *name_aside(const struct state_db *d)
{
	time_t now = time(NULL);
	char when[32], *name = NULL;
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	for (int i = 1; i < NAME_TRIES; i++) {
		free(name);
		MUST((i == 1 ? asprintf(&name, "%s.corrupt-%s", d->path, when)
			     : asprintf(&name, "%s.corrupt-%s.%d", d->path, when, i)) > 0);
		if (access(name, F_OK) != 0)
			break;
	}
	return name;
}

/* A damaged file is somebody's evidence: it gets another name, with all that belongs to it. */
static bool set_aside(struct state_db *d, const char *why)
{
	char *name = name_aside(d);

	close_file(d);
	if (!move(d->path, name, "")) {
		fail(d, STATE_UNWRITABLE, "%s is damaged (%s) and cannot be moved away: %s", d->path, why,
			strerror(errno));
		free(name);
		return false;
	}
	move(d->path, name, "-wal");
	/* The index of the log is made anew; an old one beside a new file would be wrong. */
	move(d->path, name, "-shm");
	event_emit(d->io, CONF_LEVEL_ERROR, "state_corrupt",
		json_pack("{s:s, s:s, s:s, s:s}", "path", d->path, "kept_as", name, "error", why, "now",
			d->loaded ? "written anew with what is in force" : "started from the configuration"));
	free(name);
	return true;
}

static bool open_file(struct state_db *d)
{
	int code;

	if (!d->path)
		return fail(d, STATE_UNWRITABLE, "there is no state_dir");
	if (open_once(d, &code))
		return true;
	if (is_damaged(code)) {
		if (!set_aside(d, sqlite3_errstr(code)))
			return false;
		if (open_once(d, &code))
			return true;
	}
	if (code != SQLITE_OK)
		fail_sqlite(d, code, d->db ? sqlite3_system_errno(d->db) : errno);
	close_file(d);
	return false;
}

/* -- documents -- */

static void remember(struct state_db *d, const char *kind, const char *key, const char *body)
{
	json_t *all = json_object_get(d->documents, kind);

	if (!all && body) {
		all = json_object();
		json_object_set_new(d->documents, kind, all);
	}
	if (body)
		json_object_set_new(all, key, json_string(body));
	else
		json_object_del(all, key);
}

static int read_documents(struct state_db *d)
{
	sqlite3_stmt *s = NULL;
	int code = sqlite3_prepare_v2(d->db, "SELECT kind, key, body FROM documents", -1, &s, NULL);

	json_object_clear(d->documents);
	while (code == SQLITE_OK || code == SQLITE_ROW) {
		code = sqlite3_step(s);
		if (code == SQLITE_ROW)
			remember(d, (const char *)sqlite3_column_text(s, 0),
				(const char *)sqlite3_column_text(s, 1),
				(const char *)sqlite3_column_text(s, 2));
	}
	sqlite3_finalize(s);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

static bool differs(json_t *before, json_t *after, const struct state_change *c)
{
	const json_t *a = json_object_get(json_object_get(before, c->kind), c->key);
	const json_t *b = json_object_get(json_object_get(after, c->kind), c->key);

	return a != b && !json_equal(a, b);
}

/* Another process may have committed: what it has made of the documents is what holds. *met: one of those n is among them. */
static int compare_documents(struct state_db *d, const struct state_change *v, uint32_t n, bool *met)
{
	int64_t version = d->data_version;
	int code = ask_number(d, "PRAGMA data_version", &version);
	json_t *before;

	*met = false;

	if (code != SQLITE_OK || version == d->data_version || d->anew)
		return code;
	before = d->documents;
	d->documents = json_object();
	code = read_documents(d);
	if (code != SQLITE_OK || json_equal(before, d->documents)) {
		json_decref(d->documents);
		d->documents = before;
	} else {
		d->changed = true;
		for (uint32_t i = 0; i < n; i++)
			*met |= differs(before, d->documents, &v[i]);
		json_decref(before);
	}
	if (code == SQLITE_OK)
		d->data_version = version;
	return code;
}

bool state_db_look(struct state_db *d)
{
	bool met;

	if (d->db && d->loaded)
		compare_documents(d, NULL, 0, &met);
	return d->changed;
}

bool state_db_load(struct state_db *d)
{
	int64_t last = 0;
	int code;

	if (!open_file(d))
		return false;
	code = ask_number(d, "PRAGMA data_version", &d->data_version);
	if (code == SQLITE_OK)
		code = read_documents(d);
	if (is_damaged(code)) {
		json_object_clear(d->documents);
		if (!set_aside(d, sqlite3_errstr(code)) || !open_file(d))
			return false;
		code = SQLITE_OK;
	}
	if (code != SQLITE_OK) {
		json_object_clear(d->documents);
		return fail_sqlite(d, code, sqlite3_system_errno(d->db));
	}
	d->loaded = true;
	d->anew = false;
	/* A process that still finishes may have used numbers that are not on the disk yet. */
	ask_number(d, "SELECT seq FROM sqlite_sequence WHERE name = 'events'", &last);
	last = MAX(last, d->numbered_from);
	if (last)
		d->numbered_from = last + STATE_DB_NUMBERS_LEFT;
	return state_db_succeed(d);
}

static int put(struct state_db *d, const char *kind, const char *key, const char *body)
{
	sqlite3_stmt *s = NULL;
	int code = sqlite3_prepare_v2(d->db,
		body ? "INSERT OR REPLACE INTO documents(kind, key, body, updated) VALUES(?, ?, ?, ?)"
		     : "DELETE FROM documents WHERE kind = ? AND key = ?",
		-1, &s, NULL);

	if (code != SQLITE_OK)
		return code;
	sqlite3_bind_text(s, 1, kind, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 2, key, -1, SQLITE_STATIC);
	if (body) {
		sqlite3_bind_text(s, 3, body, -1, SQLITE_STATIC);
		sqlite3_bind_int64(s, 4, state_wall_ms());
	}
	code = sqlite3_step(s);
	sqlite3_finalize(s);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* The file is another one than it was: all documents go into it. Part of a transaction. */
static int put_all(struct state_db *d)
{
	int code = state_db_run(d, "DELETE FROM documents");
	const char *kind, *key;
	json_t *all, *body;

	json_object_foreach(d->documents, kind, all)
	{
		json_object_foreach(all, key, body)
		{
			if (code == SQLITE_OK)
				code = put(d, kind, key, json_string_value(body));
		}
	}
	return code;
}

int state_db_begin(struct state_db *d)
{
	struct stat st;
	int code;

	if (d->db && (stat(d->path, &st) != 0 || st.st_dev != d->dev || st.st_ino != d->ino)) {
		event_emit(d->io, CONF_LEVEL_WARNING, "state_replaced",
			json_pack(
				"{s:s, s:s}", "path", d->path, "now", "written anew with what is in force"));
		close_file(d);
		d->anew = true;
	}
	if (!d->db && !open_file(d))
		return -1;
	errno = 0;
	code = state_db_run(d, "BEGIN IMMEDIATE");
	if (code == SQLITE_OK && d->anew)
		code = put_all(d);
	return code;
}

enum state_finished state_db_finish(struct state_db *d, int code)
{
	int err;

	if (code == SQLITE_OK)
		code = state_db_run(d, "COMMIT");
	err = errno; /* SQLite does not always say why a write failed */
	if (code == SQLITE_OK) {
		d->anew = false;
		return STATE_DONE;
	}
	if (code < 0)
		return STATE_FAILED;
	if (is_damaged(code))
		return set_aside(d, sqlite3_errstr(code)) ? STATE_AGAIN : STATE_FAILED;
	if (!sqlite3_get_autocommit(d->db))
		state_db_run(d, "ROLLBACK");
	fail_sqlite(d, code, err);
	return STATE_FAILED;
}

static enum state_finished write_once(struct state_db *d, const struct state_change *v, uint32_t n)
{
	int code = state_db_begin(d);
	bool met = false;

	if (code == SQLITE_OK)
		code = compare_documents(d, v, n, &met);
	if (code == SQLITE_OK && met) {
		state_db_run(d, "ROLLBACK");
		snprintf(d->error, sizeof(d->error),
			"%s was changed by another process: look at what holds now, then try again", d->path);
		return STATE_FAILED;
	}
	for (uint32_t i = 0; i < n && code == SQLITE_OK; i++)
		code = put(d, v[i].kind, v[i].key, v[i].body);
	return state_db_finish(d, code);
}

bool state_db_write(struct state_db *d, const struct state_change *v, uint32_t n)
{
	enum state_finished done;

	MUST(d->loaded);
	done = write_once(d, v, n);
	if (done == STATE_AGAIN)
		done = write_once(d, v, n);
	if (done != STATE_DONE)
		return false;
	for (uint32_t i = 0; i < n; i++)
		remember(d, v[i].kind, v[i].key, v[i].body);
	return state_db_succeed(d);
}

/* -- the rest -- */

void state_db_free(struct state_db *d)
{
	close_file(d);
	json_decref(d->documents);
	free(d->dir);
	free(d->path);
	*d = (struct state_db){0};
}

/* -- the directory -- */

static bool make_one(const char *path, mode_t mode, char *err, size_t n)
{
	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return true;
	snprintf(err, n, "%s: %s", path, strerror(errno));
	return false;
}

bool state_dir_make(const char *dir, const char *user, char *err, size_t n)
{
	char path[4096];
	struct passwd *who;
	struct stat st;

	if (snprintf(path, sizeof(path), "%s", dir) >= (int)sizeof(path)) {
		snprintf(err, n, "its name is too long");
		return false;
	}
	if (stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return true;
		snprintf(err, n, "%s is not a directory", path);
		return false;
	}
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (!make_one(path, 0755, err, n))
			return false;
		*p = '/';
	}
	if (!make_one(path, 0750, err, n))
		return false;
	if (!user || !*user || geteuid() != 0)
		return true;
	who = getpwnam(user);
	if (who && chown(path, who->pw_uid, who->pw_gid) == 0)
		return true;
	snprintf(err, n, "%s cannot be given to user %s: %s", path, user,
		who ? strerror(errno) : "there is no such user");
	return false;
}
