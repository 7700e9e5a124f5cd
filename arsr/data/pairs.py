"""Training pairs: the windows of HR frames that move most, with their flow; LR is made from them on the device.

Preparation writes a store, a folder that training maps into memory, so it may be larger than memory:

    settings.json           the `Pairs` that it was prepared with
    clips/KEY/frames.npy    uint8 (F, H, W, 3), the HR frames that a clip's windows need
    clips/KEY/flow.npy      float16 (K, 2, H, W), flow from t to t + spacing for each of the K frames t drawn
    clips/KEY/lr.npy        uint8 (F, H / 4, W / 4, 3), only where LR is made before the crop
    clips/KEY/clip.json     the clip's name, its kind of flow, its windows
    index.json              all windows by columns, and the clips left out with the reasons; written last

The windows of a frame overlap, and the temporal windows of its neighbours too: whole frames take less than half the
room of windows cut out, and a window is a slice of them.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, MultipleOf

from arsr.data import stores
from arsr.embedded import generated
from arsr.settings import Positional, settings, spelled
from arsr_core import flow, metrics, video
from arsr_core.degrade import imresize, quantise, to_lr
from arsr_core.errors import InputError
from arsr_core.files import atomic, write_atomically
from arsr_core.flow import files

SCALE = 4
VIDEOS = (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".webm", ".wmv", ".y4m")
COLUMNS = ("frame", "row", "pair", "x", "y", "motion", "warps")  # of a window; row in frames.npy, pair in flow.npy
CHUNK = 16  # pairs of frames whose flow is in memory at a time
AGAIN = "prepare the pairs again, 'arsr data pairs' goes on"
Count = Annotated[int, Ge(1)]


@settings
class Pairs:
    """How windows are drawn; the defaults are the paper's, or its released code's where the paper is silent."""

    # videos, folders of frames, or folders with such in them at any depth
    sources: Annotated[Positional[tuple[str, ...]], spelled(metavar="SOURCE")] = ()
    embedded: Annotated[int, Ge(0)] = 0  # Embedded training clips, with exact flow; they have 120x160 px.
    patch: Annotated[int, Ge(16), MultipleOf(SCALE)] = 128  # Side of an HR window, px.
    clip_frames: Count = 120  # Frames drawn from each clip.
    windows: Count = 10  # Kept of each frame: those with the largest motion.
    frames: Count = 7  # LR frames that make one SR frame: odd; a store of 7 serves single-frame networks too.
    spacing: Count = 1  # Frames from the first to the second of a pair; the released code has 2.
    side: Count = 240  # Clips whose short side is over 1.2 x this are shrunk to it, px: CDVL-134's, 240 to 288, stay.
    lr: Literal["after", "before"] = "after"  # Down-sampling after or before the crop; before: at multiples of 4 px.
    flow: str | None = None  # Folder of flow files, a folder a clip (FlowNet 2.0's); none: exact or TV-L1.
    preset: Literal["reference", "fast"] = "reference"  # Of TV-L1.
    seed: Annotated[int, Ge(0)] = 0  # Of frames and windows, and of embedded clips.

    def __post_init__(self) -> None:
        if self.frames % 2 == 0:
            raise InputError(f"Pairs: expected an odd number of frames, got {self.frames}")
        if not (self.sources or self.embedded):
            raise InputError("nothing to prepare: give folders of clips, or a number of embedded clips")

    @property
    def border(self) -> int:
        """Motion and warping are judged on a window's centre: 108 of 128 px, other sizes in proportion."""
        return round(self.patch * 10 / 128)

    @property
    def strides(self) -> tuple[int, int]:
        """Of the grid of windows in y and x: 30 and 40 px at 128, other sizes in proportion."""
        return round(self.patch * 30 / 128), round(self.patch * 40 / 128)


@dataclass(frozen=True)
class Origin:
    """A clip to draw from; an embedded one has an index and no path."""

    name: str  # "FOLDER/CLIP", unique in a store and the same on every machine
    path: Path | None = None
    flow: Path | None = None  # folder of its flow files
    index: int = 0

    @property
    def key(self) -> str:
        """A safe name of a folder, unique as the name is."""
        safe = re.sub(r"[^A-Za-z0-9.-]+", "_", self.name).strip("._")[-60:]
        return f"{safe}-{hashlib.sha256(self.name.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Inventory:
    """What a store holds and lacks; `warping`: windows where warping by the flow helps."""

    windows: int
    warping: int
    clips: int
    size: int  # bytes
    skipped: dict[str, str]  # clip: reason

    def __str__(self) -> str:
        text = (
            f"{self.windows:,} windows of {self.clips:,} clips, {self.size / 1e9:.2f} GB; warping helps in "
            f"{self.warping:,} ({self.warping / self.windows:.1%}), the pairs for a warp loss"
        )
        return "\n".join([text, *stores.reasons(f"left out: {len(self.skipped):,} clips", self.skipped)])


