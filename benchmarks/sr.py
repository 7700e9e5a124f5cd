"""Time, result and memory of arsr_core.sr.upscaling against the plain eager float32 forward and the neighbours.

    python benchmarks/sr.py [--networks esrgan rcan ...] [--device cpu] [--threads 1] [--repeats 3] [--keep]
    python benchmarks/sr.py --memory [--threads 1] [--keep]

A synthetic clip of 4 frames, 3x60x80 -> 3x240x320, through networks of their published sizes with RANDOM weights, whose
output is stretched to the mean and contrast of an image (0.5, 0.2). All in one process; repeats alternate, so that a
noisy machine slows all alike; a ratio of medians below 1: upscale is faster. On a CPU seconds are the processor's, of
all threads. `apart` is the PSNR between the two results, `loss` what `upscale` costs in PSNR at 30 dB, where
super-resolution works. Random layers carry on more of bfloat16's rounding than trained ones, VDSR's most;
tests/test_sr_upscaling.py measures the loss with published weights where they are. BasicSR's and spandrel's RRDBNet
join, with the same weights, where they can be imported; where not, the reason is printed and kept.

--memory prints the peak of resident memory, each case in a process of its own: clips of 500 and of 50 frames, 80x60 ->
320x240, as a stream (the two should agree) and as a tensor (which holds the clip and its result), and one frame of
1280x720 -> 5120x2880. --keep commits what was measured: results/speed-sr.json, results/memory-sr.json.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from arsr_core import metrics, results
from arsr_core.degrade import imresize
from arsr_core.sr import METHODS, build
from arsr_core.sr.upscaling import upscale, upscale_frames

NETWORKS = ("esrgan", "rcan", "srgan", "vdsr", "spmc", "duf16", "duf28", "duf52")  # esrgan is RRDBNet, srgan SRResNet
FRAMES = 4
ROOT = Path(__file__).parents[1]


def peers(ours: nn.Module) -> Iterator[tuple[str, nn.Module | ImportError]]:
    """The neighbours' RRDBNet 64/23 with our weights, or why they do not import."""
    try:
        from basicsr.archs.rrdbnet_arch import RRDBNet as Theirs

        theirs = Theirs(num_in_ch=3, num_out_ch=3, scale=4, num_feat=64, num_block=23, num_grow_ch=32)
        theirs.load_state_dict(ours.state_dict())
        yield "basicsr", theirs
    except ImportError as error:
        yield "basicsr", error
    try:
        from spandrel import ModelLoader

        yield "spandrel", ModelLoader(device="cpu").load_from_state_dict(dict(ours.state_dict())).model
    except ImportError as error:
        yield "spandrel", error


@torch.inference_mode()
def eager(model: nn.Module, clip: torch.Tensor) -> torch.Tensor:
    """What a user writes without `upscale`: one forward a frame, windows by repeating the clip's ends."""
    radius = getattr(model, "frames", 1) // 2
    results = []
    for t in range(clip.shape[1]):
        window = clip[:, [min(max(i, 0), clip.shape[1] - 1) for i in range(t - radius, t + radius + 1)]]
        results.append(model(window if radius else window[:, 0]).clamp(0, 1))
    return torch.stack(results, 1)


@torch.inference_mode()
def contrast(model: nn.Module, clip: torch.Tensor) -> nn.Module:
    """The network, its output from now on with the mean and contrast of an image."""
    y = model(clip[:, :1].expand(-1, model.frames, -1, -1, -1) if model.frames > 1 else clip[:, 0])
    mean, std = y.mean().item(), y.std().item()
    model.register_forward_hook(lambda model, x, y: (y - mean) * (0.2 / std) + 0.5)
    return model


