"""Active checks: who is asked how, who takes traffic when, and what a user notices of a backend that breaks."""
import ssl
import time

import pytest

from support import answers
from support.answers import Gate, hang, in_turn, reply
from support.config import pool, site
from support.http1 import build
from support.load import Load
from support.process_origin import ProcessOrigin
from support.wire import PATIENCE, eventually

QUICK = {"interval": "200ms", "timeout": "1s", "rise": 2, "fall": 2}
RETRIES = {"attempts": 3, "budget": "100%", "per_try_timeout": "1s", "on": ["connect", "reset", "refused_stream", "503", "timeout"]}


def checked(*backends, check=None, pools=None, service=None, top=None, **health):
    """A site whose service is checked: {"http": {...}} of /healthz, unless said otherwise."""
    health = {**(check or {"http": {"path": "/healthz"}}), **QUICK, **health}
    return site(*backends, pools=pools, service={"health": health, "retries": RETRIES, "balance": "round_robin", **(service or {})}, **(top or {}))


def key(backend, pool_name="blue"):
    return f"acme/shop/{pool_name}/{backend}"


def wait_state(proxy, backend, to, n=1, pool_name="blue"):
    return proxy.wait_event("health", n, backend=key(backend, pool_name), to=to)


def served(proxy, n=12):
    """Who answers."""
    return {proxy.get(f"/{i}").body.decode() for i in range(n)}


@pytest.fixture
def trio(started):
    three = [ProcessOrigin(n) for n in ("one", "two", "three")]
    started.extend(three)
    return three


@pytest.fixture
def shop(origin):
    return origin("shop")


# -- the kinds of check --

def serving(status, body=None):
    """The answer of grpc.health.v1.Health/Check."""
    message = (bytes([8, status]) if status else b"") if body is None else body
    return reply(200, b"\0" + len(message).to_bytes(4, "big") + message, {"content-type": "application/grpc"}, trailers=[("grpc-status", "0")])


def test_an_http_check_asks_what_it_was_told_to(edge, shop):
    proxy = edge(checked(shop, check={"http": {"path": "/up?deep=1", "host": "acme.test", "method": "HEAD"}}))
    wait_state(proxy, shop, "up")
    asked = shop.requests[0]
    assert (asked.method, asked.target, asked.header("host")) == ("HEAD", "/up?deep=1", "acme.test")
    assert asked.header("user-agent").startswith("weir-health/")


@pytest.mark.parametrize("protocol", ["http1", "h2c"])
def test_an_http_check_sends_the_headers_that_it_was_told_to(edge, origin, protocol):
    shop = origin("shop", protocol=protocol)
    headers = {"Authorization": "Bearer c2VjcmV0", "X-Check": "edge", "User-Agent": "watchman"}
    proxy = edge(checked(shop, check={"http": {"path": "/healthz", "headers": headers}}, service={"protocol": protocol}))
    wait_state(proxy, shop, "up")
    asked = shop.requests[0]
    assert [asked.header(n) for n in ("authorization", "x-check", "user-agent")] == list(headers.values())


def test_without_a_host_it_names_the_address(edge, shop):
    wait_state(edge(checked(shop)), shop, "up")
    assert shop.requests[0].header("host") == str(shop)


@pytest.mark.parametrize("status, good", [("200-399", 399), ("204", 204), ([200, "418"], 418)])
def test_a_status_that_is_listed_passes(edge, shop, status, good):
    shop.on("/healthz", reply(good))
    wait_state(edge(checked(shop, check={"http": {"path": "/healthz", "status": status}})), shop, "up")


FAILURES = {
    "another status": (reply(500), "check_status"),
    "a redirect that is not listed": (reply(302), "check_status"),
    "garbage": (answers.raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "upstream_bad_response"),
    "a reset": (answers.reset_at_once, "upstream_reset"),
    "a reset in the head": (answers.raw(b"HTTP/1.1 200 OK\r\nContent-Len", then="reset"), "upstream_reset"),
    "a close": (answers.close_at_once, "upstream_closed"),
    "silence": (hang, "check_timeout"),
    "half a head": (answers.raw(b"HTTP/1.1 200 OK\r\n", then="hang"), "check_timeout"),
}


