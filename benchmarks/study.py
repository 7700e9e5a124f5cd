"""What 4x costs a recogniser on real clips: HR, bicubic and super-resolved ones of four small data sets.

    python benchmarks/study.py weizmann --data data/weizmann --weights vdsr=data/weights/vdsr_291_epoch50.safetensors
    python benchmarks/study.py ut_interaction --data data/ut_interaction --weights vdsr=... --weights tosr=... --keep
    python benchmarks/study.py tennis --data data/tennis --networks tsn squeezenet --imagenet squeezenet_weights.pkl

TSN's two streams and ST-ResNet are trained on HR clips with one fold left out (Weizmann: an actor; the others: one of
five, of whole sequences, scenes or people), then every clip is scored by the recognisers that never saw its fold.
squeezenet is TSN's spatial stream on another network; --imagenet is the file of its ImageNet weights. Prepared clips,
weights and scores lie in --out; a run that was stopped goes on, and more methods can follow. --keep commits the scores
of the methods that the command names and what follows from them, results/study-DATASET.parquet and .json: accuracies,
paired tests, and the accuracy that the aspect ratio of the clips alone allows.

    python benchmarks/study.py weizmann ablation --data data/weizmann --keep

What else can be asked, in place of the methods of Table 4, is kept as results/KIND-DATASET.parquet and .json:

ablation  the lite networks of the key contrasts of Tables 2 and 3
published given networks side by side: --weights vdsr=FILE --weights realsr=FILE, as their authors trained them
rivals    each stream trained anew, from the same start with the same steps, on clips enlarged by bicubic interpolation
          (lr) or super-resolved (sr: frames by SoSR, flow by ToSR) in place of HR, and tested on the like, that of LR
          on HR, too; needs --weights sosr=... --weights tosr=...
joint     one network for both streams, with its controls (`arsr.studies.joint`); TSN alone
frontier  five networks on the way to SRGAN and to ESRGAN (`arsr.studies.frontier`); TSN alone
turns     SRResNet and TSN's spatial stream trained in turns (`arsr.studies.turns`), judged by SqueezeNet, too

Clips of UT-Interaction were cut out by hand, and their shape tells the class: all are made square, training and test.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import _common
import numpy as np
import pandas
import torch

from arsr import claims, evaluate, manifest, records, scores
from arsr.data import clips, folders, folds, stores
from arsr.data import snippets as prepared
from arsr.data.clips import Clip
from arsr.names import SCORES, pair, title
from arsr.reproduce import tables
from arsr.studies import ablation, frontier, joint, turns
from arsr.training import tasks
from arsr.training.recipes import RECIPES
from arsr_core import degrade, flow, sr, video
from arsr_core.errors import InputError
from arsr_core.files import sha256
from arsr_core.recognition import PROTOCOLS

PRESET = "fast"  # of TV-L1, in training and test
PROFILE = "video"  # of the networks of the key contrasts
# recipes of their weights
NETWORKS = {"tsn": ("tsn-rgb", "tsn-flow"), "st-resnet": ("st-resnet",), "squeezenet": ("squeezenet-rgb",)}
OF = {name: network for network, recipes in NETWORKS.items() for name in recipes}
SHOWN = {"spatial": {"lr": "bicubic", "sr": "sosr"}, "temporal": {"lr": "bicubic", "sr": "tosr"}}  # to the rivals
FOLDS = 5
SEEDS = {"spatial": (0, 1, 2), "temporal": (0,)}  # of the key contrasts; flow costs six times what frames do
TAKES = {  # recipes that a kind of study has a use for; others: all
    "rivals": ("tsn-rgb", "tsn-flow", "squeezenet-rgb"),
    "joint": NETWORKS["tsn"],
    "frontier": NETWORKS["tsn"],
    "turns": ("tsn-rgb", "squeezenet-rgb"),
}
TURNS = dict(steps=60, batch=8)  # of each of the trainings in turns
GIVEN = ("study", "published", "rivals")  # kinds whose networks --weights names
WEIGHTS = _common.ROOT / "weights"
BY_CLASS = ("tennis",)  # data sets with clips enough in a class


@dataclass(frozen=True)
class Study:
    """What is done with one data set."""

    protocol: str
    clips: Callable[[Clip], Clip]
    note: str
    folds: int = 0  # that share the groups; 0: as `clips` has them
    imagenet: str | None = None  # file of SqueezeNet's weights

    def recipe(self, name: str) -> tasks.RecogniserRecipe:
        own = {"imagenet": self.imagenet} if OF[name] == "squeezenet" else {}
        return replace(RECIPES[name]["small"], protocol=self.protocol, **own)


def streams(name: str) -> list[str]:
    """That the network of a recipe scores."""
    return {"rgb": ["spatial"], "flow": ["temporal"], "both": ["spatial", "temporal"]}[RECIPES[name]["small"].stream]


def as_it_is(item: Clip) -> Clip:
    return item


def square(item: Clip) -> Clip:
    """A UT-Interaction clip made square; fold 1 has the sequences 1, 6, 11, 16, fold 2 has 2, 7, 12, 17 ..."""
    sequence = int(item.group.rpartition("_")[2])  # 1 to 10 are in set1, 11 to 20 in set2
    return clips.square(replace(item, fold=f"fold{1 + (sequence - 1) % FOLDS}"))


STUDIES = {
    "weizmann": Study("small", as_it_is, "leave one actor out, 9 folds"),
    "ut_interaction": Study(
        "small-square",
        square,
        "5 folds, each of two sequences of set 1 and two of set 2; clips cut to their central square, 144x144 px, "
        "every second frame",
    ),
    "tennis": Study("small-3", as_it_is, "5 folds of whole scenes", FOLDS),
    "yoga": Study("small-3", as_it_is, "5 folds of whole people", FOLDS),
}


def enlarged(clip: torch.Tensor, network: torch.nn.Module, frames: Sequence[int] | None = None) -> torch.Tensor:
    """A clip, or some of its frames, as `evaluate` shows it: reduced by four and super-resolved, 8 bits each.

    (1, T, 3, H, W) -> (1, T or frames, 3, H, W), cropped to multiples of four.
    """
    lr = degrade.to_lr(degrade.modcrop(clip, 4), 4, eight_bit=True)
    return degrade.quantise(sr.upscale(network, lr, frames=frames, progress=False))


def train(
    study: Study, items: Sequence[Clip], out: Path, name: str, kind: str = "", method: str = "hr", file: str = ""
) -> None:
    """A recipe, and those that it starts from, in every fold -> OUT/RECIPE[-KIND]/FOLD/weights.safetensors.

    kind, method, file: of clips that a method of super-resolution made, with its weights.
    """
    recipe, kind = study.recipe(name), kind and f"-{kind}"
    before = {start: start.removesuffix("-small") for start in recipe.start if start.endswith("-small")}
    for first in before.values():
        train(study, items, out, first)
    parameters = None if recipe.stream == "rgb" else dict(flow.PRESETS[PRESET])
    store = out / (("clips-flow" if parameters else "clips-rgb") + kind)
    made = f"{method} {sha256(file)[:12]}" if file else method
    change = None if method == "hr" else partial(enlarged, network=sr.load(method, file or None))
    preparation = prepared.Preparation(PROTOCOLS[study.protocol], parameters, made)
    prepared.store_clips(items, store, preparation, change=change, workers=1)
    for fold in sorted({clip.fold for clip in items}):
        start = [
            out / before[s] / fold / "weights.safetensors" if s in before else manifest.find(WEIGHTS, s)
            for s in recipe.start
        ]
        tasks.train(recipe, store, out / (name + kind) / fold, without=folds.left_out(items, fold), start=start)


def aspect_only(dataset: str, items: Sequence[Clip], source: records.Provenance):
    """The accuracy that the logarithm of width / height alone allows, one Gaussian a class, in the same folds."""
    found = [video.probe(item.path) for item in items]
    x = np.log([info.width / info.height * float(info.aspect) for info in found])
    labels, parts = np.array([item.label for item in items]), np.array([item.fold for item in items])
    right = 0
    for i, fold in enumerate(parts):
        seen = [x[(parts != fold) & (labels == label)] for label in np.unique(labels)]
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


def by_sequence(frame: pandas.DataFrame) -> pandas.DataFrame:
    """Scores whose clips of UT-Interaction are grouped by their sequence; a fold holds four."""
    sequence = frame["clip"].str.extract(r"/\d+_(\d+)_", expand=False)
    return frame.assign(group=frame["group"].where(frame["dataset"] != "ut_interaction", sequence))


def compared(frame: pandas.DataFrame, source: records.Provenance) -> list[records.Record]:
    """Paired tests on the same clips: what 4x costs, and every contrast that the claims ledger asks of real clips."""
    found = []
    for (dataset, network), part in frame.groupby(["dataset", "network"]):
        wanted = [(stream, "bicubic", "hr") for stream in SCORES] + claims.comparisons("real", "tsn")
        key, where = f"small.benchmark.{dataset}.{network}", f"{network} on {dataset}"
        found += scores.contrasts(part, wanted, key, where, source)
        if dataset in BY_CLASS and network == "tsn":
            found += tables.classes(part, f"small.classes.{dataset}", where, source)
    return found


def contrasts(frame: pandas.DataFrame, source: records.Provenance) -> list[records.Record]:
    """Of networks that differ in one term, by data set, recogniser and stream."""
    found = []
    for place, rows in frame.groupby(["dataset", "network", "stream"]):
        found += ablation.records(rows, ".".join(("small.ablation", *place)), source, groups="group")
    return found


def table4(config: evaluate.Evaluation, names: Sequence[str], seen: Sequence[Clip], source: records.Provenance):
    """Every method of the command, by the recognisers of the recipes `names` -> (scores, their header, records)."""
    classes, out = folders.DATASETS[config.dataset].classes, config.out
    both = len({stream for name in names for stream in streams(name)}) == 2
    pairs = tuple(p for p in joint.PAIRS if both and {*pair(p)} <= {*config.methods})
    for name in names:
        # TSN's streams do not see each other: a pair of methods follows from the two
        methods = config.methods + (pairs if name == "st-resnet" else ())
        own = dict(recognisers=recognisers(out, name), network=OF[name], methods=methods)
        mine = replace(config, out=out / f"scores-{name}.parquet", **own)
        evaluate.evaluate(mine, seen, classes, provenance=source)
    frame, header = scores.load(*(out / f"scores-{name}.parquet" for name in names))
    frame = by_sequence(frame[frame["method"].isin([*config.methods, *pairs])])  # what this command asks for
    header = header.model_copy(update={"weights": {m: h for m, h in header.weights.items() if m in config.weights}})
    frame, _ = scores.load(scores.save(out / "scores.parquet", frame, header))
    table = scores.table(frame, pairs=pairs, groups="group")
    print(table[["network", "method", "stream", "accuracy", "low", "high", "count", "n"]].to_string(index=False))
    return frame, header, scores.records(table, source, "small.accuracy") + compared(frame, source)


def scored(
    config: evaluate.Evaluation,
    names: Sequence[str],
    seen: Sequence[Clip],
    files: Callable[[str], dict[str, Path]],
    of: Callable[[str], str] = ablation.method,
):
    """Networks by the recognisers of the recipes -> (scores, their header). files: of a stream; of: a name's method."""
    frames, used, made = [], {}, []
    for name in names:
        mine = replace(config, recognisers=recognisers(config.out.parent, name), network=OF[name])
        mine = replace(mine, out=config.out / name)
        for stream in streams(name):
            used |= {row: sha256(file) for row, file in files(stream).items()}
            frames.append(
                ablation.score(files(stream), stream, mine, seen, folders.DATASETS[config.dataset].classes, of=of)
            )
            made.append(mine.out / f"{stream}-references.parquet")
    _, header = scores.load(*made)
    return by_sequence(pandas.concat(frames)), header.model_copy(update={"weights": used})


