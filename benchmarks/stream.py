"""The temporal stream of one embedded clip, from its frames to its scores: seconds by backend of TV-L1, on one thread.

    python benchmarks/stream.py [--clips 6] [--preset fast] [--repeats 3] [--keep]

Each clip is shrunk by four, enlarged by bicubic interpolation, its flow estimated by TV-L1 and scored by the shipped
lite TSN: `evaluate`'s own road. "auto" is what a CPU gets, "torch" the plain PyTorch of TV-L1, with which the first
edition took 2.7 s, "opencv" OpenCV's. Seconds are the processor's; backends take turns. Scores are compared with
those of OpenCV's flow. --keep commits what was measured: results/speed-stream.json.
"""

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

import _common
import numpy as np
import torch

from arsr import evaluate
from arsr.data import clips
from arsr.embedded.actions import ACTIONS
from arsr_core import flow, recognition

BACKENDS = ("auto", "torch", "opencv")
WORDS = {
    "seconds": ("seconds of the processor for a clip", "s"),
    "ratio": ("that time over OpenCV's", ""),
    "apart": ("mean difference of the scores from those of OpenCV's flow, of their spread", ""),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=_common.count, default=6)
    parser.add_argument("--preset", choices=flow.PRESETS, default="fast")
    parser.add_argument("--repeats", type=_common.count, default=3)
    parser.add_argument("--keep", action="store_true", help="write the times to results/ as measurements")
    given = parser.parse_args()
    torch.set_num_threads(1)
    made = [(clip, clip.read()) for clip in clips.embedded(given.clips, "test")]
    chosen = [replace(clip, read=lambda numbers, frames=frames: frames[list(numbers)]) for clip, frames in made]
    weights = str(_common.ROOT / "weights" / "tsn-flow-lite.safetensors")
    how = dict(protocol=recognition.PROTOCOLS["lite"], flow=given.preset, device="cpu", workers=1)
    pipelines = {}
    for backend in BACKENDS:
        config = evaluate.Evaluation("embedded", Path("-"), (weights,), ("bicubic",), backend=backend, **how)
        pipelines[backend] = evaluate.Pipeline(config, tuple(ACTIONS), torch.device("cpu"), "")
    times, made = {backend: [] for backend in BACKENDS}, {}
    for number in range(given.repeats + 1):  # the first warms up
        for backend, pipeline in pipelines.items():
            began = time.process_time()
            rows = [row for part in pipeline.run((clip, pipeline.units) for clip in chosen) for row in part]
            if number:
                times[backend].append((time.process_time() - began) / len(chosen))
            made[backend] = np.array([row["scores"] for row in rows])
    found = {}
    for backend in BACKENDS:
        ratio = statistics.median(a / b for a, b in zip(times[backend], times["opencv"], strict=True))
        apart = np.abs(made[backend] - made["opencv"]).mean() / made["opencv"].std()
        found[backend] = {"seconds": statistics.median(times[backend]), "ratio": ratio, "apart": apart}
        print(
            f"{backend:8} {found[backend]['seconds']:6.2f} s a clip, {ratio:5.2f} of OpenCV's; scores {apart:.4f} apart"
        )
    if given.keep:
        note = f"one thread; medians of {given.repeats} alternating repeats"
        source = _common.provenance("Speed of the temporal stream", f"{given.clips} embedded clips (synthetic)", note)
        title = f"temporal stream of an embedded clip, TV-L1 preset {given.preset}, {{}}".format
        _common.save(
            _common.as_records(found, f"speed.stream.{given.preset}", WORDS, title, source),
            f"speed-stream-{given.preset}",
        )


if __name__ == "__main__":
    _common.run(main)
