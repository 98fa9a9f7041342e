"""Who may come: access by address and certificate, CORS, passwords, signed tokens; and several of them together."""
import base64
import json
import subprocess
import threading
import time

import pytest

from support.answers import reply
from support.config import http, https, site
from support.edge import run
from support.http1 import build
from support.prometheus import scrape
from support.tokens import Key, b64, confused, key_set, unsigned
from support.wire import eventually

PROXIED = {"http": http(trusted_proxies=["127.0.0.0/8"])}


def come_from(address, **headers):
    return {"X-Forwarded-For": address, **headers}


# -- addresses --

def test_the_narrowest_network_counts_in_any_order(edge, origin):
    proxy = edge(site(origin(), listeners=PROXIED, modules={"access": {
        "deny": ["192.0.2.0/24", "2001:db8:bad::/48"], "allow": ["192.0.0.0/16", "192.0.2.7", "2001:db8::/32"]}}))
    for address, status in [("192.0.1.1", 200), ("192.0.2.1", 403), ("192.0.2.7", 200), ("198.51.100.1", 403),
                            ("2001:db8::1", 200), ("2001:db8:bad::1", 403), ("2001:db9::1", 403)]:
        assert proxy.get("/", headers=come_from(address)).status == status, address
    assert proxy.logged(status=403)["reason"] == "access_denied"


def test_what_is_only_denied_leaves_the_others_in(edge, origin):
    conf = site(origin(), listeners=PROXIED, modules={"access": {"deny": ["192.0.2.0/24"]}})
    proxy = edge(conf)
    assert proxy.get("/", headers=come_from("198.51.100.1")).status == 200
    assert proxy.get("/", headers=come_from("192.0.2.1")).status == 403
    conf["modules"]["access"]["deny"] = ["198.51.100.0/24"]
    proxy.reload(conf)
    assert proxy.get("/", headers=come_from("198.51.100.1")).status == 403
    assert proxy.get("/", headers=come_from("192.0.2.1")).status == 200
    proxy.reload(outcome="unchanged")


# -- certificates --

def test_certificates_are_told_apart_by_subject(edge, origin, pki):
    tls = {"client_ca": pki.file}
    proxy = edge(site(origin(), listeners={"https": https(pki.server("acme.test"), tls=tls)},
        modules={"access": {"subjects": {"allow": ["CN=shop-*", "DNS:*.jobs.test"], "deny": ["CN=shop-evil"]}}}))
    for name, hosts, status in [("shop-1", [], 200), ("shop-evil", ["a.jobs.test"], 403), ("other", [], 403), ("other", ["x.test", "a.jobs.test"], 200)]:
        with proxy.connect("https", tls=pki.client_context(pair=pki.client(name, hosts)), sni="acme.test") as c:
            assert c.get("/").status == status, (name, hosts)


# -- CORS --

CORS = {"origins": ["https://app.acme.test", "https://*.preview.acme.test"], "credentials": True, "headers": ["x-token"], "expose": ["x-total"]}


