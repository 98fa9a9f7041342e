"""What the documentation shows works: its configurations are good, its commands exist, its links lead somewhere."""
import re
import shlex

import pytest
import yaml

from support import mmdb
from support.edge import ROOT, run
from support.modules import build_module, documented_module

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "modules").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def blocks(page, language):
    return [body for found, body in FENCE.findall(page.read_text()) if found == language]


def is_whole(body):
    """The others are parts of a configuration."""
    return "listeners:" in body


def named(pages, language, which=lambda body: True):
    return [pytest.param(body, id=f"{page.name}-{i}")
            for page in pages for i, body in enumerate(blocks(page, language)) if which(body)]


def supply(node, directory, pair):
    """Makes the files that a configuration names: certificates, their keys, authorities, pages."""
    def put(name, content):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    cert, key = pair.cert_file.read_bytes(), pair.key_file.read_bytes()
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "directory":
                put(f"{value}/some.pem", cert)
                put(f"{value}/some.key", key)
            elif name in ("cert", "ca", "client_ca"):
                put(value, cert)
            elif name == "path" and str(value).endswith(".so"):
                build_module(directory, documented_module(), value.removesuffix(".so"))
            elif str(value).endswith(".mmdb"):
                mmdb.write(directory / value, {"192.0.2.0/24": mmdb.place("DE")})
            elif name == "key":
                put(value, key)
            elif name == "pages":
                for page in value.values():
                    for one in [page] if isinstance(page, str) else page:
                        put(one, b"sorry")
            else:
                supply(value, directory, pair)
    elif isinstance(node, list):
        for value in node:
            supply(value, directory, pair)


@pytest.mark.parametrize("body", named(PAGES, "yaml", is_whole))
def test_every_configuration_shown_is_good(body, pki, tmp_path):
    supply(yaml.safe_load(body), tmp_path, pki.server("acme.test"))
    path = tmp_path / "weir.yaml"
    path.write_text(body)
    r = run("check", "-c", path)
    assert r.code == 0 and "warning" not in r.err, r.err


def commands_of(script):
    """The words of each weir command in a shell script."""
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = []
        for token in [*lexer, ";"]:
            if set(token) <= set("();<>|&"):
                if words and words[0] in ("weir", "build/weir"):
                    yield words[1:]
                words = []
            else:
                words.append(token)


@pytest.mark.parametrize("script", named(PAGES, "sh"))
def test_every_command_shown_exists(script):
    for words in commands_of(script):
        help_text = run("help", *words[:1]).out if words[0] != "version" else ""
        assert run("help", *words[:1]).code == 0 or words[0] in ("help", "version"), words
        for option in (w.split("=")[0] for w in words[1:] if w.startswith("-")):
            assert re.search(rf"(^|\s){re.escape(option)}\b", help_text), (words, option)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_link_leads_to_a_file(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page, command", [("configuration.md", "reference"), ("reasons.md", "reasons"), ("metrics.md", "metrics-reference")])
def test_the_made_pages_are_fresh(page, command):
    assert (ROOT / "docs" / page).read_text() == run(command).out, "run make docs"


def test_every_key_of_the_access_log_is_explained():
    source = (ROOT / "proxy" / "exchange" / "access_log.c").read_text()
    columns = re.findall(r'(?:TEXT|NUMBER)\("(\w+)", ', source)
    table = (ROOT / "docs" / "operating.md").read_text()
    assert columns and not [c for c in columns if f"`{c}`" not in table]


def test_every_event_is_explained():
    sources = "".join(p.read_text() for layer in ("control", "supervisor") for p in (ROOT / "proxy" / layer).rglob("*.c"))
    events = set(re.findall(r'(?:event_emit|supervisor_tell)\([^;]*?CONF_LEVEL_\w+,\s*"(\w+)"', sources))
    table = (ROOT / "docs" / "operating.md").read_text()
    assert events and not [e for e in events if f"`{e}`" not in table]


def test_every_shared_word_is_listed():
    """docs/threads.md names each atomic of the code."""
    listed = (ROOT / "docs" / "threads.md").read_text()
    for header in (ROOT / "proxy").rglob("*.h"):
        for name in re.findall(r"^\t(?:_Alignas\(\d+\) )?(?:_Atomic \w+|atomic_\w+|struct \w+ \*_Atomic) (\w+);", header.read_text(), re.M):
            assert f"{header.stem}.{name}`" in listed or f".{name}`" in listed, f"{header.name}: {name}"


@pytest.mark.parametrize("command", ["run", "check", "explain", "status", "weights", "pool", "backends", "deploy", "shift", "events", "reload", "stop", "schema", "demo-backend"])
def test_every_command_is_explained(command):
    assert f"## weir {command}\n" in (ROOT / "docs" / "commands.md").read_text()
