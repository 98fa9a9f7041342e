/* supervisor/sockets.h - the listening sockets of weir: opened here, for worker processes that may not, and kept while worker
 * processes come and go.
 *
 * A worker process asks for addresses, but only what the configuration file names is opened: one that has been taken over by
 * somebody cannot make the supervisor listen wherever it likes. */
#ifndef WEIR_SUPERVISOR_SOCKETS_H
#define WEIR_SUPERVISOR_SOCKETS_H

#include "io/listener.h"
#include "supervisor/identity.h"
#include "supervisor/notify.h"
#include "supervisor/process.h"

struct sockets {
	struct listener_sockets all;
	const char *config; /* the file */
	struct conf *conf; /* read at the start and good for the first question; NULL afterwards */
	const struct identity *identity; /* whose group unix sockets belong to */
	const struct notifier *notify; /* whose store keeps copies */
};

/* Answers "bind": every socket that is there or can be opened, then "bound" with what cannot. */
void sockets_answer(struct sockets *s, struct process *p, const json_t *question);
/* Closes those that are not among these addresses. */
void sockets_keep(struct sockets *s, const json_t *addresses);
/* Takes over what systemd has opened for us or kept (sd_listen_fds(3)): found by the name of a listener or by its address in conf. What
 * fits nothing is closed, and said on standard error. */
void sockets_inherit(struct sockets *s, const struct conf *conf);

#endif
