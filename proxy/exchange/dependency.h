/* exchange/dependency.h - somebody whom a module asks: Redis, an issuer of keys, a server that decides, a collector. Whether he answers
 * is for an operator to know once, not for each request in the log: workers count how their questions went, control looks every second
 * (control/dependencies.h). Zeroed is valid. */
#ifndef WEIR_EXCHANGE_DEPENDENCY_H
#define WEIR_EXCHANGE_DEPENDENCY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct dependency {
	_Atomic uint64_t good, bad; /* questions that were answered, and that were not */
	_Atomic bool well; /* the last one was */
	char *_Atomic problem; /* of one that was not; whoever takes it out frees it. NULL: it was taken */
	char *_Atomic remark; /* the last about what he has answered; likewise */
};

/* Any thread: he has answered; he has not, and why. */
void dependency_good(struct dependency *d);
void dependency_bad(struct dependency *d, const char *problem);
/* He has answered, and an operator should know this of the answer; empty: nothing, or nothing any more. */
void dependency_remark(struct dependency *d, const char *remark);
/* For the caller to free; NULL: nothing new. */
char *dependency_take_problem(struct dependency *d);
char *dependency_take_remark(struct dependency *d);
void dependency_clear(struct dependency *d);

#endif
