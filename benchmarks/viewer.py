"""What a static viewer weighs, and how long its frames take to draw in Chromium.

    python benchmarks/viewer.py [--clip video.avi] [--size 240 320] [--frames 16] [--keep]

Five versions of one clip with their TV-L1 flow: HR, bicubic, and three filtered versions that stand for methods (two
means, and a sharpened bicubic with noise that flickers, the hardest to code). Without --clip: an embedded clip before
a moving camera. Draw times are those of one frame change: the controls' update and everything painted, in ms. A layer
is kept once it is painted, so a frame's first time takes longer. The last column is how often the screen shows a new
frame when each refresh asks for one: 16.7 ms is all of them. --keep commits weight and times: results/viewer.json.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import _common
import torch
import torch.nn.functional as F
from playwright.sync_api import sync_playwright

from arsr import records
from arsr.embedded import generated
from arsr.viewer import Viewer, viewer
from arsr_core import degrade, flow, video

VIEWS = {
    "frame": {},
    "flow": {"layer": "flow"},
    "flow and arrows": {"layer": "flow", "arrows": True},
    "flow error": {"layer": "flow_error"},
    "frame error": {"layer": "frame_error"},
    "motion weight": {"layer": "weight"},
    "wipe": {"mode": "wipe", "layer": "flow"},
    "all at once": {"layer": "flow", "arrows": True, "lens": 8, "picked": [9, 9], "line": [5, 5, 100, 60]},
}
MEASURE = """async ([changes, first]) => {
  const { viewer } = document.querySelector('arsr-viewer');
  const before = { layer: 'frame', arrows: false, lens: 0, mode: 'side', picked: null, line: null, frame: 0 };
  viewer.set({ ...before, ...changes });
  do { await new Promise(requestAnimationFrame); viewer.paint(); } while (viewer.waiting); // decoding
  const times = [];
  const stamps = [];
  for (let i = 1; i <= 5 * viewer.spec.count; i += 1) {
    stamps.push(await new Promise(requestAnimationFrame));
    if (first) viewer.painter.maps.clear();
    const start = performance.now();
    viewer.set({ frame: i % (viewer.spec.count - 1) });
    viewer.paint();
    times.push(performance.now() - start);
    if (viewer.waiting) throw new Error('a frame was not there');
  }
  return [times, stamps.slice(1).map((stamp, i) => stamp - stamps[i])];
}"""


def versions(hr: torch.Tensor) -> dict[str, torch.Tensor]:
    """{label: (1, T, 3, H, W)}."""
    bicubic = degrade.imresize(degrade.to_lr(hr, eight_bit=True), 4, eight_bit=True)
    means = {f"mean {n}x{n}": F.avg_pool2d(hr[0], n, 1, n // 2)[None] for n in (3, 5)}
    detail = bicubic[0] - F.avg_pool2d(bicubic[0], 5, 1, 2)
    noise = torch.randn(detail.shape, generator=torch.Generator().manual_seed(0))
    sharp = (bicubic[0] + detail * (1 + noise)).clamp(0, 1)[None]
    return {"HR": hr, "bicubic": bicubic, **means, "sharpened": sharp}


def weigh(made: Viewer, page: Path) -> float:
    """Writes the page and prints what its viewer consists of; its weight in MB."""
    start = time.process_time()
    html = made.to_html()
    seconds = time.process_time() - start
    made.save(page)
    data = made._payload
    parts = {
        "frames": sum(len(s) for each in data["sheets"] for s in each),
        "flow": sum(len(f) for f in data["flows"] if f),
        "script and style": len(viewer.SCRIPT_TAG),
    }
    print(f"frames: {data['spec']['loss'] or 'every value is exact'}")
    print(f"encoded in {seconds:.1f} CPU-s; viewer {len(html):,} bytes, of which", end=" ")
    print(", ".join(f"{name} {size:,}" for name, size in parts.items()))
    return len(html) / 1e6


def draw(page: Path) -> dict[str, tuple[float, float]]:
    """Prints the times of each view; the medians in seconds, of a frame seen before and of its first time."""
    found = {}
    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 1280, "height": 1000})
        start = time.perf_counter()
        tab.goto(page.as_uri())
        tab.wait_for_selector("arsr-viewer .viewer[data-painted]")
        print(f"Chromium {browser.version}: first frame after {1000 * (time.perf_counter() - start):.0f} ms")
        print(
            " " * 16 + "".join(f"{head:>13}" for head in ("median ms", "longest", "first time", "longest", "refresh"))
        )
        for name, view in VIEWS.items():
            tab.evaluate(MEASURE, [view, True])  # the compiler warms up
            (again, intervals), (first, _) = (tab.evaluate(MEASURE, [view, first]) for first in (False, True))
            middle = statistics.median
            columns = (middle(again), max(again), middle(first), max(first), middle(intervals))
            print(f"{name:16}" + "".join(f"{x:13.1f}" for x in columns))
            found[name] = middle(again) / 1000, middle(first) / 1000
        browser.close()
    return found


def keep(given: argparse.Namespace, megabytes: float, seconds: dict[str, tuple[float, float]]) -> None:
    """Commits the numbers: results/viewer.json."""
    size = "x".join(map(str, reversed(given.size)))
    data = f"5 versions of an embedded clip (synthetic), {given.frames} frames {size}, with TV-L1 flow"
    source = _common.provenance("The viewer", data, "Chromium without GPU; medians over five rounds of all frames")
    kept = [
        records.Record(key="viewer.megabytes", value=megabytes, description="a static viewer, MB", provenance=source)
    ]
    for name, values in seconds.items():
        for when, value in zip(("again", "first"), values, strict=True):
            what = f"to change the frame, {name}, {'seen before' if when == 'again' else 'for the first time'}"
            key = f"viewer.{name.replace(' ', '-')}.{when}"
            kept.append(records.Record(key=key, value=value, unit="s", description=what, provenance=source))
    _common.save(kept, "viewer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, help="a video; default: an embedded clip")
    parser.add_argument("--size", type=int, nargs=2, default=(240, 320), help="height and width of the embedded clip")
    parser.add_argument("--frames", type=_common.count, default=16)
    parser.add_argument("--keep", action="store_true", help="write the numbers to results/ as measurements")
    given = parser.parse_args()
    if given.keep and given.clip:
        parser.error("--keep is for the embedded clip, which everyone has")
    if given.clip:
        frames = video.read(given.clip, stop=given.frames).frames
    else:
        frames = generated.clip(11, split="test", size=tuple(given.size), frames=given.frames).frames
    clips = versions(degrade.modcrop(video.to_tensor(frames), 4))
    flows = {label: flow.estimate(clip, "tvl1", workers=2, **flow.PRESETS["fast"]) for label, clip in clips.items()}
    _, count, _, height, width = clips["HR"].shape
    print(f"{len(clips)} versions of {count} frames {width}x{height}")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "viewer.html"
        megabytes = weigh(Viewer(clips, flows, right="sharpened"), page)
        seconds = draw(page)
    if given.keep:
        keep(given, megabytes, seconds)


if __name__ == "__main__":
    _common.run(main)
