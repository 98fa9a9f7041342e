"""WebSocket in all four pairings: HTTP/1.1 upgrade and RFC 8441, on either side."""
import asyncio

import grpc
import pytest

from support import websocket
from support.answers import hang, pattern, raw, reply
from support.config import http, https, site
from support.grpc_server import Server, Stub
from support.http1 import build
from support.wire import PATIENCE, eventually
from support.websocket import BINARY, CLOSE, PING, PONG, TEXT, OverHttp1, OverHttp2, encode, handshake_headers

ENABLE_CONNECT_PROTOCOL = 8


@pytest.fixture(params=[("h1", "h1"), ("h1", "h2"), ("h2", "h1"), ("h2", "h2")], ids="-".join)
def pair(request, edge, origin):
    """(origin, proxy, open): open(path) makes a WebSocket through weir."""
    client, upstream = request.param
    shop = origin("shop", protocol="h2c" if upstream == "h2" else "http1", h2_settings={ENABLE_CONNECT_PROTOCOL: 1})
    proxy = edge(site(shop, service={"protocol": "h2c" if upstream == "h2" else "http1"}))
    opened = []

    def open_one(path="/ws", headers=()):
        w = OverHttp2(proxy.connect2(), path, headers) if client == "h2" else OverHttp1(proxy.connect(), path, headers)
        opened.append(w)
        return w
    yield shop, proxy, open_one
    for w in opened:
        w.close()


def test_messages_go_both_ways(pair):
    shop, proxy, open_one = pair
    shop.on("/ws", websocket.echo())
    w = open_one(headers=[("Sec-WebSocket-Protocol", "chat"), ("Origin", "https://acme.test")])
    for opcode, payload in ((TEXT, b"hello"), (BINARY, bytes(range(256))), (TEXT, b""), (PING, b"are you there")):
        w.send(opcode, payload)
        assert w.receive() == (PONG if opcode == PING else opcode, payload)
    got = shop.last
    assert got.header("sec-websocket-protocol") == "chat" and got.header("origin") == "https://acme.test"
    assert got.header("x-forwarded-for") == "127.0.0.1"
    if got.version == "HTTP/2":
        assert (got.method, got.protocol) == ("CONNECT", "websocket")


def test_the_closing_handshake_ends_both_sides(pair):
    shop, proxy, open_one = pair
    shop.on("/ws", websocket.echo())
    w = open_one()
    w.send(CLOSE, b"\x03\xe8done")
    assert w.receive() == (CLOSE, b"\x03\xe8done")
    w.finish_sending()
    assert w.receive() is None
    record = proxy.logged(path="/ws")
    assert (record["method"], record["status"]) == (("CONNECT", 200) if isinstance(w, OverHttp2) else ("GET", 101))


def test_what_the_backend_says_first_is_not_lost(pair):
    shop, _, open_one = pair
    shop.on("/ws", websocket.echo(greeting=b"welcome"))
    assert open_one().receive() == (TEXT, b"welcome")


def test_big_messages_are_not_changed(pair):
    shop, _, open_one = pair
    shop.on("/ws", websocket.echo())
    w = open_one()
    message = pattern(2_000_000)
    w.send(BINARY, message)
    assert w.receive() == (BINARY, message)
    w.send(TEXT, b"still here")
    assert w.receive() == (TEXT, b"still here")


def test_half_close_lets_the_other_half_finish(pair):
    """The client has nothing more to say; what the backend says afterwards still arrives."""
    shop, _, open_one = pair
    received = []
    shop.on("/ws", websocket.half_close(received, b"last words"))
    w = open_one()
    w.send_raw(b"all I had")
    w.finish_sending()
    assert w.rest() == b"last words"
    assert b"".join(received) == b"all I had"


@pytest.mark.parametrize("while_it_talks", [False, True], ids=["silent", "talking"])
def test_a_client_that_vanishes_frees_the_backend(pair, while_it_talks):
    """Also when the reset comes together with a message, as one event."""
    shop, _, open_one = pair
    done = []
    echo = websocket.echo()

    def until_gone(x):
        try:
            echo(x)
        finally:
            done.append(1)
    shop.on("/ws", until_gone)
    w = open_one()
    w.send(TEXT, b"hi")
    w.receive()
    if while_it_talks:
        w.send(TEXT, b"bye")
    w.abort()
    eventually(lambda: done, "the backend to be told")


def test_a_backend_that_vanishes_frees_the_client(pair):
    shop, _, open_one = pair
    shop.on("/ws", websocket.echo())
    w = open_one()
    w.send(TEXT, b"hi")
    w.receive()
    shop.drop_connections(hard=True)
    try:
        assert w.receive() is None
    except ConnectionResetError:
        pass


