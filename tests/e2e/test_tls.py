"""TLS towards clients and towards backends."""
import contextlib
import re
import signal
import socket
import ssl
import subprocess
import time

import pytest
from cryptography import x509

from support.config import http, https, site
from support.http1 import Client, Closed
from support.openssl import Session
from support.wire import PATIENCE, eventually


@pytest.fixture
def shop(origin):
    return origin("shop")


@pytest.fixture
def secure(edge, shop, acme_cert):
    return edge(site(shop, listeners={"https": https(acme_cert), "http": http()}))


def names_of(sock):
    cert = x509.load_der_x509_certificate(sock.getpeercert(binary_form=True))
    return cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)


# -- certificates --

def test_sni_chooses_the_certificate(edge, shop, pki, tmp_path):
    first, exact, wild = pki.server("default.test"), pki.server("www.acme.test"), pki.server("*.acme.test")
    filed = pki.server("filed.test")
    directory = tmp_path / "certs"
    directory.mkdir()
    (directory / "filed.pem").write_bytes(filed.cert_file.read_bytes())
    (directory / "filed.key").write_bytes(filed.key_file.read_bytes())
    proxy = edge(site(shop, hosts=["*"], listeners={"https": https(first, wild, exact, tls={"directory": str(directory)})}))
    anybody = pki.client_context(verify=False)
    for sni, names in (("www.acme.test", ["www.acme.test"]), ("WWW.acme.test", ["www.acme.test"]), ("shop.acme.test", ["*.acme.test"]),
                       ("filed.test", ["filed.test"]), ("unknown.test", ["default.test"]), ("a.b.acme.test", ["default.test"]),
                       (None, ["default.test"])):
        with proxy.connect("https", tls=anybody, sni=sni) as c:
            assert names_of(c.sock) == names, sni


def test_the_chain_verifies_and_the_request_is_https(secure, shop, pki):
    with secure.connect("https", tls=pki.client_context(), sni="acme.test") as c:
        assert c.get("/").body == b"shop"
    assert shop.last.header("x-forwarded-proto") == "https" and "proto=https" in shop.last.header("forwarded")
    record = secure.logged()
    assert record["scheme"] == "https" and "TLSv1.3" in str(record["tls"])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_work(secure, pki, version):
    with secure.connect("https", tls=pki.client_context(version=version), sni="acme.test") as c:
        assert c.get("/").status == 200


@pytest.mark.parametrize("conf, version", [("1.2", ssl.TLSVersion.TLSv1_1), ("1.3", ssl.TLSVersion.TLSv1_2)])
def test_older_than_min_version_is_refused(edge, shop, pki, acme_cert, conf, version):
    proxy = edge(site(shop, listeners={"https": https(acme_cert, tls={"min_version": conf})}))
    ctx = pki.client_context(version=version)
    ctx.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, OSError)):
        proxy.connect("https", tls=ctx, sni="acme.test")
    assert shop.count == 0


def test_alpn_prefers_h2_and_refuses_what_nobody_shares(secure, pki):
    for offered, got in ((("h2", "http/1.1"), "h2"), (("http/1.1", "h2"), "h2"), (("http/1.1",), "http/1.1"), (None, None)):
        with secure.connect("https", tls=pki.client_context(offered), sni="acme.test") as c:
            assert c.sock.selected_alpn_protocol() == got
    with pytest.raises((ssl.SSLError, OSError)):
        secure.connect("https", tls=pki.client_context(("spdy/3",)), sni="acme.test")


def test_an_ocsp_answer_is_stapled(edge, shop, pki, tmp_path):
    pair = pki.server("acme.test")
    staple = pki.ocsp_response(pair, tmp_path / "acme.ocsp")
    proxy = edge(site(shop, listeners={"https": https(pair.conf(ocsp=staple))}))
    p = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % proxy.address("https"), "-servername", "acme.test", "-status"],
        input=b"", capture_output=True, timeout=PATIENCE * 2)
    assert b"OCSP Response Status: successful" in p.stdout and b"Cert Status: good" in p.stdout


# -- sessions --

