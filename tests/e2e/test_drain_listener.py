"""A listener that is drained lets nobody in, and those who are there go; enabled, it is as before."""
import signal

import pytest

from support import websocket
from support.answers import Gate
from support.config import http, site
from support.http1 import Closed, build
from support.prometheus import scrape
from support.websocket import CLOSE, TEXT, OverHttp1
from support.wire import eventually

PATH = "/v1/listeners/http/drain"


def done(r, code=0):
    assert r.code == code, (r.code, r.out, r.err)
    return r


@pytest.fixture
def shop(origin):
    return origin("shop")


@pytest.fixture
def proxy(edge, shop):
    timeouts = {"drain_spread": "200ms", "tunnel_drain": "300ms", "shutdown": "20s"}
    return edge(site(shop, listeners={"http": http(), "other": http()}, timeouts=timeouts))


def lets_in(proxy, listener="http"):
    with proxy.connect(listener) as c:
        try:
            return c.get("/").status == 200
        except (Closed, ConnectionError):
            return False


def test_nobody_gets_in_until_it_is_enabled(proxy):
    r = done(proxy.cli("drain", "--listener", "http", "--wait", "--reason", "new cables", "--author", "ann"))
    assert r.out.startswith("listener http drains\n") and r.out.endswith("drained\n")
    for _ in range(20):  # whichever worker gets it
        with proxy.connect() as c, pytest.raises(Closed) as e:
            c.response()
        assert e.value.how == "closed" and not e.value.partial
    assert lets_in(proxy, "other")
    document = proxy.admin("GET", PATH).json()
    assert document["draining"] and document["done"] and document["drain"]["reason"] == "new cables"
    assert proxy.wait_event("drain", listener="http")["author"].startswith("ann (uid:")
    listed = {x["listener"]: x["draining"] for x in proxy.admin("GET", "/v1/listeners").json()["listeners"]}
    assert listed == {"http": True, "other": False}
    assert done(proxy.cli("enable", "--listener", "http")).out == "listener http lets clients in\n"
    assert all(lets_in(proxy) for _ in range(20))
    assert proxy.wait_event("enable", listener="http")
    assert not proxy.admin("GET", PATH).json()["draining"]


def test_clients_are_told_and_nobody_is_reset(proxy):
    asking, resting, h2, there = proxy.connect(), proxy.connect(), proxy.connect2(), proxy.connect("other")
    for c in (asking, resting, h2, there):
        assert c.get("/").status == 200
    gate = proxy.admin("GET", PATH).json()
    assert gate["connections"] == 3 and gate["requests"] == gate["websockets"] == 0
    done(proxy.cli("drain", "--listener", "http"))
    assert h2.wait_goaway()[0] == 0
    h2.wait_closed()
    with pytest.raises(Closed) as e:
        resting.response()
    assert e.value.how == "closed" and not e.value.partial
    assert there.get("/").header("connection") is None
    assert done(proxy.cli("drain", "--listener", "http", "--wait")).out.endswith("drained\n")


def test_who_asks_is_told_with_the_answer(edge, shop):
    gate = shop.on("/slow", Gate())
    proxy = edge(site(shop, listeners={"http": http(), "other": http()}, timeouts={"drain_spread": "0s"}))
    with proxy.connect() as c:
        c.send(build("GET", "/slow"))
        gate.wait_arrived()
        r = done(proxy.cli("drain", "--listener", "http", "--wait", "--timeout", "1s"), 3)
        assert "1 connections, 1 requests, 0 websockets" in r.out and "--timeout waits longer" in r.err
        gate.open()
        r = c.response()
        assert r.status == 200 and r.header("connection") == "close"
    assert done(proxy.cli("drain", "--listener", "http", "--wait")).out.endswith("drained\n")


def test_status_and_metrics_tell_of_it_and_of_what_is_left(edge, shop):
    gate = shop.on("/slow", Gate())
    proxy = edge(site(shop, listeners={"http": http(), "other": http()}, timeouts={"drain_spread": "0s"}))

    def drained():
        return {name: scrape(proxy).value("weir_listener_drained", listener=name) for name in ("http", "other")}

    def left():
        return proxy.admin("GET", "/v1/status").json()["drained_listeners"]
    assert drained() == {"http": 0, "other": 0} and left() == []
    with proxy.connect() as c:
        c.send(build("GET", "/slow"))
        gate.wait_arrived()
        done(proxy.cli("drain", "--listener", "http", "--reason", "new cables", "--author", "ann"))
        assert drained() == {"http": 1, "other": 0}
        assert scrape(proxy).value("weir_listener_drain_left", listener="http", what="requests") == 1
        told, = left()
        assert (told["listener"], told["reason"], told["connections"], told["requests"], told["streams"]) == ("http", "new cables", 1, 1, 0)
        out = done(proxy.cli("status")).out
        assert "listener http is drained by ann" in out and "1 connections, 1 requests, 0 websockets, 0 streams are left" in out
        gate.open()
        assert c.response().status == 200
    eventually(lambda: left()[0]["connections"] == 0, "the look at what is left")
    done(proxy.cli("enable", "--listener", "http"))
    assert drained() == {"http": 0, "other": 0} and left() == []
    assert "drained" not in done(proxy.cli("status")).out


