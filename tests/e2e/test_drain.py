"""Draining: nothing new, nothing lost, everybody told, not all at once."""
import signal
import threading
from datetime import datetime, timedelta

import pytest

from support import websocket
from support.answers import Gate
from support.config import http, pool, site
from support.http1 import Client, Closed, build
from support.websocket import CLOSE, TEXT, OverHttp1, OverHttp2
from support.wire import eventually

AWAY = (CLOSE, b"\x03\xe9")  # 1001


def done(r, code=0):
    assert r.code == code, (r.code, r.out, r.err)
    return r


class Asker(threading.Thread):
    """One who asks again and again over a connection that is kept, until he is told to go."""

    def __init__(self, connection):
        super().__init__(daemon=True)
        self.connection, self.told, self.answers, self.problem = connection, None, 0, None
        self.start()

    def run(self):
        try:
            while True:
                r = self.connection.get("/")
                assert r.status == 200
                self.answers += 1
                if r.header("connection") == "close":
                    self.told = self.answers
                    return
        except Exception as e:  # shown by the test
            self.problem = repr(e)


# -- connections --

@pytest.mark.parametrize("how", ["the process", "a listener"])
def test_everybody_is_told_and_nobody_is_reset(edge, origin, how):
    shop = origin("shop")
    timeouts = {"drain": "20s", "shutdown": "20s", "drain_spread": "2s"}
    proxy = edge(site(shop, listeners={"http": http(), "other": http()}, timeouts=timeouts))
    first = [proxy.connect() for _ in range(40)]
    resting = [proxy.connect() for _ in range(20)]
    second = [proxy.connect2() for _ in range(20)]
    for c in first + resting:
        assert c.get("/").status == 200
    for c in second:
        assert c.get("/").status == 200
    askers = [Asker(c) for c in first]
    eventually(lambda: all(a.answers > 1 or a.problem for a in askers), "traffic")
    if how == "the process":
        proxy.signal(signal.SIGTERM)
    else:
        proxy.reload(site(shop, listeners={"other": http()}, timeouts=timeouts))
    for c in second:
        assert c.wait_goaway()[0] == 0
        c.wait_closed()
    for a in askers:
        a.join(30)
        assert a.told and not a.problem, a.problem
    for c in resting:
        with pytest.raises(Closed) as e:
            c.response()
        assert e.value.how == "closed" and not e.value.partial
    if how == "the process":
        assert proxy.wait_exit() == 0
    assert all(r["status"] == 200 for r in proxy.access_log())


def test_many_are_not_told_at_once(edge, origin):
    """A hundred come from one worker, in a spread of a minute: after the first have been told, most have not."""
    shop = origin("shop")
    proxy = edge(site(shop, timeouts={"drain": "100s", "shutdown": "200s", "drain_spread": "100s"}), workers=1)
    clients = [proxy.connect2() for _ in range(60)]
    for c in clients:
        assert c.get("/").status == 200
    proxy.signal(signal.SIGTERM)
    clients[0].wait_goaway()
    assert clients[-1].get("/").status == 200 and clients[-1].goaway is None
    proxy.signal(signal.SIGTERM)
    assert proxy.wait_exit() == 0


def test_readyz_fails_before_connections_are_refused(edge, origin):
    shop = origin("shop")
    proxy = edge(site(shop, timeouts={"readiness": "2s", "shutdown": "20s"}))
    with Client(f"unix:{proxy.dir}/admin.sock") as admin, proxy.connect2() as c:
        assert c.get("/").status == 200
        assert proxy.admin("POST", "/v1/drain").status == 202
        r = admin.get("/readyz")
        assert r.status == 503 and "about to stop" in r.json()["detail"]
        assert admin.get("/v1/drain").json()["state"] == "not_ready"
        assert proxy.get("/").status == 200
        assert c.goaway is None
        assert c.wait_goaway()[0] == 0
        c.wait_closed()
    assert proxy.wait_exit() == 0


# -- WebSockets --

def open_websocket(proxy, client, over):
    w = over(client, "/ws")
    w.send(TEXT, b"hi")
    assert w.receive() == (TEXT, b"hi")
    return w


