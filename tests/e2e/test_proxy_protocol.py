"""PROXY protocol v1 and v2, from a load balancer in front and to the backends."""
import pytest

from support import proxy_protocol as pp
from support.config import http, https, site
from support.http1 import Client, build
from support.wire import PATIENCE


@pytest.fixture
def shop(origin):
    return origin("shop")


def behind(shop, trusted=("127.0.0.0/8",), **keys):
    return site(shop, listeners={"http": http(proxy_protocol=True, trusted_proxies=list(trusted), **keys)})


HEADERS = {
    "v1 over IPv4": (pp.v1("198.51.100.7"), "198.51.100.7"),
    "v1 over IPv6": (pp.v1("2001:db8::7", to="2001:db8::1"), "2001:db8::7"),
    "v1 UNKNOWN": (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    "v1 UNKNOWN with more": (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "127.0.0.1"),
    "v2 over IPv4": (pp.v2("198.51.100.7"), "198.51.100.7"),
    "v2 over IPv6": (pp.v2("2001:db8::7", to="2001:db8::1"), "2001:db8::7"),
    "v2 LOCAL": (pp.v2(command=0), "127.0.0.1"),
    "v2 with TLVs": (pp.v2("198.51.100.7", tlvs=b"\x04\x00\x02ab\x05\x00\x03xyz"), "198.51.100.7"),
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("bytewise", [False, True], ids=["at once", "byte by byte"])
def test_the_client_is_who_the_header_says(edge, shop, name, bytewise):
    header, client = HEADERS[name]
    proxy = edge(behind(shop))
    with proxy.connect() as c:
        if bytewise:
            c.dribble(header + build("GET", "/"))
        else:
            c.send(header + build("GET", "/"))
        assert c.response().status == 200
        assert c.get("/second").status == 200
    assert [r.header("x-forwarded-for").split(",")[0].strip() for r in shop.requests] == [client] * 2
    assert client in proxy.logged(path="/second")["client"]


MALFORMED = {
    "no header": b"",
    "a header of another version": b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
    "an address that is none": b"PROXY TCP4 1.2.3.400 1.2.3.4 1 2\r\n",
    "a port too big": b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
    "too few words": b"PROXY TCP4 1.2.3.4\r\n",
    "a bare LF": b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
    "a line beyond 107 bytes": b"PROXY TCP4 " + b"1" * 200 + b"\r\n",
    "v2 with a bad command": pp.v2(command=2),
    "v2 of version 3": pp.SIGNATURE + b"\x31\x11\x00\x0c" + b"\0" * 12,
    "v2 that is too short for its family": pp.SIGNATURE + b"\x21\x11\x00\x04" + b"\0" * 4,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_or_missing_header_closes_the_connection(edge, shop, name):
    proxy = edge(behind(shop))
    with proxy.connect() as c:
        c.try_send(MALFORMED[name] + build("GET", "/"))
        assert b" 200 " not in c.until_closed()
    assert shop.count == 0


def test_who_is_not_trusted_is_closed_with_or_without_a_header(edge, shop):
    proxy = edge(behind(shop, trusted=["192.0.2.0/24"]))
    for start in (pp.v1(), pp.v2(), b""):
        with proxy.connect() as c:
            c.try_send(start + build("GET", "/"))
            assert b" 200 " not in c.until_closed()
    assert shop.count == 0


def test_a_header_where_none_is_due_is_a_bad_request(edge, shop):
    with edge(site(shop)).connect() as c:
        c.try_send(pp.v1() + build("GET", "/"))
        assert c.until_closed().startswith(b"HTTP/1.1 400 ")
    assert shop.count == 0


def test_before_tls(edge, shop, pki, acme_cert):
    proxy = edge(site(shop, listeners={"https": https(acme_cert, proxy_protocol=True, trusted_proxies=["127.0.0.1"])}))
    with Client(proxy.address("https"), tls=pki.client_context(), sni="acme.test", prelude=pp.v2("198.51.100.7")) as c:
        assert c.get("/").status == 200
    assert shop.last.header("x-forwarded-for").startswith("198.51.100.7")


def test_before_http_2(edge, shop):
    proxy = edge(behind(shop))
    with proxy.connect2(prelude=pp.v1("198.51.100.7")) as c:
        assert c.get("/").status == 200
    assert shop.last.header("x-forwarded-for").startswith("198.51.100.7")


@pytest.mark.slow
def test_a_header_that_never_comes_ends_at_the_deadline(edge, shop):
    conf = behind(shop)
    conf["timeouts"] = {"client_header": "500ms"}
    with edge(conf).connect() as c:
        c.send(b"PROXY TCP4 1.2")
        c.until_closed()
    assert shop.count == 0


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_backends_are_told_who_asks(edge, origin, version):
    shop = origin("shop", prelude=pp.read)
    proxy = edge(site(shop, service={"proxy_protocol": version}))
    with proxy.connect() as c:
        local = c.sock.getsockname()
        for _ in range(3):
            assert c.get("/").status == 200
    assert shop.preludes and all(p == (int(version[1]), "127.0.0.1", local[1]) for p in shop.preludes)


def test_a_connection_to_a_backend_is_not_shared_between_clients_that_it_names(edge, origin):
    """The header names one client: another's request on that connection would be taken for the first one's."""
    shop = origin("shop", prelude=pp.read)
    front = edge(site(shop, service={"proxy_protocol": "v2"}, listeners={"http": http(proxy_protocol=True, trusted_proxies=["127.0.0.1"])}),
        workers=1)
    for client in ("198.51.100.1", "198.51.100.2", "198.51.100.1"):
        with Client(front.address(), prelude=pp.v1(client), patience=PATIENCE) as c:
            assert c.get("/").status == 200
    named = [shop.preludes[r.connection][1] for r in shop.requests]
    assert named == ["198.51.100.1", "198.51.100.2", "198.51.100.1"]