def key_contrasts(config: evaluate.Evaluation, names: Sequence[str], seen: Sequence[Clip], source: records.Provenance):
    """Networks that differ in one term -> (scores, their header, records)."""

    def files(stream: str) -> dict[str, Path]:
        found = ablation.networks(WEIGHTS, stream, SEEDS[stream], ablation.key_rows(stream), PROFILE)
        ablation.require_pairs(found, stream)
        return found

    frame, header = scored(replace(config, out=config.out / "ablation"), names, seen, files)
    return frame, header, contrasts(frame, source)


def one_network(config: evaluate.Evaluation, names: Sequence[str], seen: Sequence[Clip], source: records.Provenance):
    """The joint network, its controls and SoSR, every seed -> (scores, their header, records)."""

    def files(stream: str) -> dict[str, Path]:
        rows = joint.NETWORKS + (("sosr",) if stream == "spatial" else ())
        return ablation.networks(WEIGHTS, stream, joint.SEEDS, rows, PROFILE)

    frame, header = scored(replace(config, out=config.out / "ablation"), names, seen, files)
    others = _common.ROOT / "results" / f"study-{config.dataset}.parquet"  # Table 4, as far as it is committed
    known = [by_sequence(joint.beside(header, *scores.load(others), WEIGHTS, PROFILE))] if others.exists() else []
    return frame, header, one_or_two(pandas.concat([frame, *known]), source)


