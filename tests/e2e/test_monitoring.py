"""What conf/ ships for monitoring: it must fit the metrics that weir tells."""
import json
import re
from pathlib import Path

import yaml

from support.prometheus import promtool

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "conf" / "prometheus-alerts.yaml"
NAMES = re.compile(r"\b((?:weir|process)_[a-z_0-9]+)\b")


def known():
    rows = [line.split("|")[1:4] for line in (ROOT / "docs" / "metrics.md").read_text().splitlines() if line.startswith("| `")]
    names = set()
    for name, kind, _ in rows:
        name = name.strip(" `")
        names |= {name + s for s in ("_bucket", "_sum", "_count")} if kind.strip() == "histogram" else {name}
    return names


def labels_of(metric):
    base = re.sub(r"_(bucket|sum|count)$", "", metric)
    row = next(line for line in (ROOT / "docs" / "metrics.md").read_text().splitlines() if line.startswith((f"| `{metric}`", f"| `{base}`")))
    return set(re.findall(r"`(\w+)`", row.split("|")[3])) | {"instance", "job", "le"}


def check(expr):
    used = set(NAMES.findall(expr))
    assert used <= known(), (used - known(), expr)
    for metric, selector in re.findall(r"\b((?:weir|process)_[a-z_0-9]+)\{([^}]*)\}", expr):
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)) <= labels_of(metric), (metric, selector)


def test_promtool_accepts_the_alert_rules_and_the_example():
    assert promtool("check", "rules", str(RULES)) == ""
    assert promtool("check", "config", str(ROOT / "conf" / "prometheus.yaml")) == ""


def test_every_alert_is_about_metrics_that_exist():
    rules = [r for g in yaml.safe_load(RULES.read_text())["groups"] for r in g["rules"]]
    assert len(rules) > 10
    for r in rules:
        check(r["expr"])
        assert r["labels"]["severity"] in ("page", "ticket") and r["annotations"]["summary"]


def test_alerts_fire_when_they_should(tmp_path):
    labels = 'tenant="acme",service="shop",pool="blue"'
    (tmp_path / "t.yaml").write_text(yaml.safe_dump({
        "rule_files": [str(RULES)], "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": [
            {"series": f'weir_requests_total{{instance="a",{labels},code="200"}}', "values": "0+600x20"},
            {"series": f'weir_request_failures_total{{instance="a",{labels}}}', "values": "0+60x20"},
            {"series": f'weir_pool_backends_up{{instance="a",{labels}}}', "values": "0x20"},
            {"series": f'weir_pool_backends{{instance="a",{labels}}}', "values": "2x20"},
            {"series": f'weir_pool_weight{{instance="a",{labels}}}', "values": "100x20"},
            {"series": 'weir_reload_last_good{instance="a"}', "values": "1x20"}],
            "alert_rule_test": [
                {"eval_time": "15m", "alertname": "WeirServiceFails", "exp_alerts": [{
                    "exp_labels": {"severity": "page", "instance": "a", "tenant": "acme", "service": "shop"},
                    "exp_annotations": {"summary": "acme/shop: 10% of its requests fail"}}]},
                {"eval_time": "15m", "alertname": "WeirPoolDown", "exp_alerts": [{
                    "exp_labels": {"severity": "page", "instance": "a", "tenant": "acme", "service": "shop", "pool": "blue"},
                    "exp_annotations": {"summary": "acme/shop/blue: no backend is up"}}]},
                {"eval_time": "15m", "alertname": "WeirReloadRefused", "exp_alerts": []}]}]}))
    assert promtool("test", "rules", str(tmp_path / "t.yaml")) == ""


def test_the_board_is_json_and_about_metrics_that_exist():
    board = json.loads((ROOT / "conf" / "grafana-weir.json").read_text())
    exprs = [t["expr"] for p in board["panels"] for t in p.get("targets", [])]
    assert len(exprs) > 20
    for e in exprs:
        check(e)
    ids = [p["id"] for p in board["panels"]]
    assert len(set(ids)) == len(ids)
    for v in board["templating"]["list"]:
        if v["type"] == "query":
            check(v["query"]["query"])
