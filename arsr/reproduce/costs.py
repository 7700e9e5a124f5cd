"""What a job costs: its work, counted; the rates at which a machine does it, measured; hours, with an interval.

Work is counted in operations of networks (two for a product and its sum), fields of TV-L1 (of 340x256 px) and frames
decoded. A machine does the same operations faster in one network than in another: the slowest and the fastest of a few
are the ends of the interval. At best a job's three kinds of work overlap, at worst they wait for each other.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from annotated_types import Gt
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from arsr import reading, records
from arsr.evaluate import plan
from arsr.names import pair
from arsr.settings import check, settings
from arsr.training.recipes import RecogniserRecipe, SRRecipe
from arsr_core import features, flow, sr, video
from arsr_core.errors import InputError
from arsr_core.files import write_atomically
from arsr_core.recognition import PROTOCOLS, TSN, Protocol
from arsr_core.sr.networks import discriminator

FIELD = 256 * 340  # px, of which rates of TV-L1 count one
FRAME = (240, 320)  # of the data sets' clips
Positive = Annotated[float, Gt(0)]
Ends = tuple[Positive, Positive]


class Hours(NamedTuple):
    """Of one device, at best and at worst."""

    low: float = 0.0
    high: float = 0.0

    def __str__(self) -> str:
        return f"{_brief(self.low)} to {_brief(self.high)} h"


@dataclass(frozen=True)
class Work:
    """What a job does, and what it leaves on disk."""

    operations: float = 0.0
    fields: float = 0.0
    frames: float = 0.0
    disk: float = 0.0  # bytes
    read: float = 0.0  # bytes, of what other jobs left

    def __add__(self, other: "Work") -> "Work":
        return Work(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))

    def __mul__(self, times: float) -> "Work":
        return Work(*(times * a for a in asdict(self).values()))


@settings
class Rates:
    """What one device does in a second, slowest and fastest, and where that is known from."""

    machine: str
    operations: Ends
    fields: Ends
    frames: Ends

    def hours(self, work: Work) -> Hours:
        """Of a job; from all kinds of work at once to one after the other."""
        kinds = [(getattr(work, kind), getattr(self, kind)) for kind in ("operations", "fields", "frames")]
        low, high = max(amount / fast for amount, (_, fast) in kinds), sum(amount / slow for amount, (slow, _) in kinds)
        return Hours(low / 3600, high / 3600)

    def save(self, path: Path) -> Path:
        """Write them as JSON, atomically."""
        write_atomically(path, json.dumps(asdict(self), indent=1) + "\n")
        return path


def load(path: Path) -> Rates:
    """The rates of a file that `save` wrote; InputError for another."""
    return check(Rates, reading.data(path, "measure them again"), str(path), "measure them again")


def total(hours: Iterable[Hours]) -> Hours:
    """Their sum."""
    return Hours(*map(sum, zip(Hours(), *hours, strict=True)))


def _brief(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"


# Work, counted ----------------------------------------------------------------------------------------------


@cache
def operations(build: Callable[[], nn.Module], *shape: int) -> float:
    """Of a forward of what `build` makes, on an input of this shape."""
    net = build().eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net(torch.zeros(shape))
    return float(counter.get_total_flops())


@cache
def upscaling(method: str, lite: bool = False) -> float:
    """Operations for an LR pixel of a frame; 0 for HR, and for what is no network."""
    if method in ("hr", "bicubic"):
        return 0.0
    row, side = sr.METHODS[method], 16
    many = [row.frames] if row.frames > 1 else []
    return operations(_maker(method, lite), 1, *many, 3, side, side) / side**2


@cache
def _maker(method: str, lite: bool) -> Callable[[], nn.Module]:
    row = sr.METHODS[method]
    return lambda: row.build(**(row.lite if lite else row.hyper))


@cache
def recognising(backbone: str, stream: str, crop: int, fields: int = 5) -> float:
    """Operations for a snippet: one of RGB, one of flow, or both."""
    if stream == "both":
        return recognising(backbone, "rgb", crop, fields) + recognising(backbone, "flow", crop, fields)
    channels = 3 if stream == "rgb" else 2 * fields
    side = crop - crop % 32
    return operations(_recogniser(backbone, stream, fields), 1, 1, channels, side, side) * (crop / side) ** 2


@cache
def _recogniser(backbone: str, stream: str, fields: int) -> Callable[[], nn.Module]:
    return lambda: TSN(51, stream, backbone, flow_frames=fields)


def training(recipe: SRRecipe | RecogniserRecipe) -> Work:
    """Of all steps. Backward costs two forwards; features see SR, HR and a gradient; a discriminator nine forwards."""
    if isinstance(recipe, RecogniserRecipe):
        protocol = PROTOCOLS[recipe.protocol]
        one = recognising(recipe.backbone, recipe.stream, protocol.crop, protocol.flow_frames)
        pixels, rgb = protocol.size[0] * protocol.size[1], recipe.stream != "flow"
        shown = recipe.segments * pixels * (3 * rgb + 2 * protocol.flow_frames * (recipe.stream != "rgb"))
        return Work(operations=3 * one * recipe.segments, read=shown) * (recipe.batch * recipe.steps)
    row, pairs = sr.METHODS[recipe.method], 2 if recipe.warp else 1
    sample = 3 * pairs * upscaling(recipe.method, recipe.lite) * (recipe.patch / 4) ** 2
    if recipe.feature:
        sample += 3 * operations(_looking, 1, 3, recipe.patch, recipe.patch)
    if recipe.adversarial:
        sample += 9 * operations(_judge(recipe.method, recipe.patch, recipe.lite), 1, 3, recipe.patch, recipe.patch)
    shown = (3 * (row.frames + pairs - 1) + 4) * recipe.patch**2  # uint8 frames, float16 flow
    return Work(operations=sample, read=shown) * (recipe.batch * recipe.steps)


def _looking() -> nn.Module:
    return features.load("auto")[1]


@cache
def _judge(method: str, patch: int, lite: bool) -> Callable[[], nn.Module]:
    make = discriminator.srgan if method == "srgan" else discriminator.esrgan
    return lambda: make(patch=patch, **({"features": 16} if lite else {}))


def pairs(clips: int, frames: float, drawn: int = 120, around: int = 8, size: tuple[int, int] = FRAME) -> Work:
    """Of the preparation of training pairs: `drawn` frames a clip, each with flow and so many frames around."""
    drawn, pixels = min(drawn, int(frames)), size[0] * size[1]
    kept = 3 * min(frames, drawn * around) + 4 * drawn  # uint8 frames, float16 flow
    return Work(fields=drawn * pixels / FIELD, frames=frames, disk=kept * pixels) * clips


def snippets(clips: int, frames: float, protocol: Protocol, *, with_flow: bool = True) -> Work:
    """Of the preparation of a recogniser's training clips: every frame resized, every field coded."""
    pixels = protocol.size[0] * protocol.size[1]
    fields = frames * with_flow
    return Work(fields=fields * pixels / FIELD, frames=frames, disk=(3 * frames + 2 * fields) * pixels) * clips


