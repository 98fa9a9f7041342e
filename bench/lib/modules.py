"""What modules cost: instructions per request with none, with all of them at somebody else, and with each in its usual
form. A module is a row of ROWS."""
import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time

from . import measure, peers
from .workloads import BY_NAME

SUPPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "support")
NONE, ELSEWHERE = "none", "elsewhere"
PASSWORD = "weir"
COUNTS = 256, 1536  # requests of the two runs whose difference it is


class Row:
    """module: its name in the configuration; config: what stands there, with %(...)s of Things; headers: what the client
    sends besides; path and size: another answer than /1k; what: what the module has to do in this row."""

    def __init__(self, name, config, what, module=None, headers=(), path="/1k", size=None):
        self.name, self.module, self.config, self.what = name, module or name, config, what
        self.headers, self.path, self.size = headers, path, size


ROWS = [
    Row("geo", "{database: %(dir)s/places.mmdb}", "country of the client, as a header for the backend"),
    Row("maintenance", "{allow: [127.0.0.0/8]}", "closed to all but this client"),
    Row("cors", '{origins: ["https://app.test", "https://*.preview.test"], credentials: true}', "a request across origins",
        headers=("origin: https://app.test",)),
    Row("access", '{allow: [127.0.0.0/8, 10.0.0.0/8, "2001:db8::/32"], deny: [127.9.0.0/16]}', "four networks"),
    Row("jwt", "{keys_file: %(dir)s/jwt.pem, audience: [bench]}", "a token that was verified before",
        headers=("authorization: Bearer %(token)s",)),
    Row("basic_auth", '{users: ["anna:%(hash)s"]}', "a password that was right before",
        headers=("authorization: Basic %(basic)s",)),
    Row("forward_auth", '{url: "http://127.0.0.1:%(origin)s/1k"}', "another server is asked each time"),
    Row("ratelimit", "{rules: {client: {rate: 1000000, by: [address]}}}", "one bucket by address"),
    Row("ratelimit-fleet", '{redis: {address: "%(redis)s"}, rules: {client: {rate: 100000, by: [address], fleet: true}}}',
        "the same, counted in Redis", module="ratelimit"),
    Row("fault", "{delay: {share: 0.01%%, for: 1ms}}", "lots are drawn, one in 10,000 waits"),
    Row("errors", "{pages: {5xx: %(dir)s/sorry.html}, intercept: [502, 503, 504]}", "pages that this answer does not need"),
    Row("compress", "on", "a client that takes no coding"),
    Row("compress-gzip", "{types: [application/octet-stream], codings: [gzip]}", "1 KiB compressed with gzip",
        module="compress", headers=("accept-encoding: gzip",), size=0),
    Row("respond", '{status: 200, body: "%(kib)s"}', "1 KiB from weir, no backend"),
    Row("rewrite", '{rules: [{prefix: /v1, to: /}], query: {remove: ["utm_*"]}}', "another prefix for the backend", path="/v1/1k",
        size=1024),
    Row("headers", "{response: {set: {X-Frame-Options: DENY}}}", "one field set in the answer"),
    Row("tracing", '{endpoint: "http://127.0.0.1:%(origin)s/1k", sample: 1%%}', "a trace begun and passed on, one in a hundred told"),
]
TITLES = {NONE: "no module", ELSEWHERE: "all modules, at another tenant", **{r.name: f"{r.name}: {r.what}" for r in ROWS}}


@contextlib.contextmanager
def redis(site):
    """Its address; of nobody where it is not installed, and the row that needs it fails."""
    path = os.path.join(site.dir, "redis.sock")
    if not shutil.which("redis-server"):
        yield f"unix:{path}"
        return
    with subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", site.dir],
                          stdout=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None and not os.path.exists(path):
                time.sleep(0.01)
            yield f"unix:{path}"
        finally:
            process.terminate()


