"""Module compress: what is worth it goes out compressed, whole, and at once where it must; everything else is left alone."""
import gzip
import zlib

import brotli
import pytest
import zstandard

from support.answers import Stepwise, pattern, reply
from support.config import site
from support.http1 import build
from support.load import Load
from support.prometheus import scrape

TEXT = b"".join(b"line %d of a page that is worth it\n" % i for i in range(3000))
HTML = {"Content-Type": "text/html; charset=utf-8"}
DECODE = {"gzip": gzip.decompress, "br": brotli.decompress,
          "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)}


def compressing(origin, **keys):
    return site(origin, modules={"compress": keys or "on"})


def accepting(coding):
    return {"Accept-Encoding": coding}


@pytest.fixture
def blue(origin):
    o = origin("blue")
    o.always(reply(200, TEXT, HTML))
    return o


@pytest.mark.parametrize("coding", DECODE)
@pytest.mark.parametrize("version", ["connect", "connect2"])
def test_an_answer_comes_out_whole(edge, blue, coding, version):
    proxy = edge(compressing(blue))
    with getattr(proxy, version)() as c:
        for _ in range(3):
            r = c.get("/", headers={"accept-encoding": coding})
            assert (r.status, r.header("content-encoding"), r.header("vary")) == (200, coding, "accept-encoding")
            assert len(r.body) < len(TEXT) / 3 and DECODE[coding](r.body) == TEXT


def test_the_client_chooses(edge, blue):
    proxy = edge(compressing(blue, codings=["gzip", "br"]))
    for accept, wanted in [("gzip, br, zstd", "gzip"), ("gzip;q=0.5, br", "br"), ("zstd", None), ("identity", None), ("*", "gzip")]:
        assert proxy.get("/", headers=accepting(accept)).header("content-encoding") == wanted
    r = proxy.get("/")
    assert (r.body, r.header("content-encoding"), r.header("vary")) == (TEXT, None, "accept-encoding")


@pytest.mark.parametrize("status, headers, body, vary", [
    (200, {"Content-Type": "image/jpeg"}, TEXT, None),
    (200, {}, TEXT, None),
    (200, HTML, b"short", None),
    (200, {**HTML, "Content-Encoding": "br"}, brotli.compress(TEXT), None),
    (200, {**HTML, "Cache-Control": "public, no-transform"}, TEXT, None),
    (206, {**HTML, "Content-Range": f"bytes 0-{len(TEXT) - 1}/{2 * len(TEXT)}"}, TEXT, None),
])
def test_what_must_stay_as_it_is_does(edge, blue, status, headers, body, vary):
    blue.always(reply(status, body, headers))
    r = edge(compressing(blue)).get("/", headers=accepting("gzip, br, zstd"))
    assert (r.status, r.body, r.header("vary"), r.header("content-encoding")) == (status, body, vary, headers.get("Content-Encoding"))


def test_head_and_304_tell_of_a_body_that_does_not_come(edge, blue):
    proxy = edge(compressing(blue))
    r = proxy.request("HEAD", "/", headers=accepting("gzip"))
    assert (r.status, r.body, r.header("vary"), r.header("content-encoding")) == (200, b"", "accept-encoding", None)
    blue.always(reply(304, b"", {**HTML, "ETag": '"x"'}))
    r = proxy.get("/", headers=accepting("gzip"))
    assert (r.status, r.body, r.header("content-encoding")) == (304, b"", None)


def test_what_was_said_of_the_bytes_is_said_no_more(edge, blue):
    blue.always(reply(200, TEXT, {**HTML, "ETag": '"abc"', "Accept-Ranges": "bytes", "Content-MD5": "xxx", "Vary": "Cookie"}))
    proxy = edge(compressing(blue))
    r = proxy.get("/", headers=accepting("gzip"))
    assert (r.header("etag"), r.header("accept-ranges"), r.header("content-md5")) == ('W/"abc"', None, None)
    assert r.header("content-length") is None and {v for n, v in r.headers if n.lower() == "vary"} == {"Cookie", "accept-encoding"}
    r = proxy.get("/")
    assert (r.header("etag"), r.header("accept-ranges"), r.header("content-md5")) == ('"abc"', "bytes", "xxx")


def test_digests_behind_a_body_go_when_it_becomes_another(edge, blue):
    blue.always(reply(200, TEXT, HTML, trailers={"Content-Digest": "sha-256=:eA==:", "X-Took": "3"}))
    proxy = edge(compressing(blue))
    for connect in proxy.connect, proxy.connect2:
        with connect() as c:
            packed, plain = c.get("/", headers=accepting("gzip")), c.get("/")
        assert (packed.trailers.get("x-took"), packed.trailers.get("content-digest")) == ("3", None)
        assert (plain.trailers.get("x-took"), plain.trailers.get("content-digest")) == ("3", "sha-256=:eA==:")


@pytest.mark.parametrize("coding", DECODE)
def test_an_event_does_not_wait_for_the_next_one(edge, blue, coding):
    events = blue.always(Stepwise([b"data: one\n\n", b"data: two\n\n"], headers={"Content-Type": "text/event-stream"}))
    proxy = edge(compressing(blue))
    decode = {"gzip": zlib.decompressobj(31).decompress, "br": brotli.Decompressor().process,
              "zstd": zstandard.ZstdDecompressor().decompressobj().decompress}[coding]
    with proxy.connect() as c:
        c.send(build("GET", "/", headers=accepting(coding)))
        assert c.head().header("content-encoding") == coding
        seen = b""
        for goal in (b"data: one\n\n", b"data: one\n\ndata: two\n\n"):
            events.step()
            while seen != goal:
                seen += decode(c.exactly(int(c.line(), 16)))
                c.exactly(2)
        events.step()


@pytest.mark.parametrize("coding", DECODE)
def test_a_large_body_of_noise_streams_through(edge, blue, coding):
    blue.always(lambda x: (x.read_body(), x.head(200, HTML, 3_000_000), [x.body(pattern(100_000, i * 100_000)) for i in range(30)], x.end()))
    r = edge(compressing(blue)).get("/", headers=accepting(coding))
    assert DECODE[coding](r.body) == pattern(3_000_000)


def test_so_many_streams_and_no_more(edge, blue):
    slow = blue.on("/slow", Stepwise([b"x" * 100], headers=HTML))
    proxy = edge(compressing(blue, streams=1), workers=1)
    with proxy.connect() as c:
        c.send(build("GET", "/slow", headers=accepting("gzip")))
        assert c.head().header("content-encoding") == "gzip"
        assert proxy.get("/", headers=accepting("gzip")).body == TEXT
        slow.step()
    assert scrape(proxy).value("weir_module_events_total", module="compress", event="passed_for_streams") == 1


def test_reloads_with_other_levels_disturb_nobody(edge, blue):
    proxy = edge(compressing(blue))
    with Load(proxy.address()) as load:
        for level in (1, 9, 5):
            load.wait_more(20)
            proxy.reload(compressing(blue, gzip_level=level, codings=["gzip"]))
            assert DECODE["gzip"](proxy.get("/", headers=accepting("gzip")).body) == TEXT
    assert not load.failures
    assert scrape(proxy).value("weir_module_events_total", module="compress", what="gzip", event="answers") >= 3


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(edge, blue):
    blue.on("/never", Stepwise([b"more"], headers=HTML))
    proxy = edge(compressing(blue))
    c = proxy.connect()
    c.send(build("GET", "/never", headers=accepting("gzip")))
    c.head()
    c.reset()
    assert proxy.logged(path="/never")["reason"] == "client_gone"
