"""Limits of one tenant: exact over all workers, and no other tenant notices."""
import threading
import time

import pytest

from support.answers import Gate, big, reply
from support.config import pool, site
from support.http1 import build
from support.prometheus import scrape
from support.wire import eventually


def limited(origin, **limits):
    return site(origin, tenant={"limits": limits})


def two_tenants(blue, green, **limits):
    conf = limited(blue, **limits)
    conf["tenants"]["other"] = {"hosts": ["other.test"], "services": {"shop": {"pools": {"green": pool(green)}}}}
    return conf


def refused(proxy, reason):
    return scrape(proxy).sum("weir_tenant_refused_total", tenant="acme", reason=reason)


def test_a_tenant_gets_no_more_than_its_rate_over_all_workers(edge, origin):
    proxy = edge(limited(origin(), requests_per_second=1, burst=5), workers=2)
    start = time.monotonic()
    statuses = [proxy.get("/").status for _ in range(40)]
    passed = int(time.monotonic() - start) + 1
    assert set(statuses) == {200, 429} and 5 <= statuses.count(200) <= 5 + passed
    r = proxy.logged(n=statuses.count(429), status=429, reason="tenant_rate")
    assert r["tenant"] == "acme" and refused(proxy, "tenant_rate") == statuses.count(429)


def test_who_is_refused_is_told_when_to_come_back(edge, origin):
    proxy = edge(limited(origin(), requests_per_second=1, burst=1))
    with proxy.connect() as c:
        r = next(r for r in (c.get("/") for _ in range(100)) if r.status != 200)
    assert (r.status, r.header("retry-after"), r.header("x-weir-reason")) == (429, "1", "tenant_rate")


def test_requests_in_flight_are_counted_over_all_workers(edge, origin):
    blue = origin()
    gate = blue.always(Gate())
    proxy = edge(limited(blue, concurrent_requests=3), workers=2)
    conns = [proxy.connect() for _ in range(3)]
    for c in conns:
        c.send(build("GET", "/"))
    gate.wait_arrived(3)
    for _ in range(4):
        r = proxy.get("/")
        assert (r.status, r.header("x-weir-reason")) == (503, "tenant_requests")
    assert scrape(proxy).sum("weir_tenant_requests_in_flight", tenant="acme") == 3
    gate.open()
    assert [c.response().status for c in conns] == [200] * 3
    eventually(lambda: scrape(proxy).sum("weir_tenant_requests_in_flight", tenant="acme") == 0, "none in flight")
    assert proxy.get("/").status == 200
    for c in conns:
        c.close()


def test_a_connection_counts_for_the_tenant_of_its_first_request(edge, origin):
    proxy = edge(two_tenants(origin("blue"), origin("green"), connections=2), workers=2)
    mine = [proxy.connect() for _ in range(2)]
    others = [proxy.connect() for _ in range(4)]
    assert all(c.get("/").status == 200 for c in mine)
    assert all(c.get("/", host="other.test").status == 200 for c in others)
    with proxy.connect() as c:
        r = c.get("/")
        assert (r.status, r.header("x-weir-reason"), r.header("connection")) == (503, "tenant_connections", "close")
    with proxy.connect2() as c:
        assert c.get("/").status == 503
        c.wait_goaway()
    mine.pop().close()
    eventually(lambda: scrape(proxy).sum("weir_tenant_connections", tenant="acme") == 1, "the connection to be gone")
    assert proxy.get("/").status == 200
    for c in mine + others:
        c.close()


def test_heads_and_bodies_of_a_tenant_are_limited(edge, origin):
    proxy = edge(two_tenants(origin("blue"), origin("green"), body=1000, header_bytes=2000))
    assert proxy.request("POST", "/", body=b"x" * 1000).status == 200
    r = proxy.request("POST", "/", body=b"x" * 1001)
    assert (r.status, r.header("x-weir-reason")) == (413, "tenant_body")
    with proxy.connect() as c:
        c.send(build("POST", "/", body=[b"x" * 600, b"x" * 600], chunked=True))
        assert c.response().status == 413
    r = proxy.get("/", headers={"X-Long": "x" * 2000})
    assert (r.status, r.header("x-weir-reason")) == (431, "tenant_headers")
    assert proxy.request("POST", "/", headers={"X-Long": "x" * 2000}, body=b"x" * 5000, host="other.test").status == 200
    assert (refused(proxy, "tenant_body"), refused(proxy, "tenant_headers")) == (2, 1)


def test_answers_come_no_faster_than_the_bandwidth(edge, origin):
    blue = origin()
    blue.always(big(1_500_000))
    proxy = edge(limited(blue, bandwidth=1_000_000))
    start = time.monotonic()
    assert len(proxy.get("/").body) == 1_500_000
    assert time.monotonic() - start > 1.0
    proxy.reload(limited(blue, bandwidth=1_000_000_000))
    assert len(proxy.get("/").body) == 1_500_000


def test_who_leaves_just_after_the_bandwidth_has_hurts_nobody(edge, origin):
    blue = origin()
    blue.on("/big", big(10_000_000))
    proxy = edge(limited(blue, bandwidth=10_000), workers=1)
    worker = proxy.worker_pid()
    readers = [proxy.connect() for _ in range(8)]
    for reader in readers:
        reader.send(build("GET", "/big"))
    blue.wait_count(len(readers))
    proxy.reload(site(blue))
    for reader in readers:
        reader.reset()
    proxy.logged(n=len(readers), path="/big")
    for _ in range(20):  # as many ticks would have met what they left behind
        assert proxy.get("/").status == 200
        time.sleep(0.02)
    assert proxy.worker_pid() == worker


