"""The commands, a dataclass each: its fields are the options, their comments the help; called, it does the work."""

import re
import shlex
import sys
from typing import Annotated

import yaml

from arsr.settings import Many, spelled
from arsr_core.errors import InputError

Set = Annotated[Many[tuple[str, ...]], spelled(name="set", aliases=["-p"], metavar="NAME=VALUE")]


def assignments(pairs: tuple[str, ...]) -> dict[str, object]:
    """NAME=VALUE pairs, values read as YAML: numbers, lists, booleans; 1e-4 too is a number.

    >>> assignments(("frames=16", "rate=1e-4", "warp=[1, 0.8]"))
    {'frames': 16, 'rate': 0.0001, 'warp': [1, 0.8]}
    """
    values = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        exponent = re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value)  # which YAML takes for a word
        try:
            values[name] = float(value) if exponent else yaml.safe_load(value)
        except yaml.YAMLError:
            name = ""
        if not name.isidentifier() or "=" not in pair:
            raise InputError(f"--set {pair!r}: expected NAME=VALUE in YAML, e.g. frames=16 or 'patterns=[\"*.avi\"]'")
    return values


def typed() -> str:
    """The command as it was typed, for provenance."""
    return shlex.join(["arsr", *sys.argv[1:]])


def hint(line: str) -> None:
    """What begins, for a person who waits: torch takes seconds to load, and bars show later still."""
    if sys.stderr.isatty():
        say(line)


def say(line: str) -> None:
    """A line for the person, not for a pipe."""
    print(line, file=sys.stderr, flush=True)
