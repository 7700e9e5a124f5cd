"""Figure 8 and end-to-end training on embedded clips: recognisers retrained on LR video, networks trained through one.

    python benchmarks/retrain.py [--spatial 270] [--temporal 180] [--keep]

The lite TSN's streams are trained on with LR in 0 to 4 of 4 clips, each on the same clips in the same order, and tested
on HR, LR (bicubic) and SR (SoSR, ToSR). SRResNet is trained on through each of two recognisers, and, as their control,
without either; each is then tested with both. Prepared clips and weights lie in --train, scores in --out, so what was
interrupted goes on; remove the scores of what was trained again. --keep commits the scores and what follows from them:
results/retraining-embedded.parquet and .json.
"""

import argparse
from dataclasses import replace
from functools import cache
from pathlib import Path

import _common
import numpy as np
import pandas
import torch

from arsr import manifest, records, scores
from arsr.data import clips
from arsr.data import snippets as prepared
from arsr.data.clips import Clip
from arsr.embedded.actions import ACTIONS
from arsr.evaluate import Evaluation, evaluate
from arsr.studies.adaptation import SHARES, Mixed, fit_end_to_end, lowered, retrained, transferred
from arsr.studies.adaptation import retrain as train_on
from arsr.training import runs, tasks
from arsr.training.recipes import RECIPES
from arsr_core import degrade, flow, metrics, sr, video
from arsr_core.files import sha256
from arsr_core.recognition import PROTOCOLS, Augmentation

ROOT = _common.ROOT
PROTOCOL = PROTOCOLS["lite"]
STREAMS = {  # what it sees, SR, training clips, steps, batch
    "spatial": ("rgb", "sosr", 540, 160, 32),
    "temporal": ("flow", "tosr", 180, 120, 16),
}
WEIGHT = 0.1  # of the cross-entropy beside the pixel error
STEPS, BATCH, SNIPPETS, RATE = 160, 8, 2, 5e-4  # of the end-to-end training
METHOD, START = "srgan", "srresnet-video"
FRAMES = 36  # of which PSNR is the mean
SEEN = 90  # training clips that the networks are tested on, too


def score(name: str, tests: list[Clip], recogniser: Path, methods: tuple[str, ...], out: Path, **weights: Path):
    """Scores of one recogniser -> a data frame. Flow that another recogniser saw is not computed again."""
    options = dict(weights=weights, protocol=PROTOCOL, flow="fast", precision="float32", clips=len(tests), workers=1)
    options |= dict(cache=out / "flow")
    path = out / f"{name}.parquet"
    evaluate(Evaluation("embedded", path, (str(recogniser),), methods, **options), tests, tuple(ACTIONS))
    return scores.load(path)[0]


def retrain(stream: str, tests: list[Clip], given: argparse.Namespace) -> dict[int | str, pandas.DataFrame]:
    """Scores of the shipped recogniser, and of it trained on with each share of LR."""
    kind, method, count, steps, batch = STREAMS[stream]
    hr = runs.prepared(runs.Run(f"tsn-{kind}", out=given.train.parent))
    chosen, store = clips.embedded(count), given.train / f"clips-{kind}-lr-{count}"
    preparation = prepared.Preparation(
        PROTOCOL, dict(flow.PRESETS["fast"]) if kind == "flow" else None, method="bicubic"
    )
    prepared.store_clips(chosen, store, preparation, change=lowered, workers=1)
    names = {clip.name for clip in chosen}
    recipe = RECIPES[f"tsn-{kind}"]["embedded"]
    recipe = replace(recipe, steps=steps, batch=batch, rate=1e-3, augmentation=Augmentation(scales=(1, 0.9375)))
    sides = [prepared.Snippets(x, kind, keep=lambda row: row["name"] in names) for x in (hr, store)]
    shipped = manifest.find(given.weights, f"tsn-{kind}-lite")
    files = {"shipped": shipped}
    for share in SHARES:
        folder = given.train / f"tsn-{kind}-{share}"
        files[share], _ = train_on(recipe, Mixed(*sides, share), shipped, folder)
    sr_file = {method: manifest.find(given.weights, f"{method}-video")}
    methods = ("hr", "bicubic", method)
    return {s: score(f"{stream}-{s}", tests, file, methods, given.out, **sr_file) for s, file in files.items()}


def rival(given: argparse.Namespace) -> Path:
    """A recogniser that shares nothing with the lite one but the data: EfficientNet-Lite0 from ImageNet weights."""
    recipes = RECIPES["tsn-rgb"]
    changes = dict(protocol=PROTOCOL.name, steps=300, batch=16, augmentation=recipes["embedded"].augmentation)
    store = runs.prepared(runs.Run("tsn-rgb", out=given.train.parent))
    return tasks.train(replace(recipes["small"], **changes), store, given.train / "efficientnet")[0]


