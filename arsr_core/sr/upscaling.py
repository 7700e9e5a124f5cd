"""LR clips -> SR clips with any network of arsr_core.sr: windows in time, exact tiles, batches, precision.

One engine, three fronts: `upscale` (tensors), `upscale_frames` (a stream of uint8 frames, in memory that does not
grow with it) and `upscale_video` (file to file).
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain, islice, pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .. import InputError, video


def _reflect(i: int, n: int) -> int:
    period = max(2 * (n - 1), 1)
    return min(abs(i) % period, -abs(i) % period)


# The frame that stands for frame i of a clip of n frames; None: a black one
PADDINGS: dict[str, Callable[[int, int], int | None]] = {
    "replicate": lambda i, n: min(max(i, 0), n - 1),
    "reflect": _reflect,  # ... 2 1 | 0 1 2 ...
    "black": lambda i, n: i if 0 <= i < n else None,
}
PRECISIONS = ("auto", "float32", "bfloat16")
PIXEL_BYTES = 15_000  # that a forward takes for one LR pixel of one frame in float32: our hungriest, VDSR, 12,600
CPU_PIXELS = 10_000  # LR pixels a forward on a CPU, two frames of 80x60: measured, more are slower again
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
    device: where to compute; None: where the model's parameters are.
    precision: "auto" takes bfloat16 where the hardware multiplies it natively (it costs less than 0.02 dB), else
      float32; "float32" also switches TF32 off.
    progress: a bar on stderr; None: only on a terminal, and only after two seconds.
    Raises InputError for input that is none of this.

    >>> upscale(build("vdsr"), torch.rand(1, 7, 3, 60, 80)).shape
    torch.Size([1, 7, 3, 240, 320])
    """
    _check_settings(model, padding, tile, batch, precision)
    _check_clip(clip)
    n, t, _, h, w = clip.shape
    _check_size("upscale", model, h, w)
    wanted = range(t) if frames is None else list(frames)
    if not wanted or any(not 0 <= i < t for i in wanted) or any(a >= b for a, b in pairwise(wanted)):
        raise InputError(f"upscale: expected rising numbers of frames from 0 to {t - 1}, got {list(wanted)}")
    run = _engine(model, padding, tile, batch, _device(model, device, clip.device), precision, set(wanted))
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
    padding: str = "replicate",
    tile: int | str | None = "auto",
    batch: int | str = "auto",
    device: str | torch.device | None = None,
    precision: str = "auto",
    progress: bool | None = None,
    total: int | None = None,
) -> Iterator[np.ndarray]:
    """Super-resolves a stream of uint8 (H, W, 3) RGB frames, yields uint8 (4H, 4W, 3): clamped, rounded half up.

    Holds one batch and the network's window, however long the stream. `total` is the number of frames for the
    progress bar, where it is known. Everything else as for `upscale`.

    >>> for frame in upscale_frames(model, video.frames("lr.avi")): ...
    """
    _check_settings(model, padding, tile, batch, precision)
    run = _engine(model, padding, tile, batch, _device(model, device, torch.device("cpu")), precision)
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
    of images needs it.
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
    if lossless or not target.suffix:
        video.write(target, sr, fps or info.fps)
    else:
        video.encode(target, sr, fps or info.fps, sound=source if fps in (None, info.fps) and info.fps else None)


# The engine -------------------------------------------------------------------------------------------------


def _engine(
    model: nn.Module,
    padding: str,
    tile: int | str | None,
    batch: int | str,
    device: torch.device,
    precision: str,
    wanted: set[int] | None = None,
) -> Callable[[Iterable[Iterable[torch.Tensor]]], Iterator[torch.Tensor]]:
    """-> a function from clips of frames (3, H, W) to batches of SR frames (B, 3, 4H, 4W), of all or those `wanted`.

    All frames are of one size and float in [0, 1] or uint8, SR frames are float32 in [0, 1], on `device`.
    """
    half = precision == "bfloat16" or (precision == "auto" and _multiplies_bfloat16(device))
    network = _twin(model, device, _channels_last(model, half))

    def run(clips: Iterable[Iterable[torch.Tensor]]) -> Iterator[torch.Tensor]:
        windows = chain.from_iterable(_windows(clip, model.frames, padding, wanted) for clip in clips)
        first = next(windows)
        height, width = first[0].shape[-2:]
        side, size = _plan(model, height, width, tile, batch, device, half)
        pieces = _pieces(model, height, width, side)
        windows = chain([first], windows)
        while chunk := list(islice(windows, size)):
            yield _forward(network, _stack(chunk, device, _channels_last(model, half)), pieces, half)

    return run


