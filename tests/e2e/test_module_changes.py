"""Every module that weir brings, in one table: it does what it does before a reload, after it, and after an upgrade; what it has
learned stays where its page says so."""
import base64
import json
import re
import subprocess
import time

import pytest

from support import mmdb
from support.answers import reply
from support.config import http, site
from support.edge import ROOT, run
from support.tokens import Key, key_set

TRUSTING = {"http": http(trusted_proxies=["127.0.0.0/8"])}


class Setting:
    """What a row may use: origins, files, a key."""

    def __init__(self, blue, helper, directory):
        self.blue, self.helper, self.directory = blue, helper, directory
        self.key = Key("ES256", "k1")

    def file(self, name, content):
        (self.directory / name).write_text(content)
        return str(self.directory / name)


def geo(s):
    return str(mmdb.write(s.directory / "places.mmdb", {"192.0.2.0/24": mmdb.place("DE")}))


def geo_works(s, c):
    return c.get("/", {"X-Forwarded-For": "192.0.2.7"}).status == 200 and s.blue.last.header("x-geo-country") == "DE"


def maintenance(s):
    return {"allow": ["192.0.2.0/24"]}


def maintenance_works(s, c):
    return c.get("/").status == 503 and c.get("/", {"X-Forwarded-For": "192.0.2.7"}).status == 200


def cors(s):
    return {"origins": ["https://app.acme.test"]}


def cors_works(s, c):
    return c.get("/", {"Origin": "https://app.acme.test"}).header("access-control-allow-origin") == "https://app.acme.test"


def access(s):
    return {"deny": ["192.0.2.0/24"]}


def access_works(s, c):
    return c.get("/").status == 200 and c.get("/", {"X-Forwarded-For": "192.0.2.7"}).status == 403


def jwt(s):
    s.helper.always(reply(200, key_set(s.key).encode(), {"Content-Type": "application/json"}))
    return {"jwks_url": f"http://{s.helper}/keys"}


def jwt_works(s, c):
    token = s.key.token({"sub": "u", "exp": int(time.time()) + 600})
    return c.get("/").status == 401 and c.get("/", {"Authorization": f"Bearer {token}"}).status == 200


def basic_auth(s):
    hashed = subprocess.run(["openssl", "passwd", "-6", "eins"], capture_output=True, check=True, text=True).stdout.strip()
    return {"file": s.file("users", f"anna:{hashed}\n")}


def basic_auth_works(s, c):
    good = {"Authorization": "Basic " + base64.b64encode(b"anna:eins").decode()}
    return c.get("/").status == 401 and c.get("/", good).status == 200


def forward_auth(s):
    s.helper.always(reply(200, b"", {"X-User": "anna"}))
    return {"url": f"http://{s.helper}/check", "copy": ["X-User"]}


def forward_auth_works(s, c):
    return c.get("/").status == 200 and s.blue.last.header("x-user") == "anna"


def ratelimit(s):
    return {"rules": {"all": {"rate": 100000, "per": "1h"}}}


def ratelimit_works(s, c):
    return c.get("/").header("ratelimit-policy") == '"all";q=100000;w=3600'


def fault(s):
    return {"abort": {"share": "100%", "status": 599}}


def fault_works(s, c):
    return c.get("/").status == 599


def errors(s):
    s.blue.on("/bad", reply(500, b"theirs"))
    return {"pages": {"5xx": s.file("sorry.txt", "$(status) ours")}, "intercept": ["500"]}


def errors_works(s, c):
    return c.get("/bad").body == b"500 ours"


def compress(s):
    s.blue.on("/long", reply(200, b"x" * 5000, {"Content-Type": "text/plain"}))
    return {"codings": ["gzip"]}


def compress_works(s, c):
    return c.get("/long", {"Accept-Encoding": "gzip"}).header("content-encoding") == "gzip"


def respond(s):
    return {"status": 418}


def respond_works(s, c):
    return c.get("/").status == 418


def rewrite(s):
    return {"rules": [{"regex": "/a/(.*)", "to": "/b?x=$(1)"}]}


def rewrite_works(s, c):
    return c.get("/a/1").status == 200 and s.blue.last.target == "/b?x=1"


def headers(s):
    return {"request": {"set": {"X-Client": "$(client.address)"}}}


def headers_works(s, c):
    return c.get("/").status == 200 and s.blue.last.header("x-client") == "127.0.0.1"


ROWS = {conf.__name__: (conf, works) for conf, works in [
    (geo, geo_works), (maintenance, maintenance_works), (cors, cors_works), (access, access_works), (jwt, jwt_works), (basic_auth, basic_auth_works),
    (forward_auth, forward_auth_works), (ratelimit, ratelimit_works), (fault, fault_works), (errors, errors_works), (compress, compress_works),
    (respond, respond_works), (rewrite, rewrite_works), (headers, headers_works)]}

# They have stories of their own about reloads and upgrades.
ELSEWHERE = {"tracing"}


@pytest.fixture
def setting(origin, tmp_path):
    return Setting(origin("blue"), origin("helper"), tmp_path)


def start(edge, setting, name):
    conf = site(setting.blue, listeners=TRUSTING, routes=[{"path": "/", "service": "shop", "modules": {name: ROWS[name][0](setting)}}])
    return conf, edge(conf)


