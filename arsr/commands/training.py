"""Training: what can be trained, and one recipe trained, measured and shipped."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le, Lt
from tyro.conf import OmitArgPrefixes

from arsr import records
from arsr.commands import Set, assignments, hint, say, tell
from arsr.printing import typed
from arsr.settings import Flag, Many, Positional, settings, spelled
from arsr.training.recipes import RECIPES, RecogniserRecipe, Run
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
      arsr train tsn-rgb --profile small --data clips --dataset folder --groups '(s[0-9]+)_' --folds 5 --fold 3
      arsr train squeezenet-rgb --profile small --set imagenet=squeezenet_weights.pkl --data clips --dataset folder
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
            entry = runs.ship(run, path, curve, self.test, root=self.root, command=typed("arsr"))
            say(f"shipped: {entry.file}, {', '.join(f'{k} {v:.4g}' for k, v in entry.metrics.items())}")
        tell(path)


@settings
class Adapt:
    """Fit recogniser and video to each other: retrain TSN on LR and HR, train SR through it, or both in turns.

    The same command goes on where it was interrupted. hr, lr: folders of 'arsr data clips'.

    Examples:
      arsr adapt retrained out --hr clips --lr clips-lr --start tsn-rgb.safetensors --share 2
      arsr adapt end-to-end out --hr clips --recogniser tsn-rgb.safetensors --start srresnet.safetensors
      arsr adapt turns out --hr clips --recogniser tsn-rgb.safetensors --start srresnet.safetensors --steps 400
    """

    # retrained (Figure 8), end-to-end (C10) or turns (C14)
    kind: Annotated[Positional[Literal["retrained", "end-to-end", "turns"]], spelled(metavar="KIND")]
    out: Annotated[Positional[Path], spelled(metavar="OUT")]  # folder of checkpoint and weights
    hr: Path  # prepared clips
    start: Path  # weights that are trained on: the recogniser's, or the network's
    lr: Path | None = None  # the same clips, reduced and enlarged again
    share: Annotated[int, Ge(0), Le(4)] = 4  # clips of 4 that are LR
    recipe: str = "tsn-rgb"  # of the recogniser, for stream and rates
    profile: str = "paper"  # of the recipe
    recogniser: Path | None = None  # through which super-resolution is trained
    method: str = "srgan"  # of super-resolution
    # of the recogniser in the network's loss; default: end-to-end 0.1, turns 1; 0: the control
    weight: Annotated[float, Ge(0)] | None = None
    still: Flag[bool] = False  # in turns, the recogniser does not learn
    steps: Annotated[int, Ge(1)] = 600
    batch: Annotated[int, Ge(1)] = 8
    seed: Annotated[int, Ge(0), Lt(2**23)] = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    workers: Annotated[int, Ge(0), Le(512)] = 0  # processes that load data

    def __call__(self) -> None:
        needed = self.lr if self.kind == "retrained" else self.recogniser
        if not needed:
            option = "--lr FOLDER" if self.kind == "retrained" else "--recogniser FILE"
            raise InputError(f"adapt {self.kind}: give {option}; 'arsr adapt --help' has an example")
        if self.still and self.kind != "turns":
            raise InputError(f"adapt {self.kind}: --still is for turns; leave it out")
        recipe = Run(self.recipe, self.profile).settled
        if not isinstance(recipe, RecogniserRecipe) or recipe.stream == "both":
            raise InputError(f"adapt: {self.recipe} is no stream of TSN; expected tsn-rgb or tsn-flow")
        from arsr import places, processes
        from arsr.data.snippets import Snippets
        from arsr.studies import adaptation, turns

        stream = recipe.stream if self.kind == "retrained" else "rgb"
        stores = [
            Snippets(path, stream, segments=recipe.segments, seed=self.seed) for path in (self.hr, self.lr) if path
        ]
        options = dict(seed=self.seed, precision=self.precision, workers=self.workers)
        state = processes.this()
        with places.own(self.out, "training") if state.is_main_process else nullcontext():
            if self.kind == "retrained":
                changed = replace(recipe, steps=self.steps, batch=self.batch, milestones=(), frozen=0)
                path, _ = adaptation.retrain(
                    changed, adaptation.Mixed(*stores, self.share), self.start, self.out, **options
                )
            else:
                how = dict(steps=self.steps, batch=self.batch) | options
                how |= {} if self.weight is None else {"weight": self.weight}
                given = (self.method, self.start, self.recogniser, stores[0], self.out)
                if self.kind == "turns":
                    path, judge, _ = turns.fit_in_turns(*given, recogniser_learns=not self.still, **how)
                else:
                    path, _ = adaptation.fit_end_to_end(*given, **how)
        if state.is_main_process:
            tell(path)
            if self.kind == "turns":
                tell(judge)
