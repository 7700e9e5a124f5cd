"""The shipped weights: `weights/manifest.json` says of each file what it is, how it was made, and how good it is.

`weights/curves/NAME.csv` has the loss curves of the run that made it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from arsr import places
from arsr.records import read_rows
from arsr_core.errors import InputError
from arsr_core.files import sha256, write_atomically

if TYPE_CHECKING:  # a look at the manifest waits for no torch
    import pandas
    from torch import nn


class Entry(BaseModel):
    """One file of weights. `metrics` are means by name, `"psnr embedded"`; the records behind them have the rest."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.+-]*$", description="the recipe, and the seed where there are several")
    file: str = Field(pattern=r"^[a-z0-9][a-z0-9.+-]*\.safetensors$")
    sha256: str
    kind: Literal["sr", "recogniser"]
    method: str = Field(description="name in sr.METHODS, or the recogniser's network")
    lite: bool = Field(description="a small form of the network, trained on a CPU in minutes")
    recipe: dict
    seed: int
    data: str = Field(description="what it was trained on, in words")
    data_hash: str
    command: str
    code: str = Field(description="commit of the code that trained")
    machine: str
    seconds: float
    metrics: dict[str, float] = {}


def load(folder: str | Path) -> dict[str, Entry]:
    """The entries of a folder of weights by name; none where there is no manifest."""
    path = Path(folder) / "manifest.json"
    entries = read_rows(path, Entry, "a manifest; restore it") if path.exists() else []
    return {entry.name: entry for entry in entries}


def add(folder: str | Path, entry: Entry) -> None:
    """Put one entry in, in place of one of its name; another that is added at the time stays."""
    with places.alone(Path(folder), wait=60):
        entries = load(folder) | {entry.name: entry}
        rows = [entries[name].model_dump() for name in sorted(entries)]
        write_atomically(Path(folder) / "manifest.json", json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


def find(folder: str | Path, name: str) -> Path:
    """The file of an entry, if its bytes are those that the manifest names."""
    entries = load(folder)
    if name not in entries:
        known = f"its manifest has {', '.join(entries)}" if entries else "no manifest there"
        remedy = "train it first, 'arsr train'" if entries else "run arsr in the project's checkout or add --root"
        raise InputError(f"{folder}: no weights {name!r}; {known}; {remedy}")
    path = Path(folder) / entries[name].file
    if not path.exists() or sha256(path) != entries[name].sha256:
        raise InputError(f"{path}: missing, or not the file that the manifest names; restore it from the repository")
    return path


def best(entries: Mapping[str, Entry], name: str) -> Entry | None:
    """The entry of a method: the network at its published size, else small and trained on real or embedded clips."""
    return next((entries[n] for n in (name, f"{name}-video", f"{name}-lite") if n in entries), None)


def keep_curve(folder: str | Path, name: str, curve: pandas.DataFrame) -> None:
    """Write the loss curves of a run, as `loop.fit` returns them, by rows of equal parts, at most 100.

    A row has the last `step` of its part, the sum of the `seconds`, and the means of all else.
    """
    size = -(-len(curve) // 100)
    columns = {name: {"step": "last", "seconds": "sum"}.get(name, "mean") for name in curve}
    rows = curve.groupby([row // size for row in range(len(curve))]).agg(columns)
    write_atomically(Path(folder) / "curves" / f"{name}.csv", rows.to_csv(index=False, float_format="%.5g"))


def curve(folder: str | Path, name: str) -> pandas.DataFrame:
    """The loss curves of shipped weights, as `keep_curve` has written them."""
    import pandas

    path = Path(folder) / "curves" / f"{name}.csv"
    if not path.exists():
        raise InputError(f"{path}: no loss curves of {name!r}; restore them from the repository")
    return pandas.read_csv(path)


class Model(NamedTuple):
    """A super-resolution network that a chapter can run; the title says where it is a lite one."""

    title: str
    network: nn.Module
    weights: Path | None  # None: needs none


def at_hand(folder: str | Path, given: Mapping[str, Path] | None = None, *, starts: bool = False) -> dict[str, Model]:
    """The paper's methods that have trained weights, in its order: files that are given, else those shipped.

    given: method: file of published weights. starts: with those of sr.STARTS that are shipped.
    """
    from arsr_core import sr

    given, shipped, found = given or {}, load(folder), {}
    if unknown := sorted(given.keys() - sr.METHODS.keys()):
        raise InputError(f"weights of {unknown[0]!r}; expected a method: {', '.join(sr.METHODS)}")
    for name, method in sr.METHODS.items():
        entry = best(shipped, name)
        path, lite = given.get(name), False
        if entry and not path and name not in (sr.OURS if starts else (*sr.OURS, *sr.STARTS)):
            path, lite = find(folder, entry.name), entry.lite
        if path or name == "bicubic":
            found[name] = Model(method.title + (" (lite)" if lite else ""), sr.load(name, path), path)
    return found
