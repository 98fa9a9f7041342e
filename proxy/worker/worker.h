/* worker/worker.h - a worker thread: a loop, its listeners' acceptors, its connections, its edge. It shares nothing with other
 * workers; control talks to it by mail, and is answered by mail. */
#ifndef WEIR_WORKER_WORKER_H
#define WEIR_WORKER_WORKER_H

#include <pthread.h>
#include "base/mailbox.h"
#include "exchange/exchange.h"
#include "io/inbound.h"
#include "io/listener.h"
#include "io/tls.h"
#include "worker/drain.h"

#define WORKER_MAGIC 0x304be401

struct worker;

/* What a worker tells control: allocated by the worker, freed by whoever gets it. */
struct worker_note {
	struct mail mail;
	struct worker *worker;
	struct snapshot *snapshot; /* on_let_go */
	uint64_t serial; /* on_installed: of the snapshot; on_pools_set: of the mail */
	int error; /* on_exhausted: errno */
	const struct backend *
		backend; /* on_suspect; valid there, for the snapshot that names it has not been let go of yet */
	uint8_t kind; /* on_suspect: enum outcome_kind */
};

/* A connection that did not come about, told to control; malloc'ed by the worker, freed by whoever gets it. */
struct worker_failure {
	struct mail mail;
	bool inbound; /* a client's; else one to a backend */
	uint16_t why; /* enum reason */
	uint32_t passed_over; /* of the same side, since the last one that was told */
	struct addr peer; /* inbound: who had connected */
	char at[256]; /* the listener's name, or the backend's key */
	char text[256]; /* what OpenSSL said; may be empty */
};

/* How many failures of one side have been told lately. */
struct failure_quota {
	uint64_t since_ms;
	uint32_t n, passed_over;
};

struct worker_owner {
	struct mailbox *box;
	void (*on_installed)(struct mail *m, void *control); /* serves that snapshot now */
	void (*on_pools_set)(struct mail *m, void *control); /* takes pools for what that mail said */
	void (*on_let_go)(struct mail *m, void *control); /* no exchange of it uses that snapshot any more */
	void (*on_exhausted)(
		struct mail *m, void *control); /* cannot accept for want of descriptors or memory */
	void (*on_suspect)(
		struct mail *m, void *control); /* too many requests in a row have failed at a backend */
	void (*on_stopped)(struct mail *m, void *control); /* its thread is about to end */
	void (*on_connection_failed)(struct mail *m, void *control); /* a struct worker_failure */
	void (*on_left)(struct mail *m, void *control); /* accepts nothing new, after worker_leave() */
};

/* The upstream TLS contexts of a worker, shared by all pools that speak the same way. */
struct tls_clients {
	struct tls_client_entry *v;
	uint32_t n, cap;
};

/* A listener of the current configuration: where its connections come in, and what they belong to. */
struct gate {
	struct list link;
	struct worker *worker;
	struct acceptor *acceptors; /* one for each socket of this worker's; user of each: the gate */
	uint32_t acceptor_n;
	struct entry *entry; /* for new connections */
	struct inbound_conf inbound;
	uint64_t generation; /* that last named it */
	const struct listener_socket *socket; /* control's; outlives the gate */
	bool shut; /* an operator has drained it: who comes is closed at once, who is there is told to go */
	bool closed; /* waits for its pending handshakes and its connections */
	struct drain clients; /* are told, once it is shut or closed */
	struct deadline drain; /* timeouts.drain: then what is still open is cut */
	uint32_t pending;
};

/* The time that those have who are there when it drains. */
struct worker_farewell {
	uint32_t spread_ms; /* over which clients are told to go */
	uint32_t tunnel_ms; /* before WebSockets are closed */
	uint32_t stream_ms; /* before event streams and gRPC calls are ended */
};

struct worker {
	uint32_t magic;
	uint32_t index;
	pthread_t thread;
	struct loop loop;
	struct mailbox box;
	struct mail leave_mail, drain_mail,
		stop_mail; /* each is sent once; the worker may have ended by itself when they come */
	struct event *box_event;
	struct worker_owner owner;
	struct edge edge;
	uint32_t workers; /* that there are: each has its part of a limit */
	struct ring access;
	struct inbounds inbounds;
	struct list gates;
	struct list conns; /* every server-role connection, the one that was used longest ago first */
	uint32_t conn_n, conn_max;
	struct tls_clients tls_clients;
	bool draining;
	struct drain clients; /* all of them, while it drains */
	struct worker_farewell leave_farewell,
		drain_farewell; /* of the mails; control's until they are sent */
	void (*wake_log)(void *ctx); /* the access log's ring is half full; from the worker's thread */
	void *wake_log_ctx;
	uint64_t exhausted_ms; /* when control was last told */
	struct failure_quota client_failures, backend_failures;
};

struct worker_listener {
	const struct conf_listener *conf; /* the snapshot's */
	const struct listener_socket *socket; /* control's; outlives the gate */
	struct cert_store *store; /* a reference for this worker; NULL if plain */
	bool shut; /* drained by an operator */
};

/* The order to serve a new snapshot. malloc'ed, as is listeners; the worker frees both. */
struct worker_install {
	struct mail mail;
	struct snapshot *snapshot;
	struct pool_now
		*now; /* of the snapshot's pools, beside snapshot->pools; malloc'ed, freed with the order */
	bool members_only; /* the configuration is the one that it serves: listeners stay as they are */
	uint32_t backend_slots, pool_slots, service_slots, workers;
	struct worker_listener *listeners;
	uint32_t listener_n;
	struct ticket_keys *keys; /* a reference for this worker */
	struct cookie_keys *cookie_keys; /* likewise; it goes on to the edge */
};

