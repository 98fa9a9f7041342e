"""What a tenant that asks for a hundred times what it may costs the others: their latency beside it, as a ratio to theirs without it.

One tenant, quiet, is asked at a low fixed rate; latency counts from when a request was due. Another, loud, has a limit, and a hundred times
as much comes for it. Rounds are short and take turns, so that a drift of the machine hits all kinds alike, and each ratio is of rounds that
lie beside each other; the median of many is what counts. The quiet tenant's backend takes ten milliseconds, as backends do; what the same
flood does to answers that take a third of one, where each refusal ahead in the queue shows, stands beside it. The flood's client shares a CPU with the quiet tenant's: what that alone does, a
third kind of round shows, in which the same flood goes to the origin, past weir."""
import json
import os
import re
import statistics
import subprocess

from . import load, machine, measure, peers

TIMES, RATE, SECONDS = 100, 500, 2
TURNS = 3  # of each kind, for each of the bench's rounds
LEAD = 1  # seconds by which a flood begins earlier, and ends later


class Row:
    """limits: of the loud tenant; flood: what comes for it, as h2load has it; path: what the quiet one is asked for."""

    def __init__(self, name, what, limits, flood, path="/1k-10ms"):
        self.name, self.what, self.limits, self.flood, self.path = name, what, limits, flood, path


def _paced(a_second):
    """Over ten connections."""
    return ["-c", "10", "--rps", str(a_second // 10), "-n", str(a_second * (SECONDS + 2 * LEAD))]


ROWS = [
    Row("rate", "50 requests a second, asked for 5,000", {"requests_per_second": 50}, _paced(50 * TIMES)),
    Row("rate-at-once", "the same, and the quiet one's backend answers at once", {"requests_per_second": 50}, _paced(50 * TIMES), "/1k"),
    Row("connections", "1 request at once, 100 connections that ask as fast as they are answered", {"concurrent_requests": 1},
        ["-c", str(TIMES), "-D", str(SECONDS + 2 * LEAD)]),
]
TITLES = {r.name: f"a noisy neighbour, p99 beside it: {r.what}" for r in ROWS}
ALONE, BESIDE, PAST = "alone", "beside", "past"


def _config(site, row, ports):
    def tenant(host, **keys):
        backends = [f"127.0.0.1:{site.origin.ports['plain']}"]
        return {"hosts": [host], "services": {"web": {"pools": {"only": {"backends": backends}}}}, **keys}
    values = {"workers": 1, "user": site.user, "state_dir": f"{site.dir}/noisy-state", "admin": {"socket": f"{site.dir}/noisy.sock"},
              "log": {"access": {"path": "stdout", "format": "off"}, "events": {"path": f"{site.dir}/noisy-events.log"}},
              "listeners": {"http": {"address": f"127.0.0.1:{ports['plain']}"}},
              "tenants": {"quiet": tenant("localhost"), "loud": tenant("loud.test", limits=row.limits)}}
    path = os.path.join(site.dir, "noisy.conf")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(values, f)
    return path


def _flood(row, port):
    return subprocess.Popen(["h2load", "--h1", "-t", "1", *row.flood, f"--connect-to=127.0.0.1:{port}", "http://loud.test/1k"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _refused(out):
    """The share of the flood that was turned away."""
    found = re.search(r"status codes: (\d+) 2xx, \d+ 3xx, (\d+) 4xx, (\d+) 5xx", out)
    if not found or int(found[1]) + int(found[2]) + int(found[3]) == 0:
        raise load.Wrong("the flood found nobody")
    refused = int(found[2]) + int(found[3])
    return refused / (refused + int(found[1]))


def _round(site, row, running, kind):
    """The quiet tenant's latencies, and what became of the flood."""
    flood = None
    if kind != ALONE:
        flood = _flood(row, (running if kind == BESIDE else site.origin).ports["plain"])
        try:
            flood.wait(LEAD)
        except subprocess.TimeoutExpired:
            pass
    try:
        found = load.paced(site, running.ports["plain"], RATE, SECONDS, row.path, 1024)
        out = flood.communicate(timeout=load.TIMEOUT)[0] if flood else ""
    except subprocess.TimeoutExpired as e:
        raise load.Wrong(f"the flood did not end within {load.TIMEOUT} s") from e
    finally:
        if flood and flood.poll() is None:
            flood.kill()
            flood.wait()
    return {**found, "refused": _refused(out) if kind == BESIDE else 0}


def run(peer, site, row, rounds):
    """Cells: the ratio to `alone` of p99 beside the flood, and with the flood past weir; p50 and p99 of each kind in microseconds."""
    ports = {"plain": peers.free_port()}
    running = peers.launch(peer, site, [*peer.command, _config(site, row, ports)], ports, probe="plain")
    turns, disturbed = [], set()
    try:
        _round(site, row, running, ALONE)  # what is done once
        for number in range(rounds * TURNS):
            turn = {}
            for kind in (ALONE, BESIDE, PAST) if number % 2 == 0 else (PAST, BESIDE, ALONE):
                watch = machine.Watch(lambda: (running.cpu_ns() + site.origin.cpu_ns()) / 1e9)
                turn[kind] = _round(site, row, running, kind)
                if watch.others() > measure.DISTURBED:
                    disturbed.add(number)
            turns.append(turn)
    finally:
        running.stop()
    refused = statistics.median(t[BESIDE]["refused"] for t in turns)
    if refused < 0.5:
        raise load.Wrong(f"of the flood only {refused:.0%} was turned away")

    def ratio(kind):
        return measure.cell([t[kind]["p99"] / t[ALONE]["p99"] for t in turns], disturbed)
    return {"weir": ratio(BESIDE), PAST: ratio(PAST),
            **{f"{kind}_{q}": measure.cell([t[kind][q] for t in turns], disturbed) for kind in (ALONE, BESIDE, PAST) for q in ("p50", "p99")}}
