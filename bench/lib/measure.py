"""One figure about one contender: CPU, instructions, system calls, memory."""
import glob
import os
import re
import shutil
import statistics
import time

from . import load, machine, peers
from .workloads import IDLE

DISTURBED = 0.05  # share of one CPU that others may take during a round


def cell(samples, disturbed=()):
    """What a table shows: the median and range of the undisturbed samples; of all, and marked, if there are none."""
    good = [s for i, s in enumerate(samples) if i not in disturbed]
    use = good or samples
    return {"median": statistics.median(use), "low": min(use), "high": max(use), "counted": len(use),
            "samples": samples, "disturbed_samples": sorted(disturbed), "disturbed": not good}


def failed(reason):
    return {"failed": str(reason)}


class Round:
    """One contender's turn: microseconds of CPU per request, and requests per second."""

    def __init__(self, site, workload, running, scale):
        w = workload.for_relay() if running.name == "relay" else workload
        count = w.count(scale, running.name)
        watch = machine.Watch(lambda: (running.cpu_ns() + site.origin.cpu_ns() + site.grpc.cpu_ns()) / 1e9)
        before = running.cpu_ns()
        seconds, self.tickets = load.run(site, w, running, count)
        self.us = (running.cpu_ns() - before) / 1000 / count
        self.rate = count / seconds
        self.others = watch.others()
        self.disturbed = self.others > DISTURBED


def warm(site, workload, running):
    w = workload.for_relay() if running.name == "relay" else workload
    load.run(site, w, running, max(w.count(0.02, running.name), 4))


def memory(running):
    """Proportional set size of the tree, in bytes; pages shared by forks count once."""
    total = 0
    for pid in running.tree():
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                total += int(re.search(r"^Pss:\s+(\d+) kB", f.read(), re.M)[1]) * 1024
        except (OSError, TypeError):
            continue
    return total


def settled_memory(running):
    """Freed pages go back late: waits until two readings agree, at most three seconds."""
    last = memory(running)
    for _ in range(15):
        time.sleep(0.2)
        now = memory(running)
        if abs(now - last) < 16384:
            return now
        last = now
    return last


def idle_bytes(site, peer, name, scale):
    """Bytes per idle connection of a fresh process. A few connections before the first reading pay what is paid
    once."""
    kind, count = IDLE[name]
    count = max(int(count * scale), 2000)
    running = peers.start(peer, site)
    try:
        port = running.ports["plain" if kind == "plain" else "tls"]
        with load.Idle(site, port, 50, kind):
            pass
        before = settled_memory(running)
        with load.Idle(site, port, count, kind):
            return (settled_memory(running) - before) / count
    finally:
        running.stop()


def _difference(site, peer, workload, counts, wrap, result, single=False, start=peers.start):
    """Runs a fresh process under a tool for each count; what the tool counted more, per request more. start: in place of
    peers.start."""
    totals = []
    w = workload.but(clients=8)
    w = w.for_relay() if peer.name == "relay" else w
    for count in counts:
        for old in glob.glob(os.path.join(site.dir, "count.*")):
            os.remove(old)
        running = start(peer, site, kind=workload.config, wrap=wrap, single=single, patience=60)
        try:
            load.run(site, w, running, count)
        finally:
            running.stop()
        totals.append(result())
    return totals, counts[1] - counts[0]


def _callgrind(site, peer, workload, start, counts, *options):
    """Per request more in the longer run, by (command line, thread); one thread each process without --separate-threads."""
    if not shutil.which("valgrind"):
        raise peers.Failed("valgrind is not installed")
    if not peer.valgrind:
        raise peers.Failed("cannot run under valgrind")

    def by_thread():
        found = {}
        for path in glob.glob(os.path.join(site.dir, "count.*")):
            with open(path, encoding="ascii", errors="replace") as f:
                text = f.read()
            facts = [re.search(rf"^{key}: *(.*)$", text, re.M) for key in ("cmd", "thread")]
            key = tuple(fact and fact[1] for fact in facts)
            found[key] = found.get(key, 0) + sum(int(m) for m in re.findall(r"^totals: (\d+)", text, re.M))
        return found

    wrap = ["valgrind", "--tool=callgrind", "--trace-children=yes", "--quiet",
            f"--callgrind-out-file={site.dir}/count.%p", *options]
    (short, long), more = _difference(site, peer, workload, counts, wrap, by_thread, single=True, start=start)
    if not sum(short.values()) or sum(long.values()) <= sum(short.values()):
        raise peers.Failed("callgrind wrote nothing")
    return {key: (long.get(key, 0) - short.get(key, 0)) / more for key in {*short, *long}}


def instructions(site, peer, workload):
    """User instructions per request, of all processes and threads."""
    return sum(_callgrind(site, peer, workload, peers.start, (512, 2560)).values())


def instructions_serving(site, peer, workload, start, counts):
    """The same of the thread that serves the requests, which is the one that more of them give most to do; and of all the
    others, which do some of it by the clock and not by requests."""
    found = sorted(_callgrind(site, peer, workload, start, counts, "--separate-threads=yes").values())
    return found[-1], sum(found[:-1])


def syscalls(site, peer, workload):
    """System calls per request by name, from strace."""
    if not shutil.which("strace"):
        raise peers.Failed("strace is not installed")
    out = os.path.join(site.dir, "count.strace")

    def total():
        calls = {}
        with open(out, encoding="ascii") as f:
            for line in f:
                m = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
                if m and m[2] != "total":
                    calls[m[2]] = int(m[1])
        return calls

    (short, long), more = _difference(site, peer, workload, (1024, 9216), ["strace", "-f", "-c", "-o", out], total)
    each = {name: round((n - short.get(name, 0)) / more, 3) for name, n in long.items()}
    each = {name: n for name, n in sorted(each.items(), key=lambda x: -x[1]) if n >= 0.005}
    waits = sum(n for name, n in each.items() if name.startswith("epoll_") and "wait" in name)
    return {"per_request": round(sum(each.values()) - waits, 3), "waits": round(waits, 3), "calls": each}
