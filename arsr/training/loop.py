"""The training loop: exact resume after any interruption, several GPUs or machines through accelerate.

All that is random is a function of (seed, step): the order of the samples, their augmentation, dropout. A run that
was killed and goes on therefore takes the very steps that it would have taken.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from arsr import processes
from arsr_core.errors import InputError
from arsr_core.files import write_atomically

CHECKPOINT = "checkpoint.pt"
PICTURES = 20  # of a run with samples, evenly spaced


@dataclass(frozen=True)
class Schedule:
    """How long, in what steps, and how carefully."""

    steps: int
    batch: int  # samples a step, over all processes
    seed: int = 0
    precision: str = "float32"  # or bfloat16: autocast
    clip: float | None = None  # largest norm of a gradient
    ema: float | None = None  # decay of the exponential moving average of the weights
    log_every: int = 20  # steps between two points of the loss curves; checkpoints fall on them
    save_minutes: float = 2.0  # between two checkpoints
    workers: int = 0  # processes that load data

    def __post_init__(self):
        counts = min(self.steps, self.batch, self.log_every)
        decays = self.ema is None or 0 < self.ema < 1
        if counts < 1 or self.precision not in ("float32", "bfloat16") or not decays:
            raise InputError(f"expected positive counts, float32 or bfloat16, and ema between 0 and 1, got {self}")


@dataclass
class Task:
    """What is trained. `losses(modules, batch)` yields (optimiser, loss, terms to log) in the order of the updates.

    Each yield is one update: the loop clears that optimiser's gradients, goes backward and steps before it asks for
    the next. A GAN yields twice. `modules` are those of the task, wrapped for several processes where there are any.
    """

    modules: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    losses: Callable[[dict[str, nn.Module], object], Iterator[tuple[str, torch.Tensor, dict[str, torch.Tensor]]]]
    rate: Callable[[int], float] = lambda step: 1.0  # factor on every learning rate
    recipe: dict = field(default_factory=dict)  # what the run is: a checkpoint of another recipe is refused
    picture: Callable[[], torch.Tensor] | None = None  # of what the modules make now, (3, H, W) in [0, 1]


class Diverged(InputError):
    """A loss is no longer finite."""


def fit(task: Task, data: torch.utils.data.Dataset, schedule: Schedule, folder: str | Path, *, progress=None):
    """Train, or go on where `folder` stopped -> the loss curves, a data frame with one row a `log_every`.

    data[n] is the sample of visit n = index + len(data) * epoch, so that a sample may differ between epochs. The
    modules end with their trained weights, with `ema` those of the average. Raises Diverged where a loss is not
    finite (the last checkpoint stays), InputError for a checkpoint of another recipe and for a full disk.
    `folder` also gets the task's picture, some twenty times: samples/STEP.png.

    On several GPUs or machines: `accelerate launch` or `torchrun` the command that calls this. Processes share each
    batch, so the result does not depend on their number, but for rounding and batch normalisation.
    """
    import pandas
    from accelerate import Accelerator
    from tqdm import tqdm

    engine = Accelerator(cpu=processes.this().device.type == "cpu")
    share, left = divmod(schedule.batch, engine.num_processes)
    if left or not share:
        raise InputError(f"{schedule.batch} samples a step do not divide among {engine.num_processes} processes")
    if not len(data):
        raise InputError("training needs one sample or more, got an empty data set")
    folder = Path(folder)
    base = {name: [group["lr"] for group in optimizer.param_groups] for name, optimizer in task.optimizers.items()}
    averages = {name: moving_average(module, schedule.ema) for name, module in task.modules.items() if schedule.ema}
    state = State(task, averages, {"recipe": task.recipe, "schedule": _lasting(schedule)})
    step, rows = state.load(folder / CHECKPOINT)

    modules = {name: engine.prepare(module) for name, module in task.modules.items()}
    for average in averages.values():
        average.to(engine.device)
    state.move_optimizers(engine.device)
    saved = time.monotonic()
    bar = tqdm(total=schedule.steps, initial=step, unit="step", delay=2, disable=_quiet(progress, engine))
    with torch.random.fork_rng(), bar:
        batches = _loader(data, schedule, engine, step)
        while step < schedule.steps:
            interval, waited, began = [], 0.0, time.monotonic()
            for module in modules.values():
                module.train()
            first, step = step, min(step + schedule.log_every, schedule.steps)
            for current in range(first, step):
                asked = time.monotonic()
                batch = _move(next(batches), engine.device)
                waited += time.monotonic() - asked
                torch.manual_seed(_mix(schedule.seed, current, engine.process_index))
                interval.append(_step(task, modules, base, batch, current, schedule, engine))
                for name, average in averages.items():
                    average.update_parameters(task.modules[name])
                bar.update()
            terms = _means(interval, engine, step, folder, schedule, len(data))
            elapsed = time.monotonic() - began
            rows.append({"step": step, **terms, "seconds": elapsed, "waiting": waited / elapsed})
            bar.set_postfix({name: f"{value:.4g}" for name, value in terms.items()}, refresh=False)
            due = time.monotonic() - saved > 60 * schedule.save_minutes
            if engine.is_main_process and (due or step == schedule.steps):
                state.save(folder / CHECKPOINT, step, rows)
                saved = time.monotonic()
            part, before = (PICTURES * s // schedule.steps for s in (step, first))
            if task.picture and engine.is_main_process and part > before:
                _write_picture(task.picture(), folder / "samples" / f"{step:07d}.png")
    engine.wait_for_everyone()
    for name, average in averages.items():
        task.modules[name].load_state_dict(average.module.state_dict())
    for module in task.modules.values():
        module.eval()
    return pandas.DataFrame(rows)


def recipe(folder: str | Path) -> dict:
    """What the run in a folder is, as its checkpoint says: the `Task.recipe`."""
    path = Path(folder) / CHECKPOINT
    if not path.exists():
        raise InputError(f"{path}: no such checkpoint; train first")
    return json.loads(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["identity"])["recipe"]


def moving_average(module: nn.Module, decay: float) -> torch.optim.swa_utils.AveragedModel:
    """The exponential moving average of a module's weights; its buffers are copies of the last."""
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    return AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(decay))


