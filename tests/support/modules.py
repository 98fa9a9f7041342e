"""Modules of one's own, built as a user builds them."""
import re
import subprocess

from support.edge import ROOT


def documented_module():
    """The source that docs/writing-a-module.md shows."""
    page = (ROOT / "docs" / "writing-a-module.md").read_text()
    return re.search(r"^```c\n(.*?)^```$", page, re.M | re.S)[1]


def build_module(directory, source, name="password", abi=None, headers=ROOT / "proxy"):
    """directory/NAME.so; abi: pretends to be of that interface."""
    c, so = directory / f"{name}.c", directory / f"{name}.so"
    c.write_text(source.replace("MODULE_ABI", str(abi)) if abi else source)
    subprocess.run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-I{headers}", "-o", so, c], check=True)
    return so
