"""HTTP/1.1 from the client to the backend: routing, headers, bodies, connections."""
import re

import pytest

from support import answers
from support.answers import Gate, Stepwise, big, echo, pattern, reply
from support.config import http, pool, site
from support.http1 import build
from support.prometheus import scrape
from support.wire import eventually


@pytest.fixture
def shop(origin):
    return origin("shop")


# -- where a request goes --

def test_a_tenant_with_one_service_needs_no_routes(edge, shop):
    r = edge(site(shop)).get("/any/path?q=1")
    assert (r.status, r.body) == (200, b"shop")
    assert shop.last.target == "/any/path?q=1"


def test_hosts_choose_the_tenant_exact_before_wildcard(edge, origin):
    exact, wild, other = origin("exact"), origin("wild"), origin("other")
    conf = site(wild, hosts=["*.acme.test"])
    conf["tenants"]["first"] = site(exact, hosts=["www.acme.test"])["tenants"]["acme"]
    conf["tenants"]["second"] = site(other, hosts=["other.test"])["tenants"]["acme"]
    proxy = edge(conf)
    with proxy.connect() as c:
        assert c.get(host="www.acme.test").body == b"exact"
        assert c.get(host="a.acme.test").body == b"wild"
        assert c.get(host="a.b.acme.test").body == b"wild"
        assert c.get(host="OTHER.test").body == b"other"
        assert c.get(host="other.test:8080").body == b"other"
        unknown = c.get(host="nobody.test")
    assert unknown.status == 404
    assert proxy.logged(host="nobody.test")["reason"] == "no_tenant"


def test_a_wildcard_does_not_match_its_own_apex(edge, shop):
    assert edge(site(shop, hosts=["*.acme.test"])).get(host="acme.test").status == 404


@pytest.fixture
def crossroads(edge, origin):
    """Every kind of route, in an order that would be wrong if the order of the file counted."""
    names = ["root", "api", "apiv2", "exact", "regex", "posted", "beta", "betapost", "query", "longregex"]
    services = {n: {"pools": {"blue": pool(origin(n))}} for n in names}
    routes = [
        {"path": "/", "service": "root"},
        {"path": "/api", "service": "api"},
        {"path": "/api/v2", "service": "apiv2"},
        {"exact": "/api/v2/exact", "service": "exact"},
        {"regex": "/img/[0-9]+\\.png", "service": "regex"},
        {"path": "/form", "service": "root"},
        {"path": "/form", "methods": ["POST", "PUT"], "service": "posted"},
        {"path": "/form", "headers": {"X-Env": "beta"}, "service": "beta"},
        {"path": "/form", "methods": ["POST"], "headers": {"X-Env": "beta"}, "service": "betapost"},
        {"path": "/find", "query": {"kind": "fast"}, "service": "query"},
    ]
    return edge(site(services=services, routes=routes))


@pytest.mark.parametrize("method, target, headers, service", [
    ("GET", "/", {}, "root"),
    ("GET", "/apiary", {}, "root"),                # a prefix ends at a segment's border
    ("GET", "/api", {}, "api"),
    ("GET", "/api/", {}, "api"),
    ("GET", "/api?x=/api/v2", {}, "api"),
    ("GET", "/api/v2", {}, "apiv2"),
    ("GET", "/api/v2/exactly", {}, "apiv2"),
    ("GET", "/api/v2/exact", {}, "exact"),
    ("GET", "/api/v2/exact?with=query", {}, "exact"),
    ("GET", "/img/12.png", {}, "regex"),
    ("GET", "/img/12.gif", {}, "root"),
    ("GET", "/form", {}, "root"),
    ("POST", "/form", {}, "posted"),
    ("PUT", "/form", {}, "posted"),
    ("GET", "/form", {"X-Env": "beta"}, "beta"),
    ("GET", "/form", {"x-env": "beta"}, "beta"),
    ("GET", "/form", {"X-Env": "BETA"}, "root"),   # values are case-sensitive
    ("POST", "/form", {"X-Env": "beta"}, "betapost"),
    ("GET", "/find?kind=fast", {}, "query"),
    ("GET", "/find?a=1&kind=fast&b=2", {}, "query"),
    ("GET", "/find?kind=slow", {}, "root"),
])
def test_the_most_specific_route_wins_wherever_it_stands(crossroads, method, target, headers, service):
    assert crossroads.request(method, target, headers).body.decode() == service


