"""One verb brings a new version into service; whatever fails, the old one serves."""
import hashlib
import json
import os
import pty
import signal
import subprocess
import threading

import pytest

from support import edge as edge_module
from support import websocket
from support.answers import reply
from support.config import pool, site
from support.http1 import Client
from support.load import Load
from support.websocket import TEXT, OverHttp1
from support.wire import PATIENCE, eventually

DEPLOY = "/v1/services/acme/shop/deploy"
HEALTH = {"http": {"path": "/healthz"}, "interval": "100ms", "timeout": "2s", "rise": 1, "fall": 1}


@pytest.fixture
def blue(origin):
    return origin("blue")


@pytest.fixture
def green(origin):
    return origin("green")


@pytest.fixture
def shop(edge, blue):
    """weir with blue serving; green has no backends yet."""
    def start(service=None, **top):
        return edge(site(pools={"blue": pool(blue, weight=100), "green": pool(weight=0)}, service={"health": HEALTH, **(service or {})}, **top))
    return start


def weights(proxy):
    pools = proxy.admin("GET", "/v1/services/acme/shop/weights").json()["pools"]
    return {name: round(p["effective_weight"]) for name, p in pools.items()}


def deploy(proxy, *args, code=0):
    r = proxy.cli("deploy", "acme/shop", *args)
    assert r.code == code, (r.code, r.out, r.err)
    return r


def crash(proxy):
    for pid in proxy.pids():
        os.kill(pid, signal.SIGKILL)
    proxy.process.wait()
    proxy.stopped = True


def test_backends_in_healthy_warm_and_switched_at_once(shop, green):
    proxy = shop()
    r = deploy(proxy, "--pool", "green", "--backends", green, "--warm-up", "/warm", "--warm-up-requests", "3", "--reason", "version 2")
    assert weights(proxy) == {"blue": 0, "green": 100}
    assert proxy.get("/").body == b"green"
    assert [q.target for q in green.requests if q.target == "/warm"] == ["/warm"] * 3
    for state in ("setting", "checking", "warming", "shifting", "done"):
        assert state in r.out, r.out
    assert proxy.wait_event("deploy", state="done")["reason"] == "version 2"


def test_under_load_with_websockets_open_no_request_fails(shop, blue, green):
    for o in (blue, green):
        o.on("/ws", websocket.echo())
    proxy = shop()
    sockets = [OverHttp1(proxy.connect(), "/ws") for _ in range(5)]
    with Load(proxy.address()) as load:
        load.wait_more(50)
        deploy(proxy, "--pool", "green", "--backends", green, "--shift", "10,50,100", "--every", "1s", "--max-error-rate", "1%", "--min-samples", "20")
        load.wait_more(50)
    assert not load.failures
    assert load.answers[-1] == b"green"
    for w in sockets:
        w.send(TEXT, b"still here")
        assert w.receive() == (TEXT, b"still here")
        w.close()


def test_a_busy_shop_is_deployed_to_without_a_failed_request(edge, started):
    from support.process_origin import ProcessOrigin
    blue, green = ProcessOrigin("blue"), ProcessOrigin("green")
    started += [blue, green]
    proxy = edge(site(pools={"blue": pool(blue, weight=100), "green": pool(weight=0)}, service={"health": HEALTH}))
    load = subprocess.Popen(["h2load", "-n", "6000", "-c", "8", "-m", "4", "--rps", "100", "-H", ":authority: acme.test", proxy.url("/")],
        stdout=subprocess.PIPE, text=True)
    with Load(proxy.address(), h1=4, h2=0) as old:
        deploy(proxy, "--pool", "green", "--backends", green, "--shift", "25,100", "--every", "1s", "--max-error-rate", "1%",
            "--min-samples", "100")
        assert "0 failed, 0 errored" in load.communicate()[0] and load.returncode == 0
    assert not old.failures and old.done
    assert weights(proxy) == {"blue": 0, "green": 100}
    assert {r["status"] for r in proxy.access_log() if r.get("path") == "/"} == {200}


