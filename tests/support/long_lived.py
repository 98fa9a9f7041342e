"""Downloads and WebSockets that last, by the thousand: an origin and a client, each in a process of its own.

A download's bytes come over SECONDS and are compared at the end; a WebSocket says a number each second and wants it back, for as long."""
import asyncio
import base64
import hashlib
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

from support.answers import pattern

SIZE, PARTS, SECONDS = 100_000, 20, 10
BODY = pattern(SIZE)
ACCEPT = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n"
UPGRADE = (b"GET /ws HTTP/1.1\r\nHost: acme.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
TEXT, CLOSE, MASK = 0x81, 0x88, b"\0\0\0\0"  # a mask of zeros changes nothing


def start(*arguments):
    return subprocess.Popen([sys.executable, "-m", "support.long_lived", *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).resolve().parents[1], env={**os.environ, "PYTHONPATH": "."})


class LongLivedOrigin:
    """address: where it listens."""

    def __init__(self):
        self.process = start("origin")
        self.address = self.process.stdout.readline().strip()

    def close(self):
        self.process.kill()
        self.process.communicate()


class LongLivedClients:
    """So many downloads and so many WebSockets are open at any time; whatever ends is begun anew, until finish()."""

    def __init__(self, address, each):
        self.process = start("clients", *address, each)
        assert self.process.stdout.readline() == "all are open\n"

    def finish(self):
        """When the last have ended: {"downloads": good ones, "sockets": ..., "echoes": ..., "wrong": [what was wrong, at most 20 of them]}"""
        return json.loads(self.process.communicate("finish\n")[0])

    def close(self):
        self.process.kill()
        self.process.communicate()


# -- the origin --

async def serve(reader, writer):
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/ws " in head.split(b"\r\n")[0]:
            await echo(head, reader, writer)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % SIZE)
            for at in range(0, SIZE, SIZE // PARTS):
                writer.write(BODY[at:at + SIZE // PARTS])
                await writer.drain()
                await asyncio.sleep(SECONDS / PARTS)
    except (OSError, asyncio.IncompleteReadError):
        pass  # the client has something to say of it
    finally:
        writer.close()


async def echo(head, reader, writer):
    key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)[1]
    accept = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    writer.write(ACCEPT % base64.b64encode(accept))
    while True:
        opcode, size = await reader.readexactly(2)
        mask, payload = await reader.readexactly(4), await reader.readexactly(size & 0x7f)
        payload = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        writer.write(bytes([opcode, len(payload)]) + payload)
        if opcode == CLOSE:
            return


async def origin():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    print("%s:%d" % server.sockets[0].getsockname(), flush=True)
    await server.serve_forever()


# -- the clients --

def outcome(head):
    reason = re.search(rb"(?i)x-weir-reason: *(\S+)", head)
    return f"{head[9:12].decode()} {reason[1].decode() if reason else ''}"

class Clients:
    def __init__(self, host, port, each):
        self.at, self.each = (host, int(port)), int(each)
        self.finishing = False
        self.done = {"downloads": 0, "sockets": 0, "echoes": 0, "wrong": []}

    def wrong(self, what):
        if len(self.done["wrong"]) < 20:
            self.done["wrong"].append(what)

    async def download(self, begun):
        reader, writer = await asyncio.open_connection(*self.at)
        writer.write(b"GET /download HTTP/1.1\r\nHost: acme.test\r\nConnection: close\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        begun()
        body = await reader.read(-1)
        writer.close()
        if head.startswith(b"HTTP/1.1 200") and body == BODY:
            self.done["downloads"] += 1
        else:
            self.wrong(f"download: {outcome(head)}, {len(body)} bytes")

    async def socket(self, begun):
        reader, writer = await asyncio.open_connection(*self.at)
        writer.write(UPGRADE)
        head = await reader.readuntil(b"\r\n\r\n")
        begun()
        if not head.startswith(b"HTTP/1.1 101"):
            self.wrong(f"WebSocket: {outcome(head)}")
            return
        for number in range(random.randint(SECONDS // 2, SECONDS)):
            text = b"%06d" % number
            writer.write(bytes([TEXT, 0x80 | len(text)]) + MASK + text)
            if await reader.readexactly(2 + len(text)) != bytes([TEXT, len(text)]) + text:
                self.wrong("WebSocket: another text")
            self.done["echoes"] += 1
            await asyncio.sleep(1)
        writer.write(bytes([CLOSE, 0x80]) + MASK)
        await reader.readexactly(2)
        writer.close()
        self.done["sockets"] += 1

    async def one_after_the_other(self, what, opened):
        await asyncio.sleep(random.random() * 5)
        while not self.finishing:
            try:
                await what(opened.set)
            except (OSError, asyncio.IncompleteReadError) as e:
                self.wrong(f"{what.__name__}: {e!r}")
                opened.set()

    async def run(self):
        events = [asyncio.Event() for _ in range(2 * self.each)]
        tasks = [asyncio.create_task(self.one_after_the_other((self.download, self.socket)[i % 2], event)) for i, event in enumerate(events)]
        for event in events:
            await event.wait()
        print("all are open", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        self.finishing = True
        await asyncio.gather(*tasks)
        print(json.dumps(self.done))


if __name__ == "__main__":
    asyncio.run(origin() if sys.argv[1] == "origin" else Clients(*sys.argv[2:]).run())
