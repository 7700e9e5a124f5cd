"""Wrong input, said in one line: the error, how it names values, and the checks that several modules need."""

from __future__ import annotations

import functools
import inspect
import math
import os
import reprlib
from collections.abc import Callable, Collection, Iterable, Sequence
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, TypeVar, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:  # torch takes seconds to load, and a wrong option needs none of it
    import torch

OVERSHOOT = 0.2  # beyond [0, 1], which unrounded bicubic frames may have: `degrade.to_lr` reaches 0.18
KINDS = {
    "float": lambda dtype: dtype.is_floating_point,
    "uint8": lambda dtype: str(dtype) == "torch.uint8",
    "bool": lambda dtype: str(dtype) == "torch.bool",
    "any": lambda dtype: True,
}
WORDS = {int: "a whole number", float: "a finite number", Path: "path", type(None): "None"}
F = TypeVar("F", bound=Callable)


class InputError(ValueError):
    """A user's input is wrong: one line with what was given, what was expected and the remedy.

    The command line prints it and exits with code 2; anything else is a bug and shows its traceback.
    """


def describe(value: object) -> str:
    """A tensor or array as `float32 (2, 3, 8, 8)`, any other value as the name of its type."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    return type(value).__name__


def require(where: str, kind: str = "float", remedy: str = "", /, **tensors: tuple[object, str]) -> None:
    """InputError unless every tensor is of the kind and fits its pattern; a letter means the same size in all of them.

    kind: "float", "uint8", "bool", "any", or several, "float or uint8". Patterns hold sizes, letters, and letters less
    a number, and may start with "..."; alternatives are parted by "|" and chosen together. Only N may be 0.
    remedy: what to do, in words, where it is not plain.

    >>> require("warp", image=(torch.rand(1, 3, 4, 5), "N C H W"), flow=(torch.rand(1, 2, 4, 5), "N 2 H W"))
    >>> require("psnr", sr=(torch.rand(3, 4), "N 3 H W | N T 3 H W"))
    Traceback (most recent call last):
    arsr_core.errors.InputError: psnr: expected float sr (N, 3, H, W) or (N, T, 3, H, W); got float32 (3, 4)
    """
    import torch

    accepted = [KINDS[name] for name in kind.split(" or ")]
    typed = all(isinstance(x, torch.Tensor) and any(test(x.dtype) for test in accepted) for x, _ in tensors.values())
    ways = zip(*(pattern.split("|") for _, pattern in tensors.values()), strict=True)
    if typed and any(_fit([x.shape for x, _ in tensors.values()], way) for way in ways):
        return
    wanted = ", ".join(f"{name} {_readable(pattern)}" for name, (_, pattern) in tensors.items())
    given = ", ".join(describe(x) for x, _ in tensors.values())
    advice = remedy and f"; {remedy}"
    raise InputError(f"{where}: expected {kind} {wanted}; got {given}{advice}".replace(" any ", " "))


def require_range(where: str, clip: torch.Tensor) -> None:
    """InputError unless a float tensor's values lie in [0, 1], but for what bicubic frames overshoot it; waits once.

    >>> require_range("upscale", torch.tensor([0.0, 128.0, 255.0]))
    Traceback (most recent call last):
    arsr_core.errors.InputError: upscale: expected values in [0, 1], found 0 to 255; divide 8-bit values by 255
    """
    import torch

    low, high = torch.stack(clip.detach().aminmax()).tolist()
    if not (low >= -OVERSHOOT and high <= 1 + OVERSHOOT):  # also for nan
        remedy = "divide 8-bit values by 255" if low == low else "check what made nan"
        raise InputError(f"{where}: expected values in [0, 1], found {low:.4g} to {high:.4g}; {remedy}")


def checked(function: F) -> F:
    """The same function or class, but with an InputError for values that its annotations do not allow.

    Numbers are finite, and no bools. Tensors and arrays are left to `require`, which knows their shapes.

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

    @functools.wraps(function)
    def call(*values, **named):
        given = signature.bind(*values, **named).arguments
        further = given.pop(rest, {})
        for argument, value in (given | further).items():
            kind = hints.get(argument if argument in given else rest, object)
            if not _allowed(value, kind):
                found = describe(value) if hasattr(value, "shape") else reprlib.repr(value)
                raise InputError(f"{where}: expected {argument} as {_words(kind)}, got {found}")
        return function(*values, **named)

    return call


def _fit(shapes: list[torch.Size], patterns: tuple[str, ...]) -> bool:
    sizes: dict[str, int] = {}
    for shape, pattern in zip(shapes, patterns, strict=True):
        words = pattern.split()
        if words[0] == "...":
            words = words[1:]
            shape = shape[max(0, len(shape) - len(words)) :]
        if len(shape) != len(words):
            return False
        for size, word in zip(shape, words, strict=True):
            name, _, less = word.partition("-")
            expected = int(name) if name.isdigit() else sizes.setdefault(name, size + int(less or 0)) - int(less or 0)
            if size != expected or (size == 0 and name not in ("0", "N")):
                return False
    return True


def _readable(pattern: str) -> str:
    return " or ".join(f"({', '.join(way.split())})" for way in pattern.split("|"))


def _allowed(value: object, kind: object) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_allowed(value, one) for one in inner)
    if kind in (int, float):
        number = isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
        return number and abs(value) < (2**63 if isinstance(value, Integral) else math.inf)  # not for nan
    if origin is tuple and Ellipsis not in inner:
        return isinstance(value, tuple | list) and len(value) == len(inner) and all(map(_allowed, value, inner))
    if isinstance(origin, type) and issubclass(origin, Iterable):
        plain = value.tolist() if hasattr(value, "tolist") and inner[0] in (int, float) else value
        held = plain if isinstance(plain, tuple | list | set | range) else ()
        some = isinstance(value, tuple | list if origin is tuple else origin)
        some = some or (hasattr(value, "tolist") and origin in (Sequence, Collection, Iterable))
        some = some and getattr(value, "ndim", 1) > 0  # a single number is no sequence
        return some and not isinstance(value, str) and all(_allowed(one, inner[0]) for one in held)
    if isinstance(kind, type) and kind.__name__ not in ("Tensor", "ndarray", "device"):
        return isinstance(value, os.PathLike if kind is Path else kind)
    return True


def _words(kind: object) -> str:
    inner = [_words(one) for one in get_args(kind) if one is not Ellipsis]
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(inner)
    if get_origin(kind) is tuple and Ellipsis not in get_args(kind):
        return f"({', '.join(inner)})"
    name = WORDS.get(kind) or getattr(kind, "__name__", str(kind))
    return f"{name} of {', '.join(inner)}" if inner else name
