/* control/admin/door.h - where the admin API is reached, and whom it lets in: the unix socket and the TCP address of `admin`, each with
 * its connections.
 *
 * A reload that moves one opens the new one beside it; connections that came in by the old one go on until they end. On the unix
 * socket the file's permissions are the authorisation. On TCP there are TLS, client certificates, tokens, and checks of Host and
 * Origin, because a browser on this machine can be made to knock. */
#ifndef WEIR_CONTROL_ADMIN_DOOR_H
#define WEIR_CONTROL_ADMIN_DOOR_H

#include "control/admin/auth.h"
#include "http/conn.h"
#include "io/inbound.h"
#include "io/listener.h"

struct control;
struct admin_request;

/* Connections at one door; the one that was idle longest makes room. */
#define ADMIN_CONNS_MAX 256

/* More than one, because the workers are after each that comes free. */
#define ADMIN_RESERVE 4

struct admin_door {
	struct list link; /* in admin_server.doors */
	struct admin_server *server;
	char *address; /* under which its socket is found */
	bool local; /* the unix socket */
	bool closed; /* nobody comes in any more */
	struct acceptor acceptor;
	struct inbound_conf inbound;
	struct cert_store *store; /* TLS: whose names are a good Host; NULL: plain */
	struct list conns; /* struct http_conn, the one that was used longest ago first */
	uint32_t conn_n, pending;
	struct auth_rate requests,
		failures; /* TCP only: of all callers together; of those who had no good token */
};

struct admin_server {
	struct control *control;
	struct inbounds inbounds;
	struct list doors;
	struct list requests; /* struct admin_request, for those who end all */
	int reserve
		[ADMIN_RESERVE]; /* descriptors that are given up for connections when there are none left; -1: it was */
	struct deadline restore; /* armed while one is */
};

void admin_init(struct admin_server *a, struct control *c);
/* What listens for the admin API under this configuration, as listeners; 0 to 2. The texts are the configuration's, or in `texts`. */
struct admin_texts {
	char unix_address[128];
};
uint32_t admin_listeners(
	const struct conf_admin *conf, struct admin_texts *texts, struct conf_listener out[2]);
/* Serves at the sockets of the current snapshot, which are open, and no longer at others. */
void admin_follow(struct admin_server *a);
/* Another process has the doors now: nobody new comes in here, open requests end. */
void admin_leave(struct admin_server *a);
/* Is there somebody who came in and has not yet said, or not wholly, what he wants? */
bool admin_expects(const struct admin_server *a);
/* Ends everything; who waits for an answer is told nothing more. */
void admin_free(struct admin_server *a);

/* -- request.c -- */
/* For on_stream: a request begins. */
void admin_begin(struct admin_door *door, struct stream *s);
/* Its client is not told; gone is called. */
void admin_abandon(struct admin_request *rq);

#endif
