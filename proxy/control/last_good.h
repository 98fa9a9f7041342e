/* control/last_good.h - the configuration that was served last, for a start at which the file cannot be: the texts of the file and of
 * what it includes. What they name (certificates, keys, lists, databases) is read from where it lies: docs/decisions/0004. */
#ifndef WEIR_CONTROL_LAST_GOOD_H
#define WEIR_CONTROL_LAST_GOOD_H

#include "config/conf.h"

/* In state_dir, mode 0600, of who runs the supervisor: {"config": PATH, "files": [{"name", "text"}, ...]}, the main file first. Descriptors of
 * it are for reading only, and may be given to a process without privileges. */
#define LAST_GOOD_FILE "last-good.json"

/* Replaces the file in dir, in one step, by the texts of c, which has not forgotten them; config: the path of the configuration, as given. Returns
 * a descriptor of it; -1 with errno: EILSEQ if some text is not UTF-8. */
int last_good_write(const char *dir, const char *config, const struct conf *c);
/* The same in memory, for when it cannot be written. */
int last_good_hold(const char *config, const struct conf *c);
/* What was written there for that configuration, by who we are: nobody else may have had his hands on it. -1: nothing. */
int last_good_open(const char *dir, const char *config);
/* As conf_load(). */
struct conf *last_good_load(int fd, struct conf_report *report);

/* The state_dir that a configuration names, by looks alone, for it may be too broken to be loaded: its line `state_dir:`. malloc'ed; the
 * default if there is none. */
char *last_good_dir(const char *config);

#endif
