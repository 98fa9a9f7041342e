/* control/last_good.h - the configuration that was served last, for a start at which the file cannot be: the texts of the file and of
 * what it includes. What they name (certificates, keys, lists, databases) is read from where it lies: docs/decisions/0004. */
#ifndef WEIR_CONTROL_LAST_GOOD_H
#define WEIR_CONTROL_LAST_GOOD_H

#include <jansson.h>
#include "config/conf.h"

#define LAST_GOOD_FILE \
	"last-good.json" /* in state_dir: {"config": PATH, "files": [...]}, mode 0600, of who runs the supervisor */

/* [{"name", "text"}, ...], the main file first, from a conf that has not forgotten them. NULL: some text is not UTF-8. */
json_t *last_good_of(const struct conf *c);
/* As conf_load(). */
struct conf *last_good_load(const json_t *files, struct conf_report *report);

/* Replaces the file in dir, in one step; config: the path of the configuration, as given. False with errno. */
bool last_good_write(const char *dir, const char *config, const json_t *files);
/* What was written there for that configuration, by who we are: nobody else may have had his hands on it. NULL: nothing. */
json_t *last_good_read(const char *dir, const char *config);
/* The state_dir that a configuration names, by looks alone, for it may be too broken to be loaded: its line `state_dir:`. malloc'ed; the
 * default if there is none. */
char *last_good_dir(const char *config);

#endif
