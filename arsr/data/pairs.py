"""Training pairs: the windows of HR frames that move most, with their flow; LR is made from them on the device.

They lie in a store (`arsr.data.stores`), which may be larger than memory. Of a clip it holds

    frames     uint8 (F, H, W, 3), the HR frames that its windows need, with `Pairs.margin` mirrored pixels around
    flow       float16 (K, 2, H, W), from t to t + spacing for each of the K frames t drawn
    windows    int64 (N, 6), a row a window: COLUMNS

The windows of a frame overlap, and the temporal windows of its neighbours too: whole frames take less than half the
room of windows cut out, and a window is a slice of them.
"""

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from arsr.data import stores
from arsr.data.clips import VIDEOS
from arsr.data.windows import SCALE, Pairs
from arsr.embedded import generated
from arsr.printing import printable
from arsr_core import flow, metrics, video
from arsr_core.degrade import imresize, quantise, to_lr
from arsr_core.errors import InputError
from arsr_core.flow import files

COLUMNS = ("frame", "row", "pair", "x", "y", "warps")  # t in the clip, row in frames, pair in flow; 1: warping helps
CHUNK = 16  # pairs of frames whose flow is in memory at a time

# Preparation ------------------------------------------------------------------------------------------------


def store_pairs(config: Pairs, out: str | Path, *, workers: int = 1, device: str = "cpu") -> stores.Inventory:
    """Write a store, or complete one that was interrupted.

    workers, device: pairs of frames whose TV-L1 a CPU computes at a time, or the GPU that does; see `flow.tvl1`. Each
    clip draws from a generator of its own, seeded by `config.seed` and its name, so the same clips give the same store
    in any number of runs. Clips that cannot serve (unreadable, too short, too small, without motion, flow files of
    another number or size) are left out and reported. Raises InputError as `stores.fill` does.
    """
    how = dict(config=config, workers=workers, device=device)
    sources = []
    for name, source in find(config):
        origins = (source, *_flow_folder(name, source, config)) if isinstance(source, Path) else ()
        sources.append(stores.Source(name, {}, partial(_prepare, name, source, **how), origins))
    words = "{windows:,} windows of {clips:,} clips, {size:.2f} GB; warping helps in {warping:,}, pairs for a warp loss"
    return stores.fill(out, config, sources, words)


def find(config: Pairs) -> Iterator[tuple[str, Path | int]]:
    """(name, path) of videos and folders of images below each source in sorted order, (name, index) of embedded clips.

    A name is FOLDER/CLIP, or CLIP where the source is one.
    """
    for root in map(Path, config.sources):
        root = root.resolve()
        if not root.exists():
            raise InputError(f"{root}: no such file or folder; give videos, folders of frames, or folders of these")
        clips = [path for path in (root, *sorted(root.rglob("*"))) if not path.name.startswith(".") and _is_clip(path)]
        if not clips:
            raise InputError(f"{root}: no videos ({', '.join(VIDEOS)}) and no folders of images in it")
        yield from ((printable(path.relative_to(root.parent).as_posix()), path) for path in clips)
    yield from ((f"embedded/{config.seed}/{i:05d}", i) for i in range(config.embedded))


def _is_clip(path: Path) -> bool:
    if path.is_dir():
        return any(p.suffix.lower() in video.IMAGES and not p.name.startswith(".") for p in path.iterdir())
    return path.suffix.lower() in VIDEOS


