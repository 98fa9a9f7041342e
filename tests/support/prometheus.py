"""Metrics as a monitoring system reads them: parsed samples, and the verdict of Prometheus' own tools."""
import re
import subprocess

SAMPLE = re.compile(r'^([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? (\S+)$', re.I)
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


class Metrics:
    """The samples of one text."""

    def __init__(self, text):
        self.text = text
        self.samples = []
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, labels, value = SAMPLE.match(line).groups()
                self.samples.append((name, dict(LABEL.findall(labels or "")), float(value)))

    def all(self, name, **labels):
        """(labels, value) of the samples with these labels."""
        return [(l, v) for n, l, v in self.samples if n == name and all(l.get(k) == str(want) for k, want in labels.items())]

    def sum(self, name, **labels):
        return sum(v for _, v in self.all(name, **labels))

    def value(self, name, **labels):
        """The one sample."""
        found = self.all(name, **labels)
        assert len(found) == 1, (name, labels, found)
        return found[0][1]


def scrape(edge, accept="application/openmetrics-text; version=1.0.0, text/plain;version=0.0.4;q=0.5"):
    r = edge.admin("GET", "/metrics", headers={"Accept": accept})
    assert r.status == 200, (r.status, r.body)
    return Metrics(r.body.decode())


def promtool(*args, stdin=None):
    """Its complaints; empty when it has none."""
    p = subprocess.run(["promtool", *args], input=stdin, capture_output=True, timeout=60)
    return "" if p.returncode == 0 else (p.stdout + p.stderr).decode()
