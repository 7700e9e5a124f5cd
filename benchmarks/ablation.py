"""Tables 2 and 3 on embedded test clips: every row, every seed, the controls, the paired contrasts, and their checks.

    python benchmarks/ablation.py [--spatial 864] [--temporal 720] [--steady 72] [--checks] [--keep]

Scores lie in --out, one file a network, so what was interrupted goes on; remove the file of a network that was
trained again. Rows whose weights are not in weights/ are left out and named. --steady: clips of eight frames of which
PSNR, flow error, tOF and E_warp are measured with the networks of Table 3, and of which all networks' frames say
whether a contrast is a test (`arsr.studies.manipulation`); --checks measures that alone. Networks of several frames
are scored with copies of the middle frame, too. --keep commits the scores and what follows from them:
results/ablation-embedded.parquet and .json, results/checks.json. `torchrun --nproc-per-node 2` in place of `python`
scores two clips at a time.
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


def checks(clips: list[ablation.Reference], source: records.Provenance) -> list[records.Record]:
    """Of every contrast with several trainings of an arm, and of the networks of several frames."""
    weights, found, frames = _common.ROOT / "weights", [], {}
    contrasts = [(c.a, c.b) for c in sum(ablation.CONTRASTS.values(), ())]
    contrasts += [pair for pair in (*LOOKS, *ONE) if pair not in contrasts]
    for a, b in contrasts:
        files = ablation.networks(weights, "spatial", ablation.SEEDS, (a, b), PROFILE)
        for name in files.keys() - frames.keys():
            frames[name] = manipulation.frames(sr.load(ablation.method(name), files[name]), clips)
        found += manipulation.records(a, b, {name: frames[name] for name in files}, clips, source)
    for name, file in ablation.networks(weights, "temporal", (0,), SEVERAL, PROFILE).items():
        found += manipulation.neighbours(name, sr.load(ablation.method(name), file), clips, source)
    return found


def frozen(config: evaluate.Evaluation, tests: list[clips.Clip], source: records.Provenance) -> list[records.Record]:
    """Accuracy of the temporal stream with true neighbours less that with copies of the middle frame."""
    found = []
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for stream, count in CLIPS.items():
        parser.add_argument(f"--{stream}", type=_common.count, default=count, help="clips")
    parser.add_argument("--steady", type=_common.count, default=72, help="clips")
    parser.add_argument("--checks", action="store_true", help="what needs no recogniser alone")
    parser.add_argument("--out", type=Path, default=_common.ROOT / "_build" / "ablation")
    parser.add_argument("--keep", action="store_true", help="write results/ablation-embedded.*, results/checks.json")
    given = parser.parse_args()
    data = "embedded test clips (synthetic)"
    source = _common.provenance("Tables 2 and 3 on embedded clips", data, keep=given.keep)
    if processes.this().is_main_process:
        steady = [ablation.reference(clip.read(range(8, 16))) for clip in generated.clips(given.steady, split="test")]
        checked = checks(steady, source)
        _common.show(checked)
        if given.keep:
            _common.save(checked, "checks")
    if given.checks:
        return
    weights, frames, files, found = _common.ROOT / "weights", [], {}, []
    for stream, recogniser in STREAMS.items():
        mine = ablation.networks(weights, stream, ablation.SEEDS, profile=PROFILE)
        lacking = [row for row in ablation.ROWS[stream] if row not in mine]
        print(f"{stream}: {len(mine)} networks" + (f"; not trained: {', '.join(lacking)}" if lacking else ""))
        tests = clips.embedded(getattr(given, stream), "test")
        config = ablation.lite(manifest.find(weights, recogniser), given.out)
        frames.append(ablation.score(mine, stream, config, tests))
        found += ablation.records(frames[-1], f"embedded.ablation.{stream}", source)
        files |= mine
    if not processes.this().is_main_process:
        return
    found += frozen(config, tests[:FROZEN], source)
    models = {name: sr.load(ablation.method(name), file) for name, file in mine.items()}  # of the temporal stream
    models |= {"bicubic": sr.load("bicubic"), "hr": None}
    values = {name: ablation.measure(model, steady) for name, model in models.items()}
    found += ablation.compare(values, "embedded.ablation.video", source)
    _common.show(found)
    if given.keep:
        one = [given.out / f"{stream}-references.parquet" for stream in STREAMS]
        _common.save(found, "ablation-embedded")
        _common.save_scores(pandas.concat(frames), "ablation-embedded", one, files, source)


if __name__ == "__main__":
    _common.run(main)
