"""The loop: any loss, exact resume, several processes, divergence, other recipes and losses."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from arsr.training import loop as train
from arsr.training.checkpoint import CHECKPOINT, fingerprint, recipe
from arsr_core import losses
from arsr_core.errors import InputError

TWO = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2"]  # processes
SCHEDULE = dict(steps=60, batch=4, log_every=3, save_minutes=0, ema=0.9)
PROGRAM = """
import sys, time, torch
sys.path.insert(0, {tests!r})
from test_train import SCHEDULE, Points, task
from arsr.training import loop as train

torch.set_num_threads(1)
slow = float(sys.argv[2])
class Slow(Points):
    def __getitem__(self, visit):
        time.sleep(slow)
        return super().__getitem__(visit)

job = task()
train.fit(data=Slow(), folder=sys.argv[1], **job, **SCHEDULE)
if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
    torch.save(job["model"].state_dict(), sys.argv[1] + "/out.pt")
"""


class Points(torch.utils.data.Dataset):
    """y = 2 x_0 - x_1, seen with noise that differs from epoch to epoch."""

    def __len__(self):
        return 10

    def __getitem__(self, visit):
        generator = torch.Generator().manual_seed(visit)
        x = torch.randn(2, generator=generator)
        return {"x": x, "y": 2 * x[:1] - x[1:]}


def error(batch, model):
    loss = (model(batch["x"]) - batch["y"]).square().mean()
    return loss, {"mse": loss}


def task(rate=0.05, **about):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.1), nn.ReLU(), nn.Linear(8, 1))
    return dict(model=net, loss=error, rate=rate, recipe={"name": "points", **about})


def weights(job):
    return torch.cat([p.detach().flatten() for p in job["model"].parameters()])


def test_it_learns_and_logs(tmp_path):
    curve = train.fit(**task(), data=Points(), folder=tmp_path, steps=60, batch=4)
    assert curve.step.tolist() == [20, 40, 60]
    assert curve.mse.iloc[-1] < 0.5 * curve.mse.iloc[0]
    assert ((curve.waiting >= 0) & (curve.waiting <= 1)).all()


def test_the_seed_decides_and_the_surroundings_do_not(tmp_path):
    schedule = dict(steps=20, batch=4)
    runs = []
    for number in range(2):
        job = task()
        torch.manual_seed(number)
        before = torch.get_rng_state()
        train.fit(**job, data=Points(), folder=tmp_path / str(number), **schedule)
        assert torch.equal(torch.get_rng_state(), before)
        runs.append(weights(job))
    assert torch.equal(*runs)
    other = task()
    train.fit(**other, data=Points(), folder=tmp_path / "other", steps=20, batch=4, seed=1)
    assert not torch.equal(weights(other), runs[0])


def test_a_run_that_stopped_takes_the_same_steps(tmp_path, monkeypatch):
    schedule = dict(steps=60, batch=4, log_every=3, save_minutes=0, ema=0.9)
    whole = task()
    train.fit(**whole, data=Points(), folder=tmp_path / "whole", **schedule)

    class Broken(Points):
        def __getitem__(self, visit):
            if visit > 100:
                raise KeyboardInterrupt
            return super().__getitem__(visit)

    with pytest.raises(KeyboardInterrupt):
        train.fit(**task(), data=Broken(), folder=tmp_path / "parts", **schedule)
    resumed = task()
    curve = train.fit(**resumed, data=Points(), folder=tmp_path / "parts", **schedule)
    assert torch.equal(weights(resumed), weights(whole))
    assert curve.step.tolist() == list(range(3, 61, 3))
    again = task()
    train.fit(**again, data=Points(), folder=tmp_path / "parts", **schedule)  # nothing is left to do
    assert torch.equal(weights(again), weights(whole))


def test_kill_in_the_middle(tmp_path):
    """kill -9, start again: the weights of a run that was never killed, to the last bit."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(tests=str(Path(__file__).parent)))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}

    def start(folder, slow):
        return subprocess.Popen([sys.executable, program, tmp_path / folder, str(slow)], env=environment)

    whole = start("whole", 0)
    victim = start("parts", 0.02)
    checkpoint = tmp_path / "parts" / CHECKPOINT
    limit = time.monotonic() + 300  # importing torch takes long on a busy machine
    while not checkpoint.exists() and time.monotonic() < limit:
        time.sleep(0.05)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    assert torch.load(checkpoint, weights_only=True)["step"] < 60
    assert start("parts", 0).wait() == 0 and whole.wait() == 0
    ends = [torch.load(tmp_path / run / "out.pt", weights_only=True) for run in ("whole", "parts")]
    assert all(torch.equal(a, b) for a, b in zip(ends[0].values(), ends[1].values(), strict=True))