def _prepare(
    name: str, source: Path | int, config: Pairs, workers: int, device: str
) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Draw frames of one clip -> what the store holds of them."""
    rng = np.random.default_rng([config.seed, *hashlib.sha256(name.encode()).digest()])
    clip = None if isinstance(source, Path) else generated.clip(source, seed=config.seed)
    count = len(clip.frames) if clip else video.count(source)
    radius, last = config.frames // 2, config.spacing + config.frames // 2
    candidates = np.arange(radius, count - last)
    if not len(candidates):
        raise InputError(f"{count} frames; expected {radius + last + 1} or more")
    drawn = np.sort(rng.permutation(candidates)[: config.clip_frames])
    needed = np.unique(drawn[:, None] + np.arange(-radius, last + 1))
    rows = np.searchsorted(needed, drawn)
    frames = clip.frames[needed] if clip else video.frames(source, numbers=needed.tolist())
    stored = np.stack([_shrink(frame, config.side) for frame in frames])
    if min(stored.shape[1:3]) < config.patch:
        size = "x".join(map(str, stored.shape[1:3]))
        raise InputError(f"frames of {size} px, smaller than a patch of {config.patch} px")

    if clip and config.spacing == 1:
        kind, fields = "exact", clip.flow[drawn]
    elif config.flow and not clip:
        kind, fields = "precomputed", _read_flow(name, source, config, count, drawn)
    else:
        kind, fields = f"TV-L1 {config.preset}, {device}", _estimate(stored, rows, config, workers, device)
    motion = np.stack([_fitting(field, stored, name).astype(np.float16) for field in fields])
    windows = [
        (t, row, pair, *window)
        for pair, (t, row) in enumerate(zip(drawn, rows, strict=True))
        for window in _windows(stored[row], stored[row + config.spacing], motion[pair], config, rng)
    ]
    if not windows:
        raise InputError("nothing moves, every weight would be zero")
    edges = (config.margin, config.margin)
    frames = np.pad(stored, ((0, 0), edges, edges, (0, 0)), "symmetric")
    arrays = {"frames": frames, "flow": motion, "windows": np.array(windows)}
    return arrays, {"flow": kind, "windows": len(windows), "warping": sum(window[-1] for window in windows)}


def _shrink(frame: np.ndarray, side: int) -> np.ndarray:
    """To a short side of `side` by MATLAB's bicubic where it is over 1.2 x side; cut to multiples of the scale."""
    h, w = frame.shape[:2]
    if min(h, w) > 1.2 * side:
        size = (round(h * side / min(h, w)), round(w * side / min(h, w)))
        frame = video.to_uint8(imresize(video.to_tensor(frame[None]), size=size, eight_bit=True))[0]
    h, w = frame.shape[:2]
    return frame[: h - h % SCALE, : w - w % SCALE]


def _estimate(stored: np.ndarray, rows: np.ndarray, config: Pairs, workers: int, device: str) -> Iterator[np.ndarray]:
    """TV-L1 from each frame drawn to the second of its pair, (2, H, W)."""
    for first in np.split(rows, range(CHUNK, len(rows), CHUNK)):
        pairs = (torch.from_numpy(stored[r]).to(device).permute(0, 3, 1, 2) for r in (first, first + config.spacing))
        yield from flow.tvl1(*pairs, workers=workers, **flow.PRESETS[config.preset]).cpu().numpy()


def _flow_folder(name: str, clip: Path, config: Pairs) -> list[Path]:
    """Where the flow files of a clip lie, if flow is given."""
    inner = Path(config.flow or "", *Path(name).parts[1:] or (name,))
    return [inner if clip.is_dir() else inner.with_suffix("")] if config.flow else []


def _read_flow(name: str, clip: Path, config: Pairs, count: int, drawn: np.ndarray) -> Iterator[np.ndarray]:
    """The flow of each frame drawn, (2, H, W), from a folder named as the clip, of a file for each of its pairs."""
    [folder] = _flow_folder(name, clip, config)
    paths, expected = files.listing(folder), count - config.spacing
    if len(paths) != expected:
        raise InputError(
            f"{folder}: {len(paths)} flow files; expected {expected}, one for each of the "
            f"clip's {count} frames that has another {config.spacing} later"
        )
    return (files.read(paths[t])[0].numpy() for t in drawn)


def _fitting(motion: np.ndarray, stored: np.ndarray, name: str) -> np.ndarray:
    """Flow (2, H, W) on frames of which `_shrink` may have cut the last rows and columns -> that on what is stored."""
    size = stored.shape[1:3]
    h, w = (n - n % SCALE for n in motion.shape[1:])
    if (h, w) != size:
        raise InputError(
            f"{name}: flow of {motion.shape[1]}x{motion.shape[2]} px for frames of {size[0]}x{size[1]} px; compute it "
            "on frames of that size, or choose the side that makes frames of the flow's"
        )
    if not np.isfinite(motion).all():
        raise InputError(f"{name}: unknown flow (nan); expected a value for every pixel")
    return motion[:, :h, :w]


