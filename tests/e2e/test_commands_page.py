"""What is promised about commands holds: what --json prints, the manual pages, what is installed, what docs/commands.md shows."""
import json
import os
import pty
import re
import shlex
import subprocess

import jsonschema
import pytest

from support import edge as edge_module
from support.config import pool, site
from support.edge import ROOT, run
from support.wire import PATIENCE, eventually

SCHEMA = json.loads((ROOT / "docs" / "commands.schema.json").read_text())
PAGE = (ROOT / "docs" / "commands.md").read_text()
# What a name in the schema is typed as, where that is not the name itself.
TYPED = {
    "explain": [["explain", "http://acme.test/"], ["explain", "http://nobody.test/"]],
    "status TENANT": [["status", "acme"]],
    "status TENANT/SERVICE": [["status", "acme/shop"], ["status", "acme/shop/blue"]],
    "weights": [["weights", "acme/shop"], ["weights", "acme/shop", "green=20", "--lease", "60s"], ["weights", "acme/shop", "--reset"]],
    "pool": [["pool", "acme/shop/green"], ["pool", "acme/shop/green", "--state", "pinned"], ["pool", "acme/shop/green", "--state", "file"]],
    "backends": [["backends", "acme/shop/green"], ["backends", "acme/shop/green", "add", "127.0.0.1:9"], ["backends", "acme/shop/green", "reset"]],
    "top": [["top", "--interval", "100ms"]],
}
SEPARATE = {"events -f", "why REQUEST_ID", "stop", "check", "shift", "deploy"}


def visible_commands():
    return [c for c in re.findall(r"^  ([a-z-]+) ", run("help").out, re.M) if c not in ("help", "version")]


@pytest.fixture
def proxy(edge, origin, refused_port):
    shop = origin("shop")
    return edge(site(pools={"blue": pool(shop, weight=90), "green": pool(shop, weight=10), "broken": pool(refused_port, weight=0)},
        service={"split": {"override": {"header": "X-Weir-Pool"}}}))


def holds(name, document):
    jsonschema.validate(document, {**SCHEMA["properties"][name], "$defs": SCHEMA["$defs"]}, cls=jsonschema.Draft202012Validator)


# -- --json --

@pytest.mark.parametrize("name", [n for n in SCHEMA["properties"] if n not in SEPARATE])
def test_json_is_as_promised(proxy, name):
    assert proxy.get("/", [("X-Weir-Pool", "broken")]).status >= 500  # something for `why`
    eventually(lambda: proxy.cli("why", "--json").json()["requests"], "the record of it")
    for args in TYPED.get(name, [[name]]):
        r = proxy.cli(*args, "--json")
        holds(name, r.json())
        assert not r.err or r.code != 0
    if name == "why":
        assert (request := r.json()["requests"][0])["reason"]
        holds("why REQUEST_ID", proxy.cli("why", request["id"], "--json").json())


def test_json_of_a_refused_reload_and_of_a_bad_file_is_as_promised(proxy):
    proxy.configure("nope: 1\n")
    r = proxy.cli("reload", "--json")
    assert r.code == 1 and r.json()["errors"]
    holds("reload", r.json())
    holds("status", proxy.cli("status", "--json").json())
    bad = run("check", "-c", proxy.file, "--json")
    assert bad.code == 1 and bad.json()
    holds("check", bad.json())


def test_json_of_a_problem_is_as_promised(proxy):
    for args, code in ((["weights", "acme/nope"], 1), (["weights", "acme/shop", "green=1", "--if-version", "99"], 4), (["why", "0" * 16], 1)):
        r = proxy.cli(*args, "--json")
        assert r.code == code, r.err
        jsonschema.validate(r.json(), {**SCHEMA["$defs"]["problem"], "$defs": SCHEMA["$defs"]})


def test_json_of_events_as_they_come_and_of_stop_is_as_promised(proxy):
    p = subprocess.Popen([edge_module.WEIR, "events", "-f", "--since", "1h", "--json"], stdout=subprocess.PIPE,
        env={**os.environ, "WEIR_SOCKET": str(proxy.dir / "admin.sock")})
    try:
        holds("events -f", json.loads(p.stdout.readline()))
    finally:
        p.kill()
        p.wait()
        p.stdout.close()
    holds("stop", proxy.cli("stop", "--drain", "1s", "--json").json())


