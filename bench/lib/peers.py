"""The contenders: how each is started, stopped, and where its processes are."""
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time

from . import machine

TEMPLATES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers")


class Peer:
    """One row of the table. command takes the configuration's path; single is the command line for tools that
    cannot follow a worker process (callgrind); kinds are the configurations that there are."""

    def __init__(self, name, program, command, version, kinds=("main", "grpc"), single=None, master="on",
                 valgrind=True, env=None):
        self.name, self.program, self.command, self.version = name, program, command, version
        self.kinds, self.single, self.master = kinds, single or command, master
        self.valgrind, self.env = valgrind, env or {}

    def found(self):
        return shutil.which(self.program) is not None


def table(build):
    weir = os.path.join(os.path.abspath(build), "weir")
    return [
        Peer("relay", os.path.join(os.path.abspath(build), "bench", "relay"), None, ["true"]),
        Peer("weir", weir, [weir, "run", "-c"], [weir, "--version"]),
        Peer("nginx", "nginx", ["nginx", "-e", "/dev/null", "-c"], ["nginx", "-v"]),
        Peer("haproxy", "haproxy", ["haproxy", "-db", "-f"], ["haproxy", "-v"]),
        Peer("h2o", "h2o", ["h2o", "-c"], ["h2o", "--version"], kinds=("main",)),
        Peer("nghttpx", "nghttpx", ["nghttpx", "--conf"], ["nghttpx", "--version"],
             single=["nghttpx", "--single-process", "--conf"]),
        # Go's runtime is not for valgrind.
        Peer("caddy", "caddy", ["caddy", "run", "--adapter", "caddyfile", "--config"], ["caddy", "version"],
             valgrind=False, env={"GOMAXPROCS": "1"}),
    ]


class Failed(Exception):
    """A contender that does not start or does not answer; the text is for the reader."""


