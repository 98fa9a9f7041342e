"""Limits of what a backend and a pool are asked at once, and the queue in front of them."""
import threading
import time

import pytest

from support.answers import Gate, reply
from support.config import pool, site
from support.http1 import build
from support.wire import PATIENCE, eventually


@pytest.fixture
def shop(origin):
    return origin("shop")


def limited(*backends, pending=100, pending_timeout="20s", requests=2, **breaker):
    return site(*backends, service={"balance": "round_robin", "retries": {"attempts": 1},
        "breaker": {"backend_requests": requests, "pending": pending, "pending_timeout": pending_timeout, **breaker}})


class Clients:
    """Connections that have asked, in this order; answers come when they come."""

    def __init__(self, proxy, n, target="/wait", first=0):
        self.conns = []
        for i in range(n):
            self.conns.append(proxy.connect())
            self.conns[-1].send(build("GET", f"{target}/{first + i}"))

    def statuses(self):
        return [c.response().status for c in self.conns]

    def close(self):
        for c in self.conns:
            c.close()


@pytest.fixture
def ask(started):
    def begin(proxy, n, **kw):
        c = Clients(proxy, n, **kw)
        started.append(c)
        return c
    return begin


def test_a_backend_at_its_limit_is_passed_over(edge, origin, ask):
    one, two = origin("one"), origin("two")
    gates = [o.always(Gate()) for o in (one, two)]
    proxy = edge(limited({"address": str(one), "requests": 1}, two, requests=3), workers=1)
    clients = ask(proxy, 4)
    gates[0].wait_arrived(1)
    gates[1].wait_arrived(3)
    assert (one.count, two.count) == (1, 3)
    for g in gates:
        g.open()
    assert clients.statuses() == [200] * 4


def test_when_all_are_at_their_limit_requests_wait_in_order(edge, shop):
    gate = shop.always(Gate())
    proxy = edge(limited(shop, requests=1), workers=1)
    with proxy.connect2() as c:  # streams of one connection come in order
        sids = [c.start(path=f"/wait/{i}") for i in range(6)]
        gate.wait_arrived(1)
        gate.open()
        assert [c.response(sid).status for sid in sids] == [200] * 6
    assert [r.target for r in shop.requests] == [f"/wait/{i}" for i in range(6)]


def test_the_queue_is_bounded_and_who_finds_it_full_is_told_why(edge, shop, ask):
    gate = shop.always(Gate())
    proxy = edge(limited(shop, requests=1, pending=2), workers=1)
    first = ask(proxy, 1)
    gate.wait_arrived(1)
    ask(proxy, 5, first=1)
    refused = eventually(lambda: (r := [r for r in proxy.access_log() if r["status"] == 503]) and len(r) == 3 and r, "three to be refused")
    assert {r["reason"] for r in refused} == {"breaker_backends"} and {r["attempts"] for r in refused} == {0}
    full = proxy.get("/")
    assert (full.status, full.header("retry-after"), full.header("x-weir-reason")) == (503, "1", "breaker_backends")
    gate.open()
    assert first.statuses() == [200]
    eventually(lambda: len([r for r in proxy.access_log() if r["status"] == 200]) == 3, "those who waited to be served")


def test_nobody_waits_longer_than_the_pending_timeout(edge, shop, ask):
    gate = shop.always(Gate())
    proxy = edge(limited(shop, requests=1, pending_timeout="300ms"), workers=1)
    first = ask(proxy, 1)
    gate.wait_arrived(1)
    late = ask(proxy, 1, first=1)
    assert late.statuses() == [503]
    record = proxy.logged(status=503)
    assert record["reason"] == "breaker_backends" and record["queue_ms"] >= 300
    gate.open()
    assert first.statuses() == [200] and proxy.get("/").status == 200


def test_a_client_that_leaves_the_queue_leaves_its_place_to_others(edge, shop, ask):
    gate = shop.always(Gate())
    proxy = edge(limited(shop, requests=1, pending=1), workers=1)
    first = ask(proxy, 1)
    gate.wait_arrived(1)
    gone = ask(proxy, 1, first=1)
    eventually(lambda: proxy.get("/").status == 503, "the queue to be full")
    gone.close()
    proxy.logged(status=499)
    second = ask(proxy, 1, first=2)
    gate.open()
    assert first.statuses() == second.statuses() == [200]
    assert [r.target for r in shop.requests] == ["/wait/0", "/wait/2"]


