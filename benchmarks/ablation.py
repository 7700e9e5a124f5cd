"""Tables 2 and 3 on embedded test clips: every row, every seed, the controls, and the paired contrasts.

    python benchmarks/ablation.py [--spatial 360] [--temporal 180] [--steady 36] [--keep]

Scores lie in --out, one file a network, so what was interrupted goes on; remove the file of a network that was trained
again. Rows whose weights are not in weights/ are left out and named. --keep commits the scores and what follows from
them: results/ablation-embedded.parquet and .json. --steady: clips whose PSNR, flow error, tOF and E_warp are measured,
eight frames each. `torchrun --nproc-per-node 2` in place of `python` scores two clips at a time.
"""

import argparse
from pathlib import Path

import _common
import pandas

from arsr import manifest, processes, scores
from arsr.data import clips
from arsr.embedded import generated
from arsr.studies import ablation
from arsr_core import sr
from arsr_core.files import sha256

STREAMS = {"spatial": "tsn-rgb-lite", "temporal": "tsn-flow-lite"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spatial", type=_common.count, default=360, help="clips")
    parser.add_argument("--temporal", type=int, default=180, help="clips")
    parser.add_argument("--steady", type=_common.count, default=36, help="clips")
    parser.add_argument("--out", type=Path, default=_common.ROOT / "_build" / "ablation")
    parser.add_argument("--keep", action="store_true", help="write results/ablation-embedded.*")
    given = parser.parse_args()
    data = "embedded test clips (synthetic)"
    source = _common.provenance("Tables 2 and 3 on embedded clips", data, keep=given.keep)
    weights, frames, files, found = _common.ROOT / "weights", [], {}, []
    for stream, recogniser in STREAMS.items():
        mine = ablation.networks(weights, stream, ablation.SEEDS)
        lacking = [row for row in ablation.ROWS[stream] if row not in mine]
        print(f"{stream}: {len(mine)} networks" + (f"; not trained: {', '.join(lacking)}" if lacking else ""))
        tests = clips.embedded(getattr(given, stream), "test")
        config = ablation.lite(manifest.find(weights, recogniser), given.out)
        frames.append(ablation.score(mine, stream, config, tests))
        found += ablation.records(frames[-1], f"embedded.ablation.{stream}", source)
        files |= mine
    if not processes.this().is_main_process:
        return
    tests = [ablation.reference(clip.read(range(8, 16))) for clip in generated.clips(given.steady, split="test")]
    models = {name: sr.load(ablation.method(name), file) for name, file in files.items()}
    models |= {"bicubic": sr.load("bicubic"), "hr": None}
    values = {name: ablation.measure(model, tests) for name, model in models.items()}
    found += ablation.compare(values, "embedded.ablation.video", source)
    _common.show(found)
    if given.keep:
        _, header = scores.load(*(given.out / f"{stream}-references.parquet" for stream in STREAMS))
        hashes = {name: sha256(file) for name, file in files.items()}
        header = header.model_copy(update={"weights": hashes, "runs": (source,)})
        _common.save(found, "ablation-embedded")
        print(scores.save(_common.ROOT / "results" / "ablation-embedded.parquet", pandas.concat(frames), header))


if __name__ == "__main__":
    _common.run(main)
