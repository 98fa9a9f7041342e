/* control/service_doc.h - what was changed of one service at run time: a JSON document, and the rules by which it changes. Pure: nothing here
 * waits, tells or stores.
 *
 *   {"version": 7,                                  one more with every change, of the file's part too
 *    "file":  {"blue": {"weight": 100, "state": "open", "backends": "9f86d081884c7d65"}, ...},   when it was last loaded
 *    "pools": {"green": {"weight": 10, "state": "draining", "backends": [{"address": "10.0.0.1:80", "weight": 1, "priority": 0}]}},
 *    "lease": {"length_ms": 60000, "until_ms": 1790000000000, "pools": {"green": null}},   what comes back; null: the file's
 *    "changed_ms": 1790000000000, "author": "ci", "reason": "canary"}
 *
 * "pools" has only what differs from the file. A value that changed in the file since wins over what was set; one that did not leaves it
 * alone. */
#ifndef WEIR_CONTROL_SERVICE_DOC_H
#define WEIR_CONTROL_SERVICE_DOC_H

#include <jansson.h>
#include "config/conf.h"

#define LEASE_MIN_MS 1000
#define LEASE_MAX_MS (24u * 3600 * 1000)

/* As the file says; version 1. */
json_t *service_doc_new(const struct conf_service *conf);
/* Of all that a document may override: does a load have something to compare? */
uint64_t service_doc_fingerprint(const struct conf_service *conf);

static inline int64_t service_doc_version(const json_t *doc)
{
	return json_integer_value(json_object_get(doc, "version"));
}

/* -- what holds; doc may be NULL: as the file says -- */
uint32_t service_doc_weight(const json_t *doc, const struct conf_pool *pool);
/* enum pool_state */
uint8_t service_doc_state(const json_t *doc, const struct conf_pool *pool);
/* -1: no state has that name. */
int service_doc_state_number(const char *name);
/* The list, borrowed; NULL: the file's. */
const json_t *service_doc_backends(const json_t *doc, struct str pool);
/* Was it set at run time? Borrowed; NULL: no. what: "weight", "state", "backends". */
const json_t *service_doc_set(const json_t *doc, struct str pool, const char *what);

/* -- changes -- */
/* The file was loaded. The document after that, new; NULL: there was nothing in it that concerns this one. lost gets an element for each
 * value that was set at run time and does not hold any more: {"pool", "what", "runtime", "file", "why"}. */
json_t *service_doc_follow(const json_t *doc, const struct conf_service *conf, json_t *lost);
/* The service is gone from the file: what is kept of it, so that versions never come twice. */
json_t *service_doc_without_service(const json_t *doc, json_t *lost);
/* How long a lease has to go, at most its own length however the clock has jumped; 0: it is over. False: there is none. */
bool service_doc_lease(const json_t *doc, int64_t now_ms, uint32_t *left_ms);
/* Sets a value of a pool, or goes back to the file's (value NULL, or the same as the file's). Takes value. True: it was another one. */
bool service_doc_put(json_t *doc, const struct conf_pool *pool, const char *what, json_t *value);
/* Have new users somewhere to go: is there an open pool with a weight and a backend? doc may be NULL. */
bool service_doc_serves(const json_t *doc, const struct conf_service *conf);
size_t service_doc_backend_count(const json_t *doc, const struct conf_pool *pool);
/* NULL: the service has no such pool. */
const struct conf_pool *service_doc_pool(const struct conf_service *conf, const char *name);
/* The name of a pool that is near to one that the service does not have. Empty: none is, or conf is NULL. */
struct str service_doc_pool_meant(const struct conf_service *conf, const char *name);
/* One more version, of this author. NULL: nobody, or no reason given. */
void service_doc_sign(json_t *doc, const char *author, const char *reason, int64_t now_ms);
/* {pool: {"weight": [before, after], ...}} of what differs in force. New reference. */
json_t *service_doc_difference(const json_t *before, const json_t *after, const struct conf_service *conf);

#endif
