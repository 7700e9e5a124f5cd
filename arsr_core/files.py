"""Files and folders that are whole or absent, the order of their names, and the hash of what they hold."""

import errno
import hashlib
import os
import platform
import re
import shutil
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from functools import cache
from itertools import pairwise, zip_longest
from pathlib import Path

from arsr_core.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
HOST = f"{zlib.crc32(platform.node().encode()):08x}"  # processes are numbered by machine


class Unwritable(InputError):
    """A file or folder cannot be written: the disk is full, or the path is wrong or not allowed."""


@contextmanager
def atomic(path: str | os.PathLike) -> Iterator[Path]:
    """A name beside `path` to write to: the file takes its own name when the block ends well, else it goes.

    Readers see the old file or the new one. The block may also make a folder, whose target is absent or empty. A link
    is written through. What a killed process left in the folder goes. Raises Unwritable, an InputError, with the target
    where it cannot be written.

    >>> with atomic("_build/numbers.txt") as temporary:
    ...     _ = temporary.write_text("1 2 3")
    """
    real = Path(os.path.realpath(path))
    # a name of 255 bytes, the longest there can be, leaves no room for a number
    name = real.name if len(os.fsencode(real.name)) < 200 else f"{zlib.crc32(os.fsencode(real.name)):08x}"
    temporary = real.parent / f".{name}.{os.getpid()}-{threading.get_native_id()}-{HOST}.tmp{real.suffix[:20]}"
    try:
        if not (real.is_file() or real.is_dir()) and os.path.lexists(real):
            raise OSError(errno.ENODEV, "a device, pipe or endless link, no file")
        real.parent.mkdir(parents=True, exist_ok=True)
        _sweep(real.parent)
        yield temporary
        if temporary.is_file():
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
        os.replace(temporary, real)
    except InputError as error:
        error.args = (str(error).replace(str(temporary), str(path)),)
        raise
    except OSError as error:
        raise Unwritable(f"{path}: cannot be written ({error.strerror or error}); {remedy(error)}") from error
    finally:
        _remove(temporary)


@cache
def _sweep(folder: Path) -> None:
    """Once a process: remove what `atomic` left in a folder when its process, on this machine, was killed."""
    for path in folder.iterdir():
        if left := re.match(rf"\..+\.(\d+)-\d+-{HOST}\.tmp", path.name):
            with suppress(PermissionError):  # another user's
                try:
                    os.kill(int(left[1]), 0)
                except ProcessLookupError:
                    _remove(path)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink(missing_ok=True)


def write_atomically(path: str | os.PathLike, content: str | bytes) -> None:
    """Write a whole file, text as UTF-8, or leave the one that is there."""
    with atomic(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def require_target(path: Path, folder: bool = False) -> None:
    """InputError unless a file, or with folder=True a new or empty folder, can take this name in an existing folder."""
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist; create it first")
    if path.exists() and not (path.is_dir() and not any(path.iterdir()) if folder else path.is_file()):
        raise InputError(f"{path}: exists and would be overwritten; remove it or choose another name")


def listed(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """A folder's files of these suffixes, but for hidden ones, in natural order: 2.png before 10.png."""

    def natural(path: Path) -> tuple:
        parts = re.split(r"([0-9]+)", path.name)  # text and numbers in turn
        return [int(part) if place % 2 else part.lower() for place, part in enumerate(parts)], path.name

    found = (p for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith("."))
    return sorted(found, key=natural)


def require_sequence(paths: Sequence[Path]) -> None:
    """InputError unless the names differ in one number that rises by one step, as those of frames; words need none."""
    parts = [re.split(r"([0-9]+(?:\.[0-9]+)?)", path.stem) for path in paths]  # text and numbers in turn
    if all(len(name) == 1 for name in parts):
        return

    def step(name: list[str], following: list[str]) -> tuple[int, Decimal] | None:
        changed = [i for i, (a, b) in enumerate(zip_longest(name, following)) if a != b]
        rises = [(i, Decimal(following[i]) - Decimal(name[i])) for i in changed if i % 2 and len(changed) == 1]
        return rises[0] if rises and rises[0][1] > 0 else None

    steps = [step(*pair) for pair in pairwise(parts)]
    if wrong := [i for i, found in enumerate(steps) if found is None or found != steps[0]]:
        names = ", ".join(path.name for path in paths[max(wrong[0] - 1, 0) : wrong[0] + 2])
        expected = "expected the frames of one sequence, numbered by one step; add, part or rename files"
        raise InputError(f"{paths[0].parent}: {names}: {expected}")


def remedy(error: OSError) -> str:
    """What to do about an error of the file system, in words."""
    return "free some space and try again" if error.errno in FULL else "check the path and its permissions"


def sha256(path: str | os.PathLike) -> str:
    """The hash of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
