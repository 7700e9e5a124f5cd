"""LR clips -> SR clips with any network of arsr_core.sr.

One engine, three fronts: `upscale` (tensors), `upscale_frames` (a stream of uint8 frames, in memory that does not
grow with it) and `upscale_video` (file to file).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from arsr_core import devices, video
from arsr_core.errors import InputError, checked, require, require_range
from arsr_core.sr.engine import Settings, engine


@checked
def upscale(
    model: nn.Module,
    clip: torch.Tensor,
    *,
    frames: Sequence[int] | None = None,
    padding: str = "replicate",
    tile: int | None = None,
    batch: int | None = None,
    device: str | torch.device | None = None,
    precision: str = "auto",
    backend: str = "torch",
    progress: bool = True,
) -> torch.Tensor:
    """Super-resolves every frame of every clip: (N, T, 3, H, W) in [0, 1] -> float32 (N, T, 3, 4H, 4W) in [0, 1].

    model: a network of arsr_core.sr, of one frame or several; it runs in evaluation mode and stays as it is.
    clip: also with the bicubic overshoot that `degrade.to_lr` leaves. The result lies where the clip lies.
    frames: the numbers, rising, of the frames wanted of each clip; None: all T.
    padding: what a network of several frames sees beyond the clip's ends: "replicate" (the last frame again),
      "reflect" (the clip backwards) or "black" (zeros, as in the released ToSR code). It also serves clips shorter
      than the network's window.
    tile: the largest side, in LR pixels, of the pieces in which frames pass the network; None: whole frames where
      memory holds them. Pieces overlap by the receptive field's radius (model.margin), so the seams are exact; a
      network with a global operation (margin None) takes whole frames only.
    batch: frames a forward; None: what memory holds on a GPU, few on a CPU, where few are fastest.
    device: where to compute, "cpu" or "cuda"; None: where the model's parameters are.
    precision: "auto" takes bfloat16 where the hardware multiplies it natively (it costs less than 0.02 dB, but its
      rounding flickers), else float32; "float32" also switches TF32 off. Other weights are computed with as these.
    backend: "openvino" compiles RRDBNet or RCAN for a CPU (5 to 15 s): with AMX it takes four fifths of torch's time,
      and its bfloat16 changes RRDBNet's PSNR by up to 0.04 dB.
    progress: a bar on a terminal, after two seconds.
    Raises InputError for input that is none of this, and for frames that memory does not hold.

    >>> upscale(build("vdsr"), torch.rand(1, 7, 3, 60, 80)).shape
    torch.Size([1, 7, 3, 240, 320])
    """
    settings = Settings(padding, tile, batch, device, precision, backend)
    require("upscale", "float", "video.to_tensor makes a clip of uint8 frames", clip=(clip, "N T 3 H W"))
    if not len(clip) or clip.is_meta:
        raise InputError(f"upscale: the clip {tuple(clip.shape)} is empty; expected at least one frame")
    require_range("upscale", clip)
    n, t, _, h, w = clip.shape
    wanted = range(t) if frames is None else [int(i) for i in frames]
    if not wanted or any(not 0 <= i < t for i in wanted) or any(a >= b for a, b in pairwise(wanted)):
        raise InputError(f"upscale: expected rising numbers of frames from 0 to {t - 1}, got {list(wanted)}")
    run = engine(model, settings, clip.device, set(wanted))
    result = 12 * n * len(wanted) * model.scale**2 * h * w  # bytes
    devices.require_memory(f"upscale: {n * len(wanted)} x {w}x{h}", result, clip.device, "stream: upscale_frames")
    sr = clip.new_empty(n * len(wanted), 3, model.scale * h, model.scale * w, dtype=torch.float32)
    done = 0
    with tqdm(total=len(sr), unit=" frames", delay=2, disable=None if progress else True) as bar:
        for part in run(clip.detach()):
            sr[done : done + len(part)] = part
            done += len(part)
            bar.update(len(part))
    _refuse_nan(model, sr)
    return sr.unflatten(0, (n, -1))


@checked
def upscale_frames(
    model: nn.Module,
    frames: Iterable[np.ndarray],
    *,
    total: int | None = None,
    **settings: object,
) -> Iterator[np.ndarray]:
    """Super-resolves a stream of uint8 (H, W, 3) RGB frames, yields uint8 (4H, 4W, 3): clamped, rounded half up.

    Holds one batch and the network's window, however long the stream. `total` is the number of frames for the
    progress bar, where it is known. settings: padding, tile, batch, device, precision and backend, as for `upscale`.

    >>> for frame in upscale_frames(model, video.frames("lr.avi")): ...
    """
    run = engine(model, Settings(**settings), torch.device("cpu"))
    # a caller may use an array again: each tensor has memory of its own
    tensors = (torch.from_numpy(frame.copy()).permute(2, 0, 1) for frame in video.uniform("upscale", frames))
    with tqdm(total=total, unit=" frames", delay=2, disable=None) as bar:
        for part in run([tensors]):
            _refuse_nan(model, part)
            bar.update(len(part))
            yield from video.to_uint8(part[None])


@checked
def upscale_video(
    model: nn.Module,
    source: str | Path,
    target: str | Path,
    *,
    fps: float | None = None,
    lossless: bool = False,
    **settings: object,
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
    if not source.is_dir() and target.suffix and fps is None:
        video.require_constant_rate(source)
    sr = upscale_frames(model, video.frames(source), total=info.frames, **settings)
    rate = info.fps if fps is None else fps
    if rate is None and target.suffix:
        raise InputError(f"{source}: a folder of images has no rate; give fps, frames per second")
    if lossless or not target.suffix:
        video.write(target, sr, rate, aspect=info.aspect)
    else:
        sound = source if info.fps and rate == info.fps else None
        video.encode(target, sr, rate, aspect=info.aspect, sound=sound, tagged=info.tagged)


def _refuse_nan(model: nn.Module, sr: torch.Tensor) -> None:
    if sr.isnan().any():
        raise InputError(f"upscale: {type(model).__name__} gave NaN; check its weights, or try precision='float32'")
