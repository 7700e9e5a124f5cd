"""Clips as the loops see them, wherever they come from: a name, a class, a group, and frames on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from arsr.data import folders
from arsr.data.folders import Item
from arsr.embedded import generated
from arsr.embedded.actions import ACTIONS
from arsr_core import degrade, video
from arsr_core.errors import InputError


@dataclass(frozen=True)
class Clip:
    """One clip; those of one `group` (actor, sequence, recording) are never parted into training and test."""

    name: str
    action: str
    label: int
    group: str
    read: Callable[[], np.ndarray]  # -> uint8 (T, H, W, 3) RGB


def from_items(items: Iterable[Item]) -> list[Clip]:
    """The clips of a real data set."""
    return [Clip(i.name, i.action, i.label, i.group, partial(_read, i.path)) for i in items]


def square(clip: Clip, side: int = 144, every: int = 2) -> Clip:
    """The clip's central square, side x side px, every second frame: what clips of all shapes have in common.

    Where each clip was cut out by hand, as in UT-Interaction, the shape alone tells much about the class.
    """
    return replace(clip, read=partial(_square, clip.read, side, every))


def embedded(count: int, split: str = "train", *, start: int = 0, seed: int = 0, frames: int = 24) -> list[Clip]:
    """Embedded (synthetic) clips; train and test have no actor, scene or tempo in common."""
    names = list(ACTIONS)
    made = partial(_generate, split=split, seed=seed, frames=frames)
    return [
        Clip(f"{split}-{seed}-{i:05d}", names[i % len(names)], i % len(names), f"{split}-{seed}-{i}", partial(made, i))
        for i in range(start, start + count)
    ]


def _read(path: Path) -> np.ndarray:
    return video.read(path).frames


def _square(read: Callable[[], np.ndarray], side: int, every: int) -> np.ndarray:
    frames = read()[::every]
    height, width = frames.shape[1:3]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    centre = video.to_tensor(frames[:, top : top + short, left : left + short])  # (1, T, 3, short, short)
    return video.to_uint8(degrade.imresize(centre, size=(side, side)))


def _generate(index: int, **options: object) -> np.ndarray:
    return generated.clip(index, **options).frames


# In memory, for a look ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Footage:
    """The frames of one clip, and its true motion where that is known."""

    name: str
    action: str
    frames: np.ndarray  # uint8 (T, H, W, 3) RGB
    flow: torch.Tensor | None = None  # from t to t + 1: (1, T - 1, 2, H, W), pixels
    visible: torch.Tensor | None = None  # what frame t + 1 still shows of frame t: bool (1, T - 1, 1, H, W)

    @property
    def hr(self) -> torch.Tensor:
        """The frames as (1, T, 3, H, W) in [0, 1], cropped to sides that four divides."""
        return degrade.modcrop(video.to_tensor(self.frames), 4)

    def cut(self, first: int, count: int) -> Footage:
        """The `count` frames from frame `first` on. Raises InputError where the clip ends earlier."""
        if not 0 <= first <= len(self.frames) - count:
            given = f"{self.name} has {len(self.frames)} frames"
            raise InputError(f"{given}, expected {count} from frame {max(0, first)} on; ask for fewer")
        pairs = slice(first, first + count - 1)
        known = {} if self.flow is None else {"flow": self.flow[:, pairs], "visible": self.visible[:, pairs]}
        return replace(self, frames=self.frames[first : first + count], **known)


def footage(
    root: str | Path = "",
    patterns: Sequence[str] = (),
    per_pattern: int = 4,
    *,
    count: int = 18,
    frames: int | None = 24,
    seed: int = 0,
) -> tuple[list[Footage], str]:
    """What a chapter looks at, and what that is in words: real clips below `root`, or without a root embedded ones.

    patterns, per_pattern: as `folders.matching` takes them; count, seed: of the embedded test clips. frames: that many
    of each clip, which shorter real clips lack; None: 24 of embedded clips, all of real ones.
    Raises InputError where that makes no clip of two frames or more.

    >>> videos, what = footage(count=2, frames=4)
    >>> what, videos[0].hr.shape
    ('2 embedded test clips (synthetic)', torch.Size([1, 4, 3, 120, 160]))
    """
    if count < 1 or (frames is not None and frames < 2):
        raise InputError(f"expected 1 clip or more, of 2 frames or more, got {count} clips, {frames} frames")
    if not root:
        made = [_with_motion(c) for c in generated.clips(count, split="test", frames=frames or 24, seed=seed)]
        return made, f"{len(made)} embedded test clips (synthetic)"
    paths = folders.matching(root, patterns, per_pattern)
    real = [Footage(path.stem, path.parent.name, video.read(path, stop=frames).frames) for path in paths]
    if not real:
        raise InputError("no clips: `patterns` is empty; give a glob pattern below the folder of clips")
    for path, clip in zip(paths, real, strict=True):
        if len(clip.frames) < 2:
            raise InputError(f"{path}: a single frame, and flow needs two; take it out or raise `frames`")
    return real, f"{len(real)} real clips: {', '.join(patterns)}"


def _with_motion(clip: generated.GeneratedClip) -> Footage:
    exact = torch.from_numpy(clip.flow)[None], torch.from_numpy(~clip.occluded)[None, :, None]
    return Footage(f"{clip.action} {clip.index}", clip.action, clip.frames, *exact)