def resume(proxy, ctx, sni, session=None, request=True):
    """(session reused?, the session to go on with)"""
    raw = socket.create_connection(proxy.address("https"), timeout=PATIENCE)
    with ctx.wrap_socket(raw, server_hostname=sni, session=session) as s:
        if request:
            s.sendall(f"GET / HTTP/1.1\r\nHost: {sni}\r\nConnection: close\r\n\r\n".encode())
            while s.recv(65536):
                pass
        return s.session_reused, s.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_on_whichever_worker(secure, pki, version):
    ctx = pki.client_context(version=version)
    reused, session = resume(secure, ctx, "acme.test")
    assert not reused and session.has_ticket
    assert [resume(secure, ctx, "acme.test", session)[0] for _ in range(8)] == [True] * 8


def test_sessions_survive_a_reload_that_does_not_touch_the_certificate(secure, pki, shop, acme_cert):
    ctx = pki.client_context()
    _, session = resume(secure, ctx, "acme.test")
    secure.reload(site(shop, listeners={"https": https(acme_cert), "http": http()}, limits={"header_count": 77}))
    assert resume(secure, ctx, "acme.test", session)[0]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_of_one_tenant_is_no_session_of_another(edge, origin, pki, version):
    """OpenSSL would resume it in the default context before SNI is looked at: the other tenant would be let in by the first one's ticket."""
    both = pki.server("acme.test", "other.test")
    conf = site(origin("acme"), hosts=["acme.test"], listeners={"https": https(both)})
    conf["tenants"]["other"] = site(origin("other"), hosts=["other.test"])["tenants"]["acme"]
    proxy = edge(conf)
    ctx = pki.client_context(version=version)
    _, session = resume(proxy, ctx, "acme.test")
    reused, _ = resume(proxy, ctx, "other.test", session)
    assert not reused
    assert resume(proxy, ctx, "acme.test", session)[0]


