"""Time and result of arsr_core.sr.upscaling.upscale against the plain eager float32 forward, in one process.

    python benchmarks/sr.py [--networks esrgan rcan ...] [--device cpu] [--threads 1] [--repeats 3] [--keep]
    python benchmarks/sr.py --memory

A synthetic clip of 4 frames, 3x60x80 -> 3x240x320, through networks of their published sizes with RANDOM weights, whose
output is stretched to the mean and contrast of an image (0.5, 0.2). Repeats alternate, so that a noisy machine slows
both alike; a ratio of medians below 1: upscale is faster. `apart` is the PSNR between the two results, `loss` what
`upscale` costs in PSNR at 30 dB, where super-resolution works. Random layers carry on more of bfloat16's rounding than
trained ones, VDSR's most; tests/test_sr_upscaling.py measures the loss with published weights where they are.
BasicSR's and spandrel's RRDBNet join where they can be imported.

--memory streams a synthetic clip of 500 frames, 80x60 -> 320x240, and then of 50, each in a process of its own, through
a small network and prints the peak of resident memory: the two should agree.
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


def peers(ours: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The neighbours' RRDBNet 64/23 with our weights, where they import."""
    try:
        from basicsr.archs.rrdbnet_arch import RRDBNet as Theirs

        theirs = Theirs(num_in_ch=3, num_out_ch=3, scale=4, num_feat=64, num_block=23, num_grow_ch=32)
        theirs.load_state_dict(ours.state_dict())
        yield "basicsr", theirs
    except ImportError as error:
        print(f"basicsr: not compared ({error})")
    try:
        from spandrel import ModelLoader

        yield "spandrel", ModelLoader(device="cpu").load_from_state_dict(dict(ours.state_dict())).model
    except ImportError as error:
        print(f"spandrel: not compared ({error})")


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
    begin = time.perf_counter()
    result = call()
    if result.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - begin, result


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


def compare_peers(ours: nn.Module, clip: torch.Tensor, repeats: int) -> None:
    for name, theirs in peers(ours):
        theirs = theirs.eval().to(clip.device)
        calls = lambda: upscale(ours, clip), lambda theirs=theirs: eager(theirs, clip)
        for call in calls:
            call()
        times = [[seconds(call)[0] for call in calls] for _ in range(repeats)]
        a, b = map(statistics.median, zip(*times, strict=True))
        with torch.inference_mode():
            difference = (theirs(clip[:, 0]) - ours(clip[:, 0])).abs().max() / ours(clip[:, 0]).std()
        print(f"esrgan: upscale / {name} eager float32 = {a / b:.2f}; outputs {difference:.1e} of their std apart")


def memory(count: int) -> None:
    """Streams `count` synthetic frames and prints this process's peak of resident memory."""
    rng = np.random.default_rng(0)
    frames = (rng.integers(0, 256, (60, 80, 3), np.uint8) for _ in range(count))
    model = build("srgan", **METHODS["srgan"].lite).eval()
    done = sum(1 for _ in upscale_frames(model, frames))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{done} frames 80x60 -> 320x240: peak resident {peak:.0f} MiB", flush=True)


def keep(times: dict[str, tuple[float, float]], options: argparse.Namespace) -> None:
    """Commits the times: results/speed-sr.json."""
    source = results.Provenance(
        kind="measured",
        source="Speed of super-resolution",
        command=f"python benchmarks/sr.py --threads {options.threads} --repeats {options.repeats} --keep",
        data="a synthetic clip of 4 frames, 80x60 -> 320x240",
        machine=results.machine(),
        code=results.commit(ROOT, "arsr_core", "benchmarks"),
        note=f"random weights; {options.threads} thread(s); medians of {options.repeats} alternating repeats",
        versions=results.versions(),
    )
    kept = []
    for name, (ours, eager_) in times.items():
        title = METHODS[name].title
        what = f"{title}: seconds for a frame with sr.upscale, {options.precision} precision"
        kept.append(
            results.Record(key=f"speed.{name}.seconds", value=ours, unit="s", description=what, provenance=source)
        )
        what = f"{title}: that time over the plain float32 forward's"
        kept.append(results.Record(key=f"speed.{name}.ratio", value=ours / eager_, description=what, provenance=source))
    print(f"kept: {results.save(kept, ROOT / 'results' / 'speed-sr.json')}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS, metavar="NAME")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--keep", action="store_true", help="write the times to results/ as measurements")
    parser.add_argument("--memory", nargs="?", type=int, const=0, metavar="FRAMES")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory:
        return memory(options.memory)
    if options.memory == 0:
        for count in (500, 50):
            subprocess.run([sys.executable, __file__, "--memory", str(count)], check=True)
        return None
    print(f"torch {torch.__version__}, {options.device}, {options.threads} thread(s), random weights, seconds a frame")
    print(f"{'network':10} {'upscale':>8} {'eager':>8} {'ratio':>6} {'loss [dB]':>10} {'apart':>8}")
    torch.manual_seed(0)
    clip = imresize(torch.rand(1, FRAMES, 3, 15, 20), 4).clamp(0, 1).to(options.device)  # soft, as images are
    times = {}
    for name in options.networks:
        model = contrast(build(name).eval().to(options.device), clip)
        times[name] = compare(name, model, clip, options.repeats, options.precision)
    if options.keep:
        keep(times, options)
    if NETWORKS[0] in options.networks:
        compare_peers(build("esrgan").eval().to(options.device), clip, options.repeats)


if __name__ == "__main__":
    main()
