"""Runs one load against one contender and checks every answer; a figure from a run that failed is never kept."""
import json
import os
import re
import subprocess
import time

MESSAGE = 64
CALL = b"\0\0\0\0\x20" + b"w" * 32  # a gRPC frame: not compressed, 32 bytes
TIMEOUT = 300


class Wrong(Exception):
    """The load did not get what the origin sends."""


def _finish(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired as e:
        raise Wrong(f"{os.path.basename(command[0])} did not end within {TIMEOUT} s") from e


def _tool(site, *args):
    done = _finish([os.path.join(site.tools, args[0]), *map(str, args[1:])])
    if done.returncode != 0:
        raise Wrong(f"{args[0]}: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout)


def h2load(site, workload, port, count, host=None):
    """Returns seconds. count requests exactly, each answered 200 with the whole body."""
    command = ["h2load", "-n", str(count), "-c", str(min(workload.clients, count)), "-m", str(workload.streams),
               "-t", "1", "--tls13-ciphers=TLS_AES_128_GCM_SHA256", "--groups=X25519"]
    size = workload.size
    if workload.kind == "h1":
        command.append("--h1")
    for header in workload.headers:
        command += ["-H", header]
    if host:
        command += ["-H", f":authority: {host}"]
    path = workload.path
    if workload.kind == "grpc":
        body = os.path.join(site.dir, "call")
        with open(body, "wb") as f:
            f.write(CALL)
        command += ["-d", body, "-H", "content-type: application/grpc", "-H", "te: trailers"]
        size, path = len(CALL), "/bench.Echo/Call"
        if not workload.tls:
            command += ["-p", "h2c"]
    scheme = "https" if workload.tls else "http"
    start = time.monotonic()
    done = _finish([*command, f"{scheme}://127.0.0.1:{port}{path}"])
    elapsed = time.monotonic() - start
    check_h2load(done.stdout, count, size, workload)
    return elapsed


def check_h2load(out, count, size, workload):
    requests = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", out)
    status = re.search(r"status codes: (\d+) 2xx", out)
    data = re.search(r"\((\d+)\) data", out)
    if not requests or not status or not data:
        raise Wrong("h2load did not finish")
    if [int(x) for x in requests.groups()] != [count, 0, 0, 0] or int(status[1]) != count:
        raise Wrong(f"h2load: {requests[0]}, {status[0]}")
    if size and int(data[1]) != count * size:
        raise Wrong(f"h2load got {data[1]} bytes of bodies instead of {count * size}")
    if workload.kind in ("h2", "grpc") and workload.tls and "Application protocol: h2" not in out:
        raise Wrong("h2 was not negotiated")
    if workload.tls and "Cipher: TLS_AES_128_GCM_SHA256" not in out:
        raise Wrong("another cipher was negotiated")


def handshake(site, workload, port, count):
    start = time.monotonic()
    got = _tool(site, "handshake", port, count, "resumed" if workload.resumed else "full", workload.clients,
                workload.path, workload.size)
    if got["done"] != count or got["cipher"] != "TLS_AES_128_GCM_SHA256" or got["group"].lower() != "x25519":
        raise Wrong(f"negotiated {got}")
    if got["tickets"] != count and not (workload.resumed and got["tickets"] == 0):
        raise Wrong(f"{got['tickets']} tickets in {count} handshakes")
    return time.monotonic() - start, got["tickets"] // count


def message(site, workload, port, count):
    start = time.monotonic()
    if _tool(site, "message", port, workload.clients, count, MESSAGE)["done"] != count:
        raise Wrong("not all messages came back")
    return time.monotonic() - start


def run(site, workload, running, count):
    """Seconds that the load took, and the tickets per handshake (None where there are none to count)."""
    port = running.ports["tls" if workload.tls else "plain"]
    if workload.kind == "handshake":
        return handshake(site, workload, port, count)
    if workload.kind == "message":
        return message(site, workload, port, count), None
    return h2load(site, workload, port, count), None


def paced(site, port, rate, seconds, path, size):
    """Latencies in microseconds under a fixed schedule."""
    return _tool(site, "paced", port, 64, int(rate), seconds, path, size)


class Idle:
    """COUNT connections that made one request each and now rest; closed by leaving the block."""

    def __init__(self, site, port, count, kind):
        self.count = count
        self.process = subprocess.Popen([os.path.join(site.tools, "idle"), str(port), str(count), kind, "/1k", "1024"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)

    def __enter__(self):
        if self.process.stdout.readline().strip() != "ready":
            raise Wrong(f"idle: {self.process.stderr.read().strip()}")
        return self

    def __exit__(self, kind, value, trace):
        out, _ = self.process.communicate(timeout=60)
        if kind is None and out.strip() != str(self.count):
            raise Wrong(f"only {out.strip()} of {self.count} idle connections stayed open")
