"""A real redis-server, on a unix socket and on a port of its own; it can be killed, started again, stopped in the middle and filled."""
import os
import shutil
import socket
import subprocess
import tempfile

from support.processes import go_on, halt
from support.wire import eventually


class Redis:
    """Without TLS: a unix socket alone unless tcp; nothing is stored on disk."""

    def __init__(self, *options, tls=None, tcp=False):
        self.directory = tempfile.mkdtemp(prefix="weir-redis-")
        self.socket = f"{self.directory}/redis.sock"
        self.options, self.tls, self.tcp = list(options), tls, tcp
        self.port = 0
        self.process = None
        self.start()

    def start(self):
        for _ in range(20):
            self._launch()
            if eventually(self._is_up_or_dead, "redis-server is up") == "up":
                return
            self.port = 0  # somebody else was given it meanwhile
        raise RuntimeError(f"redis-server does not start: {open(self.directory + '/log').read()[-2000:]}")

    def _launch(self):
        ports = ["--port", "0"]
        if self.tcp or self.tls:
            self.port = self.port or _free_port()
            ports = ["--port", str(self.port)]
        if self.tls:
            ports = ["--port", "0", "--tls-port", str(self.port), "--tls-cert-file", str(self.tls["pair"].cert_file),
                     "--tls-key-file", str(self.tls["pair"].key_file), "--tls-ca-cert-file", self.tls["ca"], "--tls-auth-clients", "no"]
        with open(f"{self.directory}/log", "ab") as log:
            self.process = subprocess.Popen(["redis-server", *ports, "--unixsocket", self.socket, "--save", "", "--appendonly", "no",
                                             "--dir", self.directory, *self.options], stdout=log, stderr=log)

    def _is_up_or_dead(self):
        if self.process.poll() is not None:
            return "dead"
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(self.socket)
                s.sendall(b"PING\r\n")
                return "up" if s.recv(64) else None
        except OSError:
            return None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}" if self.port else f"unix:{self.socket}"

    def cli(self, *args):
        r = subprocess.run(["redis-cli", "-s", self.socket, *args], capture_output=True, text=True, timeout=30)
        return r.stdout.strip()

    def calls(self, command):
        """How often it has been given that command."""
        for line in self.cli("INFO", "commandstats").splitlines():
            if line.startswith(f"cmdstat_{command}:"):
                return int(line.split("calls=")[1].split(",")[0])
        return 0

    def wait_clients(self, n):
        """Until that many connections have been greeted: nobody has to do without it for being early."""
        def there():
            lines = self.cli("CLIENT", "LIST").splitlines()
            return sum(" cmd=client" not in line and " cmd=ping" not in line and " cmd=NULL" not in line for line in lines) >= n
        eventually(there, f"{n} connections to redis")

    def pause(self):
        halt(self.process.pid)

    def resume(self):
        go_on(self.process.pid)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def close(self):
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
