"""HTTP/1 as an origin speaks it: strict about what it receives, obedient about what it sends."""
import socket

from support.http1 import BadAnswer, parse_fields
from support.message import Request, pairs
from support.wire import PATIENCE, eventually, is_gone, reset


class Gone(Exception):
    """The peer closed, or the exchange did."""


class Exchange:
    """One request and the means to answer it."""

    def __init__(self, conn, request, body):
        self.conn, self.request, self.origin = conn, request, conn.origin
        self._body, self._chunked, self._suppressed = body, False, False
        self._expected = request.header("expect", "").lower() == "100-continue"

    def read_body(self):
        while part := self.read_part():
            self.request.body += part
        return self.request.body

    def read_part(self):
        """The next bytes of the request body, b"" at its end. A client that waits to be told to continue is told so."""
        if self._expected:
            self._expected = False
            if not self.conn.buffer:
                self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        return next(self._body, b"")

    def send(self, data):
        try:
            self.conn.sock.sendall(data)
        except OSError:
            raise Gone from None

    def interim(self, status, headers=()):
        self.send(self._head(status, headers))

    def head(self, status, headers=(), length=None):
        headers = list(pairs(headers))
        self._suppressed = self.request.method == "HEAD" or status in (204, 304)
        if length is not None and status not in (204, 304):
            headers.append(("Content-Length", length))
        elif length is None and not self._suppressed:
            if self.request.version == "HTTP/1.1":
                self._chunked = True
                headers.append(("Transfer-Encoding", "chunked"))
            else:
                self.conn.closing = True
        self.send(self._head(status, headers))

    @staticmethod
    def _head(status, headers):
        lines = [f"HTTP/1.1 {status} Status"] + [f"{n}: {v}" for n, v in pairs(headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def body(self, data):
        if self._suppressed or not data:
            return
        self.send(b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data)

    def end(self, trailers=()):
        if self._chunked:
            self.send(("0\r\n" + "".join(f"{n}: {v}\r\n" for n, v in pairs(trailers)) + "\r\n").encode())

    def close(self):
        self.conn.closing = True

    def reset(self):
        self.conn.closing = True
        reset(self.conn.sock)

    def gone(self):
        return self.origin.closing or self.conn.sock.fileno() < 0 or is_gone(self.conn.sock)

    def wait_gone(self, patience=PATIENCE * 6):
        eventually(self.gone, "the proxy to hang up on the origin", patience)


class Connection:
    """Reads requests one after the other; what it read is in `received`, byte for byte."""

    def __init__(self, origin, sock, index):
        self.origin, self.sock, self.index = origin, sock, index
        self.received = bytearray()
        self.buffer = b""
        self.closing = False
        self.ended = False

    def _more(self):
        try:
            data = self.sock.recv(65536)
        except OSError:
            raise Gone from None
        if not data:
            raise Gone
        self.received += data
        self.buffer += data

    def _line(self):
        while b"\r\n" not in self.buffer:
            self._more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def _exactly(self, n):
        while len(self.buffer) < n:
            self._more()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def run(self):
        try:
            while not self.closing and not self.origin.closing:
                request = self._request()
                body = self._body_parts(request)
                self.origin.record(request)
                x = Exchange(self, request, body)
                self.origin.answer_for(request)(x)
                if not self.closing:
                    x.read_body()
        except (Gone, OSError):
            pass
        except Exception as e:
            self.origin.complaints.append(f"{self.origin.name}: {e!r}")
        finally:
            self.ended = True
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            self.sock.close()

    def _request(self):
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.split(b"\r\n")
        words = lines[0].split(b" ")
        if len(words) != 3 or words[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise BadAnswer(f"bad request line from the proxy: {lines[0]!r}")
        fields = parse_fields(lines[1:])
        r = Request(words[0].decode(), words[1].decode("latin-1"), fields, words[2].decode(), raw_head=head + b"\r\n\r\n",
            connection=self.index, authority=fields.get("host", ""), scheme="https" if self.origin.tls else "http")
        if "content-length" in fields and "transfer-encoding" in fields:
            raise BadAnswer("the proxy sent Content-Length and Transfer-Encoding")
        return r

    def _body_parts(self, r):
        length, coding = r.headers.get("content-length"), r.headers.get("transfer-encoding")
        if coding is not None:
            if coding.lower() != "chunked":
                raise BadAnswer(f"Transfer-Encoding {coding} from the proxy")
            return self._chunks(r)
        return self._counted(r, int(length or 0))

    def _counted(self, r, left):
        while left:
            if not self.buffer:
                self._more()
            part, self.buffer = self.buffer[:left], self.buffer[left:]
            left -= len(part)
            yield part
        r.complete = True

    def _chunks(self, r):
        while n := int(self._line(), 16):
            yield self._exactly(n)
            if self._exactly(2) != b"\r\n":
                raise BadAnswer("chunk data without its CRLF from the proxy")
        lines = []
        while line := self._line():
            lines.append(line)
        r.trailers = parse_fields(lines)
        r.complete = True