# Preparation ------------------------------------------------------------------------------------------------


def store_pairs(config: Pairs, out: str | Path, *, workers: int = 1, device: str = "cpu") -> Inventory:
    """Write a store, or complete one that was interrupted: clips that are there are kept, whatever ended the last run.

    workers, device: pairs of frames whose TV-L1 a CPU computes at a time, or the GPU that does; see `flow.tvl1`. Each
    clip draws from a generator of its own, seeded by `config.seed` and its name, so the same clips give the same store
    in any number of runs. Clips that cannot serve (unreadable, too short, too small, without motion, flow files of
    another number or size) are left out and reported; the next call tries them again.

    Raises InputError where no clip serves, for a folder of other contents or settings, and for a full disk, which
    leaves the clips finished so far intact.
    """
    out = Path(out)
    origins = {origin.name: origin for origin in find(config)}

    def keep(origin: Origin) -> int:  # bytes
        folder = out / "clips" / origin.key
        if not folder.exists():
            _prepare_clip(origin, config, folder, workers, device)
        return sum(file.stat().st_size for file in folder.iterdir())

    def note(sizes: Iterable[int]) -> str:
        done = list(sizes)
        whole = sum(done) / max(1, len(done)) * len(origins)
        return f"{sum(done) / 1e9:.2f} of about {whole / 1e9:.2f} GB"

    _claim(out, config)
    with stores.sole_writer(out):
        for leftover in (out / "clips").glob(".*"):  # of a run that was killed
            shutil.rmtree(leftover)
        sizes, skipped = stores.fill(origins, keep, note=note)
        return _write_index(out, [origins[name] for name in sizes], skipped, sum(sizes.values()))


def find(config: Pairs) -> list[Origin]:
    """Every clip of the settings: videos and folders of images below each source in sorted order, then embedded."""
    found = []
    for root in map(Path, config.sources):
        root = root.resolve()
        if not root.exists():
            raise InputError(f"{root}: no such file or folder; give videos, folders of frames, or folders of these")
        clips = [path for path in (root, *sorted(root.rglob("*"))) if not path.name.startswith(".") and _is_clip(path)]
        if not clips:
            raise InputError(f"{root}: no videos ({', '.join(VIDEOS)}) and no folders of images in it")
        for path in clips:
            name = path.relative_to(root.parent)  # FOLDER/CLIP, or CLIP where the source is one
            inner = Path(*name.parts[1:] or name.parts)
            motion = config.flow and Path(config.flow) / (inner if path.is_dir() else inner.with_suffix(""))
            found.append(Origin(name.as_posix(), path, motion))
    found += [Origin(f"embedded/{config.seed}/{i:05d}", index=i) for i in range(config.embedded)]
    stores.require_once([origin.name for origin in found], "give the sources' common parent")
    return found


def _is_clip(path: Path) -> bool:
    if path.is_dir():
        return any(p.suffix.lower() in video.IMAGES and not p.name.startswith(".") for p in path.iterdir())
    return path.suffix.lower() in VIDEOS


def _claim(out: Path, config: Pairs) -> None:
    """Note the settings in a new folder; refuse one of other settings, or with something else in it."""
    if (out / "settings.json").exists():
        found, given = asdict(_settings(out)), asdict(config)
        if differing := [f"{name} {found[name]}, now {value}" for name, value in given.items() if found[name] != value]:
            raise InputError(f"{out}: prepared with other settings ({'; '.join(differing)}); give another folder")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: holds something else than training pairs; give a new or empty folder")
    else:
        write_atomically(out / "settings.json", json.dumps(asdict(config), indent=1, ensure_ascii=False) + "\n")