def test_two_processes_share_the_batch(tmp_path):
    program = tmp_path / "program.py"
    exact = "task()\njob['model'][1].p = 0.0\n"  # each process has dropout of its own
    program.write_text(PROGRAM.format(tests=str(Path(__file__).parent)).replace("task()\n", exact))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
    for folder, launch in {
        "one": [],
        "two": TWO,
    }.items():
        subprocess.run(
            [sys.executable, *launch, program, tmp_path / folder, "0"], env=environment, check=True, timeout=120
        )
    one, two = (torch.load(tmp_path / run / "out.pt", weights_only=True) for run in ("one", "two"))
    for a, b in zip(one.values(), two.values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_two_processes_end_with_the_same_statistics_of_batches(tmp_path):
    """Each saw its own part of the last batch, and whichever writes the weights last decides."""
    program = tmp_path / "program.py"
    normal = "task()\njob['model'].insert(1, torch.nn.BatchNorm1d(8))\n"
    text = PROGRAM.format(tests=str(Path(__file__).parent)).replace("task()\n", normal)
    before, _, _ = text.partition("if not torch.distributed")
    program.write_text(
        before + 'torch.save(job["model"].state_dict(), f"{sys.argv[1]}/{torch.distributed.get_rank()}.pt")\n'
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
    subprocess.run([sys.executable, *TWO, program, tmp_path, "0"], env=environment, check=True, timeout=120)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert "1.running_var" in first and all(torch.equal(first[name], second[name]) for name in first)


def test_a_loss_that_is_no_number(tmp_path):
    class Poisoned(Points):
        def __getitem__(self, visit):
            sample = super().__getitem__(visit)
            return sample | {"y": sample["y"] * float("nan")} if visit == 33 else sample

    schedule = dict(steps=60, batch=4, log_every=2, save_minutes=0)
    with pytest.raises(InputError, match=r"not finite at step 9, samples \[4, 2, 3, 9\]"):
        train.fit(**task(), data=Poisoned(), folder=tmp_path, **schedule)
    kept = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert kept["step"] == 8 and all(value.isfinite().all() for value in kept["modules"]["loss"].values())


def test_other_recipes_and_damage(tmp_path):
    schedule = dict(steps=4, batch=2, log_every=2)
    train.fit(**task(), data=Points(), folder=tmp_path, **schedule)
    with pytest.raises(InputError, match=r"another recipe \(they differ in recipe.loss\)"):
        train.fit(**task(loss="wmse"), data=Points(), folder=tmp_path, **schedule)
    with pytest.raises(InputError, match=r"schedule.batch"):
        train.fit(**task(), data=Points(), folder=tmp_path, steps=4, batch=4, log_every=2)
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="no checkpoint of this project"):
        train.fit(**task(), data=Points(), folder=tmp_path, **schedule)


def test_full_disk(tmp_path, monkeypatch):
    schedule = dict(steps=4, batch=2, log_every=2, save_minutes=0)

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="checkpoint.pt: cannot be written .No space"):
        train.fit(**task(), data=Points(), folder=tmp_path, **schedule)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_says_what_the_run_is(tmp_path):
    train.fit(**task(loss="mse"), data=Points(), folder=tmp_path, steps=2, batch=2)
    assert recipe(tmp_path) == {"name": "points", "loss": "mse"}


def test_two_updates_a_step(tmp_path):
    """A GAN's shape: the second update sees the first one's result."""
    nets = nn.ModuleDict({"net": nn.Linear(2, 1), "critic": nn.Linear(1, 1)})
    seen = []

    def made(batch, models):
        batch["fake"] = models["net"](batch["x"])
        return batch["fake"].square().mean()

    def judged(batch, models):
        seen.append(torch.equal(models["net"](batch["x"]), batch["fake"]))
        return models["critic"](batch["fake"].detach()).square().mean()

    optimizer = {name: torch.optim.SGD(net.parameters(), 0.1) for name, net in nets.items()}
    job = dict(model=dict(nets), loss={"net": made, "critic": judged}, optimizer=optimizer)
    curve = train.fit(**job, data=Points(), folder=tmp_path, steps=3, batch=2, log_every=1)
    assert {"net", "critic"} <= set(curve.columns) and seen == [False] * 3


def test_schedules():
    rate = train.cosine(10, warmup=2)
    assert [rate(0), rate(1), rate(2)] == [0.5, 1.0, 1.0] and rate(10) == pytest.approx(0)
    assert [train.halved(5, factor=0.1)(step) for step in (4, 5)] == [1.0, pytest.approx(0.1)]
    for wrong in ({"steps": 0}, {"precision": "half"}, {"ema": 1.5}):
        with pytest.raises(InputError):
            train.Schedule(**{"steps": 1, "batch": 1} | wrong)
    with pytest.raises(InputError, match="empty data set"):
        train.fit(**task(), data=torch.utils.data.Subset(Points(), []), folder="unused", steps=1, batch=1)


# What a loss is ---------------------------------------------------------------------------------------------

