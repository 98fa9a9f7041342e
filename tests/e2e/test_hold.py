"""Holding a service: its requests wait in weir while what is behind it is swapped."""
import signal
import threading
import time

import pytest

from support.config import pool, site
from support.http1 import build
from support.wire import eventually


def done(r, code=0):
    assert r.code == code, (r.code, r.out, r.err)
    return r


class Crowd:
    """Clients that each send one request, and what they were answered."""

    def __init__(self, proxy, n, **kw):
        self.answers = []
        self.threads = [threading.Thread(target=self._ask, args=(proxy, i, kw), daemon=True) for i in range(n)]
        for t in self.threads:
            t.start()

    def _ask(self, proxy, i, kw):
        try:
            r = proxy.request(target=f"/{i}", **kw)
            self.answers.append((r.status, r.body))
        except Exception as e:  # shown by the test
            self.answers.append((repr(e), b""))

    def all(self):
        for t in self.threads:
            t.join(30)
        return self.answers


def waiting(proxy, service="acme/shop"):
    return proxy.admin("GET", f"/v1/services/{service}/hold").json()["waiting"]


def wait_waiting(proxy, n):
    eventually(lambda: waiting(proxy) == n, lambda: f"{n} to wait; {waiting(proxy)} do")


def test_a_pool_is_swapped_under_hold_and_no_request_fails(edge, origin):
    old, new = origin("old"), origin("new")
    proxy = edge(site(pools={"blue": pool(old)}))
    assert proxy.get("/").body == b"old"
    r = done(proxy.cli("hold", "acme/shop", "--for", "60s", "--reason", "swap", "--author", "ann"))
    assert r.out.startswith("held for ")
    crowd = Crowd(proxy, 30, method="POST", body=b"x" * 1000)
    wait_waiting(proxy, 30)
    old.close()
    done(proxy.cli("backends", "acme/shop/blue", "set", str(new)))
    assert done(proxy.cli("release", "acme/shop", "--spread", "0s", "--wait")).out == "released, nobody waits\n"
    assert crowd.all() == [(200, b"new")] * 30
    assert proxy.wait_event("hold", reason="swap")["author"].startswith("ann (uid:")
    proxy.wait_event("release")


def test_a_reload_may_be_what_swaps_it(edge, origin):
    old, new = origin("old"), origin("new")
    proxy = edge(site(pools={"blue": pool(old)}))
    done(proxy.cli("hold", "acme/shop", "--for", "60s"))
    crowd = Crowd(proxy, 10)
    wait_waiting(proxy, 10)
    proxy.reload(site(pools={"green": pool(new)}, limits={"body": "1MiB"}))
    done(proxy.cli("release", "acme/shop"))
    assert crowd.all() == [(200, b"new")] * 10
    assert proxy.admin("GET", "/v1/status").status == 200


def test_beyond_the_queue_it_is_503_at_once(edge, origin):
    proxy = edge(site(origin("shop")), workers=1)
    done(proxy.cli("hold", "acme/shop", "--for", "60s", "--queue", "3"))
    crowd = Crowd(proxy, 3)
    wait_waiting(proxy, 3)
    r = proxy.get("/late")
    assert r.status == 503 and r.header("retry-after") == "1"
    assert proxy.logged(path="/late")["reason"] == "hold_full"
    done(proxy.cli("release", "acme/shop"))
    assert [s for s, _ in crowd.all()] == [200] * 3


def test_a_request_waits_no_longer_than_it_may(edge, origin):
    proxy = edge(site(origin("shop")))
    done(proxy.cli("hold", "acme/shop", "--for", "60s", "--max-wait", "200ms"))
    r = proxy.get("/patient")
    assert r.status == 503 and r.header("retry-after")
    assert proxy.logged(path="/patient")["reason"] == "hold_timeout"
    assert proxy.admin("GET", "/v1/services/acme/shop/hold").json()["timed_out"] == 1


def test_it_ends_by_itself(edge, origin):
    proxy = edge(site(origin("shop")))
    done(proxy.cli("hold", "acme/shop", "--for", "500ms", "--spread", "0s"))
    assert proxy.get("/").body == b"shop"
    proxy.wait_event("hold_over")
    assert done(proxy.cli("hold", "acme/shop")).out == "not held\n"