def things(site):
    """What the rows' configurations and headers name; but for "redis", redis()'s address."""
    sys.path.insert(0, SUPPORT)
    try:
        import mmdb
    finally:
        sys.path.remove(SUPPORT)
    mmdb.write(os.path.join(site.dir, "places.mmdb"), {"127.0.0.0/8": mmdb.place("DE", "BE", "Berlin")})
    key, pem = os.path.join(site.dir, "jwt.key"), os.path.join(site.dir, "jwt.pem")
    for command in (["genpkey", "-algorithm", "ed25519", "-out", key], ["pkey", "-in", key, "-pubout", "-out", pem]):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    shadow = subprocess.run(["openssl", "passwd", "-6", "-salt", "bench", PASSWORD], check=True, capture_output=True,
                            text=True).stdout.strip()
    with open(os.path.join(site.dir, "sorry.html"), "w", encoding="ascii") as f:
        f.write("<h1>$(phrase)</h1>\n")
    return {"dir": site.dir, "origin": site.origin.ports["plain"], "token": _token(site, key), "hash": shadow, "kib": "x" * 1024,
            "basic": base64.b64encode(f"anna:{PASSWORD}".encode()).decode()}


def _token(site, key):
    def b64(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    signed = ".".join(b64(json.dumps(part).encode()) for part in
                      ({"alg": "EdDSA", "typ": "JWT"}, {"sub": "anna", "aud": "bench", "exp": int(time.time()) + 86400}))
    text = os.path.join(site.dir, "jwt.text")
    with open(text, "w", encoding="ascii") as f:
        f.write(signed)
    made = subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", key, "-rawin", "-in", text], check=True,
                          capture_output=True).stdout
    return f"{signed}.{b64(made)}"


def known(peer):
    """The modules that this weir was built with."""
    try:
        schema = json.loads(subprocess.run([peer.program, "schema"], check=True, capture_output=True).stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as e:
        raise peers.Failed(f"weir schema: {e}") from e
    names = [name.removeprefix("modules.") for name in schema["$defs"] if name.startswith("modules.")]
    return {name for name in names if "." not in name}


def rows(peer, only=()):
    """Those to be measured; modules that have no row, and rows whose module is not there."""
    there = known(peer)
    wanted = [r for r in ROWS if r.module in there and (not only or r.name in only)]
    return wanted, sorted(there - {r.module for r in ROWS}), [r.name for r in ROWS if r.module not in there]


def _flow(chosen, values):
    return "{" + ", ".join(f"{r.module}: {r.config % values}" for r in chosen) + "}"


def _config(site, ports, values, mine, others):
    """One tenant that the requests are for, and one that they are not for."""
    def tenant(name, host, chosen):
        return (f"  {name}:\n    hosts: [\"{host}\"]\n    services:\n      web:\n        split: {{sticky: none}}\n"
                "        pools:\n"
                f"          blue: {{weight: 100, backends: [\"127.0.0.1:{site.origin.ports['plain']}\"]}}\n"
                f"    routes:\n      - {{path: /, service: web, modules: {_flow(chosen, values)}}}\n")

    path = os.path.join(site.dir, "weir-modules.conf")
    with open(path, "w", encoding="ascii") as f:
        f.write(f"workers: 1\nuser: {site.user}\nstate_dir: {site.dir}/weir-modules-state\n"
                "log: {access: {path: stdout, format: \"off\"}, "
                f"events: {{path: {site.dir}/weir-modules-events.log, level: info}}}}\n"
                f"admin: {{socket: {site.dir}/weir-modules.sock}}\n"
                f"listeners:\n  http: {{address: \"127.0.0.1:{ports['plain']}\"}}\n"
                "timeouts: {client_header: 1h, client_idle: 1h, response: 1h, upstream_idle: 1h, shutdown: 1s}\n"
                "tenants:\n" + tenant("bench", "*", mine) + tenant("other", "other.test", others))
    return path


def run(peer, site, row, chosen, values):
    """Instructions per request, of the worker and of the other threads. row: a Row, NONE or ELSEWHERE; chosen: all rows that
    there are."""
    mine, others = ([], chosen) if row == ELSEWHERE else ([], []) if row == NONE else ([row], [])
    others = list({r.module: r for r in reversed(others)}.values())  # the first row of each module
    if mine and "%(redis)s" in row.config and not shutil.which("redis-server"):
        raise peers.Failed("redis-server is not installed")
    workload = BY_NAME["h1-1k"]
    if mine:
        workload = workload.but(path=row.path, headers=[h % values for h in row.headers], body=row.size)

    def start(peer, site, wrap, **_):
        ports = {"plain": peers.free_port()}
        path = _config(site, ports, values, mine, others)
        return peers.launch(peer, site, [*wrap, *peer.single, path], ports, probe="plain", patience=60, expect=b"HTTP/1.1 ")

    return measure.instructions_serving(site, peer, workload, start, COUNTS)
