"""Is a contrast a test at all? What its arms differ in has to show in their frames, more than the luck of training.

    apart       how far the arms are apart, over how far two trainings of one arm are: above 1, or it is no test
    still       what the term costs or gains where nothing moves, and where things move fast
    neighbours  what a network of several frames gains by the true ones, over copies of the middle one

>>> of = {name: frames(network, clips) for name, network in networks.items()}
>>> records("sosr", "esrgan", of, clips, provenance)
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from torch import nn

from arsr.paired import TRAININGS
from arsr.records import Provenance, Record, mean
from arsr.studies.ablation import Reference
from arsr_core import degrade, metrics, sr

SPEEDS = {"still": (0, 0.1, "less than 0.1 px a frame"), "fast": (2, np.inf, "2 px a frame and more")}
FEW = 100  # pixels of a clip that make no PSNR


class Frozen(nn.Module):
    """A network of several frames that is shown copies of the middle one: (N, frames, 3, h, w) -> (N, 3, H, W)."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.scale, self.frames = network.scale, network.frames
        self.margin, self.footprint = network.margin, network.footprint

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        middle = self.frames // 2
        return self.network(x[:, middle : middle + 1].expand_as(x))


def frames(network: nn.Module, clips: Sequence[Reference]) -> list[torch.Tensor]:
    """What a network makes of each clip, as 8-bit video: uint8 (T, 3, H, W)."""
    return [(255 * _made(network, clip)[0] + 0.5).to(torch.uint8) for clip in clips]


def _made(network: nn.Module, clip: Reference) -> torch.Tensor:
    """Of 8-bit levels, (1, T, 3, H, W); in bfloat16, which some processors have, rounding would set networks apart."""
    return degrade.quantise(sr.upscale(network, clip.lr, precision="float32", progress=False))


def distance(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> np.ndarray:
    """Mean absolute difference of each clip in grey levels, 0 to 255: (clips,)."""
    pairs = zip(a, b, strict=True)
    return np.array([float((one.short() - other.short()).abs().float().mean()) for one, other in pairs])


def apart(a: Sequence[list], b: Sequence[list]) -> tuple[np.ndarray, np.ndarray]:
    """Frames of the trainings of two arms -> how far the arms are apart, and two trainings of one arm: (clips,) each.

    Trainings that go together are compared; a single one of an arm, its start, with each of the other's. An arm of
    fewer than three has shown little of its luck: then that is the most that two trainings were apart.
    """
    arms = np.mean([distance(a[i % len(a)], b[i % len(b)]) for i in range(max(len(a), len(b)))], 0)
    luck = [distance(*pair) for arm in (a, b) for pair in combinations(arm, 2)]
    few = min(len(a), len(b)) < TRAININGS
    return arms, max(luck, key=np.mean) if few else np.mean(luck, 0)


def psnr_where(made: Sequence[torch.Tensor], clips: Sequence[Reference], low: float, high: float) -> np.ndarray:
    """PSNR in dB of the luma of pixels whose speed lies in [low, high), nan for a clip with few of them: (clips,)."""
    found = []
    for x, clip in zip(made, clips, strict=True):
        speed = clip.flow[0].norm(dim=1, keepdim=True)  # (T - 1, 1, H, W)
        luma, true = (metrics.rgb_to_y(y)[:-1] for y in (x.float() / 255, clip.hr[0]))
        squared = (luma - true).square()[(low <= speed) & (speed < high)].double()
        found.append(-10 * np.log10(float(squared.mean())) if len(squared) >= FEW else np.nan)
    return np.array(found)


def records(a: str, b: str, of: Mapping[str, list], clips: Sequence[Reference], provenance: Provenance) -> list[Record]:
    """The check of the contrast a less b, of names as `vdsr-mse` and `vdsr-mse-seed1` with their `frames`.

    check.A.to_B.apart, arms over luck; .arms and .luck in grey levels; .still and .fast, the difference of PSNR in dB.
    Without three trainings of one of the arms there is no check.
    """
    arms = [[frames for name, frames in of.items() if name.partition("-seed")[0] == arm] for arm in (a, b)]
    if max(map(len, arms)) < TRAININGS:
        return []
    between, luck = apart(*arms)
    key, both = f"check.{a}.to_{b}", f"{a} and {b}, {len(arms[0])} and {len(arms[1])} trainings"
    measured = {
        "apart": (between / luck, "", f"distance of {both}, over that of two trainings of one of them"),
        "arms": (between, "", f"mean distance in grey levels of {both}"),
        "luck": (luck, "", f"mean distance in grey levels of two trainings of {a} or of {b}"),
    }
    for name, (low, high, words) in SPEEDS.items():
        ours, theirs = (np.mean([psnr_where(made, clips, low, high) for made in arm], 0) for arm in arms)
        measured[name] = (ours - theirs, "dB", f"PSNR of pixels that move {words}, {a} less {b}")
    found = []
    for name, (values, unit, text) in measured.items():
        if np.isfinite(values).any():
            found.append(
                mean(f"{key}.{name}", values[np.isfinite(values)], unit, f"{text}, mean over clips", provenance)
            )
    return found


def neighbours(name: str, network: nn.Module, clips: Sequence[Reference], provenance: Provenance) -> list[Record]:
    """check.NAME.neighbours: PSNR of a network with its true neighbours less that with copies of the middle frame."""
    gain = []
    for clip in clips:
        true, copied = (float(metrics.psnr(_made(n, clip), clip.hr)) for n in (network, Frozen(network)))
        gain.append(true - copied)
    text = f"PSNR of {name} with its neighbouring frames less that with copies of the middle one"
    return [mean(f"check.{name}.neighbours", gain, "dB", text, provenance)]
