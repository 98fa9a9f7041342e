"""SIGUSR2: another program takes over, and nobody who is connected notices; one that cannot changes nothing."""
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from support import edge as edge_module
from support import http1, http2
from support.answers import Stepwise, pattern
from support.config import http, https, pool, site
from support.load import Load
from support.processes import go_on, halt
from support.prometheus import scrape
from support.websocket import TEXT, OverHttp1, echo
from support.wire import PATIENCE, eventually


@pytest.fixture
def shop(origin):
    return origin("shop")


@pytest.fixture
def program(tmp_path):
    """A copy of weir that may be replaced."""
    path = tmp_path / "weir"
    shutil.copy2(edge_module.WEIR, path)
    return path


def replace(program, content=None):
    """Puts another file at that path: a copy of weir, or these bytes."""
    new = program.with_suffix(".new")
    if content is None:
        shutil.copy2(edge_module.WEIR, new)
    else:
        new.write_bytes(content)
        new.chmod(0o755)
    new.rename(program)


def upgrade(proxy, outcome="applied"):
    """SIGUSR2, and the event that tells how it went."""
    before = len(proxy.events("upgrade"))
    proxy.signal(signal.SIGUSR2)
    proxy._eventually(lambda: len(proxy.events("upgrade")) > before, "the upgrade's event")
    event = proxy.events("upgrade")[-1]
    assert event["outcome"] == outcome, event
    return event


def said(ws, text):
    """Whether the WebSocket's echo comes back."""
    ws.send(TEXT, text.encode())
    return ws.receive() == (TEXT, text.encode())


def program_of(pid):
    return os.readlink(f"/proc/{pid}/exe")


def test_the_new_program_serves_under_the_same_pid_and_the_old_one_ends(edge, shop, program):
    proxy = edge(site(shop), program=program)
    supervisor, old = proxy.pids()
    address = proxy.address()
    assert proxy.get("/").status == 200
    replace(program)
    event = upgrade(proxy)
    assert event["old_pid"] == old and event["pid"] != old and event["version"] == event["from"]
    eventually(lambda: proxy.worker_pids() == [event["pid"]], "the old process to end")
    assert proxy.process.pid == supervisor and proxy.process.poll() is None
    eventually(lambda: program_of(supervisor) == program_of(event["pid"]) == str(program), "the new program everywhere")
    assert proxy.address() == address and proxy.get("/").body == b"shop"
    assert Path(f"/proc/{supervisor}/comm").read_text().strip() == Path(f"/proc/{event['pid']}/comm").read_text().strip() == "weir"
    assert not proxy.events("supervisor_stays") and not proxy.events("worker_died")


def test_everything_works_after_an_upgrade(edge, shop, origin, program):
    other = origin("other")
    proxy = edge(site(shop, listeners={"http": http()}), program=program)
    upgrade(proxy)
    proxy.reload(site(other, listeners={"http": http(), "more": http()}))
    proxy.wait_event("listening", listener="more")
    with proxy.connect("more") as c:
        assert c.get("/").body == b"other"
    ready = len(proxy.events("ready"))
    os.kill(proxy.worker_pid(), signal.SIGKILL)
    proxy.wait_event("ready", n=ready + 1)
    assert proxy.get("/").body == b"other"
    proxy.signal(signal.SIGUSR1)
    upgrade(proxy)
    assert proxy.get("/").body == b"other"
    proxy.stop()


def test_generations_go_on_counting(edge, shop, program):
    proxy = edge(site(shop), program=program)
    before = proxy.reload(site(shop, limits={"header_count": 55}))["generation"]
    upgrade(proxy)
    assert proxy.events("ready")[-1]["generation"] == before + 1


def test_upgrades_under_load_fail_no_request(edge, shop, program):
    proxy = edge(site(shop), program=program)
    with Load(proxy.address(), h1=2, h2=2) as load:
        for _ in range(5):
            load.wait_more(30)
            replace(program)
            upgrade(proxy)
        load.wait_more(30)
    assert not load.failures
    eventually(lambda: len(proxy.worker_pids()) == 1, "the old processes to end")