def test_json_of_a_shift_and_of_a_deploy_is_as_promised(edge, origin):
    proxy = edge(site(pools={"blue": pool(origin("blue"), weight=100), "green": pool(origin("green"), weight=0)}))
    for args in (["--steps", "50,100", "--every", "1h"], ["--status"], ["--pause"], ["--abort"]):
        r = proxy.cli("shift", "acme/shop", *([] if args[0] in ("--status", "--pause", "--abort") else ["green"]), *args, "--json")
        assert r.code == 0, r.err
        holds("shift", r.json())
    eventually(lambda: proxy.cli("shift", "acme/shop", "--status", "--json").json()["ended"], "its end")
    for args in (["--pool", "green"], ["--status"]):
        r = proxy.cli("deploy", "acme/shop", *args, "--json")
        assert r.code == 0, r.err
        holds("deploy", r.json())
    assert r.json()["state"] == "done" and r.json()["shift"]["share"] == 100


def test_every_schema_is_one_and_belongs_to_a_command():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert {n.split(" ")[0] for n in SCHEMA["properties"]} <= set(visible_commands())


# -- status where there is a lot --

def test_status_of_many_pools_shows_those_that_are_not_well(edge, origin, refused_port):
    shop = origin("shop")
    health = {"tcp": {}, "interval": "100ms", "timeout": "1s", "fall": 1}
    pools = {f"v{n}": pool(shop, weight=1) for n in range(40)}
    proxy = edge(site(pools={**pools, "broken": pool(refused_port, weight=0)}, service={"health": health}))
    proxy.wait_event("health", to="down")
    eventually(lambda: "40 of 41 pools are well; --all shows them\n" in proxy.cli("status").out, "all are checked")
    lines = proxy.cli("status").out.splitlines()
    assert [l.split()[0] for l in lines if l.startswith("acme/")] == ["acme/shop/broken"]
    assert sum(l.startswith("acme/") for l in proxy.cli("status", "--all").out.splitlines()) == 41


def test_status_says_what_was_set_at_run_time(proxy):
    assert proxy.cli("weights", "acme/shop", "green=30").code == 0
    assert proxy.cli("pool", "acme/shop/green", "--state", "pinned").code == 0
    assert re.search(r"^acme/shop/green .*, set at run time: weight 30, pinned$", proxy.cli("status").out, re.M)


def test_top_fits_a_narrow_terminal(proxy):
    wide = proxy.cli("top", "--interval", "100ms").out
    assert "acme/shop/broken " in wide
    narrow = run("top", "--interval", "100ms", env={"WEIR_SOCKET": str(proxy.dir / "admin.sock"), "COLUMNS": "85"}).out
    assert max(map(len, narrow.splitlines())) <= max(85, 71 + 16)


# -- on a terminal --

def at_a_terminal(proxy, *args, **env):
    """What somebody sees who types it."""
    ours, theirs = pty.openpty()
    p = subprocess.Popen([edge_module.WEIR, *args], stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "WEIR_SOCKET": str(proxy.dir / "admin.sock"), "TERM": "vt100", "NO_COLOR": "", **env})
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 65536):
            seen += part
    except OSError:  # nobody has the other end any more
        pass
    finally:
        os.close(ours)
    return p.wait(PATIENCE), seen.decode()


def test_colour_is_for_terminals_and_for_who_wants_it(proxy):
    assert "\x1b[32mserving\x1b[0m" in at_a_terminal(proxy, "status")[1]
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in at_a_terminal(proxy, "status", **env)[1]


def test_who_waits_at_a_terminal_sees_how_far_it_is(edge, origin, refused_port):
    health = {"tcp": {}, "interval": "100ms", "timeout": "1s", "fall": 1, "rise": 1}
    shop = origin("shop")
    proxy = edge(site(pools={"blue": pool(shop, weight=1), "green": pool(shop, weight=0)}, service={"health": health}))
    wait = ["backends", "acme/shop/green", "set", str(shop), str(refused_port), "--wait", "--timeout", "1s"]
    code, seen = at_a_terminal(proxy, *wait)
    assert code == 3 and "[##########----------] 1 of 2 up" in seen and "not all of them are up yet, 1 of 2" in seen
    r = proxy.cli(*wait, "--json")
    assert r.code == 3 and "[#" not in r.err and r.json()["up"] == 1


