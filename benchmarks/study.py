"""What 4x costs a recogniser on real clips: HR, bicubic and super-resolved clips of Weizmann and UT-Interaction.

    python benchmarks/study.py weizmann --data data/weizmann --weights vdsr=data/weights/vdsr_291_epoch50.safetensors
    python benchmarks/study.py ut_interaction --data data/ut_interaction --weights vdsr=... --weights tosr=... --keep

TSN's two streams and ST-ResNet are trained on HR clips with one group of clips left out (Weizmann: an actor;
UT-Interaction: two sequences of each set, so five folds), then every clip is scored by the recognisers that never saw
its group. Prepared clips, weights and scores lie in --out; a run that was stopped goes on, and more methods can follow.
--keep commits the scores of the methods that the command names and what follows from them,
results/study-DATASET.parquet and .json: accuracies, paired tests, and the accuracy that the aspect ratio of the clips
alone allows.

Clips of UT-Interaction were cut out by hand, and their shape tells the class: all are made square, training and test.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import _common
import numpy as np
import pandas

from arsr_core import InputError, claims, evaluate, flow, manifest, results, runs, scores, video
from arsr_core.data import clips, folders
from arsr_core.data.clips import Clip
from arsr_core.recognition import PROTOCOLS, prepared, training
from arsr_core.recognition.training import RECIPES, Recipe

PRESET = "fast"  # of TV-L1, in training and test
NETWORKS = {"tsn": ("tsn-rgb", "tsn-flow"), "st-resnet": ("st-resnet",)}  # recipes of their weights
PAIR = "sosr+tosr"
FOLDS = 5  # of UT-Interaction: sequences 1, 6, 11, 16; 2, 7, 12, 17; ...


@dataclass(frozen=True)
class Study:
    """What is done with one data set."""

    protocol: str
    clips: Callable[[folders.Item], Clip]
    note: str

    def recipe(self, name: str) -> Recipe:
        return replace(RECIPES[name]["small"], protocol=self.protocol)


def as_it_is(item: folders.Item) -> Clip:
    return clips.from_items([item])[0]


def square(item: folders.Item) -> Clip:
    """A UT-Interaction clip made square; its group is its fold."""
    sequence = int(item.group.rpartition("_")[2])  # 1 to 10 are in set1, 11 to 20 in set2
    return clips.square(replace(as_it_is(item), group=f"fold{1 + (sequence - 1) % FOLDS}"))


STUDIES = {
    "weizmann": Study("small", as_it_is, "leave one actor out, 9 folds"),
    "ut_interaction": Study(
        "small-square",
        square,
        "5 folds, each of two sequences of set 1 and two of set 2; clips cut to their central square, 144x144 px, "
        "every second frame",
    ),
}


def train(study: Study, items: Sequence[Clip], out: Path, name: str) -> None:
    """A recipe, and those that it starts from, in every fold -> OUT/RECIPE/GROUP/weights.safetensors."""
    recipe = study.recipe(name)
    before = {start: start.removesuffix("-small") for start in recipe.start if start.endswith("-small")}
    for first in before.values():
        train(study, items, out, first)
    parameters = None if recipe.stream == "rgb" else dict(flow.PRESETS[PRESET])
    store = out / ("clips-flow" if parameters else "clips-rgb")
    prepared.prepare(items, store, prepared.Preparation(PROTOCOLS[study.protocol], parameters), workers=1)
    for group, keep in training.folds([clip.group for clip in items]).items():
        start = [
            out / before[s] / group / "weights.safetensors"
            if s in before
            else manifest.find(_common.ROOT / "weights", s)
            for s in recipe.start
        ]
        training.fit_recogniser(recipe, store, out / name / group, keep=keep, start=start)


def aspect_only(items: Sequence[folders.Item], groups: Sequence[str]) -> tuple[int, int]:
    """Clips whose class the logarithm of their width / height tells, one Gaussian a class, in the same folds, and n."""
    found = [video.probe(item.path) for item in items]
    x = np.log([info.width / info.height * float(info.aspect) for info in found])
    labels, groups = np.array([item.label for item in items]), np.array(groups)
    right = 0
    for i, group in enumerate(groups):
        seen = [x[(groups != group) & (labels == label)] for label in np.unique(labels)]
        fit = [-0.5 * ((x[i] - s.mean()) / (s.std() + 1e-6)) ** 2 - np.log(s.std() + 1e-6) for s in seen]
        right += int(np.argmax(fit)) == labels[i]
    return int(right), len(items)


def compared(frame: pandas.DataFrame, dataset: str, provenance: results.Provenance) -> list[results.Record]:
    """Paired tests on the same clips: what 4x costs, and every contrast that the claims ledger asks for."""
    found = []
    for network, part in frame.groupby("network"):
        cost = [(stream, "bicubic", "hr") for stream in scores.STREAMS]
        for stream, one, other in cost + claims.comparisons(dataset, network):
            rows = [scores.rows_of(part, method, stream) for method in (one, other)]
            if all(side is not None for side in rows):
                key = f"small.benchmark.{dataset}.{network}.{stream}.{one}.to_{other}"
                words = f"{one} minus {other}, {stream} stream of {network} on {dataset}"
                found += scores.compare(*rows).records(key, words, provenance)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", choices=STUDIES)
    parser.add_argument("--data", type=Path, required=True, help="the data set's folder")
    parser.add_argument("--weights", action="append", default=[], metavar="METHOD=FILE", help="of super-resolution")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=tuple(NETWORKS))
    parser.add_argument(
        "--recipes", nargs="+", choices=sum(NETWORKS.values(), ()), help="of these alone: one a process, if you like"
    )
    parser.add_argument("--out", type=Path, default=Path("_build/train/study"))
    parser.add_argument("--keep", action="store_true", help="write scores and records to results/")
    options = parser.parse_args()
    study, out = STUDIES[options.dataset], options.out / options.dataset
    dataset, items = folders.DATASETS[options.dataset], folders.items(options.dataset, options.data)
    seen = [study.clips(item) for item in items]
    weights = _common.weights(options.weights)
    methods = ("hr", "bicubic", *weights)
    pairs = (PAIR,) if set(PAIR.split("+")) <= set(methods) else ()
    recipes = [(network, name) for network in options.networks for name in NETWORKS[network]]
    recipes = [(network, name) for network, name in recipes if name in (options.recipes or [name])]
    if not recipes:
        raise InputError(f"recipes {options.recipes} are not of the networks {list(options.networks)}; name theirs")
    data = f"{dataset.title}, {len(seen)} clips, sha256 {runs.digest(options.data)[:12]}"
    note = f"{study.note}; TV-L1 preset {PRESET}; recipes {', '.join(r for _, r in recipes)}, profile small; "
    note += ", ".join(f"{method}: {Path(file).stem}" for method, file in weights.items())
    source = _common.provenance("Real clips", data, note, keep=options.keep)
    for network, name in recipes:
        train(study, seen, out, name)
        config = evaluate.Evaluation(
            options.dataset,
            out / f"scores-{name}.parquet",
            (str(out / name / "{fold}" / "weights.safetensors"),),
            # TSN's streams do not see each other: a pair of methods follows from the two
            methods + (pairs if network == "st-resnet" else ()),
            weights,
            PROTOCOLS[study.protocol],
            flow=PRESET,
            cache=out / "flow",
            device="cpu",
            workers=1,
        )
        evaluate.evaluate(config, seen, dataset.classes, provenance=source)

    rows, header = scores.rows(*(out / f"scores-{name}.parquet" for _, name in recipes))
    rows = [row for row in rows if row["method"] in {*methods, *pairs}]  # what this command asks for
    used = {method: value for method, value in header.weights.items() if method in weights}
    path = scores.save(out / "scores.parquet", rows, header.model_copy(update={"weights": used, "runs": (source,)}))
    frame, _ = scores.load(path)
    table = scores.table(frame, pairs=pairs)
    print(table[["network", "method", "stream", "accuracy", "low", "high", "count", "n"]].to_string(index=False))
    right, n = aspect_only(items, [clip.group for clip in seen])
    low, high = results.wilson(right, n)
    print(f"aspect ratio alone: {100 * right / n:.1f} % [{low:.1f}, {high:.1f}], {right} of {n}")
    if options.keep:
        alone = results.Record(
            key=f"small.accuracy.{options.dataset}.aspect-only",
            value=100 * right / n,
            unit="%",
            count=right,
            n=n,
            low=low,
            high=high,
            interval="Wilson",
            description=f"overall accuracy on {options.dataset} of a classifier that sees the clips' aspect ratio",
            provenance=source,
        )
        found = [*scores.records(table, source, "small.accuracy"), *compared(frame, options.dataset, source), alone]
        _common.save(found, f"study-{options.dataset}")
        print(f"kept: {scores.merge([path], _common.ROOT / 'results' / f'study-{options.dataset}.parquet')}")


if __name__ == "__main__":
    _common.run(main)
