"""What can be trained: the recipes of recipes.yaml by name and profile, and a run of one. None of it needs torch."""

from collections.abc import Mapping
from dataclasses import field, replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from annotated_types import Ge, Gt, Le, Lt
from pydantic import Strict

from arsr.names import DATASETS
from arsr.settings import Many, Positional, Suppress, settings, spelled
from arsr_core.errors import InputError
from arsr_core.recognition import PROTOCOLS, Augmentation
from arsr_core.sr import METHODS

Count = Annotated[int, Strict(), Ge(1), Le(10_000)]
Steps = Annotated[int, Strict(), Ge(1), Le(10**9)]
Positive = Annotated[float, Strict(), Gt(0)]
Weight = Annotated[float, Strict(), Ge(0)]  # of a part of a loss; a rate, a decay
Share = Annotated[float, Strict(), Ge(0), Lt(1)]
Bool = Annotated[bool, Strict()]
NAMED = ("method", "lite", "stream")  # what the name of the weights says
SUFFIXES = {"paper": "", "small": "-small", "embedded": "-lite", "video": "-video"}  # of the names of weights


@settings
class SRRecipe:
    """L = pixel_weight L_pixel + feature L_feature + adversarial L_adversarial; with `warp` ToSR's loss is L_pixel."""

    method: Literal[*METHODS]  # the network, as sr.METHODS names it
    lite: Bool  # its small form
    steps: Steps
    batch: Count
    patch: Count  # HR, px
    rate: Weight
    pixel: Literal["mse", "wmse", "wmse_normalised", "wmse_code", "l1", "huber"] = "mse"
    pixel_weight: Weight = 1.0
    feature: Weight = 0.0
    adversarial: Weight = 0.0
    gan: Literal["relativistic", "standard"] = "relativistic"  # standard: SRGAN's
    judge: Positive = 1.0  # the discriminator's rate over the generator's
    warp: tuple[Weight, Weight, Weight] | None = None  # weights of L_SR, L_warp-SR, L_warp-HR; (1, 0, 0): the control
    start: str | None = None  # the recipe whose weights it starts from
    milestones: tuple[Steps, ...] = ()  # steps where the rate falls by `factor`; none: half a cosine
    factor: Annotated[Positive, Le(1)] = 0.5
    clip: Positive | None = None  # norm of the gradient

    def __post_init__(self):
        pixels = self.pixel_weight and (any(self.warp) if self.warp else True)
        if not any((pixels, self.feature, self.adversarial)):
            raise InputError("a recipe needs a loss; expected one weight above 0")


@settings
class RecogniserRecipe:
    """How one stream of TSN is trained, or ST-ResNet."""

    stream: Literal["rgb", "flow", "both"]  # both: ST-ResNet
    backbone: Literal["bn_inception", "efficientnet_lite0", "lite", "resnet18", "resnet50", "squeezenet1_1"]
    protocol: Literal[*PROTOCOLS]  # size of the frames, crop, length of the stack
    steps: Steps
    batch: Count
    rate: Weight  # learning rate
    decay: Weight  # of the weights
    dropout: Share = 0.0  # before the classifier; ST-ResNet's are those of its streams
    imagenet: Bool | str = False  # start from ImageNet weights: those of a package, or of a file
    start: tuple[str, ...] = ()  # names of the weights of ST-ResNet's two streams, or of one with other classes
    optimizer: Literal["sgd", "adamw"] = "sgd"  # sgd: with momentum 0.9 and `parameter_groups`
    milestones: tuple[Steps, ...] = ()  # steps where the rate falls to a tenth; none: half a cosine
    segments: Count = 3
    clip: Positive | None = None
    partial_bn: Bool = False
    frozen: Annotated[int, Strict(), Ge(0)] = 0  # leading parts of the backbone that keep their ImageNet weights
    smoothing: Share = 0.0  # of the labels
    augmentation: Augmentation = Augmentation()

    def __post_init__(self):
        if (len(self.start) == 2) != (self.stream == "both") or len(self.start) > 2:
            raise InputError(f"start: expected two streams for ST-ResNet, at most one for TSN, got {self.start}")
        if self.imagenet is True and self.backbone != "efficientnet_lite0":
            raise InputError(f"imagenet: true is for efficientnet_lite0; {self.backbone} needs a file of weights")
        drawn = self.augmentation
        within = all(0 < x <= 1 for x in drawn.scales) and 0 <= drawn.mirror <= 1 and 0 <= drawn.degrade <= 1
        if not (drawn.scales and within and drawn.degrade_scale >= 1):
            raise InputError(f"expected scales in (0, 1], shares in [0, 1], degrade_scale from 1, got {drawn}")


