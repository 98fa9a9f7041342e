/* config/conf.h - the configuration as values: what config/fields_*.c fill from YAML and everything else reads as const.
 *
 * Everything lies in the conf's arena; arrays are pointer and count. Durations are milliseconds, sizes bytes, shares
 * parts per 10,000 (20% is 2000). Strings are NUL-terminated as well. Names in the file are the contract with users; the member
 * behind each is in the table beside it. */
#ifndef WEIR_CONFIG_CONF_H
#define WEIR_CONFIG_CONF_H

#include "base/addr.h"
#include "base/arena.h"
#include "base/map.h"
#include "base/str.h"
#include "config/template.h"

/* Where a value stood, for errors that are found after parsing. file is an index into conf.files. */
struct conf_place {
	uint16_t file;
	uint16_t col; /* from 1; 0: not from a file */
	uint32_t line; /* from 1 */
};

struct conf_strs {
	struct str *v;
	uint32_t n;
};

struct conf_header {
	struct str name;
	struct template value;
};

struct conf_pair {
	struct str name, value;
};

struct conf_headers { /* request_headers, response_headers */
	struct conf_pair *rename; /* a name, and the one that it becomes */
	struct conf_header *set, *add;
	uint32_t rename_n, set_n, add_n;
	struct conf_strs remove;
};

/* -- listeners -- */
struct conf_cert {
	struct str cert, key, ocsp; /* paths, absolute; ocsp optional: a DER response to staple */
	struct conf_place place;
};

enum conf_tls_version { CONF_TLS_1_2, CONF_TLS_1_3 };
enum conf_client_auth { CONF_CLIENT_OPTIONAL, CONF_CLIENT_REQUIRED };

struct conf_listener_tls {
	struct conf_cert *
		certs; /* the first is the default: for clients without SNI, or with one that no certificate has */
	uint32_t cert_n;
	struct str directory; /* every NAME.pem|crt with NAME.key in it; NAME.ocsp if there */
	uint8_t min_version; /* enum conf_tls_version */
	struct str client_ca; /* path; empty: client certificates are not asked for */
	uint8_t client_auth; /* enum conf_client_auth; with client_ca */
	struct str
		client_subject_header; /* default X-Client-Cert-Subject; carries the verified subject, removed from clients */
	struct str ciphers; /* TLS 1.2, OpenSSL's syntax; empty: ours */
	struct conf_place place;
};

#define CONF_WORKERS_MAX 256

/* Request headers with an underscore in their names. */
enum conf_underscores { CONF_UNDERSCORES_DROP, CONF_UNDERSCORES_PASS, CONF_UNDERSCORES_REFUSE };

struct conf_listener {
	struct str name;
	struct str address; /* as written: "0.0.0.0:8080", "[::]:8443", "unix:/run/weir/http.sock" */
	struct str
		socket_key; /* by which reloads find its sockets again: the address; with port 0, NAME=ADDRESS: each has a port of its own */
	struct addr addr; /* family ADDR_UNIX: unix_path */
	struct str unix_path;
	uint32_t unix_mode; /* 0660 */
	bool has_tls;
	struct conf_listener_tls tls;
	bool redirect_https;
	uint16_t redirect_port; /* of the https: target; 443 */
	struct str hsts; /* the header's value ("max-age=31536000"); empty: none. TLS listeners only */
	bool http2; /* ALPN h2 on TLS, prior knowledge on plain */
	uint32_t max_concurrent_streams;
	bool proxy_protocol; /* required, from trusted_proxies */
	struct cidr *trusted; /* trusted_proxies; a unix listener trusts its peers */
	uint32_t trusted_n;
	uint32_t backlog;
	uint8_t underscores; /* enum conf_underscores */
	struct conf_place place;
	uint64_t digest; /* of what is written there: the same text, the same digest */
};

