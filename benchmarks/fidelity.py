"""Table b on real clips: the PSNR of Table 4's methods on the very clips that study.py scores.

    python benchmarks/fidelity.py weizmann=data/weizmann ut_interaction=data/ut_interaction yoga=data/yoga [--keep]

Of each clip the middle frame is restored, with its neighbours where a network wants them. --keep writes
results/fidelity-real.json: small.fidelity.DATASET.METHOD.psnr, and the mean over all clips, DATASET real.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import _common
import torch
from study import PROFILE, STUDIES, enlarged
from tqdm import tqdm

from arsr import evaluation, manifest, records
from arsr.data import folders
from arsr.data.clips import Clip
from arsr.names import title
from arsr_core import metrics, sr
from arsr_core.degrade import modcrop
from arsr_core.errors import InputError
from arsr_core.video import to_tensor

NEIGHBOURS = 3  # on either side, as the widest network wants
METHODS = [method for method in evaluation.TABLE4 if method != "hr" and "+" not in method]


def networks() -> dict[str, torch.nn.Module]:
    """Bicubic enlargement and the shipped networks of Table 4, by method."""
    files = {method: manifest.find(_common.ROOT / "weights", f"{method}-{PROFILE}") for method in METHODS[1:]}
    return {"bicubic": sr.load("bicubic")} | {method: sr.load(method, file) for method, file in files.items()}


def window(clip: Clip) -> tuple[torch.Tensor, int]:
    """The middle frame with its neighbours, (1, T, 3, H, W), and which of the T it is."""
    count = clip.count()
    first, last = max(0, count // 2 - NEIGHBOURS), min(count, count // 2 + NEIGHBOURS + 1)
    return to_tensor(clip.read(range(first, last))), count // 2 - first


def measured(models: dict[str, torch.nn.Module], clips: list[Clip], what: str) -> Iterator[dict[str, float]]:
    """dB by method, clip by clip."""
    for clip in tqdm(clips, what, delay=2, disable=None):
        frames, middle = window(clip)
        hr = modcrop(frames, 4)[:, middle]
        shown = {method: enlarged(frames, model, frames=[middle])[:, 0] for method, model in models.items()}
        yield {method: float(metrics.psnr(frame, hr)) for method, frame in shown.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="DATASET=FOLDER", help=f"of {', '.join(STUDIES)}")
    parser.add_argument("--keep", action="store_true", help="write results/fidelity-real.json")
    given = parser.parse_args()
    roots = dict(word.partition("=")[::2] for word in given.sets)
    _common.require_known(roots, STUDIES)
    if lacking := [name for name, root in roots.items() if not (root and Path(root).is_dir())]:
        raise InputError(f"{lacking[0]}: expected {lacking[0]}=FOLDER, a folder that exists")
    models, values = networks(), {}
    for name, root in roots.items():
        clips = [STUDIES[name].clips(item) for item in folders.items(name, root)]
        values[name] = [*measured(models, clips, title(name))]
    values["real"] = sum(values.values(), [])
    data = f"the middle frames of {', '.join(f'{title(name)} ({len(values[name])})' for name in roots)}"
    source = _common.provenance("PSNR on real clips", data, f"networks of profile {PROFILE}", keep=given.keep)
    found = []
    for name, rows in values.items():
        for method in models:
            key, words = f"small.fidelity.{name}.{method}.psnr", f"PSNR of {title(method)} on {title(name)}"
            found.append(records.mean(key, [row[method] for row in rows], "dB", words, source))
    _common.show(found)
    if given.keep:
        _common.save(found, "fidelity-real")


if __name__ == "__main__":
    _common.run(main)
