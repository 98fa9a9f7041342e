"""An HTTP message as the fakes and clients see it: fields in order, as received, with nothing tidied up."""
import json
from dataclasses import dataclass, field


class Fields(list):
    """A list of (name, value) in the order of the wire."""

    def all(self, name):
        return [v for n, v in self if n.lower() == name.lower()]

    def get(self, name, default=None):
        """The one value of that name. Two fields of a name that should be single are a finding, not a choice."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} is there {len(values)} times: {values}"
        return values[0] if values else default

    def __contains__(self, name):
        return any(n.lower() == name.lower() for n, _ in self)

    def names(self):
        return [n.lower() for n, _ in self]


def pairs(headers):
    """Accepts {name: value} or [(name, value)]."""
    return Fields(headers.items() if isinstance(headers, dict) else headers)


@dataclass
class Response:
    status: int
    headers: Fields
    body: bytes = b""
    trailers: Fields = field(default_factory=Fields)
    interim: list = field(default_factory=list)  # [Response] of 1xx
    version: str = "HTTP/1.1"
    phrase: str = ""
    complete: bool = True  # it ended as its framing promised

    def json(self):
        return json.loads(self.body)

    def header(self, name, default=None):
        return self.headers.get(name, default)


@dataclass
class Request:
    """As an origin received it."""
    method: str
    target: str
    headers: Fields
    version: str = "HTTP/1.1"
    scheme: str = ""
    authority: str = ""  # :authority, or Host
    protocol: str = ""  # of an extended CONNECT
    body: bytes = b""
    trailers: Fields = field(default_factory=Fields)
    raw_head: bytes = b""  # HTTP/1: exactly as received
    connection: int = 0  # the how-manieth connection of the origin it came on, from 0
    complete: bool = False  # its body has ended as its framing promised

    def header(self, name, default=None):
        return self.headers.get(name, default)
