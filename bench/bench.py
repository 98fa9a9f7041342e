#!/usr/bin/python3
"""weir beside a raw relay and the peers that Debian ships. README.md says how to run it and how to read it."""
import argparse
import os
import shutil
import signal
import sys
import tempfile
import time

from lib import load, machine, measure, modules, noisy, peers, report, tenants
from lib.workloads import BY_NAME, COUNTED, IDLE, QUICK, SIZES, WORKLOADS

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = ["cpu", "instructions", "syscalls", "idle", "latency", "tenants", "modules", "noisy"]
PROBLEMS = (peers.Failed, load.Wrong, OSError)


def arguments():
    env = os.environ.get
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--build", default="build", help="where weir and bench/ are built")
    p.add_argument("--out", help="where the results go; a full run: bench/results, else BUILD/bench/results")
    p.add_argument("--quick", action="store_true", help="the main workloads, about two minutes")
    p.add_argument("--only", default=env("BENCH_ONLY", ""), help="workloads: " + ",".join([*BY_NAME, *IDLE]))
    p.add_argument("--parts", default=env("BENCH_PARTS", ""), help="of: " + ",".join(PARTS))
    p.add_argument("--peers", default=env("BENCH_PEERS", ""), help="contenders; the relay always takes part")
    p.add_argument("--modules", default=env("BENCH_MODULES", ""), help="of the part modules: "
                   + ",".join(r.name for r in modules.ROWS))
    p.add_argument("--rounds", type=int, default=int(env("BENCH_ROUNDS", "0")), help="0: 5, quick 2")
    p.add_argument("--scale", type=float, default=float(env("BENCH_SCALE", "0")),
                   help="factor on the number of requests; 0: 1, quick 0.4")
    p.add_argument("--tries", type=int, default=int(env("BENCH_TRIES", "3")), help="of a round that is disturbed")
    p.add_argument("--pin", choices=["split", "one"], default=env("BENCH_PIN", "split"),
                   help="load and origin on the other CPU, or all on one")
    p.add_argument("--congestion", default=env("BENCH_CONGESTION", "cubic"), help="TCP congestion control")
    p.add_argument("--keep", action="store_true", help="keep the contenders' configurations and logs")
    a = p.parse_args()
    a.rounds = a.rounds or (2 if a.quick else 5)
    a.scale = a.scale or (0.4 if a.quick else 1.0)
    known = [*BY_NAME, *IDLE]
    if not a.out:  # what a narrowed run found never replaces a full run's results
        full = not (a.quick or a.only or a.parts or a.peers or a.modules)
        a.out = os.path.join(HERE, "results") if full else os.path.join(a.build, "bench", "results")
    a.only = a.only.split(",") if a.only else [*QUICK] if a.quick else known
    a.parts = a.parts.split(",") if a.parts else ["cpu"] if a.quick else PARTS
    a.modules = a.modules.split(",") if a.modules else []
    for given, allowed, what in ((a.only, known, "workload"), (a.parts, PARTS, "part"),
                                 (a.modules, [r.name for r in modules.ROWS], "row of modules")):
        for name in given:
            if name not in allowed:
                p.error(f"no {what} is called {name!r}; there are {', '.join(allowed)}")
    return a


def contenders(a):
    rows = peers.table(a.build)
    if a.peers:
        wanted = ["relay", *a.peers.split(",")]
        for name in wanted:
            if name not in [p.name for p in rows]:
                sys.exit(f"bench: no contender is called {name!r}; there are {', '.join(p.name for p in rows)}")
        rows = [p for p in rows if p.name in wanted]
    for p in rows:
        if not p.found():
            say(f"{p.name} is not there ({p.program}): left out")
    return [p for p in rows if p.found()]


def say(text):
    print(text, flush=True)