# -- help, manual pages, installation --

def test_help_begins_with_examples_and_fits_the_terminal():
    for command in visible_commands():
        out = run("help", command, env={"COLUMNS": "72"}).out
        assert re.search(rf"^  .*\bweir {command}\b", out, re.M), command
        prose = [l for l in out.splitlines() if not l.startswith(" ")]
        assert max(map(len, prose)) <= 72, command
    assert run("help", "weights").out.index("examples:") < run("help", "weights").out.index("options:")


def test_exit_statuses_are_one_table():
    statuses = re.findall(r"^  (\d)  (.+)$", run("help").out, re.M)
    assert [n for n, _ in statuses] == list("012345")
    for n, text in statuses:
        assert f"| {n} | {text} |" in PAGE


@pytest.mark.parametrize("page", ["weir.1", "weir.yaml.5"])
def test_manual_pages_have_no_mistakes(page, tmp_path):
    path = tmp_path / page
    path.write_text(run("manual", page).out)
    lint = subprocess.run(["mandoc", "-Tlint", "-W", "warning", str(path)], capture_output=True, text=True, timeout=PATIENCE)
    assert lint.returncode == 0 and not lint.stdout, lint.stdout
    man = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(path)], capture_output=True, text=True, timeout=PATIENCE,
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""})
    assert man.returncode == 0 and not man.stderr, man.stderr


def test_the_manual_pages_tell_all():
    weir = run("manual", "weir.1").out.replace("\\-", "-")
    for command in visible_commands():
        assert f".SS weir {command}\n" in weir
        for option in set(re.findall(r"^  (?:-\w, )?--([a-z-]+)", run("help", command).out, re.M)) - {"help"}:
            assert f"--{option}" in weir, (command, option)
    keys = set(re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / "configuration.md").read_text(), re.M))
    manual = run("manual", "weir.yaml.5").out.replace("\\-", "-")
    assert keys and not [k for k in keys if f"\\fB{k}\\fR (" not in manual]


def test_install_has_completion_and_manual_pages(tmp_path):
    build = os.path.relpath(os.path.dirname(edge_module.WEIR), ROOT)
    p = subprocess.run(["make", "-s", "-o", f"{build}/weir", "install", f"BUILD={build}", f"DESTDIR={tmp_path}", "PREFIX=/usr"], cwd=ROOT,
        capture_output=True, text=True, timeout=PATIENCE * 6)
    assert p.returncode == 0, p.stderr
    share = tmp_path / "usr/share"
    for path, args in (("bash-completion/completions/weir", ["completion", "bash"]), ("zsh/site-functions/_weir", ["completion", "zsh"]),
                       ("fish/vendor_completions.d/weir.fish", ["completion", "fish"]), ("man/man1/weir.1", ["manual", "weir.1"]),
                       ("man/man5/weir.yaml.5", ["manual", "weir.yaml.5"])):
        assert (share / path).read_text() == run(*args).out


# -- docs/commands.md --

def examples():
    """The command lines that the page shows, and those that help shows."""
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S):
        yield from (l for l in block.splitlines() if l.startswith("weir "))


def live(line):
    """Those that a weir of ours can be told as they stand: not those that would serve for ever, or need a file or a host of the reader's."""
    return line.split()[1] in ("status", "weights", "pool", "backends", "events", "top", "why", "reload", "schema", "completion", "version", "explain") and \
        "-c weir.yaml" not in line


@pytest.mark.parametrize("line", sorted(filter(live, examples())))
def test_every_command_line_shown_works(proxy, line):
    """As a shell would run it; ids and versions are those of a weir that has run longer, so that one is refused for that alone."""
    args = [a for a in shlex.split(line.split(" > ")[0].split(" | ")[0], comments=True)[1:] if a]
    if "-f" in args:
        args.remove("-f")
    args = [{"10s": "100ms", "2m": "100ms"}.get(a, a) for a in args]
    r = proxy.cli(*args)
    known = {"why": (0, 1), "backends": (0, 3) if "--wait" in args else (0, 1) if "remove" in args else (0,), "explain": (0, 1)}
    expected = (0, 4) if "--if-version" in args else known.get(args[0], (0,))
    assert r.code in expected, (line, r.code, r.err)
