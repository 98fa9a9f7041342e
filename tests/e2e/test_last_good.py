"""The file is broken, and something has to be started all the same: the configuration that was served last goes on."""
import json
import os
import signal

import pytest

from support.config import http, https, pool, site
from support.prometheus import scrape
from support.wire import eventually

UNKNOWN = "\nnothing: good\n"


@pytest.fixture
def shop(origin):
    return origin("shop")


def kill_worker(proxy):
    ready = len(proxy.events("ready"))
    os.kill(proxy.worker_pid(), signal.SIGKILL)
    proxy.wait_event("ready", ready + 1)


def break_file(proxy, text=UNKNOWN):
    proxy.file.write_text(proxy.file.read_text() + text)


def kept(proxy):
    """What the supervisor has written, as a text; empty: nothing yet."""
    try:
        return (proxy.dir / "state" / "last-good.json").read_text()
    except FileNotFoundError:
        return ""


def wait_kept(proxy, word="shop"):
    eventually(lambda: word in kept(proxy), "the configuration in state_dir")


def is_said_loudly(proxy, word):
    event = proxy.wait_event("reload", outcome="refused", last_good=True)
    assert event["level"] == "error" and word in event["errors"][0]["message"]
    assert word in proxy.stderr() and "last good configuration" in proxy.stderr()
    assert word in json.dumps(proxy.admin("GET", "/v1/status").json()["refused_reload"])
    assert scrape(proxy).value("weir_reload_last_good") == 0


def test_the_next_worker_process_serves_what_the_last_one_served(edge, shop):
    proxy = edge(site(shop))
    proxy.reload(site(shop, limits={"header_count": 60}))
    wait_kept(proxy, "header_count")
    break_file(proxy)
    kill_worker(proxy)
    assert proxy.get("/").body == b"shop"
    is_said_loudly(proxy, "nothing")
    proxy.reload(outcome="refused")
    assert proxy.reload(site(shop, limits={"header_count": 61}))["outcome"] == "applied"
    assert scrape(proxy).value("weir_reload_last_good") == 1
    assert proxy.admin("GET", "/v1/status").json()["refused_reload"] is None


@pytest.mark.parametrize("broken, word", [(UNKNOWN, "nothing"), ("\ntenants: [\n", "tenants"), ("\n\t{", "")], ids=["unknown", "twice", "garbage"])
def test_weir_itself_starts_with_what_it_served_last(edge, shop, broken, word):
    proxy = edge(site(shop))
    wait_kept(proxy)
    proxy.stop()
    break_file(proxy, broken)
    proxy.start_again()
    assert proxy.get("/").body == b"shop"
    is_said_loudly(proxy, word)


def test_what_is_included_is_kept_too(edge, shop, tmp_path):
    parts = tmp_path / "tenants.d"
    parts.mkdir()
    for name in ("acme", "byte"):
        (parts / f"{name}.yaml").write_text(json.dumps({"tenants": {name: {"hosts": [f"{name}.test"], "services": {"s": {"pools": {"p": pool(shop)}}}}}}))
    proxy = edge({"include": [f"{parts}/*.yaml"]})
    wait_kept(proxy, "byte.test")
    proxy.stop()
    (parts / "acme.yaml").write_text("tenants: {")
    (parts / "byte.yaml").unlink()
    proxy.start_again()
    assert [proxy.get("/", host=f"{name}.test").status for name in ("acme", "byte")] == [200, 200]


def test_a_certificate_that_cannot_be_read_breaks_the_file_like_any_error(edge, shop, tmp_path):
    proxy = edge(site(shop))
    wait_kept(proxy)
    proxy.stop()
    missing = {"cert": str(tmp_path / "no.pem"), "key": str(tmp_path / "no.key")}
    proxy.configure(site(shop, listeners={"http": http(), "https": https(missing)}))
    proxy.start_again()
    assert proxy.get("/").body == b"shop"
    is_said_loudly(proxy, "no.pem")


def test_a_good_file_is_served_whatever_was_kept(edge, shop, origin):
    proxy = edge(site(shop))
    wait_kept(proxy)
    proxy.stop()
    proxy.configure(site(origin("other")))
    proxy.start_again()
    assert proxy.get("/").body == b"other"
    assert not proxy.events("reload")


@pytest.mark.parametrize("spoil", [lambda p: p.chmod(0o666), lambda p: p.write_text("{"), lambda p: p.write_text(json.dumps({"config": "/else", "files": []})),
                                   lambda p: p.unlink()], ids=["of others", "cut", "of another file", "none"])
def test_what_cannot_be_believed_is_not_served(edge, shop, spoil):
    proxy = edge(site(shop))
    wait_kept(proxy)
    proxy.stop()
    break_file(proxy)
    spoil(proxy.dir / "state" / "last-good.json")
    proxy.start_again(wait=False)
    assert proxy.wait_exit() == 1
    assert "not started" in proxy.stderr()
