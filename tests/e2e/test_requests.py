"""What happened to a request that failed: /v1/requests, by the id that the error answer names."""
import pytest

from support import answers
from support.config import pool, site
from support.wire import eventually

ONCE = {"retries": {"attempts": 1}}


def asked(proxy, request_id):
    r = proxy.admin("GET", f"/v1/requests/{request_id}")
    assert r.status == 200, (r.status, r.body)
    return r.json()


def recent(proxy, query=""):
    r = proxy.admin("GET", f"/v1/requests{query}")
    assert r.status == 200, (r.status, r.body)
    return r.json()["requests"]


def test_the_id_of_an_error_answer_tells_what_happened(edge, refused_port):
    proxy = edge(site(str(refused_port), service=ONCE))
    r = proxy.get("/cart?n=1", headers={"User-Agent": "x"})
    assert r.status == 502
    c = asked(proxy, r.header("x-request-id"))
    assert c["reason"] == "upstream_refused" and c["side"] == "upstream" and c["phase"] == "connecting"
    assert (c["tenant"], c["service"], c["pool"], c["backend"]) == ("acme", "shop", "blue", str(refused_port))
    assert (c["method"], c["host"], c["path"], c["status"]) == ("GET", "acme.test", "/cart?n=1", 502)
    assert c["generation"] == 1 and c["attempts"] == 1 and c["protocol"] == "HTTP/1.1"
    assert c["text"] and "listens" in c["advice"]
    [attempt] = c["failed_attempts"]
    assert attempt["backend"] == str(refused_port) and attempt["reason"] == "upstream_refused"


def test_each_attempt_is_told_with_its_backend_and_its_times(edge, origin, refused_port):
    closes = origin("closes")
    closes.always(answers.close_at_once)
    proxy = edge(site(str(refused_port), closes, service={"balance": "round_robin", "retries": {"attempts": 2, "budget": "100%"}}))
    r = proxy.get("/")
    assert r.status == 502
    c = asked(proxy, r.header("x-request-id"))
    assert {a["backend"] for a in c["failed_attempts"]} == {str(refused_port), str(closes)} and c["attempts"] == 2
    first, second = c["failed_attempts"]
    assert 0 <= first["at_ms"] <= second["at_ms"] <= c["duration_ms"]
    assert all(a["duration_ms"] <= c["duration_ms"] for a in c["failed_attempts"])


def test_what_a_backend_answers_itself_is_said_to_be_its_own(edge, origin):
    shop = origin()
    shop.always(answers.reply(500, b"oh"))
    proxy = edge(site(shop, service=ONCE))
    proxy.get("/", headers={"X-Request-Id": "mine-1"})
    [c] = eventually(lambda: recent(proxy), "a record")
    assert c["status"] == 500 and "reason" not in c and c["phase"] == "answered" and "its own log" in c["advice"]
    assert c["failed_attempts"] == [] and c["backend"] == str(shop)


def test_an_answer_that_breaks_off_is_told_with_how_far_it_came(edge, origin):
    shop = origin()
    shop.always(answers.cut())
    proxy = edge(site(shop, service=ONCE))
    with proxy.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        c.until_closed()
    [c] = eventually(lambda: recent(proxy), "a record")
    assert c["reason"] == "upstream_cut_body" and c["phase"] == "relaying_response" and c["status"] == 200
    assert "first_byte_ms" in c


def test_what_openssl_said_of_a_backend_is_told(edge, origin, pki, stranger):
    shop = origin(tls=stranger.server_context(stranger.server("shop.internal")))
    proxy = edge(site(shop, service={**ONCE, "tls": {"ca": str(pki.file), "server_name": "shop.internal"}}))
    r = proxy.get("/")
    c = asked(proxy, r.header("x-request-id"))
    assert c["reason"] == "upstream_tls_verify" and c["failed_attempts"][0]["error"]


