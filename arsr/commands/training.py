"""Training: what can be trained, and one recipe trained, measured and shipped."""

from dataclasses import dataclass, replace
from pathlib import Path

from tyro.conf import OmitArgPrefixes

from arsr import records
from arsr.commands import Set, assignments, hint, say, tell, typed
from arsr.settings import Flag, Many
from arsr.training.recipes import RECIPES, Run
from arsr_core.errors import InputError

TELLING = ("method", "stream", "backbone", "start", "pixel", "feature", "adversarial", "warp")


@dataclass
class List:
    """The recipes, with what each trains.

    Examples:
      arsr train --list
    """

    def __call__(self) -> None:
        for name, profiles in RECIPES.items():
            recipe = next(iter(profiles.values()))
            told = {key: getattr(recipe, key) for key in TELLING if hasattr(recipe, key)}
            words = (f"{key} {value}" for key, value in told.items() if value != getattr(type(recipe), key, None))
            tell(f"{name:22} {', '.join(words)}  (profiles {', '.join(profiles)})")


@dataclass
class Train:
    """Train a recogniser or a super-resolution network; the same command goes on where it was interrupted.

    Several GPUs or machines: accelerate launch -m arsr train ...

    Examples:
      arsr train --list
      arsr train tsn-rgb
      arsr train sosr --profile paper --data CDVL134 --precision bfloat16 --workers 8
      arsr train tsn-flow --profile small --data data/weizmann --dataset weizmann --fold lena
    """

    run: OmitArgPrefixes[Run]
    set_: Set = ()  # another value of one of the recipe's settings
    ship: Flag[bool] = False  # copy the weights to weights/, with an entry in its manifest
    test: Many[tuple[Path, ...]] = ()  # with --ship: a clip to measure PSNR on
    root: Path = Path(".")  # the project's checkout

    def __call__(self) -> None:
        run = replace(self.run, weights=self.root / "weights", settings=assignments(self.set_))
        if self.test and not self.ship:
            raise InputError("--test has no use without --ship; leave it out")
        if self.ship:
            records.commit(self.root, "arsr", "arsr_core")  # what would be refused after the training is said before
        hint(f"{run.name}: {run.settled.steps:,} steps, to {run.folder}")
        from arsr import processes
        from arsr.training import runs

        path, curve = runs.train(run, say=say)
        if not processes.this().is_main_process:
            return
        last, waited = curve.iloc[-1], curve.waiting.iloc[-1]
        say(f"step {last.step:.0f}, loss {last.iloc[1]:.4g}; {waited:.1%} of the last steps spent waiting for data")
        if self.ship:
            entry = runs.ship(run, path, curve, self.test, root=self.root, command=typed())
            say(f"shipped: {entry.file}, {', '.join(f'{k} {v:.4g}' for k, v in entry.metrics.items())}")
        tell(path)
