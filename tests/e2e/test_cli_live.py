"""The commands that talk to a running weir, as an operator meets them."""
import hashlib
import os
import subprocess

import pytest

from support import edge as edge_module
from support.config import pool, site
from support.edge import run
from support.wire import PATIENCE, eventually


@pytest.fixture
def shop(origin):
    return origin("shop")


def test_status_shows_the_process_and_a_line_for_each_pool(edge, shop, refused_port):
    health = {"tcp": {}, "interval": "100ms", "timeout": "1s", "fall": 1}
    proxy = edge(site(pools={"blue": pool(shop, weight=90), "green": pool(refused_port, weight=10)}, service={"health": health}))
    proxy.wait_event("health", to="down")
    r = proxy.cli("status")
    assert r.code == 0 and r.out.startswith("weir ") and ", serving, generation 1, up " in r.out
    assert "\x1b" not in r.out  # colour is for terminals
    lines = r.out.splitlines()
    assert any(l.startswith("acme/shop/blue ") and "1 of 1 up" in l for l in lines), r.out
    assert any(l.startswith("acme/shop/green ") and "0 of 1 up" in l for l in lines)
    detail = proxy.cli("status", "acme/shop/green").out
    assert str(refused_port) in detail and "down" in detail and "refused the connection" in detail and "blue" not in detail
    assert str(shop) in proxy.cli("status", "acme/shop").out
    assert proxy.cli("status", "acme/shop", "--json").json()["service"] == "shop"
    assert proxy.cli("status", "--json").json()["state"] == "serving"


def test_what_is_not_there_is_said(edge, shop):
    proxy = edge(site(shop))
    assert "no service acme/nope" in (r := proxy.cli("status", "acme/nope")).err and r.code == 1
    assert "no pool red" in (r := proxy.cli("status", "acme/shop/red")).err and r.code == 1
    assert "nobody" in (r := proxy.cli("status", "nobody")).err and r.code == 1
    assert proxy.cli("status", "a/b/c/d").code == proxy.cli("status", "a b").code == proxy.cli("status", "--timeout", "x").code == 2


def test_reload_says_how_it_went(edge, shop):
    proxy = edge(site(shop))
    r = proxy.cli("reload")
    assert r.code == 0 and r.out == "nothing changed; generation 1 goes on\n"
    proxy.configure(site(shop, limits={"header_count": 50}))
    r = proxy.cli("reload")
    assert (r.code, r.out) == (0, "generation 2 is served\n  ~ setting limits: header_count 100 -> 50\n")
    assert proxy.wait_event("reload", outcome="applied")["changes"] == {"setting": {"changed": ["limits"],
        "values": {"limits": [{"key": "header_count", "before": "100", "after": "50"}]}}}
    proxy.configure(site(pools={"blue": pool(shop, weight=1), "green": pool(shop, weight=1)}, limits={"header_count": 50}))
    assert proxy.cli("reload").out.splitlines()[1:] == ["  + pool acme/shop/green", "  ~ pool acme/shop/blue: weight 100 -> 1"]
    proxy.configure("listeners: {}\nnope: 1\n")
    r = proxy.cli("reload")
    assert r.code == 1 and f"{proxy.file}:2:1: unknown key" in r.err
    r = proxy.cli("status")
    assert r.code == 0 and "the last reload was refused" in r.out and "unknown key" in r.err
    assert proxy.cli("reload", "--json").json()["outcome"] == "refused"


def test_events_are_lines(edge, shop):
    proxy = edge(site(shop))
    proxy.reload(outcome="unchanged")
    eventually(lambda: "outcome=unchanged" in proxy.cli("events").out, "the event")
    lines = proxy.cli("events", "--since", "1h").out.splitlines()
    assert any(" ready generation=1" in l for l in lines)
    assert {e["event"] for e in proxy.cli("events", "--name", "ready", "--json").json()["events"]} == {"ready"}


def test_events_can_be_followed(edge, shop):
    proxy = edge(site(shop))
    p = subprocess.Popen([edge_module.WEIR, "events", "-f", "--since", "1h", "--name", "reload"], stdout=subprocess.PIPE,
        env={**os.environ, "WEIR_SOCKET": str(proxy.dir / "admin.sock")})
    try:
        proxy.reload(outcome="unchanged")
        assert b"reload outcome=unchanged" in p.stdout.readline()
        proxy.stop()
        assert p.wait(PATIENCE) in (0, 1)
    finally:
        p.kill()
        p.wait()
        p.stdout.close()


