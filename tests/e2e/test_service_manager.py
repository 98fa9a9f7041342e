"""What systemd is told and what it passes on: sd_notify(3), the watchdog, socket activation, the descriptor store."""
import array
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from support.answers import Gate
from support.config import http, site
from support.edge import ROOT, SANITIZED, WEIR
from support.http1 import build
from support.processes import go_on, halt
from support.wire import PATIENCE, eventually


@pytest.fixture
def shop(origin):
    return origin("shop")


class Manager:
    """The other end of $NOTIFY_SOCKET."""

    def __init__(self, path):
        self.path = str(path)
        self.messages = []  # dicts
        self.stored = {}  # name -> descriptors
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(self.path)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        fds = array.array("i")
        while True:
            data, control, _, _ = self._sock.recvmsg(4096, socket.CMSG_SPACE(253 * fds.itemsize))
            if data == b"end":
                return
            message = dict(line.split("=", 1) for line in data.decode().splitlines())
            got = array.array("i")
            for _, _, more in control:
                got.frombytes(more)
            if message.get("FDSTORE") == "1":
                self.stored[message["FDNAME"]] = list(got)
            if message.get("FDSTOREREMOVE") == "1":
                for fd in self.stored.pop(message["FDNAME"], []):
                    os.close(fd)
            self.messages.append({**message, "at": time.monotonic_ns() // 1000})

    def having(self, key):
        return [m for m in list(self.messages) if key in m]

    def wait(self, key, n=1):
        """The last message with that key, once there are n."""
        return eventually(lambda: len(self.having(key)) >= n and self.having(key), f"{n} {key}; there are {self.messages}")[-1]

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"end", self.path)
        self._thread.join()
        self._sock.close()
        for fds in self.stored.values():
            for fd in fds:
                os.close(fd)


@pytest.fixture
def manager(tmp_path_factory, started):
    m = Manager(tmp_path_factory.mktemp("sd") / "notify")
    started.append(m)
    return m


def test_ready_is_told_once_it_serves_and_stopping_when_it_stops(edge, shop, manager):
    gate = shop.always(Gate())
    proxy = edge(site(shop, timeouts={"shutdown": "30s"}), env={"NOTIFY_SOCKET": manager.path})
    assert manager.wait("READY")["READY"] == "1"
    assert "generation 1" in manager.having("STATUS")[-1]["STATUS"]
    with proxy.connect() as c:
        c.send(build("GET", "/"))
        gate.wait_arrived()
        proxy.signal(signal.SIGTERM)
        assert manager.wait("STOPPING")["STOPPING"] == "1"
        assert proxy.process.poll() is None
        gate.open()
        assert c.response().status == 200
    assert proxy.wait_exit() == 0


def test_what_cannot_start_is_never_ready(edge, manager):
    proxy = edge("tenants: [", env={"NOTIFY_SOCKET": manager.path}, wait=False)
    assert proxy.wait_exit() == 1
    assert not manager.having("READY")


def test_a_reload_begins_with_its_time_and_ends_with_ready_whatever_its_outcome(edge, shop, manager):
    proxy = edge(site(shop), env={"NOTIFY_SOCKET": manager.path})
    manager.wait("READY")
    for n, (conf, outcome) in enumerate([(site(shop, limits={"header_count": 70}), "applied"), (None, "unchanged"), ("broken: [", "refused")], 1):
        asked = time.monotonic_ns() // 1000
        proxy.reload(conf, outcome=outcome)
        assert int(manager.wait("RELOADING", n)["MONOTONIC_USEC"]) >= asked
        manager.wait("READY", n + 1)
    order = [k for m in manager.messages for k in ("RELOADING", "READY") if k in m]
    assert order == ["READY"] + ["RELOADING", "READY"] * 3


def test_the_environment_is_not_passed_on(edge, shop, manager):
    proxy = edge(site(shop), env={"NOTIFY_SOCKET": manager.path})
    with open(f"/proc/{proxy.worker_pid()}/environ", "rb") as f:
        assert b"NOTIFY_SOCKET" not in f.read()


def test_the_watchdog_hears_from_it_only_while_the_worker_process_answers(edge, shop, manager):
    proxy = edge(site(shop), env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "400000"})
    manager.wait("WATCHDOG", 3)
    halt(proxy.worker_pid())
    quiet = [0, time.monotonic()]

    def silent():
        if len(manager.having("WATCHDOG")) != quiet[0]:
            quiet[:] = [len(manager.having("WATCHDOG")), time.monotonic()]
        return time.monotonic() - quiet[1] > 1.0
    eventually(silent, "silence", patience=PATIENCE * 2)
    go_on(proxy.worker_pid())
    manager.wait("WATCHDOG", quiet[0] + 3)


