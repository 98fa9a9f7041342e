#!/usr/bin/python3
"""Writes field_hash.def from field.def: a perfect hash over the field names. To be run when field.def has changed."""
import pathlib
import re

here = pathlib.Path(__file__).parent
names = re.findall(r'^FIELD\((\w+), "([^"]+)"', (here / "field.def").read_text(), re.M)


def key(name):
    first, third, second = (ord(name[i]) | 0x20 for i in (0, max(len(name) - 3, 0), len(name) - 2))
    return len(name) << 24 | first << 16 | third << 8 | second


def search(bits):
    """The first multiplier, by a fixed sequence, that leaves no two names in one slot."""
    multiplier = 1
    for _ in range(1_000_000):
        multiplier = multiplier * 1664525 + 1013904223 & 0xFFFFFFFF
        taken = {(key(name) * multiplier & 0xFFFFFFFF) >> 32 - bits: ident for ident, name in names}
        if len(taken) == len(names):
            return multiplier, taken
    raise SystemExit("no perfect hash found: give it one bit more")


bits = 8
multiplier, taken = search(bits)
(here / "field_hash.def").write_text("\n".join([
    "/* http/field_hash.def - a perfect hash over the names of field.def; written by field_hash.py. */",
    f"#define FIELD_HASH_ROWS {len(names)}",
    f"#define FIELD_HASH_BITS {bits}",
    f"#define FIELD_HASH_MULTIPLIER {multiplier}u",
    "#define FIELD_HASH_SLOTS \\",
] + [f"\t[{slot}] = FIELD_{taken[slot]}, \\" for slot in sorted(taken)]) + "\n\n")
