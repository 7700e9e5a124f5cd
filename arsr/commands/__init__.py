"""The commands, a dataclass each: its fields are the options, their comments the help; called, it does the work."""

import sys
from typing import Annotated

from arsr import reading
from arsr.printing import say, tell
from arsr.settings import Many, spelled
from arsr_core.errors import InputError

__all__ = ["Set", "assignments", "hint", "say", "tell", "typed"]

Set = Annotated[Many[tuple[str, ...]], spelled(name="set", aliases=["-p"], metavar="NAME=VALUE")]


def assignments(pairs: tuple[str, ...]) -> dict[str, object]:
    """NAME=VALUE pairs, values read as YAML: numbers, lists, booleans.

    >>> assignments(("frames=16", "rate=1e-4", "warp=[1, 0.8]"))
    {'frames': 16, 'rate': 0.0001, 'warp': [1, 0.8]}
    """
    values = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        try:
            values[name] = reading.parsed(value)
        except ValueError:
            name = ""
        if not (name.isidentifier() and equals):
            raise InputError(
                f"--set {pair[:100]!r}: expected NAME=VALUE in YAML, e.g. frames=16 or 'patterns=[\"*.avi\"]'"
            )
    return values


def hint(line: str) -> None:
    """What begins, for a person who waits: torch takes seconds to load, and bars show later still."""
    if sys.stderr.isatty():
        say(line)
