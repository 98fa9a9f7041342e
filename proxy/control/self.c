#include "control/self.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct self self_now(void)
{
	unsigned long long threads = 0, size = 0, pages = 0;
	char buf[1024], *at;
	FILE *f = fopen("/proc/self/stat", "re");
	size_t n = f ? fread(buf, 1, sizeof(buf) - 1, f) : 0;

	if (f)
		fclose(f);
	buf[n] = '\0';
	/* proc_pid_stat(5): the second field is the name, in brackets, and may hold anything; then come 17 that do not matter, the number of
	 * threads, two more, the size, the resident pages. */
	at = strrchr(buf, ')');
	if (!at || sscanf(at + 1,
			   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %llu %*d "
			   "%*u %llu %llu",
			   &threads, &size, &pages) != 3)
		return (struct self){0};
	return (struct self){threads, pages * (uint64_t)sysconf(_SC_PAGESIZE), size};
}

uint64_t self_cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

uint64_t self_open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	uint64_t n = 0;

	if (!d)
		return self_max_fds(); /* there is none left to count them with */
	while (readdir(d))
		n++;
	closedir(d);
	return n - 3; /* ".", "..", and the one it is counted with */
}

uint64_t self_max_fds(void)
{
	struct rlimit r = {0};

	getrlimit(RLIMIT_NOFILE, &r);
	return r.rlim_cur;
}