def test_a_backend_that_comes_up_takes_those_who_wait_for_the_others(edge, origin, ask):
    busy, new = origin("busy"), origin("new")
    gate = busy.on("/wait/0", Gate())
    health = new.on("/healthz", Gate(reply(200)))
    conf = site(busy, new, service={"breaker": {"backend_requests": 1, "pending_timeout": "30s"},
        "health": {"http": {"path": "/healthz"}, "interval": "100ms", "timeout": "20s", "rise": 1, "fall": 1}})
    proxy = edge(conf, workers=1)
    proxy.wait_event("health", backend=f"acme/shop/blue/{busy}", to="up")
    first = ask(proxy, 1)
    gate.wait_arrived(1)
    second = ask(proxy, 1, first=1)
    health.open()
    assert second.statuses() == [200] and new.last.target in ("/wait/1", "/healthz")
    gate.open()
    assert first.statuses() == [200]


def test_a_reload_with_a_higher_limit_lets_those_who_wait_through(edge, shop, ask):
    gate = shop.always(Gate())
    proxy = edge(limited(shop, requests=1), workers=1)
    clients = ask(proxy, 3)
    gate.wait_arrived(1)
    proxy.reload(limited(shop, requests=3))
    gate.wait_arrived(3)
    gate.open()
    assert clients.statuses() == [200] * 3


def test_each_worker_has_its_part_of_the_limit(edge, shop, ask):
    gate = shop.always(Gate())
    proxy = edge(limited(shop, requests=4), workers=2)
    clients = ask(proxy, 30)
    # Which worker a client meets is chance: one of them may have had nobody, none has more than two.
    gate.wait_arrived(2)
    assert shop.count <= 4
    gate.open()
    assert clients.statuses() == [200] * 30


def test_a_limit_does_not_make_a_pool_spill(edge, origin, ask):
    blue, green = origin("blue"), origin("green")
    gate = blue.always(Gate())
    proxy = edge(site(pools={"blue": pool(blue, weight=100), "green": pool(green, weight=0)},
        service={"breaker": {"backend_requests": 1, "pending_timeout": "20s"}}), workers=1)
    clients = ask(proxy, 3)
    gate.wait_arrived(1)
    gate.open()
    assert clients.statuses() == [200] * 3 and green.count == 0


# -- who waits for the first pass --

def checking(shop, **breaker):
    return site(shop, service={"breaker": {"pending_timeout": "30s", **breaker},
        "health": {"http": {"path": "/healthz"}, "interval": "100ms", "timeout": "60s", "rise": 1, "fall": 1}})


def test_those_who_wait_for_the_first_pass_are_bounded_too(edge, shop, ask):
    gate = shop.on("/healthz", Gate(reply(200)))
    proxy = edge(checking(shop, pending=3), workers=1)
    gate.wait_arrived()
    clients = ask(proxy, 3)
    refused = eventually(lambda: (r := proxy.get("/")).status == 503 and r, "one to be refused")
    assert refused.header("x-weir-reason") == "pending_full" and refused.header("retry-after") == "1"
    gate.open()
    assert clients.statuses() == [200] * 3
    assert {r.target for r in shop.requests} == {"/healthz", "/wait/0", "/wait/1", "/wait/2"}


def test_who_waits_for_a_backend_that_a_reload_takes_away_goes_to_the_others_of_its_own_pool(edge, origin, ask):
    old, new = origin("old"), origin("new")
    gate = old.on("/healthz", Gate(reply(200)))
    proxy = edge(checking(old), workers=1)
    gate.wait_arrived()
    clients = ask(proxy, 2)
    eventually(lambda: len(proxy.access_log()) == 0 and proxy.get("/x", headers={"Host": "nobody.test"}).status == 404, "them to wait")
    began = time.monotonic()
    proxy.reload(site(new))
    # Their pool has nobody left: they are told at once, not after half a minute.
    assert clients.statuses() == [503] * 2 and time.monotonic() - began < 15
    assert proxy.logged(status=503)["reason"] == "no_backend"
    assert proxy.get("/").body == b"new"


