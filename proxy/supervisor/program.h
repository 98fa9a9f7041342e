/* supervisor/program.h - where our own program lies. */
#ifndef WEIR_SUPERVISOR_PROGRAM_H
#define WEIR_SUPERVISOR_PROGRAM_H

/* The path that argv[0] stands for, absolute, links not followed: whatever lies there later is what an upgrade starts.
 * /proc/self/exe would name the file that was replaced. malloc'ed. */
char *program_path(const char *argv0);

#endif
