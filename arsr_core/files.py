"""Files that are whole or absent, and the hash of what they hold."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from arsr_core.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic(path: str | os.PathLike) -> Iterator[Path]:
    """A name beside `path` to write to: the file takes its own name when the block ends well, else it goes.

    Readers see the old file or the new one. Raises InputError with the target where it cannot be written.

    >>> with atomic("_build/numbers.txt") as temporary:
    ...     _ = temporary.write_text("1 2 3")
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); {remedy(error)}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: str | os.PathLike, content: str | bytes) -> None:
    """Write a whole file, text as UTF-8, or leave the one that is there."""
    with atomic(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def remedy(error: OSError) -> str:
    """What to do about an error of the file system, in words."""
    return "free some space and try again" if error.errno in FULL else "check the path and its permissions"


def sha256(path: str | os.PathLike) -> str:
    """The hash of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
