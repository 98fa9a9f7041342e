#include "control/cause_json.h"

#include <stdio.h>
#include <time.h>
#include "base/obj.h"
#include "exchange/exchange.h"

/* What whoever runs the platform should look at. Where nothing stands, the side says it. */
static const char *const advice[REASONS] = {
	[REASON_NO_TENANT] = "add the host to a tenant's `hosts`, or correct the name that leads here",
	[REASON_NO_ROUTE] = "`weir explain` with this URL shows which routes were tried",
	[REASON_MISDIRECTED] =
		"the client reused a connection for a host of another tenant; it should open a new one",
	[REASON_NO_POOL] = "give a pool of the service a weight above 0",
	[REASON_NO_BACKEND] =
		"look at the health of the pool's backends, and at what their last check met with",
	[REASON_LOOP] = "a backend sends its requests back to weir; correct its address",
	[REASON_OVERLOADED] = "raise limits.memory, or find out who holds so many bytes in flight",
	[REASON_PENDING_FULL] =
		"the backends are too slow for what comes: add some, or raise breaker.connections",
	[REASON_PENDING_TIMEOUT] =
		"the backends are too slow for what comes: add some, or raise breaker.connections",
	[REASON_BREAKER_REQUESTS] =
		"the backends are too slow for what comes: add some, or raise breaker.requests",
	[REASON_UPSTREAM_RESOLVE] = "check the name in DNS, and the resolver that this machine uses",
	[REASON_UPSTREAM_REFUSED] =
		"nothing listens at that address: is the backend running, and on that port?",
	[REASON_UPSTREAM_UNREACHABLE] = "check routes and firewalls between this machine and the backend",
	[REASON_UPSTREAM_CONNECT_TIMEOUT] =
		"packets to the backend are lost, or its queue of connections is full",
	[REASON_UPSTREAM_TLS] = "try `openssl s_client` against the backend; does it speak TLS on that port?",
	[REASON_UPSTREAM_TLS_VERIFY] = "compare the backend's certificate with tls.ca and tls.server_name",
	[REASON_UPSTREAM_ALPN] = "set `protocol` to what the backend speaks",
	[REASON_UPSTREAM_STALE] = "set timeouts.upstream_idle below the idle timeout of the backend",
	[REASON_UPSTREAM_RESET] = "the backend crashed or was stopped under the request: see its own log",
	[REASON_UPSTREAM_CLOSED] = "the backend crashed or was stopped under the request: see its own log",
	[REASON_UPSTREAM_TIMEOUT] = "the backend is slow: see its own log at that time, or raise "
				    "timeouts.response, or give the route a response_timeout of its own",
	[REASON_UPSTREAM_BODY_TIMEOUT] =
		"the backend stalled in the middle of its answer: see its own log at that time",
	[REASON_UPSTREAM_CUT_BODY] = "the backend stopped in the middle of its answer: see its own log",
	[REASON_DEADLINE] = "the backend took longer than the route's `timeout` allows",
};

static const char *advice_for(enum reason why)
{
	struct str side = reason_side(why);

	if (why == REASON_NONE)
		return "the backend itself answered with an error: see its own log";
	if (advice[why])
		return advice[why];
	if (str_eq(side, STR("client")))
		return "nothing is wrong here: it was the client";
	if (str_eq(side, STR("upstream")))
		return "see the backend's own log at that time";
	return "docs/reasons.md tells more";
}

static const char *phase_name(uint8_t phase)
{
	static const char *const names[EXCHANGE_STATES] = {
		[EXCHANGE_ROUTING] = "routing",
		[EXCHANGE_CONNECTING] = "connecting",
		[EXCHANGE_AWAITING] = "awaiting_response",
		[EXCHANGE_RELAYING] = "relaying_response",
		[EXCHANGE_REPLYING] = "replying",
		[EXCHANGE_ENDED] = "ended",
	};

	return names[phase];
}

static const char *version_name(uint8_t version)
{
	switch ((enum http_version)version) {
	case HTTP_1_0:
		return "HTTP/1.0";
	case HTTP_1_1:
		return "HTTP/1.1";
	case HTTP_2:
		return "HTTP/2";
	default:
		return NULL;
	}
}

/* -- members -- */

