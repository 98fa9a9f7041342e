"""The admin API: who is let in, what is answered, and what hostile callers get."""
import hashlib
import json
import os
import resource
import socket
import stat
import time

import pytest

from support.config import http, site
from support.http1 import Client, Closed, build
from support.http2 import Client as Client2
from support.wire import eventually

ANYWHERE = "127.0.0.9:0"


def token(name, role, secret=None, **more):
    return {"name": name, "role": role, "sha256": hashlib.sha256((secret or name).encode()).hexdigest(), **more}


TOKENS = [token("look", "viewer"), token("deploy", "operator", tenants=["acme"]), token("boss", "admin")]


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def shop(origin):
    return origin("shop")


@pytest.fixture
def over_tcp(edge, shop):
    """over_tcp(**admin) starts weir with admin.listen; returns it."""
    def start(**admin):
        return edge(site(shop, admin={"listen": ANYWHERE, **admin}))
    return start


def call(proxy, path="/v1/status", method="GET", headers=(), body=b"", host="localhost", **kw):
    with Client(proxy.address("admin.listen"), **kw) as c:
        return c.request(method, path, headers, body, host=host)


def problem(r, status, reason):
    assert r.status == status, (r.status, r.body)
    assert r.header("content-type") == "application/problem+json"
    p = r.json()
    assert p["status"] == status and p["reason"] == reason and p["detail"] and p["title"] and p["type"].endswith(reason), p
    return p


# -- the socket --

def test_the_socket_answers_and_its_permissions_are_the_authorisation(edge, shop):
    proxy = edge(site(shop))
    r = proxy.admin("GET", "/v1/status")
    assert r.status == 200 and r.json()["state"] == "serving" and r.json()["generation"] == 1
    assert r.header("cache-control") == "no-store"
    assert stat.S_IMODE(os.stat(proxy.dir / "admin.sock").st_mode) == 0o660


def test_alive_and_ready_are_two_things(edge, shop):
    proxy = edge(site(shop))
    assert proxy.admin("GET", "/livez").body == b"ok\n"
    assert proxy.admin("GET", "/readyz").body == b"ok\n"


def test_a_socket_that_a_dead_weir_has_left_is_replaced(edge, shop):
    proxy = edge(site(shop))
    proxy.kill()
    proxy.stopped = True
    assert (proxy.dir / "admin.sock").exists()
    another = edge(site(shop, admin={"socket": str(proxy.dir / "admin.sock")}))
    with Client(f"unix:{proxy.dir}/admin.sock") as c:
        assert c.get("/v1/status").json()["pid"] in another.pids()


def test_the_socket_of_a_live_weir_is_refused(edge, shop):
    proxy = edge(site(shop))
    another = edge(site(shop, admin={"socket": str(proxy.dir / "admin.sock")}), wait=False)
    assert another.wait_exit() == 1
    assert "another weir, listens there" in another.stderr()
    assert proxy.admin("GET", "/livez").status == 200


def test_head_is_get_without_the_body(edge, shop):
    proxy = edge(site(shop))
    r = proxy.admin("HEAD", "/v1/status")
    assert r.status == 200 and not r.body and int(r.header("content-length")) > 0


def test_http2_is_spoken_too(edge, shop, over_tcp):
    proxy = over_tcp()
    with Client2(proxy.address("admin.listen")) as c:
        r = c.get("/v1/status", authority="localhost")
        assert r.status == 200 and r.json()["state"] == "serving"


# -- over TCP --

def test_without_tokens_everybody_on_this_machine_may_look(over_tcp):
    proxy = over_tcp()
    assert call(proxy).status == 200


def test_with_tokens_nobody_gets_in_without(over_tcp):
    proxy = over_tcp(tokens=TOKENS)
    r = call(proxy)
    problem(r, 401, "no_token")
    assert r.header("www-authenticate").startswith("Bearer")
    for bad in ({"Authorization": "Bearer wrong"}, {"Authorization": "Bearer " + "x" * 4000}, bearer("look2")):
        problem(call(proxy, headers=bad), 401, "unknown_token")
    problem(call(proxy, headers={"Authorization": "Basic bG9vazpsb29r"}), 401, "no_token")
    problem(call(proxy, "/no/such/path"), 401, "no_token")
    assert call(proxy, headers=bearer("look")).status == 200
    assert call(proxy, "/livez").status == call(proxy, "/readyz").status == 200


def test_who_guesses_tokens_is_slowed_down_and_others_are_not(over_tcp):
    proxy = over_tcp(tokens=TOKENS)
    with Client(proxy.address("admin.listen")) as c:
        statuses = [c.get("/v1/status", bearer(f"guess{i}"), host="localhost").status for i in range(80)]
    assert statuses[0] == 401 and statuses[-1] == 429
    r = call(proxy, headers=bearer("guess"))
    assert r.status in (401, 429)
    assert call(proxy, headers=bearer("look")).status == 200


def test_a_flood_of_requests_is_told_to_wait(over_tcp):
    proxy = over_tcp()
    with Client(proxy.address("admin.listen")) as c:
        seen = set()
        for _ in range(20):
            c.send(build("GET", "/livez", host="localhost") * 200)
            seen |= {c.response().status for _ in range(200)}
    assert seen == {200, 429}
    assert proxy.admin("GET", "/v1/status").status == 200  # the socket has no such limit


@pytest.mark.parametrize("host", ["evil.test", "localhost.evil.test", "127.0.0.1.evil.test:9900"])
def test_a_name_that_was_made_to_point_here_is_refused(over_tcp, host):
    problem(call(over_tcp(), host=host), 403, "foreign_host")


