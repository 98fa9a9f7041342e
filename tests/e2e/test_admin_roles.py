"""Who may do what over TCP: roles, tenants, client certificates."""
import hashlib

import pytest

from support.config import pool, site
from support.http1 import Client, Closed

ANYWHERE = "127.0.0.9:0"


def token(name, role, **more):
    return {"name": name, "role": role, "sha256": hashlib.sha256(name.encode()).hexdigest(), **more}


@pytest.fixture
def proxy(edge, origin):
    shop = origin("shop")
    conf = site(shop, admin={"listen": ANYWHERE, "tokens": [token("look", "viewer"), token("deploy", "operator", tenants=["acme"]),
                                                            token("boss", "admin"), token("acmeboss", "admin", tenants=["acme"])]})
    conf["tenants"]["beta"] = {"hosts": ["beta.test"], "services": {"api": {"pools": {"one": pool(shop)}}}}
    return edge(conf)


def call(proxy, who, method, path):
    with Client(proxy.address("admin.listen")) as c:
        return c.request(method, path, {"Authorization": f"Bearer {who}"}, host="localhost")


@pytest.mark.parametrize("who, method, path, status", [
    ("look", "GET", "/v1/services", 200),
    ("look", "POST", "/v1/reload", 403),
    ("look", "POST", "/v1/stop", 403),
    ("deploy", "POST", "/v1/reload", 403),
    ("boss", "POST", "/v1/reload", 200),
    ("boss", "POST", "/v1/reopen", 200),
    ("acmeboss", "POST", "/v1/reload", 403),
    ("acmeboss", "POST", "/v1/stop", 403),
    ("deploy", "GET", "/v1/services/acme/shop", 200),
    ("deploy", "GET", "/v1/services/beta/api", 403),
    ("deploy", "GET", "/v1/services/nobody/api", 403),
    ("boss", "GET", "/v1/services/beta/api", 200),
    ("nobody", "POST", "/v1/reload", 401),
])
def test_each_may_what_his_role_and_his_tenants_allow(proxy, who, method, path, status):
    r = call(proxy, who, method, path)
    assert r.status == status, r.body
    if status == 403:
        assert r.json()["reason"] in ("role", "tenant") and who in r.json()["detail"]
    assert proxy.admin("GET", "/v1/status").json()["state"] == "serving"


def test_a_token_of_a_tenant_sees_that_tenant_alone(proxy):
    assert [s["tenant"] for s in call(proxy, "deploy", "GET", "/v1/services").json()["services"]] == ["acme"]
    assert call(proxy, "deploy", "GET", "/v1/status").json()["counts"]["tenants"] == 1
    assert call(proxy, "boss", "GET", "/v1/status").json()["counts"]["tenants"] == 2
    assert not [e for e in call(proxy, "deploy", "GET", "/v1/events").json()["events"] if "acme" not in str(e)]


def test_a_client_certificate_says_who_asks(edge, origin, pki):
    shop, server, client = origin("shop"), pki.server("weir.test"), pki.client("robot")
    admin = {"listen": ANYWHERE, "tls": {"cert": str(server.cert_file), "key": str(server.key_file), "client_ca": str(pki.file)},
             "tokens": [{"name": "robot", "role": "viewer", "subject": "CN=robot"}]}
    proxy = edge(site(shop, admin=admin))
    context = pki.client_context()
    context.load_cert_chain(client.cert_file, client.key_file)
    with Client(proxy.address("admin.listen"), tls=context, sni="weir.test") as c:
        assert c.get("/v1/status", host="weir.test").status == 200
        assert c.request("POST", "/v1/reload", host="weir.test").status == 403
    with pytest.raises((Closed, OSError)):
        with Client(proxy.address("admin.listen"), tls=pki.client_context(), sni="weir.test") as c:
            c.get("/livez", host="weir.test")