def scoring(
    clips: int, frames: float, method: str, backbones: Sequence[tuple[str, str]], protocol: Protocol, lite: bool = False
) -> Work:
    """Of an evaluation; backbones: (name, stream) of each recogniser."""
    kinds = {stream for _, stream in backbones}
    streams = (
        ("spatial", "temporal", "fused")
        if "both" in kinds
        else tuple({"rgb": "spatial", "flow": "temporal"}[kind] for kind in kinds)
    )
    spots, _, fields, _ = plan(max(int(frames), protocol.flow_frames + 1), streams, protocol)
    spatial, temporal = pair(method)
    seen = {temporal: {*fields, *(p + 1 for p in fields)}}
    seen[spatial] = seen.get(spatial, set()) | {*spots}
    lr = FRAME[0] * FRAME[1] / 16
    made = sum(len(numbers) * upscaling(name, lite) * lr for name, numbers in seen.items())
    shown = protocol.snippets * protocol.crops
    made += sum(shown * recognising(name, kind, protocol.crop, protocol.flow_frames) for name, kind in backbones)
    pixels = protocol.size[0] * protocol.size[1]
    return Work(made, len(fields) * pixels / FIELD, frames, disk=1000.0, read=frames * 700) * clips


# Rates, measured --------------------------------------------------------------------------------------------


