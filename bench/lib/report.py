"""The results as JSON and as a page of Markdown tables."""
import json
import os

from . import goals, modules, noisy, plot
from .workloads import BY_NAME

UNITS = {"cpu": ("CPU per request, µs", 1, ",.1f"), "instructions": ("User instructions per request", 1, ",.0f"),
         "syscalls": ("System calls per request, without waiting for events", 1, ",.2f"),
         "idle": ("Memory per idle connection, bytes", 1, ",.0f")}
TENANT_UNITS = {"load": ("start until served, s", 1, ",.2f"), "memory": ("memory, MiB", 1 << 20, ",.0f"),
                "reload": ("CPU of a reload that changes one, s", 1, ",.2f"), "cost": ("CPU per request, µs", 1, ",.1f"),
                "one": ("with one tenant, µs", 1, ",.1f")}


def show(cell, scale=1, form=",.1f", spread=True):
    """"12.3 (11.9–12.8)"; in brackets with a tilde if every sample was disturbed; a dash if there is none."""
    if cell is None:
        return "–"
    if "failed" in cell:
        return "n/a"
    text = format(cell["median"] / scale, form)
    if spread and cell.get("counted", 0) > 1:
        text += f" <sub>{cell['low'] / scale:{form}}–{cell['high'] / scale:{form}}</sub>"
    return f"~({text})" if cell.get("disturbed") else text


def _ratio(row):
    name, best = goals.best_peer(row)
    own = row.get("weir")
    if not goals.usable(own) or best is None or not best["median"]:
        return "–"
    return f"{own['median'] / best['median']:.2f} of {name}"


def _table(lines, rows, contenders, label, unit):
    scale, form = unit[1], unit[2]
    lines.append("| | " + " | ".join(contenders) + " | weir to the best peer |")
    lines.append("|---|" + "---|" * (len(contenders) + 1))
    for name, row in rows.items():
        cells = [show(row.get(c), scale, form) for c in contenders]
        lines.append(f"| {label(name)} | " + " | ".join(cells) + f" | {_ratio(row)} |")
    lines.append("")


def _goal_lines(verdicts):
    lines = ["## Goals", ""]
    if not verdicts:
        return lines + ["weir did not take part in this run.", ""]
    lines += ["| work | goal | measured | |", "|---|---|---|---|"]
    for v in verdicts:
        found = "–" if v["found"] is None else f"{v['found']:,.3g} {v['unit']}".strip() if v["against"] is None \
            else f"{v['found']:.2f} of {v['against'].removeprefix('the ')}"
        if v["found"] is not None and v["found"] >= 1000:
            found = f"{v['found']:,.0f} {v['unit']}"
        lines.append(f"| {v['title']} | {v['goal']} | {found} | {v['verdict']} |")
    return lines + [""]


def _head(results):
    m, s = results["machine"], results["settings"]
    pin = ("contender on CPU 0, load and origin on CPU 1" if s["pin"] == "split"
           else "contender, load and origin all on CPU 0")
    lines = ["# weir beside its peers", "",
             f"{m['date']}, {m['cpu']}, {m['cpus']} CPUs, Linux {m['kernel']}, {m['openssl']}. One worker each; {pin}. "
             f"{s['rounds']} rounds, every other one in reverse order; medians, with the range below. TLS 1.3 with "
             f"{s['tls']}, congestion control {s['congestion']}. Only ratios within one run count: machines differ.",
             "", "Versions: " + "; ".join(f"{k}: {v}" for k, v in results["versions"].items() if v) + ".", ""]
    disturbed = results["disturbed"]
    if disturbed["rounds"]:
        lines += [f"**{disturbed['rounds']} of {disturbed['of']} rounds were disturbed** (other processes took more "
                  f"than {disturbed['limit']:.0%} of a CPU) and do not count. A figure in ~( ) has no undisturbed "
                  "round at all: it decides no goal.", ""]
    return lines


def _latency_lines(results, contenders):
    rows = results.get("latency")
    if not rows:
        return []
    lines = ["## Latency at half load, HTTP/1.1, 1 KiB, µs", "",
             "Requests are due at fixed times and counted from when they were due. The rate is half of what nginx "
             "reached (the slowest, without nginx), or half of the contender's own if that is less.", "",
             "| | requests/s | p50 | p99 | p99.9 |", "|---|---|---|---|---|"]
    for name in contenders:
        c = rows.get(name)
        if c is None or "failed" in c:
            continue
        quantiles = " | ".join(show(c[q], 1, ",.0f") for q in ("p50", "p99", "p999"))
        lines.append(f"| {name} | {c['rate']:,.0f} | {quantiles} |")
    return lines + [""]