def test_the_old_pool_is_drained_if_asked_and_the_next_deploy_opens_it(shop, blue, green, origin):
    proxy = shop()
    deploy(proxy, "--pool", "green", "--backends", green, "--drain")
    states = {n: p["state"] for n, p in proxy.admin("GET", "/v1/services/acme/shop/weights").json()["pools"].items()}
    assert states == {"blue": "closed", "green": "open"}
    third = origin("third")
    deploy(proxy, "--pool", "blue", "--backends", third, "--drain")
    assert weights(proxy)["blue"] == 100 and proxy.get("/").body == b"third"


def test_a_version_that_does_not_become_healthy_is_not_served(shop, green, refused_port):
    proxy = shop()
    r = deploy(proxy, "--pool", "green", "--backends", f"{green},{refused_port}", "--healthy-within", "500ms", code=3)
    assert "not every backend has become healthy" in r.err and str(refused_port) in r.err
    assert weights(proxy) == {"blue": 100, "green": 0} and proxy.get("/").body == b"blue"
    deploy(proxy, "--pool", "green", "--backends", green)


def test_a_version_that_fails_its_warm_up_is_not_served(shop, green):
    green.on("/warm", reply(500, "broken"))
    proxy = shop()
    r = deploy(proxy, "--pool", "green", "--backends", green, "--warm-up", "/warm", code=1)
    assert "a warm-up request to" in r.err and "answered 500" in r.err
    assert weights(proxy) == {"blue": 100, "green": 0}


def test_a_version_that_fails_under_traffic_is_rolled_back(shop, green):
    green.always(reply(500, "broken"))
    green.on("/healthz", reply(200, "well"))
    proxy = shop()
    with Load(proxy.address(), check=lambda r: True):
        r = deploy(proxy, "--pool", "green", "--backends", green, "--shift", "50,100", "--every", "1h", "--max-error-rate", "1%", code=5)
    assert "rolled back: error rate" in r.err
    assert weights(proxy) == {"blue": 100, "green": 0} and proxy.get("/").body == b"blue"


def test_the_same_deploy_again_joins_it_or_changes_nothing(shop, green):
    proxy = shop()
    args = ["--pool", "green", "--backends", str(green), "--shift", "50,100", "--every", "2s"]
    deploy(proxy, *args, "--no-wait")
    joined = deploy(proxy, *args)
    assert "begun already" in joined.out
    assert weights(proxy) == {"blue": 0, "green": 100}
    version = proxy.admin("GET", "/v1/services/acme/shop").json()["version"]
    deploy(proxy, *args)  # it is so already
    assert proxy.admin("GET", "/v1/services/acme/shop").json()["version"] == version


def test_a_deploy_with_an_id_is_reported_and_not_done_again(shop, green):
    green.on("/healthz", reply(500, "ill"))
    proxy = shop()
    args = ["--pool", "green", "--backends", green, "--healthy-within", "300ms", "--id", "build-7"]
    deploy(proxy, *args, code=3)
    green.on("/healthz", reply(200, "well"))
    deploy(proxy, *args, code=3)
    deploy(proxy, *args[:-1], "build-8")


def test_another_deploy_meanwhile_is_refused_and_told_who_is_there(shop, green, refused_port):
    proxy = shop()
    deploy(proxy, "--pool", "green", "--backends", refused_port, "--no-wait", "--author", "ann")
    r = deploy(proxy, "--pool", "green", "--backends", green, code=1)
    assert "a deploy of pool green is under way" in r.err and "ann" in r.err
    assert proxy.cli("backends", "acme/shop/green", "set", green).code == 1
    assert proxy.cli("shift", "acme/shop", "green").code == 1
    deploy(proxy, "--abort")
    deploy(proxy, "--pool", "green", "--backends", green)


def test_of_many_conflicting_deploys_one_wins(shop, green):
    proxy = shop()
    answers = []

    def one(i):
        answers.append(proxy.admin("POST", DEPLOY, {"pool": "green", "backends": [str(green)], "id": f"build-{i}"}).status)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(answers)[0] == 201 and answers.count(201) == 1