class Bench:
    def __init__(self, a, site, rows):
        self.a, self.site, self.rows = a, site, rows
        self.rates = {}  # requests per second of h1-1k, for the latency part
        self.rounds_run = self.rounds_disturbed = 0

    # -- CPU per request: everybody is up, the turns are interleaved --

    def turn(self, workload, running):
        """One contender's turn; a disturbed one is repeated, and the last try is kept either way."""
        for left in reversed(range(self.a.tries)):
            r = measure.Round(self.site, workload, running, self.a.scale)
            self.rounds_run += 1
            self.rounds_disturbed += r.disturbed
            if not r.disturbed or not left:
                return r

    def cpu_workload(self, workload):
        up, row, turns = {}, {}, {}
        for p in self.rows:
            if workload.config not in p.kinds:
                continue
            try:
                up[p.name] = peers.start(p, self.site, workload.config)
                measure.warm(self.site, workload, up[p.name])
                turns[p.name] = []
            except PROBLEMS as e:
                row[p.name] = measure.failed(e)
        try:
            for number in range(self.a.rounds):
                order = list(turns) if number % 2 == 0 else list(reversed(turns))
                for name in [n for n in order if n not in row]:
                    try:
                        turns[name].append(self.turn(workload, up[name]))
                    except PROBLEMS as e:
                        row[name] = measure.failed(e)
        finally:
            for running in up.values():
                running.stop()
        for name, rs in turns.items():
            if name in row:
                continue
            row[name] = measure.cell([r.us for r in rs], {i for i, r in enumerate(rs) if r.disturbed})
            if rs[0].tickets is not None:
                row[name]["tickets"] = rs[0].tickets
            if workload.name == "h1-1k":
                self.rates[name] = measure.cell([r.rate for r in rs])["median"]
        say(f"  {workload.name}: " + ", ".join(f"{n} {report.show(c, spread=False)}" for n, c in row.items()))
        return row

    def cpu(self):
        say("CPU per request, µs")
        return {w.name: self.cpu_workload(w) for w in WORKLOADS if w.name in self.a.only}

    # -- counts: one contender at a time, and no clock is involved --

    def each(self, names, allowed, figure):
        rows = {}
        for name in names:
            rows[name] = {}
            for p in self.rows:
                if not allowed(p, name):
                    continue
                try:
                    rows[name][p.name] = figure(p, name)
                except PROBLEMS as e:
                    rows[name][p.name] = measure.failed(e)
            say(f"  {name}: " + ", ".join(f"{n} {report.show(c, form=',.0f', spread=False)}"
                                          for n, c in rows[name].items()))
        return rows

    def instructions(self):
        say("instructions per request")
        names = [n for n in COUNTED if n in self.a.only]
        return self.each(names, lambda p, n: p.name != "relay" or not BY_NAME[n].tls,
                         lambda p, n: measure.cell([measure.instructions(self.site, p, BY_NAME[n])]))

    def syscalls(self):
        say("system calls per request")

        def figure(p, name):
            found = measure.syscalls(self.site, p, BY_NAME[name])
            return {**measure.cell([found["per_request"]]), **found}

        names = [n for n in COUNTED if n in self.a.only]
        return self.each(names, lambda p, n: p.name != "relay" or not BY_NAME[n].tls, figure)

    def idle(self):
        say("bytes per idle connection")
        return self.each([n for n in IDLE if n in self.a.only], lambda p, n: p.name != "relay" or n == "idle-plain",
                         lambda p, n: measure.cell([measure.idle_bytes(self.site, p, n, self.a.scale)
                                                    for _ in range(min(self.a.rounds, 2))]))

    # -- latency: the same schedule for all that can keep it --

    def latency(self):
        say("latency at half load, µs")
        if not self.rates:
            self.cpu_workload(BY_NAME["h1-1k"])
        common = self.rates.get("nginx", min(self.rates.values(), default=0)) / 2
        up, rows, found = {}, {}, {}
        for p in self.rows:
            if p.name in self.rates:
                try:
                    up[p.name] = peers.start(p, self.site)
                    measure.warm(self.site, BY_NAME["h1-1k"], up[p.name])
                    found[p.name] = []
                except PROBLEMS as e:
                    rows[p.name] = measure.failed(e)
        try:
            # Many short turns: one stall of the machine is the p99 of the turn that it falls into, never of the median.
            for number in range(min(3 * self.a.rounds, 9)):
                for name in list(found) if number % 2 == 0 else list(reversed(found)):
                    if name not in rows:
                        self.latency_turn(name, up[name], common, found, rows)
        finally:
            for running in up.values():
                running.stop()
        for name, turns in found.items():
            if name not in rows:
                disturbed = {i for i, t in enumerate(turns) if t["disturbed"]}
                rows[name] = {"rate": turns[0]["rate"], **{q: measure.cell([t[q] for t in turns], disturbed)
                                                           for q in ("p50", "p99", "p999")}}
                say(f"  {name}: p50 {rows[name]['p50']['median']:.0f}, p99 {rows[name]['p99']['median']:.0f}")
        return rows

    def latency_turn(self, name, running, common, found, rows):
        rate = min(common, self.rates[name] / 2)
        origin = self.site.origin
        watch = machine.Watch(lambda: (running.cpu_ns() + origin.cpu_ns()) / 1e9)
        try:
            turn = load.paced(self.site, running.ports["plain"], rate, 2, "/1k", SIZES["/1k"])
        except PROBLEMS as e:
            rows[name] = measure.failed(e)
            return
        found[name].append({**turn, "rate": rate, "disturbed": watch.others() > measure.DISTURBED})

    def tenants(self):
        say(f"{tenants.COUNT:,} tenants")
        table = {key: {} for key in report.TENANT_UNITS}
        for p in self.rows:
            if p.name not in tenants.CONTENDERS:
                continue
            try:
                cells = tenants.run(p, self.site, min(self.a.rounds, 3), self.a.scale)
            except PROBLEMS as e:
                cells = {k: measure.failed(e) for k in table}
            for key, value in cells.items():
                table[key][p.name] = value
            say(f"  {p.name}: " + ", ".join(f"{k} {report.show(cells[k], s[1], s[2], spread=False)}"
                                            for k, s in report.TENANT_UNITS.items()))
        return table

    # -- what modules cost: weir alone --

    def modules(self):
        say("instructions per request with modules")
        table = {}
        weir = next((p for p in self.rows if p.name == "weir"), None)
        if weir is None:
            return table
        chosen, without_row, not_there = modules.rows(weir, self.a.modules)
        if without_row:
            say(f"  no row of the bench: {', '.join(without_row)}")
        if not_there:
            say(f"  not in this weir: {', '.join(not_there)}")
        with modules.redis(self.site) as redis:
            values = {**modules.things(self.site), "redis": redis}
            for row in (modules.NONE, modules.ELSEWHERE, *chosen):
                name = getattr(row, "name", row)
                try:
                    worker, others = modules.run(weir, self.site, row, chosen, values)
                    cell = {**measure.cell([worker]), "others": others}
                except PROBLEMS as e:
                    cell = measure.failed(e)
                table[name] = {"weir": cell}
                say(f"  {modules.TITLES[name]}: {report.show(cell, form=',.0f')}{'; ' + cell['failed'] if 'failed' in cell else ''}")
        return table

    # -- what a noisy tenant costs the others: weir alone --

    def noisy(self):
        say("latency of a quiet tenant beside a noisy one")
        table = {}
        weir = next((p for p in self.rows if p.name == "weir"), None)
        for row in noisy.ROWS if weir else ():
            try:
                table[row.name] = noisy.run(weir, self.site, row, self.a.rounds)
            except PROBLEMS as e:
                table[row.name] = {"weir": measure.failed(e)}
            cell = table[row.name]["weir"]
            say(f"  {row.what}: " + (cell["failed"] if "failed" in cell else f"{report.show(cell, form='.2f', spread=False)} times, with the "
                                     f"flood past weir {report.show(table[row.name][noisy.PAST], form='.2f', spread=False)}"))
        return table