def test_slow_downloads_and_websockets_outlive_five_upgrades(edge, shop, program):
    parts = [pattern(20_000, i * 20_000) for i in range(6)]
    steps = [shop.on(f"/download/{i}", Stepwise(parts, length=120_000)) for i in range(6)]
    shop.on("/ws", echo())
    proxy = edge(site(shop), program=program)
    downloads = [proxy.connect() for _ in range(3)] + [proxy.connect2() for _ in range(3)]
    streams = []
    for i, c in enumerate(downloads):
        streams.append(c.send(http1.build("GET", f"/download/{i}")) if i < 3 else c.start(path=f"/download/{i}"))
    sockets = [OverHttp1(proxy.connect(), "/ws") for _ in range(4)]
    for n in range(5):
        for s in steps:
            s.step()
        upgrade(proxy)
        for ws in sockets:
            assert said(ws, f"after {n}")
    for s in steps:
        s.step(2)
    for i, c in enumerate(downloads):
        r = c.response() if i < 3 else c.response(streams[i])
        assert r.body == pattern(120_000)
    for thing in downloads + sockets:
        thing.close()
    eventually(lambda: len(proxy.worker_pids()) == 1, "the old processes to end")


def test_what_is_still_open_after_timeouts_upgrade_is_cut(edge, shop, program):
    steps = shop.on("/slow", Stepwise([b"a", b"b"], length=2))
    proxy = edge(site(shop, timeouts={"upgrade": "200ms", "shutdown": "60s"}), program=program)
    with proxy.connect() as slow:
        slow.send(http1.build("GET", "/slow"))
        steps.step()
        event = upgrade(proxy)
        cut = proxy.wait_event("stopping", why="timeouts.upgrade has passed")
        assert cut["pid"] == event["old_pid"]
        assert (cut["connections"], cut["requests"], cut["websockets"]) == (1, 1, 0)
        with pytest.raises(http1.Closed):
            slow.response()
    eventually(lambda: len(proxy.worker_pids()) == 1, "the old process to end")


def test_status_and_metrics_tell_of_an_older_process_until_it_has_ended(edge, shop, program):
    steps = shop.on("/slow", Stepwise([b"a", b"b"], length=2))
    shop.on("/ws", echo())
    proxy = edge(site(shop, timeouts={"upgrade": "600s"}), program=program)
    old = proxy.worker_pid()

    def older():
        return proxy.admin("GET", "/v1/status").json()["older_processes"]

    def left(p):
        return tuple(p[what] for what in ("pid", "connections", "requests", "websockets", "streams"))

    assert older() == [] and "older process" not in proxy.cli("status").out
    with proxy.connect() as slow, proxy.connect() as c:
        slow.send(http1.build("GET", "/slow"))
        steps.step()
        ws = OverHttp1(c, "/ws")
        assert said(ws, "before")
        event = upgrade(proxy)
        eventually(lambda: [left(p) for p in older()] == [(old, 2, 2, 1, 0)], "the new process to hear of the old one")
        assert 0 < older()[0]["ends_in_s"] <= 600 and older()[0]["version"] == event["from"]
        assert f"older process still finishes (pid {old}, " in proxy.cli("status").out
        metrics = scrape(proxy)
        assert metrics.value("weir_older_processes") == 1
        assert metrics.value("weir_older_left", what="connections") == 2
        # The one who serves dies: the next one learns of it too.
        os.kill(event["pid"], signal.SIGKILL)
        proxy._eventually(lambda: proxy.events("ready")[-1] and len(proxy.events("ready")) == 3, "another one to serve")
        eventually(lambda: [left(p) for p in older()] == [(old, 2, 2, 1, 0)], "that one to hear of the old one")
        steps.step()
        assert slow.response().body == b"ab" and said(ws, "after")
        eventually(lambda: [left(p) for p in older()] == [(old, 2, 1, 1, 0)], "less to be left")
    eventually(lambda: older() == [], "the old process to end")
    assert scrape(proxy).value("weir_older_processes") == 0
    assert proxy.wait_event("stopped")["pid"] == old