_TABLE = yaml.safe_load((files("arsr.training") / "recipes.yaml").read_text(encoding="utf-8"))
RECIPES: dict[str, dict[str, RecogniserRecipe | SRRecipe]] = {
    name: {p: (RecogniserRecipe if "stream" in fields else SRRecipe)(**fields) for p, fields in profiles.items()}
    for name, profiles in _TABLE.items()
    if not name.startswith(".")
}


@settings
class Run:
    """One training: which recipe, on what, from which seed."""

    recipe: Annotated[Positional[str], spelled(metavar="RECIPE")]  # its name; --list shows them
    profile: str = "embedded"  # embedded, video (super-resolution), small (recognisers) or paper
    data: Many[tuple[Path, ...]] = ()  # a data set's folder; for SR, folders of clips; or what 'arsr data' prepared
    dataset: Literal[tuple(name for name in DATASETS if name != "embedded")] | None = None  # of recognisers
    splits: Path | None = None  # folder of the official split files
    groups: str | None = None  # of a folder's clips: '(s[0-9]+)_' finds them in names; or a CSV file of clip, group
    folds: Annotated[int, Ge(0)] = 0  # that share the groups; 0: each group is a fold
    fold: str | None = None  # the fold to leave out: an actor, a sequence; of --folds: 1, 2 ...
    seed: Annotated[int, Ge(0), Lt(2**23)] = 0  # of weights, order and augmentation
    start: Path | None = None  # weights to start from; default: the recipe's, in `out` or `weights`
    out: Path = Path("_build/train")  # folder of prepared data, checkpoints and weights
    precision: Literal["float32", "bfloat16"] = "float32"
    workers: Annotated[int, Ge(0), Le(512)] = 0  # processes that load data
    weights: Suppress[Path] = Path("weights")  # folder of the shipped weights
    settings: Suppress[Mapping[str, Any]] = field(default_factory=dict)  # other values of the recipe's fields

    def __post_init__(self):
        if self.recipe not in RECIPES:
            raise InputError(f"no recipe {self.recipe!r}; 'arsr train --list' shows them: {', '.join(RECIPES)}")
        if self.profile not in (profiles := RECIPES[self.recipe]):
            raise InputError(f"{self.recipe} has no profile {self.profile!r}; expected one of {', '.join(profiles)}")
        if named := sorted(self.settings.keys() & {*NAMED}):
            raise InputError(f"{self.recipe}: {named[0]} is what its name stands for; choose another recipe or profile")
        if self.folds and not self.fold:
            raise InputError(f"{self.recipe}: which of the {self.folds} folds is left out? give its number, --fold 1")
        recipe = self.settled  # which checks the settings
        recogniser, embedded = isinstance(recipe, RecogniserRecipe), self.profile == "embedded"
        idle = ("splits", "groups", "folds")
        idle = ("data", "dataset", *idle) if recogniser and embedded else () if recogniser else idle
        if unused := [name for name in idle if getattr(self, name)]:
            raise InputError(f"{self.recipe}, profile {self.profile}: has no use for --{unused[0]}; leave it out")
        if recogniser and isinstance(recipe.imagenet, str) and not Path(recipe.imagenet).is_file():
            raise InputError(f"imagenet: {recipe.imagenet}: no such file; expected one of weights, true or false")

    @property
    def settled(self) -> RecogniserRecipe | SRRecipe:
        """The recipe with the run's own settings."""
        return replace(RECIPES[self.recipe][self.profile], **self.settings)

    @property
    def fork(self) -> str:
        """What tells its name from that of the recipe and profile: the fold and the seed."""
        fold = f"-without-{self.fold}" + f"-of-{self.folds}" * bool(self.folds) if self.fold else ""
        return fold + (f"-seed{self.seed}" if self.seed else "")

    @property
    def name(self) -> str:
        """Of the folder and of the shipped file."""
        return self.recipe + SUFFIXES[self.profile] + self.fork

    @property
    def folder(self) -> Path:
        """Of the checkpoint, the loss curves, the weights."""
        return self.out / self.name
