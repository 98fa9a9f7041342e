"""Backends that are found: by names, SRV records, lists in files. Whatever happens to those who tell, requests go on."""
import collections
import json
import os

import pytest

from support.answers import reply
from support.config import pool, site
from support.dns import AAAA, Dns
from support.load import Load
from support.origin import Origin
from support.prometheus import scrape
from support.wire import PATIENCE, eventually, listen

NAME = "app.internal.test"
QUICK = {"timeout": "200ms", "attempts": 2}


@pytest.fixture
def dns(started):
    server = Dns()
    started.append(server)
    return server


@pytest.fixture
def fleet(started):
    """fleet(3): origins named by their address, 127.9.0.1 and on, all on one port, as the hosts behind a name are."""
    def start(n, **kw):
        while True:
            port = 0
            origins = []
            try:
                for i in range(1, n + 1):
                    origins.append(Origin(f"127.9.0.{i}", address=(f"127.9.0.{i}", port), **kw))
                    port = origins[0].port
                started.extend(origins)
                return origins
            except OSError:  # somebody has that port on one of the addresses
                for o in origins:
                    o.close()
    return start


def found(dns, *entries, **keys):
    return site(pools={"blue": pool(*entries)}, **{"resolver": {"servers": [dns.address], **QUICK}, **keys})


def who(proxy, n=30):
    """Who answers n requests."""
    with proxy.connect() as c:
        return collections.Counter(c.get("/").body.decode() for _ in range(n))


def near(**counts):
    """Turns begin anywhere in their round: one more or less."""
    return pytest.approx(counts, abs=1)


def wait_members(proxy, *members):
    """Until the newest `members` event has made the pool these."""
    want = set(map(str, members))

    def now():
        have = set()
        for e in proxy.events("members"):
            have = have - set(e["removed"]) | set(e["added"])
        return have == want
    eventually(now, lambda: f"members {want}; {proxy.events('members')} {proxy.events('resolve_failed')}")


HEALTH = {"health": {"http": {"path": "/up"}, "interval": "100ms", "timeout": "1s", "fall": 2}, "balance": "round_robin"}


# -- names --

def test_all_addresses_of_a_name_serve(edge, dns, fleet):
    three = fleet(3)
    dns.set(NAME, *(o.host for o in three))
    proxy = edge(found(dns, f"dns:{NAME}:{three[0].port}", service={"balance": "round_robin"}), workers=1)
    assert who(proxy) == near(**{o.name: 10 for o in three})
    assert {r["backend"] for r in proxy.access_log()} <= {str(o) for o in three}
    assert proxy.wait_event("resolved")["source"] == f"dns:{NAME}:{three[0].port}"


def test_the_first_request_waits_for_the_name(edge, dns, fleet):
    [shop] = fleet(1)
    dns.mode = "silent"
    dns.set(NAME, shop.host)
    proxy = edge(found(dns, f"dns:{NAME}:{shop.port}", resolver={"servers": [dns.address], "timeout": "300ms", "attempts": 6}))
    with proxy.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        dns.wait_asked(NAME, 1)  # in vain
        dns.mode = "right"
        assert c.response().status == 200


@pytest.fixture
def waiting(edge, dns, fleet):
    """A request waits for a name that nobody answers for yet: (proxy, its client, what the configuration is made of, the origin)."""
    [shop] = fleet(1)
    dns.mode = "silent"
    dns.set(NAME, shop.host)

    def conf(*entries, n=50):
        return found(dns, *(entries or [f"dns:{NAME}:{shop.port}"]), resolver={"servers": [dns.address], "timeout": "300ms", "attempts": 10},
            limits={"header_count": n}, tenant={"limits": {"concurrent_requests": 100}}, service={"breaker": {"pending_timeout": "120s"}})
    proxy = edge(conf())
    with proxy.connect(patience=PATIENCE * 6) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        eventually(lambda: scrape(proxy).sum("weir_tenant_requests_waiting") == 1, "it to wait")
        yield proxy, c, conf, shop


def test_a_request_that_waits_for_a_name_is_not_lost_to_reloads(waiting, dns):
    proxy, c, conf, shop = waiting
    for n in (60, 70):
        proxy.reload(conf(n=n))
    dns.mode = "right"
    assert c.response().status == 200 and shop.count == 1


