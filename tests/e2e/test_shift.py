"""Users move to a new version by themselves, step by step, and back when it is worse."""
import itertools
import json
import os
import random
import signal
import threading
import time

import pytest

from support.answers import reply
from support.config import pool, site
from support.load import Load
from support.wire import eventually

SHIFT = "/v1/services/acme/shop/shift"
KILLS = int(os.environ.get("WEIR_KILLS", "10"))  # of a run; `WEIR_KILLS=1000` for a long one


@pytest.fixture
def blue(origin):
    return origin("blue")


@pytest.fixture
def green(origin):
    return origin("green")


@pytest.fixture
def shop(edge, blue, green):
    """weir with blue serving all and green nobody; keys of the site."""
    def start(b=100, g=0, **site_keys):
        return edge(site(pools={"blue": pool(blue, weight=b), "green": pool(green, weight=g)}, **site_keys))
    return start


def fails(one_in, name="green"):
    """An answer that is a 500 once in so many requests."""
    turn = itertools.count(1)
    good, bad = reply(200, name), reply(500, "broken")
    return lambda x: (good if next(turn) % one_in else bad)(x)


def slow(seconds, name="green"):
    good = reply(200, name)

    def answer(x):
        time.sleep(seconds)
        good(x)
    return answer


def crash(proxy):
    for pid in proxy.pids():
        os.kill(pid, signal.SIGKILL)
    proxy.process.wait()
    proxy.stopped = True


def weights(proxy):
    pools = proxy.admin("GET", "/v1/services/acme/shop/weights").json()["pools"]
    return {name: round(p["effective_weight"]) for name, p in pools.items()}


def begin(proxy, status=201, **plan):
    r = proxy.admin("POST", SHIFT, {"pool": "green", **plan})
    assert r.status == status, (r.status, r.body)
    return r.json()


def shift(proxy):
    r = proxy.admin("GET", SHIFT)
    assert r.status == 200, r.body
    return r.json()


def act(proxy, action, status=200, **more):
    r = proxy.admin("PATCH", SHIFT, {"action": action, **more})
    assert r.status == status, (r.status, r.body)
    return r.json()


def wait_state(proxy, *states, patience=30):
    def there():
        now = shift(proxy)
        return now if now["state"] in states else None
    return eventually(there, lambda: f"shift in {states}: {shift(proxy)}", patience)


def steps_seen(document):
    return [e["share"] for e in document["log"] if e["state"] == "stepping"]


# -- steps --

def test_users_move_step_by_step_and_all_of_them_in_the_end(shop):
    proxy = shop()
    begin(proxy, steps=[10, 50, 100], every="500ms", reason="version 2")
    done = wait_state(proxy, "done")
    assert steps_seen(done) == [10, 50, 100]
    assert weights(proxy) == {"blue": 0, "green": 100}
    assert proxy.get("/").body == b"green"
    events = [(e["state"], e["share"]) for e in proxy.events("shift")]
    assert ("stepping", 10.0) in events and events[-1] == ("done", 100.0)
    history = proxy.admin("GET", "/v1/services/acme/shop/history").json()
    assert "shift to green" in json.dumps(history)


def test_a_ramp_rises_smoothly(shop):
    proxy = shop()
    begin(proxy, ramp="4s")
    assert steps_seen(wait_state(proxy, "done")) == [25, 50, 75, 100]
    assert weights(proxy) == {"blue": 0, "green": 100}


def test_steps_that_the_pool_has_taken_already_are_passed_over(shop):
    proxy = shop(b=80, g=20)
    begin(proxy, steps=[5, 10, 50, 100], every="500ms")
    assert steps_seen(wait_state(proxy, "done")) == [50, 100]


