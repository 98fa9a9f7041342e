"""A backend in a process of its own, so that it can be killed and stopped as backends are."""
import os
import socket
import subprocess

from support.edge import WEIR
from support.processes import go_on, halt
from support.wire import RefusedPort, eventually


class ProcessOrigin:
    """str(origin) is its address, which it keeps over start() and kill(). It answers /healthz with 200."""

    def __init__(self, name, host="127.0.0.1", port=None, within=()):
        """within: a command that runs another one somewhere else."""
        self.name, self.host, self.port, self._within = name, host, port, within
        self._kept = None
        if port is None:
            self._kept = RefusedPort((host, 0))  # also while the process is not there
            self.port = self._kept.port
        self.process = None
        self.start()

    def __str__(self):
        return f"{self.host}:{self.port}"

    def _accepts(self):
        with socket.socket() as s:
            s.settimeout(1)
            return s.connect_ex((self.host, self.port)) == 0

    def start(self):
        self.process = subprocess.Popen([*self._within, WEIR, "demo-backend", "--listen", str(self), "--name", self.name], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**os.environ, "TSAN_OPTIONS": "", "ASAN_OPTIONS": "detect_leaks=0"})
        eventually(self._accepts, f"{self.name} to listen on {self}")

    def kill(self):
        """SIGKILL: the kernel closes its connections, and refuses new ones."""
        self.process.kill()
        self.process.wait()

    def freeze(self):
        """It does nothing any more; the kernel still takes connections in its name."""
        halt(self.process.pid)

    def thaw(self):
        go_on(self.process.pid)

    def close(self):
        if self.process.poll() is None:
            self.thaw()
            self.kill()
        if self._kept:
            self._kept.close()
