"""docs/resilience.md: each of its configurations, run as it stands, serves."""
import re

import pytest
import yaml

from support.config import http
from support.edge import ROOT
from support.wire import eventually

PAGE = (ROOT / "docs" / "resilience.md").read_text()
EXAMPLES = re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?^```yaml\n(.*?)^```$", PAGE, re.M | re.S)


def at_home(node, address):
    """The same with another address for every backend, each a unix or loopback one of the test's."""
    if isinstance(node, dict):
        return {k: address(v) if k == "address" and "tls" not in node else at_home(v, address) for k, v in node.items()}
    if isinstance(node, list):
        return [address(v) if isinstance(v, str) and re.fullmatch(r"10\.\d+\.\d+\.\d+:\d+", v) else at_home(v, address) for v in node]
    return node


@pytest.mark.parametrize("title, text", [pytest.param(t, y, id=t) for t, y in EXAMPLES])
def test_every_example_serves(edge, origin, title, text):
    conf = yaml.safe_load(text.replace(" on: ", ' "on": '))  # which YAML 1.1 takes for true
    origins = {}
    conf["tenants"] = at_home(conf["tenants"], lambda a: str(origins.setdefault(a, origin(f"at {a}"))))
    conf["listeners"] = {"http": http()}
    if "zone" in conf:
        conf["zone"] = "eu-1a"
    proxy = edge(conf)
    answers = eventually(lambda: (r := [proxy.get("/") for _ in range(10)]) and {a.status for a in r} == {200} and r, "good answers")
    assert len(origins) > 0 and all(a.body.startswith(b"at 10.") for a in answers)


def test_every_part_has_an_example():
    parts = re.findall(r"^## (.+)$", PAGE, re.M)
    assert parts == [t for t, _ in EXAMPLES]
