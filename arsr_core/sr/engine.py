"""Frames through a network: windows in time, exact pieces in space, batches that memory holds, precision."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain, count, islice, pairwise

import torch
from torch import nn

from arsr_core import devices
from arsr_core.errors import InputError, checked
from arsr_core.sr.compiled import Compiled

# The frame that stands for frame i of a clip of n frames; None: a black one
PADDINGS: dict[str, Callable[[int, int], int | None]] = {
    "replicate": lambda i, n: min(max(i, 0), n - 1),
    "reflect": lambda i, n: n - 1 - abs(i % max(2 * (n - 1), 1) - (n - 1)),  # ... 2 1 | 0 1 2 ...
    "black": lambda i, n: i if 0 <= i < n else None,
}
FOOTPRINT = 4_000  # of a network that does not say; DUF-16 has 3,605
PIXELS = {"cpu": 5_000, "cuda": 500_000}  # LR pixels a forward: a CPU's caches hold few; more keep no GPU busier


@checked
@dataclass(frozen=True)
class Settings:
    """How frames pass a network; see `upscaling.upscale`. Raises InputError for a setting that is none."""

    padding: str = "replicate"
    tile: int | None = None
    batch: int | None = None
    device: str | torch.device | None = None
    precision: str = "auto"
    backend: str = "torch"

    def __post_init__(self):
        known_of = {"padding": PADDINGS, "precision": ("auto", "float32", "bfloat16"), "backend": ("torch", "openvino")}
        for name, known in known_of.items():
            if (value := getattr(self, name)) not in known:
                raise InputError(f"upscale: expected {name} as {', '.join(map(repr, known))}; got {value!r}")
        for name in ("tile", "batch"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and value >= 1):
                raise InputError(f"upscale: expected {name} as None or a whole number from 1; got {value!r}")


def engine(
    model: nn.Module, settings: Settings, otherwise: torch.device, wanted: set[int] | None = None
) -> Callable[[Iterable[Iterable[torch.Tensor]]], Iterator[torch.Tensor]]:
    """-> a function from clips of frames (3, H, W) to batches of SR frames (B, 3, 4H, 4W), of all or those `wanted`.

    All frames are of one size and float in [0, 1] or uint8, SR frames are float32 in [0, 1]. They are computed and
    stay on the settings' device; None: where the network's tensors are, or `otherwise` if it has none.
    Raises InputError for a model that is no network of ours, and for settings that do not suit it.
    """
    needed, name = ("scale", "frames", "margin"), type(model).__name__
    if not isinstance(model, nn.Module) or not all(hasattr(model, attribute) for attribute in needed):
        expected = f"a network with {', '.join(needed)}, as arsr_core.sr.build gives it"
        raise InputError(f"upscale: expected {expected}; got {name}")
    tensors = [*model.parameters(), *model.buffers()]
    if any(x.is_meta for x in tensors):
        raise InputError(f"upscale: {name} lies on the meta device, without numbers; load weights first")
    if settings.tile and model.margin is None:
        reason = "looks at the whole frame at once (margin None), so tiles would change its result"
        raise InputError(f"upscale: {name} {reason}; give no tile instead of {settings.tile}")
    device = settings.device if settings.device is not None else tensors[0].device if tensors else otherwise
    device = devices.device(device)
    native = settings.precision == "auto" and devices.multiplies_bfloat16(device)
    half = settings.precision == "bfloat16" or native
    channels_last = half or model.frames == 1  # measured: 3-D convolutions in float32 are slower with it
    if settings.backend == "openvino":
        network = Compiled(_twin(model, device, channels_last=False), half)
    else:
        network = _twin(model, device, channels_last)

    def run(clips: Iterable[Iterable[torch.Tensor]]) -> Iterator[torch.Tensor]:
        windows = chain.from_iterable(_windows(clip, model.frames, settings.padding, wanted) for clip in clips)
        first = next(windows)
        height, width = first[0].shape[-2:]
        side, size = _plan(model, height, width, settings, device, half)
        pieces = _pieces(model, height, width, side)
        windows = chain([first], windows)
        while batch := list(islice(windows, size)):
            yield _forward(network, _stack(batch, device, channels_last), pieces, half)

    return run


def _twin(module: nn.Module, device: torch.device, channels_last: bool) -> nn.Module:
    """The network in evaluation mode and float32 on `device`; it shares what it can, and the one given stays as it is.

    As nn.DataParallel replicates; copy.deepcopy would take as long as a frame of RCAN, which has 2,000 modules.
    """
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d} if channels_last else {}

    def moved(x: torch.Tensor | None) -> torch.Tensor | None:
        if x is None:
            return None
        x = x.detach().to(device, torch.float32 if x.is_floating_point() else x.dtype)
        return x.contiguous(memory_format=layouts[x.ndim]) if x.ndim in layouts else x

    twin = module.__new__(type(module))
    twin.__dict__ = module.__dict__ | {
        "training": False,
        "_parameters": {k: moved(x) for k, x in module._parameters.items()},
        "_buffers": {k: moved(x) for k, x in module._buffers.items()},
        "_modules": {k: _twin(m, device, channels_last) for k, m in module._modules.items()},
    }
    return twin


def _windows(
    frames: Iterable[torch.Tensor], length: int, padding: str, wanted: set[int] | None
) -> Iterator[list[torch.Tensor]]:
    """For each frame (wanted: for these) the `length` frames around it; holds no more than these."""
    frames, radius, place = iter(frames), length // 2, PADDINGS[padding]
    near, read = {}, 0  # frames by number, how many were read
    for t in count():  # the window's centre
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
                region = x[..., rows, columns]
                y = network(region.expand(2, *region.shape[1:]))[:1] if _is_slow(region) else network(region)
                y = y[..., scale * (top - rows.start) :, scale * (left - columns.start) :]  # without its margins
                piece = sr[..., scale * top : scale * bottom, scale * left : scale * right]
                piece.copy_(y[..., : piece.shape[-2], : piece.shape[-1]])
            return sr.clamp_(0, 1)
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        what = f"{len(x)} x {width}x{height} in {len(pieces)} piece(s)"
        raise InputError(f"upscale: {what} do not fit into memory; give a smaller batch or tile") from error


def _is_slow(x: torch.Tensor) -> bool:
    """A single small sample of several frames: torch's CPU code then convolves three to seven times slower."""
    return x.ndim == 5 and len(x) == 1 and x.device.type == "cpu" and x[0, 0, 0].numel() <= PIXELS["cpu"]


