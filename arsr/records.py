"""Typed records: a number, how sure we are of it, and where it comes from."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from math import isfinite
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from arsr import reading
from arsr.printing import printable
from arsr.settings import check
from arsr_core.errors import InputError
from arsr_core.files import write_atomically

if TYPE_CHECKING:
    from arsr.paired import Difference

T = TypeVar("T", bound=BaseModel)
UNITS = ("%", "points", "dB", "px", "s", "frames/s", "")
BADGES = {
    "paper": "printed in the paper or its slides",
    "derived": "computed from numbers that the paper prints",
    "recomputed": "computed by this build of the book",
    "measured": "a committed measurement, with the command that made it",
}
# the packages whose versions can move a number
INFLUENTIAL = ("torch", "torchvision", "numpy", "scipy", "statsmodels", "pandas")
INFLUENTIAL += ("numba", "opencv-contrib-python-headless", "av", "pillow", "scikit-image")


Text = Annotated[str, AfterValidator(printable)]  # it reaches pages and terminals


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Provenance(_Strict):
    """Where a number comes from; `kind` is the badge that it carries on every page."""

    kind: Literal["paper", "derived", "recomputed", "measured"]
    source: Text = Field(min_length=1, description="table of the paper, chapter, or study")
    profile: Text | None = None
    command: Text | None = Field(None, description="what to type to get the number again")
    data: Text | None = Field(None, description="what the number was measured on")
    machine: Text | None = Field(None, description="what a measurement ran on")
    code: Text | None = Field(None, description="commit of the code that measured")
    note: Text | None = Field(None, description="substitutes and deviations, in words")
    versions: dict[Text, Text] = {}

    @model_validator(mode="after")
    def _complete(self):
        if self.kind == "recomputed" and not self.profile:
            raise ValueError("a recomputed number names its profile")
        if self.kind == "measured" and not self.command:
            raise ValueError("a measured number names its command")
        return self

    @property
    def badge(self) -> str:
        """The words on the badge, e.g. `paper`, `from the paper's numbers` or `recomputed: embedded`."""
        words = {"derived": "from the paper's numbers", "recomputed": f"recomputed: {self.profile}"}
        return words.get(self.kind, self.kind)


class Record(_Strict):
    """One number. `count` of `n` for proportions, [`low`, `high`] the 95 % interval, `p` of "no difference"."""

    key: str = Field(pattern=r"^[a-z0-9_+-]+(\.[a-z0-9_+-]+)*$")
    value: float
    unit: Literal[UNITS] = ""
    count: int | None = Field(None, ge=0)
    n: int | None = Field(None, ge=1)
    low: float | None = None
    high: float | None = None
    interval: Text | None = Field(None, description="how [low, high] was made, e.g. `Wilson`")
    p: float | None = Field(None, ge=0, le=1, description="two-sided; of the test that `interval` names")
    freedom: float | None = Field(None, gt=0, description="of Student's t, where interval and p are from it")
    description: Text = Field(min_length=1)
    provenance: Provenance

    @model_validator(mode="after")
    def _consistent(self):
        if (self.low is None) != (self.high is None) or (self.low is None) != (self.interval is None):
            raise ValueError("low, high and interval come together")
        if self.low is not None and not self.low <= self.value <= self.high:
            raise ValueError(f"value {self.value} outside its interval [{self.low}, {self.high}]")
        if self.count is not None and (self.n is None or self.count > self.n):
            raise ValueError(f"count {self.count} needs an n that is not smaller, got {self.n}")
        return self


def wilson(count: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion of n independent trials, in percent. Wilson (1927); `count` in [0, n].

    >>> [round(x, 2) for x in wilson(820, 1530)]
    [51.09, 56.08]
    """
    if not 0 <= count <= n or n < 1:
        raise InputError(f"wilson needs 0 <= count <= n and n >= 1, got count {count}, n {n}")
    from statsmodels.stats.proportion import proportion_confint

    low, high = (100 * float(end) for end in proportion_confint(count, n, alpha=1 - 0.95, method="wilson"))
    return min(low, 100 * count / n), max(high, 100 * count / n)  # rounding may leave the share outside


