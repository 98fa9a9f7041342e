/* cli/demo/demo.h - the bundled demo backend: a small HTTP server on weir's own codecs, one thread, HTTP/1.1 and h2c on one port.
 *
 * server.c accepts and drains; answer.c owns the streams and answers; page.c is what a browser sees; websocket.c echoes. */
#ifndef WEIR_CLI_DEMO_DEMO_H
#define WEIR_CLI_DEMO_DEMO_H

#include "http/conn.h"
#include "io/listener.h"

struct demo {
	struct loop loop;
	struct str name; /* "blue": stands in every answer */
	struct str color; /* CSS */
	struct http_limits limits;
	struct listener_sockets sockets;
	struct acceptor acceptor;
	struct list conns;
	struct deadline patience; /* for what is still open when it was told to stop */
	bool stopping;
};

/* Serves at that address until SIGTERM or SIGINT; says on standard output where, once it does. False, with a text in err, when it cannot
 * listen there. name, color and limits are set by the caller. */
bool demo_serve(struct demo *d, struct str address, const struct addr *addr, char *err, size_t err_n);

/* For on_stream: a request begins. */
void demo_answer(struct demo *d, struct stream *s);

/* Appends the page for browsers. */
void demo_page(const struct demo *d, struct mem *m, const struct head *request, struct chain *out);

#endif
