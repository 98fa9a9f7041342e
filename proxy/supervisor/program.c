#include "supervisor/program.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/obj.h"

static char *join(const char *dir, size_t dir_n, const char *name)
{
	char *path = NULL;

	MUST(asprintf(&path, "%.*s/%s", (int)dir_n, dir, name) >= 0);
	return path;
}

/* As execvp(3) has found it. NULL: not there any more. */
static char *search(const char *name)
{
	const char *dir = getenv("PATH");

	while (dir && *dir) {
		size_t n = strcspn(dir, ":");
		char *path = join(n ? dir : ".", n ? n : 1, name);

		if (access(path, X_OK) == 0)
			return path;
		free(path);
		dir += n + (dir[n] == ':');
	}
	return NULL;
}

char *program_path(const char *argv0)
{
	char self[PATH_MAX] = "", cwd[PATH_MAX];
	char *found = strchr(argv0, '/') ? strdup(argv0) : search(argv0), *path;

	if (!found) {
		if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
			self[0] = '\0';
		found = strdup(self);
	}
	MUST(found);
	if (found[0] == '/' || !getcwd(cwd, sizeof(cwd)))
		return found;
	path = join(cwd, strlen(cwd), found);
	free(found);
	return path;
}
