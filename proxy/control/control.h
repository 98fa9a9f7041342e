/* control/control.h - the control thread of a worker process: owns the configuration, the identities and the other threads; does what
 * the supervisor orders. Everything that changes what workers do begins here and reaches them as mail. */
#ifndef WEIR_CONTROL_CONTROL_H
#define WEIR_CONTROL_CONTROL_H

#include "control/admin/door.h"
#include "control/capacity.h"
#include "control/cookie_secret.h"
#include "control/dependencies.h"
#include "control/deploy.h"
#include "control/discovery.h"
#include "control/drain.h"
#include "control/listener_drain.h"
#include "control/events.h"
#include "control/health.h"
#include "control/hold.h"
#include "control/io_thread.h"
#include "control/known.h"
#include "control/metrics.h"
#include "control/module_watch.h"
#include "control/older.h"
#include "control/orders.h"
#include "control/outlier.h"
#include "control/publish.h"
#include "control/rebuild.h"
#include "control/reload_log.h"
#include "control/store.h"
#include "control/runtime.h"
#include "control/shift.h"
#include "control/verify.h"
#include "control/watch.h"
#include "exchange/snapshot.h"
#include "io/listener.h"
#include "io/tickets.h"
#include "worker/worker.h"

enum control_state {
	CONTROL_STARTING, /* the first configuration is not served yet */
	CONTROL_SERVING,
	CONTROL_BINDING, /* the supervisor was asked for sockets of a new configuration */
	CONTROL_INSTALLING, /* workers are taking on a new snapshot */
	CONTROL_DRAINING, /* told to stop: open requests finish */
	CONTROL_STOPPING, /* told to stop now */
	CONTROL_STATES
};

struct control {
	uint8_t state; /* enum control_state */
	bool reload_again; /* another order came while a snapshot was being put into effect */
	int code; /* the exit status */
	const char *config; /* the file */
	struct conf *
		first; /* loaded already, with first_report: for the number of workers, taken by the first reload() */
	struct conf_report first_report;
	json_t *not_first; /* what is wrong with the file, when the first configuration is the last good one instead; NULL: nothing, or it was told */
	struct loop loop;
	struct mailbox box;
	struct event *box_event;
	struct orders orders;
	struct known known;
	struct io_thread io;
	struct store store;
	struct runtime runtime;
	struct drains drains;
	struct listener_drains listener_drains;
	struct hold_engine holds;
	struct shift_engine shifts;
	struct deploy_engine deploys;
	struct worker *workers;
	uint32_t worker_n;
	uint32_t workers_waited_for; /* that have not answered the last order yet */
	struct listener_sockets sockets; /* the supervisor's: copies of its descriptors */
	bool frozen; /* what is known was handed over: nothing that a successor has to know may be changed, or acknowledged, here */
	struct candidate *candidate; /* waits for its sockets; NULL: none */
	struct backend_registry backends;
	struct slots pool_slots, service_slots, tenant_slots;
	struct snapshot *snapshot; /* the current one */
	uint32_t snapshots_alive;
	uint64_t serial; /* of the last snapshot that was built */
	uint64_t generation_served; /* by all workers, the last that was told of; 0: none yet */
	struct roster_source roster;
	struct rebuild rebuild;
	uint64_t fingerprint; /* of the files it was made from */
	struct cert_stores stores;
	struct ticket_keys *keys;
	char own_secret[COOKIE_SECRET_CHARS + 1];
	struct cookie_keys *cookie_keys; /* of the current snapshot's configuration */
	struct deadline key_rotation;
	struct discovery discovery;
	struct health_engine health;
	struct outlier_engine outliers;
	struct capacity_engine capacity;
	struct publisher publisher;
	struct metrics metrics;
	struct deadline
		settle; /* armed while a reload waits for requests of the configuration before the last */
	struct deadline tidy; /* armed once a configuration has been read or freed */
	struct deadline readiness; /* draining: /readyz fails already, listeners accept still */
	uint32_t drain_ms; /* draining: what is left then is cut */
	struct deadline stop_deadline;
	struct admin_server admin;
	struct event_ring events;
	struct reload_log reloads;
	bool watches; /* the configuration's files */
	struct watch watch;
	struct module_watch module_watch;
	struct module_homes homes;
	struct dependencies dependencies;
	struct deadline
		farewell; /* the workers have ended: who has just come is answered, modules send what is left */
	uint64_t farewell_ms; /* when that began */
	json_t *changes; /* what the configuration that is being installed changes */
	json_t *warnings; /* what is odd in it; NULL: nothing is */
	uint64_t started_ms; /* on the loop's clock */
	bool upgraded; /* drains because another process has taken over: the deadline is timeouts.upgrade */
	struct deadline finishing; /* then: says next what is left */
	struct older older; /* those that this process has taken over from */
	uint32_t leaving; /* workers that accept still, though it has */
};

/* May anything be changed at run time, by somebody or by weir itself? Not before it serves, nor while a successor takes over. */
static inline bool control_may_change(const struct control *c)
{
	return c->snapshot && c->state != CONTROL_STARTING && !c->frozen;
}

struct control_options {
	const char *config;
	bool watch; /* reload when the configuration's files change */
};

/* Runs a worker process until it is told to stop. The exit code: 0 stopped in order, 1 it could not start (said on standard error). */
int control_run(const struct control_options *options);

/* -- between the files of control/ -- */
/* What workers shall take a pool of the current snapshot for: given with the snapshot, and published when it changes. */
struct pool_now control_pool_now(const struct control *c, const struct pool *pool);
/* How many workers that configuration asks for. */
uint32_t control_workers_for(const struct conf *conf);
void control_set_state(struct control *c, enum control_state to);
/* Soon, what has become free goes back to the kernel. */
void control_tidy(struct control *c);
/* Somebody on the control thread reads s for longer than a tick; s is current, or held already. */
void control_hold(struct snapshot *s);
/* A worker, or one who held it, uses it no more. The last one frees it, unless it is current. */
void control_let_go(struct control *c, struct snapshot *s);
/* The supervisor's order to begin. */
void control_begin(struct control *c);
/* Reads the configuration again: now, when the reload that is under way has ended, or soon, while requests go by two configurations
 * already. Returns what reloads.ended will be with it; 0: weir has been told to stop. */
uint64_t control_reload(struct control *c);
/* Lets open requests end, then stops; what is left after limit_ms is cut. Told again, stops at once. */
void control_drain(struct control *c, uint32_t limit_ms);
/* The same because another process has taken over, with timeouts.upgrade. control_drain() may follow, and counts once more. */
void control_leave(struct control *c);
void control_stop(struct control *c, const char *why);
/* reload.c: loads the file and gives it to the workers; the outcome is an event. At the start (no snapshot yet) errors go to standard
 * error, and the process ends. */
void reload(struct control *c);
/* The file cannot be served first, as the report says: c->first becomes the last good configuration, if there is one. Said on standard
 * error; the report is freed then. False: there is none, or it is the one that cannot be served. */
bool reload_from_last_good(struct control *c, struct conf_report *report);
/* Says on standard error, and to the supervisor, why the first configuration cannot be served. */
void reload_tell_not_started(struct control *c, const struct conf_report *report);
/* The supervisor has sent all sockets that it could get; errors: {address: why not}, or NULL. */
void reload_bound(struct control *c, const json_t *errors);
/* All workers serve the new configuration: tells of it. */
void reload_installed(struct control *c);
/* Nobody waits for it any more. */
void candidate_free(struct candidate **next);

#endif
