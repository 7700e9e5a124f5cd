"""LR clips -> SR clips with any network of arsr_core.sr.

One engine, three fronts: `upscale` (tensors), `upscale_frames` (a stream of uint8 frames, in memory that does not
grow with it) and `upscale_video` (file to file).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn

from arsr_core import video
from arsr_core.errors import InputError
from arsr_core.sr.engine import Settings, engine

OVERSHOOT = 0.2  # beyond [0, 1]: the unrounded bicubic LR frames of `degrade.to_lr` reach 0.18


def upscale(
    model: nn.Module,
    clip: torch.Tensor,
    *,
    frames: Sequence[int] | None = None,
    padding: str = "replicate",
    tile: int | str | None = "auto",
    batch: int | str = "auto",
    device: str | torch.device | None = None,
    precision: str = "auto",
    progress: bool | None = None,
) -> torch.Tensor:
    """Super-resolves every frame of every clip: (N, T, 3, H, W) in [0, 1] -> float32 (N, T, 3, 4H, 4W) in [0, 1].

    model: a network of arsr_core.sr, of one frame or several; it runs in evaluation mode and stays as it is.
    clip: also with the bicubic overshoot that `degrade.to_lr` leaves. The result lies where the clip lies.
    frames: the numbers, rising, of the frames wanted of each clip; None: all T.
    padding: what a network of several frames sees beyond the clip's ends: "replicate" (the last frame again),
      "reflect" (the clip backwards) or "black" (zeros, as in the released ToSR code). It also serves clips shorter
      than the network's window.
    tile: the largest side, in LR pixels, of the pieces in which frames pass the network; None: whole frames; "auto":
      pieces only where memory asks for them. Pieces overlap by the receptive field's radius (model.margin), so the
      seams are exact; a network with a global operation (margin None) takes whole frames only.
    batch: frames a forward; "auto": what memory holds on a GPU, few on a CPU, where few are fastest.
    device: where to compute, "cpu" or "cuda"; None: where the model's parameters are.
    precision: "auto" takes bfloat16 where the hardware multiplies it natively (it costs less than 0.02 dB), else
      float32; "float32" also switches TF32 off. Weights of other types are computed with as these.
    progress: a bar on stderr; None: only on a terminal, and only after two seconds.
    Raises InputError for input that is none of this, and for frames that memory does not hold.

    >>> upscale(build("vdsr"), torch.rand(1, 7, 3, 60, 80)).shape
    torch.Size([1, 7, 3, 240, 320])
    """
    _check_model(model)
    settings = Settings(padding, tile, batch, device, precision)
    _check_clip(clip)
    n, t, _, h, w = clip.shape
    _check_size("upscale", model, h, w)
    wanted = range(t) if frames is None else list(frames)
    if not wanted or any(not 0 <= i < t for i in wanted) or any(a >= b for a, b in pairwise(wanted)):
        raise InputError(f"upscale: expected rising numbers of frames from 0 to {t - 1}, got {list(wanted)}")
    run = engine(model, settings, clip.device, set(wanted))
    sr = clip.new_empty(n * len(wanted), 3, model.scale * h, model.scale * w, dtype=torch.float32)
    done = 0
    with _bar(progress, len(sr)) as advance:
        for part in run(clip.detach()):
            sr[done : done + len(part)] = part
            done += len(part)
            advance(len(part))
    _check_result(model, sr)
    return sr.unflatten(0, (n, -1))


def upscale_frames(
    model: nn.Module,
    frames: Iterable[np.ndarray],
    *,
    progress: bool | None = None,
    total: int | None = None,
    **settings,
) -> Iterator[np.ndarray]:
    """Super-resolves a stream of uint8 (H, W, 3) RGB frames, yields uint8 (4H, 4W, 3): clamped, rounded half up.

    Holds one batch and the network's window, however long the stream. `total` is the number of frames for the
    progress bar, where it is known. settings: padding, tile, batch, device and precision, as for `upscale`.

    >>> for frame in upscale_frames(model, video.frames("lr.avi")): ...
    """
    _check_model(model)
    run = engine(model, Settings(**settings), torch.device("cpu"))
    return _stream(run, model, frames, progress, total)


def upscale_video(
    model: nn.Module,
    source: str | Path,
    target: str | Path,
    *,
    fps: float | None = None,
    lossless: bool = False,
    **settings,
) -> None:
    """Super-resolves a video file or a folder of images, streaming; the target appears when it is complete.

    target: .mp4, .mov or .mkv holds H.264 (4:2:0, crf 16) and the source's sound, unchanged; lossless=True writes
    what `video.write` writes (.mkv, .avi, .mp4, .mov), without sound; a name without suffix becomes a folder of
    PNGs. The rate is the source's, which must be constant; another fps leaves the sound out, and video from a folder
    of images needs it. The shape of the pixels stays the source's.
    settings: as for `upscale_frames`. Raises InputError as `video.frames`, `video.write`, `video.encode` and
    `upscale` do.

    >>> upscale_video(load("vdsr", "vdsr.safetensors"), "lr.avi", "sr.mp4")
    """
    source, target = Path(source), Path(target)
    info = video.probe(source)
    if target.exists() and target.samefile(source):
        raise InputError(f"{target}: source and target are the same file; choose another target")
    _check_model(model)
    _check_size(str(source), model, info.height, info.width)
    if not source.is_dir() and target.suffix and fps is None:
        video.require_constant_rate(source)
    sr = upscale_frames(model, video.frames(source), **{"total": info.frames} | settings)
    rate = info.fps if fps is None else fps
    if rate is None and target.suffix:
        raise InputError(f"{source}: a folder of images has no rate; give fps, frames per second")
    if lossless or not target.suffix:
        video.write(target, sr, rate, aspect=info.aspect)
    else:
        video.encode(target, sr, rate, aspect=info.aspect, sound=source if info.fps and rate == info.fps else None)


def _stream(
    run: Callable, model: nn.Module, frames: Iterable[np.ndarray], progress: bool | None, total: int | None
) -> Iterator[np.ndarray]:
    with _bar(progress, total) as advance:
        for part in run([_tensors(model, frames)]):
            _check_result(model, part)
            advance(len(part))
            yield from video.to_uint8(part[None])


@contextmanager
def _bar(progress: bool | None, total: int | None) -> Iterator[Callable[[int], object]]:
    if progress is False or (progress is None and not sys.stderr.isatty()):
        yield lambda frames: None
        return
    from tqdm import tqdm

    with tqdm(total=total, unit=" frames", delay=0 if progress else 2) as bar:
        yield bar.update


# Checks -----------------------------------------------------------------------------------------------------


def _check_model(model: nn.Module) -> None:
    needed = ("scale", "frames", "margin", "smallest")
    if not isinstance(model, nn.Module) or not all(hasattr(model, name) for name in needed):
        raise InputError(
            f"upscale: expected a network with {', '.join(needed)}, as arsr_core.sr.build gives it; "
            f"got {type(model).__name__}"
        )


def _check_clip(clip: torch.Tensor) -> None:
    if not isinstance(clip, torch.Tensor) or not clip.is_floating_point() or clip.ndim != 5 or clip.shape[2] != 3:
        raise InputError(
            f"upscale: expected a float clip (N, T, 3, H, W) in [0, 1], got {_describe(clip)}; "
            "video.to_tensor makes one of uint8 frames"
        )
    if not clip.numel() or clip.is_meta:
        raise InputError(f"upscale: the clip {tuple(clip.shape)} is empty; expected at least one frame")
    low, high = (x.item() for x in clip.detach().aminmax())
    if math.isnan(low):
        raise InputError(f"upscale: the clip {tuple(clip.shape)} contains NaN; check what made it")
    if low < -OVERSHOOT or high > 1 + OVERSHOOT:
        raise InputError(
            f"upscale: expected values in [0, 1], found {low:.4g} to {high:.4g}; divide 8-bit values by 255"
        )


def _check_size(name: str, model: nn.Module, height: int, width: int) -> None:
    if min(height, width) < model.smallest:
        raise InputError(
            f"{name}: frames of {width}x{height} are too small for {type(model).__name__}; "
            f"it needs at least {model.smallest}x{model.smallest} pixels"
        )


def _check_result(model: nn.Module, sr: torch.Tensor) -> None:
    if sr.isnan().any():
        raise InputError(f"upscale: {type(model).__name__} gave NaN; check its weights, or try precision='float32'")


def _tensors(model: nn.Module, frames: Iterable[np.ndarray]) -> Iterator[torch.Tensor]:
    """uint8 (H, W, 3) arrays, each of them checked, -> uint8 (3, H, W) tensors with memory of their own."""
    shape = None
    for number, frame in enumerate(frames):
        array = isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3
        if not array or frame.shape[2] != 3 or not frame.size:
            raise InputError(f"upscale: frame {number}: expected a uint8 array (H, W, 3), got {_describe(frame)}")
        if shape is None:
            _check_size("upscale", model, *frame.shape[:2])
        elif frame.shape != shape:
            raise InputError(
                f"upscale: frame {number} is {frame.shape[1]}x{frame.shape[0]}, the frames before it are "
                f"{shape[1]}x{shape[0]}; expected one size: crop or resize the frames"
            )
        shape = frame.shape
        yield torch.from_numpy(frame.copy()).permute(2, 0, 1)
    if shape is None:
        raise InputError("upscale: there are no frames; expected at least one")


def _describe(value: object) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"{value.dtype} {tuple(shape)}"
