"""Which pool a user meets: the split rule of the contract."""
import collections
import http.cookies

import pytest

from support import cookies
from support.answers import Gate, reply
from support.config import pool, site
from support.http1 import build
from support.wire import eventually

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


SECRET = "a secret that all nodes know"


def cookies_of(answer):
    """Those that an answer gives, by name."""
    jar = http.cookies.SimpleCookie()
    for value in answer.headers.all("set-cookie"):
        jar.load(value)
    return jar


def test_a_pools_own_host_reaches_it_for_those_who_may(edge, blue, green):
    conf = split(blue, green, (100, 0), override={"from": ["127.0.0.0/8"]})
    pools = conf["tenants"]["acme"]["services"]["shop"]["pools"]
    pools["green"]["hosts"] = ["Green.acme.test"]
    proxy = edge(conf)
    seen = proxy.get("/", {"Host": "green.acme.test:80"})
    assert seen.body == b"green" and seen.header("x-weir-pool") == "green"
    assert proxy.logged(pool="green")["split"] == "override"
    assert proxy.get("/").body == b"blue"
    conf["tenants"]["acme"]["services"]["shop"]["split"]["override"] = {"from": ["192.0.2.0/24"]}
    proxy.reload(conf)
    refused = proxy.get("/", {"Host": "green.acme.test"})
    assert refused.body == b"blue" and not refused.header("x-weir-pool")


def test_who_chooses_in_vain_is_told_who_answered(edge, blue, green):
    conf = split(blue, green, (100, 0), override={"header": "X-Weir-Pool"})
    conf["tenants"]["acme"]["services"]["shop"]["pools"]["green"]["state"] = "closed"
    proxy = edge(conf)
    answer = proxy.get("/", {"X-Weir-Pool": "green"})
    assert answer.body == b"blue" and answer.header("x-weir-pool") == "blue"
    assert not proxy.get("/").header("x-weir-pool")
    said = proxy.cli("explain", "http://acme.test/", "-H", "X-Weir-Pool: green", "--json").json()
    assert said["split"]["why"] == "turn" and "takes nobody" in said["split"]["note"]
    assert [p["state"] for p in said["pools"]] == ["open", "closed"]


def test_explain_knows_a_pin(edge, blue, green):
    proxy = edge(pinning(blue, green, (100, 0), override={"header": "X-Weir-Pool"}))
    for cookie, why, where in ((cookies.weir_pin(SECRET, "acme/shop", "green"), "pin", "green"), ("weir_pin_shop=green.1.00", "turn", None)):
        for how in ([], ["-c", proxy.file]):
            said = proxy.cli("explain", "http://acme.test/", "-H", f"Cookie: {cookie}", "--json", *how).json()
            assert (said["split"]["why"], said["pool"]) == (why, where)


def test_a_pool_that_drains_finishes_what_it_has_and_keeps_no_connection(edge, blue, green):
    gate = Gate(reply(200, b"late"))
    green.on("/slow", gate)
    conf = split(blue, green, (0, 100))
    proxy = edge(conf, workers=1)
    with proxy.connect() as idle, proxy.connect() as busy:
        busy.send(build("GET", "/slow"))
        gate.wait_arrived(1)
        assert idle.get("/").body == b"green"
        assert green.open_connections() == 2
        pools = conf["tenants"]["acme"]["services"]["shop"]["pools"]
        pools["blue"]["weight"], pools["green"]["state"] = 100, "draining"
        proxy.reload(conf)
        eventually(lambda: green.open_connections() == 1, "the idle connection to green closed")
        assert idle.get("/").body == b"blue"
        gate.open()
        assert busy.response().body == b"late"
        eventually(lambda: green.open_connections() == 0, "the last connection to green closed")


def test_all_pools_draining_is_503_and_says_so(edge, blue, green):
    conf = split(blue, green, (50, 50))
    for p in conf["tenants"]["acme"]["services"]["shop"]["pools"].values():
        p["state"] = "draining"
    proxy = edge(conf)
    assert proxy.get("/").status == 503
    assert proxy.logged()["reason"] == "no_pool"


