"""Modules headers and rewrite, and the variables that their values, routes' headers and error pages are made of."""
import time

import pytest

from support import mmdb
from support.answers import reply
from support.config import http, site
from support.edge import run
from support.tokens import Key, key_set

TRUSTING = {"http": http(trusted_proxies=["127.0.0.0/8"])}


def routes(**keys):
    return [{"path": "/", "service": "shop", **keys}]


def test_a_backend_learns_what_other_modules_have_found_out(edge, origin, tmp_path):
    blue, key = origin(), Key("ES256", "k1")
    places = mmdb.write(tmp_path / "places.mmdb", {"192.0.2.0/24": mmdb.place("DE", city="Berlin")})
    proxy = edge(site(blue, listeners=TRUSTING, modules={"geo": str(places), "jwt": {"keys": key_set(key)}, "headers": {
        "request": {"set": {"X-Who": "$(user) $(jwt.role:-none) $(jwt.list:-none) from $(geo.city)/$(geo.country) $(geo.asn:-0)"}},
        "response": {"set": {"X-Served": "$(pool) $(user) $(status)"}}}}))
    token = key.token({"sub": "u-17", "role": "admin", "list": [1], "exp": int(time.time()) + 60})
    r = proxy.get("/", headers={"Authorization": f"Bearer {token}", "X-Forwarded-For": "192.0.2.7"})
    assert blue.last.header("x-who") == "u-17 admin none from Berlin/DE 0"
    assert (r.status, r.header("x-served")) == (200, "blue u-17 200")


@pytest.mark.parametrize("target, headers", [
    ("/?a=x%0d%0aX-Evil:%201", {}),
    ("/?a=b%00", {"X-A": "a\tb"}),
    ("/", {"Cookie": "a=\"x\"; b"}),
    ("/", {"X-A": "caf\xe9"}),
])
def test_no_value_ends_its_line(edge, origin, target, headers):
    blue = origin()
    proxy = edge(site(blue, routes=routes(
        request_headers={"set": {"X-Copy": "[$(query.a) $(header.x-a) $(cookie.a)]"}},
        response_headers={"set": {"X-Copy": "[$(query.a) $(header.x-a) $(cookie.a)]"}})))
    for connect in proxy.connect, proxy.connect2:
        with connect() as c:
            r = c.request("GET", target, headers)
        copy = blue.last.header("x-copy")
        assert r.status == 200 and copy.startswith("[") and copy.endswith("]")
        assert blue.last.header("x-evil") is None and r.header("x-evil") is None and r.header("x-copy") == copy


def test_weirs_own_answers_carry_the_headers_too(edge, refused_port):
    proxy = edge(site(refused_port, modules={"headers": {"response": {"set": {"X-Frame-Options": "DENY", "X-Why": "$(reason)"}}}},
        routes=routes() + [{"path": "/go", "redirect": {"to": "/there"}}]))
    r = proxy.get("/")
    assert (r.status, r.header("x-frame-options"), r.header("x-why")) == (502, "DENY", "upstream_refused")
    r = proxy.get("/go")
    assert (r.status, r.header("x-frame-options"), r.header("x-why")) == (308, "DENY", None)
    assert proxy.get("/", host="nobody.test").header("x-frame-options") == "DENY"


def test_a_path_is_rewritten_for_the_backend_alone(edge, origin):
    blue = origin()
    proxy = edge(site(blue, modules={"rewrite": {
        "rules": [{"prefix": "/v1", "to": "/api"}, {"regex": r"/item/(\d+)", "to": "/items?id=$(1)"}],
        "query": {"remove": ["utm_*"]}, "host": "$(tenant).internal"}}))
    for connect in proxy.connect, proxy.connect2:
        with connect() as c:
            assert c.get("/v1/x?utm_a=1&b=2").status == 200
            assert (blue.last.target, blue.last.header("host"), blue.last.header("x-forwarded-host")) == ("/api/x?b=2", "acme.internal", "acme.test")
            assert c.get("/item/17").status == 200 and blue.last.target == "/items?id=17"
            assert c.get("/v1x").status == 200 and blue.last.target == "/v1x"
    assert proxy.logged(path="/v1/x?utm_a=1&b=2")["status"] == 200


