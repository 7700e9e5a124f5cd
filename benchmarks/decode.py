"""Decoding speed and pixels of arsr_core.video against cv2.VideoCapture, in one process.

    python benchmarks/decode.py [PATH ...] [--repeats 9]

Without a path it writes a synthetic clip first: 320x240, 240 frames, MPEG-4 in AVI, as in UCF101 and HMDB51.
Repeats alternate, so that a noisy machine slows both alike; a ratio of medians below 1: PyAV is faster.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import _common
import av
import cv2
import numpy as np

from arsr_core import video


def cv2_frames(path: Path) -> Iterator[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    while (answer := capture.read())[0]:
        yield answer[1]  # BGR, as a user of cv2 gets it


def seconds(frames: Iterator[np.ndarray]) -> float:
    begin = time.perf_counter()
    for _ in frames:
        pass
    return time.perf_counter() - begin


def difference(path: Path) -> tuple[int, int]:
    """Number of frames and the largest difference between any two samples; raises if the counts differ."""
    largest = number = 0
    for ours, theirs in zip_longest(video.frames(path), cv2_frames(path)):
        if ours is None or theirs is None:
            raise SystemExit(f"{path}: the two readers give different numbers of frames (from {number} on)")
        largest = max(largest, int(cv2.absdiff(ours, cv2.cvtColor(theirs, cv2.COLOR_BGR2RGB)).max()))
        number += 1
    return number, largest


def synthetic(path: Path) -> Path:
    """A soft random texture that drifts by (2, 1) pixels a frame."""
    rng = np.random.default_rng(0)
    texture = cv2.resize(rng.integers(0, 256, (60, 80, 3), np.uint8), (320, 240), interpolation=cv2.INTER_CUBIC)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, bit_rate=1_000_000)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for t in range(240):
            frame = av.VideoFrame.from_ndarray(np.roll(texture, (t, 2 * t), (0, 1)), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH")
    parser.add_argument("--repeats", type=_common.count, default=9)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = arguments.paths or [synthetic(Path(folder) / "synthetic.avi")]
        print("PyAV/cv2  PyAV fps  cv2 fps  max diff  clip")
        ratios = []
        for path in paths:
            number, largest = difference(path)  # also warms the file cache
            times = [(seconds(video.frames(path)), seconds(cv2_frames(path))) for _ in range(arguments.repeats)]
            ours, theirs = map(statistics.median, zip(*times, strict=True))
            ratios.append(ours / theirs)
            print(f"{ratios[-1]:8.2f}  {number / ours:8.0f} {number / theirs:8.0f} {largest:9d}  {path.name}")
        print(f"{statistics.median(ratios):8.2f}  median of {len(ratios)}")


if __name__ == "__main__":
    _common.run(main)
