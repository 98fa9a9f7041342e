#include "supervisor/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include "base/obj.h"
#include "supervisor/manifest.h"
#include "supervisor/supervisor.h"

#define FREEZE_MS 10000
#define START_MS  60000 /* a large configuration takes seconds */

static const uint8_t legal[UPGRADE_STATES] = {
	[UPGRADE_NONE] = BIT(UPGRADE_FREEZING),
	[UPGRADE_FREEZING] = BIT(UPGRADE_STARTING) | BIT(UPGRADE_NONE),
	[UPGRADE_STARTING] = BIT(UPGRADE_NONE),
};

static void set_state(struct upgrade *u, enum upgrade_state to)
{
	MUST(legal[u->state] & BIT(to));
	u->state = (uint8_t)to;
}

/* Whatever the outcome. */
static void finish(struct supervisor *s)
{
	struct upgrade *u = &s->upgrade;

	set_state(u, UPGRADE_NONE);
	deadline_disarm(&s->loop, &u->deadline);
	u->next = NULL;
	if (u->program_fd >= 0)
		close(u->program_fd);
	u->program_fd = -1;
}

static void reload_if_asked(struct supervisor *s)
{
	if (!s->upgrade.reload)
		return;
	s->upgrade.reload = false;
	supervisor_reload(s);
}

/* -- it does not come to it -- */

/* Who has asked for it learns what came of it. Borrows the outcome. */
static void answer(struct process *p, uint64_t asked, json_t *outcome)
{
	json_t *message = json_copy(outcome);

	json_object_set_new(message, "seq", json_integer((json_int_t)asked));
	channel_send(&p->channel, "upgraded", message, NULL, 0);
}

static void tell(struct supervisor *s, uint64_t asked, const char *outcome, const char *why)
{
	json_t *members = json_pack("{s:s, s:s}", "outcome", outcome, "error", why);

	fprintf(stderr, "weir: upgrade %s: %s\n", outcome, why);
	if (s->current && asked)
		answer(s->current, asked, members);
	supervisor_tell(s, CONF_LEVEL_ERROR, "upgrade", members);
}

void upgrade_fail(struct supervisor *s, const char *why)
{
	struct upgrade *u = &s->upgrade;

	if (u->state == UPGRADE_NONE)
		return;
	if (u->next)
		kill(u->next->pid, SIGKILL);
	finish(s);
	if (s->current)
		channel_send(&s->current->channel, "resume", json_pack("{s:s}", "error", why), NULL, 0);
	tell(s, u->asked, "failed", why);
	reload_if_asked(s);
}

static void on_deadline(struct deadline *d)
{
	struct supervisor *s = CONTAINER(d, struct supervisor, upgrade.deadline);

	upgrade_fail(s, s->upgrade.state == UPGRADE_FREEZING ? "the worker process does not say what it knows"
							     : "the new process does not serve in time");
}

void upgrade_died(struct supervisor *s, const struct process *p, int status)
{
	json_t *report = p == s->upgrade.next ? process_obituary(p, status, s->loop.now_ms) : NULL;
	const char *sign = json_string_value(json_object_get(report, "signal"));
	const char *reason = json_string_value(json_object_get(report, "reason"));
	char why[1024];

	if (!report)
		snprintf(why, sizeof(why), "the worker process that serves has died");
	else if (sign)
		snprintf(why, sizeof(why), "the new process died of %s%s%s", sign, reason ? ": " : "",
			reason ? reason : "");
	else
		snprintf(why, sizeof(why), "the new process ended with status %d%s%s",
			(int)json_integer_value(json_object_get(report, "status")), reason ? ": " : "",
			reason ? reason : "");
	json_decref(report);
	upgrade_fail(s, why);
}

/* -- it does -- */

void upgrade_begin(struct supervisor *s, uint64_t asked)
{
	struct upgrade *u = &s->upgrade;
	uint32_t alive = 0;

	list_each (link, &s->processes)
		alive++;
	if (u->state != UPGRADE_NONE) {
		tell(s, asked, "refused", "another upgrade is under way");
	} else if (s->state != SUPERVISOR_SERVING) {
		tell(s, asked, "refused",
			s->state == SUPERVISOR_STOPPING ? "weir is stopping" : "weir does not serve yet");
	} else if (alive > UPGRADE_OLD_MAX) {
		tell(s, asked, "refused",
			"too many older processes still finish; timeouts.upgrade ends them");
	} else if ((u->program_fd = open(s->program, O_PATH | O_CLOEXEC)) < 0) {
		tell(s, asked, "failed", strerror(errno));
	} else {
		u->asked = asked;
		set_state(u, UPGRADE_FREEZING);
		deadline_arm(&s->loop, &u->deadline, FREEZE_MS);
		channel_send(&s->current->channel, "freeze", NULL, NULL, 0);
	}
}

void upgrade_frozen(struct supervisor *s, const struct process *p, json_t *sections)
{
	struct upgrade *u = &s->upgrade;

	if (u->state != UPGRADE_FREEZING || p != s->current)
		return;
	set_state(u, UPGRADE_STARTING);
	deadline_arm(&s->loop, &u->deadline, START_MS);
	u->next = supervisor_start_process(s, u->program_fd, sections);
	if (!u->next)
		upgrade_fail(s, strerror(errno));
}

void upgrade_left(struct supervisor *s, struct process *p)
{
	if (p->replaced)
		supervisor_tell(s, CONF_LEVEL_INFO, "upgrade", TAKE(&p->replaced));
}

bool upgrade_ready(struct supervisor *s, struct process *p)
{
	struct upgrade *u = &s->upgrade;
	struct process *old = s->current;
	json_t *outcome;

	if (u->state != UPGRADE_STARTING || p != u->next)
		return false;
	s->current = p;
	s->deaths = 0;
	close(s->program_fd);
	s->program_fd = u->program_fd;
	u->program_fd = -1;
	outcome = json_pack("{s:s, s:s, s:s, s:i, s:i}", "outcome", "applied", "version",
		p->version ? p->version : "", "from", old->version ? old->version : "", "pid", (int)p->pid,
		"old_pid", (int)old->pid);
	finish(s);
	if (u->asked)
		answer(old, u->asked, outcome);
	channel_send(&old->channel, "drain", json_pack("{s:b}", "upgrade", 1), NULL, 0);
	json_decref(old->replaced);
	old->replaced = outcome;
	if (!old->tells_left)
		upgrade_left(s, old);
	reload_if_asked(s);
	manifest_become(s);
	return true;
}

void upgrade_init(struct supervisor *s)
{
	s->upgrade.program_fd = -1;
	s->upgrade.deadline.fire = on_deadline;
}