struct conf_timeouts { /* ms; 0: none */
	uint32_t client_header, client_body, client_idle, connect, response, upstream_idle, drain, upgrade,
		shutdown;
	uint32_t readiness, drain_spread, tunnel_drain, stream_drain;
};

struct conf_limits {
	uint32_t connections;
	uint32_t header_bytes, header_count;
	uint64_t body; /* 0: unlimited */
	uint32_t body_rate; /* bytes a second; 0: any */
	uint64_t memory; /* 0: none */
	uint32_t loop_lag; /* ms; 0: none */
};

/* -- services -- */
enum conf_sticky { CONF_STICKY_NONE, CONF_STICKY_COOKIE, CONF_STICKY_IP, CONF_STICKY_HEADER };

struct conf_split {
	uint8_t sticky; /* enum conf_sticky */
	struct str sticky_header; /* header:NAME */
	struct str override_header, override_cookie; /* empty: no override */
	struct cidr *override_from; /* who may override; none listed: everybody */
	uint32_t override_from_n;
	bool by_host; /* some pool has hosts of its own */
	uint32_t pin; /* ms that a user may stay away and come back to his pool; 0: no pins */
	bool capacity; /* a pool's share is capped by what its healthy backends can carry */
};

enum conf_balance { CONF_ROUND_ROBIN, CONF_LEAST_REQUEST, CONF_RANDOM, CONF_HASH, CONF_EWMA };
enum conf_protocol { CONF_HTTP1, CONF_H2, CONF_H2C, CONF_AUTO };
enum conf_check { CONF_CHECK_NONE, CONF_CHECK_HTTP, CONF_CHECK_TCP, CONF_CHECK_TLS, CONF_CHECK_GRPC };

struct conf_health {
	uint8_t kind; /* enum conf_check; NONE: always healthy */
	struct str path, host, method, body, grpc_service;
	struct conf_pair *headers; /* of an http check */
	uint32_t header_n;
	struct {
		uint16_t from, to;
	} * status;
	uint32_t status_n;
	uint32_t interval, timeout, rise, fall, slow_start;
};

struct conf_outlier {
	bool on;
	uint32_t consecutive_errors, interval, ejection, max_ejected;
};

/* Why an attempt may be repeated: bits of conf_retries.on */
enum conf_retry_on {
	CONF_RETRY_CONNECT = 1,
	CONF_RETRY_RESET = 2,
	CONF_RETRY_REFUSED_STREAM = 4,
	CONF_RETRY_502 = 8,
	CONF_RETRY_503 = 16,
	CONF_RETRY_504 = 32,
	CONF_RETRY_TIMEOUT = 64,
};

struct conf_retries {
	uint32_t attempts; /* in all, the first included; 1: no retry */
	uint32_t budget; /* share of requests that may be retries at once */
	uint32_t per_try_timeout;
	uint32_t on; /* bits of enum conf_retry_on */
	uint64_t body; /* bytes of a request's body that are kept to be sent again */
};

struct conf_adaptive { /* how far a limit that is learned may go */
	bool on;
	uint32_t min, max;
};

struct conf_breaker {
	uint32_t connections, requests, pending, pending_timeout;
	uint32_t backend_requests; /* in flight to one backend; 0: no limit */
	struct conf_adaptive adaptive;
};

/* A cookie that brings a client back to the backend that served it. */
struct conf_stick {
	bool on;
	struct str cookie, path, secret;
	uint32_t ttl; /* ms; 0: until the browser ends */
};

struct conf_upstream_tls {
	bool on;
	bool verify;
	struct str ca; /* path; empty: the system's */
	struct str server_name; /* SNI and the name to verify; empty: the backend's host, if it is a name */
	struct str cert, key;
	struct conf_place place;
};

/* Everything that a service says about how its backends are used, and that a pool may say differently. All who say the same have the
 * same one: most of ten thousand tenants say nothing. */
