/* exchange/module.h - the one header that a module includes: what it is, when it is called, what it may do.
 *
 * A module is one const struct. The configuration names it, at the top level, in a tenant, in a route (config/module.h); the most
 * specific of them counts. Where no level names any, modules cost a request one look at a pointer.
 *
 *   build        on the control thread, for each place in a new configuration that names the module: files are read, tables made.
 *                What it returns is const from then on, and shared by all workers
 *   worker_init  on each worker: what that worker keeps of its own
 *   accept       a client's connection is open (top level only)
 *   request      a request's head has come, its tenant is known, its route is not: what routing may look at is set here
 *   routed       the route is known; no backend has been asked
 *   forward      the request is about to go to its first backend: what is changed here, routing and other modules do not see
 *   attempt      a backend has been chosen and is about to be asked, for the first time or again
 *   attempt_failed
 *   response     a final answer's head is about to go to the client, the backend's or one of weir's own
 *   log          the request is over: the last call for it, always made
 *
 * home_init and its kin are control's side of a module, for what is not a request's: sending what workers have gathered.
 *
 * Hooks are called in the order of the list of modules, on the request's worker; they must not wait. A hook that has to wait answers
 * MODULE_HOLD and calls module_resume() later, from the same thread. docs/writing-a-module.md walks through one. */
#ifndef WEIR_EXCHANGE_MODULE_H
#define WEIR_EXCHANGE_MODULE_H

#include "base/escape.h"
#include "base/file.h"
#include "base/obj.h"
#include "base/rate.h"
#include "base/regex.h"
#include "base/ring.h"
#include "config/module.h"
#include "exchange/dependency.h"
#include "exchange/render.h"
#include "http/fetcher.h"
#include "http/head.h"
#include "io/loop.h"
#include "io/offload.h"
#include "io/redis.h"

struct exchange;
struct module;

/* What a hook answers: one of these, or an `enum reason`, with which the request fails. */
enum verdict {
	MODULE_PASS = 0, /* on with the next module */
	MODULE_DECLINE =
		-1, /* the same, and but for `log` this module is not called for this request again */
	MODULE_HOLD = -2, /* request, routed: the request waits for module_resume() */
	MODULE_ANSWERED = -3, /* request, routed, response: module_answer() was called */
};

/* One call of a hook. Valid during the call; of a request that is held, a copy is good until it is resumed or cancelled. */
struct module_call {
	struct exchange *x; /* to be given to module_resume() */
	const struct module *module;
	/* Of the level that counts; the table's struct. Once the answer has begun it may be that of a later configuration, which says the
	 * same or, without build(), something else: what a filter or `log` needs of it is kept in the arena. */
	const void *values;
	void *data; /* build()'s; NULL without one. The same as long as the request meets the module, filters included */
	void *worker; /* worker_init()'s; NULL without one */
	void **slot; /* the module's word in this request; NULL at first */
	struct loop *loop;
	struct arena *arena; /* freed with the request */
};

/* What build() is given. */
struct module_build {
	struct str
		place; /* "" for the top level, "acme", or for a route "acme/its/path", with a hash if it asks for more */
	void *previous; /* what is built for the same place of the running configuration; NULL: nothing */
	void *home; /* home_init()'s; NULL without one, and where nothing runs (`weir check`) */
	char err[512]; /* why it returns NULL; it ends up in the report, at the place of the module's name */
	char warn
		[512]; /* what somebody should know although it does not; likewise, as a warning. Empty: nothing */
	/* What this module has built for the i-th of its other places: those of this configuration that came before, then those of the
	 * running one. NULL: there are no more. build() may return one of them, which is then shared. */
	void *(*other)(struct module_build *b, uint32_t i);
};

/* A client's connection that has just been opened. */
struct module_conn {
	const void *values;
	void *data, *worker;
	struct loop *loop;
	const struct addr *peer, *local; /* after the PROXY protocol */
	struct str listener;
};

/* What page() gives: in place of the words that weir has for a failure. */
struct module_page {
	struct str body, content_type; /* in the request's arena, or the module's data */
	bool negotiated; /* it depends on the request's Accept */
};

/* What counts() tells. */
struct module_counts {
	void (*tell)(struct module_counts *out, struct str what, struct str event, uint64_t n);
};

static inline void module_count(struct module_counts *out, struct str what, struct str event, uint64_t n)
{
	out->tell(out, what, event, n);
}

/* What depends() gives. */
struct module_dependency {
	struct str what; /* static: "Redis" */
	struct str address; /* for eyes and labels: nothing secret in it */
	const char *meanwhile; /* static: what happens as long as he does not answer */
	struct dependency *state; /* in the module's data */
};

