"""HTTP/2 on either side, in every pairing with HTTP/1.1 and TLS."""
import hashlib
import subprocess

import pytest

from support.answers import Gate, Stepwise, big, echo, goaway, in_turn, pattern, reply, reset_stream
from support.config import http, https, pool, site
from support.frames import MAX_CONCURRENT_STREAMS
from support.http1 import build
from support.wire import PATIENCE, eventually, listen

PAIRINGS = [(c, u, ct, ut) for c in ("h1", "h2") for u in ("h1", "h2") for ct in (False, True) for ut in (False, True)]


def pairing_id(p):
    return f"{p[0]}{'s' if p[2] else ''}-{p[1]}{'s' if p[3] else ''}"


class Pair:
    """weir between a client and an origin of given protocols; request() speaks whichever it is."""

    def __init__(self, proxy, origin, pki, client, client_tls):
        self.proxy, self.origin, self.client, self.tls = proxy, origin, client, client_tls
        kw = {"tls": pki.client_context(("h2",) if client == "h2" else ("http/1.1",)), "sni": "acme.test"} if client_tls else {}
        self.c = proxy.connect2(**kw) if client == "h2" else proxy.connect(**kw)

    def request(self, method="GET", target="/", headers=(), body=b"", trailers=()):
        if self.client == "h2":
            return self.c.request(method, target, headers, body, trailers=trailers)
        return self.c.request(method, target, headers, body, chunked=bool(trailers), trailers=trailers)

    def get(self, target="/", headers=()):
        return self.request("GET", target, headers)


@pytest.fixture(params=PAIRINGS, ids=pairing_id)
def pair(request, edge, origin, pki, acme_cert):
    client, upstream, client_tls, upstream_tls = request.param
    if upstream_tls:
        shop = origin("shop", tls=pki.server_context(pki.server("shop.internal"), ("h2",) if upstream == "h2" else ("http/1.1",)))
        service = {"protocol": "h2" if upstream == "h2" else "http1", "tls": {"ca": pki.file, "server_name": "shop.internal"}}
    else:
        shop = origin("shop", protocol="h2c" if upstream == "h2" else "http1")
        service = {"protocol": "h2c" if upstream == "h2" else "http1"}
    proxy = edge(site(shop, service=service, listeners={"http": https(acme_cert) if client_tls else http()}))
    p = Pair(proxy, shop, pki, client, client_tls)
    yield p
    p.c.close()


# -- the same story in every pairing --