def test_a_third_pool_keeps_its_part_of_the_rest(edge, origin):
    proxy = edge(site(pools={"blue": pool(origin("blue"), weight=60), "green": pool(origin("green"), weight=0), "red": pool(origin("red"), weight=20)}))
    begin(proxy, steps=[20, 100], every="1h")
    wait_state(proxy, "observing")
    assert weights(proxy) == {"blue": 6000, "green": 2000, "red": 2000}
    act(proxy, "abort")
    wait_state(proxy, "aborted")
    assert weights(proxy) == {"blue": 60, "green": 0, "red": 20}


def test_shares_are_within_a_point_at_each_step(shop):
    proxy = shop()
    begin(proxy, steps=[5, 25, 50], every="1h")
    for share in (5, 25, 50):
        eventually(lambda share=share: weights(proxy) == {"blue": 100 - share, "green": share}, f"{share}%")
        with proxy.connect() as c:
            n = sum(c.get("/").body == b"green" for _ in range(400))
        assert abs(n / 4 - share) <= 1, (share, n)
        if share < 50:
            act(proxy, "promote")
    wait_state(proxy, "done")


def test_users_move_once_and_only_forwards(shop):
    proxy = shop(service={"split": {"sticky": "header:X-User"}})
    users = [f"user-{i}" for i in range(60)]

    def pools():
        with proxy.connect() as c:
            return [c.get("/", {"X-User": u}).body.decode() for u in users]
    before = pools()
    begin(proxy, steps=[10, 30, 60, 100], every="1h")
    for share in (10, 30, 60, 100):
        eventually(lambda share=share: weights(proxy)["green"] == share, f"{share}%")
        now = pools()
        assert all(b == n or (b, n) == ("blue", "green") for b, n in zip(before, now)), share
        before = now
        if share < 100:
            act(proxy, "promote")
    assert set(before) == {"green"}


# -- guards --

def test_green_that_fails_is_rolled_back_at_once_and_says_why(shop, blue, green):
    green.always(fails(50))
    proxy = shop()
    with Load(proxy.address(), check=lambda r: r.status in (200, 500)) as load:
        load.wait_more(50)
        r = proxy.cli("shift", "acme/shop", "green", "--steps", "50,100", "--every", "1h", "--max-error-rate", "1%", "--min-samples", "300", "--wait")
    assert r.code == 5, (r.out, r.err)
    assert "error rate" in r.out and "above 1.00%" in r.out and "rolled back" in r.err
    assert weights(proxy) == {"blue": 100, "green": 0}
    assert not load.failures
    verdict = shift(proxy)["verdict"]
    assert verdict["outcome"] == "fail" and verdict["new"]["failures"] > 0 and verdict["old"]["failures"] == 0
    assert proxy.wait_event("shift", state="rolled_back")["level"] == "warning"
    assert {r["pool"] for r in proxy.access_log() if r["status"] == 500} == {"green"}  # nothing else was hurt
    assert 'weir_shift_total{outcome="rolled_back"} 1' in proxy.admin("GET", "/metrics").body.decode()


def test_green_that_is_twice_as_slow_is_rolled_back(shop, blue, green):
    blue.always(slow(0.01, "blue"))
    green.always(slow(0.05))
    proxy = shop()
    with Load(proxy.address()) as load:
        load.wait_more(20)
        r = proxy.cli("shift", "acme/shop", "green", "--steps", "50,100", "--every", "1h", "--max-p50", "2x", "--min-samples", "40", "--wait")
    assert r.code == 5 and "p50 of" in r.out and "2x of the old pool" in r.out, (r.out, r.err)
    assert weights(proxy) == {"blue": 100, "green": 0} and not load.failures


def test_a_good_green_passes_its_guards_to_the_end(shop):
    proxy = shop()
    with Load(proxy.address()) as load:
        r = proxy.cli("shift", "acme/shop", "green", "--steps", "30,60,100", "--every", "1s", "--max-error-rate", "1.5x", "--max-p99", "30x",
            "--min-samples", "20", "--wait")
    assert r.code == 0, (r.out, r.err)
    assert weights(proxy) == {"blue": 0, "green": 100} and not load.failures
    assert "done" in r.out and "stepping" in r.out


