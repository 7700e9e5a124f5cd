"""How fast the laboratory is in Chromium, on one thread: frames a second of each network, the start, a pair's flow.

    python benchmarks/lab.py [--page _build/lab/lab.html] [--frames 12] [--keep]

Without --page the laboratory is made anew. LR of 40x30 becomes 160x120, as `lab.html` does with its own clips. Seconds
are those of the processor, of all of Chromium's processes, so that other work on the machine does not count; what the
page measures on a frame (PSNR, SSIM) is taken off. The first picture is that of SRGAN beside bicubic: the page is open,
Start is pressed, engine and network are loaded. The last column is time on the clock. --keep: results/lab.json.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import _common
import psutil
from playwright.sync_api import Page, sync_playwright

from arsr import records
from arsr.lab import export, page
from arsr_core.errors import InputError

FRAME = "async ([method, t]) => { await lab.door.ask('frame', { method, t }); }"
FLOW = "async (t) => { await lab.door.ask('flow', { method: 'hr', t }); }"
ANSWER = "async (stream) => { await lab.network(stream); await lab.door.ask('scores', { method: 'hr', stream }); }"
RESET = "async () => { lab.door.forget(); await lab.door.ask('degrade', lab.degradation()); }"


def cpu(processes: list[psutil.Process]) -> float:
    """Seconds that the processes have computed."""
    return sum(sum(p.cpu_times()[:2]) for p in processes if p.is_running())


def timed(tab: Page, script: str, given: list, processes: list[psutil.Process]) -> tuple[float, float]:
    """Runs the script with each of the arguments; (processor, clock) seconds of one."""
    before, start = cpu(processes), time.perf_counter()
    for one in given:
        tab.evaluate(script, one)
    return (cpu(processes) - before) / len(given), (time.perf_counter() - start) / len(given)


def measure(path: Path, frames: int) -> dict[str, tuple[float, float]]:
    """{what: (processor, clock) seconds}."""
    found = {}
    with sync_playwright() as playwright:
        chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 1280, "height": 1000})
        tab.set_default_timeout(300_000)
        tab.goto(f"{path.resolve().as_uri()}#left=bicubic&right=srgan")
        tab.wait_for_timeout(2000)  # the page itself is done
        processes = psutil.Process().children(recursive=True)
        before, start = cpu(processes), time.perf_counter()
        tab.click("#start")
        tab.wait_for_selector("#viewer .viewer[data-painted]")
        found["start"] = cpu(processes) - before, time.perf_counter() - start
        tab.evaluate("lab.viewer.set({ left: 'HR', right: 'LR' })")
        for name in tab.evaluate("lab.methods.slice(2).map((method) => method.name)"):
            tab.evaluate("(name) => lab.network(name)", name)
            numbers = [[name, t] for t in range(frames)]
            tab.evaluate(RESET)
            tab.evaluate(FRAME, numbers[0])  # the compiler warms up
            tab.evaluate(RESET)
            (once, clock), (again, _) = (timed(tab, FRAME, numbers, processes) for _ in range(2))
            found[name] = once - again, clock
        tab.evaluate(FLOW, frames)
        found["flow"] = timed(tab, FLOW, list(range(frames)), processes)
        tab.evaluate(ANSWER, "spatial")
        found["spatial"] = timed(tab, ANSWER, ["spatial"] * 5, processes)
        browser.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, help="a laboratory that is there; default: it is made anew")
    parser.add_argument("--frames", type=_common.count, default=12, help="of each network, at most 22")
    parser.add_argument("--keep", action="store_true", help="write the numbers to results/ as measurements")
    given = parser.parse_args()
    if given.page and not given.page.is_file():
        raise InputError(f"{given.page}: no such page; 'arsr lab' makes it")
    with tempfile.TemporaryDirectory() as folder:
        made = given.page or page.write(Path(folder), _common.ROOT, export.networks(_common.ROOT / "weights"))
        found = measure(made, min(given.frames, 22))
    print(f"{'':10}{'processor s':>12}{'a second':>10}{'clock s':>10}")
    for name, (seconds, clock) in found.items():
        print(f"{name:10}{seconds:12.3f}{1 / seconds:10.1f}{clock:10.3f}")
    if given.keep:
        note = "Chromium without GPU, one thread; seconds of the processor"
        source = _common.provenance("The laboratory", "embedded clip (synthetic), 160x120", note)
        words = {
            "start": "from Start to the first picture",
            "flow": "TV-L1 of a pair, preset fast",
            "spatial": "answer to the five snippets of a clip, spatial",
        }
        kept = [
            records.Record(
                key=f"lab.{name}.seconds",
                value=seconds,
                unit="s",
                description=f"laboratory: {words.get(name, f'a frame of {name}, 40x30 to 160x120')}",
                provenance=source,
            )
            for name, (seconds, _) in found.items()
        ]
        _common.save(kept, "lab")


if __name__ == "__main__":
    _common.run(main)
