"""Ten thousand tenants: how long until they are served, what they weigh, what a reload costs, and whether a request
costs more among them."""
import os
import signal
import time

from . import load, machine, measure, peers
from .workloads import BY_NAME

COUNT = 10000
CONTENDERS = ("weir", "nginx", "haproxy")
START_DISTURBED = 0.3  # a start is short, and /proc/stat counts in ticks of 10 ms


def _nginx(site, port, n, master):
    servers = "".join(
        f"upstream u{i} {{ server 127.0.0.1:{site.origin.ports['plain']}; keepalive 64; "
        "keepalive_requests 1000000000; keepalive_timeout 1h; }\n"
        f"server {{ listen 127.0.0.1:{port}; server_name t{i}.test; location / {{ proxy_pass http://u{i}; }} }}\n"
        for i in range(n))
    return (f"user {site.user}; daemon off; master_process {master}; worker_processes 1; worker_rlimit_nofile 20000;\n"
            f"pid {site.dir}/nginx-tenants.pid; error_log {site.dir}/nginx-tenants.log error;\n"
            "events { worker_connections 8192; }\nhttp {\naccess_log off; server_names_hash_max_size 65536;\n"
            + "".join(f"{k}_temp_path {site.dir}/nginx-{d};\n" for k, d in
                      (("client_body", "body"), ("proxy", "proxy"), ("fastcgi", "fastcgi"), ("uwsgi", "uwsgi"),
                       ("scgi", "scgi")))
            + "keepalive_requests 1000000000; keepalive_timeout 1h; proxy_http_version 1.1;\n"
            "proxy_set_header Connection \"\"; proxy_set_header Host $http_host;\n"
            "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n" + servers + "}\n")


def _haproxy(site, port, n):
    names = os.path.join(site.dir, "haproxy-tenants.map")
    with open(names, "w", encoding="ascii") as f:
        f.writelines(f"t{i}.test b{i}\n" for i in range(n))
    backends = "".join(f"backend b{i}\n\tserver o 127.0.0.1:{site.origin.ports['plain']} pool-purge-delay 1h\n"
                       for i in range(n))
    return ("global\n\tnbthread 1\n\tmaxconn 8192\ndefaults\n\tmode http\n\tmaxconn 8192\n\toption forwardfor\n"
            "\thttp-reuse always\n\ttimeout connect 5s\n\ttimeout client 1h\n\ttimeout server 1h\n"
            f"frontend plain\n\tbind 127.0.0.1:{port} backlog 4096\n"
            f"\tuse_backend %[req.hdr(host),lower,map_str({names})]\n" + backends)


def _weir(site, port, n):
    tenants = "".join(
        f"  t{i}:\n    hosts: [t{i}.test]\n    services:\n      web:\n        split: {{sticky: none}}\n"
        "        breaker: {connections: 8192, requests: 8192, pending: 8192}\n        pools:\n"
        f"          blue: {{weight: 100, backends: [\"127.0.0.1:{site.origin.ports['plain']}\"]}}\n" for i in range(n))
    return (f"workers: 1\nuser: {site.user}\nstate_dir: {site.dir}/weir-tenants-state\nlog:\n"
            "  access: {path: stdout, format: \"off\"}\n"
            f"  events: {{path: {site.dir}/weir-tenants-events.log, level: info}}\n"
            f"admin: {{socket: {site.dir}/weir-tenants.sock}}\n"
            f"listeners:\n  http: {{address: \"127.0.0.1:{port}\"}}\n"
            "timeouts: {client_header: 1h, client_idle: 1h, response: 1h, upstream_idle: 1h, shutdown: 1s}\n"
            f"tenants:\n{tenants}")


class Case:
    """How one contender is given its tenants, and told to read them again."""

    def __init__(self, peer, site, n):
        self.peer, self.site, self.n = peer, site, n
        self.port = peers.free_port()
        self.path = os.path.join(site.dir, f"{peer.name}-{n}-tenants.conf")
        command = list(peer.command)
        self.reload_signal = signal.SIGHUP
        if peer.name == "nginx":
            text = _nginx(site, self.port, n, "on")
        elif peer.name == "haproxy":
            text = _haproxy(site, self.port, n)
            command = ["haproxy", "-W", "-f"]
            self.reload_signal = signal.SIGUSR2
        else:
            text = _weir(site, self.port, n)
        with open(self.path, "w", encoding="ascii") as f:
            f.write(text)
        self.command = [*command, self.path]

    def start(self):
        return peers.launch(self.peer, self.site, self.command, {"plain": self.port}, "plain", patience=60,
                            host=f"t{self.n - 1}.test")


def tree_cpu_s(running):
    """Everything that the tree has used, with the children that have ended."""
    total = running.cpu_ns() / 1e9
    for pid in running.tree():
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                v = f.read().rsplit(")", 1)[1].split()
            total += (int(v[13]) + int(v[14])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            continue
    return total


def reload_cpu_s(running, how):
    """CPU of one reload: until nothing has been used for a second."""
    before = last = tree_cpu_s(running)
    os.kill(running.process.pid, how)
    quiet, deadline = time.monotonic(), time.monotonic() + 60
    while time.monotonic() < deadline and (time.monotonic() - quiet < 1 or last - before < 0.001):
        time.sleep(0.05)
        now = tree_cpu_s(running)
        if now - last > 0.003:
            quiet = time.monotonic()
        last = now
        if last - before < 0.001 and time.monotonic() - quiet > 5:
            break
    return last - before


def cost(site, case, running, scale, number, samples, disturbed):
    """Adds what a request to the tenant in the middle costs."""
    workload, host = BY_NAME["h1-1k"], f"t{case.n // 2}.test"
    count = workload.count(scale, case.peer.name)
    load.h2load(site, workload, case.port, max(count // 50, workload.clients), host=host)
    watch, before = machine.Watch(lambda: (running.cpu_ns() + site.origin.cpu_ns()) / 1e9), running.cpu_ns()
    load.h2load(site, workload, case.port, count, host=host)
    samples.append((running.cpu_ns() - before) / 1000 / count)
    if watch.others() > measure.DISTURBED:
        disturbed.add(number)


def run(peer, site, rounds, scale):
    """Cells by name: load (s), memory (bytes), reload (s of CPU), cost (us per request among the tenants), one (the same
    where there is one tenant)."""
    found = {"load": [], "memory": [], "reload": [], "cost": [], "one": []}
    disturbed = {"load": set(), "cost": set(), "one": set()}
    case, single = Case(peer, site, COUNT), Case(peer, site, 1)
    for i in range(rounds):
        watch, started = machine.Watch(lambda: 0), time.monotonic()
        running = case.start()
        try:
            found["load"].append(time.monotonic() - started)
            if watch.others() - running.cpu_ns() / 1e9 / found["load"][-1] > START_DISTURBED:
                disturbed["load"].add(i)
            found["memory"].append(measure.settled_memory(running))
            cost(site, case, running, scale, i, found["cost"], disturbed["cost"])
            found["reload"].append(reload_cpu_s(running, case.reload_signal))
        finally:
            running.stop()
        running = single.start()
        try:
            cost(site, single, running, scale, i, found["one"], disturbed["one"])
        finally:
            running.stop()
    return {name: measure.cell(samples, disturbed.get(name, ())) for name, samples in found.items()}
