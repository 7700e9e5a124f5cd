"""Tables 2 and 3 on embedded test clips: every row, every seed, the controls, the paired contrasts, and their checks.

    python benchmarks/ablation.py [tables | checks | neighbours] [--spatial 864] [--temporal 720] [--steady 72] [--keep]

Scores lie in --out, one file a network, so what was interrupted goes on; remove the file of a network that was
trained again. Rows whose weights are not in weights/ are left out and named. --steady: clips of eight frames of which
PSNR, flow error, tOF and E_warp are measured with the networks of Table 3. --keep commits the scores and what follows
from them: results/ablation-embedded.parquet and .json. `torchrun --nproc-per-node 2` in place of `python` scores two
clips of the tables at a time.

checks      the steady clips by all networks of both tables, which say whether a contrast is a test
            (`arsr.studies.manipulation`); kept as results/checks.json
neighbours  networks of several frames, scored with their neighbours and with copies of the middle frame; kept as
            results/neighbours-embedded.json
"""

import argparse
from dataclasses import replace
from pathlib import Path

import _common
import pandas

from arsr import evaluate, manifest, processes, records, scores
from arsr.data import clips
from arsr.embedded import generated
from arsr.embedded.actions import ACTIONS
from arsr.studies import ablation, manipulation
from arsr_core import sr
from arsr_core.devices import device

PROFILE = "video"  # of the networks
STREAMS = {"spatial": "tsn-rgb-lite", "temporal": "tsn-flow-lite"}
CLIPS = {"spatial": 864, "temporal": 720}
LOOKS = (("srgan", "srresnet"), ("esrgan", "rrdb"))  # C3's: training for looks against none
ONE = (("joint", "joint-control"), ("joint", "tosr"))  # C12's: with the warp loss, and with looks, against without
SEVERAL = ("spmc", "duf16", "duf52", "tosr")  # networks of several frames
FROZEN = 360  # clips that they are scored on with copies of the middle frame


def steady(given: argparse.Namespace) -> list[ablation.Reference]:
    """Clips of eight frames."""
    return [ablation.reference(clip.read(range(8, 16))) for clip in generated.clips(given.steady, split="test")]


def checks(given: argparse.Namespace, source: records.Provenance) -> list[records.Record]:
    """Of every contrast with several trainings of an arm, and of the networks of several frames."""
    weights, shown, found, frames = _common.ROOT / "weights", steady(given), [], {}
    contrasts = [(c.a, c.b) for c in sum(ablation.CONTRASTS.values(), ())]
    contrasts += [pair for pair in (*LOOKS, *ONE) if pair not in contrasts]
    for a, b in contrasts:
        files = ablation.networks(weights, "spatial", ablation.SEEDS, (a, b), PROFILE)
        for name in files.keys() - frames.keys():
            frames[name] = manipulation.frames(sr.load(ablation.method(name), files[name]), shown)
        found += manipulation.records(a, b, {name: frames[name] for name in files}, shown, source)
    for name, file in ablation.networks(weights, "temporal", (0,), SEVERAL, PROFILE).items():
        found += manipulation.neighbours(name, sr.load(ablation.method(name), file), shown, source)
    return found


def neighbours(given: argparse.Namespace, source: records.Provenance) -> list[records.Record]:
    """Accuracy of the temporal stream with true neighbours less that with copies of the middle frame."""
    config, found = ablation.lite(manifest.find(_common.ROOT / "weights", STREAMS["temporal"]), given.out), []
    tests = clips.embedded(FROZEN, "test")
    for name, file in ablation.networks(_common.ROOT / "weights", "temporal", (0,), SEVERAL, PROFILE).items():
        true = ablation.score({name: file}, "temporal", config, tests, references=())
        path = config.out / f"temporal-{name}-frozen.parquet"
        if not path.exists():
            method = ablation.method(name)
            mine = replace(config, out=path, methods=(method,), weights={method: file})
            pipeline = evaluate.Pipeline(mine, tuple(ACTIONS), device("cpu"), config.fold(tests[0]))
            pipeline.networks[method] = manipulation.Frozen(pipeline.networks[method])
            rows = sum(pipeline.run([(clip, pipeline.units) for clip in tests]), [])
            scores.save(path, rows, pipeline.header(tests, source))
        copied = scores.load(path)[0]
        text = f"temporal stream, {name} with its neighbouring frames less with copies of the middle one"
        found += scores.compare(true, copied, f"embedded.ablation.temporal.{name}.to_frozen", text, source)
    return found


def tables(given: argparse.Namespace, source: records.Provenance) -> list[records.Record]:
    """Every row of both tables."""
    weights, frames, files, found = _common.ROOT / "weights", [], {}, []
    for stream, recogniser in STREAMS.items():
        mine = ablation.networks(weights, stream, ablation.SEEDS, profile=PROFILE)
        ablation.require_pairs(mine, stream)
        lacking = [row for row in ablation.ROWS[stream] if row not in mine]
        print(f"{stream}: {len(mine)} networks" + (f"; not trained: {', '.join(lacking)}" if lacking else ""))
        tests = clips.embedded(getattr(given, stream), "test")
        config = ablation.lite(manifest.find(weights, recogniser), given.out)
        frames.append(ablation.score(mine, stream, config, tests))
        found += ablation.records(frames[-1], f"embedded.ablation.{stream}", source)
        files |= mine
    if not processes.this().is_main_process:
        return []
    models = {name: sr.load(ablation.method(name), file) for name, file in mine.items()}  # of the temporal stream
    models |= {"bicubic": sr.load("bicubic"), "hr": None}
    shown = steady(given)
    values = {name: ablation.measure(model, shown) for name, model in models.items()}
    if given.keep:
        one = [given.out / f"{stream}-references.parquet" for stream in STREAMS]
        _common.save_scores(pandas.concat(frames), "ablation-embedded", one, files, source)
    return found + ablation.compare(values, "embedded.ablation.video", source)


PARTS = {  # what to measure, and the file of its records in results/
    "tables": (tables, "ablation-embedded"),
    "checks": (checks, "checks"),
    "neighbours": (neighbours, "neighbours-embedded"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=PARTS, default="tables")
    for stream, count in CLIPS.items():
        parser.add_argument(f"--{stream}", type=_common.count, default=count, help="clips")
    parser.add_argument("--steady", type=_common.count, default=72, help="clips")
    parser.add_argument("--out", type=Path, default=_common.ROOT / "_build" / "ablation")
    parser.add_argument("--keep", action="store_true", help="write what is measured to results/")
    given = parser.parse_args()
    data = "embedded test clips (synthetic)"
    source = _common.provenance("Tables 2 and 3 on embedded clips", data, keep=given.keep)
    measure, name = PARTS[given.part]
    if found := measure(given, source):
        _common.show(found)
        if given.keep:
            _common.save(found, name)


if __name__ == "__main__":
    _common.run(main)
