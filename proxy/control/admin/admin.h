/* control/admin/admin.h - what a handler of the admin API sees: a route is a row, a request comes whole and checked, an answer is
 * one call, at once or later.
 *
 * Everything here runs on the control thread. Who asks, whether he may, the size and the syntax of what he sends, and whether the
 * query parameters are known ones has been looked at before the handler is called.
 *
 * A handler ends with exactly one of
 *   admin_answer*(), admin_problem*()   the request is gone after the call
 *   admin_stream_begin()                then admin_stream_send() until admin_stream_end(), or until it is gone
 *   admin_wait() that said true         the handler is called again later
 *   nothing yet                         somebody answers later: rq->gone must be set, in case the client does not wait for it */
#ifndef WEIR_CONTROL_ADMIN_ADMIN_H
#define WEIR_CONTROL_ADMIN_ADMIN_H

#include <jansson.h>
#include "base/list.h"
#include "config/conf.h"
#include "http/stream.h"
#include "io/loop.h"

#define ADMIN_MAGIC       0xad3171e5
#define ADMIN_PARAMS_MAX  4 /* {names} in a path */
#define ADMIN_QUERY_MAX   16 /* parameters in a query */
#define ADMIN_BODY_MAX    (1024u * 1024)
#define ADMIN_DEPTH_MAX   32 /* of JSON */
#define ADMIN_WAIT_MAX_MS 60000 /* of ?wait= */
#define ADMIN_STREAM_MAX  (256u * 1024) /* what a stream's reader may be behind */

struct control;
struct admin_request;

/* Each may do what those before it may. */
enum admin_role {
	ADMIN_ANYBODY, /* without a token: for those who only ask whether weir lives */
	ADMIN_VIEWER,
	ADMIN_OPERATOR,
	ADMIN_ADMIN,
	ADMIN_ROLES
};

const char *admin_role_name(enum admin_role role);

/* A query parameter. */
struct admin_param {
	const char *name; /* NULL: the end of the list */
	const char *type; /* of JSON Schema: "string", "integer", "boolean"; or "duration" */
	const char *doc;
};

struct admin_route {
	uint8_t method; /* enum method; GET takes HEAD as well. METHOD_OTHER: the end of the table */
	uint8_t role; /* enum admin_role: the least */
	bool global; /* is about the whole process: not for callers who are confined to some tenants */
	bool streams; /* with Accept: text/event-stream it answers by one: rq->wants_stream */
	const char *
		path; /* "/v1/services/{t}/{s}": a {name} stands for one segment. {t} is a tenant, and checked against the caller's */
	const char *summary; /* one line, for the OpenAPI document */
	const struct admin_param *query; /* NULL: none */
	const char *request; /* the JSON Schema of the body; NULL: it takes none */
	const char *response; /* the JSON Schema of the answer; NULL: some JSON */
	const char *type; /* of the answer; NULL: application/json */
	const char *other; /* a type that it can be as well, for those whose Accept asks for it; NULL: none */
	void (*handle)(struct admin_request *rq);
};

/* All tables: control/admin/routes.c. Ends with NULL. */
extern const struct admin_route *const admin_tables[];

/* Who asks. */
struct admin_caller {
	struct str name; /* of the token; "uid:1000" over the unix socket, "anonymous" without a token */
	uint8_t role; /* enum admin_role */
	bool known; /* by the socket, a token or a certificate */
	struct conf_strs tenants; /* he is confined to; empty: all */
};

struct admin_pair {
	struct str name, value; /* decoded */
};

/* What requests wait for. */
struct admin_topic {
	struct loop *loop;
	struct list waiting; /* struct admin_request */
	struct task wake;
};

