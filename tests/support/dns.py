"""A DNS server on loopback, UDP and TCP, whose zone a test changes while it runs (RFC 1035; SRV: RFC 2782)."""
import ipaddress
import random
import socket
import struct
import threading

from support.wire import eventually

A, AAAA, SRV = 1, 28, 33
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3


def encode(name):
    labels = [p for p in name.rstrip(".").split(".") if p]
    return b"".join(bytes([len(p)]) + p.encode() for p in labels) + b"\0"


def question(message):
    """(name, type, where it ends)."""
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode())
        at += message[at] + 1
    return ".".join(labels).lower(), struct.unpack(">H", message[at + 1:at + 3])[0], at + 5


class Dns:
    """address: for resolver.servers. set() and remove() change the zone; mode says how it misbehaves."""

    def __init__(self):
        self.zone = {}  # (name, type) -> (ttl, [rdata])
        self.mode = "right"  # "silent", "servfail", "garbage", or {type: mode}
        self.truncate = False  # UDP answers say: ask again over TCP
        self.asked = []  # (name, type, transport)
        self._closing = False
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._tcp = socket.socket()
        while True:  # the same port for both
            self._udp.bind(("127.0.0.1", 0))
            try:
                self._tcp.bind(self._udp.getsockname())
                break
            except OSError:
                self._udp.close()
                self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._tcp.listen()
        self.port = self._udp.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        for f in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=f, daemon=True).start()

    # -- the zone --
    def set(self, name, *addresses, ttl=1):
        """All the addresses of a name, of both families."""
        found = [ipaddress.ip_address(a) for a in addresses]
        self.zone[name, A] = ttl, [a.packed for a in found if a.version == 4]
        self.zone[name, AAAA] = ttl, [a.packed for a in found if a.version == 6]

    def set_srv(self, name, *records, ttl=1):
        """Each (priority, weight, port, target)."""
        self.zone[name, SRV] = ttl, [struct.pack(">HHH", p, w, port) + encode(target) for p, w, port, target in records]

    def remove(self, name):
        for key in [k for k in self.zone if k[0] == name]:
            del self.zone[key]

    def questions(self, name, kind=A):
        return sum(1 for n, t, _ in self.asked if (n, t) == (name, kind))

    def wait_asked(self, name, more, kind=A):
        """Until so many more questions for it have come."""
        goal = self.questions(name, kind) + more
        eventually(lambda: self.questions(name, kind) >= goal, lambda: f"{more} more questions for {name}; there were {self.asked[-5:]}")

    # -- answering --
    def _answer(self, message, transport):
        name, kind, end = question(message)
        self.asked.append((name, kind, transport))
        mode = self.mode.get(kind, "right") if isinstance(self.mode, dict) else self.mode
        if mode == "silent":
            return None
        if mode == "garbage":
            return message[:2] + b"\x81\x80" + random.randbytes(60)
        known = any(n == name for n, _ in self.zone)
        ttl, records = self.zone.get((name, kind), (0, []))
        code = SERVFAIL if mode == "servfail" else NOERROR if known else NXDOMAIN
        if code:
            records = []
        cut = self.truncate and transport == "udp"
        if cut:
            records = []
        body = message[12:end]
        for rdata in random.sample(records, len(records)):  # in another order each time, as servers do
            body += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, ttl, len(rdata)) + rdata
        flags = 0x8180 | code | (0x0200 if cut else 0)
        return message[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + body

    def _serve_udp(self):
        while not self._closing:
            try:
                message, peer = self._udp.recvfrom(4096)
                answer = self._answer(message, "udp") if message else None
                if answer:
                    self._udp.sendto(answer, peer)
            except OSError:
                if self._closing:
                    return

    def _serve_tcp(self):
        while not self._closing:
            try:
                s, _ = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_connection, args=(s,), daemon=True).start()

    def _serve_connection(self, s):
        with s, s.makefile("rb") as f:
            s.settimeout(10)
            try:
                while len(head := f.read(2)) == 2:
                    answer = self._answer(f.read(struct.unpack(">H", head)[0]), "tcp")
                    if answer:
                        s.sendall(struct.pack(">H", len(answer)) + answer)
            except OSError:
                pass

    def close(self):
        self._closing = True
        for s in (self._udp, self._tcp):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()
