"""Speed of the embedded clips, flow and masks included: `python benchmarks/generated.py [--clips 36]`."""

import argparse
import multiprocessing
import time

import _common
import cv2

from arsr.embedded import generated


def make(span: tuple[int, int, tuple[int, int]]) -> int:
    """Makes clips start .. stop - 1 and their flow on one thread; returns the number of frames."""
    cv2.setNumThreads(1)
    start, stop, size = span
    return sum(1 + len(c.flow) for c in generated.clips(stop - start, start=start, size=size))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=_common.count, default=72, help="clips a measurement")
    count = parser.parse_args().clips
    for size in ((120, 160), (240, 320)):
        for processes in (1, 2):
            with multiprocessing.get_context("spawn").Pool(processes) as pool:
                pool.map(make, [(0, 18, size)] * processes, chunksize=1)  # start-up and photographs, not measured
                step = count // (2 * processes)  # two spans a process even out their loads
                spans = [(i, i + step, size) for i in range(0, 2 * processes * step, step)]
                start = time.perf_counter()
                frames = sum(pool.map(make, spans, chunksize=1))
                seconds = time.perf_counter() - start
            print(f"{size[0]}x{size[1]}, {processes} process(es): {frames / seconds:6.0f} frames/s")


if __name__ == "__main__":
    _common.run(main)