def test_what_cannot_be_sent_is_refused(edge, origin):
    blue = origin()
    proxy = edge(site(blue, modules={"rewrite": {"host": "$(header.x-host)"}}))
    assert proxy.get("/", headers={"X-Host": "Shop.Internal"}).status == 200 and blue.last.header("host") == "shop.internal"
    assert proxy.get("/", headers={"X-Host": "a b"}).status == 400 and proxy.get("/").status == 400
    assert proxy.logged(n=2, status=400)["reason"] == "rewrite_invalid" and blue.count == 1


def test_a_retried_request_is_rewritten_once(edge, origin, refused_port):
    blue = origin()
    proxy = edge(site(refused_port, blue, service={"balance": "round_robin", "retries": {"budget": "100%"}},
        modules={"rewrite": {"rules": [{"prefix": "/", "to": "/again"}]}}))
    for _ in range(4):
        assert proxy.get("/x").status == 200 and blue.last.target == "/again/x"


def test_a_reload_takes_others_and_a_bad_one_changes_nothing(edge, origin):
    blue = origin()
    conf = site(blue, modules={"headers": {"request": {"set": {"X-A": "one"}}}, "rewrite": {"rules": [{"regex": "/x(.*)", "to": "/y$(1)"}]}})
    proxy = edge(conf)
    assert proxy.get("/x1").status == 200 and (blue.last.target, blue.last.header("x-a")) == ("/y1", "one")
    proxy.reload(conf, outcome="unchanged")
    conf["modules"] = {"headers": {"request": {"set": {"X-A": "$(clint.address)"}}}}
    assert "did you mean $(client.address)?" in str(proxy.reload(conf, outcome="refused"))
    assert proxy.get("/x2").status == 200 and (blue.last.target, blue.last.header("x-a")) == ("/y2", "one")
    conf["modules"]["headers"]["request"]["set"]["X-A"] = "$(client.address)"
    proxy.reload(conf)
    assert proxy.get("/x3").status == 200 and (blue.last.target, blue.last.header("x-a")) == ("/x3", "127.0.0.1")


@pytest.mark.parametrize("modules, said", [
    ("headers: {request: {set: {X-A: $(requst.id)}}}", "did you mean $(request.id)?"),
    ("headers: {request: {set: {X-A: $(status)}}}", "known only once there is an answer"),
    ("headers: {request: {set: {X-A: $(geo.contry)}}}", "did you mean $(geo.country)?"),
    ("headers: {request: {rename: {Host: X-Host}}}", "none that weir writes itself"),
    ("headers: {response: {set: {X-A: \"a\\nb\"}}}", "one line"),
    ("rewrite: {rules: [{regex: '(', to: /x}]}", "is broken at character"),
    ("rewrite: {rules: [{regex: '\\x{100}', to: /x}]}", "is broken at character"),
    ("forward_auth: {url: 'http://127.0.0.1:1/', method: 'GET /'}", "must be an HTTP token"),
    ("rewrite: {rules: [{prefix: /a, to: '/$(1)'}]}", "this rule has none"),
    ("rewrite: {rules: [{to: x}]}", "must begin with /"),
    ("rewrite: {rules: [{prefix: /a, regex: /b, to: /c}]}", "not both"),
    ("errors: {pages: {200: a.html}}", "must be a status such as 404, 4xx or 5xx, or a reason"),
    ("errors: {pages: {404: a.png}}", "ends with .html, .json or .txt"),
    ("errors: {pages: {404: gone.html}}", "cannot read"),
])
def test_a_mistake_is_an_error_at_once(tmp_path, modules, said):
    path = tmp_path / "weir.yaml"
    path.write_text(f"listeners: {{http: {{address: '127.0.0.1:8080'}}}}\nmodules: {{{modules}}}\n")
    r = run("check", "-c", path)
    assert r.code == 1 and said in r.err, r.err


def test_explain_tells_what_they_would_do(edge, origin):
    proxy = edge(site(origin(), modules={"rewrite": {"rules": [{"prefix": "/v1", "to": "/api"}]}, "headers": {"request": {"remove": ["X-A"]}}}))
    out = proxy.cli("explain", "http://acme.test/v1/x").out
    assert "rule 1 fits: the path becomes /api" in out and "1 removed" in out
