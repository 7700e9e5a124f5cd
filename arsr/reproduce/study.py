"""What is to be reproduced, on what: what `arsr reproduce` is told. No torch yet."""

import platform
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MinLen
from pydantic import StringConstraints

from arsr.evaluation import TABLE4, Method, Preset
from arsr.names import RIVALS
from arsr.settings import Flag, Many, Suppress, settings
from arsr.training.recipes import RECIPES
from arsr_core.errors import InputError
from arsr_core.recognition import PROTOCOLS
from arsr_core.sr import STARTS

RECIPE_PROFILES = {"paper": ("paper", "paper"), "small": ("video", "small")}  # of super-resolution, of recognisers
Hours = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?h$")]


@settings
class Study:
    """What is to be reproduced, on what."""

    # paper: the published networks. small: the same jobs, small networks. embedded: score the shipped ones alone
    profile: Literal["paper", "small", "embedded"] = "paper"
    data: Path | None = None  # folder of hmdb51, ucf101, their split files, and weights
    videos: Many[tuple[Path, ...]] = ()  # folders of videos to train super-resolution on; default: DATA/CDVL134
    out: Path = Path("_build/reproduce")  # folder of all that is made
    datasets: Annotated[tuple[Literal["hmdb51", "ucf101"], ...], MinLen(1), Suppress] = ("hmdb51", "ucf101")
    methods: Annotated[tuple[Method, ...], MinLen(1), Suppress] = (*TABLE4, *RIVALS, *STARTS)
    only: Many[
        tuple[str, ...]
    ] = ()  # these stages or results, as figure-8 or 'table-4/hmdb51-tsn/*', and what they need
    skip_training: Flag[bool] = False  # use the weights that are there
    seeds: Annotated[int, Ge(1), Le(5)] = 3  # trainings of each row of Tables 2 and 3 whose contrast is a claim
    budget: Hours | None = None  # GPU-hours, as 200h, of all jobs: results that fit, the most telling first
    protocol: Literal[*PROTOCOLS] | None = None  # full, light ...; default: that of the recognisers' recipes
    preset: Preset | None = None  # of TV-L1; default: reference, fast if embedded
    split: int = 1  # official split
    splits: Path | None = None  # folder of the split files; default: in or beside the data set
    present_only: Flag[bool] = False  # do without clips that are missing
    clips: Annotated[int, Ge(1), Le(100_000)] = 360  # embedded test clips
    seed: Annotated[int, Ge(0), Suppress] = 0  # of the embedded clips
    shipped: Suppress[Path] = Path("weights")  # folder of the weights of the profile embedded
    settings: Suppress[Mapping[str, Any]] = field(default_factory=dict)  # of every recipe that has them
    device: str | None = None  # cpu, cuda ...; default: cuda where there is one
    processes: Annotated[int, Ge(1), Le(64)] = 1  # that share a job, a GPU each
    precision: Literal["float32", "bfloat16"] | None = None  # of trainings; default: bfloat16 on a GPU
    rates: Path | None = None  # a rates.json from another machine, for the plan; default: measured here, in a minute
    engine: str = ""  # more words for Snakemake, as '--executor slurm --jobs 64'
    machine: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$")] = platform.node() or "here"  # its name

    def __post_init__(self):
        if self.profile != "embedded" and self.data is None:
            raise InputError("reproduce: give the folder that holds hmdb51, ucf101 and weights, --data FOLDER")
        if self.data and not self.data.is_dir():
            raise InputError(f"{self.data}: no such folder; expected one that holds hmdb51, ucf101 and weights")
        if absent := [path for path in self.videos if not path.is_dir()]:
            raise InputError(f"{absent[0]}: no such folder; expected one of videos to train super-resolution on")
        known = {name for row in RECIPES.values() for recipe in row.values() for name in vars(recipe)}
        if unknown := sorted(self.settings.keys() - known):
            raise InputError(f"--set {unknown[0]}: no recipe has it; expected one of {', '.join(sorted(known))}")
        if (protocol := self.settings.get("protocol", "full")) not in [*PROTOCOLS]:
            raise InputError(f"--set protocol={protocol}: no such protocol; expected one of {', '.join(PROTOCOLS)}")

    @property
    def places(self) -> tuple[str, ...]:
        """The data sets; those of the profile embedded are its clips."""
        return ("embedded",) if self.profile == "embedded" else self.datasets

    @property
    def hours(self) -> float:
        """Of the budget."""
        return float(self.budget[:-1]) if self.budget else float("inf")