@pytest.mark.parametrize("args, code, says", [
    ([], 2, "to which pool"),
    (["--pool", "gren"], 1, 'no pool acme/shop/gren; did you mean "green"?'),
    (["--pool", "purple"], 1, "has to be in the file"),
    (["--pool", "blue"], 1, "has all users now"),
    (["--pool", "green", "--backends", "nonsense"], 1, "address and port"),
    (["--pool", "green", "--shift", "a,b"], 2, "percentages"),
    (["--pool", "green", "--healthy-within", "never"], 1, "duration"),
    (["--pool", "green", "--warm-up", "warm"], 1, "slash"),
])
def test_what_cannot_be_is_said_with_what_to_do(shop, args, code, says):
    assert says in deploy(shop(), *args, code=code).err


def test_killed_in_the_middle_it_goes_on(edge, shop, green, refused_port):
    proxy = shop()
    deploy(proxy, "--pool", "green", "--backends", f"{green},{refused_port}", "--healthy-within", "1h", "--no-wait")
    eventually(lambda: proxy.admin("GET", DEPLOY).json()["state"] == "checking", "it to wait")
    crash(proxy)
    conf = {k: v for k, v in proxy.conf.items() if k not in ("admin", "listeners", "log")}
    proxy = edge({**conf, "state_dir": proxy.conf["state_dir"]})
    proxy.wait_event("deploy", state="checking")
    assert json.loads(proxy.cli("deploy", "acme/shop", "--status", "--json").out)["pool"] == "green"
    assert proxy.cli("backends", "acme/shop/green", "remove", str(refused_port), "--force").code == 0
    eventually(lambda: proxy.admin("GET", DEPLOY).json()["state"] == "done", "its end")
    assert weights(proxy) == {"blue": 0, "green": 100}


def test_an_upgrade_in_the_middle_of_each_phase_goes_on(shop, green, refused_port):
    proxy = shop()
    deploy(proxy, "--pool", "green", "--backends", f"{green},{refused_port}", "--healthy-within", "1h", "--shift", "50,100", "--every", "1h", "--no-wait")

    def state(want, *path):
        def there():
            now = proxy.admin("GET", DEPLOY).json()
            for name in path:
                now = now.get(name, {})
            return now.get("state") == want
        eventually(there, lambda: f"{want}: {proxy.admin('GET', DEPLOY).body}")
    state("checking")
    assert proxy.cli("upgrade").code == 0
    eventually(lambda: [e["state"] for e in proxy.admin("GET", DEPLOY).json()["log"]].count("checking") == 2, "it to go on")
    assert weights(proxy) == {"blue": 100, "green": 0}
    assert proxy.cli("backends", "acme/shop/green", "remove", refused_port, "--force").code == 0
    state("observing", "shift")
    assert proxy.cli("upgrade").code == 0
    eventually(lambda: [e["state"] for e in proxy.admin("GET", DEPLOY).json()["shift"]["log"]].count("observing") == 2, "it to go on")
    assert round(weights(proxy)["green"]) in (50, 5000)
    assert proxy.cli("shift", "acme/shop", "--promote").code == 0
    state("done")
    assert weights(proxy) == {"blue": 0, "green": 100} and proxy.get("/").body == b"green"


def test_what_fails_its_last_check_again_and_again_is_told_of_once(shop, green, refused_port):
    proxy = shop({"health": None})
    deploy(proxy, "--pool", "green", "--backends", f"{green},{refused_port}", "--healthy-within", "1h", "--no-wait")
    document = lambda: proxy.admin("GET", DEPLOY).json()
    failed = f"the last check to {refused_port} failed: the backend refused the connection"
    eventually(lambda: document()["why"] == failed, "the last check")
    begun = document()["serial"]
    eventually(lambda: document()["serial"] >= begun + 4, "two checks more")
    assert [(e["state"], e["text"]) for e in document()["log"]] == [
        ("beginning", "is being stored"), ("setting", "the pool gets its backends"), ("checking", "waiting until every backend is healthy"),
        ("warming", "every backend is asked once more"), ("checking", failed)]
    assert proxy.cli("deploy", "acme/shop", "--abort").code == 0
    r = deploy(proxy, "--pool", "green", "--backends", refused_port, "--healthy-within", "100ms", code=3)
    assert f"not every backend has become healthy in time: {failed}" in r.err
    assert weights(proxy) == {"blue": 100, "green": 0}


