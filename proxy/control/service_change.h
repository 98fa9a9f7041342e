/* control/service_change.h - what somebody wants to be different of one service, and what becomes of its document (service_doc.h). Pure. */
#ifndef WEIR_CONTROL_SERVICE_CHANGE_H
#define WEIR_CONTROL_SERVICE_CHANGE_H

#include "control/service_doc.h"

#define WEIGHT_MAX   1000000
#define BACKENDS_MAX 10000 /* of a pool, at run time */
#define CHANGE_TEXT  1024 /* bytes of what is said about a refusal */
#define AUTHOR_MAX   128
#define REASON_MAX   1000

enum change_outcome {
	CHANGE_DONE,
	CHANGE_SAME, /* it was so already: nothing changes, the version stays */
	CHANGE_RENEWED, /* the same with a lease: it lasts longer, the version stays */
	CHANGE_UNKNOWN, /* there is no such service, pool or backend */
	CHANGE_BAD, /* malformed, or out of its range */
	CHANGE_UNSAFE, /* nobody would be left to serve: only by force */
	CHANGE_CONFLICT, /* if_version is not the version any more */
	CHANGE_BUSY, /* too many changes wait for their turn */
	CHANGE_UNWRITABLE, /* it could not be stored: nothing has changed */
	CHANGE_FULL, /* the same, for want of room */
	CHANGE_STOPPING, /* weir ends; the change may have been stored */
};

enum backends_how { BACKENDS_SET, BACKENDS_ADD, BACKENDS_REMOVE };

/* What is to be different. Texts and JSON are borrowed, or the holder's. */
struct service_change {
	int64_t if_version; /* 0: whatever it is */
	const char *author, *reason; /* NULL: not told */
	json_t *weights; /* {pool: number}; null: the file's. NULL: as they are */
	json_t *states; /* {pool: name of enum pool_state}; null: the file's */
	json_t *backends; /* a list as in the file; null: the file's */
	const char *backends_pool; /* whose */
	uint8_t backends_how; /* enum backends_how */
	uint32_t lease_ms; /* of the weights; 0: for good */
	bool force; /* though nobody would be left */
	bool lease_is_over; /* the weights of the lease go back; nothing else is looked at */
	bool must; /* takes effect even if it cannot be stored: it is the way back to safety */
};

/* The document after the change, new, with *outcome DONE or RENEWED; or NULL, and `text` (CHANGE_TEXT bytes) says why. now_ms: wall clock. */
json_t *service_change_apply(const json_t *doc, const struct conf_service *conf,
	const struct service_change *change, int64_t now_ms, enum change_outcome *outcome, char *text);

#endif
