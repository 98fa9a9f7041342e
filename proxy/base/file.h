/* base/file.h - files that a configuration names, opened without ever waiting for somebody. */
#ifndef WEIR_BASE_FILE_H
#define WEIR_BASE_FILE_H

/* A descriptor to read a regular file by, close-on-exec. Anything else is refused: opening a FIFO waits until somebody writes, reading a
 * terminal until somebody types. -1, and *why for the user. */
int file_open(const char *path, const char **why);

#endif