struct conf_policy {
	uint8_t balance; /* enum conf_balance */
	struct str hash_header, hash_cookie; /* CONF_HASH; both empty: the path or the client's address */
	bool hash_path;
	struct conf_stick stick;
	struct conf_health health;
	struct conf_outlier outlier;
	uint32_t panic_threshold;
	struct conf_retries retries;
	struct conf_breaker breaker;
	uint8_t protocol; /* enum conf_protocol */
	struct conf_upstream_tls tls;
	uint8_t proxy_protocol; /* 0 off, 1, 2 */
};

#define CONF_PRIORITIES 8

/* What a backend's address says: itself, or by what addresses are found. */
enum conf_source { CONF_ADDRESS, CONF_DNS, CONF_SRV, CONF_FILE };

struct conf_backend {
	struct str
		address; /* as written, the key of its identity: "127.0.0.1:9001", "[::1]:80", "dns:name:80", "unix:/path" */
	uint8_t kind; /* enum conf_source */
	struct addr addr; /* CONF_ADDRESS; ADDR_UNIX: unix_path */
	struct str
		host; /* the name that it was found by: of dns: and srv:, and of the addresses that come of them */
	uint16_t port;
	struct str unix_path;
	struct str file; /* CONF_FILE */
	uint32_t weight; /* 1 to 1000, default 1 */
	uint32_t priority; /* below CONF_PRIORITIES; the lowest with a usable backend takes all */
	uint32_t requests; /* in flight to it; 0: breaker.backend_requests */
	struct str zone; /* empty: none is said */
	struct conf_place place;
};

/* What a pool takes. In every one of them requests in flight go on to their end. */
enum pool_state {
	POOL_OPEN, /* new users by its weight */
	POOL_PINNED, /* nobody new; who is pinned to it stays, and testers may come */
	POOL_DRAINING, /* nobody: who was pinned to it moves on */
	POOL_CLOSED, /* nobody, and it is not expected back */
	POOL_STATES
};

struct conf_pool {
	struct str name;
	uint32_t weight; /* 0 to 1000000; shares are relative to the sum */
	uint8_t state; /* enum pool_state: what it is in until it is told otherwise at run time */
	bool spill; /* default true */
	struct conf_strs hosts; /* of the tenant's: who asks for one of them chooses this pool */
	struct conf_backend *backends;
	uint32_t backend_n;
	const struct conf_policy *policy; /* the service's, unless it says otherwise */
	struct conf_place place;
	uint64_t digest; /* of what is written there, but for its backends */
};

/* A copy of some requests goes to another pool as well. */
struct conf_mirror {
	struct str pool; /* empty: none does */
	uint32_t share; /* of requests, in parts per 10,000 */
	uint64_t body; /* bytes; a request with more is not copied */
	uint32_t requests; /* copies at once; 0: any number */
	uint32_t timeout; /* ms */
};

struct conf_service {
	struct str name;
	struct conf_mirror mirror;
	struct conf_split split;
	const struct conf_policy *policy;
	struct conf_pool *pools; /* in declared order */
	uint32_t pool_n;
	struct conf_place place;
	uint64_t digest; /* of what is written there, but for its pools */
};

/* What a level says of modules (config/module.h), in the order of the file. */
struct conf_module;
struct conf_modules {
	struct conf_module *v;
	uint32_t n;
	uint64_t digest; /* of what is written there; 0: nothing */
};

/* -- routes -- */
enum conf_path_kind { CONF_PATH_PREFIX, CONF_PATH_EXACT, CONF_PATH_REGEX };

/* A header or query condition. Values: exact, or present with any value. */
struct conf_match {
	struct str name;
	struct str value;
	bool regex; /* value is PCRE2 */
	bool any; /* value does not matter */
};

