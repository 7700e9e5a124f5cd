"""One network for both streams (C12): the joint network and its controls against two networks, on embedded test clips.

    python benchmarks/joint.py [--clips 360] [--keep]

Recipe `joint` and its controls, without the warp loss (`joint-control`) and without features (`tosr`), are scored in
both streams by the lite TSN, every seed. SoSR and ToSR's scores of the same clips and seeds come from
results/ablation-embedded.parquet, the other methods' from results/scores/embedded-tsn.parquet, of the networks of real
video alone, scored in the same way. Scores lie in --out; what was interrupted goes on. What a network costs is measured
in seconds of one processor, on one clip: let the machine be idle. --keep commits results/joint-embedded.parquet and
.json, if no training is missing.
"""

import argparse
import time
from pathlib import Path

import _common
import numpy as np
import pandas
import torch
from ablation import PROFILE, STREAMS
from torch import nn

from arsr import manifest, records, scores
from arsr.data import clips
from arsr.names import title
from arsr.studies import ablation, joint
from arsr_core import degrade, sr, video
from arsr_core.errors import InputError

KEY = "embedded.joint.embedded.tsn"
SHAPES = ("vdsr", "rcan", "srgan", "esrgan", "spmc", "duf16", "duf52")  # networks that differ in what they cost


def seconds(network: nn.Module, lr: torch.Tensor, repeats: int = 3) -> float:
    """Processor seconds that a network takes for a frame of a clip, lr (1, T, 3, h, w): the median of the repeats."""
    torch.set_num_threads(1)
    spent = []
    for _ in range(repeats + 1):  # the first warms up
        start = time.process_time()
        sr.upscale(network, lr, precision="float32", progress=False)
        spent.append(time.process_time() - start)
    return float(np.median(spent[1:])) / lr.shape[1]


def costs(clip: clips.Clip, source: records.Provenance) -> list[records.Record]:
    """Of each shape of network, for a frame of the clip."""
    lr = degrade.to_lr(degrade.modcrop(video.to_tensor(clip.read()[:16]), 4), 4, eight_bit=True)
    files = {name: manifest.find(_common.ROOT / "weights", f"{name}-video") for name in SHAPES}
    spent = {name: {"seconds": seconds(sr.load(name, file), lr)} for name, file in files.items()}
    words = {"seconds": ("processor seconds for a frame of 160x120, float32", "s")}
    return _common.as_records(spent, "embedded.joint.embedded.cost", words, title, source)


def with_others(own: pandas.DataFrame, header: scores.Header) -> pandas.DataFrame:
    """Rows of the joint network and its controls, then those of the other methods on the same clips."""
    weights, results, found = _common.ROOT / "weights", _common.ROOT / "results", [own]
    for name in ("ablation-embedded.parquet", "scores/embedded-tsn.parquet"):
        found.append(joint.beside(header, *scores.load(results / name), weights, PROFILE))
    frame = pandas.concat(found)
    # tosr's own rows come first
    return frame[frame["clip"].isin(own["clip"])].drop_duplicates(["clip", "method", "stream"])


def again(own: pandas.DataFrame, source: records.Provenance) -> list[records.Record]:
    """What follows from the committed scores."""
    _, header = scores.load(_common.ROOT / "results" / "joint-embedded.parquet")
    return joint.recorded(with_others(own, header), KEY, source)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=_common.count, default=360)
    parser.add_argument("--out", type=Path, default=_common.ROOT / "_build" / "joint")
    parser.add_argument("--keep", action="store_true", help="write results/joint-embedded.*")
    given = parser.parse_args()
    source = _common.provenance("One network for both streams", "embedded test clips (synthetic)", keep=given.keep)
    weights, frames, files = _common.ROOT / "weights", [], {}
    tests = clips.embedded(given.clips, "test")
    for stream, recogniser in STREAMS.items():
        files |= (mine := ablation.networks(weights, stream, joint.SEEDS, joint.NETWORKS, PROFILE))
        config = ablation.lite(manifest.find(weights, recogniser), given.out)
        frames.append(ablation.score(mine, stream, config, tests, references=()))
    own = pandas.concat(frames)
    # of one seed, for all have one method; both streams' recognisers are in it
    one = [given.out / f"{stream}-tosr.parquet" for stream in STREAMS]
    _, header = scores.load(*one)
    frame = with_others(own, header)
    needed = (*joint.NETWORKS, "sosr+tosr")
    lacking = [m for m in needed if len(joint.trainings(frame, m, "fused")) < len(joint.SEEDS)]
    if given.keep and lacking:
        raise InputError(f"{', '.join(lacking)}: not all trainings are scored; run benchmarks/ablation.py --keep first")
    found = joint.recorded(frame, KEY, source) + costs(tests[0], source)
    _common.show(found)
    if given.keep:
        _common.save(found, "joint-embedded")
        _common.save_scores(own, "joint-embedded", one, files, source)


if __name__ == "__main__":
    _common.run(main)