def test_small_answers_share_the_bandwidth(edge, origin):
    blue = origin()
    blue.always(reply(200, b"x" * 10_000))
    proxy = edge(limited(blue, bandwidth=100_000), workers=2)
    start = time.monotonic()
    with proxy.connect() as a, proxy.connect() as b:
        for _ in range(8):
            assert (len(a.get("/").body), len(b.get("/").body)) == (10_000, 10_000)
    assert time.monotonic() - start > 1.0


def test_only_so_many_requests_of_a_tenant_wait(edge, origin):
    blue = origin()
    gate = blue.always(Gate())
    conf = limited(blue, queue=2)
    conf["tenants"]["acme"]["services"]["shop"] |= {"breaker": {"backend_requests": 1, "pending": 100, "pending_timeout": "20s"}}
    proxy = edge(conf, workers=1)
    conns = [proxy.connect() for _ in range(3)]
    for c in conns:
        c.send(build("GET", "/"))
    gate.wait_arrived(1)
    eventually(lambda: scrape(proxy).sum("weir_tenant_requests_waiting", tenant="acme") == 2, "two to wait")
    r = proxy.get("/")
    assert (r.status, r.header("x-weir-reason")) == (503, "tenant_queue")
    gate.open()
    assert [c.response().status for c in conns] == [200] * 3
    for c in conns:
        c.close()


def test_a_tenant_without_retries_gets_the_first_failure(edge, origin, refused_port):
    conf = limited(origin(), retries="0%")
    shop = conf["tenants"]["acme"]["services"]["shop"]
    shop["balance"] = "round_robin"
    shop["pools"]["blue"]["backends"].append(f"127.0.0.1:{refused_port.port}")
    proxy = edge(conf, workers=1)
    assert sorted({proxy.get("/").status for _ in range(4)}) == [200, 502]


@pytest.mark.parametrize("changed", [{"requests_per_second": 1, "burst": 8}, {"requests_per_second": 1, "burst": 4, "connections": 1000}])
def test_a_reload_does_not_forgive_what_was_used(edge, origin, changed):
    blue = origin()
    proxy = edge(limited(blue, requests_per_second=1, burst=4))
    start = time.monotonic()
    before = [proxy.get("/").status for _ in range(10)].count(200)
    proxy.reload(limited(blue, **changed))
    after = [proxy.get("/").status for _ in range(10)].count(200)
    assert before + after <= changed["burst"] + time.monotonic() - start + 1


def test_a_tenant_that_has_used_up_a_small_limit_gets_a_larger_one_at_once(edge, origin):
    blue = origin()
    proxy = edge(limited(blue, requests_per_second=1, burst=200))
    with proxy.connect() as c:
        assert 429 in (c.get("/").status for _ in range(2000))
    proxy.reload(limited(blue, requests_per_second=1000, burst=10))
    eventually(lambda: proxy.get("/").status == 200, "a request to pass")  # at the old rate it would take 190 s


def test_a_connection_that_stays_keeps_its_place_through_reloads(edge, origin):
    blue = origin()
    proxy = edge(limited(blue, connections=1))
    with proxy.connect() as c:
        assert c.get("/").status == 200
        proxy.reload(limited(blue, connections=1, queue=7))
        assert proxy.get("/").status == 503
        assert c.get("/").status == 200
    eventually(lambda: proxy.get("/").status == 200, "the place to come free")


class Flood(threading.Thread):
    """Asks for one host as fast as it can."""

    def __init__(self, proxy, host):
        super().__init__(daemon=True)
        self.proxy, self.host, self.halt, self.statuses = proxy, host, threading.Event(), []

    def run(self):
        with self.proxy.connect() as c:
            while not self.halt.is_set():
                self.statuses.append(c.get("/", host=self.host).status)


def test_a_tenant_far_above_its_limit_leaves_the_others_alone(edge, origin):
    """In counts: the others get all that they ask for, and the flood reaches no backend. What it costs in time is the bench's to say."""
    blue, green = origin("blue"), origin("green")
    proxy = edge(two_tenants(blue, green, requests_per_second=5, burst=5), workers=2)
    start = time.monotonic()
    floods = [Flood(proxy, "acme.test") for _ in range(4)]
    for f in floods:
        f.start()
    eventually(lambda: sum(len(f.statuses) for f in floods) > 50, "the flood")
    with proxy.connect() as h1, proxy.connect2() as h2:
        for _ in range(100):
            assert h1.get("/", host="other.test").status == h2.get("/", authority="other.test").status == 200
    eventually(lambda: sum(len(f.statuses) for f in floods) > 1000, "two hundred times the limit")
    for f in floods:
        f.halt.set()
    for f in floods:
        f.join()
    passed = time.monotonic() - start
    statuses = [s for f in floods for s in f.statuses]
    assert statuses.count(200) == blue.count <= 5 + 5 * passed + 1
    assert set(statuses) == {200, 429} and refused(proxy, "tenant_rate") == statuses.count(429)
    assert green.count == 200


def test_to_be_refused_costs_weir_no_more_than_to_be_served(edge, origin):
    proxy = edge(two_tenants(origin("blue"), origin("green"), requests_per_second=1, burst=1), workers=1)

    def cost(host, status, n=1000):
        with proxy.connect() as c:
            c.get("/", host=host)
            before = proxy.cpu_seconds()
            assert {c.get("/", host=host).status for _ in range(n)} >= {status}
            return proxy.cpu_seconds() - before
    served, turned_away = cost("other.test", 200), cost("acme.test", 429)
    assert turned_away < 1.5 * served + 0.05, (served, turned_away)