static void put(json_t *o, const char *name, struct str s)
{
	char clean[CAUSE_TEXT_MAX];
	json_t *value = json_stringn(s.p, s.n);

	if (s.n == 0) {
		json_decref(value);
		return;
	}
	if (!value) {
		for (size_t i = 0; i < s.n; i++)
			clean[i] = (unsigned char)s.p[i] < 0x80 ? s.p[i] : '?';
		value = json_stringn(clean, s.n);
	}
	json_object_set_new(o, name, value);
}

static void put_z(json_t *o, const char *name, const char *z)
{
	if (z)
		json_object_set_new(o, name, json_string(z));
}

static void put_ms(json_t *o, const char *name, uint64_t us)
{
	json_object_set_new(o, name, json_real((double)us / 1000));
}

static void put_reason(json_t *o, enum reason why)
{
	char name[REASON_NAME_MAX];

	put(o, "reason", reason_name(why, name));
	put(o, "side", reason_side(why));
	put(o, "text", reason_row(why)->text);
}

static void put_time(json_t *o, const char *name, uint64_t us)
{
	time_t second = (time_t)(us / 1000000);
	char text[40], whole[48];
	struct tm tm;

	gmtime_r(&second, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(whole, sizeof(whole), "%s.%03uZ", text, (unsigned)(us / 1000 % 1000));
	json_object_set_new(o, name, json_string(whole));
}

static json_t *attempt_json(const struct cause *c, const struct cause_attempt *a)
{
	json_t *o = json_object();

	put(o, "backend", cause_str(c, a->backend));
	put_reason(o, (enum reason)a->reason);
	put(o, "error", cause_str(c, a->error));
	put_z(o, "phase", phase_name(a->phase));
	put_ms(o, "at_ms", a->at_us);
	put_ms(o, "queue_ms", a->queue_us);
	put_ms(o, "connect_ms", a->connect_us);
	put_ms(o, "duration_ms", a->lasted_us);
	json_object_set_new(o, "reused_connection", json_boolean(a->reused));
	return o;
}

json_t *cause_json(const struct cause *c)
{
	json_t *o = json_object(), *attempts = json_array(), *modules = json_object();
	char name[CAUSE_TEXT_MAX + 1];

	put(o, "id", cause_str(c, c->id));
	put_time(o, "time", c->began_us);
	json_object_set_new(o, "status", json_integer(c->status));
	put_reason(o, (enum reason)c->reason);
	put_z(o, "phase", c->reason ? phase_name(c->phase) : "answered");
	put_z(o, "advice", advice_for((enum reason)c->reason));
	put(o, "tenant", cause_str(c, c->tenant));
	put(o, "service", cause_str(c, c->service));
	put(o, "pool", cause_str(c, c->pool));
	put(o, "backend", cause_str(c, c->backend));
	put(o, "route", cause_str(c, c->route));
	put(o, "listener", cause_str(c, c->listener));
	put(o, "client", cause_str(c, c->client));
	put(o, "method", cause_str(c, c->method));
	put(o, "host", cause_str(c, c->host));
	put(o, "path", cause_str(c, c->path));
	put_z(o, "protocol", version_name(c->version));
	put_z(o, "upstream_protocol", version_name(c->upstream_version));
	json_object_set_new(o, "tls", json_boolean(c->tls));
	json_object_set_new(o, "tunnel", json_boolean(c->tunnel));
	json_object_set_new(o, "panic", json_boolean(c->panic));
	json_object_set_new(o, "generation", json_integer((json_int_t)c->generation));
	put_ms(o, "duration_ms", c->duration_us);
	if (c->first_byte_us)
		put_ms(o, "first_byte_ms", c->first_byte_us);
	json_object_set_new(o, "bytes_in", json_integer((json_int_t)c->bytes_in));
	json_object_set_new(o, "bytes_out", json_integer((json_int_t)c->bytes_out));
	json_object_set_new(o, "attempts", json_integer(c->attempts));
	for (uint32_t i = 0; i < c->attempt_n; i++)
		json_array_append_new(attempts, attempt_json(c, &c->attempt[i]));
	json_object_set_new(o, "failed_attempts", attempts);
	for (uint32_t i = 0; i < c->field_n; i++) {
		snprintf(name, sizeof(name), STR_FMT, STR_ARG(cause_str(c, c->field[i].name)));
		put(modules, name, cause_str(c, c->field[i].value));
	}
	json_object_set_new(o, "modules", modules);
	return o;
}