def test_listed_names_are_taken(over_tcp):
    proxy = over_tcp(hosts=["weir.test"])
    assert call(proxy, host="weir.test:9900").status == 200
    assert call(proxy, host="127.0.0.1").status == call(proxy, host="[::1]:1").status == 200


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.test"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_page_of_another_site_is_refused(over_tcp, headers):
    problem(call(over_tcp(), headers=headers), 403, "foreign_origin")


def test_our_own_page_is_not(over_tcp):
    assert call(over_tcp(), headers={"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}).status == 200


def tls_conf(pki, **more):
    pair = pki.server("weir.test")
    return {"tls": {"cert": str(pair.cert_file), "key": str(pair.key_file), **more}, "tokens": TOKENS}


def test_tls_and_the_names_of_its_certificate(over_tcp, pki):
    proxy = over_tcp(**tls_conf(pki))
    tls = {"tls": pki.client_context(), "sni": "weir.test"}
    assert call(proxy, headers=bearer("look"), host="weir.test", **tls).status == 200
    problem(call(proxy, headers=bearer("look"), host="other.test", **tls), 403, "foreign_host")
    problem(call(proxy, host="weir.test", **tls), 401, "no_token")


def test_beyond_loopback_needs_tls_and_tokens(edge, shop):
    proxy = edge(site(shop))
    event = proxy.reload(site(shop, admin={"listen": "0.0.0.0:0", "tokens": TOKENS}), outcome="refused")
    assert "reaches beyond loopback" in str(event["errors"])


# -- wrong questions --

def test_wrong_questions_are_told_what_is_wrong(edge, shop):
    proxy = edge(site(shop))
    problem(proxy.admin("GET", "/nope"), 404, "no_such_path")
    problem(proxy.admin("GET", "/v1/status/"), 404, "no_such_path")
    r = proxy.admin("DELETE", "/v1/status")
    problem(r, 405, "method")
    assert r.header("allow") == "GET, HEAD"
    problem(proxy.admin("GET", "/v1/status?what=1"), 400, "query")
    problem(proxy.admin("GET", "/v1/status", headers={"Accept": "image/png"}), 406, "accept")
    problem(proxy.admin("GET", "/v1/status", body={"a": 1}), 400, "body")


GARBAGE = {
    "not HTTP": b"\x16\x03\x01\x00\x05hello\r\n\r\n",
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two lengths": b"POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a bare LF": b"GET /livez HTTP/1.1\nHost: a\n\n",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_400_and_closed(edge, shop, name):
    proxy = edge(site(shop))
    with Client(f"unix:{proxy.dir}/admin.sock") as c:
        c.send(GARBAGE[name])
        assert c.response().status in (400, 505)
        c.expect_close()
    assert proxy.admin("GET", "/livez").status == 200


def test_a_huge_head_is_431(edge, shop):
    proxy = edge(site(shop))
    with Client(f"unix:{proxy.dir}/admin.sock") as c:
        c.try_send(build("GET", "/livez", {"X": "x" * 20000}))
        assert c.response().status == 431


# -- many --

def test_a_thousand_connections_leave_room_for_the_next(edge, shop):
    proxy = edge(site(shop))
    crowd = []
    for _ in range(1000):
        crowd.append(Client(f"unix:{proxy.dir}/admin.sock"))
    assert proxy.admin("GET", "/v1/status").status == 200
    for c in crowd:
        c.close()
    assert proxy.admin("GET", "/v1/status").status == 200


def test_it_answers_when_descriptors_are_out(edge, shop):
    proxy = edge(site(shop), workers=1)
    pid = proxy.admin("GET", "/v1/status").json()["pid"]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (64, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))
    crowd = [proxy.connect() for _ in range(100)]
    proxy.wait_event("accept_exhausted")

    def answered():
        try:
            with Client(f"unix:{proxy.dir}/admin.sock", patience=2) as c:
                return c.get("/v1/status").status == 200
        except (Closed, AssertionError):
            return False
    for _ in range(3):
        eventually(answered, "an answer without descriptors to spare")
    for c in crowd:
        c.close()


# -- reload --

def test_a_reload_moves_the_socket_and_changes_tokens(over_tcp, shop):
    proxy = over_tcp(tokens=[token("old", "viewer")])
    new = f"{proxy.dir}/new.sock"
    with Client(f"unix:{proxy.dir}/admin.sock") as kept:
        assert kept.get("/livez").status == 200
        proxy.reload(site(shop, admin={"socket": new, "listen": ANYWHERE, "tokens": [token("new", "viewer")]}))
        with Client(f"unix:{new}") as c:
            assert c.get("/v1/status").json()["generation"] == 2
        eventually(lambda: not (proxy.dir / "admin.sock").exists(), "the old socket's file to go")
    problem(call(proxy, headers=bearer("old")), 401, "unknown_token")
    assert call(proxy, headers=bearer("new")).status == 200


def test_a_socket_that_cannot_be_made_refuses_the_reload(edge, shop):
    proxy = edge(site(shop))
    event = proxy.reload(site(shop, admin={"socket": "/proc/nowhere/admin.sock"}), outcome="refused")
    assert "/proc/nowhere/admin.sock" in str(event["errors"])
    assert proxy.admin("GET", "/livez").status == 200


def test_it_answers_through_a_storm_of_reloads(edge, shop):
    proxy = edge(site(shop))
    with Client(f"unix:{proxy.dir}/admin.sock") as c:
        for n in range(20):
            proxy.reload(site(shop, limits={"header_count": 50 + n}))
            assert c.get("/v1/status").json()["generation"] == n + 2
