#!/usr/bin/env python3
"""What active checks cost: 10,000 backends asked every 2 s; the share of one core that the control thread takes, and how long a reload
waits behind it.

    bench/health.py [--backends 10000] [--interval 2s] [--seconds 20] [--kind http|tcp]

The backends are addresses of 127.0.0.0/8 with one port, behind one origin that listens on all of them and answers each request from a
fixed buffer. On loopback the kernel does the origin's receiving within the sender's calls, so the figure is an upper bound."""
import argparse
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WEIR = os.environ.get("WEIR_BIN") or str(ROOT / "build" / "weir")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def serve(listener):
    """The origin: every request on every connection gets the same answer; ends with its parent."""
    poll, conns = select.epoll(), {}
    listener.setblocking(False)
    poll.register(listener, select.EPOLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                try:
                    while True:
                        c, _ = listener.accept()
                        c.setblocking(False)
                        conns[c.fileno()] = c
                        poll.register(c, select.EPOLLIN)
                except BlockingIOError:
                    continue
            c = conns[fd]
            try:
                if c.recv(4096):
                    c.send(ANSWER)
                    continue
            except OSError:
                pass
            del conns[fd]
            c.close()


def thread_seconds(pid):
    """Processor time of each thread so far, by its id."""
    return {int(t.name): int((t / "schedstat").read_text().split()[0]) / 1e9 for t in Path(f"/proc/{pid}/task").iterdir()}


def worker_process(supervisor):
    """The process that serves; its first thread is control."""
    children = [int(pid) for t in Path(f"/proc/{supervisor}/task").iterdir() for pid in (t / "children").read_text().split()]
    return max(children)


def configuration(directory, args, port):
    check = {"http": {"path": "/healthz"}} if args.kind == "http" else {args.kind: {}}
    addresses = [f"127.{1 + i // 62500}.{i // 250 % 250}.{1 + i % 250}:{port}" for i in range(args.backends)]
    return {"workers": 1, "state_dir": f"{directory}/state", "admin": {"socket": f"{directory}/admin.sock"},
            "log": {"access": {"path": f"{directory}/access.log"}, "events": {"path": f"{directory}/events.log"}},
            "listeners": {"http": {"address": "127.0.0.1:0"}},
            "tenants": {"acme": {"hosts": ["acme.test"], "services": {"shop": {
                "health": {**check, "interval": args.interval, "timeout": "2s"},
                "pools": {f"p{i}": {"weight": 1, "backends": addresses[i::20]} for i in range(20)}}}}}}


def events(directory, kind):
    path = Path(directory, "events.log")
    lines = path.read_text().splitlines() if path.exists() else []
    return [e for e in map(json.loads, lines) if e["event"] == kind]


def wait_for(condition, what, patience=180):
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"waited {patience} s in vain: {what}")
        time.sleep(0.05)


def reload_seconds(process, directory, conf, i):
    conf["limits"] = {"header_count": 60 + i}
    Path(directory, "weir.yaml").write_text(json.dumps(conf))
    before, start = len(events(directory, "reload")), time.monotonic()
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(events(directory, "reload")) > before, "a reload")
    return time.monotonic() - start


def measure(process, directory, conf, args):
    wait_for(lambda: len(events(directory, "health")) >= args.backends, "the first pass of every backend")
    pid = worker_process(process.pid)
    begun, start = thread_seconds(pid), time.monotonic()
    time.sleep(args.seconds)
    elapsed = time.monotonic() - start
    used = {t: s - begun.get(t, 0) for t, s in thread_seconds(pid).items()}
    reloads = [reload_seconds(process, directory, conf, i) for i in range(3)]
    return {"control_share": used[pid] / elapsed, "process_share": sum(used.values()) / elapsed,
            "probes_per_s": args.backends / float(re.match(r"[\d.]+", args.interval)[0]),
            "down_events": sum(e["to"] == "down" for e in events(directory, "health")), "slowest_reload_s": max(reloads)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", type=int, default=10000)
    parser.add_argument("--interval", default="2s", help="in whole seconds")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--kind", choices=["http", "tcp"], default="http")
    args = parser.parse_args()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    listener.bind(("0.0.0.0", 0))
    listener.listen(4096)
    origin = os.fork()
    if origin == 0:
        serve(listener)
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as directory:
        conf = configuration(directory, args, listener.getsockname()[1])
        Path(directory, "weir.yaml").write_text(json.dumps(conf))
        process = subprocess.Popen([WEIR, "run", "-c", f"{directory}/weir.yaml"])
        try:
            for name, value in measure(process, directory, conf, args).items():
                print(f"{name:20} {value:10.4f}")
        finally:
            process.terminate()
            process.wait()
            os.kill(origin, signal.SIGTERM)
            os.waitpid(origin, 0)


if __name__ == "__main__":
    main()
