"""What must not be lost, and a disk that is full, broken or not there: weir serves on, says so, and recovers by itself."""
import json
import resource
import sqlite3

import pytest

from support.config import pool, site
from support.wire import eventually


@pytest.fixture
def blue(origin):
    return origin("blue")


def state(proxy):
    """state.db, read by somebody else."""
    return sqlite3.connect(f"file:{proxy.dir}/state/state.db?mode=ro", uri=True, timeout=10)


def kept(proxy, name):
    with state(proxy) as db:
        return [json.loads(m) for m, in db.execute("SELECT members FROM events WHERE name = ? ORDER BY seq", (name,))]


def test_events_are_kept_across_a_stop(edge, blue):
    proxy = edge(site(blue))
    proxy.reload(site(blue, limits={"header_count": 50}))
    proxy.stop()
    assert [e["outcome"] for e in kept(proxy, "reload")] == ["applied"]
    assert kept(proxy, "stopped")


def test_events_are_written_while_weir_runs(edge, blue):
    proxy = edge(site(blue))
    eventually(lambda: kept(proxy, "ready"), "the event in the file")


def test_a_damaged_file_is_set_aside_and_weir_starts(edge, blue, tmp_path):
    (tmp_path / "state.db").write_bytes(b"no database at all, but long enough for a header" * 100)
    proxy = edge(site(blue, state_dir=str(tmp_path)))
    assert proxy.get("/").body == b"blue"
    aside = proxy.wait_event("state_corrupt")["kept_as"]
    assert open(aside, "rb").read().startswith(b"no database")


def test_a_file_of_a_newer_weir_is_not_touched(edge, blue, tmp_path):
    with sqlite3.connect(tmp_path / "state.db") as db:
        db.executescript("CREATE TABLE documents(x); PRAGMA application_id=1466263922; PRAGMA user_version=99")
    before = (tmp_path / "state.db").read_bytes()
    proxy = edge(site(blue, state_dir=str(tmp_path)))
    assert "newer weir" in proxy.wait_event("state_unwritable")["error"]
    assert proxy.get("/").body == b"blue"
    proxy.stop()
    assert (tmp_path / "state.db").read_bytes() == before


def test_without_a_place_for_its_state_weir_serves_and_says_so(edge, blue, tmp_path):
    (tmp_path / "file").write_text("")
    proxy = edge(site(blue, state_dir=str(tmp_path / "file" / "state")))
    assert "state_dir" in proxy.wait_event("state_unwritable")["error"]
    storage = json.loads(proxy.admin("GET", "/v1/status").body)["storage"]
    assert not storage["writable"] and "state_dir" in storage["error"]
    assert proxy.get("/").body == b"blue"
    proxy.reload(site(blue, state_dir=str(tmp_path / "better")))
    proxy.wait_event("state_writable")
    assert json.loads(proxy.admin("GET", "/v1/status").body)["storage"]["writable"]
    eventually(lambda: (tmp_path / "better" / "state.db").exists(), "the state in its new place")


def test_a_full_disk_stops_nothing_and_is_over_when_there_is_room(edge, blue):
    proxy = edge(site(blue))
    eventually(lambda: kept(proxy, "ready"), "the event in the file")
    pids = proxy.pids()
    before = [resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in pids]
    try:
        for pid, limit in zip(pids, before):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (20000, limit[1]))  # more than the logs have, less than the state
        proxy.reload(outcome="unchanged")
        assert "no room" in proxy.wait_event("state_unwritable")["error"]
        assert proxy.get("/").body == b"blue"
    finally:
        for pid, limit in zip(pids, before):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)
    proxy.wait_event("state_writable")
    eventually(lambda: kept(proxy, "state_unwritable"), "what could not be told, told")


def test_the_state_moves_with_its_directory(edge, blue, tmp_path):
    proxy = edge(site(blue))
    eventually(lambda: kept(proxy, "ready"), "the event in the file")
    proxy.reload(site(blue, state_dir=str(tmp_path / "elsewhere")))
    proxy.wait_event("state_moved")
    assert (tmp_path / "elsewhere" / "state.db").exists()


def test_what_another_process_writes_into_it_holds_from_then_on(edge, origin, blue):
    proxy = edge(site(pools={"blue": pool(blue, weight=100), "green": pool(origin("green"), weight=0)}))
    assert proxy.cli("weights", "acme/shop", "blue=1", "green=0").code == 0
    with sqlite3.connect(proxy.dir / "state" / "state.db", timeout=10) as db:
        body = json.loads(db.execute("SELECT body FROM documents WHERE kind = 'service' AND key = 'acme/shop'").fetchone()[0])
        text = json.dumps(body)
        body["version"] += 5
        body["pools"]["green"] = {**body["pools"]["blue"], "weight": 1}
        body["pools"]["blue"]["weight"] = 0
        assert json.dumps(body) != text
        db.execute("UPDATE documents SET body = ? WHERE kind = 'service' AND key = 'acme/shop'", (json.dumps(body),))
    proxy.wait_event("state_changed")
    eventually(lambda: proxy.get("/").body == b"green", "the weights that were written")
    assert proxy.cli("weights", "acme/shop", "blue=3").code == 0
    assert json.loads(proxy.admin("GET", "/v1/services/acme/shop/weights").body)["version"] == body["version"] + 1