def main():
    a = arguments()
    tools = os.path.join(os.path.abspath(a.build), "bench")
    if not os.path.exists(os.path.join(tools, "origin")):
        sys.exit(f"bench: {tools}/origin is not built; run `make bench`")
    rows = contenders(a)
    congestion, own = machine.own_network(a.congestion)
    if not own:
        say("not root: the machine's own network is used, with its congestion control and ports")
    machine.settle(a.pin)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    started = time.monotonic()
    directory = tempfile.mkdtemp(prefix="weir-bench-")
    site = peers.Site(directory, tools)
    results = {"machine": machine.describe(),
               "settings": {"pin": a.pin, "rounds": a.rounds, "scale": a.scale, "congestion": congestion,
                            "tls": "TLS_AES_128_GCM_SHA256, X25519, a P-256 certificate, one ticket"},
               "versions": {p.name: machine.version(p.version) for p in rows},
               "contenders": [p.name for p in rows], "cpu": {}}
    bench = Bench(a, site, rows)
    try:
        site.start_origins()
        for part in PARTS:
            if part in a.parts:
                results[part] = getattr(bench, part)()
    finally:
        site.stop()
        if a.keep:
            say(f"configurations and logs are in {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    results["disturbed"] = {"rounds": bench.rounds_disturbed, "of": bench.rounds_run, "limit": measure.DISTURBED}
    for path in report.write(results, a.out):
        say(f"wrote {os.path.relpath(path)}")
    for v in results["goals"]:
        say(f"{v['verdict']:>12}  {v['title']}: {v['goal']}"
            + ("" if v["found"] is None else f", measured {v['found']:.3g}"))
    say(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
