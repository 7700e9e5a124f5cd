"""Stores: folders that training reads from, one file a clip. What ends a preparation leaves the finished clips.

settings.json           what the store is prepared with
KEY.safetensors         arrays of one clip, which training maps into memory; KEY follows from its name
index.json              a row a clip, with the reason where it cannot serve; written last
"""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, StringConstraints
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from tqdm import tqdm

from arsr import places, reading
from arsr.settings import check
from arsr_core.errors import InputError
from arsr_core.files import Unwritable, sha256, write_atomically

T = TypeVar("T")


class Source(NamedTuple):
    """A clip to prepare: what the index says of it in any case, and how to make its arrays and what they add to that.

    Where the clip cannot serve, `make` raises InputError with the reason. What has been made of other files is made
    again.
    """

    name: str  # unique in a store and the same on every machine
    about: dict[str, Any]
    make: Callable[[], tuple[dict[str, np.ndarray], dict[str, Any]]]
    files: tuple[Path, ...] = ()  # files and folders that it is made of


@dataclass(frozen=True)
class Inventory:
    """What a store holds and lacks."""

    clips: int
    size: int  # bytes
    counts: Mapping[str, int]  # the sums of the numbers that `Source.make` adds to the index
    skipped: dict[str, str]  # clip: reason
    words: str  # how to say it

    def __str__(self) -> str:
        said = self.words.format(clips=self.clips, size=self.size / 1e9, **self.counts)
        return "\n".join([said, *reasons(f"left out: {len(self.skipped):,} clips", self.skipped)])


def fill(
    folder: str | Path, settings: object, sources: Sequence[Source], words: str, *, progress: bool | None = None
) -> Inventory:
    """Write a store, or complete one: whole files are kept, what could not serve is tried again.

    settings: a dataclass of what JSON holds. words: `Inventory.words`. progress: None: on a terminal, after two
    seconds. Any number of processes may do it at a time: they write the same files, each at once.

    Raises InputError for a name that comes twice, for a folder of other contents or settings, where no clip serves, and
    Unwritable, an InputError, for a full disk.
    """
    folder = Path(folder)
    require_once([source.name for source in sources], "take one of them out, or give their common folder")
    before = [path.name for path in folder.iterdir()] if folder.is_dir() else None
    _claim(folder, asdict(settings))
    rows, sizes, counts, skipped = [], [], Counter(), {}
    with tqdm(sources, unit="clip", delay=2, disable=None if progress is None else not progress) as bar:
        for name, about, make, origins in bar:
            path = folder / f"{key(name)}.safetensors"
            try:
                made, source = _made(path), digest(*origins)
                if made is None or made.get("source") != source:
                    arrays, made = make()
                    made |= {"source": source, "content": hashlib.sha256(save(arrays)).hexdigest()}
                    write_atomically(path, save(arrays, {"made": json.dumps(made)}))
            except Unwritable:
                raise
            except (InputError, OSError) as error:
                skipped[name] = str(error)
                rows.append({"name": name, **about, "reason": str(error)})
                continue
            rows.append({"name": name, **about, "file": path.name, **made})
            counts.update({n: value for n, value in made.items() if isinstance(value, int)})
            sizes.append(path.stat().st_size)
            whole = sum(sizes) / len(sizes) * len(sources)
            bar.set_postfix_str(f"{sum(sizes) / 1e9:.2f} of about {whole / 1e9:.2f} GB", refresh=False)
    if not sizes:
        if not before and [path.name for path in folder.iterdir()] == ["settings.json"]:
            (folder / "settings.json").unlink()  # other settings may have it
            if before is None:
                folder.rmdir()
        first = "".join(f"; the first, {name}: {reason}" for name, reason in islice(skipped.items(), 1))
        raise InputError(f"none of {len(rows)} clips can serve{first}")
    write_atomically(folder / "index.json", json.dumps(rows, indent=1) + "\n")  # in ASCII: reasons name any path
    return Inventory(len(sizes), sum(sizes), counts, skipped, words)


