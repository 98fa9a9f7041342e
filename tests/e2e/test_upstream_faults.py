"""What backends do wrong, and what the client must never be made to believe."""

import pytest

from support import answers, frames
from support.answers import Gate, hang
from support.config import http, https, pool, site
from support.http1 import Closed, build
from support.processes import go_on, halt
from support.wire import RefusedPort, eventually, reset


@pytest.fixture
def shop(origin):
    return origin("shop")


def once(*backends, **kw):
    """No retries: the fault itself is to be seen."""
    service = {"retries": {"attempts": 1}, **kw.pop("service", {})}
    return site(*backends, service=service, **kw)


# -- before the answer --

BEFORE = {
    "a close": (answers.close_at_once, 502, {"upstream_closed", "upstream_stale"}),
    "a reset": (answers.reset_at_once, 502, {"upstream_reset", "upstream_stale"}),
    "a close in the status line": (answers.raw(b"HTTP/1.1 20"), 502, {"upstream_closed", "upstream_bad_response"}),
    "a close in the head": (answers.raw(b"HTTP/1.1 200 OK\r\nContent-Len"), 502, {"upstream_closed", "upstream_bad_response"}),
    "a reset in the head": (answers.raw(b"HTTP/1.1 200 OK\r\nContent-Len", then="reset"), 502, {"upstream_reset"}),
    "garbage": (answers.raw(b"\x00\xff\x13garbage\r\n\r\n"), 502, {"upstream_bad_response"}),
    "another protocol": (answers.raw(b"SSH-2.0-OpenSSH_9.2\r\n"), 502, {"upstream_bad_response"}),
    "a status of two digits": (answers.raw(b"HTTP/1.1 20 OK\r\n\r\n"), 502, {"upstream_bad_response"}),
    "a status of four digits": (answers.raw(b"HTTP/1.1 2000 OK\r\n\r\n"), 502, {"upstream_bad_response"}),
    "a status below 100": (answers.raw(b"HTTP/1.1 099 OK\r\n\r\n"), 502, {"upstream_bad_response"}),
    "HTTP/2.0 in the status line": (answers.raw(b"HTTP/2.0 200 OK\r\n\r\n"), 502, {"upstream_bad_response"}),
    "a space before a colon": (answers.raw(b"HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 0\r\n\r\n"), 502, {"upstream_bad_response"}),
    "an obs-fold": (answers.raw(b"HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n"), 502, {"upstream_bad_response"}),
    "a NUL in a value": (answers.raw(b"HTTP/1.1 200 OK\r\nX-A: \0\r\nContent-Length: 0\r\n\r\n"), 502, {"upstream_bad_response"}),
    "a bare CR in a value": (answers.raw(b"HTTP/1.1 200 OK\r\nX-A: 1\r2\r\nContent-Length: 0\r\n\r\n"), 502, {"upstream_bad_response"}),
    "huge headers": (answers.raw(b"HTTP/1.1 200 OK\r\nX-A: " + b"x" * 2_000_000 + b"\r\n\r\n"), 502, {"upstream_headers_too_large"}),
    "a head that never ends": (answers.raw(b"HTTP/1.1 200 OK\r\n", *[b"X-%d: 1\r\n" % i for i in range(20_000)]), 502,
        {"upstream_headers_too_large"}),
    "a length that is no number": (answers.raw(b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n0123456789"), 502, {"upstream_bad_framing"}),
    "a negative length": (answers.raw(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), 502, {"upstream_bad_framing"}),
    "lengths that differ": (answers.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), 502, {"upstream_bad_framing"}),
    "an unknown coding": (answers.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab"), 502, {"upstream_bad_framing"}),
    "chunked that is not last": (answers.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"), 502, {"upstream_bad_framing"}),
    "a flood of interim answers": (answers.raw(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 5_000), 502, {"upstream_too_many_1xx"}),
}


@pytest.mark.parametrize("name", BEFORE)
def test_a_fault_before_the_answer_is_an_error_with_its_reason(edge, shop, name):
    answer, status, reasons = BEFORE[name]
    shop.on("/fault", answer)
    proxy = edge(once(shop), workers=1)
    with proxy.connect() as c:
        r = c.get("/fault")
        assert r.status == status
        assert c.get("/next").status == 200  # the client's connection is not to blame
    record = proxy.logged(path="/fault")
    assert record["reason"] in reasons and record["side"] == "upstream" and record["backend"] == str(shop)
    assert shop.requests[-1].connection > shop.requests[0].connection, "a connection that had a fault was used again"


@pytest.mark.parametrize("name", ["a close", "a reset", "garbage", "a length that is no number"])
def test_the_same_over_http_2(edge, shop, name):
    shop.on("/fault", BEFORE[name][0])
    with edge(once(shop)).connect2() as c:
        assert c.get("/fault").status == 502
        assert c.get("/next").status == 200


def test_refused_is_502(edge, refused_port):
    proxy = edge(once(refused_port))
    assert proxy.get("/").status == 502
    assert proxy.logged()["reason"] == "upstream_refused"


def test_a_name_that_does_not_resolve_is_nobody_not_a_broken_config(edge, shop):
    proxy = edge(site(pools={"blue": pool("dns:no.such.host.invalid:80", shop)}, service={"retries": {"attempts": 2, "budget": "100%"}}))
    for i in range(4):
        assert proxy.get(f"/{i}").body == b"shop"


@pytest.mark.slow
def test_a_hang_before_the_head_is_504(edge, shop):
    shop.on("/hang", hang)
    proxy = edge(once(shop, timeouts={"response": "400ms"}))
    assert proxy.get("/hang").status == 504
    assert proxy.get("/next").status == 200


# -- within the body: never a clean end --

WITHIN = {
    "a close within a length": answers.cut(1000, b"x" * 10),
    "a reset within a length": answers.cut(1000, b"x" * 10, "reset"),
    "a close within chunks": answers.cut_chunked(),
    "a reset within chunks": answers.cut_chunked(how="reset"),
    "a close within a chunk": answers.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nxxxxxxxxxx"),
    "a close within the last chunk": answers.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nxxxxxxxxxx\r\n0\r\n"),
    "a bad chunk": answers.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nxxxxxxxxxx\r\nzz\r\n", then="keep"),
    "a chunk that is too long": answers.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nxxxxxxxxxxYY", then="keep"),
    "a reset within a body that ends with its connection": answers.raw(b"HTTP/1.1 200 OK\r\n\r\nxxxxxxxxxx", then="reset"),
}


def complete_http1(raw):
    """Would an HTTP/1.1 client take these bytes for a whole 200?"""
    head, _, body = raw.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        return False
    if b"transfer-encoding: chunked" in head.lower():
        return body.endswith(b"0\r\n\r\n")
    if b"content-length: " in head.lower():
        return len(body) >= int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return True


@pytest.mark.parametrize("name", WITHIN)
def test_a_cut_body_never_looks_whole(edge, shop, name):
    shop.on("/cut", WITHIN[name])
    proxy = edge(once(shop), workers=1)
    with proxy.connect() as c:
        c.send(build("GET", "/cut"))
        try:
            raw = c.until_closed()
        except OSError:
            raw = c.buffer
        assert not complete_http1(raw), raw
    with proxy.connect2() as c:
        sid = c.start(path="/cut")
        s = c.streams[sid]
        c.pump(lambda: s.ended or s.reset_code is not None, "an end")
        assert s.reset_code is not None or s.response.status == 502, f"a clean end: {s.response}"
        assert c.get("/next").status == 200
    record = proxy.logged(path="/cut")
    assert record["side"] == "upstream" and record["reason"].startswith("upstream_")


def test_an_http_1_0_client_sees_a_reset_where_only_the_close_says_the_end(edge, shop):
    """Without a length the FIN is the end: a cut body has to be told by RST."""
    shop.on("/cut", answers.cut_chunked())
    with edge(once(shop)).connect() as c:
        c.send(build("GET", "/cut", version="HTTP/1.0"))
        with pytest.raises(Closed) as e:
            c.response()
        assert e.value.how == "reset", "the cut body looked complete"


def test_more_body_than_announced_is_not_the_next_answer(edge, shop):
    """Bytes behind an answer would be taken for the answer to somebody else's request."""
    shop.on("/more", answers.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", then="keep"))
    proxy = edge(once(shop), workers=1)
    with proxy.connect() as c:
        assert c.get("/more").body == b"ok"
        for i in range(5):
            assert c.get(f"/{i}").body == b"shop"
    assert len(shop.connections) == 2


def test_an_answer_before_any_request_poisons_nobody(edge, shop):
    """A backend that talks first on an idle connection: closed, not used."""
    proxy = edge(once(shop), workers=1)
    assert proxy.get("/").body == b"shop"
    shop.connections[0].sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    eventually(lambda: shop.open_connections() == 0, "the connection that spoke unasked to be closed")
    assert proxy.get("/").body == b"shop"


# -- other backends carry on --

def test_one_dead_backend_of_three_costs_no_idempotent_request(edge, origin):
    backends = [origin(f"b{i}") for i in range(3)]
    proxy = edge(site(*backends, service={"retries": {"attempts": 3, "budget": "100%"}}))
    statuses = []
    with proxy.connect() as c:
        for i in range(300):
            if i == 100:
                backends[1].close()
            statuses.append(c.get(f"/{i}").status)
    assert statuses == [200] * 300


def test_a_pool_without_a_usable_backend_gives_its_share_to_the_others(edge, origin):
    """A name that cannot be resolved is a down backend; its users are served by the other pool."""
    green = origin("green")
    proxy = edge(site(pools={"blue": pool("dns:no.such.host.invalid:80", weight=50), "green": pool(green, weight=50)}))
    eventually(lambda: all(proxy.get("/").status == 200 for _ in range(10)), "blue to be seen as down")
    assert {proxy.get("/").body for _ in range(20)} == {b"green"}


def test_a_pool_that_does_not_spill_fails_alone(edge, origin):
    green = origin("green")
    proxy = edge(site(pools={"blue": pool("dns:no.such.host.invalid:80", weight=50, spill=False), "green": pool(green, weight=50)}), workers=1)
    statuses = [proxy.get("/").status for _ in range(20)]
    assert statuses.count(200) == 10 and set(statuses) <= {200, 502, 503}


def test_breaker_connections_is_a_cap(edge, shop):
    gate = shop.always(Gate())
    proxy = edge(site(shop, service={"breaker": {"connections": 3, "pending": 100, "pending_timeout": "20s"}}), workers=1)
    clients = [proxy.connect() for _ in range(10)]
    for c in clients:
        c.send(build("GET", "/"))
    gate.wait_arrived(3)
    assert shop.open_connections() == 3
    gate.open()
    assert [c.response().status for c in clients] == [200] * 10
    assert len(shop.connections) <= 3
    for c in clients:
        c.close()


def test_breaker_pending_full_is_503_at_once(edge, shop):
    gate = shop.always(Gate())
    proxy = edge(site(shop, service={"breaker": {"connections": 1, "pending": 1, "pending_timeout": "20s"}, "retries": {"attempts": 1}}), workers=1)
    first, second, third = (proxy.connect() for _ in range(3))
    first.send(build("GET", "/1"))
    gate.wait_arrived()
    second.send(build("GET", "/2"))
    third.send(build("GET", "/3"))
    eventually(lambda: any(r["status"] == 503 for r in proxy.access_log()), "one to be refused")
    gate.open()
    statuses = sorted(c.response().status for c in (first, second, third))
    assert statuses == [200, 200, 503]
    assert proxy.logged(status=503)["reason"] == "pending_full"
    for c in (first, second, third):
        c.close()


# -- HTTP/2 backends --

@pytest.fixture
def h2shop(origin):
    return origin("shop", protocol="h2c")


H2_FAULTS = {
    "RST_STREAM": answers.reset_stream(frames.INTERNAL_ERROR),
    "RST_STREAM NO_ERROR without an answer": answers.reset_stream(frames.NO_ERROR),
    "GOAWAY and close": lambda x: (x.goaway(x.id, frames.INTERNAL_ERROR), x.close()),
    "a close": lambda x: x.close(),
    "garbage": lambda x: x.send(b"garbage" * 1000),
    "an upper-case header": lambda x: x.send(frames.headers(x.id, [(":status", "200"), ("X-A", "1")])),
    "no :status": lambda x: x.send(frames.headers(x.id, [("x-a", "1")])),
    "two :status": lambda x: x.send(frames.headers(x.id, [(":status", "200"), (":status", "500")])),
    "a :status that is no number": lambda x: x.send(frames.headers(x.id, [(":status", "OK")])),
    "a connection header": lambda x: x.send(frames.headers(x.id, [(":status", "200"), ("connection", "close")])),
    "CR LF in a value": lambda x: x.send(frames.headers(x.id, [(":status", "200"), ("x-a", "1\r\nX-B: 2")])),
    "DATA before HEADERS": lambda x: x.send(frames.frame(frames.DATA, 1, x.id, b"x")),
    "101 over HTTP/2": lambda x: x.send(frames.headers(x.id, [(":status", "101")])),
    "PUSH_PROMISE": lambda x: x.send(frames.frame(frames.PUSH_PROMISE, 4, x.id, b"\0\0\0\2" + frames.block(frames.request_fields()))),
    "HEADERS on a stream of nobody's": lambda x: x.send(frames.headers(x.id + 100, [(":status", "200")])),
    "a bad HPACK index": lambda x: x.send(frames.headers(x.id, b"\xff\xff\xff\x7f")),
}


@pytest.mark.parametrize("name", H2_FAULTS)
def test_a_broken_h2_backend_is_502(edge, h2shop, name):
    def fault(x):
        x.read_body()
        H2_FAULTS[name](x)
    h2shop.on("/fault", fault)
    proxy = edge(once(h2shop, service={"protocol": "h2c"}, timeouts={"response": "5s"}), workers=1)
    with proxy.connect() as c:
        assert c.request("POST", "/fault", body=b"x").status == 502
        assert c.get("/next").status == 200
    record = proxy.logged(path="/fault")
    assert record["reason"].startswith("upstream_") and record["side"] == "upstream"
    h2shop.complaints.clear()  # what it provoked is its own doing


@pytest.mark.parametrize("fault", ["a length that is too long", "a length that is too short", "a close"])
def test_a_cut_h2_body_never_looks_whole(edge, h2shop, fault):
    def answer(x):
        x.read_body()
        x.head(200, (), 100 if fault == "a length that is too long" else 3 if fault == "a length that is too short" else None)
        x.body(b"x" * 10)
        if fault == "a close":
            x.close()
        else:
            x.end()
    h2shop.on("/cut", answer)
    proxy = edge(once(h2shop, service={"protocol": "h2c"}))
    with proxy.connect() as c:
        c.send(build("GET", "/cut"))
        assert not complete_http1(c.until_closed())
    with proxy.connect2() as c:
        sid = c.start(path="/cut")
        s = c.streams[sid]
        c.pump(lambda: s.ended or s.reset_code is not None, "an end")
        assert s.reset_code is not None or s.response.status == 502
    h2shop.complaints.clear()


def test_a_backend_that_speaks_http_1_where_h2c_is_due_is_502(edge, shop):
    proxy = edge(once(shop, service={"protocol": "h2c"}))
    assert proxy.get("/").status == 502
    shop.complaints.clear()  # it was offered HTTP/2 on purpose


def test_an_early_answer_over_h2_with_no_error_reset_is_a_good_answer(edge, h2shop):
    """RFC 9113 8.1: a server may answer and then RST_STREAM NO_ERROR to stop the upload."""
    def answer(x):
        x.head(413, (), 3)
        x.body(b"big")
        x.end()
        x.reset_stream(frames.NO_ERROR)
    h2shop.always(answer)
    proxy = edge(once(h2shop, service={"protocol": "h2c"}))
    with proxy.connect2() as c:
        sid = c.start("POST", end=False)
        c.h2.send_data(sid, b"start")
        c.flush()
        c.pump(lambda: c.streams[sid].response and c.streams[sid].response.body == b"big", "the early answer")
        assert c.streams[sid].response.status == 413


def test_closing_many_dead_ports_leaks_nothing(edge, shop):
    dead = RefusedPort()
    proxy = edge(once(dead))
    proxy.get("/warm")
    before = proxy.descriptors()
    with proxy.connect() as c:
        for _ in range(200):
            assert c.get("/").status == 502
    eventually(lambda: proxy.descriptors() <= before, lambda: f"{before} sockets at first, {proxy.descriptors()} now")
    dead.close()


# -- clients that leave --

def test_a_client_that_leaves_while_it_waits_for_a_connection_frees_its_place(edge, shop):
    gate = shop.on("/first", Gate())
    proxy = edge(site(shop, service={"breaker": {"connections": 1, "pending": 1, "pending_timeout": "20s"}}), workers=1)
    with proxy.connect() as first, proxy.connect() as second, proxy.connect() as third:
        assert second.get("/warm").status == 200  # so that it is known, and its next request is seen before the third's
        first.send(build("GET", "/first"))
        gate.wait_arrived()
        second.send(build("GET", "/second"))
        assert third.get("/refused").status == 503
        second.reset()
        assert proxy.logged(path="/second")["status"] == 499
        third.send(build("GET", "/third"))
        third.expect_silence()
        gate.open()
        assert first.response().status == 200
        assert third.response().status == 200
    assert [r.target for r in shop.requests] == ["/warm", "/first", "/third"]


@pytest.mark.parametrize("body", [b"", b"x" * 10, b"x" * 1_000_000], ids=["none", "short", "more than is taken"])
def test_a_client_that_leaves_frees_the_backend(edge, shop, body):
    """Whether weir waits for the answer, or for the backend to take more of the request."""
    gate = shop.always(Gate(read_body=False))
    proxy = edge(site(shop))
    c = proxy.connect()
    c.sock.settimeout(0.2)
    c.try_send(build("POST", "/left", body=body))
    gate.wait_arrived()
    c.reset()
    record = proxy.logged(path="/left")
    assert record["status"] == 499 and record["side"] == "client"
    gate.open()
    eventually(lambda: shop.open_connections() == 0, "the backend to be freed")


@pytest.mark.parametrize("body", [b"", b"x" * 10, b"x" * 50_000], ids=["no body", "a short body", "a body"])
@pytest.mark.parametrize("spoken", ["h1", "h1s", "h2", "h2s"])
def test_a_reset_that_came_together_with_the_request_is_noticed_before_the_answer(edge, shop, pki, acme_cert, spoken, body):
    gate = shop.on("/left", Gate())
    proxy = edge(site(shop, listeners={"http": http(), "https": https(acme_cert)}), workers=1)
    made = {"listener": "https", "tls": pki.client_context(("h2",) if spoken == "h2s" else ("http/1.1",)), "sni": "acme.test"} if spoken.endswith("s") else {}
    with (proxy.connect2 if spoken.startswith("h2") else proxy.connect)(**made) as c:
        assert c.get("/warm").status == 200
        worker = proxy.worker_pid()
        halt(worker)
        try:
            if spoken.startswith("h2"):
                sid = c.start("POST", "/left", end=not body)
                if body:
                    c.send(sid, body, end=True)
            else:
                c.send(build("POST", "/left", body=body))
            reset(c.sock)
        finally:
            go_on(worker)
        gate.wait_arrived()
        assert proxy.logged(path="/left")["status"] == 499
        gate.open()
