"""All that is measured on a GPU, in one run of less than ten minutes, beside what the card allows on paper.

    python benchmarks/gpu.py [flow sr evaluation training] [--report FILE] [--keep]
    python benchmarks/gpu.py --report FILE --keep
    python benchmarks/gpu.py --device cpu --rehearse

Each part prints what it measures as it goes, and ends when its time is up: what it has by then counts.

    flow         TV-L1 of 340x256 pairs: Triton's kernels by batch, plain torch, OpenCV on one core; how far apart
    sr           ms a frame 80x60 -> 320x240 of the published networks, over eager float32; peak memory
    evaluation   frames/s of clips 320x240, from frames to both streams' scores, protocol full, VDSR
    training     steps/s of the published VDSR, SoSR and ToSR networks in bfloat16, batches as in the paper; peak memory

Networks have random weights and clips are synthetic: speed does not depend on them. --keep commits what was measured,
results/speed-gpu.json; where there is no git, --report writes the numbers to a file, of which --keep makes the records
on another machine. Beside torch, flow and sr need what arsr_core does; evaluation and training need pydantic, tyro and
accelerate, and are left out, with a word, where these are missing. --rehearse runs all parts at tiny sizes.

On paper
A lower bound of the time is the larger of (bytes over the memory's speed) and (operations over the peak).
TV-L1's iteration reads 9 and writes 6 float32 a pixel, once each (`arsr_core.flow.dual_tvl1_triton`), and makes about
57 operations: primal step 31, dual steps 2 x 13. One operation a byte is far below what a card needs to be busy: the
memory decides. How many sweeps a pair takes is measured, since pairs stop on their own. Linearisations (9 values, 25 a
pair) and median filters (8 values, one in 30 iterations) are left out: a few per cent.
A network's convolutions and matrix products count 2 operations a product, and each reads its input and writes its
result once, in bfloat16; what lies between them (activation, sum, concatenation) counts as fused, and weights are read
once a batch. Both are counted on a forward of 16x16 px, and hold for each pixel.
"""

import argparse
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import _common
import cv2
import numpy as np
import torch
import torch.nn.functional as F
from _common import row
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from arsr_core import sr
from arsr_core.errors import InputError

CARDS = {  # bytes/s, bfloat16 and float32 operations/s, by the vendor's datasheets
    "H100": (3.35e12, 990e12, 67e12),
    "H200": (4.8e12, 990e12, 67e12),
}
SWEEP = 4 * (9 + 6), 57  # bytes and operations a pixel of an iteration of TV-L1
PRODUCTS = ("convolution", "addmm", "mm", "bmm", "baddbmm")
FULL = dict(batches=(1, 16, 132, 385), networks=("esrgan", "rcan", "srgan", "vdsr", "spmc", "duf16", "duf52"))
FULL |= dict(frames=32, repeats=5, clips=8, length=60, protocol="full", backbone="bn_inception")
FULL |= dict(recipes=("vdsr", "sosr", "tosr"), steps=60, lite=False)
TINY = dict(batches=(1, 2), networks=("vdsr", "esrgan"), frames=1, repeats=1, clips=1, length=12, protocol="lite")
TINY |= dict(backbone="resnet18", recipes=("vdsr", "tosr"), steps=2, lite=True)


# --- on paper


class Traffic(TorchDispatchMode):
    """Counts the numbers that convolutions and matrix products read and write, each once, and their weights."""

    def __init__(self):
        super().__init__()
        self.values = self.weights = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if function.overloadpacket.__name__ in PRODUCTS:
            tensors = [x for x in args if isinstance(x, torch.Tensor)]
            weights = sum(x.numel() for x in tensors if x.requires_grad)
            self.weights += weights
            self.values += sum(x.numel() for x in (*tensors, out)) - weights
        return out


@torch.no_grad()
def on_paper(name: str) -> tuple[float, float, int]:
    """Of a network at its published size: numbers that move and operations for an LR pixel, and weights."""
    model, side = sr.build(name).eval(), 16
    x = torch.rand(1, *([model.frames] if model.frames > 1 else []), 3, side, side)
    with FlopCounterMode(display=False) as operations, Traffic() as traffic:
        model(x)
    return traffic.values / side**2, operations.get_total_flops() / side**2, traffic.weights