def test_a_pool_takes_no_more_than_its_healthy_backends_can_carry(edge, blue, origin):
    """Green with two of ten backends up has 28 % of its half: users move when that changes, and back when they are up again."""
    up, broken = [origin("green") for _ in range(2)], [origin("green") for _ in range(8)]
    for o in broken:
        o.on("/healthz", reply(500))
    health = {"http": {"path": "/healthz"}, "interval": "200ms", "timeout": "5s", "rise": 1, "fall": 1}
    conf = site(pools={"blue": pool(blue, weight=50), "green": pool(*up, *broken, weight=50, health=health)},
        service={"split": {"sticky": "header:X-User"}, "panic_threshold": "0%"})

    def who(i):
        return {"X-User": f"user-{i}"}
    proxy = edge(conf)
    proxy.wait_event("pool_capped", pool="acme/shop/green", pool_up=2, pool_size=10)
    capped = ask(proxy, 1_000, who)
    assert 160 < capped.count("green") < 280  # 0.28 / 1.28 is 22 %
    explained = {p["name"]: p for p in proxy.cli("explain", "http://acme.test/", "--json").json()["pools"]}
    assert abs(explained["green"]["capacity"] - 0.28) < 0.01 and abs(explained["green"]["share"] - 0.22) < 0.01
    for o in broken:
        o.on("/healthz", reply(200))
    proxy.wait_event("pool_uncapped", pool="acme/shop/green")
    eventually(lambda: 440 < ask(proxy, 1_000, who).count("green") < 560, "a share of 50 %")
    whole = ask(proxy, 1_000, who)
    assert not [i for i in range(1_000) if capped[i] == "green" and whole[i] == "blue"]


def pinning(blue, green, weights, state="open", **more):
    conf = split(blue, green, weights, pin="1h", **more)
    conf["tenants"]["acme"]["services"]["shop"]["pools"]["blue"]["state"] = state
    return {**conf, "cookie_secret": SECRET}


def test_a_pinned_user_stays_until_his_pool_drains_and_then_moves_once(edge, blue, green):
    proxy = edge(pinning(blue, green, (100, 0)))
    pin = cookies_of(proxy.get("/"))["weir_pin_shop"]
    assert pin.value.startswith("blue.") and pin["max-age"] == "3600" and pin["httponly"] and pin["samesite"] == "Lax"
    mine = {"Cookie": f"weir_pin_shop={pin.value}"}
    for weights, state in (((50, 50), "open"), ((0, 100), "open"), ((100, 0), "pinned")):
        proxy.reload(pinning(blue, green, weights, state))
        answers = [proxy.get("/", mine) for _ in range(4)]
        assert {a.body for a in answers} == {b"blue"} and not any(a.header("set-cookie") for a in answers)
    assert proxy.logged(split="pin")["pool"] == "blue"
    proxy.reload(pinning(blue, green, (100, 100), "draining"))
    moved = proxy.get("/", mine)
    assert moved.body == b"green"
    mine = {"Cookie": f"weir_pin_shop={cookies_of(moved)['weir_pin_shop'].value}"}
    proxy.reload(pinning(blue, green, (100, 0), "open"))
    assert proxy.get("/", mine).body == b"green"


def test_a_pin_that_ends_soon_is_given_anew(edge, blue, green):
    proxy = edge(pinning(blue, green, (0, 100)))
    answer = proxy.get("/", {"Cookie": cookies.weir_pin(SECRET, "acme/shop", "blue", 1000)})
    assert answer.body == b"blue" and cookies_of(answer)["weir_pin_shop"].value.startswith("blue.")
    over = proxy.get("/", {"Cookie": cookies.weir_pin(SECRET, "acme/shop", "blue", -1)})
    assert over.body == b"green" and cookies_of(over)["weir_pin_shop"].value.startswith("green.")


def test_nobody_pins_himself(edge, blue, green):
    proxy = edge(pinning(blue, green, (0, 100)))
    for forged in (cookies.weir_pin("another secret that is no good", "acme/shop", "blue"), cookies.weir_pin(SECRET, "acme/shop", "blue")[:-1],
                   "weir_pin_shop=blue", "weir_pin_shop=", "weir_pin_shop=blue.99999999999." + "0" * 32):
        answer = proxy.get("/", {"Cookie": forged})
        assert answer.body == b"green" and cookies_of(answer)["weir_pin_shop"].value.startswith("green.")


def test_an_override_goes_before_a_pin_and_gives_none(edge, blue, green):
    """A tester who has once been given blue still reaches green, and is no green user afterwards."""
    proxy = edge(pinning(blue, green, (100, 0), override={"header": "X-Weir-Pool"}))
    pin = cookies.weir_pin(SECRET, "acme/shop", "blue")
    answer = proxy.get("/", {"X-Weir-Pool": "green", "Cookie": pin})
    assert answer.body == b"green" and not answer.header("set-cookie")
    assert proxy.get("/", {"Cookie": pin}).body == b"blue"


