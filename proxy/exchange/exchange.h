/* exchange/exchange.h - one request and its answer, from the client's stream to the backend's and back.
 *
 *   ROUTING     the head has come; which tenant, route, pool, backend?
 *   HELD        a module waits for something before it goes on, or its service is held
 *   CONNECTING  waits for a connection to the chosen backend
 *   AWAITING    the request is on its way; no final answer yet. A failure may go back to CONNECTING: a retry
 *   RELAYING    the answer's head has gone to the client, its body follows
 *   REPLYING    weir itself answers: an error, a redirect
 *   ENDED       logged and freed
 *
 * exchange.c moves between them and relays; routing.c finds the route; attempt.c chooses backends and asks them; queue.c and hold.c let
 * wait, lasting.c and tunnel.c end what does not end by itself, traffic.c counts; retry.c asks again; tenancy.c keeps within the tenant's
 * limits; forward.c edits heads, edit.c and render.c as the file says; claim.c keeps names for weir; reply.c answers; access_log.c tells of
 * it; modules.c calls the modules that it meets. An exchange belongs to one worker and owns both streams. It holds the snapshot that it
 * began under until its answer begins; follow.c lets it go on with later ones. */
#ifndef WEIR_EXCHANGE_EXCHANGE_H
#define WEIR_EXCHANGE_EXCHANGE_H

#include "exchange/edge.h"
#include "exchange/entry.h"
#include "exchange/filter.h"
#include "exchange/lasting.h"
#include "exchange/mirror.h"
#include "exchange/modules.h"

#define EXCHANGE_MAGIC 0xe8c4a93e

enum exchange_state {
	EXCHANGE_ROUTING,
	EXCHANGE_HELD,
	EXCHANGE_CONNECTING,
	EXCHANGE_AWAITING,
	EXCHANGE_RELAYING,
	EXCHANGE_REPLYING,
	EXCHANGE_ENDED,
	EXCHANGE_STATES
};

#define EXCHANGE_TRIED_MAX 8
#define EXCHANGE_ID_MAX    64
/* What may be on its way through weir in each direction of one exchange. */
#define EXCHANGE_WINDOW_UP   (64u * 1024)
#define EXCHANGE_WINDOW_DOWN (256u * 1024)

/* What an exchange remembers of the configuration that it began under, once it has let go of it; texts in its arena. */
struct exchange_kept {
	struct str tenant, service, pool, backend, route; /* names; empty: it had none */
	uint64_t generation;
	uint64_t body_max, tenant_body_max; /* limits of its request's body; 0: none */
	uint32_t response_ms; /* timeouts.response */
};

struct exchange {
	uint32_t magic;
	uint8_t state; /* enum exchange_state */
	bool request_last; /* the client has finished its request */
	bool request_given; /* ... and all of it has been given to the upstream stream */
	bool response_last; /* the backend has finished its answer */
	bool panic; /* the pool panics: health is not looked at */
	bool tunnel; /* bytes both ways: WebSocket */
	bool replayable; /* everything sent so far can be sent again */
	bool response_begun; /* a final head has gone to the client */
	bool in_flight; /* counted in its pool's traffic */
	bool awaited; /* ... among those whose answer has not begun */
	bool client_dead; /* the client's stream was reset; an answer may still be possible, see http/stream.h */
	uint8_t attempts;
	uint8_t tried_n;
	uint8_t stale_replays;
	uint8_t pool_why; /* enum split_why */
	uint8_t phase; /* enum exchange_state in which it failed */
	uint16_t status; /* of the final answer; 0: none was given */
	uint16_t reason; /* enum reason: why it failed */
	uint16_t first_reason; /* of the first attempt that failed, when a later one did better */

	struct edge *edge;
	struct entry *entry;
	struct snapshot_use *use;
	struct snapshot_use *renewed; /* of a later snapshot, whose service it goes to; NULL: its own */
	const struct exchange_kept
		*kept; /* it goes on under a later snapshot than it began under; NULL: it does not.
					   * What that one does not name any more is NULL below, and so is the route */
	struct list link; /* in edge->exchanges */
	struct queue *queue; /* in which it waits for its pool; NULL: in none */
	struct hold *hold; /* that it waits for; NULL: for none */
	struct list queued; /* in the queue, or the hold */
	uint16_t queue_why; /* enum reason: why it has to wait */
	struct arena arena;

	struct stream *client;
	struct head request; /* canonical, in the arena; as it came, until forward_request() */
	struct addr peer,
		local; /* who is connected, and to what; kept here because the connection may go first */
	const char *tls_version; /* of the client's connection; NULL: plain */
	struct addr client_addr; /* who asks: the peer, or whom a trusted peer names */
	struct str id;
	struct str host, path; /* as received, for the log; in the arena */

