"""What is evaluated: a data set with methods and recognisers; what `evaluate` is told. No torch yet."""

from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Le, MinLen
from pydantic import AfterValidator, StringConstraints

from arsr.names import DATASETS, pair
from arsr.settings import Flag, Many, Positional, Suppress, settings, spelled
from arsr_core.errors import InputError
from arsr_core.recognition import PROTOCOLS, Protocol
from arsr_core.sr import METHODS

if TYPE_CHECKING:
    from arsr.data.clips import Clip

TABLE4 = ("hr", "bicubic", "vdsr", "rcan", "srgan", "esrgan", "sosr", "spmc", "duf16", "duf52", "tosr", "sosr+tosr")
Preset = Literal["reference", "fast", "opencv2"]


def _known(method: str) -> str:
    if unknown := sorted({*pair(method), *method.split("+", 1)} - {"hr", *METHODS}):
        raise InputError(f"unknown method {unknown[0]!r}; expected hr, {', '.join(METHODS)}, or two joined by +")
    return method


Method = Annotated[str, AfterValidator(_known)]  # hr, a name in sr.METHODS, or two joined by +


@settings
class Evaluation:
    """What is evaluated, by what and how."""

    # embedded, ucf101, hmdb51, weizmann, ut_interaction, tennis, yoga, or folder: a subfolder of videos for each class
    dataset: Annotated[Positional[str], spelled(metavar="DATASET")]
    out: Annotated[Positional[Path], spelled(metavar="OUT")]  # OUT.parquet, of scores; goes on with what is there
    # file of a TSN stream, or an ST-ResNet; {fold} stands for the fold it never saw
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
    groups: str | None = None  # of a folder's clips: '(s[0-9]+)_' finds them in names; or a CSV file of clip, group
    folds: Annotated[int, Ge(0)] = 0  # that share the groups; 0: each group is a fold
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
        if self.folds and not self.by_fold:
            raise InputError("each fold has a recogniser of its own: write {fold} in their names, or drop --folds")
        if lacking := sorted(used - {"hr", "bicubic", *self.weights}):
            raise InputError(f"{lacking[0]} needs weights, --weights {lacking[0]}=FILE")

    @property
    def by_fold(self) -> bool:
        """Whether each fold has a recogniser of its own."""
        return any("{fold}" in path for path in self.recognisers)

    def require_source(self) -> None:
        """InputError for a data set that is not known, and for real clips without a folder."""
        if self.dataset not in DATASETS:
            raise InputError(f"unknown data set {self.dataset!r}; expected one of {', '.join(DATASETS)}")
        if self.dataset != "embedded" and self.root is None:
            raise InputError(f"{self.dataset}: give the folder of its clips, --data")

    def fold(self, clip: "Clip") -> str:
        """What the clip's recogniser was not trained on: the clip's fold, or the test part of an official split."""
        if self.by_fold:
            return clip.fold
        from arsr.data import folders

        dataset = folders.DATASETS.get(self.dataset)
        return str(self.split) if dataset and dataset.splits else ""

    def files(self, fold: str) -> list[Path]:
        """The recognisers of a fold; InputError for one that is not there."""
        paths = [Path(name.replace("{fold}", fold)) for name in self.recognisers]
        if absent := [path for path in paths if not path.is_file()]:
            raise InputError(f"{absent[0]}: no such recogniser; 'arsr train' makes one")
        return paths
