"""Backends that fail real requests: ejected, taken back; and what keeps a pool that fails as a whole from being asked too much."""
import threading
import time

import pytest

from support import answers
from support.answers import Gate, in_turn, reply
from support.config import site
from support.load import Load
from support.prometheus import scrape
from support.wire import PATIENCE, eventually

ERROR = reply(500, b"sorry")
NO_RETRY = {"attempts": 1}


def watched(*backends, retries=NO_RETRY, service=None, **outlier):
    return site(*backends, service={"balance": "round_robin", "outlier": {"interval": "60s", **outlier}, "retries": retries, **(service or {})})


def name(backend):
    return f"acme/shop/blue/{backend}"


def ask_until(proxy, condition):
    """Requests, one after the other, until it is so; what they were answered."""
    statuses = []

    def asked():
        statuses.append(proxy.get("/").status)
        return condition()
    eventually(asked, "what requests were to bring about")
    return statuses


def events_of(proxy, kind, backend):
    return [e for e in proxy.events(kind) if e["backend"] == name(backend)]


def test_five_errors_in_a_row_eject_and_each_ejection_is_longer(edge, origin):
    good, bad = origin("good"), origin("bad")
    bad.always(ERROR)
    proxy = edge(watched(good, bad, consecutive_errors=5, ejection="1s"))
    for times in 1, 2:
        before = bad.count
        ask_until(proxy, lambda n=times: len(events_of(proxy, "ejected", bad)) == n)
        event = proxy.events("ejected")[-1]
        assert (event["reason"], event["times"], event["for_ms"]) == ("consecutive_errors", times, 1000 * times)
        assert (event["pool_ejected"], event["pool_size"], event["level"]) == (1, 2, "warning")
        assert bad.count >= before + 5
        out_at = bad.count
        statuses = [proxy.get("/").status for _ in range(10)]
        if len(events_of(proxy, "returned", bad)) < times:
            assert bad.count == out_at and statuses == [200] * 10
        proxy.wait_event("returned", n=times, backend=name(bad))
    bad.always(reply(200, b"well again"))
    ask_until(proxy, lambda: bad.count > out_at)
    assert len(events_of(proxy, "ejected", bad)) == 2


def test_errors_with_good_answers_between_them_are_not_in_a_row(edge, origin):
    good, moody = origin("good"), origin("moody")
    moody.always(in_turn(*[ERROR, ERROR, reply(200, b"ok")] * 8))
    proxy = edge(watched(good, moody, consecutive_errors=3, ejection="60s"))
    ask_until(proxy, lambda: moody.count >= 24)
    assert proxy.events("ejected") == []


@pytest.mark.parametrize("status", [404, 429, 501, 505])
def test_answers_that_are_about_the_request_do_not_eject(edge, origin, status):
    good, strict = origin("good"), origin("strict")
    strict.always(reply(status))
    proxy = edge(watched(good, strict, consecutive_errors=2))
    ask_until(proxy, lambda: strict.count >= 6)
    assert proxy.events("ejected") == []


@pytest.mark.parametrize("fault", [answers.reset_at_once, answers.close_at_once, answers.raw(b"nonsense\r\n\r\n"), answers.cut(),
                                   answers.cut_chunked(how="reset")], ids=["reset", "close", "garbage", "cut body", "cut chunks"])
def test_answers_that_do_not_come_eject(edge, origin, fault):
    good, bad = origin("good"), origin("bad")
    bad.always(fault)
    proxy = edge(watched(good, bad, consecutive_errors=3, ejection="60s"))

    def ejected():
        with proxy.connect() as c:
            c.send(b"GET / HTTP/1.1\r\nHost: acme.test\r\nConnection: close\r\n\r\n")
            c.until_closed()
        return events_of(proxy, "ejected", bad)
    eventually(ejected, "the ejection")
    assert events_of(proxy, "ejected", bad)[0]["reason"] == "consecutive_failures"


def test_one_that_hangs_is_ejected_and_costs_no_more_requests(edge, origin):
    good, stuck = origin("good"), origin("stuck")
    stuck.always(answers.hang)
    proxy = edge(watched(good, stuck, consecutive_errors=2, ejection="60s", retries={"attempts": 2, "on": ["timeout"], "per_try_timeout": "200ms"}))
    assert set(ask_until(proxy, lambda: events_of(proxy, "ejected", stuck))) == {200}
    before = stuck.count
    assert [proxy.get("/").status for _ in range(10)] == [200] * 10
    assert stuck.count == before


def test_a_dead_backend_is_ejected_and_nobody_notices(edge, origin, refused_port):
    proxy = edge(watched(origin("shop"), refused_port, consecutive_errors=3, ejection="60s", retries={"attempts": 2}))
    assert set(ask_until(proxy, lambda: proxy.events("ejected"))) == {200}
    assert proxy.events("ejected")[0]["reason"] == "consecutive_failures"
    proxy.get("/last")
    assert proxy.logged(path="/last")["attempts"] == 1


