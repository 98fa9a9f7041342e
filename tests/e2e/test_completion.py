"""Command lines complete themselves in bash, zsh and fish, with what the running weir fronts."""
import pytest

from support import shells
from support.config import pool, site
from support.edge import run

SHELLS = [shells.bash, shells.fish]


@pytest.fixture
def proxy(edge, origin):
    shop = origin("shop")
    conf = site(services={"shop": {"pools": {"blue": pool(shop, weight=90), "green": pool(shop, weight=10)}}, "api": {"pools": {"only": pool(shop)}}},
        routes=[{"path": "/", "service": "shop"}, {"path": "/api", "service": "api"}])
    conf["tenants"]["beta"] = {"hosts": ["beta.test"], "services": {"web": {"pools": {"one": pool(shop)}}}}
    proxy = edge(conf)
    proxy.shop = str(shop)
    return proxy


@pytest.fixture(params=SHELLS, ids=["bash", "fish"])
def complete(request, proxy, tmp_path):
    return lambda line: request.param(line, tmp_path, proxy.dir / "admin.sock")


def words(line, proxy=None):
    """What every script is told: {word: what it is}."""
    args = line.split(" ")[1:]
    r = proxy.cli("complete", "--", *args) if proxy else run("complete", "--", *args)
    assert r.code == 0 and not r.err
    return dict(row.split("\t") if "\t" in row else (row, None) for row in r.out.splitlines())


def test_shells_complete_commands_options_and_names(complete):
    assert set(complete("weir sta")) == {"status"}
    assert {"run", "status", "weights", "help"} <= set(complete("weir "))
    assert set(complete("weir weights acme/s")) == {"acme/shop"}
    assert set(complete("weir status acme/shop")) == {"acme/shop", "acme/shop/blue", "acme/shop/green"}
    assert set(complete("weir weights acme/shop --rese")) == {"--reset"}
    assert set(complete("weir pool acme/shop/green --state p")) == {"pinned"}
    assert set(complete("weir weights acme/shop g")) == {"green="}


def test_shells_complete_files(complete, tmp_path):
    (tmp_path / "weir of mine.yaml").touch()
    found = complete("weir check -c weir")
    assert any("weir of mine.yaml" in w.replace("\\", "") for w in found), found


def test_bash_breaks_words_at_colons_and_equals_signs(proxy, tmp_path):
    host, port = proxy.shop.split(":")
    ask = lambda line: shells.bash(line, tmp_path, proxy.dir / "admin.sock")
    assert ask(f"weir backends acme/shop/green remove {host}:") == [port]
    assert set(ask("weir pool acme/shop/green --state=")) == {"open", "pinned", "draining", "closed", "file"}


def test_zsh_completes_where_somebody_types(proxy, tmp_path, started):
    z = shells.Zsh(tmp_path, proxy.dir / "admin.sock")
    started.append(z)
    assert z.complete("weir sta") == "weir status"
    assert z.complete("weir weights acme/s") == "weir weights acme/shop"
    assert z.complete("weir weights acme/shop g") == "weir weights acme/shop green="
    assert z.complete("weir pool acme/shop/green --state dr") == "weir pool acme/shop/green --state draining"


def test_what_may_follow_comes_from_the_synopsis(proxy):
    assert set(words("weir backends acme/shop/blue ", proxy)) == {"set", "add", "remove", "reset"}
    assert list(words("weir backends acme/shop/blue remove ", proxy)) == [proxy.shop]
    assert set(words("weir completion ")) == {"bash", "zsh", "fish"}
    assert set(words("weir why --reason upstream_refused")) == {"upstream_refused", "upstream_refused_stream"}
    assert set(words("weir pool b", proxy)) == {"beta/web/one"}
    assert set(words("weir events --tenant ", proxy)) == {"acme", "beta"}
    assert set(words("weir status ", proxy)) >= {"acme", "acme/api", "acme/shop/green", "beta"}
    assert words("weir pool acme/shop/g", proxy)["acme/shop/green"].startswith("open, weight ")
    assert words("weir check -c ") == {":files": None}
    assert words("weir help stat") == {"status": words("weir stat")["status"]}
    assert words("weir nonsense ") == words("weir top x") == {}


def test_the_socket_on_the_line_is_the_one_that_is_asked(proxy, tmp_path):
    assert words(f"weir weights --socket {proxy.dir}/admin.sock a") == {"acme/shop": "service", "acme/api": "service"}
    assert words(f"weir weights --socket={tmp_path}/none a") == {}


def test_an_unknown_shell_is_said_to_be_so():
    r = run("completion", "tcsh")
    assert r.code == 2 and "bash, zsh, fish" in r.err
