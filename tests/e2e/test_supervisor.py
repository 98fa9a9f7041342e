"""The supervisor and its worker process: what it starts, restarts, stops, and what it tells."""
import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from support import edge as edge_module
from support import http1
from support.answers import Gate, hang, in_turn, reply
from support.config import http, pool, site
from support.edge import SANITIZED
from support.http1 import build
from support.load import Load
from support.processes import go_on, halt
from support.wire import PATIENCE, eventually

ROOT = os.geteuid() == 0


@pytest.fixture
def shop(origin):
    return origin("shop")


def status_of(pid):
    """/proc/PID/status as a dict; empty when the process has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def kill_worker(proxy, number=signal.SIGKILL):
    """Kills the worker process and waits until another serves. Returns (its PID, the next's)."""
    dead = proxy.worker_pid()
    ready = len(proxy.events("ready"))
    os.kill(dead, number)
    proxy.wait_event("ready", n=ready + 1)
    return dead, proxy.worker_pid()


# -- two processes --

def test_a_small_supervisor_holds_the_sockets_and_a_worker_process_serves(edge, shop):
    proxy = edge(site(shop))
    supervisor, worker = proxy.pids()
    assert supervisor == proxy.process.pid
    assert proxy.get("/").body == b"shop"
    assert int(status_of(supervisor)["Threads"]) == 1
    assert int(status_of(worker)["Threads"]) >= 4  # control, I/O, two workers
    assert status_of(worker)["NoNewPrivs"] == "1"
    assert status_of(worker)["CapAmb"] == "0" * 16


def test_the_private_command_is_hidden_and_of_no_use_to_users(edge):
    assert "worker-process" not in edge_module.run("help").out
    p = edge_module.run("worker-process", "-c", "/dev/null")
    assert p.code == 2 and "weir run" in p.err


def test_signals_to_the_worker_process_change_nothing(edge, shop):
    """One that is sent to a whole group or cgroup must count once."""
    proxy = edge(site(shop))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(proxy.worker_pid(), number)
    assert proxy.get("/").status == 200
    assert not proxy.events("stopping") and not proxy.events("reload")


def test_a_sigterm_to_the_whole_group_lets_requests_finish(edge, shop):
    gate = shop.always(Gate())
    proxy = edge(site(shop, timeouts={"shutdown": "30s"}))
    with proxy.connect() as c:
        c.send(build("GET", "/"))
        gate.wait_arrived()
        os.killpg(proxy.process.pid, signal.SIGTERM)
        proxy.wait_event("stopping")
        gate.open()
        assert c.response().body == b"through the gate"
    assert proxy.wait_exit() == 0


# -- death and restart --

def test_a_killed_worker_process_is_replaced_on_the_same_sockets(edge, shop):
    proxy = edge(site(shop))
    address = proxy.address()
    dead, alive = kill_worker(proxy)
    assert dead != alive and proxy.address() == address
    assert proxy.get("/").body == b"shop"
    event = proxy.wait_event("worker_died")
    assert event["pid"] == dead and event["signal"] == "SIGKILL" and event["restart_in_ms"] == 0
    assert f"PID {dead}" in proxy.stderr()


def test_kill_9_under_load_refuses_no_connection_and_recovers_at_once(edge, shop):
    """New connections all the time: each is accepted by the kernel, and answered, or cut because its process died."""
    proxy = edge(site(shop))
    address, stop, refused, done = proxy.address(), threading.Event(), [], []

    def ask():
        while not stop.is_set():
            try:
                with http1.Client(address) as c:
                    if c.get("/", host="acme.test").status == 200:
                        done.append(time.monotonic())
            except ConnectionRefusedError as e:
                refused.append(e)
            except (OSError, http1.Closed):
                pass  # it had been accepted by the one that died
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for t in threads:
        t.start()
    gaps = []
    for _ in range(3):
        so_far = len(done)
        eventually(lambda: len(done) > so_far + 20, "answers")
        killed = time.monotonic()
        os.kill(proxy.worker_pid(), signal.SIGKILL)
        gaps.append(eventually(lambda: next((t for t in reversed(done) if t > killed + 0.001), None), "an answer after the death") - killed)
        proxy.wait_event("ready", n=len(gaps) + 1)
    stop.set()
    for t in threads:
        t.join()
    print("recovered within", [f"{g * 1000:.0f} ms" for g in gaps])
    assert not refused
    assert SANITIZED or min(gaps) < 3.0  # 200 ms on a machine that does nothing else


def test_connections_that_wait_in_the_queue_are_served_by_the_next_process(edge, shop):
    proxy = edge(site(shop), workers=1)
    worker = proxy.worker_pid()
    halt(worker)  # accepts nothing any more
    with proxy.connect() as c:
        c.send(build("GET", "/"))
        os.kill(worker, signal.SIGKILL)
        assert c.response().body == b"shop"


def test_a_crash_tells_the_signal_the_thread_and_the_stack(edge, shop):
    proxy = edge(site(shop))
    proxy.reload(site(shop, limits={"header_count": 77}))
    dead, _ = kill_worker(proxy, signal.SIGABRT)
    event = proxy.wait_event("worker_died")
    assert event["pid"] == dead and event["signal"] == "SIGABRT" and event["thread"]
    assert any("weir" in frame for frame in event["stack"])
    assert event["last_reload"]["outcome"] == "applied" and event["uptime_ms"] >= 0
    assert event["stack"][0] in proxy.stderr()
    assert proxy.get("/").status == 200


def test_the_next_process_knows_who_is_up_and_who_is_down(edge, shop, refused_port):
    """No check of the next process ever ends: it serves at once by what was known, and asks nobody who was down first."""
    shop.on("/healthz", in_turn(reply(200), hang))
    conf = site(pools={"blue": pool(shop, refused_port)}, service={"retries": {"attempts": 1},
        "health": {"http": {"path": "/healthz"}, "interval": "100s", "timeout": "60s", "rise": 1, "fall": 1}})
    proxy = edge(conf)
    proxy.wait_event("health", to="down")
    proxy.wait_event("health", to="up")
    before = len(proxy.events("health"))
    # Told at the end of the tick in which it was learned; control answers in a later one.
    assert proxy.admin("GET", "/v1/status").status == 200
    kill_worker(proxy)
    for _ in range(6):
        assert proxy.get("/").body == b"shop"
    assert len(proxy.events("health")) == before
    assert proxy.events("ready")[-1]["generation"] == 2


def test_one_that_dies_again_and_again_is_started_ever_more_slowly(edge, shop):
    proxy = edge(site(shop))
    for _ in range(4):
        kill_worker(proxy)
    proxy.wait_event("worker_died", n=4)
    delays = [e["restart_in_ms"] for e in proxy.events("worker_died")]
    assert delays == [0, 100, 200, 400]
    assert proxy.get("/").status == 200


def test_reloads_and_new_listeners_work_after_a_restart(edge, shop):
    proxy = edge(site(shop, listeners={"http": http()}))
    kill_worker(proxy)
    proxy.reload(site(shop, listeners={"http": http(), "more": http()}))
    proxy.wait_event("listening", listener="more")
    with proxy.connect("more") as c:
        assert c.get("/").status == 200
    proxy.reload(site(shop, listeners={"more": http()}))
    kill_worker(proxy)
    with proxy.connect("more") as c:
        assert c.get("/").status == 200


def test_a_reload_that_was_asked_for_during_the_restart_is_not_lost(edge, shop, origin):
    other = origin("other")
    proxy = edge(site(shop))
    halt(proxy.process.pid)
    os.kill(proxy.worker_pid(), signal.SIGKILL)
    proxy.configure(site(other))
    proxy.signal(signal.SIGHUP)
    go_on(proxy.process.pid)
    eventually(lambda: proxy.get("/").body == b"other", "the new configuration")


def test_a_unix_listener_survives_the_death_of_its_process(edge, shop):
    proxy = edge(site(shop, listeners={"local": {"address": "unix:s", "unix_mode": "0600"}}))
    path = proxy.dir / "s"
    before = path.stat()
    assert before.st_mode & 0o777 == 0o600
    kill_worker(proxy)
    assert path.stat().st_ino == before.st_ino
    with http1.Client(f"unix:{path}") as c:
        assert c.get("/").status == 200
    proxy.stop()
    assert not path.exists()


def test_fewer_workers_after_a_restart_leave_no_socket_to_nobody(edge, shop):
    proxy = edge(site(shop), workers=3)
    proxy.configure(site(shop, workers=1))
    kill_worker(proxy)
    assert proxy.events("ready")[-1]["workers"] == 1
    for _ in range(30):  # the kernel spreads them over three sockets
        assert proxy.get("/").status == 200


def test_more_workers_after_a_restart_share_the_sockets(edge, shop):
    proxy = edge(site(shop), workers=1)
    proxy.configure(site(shop, workers=3))
    kill_worker(proxy)
    assert proxy.events("ready")[-1]["workers"] == 3
    for _ in range(10):
        assert proxy.get("/").status == 200


def test_without_its_supervisor_the_worker_process_finishes_and_ends(edge, shop):
    gate = shop.always(Gate())
    proxy = edge(site(shop, timeouts={"shutdown": "30s"}))
    worker = proxy.worker_pid()
    with proxy.connect() as c:
        c.send(build("GET", "/"))
        gate.wait_arrived()
        proxy.signal(signal.SIGKILL)
        proxy.stopped = True
        proxy.process.wait()
        proxy.wait_event("supervisor_gone")
        gate.open()
        assert c.response().body == b"through the gate"
    eventually(lambda: status_of(worker).get("State", "Z").startswith("Z"), "its end")


# -- start --

def test_what_cannot_start_says_why_once_and_ends(edge, shop):
    proxy = edge("tenants: [", wait=False)
    assert proxy.wait_exit() == 1
    assert proxy.stderr().count("not started") == 1
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    proxy = edge(site(shop, listeners={"http": http(address="127.0.0.1:%d" % taken.getsockname()[1])}), wait=False)
    assert proxy.wait_exit() == 1
    assert proxy.stderr().count("not started") == 1 and "another program" in proxy.stderr()
    taken.close()


def test_a_user_that_does_not_exist_is_refused(edge, shop):
    proxy = edge(site(shop, user="nobody-of-that-name"), wait=False)
    assert proxy.wait_exit() == 1
    assert "there is no such user" in proxy.stderr()


# -- privileges --

@pytest.mark.skipif(not ROOT, reason="needs root")
def test_privileges_are_dropped_for_good(edge, shop):
    nobody = pwd.getpwnam("nobody")
    proxy = edge(site(shop, user="nobody", listeners={"http": http(), "local": {"address": "unix:s"}}), open_to_all=True)
    supervisor, worker = proxy.pids()
    assert proxy.get("/").status == 200
    assert status_of(supervisor)["Uid"].split()[0] == "0"
    status = status_of(worker)
    assert set(status["Uid"].split()) == {str(nobody.pw_uid)} and set(status["Gid"].split()) == {str(nobody.pw_gid)}
    assert "0" not in status["Groups"].split()
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[capabilities], 16) == 0
    local = (proxy.dir / "s").stat()
    assert (local.st_uid, local.st_gid, local.st_mode & 0o777) == (0, nobody.pw_gid, 0o660)
    assert (proxy.dir / "access.log").stat().st_uid == nobody.pw_uid
    assert (proxy.dir / "state").stat().st_uid == nobody.pw_uid


