"""TV-L1 flow beside its neighbours: time and accuracy in one process; on a GPU also pairs/s and where the time goes.

    python benchmarks/flow.py [--data FOLDER] [--repeats 3] [--keep]
    python benchmarks/flow.py --device cuda [--data FOLDER] [--batches 1 16 64 256] [--tune] [--report FILE]
    python benchmarks/flow.py --report FILE --keep

--data: a folder with `flow/` (RubberWhale and FlyingChairs, with truth), `clips/` and `vid4/walk/` (without); else
embedded clips, whose flow is exact. Each method sees the same 8-bit pairs one after another on one thread, the methods
in turn, so that a noisy machine slows all alike. Seconds are the processor's; the ratio is of total times, the median
of the repeats. `sensitivity` is how far OpenCV's own flow moves when one frame changes by a random 1e-4 of a grey
level: no other program can be expected to meet it more closely.

--device cuda measures 340x256 pairs instead: pairs/s by batch, against OpenCV on one core of the same machine (where
OpenCV has its contributed modules), the share of each stage, and how far the iterations are from the time that their
bytes take at the card's own copy speed. --tune tries the kernels' chunk sizes and block sizes first. --report writes
the numbers to a file, from which --keep makes the committed records on another machine: results/flow-*.json.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import _common
import cv2
import numpy as np
import torch
from _common import row

from arsr_core import metrics
from arsr_core.colour import to_grey
from arsr_core.flow import PRESETS, TVL1, tvl1
from arsr_core.flow import dual_tvl1 as ours
from arsr_core.flow.estimation import fastest

SIZE = (256, 340)  # TSN's
VALUES = {"cuda": 9 + 6, "cpu": 11 + 6}  # float32 a pixel that one iteration of the compiled steps reads and writes
COPIED = 2**28  # float32 whose copy gives the memory's speed


class Pair(NamedTuple):
    name: str
    frame0: torch.Tensor  # uint8 (1, 3, H, W)
    frame1: torch.Tensor
    truth: torch.Tensor | None = None  # (1, 2, H, W)
    known: torch.Tensor | None = None  # bool (1, 1, H, W)


# --- pairs


def pairs(data: Path | None) -> list[Pair]:
    return [*real(data)] if data else [*embedded()]


def real(data: Path) -> Iterator[Pair]:
    for name in ("rubberwhale", "chairs0", "chairs1", "chairs2"):
        frames = (read(data / "flow" / f"{name}_frame{i}.png") for i in (0, 1))
        truth = torch.from_numpy(cv2.readOpticalFlow(str(data / "flow" / f"{name}_gt.flo"))).permute(2, 0, 1)[None]
        yield Pair(name, *frames, truth, (truth.abs() < 1e9).all(1, keepdim=True))
    for path in sorted(p for p in (data / "clips").rglob("*") if p.suffix in (".avi", ".mp4")):
        video = cv2.VideoCapture(str(path))
        frames = [cv2.resize(video.read()[1], SIZE[::-1]) for _ in range(22)][-2:]
        yield Pair(path.stem, *map(as_tensor, frames))
    yield Pair("walk", *(read(data / "vid4" / "walk" / f"frame_{i:03}.png") for i in (7, 8)))


def embedded() -> Iterator[Pair]:
    from arsr.embedded import generated

    for clip in generated.clips(9, split="test", size=SIZE, frames=16):
        frames = torch.from_numpy(clip.frames[7:9]).permute(0, 3, 1, 2)
        truth, seen = torch.from_numpy(clip.flow[7:8]), torch.from_numpy(clip.valid[7:8, None])
        yield Pair(f"{clip.action} {clip.index}", frames[:1], frames[1:], truth, seen)


def read(path: Path) -> torch.Tensor:
    return as_tensor(cv2.imread(str(path)))


def as_tensor(bgr: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(bgr[..., ::-1].copy()).permute(2, 0, 1)[None]


# --- methods: grey uint8 (H, W) twice -> (H, W, 2)


def dis(grey0: np.ndarray, grey1: np.ndarray) -> np.ndarray:
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(grey0, grey1, None)


def farneback(grey0: np.ndarray, grey1: np.ndarray) -> np.ndarray:
    return cv2.calcOpticalFlowFarneback(grey0, grey1, None, 0.5, 3, 15, 3, 5, 1.2, 0)


def skimage(grey0: np.ndarray, grey1: np.ndarray) -> np.ndarray:
    from skimage.registration import optical_flow_tvl1

    v, u = optical_flow_tvl1(grey0, grey1)
    return np.stack((u, v), -1)


def on_grey(method: Callable, frame0: torch.Tensor, frame1: torch.Tensor) -> torch.Tensor:
    flow = method(*(to_grey(x)[0].numpy() for x in (frame0, frame1)))
    return torch.from_numpy(flow).permute(2, 0, 1)[None]


METHODS = {
    "opencv": partial(tvl1, backend="opencv"),
    "opencv-fast": partial(tvl1, backend="opencv", **PRESETS["fast"]),
    "compiled": tvl1,
    "compiled-fast": partial(tvl1, **PRESETS["fast"]),
    "torch": partial(tvl1, backend="torch"),
    "torch-fast": partial(tvl1, backend="torch", **PRESETS["fast"]),
    "skimage": partial(on_grey, skimage),
    "dis": partial(on_grey, dis),
    "farneback": partial(on_grey, farneback),
}
TITLES = {
    "opencv": "OpenCV TV-L1",
    "opencv-fast": "OpenCV TV-L1, preset fast",
    "compiled": "our TV-L1, compiled",
    "compiled-fast": "our TV-L1, compiled, preset fast",
    "torch": "our TV-L1 in torch",
    "torch-fast": "our TV-L1 in torch, preset fast",
    "skimage": "scikit-image TV-L1",
    "dis": "DIS, medium",
    "farneback": "Farneback",
}


# --- on a CPU


def compare(data: Path | None, repeats: int) -> list[dict]:
    """Prints a row for each method; returns the numbers to keep."""
    chosen = pairs(data)
    times = {name: np.zeros((repeats, len(chosen))) for name in METHODS}
    flows = {name: [] for name in METHODS}
    tvl1(*chosen[0][1:3])  # compiles
    for i, pair in enumerate(chosen):
        for repeat in range(repeats):
            for name, method in METHODS.items():
                begin = time.process_time()
                flow = method(pair.frame0, pair.frame1)
                times[name][repeat, i] = time.process_time() - begin
                if repeat == 0:
                    flows[name].append(flow)
        print(f"{pair.name:50} {epe(flows['compiled'][i], flows['opencv'][i]):.4f} px from OpenCV", flush=True)

    rows = []
    true = [i for i, pair in enumerate(chosen) if pair.truth is not None]
    print(f"\n{'method':12} {'s/pair':>8} {'ratio':>7} {'to OpenCV [px]':>15} {'to the truth [px], in turn':>20}")
    for name in METHODS:
        title, total = TITLES[name], times[name].sum(1)
        time_ = statistics.median(total) / len(chosen)
        ratio = statistics.median(total / times["opencv"].sum(1))
        apart = statistics.mean(epe(*both) for both in zip(flows[name], flows["opencv"], strict=True))
        errors = [epe(flows[name][i], chosen[i].truth, chosen[i].known) for i in true]
        print(f"{name:12} {time_:8.4f} {ratio:7.4f} {apart:15.4f}    ", *(f"{e:.4f}" for e in errors), flush=True)
        rows.append(row(f"{name}.seconds", time_, "s", f"{title}: CPU seconds for a pair, one thread"))
        rows.append(row(f"{name}.ratio", ratio, "", f"{title}: that time over OpenCV TV-L1's"))
        rows.append(row(f"{name}.apart", apart, "px", f"{title}: mean EPE to OpenCV TV-L1's flow, mean of the pairs"))
        if data:
            rows.append(row(f"{name}.rubberwhale", errors[0], "px", f"{title}: mean EPE to the truth of RubberWhale"))
            what = f"{title}: mean EPE to the truth of three FlyingChairs pairs"
            rows.append(row(f"{name}.chairs", statistics.mean(errors[1:]), "px", what))
        else:
            what = f"{title}: mean EPE to the exact flow where it can be seen"
            rows.append(row(f"{name}.truth", statistics.mean(errors), "px", what))
    moved = sensitivity(chosen, flows["opencv"])
    print(f"sensitivity of OpenCV TV-L1: {moved:.4f} px")
    what = "OpenCV TV-L1: mean EPE between its flow and that with one frame changed by 1e-4 of a grey level"
    rows.append(row("opencv.sensitivity", moved, "px", what))
    return rows + stages([to_grey(x) for x in chosen[-1][1:3]])


def sensitivity(chosen: list[Pair], flows: list[torch.Tensor]) -> float:
    rng, moved = np.random.default_rng(0), []
    for pair, flow in zip(chosen, flows, strict=True):
        grey0, grey1 = (to_grey(x)[0].numpy().astype(np.float32) / 255 for x in (pair.frame0, pair.frame1))
        grey0 += (1e-4 / 255 * rng.standard_normal(grey0.shape)).astype(np.float32)
        other = cv2.optflow.DualTVL1OpticalFlow_create().calc(grey0, grey1, None)
        moved.append(epe(torch.from_numpy(other).permute(2, 0, 1)[None], flow))
    return statistics.mean(moved)


def epe(*flows: torch.Tensor) -> float:
    return metrics.epe(*flows).mean().item()


# --- on a GPU


def throughput(device: str, data: Path | None, batches: list[int], repeats: int, tune: bool) -> Iterator[dict]:
    """Prints pairs/s by batch and what they rest on; yields the numbers to keep as they come."""
    chosen = [pair for pair in pairs(data) if pair.frame0.shape[-2:] == SIZE]
    frames = [torch.cat(frames) for frames in zip(*(pair[1:3] for pair in chosen), strict=True)]
    print(f"{len(chosen)} distinct pairs of 340x256, repeated to fill a batch")

    def batch(n: int) -> list[torch.Tensor]:
        return [to_grey(x)[torch.arange(n) % len(x)].to(device) for x in frames]

    def rate(n: int, steps: tuple | None = None) -> float:
        greys = batch(n)
        call = partial(ours.dual_tvl1, *greys, steps=steps or fastest(greys[0].device))
        call()  # compiles
        return n / statistics.median(seconds(call)[0] for _ in range(repeats))

    if tune:
        choose(lambda: rate(max(batches)))
    plain = ours.linearise, ours.solve
    kernels = "our kernels" if fastest(torch.device(device)) else "plain torch"
    rates = {}
    for n in batches:
        rates[n] = rate(n)
        print(f"{kernels}, batch {n:4}: {rates[n]:8.1f} pairs/s", flush=True)
        yield row(f"batch-{n}", rates[n], "frames/s", f"our TV-L1, {kernels}: pairs/s in batches of {n}")
    print(f"peak memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    n, best = max(rates.items(), key=lambda item: item[1])
    eager = rate(16, plain)
    print(f"plain torch, batch   16: {eager:8.1f} pairs/s", flush=True)
    yield row("plain", eager, "frames/s", "our TV-L1, plain torch: pairs/s in batches of 16")

    found = tvl1(*(x.to(device) for x in frames)).cpu()
    apart = epe(found, tvl1(*frames, backend="torch"))
    print(f"from our TV-L1 on a CPU: {apart:.4f} px")
    yield row("apart", apart, "px", "our TV-L1: mean EPE between GPU and CPU")
    if hasattr(cv2, "optflow"):
        time_, theirs = seconds(lambda: tvl1(*frames, backend="opencv"))
        core, apart = len(chosen) / time_, epe(found, theirs)
        print(f"OpenCV, one core: {core:.2f} pairs/s, {core / best:.5f} of the GPU's; {apart:.4f} px apart", flush=True)
        yield row("ratio", best / core, "", "our TV-L1 on the GPU: pairs/s over those of OpenCV on one core")
        yield row("opencv", apart, "px", "our TV-L1 on the GPU: mean EPE to OpenCV's flow")
    else:
        print("OpenCV: not compared, it lacks its contributed modules")
    yield from stages(batch(n))


def stages(frames: list[torch.Tensor]) -> list[dict]:
    """The share of each stage, and the iterations' time over that of a copy of their bytes."""
    linearise, solve = fastest(frames[0].device) or (ours.linearise, ours.solve)
    spent = {"linearisation": 0.0, "iterations": 0.0, "median filter": 0.0}
    moved, filters = 0, dict[torch.Size, int]()  # bytes that iterations move; filters by the shape of the flow

    def timed_linearise(*arguments):
        time_, linear = seconds(lambda: linearise(*arguments))
        spent["linearisation"] += time_
        return linear

    def timed_solve(flow, dual, linear, parameters):
        nonlocal moved
        time_, count = seconds(lambda: solve(flow, dual, linear, parameters))
        spent["iterations"] += time_
        moved += int(count.sum()) * flow.shape[-2:].numel() * VALUES[flow.device.type] * 4
        filters[flow.shape] = filters.get(flow.shape, 0) + int((count / parameters.inner).ceil().sum())

    ours.dual_tvl1(*frames, steps=(linearise, solve))  # compiles
    total, _ = seconds(lambda: ours.dual_tvl1(*frames, steps=(timed_linearise, timed_solve)))
    device = frames[0].device
    spent["median filter"] = sum(n * median_time(solve, shape, device) for shape, n in filters.items())
    spent["iterations"] -= spent["median filter"]
    spent["pyramid and the rest"] = total - sum(spent.values())
    ratio = spent["iterations"] / moved * copy_speed(device)
    print(f"batch {len(frames[0])}: " + ", ".join(f"{name} {value / total:.0%}" for name, value in spent.items()))
    print(f"iterations: {moved / 2**30:.1f} GiB in {spent['iterations']:.3f} s, {ratio:.2f} times the time of a copy")
    where = "on the GPU" if device.type == "cuda" else "compiled for a CPU"
    what = f"our TV-L1 {where}: share of the time, "
    rows = [row(f"share.{name.split()[0]}", 100 * value / total, "%", what + name) for name, value in spent.items()]
    bytes_ = 4 * VALUES[device.type]
    what = f"our TV-L1 {where}: time of the iterations over that of a copy of their bytes, {bytes_} a pixel"
    rows.append(row("floor", ratio, "", what))
    what = f"our TV-L1 {where}: iterations over all levels and linearisations, in sweeps of a whole frame a pair"
    sweeps = moved / bytes_ / frames[0].numel()
    return [*rows, row("sweeps", sweeps, "", what)]


