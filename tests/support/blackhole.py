"""A backend in a network namespace of its own, at the other end of a virtual cable that can swallow what comes back. Needs root."""
import os
import subprocess

from support.process_origin import ProcessOrigin


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr.strip()} (network namespaces need root)"


class FarOrigin(ProcessOrigin):
    """blackhole(): nothing of it arrives any more, not even a refusal; reconnect() ends that."""

    def __init__(self, name):
        number = os.getpid() % 16384
        self.space = f"weir{os.getpid()}"
        self.near, self.host = f"10.{200 + number // 4096}.{number // 16 % 256}.{number % 16 * 16 + 1}", None
        self.host = self.near[:self.near.rindex(".") + 1] + str(int(self.near.rsplit(".", 1)[1]) + 1)
        inside = ("-n", self.space)
        ip("netns", "add", self.space)
        try:
            ip("link", "add", f"wn{os.getpid()}", "type", "veth", "peer", "name", "far", "netns", self.space)
            ip("addr", "add", f"{self.near}/30", "dev", f"wn{os.getpid()}")
            ip("link", "set", f"wn{os.getpid()}", "up")
            ip(*inside, "addr", "add", f"{self.host}/30", "dev", "far")
            ip(*inside, "link", "set", "far", "up")
            super().__init__(name, host=self.host, port=8080, within=("ip", "netns", "exec", self.space))
        except BaseException:
            self._remove()
            raise

    def blackhole(self):
        ip("-n", self.space, "route", "add", "blackhole", f"{self.near}/32")

    def reconnect(self):
        ip("-n", self.space, "route", "del", "blackhole", f"{self.near}/32")

    def _remove(self):
        subprocess.run(["ip", "netns", "del", self.space], check=False)  # its end of the cable goes with it, and so does the other

    def close(self):
        try:
            super().close()
        finally:
            self._remove()