def test_a_reload_that_names_another_one_serves_who_waited_for_the_first(waiting):
    proxy, c, conf, shop = waiting
    proxy.reload(conf(str(shop)))
    assert c.response().status == 200


def test_a_reload_without_the_service_tells_who_waited_for_its_names_at_once(waiting):
    proxy, c, conf, shop = waiting
    proxy.reload(site(services={"other": {"pools": {"blue": pool(shop)}}}))
    assert c.response().status == 503
    assert proxy.logged(status=503)["reason"] == "upstream_resolve"


def test_a_name_that_never_resolved_is_503_and_heals(edge, dns, fleet):
    [shop] = fleet(1)
    proxy = edge(found(dns, f"dns:{NAME}:{shop.port}"))
    assert proxy.wait_event("resolve_failed")["backends_kept"] == 0
    eventually(lambda: proxy.get("/").status == 503, "503")
    assert proxy.logged(status=503)["reason"] == "upstream_resolve"
    dns.set(NAME, shop.host)
    eventually(lambda: proxy.get("/").status == 200, "the name to be asked again")


def test_an_address_that_leaves_the_name_takes_no_request_with_it(edge, dns, fleet):
    three = fleet(3)
    dns.set(NAME, *(o.host for o in three))
    proxy = edge(found(dns, f"dns:{NAME}:{three[0].port}"))
    with Load(proxy.address()) as load:
        load.wait_more(200)
        dns.set(NAME, *(o.host for o in three[:2]))
        wait_members(proxy, *three[:2])
        load.wait_more(200)
        eventually(lambda: three[2].open_connections() == 0, "its idle connections to be closed")
        count = three[2].count
        load.wait_more(200)
    assert load.failures == [] and three[2].count == count
    assert not proxy.events("reload")


def test_those_who_stay_keep_their_connections(edge, dns, fleet):
    three = fleet(3)
    dns.set(NAME, three[0].host, three[1].host)
    proxy = edge(found(dns, f"dns:{NAME}:{three[0].port}", service={"balance": "round_robin"}), workers=1)
    who(proxy, 10)
    dns.set(NAME, three[0].host, three[2].host)
    wait_members(proxy, three[0], three[2])
    assert set(who(proxy, 10)) == {three[0].name, three[2].name}
    assert len(three[0].connections) == 1


def test_dns_that_is_gone_is_not_missed(edge, dns, fleet):
    """Several times the time to live: silence, errors, garbage, no such name."""
    two = fleet(2)
    dns.set(NAME, *(o.host for o in two))
    proxy = edge(found(dns, f"dns:{NAME}:{two[0].port}"))
    with Load(proxy.address()) as load:
        load.wait_more(100)
        for mode in ("silent", "servfail", "garbage"):
            dns.mode = mode
            dns.wait_asked(NAME, 3)
            load.wait_more(100)
        dns.mode = "right"
        dns.remove(NAME)
        dns.wait_asked(NAME, 2)
        load.wait_more(100)
    assert load.failures == []
    assert set(who(proxy)) == {o.name for o in two}
    assert proxy.wait_event("resolve_failed")["backends_kept"] == 2


def test_a_family_that_could_not_be_asked_for_stays(edge, dns, started):
    four, six = listen(address=("127.9.0.1", 0)), None
    port = four.getsockname()[1]
    four.close()
    dns.set(NAME, "127.9.0.1", "::1")
    proxy = edge(found(dns, f"dns:{NAME}:{port}"))
    wait_members(proxy, f"127.9.0.1:{port}", f"[::1]:{port}")
    dns.mode = {AAAA: "servfail"}
    dns.wait_asked(NAME, 4, AAAA)
    dns.mode = "right"
    dns.set(NAME, "127.9.0.1")
    wait_members(proxy, f"127.9.0.1:{port}")
    assert [e["removed"] for e in proxy.events("members")] == [[], [f"[::1]:{port}"]]


