"""What is measured: one row per workload. Names are what --only takes."""
import copy

SIZES = {"/1k": 1 << 10, "/64k": 64 << 10, "/10m": 10 << 20}


class Workload:
    """kind: h1, h2 or grpc (h2load), handshake, message. requests is a round's fixed number before scaling; slow is
    what it is divided by for a contender that needs several times longer; headers are sent besides; body is the size of
    the answers' bodies where it is not that of the path, 0 where it is not known."""

    headers, body = (), None

    def __init__(self, name, title, kind, requests, path="/1k", tls=False, clients=32, streams=1, resumed=False,
                 slow=4):
        self.name, self.title, self.kind, self.requests, self.path = name, title, kind, requests, path
        self.tls, self.clients, self.streams, self.resumed, self.slow = tls, clients, streams, resumed, slow

    @property
    def size(self):
        return SIZES.get(self.path, 0) if self.body is None else self.body

    def but(self, **changes):
        """The same workload with some of its attributes changed."""
        other = copy.copy(self)
        vars(other).update(changes)
        return other

    @property
    def config(self):
        return "grpc" if self.kind == "grpc" else "main"

    def count(self, scale, peer):
        n = self.requests * scale / (self.slow if peer == "caddy" else 1)
        return max(int(n), self.clients * self.streams)

    def for_relay(self):
        """What the relay does in this workload's rounds: the same answers without TLS, over HTTP/1.1 but for calls."""
        if self.kind == "message" or (self.kind == "h1" and not self.tls):
            return self
        if self.kind == "grpc":
            return Workload(self.name, self.title, "grpc", self.requests, clients=self.clients, streams=self.streams)
        if self.path == "/10m":
            return Workload(self.name, self.title, "h1", 150, path="/10m", clients=4)
        return Workload(self.name, self.title, "h1", 15000 if self.path == "/64k" else 50000, path=self.path)


WORKLOADS = [
    Workload("h1-1k", "HTTP/1.1, 1 KiB", "h1", 100000),
    Workload("h1-64k", "HTTP/1.1, 64 KiB", "h1", 15000, path="/64k", slow=2),
    Workload("h1-10m", "HTTP/1.1, 10 MiB", "h1", 150, path="/10m", clients=4, slow=1),
    Workload("https-1k", "HTTPS/1.1, 1 KiB", "h1", 100000, tls=True, clients=16),
    Workload("https-10m", "HTTPS/1.1, 10 MiB", "h1", 100, path="/10m", clients=4, tls=True, slow=1),
    Workload("h2-32", "HTTP/2 TLS, 32 streams, 1 KiB", "h2", 100000, tls=True, clients=8, streams=32),
    Workload("h2-1", "HTTP/2 TLS, 1 stream, 1 KiB", "h2", 60000, tls=True, clients=16),
    Workload("h2-64k", "HTTP/2 TLS, 8 streams, 64 KiB", "h2", 8000, path="/64k", tls=True, clients=8, streams=8,
             slow=2),
    Workload("tls-full", "TLS 1.3 full handshake + 1 request", "handshake", 2000, tls=True, clients=8, slow=2),
    Workload("tls-resumed", "TLS 1.3 resumed handshake + 1 request", "handshake", 2000, tls=True, clients=8,
             resumed=True, slow=2),
    Workload("ws", "WebSocket message of 64 bytes, echoed", "message", 60000),
    Workload("grpc", "gRPC call, HTTP/2 TLS to h2c, 32 streams", "grpc", 30000, tls=True, clients=8, streams=32),
]
BY_NAME = {w.name: w for w in WORKLOADS}
QUICK = ["h1-1k", "https-1k", "h2-32", "h2-1", "tls-resumed"]
COUNTED = ["h1-1k", "https-1k", "h2-32"]  # instructions and system calls are counted in these
IDLE = {"idle-plain": ("plain", 5000), "idle-tls": ("tls", 2000), "idle-h2": ("h2", 2000)}
