"""The namings in which the networks' weights circulate, and the network's size read off the shapes."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from arsr_core.errors import InputError
from arsr_core.sr.networks import duf, rcan, rrdb, spmc, srgan, vdsr
from arsr_core.weights import AGAIN, State, describe_shape, fill, read


@dataclass(frozen=True)
class Family:
    """How a network's weights are known and read. `markers`: keys that no other network's naming has, any will do."""

    title: str
    markers: tuple[str, ...]
    rename: Callable[[State], State]  # any naming -> the network's own
    size: Callable[[State], dict]  # -> keyword arguments of its builder


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
        raise InputError(f"{key} is {describe_shape(state[key])}, expected a convolution's weight")
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
