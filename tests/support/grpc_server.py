"""A gRPC server and client without generated code: messages are plain bytes."""
import threading
from concurrent import futures

import grpc

from support.wire import PATIENCE

SERVICE = "weir.test.Echo"


class Server:
    """str(server) is its address. Every kind of call: Unary, Count (server streams), Sum (client streams), Chat (both), Fail, Slow."""

    def __init__(self, credentials=None):
        self.cancelled = threading.Event()
        self.metadata = []
        handlers = {
            "Unary": grpc.unary_unary_rpc_method_handler(self._unary),
            "Count": grpc.unary_stream_rpc_method_handler(self._count),
            "Sum": grpc.stream_unary_rpc_method_handler(self._sum),
            "Chat": grpc.stream_stream_rpc_method_handler(self._chat),
            "Fail": grpc.unary_unary_rpc_method_handler(self._fail),
            "Slow": grpc.unary_unary_rpc_method_handler(self._slow),
        }
        self._server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", 64 << 20)])
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        if credentials:
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        else:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def __str__(self):
        return f"127.0.0.1:{self.port}"

    def close(self):
        self._server.stop(0)

    def _unary(self, message, context):
        self.metadata.append(dict(context.invocation_metadata()))
        context.set_trailing_metadata((("x-served-by", "echo"),))
        return message

    def _count(self, message, context):
        for i in range(int(message)):
            yield b"%d" % i

    def _sum(self, messages, context):
        return b"%d" % sum(int(m) for m in messages)

    def _chat(self, messages, context):
        for m in messages:
            yield m[::-1]

    def _fail(self, message, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today: 100% 'no'")

    def _slow(self, message, context):
        context.add_callback(self.cancelled.set)
        self.cancelled.wait(PATIENCE * 3)
        return b"late"


class Stub:
    """Calls through a channel to (host, port)."""

    def __init__(self, address, authority="acme.test", credentials=None):
        options = [("grpc.default_authority", authority), ("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0),
                   ("grpc.ssl_target_name_override", authority), ("grpc.max_receive_message_length", 64 << 20)]
        target = "%s:%d" % address
        self.channel = (grpc.secure_channel(target, credentials, options) if credentials
                        else grpc.insecure_channel(target, options))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.channel.close()

    def unary(self, message, method="Unary", service=SERVICE, timeout=PATIENCE, **kw):
        """(answer, call): the call has initial and trailing metadata."""
        return self.channel.unary_unary(f"/{service}/{method}").with_call(message, timeout=timeout, **kw)

    def count(self, n, timeout=PATIENCE):
        return self.channel.unary_stream(f"/{SERVICE}/Count")(b"%d" % n, timeout=timeout)

    def sum(self, numbers, timeout=PATIENCE):
        return self.channel.stream_unary(f"/{SERVICE}/Sum")(iter(numbers), timeout=timeout)

    def chat(self, messages, timeout=PATIENCE):
        return self.channel.stream_stream(f"/{SERVICE}/Chat")(messages, timeout=timeout)