@pytest.mark.parametrize("status", [403, 426])
def test_a_refusal_is_passed_on_and_makes_no_tunnel(pair, status):
    shop, _, open_one = pair
    shop.on("/ws", reply(status, b"no sockets here", early=True))
    assert open_one().answer.status == status


def test_an_upgrade_answered_200_makes_no_tunnel(edge, origin):
    """Over HTTP/1 a 200 is an ordinary answer; told to an HTTP/2 client as it is, it would mean consent."""
    shop = origin("shop")
    shop.on("/ws", reply(200, b"a page"))
    proxy = edge(site(shop))
    with proxy.connect() as c:
        r = c.get("/ws", handshake_headers())
        assert (r.status, r.body) == (200, b"a page")
        record = proxy.logged(path="/ws")
        assert (record["method"], record["status"]) == ("GET", 200)
        assert c.get("/next").status == 200
    with proxy.connect2() as c:
        w = OverHttp2(c, "/ws")
        assert w.answer.status >= 300
        assert c.get("/next").status == 200


def test_a_route_may_forbid_it(pair):
    shop, proxy, open_one = pair
    shop.on("/ws", websocket.echo())
    upstream = {"service": {"protocol": shop.protocol}}
    proxy.reload(site(shop, routes=[{"path": "/", "service": "shop", "websocket": False}], **upstream))
    assert open_one().answer.status == 403
    assert proxy.logged(path="/ws")["reason"] == "websocket_off"
    assert shop.count == 0


def test_a_routes_timeout_is_for_the_handshake_and_not_for_the_talk(pair):
    shop, proxy, open_one = pair
    shop.on("/ws", websocket.echo())
    shop.on("/never", hang)
    proxy.reload(site(shop, routes=[{"path": "/", "service": "shop", "timeout": "2s"}], service={"protocol": shop.protocol}))
    w = open_one()
    assert w.answer.status in (101, 200)
    assert open_one("/never").answer.status == 504  # began later: the time of both is over
    assert proxy.logged(path="/never")["reason"] == "deadline"
    w.send(TEXT, b"still there?")
    assert w.receive() == (TEXT, b"still there?")


def test_idle_sockets_outlive_the_idle_timeout_of_http(edge, origin):
    """client_idle and response are about requests; a quiet chat is not an idle connection."""
    shop = origin("shop")
    shop.on("/ws", websocket.echo())
    proxy = edge(site(shop, timeouts={"client_idle": "300ms", "response": "300ms", "client_header": "300ms", "upstream_idle": "300ms"}))
    w = OverHttp1(proxy.connect(), "/ws")
    w.client.expect_silence(1.0)
    w.send(TEXT, b"still there?")
    assert w.receive() == (TEXT, b"still there?")
    w.close()


def test_over_tls_with_the_websockets_library(edge, origin, pki, acme_cert):
    import websockets
    shop = origin("shop")
    shop.on("/ws", websocket.echo())
    proxy = edge(site(shop, listeners={"http": http(), "https": https(acme_cert)}))

    async def talk(uri, **kw):
        async with websockets.connect(uri, compression=None, open_timeout=PATIENCE, extra_headers={}, **kw) as ws:
            for i in range(20):
                await ws.send(f"message {i}")
                assert await asyncio.wait_for(ws.recv(), PATIENCE) == f"message {i}"
            await asyncio.wait_for(await ws.ping(), PATIENCE)
            await ws.send(b"b" * 100_000)
            assert await asyncio.wait_for(ws.recv(), PATIENCE) == b"b" * 100_000
    asyncio.run(talk(f"ws://acme.test:{proxy.port()}/ws", host=proxy.address()[0], port=proxy.port()))
    asyncio.run(talk(f"wss://acme.test:{proxy.port('https')}/ws", host=proxy.address("https")[0], port=proxy.port("https"),
        ssl=pki.client_context(), server_hostname="acme.test"))


@pytest.mark.parametrize("protocol", ["auto", "h2"])
def test_a_backend_whose_http2_has_no_websocket_is_asked_over_http1(edge, origin, pki, protocol):
    """As of most servers: they speak HTTP/2, and WebSocket over HTTP/1.1 alone."""
    shop = origin("shop", tls=pki.server_context(pki.server("shop.internal"), ("h2", "http/1.1")))
    shop.on("/ws", websocket.echo())
    proxy = edge(site(shop, service={"protocol": protocol, "tls": {"ca": pki.file, "server_name": "shop.internal"}}))
    for w in (OverHttp1(proxy.connect(), "/ws"), OverHttp2(proxy.connect2(), "/ws"), OverHttp1(proxy.connect(), "/ws")):
        w.send(TEXT, b"hello")
        assert w.receive() == (TEXT, b"hello")
        assert shop.last.version == "HTTP/1.1"
        w.close()
    assert proxy.get("/").status == 200 and shop.last.version == "HTTP/2"