@pytest.mark.parametrize("how", ["the signal", "the command"])
def test_who_comes_after_the_outcome_was_told_meets_the_new_process(edge, origin, program, how):
    """The new process reads the file as it is now, the old one serves what it said before: their answers differ."""
    colours = [origin("blue"), origin("green")]
    proxy = edge(site(colours[0]), program=program)
    for n in (1, 0, 1):
        proxy.configure(site(colours[n]))
        if how == "the signal":
            upgrade(proxy)
        else:
            assert proxy.cli("upgrade").code == 0
        assert {proxy.get("/").body for _ in range(40)} == {colours[n].name.encode()}
    eventually(lambda: len(proxy.events("upgrade")) == 3, "an event of each")


def test_a_unix_listener_and_the_logs_are_shared_by_both(edge, shop, program):
    steps = shop.on("/slow", Stepwise([b"a", b"b"], length=2))
    proxy = edge(site(shop, listeners={"local": {"address": "unix:s"}}), program=program)
    address = f"unix:{proxy.dir}/s"
    inode = (proxy.dir / "s").stat().st_ino
    with http1.Client(address) as slow:
        slow.send(http1.build("GET", "/slow"))
        steps.step()
        upgrade(proxy)
        with http1.Client(address) as c:
            assert c.get("/new").status == 200
        proxy.logged(path="/new")
        steps.step(2)
        assert slow.response().body == b"ab"
    proxy.logged(path="/slow")
    assert (proxy.dir / "s").stat().st_ino == inode
    proxy.stop()
    assert not (proxy.dir / "s").exists()


def test_health_and_session_tickets_are_handed_over(edge, origin, refused_port, program, pki):
    """A backend that is down stays down without being asked again first; a TLS session goes on."""
    good = origin("good")
    conf = site(pools={"blue": pool(good, refused_port)}, service={"health": {"tcp": {}, "interval": "60s", "rise": 1, "fall": 1}},
        listeners={"https": https(pki.server("acme.test"))})
    proxy = edge(conf, program=program)
    proxy.wait_event("health", to="down")
    proxy.wait_event("health", to="up")
    before = len(proxy.events("health"))
    host, port = proxy.address("https")
    ask = ["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", "acme.test", "-tls1_2"]
    session = str(proxy.dir / "session")
    assert b"New, TLSv1.2" in subprocess.run([*ask, "-sess_out", session], input=b"", capture_output=True, timeout=PATIENCE).stdout
    upgrade(proxy)
    assert b"Reused, TLSv1.2" in subprocess.run([*ask, "-sess_in", session], input=b"", capture_output=True, timeout=PATIENCE).stdout
    for _ in range(6):
        with proxy.connect("https", tls=pki.client_context(), sni="acme.test") as c:
            assert c.get("/").body == b"good"
    assert len(proxy.events("health")) == before


# -- what fails --

BAD = {
    "garbage": b"\x7fELF, but not really",
    "a script": b"#!/bin/sh\nexit 3\n",
    "an empty file": b"",
}


@pytest.mark.parametrize("name", BAD)
def test_a_program_that_cannot_run_changes_nothing(edge, shop, program, name):
    proxy = edge(site(shop), program=program)
    pids = proxy.pids()
    replace(program, BAD[name])
    event = upgrade(proxy, outcome="failed")
    assert event["error"] and "upgrade failed" in proxy.stderr()
    eventually(lambda: proxy.pids() == pids, "the old processes alone")
    assert proxy.get("/").status == 200
    # It is not started in place of one that dies, either.
    ready = len(proxy.events("ready"))
    os.kill(proxy.worker_pid(), signal.SIGKILL)
    proxy.wait_event("ready", n=ready + 1)
    assert proxy.get("/").status == 200
    replace(program)
    upgrade(proxy)
    assert proxy.get("/").status == 200