@pytest.mark.parametrize("what", FAILURES)
def test_what_is_no_pass_says_why(edge, shop, what):
    answer, reason = FAILURES[what]
    shop.on("/healthz", answer)
    event = wait_state(edge(checked(shop, check={"http": {"path": "/healthz", "status": 200}}, timeout="300ms")), shop, "down")
    assert event["reason"] == reason and event["from"] == "checking" and event["probe_ms"] >= 0
    assert event["level"] == "warning"


def test_a_refused_connection_is_down(edge, refused_port):
    assert wait_state(edge(checked(refused_port)), refused_port, "down")["reason"] == "upstream_refused"


def test_a_connection_that_is_never_made_is_down_after_the_timeout(edge, silent_port):
    assert wait_state(edge(checked(silent_port, timeout="300ms")), silent_port, "down")["reason"] == "check_timeout"


def test_the_body_is_searched_across_its_parts(edge, origin):
    good, bad = origin("good"), origin("bad")
    good.on("/healthz", reply(200, stream=True, pieces=[b'{"status": "rea', b'dy"}']))
    bad.on("/healthz", reply(200, b'{"status": "starting"}'))
    proxy = edge(checked(good, bad, check={"http": {"path": "/healthz", "body": '"ready"'}}))
    wait_state(proxy, good, "up")
    assert wait_state(proxy, bad, "down")["reason"] == "check_body"


@pytest.mark.parametrize("spoken", ["h2c", "h2 over TLS", "http1 over TLS"])
def test_the_body_is_searched_over_every_protocol(edge, origin, pki, spoken):
    def context():
        return pki.server_context(pki.server("shop.test"), alpn=("h2" if spoken.startswith("h2") else "http/1.1",))
    made = {"protocol": "h2c"} if spoken == "h2c" else {"tls": context()}
    good, bad = origin("good", **made), origin("bad", **made)
    good.on("/healthz", reply(200, pieces=[b"re", b"ady"]))
    bad.on("/healthz", reply(200, b"read"))
    service = {"protocol": "h2c"} if spoken == "h2c" else {"protocol": "auto", "tls": {"ca": pki.file, "server_name": "shop.test"}}
    proxy = edge(checked(good, bad, check={"http": {"path": "/healthz", "body": "ready"}}, service=service))
    wait_state(proxy, good, "up")
    assert wait_state(proxy, bad, "down")["reason"] == "check_body"


