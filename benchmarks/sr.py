"""Time, result and memory of arsr_core.sr.upscaling against the plain eager float32 forward and the neighbours.

    python benchmarks/sr.py [METHOD=FILE ...] [--networks esrgan rcan ...] [--threads 1] [--repeats 7] [--keep]
    python benchmarks/sr.py --memory [--threads 1] [--keep]

A synthetic clip of 4 frames, 3x60x80 -> 3x240x320, through networks of their published sizes with random weights, for
time does not depend on them. All in one process; repeats alternate, so that a noisy machine slows all alike; a ratio
is the median over the repeats, below 1: `upscale` is faster. On a CPU seconds are the processor's, of all threads.

RRDBNet and RCAN are also compiled by OpenVINO where it can be imported: `openvino.ratio` is its time over the plain
forward's, compiled before, and `openvino.loss` the PSNR that it costs.

spandrel's and BasicSR's networks join where they can be imported, in plain float32, and ours take their weights:
`apart` is the largest difference of the two float32 results, of their deviation. BasicSR 1.4.2 does not import with
torchvision 0.17 or later, which lacks its `functional_tensor`.

`loss` is the PSNR that `upscale` costs against float32 with TRAINED weights, those given or the small form that ships,
on three embedded clips. (Random layers carry on more of bfloat16's rounding, and have no image to be close to.)

--memory prints the peak of resident memory, each case in a process of its own: clips of 500 and of 50 frames, 80x60 ->
320x240, as a stream (the two should agree) and as a tensor (which holds the clip and its result), and one frame of
1280x720 -> 5120x2880. --keep commits what was measured: results/speed-sr.json, results/memory-sr.json.
"""

import argparse
import importlib
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import _common
import numpy as np
import torch
from torch import nn

from arsr.embedded import generated
from arsr_core import degrade, metrics, video
from arsr_core.errors import InputError
from arsr_core.sr import METHODS, build, namings
from arsr_core.sr.compiled import Compiled
from arsr_core.sr.upscaling import upscale, upscale_frames

NETWORKS = ("esrgan", "rcan", "srgan", "vdsr", "spmc", "duf16", "duf28", "duf52")  # esrgan is RRDBNet, srgan SRResNet
PEERS = {  # of a network: module, class and arguments of the published size
    "spandrel": {
        "esrgan": ("spandrel.architectures.ESRGAN", "ESRGAN", {}),
        "rcan": ("spandrel.architectures.RCAN", "RCAN", {}),
    },
    "basicsr": {
        "esrgan": ("basicsr.archs.rrdbnet_arch", "RRDBNet", dict(num_in_ch=3, num_out_ch=3)),
        "rcan": ("basicsr.archs.rcan_arch", "RCAN", dict(num_in_ch=3, num_out_ch=3, num_block=20)),
        "srgan": ("basicsr.archs.srresnet_arch", "MSRResNet", {}),
        "duf16": ("basicsr.archs.duf_arch", "DUF", dict(scale=4, num_layer=16, adapt_official_weights=True)),
        "duf28": ("basicsr.archs.duf_arch", "DUF", dict(scale=4, num_layer=28, adapt_official_weights=True)),
        "duf52": ("basicsr.archs.duf_arch", "DUF", dict(scale=4, num_layer=52, adapt_official_weights=True)),
    },
}
FRAMES = 4


def peers(name: str) -> dict[str, nn.Module]:
    """The neighbours' networks of a method, with random weights; prints why one does not import."""
    found = {}
    for peer, networks in PEERS.items():
        if name in networks:
            module, title, arguments = networks[name]
            try:
                found[peer] = getattr(importlib.import_module(module), title)(**arguments).eval()
            except ImportError as error:
                print(f"{name}: {peer} is not compared: {error}")
    return found


def with_weights_of(theirs: nn.Module) -> nn.Module:
    """Our network of a neighbour's."""
    family, state = namings.recognise(theirs.state_dict(), where="the neighbour's network")
    return family.network(state, where="the neighbour's network")[0].eval()


@torch.inference_mode()
def eager(model: nn.Module, clip: torch.Tensor, frames: int) -> torch.Tensor:
    """What a user writes without `upscale`: one forward a frame, windows by repeating the clip's ends."""
    radius = frames // 2
    made = []
    for t in range(clip.shape[1]):
        window = clip[:, [min(max(i, 0), clip.shape[1] - 1) for i in range(t - radius, t + radius + 1)]]
        made.append(model(window if radius else window[:, 0]).clamp(0, 1))
    return torch.stack(made, 1)


def seconds(call: Callable[[], torch.Tensor]) -> float:
    wall, processor = time.perf_counter(), time.process_time()
    if not call().is_cuda:
        return time.process_time() - processor
    torch.cuda.synchronize()
    return time.perf_counter() - wall


