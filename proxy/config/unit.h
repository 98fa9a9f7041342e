/* config/unit.h - values with units as they are written in the file: durations, sizes, shares.
 *
 * Readers take the whole text or refuse it; writers use the largest unit that divides the value, so that what they
 * write is read back as the same value. */
#ifndef WEIR_CONFIG_UNIT_H
#define WEIR_CONFIG_UNIT_H

#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

#define UNIT_SHARE_ONE 10000 /* 100% */

/* "250ms" "5s" "2m" "1h", or a bare "0"; milliseconds. */
bool unit_duration(struct str s, uint64_t *ms);
/* "512" "512B" "64KiB" "10MiB" "1GiB" (powers of 1024), "64kB" "10MB" "1GB" (of 1000); bytes. */
bool unit_size(struct str s, uint64_t *bytes);
/* "20%" "0.25%", at most two digits behind the point, at most 100%; parts per 10,000. */
bool unit_share(struct str s, uint64_t *parts);

void unit_duration_text(uint64_t ms, struct text *out);
void unit_size_text(uint64_t bytes, struct text *out);
void unit_share_text(uint64_t parts, struct text *out);

#endif
