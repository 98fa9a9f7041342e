"""WebSocket frames (RFC 6455), an echo for origins over HTTP/1 and HTTP/2, and clients for both."""
import base64
import hashlib
import os
import struct

from support.wire import eventually

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def encode(opcode, payload=b"", mask=False, fin=True):
    head = bytes([(0x80 if fin else 0) | opcode])
    bit = 0x80 if mask else 0
    n = len(payload)
    if n < 126:
        head += bytes([bit | n])
    elif n < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", n)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", n)
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + _xor(payload, key)


def _xor(data, key):
    n = len(data)
    whole = (key * (n // 4 + 1))[:n]
    return (int.from_bytes(data, "big") ^ int.from_bytes(whole, "big")).to_bytes(n, "big") if n else b""


class Decoder:
    """Feed bytes, take (opcode, payload)."""

    def __init__(self):
        self.buffer = b""

    def feed(self, data):
        self.buffer += data

    def take(self):
        b = self.buffer
        if len(b) < 2:
            return None
        at, n = 2, b[1] & 0x7f
        if n == 126:
            if len(b) < 4:
                return None
            n, at = struct.unpack(">H", b[2:4])[0], 4
        elif n == 127:
            if len(b) < 10:
                return None
            n, at = struct.unpack(">Q", b[2:10])[0], 10
        key = b""
        if b[1] & 0x80:
            key, at = b[at:at + 4], at + 4
        if len(b) < at + n or (b[1] & 0x80 and len(key) < 4):
            return None
        payload = b[at:at + n]
        self.buffer = b[at + n:]
        return b[0] & 0x0f, _xor(payload, key) if key else payload


# -- the origin's side: answers --

def _serve(receive, send, frames):
    """Echoes messages, answers PING with PONG and CLOSE with CLOSE, until the peer finishes."""
    decoder = Decoder()
    while data := receive():
        decoder.feed(data)
        while (message := decoder.take()) is not None:
            opcode, payload = message
            frames.append(message)
            if opcode == CLOSE:
                send(encode(CLOSE, payload))
                return
            send(encode(PONG if opcode == PING else opcode, payload))


def echo(headers=(), greeting=b""):
    """An answer that upgrades, over HTTP/1 or by RFC 8441, and echoes. greeting: sent as a text message with the 101."""
    frames = []

    def answer(x):
        if x.request.version == "HTTP/2":
            x.head(200, headers, None)
            if greeting:
                x.body(encode(TEXT, greeting))
            _serve(x.read_part, x.body, frames)
            x.end()
            return
        assert x.request.header("upgrade", "").lower() == "websocket", f"no upgrade in {x.request.raw_head!r}"
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Accept: {accept_of(x.request.header('sec-websocket-key'))}"]
        lines += [f"{n}: {v}" for n, v in (headers.items() if isinstance(headers, dict) else headers)]
        x.send("\r\n".join(lines).encode() + b"\r\n\r\n" + (encode(TEXT, greeting) if greeting else b""))
        _serve(lambda: _raw_part(x), x.send, frames)
        x.close()
    answer.frames = frames
    return answer


def _raw_part(x):
    if x.conn.buffer:
        data, x.conn.buffer = x.conn.buffer, b""
        return data
    try:
        data = x.conn.sock.recv(65536)
    except OSError:
        return b""
    x.conn.received += data
    return data


def half_close(received, parting=b"bye"):
    """An answer that reads to the client's end of stream, appends what came to `received`, and then still sends `parting`."""
    def answer(x):
        if x.request.version == "HTTP/2":
            x.head(200, (), None)
            while part := x.read_part():
                received.append(part)
            x.body(parting)
            x.end()
            return
        x.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
               f"{accept_of(x.request.header('sec-websocket-key'))}\r\n\r\n".encode())
        while part := _raw_part(x):
            received.append(part)
        x.send(parting)
        x.close()
    return answer


# -- the client's side --

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def handshake_headers(more=()):
    return [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Version", "13"), *more]


class OverHttp1:
    """A WebSocket on an http1.Client."""

    def __init__(self, client, path="/", headers=(), **kw):
        """kw: as Client.request() takes."""
        self.client, self.decoder = client, Decoder()
        self.answer = client.request("GET", path, handshake_headers(headers), **kw)
        if self.answer.status == 101:
            assert self.answer.header("sec-websocket-accept") == accept_of(KEY)
            self.decoder.feed(client.buffer)
            client.buffer = b""

    def send(self, opcode, payload=b""):
        self.client.send(encode(opcode, payload, mask=True))

    def send_raw(self, data):
        self.client.send(data)

    def finish_sending(self):
        self.client.sock.shutdown(1)

    def receive(self):
        """The next (opcode, payload); None at the end."""
        while (message := self.decoder.take()) is None:
            data = self.client.sock.recv(65536)
            if not data:
                return None
            self.decoder.feed(data)
        return message

    def rest(self):
        """Raw bytes to the end of the stream."""
        data, self.decoder.buffer = self.decoder.buffer, b""
        while part := self.client.sock.recv(65536):
            data += part
        return data

    def close(self):
        self.client.close()

    def abort(self):
        self.client.reset()


class OverHttp2:
    """A WebSocket on a stream of an http2.Client (RFC 8441)."""

    def __init__(self, client, path="/", headers=()):
        self.client, self.decoder = client, Decoder()
        client.pump(lambda: client.settled, "the server's SETTINGS")
        assert client.h2.remote_settings.enable_connect_protocol == 1, "no SETTINGS_ENABLE_CONNECT_PROTOCOL"
        self.sid = client.start("CONNECT", path, [("sec-websocket-version", "13"), *headers], end=False,
            extra_pseudo=[(":protocol", "websocket")])
        self.answer = client.response_head(self.sid)
        self._taken = 0

    @property
    def stream(self):
        return self.client.streams[self.sid]

    def send(self, opcode, payload=b""):
        self.client.send(self.sid, encode(opcode, payload, mask=True))

    def send_raw(self, data):
        self.client.send(self.sid, data)

    def finish_sending(self):
        self.client.h2.end_stream(self.sid)
        self.client.flush()

    def _feed(self):
        body = self.stream.response.body
        self.decoder.feed(body[self._taken:])
        self._taken = len(body)

    def receive(self):
        self._feed()
        while (message := self.decoder.take()) is None:
            if self.stream.ended or self.stream.reset_code is not None:
                return None
            before = len(self.stream.response.body)
            self.client.pump(lambda: len(self.stream.response.body) > before or self.stream.ended or self.stream.reset_code is not None,
                "a message")
            self._feed()
        return message

    def rest(self):
        self.client.response(self.sid)
        self._feed()
        data, self.decoder.buffer = self.decoder.buffer, b""
        return data

    def close(self):
        self.client.close()

    def abort(self):
        self.client.cancel(self.sid)


def wait_frames(answer, n):
    eventually(lambda: len(answer.frames) >= n, f"{n} frames at the origin")
