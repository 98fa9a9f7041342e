"""Modules: the ones that weir brings, and one's own as a shared object."""
import os
import subprocess
from pathlib import Path

import pytest

from support import proxy_protocol
from support.config import http, site
from support.edge import ROOT, WEIR, run
from support.http1 import build
from support.modules import build_module, documented_module

TENANT = {"hosts": ["acme.test"], "services": {"shop": {"pools": {"blue": {"backends": ["127.0.0.1:1"]}}}}}


def tenant(*routes, **more):
    return {"tenants": {"acme": {**TENANT, "routes": list(routes), **more}}}


def test_a_fixed_answer_needs_no_service(edge):
    proxy = edge(tenant({"exact": "/robots.txt", "modules": {"respond": {"body": "User-agent: *\n"}}},
                        {"path": "/old", "modules": {"respond": {"status": 410}}}))
    r = proxy.get("/robots.txt")
    assert (r.status, r.body, r.header("content-type")) == (200, b"User-agent: *\n", "text/plain; charset=utf-8")
    assert proxy.get("/old/x").status == 410
    assert proxy.get("/else").status == 404


def test_a_tenant_needs_no_service_at_all(edge):
    """A vanity domain, a host that is gone: all that there is are answers of weir's own, and they end like any others."""
    proxy = edge({"tenants": {"acme": {"hosts": ["acme.test"], "routes": [
        {"path": "/", "modules": {"respond": {"body": "parked"}}}, {"path": "/go", "redirect": {"to": "/there"}}]}}})
    worker = proxy.worker_pid()
    for connect in proxy.connect, proxy.connect2:
        with connect() as c:
            assert [c.get(path).status for path in ("/", "/go", "/", "/")] == [200, 308, 200, 200]
    assert "service" not in proxy.logged(8, tenant="acme") and proxy.worker_pid() == worker


@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_status_without_a_body_has_none(tmp_path, status):
    path = tmp_path / "weir.yaml"
    path.write_text("listeners: {http: {address: '127.0.0.1:8080'}}\ntenants: {acme: {hosts: a.test, routes: ["
                    f"{{path: /, modules: {{respond: {{status: {status}, body: x}}}}}}]}}}}\n")
    r = run("check", "-c", path)
    assert r.code == 1 and f"an answer with status {status} has no body" in r.err, r.err


def test_a_fixed_answer_is_no_services(edge, origin):
    proxy = edge(site(origin(), routes=[{"path": "/", "service": "shop"}, {"path": "/fixed", "modules": {"respond": {"body": "x"}}}]))
    assert [proxy.get(path).status for path in ("/", "/fixed")] == [200, 200]
    assert proxy.logged(path="/")["service"] == "shop"
    assert "service" not in proxy.logged(path="/fixed")


def test_a_fixed_answer_carries_the_headers_that_its_route_names(edge):
    proxy = edge(tenant({"path": "/", "modules": {"respond": {"body": "{}", "content_type": "application/json"}},
                         "response_headers": {"set": {"Cache-Control": "max-age=60", "X-For": "$(client.address)"}}}))
    for connect in proxy.connect, proxy.connect2:
        with connect() as c:
            r = c.get("/")
        assert (r.status, r.header("cache-control"), r.header("x-for")) == (200, "max-age=60", "127.0.0.1")


def test_a_route_may_declare_itself_a_teapot(edge, origin):
    proxy = edge(site(origin(), routes=[{"path": "/", "service": "shop"}, {"path": "/", "methods": ["BREW", "WHEN"], "modules": {"respond": {"status": 418}}}]))
    r = proxy.request("BREW", "/coffee", {"Content-Type": "application/coffee-pot-command"}, b"start")
    assert r.status == 418 and b"teapot" in r.body
    assert proxy.get("/coffee").status == 200
    assert "answers 418: it is a teapot" in proxy.cli("explain", "-X", "BREW", "http://acme.test/coffee").out


@pytest.fixture
def source():
    return documented_module()


def test_the_module_of_the_documentation_works(edge, origin, tmp_path, source):
    build_module(tmp_path, source)
    service = {"pools": {"blue": {"backends": [str(origin())]}}}
    conf = {"modules": {"password": {"path": str(tmp_path / "password.so"), "word": "sesame"}},
            "tenants": {"acme": {"hosts": ["acme.test"], "services": {"shop": service}, "routes": [
                {"path": "/", "service": "shop"}, {"path": "/public", "service": "shop", "modules": {"password": "off"}}]}}}
    proxy = edge(conf)
    assert proxy.get("/").status == 403
    assert proxy.get("/", headers={"X-Password": "sesame"}).status == 200
    assert proxy.get("/public").status == 200
    assert proxy.logged(status=403)["password"] == "wrong"
    for word, says in (("sesame", "knows the word"), ("other", "does not know the word")):
        assert f"module    password, of the top level: {says}\n" in proxy.cli("explain", "http://acme.test/", "-H", f"X-Password: {word}").out
    conf["modules"]["password"]["dry_run"] = True
    proxy.reload(conf)
    assert proxy.get("/").status == 200