def test_never_more_than_the_share(edge, origin):
    backends = [origin(f"b{i}") for i in range(4)]
    for b in backends[1:]:
        b.always(ERROR)
    proxy = edge(watched(*backends, consecutive_errors=2, ejection="60s", max_ejected="50%", service={"panic_threshold": "0%"}))
    ask_until(proxy, lambda: len(proxy.events("ejected")) == 2 and proxy.events("ejection_spared"))
    out = {e["backend"] for e in proxy.events("ejected")}
    left = next(b for b in backends[1:] if name(b) not in out)
    assert len(out) == 2 and proxy.events("ejection_spared")[0]["backend"] == name(left)
    ask_until(proxy, lambda: left.count >= 10)
    assert len(proxy.events("ejected")) == 2


def test_the_last_one_stays_whatever_the_share(edge, origin):
    one, two = origin("one"), origin("two")
    one.always(ERROR)
    two.always(ERROR)
    proxy = edge(watched(one, two, consecutive_errors=2, ejection="60s", max_ejected="100%", service={"panic_threshold": "0%"}))
    ask_until(proxy, lambda: proxy.events("ejection_spared"))
    assert len(proxy.events("ejected")) == 1
    assert proxy.get("/").status == 500


def test_a_pool_of_one_has_nobody_to_spare(edge, origin):
    only = origin("only")
    only.always(ERROR)
    proxy = edge(watched(only, consecutive_errors=2))
    ask_until(proxy, lambda: proxy.events("ejection_spared"))
    assert proxy.events("ejected") == []


def test_who_is_ejected_counts_for_the_panic_threshold(edge, origin):
    backends = [origin(f"b{i}") for i in range(3)]
    for b in backends[1:]:
        b.always(ERROR)
    proxy = edge(watched(*backends, consecutive_errors=2, ejection="60s", max_ejected="100%"))
    ask_until(proxy, lambda: len(proxy.events("ejected")) == 2)
    event = proxy.wait_event("panic")
    assert (event["pool"], event["on"], event["pool_up"], event["pool_size"]) == ("acme/shop/blue", True, 1, 3)
    [pool] = proxy.admin("GET", "/v1/services/acme/shop").json()["pools"]
    assert (pool["panic"], pool["up"]) == (True, 1)
    assert scrape(proxy).value("weir_pool_panic", pool="blue") == 1
    before = [b.count for b in backends]
    ask_until(proxy, lambda: all(b.count > n for b, n in zip(backends, before)))


def test_a_pool_whose_last_one_up_is_ejected_is_empty_and_says_when_it_is_not(edge, origin):
    """One has failed its checks and is down; the other one fails what it is asked."""
    ill, bad = origin("ill"), origin("bad")
    bad.always(ERROR)
    for o in (ill, bad):
        o.on("/healthz", reply(200))
    conf = watched(ill, bad, consecutive_errors=2, ejection="1s", max_ejected="100%", service={"panic_threshold": "0%",
        "health": {"http": {"path": "/healthz"}, "interval": "100ms", "rise": 1, "fall": 1}})
    proxy = edge(conf)
    proxy.wait_event("health", 2, to="up")
    ask_until(proxy, lambda: proxy.events("ejected"))
    ill.on("/healthz", reply(503))
    proxy.wait_event("pool_empty", pool="acme/shop/blue")
    # It comes back by itself, and the pool with it: once at the start, once now.
    proxy.wait_event("pool_up", 2, pool="acme/shop/blue")
    assert [e["event"] for e in proxy.events() if e["event"] in ("pool_up", "pool_empty")] == ["pool_up", "pool_empty", "pool_up"]


def test_one_that_returns_warms_up(edge, origin):
    """... as one does that has been down: an hour's ramp has hardly begun."""
    good, bad = origin("good"), origin("bad")
    bad.always(ERROR)
    proxy = edge(watched(good, bad, consecutive_errors=2, ejection="1s", service={"health": {"tcp": {}, "slow_start": "1h"}}), workers=1)
    proxy.wait_event("health", 2, to="up")
    ask_until(proxy, lambda: proxy.events("ejected"))
    bad.always(reply(200, b"bad"))
    proxy.wait_event("returned")
    # A sixteenth of its weight: 1 in 17.
    with proxy.connect() as c:
        share = sum(c.get("/").body == b"bad" for _ in range(170)) / 170
    assert 0 < share < 0.12


