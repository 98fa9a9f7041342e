#include "control/cookie_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/obj.h"
#include "control/state_db.h"

struct paths {
	char file[PATH_MAX], bad[PATH_MAX], fresh[PATH_MAX];
};

static struct paths paths_in(const char *dir)
{
	struct paths p;

	snprintf(p.file, sizeof(p.file), "%s/" COOKIE_SECRET_FILE, dir);
	snprintf(p.bad, sizeof(p.bad), "%s/" COOKIE_SECRET_FILE ".bad", dir);
	snprintf(p.fresh, sizeof(p.fresh), "%s/" COOKIE_SECRET_FILE ".%ld", dir, (long)getpid());
	return p;
}

/* errno 0: there is a file, but no secret in it. */
static bool read_file(const char *path, char secret[COOKIE_SECRET_CHARS + 1])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char buf[COOKIE_SECRET_CHARS + 2] = "";
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, buf, sizeof(buf));
	close(fd);
	if (n < 0)
		return false;
	errno = 0;
	if (n < COOKIE_SECRET_CHARS || n > COOKIE_SECRET_CHARS + 1 ||
		(n > COOKIE_SECRET_CHARS && buf[n - 1] != '\n') ||
		strspn(buf, "0123456789abcdef") != COOKIE_SECRET_CHARS)
		return false;
	memcpy(secret, buf, COOKIE_SECRET_CHARS);
	secret[COOKIE_SECRET_CHARS] = '\0';
	OPENSSL_cleanse(buf, sizeof(buf));
	return true;
}

bool cookie_secret_read(const char *dir, char secret[COOKIE_SECRET_CHARS + 1])
{
	return read_file(paths_in(dir).file, secret);
}

static void make(char secret[COOKIE_SECRET_CHARS + 1])
{
	uint8_t bytes[COOKIE_SECRET_CHARS / 2];

	MUST(RAND_priv_bytes(bytes, sizeof(bytes)) == 1);
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(secret + 2 * i, 3, "%02x", bytes[i]);
	OPENSSL_cleanse(bytes, sizeof(bytes));
}

/* Under another name first: the file is there as a whole, or not at all. */
static bool write_file(const struct paths *p, const char *secret)
{
	int fd = open(p->fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool good = fd >= 0 && dprintf(fd, "%s\n", secret) == COOKIE_SECRET_CHARS + 1 && fsync(fd) == 0;
	int error = errno;

	if (fd >= 0)
		close(fd);
	/* Another weir may have been quicker: link() never replaces its file. */
	if (good && link(p->fresh, p->file) < 0) {
		error = errno;
		good = false;
	}
	unlink(p->fresh);
	errno = error;
	return good;
}

enum cookie_secret_state cookie_secret_get(
	const char *dir, char secret[COOKIE_SECRET_CHARS + 1], char *why, size_t why_n)
{
	enum cookie_secret_state state = COOKIE_SECRET_KEPT;
	const struct paths p = paths_in(dir);

	if (read_file(p.file, secret))
		return COOKIE_SECRET_KEPT;
	if (errno == 0 && rename(p.file, p.bad) == 0) {
		state = COOKIE_SECRET_SET_ASIDE;
		snprintf(why, why_n, "%s is no secret of weir's, and is now %s", p.file, p.bad);
	}
	make(secret);
	if (!state_dir_make(dir, NULL, why, why_n))
		return COOKIE_SECRET_LOST;
	if (write_file(&p, secret) || (errno == EEXIST && read_file(p.file, secret)))
		return state;
	snprintf(why, why_n, "%s cannot be written: %s", p.file, strerror(errno));
	return COOKIE_SECRET_LOST;
}
