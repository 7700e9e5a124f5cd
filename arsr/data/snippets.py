"""Clips made ready for training a recogniser: resized frames and 8-bit coded TV-L1 flow, one file a clip.

FOLDER/index.json            what was prepared, and a row a clip
FOLDER/<hash>.safetensors    frames uint8 (T, H, W, 3), flow uint8 (T - 1, 2, H, W), or JPEG bytes of both
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from arsr.data import stores
from arsr.data.clips import Clip
from arsr.settings import settings
from arsr_core import flow, video
from arsr_core.errors import InputError
from arsr_core.files import write_atomically
from arsr_core.recognition.protocol import Protocol, resize, train_starts

AGAIN = "store the clips (again): `arsr train` or snippets.store_clips"


@settings
class Preparation:
    """What is stored of each clip."""

    protocol: Protocol  # size of the frames, bound of the flow
    flow: dict | None = field(default_factory=lambda: dict(flow.PRESETS["reference"]))  # TV-L1's; None: no flow
    coding: Literal["raw", "jpeg"] = "raw"  # JPEG, quality 95, as TSN's tool: a tenth of the disk, with a loss
    method: str = "hr"  # what `change` makes of the frames


def store_clips(
    clips: Sequence[Clip],
    folder: str | Path,
    preparation: Preparation,
    *,
    change: Callable[[torch.Tensor], torch.Tensor] | None = None,
    device: str = "cpu",
    workers: int | None = None,
    progress: bool | None = None,
) -> list[dict]:
    """Store resized frames and coded flow of every clip; goes on where it stopped -> the rows of the index.

    change: (1, T, 3, H, W) -> the same, e.g. down-sampling and super-resolution; None: the frames as they are.
    An unreadable clip keeps a row with status "unreadable" and the reason, and is tried again by the next call.
    Raises InputError for a clip that is listed twice and where the folder cannot be written.
    """
    stores.require_once([clip.name for clip in clips])
    folder = Path(folder)
    workers = workers or len(os.sched_getaffinity(0))
    signature = asdict(preparation)
    paths = {c.name: folder / f"{stores.content_key([c.name, signature])[:24]}.safetensors" for c in clips}

    def keep(clip: Clip) -> int:  # frames
        path = paths[clip.name]
        known = _count(path) if path.exists() else None
        return _store(path, clip, preparation, change, device, workers) if known is None else known

    frames, skipped = stores.fill({clip.name: clip for clip in clips}, keep, progress=progress)
    rows = []
    for clip in clips:
        row = {"name": clip.name, "action": clip.action, "label": clip.label, "group": clip.group}
        row["file"] = paths[clip.name].name
        lost = {"status": "unreadable", "reason": skipped.get(clip.name), "frames": 0}
        rows.append(row | (lost if clip.name in skipped else {"status": "ok", "frames": frames[clip.name]}))
    write_atomically(folder / "index.json", json.dumps({"preparation": signature, "clips": rows}, indent=1) + "\n")
    return rows


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
        index = stores.read_json(self.folder / "index.json", AGAIN)
        made = index["preparation"]
        names = {row["label"]: row["action"] for row in index["clips"]}
        self.classes = [names[label] for label in sorted(names)]
        self.rows = [row for row in index["clips"] if row["status"] == "ok" and keep(row)]
        if stream != "rgb" and made["flow"] is None:
            raise InputError(f"{self.folder}: prepared without flow; store the clips again, with it")
        self.coding = made["coding"]
        self.protocol = Protocol(**{k: tuple(v) if isinstance(v, list) else v for k, v in made["protocol"].items()})
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
        with safe_open(self.folder / row["file"], "numpy") as file:
            if self.stream != "flow":
                middles = [start + self.length // 2 for start in starts]
                shown = [_images(file, self.coding, "frames", t, t + 1)[0] for t in middles]  # (H, W, 3)
                sample["rgb"] = torch.from_numpy(np.stack(shown))
            if self.stream != "rgb":
                stacks = [_stack(file, self.coding, start, self.length) for start in starts]
                sample["flow"] = torch.from_numpy(np.stack(stacks))
        return sample


def to_float(snippets: torch.Tensor) -> torch.Tensor:
    """A batch of uint8 snippets, (N, S, H, W, 3) or (N, S, C, H, W) -> float (N, S, C, H, W) in [0, 1]."""
    snippets = snippets.movedim(-1, 2) if snippets.shape[-1] == 3 else snippets
    return snippets.float() / 255


def _store(path: Path, clip: Clip, preparation: Preparation, change: Callable | None, device: str, workers: int) -> int:
    """Read, change, resize, estimate the flow, code, write -> the number of frames."""
    protocol = preparation.protocol
    frames = video.to_tensor(clip.read()).to(device)  # (1, T, 3, H, W)
    if change is not None:
        frames = change(frames)
    frames = resize(frames[0], protocol)  # (T, 3, H, W)
    content = {"frames": video.to_uint8(frames[None].cpu())}
    if preparation.flow is not None:
        motion = flow.tvl1(frames[:-1], frames[1:], workers=workers, **preparation.flow)
        content["flow"] = flow.encode_uint8(motion, protocol.bound).cpu().numpy()  # (T - 1, 2, H, W)
    if preparation.coding == "jpeg":
        content = _jpeg(content)
    write_atomically(path, save(content, {"frames": str(len(frames))}))
    return len(frames)


def _count(path: Path) -> int | None:
    """Frames of a stored clip; None for a damaged file."""
    try:
        with safe_open(path, "numpy") as file:
            return int(file.metadata()["frames"])
    except (SafetensorError, KeyError, TypeError):
        return None


def _jpeg(content: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each image as JPEG bytes, one after the other, with the offsets of their ends."""
    import cv2

    coded = {}
    for name, stack in content.items():
        stack = stack[..., ::-1] if name == "frames" else stack.reshape(-1, *stack.shape[2:])  # BGR, as OpenCV wants
        parts = [cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1] for image in stack]
        coded[name] = np.concatenate(parts)
        coded[f"{name}_ends"] = np.cumsum([0, *map(len, parts)])
    return coded


def _images(file: safe_open, coding: str, name: str, start: int, stop: int) -> np.ndarray:
    """Images start .. stop - 1 of a stored clip."""
    if coding == "raw":
        return file.get_slice(name)[start:stop]
    import cv2

    ends = file.get_tensor(f"{name}_ends")[start : stop + 1]
    coded = file.get_slice(name)[int(ends[0]) : int(ends[-1])]
    mode = cv2.IMREAD_COLOR_RGB if name == "frames" else cv2.IMREAD_GRAYSCALE
    return np.stack([cv2.imdecode(part, mode) for part in np.split(coded, (ends - ends[0])[1:-1])])


def _stack(file: safe_open, coding: str, start: int, length: int) -> np.ndarray:
    per_pair = 1 if coding == "raw" else 2  # raw keeps u and v in one array, JPEG one image each
    images = _images(file, coding, "flow", per_pair * start, per_pair * (start + length))
    return images.reshape(2 * length, *images.shape[-2:])  # u, v, u, v ...
