"""/metrics: what is counted is exactly what was asked, whatever the protocol, the worker and reloads in between."""
import json
import os
import subprocess
import urllib.parse
import urllib.request

import pytest

from support import answers, websocket
from support.answers import in_turn, reply
from support.config import https, pool, site
from support.load import Load
from support.prometheus import Metrics, promtool, scrape
from support.websocket import OverHttp1, OverHttp2
from support.wire import PATIENCE, eventually
from support.http2 import Client as Client2

BLUE = {"tenant": "acme", "service": "shop", "pool": "blue"}


def ended(proxy, n):
    """The metrics, once n requests have been counted: a scrape may come while one is being, and its protocol is counted last."""
    eventually(lambda: scrape(proxy).sum("weir_requests_by_protocol_total") >= n, f"{n} requests counted")
    m = scrape(proxy)
    assert m.sum("weir_requests_total") == n
    return m


def test_every_request_is_counted_once_under_its_pool_and_status_over_both_protocols_and_workers(edge, origin):
    shop = origin()
    shop.always(in_turn(*[reply(200, b"yes"), reply(404, b"no"), reply(500, b"oh")] * 20))
    proxy = edge(site(shop, service={"retries": {"attempts": 1}}))
    for _ in range(30):  # connections of their own: both workers get some
        proxy.get("/")
    with proxy.connect2() as c:
        for _ in range(30):
            c.get("/")
    m = ended(proxy, 60)
    for code in (200, 404, 500):
        assert m.value("weir_requests_total", **BLUE, code=code) == 20
        assert m.value("weir_upstream_responses_total", **BLUE, **{"class": f"{code // 100}xx"}) == 20
    assert m.value("weir_upstream_requests_total", **BLUE, backend=str(shop)) == 60
    assert m.value("weir_request_failures_total", **BLUE) == 20
    assert m.value("weir_request_duration_seconds_count", **BLUE) == 60
    assert m.value("weir_request_duration_seconds_bucket", **BLUE, le="+Inf") == 60
    assert m.value("weir_request_first_byte_seconds_count", **BLUE) == 60
    assert m.value("weir_response_body_bytes_total", **BLUE) == 20 * (3 + 2 + 2)
    assert m.value("weir_requests_by_protocol_total", protocol="HTTP/1.1") == 30
    assert m.value("weir_requests_by_protocol_total", protocol="HTTP/2") == 30
    assert m.sum("weir_connections_accepted_total") == 31
    assert m.value("weir_requests_in_flight", **BLUE) == 0


@pytest.mark.parametrize("kind, code", [(OverHttp1, 101), (OverHttp2, 200)])
def test_a_websocket_is_counted_under_the_status_that_its_client_got(edge, origin, kind, code):
    shop = origin()
    shop.on("/ws", websocket.echo())
    proxy = edge(site(shop))
    w = kind(proxy.connect() if kind is OverHttp1 else proxy.connect2(), "/ws")
    w.close()
    assert ended(proxy, 1).value("weir_requests_total", **BLUE, code=code) == 1


def test_a_reload_resets_nothing_and_a_pool_that_comes_new_begins_at_none(edge, origin):
    shop, other = origin("shop"), origin("other")
    conf = site(pools={"blue": pool(shop)})
    proxy = edge(conf)
    for _ in range(5):
        proxy.get("/")
    ended(proxy, 5)
    proxy.reload(site(pools={"blue": pool(shop, weight=1), "green": pool(other, weight=0)}))
    m = scrape(proxy)
    assert m.value("weir_requests_total", **BLUE, code=200) == 5
    assert not m.all("weir_requests_total", pool="green")
    assert m.value("weir_config_generation") == 2 and m.value("weir_reload_total", outcome="applied") == 2
    # Blue goes, green stays; then a new name may take blue's place, but not its numbers.
    proxy.reload(site(pools={"green": pool(other, weight=1)}))
    proxy.get("/")
    eventually(lambda: scrape(proxy).value("weir_config_generations_alive") == 1, "the old configurations gone")
    proxy.reload(site(pools={"green": pool(other, weight=1), "teal": pool(shop, weight=1)}))
    m = scrape(proxy)
    assert not m.all("weir_requests_total", pool="blue") and not m.all("weir_requests_total", pool="teal")
    assert m.value("weir_requests_total", pool="green", code=200) == 1


def test_reloads_are_counted_by_outcome(edge, origin):
    proxy = edge(site(origin()))
    good = scrape(proxy)
    assert good.value("weir_reload_last_good") == 1 and good.value("weir_reload_last_success_timestamp_seconds") > 1.6e9
    proxy.reload("nonsense: [", outcome="refused")
    m = scrape(proxy)
    assert m.value("weir_reload_total", outcome="refused") == 1 and m.value("weir_reload_last_good") == 0
    assert m.value("weir_config_generation") == 1


