"""Training in one reading: `fit` takes any loss, goes on after any interruption, uses one GPU or many machines.

All that is random is a function of (seed, step): the order of the samples, their augmentation, dropout. A run that
was killed and goes on therefore takes the very steps that it would have taken.
"""

import hashlib
import math
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, send_to_device
from annotated_types import Ge, Gt, Lt
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from arsr import places, processes
from arsr.settings import settings
from arsr.training.checkpoint import CHECKPOINT, Checkpoint, fingerprint
from arsr_core.errors import InputError, describe

Loss = Callable[[Any, Any], torch.Tensor | tuple[torch.Tensor, dict[str, torch.Tensor]]]


@settings
class Schedule:
    """How long, in what steps, and how carefully."""

    steps: Annotated[int, Ge(1)]
    batch: Annotated[int, Ge(1)]  # samples a step, over all processes
    seed: int = 0  # of the order of the samples, and of dropout
    precision: Literal["float32", "bfloat16"] = "float32"  # bfloat16: autocast
    clip: Annotated[float, Gt(0)] | None = None  # largest norm of a gradient
    ema: Annotated[float, Gt(0), Lt(1)] | None = None  # decay of the exponential moving average of the weights
    log_every: Annotated[int, Ge(1)] = 20  # steps between two points of the loss curves; checkpoints fall on them
    save_minutes: Annotated[float, Ge(0)] = 2.0  # between two checkpoints
    workers: Annotated[int, Ge(0)] = 0  # processes that load data


def fit(
    model: nn.Module | dict[str, nn.Module],
    data: torch.utils.data.Dataset,
    *,
    loss: Loss | dict[str, Loss],
    optimizer: torch.optim.Optimizer | dict[str, torch.optim.Optimizer] | None = None,
    rate: float = 1e-4,
    anneal: Callable[[int], float] | None = None,
    folder: str | Path | None = None,
    recipe: dict | None = None,
    progress: bool | None = None,
    **schedule: Any,
) -> pandas.DataFrame:
    """Train a network with any loss -> the loss curves, a data frame with one row a `log_every`.

    loss(batch, model): a scalar, or a scalar and a dict of terms to log. A GAN has dicts of networks and of losses by
    the same names: each loss, in turn, makes one step of its network, and finds in the batch what those before it put
    there. schedule: the fields of `Schedule`; steps and batch are needed. optimizer: Adam of that rate by default.
    anneal: step -> factor on every learning rate; half a cosine from 1 to 0 by default.

    data[n] is the sample of visit n = index + len(data) * epoch, so that a sample may differ between epochs; its
    `to_batch`, if it has one, makes the batch on the device, and its `content`, a hash, tells it from other data. The
    model ends with its trained weights, with `ema` those of the average, in evaluation mode.

    folder: gets the checkpoint, from which the same call goes on; None: nothing is written. recipe: what else the run
    is. Raises InputError for a checkpoint of another recipe, schedule, loss or data, for a folder that another run
    writes to, and for a loss that is not finite.
    On several GPUs or machines: `accelerate launch` or `torchrun` the command that calls this. Processes share each
    batch and end alike: the result does not depend on their number, but for rounding and batch normalisation.

    >>> curve = fit(net, pairs, loss=lambda batch, net: (net(batch["lr"]) - batch["hr"]).abs().mean(), steps=9, batch=4)
    """
    plan = Schedule(**schedule)
    models, losses, optimizers = (x if isinstance(x, dict) else {"loss": x} for x in (model, loss, optimizer))
    if models.keys() != losses.keys():
        raise InputError(f"fit: networks {', '.join(models)}, losses {', '.join(losses)}; expected the same names")
    if optimizer is None:
        optimizers = {name: torch.optim.Adam(net.parameters(), rate) for name, net in models.items()}
    anneal, engine = anneal or cosine(plan.steps), _engine(plan, len(data))
    rates = {name: [group["lr"] for group in its.param_groups] for name, its in optimizers.items()}
    nets = {name: engine.prepare(net) for name, net in models.items()}  # wrapped where processes share the work
    seen = nets if isinstance(model, dict) else nets["loss"]  # by a loss
    mean = {"multi_avg_fn": get_ema_multi_avg_fn(plan.ema)} if plan.ema else {}  # of weights; buffers are the last's
    averages = {name: AveragedModel(net, **mean) for name, net in models.items() if mean}
    step, rows, checkpoint, writer = 0, [], None, nullcontext()
    if folder:
        writer = places.alone(Path(folder)) if engine.is_main_process else writer
        identity = _identity(recipe, plan, optimizers, losses | {"anneal": anneal}, models, data)
        parts = {"modules": models, "optimizers": optimizers, "averages": averages}
        checkpoint = Checkpoint(Path(folder) / CHECKPOINT, identity, parts)
        step, rows = checkpoint.restore()

    finish, log, waited = getattr(data, "to_batch", lambda batch: batch), [], 0.0
    autocast = torch.autocast(engine.device.type, torch.bfloat16, enabled=plan.precision == "bfloat16")
    quiet = not progress if progress is not None else None if engine.is_main_process else True
    torch.empty(31 << 20, dtype=torch.uint8)  # teaches glibc to keep what is freed, as in `video`: a tenth of a step
    saved = began = asked = time.monotonic()
    shown = dict(total=plan.steps, initial=step, unit="step", delay=2, disable=quiet)
    with writer, torch.random.fork_rng(), tqdm(**shown) as bar:
        for current, batch in enumerate(_batches(data, plan, engine, step), step):
            batch, terms = send_to_device(batch, engine.device, non_blocking=True), {}
            waited += time.monotonic() - asked
            # torch.manual_seed notes the caller's stack for each kind of device that is not there, at every step
            torch.default_generator.manual_seed(seed := _mix(plan.seed, current, engine.process_index))
            if engine.device.type == "cuda":
                torch.cuda.manual_seed(seed)
            for net in nets.values():
                net.train()
            with autocast:
                batch = finish(batch)
            for name, compute in losses.items():
                with autocast:
                    value, logged = _valued(name, compute(batch, seen))
                optimizer = optimizers[name]
                for group, full in zip(optimizer.param_groups, rates[name], strict=True):
                    group["lr"] = full * anneal(current)
                optimizer.zero_grad(set_to_none=True)
                engine.backward(value)
                if plan.clip:
                    parameters = [p for group in optimizer.param_groups for p in group["params"]]
                    torch.nn.utils.clip_grad_norm_(parameters, plan.clip, foreach=True)
                optimizer.step()
                terms |= logged | {name: value.detach().float()}
            for name, average in averages.items():
                average.update_parameters(models[name])
            log.append(terms)
            bar.update()
            step = current + 1
            if step % plan.log_every == 0 or step == plan.steps:
                means = _means(log, engine, step, plan, len(data))
                elapsed = time.monotonic() - began
                rows.append({"step": step, **means, "seconds": elapsed, "waiting": waited / elapsed})
                bar.set_postfix({name: f"{mean:.4g}" for name, mean in means.items()}, refresh=False)
                due = step == plan.steps or time.monotonic() - saved > 60 * plan.save_minutes
                if checkpoint and due and engine.is_main_process:
                    checkpoint.save(step, rows)
                    saved = time.monotonic()
                log, waited, began = [], 0.0, time.monotonic()
            asked = time.monotonic()

    engine.wait_for_everyone()
    for name, average in averages.items():
        models[name].load_state_dict(average.module.state_dict())
    for net in models.values():
        net.eval()
        for buffer in net.buffers() if engine.num_processes > 1 else ():
            broadcast(buffer)  # statistics of the last batch are those of each one's share
    return pandas.DataFrame(rows)


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