def test_without_traffic_it_is_held_and_never_passes(shop):
    proxy = shop()
    begin(proxy, steps=[10, 100], every="500ms", guards={"max_error_rate": "1%", "min_samples": 50})
    held = wait_state(proxy, "inconclusive")
    assert held["step"] == 1 and weights(proxy) == {"blue": 90, "green": 10}
    r = proxy.cli("shift", "acme/shop", "--status", "--wait", "--timeout", "1s")
    assert r.code == 3, (r.out, r.err)
    assert shift(proxy)["state"] == "inconclusive"
    with Load(proxy.address()):  # now there is some
        wait_state(proxy, "done")


def test_a_paused_shift_is_still_judged(shop, green):
    green.always(reply(500, "broken"))
    proxy = shop()
    begin(proxy, steps=[50, 100], every="1h", guards={"max_error_rate": "5%", "min_samples": 20})
    wait_state(proxy, "observing")
    act(proxy, "pause", reason="lunch")
    assert "lunch" in shift(proxy)["why"]
    with Load(proxy.address(), check=lambda r: True):
        wait_state(proxy, "rolled_back")


# -- by hand --

def test_it_is_paused_resumed_promoted_and_aborted(shop):
    proxy = shop()
    begin(proxy, steps=[10, 20, 100], every="1h")
    wait_state(proxy, "observing")
    assert proxy.cli("shift", "acme/shop", "--pause").code == 0
    assert shift(proxy)["state"] == "paused"
    act(proxy, "pause", 409)
    assert proxy.cli("shift", "acme/shop", "--resume").code == 0
    assert shift(proxy)["state"] == "observing"
    assert proxy.cli("shift", "acme/shop", "--promote").code == 0
    eventually(lambda: weights(proxy) == {"blue": 80, "green": 20}, "the second step")
    status = proxy.cli("shift", "acme/shop", "--status")
    assert "step 2 of 3, 20%" in status.out
    assert proxy.cli("shift", "acme/shop", "--abort", "--reason", "complaints", "--wait").code == 1
    assert weights(proxy) == {"blue": 100, "green": 0}
    assert "complaints" in shift(proxy)["why"]
    act(proxy, "abort", 404)


def test_nobody_else_changes_the_weights_meanwhile_except_by_force(shop):
    proxy = shop()
    begin(proxy, steps=[10, 100], every="1h")
    wait_state(proxy, "observing")
    r = proxy.cli("weights", "acme/shop", "blue=1", "green=1")
    assert r.code == 1 and "a shift to green is under way" in r.err
    assert "shift to green is under way" in begin(proxy, 409, steps=[50])["detail"]
    r = proxy.cli("pool", "acme/shop/blue", "--state", "closed")
    assert r.code == 1
    assert weights(proxy) == {"blue": 90, "green": 10}
    assert proxy.cli("weights", "acme/shop", "blue=70", "green=30", "--force").code == 0
    ended = wait_state(proxy, "aborted")
    assert "somebody else" in ended["why"] and weights(proxy) == {"blue": 70, "green": 30}


def test_of_many_that_begin_at_once_one_wins(shop):
    proxy = shop()
    answers = []

    def one(i):
        answers.append(proxy.admin("POST", SHIFT, {"pool": "green", "steps": [i + 1, 100], "every": "1h"}).status)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(answers) == [201] + [409] * 11


