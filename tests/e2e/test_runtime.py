"""What is changed at run time: weights, states and backends of pools, by the API; kept whatever happens, and how it fares against the file."""
import hashlib
import os
import random
import resource
import signal
import threading

import pytest

from support.config import pool, site
from support.http1 import Client, Closed
from support.load import Load
from support.wire import eventually

WEIGHTS = "/v1/services/acme/shop/weights"
KILLS = int(os.environ.get("WEIR_KILLS", "12"))  # of a run; `WEIR_KILLS=1000` for a long one
WRITERS = int(os.environ.get("WEIR_WRITES", "300"))


@pytest.fixture
def blue(origin):
    return origin("blue")


@pytest.fixture
def green(origin):
    return origin("green")


@pytest.fixture
def two(blue, green):
    """A configuration: blue takes everything, green nothing; keys replace what a pool says."""
    def conf(b=100, g=0, green_backends=None, **top):
        return site(pools={"blue": pool(blue, weight=b), "green": pool(*(green_backends or [green]), weight=g)}, **top)
    return conf


def get(proxy, path=WEIGHTS):
    r = proxy.admin("GET", path)
    assert r.status == 200, r.body
    return r.json()


def put(proxy, weights, status=200, match=None, **more):
    r = proxy.admin("PUT", WEIGHTS, {"weights": weights, **more}, headers={"If-Match": f'"{match}"'} if match else ())
    assert r.status == status, (r.status, r.body)
    return r.json()


def effective(proxy):
    return {name: p["effective_weight"] for name, p in get(proxy)["pools"].items()}


def served(proxy, n=20):
    return {proxy.get("/").body.decode() for _ in range(n)}


def restart(edge, proxy, conf=None):
    """Another process on the same directory."""
    conf = conf or {k: v for k, v in proxy.conf.items() if k not in ("admin", "listeners", "log")}
    return edge({**conf, "state_dir": proxy.conf["state_dir"]})


def crash(proxy):
    os.killpg(proxy.process.pid, signal.SIGKILL)
    proxy.process.wait()
    proxy.stopped = True


# -- weights --

def test_weights_that_were_set_hold_at_once_for_every_worker(edge, two):
    proxy = edge(two())
    assert served(proxy) == {"blue"}
    answer = put(proxy, {"blue": 0, "green": 7}, reason="green is good")
    assert answer["version"] == 2 and answer["changed"]
    assert answer["pools"]["green"] == {"weight": 0, "runtime_weight": 7, "effective_weight": 7.0, "share": 1.0, "state": "open", "runtime_state": None}
    assert served(proxy) == {"green"}
    event = proxy.wait_event("runtime_changed", service="acme/shop")
    assert event["reason"] == "green is good" and event["changes"]["green"]["weight"] == [0, 7] and event["author"].startswith("uid:")


def test_the_same_weights_again_change_nothing(edge, two):
    proxy = edge(two())
    version = put(proxy, {"green": 5})["version"]
    again = put(proxy, {"green": 5})
    assert again["version"] == version and not again["changed"]
    assert len(get(proxy, "/v1/services/acme/shop/history")["history"]) == 1


def test_going_back_to_the_file(edge, two):
    proxy = edge(two())
    put(proxy, {"green": 5, "blue": 10})
    assert put(proxy, {"green": None})["pools"]["green"]["runtime_weight"] is None
    r = proxy.admin("DELETE", WEIGHTS)
    assert r.status == 200 and r.json()["pools"]["blue"]["runtime_weight"] is None
    assert effective(proxy) == {"blue": 100, "green": 0}