def test_an_aborted_deploy_is_said_to_be_so_once(shop, green, refused_port):
    proxy = shop()
    deploy(proxy, "--pool", "green", "--backends", refused_port, "--healthy-within", "1h", "--no-wait")
    eventually(lambda: "checking" in deploy(proxy, "--status").out, "the backends to be set")
    assert deploy(proxy, "--abort", "--author", "ann").out == "acme/shop/green: aborted by ann (uid:0)\n"


def test_ctrl_c_at_a_terminal_ends_the_view_and_not_the_deploy(shop, green, refused_port):
    proxy = shop()
    terminal, theirs = pty.openpty()
    p = subprocess.Popen([edge_module.WEIR, "deploy", "acme/shop", "--pool", "green", "--backends", str(refused_port), "--healthy-within", "1h"],
        stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "WEIR_SOCKET": str(proxy.dir / "admin.sock"), "TERM": "vt100"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # a shell's background jobs ignore it, and what they start
    os.close(theirs)
    seen = b""
    while b"checking" not in seen:
        seen += os.read(terminal, 65536)
    assert b"Ctrl-C ends this view, not the deploy; --abort does that" in seen
    p.send_signal(signal.SIGINT)
    assert p.wait(PATIENCE) == -signal.SIGINT
    os.close(terminal)
    assert "checking" in deploy(proxy, "--status").out


def test_it_tells_each_thing_once(shop, green):
    r = deploy(shop(), "--pool", "green", "--backends", green)
    states = [line.split()[1] for line in r.out.splitlines()]
    for state in ("beginning", "setting", "shifting", "stepping", "done"):  # a check that is late makes it check and warm again
        assert states.count(state) == 1, r.out
    assert states[0] == "beginning" and states[-1] == "done", r.out


def test_who_is_no_admin_has_weir_ask_only_judges_of_the_file(edge, blue, green, origin):
    judge, other = origin("judge"), origin("other")
    token = {"name": "pipeline", "role": "operator", "tenants": ["acme"], "sha256": hashlib.sha256(b"pipeline").hexdigest()}
    proxy = edge(site(pools={"blue": pool(blue, weight=100), "green": pool(green, weight=0)},
                      admin={"listen": "127.0.0.9:0", "tokens": [token], "judges": [f"http://{judge}"]}))

    def ask(path, body):
        with Client(proxy.address("admin.listen")) as c:
            return c.request("POST", path, {"Authorization": "Bearer pipeline", "Content-Type": "application/json"}, json.dumps(body).encode(), host="localhost")
    for url in (f"http://{other}/", f"https://{judge}/", f"http://{judge}0/", f"http://{judge}@{other}/", f"http://{judge}.evil.test/"):
        plan = {"pool": "green", "steps": [100], "hook": {"url": url}}
        asks_prometheus = {"pool": "green", "steps": [100], "prometheus": {"url": url, "query": "up", "max": 1}}
        for path, body in (("/v1/services/acme/shop/shift", plan), ("/v1/services/acme/shop/shift", asks_prometheus),
                           (DEPLOY, {"pool": "green", "shift": {"steps": [100], "hook": {"url": url}}})):
            r = ask(path, body)
            assert r.status == 403 and r.json()["reason"] == "judge" and "admin.judges" in r.json()["detail"], (url, r.body)
    assert not other.requests and weights(proxy) == {"blue": 100, "green": 0}
    assert ask(DEPLOY, {"pool": "green", "shift": {"steps": [100], "every": "500ms", "hook": {"url": f"http://{judge}/verdict"}}}).status == 201
    proxy.wait_event("deploy", state="done")
    assert judge.last.target == "/verdict"
