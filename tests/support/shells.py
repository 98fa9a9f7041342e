"""Command lines as shells complete them: bash, zsh and fish, each with the script that weir prints for it."""
import os
import pty
import re
import select
import signal
import subprocess
import time

from support.edge import WEIR, run
from support.wire import PATIENCE

BASH = r"""
source "$SCRIPT"
COMP_LINE=$1; COMP_POINT=${#1}
_weir
printf '%s\n' "${COMPREPLY[@]}"
"""


def _environment(directory, socket):
    """weir is found as `weir`, and it finds the one that runs."""
    os.makedirs(directory / "bin", exist_ok=True)
    if not (directory / "bin" / "weir").exists():
        os.symlink(WEIR, directory / "bin" / "weir")
    return {**os.environ, "PATH": f"{directory}/bin:{os.environ['PATH']}", "WEIR_SOCKET": str(socket), "HOME": str(directory), "TERM": "dumb",
            "XDG_CONFIG_HOME": str(directory), "XDG_DATA_HOME": str(directory)}


def _script(shell, directory):
    path = directory / f"weir.{shell}"
    path.write_text(run("completion", shell).out)
    return path


def bash(line, directory, socket):
    """What may stand in place of the last word, as readline would get it: after the last "=" or ":" of it."""
    env = {**_environment(directory, socket), "SCRIPT": str(_script("bash", directory))}
    p = subprocess.run(["bash", "--norc", "-c", BASH, "bash", line], env=env, cwd=directory, capture_output=True, timeout=PATIENCE * 3)
    assert p.returncode == 0 and not p.stderr, p.stderr
    return [w for w in p.stdout.decode().split("\n") if w]


def fish(line, directory, socket):
    script = _script("fish", directory)
    p = subprocess.run(["fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]", str(script), line], env=_environment(directory, socket),
        cwd=directory, capture_output=True, timeout=PATIENCE * 3)
    assert p.returncode == 0, p.stderr
    return [w.split("\t")[0] for w in p.stdout.decode().split("\n") if w]


class Zsh:
    """zsh completes only where somebody types: one in a terminal of its own."""
    def __init__(self, directory, socket):
        script = _script("zsh", directory)
        env = {**_environment(directory, socket), "TERM": "vt100", "COLUMNS": "200"}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.execvpe("zsh", ["zsh", "-f", "-i"], env)
        self.text = ""
        self.type(f"PS1='ready> '; PS2=; unsetopt BEEP ZLE_BRACKETED_PASTE; setopt LIST_AMBIGUOUS; autoload -Uz compinit && compinit -u -D; source {script}; echo is $((1 + 1))\n")
        self.read_until(r"is 2")

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def read_until(self, pattern):
        end = time.monotonic() + PATIENCE * 3
        while not re.search(pattern, self.text, re.S):
            assert time.monotonic() < end, f"no {pattern} in {self.text!r}"
            if select.select([self.fd], [], [], 0.2)[0]:
                self.text += os.read(self.fd, 65536).decode(errors="replace")
        found = re.search(pattern, self.text, re.S)
        self.text = self.text[found.end():]
        return found

    def complete(self, line):
        """What the line becomes with a press of the tabulator: told by zsh itself, which is asked to quote it."""
        self.type("\x15" + line + "\t\x01print -r -- '[[' \x05 ']]'\n")
        return self.read_until(r"\n\[\[ (.*?) \]\]")[1].strip()

    def close(self):
        os.close(self.fd)
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)
