/* cli/progress.h - a line that tells how far something is, for who waits at a terminal; nothing is written elsewhere. */
#ifndef WEIR_CLI_PROGRESS_H
#define WEIR_CLI_PROGRESS_H

/* Rewrites the line, on standard error: "[#######-------------] 3 of 8 up". */
__attribute__((format(printf, 3, 4))) void progress(
	unsigned long long done, unsigned long long all, const char *fmt, ...);
/* Wipes it. */
void progress_end(void);

#endif
