"""The namings in which the networks' weights circulate, and the network's size read off the shapes."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import yaml
from torch import nn

from arsr_core import files, ncnn, weights
from arsr_core.errors import InputError, checked, describe
from arsr_core.sr.networks import duf, rcan, rrdb, spmc, srgan, vdsr
from arsr_core.weights import State, renamed

RULES: dict[str, dict[str, str]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Family:
    """How a network's weights are known and read. `marker`: a key that no other network's naming has."""

    title: str
    build: Callable[..., nn.Module]
    marker: str
    rename: Callable[[State], State]  # any naming -> the network's own
    size: Callable[[State], dict]  # -> keyword arguments of `build`

    def network(self, state: State, *, where: str) -> tuple[nn.Module, dict]:
        """The network that tensors in its own naming fill, on the CPU, and the arguments that give its size.

        Raises InputError, which begins with `where`, for tensors that are missing, unknown or of other shapes.
        """
        try:
            size = self.size(state)
            with torch.device("meta"):  # no memory filled, no random number drawn
                model = self.build(**size)
        except InputError as error:
            raise InputError(f"{where}: incomplete weights of {self.title}: {error}; {weights.AGAIN}") from error
        return weights.fill(model, state, where=where), size


@checked
def read(path: str | Path) -> tuple[Family, State]:
    """Which network's weights a file holds, and its tensors in that network's own naming.

    Raises InputError as `weights.read` does, and for the weights of a network that is not known here.
    """
    path = Path(path)
    state = ncnn.rrdb_state_dict(path) if path.suffix.lower() == ".param" else weights.read(path)
    return recognise(state, where=str(path))


def recognise(state: State, *, where: str) -> tuple[Family, State]:
    """Which network's weights these are, and the tensors in its own naming; InputError where none is known.

    >>> recognise(build("vdsr").state_dict(), where="a fresh network")[0].title
    'VDSR'
    """
    for family in FAMILIES:
        ours = family.rename(state)
        if family.marker in ours:
            return family, ours
    known = ", ".join(family.title for family in FAMILIES)
    first = ", ".join(f"{key} {tuple(value.shape)}" for key, value in list(state.items())[:3])
    raise InputError(f"{where}: not the weights of a network known here: {known}; found {first}")


@checked
def convert(source: str | Path, target: str | Path) -> dict[str, str]:
    """Write a file of weights as .safetensors in our naming, atomically; returns what is noted in the file.

    The note: network, its size, number of parameters, the source's name and its SHA-256. Raises InputError for a
    source that `read` refuses or that holds no whole network, and for a target of another kind.

    >>> convert("RRDB_ESRGAN_x4.pth", "esrgan.safetensors")["parameters"]
    '16697987'
    """
    source, target = Path(source), Path(target)
    if target.suffix != ".safetensors" or not target.parent.is_dir():
        raise InputError(f"{target}: expected a name that ends in .safetensors, in a folder that exists")
    if source.exists() and target.exists() and target.samefile(source):
        raise InputError(f"{target}: source and target are the same file; choose another target")
    family, state = read(source)
    model, size = family.network(state, where=str(source))
    binary = source.with_suffix(".bin") if source.suffix == ".param" else source
    note = {
        "network": family.title,
        "size": json.dumps(size),
        "parameters": str(sum(p.numel() for p in model.parameters())),
        "source": binary.name,
        "sha256": files.sha256(binary),
    }
    files.write_atomically(target, weights.serialised(state, note))
    return note


def _rcan(state: State) -> State:
    ours = renamed(state, RULES["RCAN"])
    shift = ours.pop("sub_mean.bias", None)  # -value_range * mean; the rest of these layers is the identity
    for key in ("sub_mean.weight", "add_mean.weight", "add_mean.bias"):
        ours.pop(key, None)
    if shift is not None and shift.shape == (3,):
        value_range = 255.0 if shift.abs().max() > 1 else 1.0
        return ours | {"mean": -shift / value_range, "value_range": torch.tensor(value_range)}
    if "conv_first.weight" in state:  # BasicSR keeps both in its code
        return {"mean": torch.tensor(rcan.DIV2K_MEAN), "value_range": torch.tensor(255.0)} | ours
    return ours


def _duf(state: State) -> State:
    if any(key.startswith("G/") for key in state):
        state = _duf_tensorflow(state)
    kept = _count(state, r"dense_block1\.dense_blocks")  # blocks that keep all frames; those that reduce them follow
    state = _numbered(state, r"dense_block2\.temporal_reduce", kept - 1)
    return renamed(state, RULES["VSR-DUF"])


def _duf_tensorflow(state: State) -> State:
    """Renamed, and with the axes in PyTorch's order."""
    ours = _numbered(renamed(state, RULES["VSR-DUF in TensorFlow"]), r"blocks\.", -1)
    # what is left with a slash or without a dot belongs to the optimiser, the averages or the filters' expansion
    ours = {key: value for key, value in ours.items() if "/" not in key and "." in key}
    for key, value in ours.items():
        if value.ndim == 5:
            ours[key] = value.permute(4, 3, 0, 1, 2).contiguous()  # (T, H, W, in, out) -> (out, in, T, H, W)
    for key in ours.keys() & {"residual.2.weight", "residual.2.bias"}:
        value = ours[key]  # depth_to_space counts (sub-pixel, colour), pixel_shuffle (colour, sub-pixel)
        if value.shape[:1] == (48,):
            ours[key] = value.unflatten(0, (16, 3)).transpose(0, 1).flatten(0, 1).contiguous()
    return ours


