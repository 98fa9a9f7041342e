"""The pipelines in conf/pipelines deploy: what they would run is taken out of them and run, as their runners would, against a weir with backends under load."""
import itertools
import os
import re
import signal
import subprocess
import textwrap

import pytest
import yaml

from support import edge as edge_module
from support.answers import reply
from support.config import pool, site
from support.edge import ROOT
from support.load import Load
from support.wire import eventually

PIPELINES = ROOT / "conf" / "pipelines"
QUICK = {"STEPS": "50,100", "EVERY": "500ms", "MIN_SAMPLES": "20"}  # in place of minutes
PATIENCE = 60


@pytest.fixture
def runner(edge, origin, tmp_path):
    """weir with blue serving all, and one who has `weir` and its variables in his environment."""
    blue, green = origin("blue"), origin("green")
    proxy = edge(site(pools={"blue": pool(blue, weight=100), "green": pool("127.0.0.1:9", weight=0)}))
    (tmp_path / "bin").mkdir()
    os.symlink(edge_module.WEIR, tmp_path / "bin" / "weir")
    return Runner(proxy, green, tmp_path)


class Runner:
    def __init__(self, proxy, green, directory):
        self.proxy, self.green, self.directory = proxy, green, directory
        self.env = {**os.environ, "PATH": f"{directory}/bin:{os.environ['PATH']}", "WEIR_SOCKET": str(proxy.dir / "admin.sock"), "BACKENDS": str(green), **QUICK}

    def sh(self, script, shell=("sh", "-e", "-c"), **env):
        return subprocess.run([*shell, script], cwd=self.directory, env={**self.env, **env}, capture_output=True, text=True, timeout=PATIENCE)

    def weights(self):
        pools = self.proxy.admin("GET", "/v1/services/acme/shop/weights").json()["pools"]
        return {name: round(p["effective_weight"]) for name, p in pools.items()}


def broken():
    """One answer in ten is a 500."""
    turn = itertools.count(1)
    good, bad = reply(200, "green"), reply(500, "broken")
    return lambda x: (good if next(turn) % 10 else bad)(x)


# -- what each would run --

def shell_script(runner):
    return [runner.sh('deploy.sh acme/shop "$BACKENDS"', PATH=f"{PIPELINES}:{runner.env['PATH']}", DEPLOY_ID="build-7", MAX_P99="100x")]


def plain(env):
    """Without what the runner's own variables would be put in for, and what the test says instead."""
    return {k: str(v).replace("$CI_PIPELINE_ID", "7") for k, v in env.items() if "${{" not in str(v) and k not in QUICK}


def relaxed(script):
    """p99 of a machine that is busy with tests tells nothing."""
    assert "--max-p99 1.5x" in script or "weir deploy" not in script or "--pool" not in script
    return script.replace("--max-p99 1.5x", "--max-p99 100x")


def github_actions(runner):
    job = yaml.safe_load((PIPELINES / "github-actions.yml").read_text())["jobs"]["deploy"]
    env, failed, results = {**plain(job["env"]), "DEPLOY_ID": "github-7"}, False, []
    for name in ("GITHUB_ENV", "GITHUB_STEP_SUMMARY"):
        (runner.directory / name).touch()
        env[name] = str(runner.directory / name)
    for step in job["steps"]:
        wanted = {"always()": True, "cancelled()": False, None: not failed}[step.get("if")]
        if not wanted:
            continue
        assert "${{" not in step["run"]  # what a stranger may have written is no part of a script
        results.append(runner.sh(relaxed(step["run"]), ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"), **env))
        failed = failed or results[-1].returncode != 0
        env.update(line.split("=", 1) for line in (runner.directory / "GITHUB_ENV").read_text().splitlines())
    summary = (runner.directory / "GITHUB_STEP_SUMMARY").read_text()
    assert "acme/shop/green" in summary
    return results


def gitlab(runner):
    job = yaml.safe_load((PIPELINES / "gitlab-ci.yml").read_text())["deploy"]
    env = plain(job["variables"])
    result = runner.sh(relaxed("\n".join(job["script"])), ("bash", "-eo", "pipefail", "-c"), **env)
    after = runner.sh("\n".join(job["after_script"]), CI_JOB_STATUS="success" if result.returncode == 0 else "failed", **env)
    assert "acme/shop/green" in after.stdout, after
    return [result]


def jenkins(runner):
    text = (PIPELINES / "Jenkinsfile").read_text()
    env = {**dict(re.findall(r"^ +(\w+) = '([^']*)'$", text, re.M)), "DEPLOY_ID": "jenkins-7"}
    env = {k: v for k, v in env.items() if k not in QUICK and not k.startswith("WEIR_")}
    scripts = [textwrap.dedent(s).replace("\\\\", "\\") for s in re.findall(r"sh '''\n(.*?)'''", text, re.S)]
    deploy, always = scripts
    result = runner.sh(relaxed(deploy), **env)
    assert "acme/shop/green" in runner.sh(always, **env).stdout
    return [result]


@pytest.fixture(params=[shell_script, github_actions, gitlab, jenkins])
def pipeline(request, runner):
    return lambda: request.param(runner)


# -- the stories --

def test_a_good_version_gets_all_users(pipeline, runner):
    with Load(runner.proxy.address()) as load:
        load.wait_more(20)
        results = pipeline()
    assert all(r.returncode == 0 for r in results), results
    assert runner.weights() == {"blue": 0, "green": 100} and not load.failures


def test_a_bad_version_is_taken_back_and_the_pipeline_fails(pipeline, runner):
    runner.green.always(broken())
    with Load(runner.proxy.address(), check=lambda r: r.status in (200, 500)) as load:
        load.wait_more(20)
        results = pipeline()
    assert 5 in [r.returncode for r in results], results
    assert runner.weights() == {"blue": 100, "green": 0} and not load.failures


def test_the_script_says_what_has_happened_and_joins_what_is_done(runner):
    runner.env["MIN_SAMPLES"] = "1"
    with Load(runner.proxy.address()) as load:
        load.wait_more(20)
        first, again = shell_script(runner)[0], shell_script(runner)[0]
    assert first.returncode == again.returncode == 0, (first, again)
    assert "green serves" in first.stdout and runner.weights() == {"blue": 0, "green": 100}
    nothing = runner.sh("deploy.sh acme/shop", PATH=f"{PIPELINES}:{runner.env['PATH']}")
    assert nothing.returncode == 2 and "usage" in nothing.stderr


def test_who_stops_the_script_stops_the_deploy(runner):
    env = {**runner.env, "PATH": f"{PIPELINES}:{runner.env['PATH']}", "EVERY": "1h"}
    p = subprocess.Popen(["deploy.sh", "acme/shop", str(runner.green)], env=env, cwd=runner.directory, start_new_session=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, executable=str(PIPELINES / "deploy.sh"))
    try:
        eventually(lambda: runner.weights() == {"blue": 50, "green": 50}, "the first step")
        os.killpg(p.pid, signal.SIGTERM)
        out, _ = p.communicate(timeout=PATIENCE)
    finally:
        p.kill()
    assert p.returncode == 1, out
    assert eventually(lambda: runner.weights() == {"blue": 100, "green": 0}, "the old weights")


def test_pipelines_are_shown_where_one_looks_for_them():
    page = (ROOT / "docs" / "deploying.md").read_text()
    for path in PIPELINES.iterdir():
        assert f"conf/pipelines/{path.name}" in page