def test_a_backend_that_has_no_http1_either_is_not_blamed(edge, pki, started):
    """gRPC servers take only HTTP/2: that strangers ask them for a WebSocket must not have them ejected."""
    inner = pki.server("shop.internal")
    servers = [Server(grpc.ssl_server_credentials([(inner.key_file.read_bytes(), inner.cert_file.read_bytes())])) for _ in "ab"]
    started.extend(servers)
    proxy = edge(site(*servers, service={"protocol": "auto", "tls": {"ca": pki.file, "server_name": "shop.internal"},
        "outlier": {"consecutive_errors": 1, "max_ejected": "100%"}}))
    for _ in range(4):
        with proxy.connect() as c:
            assert OverHttp1(c, "/ws").answer.status in (502, 504)
    with Stub(proxy.address()) as s:
        for _ in range(4):
            assert s.unary(b"hello")[0] == b"hello"
    assert proxy.events("ejected") == []


def test_without_alpn_a_backend_that_lacks_it_is_named(edge, origin):
    shop = origin("shop", protocol="h2c")
    proxy = edge(site(shop, service={"protocol": "h2c"}))
    assert OverHttp1(proxy.connect(), "/ws").answer.status == 502
    assert proxy.logged(path="/ws")["reason"] == "upstream_no_websocket"
    assert shop.count == 0


def test_a_hundred_sockets_at_once(edge, origin):
    shop = origin("shop")
    shop.on("/ws", websocket.echo())
    proxy = edge(site(shop))
    sockets = [OverHttp1(proxy.connect(), "/ws") for _ in range(100)]
    for i, w in enumerate(sockets):
        w.send(TEXT, b"%d" % i)
    for i, w in enumerate(sockets):
        assert w.receive() == (TEXT, b"%d" % i)
        w.close()
    eventually(lambda: shop.open_connections() == 0, "the backend connections to end with their clients")


# -- handshakes that are not right --

@pytest.mark.parametrize("change", [
    ("Sec-WebSocket-Key", None), ("Sec-WebSocket-Key", "short"), ("Sec-WebSocket-Version", None), ("Sec-WebSocket-Version", "8"),
])
def test_a_malformed_handshake_makes_no_tunnel(edge, origin, change):
    shop = origin("shop")
    name, value = change
    headers = [(n, v if n != name else value) for n, v in handshake_headers() if n != name or value]
    with edge(site(shop)).connect() as c:
        assert c.get("/ws", headers).status != 101


def test_post_makes_no_tunnel(edge, origin):
    shop = origin("shop")
    with edge(site(shop)).connect() as c:
        c.send(build("POST", "/ws", handshake_headers(), body=b""))
        assert c.response().status != 101


def test_http_1_0_makes_no_tunnel(edge, origin):
    shop = origin("shop")
    with edge(site(shop)).connect() as c:
        assert c.get("/ws", handshake_headers(), version="HTTP/1.0").status == 200
    assert "upgrade" not in shop.last.headers


def test_a_wrong_accept_from_the_backend_is_502(edge, origin):
    shop = origin("shop")
    shop.on("/ws", raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n", then="hang"))
    proxy = edge(site(shop))
    with proxy.connect() as c:
        assert c.get("/ws", handshake_headers()).status == 502
    assert proxy.logged()["reason"] == "upstream_bad_upgrade"


def test_frames_sent_right_behind_the_handshake_arrive(edge, origin):
    shop = origin("shop")
    echo = shop.on("/ws", websocket.echo())
    with edge(site(shop)).connect() as c:
        c.send(build("GET", "/ws", handshake_headers()) + encode(TEXT, b"impatient", mask=True))
        assert c.response().status == 101
        websocket.wait_frames(echo, 1)
        assert echo.frames == [(TEXT, b"impatient")]


def test_shutdown_closes_tunnels_at_its_deadline(edge, origin):
    shop = origin("shop")
    shop.on("/ws", websocket.echo())
    proxy = edge(site(shop, timeouts={"drain": "500ms", "shutdown": "4s"}))
    w = OverHttp1(proxy.connect(), "/ws")
    w.send(TEXT, b"hi")
    assert w.receive() == (TEXT, b"hi")
    proxy.signal(15)
    assert w.receive() == (CLOSE, b"\x03\xe9")
    try:
        assert w.receive() is None
    except ConnectionResetError:
        pass
    assert proxy.wait_exit() == 0