@pytest.mark.parametrize("plan, says", [
    ({"pool": "gren"}, 'no pool acme/shop/gren; did you mean "green"?'),
    ({"pool": "purple"}, "no pool acme/shop/purple"),
    ({"steps": []}, "percentages"),
    ({"steps": [50, 10]}, "must rise"),
    ({"steps": [101]}, "at most 100"),
    ({"steps": [10], "ramp": "10m"}, "in place of"),
    ({"every": "1ms"}, "duration"),
    ({"guards": {"max_error_rate": "often"}}, "1%"),
    ({"guards": {"max_p99": "0.5x"}}, "1.5x"),
    ({"guards": {"max_p98": "1s"}}, "did you mean"),
    ({"steps": [100], "guards": {"max_p99": "1.5x"}}, "nothing to compare"),
    ({"hook": {"url": "ftp://x"}}, "http://"),
    ({"prometheus": {"url": "http://p", "query": "up"}}, "max"),
    ({"schedule": {"between": "nine"}}, "09:00-17:00"),
    ({"schedule": {"days": "noday"}}, "mon-fri"),
    ({"steps": [50], "drain": True}, "last step is 100"),
    ({"stepps": [50]}, "did you mean"),
])
def test_a_plan_that_cannot_be_is_refused_with_what_to_do(shop, plan, says):
    proxy = shop()
    r = proxy.admin("POST", SHIFT, {"pool": "green", **plan})
    assert r.status in (400, 404) and says in r.json()["detail"], r.body
    assert proxy.admin("GET", SHIFT).status == 404


# -- who may hold it up --

def test_a_step_is_not_taken_while_the_pool_cannot_carry_it(edge, blue, green, refused_port):
    health = {"http": {"path": "/"}, "interval": "100ms", "timeout": "1s", "rise": 1, "fall": 1}
    proxy = edge(site(pools={"blue": pool(blue, weight=100), "green": pool(green, str(refused_port), weight=0)}, service={"health": health}))
    proxy.wait_event("health", backend=f"acme/shop/green/{refused_port}")
    begin(proxy, steps=[50, 100], every="500ms")
    waiting = wait_state(proxy, "waiting")
    eventually(lambda: "1 of its 2 backends are healthy" in shift(proxy)["why"], "the reason")
    assert weights(proxy) == {"blue": 100, "green": 0} and waiting["step"] == 0
    assert proxy.cli("backends", "acme/shop/green", "remove", str(refused_port)).code == 0
    wait_state(proxy, "done")


def test_outside_its_schedule_no_step_is_taken_unless_promoted(shop):
    proxy = shop()
    now = time.gmtime(time.time() + 3 * 3600)
    later = time.gmtime(time.time() + 5 * 3600)
    begin(proxy, steps=[50, 100], every="500ms", schedule={"between": f"{now.tm_hour:02}:00-{later.tm_hour:02}:00"})
    assert "schedule opens" in wait_state(proxy, "waiting")["why"] or eventually(lambda: "schedule" in shift(proxy)["why"], "the reason")
    assert weights(proxy) == {"blue": 100, "green": 0}
    eventually(lambda: "schedule" in shift(proxy)["why"], "the reason")
    act(proxy, "promote")
    eventually(lambda: weights(proxy) == {"blue": 50, "green": 50}, "the step")


def test_a_judge_outside_is_sent_the_evidence_and_has_the_last_word(shop, origin):
    judge = origin("judge")
    judge.always(reply(503, "not yet"))
    proxy = shop()
    begin(proxy, steps=[50, 100], every="500ms", hook={"url": f"http://{judge}/verdict?of=shop", "timeout": "5s"})
    judge.wait_count(1)
    asked = json.loads(judge.last.body)
    assert judge.last.method == "POST" and judge.last.target == "/verdict?of=shop"
    assert asked["service"] == "acme/shop" and asked["pool"] == "green" and asked["share"] == 50 and "new" in asked["verdict"]
    assert "it answered 503" in wait_state(proxy, "inconclusive")["why"]
    judge.always(reply(204))
    eventually(lambda: shift(proxy)["step"] == 2, "the last step")
    judge.always(reply(409, b"sales have dropped\xff" + "\u00e9".encode() * 200))
    ended = wait_state(proxy, "rolled_back", "done")
    assert ended["state"] == "rolled_back" and "409 sales have dropped?\u00e9" in ended["why"]
    assert ended["why"] in [e["text"] for e in proxy.events("shift")]
    assert weights(proxy) == {"blue": 100, "green": 0}