HELPER = "def helper(x):\n    return {0} * x\n"
LOSS = "{1}\nFACTOR = {2}\ndef {3}(batch, model):\n    {4}\n    return FACTOR * helper(model(batch)).mean()\n"
PLAIN = (HELPER.format(2), 3, "loss", "# nothing")


def defined(helper, factor, name, comment):
    """A loss as a notebook cell defines it."""
    space = {"__name__": "__main__"}
    exec(LOSS.format("", helper, factor, name, comment), space)
    return space[name]


class Weighted(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.register_buffer("weight", torch.tensor(value))

    def forward(self, batch, model):
        return self.weight * model(batch).mean()


def closure(k):
    return lambda batch, model: k * model(batch).mean()


def scaled(batch, model, k):
    return k * model(batch).mean()


@pytest.mark.parametrize(
    "one, other",
    [
        (defined(*PLAIN), defined(HELPER.format(5), *PLAIN[1:])),  # a helper that it calls by name
        (defined(*PLAIN), defined(PLAIN[0], 4, *PLAIN[2:])),  # a global
        (lambda b, m: m(b).mean(), lambda b, m: m(b).sum()),  # its body
        (lambda b, m: 2 * m(b).mean(), lambda b, m: 3 * m(b).mean()),  # a constant
        (closure(2), closure(3)),
        (closure([0.5]), closure([0.5, 1])),
        (closure(torch.tensor(2.0)), closure(torch.tensor(3.0))),
        (closure(np.float32(2)), closure(np.float32(3))),
        (closure(nn.HuberLoss), closure(nn.L1Loss)),
        (partial(scaled, k=2), partial(scaled, k=3)),
        (Weighted(2.0), Weighted(3.0)),
        (nn.HuberLoss(delta=1.0), nn.HuberLoss(delta=0.1)),
        (lambda b, m: losses.mse(m(b), b), lambda b, m: losses.wmse(m(b), b, b)),
    ],
)
def test_another_loss(one, other):
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize(
    "one, other",
    [
        (defined(*PLAIN), defined(*PLAIN)),
        (defined(*PLAIN), defined(*PLAIN[:2], "renamed", "# another comment\n\n")),
        (closure({"a": 2}), closure({"a": 2})),
        (partial(scaled, k=2), partial(scaled, k=2)),
        (Weighted(2.0), Weighted(2.0).eval()),
    ],
)
def test_the_same_loss(one, other):
    assert fingerprint(one) == fingerprint(other)


def test_an_edited_function_of_the_library_makes_another_loss(monkeypatch):
    def loss(batch, model):
        return losses.wmse(model(batch["lr"]), batch["hr"], batch["flow"])

    before = fingerprint(loss)
    monkeypatch.setitem(losses.WMSE, "paper", lambda sr, hr, weight: ((sr - hr).square() * weight).sum())
    assert fingerprint(loss) != before


def test_the_network_in_training_does_not_count():
    net = nn.Linear(2, 1)
    before = fingerprint(lambda batch, _: net(batch).mean(), but=[net])
    nn.init.zeros_(net.weight)
    assert fingerprint(lambda batch, _: net(batch).mean(), but=[net]) == before


def test_an_edited_loss_does_not_go_on(tmp_path):
    job = task()
    train.fit(**job, data=Points(), folder=tmp_path, steps=2, batch=2)

    def halved(batch, model):
        loss, terms = error(batch, model)
        return 0.5 * loss, terms

    with pytest.raises(InputError, match=r"another recipe \(they differ in code.loss\)"):
        train.fit(**task() | {"loss": halved}, data=Points(), folder=tmp_path, steps=2, batch=2)
    with pytest.raises(InputError, match=r"they differ in optimizer.loss\)"):
        train.fit(**task(rate=0.1), data=Points(), folder=tmp_path, steps=2, batch=2)
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["step"] == 2


def test_a_loss_in_a_notebook_needs_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = task() | {"loss": lambda batch, model: (model(batch["x"]) - batch["y"]).square().mean()}
    curve = train.fit(**job, data=Points(), steps=60, batch=4)
    with_folder = task()
    train.fit(**with_folder, data=Points(), folder="run", steps=60, batch=4)
    assert torch.equal(weights(job), weights(with_folder)) and curve.columns[1] == "loss"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_is_no_loss():
    for wrong in (lambda b, m: 1.0, lambda b, m: m(b["x"]), lambda b, m: b["y"].mean()):
        with pytest.raises(InputError, match="loss: expected a scalar with a gradient"):
            train.fit(**task() | {"loss": wrong}, data=Points(), steps=1, batch=2)
    with pytest.raises(InputError, match="networks loss, losses net; expected the same names"):
        train.fit(**task() | {"loss": {"net": error}}, data=Points(), steps=1, batch=2)
    net = task()["model"].requires_grad_(False)
    with pytest.raises(InputError, match=r"needs requires_grad_\(True\)"):
        train.fit(net, Points(), loss=error, steps=1, batch=2)
