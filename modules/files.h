/* modules/files.h - files that modules read when they are built. */
#ifndef WEIR_MODULES_FILES_H
#define WEIR_MODULES_FILES_H

#include "exchange/module.h"

/* On the control thread. The content, malloc'ed, with a NUL behind it; false with err: it cannot be read, or is longer than max. */
bool file_read(struct str path, size_t max, struct str *content, char *err, size_t err_n);

#endif
