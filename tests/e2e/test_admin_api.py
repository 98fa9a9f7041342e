"""What the admin API tells and does: services, events, reload, stop."""
import json
import os
import signal
import sqlite3
import threading

import pytest

from support.answers import Gate
from support.config import pool, site
from support.http1 import Client, build
from support.wire import eventually


@pytest.fixture
def shop(origin):
    return origin("shop")


def two_pools(shop, refused_port, **top):
    health = {"tcp": {}, "interval": "100ms", "timeout": "1s", "fall": 1}
    return site(pools={"blue": pool(shop, weight=90), "green": pool(refused_port, weight=10)}, service={"health": health}, **top)


# -- services --

def test_a_service_tells_its_pools_and_why_a_backend_is_down(edge, shop, refused_port):
    proxy = edge(two_pools(shop, refused_port))
    proxy.wait_event("health", to="down")
    r = proxy.admin("GET", "/v1/services/acme/shop")
    s = r.json()
    assert (s["tenant"], s["service"]) == ("acme", "shop") and r.header("etag") == f'"{s["version"]}"'
    blue, green = s["pools"]
    assert (blue["name"], blue["weight"], blue["state"], blue["up"]) == ("blue", 90, "open", 1)
    assert blue["backends"][0]["address"] == str(shop) and blue["backends"][0]["health"]["state"] == "up"
    health = green["backends"][0]["health"]
    assert health["state"] == "down" and health["reason"] == "upstream_refused" and health["text"] and health["since_s"] >= 0
    assert green["backends"][0]["ejected"] is False and green["down"] == 1


def test_services_are_listed(edge, shop):
    conf = site(shop)
    conf["tenants"]["beta"] = {"hosts": ["beta.test"], "services": {"api": {"pools": {"one": pool(shop)}}}}
    proxy = edge(conf)
    listed = [(s["tenant"], s["service"]) for s in proxy.admin("GET", "/v1/services").json()["services"]]
    assert listed == [("acme", "shop"), ("beta", "api")]
    assert [s["tenant"] for s in proxy.admin("GET", "/v1/services?tenant=beta").json()["services"]] == ["beta"]
    for path in ("/v1/services/acme/api", "/v1/services/nope/shop"):
        r = proxy.admin("GET", path)
        assert r.status == 404 and r.json()["reason"] == "no_such_service"


# -- events --

def test_events_are_remembered_in_order_and_can_be_filtered(edge, shop, refused_port):
    proxy = edge(two_pools(shop, refused_port))
    proxy.wait_event("health", to="down")
    everything = eventually(lambda: (e := proxy.admin("GET", "/v1/events").json()) and
                            any(x["event"] == "health" and x["to"] == "down" for x in e["events"]) and e, "the event")
    numbers = [e["number"] for e in everything["events"]]
    assert numbers == list(range(1, len(numbers) + 1)) and everything["last"] >= numbers[-1]
    assert {e["event"] for e in proxy.admin("GET", "/v1/events?name=health").json()["events"]} == {"health"}
    assert {e["event"] for e in proxy.admin("GET", "/v1/events?tenant=acme").json()["events"]} >= {"health"}
    assert not proxy.admin("GET", "/v1/events?tenant=nobody").json()["events"]
    last = everything["last"]
    assert all(e["number"] > last for e in proxy.admin("GET", f"/v1/events?since={last}").json()["events"])
    assert proxy.admin("GET", "/v1/events?since=1h").json()["events"][0]["number"] == 1
    assert proxy.admin("GET", "/v1/events?since=0&limit=2").json()["last"] == 2
    for bad in ("since=yesterday", "limit=x", "wait=soon"):
        assert proxy.admin("GET", f"/v1/events?{bad}").status == 400


def test_one_can_wait_for_the_next_event(edge, shop):
    proxy = edge(site(shop))
    last = proxy.admin("GET", "/v1/events").json()["last"]
    with Client(f"unix:{proxy.dir}/admin.sock") as c:
        c.send(build("GET", f"/v1/events?since={last}&name=reload&wait=30s"))
        proxy.reload(outcome="unchanged")
        assert [e["outcome"] for e in c.response().json()["events"]] == ["unchanged"]
        assert c.get(f"/v1/events?since={last + 100}&name=nothing&wait=200ms").json()["events"] == []