def test_a_path_that_no_route_has_is_404_with_its_reason(edge, shop):
    proxy = edge(site(shop, routes=[{"path": "/api", "service": "shop"}]))
    assert proxy.get("/elsewhere").status == 404
    assert proxy.logged(path="/elsewhere")["reason"] == "no_route"
    assert shop.count == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_says_where_and_asks_no_backend(edge, shop, status):
    proxy = edge(site(shop, routes=[{"path": "/", "service": "shop"}, {"path": "/old", "redirect": {"to": "/new", "status": status}}]))
    r = proxy.get("/old")
    assert r.status == status
    assert r.header("location").endswith("/new")
    assert shop.count == 0


def test_a_redirect_keeps_the_rest_of_the_path_and_the_query(edge, shop):
    proxy = edge(site(shop, routes=[{"path": "/", "service": "shop"}, {"path": "/old", "redirect": {"to": "/new/", "status": 308}}]))
    assert proxy.get("/old/a/b?c=d").header("location").endswith("/new/a/b?c=d")


@pytest.mark.parametrize("asked, forwarded", [
    ("/api/users?id=1", "/users?id=1"), ("/api", "/"), ("/api/", "/"), ("/api?x", "/?x"),
])
def test_strip_prefix_removes_the_route_and_nothing_else(edge, shop, asked, forwarded):
    proxy = edge(site(shop, routes=[{"path": "/api", "service": "shop", "strip_prefix": True}]))
    assert proxy.get(asked).status == 200
    assert shop.last.target == forwarded


# -- what happens to headers --

def test_headers_are_set_added_and_removed_both_ways(edge, shop):
    shop.always(reply(200, b"ok", [("Server", "secret/1.0"), ("X-Keep", "1"), ("Cache-Control", "old")]))
    change = {"path": "/", "service": "shop",
              "request_headers": {"set": {"X-Set": "new", "X-Fresh": "yes"}, "add": {"X-Add": "two"}, "remove": ["X-Drop"]},
              "response_headers": {"set": {"Cache-Control": "no-store"}, "add": {"X-Frame-Options": "DENY"}, "remove": ["Server"]}}
    r = edge(site(shop, routes=[change])).get("/", [("X-Set", "old"), ("X-Add", "one"), ("X-Drop", "gone"), ("x-drop", "too"), ("X-Stay", "s")])
    got = shop.last.headers
    assert got.all("x-set") == ["new"] and got.all("x-fresh") == ["yes"]
    assert ", ".join(got.all("x-add")) == "one, two"
    assert "x-drop" not in got and got.get("x-stay") == "s"
    assert r.headers.all("cache-control") == ["no-store"]
    assert r.header("x-frame-options") == "DENY" and r.header("x-keep") == "1"
    assert "server" not in r.headers


def test_the_backend_learns_who_asked_and_how(edge, shop):
    edge(site(shop)).get("/", host="www.acme.test:8080")
    got = shop.last.headers
    assert got.get("host") == "www.acme.test:8080"
    assert got.get("x-forwarded-for") == "127.0.0.1"
    assert got.get("x-forwarded-proto") == "http"
    assert got.get("x-forwarded-host") == "www.acme.test:8080"
    forwarded = got.get("forwarded").lower()
    assert "for=127.0.0.1" in forwarded and "proto=http" in forwarded and 'host="www.acme.test:8080"' in forwarded
    assert re.search(r"1\.1 \S+", got.get("via"))


SPOOFED = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.test"),
           ("Forwarded", "for=203.0.113.9;proto=https"), ("X-Real-IP", "203.0.113.9")]


def test_what_a_stranger_says_about_itself_is_replaced(edge, shop):
    proxy = edge(site(shop))
    proxy.get("/", SPOOFED)
    got = shop.last
    assert b"203.0.113.9" not in got.raw_head and b"evil.test" not in got.raw_head
    assert got.header("x-forwarded-for") == "127.0.0.1" and got.header("x-forwarded-proto") == "http"
    assert proxy.logged()["client"].startswith("127.0.0.1")


