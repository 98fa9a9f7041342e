#include "supervisor/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/obj.h"
#include "control/state_db.h"

#define DIR_MODE 0755
#define LOG_MODE 0640

bool identity_find(struct identity *id, struct str user, bool *ignored, char *err, size_t err_n)
{
	const struct passwd *pw;

	*ignored = false;
	if (!user.n)
		return true;
	errno = 0;
	pw = getpwnam(user.p);
	if (!pw) {
		snprintf(err, err_n, "user \"" STR_FMT "\": %s; create it, or name another in `user`",
			STR_ARG(user), errno ? strerror(errno) : "there is no such user");
		return false;
	}
	if (geteuid() != 0) {
		*ignored = pw->pw_uid != geteuid();
		return true;
	}
	id->name = strdup(pw->pw_name);
	MUST(id->name);
	id->uid = pw->pw_uid;
	id->gid = pw->pw_gid;
	return true;
}

void identity_free(struct identity *id)
{
	free(id->name);
	id->name = NULL;
}

bool identity_assume(const struct identity *id)
{
	/* Kernels before 4.3 know no ambient capabilities: nothing to give up there. */
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return false;
	if (!id->name)
		return true;
	if (initgroups(id->name, id->gid) < 0 || setresgid(id->gid, id->gid, id->gid) < 0 ||
		setresuid(id->uid, id->uid, id->uid) < 0)
		return false;
	if (id->uid != 0 && setuid(0) == 0) {
		errno = EPERM;
		return false;
	}
	return true;
}

/* -- files -- */

static void make_dir(const struct identity *id, const char *path)
{
	if (mkdir(path, DIR_MODE) == 0 && id->name && lchown(path, id->uid, id->gid) < 0)
		rmdir(path);
}

void identity_make_parent(const struct identity *id, const char *path)
{
	char *copy = strdup(path), *end;

	MUST(copy);
	end = strrchr(copy, '/');
	if (end && end != copy) {
		*end = '\0';
		make_dir(id, copy);
	}
	free(copy);
}

/* The user may own the directory, and put anything there under that name: links are not followed, and only what is new, or a file of
 * root's with this one name, is given away. */
static void make_log(const struct identity *id, const char *path)
{
	struct stat st;
	int fd;

	if (path[0] != '/')
		return;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, LOG_MODE);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == 0 &&
		fchown(fd, id->uid, id->gid) < 0)
		perror("weir: log file");
	close(fd);
}

void identity_prepare(const struct identity *id, const struct conf *conf)
{
	char err[256];

	if (!id->name)
		return;
	state_dir_make(conf->state_dir.p, id->name, err, sizeof(err));
	make_log(id, conf->log.access_path.p);
	make_log(id, conf->log.events_path.p);
}
