/* control/runtime.h - what is changed at run time: weights, states and backends of pools, by whoever may; kept across reloads, crashes and
 * upgrades.
 *
 * A change is checked, stored, given to all workers, and only then answered. Those of one service take turns, so of any number that go by
 * the same version one wins. What can be set and how it fares against the file is service_change.h's. */
#ifndef WEIR_CONTROL_RUNTIME_H
#define WEIR_CONTROL_RUNTIME_H

#include "base/list.h"
#include "base/map.h"
#include "control/service_change.h"
#include "control/store.h"
#include "io/loop.h"
#include "upstream/pool.h"

struct control;
struct runtime_job;

#define RUNTIME_QUEUE_MAX   1000 /* changes of one service that wait for their turn */
#define RUNTIME_HISTORY_MAX 50 /* changes of one service that are remembered */

struct runtime_result {
	uint8_t outcome; /* enum change_outcome */
	int64_t version; /* that holds now */
	const char *text; /* why not; valid during the call */
};

/* One service that is configured, or was changed once. */
struct runtime_service {
	struct runtime *runtime;
	char *key; /* "acme/shop" */
	json_t *doc; /* NULL: never changed, version 1 */
	uint64_t fingerprint; /* of the file's part; 0: it is not in the file */
	uint64_t
		revision; /* counts what doc has been: a change that was worked out from an older one is worked out again */
	bool unsaved; /* the disk has an older doc: it is tried again */
	struct list jobs; /* struct runtime_job, in turn; the first is under way */
	uint32_t job_n;
	struct deadline lease;
	json_t *history; /* newest last; NULL: none */
	uint64_t generation; /* of the configuration that last named it */
};

struct runtime {
	struct control *control;
	bool stopped;
	uint32_t open; /* changes that are not on the disk yet */
	struct map services; /* "acme/shop" -> struct runtime_service */
	struct list applying; /* struct runtime_job: stored, workers do not follow yet */
	struct conf *members; /* what runtime_members() last gave */
	uint64_t loads; /* of the file */
};

void runtime_init(struct runtime *rt, struct control *c);
/* The documents have been read: takes them over from the store. Before the first runtime_follow(), or after a store that could not be read
 * at the start. */
void runtime_load(struct runtime *rt);
/* A configuration is about to be served: what changed in it wins over what was set. Before its snapshot is built. */
void runtime_follow(struct runtime *rt, const struct conf *conf);
/* The store works again, or documents came that could not be read before. */
void runtime_store_changed(struct runtime *rt, bool documents_came);
/* Open changes are answered with STOPPING; nothing is changed any more. */
void runtime_stop(struct runtime *rt);
/* After the I/O thread has ended and its mail was delivered. */
void runtime_free(struct runtime *rt);

/* Wants a change of "acme/shop". Everything is copied. done: once, never from within this call; NULL: nobody asks. */
struct runtime_job *runtime_change(struct runtime *rt, struct str service,
	const struct service_change *change, void (*done)(void *ctx, const struct runtime_result *result),
	void *ctx);
/* No more changes of this service are taken now. */
bool runtime_is_busy(const struct runtime *rt, struct str service);
/* No change is on its way to the disk. */
static inline bool runtime_is_quiet(const struct runtime *rt)
{
	return rt->open == 0;
}
/* Who asked has gone: done is not called any more. The change goes its way. */
void runtime_job_forget(struct runtime_job *job);

/* -- what holds -- */
/* Weight and state; the capacity is whole. */
struct pool_now runtime_pool_now(const struct runtime *rt, const struct pool *pool);
/* The backends that were set for the pool "acme/shop/green"; false: the file's. Valid until the next call. */
bool runtime_members(struct runtime *rt, struct str pool_key, const struct conf_backend **v, uint32_t *n);
/* "acme/shop" of "acme/shop/green". */
struct str runtime_service_key(struct str pool_key);
/* Of a service that may never have been changed (version 1, doc NULL). */
int64_t runtime_version(const struct runtime *rt, struct str service);
const json_t *runtime_doc(const struct runtime *rt, struct str service);
/* How long its lease, if it has one, has to go; false: nothing of it was ever changed. */
bool runtime_lease_left(const struct runtime *rt, struct str service, uint32_t *left_ms);
/* Changes, newest first: [{"version", "time", "author", "reason", "changes"}]. New reference. */
json_t *runtime_history(const struct runtime *rt, struct str service);
/* In the current configuration; NULL: there is no such. */
const struct conf_service *runtime_conf_service(const struct runtime *rt, struct str service);

/* -- runtime.c and runtime_load.c -- */
#define RUNTIME_KIND_SERVICE "service"
#define RUNTIME_KIND_CHANGE  "change"
#define RUNTIME_RECORD_KEY   640

/* NULL: not known. */
struct runtime_service *runtime_find(const struct runtime *rt, struct str key);
struct runtime_service *runtime_service_new(struct runtime *rt, struct str key);
/* Holds from now on, with its lease. Takes doc. */
void runtime_set_doc(struct runtime_service *s, json_t *doc);
/* Stores doc, and its entry in the history if there is one, which pushes the oldest out. */
void runtime_save(struct runtime_service *s, const json_t *doc, const json_t *record,
	void (*done)(void *ctx, const char *error), void *ctx);
/* An entry of the history: from what holds to doc. conf NULL: the service is gone. */
json_t *runtime_record(const struct runtime_service *s, const json_t *doc, const struct conf_service *conf,
	const char *author, const char *reason);
/* Under which it is stored. */
void runtime_record_key(char key[RUNTIME_RECORD_KEY], const struct runtime_service *s, int64_t version);
void runtime_remember(struct runtime_service *s, json_t *record);
/* Tells all workers what the pools of the service are worth, so that they take the new shares at one blow. done may be NULL. */
void runtime_publish(
	struct runtime_service *s, const struct conf_service *conf, void (*done)(void *ctx), void *ctx);

#endif
