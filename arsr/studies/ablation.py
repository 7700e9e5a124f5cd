"""Tables 2 and 3 with the controls that they lack: networks that differ in one term, scored on the same clips.

A row is a recipe of `arsr train`; `vdsr-mse-seed1` is the same row, trained with another seed. ablation.yaml has the
rows and the contrasts between them.

>>> files = networks("weights", "spatial")
>>> config = lite("weights/tsn-rgb-lite.safetensors", "scores")
>>> frame = score(files, "spatial", config, clips.embedded(36, "test"))
>>> found = records(frame, "ablation.spatial", provenance)
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files as resources
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas
import torch
import yaml
from torch import nn

from arsr import manifest, names, paper, scores
from arsr.data.clips import Clip
from arsr.embedded.actions import ACTIONS
from arsr.evaluate import Evaluation, evaluate
from arsr.records import Provenance, Record, mean
from arsr.training.recipes import RECIPES, SUFFIXES
from arsr_core import degrade, flow, metrics, sr, video
from arsr_core.errors import InputError
from arsr_core.recognition import PROTOCOLS

SEEDS = (0, 1, 2, 3, 4)
MEASURES = {  # name: (title, unit)
    "psnr": ("PSNR", "dB"),
    "epe": ("EPE", "px"),
    "phantom": ("phantom flow", "px"),
    "tof": ("tOF", "px"),
    "ewarp": ("E_warp \N{MULTIPLICATION SIGN} 1000", ""),
}


class Row(NamedTuple):
    """A row of a table: its title, and the record of the paper's row where it has one."""

    title: str
    paper: str | None = None


class Contrast(NamedTuple):
    """Row a less row b, which differ in one thing; seeds: both are trained with several."""

    a: str
    b: str
    what: str
    seeds: bool = False

    def pairs(self, known: Collection[str]) -> list[tuple[str, str]]:
        """Both rows of each seed that both are trained with, where they are known."""
        pairs = [(named(self.a, seed), named(self.b, seed)) for seed in (SEEDS if self.seeds else (0,))]
        return [(a, b) for a, b in pairs if a in known and b in known]


_TABLES = yaml.safe_load(resources("arsr.studies").joinpath("ablation.yaml").read_text(encoding="utf-8"))
ROWS = {stream: {name: Row(**row) for name, row in table["rows"].items()} for stream, table in _TABLES.items()}
CONTRASTS = {stream: tuple(Contrast(**c) for c in table["contrasts"]) for stream, table in _TABLES.items()}


def key_rows(stream: str) -> list[str]:
    """The rows of the contrasts that several seeds were trained for: the loss, and all else equal.

    >>> key_rows("temporal")
    ['vdsr-warp-control', 'vdsr-warp', 'tosr-control', 'tosr']
    """
    sides = {side for c in CONTRASTS[stream] if c.seeds for side in (c.a, c.b)}
    return [row for row in ROWS[stream] if row in sides]


def networks(
    folder: str | Path,
    stream: str,
    seeds: Sequence[int] = (0,),
    rows: Sequence[str] | None = None,
    profile: str = "video",
) -> dict[str, Path]:
    """The rows of a table, or those named, whose networks of a profile are shipped, in its order: name -> file."""
    known = ROWS[stream] if rows is None else rows
    files = {named(row, seed): named(f"{row}{SUFFIXES[profile]}", seed) for row in known for seed in seeds}
    shipped = manifest.load(folder)
    return {name: manifest.find(folder, file) for name, file in files.items() if file in shipped}


def require_pairs(known: Collection[str], stream: str) -> None:
    """Raises InputError for a training that one side of a contrast of several trainings has and the other lacks."""
    for c in (c for c in CONTRASTS[stream] if c.seeds):
        for seed in SEEDS:
            a, b = named(c.a, seed), named(c.b, seed)
            if (a in known) != (b in known):
                there, lacking = (a, b) if a in known else (b, a)
                raise InputError(f"{there} is there, but not {lacking}, the other side; train that, or remove the one")


def method(name: str) -> str:
    """The network of a row, as sr.METHODS names it."""
    return RECIPES[name.partition("-seed")[0]]["paper"].method


