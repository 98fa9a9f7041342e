"""What is tried again, and what must never be."""
import os

import pytest

from support import answers
from support.answers import Gate, in_turn, reply
from support.config import site
from support.faulty_origin import FAULTS, FaultyOrigins
from support.http1 import build
from support.orders import post_orders
from support.wire import eventually

ALL = ["connect", "reset", "refused_stream", "502", "503", "504", "timeout"]


def retrying(*backends, attempts=3, on=("connect", "reset", "refused_stream", "503"), budget="100%", **service):
    return site(*backends, service={"retries": {"attempts": attempts, "on": list(on), "budget": budget}, "balance": "round_robin", **service})


@pytest.fixture
def shop(origin):
    return origin("shop")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_connection_goes_to_the_next_backend_whatever_the_method(edge, shop, refused_port, method):
    """Not a byte was sent, so a POST is as safe as a GET."""
    proxy = edge(retrying(refused_port, shop))
    for i in range(6):
        r = proxy.request(method, f"/{i}", body=b"payload" if method == "POST" else b"")
        assert r.body == b"shop"
    assert shop.count == 6 and all(r.complete for r in shop.requests)
    assert proxy.logged(attempts=2)["backend"] == str(shop)


def test_all_refused_is_502_and_says_what_was_tried(edge, refused_port):
    proxy = edge(retrying(refused_port))
    assert proxy.get("/").status == 502
    record = proxy.logged()
    assert record["reason"] == "upstream_refused" and record["side"] == "upstream" and record["backend"] == str(refused_port)


def test_attempts_bounds_the_tries(edge, origin):
    backends = [origin(f"b{i}") for i in range(5)]
    for b in backends:
        b.always(answers.reset_at_once)
    proxy = edge(retrying(*backends, attempts=3))
    assert proxy.get("/").status == 502
    assert sum(b.count for b in backends) == 3
    assert proxy.logged()["attempts"] == 3


@pytest.mark.parametrize("attempts", [0, 1])
def test_attempts_1_or_none_is_no_retry(edge, shop, attempts):
    shop.always(answers.reset_at_once)
    assert edge(retrying(shop, attempts=attempts)).get("/").status == 502
    assert shop.count == 1


@pytest.fixture
def twins(origin):
    """Two backends with one script: what the first is asked and what the second is, is told apart by the turn."""
    both = origin("one"), origin("two")

    def script(*turns):
        answer = in_turn(*turns)
        for b in both:
            b.always(answer)
        return both
    return script


def test_a_get_that_was_reset_before_its_answer_is_repeated(edge, twins):
    assert edge(retrying(*twins(answers.reset_at_once, reply(200, b"second")))).get("/").body == b"second"


@pytest.mark.parametrize("method", ["POST", "PATCH", "PURGE"])
@pytest.mark.parametrize("fault", [answers.reset_at_once, answers.close_at_once], ids=["reset", "close"])
def test_what_may_have_been_done_is_not_done_again(edge, twins, method, fault):
    one, two = twins(fault)
    proxy = edge(retrying(one, two, on=ALL))
    assert proxy.request(method, "/order", body=b"one book").status == 502
    assert one.count + two.count == 1
    assert proxy.logged()["attempts"] == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_idempotent_methods_may_be(edge, twins, method):
    one, two = twins(answers.close_at_once, reply(200, b"again"))
    assert edge(retrying(one, two)).request(method, "/", body=b"x" if method == "PUT" else b"").status == 200
    assert one.count + two.count == 2


def test_nothing_is_repeated_once_an_answer_has_begun(edge, twins):
    one, two = twins(answers.cut())
    with edge(retrying(one, two, on=ALL)).connect() as c:
        c.send(build("GET", "/"))
        c.until_closed()
    assert one.count + two.count == 1