def test_checks_are_answered_meanwhile(edge, origin):
    shop = origin("shop")
    proxy = edge(site(shop))
    done(proxy.cli("hold", "acme/shop", "--for", "60s", "--health-path", "/healthz"))
    r = proxy.get("/healthz?deep=1")
    assert r.status == 200 and r.body == b"held\n"
    done(proxy.cli("hold", "acme/shop", "--for", "60s", "--health-path", "/healthz", "--health-status", "503"))
    assert proxy.get("/healthz").status == 503
    assert shop.count == 0


def test_who_leaves_while_held_is_not_sent_on(edge, origin):
    shop = origin("shop")
    proxy = edge(site(shop))
    done(proxy.cli("hold", "acme/shop", "--for", "60s"))
    one, two = proxy.connect(), proxy.connect2()
    one.send(build("GET", "/gone1"))
    sid = two.start(path="/gone2")
    wait_waiting(proxy, 2)
    one.reset()
    two.cancel(sid)
    wait_waiting(proxy, 0)
    done(proxy.cli("release", "acme/shop"))
    assert two.get("/kept").status == 200
    assert [r.target for r in shop.requests] == ["/kept"]
    two.close()


def test_bodies_stay_within_the_window_and_arrive_whole(edge, origin):
    shop = origin("shop")
    proxy = edge(site(shop))
    body = bytes(range(256)) * 8192
    done(proxy.cli("hold", "acme/shop", "--for", "60s"))
    crowd = Crowd(proxy, 3, method="POST", body=body)
    wait_waiting(proxy, 3)
    done(proxy.cli("release", "acme/shop"))
    assert [s for s, _ in crowd.all()] == [200] * 3
    assert all(r.body == body for r in shop.requests)


def test_other_services_are_not_held(edge, origin):
    services = {"shop": {"pools": {"blue": pool(origin("shop"))}}, "blog": {"pools": {"blue": pool(origin("blog"))}}}
    proxy = edge(site(services=services, routes=[{"path": "/", "service": "shop"}, {"path": "/blog", "service": "blog"}]))
    done(proxy.cli("hold", "acme/shop", "--for", "60s"))
    assert proxy.get("/blog").body == b"blog"


def test_it_outlives_kill_9_until_its_end(edge, origin):
    shop = origin("shop")
    conf = site(shop)
    proxy = edge(conf)
    done(proxy.cli("hold", "acme/shop", "--for", "60s"))
    proxy.kill()
    proxy.stopped = True
    again = edge({**conf, "state_dir": str(proxy.dir / "state")})
    crowd = Crowd(again, 3)
    wait_waiting(again, 3)
    left = again.admin("GET", "/v1/services/acme/shop/hold").json()["left_ms"]
    assert 0 < left < 60000
    done(again.cli("release", "acme/shop"))
    assert [s for s, _ in crowd.all()] == [200] * 3
    again.kill()
    again.stopped = True
    third = edge({**conf, "state_dir": str(proxy.dir / "state")})
    assert third.get("/").status == 200


def test_who_is_held_is_answered_before_weir_stops(edge, origin):
    proxy = edge(site(origin("shop"), timeouts={"shutdown": "20s", "tunnel_drain": "300ms"}))
    done(proxy.cli("hold", "acme/shop", "--for", "60s", "--spread", "0s"))
    crowd = Crowd(proxy, 3)
    wait_waiting(proxy, 3)
    proxy.signal(signal.SIGTERM)
    assert [s for s, _ in crowd.all()] == [200] * 3
    assert proxy.wait_exit() == 0


def test_a_service_that_leaves_the_file_is_forgotten(edge, origin):
    shop = origin("shop")
    services = {"shop": {"pools": {"blue": pool(shop)}}, "blog": {"pools": {"blue": pool(origin("blog"))}}}
    routes = [{"path": "/", "service": "shop"}, {"path": "/blog", "service": "blog"}]
    proxy = edge(site(services=services, routes=routes))
    done(proxy.cli("hold", "acme/shop", "--for", "60s"))
    crowd = Crowd(proxy, 2)
    wait_waiting(proxy, 2)
    proxy.reload(site(services={"blog": services["blog"]}))
    proxy.wait_event("hold_forgotten")
    assert [s for s, _ in crowd.all()] == [200] * 2
    proxy.reload(site(services=services, routes=routes))
    assert proxy.get("/").body == b"shop"


