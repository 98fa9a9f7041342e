/* control/dependencies.h - those whom modules ask (module.depends), and whether they answer: an event when one is lost and when he is
 * back, a line of the status, a metric; and what there is to be known of his answers, an event for each new remark.
 *
 * All places that ask the same address of the same module are one. He is lost when in a second he was asked, and answered nobody; and back
 * when he was asked, and answered everybody. A second in between leaves him what he was, so that no row of events comes of one who
 * answers now and then. Who is asked nothing stays what he was, unless he was lost and has answered last, everywhere: an issuer that has
 * come back within a second of failing is not asked again for minutes. */
#ifndef WEIR_CONTROL_DEPENDENCIES_H
#define WEIR_CONTROL_DEPENDENCIES_H

#include "control/io_thread.h"
#include "exchange/module_set.h"

/* How often it is looked. */
#define DEPENDENCY_LOOK_MS 1000

struct watched_dependency {
	char *key; /* module and address */
	const char *module; /* its name */
	struct str address, what; /* in key; static */
	const char *meanwhile; /* static: what happens while he does not answer */
	uint64_t good, bad; /* sums when it was looked last */
	uint64_t good_now, bad_now; /* while it is looked */
	bool well; /* the last question of each place that asked was answered */
	uint64_t lost_ms; /* on the loop's clock: since when; 0: he answers, or nobody has asked yet */
	char *problem; /* the last; NULL: none */
	char *remark; /* that was told last; NULL: none */
	uint64_t mark; /* of the look in which he was named */
};

struct dependencies {
	struct loop *loop;
	struct io_thread *io;
	const struct module_set *set; /* of the current configuration; NULL: it names none */
	struct map by_key; /* -> struct watched_dependency */
	uint64_t mark;
	struct deadline look; /* armed while somebody is asked */
};

void dependencies_init(struct dependencies *d, struct loop *l, struct io_thread *io);
/* From now on those of this configuration (NULL: of none), whose modules may be built anew at any time: call it each time. */
void dependencies_follow(struct dependencies *d, const struct module_set *set);

#endif
