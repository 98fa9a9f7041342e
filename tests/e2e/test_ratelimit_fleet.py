"""Module ratelimit with Redis: one limit for all nodes, and what becomes of it when Redis does not answer."""
import socket
import threading

import pytest

from support.config import site
from support.edge import run
from support.http1 import build
from support.processes import go_on, halt
from support.prometheus import scrape
from support.redis import Redis
from support.wire import PATIENCE, eventually, listen

DAY = {"rate": 6, "per": "24h"}
WORKERS = 2


@pytest.fixture
def redis(started):
    def start(*args, **kw):
        server = Redis(*args, **kw)
        started.append(server)
        return server
    return start


def shared(origin, address, rules=None, **keys):
    """Patient by default: nobody shall do without Redis because the machine is slow."""
    server = {"address": str(address), "timeout": "10s", "on_failure": "deny", **keys}
    return site(origin, modules={"ratelimit": {"redis": server, "rules": rules or {"few": {**DAY, "by": ["address"], "fleet": True}}}})


def statuses(proxy, n, **kw):
    return [proxy.get("/", **kw).status for _ in range(n)]


def node(edge, conf, server, nodes=1):
    proxy = edge(conf, workers=WORKERS)
    server.wait_clients(WORKERS * nodes)
    return proxy


def counted(proxy, event):
    return scrape(proxy).value("weir_module_events_total", module="ratelimit", what="redis", event=event)


