"""What weir promises about a deploy, at full size: 2,000 requests a second, WebSockets open, users who must not move back. `make soak`."""
import collections
import subprocess
import threading
import time

import pytest

from support.config import pool, site
from support.process_origin import ProcessOrigin
from support.websocket import TEXT, OverHttp1
from support.wire import eventually

RATE = 2000  # requests a second, half of them HTTP/1.1, half HTTP/2
SOCKETS = 50
USERS = 200
HEALTH = {"http": {"path": "/healthz", "host": "acme.test"}, "interval": "500ms", "timeout": "5s", "rise": 1, "fall": 3}


def say(text):
    print(f"\nsoak: {text}", flush=True)


class Crowd:
    """h2load in both protocols at a steady pace."""

    def __init__(self, proxy, directory, seconds, path="/"):
        self.files = [directory / f"h{i}.log" for i in (1, 2)]
        self.processes = [
            subprocess.Popen(["h2load", *more, "-n", str(RATE // 2 * seconds), "-c", "20", "--rps", str(RATE // 40), f"--log-file={file}",
                              "-H", ":authority: acme.test", proxy.url(path)], stdout=subprocess.PIPE, text=True)
            for file, more in zip(self.files, (["--h1"], ["-m", "10"]))]

    def statuses(self):
        """How often each, once all have come; -1: none."""
        for p in self.processes:
            p.communicate()
        return collections.Counter(int(line.split("\t")[1]) for f in self.files for line in f.read_text().splitlines())

    def close(self):
        for p in self.processes:
            p.kill()
            p.wait()
            p.stdout.close()


class Sticky(threading.Thread):
    """Users with an id, round after round: each moves once at most, and forwards."""

    def __init__(self, proxy):
        super().__init__(daemon=True)
        self.proxy, self.over, self.rounds, self.moves, self.wrong = proxy, threading.Event(), 0, 0, []
        self.start()

    def run(self):
        pools = [""] * USERS
        with self.proxy.connect() as c:
            while not self.over.is_set():
                for u in range(USERS):
                    r = c.get("/", {"X-User": f"user-{u}"})
                    now = r.header("x-backend") if r.status == 200 else ""
                    self.moves += pools[u] == "blue" and now == "green"
                    if not now or (pools[u] == "green" and now == "blue"):
                        self.wrong.append((u, pools[u], now, r.status))
                    pools[u] = now
                self.rounds += 1

    def finish(self):
        self.over.set()
        self.join()


def shares(proxy, steps):
    """[(wanted, got, requests)]: of those without an id that began while a step was in force on all workers."""
    lines = [(r["time"], r["pool"]) for r in proxy.access_log() if r.get("split") == "turn" and r.get("path") == "/"]
    times = {}
    for e in proxy.events("shift"):
        times.setdefault((e["state"], e["share"]), e["time"])
    for i, step in enumerate(steps):
        begun = times["observing", step]
        end = times["stepping", steps[i + 1]] if i + 1 < len(steps) else "9"
        seen = [p for t, p in lines if begun < t < end]
        yield step, 100 * seen.count("green") / len(seen), len(seen)


@pytest.fixture
def origins(started):
    def start(*names):
        new = [ProcessOrigin(n) for n in names]
        started.extend(new)
        return new
    return start


def test_a_deploy_under_2_000_requests_a_second(edge, origins, started, tmp_path):
    blue, green = origins("blue", "green")
    proxy = edge(site(pools={"blue": pool(blue, weight=100), "green": pool(weight=0)}, service={"health": HEALTH, "split": {"sticky": "header:X-User"}}))
    sockets = [OverHttp1(proxy.connect(), "/ws") for _ in range(SOCKETS)]
    crowd = Crowd(proxy, tmp_path, 45)
    started.append(crowd)
    users = Sticky(proxy)
    eventually(lambda: users.rounds > 1, "all users to come once", 60)
    began = time.monotonic()
    r = proxy.cli("deploy", "acme/shop", "--pool", "green", "--backends", green, "--shift", "1,5,25,50,100", "--every", "5s", "--max-error-rate", "1%",
                  "--min-samples", "50", patience=300)
    took = time.monotonic() - began
    assert r.code == 0, (r.out, r.err)
    users.finish()
    answers = crowd.statuses()
    for w in sockets:
        w.send(TEXT, b"still here")
        assert w.receive() == (TEXT, b"still here")
        w.close()
    found = list(shares(proxy, [1, 5, 25, 50, 100]))
    say(f"deploy in {took:.0f} s at {RATE} requests/s: {sum(answers.values())} requests, answers {dict(answers)}, {SOCKETS} WebSockets open, "
        f"{users.rounds * USERS} requests of {USERS} users of whom {users.moves} moved; shares " + ", ".join(f"{w}%: {g:.2f}% of {n}" for w, g, n in found))
    assert set(answers) == {200}, answers
    assert not users.wrong and users.moves <= USERS, users.wrong[:5]
    assert all(abs(want - got) <= 1 for want, got, _ in found), found


@pytest.mark.parametrize("what, fault, path, limits, says", [
    ("fails 2%", {"abort": {"status": 500, "share": "2%"}}, "/", ["--max-error-rate", "1%"], "error rate"),
    ("is twice as slow", {"delay": {"share": "100%", "for": "40ms"}}, "/slow?ms=40", ["--max-p50", "1.5x"], "p50"),
])
def test_a_green_that_is_worse_is_back_within_one_window(edge, origins, started, tmp_path, what, fault, path, limits, says):
    blue, green = origins("blue", "green")
    worse = edge(site(pools={"only": pool(green)}, routes=[{"path": "/healthz", "service": "shop"},
                                                                {"path": "/", "service": "shop", "modules": {"fault": fault}}]))
    host, port = worse.address()
    proxy = edge(site(pools={"blue": pool(blue, weight=100), "green": pool(f"{host}:{port}", weight=0)}, service={"health": HEALTH}))
    crowd = Crowd(proxy, tmp_path, 30, path)
    started.append(crowd)
    r = proxy.cli("deploy", "acme/shop", "--pool", "green", "--shift", "10,50,100", "--every", "10s", *limits, "--min-samples", "500", patience=120)
    shift = proxy.admin("GET", "/v1/services/acme/shop/shift").json()
    at = {}
    for e in shift["log"]:
        at.setdefault(e["state"], e["time_ms"])
    took = (at["rolled_back"] - at["observing"]) / 1000
    answers = crowd.statuses()
    say(f"a green that {what}: exit {r.code}, back {took:.1f} s after its first step: {shift['why']}; answers {dict(answers)}")
    assert r.code == 5 and says in shift["why"] and took <= 10, (r.code, r.err, took)
    weights = {n: p["effective_weight"] for n, p in proxy.admin("GET", "/v1/services/acme/shop/weights").json()["pools"].items()}
    assert weights == {"blue": 100, "green": 0}
    assert set(answers) <= {200, 500}
