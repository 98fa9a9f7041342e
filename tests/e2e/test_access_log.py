"""One line for each request, whatever was in it: the three formats, timings, reasons, reopening."""
import json
import os
import re
import signal
import socket

import pytest

from support import answers
from support.answers import Gate, reply
from support.config import http, https, site
from support.http1 import build
from support.wire import eventually

KEYS = {"time", "id", "client", "listener", "tenant", "service", "pool", "backend", "route", "method", "scheme", "host", "path", "protocol", "status",
        "bytes_in", "bytes_out", "duration_ms", "queue_ms", "connect_ms", "first_byte_ms", "attempts", "upstream_protocol", "generation", "user_agent",
        "referer"}


@pytest.fixture
def shop(origin):
    return origin("shop")


def logging(shop, form="json", **more):
    return site(shop, log={"access": {"format": form}}, **more)


def test_a_record_tells_the_whole_story(edge, shop):
    shop.always(reply(201, b"x" * 1234))
    proxy = edge(logging(shop))
    proxy.request("POST", "/buy?what=book", {"User-Agent": "test/1.0", "Referer": "https://acme.test/shelf"}, b"y" * 777, host="www.acme.test")
    r = proxy.logged()
    assert KEYS <= set(r), f"missing {KEYS - set(r)}"
    assert (r["method"], r["host"], r["status"], r["scheme"], r["protocol"]) == ("POST", "www.acme.test", 201, "http", "HTTP/1.1")
    assert r["path"].startswith("/buy")
    assert (r["listener"], r["tenant"], r["pool"], r["backend"]) == ("http", "acme", "blue", str(shop))
    assert r["service"].endswith("shop")
    assert (r["user_agent"], r["referer"]) == ("test/1.0", "https://acme.test/shelf")
    assert r["client"].startswith("127.0.0.1") and r["attempts"] == 1 and r["upstream_protocol"] == "HTTP/1.1"
    assert r["bytes_in"] >= 777 and r["bytes_out"] >= 1234
    assert not r.get("reason")
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d)$", r["time"])
    for key in ("duration_ms", "queue_ms", "connect_ms", "first_byte_ms"):
        assert 0 <= r[key] < 60_000
    assert r["first_byte_ms"] <= r["duration_ms"]


def test_timings_tell_where_the_time_went(edge, shop):
    gate = shop.always(Gate(answers.reply(200, b"slow")))
    proxy = edge(logging(shop))
    with proxy.connect() as c:
        c.send(build("GET", "/"))
        gate.wait_arrived()
        c.expect_silence(0.3)
        gate.open()
        c.response()
    r = proxy.logged()
    assert r["first_byte_ms"] >= 290 and r["duration_ms"] >= 290 and r["connect_ms"] < 200 and r["queue_ms"] < 200


def test_h2_and_tls_are_told(edge, shop, pki, acme_cert):
    proxy = edge(logging(shop, listeners={"https": https(acme_cert)}))
    with proxy.connect2("https", tls=pki.client_context(("h2",)), sni="acme.test") as c:
        c.get("/")
    r = proxy.logged()
    assert r["protocol"] == "HTTP/2" and r["scheme"] == "https" and "TLSv1.3" in json.dumps(r["tls"]) and r["listener"] == "https"


def test_the_generation_is_the_one_that_served(edge, shop):
    proxy = edge(logging(shop))
    proxy.get("/before")
    before = proxy.logged(path="/before")["generation"]
    after = proxy.reload(logging(shop, limits={"header_count": 50}))["generation"]
    proxy.get("/after")
    assert proxy.logged(path="/after")["generation"] == after > before


# -- who is to blame --

def test_a_client_that_leaves_is_499_and_a_backend_that_fails_is_502(edge, shop):
    gate = shop.on("/left", Gate())
    shop.on("/broken", answers.close_at_once)
    proxy = edge(logging(shop))
    c = proxy.connect()
    c.send(build("GET", "/left"))
    gate.wait_arrived()
    c.reset()
    assert proxy.request("POST", "/broken", body=b"x").status == 502
    left, broken = proxy.logged(path="/left"), proxy.logged(path="/broken")
    assert (left["status"], left["side"]) == (499, "client")
    assert (broken["status"], broken["side"]) == (502, "upstream")
    assert left["reason"] in ("client_gone", "client_reset") and broken["reason"].startswith("upstream_")


