"""What a running chapter uses of the book: its style, its numbers, and where they and its figures go."""

import math
import os
from collections.abc import Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING

from arsr import paired, records
from arsr.records import Provenance, Record
from arsr_core.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


PRINTED = "the paper's printed numbers"  # what a chapter's numbers are of that no clip had a part in


def style() -> None:
    """Figures in the book's style, as SVG on the page."""
    import matplotlib.pyplot as plt
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    plt.style.use(_root() / "figures" / "arsr.mplstyle")
    set_matplotlib_formats("svg")


def among(items: Sized, **parameter: int) -> int:
    """The place of one of the items, as a parameter gives it, from 0; InputError where there are fewer.

    >>> among(["bend", "jump"], show_clip=4)
    Traceback (most recent call last):
    arsr_core.errors.InputError: show_clip: expected 0 to 1, for there are 2 clips, got 4; choose with --set
    """
    [(name, value)] = parameter.items()
    if not 0 <= value < len(items):
        there = f"expected 0 to {len(items) - 1}, for there are {len(items)} clips"
        raise InputError(f"{name}: {there}, got {value}; choose with --set")
    return value


def output(kind: str) -> Path:
    """The folder for a chapter's `records`, `figures` or `scores`: of the build, or in _build/lab; made if absent."""
    folder = Path(os.environ.get("ARSR_OUTPUT", _root() / "_build" / "lab")) / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def save_figure(figure: "Figure", name: str) -> None:
    """Export a matplotlib figure as `<name>.svg` and `<name>.png` among the book's figures."""
    for suffix in ("svg", "png"):
        # no date and no software version: the same figure is the same file
        metadata = {"Date": None} if suffix == "svg" else {"Software": None}
        figure.savefig(output("figures") / f"{name}.{suffix}", bbox_inches="tight", metadata=metadata)


class Numbers(list[Record]):
    """The numbers that a chapter computes, which pages quote by their keys; `save` keeps them with their source.

    >>> numbers = Numbers("Data and degradation", "embedded", "18 embedded test clips (synthetic)")
    >>> numbers.mean("data.bicubic.psnr", [28.1, 31.4], "dB", "PSNR of bicubic enlargement").value
    29.75
    """

    def __init__(self, chapter: str, profile: str, data: str, note: str | None = None):
        """chapter: its title; data: what the numbers are computed from, in words; note: how, if that needs saying."""
        super().__init__()
        kind = "derived" if data == PRINTED else "recomputed"
        common = {"kind": kind, "profile": profile, "versions": records.versions()}
        self.source = Provenance(source=chapter, data=data, note=note, **common)

    def mean(self, key: str, values: Sequence[float], unit: str, description: str) -> Record:
        """Add the mean of `values`, with its interval: `records.mean`."""
        self.append(records.mean(key, values, unit, description, self.source))
        return self[-1]

    def difference(self, key: str, values: Sequence[float], unit: str, description: str) -> Record:
        """Add the mean of what differs clip by clip, with interval and p that hold for few clips: `paired.means`."""
        found = paired.means(values)
        self.append(records.difference(key, found, unit, len(values), description, self.source))
        return self[-1]

    def add(self, key: str, value: float, description: str, **more: object) -> Record:
        """Add one value. more: other fields of `Record`, e.g. unit, n, or a provenance of its own.

        Raises InputError for a value that is not finite, as a correlation over a single clip.
        """
        if not math.isfinite(value):
            raise InputError(f"{description}: {value}; too few clips for it, give more")
        fields = {"key": key, "value": value, "description": description, "provenance": self.source}
        self.append(Record(**fields | more))
        return self[-1]

    def save(self, name: str) -> None:
        """Write what was added so far among the build's records, as `<name>.json`."""
        records.save(self, output("records") / f"{name}.json")


def _root() -> Path:
    """The checkout that the notebook lies in; else the folder that it runs in."""
    here = Path.cwd()
    return next((p for p in (here, *here.parents) if (p / "_config.yml").is_file()), here)