def test_what_found_no_pool_is_counted_too(edge, refused_port):
    proxy = edge(site(str(refused_port), service={"retries": {"attempts": 1}}, routes=[{"path": "/shop", "service": "shop"}]))
    assert proxy.get("/shop").status == 502
    assert proxy.get("/nowhere").status == 404
    assert proxy.get("/shop", host="unknown.test").status == 404
    m = ended(proxy, 3)
    assert m.value("weir_requests_total", tenant="", service="", pool="", code=404) == 2
    assert m.value("weir_errors_total", reason="upstream_refused", side="upstream") == 1
    assert m.value("weir_errors_total", reason="no_route") == 1 and m.value("weir_errors_total", reason="no_tenant") == 1
    assert m.value("weir_upstream_failures_total", backend=str(refused_port), reason="upstream_refused") == 1
    assert m.value("weir_upstream_connect_failures_total", backend=str(refused_port)) == 1
    assert m.value("weir_request_failures_total", **BLUE) == 1


def test_an_answer_that_was_cut_off_is_a_failure_and_a_client_that_went_away_is_none(edge, origin):
    gate = answers.Gate()
    shop = origin()
    shop.on("/cut", answers.cut())
    shop.on("/wait", gate)
    proxy = edge(site(shop))
    with proxy.connect() as c:
        c.send(b"GET /cut HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        c.until_closed()
    with proxy.connect() as c:
        c.send(b"GET /wait HTTP/1.1\r\nHost: acme.test\r\n\r\n")
        gate.wait_arrived()
        eventually(lambda: scrape(proxy).value("weir_requests_in_flight", **BLUE) == 1, "one in flight")
        c.reset()
    m = ended(proxy, 2)
    gate.open()
    assert m.value("weir_requests_total", **BLUE, code=200) == 1 and m.value("weir_requests_total", **BLUE, code=499) == 1
    assert m.value("weir_request_failures_total", **BLUE) == 1
    assert m.value("weir_errors_total", reason="upstream_cut_body") == 1
    assert m.sum("weir_errors_total", side="client") == 1


def test_retries_are_counted_though_nobody_saw_a_failure(edge, origin, refused_port):
    proxy = edge(site(str(refused_port), origin(), service={"balance": "round_robin", "retries": {"budget": "100%"}}), workers=1)
    for _ in range(10):
        assert proxy.get("/").status == 200
    m = ended(proxy, 10)
    assert m.value("weir_retries_total", **BLUE) == m.value("weir_upstream_failures_total", backend=str(refused_port), reason="upstream_refused") > 0
    assert m.value("weir_request_failures_total", **BLUE) == 0


def test_backends_and_pools_say_how_they_are(edge, origin, refused_port):
    up = origin()
    proxy = edge(site(pools={"blue": {**pool(up, str(refused_port)), "weight": 3, "health": {"tcp": {}, "interval": "1s"}},
                             "green": {**pool(up), "weight": 1}}))
    down = {**BLUE, "backend": str(refused_port)}
    eventually(lambda: scrape(proxy).all("weir_backend_state", **down, state="down"), "a backend that is down")
    m = scrape(proxy)
    assert m.value("weir_backend_up", **down) == 0 and m.value("weir_backend_up", **{**BLUE, "backend": str(up)}) == 1
    assert m.value("weir_pool_backends", **BLUE) == 2 and m.value("weir_pool_backends_up", **BLUE) == 1
    assert m.value("weir_pool_weight", **BLUE) == 3 and m.value("weir_pool_configured_weight", **BLUE) == 3
    assert m.value("weir_pool_state", **BLUE, state="open") == 1
    assert abs(m.sum("weir_pool_effective_share", service="shop") - 1) < 0.00001


def test_tls_handshakes_and_certificates_are_told(edge, origin, pki, acme_cert):
    proxy = edge(site(origin(), listeners={"https": https(acme_cert)}))
    with proxy.connect("https", tls=pki.client_context(("http/1.1",)), sni="acme.test") as c:
        c.get("/")
    with proxy.connect("https") as c:
        c.send(b"\x16\x03\x01nonsense")
        c.until_closed()
    eventually(lambda: scrape(proxy).all("weir_connections_closed_total", reason="client_tls"), "a failed handshake")
    m = ended(proxy, 1)
    assert m.sum("weir_tls_handshakes_total") == 1
    assert m.all("weir_certificate_expiry_timestamp_seconds", listener="https")[0][1] > 1.6e9


def test_the_process_tells_of_itself(edge, origin):
    proxy = edge(site(origin()))
    scrape(proxy)
    m = eventually(lambda: (lambda m: m if m.sum("weir_worker_memory_bytes") >= 0 and m.value("process_threads") >= 4 else None)(scrape(proxy)), "threads")
    assert m.value("process_resident_memory_bytes") > 1e6 and m.value("process_cpu_seconds_total") > 0
    assert 4 < m.value("process_open_fds") < m.value("process_max_fds")
    assert all(v < PATIENCE for _, v in m.all("weir_worker_lag_seconds")) and len(m.all("weir_worker_lag_seconds")) == 2


def test_openmetrics_is_for_those_who_ask_for_it(edge, origin):
    proxy = edge(site(origin()))
    plain, om = (proxy.admin("GET", "/metrics", headers={"Accept": a}) for a in ("*/*", "application/openmetrics-text"))
    assert plain.header("content-type").startswith("text/plain; version=0.0.4") and not plain.body.endswith(b"# EOF\n")
    assert om.header("content-type").startswith("application/openmetrics-text; version=1.0.0") and om.body.endswith(b"# EOF\n")


def test_promtool_has_nothing_to_say_against_the_text(edge, origin):
    proxy = edge(site(origin()))
    proxy.get("/")
    ended(proxy, 1)
    text = proxy.admin("GET", "/metrics", headers={"Accept": "text/plain"}).body
    assert promtool("check", "metrics", stdin=text) == ""


def test_names_and_texts_are_those_of_the_page(edge, origin):
    page = (os.path.join(os.path.dirname(__file__), "../../docs/metrics.md"))
    listed = {line.split("`")[1] for line in open(page) if line.startswith("| `")}
    m = scrape(edge(site(origin())))
    told = {line.split()[2] for line in m.text.splitlines() if line.startswith("# TYPE")}
    assert told <= {n.removesuffix("_total") for n in listed}, told


def test_a_thousand_tenants_are_told_in_slices_and_completely(edge, origin):
    shop = origin()
    conf = site(shop)
    for i in range(1000):
        conf["tenants"][f"t{i}"] = {"hosts": [f"t{i}.test"], "services": {"s": {"pools": {"p": pool(shop, weight=1)}}}}
    proxy = edge(conf)
    for i in range(0, 1000, 100):
        proxy.get("/", host=f"t{i}.test")
    m = ended(proxy, 10)
    assert m.sum("weir_pool_weight", service="s") == 1000 and m.text.endswith("# EOF\n")
    assert len(m.all("weir_requests_total", service="s", code=200)) == 10


def test_weir_top_shows_what_pools_do_now(edge, origin, refused_port):
    shop = origin()
    proxy = edge(site(pools={"blue": pool(shop, weight=3), "green": pool(refused_port, weight=0)}, service={"retries": {"attempts": 1}}))
    with Load(proxy.address(), h1=1, h2=1) as load:
        load.wait_more(5)
        r = proxy.cli("top", "--interval", "300ms", "--count", "2")
    assert not load.failures and r.code == 0, r.err
    rows = [l.split() for l in r.out.splitlines() if l.startswith("acme/shop/")]
    assert [row[0] for row in rows] == ["acme/shop/blue", "acme/shop/green"] * 2
    blue, green = rows[2:]
    assert blue[1] == "3" and float(blue[2]) > 0 and blue[3] == "0.00%" and blue[4].endswith("ms") and blue[-1] == "1/1"
    assert green[2] == "0.0" and green[4] == "-"
    assert "\x1b" not in r.out
    assert proxy.cli("top", "--interval", "1ms").code == proxy.cli("top", "--count", "0").code == 2


@pytest.fixture
def prometheus(tmp_path):
    """prometheus(proxy) starts one that scrapes weir; returns query(expr)."""
    started = []

    def start(config, port):
        file = tmp_path / "prometheus.yml"
        file.write_text(config)
        started.append(subprocess.Popen(["prometheus", f"--config.file={file}", f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL, stderr=open(tmp_path / "log", "wb")))

        def query(expr):
            try:
                url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expr})
                return json.load(urllib.request.urlopen(url, timeout=PATIENCE))["data"]["result"]
            except OSError:
                return []
        return query
    yield start
    for p in started:
        p.terminate()
        p.wait(PATIENCE * 3)


def test_a_real_prometheus_scrapes_it(edge, origin, prometheus, refused_port):
    port = refused_port.port  # kept for it
    proxy = edge(site(origin(), admin={"listen": "127.0.0.9:0"}))
    for _ in range(7):
        proxy.get("/")
    host, admin = proxy.address("admin.listen")
    query = prometheus(f"global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: weir, static_configs: [{{targets: ['{host}:{admin}']}}]}}]\n", port)
    got = eventually(lambda: [r for r in query('weir_requests_total{code="200"}') if float(r["value"][1]) == 7], "what Prometheus has read", PATIENCE * 6)
    assert got[0]["metric"]["pool"] == "blue"
    assert query("up")[0]["value"][1] == "1"
    assert query("histogram_quantile(0.99, sum by (le) (weir_request_duration_seconds_bucket))")
