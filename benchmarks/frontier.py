"""Looks against recognition (C13): five networks on the path to SRGAN and to ESRGAN, on embedded test clips.

    python benchmarks/frontier.py --imagenet squeezenet_weights.pkl [--clips 360] [--steady 72] [--keep]

Every network of the two paths is scored in both streams by the lite TSN, and of --steady clips of eight frames PSNR,
SSIM, a distance of SqueezeNet's features (--imagenet: its weights), tOF, flicker and EPE are measured, of Table 4's
other methods, too. Scores lie in --out; what was interrupted goes on. --keep commits the scores and what follows:
results/frontier-embedded.parquet and .json.
"""

import argparse
from pathlib import Path

import _common
import pandas
from ablation import STREAMS

from arsr import manifest
from arsr.data import clips
from arsr.embedded import generated
from arsr.evaluation import TABLE4
from arsr.studies import ablation, frontier
from arsr_core import sr

PROFILE = "video"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--imagenet", required=True, help="file of SqueezeNet's ImageNet weights")
    parser.add_argument("--clips", type=_common.count, default=360)
    parser.add_argument("--steady", type=_common.count, default=72, help="clips")
    parser.add_argument("--out", type=Path, default=_common.ROOT / "_build" / "frontier")
    parser.add_argument("--keep", action="store_true", help="write results/frontier-embedded.*")
    given = parser.parse_args()
    source = _common.provenance("Looks against recognition", "embedded test clips (synthetic)", keep=given.keep)
    weights, distance = _common.ROOT / "weights", frontier.FeatureDistance(given.imagenet)
    made, tests = frontier.files(weights, given.out, PROFILE), clips.embedded(given.clips, "test")
    frames = []
    for stream, recogniser in STREAMS.items():
        config = ablation.lite(manifest.find(weights, recogniser), given.out)
        frames.append(ablation.score(made, stream, config, tests, references=(), of=frontier.end_of))
    found = frontier.trends(frame := pandas.concat(frames), "embedded.frontier.embedded.tsn", source)
    steady = [ablation.reference(clip.read(range(8, 16))) for clip in generated.clips(given.steady, split="test")]
    others = {name: f"{name}-{PROFILE}" for name in TABLE4 if name not in frontier.PATHS}
    shipped = manifest.load(weights)
    networks = {name: sr.load(name, manifest.find(weights, file)) for name, file in others.items() if file in shipped}
    networks["bicubic"] = sr.load("bicubic")
    networks |= {name: sr.load(frontier.end_of(name), file) for name, file in made.items()}
    values = {name: frontier.measure(network, steady, distance) for name, network in networks.items()}
    found += frontier.records(values, "embedded.frontier.embedded", source)
    _common.show(found)
    if given.keep:
        # of one network, for those of a path have one method; both streams' recognisers are in it
        one = [given.out / f"{stream}-{next(iter(made))}.parquet" for stream in STREAMS]
        _common.save(found, "frontier-embedded")
        _common.save_scores(frame, "frontier-embedded", one, made, source)


if __name__ == "__main__":
    _common.run(main)
