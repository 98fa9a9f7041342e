"""Module geo: where clients are, for backends, routes, rules and pools; databases that are replaced and damaged."""
import json
import subprocess

import maxminddb
import pytest

from support import mmdb, proxy_protocol
from support.config import http, pool, site
from support.edge import run
from support.http1 import build
from support.message import pairs
from support.prometheus import scrape
from support.wire import eventually

BERLIN, PARIS, SIX, NOWHERE = "192.0.2.7", "198.51.100.7", "2001:db8::7", "203.0.113.9"
PLACES = {
    "192.0.2.0/24": mmdb.place("DE", "BE", {"en": "Berlin", "fr": "Berlin-sur-Spree"}),
    "192.0.2.128/25": mmdb.place("DE", "HH", "Hamburg"),
    "198.51.100.0/24": mmdb.place("FR", city="Besançon"),
    "2001:db8::/32": mmdb.place("SE"),
}
NETWORKS = {"192.0.2.0/24": mmdb.place(asn=64496, org="Example Net"), "2001:db8::/32": mmdb.place(asn=4200000001)}
TRUSTING = {"http": http(underscore_headers="pass", trusted_proxies=["127.0.0.0/8"])}


@pytest.fixture
def places(tmp_path):
    return mmdb.write(tmp_path / "places.mmdb", PLACES)


@pytest.fixture
def networks(tmp_path):
    return mmdb.write(tmp_path / "networks.mmdb", NETWORKS)


def from_(address, *more):
    return [("X-Forwarded-For", address), *more]


def geo_headers(request):
    return {name.lower(): value for name, value in pairs(request.headers) if name.lower().replace("_", "-").startswith("x-geo")}


def country(blue):
    return blue.requests[-1].header("x-geo-country")


# -- the writer --

@pytest.mark.parametrize("size", [24, 28, 32])
@pytest.mark.parametrize("version", [4, 6])
def test_others_read_the_databases_of_these_tests(tmp_path, size, version):
    records = {n: r for n, r in {**PLACES, **{k: {**PLACES.get(k, {}), **v} for k, v in NETWORKS.items()}}.items() if version == 6 or ":" not in n}
    path = mmdb.write(tmp_path / "some.mmdb", records, record_size=size, ip_version=version)
    with maxminddb.open_database(str(path)) as db:
        assert db.get(BERLIN) == records["192.0.2.0/24"] and db.get("192.0.2.129")["city"]["names"]["en"] == "Hamburg"
        assert db.get(NOWHERE) is None
    looked_up = subprocess.run(["mmdblookup", "--file", path, "--ip", BERLIN, "city", "names", "en"], capture_output=True, text=True)
    assert '"Berlin"' in looked_up.stdout, looked_up


# -- what backends are told --

def test_a_backend_is_told_where_the_client_of_a_trusted_proxy_is(edge, origin, places, networks):
    blue = origin("blue")
    proxy = edge(site(blue, listeners=TRUSTING, modules={"geo": {"database": str(places), "asn_database": str(networks)}}))
    assert proxy.get("/", headers=from_(BERLIN)).status == 200
    assert geo_headers(blue.requests[-1]) == {"x-geo-country": "DE", "x-geo-subdivision": "BE", "x-geo-city": "Berlin", "x-geo-asn": "64496",
                                              "x-geo-org": "Example Net"}
    proxy.get("/", headers=from_("192.0.2.200"))
    assert blue.requests[-1].header("x-geo-city") == "Hamburg"
    proxy.get("/", headers=from_(SIX))
    assert geo_headers(blue.requests[-1]) == {"x-geo-country": "SE", "x-geo-asn": "4200000001"}
    record = proxy.logged(geo_country="DE", geo_city="Berlin")
    assert (record["geo_subdivision"], record["geo_asn"]) == ("BE", "64496")