@pytest.mark.parametrize("version", [1, 2])
def test_a_websocket_is_told_1001_when_weir_stops(edge, origin, version):
    shop = origin("shop")
    echo = shop.on("/ws", websocket.echo())
    proxy = edge(site(shop, timeouts={"tunnel_drain": "300ms", "shutdown": "30s", "drain": "20s"}))
    w = open_websocket(proxy, *((proxy.connect(), OverHttp1) if version == 1 else (proxy.connect2(), OverHttp2)))
    proxy.signal(signal.SIGTERM)
    assert w.receive() == AWAY
    w.send(CLOSE, b"\x03\xe9")
    eventually(lambda: AWAY in echo.frames, "the close frame at the origin")
    assert proxy.wait_exit() == 0
    assert "reason" not in proxy.logged(path="/ws")
    w.close()


def test_not_all_websockets_are_told_at_the_same_moment(edge, origin):
    shop = origin("shop")
    shop.on("/ws", websocket.echo())
    proxy = edge(site(shop, timeouts={"tunnel_drain": "6s", "drain_spread": "3s", "shutdown": "60s", "drain": "60s"}))
    open_ones = [open_websocket(proxy, proxy.connect(), OverHttp1) for _ in range(30)]
    proxy.signal(signal.SIGTERM)
    for w in open_ones:
        assert w.receive() == AWAY
    assert proxy.wait_exit() == 0
    ends = [datetime.fromisoformat(line["time"]) for line in proxy.access_log() if line["path"] == "/ws"]
    assert len(ends) == 30 and max(ends) - min(ends) > timedelta(milliseconds=200)


def test_one_that_does_not_answer_is_cut(edge, origin):
    shop = origin("shop")
    shop.on("/ws", websocket.echo())
    proxy = edge(site(shop, timeouts={"tunnel_drain": "200ms", "shutdown": "60s", "drain": "60s"}))
    w = open_websocket(proxy, proxy.connect(), OverHttp1)
    proxy.signal(signal.SIGTERM)
    assert w.receive() == AWAY
    assert proxy.wait_exit() == 0
    assert proxy.logged(path="/ws")["reason"] == "drained"


def test_a_frame_under_way_ends_before_the_close_frame(edge, origin):
    shop = origin("shop")
    shop.on("/ws", websocket.echo())
    proxy = edge(site(shop, pools={"blue": pool(shop)}, timeouts={"tunnel_drain": "100ms", "drain": "20s"}))
    w = open_websocket(proxy, proxy.connect(), OverHttp1)
    message = websocket.encode(TEXT, b"x" * 1000, mask=True)
    w.send_raw(message[:100])
    done(proxy.cli("drain", "acme/shop/blue", "--force"))
    assert w.receive() == AWAY  # the backend was between two frames, so the client hears it at once
    w.send_raw(message[100:])
    record = proxy.logged(path="/ws")
    assert record["bytes_in"] >= len(message)


# -- backends and pools --

@pytest.fixture
def two(edge, origin):
    a, b = origin("a"), origin("b")
    proxy = edge(site(pools={"blue": {"backends": [str(a), str(b)]}}))
    proxy.a, proxy.b = a, b
    return proxy


def bodies(proxy, n=20):
    return {proxy.get("/").body for _ in range(n)}


def test_a_drained_backend_gets_nothing_new_until_it_is_enabled(two):
    r = done(two.cli("drain", f"acme/shop/blue/{two.a}", "--wait", "--reason", "kernel", "--author", "ann"))
    assert r.out.endswith("drained\n")
    assert bodies(two) == {b"b"}
    document = two.admin("GET", "/v1/pools/acme/shop/blue/drain").json()
    drained = [x for x in document["backends"] if x["drained"]]
    assert [x["address"] for x in drained] == [str(two.a)] and drained[0]["drain"]["reason"] == "kernel"
    assert two.wait_event("drain")["reason"] == "kernel"
    assert two.wait_event("drain")["author"].startswith("ann (uid:")
    two.reload({**two.conf, "limits": {"body": "1MiB"}})
    assert bodies(two) == {b"b"}
    done(two.cli("enable", f"acme/shop/blue/{two.a}"))
    assert bodies(two, 40) == {b"a", b"b"}


def test_a_drain_outlives_the_process(two, edge):
    done(two.cli("drain", f"acme/shop/blue/{two.a}"))
    two.kill()
    two.stopped = True
    again = edge({**site(pools=two.conf["tenants"]["acme"]["services"]["shop"]["pools"]), "state_dir": str(two.dir / "state")})
    assert bodies(again) == {b"b"}


