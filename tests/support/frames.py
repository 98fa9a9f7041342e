"""HTTP/2 a frame at a time, right or wrong: what no library would send. Independent of python3-h2."""
import struct
import time
from dataclasses import dataclass

import hpack

from support.wire import PATIENCE, connect

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, WITH_PRIORITY = 0x4, 0x8, 0x20
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL,
 COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY, HTTP_1_1_REQUIRED) = range(14)
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, ENABLE_CONNECT_PROTOCOL = 3, 4, 5, 8


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    """length: a lie about the payload's."""
    return struct.pack(">I", len(payload) if length is None else length)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(values=(), ack=False):
    values = values.items() if isinstance(values, dict) else values
    return frame(SETTINGS, ACK if ack else 0, 0, b"".join(struct.pack(">HI", k, v) for k, v in values))


def window_update(stream, n):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", n))


def rst_stream(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def _integer(n, prefix):
    limit = (1 << prefix) - 1
    if n < limit:
        return bytes([n])
    out, n = bytearray([limit]), n - limit
    while n >= 128:
        out.append(n % 128 + 128)
        n //= 128
    out.append(n)
    return bytes(out)


def literal(name, value):
    """One field without indexing, whatever its bytes (RFC 7541 6.2.2)."""
    name, value = (v.encode("latin-1") if isinstance(v, str) else v for v in (name, value))
    return b"\0" + _integer(len(name), 7) + name + _integer(len(value), 7) + value


def block(fields):
    return b"".join(literal(n, v) for n, v in fields)


def request_fields(method="GET", path="/", scheme="http", authority="acme.test", more=()):
    return [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path), *more]


def headers(stream, fields=None, end_stream=True, end_headers=True):
    """fields: a list, or a block already encoded."""
    payload = fields if isinstance(fields, bytes) else block(request_fields() if fields is None else fields)
    return frame(HEADERS, (END_STREAM if end_stream else 0) | (END_HEADERS if end_headers else 0), stream, payload)


def goaway(last_stream, code=0, debug=b""):
    return frame(GOAWAY, 0, 0, struct.pack(">II", last_stream, code) + debug)


class GoawaySieve:
    """Takes GOAWAY out of a byte stream: python3-h2 regards a connection as dead after one, but its streams may go on."""

    def __init__(self, preface=False):
        self.seen = []  # (code, last stream id)
        self._skip = len(PREFACE) if preface else 0
        self._held = b""

    def feed(self, data):
        """What is left for python3-h2, in whole frames."""
        self._held += data
        out = b""
        if self._skip:
            out, self._held = self._held[:self._skip], self._held[self._skip:]
            self._skip -= len(out)
        while len(self._held) >= 9:
            size = 9 + int.from_bytes(self._held[:3], "big")
            if len(self._held) < size:
                break
            whole, self._held = self._held[:size], self._held[size:]
            if whole[3] == GOAWAY and size >= 17:
                last, code = struct.unpack(">II", whole[9:17])
                self.seen.append((code, last & 0x7fffffff))
            else:
                out += whole
        return out


@dataclass
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self):
        """Of RST_STREAM and GOAWAY."""
        return struct.unpack(">I", self.payload[4:8] if self.kind == GOAWAY else self.payload[:4])[0]


class FrameClient:
    def __init__(self, address, tls=None, sni=None, values=(), greet=True, patience=PATIENCE):
        """greet: sends the preface and SETTINGS; the peer's SETTINGS are always acknowledged."""
        self.sock = connect(address, patience)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=sni)
        self.patience = patience
        self.buffer = b""
        self.frames = []
        self.closed = False
        self._decoder = hpack.Decoder()
        self._statuses = {}
        if greet:
            self.send(PREFACE + settings(values))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def send(self, *parts):
        self.sock.sendall(b"".join(parts))

    def try_send(self, *parts):
        """For floods: the peer may hang up in the middle. Whether it all went."""
        try:
            self.sock.settimeout(self.patience)
            self.send(*parts)
            return True
        except OSError:
            return False

    def _read(self, left):
        self.sock.settimeout(max(left, 0.001))
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            return
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return
        self.buffer += data
        while len(self.buffer) >= 9:
            size = int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < 9 + size:
                break
            f = Frame(self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big") & 0x7fffffff, self.buffer[9:9 + size])
            self.buffer = self.buffer[9 + size:]
            self._on(f)

    def _on(self, f):
        self.frames.append(f)
        if f.kind == SETTINGS and not f.flags & ACK:
            self.try_send(settings(ack=True))
        if f.kind in (HEADERS, CONTINUATION):
            assert f.flags & END_HEADERS, "answers with CONTINUATION are not read here"
            fields = self._decoder.decode(f.payload)
            self._statuses.setdefault(f.stream, int(dict(fields).get(":status", 0)))

    def pump(self, until, what):
        deadline = time.monotonic() + self.patience
        while not until():
            left = deadline - time.monotonic()
            assert left > 0, f"waited in vain for {what}; got {self.summary()}"
            assert not self.closed, f"closed before {what}; got {self.summary()}"
            self._read(left)

    def summary(self):
        return [(f.kind, f.flags, f.stream, f.payload[:16]) for f in self.frames[-12:]]

    def find(self, kind, stream=None, **want):
        for f in self.frames:
            if f.kind == kind and stream in (None, f.stream):
                if "ack" not in want or bool(f.flags & ACK) == want["ack"]:
                    return f
        return None

    # -- what a test expects --
    def status(self, stream):
        """The final status of a stream that ended cleanly."""
        def done():
            assert not self.find(RST_STREAM, stream), f"stream {stream} was reset with {self.find(RST_STREAM, stream).code}"
            return any(f.stream == stream and f.kind in (HEADERS, DATA) and f.flags & END_STREAM for f in self.frames)
        self.pump(done, f"the answer on stream {stream}")
        return self._statuses[stream]

    def expect_reset(self, stream, *codes):
        """RST_STREAM with one of the codes; no answer was given before it."""
        self.pump(lambda: self.find(RST_STREAM, stream), f"RST_STREAM on {stream}")
        got = self.find(RST_STREAM, stream).code
        assert got in codes, f"RST_STREAM with {got}, not {codes}"
        assert stream not in self._statuses, f"stream {stream} was answered {self._statuses[stream]} before its reset"

    def expect_goaway(self, *codes):
        """GOAWAY with one of the codes (any, if none is named), then the close."""
        self.pump(lambda: any(f.kind == GOAWAY for f in self.frames), "GOAWAY")
        self.pump(lambda: self.closed, "the close after GOAWAY")
        got = [f.code for f in self.frames if f.kind == GOAWAY][-1]
        assert not codes or got in codes, f"GOAWAY with {got}, not {codes}"

    def expect_alive(self, stream):
        """An ordinary request on this new stream is still answered: nothing leaked into the connection's state."""
        self.send(headers(stream))
        assert self.status(stream) == 200

    def ping(self, payload=b"whatever"):
        """A round trip: everything sent before has been looked at."""
        self.send(frame(PING, 0, 0, payload))
        self.pump(lambda: any(f.kind == PING and f.flags & ACK and f.payload == payload for f in self.frames), "PING's answer")
