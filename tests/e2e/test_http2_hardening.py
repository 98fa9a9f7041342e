"""Hostile HTTP/2 in: stream errors are RST_STREAM and leave the connection usable, connection errors are GOAWAY, floods end early."""
import struct

import pytest

from support import frames
from support.answers import Gate, big
from support.config import http, site
from support.edge import SANITIZED, Edge
from support.frames import (COMPRESSION_ERROR, CONTINUATION, DATA, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, HEADERS,
    INITIAL_WINDOW_SIZE, PING, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE,
    FrameClient, block, frame, headers, literal, request_fields, rst_stream, settings, window_update)
from support.origin import Origin
from support.wire import eventually


@pytest.fixture(scope="module")
def guarded():
    """One weir for all malformed requests: what hurts it hurts the next, which is part of the test."""
    shop = Origin("shop")
    proxy = Edge(site(shop, limits={"header_bytes": "16KiB"}))
    yield proxy, shop
    try:
        proxy.stop()
    finally:
        proxy.kill()
        proxy.discard()
        shop.close()


@pytest.fixture
def attack(guarded):
    """A connection to it; afterwards an honest client is served as ever."""
    proxy, _ = guarded
    with FrameClient(proxy.address()) as c:
        yield c
    assert proxy.get("/honest").status == 200


# -- malformed requests: RST_STREAM, and the connection lives --

M, S, A, P = (":method", "GET"), (":scheme", "http"), (":authority", "acme.test"), (":path", "/")

