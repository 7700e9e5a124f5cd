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

import errno
import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from arsr.embedded import generated
from arsr_core import flow, metrics, video
from arsr_core.degrade import imresize, quantise, to_lr
from arsr_core.errors import InputError
from arsr_core.files import write_atomically
from arsr_core.flow import files

SCALE = 4
VIDEOS = (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".webm", ".wmv", ".y4m")
COLUMNS = ("frame", "row", "pair", "x", "y", "motion", "warps")  # of a window; row in frames.npy, pair in flow.npy
CHUNK = 16  # pairs of frames whose flow is in memory at a time
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Pairs:
    """How windows are drawn; the defaults are the paper's, or its released code's where the paper is silent."""

    sources: tuple[str, ...] = ()  # videos, folders of frames, or folders with such in them at any depth
    embedded: int = 0  # training clips of data.generated, with exact flow
    patch: int = 128  # side of an HR window, px
    clip_frames: int = 120  # frames drawn from each clip
    windows: int = 10  # kept of each frame, by motion
    frames: int = 7  # LR frames that make one SR frame; a store of 7 serves single-frame networks too
    spacing: int = 1  # frames from the first to the second of a pair; the released code has 2
    side: int = 240  # clips whose short side is over 1.2 x side are shrunk to it: CDVL-134's, 240 to 288, stay
    lr: str = "after"  # the crop; "before" it: then windows lie on multiples of 4 px
    flow: str | None = None  # folder of flow files (FlowNet 2.0's, say); None: exact where known, TV-L1 otherwise
    preset: str = "reference"  # of TV-L1, see flow.PRESETS
    seed: int = 0

    def __post_init__(self):
        counts = (self.clip_frames, self.windows, self.frames, self.spacing, self.side)
        if not all(isinstance(n, int) and n >= 1 for n in counts) or self.frames % 2 == 0:
            raise InputError(f"expected counts of 1 or more and an odd number of frames, got {self}")
        if self.patch < 16 or self.patch % SCALE:
            raise InputError(f"expected a patch of 16 px or more, a multiple of {SCALE}, got {self.patch}")
        if self.lr not in ("after", "before"):
            raise InputError(f"expected lr 'after' or 'before' (the crop), got {self.lr!r}")
        if self.preset not in flow.PRESETS:
            raise InputError(f"no preset {self.preset!r} of TV-L1; expected one of {', '.join(flow.PRESETS)}")
        if self.embedded < 0 or not (self.sources or self.embedded):
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
class Source:
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
class Report:
    """What a store holds and lacks; `warping`: windows where warping by the flow helps."""

    windows: int
    warping: int
    clips: int
    size: int  # bytes
    skipped: dict[str, str]  # clip: reason

    def __str__(self) -> str:
        lines = [
            f"{self.windows:,} windows of {self.clips:,} clips, {self.size / 1e9:.2f} GB; warping helps in "
            f"{self.warping:,} ({self.warping / self.windows:.1%}), the pairs for a warp loss"
        ]
        lines += [f"left out: {len(self.skipped):,} clips"] if self.skipped else []
        lines += [f"  {name}: {reason}" for name, reason in islice(self.skipped.items(), 20)]
        lines += [f"  and {len(self.skipped) - 20:,} more"] if len(self.skipped) > 20 else []
        return "\n".join(lines)


# Preparation ------------------------------------------------------------------------------------------------


def prepare(config: Pairs, out: str | Path, *, workers: int = 1, device: str = "cpu") -> Report:
    """Write a store, or complete one that was interrupted: clips that are there are kept, whatever ended the last run.

    workers, device: pairs of frames whose TV-L1 a CPU computes at a time, or the GPU that does; see `flow.tvl1`. Each
    clip draws from a generator of its own, seeded by `config.seed` and its name, so the same clips give the same store
    in any number of runs. Clips that cannot serve (unreadable, too short, too small, without motion, flow files of
    another number or size) are left out and reported; the next call tries them again.

    Raises InputError where no clip serves, for a folder of other contents or settings, and for a full disk.
    """
    from filelock import FileLock, Timeout  # torch needs it as well
    from tqdm import tqdm

    out = Path(out)
    sources = find(config)
    skipped: dict[str, str] = {}
    size = 0
    try:
        _claim(out, config)
        with FileLock(out / ".lock", timeout=0), tqdm(sources, unit="clip", delay=2, disable=None) as bar:
            for leftover in (out / "clips").glob(".*.tmp"):
                shutil.rmtree(leftover)
            for done, source in enumerate(bar, 1):
                folder = out / "clips" / source.key
                try:
                    if not folder.exists():
                        _prepare_clip(source, config, folder, workers, device)
                except InputError as error:
                    skipped[source.name] = str(error)
                    continue
                size += sum(file.stat().st_size for file in folder.iterdir())
                whole = size / (done - len(skipped)) * (len(sources) - len(skipped))
                bar.set_postfix_str(f"{size / 1e9:.2f} of about {whole / 1e9:.2f} GB", refresh=False)
            return _write_index(out, sources, skipped, size)
    except Timeout:
        raise InputError(f"{out}: another preparation writes here; wait for it, or give another folder") from None
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise InputError(
            f"{out}: the disk is full ({error.strerror}); the clips finished so far are intact: free some space and "
            "start the same command again"
        ) from error


