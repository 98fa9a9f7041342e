#include "io/redis.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/obj.h"
#include "io/resolver.h"
#include "io/tls.h"

#define REDIS_MAGIC 0x4ed15001
#define CONNECT_MS  2000 /* from the first packet to the end of the greeting */
#define SILENT_MS   3000 /* LATE for so long: the connection is taken for dead */
#define REST_MIN_MS 100 /* doubled with each failure, and up to a half more by chance */
#define REST_MAX_MS 2000
#define GOOD_MS     1000 /* a connection that lasted so long is replaced at once */
#define SLOTS_MAX   4096 /* questions under way */
#define ARRAY_MAX   64 /* elements of an answer */
#define ANSWER_MAX  (64 * 1024) /* bytes of one that is not complete, what hiredis has taken of it included */

enum redis_state {
	REDIS_RESTING,
	REDIS_RESOLVING,
	REDIS_CONNECTING,
	REDIS_GREETING,
	REDIS_READY,
	REDIS_LATE,
	REDIS_STATES
};

static const uint8_t legal[REDIS_STATES] = {
	[REDIS_RESTING] = BIT(REDIS_RESOLVING) | BIT(REDIS_CONNECTING) | BIT(REDIS_RESTING),
	[REDIS_RESOLVING] = BIT(REDIS_CONNECTING) | BIT(REDIS_RESTING),
	[REDIS_CONNECTING] = BIT(REDIS_GREETING) | BIT(REDIS_RESTING),
	[REDIS_GREETING] = BIT(REDIS_READY) | BIT(REDIS_RESTING),
	[REDIS_READY] = BIT(REDIS_LATE) | BIT(REDIS_RESTING),
	[REDIS_LATE] = BIT(REDIS_READY) | BIT(REDIS_RESTING),
};

/* A place in the order of answers. It outlives who waits for it: the answer still comes. */
struct redis_slot {
	struct list link;
	struct redis *redis;
	struct redis_call *call; /* NULL: nobody waits any more */
	struct deadline timeout;
};

struct redis {
	uint32_t magic;
	uint8_t state; /* enum redis_state */
	uint32_t failures; /* in a row */
	uint32_t greetings; /* answers to them that are due */
	uint64_t ready_ms; /* since when */
	const struct redis_conf *conf;
	struct loop *loop;
	struct resolver resolver;
	bool resolver_there;
	struct resolve *question;
	struct addr found; /* the resolver's answer; ADDR_NONE: it has none */
	struct tls_client *tls; /* NULL: none was needed yet */
	struct transport *transport; /* NULL: there is none */
	struct redisReader *reader; /* of the connection */
	size_t unfinished; /* bytes that have come since the last whole answer */
	struct redisReplyObjectFunctions functions; /* hiredis's own, but for bounded arrays */
	void *(*create_array)(const redisReadTask *, int);
	struct chain greeting, out; /* not sent yet */
	struct list slots; /* in the order of their commands */
	uint32_t slot_n;
	struct task start, flush;
	struct deadline patience; /* RESTING: the next try; LATE: the end; else of connecting */
	uint32_t telling; /* calls of done() that are under way */
	bool ended; /* freed meanwhile: whoever tells frees the memory */
	char problem[128]; /* of the last failure */
};

static void set_state(struct redis *r, enum redis_state to)
{
	MUST(legal[r->state] & BIT(to));
	r->state = (uint8_t)to;
}

/* -- who waits -- */

static void slot_free(struct redis_slot *s)
{
	struct redis *r = s->redis;

	deadline_disarm(r->loop, &s->timeout);
	list_remove(&s->link);
	r->slot_n--;
	mem_obj_free(&r->loop->mem, s, sizeof(*s));
}

/* False: r has been freed meanwhile. */
static bool tell(struct redis *r, struct redis_call *c, const struct redis_answer *answer)
{
	bool ended;

	c->slot = NULL;
	r->telling++;
	c->done(c, answer);
	ended = r->ended;
	if (--r->telling == 0 && ended)
		free(r);
	return !ended;
}

static void on_timeout(struct deadline *d)
{
	struct redis_slot *s = CONTAINER(d, struct redis_slot, timeout);
	struct redis_call *c = TAKE(&s->call);
	struct redis *r = s->redis;

	if (r->state == REDIS_READY) {
		set_state(r, REDIS_LATE);
		deadline_arm(r->loop, &r->patience, SILENT_MS);
	}
	if (c)
		tell(r, c, &(struct redis_answer){.problem = "timeout"});
}

void redis_call_cancel(struct redis_call *c)
{
	struct redis_slot *s = TAKE(&c->slot);

	if (s)
		s->call = NULL;
}

/* -- the end of a connection -- */

