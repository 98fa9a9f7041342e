"""A raw HTTP/1 client: sends exactly the bytes it is told to, and reads answers so strictly that a sloppy one fails the test."""
import re
import ssl
import time

from support.message import Fields, Response, pairs
from support.wire import PATIENCE, connect, reset

STATUS_LINE = re.compile(rb"(HTTP/1\.[01]) ([1-5]\d\d) ([\t\x20-\x7e\x80-\xff]*)\Z")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*(.*?)[\t ]*\Z", re.S)
BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,16}\Z")


class BadAnswer(AssertionError):
    """The answer breaks RFC 9112."""


class Closed(Exception):
    """The connection ended; `how` says in which way."""

    def __init__(self, how, partial=b""):
        super().__init__(f"connection {how} after {partial[:200]!r}")
        self.how = how  # closed | reset | truncated (no close_notify) | tls:ALERT
        self.partial = partial


def parse_fields(lines):
    fields = Fields()
    for line in lines:
        m = FIELD_LINE.match(line)
        if not m or BAD_VALUE.search(m[2]):
            raise BadAnswer(f"bad field line {line!r}")
        fields.append((m[1].decode(), m[2].decode("latin-1")))
    return fields


def build(method, target, headers=(), body=b"", host="acme.test", chunked=False, trailers=(), version="HTTP/1.1"):
    """The bytes of an ordinary request. body may be a list of chunks."""
    headers = pairs(headers)
    lines = [f"{method} {target} {version}"]
    if host is not None and "host" not in headers:
        lines.append(f"Host: {host}")
    lines += [f"{n}: {v}" for n, v in headers]
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    elif body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    if not chunked:
        return head + body
    chunks = body if isinstance(body, (list, tuple)) else [body] if body else []
    out = [head] + [b"%x\r\n%s\r\n" % (len(c), c) for c in chunks] + [b"0\r\n"]
    out += [f"{n}: {v}\r\n".encode() for n, v in pairs(trailers)]
    return b"".join(out) + b"\r\n"


class Client:
    """One connection. Every read is bounded by `patience`."""

    def __init__(self, address, tls=None, sni=None, patience=PATIENCE, prelude=b""):
        """tls: an ssl.SSLContext; prelude: bytes before everything, TLS included (the PROXY protocol)."""
        self.patience = patience
        self.sock = connect(address, patience)
        if prelude:
            self.sock.sendall(prelude)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=sni)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        reset(self.sock)

    # -- sending --
    def send(self, *pieces):
        """Each piece leaves in a segment of its own."""
        for piece in pieces:
            self.sock.sendall(piece)

    def try_send(self, data):
        """Sends to a peer that may have closed already; whether it all went."""
        try:
            self.sock.sendall(data)
            return True
        except OSError:
            return False

    def dribble(self, data, every=0.002, step=1):
        """A few bytes at a time, each received on its own."""
        for i in range(0, len(data), step):
            self.sock.sendall(data[i:i + step])
            time.sleep(every)

    def request(self, method="GET", target="/", headers=(), body=b"", **kw):
        self.send(build(method, target, headers, body, **kw))
        return self.response(method)

    def get(self, target="/", headers=(), **kw):
        return self.request("GET", target, headers, **kw)

    # -- reading --
    def _more(self):
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            raise Closed("reset", self.buffer) from None
        except ssl.SSLEOFError:
            raise Closed("truncated", self.buffer) from None
        except ssl.SSLError as e:
            raise Closed(f"tls:{e.reason}", self.buffer) from None
        except TimeoutError:
            raise AssertionError(f"no answer in {self.patience:g} s; so far {self.buffer[:200]!r}") from None
        if not data:
            raise Closed("closed", self.buffer)
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self._more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        if b"\n" in line or b"\r" in line:
            raise BadAnswer(f"bare CR or LF in {line!r}")
        return line

    def exactly(self, n):
        while len(self.buffer) < n:
            self._more()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def _fields(self):
        lines = []
        while line := self.line():
            lines.append(line)
        return parse_fields(lines)

    def head(self):
        """The next head, an interim one too."""
        line = self.line()
        m = STATUS_LINE.match(line)
        if not m:
            raise BadAnswer(f"bad status line {line!r}")
        r = Response(int(m[2]), self._fields(), version=m[1].decode(), phrase=m[3].decode("latin-1"))
        length, coding = r.headers.all("content-length"), r.headers.all("transfer-encoding")
        if length and coding:
            raise BadAnswer("Content-Length and Transfer-Encoding")
        if len(length) > 1 or (length and not length[0].isdigit()):
            raise BadAnswer(f"Content-Length {length}")
        if coding and [c.lower() for c in coding] != ["chunked"]:
            raise BadAnswer(f"Transfer-Encoding {coding}")
        if r.status < 200 and r.status != 101 and (length or coding):
            raise BadAnswer("an interim answer with a body")
        return r

    def response(self, method="GET"):
        """The next final answer, with the interim ones before it. A cut body raises Closed."""
        interim = []
        while True:
            r = self.head()
            if r.status >= 200 or r.status == 101:
                break
            interim.append(r)
        r.interim = interim
        self._body(r, method)
        return r

    def _body(self, r, method):
        length = r.headers.get("content-length")
        if method == "HEAD" or r.status in (101, 204, 304):
            if r.status in (101, 204) and (length is not None or "transfer-encoding" in r.headers):
                raise BadAnswer(f"a {r.status} with a length")
            return
        if "transfer-encoding" in r.headers:
            if r.version != "HTTP/1.1":
                raise BadAnswer("chunked in HTTP/1.0")
            self._chunks(r)
        elif length is not None:
            r.body = self.exactly(int(length))
        else:
            self._until_close(r)

    def _chunks(self, r):
        while True:
            size = self.line()
            if not CHUNK_SIZE.match(size):
                raise BadAnswer(f"chunk size {size!r}")
            n = int(size, 16)
            if n == 0:
                break
            r.body += self.exactly(n)
            if self.exactly(2) != b"\r\n":
                raise BadAnswer("chunk data without its CRLF")
        r.trailers = self._fields()

    def _until_close(self, r):
        while True:
            try:
                self._more()
            except Closed as c:
                if c.how != "closed":
                    raise
                r.body, self.buffer = self.buffer, b""
                return

    def expect_close(self):
        """The peer closes, without another byte. Says how: "closed" or "reset"."""
        try:
            while True:
                self._more()
        except Closed as c:
            assert not c.partial, f"bytes before the close: {c.partial[:300]!r}"
            return c.how

    def expect_silence(self, seconds=0.2):
        """Nothing comes: for the few tests where the absence of bytes is the point."""
        assert not self.buffer, f"unexpected {self.buffer[:200]!r}"
        self.sock.settimeout(seconds)
        try:
            data = self.sock.recv(65536)
            raise AssertionError(f"unexpected {data[:200]!r}")
        except TimeoutError:
            pass
        finally:
            self.sock.settimeout(self.patience)

    def until_closed(self):
        """Everything that comes until the peer closes, raw."""
        try:
            while True:
                self._more()
        except Closed as c:
            self.buffer = b""
            return c.partial