def find(config: Pairs) -> list[Source]:
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
            found.append(Source(name.as_posix(), path, motion))
    found += [Source(f"embedded/{config.seed}/{i:05d}", index=i) for i in range(config.embedded)]
    name, count = Counter(source.name for source in found).most_common(1)[0]
    if count > 1:
        raise InputError(f"{name} comes from {count} sources; expected each clip once: give their common parent")
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


def _prepare_clip(source: Source, config: Pairs, folder: Path, workers: int, device: str) -> None:
    """Draw frames of one clip and write them, their flow and windows; the folder appears complete or not at all."""
    rng = np.random.default_rng([config.seed, *hashlib.sha256(source.name.encode()).digest()])
    frames, count, exact = _open(source, config)
    radius, last = config.frames // 2, config.spacing + config.frames // 2
    candidates = np.arange(radius, count - last)
    if not len(candidates):
        raise InputError(f"{count} frames; expected {radius + last + 1} or more")
    drawn = np.sort(rng.permutation(candidates)[: config.clip_frames])
    needed = np.unique(drawn[:, None] + np.arange(-radius, last + 1))
    rows = np.searchsorted(needed, drawn)

    temporary = folder.with_name(f".{folder.name}.tmp")
    temporary.mkdir(parents=True)
    try:
        wanted = set(needed.tolist())
        kept = (frame for t, frame in enumerate(islice(frames, needed[-1] + 1)) if t in wanted)
        stored = _write(temporary / "frames.npy", (_shrink(frame, config.side) for frame in kept), len(needed))
        if min(stored.shape[1:3]) < config.patch:
            size = "x".join(map(str, stored.shape[1:3]))
            raise InputError(f"frames of {size} px, smaller than a patch of {config.patch} px")
        if config.lr == "before":
            _write(temporary / "lr.npy", (_uint8(to_lr(_float(f), SCALE, eight_bit=True)) for f in stored), len(needed))
        motion = _flow(source, config, stored, drawn, rows, count, exact, workers, device)
        motion = _write(temporary / "flow.npy", (m.astype(np.float16) for m in motion), len(drawn))
        windows = [
            (int(t), int(row), pair, *window)
            for pair, (t, row) in enumerate(zip(drawn, rows, strict=True))
            for window in _windows(stored[row], stored[row + config.spacing], motion[pair], config, rng)
        ]
        if not windows:
            raise InputError("nothing moves, every weight would be zero")
        kind = "exact" if exact is not None else "precomputed" if source.flow else f"TV-L1 {config.preset}, {device}"
        about = {"name": source.name, "flow": kind, "windows": windows}
        (temporary / "clip.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _open(source: Source, config: Pairs) -> tuple[Iterable[np.ndarray], int, np.ndarray | None]:
    """A clip's frames, uint8 (H, W, 3), their number, and the flow (T - 1, 2, H, W) where it is known exactly."""
    if source.path:
        return video.frames(source.path), video.count(source.path), None
    clip = generated.clip(source.index, seed=config.seed)
    return clip.frames, len(clip.frames), clip.flow if config.spacing == 1 else None


def _shrink(frame: np.ndarray, side: int) -> np.ndarray:
    """To a short side of `side` by MATLAB's bicubic where it is over 1.2 x side; cut to multiples of the scale."""
    h, w = frame.shape[:2]
    if min(h, w) > 1.2 * side:
        size = (round(h * side / min(h, w)), round(w * side / min(h, w)))
        frame = _uint8(imresize(_float(frame), size=size, eight_bit=True))
    h, w = frame.shape[:2]
    return frame[: h - h % SCALE, : w - w % SCALE]


def _flow(source, config, stored, drawn, rows, count, exact, workers, device) -> Iterator[np.ndarray]:
    """Flow from each frame drawn to the second of its pair, (2, H, W)."""
    size = stored.shape[1:3]
    if exact is not None:
        yield from (_fitting(exact[t], size, source.name) for t in drawn)
    elif source.flow:
        paths = files.listing(source.flow)
        if len(paths) != count - config.spacing:
            raise InputError(
                f"{source.flow}: {len(paths)} flow files; expected {count - config.spacing}, one for each of the "
                f"clip's {count} frames that has another {config.spacing} later"
            )
        yield from (_fitting(files.read(paths[t])[0][0].numpy(), size, paths[t]) for t in drawn)
    else:
        for first in np.split(rows, range(CHUNK, len(rows), CHUNK)):
            pairs = (
                torch.from_numpy(stored[r]).to(device).permute(0, 3, 1, 2) for r in (first, first + config.spacing)
            )
            yield from flow.tvl1(*pairs, workers=workers, **flow.PRESETS[config.preset]).cpu().numpy()


def _fitting(motion: np.ndarray, size: tuple[int, int], where: str | Path) -> np.ndarray:
    """Flow (2, H, W) on frames of which `_shrink` may have cut the last rows and columns -> that on what is stored."""
    h, w = (n - n % SCALE for n in motion.shape[1:])
    if (h, w) != size:
        raise InputError(
            f"{where}: flow of {motion.shape[1]}x{motion.shape[2]} px for frames of {size[0]}x{size[1]} px; compute it "
            "on frames of that size, or choose the side that makes frames of the flow's"
        )
    if not np.isfinite(motion).all():
        raise InputError(f"{where}: unknown flow (nan); expected a value for every pixel")
    return motion[:, :h, :w]


def _windows(frame0, frame1, motion, config: Pairs, rng) -> list[tuple[int, int, float, int]]:
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


def _write_index(out: Path, sources: list[Source], skipped: dict[str, str], size: int) -> Report:
    clips, windows = [], []
    for source in sources:
        if source.name not in skipped:
            about = _read_json(out / "clips" / source.key / "clip.json")
            windows += [(len(clips), *window) for window in about["windows"]]
            clips.append({"key": source.key, "name": source.name, "flow": about["flow"]})
    if not windows:
        name, reason = next(iter(skipped.items()))
        raise InputError(f"none of {len(sources)} clips can serve; the first, {name}: {reason}")
    columns = dict(zip(("clip", *COLUMNS), zip(*windows, strict=True), strict=True))
    index = {"clips": clips, "skipped": skipped, "windows": columns}
    write_atomically(out / "index.json", json.dumps(index, ensure_ascii=False) + "\n")
    return Report(len(windows), sum(columns["warps"]), len(clips), size, skipped)


def _settings(folder: Path) -> Pairs:
    values = _read_json(folder / "settings.json")
    try:
        return Pairs(**values | {"sources": tuple(values["sources"])})
    except (TypeError, KeyError) as error:
        raise InputError(f"{folder}: prepared by another version ({error}); prepare it again") from error


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such file; prepare the pairs (again), 'arsr data pairs' goes on") from None
    except ValueError as error:
        raise InputError(f"{path}: damaged ({error}); remove it and prepare the pairs again") from error


def _float(frame: np.ndarray) -> torch.Tensor:
    """uint8 (H, W, 3) -> float32 (3, H, W) in [0, 1]."""
    return torch.tensor(frame).permute(2, 0, 1).float() / 255


def _uint8(frame: torch.Tensor) -> np.ndarray:
    """(3, H, W) of k / 255 -> uint8 (H, W, 3)."""
    return (frame * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


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
    ):
        self.folder, self.config = Path(folder), _settings(Path(folder))
        if frames % 2 == 0 or not 1 <= frames <= self.config.frames:
            raise InputError(
                f"{folder}: prepared for {self.config.frames} frames or fewer, an odd number; asked for {frames}"
            )
        self.frames, self.pair, self.augment, self.seed = frames, pair, augment, seed
        index = _read_json(self.folder / "index.json")
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
                raise InputError(
                    f"{self.folder / 'clips' / path}: {error}; remove its folder and prepare again"
                ) from error
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
