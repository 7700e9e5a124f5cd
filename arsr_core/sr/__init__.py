"""Super-resolution x4: the networks that the paper compares, built at their size or smaller, loaded, run on clips.

>>> sr = upscale(load("vdsr", "vdsr.safetensors"), clip)  # (N, T, 3, H, W) -> (N, T, 3, 4H, 4W)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from arsr_core import weights
from arsr_core.errors import InputError
from arsr_core.sr import namings
from arsr_core.sr.networks.duf import DUF
from arsr_core.sr.networks.rcan import RCAN
from arsr_core.sr.networks.rrdb import RRDBNet
from arsr_core.sr.networks.spmc import SPMC
from arsr_core.sr.networks.srgan import generator
from arsr_core.sr.networks.vdsr import VDSR, Bicubic
from arsr_core.sr.upscaling import upscale

__all__ = ["METHODS", "STARTS", "Method", "build", "load", "upscale"]


@dataclass(frozen=True)
class Method:
    """A row of the paper's comparison: `build(**hyper)` is the published size, `build(**lite)` a small one."""

    name: str
    title: str
    paper: str
    frames: int  # LR frames that make one SR frame
    build: Callable[..., nn.Module]
    hyper: dict = field(default_factory=dict)
    lite: dict = field(default_factory=dict)  # a CPU trains it in minutes


_RRDBNET = dict(
    frames=1,
    build=RRDBNet,
    hyper=dict(features=64, blocks=23, growth=32),
    lite=dict(features=32, blocks=2, growth=16),
)
_GENERATOR = dict(
    paper="Ledig et al., Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network, "
    "CVPR 2017",
    frames=1,
    build=generator,
    hyper=dict(blocks=16, features=64, batch_norm=False),
    lite=dict(blocks=4, features=32, batch_norm=False),
)
_ESRGAN = "Wang et al., ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks, ECCV Workshops 2018"
_DUF16 = dict(
    frames=7,
    build=DUF,
    hyper=dict(blocks=6, features=64, growth=32, width=256),
    lite=dict(blocks=4, features=24, growth=12, width=64, momentum=0.1, bilinear=True),
)
_DUF_PAPER = (
    "Jo et al., Deep Video Super-Resolution Network Using Dynamic Upsampling Filters Without Explicit Motion "
    "Compensation, CVPR 2018"
)
_TWO_STREAM = (
    "Zhang, Liu and Xiong, Two-Stream Action Recognition-Oriented Video Super-Resolution, ICCV 2019 (arXiv 1903.05577)"
)

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            name="bicubic",
            title="Bicubic",
            paper="Keys, Cubic Convolution Interpolation for Digital Image Processing, IEEE TASSP 1981",
            frames=1,
            build=Bicubic,
        ),
        Method(
            name="vdsr",
            title="VDSR",
            paper="Kim, Lee and Lee, Accurate Image Super-Resolution Using Very Deep Convolutional Networks, CVPR 2016",
            frames=1,
            build=VDSR,
            hyper=dict(layers=20, features=64),
            lite=dict(layers=8, features=32),
        ),
        Method(
            name="rcan",
            title="RCAN",
            paper="Zhang et al., Image Super-Resolution Using Very Deep Residual Channel Attention Networks, ECCV 2018",
            frames=1,
            build=RCAN,
            hyper=dict(groups=10, blocks=20, features=64, reduction=16),
            lite=dict(groups=2, blocks=3, features=32, reduction=8),
        ),
        Method(
            name="srresnet",
            title="SRResNet",
            **_GENERATOR,
        ),
        Method(
            name="srgan",
            title="SRGAN",
            **_GENERATOR,
        ),
        Method(
            name="rrdb",
            title="RRDBNet",
            paper=_ESRGAN,
            **_RRDBNET,
        ),
        Method(
            name="esrgan",
            title="ESRGAN",
            paper=_ESRGAN,
            **_RRDBNET,
        ),
        Method(
            name="sosr",
            title="SoSR",
            paper=_TWO_STREAM,
            **_RRDBNET,
        ),
        Method(
            name="realsr",
            title="RealSR-DF2K",
            paper="Ji et al., Real-World Super-Resolution via Kernel Estimation and Noise Injection, "
            "CVPR Workshops 2020",
            **_RRDBNET,
        ),
        Method(
            name="spmc",
            title="SPMC",
            paper="Tao et al., Detail-Revealing Deep Video Super-Resolution, ICCV 2017",
            frames=3,
            build=SPMC,
            hyper=dict(frames=3, features=32, motion=24),
            lite=dict(frames=3, features=12, motion=12),
        ),
        Method(
            name="duf16",
            title="VSR-DUF-16L",
            paper=_DUF_PAPER,
            **_DUF16,
        ),
        Method(
            name="duf28",
            title="VSR-DUF-28L",
            paper=_DUF_PAPER,
            frames=7,
            build=DUF,
            hyper=dict(blocks=12, features=64, growth=16, width=256),
            lite=dict(blocks=6, features=24, growth=8, width=64, momentum=0.1, bilinear=True),
        ),
        Method(
            name="duf52",
            title="VSR-DUF-52L",
            paper=_DUF_PAPER,
            frames=7,
            build=DUF,
            hyper=dict(blocks=24, features=64, growth=16, width=256),
            lite=dict(blocks=8, features=24, growth=8, width=64, momentum=0.1, bilinear=True),
        ),
        Method(
            name="tosr",
            title="ToSR",
            paper=_TWO_STREAM,
            **_DUF16,
        ),
    )
}