def test_a_body_that_never_ends_is_a_pass_all_the_same(edge, shop):
    shop.on("/healthz", answers.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx", then="hang"))
    proxy = edge(checked(shop, interval="300ms"))
    wait_state(proxy, shop, "up")
    shop.wait_count(4)
    assert len(proxy.events("health")) == 1


def test_an_http_check_over_h2c(edge, origin):
    shop = origin("shop", protocol="h2c")
    proxy = edge(checked(shop, service={"protocol": "h2c"}))
    wait_state(proxy, shop, "up")
    shop.wait_count(3)
    assert proxy.get("/").status == 200


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
def test_an_http_check_over_tls(edge, origin, pki, alpn):
    shop = origin("shop", tls=pki.server_context(pki.server("shop.test"), alpn=(alpn,)))
    tls = {"ca": pki.file, "server_name": "shop.test"}
    proxy = edge(checked(shop, service={"tls": tls, "protocol": "auto"}))
    wait_state(proxy, shop, "up")
    assert proxy.get("/").status == 200


def test_a_certificate_that_traffic_would_refuse_is_down_and_says_why(edge, origin, pki, stranger):
    shop = origin("shop", tls=stranger.server_context(stranger.server("shop.test")))
    event = wait_state(edge(checked(shop, service={"tls": {"ca": pki.file, "server_name": "shop.test"}})), shop, "down")
    assert event["reason"] == "upstream_tls_verify" and "certificate" in event["detail"]


def test_a_tcp_check_is_content_with_a_connection(edge, shop):
    proxy = edge(checked(shop, check={"tcp": {}}))
    wait_state(proxy, shop, "up")
    assert shop.count == 0 and proxy.get("/").status == 200


@pytest.mark.parametrize("spoken", ["tls", "plain"])
def test_a_tls_check_wants_a_handshake(edge, origin, pki, spoken):
    """Where requests go in the clear nothing is known of the certificate; a handshake it must be all the same."""
    shop = origin("shop", tls=pki.server_context(pki.server("shop.test")))
    service = {"tls": {"ca": pki.file, "server_name": "shop.test"}} if spoken == "tls" else {}
    wait_state(edge(checked(shop, check={"tls": {}}, service=service)), shop, "up")
    assert not shop.handshakes_failed


def test_a_tls_check_of_a_plain_backend_is_down(edge, shop):
    proxy = edge(checked(shop, check={"tls": {}}, timeout="500ms"))
    assert wait_state(proxy, shop, "down")["reason"] in ("upstream_tls", "check_timeout")
    shop.complaints.clear()  # it was shown a ClientHello


def test_a_grpc_check_names_the_service_and_reads_the_answer(edge, origin):
    shop = origin("shop", protocol="h2c")
    shop.always(serving(1))
    proxy = edge(checked(shop, check={"grpc": {"service": "shop.Orders"}}, service={"protocol": "h2c"}))
    wait_state(proxy, shop, "up")
    asked = shop.requests[0]
    assert (asked.method, asked.target) == ("POST", "/grpc.health.v1.Health/Check")
    assert asked.body == b"\0\0\0\0\x0d\x0a\x0bshop.Orders" and asked.header("te") == "trailers"
    shop.always(serving(2))
    event = wait_state(proxy, shop, "down")
    assert event["reason"] == "check_grpc" and event["detail"] == "NOT_SERVING"
    shop.always(serving(1))
    wait_state(proxy, shop, "up", n=2)


def test_a_grpc_check_names_a_long_service_in_full(edge, origin):
    shop, name = origin("shop", protocol="h2c"), "acme.orders.v1." + "Order" * 60
    shop.always(serving(1))
    wait_state(edge(checked(shop, check={"grpc": {"service": name}}, service={"protocol": "h2c"})), shop, "up")
    assert len(name) == 315  # three bytes of tag and length before it, which are 0x0a and 315 as 0x3b + 0x02 * 128
    assert shop.requests[0].body == b"\0" + (318).to_bytes(4, "big") + b"\x0a\xbb\x02" + name.encode()


def test_a_grpc_check_over_tls(edge, origin, pki):
    shop = origin("shop", tls=pki.server_context(pki.server("shop.test"), alpn=("h2",)))
    shop.always(serving(1))
    proxy = edge(checked(shop, check={"grpc": {}}, service={"protocol": "h2", "tls": {"ca": pki.file, "server_name": "shop.test"}}))
    wait_state(proxy, shop, "up")
    shop.always(serving(2))
    assert wait_state(proxy, shop, "down")["detail"] == "NOT_SERVING"


GRPC = {
    "a status of nothing": (serving(0), "UNKNOWN"),
    "a service that is not known": (reply(200, headers={"content-type": "application/grpc"}, stream=True,
                                          trailers=[("grpc-status", "5"), ("grpc-message", "unknown service")]), "grpc-status 5 unknown service"),
    "no message": (reply(200, b""), ""),
    "a web page": (reply(200, b"<html>hello, world"), ""),
}


@pytest.mark.parametrize("what", GRPC)
def test_a_grpc_answer_that_is_not_serving(edge, origin, what):
    answer, detail = GRPC[what]
    shop = origin("shop", protocol="h2c")
    shop.always(answer)
    event = wait_state(edge(checked(shop, check={"grpc": {}}, service={"protocol": "h2c"})), shop, "down")
    assert event["reason"] == "check_grpc" and event.get("detail", "") == detail


def test_a_backend_that_expects_the_proxy_protocol_gets_it_from_checks_too(edge, origin):
    def read_header(sock):
        line = b""
        while not line.endswith(b"\r\n"):
            line += sock.recv(1)
        return line
    shop = origin("shop", prelude=read_header)
    proxy = edge(checked(shop, service={"proxy_protocol": "v1"}))
    wait_state(proxy, shop, "up")
    assert shop.preludes[0] == b"PROXY UNKNOWN\r\n"


# -- before the first pass --

def test_a_new_backend_takes_traffic_only_after_its_first_pass(edge, origin):
    old, new = origin("old"), origin("new")
    gate = new.on("/healthz", Gate(reply(200)))
    proxy = edge(checked(old, timeout="30s"))
    wait_state(proxy, old, "up")
    proxy.reload(checked(old, new, timeout="30s"))
    gate.wait_arrived()
    assert served(proxy) == {"old"}
    gate.open()
    wait_state(proxy, new, "up")
    eventually(lambda: "new" in served(proxy, 4), "the new backend to take its share")


def test_requests_wait_for_the_first_pass(edge, shop):
    gate = shop.on("/healthz", Gate(reply(200)))
    proxy = edge(checked(shop, timeout="30s"))
    with proxy.connect() as c, proxy.connect2() as c2:
        c.send(build("GET", "/waits"))
        sid = c2.start(path="/waits")
        gate.wait_arrived()
        assert not proxy.access_log()
        gate.open()
        assert c.response().body == b"shop" and c2.response(sid).body == b"shop"


def test_requests_wait_no_longer_than_the_pending_timeout_whatever_happens_elsewhere(edge, origin):
    """Every change of health lets those who wait look again; that does not begin their time anew."""
    shop, flapping = origin("shop"), origin("flapping")
    shop.on("/healthz", hang)
    flapping.on("/healthz", in_turn(*[reply(s) for _ in range(400) for s in (200, 500)]))
    conf = checked(shop, timeout="60s", service={"breaker": {"pending_timeout": "1s"}})
    conf["tenants"]["acme"]["services"]["other"] = {"health": {"http": {"path": "/healthz"}, "interval": "100ms", "rise": 1, "fall": 1},
                                                    "pools": {"blue": pool(flapping)}}
    conf["tenants"]["acme"]["routes"] = [{"path": "/", "service": "shop"}, {"path": "/other", "service": "other"}]
    proxy = edge(conf)
    begun = time.monotonic()
    assert proxy.get("/").status == 503
    assert 0.9 < time.monotonic() - begun < PATIENCE / 2
    assert proxy.logged()["reason"] == "no_backend"
    eventually(lambda: len(proxy.events("health")) > 3, "the other to have changed meanwhile")


def test_requests_wait_no_longer_when_the_last_hope_is_gone(edge, shop):
    """Nobody is up and nobody will be: the checks are then no longer a guide, and the request is tried all the same."""
    shop.on("/healthz", reply(500))
    proxy = edge(checked(shop))
    assert proxy.get("/").body == b"shop"
    assert proxy.wait_event("panic")["on"] is True


def test_requests_that_wait_are_served_when_the_checks_are_taken_away(edge, shop):
    gate = shop.on("/healthz", Gate(reply(200)))
    conf = checked(shop, timeout="60s", service={"breaker": {"pending_timeout": "60s"}})
    proxy = edge(conf)
    with proxy.connect() as c:
        c.send(build("GET", "/waits"))
        gate.wait_arrived()
        proxy.reload(site(shop))
        assert c.response().body == b"shop"


# -- a backend breaks under load --

def break_one(edge, trio, fault, recover, reason):
    proxy = edge(checked(*trio))
    for b in trio:
        wait_state(proxy, b, "up")
    with Load(proxy.address()) as load:
        load.wait_more(100)
        fault(trio[1])
        event = wait_state(proxy, trio[1], "down")
        assert event["reason"] in reason, event
        load.wait_more(200)
        recover(trio[1])
        wait_state(proxy, trio[1], "up", n=2)
        load.wait_more(100)
    assert not load.failures
    eventually(lambda: any(b"two" in proxy.get("/").body for _ in range(6)), "the share of the one that came back")


def test_one_of_three_is_killed_and_no_request_fails(edge, trio):
    break_one(edge, trio, ProcessOrigin.kill, ProcessOrigin.start, {"upstream_refused", "upstream_reset"})


def test_one_of_three_freezes_and_no_request_fails(edge, trio):
    break_one(edge, trio, ProcessOrigin.freeze, ProcessOrigin.thaw, {"check_timeout"})


def break_answers(edge, origin, fault, check):
    backends = [origin(n) for n in ("one", "two", "three")]
    proxy = edge(checked(*backends))
    for b in backends:
        wait_state(proxy, b, "up")
    with Load(proxy.address(), check=check) as load:
        load.wait_more(100)
        backends[1].always(fault)
        event = wait_state(proxy, backends[1], "down")
        load.wait_more(50)  # those that were on their way
        before, load.check = backends[1].count, lambda r: r.status == 200
        load.wait_more(200)
        backends[1].always(reply(200, b"two"))
        wait_state(proxy, backends[1], "up", n=2)
        eventually(lambda: any(proxy.get("/").body == b"two" for _ in range(6)), "its share")
    assert not load.failures
    asked_while_down = [r for r in backends[1].requests[before:] if r.target != "/healthz"]
    assert event["pool_up"] == 2 and asked_while_down  # it was asked again once it was up
    return event


def test_one_of_three_answers_500_and_none_is_seen_once_it_is_down(edge, origin):
    assert break_answers(edge, origin, reply(500, b"broken"), lambda r: r.status in (200, 500))["status"] == 500


def test_one_of_three_resets_in_the_head_and_no_request_fails(edge, origin):
    fault = answers.raw(b"HTTP/1.1 200 OK\r\nContent-Len", then="reset")
    assert break_answers(edge, origin, fault, lambda r: r.status == 200)["reason"] == "upstream_reset"


def test_flapping_is_damped(edge, shop, origin):
    """One failure between passes is no fall, one pass between failures no rise."""
    other = origin("other")
    proxy = edge(checked(shop, other, rise=2, fall=2))
    wait_state(proxy, shop, "up")
    shop.on("/healthz", in_turn(*[reply(s) for _ in range(6) for s in (500, 200)], reply(500)))
    event = wait_state(proxy, shop, "down")
    probes = sum(r.target == "/healthz" for r in shop.requests)
    assert probes >= 13 and len([e for e in proxy.events("health") if e["backend"] == key(shop)]) == 2
    assert event["status"] == 500
    shop.on("/healthz", in_turn(*[reply(s) for _ in range(3) for s in (200, 500)], reply(200)))
    wait_state(proxy, shop, "up", n=2)
    assert sum(r.target == "/healthz" for r in shop.requests) >= probes + 8


def test_a_backend_that_may_be_changing_is_asked_more_often(edge, shop):
    proxy = edge(checked(shop, interval="4s", fall=4))
    wait_state(proxy, shop, "up")
    shop.on("/healthz", reply(500))
    begun = time.monotonic()
    wait_state(proxy, shop, "down")
    assert time.monotonic() - begun < 13  # 4.5 + 3 * 1.5; at the old interval it would be 16 at least


def test_a_connection_is_kept_between_checks_and_its_loss_is_no_failure(edge, shop):
    proxy = edge(checked(shop, interval="100ms", fall=1))
    wait_state(proxy, shop, "up")
    shop.wait_count(6)
    assert len(shop.connections) == 1
    for _ in range(5):
        seen = shop.count
        shop.drop_connections(hard=True)
        shop.wait_count(seen + 2)
    assert len(proxy.events("health")) == 1


def test_a_backend_that_keeps_no_connection_is_asked_over_new_ones(edge, shop):
    shop.on("/healthz", reply(200, close=True))
    proxy = edge(checked(shop, interval="100ms", fall=1))
    shop.wait_count(6)
    assert len(shop.connections) >= 6 and [e["to"] for e in proxy.events("health")] == ["up"]


# -- pools --

def test_pools_that_check_alike_ask_an_address_once(edge, shop):
    pools = {n: pool(shop, weight=1) for n in ("blue", "green", "red")}
    proxy = edge(checked(pools=pools, interval="2s"))
    for name in pools:
        wait_state(proxy, shop, "up", pool_name=name)
    assert shop.count == 1


def test_pools_that_send_other_headers_ask_for_themselves(edge, shop):
    pools = {n: pool(shop, weight=1, health={"http": {"headers": {"X-Check": n}}}) for n in ("blue", "green")}
    proxy = edge(checked(pools=pools, interval="2s"))
    for name in pools:
        wait_state(proxy, shop, "up", pool_name=name)
    assert {r.header("x-check") for r in shop.requests} == {"blue", "green"}


def test_when_most_of_a_pool_is_down_all_are_tried(edge, origin):
    backends = [origin(f"b{i}") for i in range(4)]
    proxy = edge(checked(*backends))
    for b in backends:
        wait_state(proxy, b, "up")
    for b in backends[:2]:
        b.on("/healthz", reply(503))
        wait_state(proxy, b, "down")
    assert not proxy.events("panic")
    eventually(lambda: served(proxy) == {"b2", "b3"}, "only the two that are up")
    backends[2].on("/healthz", reply(503))
    assert wait_state(proxy, backends[2], "down")["panic"] is True
    event = proxy.wait_event("panic")
    assert (event["pool"], event["on"], event["pool_up"], event["pool_size"]) == ("acme/shop/blue", True, 1, 4)
    assert served(proxy) == {"b0", "b1", "b2", "b3"}
    backends[0].on("/healthz", reply(200))
    assert proxy.wait_event("panic", 2)["on"] is False
    assert served(proxy) == {"b0", "b3"}


def test_a_threshold_of_0_never_panics(edge, shop):
    proxy = edge(checked(shop, service={"panic_threshold": "0%"}))
    shop.on("/healthz", reply(503))
    wait_state(proxy, shop, "down")
    eventually(lambda: proxy.get("/").status == 503, "the worker to see it")
    assert proxy.logged(status=503)["reason"] == "no_backend" and not proxy.events("panic")


def two_pools(blue, green, spill=True):
    return checked(pools={"blue": pool(blue, weight=1, spill=spill), "green": pool(green, weight=1)})


def test_a_pool_with_nobody_up_gives_its_share_to_the_others(edge, origin):
    blue, green = origin("blue"), origin("green")
    proxy = edge(two_pools(blue, green))
    wait_state(proxy, blue, "up")
    wait_state(proxy, green, "up", pool_name="green")
    assert served(proxy) == {"blue", "green"}
    blue.on("/healthz", reply(503))
    event = proxy.wait_event("pool_empty")
    assert event["pool"] == "acme/shop/blue" and event["spills"] is True
    eventually(lambda: served(proxy) == {"green"}, "all of it to go to green")
    blue.on("/healthz", reply(200))
    proxy.wait_event("pool_up", pool="acme/shop/blue", n=2)
    eventually(lambda: served(proxy) == {"blue", "green"}, "blue's share to return")


def test_spill_false_keeps_a_pools_share(edge, origin):
    """In the one pool that was meant for it, even if that means to disbelieve the checks."""
    blue, green = origin("blue"), origin("green")
    proxy = edge(two_pools(blue, green, spill=False))
    wait_state(proxy, blue, "up")
    wait_state(proxy, green, "up", pool_name="green")
    blue.on("/healthz", reply(503))
    assert proxy.wait_event("pool_empty")["spills"] is False
    assert served(proxy) == {"blue", "green"}


def test_when_no_pool_has_anybody_up_all_are_tried(edge, origin):
    blue, green = origin("blue"), origin("green")
    for b in (blue, green):
        b.on("/healthz", reply(503))
    proxy = edge(two_pools(blue, green))
    wait_state(proxy, blue, "down")
    wait_state(proxy, green, "down", pool_name="green")
    eventually(lambda: served(proxy) == {"blue", "green"}, "both to be tried")


# -- reload --

def test_a_backend_that_is_down_stays_down_over_reloads(edge, origin):
    good, bad = origin("good"), origin("bad")
    bad.on("/healthz", reply(500))
    proxy = edge(checked(good, bad))
    wait_state(proxy, good, "up")
    wait_state(proxy, bad, "down")
    for i in range(20):
        proxy.reload(checked(good, bad, top={"limits": {"header_count": 60 + i}}))
        assert served(proxy, 4) == {"good"}
    assert len(proxy.events("health")) == 2


def test_another_way_of_checking_keeps_what_is_known(edge, origin):
    good, bad = origin("good"), origin("bad")
    bad.always(reply(500))
    proxy = edge(checked(good, bad))
    wait_state(proxy, good, "up")
    wait_state(proxy, bad, "down")
    for i in range(5):
        proxy.reload(checked(good, bad, check={"http": {"path": f"/healthz/{i}"}}))
        assert served(proxy, 4) == {"good"}
        eventually(lambda: any(r.target == f"/healthz/{i}" for r in good.requests), "the new check")
    assert len(proxy.events("health")) == 2


def test_reloads_while_checks_are_under_way(edge, origin):
    """A hundred configurations, each with other backends and another check, none of which has answered when the next one comes."""
    backends = [origin(f"b{i}") for i in range(4)]
    for b in backends:
        b.on("/slow", hang)
    proxy = edge(checked(backends[0]))
    wait_state(proxy, backends[0], "up")
    for i in range(40):
        path = "/slow" if i % 3 else "/healthz"
        proxy.reload(checked(backends[0], backends[1 + i % 3], check={"http": {"path": path}}, timeout="30s",
            top={"limits": {"header_count": 60 + i}}))
        assert proxy.get("/").status == 200
    proxy.reload(checked(*backends))
    for b in backends:
        eventually(lambda: b.name in served(proxy), f"{b.name} to be up")


def test_checks_that_are_taken_away_leave_all_up(edge, origin):
    good, bad = origin("good"), origin("bad")
    bad.on("/healthz", reply(500))
    proxy = edge(checked(good, bad))
    wait_state(proxy, bad, "down")
    proxy.reload(site(good, bad, service={"balance": "round_robin"}))
    assert served(proxy) == {"good", "bad"}
    count = bad.count
    proxy.reload(checked(good, bad))
    assert served(proxy) <= {"good", "bad"}
    wait_state(proxy, bad, "down", n=2)
    assert bad.count > count


def test_a_shorter_interval_counts_at_once(edge, shop):
    proxy = edge(checked(shop, interval="1h"))
    wait_state(proxy, shop, "up")
    proxy.reload(checked(shop, interval="200ms"))
    shop.wait_count(4)


# -- names --

def test_a_name_is_checked_at_its_addresses(edge, shop):
    proxy = edge(checked(f"dns:localhost:{shop.port}"))
    wait_state(proxy, shop, "up")
    assert proxy.get("/").body == b"shop" and shop.requests[0].header("host") == "localhost"
