#include "base/mailbox.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

int mailbox_init(struct mailbox *box)
{
	atomic_init(&box->newest, NULL);
	box->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return box->fd < 0 ? -1 : 0;
}

void mailbox_free(struct mailbox *box)
{
	close(box->fd);
	box->fd = -1;
}

void mailbox_send(struct mailbox *box, struct mail *mail)
{
	struct mail *seen = atomic_load_explicit(&box->newest, memory_order_relaxed);

	do {
		mail->next = seen;
	} while (!atomic_compare_exchange_weak_explicit(
		&box->newest, &seen, mail, memory_order_release, memory_order_relaxed));
	/* Only the first of a batch needs to wake the receiver: it takes the whole stack. A full counter is awake already. */
	if (seen == NULL) {
		uint64_t one = 1;

		(void)!write(box->fd, &one, sizeof(one));
	}
}

int mailbox_deliver(struct mailbox *box, void *receiver)
{
	struct mail *newest, *in_order = NULL;
	uint64_t count;
	int n = 0;

	/* The counter is emptied before the stack: a mail that comes between makes it readable again. */
	(void)!read(box->fd, &count, sizeof(count));
	newest = atomic_exchange_explicit(&box->newest, NULL, memory_order_acquire);
	while (newest) {
		struct mail *next = newest->next;

		newest->next = in_order;
		in_order = newest;
		newest = next;
	}
	while (in_order) {
		struct mail *mail = in_order;

		in_order = mail->next;
		mail->deliver(mail, receiver);
		n++;
	}
	return n;
}