def test_a_missing_program_changes_nothing(edge, shop, program):
    proxy = edge(site(shop), program=program)
    program.unlink()
    assert "No such file" in upgrade(proxy, outcome="failed")["error"]
    assert proxy.get("/").status == 200


def test_a_configuration_that_the_new_process_refuses_changes_nothing(edge, shop, program):
    proxy = edge(site(shop), program=program)
    proxy.configure("tenants: {broken: [")
    event = upgrade(proxy, outcome="failed")
    assert "weir.yaml" in event["error"] and "\n" not in event["error"]
    metrics = scrape(proxy)
    assert metrics.value("weir_upgrade_not_done_total", outcome="failed") == 1
    assert metrics.value("weir_upgrade_not_done_total", outcome="refused") == 0
    assert proxy.admin("GET", "/v1/status").json()["failed_upgrade"]["error"] == event["error"]
    assert f"this program goes on: {event['error']}\n" in proxy.cli("status").out
    assert proxy.get("/").status == 200
    proxy.reload(site(shop, limits={"header_count": 61}))
    upgrade(proxy)
    assert proxy.get("/").status == 200
    assert "failed_upgrade" not in proxy.admin("GET", "/v1/status").json()


def test_a_second_upgrade_meanwhile_is_refused_loudly(edge, shop, program):
    proxy = edge(site(shop), program=program)
    old = proxy.worker_pid()
    halt(old)  # it cannot say what it knows
    proxy.signal(signal.SIGUSR2)
    eventually(lambda: not signal_pending(proxy.process.pid, signal.SIGUSR2), "the first to begin")
    proxy.signal(signal.SIGUSR2)
    eventually(lambda: "refused: another upgrade is under way" in proxy.stderr(), "the refusal")
    go_on(old)
    assert proxy.wait_event("upgrade", outcome="refused")["error"] == "another upgrade is under way"
    proxy.wait_event("upgrade", outcome="applied")
    assert proxy.get("/").status == 200


def signal_pending(pid, number):
    fields = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    return bool(int(fields["ShdPnd"], 16) >> (number - 1) & 1)


def test_a_reload_during_an_upgrade_reaches_the_one_that_stays(edge, shop, origin, program):
    other = origin("other")
    proxy = edge(site(shop), program=program)
    old = proxy.worker_pid()
    halt(old)
    proxy.signal(signal.SIGUSR2)
    eventually(lambda: not signal_pending(proxy.process.pid, signal.SIGUSR2), "the upgrade to begin")
    proxy.configure(site(other))
    proxy.signal(signal.SIGHUP)
    go_on(old)
    proxy.wait_event("upgrade", outcome="applied")
    eventually(lambda: proxy.get("/").body == b"other", "the new configuration")


def test_a_death_of_the_old_process_during_an_upgrade_is_no_outage(edge, shop, program):
    proxy = edge(site(shop), program=program)
    old = proxy.worker_pid()
    halt(old)
    proxy.signal(signal.SIGUSR2)
    eventually(lambda: not signal_pending(proxy.process.pid, signal.SIGUSR2), "the upgrade to begin")
    os.kill(old, signal.SIGKILL)
    proxy.wait_event("ready", n=2)
    assert proxy.wait_event("upgrade", outcome="failed")
    assert proxy.get("/").status == 200


def test_sigterm_during_an_upgrade_stops_everything(edge, shop, program):
    proxy = edge(site(shop), program=program)
    old = proxy.worker_pid()
    halt(old)
    proxy.signal(signal.SIGUSR2)
    proxy.signal(signal.SIGTERM)
    go_on(old)
    assert proxy.wait_exit() == 0


def test_sigterm_while_the_new_process_starts_is_no_failure(edge, shop, program, tmp_path):
    proxy = edge(site(shop), program=program)
    slow = tmp_path / "slow"  # it never gets as far as to serve
    subprocess.run(["cc", "-x", "c", "-o", slow, "-"], input=b"int pause(void); int main(void) { return pause(); }", check=True)
    replace(program, slow.read_bytes())
    proxy.signal(signal.SIGUSR2)
    eventually(lambda: len(proxy.pids()) == 3, "the new process")
    proxy.signal(signal.SIGTERM)
    assert proxy.wait_exit() == 0


