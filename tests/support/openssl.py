"""What Python's ssl module does not offer: renegotiation, KeyUpdate, early data. libssl through ctypes."""
import ctypes
import ctypes.util

from support.wire import connect

_ssl = ctypes.CDLL(ctypes.util.find_library("ssl"))
for _name in ("TLS_client_method", "SSL_CTX_new", "SSL_new", "SSL_get_session"):
    getattr(_ssl, _name).restype = ctypes.c_void_p
for _name in ("SSL_CTX_new", "SSL_new", "SSL_connect", "SSL_free", "SSL_CTX_free", "SSL_renegotiate", "SSL_do_handshake", "SSL_get_session",
              "SSL_SESSION_get_max_early_data"):
    getattr(_ssl, _name).argtypes = [ctypes.c_void_p]
_ssl.SSL_SESSION_get_max_early_data.restype = ctypes.c_uint32
_ssl.SSL_set_fd.argtypes = [ctypes.c_void_p, ctypes.c_int]
_ssl.SSL_key_update.argtypes = [ctypes.c_void_p, ctypes.c_int]
_ssl.SSL_read.argtypes = _ssl.SSL_write.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
_ssl.SSL_ctrl.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
_ssl.SSL_CTX_ctrl.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
SET_TLSEXT_HOSTNAME, SET_MAX_PROTO_VERSION, TLS_1_2 = 55, 124, 0x0303


class Session:
    """A TLS client that may misbehave; certificates are not looked at."""

    def __init__(self, address, sni, tls_1_2=False):
        self.sock = connect(address)
        self.sock.setblocking(True)
        self._ctx = _ssl.SSL_CTX_new(_ssl.TLS_client_method())
        if tls_1_2:
            _ssl.SSL_CTX_ctrl(self._ctx, SET_MAX_PROTO_VERSION, TLS_1_2, None)
        self._tls = _ssl.SSL_new(self._ctx)
        _ssl.SSL_set_fd(self._tls, self.sock.fileno())
        _ssl.SSL_ctrl(self._tls, SET_TLSEXT_HOSTNAME, 0, ctypes.c_char_p(sni.encode()))
        assert _ssl.SSL_connect(self._tls) == 1, "the handshake failed"

    def write(self, data):
        return _ssl.SSL_write(self._tls, data, len(data)) == len(data)

    def read(self):
        buffer = ctypes.create_string_buffer(65536)
        n = _ssl.SSL_read(self._tls, buffer, len(buffer))
        return buffer.raw[:n] if n > 0 else b""

    def renegotiate(self):
        """Whether the peer went along."""
        return _ssl.SSL_renegotiate(self._tls) == 1 and _ssl.SSL_do_handshake(self._tls) == 1

    def key_update(self):
        """Sends one KeyUpdate that asks for one back."""
        return _ssl.SSL_key_update(self._tls, 1) == 1 and _ssl.SSL_do_handshake(self._tls) == 1

    def max_early_data(self):
        return _ssl.SSL_SESSION_get_max_early_data(_ssl.SSL_get_session(self._tls))

    def close(self):
        _ssl.SSL_free(self._tls)
        _ssl.SSL_CTX_free(self._ctx)
        self.sock.close()
