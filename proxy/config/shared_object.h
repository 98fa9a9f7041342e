/* config/shared_object.h - a look at a shared object's file before it is loaded.
 *
 * The loader maps what the headers promise and reads it: where the file ends before that (a copy that was cut off, a full disk), the kernel
 * ends the process with SIGBUS. That must not befall one that serves. */
#ifndef WEIR_CONFIG_SHARED_OBJECT_H
#define WEIR_CONFIG_SHARED_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

/* False with err: it ends before its segments do. What is no ELF file of this machine, or cannot be read, is whole as far as this goes: the
 * loader says what is wrong with it. */
bool shared_object_is_whole(const char *path, char *err, size_t err_n);

#endif