/* What some pools are worth from now on: all take effect between two requests. malloc'ed; the worker frees it. */
struct worker_pools {
	struct mail mail;
	uint64_t serial; /* comes back with on_pools_set */
	uint32_t n;
	struct {
		uint32_t slot; /* of a pool that the snapshot which was installed last names */
		struct pool_now now;
	} v[];
};

/* A service is held, or released. The same mail comes back when the worker follows. malloc'ed; who is answered frees it. */
struct worker_hold {
	struct mail mail;
	uint32_t slot; /* the service's */
	bool on;
	struct hold_terms terms; /* off: its pace alone */
	void (*followed)(struct mail *m, void *control); /* NULL: nobody asks; the worker frees it */
	void *ctx;
};

/* What is open on a listener; on one that is shut nothing is added to it, but by handshakes that are under way: they count. */
struct gate_sums {
	uint64_t connections, requests, websockets,
		streams; /* of requests: WebSockets; event streams and gRPC calls */
};

enum gate_wish { GATE_COUNT, GATE_SHUT, GATE_OPEN };

/* A listener is shut, opened again, or only counted. The same mail comes back with what is open on it. malloc'ed; who is answered frees
 * it. */
struct worker_gate {
	struct mail mail;
	enum gate_wish wish;
	struct gate_sums sums;
	void (*followed)(struct mail *m, void *control); /* NULL: nobody asks; the worker frees it */
	void *ctx;
	char socket_key[]; /* of the listener */
};

/* A question about requests that failed; the same mail comes back with the answer. malloc'ed; who is answered frees it, and what was
 * found. */
struct worker_causes {
	struct mail mail;
	char id[EXCHANGE_ID_MAX + 1], tenant[64]; /* "": any; the query's texts are set from these */
	struct cause_query query;
	void (*answered)(struct mail *m, void *control);
	void *ctx;
	struct cause **found;
	uint32_t n;
};

/* Starts the thread. False when the system has no descriptors or threads left. */
bool worker_start(struct worker *w, uint32_t index, const struct worker_owner *owner);
/* From control: posts the order. */
void worker_install(struct worker *w, struct worker_install *order);
/* on_pools_set follows. */
void worker_set_pools(struct worker *w, struct worker_pools *pools);
/* From control: backends have come up or gone down; requests that waited for that are looked at again. */
void worker_health_changed(struct worker *w);
void worker_set_hold(struct worker *w, struct worker_hold *order);
void worker_set_gate(struct worker *w, struct worker_gate *order);
void worker_ask_causes(struct worker *w, struct worker_causes *order);
/* From control, whose clock says now_us: the worker notes in its tally how late it hears of it, and what memory it uses. */
void worker_measure(struct worker *w, uint64_t now_us);
/* From control: some backend_set_draining() was called. */
void worker_drains_changed(struct worker *w);
/* For handshakes from now on; takes the reference. */
void worker_set_keys(struct worker *w, struct ticket_keys *keys);
/* Another process serves in its place: as worker_drain(), but whoever rests on a kept HTTP/1 connection is told with the answer to his
 * next request. Closing it now could meet that request on its way. on_left follows. Once; worker_drain() may follow. */
void worker_leave(struct worker *w, const struct worker_farewell *farewell);
/* No new connections; those that are open end with their requests, as clients are told; on_stopped follows. Once. */
void worker_drain(struct worker *w, const struct worker_farewell *farewell);
/* Ends everything now; on_stopped follows, unless it has come already. Once. */
void worker_stop(struct worker *w);
/* After on_stopped: joins the thread; its ring can still be read. */
void worker_join(struct worker *w);
void worker_free(struct worker *w);

/* -- between the files of worker/, and for tests that turn the loop themselves -- */
/* All of it but the thread. */
bool worker_init(struct worker *w, uint32_t index, const struct worker_owner *owner);
/* After install_free(): the loop and the mailbox. */
void worker_close(struct worker *w);
void worker_tell(struct worker *w, void (*deliver)(struct mail *, void *), struct snapshot *s,
	uint64_t serial, int error);
/* install.c */
void install_deliver(struct mail *m, void *receiver);
void install_free(struct worker *w);
/* For edge.reach. */
struct conn_pool *install_reach(struct edge *e, const struct backend *b);
/* Connections to backends that get nothing new, by themselves or with their pool, are not kept. */
void install_drains(struct worker *w);
/* gate.c */
void gates_init(struct worker *w);
void gate_open(struct worker *w, const struct worker_listener *l, const struct conf *conf,
	struct ticket_keys *keys, uint64_t generation, uint32_t workers);
/* Closes the gates that generation does not name: their connections are drained, and cut after timeouts->drain. */
void gates_sweep(struct worker *w, uint64_t generation, const struct conf_timeouts *timeouts);
/* Does what the order wishes, and fills its sums. */
void gate_follow(struct worker *w, struct worker_gate *order);
void gates_stop(struct worker *w);
void gates_set_keys(struct worker *w, struct ticket_keys *keys);
void gates_close_conns(struct worker *w, enum reason why);
/* failures.c: TLS handshakes, PROXY headers; text: what OpenSSL said, or empty. Told as far as the quota goes. */
void failure_of_client(struct gate *g, enum reason why, const struct addr *peer, const char *text);
/* For conn_pool.on_tls_failed. */
void failure_of_backend(struct conn_pool *p, enum reason why, const char *text);
/* tls_clients.c: the context for a policy; NULL for plain, or when it cannot be made (it was tried before the reload was let through). */
struct tls_client *tls_clients_get(struct tls_clients *c, const struct conf_policy *policy);
void tls_clients_free(struct tls_clients *c);

#endif
