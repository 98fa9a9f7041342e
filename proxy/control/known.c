#include "control/known.h"

#include "base/obj.h"
#include "control/control.h"
#include "control/handover.h"

/* What one backend's part of the message costs is some 5 us on either side: a pause of 1 ms for ten is a twentieth of that time. */
#define BACKENDS_PER_MS 10
#define PAUSE_MAX_MS    1000

static void tell(struct known *k)
{
	struct control *c = k->control;

	k->again = false;
	/* Who is to follow in an upgrade has been told already. */
	if (c->frozen || c->upgraded)
		return;
	channel_send(&c->orders.channel, "known", json_pack("{s:o}", "sections", handover_save(c)), NULL, 0);
	deadline_arm(&c->loop, &k->pause, MIN(c->backends.slots.n / BACKENDS_PER_MS, PAUSE_MAX_MS));
}

static void on_tell(struct task *t)
{
	tell(CONTAINER(t, struct known, tell));
}

static void on_pause_over(struct deadline *d)
{
	struct known *k = CONTAINER(d, struct known, pause);

	if (k->again)
		tell(k);
}

void known_init(struct known *k, struct control *c)
{
	*k = (struct known){.control = c, .tell.run = on_tell, .pause.fire = on_pause_over};
}

void known_begin(struct known *k)
{
	k->on = true;
	tell(k);
}

void known_changed(void *known)
{
	struct known *k = known;

	if (!k->on)
		return;
	if (deadline_armed(&k->pause))
		k->again = true;
	else
		loop_defer(&k->control->loop, &k->tell, LOOP_FLUSH);
}

void known_stop(struct known *k)
{
	if (!k->on)
		return;
	k->on = false;
	task_cancel(&k->tell);
	deadline_disarm(&k->control->loop, &k->pause);
}
