/* control/schedule.h - when steps may be taken: some hours of some days of the week. Pure. */
#ifndef WEIR_CONTROL_SCHEDULE_H
#define WEIR_CONTROL_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

struct schedule {
	uint16_t from_min,
		to_min; /* minutes of the day; equal: the whole day; to before from: over midnight */
	uint8_t days; /* bit n: day n, Monday is 0; a window over midnight belongs to the day on which it begins. 0: no schedule */
	int16_t offset_min; /* local time is UTC and this */
};

/* "09:00-17:00" (empty: the whole day), "mon-fri,sun" (empty: every day), "+02:00" or "utc" (empty: UTC). False, and err says what is
 * wrong (err_n bytes). */
bool schedule_parse(
	struct schedule *s, struct str between, struct str days, struct str tz, char *err, size_t err_n);
/* wall_s: seconds since 1970. */
bool schedule_open(const struct schedule *s, int64_t wall_s);
/* Seconds until it opens, to the minute; 0: it is open. */
uint32_t schedule_opens_in(const struct schedule *s, int64_t wall_s);

#endif
