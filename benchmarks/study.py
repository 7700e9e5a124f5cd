"""What 4x costs a recogniser on real clips: HR, bicubic and super-resolved clips of Weizmann and UT-Interaction.

    python benchmarks/study.py weizmann --data data/weizmann --weights vdsr=data/weights/vdsr_291_epoch50.safetensors
    python benchmarks/study.py ut_interaction --data data/ut_interaction --weights vdsr=... --weights tosr=... --keep

TSN's two streams and ST-ResNet are trained on HR clips with one group of clips left out (Weizmann: an actor;
UT-Interaction: two sequences of each set, so five folds), then every clip is scored by the recognisers that never saw
its group. Prepared clips, weights and scores lie in --out; a run that was stopped goes on, and more methods can follow.
--keep commits the scores of the methods that the command names and what follows from them,
results/study-DATASET.parquet and .json: accuracies, paired tests, and the accuracy that the aspect ratio of the clips
alone allows.

    python benchmarks/study.py weizmann --data data/weizmann --ablation --keep

--ablation scores, by the same recognisers, the lite networks of the key contrasts of Tables 2 and 3 in place of the
methods of Table 4: results/ablation-DATASET.parquet and .json.

Clips of UT-Interaction were cut out by hand, and their shape tells the class: all are made square, training and test.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import _common
import numpy as np
import pandas

from arsr import claims, evaluate, manifest, records, scores
from arsr.data import clips, folders
from arsr.data import snippets as prepared
from arsr.data.clips import Clip
from arsr.names import SCORES, pair
from arsr.studies import ablation
from arsr.training import runs, tasks
from arsr.training.recipes import RECIPES
from arsr_core import flow, video
from arsr_core.errors import InputError
from arsr_core.files import sha256
from arsr_core.recognition import PROTOCOLS

PRESET = "fast"  # of TV-L1, in training and test
STREAMS = {"rgb": ["spatial"], "flow": ["temporal"], "both": ["spatial", "temporal"]}  # that a recipe's network scores
NETWORKS = {"tsn": ("tsn-rgb", "tsn-flow"), "st-resnet": ("st-resnet",)}  # recipes of their weights
PAIR = "sosr+tosr"
FOLDS = 5  # of UT-Interaction: sequences 1, 6, 11, 16; 2, 7, 12, 17; ...


@dataclass(frozen=True)
class Study:
    """What is done with one data set."""

    protocol: str
    clips: Callable[[Clip], Clip]
    note: str

    def recipe(self, name: str) -> tasks.RecogniserRecipe:
        return replace(RECIPES[name]["small"], protocol=self.protocol)


def as_it_is(item: Clip) -> Clip:
    return item


def square(item: Clip) -> Clip:
    """A UT-Interaction clip made square; its group is its fold."""
    sequence = int(item.group.rpartition("_")[2])  # 1 to 10 are in set1, 11 to 20 in set2
    return clips.square(replace(item, group=f"fold{1 + (sequence - 1) % FOLDS}"))


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
    prepared.store_clips(items, store, prepared.Preparation(PROTOCOLS[study.protocol], parameters), workers=1)
    for group in sorted({clip.group for clip in items}):
        start = [
            out / before[s] / group / "weights.safetensors"
            if s in before
            else manifest.find(_common.ROOT / "weights", s)
            for s in recipe.start
        ]
        tasks.train(recipe, store, out / name / group, without=group, start=start)


def aspect_only(dataset: str, items: Sequence[Clip], groups: Sequence[str], source: records.Provenance):
    """The accuracy that the logarithm of width / height alone allows, one Gaussian a class, in the same folds."""
    found = [video.probe(item.path) for item in items]
    x = np.log([info.width / info.height * float(info.aspect) for info in found])
    labels, groups = np.array([item.label for item in items]), np.array(groups)
    right = 0
    for i, group in enumerate(groups):
        seen = [x[(groups != group) & (labels == label)] for label in np.unique(labels)]
        fit = [-0.5 * ((x[i] - s.mean()) / (s.std() + 1e-6)) ** 2 - np.log(s.std() + 1e-6) for s in seen]
        right += int(np.argmax(fit)) == labels[i]
    low, high = records.wilson(int(right), len(items))
    return records.Record(
        key=f"small.accuracy.{dataset}.aspect-only",
        value=100 * right / len(items),
        unit="%",
        count=int(right),
        n=len(items),
        low=low,
        high=high,
        interval="Wilson",
        description=f"overall accuracy on {dataset} of a classifier that sees the clips' aspect ratio",
        provenance=source,
    )


def compared(frame: pandas.DataFrame, dataset: str, provenance: records.Provenance) -> list[records.Record]:
    """Paired tests on the same clips: what 4x costs, and every contrast that the claims ledger asks for."""
    found = []
    for network, part in frame.groupby("network"):
        cost = [(stream, "bicubic", "hr") for stream in SCORES]
        for stream, one, other in cost + claims.comparisons(dataset, network):
            rows = [scores.rows_of(part, method, stream) for method in (one, other)]
            if all(side is not None for side in rows):
                key = f"small.benchmark.{dataset}.{network}.{stream}.{one}.to_{other}"
                words = f"{one} minus {other}, {stream} stream of {network} on {dataset}"
                found += scores.compare(*rows, key, words, provenance)
    return found


def table4(config: evaluate.Evaluation, names: Sequence[str], seen: Sequence[Clip], source: records.Provenance):
    """Every method of the command, by the recognisers of the recipes `names` -> (scores, their header, records)."""
    classes, out = folders.DATASETS[config.dataset].classes, config.out
    pairs = (PAIR,) if set(pair(PAIR)) <= set(config.methods) else ()
    for name in names:
        # TSN's streams do not see each other: a pair of methods follows from the two
        methods = config.methods + (pairs if name == "st-resnet" else ())
        mine = replace(config, out=out / f"scores-{name}.parquet", recognisers=recognisers(out, name), methods=methods)
        evaluate.evaluate(mine, seen, classes, provenance=source)
    frame, header = scores.load(*(out / f"scores-{name}.parquet" for name in names))
    frame = frame[frame["method"].isin([*config.methods, *pairs])]  # what this command asks for
    header = header.model_copy(update={"weights": {m: h for m, h in header.weights.items() if m in config.weights}})
    frame, _ = scores.load(scores.save(out / "scores.parquet", frame, header))
    table = scores.table(frame, pairs=pairs)
    print(table[["network", "method", "stream", "accuracy", "low", "high", "count", "n"]].to_string(index=False))
    return frame, header, scores.records(table, source, "small.accuracy") + compared(frame, config.dataset, source)


def key_contrasts(config: evaluate.Evaluation, names: Sequence[str], seen: Sequence[Clip], source: records.Provenance):
    """Networks that differ in one term, by the recognisers of the recipes -> (scores, their header, records)."""
    frames, found, used, references = [], [], {}, []
    for name in names:
        mine = replace(config, out=config.out / "ablation" / name, recognisers=recognisers(config.out, name))
        for stream in STREAMS[RECIPES[name]["small"].stream]:
            files = ablation.networks(_common.ROOT / "weights", stream, rows=ablation.key_rows(stream))
            used |= {row: sha256(file) for row, file in files.items()}
            frame = ablation.score(files, stream, mine, seen, folders.DATASETS[config.dataset].classes)
            for network, rows in frame.groupby("network"):
                found += ablation.records(rows, f"small.ablation.{config.dataset}.{network}.{stream}", source)
            frames.append(frame)
            references.append(mine.out / f"{stream}-references.parquet")
    _, header = scores.load(*references)
    _common.show(found)
    return pandas.concat(frames), header.model_copy(update={"weights": used}), found


def recognisers(out: Path, name: str) -> tuple[str]:
    """The weights of a recipe in each fold."""
    return (str(out / name / "{fold}" / "weights.safetensors"),)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", choices=STUDIES)
    parser.add_argument("--data", type=Path, required=True, help="the data set's folder")
    parser.add_argument("--weights", action="append", default=[], metavar="METHOD=FILE", help="of super-resolution")
    parser.add_argument("--ablation", action="store_true", help="the key contrasts of Tables 2 and 3 instead")
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
    if weights and options.ablation:
        raise InputError("--ablation takes the lite networks of weights/; leave out --weights")
    names = [name for network in options.networks for name in NETWORKS[network]]
    names = [name for name in names if name in (options.recipes or [name])]
    if not names:
        raise InputError(f"recipes {options.recipes} are not of the networks {list(options.networks)}; name theirs")
    data = f"{dataset.title}, {len(seen)} clips, sha256 {runs.digest(options.data)[:12]}"
    used = ", ".join(f"{method}: {Path(file).stem}" for method, file in weights.items())
    used = "lite networks" if options.ablation else used
    note = f"{study.note}; TV-L1 preset {PRESET}; recipes {', '.join(names)}, profile small; {used}"
    source = _common.provenance("Real clips", data, note, keep=options.keep)
    for name in names:
        train(study, seen, out, name)
    # what all recipes have in common
    config = evaluate.Evaluation(
        options.dataset,
        out,
        recognisers(out, names[0]),
        ("hr", "bicubic", *weights),
        weights,
        PROTOCOLS[study.protocol],
        flow=PRESET,
        cache=out / "flow",
        device="cpu",
        workers=1,
    )
    frame, header, found = (key_contrasts if options.ablation else table4)(config, names, seen, source)
    if not options.ablation:
        found.append(aspect_only(options.dataset, items, [clip.group for clip in seen], source))
        print(f"aspect ratio alone: {found[-1].value:.1f} % [{found[-1].low:.1f}, {found[-1].high:.1f}]")
    if options.keep:
        name = f"{'ablation' if options.ablation else 'study'}-{options.dataset}"
        _common.save(found, name)
        header = header.model_copy(update={"runs": (source,)})
        print(f"kept: {scores.save(_common.ROOT / 'results' / f'{name}.parquet', frame, header)}")


if __name__ == "__main__":
    _common.run(main)