struct module {
	struct config_module config; /* the first member */
	/* Control's thread. NULL with b->err when it cannot be had: the configuration is refused. It may return b->previous, which is
	 * then shared. NULL: the values are all there is. */
	void *(*build)(struct module_build *b, const void *values);
	/* Control's thread, when no configuration and no worker uses it any more. */
	void (*release)(void *data);
	/* The i-th file that build() reads, absolute; empty: there are no more. When one changes, build() is called again, without a
	 * reload. Should it return NULL then, what was built before stays, and an event says why. */
	struct str (*watches)(const void *values, uint32_t i);
	/* Each worker's thread; workers: how many there are. The state stays as long as the data does. Never fails. */
	void *(*worker_init)(struct loop *l, void *data, uint32_t worker, uint32_t workers);
	void (*worker_free)(void *state, void *data);
	/* Control's thread: what the module has for as long as the process runs, made when a configuration first names it. */
	void *(*home_init)(struct loop *l);
	/* No worker serves any more, and the process is about to end; called again and again, for a second or two at most: is
	 * there something still to be sent? */
	bool (*home_busy)(void *home);
	/* All data has been released. */
	void (*home_free)(void *home);
	int (*accept)(const struct module_conn *c);
	int (*request)(struct module_call *c);
	int (*routed)(struct module_call *c);
	/* ... changed for the backend, and as module_edit_headers(), module_set_path() and module_set_host() do. PASS, or the reason why it
	 * must not go out. */
	int (*forward)(struct module_call *c);
	/* module_backend() is about to be asked, with this head: changed in place. A retry changes what the one before it has left. */
	void (*attempt)(struct module_call *c, struct head *head);
	/* It came to nothing; another may follow. */
	void (*attempt_failed)(struct module_call *c, enum reason why);
	/* head: changed in place. own: weir's own answer, which takes no filter, and which a reason does not stop. */
	int (*response)(struct module_call *c, struct head *head, bool own);
	/* The request that is held has gone: module_resume() must not be called for it. `log` follows. */
	void (*cancel)(struct module_call *c);
	void (*log)(struct module_call *c);
	/* The request fails with `why`, before or after it has met the module: a page for it; false: this module has none. head: the
	 * answer's; its status stays. c->slot is NULL. */
	bool (*page)(
		struct module_call *c, const struct head *head, enum reason why, struct module_page *out);
	/* The value of $(NAME.variable) in a template, in the request's arena; *out is empty, and stays so where there is none. */
	void (*value)(struct module_call *c, struct str variable, struct str *out);
	/* `weir explain`: one line on what it would decide for this request, of a client at that address. */
	void (*explain)(const void *values, void *data, const struct head *request, const struct addr *client,
		struct text *out);
	/* Control's thread, when metrics are asked for: module_count() for each thing that it has counted since it was built. Workers count
	 * in atomics of the data. */
	void (*counts)(const void *values, void *data, struct module_counts *out);
	/* ... what `request` does to the head, so that it is explained by the route that it would take. Texts borrowed or in a. */
	void (*explain_request)(const void *values, void *data, struct arena *a, struct head *request,
		const struct addr *client);
	/* Control's thread, each second: whom it asks about requests, or tells of them; false: nobody. An operator is told when he does not
	 * answer any more, and when he does again. */
	bool (*depends)(const void *values, void *data, struct module_dependency *out);
	/* The i-th pool that it may give to module_choose_pool(); empty: there are no more. One that is in no service which the module is
	 * there for is a mistake of the configuration. */
	struct str (*pools)(const void *values, uint32_t i);
	/* `weir explain`: the one that it would choose for this request; empty: none. */
	struct str (*explain_pool)(
		const void *values, void *data, const struct head *request, const struct addr *client);
};

