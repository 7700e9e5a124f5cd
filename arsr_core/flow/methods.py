"""The one way from a clip to its flow: `estimate` by any of METHODS, and `stream` for clips of any length."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from arsr_core import devices, video, weights
from arsr_core.errors import InputError, checked, require, require_range
from arsr_core.flow import estimation
from arsr_core.flow.dual_tvl1 import SMALLEST


@checked
def estimate(clip: torch.Tensor, method: str = "tvl1", **options: object) -> torch.Tensor:
    """Flow between the frames of every clip, t -> t+1: float32 (N, T - 1, 2, H, W) in pixels, where the clip lies.

    clip: (N, T, 3, H, W) in [0, 1] or uint8, T >= 2, frames of at least 16x16. method, options:
    - "tvl1": as `tvl1` takes them, e.g. workers=2, **PRESETS["fast"];
    - "raft": torchvision's RAFT (Teed and Deng 2020); weights: a file of raft_large, or None for the file in torch's
      cache, which download=True fetches; updates (12).
    Raises InputError for clips and options that are none of this.

    >>> estimate(torch.rand(2, 7, 3, 64, 80), "tvl1", warps=2).shape
    torch.Size([2, 6, 2, 64, 80])
    """
    if method not in METHODS:
        raise InputError(f"estimate: unknown method {method!r}; choose one of {', '.join(METHODS)}")
    try:
        inspect.signature(METHODS[method]).bind(clip, **options)
    except TypeError as error:
        raise InputError(f"estimate: {method}: {error}") from error
    require("estimate", "float or uint8", clip=(clip, "N T 3 H W"))
    n, t, _, height, width = clip.shape
    if n < 1 or t < 2:
        raise InputError(f"flow: it needs two frames or more, the clip {tuple(clip.shape)} has fewer")
    if min(height, width) < SMALLEST:
        raise InputError(f"flow: frames of {width}x{height} px are too small; expected {SMALLEST}x{SMALLEST} or more")
    if clip.is_floating_point():
        require_range("estimate", clip)
    return METHODS[method](clip, **options)


@checked
def stream(
    frames: Iterable[np.ndarray],
    method: str = "tvl1",
    *,
    batch: int = 16,
    device: str | torch.device = "cpu",
    **options: object,
) -> Iterator[torch.Tensor]:
    """Flow of a stream of uint8 (H, W, 3) RGB frames: yields float32 (2, H, W), on the CPU, one fewer than frames.

    Holds batch + 1 frames, however long the stream. batch: pairs at a time, of large frames fewer; method, options: as
    for `estimate`.

    >>> for flow in stream(video.frames("clip.avi"), workers=2): ...
    """
    if batch < 1:
        raise InputError(f"stream: batch must be at least 1 pair, got {batch}")
    device = devices.device(device)
    frames = video.uniform("flow", frames)
    last = next(frames)
    batch = min(batch, max(1, estimation.PIXELS // last[..., 0].size))
    following = list(islice(frames, batch))
    if not following:
        raise InputError("flow: it needs two frames or more, the clip has fewer; choose a longer clip")
    while following:
        clip = torch.from_numpy(np.stack([last, *following])).to(device).permute(0, 3, 1, 2)  # uint8 (B + 1, 3, H, W)
        yield from estimate(clip[None], method, **options)[0].cpu()
        last, following = following[-1], list(islice(frames, batch))


# The methods: a clip (N, T, 3, H, W), checked, and options -> float32 (N, T - 1, 2, H, W) ---------------------


def _tvl1(clip: torch.Tensor, **options) -> torch.Tensor:
    return estimation.tvl1(*_pairs(clip), **options).unflatten(0, (len(clip), -1))


@torch.no_grad()  # inference_mode would keep the flow out of every later loss
def _raft(
    clip: torch.Tensor, weights: str | Path | None = None, download: bool = False, updates: int = 12
) -> torch.Tensor:
    if updates < 1:
        raise InputError(f"raft: updates must be at least 1, got {updates}")
    path = _raft_file(download) if weights is None else Path(weights)
    network = _raft_network(path, path.stat().st_mtime_ns if path.is_file() else 0).to(clip.device)
    height, width = clip.shape[-2:]
    # its encoder divides by 8, its coarsest correlations by 8 again, and these need 2 pixels a side
    right, bottom = (max(-(-side // 8) * 8, 128) - side for side in (width, height))

    pair = 6 * ((height + bottom) * (width + right) / 64) ** 2  # bytes: all correlations at 1/8 of the size, and halved
    what = f"raft: a pair of {width}x{height}"
    devices.require_memory(what, pair, clip.device, "give smaller frames, or take tvl1")
    pairs = int(min(max(devices.memory(clip.device) // 4 // pair, 1), 8))

    def prepared(frames: torch.Tensor) -> torch.Tensor:  # -> [-1, 1], larger on the right and below
        frames = frames.float() / (255 if frames.dtype == torch.uint8 else 1)
        return F.pad(2 * frames.clamp(0, 1) - 1, (0, right, 0, bottom), mode="replicate")

    flows = [
        network(prepared(frame0), prepared(frame1), num_flow_updates=updates)[-1][..., :height, :width]
        for frame0, frame1 in zip(*(frames.split(pairs) for frames in _pairs(clip)), strict=True)
    ]
    return torch.cat(flows).unflatten(0, (len(clip), -1))


METHODS: dict[str, Callable[..., torch.Tensor]] = {"tvl1": _tvl1, "raft": _raft}


def _raft_file(download: bool) -> Path:
    """torchvision's own weights in torch's cache; fetched only where that is asked for."""
    from torchvision.models.optical_flow import Raft_Large_Weights

    url = Raft_Large_Weights.DEFAULT.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    if path.is_file():
        return path
    if not download:
        raise InputError(
            f"raft: its weights are not in torch's cache ({path}); give weights=FILE with those of torchvision's "
            "raft_large, or download=True (--download) to fetch them, 21 MB; tvl1 needs none"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, path, hash_prefix=path.stem.rsplit("-", 1)[1], progress=False)
    except (OSError, RuntimeError) as error:
        raise InputError(f"raft: its weights cannot be fetched ({error}); copy them to {path}") from error
    return path


@lru_cache(maxsize=1)  # a stream asks for it with every batch
def _raft_network(path: Path, changed: int) -> torch.nn.Module:
    from torchvision.models.optical_flow import raft_large

    with torch.device("meta"):  # no memory filled, no random number drawn
        network = raft_large()
    weights.fill(network, weights.read(path), where=f"{path}", remedy="take those of torchvision's raft_large")
    return network.eval().requires_grad_(False)


def _pairs(clip: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return clip[:, :-1].flatten(0, 1), clip[:, 1:].flatten(0, 1)  # (N (T - 1), 3, H, W) each
