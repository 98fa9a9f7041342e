#include "control/publish.h"

#include <stdlib.h>
#include "base/obj.h"

struct publication {
	struct list link;
	uint64_t serial;
	uint32_t left; /* workers that do not follow yet */
	void (*done)(void *ctx);
	void *ctx;
};

void publish_init(struct publisher *p, struct worker *workers, uint32_t worker_n)
{
	*p = (struct publisher){.workers = workers, .worker_n = worker_n};
	list_init(&p->pending);
}

static void send_to(struct worker *w, const struct pool_change *v, uint32_t n, uint64_t serial)
{
	struct worker_pools *pools = calloc(1, sizeof(*pools) + n * sizeof(pools->v[0]));

	MUST(pools);
	pools->serial = serial;
	pools->n = n;
	for (uint32_t i = 0; i < n; i++) {
		pools->v[i].slot = v[i].pool->slot->number;
		pools->v[i].now = v[i].now;
	}
	worker_set_pools(w, pools);
}

void publish_pools(
	struct publisher *p, const struct pool_change *v, uint32_t n, void (*done)(void *ctx), void *ctx)
{
	struct publication *mine;

	/* What the store still answers after the workers' end. */
	if (p->worker_n == 0)
		return;
	mine = calloc(1, sizeof(*mine));
	MUST(mine);
	mine->serial = ++p->serial;
	mine->left = p->worker_n;
	mine->done = done;
	mine->ctx = ctx;
	list_push_back(&p->pending, &mine->link);
	for (uint32_t i = 0; i < p->worker_n; i++)
		send_to(&p->workers[i], v, n, mine->serial);
}

static void publication_end(struct publication *done)
{
	list_remove(&done->link);
	if (done->done)
		done->done(done->ctx);
	free(done);
}

void publish_followed(struct publisher *p, uint64_t serial)
{
	list_each_safe (link, &p->pending) {
		struct publication *one = CONTAINER(link, struct publication, link);

		if (one->serial != serial)
			continue;
		if (--one->left == 0)
			publication_end(one);
		return;
	}
}

void publish_free(struct publisher *p)
{
	struct list *link;

	while ((link = list_pop_front(&p->pending)))
		free(CONTAINER(link, struct publication, link));
	p->worker_n = 0;
}
