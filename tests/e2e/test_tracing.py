"""Module tracing: the context that backends get, the spans that a collector gets, and what becomes of them when it cannot take them."""
import json
import re
import time

import pytest

from support import websocket
from support.answers import close_at_once, hang, in_turn, raw, reply, Gate
from support.collector import TAKEN, Collector
from support.config import https, site
from support.edge import run
from support.http1 import build
from support.prometheus import scrape
from support.websocket import OverHttp1, OverHttp2
from support.wire import eventually

SERVER, CLIENT, INTERNAL = 2, 3, 1
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def collector(origin):
    return Collector(origin("collector"))


def traced(*origins, collector, tenant=None, routes=None, service=None, **keys):
    url = collector if isinstance(collector, str) else collector.url
    return site(*origins, modules={"tracing": {"endpoint": url, "sample": "100%", "interval": "100ms", **keys}},
                routes=routes, service=service, tenant=tenant)


def context(request):
    """(trace, parent, sampled) that a backend was given."""
    [value] = request.headers.all("traceparent")
    m = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-(00|01)", value)
    assert m, value
    return m[1], m[2], m[3] == "01"


def counted(proxy, what, event):
    return scrape(proxy).value("weir_module_events_total", module="tracing", place="", what=what, event=event)


@pytest.mark.parametrize("kind, method, status", [(OverHttp1, "GET", 101), (OverHttp2, "CONNECT", 200)])
def test_a_websocket_is_told_of_as_its_client_spoke(edge, origin, collector, kind, method, status):
    blue = origin("blue")
    blue.on("/ws", websocket.echo())
    proxy = edge(traced(blue, collector=collector))
    kind(proxy.connect() if kind is OverHttp1 else proxy.connect2(), "/ws").close()
    [server] = collector.wait()
    assert (server.name, server["http.request.method"], server["http.response.status_code"]) == (f"{method} /", method, status)


def test_a_request_becomes_a_trace_whose_parts_fit_together(edge, origin, collector):
    blue = origin("blue")
    proxy = edge(traced(blue, collector=collector, resource={"deployment.environment": "test"}, headers={"Authorization": "Bearer x"}))
    proxy.get("/a/b?secret=1", headers={"User-Agent": "probe \"7\""})
    [server] = collector.wait()
    [client] = collector.children(server, CLIENT)
    assert server.parent is None and server.name == "GET /" and client.name == "GET"
    assert context(blue.last) == (server.trace, client.id, True)
    assert server["http.request.method"] == "GET" and server["url.path"] == "/a/b" and server["url.scheme"] == "http"
    assert server["http.response.status_code"] == client["http.response.status_code"] == 200
    assert server["http.route"] == "/" and server["server.address"] == "acme.test" and server["client.address"] == "127.0.0.1"
    assert server["user_agent.original"] == 'probe "7"' and server["network.protocol.version"] == "1.1"
    assert (server["weir.tenant"], server["weir.service"], server["weir.pool"]) == ("acme", "shop", "blue")
    assert client["server.address"] == "127.0.0.1" and client["server.port"] == blue.port
    assert server["error.type"] is None and server.status == {}
    assert server.begun <= client.begun <= client.ended <= server.ended
    assert abs(server.begun / 1e9 - time.time()) < 60
    assert server.resource["service.name"] == "weir" and server.resource["deployment.environment"] == "test"
    assert collector.messages[0].header("authorization") == "Bearer x"
    line = proxy.logged(status=200)
    assert line["trace_id"] == server.trace and line["span_id"] == server.id and line["id"] == server["weir.request_id"]
    assert "secret" not in collector.messages[0].body.decode()


def test_a_trace_that_the_client_has_begun_is_continued(edge, origin, collector):
    blue = origin()
    proxy = edge(traced(blue, collector=collector, sample="0%"))
    proxy.get("/", headers=[("traceparent", PARENT), ("tracestate", "a=1"), ("Tracestate", "b=2, c=3")])
    [server] = collector.wait()
    assert server.trace == TRACE and server.parent == SPAN and server.state == "a=1,b=2, c=3"
    trace, parent, sampled = context(blue.last)
    assert trace == TRACE and sampled and parent not in (SPAN, server.id)
    assert blue.last.headers.all("tracestate") == ["a=1,b=2, c=3"]
    proxy.get("/", headers={"traceparent": PARENT[:-1] + "0"})
    assert context(blue.last)[0] == TRACE and not context(blue.last)[2]
    assert proxy.logged(n=2, trace_id=TRACE)
    assert len(collector.wait()) == 1