class Site:
    """Where a run lives: its directory, certificate, and the origins' ports."""

    def __init__(self, directory, tools):
        self.dir, self.tools = directory, tools
        self.cert, self.key = os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem")
        self.pem = os.path.join(directory, "both.pem")
        self.openssl_conf = os.path.join(directory, "openssl.cnf")
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.origin = self.grpc = None
        self._certificate()

    def _certificate(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", self.key, "-out", self.cert, "-days", "30", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
        with open(self.pem, "w", encoding="ascii") as out:
            for part in (self.cert, self.key):
                with open(part, encoding="ascii") as f:
                    out.write(f.read())
        # The same cipher, group and one ticket for every contender on OpenSSL, whatever its own defaults.
        with open(self.openssl_conf, "w", encoding="ascii") as f:
            f.write("openssl_conf = init\n[init]\nssl_conf = ssl\n[ssl]\nsystem_default = default\n[default]\n"
                    "Ciphersuites = TLS_AES_128_GCM_SHA256\nGroups = X25519\nNumTickets = 1\n")

    def start_origins(self):
        self.origin = Running.tool(self, "origin", "0")
        self.grpc = Running.tool(self, "grpc", "0")

    def stop(self):
        for r in (self.origin, self.grpc):
            if r:
                r.stop()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tree(pid):
    """pid and everything below it."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as f:
                    parents.setdefault(int(f.read().rsplit(")", 1)[1].split()[1]), []).append(int(entry))
            except OSError:
                continue
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += parents.get(found[-1], [])
    return found


class Running:
    """A started contender or origin."""

    def __init__(self, name, process, ports, wrapped=False):
        self.name, self.process, self.ports, self.wrapped = name, process, ports, wrapped

    @classmethod
    def tool(cls, site, name, *args, cpu=None, wrap=()):
        """A program of the bench's own that prints its port."""
        p = subprocess.Popen([*wrap, os.path.join(site.tools, name), *args], stdout=subprocess.PIPE, text=True,
                             preexec_fn=_pinned(cpu))
        line = p.stdout.readline()
        if not line.strip().isdigit():
            raise Failed(f"{name} did not start")
        return cls(name, p, {"plain": int(line)}, bool(wrap) and "strace" in wrap[0])

    def main_pid(self):
        """The contender itself, below a tool that started it."""
        if not self.wrapped:
            return self.process.pid
        below = [p for p in tree(self.process.pid) if p != self.process.pid]
        return below[0] if below else self.process.pid

    def tree(self):
        return tree(self.process.pid)

    def cpu_ns(self):
        """Time on CPU of every thread that is there."""
        total = 0
        for pid in self.tree():
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
                        total += int(f.read().split()[0])
            except OSError:
                continue
        return total

    def stop(self):
        """Asks, asks again, then ends what is left of the tree."""
        for wait in (2, 8):
            if self.process.poll() is not None:
                return
            try:
                os.kill(self.main_pid(), signal.SIGTERM)
                self.process.wait(wait)
            except (subprocess.TimeoutExpired, ProcessLookupError):
                continue
        for pid in reversed(self.tree()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(10)


def _pinned(cpu):
    return (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None


def render(peer, site, kind, ports, single=False):
    """Writes the configuration and returns its path."""
    suffix = "" if kind == "main" else "-" + kind
    with open(os.path.join(TEMPLATES, f"{peer.name}{suffix}.conf.in"), encoding="utf-8") as f:
        text = f.read()
    values = {"PLAIN": ports["plain"], "TLS": ports["tls"], "ORIGIN": site.origin.ports["plain"],
              "GRPC": site.grpc.ports["plain"], "CERT": site.cert, "KEY": site.key, "PEM": site.pem,
              "DIR": site.dir, "USER": site.user, "MASTER": "off" if single else "on"}
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    path = os.path.join(site.dir, f"{peer.name}{suffix}.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def start(peer, site, kind="main", wrap=(), single=False, patience=15):
    """Starts and waits until it answers. wrap is a tool's command line to run it under."""
    if peer.name == "relay":
        backend = site.origin if kind == "main" else site.grpc
        return Running.tool(site, "relay", "0", str(backend.ports["plain"]), cpu=machine.PROXY_CPU, wrap=wrap)
    ports = {"plain": free_port(), "tls": free_port()}
    path = render(peer, site, kind, ports, single)
    return launch(peer, site, [*wrap, *(peer.single if single else peer.command), path], ports,
                  probe="plain" if kind == "main" else "tls", wrapped=bool(wrap) and "strace" in wrap[0],
                  patience=patience)


def launch(peer, site, command, ports, probe, wrapped=False, patience=15, host="localhost", expect=b"HTTP/1.1 200"):
    env = {**os.environ, **peer.env, "OPENSSL_CONF": site.openssl_conf, "HOME": site.dir}
    with open(os.path.join(site.dir, f"{peer.name}.out"), "wb") as log:
        p = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env, cwd=site.dir,
                             preexec_fn=_pinned(machine.PROXY_CPU))
    running = Running(peer.name, p, ports, wrapped)
    deadline = time.monotonic() + patience
    while not answers(ports[probe], host, probe == "plain", expect):
        if p.poll() is not None or time.monotonic() > deadline:
            running.stop()
            raise Failed(f"{peer.name} does not answer; {last_words(log.name, site)}")
        time.sleep(0.002)
    return running


def last_words(path, site):
    """What a contender said last, without the run's own directory."""
    with open(path, encoding="utf-8", errors="replace") as f:
        lines = [line.strip() for line in f if line.strip()]
    return f"it said: {lines[-1]}".replace(site.dir + "/", "") if lines else "it said nothing"


def answers(port, host, plain, expect):
    """Does it serve what begins so? Over TLS an open port is all that is asked."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
            if not plain:
                return True
            s.sendall(f"GET /1k HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            return s.recv(64).startswith(expect)
    except OSError:
        return False