def test_a_client_that_leaves_in_the_middle_of_its_answer_keeps_the_status_and_has_a_reason(edge, shop):
    shop.on("/big", answers.big(30_000_000))
    proxy = edge(logging(shop))
    c = proxy.connect()
    c.send(build("GET", "/big"))
    c.exactly(10_000)
    c.reset()
    r = proxy.logged(path="/big")
    assert r["reason"] in ("client_gone", "client_reset") and r["side"] == "client" and r["bytes_out"] < 30_000_000


def test_weirs_own_answers_name_no_backend(edge, shop):
    proxy = edge(logging(shop))
    proxy.get("/", host="nobody.test")
    r = proxy.logged()
    assert r["status"] == 404 and r["reason"] == "no_tenant" and not r.get("backend") and not r.get("tenant")


@pytest.mark.parametrize("data, reason", [
    (b"nonsense\r\n\r\n", "client_bad_request"),
    (b"GET / HTTP/1.1\r\nHost: acme.test\r\nX A: 1\r\n\r\n", "client_bad_header"),
    (b"POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "client_bad_framing"),
    (b"GET / HTTP/1.1\r\n\r\n", "client_bad_host"),
    (b"GET /../x HTTP/1.1\r\nHost: acme.test\r\n\r\n", "client_bad_path"),
    (b"GET / HTTP/3.0\r\nHost: acme.test\r\n\r\n", "client_bad_version"),
    (b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", "client_connect"),
])
def test_bad_requests_are_logged_with_their_reason(edge, shop, data, reason):
    proxy = edge(logging(shop))
    with proxy.connect() as c:
        c.send(data)
        assert c.head().status >= 400
    assert proxy.logged()["reason"] == reason


# -- formats --

def test_combined(edge, shop):
    shop.always(reply(200, b"twelve bytes"))
    proxy = edge(logging(shop, "combined"))
    proxy.get("/a?b=c", {"User-Agent": "agent/1", "Referer": "https://from.test/"})
    line = eventually(lambda: proxy.access_lines(), "a line")[0].decode()
    assert re.match(r'^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /a(\?b=c)? HTTP/1\.1" 200 \d+ '
                    r'"https://from\.test/" "agent/1"', line), line


def logfmt(line):
    """{key: value} of a logfmt line; fails if it is not one."""
    out, at = {}, 0
    pair = re.compile(r'([a-z_0-9.]+)=("(?:[^"\\]|\\.)*"|[^" =]*)(?: |$)')
    while at < len(line):
        m = pair.match(line, at)
        assert m, f"not logfmt at {line[at:at + 60]!r}"
        out[m[1]] = json.loads(m[2]) if m[2].startswith('"') else m[2]
        at = m.end()
    return out


def test_logfmt(edge, shop):
    proxy = edge(logging(shop, "logfmt"))
    proxy.get("/a", {"User-Agent": "an agent with spaces"})
    r = logfmt(eventually(lambda: proxy.access_lines(), "a line")[0].decode())
    assert (r["method"], r["status"], r["pool"], r["user_agent"]) == ("GET", "200", "blue", "an agent with spaces")


def test_off_writes_nothing(edge, shop):
    proxy = edge(logging(shop, "off"))
    assert proxy.get("/").status == 200
    proxy.stop()
    assert proxy.access_lines() == []


NASTY = [b'"quoted"', b"back\\slash", b"tab\tinside", b"\xe4\xf6\xfc latin", b"\xf0\x9f\x90\x9f fish", b"\xff\xfe not utf-8", b"it's {json: true}", b"%0d%0a %22",
         b"</script>"]


@pytest.mark.parametrize("form", ["json", "combined", "logfmt"])
def test_whatever_a_client_sends_makes_exactly_one_valid_line(edge, shop, form):
    proxy = edge(logging(shop, form))
    for nasty in NASTY:
        with proxy.connect() as c:
            c.send(b"GET /%22quoted%22?q=%0d%0a HTTP/1.1\r\nHost: acme.test\r\nUser-Agent: " + nasty + b"\r\nReferer: " + nasty + b"\r\n\r\n")
            assert c.response().status == 200
    hostile = [b"GET / HTTP/1.1\r\nHost: acme.test\r\nUser-Agent: a\rb\r\n\r\n", b"GET / HTTP/1.1\r\nHost: acme.test\r\nUser-Agent: \x1b[31mred\r\n\r\n",
               b"GET /\x1b\"\n{} HTTP/1.1\r\nHost: acme.test\r\n\r\n", b"\"\\\x00\x1b\x7f\r\n\r\n"]
    for data in hostile:
        with proxy.connect() as c:
            c.try_send(data)
            c.until_closed()
    lines = eventually(lambda: len(proxy.access_lines()) >= len(NASTY) + len(hostile) and proxy.access_lines(), "all lines")
    assert len(lines) == len(NASTY) + len(hostile)
    for line in lines:
        assert not re.search(rb"[\x00-\x1f\x7f]", line), line
        if form == "json":
            record = json.loads(line.decode())  # valid UTF-8, valid JSON
            assert isinstance(record["status"], int)
        elif form == "logfmt":
            logfmt(line.decode())
        else:
            assert re.match(rb'^\S+ \S+ \S+ \[[^\]]+\] "(?:[^"\\]|\\.)*" \d{3} \S+ "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*"', line), line
    if form == "json":
        agents = {json.loads(line).get("user_agent") for line in lines}  # what was no request has none
        assert {'"quoted"', "back\\slash", "tab\tinside", "\U0001f41f fish"} <= agents


def test_a_very_long_request_makes_one_line(edge, shop):
    proxy = edge(logging(shop))
    proxy.get("/" + "p" * 20_000, {"User-Agent": "a" * 20_000, "Referer": "r" * 20_000})
    proxy.get("/short")
    proxy.logged(path="/short")
    assert len(proxy.access_log()) == 2


# -- the file --

def test_usr1_reopens_both_logs(edge, shop):
    """As logrotate does it: rename, signal, nothing lost, nothing doubled."""
    proxy = edge(logging(shop))
    log, moved = proxy.dir / "access.log", proxy.dir / "access.log.1"
    with proxy.connect() as c:
        for i in range(50):
            c.get(f"/{i}")
            if i == 24:
                os.rename(log, moved)
                proxy.signal(signal.SIGUSR1)
                eventually(log.exists, "the log to be opened anew")
    eventually(lambda: len(moved.read_bytes().splitlines()) + len(proxy.access_lines()) >= 50, "all lines")
    paths = [json.loads(line)["path"] for line in moved.read_bytes().splitlines() + proxy.access_lines()]
    assert sorted(paths) == sorted(f"/{i}" for i in range(50))
    assert proxy.access_lines(), "the new file got nothing"


def test_every_request_of_a_busy_minute_is_there_when_it_stops(edge, shop):
    proxy = edge(logging(shop))
    with proxy.connect() as c:
        for _ in range(20):
            c.send(b"".join(build("GET", "/") for _ in range(100)))
            for _ in range(100):
                c.response()
    proxy.stop()
    assert len(proxy.access_log()) == 2_000


def test_a_log_that_has_nowhere_to_go_is_a_warning_and_written_once_it_has(edge, shop):
    proxy = edge(logging(shop))
    log = proxy.dir / "later" / "access.log"
    moved = site(shop, log={"access": {"path": str(log)}})
    warning = f'the log "{log}" cannot be written: No such file or directory; its lines are lost until it can'
    assert [w["message"] for w in proxy.reload(moved)["warnings"]] == [warning]
    assert proxy.get("/lost").status == 200
    log.parent.mkdir()
    proxy.signal(signal.SIGUSR1)
    eventually(log.exists, "the log to be opened")
    assert proxy.get("/kept").status == 200
    eventually(lambda: b'"/kept"' in log.read_bytes(), "the line")


def test_a_log_that_cannot_be_written_does_not_stop_the_service(edge, shop):
    proxy = edge(site(shop, log={"access": {"path": "/dev/full"}}))
    for _ in range(5):
        assert proxy.get("/").status == 200


def test_stdout_is_the_default_for_people(edge, shop):
    proxy = edge(site(shop, log={"access": {"path": "stdout"}}))
    proxy.get("/to-stdout")
    eventually(lambda: "/to-stdout" in proxy.stdout(), "the line on stdout")


def test_a_unix_client_and_an_ipv6_client_have_names_too(edge, shop):
    listeners = {"http": http(), "six": {"address": "[::1]:0"}}
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    proxy = edge(logging(shop, listeners=listeners))
    with proxy.connect("six") as c:
        assert c.get("/six").status == 200
    assert "::1" in proxy.logged(path="/six")["client"]
    assert shop.last.header("x-forwarded-for") == "::1" and 'for="[::1]' in shop.last.header("forwarded")