class Stream:
    """A reader of server-sent events."""

    def __init__(self, proxy, path="/v1/events", headers=()):
        self.client = Client(f"unix:{proxy.dir}/admin.sock")
        self.client.send(build("GET", path, {"Accept": "text/event-stream", **dict(headers)}))
        self.head = self.client.head()
        self.text = b""

    def next(self):
        """(id, name, data) of the next event."""
        while b"\n\n" not in self.text:
            self.text += self.client.exactly(int(self.client.line(), 16))
            assert self.client.exactly(2) == b"\r\n"
        event, self.text = self.text.split(b"\n\n", 1)
        fields = dict(line.split(": ", 1) for line in event.decode().splitlines() if not line.startswith(":"))
        return (fields.get("id"), fields["event"], json.loads(fields["data"])) if fields else self.next()


def test_events_stream_and_go_on_where_a_reader_left(edge, shop):
    proxy = edge(site(shop))
    stream = Stream(proxy)
    assert stream.head.status == 200 and stream.head.header("content-type") == "text/event-stream"
    proxy.reload(outcome="unchanged")
    number, name, data = stream.next()
    assert name == "reload" and data["outcome"] == "unchanged" and data["number"] == int(number)
    stream.client.close()
    proxy.reload(outcome="unchanged")
    again = Stream(proxy, headers={"Last-Event-ID": number})
    assert int(again.next()[0]) == int(number) + 1
    again.client.close()


def test_a_reader_that_does_not_read_is_cut_off_and_told_so(edge, shop):
    proxy = edge(site(shop))
    stream = Stream(proxy, "/v1/events?name=reload")
    assert stream.head.status == 200
    for _ in range(4):  # each event lists a thousand errors: a quarter of a megabyte
        proxy.configure("".join(f"nope{n:060}: 1\n" for n in range(1000)))
        assert proxy.admin("POST", "/v1/reload").status == 422
    # Before the reader begins: events are written first, and told then.
    eventually(lambda: len(proxy.admin("GET", "/v1/events?name=reload").json()["events"]) == 4, "all to have been told")
    seen = [stream.next()]
    while seen[-1][1] != "cut":
        seen.append(stream.next())
    assert seen[-1][2] == {"reason": "slow_reader"} and len(seen) < 4
    stream.client.close()
    assert proxy.admin("GET", "/v1/status").status == 200


def test_a_stream_goes_on_through_reloads_that_move_its_socket(edge, shop):
    proxy = edge(site(shop))
    stream = Stream(proxy, "/v1/events?name=reload")
    proxy.reload(site(shop, admin={"socket": f"{proxy.dir}/new.sock"}))
    proxy.reload(site(shop, admin={"socket": f"{proxy.dir}/admin.sock"}))
    assert [stream.next()[2]["generation"] for _ in range(2)] == [2, 3]
    stream.client.close()


# -- reload --

def test_reload_answers_when_all_workers_follow(edge, shop):
    proxy = edge(site(shop))
    assert proxy.admin("POST", "/v1/reload").json()["outcome"] == "unchanged"
    proxy.configure(site(shop, limits={"header_count": 50}))
    r = proxy.admin("POST", "/v1/reload")
    assert r.status == 200 and r.json()["outcome"] == "applied" and r.json()["generation"] == 2
    assert proxy.admin("GET", "/v1/status").json()["last_reload"]["outcome"] == "applied"


def test_a_refused_reload_answers_with_its_errors_and_they_stay_until_a_good_one(edge, shop):
    proxy = edge(site(shop))
    proxy.configure("tenants: {acme: {hots: [a.test]}}\n")
    r = proxy.admin("POST", "/v1/reload")
    assert r.status == 422 and r.json()["reason"] == "refused"
    assert any("hots" in e["message"] and e["line"] == 1 for e in r.json()["errors"])
    refused = proxy.admin("GET", "/v1/status").json()["refused_reload"]
    assert refused["errors"] == r.json()["errors"]
    proxy.configure(site(shop))
    assert proxy.admin("POST", "/v1/reload").json()["outcome"] == "unchanged"
    assert proxy.admin("GET", "/v1/status").json()["refused_reload"] is None


