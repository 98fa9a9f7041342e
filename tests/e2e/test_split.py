"""Which pool a user meets: the split rule of the contract."""
import collections
import http.cookies

import pytest

from support.answers import Gate, reply
from support.config import pool, site
from support.http1 import build

# The split rule: 1 an allowed override; 2 and 3 a stable id on [0,1), pools laid end to end in declared order; 4 a smooth turn.


@pytest.fixture
def blue(origin):
    return origin("blue")


@pytest.fixture
def green(origin):
    return origin("green")


def split(blue, green, weights, sticky="none", **more):
    return site(pools={"blue": pool(blue, weight=weights[0]), "green": pool(green, weight=weights[1])},
        service={"split": {"sticky": sticky, **more}})


def ask(proxy, n, headers=lambda i: ()):
    """The answers to n requests, pipelined by the hundred on one connection: speed, not concurrency."""
    out = []
    with proxy.connect() as c:
        while len(out) < n:
            batch = range(len(out), min(len(out) + 100, n))
            c.send(b"".join(build("GET", "/", headers(i)) for i in batch))
            out += [c.response().body.decode() for _ in batch]
    return out


@pytest.mark.slow
@pytest.mark.parametrize("sticky", ["none", "header:X-User"])
def test_90_to_10_within_a_point_over_10_000_requests(edge, blue, green, sticky):
    proxy = edge(split(blue, green, (90, 10), sticky))
    got = collections.Counter(ask(proxy, 10_000, lambda i: {"X-User": f"user-{i}"}))
    assert got["blue"] + got["green"] == 10_000
    assert abs(got["green"] / 10_000 - 0.10) <= 0.01


def test_a_turn_is_smooth(edge, blue, green):
    """Without an id, 10 % are one in ten, not a burst of ten in a hundred."""
    got = ask(edge(split(blue, green, (90, 10)), workers=1), 200)
    at = [i for i, who in enumerate(got) if who == "green"]
    assert {b - a for a, b in zip(at, at[1:])} == {10}


def test_weight_0_gets_nobody(edge, blue, green):
    assert set(ask(edge(split(blue, green, (100, 0))), 300)) == {"blue"}
    assert green.count == 0


def test_weights_are_relative_to_their_sum(edge, blue, green):
    got = collections.Counter(ask(edge(split(blue, green, (3, 1)), workers=1), 400))
    assert abs(got["green"] - 100) <= 1


def test_all_weights_0_is_503_and_says_so(edge, blue, green):
    proxy = edge(split(blue, green, (0, 0)))
    assert proxy.get("/").status == 503
    assert proxy.logged()["reason"] == "no_pool"


def test_an_override_header_chooses_the_pool_even_at_weight_0(edge, blue, green):
    proxy = edge(split(blue, green, (100, 0), override={"header": "X-Weir-Pool", "cookie": "weir_pool"}))
    assert proxy.get("/", {"X-Weir-Pool": "green"}).body == b"green"
    assert proxy.get("/", {"Cookie": "a=b; weir_pool=green; c=d"}).body == b"green"
    assert proxy.get("/").body == b"blue"
    assert proxy.logged(pool="green")["pool"] == "green"


@pytest.mark.parametrize("state, answers", [("open", "green"), ("pinned", "green"), ("draining", "blue"), ("closed", "blue")])
def test_a_pool_that_is_not_open_takes_nobody_new(edge, blue, green, state, answers):
    """Testers may still come to one that is only closed for new users."""
    conf = split(blue, green, (50, 50), override={"header": "X-Weir-Pool"})
    proxy = edge(conf)
    conf["tenants"]["acme"]["services"]["shop"]["pools"]["green"]["state"] = state
    proxy.reload(conf, outcome=None)
    assert set(ask(proxy, 40)) == ({"blue", "green"} if state == "open" else {"blue"})
    assert proxy.get("/", {"X-Weir-Pool": "green"}).body.decode() == answers


def test_new_weights_hold_from_the_first_request(edge, blue, green):
    """What a pool has earned under the old weights is forgotten: no burst, no drought."""
    proxy = edge(split(blue, green, (1_000_000, 1)), workers=1)
    assert set(ask(proxy, 20)) == {"blue"}
    proxy.reload(split(blue, green, (1, 1)))
    got = collections.Counter(ask(proxy, 20))
    assert abs(got["green"] - 10) <= 1


def test_an_override_that_names_no_pool_is_ignored(edge, blue, green):
    proxy = edge(split(blue, green, (100, 0), override={"header": "X-Weir-Pool"}))
    assert proxy.get("/", {"X-Weir-Pool": "purple"}).body == b"blue"


def test_an_override_is_for_those_who_may(edge, blue, green):
    proxy = edge(split(blue, green, (100, 0), override={"header": "X-Weir-Pool", "from": ["192.0.2.0/24"]}))
    assert proxy.get("/", {"X-Weir-Pool": "green"}).body == b"blue"


