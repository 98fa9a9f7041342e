"""A collector of traces: an origin that takes OTLP over HTTP in JSON, as strictly as the protocol says, and keeps the spans."""
import json

import jsonschema

from support.answers import reply
from support.wire import eventually

HEX = {16: {"type": "string", "pattern": "^[0-9a-f]{32}$"}, 8: {"type": "string", "pattern": "^[0-9a-f]{16}$"}}
NUMBER = {"type": "string", "pattern": "^[0-9]{1,20}$"}  # 64 bits are texts in protobuf's JSON
VALUE = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": False,
         "properties": {"stringValue": {"type": "string"}, "intValue": NUMBER}}
ATTRIBUTES = {"type": "array", "items": {"type": "object", "additionalProperties": False, "required": ["key", "value"],
                                         "properties": {"key": {"type": "string", "minLength": 1}, "value": VALUE}}}


def _object(required, **properties):
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


# opentelemetry/proto/trace/v1/trace.proto, as far as weir uses it; what it does not know is an error.
SPAN = _object(["traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano", "attributes"],
               traceId=HEX[16], spanId=HEX[8], parentSpanId=HEX[8], traceState={"type": "string"}, name={"type": "string", "minLength": 1},
               kind={"enum": [1, 2, 3, 4, 5]}, startTimeUnixNano=NUMBER, endTimeUnixNano=NUMBER, attributes=ATTRIBUTES,
               status=_object(["code"], code={"enum": [0, 1, 2]}, message={"type": "string"}))
SCOPE = _object(["scope", "spans"], scope=_object(["name"], name={"type": "string"}, version={"type": "string"}),
                spans={"type": "array", "minItems": 1, "items": SPAN})
MESSAGE = _object(["resourceSpans"], resourceSpans={"type": "array", "minItems": 1, "items": _object(
    ["resource", "scopeSpans"], resource=_object(["attributes"], attributes=ATTRIBUTES), scopeSpans={"type": "array", "minItems": 1, "items": SCOPE})})
TAKEN = reply(200, b"{}", {"Content-Type": "application/json"})


def plain(attributes):
    """{key: value}; a key that is there twice is an error (the data model forbids it)."""
    out = {}
    for a in attributes:
        assert a["key"] not in out, a["key"]
        [(kind, value)] = a["value"].items()
        out[a["key"]] = int(value) if kind == "intValue" else value
    return out


class Span:
    def __init__(self, span, resource):
        self.trace, self.id, self.parent = span["traceId"], span["spanId"], span.get("parentSpanId")
        self.name, self.kind, self.state = span["name"], span["kind"], span.get("traceState", "")
        self.begun, self.ended = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
        self.attributes, self.resource, self.status = plain(span["attributes"]), resource, span.get("status", {})
        assert self.begun <= self.ended

    def __getitem__(self, key):
        return self.attributes.get(key)

    def __repr__(self):
        return f"<{self.name} {self.kind} {self.attributes}>"


class Collector:
    """url is what `endpoint` says. What it answers is said with .answer(), as an origin's."""

    def __init__(self, origin, scheme="http", host=None):
        self.origin, self.url = origin, f"{scheme}://{host or origin.host}:{origin.port}/v1/traces"
        self._read = {}  # id of a message -> itself, its spans: to look at each once is slow enough
        self.answer(TAKEN)

    def answer(self, answer):
        self.origin.always(answer)

    @property
    def messages(self):
        return list(self.origin.requests)

    def spans(self, messages=None):
        return [s for m in (self.messages if messages is None else messages) for s in self._spans_of(m)]

    def _spans_of(self, m):
        if id(m) not in self._read:
            assert m.method == "POST" and m.target == "/v1/traces" and m.header("content-type") == "application/json"
            body = json.loads(m.body)
            jsonschema.validate(body, MESSAGE)
            spans = []
            for r in body["resourceSpans"]:
                resource = plain(r["resource"]["attributes"])
                spans += [Span(s, resource) for scope in r["scopeSpans"] for s in scope["spans"]]
            self._read[id(m)] = m, spans
        return self._read[id(m)][1]

    def wait(self, n=1, **attributes):
        """The server spans with these attributes, dots as underscores, once there are n; in the order of their beginning."""
        def there():
            found = [s for s in self.spans() if s.kind == 2 and all(s[k.replace("_", ".")] == v for k, v in attributes.items())]
            return found if len(found) >= n else None
        return sorted(eventually(there, lambda: f"{n} requests' spans; there are {self.spans()}"), key=lambda s: s.begun)

    def children(self, parent, kind=None):
        return sorted((s for s in self.spans() if s.parent == parent.id and s.trace == parent.trace and kind in (None, s.kind)), key=lambda s: s.begun)
