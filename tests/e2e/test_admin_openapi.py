"""The OpenAPI document is of the same rows that requests are routed by: it is whole, and what it describes answers."""
import re

import pytest

from support.config import site
from support.edge import ROOT


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
        target = path.replace("{t}", "acme").replace("{s}", "shop").replace("{p}", "blue")
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
