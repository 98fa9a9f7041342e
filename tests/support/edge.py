"""weir itself, as a process under test: its configuration, its life, its logs."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import yaml

from support import http1, http2
from support.message import pairs
from support.wire import PATIENCE, eventually

ROOT = Path(__file__).resolve().parents[2]
WEIR = os.environ.get("WEIR_BIN") or str(ROOT / "build" / "weir")
ANY_PORT = "127.0.0.1:0"
SANITIZED = bool(os.environ.get("WEIR_SANITIZED"))  # the binary has a sanitizer in it: its memory and time say nothing
SANITIZERS = {"ASAN_OPTIONS": "detect_stack_use_after_return=1", "UBSAN_OPTIONS": "print_stacktrace=1", "TSAN_OPTIONS": "second_deadlock_stack=1",
              "LSAN_OPTIONS": ""}


@dataclass
class Outcome:
    """Of a command."""
    code: int
    out: str
    err: str

    def json(self):
        return json.loads(self.out)


def sanitized(directory):
    """The environment with sanitizer reports sent to files in the directory."""
    env = dict(os.environ)
    for name, more in SANITIZERS.items():
        given = env.get(name, "")
        env[name] = ":".join(filter(None, [given, more, f"log_path={directory}/sanitizer.{name.split('_')[0].lower()}"]))
    return env


def run(*args, cwd=None, env=None, patience=PATIENCE * 3, stdin=None):
    """A command of weir's, run to its end."""
    typed = [a if isinstance(a, bytes) else str(a) for a in args]
    p = subprocess.run([WEIR, *typed], cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, timeout=patience, input=stdin)
    return Outcome(p.returncode, p.stdout.decode(errors="replace"), p.stderr.decode(errors="replace"))


def service_manager(inherit):
    """A command that passes descriptors on as systemd does (sd_listen_fds(3)), and execs the rest."""
    code = ("import os, sys\nn = int(sys.argv[1])\n[os.set_inheritable(int(f), False) for f in sys.argv[2:2 + n]]\nfds = [os.dup(int(f)) for f in sys.argv[2:2 + n]]\nfds = [os.dup2(f, 100 + i, False) for i, f in enumerate(fds)]\n"
            "[os.dup2(f, 3 + i) for i, f in enumerate(fds)]\nos.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(n), LISTEN_FDNAMES=sys.argv[2 + n])\n"
            "os.execv(sys.argv[3 + n], sys.argv[3 + n:])")
    return [sys.executable, "-c", code, str(len(inherit)), *map(str, inherit), ":".join(inherit.values())]


class GrowingLog:
    """A file of lines, of which only what has come since the last look is read. For any thread."""

    def __init__(self, path):
        self.path = path
        self._lock = threading.Lock()
        self._forget(None)

    def _forget(self, inode):
        self._inode, self._at, self._lines, self._records = inode, 0, [], []

    def _read(self):
        try:
            with open(self.path, "rb") as f:
                now = os.fstat(f.fileno())
                if now.st_ino != self._inode or now.st_size < self._at:  # another file, or begun anew
                    self._forget(now.st_ino)
                f.seek(self._at)
                whole = f.read().split(b"\n")[:-1]  # a last line without its end is still being written
        except FileNotFoundError:
            self._forget(None)
            return
        self._at += sum(len(line) + 1 for line in whole)
        self._lines += whole

    def lines(self):
        with self._lock:
            self._read()
            return list(self._lines)

    def records(self):
        """The lines, as JSON."""
        with self._lock:
            self._read()
            self._records += [json.loads(line) for line in self._lines[len(self._records):]]
            return list(self._records)


