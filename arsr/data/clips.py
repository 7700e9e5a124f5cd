"""Clips as the loops see them, wherever they come from: a name, a class, a group, and frames on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from arsr.data.folders import Item
from arsr.embedded import generated
from arsr.embedded.actions import ACTIONS
from arsr_core import degrade, video


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


def _generate(index: int, **options) -> np.ndarray:
    return generated.clip(index, **options).frames
