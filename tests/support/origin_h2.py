"""HTTP/2 as an origin speaks it, on python3-h2: one thread reads, one thread per stream answers."""
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from support import frames
from support.message import Request, pairs
from support.origin_h1 import Gone
from support.wire import PATIENCE, SharedSocket, eventually


class Exchange:
    """One stream: the request and the means to answer it."""

    def __init__(self, conn, stream_id, request):
        self.conn, self.id, self.request, self.origin = conn, stream_id, request, conn.origin
        self.parts = []  # of the request body, not yet read
        self.ended = False
        self.reset_code = None  # the peer's
        self._suppressed = False
        self._done = False

    # -- the request --
    def read_part(self):
        """The next bytes of the request body, b"" at its end. Credit is given when they are read."""
        with self.conn.changed:
            self.conn.wait(lambda: self.parts or self.ended or self.reset_code is not None)
            if not self.parts:
                if self.reset_code is not None:
                    raise Gone
                return b""
            data, credit = self.parts.pop(0)
            try:
                self.conn.h2.acknowledge_received_data(credit, self.id)
            except h2.exceptions.ProtocolError:
                pass
            self.conn.flush()
            return data

    def read_body(self):
        while not self.ended or self.parts:
            self.request.body += self.read_part()
        return self.request.body

    # -- the answer --
    def interim(self, status, headers=()):
        self._headers(status, headers, False)

    def head(self, status, headers=(), length=None):
        headers = list(pairs(headers))
        self._suppressed = self.request.method == "HEAD" or status in (204, 304)
        if length is not None and status not in (204, 304):
            headers.append(("content-length", length))
        self._headers(status, headers, self._suppressed)

    def _headers(self, status, headers, last):
        self._done = self._done or last
        fields = [(":status", str(status))] + [(n.lower(), str(v)) for n, v in pairs(headers)]
        self.conn.do(lambda c: c.send_headers(self.id, fields, end_stream=last))

    def body(self, data):
        if self._suppressed:
            return
        view = memoryview(data)
        while view:
            with self.conn.changed:
                self.conn.wait(lambda: self.reset_code is not None or self.conn.window(self.id) > 0)
                if self.reset_code is not None:
                    raise Gone
                n = min(self.conn.window(self.id), self.conn.h2.max_outbound_frame_size, len(view))
                try:
                    self.conn.h2.send_data(self.id, bytes(view[:n]))
                except h2.exceptions.ProtocolError:
                    raise Gone from None
                self.conn.flush()
            view = view[n:]

    def end(self, trailers=()):
        if self._done:
            return
        self._done = True
        if trailers:
            fields = [(n.lower(), str(v)) for n, v in pairs(trailers)]
            self.conn.do(lambda c: c.send_headers(self.id, fields, end_stream=True))
        else:
            self.conn.do(lambda c: c.end_stream(self.id))

    def send(self, data):
        """Raw bytes onto the connection, past python3-h2."""
        self.conn.sock.sendall(data)

    def reset_stream(self, code=h2.errors.ErrorCodes.CANCEL):
        self._done = True
        self.conn.do(lambda c: c.reset_stream(self.id, code))

    def goaway(self, last_stream_id, code=0):
        self._done = True
        self.send(frames.goaway(last_stream_id, code))

    def close(self):
        self.conn.sock.close()

    def reset(self):
        self.conn.sock.reset()

    def gone(self):
        return self.origin.closing or self.reset_code is not None or self.conn.ended

    def wait_gone(self, patience=PATIENCE * 6):
        eventually(self.gone, "the proxy to give up the stream", patience)


class Connection:
    def __init__(self, origin, sock, index):
        self.origin, self.index = origin, index
        self.sock = SharedSocket(sock)
        self.received = bytearray()
        self.ended = False
        self.streams = {}
        self._sieve = frames.GoawaySieve(preface=True)
        self.changed = threading.Condition(threading.RLock())
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="latin-1",
            validate_outbound_headers=False, normalize_outbound_headers=False))
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values={
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 100, **origin.h2_settings})

    def window(self, stream_id):
        try:
            return self.h2.local_flow_control_window(stream_id)
        except h2.exceptions.ProtocolError:
            raise Gone from None

    def wait(self, condition):
        """With `changed` held."""
        if not self.changed.wait_for(lambda: condition() or self.ended or self.origin.closing, PATIENCE * 6):
            raise Gone
        if not condition():
            raise Gone

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            try:
                self.sock.sendall(data)
            except (OSError, ValueError):
                raise Gone from None

    def do(self, action):
        with self.changed:
            try:
                action(self.h2)
            except h2.exceptions.ProtocolError:
                raise Gone from None
            self.flush()

    def run(self):
        try:
            with self.changed:
                self.h2.initiate_connection()
                self.flush()
            while not self.origin.closing:
                data = self.sock.recv(65536)
                if not data:
                    break
                self.received += data
                data = self._sieve.feed(data)
                with self.changed:
                    for event in self.h2.receive_data(data):
                        self._on(event)
                    self.flush()
                    self.changed.notify_all()
        except h2.exceptions.ProtocolError as e:
            self.origin.complaints.append(f"{self.origin.name}: the proxy broke HTTP/2: {e!r}")
        except (Gone, OSError, ValueError):
            pass
        finally:
            self.ended = True
            with self.changed:
                self.changed.notify_all()
            self.sock.close()

    def _on(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self._request(event)
        elif isinstance(event, h2.events.DataReceived):
            x = self.streams[event.stream_id]
            x.parts.append((event.data, event.flow_controlled_length))
        elif isinstance(event, h2.events.TrailersReceived):
            self.streams[event.stream_id].request.trailers = pairs(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            x = self.streams[event.stream_id]
            x.ended = x.request.complete = True
        elif isinstance(event, h2.events.StreamReset):
            if event.stream_id in self.streams:
                self.streams[event.stream_id].reset_code = event.error_code

    def _request(self, event):
        pseudo = {n: v for n, v in event.headers if n.startswith(":")}
        r = Request(pseudo.get(":method", ""), pseudo.get(":path", ""), pairs([(n, v) for n, v in event.headers if n[0] != ":"]),
            "HTTP/2", pseudo.get(":scheme", ""), pseudo.get(":authority", ""), pseudo.get(":protocol", ""), connection=self.index)
        x = self.streams[event.stream_id] = Exchange(self, event.stream_id, r)
        self.origin.record(r)
        threading.Thread(target=self._answer, args=(x,), daemon=True).start()

    def _answer(self, x):
        try:
            self.origin.answer_for(x.request)(x)
        except (Gone, OSError):
            pass
        except Exception as e:
            self.origin.complaints.append(f"{self.origin.name}: {e!r}")