def test_one_dead_address_of_three_is_out_and_the_others_serve(edge, dns, fleet):
    three = fleet(3)
    dns.set(NAME, *(o.host for o in three))
    proxy = edge(found(dns, f"dns:{NAME}:{three[0].port}", service={**HEALTH, "retries": {"attempts": 3, "budget": "100%"}}))
    proxy.wait_event("health", n=3, to="up")
    three[1].close()
    with Load(proxy.address()) as load:
        proxy.wait_event("health", backend=f"acme/shop/blue/{three[1]}", to="down")
        load.wait_more(100)
    assert load.failures == []
    assert set(who(proxy)) == {three[0].name, three[2].name}


def test_a_new_address_is_checked_before_it_serves(edge, dns, fleet):
    two = fleet(2)
    two[1].on("/up", reply(500, "not yet"))
    dns.set(NAME, two[0].host)
    proxy = edge(found(dns, f"dns:{NAME}:{two[0].port}", service=HEALTH))
    wait_members(proxy, two[0])
    proxy.wait_event("health", to="up")
    dns.set(NAME, *(o.host for o in two))
    wait_members(proxy, *two)
    two[1].wait_count(1)
    assert set(who(proxy)) == {two[0].name}
    two[1].on("/up", reply(200, "now"))
    proxy.wait_event("health", backend=f"acme/shop/blue/{two[1]}", to="up")
    assert set(who(proxy)) == {o.name for o in two}


def test_pools_that_name_the_same_share_the_question(edge, dns, fleet):
    [shop] = fleet(1)
    dns.set(NAME, shop.host, ttl=60)
    entry = f"dns:{NAME}:{shop.port}"
    proxy = edge(site(pools={n: pool(entry, weight=1) for n in ("a", "b", "c")}, resolver={"servers": [dns.address], **QUICK}))
    proxy.wait_event("members", n=3)
    assert who(proxy) == {shop.name: 30} and dns.questions(NAME) == 1


def test_a_long_answer_comes_over_tcp(edge, dns, fleet):
    [shop] = fleet(1)
    dns.truncate = True
    dns.set(NAME, shop.host, *(f"127.9.1.{i}" for i in range(1, 100)))
    proxy = edge(found(dns, f"dns:{NAME}:{shop.port}"))
    assert len(proxy.wait_event("members")["added"]) == 100
    assert ("tcp" in {transport for *_, transport in dns.asked})


def test_the_certificate_is_that_of_the_name(edge, dns, fleet, pki):
    [shop] = fleet(1, tls=pki.server_context(pki.server(NAME)))
    dns.set(NAME, shop.host)
    proxy = edge(found(dns, f"dns:{NAME}:{shop.port}", service={"tls": {"ca": str(pki.file)}}))
    assert proxy.get("/").status == 200


def test_a_reload_moves_to_other_servers_and_other_names(edge, dns, fleet, started):
    two = fleet(2)
    other = Dns()
    started.append(other)
    dns.set(NAME, two[0].host)
    other.set(NAME, two[1].host)
    proxy = edge(found(dns, f"dns:{NAME}:{two[0].port}"))
    assert set(who(proxy)) == {two[0].name}
    proxy.reload(found(other, f"dns:{NAME}:{two[0].port}"))
    wait_members(proxy, two[1])
    assert set(who(proxy)) == {two[1].name}
    with Load(proxy.address()) as load:
        load.wait_more(50)
        other.set("b." + NAME, two[0].host)
        proxy.reload(found(other, f"dns:b.{NAME}:{two[0].port}"))
        load.wait_more(50)
    assert load.failures == [] and set(who(proxy)) == {two[0].name}


# -- SRV records --

def test_srv_records_give_ports_weights_and_priorities(edge, dns, origin):
    a, b, spare = origin("a"), origin("b"), origin("spare")
    dns.set("h1.test", "127.0.0.1")
    dns.set("h2.test", "127.0.0.1")
    srv = "_http._tcp." + NAME
    dns.set_srv(srv, (10, 3, a.port, "h1.test"), (10, 1, b.port, "h2.test"), (20, 1, spare.port, "h1.test"))
    proxy = edge(found(dns, f"srv:{srv}", service={"balance": "round_robin"}), workers=1)
    assert who(proxy, 40) == near(a=30, b=10)
    dns.set_srv(srv, (20, 1, spare.port, "h1.test"))
    wait_members(proxy, spare)
    assert who(proxy, 4) == {"spare": 4}


