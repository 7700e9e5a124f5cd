"""What a running chapter uses of the book: where its records and figures go, and the badge of a number."""

import html
import os
from pathlib import Path
from typing import TYPE_CHECKING

from arsr import records

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def output(kind: str) -> Path:
    """The folder for a chapter's `records`, `figures` or `scores`, made if absent: the build's, or _build/lab."""
    here = Path.cwd()
    root = next((p for p in (here, *here.parents) if (p / "_config.yml").is_file()), here)
    folder = Path(os.environ.get("ARSR_OUTPUT", root / "_build" / "lab")) / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def save_figure(figure: "Figure", name: str) -> None:
    """Export a matplotlib figure as `<name>.svg` and `<name>.png` among the book's figures."""
    for suffix in ("svg", "png"):
        # no date and no software version: the same figure is the same file
        metadata = {"Date": None} if suffix == "svg" else {"Software": None}
        figure.savefig(output("figures") / f"{name}.{suffix}", bbox_inches="tight", metadata=metadata)


def badge(record: records.Record) -> str:
    """The badge of a record's kind as HTML: its kind is a class, its explanation a title."""
    kind = record.provenance.kind
    title = html.escape(f"{records.BADGES[kind]}: {record.provenance.source}", quote=True)
    word, colon, profile = html.escape(record.provenance.badge).partition(":")
    profile = f"<span>{colon}{profile}</span>" if colon else ""  # tables leave it out
    return f'<span class="arsr-badge arsr-badge-{kind}" title="{title}">{word}{profile}</span>'
