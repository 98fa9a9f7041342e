"""gRPC end to end: every kind of call, trailers, deadlines, and weir's own errors as grpc-status."""
import grpc
import pytest

from support.answers import pattern
from support.config import http, https, site
from support.grpc_server import SERVICE, Server, Stub
from support.wire import eventually

GRPC = [("content-type", "application/grpc"), ("te", "trailers")]


@pytest.fixture
def proxy(edge, grpc_origin):
    return edge(site(grpc_origin, service={"protocol": "h2c"}))


@pytest.fixture
def stub(proxy):
    with Stub(proxy.address()) as s:
        yield s


def test_a_unary_call_with_metadata_both_ways(stub, grpc_origin):
    answer, call = stub.unary(b"hello", metadata=(("x-user", "alice"), ("x-raw-bin", b"\0\xff")))
    assert answer == b"hello"
    assert dict(call.trailing_metadata())["x-served-by"] == "echo"
    assert grpc_origin.metadata[0]["x-user"] == "alice" and grpc_origin.metadata[0]["x-raw-bin"] == b"\0\xff"


def test_a_server_stream(stub):
    assert list(stub.count(500)) == [b"%d" % i for i in range(500)]


def test_a_client_stream(stub):
    assert stub.sum([b"%d" % i for i in range(500)]) == b"124750"


def test_a_stream_both_ways_in_lockstep(stub):
    """Each message is sent only after the answer to the one before: nothing waits for the end of the request."""
    import queue
    outgoing = queue.Queue()
    answers = stub.chat(iter(outgoing.get, None))
    for i in range(50):
        outgoing.put(b"message %d" % i)
        assert next(answers) == (b"message %d" % i)[::-1]
    outgoing.put(None)
    assert list(answers) == []


def test_big_messages(stub):
    message = pattern(5_000_000)
    assert stub.unary(message)[0] == message


def test_a_failure_keeps_its_status_and_message(stub):
    with pytest.raises(grpc.RpcError) as e:
        stub.unary(b"x", method="Fail")
    assert e.value.code() == grpc.StatusCode.FAILED_PRECONDITION and e.value.details() == "not today: 100% 'no'"


def test_a_method_that_nobody_has_is_unimplemented_by_the_backend(stub):
    with pytest.raises(grpc.RpcError) as e:
        stub.unary(b"x", method="Nothing")
    assert e.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_deadline_that_passes_is_felt_at_the_backend(stub, grpc_origin):
    with pytest.raises(grpc.RpcError) as e:
        stub.unary(b"x", method="Slow", timeout=0.3)
    assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    eventually(grpc_origin.cancelled.is_set, "the cancellation at the backend")


def test_many_calls_at_once(stub):
    futures = [stub.channel.unary_unary(f"/{SERVICE}/Unary").future(b"%d" % i, timeout=20) for i in range(100)]
    assert [f.result() for f in futures] == [b"%d" % i for i in range(100)]


def test_over_tls(edge, pki, acme_cert, started):
    """TLS on both sides."""
    inner = pki.server("shop.internal")
    server = Server(grpc.ssl_server_credentials([(inner.key_file.read_bytes(), inner.cert_file.read_bytes())]))
    started.append(server)
    proxy = edge(site(server, service={"protocol": "h2", "tls": {"ca": pki.file, "server_name": "shop.internal"}},
        listeners={"https": https(acme_cert), "http": http()}))
    root = pki.root.cert_file.read_bytes()
    with Stub(proxy.address("https"), credentials=grpc.ssl_channel_credentials(root)) as s:
        assert s.unary(b"secret")[0] == b"secret"
        assert len(list(s.count(20))) == 20


# -- weir's own errors --

def own_error(proxy, authority="acme.test"):
    with Stub(proxy.address(), authority) as s, pytest.raises(grpc.RpcError) as e:
        s.unary(b"x")
    return e.value


def test_a_dead_backend_is_unavailable(edge, refused_port):
    e = own_error(edge(site(refused_port, service={"protocol": "h2c"})))
    assert e.code() == grpc.StatusCode.UNAVAILABLE
    assert "upstream_refused" in e.details() or "refused" in e.details()


def test_an_unknown_host_is_unimplemented(proxy):
    assert own_error(proxy, "nobody.test").code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_backend_that_is_too_slow_is_deadline_or_unavailable(edge, grpc_origin):
    proxy = edge(site(grpc_origin, service={"protocol": "h2c", "retries": {"attempts": 1}}, timeouts={"response": "300ms"}))
    with Stub(proxy.address()) as s, pytest.raises(grpc.RpcError) as e:
        s.unary(b"x", method="Slow")
    assert e.value.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)


def test_our_errors_are_trailers_only_answers_with_200(edge, refused_port):
    """What a gRPC library needs to read them: HTTP status 200, grpc-status in the one and only head."""
    with edge(site(refused_port, service={"protocol": "h2c"})).connect2() as c:
        r = c.request("POST", f"/{SERVICE}/Unary", GRPC, b"\0\0\0\0\1x")
    fields = r.trailers or r.headers
    assert r.status == 200 and fields.get("grpc-status") == "14" and r.body == b""
    assert r.header("content-type").startswith("application/grpc")