static void disconnect(struct redis *r)
{
	resolve_cancel(&r->question);
	task_cancel(&r->flush);
	transport_close(&r->transport);
	if (r->reader)
		redisReaderFree(TAKE(&r->reader));
	chain_clear(&r->loop->mem, &r->greeting);
	chain_clear(&r->loop->mem, &r->out);
}

/* Those who wait are told, after the next try has been arranged: they may ask again. */
static void lose(struct redis *r, const char *why)
{
	bool was_good = r->state == REDIS_READY && r->loop->now_ms - r->ready_ms >= GOOD_MS;
	uint32_t rest = MIN(REST_MIN_MS << MIN(r->failures, 8u), REST_MAX_MS);
	bool alive = true;

	if (why != r->problem)
		snprintf(r->problem, sizeof(r->problem), "%s", why);
	disconnect(r);
	set_state(r, REDIS_RESTING);
	if (was_good) {
		deadline_disarm(r->loop, &r->patience);
		loop_defer(r->loop, &r->start, LOOP_READY);
	} else {
		r->failures++;
		deadline_arm(r->loop, &r->patience, rest + (uint32_t)(loop_random(r->loop) % (rest / 2 + 1)));
	}
	for (uint32_t n = r->slot_n; alive && n > 0; n--) {
		struct redis_slot *s = CONTAINER(list_first(&r->slots), struct redis_slot, link);
		struct redis_call *c = s->call;

		slot_free(s);
		if (c)
			alive = tell(r, c, &(struct redis_answer){.problem = r->problem});
	}
}

static void lose_transport(struct redis *r)
{
	struct transport *t = r->transport;
	char name[REASON_NAME_MAX];
	const char *tls = r->conf->tls.on ? tls_error_text(t) : "";
	struct str reason = reason_name(t->why ? (enum reason)t->why : REASON_UPSTREAM_CLOSED, name);

	snprintf(r->problem, sizeof(r->problem), STR_FMT "%s%s", STR_ARG(reason), tls[0] ? ": " : "", tls);
	lose(r, r->problem);
}

/* -- writing -- */

static void on_flush(struct task *task)
{
	struct redis *r = CONTAINER(task, struct redis, flush);
	struct chain *c = r->greeting.n ? &r->greeting : &r->out;
	struct iovec iov[16];

	/* What is asked waits until the greeting has been answered. */
	while (c->n && (c == &r->greeting || r->state >= REDIS_READY)) {
		ssize_t n = transport_writev(r->transport, iov, chain_iov(c, iov, COUNT_OF(iov)));

		if (n == TRANSPORT_AGAIN)
			return;
		if (n < 0) { /* what the server said before can still be read: the event that follows finds its end */
			chain_clear(&r->loop->mem, c);
			return;
		}
		chain_drain(&r->loop->mem, c, (size_t)n);
		c = r->greeting.n ? &r->greeting : &r->out;
	}
}

static void put_command(struct redis *r, struct chain *to, int argc, const char **argv, const size_t *lens)
{
	char *text;
	int n = redisFormatCommandArgv(&text, argc, argv, lens);

	MUST(n > 0);
	chain_add_copy(&r->loop->mem, to, text, (size_t)n);
	free(text);
	if (r->transport)
		loop_defer(r->loop, &r->flush, LOOP_FLUSH);
}

const char *redis_ask(struct redis *r, struct redis_call *c, int argc, const char **argv, const size_t *lens)
{
	struct redis_slot *s;

	OBJ_CHECK(r, REDIS_MAGIC);
	if (r->state == REDIS_LATE)
		return "late";
	if (r->state < REDIS_READY && r->failures)
		return r->problem;
	if (r->slot_n >= SLOTS_MAX)
		return "too many questions under way";
	s = mem_obj(&r->loop->mem, sizeof(*s));
	s->redis = r;
	s->call = c;
	s->timeout.fire = on_timeout;
	c->slot = s;
	list_push_back(&r->slots, &s->link);
	r->slot_n++;
	put_command(r, &r->out, argc, argv, lens);
	deadline_arm(r->loop, &s->timeout, r->conf->timeout_ms);
	return NULL;
}

/* -- reading -- */

/* hiredis would take room for as many as the server says there are. */
static void *create_bounded_array(const redisReadTask *task, int n)
{
	struct redis *r = task->privdata;

	return n > ARRAY_MAX ? NULL : r->create_array(task, n);
}

static void become_ready(struct redis *r)
{
	set_state(r, REDIS_READY);
	r->failures = 0;
	r->ready_ms = r->loop->now_ms;
	deadline_disarm(r->loop, &r->patience);
	loop_defer(r->loop, &r->flush, LOOP_FLUSH);
}

