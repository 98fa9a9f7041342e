"""SIGHUP: what changed is new, what did not is not disturbed, what is broken is refused."""
import os
import signal
import socket
import ssl
import threading

import pytest
from cryptography import x509

from support.answers import Gate, Stepwise, big, pattern, reply
from support.config import http, https, pool, site
from support.edge import SANITIZED
from support.http1 import build
from support.load import Load
from support.modules import build_module
from support.wire import eventually


@pytest.fixture
def blue(origin):
    return origin("blue")


@pytest.fixture
def green(origin):
    return origin("green")


def test_a_new_configuration_serves_new_requests_on_old_connections(edge, blue, green):
    proxy = edge(site(blue))
    with proxy.connect() as h1, proxy.connect2() as h2:
        assert (h1.get("/").body, h2.get("/").body) == (b"blue", b"blue")
        event = proxy.reload(site(green))
        assert (h1.get("/").body, h2.get("/").body) == (b"green", b"green")
    assert event["outcome"] == "applied"
    assert proxy.logged(2, backend=str(green))["generation"] == event["generation"]


def test_generations_count_up_and_an_unchanged_file_is_said_to_be_so(edge, blue):
    proxy = edge(site(blue))
    first = proxy.reload(site(blue, limits={"header_count": 50}))["generation"]
    assert proxy.reload(outcome="unchanged")
    assert proxy.reload(site(blue, limits={"header_count": 51}))["generation"] > first


