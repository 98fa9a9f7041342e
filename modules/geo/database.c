#include "database.h"

#include <errno.h>
#include <fcntl.h>
#include <maxminddb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX 128 /* of what goes into headers: the longest place names there are have half of that */

/* What tells one file from another under the same name. */
struct identity {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec modified, changed;
};

struct geo_database {
	uint32_t refs;
	char *path;
	struct identity identity;
	MMDB_s mmdb;
};

static struct identity identity_of(const struct stat *st)
{
	struct identity i;

	memset(&i, 0, sizeof(i));
	i.dev = st->st_dev;
	i.ino = st->st_ino;
	i.size = st->st_size;
	i.modified = st->st_mtim;
	i.changed = st->st_ctim;
	return i;
}

/* -- opening -- */

/* The bytes of a file in memory that has no name. -1 with errno; EBUSY: somebody is writing it. */
static int copy_file(const char *path, struct identity *identity)
{
	int from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), to = -1;
	struct stat before, after;
	char buf[65536];
	ssize_t n = -1;
	off_t sum = 0;

	if (from < 0 || fstat(from, &before) < 0)
		goto out;
	if (!S_ISREG(before.st_mode)) {
		errno = EINVAL;
		goto out;
	}
	to = memfd_create("geo", MFD_CLOEXEC);
	if (to < 0)
		goto out;
	while ((n = read(from, buf, sizeof(buf))) > 0 && write(to, buf, (size_t)n) == n)
		sum += n;
	*identity = identity_of(&before);
	if (n == 0 && fstat(from, &after) == 0) {
		struct identity now = identity_of(&after);

		if (sum == before.st_size && memcmp(&now, identity, sizeof(now)) == 0)
			goto out;
		errno = EBUSY;
	}
	close(to);
	to = -1;
out:
	if (from >= 0) {
		int why = errno;

		close(from);
		errno = why;
	}
	return to;
}

/* Every node leads to a node or to data that lies within the file: then no lookup leaves it. */
static bool tree_is_sound(const MMDB_s *m)
{
	for (uint32_t i = 0; i < m->metadata.node_count; i++) {
		MMDB_search_node_s node;

		if (MMDB_read_node(m, i, &node) != MMDB_SUCCESS ||
			node.left_record_type == MMDB_RECORD_TYPE_INVALID ||
			node.right_record_type == MMDB_RECORD_TYPE_INVALID)
			return false;
	}
	return true;
}

static bool open_copy(struct geo_database *db, int fd, char *err, size_t err_n)
{
	char name[64];
	int status;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	status = MMDB_open(name, MMDB_MODE_MMAP, &db->mmdb);
	if (status != MMDB_SUCCESS) {
		snprintf(err, err_n, "\"%s\" is no database of addresses (MMDB): %s", db->path,
			MMDB_strerror(status));
		return false;
	}
	if (tree_is_sound(&db->mmdb))
		return true;
	snprintf(err, err_n, "\"%s\" is damaged: its search tree leads out of the file", db->path);
	MMDB_close(&db->mmdb);
	return false;
}

struct geo_database *geo_database_open(const char *path, char *err, size_t err_n)
{
	struct geo_database *db = calloc(1, sizeof(*db));
	bool ok;
	int fd;

	MUST(db);
	fd = copy_file(path, &db->identity);
	if (fd < 0) {
		snprintf(err, err_n, "cannot read \"%s\": %s", path,
			errno == EBUSY    ? "it is being written; replace it by a rename"
			: errno == EINVAL ? "it is not a regular file"
					  : strerror(errno));
		free(db);
		return NULL;
	}
	db->refs = 1;
	db->path = strdup(path);
	MUST(db->path);
	ok = open_copy(db, fd, err, err_n);
	close(fd);
	if (ok)
		return db;
	free(db->path);
	free(db);
	return NULL;
}

bool geo_database_is_current(const struct geo_database *db, const char *path)
{
	struct identity now;
	struct stat st;

	if (strcmp(db->path, path) != 0 || stat(path, &st) < 0)
		return false;
	now = identity_of(&st);
	return memcmp(&now, &db->identity, sizeof(now)) == 0;
}

struct geo_database *geo_database_ref(struct geo_database *db)
{
	db->refs++;
	return db;
}

void geo_database_unref(struct geo_database *db)
{
	if (!db || --db->refs)
		return;
	MMDB_close(&db->mmdb);
	free(db->path);
	free(db);
}

/* -- looking up -- */

/* A text that may stand in a header: control bytes are nobody's name. */
static struct str text_at(MMDB_entry_s *entry, const char *const *path)
{
	MMDB_entry_data_s data;
	struct str s;

	if (MMDB_aget_value(entry, &data, path) != MMDB_SUCCESS || !data.has_data ||
		data.type != MMDB_DATA_TYPE_UTF8_STRING || data.data_size > TEXT_MAX)
		return STR_NONE;
	s = (struct str){data.utf8_string, data.data_size};
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
			return STR_NONE;
	return str_trim(s);
}

static bool is_code(struct str s)
{
	return s.n == 2 && s.p[0] >= 'A' && s.p[0] <= 'Z' && s.p[1] >= 'A' && s.p[1] <= 'Z';
}

static void take(struct str *to, struct str found)
{
	if (found.n)
		*to = found;
}

void geo_database_find(const struct geo_database *db, const struct addr *client, const char *language,
	struct geo_place *place)
{
	static const char *const country[] = {"country", "iso_code", NULL},
				 *const flat[] = {"country_code", NULL},
				 *const subdivision[] = {"subdivisions", "0", "iso_code", NULL},
				 *const org[] = {"autonomous_system_organization", NULL},
				 *const asn[] = {"autonomous_system_number", NULL};
	const char *const city[] = {"city", "names", language, NULL};
	struct sockaddr_storage ss;
	MMDB_lookup_result_s result;
	MMDB_entry_data_s data;
	struct str code;
	int error;

	if (addr_to_sockaddr(client, &ss) == 0)
		return;
	result = MMDB_lookup_sockaddr(&db->mmdb, (const struct sockaddr *)&ss, &error);
	if (error != MMDB_SUCCESS || !result.found_entry)
		return;
	code = text_at(&result.entry, country);
	if (!is_code(code))
		code = text_at(&result.entry, flat);
	if (is_code(code))
		place->country = code;
	take(&place->subdivision, text_at(&result.entry, subdivision));
	take(&place->city, text_at(&result.entry, city));
	take(&place->org, text_at(&result.entry, org));
	if (MMDB_aget_value(&result.entry, &data, asn) == MMDB_SUCCESS && data.has_data &&
		data.type == MMDB_DATA_TYPE_UINT32)
		place->asn = data.uint32;
}