@pytest.mark.parametrize("body, status, says", [
    ({"weights": {"gren": 5}}, 404, 'did you mean \\"green\\"'),
    ({"weights": {"green": -1}}, 400, "from 0 to 1000000"),
    ({"weights": {"green": 1000001}}, 400, "from 0 to 1000000"),
    ({"weights": {"green": "5"}}, 400, "whole number"),
    ({"weights": {"green": 1.5}}, 400, "whole number"),
    ({"weights": {}}, 400, "which weights"),
    ({"weihgts": {"green": 5}}, 400, 'did you mean \\"weights\\"'),
    ({"weights": {"green": 5}, "lease": "soon"}, 400, "duration"),
    ({"weights": {"green": 5}, "reason": "x" * 2000}, 400, "longer"),
    ({"weights": {"blue": 0}}, 409, "force"),
    ([], 400, "object"),
])
def test_what_cannot_be_is_refused_and_nothing_changes(edge, two, body, status, says):
    proxy = edge(two())
    r = proxy.admin("PUT", WEIGHTS, body)
    assert r.status == status and says in r.body.decode(), r.body
    assert get(proxy)["version"] == 1 and effective(proxy) == {"blue": 100, "green": 0}


def test_all_weights_may_be_0_by_force(edge, two):
    proxy = edge(two())
    put(proxy, {"blue": 0}, force=True)
    assert proxy.get("/").status == 503


def test_an_unknown_service_is_told_with_the_one_that_was_meant(edge, two):
    r = edge(two()).admin("PUT", "/v1/services/acme/shpo/weights", {"weights": {"green": 5}})
    assert r.status == 404 and "did you mean acme/shop" in r.body.decode()


# -- versions --

def test_a_version_that_is_over_is_a_conflict(edge, two):
    proxy = edge(two())
    version = put(proxy, {"green": 5})["version"]
    put(proxy, {"green": 6}, match=version)
    assert put(proxy, {"green": 7}, status=412, match=version)["version"] == version + 1
    assert effective(proxy)["green"] == 6


def test_of_many_who_go_by_the_same_version_one_wins(edge, two):
    proxy = edge(two())
    winners, lock = {}, threading.Lock()

    def write(numbers):
        for n in numbers:
            version = 2 + n // 10
            while True:
                r = proxy.admin("PUT", WEIGHTS, {"weights": {"green": 1 + n}}, headers={"If-Match": f'"{version - 1}"'})
                if r.status == 200:
                    with lock:
                        winners.setdefault(r.json()["version"], []).append(n)
                    break
                assert r.status == 412, r.body
                if r.json()["version"] >= version:
                    break
    threads = [threading.Thread(target=write, args=(range(i, WRITERS, 10),)) for i in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    last = get(proxy)
    assert last["version"] == 1 + (WRITERS + 9) // 10
    assert sorted(winners) == list(range(2, last["version"] + 1)) and all(len(w) == 1 for w in winners.values())
    assert last["pools"]["green"]["runtime_weight"] == 1 + winners[last["version"]][0]


def test_the_history_says_who_what_and_why_newest_first(edge, two):
    proxy = edge(two())
    put(proxy, {"green": 5}, author="ci", reason="canary")
    put(proxy, {"green": 50}, reason="more")
    latest, first = get(proxy, "/v1/services/acme/shop/history")["history"]
    assert latest["version"] == 3 and latest["changes"] == {"green": {"weight": [5, 50]}} and latest["reason"] == "more"
    assert first["author"].startswith("ci (uid:") and first["changes"] == {"green": {"weight": [0, 5]}}


# -- kept --

def test_what_was_acknowledged_outlives_a_kill_at_any_moment(edge, two):
    proxy = edge(two(), workers=1)
    rng = random.Random(1)
    acknowledged = sent = 0
    for _ in range(KILLS):
        stop = threading.Event()

        def write():
            nonlocal acknowledged, sent
            while not stop.is_set():
                sent += 1
                try:
                    r = proxy.admin("PUT", WEIGHTS, {"weights": {"green": sent}})
                except (OSError, Closed):
                    return
                if r.status == 200:
                    acknowledged = sent
        writer = threading.Thread(target=write)
        before = acknowledged
        writer.start()
        eventually(lambda: acknowledged > before, "a change")
        stop.wait(rng.random() / 20)
        crash(proxy)
        stop.set()
        writer.join()
        proxy = restart(edge, proxy)
        # The last one that was answered, or the one that was on its way.
        assert effective(proxy)["green"] in (acknowledged, sent)
        acknowledged = sent = int(effective(proxy)["green"])


def test_versions_and_history_go_on_after_a_restart(edge, two):
    proxy = edge(two())
    put(proxy, {"green": 5}, reason="one")
    proxy.stop()
    again = restart(edge, proxy)
    assert get(again)["version"] == 2 and effective(again)["green"] == 5
    assert put(again, {"green": 6})["version"] == 3
    assert [h["version"] for h in get(again, "/v1/services/acme/shop/history")["history"]] == [3, 2]


def test_a_full_disk_refuses_changes_and_serves_on(edge, two):
    proxy = edge(two())
    put(proxy, {"green": 5})
    pids = proxy.pids()
    before = [resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in pids]
    try:
        for pid, limit in zip(pids, before):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (20000, limit[1]))
        assert put(proxy, {"green": 6}, status=507)["type"].endswith("state_unwritable")
        assert effective(proxy)["green"] == 5 and get(proxy)["version"] == 2
        assert proxy.get("/").status == 200
        assert not get(proxy, "/v1/status")["storage"]["writable"]
    finally:
        for pid, limit in zip(pids, before):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)
    assert put(proxy, {"green": 7})["version"] == 3


