"""A step of `arsr.training.loop.fit` against the loops of others: plain torch, accelerate, PyTorch Lightning.

    python benchmarks/loop.py [vdsr srresnet one] [--steps 20] [--repeats 10] [--threads 1] [--keep]

All train the same fresh lite network with Adam on the MSE, in float32, on the same batches: windows of embedded clips,
prepared once and held in memory, drawn at random by a torch loader. None logs to a file or writes a checkpoint; ours
and Lightning's look at the loss every twentieth step. `one` is a single convolution, so that what is timed is the loop.
In one process, in an order that is drawn each round; processor seconds, on a GPU the clock's; a ratio is the median of
the rounds, below 1: ours is faster. The memory that `fit` has taught the process to keep serves all loops here alike; a
process of its own is a tenth slower in the others.

Lightning is no part of the project: without it its column is left out. To have it for a while, pip install it with
--no-deps --target FOLDER (pytorch-lightning, lightning-utilities, torchmetrics), and set PYTHONPATH to that folder.
"""

import argparse
import gc
import logging
import random
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable

import _common
import torch
import torch.nn.functional as F
from torch import nn

from arsr.data import pairs
from arsr.training.loop import fit
from arsr_core import sr

STORE = pairs.Pairs(embedded=12, patch=64, clip_frames=4, windows=3)
BATCH, RATE = 8, 1e-4
NETWORKS = ("vdsr", "srresnet", "one")
TITLES = {"fit": "arsr's fit", "torch": "a plain torch loop", "accelerate": "accelerate", "lightning": "Lightning"}


class Windows(torch.utils.data.Dataset):
    """Windows of a store in memory, in batches as the loader asks for them."""

    def __init__(self, store: str):
        windows = pairs.PairSet(store, augment=False)
        batch = windows.to_batch(windows.__getitems__(range(len(windows))))
        self.parts = {name: batch[name].contiguous() for name in ("lr", "hr")}

    def __len__(self) -> int:
        return len(self.parts["lr"])

    def __getitems__(self, numbers: list[int]) -> dict[str, torch.Tensor]:
        index = torch.tensor(numbers) % len(self)
        return {name: part[index] for name, part in self.parts.items()}

    @staticmethod
    def collate(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return batch


def network(name: str) -> nn.Module:
    """A fresh network of a method in its small form, or a single convolution."""
    torch.manual_seed(0)
    if name == "one":
        return nn.Sequential(nn.Conv2d(3, 48, 3, padding=1), nn.PixelShuffle(4))
    return sr.build(name, **sr.METHODS[name].lite)


def compute(batch: dict[str, torch.Tensor], net: nn.Module) -> torch.Tensor:
    return F.mse_loss(net(batch["lr"]), batch["hr"])


# --- the loops: train a network for some steps


def ours(net: nn.Module, data: Windows, steps: int) -> None:
    fit(net, data, loss=compute, rate=RATE, anneal=lambda step: 1.0, steps=steps, batch=BATCH, progress=False)


def loader(data: Windows, steps: int) -> torch.utils.data.DataLoader:
    """Batches of random samples, as many as there are steps."""
    sampler = torch.utils.data.RandomSampler(data, replacement=True, num_samples=steps * BATCH)
    return torch.utils.data.DataLoader(data, BATCH, sampler=sampler, collate_fn=data.collate)


def plain(net: nn.Module, data: Windows, steps: int) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net.to(device).train()
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    for batch in loader(data, steps):
        loss = compute({name: part.to(device) for name, part in batch.items()}, net)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def accelerated(net: nn.Module, data: Windows, steps: int) -> None:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    net, optimizer, batches = accelerator.prepare(net, optimizer, loader(data, steps))
    net.train()
    for batch in batches:
        loss = compute(batch, net)
        optimizer.zero_grad()
        accelerator.backward(loss)
        optimizer.step()


def lightning(net: nn.Module, data: Windows, steps: int) -> None:
    import pytorch_lightning

    class Module(pytorch_lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = net

        def training_step(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return compute(batch, self.net)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.net.parameters(), RATE)

    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer = pytorch_lightning.Trainer(accelerator="auto", devices=1, max_steps=steps, log_every_n_steps=20, **quiet)
    trainer.fit(Module(), loader(data, steps))


LOOPS: dict[str, Callable[[nn.Module, Windows, int], None]] = {
    "fit": ours,
    "torch": plain,
    "accelerate": accelerated,
    "lightning": lightning,
}


def present() -> dict[str, Callable[[nn.Module, Windows, int], None]]:
    """LOOPS, without Lightning's where that is not installed."""
    try:
        import pytorch_lightning
    except ImportError:
        print("PyTorch Lightning is not installed: not compared")
        return {name: loop for name, loop in LOOPS.items() if name != "lightning"}
    print(f"PyTorch Lightning {pytorch_lightning.__version__}")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    return LOOPS


def seconds(loop: Callable, net: nn.Module, data: Windows, steps: int) -> float:
    """Of a step: the processor's, of all threads; on a GPU the clock's."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    gc.collect()  # what the loop before left
    began = clock()
    loop(net, data, steps)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (clock() - began) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS, metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--steps", type=_common.count, default=20)
    parser.add_argument("--repeats", type=_common.count, default=10)
    parser.add_argument("--threads", type=_common.count, default=1)
    parser.add_argument("--keep", action="store_true", help="write the times to results/ as measurements")
    given = parser.parse_args()
    _common.require_known(given.networks, NETWORKS)
    torch.set_num_threads(given.threads)
    device, loops, found = "cuda" if torch.cuda.is_available() else "cpu", present(), {}
    with tempfile.TemporaryDirectory() as folder:
        pairs.store_pairs(STORE, folder)
        data = Windows(folder)
    print(
        f"{device}, {given.threads} thread(s), float32, batches of {BATCH}: seconds a step, and ours over the others'"
    )
    for name in given.networks:
        times = {loop: [] for loop in loops}
        for number in range(given.repeats + 1):  # the first warms up
            for loop in random.Random(number).sample([*loops], len(loops)):
                times[loop].append(seconds(loops[loop], network(name), data, given.steps if number else 5))
        found[name] = {f"{loop}.seconds": statistics.median(values[1:]) for loop, values in times.items()}
        for loop in [*loops][1:]:
            both = zip(times["fit"][1:], times[loop][1:], strict=True)
            found[name][f"{loop}.ratio"] = statistics.median(ours / theirs for ours, theirs in both)
        print(f"{name:10}", *(f"{key} {value:.4f}" for key, value in found[name].items()), flush=True)
    if given.keep:
        words = {f"{loop}.seconds": (f"a step of {title}", "s") for loop, title in TITLES.items()}
        words |= {f"{loop}.ratio": (f"a step of fit over one of {title}", "") for loop, title in TITLES.items()}
        note = (
            f"lite networks, fresh weights; {given.threads} thread(s); medians of {given.repeats} alternating repeats"
        )
        source = _common.provenance("Speed of the training loop", "embedded clips (synthetic)", note)
        kept = _common.as_records(found, f"speed.loop.{device}", words, lambda name: f"{name}, lite", source)
        _common.save(kept, f"speed-loop-{device}")


if __name__ == "__main__":
    _common.run(main)
