"""Steady traffic in the background, every answer checked: for tests that change something under it."""
import threading

from support import http1, http2
from support.wire import eventually


class Load:
    """with Load(edge, ...) as load: ... ; load.failures is what went wrong, load.done how many were right.

    Each client keeps its connection as long as weir lets it, and opens a new one only after an orderly end."""

    def __init__(self, address, h1=2, h2=2, path="/", check=lambda r: r.status == 200, pki=None, authority="acme.test"):
        """pki: the certs.Authority to trust, for a TLS listener."""
        self.address, self.path, self.check, self.pki, self.authority = address, path, check, pki, authority
        self.done = 0
        self.failures = []
        self.answers = []  # bodies, for who wants to see who served
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._guard, args=(f,), daemon=True) for f in [self._h1] * h1 + [self._h2] * h2]

    def __enter__(self):
        for t in self._threads:
            t.start()
        return self

    def __exit__(self, *exc):
        self._stop.set()
        for t in self._threads:
            t.join()

    def wait_more(self, n):
        """Until n more requests were answered."""
        goal = self.done + n
        eventually(lambda: self.done >= goal or self.failures, f"{n} more requests under load")

    def _guard(self, body):
        try:
            while not self._stop.is_set():
                body()
        except Exception as e:  # whatever it was, the test has to see it
            self.failures.append(repr(e))

    def _count(self, response):
        with self._lock:
            if self.check(response):
                self.done += 1
                self.answers.append(response.body)
            else:
                self.failures.append(f"{response.status} {response.body[:200]!r}")

    def _tls(self, alpn):
        return self.pki.client_context((alpn,)) if self.pki else None

    def _h1(self):
        with http1.Client(self.address, tls=self._tls("http/1.1"), sni=self.authority) as c:
            while not self._stop.is_set():
                r = c.get(self.path, host=self.authority)
                self._count(r)
                if r.header("connection", "").lower() == "close":
                    return

    def _h2(self):
        with http2.Client(self.address, tls=self._tls("h2"), sni=self.authority) as c:
            while not self._stop.is_set() and not c.goaway:
                sids = [c.start(path=self.path, authority=self.authority) for _ in range(4)]
                for sid in sids:
                    last = c.goaway[1] if c.goaway else sid
                    if sid <= last:
                        self._count(c.response(sid))
