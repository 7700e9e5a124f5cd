"""What public functions are given, checked against their annotations: one line instead of an error deep below."""

import functools
import inspect
import math
import os
import reprlib
from collections.abc import Callable, Collection, Iterable, Sequence
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import TypeVar, Union, get_args, get_origin, get_type_hints

from arsr_core.errors import InputError, describe

F = TypeVar("F", bound=Callable)
WORDS = {int: "a whole number", float: "a finite number", Path: "path", type(None): "None"}


def checked(function: F) -> F:
    """The same function or class, but with an InputError for values that its annotations do not allow.

    Numbers are finite, and no bools. Tensors and arrays are left to `errors.require`, which knows their shapes.

    >>> @checked
    ... def wait(seconds: float): ...
    >>> wait(float("inf"))
    Traceback (most recent call last):
    arsr_core.errors.InputError: wait: expected seconds as a finite number, got inf
    """
    if isinstance(function, type):
        function.__init__ = checked(function.__init__)
        return function
    signature, hints = inspect.signature(function), get_type_hints(function)
    where = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]
    rest = next((p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD), None)
    several = (p.name for p in signature.parameters.values() if p.kind is p.VAR_POSITIONAL)
    hints |= {name: tuple[hints.get(name, object), ...] for name in several}

    @functools.wraps(function)
    def call(*values, **named):
        given = signature.bind(*values, **named).arguments
        further = given.pop(rest, {})
        for argument, value in (given | further).items():
            kind = hints.get(argument if argument in given else rest, object)
            if not _fits(value, kind):
                found = describe(value) if hasattr(value, "shape") else reprlib.repr(value)
                raise InputError(f"{where}: expected {argument} as {_words(kind)}, got {found}")
        return function(*values, **named)

    return call


def _fits(value: object, kind: object) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if kind in (int, float):
        number = isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
        return number and abs(value) < math.inf  # not for nan
    if origin is tuple and Ellipsis not in inner:
        return isinstance(value, tuple | list) and len(value) == len(inner) and all(map(_fits, value, inner))
    if isinstance(origin, type) and issubclass(origin, Iterable):
        plain = value.tolist() if hasattr(value, "tolist") and inner[0] in (int, float) else value
        held = plain if isinstance(plain, tuple | list | set | range) else ()
        some = isinstance(value, tuple | list if origin is tuple else origin)
        some = some or (hasattr(value, "tolist") and origin in (Sequence, Collection, Iterable))
        return some and not isinstance(value, str) and all(_fits(one, inner[0]) for one in held)
    if isinstance(kind, type) and kind.__name__ not in ("Tensor", "ndarray", "device"):
        return isinstance(value, os.PathLike if kind is Path else kind)
    return True


def _words(kind: object) -> str:
    inner = [_words(one) for one in get_args(kind)]
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(inner)
    name = WORDS.get(kind) or getattr(kind, "__name__", str(kind))
    return f"{name} of {', '.join(inner)}" if inner else name
