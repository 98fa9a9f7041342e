"""Who may do what over TCP: roles, tenants, client certificates."""
import hashlib
import json

import pytest

from support.config import pool, site
from support.http1 import Client, Closed
from support.wire import eventually

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


# -- nothing is changed without the right token: every operation there is, with every kind of token --

CALLERS = {  # token: (role, tenants)
    None: (0, None), "stranger": (0, None), "look": (1, None), "acmelook": (1, ["acme"]), "betalook": (1, ["beta"]), "work": (2, None),
    "deploy": (2, ["acme"]), "betawork": (2, ["beta"]), "boss": (3, None), "acmeboss": (3, ["acme"]), "betaboss": (3, ["beta"])}
ROLES = {"none": 0, "viewer": 1, "operator": 2, "admin": 3}


def may(who, operation, path):
    role, tenants = CALLERS[who]
    if ROLES[operation["x-weir-role"]] == 0:
        return True
    if role < ROLES[operation["x-weir-role"]]:
        return False
    return not tenants or not (operation["x-weir-global"] or ("{t}" in path and "acme" not in tenants))


def everything(proxy):
    """All that somebody could have changed, but for what passes by itself."""
    status = proxy.admin("GET", "/v1/status").json()
    service = proxy.admin("GET", "/v1/services/acme/shop").json()
    for pool in service["pools"]:
        for b in pool["backends"]:
            b.pop("health")
    return {"status": {k: status[k] for k in ("state", "generation", "pid", "last_reload") if k in status}, "service": service,
            "history": proxy.admin("GET", "/v1/services/acme/shop/history").body, "shift": proxy.admin("GET", "/v1/services/acme/shop/shift").status,
            "deploy": proxy.admin("GET", "/v1/services/acme/shop/deploy").status, "hold": proxy.admin("GET", "/v1/services/acme/shop/hold").json()["held"]}


BODIES = {  # what would change something, if it were let in
    "put /v1/services/{t}/{s}/weights": {"weights": {"green": 50}},
    "post /v1/services/{t}/{s}/weights": {"weights": {"green": 50}},
    "patch /v1/services/{t}/{s}/weights": {"weights": {"green": 50}},
    "put /v1/pools/{t}/{s}/{p}/state": {"state": "draining"},
    "put /v1/pools/{t}/{s}/{p}/backends": {"backends": ["127.0.0.1:1"]},
    "post /v1/pools/{t}/{s}/{p}/backends": {"backends": ["127.0.0.1:1"]},
    "delete /v1/pools/{t}/{s}/{p}/backends": {"backends": ["127.0.0.1:1"]},
    "post /v1/services/{t}/{s}/hold": {"for": "1h"},
    "post /v1/services/{t}/{s}/shift": {"pool": "green", "steps": [100]},
    "patch /v1/services/{t}/{s}/shift": {"action": "abort"},
    "post /v1/services/{t}/{s}/deploy": {"pool": "green"},
    "post /v1/drain": {"drain": "1s"},
    "post /v1/stop": {"drain": "1s"},
}


def test_no_operation_changes_anything_for_whoever_may_not(edge, origin):
    tokens = [token(name, list(ROLES)[role], **({"tenants": tenants} if tenants else {})) for name, (role, tenants) in CALLERS.items() if role]
    conf = site(pools={"blue": pool(origin("blue"), weight=100), "green": pool(origin("green"), weight=0)}, admin={"listen": ANYWHERE, "tokens": tokens})
    conf["tenants"]["beta"] = {"hosts": ["beta.test"], "services": {"api": {"pools": {"one": pool(origin("api"))}}}}
    proxy = edge(conf)
    api, before, refused, let_in = proxy.admin("GET", "/v1/openapi.json").json(), everything(proxy), 0, 0

    def ask(who, method, path, body):
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if who:
            headers["Authorization"] = f"Bearer {who}"
        with Client(proxy.address("admin.listen")) as c:
            return c.request(method.upper(), path, headers, json.dumps(body).encode() if body is not None else b"", host="localhost")
    for path, operations in api["paths"].items():
        target = path.replace("{t}", "acme").replace("{s}", "shop").replace("{p}", "blue").replace("{id}", "none")
        for method, operation in operations.items():
            for who in CALLERS:
                if may(who, operation, path):
                    if method == "get":
                        # 429: more than so many a second; the door has let him in before it says so
                        r = eventually(lambda: (r := ask(who, method, target, None)).status != 429 and r, "a turn", 30)
                        assert r.status not in (401, 403), (who, method, path, r.body)
                        let_in += 1
                    continue
                r = ask(who, method, target, BODIES.get(f"{method} {path}", {} if "requestBody" in operation else None))
                assert r.status in ((401, 429) if not CALLERS[who][0] else (403, 429)), (who, method, path, r.status, r.body)
                refused += 1
    assert everything(proxy) == before
    assert refused > 200 and let_in > 100, (refused, let_in)