	const struct tenant *tenant;
	const struct route *route;
	const struct service *service;
	const struct pool *pool;
	const struct backend *backend;
	bool issue_pin; /* the answer pins the client to its pool */
	bool chose_pool; /* the client did, whether or not it got it: the answer says which it was */
	struct str sticky_id; /* weir_id to be issued with the answer; empty: none */
	const struct backend
		*stuck_to; /* whom the client's cookie names (stick); NULL: nobody of this pool */
	const struct backend *tried[EXCHANGE_TRIED_MAX];
	struct cause_notes *notes; /* of attempts that failed; NULL: none has */

	const struct backend *retry_to; /* who is asked when `pause` is over */
	uint16_t retry_why; /* enum reason: why the attempt before it failed */
	struct deadline pause; /* before another attempt */
	struct conn_pool *conn_pool; /* of the stream that is open; conn_pool_done() is owed */
	struct conn_waiter waiter;
	struct stream *upstream;
	uint8_t upstream_version; /* enum http_version */
	bool upstream_tls, upstream_reused;
	struct chain request_body; /* has come, but there is no upstream yet */
	struct chain replay; /* what was given to the upstream, kept for another attempt */
	struct fields *request_trailers; /* have come; NULL: none have, or none of them go on */
	struct claim *claims; /* names that are weir's in these trailers too */
	struct module_run *modules; /* NULL: it has met none */
	struct mirror *mirror; /* its copy, as long as it is not complete; NULL: none */
	struct tunnel *websocket; /* what is known of its tunnel; NULL: it is none */
	struct lasting *lasting; /* NULL: it ends by itself, as far as is known */
	struct filters filters_up, filters_down; /* of the request's body, and of the answer's */
	struct quota *quota; /* of the tenant whose limits it is counted under; NULL: it has none */
	uint64_t credit_down; /* response body that the backend's codec may still deliver */

	struct deadline deadline; /* timeouts.response, per-try timeouts */
	struct deadline total; /* the route's timeout */
	struct deadline pace; /* the tenant's bandwidth is used up: until more can be bought */
	uint64_t bought,
		owed; /* bytes of the answer: that were bought and have not come; that are to be bought */

	uint64_t bytes_in, bytes_out; /* bodies */
	uint64_t sent_up; /* of the request's body, in this attempt */
	uint64_t
		credited_up; /* bytes of it that the client has been given credit for again: a replay earns none twice */
	uint64_t start_us, wait_us, first_byte_us; /* on the loop's clock; 0: did not happen */
	uint64_t queue_us,
		connect_us; /* spent waiting for a connection to come free, and for one to be made */
};

extern const struct stream_owner_ops exchange_client_ops;
extern const struct stream_owner_ops exchange_upstream_ops;

/* For http_conn_owner_ops.on_stream: begins an exchange on a new request. */
void exchange_begin(struct entry *entry, struct stream *client);
/* Ends every exchange of the edge at once: at the end of the process. */
void exchange_end_all(struct edge *e);

/* -- between the files of exchange/ -- */
void exchange_set_state(struct exchange *x, enum exchange_state to);
/* Why it failed, unless it failed before; where it has come to counts. */
void exchange_blame(struct exchange *x, enum reason why);
/* It cannot go on: answers the client with the reason's status if that is still possible, cuts it off otherwise. */
void exchange_fail(struct exchange *x, enum reason why);
/* Everything is done, or nobody cares any more: logs and frees. */
void exchange_end(struct exchange *x);
/* Gives the client's body to the upstream stream, as far as it has come. */
void exchange_pump_request(struct exchange *x);
/* It goes on under that snapshot. */
void exchange_use(struct exchange *x, struct snapshot_use *use);
/* It has waited, and goes to the service as the current snapshot has it: service, or NULL if that has it no more. */
void exchange_renew(struct exchange *x, const struct service *service);

/* routing.c */
/* The ways in which a listener answers by itself. True when it did. */
bool routing_by_listener(struct exchange *x);
/* A head has come: its tenant, the modules that this one's requests meet, its route, and on. */
void routing_begin(struct exchange *x);
/* Finds the route of a request that modules have held, and whose head is now as it is to be, and goes on. */
void exchange_route(struct exchange *x);
/* Answers it as its route says, or has a backend asked. */
void exchange_serve(struct exchange *x);
/* Has the service asked, which is not held (any more). */
void exchange_proceed(struct exchange *x);
/* It waits, and has not chosen a backend: if only members of pools have changed since it came, it goes by those that there are now. */
void exchange_follow_members(struct exchange *x);
/* Has the configuration that it goes by been replaced? */
bool exchange_is_outdated(const struct exchange *x);
/* One that has been replaced never hears what the names that it still asked for have become: where the service had such, the request goes
 * by the current one's. */
