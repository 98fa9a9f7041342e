"""Users move to a new version by themselves, step by step, and back when it is worse."""
import json
import os
import random
import re
import signal
import threading
import time

import pytest

from support.config import http, pool, site
from support.http1 import Client, Closed
from support.load import Load
from support.origin import Origin
from support.wire import eventually

SHIFT = "/v1/services/acme/shop/shift"
KILLS = int(os.environ.get("WEIR_KILLS", "10"))  # of a run; `WEIR_KILLS=1000` for a long one


@pytest.fixture
def blue(origin):
    return origin("blue")


@pytest.fixture
def green(origin):
    return origin("green")


@pytest.fixture
def shop(edge, blue, green):
    """weir with blue serving all and green nobody; keys of the site."""
    def start(b=100, g=0, service=None, **top):
        return edge(site(pools={"blue": pool(blue, weight=b), "green": pool(green, weight=g)}, service=service, **top))
    return start


def weights(proxy):
    pools = proxy.admin("GET", "/v1/services/acme/shop/weights").json()["pools"]
    return {name: round(p["effective_weight"]) for name, p in pools.items()}


def begin(proxy, status=201, **plan):
    r = proxy.admin("POST", SHIFT, {"pool": "green", **plan})
    assert r.status == status, (r.status, r.body)
    return r.json()


def shift(proxy):
    r = proxy.admin("GET", SHIFT)
    assert r.status == 200, r.body
    return r.json()


def act(proxy, action, status=200, **more):
    r = proxy.admin("PATCH", SHIFT, {"action": action, **more})
    assert r.status == status, (r.status, r.body)
    return r.json()


def wait_state(proxy, *states):
    def there():
        now = shift(proxy)
        return now if now["state"] in states else None
    return eventually(there, lambda: f"shift in {states}: {shift(proxy)}")


def steps_seen(document):
    return [e["share"] for e in document["log"] if e["state"] == "stepping"]


# -- steps --

def test_users_move_step_by_step_and_all_of_them_in_the_end(shop):
    proxy = shop()
    begin(proxy, steps=[10, 50, 100], every="500ms", reason="version 2")
    done = wait_state(proxy, "done")
    assert steps_seen(done) == [10, 50, 100]
    assert weights(proxy) == {"blue": 0, "green": 100}
    assert proxy.get("/").body == b"green"
    events = [(e["state"], e["share"]) for e in proxy.events("shift")]
    assert ("stepping", 10.0) in events and events[-1] == ("done", 100.0)
    history = proxy.admin("GET", "/v1/services/acme/shop/history").json()
    assert "shift to green" in json.dumps(history)