struct admin_request {
	uint32_t magic;
	/* -- for handlers -- */
	struct control *control;
	const struct admin_route *route;
	struct arena arena; /* lives as long as the request */
	struct head head; /* method, path, fields, as sent */
	struct str path; /* without the query */
	struct admin_caller caller;
	json_t *body; /* borrowed; NULL: there was none */
	bool wants_stream; /* the caller accepts text/event-stream, and the route streams */
	bool woken; /* the handler is called again, after admin_wait() */
	void (*gone)(struct admin_request *rq); /* the client has given up; rq is freed after the call */
	void *user; /* the handler's */
	uint64_t mark; /* the handler's */
	struct list link; /* the handler's, for those who answer later; unlinked when the request ends */
	/* -- the server's own -- */
	uint8_t state; /* enum admin_request_state */
	struct admin_door *door;
	struct stream *stream;
	struct str params[ADMIN_PARAMS_MAX]; /* decoded, in the order of the pattern */
	struct admin_pair query[ADMIN_QUERY_MAX];
	uint32_t query_n;
	struct chain received; /* the body, as it comes */
	struct list in_server, in_topic;
	struct fields fields; /* of the answer, so far */
	struct deadline deadline; /* the next look at wait_until_ms, or the next sign of life of a stream */
	uint64_t wait_until_ms; /* ?wait=, on the loop's clock; 0: not at all */
	size_t unsent; /* of a stream, or of the part of a long answer that was sent */
	char *rest; /* a long answer, malloc'ed; NULL: there is none */
	size_t rest_n, rest_at;
};

/* -- the question -- */
/* A {name} of the path. */
struct str admin_param(const struct admin_request *rq, const char *name);
/* A query parameter; STR_NONE (p NULL) when it was not given. NUL-terminated. */
struct str admin_query(const struct admin_request *rq, const char *name);
/* The same as a number; false when it was given and is none, and has been answered. *out is left alone when it was not given. */
bool admin_query_u64(struct admin_request *rq, const char *name, uint64_t *out);
/* The same as a duration ("30s"), in ms. */
bool admin_query_ms(struct admin_request *rq, const char *name, uint64_t *out);
/* May the caller see this tenant? */
bool admin_sees(const struct admin_caller *caller, struct str tenant);

/* -- conditions (RFC 9110 13.1.1): the entity's version is a number, its ETag that number in quotes -- */
/* If-Match, when there is one, names `version`; else 412 has been answered and it returns false. */
bool admin_if_match(struct admin_request *rq, uint64_t version);
/* The same, and without If-Match: 428 (RFC 6585 3). */
bool admin_must_match(struct admin_request *rq, uint64_t version);

/* -- the answer -- */
/* One more field of it; value is copied. */
void admin_header(struct admin_request *rq, const char *name, struct str value);
/* Takes body. */
void admin_answer(struct admin_request *rq, unsigned status, json_t *body);
/* The same with an ETag. */
void admin_answer_etag(struct admin_request *rq, unsigned status, json_t *body, uint64_t version);
/* 200 with a text of any type; text is copied. */
void admin_answer_text(struct admin_request *rq, const char *content_type, struct str text);
/* 200 with a text of any type and length; takes it (malloc'ed), and sends it as fast as it is read. */
void admin_answer_long(struct admin_request *rq, const char *content_type, char **text, size_t n);
/* A problem document (RFC 9457). type: what kind of problem, in one word with underscores, stable: programs compare it. The text says
 * what is wrong and what to do. */
__attribute__((format(printf, 4, 5))) void admin_problem(
	struct admin_request *rq, unsigned status, const char *type, const char *fmt, ...);
/* The same with more members; takes them. */
__attribute__((format(printf, 5, 6))) void admin_problem_with(
	struct admin_request *rq, unsigned status, const char *type, json_t *members, const char *fmt, ...);

/* -- waiting: ?wait=30s -- */
void admin_topic_init(struct admin_topic *t, struct loop *l);
/* True: the caller has time left (?wait=), and the handler is called again when the topic is woken or the time is over. False: answer
 * now. */
bool admin_wait(struct admin_request *rq, struct admin_topic *t);
/* Whatever the caller says, waits for the topic: for what is sure to come. */
void admin_wait_on(struct admin_request *rq, struct admin_topic *t);
/* The handlers of all that wait are called again, later in this tick; each may wait again. */
void admin_topic_wake(struct admin_topic *t);

/* -- server-sent events (HTML 9.2) -- */
/* Begins a stream; rq->gone (which may be NULL) is called when its reader has gone or is too slow. */
void admin_stream_begin(struct admin_request *rq);
/* One event; data is JSON on one line. id 0: none. False: the reader was too far behind and has been cut off, with a last event "cut" that
 * says so; gone has been called. */
bool admin_stream_send(struct admin_request *rq, uint64_t id, const char *name, struct str data);
/* An orderly end; gone is called. */
void admin_stream_end(struct admin_request *rq);

#endif
