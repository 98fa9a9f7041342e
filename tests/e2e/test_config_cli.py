"""The commands that need no running proxy: check, schema, explain; and what is said of a configuration that is not right."""
import json
import re

import jsonschema
import pytest
import yaml

from support.config import pool, site
from support.edge import ROOT, run


@pytest.fixture
def conf(tmp_path):
    """conf(text or dict, name) writes a file and gives its path."""
    def write(content, name="weir.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
        return path
    return write


GOOD = """\
listeners:
  http: {address: "127.0.0.1:8080"}
tenants:
  acme:
    hosts: [acme.test]
    services:
      shop:
        pools:
          blue: {backends: ["127.0.0.1:9001"]}
"""


def check(path, *more, **kw):
    return run("check", "-c", path, *more, **kw)


def test_a_good_file_is_0(conf):
    r = check(conf(GOOD))
    assert r.code == 0, r.err


def test_the_whole_example_of_the_contract_is_good(conf, pki, acme_cert, tmp_path):
    (tmp_path / "certs").mkdir()
    text = f"""\
workers: auto
state_dir: {tmp_path}/state
log:
  access: {{path: stdout, format: json}}
  events: {{path: stderr, level: info}}
admin:
  socket: {tmp_path}/admin.sock
  listen: 127.0.0.1:9900
  tokens: [{{name: deploy, role: operator, tenants: [acme], sha256: "{'ab' * 32}"}}]
listeners:
  http:  {{address: "0.0.0.0:8080", redirect_https: false}}
  https:
    address: "[::]:8443"
    tls: {{certificates: [{{cert: {acme_cert.cert_file}, key: {acme_cert.key_file}}}], directory: certs/, min_version: "1.2", client_ca: null}}
    http2: {{max_concurrent_streams: 100}}
    proxy_protocol: false
    trusted_proxies: []
timeouts: {{client_header: 15s, client_body: 30s, client_idle: 60s, connect: 3s, response: 60s, upstream_idle: 30s, drain: 60s, shutdown: 300s}}
limits: {{connections: 100000, header_bytes: 64KiB, header_count: 100, body: 100MiB, memory: 0}}
tenants:
  acme:
    hosts: [acme.test, "*.acme.test"]
    limits: {{requests_per_second: 500, burst: 1000, concurrent_requests: 2000, connections: 1000}}
    services:
      shop:
        split: {{sticky: cookie, override: {{header: X-Weir-Pool, cookie: weir_pool}}}}
        balance: least_request
        health: {{http: {{path: /healthz, status: 200-399, host: acme.test, body: null}}, interval: 2s, timeout: 2s, rise: 2, fall: 3, slow_start: 0s}}
        outlier: {{consecutive_errors: 5, interval: 10s, ejection: 30s, max_ejected: 10%}}
        panic_threshold: 50%
        retries: {{attempts: 2, budget: 20%, per_try_timeout: 0s, on: [connect, reset, refused_stream, 503]}}
        breaker: {{connections: 1024, requests: 1024, pending: 1024, pending_timeout: 10s}}
        protocol: http1
        tls: null
        proxy_protocol: off
        pools:
          blue:  {{weight: 100, backends: [127.0.0.1:9001, {{address: 127.0.0.1:9002, weight: 2}}]}}
          green: {{weight: 0, backends: ["dns:green.internal:8080"]}}
    routes:
      - {{path: /, service: shop}}
      - {{path: /old, redirect: {{to: /new, status: 308}}}}
      - {{path: /api, service: shop, strip_prefix: true, request_headers: {{set: {{}}, add: {{}}, remove: []}}, response_headers: {{}}, timeout: 30s, websocket: true}}
"""
    r = check(conf(text))
    assert r.code == 0, r.err


def test_all_errors_are_listed_with_their_places_and_the_nearest_key(conf):
    path = conf("""\
listners: {}
listeners:
  http: {address: "127.0.0.1:8080"}
timeouts: {client_header: fast, conect: 3s}
tenants:
  acme:
    hosts: [acme.test]
    services:
      shop:
        pools:
          blue: {wieght: 100, backends: ["127.0.0.1:9001"]}
    routes:
      - {path: /, service: shpo}
""")
    r = check(path)
    assert r.code == 1
    text = r.err + r.out
    for line, col, words in ((1, 1, ["listners", "listeners"]), (4, None, ["client_header"]), (4, None, ["conect", "connect"]),
                             (11, None, ["wieght", "weight"]), (13, None, ["shpo"])):
        at = rf"weir\.yaml:{line}:{col or chr(92) + 'd+'}: "
        found = [row for row in text.splitlines() if re.search(at, row)]
        assert any(all(w in row for w in words) for row in found), f"nothing about {words} at line {line} in:\n{text}"


BAD = {
    "a duplicate key": (GOOD + "listeners: {}\n", 10),
    "a wrong type": (GOOD.replace("hosts: [acme.test]", "hosts: {a: b}"), 5),
    "a bad duration": (GOOD + "timeouts: {connect: 3 parsecs}\n", 10),
    "a bad size": (GOOD + "limits: {body: 10Potatoes}\n", 10),
    "a bad address": (GOOD.replace("127.0.0.1:8080", "nowhere"), 2),
    "a bad backend": (GOOD.replace('"127.0.0.1:9001"', '"127.0.0.1"'), 9),
    "no port 70000": (GOOD.replace("127.0.0.1:9001", "127.0.0.1:70000"), 9),
    "a host of two tenants": (GOOD + "  other: {hosts: [acme.test], services: {a: {pools: {b: {backends: ['127.0.0.1:1']}}}}}\n", 10),
    "a broken regex": (GOOD + "    routes: [{regex: '(', service: shop}]\n", 10),
    "a route to nobody": (GOOD + "    routes: [{path: /, service: none}]\n", 10),
    "broken YAML": (GOOD + "  - ]\n", None),
    "a tab": (GOOD + "\tlimits: {}\n", None),
    "a missing certificate": (GOOD.replace('{address: "127.0.0.1:8080"}',
        '{address: "127.0.0.1:8080", tls: {certificates: [{cert: /no/such.pem, key: /no/such.key}]}}'), 2),
    "h2 without TLS": (GOOD.replace("        pools:", "        protocol: h2\n        pools:"), None),
    "an alias bomb": ("a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
        "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n" + GOOD, None),
    "deep nesting": ("x: " + "[" * 10_000 + "]" * 10_000 + "\n" + GOOD, None),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_1_and_says_where(conf, name):
    text, line = BAD[name]
    r = check(conf(text))
    assert r.code == 1, f"exit {r.code}\n{r.out}{r.err}"
    assert re.search(rf"weir\.yaml:{line}:\d+: " if line else r"weir\.yaml:\d+:\d+: ", r.err + r.out), r.err + r.out


@pytest.mark.parametrize("name", ["a bad duration", "a route to nobody"])
def test_errors_as_json(conf, name):
    text, line = BAD[name]
    r = check(conf(text), "--json")
    assert r.code == 1
    found = json.loads(r.out)
    found = found["errors"] if isinstance(found, dict) else found
    assert any(e["line"] == line and e["file"].endswith("weir.yaml") and e["column"] >= 1 and e["message"] for e in found)


def test_a_good_file_as_json_has_no_errors(conf):
    r = check(conf(GOOD), "--json")
    assert r.code == 0
    found = json.loads(r.out)
    found = found["errors"] if isinstance(found, dict) else found
    assert not [e for e in found if e.get("severity") == "error"]


def test_a_file_that_is_not_there_is_1_and_named(tmp_path):
    r = check(tmp_path / "none.yaml")
    assert r.code == 1 and "none.yaml" in r.err + r.out


def test_the_environment_is_taken_and_its_absence_is_an_error(conf):
    path = conf(GOOD.replace("127.0.0.1:9001", "${BACKEND:-127.0.0.1:9001}").replace("acme.test", '"${HOST}"'))
    assert check(path, env={"HOST": "shop.test"}).code == 0
    missing = check(path)
    assert missing.code == 1 and "HOST" in missing.err + missing.out


def test_includes_bring_tenants_and_their_errors_name_their_file(conf):
    path = conf(GOOD + "include: [tenants.d/*.yaml]\n")
    conf("tenants:\n  other:\n    hosts: [other.test]\n    services: {s: {pools: {p: {backends: ['127.0.0.1:1']}}}}\n", "tenants.d/other.yaml")
    assert check(path).code == 0
    conf("tenants:\n  third:\n    hosts: [third.test]\n    servces: {}\n", "tenants.d/third.yaml")
    r = check(path)
    assert r.code == 1 and re.search(r"tenants\.d/third\.yaml:4:\d+: ", r.err + r.out)


def test_json_is_good_yaml(conf):
    assert check(conf(json.dumps(yaml.safe_load(GOOD)), "weir.json")).code == 0


# -- schema --

@pytest.fixture(scope="module")
def schema():
    r = run("schema")
    assert r.code == 0
    return json.loads(r.out)


def test_the_schema_is_a_json_schema(schema):
    jsonschema.validators.validator_for(schema).check_schema(schema)
    assert schema.get("$schema")


def test_the_schema_accepts_what_weir_accepts(schema, tmp_path):
    validator = jsonschema.validators.validator_for(schema)(schema)
    quickstart = ROOT / "conf" / "quickstart.yaml"
    for document in [yaml.safe_load(GOOD), site("127.0.0.1:1", listeners={"http": {"address": "127.0.0.1:0"}}),
                     yaml.safe_load(quickstart.read_text())]:
        assert not list(validator.iter_errors(document))


@pytest.mark.parametrize("change", [
    {"listners": {}}, {"workers": []}, {"timeouts": {"connect": []}}, {"tenants": []}, {"log": {"access": {"format": "xml"}}},
])
def test_the_schema_refuses_what_weir_refuses(schema, change, conf):
    document = {**yaml.safe_load(GOOD), **change}
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert list(validator.iter_errors(document))
    assert check(conf(document)).code == 1


def test_the_schema_documents_every_key(schema):
    def keys(node):
        if isinstance(node, dict):
            for name, sub in node.get("properties", {}).items():
                yield name, sub
            for sub in node.values():
                yield from keys(sub)
        elif isinstance(node, list):
            for sub in node:
                yield from keys(sub)
    found = dict(keys(schema))
    assert {"listeners", "tenants", "timeouts", "retries", "weight", "strip_prefix"} <= set(found)
    assert found["strip_prefix"].get("description")


# -- explain, offline --

@pytest.fixture
def explained(conf):
    path = conf(site(services={
        "shop": {"pools": {"blue": pool("127.0.0.1:9001", "127.0.0.1:9002", weight=90), "green": pool("127.0.0.1:9003", weight=10)},
                 "split": {"sticky": "header:X-User", "override": {"header": "X-Weir-Pool"}}},
        "api": {"pools": {"only": pool("127.0.0.1:9009")}}},
        routes=[{"path": "/", "service": "shop"}, {"path": "/api", "service": "api", "methods": ["GET"]}, {"path": "/old", "redirect": {"to": "/new"}}],
        listeners={"http": {"address": "127.0.0.1:8080"}}))
    return lambda *args: run("explain", "-c", path, *args)


def test_explain_names_tenant_route_pool_and_candidates(explained):
    r = explained("http://acme.test/api/x")
    assert r.code == 0, r.err
    for word in ("acme", "/api", "api", "only", "127.0.0.1:9009"):
        assert word in r.out, r.out


def test_explain_says_why_the_split_decided_so(explained):
    by_override = explained("http://acme.test/", "-H", "X-Weir-Pool: green")
    assert "green" in by_override.out and "names the pool" in by_override.out and "127.0.0.1:9003" in by_override.out
    by_user = explained("http://acme.test/", "-H", "X-User: alice")
    assert by_user.code == 0 and ("blue" in by_user.out or "green" in by_user.out)
    assert by_user.out == explained("http://acme.test/", "-H", "X-User: alice").out


def test_explain_takes_the_method(explained):
    assert "127.0.0.1:9009" not in explained("http://acme.test/api", "-X", "POST").out


def test_explain_tells_of_redirects_and_of_nobody(explained):
    assert "/new" in explained("http://acme.test/old").out
    nobody = explained("http://nobody.test/")
    assert "no_tenant" in nobody.out + nobody.err or "no tenant" in nobody.out + nobody.err


# -- the command line itself --

def test_usage_errors_are_2(tmp_path):
    for args in (["nonsense"], ["check", "--nonsense"], ["run", "--nonsense"], ["explain"]):
        r = run(*args)
        assert r.code == 2, (args, r)
        assert r.err


def test_help_and_version():
    r = run("--help")
    assert r.code == 0 and all(word in r.out for word in ("run", "check", "schema", "explain"))
    v = run("--version")
    assert v.code == 0 and re.search(r"weir \d+\.\d+\.\d+", v.out)


def test_run_with_a_broken_file_starts_nothing_and_is_1(conf):
    r = run("run", "-c", conf(GOOD.replace("hosts", "hoosts")))
    assert r.code == 1 and "hoosts" in r.err


def test_run_with_a_busy_port_is_1_and_names_it(conf, origin):
    taken = origin()
    r = run("run", "-c", conf(GOOD.replace("127.0.0.1:8080", str(taken)) + f"state_dir: {conf('', 'x').parent}/s\nadmin: {{socket: {conf('', 'x').parent}/a.sock}}\n"))
    assert r.code == 1 and str(taken) in r.err
