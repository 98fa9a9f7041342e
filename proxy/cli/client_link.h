/* cli/client_link.h - the way to a running weir: which socket or address is meant, and a connection to it. */
#ifndef WEIR_CLI_CLIENT_LINK_H
#define WEIR_CLI_CLIENT_LINK_H

#include "cli/client.h"
#include "io/tls.h"

struct client_link {
	struct loop *loop;
	struct transport *transport;
	struct tls_client *tls; /* NULL: plain */
	char where[256]; /* for messages: the path or the URL */
	char authority[256];
	bool local; /* the unix socket */
};

/* Begins to connect. False, with a text that says what to do. Close it either way. */
bool client_link_open(
	struct client_link *k, struct loop *l, const struct client_options *o, char *err, size_t err_n);
/* Until it is open, or the loop is stopped by somebody else (false with an empty text). */
bool client_link_wait(struct client_link *k, char *err, size_t err_n);
void client_link_close(struct client_link *k);

#endif