def test_a_restart_of_the_worker_process_is_told_and_ready_again(edge, shop, manager):
    proxy = edge(site(shop), env={"NOTIFY_SOCKET": manager.path})
    manager.wait("READY")
    os.kill(proxy.worker_pid(), signal.SIGKILL)
    manager.wait("READY", 2)
    assert any("died" in m["STATUS"] for m in manager.having("STATUS"))
    assert proxy.get("/").status == 200


def test_it_goes_on_telling_after_an_upgrade(edge, shop, manager):
    proxy = edge(site(shop), env={"NOTIFY_SOCKET": manager.path})
    proxy.signal(signal.SIGUSR2)
    proxy.wait_event("upgrade", outcome="applied")
    before = len(manager.having("READY"))
    proxy.reload(site(shop, limits={"header_count": 70}))
    manager.wait("RELOADING")
    manager.wait("READY", before + 1)


# -- sockets that it is given --

def listening(address=("127.0.0.1", 0)):
    s = socket.socket()
    s.bind(address)
    s.listen(64)
    return s


def test_sockets_are_found_by_the_name_of_their_listener(edge, shop, started):
    s = listening()
    started.append(s)
    proxy = edge(site(shop, listeners={"web": http()}), inherit={s.fileno(): "web"})
    assert proxy.address("web") == s.getsockname()
    for _ in range(5):
        with proxy.connect("web") as c:
            assert c.get("/").status == 200


def test_sockets_are_found_by_their_address(edge, shop, started):
    s = listening()
    started.append(s)
    port = s.getsockname()[1]
    proxy = edge(site(shop, listeners={"web": http(address=f"127.0.0.1:{port}")}), inherit={s.fileno(): "weir.socket"})
    with proxy.connect("web") as c:
        assert c.get("/").status == 200
    assert "inherited" not in proxy.stderr()


def test_a_socket_that_nobody_wants_is_closed_and_said_so(edge, shop, started):
    s = listening()
    proxy = edge(site(shop), inherit={s.fileno(): "who-is-this"})
    address = s.getsockname()
    s.close()
    assert '"who-is-this"' in proxy.stderr()
    with socket.socket() as c:
        assert c.connect_ex(address) != 0
    assert proxy.get("/").status == 200


def test_sockets_in_the_store_survive_the_death_of_the_supervisor(edge, shop, manager):
    first = edge(site(shop), env={"NOTIFY_SOCKET": manager.path})
    manager.wait("READY")
    address = first.address()
    assert len(manager.stored) == 2  # the listener, and the admin socket
    os.killpg(first.process.pid, signal.SIGKILL)
    first.process.wait()
    first.stopped = True
    with socket.create_connection(address, timeout=PATIENCE) as waiting:  # nobody is there, and nobody is refused
        waiting.sendall(build("GET", "/"))
        second = edge(site(shop), inherit={fd: name for name, fds in manager.stored.items() for fd in fds})
        assert second.address() == address
        assert waiting.recv(100).startswith(b"HTTP/1.1 200")


def test_a_listener_that_is_gone_is_taken_out_of_the_store(edge, shop, manager):
    proxy = edge(site(shop, listeners={"one": http(), "two": http()}), env={"NOTIFY_SOCKET": manager.path})
    manager.wait("READY")
    assert len(manager.stored) == 3
    proxy.reload(site(shop, listeners={"one": http()}))
    eventually(lambda: len(manager.stored) == 2, "its removal")


# -- files --

def test_the_unit_is_one_that_systemd_understands(tmp_path):
    text = (ROOT / "conf" / "weir.service").read_text().replace("@PREFIX@/bin/weir", "/bin/true").replace("@PREFIX@", "/usr").replace("@SYSCONFDIR@", "/etc")
    unit = tmp_path / "weir.service"
    unit.write_text(text)
    p = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=PATIENCE * 3)
    complaints = [line for line in p.stderr.splitlines() if "weir.service" in line and not line.endswith("Failed to parse service type, ignoring: notify-reload")]
    assert not complaints
    assert "Type=notify-reload" in text and "FileDescriptorStoreMax=" in text


def test_the_container_has_every_library_that_weir_is_linked_with():
    packages = (ROOT / "conf" / "Containerfile").read_text().split()
    linked = subprocess.run(["ldd", WEIR], capture_output=True, text=True, timeout=PATIENCE).stdout
    for library in re.findall(r"=> (/\S+)", linked):
        owner = subprocess.run(["dpkg-query", "-S", os.path.realpath(library)], capture_output=True, text=True, timeout=PATIENCE).stdout.split(":")[0]
        assert owner in packages or owner in ("", "libc6") or SANITIZED, f"{library} is of {owner}"
