"""PROXY protocol headers, and how an origin reads one. https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt"""
import ipaddress
import socket
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(source="198.51.100.7", port=4711, to="203.0.113.1", to_port=80):
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {to} {port} {to_port}\r\n".encode()


def v2(source="198.51.100.7", port=4711, to="203.0.113.1", to_port=80, command=1, tlvs=b"", family=None):
    a, b = ipaddress.ip_address(source), ipaddress.ip_address(to)
    kind = family if family is not None else 0x11 if a.version == 4 else 0x21
    payload = a.packed + b.packed + struct.pack(">HH", port, to_port) + tlvs
    return SIGNATURE + bytes([0x20 | command, kind]) + struct.pack(">H", len(payload)) + payload


def _exactly(sock, n):
    data = b""
    while len(data) < n:
        part = sock.recv(n - len(data))
        if not part:
            raise ValueError(f"closed within the PROXY header: {data!r}")
        data += part
    return data


def read(sock):
    """(version, source ip, source port) of the header on the socket, byte by byte so that nothing behind it is taken."""
    start = _exactly(sock, 6)
    if start == b"PROXY ":
        line = b""
        while not line.endswith(b"\r\n"):
            line += _exactly(sock, 1)
        _, source, _, port, _ = line.decode().split()
        return 1, source, int(port)
    rest = start + _exactly(sock, 10)
    if not rest.startswith(SIGNATURE):
        raise ValueError(f"no PROXY header: {rest!r}")
    payload = _exactly(sock, struct.unpack(">H", rest[14:16])[0])
    if rest[13] == 0x11:
        return 2, socket.inet_ntop(socket.AF_INET, payload[:4]), struct.unpack(">H", payload[8:10])[0]
    return 2, socket.inet_ntop(socket.AF_INET6, payload[:16]), struct.unpack(">H", payload[32:34])[0]
