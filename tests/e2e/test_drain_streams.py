"""What does not end by itself is ended when what it goes through drains, so that its client comes back; what ends by itself is let."""
import gzip
import queue
import signal

import grpc
import pytest

from support.answers import Gate, Stepwise, pattern, reply
from support.config import http, pool, site
from support.grpc_server import SERVICE, Stub
from support.http1 import build
from support.wire import eventually

EVENT = b"data: one\n\n"
STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}
SOON = {"stream_drain": "100ms", "drain_spread": "0s", "drain": "60s", "shutdown": "60s"}


def done(r, code=0):
    assert r.code == code, (r.code, r.out, r.err)
    return r


class Reader:
    """One who has an event stream open, and has read the first event."""

    def __init__(self, proxy, version, path="/events"):
        self.version = version
        self.connection = c = proxy.connect() if version == 1 else proxy.connect2()
        if version == 1:
            c.send(build("GET", path))
            assert c.head().header("content-type").startswith("text/event-stream")
            assert (c.line(), c.exactly(len(EVENT) + 2)) == (b"%x" % len(EVENT), EVENT + b"\r\n")
        else:
            self.stream = c.start("GET", path)
            c.response_head(self.stream)
            c.pump(lambda: c.streams[self.stream].response.body == EVENT, "the first event")

    def wait_end(self):
        """The orderly end, upon which an EventSource connects again."""
        if self.version == 1:
            assert (self.connection.line(), self.connection.line()) == (b"0", b"")
        else:
            assert self.connection.response(self.stream).body == EVENT


def events(origin, *parts):
    """The first comes, and then nothing for ever."""
    def answer(x):
        x.read_body()
        x.head(200, STREAM)
        for part in parts or [EVENT]:
            x.body(part)
        x.wait_gone()
    origin.on("/events", answer)


@pytest.mark.parametrize("version", [1, 2])
def test_an_event_stream_ends_in_order_when_weir_stops(edge, origin, version):
    shop = origin("shop")
    events(shop)
    proxy = edge(site(shop, timeouts=SOON))
    reader = Reader(proxy, version)
    proxy.signal(signal.SIGTERM)
    reader.wait_end()
    assert proxy.wait_exit() == 0
    record = proxy.logged(path="/events")
    assert record["status"] == 200 and "reason" not in record
    eventually(lambda: not shop.open_connections(), "the backend to be let go of")


def test_who_reads_events_goes_on_at_another_backend(edge, origin):
    a, b = origin("a"), origin("b")
    events(a), events(b)
    proxy = edge(site(pools={"blue": pool(a, b)}, timeouts=SOON))
    done(proxy.cli("drain", f"acme/shop/blue/{b}"))
    readers = [Reader(proxy, 1), Reader(proxy, 2)]
    done(proxy.cli("enable", f"acme/shop/blue/{b}"))
    done(proxy.cli("drain", f"acme/shop/blue/{a}", "--wait"))
    for r in readers:
        r.wait_end()
    assert b.count == 0
    readers[0].connection.send(build("GET", "/events"))
    assert readers[0].connection.head().status == 200 and b.count == 1


@pytest.mark.parametrize("how", ["a pool", "a pool that leaves the file", "a listener", "a listener that leaves the file"])
def test_whatever_drains_has_its_streams_end(edge, origin, how):
    blue, green = origin("blue"), origin("green")
    events(blue)
    both = {"blue": pool(blue, weight=1), "green": pool(green, weight=0)}
    listeners = {"http": http(), "other": http()}
    proxy = edge(site(pools=both, listeners=listeners, timeouts=SOON))
    readers = [Reader(proxy, 1), Reader(proxy, 2)]
    if how == "a pool":
        done(proxy.cli("drain", "acme/shop/blue", "--force"))
    elif how == "a listener":
        assert proxy.admin("GET", "/v1/listeners/http/drain").json()["streams"] == 2
        done(proxy.cli("drain", "--listener", "http"))
    elif how == "a pool that leaves the file":
        proxy.reload(site(pools={"green": pool(green, weight=1)}, listeners=listeners, timeouts=SOON))
    else:
        proxy.reload(site(pools=both, listeners={"other": http()}, timeouts=SOON))
    for r in readers:
        r.wait_end()


def test_a_download_is_let_while_event_streams_end(edge, origin):
    shop = origin("shop")
    events(shop)
    parts = [pattern(10_000, i * 10_000) for i in range(3)]
    steps = shop.on("/download", Stepwise(parts))
    proxy = edge(site(shop, timeouts=SOON), workers=1)
    with proxy.connect() as c:
        c.send(build("GET", "/download"))
        steps.step()
        assert c.head().status == 200
        reader = Reader(proxy, 2)
        proxy.signal(signal.SIGTERM)
        reader.wait_end()
        steps.step(3)
        got = b""
        while n := int(c.line(), 16):
            got += c.exactly(n)
            c.exactly(2)
        assert got == b"".join(parts) and c.line() == b""
    assert proxy.wait_exit() == 0


