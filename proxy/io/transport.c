#include "io/transport.h"

#include <event2/event.h>
#include <sys/socket.h>
#include "base/obj.h"

void transport_die(struct transport *t, enum reason why, int sys_errno)
{
	t->state = TRANSPORT_DEAD;
	t->why = why;
	t->sys_errno = sys_errno;
	t->readable = false;
	t->writable = false;
}

void transport_close(struct transport **tp)
{
	struct transport *t = TAKE(tp);

	if (!t)
		return;
	OBJ_CHECK(t, TRANSPORT_MAGIC);
	t->on_event = NULL;
	t->ops->close(t);
}

void transport_abort(struct transport **tp)
{
	/* SO_LINGER 0: close() sends RST and drops what is queued. */
	struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	if (*tp) {
		setsockopt((*tp)->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		(*tp)->state =
			TRANSPORT_DEAD; /* so that TLS adds no close_notify, which would say "complete" */
	}
	transport_close(tp);
}

bool transport_was_reset(struct transport *t)
{
	int err = 0;
	socklen_t n = sizeof(err);

	if (t->suspect && t->state != TRANSPORT_DEAD) {
		t->suspect = false;
		if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &err, &n) == 0 && err)
			transport_die(t, REASON_NONE, err);
	}
	return t->state == TRANSPORT_DEAD;
}

const struct tls_info *transport_tls(const struct transport *t)
{
	return t && t->ops->tls ? t->ops->tls(t) : NULL;
}