def test_many_at_once_become_one_or_are_refused(edge, shop, program):
    proxy = edge(site(shop), program=program)
    with Load(proxy.address(), h1=1, h2=1) as load:
        for _ in range(50):
            proxy.signal(signal.SIGUSR2)
        eventually(lambda: proxy.events("upgrade"), "an upgrade")
        load.wait_more(30)
    assert not load.failures
    assert proxy.get("/").status == 200


# -- weir upgrade --

def test_the_command_waits_and_finds_the_new_process(edge, shop, program):
    """Under load of both protocols, with downloads and WebSockets open: nothing of it notices."""
    parts = [pattern(20_000, i * 20_000) for i in range(3)]
    steps = [shop.on(f"/download/{i}", Stepwise(parts, length=60_000)) for i in range(2)]
    shop.on("/ws", echo())
    proxy = edge(site(shop), program=program)
    old = proxy.worker_pid()
    h1, h2 = proxy.connect(), proxy.connect2()
    h1.send(http1.build("GET", "/download/0"))
    stream = h2.start(path="/download/1")
    ws = OverHttp1(proxy.connect(), "/ws")
    assert said(ws, "before")
    for s in steps:
        s.step()
    with Load(proxy.address(), h1=1, h2=1) as load:
        load.wait_more(20)
        replace(program)
        r = proxy.cli("upgrade")
        assert r.code == 0, r.err
        event = proxy.wait_event("upgrade", outcome="applied")
        assert f"serves (PID {event['pid']})" in r.out and f"(PID {old}) finishes" in r.out
        status = proxy.cli("status", "--json").json()
        assert status["pid"] == event["pid"] and status["state"] == "serving"
        r = proxy.cli("upgrade", "--json")
        assert r.code == 0 and r.json()["outcome"] == "applied" and r.json()["old_pid"] == event["pid"]
        load.wait_more(20)
    assert not load.failures
    assert said(ws, "after")
    for s in steps:
        s.step(2)
    assert h1.response().body == h2.response(stream).body == pattern(60_000)
    for thing in (h1, h2, ws):
        thing.close()
    eventually(lambda: len(proxy.worker_pids()) == 1, "the old processes to end")


def test_who_has_come_to_the_admin_api_before_is_answered_after(edge, shop, program):
    """An HTTP/1.1 client whose new connection is closed without a word cannot know whether to ask again."""
    shop.on("/ws", echo())
    proxy = edge(site(shop), program=program)
    old = proxy.worker_pid()
    ws = OverHttp1(proxy.connect(), "/ws")
    address = f"unix:{proxy.dir / 'admin.sock'}"
    silent, slow = http1.Client(address), http1.Client(address)
    request = http1.build("GET", "/v1/status", [("Host", "weir")])
    slow.send(request[:20])
    assert proxy.admin("GET", "/v1/status").json()["pid"] == old  # so both were accepted
    assert proxy.cli("upgrade").code == 0
    silent.send(request)
    slow.send(request[20:])
    for c in (silent, slow):
        r = c.response()
        assert r.status == 200 and r.json()["pid"] == old and r.header("connection") == "close"
        c.close()
    assert said(ws, "after")
    ws.close()
    eventually(lambda: len(proxy.worker_pids()) == 1, "the old process to end")


def test_no_question_to_the_admin_api_is_lost_by_upgrades(edge, shop, program):
    proxy = edge(site(shop), program=program)
    stop, answers, lost = threading.Event(), [0], []

    def ask():
        while not stop.is_set():
            try:
                assert proxy.admin("GET", "/v1/status").status == 200
                answers[0] += 1
            except Exception as e:  # noqa: BLE001: whatever it is, it is told
                lost.append(repr(e))
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(5):
            before = answers[0]
            r = proxy.cli("upgrade")
            assert r.code == 0 and not r.err
            eventually(lambda: answers[0] > before or lost, "an answer")
    finally:
        stop.set()
        thread.join(PATIENCE)
    assert not lost