/* False: the connection, or r, is gone. */
static bool take_reply(struct redis *r, const struct redisReply *reply)
{
	struct redis_slot *s;
	struct redis_call *c;

	if (r->state == REDIS_GREETING) {
		if (reply->type == REDIS_REPLY_ERROR) {
			lose(r, reply->str);
			return false;
		}
		if (--r->greetings == 0)
			become_ready(r);
		return true;
	}
	if (list_empty(&r->slots)) {
		lose(r, "an answer that nobody asked for");
		return false;
	}
	if (r->state == REDIS_LATE) {
		set_state(r, REDIS_READY);
		deadline_disarm(r->loop, &r->patience);
	}
	s = CONTAINER(list_first(&r->slots), struct redis_slot, link);
	c = s->call;
	slot_free(s);
	return !c || tell(r, c, &(struct redis_answer){.reply = reply});
}

/* False: the connection, or r, is gone. */
static bool read_replies(struct redis *r)
{
	struct redisReader *reader = r->reader;
	void *reply = NULL;
	bool good = true;

	while (good) {
		if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
			lose(r, "its answer is not Redis's protocol, or too long");
			return false;
		}
		if (!reply)
			break;
		r->unfinished = reader->len - reader->pos;
		good = take_reply(r, reply);
		freeReplyObject(reply);
	}
	if (good && r->unfinished > ANSWER_MAX) {
		lose(r, "its answer is too long");
		return false;
	}
	return good;
}

static void read_all(struct redis *r)
{
	char buf[4096];
	ssize_t n;

	while ((n = transport_read(r->transport, buf, sizeof(buf))) > 0) {
		if (redisReaderFeed(r->reader, buf, (size_t)n) != REDIS_OK) {
			lose(r, "out of memory");
			return;
		}
		r->unfinished += (size_t)n;
		if (!read_replies(r))
			return;
	}
	if (n == TRANSPORT_EOF)
		lose(r, "it closed the connection");
	else if (n == TRANSPORT_ERROR)
		lose_transport(r);
}

/* -- a connection begins -- */

static void put_greeting(struct redis *r, int argc, const struct str *args)
{
	const char *argv[3];
	size_t lens[3];

	for (int i = 0; i < argc; i++) {
		argv[i] = args[i].p;
		lens[i] = args[i].n;
	}
	put_command(r, &r->greeting, argc, argv, lens);
	r->greetings++;
}

static void greet(struct redis *r)
{
	const struct redis_conf *conf = r->conf;
	char number[16];

	set_state(r, REDIS_GREETING);
	r->greetings = 0;
	if (conf->password.n && conf->username.n)
		put_greeting(r, 3, (struct str[]){STR("AUTH"), conf->username, conf->password});
	else if (conf->password.n)
		put_greeting(r, 2, (struct str[]){STR("AUTH"), conf->password});
	snprintf(number, sizeof(number), "%u", conf->database);
	/* Always: a server that wants a password says so here, not to the first who asks. */
	put_greeting(r, 2, (struct str[]){STR("SELECT"), str_of(number)});
}

static void on_transport(struct transport *t)
{
	struct redis *r = t->user;

	if (t->state == TRANSPORT_DEAD && r->state < REDIS_GREETING) {
		lose_transport(r);
		return;
	}
	if (t->state == TRANSPORT_CONNECTING || t->state == TRANSPORT_HANDSHAKE)
		return;
	if (r->state == REDIS_CONNECTING)
		greet(r);
	else
		loop_defer(r->loop, &r->flush, LOOP_FLUSH);
	read_all(r);
}

static bool make_reader(struct redis *r)
{
	r->reader = redisReaderCreate();
	if (!r->reader)
		return false;
	r->functions = *r->reader->fn;
	r->create_array = r->functions.createArray;
	r->functions.createArray = create_bounded_array;
	r->reader->fn = &r->functions;
	r->reader->privdata = r;
	r->unfinished = 0;
	return true;
}

static void connect_to(struct redis *r, const struct addr *to, const char *path, struct str name)
{
	const struct conf_upstream_tls *tls = &r->conf->tls;
	enum reason why = REASON_UPSTREAM_CONNECT;
	char reason[REASON_NAME_MAX];

	set_state(r, REDIS_CONNECTING);
	deadline_arm(r->loop, &r->patience, CONNECT_MS);
	if (tls->on && !r->tls) {
		r->tls = tls_client_new(tls, CONF_HTTP1, r->problem, sizeof(r->problem));
		if (!r->tls) {
			lose(r, r->problem);
			return;
		}
	}
	if (make_reader(r))
		r->transport = tls->on ? tls_connect(r->loop, to, path, r->tls,
						 tls->server_name.n ? tls->server_name : name, STR_NONE, &why)
				       : plain_connect(r->loop, to, path, &why);
	if (!r->transport) {
		struct str text = reason_name(why, reason);

		snprintf(r->problem, sizeof(r->problem), STR_FMT, STR_ARG(text));
		lose(r, r->problem);
		return;
	}
	r->transport->user = r;
	r->transport->on_event = on_transport;
}