def test_a_request_and_its_answer_keep_their_meaning(pair):
    pair.origin.on("/path", reply(201, b"made", [("X-One", "1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]))
    r = pair.request("POST", "/path?q=a%20b", [("X-Mine", "yes"), ("Cookie", "a=1; b=2")], b"payload")
    assert (r.status, r.body, r.header("x-one")) == (201, b"made", "1")
    assert r.headers.all("set-cookie") == ["a=1", "b=2"]
    got = pair.origin.last
    assert (got.method, got.target, got.authority, got.body) == ("POST", "/path?q=a%20b", "acme.test", b"payload")
    assert got.header("x-mine") == "yes" and got.header("cookie") == "a=1; b=2"
    assert got.header("x-forwarded-proto") == ("https" if pair.tls else "http")
    if pair.client == "h2":
        assert not {"connection", "transfer-encoding", "keep-alive", "upgrade"} & set(r.headers.names())
    record = pair.proxy.logged(status=201)
    assert record["protocol"] == {"h1": "HTTP/1.1", "h2": "HTTP/2"}[pair.client]
    assert record["upstream_protocol"] == got.version and record["backend"] == str(pair.origin)


def test_big_bodies_are_not_changed(pair):
    pair.origin.on("/down", big(5_000_000))
    assert hashlib.sha256(pair.get("/down").body).digest() == hashlib.sha256(pattern(5_000_000)).digest()
    pair.origin.on("/up", echo(stream=True))
    r = pair.request("POST", "/up", body=pattern(3_000_000))
    assert hashlib.sha256(r.body).digest() == hashlib.sha256(pattern(3_000_000)).digest()


def test_trailers_pass(pair):
    pair.origin.always(reply(200, b"body", trailers={"X-Sum": "1"}))
    r = pair.request("POST", "/", {"TE": "trailers"}, b"up", trailers={"X-Up": "2"})
    assert r.body == b"body" and r.trailers.get("x-sum") == "1"
    assert pair.origin.last.trailers.get("x-up") == "2"


def test_head_204_304_have_no_body(pair):
    pair.origin.on("/head", reply(200, b"x" * 99))
    pair.origin.on("/204", reply(204))
    pair.origin.on("/304", reply(304, headers={"ETag": '"1"'}))
    r = pair.request("HEAD", "/head")
    assert r.status == 200 and r.header("content-length") == "99" and r.body == b""
    assert pair.get("/204").status == 204
    assert pair.get("/304").status == 304
    assert pair.get("/").body == b"shop"


def test_103_passes(pair):
    pair.origin.always(reply(200, b"ok", interim=[(103, {"Link": "</a>"})]))
    r = pair.get("/")
    assert [(i.status, i.header("link")) for i in r.interim] == [(103, "</a>")] and r.body == b"ok"


def test_an_empty_answer_and_an_empty_post(pair):
    pair.origin.always(reply(200, b""))
    assert pair.get("/").body == b""
    assert pair.request("POST", "/", body=b"").status == 200
    assert pair.origin.last.complete and pair.origin.last.body == b""


def test_many_requests_on_one_connection(pair):
    for i in range(60):
        assert pair.get(f"/{i}").status == 200
    assert pair.origin.count == 60 and len(pair.origin.connections) == 1


def test_an_answer_streams(pair):
    parts = pair.origin.always(Stepwise([b"one", b"two"]))
    if pair.client == "h2":
        sid = pair.c.start()
        parts.step()
        pair.c.response_head(sid)
        pair.c.pump(lambda: pair.c.streams[sid].response.body == b"one", "the first part")
        parts.step(2)
        assert pair.c.response(sid).body == b"onetwo"
    else:
        pair.c.send(build("GET", "/"))
        parts.step()
        pair.c.head()
        assert pair.c.exactly(8) == b"3\r\none\r\n"
        parts.step(2)
        assert pair.c.exactly(13) == b"3\r\ntwo\r\n0\r\n\r\n"


def test_a_client_that_gives_up_is_felt_at_the_backend(pair):
    gate = pair.origin.always(Gate())
    if pair.client == "h2":
        sid = pair.c.start(path="/gone")
        gate.wait_arrived()
        pair.c.cancel(sid)
    else:
        pair.c.send(build("GET", "/gone"))
        gate.wait_arrived()
        pair.c.reset()
    record = pair.proxy.logged(path="/gone")
    assert record["status"] == 499 and record["side"] == "client"
    if not pair.origin.tls or pair.origin.last.version == "HTTP/2":
        gate.wait_gone()


# -- real clients --

def test_curl_gets_h2_by_alpn(edge, origin, pki, acme_cert):
    proxy = edge(site(origin("shop"), listeners={"https": https(acme_cert)}))
    p = subprocess.run(["curl", "-sS", "--http2", "--cacert", pki.file, "--resolve", f"acme.test:{proxy.port('https')}:{proxy.address('https')[0]}", "-w",
        "|%{http_version}", f"https://acme.test:{proxy.port('https')}/"], capture_output=True, text=True, timeout=PATIENCE * 2)
    assert p.stdout == "shop|2", p.stderr


def test_curl_speaks_h2c_with_prior_knowledge(edge, origin):
    proxy = edge(site(origin("shop")))
    p = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-H", "Host: acme.test", "-w", "|%{http_version}", proxy.url("/")],
        capture_output=True, text=True, timeout=PATIENCE * 2)
    assert p.stdout == "shop|2", p.stderr


def test_curl_that_offers_an_upgrade_to_h2c_is_served_by_http_1(edge, origin):
    proxy = edge(site(origin("shop")))
    p = subprocess.run(["curl", "-sS", "--http2", "-H", "Host: acme.test", "-w", "|%{http_version}", proxy.url("/")],
        capture_output=True, text=True, timeout=PATIENCE * 2)
    assert p.stdout == "shop|1.1", p.stderr


def test_httpx_over_h2(edge, origin, pki, acme_cert):
    import httpx
    shop = origin("shop")
    shop.on("/echo", echo())
    proxy = edge(site(shop, listeners={"https": https(acme_cert)}))
    with httpx.Client(http2=True, verify=pki.client_context(None, verify=False), timeout=PATIENCE) as c:
        r = c.post(proxy.url("/echo", "https"), headers={"Host": "acme.test"}, content=pattern(300_000))
    assert (r.http_version, r.status_code, r.content) == ("HTTP/2", 200, pattern(300_000))


def test_h2load_sees_no_failure(edge, origin, refused_port):
    """A client that is quicker than any of Python's: many streams on several connections."""
    backend = edge(site(refused_port, routes=[{"path": "/", "redirect": {"to": "/there", "status": 307}}], service={"protocol": "http1"}))
    proxy = edge(site("%s:%d" % backend.address()))
    p = subprocess.run(["h2load", "-n", "5000", "-c", "8", "-m", "16", "-H", ":authority: acme.test", proxy.url("/")],
        capture_output=True, text=True, timeout=60)
    assert "5000 done, 5000 succeeded, 0 failed, 0 errored, 0 timeout" in p.stdout, p.stdout + p.stderr
    assert "5000 3xx" in p.stdout


def test_http2_may_be_switched_off(edge, origin, pki, acme_cert):
    proxy = edge(site(origin("shop"), listeners={"https": https(acme_cert, http2=False), "http": http(http2=False)}))
    with proxy.connect("https", tls=pki.client_context(("h2", "http/1.1")), sni="acme.test") as c:
        assert c.sock.selected_alpn_protocol() == "http/1.1"
        assert c.get("/").status == 200
    with proxy.connect("http") as c:
        c.try_send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert b" 200 " not in c.until_closed()


# -- streams beside each other --

def test_streams_are_answered_as_they_are_ready_not_in_order(edge, origin):
    shop = origin("shop", protocol="h2c")
    slow = shop.on("/slow", Gate())
    with edge(site(shop, service={"protocol": "h2c"})).connect2() as c:
        first = c.start(path="/slow")
        slow.wait_arrived()
        assert c.get("/quick").body == b"shop"
        assert not c.streams[first].ended
        slow.open()
        assert c.response(first).body == b"through the gate"


@pytest.mark.parametrize("upstream", ["http1", "h2c"])
def test_a_stream_that_nobody_reads_does_not_stall_its_siblings(edge, origin, upstream):
    """The big answer fills its window and stays; others pass it on the same connections."""
    shop = origin("shop", protocol=upstream)
    shop.on("/big", big(4_000_000))
    proxy = edge(site(shop, service={"protocol": upstream}), workers=1)
    with proxy.connect2(auto_credit=False) as c:
        stuck = c.start(path="/big")
        c.pump(lambda: c.streams[stuck].response and len(c.streams[stuck].response.body) >= 60_000, "the window to fill")
        c.h2.increment_flow_control_window(10_000_000)  # the connection's alone
        c.flush()
        for i in range(20):
            assert c.get(f"/{i}").body == b"shop"
        c.auto_credit = True
        c.h2.increment_flow_control_window(5_000_000, stuck)
        c.flush()
        assert c.response(stuck).body == pattern(4_000_000)


def test_an_upload_that_the_backend_does_not_read_does_not_stall_its_siblings(edge, origin):
    shop = origin("shop", protocol="h2c")
    slow = shop.on("/slow", Gate(reply(200, b"done"), read_body=False))
    proxy = edge(site(shop, service={"protocol": "h2c"}), workers=1)
    with proxy.connect2() as c:
        c.pump(lambda: c.settled, "SETTINGS")
        up = c.start("POST", "/slow", end=False)
        slow.wait_arrived()
        sent = 0
        while c.h2.local_flow_control_window(up) > 0 and sent < 2_000_000:
            n = min(c.h2.local_flow_control_window(up), 16_384)
            c.h2.send_data(up, b"u" * n)
            c.flush()
            sent += n
        for i in range(20):
            assert c.get(f"/{i}").body == b"shop"
        assert sent < 2_000_000, "the window never closed: memory is not bounded by credit"
        slow.open()
        c.send(up, b"end", end=True)
        assert c.response(up).body == b"done"
        assert shop.requests[0].body == b"u" * sent + b"end"


def test_max_concurrent_streams_is_announced_and_kept(edge, origin):
    shop = origin("shop", protocol="h2c")
    gate = shop.always(Gate())
    proxy = edge(site(shop, service={"protocol": "h2c"}, listeners={"http": http(http2={"max_concurrent_streams": 5})}))
    with proxy.connect2() as c:
        c.pump(lambda: c.settled, "SETTINGS")
        assert c.h2.remote_settings.max_concurrent_streams == 5
        sids = [c.start(path=f"/{i}") for i in range(5)]
        gate.wait_arrived(5)
        gate.open()
        assert all(c.response(s).status == 200 for s in sids)


def test_a_backend_that_allows_few_streams_gets_no_more_than_that(edge, origin):
    shop = origin("shop", protocol="h2c", h2_settings={MAX_CONCURRENT_STREAMS: 2})
    proxy = edge(site(shop, service={"protocol": "h2c"}), workers=1)
    with proxy.connect2() as c:
        assert c.get("/first").status == 200  # its SETTINGS are known now
        sids = [c.start(path=f"/{i}") for i in range(12)]
        assert [c.response(s).status for s in sids] == [200] * 12


def test_requests_share_few_h2_connections(edge, origin):
    shop = origin("shop", protocol="h2c")
    gate = shop.on("/wait", Gate())
    proxy = edge(site(shop, service={"protocol": "h2c"}), workers=1)
    with proxy.connect2() as c:
        assert c.get("/").status == 200
        sids = [c.start(path="/wait") for _ in range(20)]
        gate.wait_arrived(20)
        gate.open()
        assert [c.response(s).status for s in sids] == [200] * 20
    assert len(shop.connections) <= 2


@pytest.mark.parametrize("requests, connections", [(100, 1), (250, 3)])
def test_a_burst_on_a_cold_backend_makes_the_connections_that_it_fills(edge, origin, requests, connections):
    shop = origin("shop", protocol="h2c", h2_settings={MAX_CONCURRENT_STREAMS: 100})
    gate = shop.always(Gate())
    proxy = edge(site(shop, service={"protocol": "h2c"}, listeners={"http": http(http2={"max_concurrent_streams": 300})}), workers=1)
    with proxy.connect2() as c:
        c.pump(lambda: c.settled, "SETTINGS")
        sids = c.burst(requests)
        gate.wait_arrived(requests)
        assert len(shop.connections) == connections
        gate.open()
        assert [c.response(s).status for s in sids] == [200] * requests


def test_a_burst_on_a_backend_that_takes_fewer_than_most_is_served_whole(edge, origin):
    shop = origin("shop", protocol="h2c", h2_settings={MAX_CONCURRENT_STREAMS: 7})
    gate = shop.always(Gate())
    proxy = edge(site(shop, service={"protocol": "h2c"}), workers=1)
    with proxy.connect2() as c:
        c.pump(lambda: c.settled, "SETTINGS")
        sids = c.burst(50)
        gate.wait_arrived(50)
        assert len(shop.connections) == 8
        gate.open()
        assert [c.response(s).status for s in sids] == [200] * 50


def test_nobody_waits_longer_than_for_a_connection_for_a_backend_that_says_nothing(edge):
    with listen() as mute:
        proxy = edge(site(f"127.0.0.1:{mute.getsockname()[1]}", service={"protocol": "h2c", "retries": {"attempts": 1}}, timeouts={"connect": "300ms"}), workers=1)
        with proxy.connect2() as c:
            c.pump(lambda: c.settled, "SETTINGS")
            first, *others = c.burst(10)
            assert [c.response(s).status for s in others] == [504] * 9
            proxy.logged(9, reason="upstream_connect_timeout")
            assert c.streams[first].response is None  # that one was sent, and may be answered


# -- ends --

def test_a_reset_from_the_backend_is_a_reset_or_502_never_a_clean_end(edge, origin):
    shop = origin("shop", protocol="h2c")
    shop.on("/head", reset_stream(2))
    shop.on("/body", reset_stream(2, after_body=b"half"))
    proxy = edge(site(shop, service={"protocol": "h2c"}))
    with proxy.connect2() as c:
        assert c.request("POST", "/head", body=b"x").status == 502
        sid = c.start(path="/body")
        assert c.reset_of(sid) == 2
        assert c.get("/").status == 200
    with proxy.connect() as c:
        c.send(build("GET", "/body"))
        raw = c.until_closed()
        assert not raw.endswith(b"0\r\n\r\n")  # what came before the reset may be lost with it


def test_a_refused_stream_is_tried_again_elsewhere_whatever_the_method(edge, origin):
    one, two = origin("one", protocol="h2c"), origin("two", protocol="h2c")
    script = in_turn(reset_stream(7), reply(200, b"second try"))
    one.always(script)
    two.always(script)
    proxy = edge(site(one, two, service={"protocol": "h2c", "retries": {"attempts": 2, "on": ["refused_stream"], "budget": "100%"}}))
    assert proxy.request("POST", "/", body=b"once").body == b"second try"
    assert proxy.logged()["attempts"] == 2


def test_goaway_from_the_backend_retries_only_what_it_did_not_process(edge, origin):
    one, two = origin("one", protocol="h2c"), origin("two", protocol="h2c")
    script = in_turn(goaway(0), reply(200, b"elsewhere"))
    one.always(script)
    two.always(script)
    proxy = edge(site(one, two, service={"protocol": "h2c", "retries": {"attempts": 2, "on": ["connect", "refused_stream"], "budget": "100%"}}))
    assert proxy.request("POST", "/", body=b"never processed").body == b"elsewhere"


def test_an_orderly_goaway_lets_the_stream_finish(edge, origin):
    shop = origin("shop", protocol="h2c")

    def announce_then_answer(x):
        x.read_body()
        x.goaway(x.id)
        reply(200, b"finished after GOAWAY")(x)
    shop.on("/last", announce_then_answer)
    proxy = edge(site(shop, service={"protocol": "h2c"}), workers=1)
    assert proxy.get("/last").body == b"finished after GOAWAY"
    assert proxy.get("/next").status == 200
    assert len(shop.connections) == 2


def test_shutdown_says_goaway_and_finishes_what_is_open(edge, origin):
    shop = origin("shop")
    gate = shop.always(Gate())
    proxy = edge(site(shop, timeouts={"drain": "10s", "shutdown": "10s"}))
    with proxy.connect2() as c:
        sid = c.start()
        gate.wait_arrived()
        proxy.signal(15)
        assert c.wait_goaway()[0] == 0
        gate.open()
        assert c.response(sid).body == b"through the gate"
        c.wait_closed()
    assert proxy.wait_exit() == 0


def test_a_listener_that_a_reload_removes_says_goaway(edge, origin):
    shop = origin("shop")
    gate = shop.on("/wait", Gate())
    proxy = edge(site(shop, listeners={"http": http(), "extra": http()}, timeouts={"drain": "10s"}))
    with proxy.connect2("extra") as c, proxy.connect2("http") as kept:
        assert kept.get("/").status == 200
        sid = c.start(path="/wait")
        gate.wait_arrived()
        proxy.reload(site(shop, listeners={"http": http()}, timeouts={"drain": "10s"}))
        c.wait_goaway()
        gate.open()
        assert c.response(sid).status == 200
        c.wait_closed()
        assert kept.get("/").status == 200 and kept.goaway is None


def test_cookie_crumbs_become_one_cookie_for_http_1(edge, origin):
    shop = origin("shop")
    with edge(site(shop)).connect2() as c:
        c.get("/", [("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")])
    assert shop.last.headers.all("cookie") == ["a=1; b=2; c=3"]


def test_auto_takes_what_alpn_gives(edge, origin, pki):
    for alpn, version in ((("h2", "http/1.1"), "HTTP/2"), (("http/1.1",), "HTTP/1.1")):
        shop = origin("shop", tls=pki.server_context(pki.server("shop.internal"), alpn))
        proxy = edge(site(shop, service={"protocol": "auto", "tls": {"ca": pki.file, "server_name": "shop.internal"}}))
        assert proxy.get("/").status == 200
        assert shop.last.version == version


def test_blue_may_speak_h2_while_green_speaks_http_1(edge, origin):
    blue, green = origin("blue", protocol="h2c"), origin("green")
    conf = site(pools={"blue": pool(blue, weight=1, protocol="h2c"), "green": pool(green, weight=1)}, service={"split": {"sticky": "none"}})
    proxy = edge(conf)
    with proxy.connect2() as c:
        assert {c.get("/").body for _ in range(10)} == {b"blue", b"green"}


def test_every_stream_of_many_connections_ends(edge, origin):
    """What was opened is closed: no descriptor stays behind."""
    shop = origin("shop")
    proxy = edge(site(shop, timeouts={"upstream_idle": "200ms"}))
    proxy.get("/warm")
    eventually(lambda: shop.open_connections() == 0, "idle upstream connections to be closed")
    before = proxy.descriptors()
    for _ in range(20):
        with proxy.connect2() as c:
            sids = [c.start(path=f"/{i}") for i in range(10)]
            for s in sids[:5]:
                c.response(s)
    eventually(lambda: proxy.descriptors() <= before, lambda: f"{before} sockets, there are {proxy.descriptors()}")