def networks(given: argparse.Namespace) -> tuple[dict[str, Path], dict[str, Path]]:
    """Files of the recognisers, and of the networks: start, control, and one trained through each recogniser."""
    judges = {"lite": manifest.find(given.weights, "tsn-rgb-lite"), "efficientnet": rival(given)}
    store = runs.prepared(runs.Run("tsn-rgb", out=given.train.parent))
    data = prepared.Snippets(store, "rgb", segments=SNIPPETS)
    files = {"start": manifest.find(given.weights, START)}
    for name in ("control", *judges):
        judge = judges.get(name, judges["lite"])  # the control only logs what it thinks
        limits = dict(weight=WEIGHT if name in judges else 0.0, steps=STEPS, batch=BATCH, rate=RATE)
        folder = given.train / f"end-to-end-{name}"
        files[name], _ = fit_end_to_end(METHOD, files["start"], judge, data, folder, **limits)
    return judges, files


def recorded(frame: pandas.DataFrame, source: records.Provenance) -> list[records.Record]:
    """All that follows from the scores, whose column `network` says what was trained: see `end_to_end` and `main`."""
    key, rows, seen, shares = "embedded.end-to-end.embedded", {}, {}, {}
    for title, part in frame.groupby("network"):
        kind, *names = title.removeprefix("end-to-end-").split("-")
        if kind == "retrained":
            shares[int(names[0]) if names[0].isdigit() else names[0]] = part
        elif names[-1] == "seen":
            seen[kind, names[0]] = scores.select(part)
        else:
            of = {method: scores.select(part, method=method) for method in part["method"].unique()}
            rows.setdefault(kind, {}).update(of if names == ["references"] else {names[0]: of[METHOD]})
    found = transferred(rows, key, source)
    for name in rows:
        text = f"network trained end to end on {name} less its control, recogniser {name}, training clips"
        both = seen[name, name], seen[name, "control"]
        found += scores.compare(*both, f"{key}.{name}.seen.to_control", text, source)
    return found + retrained(shares, "embedded.retrained.embedded.tsn", source)


@torch.inference_mode()
def psnr(file: Path, tests: list[Clip]) -> np.ndarray:
    """Of the middle frame of each clip, dB."""
    hr = torch.stack([video.to_tensor(clip.read((12,)))[0, 0] for clip in tests])
    made = sr.load(METHOD, file)(degrade.to_lr(hr, 4, eight_bit=True))
    return metrics.psnr(degrade.quantise(made)[:, None], hr[:, None]).numpy()


def end_to_end(
    tests: list[Clip], given: argparse.Namespace, source: records.Provenance
) -> tuple[list[pandas.DataFrame], list[records.Record]]:
    """Scores of every network with each recogniser, and with its own on training clips; records of their PSNR."""
    judges, files = networks(given)
    frames = []

    def score_all(name: str, judge: str, chosen: list[Clip], where: str = "") -> None:
        title = f"end-to-end-{judge}-{name}{where}"
        used = {METHOD: files[name]} if name in files else {}
        frame = score(title, chosen, judges[judge], tuple(used) or ("hr", "bicubic"), given.out, **used)
        frames.append(frame.assign(network=title))

    for judge in judges:
        for name in ("references", *files):
            score_all(name, judge, tests)
        for name in (judge, "control"):
            score_all(name, judge, clips.embedded(SEEN), "-seen")
    found = []
    for name, file in files.items():
        values = psnr(file, tests[:FRAMES])
        key, text = f"embedded.end-to-end.embedded.{name}.psnr", f"PSNR, network {name}"
        found.append(records.mean(key, values, "dB", text, source))
    return frames, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spatial", type=_common.count, default=270, help="clips")
    parser.add_argument("--temporal", type=int, default=180, help="clips; 0: without this stream")
    parser.add_argument("--train", type=Path, default=ROOT / "_build" / "train" / "retrain")
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "retrain")
    parser.add_argument("--keep", action="store_true", help="write results/retraining-embedded.*")
    given = parser.parse_args()
    given.weights = ROOT / "weights"
    note = "lite networks, TV-L1 preset fast; recognisers trained on from the shipped ones"
    data = "embedded test clips (synthetic)"
    source = _common.provenance("Retraining and end to end on embedded clips", data, note, keep=given.keep)
    tests = [
        replace(clip, read=cache(clip.read)) for clip in clips.embedded(max(given.spatial, given.temporal), "test")
    ]
    spatial, temporal = tests[: given.spatial], tests[: given.temporal]
    frames, found = end_to_end(spatial, given, source)
    for stream, its in {"spatial": spatial, "temporal": temporal}.items():
        if its:
            named = retrain(stream, its, given)
            frames += [frame.assign(network=f"retrained-{name}") for name, frame in named.items()]
    found += recorded(frame := pandas.concat(frames), source)
    _common.show(found)
    if given.keep:
        _, header = scores.load(given.out / "spatial-shipped.parquet")
        hashes = {file.parent.name: sha256(file) for file in given.train.glob("*/weights.safetensors")}
        used = {name: digest for name, digest in hashes.items() if name.startswith("end-to-end")}
        shown = (START, *(f"{method}-video" for _, method, *_ in STREAMS.values()))
        used |= {name: sha256(manifest.find(given.weights, name)) for name in shown}
        judges = {name: digest for name, digest in hashes.items() if name not in used}
        header = header.model_copy(update={"weights": used, "recognisers": judges, "runs": (source,)})
        _common.save(found, "retraining-embedded")
        print(scores.save(ROOT / "results" / "retraining-embedded.parquet", frame, header))


if __name__ == "__main__":
    _common.run(main)
