/* exchange/claim.c - names that weir alone says to backends: what a client says under them reaches nobody, in no part of its request. */
#include "base/obj.h"
#include "exchange/exchange.h"

struct claim {
	struct str name;
	bool loosely; /* what is spelled alike, too */
	struct claim *next;
};

static void take_out(const struct claim *c, struct fields *fs)
{
	if (c->loosely)
		fields_remove_alike(fs, c->name);
	else
		fields_remove_name(fs, c->name);
}

/* Most requests have no trailers, and most of those that may have none to come show it by their head: they pay nothing. The name is copied:
 * trailers may come when the configuration that it stands in has gone. */
static void remember(struct exchange *x, const struct claim *c)
{
	struct claim *kept;

	if (x->request_last && !x->request_trailers)
		return;
	kept = arena_new(&x->arena, struct claim);
	*kept = (struct claim){arena_str(&x->arena, c->name), c->loosely, x->claims};
	x->claims = kept;
}

void claim_header(struct exchange *x, struct str name)
{
	const struct claim c = {.name = name, .loosely = true};

	take_out(&c, &x->request.fields);
	remember(x, &c);
}

void claim_trailer(struct exchange *x, struct str name)
{
	remember(x, &(struct claim){.name = name});
}

void trailers_trim(struct exchange *x)
{
	struct fields *t = x->request_trailers;

	if (!t)
		return;
	for (const struct claim *c = x->claims; c; c = c->next)
		take_out(c, t);
	filters_trailers(&x->filters_up, t);
	if (t->n == 0)
		x->request_trailers = NULL;
}