void exchange_follow_names(struct exchange *x);

/* follow.c */
/* If its answer has begun, it lets go of the snapshot that it began under and goes on under the current one; nothing if that is its own. */
void exchange_follow(struct exchange *x);
/* Another snapshot has become current: all that can, follow; many of them in several ticks. */
void exchanges_follow(struct edge *e);
/* Has its pool or its backend left the configuration since? */
bool exchange_is_left(const struct exchange *x);
/* Names, whether or not they are still configured; empty: it has none. Valid as long as the exchange. */
struct str exchange_tenant(const struct exchange *x);
struct str exchange_service(const struct exchange *x);
struct str exchange_pool(const struct exchange *x);
struct str exchange_backend(const struct exchange *x);
struct str exchange_route_path(const struct exchange *x);
/* As the client spoke, whatever the canonical form is: an HTTP/1 client asks for a WebSocket by GET, and is answered 101. */
struct str exchange_method(const struct exchange *x);
unsigned exchange_status(const struct exchange *x);
/* Of the configuration that it began under. */
uint64_t exchange_generation(const struct exchange *x);

/* attempt.c */
/* Picks pool and backend, and gets a connection. */
void attempt_begin(struct exchange *x);
/* It has waited in a queue, and attempt_has_place(): goes on in the same pool. */
void attempt_resume(struct exchange *x);
/* Can its pool take it now? */
bool attempt_has_place(struct exchange *x);
/* Backends have left the configuration: who waits for a connection to one of them goes to another. Where there is none, the one that
 * leaves still serves it. */
void attempts_leave_retired(struct edge *e);
/* Why there is no backend for it. */
enum reason attempt_why_nobody(const struct exchange *x);
/* The request is on its way: the backend's time to begin its answer runs (anew). */
void attempt_await(struct exchange *x);
/* The attempt has failed before an answer began: another one, or exchange_fail(). */
void attempt_failed(struct exchange *x, enum reason why);
/* The attempt has come to an answer, or to none that is any good: balance: ewma learns from it. */
void attempt_measure(struct exchange *x, bool good);
/* Lets go of the upstream stream, or of the wait for one. */
void attempt_drop(struct exchange *x);
/* A backend of x->pool that may be asked and has not been tried, by its balance; NULL: none. */
const struct backend *attempt_pick(struct exchange *x);
/* ... may this one be? */
bool attempt_may_ask(const struct exchange *x, const struct backend *b);
/* Gets a connection to that backend, and sends the request. */
void attempt_start(struct exchange *x, const struct backend *b);

/* retry.c */
/* After a failed attempt that has been dropped: another one, now or after a pause. False: not allowed, or nobody to ask.
 * stale: the replay that a kept-alive connection is owed which closed under the request. It counts as no attempt, costs no budget,
 * and may go to the same backend. */
bool retry_begin(struct exchange *x, enum reason why, bool stale);
/* The time before another attempt has passed: x->pause. */
void retry_pause_over(struct deadline *d);
/* Will this answer be passed over, and the request be tried again elsewhere? */
bool retry_passes_over(struct exchange *x, const struct head *head);

/* queue.c */
/* Waits for p, which is x->pool, or one of those that x would take. False: as many as may wait already. */
bool queue_join(struct exchange *x, const struct pool *p, enum reason why);
/* Waits no more; nothing if it did not. */
void queue_leave(struct exchange *x);
/* Why those wait who wait for that pool; REASON_NONE: nobody does. */
enum reason queue_why(const struct edge *e, const struct pool *p);
/* Something has ended there: who waits is looked at in this tick. */
void queue_place_came_free(struct edge *e, const struct pool *p);
/* Backends have come up, gone down or left the configuration: all who wait choose again. */
void queues_look_again(struct edge *e);
void queue_free(struct pool_traffic *t);

/* tunnel.c */
/* It asks for a WebSocket. */
void tunnel_begin(struct exchange *x);
/* It is over, or was declined; nothing if it was none. */
void tunnel_end(struct exchange *x);
/* x->websocket: bytes have come from the client, or from the backend. False: they are not to be passed on, and x may be gone. */
bool tunnel_up(struct exchange *x, struct chain *c, bool last);
bool tunnel_down(struct exchange *x, struct chain *c, bool last);
/* Have both sides been told that it ends, and not both answered? */
bool tunnel_is_closing(const struct exchange *x);
/* ... both? */
bool tunnel_has_closed(const struct exchange *x);
/* Closes it in order, if it has been agreed on; one that has not is answered like any request. */
void tunnel_close(struct exchange *x);