def _module_lines(rows):
    """What is more than without modules; a table of weir alone."""
    if not rows:
        return []
    base = rows.get(modules.NONE, {}).get("weir")
    lines = ["## What modules cost, user instructions per request", "",
             "HTTP/1.1, 1 KiB, each module in its usual form, on the route of the request. What the worker does; the other threads stand apart, "
             "because much of theirs goes by the clock and not by requests.", "",
             "| | per request | more than without | other threads meanwhile |", "|---|---|---|---|"]
    for name, row in rows.items():
        more = "–"
        if name != modules.NONE and goals.usable(row["weir"]) and goals.usable(base):
            more = f"{row['weir']['median'] - base['median']:+,.0f}"
        others = f"{row['weir']['others']:,.0f}" if goals.usable(row["weir"]) else "–"
        lines.append(f"| {modules.TITLES[name]} | {show(row['weir'], form=',.0f')} | {more} | {others} |")
    return lines + [""]


def _noisy_lines(rows):
    """Weir alone: what a tenant meets beside one that asks for a hundred times what it may."""
    if not rows:
        return []
    lines = ["## A quiet tenant beside a noisy one, µs", "",
             f"{noisy.RATE} requests a second of the quiet one, due at fixed times; rounds of {noisy.SECONDS} s take turns, and ratios are of rounds "
             "beside each other. Past weir: the same flood goes to the origin, which shows what its client takes from this machine.", "",
             "| the noisy one's limit | p50 alone | beside | p99 alone | beside | ratio | past weir |", "|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        if goals.usable(row["weir"]):
            what = next(r.what for r in noisy.ROWS if r.name == name)
            cells = [show(row[k], form=",.0f") for k in ("alone_p50", "beside_p50", "alone_p99", "beside_p99")]
            lines.append(f"| {what} | {' | '.join(cells)} | {show(row['weir'], form='.2f')} | {show(row[noisy.PAST], form='.2f')} |")
    return lines + [""]


def markdown(results):
    contenders = results["contenders"]
    lines = _head(results) + _goal_lines(results["goals"])
    if results["cpu"]:
        lines += ["![CPU per request](cpu.svg)", ""]
    for table, unit in UNITS.items():
        rows = results.get(table)
        if not rows:
            continue
        lines += [f"## {unit[0]}", ""]
        if table == "cpu" and any(n in rows and (BY_NAME[n].tls) for n in rows):
            lines += ["The relay cannot end TLS: in those rows it carries the same answers without it, as a control "
                      "of the machine.", ""]
        _table(lines, rows, contenders, lambda n: BY_NAME[n].title if n in BY_NAME else goals.TITLES[n], unit)
        without = [c for c, cell in rows.get("tls-resumed", {}).items() if cell.get("tickets") == 0]
        if table == "cpu" and without:
            lines += [f"No new ticket on a resumed handshake: {', '.join(without)}. That is less work, and a client "
                      "that uses a ticket once (RFC 8446 C.4) makes a full handshake every other time.", ""]
    lines += _latency_lines(results, contenders)
    tenants = results.get("tenants")
    if tenants:
        lines += ["## Ten thousand tenants", "", "| | " + " | ".join(u[0] for u in TENANT_UNITS.values()) + " |",
                  "|---|" + "---|" * len(TENANT_UNITS)]
        for name in contenders:
            if any(name in row for row in tenants.values()):
                lines.append(f"| {name} | " + " | ".join(show(tenants[k].get(name), u[1], u[2])
                                                         for k, u in TENANT_UNITS.items()) + " |")
        lines.append("")
    lines += _module_lines(results.get("modules"))
    lines += _noisy_lines(results.get("noisy"))
    lines += _failures(results)
    return "\n".join(lines)


def _failures(results):
    """Every figure that there is none of, and why."""
    found = []
    for table in ("cpu", "instructions", "syscalls", "idle", "tenants", "modules", "noisy"):
        for name, row in results.get(table, {}).items():
            found += [f"- {table}, {name}, {c}: {cell['failed']}" for c, cell in row.items() if "failed" in cell]
    found += [f"- latency, {c}: {cell['failed']}" for c, cell in results.get("latency", {}).items() if "failed" in cell]
    return ["## Not measured", "", *found, ""] if found else []


def write(results, directory):
    """results.json, results.md, cpu.svg. Returns the paths."""
    os.makedirs(directory, exist_ok=True)
    results["goals"] = goals.judge(results)
    paths = []
    files = {"results.json": json.dumps(results, indent=1, ensure_ascii=False) + "\n",
             "results.md": markdown(results).rstrip() + "\n"}
    if results["cpu"]:
        files["cpu.svg"] = plot.cpu(results)
    for name, text in files.items():
        paths.append(os.path.join(directory, name))
        with open(paths[-1], "w", encoding="utf-8") as f:
            f.write(text)
    return paths
