"""Test protocols: which snippets of a clip are seen, at what size, in which crops."""

import torch
import torch.nn.functional as F

from arsr_core.errors import InputError, checked, require
from arsr_core.recognition.settings import Protocol


@checked
def starts(frames: int, protocol: Protocol, length: int = 1) -> torch.Tensor:
    """Where the snippets of a test clip begin, evenly spaced from the first frame: (snippets,) indices from 0.

    frames: of the clip, or flow fields; length: of a snippet, 1 or flow_frames. As TSN's evaluation: every
    floor((frames - length) / (snippets - 1)) frames, and all from the first where that is 0, so for a clip of fewer
    than length + snippets - 1. A single snippet is the middle one. A clip shorter than a snippet
    is an InputError, where TSN's tool repeats the last field.

    >>> starts(100, PROTOCOLS["light"], 5).tolist()
    [0, 23, 46, 69, 92]
    """
    _check_lengths("starts", frames, protocol.snippets, length)
    if protocol.snippets == 1:
        return torch.tensor([(frames - length) // 2])
    return torch.arange(protocol.snippets) * ((frames - length) // (protocol.snippets - 1))


@checked
def train_starts(frames: int, segments: int, length: int = 1, generator: torch.Generator | None = None) -> torch.Tensor:
    """Where the snippets of a training clip begin: a random place in each of equal segments, (segments,) from 0.

    As TSN: segments of floor((frames - length + 1) / segments) frames; of a clip shorter than that, sorted random
    places; all from the first frame where there is one place only.
    """
    _check_lengths("train_starts", frames, segments, length)
    places = frames - length + 1
    if duration := places // segments:
        return torch.arange(segments) * duration + torch.randint(duration, (segments,), generator=generator)
    return torch.randint(places, (segments,), generator=generator).sort().values


@checked
def resize(x: torch.Tensor, protocol: Protocol) -> torch.Tensor:
    """Frames to the protocol's size, bilinear without antialiasing as TSN's tools: (..., C, H, W), any floating dtype.

    TSN's tools work on 8-bit frames: `degrade.quantise` the result for theirs. Flow is computed after it.
    """
    return bilinear(x, protocol.size)


def bilinear(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """OpenCV's default resizing: (..., C, H, W) -> (..., C, *size)."""
    require("resize", "any", x=(x, "... C H W"))
    if x.shape[-2:] == tuple(size):
        return x
    y = F.interpolate(x.reshape(-1, *x.shape[-3:]), size, mode="bilinear", align_corners=False)
    return y.reshape(*x.shape[:-2], *size)


@checked
def crop(x: torch.Tensor, protocol: Protocol) -> torch.Tensor:
    """TSN's test crops: x (N, ..., C, H, W) -> (N, crops, ..., C, crop, crop).

    One: the centre. Ten: the corners (top left, top right, bottom left, bottom right), the centre, then the five
    `mirrored`.
    """
    require("crop", "any", x=(x, "... C H W"))
    (h, w), side = x.shape[-2:], protocol.crop
    if min(h, w) < side:
        raise InputError(f"crop: frames of {h}x{w} do not hold crops of {side} px; resize them to {protocol.size}")
    bottom, right = h - side, w - side
    places = [(bottom // 2, right // 2)]
    if protocol.crops == 10:
        places = [(0, 0), (0, right), (bottom, 0), (bottom, right), *places]
    crops = [x[..., top : top + side, left : left + side] for top, left in places]
    if protocol.crops == 10:
        crops += [mirrored(part) for part in crops]
    return torch.stack(crops, 1)


def mirrored(x: torch.Tensor) -> torch.Tensor:
    """Left and right exchanged: (..., C, H, W). A coded flow stack (C other than 3) has u, the even channels, inverted.

    Inverted is 1 - u, as in TSN's tools: no motion, 128/255, becomes 127/255.
    """
    require("mirrored", "any", x=(x, "... C H W"))
    x = x.flip(-1)
    if x.shape[-3] != 3:
        x[..., ::2, :, :] = 1 - x[..., ::2, :, :]
    return x


def _check_lengths(name: str, frames: int, snippets: int, length: int) -> None:
    if snippets < 1 or length < 1:
        raise InputError(f"{name}: expected snippets and length from 1, got {snippets} and {length}")
    if frames < length:
        what = f"{length} flow fields, so of {length + 1} frames," if length > 1 else "one frame"
        raise InputError(f"{name}: expected a clip of {what} or more, got {frames}; leave this clip out")