def test_a_reload_keeps_the_ejection_and_turning_it_off_ends_it(edge, origin):
    good, bad = origin("good"), origin("bad")
    bad.always(ERROR)
    conf = watched(good, bad, consecutive_errors=2, ejection="60s")
    proxy = edge(conf)
    ask_until(proxy, lambda: proxy.events("ejected"))
    before = bad.count
    proxy.reload({**conf, "timeouts": {"connect": "1s"}})
    assert [proxy.get("/").status for _ in range(10)] == [200] * 10 and bad.count == before
    proxy.reload(site(good, bad, service={"balance": "round_robin"}))
    ask_until(proxy, lambda: bad.count > before)
    proxy.reload(conf)
    ask_until(proxy, lambda: len(proxy.events("ejected")) == 2)


def test_one_that_fails_more_than_its_neighbours_is_ejected_without_any_row(edge, origin):
    backends = [origin(f"b{i}") for i in range(5)]
    backends[3].always(in_turn(*[ERROR, reply(200, b"ok")] * 100000))
    proxy = edge(watched(*backends, consecutive_errors=100, interval="3s", ejection="60s"))
    with Load(proxy.address(), check=lambda r: True) as load:
        eventually(lambda: proxy.events("ejected") or load.failures, "the ejection", patience=PATIENCE * 4)
    assert not load.failures
    assert [(e["backend"], e["reason"]) for e in proxy.events("ejected")] == [(name(backends[3]), "success_rate")]


# -- what a pool that fails as a whole is spared --

@pytest.mark.parametrize("fault", [reply(503, b"busy"), answers.reset_at_once], ids=["503", "reset"])
def test_when_all_fail_retries_stay_within_their_budget(edge, origin, fault):
    backends = [origin(f"b{i}") for i in range(3)]
    for b in backends:
        b.always(fault)
    proxy = edge(site(*backends, service={"retries": {"attempts": 3}}))
    asked, clients, began = 150, 4, time.monotonic()

    def client():
        for _ in range(asked):
            assert proxy.get("/").status in (502, 503)
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    requests, seconds = asked * clients, time.monotonic() - began
    upstream = sum(b.count for b in backends)
    assert requests < upstream <= 1.2 * requests + 3 * proxy.workers * (seconds + 2)
    record = proxy.logged(attempts=1)
    assert not record.get("retried")


def test_the_same_backend_is_asked_again_only_after_a_pause(edge, origin):
    shop = origin("shop")
    shop.always(in_turn(answers.reset_at_once, answers.reset_at_once, reply(200, b"third")))
    proxy = edge(site(shop, service={"retries": {"attempts": 3}}))
    assert proxy.get("/").body == b"third"
    record = proxy.logged(attempts=3)
    assert record["duration_ms"] >= 49 and record["retried"] == "upstream_reset"


def test_a_client_that_leaves_during_the_pause_is_not_asked_for_again(edge, origin):
    shop = origin("shop")
    shop.always(answers.reset_at_once)
    proxy = edge(site(shop, service={"retries": {"attempts": 10, "budget": "100%"}}))
    with proxy.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        shop.wait_count(2)
        c.reset()
    record = proxy.logged(status=499)
    assert record["attempts"] == shop.count < 10


def test_an_answer_that_asks_for_patience_is_passed_on(edge, origin):
    busy, fine = origin("busy"), origin("fine")
    proxy = edge(site(busy, fine, service={"balance": "round_robin", "retries": {"budget": "100%"}}), workers=1)
    busy.always(reply(503, b"later", {"Retry-After": "30"}))
    ask_until(proxy, lambda: busy.count and fine.count)
    assert 503 in {proxy.get("/").status for _ in range(2)}
    busy.always(reply(503, b"at once", {"Retry-After": "0"}))
    assert [proxy.get("/").status for _ in range(4)] == [200] * 4


def test_more_requests_than_the_breaker_allows_are_refused_at_once(edge, origin):
    gate = Gate()
    shop = origin("shop")
    shop.on("/wait", gate)
    proxy = edge(site(shop, service={"breaker": {"requests": 2}}), workers=1)
    with proxy.connect() as one, proxy.connect() as two:
        for c in one, two:
            c.send(b"GET /wait HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        gate.wait_arrived(2)
        refused = proxy.get("/")
        assert (refused.status, refused.header("x-weir-reason"), refused.header("retry-after")) == (503, "breaker_requests", "1")
        gate.open()
        assert [c.response().status for c in (one, two)] == [200, 200]
    assert proxy.get("/").status == 200
    assert proxy.logged(reason="breaker_requests")["attempts"] == 0


def test_the_breaker_counts_over_all_workers(edge, origin):
    """However unevenly connections fall on the workers: here all requests come to one of two."""
    gate = Gate()
    shop = origin("shop")
    shop.on("/wait", gate)
    proxy = edge(site(shop, service={"breaker": {"requests": 8}}), workers=2)
    with proxy.connect2() as c:
        held = [c.start(path="/wait") for _ in range(8)]
        c.flush()
        gate.wait_arrived(8)
        assert c.response(c.start()).header("x-weir-reason") == "breaker_requests"
        gate.open()
        assert [c.response(sid).status for sid in held] == [200] * 8
