"""The book's commands: build it, run one chapter, weigh the claims."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes

from arsr.book import build as book
from arsr.commands import Set, assignments, hint, say, tell
from arsr.settings import Flag, Positional, spelled
from arsr_core.errors import InputError


@dataclass(kw_only=True)
class Book:
    """Build the book: execute the chapters that changed, make the pages, check that they open offline.

    Examples:
      arsr book
      arsr book --profile small --data data
      arsr book --set frames=16 --out _build/short
    """

    config: OmitArgPrefixes[book.Build]
    set_: Set = ()  # override one parameter
    jobs: int = 0  # chapters at a time; 0: one a core
    figures: Flag[bool] = False  # copy the chapters' figures to figures/

    def __call__(self) -> None:
        config = replace(self.config, overrides=assignments(self.set_))
        hint(f"{config.profile}: looking for chapters that changed")
        index, executed = book.build(config, say, self.jobs)
        if self.figures:
            say(f"figures: {len(book.export_figures(config, executed))} files copied to {config.root / 'figures'}")
        say(f"book: {index}")


@dataclass(kw_only=True)
class Run:
    """Execute one chapter with papermill; say its numbers, print where its notebook, records and figures lie.

    Examples:
      arsr run 01
      arsr run 01 --profile small --data data -p flow_pairs=4
      arsr run 01 --profile small --data data --keep
    """

    chapter: Annotated[Positional[str], spelled(metavar="CHAPTER")]  # a chapter's number or name, e.g. 01
    config: OmitArgPrefixes[book.Build]
    set_: Set = ()  # override one parameter
    keep: Flag[bool] = False  # commit the numbers: write them to results/ as measurements

    def __call__(self) -> None:
        from arsr import records
        from arsr.book import filling

        config = replace(self.config, overrides=assignments(self.set_))
        found = [c for c in config.pages if c.stem == self.chapter or c.stem.startswith(f"{self.chapter}-")]
        if len(found) != 1:
            raise InputError(f"no chapter {self.chapter!r}; choose one of {', '.join(c.stem for c in config.chapters)}")
        if found[0] not in config.chapters:
            raise InputError(f"{found[0].stem}: a page without code, nothing to run; 'arsr book' makes it")
        hint(f"{found[0].stem}: to execute with profile {config.profile}, unless it is there")
        if idle := config.overrides.keys() - config.chapter_parameters(found[0]).keys():
            raise InputError(f"{found[0].stem} has no parameter {min(idle)}; its first cell declares what it has")
        with book.alone(config):
            folder = book.execute(config, found, say)[found[0]]
        if self.keep:
            say(f"kept: {book.keep(config, found[0], folder)}")
        for record in records.load_folder(folder / "records").values():
            say(f"{record.key}: {filling.value(record, filling.digits(record), record.low is not None)}")
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            tell(path)


@dataclass(kw_only=True)
class Lab:
    """Make the laboratory alone, the page that runs the networks in a browser: lab.html, and the folder lab beside it.

    The shipped networks are exported to ONNX and compared with torch on the way. 'arsr book' does it, too.

    Examples:
      arsr lab
      arsr lab --out _build/lab
    """

    root: Path = Path(".")  # the project's checkout
    out: Path = Path("_build/lab")  # folder of the page

    def __call__(self) -> None:
        from arsr.data import real
        from arsr.lab import export, page

        hint("laboratory: exporting the networks")
        networks = export.networks(self.root / "weights")
        say(f"laboratory: {page.write(self.out, self.root, networks)}, {len(networks)} networks within 1e-4 of torch")
        say(f"laboratory: {real.words()}")


@dataclass
class Claims:
    """Say of each claim of the paper what the numbers make of it: those printed, and the committed measurements.

    Beside a verdict stand its contrasts: for the claim, open, against it. A built book adds what it recomputed:
    claims.json beside its pages.

    Examples:
      arsr claims
      arsr claims --out claims.json
    """

    root: Path = Path(".")  # the project's checkout
    out: Path | None = None  # write every contrast to this JSON file

    def __call__(self) -> None:
        import json

        from arsr import claims, paper, records
        from arsr_core.files import write_atomically

        records.require_checkout(self.root, "results")
        found = claims.ledger(dict(paper.records()) | records.load_folder(self.root / "results"))
        if self.out:
            write_atomically(self.out, json.dumps(claims.as_json(found), indent=1, ensure_ascii=False) + "\n")
        for name, tiers in found.items():
            tell(f"{name.capitalize():5} {claims.CLAIMS[name].statement}")
            for tier, finding in tiers.items():
                sides = " \N{MIDDLE DOT} ".join(map(str, finding.counts[:3])) if finding.measured else ""
                tell(f"      {claims.TIERS[tier].title:15} {finding.verdict:25} {sides}".rstrip())
        if self.out:
            say(f"written: {self.out}")
