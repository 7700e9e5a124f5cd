"""Speed and result of arsr_core.degrade.imresize against torch's antialiased bicubic, in one process.

    python benchmarks/imresize.py [--device cpu] [--threads 1] [--repeats 15]

A clip of 16 frames, 3x240x320, goes down by 4; the LR clip and the HR clip go up by 4. Repeats alternate, so
that a noisy machine slows both alike; a ratio of medians below 1: imresize is faster. The results differ at
the borders. Threads beyond the free cores slow the small matrix products more than they slow torch's kernel.
"""

import argparse
import statistics
import time
from functools import partial

import _common
import torch
import torch.nn.functional as F

from arsr_core import degrade


def interpolate(x: torch.Tensor, scale: float) -> torch.Tensor:
    size = [round(scale * n) for n in x.shape[-2:]]
    return F.interpolate(x, size=size, mode="bicubic", antialias=True)


def seconds(resize, x: torch.Tensor) -> float:
    begin = time.perf_counter()
    resize(x)
    if x.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=_common.count, default=1)
    parser.add_argument("--repeats", type=_common.count, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.device}, {options.threads} thread(s), float32")
    for name, shape, scale in (
        ("down 1/4", (16, 3, 240, 320), 1 / 4),
        ("up 4", (16, 3, 60, 80), 4),
        ("up 4", (16, 3, 240, 320), 4),
    ):
        x = torch.rand(shape, device=options.device)
        resizers = partial(degrade.imresize, scale=scale), partial(interpolate, scale=scale)
        ours, theirs = (resize(x) for resize in resizers)  # warm up
        rows = [[seconds(resize, x) for resize in resizers] for _ in range(options.repeats)]
        a, b = (1e3 * statistics.median(column) for column in zip(*rows, strict=True))
        error = (ours - degrade.imresize(x.double(), scale)).abs().max().item()
        apart = (ours - theirs).abs().max().item()
        print(
            f"{name:8} {'x'.join(map(str, shape)):12} imresize {a:7.2f} ms, interpolate {b:7.2f} ms, "
            f"ratio {a / b:.2f}; float32 error {error:.0e}, interpolate is {apart:.0e} off"
        )


if __name__ == "__main__":
    _common.run(main)