def test_a_status_is_a_reason_only_where_it_is_named(edge, twins):
    one, two = twins(reply(503, b"busy"))
    proxy = edge(retrying(one, two, attempts=2, on=["connect"]))
    r = proxy.get("/")
    assert (r.status, r.body, one.count + two.count) == (503, b"busy", 1)
    proxy.reload(retrying(one, two, attempts=2, on=["503"]))
    r = proxy.get("/")
    assert (r.status, r.body, one.count + two.count) == (503, b"busy", 3)


def test_503_goes_to_another_backend(edge, origin):
    busy, fine = origin("busy"), origin("fine")
    busy.always(reply(503, b"busy"))
    proxy = edge(retrying(busy, fine))
    assert [proxy.get(f"/{i}").body for i in range(6)] == [b"fine"] * 6


def test_a_503_to_a_post_is_passed_on(edge, origin):
    busy = origin("busy")
    busy.always(reply(503, b"busy"))
    assert edge(retrying(busy)).request("POST", "/", body=b"x").status == 503
    assert busy.count == 1


# -- kept connections that are not there any more --

def test_a_pooled_connection_that_the_backend_closed_is_not_used(edge, shop):
    proxy = edge(site(shop), workers=1)
    assert proxy.get("/").status == 200
    shop.drop_connections()
    eventually(lambda: shop.open_connections() == 0, "the connection to end")
    for i in range(5):
        assert proxy.request("POST", f"/{i}", body=b"x").status in (200, 502)
    assert proxy.request("POST", "/last", body=b"x").status == 200
    assert sorted(r.target for r in shop.requests) == sorted({r.target for r in shop.requests}), "a POST was run twice"


def stale_once(shop):
    """Every second request on a connection finds it closed in its face: the backend has read it, and answers nothing."""
    seen = {}

    def answer(x):
        seen[x.conn.index] = seen.get(x.conn.index, 0) + 1
        if seen[x.conn.index] == 2:
            x.read_body()
            x.close()
            return
        reply(200, b"ok")(x)
    shop.always(answer)


def test_a_stale_connection_costs_an_idempotent_request_nothing(edge, shop):
    stale_once(shop)
    proxy = edge(site(shop, service={"retries": {"attempts": 1, "on": []}}), workers=1)
    with proxy.connect() as c:
        assert [c.get(f"/{i}").status for i in range(10)] == [200] * 10


def test_idle_connections_that_all_close_at_once_fail_no_idempotent_request(edge, shop):
    """The one replay goes over a connection of its own: the next idle one may be just as dead."""
    gate = shop.on("/together", Gate())
    proxy = edge(site(shop, service={"retries": {"attempts": 1, "on": []}}), workers=1)
    clients = [proxy.connect() for _ in range(8)]
    for c in clients:
        c.send(build("GET", "/together"))
    gate.wait_arrived(8)
    gate.open()
    for c in clients:
        assert c.response().status == 200
    old = len(shop.connections)

    def close_in_the_face_of_the_second(x):
        x.read_body()
        if x.conn.index < old:
            x.close()
        else:
            reply(200, b"fresh")(x)
    shop.always(close_in_the_face_of_the_second)
    for i, c in enumerate(clients[:4]):
        assert c.get(f"/{i}").body == b"fresh"
    for c in clients:
        c.close()


def test_a_post_on_a_stale_connection_is_never_run_twice(edge, shop):
    stale_once(shop)
    proxy = edge(retrying(shop, on=ALL), workers=1)
    with proxy.connect() as c:
        statuses = [c.request("POST", f"/{i}", body=b"x").status for i in range(10)]
    assert set(statuses) <= {200, 502} and 502 in statuses
    assert [r.target for r in shop.requests] == [f"/{i}" for i in range(10)]


def test_racing_closes_never_run_a_post_twice_nor_fail_a_get(edge, shop):
    """The backend closes after every answer without having said so: each next request races with the FIN."""
    shop.always(reply(200, b"ok", close=True))
    proxy = edge(retrying(shop), workers=1)
    with proxy.connect() as c:
        for i in range(200):
            if i % 2:
                assert c.request("POST", f"/{i}", body=b"x").status in (200, 502)
            else:
                assert c.get(f"/{i}").status == 200
    posts = [r.target for r in shop.requests if r.method == "POST"]
    assert len(posts) == len(set(posts))