@pytest.mark.parametrize("bad", [
    "", "garbage", PARENT[:-1], PARENT.upper(), PARENT + "-", PARENT.replace("00-", "ff-", 1), f"00-{'0' * 32}-{SPAN}-01",
    f"00-{TRACE}-{'0' * 16}-01", PARENT.replace("-", "_"), PARENT + "0",
])
def test_what_is_no_context_begins_a_new_trace(edge, origin, collector, bad):
    blue = origin()
    proxy = edge(traced(blue, collector=collector))
    proxy.get("/", headers={"traceparent": bad, "tracestate": "a=1"})
    [server] = collector.wait()
    assert server.trace != TRACE and server.parent is None and server.state == ""
    assert context(blue.last)[0] == server.trace and blue.last.header("tracestate") is None


def test_two_contexts_are_none_and_a_later_version_is_read_as_far_as_it_is_known(edge, origin, collector):
    blue = origin()
    proxy = edge(traced(blue, collector=collector))
    proxy.get("/", headers=[("traceparent", PARENT), ("traceparent", PARENT)])
    assert context(blue.last)[0] != TRACE
    proxy.get("/", headers={"traceparent": "cc" + PARENT[2:] + "-more"})
    assert context(blue.last)[0] == TRACE


@pytest.mark.parametrize("parent, trace, told", [("follow", True, True), ("continue", True, False), ("ignore", False, False)])
def test_how_far_a_client_is_believed_is_for_the_configuration_to_say(edge, origin, collector, parent, trace, told):
    blue = origin()
    proxy = edge(traced(blue, collector=collector, sample="0%", parent=parent))
    proxy.get("/", headers={"traceparent": PARENT})
    assert (context(blue.last)[0] == TRACE, context(blue.last)[2]) == (trace, told)


def test_a_share_of_traces_is_told_and_the_same_on_every_node(edge, origin, collector):
    blue = origin()
    nodes = [edge(traced(blue, collector=collector, sample="30%", parent="continue")) for _ in range(2)]
    traces = [f"00-{i:016x}{(i * 0x9E3779B97F4A7C15) % 2**64:016x}-{SPAN}-01" for i in range(1, 101)]
    sampled = [[], []]
    for i, node in enumerate(nodes):
        for t in traces:
            node.get("/", headers={"traceparent": t})
            sampled[i].append(context(blue.last)[2])
    assert sampled[0] == sampled[1] and 20 <= sampled[0].count(True) <= 40
    assert len(collector.wait(2 * sampled[0].count(True))) == 2 * sampled[0].count(True)


def test_failures_are_told_though_they_are_not_among_the_sample(edge, origin, collector):
    blue = origin()
    blue.on("/bad", reply(500, "no"))
    proxy = edge(traced(blue, collector=collector, sample="0%", errors=True))
    proxy.get("/")
    proxy.get("/bad")
    [server] = collector.wait()
    assert server["http.response.status_code"] == 500 and server["error.type"] == "500" and server.status["code"] == 2
    assert not context(blue.last)[2]


def test_each_attempt_is_a_span_and_the_backend_that_answers_has_its_own_parent(edge, origin, collector):
    bad, good = origin("bad"), origin("good")
    bad.always(close_at_once)
    proxy = edge(traced(bad, good, collector=collector, service={"balance": "round_robin", "retries": {"attempts": 2}}), workers=1)
    for _ in range(2):
        assert proxy.get("/").status == 200
    server = next(s for s in collector.wait(2) if s["weir.attempts"] == 2)
    first, second = collector.children(server, CLIENT)
    assert first["server.port"] == bad.port and first["error.type"] == "upstream_closed" and first.status["code"] == 2
    assert second["server.port"] == good.port and second["http.request.resend_count"] == 1 and second["error.type"] is None
    assert first.id in [context(r)[1] for r in bad.requests]
    assert second.id in [context(r)[1] for r in good.requests] and first.ended <= second.ended
    assert server["error.type"] is None


