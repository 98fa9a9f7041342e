"""What an origin can do with a request. An answer is a function of an exchange (origin_h1.Exchange, origin_h2.Exchange); these make them.

Those in the first half work over HTTP/1 and HTTP/2; the faults in the second say which they are for."""
import threading

from support.wire import PATIENCE, eventually


def reply(status=200, body=b"", headers=(), stream=False, trailers=(), interim=(), close=False, early=False, pieces=None):
    """An ordinary answer. stream: no length is announced; early: before the request body is read; interim: [(status, headers)];
    pieces: the body in these parts, each sent on its own."""
    body = body.encode() if isinstance(body, str) else body

    def answer(x):
        if not early:
            x.read_body()
        for code, fields in interim:
            x.interim(code, fields)
        parts = pieces if pieces is not None else ([body] if body else [])
        x.head(status, headers, None if stream or trailers else sum(map(len, parts)))
        for part in parts:
            x.body(part)
        x.end(trailers)
        if close:
            x.close()
    return answer


def echo(stream=False):
    """Sends the request's body back."""
    def answer(x):
        body = x.read_body()
        x.head(200, {"Content-Type": "application/octet-stream"}, None if stream else len(body))
        x.body(body)
        x.end(x.request.trailers if stream else ())
    return answer


def big(size, piece=65536):
    """`size` bytes whose content is a function of their place: see pattern()."""
    def answer(x):
        x.read_body()
        x.head(200, (), size)
        for at in range(0, size, piece):
            x.body(pattern(min(piece, size - at), at))
        x.end()
    return answer


_BLOCK = bytes((i * 131 + (i >> 8) * 17) & 0xff for i in range(1 << 18))


def pattern(size, at=0):
    """Bytes whose order matters: a lost, doubled or moved part changes the hash."""
    out = bytearray()
    while size:
        start = at % len(_BLOCK)
        part = _BLOCK[start:start + size]
        out += part
        at, size = at + len(part), size - len(part)
    return bytes(out)


class Gate:
    """An answer that waits: `arrived` counts the requests inside, open() lets them and all later ones go on to `then`."""

    def __init__(self, then=None, read_body=True):
        self.then = then or reply(200, b"through the gate")
        self.arrived = 0
        self.gone = 0  # requests whose client went away while they waited
        self._open = threading.Event()
        self._lock = threading.Lock()
        self._read_body = read_body

    def __call__(self, x):
        if self._read_body:
            x.read_body()
        with self._lock:
            self.arrived += 1
        while not self._open.wait(0.02):
            if x.gone():
                with self._lock:
                    self.gone += 1
                return
        self.then(x)

    def open(self):
        self._open.set()

    def wait_arrived(self, n=1):
        eventually(lambda: self.arrived >= n, lambda: f"{n} requests at the gate, {self.arrived} there")

    def wait_gone(self, n=1):
        eventually(lambda: self.gone >= n, lambda: f"{n} requests given up at the gate, {self.gone} were")


class Stepwise:
    """An answer whose body comes in parts when the test says so."""

    def __init__(self, parts, status=200, headers=(), length=None):
        self.parts, self.status, self.headers, self.length = parts, status, headers, length
        self._steps = threading.Semaphore(0)

    def __call__(self, x):
        x.read_body()
        x.head(self.status, self.headers, self.length)
        for part in self.parts:
            if not self._wait(x):
                return
            x.body(part)
        if self._wait(x):
            x.end()

    def _wait(self, x):
        while not self._steps.acquire(timeout=0.02):
            if x.gone():
                return False
        return True

    def step(self, n=1):
        self._steps.release(n)


def hang(x):
    """Reads the request and never answers; ends when the client gives up or the origin is closed."""
    x.read_body()
    x.wait_gone()


def in_turn(*answers):
    """The first request gets the first answer, and so on; the last one stays."""
    left, lock = list(answers), threading.Lock()

    def answer(x):
        with lock:
            mine = left.pop(0) if len(left) > 1 else left[0]
        mine(x)
    return answer


# -- faults over HTTP/1 --

def raw(*parts, then="close", early=False):
    """Exactly these bytes. then: close | reset | keep | hang."""
    def answer(x):
        if not early:
            x.read_body()
        for part in parts:
            x.send(part)
        {"close": x.close, "reset": x.reset, "keep": lambda: None, "hang": x.wait_gone}[then]()
    return answer


def reset_at_once(x):
    """Reads the head, answers nothing, RST."""
    x.read_body()
    x.reset()


def close_at_once(x):
    x.read_body()
    x.close()


def cut(announced=1000, sent=b"x" * 10, how="close"):
    """A body that ends too early."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {announced}\r\n\r\n".encode()
    return raw(head + sent, then=how)


def cut_chunked(sent=b"x" * 10, how="close"):
    return raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(sent), sent), then=how)


# -- faults over HTTP/2 --

def reset_stream(code, after_head=False, after_body=b""):
    def answer(x):
        x.read_body()
        if after_head or after_body:
            x.head(200, (), None)
        if after_body:
            x.body(after_body)
        x.reset_stream(code)
    return answer


def goaway(last_stream_id, code=0):
    """GOAWAY that says which streams were processed, then close once the client has hung up or PATIENCE passed."""
    def answer(x):
        x.goaway(last_stream_id, code)
        x.wait_gone(PATIENCE)
    return answer
