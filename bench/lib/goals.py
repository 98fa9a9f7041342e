"""What weir wants to reach, and whether a run shows it. Ratios are to what was measured beside it in the same run."""
from . import modules, noisy
from .workloads import BY_NAME

BEST, RELAY, ABSOLUTE = "the best peer", "the raw relay", "absolute"
ONE, NONE = "its own with one tenant", "its own without modules"
OWN = {ONE: ("tenants", "one"), NONE: ("modules", "none")}  # where weir's own figure stands
KIB, MIB = 1024, 1 << 20


class Goal:
    def __init__(self, table, row, against, bound, unit="", scale=1.0):
        self.table, self.row, self.against, self.bound, self.unit, self.scale = table, row, against, bound, unit, scale

    def words(self):
        if self.against == ABSOLUTE:
            return f"≤ {self.bound / self.scale:,.6g} {self.unit}".strip()
        return f"≤ {self.bound:g} of {self.against}"


GOALS = [
    Goal("cpu", "h1-1k", BEST, 0.65),
    Goal("cpu", "h1-1k", RELAY, 1.3),
    Goal("instructions", "h1-1k", ABSOLUTE, 6000, "instructions"),
    Goal("syscalls", "h1-1k", ABSOLUTE, 4.05, "calls"),  # two reads, two writes; a share of a call for rare things
    Goal("cpu", "https-1k", BEST, 0.70),
    Goal("cpu", "h2-32", BEST, 0.75),
    Goal("cpu", "h2-1", BEST, 0.80),
    Goal("cpu", "h2-64k", BEST, 0.80),
    Goal("cpu", "tls-full", BEST, 0.85),
    Goal("cpu", "tls-resumed", BEST, 0.85),
    Goal("cpu", "h1-64k", BEST, 0.85),
    Goal("cpu", "h1-10m", BEST, 0.85),
    Goal("cpu", "https-10m", BEST, 0.90),
    Goal("idle", "idle-plain", ABSOLUTE, 600, "B"),
    Goal("idle", "idle-tls", ABSOLUTE, 14.3 * KIB, "KiB", KIB),
    Goal("idle", "idle-h2", ABSOLUTE, 19.5 * KIB, "KiB", KIB),
    Goal("tenants", "load", ABSOLUTE, 0.1, "s"),
    Goal("tenants", "memory", ABSOLUTE, 40 * MIB, "MiB", MIB),
    Goal("tenants", "reload", ABSOLUTE, 0.1, "s"),
    Goal("tenants", "cost", ONE, 1.03),  # "no change", within what repeated runs differ by
    Goal("modules", "elsewhere", NONE, 1.01),
    Goal("noisy", "rate", ABSOLUTE, 1.2, "times"),
    Goal("cpu", "ws", RELAY, 1.1),
    Goal("cpu", "grpc", BEST, 0.75),
]

TITLES = {"idle-plain": "idle plain connection", "idle-tls": "idle TLS connection, HTTP/1.1",
          "idle-h2": "idle TLS connection, HTTP/2", "load": "10,000 tenants: start until served",
          "memory": "10,000 tenants: memory", "reload": "10,000 tenants: CPU of a reload",
          "cost": "10,000 tenants: CPU per request", "one": "one tenant: CPU per request", **modules.TITLES,
          **noisy.TITLES}
TABLES = {"cpu": "CPU", "instructions": "instructions", "syscalls": "system calls", "idle": "memory", "tenants": "",
          "modules": "instructions", "noisy": ""}


def title(table, row):
    name = BY_NAME[row].title if row in BY_NAME else TITLES[row]
    return ", ".join(x for x in (name, TABLES[table]) if x)


def usable(cell):
    return cell is not None and "failed" not in cell


def best_peer(row):
    """The name and cell of the cheapest contender that is neither weir nor the relay."""
    peers = [(c["median"], name) for name, c in row.items() if name not in ("weir", "relay") and usable(c)]
    if not peers:
        return None, None
    name = min(peers)[1]
    return name, row[name]


def judge(results):
    """One row per goal: goal, what was found, and the verdict: reached, missed, or why it cannot be said."""
    verdicts = []
    for goal in GOALS:
        row = results.get(goal.table, {}).get(goal.row)
        if row is None or "weir" not in row:
            continue
        own, base, name = row["weir"], None, goal.against
        if goal.against == BEST:
            name, base = best_peer(row)
        elif goal.against == RELAY:
            base = row.get("relay")
        elif goal.against in OWN:
            table, base_row = OWN[goal.against]
            base = results.get(table, {}).get(base_row, {}).get("weir")
        found, verdict = None, "not measured"
        if usable(own) and (goal.against == ABSOLUTE or usable(base)):
            found = own["median"] / (goal.scale if goal.against == ABSOLUTE else base["median"])
            limit = goal.bound / goal.scale if goal.against == ABSOLUTE else goal.bound
            disturbed = own.get("disturbed") or (base or {}).get("disturbed")
            verdict = "disturbed" if disturbed else "reached" if found <= limit else "missed"
        verdicts.append({"table": goal.table, "row": goal.row, "title": title(goal.table, goal.row),
                         "goal": goal.words(), "against": name if goal.against != ABSOLUTE else None,
                         "found": found, "unit": goal.unit, "verdict": verdict})
    return verdicts
