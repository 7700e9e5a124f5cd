"""Clips made ready for training a recogniser: resized frames and 8-bit coded TV-L1 flow.

They lie in a store (`arsr.data.stores`), of a clip frames uint8 (T, H, W, 3) and flow uint8 (T - 1, 2, H, W).
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge

from arsr.data import stores
from arsr.data.clips import Clip
from arsr.settings import settings
from arsr_core import flow, video
from arsr_core.errors import InputError
from arsr_core.recognition.protocol import Protocol, resize, train_starts

CHUNK = 64  # pairs of frames whose flow is in memory at a time


@settings
class Preparation:
    """What is stored of each clip."""

    protocol: Protocol  # size of the frames, bound of the flow
    flow: dict | None = field(default_factory=lambda: dict(flow.PRESETS["reference"]))  # TV-L1's; None: no flow
    method: str = "hr"  # what `change` makes of the frames


class Row(stores.Row):
    """What the index says of a clip."""

    label: Annotated[int, Ge(0)]
    action: str
    group: str
    frames: Annotated[int, Ge(0)] = 0  # of what has a file


def store_clips(
    clips: Sequence[Clip],
    folder: str | Path,
    preparation: Preparation,
    *,
    change: Callable[[torch.Tensor], torch.Tensor] | None = None,
    workers: int | None = None,
    device: str = "cpu",
    progress: bool | None = None,
) -> stores.Inventory:
    """Store resized frames and coded flow of every clip; goes on where it stopped.

    change: (1, T, 3, H, W) -> the same, e.g. down-sampling and super-resolution; None: the frames as they are.
    workers, device: pairs of frames whose TV-L1 a CPU computes at a time, or the GPU that does; see `flow.tvl1`.
    Unreadable clips are left out and reported. Raises InputError as `stores.fill` does.
    """
    how = dict(preparation=preparation, change=change, device=device)
    how |= dict(workers=workers or len(os.sched_getaffinity(0)))
    sources = [
        stores.Source(
            clip.name,
            {"action": clip.action, "label": clip.label, "group": clip.group},
            partial(_prepare, clip, **how),
            (clip.path,) if clip.path else (),
        )
        for clip in clips
    ]
    return stores.fill(folder, preparation, sources, "{clips:,} clips, {size:.2f} GB", progress=progress)


def _prepare(
    clip: Clip, preparation: Preparation, change: Callable | None, workers: int, device: str
) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Read, change, resize, estimate the flow, code -> what the store holds of a clip."""
    protocol = preparation.protocol
    frames = video.to_tensor(clip.read())  # (1, T, 3, H, W)
    if change is not None:
        frames = change(frames)
    frames = resize(frames[0], protocol)  # (T, 3, H, W)
    arrays = {"frames": video.to_uint8(frames[None])}
    if preparation.flow is not None:
        coded = [np.empty((0, 2, *protocol.size), np.uint8)]
        for first in range(0, len(frames) - 1, CHUNK):
            part = frames[first : first + CHUNK + 1].to(device)
            motion = flow.tvl1(part[:-1], part[1:], workers=workers, **preparation.flow)
            coded.append(flow.encode_uint8(motion, protocol.bound).cpu().numpy())
        arrays["flow"] = np.concatenate(coded)  # (T - 1, 2, H, W)
    return arrays, {"frames": len(frames)}


class Snippets(torch.utils.data.Dataset):
    """Random snippets of prepared clips, as TSN trains: one from each of `segments` equal parts of the clip.

    [visit] -> dict: "rgb" uint8 (S, H, W, 3), "flow" uint8 (S, 2 * flow_frames, H, W), or both, and label. With both,
    each frame is the middle of its stack. The snippets are a function of the seed and the visit (index + len * epoch).
    """

    def __init__(
        self,
        folder: str | Path,
        stream: str,
        *,
        segments: int = 3,
        seed: int = 0,
        keep: Callable[[dict], bool] = lambda row: True,
    ) -> None:
        self.folder = Path(folder)
        remedy = "store the clips (again): `arsr train` or snippets.store_clips"
        made, rows = stores.load(folder, Preparation, remedy, Row)
        classes = sorted({(row["label"], row["action"]) for row in rows})
        if [label for label, _ in classes] != [*range(len(classes))]:
            raise InputError(f"{folder}: expected one class for each label from 0, got {classes[:5]}; {remedy}")
        self.classes = [action for _, action in classes]
        self.rows = [row for row in rows if "file" in row and keep(row)]
        self.content = stores.content_key(self.rows)
        if stream != "rgb" and made.flow is None:
            raise InputError(f"{self.folder}: prepared without flow; store the clips again, with it")
        self.protocol = made.protocol
        self.length = 1 if stream == "rgb" else self.protocol.flow_frames
        self.stream, self.segments, self.seed = stream, segments, seed
        if short := [row["name"] for row in self.rows if row["frames"] <= self.length]:
            raise InputError(f"clip {short[0]} has {self.length} frames or fewer, too short for a stack of flow")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, visit: int) -> dict:
        row = self.rows[visit % len(self)]
        generator = torch.Generator().manual_seed((self.seed << 40) + visit)
        frames = row["frames"] - (self.stream != "rgb")
        starts = train_starts(frames, self.segments, self.length, generator).tolist()
        sample = {"label": row["label"]}
        with stores.opened(self.folder / row["file"]) as file:
            if self.stream != "flow":
                shown = [file.get_slice("frames")[start + self.length // 2] for start in starts]  # (H, W, 3)
                sample["rgb"] = torch.from_numpy(np.stack(shown))
            if self.stream != "rgb":
                stacks = [file.get_slice("flow")[start : start + self.length] for start in starts]  # u, v, u, v ...
                sample["flow"] = torch.from_numpy(np.stack(stacks)).flatten(1, 2)
        return sample


def to_float(snippets: torch.Tensor) -> torch.Tensor:
    """A batch of uint8 snippets, (N, S, H, W, 3) or (N, S, C, H, W) -> float (N, S, C, H, W) in [0, 1]."""
    snippets = snippets.movedim(-1, 2) if snippets.shape[-1] == 3 else snippets
    return snippets.float() / 255