def one_or_two(frame: pandas.DataFrame, source: records.Provenance) -> list[records.Record]:
    """One network against two, by TSN. frame: of the joint network and its controls, then of other methods."""
    frame = frame[frame["network"] == "tsn"].drop_duplicates(["clip", "method", "stream"])
    (dataset,) = frame["dataset"].unique()
    return joint.recorded(frame, f"small.joint.{dataset}.tsn", source, groups="group")


def paths(config: evaluate.Evaluation, names: Sequence[str], seen: Sequence[Clip], source: records.Provenance):
    """Networks between fidelity and looks -> (scores, their header, records)."""
    made = frontier.files(WEIGHTS, config.out / "frontier", PROFILE)
    frame, header = scored(replace(config, out=config.out / "frontier"), names, seen, lambda _: made, frontier.end_of)
    return frame, header, slopes(frame, source)


def slopes(frame: pandas.DataFrame, source: records.Provenance) -> list[records.Record]:
    """Along the paths, by TSN."""
    (dataset,) = frame["dataset"].unique()
    return frontier.trends(frame, f"small.frontier.{dataset}.tsn", source, groups="group")


def published(config: evaluate.Evaluation, names: Sequence[str], seen: Sequence[Clip], source: records.Provenance):
    """The command's weights, whatever their size and training -> (scores, their header, records)."""
    files = {method: Path(file) for method, file in config.weights.items()}
    frame, header = scored(replace(config, out=config.out / "published"), names, seen, lambda _: files, of=str)
    return frame, header, side_by_side(frame, source)