@pytest.mark.parametrize("header", [proxy_protocol.v1, proxy_protocol.v2])
@pytest.mark.parametrize("source, to, where", [(BERLIN, "203.0.113.1", "DE"), (SIX, "2001:db8::1", "SE")])
def test_a_backend_is_told_where_the_client_of_the_proxy_protocol_is(edge, origin, places, header, source, to, where):
    blue = origin("blue")
    proxy = edge(site(blue, listeners={"http": http(proxy_protocol=True, trusted_proxies=["127.0.0.0/8"])}, modules={"geo": str(places)}))
    c = proxy.connect()
    c.send(header(source, to=to) + build("GET", "/", [("X-Geo-Country", "US")]))
    assert c.response().status == 200
    assert geo_headers(blue.requests[-1])["x-geo-country"] == where


SPOOFS = [("X-Geo-Country", "US"), ("x-geo-country", "US"), ("X_Geo_Country", "US"), ("X-GEO-City", "Springfield"), ("X-Geo-Asn", "1"),
          ("X-Geo-Anything", "x")]


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("address, where", [(BERLIN, "DE"), (NOWHERE, None)])
def test_what_a_client_says_of_where_it_is_never_reaches_a_backend(edge, origin, places, trusted, address, where):
    blue = origin("blue")
    proxy = edge(site(blue, listeners=TRUSTING if trusted else {"http": http(underscore_headers="pass")}, modules={"geo": str(places)}))
    assert proxy.get("/", headers=from_(address, *SPOOFS)).status == 200
    told = geo_headers(blue.requests[-1])
    assert told.get("x-geo-country") == (where if trusted else None)
    assert not {"US", "Springfield", "1", "x"} & set(told.values())
    with proxy.connect2() as c:
        assert c.request("GET", "/", headers=from_(address, ("x-geo-country", "US"))).status == 200
    assert country(blue) == (where if trusted else None)


def test_nor_does_what_it_says_in_trailers(edge, origin, places):
    blue = origin("blue")
    proxy = edge(site(blue, listeners=TRUSTING, modules={"geo": str(places)}))
    said = [("x-geo-country", "US"), ("x_geo_city", "Springfield"), ("x-sum", "1")]
    with proxy.connect() as c:
        c.send(build("POST", "/", from_(BERLIN), b"hello", chunked=True, trailers=said))
        assert c.response().status == 200
    with proxy.connect2() as c:
        assert c.request("POST", "/", headers=from_(BERLIN), body=b"hello", trailers=said).status == 200
    assert [(r.body, geo_headers(r)["x-geo-country"], [n for n, _ in r.trailers]) for r in blue.requests] == [(b"hello", "DE", ["x-sum"])] * 2


def test_cities_are_named_in_the_language_that_is_asked_for(edge, origin, places):
    blue = origin("blue")
    proxy = edge(site(blue, listeners=TRUSTING, modules={"geo": {"database": str(places), "language": "fr"}}))
    proxy.get("/", headers=from_(BERLIN))
    assert blue.requests[-1].header("x-geo-city") == "Berlin-sur-Spree"


# -- rules --

def test_countries_are_let_in_and_turned_away(edge, origin, places):
    rules = {"database": str(places), "deny": ["FR"]}
    routes = [{"path": "/", "service": "shop"}, {"path": "/open", "service": "shop", "modules": {"geo": "off"}},
              {"path": "/home", "service": "shop", "modules": {"geo": {"database": str(places), "allow": ["DE", "ZZ"]}}}]
    proxy = edge(site(origin("blue"), listeners=TRUSTING, modules={"geo": rules}, routes=routes))

    def status(path, address):
        return proxy.get(path, headers=from_(address)).status
    assert [status("/", a) for a in (BERLIN, PARIS, SIX, NOWHERE)] == [200, 403, 200, 200]
    assert [status("/home", a) for a in (BERLIN, PARIS, SIX, NOWHERE)] == [200, 403, 403, 200]
    assert status("/open", PARIS) == 200
    proxy.logged(n=2, status=403, reason="geo_denied", geo_country="FR")
    proxy.logged(n=1, status=403, reason="geo_denied", geo_country="SE")


