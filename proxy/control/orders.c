#include "control/orders.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "base/obj.h"
#include "control/control.h"
#include "control/handover.h"
#include "control/install.h"

static const char *text_of(const json_t *message, const char *key)
{
	const char *text = json_string_value(json_object_get(message, key));

	return text ? text : "";
}

/* -- what is ordered -- */

static void on_begin(struct control *c, json_t *message, const int *fds, uint32_t fd_n)
{
	c->orders.events = json_incref(json_object_get(message, "events"));
	c->orders.state = json_incref(json_object_get(message, "state"));
	c->orders.last_good = fd_n ? fds[0] : -1;
	control_begin(c);
	c->orders.last_good = -1;
}

static void on_socket(struct control *c, json_t *message, int *fds, uint32_t fd_n)
{
	struct str address = str_of(text_of(message, "address"));

	if (!fd_n || listener_sockets_find(&c->sockets, address))
		return;
	listener_sockets_adopt(&c->sockets, address, fds, fd_n);
	for (uint32_t i = 0; i < fd_n; i++)
		fds[i] = -1;
}

static void on_bound(struct control *c, json_t *message)
{
	/* An answer to a question that was dropped meanwhile says nothing. */
	if ((uint64_t)json_integer_value(json_object_get(message, "seq")) == c->orders.bind_seq)
		reload_bound(c, json_object_get(message, "errors"));
}

static void on_reload(struct control *c, json_t *message)
{
	c->orders.reload_asked = (uint64_t)json_integer_value(json_object_get(message, "seq"));
	control_reload(c);
}

/* The process that stays tells it until another one has taken over from it. */
static void note_upgrade(struct control *c, const json_t *members)
{
	const char *outcome = text_of(members, "outcome");

	metrics_upgraded(&c->metrics, outcome);
	if (strcmp(outcome, "applied") == 0)
		return;
	json_decref(c->orders.failed_upgrade);
	c->orders.failed_upgrade = json_pack("{s:s, s:s, s:I}", "outcome", outcome, "error",
		text_of(members, "error"), "unix_time", (json_int_t)time(NULL));
}

static void on_event(struct control *c, const json_t *message)
{
	json_int_t level = json_integer_value(json_object_get(message, "level"));
	json_t *members = json_object_get(message, "members");

	if (strcmp(text_of(message, "event"), "upgrade") == 0)
		note_upgrade(c, members);
	event_emit(&c->io, (uint8_t)MIN(MAX(level, CONF_LEVEL_DEBUG), CONF_LEVEL_ERROR),
		text_of(message, "event"), json_incref(members));
}

static void on_drain(struct control *c, bool upgrade)
{
	if (!c->snapshot)
		control_stop(c, "told before it served");
	else if (upgrade)
		control_leave(c);
	else
		control_drain(c, c->snapshot->conf->timeouts.shutdown);
}

/* -- an upgrade -- */

/* What has been stored must hold in the successor too, and what is answered must have been stored: nothing may be under way. */
static void on_settle(struct task *t)
{
	struct control *c = CONTAINER(t, struct control, orders.settle);

	if (!c->orders.handing_over || c->state != CONTROL_SERVING || !runtime_is_quiet(&c->runtime) ||
		!store_is_quiet(&c->store))
		return;
	c->orders.handing_over = false;
	channel_send(&c->orders.channel, "state", json_pack("{s:o}", "sections", handover_save(c)), NULL, 0);
}

/* At the end of the tick: what has just ended may have begun something else. */
void orders_settled(struct control *c)
{
	c->orders.settle.run = on_settle;
	if (c->orders.handing_over)
		loop_defer(&c->loop, &c->orders.settle, LOOP_REAP);
}

static void on_freeze(struct control *c)
{
	c->frozen = c->orders.handing_over = true;
	orders_settled(c);
}

/* Takes the outcome. One that nobody here has asked for is nobody's here. */
static void upgrade_ended(struct control *c, uint64_t asked, json_t *outcome)
{
	struct upgrade_wait *u = &c->orders.upgrade;

	if (asked != u->asked || u->answered == u->asked) {
		json_decref(outcome);
		return;
	}
	u->answered = asked;
	json_decref(u->outcome);
	u->outcome = outcome;
	admin_topic_wake(&u->changed);
}

static void on_upgraded(struct control *c, json_t *message)
{
	uint64_t asked = (uint64_t)json_integer_value(json_object_get(message, "seq"));
	json_t *outcome = json_copy(message);

	json_object_del(outcome, "type");
	json_object_del(outcome, "seq");
	/* Who has the answer may count on the new process: the order to leave comes next, and is to be followed first. */
	if (strcmp(text_of(outcome, "outcome"), "applied") == 0 && asked == c->orders.upgrade.asked &&
		!c->orders.upgrade.applied)
		c->orders.upgrade.applied = outcome;
	else
		upgrade_ended(c, asked, outcome);
}

static void on_resume(struct control *c)
{
	c->frozen = c->orders.handing_over = false;
	known_changed(&c->known);
	install_next(c);
}