def _channels_last(model: nn.Module, half: bool) -> bool:
    return half or model.frames == 1  # measured: 3-D convolutions in float32 are slower with it


def _twin(module: nn.Module, device: torch.device, channels_last: bool) -> nn.Module:
    """The network in evaluation mode on `device`, sharing its tensors where they can be; the one given stays as it is.

    As nn.DataParallel replicates; copy.deepcopy would take as long as a frame of RCAN, which has 2,000 modules.
    """
    twin = module.__new__(type(module))
    twin.__dict__ = module.__dict__ | {"training": False}
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d} if channels_last else {}
    for kind in ("_parameters", "_buffers"):
        tensors = {name: x if x is None else x.detach().to(device) for name, x in getattr(module, kind).items()}
        for name, x in tensors.items():
            if x is not None and x.ndim in layouts:
                tensors[name] = x.contiguous(memory_format=layouts[x.ndim])
        twin.__dict__[kind] = tensors
    children = module._modules.items()
    twin.__dict__["_modules"] = {name: x if x is None else _twin(x, device, channels_last) for name, x in children}
    return twin


def _windows(
    frames: Iterable[torch.Tensor], length: int, padding: str, wanted: set[int] | None
) -> Iterator[list[torch.Tensor]]:
    """For each frame (wanted: for these) the `length` frames around it; holds no more than these."""
    frames, radius, place = iter(frames), length // 2, PADDINGS[padding]
    near, read, t = {}, 0, 0  # frames by number, how many were read, the window's centre
    while True:
        for frame in islice(frames, t + radius + 1 - read):
            near[read] = frame
            read += 1
        if t == read:
            return
        # before the end is reached, no number exceeds `read`, so it does for the clip's length
        if wanted is None or t in wanted:
            numbers = [place(i, read) for i in range(t - radius, t + radius + 1)]
            yield [torch.zeros_like(near[t]) if i is None else near[i] for i in numbers]
        near.pop(t - radius, None)
        t += 1


def _stack(windows: list[list[torch.Tensor]], device: torch.device, channels_last: bool) -> torch.Tensor:
    """Windows of frames (3, H, W) -> float32 (B, T, 3, H, W), or (B, 3, H, W) for T = 1."""
    x = torch.stack([frame for window in windows for frame in window]).to(device)  # (B T, 3, H, W)
    top = 255 if x.dtype == torch.uint8 else 1
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x = x.to(torch.float32, memory_format=layout) / top
    return x if len(windows[0]) == 1 else x.unflatten(0, (len(windows), -1))


def _forward(network: nn.Module, x: torch.Tensor, pieces: list[tuple], half: bool) -> torch.Tensor:
    """A batch through the network, piece by piece: -> float32 (B, 3, 4H, 4W) in [0, 1]."""
    height, width = x.shape[-2:]
    scale = network.scale
    sr = x.new_empty(len(x), 3, scale * height, scale * width)
    autocast = torch.autocast(x.device.type, torch.bfloat16, enabled=half)
    try:
        with torch.inference_mode(), autocast, nullcontext() if half else _no_tf32():
            for top, bottom, left, right, (rows, columns) in pieces:
                y = network(x[..., rows, columns])
                y = y[..., scale * (top - rows.start) :, scale * (left - columns.start) :]  # without its margins
                piece = sr[..., scale * top : scale * bottom, scale * left : scale * right]
                piece.copy_(y[..., : piece.shape[-2], : piece.shape[-1]])
            return sr.clamp_(0, 1)
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"upscale: {len(x)} x {width}x{height} in {len(pieces)} piece(s) do not fit into the GPU's memory; "
            "give a smaller batch or tile"
        ) from error