def test_a_tenant_and_a_route_take_the_databases_of_the_level_around_them(edge, origin, places, networks):
    blue = origin("blue")
    routes = [{"path": "/", "service": "shop"}, {"path": "/home", "service": "shop", "modules": {"geo": {"allow": ["DE"]}}}]
    proxy = edge(site(blue, listeners=TRUSTING, modules={"geo": {"database": str(places), "asn_database": str(networks)}},
                      tenant={"modules": {"geo": {"deny": ["FR"]}}}, routes=routes))

    def status(path, address):
        return proxy.get(path, headers=from_(address)).status
    assert [status("/", a) for a in (BERLIN, PARIS, SIX)] == [200, 403, 200]
    assert [status("/home", a) for a in (BERLIN, PARIS, SIX)] == [200, 403, 403]
    assert geo_headers(blue.requests[-1])["x-geo-asn"] == "64496"


def test_a_route_takes_the_database_of_the_top_level_over_a_tenant_that_has_geo_off(edge, origin, places):
    routes = [{"path": "/", "service": "shop"}, {"path": "/home", "service": "shop", "modules": {"geo": {"allow": ["DE"]}}}]
    proxy = edge(site(origin("blue"), listeners=TRUSTING, tenant={"modules": {"geo": "off"}}, routes=routes, modules={"geo": str(places)}))
    assert [proxy.get(path, headers=from_(PARIS)).status for path in ("/", "/home")] == [200, 403]


@pytest.mark.parametrize("top", [{}, {"modules": {"geo": "off"}}])
def test_without_a_database_anywhere_geo_is_a_mistake(tmp_path, top):
    file = tmp_path / "weir.yaml"
    file.write_text(json.dumps(site("127.0.0.1:1", listeners=TRUSTING, tenant={"modules": {"geo": {"deny": ["FR"]}}}, **top)))
    out = run("check", "-c", file)
    assert out.code == 1 and 'module "geo" needs "database", here or at a wider level' in out.err


def test_routes_and_pools_are_chosen_by_country(edge, origin, places):
    blue, green, french = origin("blue"), origin("green"), origin("french")
    services = {"shop": {"pools": {"blue": pool(blue, weight=100), "green": pool(green, weight=0)}}, "french": {"pools": {"blue": pool(french)}}}
    routes = [{"path": "/", "service": "shop"}, {"path": "/", "headers": {"X-Geo-Country": "FR"}, "service": "french"}]
    proxy = edge(site(services=services, routes=routes, listeners=TRUSTING, modules={"geo": {"database": str(places), "pools": {"DE": "green", "SE": "none"}}}))
    for address, who in ((BERLIN, green), (PARIS, french), (SIX, blue), (NOWHERE, blue)):
        before = len(who.requests)
        assert proxy.get("/", headers=from_(address, ("X-Geo-Country", "FR"))).status == 200
        assert len(who.requests) == before + 1, address


def test_explain_goes_the_way_of_a_client_of_that_country(edge, origin, places):
    services = {"shop": {"pools": {"blue": pool(origin("blue"))}}, "french": {"pools": {"blue": pool(origin("french"))}}}
    geo = {"database": str(places), "deny": ["SE"]}
    routes = [{"path": "/", "service": "shop", "modules": {"fault": {"abort": {"share": "1%"}}}}, {"path": "/", "headers": {"X-Geo-Country": "FR"}, "service": "french"}]
    proxy = edge(site(services=services, routes=routes, modules={"geo": geo}, tenant={"modules": {"maintenance": {"allow": ["192.0.2.0/24"]}}}))
    for ask in (run, proxy.cli):
        offline = ["-c", proxy.file] if ask is run else []
        found = ask("explain", "http://acme.test/", *offline, "--json", "--ip", PARIS, "-H", "X-Geo-Country: DE").json()
        assert found["service"] == "acme/french"
        found = ask("explain", "http://acme.test/", *offline, "--json", "--ip", BERLIN).json()
        assert found["service"] == "acme/shop"
        assert [(m["name"], m["level"]) for m in found["modules"]] == [("geo", "global"), ("maintenance", "tenant"), ("fault", "route")]
        assert found["modules"][0]["text"] == "the client is in DE, Berlin" and found["modules"][1]["text"] == "the client may pass"
        told = ask("explain", "http://acme.test/", *offline, "--ip", SIX).out
        assert "module    geo, of the top level: the client is in SE: turned away by deny\n" in told and "split" not in told
        assert told.endswith("service   acme/shop\nanswer    403: module geo does not let the client's country in\n")
        refused = ask("explain", "http://acme.test/", *offline, "--json", "--ip", SIX)
        assert (refused.code, refused.json()["status"], refused.json()["reason"]) == (1, 403, "geo_denied")
        assert "module    maintenance, of the tenant: the client is turned away\n" in told