def preflight(origin):
    return {"Origin": origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-token"}


def test_preflights_are_answered_without_the_backend(edge, origin):
    blue = origin()
    proxy = edge(site(blue, modules={"cors": CORS, "basic_auth": {"users": [f"anna:{hashed('x')}"]}}))
    r = proxy.request("OPTIONS", "/", headers=preflight("https://a.preview.acme.test"))
    assert r.status == 204 and r.header("access-control-allow-origin") == "https://a.preview.acme.test"
    assert r.header("access-control-allow-credentials") == "true" and "PUT" in r.header("access-control-allow-methods")
    assert r.header("access-control-allow-headers") == "x-token" and r.header("vary") == "origin"
    r = proxy.request("OPTIONS", "/", headers=preflight("https://evil.test"))
    assert r.status == 204 and r.header("access-control-allow-origin") is None
    assert blue.count == 0


def test_answers_carry_the_headers_even_when_they_fail(edge, origin):
    conf = site(origin(), modules={"cors": CORS})
    proxy = edge(conf)
    r = proxy.get("/", headers={"Origin": "https://app.acme.test"})
    assert r.header("access-control-allow-origin") == "https://app.acme.test" and r.header("access-control-expose-headers") == "x-total"
    assert proxy.get("/", headers={"Origin": "https://app.acme.test.evil.test"}).header("access-control-allow-origin") is None
    assert proxy.get("/").header("vary") == "origin"
    conf["modules"]["access"] = {"allow": ["192.0.2.1"]}
    proxy.reload(conf)
    r = proxy.get("/", headers={"Origin": "https://app.acme.test"})
    assert r.status == 403 and r.header("access-control-allow-origin") == "https://app.acme.test"


@pytest.mark.parametrize("pattern, good", [
    ("*", False), ("**", False), ("***", False), ("https://*", False), ("http*://*", False), ("*://*:8443", False), ("*:*", False),
    ("https://acme.*", False), ("https://app.acme.test*", False), ("https://*test", False), ("*s://*acme", False),
    ("https://*.acme.test", True), ("*.acme.test", True), ("https://app-*.acme.test:8443", True), ("http://localhost:*", True),
    ("https://*.acme.test:*", True), ("http://[::1]:*", True), ("null", False), ("n*", False),
])
def test_with_credentials_no_pattern_may_let_anybody_in(tmp_path, pattern, good):
    for credentials in (True, False):
        cors = {"origins": ["https://app.acme.test", pattern], "credentials": credentials}
        (tmp_path / "weir.yaml").write_text(json.dumps({"listeners": {"http": {"address": "127.0.0.1:8080"}}, "modules": {"cors": cors}}))
        r = run("check", "-c", tmp_path / "weir.yaml")
        assert r.code == (0 if good or not credentials else 1), r.err
        assert r.code == 0 or f'"origins" cannot have "{pattern}" with "credentials"' in r.err


# -- passwords --

def hashed(password):
    return subprocess.run(["openssl", "passwd", "-6", password], capture_output=True, check=True, text=True).stdout.strip()


def basic(name, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def test_a_password_opens(edge, origin, tmp_path):
    blue = origin()
    users = tmp_path / "users"
    users.write_text(f"# who may\nberta:{hashed('b:2')}\n")
    conf = site(blue, modules={"basic_auth": {"users": [f"anna:{hashed('eins')}"], "file": str(users), "header": "X-User", "realm": 'a "b"'}})
    proxy = edge(conf)
    r = proxy.get("/", headers={"X-User": "anna"})
    assert r.status == 401 and r.header("www-authenticate") == 'Basic realm="a \\"b\\"", charset="UTF-8"' and blue.count == 0
    assert proxy.logged(status=401)["reason"] == "auth_required"
    for _ in range(2):  # verified by the helper, then remembered
        assert proxy.get("/", headers={**basic("anna", "eins"), "X-User": "root"}).status == 200
        assert blue.last.header("x-user") == "anna" and blue.last.header("x_user") is None and blue.last.header("authorization") is None
    assert proxy.logged(status=200)["user"] == "anna"
    assert proxy.get("/", headers=basic("berta", "b:2")).status == 200
    for name, password in [("anna", "b:2"), ("nobody", "eins"), ("anna", ""), ("", "eins")]:
        assert proxy.get("/", headers=basic(name, password)).status == 401
    assert proxy.get("/", headers={"Authorization": "Basic !!!!"}).status == 401
    users.write_text(f"berta:{hashed('new')}\n")
    proxy.reload(conf)
    assert proxy.get("/", headers=basic("berta", "b:2")).status == 401
    assert proxy.get("/", headers=basic("berta", "new")).status == 200


def test_slow_passwords_hold_up_nobody_else(edge, origin):
    """Many wrong ones at once: the helper does one after the other, few may wait, and requests without passwords pass them by."""
    conf = site(origin(), modules={"basic_auth": {"users": [f"anna:{hashed('x')}".replace("$6$", "$6$rounds=200000$")]}},
        routes=[{"path": "/", "service": "shop"}, {"path": "/open", "service": "shop", "modules": {"basic_auth": "off"}}])
    proxy = edge(conf, workers=1)
    clients = [proxy.connect() for _ in range(70)]
    for i, c in enumerate(clients):
        c.send(build("GET", "/", basic("anna", f"wrong{i}")))
    assert proxy.get("/open").status == 200
    proxy.logged(status=503, reason="auth_unavailable")
    for c in clients:
        c.close()


@pytest.mark.parametrize("user, said", [("anna", "a user is written"), ("anna:secret", "is of no safe kind"), ("anna:$1$ab$cd", "is of no safe kind")])
def test_a_password_that_is_not_safe_is_refused(tmp_path, user, said):
    path = tmp_path / "weir.yaml"
    path.write_text(f"listeners: {{http: {{address: '127.0.0.1:8080'}}}}\nmodules: {{basic_auth: {{users: ['{user}']}}}}\n")
    r = run("check", "-c", path)
    assert r.code == 1 and said in r.err


# -- tokens --

def claims(**more):
    return {"iss": "https://id.acme.test", "aud": ["shop", "other"], "sub": "u-17", "exp": int(time.time()) + 60, **more}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("as_set", [False, True], ids=["pem", "jwks"])
def test_a_token_opens(edge, origin, alg, as_set):
    blue, key, other = origin(), Key(alg, "k1"), Key(alg, "k1")
    proxy = edge(site(blue, modules={"jwt": {"keys": key_set(key) if as_set else key.pem(), "claims": {"sub": "X-User"}}}))
    assert proxy.get("/", headers={**bearer(key.token(claims())), "X-User": "root"}).status == 200
    assert blue.last.header("x-user") == "u-17" and proxy.logged(status=200)["user"] == "u-17"
    assert proxy.get("/", headers=bearer(other.token(claims()))).status == 401
    assert proxy.logged(status=401)["jwt"] == "signature"


DEEP = b'{"alg": "ES256", "x": ' + b"[" * 3000 + b"]" * 3000 + b"}"


def test_tokens_that_are_not_good_are_refused(edge, origin):
    key = Key("ES256", "k1")
    proxy = edge(site(origin(), modules={"jwt": {"keys": key_set(key), "issuer": "https://id.acme.test", "audience": ["shop"], "leeway": "5s"}}))
    now = int(time.time())
    good = key.token(claims())
    assert proxy.get("/", headers=bearer(good)).status == 200 and proxy.logged(status=200)["user"] == "u-17"
    head, payload, signature = good.split(".")
    for token, why in [
            (key.token(claims(exp=now - 60)), "expired"), (key.token(claims(exp="soon")), "expired"), (key.token(claims(nbf=now + 60)), "not_yet_valid"),
            (key.token(claims(iss="https://evil.test")), "issuer"), (key.token(claims(aud="another")), "audience"),
            (key.token({k: v for k, v in claims().items() if k != "exp"}), "expired"),
            (unsigned(claims()), "algorithm"), (confused(key, claims()), "algorithm"), (key.token(claims(), crit=["b64"]), "algorithm"),
            (key.token(claims(), kid="k2"), "unknown_key"), (key.token(claims(), alg="RS256"), "unknown_key"),
            (f"{head}.{payload}.", "signature"), (f"{head}.{payload}.{signature[:-4]}", "signature"), ("a.b", "malformed"), ("....", "malformed"),
            (f"{b64(DEEP)}.{payload}.{signature}", "malformed"), (f"{head}.{'A' * 50000}.{signature}", "malformed"),
            (f"{head}.{payload}.{signature}.x", "signature")]:
        before = len(proxy.access_log())
        r = proxy.get("/", headers=bearer(token))
        assert r.status == 401 and 'error="invalid_token"' in r.header("www-authenticate"), why
        proxy._eventually(lambda n=before: len(proxy.access_log()) > n, "the record")
        assert proxy.access_log()[-1]["jwt"] == why
    assert proxy.get("/").header("www-authenticate") == "Bearer"


def test_of_several_tokens_none_is_believed(edge, origin):
    """The backend could take another one than the one that was verified."""
    blue, key = origin("blue"), Key("EdDSA", "k")
    proxy = edge(site(blue, modules={"jwt": {"keys": key_set(key), "forward": True}}))
    good = bearer(key.token(claims()))["Authorization"]
    with proxy.connect() as c:
        assert c.get("/", {"Authorization": good}).status == 200
        for other in ["Bearer " + unsigned(claims(sub="root")), "Basic YTpi", good]:
            for pair in [(good, other), (other, good)]:
                assert c.get("/", [("Authorization", value) for value in pair]).status == 401
    assert blue.count == 1 and proxy.logged(n=6, status=401)["jwt"] == "several"


def test_claims_are_asked_for(edge, origin):
    key = Key("EdDSA")
    proxy = edge(site(origin(), modules={"jwt": {"keys": key.pem(), "require": {"role": "admin", "scope": "write"}, "cookie": "session"}}))
    for more, status in [({"role": "admin", "scope": "read write"}, 200), ({"role": ["x", "admin"], "scope": "write"}, 200),
                         ({"role": "admin", "scope": "writer"}, 403), ({"scope": "write"}, 403)]:
        assert proxy.get("/", headers={"Cookie": f"a=b; session={key.token(claims(**more))}"}).status == status, more
    assert proxy.logged(status=403)["reason"] == "auth_denied"


def test_keys_are_replaced_by_a_reload(edge, origin, tmp_path):
    old, new, file = Key("ES256", "old"), Key("ES256", "new"), tmp_path / "keys.json"
    file.write_text(key_set(old))
    proxy = edge(site(origin(), modules={"jwt": {"keys_file": str(file)}}))
    assert proxy.get("/", headers=bearer(new.token(claims()))).status == 401
    proxy.reload(outcome="unchanged")
    file.write_text(key_set(old, new))
    proxy.reload()
    for key in (old, new):
        assert proxy.get("/", headers=bearer(key.token(claims()))).status == 200
    file.write_text("{}")
    assert "no public key of use" in str(proxy.reload(outcome="refused"))
    assert proxy.get("/", headers=bearer(new.token(claims()))).status == 200


def signatures(proxy):
    """How many were verified, and how many were known to be good."""
    page = scrape(proxy)
    return tuple(sum(v for _, v in page.all("weir_module_events_total", module="jwt", what="signatures", event=event)) for event in ("verified", "known"))


def test_a_signature_is_verified_once(edge, origin, tmp_path):
    """What is remembered is that it was good: claims are judged each time, failures and other tokens anew."""
    blue, old, new, file = origin(), Key("ES256"), Key("ES256"), tmp_path / "keys.pem"
    file.write_text(old.pem())
    conf = site(blue, modules={"jwt": {"keys_file": str(file), "claims": {"sub": "X-User"}}},
                routes=[{"path": "/", "service": "shop"}])
    proxy = edge(conf, workers=1)
    token = old.token(claims())
    for _ in range(3):
        assert proxy.get("/", headers={**bearer(token), "X-User": "root"}).status == 200
        assert blue.last.header("x-user") == "u-17"
    assert signatures(proxy) == (1, 2)
    head, payload, signature = token.split(".")
    forged = base64.urlsafe_b64encode(b'{"sub": "root", "exp": 9999999999}').rstrip(b"=").decode()
    for other in (f"{head}.{forged}.{signature}", f"{head}.{payload}.{signature[:-4]}AAAA", new.token(claims())):
        for _ in range(2):
            assert proxy.get("/", headers=bearer(other)).status == 401
    assert signatures(proxy) == (7, 2)
    assert proxy.get("/", headers=bearer(token)).status == 200
    file.write_text(new.pem())
    proxy.reload()
    assert proxy.get("/", headers=bearer(token)).status == 401
    assert proxy.logged(status=401)["jwt"] == "signature"


def test_a_token_that_is_known_expires_all_the_same(edge, origin):
    key = Key("EdDSA")
    proxy = edge(site(origin(), modules={"jwt": {"keys": key.pem(), "leeway": "0s"}}), workers=1)
    for life in (2, 8, 32):
        token = key.token(claims(exp=int(time.time()) + life))
        if proxy.get("/", headers=bearer(token)).status == 200:
            break
    eventually(lambda: proxy.get("/", headers=bearer(token)).status == 401, "the token to be over", patience=60)
    assert proxy.logged(status=401)["jwt"] == "expired"


def test_a_known_token_is_judged_by_each_route(edge, origin):
    key = Key("EdDSA")
    jwt = {"keys": key.pem()}
    proxy = edge(site(origin(), modules={"jwt": jwt}, routes=[
        {"path": "/", "service": "shop"}, {"path": "/them", "service": "shop", "modules": {"jwt": {**jwt, "audience": ["them"]}}},
        {"path": "/boss", "service": "shop", "modules": {"jwt": {**jwt, "require": {"role": "boss"}}}}]), workers=1)
    token = key.token(claims())
    for _ in range(2):
        assert [proxy.get(path, headers=bearer(token)).status for path in ("/", "/them", "/boss")] == [200, 401, 403]


# -- keys that are fetched --

def test_a_known_token_goes_with_its_key(edge, origin):
    issuer, old, new = origin("issuer"), Key("ES256", "old"), Key("ES256", "new")
    issuer.on("/keys", reply(200, key_set(old)))
    proxy = edge(site(origin("blue"), modules={"jwt": {"jwks_url": f"http://{issuer}/keys", "refresh": "10s"}}), workers=1)
    gone = old.token(claims(exp=int(time.time()) + 3600))
    for _ in range(2):
        assert proxy.get("/", headers=bearer(gone)).status == 200
    issuer.on("/keys", reply(200, key_set(new)))
    fresh = new.token(claims(exp=int(time.time()) + 3600))
    eventually(lambda: proxy.get("/", headers=bearer(fresh)).status == 200, "the new keys", patience=60)
    assert proxy.get("/", headers=bearer(gone)).status == 401
    assert proxy.logged(status=401, jwt="unknown_key")


def test_of_several_keys_with_one_name_each_is_tried(edge, origin):
    keys = [Key(alg, "same") for alg in ("ES256", "RS256", "ES256", "EdDSA")]
    proxy = edge(site(origin("blue"), modules={"jwt": {"keys": key_set(*keys)}}))
    assert [proxy.get("/", headers=bearer(k.token(claims()))).status for k in keys] == [200] * 4
    assert proxy.get("/", headers=bearer(Key("ES256", "same").token(claims()))).status == 401
    assert proxy.logged(status=401)["jwt"] == "signature"


def test_keys_that_there_is_no_place_for_are_told_of(edge, origin, tmp_path):
    issuer, keys = origin("issuer"), [Key("EdDSA", f"k{i}") for i in range(70)]
    issuer.always(reply(200, key_set(*keys)))
    proxy = edge(site(origin("blue"), modules={"jwt": {"jwks_url": f"http://{issuer}/keys?secret"}}))
    event = proxy.wait_event("dependency_remark", module="jwt", what="issuer", address=f"http://{issuer}/keys")
    assert event["remark"].startswith("6 keys are left out: 64 are kept") and "take out those that nobody signs with" in event["remark"]
    assert proxy.get("/", headers=bearer(keys[63].token(claims()))).status == 200
    assert proxy.get("/", headers=bearer(keys[64].token(claims()))).status == 401
    (tmp_path / "weir.yaml").write_text(json.dumps({"listeners": {"http": {"address": "127.0.0.1:8080"}}, "modules": {"jwt": {"keys": key_set(*keys)}}}))
    r = run("check", "-c", tmp_path / "weir.yaml")
    assert r.code == 0 and 'warning: module "jwt": 6 keys are left out' in r.out + r.err


def test_keys_are_fetched_and_again_for_one_that_is_new(edge, origin):
    issuer, old, new = origin("issuer"), Key("ES256", "old"), Key("ES256", "new")
    issuer.on("/keys", reply(200, key_set(old)))
    proxy = edge(site(origin("blue"), modules={"jwt": {"jwks_url": f"http://{issuer}/keys"}}), workers=1)
    assert proxy.get("/", headers=bearer(old.token(claims()))).status == 200
    issuer.on("/keys", reply(200, key_set(new, old)))  # a second later, and nobody has to wait for the next turn
    assert proxy.get("/", headers=bearer(new.token(claims()))).status == 200
    other = Key("ES256", "made-up")
    for _ in range(5):  # a name that anybody can make up costs no more than a fetch every ten seconds
        assert proxy.get("/", headers=bearer(other.token(claims()))).status == 401
    assert issuer.count <= 3
    issuer.always(reply(500))
    issuer.on("/keys", reply(500))
    assert proxy.get("/", headers=bearer(old.token(claims()))).status == 200


def test_without_keys_nobody_is_judged(edge, origin):
    issuer, key = origin("issuer"), Key("EdDSA", "k")
    issuer.on("/keys", reply(503))
    proxy = edge(site(origin("blue"), modules={"jwt": {"jwks_url": f"http://{issuer}/keys"}}), workers=1)
    assert proxy.get("/", headers=bearer(key.token(claims()))).status == 503
    assert proxy.logged(status=503)["reason"] == "auth_unavailable"
    issuer.on("/keys", reply(200, key_set(key)))
    eventually(lambda: proxy.get("/", headers=bearer(key.token(claims()))).status == 200, "the keys to be fetched")


# -- another server decides --

def test_another_server_decides(edge, origin):
    blue, judge = origin("blue"), origin("judge")
    judge.on("/check", reply(200, b"fine", {"X-User": "anna", "X-Other": "no"}))
    proxy = edge(site(blue, listeners={"http": http(underscore_headers="pass")}, modules={"forward_auth": {"url": f"http://{judge}/check?a=b", "send": ["cookie", "x-key"], "copy": ["X-User", "X-Role"]}}), workers=1)
    r = proxy.request("POST", "/deep?x=1", headers={"X-User": "root", "X_User": "root", "X-Role": "admin", "Cookie": "s=1", "X-Key": "k", "Authorization": "no"}, body=b"hello")
    assert r.status == 200 and blue.last.body == b"hello"
    assert blue.last.header("x-user") == "anna" and blue.last.header("x-role") is None and blue.last.header("x-other") is None
    asked = judge.last
    assert asked.method == "GET" and asked.target == "/check?a=b" and asked.header("host") == str(judge)
    assert (asked.header("x-forwarded-method"), asked.header("x-forwarded-uri"), asked.header("x-forwarded-host")) == ("POST", "/deep?x=1", "acme.test")
    assert asked.header("x-forwarded-for") == "127.0.0.1" and asked.header("x-key") == "k" and asked.header("authorization") is None
    for _ in range(5):
        assert proxy.get("/").status == 200
    assert len(judge.connections) == 1  # kept


def test_a_header_that_it_repeats_is_copied_as_often(edge, origin):
    blue, judge = origin("blue"), origin("judge")
    judge.always(reply(200, b"", [("X-Role", "reader"), ("X-User", "anna"), ("x-role", "writer"), ("X-Role", "admin, owner")]))
    proxy = edge(site(blue, modules={"forward_auth": {"url": f"http://{judge}/", "copy": ["X-Role", "X-User", "X-None"]}}))
    assert proxy.get("/", headers=[("X-Role", "root"), ("X-None", "x")]).status == 200
    got = blue.last.headers
    assert got.all("x-role") == ["reader", "writer", "admin, owner"] and got.all("x-user") == ["anna"] and got.all("x-none") == []


def test_its_no_goes_to_the_client_in_its_own_words(edge, origin):
    blue, judge = origin("blue"), origin("judge")
    proxy = edge(site(blue, modules={"forward_auth": {"url": f"http://{judge}/"}}))
    judge.on("/", reply(302, b"log in", {"Location": "https://login.test/", "Set-Cookie": "a=b", "Content-Type": "text/plain"}))
    r = proxy.get("/")
    assert (r.status, r.body, r.header("location"), r.header("set-cookie")) == (302, b"log in", "https://login.test/", "a=b")
    judge.on("/", reply(401, b"", {"WWW-Authenticate": "Bearer"}))
    r = proxy.get("/")
    assert r.status == 401 and r.header("www-authenticate") == "Bearer" and proxy.logged(status=401)["reason"] == "auth_required"
    assert blue.count == 0


def test_when_it_cannot_be_asked_the_request_fails_unless_told_otherwise(edge, origin):
    blue, judge, gate = origin("blue"), origin("judge"), threading.Event()
    judge.on("/", reply(500))
    conf = site(blue, modules={"forward_auth": {"url": f"http://{judge}/", "timeout": "1s"}})
    proxy = edge(conf)
    assert proxy.get("/").status == 503 and proxy.logged(status=503, reason="auth_unavailable")["forward_auth"] == "500"
    judge.on("/", lambda x: gate.wait(20))
    assert proxy.get("/").status == 503 and proxy.logged(forward_auth="check_timeout")
    gate.set()
    judge.close()
    assert proxy.get("/").status == 503 and proxy.logged(forward_auth="upstream_refused")
    conf["modules"]["forward_auth"]["fail_open"] = True
    proxy.reload(conf)
    assert proxy.get("/").status == 200


def test_a_client_that_leaves_meanwhile_leaves_nothing_behind(edge, origin):
    judge = origin("judge")
    gate = threading.Event()
    judge.on("/", lambda x: gate.wait(20))
    proxy = edge(site(origin("blue"), modules={"forward_auth": {"url": f"http://{judge}/", "timeout": "30s"}}))
    c = proxy.connect()
    c.send(build("GET", "/"))
    judge.wait_count(1)
    c.reset()
    assert proxy.logged(status=499)["reason"] == "client_gone"
    gate.set()


# -- several --

def test_one_of_several_is_enough_if_so_told(edge, origin):
    key = Key("ES256")
    modules = {"access": {"satisfy": "any", "allow": ["192.0.2.0/24"]}, "jwt": {"keys": key.pem()}, "basic_auth": {"users": [f"anna:{hashed('x')}"]}}
    proxy = edge(site(origin(), listeners=PROXIED, modules=modules))
    outside = come_from("198.51.100.1")
    assert proxy.get("/", headers=come_from("192.0.2.1")).status == 200
    assert proxy.get("/", headers={**outside, **bearer(key.token(claims()))}).status == 200
    assert proxy.get("/", headers={**outside, **basic("anna", "x")}).status == 200
    r = proxy.get("/", headers=outside)
    assert r.status == 401 and len(r.headers.all("www-authenticate")) == 2
    assert proxy.get("/", headers={**outside, **basic("anna", "y")}).status == 401


def test_all_of_several_are_asked_for_otherwise(edge, origin):
    modules = {"access": {"allow": ["192.0.2.0/24"]}, "basic_auth": {"users": [f"anna:{hashed('x')}"]}}
    proxy = edge(site(origin(), listeners=PROXIED, modules=modules))
    assert proxy.get("/", headers=come_from("192.0.2.1")).status == 401
    assert proxy.get("/", headers={**come_from("198.51.100.1"), **basic("anna", "x")}).status == 403
    assert proxy.get("/", headers={**come_from("192.0.2.1"), **basic("anna", "x")}).status == 200


def test_any_of_nothing_lets_nobody_in(edge, origin):
    proxy = edge(site(origin(), modules={"access": {"satisfy": "any"}}))
    assert proxy.get("/").status == 403