def test_listeners_on_any_port_are_told_apart_by_their_names(edge, blue, green):
    both = {"one": http(), "two": http()}
    proxy = edge(site(blue, listeners=both))
    before = {name: proxy.address(name) for name in both}
    assert before["one"] != before["two"]
    with proxy.connect("one") as one, proxy.connect("two") as two:
        proxy.reload(site(green, listeners=both))
        assert [c.get("/").body for c in (one, two)] == [b"green", b"green"]
    assert {name: proxy.address(name) for name in both} == before
    proxy.reload(site(green, listeners={"two": http()}))
    assert proxy.get("/", listener="two").status == 200 and proxy.address("two") == before["two"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(before["one"])


def test_what_waits_for_the_next_start_is_said_to_where_it_was_asked_for(edge, blue, green):
    proxy = edge(site(blue), workers=2)
    proxy.configure(site(green, workers=3, user="nobody"))
    said = proxy.cli("reload")
    waits = ["another \"user\" takes effect when weir is started again",
             "3 workers take effect when weir is started again; until then there are 2"]
    assert said.code == 0 and all(f": warning: {w}\n" in said.err for w in waits)
    for kind in "config_warnings", "reload":
        assert {w["message"] for w in proxy.wait_event(kind)["warnings"]} == set(waits)
    assert proxy.get("/").body == b"green"
    assert "warnings" not in proxy.reload(site(green, workers=2, user="nobody"))


# Workers take a configuration on while `file` is there; they say that they have begun by another one beside it.
STALL = r"""
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "exchange/module.h"

struct stall { struct str file; };
static const struct config_field fields[] = {STRING("file", struct stall, file, "that holds workers up", REQUIRED), END};
static const struct config_object object = {
	.id = OBJECT_MODULE, .path = "modules.stall", .what = "stall", .doc = "Holds workers up.", .size = sizeof(struct stall), .fields = fields};

static void *build(struct module_build *b, const void *values)
{
	(void)b;
	return (void *)values;
}

static void *worker_begin(struct loop *l, void *data, uint32_t worker, uint32_t workers)
{
	const struct stall *s = data;
	char held[256], begun[272];

	(void)l; (void)worker; (void)workers;
	snprintf(held, sizeof(held), STR_FMT, STR_ARG(s->file));
	snprintf(begun, sizeof(begun), "%s.begun", held);
	close(open(begun, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	while (access(held, F_OK) == 0)
		usleep(1000);
	return NULL;
}

const struct module weir_module = {
	.config = {.abi = MODULE_ABI, .name = "stall", .levels = MODULE_ANYWHERE, .object = &object}, .build = build, .worker_init = worker_begin};
"""


def test_told_to_stop_while_workers_take_on_a_configuration_it_stops_in_order(edge, blue, green, tmp_path):
    so, held, begun = build_module(tmp_path, STALL, "stall"), tmp_path / "held", tmp_path / "held.begun"
    held.touch()
    proxy = edge(site(blue))
    proxy.configure(site(green, modules={"stall": {"path": str(so), "file": str(held)}}))
    proxy.signal(signal.SIGHUP)
    eventually(begun.exists, "a worker that takes on the configuration")
    proxy.signal(signal.SIGINT)
    proxy.wait_event("stopping")
    held.unlink()  # now that it was told to stop, it hears that the configuration is installed
    assert proxy.wait_exit() == 0
    assert [e["event"] for e in proxy.events()][-2:] == ["stopping", "stopped"]
    assert not proxy.events("reload")


BROKEN = {
    "syntax": "tenants: [unclosed",
    "an unknown key": lambda c: c.update(listners={}),
    "a wrong type": lambda c: c.update(workers="many"),
    "a dangling reference": lambda c: c["tenants"]["acme"].update(routes=[{"path": "/", "service": "nobody"}]),
    "a missing certificate": lambda c: c["listeners"].update(tls=https({"cert": "/no/such.pem", "key": "/no/such.key"})),
    "an empty file": "",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_configuration_is_refused_with_its_errors_and_the_old_one_serves(edge, blue, name):
    conf = site(blue, listeners={"http": http()})
    proxy = edge(conf)
    broken = BROKEN[name]
    if callable(broken):
        changed = proxy.complete(site(blue, listeners={"http": http()}))
        broken(changed)
        broken = changed
    with proxy.connect() as c:
        assert c.get("/").status == 200
        event = proxy.reload(broken, outcome="refused")
        assert event["errors"] and str(proxy.file) in str(event["errors"])
        assert c.get("/").body == b"blue"
    assert proxy.get("/").body == b"blue"
    proxy.reload(site(blue, limits={"header_count": 60}))
    assert proxy.get("/").body == b"blue"


def test_a_busy_port_is_refused_and_nothing_changes(edge, blue, green):
    proxy = edge(site(blue), workers=1)
    assert proxy.get("/").body == b"blue"
    before = proxy.descriptors()
    event = proxy.reload(site(green, listeners={"http": http(), "more": {"address": str(green)}}), outcome="refused")
    assert event["errors"]
    assert proxy.get("/").body == b"blue"
    eventually(lambda: proxy.descriptors() <= before, "what was half opened to be closed")


def test_a_key_that_does_not_belong_to_its_certificate_is_refused(edge, blue, pki):
    one, other = pki.server("acme.test"), pki.server("acme.test")
    proxy = edge(site(blue, listeners={"https": https(one)}))
    proxy.reload(site(blue, listeners={"https": https({"cert": str(one.cert_file), "key": str(other.key_file)})}), outcome="refused")
    with proxy.connect("https", tls=pki.client_context(), sni="acme.test") as c:
        assert c.get("/").status == 200


# -- listeners --

def test_listeners_are_added_kept_and_removed(edge, blue):
    proxy = edge(site(blue, listeners={"one": http(), "two": http()}))
    one, two = proxy.address("one"), proxy.address("two")
    proxy.reload(site(blue, listeners={"two": http(), "three": http()}))
    proxy.wait_event("listening", listener="three")
    with proxy.connect("three") as c:
        assert c.get("/").status == 200
    assert proxy.address("two") == two
    with proxy.connect("two") as c:
        assert c.get("/").status == 200

    def refused():
        with socket.socket() as s:
            return s.connect_ex(one) != 0
    eventually(refused, "the removed listener to be closed")


def test_open_requests_of_a_removed_listener_finish(edge, blue):
    gate = blue.always(Gate())
    timeouts = {"drain": "20s", "shutdown": "5s"}
    proxy = edge(site(blue, listeners={"one": http(), "two": http()}, timeouts=timeouts))
    with proxy.connect("one") as busy, proxy.connect("one") as idle:
        blue.on("/quick", reply(200, b"quick"))
        assert idle.get("/quick").status == 200
        busy.send(build("GET", "/"))
        gate.wait_arrived()
        proxy.reload(site(blue, listeners={"two": http()}, timeouts=timeouts))
        assert idle.expect_close() == "closed"
        gate.open()
        r = busy.response()
        assert r.body == b"through the gate" and r.header("connection").lower() == "close"
        assert busy.expect_close() == "closed"


def test_a_listener_that_does_not_change_keeps_its_connections(edge, blue):
    conf = site(blue, listeners={"http": http()})
    proxy = edge(conf)
    with proxy.connect() as c:
        c.get("/")
        for i in range(10):
            proxy.reload(site(blue, listeners={"http": http()}, limits={"header_count": 50 + i}))
            r = c.get("/")
            assert r.status == 200 and "close" not in r.header("connection", "").lower()


# -- what is in flight --

def test_a_request_in_flight_ends_where_it_began(edge, blue, green):
    gate = blue.always(Gate(reply(200, b"old")))
    proxy = edge(site(blue))
    with proxy.connect() as c:
        c.send(build("GET", "/"))
        gate.wait_arrived()
        proxy.reload(site(green))
        assert proxy.get("/").body == b"green"
        gate.open()
        assert c.response().body == b"old"
        assert c.get("/").body == b"green"


def test_a_removed_tenants_requests_finish(edge, blue, green):
    gate = blue.always(Gate())
    conf = site(green, hosts=["green.test"])
    conf["tenants"]["leaving"] = site(blue, hosts=["leaving.test"])["tenants"]["acme"]
    proxy = edge(conf)
    with proxy.connect() as c:
        c.send(build("GET", "/", host="leaving.test"))
        gate.wait_arrived()
        proxy.reload(site(green, hosts=["green.test"]))
        assert proxy.get("/", host="leaving.test").status == 404
        gate.open()
        assert c.response().status == 200


def test_a_download_goes_on_through_many_reloads(edge, blue):
    parts = [pattern(100_000, i * 100_000) for i in range(20)]
    steps = blue.on("/download", Stepwise(parts, length=2_000_000))
    proxy = edge(site(blue))
    with proxy.connect() as c:
        c.send(build("GET", "/download"))
        for i in range(20):
            steps.step()
            proxy.reload(site(blue, limits={"header_count": 50 + i}))
        steps.step()
        assert c.response().body == pattern(2_000_000)


def test_kept_backend_connections_survive_a_reload(edge, blue, green):
    proxy = edge(site(blue), workers=1)
    assert proxy.get("/").status == 200
    for i in range(5):
        proxy.reload(site(pools={"blue": pool(blue, weight=100), "green": pool(green, weight=0)}, limits={"header_count": 50 + i}))
        assert proxy.get("/").body == b"blue"
    assert len(blue.connections) == 1


def test_connections_to_a_backend_that_is_gone_are_closed(edge, blue, green):
    proxy = edge(site(blue))
    assert proxy.get("/").status == 200
    proxy.reload(site(green))
    eventually(lambda: blue.open_connections() == 0, "connections to the removed backend to be closed")


# -- certificates --

def serial(proxy, pki):
    with proxy.connect("https", tls=pki.client_context(), sni="acme.test") as c:
        return x509.load_der_x509_certificate(c.sock.getpeercert(binary_form=True)).serial_number


def test_a_replaced_certificate_is_shown_to_new_connections_and_old_ones_stay(edge, blue, pki, tmp_path):
    """The files are replaced in place, as certbot does; the configuration itself does not change."""
    old, new = pki.server("acme.test"), pki.server("acme.test")
    cert, key = tmp_path / "acme.pem", tmp_path / "acme.key"

    def install(pair):
        key.write_bytes(pair.key_file.read_bytes())
        cert.write_bytes(pair.cert_file.read_bytes())
    install(old)
    proxy = edge(site(blue, listeners={"https": https({"cert": str(cert), "key": str(key)})}))
    with proxy.connect("https", tls=pki.client_context(), sni="acme.test") as c:
        assert c.get("/").status == 200
        assert serial(proxy, pki) == old.certificate.serial_number
        install(new)
        proxy.reload(outcome="applied")
        eventually(lambda: serial(proxy, pki) == new.certificate.serial_number, "the new certificate")
        assert all(serial(proxy, pki) == new.certificate.serial_number for _ in range(8))
        assert c.get("/").status == 200


def test_certificates_rotate_under_load_without_a_failed_handshake(edge, blue, pki):
    pairs = [pki.server("acme.test") for _ in range(6)]
    proxy = edge(site(blue, listeners={"https": https(pairs[0])}))
    failures, done, stop = [], [0], threading.Event()

    def shake():
        while not stop.is_set():
            try:
                with proxy.connect("https", tls=pki.client_context(), sni="acme.test") as c:
                    assert c.get("/").status == 200
                    done[0] += 1
            except (OSError, ssl.SSLError, AssertionError) as e:
                failures.append(e)
    threads = [threading.Thread(target=shake) for _ in range(2)]
    for t in threads:
        t.start()
    for pair in pairs[1:]:
        so_far = done[0]
        eventually(lambda: done[0] > so_far + 3 or failures, "handshakes")
        proxy.reload(site(blue, listeners={"https": https(pair)}))
    stop.set()
    for t in threads:
        t.join()
    assert not failures and done[0] > 15


# -- under load --

def test_reloads_under_load_fail_no_request(edge, blue, green):
    """HTTP/1 and HTTP/2 clients on kept connections; every reload moves the weights, some are broken."""
    def conf(i):
        return site(pools={"blue": pool(blue, weight=100 - i), "green": pool(green, weight=i)}, listeners={"http": http()})
    proxy = edge(conf(0))
    with Load(proxy.address(), h1=2, h2=2) as load:
        load.wait_more(50)
        for i in range(1, 31):
            if i % 10 == 5:
                proxy.reload("tenants: {", outcome="refused")
            proxy.reload(conf(i))
        load.wait_more(200)
    assert not load.failures
    assert load.done > 250 and set(load.answers) == {b"blue", b"green"}


def test_a_storm_of_sighups_is_coalesced(edge, blue):
    proxy = edge(site(blue))
    pid_before = proxy.pids()
    with Load(proxy.address(), h1=1, h2=1) as load:
        for i in range(200):
            if i % 5 == 0:
                proxy.configure(site(blue, limits={"header_count": 50 + i % 7}))
            proxy.signal(signal.SIGHUP)
        last = site(blue, limits={"header_count": 99})
        proxy.reload(last, outcome=None)
        load.wait_more(50)
    assert not load.failures
    assert len(proxy.events("reload")) <= 201
    assert proxy.pids() == pid_before
    assert proxy.get("/").status == 200


def test_memory_and_descriptors_stay_flat_over_many_reloads(edge, blue):
    proxy = edge(site(blue))

    def round_of(n):
        for i in range(n):
            proxy.reload(site(blue, limits={"header_count": 50 + i % 2}), outcome=None)
            proxy.get("/")
    round_of(20)
    descriptors, memory = proxy.descriptors(), proxy.memory()
    round_of(60)
    eventually(lambda: proxy.descriptors() <= descriptors + 2, lambda: f"{descriptors} sockets, now {proxy.descriptors()}")
    assert SANITIZED or proxy.memory() < memory + 8 * 1024 * 1024


def test_a_slow_upload_spans_a_reload(edge, blue, green):
    blue.always(big(10))
    proxy = edge(site(blue))
    with proxy.connect() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: acme.test\r\nContent-Length: 6\r\n\r\nabc")
        blue.wait_count(1)
        proxy.reload(site(green))
        c.send(b"def")
        assert c.response().body == pattern(10)
    assert blue.last.body == b"abcdef" and green.count == 0


@pytest.mark.parametrize("place", ["config", "certificate", "client_ca", "upstream_ca", "module"])
def test_what_is_no_regular_file_is_refused_and_waited_for_by_nobody(edge, blue, tmp_path, place, pki):
    """A FIFO without a writer: opening it would wait for ever."""
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    own = pki.server("shop.test")
    broken = {"config": lambda: site(blue, include=[fifo]),
              "certificate": lambda: site(blue, listeners={"http": http(), "https": https({**own.conf(), "cert": fifo})}),
              "client_ca": lambda: site(blue, listeners={"http": http(), "https": https(own, tls={"client_ca": fifo})}),
              "upstream_ca": lambda: site(blue, service={"tls": {"ca": fifo}}),
              "module": lambda: site(blue, modules={"basic_auth": {"file": fifo}})}[place]()
    proxy = edge(site(blue))
    event = proxy.reload(broken, outcome="refused")
    assert any(fifo in e["message"] for e in event["errors"]), event
    assert proxy.get("/").status == 200
