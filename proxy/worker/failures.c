/* worker/failures.c - connections that did not come about: told to control, but never in numbers that a flood could drive up. */
#include <stdlib.h>
#include "base/obj.h"
#include "worker/worker.h"

#define TELL_MAX 5 /* of each side ... */
#define TELL_MS  10000 /* ... in this time */

/* Is it one of those that are told? */
static bool is_told(struct worker *w, struct failure_quota *q)
{
	if (q->n == 0 || w->loop.now_ms - q->since_ms >= TELL_MS) {
		q->since_ms = w->loop.now_ms;
		q->n = 0;
	}
	if (q->n == TELL_MAX) {
		q->passed_over++;
		return false;
	}
	q->n++;
	return true;
}

static void copy(char *to, size_t room, struct str from)
{
	struct text t = text_in(to, room - 1);

	text_put(&t, from);
	to[t.n] = '\0';
}

static void tell(struct worker *w, struct failure_quota *q, struct worker_failure failure, struct str at,
	struct str text)
{
	struct worker_failure *f;

	if (!is_told(w, q))
		return;
	f = malloc(sizeof(*f));
	MUST(f);
	*f = failure;
	f->mail.deliver = w->owner.on_connection_failed;
	f->passed_over = q->passed_over;
	q->passed_over = 0;
	copy(f->at, sizeof(f->at), at);
	copy(f->text, sizeof(f->text), text);
	mailbox_send(w->owner.box, &f->mail);
}

void failure_of_client(struct gate *g, enum reason why, const struct addr *peer, const char *text)
{
	/* Who connects and leaves, port scanners and health checks, is not worth a word; neither is what weir ends itself. */
	if (why == REASON_CLIENT_GONE || why == REASON_SHUTDOWN || why == REASON_DRAINED)
		return;
	tell(g->worker, &g->worker->client_failures,
		(struct worker_failure){.inbound = true, .why = (uint16_t)why, .peer = *peer},
		g->entry->conf.name, str_of(text));
}

void failure_of_backend(struct conn_pool *p, enum reason why, const char *text)
{
	struct worker *w = p->user;

	OBJ_CHECK(w, WORKER_MAGIC);
	tell(w, &w->backend_failures, (struct worker_failure){.why = (uint16_t)why},
		str_of(p->backend->slot->key.p), str_of(text));
}
