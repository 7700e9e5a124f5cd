"""Clips as the loops see them, wherever they come from: a name, a class, a group, and frames on demand."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from arsr.embedded import generated
from arsr.embedded.actions import ACTIONS
from arsr.printing import printable
from arsr_core import degrade, video
from arsr_core.errors import InputError

VIDEOS = (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".webm", ".wmv", ".y4m")


@dataclass(frozen=True)
class Clip:
    """One clip. Those of one `group` (actor, scene, recording) are alike: they are never parted into training and test.

    Its `fold` is what its recogniser did not see: its group, or several that are tested together (`data.folds`).
    """

    name: str  # of a file: relative to the class folders' parent, with "/"; unique within a data set
    action: str
    label: int
    group: str  # UCF101: Archery_g08, HMDB51: source video, Weizmann: actor, UT-Interaction: set1_4 (set and sequence)
    # read(numbers=None) -> uint8 (T, H, W, 3) RGB: the frames of these numbers, a rising tuple or range; None: all
    read: Callable[..., np.ndarray] = field(repr=False, compare=False)
    count: Callable[[], int] = field(repr=False, compare=False)  # how many frames there are
    path: Path | None = None  # of a file
    subset: str | None = None  # train, test or unused in the official split; None: there is none
    fold: str = ""  # default: the group

    def __post_init__(self):
        object.__setattr__(self, "fold", self.fold or self.group)


def from_file(home: Path, name: str, action: str, label: int, group: str, subset: str | None = None) -> Clip:
    """A clip of a real data set, the file `name` below `home`, read when its frames are wanted."""
    path = home / name

    def read(numbers: Collection[int] | None = None) -> np.ndarray:
        return video.read(path, numbers=numbers).frames

    return Clip(printable(name), action, label, printable(group), read, partial(video.count, path), path, subset)


def square(clip: Clip, side: int = 144, every: int = 2) -> Clip:
    """The clip's central square, side x side px, every second frame: what clips of all shapes have in common.

    Where each clip was cut out by hand, as in UT-Interaction, the shape alone tells much about the class.
    """

    def read(numbers: Sequence[int] | None = None) -> np.ndarray:
        frames = clip.read()[::every] if numbers is None else clip.read([every * number for number in numbers])
        height, width = frames.shape[1:3]
        short = min(height, width)
        top, left = (height - short) // 2, (width - short) // 2
        centre = video.to_tensor(frames[:, top : top + short, left : left + short])  # (1, T, 3, short, short)
        return video.to_uint8(degrade.imresize(centre, size=(side, side)))

    return replace(clip, read=read, count=lambda: -(-clip.count() // every))


def embedded(count: int, split: str = "train", *, start: int = 0, seed: int = 0, frames: int = 24) -> list[Clip]:
    """Embedded (synthetic) clips; train and test have no actor, scene or tempo in common."""

    def made(index: int) -> Clip:
        label, options = index % len(ACTIONS), dict(split=split, seed=seed, frames=frames)
        name, group = f"{split}-{seed}-{index:05d}", f"{split}-{seed}-{index}"

        def read(numbers: Sequence[int] | None = None) -> np.ndarray:
            return generated.clip(index, **options).read(numbers)

        return Clip(name, list(ACTIONS)[label], label, group, read, lambda: frames)

    return [made(index) for index in range(start, start + count)]


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

    patterns, per_pattern: up to so many files for each glob pattern, evenly spaced in the sorted matches. count, seed:
    of the embedded test clips. frames: that many of each clip, which shorter real clips lack; None: 24 of embedded
    clips, all of real ones. Raises InputError where that makes no clip of two frames or more, and for a pattern that
    nothing matches.

    >>> videos, what = footage(count=2, frames=4)
    >>> what, videos[0].hr.shape
    ('2 embedded test clips (synthetic)', torch.Size([1, 4, 3, 120, 160]))
    """
    made = []
    embedded_clips = [] if root else generated.clips(count, split="test", frames=frames or 24, seed=seed)
    for clip in embedded_clips:
        known = torch.from_numpy(clip.flow)[None], torch.from_numpy(~clip.occluded)[None, :, None]
        made.append(Footage(f"{clip.action} {clip.index}", clip.action, clip.frames, *known))
    for pattern in patterns if root else ():
        try:
            found = sorted(Path(root).glob(pattern))
        except (NotImplementedError, ValueError) as error:  # from the root of the disk, or of nothing
            raise InputError(f"patterns: {pattern!r}: {error}; expected one below {root}, such as '*/*.avi'") from None
        if not found:
            raise InputError(f"{root}: nothing matches {pattern}; check the folder, or --set 'patterns=[\"*.avi\"]'")
        n = min(per_pattern, len(found))
        for path in (found[round(i * (len(found) - 1) / max(1, n - 1))] for i in range(n)):
            names = printable(path.stem), printable(path.parent.name)
            made.append(Footage(*names, video.read(path, stop=frames).frames))
            if len(made[-1].frames) < 2:
                raise InputError(f"{path}: a single frame, and flow needs two; take it out or raise `frames`")
    if not made:
        raise InputError("no clips: ask for one or more, of a folder by glob patterns; `patterns` may be empty")
    what = f"real clips: {printable(', '.join(patterns))}" if root else "embedded test clips (synthetic)"
    return made, f"{len(made)} {what}"