static void on_message(struct channel *channel, const char *type, json_t *message, int *fds, uint32_t fd_n)
{
	struct control *c = channel->user;

	if (strcmp(type, "begin") == 0)
		on_begin(c, message, fds, fd_n);
	else if (strcmp(type, "socket") == 0)
		on_socket(c, message, fds, fd_n);
	else if (strcmp(type, "bound") == 0)
		on_bound(c, message);
	else if (strcmp(type, "reload") == 0)
		on_reload(c, message);
	else if (strcmp(type, "reopen") == 0)
		io_thread_reopen(&c->io);
	else if (strcmp(type, "drain") == 0)
		on_drain(c, json_is_true(json_object_get(message, "upgrade")));
	else if (strcmp(type, "stop") == 0)
		control_stop(c, text_of(message, "why"));
	else if (strcmp(type, "ping") == 0)
		channel_send(channel, "pong", NULL, NULL, 0);
	else if (strcmp(type, "freeze") == 0)
		on_freeze(c);
	else if (strcmp(type, "resume") == 0)
		on_resume(c);
	else if (strcmp(type, "upgraded") == 0)
		on_upgraded(c, message);
	else if (strcmp(type, "event") == 0)
		on_event(c, message);
	else if (strcmp(type, "older") == 0)
		older_heard(&c->older, message, c->loop.now_ms);
}

static void on_end(struct channel *channel)
{
	struct control *c = channel->user;

	if (c->worker_n > 0)
		event_emit(&c->io, CONF_LEVEL_ERROR, "supervisor_gone",
			json_pack("{s:i}", "pid", (int)getpid()));
	if (c->state != CONTROL_DRAINING)
		on_drain(c, false);
}

/* -- what is reported -- */

void orders_ask_sockets(struct control *c, json_t *addresses, uint32_t n)
{
	channel_send(&c->orders.channel, "bind",
		json_pack("{s:I, s:o, s:i}", "seq", (json_int_t)++c->orders.bind_seq, "addresses", addresses,
			"n", (int)n),
		NULL, 0);
}

void orders_keep_sockets(struct control *c, json_t *addresses)
{
	channel_send(&c->orders.channel, "keep", json_pack("{s:o}", "addresses", addresses), NULL, 0);
}

uint64_t orders_ask_upgrade(struct control *c)
{
	uint64_t seq = ++c->orders.upgrade.asked;

	channel_send(&c->orders.channel, "upgrade", json_pack("{s:I}", "seq", (json_int_t)seq), NULL, 0);
	return seq;
}

void orders_tell_ready(struct control *c)
{
	channel_send(&c->orders.channel, "ready",
		json_pack("{s:I, s:I}", "generation", (json_int_t)c->snapshot->generation, "fingerprint",
			(json_int_t)c->snapshot->conf->fingerprint),
		NULL, 0);
	for (size_t i = 0; i < json_array_size(c->orders.events); i++)
		on_event(c, json_array_get(c->orders.events, i));
	json_decref(c->orders.events);
	c->orders.events = NULL;
	known_begin(&c->known);
}

void orders_tell_left(struct control *c)
{
	struct upgrade_wait *u = &c->orders.upgrade;

	channel_send(&c->orders.channel, "left", NULL, NULL, 0);
	if (u->applied)
		upgrade_ended(c, u->asked, TAKE(&u->applied));
}

void orders_tell_finishing(struct control *c, json_t *members)
{
	json_object_set_new(members, "version", json_string(WEIR_VERSION));
	channel_send(&c->orders.channel, "finishing", members, NULL, 0);
}

void orders_tell_failed(struct control *c, const char *why)
{
	channel_send(&c->orders.channel, "failed", json_pack("{s:s}", "error", why), NULL, 0);
}

void orders_tell_reloaded(struct control *c, const char *outcome, uint64_t generation)
{
	channel_send(&c->orders.channel, "reloaded",
		json_pack("{s:I, s:s, s:I, s:I}", "seq", (json_int_t)c->orders.reload_running, "outcome",
			outcome, "generation", (json_int_t)generation, "fingerprint",
			(json_int_t)c->snapshot->conf->fingerprint),
		NULL, 0);
}

/* -- life -- */

void orders_open(struct control *c)
{
	static const int numbers[] = {SIGPIPE, SIGXFSZ, SIGHUP, SIGUSR1, SIGUSR2, SIGINT, SIGTERM, SIGQUIT};

	/* A limit of file size (SIGXFSZ) is a full disk: an error of write(). */
	prctl(PR_SET_NAME, "weir"); /* started by descriptor, the kernel has called it after that */
	for (size_t i = 0; i < COUNT_OF(numbers); i++)
		signal(numbers[i], SIG_IGN);
	admin_topic_init(&c->orders.upgrade.changed, &c->loop);
	c->orders.last_good = -1;
	c->orders.channel.user = c;
	c->orders.channel.on_message = on_message;
	c->orders.channel.on_end = on_end;
	channel_open(&c->orders.channel, &c->loop, CHANNEL_FD);
	channel_send(&c->orders.channel, "hello",
		json_pack("{s:s, s:i, s:i, s:b}", "version", WEIR_VERSION, "manifest", SUPERVISOR_MANIFEST,
			"manifest_oldest", SUPERVISOR_MANIFEST_OLDEST, "tells_left", 1),
		NULL, 0);
}

void orders_close(struct control *c)
{
	json_decref(c->orders.events);
	json_decref(c->orders.state);
	json_decref(c->orders.upgrade.outcome);
	json_decref(c->orders.upgrade.applied);
	json_decref(c->orders.failed_upgrade);
	channel_close(&c->orders.channel);
}