class Edge:
    def __init__(self, conf, env=None, workers=2, wait=True, arguments=(), wrap=(), open_to_all=False, program=WEIR, inherit=None):
        """conf: a dict (listeners, logs and directories are filled in where it is silent), or YAML as it stands. arguments: more of `weir run`. wrap: a command that
        starts weir. open_to_all: the directory may be read by another user than ours. program: the path of the binary. inherit: {descriptor: name} that a service manager would pass."""
        self.dir = Path(tempfile.mkdtemp(prefix="weir-"))  # short: a unix socket's path has 107 bytes
        if open_to_all:
            self.dir.chmod(0o755)
        self.workers = workers
        self.file = self.dir / "weir.yaml"
        self._events, self._access = GrowingLog(self.dir / "events.log"), GrowingLog(self.dir / "access.log")
        self.stopped = False
        self._env = {**sanitized(self.dir), **(env or {})}
        self.configure(conf)
        self._stdout = open(self.dir / "stdout", "wb")
        self._stderr = open(self.dir / "stderr", "wb")
        if inherit:
            wrap = [*wrap, *service_manager(inherit)]
        self._command = [*wrap, str(program), "run", "-c", str(self.file), *arguments]
        self._start(inherit or ())
        if wait:
            self.wait_event("ready")

    def _start(self, fds=()):
        self.process = subprocess.Popen(self._command, stdout=self._stdout, stderr=self._stderr, stdin=subprocess.DEVNULL, env=self._env, cwd=self.dir,
            start_new_session=True, pass_fds=fds)

    def start_again(self, wait=True):
        """The same command on the same files, after it has ended."""
        ready = len(self.events("ready"))
        self.stopped = False
        self._start()
        if wait:
            self.wait_event("ready", ready + 1)

    # -- configuration --
    def configure(self, conf):
        """Writes the file; nothing reads it before the start or a reload."""
        if isinstance(conf, dict):
            conf = self.complete(conf)
            self.conf = conf
            conf = yaml.safe_dump(conf, sort_keys=False, allow_unicode=True)
        tmp = self.file.with_suffix(".new")
        tmp.write_text(conf)
        tmp.rename(self.file)

    def complete(self, conf):
        """What every test needs and none wants to write."""
        conf = {"workers": self.workers, "state_dir": str(self.dir / "state"), **conf}
        log = dict(conf.get("log", {}))
        log["access"] = {"path": str(self.dir / "access.log"), "format": "json", **log.get("access", {})}
        log["events"] = {"path": str(self.dir / "events.log"), "level": "info", **log.get("events", {})}
        conf["log"] = log
        conf["admin"] = {"socket": str(self.dir / "admin.sock"), **conf.get("admin", {})}
        conf["timeouts"] = {"drain": "2s", "shutdown": "3s", **conf.get("timeouts", {})}
        conf.setdefault("listeners", {"http": {"address": ANY_PORT}})
        return conf

    def reload(self, conf=None, outcome="applied"):
        """SIGHUP, and the event that tells how it went; outcome None takes any."""
        if conf is not None:
            self.configure(conf)
        before = len(self.events("reload"))
        self.signal(signal.SIGHUP)
        self._eventually(lambda: len(self.events("reload")) > before, "the reload's event")
        event = self.events("reload")[-1]
        assert outcome in (None, event["outcome"]), f"reload: {event}"
        return event

    # -- addresses and clients --
    def address(self, listener="http"):
        """(host, port) where it listens now, or "unix:..."."""
        for event in reversed(self.events("listening")):
            if event["listener"] == listener:
                a = event["address"]
                if a.startswith("unix:"):
                    return a
                host, port = a.rsplit(":", 1)
                return host.strip("[]"), int(port)
        raise AssertionError(f"no listening event for {listener}: {self.events()}")

    def port(self, listener="http"):
        return self.address(listener)[1]

    def url(self, path="/", listener="http", host=None, scheme=None):
        scheme = scheme or ("https" if "tls" in self.conf["listeners"][listener] else "http")
        return f"{scheme}://{host or self.address(listener)[0]}:{self.port(listener)}{path}"

    def connect(self, listener="http", **kw):
        """A raw HTTP/1 connection."""
        return http1.Client(self.address(listener), **kw)

    def connect2(self, listener="http", **kw):
        """An HTTP/2 connection; prior knowledge without tls."""
        return http2.Client(self.address(listener), **kw)

    def request(self, method="GET", target="/", headers=(), body=b"", listener="http", **kw):
        """One request on a connection of its own."""
        with self.connect(listener) as c:
            return c.request(method, target, headers, body, **kw)

    def get(self, target="/", headers=(), **kw):
        return self.request("GET", target, headers, **kw)

    def admin(self, method, path, body=None, headers=(), host="weir", **kw):
        """A request to the admin API over its unix socket; body is made JSON, unless it is bytes."""
        headers = pairs(headers)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None and "content-type" not in headers:
            headers.append(("Content-Type", "application/json"))
        with http1.Client(f"unix:{self.dir / 'admin.sock'}") as c:
            return c.request(method, path, headers, body or b"", host=host, **kw)

    def cli(self, *args, **kw):
        """A command that finds this process."""
        return run(*args, env={**self._env, "WEIR_SOCKET": str(self.dir / "admin.sock")}, **kw)

    # -- logs --
    def events(self, kind=None):
        return [e for e in self._events.records() if kind in (None, e.get("event"))]

    def wait_event(self, kind, n=1, **want):
        """The last event of the kind (with these members), once there are n."""
        def there():
            found = [e for e in self.events(kind) if all(e.get(k) == v for k, v in want.items())]
            return found if len(found) >= n else None
        return self._eventually(there, f"event {kind} {want or ''}")[-1]

    def access_lines(self):
        return self._access.lines()

    def access_log(self):
        return self._access.records()

    def logged(self, n=1, **want):
        """The last access log record with these members, once there are n such."""
        def there():
            found = [r for r in self.access_log() if all(r.get(k) == v for k, v in want.items())]
            return found if len(found) >= n else None
        return self._eventually(there, lambda: f"access log record {want}; there are {self.access_log()[-5:]}")[-1]

    def stderr(self):
        return (self.dir / "stderr").read_text(errors="replace")

    def stdout(self):
        return (self.dir / "stdout").read_text(errors="replace")

    # -- the process --
    def _eventually(self, condition, what):
        def alive():
            value = condition()
            if not value and not self.stopped and self.process.poll() is not None:
                raise AssertionError(f"weir ended with {self.process.returncode} before {what if isinstance(what, str) else what()}\n"
                                     f"{self.stderr()}{self.sanitizer_reports()}")
            return value
        return eventually(alive, what)

    def signal(self, number):
        self.process.send_signal(number)

    def worker_pids(self):
        """The worker processes, the oldest first: one, but for upgrades."""
        return self.pids()[1:]

    def worker_pid(self):
        """The worker process that serves: what is measured, starved or killed."""
        return self.worker_pids()[-1]

    def pids(self):
        """The supervisor, then its children, the oldest first."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop(0)
            found.append(pid)
            try:
                for task in Path(f"/proc/{pid}/task").glob("*/children"):
                    todo += map(int, task.read_text().split())
            except OSError:
                pass  # it has gone, or one of its threads has
        return found

    def descriptors(self):
        """Sockets that are open in its worker processes."""
        count = 0
        for pid in self.worker_pids():
            for fd in Path(f"/proc/{pid}/fd").iterdir():
                try:
                    count += os.readlink(fd).startswith("socket:")
                except OSError:
                    pass
        return count

    def memory(self):
        """Resident bytes, over all its processes."""
        return sum(int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{p}/status").read_text())[1]) * 1024 for p in self.pids())

    def cpu_seconds(self):
        """Processor time taken so far, over all its processes."""
        total = 0
        for p in self.pids():
            stat = Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(stat[11]) + int(stat[12])
        return total / os.sysconf("SC_CLK_TCK")

    def sanitizer_reports(self):
        return "".join(f"\n{p.name}:\n{p.read_text(errors='replace')}" for p in sorted(self.dir.glob("sanitizer.*")) if p.stat().st_size)

    def wait_exit(self, patience=PATIENCE * 2):
        """The exit status, once it has ended by itself or by a signal that was sent."""
        code = self.process.wait(patience)
        self.stopped = True
        return code

    def stop(self):
        """SIGTERM; the exit must be clean. Runs at the end of every test, and may run earlier."""
        if not self.stopped:
            self.signal(signal.SIGTERM)
            try:
                code = self.wait_exit()
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGABRT)
                self.process.wait()
                self.stopped = True
                raise AssertionError(f"weir did not end on SIGTERM\n{self.stderr()}") from None
            assert code == 0, f"weir ended with {code}\n{self.stderr()}{self.sanitizer_reports()}"
        assert not self.sanitizer_reports(), self.sanitizer_reports()

    def kill(self):
        """Whatever is left, at once: for cleaning up only."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self._stdout.close()
        self._stderr.close()

    def discard(self):
        shutil.rmtree(self.dir, ignore_errors=True)
