/* upstream/zone.h - weir's own zone first: requests stay among the backends of the zone that weir runs in, while enough of those can
 * take them.
 *
 * As Envoy weighs its localities: what is healthy of the own zone counts ZONE_OVERPROVISION percent of itself, so that a zone that
 * has lost less than about a third of its weight still keeps everything; below that, the part that is missing goes to the
 * other zones, so that nobody is flooded when a zone dies by and by. Priorities come first: zones are weighed within a group. */
#ifndef WEIR_UPSTREAM_ZONE_H
#define WEIR_UPSTREAM_ZONE_H

#include <stdint.h>

#define ZONE_OVERPROVISION 140
#define ZONE_WHOLE         1024 /* shares are parts of this */

enum zone_side {
	ZONE_ANY, /* no zone is preferred, or only one side has anybody */
	ZONE_OWN,
	ZONE_OTHERS,
};

/* The share of requests that the own zone keeps, of ZONE_WHOLE. usable: the weight of those in it that can take requests; all: of
 * all in it. */
uint32_t zone_share(uint64_t usable, uint64_t all);

struct candidates;
/* Where the next request goes: by its key where it has one, so that the same key goes the same way; by chance otherwise. */
enum zone_side zone_pick(const struct candidates *c);

#endif