def compare(name: str, clip: torch.Tensor, repeats: int, precision: str) -> dict[str, float]:
    """What is kept of a network: seconds a frame, ratios and differences, by the last words of their keys."""
    theirs = {peer: network.to(clip.device) for peer, network in peers(name).items()}
    frames = METHODS[name].frames
    model = with_weights_of(next(iter(theirs.values()))) if theirs else build(name).eval()
    model = model.to(clip.device)
    calls = {"ours": lambda: upscale(model, clip, precision=precision), "eager": lambda: eager(model, clip, frames)}
    calls |= {peer: lambda network=network: eager(network, clip, frames) for peer, network in theirs.items()}
    try:
        compiled = Compiled(model, half=precision != "float32") if clip.device.type == "cpu" else None
        calls |= {"openvino": lambda: eager(compiled, clip, frames)} if compiled else {}
    except InputError as error:
        print(f"{name}: {error}")
    for call in calls.values():  # warm up
        call()
    times = {key: [] for key in calls}
    for _ in range(repeats):
        for key, call in calls.items():
            times[key].append(seconds(call) / clip.shape[1])
    found = {"seconds": statistics.median(times["ours"])}
    for key in list(calls)[1:]:
        ratio = statistics.median(a / b for a, b in zip(times["ours"], times[key], strict=True))
        found["ratio" if key == "eager" else f"{key}.ratio"] = ratio
    for peer, network in theirs.items():
        with torch.inference_mode():
            x = clip[:, :frames] if frames > 1 else clip[:, 0]
            expected = network(x.clone())  # some scale their input in place
            same = with_weights_of(network).to(clip.device)
            found[f"{peer}.apart"] = ((same(x) - expected).abs().max() / expected.std()).item()
    return found


def loss(model: nn.Module, **settings: str) -> float:
    """PSNR in float32 less that with these settings, mean over three embedded clips."""
    lost = []
    for made in generated.clips(3, split="test", seed=0):
        hr = degrade.modcrop(video.to_tensor(made.frames[:7]), 4)
        lr = degrade.to_lr(hr, 4, eight_bit=True)
        ways = {"precision": "float32"}, settings
        exact, other = (metrics.psnr(upscale(model, lr, **way), hr).mean() for way in ways)
        lost.append((exact - other).item())
    return statistics.mean(lost)


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


def keep_memory(peaks: dict[str, float], threads: int) -> None:
    from arsr import records

    note = f"random weights; {threads} thread(s); resident, with Python, torch and the weights"
    source = _common.provenance("Memory of super-resolution", "synthetic frames", note)
    kept = []
    for case, peak in peaks.items():
        network, height, width, count, front = CASES[case]
        what = f"{METHODS[network].title}: peak memory in GB, {count} frame(s) {width}x{height} as a {front}"
        kept.append(records.Record(key=f"memory.{case}.gb", value=peak, description=what, provenance=source))
    _common.save(kept, "memory-sr")


WORDS = {  # the last words of a record's key: its description after the method's title, its unit
    "seconds": ("seconds for a frame with sr.upscale", "s"),
    "ratio": ("that time over the plain float32 forward's", ""),
    "loss": ("PSNR that sr.upscale costs against float32, trained weights", "dB"),
    "openvino.ratio": ("time compiled by OpenVINO over the plain float32 forward's", ""),
    "openvino.loss": ("PSNR that OpenVINO costs against float32, trained weights", "dB"),
    **{f"{peer}.ratio": (f"time of sr.upscale over that of {peer}'s float32 forward", "") for peer in PEERS},
    **{
        f"{peer}.apart": (f"largest difference of our and {peer}'s float32 result, of its deviation", "")
        for peer in PEERS
    },
}


def keep(found: dict[str, dict[str, float]], options: argparse.Namespace) -> None:
    clock = "processor seconds" if options.device == "cpu" else "seconds"
    note = f"{options.precision} precision; {clock}, medians of {options.repeats} alternating repeats"
    note = f"random weights; {options.threads} thread(s); {note}"
    data = "a synthetic clip of 4 frames, 80x60 -> 320x240"
    source = _common.provenance("Speed of super-resolution", data, note)
    _common.save(_common.as_records(found, "speed", WORDS, lambda name: METHODS[name].title, source), "speed-sr")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="*", metavar="METHOD=FILE", help="trained weights for the loss")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS, metavar="NAME")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=_common.count, default=1)
    parser.add_argument("--repeats", type=_common.count, default=7)
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
        return keep_memory(peaks, options.threads) if options.keep else None
    if options.memory:
        return memory(options.memory)
    from arsr import manifest

    trained = manifest.at_hand(_common.ROOT / "weights", _common.weights(options.weights))
    print(f"torch {torch.__version__}, {options.device}, {options.threads} thread(s), seconds a frame, ratios")
    peer = ("spandrel.ratio", "spandrel.apart", "basicsr.ratio", "basicsr.apart")
    columns = ("seconds", "ratio", "openvino.ratio", *peer, "loss", "openvino.loss")
    print(f"{'network':8}", *(f"{column:>14}" for column in columns))
    torch.manual_seed(0)
    clip = degrade.imresize(torch.rand(1, FRAMES, 3, 15, 20), 4).clamp(0, 1).to(options.device)  # soft, as images are
    found = {}
    for name in options.networks:
        found[name] = compare(name, clip, options.repeats, options.precision)
        if name in trained:
            network = trained[name].network.to(options.device)
            found[name]["loss"] = loss(network, precision=options.precision)
            if "openvino.ratio" in found[name]:
                found[name]["openvino.loss"] = loss(network, precision=options.precision, backend="openvino")
        cells = (f"{found[name][c]:14.2g}" if c in found[name] else f"{'-':>14}" for c in columns)
        print(f"{name:8}", *cells, flush=True)
    return keep(found, options) if options.keep else None


if __name__ == "__main__":
    _common.run(main)