# -- against the file --

def test_a_reload_that_does_not_touch_a_weight_leaves_the_runtime_value(edge, two):
    proxy = edge(two())
    put(proxy, {"green": 5})
    proxy.reload(two(limits={"header_count": 50}))
    assert effective(proxy) == {"blue": 100, "green": 5}
    proxy.reload(two(b=80))
    assert effective(proxy) == {"blue": 80, "green": 5}
    assert not proxy.events("runtime_overridden")


def test_a_weight_that_changed_in_the_file_wins_loudly(edge, two):
    proxy = edge(two())
    version = put(proxy, {"blue": 60, "green": 5})["version"]
    proxy.reload(two(g=20))
    assert effective(proxy) == {"blue": 60, "green": 20}
    event = proxy.wait_event("runtime_overridden", service="acme/shop", pool="green")
    assert event["runtime"] == 5 and event["file"] == 20 and event["what"] == "weight"
    assert get(proxy)["version"] == version + 1


def test_a_weight_that_changed_in_the_file_while_weir_was_down_wins_too(edge, two):
    proxy = edge(two())
    put(proxy, {"blue": 60, "green": 5})
    proxy.stop()
    again = restart(edge, proxy, two(g=20))
    assert effective(again) == {"blue": 60, "green": 20}
    again.wait_event("runtime_overridden", pool="green")


def test_a_file_change_that_was_seen_already_does_not_win_again(edge, two):
    proxy = edge(two())
    proxy.reload(two(g=20))
    put(proxy, {"green": 5})
    proxy.reload(two(g=20, limits={"header_count": 50}))
    crash(proxy)
    assert effective(restart(edge, proxy, two(g=20)))["green"] == 5


def test_a_pool_that_left_the_file_takes_its_runtime_values_with_it(edge, two, blue):
    proxy = edge(two())
    put(proxy, {"green": 5})
    proxy.reload(site(blue))
    assert proxy.wait_event("runtime_overridden", pool="green")["why"] == "the pool is gone from the file"
    proxy.reload(two())
    assert effective(proxy) == {"blue": 100, "green": 0}


def test_a_service_that_left_the_file_comes_back_as_the_file_says_with_a_higher_version(edge, two, blue):
    proxy = edge(two())
    version = put(proxy, {"green": 5})["version"]
    proxy.reload(site(services={"other": {"pools": {"blue": pool(blue)}}}))
    assert proxy.admin("GET", WEIGHTS).status == 404
    proxy.reload(two())
    assert effective(proxy) == {"blue": 100, "green": 0} and get(proxy)["version"] > version


def test_runtime_values_that_would_leave_nobody_with_the_new_file_are_dropped(edge, two, blue):
    proxy = edge(two())
    put(proxy, {"blue": 0, "green": 100})
    proxy.reload(site(pools={"blue": pool(blue, weight=100)}))
    assert served(proxy) == {"blue"}
    assert {e["pool"] for e in proxy.events("runtime_overridden")} == {"blue", "green"}


