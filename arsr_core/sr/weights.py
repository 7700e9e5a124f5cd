"""Weights from files: safe formats only, the namings in circulation, and the network's size read off the shapes."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from .. import InputError
from . import duf, ncnn, rcan, rrdb, spmc, srgan, vdsr

State = dict[str, torch.Tensor]

WRAPPERS = ("params_ema", "params", "state_dict", "model")  # where training tools put the state dict, preferred first
PREFIXES = ("module.", "_orig_mod.", "generator.")  # DataParallel, torch.compile, mmagic
AGAIN = "copy or download it again"


@dataclass(frozen=True)
class Family:
    """How a network's weights are known and read. `markers`: keys that no other network's naming has, any will do."""

    title: str
    markers: tuple[str, ...]
    rename: Callable[[State], State]  # any naming -> the network's own
    size: Callable[[State], dict]  # -> keyword arguments of its builder


def read(path: str | Path) -> State:
    """The tensors of a .safetensors, .h5 / .hdf5, ncnn .param or PyTorch file, without wrappers and prefixes.

    What a file holds decides, not its suffix. A PyTorch file is read with weights_only=True: nothing in it is
    executed. Floats become float32. Raises InputError for a missing, damaged or unsafe file and for one without a
    state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file of weights; give the path of a .safetensors, .h5 or .pth file")
    state = _reader(path)(path)
    for _ in WRAPPERS:  # they nest
        state = next((state[key] for key in WRAPPERS if isinstance(state.get(key), Mapping)), state)
    tensors = {str(key): value for key, value in state.items() if isinstance(value, torch.Tensor)}
    state = {key: value.detach() for key, value in tensors.items() if value.layout is torch.strided}
    while prefix := next((p for p in PREFIXES if any(key.startswith(p) for key in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    if not state:
        raise InputError(f"{path}: holds no tensors by name; save the network's state_dict()")
    state = {key if key.isprintable() else ascii(key): value for key, value in state.items()}  # they reach a terminal
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def recognise(state: State) -> tuple[Callable | None, State]:
    """Which network's weights these are: (its builder, the tensors in its own naming), or (None, state)."""
    for builder, family in FAMILIES.items():
        renamed = family.rename(state)
        if any(marker in renamed for marker in family.markers):
            return builder, renamed
    return None, state


def network(builder: Callable, state: State, *, where: str) -> tuple[nn.Module, dict]:
    """The network that `recognise` found, filled, on the CPU, and the keyword arguments that give its size."""
    family = FAMILIES[builder]
    try:
        size = family.size(state)
        with torch.device("meta"):  # no memory filled, no random number drawn
            model = builder(**size)
    except InputError as error:
        raise InputError(f"{where}: incomplete weights of {family.title}: {error}; {AGAIN}") from error
    return fill(model, state, where=where), size


def fill(
    model: nn.Module, state: State, *, where: str, remedy: str = "take weights of this network at x4 for RGB"
) -> nn.Module:
    """Put the tensors into a network, which may lie on the meta device; InputError names the first differences.

    BatchNorm's counters of batches, which some formats lack, start at 0.
    """
    expected = model.state_dict()
    counters = {key: torch.tensor(0) for key in expected if key.endswith("num_batches_tracked")}
    state = counters | state
    faults = [f"{k} {_shape(v)} is missing" for k, v in expected.items() if k not in state]
    faults += [f"{k} {_shape(v)} is not part of it" for k, v in state.items() if k not in expected]
    for key, wanted in expected.items():
        found = state.get(key, wanted)
        if found.shape != wanted.shape or found.dtype != wanted.dtype:
            faults.append(f"{key} is {_shape(found)}, expected {_shape(wanted)}")
    faults += [
        f"{k} has values that are not finite"
        for k, v in state.items()
        if v.is_floating_point() and not v.isfinite().all()
    ]
    if faults:
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise InputError(f"{where}: {'; '.join(faults[:3])}{more}; {remedy}")
    model.load_state_dict(state, assign=True)
    return model


def _reader(path: Path) -> Callable[[Path], Mapping]:
    """By content; by suffix where the content says nothing, for the error that fits."""
    with path.open("rb") as file:
        head = file.read(9)
    if head.startswith((b"PK\x03\x04", b"\x80\x02\x8a")):  # PyTorch's, of today and of before 2020
        return _read_torch
    if head.startswith(b"\x89HDF"):
        return _read_hdf5
    if head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return _read_safetensors
    return READERS.get(path.suffix.lower(), _read_torch)


def _read_safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: damaged or no safetensors file ({_line(error)}); {AGAIN}") from error


def _read_hdf5(path: Path) -> State:
    """VSR-DUF's parameter files: datasets in the group `params`, `/` written `_` and `_` written `__`."""
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{path}: HDF5 files need the package h5py; pip install h5py") from error
    try:
        with h5py.File(path) as file:
            group = file.get("params", file)
            names = {key: re.sub(r"(?<!_)_(?!_)", "/", key).replace("__", "_").removesuffix(":0") for key in group}
            return {
                name: torch.from_numpy(group[key][()])
                for key, name in names.items()
                if isinstance(group[key], h5py.Dataset) and group[key].ndim
            }
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: damaged or no HDF5 file of parameters ({_line(error)}); {AGAIN}") from error


def _read_torch(path: Path) -> Mapping:
    try:
        with path.open("rb") as file:  # by its path, it would go by the suffix
            state = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        with path.open("rb") as file:
            pickled = file.read(2)[:1] == b"\x80"  # a plain pickle, or PyTorch's form of before 2020
        if pickled or "GLOBAL" in str(error):
            raise InputError(
                f"{path}: holds Python objects besides tensors, which could run code; where you trust it, load it with "
                "its own program and save model.state_dict() with safetensors.torch.save_file"
            ) from error
        raise InputError(f"{path}: damaged or no PyTorch file; {AGAIN}") from error
    except Exception as error:  # whatever a damaged file leads the reader to
        raise InputError(f"{path}: damaged or no PyTorch file ({_line(error)}); {AGAIN}") from error
    if not isinstance(state, Mapping):
        raise InputError(f"{path}: holds a {type(state).__name__}, expected a state dict")
    return state


READERS: dict[str, Callable[[Path], Mapping]] = {
    ".safetensors": _read_safetensors,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".param": ncnn.rrdb_state_dict,
}


def convert(source: str | Path, target: str | Path) -> dict[str, str]:
    """Write a file of weights as .safetensors in our naming, atomically; returns what is noted in the file.

    The note: network, its size, number of parameters, the source's name and its SHA-256. Raises InputError for a
    source that `read` refuses or that holds no whole network known here, and for a target of another kind.
    """
    from safetensors.torch import save_file

    source, target = Path(source), Path(target)
    if target.suffix != ".safetensors" or not target.parent.is_dir():
        raise InputError(f"{target}: expected a name that ends in .safetensors, in a folder that exists")
    builder, state = recognise(read(source))
    if builder is None:
        raise InputError(
            f"{source}: not the weights of a network known here: {', '.join(f.title for f in FAMILIES.values())}"
        )
    model, size = network(builder, state, where=str(source))
    binary = source.with_suffix(".bin") if source.suffix == ".param" else source
    note = {
        "network": FAMILIES[builder].title,
        "size": json.dumps(size),
        "parameters": str(sum(p.numel() for p in model.parameters())),
        "source": binary.name,
        "sha256": hashlib.sha256(binary.read_bytes()).hexdigest(),
    }
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        save_file({key: value.contiguous() for key, value in state.items()}, temporary, metadata=note)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # safetensors leaves it to the owner alone
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return note


def _renamed(state: State, *rules: tuple[str, str | Callable]) -> State:
    """Each key after all rules (pattern at the key's start, replacement), in turn."""
    names = {}
    for key, value in state.items():
        for pattern, replacement in rules:
            key = re.sub(rf"^{pattern}", replacement, key)
        names[key] = value
    return names


def _rrdb(state: State) -> State:
    """ESRGAN of 2018 (`model.1.sub.0.RDB1.conv1.0.weight`), of 2019 (`RRDB_trunk.0.RDB1...`), BasicSR, mmagic."""
    return _renamed(
        state,
        (r"model\.0\.", "conv_first."),
        (r"model\.1\.sub\.(\d+)\.(weight|bias)$", r"conv_body.\2"),
        (r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", r"body.\1.rdb\2.conv\3."),
        (r"model\.3\.", "conv_up1."),
        (r"model\.6\.", "conv_up2."),
        (r"model\.8\.", "conv_hr."),
        (r"model\.10\.", "conv_last."),
        (r"RRDB_trunk\.(\d+)\.RDB(\d)\.", r"body.\1.rdb\2."),
        (r"trunk_conv\.", "conv_body."),
        (r"upconv(\d)\.", r"conv_up\1."),
        (r"HRconv\.", "conv_hr."),
    )


def _rcan(state: State) -> State:
    """The authors' naming, after EDSR (`body.0.body.0.body.0.weight`), and BasicSR's, which is ours."""
    renamed = _renamed(
        state,
        (r"head\.0\.", "conv_first."),
        (r"body\.(\d+)\.body\.(\d+)\.body\.3\.conv_du\.0\.", r"body.\1.residual_group.\2.rcab.3.attention.1."),
        (r"body\.(\d+)\.body\.(\d+)\.body\.3\.conv_du\.2\.", r"body.\1.residual_group.\2.rcab.3.attention.3."),
        (r"body\.(\d+)\.body\.(\d+)\.body\.", r"body.\1.residual_group.\2.rcab."),
        (r"body\.(\d+)\.body\.\d+\.(weight|bias)$", r"body.\1.conv.\2"),
        (r"body\.\d+\.(weight|bias)$", r"conv_after_body.\1"),
        (r"tail\.0\.", "upsample."),
        (r"tail\.1\.", "conv_last."),
    )
    shift = renamed.pop("sub_mean.bias", None)  # -value_range * mean; the rest of these layers is the identity
    for key in ("sub_mean.weight", "add_mean.weight", "add_mean.bias"):
        renamed.pop(key, None)
    if shift is not None and shift.shape == (3,):
        value_range = 255.0 if shift.abs().max() > 1 else 1.0
        return renamed | {"mean": -shift / value_range, "value_range": torch.tensor(value_range)}
    if "conv_first.weight" in state:  # BasicSR keeps both in its code
        return {"mean": torch.tensor(rcan.DIV2K_MEAN), "value_range": torch.tensor(255.0)} | renamed
    return renamed


def _srgan(state: State) -> State:
    """BasicSR's MSRResNet (ours), its older naming (`recon_trunk`), and mmagic's (`trunk_net`)."""
    return _renamed(state, (r"(recon_trunk|trunk_net)\.", "body."), (r"HRconv\.", "conv_hr."))


def _duf(state: State) -> State:
    """BasicSR's naming, and the authors' TensorFlow variables (`G/Rconv1a/W`), whose axes are moved as well."""
    if any(key.startswith("G/") for key in state):
        state = _duf_tensorflow(state)
    blocks = len(_numbers(state, r"dense_block1\.dense_blocks\.(\d+)\."))
    return _renamed(
        state,
        (r"conv3d1\.", "conv1."),
        (r"dense_block1\.dense_blocks\.", "blocks."),
        (r"dense_block2\.temporal_reduce(\d)\.", lambda m: f"blocks.{blocks + int(m[1]) - 1}."),
        (r"bn3d2\.", "bn2."),
        (r"conv3d2\.", "conv2."),
        (r"conv3d_r1\.", "residual.0."),
        (r"conv3d_r2\.", "residual.2."),
        (r"conv3d_f1\.", "filters.0."),
        (r"conv3d_f2\.", "filters.2."),
    )


def _duf_tensorflow(state: State) -> State:
    place = {"Rbna": 0, "Rconva": 2, "Rbnb": 3, "Rconvb": 5}  # in a block's sequence
    renamed = _renamed(
        state,
        (r"G/", ""),
        (r"(Rbn|Rconv)(\d+)([ab])/", lambda m: f"blocks.{int(m[2]) - 1}.{place[m[1] + m[3]]}."),
        (r"rconv([12])/", lambda m: f"residual.{2 * int(m[1]) - 2}."),
        (r"fconv([12])/", lambda m: f"filters.{2 * int(m[1]) - 2}."),
        (r"fbn1/", "bn2."),
        (r"(conv[12])/", r"\1."),
        (r"(.*)\.(W|gamma)$", r"\1.weight"),
        (r"(.*)\.(b|beta)$", r"\1.bias"),
        (r"(.*)\.moving_mean$", r"\1.running_mean"),
        (r"(.*)\.moving_variance$", r"\1.running_var"),
    )
    # what is left with a slash or without a dot belongs to the optimiser, the averages or the filters' expansion
    renamed = {key: value for key, value in renamed.items() if "/" not in key and "." in key}
    for key, value in renamed.items():
        if value.ndim == 5:
            renamed[key] = value.permute(4, 3, 0, 1, 2).contiguous()  # (T, H, W, in, out) -> (out, in, T, H, W)
    for key in renamed.keys() & {"residual.2.weight", "residual.2.bias"}:
        value = renamed[key]  # depth_to_space counts (sub-pixel, colour), pixel_shuffle (colour, sub-pixel)
        if value.shape[:1] == (48,):
            renamed[key] = value.unflatten(0, (16, 3)).transpose(0, 1).flatten(0, 1).contiguous()
    return renamed


def _numbers(state: State, pattern: str) -> set[str]:
    return {match[1] for key in state if (match := re.match(pattern, key))}


def _blocks(state: State) -> int:
    return len(_numbers(state, r"(?:body|blocks|residual_layer)\.(\d+)\."))


def _channels(state: State, key: str, axis: int = 0) -> int:
    """Outputs (axis 1: inputs) of a convolution."""
    if key not in state:
        raise InputError(f"{key} is missing")
    if state[key].ndim < 4 or not state[key].numel():
        raise InputError(f"{key} is {_shape(state[key])}, expected a convolution's weight")
    return state[key].shape[axis]


def _srgan_size(state: State) -> dict:
    batch_norm = "conv_body.1.running_mean" in state
    features = _channels(state, "conv_first.0.weight" if batch_norm else "conv_first.weight")
    activated = "upsample1.upsample_conv.weight" not in state
    return {"blocks": _blocks(state), "features": features, "batch_norm": batch_norm, "activated": activated}


def _rcan_size(state: State) -> dict:
    squeeze = "body.0.residual_group.0.rcab.3.attention.1.weight"  # (features / reduction, features, 1, 1)
    features = _channels(state, squeeze, 1)
    return {
        "groups": _blocks(state),
        "blocks": len(_numbers(state, r"body\.0\.residual_group\.(\d+)\.")),
        "features": features,
        "reduction": max(features // _channels(state, squeeze), 1),
    }


def _spmc_size(state: State) -> dict:
    if "window" not in state or state["window"].numel() != 1:
        raise InputError("window, the number of frames, is missing")
    return {
        "frames": int(state["window"]),
        "features": _channels(state, "enter.weight"),
        "motion": _channels(state, "motion.coarse.0.weight"),
    }


def _shape(x: torch.Tensor) -> str:
    kind = "" if x.is_floating_point() else f" of {x.dtype}"
    return f"{tuple(x.shape)}{kind}"


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0][:120]


FAMILIES: dict[Callable, Family] = {
    vdsr.VDSR: Family(
        title="VDSR",
        markers=("residual_layer.0.conv.weight",),
        rename=dict,
        size=lambda s: {"layers": _blocks(s) + 2, "features": _channels(s, "input.weight")},
    ),
    rcan.RCAN: Family(
        title="RCAN",
        markers=("body.0.residual_group.0.rcab.0.weight",),
        rename=_rcan,
        size=_rcan_size,
    ),
    srgan.generator: Family(
        title="SRResNet",
        markers=("body.0.conv1.weight", "body.0.layers.0.weight"),
        rename=_srgan,
        size=_srgan_size,
    ),
    rrdb.RRDBNet: Family(
        title="RRDBNet",
        markers=("body.0.rdb1.conv1.weight",),
        rename=_rrdb,
        size=lambda s: {
            "features": _channels(s, "conv_first.weight"),
            "blocks": _blocks(s),
            "growth": _channels(s, "body.0.rdb1.conv1.weight"),
        },
    ),
    duf.DUF: Family(
        title="VSR-DUF",
        markers=("blocks.0.2.weight",),
        rename=_duf,
        size=lambda s: {
            "features": _channels(s, "conv1.weight"),
            "blocks": _blocks(s),
            "growth": _channels(s, "blocks.0.5.weight"),
            "width": _channels(s, "conv2.weight"),
        },
    ),
    spmc.SPMC: Family(
        title="SPMC",
        markers=("lstm.gates.weight",),
        rename=dict,
        size=_spmc_size,
    ),
}
