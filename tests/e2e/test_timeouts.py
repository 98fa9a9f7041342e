"""Every timeout of the contract, with small values: what happens, to whom, and what the log says.

Deadlines are never early; how late is bounded loosely, for slow machines."""
import select
import time

import pytest

from support.answers import Gate, Stepwise, big, hang, reply
from support.config import site
from support.http1 import build
from support.wire import PATIENCE, eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(origin):
    return origin("shop")


class Took:
    """with Took(0.5): it lasted at least that, and not much longer."""

    def __init__(self, least, most=None):
        self.least, self.most = least * 0.95, most or least + PATIENCE / 2

    def __enter__(self):
        self.start = time.monotonic()

    def __exit__(self, kind, *_):
        if kind is None:
            assert self.least <= time.monotonic() - self.start <= self.most


def test_client_header_is_absolute_and_not_fed_by_dribbling(edge, shop):
    proxy = edge(site(shop, timeouts={"client_header": "600ms"}))
    with proxy.connect() as c, Took(0.6):
        c.send(b"GET / HTTP/1.1\r\n")
        for i in range(1000):
            if not c.try_send(b"X-%d: 1\r\n" % i):
                break
            c.sock.settimeout(0.05)
            try:
                if data := c.sock.recv(1000):
                    c.buffer += data
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            raise AssertionError("never closed")
        c.sock.settimeout(PATIENCE)
        assert c.response().status == 408
    assert proxy.logged()["reason"] == "client_slow_header" and shop.count == 0


def test_a_connection_that_says_nothing_is_closed(edge, shop):
    with edge(site(shop, timeouts={"client_header": "500ms", "client_idle": "500ms"})).connect() as c, Took(0.5):
        raw = c.until_closed()
    assert raw == b"" or raw.startswith(b"HTTP/1.1 408 ")


def test_client_body_is_between_two_reads(edge, shop):
    proxy = edge(site(shop, timeouts={"client_body": "500ms"}, limits={"body_rate": 0}))
    with proxy.connect() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 100\r\n\r\n")
        for _ in range(4):  # slow, but alive: longer than the timeout in all
            c.expect_silence(0.2)
            c.send(b"x")
        with Took(0.5):
            assert c.response().status == 408
        c.until_closed()
    assert proxy.logged()["reason"] == "client_slow_body"
    eventually(lambda: shop.open_connections() == 0, "the backend connection of the cut request to be closed")
    assert not shop.last.complete


def test_a_body_that_only_dribbles_is_given_up(edge, shop):
    """A byte now and then is progress, but not at the rate that limits.body_rate asks for."""
    proxy = edge(site(shop, timeouts={"client_body": "500ms"}))
    with proxy.connect() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 100000\r\n\r\n")

        def answered():
            c.try_send(b"x")
            return select.select([c.sock], [], [], 0.02)[0]
        eventually(answered, "an answer, or the end of the connection")
        assert c.response().status == 408
    assert proxy.logged()["reason"] == "client_slow_body"
    eventually(lambda: shop.open_connections() == 0, "the backend connection of the cut request to be closed")
    assert not shop.last.complete


def test_a_client_that_does_not_read_is_given_up(edge, shop):
    shop.on("/big", big(50_000_000))
    proxy = edge(site(shop, timeouts={"client_body": "700ms"}))
    with proxy.connect() as c:
        c.send(build("GET", "/big"))
        record = proxy.logged(path="/big")
    assert record["reason"] == "client_slow_read" and record["side"] == "client"
    eventually(lambda: shop.open_connections() == 0, "the backend connection to be closed")


def test_client_idle_closes_a_quiet_connection(edge, shop):
    with edge(site(shop, timeouts={"client_idle": "500ms"})).connect() as c:
        assert c.get("/").status == 200
        with Took(0.5):
            assert c.expect_close() == "closed"


def test_client_idle_closes_a_quiet_h2_connection_with_goaway(edge, shop):
    with edge(site(shop, timeouts={"client_idle": "500ms"})).connect2() as c:
        assert c.get("/").status == 200
        with Took(0.5):
            assert c.wait_goaway()[0] == 0
            c.wait_closed()


def test_client_idle_does_not_count_while_a_request_is_open(edge, shop):
    gate = shop.always(Gate())
    with edge(site(shop, timeouts={"client_idle": "300ms"})).connect() as c:
        c.send(build("GET", "/"))
        gate.wait_arrived()
        c.expect_silence(0.8)
        gate.open()
        assert c.response().status == 200


def test_connect(edge, silent_port):
    proxy = edge(site(silent_port, timeouts={"connect": "500ms"}, service={"retries": {"attempts": 1}}))
    with Took(0.5):
        assert proxy.get("/").status == 504
    record = proxy.logged()
    assert record["reason"] == "upstream_connect_timeout" and record["side"] == "upstream"


