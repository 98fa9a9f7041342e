/* state_dir.h - a directory for a state.db, and an I/O thread that never runs but whose events can be read. */
#ifndef WEIR_TESTS_CONTROL_STATE_DIR_H
#define WEIR_TESTS_CONTROL_STATE_DIR_H

#include "unit.h"
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>
#include "base/obj.h"
#include "control/io_thread.h"
#include "control/state_db.h"

struct state_dir {
	char dir[64], db[96], events[96];
	struct io_thread io;
};

static inline void state_dir_begin(struct state_dir *s)
{
	*s = (struct state_dir){0};
	strcpy(s->dir, "/tmp/weir-state-XXXXXX");
	MUST(mkdtemp(s->dir));
	snprintf(s->db, sizeof(s->db), "%s/state.db", s->dir);
	snprintf(s->events, sizeof(s->events), "%s/events", s->dir);
	MUST(mailbox_init(&s->io.box) == 0);
	s->io.events.fd = open(s->events, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	MUST(s->io.events.fd >= 0);
}

static inline void state_dir_end(struct state_dir *s)
{
	char command[128];

	mailbox_deliver(&s->io.box, &s->io);
	mailbox_free(&s->io.box);
	close(s->io.events.fd);
	snprintf(command, sizeof(command), "rm -rf %s", s->dir);
	MUST(system(command) == 0);
}

/* Was there an event of that name? */
static inline bool state_dir_told(struct state_dir *s, const char *name)
{
	static char text[65536];
	char want[96];
	ssize_t n;

	mailbox_deliver(&s->io.box, &s->io);
	n = pread(s->io.events.fd, text, sizeof(text) - 1, 0);
	MUST(n >= 0);
	text[n] = '\0';
	snprintf(want, sizeof(want), "\"event\":\"%s\"", name);
	return strstr(text, want) != NULL;
}

/* No file may grow beyond so many bytes: what a full disk looks like to who writes. 0: as it was. */
static inline void state_dir_limit(rlim_t bytes)
{
	static struct rlimit before;
	struct rlimit now;

	signal(SIGXFSZ, SIG_IGN);
	if (bytes)
		MUST(getrlimit(RLIMIT_FSIZE, &before) == 0);
	now = before;
	if (bytes)
		now.rlim_cur = bytes;
	MUST(setrlimit(RLIMIT_FSIZE, &now) == 0);
}

/* What state.db holds, asked by somebody else. */
static inline void state_dir_sql(const struct state_dir *s, const char *sql, char *answer, size_t n)
{
	sqlite3 *db;
	sqlite3_stmt *stmt = NULL;

	answer[0] = '\0';
	MUST(sqlite3_open(s->db, &db) == SQLITE_OK);
	MUST(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK);
	if (sqlite3_step(stmt) == SQLITE_ROW && sqlite3_column_text(stmt, 0))
		snprintf(answer, n, "%s", (const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	MUST(sqlite3_close(db) == SQLITE_OK);
}

#endif