def _pieces(model: nn.Module, height: int, width: int, side: int | None) -> list[tuple]:
    """Pieces of at most `side` LR pixels: (top, bottom, left, right, (rows, columns) with the margins).

    Margins end at the frame's border, where the network pads as it does for a whole frame.
    """
    axes = []
    for n in (height, width):
        count = min(math.ceil(n / (side or n)), n // model.smallest)
        cuts = [i * n // count for i in range(count + 1)]
        margin = model.margin if count > 1 else 0
        axes.append([(a, b, slice(max(a - margin, 0), min(b + margin, n))) for a, b in pairwise(cuts)])
    return [(*y[:2], *x[:2], (y[2], x[2])) for y in axes[0] for x in axes[1]]


def _plan(
    model: nn.Module,
    height: int,
    width: int,
    tile: int | str | None,
    batch: int | str,
    device: torch.device,
    half: bool,
) -> tuple[int | None, int]:
    """The pieces' side (None: whole frames) and the frames a forward, so that a forward fits into memory."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        budget = (torch.cuda.mem_get_info(device)[0] + cached) // 2
    else:
        budget = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
    pixels = budget // (PIXEL_BYTES * model.frames // (2 if half else 1))
    if tile == "auto":
        tile = None
        if height * width > pixels and model.margin is not None:
            side = max(math.isqrt(pixels) - 2 * model.margin, model.margin, 32)  # else the margins cost the most
            tile = side if side + 2 * model.margin < min(height, width) else None
    if batch == "auto":
        region = height * width if tile is None else (tile + 2 * model.margin) ** 2
        batch = max(1, (pixels if device.type == "cuda" else min(pixels, CPU_PIXELS)) // region)
    return tile, batch


@contextmanager
def _no_tf32() -> Iterator[None]:
    cudnn = torch.backends.cudnn
    kept = {"enabled": cudnn.enabled, "benchmark": cudnn.benchmark, "deterministic": cudnn.deterministic}
    with cudnn.flags(**kept, allow_tf32=False):
        yield


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return device.type == "cpu" and bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


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


def _check_settings(model: nn.Module, padding: str, tile: int | str | None, batch: int | str, precision: str) -> None:
    _check_model(model)
    if padding not in PADDINGS:
        raise InputError(f"upscale: expected padding as one of {', '.join(PADDINGS)}; got {padding!r}")
    if precision not in PRECISIONS:
        raise InputError(f"upscale: expected precision as one of {', '.join(PRECISIONS)}; got {precision!r}")
    if batch != "auto" and not _is_count(batch):
        raise InputError(f"upscale: expected batch as 'auto' or frames a forward, at least 1; got {batch!r}")
    if tile not in ("auto", None) and not _is_count(tile):
        raise InputError(f"upscale: expected tile as 'auto', None or LR pixels, at least 1; got {tile!r}")
    if _is_count(tile) and model.margin is None:
        raise InputError(
            f"upscale: {type(model).__name__} looks at the whole frame at once (margin None), so tiles would change "
            f"its result; give tile=None or 'auto' instead of {tile}"
        )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _device(model: nn.Module, device: str | torch.device | None, otherwise: torch.device) -> torch.device:
    """`device`, checked; None: where the model's tensors are, or `otherwise` for a model that has none."""
    if device is None:
        return next((x.device for x in chain(model.parameters(), model.buffers())), otherwise)
    try:
        checked = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"upscale: expected device as 'cpu', 'cuda' or 'cuda:0'; got {device!r}") from error
    if checked.type == "cuda" and (checked.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise InputError(f"upscale: {device} was asked for, but torch finds {found} CUDA devices; give device='cpu'")
    return checked


def _check_clip(clip: torch.Tensor) -> None:
    if not isinstance(clip, torch.Tensor) or not clip.is_floating_point() or clip.ndim != 5 or clip.shape[2] != 3:
        raise InputError(
            f"upscale: expected a float clip (N, T, 3, H, W) in [0, 1], got {_describe(clip)}; "
            "video.to_tensor makes one of uint8 frames"
        )
    if not clip.numel():
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
