/* base/mailbox.h - how threads talk: many senders, one receiver, an eventfd that wakes it.
 *
 * A mail is a struct that begins with `struct mail`; sending gives it away. Mails of one sender arrive in order.
 * The only way, besides the atomics listed in docs/threads.md, in which threads of weir meet. */
#ifndef WEIR_BASE_MAILBOX_H
#define WEIR_BASE_MAILBOX_H

#include <pthread.h>

struct mail {
	struct mail *next;
	/* Runs on the receiver's thread and owns the mail from then on. */
	void (*deliver)(struct mail *mail, void *receiver);
};

struct mailbox {
	struct mail *_Atomic newest; /* a stack; the receiver takes it whole and reverses it */
	int fd; /* eventfd, readable when mail has come */
};

/* -1 and errno when no eventfd can be had. */
int mailbox_init(struct mailbox *box);
/* Undelivered mail is lost; call it when no sender is left. */
void mailbox_free(struct mailbox *box);
/* From any thread. */
void mailbox_send(struct mailbox *box, struct mail *mail);
/* On the receiver's thread, when fd is readable: delivers everything. Returns how many. */
int mailbox_deliver(struct mailbox *box, void *receiver);

#endif
