"""A fake origin: HTTP/1, h2c, or TLS with ALPN; answers as scripted per path, records every request and every byte."""
import socket
import ssl
import threading
from urllib.parse import urlsplit

from support import origin_h1, origin_h2
from support.answers import reply
from support.wire import PATIENCE, RefusedPort, SharedSocket, eventually, listen, reset


class Origin:
    """str(origin) is its address for a configuration.

    protocol: "http1" | "h2c" without TLS; with tls (an ssl.SSLContext of the server side) ALPN decides."""

    def __init__(self, name="origin", protocol="http1", tls=None, h2_settings=None, prelude=None, address=("127.0.0.1", 0)):
        """prelude: a function that takes the socket before TLS and HTTP (reads the PROXY protocol) and returns bytes to record."""
        self.name, self.protocol, self.tls, self.h2_settings = name, protocol, tls, h2_settings or {}
        self.prelude, self.preludes = prelude, []
        self.default = reply(200, name, {"X-Origin": name, "Content-Type": "text/plain"})
        self.requests = []
        self.connections = []
        self.handshakes_failed = []
        self.complaints = []  # the proxy sent something that no proxy may: fails the test at its end
        self.closing = False
        self._answers = {}
        self._lock = threading.Lock()
        self._start(listen(address=address))

    def __str__(self):
        return f"{self.host}:{self.port}"

    # -- the script --
    def on(self, path, answer):
        """The answer for exactly that path (the query does not count). Returns it."""
        self._answers[path] = answer
        return answer

    def always(self, answer):
        self.default = answer
        return answer

    def answer_for(self, request):
        target = request.target
        path = target.split("?")[0] if target.startswith("/") else urlsplit(target).path
        return self._answers.get(path, self.default)

    # -- the record --
    def record(self, request):
        with self._lock:
            self.requests.append(request)

    @property
    def count(self):
        return len(self.requests)

    @property
    def last(self):
        return self.requests[-1]

    def received(self):
        """Every byte that came, over all connections."""
        return b"".join(bytes(c.received) for c in self.connections)

    def open_connections(self):
        return sum(not c.ended for c in self.connections)

    def wait_count(self, n):
        eventually(lambda: self.count >= n, lambda: f"{self.name} to get {n} requests, it has {self.count}")

    # -- life --
    def _start(self, sock):
        self.closing = False
        self._sock = sock
        self.host, self.port = sock.getsockname()
        threading.Thread(target=self._accept, args=(sock,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            if self.closing:
                sock.close()
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        sock.settimeout(PATIENCE * 6)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        speaks = self.protocol
        try:
            if self.prelude:
                self.preludes.append(self.prelude(sock))
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
                speaks = "h2" if sock.selected_alpn_protocol() == "h2" else "http1"
        except (OSError, ssl.SSLError, ValueError) as e:
            self.handshakes_failed.append(e)
            sock.close()
            return
        kind = origin_h1 if speaks == "http1" else origin_h2
        with self._lock:
            conn = kind.Connection(self, sock, len(self.connections))
            self.connections.append(conn)
        conn.run()

    def close(self):
        """Stops listening and closes every connection. Its port stays its own as long as the object lives: weir may go on asking there,
        and must not find an origin of another test."""
        if self.closing:
            return
        self.closing = True
        try:
            self._sock.shutdown(2)
        except OSError:
            pass
        self._sock.close()
        self._gone = RefusedPort((self.host, self.port))
        self.drop_connections()

    def drop_connections(self, hard=False):
        """Closes what is open, as a restarting server does; hard: with RST."""
        for c in list(self.connections):
            if c.ended:
                continue
            if isinstance(c.sock, SharedSocket):
                c.sock.reset() if hard else c.sock.close()
            elif hard:
                reset(c.sock)
            else:
                try:
                    c.sock.shutdown(2)
                except OSError:
                    pass