def test_a_new_srv_target_waits_for_its_address(edge, dns, origin):
    a, b = origin("a"), origin("b")
    srv = "_http._tcp." + NAME
    dns.set("h1.test", "127.0.0.1")
    dns.set_srv(srv, (1, 1, a.port, "h1.test"))
    proxy = edge(found(dns, f"srv:{srv}"))
    with Load(proxy.address()) as load:
        load.wait_more(50)
        dns.set("h2.test", "127.0.0.1")
        dns.set_srv(srv, (1, 1, b.port, "h2.test"))
        wait_members(proxy, b)
        load.wait_more(50)
    assert load.failures == []


# -- files --

def write(path, text):
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


@pytest.fixture
def listed(tmp_path):
    return tmp_path / "app.backends"


def test_a_file_is_followed_without_a_reload(edge, origin, listed):
    a, b, c = origin("a"), origin("b"), origin("c")
    write(listed, f"# by the scheduler\n{a} weight=3\n\n{b}   # the small one\n")
    proxy = edge(site(f"file:{listed}", service={"balance": "round_robin"}), workers=1)
    assert who(proxy, 40) == near(a=30, b=10)
    write(listed, json.dumps([str(b), {"address": str(c), "weight": 2}]))
    wait_members(proxy, b, c)
    assert who(proxy, 30) == near(b=10, c=20)
    listed.write_text(f"- {a}\n- {{address: '{c}', priority: 1}}\n")  # in place
    wait_members(proxy, a, c)
    assert who(proxy, 10) == {"a": 10}


@pytest.mark.parametrize("text, says", [
    ("", "empty"),
    ("127.0.0.1\n", "is not an address"),
    ("127.0.0.1:1 wieght=2\n", "did you mean \"weight\""),
    ("- {address: 127.0.0.1:1", "backends"),
    ("file:other\n", "cannot name another file"),
    ("\0\1\2", "backends"),
])
def test_a_bad_list_is_refused_and_the_last_good_one_stays(edge, shop_file, text, says):
    proxy, listed, shop = shop_file
    write(listed, text)
    event = proxy.wait_event("resolve_failed")
    assert says in event["error"] and event["backends_kept"] == 1
    assert proxy.get("/").body == b"shop"


@pytest.fixture
def shop_file(edge, origin, listed):
    shop = origin("shop")
    write(listed, f"{shop}\n")
    proxy = edge(site(f"file:{listed}"))
    wait_members(proxy, shop)
    return proxy, listed, shop


def test_a_file_that_goes_changes_nothing_and_one_that_comes_back_counts(shop_file, origin):
    proxy, listed, shop = shop_file
    listed.unlink()
    assert "No such file" in proxy.wait_event("resolve_failed")["error"]
    assert proxy.get("/").status == 200
    other = origin("other")
    write(listed, f"{other}\n")
    wait_members(proxy, other)
    assert proxy.get("/").body == b"other"


def test_a_list_of_nobody_says_so(shop_file):
    proxy, listed, shop = shop_file
    write(listed, "[]")
    wait_members(proxy)
    assert proxy.get("/").status == 503
    assert proxy.logged(status=503)["reason"] == "no_backend"


def test_a_file_under_load_loses_no_request(edge, origin, listed):
    a, b = origin("a"), origin("b")
    write(listed, f"{a}\n")
    proxy = edge(site(f"file:{listed}"))
    with Load(proxy.address()) as load:
        for some in ([a, b], [b], [a], [a, b]):
            write(listed, "".join(f"{o}\n" for o in some))
            wait_members(proxy, *some)
            load.wait_more(50)
    assert load.failures == []


def test_a_list_may_hold_names(edge, dns, origin, listed):
    shop = origin("shop")
    dns.set(NAME, "127.0.0.1")
    write(listed, f"dns:{NAME}:{shop.port}\n")
    proxy = edge(found(dns, f"file:{listed}"))
    assert proxy.get("/").body == b"shop"
