"""The OpenAPI document is of the same rows that requests are routed by: it is whole, and what it describes answers."""
import re

import jsonschema
import pytest

from support.config import pool, site
from support.edge import ROOT
from support.wire import eventually


@pytest.fixture
def proxy(edge, origin):
    return edge(site(origin("shop")))


def rows():
    """(method, path) of every row in the tables."""
    for source in (ROOT / "proxy" / "control").rglob("*.c"):
        for method, rest in re.findall(r"\{\.method = METHOD_(\w+),(.*?)\.handle", source.read_text(), re.S):
            yield method.lower(), re.search(r'\.path = "([^"]+)"', rest)[1]


def references(node):
    if isinstance(node, dict):
        yield from ([node["$ref"]] if "$ref" in node else [])
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_document_is_whole(proxy):
    d = proxy.admin("GET", "/v1/openapi.json").json()
    assert d["openapi"].startswith("3.1.") and d["info"]["title"] and d["info"]["version"]
    ids = []
    for path, operations in d["paths"].items():
        assert path.startswith("/")
        for method, op in operations.items():
            assert method in ("get", "put", "post", "delete", "patch")
            assert op["summary"] and op["x-weir-role"] in ("none", "viewer", "operator", "admin")
            ids.append(op["operationId"])
            declared = [(p["in"], p["name"]) for p in op["parameters"]]
            assert len(declared) == len(set(declared))
            assert {n for i, n in declared if i == "path"} == set(re.findall(r"{(\w+)}", path))
            for p in op["parameters"]:
                assert p["schema"]["type"] in ("string", "integer", "boolean") and (p["in"] == "query" or p["required"])
                assert p.get("description"), (path, p)
            assert {"2XX", "default"} <= set(op["responses"])
            assert all(r["description"] for r in op["responses"].values())
    assert len(ids) == len(set(ids))
    for ref in references(d):
        assert ref.startswith("#/components/schemas/") and ref.rsplit("/", 1)[1] in d["components"]["schemas"], ref


def test_every_row_is_in_it_and_nothing_else(proxy):
    d = proxy.admin("GET", "/v1/openapi.json").json()
    assert {(m, p) for p, ops in d["paths"].items() for m in ops} == set(rows())


def test_what_it_describes_answers(proxy):
    d = proxy.admin("GET", "/v1/openapi.json").json()
    for path, operations in d["paths"].items():
        target = path.replace("{t}", "acme").replace("{s}", "shop").replace("{p}", "blue").replace("{l}", "http")
        if "get" in operations:
            r = proxy.admin("GET", re.sub(r"{\w+}", "x", target))
            assert r.status < 500, (path, r.body)
            assert r.status == 200 or r.json()["reason"] not in ("no_such_path", "method"), (path, r.body)
        assert proxy.admin("TRACE", target).status in (405, 404), path


def test_services_are_as_the_schema_says(proxy):
    schemas = proxy.admin("GET", "/v1/openapi.json").json()["components"]["schemas"]
    service = proxy.admin("GET", "/v1/services/acme/shop").json()
    for name, document in (("Service", service), ("Pool", service["pools"][0]), ("Backend", service["pools"][0]["backends"][0])):
        assert set(schemas[name]["required"]) <= set(document) <= set(schemas[name]["properties"]), name


def undocumented(schema, document, schemas, at="$"):
    """Paths of members that the schema does not name."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
    if isinstance(document, dict) and "properties" in schema:
        for name, value in document.items():
            if name not in schema["properties"]:
                yield f"{at}.{name}"
            else:
                yield from undocumented(schema["properties"][name], value, schemas, f"{at}.{name}")
    elif isinstance(document, list):
        for i, value in enumerate(document):
            yield from undocumented(schema.get("items", {}), value, schemas, f"{at}[{i}]")


def conforms(api, method, path, document):
    """Is the document as the answer of that operation is said to be, and is every member of it described?"""
    schema = api["paths"][path][method]["responses"]["2XX"]["content"]["application/json"]["schema"]
    assert "$ref" in schema
    resolver = jsonschema.RefResolver.from_schema(api)
    jsonschema.Draft202012Validator(schema, resolver=resolver).validate(document)
    assert not list(undocumented(schema, document, api["components"]["schemas"]))


def test_shifts_deploys_and_holds_are_as_the_schemas_say(edge, origin):
    judge = origin("judge")
    proxy = edge(site(pools={"blue": pool(origin("blue"), weight=100), "green": pool(origin("green"), weight=0)}))
    api = proxy.admin("GET", "/v1/openapi.json").json()

    def call(method, noun, status, body=None):
        r = proxy.admin(method, f"/v1/services/acme/shop/{noun}", body)
        assert r.status == status, r.body
        conforms(api, method.lower(), f"/v1/services/{{t}}/{{s}}/{noun}", r.json())
        return r.json()
    call("POST", "hold", 200, {"for": "1h", "queue": 5, "path": "/healthz", "reason": "a test"})
    call("GET", "hold", 200)
    call("DELETE", "hold", 200, {"rate": 5})
    call("POST", "shift", 201, {"pool": "green", "steps": [50, 100], "every": "1h", "guards": {"max_error_rate": "1%", "min_samples": 1},
                                "hook": {"url": f"http://{judge}/"}, "schedule": {"days": "mon-sun"}, "reason": "a test"})
    eventually(lambda: call("GET", "shift", 200)["state"] == "observing", "the first step")
    proxy.get("/")
    eventually(lambda: "verdict" in call("GET", "shift", 200), "a verdict")
    call("PATCH", "shift", 200, {"action": "pause"})
    call("DELETE", "shift", 200)
    eventually(lambda: call("GET", "shift", 200)["ended"], "its end")
    deploy = {"pool": "green", "warm_up": {"path": "/"}, "shift": {"steps": [100], "every": "500ms"}, "drain": True, "id": "seven"}
    assert "joined" not in call("POST", "deploy", 201, deploy)
    eventually(lambda: call("GET", "deploy", 200)["ended"], "its end")
    assert call("POST", "deploy", 200, deploy)["joined"]
    r = proxy.admin("GET", "/v1/services/acme/shop").json()
    assert r["shift"]["state"] == "done" and r["deploy"]["state"] == "done" and r["hold"] is None
    conforms(api, "get", "/v1/services/{t}/{s}", r)