/* -- reading -- */
/* Canonical, as the backend will get it but for what forwarding adds; may be changed until the backend is asked. */
struct head *module_request(const struct module_call *c);
/* Who asks: the peer, or whom a trusted proxy names. */
const struct addr *module_client(const struct module_call *c);
/* Who is connected. */
const struct addr *module_peer(const struct module_call *c);
/* Names; empty where it is not known (yet). */
struct str module_tenant(const struct module_call *c);
struct str module_service(const struct module_call *c);
struct str module_pool(const struct module_call *c);
struct str module_backend(const struct module_call *c);
struct str module_listener(const struct module_call *c);
/* Of the log and of X-Request-Id. */
struct str module_request_id(const struct module_call *c);
/* How much the client likes a media type ("text/html"), in thousandths: 0 not at all, 1000 also without an Accept. */
unsigned module_accepts(const struct module_call *c, struct str type);
/* The path of the route as the configuration writes it. */
struct str module_route(const struct module_call *c);
/* The subject of the client's certificate; empty: it showed none. */
struct str module_peer_subject(const struct module_call *c);
/* Its alternative names: "DNS:a.test,URI:spiffe://b/c,email:d@e.test". */
struct str module_peer_names(const struct module_call *c);
bool module_is_tls(const struct module_call *c);
/* What came of it, for `log`: the answer's status, 0: none was given; and why it failed. */
unsigned module_status(const struct module_call *c);
enum reason module_reason(const struct module_call *c);
uint64_t module_bytes_in(const struct module_call *c);
uint64_t module_bytes_out(const struct module_call *c);
/* On the loop's clock; when the request came, when its answer began (0: it did not), when the present attempt began (0: none). */
uint64_t module_start_us(const struct module_call *c);
uint64_t module_first_byte_us(const struct module_call *c);
uint64_t module_attempt_us(const struct module_call *c);
/* Spent in queues before a backend was asked, and in waiting for connections, of all attempts so far. */
uint64_t module_queue_us(const struct module_call *c);
/* The TLS handshake of the client's connection, for whoever asks first; false: it was told already, or there was none. */
bool module_handshake(const struct module_call *c, uint64_t *begun_us, uint64_t *done_us);
/* Since 1970. */
uint64_t module_wall_us(const struct module_call *c, uint64_t loop_us);
unsigned module_attempts(const struct module_call *c);

/* Another module's word in this request; NULL: the request does not meet that module at this stage. */
void **module_slot(const struct module_call *c, const struct module *other);

/* -- doing -- */
/* In place of all headers of that name; name and value are borrowed: static, or in the arena. */
void module_set_header(const struct module_call *c, struct head *head, struct str name, struct str value);
/* request, routed: what backends believe under this name comes from weir alone: no header of the client's has it any more, and none of its
 * trailers will. "_" is "-" there: CGI, and what came after it, cannot tell them apart. A name that ends with "-" is all that begin so. */
void module_claim_header(const struct module_call *c, struct str name);
/* `remove`, `rename`, `set`, `add`; answer: the head is the answer's. */
void module_edit_headers(
	const struct module_call *c, struct head *head, const struct conf_headers *edits, bool answer);
/* The template filled in for this request; see exchange/render.h. */
struct str module_render(const struct module_call *c, const struct render *r, const struct template *t);
/* forward: path and query, or host[:port], for the backend; in the arena. False, with nothing changed: it is none that could be sent. */
bool module_set_path(const struct module_call *c, struct str path);
bool module_set_host(const struct module_call *c, struct str host);
/* To the field's line in the log (json and logfmt), behind weir's own; borrowed likewise. */
void module_log_field(const struct module_call *c, struct str name, struct str value);
/* To the answer of a request that fails: Retry-After, WWW-Authenticate (which goes with 401 and 403 alone). Borrowed likewise. */
void module_reply_header(const struct module_call *c, struct str name, struct str value);
/* The request goes to this pool of its service, if it may (as with an override); request, routed. */
void module_choose_pool(const struct module_call *c, struct str pool);
/* Why the request ends with an answer of the module's own: for the log, which has no reason otherwise. */
void module_set_reason(const struct module_call *c, enum reason why);
/* An answer of its own; fields may be NULL, and must have a content-type if there is a body. That of a module that `answers` for a route
 * carries the route's response_headers. Returns MODULE_ANSWERED. */
int module_answer(const struct module_call *c, unsigned status, const struct fields *fields, struct str body);
/* From the loop, for a request that is held, once: with any verdict but HOLD. */
void module_resume(struct exchange *x, int verdict);
/* The same for an answer of its own; why: for the log, or NONE. */
void module_resume_answer(
	struct exchange *x, enum reason why, unsigned status, const struct fields *fields, struct str body);

/* -- bodies -- */
struct module_filter {
	/* Takes what it wants of `in` (what it leaves is dropped), appends to `out`. last: this is the end, and nothing may be kept
	 * back. What it keeps back before must be bounded. False: it cannot go on; the message is cut off. */
	bool (*body)(void *state, struct mem *mem, struct chain *in, struct chain *out, bool last);
	/* The trailers that follow the end of the body: it takes out what is not true of what it made of it. NULL: they stay. */
	void (*trailers)(void *state, struct fields *trailers);
	/* Called once, also when the body never came. NULL: nothing to free. */
	void (*free)(void *state);
};
/* In `routed`, `request`: what the client sends goes through it. In `response`: what the backend sends. The length that the head
 * announced is forgotten. Filters are passed in the order in which they were added. */
void module_filter_request(const struct module_call *c, const struct module_filter *filter, void *state);
void module_filter_response(
	const struct module_call *c, struct head *head, const struct module_filter *filter, void *state);

#endif