def _numbered(state: State, place: str, more: int) -> State:
    """Keys that begin with a place and a number become those of the block with that number and `more`."""
    return {re.sub(rf"^{place}(\d{{1,9}})", lambda m: f"blocks.{int(m[1]) + more}", key): x for key, x in state.items()}


def _count(state: State, place: str = "body|blocks|residual_layer") -> int:
    """How many numbered modules lie at a place."""
    return len({match[1] for key in state if (match := re.match(rf"(?:{place})\.(\d+)\.", key))})


def _channels(state: State, key: str, axis: int = 0) -> int:
    """Outputs (axis 1: inputs) of a convolution."""
    if key not in state or state[key].ndim < 4 or not state[key].numel():
        found = describe(state[key]) if key in state else "missing"
        raise InputError(f"{key} is {found}, expected a convolution's weight")
    return state[key].shape[axis]


def _vdsr_size(s: State) -> dict:
    return {"layers": _count(s) + 2, "features": _channels(s, "input.weight")}


def _rcan_size(s: State) -> dict:
    squeeze = "body.0.residual_group.0.rcab.3.attention.1.weight"  # (features / reduction, features, 1, 1)
    features, blocks = _channels(s, squeeze, 1), _count(s, r"body\.0\.residual_group")
    reduction = max(features // _channels(s, squeeze), 1)
    return {"groups": _count(s), "blocks": blocks, "features": features, "reduction": reduction}


def _srgan_size(s: State) -> dict:
    return {"blocks": _count(s), "features": _channels(s, "conv_first.weight")}


def _rrdb_size(s: State) -> dict:
    features, growth = _channels(s, "conv_first.weight"), _channels(s, "body.0.rdb1.conv1.weight")
    return {"features": features, "blocks": _count(s), "growth": growth}


def _duf_size(s: State) -> dict:
    features, growth = _channels(s, "conv1.weight"), _channels(s, "blocks.0.5.weight")
    return {"features": features, "blocks": _count(s), "growth": growth, "width": _channels(s, "conv2.weight")}


def _spmc_size(s: State) -> dict:
    if "window" not in s or s["window"].numel() != 1 or s["window"].is_floating_point():
        raise InputError("window, the number of frames, is missing")
    features, motion = _channels(s, "enter.weight"), _channels(s, "motion.coarse.0.weight")
    return {"frames": int(s["window"]), "features": features, "motion": motion}


_srgan, _rrdb = (partial(renamed, rules=RULES[name]) for name in ("SRResNet", "RRDBNet"))
FAMILIES = (
    Family("VDSR", vdsr.VDSR, "residual_layer.0.conv.weight", dict, _vdsr_size),
    Family("RCAN", rcan.RCAN, "body.0.residual_group.0.rcab.0.weight", _rcan, _rcan_size),
    Family("SRResNet", srgan.MSRResNet, "body.0.conv1.weight", _srgan, _srgan_size),
    Family("RRDBNet", rrdb.RRDBNet, "body.0.rdb1.conv1.weight", _rrdb, _rrdb_size),
    Family("VSR-DUF", duf.DUF, "blocks.0.2.weight", _duf, _duf_size),
    Family("SPMC", spmc.SPMC, "lstm.gates.weight", dict, _spmc_size),
)
