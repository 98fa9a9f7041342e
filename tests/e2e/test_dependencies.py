"""Those whom modules ask: an operator is told once when one does not answer any more, what happens meanwhile, and when he is back."""
import time

import pytest

from support.answers import reply
from support.collector import TAKEN, Collector
from support.config import site
from support.prometheus import scrape
from support.redis import Redis
from support.tokens import Key, key_set
from support.wire import eventually


@pytest.fixture
def redis(started):
    server = Redis()
    started.append(server)
    return server


def up(proxy, module):
    return scrape(proxy).value("weir_dependency_up", module=module)


def told(proxy):
    return [e["event"] for e in proxy.events() if e["event"].startswith("dependency_")]


def lost_and_found(proxy, module, ask, mend, **event):
    """He is gone already. ask: makes weir ask him once."""
    def is_told(kind):
        ask()
        return proxy.events(kind)
    eventually(lambda: is_told("dependency_lost"), "that he is lost")
    lost = proxy.wait_event("dependency_lost", module=module, **event)
    assert lost["level"] == "warning" and lost["error"] and lost["meanwhile"]
    for _ in range(10):
        ask()
    assert up(proxy, module) == 0
    [line] = [line for line in proxy.cli("status").out.splitlines() if "does not answer" in line]
    assert lost["address"] in line and lost["meanwhile"] in line and module in line
    [one] = proxy.admin("GET", "/v1/status").json()["dependencies"]
    assert one["answers"] is False and one["meanwhile"] == lost["meanwhile"]
    mend()
    eventually(lambda: is_told("dependency_back"), "that he is back")
    assert proxy.wait_event("dependency_back", module=module)["lost_ms"] > 0
    assert up(proxy, module) == 1 and "does not answer" not in proxy.cli("status").out
    assert told(proxy) == ["dependency_lost", "dependency_back"]  # once, whoever asks and however often
    return lost


def test_redis(edge, origin, redis):
    rules = {"many": {"rate": 1000000, "per": "24h", "by": ["address"], "fleet": True}}
    proxy = edge(site(origin(), modules={"ratelimit": {"redis": {"address": redis.address, "timeout": "10s"}, "rules": rules}}), workers=2)
    assert proxy.get("/").status == 200 and up(proxy, "ratelimit") == 1
    redis.kill()
    lost = lost_and_found(proxy, "ratelimit", lambda: proxy.get("/"), redis.start, what="Redis", address=redis.address)
    assert lost["meanwhile"] == "each node counts for itself"


def test_a_server_that_decides(edge, origin):
    judge = origin("judge")
    judge.always(reply(500))
    conf = site(origin(), modules={"forward_auth": {"url": f"http://{judge}/check?key=secret"}}, routes=[{"path": "/", "service": "shop"}])
    conf["tenants"]["other"] = {"hosts": ["other.test"], "modules": conf["modules"], "services": conf["tenants"]["acme"]["services"]}
    proxy = edge(conf, workers=1)

    def ask():
        proxy.get("/")
        proxy.get("/", host="other.test")
    lost = lost_and_found(proxy, "forward_auth", ask, lambda: judge.always(reply(200)), what="server", address=f"http://{judge}/check")
    assert lost["error"] == "it answered 500" and lost["meanwhile"] == "requests are answered 503"


def test_an_issuer_of_keys(edge, origin):
    issuer, key = origin("issuer"), Key("ES256", "k")
    issuer.always(reply(200, b"<html>"))
    proxy = edge(site(origin(), modules={"jwt": {"jwks_url": f"http://{issuer}/keys"}}), workers=1)
    token = key.token({"sub": "u", "exp": int(time.time()) + 600})
    lost = lost_and_found(proxy, "jwt", lambda: proxy.get("/", headers={"Authorization": f"Bearer {token}"}),
                          lambda: issuer.always(reply(200, key_set(key))), what="issuer")
    assert "503" in lost["meanwhile"]
    assert proxy.get("/", headers={"Authorization": f"Bearer {token}"}).status == 200


def test_a_collector_of_traces(edge, origin):
    collector = Collector(origin("collector"))
    collector.answer(reply(503))
    proxy = edge(site(origin(), modules={"tracing": {"endpoint": collector.url, "sample": "100%", "interval": "100ms"}}))
    lost_and_found(proxy, "tracing", lambda: proxy.get("/"), lambda: collector.answer(TAKEN), what="collector")


def test_who_is_lost_is_told_of_by_the_next_process_too_and_not_by_a_reload(edge, origin):
    judge = origin("judge")
    judge.always(reply(500))
    conf = site(origin(), modules={"forward_auth": {"url": f"http://{judge}/", "fail_open": True}})
    proxy = edge(conf, workers=1)

    def ask_until(n):
        eventually(lambda: proxy.get("/").status == 200 and len(told(proxy)) >= n, f"{n} events")
    ask_until(1)
    proxy.reload({**conf, "limits": {"header_count": 50}})
    for _ in range(5):
        proxy.get("/")
    proxy.cli("upgrade")
    ask_until(2)
    judge.always(reply(200))
    ask_until(3)
    assert told(proxy)[:3] == ["dependency_lost", "dependency_lost", "dependency_back"]