def test_good_requests_leave_no_record_and_the_clients_faults_are_kept_apart(edge, origin):
    gate = answers.Gate()
    shop = origin()
    shop.on("/wait", gate)
    proxy = edge(site(shop, routes=[{"path": "/", "service": "shop"}]))
    good = proxy.get("/", headers={"X-Request-Id": "fine"})
    assert proxy.get("/", host="unknown.test").status == 404
    with proxy.connect() as c:
        c.send(b"GET /wait HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        gate.wait_arrived()
        c.reset()
    all_of_them = eventually(lambda: (lambda v: v if len(v) == 2 else None)(recent(proxy, "?clients=true")), "two records")
    gate.open()
    assert recent(proxy) == []
    assert {c["status"] for c in all_of_them} == {404, 499}
    assert [c["reason"] for c in recent(proxy, "?reason=no_tenant")] == ["no_tenant"]
    gone = next(c for c in all_of_them if c["status"] == 499)
    assert gone["side"] == "client" and gone["phase"] == "awaiting_response" and gone["backend"] == str(shop)
    assert proxy.admin("GET", f"/v1/requests/{good.header('x-request-id') or 'fine'}").status == 404


def test_the_list_is_of_all_workers_the_newest_first_and_as_long_as_asked(edge, refused_port):
    proxy = edge(site(str(refused_port), service=ONCE))
    for i in range(30):
        proxy.get(f"/{i}")
    paths = [c["path"] for c in recent(proxy, "?limit=10")]
    assert paths == [f"/{i}" for i in range(29, 19, -1)]
    assert len(recent(proxy)) == 20 and len(recent(proxy, "?tenant=acme&limit=1000")) == 30 and recent(proxy, "?tenant=other") == []


def test_the_records_are_bounded_and_the_oldest_goes_first(edge, refused_port):
    proxy = edge(site(str(refused_port), service=ONCE), workers=1)
    with proxy.connect() as c:
        first = c.get("/first").header("x-request-id")
        asked(proxy, first)
        # A client's nonsense does not wash it away, however much there is of it.
        for _ in range(1100):
            c.get("/", host="unknown.test")
        asked(proxy, first)
        assert len(recent(proxy, "?reason=no_tenant&limit=1000")) == 1000


def test_what_is_asked_wrongly_is_said(edge, origin):
    proxy = edge(site(origin()))
    assert proxy.admin("GET", "/v1/requests/unknown").status == 404
    assert proxy.admin("GET", "/v1/requests/" + "x" * 65).status == 404
    r = proxy.admin("GET", "/v1/requests?reason=nonsense")
    assert r.status == 400 and r.json()["reason"] == "bad_reason"
    assert proxy.admin("GET", "/v1/requests?limit=many").status == 400
    assert proxy.admin("GET", "/v1/requests?nonsense=1").status == 400


@pytest.mark.parametrize("path", ["/\xff\xfe", '/"\\'])
def test_bytes_that_are_no_text_are_told_all_the_same(edge, refused_port, path):
    proxy = edge(site(str(refused_port), service=ONCE))
    with proxy.connect() as c:
        c.send(b"GET " + path.encode("latin-1") + b" HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        r = c.response()
    assert r.status >= 400
    eventually(lambda: recent(proxy, "?clients=true"), "a record")


def test_weir_why_tells_it_to_people(edge, origin, refused_port):
    proxy = edge(site(str(refused_port), service=ONCE))
    r = proxy.get("/cart")
    told = proxy.cli("why", r.header("x-request-id"))
    assert told.code == 0, told.err
    first, *rest = told.out.splitlines()
    assert first == f"{r.header('x-request-id')}: 502 upstream_refused: the backend refused the connection"
    assert any(l.startswith("  look at ") and "listens" in l for l in rest)
    assert any("acme/shop/blue" in l and str(refused_port) in l for l in rest)
    assert any("GET acme.test/cart from 127." in l for l in rest)
    assert any("1. after " in l and "upstream_refused" in l for l in rest)
    assert proxy.cli("why", r.header("x-request-id"), "--json").json()["reason"] == "upstream_refused"
    lines = proxy.cli("why", "--tenant", "acme").out.splitlines()
    assert len(lines) == 1 and "upstream_refused" in lines[0] and r.header("x-request-id") in lines[0]
    assert proxy.cli("why", "--reason", "upstream_timeout").out == "no such request has failed lately\n"


def test_weir_why_says_what_it_does_not_know(edge, origin):
    proxy = edge(site(origin()))
    r = proxy.cli("why", "unknown")
    assert r.code == 1 and "no request of that id" in r.err
    assert (r := proxy.cli("why", "--reason", "nonsense")).code == 1 and "no such reason" in r.err
    assert proxy.cli("why", "a/../b?c").code == 1