def side_by_side(frame: pandas.DataFrame, source: records.Provenance) -> list[records.Record]:
    """small.published.DATASET.NETWORK.STREAM.METHOD, its accuracy, and .METHOD.to_bicubic, what it gains."""
    found = []
    for (dataset, network, stream), part in frame.groupby(["dataset", "network", "stream"], observed=True):
        key, where = f"small.published.{dataset}.{network}.{stream}", f"{stream} stream of {network} on {dataset}"
        for method, rows in part.groupby("method", observed=True):
            text, its = f"{where}, {title(method)}", f"{key}.{method}"
            found.append(scores.accuracy(rows, groups="group").record(its, f"accuracy, {text}", source))
            if method != "bicubic":
                plain = scores.select(part, method="bicubic")
                found += scores.compare(rows, plain, f"{its}.to_bicubic", f"{text} less bicubic", source)
    return found


def rivals(
    config: evaluate.Evaluation, names: Sequence[str], seen: Sequence[Clip], source: records.Provenance, study: Study
):
    """Streams trained on LR or SR clips, tested on the like, on HR and on LR, beside those trained on HR.

    -> (scores, their header, records). The rows of a stream that was trained on something else have its method with
    the training's name, bicubic@lr: bicubic clips, trained on LR.
    """
    classes, frames, files = folders.DATASETS[config.dataset].classes, [], []
    for name in names:
        (stream,), network = streams(name), OF[name]
        shown = SHOWN[stream]
        tested = {"": ("hr", "bicubic", shown["sr"]), "lr": ("hr", "bicubic"), "sr": (shown["sr"],)}
        for kind, methods in tested.items():
            weights = {m: config.weights[m] for m in methods if m in config.weights}
            if kind:
                train(study, seen, config.out, name, kind, shown[kind], config.weights.get(shown[kind], ""))
            own = dict(recognisers=recognisers(config.out, name + (kind and f"-{kind}")), network=network)
            files.append(config.out / "rivals" / f"{name}-{kind or 'hr'}.parquet")
            mine = replace(config, out=files[-1], methods=methods, weights=weights, **own)
            evaluate.evaluate(mine, seen, classes, provenance=source)
            rows = by_sequence(scores.load(files[-1])[0])
            frames.append(rows.assign(method=rows["method"].astype(str) + (kind and f"@{kind}")))
    frame = pandas.concat(frames)
    _, header = scores.load(files[0])
    return frame, header, trained_on(frame, source)


