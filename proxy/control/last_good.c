#include "control/last_good.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/escape.h"
#include "base/obj.h"

#define STATE_DIR_DEFAULT "/var/lib/weir"
#define FILE_MAX          (512u * 1024 * 1024)
#define PIECE_MAX         4096u /* of a text at once ... */
#define ESCAPED_MAX       6u /* ... of whose bytes each may become so many */
#define BUFFER_BYTES      (64u * 1024)
#define HEAD_MAX          (ESCAPED_MAX * (PATH_MAX + PIECE_MAX))

/* -- reading -- */

static json_t *parse(int fd)
{
	json_t *all = NULL;
	struct stat st;
	char *text;

	/* Not where the descriptor stands: others have it too. */
	if (fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > (off_t)FILE_MAX)
		return NULL;
	text = malloc((size_t)st.st_size);
	MUST(text);
	if (pread(fd, text, (size_t)st.st_size, 0) == (ssize_t)st.st_size)
		all = json_loadb(text, (size_t)st.st_size, 0, NULL);
	free(text);
	return all;
}

struct conf *last_good_load(int fd, struct conf_report *report)
{
	json_t *all = parse(fd), *files = json_object_get(all, "files");
	size_t n = json_array_size(files);
	struct conf_kept *v = calloc(n + 1, sizeof(*v));
	struct conf *c;

	MUST(v);
	v[0] = (struct conf_kept){STR(""), STR("")};
	for (size_t i = 0; i < n; i++) {
		const json_t *name = json_object_get(json_array_get(files, i), "name");
		const json_t *text = json_object_get(json_array_get(files, i), "text");

		if (json_is_string(name) && json_is_string(text))
			v[i] = (struct conf_kept){{json_string_value(name), json_string_length(name)},
				{json_string_value(text), json_string_length(text)}};
		else
			v[i] = v[0];
	}
	c = conf_load_kept(v, (uint32_t)MAX(n, 1), report);
	free(v);
	json_decref(all);
	return c;
}

/* -- writing -- */

/* A file that is written through a buffer; one error is the last of it. */
struct output {
	int fd;
	int error; /* errno; 0: none so far */
	struct text text;
};

static void flush(struct output *o)
{
	const char *at = o->text.p;

	while (o->text.n && !o->error) {
		ssize_t done = write(o->fd, at, o->text.n);

		if (done > 0) {
			at += done;
			o->text.n -= (size_t)done;
		} else if (done == 0 || errno != EINTR) {
			o->error = done < 0 ? errno : ENOSPC;
		}
	}
	o->text.n = 0;
}

static void put(struct output *o, struct str s)
{
	if (s.n > o->text.cap - o->text.n)
		flush(o);
	text_put(&o->text, s);
}

/* A string of JSON, by pieces that fit however much of them is escaped. */
static void put_string(struct output *o, struct str s)
{
	put(o, STR("\""));
	while (s.n) {
		struct str line = str_head(s, str_find(s, '\n'));
		struct str piece = str_head_utf8(line, PIECE_MAX);

		if (o->text.cap - o->text.n < ESCAPED_MAX * PIECE_MAX)
			flush(o);
		text_json(&o->text, piece, piece.n);
		s = str_skip(s, piece.n);
		if (piece.n < line.n)
			continue;
		if (s.n)
			put(o, STR("\\n"));
		s = str_skip(s, 1);
	}
	put(o, STR("\""));
}

static char *whole_path(const char *config)
{
	char *path = realpath(config, NULL);

	return path ? path : strdup(config);
}

/* How the file of that configuration begins. */
static void put_head(struct output *o, const char *config)
{
	char *path = whole_path(config);

	put(o, STR("{\"config\":"));
	put_string(o, str_of(path));
	put(o, STR(",\"files\":["));
	free(path);
}

/* Everything to fd. False with errno. */
static bool write_all(int fd, const char *config, const struct conf *c)
{
	char *buf = malloc(BUFFER_BYTES);
	struct output o = {.fd = fd, .text = text_in(buf, BUFFER_BYTES)};

	MUST(buf);
	put_head(&o, config);
	for (uint32_t i = 0; i < c->file_n; i++) {
		if (!str_is_utf8(c->names[i]) || !str_is_utf8(c->texts[i]))
			o.error = EILSEQ;
		put(&o, i ? STR(",{\"name\":") : STR("{\"name\":"));
		put_string(&o, c->names[i]);
		put(&o, STR(",\"text\":"));
		put_string(&o, c->texts[i]);
		put(&o, STR("}"));
	}
	put(&o, STR("]}"));
	flush(&o);
	free(buf);
	errno = o.error;
	return !o.error;
}

/* The file that fd writes, to be read only: by whoever is given it, too. -1 with errno if somebody has put another in its place. */
static int reopen(const char *path, int fd)
{
	int again = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	struct stat a, b;

	if (again < 0)
		return -1;
	if (fstat(fd, &a) == 0 && fstat(again, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		return again;
	close(again);
	errno = EPERM;
	return -1;
}

/* The directory may be somebody else's: what lies there under the name of the new file is not written into, nor followed. */
int last_good_write(const char *dir, const char *config, const struct conf *c)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	int fd, written = -1, error;

	snprintf(path, sizeof(path), "%s/" LAST_GOOD_FILE, dir);
	if (snprintf(fresh, sizeof(fresh), "%s/" LAST_GOOD_FILE ".%ld", dir, (long)getpid()) >=
		(int)sizeof(fresh)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	unlink(fresh);
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	if (write_all(fd, config, c) && fsync(fd) == 0)
		written = reopen(fresh, fd);
	if (written >= 0 && rename(fresh, path) == 0) {
		close(fd);
		return written;
	}
	error = errno;
	unlink(fresh);
	close(fd);
	if (written >= 0)
		close(written);
	errno = error;
	return -1;
}

int last_good_hold(const char *config, const struct conf *c)
{
	int fd = memfd_create("weir-last-good", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && write_all(fd, config, c) &&
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* -- finding -- */

static bool begins_for(int fd, const char *config)
{
	char want[HEAD_MAX], found[HEAD_MAX];
	struct output head = {.fd = -1, .text = text_in(want, sizeof(want))};

	put_head(&head, config);
	return !head.error && pread(fd, found, head.text.n, 0) == (ssize_t)head.text.n &&
	       memcmp(found, want, head.text.n) == 0;
}

int last_good_open(const char *dir, const char *config)
{
	char path[PATH_MAX];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/" LAST_GOOD_FILE, dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 022) == 0 &&
		begins_for(fd, config))
		return fd;
	close(fd);
	return -1;
}

/* The scalar behind the key: without quotes and comment. */
static char *scalar(const char *at)
{
	size_t n;

	at += strspn(at, " \t");
	if (*at == '"' || *at == '\'')
		return strndup(at + 1, strcspn(at + 1, (const char[]){*at, '\n', '\0'}));
	n = strcspn(at, "#\r\n");
	while (n && (at[n - 1] == ' ' || at[n - 1] == '\t'))
		n--;
	return strndup(at, n);
}

char *last_good_dir(const char *config)
{
	static const char key[] = "state_dir:";
	int fd = open(config, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
	char *line = NULL, *dir = NULL;
	size_t room = 0;

	while (f && !dir && getline(&line, &room, f) > 0)
		if (strncmp(line, key, sizeof(key) - 1) == 0)
			dir = scalar(line + sizeof(key) - 1);
	free(line);
	if (f)
		fclose(f);
	if (dir && *dir)
		return dir;
	free(dir);
	dir = strdup(STATE_DIR_DEFAULT);
	MUST(dir);
	return dir;
}
