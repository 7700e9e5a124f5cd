"""The training loop: any loss, exact resume after any interruption, several GPUs or machines through accelerate.

All that is random is a function of (seed, step): the order of the samples, their augmentation, dropout. A run that
was killed and goes on therefore takes the very steps that it would have taken.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Lt
from torch import nn

from arsr import processes
from arsr.settings import settings
from arsr.training.identity import fingerprint
from arsr_core import files
from arsr_core.errors import InputError, describe

if TYPE_CHECKING:
    import pandas
    from accelerate import Accelerator

CHECKPOINT = "checkpoint.pt"
PICTURES = 20  # of a run with samples, evenly spaced
Loss = Callable[[Any, Any], torch.Tensor | tuple[torch.Tensor, dict[str, torch.Tensor]]]


@settings
class Schedule:
    """How long, in what steps, and how carefully."""

    steps: Annotated[int, Ge(1)]
    batch: Annotated[int, Ge(1)]  # samples a step, over all processes
    seed: int = 0  # of the order of the samples, and of dropout
    precision: Literal["float32", "bfloat16"] = "float32"  # bfloat16: autocast
    clip: float | None = None  # largest norm of a gradient
    ema: Annotated[float, Gt(0), Lt(1)] | None = None  # decay of the exponential moving average of the weights
    log_every: Annotated[int, Ge(1)] = 20  # steps between two points of the loss curves; checkpoints fall on them
    save_minutes: float = 2.0  # between two checkpoints
    workers: Annotated[int, Ge(0)] = 0  # processes that load data


class Diverged(InputError):
    """A loss is no longer finite."""


def fit(
    model: nn.Module | dict[str, nn.Module],
    data: torch.utils.data.Dataset,
    *,
    loss: Loss | dict[str, Loss],
    rate: float = 1e-4,
    optimizer: torch.optim.Optimizer | dict[str, torch.optim.Optimizer] | None = None,
    anneal: Callable[[int], float] | None = None,
    folder: str | Path | None = None,
    recipe: dict | None = None,
    picture: Callable[[], torch.Tensor] | None = None,
    progress: bool | None = None,
    **schedule: Any,
) -> pandas.DataFrame:
    """Train a network with any loss -> the loss curves, a data frame with one row a `log_every`.

    loss(batch, model): a scalar, or a scalar and a dict of terms to log. A GAN has dicts of networks and of losses by
    the same names; each loss, in their order, makes one step of its network, and finds in the batch what those before
    it put there. schedule: the fields of `Schedule`; steps and batch are needed. rate: of Adam, where no optimizers
    are given. anneal: step -> factor on every learning rate; half a cosine from 1 to 0 by default.

    data[n] is the sample of visit n = index + len(data) * epoch, so that a sample may differ between epochs;
    data.to_batch, where it has one, makes the batch on the device. The model ends with its trained weights, with `ema`
    those of the average, in evaluation mode.

    folder: gets the checkpoint, from which the same call goes on, and `picture`'s (3, H, W) some twenty times:
    samples/STEP.png; None: all stays in memory. recipe: what else the run is. A checkpoint of another recipe, schedule
    or loss is refused (InputError); where a loss is not finite, Diverged is raised and the last checkpoint stays.
    On several GPUs or machines: `accelerate launch` or `torchrun` the command that calls this. Processes share each
    batch, so the result does not depend on their number, but for rounding and batch normalisation.
    """
    import pandas
    from tqdm import tqdm

    plan = Schedule(**schedule)
    named = [given if isinstance(given, dict) else {"loss": given} for given in (model, loss, optimizer)]
    models, losses, optimizers = named
    if optimizer is None:
        optimizers = {name: torch.optim.Adam(net.parameters(), rate) for name, net in models.items()}
    anneal, finish = anneal or cosine(plan.steps), getattr(data, "to_batch", lambda batch: batch)
    engine = _engine(plan, len(data))
    rates = {name: [group["lr"] for group in its.param_groups] for name, its in optimizers.items()}
    averages = {name: moving_average(net, plan.ema) for name, net in models.items() if plan.ema}
    path, identity = None, {}
    if folder:
        path = Path(folder) / CHECKPOINT
        identity = _identity(recipe, plan, optimizers, {**losses, "anneal": anneal}, models)
    checkpoint = Checkpoint(path, identity, modules=models, optimizers=optimizers, averages=averages)
    step, rows = checkpoint.load()
    nets = {name: engine.prepare(net) for name, net in models.items()}
    for average in averages.values():
        average.to(engine.device)
    for its in optimizers.values():
        its.load_state_dict(its.state_dict())  # casts its state to its parameters' device
    autocast = torch.autocast(engine.device.type, torch.bfloat16, enabled=plan.precision == "bfloat16")

    saved = time.monotonic()
    bar = tqdm(total=plan.steps, initial=step, unit="step", delay=2, disable=_quiet(progress, engine))
    with torch.random.fork_rng(), bar:
        batches = _batches(data, plan, engine, step)
        while step < plan.steps:
            log, waited, began = [], 0.0, time.monotonic()
            for net in nets.values():
                net.train()
            first, step = step, min(step + plan.log_every, plan.steps)
            for current in range(first, step):
                asked = time.monotonic()
                batch, terms = _move(next(batches), engine.device), {}
                waited += time.monotonic() - asked
                torch.manual_seed(_mix(plan.seed, current, engine.process_index))
                with autocast:
                    batch = finish(batch)
                for name, compute in losses.items():
                    with autocast:
                        value, logged = _valued(name, compute(batch, nets if isinstance(model, dict) else nets[name]))
                    for group, its in zip(optimizers[name].param_groups, rates[name], strict=True):
                        group["lr"] = its * anneal(current)
                    optimizers[name].zero_grad(set_to_none=True)
                    engine.backward(value)
                    if plan.clip:
                        parameters = [p for group in optimizers[name].param_groups for p in group["params"]]
                        torch.nn.utils.clip_grad_norm_(parameters, plan.clip, foreach=True)
                    optimizers[name].step()
                    terms |= logged | {name: value.detach().float()}
                for name, average in averages.items():
                    average.update_parameters(models[name])
                log.append(terms)
                bar.update()
            means, elapsed = _means(log, engine, step, plan, len(data), path), time.monotonic() - began
            rows.append({"step": step, **means, "seconds": elapsed, "waiting": waited / elapsed})
            bar.set_postfix({name: f"{value:.4g}" for name, value in means.items()}, refresh=False)
            due = step == plan.steps or time.monotonic() - saved > 60 * plan.save_minutes
            if path and due and engine.is_main_process:
                checkpoint.save(step, rows)
                saved = time.monotonic()
            part, before = (PICTURES * s // plan.steps for s in (step, first))
            if path and picture and part > before and engine.is_main_process:
                _write_picture(picture(), path.parent / "samples" / f"{step:07d}.png")

    engine.wait_for_everyone()
    for name, average in averages.items():
        models[name].load_state_dict(average.module.state_dict())
    for net in models.values():
        net.eval()
    return pandas.DataFrame(rows)


def recipe(folder: str | Path) -> dict:
    """What the run in a folder is, as its checkpoint says: the `recipe` that `fit` was given."""
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


# Checkpoints ------------------------------------------------------------------------------------------------


class Checkpoint:
    """All that a run needs to go on, in one file that changes in one instant. By hand: accelerate writes many files."""

    def __init__(self, path: Path | None, identity: dict[str, dict], **parts: dict[str, Any]):
        self.path, self.identity, self.parts = path, json.dumps(identity, sort_keys=True, default=str), parts

    def save(self, step: int, rows: list[dict]) -> None:
        """Write the state after `step` steps; raises InputError, and leaves the file before, if the disk is full."""
        content = {kind: {name: p.state_dict() for name, p in its.items()} for kind, its in self.parts.items()}
        try:
            with files.atomic(self.path) as temporary:
                torch.save(content | {"step": step, "rows": rows, "identity": self.identity}, temporary)
        except (InputError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            raise InputError(
                f"the checkpoint of step {step} cannot be written; is the disk full? ({error}) One written before is "
                "intact: free some space and start the same command again"
            ) from None

    def load(self) -> tuple[int, list[dict]]:
        """Fill the parts from the file -> (steps taken, rows of the curves); (0, []) where there is no file."""
        if not self.path or not self.path.exists():
            return 0, []
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
            identity = content["identity"]
        except Exception as error:  # whatever a damaged archive raises
            raise InputError(
                f"{self.path}: no checkpoint of this project ({type(error).__name__}); remove it"
            ) from None
        if identity != self.identity:
            given, expected = json.loads(identity), json.loads(self.identity)
            differing = sorted(
                f"{part}.{key}"
                for part in expected
                for key in given.get(part, {}).keys() | expected[part].keys()
                if given.get(part, {}).get(key) != expected[part].get(key)
            )
            raise InputError(
                f"{self.path}: a checkpoint of another recipe (they differ in {', '.join(differing)}); "
                "give another folder, or remove it to start anew"
            )
        for kind, its in self.parts.items():
            for name, part in its.items():
                part.load_state_dict(content[kind][name])
        return content["step"], content["rows"]


def _identity(
    recipe: dict | None, plan: Schedule, optimizers: dict, losses: dict[str, Callable], models: dict[str, nn.Module]
) -> dict[str, dict]:
    """What decides the weights. The code of a loss does, the networks that it trains have weights of their own."""
    trained = [module for model in models.values() for module in (*model.modules(), *model.parameters())]
    lasting = {k: v for k, v in asdict(plan).items() if k not in ("log_every", "save_minutes", "workers")}
    return {
        "recipe": recipe or {},
        "schedule": lasting,
        "optimizer": {name: f"{type(its).__name__} {its.defaults}" for name, its in optimizers.items()},
        "code": {name: fingerprint(f, but=trained) for name, f in losses.items()}
        | {"python": ".".join(platform.python_version_tuple()[:2])},
    }


# Parts of a step --------------------------------------------------------------------------------------------


def _engine(plan: Schedule, samples: int) -> Accelerator:
    from accelerate import Accelerator

    engine = Accelerator(cpu=processes.this().device.type == "cpu")
    if plan.batch % engine.num_processes:
        raise InputError(f"{plan.batch} samples a step do not divide among {engine.num_processes} processes")
    if not samples:
        raise InputError("training needs one sample or more, got an empty data set")
    return engine


def _valued(name: str, result: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """What a loss returned -> (scalar, terms to log)."""
    value, terms = result if isinstance(result, tuple) and len(result) == 2 else (result, {})
    if not isinstance(value, torch.Tensor) or value.ndim or not value.requires_grad:
        given = f"{describe(value)}{'' if getattr(value, 'requires_grad', True) else ' without a gradient'}"
        raise InputError(f"{name}: expected a scalar with a gradient, or it and a dict of terms to log; got {given}")
    return value, {key: torch.as_tensor(x, device=value.device).detach().float() for key, x in terms.items()}


def _means(log, engine, step, plan, samples, path) -> dict[str, float]:
    """Means of the terms over the steps since the last log and all processes: the one look at the device."""
    table = torch.stack([torch.stack(list(terms.values())) for terms in log])  # (steps, terms)
    table = engine.reduce(table, "mean").cpu()
    bad = (~table.isfinite()).any(1).nonzero()
    if len(bad):
        first = step - len(log) + int(bad[0])
        visits = [visit % samples for visit in _visits(samples, plan, first)]
        kept = f"the last good checkpoint stays: {path}" if path and path.exists() else "no checkpoint yet"
        raise Diverged(
            f"the loss is not finite at step {first}, samples {visits}; {kept}: "
            "lower the learning rate, clip the gradient, or look at these samples"
        )
    return dict(zip(log[0], table.mean(0).tolist(), strict=True))


def _write_picture(picture: torch.Tensor, path: Path) -> None:
    from torchvision.utils import save_image

    with files.atomic(path) as temporary:
        save_image(picture, temporary, format="png")


def _batches(data, plan: Schedule, engine, start: int) -> Iterator:
    """The batches of the steps from `start` on, this process's share of each."""
    share = plan.batch // engine.num_processes
    mine = slice(engine.process_index * share, (engine.process_index + 1) * share)
    loader = torch.utils.data.DataLoader(
        data,
        batch_sampler=(list(_visits(len(data), plan, step))[mine] for step in range(start, plan.steps)),
        num_workers=plan.workers,
        collate_fn=getattr(data, "collate", None),
        pin_memory=engine.device.type == "cuda",
    )
    return iter(loader)


def _visits(samples: int, plan: Schedule, step: int) -> Iterator[int]:
    """The samples of a step: a new permutation for each epoch."""
    for position in range(step * plan.batch, (step + 1) * plan.batch):
        epoch, place = divmod(position, samples)
        yield epoch * samples + int(_permutation(samples, plan.seed, epoch)[place])


@lru_cache(maxsize=2)
def _permutation(samples: int, seed: int, epoch: int) -> torch.Tensor:
    return torch.randperm(samples, generator=torch.Generator().manual_seed(_mix(seed, epoch)))


def _mix(*numbers: int) -> int:
    """A seed from several numbers: the first 63 bits of a hash, the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(numbers).encode()).digest()[:8], "big") >> 1


def _move(batch, device):
    if isinstance(batch, dict):
        return {key: _move(value, device) for key, value in batch.items()}
    return batch.to(device, non_blocking=True) if isinstance(batch, torch.Tensor) else batch


def _quiet(progress: bool | None, engine) -> bool | None:
    return not progress if progress is not None else (None if engine.is_main_process else True)