def test_what_weir_itself_answers_has_a_reason(edge, origin, refused_port, collector):
    proxy = edge(traced(refused_port, collector=collector))
    r = proxy.get("/")
    assert r.status == 502
    [server] = collector.wait()
    [client] = collector.children(server, CLIENT)
    assert server["error.type"] == server["weir.reason"] == client["error.type"] == "upstream_refused"
    assert server["http.response.status_code"] == 502 and client["http.response.status_code"] is None
    proxy.get("/", host="nobody.test")
    nobody = collector.wait(2)[1]
    assert nobody["http.response.status_code"] == 404 and nobody["error.type"] is None and nobody["weir.reason"] == "no_tenant"
    assert nobody.name == "GET"


def test_why_and_the_log_name_the_trace(edge, refused_port, collector):
    proxy = edge(traced(refused_port, collector=collector))
    r = proxy.get("/", headers={"traceparent": PARENT})
    assert f"trace_id={TRACE}" in proxy.cli("why", r.header("x-request-id")).out
    record = json.loads(proxy.cli("why", r.header("x-request-id"), "--json").out)
    assert record["modules"] == {"trace_id": TRACE, "span_id": proxy.logged(trace_id=TRACE)["span_id"]}


def test_waiting_in_a_queue_is_a_part_of_the_trace(edge, origin, collector):
    blue = origin()
    gate = blue.on("/slow", Gate())
    breaker = {"backend_requests": 1, "pending": 10, "pending_timeout": "30s"}
    proxy = edge(traced(blue, collector=collector, tenant={"limits": {"queue": 10}},
                        service={"breaker": breaker, "retries": {"attempts": 1}}), workers=1)
    first, second = proxy.connect(), proxy.connect()
    first.send(build("GET", "/slow"))
    gate.wait_arrived()
    second.send(build("GET", "/next"))
    eventually(lambda: scrape(proxy).value("weir_tenant_requests_waiting", tenant="acme") == 1, "it waits")
    gate.open()
    assert first.response().status == second.response().status == 200
    slow, after = collector.wait(2)
    [queue] = collector.children(after, INTERNAL)
    [client] = collector.children(after, CLIENT)
    assert queue.name == "queue" and after.begun <= queue.begun < queue.ended <= client.begun
    assert collector.children(slow, INTERNAL) == []


def test_the_handshake_comes_with_the_first_request_of_its_connection(edge, origin, collector, acme_cert, pki):
    conf = traced(origin(), collector=collector)
    conf["listeners"] = {"https": https(acme_cert)}
    proxy = edge(conf)
    with proxy.connect("https", tls=pki.client_context(), sni="acme.test") as c:
        for _ in range(2):
            assert c.get("/").status == 200
    first, second = collector.wait(2)
    [handshake] = collector.children(first, INTERNAL)
    assert handshake.name == "tls handshake" and handshake.begun <= handshake.ended <= first.begun
    assert collector.children(second, INTERNAL) == [] and first["url.scheme"] == "https"


@pytest.mark.parametrize("status, headers", [(503, {"Retry-After": "1"}), (429, {}), (502, {}), (504, {})])
def test_what_the_collector_cannot_take_now_is_sent_again(edge, origin, collector, status, headers):
    collector.answer(in_turn(reply(status, "later", headers), TAKEN))
    proxy = edge(traced(origin(), collector=collector))
    proxy.get("/")
    eventually(lambda: len(collector.messages) == 2, "sent again")
    first, second = collector.messages
    assert first.body == second.body
    eventually(lambda: counted(proxy, "spans", "sent") == 2, "counted")
    assert counted(proxy, "spans", "failed") == 0


@pytest.mark.parametrize("answer", [reply(400, "no"), reply(401, "who?"), reply(500, "bug"), reply(307, "", {"Location": "/x"})])
def test_what_the_collector_refuses_is_counted_and_forgotten(edge, origin, collector, answer):
    collector.answer(in_turn(answer, TAKEN))
    proxy = edge(traced(origin(), collector=collector))
    proxy.get("/")
    eventually(lambda: counted(proxy, "spans", "failed") == 2, "given up")
    proxy.get("/")
    eventually(lambda: counted(proxy, "spans", "sent") == 2, "the next goes well")
    assert len(collector.messages) == 2


