"""Many POSTs, each with a number of its own in X-Order, each sent once, whatever is answered: a client in a process of its own."""
import asyncio
import collections
import json
import os
import re
import subprocess
import sys
from pathlib import Path

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)


def post_orders(address, n, clients=16, patience=600):
    """Sends n of them over so many connections. {"200": how many, "502": ..., "cut": the connection ended in the answer or before it}"""
    done = subprocess.run([sys.executable, "-m", "support.orders", *map(str, (*address, n, clients))], capture_output=True, text=True, check=True,
        timeout=patience, cwd=Path(__file__).resolve().parents[1], env={**os.environ, "PYTHONPATH": "."})
    return collections.Counter(json.loads(done.stdout))


class Client(asyncio.Protocol):
    """One connection: the next order when the last one is answered."""

    def __init__(self, work, outcomes):
        self.work, self.outcomes, self.over = work, outcomes, asyncio.get_running_loop().create_future()
        self.waits = False

    def connection_made(self, transport):
        self.transport, self.buffer = transport, b""
        self.next()

    def next(self):
        number = next(self.work, None)
        if number is None:
            self.transport.close()
            return
        self.waits = True
        self.transport.write(b"POST /order HTTP/1.1\r\nHost: acme.test\r\nX-Order: %d\r\nContent-Length: 8\r\n\r\none book" % number)

    def data_received(self, data):
        self.buffer += data
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        while end and head.startswith(b"HTTP/1.1 1"):  # interim: the answer is yet to come
            self.buffer = body
            head, end, body = self.buffer.partition(b"\r\n\r\n")
        if not end or not self.waits:
            return
        length = LENGTH.search(head)
        if len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n"):
            self.outcomes[head[9:12].decode()] += 1
            self.buffer, self.waits = b"", False
            if re.search(rb"\r\nconnection: *close", head, re.I):
                self.transport.close()
            else:
                self.next()

    def connection_lost(self, why):
        if self.waits:
            self.outcomes["cut"] += 1
        self.over.set_result(None)


async def run(host, port, work, outcomes):
    while work.__length_hint__():
        _, client = await asyncio.get_running_loop().create_connection(lambda: Client(work, outcomes), host, port)
        await client.over


async def main(host, port, n, clients):
    work, outcomes = iter(range(n)), collections.Counter()
    await asyncio.gather(*(run(host, port, work, outcomes) for _ in range(clients)))
    print(json.dumps(outcomes))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