def test_response(edge, shop):
    shop.always(hang)
    proxy = edge(site(shop, timeouts={"response": "500ms"}, service={"retries": {"attempts": 1}}))
    with proxy.connect() as c:
        with Took(0.5):
            assert c.get("/").status == 504
        shop.always(reply(200, b"better"))
        assert c.get("/").body == b"better"
    assert proxy.logged(status=504)["reason"] == "upstream_timeout"


def test_response_runs_from_the_end_of_the_request_not_from_its_start(edge, shop):
    """A long upload is not the backend's delay."""
    proxy = edge(site(shop, timeouts={"response": "500ms"}))
    with proxy.connect() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 5\r\n\r\n")
        for _ in range(5):
            c.expect_silence(0.2)
            c.send(b"x")
        assert c.response().status == 200


def test_a_body_that_stalls_is_cut_and_never_looks_complete(edge, shop):
    shop.always(Stepwise([b"first", b"second"])).step()
    proxy = edge(site(shop, timeouts={"response": "500ms"}))
    with proxy.connect() as c:
        c.send(build("GET", "/"))
        with Took(0.5):
            raw = c.until_closed()
    assert raw.startswith(b"HTTP/1.1 200") and b"first" in raw and not raw.endswith(b"0\r\n\r\n")
    assert proxy.logged()["reason"] == "upstream_body_timeout"
    with proxy.connect2() as c:
        shop.always(Stepwise([b"first", b"second"])).step()
        c.reset_of(c.start())


def test_upstream_idle_closes_the_pooled_connection(edge, shop):
    proxy = edge(site(shop, timeouts={"upstream_idle": "400ms"}))
    assert proxy.get("/").status == 200
    assert shop.open_connections() == 1
    with Took(0.2):
        eventually(lambda: shop.open_connections() == 0, "the idle connection to be closed")
    assert proxy.get("/").status == 200


def test_a_route_has_a_timeout_for_the_whole_request(edge, shop):
    shop.on("/api/slow", hang)
    proxy = edge(site(shop, routes=[{"path": "/", "service": "shop"}, {"path": "/api", "service": "shop", "timeout": "500ms"}],
        service={"retries": {"attempts": 5}}))
    with Took(0.5):
        assert proxy.get("/api/slow").status == 504
    assert proxy.logged()["reason"] in ("deadline", "upstream_timeout")


def test_a_route_may_wait_longer_for_an_answer_than_others_do(edge, shop):
    """The report that takes its time needs no longer timeouts.response for everybody."""
    gate = shop.on("/report", Gate(reply(200, b"at last")))
    shop.on("/other", hang)
    proxy = edge(site(shop, timeouts={"response": "300ms"}, service={"retries": {"attempts": 1}},
        routes=[{"path": "/", "service": "shop"}, {"path": "/report", "service": "shop", "timeout": "2m"}]))
    with proxy.connect() as c:
        c.send(build("GET", "/report"))
        gate.wait_arrived()
        with Took(0.3):
            assert proxy.get("/other").status == 504  # meanwhile
        c.expect_silence(0.3)
        gate.open()
        assert c.response().body == b"at last"


def test_a_try_may_be_given_up_sooner_than_the_request(edge, origin):
    stuck, fine = origin("stuck"), origin("fine")
    stuck.always(hang)
    proxy = edge(site(stuck, fine, service={"balance": "round_robin",
        "retries": {"attempts": 2, "per_try_timeout": "300ms", "on": ["timeout", "connect"], "budget": "100%"}}))
    for _ in range(2):
        assert proxy.get("/").body == b"fine"


def test_pending_timeout_ends_the_wait_for_a_connection(edge, shop):
    gate = shop.always(Gate())
    proxy = edge(site(shop, service={"breaker": {"connections": 1, "pending": 10, "pending_timeout": "500ms"}}), workers=1)
    with proxy.connect() as first, proxy.connect() as second:
        first.send(build("GET", "/first"))
        gate.wait_arrived()
        with Took(0.5):
            assert second.get("/second").status == 503
        gate.open()
        assert first.response().status == 200
    record = proxy.logged(path="/second")
    assert record["reason"] == "pending_timeout" and record["queue_ms"] >= 450


def test_drain_and_shutdown_bound_the_end(edge, shop):
    """A request that never ends cannot keep weir from stopping."""
    gate = shop.always(Gate())
    proxy = edge(site(shop, timeouts={"drain": "300ms", "shutdown": "800ms"}))
    with proxy.connect() as c:
        c.send(build("GET", "/"))
        gate.wait_arrived()
        with Took(0.3):
            proxy.signal(15)
            assert proxy.wait_exit() == 0


def test_a_thousand_slow_clients_do_not_hurt_one_that_is_quick(edge, shop):
    proxy = edge(site(shop, timeouts={"client_header": "2s"}))
    slow = []
    for _ in range(1000):
        slow.append(proxy.connect())
        slow[-1].send(b"GET / HTTP/1.1\r\nHost: ac")  # at once: one that says nothing for so long is closed without a word
    for i in range(20):
        assert proxy.get(f"/{i}").status == 200
    for c in slow:
        assert c.response().status == 408
        c.close()