/* traffic.c */
/* Why not one more request may go to x->pool now, or REASON_NONE. */
enum reason traffic_refuses(const struct exchange *x);
void traffic_enter(struct exchange *x);
void traffic_leave(struct exchange *x);
/* A final head has come. */
void traffic_answered(struct exchange *x, unsigned status);
/* The attempt has failed. */
void traffic_failed(struct exchange *x, enum reason why);

/* tenancy.c */
/* Its tenant has become known: may it go on? False: it has failed. Looks once. */
bool tenancy_enter(struct exchange *x);
void tenancy_leave(struct exchange *x);
/* Its tenant, as the current snapshot has it: NULL if that has it no more. */
void tenancy_follow(struct exchange *x, const struct tenant *tenant);
/* Is a request body of n bytes too long, by the tenant's limits or the general ones? */
enum reason tenancy_refuses_body(struct exchange *x, uint64_t n);
/* It has to wait for a pool: may it? tenancy_waits_no_more() must follow. */
bool tenancy_may_wait(struct exchange *x);
void tenancy_waits_no_more(struct exchange *x);
bool tenancy_has_retry(const struct exchange *x);
bool tenancy_spend_retry(struct exchange *x);
/* n bytes more of the answer are wanted, besides what is owed: how many may come now. x->pace fires when there may be more. */
uint64_t tenancy_buy(struct exchange *x, uint64_t n);

/* outcomes.c: tell what became of an attempt: the backend's tally and, where the pool has `outlier`, those who eject. */
/* It failed; reasons that do not speak against the backend are passed over. */
void outcome_of_failure(struct exchange *x, enum reason why);
/* A final head has come. */
void outcome_of_head(struct exchange *x, const struct head *head);
/* The answer to the client (x->status) has come as a whole. */
void outcome_of_end(struct exchange *x);

/* forward.c */
/* Reads what must be known before routing: the client's true address and the request's id. */
void forward_identify(struct exchange *x);
/* Does with fields of the client's, which the exchange owns, what the listener says of underscores in their names; the reason when it
 * says to refuse them. Origins that turn names into variables (RFC 3875 4.1.18) cannot tell `X_Real_IP` from `X-Real-IP`. */
enum reason forward_screen(struct exchange *x, struct fields *fs);
/* Has the request come through a weir too often already (its Via says so)? */
bool forward_loops(const struct exchange *x);
/* Makes x->request what the backend gets. Once per exchange. False: a module would not have it, and it has failed. */
bool forward_request(struct exchange *x);
/* Strict-Transport-Security as the listener has it, in place of any other: on every answer (RFC 6797 7.1). */
void forward_hsts(struct exchange *x, struct fields *fs);
/* The answer's head as the client gets it; bytes in x->arena. */
void forward_response(struct exchange *x, struct head *to, const struct head *from);

/* claim.c */
/* What the backend believes under this name comes from weir alone: takes it out of the request's head, and of its trailers when they come.
 * "_" is "-" there: CGI, and what came after it, cannot tell them apart. A name that ends with "-" is all that begin so. */
void claim_header(struct exchange *x, struct str name);
/* The same for the trailers alone, and for exactly this name. */
void claim_trailer(struct exchange *x, struct str name);
/* x->request_trailers are about to go on: what was claimed is taken out of them, and what filters have made untrue. */
void trailers_trim(struct exchange *x);

/* reply.c */
/* Is it a gRPC call, whose client reads grpc-status instead of the HTTP status? */
bool reply_is_grpc(const struct exchange *x);
/* How such a call ends: in a trailers-only head, or in the trailers. */
void reply_grpc_status(struct exchange *x, struct fields *to, enum reason why);
/* How much the client likes a media type, in thousandths: 0 not at all (RFC 9110 12.4.2). */
unsigned reply_accepts(const struct exchange *x, struct str type);
/* An answer of weir's own for a failure: in the form that the client accepts, or a module's page. */
void reply_error(struct exchange *x, enum reason why);
/* location empty: where the route's redirect leads. */
void reply_redirect(struct exchange *x, unsigned status, struct str location);
/* What the route answers with instead of a backend: its response_headers hold for it as for a backend's; fields may be NULL. */
void reply_for_route(struct exchange *x, unsigned status, const struct fields *fields, struct str body);
/* An answer of weir's or a module's own; fields may be NULL. */
void reply_with(struct exchange *x, unsigned status, const struct fields *fields, struct str body);

/* counts.c */
/* It has ended: adds it to the tallies of its pool and its worker. */
void count_end(struct exchange *x);
/* It tries again; denied: it would, had the budget allowed it. */
void count_retry(struct exchange *x, bool denied);

/* access_log.c */
void access_log_write(struct exchange *x);

#endif