class Row(BaseModel):
    """What the index says of every clip: its file, or why it has none."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: str
    file: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*\.safetensors$")] | None = None


def load(folder: str | Path, kind: type[T], remedy: str, row: type[Row] = Row) -> tuple[T, list[dict]]:
    """The settings of a store, and the rows of its index. Raises InputError where these are missing or damaged.

    row: what they hold, at the least.
    """
    settings, index = Path(folder) / "settings.json", Path(folder) / "index.json"
    made = check(kind, _read(settings, remedy), f"{settings}: prepared by another version", remedy)
    found = check(list[row], _read(index, remedy), f"{index}: damaged", remedy)
    rows = [r.model_dump(exclude_none=True) for r in found]
    if not any("file" in r for r in rows):
        raise InputError(f"{index}: damaged: none of its {len(rows)} clips has a file; {remedy}")
    return made, rows


def opened(path: Path) -> safe_open:
    """A clip's file. Raises InputError where it is missing or damaged."""
    try:
        return safe_open(path, "numpy")
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: {error}; remove it and prepare the clips again") from error


def key(name: str) -> str:
    """A safe name of a file, unique as the name is."""
    safe = re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("._")[-60:]
    return f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def content_key(value: object, data: bytes | memoryview = b"") -> str:
    """SHA-256 in hexadecimal of what JSON holds, whatever the order of its names, and of bytes.

    Raises TypeError or ValueError for what JSON does not hold, nan among it.
    """
    sha256 = hashlib.sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode())
    sha256.update(data)
    return sha256.hexdigest()


def digest(*tops: Path) -> str:
    """One hash of files and of all files below folders, but for hidden ones, whatever their place."""
    whole = hashlib.sha256()
    for top in tops:
        below = sorted(p for p in top.rglob("*") if p.is_file() and not p.name.startswith("."))
        for path in [top] if top.is_file() else below:
            whole.update(os.fsencode(f"{path.relative_to(top)} {sha256(path)}\n"))
    return whole.hexdigest()


def require_once(names: Sequence[str], remedy: str) -> None:
    """InputError for a name that comes more than once."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]} is listed twice; expected each clip once: {remedy}")


def reasons(title: str, found: Mapping[str, str]) -> list[str]:
    """Lines of a report: the title and the first twenty of (name: reason); none where nothing is found."""
    lines = [title] if found else []
    lines += [f"  {name}: {reason}" for name, reason in islice(found.items(), 20)]
    return lines + [f"  and {len(found) - 20:,} more"] * (len(found) > 20)


def _claim(folder: Path, settings: dict) -> None:
    """Note the settings in a new folder; refuse one of other settings, or with something else in it."""
    path, given = folder / "settings.json", json.loads(json.dumps(settings))
    if not path.exists():
        begun = (places.LOCK, ".settings.json.")
        other = folder.exists() and not (folder.is_dir() and all(p.name.startswith(begun) for p in folder.iterdir()))
        if other and not path.exists():  # another process may have begun since
            raise InputError(f"{folder}: holds something else than prepared clips; give a new or empty folder")
        with places.alone(folder, wait=60):  # of two that begin at a time, the second finds the settings of the first
            if not path.exists():
                write_atomically(path, json.dumps(given, indent=1, ensure_ascii=False) + "\n")
    found = _read(path, "prepare the clips again")
    names = [name for name in {**found, **given} if found.get(name) != given.get(name)]
    if differing := [f"{name} {found.get(name)}, now {given.get(name)}" for name in names]:
        raise InputError(f"{folder}: prepared with other settings ({'; '.join(differing)}); give another folder")


def _made(path: Path) -> dict | None:
    """What a clip's file adds to the index; None where it is missing or damaged."""
    try:
        with opened(path) as file:
            return dict(json.loads(file.metadata()["made"]))
    except (InputError, KeyError, TypeError, ValueError):
        return None


def _read(path: Path, remedy: str) -> Any:
    """What a store's settings.json or index.json holds."""
    again = f"remove it and {remedy}" if path.exists() else remedy
    return check({"settings.json": dict, "index.json": list}[path.name], reading.data(path, again), str(path), again)