def test_what_it_takes_in_part_is_counted_so(edge, origin, collector):
    collector.answer(reply(200, b'{"partialSuccess": {"rejectedSpans": "1", "errorMessage": "too old"}}', {"Content-Type": "application/json"}))
    proxy = edge(traced(origin(), collector=collector))
    proxy.get("/")
    eventually(lambda: counted(proxy, "spans", "rejected") == 1 and counted(proxy, "spans", "sent") == 1, "one of two")


@pytest.mark.parametrize("answer", [raw(b"what?\r\n\r\n"), close_at_once, hang, reply(200, b"x" * 100000), reply(200, b"\xff{")])
def test_a_collector_that_talks_nonsense_or_nothing_hurts_nobody(edge, origin, collector, answer):
    collector.answer(answer)
    collector.origin.complaints = []
    proxy = edge(traced(origin(), collector=collector, timeout="200ms"))
    for _ in range(20):
        assert proxy.get("/").status == 200
    eventually(lambda: collector.messages, "it was asked")


def test_without_a_collector_the_newest_are_dropped_and_requests_go_on(edge, origin, refused_port):
    proxy = edge(traced(origin(), collector=f"http://{refused_port}/v1/traces", buffer="128KiB"), workers=1)
    heavy = {"User-Agent": "x" * 250, "tracestate": "a=" + "y" * 400, "traceparent": PARENT}
    with proxy.connect() as c:  # a batch of 256 KiB waits, another has gathered, the ring is full
        for _ in range(1000):
            assert c.get("/", headers=heavy).status == 200
    assert counted(proxy, "traces", "dropped") > 0


def test_what_is_left_is_sent_at_the_end(edge, origin, collector):
    proxy = edge(traced(origin(), collector=collector, interval="60s"))
    for _ in range(5):
        proxy.get("/")
    assert not collector.messages
    proxy.stop()
    assert len(collector.wait(5)) == 5


def test_a_collector_that_hangs_delays_the_end_by_little(edge, origin, collector):
    collector.answer(hang)
    proxy = edge(traced(origin(), collector=collector))
    proxy.get("/")
    eventually(lambda: collector.messages, "it was asked")
    proxy.stop()


def test_a_reload_keeps_what_was_gathered_and_a_new_endpoint_gets_what_is_new(edge, origin, collector):
    blue, other = origin(), Collector(origin("other"))
    proxy = edge(traced(blue, collector=collector, interval="60s"))
    proxy.get("/first")
    proxy.reload(traced(blue, collector=collector, interval="60s", sample="99%"))
    proxy.get("/second", headers={"traceparent": PARENT})
    assert not collector.messages
    proxy.reload(traced(blue, collector=other, interval="100ms"))
    assert [s["url.path"] for s in collector.wait(2)] == ["/first", "/second"]
    proxy.get("/third")
    assert [s["url.path"] for s in other.wait()] == ["/third"]
    assert len(collector.messages) == 1


def test_without_the_module_nothing_is_added_or_taken(edge, origin):
    blue = origin()
    proxy = edge(site(blue))
    proxy.get("/")
    assert blue.last.header("traceparent") is None
    proxy.get("/", headers={"traceparent": PARENT, "tracestate": "a=1"})
    assert blue.last.header("traceparent") == PARENT and blue.last.header("tracestate") == "a=1"


def test_a_route_can_have_a_share_of_its_own_or_none(edge, origin, collector):
    blue = origin()
    more = {"tracing": {"endpoint": collector.url, "sample": "100%", "interval": "100ms"}}
    routes = [{"path": "/", "service": "shop"}, {"path": "/all", "service": "shop", "modules": more}, {"path": "/off", "service": "shop", "modules": {"tracing": "off"}}]
    proxy = edge(traced(blue, collector=collector, sample="0%", routes=routes))
    proxy.get("/")
    assert not context(blue.last)[2]
    proxy.get("/off")
    proxy.get("/all")
    assert context(blue.last)[2]
    assert [s["url.path"] for s in collector.wait()] == ["/all"]


