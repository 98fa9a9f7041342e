"""Waiting with a bound, and the socket helpers that every fake shares."""
import ctypes
import os
import select
import socket
import struct
import threading
import time

# The longest that something which must happen may take. Sanitizers and valgrind are slower: tests/run raises it for them.
PATIENCE = float(os.environ.get("WEIR_PATIENCE", "10"))
POLL = 0.005
LIBC = ctypes.CDLL(None, use_errno=True)


def eventually(condition, what, patience=PATIENCE):
    """Waits until condition() is true and returns its value; fails with `what` otherwise."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:g} s in vain: {what() if callable(what) else what}")
        time.sleep(POLL)


def connect(address, patience=PATIENCE):
    """A TCP connection to (host, port), or a unix one to "unix:/path"; every call on it is bounded."""
    if isinstance(address, str) and address.startswith("unix:"):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(patience)
        s.connect(address[len("unix:"):])
        return s
    s = socket.create_connection(address, timeout=patience)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def listen(backlog=128, address=("127.0.0.1", 0)):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(address)
    s.listen(backlog)
    return s


def reset(sock):
    """Closes with RST instead of FIN. SO_LINGER would not do: while another thread waits in a call on the socket, its close() sends nothing."""
    if sock.family != socket.AF_UNIX and sock.fileno() >= 0:
        nobody = struct.pack("=H14x", socket.AF_UNSPEC)  # connect(2): dissolves the association, which is a RST at once
        LIBC.connect(sock.fileno(), nobody, len(nobody))
    sock.close()


def is_gone(sock):
    """Whether the peer has closed or reset; bytes that wait to be read are left there."""
    readable, _, _ = select.select([sock], [], [], 0)
    if not readable:
        return False
    try:
        return socket.socket.recv(sock, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


class RefusedPort:
    """An address that refuses every connection, and that nobody else can be given meanwhile."""

    def __init__(self, address=("127.0.0.1", 0)):
        self._sock = socket.socket()
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of those who were there before
        self._sock.bind(address)
        self.host, self.port = self._sock.getsockname()

    def __str__(self):
        return f"{self.host}:{self.port}"

    def close(self):
        self._sock.close()


class SilentPort:
    """An address at which connecting hangs: its accept queue is full, so the kernel drops every SYN."""

    def __init__(self):
        self._sock = listen(backlog=0)
        self.port = self._sock.getsockname()[1]
        self._fillers = []
        for _ in range(16):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(s)

    def __str__(self):
        return f"127.0.0.1:{self.port}"

    def close(self):
        for s in self._fillers:
            s.close()
        self._sock.close()


class SharedSocket:
    """One connection for several threads: OpenSSL's objects may not be used by two at once, so each call is short and locked."""

    def __init__(self, sock):
        self._sock = sock
        self._lock = threading.Lock()
        self._sock.setblocking(False)
        self.closed = False

    def fileno(self):
        return self._sock.fileno()

    def alpn(self):
        return self._sock.selected_alpn_protocol() if hasattr(self._sock, "selected_alpn_protocol") else None

    def recv(self, size, patience=None):
        """Bytes, b"" at the end (a reset is an end too), None when patience ran out."""
        import ssl
        deadline = None if patience is None else time.monotonic() + patience
        while not self.closed:
            try:
                with self._lock:
                    return self._sock.recv(size)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            except (OSError, ValueError):
                return b""
            if deadline is not None and time.monotonic() > deadline:
                return None
            try:
                select.select([self._sock], [], [], 0.1)
            except (OSError, ValueError):
                return b""
        return b""

    def sendall(self, data, patience=None):
        import ssl
        view = memoryview(data)
        deadline = time.monotonic() + (PATIENCE * 3 if patience is None else patience)
        while view:
            try:
                with self._lock:
                    view = view[self._sock.send(view):]
                continue
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            if time.monotonic() > deadline:
                raise TimeoutError("the peer does not read")
            select.select([], [self._sock], [], 0.1)

    def reset(self):
        self.closed = True
        reset(self._sock)

    def close(self):
        self.closed = True
        with self._lock:
            try:
                self._sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self._sock.close()