def _windows(
    frame0: np.ndarray, frame1: np.ndarray, motion: np.ndarray, config: Pairs, rng: np.random.Generator
) -> list[tuple[int, int, int]]:
    """The windows of a frame that move most, as (x, y, 1 where warping helps), the one that moves most first.

    Windows lie on a grid of random origin and are ranked by the length of the flow summed over their centre; those
    without any are left out. Warping helps where PSNR(I_t, warp(I_t+1)) > PSNR(I_t, I_t+1) on the centre, the window
    warped within itself and rounded to 8 bits.
    """
    patch, border = config.patch, config.border
    axes = []
    for side, stride in zip(frame0.shape[:2], config.strides, strict=True):
        steps, slack = divmod(side - patch, stride)
        start = int(rng.integers(slack + 1)) + stride * np.arange(steps + 1)
        axes.append(start - start % SCALE if config.lr == "before" else start)
    ys, xs = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))

    motion = motion.astype(np.float32)
    sums = np.pad(np.hypot(*motion).cumsum(0, np.float64).cumsum(1), ((1, 0), (1, 0)))  # of the rectangle up to (y, x)
    (y0, x0), (y1, x1) = (ys + border, xs + border), (ys + patch - border, xs + patch - border)
    length = (sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]) / (patch - 2 * border) ** 2
    best = [k for k in np.argsort(-length, kind="stable")[: config.windows] if length[k] > 1e-6]  # rounding of the sums
    if not best:
        return []

    def cut(array: np.ndarray) -> torch.Tensor:  # (C, H, W) -> (windows, C, patch, patch)
        return torch.from_numpy(np.stack([array[:, ys[k] : ys[k] + patch, xs[k] : xs[k] + patch] for k in best]))

    first, second = (cut(frame.transpose(2, 0, 1)).float() / 255 for frame in (frame0, frame1))
    warped, _ = flow.warp(second, cut(motion))
    before, after = (metrics.psnr(x, first, crop=border, luma=False) for x in (second, quantise(warped)))
    return list(zip(xs[best].tolist(), ys[best].tolist(), (after > before).int().tolist(), strict=True))


# Training ---------------------------------------------------------------------------------------------------