def test_the_command_says_why_the_old_process_goes_on(edge, shop, program):
    proxy = edge(site(shop), program=program)
    pids = proxy.pids()
    replace(program, BAD["a script"])
    r = proxy.cli("upgrade")
    assert r.code == 1 and "goes on: the new process ended with status 127" in r.err
    r = proxy.cli("upgrade", "--json")
    assert r.code == 1 and r.json()["outcome"] == "failed" and r.json()["type"].endswith("upgrade_failed")
    replace(program)
    proxy.configure("nope: 1")
    r = proxy.cli("upgrade")
    assert r.code == 1 and "weir.yaml:1:1: unknown key" in r.err
    eventually(lambda: proxy.pids() == pids, "the old processes alone")
    assert proxy.get("/").status == 200
    proxy.configure(site(shop))
    assert proxy.cli("upgrade").code == 0
    assert proxy.get("/").status == 200


def test_nothing_is_changed_while_one_process_hands_over_to_the_other(edge, origin, shop, program):
    proxy = edge(site(pools={"blue": pool(shop, weight=100), "green": pool(origin("green"), weight=0)}), program=program)
    # A new program that starts, and neither serves nor ends until it is told: `python3 worker-process -c FILE`, where weir was started.
    (proxy.dir / "worker-process").write_text("import os, sys, time\nwhile not os.path.exists('go'):\n    time.sleep(0.02)\nsys.exit(9)\n")
    replace(program, Path(sys.executable).resolve().read_bytes())
    answer = []
    thread = threading.Thread(target=lambda: answer.append(proxy.cli("upgrade")))
    thread.start()
    try:
        eventually(lambda: len(proxy.worker_pids()) == 2, "the new process")
        r = proxy.cli("weights", "acme/shop", "green=50")
        assert r.code == 1 and "an upgrade is under way" in r.err
        r = proxy.admin("PUT", "/v1/services/acme/shop/weights", {"weights": {"green": 50}})
        assert r.status == 503 and r.json()["type"].endswith("upgrading") and r.header("retry-after") == "1"
        r = proxy.admin("POST", "/v1/upgrade")
        assert r.status == 409 and "another upgrade is under way" in r.json()["detail"]
        r = proxy.cli("upgrade")
        assert r.code == 1 and "another upgrade is under way" in r.err
        assert proxy.admin("POST", "/v1/reload").status == 409
        assert proxy.get("/").status == 200
    finally:
        (proxy.dir / "go").touch()
        thread.join(PATIENCE * 3)
    assert answer[0].code == 1 and "the new process ended with status 9" in answer[0].err
    assert proxy.cli("weights", "acme/shop", "green=50").code == 0
    replace(program)
    assert proxy.cli("upgrade").code == 0
    assert proxy.cli("weights", "acme/shop", "green=51").code == 0


def test_weights_that_are_set_all_the_time_survive_upgrades(edge, origin, shop, program):
    """What was acknowledged holds in the process that follows, whatever moment it was."""
    proxy = edge(site(pools={"blue": pool(shop, weight=100), "green": pool(origin("green"), weight=0)}), program=program)
    stop, last, odd = threading.Event(), [0], []

    def change():
        n = 0
        while not stop.is_set():
            n += 1
            try:
                r = proxy.admin("PUT", "/v1/services/acme/shop/weights", {"weights": {"green": n}})
            except (OSError, http1.Closed):
                continue
            if r.status == 200:
                last[0] = n
            elif r.status != 503:
                odd.append((r.status, r.body))
    thread = threading.Thread(target=change)
    thread.start()
    for _ in range(4):
        seen = last[0]
        eventually(lambda: last[0] > seen + 3, "changes")
        upgrade(proxy)
    seen = last[0]
    eventually(lambda: last[0] > seen + 3, "changes in the last process")
    stop.set()
    thread.join()
    assert not odd
    weights = proxy.admin("GET", "/v1/services/acme/shop/weights").json()
    assert weights["pools"]["green"]["runtime_weight"] == last[0], weights