# Scored by a recogniser -------------------------------------------------------------------------------------


def lite(recogniser: str | Path, out: str | Path) -> Evaluation:
    """How embedded clips are scored: the lite protocol, fast TV-L1, SR in float32; out: a folder of scores."""
    options = dict(protocol=PROTOCOLS["lite"], flow="fast", precision="float32", present_only=True, workers=1)
    return Evaluation("embedded", out, (str(recogniser),), **options)


def score(
    files: dict[str, Path],
    stream: str,
    config: Evaluation,
    clips: Sequence[Clip],
    classes: Sequence[str] = tuple(ACTIONS),
    *,
    references: Sequence[str] = ("hr", "bicubic"),
    of: Callable[[str], str] = method,
    progress: bool | None = None,
) -> pandas.DataFrame:
    """Scores of one stream, of each network and of `references`, as config says; `method` is the row's name.

    config.out is a folder: each network has a file of scores there, so what was interrupted goes on. of: the network of
    a name, as sr.METHODS has it. The clips are made or read once and kept.
    """
    clips = [replace(clip, read=cache(clip.read), count=cache(clip.count)) for clip in clips]
    jobs = {name: ((of(name),), {of(name): file}) for name, file in files.items()}
    jobs |= {"references": (tuple(references), {})} if references else {}
    frames = []
    for name, (methods, weights) in jobs.items():
        path = Path(config.out) / f"{stream}-{name}.parquet"
        evaluate(replace(config, out=path, methods=methods, weights=weights), clips, classes, progress=progress)
        frame, _ = scores.load(path)
        # an earlier run may have seen more clips, and a recogniser of two streams gives both
        frame = frame[frame["clip"].isin([clip.name for clip in clips]) & (frame["stream"] == stream)]
        frames.append(frame.assign(method=name) if weights else frame)
    return pandas.concat(frames, ignore_index=True)


def records(frame: pandas.DataFrame, key: str, provenance: Provenance, *, groups: str | None = None) -> list[Record]:
    """The accuracy of each method in rows of one stream, KEY.NAME, and each contrast whose rows are there.

    KEY.A.to_B.{accuracy, log-probability}: over clips, and trainings as `scores.compare` has it; of several seeds
    also KEY.A.to_B.seeds.SEED.{...}, of each seed alone. groups: as `scores.accuracy` has it.
    """
    (stream,) = frame["stream"].unique()
    titles = {name: row.title for name, row in ROWS[stream].items()}
    rows, found = {name: scores.select(frame, method=name) for name in frame["method"].unique()}, []
    for name, of in rows.items():
        row, _, seed = name.partition("-seed")
        text = f"accuracy of the {stream} stream, {titles.get(row, row)}" + (f", seed {seed}" if seed else "")
        found.append(scores.accuracy(of, groups=groups).record(f"{key}.{name}", text, provenance))
    for c in CONTRASTS[stream]:
        pairs = {a.partition("-seed")[2] or "0": (rows[a], rows[b]) for a, b in c.pairs(rows)}
        if not pairs:
            continue
        where, text = f"{key}.{c.a}.to_{c.b}", f"{c.what}: {titles[c.a]} less {titles[c.b]}"
        found += scores.compare(*zip(*pairs.values(), strict=True), where, text, provenance)
        for seed, both in pairs.items() if len(pairs) > 1 else ():
            found += scores.compare(*both, f"{where}.seeds.{seed}", f"{text}, seed {seed}", provenance)
    return found


def on_real_clips(stream: str, records: Mapping[str, Record]) -> dict[str, str]:
    """The contrasts of a stream that are measured on real clips: title, with data set and recogniser -> key.

    All sets together come first.
    """
    return {
        f"{c.what}; {names.title(dataset)}, {names.title(network)}": key
        for c in CONTRASTS[stream]
        for dataset, network in product((*names.POOLS, *names.DATASETS), (*names.NETWORKS, *names.BACKBONES))
        if f"{(key := f'small.ablation.{dataset}.{network}.{stream}.{c.a}.to_{c.b}')}.accuracy" in records
    }


