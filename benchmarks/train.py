"""Seconds a step of `arsr train` against a plain loop, and how much of a step waits for data.

    python benchmarks/train.py [vdsr sosr tosr ...] [--steps 30] [--repeats 3] [--threads 1] [--workers 0] [--keep]

Both train the same lite recipe on the same windows of embedded clips, in one process and in turn. The plain loop is
what one writes first: float32, no loader ahead of it, the TV-L1 flow of each window computed as it comes (OpenCV's, as
the paper's tools), and a look at the loss after every step. Ours takes the flow from the prepared store, computes in
bfloat16 (--precision), and looks at the losses every twentieth step. A ratio below 1: ours is faster. On a CPU the
seconds are the processor's, of all threads, so that other work on the machine does not count; with --workers they are
the clock's. `waiting` is the share of the clock's time that the loop waits for its loader. --keep commits what was
measured: results/speed-train-DEVICE.json.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import _common
import torch

from arsr.data import pairs
from arsr.training.loop import fit
from arsr.training.recipes import RECIPES
from arsr.training.tasks import SRRecipe, sr_task
from arsr_core import flow, losses
from arsr_core.sr import METHODS

STORE = pairs.Pairs(embedded=12, patch=64, clip_frames=4, windows=3)
WORDS = {
    "plain": ("seconds a step of a plain loop", "s"),
    "ours": ("seconds a step of arsr train", "s"),
    "ratio": ("time of arsr train over that of a plain loop", ""),
    "waiting": ("share of the time spent waiting for data", "%"),
}


def plain(recipe: SRRecipe, store: Path, device: torch.device, **start) -> None:
    """The loop that one writes first; the same losses and optimisers."""
    data = pairs.PairSet(store, frames=METHODS[recipe.method].frames, pair=True, check_warp=False)

    def to_batch(raw: dict) -> dict:
        batch = data.to_batch({name: value.to(device) for name, value in raw.items()})
        shown = batch["hr0"].cpu(), batch["hr1"].cpu()
        motion = flow.tvl1(*shown, backend="opencv", **flow.PRESETS["reference"]).to(device)
        return batch | {"lr": batch["lr0"], "hr": batch["hr0"], "flow": motion}

    task = sr_task(recipe, **start)
    nets = {name: net.to(device).train() for name, net in task["model"].items()}
    for step in range(recipe.steps):
        batch = to_batch(data.__getitems__([(step * recipe.batch + i) % len(data) for i in range(recipe.batch)]))
        for name, optimizer in task["optimizer"].items():
            found = task["loss"][name](batch, nets)
            loss = found[0] if isinstance(found, tuple) else found
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()


def ours(recipe: SRRecipe, store: Path, device: torch.device, schedule: dict, **start) -> float:
    """`arsr train`'s loop -> the share of its time that it waited for data."""
    data = pairs.PairSet(store, frames=METHODS[recipe.method].frames, pair=bool(recipe.warp))
    task = sr_task(recipe, **start) | schedule
    with tempfile.TemporaryDirectory() as folder:
        curve = fit(data=data, folder=folder, progress=False, **task)
    return 100 * float((curve.waiting * curve.seconds).sum() / curve.seconds.sum())


def timed(call: Callable[[], float | None], clock: Callable[[], float]) -> tuple[float, float | None]:
    began = clock()
    value = call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - began, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=["vdsr", "sosr", "tosr"], metavar="RECIPE")
    parser.add_argument("--steps", type=_common.count, default=30)
    parser.add_argument("--repeats", type=_common.count, default=3)
    parser.add_argument("--threads", type=_common.count, default=1)
    parser.add_argument("--workers", type=int, default=0, help="processes that load data for ours")
    parser.add_argument("--precision", default="bfloat16", choices=("float32", "bfloat16"))
    parser.add_argument("--keep", action="store_true", help="write the times to results/ as measurements")
    given = parser.parse_args()
    _common.require_known(given.recipes, (n for n, its in RECIPES.items() if isinstance(its.get("embedded"), SRRecipe)))
    torch.set_num_threads(given.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    clock = time.process_time if device.type == "cpu" and not given.workers else time.perf_counter
    schedule = {"precision": given.precision, "workers": given.workers}
    found = {}
    print(f"{device}, {given.threads} thread(s), {given.precision}: seconds a step")
    print(f"{'recipe':12} {'plain':>8} {'ours':>8} {'ratio':>8} {'waiting':>8}")
    with tempfile.TemporaryDirectory() as folder:
        pairs.store_pairs(STORE, folder)
        for name in given.recipes:
            recipe = replace(RECIPES[name]["embedded"], steps=given.steps, start=None)
            features = losses.FeatureLoss().to(device) if recipe.feature else None
            times = {"plain": [], "ours": []}
            for number in range(given.repeats + 1):  # the first warms up
                steps = recipe if number else replace(recipe, steps=2)
                took, _ = timed(lambda s=steps, f=features: plain(s, folder, device, features=f), clock)
                times["plain"].append(took / steps.steps)
                took, waiting = timed(lambda s=steps, f=features: ours(s, folder, device, schedule, features=f), clock)
                times["ours"].append(took / steps.steps)
            slow, fast = (statistics.median(values[1:]) for values in times.values())
            found[name] = {"plain": slow, "ours": fast, "ratio": fast / slow, "waiting": waiting}
            print(f"{name:12}", *(f"{value:8.3f}" for value in found[name].values()), flush=True)
    if given.keep:
        source = _common.provenance("Speed of training", "embedded clips (synthetic)", "lite networks, fresh weights")
        kept = _common.as_records(found, f"speed.train.{device.type}", WORDS, lambda name: f"{name}, lite", source)
        _common.save(kept, f"speed-train-{device.type}")


if __name__ == "__main__":
    _common.run(main)