STARTS = ("srresnet", "rrdb")  # SRGAN and ESRGAN before their training for looks: not in the paper's tables


def build(name: str, **hyper) -> nn.Module:
    """A network of METHODS with fresh weights, at the published size but for the `hyper` given.

    Every network takes LR RGB in [0, 1], (N, 3, H, W) or (N, frames, 3, H, W), and gives (N, 3, 4H, 4W), not clamped;
    it has the attributes scale, frames, margin (radius in LR pixels of what an output pixel sees; None: everything),
    smallest (LR side) and footprint (numbers in memory at once for an LR pixel, without gradient). Input of another
    shape raises InputError, and so do numbers that make no network.

    >>> build("duf16", **METHODS["duf16"].lite)(torch.rand(1, 7, 3, 16, 16)).shape
    torch.Size([1, 3, 64, 64])
    """
    method = _method(name)
    known = inspect.signature(method.build).parameters if method.hyper else {}
    if unknown := sorted(hyper.keys() - known):
        raise InputError(f"{name}: no setting {', '.join(unknown)}; known: {', '.join(known) or 'none'}")
    for key, value in hyper.items():
        if type(known[key].default) is int and not (isinstance(value, int) and value >= 1):
            raise InputError(f"{name}: expected {key} as a whole number of at least 1, got {value!r}")
    return _checked(method.build(**method.hyper | hyper))


def load(name: str, path: str | Path | None = None) -> nn.Module:
    """A network of METHODS with weights from a file, in evaluation mode on the CPU; "bicubic" needs no file.

    The number of blocks, channels and so on are read off the weights. Any naming in circulation will do: see
    `weights`. Files: .safetensors, VSR-DUF's .h5, PyTorch's without pickled objects. Raises InputError for a file
    that is missing, damaged, unsafe, or holds the weights of another network.
    """
    method = _method(name)
    if method.build is Bicubic:
        if path is not None:
            raise InputError(f"{path}: bicubic has no weights; load it without a path")
        return build(name).eval()
    if path is None:
        raise InputError(f"{name} needs weights; give path=, weights of {method.title} ({method.paper})")
    builder, state = namings.recognise(weights.read(path))
    if builder is None:
        first = ", ".join(f"{key} {tuple(value.shape)}" for key, value in list(state.items())[:3])
        raise InputError(f"{path}: not the weights of a network known here; expected {method.title}, found {first}")
    title = namings.FAMILIES[builder].title
    if builder is not method.build:
        names = " or ".join(m.name for m in METHODS.values() if m.build is builder)
        raise InputError(f"{path}: these are {title} weights; load them with name {names}")
    model, size = namings.network(builder, state, where=str(path))
    published = [m.name for m in METHODS.values() if m.build is builder and m.hyper.items() <= size.items()]
    if published and name not in published:  # another depth of the same network: results would bear a wrong name
        raise InputError(f"{path}: weights of the size of {' or '.join(published)}; load them with name {published[0]}")
    return _checked(model).eval()


def _method(name: str) -> Method:
    if name not in METHODS:
        raise InputError(f"unknown method {name!r}; known: {', '.join(METHODS)}")
    return METHODS[name]


def _checked(model: nn.Module) -> nn.Module:
    model.register_forward_pre_hook(_check_input, with_kwargs=True)
    return model


def _check_input(model: nn.Module, args: tuple, kwargs: dict) -> None:
    x = next(iter((*args, *kwargs.values())), None)
    expected = "(N, 3, H, W)" if model.frames == 1 else f"(N, {model.frames}, 3, H, W)"
    if not isinstance(x, torch.Tensor):
        raise InputError(f"{type(model).__name__}: expected a float tensor {expected}, got {type(x).__name__}")
    front = (3,) if model.frames == 1 else (model.frames, 3)
    if not x.is_floating_point() or x.shape[1:-2] != front or min(x.shape[-2:]) < model.smallest:
        raise InputError(
            f"{type(model).__name__}: expected a float tensor {expected} with sides of {model.smallest} px or more, "
            f"got {x.dtype} of shape {tuple(x.shape)}"
        )