/* "host:port" in two; false: it is no such text. */
static bool split_host(struct str address, struct str *host, uint16_t *port)
{
	size_t colon = str_find(address, ':');
	uint64_t number;

	*host = str_head(address, colon);
	if (host->n == 0 || host->n > 253 || !str_to_u64(str_skip(address, colon + 1), &number) ||
		number == 0 || number > UINT16_MAX)
		return false;
	for (size_t i = 0; i < host->n; i++) {
		unsigned char c = (unsigned char)host->p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			    c == '-' || c == '.' || c == '_'))
			return false;
	}
	*port = (uint16_t)number;
	return true;
}

bool redis_address_is_valid(struct str address)
{
	struct addr addr;
	struct str host;
	uint16_t port;

	if (str_starts(address, STR("unix:/")))
		return address.n > 6 && address.n < 108;
	return addr_parse(&addr, address) || split_host(address, &host, &port);
}

static void on_resolved(const struct resolve_answer *answer, void *ctx)
{
	struct redis *r = ctx;

	r->question = NULL;
	r->found.family = ADDR_NONE;
	if (answer->n)
		r->found = answer->addrs[0];
	else
		snprintf(r->problem, sizeof(r->problem), "its name: %s", answer->error);
	/* The resolver, which is in the middle of telling, may end with those who are told: later. */
	loop_defer(r->loop, &r->start, LOOP_READY);
}

static void resolve(struct redis *r, struct str host, uint16_t port)
{
	static const struct resolver_options options = {.timeout_ms = 1000, .tries = 2};
	char name[256];

	set_state(r, REDIS_RESOLVING);
	deadline_arm(r->loop, &r->patience, CONNECT_MS);
	if (!r->resolver_there)
		r->resolver_there = resolver_init(&r->resolver, r->loop, &options);
	if (!r->resolver_there) {
		lose(r, "no resolver can be made");
		return;
	}
	snprintf(name, sizeof(name), STR_FMT, STR_ARG(host));
	r->question = resolver_ask(&r->resolver, name, port, RESOLVE_BOTH, on_resolved, r);
}

static void on_start(struct task *t)
{
	struct redis *r = CONTAINER(t, struct redis, start);
	struct str address = r->conf->address, host;
	struct addr addr = {.family = ADDR_UNIX};
	char path[128];
	uint16_t port;

	if (str_starts(address, STR("unix:"))) {
		snprintf(path, sizeof(path), STR_FMT, STR_ARG(str_skip(address, 5)));
		connect_to(r, &addr, path, STR_NONE);
	} else if (addr_parse(&addr, address)) {
		connect_to(r, &addr, NULL, STR_NONE);
	} else if (!split_host(address, &host, &port)) {
		lose(r, "its address is none");
	} else if (r->state != REDIS_RESOLVING) {
		resolve(r, host, port);
	} else if (r->found.family != ADDR_NONE) {
		connect_to(r, &r->found, NULL, host);
	} else {
		lose(r, r->problem);
	}
}

static void on_patience(struct deadline *d)
{
	struct redis *r = CONTAINER(d, struct redis, patience);

	if (r->state == REDIS_RESTING)
		loop_defer(r->loop, &r->start, LOOP_READY);
	else if (r->state == REDIS_LATE)
		lose(r, "it is silent");
	else
		lose(r, "the connection could not be made in time");
}

struct redis *redis_new(struct loop *l, const struct redis_conf *conf)
{
	struct redis *r = calloc(1, sizeof(*r));

	MUST(r);
	r->magic = REDIS_MAGIC;
	r->loop = l;
	r->conf = conf;
	list_init(&r->slots);
	r->start.run = on_start;
	r->flush.run = on_flush;
	r->patience.fire = on_patience;
	loop_defer(l, &r->start, LOOP_READY);
	return r;
}

void redis_free(struct redis **rp)
{
	struct redis *r = TAKE(rp);
	struct list *link;

	if (!r)
		return;
	OBJ_CHECK(r, REDIS_MAGIC);
	while ((link = list_first(&r->slots))) {
		struct redis_slot *s = CONTAINER(link, struct redis_slot, link);

		MUST(!s->call);
		slot_free(s);
	}
	deadline_disarm(r->loop, &r->patience);
	task_cancel(&r->start);
	disconnect(r);
	if (r->resolver_there)
		resolver_free(&r->resolver);
	tls_client_release(r->tls);
	r->magic = 0;
	r->ended = true;
	if (r->telling == 0)
		free(r);
}