def test_websockets_are_told_1001(proxy, shop):
    shop.on("/ws", websocket.echo())
    w, stays = OverHttp1(proxy.connect(), "/ws"), OverHttp1(proxy.connect("other"), "/ws")
    for one in (w, stays):
        one.send(TEXT, b"hi")
        assert one.receive() == (TEXT, b"hi")
    assert proxy.admin("GET", PATH).json()["websockets"] == 1
    done(proxy.cli("drain", "--listener", "http"))
    assert w.receive() == (CLOSE, b"\x03\xe9")
    w.send(CLOSE, b"\x03\xe9")
    done(proxy.cli("drain", "--listener", "http", "--wait"))
    stays.send(TEXT, b"still")
    assert stays.receive() == (TEXT, b"still")


def test_what_stays_when_it_is_enabled_in_between(edge, shop):
    """Nobody of the many has been told yet, or only a few: the rest stay for good."""
    proxy = edge(site(shop, listeners={"http": http(), "other": http()}, timeouts={"drain_spread": "100s", "drain": "100s"}), workers=1)
    clients = [proxy.connect2() for _ in range(60)]
    for c in clients:
        assert c.get("/").status == 200
    done(proxy.cli("drain", "--listener", "http"))
    clients[0].wait_goaway()
    done(proxy.cli("enable", "--listener", "http"))
    assert clients[-1].get("/").status == 200 and clients[-1].goaway is None
    assert lets_in(proxy)


def test_it_outlives_reloads_crashes_and_upgrades(proxy):
    done(proxy.cli("drain", "--listener", "http"))
    proxy.reload({**proxy.conf, "limits": {"body": "1MiB"}})
    assert not lets_in(proxy) and lets_in(proxy, "other")
    proxy.reload({**proxy.conf, "timeouts": {**proxy.conf["timeouts"], "client_idle": "50s"}})  # another entry for new connections
    assert not lets_in(proxy) and lets_in(proxy, "other")
    before = len(proxy.events("upgrade"))
    proxy.signal(signal.SIGUSR2)
    eventually(lambda: len(proxy.events("upgrade")) > before, "the upgrade's event")
    assert proxy.events("upgrade")[-1]["outcome"] == "applied"
    assert lets_in(proxy, "other") and not any(lets_in(proxy) for _ in range(10))
    assert proxy.admin("GET", PATH).json()["drain"]
    done(proxy.cli("enable", "--listener", "http"))
    assert all(lets_in(proxy) for _ in range(10))


def test_it_outlives_the_process(proxy, edge, shop):
    done(proxy.cli("drain", "--listener", "http"))
    proxy.kill()
    proxy.stopped = True
    again = edge(site(shop, listeners={"http": http(), "other": http()}, state_dir=str(proxy.dir / "state")))
    assert lets_in(again, "other") and not any(lets_in(again) for _ in range(10))


def test_one_that_leaves_the_file_is_forgotten(proxy, shop):
    done(proxy.cli("drain", "--listener", "http"))
    both = proxy.conf
    proxy.reload({**both, "listeners": {"other": both["listeners"]["other"]}})
    assert proxy.wait_event("drain_forgotten")["listener"] == "http"
    proxy.reload(both)
    assert lets_in(proxy)


def test_what_is_not_done(proxy):
    assert "did you mean http" in done(proxy.cli("drain", "--listener", "htp"), 1).err
    assert "one at a time" in done(proxy.cli("drain", "--listener", "http", "acme/shop/blue"), 2).err
    assert "one at a time" in done(proxy.cli("enable", "--listener", "http", "acme/shop/blue"), 2).err
    assert "no target" in done(proxy.cli("drain", "--listener", "http", "--node"), 2).err
    done(proxy.cli("drain", "--listener", "http"))
    assert "say force" in done(proxy.cli("drain", "--listener", "other"), 1).err
    assert lets_in(proxy, "other")
    done(proxy.cli("drain", "--listener", "other", "--force"))
    assert not lets_in(proxy, "other")
    assert proxy.admin("POST", PATH, {"listener": "x"}).status == 400


def test_names_are_completed(proxy):
    for command in ("drain", "enable"):
        out = proxy.cli("complete", "--", command, "--listener", "").out
        assert {row.split("\t")[0] for row in out.splitlines()} == {"http", "other"}
