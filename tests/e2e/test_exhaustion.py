"""When something runs out: connections, descriptors, memory. What is there keeps working, and it recovers by itself."""
import os
import resource
import signal
import socket
import threading
import time
from contextlib import contextmanager

import pytest

from support.answers import Gate, big, pattern
from support.config import site
from support.http1 import Closed, build
from support.wire import eventually


@pytest.fixture
def shop(origin):
    return origin("shop")


# -- limits.connections --

def test_at_the_limit_the_connection_that_was_idle_longest_makes_room(edge, shop):
    proxy = edge(site(shop, limits={"connections": 4}), workers=1)
    clients = [proxy.connect() for _ in range(4)]
    for c in (*clients, clients[0]):
        assert c.get("/").status == 200
    with proxy.connect() as another:
        assert another.get("/").status == 200
        assert clients[1].expect_close()  # the first was used after it
        for c in (clients[0], clients[2], clients[3]):
            assert c.get("/").status == 200
    for c in clients:
        c.close()


def test_many_that_come_at_once_push_out_as_many(edge, shop):
    proxy = edge(site(shop, limits={"connections": 20}), workers=1)
    before = [proxy.connect() for _ in range(20)]
    for c in before:
        assert c.get("/").status == 200
    after = [proxy.connect() for _ in range(20)]
    for c in after:
        assert c.get("/").status == 200
    assert proxy.descriptors() <= 20 + 20  # those of the clients, the listener, and some to the backend
    for c in before:
        c.expect_close()
    for c in before + after:
        c.close()


def test_a_connection_that_waits_for_its_answer_is_not_pushed_out(edge, shop):
    gate = shop.always(Gate())
    proxy = edge(site(shop, limits={"connections": 3}), workers=1)
    clients = [proxy.connect() for _ in range(3)]
    for c in clients:
        c.send(build("GET", "/"))
    gate.wait_arrived(3)
    with proxy.connect() as one_too_many:
        try:
            one_too_many.try_send(build("GET", "/"))
            one_too_many.expect_close()
        except Closed:
            pass
    gate.open()
    for c in clients:
        assert c.response().status == 200
        c.close()
    assert proxy.get("/").status == 200
    assert shop.count == 4


# -- descriptors --

def test_without_descriptors_it_waits_without_spinning_and_recovers(edge, shop):
    proxy = edge(site(shop), workers=1)
    with proxy.connect() as old:
        assert old.get("/").status == 200
        resource.prlimit(proxy.worker_pid(), resource.RLIMIT_NOFILE, (64, resource.prlimit(proxy.worker_pid(), resource.RLIMIT_NOFILE)[1]))
        crowd = [proxy.connect() for _ in range(100)]  # the kernel takes them; weir cannot
        proxy.wait_event("accept_exhausted")
        spent = proxy.cpu_seconds()
        time.sleep(0.5)  # that nothing happens for a while is the point
        assert proxy.cpu_seconds() - spent < 0.1
        assert old.get("/").status == 200  # what is there works on
        for c in crowd:
            c.close()
    eventually(lambda: proxy.get("/").status == 200, "an answer once there are descriptors again")


# -- memory --

def test_over_the_memory_limit_new_work_is_refused_and_old_work_finishes(edge, shop):
    size = 8_000_000  # more than all sockets on the way hold
    shop.on("/big", big(size))
    proxy = edge(site(shop, limits={"memory": "512KiB"}), workers=1)
    slow = [proxy.connect() for _ in range(4)]
    try:
        for c in slow:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            c.send(build("GET", "/big"))  # and does not read
        with proxy.connect() as c:
            refused = eventually(lambda: (r := c.get("/new")).status == 503 and r, "new work to be refused")
        assert refused.header("x-weir-reason") == "overloaded" and refused.header("retry-after")
        statuses = []
        for c in slow:
            r = c.response()
            statuses.append(r.status)
            assert r.status == 503 or r.body == pattern(size)
        assert 200 in statuses
        eventually(lambda: proxy.get("/new").status == 200, "new work to be taken again")
    finally:
        for c in slow:
            c.close()


# -- the event loop --

def everything(proxy, number):
    for pid in proxy.pids():
        os.kill(pid, number)


@contextmanager
def starved(proxy, run=0.03, stop=0.25):
    """weir gets the processor for a moment only, now and then: everything it does comes late."""
    over = threading.Event()

    def starve():
        while not over.is_set():
            everything(proxy, signal.SIGSTOP)
            time.sleep(stop)
            everything(proxy, signal.SIGCONT)
            time.sleep(run)
    thread = threading.Thread(target=starve)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        everything(proxy, signal.SIGCONT)


def test_a_worker_that_is_late_with_everything_sheds_requests_until_it_is_not(edge, shop):
    health = {"http": {"path": "/healthz"}, "interval": "100ms", "timeout": "10s"}
    proxy = edge(site(shop, limits={"loop_lag": "40ms"}, service={"health": health}), workers=1)
    proxy.wait_event("health", to="up")
    with proxy.connect() as c:
        with starved(proxy):
            refused = eventually(lambda: (r := c.get("/")).status == 503 and r, "a request to be refused")
            assert refused.header("x-weir-reason") == "loop_lag" and refused.header("retry-after") == "1"
            # Checks and the admin interface are none of the worker's work: both go on, nobody is taken for down.
            assert proxy.admin("GET", "/readyz").status == proxy.admin("GET", "/v1/status").status == 200
            probes = sum(r.target == "/healthz" for r in shop.requests)
            eventually(lambda: sum(r.target == "/healthz" for r in shop.requests) > probes, "checks to go on")
        eventually(lambda: c.get("/").status == 200, "requests to be served again")
    assert not [e for e in proxy.events("health") if e["to"] == "down"]
    assert proxy.logged(reason="loop_lag")["attempts"] == 0


def test_one_pause_is_no_reason_to_shed(edge, shop):
    proxy = edge(site(shop, limits={"loop_lag": "40ms"}), workers=1)
    with proxy.connect() as c:
        assert c.get("/").status == 200
        everything(proxy, signal.SIGSTOP)
        time.sleep(1)
        c.send(build("GET", "/waits"))
        everything(proxy, signal.SIGCONT)
        assert c.response().status == 200


def test_lag_is_none_of_its_business_when_the_limit_is_0(edge, shop):
    proxy = edge(site(shop, limits={"loop_lag": 0}), workers=1)
    with proxy.connect() as c, starved(proxy, stop=0.15):
        assert {c.get("/").status for _ in range(12)} == {200}
