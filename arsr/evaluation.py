"""What is evaluated: one data set, or the whole of Table 4; what `evaluate` and `reproduce` are told. No torch yet."""

from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Le, MinLen
from pydantic import AfterValidator, StringConstraints

from arsr.names import DATASETS, pair
from arsr.settings import Flag, Many, Positional, Suppress, settings, spelled
from arsr_core.errors import InputError
from arsr_core.recognition import PROTOCOLS, Protocol
from arsr_core.sr import METHODS, STARTS

if TYPE_CHECKING:
    from arsr.data.clips import Clip

TABLE4 = ("hr", "bicubic", "vdsr", "rcan", "srgan", "esrgan", "sosr", "spmc", "duf16", "duf52", "tosr", "sosr+tosr")
Preset = Literal["reference", "fast"]


def _known(method: str) -> str:
    if unknown := sorted({*pair(method), *method.split("+", 1)} - {"hr", *METHODS}):
        raise InputError(f"unknown method {unknown[0]!r}; expected hr, {', '.join(METHODS)}, or two joined by +")
    return method


Method = Annotated[str, AfterValidator(_known)]  # hr, a name in sr.METHODS, or two joined by +


@settings
class Evaluation:
    """What is evaluated, by what and how."""

    # embedded, ucf101, hmdb51, weizmann or ut_interaction
    dataset: Annotated[Positional[str], spelled(metavar="DATASET")]
    out: Annotated[Positional[Path], spelled(metavar="OUT")]  # OUT.parquet, of scores; goes on with what is there
    # file of a TSN stream, or an ST-ResNet; {fold} stands for the group it never saw
    recognisers: Annotated[tuple[str, ...], Many, spelled(name="recogniser", aliases=["-r"])]
    # hr, vdsr ..., sosr+tosr (frames, flow)
    methods: Suppress[Annotated[tuple[Method, ...], MinLen(1)]] = ("hr", "bicubic")
    weights: Suppress[dict[str, str | Path]] = field(default_factory=dict)  # weights of SR methods: METHOD=FILE
    protocol: Suppress[Protocol] = PROTOCOLS["full"]  # which snippets are seen, in which crops
    flow: Annotated[Preset, spelled(name="preset")] = "reference"  # preset of TV-L1
    backend: Suppress[str] = "auto"  # of TV-L1
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: SR as hardware likes; bfloat16: recognisers, too
    # its name in the table; default: tsn or st-resnet
    network: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_+-]*$")] | None = None
    root: Annotated[Path | None, spelled(name="data")] = None  # the data set's folder
    splits: Path | None = None  # folder of the official split files
    split: int = 1  # official split
    present_only: Flag[bool] = False  # do without clips that are missing
    clips: Annotated[int, Ge(1), Le(100_000)] = 180  # embedded clips
    seed: Annotated[int, Ge(0)] = 0  # of the embedded clips
    # what follows changes the speed, not the scores
    cache: Path | None = None  # folder that keeps flow for the next network or run
    device: str | None = None  # cpu, cuda, cuda:1 ...; default: cuda where there is one
    workers: Annotated[int, Ge(0)] = 0  # pairs of frames at a time on a CPU; 0: one a core
    batch: Annotated[int, Ge(0)] = 0  # images a forward of the recogniser; 0: as the device likes

    def __post_init__(self):
        if not self.recognisers:
            raise InputError("no recognisers; expected the files of TSN's streams or of an ST-ResNet, -r FILE -r FILE")
        used = {name for method in self.methods for name in pair(method)}
        if "hr" in self.weights:
            raise InputError("weights of hr, the clips as they are, which need none; leave them out")
        if idle := sorted(self.weights.keys() - used):
            raise InputError(f"weights of {idle[0]}, but the methods are {', '.join(self.methods)}; name it there, too")
        if lacking := sorted(used - {"hr", "bicubic", *self.weights}):
            raise InputError(f"{lacking[0]} needs weights, --weights {lacking[0]}=FILE")

    def require_source(self) -> None:
        """InputError for a data set that is not known, and for real clips without a folder."""
        if self.dataset not in DATASETS:
            raise InputError(f"unknown data set {self.dataset!r}; expected one of {', '.join(DATASETS)}")
        if self.dataset != "embedded" and self.root is None:
            raise InputError(f"{self.dataset}: give the folder of its clips, --data")

    def fold(self, clip: "Clip") -> str:
        """What the clip's recogniser was not trained on: the clip's group, or the test part of an official split."""
        if any("{fold}" in path for path in self.recognisers):
            return clip.group
        from arsr.data import folders

        dataset = folders.DATASETS.get(self.dataset)
        return str(self.split) if dataset and dataset.splits else ""

    def files(self, fold: str) -> list[Path]:
        """The recognisers of a fold; InputError for one that is not there."""
        paths = [Path(name.replace("{fold}", fold)) for name in self.recognisers]
        if absent := [path for path in paths if not path.is_file()]:
            raise InputError(f"{absent[0]}: no such recogniser; 'arsr train' makes one")
        return paths


@settings
class Study:
    """What is to be reproduced, on what."""

    profile: Literal["paper", "embedded"] = "paper"  # paper, or embedded: the shipped networks on embedded clips
    data: Path | None = None  # folder of hmdb51, ucf101, their split files, and weights
    out: Path = Path("_build/reproduce")  # folder of the scores and records
    datasets: Annotated[tuple[Literal["hmdb51", "ucf101"], ...], MinLen(1), Suppress] = ("hmdb51", "ucf101")
    methods: Annotated[tuple[Method, ...], MinLen(1), Suppress] = (*TABLE4, *STARTS)  # default: Table 4's and C3's
    protocol: Literal[*PROTOCOLS] | None = None  # full, light ...; default: full, lite if embedded
    preset: Preset | None = None  # of TV-L1; default: reference, fast if embedded
    split: int = 1  # official split
    splits: Path | None = None  # folder of the split files; default: in or beside the data set
    present_only: Flag[bool] = False  # do without clips that are missing
    clips: Annotated[int, Ge(1), Le(100_000)] = 360  # embedded test clips
    seed: Annotated[int, Ge(0), Suppress] = 0  # of the embedded clips
    shipped: Suppress[Path] = Path("weights")  # folder of the weights of the profile embedded
    device: str | None = None  # cpu, cuda ...; default: cuda where there is one

    def __post_init__(self):
        if self.profile == "paper" and self.data is None:
            raise InputError("reproduce: give the folder that holds hmdb51, ucf101 and weights, --data FOLDER")
        if self.data and not self.data.is_dir():
            raise InputError(f"{self.data}: no such folder; expected one that holds hmdb51, ucf101 and weights")
