"""Module ratelimit: exact over all workers, each client for itself, told to clients and to the log."""
import time

import pytest

from support.config import http, site
from support.edge import run
from support.load import Load
from support.prometheus import scrape
from support.wire import eventually

FEW = {"rate": 4, "per": "1h"}


def limited(origin, by=("address",), level="top", routes=None, trusted=True, **rule):
    modules = {"ratelimit": {"rules": {"few": {**FEW, "by": list(by), **rule}}}}
    conf = site(origin, routes=routes, **({"modules": modules} if level == "top" else {}))
    if level == "tenant":
        conf["tenants"]["acme"]["modules"] = modules
    if trusted:
        conf["listeners"] = {"http": http(trusted_proxies=["127.0.0.0/8"])}
    return conf


def statuses(proxy, n, path="/", headers=(), host="acme.test"):
    return [proxy.get(path, headers=headers, host=host).status for _ in range(n)]


def passed(*args, **kw):
    return statuses(*args, **kw).count(200)


def test_a_client_gets_its_burst_over_all_workers(edge, origin):
    blue = origin()
    proxy = edge(limited(blue), workers=2)
    assert passed(proxy, 30) == blue.count == 4
    r = proxy.logged(n=26, status=429, reason="rate_limited")
    assert r["ratelimit"] == "few"
    assert scrape(proxy).value("weir_module_events_total", module="ratelimit", place="", what="few", event="refused") == 26


def test_tokens_come_back(edge, origin):
    proxy = edge(limited(origin(), rate=1, per="200ms", burst=2))
    assert passed(proxy, 2) == 2
    seen = []
    end = time.monotonic() + 10
    while 200 not in seen and time.monotonic() < end:
        seen += statuses(proxy, 1)
    assert 200 in seen


def test_clients_are_told_what_is_left_and_when_to_come_back(edge, origin):
    proxy = edge(limited(origin(), rate=2, per="1h"))
    r = proxy.get("/")
    assert r.header("ratelimit-policy") == '"few";q=2;w=3600' and r.header("ratelimit").startswith('"few";r=1;t=1')
    proxy.get("/")
    r = proxy.get("/")
    assert r.status == 429 and r.header("x-weir-reason") == "rate_limited"
    assert r.header("ratelimit").startswith('"few";r=0;t=') and 1700 < int(r.header("retry-after")) <= 1800


def test_clients_can_be_told_nothing(edge, origin):
    conf = limited(origin())
    conf["modules"]["ratelimit"]["headers"] = False
    r = edge(conf).get("/")
    assert r.header("ratelimit") is None and r.header("ratelimit-policy") is None


def test_one_ipv6_network_is_one_client(edge, origin):
    proxy = edge(limited(origin()))

    def ask(address, n):
        return passed(proxy, n, headers={"X-Forwarded-For": address})
    assert ask("2001:db8:1:2::1", 3) == 3 and ask("2001:db8:1:2:ffff::9", 3) == 1
    assert ask("2001:db8:1:3::1", 6) == 4
    assert ask("192.0.2.1", 6) == 4 and ask("192.0.2.2", 6) == 4


@pytest.mark.parametrize("by, same, other", [
    (["header:X-Key"], {"X-Key": "a"}, {"X-Key": "b"}),
    (["header:X-Key"], {"X-Key": "k" * 4000 + "a"}, {"X-Key": "k" * 4000 + "b"}),
    (["header:X-Key", "header:X-App"], {"X-Key": "k" * 600, "X-App": "a"}, {"X-Key": "k" * 600, "X-App": "b"}),
    (["country"], {"X-Geo-Country": "DE"}, {"X-Geo-Country": "FR"}),
    (["address", "header:X-Key"], {"X-Key": "a", "X-Forwarded-For": "192.0.2.1"}, {"X-Key": "a", "X-Forwarded-For": "192.0.2.2"}),
])
def test_a_rule_counts_by_what_it_says(edge, origin, by, same, other):
    proxy = edge(limited(origin(), by=by))
    assert passed(proxy, 6, headers=same) == 4
    assert passed(proxy, 6, headers=other) == 4
    assert passed(proxy, 1, headers=same) == 0


def test_a_rule_by_tenant_and_one_by_route(edge, origin):
    blue = origin()
    conf = limited(blue, by=["tenant"], routes=[{"path": "/", "service": "shop"}, {"path": "/api", "service": "shop"}])
    conf["tenants"]["other"] = {"hosts": ["other.test"], "services": {"shop": {"pools": {"blue": {"backends": [str(blue)]}}}}}
    proxy = edge(conf)
    assert passed(proxy, 6) == 4 and passed(proxy, 6, host="other.test") == 4
    conf["modules"]["ratelimit"]["rules"]["few"]["by"] = ["route"]
    proxy.reload(conf)
    assert passed(proxy, 6) == 4 and passed(proxy, 6, path="/api") == 4


def test_an_empty_list_counts_everybody_together(edge, origin):
    proxy = edge(limited(origin(), by=[]))
    assert sum(passed(proxy, 1, headers={"X-Forwarded-For": f"192.0.2.{i}"}) for i in range(8)) == 4


def test_all_rules_must_be_kept_and_the_refused_count_for_none(edge, origin):
    conf = limited(origin())
    rules = conf["modules"]["ratelimit"]["rules"]
    rules.clear()
    rules |= {"all": {"rate": 5, "per": "1h", "by": []}, "each": {"rate": 2, "per": "1h", "by": ["address"]}}
    proxy = edge(conf)
    assert passed(proxy, 6, headers={"X-Forwarded-For": "192.0.2.1"}) == 2
    assert passed(proxy, 6, headers={"X-Forwarded-For": "192.0.2.2"}) == 2
    assert passed(proxy, 6, headers={"X-Forwarded-For": "192.0.2.3"}) == 1
    proxy.logged(n=8, ratelimit="each")
    proxy.logged(n=5, ratelimit="all")


