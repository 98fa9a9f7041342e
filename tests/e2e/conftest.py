"""Fixtures: `edge` starts weir, `origin` and its kin start fakes, `pki` issues certificates. What a test started ends with it."""
import os

import pytest

from support import edge as edge_module
from support.certs import Authority
from support.edge import Edge
from support.grpc_server import Server
from support.origin import Origin
from support.wire import RefusedPort, SilentPort


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, "report_" + call.when, outcome.get_result())


def pytest_configure(config):
    if not os.access(edge_module.WEIR, os.X_OK):
        config.issue_config_time_warning(pytest.PytestWarning(f"{edge_module.WEIR} is not there: run make, or set WEIR_BIN"), 2)


@pytest.fixture
def started():
    """What has to be closed when the test ends, latest first."""
    things = []
    yield things
    for thing in reversed(things):
        thing.close()


@pytest.fixture
def edge(request, started):
    """edge(conf) starts weir and waits until it is ready. At the end it must stop cleanly, with no report of a sanitizer."""
    edges = []

    def start(conf, **kw):
        e = Edge.__new__(Edge)
        edges.append(e)
        e.__init__(conf, **kw)
        return e
    yield start
    failed = getattr(request.node, "report_call", None) is None or request.node.report_call.failed
    try:
        for e in edges:
            if hasattr(e, "process"):
                if failed:
                    print("--- weir's events\n" + b"\n".join(e._events.lines()[-40:]).decode(errors="replace"))
                    print(f"--- weir's stderr\n{e.stderr()[-4000:]}{e.sanitizer_reports()[-8000:]}")
                e.stop()
    finally:
        for e in edges:
            if hasattr(e, "process"):
                e.kill()
            e.discard()


@pytest.fixture
def origin(started):
    """origin(name, protocol=, tls=...) starts one. What it could not accept from the proxy fails the test."""
    origins = []

    def start(name="origin", **kw):
        o = Origin(name, **kw)
        origins.append(o)
        started.append(o)
        return o
    yield start
    complaints = [c for o in origins for c in o.complaints]
    assert not complaints, complaints


@pytest.fixture
def grpc_origin(started):
    server = Server()
    started.append(server)
    return server


@pytest.fixture
def refused_port(started):
    port = RefusedPort()
    started.append(port)
    return port


@pytest.fixture
def silent_port(started):
    port = SilentPort()
    started.append(port)
    return port


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    """The authority that the tests' clients and weir's upstream side trust."""
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "a stranger")


@pytest.fixture(scope="session")
def acme_cert(pki):
    return pki.server("acme.test", "*.acme.test")