def _prepare_clip(origin: Origin, config: Pairs, folder: Path, workers: int, device: str) -> None:
    """Draw frames of one clip and write them, their flow and windows; the folder appears complete or not at all."""
    rng = np.random.default_rng([config.seed, *hashlib.sha256(origin.name.encode()).digest()])
    frames, count, exact = _open(origin, config)
    radius, last = config.frames // 2, config.spacing + config.frames // 2
    candidates = np.arange(radius, count - last)
    if not len(candidates):
        raise InputError(f"{count} frames; expected {radius + last + 1} or more")
    drawn = np.sort(rng.permutation(candidates)[: config.clip_frames])
    needed = np.unique(drawn[:, None] + np.arange(-radius, last + 1))
    rows = np.searchsorted(needed, drawn)
    wanted = set(needed.tolist())
    kept = (_shrink(frame, config.side) for t, frame in enumerate(islice(frames, needed[-1] + 1)) if t in wanted)

    with atomic(folder) as temporary:
        temporary.mkdir()
        stored = _write(temporary / "frames.npy", kept, len(needed))
        if min(stored.shape[1:3]) < config.patch:
            size = "x".join(map(str, stored.shape[1:3]))
            raise InputError(f"frames of {size} px, smaller than a patch of {config.patch} px")
        if config.lr == "before":
            lowered = (_each(lambda x: to_lr(x, SCALE, eight_bit=True), frame) for frame in stored)
            _write(temporary / "lr.npy", lowered, len(needed))
        if exact is not None:
            kind, motion = "exact", (_fitting(exact[t], stored, origin.name) for t in drawn)
        elif origin.flow:
            kind, motion = "precomputed", _read_flow(origin.flow, count, config.spacing, drawn, stored)
        else:
            kind, motion = f"TV-L1 {config.preset}, {device}", _estimate(stored, rows, config, workers, device)
        motion = _write(temporary / "flow.npy", (m.astype(np.float16) for m in motion), len(drawn))
        windows = [
            (int(t), int(row), pair, *window)
            for pair, (t, row) in enumerate(zip(drawn, rows, strict=True))
            for window in _windows(stored[row], stored[row + config.spacing], motion[pair], config, rng)
        ]
        if not windows:
            raise InputError("nothing moves, every weight would be zero")
        about = {"name": origin.name, "flow": kind, "windows": windows}
        (temporary / "clip.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")


def _open(origin: Origin, config: Pairs) -> tuple[Iterable[np.ndarray], int, np.ndarray | None]:
    """A clip's frames, uint8 (H, W, 3), their number, and the flow (T - 1, 2, H, W) where it is known exactly."""
    if origin.path:
        return video.frames(origin.path), video.count(origin.path), None
    clip = generated.clip(origin.index, seed=config.seed)
    return clip.frames, len(clip.frames), clip.flow if config.spacing == 1 else None


def _each(change: Callable[[torch.Tensor], torch.Tensor], frame: np.ndarray) -> np.ndarray:
    """A change of (1, 1, 3, H, W) done to a frame uint8 (H, W, 3)."""
    return video.to_uint8(change(video.to_tensor(frame[None])))[0]


def _shrink(frame: np.ndarray, side: int) -> np.ndarray:
    """To a short side of `side` by MATLAB's bicubic where it is over 1.2 x side; cut to multiples of the scale."""
    h, w = frame.shape[:2]
    if min(h, w) > 1.2 * side:
        size = (round(h * side / min(h, w)), round(w * side / min(h, w)))
        frame = _each(lambda x: imresize(x, size=size, eight_bit=True), frame)
    h, w = frame.shape[:2]
    return frame[: h - h % SCALE, : w - w % SCALE]


def _estimate(stored: np.ndarray, rows: np.ndarray, config: Pairs, workers: int, device: str) -> Iterator[np.ndarray]:
    """TV-L1 from each frame drawn to the second of its pair, (2, H, W)."""
    for first in np.split(rows, range(CHUNK, len(rows), CHUNK)):
        pairs = (torch.from_numpy(stored[r]).to(device).permute(0, 3, 1, 2) for r in (first, first + config.spacing))
        yield from flow.tvl1(*pairs, workers=workers, **flow.PRESETS[config.preset]).cpu().numpy()


def _read_flow(folder: Path, count: int, spacing: int, drawn: np.ndarray, stored: np.ndarray) -> Iterator[np.ndarray]:
    """The flow of each frame drawn, (2, H, W), from a folder of files, one for each of the clip's pairs."""
    paths = files.listing(folder)
    if len(paths) != count - spacing:
        raise InputError(
            f"{folder}: {len(paths)} flow files; expected {count - spacing}, one for each of the "
            f"clip's {count} frames that has another {spacing} later"
        )
    yield from (_fitting(files.read(paths[t])[0].numpy(), stored, paths[t]) for t in drawn)


