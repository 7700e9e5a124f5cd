"""Wrong input, said in one line: the error, how it names values, and the checks that several modules need."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch takes seconds to load, and a wrong option needs none of it
    import torch

OVERSHOOT = 0.2  # beyond [0, 1], which unrounded bicubic frames may have: `degrade.to_lr` reaches 0.18
KINDS = {
    "float": lambda dtype: dtype.is_floating_point,
    "uint8": lambda dtype: str(dtype) == "torch.uint8",
    "bool": lambda dtype: str(dtype) == "torch.bool",
    "any": lambda dtype: True,
}


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
