"""The command line as a person meets it: help, suggestions, what explain says of routes that lost, the demo backend."""
import json
import os
import signal
import subprocess

import pytest

from support import edge as edge_module
from support.config import http, https, pool, site
from support.cookies import weir_id
from support.edge import ROOT, run
from support.http1 import Client
from support.http2 import Client as Client2
from support.websocket import BINARY, OverHttp1, OverHttp2, PING, PONG, TEXT
from support.wire import PATIENCE

EXPLAIN_SECRET = "a secret for those who explain"
COMMANDS = ["run", "check", "explain", "status", "events", "reload", "stop", "schema", "demo-backend"]


@pytest.fixture
def conf(tmp_path):
    def write(document):
        path = tmp_path / "weir.yaml"
        path.write_text(json.dumps(document, indent=1))
        return path
    return write


# -- help and suggestions --

@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches(command):
    by_help, by_option = run("help", command), run(command, "--help")
    assert by_help.code == by_option.code == 0 and by_help.out == by_option.out
    assert by_help.out.startswith(f"usage: weir {command} ") and "options:" in by_help.out
    assert f"  {command} " in run("help").out


def test_no_command_is_a_question():
    r = run()
    assert r.code == 2 and "usage: weir COMMAND" in r.err and not r.out


@pytest.mark.parametrize("args, words", [
    (["chek"], ['did you mean "check"?']),
    (["help", "exlpain"], ['did you mean "explain"?']),
    (["check", "--confg", "x"], ["--config"]),
    (["check", "--jsom"], ["did you mean --json?"]),
    (["check", "-z"], ["unknown option -z"]),
    (["check", "-c"], ["--config FILE"]),
    (["check", "--json=yes"], ["takes no value"]),
    (["check", "weir.yaml"], ['unexpected argument "weir.yaml"']),
    (["run"], ["-c FILE"]),
    (["check"], ["-c FILE"]),
    (["explain"], ["http://host/path"]),
    (["explain", "a/b", "-c", "x"], ["http:// or https://"]),
    (["explain", "http://a b/", "-c", "x"], ["host"]),
    (["explain", "http://a/", "-c", "x", "-H", "nonsense"], ["name: value"]),
    (["explain", "http://a/", "-c", "x", "--ip", "300.1.1.1"], ["300.1.1.1"]),
    (["demo-backend"], ["--listen"]),
    (["demo-backend", "--listen", "127.0.0.1:0", "--name", "<b>"], ["letters"]),
])
def test_wrong_usage_is_2_and_says_what_to_do(args, words):
    r = run(*args)
    assert r.code == 2 and not r.out
    assert all(w in r.err for w in words), r.err


