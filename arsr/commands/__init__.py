"""The commands, a dataclass each: its fields are the options, their comments the help; called, it does the work."""

import re
import shlex
import sys
from typing import Annotated

import yaml

from arsr.settings import Many, spelled
from arsr_core.errors import InputError

EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")  # YAML takes 1e-4 for a word

Set = Annotated[Many[tuple[str, ...]], spelled(name="set", aliases=["-p"], metavar="NAME=VALUE")]


def assignments(pairs: tuple[str, ...]) -> dict[str, object]:
    """NAME=VALUE pairs, values read as YAML: numbers, lists, booleans.

    >>> assignments(("frames=16", "rate=1e-4", "warp=[1, 0.8]"))
    {'frames': 16, 'rate': 0.0001, 'warp': [1, 0.8]}
    """
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"--set {pair!r}: expected NAME=VALUE, e.g. --set frames=16")
        try:
            values[name] = float(value) if EXPONENT.fullmatch(value) else yaml.safe_load(value)
        except yaml.YAMLError:
            raise InputError(
                f"--set {pair!r}: the value is no YAML; quote it, e.g. --set 'clips=[a.avi, b.avi]'"
            ) from None
    return values


def typed() -> str:
    """The command as it was typed, for provenance."""
    return shlex.join(["arsr", *sys.argv[1:]])


def say(line: str) -> None:
    """A line for the person, not for a pipe."""
    print(line, file=sys.stderr, flush=True)