# Parts of `fit` ---------------------------------------------------------------------------------------------


def _engine(plan: Schedule, samples: int) -> Accelerator:
    engine = Accelerator(cpu=processes.this().device.type == "cpu")
    if plan.batch % engine.num_processes:
        raise InputError(f"{plan.batch} samples a step do not divide among {engine.num_processes} processes")
    if not samples:
        raise InputError("training needs one sample or more, got an empty data set")
    return engine


def _identity(recipe, plan, optimizers, functions, models, data) -> dict[str, dict]:
    """What decides the weights, but for those that the networks start from, which the checkpoint holds."""
    trained = [x for model in models.values() for x in (*model.modules(), *model.parameters())]
    code = {name: fingerprint(function, but=trained) for name, function in functions.items()}
    return {
        "recipe": recipe or {},
        "data": {"samples": len(data), "content": getattr(data, "content", None)},
        "schedule": {k: v for k, v in asdict(plan).items() if k not in ("log_every", "save_minutes", "workers")},
        "optimizer": {name: f"{type(its).__name__} {its.defaults}" for name, its in optimizers.items()},
        "code": code | {"python": platform.python_version().rpartition(".")[0]},  # whose bytecode it is
    }


def _batches(data, plan: Schedule, engine: Accelerator, start: int) -> Iterator:
    """The batches of the steps from `start` on, this process's share of each."""
    mine = slice(engine.process_index, None, engine.num_processes)
    return iter(
        torch.utils.data.DataLoader(
            data,
            batch_sampler=(_visits(len(data), plan, step)[mine] for step in range(start, plan.steps)),
            num_workers=plan.workers,
            collate_fn=getattr(data, "collate", None),
            pin_memory=engine.device.type == "cuda",
        )
    )


def _visits(samples: int, plan: Schedule, step: int) -> list[int]:
    """The samples of a step: a new permutation for each epoch."""
    places = (divmod(position, samples) for position in range(step * plan.batch, (step + 1) * plan.batch))
    return [epoch * samples + int(_permutation(samples, plan.seed, epoch)[place]) for epoch, place in places]


@lru_cache(maxsize=2)
def _permutation(samples: int, seed: int, epoch: int) -> np.ndarray:  # whose numbers are looked up fast
    return torch.randperm(samples, generator=torch.Generator().manual_seed(_mix(seed, epoch))).numpy()


def _mix(*numbers: int) -> int:
    """A seed from several numbers: the first 63 bits of a hash, the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(numbers).encode()).digest()[:8], "big") >> 1


def _valued(name: str, result: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """What a loss returned -> (scalar, terms to log)."""
    value, terms = result if isinstance(result, tuple) and len(result) == 2 else (result, {})
    if not isinstance(value, torch.Tensor) or value.ndim or not value.requires_grad:
        raise InputError(
            f"{name}: expected a scalar with a gradient, or it and a dict of terms to log; got {describe(value)}; "
            "a frozen network needs requires_grad_(True)"
        )
    return value, {key: torch.as_tensor(x, device=value.device).detach().float() for key, x in terms.items()}


def _means(log, engine, step, plan, samples) -> dict[str, float]:
    """Means of the terms over the steps since the last log and all processes: the one look at the device."""
    table = torch.stack([torch.stack(list(terms.values())) for terms in log])  # (steps, terms)
    table = engine.reduce(table, "mean").cpu()
    bad = (~table.isfinite()).any(1).nonzero()
    if len(bad):
        first = step - len(log) + int(bad[0])
        visits = [visit % samples for visit in _visits(samples, plan, first)]
        raise InputError(
            f"the loss is not finite at step {first}, samples {visits}; a checkpoint written before stays: "
            "lower the learning rate, clip the gradient, or look at these samples"
        )
    return dict(zip(log[0], table.mean(0).tolist(), strict=True))