def test_explain_follows_the_choice_of_a_pool_by_country(edge, origin, places):
    pools = {"blue": pool(origin("blue"), weight=100), "green": pool(origin("green"), weight=0)}
    geo = {"database": str(places), "pools": {"DE": "green"}}
    conf = site(services={"shop": {"pools": pools, "split": {"override": {"header": "X-Pool"}}}}, modules={"geo": geo})
    proxy = edge(conf)

    def split(ask, address, *more):
        found = ask("explain", "http://acme.test/", "--json", "--ip", address, *more).json()
        return found["split"]["why"], found["pool"], [p["name"] for p in found["pools"] if p["candidate"]]
    for ask in (lambda *a: run(*a, "-c", proxy.file), proxy.cli):
        assert split(ask, BERLIN) == ("module", "green", ["green"])
        assert split(ask, SIX) == ("turn", None, ["blue"])
        assert split(ask, BERLIN, "-H", "X-Pool: blue") == ("override", "blue", ["blue"])
    assert proxy.cli("pool", "acme/shop/green", "--state", "closed").code == 0
    assert split(proxy.cli, BERLIN) == ("turn", None, ["blue"])


@pytest.mark.parametrize("level, code, says", [
    ("route", 1, 'there is no pool "gren" in service "shop"'), ("tenant", 1, 'there is no pool "gren" in tenant "acme"'),
    ("top", 0, 'warning: module "geo": there is no pool "gren" in any service')])
def test_a_pool_that_is_nowhere_is_a_mistake(tmp_path, places, level, code, says):
    geo = {"modules": {"geo": {"database": str(places), "pools": {"DE": "blue", "SE": "gren"}}}}
    conf = site("127.0.0.1:1", listeners=TRUSTING, routes=[{"path": "/", "service": "shop", **(geo if level == "route" else {})}],
                tenant=geo if level == "tenant" else None, **(geo if level == "top" else {}))
    file = tmp_path / "weir.yaml"
    file.write_text(json.dumps(conf))
    out = run("check", "-c", file)
    assert out.code == code and says in out.out + out.err and '"blue"' not in out.out + out.err


# -- databases that change --

def told_country(proxy, blue, address=BERLIN):
    assert proxy.get("/", headers=from_(address)).status == 200
    return country(blue)


def test_a_database_that_is_replaced_is_followed_without_a_reload(edge, origin, places):
    blue = origin("blue")
    proxy = edge(site(blue, listeners=TRUSTING, modules={"geo": str(places)}))
    assert told_country(proxy, blue) == "DE"
    mmdb.write(places, {"192.0.2.0/24": mmdb.place("AT")})
    eventually(lambda: told_country(proxy, blue) == "AT", "the new database")
    assert proxy.wait_event("module_files")["modules"] == ["geo"]
    assert len(proxy.events("reload")) == 0


def test_requests_are_counted_by_country_and_a_new_database_goes_on_counting(edge, origin, places):
    blue = origin("blue")
    routes = [{"path": "/", "service": "shop"}, {"path": "/deep", "service": "shop", "modules": {"geo": {"database": str(places), "deny": ["FR"]}}}]
    proxy = edge(site(blue, listeners=TRUSTING, routes=routes, modules={"geo": str(places)}))

    def counted(country, n):
        return [v for _, v in scrape(proxy).all("weir_module_events_total", module="geo", what=country, event="requests")] == [n]
    for address, path in [(BERLIN, "/"), (BERLIN, "/deep"), (PARIS, "/deep"), (PARIS, "/"), (PARIS, "/")]:
        proxy.get(path, headers=from_(address))
    eventually(lambda: counted("DE", 2), "two from Germany, at one place")
    eventually(lambda: counted("FR", 3), "three from France, turned away or not")
    mmdb.write(places, {"192.0.2.0/24": mmdb.place("AT")})
    eventually(lambda: told_country(proxy, blue) == "AT", "the new database")
    eventually(lambda: counted("FR", 3), "what was counted before")