def test_without_override_the_header_means_nothing(edge, blue, green):
    assert edge(split(blue, green, (100, 0))).get("/", {"X-Weir-Pool": "green"}).body == b"blue"


def test_a_cookie_is_issued_once_and_keeps_its_user_in_one_pool(edge, blue, green):
    proxy = edge(split(blue, green, (50, 50), "cookie"))
    for _ in range(10):
        first = proxy.get("/")
        cookie = http.cookies.SimpleCookie(first.header("set-cookie"))["weir_id"]
        assert cookie["path"] == "/" and cookie["httponly"]
        again = [proxy.get("/", {"Cookie": f"weir_id={cookie.value}"}) for _ in range(8)]
        assert {r.body for r in again} == {first.body}
        assert not any("set-cookie" in r.headers for r in again)


def test_cookies_that_are_issued_follow_the_weights(edge, blue, green):
    got = collections.Counter(ask(edge(split(blue, green, (80, 20), "cookie")), 3_000))
    assert abs(got["green"] / 3_000 - 0.20) < 0.03


def test_one_address_stays_in_one_pool(edge, blue, green):
    assert len(set(ask(edge(split(blue, green, (50, 50), "ip")), 50))) == 1


@pytest.mark.parametrize("sticky", ["header:X-User", "cookie"])
def test_raising_a_weight_moves_users_only_towards_it(edge, blue, green, sticky):
    """Monotone: at each step, who was in green stays there, and nobody goes back to blue."""
    def who(i):
        return {"X-User": f"user-{i}"} if sticky != "cookie" else {"Cookie": f"weir_id={i:032x}"}
    proxy = edge(split(blue, green, (100, 0), sticky))
    before = ask(proxy, 500, who)
    assert set(before) == {"blue"}
    share = 0
    for percent in (1, 5, 25, 50, 100):
        proxy.reload(split(blue, green, (100 - percent, percent), sticky))
        now = ask(proxy, 500, who)
        assert not [i for i in range(500) if before[i] == "green" and now[i] == "blue"], f"users went back at {percent} %"
        assert now.count("green") >= share
        assert abs(now.count("green") / 500 - percent / 100) < 0.07
        before, share = now, now.count("green")
    assert set(before) == {"green"}


def test_every_node_decides_alike(edge, blue, green):
    """No shared state: two processes and any number of workers place a user in the same pool."""
    def who(i):
        return {"X-User": f"user-{i}"}
    conf = split(blue, green, (50, 50), "header:X-User")
    one, two = edge(conf, workers=1), edge(conf, workers=3)
    assert ask(one, 200, who) == ask(two, 200, who)


def test_the_point_belongs_to_the_service_not_to_the_user_alone(edge, blue, green):
    """Two services at 50 % do not have the very same half of the users in green."""
    service = {"pools": {"blue": pool(blue, weight=50), "green": pool(green, weight=50)}, "split": {"sticky": "header:X-User"}}
    proxy = edge(site(services={"one": service, "two": service}, routes=[{"path": "/", "service": "one"}, {"path": "/two", "service": "two"}]))
    with proxy.connect() as c:
        differ = sum(c.get("/one", {"X-User": f"u{i}"}).body != c.get("/two", {"X-User": f"u{i}"}).body for i in range(200))
    assert 50 < differ < 150


def test_three_pools_share_as_they_are_weighted(edge, origin):
    pools = {n: pool(origin(n), weight=w) for n, w in (("a", 50), ("b", 30), ("c", 20))}
    got = collections.Counter(ask(edge(site(pools=pools), workers=1), 1_000))
    assert all(abs(got[n] - w) <= 2 for n, w in (("a", 500), ("b", 300), ("c", 200)))


def test_backends_of_a_pool_take_turns_by_weight(edge, origin):
    a, b = origin("a"), origin("b")
    conf = site(pools={"blue": {"backends": [str(a), {"address": str(b), "weight": 3}]}}, service={"balance": "round_robin"})
    got = collections.Counter(ask(edge(conf, workers=1), 400))
    assert abs(got["a"] - 100) <= 1


def test_least_request_avoids_the_busy(edge, origin):
    slow, quick = origin("slow"), origin("quick")
    gate = Gate(reply(200, b"slow"))
    slow.on("/slow", gate)
    quick.on("/slow", gate)
    proxy = edge(site(slow, quick, service={"balance": "least_request"}), workers=1)
    held = [proxy.connect() for _ in range(6)]
    for c in held:
        c.send(build("GET", "/slow"))
    gate.wait_arrived(6)
    assert abs(slow.count - quick.count) <= 2
    gate.open()
    for c in held:
        c.response()
        c.close()


def test_log_and_backend_agree_on_the_pool(edge, blue, green):
    proxy = edge(split(blue, green, (50, 50)))
    got = ask(proxy, 20)
    proxy.logged(20)
    assert collections.Counter(r["pool"] for r in proxy.access_log()) == collections.Counter(got)
    assert {(r["tenant"], r["service"]) for r in proxy.access_log()} <= {("acme", "shop"), ("acme", "acme/shop")}
