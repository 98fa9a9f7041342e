"""Backend stickiness: a cookie brings a client back to the backend that served it, as long as that one can."""
import re

import pytest

from support.answers import reply
from support.config import https, pool, site
from support.wire import eventually

TOKEN = re.compile(r"[A-Za-z0-9_-]{16}")


@pytest.fixture
def three(origin):
    return [origin(name) for name in "abc"]


def sticky(*backends, stick=None, **service):
    return site(*backends, service={"balance": "round_robin", "stick": {"cookie": "at", **(stick or {})}, **service})


def token(response, name="at"):
    """What the client is told to send from now on; None: nothing new."""
    found = [v for n, v in response.headers if n.lower() == "set-cookie" and v.startswith(name + "=")]
    assert len(found) <= 1
    return found[0].split(";")[0][len(name) + 1:] if found else None


def test_a_client_comes_back_to_its_backend_and_is_told_once(edge, three):
    proxy = edge(sticky(*three), workers=2)
    for _ in range(4):
        first = proxy.get("/")
        mine = token(first)
        assert TOKEN.fullmatch(mine)
        for i in range(8):  # over connections that any worker may take
            r = proxy.get(f"/{i}", {"Cookie": f"other=1; at={mine}"})
            assert r.body == first.body and token(r) is None


def test_new_clients_are_spread_and_each_backend_has_one_name(edge, three):
    proxy = edge(sticky(*three))
    names = {}
    for _ in range(60):
        r = proxy.get("/")
        names.setdefault(r.body, set()).add(token(r))
    assert len(names) == 3 and all(len(n) == 1 for n in names.values())


def test_the_cookie_gives_nothing_away_and_scripts_cannot_read_it(edge, three, pki, acme_cert):
    conf = sticky(*three, stick={"ttl": "1h", "path": "/app"})
    proxy = edge({**conf, "listeners": {"http": {"address": "127.0.0.1:0"}, "https": https(acme_cert)}})
    plain = proxy.get("/app").header("set-cookie")
    assert re.fullmatch(r"at=[A-Za-z0-9_-]{16}; Path=/app; Max-Age=3600; HttpOnly; SameSite=Lax", plain), plain
    assert not any(str(o.port) in plain for o in three)
    with proxy.connect("https", tls=pki.client_context(("http/1.1",)), sni="acme.test") as c:
        assert c.get("/app", host="acme.test").header("set-cookie").endswith("; HttpOnly; SameSite=Lax; Secure")


def test_over_http_2_too(edge, three):
    proxy = edge(sticky(*three))
    with proxy.connect2() as c:
        first = c.response(c.start(path="/"))
        headers = [("cookie", f"at={token(first)}")]
        assert {c.response(c.start(path="/", headers=headers)).body for _ in range(8)} == {first.body}


@pytest.mark.parametrize("garbage", ["", "x", "127.0.0.1:9001", "A" * 16, "A" * 4000, "%00" * 5 + "x", '"quoted"', "=" * 16])
def test_garbage_is_balanced_like_a_new_client(edge, three, garbage):
    proxy = edge(sticky(*three))
    answers = [proxy.get("/", {"Cookie": f"at={garbage}"}) for _ in range(12)]
    assert len({r.body for r in answers}) == 3 and all(TOKEN.fullmatch(token(r)) for r in answers)


def test_when_the_backend_is_gone_another_one_takes_over_and_says_so(edge, three):
    health = {"http": {"path": "/healthz"}, "interval": "100ms", "rise": 1, "fall": 1}
    proxy = edge(sticky(*three, health=health))
    proxy.wait_event("health", 3, to="up")
    first = proxy.get("/")
    mine, gone = token(first), next(o for o in three if o.name.encode() == first.body)
    gone.on("/healthz", reply(503, "ill"))
    proxy.wait_event("health", to="down")
    second = proxy.get("/", {"Cookie": f"at={mine}"})
    other = token(second)
    assert second.body != first.body and other not in (None, mine)
    gone.on("/healthz", reply(200, "well"))
    proxy.wait_event("health", 4, to="up")
    # The client stays where it went; who still has the old cookie goes back.
    assert proxy.get("/", {"Cookie": f"at={other}"}).body == second.body
    assert proxy.get("/", {"Cookie": f"at={mine}"}).body == first.body


def test_a_retry_elsewhere_moves_the_client(edge, three):
    proxy = edge(sticky(*three, retries={"attempts": 2, "budget": "100%"}))
    first = proxy.get("/")
    mine, gone = token(first), next(o for o in three if o.name.encode() == first.body)
    gone.close()
    second = proxy.get("/", {"Cookie": f"at={mine}"})
    assert second.status == 200 and token(second) not in (None, mine)
    assert proxy.get("/", {"Cookie": f"at={token(second)}"}).body == second.body


def test_it_survives_a_reload_and_with_a_secret_a_restart(edge, three):
    conf = sticky(*three)
    proxy = edge(conf)
    first = proxy.get("/")
    proxy.reload({**conf, "timeouts": {"connect": "2s"}})
    again = proxy.get("/", {"Cookie": f"at={token(first)}"})
    assert again.body == first.body and token(again) is None
    secret = sticky(*three, stick={"secret": "correct horse battery staple"})
    one, other = edge(secret), edge(secret)
    first = one.get("/")
    again = other.get("/", {"Cookie": f"at={token(first)}"})
    assert again.body == first.body and token(again) is None


def test_with_sticky_pools_each_pool_has_names_of_its_own(edge, origin):
    blue, green = [origin(f"b{i}") for i in range(2)], [origin(f"g{i}") for i in range(2)]

    def conf(*weights):
        pools = {"blue": pool(*blue, weight=weights[0]), "green": pool(*green, weight=weights[1])}
        return site(pools=pools, service={"split": {"sticky": "cookie"}, "stick": {"cookie": "at"}, "balance": "round_robin"})
    proxy = edge(conf(100, 0))
    first = proxy.get("/")
    user = token(first, "weir_id")
    cookies = f"weir_id={user}; at={token(first)}"
    assert {proxy.get("/", {"Cookie": cookies}).body for _ in range(6)} == {first.body}
    proxy.reload(conf(0, 100))
    moved = proxy.get("/", {"Cookie": cookies})
    assert moved.body in (b"g0", b"g1") and token(moved)
    cookies = f"weir_id={user}; at={token(moved)}"
    assert {proxy.get("/", {"Cookie": cookies}).body for _ in range(6)} == {moved.body}


def test_an_application_that_breaks_keeps_its_clients(edge, three):
    """An error of the backend's own is an answer like any other: who is logged in there stays there."""
    for o in three:
        o.on("/broken", reply(500, o.name))
    proxy = edge(sticky(*three))
    first = proxy.get("/")
    r = proxy.get("/broken", {"Cookie": f"at={token(first)}"})
    assert (r.status, r.body, token(r)) == (500, first.body, None)
    eventually(lambda: len(proxy.access_log()) == 2, "both in the log")
