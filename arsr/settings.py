"""Dataclasses whose values are checked: types, choices (Literal) and bounds (Annotated), by pydantic.

The command line takes its options from them, their comments as help. How an option is typed stands in the annotation:
`Positional`, `Suppress` (no option), `Many` (given again and again), `spelled` (another name, a short form).
"""

from dataclasses import fields
from typing import TypeVar, dataclass_transform

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass
from tyro.conf import FlagCreatePairsOff as Flag
from tyro.conf import Positional, Suppress
from tyro.conf import UseAppendAction as Many
from tyro.conf import arg as spelled

from arsr_core.errors import InputError

__all__ = ["Flag", "Many", "Positional", "Suppress", "settings", "spelled"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def settings(cls: type[T]) -> type[T]:
    """A frozen dataclass that raises InputError in one line for a value that is not of its type or bounds.

    So it does for a name that is unknown, and for one that is missing.

    >>> @settings
    ... class Walk:
    ...     gait: str
    ...     steps: int = 1
    >>> Walk("slow", "many")
    Traceback (most recent call last):
    arsr_core.errors.InputError: Walk: expected steps a valid integer, unable to parse string as an integer, got 'many'
    """
    checked = dataclass(frozen=True, config=ConfigDict(arbitrary_types_allowed=True, extra="forbid"))(cls)
    build = checked.__init__

    def __init__(self, *values, **named):
        try:
            build(self, *values, **named)
        except ValidationError as error:
            raise InputError(_line(checked, error.errors()[0])) from None

    checked.__init__ = __init__
    return checked


def _line(cls: type, error: dict) -> str:
    """pydantic's first complaint as one line: the field, what was expected, what was given."""
    if isinstance(inner := error.get("ctx", {}).get("error"), InputError):  # of __post_init__
        return str(inner)
    first, *within = error["loc"] or ("",)
    name = ".".join(map(str, (fields(cls)[first].name if isinstance(first, int) else first, *within)))
    if error["type"] == "missing":
        return f"{cls.__name__}: {name} is missing"
    expected = error["msg"].replace("Input should be", f"expected {name}", 1)
    expected = expected if name in expected else f"{name}: {expected[0].lower()}{expected[1:]}"
    return f"{cls.__name__}: {expected}, got {error['input']!r}"