def test_an_upgrade_loses_no_trace(edge, origin, collector):
    proxy = edge(traced(origin(), collector=collector, interval="60s"))
    proxy.get("/before")
    assert proxy.cli("upgrade").code == 0
    proxy.get("/after")
    assert collector.wait()[0]["url.path"] == "/before"  # the old process told it; it may have served the next as well
    proxy.stop()
    assert [s["url.path"] for s in collector.wait(2)] == ["/before", "/after"]


def test_reloads_between_requests_lose_nothing(edge, origin, collector):
    blue = origin()
    proxy = edge(traced(blue, collector=collector))
    for i in range(6):
        for _ in range(20):
            assert proxy.get("/").status == 200
        proxy.reload(traced(blue, collector=collector, interval="100ms" if i % 2 else "150ms"))
    assert len({s.trace for s in collector.wait(120)}) == 120


def test_the_collector_is_spoken_to_over_https(edge, origin, pki, stranger):
    secure = Collector(origin("collector", tls=pki.server_context(pki.server("localhost"))), scheme="https", host="localhost")
    proxy = edge(traced(origin(), collector=secure, tls={"ca": pki.file}))
    proxy.get("/")
    assert secure.wait()
    distrusts = edge(traced(origin(), collector=secure, tls={"ca": stranger.file}))
    distrusts.get("/")
    eventually(lambda: secure.origin.handshakes_failed, "its certificate is not accepted")


@pytest.mark.parametrize("parent, flag, says", [
    ("follow", "01", "continues the client's trace, told by its sampled flag, to http://"), ("follow", "00", "continues the client's trace, not told by its sampled flag"),
    ("continue", "01", "continues the client's trace, not told by sample"), ("ignore", "01", "tells 0.00% of new traces to http://"),
    ("follow", "xx", "tells 0.00% of new traces to http://")])
def test_explain_says_whose_word_decides(edge, origin, collector, parent, flag, says):
    proxy = edge(traced(origin(), collector=collector, sample="0%", parent=parent))
    found = proxy.cli("explain", "http://acme.test/", "-H", f"traceparent: {PARENT[:-2]}{flag}", "--json").json()
    assert found["modules"][0]["text"].startswith(says)


@pytest.mark.parametrize("given, path", [("", "/v1/traces"), ("/", "/v1/traces"), ("/otlp", "/otlp"), ("/?key=1", "/?key=1")])
def test_a_collector_without_a_path_gets_the_usual_one(edge, origin, collector, given, path):
    proxy = edge(traced(origin(), collector=f"http://{collector.origin}{given}"))
    proxy.get("/")
    collector.origin.wait_count(1)
    assert collector.origin.last.target == path


def test_a_route_may_tell_more_of_its_traces_to_the_collector_of_all(edge, origin, collector):
    routes = [{"path": "/", "service": "shop"}, {"path": "/all", "service": "shop", "modules": {"tracing": {"sample": "100%", "interval": "100ms"}}}]
    proxy = edge(traced(origin(), collector=f"http://{collector.origin}/v1/traces", sample="0%", headers={"X-Token": "abc"}, routes=routes))
    assert [proxy.get(path).status for path in ("/", "/all")] == [200, 200]
    collector.origin.wait_count(1)
    assert collector.origin.last.header("x-token") == "abc"


@pytest.mark.parametrize("keys, says", [
    ({}, 'module "tracing" needs "endpoint", here or at a wider level'),
    ({"endpoint": "localhost:4318"}, "must be an http:// or https:// URL"),
    ({"endpoint": "http://a/", "sample": "101%"}, '"sample" must be'),
    ({"endpoint": "http://a/", "headers": {"Host": "x"}}, "none that weir writes itself"),
])
def test_mistakes_are_explained(tmp_path, keys, says):
    import yaml
    file = tmp_path / "weir.yaml"
    file.write_text(yaml.safe_dump({"listeners": {"http": {"address": "127.0.0.1:1"}}, **site("127.0.0.1:2"), "modules": {"tracing": keys}}))
    out = run("check", "-c", file)
    assert out.code != 0 and says in out.err + out.out