def test_who_read_the_version_before_a_reload_changed_the_weights_must_read_again(edge, two):
    proxy = edge(two())
    version = get(proxy)["version"]
    proxy.reload(two(g=20))
    put(proxy, {"green": 30}, status=412, match=version)


# -- leases --

def test_a_lease_that_is_not_renewed_gives_the_weights_back(edge, two):
    proxy = edge(two())
    put(proxy, {"green": 5})
    answer = put(proxy, {"blue": 0, "green": 100}, lease="1s")
    assert answer["lease"]["returns_to"] == {"blue": None, "green": 5}
    assert served(proxy) == {"green"}
    proxy.wait_event("lease_over", service="acme/shop")
    eventually(lambda: effective(proxy) == {"blue": 100, "green": 5}, "the weights of before")
    assert get(proxy)["lease"] is None


def test_a_renewed_lease_lasts_and_is_no_new_version(edge, two):
    proxy = edge(two())
    version = put(proxy, {"green": 5}, lease="60s")["version"]
    again = put(proxy, {"green": 5}, lease="120s")
    assert again["version"] == version and again["lease"]["left_ms"] > 60000
    again = put(proxy, {"green": 9}, lease="60s")
    assert again["version"] == version + 1 and again["lease"]["returns_to"] == {"green": None}


def test_without_a_lease_the_weights_are_for_good(edge, two):
    proxy = edge(two())
    put(proxy, {"green": 5}, lease="60s")
    answer = put(proxy, {"green": 5})
    assert answer["lease"] is None and answer["pools"]["green"]["runtime_weight"] == 5


def test_a_lease_that_ends_while_weir_is_down_has_ended(edge, two):
    proxy = edge(two())
    put(proxy, {"green": 5}, lease="1s")
    crash(proxy)
    again = restart(edge, proxy)
    eventually(lambda: effective(again) == {"blue": 100, "green": 0}, "the weights of before")


def test_a_lease_goes_on_after_a_restart(edge, two):
    proxy = edge(two())
    put(proxy, {"green": 5}, lease="1h")
    crash(proxy)
    again = restart(edge, proxy)
    lease = get(again)["lease"]
    assert effective(again)["green"] == 5 and 0 < lease["left_ms"] <= 3600000


# -- states, backends --

def test_a_pool_that_is_closed_takes_nobody(edge, two):
    proxy = edge(two(b=50, g=50))
    r = proxy.admin("PUT", "/v1/pools/acme/shop/green/state", {"state": "closed", "reason": "broken"})
    assert r.status == 200 and r.json()["state"] == "closed"
    assert served(proxy, 40) == {"blue"}
    r = proxy.admin("PUT", "/v1/pools/acme/shop/blue/state", {"state": "draining"})
    assert r.status == 409
    r = proxy.admin("POST", "/v1/pools/acme/shop/green/state", {"state": None})
    assert r.status == 200 and r.json()["runtime_state"] is None


def test_backends_that_come_at_run_time_serve_and_stay(edge, two, blue, origin):
    other = origin("other")
    proxy = edge(two())
    path = "/v1/pools/acme/shop/blue/backends"
    r = proxy.admin("POST", path, {"backends": [str(other)]})
    assert r.status == 200 and [b["address"] for b in r.json()["backends"]] == [str(blue), str(other)]
    eventually(lambda: served(proxy) == {"blue", "other"}, "both")
    assert proxy.admin("DELETE", path, {"backends": [str(blue)]}).status == 200
    assert served(proxy) == {"other"}
    crash(proxy)
    again = restart(edge, proxy)
    assert served(again) == {"other"}
    assert again.admin("PUT", path, {"backends": None}).status == 200
    assert served(again) == {"blue"}


