"""weir weights, pool, backends: what a deploy pipeline types."""
import pytest

from support.config import pool, site
from support.wire import eventually


@pytest.fixture
def proxy(edge, origin):
    return edge(site(pools={"blue": pool(origin("blue"), weight=90), "green": pool(origin("green"), weight=10)}))


def done(r, code=0):
    assert r.code == code, (r.code, r.out, r.err)
    return r


def test_weights_are_shown_and_set(proxy):
    shown = done(proxy.cli("weights", "acme/shop")).out
    assert "version 1\n" in shown and "90.0%" in shown and "10.0%" in shown
    changed = done(proxy.cli("weights", "acme/shop", "blue=0", "green=100", "--reason", "all of it", "--author", "ci")).out
    assert changed.startswith("changed, version 2\n") and "the file says 90" in changed
    assert proxy.get("/").body == b"green"
    event = proxy.wait_event("runtime_changed")
    assert event["reason"] == "all of it" and event["author"].startswith("ci (uid:")
    assert done(proxy.cli("weights", "acme/shop", "blue=0", "green=100")).out.startswith("unchanged, version 2\n")
    assert done(proxy.cli("weights", "acme/shop", "--reset")).out.startswith("changed, version 3\n")
    assert done(proxy.cli("weights", "acme/shop", "--json")).json()["pools"]["blue"]["effective_weight"] == 90


def test_a_version_that_is_over_is_exit_status_4(proxy):
    done(proxy.cli("weights", "acme/shop", "green=20", "--if-version", "1"))
    r = done(proxy.cli("weights", "acme/shop", "green=30", "--if-version", "1"), 4)
    assert "its version is 2" in r.err
    assert "--if-version takes a number" in done(proxy.cli("weights", "acme/shop", "green=30", "--if-version", "one"), 2).err


def test_a_lease_is_shown(proxy):
    assert "lease: the weights go back in " in done(proxy.cli("weights", "acme/shop", "green=20", "--lease", "60s")).out


@pytest.mark.parametrize("arguments, code, says", [
    (["weights"], 2, "of which service"),
    (["weights", "acme"], 2, "TENANT/SERVICE"),
    (["weights", "acme/shop/green"], 2, "TENANT/SERVICE"),
    (["weights", "acme/shpo"], 1, "did you mean acme/shop"),
    (["weights", "acme/shop", "green"], 2, "POOL=NUMBER"),
    (["weights", "acme/shop", "green=ten"], 2, "POOL=NUMBER"),
    (["weights", "acme/shop", "gren=1"], 1, 'did you mean "green"'),
    (["weights", "acme/shop", "green=99999999999"], 1, "from 0 to 1000000"),
    (["weights", "acme/shop", "blue=0", "green=0"], 1, "force"),
    (["weights", "acme/shop", "blue=1", "--reset"], 2, "takes no weights"),
    (["weights", "acme/shop", "green=1", "--reason", b"caf\xe9"], 2, "the value of --reason is not text in UTF-8"),
    (["weights", "acme/shop", b"gr\xfcn=1"], 2, "argument 2 is not text in UTF-8"),
    (["backends", "acme/shop/green", "set", b"\xff:1"], 2, "argument 3 is not text in UTF-8"),
    (["pool", "acme/shop"], 2, "TENANT/SERVICE/POOL"),
    (["pool", "acme/shop/green", "--state", "shut"], 1, "open, pinned, draining or closed"),
    (["backends", "acme/shop/green", "swap", "127.0.0.1:1"], 2, "none of set, add, remove"),
    (["backends", "acme/shop/green", "set"], 2, "which backends"),
    (["backends", "acme/shop/green", "set", "nonsense"], 1, "address and port"),
    (["backends", "acme/shop/green", "remove", "127.0.0.1:1"], 1, "has no backend"),
])
def test_what_cannot_be_is_said_with_what_to_do(proxy, arguments, code, says):
    assert says in done(proxy.cli(*arguments), code).err


def test_a_pool_is_closed_and_opened(proxy):
    assert "closed (set at run time)" in done(proxy.cli("pool", "acme/shop/green", "--state", "closed")).out
    assert {proxy.get("/").body for _ in range(30)} == {b"blue"}
    assert "open, " in done(proxy.cli("pool", "acme/shop/green", "--state", "file")).out
    assert "open, " in done(proxy.cli("pool", "acme/shop/green")).out


def test_backends_are_set_and_waited_for(edge, origin, refused_port):
    blue, other = origin("blue"), origin("other")
    health = {"tcp": {}, "interval": "100ms", "timeout": "1s", "fall": 1}
    proxy = edge(site(pools={"blue": pool(blue)}, service={"health": health}))
    r = done(proxy.cli("backends", "acme/shop/blue", "set", str(other), "--wait"))
    assert str(other) in r.out and " up" in r.out
    assert proxy.get("/").body == b"other"
    r = done(proxy.cli("backends", "acme/shop/blue", "add", str(refused_port), "--wait", "--timeout", "1s"), 3)
    assert "not all of them are up" in r.err
    done(proxy.cli("backends", "acme/shop/blue", "remove", str(refused_port)))
    done(proxy.cli("backends", "acme/shop/blue", "reset"))
    eventually(lambda: proxy.get("/").body == b"blue", "the file's backend")
    assert str(blue) in done(proxy.cli("backends", "acme/shop/blue")).out
