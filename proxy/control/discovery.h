/* control/discovery.h - keeps what backends are found by up to date: names, SRV records, lists in files.
 *
 * Each is a *source*, asked once however many pools name it, and again when its time to live is over or its file has changed. When what
 * it says has changed, `changed` is called, and whoever wants to know asks discovery_expand() again. A source that fails keeps what it
 * said last; one that names others (an SRV record its targets) says nothing new until all of those have been heard.
 *
 * Belongs to one thread, and waits for nothing: names are resolved on the loop, files are read by the I/O thread. */
#ifndef WEIR_CONTROL_DISCOVERY_H
#define WEIR_CONTROL_DISCOVERY_H

#include "base/mailbox.h"
#include "exchange/snapshot.h"
#include "io/resolver.h"

struct event;
struct io_thread;

struct discovery {
	struct loop *loop;
	struct io_thread *io;
	void (*changed)(void *ctx); /* never from within discovery_expand() */
	void *ctx;
	struct map sources; /* by what they are written like, files by their path -> struct source */
	uint64_t mark; /* of sources that are named now */
	bool resolving; /* there was a name to resolve: the resolver is set up */
	struct resolver resolver;
	char *servers; /* NULL: the system's */
	uint32_t timeout_ms, tries;
	struct mailbox box; /* what the I/O thread has read */
	struct event *box_event;
	struct arena scratch; /* of the last expansion */
};

/* False with errno when the kernel has no descriptors left. */
bool discovery_init(
	struct discovery *d, struct loop *l, struct io_thread *io, void (*changed)(void *ctx), void *ctx);
/* How names are resolved from now on. Nothing happens unless it is something else than before. */
void discovery_configure(struct discovery *d, const struct conf_resolver *conf);
/* The addresses that n entries stand for, no two alike, in their order; weights multiplied, priorities added up. Sources that were
 * not known are asked. The array stands until the next call, its texts as long as d's sources. */
struct roster discovery_expand(struct discovery *d, const struct conf_backend *v, uint32_t n);
/* Between the two, everything that is still wanted is expanded: the rest is forgotten. */
void discovery_begin(struct discovery *d);
void discovery_sweep(struct discovery *d);
/* Is any source still to be heard for the first time? */
bool discovery_is_asking(const struct discovery *d);
void discovery_free(struct discovery *d);
/* After that, and after the I/O thread has ended: frees what it has sent. */
void discovery_close(struct discovery *d);

#endif
