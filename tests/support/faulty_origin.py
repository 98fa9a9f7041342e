"""Backends, in a process of their own, that break off in every phase of an exchange, by chance, and count together which orders they were given.

An order is a request with an X-Order. It counts as run as soon as its head has been read, whatever becomes of it, unless HTTP/2 lets the backend
say that it was not: REFUSED_STREAM, or a GOAWAY whose last stream lies below."""
import asyncio
import collections
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import hpack

from support import frames

ORDER = re.compile(rb"\r\nx-order: *(\d+)", re.I)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
SOON = 0.001  # seconds: while the next request is on its way


class FaultyOrigins:
    """addresses: where the n of them listen. protocol: "http1" or "h2c"."""

    def __init__(self, protocol, n=3):
        self.process = subprocess.Popen([sys.executable, "-m", "support.faulty_origin", protocol, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[1], env={**os.environ, "PYTHONPATH": "."})
        self.addresses = json.loads(self.process.stdout.readline())

    def tally(self):
        """{"run": orders, "twice": those that were run more than once, "declined": said not to have been run, "faults": how often each}"""
        self.process.stdin.write(b"tally\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Book:
    """What was run, and which faults there were."""

    def __init__(self):
        self.run, self.faults, self.declined = collections.Counter(), collections.Counter(), 0

    def tally(self):
        return {"run": len(self.run), "twice": [n for n, times in self.run.items() if times > 1], "declined": self.declined, "faults": self.faults}


BOOK = Book()


def fault(chances):
    """One of them, by its share of all; None: all is well."""
    dice = random.random()
    for name, share in chances.items():
        if dice < share:
            BOOK.faults[name] += 1
            return name
        dice -= share
    return None


class Http1(asyncio.Protocol):
    CHANCES = {"reset on arrival": .02, "close after the request": .03, "reset after the request": .03, "close in the status line": .03,
        "reset in the head": .03, "close in the body": .03, "reset in the body": .03, "close unsaid": .10, "reset unsaid": .05, "close said": .05,
        "interim, then reset": .02, "before the body": .03}
    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nthank you!"

    def connection_made(self, transport):
        self.transport, self.buffer = transport, b""

    def data_received(self, data):
        self.buffer += data
        while b"\r\n\r\n" in self.buffer and not self.transport.is_closing():
            head, rest = self.buffer.split(b"\r\n\r\n", 1)
            length = int(LENGTH.search(head)[1])
            what = getattr(self, "what", None) or fault(self.CHANCES)
            if what != "reset on arrival":
                self.what = what  # until the body is there
            if what in ("reset on arrival", "before the body"):
                BOOK.run[int(ORDER.search(head)[1])] += 1
                self.transport.abort()
                return
            if len(rest) < length:
                return
            self.buffer, self.what = rest[length:], None
            BOOK.run[int(ORDER.search(head)[1])] += 1
            self.answer(what)

    def answer(self, what):
        cut = {"close in the status line": 12, "reset in the head": 30, "close in the body": 45, "reset in the body": 45}.get(what)
        if what == "interim, then reset":
            self.transport.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        elif what == "close said":
            self.transport.write(self.ANSWER.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"))
        elif what is None or "unsaid" in what or cut:
            self.transport.write(self.ANSWER[:cut])
        if what == "reset unsaid":
            asyncio.get_running_loop().call_later(random.random() * SOON, self.transport.abort)
        elif what and what.startswith(("reset", "interim")):
            self.transport.abort()
        elif what:
            self.transport.close()


class Http2(asyncio.Protocol):
    CHANCES = {"refused": .05, "GOAWAY below": .02, "GOAWAY below, in anger": .01, "GOAWAY after": .02, "reset before the body": .03, "reset after": .03,
        "reset in the answer": .03, "abort": .02, "close": .02, "half a frame": .02}
    OK = b"\x88"  # :status 200 (RFC 7541 appendix A)

    def connection_made(self, transport):
        self.transport, self.buffer, self.decoder = transport, b"", hpack.Decoder()
        self.greeted, self.what = False, {}
        self.top, self.last = 0, None  # the latest stream that was run; the one that a GOAWAY has named
        transport.write(frames.settings({frames.MAX_CONCURRENT_STREAMS: 100}))

    def data_received(self, data):
        self.buffer += data
        if not self.greeted and len(self.buffer) >= len(frames.PREFACE):
            self.buffer, self.greeted = self.buffer[len(frames.PREFACE):], True
        while self.greeted and len(self.buffer) >= 9 and not self.transport.is_closing():
            size = 9 + int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < size:
                return
            kind, flags, stream = self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big") & 0x7fffffff
            payload, self.buffer = self.buffer[9:size], self.buffer[size:]
            self.on_frame(kind, flags, stream, payload)

    def on_frame(self, kind, flags, stream, payload):
        if kind == frames.SETTINGS and not flags & frames.ACK:
            self.transport.write(frames.settings(ack=True))
        elif kind == frames.PING and not flags & frames.ACK:
            self.transport.write(frames.frame(frames.PING, frames.ACK, 0, payload))
        elif kind == frames.HEADERS:
            assert flags & frames.END_HEADERS and not flags & (frames.PADDED | frames.WITH_PRIORITY), "not a head that is read here"
            self.on_head(stream, dict(self.decoder.decode(payload)))
        elif kind == frames.DATA and payload:
            self.transport.write(frames.window_update(0, len(payload)))
        if kind in (frames.HEADERS, frames.DATA) and flags & frames.END_STREAM and stream in self.what:
            self.answer(stream, self.what.pop(stream))

    def on_head(self, stream, fields):
        if self.last is not None and stream > self.last:  # it has been told that this one is not looked at
            BOOK.declined += 1
            return
        what = fault(self.CHANCES)
        if what == "refused":
            BOOK.declined += 1
            self.transport.write(frames.rst_stream(stream, frames.REFUSED_STREAM))
            return
        if what and what.startswith("GOAWAY below"):
            BOOK.declined += 1
            self.go_away(self.top, frames.ENHANCE_YOUR_CALM if "anger" in what else frames.NO_ERROR)
            return
        self.top = stream
        BOOK.run[int(fields["x-order"])] += 1
        if what == "reset before the body":
            self.transport.write(frames.rst_stream(stream, frames.INTERNAL_ERROR))
            return
        self.what[stream] = what

    def go_away(self, last, code):
        self.last = last
        self.transport.write(frames.goaway(last, code))
        # Those at or below it are still answered.
        asyncio.get_running_loop().call_later(SOON * 5, self.transport.close)

    def answer(self, stream, what):
        if what == "reset after":
            self.transport.write(frames.rst_stream(stream, frames.CANCEL))
        elif what == "reset in the answer":
            self.transport.write(frames.headers(stream, self.OK, end_stream=False) + frames.rst_stream(stream, frames.INTERNAL_ERROR))
        elif what == "half a frame":
            self.transport.write(frames.headers(stream, self.OK, end_stream=False) + frames.frame(frames.DATA, 0, stream, b"thank", length=10))
            self.transport.close()
        elif what == "abort":
            self.transport.abort()
        elif what == "close":
            self.transport.close()
        else:
            self.transport.write(frames.headers(stream, self.OK))
            if what == "GOAWAY after" and self.last is None:
                self.go_away(self.top, frames.NO_ERROR)


FAULTS = {"http1": Http1.CHANCES, "h2c": Http2.CHANCES}


async def main(protocol, n):
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server({"http1": Http1, "h2c": Http2}[protocol], "127.0.0.1", 0) for _ in range(n)]
    over = loop.create_future()

    def on_command():
        if os.read(0, 100):
            print(json.dumps(BOOK.tally()), flush=True)
        else:
            loop.remove_reader(0)
            over.set_result(None)
    loop.add_reader(0, on_command)
    print(json.dumps(["{}:{}".format(*s.sockets[0].getsockname()) for s in servers]), flush=True)
    await over


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