def test_early_data_is_off(secure):
    s = Session(secure.address("https"), "acme.test")
    s.write(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
    assert s.read().startswith(b"HTTP/1.1 200")
    assert s.max_early_data() == 0
    s.close()


# -- client certificates --

def mtls(pki, cert, auth):
    return {"https": https(cert, tls={"client_ca": pki.file, "client_auth": auth})}


def test_a_required_client_certificate_is_required(edge, shop, pki, stranger, acme_cert):
    proxy = edge(site(shop, listeners=mtls(pki, acme_cert, "required")))
    for pair in (None, stranger.client("mallory")):
        try:
            with proxy.connect("https", tls=pki.client_context(pair=pair), sni="acme.test") as c:
                assert c.get("/").status == 400  # TLS 1.3 clients learn of it only after their handshake
        except (ssl.SSLError, OSError, Closed):
            pass
    assert shop.count == 0
    with proxy.connect("https", tls=pki.client_context(pair=pki.client("alice")), sni="acme.test") as c:
        assert c.get("/").status == 200
    assert "alice" in shop.last.header("x-client-cert-subject")


def test_an_optional_client_certificate_is_passed_on_and_cannot_be_spoofed(edge, shop, pki, acme_cert):
    proxy = edge(site(shop, listeners=mtls(pki, acme_cert, "optional")))
    spoof = [("X-Client-Cert-Subject", "CN=root"), ("x-client-cert-subject", "CN=admin")]
    with proxy.connect("https", tls=pki.client_context(), sni="acme.test") as c:
        assert c.get("/", spoof).status == 200
    assert "x-client-cert-subject" not in shop.last.headers
    with proxy.connect("https", tls=pki.client_context(pair=pki.client("alice")), sni="acme.test") as c:
        assert c.get("/", spoof).status == 200
    assert shop.last.headers.all("x-client-cert-subject") == ["CN=alice"]


def test_the_subject_header_is_removed_on_every_listener(secure, shop, pki):
    """A backend believes it wherever the request came in."""
    secure.get("/", {"X-Client-Cert-Subject": "CN=root"})
    assert "x-client-cert-subject" not in shop.last.headers


# -- tenants, redirects, HSTS --

def test_a_connection_serves_its_own_tenant_only(edge, origin, pki):
    both = pki.server("acme.test", "*.acme.test", "other.test")
    other = origin("other")
    conf = site(origin("acme"), listeners={"https": https(both)})
    conf["tenants"]["other"] = site(other, hosts=["other.test"])["tenants"]["acme"]
    proxy = edge(conf)
    with proxy.connect("https", tls=pki.client_context(), sni="acme.test") as c:
        assert c.get("/", host="www.acme.test").status == 200
        assert c.get("/", host="other.test").status == 421
        assert c.get("/", host="acme.test").status == 200
    with proxy.connect2("https", tls=pki.client_context(("h2",)), sni="acme.test") as c:
        assert c.get("/", authority="other.test").status == 421
        assert c.get("/", authority="acme.test").status == 200
    assert other.count == 0
    assert proxy.logged(status=421)["reason"] == "misdirected"


def test_redirect_https_sends_everything_over(edge, shop, acme_cert):
    proxy = edge(site(shop, listeners={"http": http(redirect_https=True), "https": https(acme_cert)}))
    r = proxy.get("/a/b?c=d", host="www.acme.test:8080")
    assert r.status in (301, 308) and re.fullmatch(r"https://www\.acme\.test(:443)?/a/b\?c=d", r.header("location"))
    assert proxy.request("POST", "/", body=b"x").status in (307, 308, 301)
    assert shop.count == 0


def test_hsts_is_sent_on_tls_and_replaces_the_backends_own(edge, shop, pki, acme_cert):
    proxy = edge(site(shop, listeners={"http": http(), "https": https(acme_cert, hsts="max-age=31536000; includeSubDomains")}))
    with proxy.connect("https", tls=pki.client_context(), sni="acme.test") as c:
        assert c.get("/").headers.all("strict-transport-security") == ["max-age=31536000; includeSubDomains"]
    assert "strict-transport-security" not in proxy.get("/").headers


def test_hsts_is_on_answers_of_weirs_own_too(edge, shop, pki, acme_cert):
    proxy = edge(site(shop, listeners={"http": http(), "https": https(acme_cert, hsts="max-age=60")}, routes=[
        {"path": "/", "service": "shop"}, {"path": "/go", "redirect": {"to": "/there"}}, {"path": "/gone", "modules": {"respond": {"status": 410}}},
        {"path": "/shut", "service": "shop", "modules": {"maintenance": {}}}]))
    with proxy.connect("https", tls=pki.client_context(), sni="acme.test") as c:
        for path, status in ("/go", 308), ("/gone", 410), ("/shut", 503):
            r = c.get(path)
            assert (r.status, r.headers.all("strict-transport-security")) == (status, ["max-age=60"]), path
    assert "strict-transport-security" not in proxy.get("/go").headers


# -- abuse --

def test_plain_http_on_the_tls_port_gets_400_or_an_alert_and_is_closed(secure, shop):
    with Client(secure.address("https")) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        raw = c.until_closed()
    assert raw.startswith((b"HTTP/1.1 400 ", b"\x15")) or raw == b""
    assert shop.count == 0


def test_renegotiation_is_refused(secure):
    s = Session(secure.address("https"), "acme.test", tls_1_2=True)
    assert not s.renegotiate()
    s.close()
    assert secure.get("/").status == 200


def test_a_key_update_flood_is_stopped(secure):
    s = Session(secure.address("https"), "acme.test")
    for i in range(5_000):
        if not s.key_update():
            break
    else:
        s.write(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        assert s.read() == b"", "5,000 KeyUpdates were borne"
    s.close()
    assert secure.get("/").status == 200


@pytest.mark.slow
def test_a_handshake_of_one_byte_at_a_time_ends_at_the_deadline(edge, shop, acme_cert):
    proxy = edge(site(shop, listeners={"https": https(acme_cert)}, timeouts={"client_header": "1s"}))
    started = time.monotonic()
    with Client(proxy.address("https")) as c:
        for byte in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200:
            if not c.try_send(bytes([byte])):
                break
            c.sock.settimeout(0.1)
            try:
                if not c.sock.recv(1000):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    assert 0.8 < time.monotonic() - started < 1 + PATIENCE / 2


def test_odd_server_names_make_one_valid_log_line(secure, pki):
    ctx = pki.client_context(verify=False)
    for sni in ("a" * 63 + ".test", "xn--nxasmq6b.test", "under_score.test"):
        with secure.connect("https", tls=ctx, sni=sni) as c:
            assert c.get("/", host=sni).status in (404, 421)
    eventually(lambda: len(secure.access_log()) >= 3, "the log lines")


# -- towards backends --

@pytest.fixture
def backend(origin, pki):
    """A TLS backend that knows what SNI it was asked for."""
    def start(pair=None, **kw):
        ctx = pki.server_context(pair or pki.server("shop.internal"), **kw)
        seen = []
        ctx.sni_callback = lambda sock, name, _: seen.append(name)
        o = origin("shop", tls=ctx)
        o.sni = seen
        return o
    return start


def to_tls(**tls):
    return {"protocol": "http1", "tls": {"server_name": "shop.internal", **tls}, "retries": {"attempts": 1}}


def test_a_backend_is_verified_and_named(edge, backend, pki):
    shop = backend()
    assert edge(site(shop, service=to_tls(ca=pki.file))).get("/").body == b"shop"
    assert shop.sni == ["shop.internal"]


@pytest.mark.parametrize("fault", ["another name", "another authority", "expired", "not yet valid"])
def test_a_bad_backend_certificate_is_502_and_no_byte_of_the_request_leaves(edge, backend, pki, stranger, fault):
    pair, words = {
        "another name": lambda: (pki.server("someone.else"), "hostname mismatch"),
        "another authority": lambda: (stranger.server("shop.internal"), "unable to get local issuer certificate"),
        "expired": lambda: (pki.server("shop.internal", days=(-9, -1)), "certificate has expired"),
        "not yet valid": lambda: (pki.server("shop.internal", days=(2, 9)), "certificate is not yet valid")}[fault]()
    shop = backend(pair)
    proxy = edge(site(shop, service=to_tls(ca=pki.file)))
    assert proxy.request("POST", "/", body=b"secret").status == 502
    assert shop.count == 0 and shop.received() == b""
    assert proxy.logged()["reason"] == "upstream_tls_verify"
    event = proxy.wait_event("connection_failed", side="backend")
    assert (event["backend"], event["reason"], event["error"]) == (f"acme/shop/blue/{shop}", "upstream_tls_verify", words)


def test_failed_handshakes_of_clients_are_told_at_debug_level_and_a_flood_of_them_is_not(edge, origin, pki):
    proxy = edge(site(origin("shop"), listeners={"https": https(pki.server("acme.test"))}, log={"events": {"level": "debug"}}), workers=1)
    with pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(socket.create_connection(proxy.address("https")), server_hostname="acme.test")
    event = proxy.wait_event("connection_failed")
    assert (event["side"], event["listener"], event["reason"], event["level"]) == ("client", "https", "client_tls", "debug")
    assert event["peer"].startswith("127.0.0.1:") and "unknown ca" in event["error"]
    flood = 100
    for _ in range(flood):
        with socket.create_connection(proxy.address("https")) as garbage, contextlib.suppress(ConnectionError):
            garbage.sendall(b"\x00" * 100)
            while garbage.recv(1000):
                pass
    assert len(proxy.events("connection_failed")) < flood / 2


def test_verification_may_be_switched_off(edge, backend, stranger):
    assert edge(site(backend(stranger.server("who.ever")), service=to_tls(verify=False))).get("/").status == 200


def test_the_systems_authorities_are_the_default(edge, backend):
    shop = backend()
    assert edge(site(shop, service=to_tls())).get("/").status == 502
    assert shop.received() == b""


def test_weir_shows_its_client_certificate(edge, origin, pki):
    me = pki.client("weir")
    shop = origin("shop", tls=pki.server_context(pki.server("shop.internal"), client_ca=pki.file))
    anonymous = edge(site(shop, service=to_tls(ca=pki.file)))
    assert anonymous.get("/").status == 502
    proxy = edge(site(shop, service=to_tls(ca=pki.file, cert=str(me.cert_file), key=str(me.key_file))))
    assert proxy.get("/").body == b"shop"


def test_a_backend_that_speaks_plain_where_tls_is_due_is_502(edge, origin, pki):
    def answer_in_plain(sock):
        sock.recv(1)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    shop = origin("plain", prelude=answer_in_plain)
    proxy = edge(site(shop, service=to_tls(ca=pki.file)))
    assert proxy.get("/").status == 502
    assert proxy.logged()["reason"] in ("upstream_tls", "upstream_tls_verify")
    assert shop.count == 0


def test_stopping_with_handshakes_half_done_is_clean(secure):
    half = [Client(secure.address("https")) for _ in range(5)]
    for c in half:
        c.send(b"\x16\x03\x01\x00")
    secure.signal(signal.SIGTERM)
    assert secure.wait_exit() == 0
    for c in half:
        c.close()