@pytest.mark.skipif(not ROOT, reason="needs root")
def test_state_admin_socket_and_cookie_key_are_the_unprivileged_users(edge, origin, shop):
    """The whole of state_dir is made for him, parents too, and what is changed at run time outlives a crash there."""
    nobody = pwd.getpwnam("nobody")
    pools = {"blue": pool(shop, weight=100), "green": pool(origin("green"), weight=0)}
    proxy = edge(site(pools=pools, service={"split": {"sticky": "cookie"}}, user="nobody", state_dir="deep/er/state"), open_to_all=True)
    state = proxy.dir / "deep" / "er" / "state"
    assert state.stat().st_uid == nobody.pw_uid and state.stat().st_mode & 0o007 == 0
    assert {f.name: f.stat().st_uid for f in (state / "state.db", state / "cookie.key")} == {"state.db": nobody.pw_uid, "cookie.key": nobody.pw_uid}
    weir = shutil.copy(edge_module.WEIR, proxy.dir / "weir")  # nobody may not reach a clone in root's home
    r = subprocess.run([weir, "weights", "acme/shop", "blue=0", "green=1"], env={**os.environ, "WEIR_SOCKET": str(proxy.dir / "admin.sock")},
        user="nobody", group=nobody.pw_gid, extra_groups=[], capture_output=True, timeout=PATIENCE)
    assert r.returncode == 0, r.stderr
    kill_worker(proxy)
    assert proxy.get("/").body == b"green"
    assert not proxy.events("cookie_secret") and not proxy.events("state_unwritable")