def test_who_waits_for_a_connection_to_a_backend_that_is_taken_away_is_sent_to_another(edge, origin, silent_port, ask):
    shop = origin("shop")

    def conf(*backends):
        return site(*backends, service={"balance": {"hash": {"path": True}}, "retries": {"attempts": 1}}, timeouts={"connect": "30s"})
    proxy = edge(conf(silent_port, shop), workers=1)
    clients = ask(proxy, 12)  # some paths are the silent one's
    eventually(lambda: 0 < shop.count < 12, "some to be answered")
    silent = 12 - eventually(lambda: len(proxy.access_log()), "answers")
    assert silent > 0
    began = time.monotonic()
    proxy.reload(conf(shop))
    assert clients.statuses() == [200] * 12 and time.monotonic() - began < 15
    assert shop.count == 12


# -- breaker.adaptive --

def test_adaptive_keeps_a_backend_that_serves_two_at_once_from_a_long_queue(edge, origin):
    """It works on two requests at a time, 10 ms each. Sixty clients that always want something would all stand in line inside it."""
    shop, two, inside, lines = origin("shop"), threading.BoundedSemaphore(2), set(), []

    def work(x):
        x.read_body()
        inside.add(x)
        lines.append(len(inside))
        with two:
            time.sleep(0.01)
        inside.discard(x)
        reply(200, b"done")(x)
    shop.always(work)
    proxy = edge(site(shop, service={"retries": {"attempts": 1},
        "breaker": {"adaptive": {"min": 2, "max": 200}, "pending": 25, "pending_timeout": "1s"}}), workers=1)
    stop, refused = threading.Event(), []

    def client():
        with proxy.connect() as c:
            while not stop.is_set():
                r = c.get("/")
                if r.status == 503:
                    refused.append((r.header("x-weir-reason"), r.header("retry-after")))
                    time.sleep(0.01)
    def line():
        """Half the time there were no more than so many inside: sixty, if nothing limits them."""
        return sorted(lines[-200:])[100] if len(lines) >= 200 else 60
    threads = [threading.Thread(target=client) for _ in range(60)]
    for t in threads:
        t.start()
    try:
        eventually(lambda: line() < 45, lambda: f"a shorter line than {line()}", PATIENCE * 6)
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert set(refused) == {("breaker_adaptive", "1")}


def test_adaptive_limits_the_wait_for_answers_not_their_length(edge, shop):
    """Downloads and tunnels that go on for long do not take the place of requests that wait for theirs."""
    gate = threading.Event()

    def long(x):
        x.read_body()
        x.head(200, (), None)
        x.body(b"begins")
        gate.wait(20)
        x.end()
    shop.on("/long", long)
    proxy = edge(site(shop, service={"breaker": {"adaptive": {"min": 1, "max": 2}, "pending": 1}}), workers=1)
    clients = [proxy.connect() for _ in range(8)]
    for i, c in enumerate(clients):
        c.send(build("GET", "/long"))
        shop.wait_count(i + 1)
        eventually(lambda: proxy.get("/").status == 200, "another one to be served meanwhile")
    gate.set()
    assert [c.response().status for c in clients] == [200] * 8
    for c in clients:
        c.close()


def test_adaptive_says_what_it_is_when_the_queue_is_over(edge, shop, ask):
    gate = shop.always(Gate())
    proxy = edge(site(shop, service={"retries": {"attempts": 1},
        "breaker": {"adaptive": {"min": 1, "max": 1}, "pending": 1, "pending_timeout": "300ms"}}), workers=1)
    first = ask(proxy, 1)
    gate.wait_arrived()
    late = ask(proxy, 1, first=1)
    assert late.statuses() == [503]
    assert proxy.logged(status=503)["reason"] == "breaker_adaptive"
    gate.open()
    assert first.statuses() == [200] and proxy.get("/").status == 200