def test_a_judge_who_is_not_there_holds_it(shop, refused_port):
    proxy = shop()
    begin(proxy, steps=[50, 100], every="500ms", hook={"url": f"http://{refused_port}/"})
    assert "UPSTREAM_REFUSED" in wait_state(proxy, "inconclusive")["why"] or "asked again" in shift(proxy)["why"]
    assert weights(proxy) == {"blue": 50, "green": 50}


def test_prometheus_is_asked(shop, origin):
    prometheus = origin("prometheus")

    def value(v):
        result = [{"metric": {}, "value": [1, v]}] if v is not None else []
        prometheus.on("/api/v1/query", reply(200, json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})))
    value(None)
    proxy = shop()
    begin(proxy, steps=[50, 100], every="500ms", prometheus={"url": f"http://{prometheus}/", "query": 'rate(x{a="b"}[1m])', "max": 0.5})
    assert "no result" in wait_state(proxy, "inconclusive")["why"]
    assert prometheus.last.target == "/api/v1/query?query=rate%28x%7Ba%3D%22b%22%7D%5B1m%5D%29"
    value("0.2")
    eventually(lambda: shift(proxy)["step"] == 2, "the last step")
    value("0.9")
    assert "0.9 is above 0.5" in wait_state(proxy, "rolled_back", "done")["why"]


# -- afterwards --

def test_the_old_pool_drains_and_is_closed(shop):
    proxy = shop(service={"split": {"sticky": "header:X-User"}})
    begin(proxy, steps=[100], drain=True)
    wait_state(proxy, "done")
    pools = proxy.admin("GET", "/v1/services/acme/shop/weights").json()["pools"]
    assert pools["blue"]["state"] == "closed" and pools["green"]["state"] == "open"
    assert proxy.get("/").body == b"green"


# -- whatever happens in the middle --

def test_a_reload_in_the_middle_changes_nothing(shop, blue, green):
    proxy = shop()
    begin(proxy, steps=[10, 100], every="1h")
    wait_state(proxy, "observing")
    proxy.reload({**proxy.conf, "limits": {"connections": 5000}})
    act(proxy, "promote")
    wait_state(proxy, "done")
    assert weights(proxy) == {"blue": 0, "green": 100}


def test_weights_that_change_in_the_file_end_it(shop, blue, green):
    proxy = shop()
    begin(proxy, steps=[10, 100], every="1h")
    wait_state(proxy, "observing")
    conf = json.loads(json.dumps(proxy.conf))
    conf["tenants"]["acme"]["services"]["shop"]["pools"]["blue"]["weight"] = 40
    proxy.reload(conf)
    assert "somebody else has set" in wait_state(proxy, "aborted")["why"]
    assert weights(proxy)["blue"] == 40


def test_the_pool_that_goes_away_ends_it(edge, shop, blue):
    proxy = shop()
    begin(proxy, steps=[10, 100], every="1h")
    wait_state(proxy, "observing")
    conf = json.loads(json.dumps(proxy.conf))
    del conf["tenants"]["acme"]["services"]["shop"]["pools"]["green"]
    proxy.reload(conf)
    assert "not in the configuration any more" in wait_state(proxy, "aborted")["why"]


