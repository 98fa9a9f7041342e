"""A backend in a process of its own whose behaviour is switched while it serves: fast enough for steady load, where a fake in the test's
own process would be the bottleneck."""
import asyncio
import os
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path

from support.wire import RefusedPort

MODES = ("ok", "500", "503", "reset")
NOW = struct.pack("ii", 1, 0)  # SO_LINGER: close() is a RST


class SwitchOrigin:
    """switch(mode) changes what all requests meet, its check at /healthz included."""

    def __init__(self, name, mode="ok"):
        self.name = name
        self._kept = RefusedPort()  # so that nobody takes it before the process does
        self.port = self._kept.port
        self.process = subprocess.Popen([sys.executable, "-m", "support.switch_origin", str(self.port), name], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[1], env={**os.environ, "PYTHONPATH": "."})
        self.process.stdout.readline()
        self.switch(mode)

    def __str__(self):
        return f"127.0.0.1:{self.port}"

    def switch(self, mode):
        """Returns when it is in effect."""
        assert mode in MODES
        self.process.stdin.write(mode.encode() + b"\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline().decode().strip() == mode

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self._kept.close()


class Server(asyncio.Protocol):
    mode = "ok"
    name = ""

    def connection_made(self, transport):
        self.transport, self.buffer = transport, b""

    def data_received(self, data):
        self.buffer += data
        while b"\r\n\r\n" in self.buffer and not self.transport.is_closing():
            head, rest = self.buffer.split(b"\r\n\r\n", 1)
            length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
            length = int(length[1]) if length else 0
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            self.answer()

    def answer(self):
        if Server.mode == "reset":
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Len")
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)
            self.transport.abort()
            self.buffer = b""
            return
        status = 200 if Server.mode == "ok" else int(Server.mode)
        body = Server.name.encode()
        self.transport.write(b"HTTP/1.1 %d Status\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))


async def main(port, name):
    Server.name = name
    loop = asyncio.get_running_loop()
    await loop.create_server(Server, "127.0.0.1", port, reuse_address=True)
    over = loop.create_future()

    def on_command():
        mode = os.read(0, 100).decode().strip()
        if not mode:
            over.set_result(None)
            loop.remove_reader(0)
            return
        Server.mode = mode
        print(mode, flush=True)
    loop.add_reader(0, on_command)
    print("ready", flush=True)
    await over


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
