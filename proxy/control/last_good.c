#include "control/last_good.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/obj.h"

#define STATE_DIR_DEFAULT "/var/lib/weir"
#define FILE_MAX          (512u * 1024 * 1024)

json_t *last_good_of(const struct conf *c)
{
	json_t *files = json_array();

	for (uint32_t i = 0; i < c->file_n; i++) {
		json_t *one = json_pack("{s:s%, s:s%}", "name", c->names[i].p, c->names[i].n, "text",
			c->texts[i].n ? c->texts[i].p : "", c->texts[i].n);

		if (!one) {
			json_decref(files);
			return NULL;
		}
		json_array_append_new(files, one);
	}
	return files;
}

struct conf *last_good_load(const json_t *files, struct conf_report *report)
{
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
	return c;
}

/* -- the file -- */

static char *whole_path(const char *config)
{
	char *path = realpath(config, NULL);

	return path ? path : strdup(config);
}

static bool write_all(int fd, const char *text, size_t n)
{
	while (n) {
		ssize_t done = write(fd, text, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		text += done;
		n -= (size_t)done;
	}
	return fsync(fd) == 0;
}

/* The directory may be somebody else's: what lies there under the name of the new file is not written into, nor followed. */
static bool write_file(const char *dir, const char *text)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	bool good;
	int fd, error;

	snprintf(path, sizeof(path), "%s/" LAST_GOOD_FILE, dir);
	if (snprintf(fresh, sizeof(fresh), "%s/" LAST_GOOD_FILE ".%ld", dir, (long)getpid()) >=
		(int)sizeof(fresh)) {
		errno = ENAMETOOLONG;
		return false;
	}
	unlink(fresh);
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	good = write_all(fd, text, strlen(text));
	error = errno;
	close(fd);
	if (good && rename(fresh, path) == 0)
		return true;
	error = good ? errno : error;
	unlink(fresh);
	errno = error;
	return false;
}

bool last_good_write(const char *dir, const char *config, const json_t *files)
{
	char *path = whole_path(config), *text;
	json_t *all = json_pack("{s:s, s:O}", "config", path, "files", files);
	bool good;

	free(path);
	text = all ? json_dumps(all, JSON_COMPACT) : NULL;
	json_decref(all);
	if (!text) {
		errno = EILSEQ; /* a path that is no text */
		return false;
	}
	good = write_file(dir, text);
	free(text);
	return good;
}

static json_t *read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	json_t *all = NULL;
	struct stat st;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 022) == 0 &&
		st.st_size < (off_t)FILE_MAX)
		all = json_loadfd(fd, 0, NULL);
	close(fd);
	return all;
}

json_t *last_good_read(const char *dir, const char *config)
{
	char path[PATH_MAX], *mine = whole_path(config);
	json_t *all, *files = NULL;
	const char *whose;

	snprintf(path, sizeof(path), "%s/" LAST_GOOD_FILE, dir);
	all = read_file(path);
	whose = json_string_value(json_object_get(all, "config"));
	if (whose && strcmp(whose, mine) == 0 && json_array_size(json_object_get(all, "files")) > 0)
		files = json_incref(json_object_get(all, "files"));
	json_decref(all);
	free(mine);
	return files;
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
