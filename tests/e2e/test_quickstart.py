"""What a newcomer meets: the bundled configuration in front of the bundled demo backends."""
import collections
import os
import signal
import subprocess

import pytest
import yaml

from support import edge as edge_module
from support.config import pool, site
from support.edge import ROOT, run
from support.wire import PATIENCE, RefusedPort, connect, eventually

QUICKSTART = ROOT / "conf" / "quickstart.yaml"


@pytest.fixture
def demo(started):
    """demo(name) starts `weir demo-backend`; its address."""
    class Demo:
        def __init__(self, name):
            kept = RefusedPort()  # for the process
            started.append(kept)
            self.address = str(kept)
            self.process = subprocess.Popen([edge_module.WEIR, "demo-backend", "--listen", self.address, "--name", name],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
            started.append(self)
            eventually(self.accepts, lambda: f"the demo backend at {self.address} (it {self.process.poll()})")

        def accepts(self):
            try:
                host, port = self.address.split(":")
                connect((host, int(port))).close()
                return True
            except OSError:
                return False

        def close(self):
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.communicate(timeout=PATIENCE)
    return Demo


def test_the_quickstart_is_a_good_configuration(tmp_path, pki):
    """Its certificate is made on the spot by `make run`; here another stands in for it."""
    document = yaml.safe_load(QUICKSTART.read_text())
    cert = pki.server("localhost")
    for listener in document["listeners"].values():
        if listener.get("tls"):
            listener["tls"]["certificates"] = [cert.conf()]
    path = tmp_path / "quickstart.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    r = run("check", "-c", path)
    assert r.code == 0, r.err + r.out


def test_the_quickstart_is_what_the_readme_says():
    document = yaml.safe_load(QUICKSTART.read_text())
    addresses = [listener["address"] for listener in document["listeners"].values()]
    assert any("8080" in a for a in addresses) and any("8443" in a for a in addresses)
    pools = [p for t in document["tenants"].values() for s in t["services"].values() for p in s["pools"]]
    assert {"blue", "green"} <= set(pools)


def test_the_demo_backends_say_who_they_are(edge, demo):
    blue, green = demo("blue"), demo("green")
    proxy = edge(site(pools={"blue": pool(blue.address, weight=90), "green": pool(green.address, weight=10)}))
    with proxy.connect() as c:
        bodies = [c.get("/").body.decode() for _ in range(1000)]
    got = collections.Counter("green" if "green" in b else "blue" if "blue" in b else "neither" for b in bodies)
    assert got["neither"] == 0 and abs(got["green"] - 100) <= 10
    with proxy.connect2() as c:
        assert c.get("/").status == 200


def test_a_newcomer_may_type_curl(edge, demo):
    proxy = edge(site(demo("blue").address, hosts=["*"]))
    for flag in ("--http1.1", "--http2-prior-knowledge"):
        p = subprocess.run(["curl", "-sS", flag, proxy.url("/")], capture_output=True, text=True, timeout=PATIENCE * 2)
        assert "blue" in p.stdout, p.stderr


@pytest.fixture
def quickstart(tmp_path, started):
    """quickstart(dir) runs what `make run` runs, on ports of its own, with a copy of the configuration; once it serves."""
    class Quickstart:
        def __init__(self, directory):
            kept = {name: RefusedPort() for name in ("HTTP_PORT", "HTTPS_PORT", "ADMIN_PORT", "BLUE_PORT", "GREEN_PORT")}
            started.extend(kept.values())
            self.port = kept["HTTP_PORT"].port
            self.conf = tmp_path / "quickstart.yaml"
            self.conf.write_text(QUICKSTART.read_text())
            self.log = tmp_path / "log"
            env = {**os.environ, **{name: str(p.port) for name, p in kept.items()}, "WEIR": edge_module.WEIR, "CONF": str(self.conf),
                   "QUICKSTART_DIR": str(directory), "ADMIN_SOCKET": str(directory / "admin.sock")}
            self.process = subprocess.Popen([ROOT / "conf" / "run-quickstart"], env=env, stdout=self.log.open("w"),
                stderr=subprocess.STDOUT, start_new_session=True)
            started.append(self)
            self.socket = directory / "admin.sock"
            eventually(lambda: '"ready"' in self.said() or self.process.poll() is not None, self.said)

        def said(self):
            return self.log.read_text()

        def cli(self, *args):
            return run(*args, "--socket", self.socket)

        def close(self):
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGTERM)
                self.process.wait(PATIENCE * 2)
    return Quickstart


def test_make_run_serves_tells_what_to_try_and_ends_with_all_that_it_began(quickstart, tmp_path):
    q = quickstart(tmp_path / "q")
    assert q.process.poll() is None, q.said()
    assert "No such file" not in q.said() and f"http://localhost:{q.port}/" in q.said() and f"export WEIR_SOCKET={q.socket}" in q.said()
    page = subprocess.run(["curl", "-sS", f"http://localhost:{q.port}/"], capture_output=True, text=True, timeout=PATIENCE * 2)
    assert "hello from" in page.stdout, page.stderr
    q.conf.write_text(q.conf.read_text().replace("weight: 90", "weight: 50"))
    r = q.cli("reload")
    assert r.code == 0 and r.out == "generation 2 is served\n  ~ pool demo/hello/blue: weight 90 -> 50\n", r.out + r.err
    assert "demo/hello/green" in q.cli("status").out
    os.killpg(q.process.pid, signal.SIGINT)
    q.process.wait(PATIENCE * 2)
    eventually(lambda: q.cli("status").code == 1, "weir to be gone")