def test_a_trusted_proxy_in_front_is_believed(edge, shop):
    proxy = edge(site(shop, listeners={"http": http(trusted_proxies=["127.0.0.0/8"])}))
    proxy.get("/", [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https")])
    assert [v.strip() for v in shop.last.header("x-forwarded-for").split(",")] == ["203.0.113.9", "127.0.0.1"]
    assert shop.last.header("x-forwarded-proto") == "https"
    assert proxy.logged()["client"].startswith("203.0.113.9")


def test_connection_cannot_be_used_to_remove_our_headers(edge, shop):
    edge(site(shop)).get("/", [("Connection", "x-forwarded-for, x-forwarded-proto, via, x-request-id, host, x-mine"), ("X-Mine", "hop")])
    got = shop.last.headers
    assert got.get("x-forwarded-for") == "127.0.0.1" and got.get("x-forwarded-proto") == "http"
    assert "via" in got and "x-request-id" in got and got.get("host") == "acme.test"
    assert "x-mine" not in got


def test_hop_by_hop_headers_stay_on_their_hop(edge, shop):
    shop.always(reply(200, b"ok", [("Keep-Alive", "timeout=5"), ("Connection", "x-private"), ("X-Private", "1"), ("X-Public", "2")]))
    r = edge(site(shop)).get("/", [("Keep-Alive", "timeout=9"), ("Proxy-Connection", "keep-alive"), ("TE", "trailers, gzip;q=0.5")])
    assert "keep-alive" not in shop.last.headers and "proxy-connection" not in shop.last.headers
    assert shop.last.header("te") in (None, "trailers")
    assert "keep-alive" not in r.headers and "x-private" not in r.headers and r.header("x-public") == "2"


def test_every_request_has_an_id_that_log_and_backend_share(edge, shop):
    proxy = edge(site(shop))
    proxy.get("/one")
    proxy.get("/two")
    ids = [r.header("x-request-id") for r in shop.requests]
    assert all(ids) and len(set(ids)) == 2
    assert proxy.logged(path="/one")["id"] == ids[0]
    assert proxy.logged(path="/two")["id"] == ids[1]


def test_traceparent_is_passed_on(edge, shop):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    edge(site(shop)).get("/", {"traceparent": trace})
    assert shop.last.header("traceparent").split("-")[1] == trace.split("-")[1]


UNDERSCORED = [("X_Real_IP", "6.6.6.6"), ("api_key", "k"), ("X-Plain", "p")]


def test_headers_that_some_origins_would_take_for_others_are_dropped_and_counted(edge, shop):
    proxy = edge(site(shop))
    assert proxy.get(headers=UNDERSCORED).status == 200
    assert [n for n, _ in shop.last.headers if "_" in n] == [] and shop.last.header("x-plain") == "p"
    assert scrape(proxy).value("weir_request_headers_dropped_total") == 2


def test_headers_with_underscores_pass_or_are_refused_as_told(edge, shop):
    proxy = edge(site(shop, listeners={"http": http(underscore_headers="pass")}))
    assert proxy.get(headers=UNDERSCORED).status == 200 and shop.last.header("api_key") == "k"
    assert shop.last.header("x_real_ip") is None  # a forged X-Real-IP, to whom it is one
    proxy.reload(site(shop, listeners={"http": http(underscore_headers="refuse")}))
    refused = proxy.get(headers=UNDERSCORED)
    assert refused.status == 400 and proxy.logged(status=400)["reason"] == "client_underscore"
    assert proxy.get(headers=UNDERSCORED[2:]).status == 200


def test_unknown_headers_keep_order_case_and_bytes(edge, shop):
    sent = [("X-b", "2"), ("x-A", "1; \"q\"\t,"), ("X-b", "3"), ("X-Empty", ""), ("X-Latin", "caf\xe9")]
    shop.always(reply(200, b"", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Path=/"), ("X-Latin", "\xfc")]))
    r = edge(site(shop)).get("/", sent)
    assert [(n, v) for n, v in shop.last.headers if n.lower().startswith("x-") and n.lower() in {s[0].lower() for s in sent}] == sent
    assert r.headers.all("set-cookie") == ["a=1", "b=2; Path=/"] and r.header("x-latin") == "\xfc"


def test_a_request_that_goes_in_circles_is_stopped(edge, origin):
    """A backend that is weir itself: the loop ends by weir's doing, not by exhaustion."""
    shop = origin()
    proxy = edge(site(shop))
    proxy.reload(site("%s:%d" % proxy.address(), timeouts={"response": "5s"}))
    assert proxy.get("/").status in (502, 508)
    assert len(proxy.access_log()) < 200


# -- connections --

def test_connections_are_kept_on_both_sides(edge, shop):
    proxy = edge(site(shop), workers=1)
    with proxy.connect() as c:
        for i in range(20):
            assert c.get(f"/{i}").status == 200
    assert shop.count == 20 and len(shop.connections) == 1


def test_a_backend_connection_is_shared_by_clients_that_come_one_after_the_other(edge, shop):
    proxy = edge(site(shop), workers=1)
    for i in range(5):
        assert proxy.get(f"/{i}").status == 200
    assert len(shop.connections) == 1


def test_connection_close_is_honoured(edge, shop):
    with edge(site(shop)).connect() as c:
        r = c.get("/", {"Connection": "close"})
        assert r.status == 200 and r.header("connection").lower() == "close"
        assert c.expect_close() == "closed"


def test_a_backend_that_closes_after_its_answer_does_not_close_the_client(edge, shop):
    shop.always(reply(200, b"once", {"Connection": "close"}, close=True))
    with edge(site(shop)).connect() as c:
        for _ in range(3):
            r = c.get("/")
            assert r.body == b"once" and "close" not in r.header("connection", "").lower()
    assert len(shop.connections) == 3


def test_pipelined_requests_are_answered_in_order(edge, shop):
    for i in range(50):
        shop.on(f"/{i}", reply(200, f"answer {i}", stream=i % 2 == 0))
    with edge(site(shop)).connect() as c:
        c.send(b"".join(build("GET", f"/{i}") for i in range(50)))
        for i in range(50):
            assert c.response().body == b"answer %d" % i


def test_pipelined_posts_keep_their_bodies_apart(edge, shop):
    shop.always(echo())
    with edge(site(shop)).connect() as c:
        c.send(b"".join(build("POST", "/", body=b"body %d" % i, chunked=i % 2 == 1) for i in range(20)))
        for i in range(20):
            assert c.response().body == b"body %d" % i


def test_a_request_may_come_byte_by_byte(edge, shop):
    shop.always(echo())
    with edge(site(shop)).connect() as c:
        c.dribble(build("POST", "/slow", body=[b"hello ", b"world"], chunked=True, trailers={"X-Sum": "1"}))
        assert c.response().body == b"hello world"
        c.dribble(build("GET", "/next"))
        assert c.response().status == 200


def test_empty_lines_before_a_request_are_forgiven(edge, shop):
    """RFC 9112 2.2: at least one CRLF before the request line."""
    with edge(site(shop)).connect() as c:
        assert c.get("/").status == 200
        c.send(b"\r\n" + build("GET", "/again"))
        assert c.response().status == 200
        c.send(b"\r\n\r\n" + build("GET", "/behind"))
        assert c.response().status == 200
        c.dribble(b"\r\n" * 8 + build("GET", "/slowly"))
        assert c.response().status == 200
        c.send(b"\r\n" * 9 + build("GET", "/never"))
        assert c.response().status == 400
    assert [r.target for r in shop.requests] == ["/", "/again", "/behind", "/slowly"]


# -- bodies --

@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("stream", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("size", [0, 1, 1000, 100_000, 3_000_000])
def test_a_body_arrives_whole_both_ways(edge, shop, chunked, stream, size):
    shop.always(echo(stream=stream))
    body = pattern(size)
    with edge(site(shop)).connect() as c:
        r = c.request("POST", "/", body=body, chunked=chunked)
        assert r.status == 200 and r.body == body
        assert shop.last.body == body
        assert c.get("/after").status == 200


def test_a_big_answer_is_not_changed(edge, shop):
    shop.on("/big", big(20_000_000))
    assert edge(site(shop)).get("/big").body == pattern(20_000_000)


def test_an_answer_streams_while_it_is_made(edge, shop):
    parts = shop.always(Stepwise([b"one", b"two", b"three"]))
    with edge(site(shop)).connect() as c:
        c.send(build("GET", "/"))
        shop.wait_count(1)
        parts.step()
        r = c.head()
        assert r.header("transfer-encoding") == "chunked"
        assert c.exactly(8) == b"3\r\none\r\n"
        parts.step()
        assert c.exactly(8) == b"3\r\ntwo\r\n"
        parts.step(2)
        assert c.exactly(15) == b"5\r\nthree\r\n0\r\n\r\n"


def test_a_request_body_streams_while_it_is_sent(edge, shop):
    seen = []

    def slow_reader(x):
        while part := x.read_part():
            seen.append(part)
        reply(200, b"read")(x)
    shop.always(slow_reader)
    with edge(site(shop)).connect() as c:
        c.send(build("POST", "/", headers={"Transfer-Encoding": "chunked"}).replace(b"Content-Length: 0\r\n", b""))
        c.send(b"5\r\nfirst\r\n")
        eventually(lambda: b"".join(seen) == b"first", "the first part at the backend")
        c.send(b"6\r\nsecond\r\n0\r\n\r\n")
        assert c.response().body == b"read"
    assert b"".join(seen) == b"firstsecond"


def test_trailers_pass_both_ways(edge, shop):
    shop.always(reply(200, b"body", {"Trailer": "X-Checksum"}, trailers={"X-Checksum": "abc"}))
    r = edge(site(shop)).request("POST", "/", {"TE": "trailers"}, body=b"payload", chunked=True, trailers={"X-Sum": "42"})
    assert r.body == b"body" and r.trailers.get("x-checksum") == "abc"
    assert shop.last.body == b"payload" and shop.last.trailers.get("x-sum") == "42"


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Host", "Authorization", "Connection", "X-Forwarded-For", "Cookie"])
def test_trailers_that_would_change_the_request_are_dropped(edge, shop, name):
    r = edge(site(shop)).request("POST", "/", body=b"x", chunked=True, trailers=[(name, "1"), ("X-Fine", "1")])
    assert r.status == 200
    assert name not in shop.last.trailers and shop.last.trailers.get("x-fine") == "1"


def test_head_has_the_length_and_no_body(edge, shop):
    shop.always(reply(200, b"x" * 1234))
    with edge(site(shop)).connect() as c:
        r = c.request("HEAD", "/")
        assert r.status == 200 and r.header("content-length") == "1234"
        assert c.get("/").body == b"x" * 1234


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_end_at_once(edge, shop, status):
    shop.on("/none", reply(status, b"", {"ETag": '"v1"'}))
    with edge(site(shop)).connect() as c:
        r = c.get("/none")
        assert r.status == status and r.header("etag") == '"v1"' and r.body == b""
        assert c.get("/").body == b"shop"


def test_a_304_may_say_how_long_the_answer_would_have_been(edge, shop):
    shop.on("/none", answers.raw(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n", then="keep"))
    with edge(site(shop)).connect() as c:
        assert c.get("/none").status == 304
        assert c.get("/").body == b"shop"


def test_an_answer_that_ends_with_its_connection_becomes_chunked(edge, shop):
    shop.always(answers.raw(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", then="close"))
    with edge(site(shop)).connect() as c:
        for _ in range(2):
            r = c.get("/")
            assert r.body == b"until the end" and r.header("transfer-encoding") == "chunked"


def test_a_leading_zero_in_content_length_is_ten_and_sent_on_as_ten(edge, shop):
    with edge(site(shop)).connect() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 010\r\n\r\n0123456789")
        assert c.response().status == 200
    assert shop.last.headers.all("content-length") == ["10"] and shop.last.body == b"0123456789"


# -- interim answers --

def test_a_client_that_waits_for_100_gets_it_and_sends_its_body(edge, shop):
    shop.always(echo())
    with edge(site(shop)).connect() as c:
        c.send(build("POST", "/", {"Expect": "100-continue", "Content-Length": "4"}).replace(b"Content-Length: 0\r\n", b""))
        assert c.head().status == 100
        c.send(b"body")
        assert c.response().body == b"body"


def test_a_backend_that_refuses_early_is_heard_and_the_body_is_never_a_request(edge, shop):
    """The body that the client sends anyway is not parsed as the next request: drained, or the connection is closed."""
    shop.always(reply(413, b"too much", early=True, close=True))
    smuggled = build("GET", "/smuggled")
    with edge(site(shop)).connect() as c:
        c.send(f"POST / HTTP/1.1\r\nHost: acme.test\r\nExpect: 100-continue\r\nContent-Length: {len(smuggled)}\r\n\r\n".encode())
        first = c.head()
        if first.status == 100:
            first = c.head()
        assert first.status == 413
        c.exactly(int(first.header("content-length")))
        c.try_send(smuggled)
        if first.header("connection", "").lower() == "close":
            c.until_closed()
    assert [r.target for r in shop.requests] == ["/"]


def test_an_early_final_answer_is_relayed_before_the_body_is_complete(edge, shop):
    shop.always(reply(403, b"no", early=True, close=True))
    with edge(site(shop)).connect() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 1000000\r\n\r\npart")
        assert c.response().status == 403


def test_103_early_hints_pass(edge, shop):
    shop.always(reply(200, b"page", interim=[(103, {"Link": "</a.css>; rel=preload"}), (103, {"Link": "</b.js>; rel=preload"})]))
    r = edge(site(shop)).get("/")
    assert [(i.status, i.header("link")) for i in r.interim] == [(103, "</a.css>; rel=preload"), (103, "</b.js>; rel=preload")]
    assert r.body == b"page"


def test_100_from_a_backend_that_nobody_asked_for_is_swallowed_or_passed_but_never_the_answer(edge, shop):
    shop.always(answers.raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", then="keep"))
    assert edge(site(shop)).get("/").body == b"ok"


# -- HTTP/1.0 --

def test_http_1_0_closes_by_default_and_never_sees_chunked_or_1xx(edge, shop):
    shop.always(reply(200, b"stream", stream=True, interim=[(103, {"Link": "</a>"})]))
    with edge(site(shop)).connect() as c:
        r = c.get("/", version="HTTP/1.0")
        assert r.status == 200 and r.body == b"stream" and not r.interim and "transfer-encoding" not in r.headers
        assert c.expect_close() == "closed"


def test_http_1_0_may_ask_to_be_kept(edge, shop):
    with edge(site(shop)).connect() as c:
        r = c.get("/", {"Connection": "keep-alive"}, version="HTTP/1.0")
        if r.header("connection", "").lower() == "keep-alive":
            assert c.get("/", version="HTTP/1.0").body == b"shop"
        assert c.expect_close() == "closed"


def test_http_1_0_becomes_1_1_at_the_backend(edge, shop):
    edge(site(shop)).get("/", version="HTTP/1.0")
    assert shop.last.version == "HTTP/1.1"


def test_an_http_1_0_backend_is_understood(edge, shop):
    shop.always(answers.raw(b"HTTP/1.0 200 OK\r\nX-Old: yes\r\n\r\nold style", then="close"))
    r = edge(site(shop)).get("/")
    assert r.body == b"old style" and r.version == "HTTP/1.1"


# -- targets --

def test_absolute_form_wins_over_host(edge, shop):
    with edge(site(shop)).connect() as c:
        c.send(b"GET http://www.acme.test/path?q HTTP/1.1\r\nHost: other.test\r\n\r\n")
        assert c.response().status == 200
    assert shop.last.header("host") == "www.acme.test" and shop.last.target == "/path?q"


def test_options_asterisk_reaches_the_backend(edge, shop):
    with edge(site(shop)).connect() as c:
        c.send(b"OPTIONS * HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        assert c.response("OPTIONS").status == 200
    assert (shop.last.method, shop.last.target) == ("OPTIONS", "*")


def test_methods_that_nobody_knows_pass(edge, shop):
    assert edge(site(shop)).request("PURGE", "/x").status == 200
    assert shop.last.method == "PURGE"


def test_a_unix_listener_and_a_unix_backend_work_too(edge, shop, tmp_path):
    proxy = edge(site(shop))
    sock = str(proxy.dir / "http.sock")
    proxy.reload(site(shop, listeners={"http": http(), "local": {"address": f"unix:{sock}"}}))
    proxy.wait_event("listening", listener="local")
    with proxy.connect("local") as c:
        assert c.get("/").body == b"shop"
    front = edge(site(f"unix:{sock}"))
    assert front.get("/").body == b"shop"


def test_a_client_that_goes_away_takes_its_request_with_it(edge, shop):
    gate = shop.always(Gate())
    proxy = edge(site(shop))
    c = proxy.connect()
    c.send(build("GET", "/abandoned"))
    gate.wait_arrived()
    c.close()
    gate.wait_gone()
    record = proxy.logged(path="/abandoned")
    assert record["status"] == 499 and record["reason"] == "client_gone"
