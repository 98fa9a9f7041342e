"""Hostile HTTP/1 in. What cannot be read in exactly one way is refused, the connection closed, and no byte of it reaches a backend."""
import pytest

from support import answers
from support.answers import Gate, reply
from support.config import pool, site
from support.http1 import Client, build
from support.websocket import handshake_headers
from support.wire import eventually

HOST = b"Host: acme.test\r\n"


def get(*lines, target=b"/", version=b"HTTP/1.1", host=HOST):
    return b"GET " + target + b" " + version + b"\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post(*lines, body=b"", version=b"HTTP/1.1"):
    return b"POST / " + version + b"\r\n" + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def chunked(body, *lines):
    return post(b"Transfer-Encoding: chunked", *lines, body=body)


HUGE = b"1" * 30

# name: (bytes, statuses). Each closes the connection and forwards nothing.
REFUSED = {
    # where a body ends
    "length and chunked": (post(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), {400}),
    "chunked and length": (post(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=b"0\r\n\r\n"), {400}),
    "two lengths that differ": (post(b"Content-Length: 4", b"Content-Length: 5", body=b"body1"), {400}),
    "two lengths that agree": (post(b"Content-Length: 4", b"Content-Length: 4", body=b"body"), {400}),
    "a list of lengths": (post(b"Content-Length: 4, 4", body=b"body"), {400}),
    "a list of different lengths": (post(b"Content-Length: 4, 5", body=b"body1"), {400}),
    "an empty length": (post(b"Content-Length:", body=b""), {400}),
    "a length with a plus": (post(b"Content-Length: +4", body=b"body"), {400}),
    "a length with a minus": (post(b"Content-Length: -4", body=b"body"), {400}),
    "a hex length": (post(b"Content-Length: 0x4", body=b"body"), {400}),
    "a length with a space inside": (post(b"Content-Length: 4 4", body=b"body"), {400}),
    "a length with a point": (post(b"Content-Length: 4.0", body=b"body"), {400}),
    "a length with an underscore": (post(b"Content-Length: 1_0", body=b"0123456789"), {400}),
    "a length beyond 64 bits": (post(b"Content-Length: 18446744073709551616"), {400}),
    "a length that wraps to 4": (post(b"Content-Length: 18446744073709551620", body=b"body"), {400}),
    "a length of thirty digits": (post(b"Content-Length: " + HUGE), {400}),
    "xchunked": (post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), {400, 501}),
    "chunked twice": (post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"), {400}),
    "two coding lines": (post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), {400}),
    "two coding lines, one identity": (post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n"), {400}),
    "a coding after chunked": (post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"), {400}),
    "a coding padded with VT": (post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"), {400}),
    "a coding padded with FF": (post(b"Transfer-Encoding: chunked\x0c", body=b"0\r\n\r\n"), {400}),
    "a coding padded with NUL": (post(b"Transfer-Encoding: chunked\x00", body=b"0\r\n\r\n"), {400}),
    "an empty coding": (post(b"Transfer-Encoding:", body=b"0\r\n\r\n"), {400}),
    "a coding in quotes": (post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"), {400}),
    "chunked with a parameter": (post(b"Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n"), {400, 501}),
    "chunked in HTTP/1.0": (post(b"Transfer-Encoding: chunked", version=b"HTTP/1.0", body=b"0\r\n\r\n"), {400}),
    "an unknown coding": (post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), {501}),
    "another unknown coding": (post(b"Transfer-Encoding: br", body=b""), {400, 501}),
    # field lines
    "a space before the colon": (get(b"X-A : 1"), {400}),
    "a tab before the colon": (get(b"X-A\t: 1"), {400}),
    "a space before the colon of a length": (post(b"Content-Length : 4", body=b"body"), {400}),
    "no colon": (get(b"X-A 1"), {400}),
    "no colon at all": (get(b"nonsense"), {400}),
    "an empty name": (get(b": 1"), {400}),
    "a non-token name": (get(b"X(A): 1"), {400}),
    "a name with a slash": (get(b"X/A: 1"), {400}),
    "a name with a high byte": (get(b"X-\xe9: 1"), {400}),
    "a name with a space": (get(b"X A: 1"), {400}),
    "an obs-fold": (get(b"X-A: 1", b" folded"), {400}),
    "an obs-fold with a tab": (get(b"X-A: 1", b"\tfolded"), {400}),
    "a space before the first header": (b"GET / HTTP/1.1\r\n Host: acme.test\r\n\r\n", {400}),
    "an empty folded line before the first header": (b"GET / HTTP/1.1\r\n \r\nHost: acme.test\r\n\r\n", {400}),
    # line ends and controls
    "a bare LF after the request line": (b"GET / HTTP/1.1\nHost: acme.test\r\n\r\n", {400}),
    "a bare LF after a header": (b"GET / HTTP/1.1\r\nHost: acme.test\nX-A: 1\r\n\r\n", {400}),
    "a bare LF as the end": (b"GET / HTTP/1.1\r\nHost: acme.test\r\n\n", {400}),
    "bare LFs only": (b"GET / HTTP/1.1\nHost: acme.test\n\n", {400}),
    "a bare CR in a value": (get(b"X-A: 1\r2"), {400}),
    "a bare CR before a header": (b"GET / HTTP/1.1\r\nHost: acme.test\r\n\rX-A: 1\r\n\r\n", {400}),
    "CR CR LF": (b"GET / HTTP/1.1\r\r\nHost: acme.test\r\n\r\n", {400}),
    "a NUL in a value": (get(b"X-A: a\x00b"), {400}),
    "a NUL in a name": (get(b"X\x00A: b"), {400}),
    "an ESC in a value": (get(b"X-A: \x1b[31m"), {400}),
    "a DEL in a value": (get(b"X-A: \x7f"), {400}),
    "a control in the target": (get(target=b"/\x01"), {400}),
    "a high byte in the target": (get(target=b"/\xff"), {400}),
    # chunks
    "a chunk size with 0x": (chunked(b"0x1\r\na\r\n0\r\n\r\n"), {400}),
    "a chunk size with a plus": (chunked(b"+1\r\na\r\n0\r\n\r\n"), {400}),
    "a chunk size with a minus": (chunked(b"-1\r\na\r\n0\r\n\r\n"), {400}),
    "a chunk size with an underscore": (chunked(b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n"), {400}),
    "a chunk size after a space": (chunked(b" 1\r\na\r\n0\r\n\r\n"), {400}),
    "an empty chunk size": (chunked(b"\r\na\r\n0\r\n\r\n"), {400}),
    "a chunk size of only an extension": (chunked(b";x\r\na\r\n0\r\n\r\n"), {400}),
    "a chunk size that overflows": (chunked(b"10000000000000001\r\na\r\n0\r\n\r\n"), {400}),
    "a chunk size of forty digits": (chunked(b"0" * 39 + b"1\r\na\r\n0\r\n\r\n"), {400}),
    "a chunk size with a letter": (chunked(b"1g\r\na\r\n0\r\n\r\n"), {400}),
    "a chunk longer than its size": (chunked(b"1\r\nab\r\n0\r\n\r\n"), {400}),
    "a chunk that ends in a bare LF": (chunked(b"1\r\na\n0\r\n\r\n"), {400}),
    "a chunk size that ends in a bare LF": (chunked(b"1\na\r\n0\r\n\r\n"), {400}),
    "a last chunk that ends in a bare LF": (chunked(b"1\r\na\r\n0\n\r\n"), {400}),
    "an extension with a bare LF": (chunked(b"1;x=\n\r\na\r\n0\r\n\r\n"), {400}),
    "an extension with a bare CR": (chunked(b"1;x=\ry\r\na\r\n0\r\n\r\n"), {400}),
    "an extension with a NUL": (chunked(b"1;x=\x00\r\na\r\n0\r\n\r\n"), {400}),
    "a huge extension": (chunked(b"1;" + b"x" * 100_000 + b"\r\na\r\n0\r\n\r\n"), {400, 413}),
    "a bad trailer": (chunked(b"1\r\na\r\n0\r\nX A: 1\r\n\r\n"), {400}),
    "a folded trailer": (chunked(b"1\r\na\r\n0\r\nX-A: 1\r\n 2\r\n\r\n"), {400}),
    # who is meant
    "no Host": (get(host=b""), {400}),
    "two Hosts": (get(b"Host: acme.test"), {400}),
    "two different Hosts": (get(b"Host: other.test"), {400}),
    "an empty Host": (get(host=b"Host:\r\n"), {400}),
    "a Host list": (get(host=b"Host: acme.test, other.test\r\n"), {400}),
    "a Host with a user": (get(host=b"Host: me@acme.test\r\n"), {400}),
    "a Host with a path": (get(host=b"Host: acme.test/x\r\n"), {400}),
    "a Host with a space": (get(host=b"Host: acme test\r\n"), {400}),
    "a Host with a bad port": (get(host=b"Host: acme.test:80a\r\n"), {400}),
    "a Host with a port too big": (get(host=b"Host: acme.test:65536\r\n"), {400}),
    "a Host with two ports": (get(host=b"Host: acme.test:80:80\r\n"), {400}),
    "an absolute form with a user": (get(target=b"http://me@acme.test/"), {400}),
    "an absolute form without Host": (get(target=b"http://acme.test/", host=b""), {400}),
    "an absolute form of another scheme": (get(target=b"ftp://acme.test/"), {400}),
    "an asterisk that is no OPTIONS": (get(target=b"*"), {400}),
    "a target without a slash": (get(target=b"path"), {400}),
    "a target with a fragment": (get(target=b"/#x"), {400}),
    # the request line
    "HTTP/0.9": (b"GET /\r\n\r\n", {400, 505}),
    "HTTP/9.9": (get(version=b"HTTP/9.9"), {400, 505}),
    "HTTP/1.10": (get(version=b"HTTP/1.10"), {400, 505}),
    "HTTP/2.0": (get(version=b"HTTP/2.0"), {400, 505}),
    "HTTP/01.1": (get(version=b"HTTP/01.1"), {400, 505}),
    "a lower-case version": (get(version=b"http/1.1"), {400, 505}),
    "a version of another protocol": (get(version=b"HTCPCP/1.0"), {400, 505}),
    "two spaces in the request line": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "a tab in the request line": (b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "a space after the version": (b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n", {400}),
    "a space in the target": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "a method that is no token": (b"G{T / HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "no method": (b" / HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "CONNECT": (b"CONNECT acme.test:443 HTTP/1.1\r\n" + HOST + b"\r\n", {405}),
    "TRACE": (b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", {405}),
    # not HTTP
    "a TLS ClientHello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200, {400, None}),
    "binary": (bytes(range(128, 256)) + b"\r\n\r\n", {400}),
}


@pytest.fixture
def shop(origin):
    return origin("shop")


def refusal(client):
    """The status of the error answer (None if there was none), and that the connection was closed after it."""
    raw = client.until_closed()
    if not raw:
        return None
    assert raw.startswith(b"HTTP/1.1 "), raw[:200]
    assert raw.count(b"HTTP/1.1 ") == 1, f"more than one answer: {raw[:500]!r}"
    assert b"connection: close" in raw.lower()
    return int(raw[9:12])


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """One weir for the whole table: a request that hurts it hurts the next line, which is part of the test."""
    from support.edge import Edge
    from support.origin import Origin
    shop = Origin("shop")
    proxy = Edge(site(shop))
    yield proxy, shop
    try:
        proxy.stop()
    finally:
        proxy.kill()
        proxy.discard()
        shop.close()


def received_whole(shop):
    """Bytes that have come, but for connections whose request is cut: what was under way to them may still be coming."""
    cut = {r.connection for r in shop.requests if not r.complete}
    return sum(len(c.received) for c in shop.connections if c.index not in cut)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("step", [0, 1], ids=["at once", "byte by byte"])
def test_refused_closed_and_nothing_forwarded(guarded, name, step):
    proxy, shop = guarded
    data, statuses = REFUSED[name]
    before = len(shop.requests)
    bytes_before = received_whole(shop)
    with proxy.connect() as c:
        if step:
            try:
                c.dribble(data, every=0.0005, step=max(1, len(data) // 500))
            except OSError:
                pass  # refused before the end: better still
        else:
            c.try_send(data)
        assert refusal(c) in statuses
    # A body may be found bad only after its head was passed on: then the backend must not have seen a complete request.
    for r in shop.requests[before:]:
        assert data.startswith(b"POST / HTTP/1.1\r\nHost: acme.test\r\nTransfer-Encoding: chunked"), f"{r.raw_head!r} was forwarded"
        assert not r.complete
    if len(shop.requests) == before:
        assert received_whole(shop) == bytes_before
    assert proxy.get("/honest").status == 200


@pytest.mark.parametrize("target", [b"/a/../b", b"/a/..", b"/..", b"/a/%2e%2e/b", b"/a/.%2E/b", b"/a/./b", b"/a/.", b"/a/%2e/b", b"/a/..;x/b", b"/a\\..\\b",
    b"/a%00b"])
def test_paths_that_no_honest_client_sends_are_400(edge, shop, target):
    """Their framing is sound, so the connection may go on; nothing reaches a backend."""
    proxy = edge(site(shop))
    with proxy.connect() as c:
        c.send(get(target=target))
        assert c.response().status == 400
    assert shop.count == 0
    assert proxy.logged()["reason"] == "client_bad_path"


def test_a_newer_minor_version_is_served_as_1_1(edge, shop):
    """RFC 9110 2.5: with the same major version, the message is understood as the highest minor version that is known."""
    with edge(site(shop)).connect() as c:
        c.send(get(version=b"HTTP/1.2"))
        r = c.response()
        assert r.status in (200, 505) and r.version == "HTTP/1.1"


@pytest.mark.parametrize("name", ["length and chunked", "a bare LF after a header", "a chunk size with 0x", "two Hosts"])
def test_refusals_say_why_in_the_log(edge, shop, name):
    proxy = edge(site(shop))
    with proxy.connect() as c:
        c.send(REFUSED[name][0])
        refusal(c)
    record = proxy.logged()
    assert record["reason"].startswith("client_bad_") and record["side"] == "client" and record["status"] == 400


@pytest.mark.parametrize("target", [b"/a;b=c", b"/a%20b", b"/%41", b"/a.b/..c", b"/a?x=/../y", b"/a?b//c", b"/~a!$&'()*+,=:@"])
def test_paths_that_have_one_reading_are_forwarded_to_the_byte(edge, shop, target):
    with edge(site(shop)).connect() as c:
        c.send(get(target=target))
        assert c.response().status == 200
    assert shop.last.raw_head.startswith(b"GET " + target + b" HTTP/1.1\r\n")


@pytest.mark.parametrize("target", [b"/a//b", b"//acme.test/b", b"/a%2fb", b"/a/%2Fb", b"/a\\b", b"/a%5cb", b"/a%zzb", b"/a%2"])
def test_paths_that_some_servers_fold_are_refused_or_forwarded_to_the_byte(edge, shop, target):
    """Never something between: what is routed on is what the backend sees."""
    with edge(site(shop)).connect() as c:
        c.send(get(target=target))
        status = c.response().status
    if status == 200:
        assert shop.last.raw_head.startswith(b"GET " + target + b" HTTP/1.1\r\n")
    else:
        assert status == 400 and shop.count == 0


@pytest.mark.parametrize("target", [b"//admin", b"/%61dmin", b"/x%2f..%2fadmin", b"/admin%2fusers", b"/admin;x=1", b"\\admin", b"/admin%5cusers"])
def test_a_path_that_another_reader_would_route_elsewhere_is_refused(edge, origin, target):
    """/ is for everybody and /admin is not: no spelling reaches the one by the other's route."""
    public, admin = origin("public"), origin("admin")
    proxy = edge(site(services={"public": {"pools": {"blue": pool(public)}}, "admin": {"pools": {"blue": pool(admin)}}},
        routes=[{"path": "/", "service": "public"}, {"path": "/admin", "service": "admin"}]))
    with proxy.connect() as c:
        c.send(get(target=target))
        assert c.response().status == 400
    assert public.count == admin.count == 0


def test_chunk_extensions_are_understood_and_not_forwarded(edge, shop):
    with edge(site(shop)).connect() as c:
        c.send(chunked(b'3;name=value;other="quoted ;"\r\nabc\r\n0;last\r\n\r\n'))
        assert c.response().status == 200
    assert shop.last.body == b"abc"
    assert b"name=value" not in shop.received() and b"last" not in shop.received()


def test_a_header_without_a_value_and_odd_spacing_are_fine(edge, shop):
    with edge(site(shop)).connect() as c:
        c.send(get(b"X-A:", b"X-B:no-space", b"X-C: \t padded \t "))
        assert c.response().status == 200
    assert [shop.last.header(n) for n in ("x-a", "x-b", "x-c")] == ["", "no-space", "padded"]


# -- limits --

def test_a_head_that_is_too_large_is_431(edge, shop):
    proxy = edge(site(shop, limits={"header_bytes": "8KiB"}))
    with proxy.connect() as c:
        c.try_send(get(b"X-Big: " + b"x" * 9000))
        assert refusal(c) == 431
    assert proxy.logged()["reason"] == "client_headers_too_large" and shop.count == 0


def test_too_many_headers_are_431(edge, shop):
    proxy = edge(site(shop, limits={"header_count": 20}))
    with proxy.connect() as c:
        c.try_send(get(*[b"X-%d: 1" % i for i in range(21)]))
        assert refusal(c) == 431
    assert shop.count == 0


def test_a_request_line_that_is_too_long_is_414(edge, shop):
    with edge(site(shop, limits={"header_bytes": "8KiB"})).connect() as c:
        c.try_send(get(target=b"/" + b"x" * 9000))
        assert refusal(c) in (414, 431)
    assert shop.count == 0


def test_a_head_without_an_end_is_refused_at_the_limit_not_collected(edge, shop):
    with edge(site(shop, limits={"header_bytes": "8KiB"})).connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: acme.test\r\nX: ")
        for _ in range(100):
            if not c.try_send(b"x" * 4096):
                break
        assert refusal(c) in (431, None)


def test_trailers_count_in_the_limits(edge, shop):
    proxy = edge(site(shop, limits={"header_bytes": "8KiB", "header_count": 20}))
    for trailers in (b"".join(b"X-%d: 1\r\n" % i for i in range(50)), b"X: " + b"y" * 9000 + b"\r\n"):
        with proxy.connect() as c:
            c.try_send(chunked(b"1\r\na\r\n0\r\n" + trailers + b"\r\n"))
            assert refusal(c) in (400, 431)
    assert not any(r.complete for r in shop.requests)


@pytest.mark.parametrize("how", ["length", "chunked"])
def test_a_body_over_the_limit_is_413(edge, shop, how):
    proxy = edge(site(shop, limits={"body": "10KiB"}))
    with proxy.connect() as c:
        c.try_send(build("POST", "/", body=b"x" * 11_000, chunked=how == "chunked"))
        raw = c.until_closed()
        assert raw.startswith(b"HTTP/1.1 413 ")
    assert proxy.logged()["reason"] == "client_body_too_large"
    assert not any(r.complete for r in shop.requests)
    assert proxy.request("POST", "/", body=b"x" * 10_240).status == 200


# -- pipelining and half requests --

def test_a_bad_request_in_a_pipeline_ends_it_after_the_good_ones(edge, shop):
    with edge(site(shop)).connect() as c:
        good = [build("GET", f"/{i}") for i in range(100)]
        c.try_send(b"".join(good[:49] + [get(b"X-A : 1")] + good[50:]))
        for _ in range(49):
            assert c.response().status == 200
        assert refusal(c) == 400
    assert [r.target for r in shop.requests] == [f"/{i}" for i in range(49)]


def test_a_body_that_is_cut_is_never_passed_on_as_complete(edge, shop):
    proxy = edge(site(shop))
    for data in (post(b"Content-Length: 100", body=b"only this"), chunked(b"5\r\nhello\r\n"), chunked(b"5\r\nhel"), chunked(b"5\r\nhello\r\n0\r\n")):
        with proxy.connect() as c:
            c.send(data)
            c.sock.shutdown(1)
            c.until_closed()
    # One that was made for a request cut before anything of it was sent is as good as new.
    eventually(lambda: all(c.ended for c in shop.connections if c.received), "the upstream connections of cut bodies to be closed")
    assert not any(r.complete for r in shop.requests)


def test_a_client_that_finishes_sending_still_gets_its_answer(edge, shop):
    gate = shop.always(Gate(reply(200, b"for you")))
    with edge(site(shop)).connect() as c:
        c.send(build("GET", "/"))
        gate.wait_arrived()
        c.sock.shutdown(1)
        gate.open()
        # RFC 9112 9.6 allows a half-close; a proxy that takes it for a loss must at least not answer half.
        raw = c.until_closed()
        assert raw == b"" or raw.endswith(b"for you")


# -- upgrades --

@pytest.mark.parametrize("protocol", ["h2c", "TLS/1.0", "unknown", "h2c, websocket2"])
def test_upgrades_that_we_do_not_do_are_stripped(edge, shop, protocol):
    r = edge(site(shop)).get("/", [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", protocol), ("HTTP2-Settings", "AAMAAABkAAQAAP__")])
    assert r.status == 200
    assert not {"upgrade", "http2-settings"} & set(shop.last.headers.names())


def test_no_byte_after_the_handshake_reaches_the_backend_before_its_101(edge, shop):
    """A backend that refuses the upgrade must not read the client's early bytes as a request."""
    gate = shop.always(Gate(reply(200, b"not today"), read_body=False))
    with edge(site(shop)).connect() as c:
        c.send(build("GET", "/ws", handshake_headers()) + build("GET", "/smuggled-by-upgrade"))
        gate.wait_arrived()
        assert b"smuggled" not in shop.received()
        gate.open()
        assert c.response().status == 200
    assert all(b"smuggled" not in bytes(x.received) or x.received.count(b"Host:") > 1 for x in shop.connections)


def test_an_upgrade_that_carries_a_body_makes_no_tunnel(edge, shop):
    proxy = edge(site(shop))
    with proxy.connect() as c:
        c.try_send(build("GET", "/ws", handshake_headers([("Content-Length", "5")]), body=b"hello").replace(b"Content-Length: 5\r\n", b"", 1))
        assert c.response().status != 101
    assert not any("upgrade" in r.headers for r in shop.requests)


# -- answers that a backend may not give (the rest is in test_upstream_faults.py) --

def test_an_answer_with_length_and_coding_loses_the_length_and_its_connection(edge, shop):
    shop.on("/both", answers.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", then="keep"))
    with edge(site(shop), workers=1).connect() as c:
        r = c.get("/both")
        assert r.status == 502 or (r.body == b"hello" and "content-length" not in r.headers)
        assert c.get("/next").status == 200
    assert len(shop.connections) == 2


def test_conflicting_lengths_in_an_answer_are_502(edge, shop):
    shop.always(answers.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nhello", then="keep"))
    proxy = edge(site(shop))
    assert proxy.get("/").status == 502
    assert proxy.logged()["reason"] == "upstream_bad_framing"


def test_101_that_nobody_asked_for_is_502(edge, shop):
    shop.on("/odd", answers.raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nraw", then="keep"))
    proxy = edge(site(shop), workers=1)
    with proxy.connect() as c:
        r = c.get("/odd")
        assert r.status == 502 and b"raw" not in r.body
        assert c.get("/next").status == 200
    assert len(shop.connections) == 2
    assert proxy.logged(path="/odd")["reason"] == "upstream_bad_upgrade"


def test_a_final_answer_before_the_body_is_complete_costs_the_backend_connection(edge, shop):
    """What is left of the body could be read as a request by the backend: the connection is not used again."""
    shop.on("/early", lambda x: (x.head(200, (), 2), x.body(b"ok"), x.wait_gone()))
    proxy = edge(site(shop), workers=1)
    with proxy.connect() as c:
        c.send(b"POST /early HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 50\r\n\r\nstart")
        assert c.response().status == 200
    eventually(lambda: shop.open_connections() == 0, "the backend connection to be closed")
    assert proxy.get("/next").status == 200
    assert len(shop.connections) == 2


def test_garbage_in_any_form_never_hurts_the_honest(edge, shop):
    """The whole table again, interleaved with honest requests on one kept connection."""
    proxy = edge(site(shop))
    with proxy.connect() as honest:
        for name, (data, _) in REFUSED.items():
            with Client(proxy.address()) as c:
                c.try_send(data)
                c.until_closed()
            assert honest.get("/honest").status == 200, f"after {name}"