def _fitting(motion: np.ndarray, stored: np.ndarray, where: str | Path) -> np.ndarray:
    """Flow (2, H, W) on frames of which `_shrink` may have cut the last rows and columns -> that on what is stored."""
    size = stored.shape[1:3]
    h, w = (n - n % SCALE for n in motion.shape[1:])
    if (h, w) != size:
        raise InputError(
            f"{where}: flow of {motion.shape[1]}x{motion.shape[2]} px for frames of {size[0]}x{size[1]} px; compute it "
            "on frames of that size, or choose the side that makes frames of the flow's"
        )
    if not np.isfinite(motion).all():
        raise InputError(f"{where}: unknown flow (nan); expected a value for every pixel")
    return motion[:, :h, :w]


def _windows(
    frame0: np.ndarray, frame1: np.ndarray, motion: np.ndarray, config: Pairs, rng: np.random.Generator
) -> list[tuple[int, int, float, int]]:
    """The windows of a frame that move most, as (x, y, mean length of the flow in px, 1 where warping helps).

    Windows lie on a grid of random origin and are ranked by the length of the flow summed over their centre; those
    without any are left out. Warping helps where PSNR(I_t, warp(I_t+1)) > PSNR(I_t, I_t+1) on the centre, the window
    warped within itself and rounded to 8 bits.
    """
    patch, border = config.patch, config.border
    inner = patch - 2 * border
    axes = []
    for side, stride in zip(frame0.shape[:2], config.strides, strict=True):
        steps, slack = divmod(side - patch, stride)
        start = int(rng.integers(slack + 1)) + stride * np.arange(steps + 1)
        axes.append(start - start % SCALE if config.lr == "before" else start)
    ys, xs = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))

    motion = motion.astype(np.float32)
    sums = np.pad(np.hypot(*motion).cumsum(0, np.float64).cumsum(1), ((1, 0), (1, 0)))  # of the rectangle up to (y, x)
    y0, x0 = ys + border, xs + border
    y1, x1 = y0 + inner, x0 + inner
    length = (sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]) / inner**2
    best = [k for k in np.argsort(-length, kind="stable")[: config.windows] if length[k] > 1e-6]  # rounding of the sums
    if not best:
        return []

    def cut(array: np.ndarray) -> torch.Tensor:  # (C, H, W) -> (windows, C, patch, patch)
        return torch.from_numpy(np.stack([array[:, ys[k] : ys[k] + patch, xs[k] : xs[k] + patch] for k in best]))

    first, second = (cut(frame.transpose(2, 0, 1)).float() / 255 for frame in (frame0, frame1))
    warped, _ = flow.warp(second, cut(motion))
    before, after = (metrics.psnr(x, first, crop=border, luma=False) for x in (second, quantise(warped)))
    helps = (after > before).int().tolist()
    return [(int(xs[k]), int(ys[k]), round(float(length[k]), 4), h) for k, h in zip(best, helps, strict=True)]


def _write(path: Path, arrays: Iterator[np.ndarray], count: int) -> np.ndarray:
    """A .npy file of `count` arrays of one shape, written as they come -> the file, mapped into memory.

    Written and not mapped: a full disk is then an error instead of a signal that ends the process.
    """
    with open(path, "wb") as file:
        for number, array in enumerate(arrays):
            if not number:
                header = {"descr": array.dtype.str, "fortran_order": False, "shape": (count, *array.shape)}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(array).data)
    return np.load(path, mmap_mode="r")


def _write_index(out: Path, kept: list[Origin], skipped: dict[str, str], size: int) -> Inventory:
    if not kept:
        name, reason = next(iter(skipped.items()))
        raise InputError(f"none of {len(skipped)} clips can serve; the first, {name}: {reason}")
    clips, windows = [], []
    for number, origin in enumerate(kept):
        about = stores.read_json(out / "clips" / origin.key / "clip.json", AGAIN)
        windows += [(number, *window) for window in about["windows"]]
        clips.append({"key": origin.key, "name": origin.name, "flow": about["flow"]})
    columns = dict(zip(("clip", *COLUMNS), zip(*windows, strict=True), strict=True))
    index = {"clips": clips, "skipped": skipped, "windows": columns}
    write_atomically(out / "index.json", json.dumps(index, ensure_ascii=False) + "\n")
    return Inventory(len(windows), sum(columns["warps"]), len(clips), size, skipped)


