/* io/offload.h - what would keep a loop's thread too long, done by a helper thread beside it: passwords to be verified, and the like.
 *
 * One helper for each offload, started with its first job; the two threads meet in mailboxes. Belongs to the loop's thread. */
#ifndef WEIR_IO_OFFLOAD_H
#define WEIR_IO_OFFLOAD_H

#include <stdbool.h>
#include "base/mailbox.h"
#include "io/loop.h"

#define OFFLOAD_WAITING_MAX 64 /* jobs that wait or are being done */

struct offload;

/* Embedded in what is to be done, which is malloc'ed and holds copies of all that it needs. */
struct offload_job {
	struct mail mail;
	struct offload *offload;
	void (*work)(struct offload_job *job); /* on the helper; touches the job alone */
	/* On the loop's thread, if the offload is still there; on the helper if it is not. Frees the job. */
	void (*done)(struct offload_job *job, bool here);
};

struct offload *offload_new(struct loop *l);
/* Jobs that are under way are done() on the helper, which then ends by itself: nobody waits for it. NULLs *op; NULL is fine. */
void offload_free(struct offload **op);
/* False: as many jobs as may wait do, or there is no thread to be had; the job stays the caller's. */
bool offload_run(struct offload *o, struct offload_job *job);

#endif