def measure(device: torch.device, clip: Path | None = None, seconds: float = 50.0) -> Rates:
    """The rates of a device, in about so many seconds: steps of three small trainings, TV-L1, a clip decoded."""
    big = device.type == "cuda"
    batch, patch, side = (16, 128, 224) if big else (1, 48, 96)
    many = sr.METHODS["duf16"].frames
    nets = {  # what trains: (network, shape of its input)
        "vdsr": (_maker("vdsr", False), (batch, 3, patch // 4, patch // 4)),
        "duf16": (_maker("duf16", False), (batch, many, 3, patch // 4, patch // 4)),
        "tsn": (_recogniser("bn_inception", "rgb", 5), (batch, 1, 3, side, side)),
    }
    share = seconds / (len(nets) + 1)
    speeds = [_steps(build(), torch.rand(shape, device=device), share) for build, shape in nets.values()]
    pairs_, workers = (64, 1) if big else (len(os.sched_getaffinity(0)),) * 2
    coarse = torch.rand(1, 3, 33, 44, device=device)  # a texture that TV-L1 has to follow
    frames = nn.functional.interpolate(coarse, (260, 344), mode="bicubic").clamp(0, 1)
    moved = [frames[..., i : i + 256, i : i + 340].expand(pairs_, -1, -1, -1) for i in (0, 2)]
    fields = pairs_ * _times(lambda: flow.tvl1(*moved, workers=workers, **flow.PRESETS["reference"]), device, share)
    decoded = _decoded(clip) if clip else 300.0
    return Rates(
        f"measured on {records.machine()}, {device}",
        (min(speeds), max(speeds)),
        (fields / 1.5, 1.5 * fields),  # still scenes end early, fast ones late
        (decoded / 2, 2 * decoded),
    )


def _steps(net: nn.Module, x: torch.Tensor, seconds: float) -> float:
    """Operations a second of training steps."""
    net = net.to(x.device).train()

    def step() -> None:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=x.device.type == "cuda"):
            loss = net(x).float().square().mean()
        loss.backward()
        net.zero_grad(set_to_none=True)

    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() * _times(step, x.device, seconds)


def _times(what: Callable[[], object], device: torch.device, seconds: float) -> float:
    """How often a second; at least once after the first, which compiles."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    what()
    wait()
    began, count = time.perf_counter(), 0
    while count < 1 or (time.perf_counter() - began < seconds / 4 and count < 50):
        what()
        wait()
        count += 1
    return count / (time.perf_counter() - began)


def _decoded(clip: Path) -> float:
    """Frames a second of a file; 300 where it cannot be read."""
    began = time.perf_counter()
    try:
        count = sum(1 for _ in zip(range(300), video.frames(clip), strict=False))
    except InputError:
        return 300.0
    return max(1.0, count / max(1e-6, time.perf_counter() - began))


# What the clock then shows ----------------------------------------------------------------------------------


def wall(jobs: dict[str, tuple[float, Sequence[str]]], devices: int) -> float:
    """Hours until all jobs, (hours, those it needs) by name, are done on so many devices, the longest road first."""
    road: dict[str, float] = {}
    after = {name: [other for other, (_, needs) in jobs.items() if name in needs] for name in jobs}

    def length(name: str) -> float:
        if name not in road:
            road[name] = jobs[name][0] + max(map(length, after[name]), default=0.0)
        return road[name]

    left, ends, free, now = sorted(jobs, key=length, reverse=True), {}, devices, 0.0
    running: dict[str, float] = {}
    while left or running:
        for name in [name for name in left if ends.keys() >= {n for n in jobs[name][1] if n in jobs}][:free]:
            left.remove(name)
            running[name], free = now + jobs[name][0], free - 1
        first = min(running, key=running.__getitem__)
        now = ends[first] = running.pop(first)
        free += 1
    return now


def scaled(recipe: SRRecipe | RecogniserRecipe, given: dict) -> SRRecipe | RecogniserRecipe:
    """A recipe with those of the settings that it has."""
    return replace(recipe, **{name: value for name, value in given.items() if name in vars(recipe)})


def size(count: float) -> str:
    """Bytes in words.

    >>> size(1.2e12)
    '1.2 TB'
    """
    power = min(4, max(0, int(math.log10(max(count, 1)) // 3)))
    return f"{count / 1000**power:.3g} {['B', 'kB', 'MB', 'GB', 'TB'][power]}"
