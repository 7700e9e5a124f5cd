"""What a result depends on, as a short hash: files, data folders, and the modules that a chapter reaches."""

import hashlib
import json
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import arsr_core
from arsr_core.files import sha256

PACKAGES = ("arsr_core", "arsr")
ABOVE = Path(arsr_core.__path__[0]).parent  # both packages lie here


def digest(*values: object) -> str:
    """16 hexadecimal digits for values that JSON can hold, or that can be written as text."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def content(*paths: Path) -> str:
    """The hash of names and contents: of files, and of all below folders; nothing for what is absent."""
    found = [(path, p) for path in paths for p in ([path] if path.is_file() else sorted(path.rglob("*")))]
    kept = [(path, p) for path, p in found if p.is_file() and p.suffix != ".pyc"]
    return digest(*((p.relative_to(path.parent), _sha256(p, *_stat(p))) for path, p in kept))


def stats(folder: Path) -> str:
    """The hash of names, sizes and times below a data folder of perhaps many gigabytes; links are followed."""
    walk = sorted(os.walk(folder, followlinks=True))
    files = [Path(parent, name) for parent, _, names in walk for name in sorted(names)]
    return digest(*((p.name, *_stat(p)) for p in files if p.exists()))


def _stat(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@cache  # weights are content of every chapter
def _sha256(path: Path, size: int, changed: int) -> str:
    return sha256(path)


@cache
def _graph() -> Any:
    import grimp

    return grimp.build_graph(*PACKAGES, cache_dir=None, exclude_type_checking_imports=True)


def reached(names: Iterable[str]) -> list[Path]:
    """The files of the modules among `names` and of all that they import, however late, with the packages above them.

    A module's data has its name, as paper.yaml has; what else lies in a package's folder belongs to the package.

    >>> [path.name for path in reached({"arsr.names", "numpy"})]
    ['__init__.py', 'names.py', 'names.yaml']
    """
    graph, modules, waiting = _graph(), set(), [*names]
    known = graph.modules
    while waiting:
        name = waiting.pop()
        if name in known and name not in modules:
            modules.add(name)
            waiting += [*graph.find_modules_directly_imported_by(name), name.rpartition(".")[0]]
            waiting += graph.find_children(name) if name.startswith("arsr_core.") else []  # loaded when asked for
    found = set()
    for place in (ABOVE.joinpath(*name.split(".")) for name in modules):
        beside = place.iterdir() if place.is_dir() else place.parent.glob(f"{place.name}.*")
        own = [p for p in beside if p.stem in ("__init__", place.name) or not p.with_suffix(".py").exists()]
        found |= {p for p in own if p.is_file()}
    return sorted(found)