def floor(bytes_: float, operations: float, kind: int, measured: float | None) -> str:
    """The lower bounds in words; kind: of the operations, 1 bfloat16, 2 float32. measured: ms on the card at hand."""
    words, here = [], torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    for card, peaks in CARDS.items():
        memory, arithmetic = 1000 * bytes_ / peaks[0], 1000 * operations / peaks[kind]
        words.append(f"{card} {max(memory, arithmetic):.3f} ms (memory {memory:.3f}, arithmetic {arithmetic:.3f})")
        if card in here:
            words[-1] += f", measured {measured:.3f}: {measured / max(memory, arithmetic):.1f} times"
    return "  on paper: " + "; ".join(words)


# --- the parts: each yields the numbers to keep as they come


def flow_(device: str, size: dict) -> Iterator[dict]:
    """TV-L1: pairs/s by batch, plain torch, OpenCV, agreement, the share of each stage."""
    import flow

    if size is TINY:
        flow.SIZE, flow.COPIED = (48, 64), 2**20
    speed, sweeps = 0.0, 0.0
    for number in flow.throughput(device, None, size["batches"], size["repeats"], False):
        yield number | {"key": f"flow.{number['key']}"}
        speed = max(speed, number["value"]) if number["key"].startswith("batch") else speed
        sweeps = number["value"] if number["key"] == "sweeps" else sweeps
    pixels = sweeps * flow.SIZE[0] * flow.SIZE[1]
    print(floor(SWEEP[0] * pixels, SWEEP[1] * pixels, 2, 1000 / speed))


def sr_(device: str, size: dict) -> Iterator[dict]:
    """Super-resolution: ms a frame, the ratio to eager float32, memory."""
    import sr as networks

    lr = (15, 20) if size is TINY else (60, 80)
    for name in size["networks"]:
        _forget(device)
        clip = torch.rand(1, size["frames"], 3, *lr, device=device)
        found = networks.compare(name, clip, size["repeats"], "auto")
        title, ms = sr.METHODS[name].title, 1000 * found["seconds"]
        print(f"{name:8} {ms:9.3f} ms a frame, {found['ratio']:.3f} of eager float32{_peak(device)}", flush=True)
        values, operations, weights = on_paper(name)
        pixels = lr[0] * lr[1]
        bytes_ = 2 * (values * pixels + weights / size["frames"])
        print(floor(bytes_, operations * pixels, 1, ms), flush=True)
        yield row(f"sr.{name}.seconds", found["seconds"], "s", f"{title}: seconds for a frame 80x60 with sr.upscale")
        yield row(f"sr.{name}.ratio", found["ratio"], "", f"{title}: that time over the plain float32 forward's")
        yield from _memory(device, f"sr.{name}", title)


def evaluation(device: str, size: dict) -> Iterator[dict]:
    """The road from frames to scores: frames/s, and the share of each stage."""
    import pipeline as road

    from arsr import evaluate
    from arsr.data.clips import Clip
    from arsr.embedded import generated
    from arsr_core.recognition import PROTOCOLS

    protocol, shape = PROTOCOLS[size["protocol"]], (64, 80) if size is TINY else (240, 320)
    made = [generated.clip(i, size=shape, frames=size["length"]).frames for i in range(size["clips"])]

    def clip(number: int, frames: np.ndarray) -> Clip:
        def read(numbers: Sequence[int] | None = None) -> np.ndarray:
            return frames if numbers is None else frames[list(numbers)]

        return Clip(f"{number}", road.CLASSES[0], 0, f"{number}", read, frames.__len__)

    clips = [clip(number, frames) for number, frames in enumerate(made)]
    with tempfile.TemporaryDirectory() as folder:
        streams, vdsr = road.networks(Path(folder), size["backbone"], protocol)
        config = evaluate.Evaluation(
            "synthetic", "scores.parquet", tuple(map(str, streams.values())), ("vdsr",), {"vdsr": vdsr}, protocol
        )
        pipeline = evaluate.Pipeline(config, road.CLASSES, torch.device(device), "")
        road.new_way(pipeline, clips[:1], None)  # warms up
        wall, clock, *_ = road.new_way(pipeline, clips, None)
    speed, busy = sum(map(len, made)) / wall, sum(clock.seconds.values())
    shares = ", ".join(f"{stage} {seconds / busy:.0%}" for stage, seconds in clock.seconds.items())
    print(f"protocol {protocol.name}, {size['backbone']}: {speed:.1f} frames/s; {shares}", flush=True)
    what = f"clips' frames a second, protocol {protocol.name}, {size['backbone']}, VDSR, TV-L1 as the reference"
    yield row("evaluation.frames", speed, "frames/s", what)


