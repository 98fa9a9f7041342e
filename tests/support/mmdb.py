"""A writer of MaxMind DB files (https://maxmind.github.io/MaxMind-DB/): databases of addresses for tests.

    /usr/bin/python3 tests/support/mmdb.py FILE '{"192.0.2.0/24": {"country": {"iso_code": "DE"}}}' [RECORD_SIZE]
"""
import ipaddress
import json
import os
import struct
import sys
from pathlib import Path

MARKER = b"\xab\xcd\xefMaxMind.com"


def place(country=None, subdivision=None, city=None, **more):
    """A record as GeoLite2 has them, nested; more: asn, org."""
    record = {}
    if country:
        record["country"] = {"geoname_id": 1, "iso_code": country, "names": {"en": f"The country {country}"}}
    if subdivision:
        record["subdivisions"] = [{"iso_code": subdivision}]
    if city:
        record["city"] = {"names": city if isinstance(city, dict) else {"en": city}}
    if "asn" in more:
        record["autonomous_system_number"] = more["asn"]
    if "org" in more:
        record["autonomous_system_organization"] = more["org"]
    return record


def _control(kind, size):
    first, more = min(size, 29), b""
    if 29 <= size < 285:
        first, more = 29, bytes([size - 29])
    elif 285 <= size < 65821:
        first, more = 30, struct.pack(">H", size - 285)
    elif size >= 65821:
        raise ValueError("too long")
    if kind < 8:
        return bytes([kind << 5 | first]) + more
    return bytes([first, kind - 7]) + more


def _number(kind, value):
    data = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big") if value else b""
    return _control(kind, len(data)) + data


def encode(value):
    """One value of the data section."""
    if isinstance(value, bool):
        return _control(14, int(value))
    if isinstance(value, str):
        data = value.encode()
        return _control(2, len(data)) + data
    if isinstance(value, bytes):
        return _control(4, len(value)) + value
    if isinstance(value, float):
        return _control(3, 8) + struct.pack(">d", value)
    if isinstance(value, int):
        return _number(5 if value < 1 << 16 else 6 if value < 1 << 32 else 9, value)
    if isinstance(value, dict):
        return _control(7, len(value)) + b"".join(encode(k) + _fit(k, v) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return _control(11, len(value)) + b"".join(encode(v) for v in value)
    raise TypeError(value)


def _fit(key, value):
    """Some members have a width of their own, however small they are."""
    kind = {"autonomous_system_number": 6, "node_count": 6, "build_epoch": 9}.get(key)
    return _number(kind, value) if kind else encode(value)


class _Tree:
    def __init__(self):
        self.nodes = [[None, None]]

    def insert(self, bits, leaf):
        """Narrower networks must come after the wider ones that they lie in."""
        at = 0
        for bit in bits[:-1]:
            below = self.nodes[at][bit]
            if not isinstance(below, int):
                self.nodes.append([below, below])
                below = self.nodes[at][bit] = len(self.nodes) - 1
            at = below
        self.nodes[at][bits[-1]] = leaf


def _record_pair(size, left, right):
    if size == 24:
        return left.to_bytes(3, "big") + right.to_bytes(3, "big")
    if size == 28:
        return (left & 0xFFFFFF).to_bytes(3, "big") + bytes([left >> 24 << 4 | right >> 24]) + (right & 0xFFFFFF).to_bytes(3, "big")
    return struct.pack(">II", left, right)


def database(networks, record_size=28, ip_version=6, kind="Weir-Test"):
    """The bytes of a database: {network: record}."""
    tree, data, offsets = _Tree(), b"", {}
    parsed = sorted(((ipaddress.ip_network(n), r) for n, r in networks.items()), key=lambda pair: pair[0].prefixlen)
    for network, record in parsed:
        width = 128 if network.version == 6 else 32
        bits = [int(b) for b in format(int(network.network_address), f"0{width}b")[:network.prefixlen]]
        if network.version == 4 and ip_version == 6:
            bits = [0] * 96 + bits
        encoded = encode(record)
        if encoded not in offsets:
            offsets[encoded] = len(data)
            data += encoded
        tree.insert(bits, ("leaf", offsets[encoded]))
    count = len(tree.nodes)

    def resolve(record):
        return count if record is None else count + 16 + record[1] if isinstance(record, tuple) else record
    nodes = b"".join(_record_pair(record_size, resolve(a), resolve(b)) for a, b in tree.nodes)
    meta = {"binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1700000000, "database_type": kind,
            "description": {"en": "of a test"}, "ip_version": ip_version, "languages": ["en"], "node_count": count, "record_size": record_size}
    return nodes + bytes(16) + data + MARKER + encode(meta)


def write(path, networks, **kw):
    """Puts the database under that name by a rename."""
    path = Path(path)
    new = path.with_name(path.name + ".new")
    new.write_bytes(database(networks, **kw))
    os.rename(new, path)
    return path


if __name__ == "__main__":
    write(sys.argv[1], json.loads(sys.argv[2]), record_size=int(sys.argv[3]) if len(sys.argv) > 3 else 28)