def mean(key: str, values: Sequence[float], unit: str, description: str, provenance: Provenance) -> Record:
    """The mean of `values` as a record, with the bootstrap's 95 % interval when there are two values or more.

    Percentile bootstrap, 9,999 resamples, fixed seed: an interval that never leaves the range of the values. With
    few values or outliers its 95 % are nominal: it covers less.
    """
    import numpy as np
    from scipy.stats import bootstrap

    values = np.asarray(values, dtype=float)
    if not len(values) or not np.isfinite(values).all():
        raise InputError(f"record {key} needs finite values, got {values.tolist() or 'none'}")
    average, extra = float(values.mean()), {}
    if len(values) > 1:
        low, high = bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval
        extra = {"low": min(float(low), average), "high": max(float(high), average), "interval": "bootstrap"}
    return Record(
        key=key, value=average, unit=unit, n=len(values), description=description, provenance=provenance, **extra
    )


def difference(key: str, found: "Difference", unit: str, n: int, description: str, provenance: Provenance) -> Record:
    """A paired difference as a record. Where there are too few groups for any interval, its value and p alone."""
    value, low, high, p, test, freedom = found
    named = dict(key=key, value=value, p=p, unit=unit, n=n, provenance=provenance)
    if not isfinite(high - low):
        return Record(description=f"{description} ({test}: too few for an interval)", **named)
    ends = {"low": min(low, value), "high": max(high, value)}  # rounding may leave the value outside
    return Record(description=description, interval=test, freedom=freedom, **ends, **named)


def versions() -> dict[str, str]:
    """Versions of the package and of what can move its numbers."""
    found = {}
    for name in ("arsr", *INFLUENTIAL):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def machine() -> str:
    """The machine in words: processor cores and GPU, no names."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{os.cpu_count()} cores ({platform.machine()}), {gpu}"


def commit(root: Path, *folders: str) -> str:
    """The commit that measures; uncommitted code in `folders` would leave a number that nobody can trace."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True)
        if done.returncode:
            raise InputError(f"{root}: a kept measurement needs a git checkout ({done.stderr.strip()})")
        return done.stdout.strip()

    if changed := git("status", "--porcelain", "--", *folders):
        raise InputError(
            f"a kept measurement needs committed code, commit first: {'; '.join(changed.splitlines()[:3])}"
        )
    return git("rev-parse", "--short=12", "HEAD")


def require_checkout(root: Path, *names: str) -> None:
    """InputError where one of the names is not in the folder, which then is none of the project's."""
    for name in names:
        if not (root / name).exists():
            raise InputError(f"{root.resolve()}: no {name} here; run arsr in the project's checkout or add --root")


def measured(source: str, command: str, data: str, code: str | None = None, **more: str | None) -> Provenance:
    """Where a number that is measured here and now comes from; more: its profile, a note. code: the `commit`."""
    here = dict(machine=machine(), versions=versions())
    return Provenance(kind="measured", source=source, command=command, data=data, code=code, **here, **more)


def save(records: Iterable[Record], path: str | os.PathLike) -> Path:
    """Write records as sorted JSON, atomically; a key that occurs twice is an error."""
    path = Path(path)
    rows = [r.model_dump(exclude_none=True) for r in _by_key(records, path).values()]
    write_atomically(path, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    return path


def read_rows(path: Path, of: type[T], what: str) -> list[T]:
    """A JSON file that is a list of models; InputError that names the file, and what it is not, with the remedy."""
    name, _, remedy = what.partition("; ")
    return check(list[of], reading.data(path, remedy), f"{path}: not {name}", remedy)


def load(path: str | os.PathLike) -> dict[str, Record]:
    """Read the records of one file, by key. A malformed file is an `InputError` that names it."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such record file; run the study that writes it")
    return _by_key(read_rows(path, Record, "a record file; restore it or run its study again"), path)


def load_folder(folder: str | os.PathLike) -> dict[str, Record]:
    """All records of a folder's JSON files, by key; an empty or absent folder has none."""
    found = [r for path in sorted(Path(folder).glob("*.json")) for r in load(path).values()]
    return _by_key(found, Path(folder))


def _by_key(records: Iterable[Record], where: Path) -> dict[str, Record]:
    found = sorted(records, key=attrgetter("key"))
    for one, two in pairwise(found):
        if one.key == two.key:
            raise InputError(f"{where}: record {one.key} occurs twice; keys are unique")
    return {record.key: record for record in found}