def training(device: str, size: dict) -> Iterator[dict]:
    """Training in bfloat16 with random windows in memory: seconds a step, memory."""
    from arsr.training.loop import fit
    from arsr.training.recipes import RECIPES

    for name in size["recipes"]:
        _forget(device)
        recipe = RECIPES[name]["embedded" if size["lite"] else "paper"]
        method, patch, batch = sr.METHODS[recipe.method], recipe.patch, 2 if size is TINY else recipe.batch
        net = sr.build(recipe.method, **(method.lite if size["lite"] else method.hyper))
        frames = (net.frames,) if net.frames > 1 else ()
        data = [(torch.rand(*frames, 3, patch // 4, patch // 4), torch.rand(3, patch, patch)) for _ in range(4 * batch)]
        how = dict(steps=size["steps"], batch=batch, precision="bfloat16", log_every=max(1, size["steps"] // 3))
        curve = fit(net, data, loss=lambda batch, net: F.mse_loss(net(batch[0]), batch[1]), progress=False, **how)
        step = curve.seconds.iloc[-1] / how["log_every"]  # the first thirds warm up
        waits = curve.waiting.iloc[-1]
        print(f"{name:8} {1 / step:7.2f} steps/s, {waits:.0%} waiting{_peak(device)}", flush=True)
        what = f"{method.title} at its published size: a step of {batch} windows of {patch} px, bfloat16"
        yield row(f"training.{name}.seconds", step, "s", what)
        yield from _memory(device, f"training.{name}", f"{method.title}, training")


PARTS = {"flow": (flow_, 150), "sr": (sr_, 150), "evaluation": (evaluation, 120), "training": (training, 120)}  # s each


def _forget(device: str) -> None:
    if device != "cpu":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak(device: str) -> str:
    return "" if device == "cpu" else f", {torch.cuda.max_memory_allocated() / 1e9:.2f} GB at most"


def _memory(device: str, key: str, title: str) -> Iterator[dict]:
    if device != "cpu":
        yield row(f"{key}.gb", torch.cuda.max_memory_allocated() / 1e9, "", f"{title}: peak of the GPU's memory in GB")


# --- all of them


def measure(parts: list[str], device: str, size: dict) -> dict:
    """The numbers and what they were measured on, as JSON holds them."""
    rows, began = [], time.perf_counter()
    signal.signal(signal.SIGALRM, _time_is_up)
    for part in parts:
        run, box = PARTS[part]
        print(f"\n{part}, at most {box} s", flush=True)
        start = time.perf_counter()
        signal.alarm(box)
        try:
            for number in run(device, size):
                rows.append(number)
        except (ImportError, TimeoutError) as error:
            print(f"{part}: {error}; what is above counts")
        signal.alarm(0)
        print(f"{part}: {time.perf_counter() - start:.0f} s", flush=True)
    print(f"\nall: {time.perf_counter() - began:.0f} s, {len(rows)} numbers")
    return {
        "command": "python benchmarks/gpu.py",
        "data": "embedded clips and random frames (synthetic)",
        "machine": f"{os.cpu_count()} cores, {torch.cuda.get_device_name() if device != 'cpu' else 'no GPU'}",
        "note": f"random weights; medians of {size['repeats']} repeats",
        "versions": {"torch": torch.__version__, "opencv": cv2.__version__, "numpy": np.__version__},
        "rows": rows,
    }


def _time_is_up(*_) -> None:
    raise TimeoutError("its time is up")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=[*PARTS], metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--rehearse", action="store_true", help="tiny sizes: does everything run?")
    parser.add_argument("--report", type=Path, metavar="FILE", help="the numbers as JSON: read where it exists")
    parser.add_argument("--keep", action="store_true", help="write the numbers to results/ as measurements")
    given = parser.parse_args()
    _common.require_known(given.parts, PARTS)
    if given.report and given.report.exists():
        found = json.loads(given.report.read_text())
    elif given.device == "cuda" and not torch.cuda.is_available():
        raise InputError("torch finds no CUDA device here; --device cpu --rehearse runs all parts at tiny sizes")
    elif given.keep and given.rehearse:
        raise InputError("a rehearsal measures nothing: leave out --keep")
    else:
        torch.set_num_threads(1)  # of OpenCV on one core, and of a rehearsal
        cv2.setNumThreads(1)
        found = measure(given.parts, given.device, TINY if given.rehearse else FULL)
        if given.report:
            given.report.write_text(json.dumps(found, indent=1) + "\n")
    if given.keep:
        _common.keep(found, "Speed on a GPU", "speed.gpu", "arsr", "arsr_core")


if __name__ == "__main__":
    _common.run(main)