ORDERS = int(os.environ.get("WEIR_ORDERS", "4000"))


@pytest.mark.timeout(600 + ORDERS // 100)
@pytest.mark.parametrize("protocol", ["http1", "h2c"])
def test_many_orders_are_each_run_once_at_most_however_their_backends_break(edge, started, protocol):
    """WEIR_ORDERS POSTs, each with a number; three backends that break off in every phase, and note the numbers that they were given."""
    shop = FaultyOrigins(protocol)
    started.append(shop)
    proxy = edge(retrying(*shop.addresses, on=ALL, protocol=protocol))
    outcomes, done = post_orders(proxy.address(), ORDERS, patience=600 + ORDERS // 100), shop.tally()
    assert done["twice"] == [], f"{len(done['twice'])} of {done['run']} were run again"
    # Each was told of, none was lost; and nobody is thanked for what was not run.
    assert sum(outcomes.values()) == ORDERS and set(outcomes) <= {"200", "502", "cut"}, outcomes
    assert ORDERS * 0.3 < outcomes["200"] <= done["run"] <= ORDERS
    # Chance has left nothing out, nor has it kept weir from trying again what was declined.
    assert set(done["faults"]) == set(FAULTS[protocol]) and (done["declined"] > 0) == (protocol == "h2c")
    assert protocol == "http1" or proxy.logged(status=200, attempts=2)


# -- no storm --

def test_the_budget_keeps_retries_from_multiplying_the_load(edge, shop):
    """All backends fail: what reaches them is the clients' load and the budget's share, not a multiple."""
    shop.always(reply(503, b"down"))
    proxy = edge(retrying(shop, attempts=5, on=["503"], budget="20%"), workers=1)
    with proxy.connect2() as c:
        for _ in range(10):
            sids = [c.start(path="/") for _ in range(50)]
            assert {c.response(s).status for s in sids} == {503}
    assert shop.count <= 500 * 1.6


def test_a_request_body_that_has_gone_by_is_not_sent_half(edge, origin):
    """An upload larger than any buffer: after a fault in the middle the second backend gets all of it, or nothing."""
    bad, good = origin("bad"), origin("good")
    bad.always(lambda x: (x.read_part(), x.reset()))
    proxy = edge(retrying(bad, good))
    for _ in range(2):
        r = proxy.request("PUT", "/", body=b"u" * 3_000_000)
        assert r.status in (200, 502)
    assert all(len(r.body) == 3_000_000 for r in good.requests)


@pytest.mark.parametrize("limit, size, repeated", [("64KiB", 60_000, True), ("64KiB", 70_000, False), ("1MiB", 700_000, True), ("0", 1, False),
    ("0", 0, True)])
def test_a_body_is_sent_again_up_to_the_limit(edge, twins, limit, size, repeated):
    one, two = twins(answers.reset_at_once, reply(200, b"second"))
    conf = retrying(one, two)
    conf["tenants"]["acme"]["services"]["shop"]["retries"]["body"] = limit
    body = answers.pattern(size)
    r = edge(conf, workers=1).request("PUT", "/", body=body)
    assert r.status == (200 if repeated else 502)
    assert one.count + two.count == (2 if repeated else 1)
    assert {bytes(q.body) for q in one.requests + two.requests} == {body}


def test_a_client_that_has_left_is_not_retried_for(edge, origin):
    gate = Gate(answers.reset_at_once)
    shop = origin("shop")
    shop.always(gate)
    proxy = edge(retrying(shop, attempts=5))
    c = proxy.connect()
    c.send(build("GET", "/left"))
    gate.wait_arrived()
    c.reset()
    gate.wait_gone()
    proxy.logged(path="/left", status=499)
    assert shop.count == 1