struct conf_route {
	uint8_t path_kind; /* enum conf_path_kind */
	struct str path; /* starts with '/', but for regex */
	struct conf_strs hosts; /* narrows the tenant's; empty: all of the tenant's */
	struct conf_strs methods; /* empty: any */
	struct conf_match *headers, *query;
	uint32_t header_n, query_n;
	struct str service; /* a service of the tenant; empty with redirect, or where a module answers */
	uint32_t service_index; /* in the tenant's services */
	struct {
		bool on;
		struct template to; /* absolute path or URL; may end with a query and a fragment; see exchange/reply.c for what is appended */
		uint16_t status; /* 301 302 303 307 308 */
	} redirect;
	bool strip_prefix;
	struct conf_headers request_headers, response_headers;
	uint32_t timeout; /* of the whole request, ms; 0: none */
	bool websocket; /* default true */
	struct conf_modules modules;
	struct conf_place place;
};

struct conf_tenant_limits { /* 0: none */
	uint32_t requests_per_second, burst, concurrent_requests, connections;
	uint32_t header_bytes, queue;
	uint32_t retries; /* in 1/10000 of the requests; 10000: as many as pools allow */
	uint64_t body, bandwidth; /* bytes; bytes a second */
};

struct conf_tenant {
	struct str name;
	struct conf_strs hosts; /* lower case; "acme.test", "*.acme.test", "*" */
	struct conf_tenant_limits limits;
	struct conf_service *services;
	uint32_t service_n;
	struct conf_route *routes;
	uint32_t route_n;
	struct conf_modules modules;
	struct conf_place place;
	uint64_t digest; /* of what is written there, but for its services */
};

/* -- the rest -- */
struct conf_resolver {
	struct addr *servers; /* of DNS, in the order in which they are asked */
	uint32_t server_n; /* 0: those of /etc/resolv.conf */
	uint32_t timeout; /* ms, of the first attempt; further ones wait longer */
	uint32_t attempts; /* for each server */
};

enum conf_log_format { CONF_LOG_OFF, CONF_LOG_JSON, CONF_LOG_COMBINED, CONF_LOG_LOGFMT };
enum conf_log_level { CONF_LEVEL_DEBUG, CONF_LEVEL_INFO, CONF_LEVEL_WARNING, CONF_LEVEL_ERROR };

struct conf_log {
	struct str access_path; /* "stdout", "stderr" or a file */
	struct conf_place access_place, events_place; /* where the paths are written */
	uint8_t access_format; /* enum conf_log_format */
	struct str events_path;
	uint8_t events_level; /* enum conf_log_level */
};

struct conf_token {
	struct str name;
	uint8_t role; /* 0 viewer, 1 operator, 2 admin */
	struct conf_strs tenants; /* empty: all */
	bool has_sha256;
	uint8_t sha256[32];
	struct str subject; /* of a client certificate, RFC 2253; empty: none */
};

struct conf_admin_tls {
	struct conf_cert cert;
	struct str client_ca; /* path; empty: client certificates are not asked for, else they are required */
};

struct conf_admin {
	struct str socket;
	bool socket_given; /* it stands in the file: that it cannot be made is an error then */
	struct str listen;
	struct addr listen_addr;
	bool has_tls;
	struct conf_admin_tls tls; /* of listen; beyond loopback it must be there */
	struct conf_token *tokens;
	uint32_t token_n;
	struct conf_strs
		hosts; /* names under which listen may be asked for, besides localhost and addresses */
	struct conf_strs
		judges; /* "http://judge:8080": who may be asked in the name of tokens that are not admin's */
	struct conf_place place; /* of socket and listen, as far as they are given */
	uint64_t digest; /* of what is written there; 0: nothing */
};

#define COOKIE_SECRET_MIN  16 /* characters: fewer can be guessed */
#define COOKIE_SECRETS_MAX 7