def test_a_module_for_routes_alone_is_loaded_at_the_top_level_and_configured_in_them(edge, origin, tmp_path, source):
    so = build_module(tmp_path, source.replace("MODULE_ANYWHERE", "MODULE_ROUTE"))
    routes = [{"path": "/", "service": "shop"}, {"path": "/secret", "service": "shop", "modules": {"password": {"word": "sesame"}}}]
    proxy = edge(site(origin(), routes=routes, modules={"password": {"path": str(so)}}))
    assert [proxy.get(p).status for p in ("/", "/secret")] == [200, 403]
    assert proxy.get("/secret", headers={"X-Password": "sesame"}).status == 200
    assert "cannot stand here, but in a route" in check(tmp_path, f"{{password: {{path: {so}, word: x}}}}").err


def check(tmp_path, modules):
    path = tmp_path / "weir.yaml"
    path.write_text(f"listeners: {{http: {{address: '127.0.0.1:8080'}}}}\nmodules: {modules}\n")
    return run("check", "-c", path)


def test_a_module_of_an_older_interface_is_refused_by_a_reload_that_changes_nothing(edge, origin, tmp_path, source):
    blue = origin()
    proxy = edge(site(blue))
    so = build_module(tmp_path, source, abi=1)
    event = proxy.reload(site(blue, modules={"password": {"path": str(so), "word": "sesame"}}), outcome="refused")
    assert "was built for interface 1, this weir has" in str(event) and "build it again" in str(event)
    assert proxy.get("/").status == 200
    (tmp_path / "again").mkdir()
    put_in_place(so, build_module(tmp_path / "again", source).rename)
    proxy.reload(guarded(blue, so))
    assert lets_in(proxy)


def test_a_module_is_built_against_the_headers_that_are_installed(tmp_path, source):
    binary = Path(WEIR).resolve().parent
    subprocess.run(["make", "-s", "-o", f"{os.path.relpath(binary, ROOT)}/weir", "install", f"BUILD={os.path.relpath(binary, ROOT)}",
                    f"DESTDIR={tmp_path}", "PREFIX=/usr"], cwd=ROOT, check=True, capture_output=True)
    so = build_module(tmp_path, source, headers=tmp_path / "usr" / "include" / "weir")
    assert check(tmp_path, f"{{password: {{path: {so}, word: x}}}}").code == 0


def test_a_module_of_another_interface_is_refused(tmp_path, source):
    so = build_module(tmp_path, source, abi=9999)
    r = check(tmp_path, f"{{password: {{path: {so}, word: x}}}}")
    assert r.code == 1
    assert "module \"password\" was built for interface 9999" in r.err and "build it again" in r.err


def test_what_is_no_module_is_refused(tmp_path, source):
    so = build_module(tmp_path, "int x;\n", name="nothing")
    assert "has no \"weir_module\"" in check(tmp_path, f"{{nothing: {{path: {so}}}}}").err
    assert "cannot load module \"gone\"" in check(tmp_path, "{gone: {path: ./gone.so}}").err
    so = build_module(tmp_path, source)
    assert "is called \"password\", not \"other\"" in check(tmp_path, f"{{other: {{path: {so}, word: x}}}}").err
    assert "\"word\" is missing in password" in check(tmp_path, f"{{password: {{path: {so}}}}}").err


# -- the file of a module that serves changes --

def guarded(blue, so):
    return site(blue, modules={"password": {"path": str(so), "word": "sesame"}})


def lets_in(proxy, header="X-Password"):
    return [proxy.get("/", headers=h).status for h in ({}, {header: "sesame"})] == [403, 200]


def put_in_place(so, make):
    """As an installer does it: by a rename. A file that is written into changes under the process that has it mapped."""
    make(so.with_name("new"))
    os.replace(so.with_name("new"), so)


def test_a_new_build_of_a_module_waits_for_an_upgrade(edge, origin, tmp_path, source):
    blue, so = origin(), build_module(tmp_path, source)
    conf = guarded(blue, so)
    proxy = edge(conf)
    assert lets_in(proxy)
    (tmp_path / "later").mkdir()
    put_in_place(so, build_module(tmp_path / "later", source.replace("x-password", "x-word")).rename)
    conf["limits"] = {"header_count": 90}
    proxy.reload(conf)
    assert lets_in(proxy)
    assert proxy.cli("upgrade").code == 0
    assert lets_in(proxy, "X-Word") and not lets_in(proxy)