def test_two_nodes_share_one_limit_exactly(edge, origin, redis):
    blue, server = origin(), redis()
    first = node(edge, shared(blue, server.address), server)
    second = node(edge, shared(blue, server.address), server, nodes=2)
    got = [[], []]

    def ask(i, proxy):
        got[i] = statuses(proxy, 20)
    threads = [threading.Thread(target=ask, args=(i, p)) for i, p in enumerate((first, second))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(set(got[0] + got[1])) == [200, 429]
    assert (got[0] + got[1]).count(200) == blue.count == 6
    assert counted(first, "failed") == counted(second, "failed") == 0


def test_clients_are_told_what_all_nodes_have_left(edge, origin, redis):
    server = redis()
    first = node(edge, shared(origin(), server.address), server)
    second = node(edge, shared(origin(), server.address), server, nodes=2)
    assert first.get("/").header("ratelimit").startswith('"few";r=5;')
    assert second.get("/").header("ratelimit").startswith('"few";r=4;')
    statuses(first, 4)
    r = second.get("/")
    assert r.status == 429 and r.header("x-weir-reason") == "rate_limited" and 14000 < int(r.header("retry-after")) <= 14400
    assert second.logged(status=429)["ratelimit"] == "few"


def test_who_is_refused_here_costs_redis_nothing_and_who_is_refused_there_costs_nothing_here(edge, origin, redis):
    server = redis()
    rules = {"here": {"rate": 3, "per": "24h", "by": ["header:X-Key"]}, "there": {**DAY, "rate": 4, "fleet": True}}
    proxy = node(edge, shared(origin(), server.address, rules), server)
    assert statuses(proxy, 5, headers={"X-Key": "a"}) == [200] * 3 + [429] * 2
    assert counted(proxy, "asked") == 3
    assert statuses(proxy, 3, headers={"X-Key": "b"}) == [200, 429, 429]
    server.cli("FLUSHALL")
    assert statuses(proxy, 3, headers={"X-Key": "b"}) == [200, 200, 429]
    proxy.logged(n=3, ratelimit="here")
    proxy.logged(n=2, ratelimit="there")


def test_of_two_rules_of_the_fleet_both_count_or_none(edge, origin, redis):
    server = redis()
    rules = {"all": {**DAY, "rate": 5, "fleet": True}, "each": {**DAY, "rate": 2, "by": ["header:X-Key"], "fleet": True},
             "dry": {**DAY, "rate": 1, "fleet": True, "dry_run": True}}
    proxy = node(edge, shared(origin(), server.address, rules), server)
    assert statuses(proxy, 4, headers={"X-Key": "a"}) == [200, 200, 429, 429]
    assert statuses(proxy, 4, headers={"X-Key": "b"}) == [200, 200, 429, 429]
    assert statuses(proxy, 2, headers={"X-Key": "c"}) == [200, 429]
    proxy.logged(n=4, ratelimit_dry_run="dry")


def test_scripts_that_redis_has_forgotten_are_sent_again(edge, origin, redis):
    server = redis()
    proxy = node(edge, shared(origin(), server.address), server)
    assert statuses(proxy, 2) == [200, 200]
    server.cli("SCRIPT", "FLUSH")
    assert statuses(proxy, 5) == [200] * 4 + [429]
    assert counted(proxy, "failed") == 0


@pytest.mark.parametrize("policy, expected", [("allow", [200] * 9), ("deny", [503] * 9), ("local", [200] * 6 + [429] * 3)])
def test_without_redis_it_goes_as_on_failure_says_until_it_is_back(edge, origin, redis, policy, expected):
    server = redis()
    proxy = node(edge, shared(origin(), server.address, on_failure=policy), server)
    assert statuses(proxy, 1) == [200]
    server.kill()
    assert statuses(proxy, 9) == expected
    assert proxy.logged(n=9 if policy != "local" else 6, status=expected[0], **({"reason": "ratelimit_unavailable"} if policy == "deny" else {}))
    assert counted(proxy, "failed") == 9
    eventually(lambda: sum("ratelimit_redis" in line for line in proxy.access_log()) == 9, "nine lines that say why")
    server.start()
    server.wait_clients(WORKERS)
    assert statuses(proxy, 7) == [200] * 6 + [429]


def test_a_redis_that_was_never_there_is_found_when_it_comes(edge, origin, redis):
    server = redis()
    server.kill()
    proxy = edge(shared(origin(), server.address, on_failure="allow"), workers=WORKERS)
    assert statuses(proxy, 8) == [200] * 8
    server.start()
    server.wait_clients(WORKERS)
    assert statuses(proxy, 7) == [200] * 6 + [429]


def test_a_redis_that_hangs_delays_few_requests_and_is_asked_again_when_it_moves(edge, origin, redis):
    server = redis()
    proxy = node(edge, shared(origin(), server.address, timeout="50ms", on_failure="allow"), server)
    server.pause()
    assert statuses(proxy, 20) == [200] * 20
    proxy.logged(n=20, status=200)
    problems = {line["ratelimit_redis"] for line in proxy.access_log()}
    assert "timeout" in problems and len(problems) > 1  # those behind it did not wait
    server.resume()
    eventually(lambda: proxy.get("/").status == 429, "counted again")


def test_a_client_that_leaves_while_redis_is_asked_leaves_nothing_behind(edge, origin, redis):
    server = redis()
    proxy = node(edge, shared(origin(), server.address), server)
    assert statuses(proxy, 1) == [200]  # Redis knows the script
    before = server.calls("evalsha")
    server.pause()
    conns = [proxy.connect() for _ in range(5)]
    for c in conns:
        c.send(b"GET / HTTP/1.1\r\nHost: acme.test\r\n\r\n")
    eventually(lambda: counted(proxy, "asked") == 6, "all are asked")
    for c in conns:
        c.reset()
    proxy.logged(n=5, status=499)
    server.resume()
    eventually(lambda: server.calls("evalsha") == before + 5, "all are answered")  # by either worker's connection
    assert statuses(proxy, 1) == [429]  # what had been asked was counted


def test_a_full_redis_is_one_that_does_not_answer(edge, origin, redis):
    server = redis()
    proxy = node(edge, shared(origin(), server.address), server)
    server.cli("CONFIG", "SET", "maxmemory", "1")
    assert statuses(proxy, 2) == [503, 503]
    assert proxy.logged(n=2, status=503)["ratelimit_redis"].find("OOM") >= 0
    server.cli("CONFIG", "SET", "maxmemory", "0")
    assert statuses(proxy, 1) == [200]


def test_a_password_is_told_and_a_wrong_one_is_logged(edge, origin, redis):
    server = redis("--requirepass", "secret")
    wrong = edge(shared(origin(), server.address, password="guess"))
    assert statuses(wrong, 1) == [503] and "WRONGPASS" in wrong.logged(status=503)["ratelimit_redis"]
    none = edge(shared(origin(), server.address))
    assert statuses(none, 1) == [503] and "NOAUTH" in none.logged(status=503)["ratelimit_redis"]
    right = edge(shared(origin(), server.address, username="default", password="${PASSWORD}"), env={"PASSWORD": "secret"})
    assert statuses(right, 7) == [200] * 6 + [429]


def test_keys_lie_in_their_database_under_their_prefix_and_go_by_themselves(edge, origin, redis):
    server = redis()
    proxy = node(edge, shared(origin(), server.address, database=3, prefix="edge"), server)
    assert statuses(proxy, 1) == [200]
    key = server.cli("-n", "3", "--scan")
    assert key.startswith("edge::few") and "127.0.0.1" in key
    assert 0 < int(server.cli("-n", "3", "PTTL", key + "\n")) <= 4 * 3600 * 1000
    assert server.cli("-n", "0", "DBSIZE") == "0"


def test_tls_to_redis_is_verified(edge, origin, redis, pki, stranger):
    server = redis(tls={"pair": pki.server("localhost", "127.0.0.1"), "ca": pki.file})
    named = f"localhost:{server.port}"
    good = edge(shared(origin(), named, tls={"ca": pki.file}))
    assert statuses(good, 7) == [200] * 6 + [429]
    bad = edge(shared(origin(), server.address, tls={"ca": stranger.file}))
    assert statuses(bad, 1) == [503]
    assert bad.logged(status=503)["ratelimit_redis"].startswith("upstream_tls_verify: ")


@pytest.mark.parametrize("says", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"*1000000000\r\n", b"$-7\r\n\0\0\0", b""])
def test_what_does_not_speak_redis_is_passed_over(edge, origin, started, says):
    sock = listen()

    def serve():
        while True:
            try:
                c, _ = sock.accept()
            except OSError:
                return
            c.settimeout(PATIENCE)
            try:
                if c.recv(1000):
                    c.sendall(says)
            except OSError:
                pass
            c.close()
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        proxy = edge(shared(origin(), "127.0.0.1:%d" % sock.getsockname()[1], on_failure="allow"))
        assert statuses(proxy, 8) == [200] * 8
        assert counted(proxy, "failed") == 8
    finally:
        sock.shutdown(socket.SHUT_RDWR)
        sock.close()


