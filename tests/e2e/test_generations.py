"""What lives long does not keep old configurations alive: their number and their memory are bounded, whatever is open."""
import gzip
import hashlib
import json

import pytest

from support.answers import Gate, Stepwise, pattern, reply
from support.config import http, pool, site
from support.edge import SANITIZED
from support.frames import INITIAL_WINDOW_SIZE
from support.http1 import build
from support.prometheus import scrape
from support.websocket import TEXT, OverHttp1, OverHttp2, echo
from support.wire import eventually

RELOADS = 50
PART = 50_000


@pytest.fixture
def blue(origin):
    o = origin("blue")
    o.on("/ws", echo())
    return o


@pytest.fixture
def green(origin):
    o = origin("green")
    o.on("/ws", echo())
    return o


def alive(proxy):
    return scrape(proxy).value("weir_config_generations_alive")


class Download:
    """A slow one: begun, and finished when the test wants it."""

    def __init__(self, proxy, origin, path, **kw):
        self.steps = origin.on(path, Stepwise([pattern(PART), pattern(PART, PART)], length=2 * PART))
        self.client = proxy.connect()
        self.client.send(build("GET", path, **kw))
        self.steps.step()
        self.proxy, self.path, self.origin = proxy, path, origin

    def wait_begun(self):
        eventually(lambda: any(r.target == self.path for r in self.origin.requests), "the download at the backend")

    def finish(self):
        self.steps.step(2)
        body = self.client.response().body
        self.client.close()
        return hashlib.sha256(body).digest() == hashlib.sha256(pattern(2 * PART)).digest()


@pytest.fixture
def crowd(tmp_path):
    """Tenants that make a configuration worth noticing if it stayed in memory, in a file of their own."""
    service = {"s": {"pools": {"p": {"backends": ["127.0.0.1:1"]}}}}
    tenants = {f"t{i}": {"hosts": [f"t{i}.test"], "services": service, "routes": [{"path": f"/{r}", "service": "s"} for r in range(10)]} for i in range(100)}
    path = tmp_path / "crowd.yaml"
    path.write_text(json.dumps({"tenants": tenants}))
    return str(path)


def test_fifty_generations_of_downloads_and_websockets_leave_two_alive(edge, blue, crowd):
    def conf(i):
        return site(blue, include=[crowd], limits={"header_count": 50 + i})
    proxy, downloads, sockets, memory = edge(conf(0)), [], [], 0
    for i in range(1, RELOADS + 1):
        downloads.append(Download(proxy, blue, f"/download/{i}"))
        sockets.append(OverHttp1(proxy.connect(), "/ws") if i % 2 else OverHttp2(proxy.connect2(), "/ws"))
        sockets[-1].send(TEXT, b"begun")
        assert sockets[-1].receive() == (TEXT, b"begun")
        downloads[-1].wait_begun()
        proxy.reload(conf(i))
        eventually(lambda: alive(proxy) == 1, "the generations before to go")
        if i == 10:
            memory = proxy.memory()
    grown = proxy.memory() - memory
    # A configuration of this size takes 2 MB: forty of them would be seen beside what forty pairs of connections take.
    assert SANITIZED or grown < 40_000_000, grown
    assert all(e["generations_alive"] <= 2 for e in proxy.events("reload"))
    for ws in sockets:
        ws.send(TEXT, b"still there?")
        assert ws.receive() == (TEXT, b"still there?")
        ws.close()
    assert all(d.finish() for d in downloads)
    for i in (1, RELOADS):
        assert proxy.logged(path=f"/download/{i}")["generation"] == i


def test_what_is_gone_from_the_configuration_is_finished_and_logged_by_its_old_names(edge, blue, green):
    """Backend, pool, service, tenant: each goes while something of it is under way."""
    def conf(**tenants):
        return {"tenants": {name: {"hosts": [f"{name}.test"], "routes": [{"path": "/", "service": next(iter(services))}], "services": services}
                            for name, services in tenants.items()}}

    def served(*backends, name="blue"):
        return {"pools": {name: pool(*backends)}}
    whole = conf(acme={"shop": served(blue)}, byte={"shop": served(blue)}, core={"shop": served(blue)}, dada={"shop": served(blue)}, stay={"shop": served(blue)})
    proxy = edge(whole)
    names = ("acme", "byte", "core", "dada")
    downloads = {n: Download(proxy, blue, f"/{n}", host=f"{n}.test") for n in names}
    for d in downloads.values():
        d.wait_begun()
    proxy.reload(conf(acme={"shop": served(green)}, byte={"shop": served(blue, name="teal")}, core={"other": served(blue)}, stay={"shop": served(blue)}))
    eventually(lambda: alive(proxy) == 1, "the old configuration to go")
    # What was theirs is others' now.
    proxy.reload(conf(acme={"shop": served(green)}, erde={"s": served(blue, green, name="p")}, fiat={"s": served(blue, green, name="p")}))
    eventually(lambda: alive(proxy) == 1, "the old configuration to go")
    assert proxy.get("/", host="erde.test").status == 200
    for name, d in downloads.items():
        assert d.finish()
        record = proxy.logged(path=f"/{name}")
        assert {k: record[k] for k in ("tenant", "service", "pool", "backend", "route", "generation", "status", "bytes_out")} == {
            "tenant": name, "service": "shop", "pool": "blue", "backend": str(blue), "route": "/", "generation": 1, "status": 200, "bytes_out": 2 * PART}
        assert "reason" not in record
    eventually(lambda: scrape(proxy).value("weir_requests_in_flight", tenant="acme", service="shop", pool="blue") == 0, "nothing in flight")


