/* control/admin/metrics.c - GET /metrics, in slices: control goes on with its other work between them. */
#include <stdlib.h>
#include "base/obj.h"
#include "control/admin/match.h"
#include "control/admin/routes.h"
#include "control/control.h"
#include "control/metrics_text.h"

#define OPENMETRICS "application/openmetrics-text"

/* One text that is being made. Mail that control sends itself: so everything else that has come is done before the next slice. */
struct scrape {
	struct mail mail;
	struct admin_request *rq; /* NULL: nobody waits for it any more */
	struct metrics_text text;
};

static void scrape_end(struct scrape *s)
{
	metrics_text_end(&s->text);
	free(s);
}

static void on_gone(struct admin_request *rq)
{
	struct scrape *s = rq->user;

	s->rq = NULL;
}

static void finish(struct scrape *s)
{
	struct exposition *out = &s->text.out;
	struct admin_request *rq = TAKE(&s->rq);

	rq->gone = NULL;
	if (out->cut)
		admin_problem(rq, 500, "too_many_metrics",
			"the metrics take more than %zu MiB; is this configuration meant to be so large?",
			EXPOSITION_MAX >> 20);
	else
		admin_answer_long(rq, exposition_type(out->openmetrics), &out->p, out->n);
	scrape_end(s);
}

static void step(struct mail *m, void *control)
{
	struct scrape *s = CONTAINER(m, struct scrape, mail);
	struct control *c = control;

	if (!s->rq)
		scrape_end(s);
	else if (metrics_text_step(&s->text))
		finish(s);
	else
		mailbox_send(&c->box, &s->mail);
}

/* Prometheus names OpenMetrics when it can read it; whoever does not gets the format that everything reads. */
static bool wants_openmetrics(const struct admin_request *rq)
{
	const struct field *accept = fields_find(&rq->head.fields, FIELD_ACCEPT);

	return accept && admin_accept_names(field_value(accept), STR(OPENMETRICS));
}

static void metrics(struct admin_request *rq)
{
	struct scrape *s = calloc(1, sizeof(*s));

	MUST(s);
	s->mail.deliver = step;
	s->rq = rq;
	rq->user = s;
	rq->gone = on_gone;
	metrics_text_begin(&s->text, rq->control, wants_openmetrics(rq));
	step(&s->mail, rq->control);
}

const struct admin_route metrics_routes[] = {
	{.method = METHOD_GET,
		.role = ADMIN_VIEWER,
		.global = true,
		.path = "/metrics",
		.summary = "All metrics, as OpenMetrics or in Prometheus' older text format, by Accept",
		.type = "text/plain",
		.other = OPENMETRICS,
		.handle = metrics},
	{.path = NULL},
};