struct conf {
	uint32_t refs; /* whoever reads it: snapshots, and who loaded it; control's to count */
	struct arena arena;
	struct str *files; /* every file that was read; [0] is the one given. Absolute */
	struct str *
		names; /* the same files as messages show them: relative to where weir was started, if given so */
	uint32_t file_n;
	struct arena bytes; /* of texts */
	struct str *texts; /* what the files said, until conf_forget_texts(); in `bytes` */
	uint64_t fingerprint; /* of names and texts of all files */
	uint32_t workers; /* 0: auto */
	struct conf_place workers_place, user_place;
	struct str user, state_dir;
	struct str zone; /* that this weir runs in; empty: none is preferred */
	struct conf_strs cookie_secrets; /* the first signs; empty: weir makes one of its own */
	struct conf_log log;
	struct conf_admin admin;
	struct conf_listener *listeners;
	uint32_t listener_n;
	struct conf_timeouts timeouts;
	struct conf_limits limits;
	struct conf_modules modules;
	struct conf_resolver resolver;
	struct conf_tenant *tenants;
	uint32_t tenant_n;
	struct conf_backend *listed; /* of conf_load_members() alone */
	uint32_t listed_n;
	struct map
		hosts; /* every tenant's hosts, lower case, wildcards as written -> struct conf_tenant; duplicates were errors */
};

/* Every problem, in order of place. */
struct conf_problem {
	struct conf_place place;
	struct str file;
	bool warning; /* does not make the configuration bad */
	struct str text;
};

struct conf_report {
	struct arena arena; /* the texts; survives the conf */
	struct conf_problem *v;
	uint32_t n, cap, errors;
};

/* Reads FILE and what it includes. Never NULL-checks for the caller: on errors returns NULL and the report says all of
 * them; warnings may be there either way. The report is initialised by the call and freed by the caller. */
struct conf *conf_load(const char *path, struct conf_report *report);
/* For those who need what stands beside the tenants only: they may be missing, and what is wrong with them is then not found. The
 * rest is as conf_load() has it, whose errors these are if there are any. */
struct conf *conf_load_root(const char *path, struct conf_report *report);
/* The same with all texts, and so with the fingerprint that conf_load() gives: for those who keep a configuration that others have found
 * good. Without tenants' errors to tell, NULL is all that is said of them. */
struct conf *conf_load_texts(const char *path, struct conf_report *report);
/* The same as conf_load() with the main file's text given; name is shown in messages, and relative paths start from its directory. */
struct conf *conf_load_text(const char *name, struct str text, struct conf_report *report);
/* The same as conf_load_text() from texts that were kept instead of the files: v[0] is the main one, named as it was given; includes are
 * found among the others by their names. */
struct conf_kept {
	struct str name, text;
};
struct conf *conf_load_kept(const struct conf_kept *v, uint32_t n, struct conf_report *report);
/* What the files said is not needed any more. */
void conf_forget_texts(struct conf *c);
/* Backends alone, `{"backends": [...]}`, by the rules of the file, no two alike: they are listed[] of the conf, which holds nothing else. */
struct conf *conf_load_members(const char *name, struct str text, struct conf_report *report);
/* One more holder; returns c. */
struct conf *conf_ref(struct conf *c);
/* Drops a reference; the last one frees it. NULL is fine. */
void conf_free(struct conf *c);
void conf_report_free(struct conf_report *r);
/* For later checks (certificates, ports). printf-like; at a place in c's files. */
__attribute__((format(printf, 5, 6))) void conf_report_add(struct conf_report *r, const struct conf *c,
	struct conf_place at, bool warning, const char *fmt, ...);
/* "FILE:LINE:COL: text\n" for each, or a JSON array of {file, line, column, severity, message}. malloc'ed. */
char *conf_report_text(const struct conf_report *r);
char *conf_report_json(const struct conf_report *r);
/* The JSON Schema and docs/configuration.md, from the field tables. malloc'ed. */
char *conf_schema_json(void);
char *conf_reference_md(void);

const char *conf_balance_name(uint8_t balance);
const char *conf_protocol_name(uint8_t protocol);
/* By enum pool_state, as in the configuration; ends with NULL. */
extern const char *const conf_pool_state_names[];

#endif