def trained_on(frame: pandas.DataFrame, source: records.Provenance) -> list[records.Record]:
    """What a stream gains that is trained on what it is tested on, from the rows of `rivals`.

    small.retrained.DATASET.NETWORK.STREAM: .lr.4.to_0 and .hr.4.to_0, trained on LR less on HR, tested on LR and on HR;
    .lr.to_sr, both trained on what they are tested on; .lr.to_hr-on-sr and .sr.to_hr-on-sr, against super-resolution
    alone; .{lr,sr}, their accuracies.
    """
    found = []
    for (dataset, network, stream), part in frame.groupby(["dataset", "network", "stream"], observed=True):
        rows = {m: scores.select(part, method=m) for m in part["method"].unique()}
        sr_ = SHOWN[stream]["sr"]
        key, words = f"small.retrained.{dataset}.{network}.{stream}", f"{stream} stream of {network} on {dataset}"
        for kind, method in (("lr", "bicubic@lr"), ("sr", f"{sr_}@sr")):
            text = f"accuracy, {words}, trained on {kind.upper()} and tested on it"
            found.append(scores.accuracy(rows[method], groups="group").record(f"{key}.{kind}", text, source))
        for end, a, b, text in (
            ("lr.4.to_0", "bicubic@lr", "bicubic", "tested on LR: trained on LR less on HR"),
            ("hr.4.to_0", "hr@lr", "hr", "tested on HR: trained on LR less on HR"),
            ("lr.to_sr", "bicubic@lr", f"{sr_}@sr", "trained and tested on LR less on SR"),
            ("lr.to_hr-on-sr", "bicubic@lr", sr_, "trained and tested on LR less trained on HR, tested on SR"),
            ("sr.to_hr-on-sr", f"{sr_}@sr", sr_, "tested on SR: trained on SR less on HR"),
        ):
            found += scores.compare(rows[a], rows[b], f"{key}.{end}", f"{words}, {text}", source)
    return found


def in_turns(config: evaluate.Evaluation, names: Sequence[str], seen: Sequence[Clip], source: records.Provenance):
    """Networks trained in turns with the recogniser, and their control -> (scores, their header, records).

    Each fold has its own trainings, which never saw its clips. The rows' method says which arm, seed and judge.
    """
    classes, out = folders.DATASETS[config.dataset].classes, config.out / "turns"
    start, frames, headers = manifest.find(WEIGHTS, f"srresnet-{PROFILE}"), [], []
    made, used = {}, {}  # hashes of the networks and of the recognisers
    for fold in sorted({clip.fold for clip in seen}):
        hidden, mine = folds.left_out(seen, fold), [clip for clip in seen if clip.fold == fold]
        judges = {"original": "tsn-rgb", "unseen": "squeezenet-rgb"}
        judges = {judge: config.out / name / fold / "weights.safetensors" for judge, name in judges.items()}
        for arm, seed in product(("control", "both"), joint.SEEDS):
            weight, learns = turns.ARMS[arm]
            seen_by = dict(segments=2, seed=seed, keep=lambda row, hidden=hidden: row["group"] not in hidden)
            data = prepared.Snippets(config.out / "clips-rgb", "rgb", **seen_by)
            how = dict(weight=weight, recogniser_learns=learns, seed=seed, **TURNS)
            folder = out / fold / f"{arm}-seed{seed}"
            network, own, _ = turns.fit_in_turns("srgan", start, judges["original"], data, folder, **how)
            made[f"{arm}-seed{seed}/{fold}"] = sha256(network)
            for judge, file in (judges | ({"own": own} if learns else {})).items():
                its = dict(out=folder / f"{judge}.parquet", methods=("srgan",), weights={"srgan": network})
                its |= dict(recognisers=(str(file),), network="tsn", present_only=True)
                rows, header = scores.load(evaluate.evaluate(replace(config, **its), mine, classes))
                name = f"{arm}-seed{seed}@{judge}"
                frames.append(rows.assign(method=name, fold=fold))
                headers.append(header)
                used[f"{name}/{fold}"] = sha256(file)
    shown = {clip: digest for header in headers for clip, digest in header.clips.items()}
    frame = by_sequence(pandas.concat(frames, ignore_index=True))
    header = headers[0].model_copy(update={"weights": made, "recognisers": used, "clips": shown})
    return frame, header, turned(frame, source)