def test_a_compressed_stream_ends_whole(edge, origin):
    shop = origin("shop")
    events(shop, EVENT * 400)
    proxy = edge(site(shop, timeouts=SOON, modules={"compress": "on"}))
    with proxy.connect2() as c:
        sid = c.start("GET", "/events", {"accept-encoding": "gzip"})
        assert c.response_head(sid).header("content-encoding") == "gzip"
        done(proxy.cli("drain", "acme/shop/blue", "--force"))
        assert gzip.decompress(c.response(sid).body) == EVENT * 400


def test_an_event_stream_that_announces_its_length_is_a_download(edge, origin):
    shop = origin("shop")
    events(shop)
    shop.on("/counted", reply(200, EVENT, STREAM))
    steps = shop.on("/slow", Stepwise([EVENT], headers=STREAM, length=len(EVENT)))
    proxy = edge(site(shop, timeouts=SOON), workers=1)
    assert proxy.get("/counted").body == EVENT
    with proxy.connect() as c:
        c.send(build("GET", "/slow"))
        assert c.head().status == 200
        reader = Reader(proxy, 1)
        done(proxy.cli("drain", "acme/shop/blue", "--force"))
        reader.wait_end()
        steps.step(2)
        assert c.exactly(len(EVENT)) == EVENT


def test_streams_go_on_through_upgrades(edge, origin):
    """What they are given when something drains is not what an upgrade gives them."""
    shop = origin("shop")
    steps = shop.on("/events", Stepwise([EVENT, EVENT], headers=STREAM))
    proxy = edge(site(shop, timeouts={**SOON, "upgrade": "1h"}))
    steps.step()
    reader = Reader(proxy, 2)
    for n in range(2):
        proxy.signal(signal.SIGUSR2)
        assert proxy.wait_event("upgrade", n=n + 1)["outcome"] == "applied"
    steps.step(2)
    assert reader.connection.response(reader.stream).body == EVENT * 2


# -- gRPC --

class Chat:
    """A call both ways, in which the first message has been answered (or, quiet: only sent)."""

    def __init__(self, stub):
        self.messages = queue.Queue()
        self.answers = stub.chat(iter(self.messages.get, None), timeout=60)
        self.messages.put(b"abc")
        assert next(self.answers) == b"cba"

    def failure(self):
        with pytest.raises(grpc.RpcError) as e:
            next(self.answers)
        self.messages.put(None)
        return e.value


@pytest.fixture
def proxy(edge, grpc_origin):
    return edge(site(grpc_origin, service={"protocol": "h2c"}, timeouts=SOON), workers=1)


def test_a_grpc_stream_ends_with_unavailable(proxy):
    with Stub(proxy.address()) as stub:
        failure = Chat(stub).failure
        done(proxy.cli("drain", "acme/shop/blue", "--force"))
        e = failure()
        assert e.code() == grpc.StatusCode.UNAVAILABLE and "stream_drain" in e.details()
    assert proxy.logged(path=f"/{SERVICE}/Chat")["reason"] == "stream_drained"


def test_a_grpc_upload_without_an_end_ends_with_unavailable(proxy, grpc_origin):
    numbers = queue.Queue()
    numbers.put(b"1")
    with Stub(proxy.address()) as stub:
        call = stub.channel.stream_unary(f"/{SERVICE}/Sum").future(iter(numbers.get, None), timeout=60)
        eventually(lambda: proxy.admin("GET", "/v1/drain").json()["streams"] == 1, "the call")
        done(proxy.cli("drain", "acme/shop/blue", "--force"))
        assert call.exception(60).code() == grpc.StatusCode.UNAVAILABLE
        numbers.put(None)
    assert proxy.logged(path=f"/{SERVICE}/Sum")["reason"] == "stream_drained"


def test_a_call_that_awaits_its_answer_gets_it(proxy, grpc_origin):
    with Stub(proxy.address()) as stub:
        call = stub.channel.unary_unary(f"/{SERVICE}/Slow").future(b"x", timeout=60)
        eventually(lambda: proxy.admin("GET", "/v1/drain").json()["streams"] == 1, "the call")
        chat = Chat(stub)
        done(proxy.cli("drain", "acme/shop/blue", "--force"))
        assert chat.failure().code() == grpc.StatusCode.UNAVAILABLE
        grpc_origin.cancelled.set()
        assert call.result(60) == b"late"


def test_weir_stops_with_streams_open(edge, grpc_origin, origin):
    shop = origin("shop")
    gate = shop.on("/slow", Gate())
    proxy = edge(site(services={"rpc": {"protocol": "h2c", "pools": {"blue": pool(grpc_origin)}}, "shop": {"pools": {"blue": pool(shop)}}},
        routes=[{"path": "/", "service": "rpc"}, {"path": "/slow", "service": "shop"}], timeouts=SOON), workers=1)
    with Stub(proxy.address()) as stub, proxy.connect() as c:
        c.send(build("GET", "/slow"))
        gate.wait_arrived()
        chat = Chat(stub)
        proxy.signal(signal.SIGTERM)
        assert chat.failure().code() == grpc.StatusCode.UNAVAILABLE
        gate.open()
        assert c.response().status == 200
    assert proxy.wait_exit() == 0
