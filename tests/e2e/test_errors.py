"""weir's own error answers: in the form that was asked for, with a reason, or as the tenant's own page."""
import json

import pytest

from support import answers
from support.answers import reply
from support.config import site
from support.wire import eventually


@pytest.fixture
def broken(edge, refused_port):
    """Everything is 502 here."""
    return edge(site(refused_port))


def test_a_browser_gets_html(broken):
    r = broken.get("/", {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"})
    assert r.status == 502 and r.header("content-type").startswith("text/html")
    assert b"<html" in r.body.lower() and b"upstream_refused" in r.body


@pytest.mark.parametrize("accept", ["application/json", "application/problem+json", "application/json, text/html;q=0.5", "application/vnd.api+json, application/json"])
def test_a_program_gets_json(broken, accept):
    r = broken.get("/", {"Accept": accept})
    assert r.status == 502 and "json" in r.header("content-type")
    document = json.loads(r.body)
    assert document["status"] == 502 and document["reason"] == "upstream_refused"
    assert broken.logged()["id"] in r.body.decode()


@pytest.mark.parametrize("headers", [{}, {"Accept": "*/*"}, {"Accept": "text/plain"}, {"Accept": "image/png"}, {"Accept": "nonsense;;q=x"}])
def test_anybody_else_gets_plain_text(broken, headers):
    r = broken.get("/", headers)
    assert r.status == 502 and r.header("content-type").startswith("text/plain")
    assert b"upstream_refused" in r.body


def test_the_reason_is_the_same_in_answer_and_log(broken):
    broken.get("/")
    assert broken.logged()["reason"] == "upstream_refused"


def test_an_error_is_not_to_be_stored(broken):
    r = broken.get("/")
    assert "no-store" in r.header("cache-control", "") or r.status == 502  # 502 is not stored by default (RFC 9111 3)
    assert r.header("date")


def test_head_gets_the_head_alone(broken):
    with broken.connect() as c:
        r = c.request("HEAD", "/")
        assert r.status == 502 and r.body == b""
        assert c.request("HEAD", "/").status == 502


def test_what_a_client_sent_is_escaped_in_html(edge, refused_port):
    proxy = edge(site(refused_port))
    r = proxy.get("/%3Cscript%3E?<script>alert(1)</script>", {"Accept": "text/html", "X-Request-Id": "<script>"})
    assert b"<script>" not in r.body


def test_the_connection_stays_usable_after_an_error(broken):
    with broken.connect() as c:
        for _ in range(5):
            assert c.get("/").status == 502
    with broken.connect2() as c:
        for _ in range(5):
            assert c.get("/").status == 502


def test_over_http_2_too(broken):
    with broken.connect2() as c:
        r = c.get("/", {"accept": "application/json"})
    assert json.loads(r.body)["reason"] == "upstream_refused" and r.header("content-length") == str(len(r.body))


@pytest.fixture
def pages(tmp_path):
    (tmp_path / "404.html").write_text("<h1>Acme has no such page</h1>")
    (tmp_path / "sorry.html").write_text("<h1>Acme is sorry</h1>")
    return {"404": str(tmp_path / "404.html"), "5xx": str(tmp_path / "sorry.html")}


def test_a_tenants_own_pages_are_shown(edge, refused_port, pages):
    proxy = edge(site(refused_port, modules={"errors": {"pages": pages}}, routes=[{"path": "/shop", "service": "shop"}]))
    missing, sorry = proxy.get("/nowhere", {"Accept": "text/html"}), proxy.get("/shop", {"Accept": "text/html"})
    assert (missing.status, missing.body) == (404, b"<h1>Acme has no such page</h1>")
    assert (sorry.status, sorry.body) == (502, b"<h1>Acme is sorry</h1>")
    assert missing.header("content-type").startswith("text/html")


def test_a_tenants_pages_are_its_own(edge, refused_port, pages):
    conf = site(refused_port, hosts=["acme.test"], tenant={"modules": {"errors": {"pages": pages}}})
    conf["tenants"]["other"] = site(refused_port, hosts=["other.test"])["tenants"]["acme"]
    proxy = edge(conf)
    assert b"Acme" in proxy.get("/", {"Accept": "text/html"}).body
    assert b"Acme" not in proxy.get("/", {"Accept": "text/html"}, host="other.test").body


def test_a_backends_own_errors_are_left_alone(edge, origin, pages):
    shop = origin("shop")
    shop.always(reply(500, b"the application's own words", {"X-App": "1"}))
    r = edge(site(shop, modules={"errors": {"pages": pages}})).get("/", {"Accept": "text/html"})
    assert (r.status, r.body, r.header("x-app")) == (500, b"the application's own words", "1")


def test_backends_errors_get_the_pages_that_are_meant_for_them(edge, origin, pages):
    shop = origin("shop")
    shop.on("/500", reply(500, b"the application's own words", {"X-App": "1", "ETag": '"x"'}))
    shop.on("/404", reply(404, b"the application's own words"))
    proxy = edge(site(shop, modules={"errors": {"pages": pages, "intercept": ["5xx"]}}))
    for connect in proxy.connect, proxy.connect2:
        with connect() as c:
            r = c.get("/500")
            assert (r.status, r.body, r.header("x-app"), r.header("etag")) == (500, b"<h1>Acme is sorry</h1>", "1", None)
            assert c.get("/404").body == b"the application's own words"
            r = c.request("HEAD", "/500")
            assert (r.status, r.body, r.header("x-app")) == (500, b"", "1")
    proxy.logged(method="GET", status=500, errors="intercepted")
    assert shop.open_connections() == len(shop.connections)  # what the backend said was read, and nothing hung up on


def test_a_backends_trailers_go_with_the_body_that_goes(edge, origin, pages):
    shop = origin("shop")
    shop.on("/500", reply(500, b"the application's own words", {"Trailer": "X-Sum"}, trailers={"X-Sum": "1"}))
    shop.on("/404", reply(404, b"the application's own words", {"Trailer": "X-Sum"}, trailers={"X-Sum": "2"}))
    proxy = edge(site(shop, modules={"errors": {"pages": pages, "intercept": ["5xx"]}}))
    for connect in proxy.connect, proxy.connect2:
        with connect() as c:
            swapped, own = c.get("/500"), c.get("/404")
        assert (swapped.status, swapped.body, swapped.header("trailer")) == (500, b"<h1>Acme is sorry</h1>", None)
        assert list(swapped.trailers) == [] and own.trailers.get("x-sum") == "2"


def test_a_page_that_changes_is_followed_and_a_bad_one_is_not(edge, refused_port, pages, tmp_path):
    proxy = edge(site(refused_port, modules={"errors": {"pages": pages}}))
    assert proxy.get("/").body == b"<h1>Acme is sorry</h1>"

    def replace(text):
        new = tmp_path / "new"
        new.write_text(text)
        new.rename(tmp_path / "sorry.html")
    replace("<p>$(reasn)</p>")
    assert "did you mean $(reason)?" in str(proxy.wait_event("module_files", outcome="refused"))
    assert proxy.get("/").body == b"<h1>Acme is sorry</h1>"
    replace("<p>$(reason) $(header.x-a)</p>")
    proxy.wait_event("module_files", outcome="applied")
    eventually(lambda: proxy.get("/", {"X-A": "<b>"}).body == b"<p>upstream_refused &lt;b&gt;</p>", "the new page")
    assert proxy.events("reload") == []


def test_pages_are_read_at_load_and_replaced_by_a_reload(edge, refused_port, pages, tmp_path):
    conf = site(refused_port, modules={"errors": {"pages": pages}})
    proxy = edge(conf)
    (tmp_path / "sorry.html").write_text("<h1>Still sorry</h1>")
    assert b"Acme is sorry" in proxy.get("/", {"Accept": "text/html"}).body
    proxy.reload(site(refused_port, modules={"errors": {"pages": pages}}, limits={"header_count": 50}))
    assert b"Still sorry" in proxy.get("/", {"Accept": "text/html"}).body


def test_a_reason_tells_sides_apart(edge, origin):
    shop = origin("shop")
    shop.on("/upstream", answers.close_at_once)
    proxy = edge(site(shop, service={"retries": {"attempts": 1}}))
    upstream = proxy.get("/upstream", {"Accept": "application/json"}).json()
    nobody = proxy.get("/", {"Accept": "application/json"}, host="nobody.test").json()
    assert upstream["reason"].startswith("upstream_") and nobody["reason"] == "no_tenant"
    assert upstream["reason"] != nobody["reason"]