def test_no_module_is_missing_here():
    schema = json.loads(run("schema").out)
    route = schema["$defs"]["routes"]["properties"]["modules"]["properties"]
    assert set(route) - ELSEWHERE == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_a_module_works_before_and_after_reload_and_upgrade(edge, setting, name):
    works = ROWS[name][1]
    conf, proxy = start(edge, setting, name)
    with proxy.connect() as c:
        assert works(setting, c)
        proxy.reload(conf, outcome="unchanged")
        assert works(setting, c)
        conf["limits"] = {"header_count": 90}
        proxy.reload(conf)
        assert works(setting, c)
    upgraded = proxy.cli("upgrade")
    assert upgraded.code == 0, upgraded.err
    with proxy.connect() as c:
        assert works(setting, c)
    del conf["tenants"]["acme"]["routes"][0]["modules"]
    proxy.reload(conf)
    with proxy.connect() as c:
        assert not works(setting, c)


@pytest.mark.parametrize("name", ROWS)
def test_what_a_module_would_do_is_explained(edge, setting, name):
    proxy = start(edge, setting, name)[1]
    told = json.loads(proxy.cli("explain", "http://acme.test/", "--json").out)["modules"]
    assert [(m["name"], m["level"]) for m in told] == [(name, "route")] and told[0]["text"]


@pytest.mark.parametrize("name", sorted({*ROWS, *ELSEWHERE}))
def test_a_module_has_a_page_and_a_row_of_what_it_costs(name):
    assert (ROOT / "docs" / "modules" / f"{name}.md").read_text().startswith(f"# {name}: ")
    assert f'Row("{name}", ' in (ROOT / "bench" / "lib" / "modules.py").read_text()


def test_the_page_of_all_modules_has_each_once_and_no_reason_that_there_is_not():
    page = (ROOT / "docs" / "modules" / "README.md").read_text()
    rows = dict(re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| (.*) \|$", page, re.M))
    assert sorted(rows) == sorted({*ROWS, *ELSEWHERE}) and page.count("\n| [") == len(rows)
    known = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "reasons.md").read_text(), re.M))
    for name, row in rows.items():
        said = {r for part in re.findall(r"reasons? ((?:`\w+`(?:, )?)+)", row) for r in re.findall(r"\w+", part)}
        assert said <= known and set(REFUSED.get(name, [None, None, ()])[2]) <= said, name
        assert (ROOT / "docs" / "modules" / f"{name}.md").exists()


# The module's keys (or a function of the setting), what to ask for, the reasons and further members that the log then has.
REFUSED = {
    "geo": (lambda s: {"database": geo(s), "deny": ["DE"]}, {"X-Forwarded-For": "192.0.2.7"}, ["geo_denied"], {"status": 403, "geo_country": "DE"}),
    "maintenance": (maintenance, {}, ["maintenance"], {"status": 503}),
    "access": (access, {"X-Forwarded-For": "192.0.2.7"}, ["access_denied"], {"status": 403}),
    "jwt": (jwt, {"Authorization": "Bearer a.b.c"}, ["auth_required"], {"status": 401, "jwt": "malformed"}),
    "basic_auth": (basic_auth, {}, ["auth_required"], {"status": 401}),
    "forward_auth": (lambda s: s.helper.always(reply(403)) and {"url": f"http://{s.helper}/"}, {}, ["auth_denied"], {"status": 403}),
    "ratelimit": (lambda s: {"rules": {"none": {"rate": 1, "per": "1h", "by": ["route"]}}}, {}, ["rate_limited"], {"status": 429, "ratelimit": "none"}),
    "fault": (fault, {}, ["fault_injected"], {"status": 599}),
    "errors": (errors, {}, [], {"status": 500, "errors": "intercepted"}),
    "respond": (respond, {}, [], {"status": 418}),
    "rewrite": (lambda s: {"host": "$(header.x-none)"}, {}, ["rewrite_invalid"], {"status": 400}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_module_turns_away_has_its_reason_in_the_log(edge, setting, name):
    keys, asked, reasons, more = REFUSED[name]
    conf = site(setting.blue, listeners=TRUSTING, routes=[{"path": "/", "service": "shop", "modules": {name: keys(setting)}}])
    proxy = edge(conf)
    if name == "ratelimit":
        assert proxy.get("/").status == 200
    line = {**more, **({"reason": reasons[0]} if reasons else {})}
    assert proxy.get("/bad", asked).status == more["status"]
    proxy.logged(n=1, **line)
    conf["limits"] = {"header_count": 90}
    proxy.reload(conf)
    assert proxy.get("/bad", asked).status == more["status"]
    proxy.logged(n=2, **line)
    assert proxy.cli("upgrade").code == 0
    if name == "ratelimit":
        assert proxy.get("/").status == 200
    assert proxy.get("/bad", asked).status == more["status"]
    proxy.logged(n=3, **line)


def test_a_reload_asks_nobody_for_keys_that_are_known(edge, setting):
    conf, proxy = start(edge, setting, "jwt")
    with proxy.connect() as c:
        assert jwt_works(setting, c)
        asked = setting.helper.count
        conf["limits"] = {"header_count": 90}
        proxy.reload(conf)
        assert jwt_works(setting, c) and setting.helper.count <= max(asked, 2)  # once for each worker, whenever that was


def test_a_reload_keeps_what_was_spent_of_a_limit_and_an_upgrade_does_not(edge, setting):
    conf = site(setting.blue, modules={"ratelimit": {"rules": {"all": {"rate": 3, "per": "1h"}}}})
    proxy = edge(conf)
    assert [proxy.get("/").status for _ in range(4)] == [200, 200, 200, 429]
    conf["limits"] = {"header_count": 90}
    proxy.reload(conf)
    assert proxy.get("/").status == 429
    assert proxy.cli("upgrade").code == 0
    assert proxy.get("/").status == 200
