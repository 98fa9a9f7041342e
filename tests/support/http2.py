"""An HTTP/2 client on python3-h2: strict about what it receives, and a frame at a time when told so."""
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from support.frames import GoawaySieve
from support.message import Response, pairs
from support.wire import PATIENCE, connect


class Stream:
    def __init__(self, method):
        self.method = method
        self.response = None
        self.interim = []
        self.ended = False
        self.reset_code = None  # of the peer's RST_STREAM


class Client:
    """One connection. It is pumped by its own calls, so one thread may hold many streams open."""

    def __init__(self, address, tls=None, sni=None, settings=None, auto_credit=True, prelude=b"", patience=PATIENCE):
        """auto_credit: received DATA is acknowledged at once; without it the windows run dry until credit() is called."""
        self.patience, self.auto_credit, self.tls = patience, auto_credit, tls
        self.sock = connect(address, patience)
        if prelude:
            self.sock.sendall(prelude)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=sni)
            assert self.sock.selected_alpn_protocol() == "h2", f"ALPN gave {self.sock.selected_alpn_protocol()}"
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="latin-1",
            validate_outbound_headers=False, normalize_outbound_headers=False))
        if settings:
            self.h2.local_settings = h2.settings.Settings(client=True, initial_values={
                h2.settings.SettingCodes.ENABLE_PUSH: 0, **settings})
        self.streams = {}
        self._sieve = GoawaySieve()
        self.goaway = None  # (error code, last stream id) of the latest
        self.closed = False
        self.settled = False  # the peer's SETTINGS have come
        self.h2.initiate_connection()
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    # -- sending --
    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    def start(self, method="GET", path="/", headers=(), authority="acme.test", end=True, extra_pseudo=(), flush=True):
        """Sends HEADERS, unless flush() is left to the caller; the stream's id."""
        sid = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", "https" if self.tls else "http"), (":authority", authority), (":path", path)]
        fields += list(extra_pseudo) + [(n.lower(), str(v)) for n, v in pairs(headers)]
        self.streams[sid] = Stream(method)
        self.h2.send_headers(sid, fields, end_stream=end)
        if flush:
            self.flush()
        return sid

    def burst(self, n, **kw):
        """So many requests in one write; their streams' ids."""
        sids = [self.start(flush=False, **kw) for _ in range(n)]
        self.flush()
        return sids

    def send(self, sid, data, end=False):
        """DATA within the windows, pumping while they are closed. False: the stream was reset or ended meanwhile."""
        view = memoryview(data)
        while view:
            self.pump(lambda: self._window(sid) > 0, "window to send in")
            if self.streams[sid].reset_code is not None:
                return False
            n = min(self._window(sid), self.h2.max_outbound_frame_size, len(view))
            last = end and n == len(view)
            self.h2.send_data(sid, bytes(view[:n]), end_stream=last)
            self.flush()
            view = view[n:]
        if end and not data:
            self.h2.end_stream(sid)
            self.flush()
        return True

    def _window(self, sid):
        if self.streams[sid].reset_code is not None or self.closed:
            return 1
        return self.h2.local_flow_control_window(sid)

    def trailers(self, sid, fields):
        self.h2.send_headers(sid, [(n.lower(), str(v)) for n, v in pairs(fields)], end_stream=True)
        self.flush()

    def credit(self, sid, n):
        """Opens the stream's and the connection's window by n."""
        self.h2.increment_flow_control_window(n, sid)
        self.h2.increment_flow_control_window(n)
        self.flush()

    def cancel(self, sid, code=8):
        self.h2.reset_stream(sid, code)
        self.flush()

    # -- receiving --
    def pump(self, until, what, patience=None):
        """Reads until the condition holds, the peer closes, or patience ends (which fails). Unless it is given, patience is with silence: a
        large body may take as long as it needs, if only it comes."""
        deadline = time.monotonic() + (patience or self.patience)
        while not until():
            left = deadline - time.monotonic()
            assert left > 0, f"waited in vain for {what}"
            if self.closed:
                raise AssertionError(f"the connection closed before {what}; goaway {self.goaway}")
            self.sock.settimeout(left)
            if self._read() and patience is None:
                deadline = time.monotonic() + self.patience

    def pump_for(self, seconds):
        """Reads whatever comes in that time: for tests where the absence of frames is the point."""
        deadline = time.monotonic() + seconds
        while not self.closed and (left := deadline - time.monotonic()) > 0:
            self.sock.settimeout(left)
            self._read()

    def _read(self):
        """True: something came."""
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            return False
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return False
        data = self._sieve.feed(data)
        if self._sieve.seen:
            self.goaway = self._sieve.seen[-1]
        for event in self.h2.receive_data(data):
            self._on(event)
        try:
            self.flush()
        except OSError:
            self.closed = True
        return True

    def _on(self, e):
        stream = self.streams.get(getattr(e, "stream_id", None))
        if isinstance(e, h2.events.RemoteSettingsChanged):
            self.settled = True
        elif stream is None:
            pass
        elif isinstance(e, h2.events.InformationalResponseReceived):
            stream.interim.append(self._head(e.headers))
        elif isinstance(e, h2.events.ResponseReceived):
            stream.response = self._head(e.headers)
            stream.response.interim = stream.interim
            stream.response.complete = False
        elif isinstance(e, h2.events.DataReceived):
            stream.response.body += e.data
            if self.auto_credit and e.flow_controlled_length:
                self.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        elif isinstance(e, h2.events.TrailersReceived):
            stream.response.trailers = pairs(e.headers)
        elif isinstance(e, h2.events.StreamEnded):
            stream.ended = True
            stream.response.complete = True
        elif isinstance(e, h2.events.StreamReset):
            stream.reset_code = int(e.error_code)

    @staticmethod
    def _head(headers):
        status = [v for n, v in headers if n == ":status"]
        assert len(status) == 1, f":status {status}"
        return Response(int(status[0]), pairs([(n, v) for n, v in headers if n[0] != ":"]), version="HTTP/2")

    def response(self, sid):
        """The whole answer. A stream that was reset fails."""
        s = self.streams[sid]
        self.pump(lambda: s.ended or s.reset_code is not None, f"the end of stream {sid}")
        assert s.ended, f"stream {sid} was reset with {s.reset_code}"
        return s.response

    def response_head(self, sid):
        s = self.streams[sid]
        self.pump(lambda: s.response is not None or s.reset_code is not None, f"the head of stream {sid}")
        assert s.response, f"stream {sid} was reset with {s.reset_code}"
        return s.response

    def reset_of(self, sid):
        """The code of the RST_STREAM that ends this stream. A clean end fails."""
        s = self.streams[sid]
        self.pump(lambda: s.ended or s.reset_code is not None, f"a reset of stream {sid}")
        assert s.reset_code is not None, f"stream {sid} ended cleanly with {s.response}"
        return s.reset_code

    def wait_goaway(self):
        self.pump(lambda: self.goaway is not None, "GOAWAY")
        return self.goaway

    def wait_closed(self):
        self.pump(lambda: self.closed, "the close")

    # -- whole requests --
    def request(self, method="GET", path="/", headers=(), body=b"", authority="acme.test", trailers=()):
        sid = self.start(method, path, headers, authority, end=not body and not trailers)
        if body:
            self.send(sid, body, end=not trailers)
        if trailers:
            self.trailers(sid, trailers)
        return self.response(sid)

    def get(self, path="/", headers=(), **kw):
        return self.request("GET", path, headers, **kw)
