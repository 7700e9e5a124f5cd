"""What the benchmarks share: input errors as one line, where numbers come from, how named numbers become records.

Records are loaded when numbers are kept, so that what measures arsr_core alone runs where pydantic is not installed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from arsr.printing import typed
from arsr_core import sr
from arsr_core.errors import InputError
from arsr_core.files import sha256

if TYPE_CHECKING:
    import pandas

    from arsr import records

ROOT = Path(__file__).parents[1]


def run(main: Callable[[], None]) -> None:
    """A script's main; what was given wrongly is one line and exit code 2, as in `arsr`."""
    try:
        main()
    except InputError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        sys.exit(2)


def count(word: str) -> int:
    """argparse's type of a whole number of at least 1."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {word}")
    return int(word)


def require_known(words: Iterable[str], known: Iterable[str]) -> None:
    """InputError for a word that is not among those known; argparse's `choices` refuses an absent list."""
    if unknown := [word for word in words if word not in (known := [*known])]:
        raise InputError(f"unknown name {unknown[0]!r}; expected some of {', '.join(known)}")


def weights(words: list[str]) -> dict[str, str]:
    """["METHOD=FILE", ...] -> {method: file}. Raises InputError for another method, and a file that is not there."""
    found = {}
    for word in words:
        method, _, file = word.partition("=")
        if method not in sr.METHODS or not Path(file).is_file():
            raise InputError(
                f"weights {word!r}: expected METHOD=FILE, a file that exists, a method of {', '.join(sr.METHODS)}"
            )
        found[method] = file
    return found


def provenance(source: str, data: str, note: str | None = None, *, keep: bool = True) -> records.Provenance:
    """Of what the running script measures, with its command as typed; keep: uncommitted code is an InputError."""
    from arsr import records

    script = Path(sys.argv[0]).resolve().relative_to(ROOT)
    command = typed("python", script.as_posix())
    code = records.commit(ROOT, "arsr", "arsr_core", "benchmarks", "weights") if keep else None
    return records.measured(source, command, data, code, note=note)


def as_records(
    found: Mapping[str, Mapping[str, float]],
    key: str,
    words: Mapping[str, tuple[str, str]],
    title: Callable[[str], str],
    source: records.Provenance,
) -> list[records.Record]:
    """{name: {measure: value}} -> records KEY.NAME.MEASURE; words: {measure: (description, unit)}."""
    from arsr import records

    return [
        records.Record(
            key=f"{key}.{name}.{measure}",
            value=value,
            unit=words[measure][1],
            description=f"{title(name)}: {words[measure][0]}",
            provenance=source,
        )
        for name, values in found.items()
        for measure, value in values.items()
    ]


def show(found: list[records.Record]) -> None:
    """A line each: key, value, unit, interval."""
    for r in found:
        interval = f"[{r.low:.3f}, {r.high:.3f}]" if r.low is not None else ""
        print(f"{r.key:90} {r.value:8.3f} {r.unit:6} {interval}")


def save(found: list[records.Record], name: str) -> None:
    """Write results/NAME.json."""
    from arsr import records

    print(f"kept: {records.save(found, ROOT / 'results' / f'{name}.json')}")


def save_scores(
    frame: pandas.DataFrame, name: str, of: Iterable[Path], files: Mapping[str, Path], source: records.Provenance
) -> None:
    """Write results/NAME.parquet: rows of a study, with the header that files `of` it have; files: all its networks."""
    from arsr import scores

    _, header = scores.load(*of)
    hashes = {name: sha256(file) for name, file in files.items()}
    header = header.model_copy(update={"weights": hashes, "runs": (source,)})
    print(scores.save(ROOT / "results" / f"{name}.parquet", frame, header))


def row(key: str, value: float, unit: str, description: str) -> dict:
    """A number as JSON holds it, for a report that another machine makes records of."""
    return {"key": key, "value": value, "unit": unit, "description": description}


def keep(report: dict, source: str, prefix: str, *code: str) -> None:
    """Write a report's rows, with keys below `prefix`, to results/PREFIX.json; code: what must have been committed."""
    from arsr import records

    facts = {name: report[name] for name in ("command", "data", "machine", "note", "versions")}
    commit = records.commit(ROOT, "benchmarks", *code)
    where = records.Provenance(kind="measured", source=source, code=commit, **facts)
    found = [records.Record(**row | {"key": f"{prefix}.{row['key']}"}, provenance=where) for row in report["rows"]]
    save(found, prefix.replace(".", "-"))
