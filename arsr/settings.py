"""Dataclasses whose values are checked: types, choices (Literal) and bounds (Annotated), by pydantic.

The command line takes its options from them, their comments as help. How an option is typed stands in the annotation:
`Positional`, `Suppress` (no option), `Many` (given again and again), `spelled` (another name, a short form).
"""

from dataclasses import fields
from typing import Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from tyro.conf import FlagCreatePairsOff as Flag
from tyro.conf import Positional, Suppress
from tyro.conf import UseAppendAction as Many
from tyro.conf import arg as spelled

from arsr_core.errors import InputError

__all__ = ["Flag", "Many", "Positional", "Suppress", "check", "settings", "spelled"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def settings(cls: type[T]) -> type[T]:
    """A frozen dataclass that raises InputError in one line for a value that is not of its type or bounds.

    So it does for a name that is unknown, for one that is missing, and for numbers that are not finite.

    >>> @settings
    ... class Walk:
    ...     gait: str
    ...     steps: int = 1
    >>> Walk("slow", "many")
    Traceback (most recent call last):
    arsr_core.errors.InputError: Walk: expected steps a valid integer, unable to parse string as an integer, got 'many'
    """
    config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", allow_inf_nan=False)
    checked = dataclass(frozen=True, config=config)(cls)
    build, names = checked.__init__, [f.name for f in fields(checked)]

    def __init__(self, *values, **named):
        try:
            build(self, *values, **named)
        except ValidationError as error:
            raise InputError(_line(checked.__name__, error.errors()[0], names)) from None

    checked.__init__ = __init__
    return checked


def check(kind: Any, value: object, where: str, remedy: str = "") -> Any:
    """The value as `kind` has it, any type that pydantic knows; else InputError: where, the field, both, the remedy.

    >>> check(list[int], [1, "many"], "index.json", "write it again")
    Traceback (most recent call last):
    arsr_core.errors.InputError: index.json: expected 1 a valid integer, ..., got 'many'; write it again
    """
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise InputError(_line(where, error.errors()[0]) + (remedy and f"; {remedy}")) from None


def _line(where: str, error: dict, names: list[str] | None = None) -> str:
    """pydantic's first complaint as one line: the field, what was expected, what was given. names: of the fields."""
    if isinstance(inner := error.get("ctx", {}).get("error"), InputError):  # of __post_init__
        return str(inner) if names else f"{where}: {inner}"
    first, *within = error["loc"] or ("",)
    name = ".".join(map(str, (names[first] if names and isinstance(first, int) else first, *within)))
    if error["type"] == "missing":
        return f"{where}: {name} is missing"
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{where}: no {name}" + (f"; expected {', '.join(names)}" if names and not within else "")
    expected = error["msg"].replace("Input should be", f"expected {name}".rstrip(), 1)
    expected = expected if name in expected else f"{name}: {expected[0].lower()}{expected[1:]}"
    given = repr(error["input"])
    return f"{where}: {expected}, got {given if len(given) < 100 else f'{given[:100]} ...'}"