def test_a_broken_database_is_refused_and_the_old_one_kept(edge, origin, places):
    blue = origin("blue")
    conf = site(blue, listeners=TRUSTING, modules={"geo": str(places)})
    proxy = edge(conf)
    good = places.read_bytes()
    assert told_country(proxy, blue) == "DE"
    places.write_bytes(good[:len(good) // 2])  # in place, and shorter
    event = proxy.wait_event("module_files", outcome="refused")
    assert "places.mmdb" in json.dumps(event["errors"])
    assert [told_country(proxy, blue, a) for a in (BERLIN, PARIS, "192.0.2.99")] == ["DE", "FR", "DE"]
    proxy.reload(conf, outcome="refused")
    assert told_country(proxy, blue, "192.0.2.98") == "DE"
    mmdb.write(places, {"192.0.2.0/24": mmdb.place("AT")})
    eventually(lambda: told_country(proxy, blue) == "AT", "the mended database")
    proxy.reload(conf, outcome="unchanged")
    places.unlink()
    proxy.wait_event("module_files", n=2, outcome="refused")
    assert told_country(proxy, blue, "192.0.2.97") == "AT"


def test_a_reload_takes_another_database_and_requests_that_wait_keep_theirs(edge, origin, places, tmp_path):
    blue = origin("blue")
    conf = site(blue, listeners=TRUSTING, modules={"geo": str(places), "fault": {"delay": {"share": "100%", "for": "400ms"}}})
    proxy = edge(conf)
    c = proxy.connect()
    c.send(build("GET", "/", from_(BERLIN)))
    other = mmdb.write(tmp_path / "other.mmdb", {"192.0.2.0/24": mmdb.place("AT")})
    conf["modules"] = {"geo": str(other)}
    proxy.reload(conf)
    assert c.response().status == 200
    assert told_country(proxy, blue) == "AT"
    assert sorted(r.header("x-geo-country") for r in blue.requests) == ["AT", "DE"]


@pytest.mark.parametrize("content, why", [(b"", "no database"), (b"<html>not found</html>", "no database"), (None, "cannot read")])
def test_what_is_no_database_is_an_error_of_the_configuration(tmp_path, content, why):
    if content is not None:
        (tmp_path / "x.mmdb").write_bytes(content)
    (tmp_path / "weir.yaml").write_text("listeners: {http: {address: '127.0.0.1:0'}}\nmodules: {geo: {database: x.mmdb}}\n")
    r = run("check", "-c", tmp_path / "weir.yaml")
    assert r.code == 1 and why in r.err and "weir.yaml:2:" in r.err


def test_garbage_in_a_database_harms_nobody(edge, origin, tmp_path):
    blue = origin("blue")
    path = mmdb.write(tmp_path / "places.mmdb", {**PLACES, NOWHERE: {"country": {"iso_code": "x\r\nx: y"}, "city": {"names": {"en": "a\r\nb"}}, "subdivisions": "none"}})
    proxy = edge(site(blue, listeners=TRUSTING, modules={"geo": str(path)}))
    assert proxy.get("/", headers=from_(NOWHERE)).status == 200
    assert geo_headers(blue.requests[-1]) == {}
    good = path.read_bytes()
    for at in range(0, len(good), max(1, len(good) // 40)):
        path.write_bytes(good[:at] + b"\xff" + good[at + 1:])
        if run("check", "-c", proxy.file).code == 0:
            proxy.reload(proxy.conf, outcome=None)
            assert all(proxy.get("/", headers=from_(a)).status == 200 for a in (BERLIN, PARIS, SIX, NOWHERE))