def test_killed_at_any_moment_it_goes_on_from_the_last_step_that_was_stored(edge, shop, blue, green):
    """What came into force is what was stored, and nobody moves backwards."""
    proxy = shop()
    conf = {k: v for k, v in proxy.conf.items() if k not in ("admin", "listeners", "log")}
    chance = random.Random(7)
    share = kills = 0
    begin(proxy, steps=list(range(1, 101)), every="500ms")
    while kills < KILLS:
        deadline = time.monotonic() + chance.random() * 0.7
        while time.monotonic() < deadline:
            w = weights(proxy)
            assert w["green"] >= share and w["blue"] + w["green"] == 100, (w, share)
            share = w["green"]
        crash(proxy)
        kills += 1
        proxy = edge({**conf, "state_dir": proxy.conf["state_dir"]})
        w = weights(proxy)
        assert w["green"] in (share, share + 1, share + 2) and w["blue"] == 100 - w["green"], (w, share)
        share = w["green"]
        if shift(proxy)["state"] == "done":
            proxy.admin("PUT", "/v1/services/acme/shop/weights", {"weights": {"blue": 100, "green": 0}})
            begin(proxy, steps=list(range(1, 101)), every="500ms")
            share = 0
    eventually(lambda: shift(proxy)["share"] > share, "it to go on")


def test_killed_while_it_goes_back_it_arrives(edge, shop):
    proxy = shop()
    begin(proxy, steps=[50, 100], every="1h")
    wait_state(proxy, "observing")
    act(proxy, "abort")
    crash(proxy)
    conf = {k: v for k, v in proxy.conf.items() if k not in ("admin", "listeners", "log")}
    proxy = edge({**conf, "state_dir": proxy.conf["state_dir"]})
    wait_state(proxy, "aborted", "observing")
    if shift(proxy)["state"] == "aborted":
        assert weights(proxy) == {"blue": 100, "green": 0}


def test_a_command_that_waits_lives_through_a_restart(edge, shop):
    proxy = shop()
    begin(proxy, steps=[50, 100], every="1s")
    result = []
    waiting = threading.Thread(target=lambda: result.append(proxy.cli("shift", "acme/shop", "--status", "--wait")))
    waiting.start()
    crash(proxy)
    conf = {k: v for k, v in proxy.conf.items() if k not in ("listeners", "log")}
    again = edge({**conf, "state_dir": proxy.conf["state_dir"], "admin": {"socket": str(proxy.dir / "admin.sock")}})
    again.wait_event("shift", state="done")
    waiting.join()
    assert result[0].code == 0, (result[0].out, result[0].err)


def test_an_upgrade_in_the_middle_goes_on_from_the_step_that_was_reached(shop):
    """There are two processes meanwhile: only one of them takes steps."""
    proxy = shop()
    begin(proxy, steps=[10, 30, 60, 100], every="1h")
    for share in (10, 30, 60):
        eventually(lambda share=share: weights(proxy)["green"] == share, f"{share}%")
        assert proxy.cli("upgrade").code == 0
        eventually(lambda share=share: steps_seen(shift(proxy)).count(share) == 2, "the step to be taken again")
        wait_state(proxy, "observing")
        assert weights(proxy) == {"blue": 100 - share, "green": share}
        act(proxy, "promote")
    done = wait_state(proxy, "done")
    assert weights(proxy) == {"blue": 0, "green": 100}
    assert sorted(set(steps_seen(done))) == [10, 30, 60, 100] and steps_seen(done) == sorted(steps_seen(done))


def test_upgrades_while_steps_are_taken_lose_and_repeat_none(shop):
    proxy = shop()
    begin(proxy, steps=[10, 25, 50, 75, 100], every="500ms")
    seen = []
    for step in (1, 2, 3):
        eventually(lambda step=step: shift(proxy)["step"] >= step, "the next step")
        assert proxy.cli("upgrade").code == 0
        seen.append(weights(proxy)["green"])
    done = wait_state(proxy, "done")
    assert seen == sorted(seen) and weights(proxy) == {"blue": 0, "green": 100}
    assert steps_seen(done) == sorted(steps_seen(done)) and set(steps_seen(done)) == {10, 25, 50, 75, 100}
    assert not [e for e in proxy.events("shift") if e["state"] in ("aborted", "rolled_back", "returning")]
