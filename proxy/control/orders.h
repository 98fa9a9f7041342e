/* control/orders.h - a worker process's end of the channel to its supervisor: what it is ordered to do, and what it reports.
 *
 * Signals go to the supervisor; here they are ignored, so that one sent to a whole process group or cgroup counts once. When the
 * supervisor is gone for good nobody could reload or stop this process any more: it drains and ends. */
#ifndef WEIR_CONTROL_ORDERS_H
#define WEIR_CONTROL_ORDERS_H

#include "control/admin/admin.h"
#include "control/channel.h"

/* Version of what the supervisor writes for its successor; this program reads SUPERVISOR_MANIFEST_OLDEST to SUPERVISOR_MANIFEST. */
#define SUPERVISOR_MANIFEST        1
#define SUPERVISOR_MANIFEST_OLDEST 1

struct control;
struct listener_sockets;

/* Upgrades that were asked for here, for those who wait for the outcome; one at a time. */
struct upgrade_wait {
	uint64_t asked, answered; /* how many */
	json_t *outcome; /* of the last: {"outcome": "applied" | "failed" | "refused", ...}; NULL: there is none yet */
	json_t *applied; /* the outcome that is to be, when workers accept nothing new; NULL: there is none */
	struct admin_topic changed;
};

struct orders {
	struct channel channel;
	json_t *state; /* what the process before has handed over, until it is used; NULL: nothing */
	int last_good; /* to be served if the file cannot be (control/last_good.h), while it begins; -1: nothing */
	json_t *events; /* told by the supervisor before logs were open; NULL: none */
	uint64_t reload_asked, reload_running; /* numbers that the supervisor gave its orders to reload */
	uint64_t bind_seq; /* of the last question for sockets */
	struct task settle; /* has all of that ended? */
	bool handing_over; /* frozen, but what was begun before has still to end */
	struct upgrade_wait upgrade;
	json_t *failed_upgrade; /* {"outcome", "error", "unix_time"} of the last that came to nothing here; NULL: none did */
};

/* On CHANNEL_FD. The order to begin comes when the loop runs. */
void orders_open(struct control *c);
void orders_close(struct control *c);
/* Takes addresses, an array of texts as the configuration writes them; n sockets each. reload_bound() follows. */
void orders_ask_sockets(struct control *c, json_t *addresses, uint32_t n);
/* All other sockets may be closed, unless another process uses them. Takes addresses. */
void orders_keep_sockets(struct control *c, json_t *addresses);
/* Asks for an upgrade, as SIGUSR2 does. Returns what upgrade.answered will be with its outcome, which is an event too. */
uint64_t orders_ask_upgrade(struct control *c);
/* Something that was begun has ended: if that was the last and a successor waits for what is known, it is handed over. */
void orders_settled(struct control *c);
void orders_tell_ready(struct control *c);
/* Nothing new is accepted here: another process has taken over, and whoever waits for that upgrade is answered. */
void orders_tell_left(struct control *c);
/* What is left here, because another process has taken over; takes members. */
void orders_tell_finishing(struct control *c, json_t *members);
void orders_tell_failed(struct control *c, const char *why);
void orders_tell_reloaded(struct control *c, const char *outcome, uint64_t generation);

#endif