def _settings(folder: Path) -> Pairs:
    values = stores.read_json(folder / "settings.json", AGAIN)
    try:
        return Pairs(**values)
    except InputError as error:
        raise InputError(f"{folder}: prepared by another version ({error}); prepare it again") from error


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
        self.folder, self.config = Path(folder), _settings(Path(folder))
        if frames % 2 == 0 or not 1 <= frames <= self.config.frames:
            raise InputError(
                f"{folder}: prepared for {self.config.frames} frames or fewer, an odd number; asked for {frames}"
            )
        self.frames, self.pair, self.augment, self.seed = frames, pair, augment, seed
        index = stores.read_json(self.folder / "index.json", AGAIN)
        self.clips = index["clips"]
        self.windows = {name: np.array(column) for name, column in index["windows"].items()}
        if pair if check_warp is None else check_warp:
            kept = self.windows["warps"] == 1
            self.windows = {name: column[kept] for name, column in self.windows.items()}
            if not kept.any():
                raise InputError(f"{folder}: warping by the flow helps in no window; check the flow")
        self._maps: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.windows["clip"])

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        return (self[n] for n in range(len(self)))  # Python's own way would never end

    def __getitem__(self, visit: int) -> dict[str, torch.Tensor]:
        return {name: value[0] for name, value in self.to_batch(self.__getitems__([visit])).items()}

    def __getitems__(self, visits: list[int]) -> dict[str, torch.Tensor]:
        """For `to_batch`: hr uint8 (N, T, P, P, 3), flow float16 (N, 2, P, P), turn int64 (N,)."""
        hr, lr, motion = [], [], []
        for visit in visits:
            clip, row, pair, x, y = (int(self.windows[c][visit % len(self)]) for c in ("clip", "row", "pair", "x", "y"))
            key, side = self.clips[clip]["key"], self.config.patch
            ahead = self.config.spacing if self.pair else 0
            span = slice(row - self.frames // 2, row + ahead + self.frames // 2 + 1)
            box = np.s_[:, y : y + side, x : x + side]
            if self.config.lr == "before":
                small = np.s_[:, y // SCALE : (y + side) // SCALE, x // SCALE : (x + side) // SCALE]
                lr.append(self._map(key, "lr")[span][small])
                span = slice(row, row + ahead + 1, max(1, ahead))
            hr.append(self._map(key, "frames")[span][box])
            motion.append(self._map(key, "flow")[pair][box])
        turns = [np.random.default_rng([self.seed, n]).integers(8) if self.augment else 0 for n in visits]
        raw = {"hr": np.stack(hr), "flow": np.stack(motion), "turn": np.array(turns)}
        raw |= {"lr": np.stack(lr)} if lr else {}
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
        hr, motion = turn(_planes(raw["hr"]), how).float().div_(255), turn_flow(raw["flow"].float(), how)
        if "lr" in raw:
            lr, centre = turn(_planes(raw["lr"]), how).float().div_(255), 0
        else:
            lr, centre = to_lr(hr, SCALE, eight_bit=True), self.frames // 2
        single = self.frames == 1
        lr0, lr1 = (x[:, 0] if single else x for x in (lr[:, : self.frames], lr[:, -self.frames :]))
        hr0, hr1 = hr[:, centre], hr[:, -1 - centre]
        if self.pair:
            return {"lr0": lr0, "lr1": lr1, "hr0": hr0, "hr1": hr1, "flow": motion}
        return {"lr": lr0, "hr": hr0, "flow": motion}

    def _map(self, key: str, name: str) -> np.ndarray:
        path = f"{key}/{name}.npy"
        if path not in self._maps:
            try:
                self._maps[path] = np.load(self.folder / "clips" / path, mmap_mode="r")
            except (OSError, ValueError) as error:
                where = self.folder / "clips" / path
                raise InputError(f"{where}: {error}; remove its folder and prepare again") from error
        return self._maps[path]

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_maps": {}}  # a worker that is spawned maps the files itself


def _planes(frames: torch.Tensor) -> torch.Tensor:
    """(N, T, P, P, 3) -> (N, T, 3, P, P), moved in memory too: turning pixels of three bytes costs thrice as much."""
    return frames.movedim(-1, 2).contiguous()


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