@pytest.mark.skipif(not ROOT, reason="needs root")
def test_an_unprivileged_worker_gets_new_privileged_ports_and_logs_from_its_supervisor(edge, shop):
    proxy = edge(site(shop, user="nobody"), open_to_all=True)
    port = next(p for p in range(1000, 1023) if free(p))
    proxy.reload(site(shop, user="nobody", listeners={"low": http(address=f"127.0.0.1:{port}")}))
    with proxy.connect("low") as c:
        assert c.get("/").status == 200
    (proxy.dir / "access.log").rename(proxy.dir / "access.log.1")
    proxy.signal(signal.SIGUSR1)
    eventually((proxy.dir / "access.log").exists, "the new log")

    def in_the_new_log():  # the worker is given it a moment after it was made
        with proxy.connect("low") as c:
            assert c.get("/after").status == 200
        return any(r["path"] == "/after" for r in proxy.access_log())
    eventually(in_the_new_log, "requests in the new log")


def free(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


# -- as PID 1 --

@pytest.mark.skipif(not ROOT, reason="needs root")
def test_as_pid_1_it_reaps_orphans_and_stops_on_sigterm(edge, shop):
    proxy = edge(site(shop), wrap=["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"])
    unshare, init, worker = proxy.pids()[:3]
    assert Path(f"/proc/{init}/status").read_text().split("NSpid:")[1].split("\n")[0].split()[-1] == "1"
    assert proxy.get("/").status == 200
    orphan = subprocess.run(["nsenter", "-t", str(init), "-p", "sh", "-c", "(sleep 0.1 & echo)"], capture_output=True, timeout=PATIENCE)
    assert orphan.returncode == 0

    def zombies():
        return [p for p in proxy.pids() if status_of(p).get("State", "").startswith("Z")]
    eventually(lambda: not zombies() and len(proxy.pids()) == 3, "the orphan to be reaped")
    os.kill(worker, signal.SIGKILL)
    proxy.wait_event("ready", n=2)
    assert proxy.get("/").status == 200
    os.kill(init, signal.SIGTERM)
    assert proxy.wait_exit() == 0


# -- stopping --

def test_sigterm_under_load_answers_every_accepted_request(edge, shop):
    proxy = edge(site(shop, timeouts={"shutdown": "30s"}))
    stopping = threading.Event()
    cut = []

    def ask():
        try:
            while True:
                with proxy.connect() as c:
                    for _ in range(5):
                        c.send(build("GET", "/"))
                        try:
                            r = c.response()
                        except (http1.Closed, OSError) as e:
                            if not stopping.is_set():
                                cut.append(e)
                            return
                        if r.status != 200:
                            cut.append(r.status)
                        if r.header("connection", "").lower() == "close":
                            break
        except OSError as e:
            if not stopping.is_set():
                cut.append(e)
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for t in threads:
        t.start()
    eventually(lambda: len(proxy.access_lines()) > 100, "load")
    stopping.set()
    proxy.signal(signal.SIGTERM)
    assert proxy.wait_exit() == 0
    for t in threads:
        t.join()
    assert not cut
    assert {r["status"] for r in proxy.access_log()} == {200}


def test_a_second_sigterm_stops_at_once(edge, shop):
    shop.always(Gate())
    proxy = edge(site(shop, timeouts={"shutdown": "0s"}))
    with proxy.connect() as c:
        c.send(build("GET", "/"))
        eventually(lambda: shop.count == 1, "the request at the backend")
        proxy.signal(signal.SIGTERM)
        proxy.wait_event("stopping", drain=True)
        proxy.signal(signal.SIGTERM)
        proxy.wait_event("stopping", drain=False, why="told again")
        assert proxy.wait_exit() == 0


def test_it_can_be_stopped_while_no_worker_process_runs(edge, shop):
    proxy = edge(site(shop))
    for _ in range(3):
        kill_worker(proxy)
    os.kill(proxy.worker_pid(), signal.SIGKILL)
    proxy.signal(signal.SIGTERM)
    assert proxy.wait_exit() in (0, 1)  # 1: it was told of the stop before the death


# -- storms --

def test_two_hundred_broken_configurations_in_a_row_are_no_outage(edge, shop):
    good = site(shop)
    proxy = edge(good)
    with Load(proxy.address(), h1=1, h2=1) as load:
        for i in range(200):
            proxy.configure(f"listeners: {{broken{i}: [")
            proxy.signal(signal.SIGHUP)
            if i % 20 == 19:
                load.wait_more(5)
        proxy.reload("nothing: good", outcome="refused")
        load.wait_more(20)
    assert not load.failures
    assert proxy.get("/").status == 200 and len(proxy.worker_pids()) == 1


def test_a_hundred_sighups_a_second_are_coalesced(edge, shop):
    proxy = edge(site(shop))
    with Load(proxy.address(), h1=1, h2=1) as load:
        for i in range(200):
            if i % 10 == 0:
                proxy.configure(site(shop, limits={"header_count": 50 + i}))
            proxy.signal(signal.SIGHUP)
            time.sleep(0.01)  # the rate is the point
        proxy.reload(site(shop, limits={"header_count": 999}), outcome=None)
        load.wait_more(20)
    assert not load.failures
    assert len(proxy.events("reload")) <= 201
    assert all(e.get("generations_alive", 1) <= 2 for e in proxy.events("reload"))