@pytest.mark.parametrize("body, what", [
    ({}, "for how long"), ({"for": "soon"}, "duration"), ({"for": "2h"}, "3600 s at most"), ({"for": "1s", "queue": -1}, "a number from 0"),
    ({"for": "1s", "path": "healthz"}, "must be a path"), ({"for": "1s", "status": 99}, "from 200"), ({"for": "1s", "qeue": 1}, "did you mean")])
def test_bad_terms_are_said(edge, origin, body, what):
    proxy = edge(site(origin("shop")))
    r = proxy.admin("POST", "/v1/services/acme/shop/hold", body)
    assert r.status == 400 and what in r.json()["detail"]
    assert proxy.get("/").status == 200


def test_the_command_line_says_what_is_wrong(edge, origin):
    proxy = edge(site(origin("shop")))
    assert "which service?" in done(proxy.cli("hold"), 2).err
    assert "which service?" in done(proxy.cli("release"), 2).err
    assert "not a service" in done(proxy.cli("hold", "acme", "--for", "1s"), 2).err
    assert "not a number" in done(proxy.cli("hold", "acme/shop", "--for", "1s", "--queue", "many"), 2).err
    assert "no service" in done(proxy.cli("hold", "acme/shp", "--for", "1s"), 1).err
    assert done(proxy.cli("release", "acme/shop")).out == "released, nobody waits\n"


def test_they_go_on_at_the_rate_that_is_asked_for(edge, origin):
    new = origin("new")
    proxy = edge(site(pools={"blue": pool(new)}))
    done(proxy.cli("hold", "acme/shop", "--for", "60s", "--rate", "1"))
    crowd = Crowd(proxy, 12)
    wait_waiting(proxy, 12)
    begun = time.monotonic()
    done(proxy.cli("release", "acme/shop", "--rate", "10", "--wait"))
    assert time.monotonic() - begun > 0.5  # either worker lets five a second go
    assert crowd.all() == [(200, b"new")] * 12


@pytest.mark.parametrize("upgrades", [1, 2])
def test_an_upgrade_in_the_middle_loses_nobody_who_waits(edge, origin, upgrades):
    """Those who wait in the process that makes way go on when the one that follows is told to release."""
    proxy = edge(site(origin("shop"), timeouts={"tunnel_drain": "1h", "upgrade": "1h"}))
    done(proxy.cli("hold", "acme/shop", "--for", "1h", "--spread", "0s"))
    crowds = [Crowd(proxy, 5)]
    wait_waiting(proxy, 5)
    for _ in range(upgrades):
        done(proxy.cli("upgrade"))
        assert proxy.admin("GET", "/v1/services/acme/shop/hold").json()["held"]
        # The old process may still have taken who comes right after: they come until five wait in the new one.
        eventually(lambda: waiting(proxy) >= 5 or crowds.append(Crowd(proxy, 1)), lambda: f"5 to wait; {waiting(proxy)} do")
    assert not any(c.answers for c in crowds)
    done(proxy.cli("release", "acme/shop", "--wait"))
    assert {answer for crowd in crowds for answer in crowd.all()} == {(200, b"shop")}
    assert not proxy.admin("GET", "/v1/services/acme/shop/hold").json()["held"]


def test_with_a_version_that_is_over_nothing_is_held_or_released(edge, origin):
    proxy = edge(site(origin("shop")))
    version = proxy.admin("GET", "/v1/services/acme/shop").json()["version"]
    done(proxy.cli("hold", "acme/shop", "--for", "1h", "--if-version", version + 1), 4)
    assert not proxy.admin("GET", "/v1/services/acme/shop/hold").json()["held"]
    done(proxy.cli("hold", "acme/shop", "--for", "1h", "--if-version", version))
    done(proxy.cli("release", "acme/shop", "--if-version", version + 1), 4)
    assert proxy.admin("GET", "/v1/services/acme/shop/hold").json()["held"]


def test_who_waits_for_a_release_waits_no_longer_than_he_says(edge, origin):
    proxy = edge(site(origin("shop")))
    done(proxy.cli("hold", "acme/shop", "--for", "1h"))
    crowd = Crowd(proxy, 40)
    wait_waiting(proxy, 40)
    r = done(proxy.cli("release", "acme/shop", "--rate", "1", "--wait", "--timeout", "300ms"), 3)
    assert "still wait" in r.out
    done(proxy.cli("hold", "acme/shop", "--for", "1h"))
    done(proxy.cli("release", "acme/shop", "--spread", "0s", "--wait"))
    assert crowd.all() == [(200, b"shop")] * 40