def test_requests_in_flight_are_waited_for(two):
    gate = two.a.on("/slow", Gate())
    done(two.cli("drain", f"acme/shop/blue/{two.b}"))
    with two.connect() as c:
        c.send(build("GET", "/slow"))
        gate.wait_arrived()
        done(two.cli("enable", f"acme/shop/blue/{two.b}"))
        r = done(two.cli("drain", f"acme/shop/blue/{two.a}", "--wait", "--timeout", "1s"), 3)
        assert "1 requests in flight" in r.out and "--timeout waits longer" in r.err
        assert bodies(two) == {b"b"}
        gate.open()
        assert c.response().status == 200
    assert done(two.cli("drain", f"acme/shop/blue/{two.a}", "--wait")).out.endswith("drained\n")


def test_what_would_leave_nobody_is_refused(two):
    done(two.cli("drain", f"acme/shop/blue/{two.a}"))
    assert "say force" in done(two.cli("drain", f"acme/shop/blue/{two.b}"), 1).err
    assert "say force" in done(two.cli("drain", "acme/shop/blue"), 1).err
    done(two.cli("drain", f"acme/shop/blue/{two.b}", "--force"))
    assert two.get("/").status == 503


def test_a_backend_that_leaves_the_file_is_forgotten(two):
    done(two.cli("drain", f"acme/shop/blue/{two.a}"))
    both = two.conf
    two.reload(site(pools={"blue": {"backends": [str(two.b)]}}))
    assert two.wait_event("drain_forgotten")["backend"] == f"acme/shop/blue/{two.a}"
    two.reload(both)
    assert bodies(two, 40) == {b"a", b"b"}


def test_a_pool_is_drained_and_its_websockets_are_closed(edge, origin):
    blue, green = origin("blue"), origin("green")
    blue.on("/ws", websocket.echo())
    proxy = edge(site(pools={"blue": pool(blue, weight=100), "green": pool(green, weight=1)}, timeouts={"tunnel_drain": "200ms"}))
    done(proxy.cli("drain", "acme/shop/green"))
    w = open_websocket(proxy, proxy.connect(), OverHttp1)
    done(proxy.cli("enable", "acme/shop/green"))
    done(proxy.cli("drain", "acme/shop/blue"))
    assert w.receive() == AWAY
    w.send(CLOSE, b"\x03\xe9")
    done(proxy.cli("drain", "acme/shop/blue", "--wait"))
    assert bodies(proxy) == {b"green"}
    done(proxy.cli("enable", "acme/shop/blue"))
    assert b"blue" in bodies(proxy)


def test_what_is_misspelt_is_said(two):
    assert "did you mean" in done(two.cli("drain", f"acme/shop/blue/{str(two.a)[:-1]}"), 1).err
    assert 'no pool "blu"; did you mean "blue"?' in done(two.cli("drain", "acme/shop/blu"), 1).err
    assert "not a pool" in done(two.cli("drain", "acme/shop"), 2).err
    assert "what?" in done(two.cli("enable"), 2).err
    assert "no target" in done(two.cli("drain", "--node", "acme/shop/blue"), 2).err
    assert two.admin("POST", "/v1/pools/acme/shop/blue/drain", {"backend": 5}).status == 400


def test_the_node_is_drained_and_waited_for(edge, origin):
    shop = origin("shop")
    gate = shop.always(Gate())
    proxy = edge(site(shop, timeouts={"shutdown": "20s"}))
    with proxy.connect() as c:
        c.send(build("GET", "/"))
        gate.wait_arrived()
        assert done(proxy.cli("drain", "--node")).out == "draining\n"
        r = done(proxy.cli("drain", "--node", "--wait", "--timeout", "1s"), 3)
        assert r.out == "draining: 1 connections, 1 requests, 0 websockets, 0 streams\n"
        assert "it still has 1 connections, 1 requests" in r.err and "--timeout waits longer" in r.err
        opener = threading.Timer(0.5, gate.open)
        opener.start()
        r = done(proxy.cli("drain", "--node", "--wait"))
        assert r.out.endswith("stopped\n")
        assert c.response().status == 200
    assert proxy.wait_exit() == 0