def test_what_cannot_be_written_is_not_success():
    with open("/dev/full", "w") as full:
        p = subprocess.run([edge_module.WEIR, "schema"], stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert p.returncode == 1 and b"standard output" in p.stderr


# -- check reads certificates --

def test_check_finds_a_key_that_is_not_the_certificates(conf, pki, acme_cert):
    other = pki.server("other.test")
    path = conf(site("127.0.0.1:1", listeners={"https": https({"cert": str(acme_cert.cert_file), "key": str(other.key_file)})}))
    r = run("check", "-c", path)
    assert r.code == 1 and "weir.yaml:" in r.err and "key" in r.err and "1 error" in r.err


def test_check_finds_ciphers_and_authorities_that_are_none(conf, acme_cert, tmp_path):
    (tmp_path / "nonsense.pem").write_text("nonsense")
    path = conf(site("127.0.0.1:1", service={"protocol": "h2", "tls": {"ca": "nonsense.pem"}},
        listeners={"https": https(acme_cert, tls={"ciphers": "NO-SUCH-CIPHER"})}))
    r = run("check", "-c", path)
    assert r.code == 1 and "nonsense.pem" in r.err and "2 errors" in r.err, r.err
    assert [line.split(":")[0] for line in r.err.splitlines()[:2]] == [str(path)] * 2


def test_the_example_is_good_and_has_no_warnings(pki, tmp_path):
    """As an administrator has it: beside its certificates."""
    path = tmp_path / "weir.yaml"
    path.write_text((ROOT / "conf" / "example.yaml").read_text())
    (tmp_path / "certs").mkdir()
    (tmp_path / "ca").mkdir()
    cert = pki.server("acme.test", "*.acme.test")
    (tmp_path / "certs/acme.pem").write_bytes(cert.cert_file.read_bytes())
    (tmp_path / "certs/acme.key").write_bytes(cert.key_file.read_bytes())
    for name in ("partners", "internal"):
        (tmp_path / f"ca/{name}.pem").write_bytes(pki.root.cert_file.read_bytes())
    r = run("check", "-c", path)
    assert r.code == 0 and r.err == f"{path}: good, 2 tenants, 5 services, 6 listeners\n"


# -- explain --

@pytest.fixture
def explained(conf):
    backends = pool("127.0.0.1:9001")
    routes = [{"path": "/", "service": "shop"}, {"path": "/api", "service": "shop"}, {"path": "/api", "service": "api", "methods": ["POST"]},
              {"exact": "/api/x", "service": "api", "headers": {"X-Beta": "1"}}, {"regex": "^/v[0-9]/.*", "service": "api"},
              {"path": "/api", "service": "api", "hosts": ["beta.acme.test"]}]
    path = conf(site(services={"shop": {"pools": {"blue": {**backends, "weight": 90}, "green": {**backends, "weight": 30}}, "split": {"sticky": "cookie"}},
                               "api": {"pools": {"only": backends}}}, routes=routes, cookie_secret=EXPLAIN_SECRET,
        listeners={"http": http(address="127.0.0.1:8080"), "old": http(address="127.0.0.1:8081", redirect_https=True, trusted_proxies=["192.0.2.0/24"])}))

    def ask(url, *args):
        r = run("explain", url, "-c", path, "--json", *args)
        return r.code, r.json()
    return ask


def losers(found):
    return {(o["kind"], o["path"], o["why"]) for o in found["other_routes"]}


def test_explain_says_what_the_other_routes_lack(explained):
    _, found = explained("http://acme.test:8080/api/x")
    assert found["route"]["path"] == "/api" and found["service"] == "acme/shop"
    assert losers(found) == {("prefix", "/", "a longer path goes first"), ("prefix", "/api", "it is for other methods"),
                             ("exact", "/api/x", "a header that it asks for is missing or different")}


@pytest.mark.parametrize("args, route, why", [
    (("http://acme.test/api/x", "-H", "x-beta: 1"), "exact", "an exact path goes first"),
    (("http://acme.test/api", "-X", "POST"), "prefix", "the other names methods"),
    (("http://beta.acme.test/api",), "prefix", "the other names the host more closely"),
    (("http://acme.test/v1/a",), "regex", "a longer path goes first"),
])
def test_explain_says_why_a_route_wins(explained, args, route, why):
    code, found = explained(*args)
    assert code == 0 and found["route"]["kind"] == route and found["service"] == "acme/api"
    assert why in {w for _, _, w in losers(found)}, found


def test_explain_knows_a_user_by_the_cookie_and_a_newcomer_by_shares(explained):
    _, known = explained("http://acme.test/", "-H", "Cookie: a=b; " + weir_id(EXPLAIN_SECRET, 7))
    assert known["split"]["why"] == "stable" and 0 <= known["split"]["point"] < 1
    assert known["pool"] == ("blue" if known["split"]["point"] < 0.75 else "green")
    _, new = explained("http://acme.test/")
    assert new["split"]["why"] == "new_user" and new["pool"] is None
    assert {p["name"]: p["share"] for p in new["pools"]} == {"blue": 0.75, "green": 0.25}


def test_explain_agrees_with_what_weir_does(edge, origin):
    blue, green = origin("blue"), origin("green")
    proxy = edge(site(pools={"blue": pool(blue, weight=50), "green": pool(green, weight=50)}, service={"split": {"sticky": "header:X-User"}}))
    for user in range(20):
        said = run("explain", "http://acme.test/", "-c", proxy.file, "--json", "-H", f"X-User: {user}").json()["pool"]
        assert proxy.get("/", [("X-User", str(user))]).body.decode() == said


def test_explain_reads_lists_and_says_what_it_does_not_look_up(conf, tmp_path):
    """Offline: whom a name stands for is the running weir's to know."""
    (tmp_path / "app.backends").write_text("10.0.0.1:80 weight=2\n10.0.0.2:80\ndns:late.test:80\n")
    path = conf(site("10.0.0.2:80", "dns:app.test:80", {"address": f"file:{tmp_path}/app.backends", "weight": 3}, "srv:_http._tcp.app.test",
        f"file:{tmp_path}/none", listeners={"http": http(address="127.0.0.1:8080")}))
    [found] = run("explain", "http://acme.test/", "-c", path, "--json").json()["pools"]
    assert [(b["address"], b["weight"], b["resolved"]) for b in found["backends"]] == [("10.0.0.2:80", 1, True), ("dns:app.test:80", 1, False),
        ("10.0.0.1:80", 6, True), ("dns:late.test:80", 3, False), ("srv:_http._tcp.app.test", 1, False), (f"file:{tmp_path}/none", 1, False)]
    said = run("explain", "http://acme.test/", "-c", path)
    assert "over 2 backends and what is behind 4 names" in said.out
    assert "dns:app.test:80 weight 1, a name: which addresses it stands for, the running weir knows" in said.out
    assert "none weight 1, a list that cannot be read here" in said.out


def test_explain_finds_the_listener(explained):
    _, exact = explained("http://acme.test:8080/")
    assert exact["listener"]["name"] == "http" and not exact["listener"]["guessed"]
    _, guessed = explained("http://acme.test/")
    assert guessed["listener"]["guessed"]
    code, redirected = explained("http://acme.test:8081/")
    assert code == 0 and redirected["listener"]["redirect_https"]
    _, from_tls = explained("http://acme.test:8081/", "-H", "X-Forwarded-Proto: https", "--ip", "192.0.2.1")
    assert not from_tls["listener"]["redirect_https"] and from_tls["service"]
    code, none = explained("https://acme.test/")
    assert code == 1 and none["listener"] is None


def test_explain_without_an_answer_is_1_and_says_which(explained):
    code, found = explained("http://nobody.test/")
    assert code == 1 and found["status"] == 404 and found["reason"] == "no_tenant"
    code, found = explained("http://acme.test/api/../x")
    assert code == 1 and found["status"] == 400 and found["reason"] == "client_bad_path"


# -- the demo backend --

class Demo:
    def __init__(self, *args):
        self.process = subprocess.Popen([edge_module.WEIR, "demo-backend", "--listen", "127.0.0.1:0", *args], stdout=subprocess.PIPE,
            start_new_session=True)
        line = self.process.stdout.readline().decode()
        assert " listens on " in line, line
        host, port = line.rsplit(maxsplit=1)[-1].split(":")
        self.address = host, int(port)

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def blue(started):
    started.append(Demo("--name", "blue"))
    return started[-1]


@pytest.fixture(params=[Client, Client2], ids=["http1", "http2"])
def client(request, blue):
    with request.param(blue.address) as c:
        yield c


def test_the_demo_backend_answers_in_both_protocols(client):
    hello = client.get("/")
    assert hello.status == 200 and hello.body == b"hello from blue\n" and hello.header("x-backend") == "blue"
    page = client.get("/", [("accept", "text/html,*/*;q=0.8")])
    assert page.body.startswith(b"<!doctype html>") and page.header("content-type").startswith("text/html")
    assert client.get("/healthz").status == 200
    assert client.get("/status/503").status == 503 and client.get("/status/99").status == 400
    assert client.get("/nowhere").status == 404
    assert client.get("/slow?ms=1").status == 200
    assert client.get("/stream?n=3&ms=1").body == b"".join(b"part %d of 3 from blue\n" % i for i in (1, 2, 3))


def test_the_demo_backend_sends_back_what_it_got(client):
    body = os.urandom(200_000).hex().encode()
    echo = client.request("POST", "/echo?x=1", [("X-Test", "yes")], body)
    assert echo.status == 200 and echo.body.endswith(body) and echo.body.startswith(b"POST /echo?x=1 from blue\n")
    told = json.loads(client.request("POST", "/echo", [("Accept", "application/json")], b"hi").body)
    assert told["body"] == "hi" and told["backend"] == "blue" and told["method"] == "POST"


@pytest.mark.parametrize("http_client, over", [(Client, OverHttp1), (Client2, OverHttp2)], ids=["http1", "http2"])
def test_the_demo_backend_echoes_websocket_frames(blue, http_client, over):
    with http_client(blue.address) as c:
        ws = over(c, "/ws")
        for opcode, payload in ((TEXT, b"hello"), (BINARY, os.urandom(100_000)), (TEXT, b"")):
            ws.send(opcode, payload)
            assert ws.receive() == (opcode, payload)
        ws.send(PING, b"?")
        assert ws.receive() == (PONG, b"?")


def test_the_demo_backend_ends_on_sigterm_once_its_requests_have(blue):
    with Client(blue.address) as c:
        assert c.get("/").status == 200
        blue.process.send_signal(signal.SIGTERM)
        assert blue.process.wait(PATIENCE) == 0


def test_a_taken_port_is_said_to_be_so(blue):
    r = run("demo-backend", "--listen", "%s:%d" % blue.address)
    assert r.code == 1 and str(blue.address[1]) in r.err