def test_stop_returns_when_it_has_stopped(edge, shop):
    proxy = edge(site(shop))
    r = proxy.cli("stop", "--drain", "5s")
    assert (r.code, r.out) == (0, "stopped\n")
    assert proxy.wait_exit() == 0
    assert proxy.cli("stop", "--drain", "soon").code == 2


def test_nobody_there_and_no_permission_say_what_to_do(tmp_path):
    r = run("status", "--socket", tmp_path / "none.sock")
    assert r.code == 1 and "weir run -c FILE" in r.err and "--socket" in r.err
    r = run("status", "--admin", "http://127.0.0.1:1")
    assert r.code == 1 and "http://127.0.0.1:1" in r.err
    for bad in ("127.0.0.1:1", "http://127.0.0.1"):
        r = run("status", "--admin", bad)
        assert r.code == 1 and "http://" in r.err


def test_no_answer_in_time_is_3(silent_port):
    assert run("status", "--admin", f"http://{silent_port}", "--timeout", "300ms").code == 3


def test_over_tcp_with_a_token(edge, shop, pki):
    server = pki.server("127.0.0.9")
    admin = {"listen": "127.0.0.9:0", "tls": {"cert": str(server.cert_file), "key": str(server.key_file)},
             "tokens": [{"name": "boss", "role": "admin", "sha256": hashlib.sha256(b"secret").hexdigest()}]}
    proxy = edge(site(shop, admin=admin))
    url = f"https://127.0.0.9:{proxy.port('admin.listen')}"
    r = run("reload", "--admin", url, env={"WEIR_CA": str(pki.file), "WEIR_TOKEN": "secret"})
    assert r.code == 0, r.err
    r = run("reload", "--admin", url, env={"WEIR_CA": str(pki.file)})
    assert r.code == 1 and "WEIR_TOKEN" in r.err
    r = run("reload", "--admin", url, env={"WEIR_TOKEN": "secret"})
    assert r.code == 1 and "certificate" in r.err


def test_explain_asks_the_running_weir_for_weights_and_health(edge, shop, refused_port):
    health = {"tcp": {}, "interval": "100ms", "timeout": "1s", "fall": 1}
    proxy = edge(site(pools={"blue": pool(shop, weight=90), "green": pool(refused_port, weight=10)}, service={"health": health}))
    proxy.wait_event("health", to="down")
    r = proxy.cli("explain", "http://acme.test/api", "-H", "X-A: 1", "-H", "X-B: 2")
    assert r.code == 0 and "service   acme/shop" in r.out and f"{shop} weight 1, up" in r.out and "pool      blue 100%" in r.out
    assert "green" not in r.out  # nobody there: its share goes to blue
    d = proxy.cli("explain", "http://acme.test/api", "--json").json()
    assert d["pools"][1]["backends"][0]["health"] == "down" and d["found"] and d["text"].startswith("request ")
    offline = proxy.cli("explain", "http://acme.test/api", "-c", proxy.file)
    assert "pool      green 10%" in offline.out and ", up" not in offline.out
    r = proxy.cli("explain", "http://nobody.test/")
    assert r.code == 1 and "404" in r.out


def test_a_token_of_a_tenant_explains_that_tenant_alone(edge, shop):
    tokens = [{"name": "deploy", "role": "operator", "tenants": ["beta"], "sha256": hashlib.sha256(b"secret").hexdigest()}]
    conf = site(shop, admin={"listen": "127.0.0.9:0", "tokens": tokens})
    conf["tenants"]["beta"] = {"hosts": ["beta.test"], "services": {"api": {"pools": {"one": pool(shop)}}}}
    proxy = edge(conf)
    where = {"env": {"WEIR_ADMIN": "http://127.0.0.9:%d" % proxy.port("admin.listen"), "WEIR_TOKEN": "secret"}}
    assert run("explain", "http://beta.test/", **where).code == 0
    for url in ("http://acme.test/", "http://nobody.test/"):
        r = run("explain", url, **where)
        assert r.code == 1 and "confined" in r.err


def test_with_watch_a_changed_file_is_reloaded_by_itself(edge, shop):
    proxy = edge(site(shop), arguments=["--watch"])
    proxy.configure(site(shop, limits={"header_count": 50}))
    assert proxy.wait_event("reload")["outcome"] == "applied"
    (proxy.dir / "notes.txt").write_text("nothing to do with it")
    proxy.configure("nope: 1\n")
    assert proxy.wait_event("reload", n=2)["outcome"] == "refused"
    for n in range(10):  # one who writes all the time is waited for
        proxy.configure(site(shop, limits={"header_count": 60 + n}))
    assert proxy.wait_event("reload", n=3)["outcome"] == "applied"
    assert len(proxy.events("reload")) <= 4
    assert proxy.get("/").status == 200