def test_a_dry_run_refuses_nobody_and_tells_of_it(edge, origin):
    proxy = edge(limited(origin(), dry_run=True))
    assert passed(proxy, 10) == 10
    assert proxy.logged(n=6, ratelimit_dry_run="few")["status"] == 200
    assert proxy.get("/").header("ratelimit") is None
    assert scrape(proxy).value("weir_module_events_total", module="ratelimit", event="would_refuse") == 7


def test_a_route_can_have_a_limit_of_its_own_or_none(edge, origin):
    routes = [{"path": "/", "service": "shop"}, {"path": "/static", "service": "shop", "modules": {"ratelimit": "off"}},
              {"path": "/login", "service": "shop", "modules": {"ratelimit": {"rules": {"login": {"rate": 1, "per": "1h", "by": ["address"]}}}}}]
    proxy = edge(limited(origin(), level="tenant", routes=routes))
    assert passed(proxy, 6) == 4
    assert passed(proxy, 6, path="/static") == 6
    assert passed(proxy, 6, path="/login") == 1


def test_a_reload_keeps_what_was_used(edge, origin):
    blue = origin()
    proxy = edge(limited(blue))
    assert passed(proxy, 3) == 3
    proxy.reload(limited(blue, per="61m"))
    assert passed(proxy, 6) == 1
    proxy.reload(limited(blue, per="61m", by=["address", "route"]))
    assert passed(proxy, 6) == 4


@pytest.mark.parametrize("more", [{}, {"hosts": ["acme.test"]}, {"methods": ["GET"]}])
def test_what_was_used_stays_with_its_route_wherever_that_stands(edge, origin, more):
    blue = origin()

    def conf(*paths):
        rule = {"modules": {"ratelimit": {"rules": {"few": {**FEW, "by": ["address"]}}}}}
        return site(blue, routes=[{"path": p, "service": "shop", **({**rule, **more} if p != "/new" else {})} for p in paths])
    proxy = edge(conf("/a", "/b"))
    assert passed(proxy, 5, "/a") == 4 and passed(proxy, 1, "/b") == 1
    proxy.reload(conf("/new", "/b", "/a"))
    assert passed(proxy, 1, "/a") == 0 and passed(proxy, 5, "/b") == 3
    proxy.reload(conf("/c", "/a"))
    assert passed(proxy, 1, "/a") == 0 and passed(proxy, 5, "/c") == 4
    places = {labels["place"] for labels, _ in scrape(proxy).all("weir_module_events_total")}
    assert {p.split("#")[0] for p in places} == {"acme/a", "acme/c"} and all(("#" in p) == bool(more) for p in places)


def test_explain_says_what_a_client_has_left(edge, origin):
    proxy = edge(limited(origin()))

    def says(address, *more):
        return proxy.cli("explain", "http://acme.test/", "--ip", address, *more, "--json").json()["modules"][0]["text"]
    assert says("192.0.2.1") == "few: 4 in 1h, 4 at once, by address"
    assert passed(proxy, 3, headers={"X-Forwarded-For": "192.0.2.1"}) == 3
    assert says("192.0.2.1") == "few: 4 in 1h, 4 at once, by address, has 1 left"
    assert passed(proxy, 2, headers={"X-Forwarded-For": "192.0.2.1"}) == 1
    assert says("192.0.2.1") == says("192.0.2.1") == "few: 4 in 1h, 4 at once, by address, has none left"
    assert says("192.0.2.2") == "few: 4 in 1h, 4 at once, by address"


def test_whoever_has_used_up_a_small_limit_waits_no_longer_than_a_larger_one_wants(edge, origin):
    blue = origin()
    proxy = edge(limited(blue))
    assert passed(proxy, 5) == 4
    proxy.reload(limited(blue, rate=72000, burst=10))  # 50 ms each
    assert int(proxy.get("/").header("retry-after") or 0) <= 1
    eventually(lambda: passed(proxy, 1), "a token of the new rate")


def test_reloads_under_load_disturb_nobody(edge, origin):
    blue = origin()
    proxy = edge(limited(blue, rate=1000000, per="1s"))
    with Load(proxy.address()) as load:
        for i in range(4):
            load.wait_more(50)
            proxy.reload(limited(blue, rate=1000000 + i + 1, per="1s", by=["address", "route"][: 1 + i % 2]))
        load.wait_more(50)
    assert not load.failures


@pytest.mark.parametrize("modules, says", [
    ({"ratelimit": {}}, '"rules" is missing'),
    ({"ratelimit": {"rules": {"few": {}}}}, '"rate" is missing'),
    ({"ratelimit": {"rules": {"few": {"rate": 1, "by": ["adress"]}}}}, "must be tenant, address, route, country or header:NAME"),
    ({"ratelimit": {"rules": {"few": {"rate": 0}}}}, '"rate" must be'),
    ({"ratelimit": {"rules": {f"r{i}": {"rate": 1} for i in range(17)}}}, "17 rules"),
])
def test_mistakes_are_explained(tmp_path, modules, says):
    import yaml
    file = tmp_path / "weir.yaml"
    file.write_text(yaml.safe_dump({"listeners": {"http": {"address": "127.0.0.1:1"}}, **site("127.0.0.1:2"), "modules": modules}))
    out = run("check", "-c", file)
    assert out.code != 0 and says in out.err + out.out