def test_a_websocket_to_what_is_gone_is_told_to_go_all_the_same(edge, blue, green):
    proxy = edge(site(blue, timeouts={"tunnel_drain": "1s"}))
    ws = OverHttp1(proxy.connect(), "/ws")
    ws.send(TEXT, b"begun")
    assert ws.receive() == (TEXT, b"begun")
    proxy.reload(site(pools={"green": pool(green)}, timeouts={"tunnel_drain": "1s"}))
    eventually(lambda: alive(proxy) == 1, "the old configuration to go")
    opcode, payload = ws.receive()
    assert (opcode, int.from_bytes(payload[:2], "big")) == (8, 1001)
    ws.close()


def test_an_upload_whose_answer_has_not_begun_keeps_to_its_own_configuration(edge, blue, green):
    """Its answer is still to be edited as its route says."""
    def conf(word, backend):
        return site(backend, routes=[{"path": "/", "service": "shop", "response_headers": {"set": {"X-Word": word}}}])
    gate = blue.on("/", Gate(reply(200, b"done")))
    proxy = edge(conf("one", blue))
    with proxy.connect() as c:
        c.send(build("POST", "/", body=b"body"))
        gate.wait_arrived()
        proxy.reload(conf("two", green))
        assert alive(proxy) == 2
        gate.open()
        answer = c.response()
        assert (answer.body, answer.header("x-word")) == (b"done", "one")
    eventually(lambda: alive(proxy) == 1, "the old configuration to go")


def test_modules_go_on_with_what_they_have_begun(edge, blue):
    """A filter in the answer's body, a field in the log, a bandwidth: each outlives the configuration that it began under."""
    def conf(i, **tenant):
        return site(blue, tenant=tenant, limits={"header_count": 50 + i},
            modules={"compress": "on", "ratelimit": {"rules": {f"everybody{i}": {"rate": 1, "per": "1h", "burst": 1, "dry_run": True}}}})
    text = [b"".join(b"line %d of part %d\n" % (n, part) for n in range(500)) for part in range(3)]
    steps = blue.on("/page", Stepwise(text, headers={"Content-Type": "text/html"}))
    proxy = edge(conf(0, limits={"bandwidth": "10MiB"}))
    with proxy.connect() as c:
        assert c.get("/").status == 200
        c.send(build("GET", "/page", {"Accept-Encoding": "gzip"}))
        steps.step()
        blue.wait_count(2)
        proxy.reload(conf(1, limits={"bandwidth": "20MiB"}))
        steps.step()
        proxy.reload(conf(2))
        steps.step(2)
        answer = c.response()
    assert gzip.decompress(answer.body) == b"".join(text)
    record = proxy.logged(path="/page")
    assert (record["generation"], record["ratelimit_dry_run"]) == (1, "everybody0")
    eventually(lambda: alive(proxy) == 1, "the old configurations to go")


def test_an_answer_outlives_its_backend_and_its_connection(edge, origin):
    blue, green = origin("blue", protocol="h2c"), origin("green", protocol="h2c")
    blue.always(reply(200, pattern(PART)))
    proxy = edge(site(blue, service={"protocol": "h2c"}), workers=1)
    worker = proxy.worker_pid()
    with proxy.connect2(settings={INITIAL_WINDOW_SIZE: 0}) as c:
        sid = c.start()
        assert c.response_head(sid).status == 200
        proxy.reload(site(green, service={"protocol": "h2c"}))
        eventually(lambda: blue.open_connections() == 0, "the backend's connection to end")
        c.credit(sid, PART)
        assert c.response(sid).body == pattern(PART)
    assert proxy.get("/").status == 200 and proxy.worker_pid() == worker
