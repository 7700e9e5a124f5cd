"""A network of the table, with fresh weights or those of a file."""

import copy
import inspect
from pathlib import Path

import torch
from torch import nn

from arsr_core.errors import InputError, checked, describe, require
from arsr_core.sr import namings
from arsr_core.sr.methods import METHODS, find


@checked
def build(name: str, **hyper: object) -> nn.Module:
    """A network of METHODS with fresh weights, at the published size but for the `hyper` given.

    Every network takes LR RGB in [0, 1], (N, 3, H, W) or (N, frames, 3, H, W), and gives (N, 3, 4H, 4W), not clamped;
    it has the attributes scale, frames, margin (radius in LR pixels of what an output pixel sees; None: everything)
    and footprint (numbers in memory at once for an LR pixel, without gradient). Input of another shape raises
    InputError, and so do numbers that make no network.

    >>> build("duf16", **METHODS["duf16"].lite)(torch.rand(1, 7, 3, 16, 16)).shape
    torch.Size([1, 3, 64, 64])
    """
    method = find(name)
    known = inspect.signature(method.build).parameters if method.hyper else {}
    if unknown := sorted(hyper.keys() - known):
        raise InputError(f"{name}: no setting {', '.join(unknown)}; known: {', '.join(known) or 'none'}")
    for key, value in hyper.items():
        if type(known[key].default) is int and not (type(value) is int and 1 <= value <= 4096):
            given = describe(value) if hasattr(value, "shape") else repr(value)
            raise InputError(f"{name}: expected {key} as a whole number from 1 to 4096, got {given}")
    return _checked(method.build(**method.hyper | hyper))


@checked
def load(name: str, path: str | Path | None = None) -> nn.Module:
    """A network of METHODS with weights from a file, in evaluation mode on the CPU; "bicubic" needs no file.

    The number of blocks, channels and so on are read off the weights. Any naming in circulation will do: see
    `namings`. Files: .safetensors, VSR-DUF's .h5, ncnn's .param, PyTorch's without pickled objects. Raises InputError
    for a file that is missing, damaged, unsafe, or holds the weights of another network.

    >>> load("bicubic")(torch.rand(1, 3, 60, 80)).shape
    torch.Size([1, 3, 240, 320])
    """
    method = find(name)
    if name == "bicubic":
        if path is not None:
            raise InputError(f"{path}: bicubic has no weights; load it without a path")
        return build(name).eval()
    if path is None:
        raise InputError(f"{name} needs weights; give a file of those of {method.title} ({method.paper})")
    family, state = namings.read(path)
    alike = [other for other in METHODS.values() if other.build is family.build]
    if method not in alike:
        names = " or ".join(other.name for other in alike)
        raise InputError(f"{path}: these are {family.title} weights; load them with name {names}")
    model, size = family.network(state, where=str(path))
    published = [other.name for other in alike if other.hyper.items() <= size.items()]
    if published and name not in published:  # another depth of the same network: results would bear a wrong name
        raise InputError(f"{path}: weights of the size of {' or '.join(published)}; load them with name {published[0]}")
    return _checked(model).eval()


@checked
def interpolate(a: nn.Module, b: nn.Module, alpha: float) -> nn.Module:
    """The network whose weights are (1 - alpha) a + alpha b (Wang et al., ESRGAN, section 3.4), in evaluation mode.

    a, b: of one structure, b trained on from a; else what lies between is no network worth looking at. alpha: 0 gives
    a, 1 gives b. Raises InputError for two structures, and for alpha outside [0, 1].
    """
    if not 0 <= alpha <= 1:
        raise InputError(f"interpolate: expected alpha from 0 to 1, got {alpha}")
    one, other = a.state_dict(), b.state_dict()
    if type(a) is not type(b) or {k: x.shape for k, x in one.items()} != {k: x.shape for k, x in other.items()}:
        raise InputError(
            f"interpolate: {type(a).__name__} and {type(b).__name__} of other sizes; expected one structure"
        )
    between = copy.deepcopy(a)
    between.load_state_dict({k: torch.lerp(x, other[k], alpha) if x.is_floating_point() else x for k, x in one.items()})
    return between.eval()


def _checked(model: nn.Module) -> nn.Module:
    if missing := [name for name in ("scale", "frames", "margin", "footprint") if not hasattr(model, name)]:
        raise InputError(f"{type(model).__name__}: no attribute {', '.join(missing)}; sr.build says what they are")
    model.register_forward_pre_hook(_check_input, with_kwargs=True)
    return model


def _check_input(model: nn.Module, args: tuple, kwargs: dict) -> None:
    x = next(iter((*args, *kwargs.values())), None)
    require(type(model).__name__, x=(x, "N 3 H W" if model.frames == 1 else f"N {model.frames} 3 H W"))
