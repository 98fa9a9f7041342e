/* base/reason.h - why something failed: the enum and the facts of reason.def. */
#ifndef WEIR_BASE_REASON_H
#define WEIR_BASE_REASON_H

#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

enum reason {
	REASON_NONE,
#define REASON(name, status, h2, retry, text) REASON_##name,
#include "base/reason.def"
	REASONS
};

enum retry_rule { RETRY_NEVER, RETRY_SAFE, RETRY_ALWAYS };

/* Under which word of retries.on a failure stands. */
enum retry_on {
	RETRY_ON_NOTHING,
	RETRY_ON_CONNECT,
	RETRY_ON_RESET,
	RETRY_ON_REFUSED_STREAM,
	RETRY_ON_TIMEOUT,
	RETRY_ON_STATUS, /* the number that was answered */
	RETRY_ONS
};

/* RFC 9113 7 */
enum h2_error {
	H2_NO_ERROR,
	H2_PROTOCOL_ERROR,
	H2_INTERNAL_ERROR,
	H2_FLOW_CONTROL_ERROR,
	H2_SETTINGS_TIMEOUT,
	H2_STREAM_CLOSED,
	H2_FRAME_SIZE_ERROR,
	H2_REFUSED_STREAM,
	H2_CANCEL,
	H2_COMPRESSION_ERROR,
	H2_CONNECT_ERROR,
	H2_ENHANCE_YOUR_CALM,
	H2_INADEQUATE_SECURITY,
	H2_HTTP_1_1_REQUIRED,
};

struct reason_row {
	struct str name; /* as in reason.def; users see it in lower case, through reason_name() */
	uint16_t status;
	uint8_t h2; /* enum h2_error */
	uint8_t retry; /* enum retry_rule */
	uint8_t retry_on; /* enum retry_on */
	bool blamed; /* it speaks against the backend */
	struct str text;
};

/* REASON_NONE has a row too: empty name, status 0. */
extern const struct reason_row reason_rows[REASONS];

static inline const struct reason_row *reason_row(enum reason r)
{
	return &reason_rows[r];
}

/* The lower-case name that users see, written into buf. */
#define REASON_NAME_MAX 48
struct str reason_name(enum reason r, char buf[REASON_NAME_MAX]);
/* Whose doing it was, by the reason's family: "client", "upstream" or "weir"; empty for REASON_NONE. */
struct str reason_side(enum reason r);
/* REASON_NONE when there is no such name (any case). */
enum reason reason_from_name(struct str name);

#endif
