"""The dashboard at / of the admin API, in a real browser."""
import hashlib
import os

import pytest

from support.browser import PROGRAM, START, Browser
from support.config import pool, site
from support.http1 import Client
from support.load import Load
from support.wire import eventually

ANYWHERE = "127.0.0.9:0"
TOKENS = [{"name": "night", "role": "viewer", "sha256": hashlib.sha256(b"night").hexdigest()}]
HEALTH = {"http": {"path": "/"}, "interval": "100ms", "timeout": "5s", "rise": 1, "fall": 1}


@pytest.fixture
def shop(edge, origin):
    """weir with two pools; blue serves all."""
    def start(**admin):
        return edge(site(pools={"blue": pool(origin("blue"), weight=100), "green": pool(origin("green"), weight=0)},
                         admin={"listen": ANYWHERE, **admin}))
    return start


def url(proxy):
    host, port = proxy.address("admin.listen")
    return f"http://{host}:{port}/"


def page(proxy, headers=(), host="localhost"):
    with Client(proxy.address("admin.listen")) as c:
        return c.get("/", headers, host=host)


def test_the_page_is_whole_and_may_do_nothing_but_ask_this_weir(shop):
    proxy = shop(tokens=TOKENS)
    r = page(proxy)  # it has no secrets: no token is asked for
    assert r.status == 200 and r.header("content-type") == "text/html; charset=utf-8"
    policy = dict(p.strip().split(" ", 1) for p in r.header("content-security-policy").split(";"))
    assert policy["default-src"] == "'none'" and policy["connect-src"] == "'self'" and policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in r.header("content-security-policy") and r.header("x-frame-options") == "DENY"
    text = r.body.decode()
    assert text.startswith("<!doctype html>") and text.rstrip().endswith("</html>")
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "https://" not in text and "//cdn" not in text
    assert "innerHTML" not in text
    assert proxy.admin("GET", "/").body == r.body


def test_a_link_leads_to_it_and_a_stranger_does_not_read_it(shop):
    proxy = shop(tokens=TOKENS)
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert page(proxy, link).status == 200
    assert page(proxy, {**link, "Sec-Fetch-Dest": "iframe"}).status == 403
    assert page(proxy, {"Origin": "http://evil.test"}).status == 403
    assert page(proxy, host="evil.test").status == 403


@pytest.fixture
def browser(started):
    assert PROGRAM, "chromium is not installed: make deps-test"
    b = Browser()
    started.append(b)
    return b


def test_somebody_watches_a_shift_move(shop, browser):
    proxy = shop(tokens=TOKENS)
    browser.go(url(proxy))
    browser.wait_text("#gate", "token")
    browser.run("document.getElementById('token').value = 'nobody'; document.querySelector('#gate form').requestSubmit()")
    browser.wait_text("#gate", "Nobody has this token")
    browser.run("document.getElementById('token').value = 'night'; document.querySelector('#gate form').requestSubmit()")
    browser.wait_text("#link", "live")
    browser.wait_text("#services", "shop")
    browser.wait_text("#alerts", "All is well")
    assert proxy.admin("POST", "/v1/services/acme/shop/shift", {"pool": "green", "steps": [10, 50, 100], "every": "1h", "reason": "release 7"}).status == 201

    def share():
        return browser.run("[...document.querySelectorAll('.split > div')].map((e) => Math.round(e.style.flexGrow)).join()")
    for step, shares in ((1, "90,10"), (2, "50,50")):
        browser.wait_text(".move", f"step {step} of 3, observing")  # it may be promoted now
        eventually(lambda shares=shares: share() == shares, lambda: f"the bar: {share()}", START)
        assert "release 7" in browser.text(".move")
        if os.environ.get("WEIR_SCREENSHOT"):
            browser.screenshot(os.environ["WEIR_SCREENSHOT"])
        assert proxy.cli("shift", "acme/shop", "--promote").code == 0
    browser.wait_text(".move", "done")
    eventually(lambda: share() == "0,100", lambda: f"the bar: {share()}", START)
    browser.wait_text("#events", "shift · acme/shop/green")
    assert not [c for c in browser.complaints if "401" not in c], browser.complaints


def test_what_is_wrong_stands_on_top(edge, origin, refused_port, browser):
    proxy = edge(site(pools={"blue": pool(origin("blue"), refused_port, weight=100)}, service={"health": HEALTH}, admin={"listen": ANYWHERE}))
    browser.go(url(proxy))  # without tokens everybody on this machine may look
    browser.wait_text("#alerts", "acme/shop/blue")
    assert "1 of 2 backends is out" in browser.text("#alerts") and f"{refused_port} is down" in browser.text("#alerts")
    with Load(proxy.address(), h1=1, h2=0):
        eventually(lambda: browser.run("document.querySelector('#services tbody tr').children[3].innerText") not in ("–", "0.0", None), "the rate", START)
    assert proxy.cli("hold", "acme/shop", "--for", "1h").code == 0
    browser.wait_text("#alerts", "held")
    text = proxy.file.read_text()
    proxy.configure(text.replace("tenants:", "tenant:"))
    assert proxy.cli("reload").code == 1
    browser.wait_text("#alerts", "reload was refused")
    assert "unknown key" in browser.text("#alerts")
    assert proxy.cli("upgrade").code == 1
    browser.wait_text("#alerts", "this program goes on")
    assert not browser.complaints


def test_it_says_when_weir_is_gone_and_comes_back_by_itself(shop, browser):
    proxy = shop()
    browser.go(url(proxy))
    browser.wait_text("#link", "live")
    assert proxy.cli("upgrade").code == 0
    browser.wait_text("#facts", "generation 2")
    browser.wait_text("#link", "live")
    proxy.stop()
    browser.wait_text("#link", "no answer")