def seconds(call: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
    wall, processor = time.perf_counter(), time.process_time()
    result = call()
    if not result.is_cuda:
        return time.process_time() - processor, result
    torch.cuda.synchronize()
    return time.perf_counter() - wall, result


def compare(name: str, model: nn.Module, clip: torch.Tensor, repeats: int, precision: str) -> tuple[float, float]:
    """Prints a row; returns the seconds a frame of `upscale` and of the eager forward."""

    def ours() -> torch.Tensor:
        return upscale(model, clip, precision=precision)

    calls = ours, lambda: eager(model, clip)
    (_, sr), (_, plain) = map(seconds, calls)  # warm up
    hr = plain + 10 ** (-30 / 20) * torch.randn_like(plain)
    loss = (metrics.psnr(plain, hr) - metrics.psnr(sr, hr)).item()
    apart = metrics.psnr(sr, plain).item()
    times = [[seconds(call)[0] / clip.shape[1] for call in calls] for _ in range(repeats)]
    a, b = map(statistics.median, zip(*times, strict=True))
    print(f"{name:10} {a:8.4f} {b:8.4f} {a / b:6.2f} {loss:10.4f} {apart:8.1f}", flush=True)
    return a, b


def compare_peers(ours: nn.Module, clip: torch.Tensor, repeats: int) -> tuple[dict[str, tuple[float, float]], str]:
    """Ratio of times and relative difference of outputs for each neighbour that imports; why the others do not."""
    found, absent = {}, []
    for name, theirs in peers(ours):
        if isinstance(theirs, ImportError):
            absent.append(f"{name} was not compared: {theirs}")
            print(absent[-1])
            continue
        theirs = theirs.eval().to(clip.device)
        calls = lambda: upscale(ours, clip), lambda theirs=theirs: eager(theirs, clip)
        for call in calls:
            call()
        times = [[seconds(call)[0] for call in calls] for _ in range(repeats)]
        a, b = map(statistics.median, zip(*times, strict=True))
        with torch.inference_mode():
            expected = ours(clip[:, 0])
            difference = ((theirs(clip[:, 0]) - expected).abs().max() / expected.std()).item()
        print(f"esrgan: upscale / {name} eager float32 = {a / b:.2f}; outputs {difference:.1e} of their std apart")
        found[name] = a / b, difference
    return found, "; ".join(absent)


CASES = {  # network, LR height and width, frames, front
    "srgan": ("srgan", 60, 80, 500, "stream"),
    "srgan-50": ("srgan", 60, 80, 50, "stream"),
    "esrgan": ("esrgan", 60, 80, 500, "stream"),
    "duf16": ("duf16", 60, 80, 500, "stream"),
    "duf16-50": ("duf16", 60, 80, 50, "stream"),
    "srgan-tensor": ("srgan", 60, 80, 500, "tensor"),
    "srgan-720p": ("srgan", 720, 1280, 1, "stream"),
    "esrgan-720p": ("esrgan", 720, 1280, 1, "stream"),
}


def memory(case: str) -> None:
    """Runs one case and prints this process's peak of resident memory, in GB, as the last word."""
    network, height, width, count, front = CASES[case]
    model = build(network).eval()
    if front == "tensor":
        done = upscale(model, torch.rand(1, count, 3, height, width)).shape[1]
    else:
        rng = np.random.default_rng(0)
        frames = (rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(count))
        done = sum(1 for _ in upscale_frames(model, frames))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(f"{case}: {done} frame(s) {width}x{height} -> {4 * width}x{4 * height}, {front}: peak resident GB {peak:.3f}")


def provenance(options: argparse.Namespace, what: str, data: str, note: str) -> results.Provenance:
    return results.Provenance(
        kind="measured",
        source=f"{what} of super-resolution",
        command=f"python benchmarks/sr.py {'--memory ' if options.memory else ''}--threads {options.threads} "
        f"--repeats {options.repeats} --keep",
        data=data,
        machine=results.machine(),
        code=results.commit(ROOT, "arsr_core", "benchmarks"),
        note=f"random weights; {options.threads} thread(s); {note}",
        versions=results.versions(),
    )


def keep_memory(peaks: dict[str, float], options: argparse.Namespace) -> None:
    source = provenance(options, "Memory", "synthetic frames", "resident, with Python, torch and the weights")
    kept = []
    for case, peak in peaks.items():
        network, height, width, count, front = CASES[case]
        what = f"{METHODS[network].title}: peak memory in GB, {count} frame(s) {width}x{height} as a {front}"
        kept.append(results.Record(key=f"memory.{case}.gb", value=peak, description=what, provenance=source))
    print(f"kept: {results.save(kept, ROOT / 'results' / 'memory-sr.json')}")


def keep(
    times: dict[str, tuple[float, float]],
    found: dict[str, tuple[float, float]],
    absent: str,
    options: argparse.Namespace,
) -> None:
    clock = "processor seconds" if options.device == "cpu" else "seconds"
    note = f"{clock}, medians of {options.repeats} alternating repeats"
    data = "a synthetic clip of 4 frames, 80x60 -> 320x240"
    source = provenance(options, "Speed", data, f"{note}; {absent}" if absent else note)
    kept = []

    def add(key: str, value: float, unit: str, what: str) -> None:
        kept.append(results.Record(key=f"speed.{key}", value=value, unit=unit, description=what, provenance=source))

    for name, (ours, eager_) in times.items():
        title = METHODS[name].title
        add(
            f"{name}.seconds", ours, "s", f"{title}: seconds for a frame with sr.upscale, {options.precision} precision"
        )
        add(f"{name}.ratio", ours / eager_, "", f"{title}: that time over the plain float32 forward's")
    for peer, (ratio, difference) in found.items():
        add(f"esrgan.{peer}.ratio", ratio, "", f"ESRGAN: time of sr.upscale over that of {peer}'s float32 forward")
        what = f"ESRGAN: largest difference between our and {peer}'s float32 output, of the output's deviation"
        add(f"esrgan.{peer}.difference", difference, "", what)
    print(f"kept: {results.save(kept, ROOT / 'results' / 'speed-sr.json')}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS, metavar="NAME")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--keep", action="store_true", help="write the times to results/ as measurements")
    parser.add_argument("--memory", nargs="?", const="all", choices=("all", *CASES), metavar="CASE")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory == "all":
        peaks = {}
        for case in CASES:
            command = [sys.executable, __file__, "--memory", case, "--threads", str(options.threads)]
            line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
            print(line, flush=True)
            peaks[case] = float(line.split()[-1])
        return keep_memory(peaks, options) if options.keep else None
    if options.memory:
        return memory(options.memory)
    print(f"torch {torch.__version__}, {options.device}, {options.threads} thread(s), random weights, seconds a frame")
    print(f"{'network':10} {'upscale':>8} {'eager':>8} {'ratio':>6} {'loss [dB]':>10} {'apart':>8}")
    torch.manual_seed(0)
    clip = imresize(torch.rand(1, FRAMES, 3, 15, 20), 4).clamp(0, 1).to(options.device)  # soft, as images are
    times = {}
    for name in options.networks:
        model = contrast(build(name).eval().to(options.device), clip)
        times[name] = compare(name, model, clip, options.repeats, options.precision)
    found, absent = {}, ""
    if NETWORKS[0] in options.networks:
        found, absent = compare_peers(build("esrgan").eval().to(options.device), clip, options.repeats)
    if options.keep:
        keep(times, found, absent, options)
    return None


if __name__ == "__main__":
    main()
