#include "config/shared_object.h"

#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/obj.h"

#define SEGMENTS_MAX 64 /* the loader's own limit is higher; compilers make about ten */

static bool read_at(int fd, void *to, size_t n, uint64_t from)
{
	return pread(fd, to, n, (off_t)from) == (ssize_t)n;
}

/* How long the file must be, from its segments; 0: it is no ELF file. SIZE_MAX: not even its headers are there. */
static uint64_t promised(int fd)
{
	ElfW(Ehdr) head;
	ElfW(Phdr) segments[SEGMENTS_MAX];
	uint64_t end = 0;

	if (!read_at(fd, &head, sizeof(head), 0))
		return read_at(fd, &head, SELFMAG, 0) && memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 ? SIZE_MAX
												    : 0;
	if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_phentsize != sizeof(segments[0]) ||
		head.e_phnum > SEGMENTS_MAX)
		return 0;
	if (!read_at(fd, segments, head.e_phnum * sizeof(segments[0]), head.e_phoff))
		return SIZE_MAX;
	for (unsigned i = 0; i < head.e_phnum; i++)
		if (segments[i].p_type == PT_LOAD)
			end = MAX(end, segments[i].p_offset + segments[i].p_filesz);
	return end;
}

bool shared_object_is_whole(const char *path, char *err, size_t err_n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint64_t needed = 0;
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		needed = promised(fd);
	if (fd >= 0)
		close(fd);
	if (needed == 0 || (uint64_t)st.st_size >= needed)
		return true;
	snprintf(err, err_n, "the file is cut short, it ends after %lld bytes; copy it again",
		(long long)st.st_size);
	return false;
}