def turned(frame: pandas.DataFrame, source: records.Provenance) -> list[records.Record]:
    """What training in turns gains over its control, from the rows of `in_turns`."""
    (dataset,) = frame["dataset"].unique()
    found: dict[str, dict[str, list[pandas.DataFrame]]] = {}
    for method in sorted(frame["method"].unique()):
        training, _, judge = method.partition("@")
        arm = training.partition("-seed")[0]
        found.setdefault(judge, {}).setdefault(arm, []).append(scores.select(frame, method=method))
    found["own"]["control"] = found["original"]["control"]  # which its recogniser still is
    return turns.recorded(found, f"small.turns.{dataset}", source, groups="group")


KINDS = {
    "study": table4,
    "ablation": key_contrasts,
    "published": published,
    "rivals": rivals,
    "joint": one_network,
    "frontier": paths,
    "turns": in_turns,
}


def recognisers(out: Path, name: str) -> tuple[str]:
    """The weights of a recipe in each fold."""
    return (str(out / name / "{fold}" / "weights.safetensors"),)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", choices=STUDIES)
    parser.add_argument("kind", nargs="?", choices=KINDS, default="study")
    parser.add_argument("--data", type=Path, required=True, help="the data set's folder")
    parser.add_argument("--weights", action="append", default=[], metavar="METHOD=FILE", help="of super-resolution")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=("tsn", "st-resnet"))
    parser.add_argument("--imagenet", help="file of SqueezeNet's ImageNet weights")
    parser.add_argument(
        "--recipes", nargs="+", choices=sum(NETWORKS.values(), ()), help="of these alone: one a process, if you like"
    )
    parser.add_argument("--out", type=Path, default=Path("_build/train/study"))
    parser.add_argument("--keep", action="store_true", help="write scores and records to results/")
    options = parser.parse_args()
    study, out = replace(STUDIES[options.dataset], imagenet=options.imagenet), options.out / options.dataset
    dataset = folders.DATASETS[options.dataset]
    items = folders.items(options.dataset, options.data, folds=study.folds)
    seen = [study.clips(item) for item in items]
    weights = _common.weights(options.weights)
    _ = [sr.load(method, file) for method, file in weights.items()]  # what is no such network is said before a training
    if "squeezenet" in options.networks and not options.imagenet:
        raise InputError("squeezenet needs its ImageNet weights, --imagenet FILE")
    if weights and options.kind not in GIVEN:
        raise InputError(f"{options.kind} takes the lite networks of weights/; leave out --weights")
    names = [name for network in options.networks for name in NETWORKS[network]]
    names = [name for name in names if name in (options.recipes or [name])]
    names = [name for name in names if name in TAKES.get(options.kind, names)]
    if not names:
        asked, taken = options.recipes or options.networks, TAKES.get(options.kind, OF)
        raise InputError(
            f"{options.kind} takes the recipes {', '.join(taken)}; {', '.join(asked)} given has none of them"
        )
    if options.kind == "published" and not weights:
        raise InputError("published compares given weights: --weights vdsr=FILE --weights realsr=FILE")
    if options.kind == "turns" and len(names) < 2:
        raise InputError("turns has two judges: give --networks tsn squeezenet --imagenet FILE")
    needed = {SHOWN[stream]["sr"] for name in names for stream in streams(name)}
    if options.kind == "rivals" and (lacking := sorted(needed - weights.keys())):
        raise InputError(f"rivals shows clips by {lacking[0]}: give its weights, --weights {lacking[0]}=FILE")
    data = f"{dataset.title}, {len(seen)} clips, sha256 {stores.digest(options.data)[:12]}"
    used = ", ".join(f"{method}: {Path(file).stem}" for method, file in weights.items())
    used = used if options.kind in GIVEN else f"lite networks, profile {PROFILE}"
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
        precision="auto",  # in bfloat16 a frame takes half the time, and no pixel changes by more than two of 255
        cache=out / "flow",
        device="cpu",
        workers=1,
    )
    measure = partial(rivals, study=study) if options.kind == "rivals" else KINDS[options.kind]
    frame, header, found = measure(config, names, seen, source)
    _common.show(found)
    if options.kind == "study":
        found.append(aspect_only(options.dataset, seen, source))
        print(f"aspect ratio alone: {found[-1].value:.1f} % [{found[-1].low:.1f}, {found[-1].high:.1f}]")
    if options.keep:
        name = f"{options.kind}-{options.dataset}"
        _common.save(found, name)
        header = header.model_copy(update={"runs": (source,)})
        print(f"kept: {scores.save(_common.ROOT / 'results' / f'{name}.parquet', frame, header)}")


if __name__ == "__main__":
    _common.run(main)
