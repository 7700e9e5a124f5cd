"""Looks against recognition: the path from a network trained for fidelity to what training for looks makes of it.

On the path lie the networks whose weights are (1 - alpha) times those of the start and alpha times those of the end
(`sr.interpolate`). alpha 0 has the higher PSNR, alpha 1 the more pleasing frames (Blau and Michaeli, CVPR 2018).

>>> files = path("srgan", "weights", "_build/frontier")
>>> sorted(files)
[0.0, 0.25, 0.5, 0.75, 1.0]
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas
import torch
import torch.nn.functional as F
from torch import nn

from arsr import manifest, names, scores
from arsr.records import Provenance, Record, mean
from arsr.studies.ablation import Reference
from arsr.training.recipes import SUFFIXES
from arsr.training.tasks import save_sr
from arsr_core import degrade, flow, metrics, recognition, sr

PATHS = {"srgan": "srresnet", "esrgan": "rrdb"}  # an end, and the start that it was trained on from
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
MEASURES = {  # name: (title, unit)
    "psnr": ("PSNR", "dB"),
    "ssim": ("SSIM", ""),
    "distance": ("SqueezeNet feature distance", ""),
    "tof": ("tOF", "px"),
    "flicker": ("flicker in grey levels", ""),
    "epe": ("EPE of the flow", "px"),
}


def path(end: str, weights: str | Path, out: str | Path, profile: str = "video") -> dict[float, Path]:
    """Files of the networks on the path to a method: alpha -> file. Ends are those in `weights`, the rest is made."""
    start, goal = (manifest.find(weights, f"{name}{SUFFIXES[profile]}") for name in (PATHS[end], end))
    a, b = (sr.load(end, file) for file in (start, goal))
    between = {x: Path(out) / f"{end}-{x:g}.safetensors" for x in ALPHAS[1:-1]}
    made = {x: save_sr(sr.interpolate(a, b, x), file) for x, file in between.items()}
    return {ALPHAS[0]: start, **made, ALPHAS[-1]: goal}


def files(weights: str | Path, out: str | Path, profile: str = "video") -> dict[str, Path]:
    """The networks of both paths by name, srgan-0.25: -> file."""
    paths = {end: path(end, weights, out, profile) for end in PATHS}
    return {f"{end}-{alpha:g}": file for end, its in paths.items() for alpha, file in its.items()}


def end_of(name: str) -> str:
    """The method of a network on a path: srgan of srgan-0.25."""
    return name.partition("-")[0]


class FeatureDistance(nn.Module):
    """How far two videos are apart in the eyes of SqueezeNet 1.1, on which no network here was trained.

    Features of nine parts are scaled to length 1 at each pixel, and the mean squared difference is summed over the
    parts: LPIPS (Zhang et al., CVPR 2018) without its learned weights, so not LPIPS. file: ImageNet weights.
    """

    def __init__(self, file: str | Path):
        super().__init__()
        self.net = recognition.TSN(1, "rgb", "squeezenet1_1", 0.0, imagenet=file).eval().requires_grad_(False)

    @torch.inference_mode()
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """(N, T, 3, H, W) in [0, 1], twice -> a scalar, the mean over frames."""
        x, y, apart = self.net.normalise(x), self.net.normalise(y), x.new_zeros(())
        for part in self.net.backbone.features:
            x, y = part(x), part(y)
            if isinstance(part, nn.ReLU) or len([*part.children()]) > 1:  # the first layer's, and each fire module
                apart += (F.normalize(x) - F.normalize(y)).square().sum(1).mean()
        return apart


def measure(
    network: nn.Module, clips: Sequence[Reference], distance: Callable, preset: str = "fast"
) -> dict[str, np.ndarray]:
    """MEASURES of each clip as 8-bit SR video: (clips,) each. distance: of two videos, as `FeatureDistance`."""
    found = []
    for hr, lr, motion, _ in clips:
        made = degrade.quantise(sr.upscale(network, lr, precision="float32", progress=False))
        its = flow.estimate(made, "tvl1", **flow.PRESETS[preset])
        values = metrics.psnr(made, hr), metrics.ssim(made, hr), distance(made, hr), metrics.tof(made, hr)
        values += 255 * metrics.flicker(made, motion), metrics.epe(its, motion)
        found.append(dict(zip(MEASURES, map(float, values), strict=True)))
    return {name: np.array([of[name] for of in found]) for name in MEASURES}


def records(values: Mapping[str, Mapping[str, np.ndarray]], key: str, provenance: Provenance) -> list[Record]:
    """Means over clips of what `measure` gave for each name: KEY.NAME.MEASURE."""
    found = []
    for name, of in values.items():
        for m, (title, unit) in MEASURES.items():
            known = of[m][np.isfinite(of[m])]  # a clip whose camera moves has no still pixels
            text = f"{title}, {names.title(name)}, mean over clips"
            found += [mean(f"{key}.{name}.{m}", known, unit, text, provenance)] if len(known) else []
    return found


def trends(frame: pandas.DataFrame, key: str, provenance: Provenance, *, groups: str | None = None) -> list[Record]:
    """KEY.STREAM.NAME, accuracies along the paths; KEY.STREAM.END.slope.*, of accuracy and log-probability.

    frame: scores of one recogniser. groups: as `scores.accuracy` has it.
    """
    found = []
    for stream, part in frame.groupby("stream", observed=True):
        rows = {name: scores.select(part, method=name) for name in part["method"].unique()}
        for name, of in rows.items():
            text = f"accuracy of the {stream} stream, {name}"
            found.append(scores.accuracy(of, groups=groups).record(f"{key}.{stream}.{name}", text, provenance))
        for end, start in PATHS.items():
            its = {float(name.partition("-")[2]): of for name, of in rows.items() if end_of(name) == end}
            words = f"{stream} stream, from {names.title(start)} (0) to {names.title(end)} (1)"
            found += scores.trend(its, f"{key}.{stream}.{end}.slope", words, provenance) if len(its) > 1 else []
    return found