def _pieces(model: nn.Module, height: int, width: int, side: int | None) -> list[tuple]:
    """Pieces of at most `side` LR pixels: (top, bottom, left, right, (rows, columns) with the margins).

    Margins end at the frame's border, where the network pads as it does for a whole frame.
    """
    axes = []
    for n in (height, width):
        number = math.ceil(n / (side or n))
        cuts = [i * n // number for i in range(number + 1)]
        margin = model.margin if number > 1 else 0
        axes.append([(a, b, slice(max(a - margin, 0), min(b + margin, n))) for a, b in pairwise(cuts)])
    return [(*y[:2], *x[:2], (y[2], x[2])) for y in axes[0] for x in axes[1]]


def _plan(
    model: nn.Module, height: int, width: int, settings: Settings, device: torch.device, half: bool
) -> tuple[int | None, int]:
    """The pieces' side (None: whole frames) and the frames a forward: half a GPU's free memory, a quarter of a CPU's.

    Raises InputError where even that would take more than three quarters of the memory there is, or hardly end.
    """
    memory = devices.memory(device)
    pixel = getattr(model, "footprint", FOOTPRINT) * (2 if half else 4)  # bytes
    pixels = memory // pixel // (2 if device.type == "cuda" else 4)
    tile, batch, margin = settings.tile, settings.batch, model.margin

    def region(side: int | None) -> int:
        return height * width if side is None else math.prod(min(side + 2 * margin, n) for n in (height, width))

    if tile is None and margin is not None and height * width > pixels:
        side = max(math.isqrt(pixels) - 2 * margin, margin, 32)  # else the margins cost the most
        tile = side if region(side) < height * width else None
    if batch is None:
        batch = max(1, min(pixels, PIXELS[device.type]) // region(tile))
        batch = max(batch, 2) if model.frames > 1 and region(tile) <= PIXELS["cpu"] else batch  # see `_is_slow`
    pieces = math.ceil(height / (tile or height)) * math.ceil(width / (tile or width))
    if pieces > 10_000 or pieces * region(tile) > 64 * height * width:
        least = max(margin, 32, math.isqrt(height * width) // 64)
        wrong = f"tile={tile} makes {pieces:,} pieces of {width}x{height}, each with margins of {margin} px"
        raise InputError(f"upscale: {wrong}, which would hardly end; give a tile from {least}")
    # SR frames in float32, and beside them a forward, or what makes bytes of them
    frames = 12 * model.scale**2 * height * width * batch
    forward, bytes_made = batch * region(tile) * pixel, 2 * frames
    smaller = ["frames"] + ["a smaller tile"] * (margin is not None and forward > bytes_made)
    smaller += ["a smaller batch"] * (batch > 1)
    what = f"upscale: {batch} x {width}x{height} in {type(model).__name__}"
    devices.require_memory(what, frames + max(forward, bytes_made), device, f"give smaller {', '.join(smaller)}")
    return tile, batch


@contextmanager
def _no_tf32() -> Iterator[None]:
    cudnn = torch.backends.cudnn
    kept = {"enabled": cudnn.enabled, "benchmark": cudnn.benchmark, "deterministic": cudnn.deterministic}
    with cudnn.flags(**kept, allow_tf32=False):
        yield