def test_an_id_that_weir_did_not_sign_is_replaced(edge, blue, green):
    proxy = edge({**split(blue, green, (50, 50), "cookie"), "cookie_secret": SECRET})
    for value in ("0123456789abcdef0123456789abcdef", cookies.weir_id("somebody else's secret", 1).split("=")[1], "", "a b"):
        given = cookies_of(proxy.get("/", {"Cookie": f"weir_id={value}"}))["weir_id"].value
        assert given != value and cookies.signed(SECRET, "weir_id", given.split(".")[0]) == given
    assert not proxy.get("/", {"Cookie": cookies.weir_id(SECRET, 1)}).header("set-cookie")


def test_a_secret_is_replaced_without_anybody_moving(edge, blue, green):
    old, new = "the secret of last year", "the secret of this year"
    conf = split(blue, green, (50, 50), "cookie")
    proxy = edge({**conf, "cookie_secret": old})
    users = [{"Cookie": cookies.weir_id(old, i)} for i in range(20)]
    before = [proxy.get("/", u).body for u in users]
    proxy.reload({**conf, "cookie_secret": [new, old]})
    answers = [proxy.get("/", u) for u in users]
    assert [a.body for a in answers] == before
    renewed = [{"Cookie": f"weir_id={cookies_of(a)['weir_id'].value}"} for a in answers]
    assert [r["Cookie"] for r in renewed] == [cookies.weir_id(new, i) for i in range(20)]
    proxy.reload({**conf, "cookie_secret": new})
    assert [proxy.get("/", u).body for u in renewed] == before


def test_without_a_secret_weir_keeps_one_of_its_own(edge, blue, green, tmp_path):
    conf = {**split(blue, green, (50, 50), "cookie"), "state_dir": str(tmp_path / "state")}
    first = edge(conf)
    mine = {"Cookie": f"weir_id={cookies_of(first.get('/'))['weir_id'].value}"}
    body = first.get("/", mine).body
    key = tmp_path / "state" / "cookie.key"
    assert key.stat().st_mode & 0o777 == 0o600 and len(key.read_text().strip()) == 64
    first.stop()
    for keys in (conf, {**conf, "cookie_secret": SECRET}):  # a secret that is named later does not make the others worthless
        again = edge(keys)
        assert again.get("/", mine).body == body
        again.stop()


def test_a_damaged_key_is_set_aside_and_told(edge, blue, green, tmp_path):
    (tmp_path / "cookie.key").write_text("not a key")
    proxy = edge({**split(blue, green, (50, 50), "cookie"), "state_dir": str(tmp_path)})
    assert proxy.wait_event("cookie_secret")["kept"]
    assert (tmp_path / "cookie.key.bad").read_text() == "not a key"
    assert len((tmp_path / "cookie.key").read_text().strip()) == 64


def test_a_key_that_cannot_be_kept_is_told_where_it_matters(edge, blue, green, tmp_path):
    (tmp_path / "file").write_text("")
    conf = {**split(blue, green, (50, 50), "cookie"), "state_dir": str(tmp_path / "file" / "below")}
    proxy = edge(conf)
    assert not proxy.wait_event("cookie_secret")["kept"]
    value = cookies_of(proxy.get("/"))["weir_id"].value
    assert not proxy.get("/", {"Cookie": f"weir_id={value}"}).header("set-cookie")
    assert not edge({**conf, "cookie_secret": SECRET}).events("cookie_secret")


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
        return {"X-User": f"user-{i}"} if sticky != "cookie" else {"Cookie": cookies.weir_id(SECRET, i)}
    proxy = edge({**split(blue, green, (100, 0), sticky), "cookie_secret": SECRET})
    before = ask(proxy, 500, who)
    assert set(before) == {"blue"}
    share = 0
    for percent in (1, 5, 25, 50, 100):
        proxy.reload({**split(blue, green, (100 - percent, percent), sticky), "cookie_secret": SECRET})
        now = ask(proxy, 500, who)
        assert not [i for i in range(500) if before[i] == "green" and now[i] == "blue"], f"users went back at {percent} %"
        assert now.count("green") >= share
        assert abs(now.count("green") / 500 - percent / 100) < 0.07
        before, share = now, now.count("green")
    assert set(before) == {"green"}


@pytest.mark.parametrize("sticky", ["header:X-User", "cookie"])
def test_every_node_and_worker_decides_alike(edge, blue, green, sticky):
    """No shared state: two processes of two workers each place a thousand users in the same pools."""
    def who(i):
        return {"X-User": f"user-{i}"} if sticky != "cookie" else {"Cookie": cookies.weir_id(SECRET, i)}
    conf = {**split(blue, green, (70, 30), sticky), "cookie_secret": SECRET}
    placed = [ask(edge(conf, workers=2), 1_000, who) for _ in range(2)]
    placed += [ask(edge(conf, workers=1), 1_000, who)]
    assert placed[0] == placed[1] == placed[2] and abs(placed[0].count("green") - 300) < 60


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