def test_a_reload_keeps_the_connections_and_an_upgrade_keeps_the_count(edge, origin, redis):
    server, blue = redis(), origin()
    proxy = node(edge, shared(blue, server.address), server)
    assert statuses(proxy, 2) == [200, 200]
    before = int(server.cli("INFO", "stats").split("total_connections_received:")[1].split()[0])
    conf = shared(blue, server.address)
    conf["timeouts"] = {"connect": "4s"}
    proxy.reload(conf)
    assert statuses(proxy, 1) == [200]
    after = int(server.cli("INFO", "stats").split("total_connections_received:")[1].split()[0])
    assert after == before + 1  # the question's own
    assert proxy.cli("upgrade").code == 0
    assert statuses(proxy, 4) == [200] * 3 + [429]


def test_another_redis_after_a_reload_counts_anew(edge, origin, redis):
    first, second, blue = redis(), redis(), origin()
    proxy = node(edge, shared(blue, first.address), first)
    assert statuses(proxy, 7) == [200] * 6 + [429]
    proxy.reload(shared(blue, second.address))
    second.wait_clients(WORKERS)
    assert statuses(proxy, 7) == [200] * 6 + [429]
    eventually(lambda: first.cli("CLIENT", "LIST").count("\n") == 0, "nobody is connected to the first")


def test_a_tenants_rules_are_counted_in_the_redis_of_the_top_level(edge, origin, redis):
    server = redis()
    conf = site(origin(), modules={"ratelimit": {"redis": {"address": str(server.address), "timeout": "10s", "on_failure": "deny"}}},
                tenant={"modules": {"ratelimit": {"rules": {"few": {**DAY, "fleet": True}}}}})
    proxy = node(edge, conf, server)
    assert statuses(proxy, 7) == [200] * 6 + [429]
    assert server.cli("DBSIZE").strip() == "1"


@pytest.mark.parametrize("protocol", ["http1", "h2"])
def test_who_leaves_in_the_moment_of_the_answer_hurts_nobody(edge, origin, redis, protocol):
    blue, server = origin(), redis()
    limit = shared(blue, server.address)["modules"]
    proxy = edge(site(blue, tenant={"modules": limit}), workers=1)
    server.wait_clients(1)
    assert proxy.get("/").status == 200
    worker, before = proxy.worker_pid(), server.calls("evalsha")
    server.pause()
    client = proxy.connect() if protocol == "http1" else proxy.connect2()
    if protocol == "http1":
        client.send(build("GET", "/left"))
    else:
        client.start(path="/left")
    # Each answer is a turn of the worker's loop: one to read what the client sent, one to write what is asked of Redis, and some to spare.
    for _ in range(6):
        assert proxy.get("/", host="nobody.test").status == 404
    halt(worker)
    client.reset() if protocol == "http1" else client.close()
    server.resume()
    eventually(lambda: server.calls("evalsha") > before, "Redis to answer")
    go_on(worker)
    assert proxy.logged(path="/left")["status"] == 499
    assert blue.count == 1
    assert proxy.get("/").status == 200 and proxy.worker_pid() == worker


def test_explain_says_where_it_is_counted(edge, origin, redis):
    server = redis()
    proxy = node(edge, shared(origin(), server.address), server)
    assert "in Redis" in proxy.cli("explain", "http://acme.test/").out


@pytest.mark.parametrize("redis_keys, rule, says", [
    (None, {"rate": 1, "fleet": True}, 'module "ratelimit" needs "redis", here or at a wider level'),
    ({"address": "nowhere"}, {"rate": 1}, "must be HOST:PORT or unix:/PATH"),
    ({"address": "a:1", "username": "x"}, {"rate": 1}, 'needs a "password"'),
    ({"address": "a:1", "on_failure": "maybe"}, {"rate": 1}, "local, allow, deny"),
    ({"address": "a:1"}, {"rate": 1000000, "fleet": True}, "at most 100000 requests a second"),
])
def test_mistakes_are_explained(tmp_path, redis_keys, rule, says):
    import yaml
    file = tmp_path / "weir.yaml"
    modules = {"ratelimit": {"rules": {"few": rule}, **({"redis": redis_keys} if redis_keys else {})}}
    file.write_text(yaml.safe_dump({"listeners": {"http": {"address": "127.0.0.1:1"}}, **site("127.0.0.1:2"), "modules": modules}))
    out = run("check", "-c", file)
    assert out.code != 0 and says in out.err + out.out