def median_time(solve: Callable, shape: torch.Size, device: torch.device) -> float:
    """Seconds for a median filter of one pair in a batch of this shape: what it adds to fixed iterations."""

    def run(median: int) -> float:
        linear = torch.randn(shape[0], 3, *shape[2:], device=device)
        flow, dual = linear.new_zeros(shape), linear.new_zeros(2, *shape)
        return seconds(lambda: solve(flow, dual, linear, TVL1(inner=1, outer=20, epsilon=1e-9, median=median)))[0]

    run(1), run(5)  # compile
    return max(0.0, run(5) - run(1)) / 20 / shape[0]


def copy_speed(device: torch.device) -> float:
    """Bytes a second that a copy within the device's memory reads and writes."""
    source = torch.ones(COPIED, device=device)
    target = torch.empty_like(source)
    speed = 2 * source.nbytes / min(seconds(lambda: target.copy_(source))[0] for _ in range(20))
    print(f"copy: {speed / 1e12:.3f} TB/s")
    return speed


def choose(rate: Callable[[], float]) -> None:
    """Times the kernels with chunks and blocks of several sizes and leaves the best chosen."""
    from arsr_core.flow import dual_tvl1_triton as fused

    rates = {}
    for fused.CHUNK, fused.WARPS in ((512, 8), (1024, 8), (1024, 16), (2048, 16), (2048, 32), (4096, 32)):
        rates[fused.CHUNK, fused.WARPS] = rate()
        print(f"CHUNK {fused.CHUNK}, WARPS {fused.WARPS}: {rates[fused.CHUNK, fused.WARPS]:.1f} pairs/s", flush=True)
    fused.CHUNK, fused.WARPS = max(rates, key=rates.get)


