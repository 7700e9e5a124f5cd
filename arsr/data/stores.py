"""What the stores on disk share: keys by content, one writer at a time, clips that cannot serve, and reading back."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout
from tqdm import tqdm

from arsr_core.errors import InputError
from arsr_core.files import Unwritable

S, T = TypeVar("S"), TypeVar("T")


def content_key(value: object, data: bytes | memoryview = b"") -> str:
    """SHA-256 in hexadecimal of what JSON holds, whatever the order of its names, and of bytes.

    Raises TypeError or ValueError for what JSON does not hold, nan among it.
    """
    sha256 = hashlib.sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode())
    sha256.update(data)
    return sha256.hexdigest()


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Nobody else writes to the folder meanwhile. Raises InputError where somebody does."""
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise InputError(f"{folder}: another preparation writes here; wait for it, or give another folder") from None


def fill(
    sources: Mapping[str, S],
    make: Callable[[S], T],
    *,
    note: Callable[[Iterable[T]], str] = lambda made: "",
    progress: bool | None = None,
) -> tuple[dict[str, T], dict[str, str]]:
    """Make something of each source, all by name -> what was made, and why not for those that cannot serve.

    note: of what is made so far, for the progress bar. progress: None: on a terminal, after two seconds. Raises
    Unwritable, an InputError, where the disk is full or may not be written.
    """
    made: dict[str, T] = {}
    skipped: dict[str, str] = {}
    with tqdm(sources.items(), unit="clip", delay=2, disable=None if progress is None else not progress) as bar:
        for name, source in bar:
            try:
                made[name] = make(source)
            except Unwritable:
                raise
            except InputError as error:
                skipped[name] = str(error)
            bar.set_postfix_str(note(made.values()), refresh=False)
    return made, skipped


def require_once(names: Sequence[str], remedy: str = "take one of them out") -> None:
    """InputError for a name that comes more than once."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]} is listed twice; expected each clip once: {remedy}")


def reasons(title: str, found: Mapping[str, str]) -> list[str]:
    """Lines of a report: the title and the first twenty of (name: reason); none where nothing is found."""
    lines = [title] if found else []
    lines += [f"  {name}: {reason}" for name, reason in islice(found.items(), 20)]
    return lines + [f"  and {len(found) - 20:,} more"] * (len(found) > 20)


def read_json(path: Path, remedy: str) -> dict:
    """A store's own notes; InputError with the remedy where they are missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such file; {remedy}") from None
    except ValueError as error:
        raise InputError(f"{path}: damaged ({error}); remove it and {remedy}") from error