SPOILT = {
    "cut short": (lambda so, directory, source: put_in_place(so, lambda new: new.write_bytes(so.read_bytes()[:3000])), "cut short, it ends after 3000 bytes; copy it again"),
    "empty": (lambda so, directory, source: put_in_place(so, lambda new: new.write_bytes(b"")), "file too short"),
    "no shared object": (lambda so, directory, source: put_in_place(so, lambda new: new.write_text("#!/bin/sh\n")), "cannot load module"),
    "gone": (lambda so, directory, source: so.unlink(), "No such file"),
    "of another interface": (lambda so, directory, source: put_in_place(so, build_module(directory, source, abi=1).rename), "build it again"),
    "another module": (lambda so, directory, source: put_in_place(so, build_module(directory, source.replace('"password", .lev', '"other", .lev')).rename),
                       'is called "other", not "password"'),
    "no module": (lambda so, directory, source: put_in_place(so, build_module(directory, "int x;\n").rename), 'has no "weir_module"'),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_module_whose_file_goes_bad_serves_on(edge, origin, tmp_path, source, what):
    blue, so = origin(), build_module(tmp_path, source)
    conf = guarded(blue, so)
    proxy = edge(conf)
    assert lets_in(proxy)
    (tmp_path / "later").mkdir()
    spoil, says = SPOILT[what]
    spoil(so, tmp_path / "later", source)
    conf["limits"] = {"header_count": 90}
    proxy.reload(conf)
    assert lets_in(proxy)
    upgraded = proxy.cli("upgrade")
    assert upgraded.code == 1 and says in upgraded.err, upgraded.err
    assert lets_in(proxy)


def test_maintenance_turns_away_all_but_those_who_may_pass(edge, origin):
    conf = site(origin("blue"), modules={"maintenance": {"retry_after": "90s"}}, listeners={"http": http(trusted_proxies=["127.0.0.0/8"])},
        routes=[{"path": "/", "service": "shop"}, {"exact": "/healthz", "service": "shop", "modules": {"maintenance": "off"}}])
    proxy = edge(conf)
    r = proxy.get("/")
    assert (r.status, r.header("retry-after")) == (503, "90") and proxy.logged(status=503)["reason"] == "maintenance"
    assert proxy.get("/healthz").status == 200
    conf["modules"]["maintenance"] |= {"allow": ["192.0.2.0/24"], "body": "<p>back\nsoon"}
    proxy.reload(conf)
    r = proxy.get("/")
    assert (r.status, r.body, r.header("retry-after")) == (503, b"<p>back\nsoon", "90")
    assert proxy.get("/", headers={"X-Forwarded-For": "192.0.2.7"}).status == 200
    conf["modules"] = {}
    proxy.reload(conf)
    assert proxy.get("/").status == 200


@pytest.mark.parametrize("header", [proxy_protocol.v1, proxy_protocol.v2])
@pytest.mark.parametrize("module, status", [("maintenance", 503), ("access", 403)])
@pytest.mark.parametrize("source, to, passes", [("192.0.2.7", "203.0.113.1", True), ("192.0.3.7", "203.0.113.1", False),
                                                ("::ffff:192.0.2.7", "2001:db8::1", True), ("2001:db8::7", "2001:db8::1", False)])
def test_who_may_pass_is_known_by_the_proxy_protocol_too(edge, origin, header, module, status, source, to, passes):
    proxy = edge(site(origin(), listeners={"http": http(proxy_protocol=True, trusted_proxies=["127.0.0.0/8"])},
        modules={module: {"allow": ["192.0.2.0/24"]}}))
    with proxy.connect() as c:
        c.send(header(source, to=to) + build("GET", "/"))
        assert c.response().status == (200 if passes else status)


def test_faults_hit_their_share(edge, origin):
    conf = site(origin("blue"), modules={"fault": {"abort": {"share": "50%", "status": 599}}})
    proxy = edge(conf)
    with proxy.connect() as c:
        statuses = [c.get("/").status for _ in range(200)]
    assert set(statuses) == {200, 599} and 60 < statuses.count(599) < 140
    proxy.logged(n=statuses.count(599), status=599, reason="fault_injected")


def test_a_delayed_request_goes_on_or_fails_afterwards(edge, origin):
    blue = origin("blue")
    conf = site(blue, modules={"fault": {"delay": {"share": "100%", "for": "300ms"}}})
    proxy = edge(conf)
    assert proxy.request("POST", "/", body=b"x" * 1000).status == 200
    assert proxy.logged(status=200)["duration_ms"] >= 299 and proxy.logged(status=200)["fault"] == "delayed"
    conf["modules"]["fault"]["abort"] = {"share": "100%"}
    proxy.reload(conf)
    r = proxy.get("/")
    assert r.status == 503 and r.header("x-weir-reason") == "fault_injected"
    assert proxy.logged(status=503)["duration_ms"] >= 299


def test_a_client_that_leaves_while_it_is_delayed_leaves_nothing_behind(edge, origin):
    blue = origin("blue")
    proxy = edge(site(blue, modules={"fault": {"delay": {"share": "100%", "for": "10m"}}}))
    c = proxy.connect()
    c.send(build("GET", "/"))
    c.close()  # in order: a reset might take the request along
    assert proxy.logged(status=499)["reason"] == "client_gone"