MALFORMED = {
    "no :method": [S, A, P],
    "no :scheme": [M, A, P],
    "no :path": [M, S, A],
    "an empty :path": [M, S, A, (":path", "")],
    "two :method": [M, M, S, A, P],
    "two :path": [M, S, A, P, (":path", "/two")],
    "two :authority": [M, S, A, A, P],
    "an unknown pseudo-header": [M, S, A, P, (":weir", "1")],
    "a response's pseudo-header": [M, S, A, P, (":status", "200")],
    "a late pseudo-header": [M, S, A, ("x-a", "1"), P],
    "an upper-case name": [M, S, A, P, ("X-A", "1")],
    "an empty name": [M, S, A, P, ("", "1")],
    "a name with a space": [M, S, A, P, ("x a", "1")],
    "a name with a colon": [M, S, A, P, ("x:a", "1")],
    "TE: gzip": [M, S, A, P, ("te", "gzip")],
    "TE: trailers, gzip": [M, S, A, P, ("te", "trailers, gzip")],
    "Transfer-Encoding": [M, S, A, P, ("transfer-encoding", "chunked")],
    "Connection": [M, S, A, P, ("connection", "close")],
    "Keep-Alive": [M, S, A, P, ("keep-alive", "1")],
    "Proxy-Connection": [M, S, A, P, ("proxy-connection", "keep-alive")],
    "Upgrade": [M, S, A, P, ("upgrade", "h2c")],
    "CR LF in a value": [M, S, A, P, ("x-a", "1\r\nX-Smuggled: 1")],
    "LF in a value": [M, S, A, P, ("x-a", "1\n2")],
    "CR in a value": [M, S, A, P, ("x-a", "1\r2")],
    "NUL in a value": [M, S, A, P, ("x-a", "1\0")],
    "a space before a value": [M, S, A, P, ("x-a", " 1")],
    "a space after a value": [M, S, A, P, ("x-a", "1 ")],
    "a tab after a value": [M, S, A, P, ("x-a", "1\t")],
    "a space in :method": [(":method", "GET /x HTTP/1.1"), S, A, P],
    "CR LF in :method": [(":method", "GET\r\nX: 1"), S, A, P],
    "an empty :method": [(":method", ""), S, A, P],
    "a space in :path": [M, S, A, (":path", "/ HTTP/1.1")],
    "CR LF in :path": [M, S, A, (":path", "/\r\nX-Smuggled: 1")],
    "a high byte in :path": [M, S, A, (":path", "/\xff")],
    "a :path without a slash": [M, S, A, (":path", "path")],
    "an asterisk that is no OPTIONS": [M, S, A, (":path", "*")],
    "an odd :scheme": [M, (":scheme", "http://evil.test/?"), A, P],
    "an empty :scheme": [M, (":scheme", ""), A, P],
    "a :scheme with CR LF": [M, (":scheme", "http\r\nX: 1"), A, P],
    "CR LF in :authority": [M, S, (":authority", "acme.test\r\nX: 1"), P],
    "a user in :authority": [M, S, (":authority", "me@acme.test"), P],
    "an :authority unlike host": [M, S, A, P, ("host", "other.test")],
    "two hosts": [M, S, P, ("host", "acme.test"), ("host", "acme.test")],
    "CONNECT with a :path": [(":method", "CONNECT"), S, A, P],
    "a content-length that is no number": [(":method", "POST"), S, A, P, ("content-length", "ten")],
    "two content-lengths": [(":method", "POST"), S, A, P, ("content-length", "1"), ("content-length", "2")],
    "a signed content-length": [(":method", "POST"), S, A, P, ("content-length", "+1")],
    "extended CONNECT without :scheme": [(":method", "CONNECT"), (":protocol", "websocket"), A, P],
    ":protocol without CONNECT": [M, S, A, P, (":protocol", "websocket")],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_reset_and_the_connection_lives(guarded, attack, name):
    _, shop = guarded
    before = shop.count
    attack.send(headers(1, MALFORMED[name]))
    attack.expect_reset(1, PROTOCOL_ERROR)
    assert shop.count == before, f"{shop.last} was forwarded"
    attack.expect_alive(3)


@pytest.mark.parametrize("fields", [[M, S, P], [M, S, (":authority", ""), P]], ids=["no authority and no host", "an empty authority"])
def test_a_request_for_nobody_is_refused(guarded, attack, fields):
    attack.send(headers(1, fields))
    attack.pump(lambda: attack.find(RST_STREAM, 1) or attack.find(HEADERS, 1), "a refusal")
    if attack.find(HEADERS, 1):
        assert attack.status(1) in (400, 404)
    attack.expect_alive(3)


def test_host_may_stand_in_for_authority(guarded, attack):
    attack.send(headers(1, [M, S, P, ("host", "acme.test")]))
    assert attack.status(1) == 200


@pytest.mark.parametrize("target", ["/a/../b", "/a/%2e%2e/b", "/a/.%2e", "/a/./b", "/a%00b", "/a#b"])
def test_an_ambiguous_path_is_refused_as_over_http_1(guarded, attack, target):
    _, shop = guarded
    before = shop.count
    attack.send(headers(1, request_fields(path=target)))
    attack.pump(lambda: attack.find(RST_STREAM, 1) or attack.find(HEADERS, 1), "a refusal")
    if attack.find(HEADERS, 1):
        assert attack.status(1) == 400
    assert shop.count == before
    attack.expect_alive(3)


@pytest.mark.parametrize("length, sent", [(5, b"abc"), (3, b"abcde"), (0, b"a"), (5, b"")])
def test_a_body_unlike_its_content_length_is_reset(guarded, attack, length, sent):
    _, shop = guarded
    # In one piece: between the two the backend may have answered already, and rightly so.
    attack.send(headers(1, [(":method", "POST"), S, A, P, ("content-length", str(length))], end_stream=False),
                frame(DATA, frames.END_STREAM, 1, sent))
    attack.expect_reset(1, PROTOCOL_ERROR)
    attack.expect_alive(3)
    assert not any(r.method == "POST" and r.complete for r in shop.requests)


def test_trailers_with_a_pseudo_header_are_reset(guarded, attack):
    _, shop = guarded
    attack.send(headers(1, request_fields("POST", "/trail"), end_stream=False), frame(DATA, 0, 1, b"x"), headers(1, [(":path", "/other")]))
    attack.expect_reset(1, PROTOCOL_ERROR)
    attack.expect_alive(3)
    assert not any(r.target == "/trail" and r.complete for r in shop.requests)


def test_a_second_head_that_does_not_end_the_stream_is_reset(guarded, attack):
    attack.send(headers(1, request_fields("POST"), end_stream=False), headers(1, [("x-a", "1")], end_stream=False))
    attack.expect_reset(1, PROTOCOL_ERROR)
    attack.expect_alive(3)


@pytest.mark.parametrize("n", [200, 20_000], ids=["a little", "much"])
def test_a_header_list_over_the_limit_is_431_or_reset_and_hpack_stays_in_step(guarded, attack, n):
    """16 KiB are allowed; the connection's compression state has to survive the refusal."""
    many = [("x-%05d" % i, "v" * 100) for i in range(max(200, n // 100))]
    payload = block(request_fields(more=many))
    parts = [payload[i:i + 16_000] for i in range(0, len(payload), 16_000)]
    attack.send(headers(1, parts[0], end_headers=len(parts) == 1))
    for i, part in enumerate(parts[1:], 2):
        if not attack.try_send(frame(CONTINUATION, frames.END_HEADERS if i == len(parts) else 0, 1, part)):
            break
    attack.pump(lambda: attack.closed or attack.find(RST_STREAM, 1) or attack.find(HEADERS, 1) or attack.find(GOAWAY), "a refusal")
    if attack.find(HEADERS, 1):
        assert attack._statuses[1] == 431
    if not attack.closed and not attack.find(GOAWAY):
        attack.expect_alive(3)


# -- broken connections: GOAWAY, close --

def one(stream=1):
    return headers(stream)


BROKEN = {
    "an even stream": (headers(2), [PROTOCOL_ERROR]),
    "a lower stream": (headers(5) + headers(3), [PROTOCOL_ERROR, STREAM_CLOSED]),
    "stream 0": (headers(0), [PROTOCOL_ERROR]),
    "DATA on stream 0": (frame(DATA, 0, 0, b"x"), [PROTOCOL_ERROR]),
    "DATA on an idle stream": (frame(DATA, 0, 1, b"x"), [PROTOCOL_ERROR]),
    "RST_STREAM on an idle stream": (rst_stream(1), [PROTOCOL_ERROR]),
    "WINDOW_UPDATE on an idle stream": (window_update(1, 1), [PROTOCOL_ERROR]),
    "CONTINUATION without HEADERS": (frame(CONTINUATION, frames.END_HEADERS, 1, block(request_fields())), [PROTOCOL_ERROR]),
    "another frame within a header block": (headers(1, end_headers=False) + frame(PING, 0, 0, b"12345678"), [PROTOCOL_ERROR]),
    "HEADERS within a header block": (headers(1, end_headers=False) + headers(3), [PROTOCOL_ERROR]),
    "an unknown frame within a header block": (headers(1, end_headers=False) + frame(0x42, 0, 1, b""), [PROTOCOL_ERROR]),
    "CONTINUATION of another stream": (headers(1, end_headers=False) + frame(CONTINUATION, frames.END_HEADERS, 3, b""), [PROTOCOL_ERROR]),
    "PUSH_PROMISE from a client": (frame(PUSH_PROMISE, frames.END_HEADERS, 1, b"\0\0\0\2" + block(request_fields())), [PROTOCOL_ERROR]),
    "a bad HPACK index": (headers(1, b"\xff\xff\xff\x7f"), [COMPRESSION_ERROR]),
    "HPACK index 0": (headers(1, b"\x80"), [COMPRESSION_ERROR]),
    "a truncated HPACK literal": (headers(1, b"\0\x05ab"), [COMPRESSION_ERROR]),
    "a bad Huffman code": (headers(1, b"\0\x01a\x84\xff\xff\xff\xff"), [COMPRESSION_ERROR]),
    "an HPACK table larger than allowed": (headers(1, b"\x3f\xe1\xff\x7f" + block(request_fields())), [COMPRESSION_ERROR]),
    "a frame too large": (frame(DATA, 0, 1, b"x" * 16_385), [FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
    "SETTINGS of 5 bytes": (frame(SETTINGS, 0, 0, b"12345"), [FRAME_SIZE_ERROR]),
    "SETTINGS on a stream": (frame(SETTINGS, 0, 1, b""), [PROTOCOL_ERROR]),
    "SETTINGS ACK with a payload": (frame(SETTINGS, frames.ACK, 0, b"123456"), [FRAME_SIZE_ERROR]),
    "ENABLE_PUSH 2": (settings({2: 2}), [PROTOCOL_ERROR]),
    "a window beyond 31 bits": (settings({INITIAL_WINDOW_SIZE: 1 << 31}), [FLOW_CONTROL_ERROR]),
    "a frame size below the least": (settings({5: 16_383}), [PROTOCOL_ERROR]),
    "a frame size above the most": (settings({5: 1 << 24}), [PROTOCOL_ERROR]),
    "PING of 7 bytes": (frame(PING, 0, 0, b"1234567"), [FRAME_SIZE_ERROR]),
    "PING on a stream": (frame(PING, 0, 1, b"12345678"), [PROTOCOL_ERROR]),
    "WINDOW_UPDATE of 3 bytes": (frame(WINDOW_UPDATE, 0, 0, b"123"), [FRAME_SIZE_ERROR]),
    "WINDOW_UPDATE of 0 on the connection": (window_update(0, 0), [PROTOCOL_ERROR]),
    "a connection window that overflows": (window_update(0, 0x7fffffff) * 2, [FLOW_CONTROL_ERROR]),
    "RST_STREAM of 3 bytes": (frame(RST_STREAM, 0, 1, b"123"), [FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
    "RST_STREAM on stream 0": (rst_stream(0), [PROTOCOL_ERROR]),
    "GOAWAY on a stream": (frame(GOAWAY, 0, 1, b"\0" * 8), [PROTOCOL_ERROR]),
    "padding longer than the frame": (frame(HEADERS, 0x4 | 0x8, 1, b"\xff" + block(request_fields())), [PROTOCOL_ERROR]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_connection_is_told_so_and_closed(attack, name):
    data, codes = BROKEN[name]
    attack.send(data)
    attack.expect_goaway(*codes)


def test_a_reused_stream_is_a_connection_error(attack):
    attack.send(one(1))
    assert attack.status(1) == 200
    attack.try_send(one(1))
    attack.expect_goaway(PROTOCOL_ERROR, STREAM_CLOSED)


@pytest.mark.parametrize("late", ["HEADERS", "DATA"])
def test_frames_on_a_closed_stream_that_is_long_forgotten_are_still_errors(attack, late):
    for i in range(1, 60, 2):
        attack.send(one(i))
        assert attack.status(i) == 200
    attack.try_send(one(3) if late == "HEADERS" else frame(DATA, 0, 3, b"late"))
    attack.pump(lambda: attack.find(GOAWAY) or attack.find(RST_STREAM, 3), "an error")
    code = (attack.find(GOAWAY) or attack.find(RST_STREAM, 3)).code
    assert code in (STREAM_CLOSED, PROTOCOL_ERROR)


def test_no_preface_no_service(guarded):
    proxy, _ = guarded
    with FrameClient(proxy.address(), greet=False) as c:
        c.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
        c.pump(lambda: c.closed, "the close")


def test_a_first_frame_that_is_not_settings_is_an_error(guarded):
    proxy, _ = guarded
    with FrameClient(proxy.address(), greet=False) as c:
        c.send(frames.PREFACE + frame(PING, 0, 0, b"12345678"))
        c.expect_goaway(PROTOCOL_ERROR)


def test_more_data_than_the_window_is_a_flow_control_error(edge, origin):
    shop = origin("shop", protocol="h2c")
    gate = shop.always(Gate(read_body=False))
    with FrameClient(edge(site(shop, service={"protocol": "h2c"})).address()) as c:
        c.send(headers(1, request_fields("POST"), end_stream=False))
        gate.wait_arrived()
        for _ in range(2_000):
            if not c.try_send(frame(DATA, 0, 1, b"x" * 16_384)):
                break
        c.pump(lambda: c.find(RST_STREAM, 1) or c.find(GOAWAY) or c.closed, "an error")
        f = c.find(GOAWAY) or c.find(RST_STREAM, 1)
        assert f is None or f.code in (FLOW_CONTROL_ERROR, ENHANCE_YOUR_CALM)


def test_streams_over_the_limit_are_refused_not_served(edge, origin):
    shop = origin("shop")
    gate = shop.always(Gate())
    proxy = edge(site(shop, listeners={"http": http(http2={"max_concurrent_streams": 3})}))
    with FrameClient(proxy.address()) as c:
        c.pump(lambda: c.find(SETTINGS, ack=True), "SETTINGS to be acknowledged")
        c.send(*[headers(1 + 2 * i) for i in range(6)])
        gate.wait_arrived(3)
        for i in range(3, 6):
            c.expect_reset(1 + 2 * i, REFUSED_STREAM, PROTOCOL_ERROR)
        gate.open()
        assert [c.status(1 + 2 * i) for i in range(3)] == [200, 200, 200]
    assert shop.count == 3


# -- floods: bounded, and an end put to them --

def flood(client, one_frame, may_be_borne=False, at_most=20_000):
    """Sends until weir hangs up, and fails if it takes them all without an objection. The code of its GOAWAY, None without one."""
    batch = 200
    for i in range(at_most // batch):
        if not client.try_send(*[one_frame(i * batch + j) for j in range(batch)]):
            break
        client._read(0.001)
        if client.closed or client.find(GOAWAY):
            break
    if not may_be_borne:
        client.pump(lambda: client.closed or client.find(GOAWAY), "an end to the flood")
    goaways = [f.code for f in client.frames if f.kind == GOAWAY]
    return goaways[-1] if goaways else None


@pytest.fixture
def calm(edge, origin):
    """An edge whose memory and honest service are looked at after a flood."""
    shop = origin("shop")
    proxy = edge(site(shop))
    assert proxy.get("/before").status == 200
    before = proxy.memory()
    yield proxy, shop
    assert proxy.get("/after").status == 200
    if not SANITIZED:
        assert proxy.memory() < before + 48 * 1024 * 1024


FLOODS = {
    "PING": lambda i: frame(PING, 0, 0, struct.pack(">Q", i)),
    "SETTINGS": lambda i: settings({4: 65_535}),
    "empty DATA": lambda i: frame(DATA, 0, 1, b""),
    "PRIORITY": lambda i: frame(PRIORITY, 0, 1001 + 2 * i, struct.pack(">IB", 0, 1)),
    "WINDOW_UPDATE on a forgotten stream": lambda i: window_update(1, 1),
    "unknown frames": lambda i: frame(0x42, 0, 0, b""),
    "empty trailers": lambda i: headers(3 + 2 * i, request_fields("POST"), end_stream=False) + headers(3 + 2 * i, b""),
    "rapid reset": lambda i: headers(3 + 2 * i) + rst_stream(3 + 2 * i),
    "resets that we are provoked to send": lambda i: headers(3 + 2 * i, request_fields() + [("x-a", " ")]),
    "resets by a zero window update": lambda i: headers(3 + 2 * i, request_fields("POST"), end_stream=False) + window_update(3 + 2 * i, 0),
    "zero-length names": lambda i: headers(3 + 2 * i, block(request_fields()) + literal("", "") * 50),
}
CHEAP = {"unknown frames", "empty trailers", "WINDOW_UPDATE on a forgotten stream"}  # may be borne to the end


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_stopped_and_costs_little(calm, name):
    proxy, shop = calm
    with FrameClient(proxy.address()) as c:
        c.send(headers(1, request_fields("POST"), end_stream=False) if name == "empty DATA" else one(1))
        assert flood(c, FLOODS[name], name in CHEAP) in (None, ENHANCE_YOUR_CALM, PROTOCOL_ERROR)
    assert shop.count < 2_000, "upstream work is not bounded"


def test_rapid_reset_says_calm_and_leaves_little_at_the_backend(calm):
    proxy, shop = calm
    gate = shop.always(Gate())
    with FrameClient(proxy.address()) as c:
        assert flood(c, FLOODS["rapid reset"]) == ENHANCE_YOUR_CALM
    assert shop.count < 1_000
    eventually(lambda: shop.open_connections() <= 4, "abandoned backend connections to be closed")  # two kept by each worker
    gate.open()


def test_a_continuation_flood_is_stopped(calm):
    proxy, shop = calm
    with FrameClient(proxy.address()) as c:
        c.send(headers(1, block(request_fields()), end_headers=False))
        for i in range(20_000):
            if not c.try_send(frame(CONTINUATION, 0, 1, literal(f"x-{i}", "v" * 100))):
                break
        c.pump(lambda: c.closed or c.find(GOAWAY), "an end to the flood")
    assert [r.target for r in shop.requests] == ["/before"]


def test_an_empty_continuation_flood_is_stopped(calm):
    proxy, _ = calm
    with FrameClient(proxy.address()) as c:
        c.send(headers(1, block(request_fields()), end_headers=False))
        assert flood(c, lambda i: frame(CONTINUATION, 0, 1, b"")) in (None, ENHANCE_YOUR_CALM, PROTOCOL_ERROR)


def test_a_one_byte_data_flood_is_bounded_or_honest(edge, origin):
    """A body in 100,000 frames of a byte: passed on with bounded memory, or stopped; never kept frame by frame."""
    shop = origin("shop")
    gate = shop.always(Gate(read_body=False))
    proxy = edge(site(shop))
    with FrameClient(proxy.address()) as c:
        c.send(headers(1, request_fields("POST"), end_stream=False))
        gate.wait_arrived()
        before = proxy.memory()
        for _ in range(60):
            if not c.try_send(frame(DATA, 0, 1, b"x") * 1_000):
                break
        if not SANITIZED:
            assert proxy.memory() < before + 32 * 1024 * 1024
        gate.open()


def test_an_hpack_bomb_is_refused(calm):
    """One big entry in the dynamic table, then thousands of references to it."""
    proxy, shop = calm
    name, value = b"x-bomb", b"b" * 3_000
    entry = b"\x40" + bytes([len(name)]) + name + b"\x7f" + bytes([(3_000 - 127) % 128 + 128, (3_000 - 127) // 128]) + value
    with FrameClient(proxy.address()) as c:
        c.send(headers(1, block(request_fields()) + entry))
        assert c.status(1) == 200
        c.try_send(headers(3, block(request_fields()) + b"\xbe" * 12_000))
        c.pump(lambda: c.closed or c.find(RST_STREAM, 3) or c.find(HEADERS, 3) or c.find(GOAWAY), "a refusal")
        assert c._statuses.get(3, 431) == 431
    assert shop.count == 2


@pytest.mark.slow
def test_a_window_that_stays_shut_is_not_waited_for_for_ever(edge, origin):
    """A stream window of 0 with a whole answer at hand: reset when the write deadline passes."""
    shop = origin("shop")
    shop.on("/big", big(1_000_000))
    proxy = edge(site(shop, timeouts={"client_body": "1s"}))
    with FrameClient(proxy.address(), values={INITIAL_WINDOW_SIZE: 0}) as c:
        c.send(headers(1, request_fields(path="/big")))
        c.pump(lambda: c.find(RST_STREAM, 1) or c.closed, "the stall to end")
    eventually(lambda: shop.open_connections() == 0, "the backend connection of the stalled answer to be closed")
    assert proxy.logged(path="/big")["reason"] == "client_slow_read"


def test_plain_http_1_on_a_connection_that_began_as_http_2_is_an_error(attack):
    attack.send(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n" + b" " * 20_000)
    attack.pump(lambda: attack.closed, "the close")