def seconds(call: Callable) -> tuple[float, torch.Tensor]:
    synchronise = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    synchronise()
    begin = time.perf_counter()
    result = call()
    synchronise()
    return time.perf_counter() - begin, result


# --- numbers


def measure(options: argparse.Namespace) -> dict:
    """The numbers and what they were measured on, as JSON holds them."""
    on_gpu, data = options.device != "cpu", options.data
    if on_gpu:
        rows = [*throughput(options.device, data, options.batches, options.repeats, options.tune)]
    else:
        rows = compare(data, options.repeats)
    return {
        "name": "gpu" if on_gpu else "real" if data else "embedded",
        "command": f"python benchmarks/flow.py{' --data FOLDER' if data else ''} --device {options.device}",
        "data": "RubberWhale, FlyingChairs (3), HMDB51 (4), Kinetics (3), UCF101 (2), Vid4 walk; one pair of each"
        if data
        else "9 pairs of embedded clips, 340x256",
        "machine": f"{os.cpu_count()} cores, {torch.cuda.get_device_name() if on_gpu else 'no GPU'}",
        "note": f"medians of {options.repeats} repeats; one thread on the CPU",
        "versions": {"torch": torch.__version__, "opencv": cv2.__version__, "numpy": np.__version__},
        "rows": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--batches", type=_common.count, nargs="+", default=(1, 4, 16, 64, 132, 264, 385))
    parser.add_argument("--repeats", type=_common.count, default=3)
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--report", type=Path, metavar="FILE", help="the numbers as JSON: read where it exists")
    parser.add_argument("--keep", action="store_true", help="write the numbers to results/ as measurements")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if options.report and options.report.exists():
        found = json.loads(options.report.read_text())
    else:
        found = measure(options)
        if options.report:
            options.report.write_text(json.dumps(found, indent=1) + "\n")
    if options.keep:
        _common.keep(found, "Optical flow", f"flow.{found['name']}", "arsr_core/flow")


if __name__ == "__main__":
    _common.run(main)