@pytest.mark.parametrize("body, status, says", [
    ({"backends": ["127.0.0.1"]}, 400, "address and port"),
    ({"backends": ["127.0.0.1:1", "127.0.0.1:1"]}, 400, "twice"),
    ({"backends": [{"address": "127.0.0.1:1", "weight": 5000}]}, 400, "1000"),
    ({"backends": [{"adress": "127.0.0.1:1"}]}, 400, "did you mean"),
    ({"backends": "127.0.0.1:1"}, 400, "which backends"),
    ({"backends": []}, 409, "force"),
])
def test_backends_that_cannot_be_are_refused_as_the_file_would(edge, two, body, status, says):
    proxy = edge(two())
    r = proxy.admin("PUT", "/v1/pools/acme/shop/blue/backends", body)
    assert r.status == status and says in r.body.decode(), r.body
    assert served(proxy) == {"blue"}


def test_a_backend_that_is_not_there_cannot_be_removed(edge, two):
    r = edge(two()).admin("DELETE", "/v1/pools/acme/shop/blue/backends", {"backends": ["127.0.0.1:1"]})
    assert r.status == 404


def test_backends_that_changed_in_the_file_win(edge, two, green, origin):
    other, third = origin("other"), origin("third")
    proxy = edge(two(b=0, g=100))
    proxy.admin("PUT", "/v1/pools/acme/shop/green/backends", {"backends": [str(other)]})
    proxy.reload(two(b=0, g=100, limits={"header_count": 50}))
    assert served(proxy) == {"other"}
    proxy.reload(two(b=0, g=100, green_backends=[third]))
    assert served(proxy) == {"third"}
    assert proxy.wait_event("runtime_overridden", pool="green")["what"] == "backends"


def test_backends_come_and_go_under_load_and_no_request_fails(edge, two, blue, origin):
    others = [origin(f"other{i}") for i in range(3)]
    proxy = edge(two())
    path = "/v1/pools/acme/shop/blue/backends"
    with Load(proxy.address()) as load:
        for i in range(12):
            some = [str(o) for o in others[: i % 3 + 1]] + ([str(blue)] if i % 2 else [])
            assert proxy.admin("PUT", path, {"backends": some}).status == 200
            put(proxy, {"blue": 100 + i})
    assert load.failures == [], load.failures[:5]


# -- who may --

def test_only_those_who_may_change_anything(edge, two):
    tokens = [{"name": n, "role": r, "tenants": t, "sha256": hashlib.sha256(n.encode()).hexdigest()}
              for n, r, t in (("viewer", "viewer", []), ("ci", "operator", ["acme"]), ("stranger", "operator", ["other"]))]
    conf = two(admin={"listen": "127.0.0.9:0", "tokens": tokens})
    conf["tenants"]["other"] = {"hosts": ["other.test"], "services": {"x": {"pools": {"blue": pool("127.0.0.1:1")}}}}
    proxy = edge(conf)
    for token, status in ((None, 401), ("wrong", 401), ("viewer", 403), ("stranger", 403), ("ci", 200)):
        with Client(proxy.address("admin.listen")) as c:
            headers = [("Content-Type", "application/json"), *([("Authorization", f"Bearer {token}")] if token else [])]
            r = c.request("PUT", WEIGHTS, headers, b'{"weights": {"green": 5}}', host="localhost")
        assert r.status == status, (token, r.body)
        assert effective(proxy)["green"] == (5 if status == 200 else 0)
    assert proxy.wait_event("runtime_changed")["author"] == "ci"


def test_a_lease_goes_on_through_an_upgrade_and_ends_once(edge, two):
    proxy = edge(two())
    assert proxy.cli("weights", "acme/shop", "green=40", "--lease", "1h").code == 0
    assert proxy.cli("upgrade").code == 0
    lease = proxy.admin("GET", "/v1/services/acme/shop").json()["lease"]
    assert lease["length_ms"] == 3600_000 and 0 < lease["left_ms"] <= 3600_000
    assert proxy.cli("weights", "acme/shop", "green=40", "--lease", "2s").code == 0
    assert proxy.cli("upgrade").code == 0
    before = proxy.admin("GET", "/v1/services/acme/shop").json()["version"]
    eventually(lambda: proxy.admin("GET", "/v1/services/acme/shop").json()["lease"] is None, "the lease to end")
    after = proxy.admin("GET", "/v1/services/acme/shop").json()
    assert after["pools"][1]["runtime_weight"] is None
    assert after["version"] in (before, before + 1)  # it may have ended during the upgrade
