"""Mirroring: a copy of requests goes to another pool, and nobody notices."""
import time

from support.answers import Gate, big
from support.config import pool, site
from support.http1 import build
from support.wire import eventually


def mirrored(shop, shadow, share="100%", **keys):
    return {"service": {"mirror": {"pool": "next", "share": share, **keys}}, "pools": {"blue": pool(shop, weight=100), "next": pool(shadow, weight=0)}}


def outcomes(proxy):
    text = proxy.admin("GET", "/metrics").body.decode()
    lines = [line.split() for line in text.splitlines() if line.startswith("weir_mirror_requests_total{")]
    return {name.split('"')[1]: int(float(value)) for name, value in lines}


def test_copies_arrive_as_the_backend_gets_them(edge, origin):
    shop, shadow = origin("shop"), origin("shadow")
    proxy = edge(site(**mirrored(shop, shadow)))
    assert proxy.request("POST", "/cart?x=1", {"X-A": "b"}, b"body").body == b"shop"
    assert proxy.request("POST", "/chunks", body=[b"one", b"two"], chunked=True).body == b"shop"
    with proxy.connect2() as c:
        assert c.get("/two").body == b"shop"
    shadow.wait_count(3)
    by_path = {r.target: r for r in shadow.requests}
    assert set(by_path) == {"/cart?x=1", "/chunks", "/two"}
    cart = by_path["/cart?x=1"]
    assert (cart.method, cart.body, cart.header("x-a"), cart.header("x-weir-mirror")) == ("POST", b"body", "b", "1")
    assert cart.header("x-request-id") and by_path["/chunks"].body == b"onetwo"
    assert all(r.header("x-weir-mirror") is None for r in shop.requests)
    eventually(lambda: outcomes(proxy) == {"answered": 3, "failed": 0, "dropped": 0}, lambda: f"3 answers: {outcomes(proxy)}")
    assert all(r["pool"] == "blue" for r in [proxy.logged(n=3)] + proxy.access_log())


def test_a_target_that_hangs_changes_nothing(edge, origin):
    shop, shadow = origin("shop"), origin("shadow")
    gate = shadow.always(Gate())
    proxy = edge(site(**mirrored(shop, shadow, requests=2, timeout="60s")), workers=1)
    began = time.monotonic()
    for i in range(30):
        assert proxy.get(f"/{i}").body == b"shop"
    assert time.monotonic() - began < 10
    assert shadow.count == 2 and outcomes(proxy)["dropped"] == 28
    gate.open()


def test_a_copy_has_its_own_timeout(edge, origin):
    shop, shadow = origin("shop"), origin("shadow")
    shadow.always(Gate())
    proxy = edge(site(**mirrored(shop, shadow, timeout="200ms")))
    assert proxy.get("/").body == b"shop"
    eventually(lambda: outcomes(proxy)["failed"] == 1, "the copy to be given up")


def test_a_target_that_is_gone_changes_nothing(edge, origin):
    shop, shadow = origin("shop"), origin("shadow")
    proxy = edge(site(**mirrored(shop, shadow)))
    shadow.close()
    for i in range(10):
        assert proxy.get(f"/{i}").body == b"shop"
    eventually(lambda: outcomes(proxy)["failed"] == 10, "the copies to fail")


def test_large_bodies_and_what_breaks_off_are_not_copied(edge, origin):
    shop, shadow = origin("shop"), origin("shadow")
    proxy = edge(site(**mirrored(shop, shadow, body="1KiB")))
    assert proxy.request("POST", "/large", body=b"x" * 2000).body == b"shop"
    assert proxy.request("POST", "/large", body=[b"x" * 600] * 3, chunked=True).body == b"shop"
    with proxy.connect() as c:
        c.send(build("POST", "/broken", {"Content-Length": "100"}) + b"x" * 10)
        eventually(lambda: shop.open_connections() > 0, "the request at the backend")
    assert proxy.get("/whole").body == b"shop"
    shadow.wait_count(1)
    assert [r.target for r in shadow.requests] == ["/whole"]


def test_when_memory_is_short_copies_are_what_is_left_out(edge, origin):
    """Readers who are far behind take up more and more of what weir may use: who asks now is served, and not copied."""
    shop, shadow = origin("shop"), origin("shadow")
    shop.on("/big", big(8_000_000))  # more than all sockets on the way hold
    proxy = edge(site(**mirrored(shop, shadow), limits={"memory": "2MiB"}), workers=1)
    slow = []
    try:
        while not outcomes(proxy)["dropped"]:
            assert len(slow) < 60
            slow.append(proxy.connect())
            slow[-1].send(build("GET", "/big"))
            slow[-1].head()  # and does not read on
            assert proxy.get("/").body == b"shop"
    finally:
        for c in slow:
            c.close()
    before = shadow.count
    eventually(lambda: proxy.get("/").body == b"shop" and shadow.count > before, "copies again")


def test_a_share_is_copied(edge, origin):
    shop, shadow = origin("shop"), origin("shadow")
    proxy = edge(site(**mirrored(shop, shadow, share="50%")))
    with proxy.connect() as c:
        for i in range(400):
            assert c.get(f"/{i}").status == 200
    eventually(lambda: outcomes(proxy)["answered"] == shadow.count, "all answers")
    assert 120 < shadow.count < 280


def test_copies_go_on_through_reloads_and_an_upgrade_as_long_as_they_are_wanted(edge, origin):
    shop, shadow = origin("shop"), origin("shadow")
    conf = site(**mirrored(shop, shadow))
    proxy = edge(conf)

    def copied(path):
        assert proxy.get(path).body == b"shop"
        eventually(lambda: path in [r.target for r in shadow.requests], f"the copy of {path}")

    copied("/first")
    conf["limits"] = {"header_count": 90}
    proxy.reload(conf)
    copied("/reloaded")
    assert proxy.cli("upgrade").code == 0
    copied("/upgraded")
    wanted = conf["tenants"]["acme"]["services"]["shop"].pop("mirror")
    proxy.reload(conf)
    assert proxy.get("/unwanted").body == b"shop"
    conf["tenants"]["acme"]["services"]["shop"]["mirror"] = wanted
    proxy.reload(conf)
    copied("/wanted")
    assert "/unwanted" not in [r.target for r in shadow.requests]


def test_stopping_waits_for_no_copy(edge, origin):
    shop, shadow = origin("shop"), origin("shadow")
    shadow.always(Gate())
    proxy = edge(site(**mirrored(shop, shadow, timeout="60s"), timeouts={"shutdown": "60s"}))
    assert proxy.get("/").body == b"shop"
    shadow.wait_count(1)
    proxy.signal(15)
    assert proxy.wait_exit() == 0


def test_a_pool_that_is_not_there_is_an_error(edge, origin):
    proxy = edge(site(origin("shop")))
    event = proxy.reload(site(origin("shop2"), service={"mirror": {"pool": "next"}}), outcome="refused")
    assert "no pool" in str(event["errors"])
