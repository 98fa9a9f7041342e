"""Processes that stand still while a test arranges what they will find."""
import os
import signal
from pathlib import Path

from .wire import eventually


def state_of(task):
    try:
        return (task / "stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "gone"


def halt(pid):
    """Stops a process where it stands, until go_on(). kill() comes back before that: one of the threads has to tell the others."""
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: all(state_of(task) in ("T", "gone") for task in Path(f"/proc/{pid}/task").iterdir()), f"all threads of {pid} to rest")


def go_on(pid):
    os.kill(pid, signal.SIGCONT)