class PairSet(torch.utils.data.Dataset):
    """The windows of a store as training samples: slices of mapped files here, all arithmetic in `to_batch`.

    frames: LR frames that make one SR frame, at most as many as stored. pair: samples of two frames, `spacing` apart.
    check_warp: only windows where warping helps; None: for pairs, as in the released code. True lets a control
    without warp loss train on the very same windows.
    augment: mirror and transpose each sample at random, its flow with it.

    Visit n is sample n % len(self) in epoch n // len(self); its augmentation is a function of (seed, n), so training
    can go on at any step. `windows[n]` is one sample as floats; loaders take whole batches:

    >>> windows = PairSet("pairs", frames=7, pair=True)
    >>> loader = torch.utils.data.DataLoader(windows, 16, shuffle=True, collate_fn=windows.collate)
    >>> batch = windows.to_batch(next(iter(loader)))  # lr0, lr1 (16, 7, 3, 32, 32); hr0, hr1, flow (16, ., 128, 128)
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        frames: int = 1,
        pair: bool = False,
        augment: bool = True,
        check_warp: bool | None = None,
        seed: int = 0,
    ) -> None:
        self.config, rows = stores.load(folder, Pairs, "prepare the pairs again, 'arsr data pairs' goes on")
        if frames % 2 == 0 or not 1 <= frames <= self.config.frames:
            raise InputError(
                f"{folder}: prepared for {self.config.frames} frames or fewer, an odd number; asked for {frames}"
            )
        self.frames, self.pair, self.augment, self.seed = frames, pair, augment, seed
        self.content = stores.content_key(rows)
        self.paths = [Path(folder) / row["file"] for row in rows if "file" in row]
        tables = []
        for number, path in enumerate(self.paths):
            tables.append(np.insert(_windows_of(path, self.config), 0, number, axis=1))
        windows = np.concatenate(tables)
        if pair if check_warp is None else check_warp:
            windows = windows[windows[:, -1] == 1]
            if not len(windows):
                raise InputError(f"{folder}: warping by the flow helps in no window; check the flow")
        self.windows = dict(zip(("clip", *COLUMNS), windows.T, strict=True))

    def __len__(self) -> int:
        return len(self.windows["clip"])

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        return (self[n] for n in range(len(self)))  # Python's own way would never end

    def __getitem__(self, visit: int) -> dict[str, torch.Tensor]:
        return {name: value[0] for name, value in self.to_batch(self.__getitems__([visit])).items()}

    def __getitems__(self, visits: list[int]) -> dict[str, torch.Tensor]:
        """For `to_batch`: hr uint8 (N, T, P, P, 3), flow float16 (N, 2, P, P), turn int64 (N,).

        Where LR is made before the crop, P of hr has the margin that it depends on, on each side.
        """
        hr, motion = [], []
        side, around = self.config.patch, self.frames // 2
        wide, ahead = side + 2 * self.config.margin, self.config.spacing if self.pair else 0
        for visit in visits:
            clip, row, pair, x, y = (int(self.windows[c][visit % len(self)]) for c in ("clip", "row", "pair", "x", "y"))
            with stores.opened(self.paths[clip]) as file:
                frames = file.get_slice("frames")
                hr.append(frames[row - around : row + ahead + around + 1, y : y + wide, x : x + wide])
                motion.append(file.get_slice("flow")[pair, :, y : y + side, x : x + side])
        turns = [np.random.default_rng([self.seed, n]).integers(8) if self.augment else 0 for n in visits]
        raw = {"hr": np.stack(hr), "flow": np.stack(motion), "turn": np.array(turns)}
        return {name: torch.from_numpy(value) for name, value in raw.items()}

    @staticmethod
    def collate(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """`__getitems__` makes whole batches."""
        return batch

    def to_batch(self, raw: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """On the device that `raw` lies on: float32 lr, hr and flow; for pairs lr0, lr1, hr0, hr1 and flow.

        lr (N, [frames,] 3, P / 4, P / 4) and hr (N, 3, P, P) in [0, 1], both k / 255 as a video holds them; flow
        (N, 2, P, P). LR is MATLAB's bicubic of the window (or its part of the LR frame, where made before the crop).
        """
        how = raw["turn"]
        planes = raw["hr"].movedim(-1, 2).contiguous()  # (N, T, 3, P, P): turning pixels of three bytes costs thrice
        hr, motion = turn(planes, how).float().div_(255), turn_flow(raw["flow"].float(), how)
        lr, centre = to_lr(hr, SCALE, eight_bit=True), self.frames // 2
        if margin := (hr.shape[-1] - motion.shape[-1]) // 2:
            lr, hr = (x[..., m:-m, m:-m] for x, m in ((lr, margin // SCALE), (hr, margin)))
        single = self.frames == 1
        lr0, lr1 = (x[:, 0] if single else x for x in (lr[:, : self.frames], lr[:, -self.frames :]))
        hr0, hr1 = hr[:, centre], hr[:, -1 - centre]
        if self.pair:
            return {"lr0": lr0, "lr1": lr1, "hr0": hr0, "hr1": hr1, "flow": motion}
        return {"lr": lr0, "hr": hr0, "flow": motion}


def _windows_of(path: Path, config: Pairs) -> np.ndarray:
    """The table of windows of a clip's file, (N, 6). InputError unless each lies in the frames and the flow there."""
    with stores.opened(path) as file:
        shapes = {name: file.get_slice(name).get_shape() for name in [*file.keys()]}
        windows = file.get_tensor("windows") if "windows" in shapes else np.zeros(0)
    around, wide = config.frames // 2, config.patch + 2 * config.margin
    if windows.shape[1:] == (6,) and [len(shapes.get(name, ())) for name in ("frames", "flow")] == [4, 4]:
        (count, height, width, _), (fields, *_) = shapes["frames"], shapes["flow"]
        ends = np.inf, count - config.spacing - around, fields, width - wide + 1, height - wide + 1, 2
        if ((windows >= (0, around, 0, 0, 0, 0)) & (windows < ends)).all():
            return windows
    raise InputError(f"{path}: no clip with its windows; remove it and prepare the clips again")


def turn(x: torch.Tensor, how: torch.Tensor) -> torch.Tensor:
    """One of the square's eight symmetries for each sample: x (N, ..., P, P), how (N,) integers 0 to 7.

    Bit 0 mirrors left and right, bit 1 up and down, then bit 2 swaps the axes: rotations are 3, 5 and 6.
    """
    how = how.view(-1, *[1] * (x.ndim - 1))
    x = torch.where(how & 1 > 0, x.flip(-1), x)
    x = torch.where(how & 2 > 0, x.flip(-2), x)
    return torch.where(how & 4 > 0, x.transpose(-1, -2), x)


def turn_flow(flow: torch.Tensor, how: torch.Tensor) -> torch.Tensor:
    """The flow (N, 2, P, P) of turned images: moved as they are, and its vectors turned too."""
    mirrored = torch.stack((how & 1, how >> 1 & 1), 1)[..., None, None]  # (N, 2, 1, 1)
    flow = turn(flow, how) * (1 - 2 * mirrored)
    return torch.where(how.view(-1, 1, 1, 1) & 4 > 0, flow.flip(1), flow)
