"""Where commands write: folders of their own, as a hidden file in them says, and one writer at a time."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from arsr_core.errors import InputError
from arsr_core.files import FULL, Unwritable

OURS = ".arsr-"  # hidden files: the lock, and what marks a folder
LOCK = f"{OURS}lock"


def claim(folder: Path, what: str) -> Path:
    """Make a folder that arsr may replace and remove things in, or find it made: its mark, a file that says so.

    what: it holds, as "book". InputError for a folder with anything else in it, and for one with links to others.
    """
    mark = folder / f"{OURS}{what}"
    if not mark.is_file():
        other = folder.exists() and not (folder.is_dir() and {p.name for p in folder.iterdir()} <= {LOCK, mark.name})
        if other and not mark.is_file():  # another process may have claimed and filled it since
            raise InputError(f"{folder}: holds something else than arsr's {what}; give a new or empty folder")
        folder.mkdir(parents=True, exist_ok=True)
        mark.touch()
    if links := [path for path in folder.glob("*") if path.is_symlink() and not path.is_file()]:
        raise InputError(f"{links[0]}: a link, and arsr's {what} is written to its own folder alone; take it out")
    return mark


@contextmanager
def own(folder: Path, what: str) -> Iterator[None]:
    """`claim` a folder and work there `alone`; where nothing comes of it, nothing stays."""
    with _made(folder):
        mark = claim(folder, what)
        try:
            with _locked(folder, 0):
                mark.touch()  # another, which left nothing, may have removed it
                yield
        finally:
            for path in folder.iterdir():
                with suppress(OSError):  # a file, or something is in it
                    path.rmdir()
            if [path.name for path in folder.iterdir()] == [mark.name]:
                mark.unlink()


@contextmanager
def alone(folder: Path, wait: float = 0) -> Iterator[None]:
    """One writer in a folder: another gets InputError after `wait` seconds, with who is there and since when.

    In one thread it may nest. An OSError of the block that names no file, as a full disk's, gets the folder's name.
    """
    with _made(folder), _locked(folder, wait):
        yield


def clear(folder: Path) -> None:
    """Remove the files of a folder that is `own`."""
    for path in folder.iterdir():
        if not path.name.startswith(OURS):
            path.unlink()


def require_space(place: Path, said: str) -> None:
    """Unwritable where another process, which wrote to the place, has said that the disk is full."""
    if reason := next((reason for reason in map(os.strerror, FULL) if reason in said), None):
        raise Unwritable(f"{place}: cannot be written ({reason}); free some space and try again")


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder; one that is new, with its parents, or arsr's, goes where nothing is in it in the end."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    if not made and any(folder.glob(f"{OURS}*")):
        made = [folder]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):  # there is something
            for path in made:
                path.rmdir()


@contextmanager
def _locked(folder: Path, wait: float) -> Iterator[None]:
    from filelock import FileLock, Timeout

    path = Path(os.path.realpath(folder), LOCK)
    lock = FileLock(path, is_singleton=True)
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        who = "another process"
        with suppress(OSError):  # it ends just now
            who = path.read_text(encoding="utf-8") or who
        raise InputError(f"{folder}: in use by {who}; wait for it, or give another place") from None
    try:
        if lock.lock_counter == 1:
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            path.write_text(f"process {os.getpid()} on {platform.node()} since {since}", encoding="utf-8")
        yield
    except OSError as error:
        error.filename = error.filename or str(folder)
        raise
    finally:
        if lock.lock_counter == 1:
            path.unlink(missing_ok=True)
        lock.release()
