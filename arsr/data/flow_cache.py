"""Encoded flow on disk, so that a network or a protocol that comes back finds it.

Own code, since `diskcache` pickles, is no longer maintained, and its SQLite does not suit network file systems.
"""

import os
import re
import time
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

import numpy as np
import torch

from arsr.data.stores import content_key
from arsr_core import __version__
from arsr_core.errors import InputError
from arsr_core.files import atomic

DAMAGE = (BadZipFile, zlib.error, ValueError, EOFError, KeyError, IndexError, NotImplementedError)


def cache_key(content: bytes, **made: object) -> str:
    """SHA-256 of a clip's content and of all that turns it into encoded flow, in hexadecimal.

    content: the hash of the frames that all starts from. made: the rest, of what JSON holds: the SR method and the hash
    of its weights, the flow method and its parameters, the bound. This package's version counts.

    >>> key = cache_key(sha256(clip.frames).digest(), sr="vdsr", weights="ab12", flow="tvl1", bound=20)
    """
    return content_key([__version__, "|u1", [len(content)], made], content)  # one byte a number


class Cache:
    """A folder of encoded flow that holds at most `limit` bytes: the entry that was not used for longest goes first.

    Any number of processes may share it. Entries appear complete or not at all; each carries a checksum, and one that
    is damaged is reported by a warning and computed again. Between two looks at the folder a process writes 1 % of
    the limit, so that many writers together may exceed it by as much each, until the next look.
    """

    def __init__(self, folder: str | os.PathLike, limit: int = 50 * 2**30) -> None:
        if limit <= 0:
            raise InputError(f"cache: limit must be positive bytes, got {limit}")
        self.folder, self.limit = Path(folder), int(limit)
        self._unseen = self.limit  # bytes written since the last look; as much as to look at the first entry

    def get(self, key: str, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        """The entry of `key`, from `cache_key`; one that is missing is computed and kept: uint8, on the CPU.

        Two processes that miss the same entry at a time both compute it. Raises InputError where it cannot be
        written (a full disk), which leaves the other entries as they are.

        >>> encoded = cache.get(key, lambda: encode_uint8(estimate(clip)))
        """
        entry = self.peek(key)
        if entry is not None:
            return entry
        entry = compute().cpu()
        if entry.dtype != torch.uint8:
            raise InputError(f"cache: expected encoded flow, uint8, got {entry.dtype}; see flow.encode_uint8")
        with atomic(self._path(key)) as temporary:
            with (
                ZipFile(temporary, "w", ZIP_DEFLATED, compresslevel=1) as archive,  # a third of the bytes at 120 MB/s
                archive.open("flow.npy", "w") as file,
            ):
                np.lib.format.write_array(file, entry.numpy(), allow_pickle=False)
            size = temporary.stat().st_size
            if size > self.limit:
                raise InputError(f"cache: an entry of {size:,} bytes exceeds the limit of {self.limit:,}; raise it")
        self._unseen += size
        if self._unseen > self.limit // 100:
            self._evict()
            self._unseen = 0
        return entry

    def peek(self, key: str) -> torch.Tensor | None:
        """The entry of `key`, uint8 on the CPU; None where there is none, or a damaged one, with a RuntimeWarning."""
        path = self._path(key)
        try:
            entry = torch.from_numpy(np.load(path)["flow"])  # its CRC-32 finds damage
        except FileNotFoundError:
            return None
        except DAMAGE as error:
            warnings.warn(f"{path}: damaged cache entry ({error}); computed again", RuntimeWarning, stacklevel=3)
            return None
        with suppress(OSError):  # a cache that may only be read
            os.utime(path)  # used now
        return entry

    def _path(self, key: str) -> Path:
        if not re.fullmatch("[0-9a-f]{64}", key):
            raise InputError(f"cache: expected a key that cache_key made, got {key!r}")
        return self.folder / key[:2] / f"{key}.npz"

    def _evict(self) -> None:
        """Remove the oldest entries beyond 99 % of the limit, or all but the newest."""
        entries = []
        for path in self.folder.glob("*/*"):
            with suppress(FileNotFoundError):  # another process was faster
                stat = path.stat()
                if not path.name.startswith(".") or stat.st_mtime < time.time() - 3600:  # not half-written
                    entries.append((stat.st_mtime_ns, stat.st_size, path))
        excess = sum(size for _, size, _ in entries) - self.limit * 99 // 100
        for _, size, path in sorted(entries)[:-1]:
            if excess > 0:
                path.unlink(missing_ok=True)
                excess -= size