def test_many_who_ask_for_a_reload_at_once_are_all_answered(edge, shop):
    proxy = edge(site(shop))
    answers = []
    proxy.configure(site(shop, limits={"header_count": 50}))
    threads = [threading.Thread(target=lambda: answers.append(proxy.admin("POST", "/v1/reload").json())) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(answers) == 8 and {a["outcome"] for a in answers} <= {"applied", "unchanged"}
    assert {a["generation"] for a in answers} == {2}


def test_a_client_that_goes_while_it_waits_disturbs_nobody(edge, shop):
    proxy = edge(site(shop))
    for path in ("/v1/events?wait=60s&name=nothing", "/v1/events?wait=60s&since=99999"):
        for _ in range(20):
            c = Client(f"unix:{proxy.dir}/admin.sock")
            c.send(build("GET", path))
            c.close()
    proxy.reload(outcome="unchanged")
    assert proxy.admin("GET", "/v1/status").status == 200


# -- stop --

def test_stop_drains_and_readyz_fails_first(edge, shop):
    gate = shop.always(Gate())
    proxy = edge(site(shop, timeouts={"shutdown": "20s"}))
    with proxy.connect() as busy, Client(f"unix:{proxy.dir}/admin.sock") as admin:
        busy.send(build("GET", "/"))
        gate.wait_arrived()
        r = proxy.admin("POST", "/v1/stop", {"drain": "20s"})
        assert r.status == 202 and r.json()["state"] == "draining"
        r = admin.get("/readyz")
        assert r.status == 503 and "draining" in r.json()["detail"] and admin.get("/livez").status == 200
        assert admin.get("/v1/status").json()["state"] == "draining"
        assert admin.request("POST", "/v1/reload").status == 503
        gate.open()
        assert busy.response().status == 200
    assert proxy.wait_exit() == 0


def test_stop_at_once_cuts(edge, shop):
    gate = shop.always(Gate())
    proxy = edge(site(shop))
    with proxy.connect() as busy:
        busy.send(build("GET", "/"))
        gate.wait_arrived()
        assert proxy.admin("POST", "/v1/stop", {"drain": "0s"}).json()["state"] == "stopping"
        assert proxy.wait_exit() == 0
        gate.open()


@pytest.mark.parametrize("body", [{"drain": 5}, {"drain": "soon"}, {"drian": "5s"}, [], b'{"drain": "1s", "drain": "2s"}', b"{", b"\xff{}",
                                  b"[" * 100000, b'{"drain": "\\u0000"}', b'"' + b"x" * 100])
def test_a_body_that_is_not_understood_changes_nothing(edge, shop, body):
    proxy = edge(site(shop))
    r = proxy.admin("POST", "/v1/stop", body)
    assert r.status == 400 and r.json()["detail"]
    assert proxy.admin("GET", "/v1/status").json()["state"] == "serving"


CHANGES = {  # a body that each takes
    ("POST", "/v1/services/acme/shop/deploy"): {"pool": "green"},
    ("POST", "/v1/services/acme/shop/shift"): {"pool": "green", "steps": [100]},
    ("PATCH", "/v1/services/acme/shop/shift"): {"action": "abort"},
    ("PUT", "/v1/services/acme/shop/weights"): {"weights": {"green": 1}},
    ("POST", "/v1/services/acme/shop/hold"): {"for": "1s"},
    ("PUT", "/v1/pools/acme/shop/green/state"): {"state": "open"},
    ("PUT", "/v1/pools/acme/shop/green/backends"): {"backends": ["127.0.0.1:1"]},
    ("POST", "/v1/pools/acme/shop/green/drain"): {},
}


@pytest.mark.parametrize("method, path", CHANGES)
def test_no_body_takes_weir_down(edge, shop, method, path):
    proxy = edge(site(pools={"blue": pool(shop, weight=100), "green": pool(shop, weight=0)}))
    good, wide = CHANGES[method, path], "x" + "\u00e9" * 90  # longer than an author is told, and cut within a character
    before = proxy.admin("GET", "/v1/status").json()["pid"]
    for body in (None, b"", b"null", b"[]", b"1", b'"x"', {wide: 1}, {**good, "reason": 1}, {**good, "reason": "\u20ac" * 500}):
        r = proxy.admin(method, path, body)
        assert r.status in (200, 201, 400, 404, 409), (body, r.status)
    assert r.status == 400 and r.json()["reason"] == "bad_value"  # too long a reason
    for body in ({**good, "author": wide, "reason": wide * 3}, {**good, **{name: wide for name in good}}):
        proxy.admin(method, path, body)
        proxy.admin("DELETE", "/v1/services/acme/shop/deploy", {"author": wide, "reason": wide * 5})
        proxy.admin("DELETE", "/v1/services/acme/shop/shift", {"author": wide, "reason": wide * 5})
    assert proxy.admin("GET", "/v1/status").json()["pid"] == before and not proxy.events("worker_died")
    assert all(change["author"] for change in proxy.admin("GET", "/v1/services/acme/shop/history").json()["history"])


def test_bodies_have_a_size_a_type_and_a_pace(edge, shop):
    proxy = edge(site(shop))
    with Client(f"unix:{proxy.dir}/admin.sock") as c:
        c.send(b"POST /v1/stop HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2000000\r\n\r\n")
        assert c.response().status == 413
    with Client(f"unix:{proxy.dir}/admin.sock") as c:
        c.try_send(build("POST", "/v1/stop", {"Content-Type": "application/json"}, [b" " * 65536] * 20, chunked=True))
        assert c.response().status == 413
    assert proxy.admin("POST", "/v1/stop", b"{}", {"Content-Type": "text/plain"}).status == 415
    assert proxy.admin("POST", "/v1/reopen", b"{}", chunked=True).status == 400
    with Client(f"unix:{proxy.dir}/admin.sock", patience=30) as c:
        c.send(b"POST /v1/stop HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
        r = c.response()
        assert r.status == 408 and r.json()["reason"] == "client_slow_body"
    assert proxy.admin("GET", "/v1/status").json()["state"] == "serving"


def test_events_go_back_beyond_a_crash_an_upgrade_and_a_restart(edge, shop):
    """One numbering, whoever asks, in whichever process it happened."""
    proxy = edge(site(shop))
    proxy.reload(site(shop, limits={"header_count": 50}))
    last = proxy.admin("GET", "/v1/events").json()["last"]
    eventually(lambda: kept(proxy, "reload"), "the reload in the store")
    os.kill(proxy.worker_pid(), signal.SIGKILL)
    proxy.wait_event("ready", n=2)
    assert proxy.cli("upgrade").code == 0
    eventually(lambda: len(proxy.worker_pids()) == 1 and kept(proxy, "upgrade"), "the old process to end")
    everything = proxy.admin("GET", "/v1/events?since=1h").json()
    names = [e["event"] for e in everything["events"]]
    assert names.count("ready") == 3 and names.index("reload") < names.index("worker_died") < names.index("upgrade")
    numbers = [e["number"] for e in everything["events"]]
    assert numbers == sorted(set(numbers)) and everything["last"] == numbers[-1]
    later = proxy.admin("GET", f"/v1/events?since={last}").json()["events"]
    assert [e["number"] for e in later] == [n for n in numbers if n > last]
    # By pages, and by name, over the border between what was kept and what is remembered.
    paged, at = [], 0
    while page := proxy.admin("GET", f"/v1/events?since={at}&limit=3").json():
        paged += [e["number"] for e in page["events"]]
        if not page["events"]:
            break
        at = page["last"]
    assert paged == numbers
    assert [e["event"] for e in proxy.admin("GET", "/v1/events?since=1h&name=ready").json()["events"]] == ["ready"] * 3
    assert proxy.cli("events", "--name", "worker_died").out.count("worker_died") == 1
    stream = Stream(proxy, headers={"Last-Event-ID": str(last)})
    for number in [n for n in numbers if n > last]:
        assert int(stream.next()[0]) == number
    stream.client.close()
    assert proxy.admin("GET", "/v1/events?since=1h&tenant=nobody").json()["events"] == []


def kept(proxy, name):
    with sqlite3.connect(f"file:{proxy.dir}/state/state.db?mode=ro", uri=True, timeout=10) as db:
        return db.execute("SELECT count(*) FROM events WHERE name = ?", (name,)).fetchone()[0]
