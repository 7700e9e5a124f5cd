"""What the embedded book costs a reader, against another checkout's: seconds from nothing, and seconds again.

    python benchmarks/build.py FIRST [--turns 1] [--cells 12] [--keep]

FIRST is a checkout of the first edition (commit 715eb6e) in which `make .venv/ready` has run; this checkout has done
the same. Both books are built in turns, from nothing, with all their pages, each into a folder of its own; the
processor's seconds are those of all processes. Then ours is built again with nothing changed, and with one chapter
edited (in a copy of this checkout). Last come the cells that take longest. Run it on a machine that does nothing else.
--keep commits what was measured: results/speed-build.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import _common

from arsr_core.errors import InputError

CHAPTER = "book/07-tosr-method.md"  # the one that is edited: the slowest
WORDS = {
    "wall": ("seconds of the clock", "s"),
    "cpu": ("seconds of the processor", "s"),
    "wall.ratio": ("seconds of the clock over the first edition's", ""),
    "cpu.ratio": ("seconds of the processor over the first edition's", ""),
}


def build(checkout: Path, out: Path, arsr: list) -> dict[str, float]:
    """Build the book of a checkout into `out` with its command -> seconds of the clock and of the processor."""
    began = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    process = subprocess.Popen([*arsr, "book", "--out", out], cwd=checkout, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{checkout}: its book was not built")
    return {"wall": time.perf_counter() - began, "cpu": used.ru_utime + used.ru_stime}


def cells(out: Path, most: int) -> None:
    """Print the chapters' seconds, and those of the cells that take longest."""
    runs = {
        path.parent.name.rpartition("-")[0]: json.loads(path.read_text()) for path in out.glob("chapters/*/run.json")
    }
    for chapter, run in sorted(runs.items()):
        print(f"  {chapter:34} {run['seconds']:7.1f} s, {sum(run['cells']):7.1f} of them in its cells")
    slow = sorted(
        ((s, chapter, i) for chapter, run in runs.items() for i, s in enumerate(run["cells"], 1)), reverse=True
    )
    for seconds, chapter, number in slow[:most]:
        print(f"  {chapter:34} code cell {number:2}: {seconds:6.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, metavar="FIRST")
    parser.add_argument("--turns", type=_common.count, default=1)
    parser.add_argument("--cells", type=int, default=12)
    parser.add_argument("--keep", action="store_true", help="write the times to results/ as measurements")
    given = parser.parse_args()
    if not (given.first / ".venv" / "bin" / "arsr").is_file():
        raise InputError(f"{given.first}: no .venv/bin/arsr in it; check the path, and type `make .venv/ready` there")
    source = _common.provenance("Speed of the build", "embedded clips (synthetic)", keep=given.keep)
    took = {"first": [], "cold": [], "unchanged": [], "edited": []}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        ours = home / "checkout"
        subprocess.run(["git", "clone", "--quiet", _common.ROOT, ours], check=True)
        command = [_common.ROOT / ".venv" / "bin" / "python", "-m", "arsr"]
        for turn in range(given.turns):
            took["first"].append(build(given.first, home / f"first{turn}", [given.first.resolve() / ".venv/bin/arsr"]))
            took["cold"].append(build(ours, home / f"ours{turn}", command))
            for name in ("first", "cold"):
                print(
                    f"{name:10} {took[name][-1]['wall']:7.1f} s, processor {took[name][-1]['cpu']:7.1f} s", flush=True
                )
        for name, edit in (("unchanged", ""), ("edited", "\nOne sentence more.\n")):
            with (ours / CHAPTER).open("a") as chapter:
                chapter.write(edit)
            took[name].append(build(ours, home / "ours0", command))
            print(f"{name:10} {took[name][-1]['wall']:7.1f} s, processor {took[name][-1]['cpu']:7.1f} s", flush=True)
        cells(home / "ours0", given.cells)
    found = {name: {key: statistics.median(t[key] for t in times) for key in times[0]} for name, times in took.items()}
    found["cold"] |= {f"{key}.ratio": found["cold"][key] / found["first"][key] for key in ("wall", "cpu")}
    print(", ".join(f"{key} {found['cold'][key]:.2f}" for key in ("wall.ratio", "cpu.ratio")))
    if given.keep:
        titles = {
            "first": "the first edition's book from nothing",
            "cold": "the book from nothing",
            "unchanged": "the book again, nothing changed",
            "edited": f"the book again, one sentence added to {Path(CHAPTER).stem}",
        }
        _common.save(_common.as_records(found, "speed.build", WORDS, titles.get, source), "speed-build")


if __name__ == "__main__":
    _common.run(main)
