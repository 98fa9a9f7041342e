/* supervisor/identity.h - whom worker processes run as, and what must belong to that user before they start. */
#ifndef WEIR_SUPERVISOR_IDENTITY_H
#define WEIR_SUPERVISOR_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "config/conf.h"

struct identity {
	char *name; /* NULL: nobody else; workers stay whom weir was started as */
	uid_t uid;
	gid_t gid;
};

/* What `user` says. False with a text when there is no such user. Not root: who is asked for must be who we are, or *ignored. */
bool identity_find(struct identity *id, struct str user, bool *ignored, char *err, size_t err_n);
void identity_free(struct identity *id);
/* In a child before exec: gives up every privilege for good, those of later set-user-ID programs included. False with errno. */
bool identity_assume(const struct identity *id);
/* Makes what the configuration names and only root can make: state_dir, and log files in directories of root's. What is there already is left as it is, but for logs of root's. Failures are the worker's to meet and tell. */
void identity_prepare(const struct identity *id, const struct conf *conf);
/* Makes the directory of that path, if it is missing, and gives it to the user. */
void identity_make_parent(const struct identity *id, const char *path);

#endif