def apart(frame: pandas.DataFrame, other: pandas.DataFrame) -> float:
    """The largest difference of a class score in the rows (method, stream, clip) that both frames have."""
    both = frame.merge(other, on=["method", "stream", "clip"])
    if both.empty:
        raise InputError("the two frames of scores have no row in common; expected the same methods and clips")
    return max(float(abs(a - b).max()) for a, b in zip(both.scores_x, both.scores_y, strict=True))


def printed(c: Contrast, stream: str) -> tuple[int, float] | None:
    """The paper's contrast: correct clips more, and the p of Fisher's exact test, which takes the clips as unpaired."""
    from scipy.stats import fisher_exact

    a, b = (paper.records().get(ROWS[stream][row].paper) for row in (c.a, c.b))
    if not (a and b):
        return None
    return a.count - b.count, float(fisher_exact([[r.count, r.n - r.count] for r in (a, b)]).pvalue)


# How close, and how steady ----------------------------------------------------------------------------------


class Reference(NamedTuple):
    """A clip in HR and LR, and what moves in HR."""

    hr: torch.Tensor  # (1, T, 3, H, W)
    lr: torch.Tensor
    flow: torch.Tensor  # TV-L1's, (1, T - 1, 2, H, W)
    mask: torch.Tensor  # where it can be trusted, (1, T - 1, 1, H, W)


def reference(frames: np.ndarray, preset: str = "fast") -> Reference:
    """uint8 (T, H, W, 3) -> the clip with its LR version and flow."""
    hr = degrade.modcrop(video.to_tensor(frames), 4)
    forward, backward = _motion(hr, preset), _motion(hr.flip(1), preset).flip(1)
    return Reference(hr, degrade.to_lr(hr, 4, eight_bit=True), forward, flow.reliable(forward[0], backward[0])[None])


def measure(network: nn.Module | None, clips: Sequence[Reference], preset: str = "fast") -> dict[str, np.ndarray]:
    """PSNR, EPE, phantom flow, tOF and E_warp x 1000 of each clip as 8-bit SR video; no network: of HR itself."""
    found = []
    for hr, lr, motion, mask in clips:
        # bfloat16 costs no PSNR, but its rounding differs from frame to frame and makes flow
        made = degrade.quantise(sr.upscale(network, lr, precision="float32", progress=False)) if network else hr
        its = _motion(made, preset) if network else motion
        values = {
            "psnr": metrics.psnr(made, hr) if network else torch.nan,
            "epe": metrics.epe(its, motion),
            "phantom": metrics.phantom_flow(its, motion),
            "tof": metrics.tof(made, hr),
            "ewarp": 1000 * metrics.warping_error(made, motion, mask),
        }
        found.append(values)
    return {name: np.array([float(values[name]) for values in found]) for name in MEASURES}


def compare(values: dict[str, dict[str, np.ndarray]], key: str, provenance: Provenance) -> list[Record]:
    """Means of what `measure` gave for each name, KEY.NAME.MEASURE, and contrasts clip by clip, KEY.A.to_B.MEASURE."""
    rows = [(name, name, of) for name, of in values.items()]  # key, words, clips' values of each measure
    for c in sum(CONTRASTS.values(), ()):
        if pairs := c.pairs(values):
            gains = {m: np.stack([values[a][m] - values[b][m] for a, b in pairs]).mean(0) for m in MEASURES}
            seeds = f"{len(pairs)} seeds" if len(pairs) > 1 else "1 seed"
            rows.append((f"{c.a}.to_{c.b}", f"{c.what}, {seeds}", gains))
    found = []
    for name, words, of in rows:
        for m, (title, unit) in MEASURES.items():
            known = of[m][np.isfinite(of[m])]  # a clip whose camera moves has no phantom flow
            if len(known):
                found.append(mean(f"{key}.{name}.{m}", known, unit, f"{title}, {words}, mean over clips", provenance))
    return found


def _motion(clip: torch.Tensor, preset: str) -> torch.Tensor:
    return flow.estimate(clip, "tvl1", **flow.PRESETS[preset])


def named(row: str, seed: int) -> str:
    """A row, trained from a seed."""
    return f"{row}-seed{seed}" if seed else row