def cosine(steps: int, warmup: int = 0) -> Callable[[int], float]:
    """Half a cosine from 1 to 0 over `steps`, after `warmup` steps that rise linearly."""

    def rate(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    return rate


def halved(*milestones: int, factor: float = 0.5) -> Callable[[int], float]:
    """1, times `factor` from each milestone on.

    >>> [halved(10, 20)(step) for step in (0, 10, 25)]
    [1.0, 0.5, 0.25]
    """
    return lambda step: factor ** sum(step >= milestone for milestone in milestones) * 1.0


class State:
    """All that a run needs to go on, in one file that changes in one instant."""

    def __init__(self, task: Task, averages: dict[str, nn.Module], identity: dict):
        self.parts = {"modules": task.modules, "optimizers": task.optimizers, "averages": averages}
        self.identity = json.dumps(identity, sort_keys=True, default=str)

    def save(self, path: Path, step: int, rows: list[dict]) -> None:
        content = {kind: {name: p.state_dict() for name, p in parts.items()} for kind, parts in self.parts.items()}
        content |= {"step": step, "rows": rows, "identity": self.identity}
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with open(temporary, "wb") as file:
                torch.save(content, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            raise InputError(
                f"{path}: the checkpoint of step {step} cannot be written; is the disk full? ({error}) One written "
                "before is intact: free some space and start the same command again"
            ) from None
        finally:
            temporary.unlink(missing_ok=True)

    def load(self, path: Path) -> tuple[int, list[dict]]:
        """Fill the parts from the file -> (steps taken, rows of the curves); (0, []) where there is no file."""
        if not path.exists():
            return 0, []
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            identity = content["identity"]
        except Exception as error:  # whatever a damaged archive raises
            raise InputError(f"{path}: no checkpoint of this project ({type(error).__name__}); remove it") from None
        if identity != self.identity:
            given, expected = json.loads(identity), json.loads(self.identity)
            differing = sorted(
                f"{part}.{key}"
                for part in expected
                for key in given.get(part, {}).keys() | expected[part].keys()
                if given.get(part, {}).get(key) != expected[part].get(key)
            )
            raise InputError(
                f"{path}: a checkpoint of another recipe (they differ in {', '.join(differing)}); "
                "give another folder, or remove it to start anew"
            )
        for kind, parts in self.parts.items():
            for name, part in parts.items():
                part.load_state_dict(content[kind][name])
        return content["step"], content["rows"]

    def move_optimizers(self, device: torch.device) -> None:
        for optimizer in self.parts["optimizers"].values():
            optimizer.load_state_dict(optimizer.state_dict())  # casts its state to its parameters' device


def _step(task, modules, base, batch, step, schedule, engine) -> dict[str, torch.Tensor]:
    """One step: each update that the task's losses ask for -> the terms, on the device."""
    terms = {}
    autocast = torch.autocast(engine.device.type, torch.bfloat16, enabled=schedule.precision == "bfloat16")
    updates = task.losses(modules, batch)
    while True:
        with autocast:
            update = next(updates, None)
        if update is None:
            return terms
        name, loss, logged = update
        optimizer = task.optimizers[name]
        for group, rate in zip(optimizer.param_groups, base[name], strict=True):
            group["lr"] = rate * task.rate(step)
        optimizer.zero_grad(set_to_none=True)
        engine.backward(loss)
        if schedule.clip:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, schedule.clip, foreach=True)
        optimizer.step()
        terms |= {key: value.detach().float() for key, value in logged.items()} | {name: loss.detach().float()}


def _means(interval, engine, step, folder, schedule, samples) -> dict[str, float]:
    """Means of the terms over the steps since the last log and all processes: the one look at the device."""
    table = torch.stack([torch.stack(list(terms.values())) for terms in interval])  # (steps, terms)
    table = engine.reduce(table, "mean").cpu()
    bad = (~table.isfinite()).any(1).nonzero()
    if len(bad):
        first = step - len(interval) + int(bad[0])
        visits = list(_visits(samples, schedule, first))
        kept = f"the last good checkpoint stays in {folder}" if (folder / CHECKPOINT).exists() else "no checkpoint yet"
        raise Diverged(
            f"the loss is not finite at step {first}, samples {[visit % samples for visit in visits]}; {kept}: "
            "lower the learning rate, clip the gradient, or look at these samples"
        )
    return dict(zip(interval[0], table.mean(0).tolist(), strict=True))


def _write_picture(picture: torch.Tensor, path: Path) -> None:
    from torchvision.utils import save_image

    png = io.BytesIO()
    save_image(picture, png, format="png")
    write_atomically(path, png.getvalue())


def _loader(data, schedule: Schedule, engine, start: int) -> Iterator:
    share = schedule.batch // engine.num_processes
    mine = slice(engine.process_index * share, (engine.process_index + 1) * share)
    batches = (list(_visits(len(data), schedule, step))[mine] for step in range(start, schedule.steps))
    loader = torch.utils.data.DataLoader(
        data,
        batch_sampler=batches,
        num_workers=schedule.workers,
        collate_fn=getattr(data, "collate", None),
        pin_memory=engine.device.type == "cuda",
    )
    return iter(loader)


def _visits(samples: int, schedule: Schedule, step: int) -> Iterator[int]:
    """The samples of a step: a new permutation for each epoch."""
    for position in range(step * schedule.batch, (step + 1) * schedule.batch):
        epoch, place = divmod(position, samples)
        yield epoch * samples + int(_permutation(samples, schedule.seed, epoch)[place])


@lru_cache(maxsize=2)
def _permutation(samples: int, seed: int, epoch: int) -> torch.Tensor:
    return torch.randperm(samples, generator=torch.Generator().manual_seed(_mix(seed, epoch)))


def _mix(*numbers: int) -> int:
    """A seed from several numbers: the first 63 bits of a hash, the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(numbers).encode()).digest()[:8], "big") >> 1


def _lasting(schedule: Schedule) -> dict:
    """The part of a schedule that decides the weights."""
    kept = asdict(schedule)
    for name in ("log_every", "save_minutes", "workers"):
        del kept[name]
    return kept


def _move(batch, device):
    if isinstance(batch, dict):
        return {key: _move(value, device) for key, value in batch.items()}
    return batch.to(device, non_blocking=True) if isinstance(batch, torch.Tensor) else batch


def _quiet(progress: bool | None, engine) -> bool | None:
    return not progress if progress is not None else (None if engine.is_main_process else True)
