#!/usr/bin/env python3
"""What a tenant that asks for a hundred times what it may costs the others: their latency beside it, as a ratio to theirs without it.

    bench/noisy.py [--build build] [--limit requests_per_second|concurrent_requests] [--rounds 5] [--seconds 5]

One tenant, quiet, is asked at a fixed rate by bench/paced (latency counts from when a request was due). Another, loud, has a limit, and a
hundred times as much comes for it: h2load paces the requests, or as many connections as that ask at once. Rounds with and without it take
turns, and medians are compared: what else the machine does then hits both. With fewer than four cores the flood's own client takes
processor time from everybody, which the ratio counts against weir; what that does alone, a third kind of round shows, in which the same
flood goes to the origin, past weir."""
import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GOAL = 1.2
LIMITS = {"requests_per_second": 50, "concurrent_requests": 1}
TIMES = 100


def configuration(directory, args, origin):
    def tenant(host, **keys):
        return {"hosts": [host], "services": {"web": {"pools": {"only": {"backends": [f"127.0.0.1:{origin}"]}}}}, **keys}
    return {"workers": args.workers, "state_dir": f"{directory}/state", "admin": {"socket": f"{directory}/admin.sock"},
            "log": {"access": {"path": f"{directory}/access.log"}, "events": {"path": f"{directory}/events.log"}},
            "listeners": {"http": {"address": "127.0.0.1:0"}},
            "tenants": {"quiet": tenant("localhost"), "loud": tenant("loud.test", limits={args.limit: LIMITS[args.limit]})}}


def port_of(process, directory):
    """Of the listener, once weir is ready."""
    while process.poll() is None:
        path = Path(directory, "events.log")
        events = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        if any(e["event"] == "ready" for e in events):
            return next(e["address"].rsplit(":", 1)[1] for e in events if e["event"] == "listening" and e["listener"] == "http")
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            pass
    sys.exit("weir ended before it was ready")


def flood(args, port):
    """A little longer than it is measured beside."""
    over, seconds = LIMITS[args.limit] * TIMES, args.seconds + 2
    pace = (["-c", "10", "--rps", str(over // 10), "-n", str(over * seconds)] if args.limit == "requests_per_second"
            else ["-c", str(over), "-D", str(seconds)])
    return subprocess.Popen(["h2load", "--h1", "-t", "1", *pace, f"--connect-to=127.0.0.1:{port}", "http://loud.test/1k"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def ask(args, port):
    out = subprocess.run([f"{args.build}/bench/paced", port, "8", str(args.rate), str(args.seconds), "/1k", "1024"], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out)


def beside(args, port, flooded):
    loud = flood(args, flooded)
    try:
        found = ask(args, port)
    finally:
        out = loud.communicate()[0]
    statuses = re.search(r"status codes: (\d+) 2xx, \d+ 3xx, (\d+) 4xx, (\d+) 5xx", out)
    if not statuses:
        sys.exit("the flood found nobody")
    served, refused = int(statuses[1]), int(statuses[2]) + int(statuses[3])
    return found, served / (args.seconds + 2), refused / (args.seconds + 2)


def measure(args, port, origin):
    alone, loud, past = [], [], []
    ask(args, port)  # what is done once
    for _ in range(args.rounds):
        alone.append(ask(args, port))
        loud.append(beside(args, port, port))
        past.append(beside(args, port, origin))
    print(f"the loud tenant: {statistics.median(l[1] for l in loud):.0f} answered and {statistics.median(l[2] for l in loud):.0f} refused a second, "
          f"{args.limit} {LIMITS[args.limit]}")
    for q in "p50", "p99":
        before, after, client = (statistics.median(r[q] for r in rounds) for rounds in (alone, [l[0] for l in loud], [p[0] for p in past]))
        print(f"{q} of the quiet one: {before:8.1f} us alone, {after:8.1f} us beside it, ratio {after / before:.2f}, "
              f"with the flood past weir {client:8.1f} us, ratio {client / before:.2f}"
              + (f" (goal {GOAL}: {'reached' if after / before <= GOAL else 'missed'})" if q == "p99" else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=str(ROOT / "build"))
    parser.add_argument("--limit", choices=LIMITS, default="requests_per_second")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rate", type=int, default=500, help="of the quiet tenant, requests a second")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    origin = subprocess.Popen([f"{args.build}/bench/origin", "0"], stdout=subprocess.PIPE, text=True)
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as directory:
        backend = int(re.search(r"\d+", origin.stdout.readline())[0])
        Path(directory, "weir.yaml").write_text(json.dumps(configuration(directory, args, backend)))
        weir = subprocess.Popen([f"{args.build}/weir", "run", "-c", f"{directory}/weir.yaml"])
        try:
            measure(args, port_of(weir, directory), backend)
        finally:
            weir.terminate()
            weir.wait()
            origin.terminate()
            origin.wait()


if __name__ == "__main__":
    main()
