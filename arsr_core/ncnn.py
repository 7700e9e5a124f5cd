"""Convolutions out of ncnn's model files: the form in which the RealSR-DF2K RRDBNet reaches a package index.

A model is a text file (`.param`, one layer a line) and a binary (`.bin`) with the weights in the same order. A
convolution's weights start with a tag: 0x01306B47 for half precision (padded to four bytes), 0 for float32; its
bias, if it has one, follows as float32.
"""

from pathlib import Path

import numpy as np
import torch

from arsr_core.errors import InputError, checked

HALF, SINGLE = 0x01306B47, 0


@checked
def convolutions(param: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(weight (out, in, k, k), bias (out,)) of each 2-D convolution, float32, in the order of the forward pass.

    `param`: the text file; the binary of the same name lies beside it.
    """
    binary = param.with_suffix(".bin")
    for path in (param, binary):
        if not path.is_file():
            raise InputError(f"{path}: no such file; an ncnn model is a .param and a .bin of the same name")
    lines = param.read_text(encoding="utf-8", errors="replace").splitlines()
    if not lines or lines[0].strip() != "7767517":
        raise InputError(f"{param}: not an ncnn text model (first line 7767517 expected)")
    data, at, found = memoryview(binary.read_bytes()), 0, []

    def take(dtype: str, count: int) -> np.ndarray:
        nonlocal at
        size = np.dtype(dtype).itemsize * count
        if at + size > len(data):
            raise InputError(f"{binary}: ends at byte {len(data):,} inside layer {len(found)}; download it again")
        values = np.frombuffer(data[at : at + size], dtype)
        at += (size + 3) // 4 * 4
        return values

    for line in filter(str.strip, lines[2:]):
        kind, *rest = line.split()
        if kind != "Convolution":
            continue
        try:
            options = dict(field.split("=", 1) for field in rest if "=" in field)
            out, kernel, total = (int(options[key]) for key in ("0", "1", "6"))
            inputs, left = divmod(total, out * kernel**2)
            if min(out, kernel, inputs) < 1:
                raise ValueError(f"{out} outputs of {kernel}x{kernel}, {total} weights")
        except (KeyError, ValueError, ZeroDivisionError) as error:
            raise InputError(f"{param}: layer {len(found)} is damaged ({error!r}); download it again") from error
        if left:
            raise InputError(f"{param}: layer {len(found)} says {total} weights, no multiple of {out * kernel**2}")
        tag = int(take("<u4", 1)[0])
        if tag not in (HALF, SINGLE):
            raise InputError(f"{binary}: layer {len(found)} is quantised (tag {tag:#x}); take an fp16 or fp32 model")
        weight = take("<f2" if tag == HALF else "<f4", total).astype(np.float32).reshape(out, inputs, kernel, kernel)
        bias = take("<f4", out) if options.get("5") == "1" else np.zeros(out)
        found.append((torch.from_numpy(weight), torch.from_numpy(bias.astype(np.float32))))
    if at != len(data):
        raise InputError(
            f"{binary}: {len(data) - at:,} bytes are left over; this model has layers other than convolutions"
        )
    return found


@checked
def rrdb_state_dict(param: Path) -> dict[str, torch.Tensor]:
    """An RRDBNet's state dict (its newer naming) from an ncnn model: 3 in, n blocks of 3 x 5, 5 convolutions out."""
    found = convolutions(param)
    blocks, rest = divmod(len(found) - 6, 15)
    if rest or blocks < 1:
        raise InputError(f"{param}: {len(found)} convolutions are no RRDBNet x4 (6 + 15 a block expected)")
    names = ["conv_first"]
    names += [f"body.{b}.rdb{r}.conv{c}" for b in range(blocks) for r in (1, 2, 3) for c in (1, 2, 3, 4, 5)]
    names += ["conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
    state = {}
    for name, (weight, bias) in zip(names, found, strict=True):
        state[f"{name}.weight"], state[f"{name}.bias"] = weight, bias
    return state
