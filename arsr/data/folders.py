"""UCF101, HMDB51, Weizmann and UT-Interaction in their official folders, with the official splits.

    UCF101          ROOT/CLASS/v_CLASS_gNN_cNN.avi           ucfTrainTestlist/{train,test}listNN.txt
    HMDB51          ROOT/CLASS/VIDEO_CLASS_TAGS_N.avi        testTrainMulti_7030_splits/CLASS_test_splitN.txt
    Weizmann        ROOT/CLASS/ACTOR_CLASS.avi               no split: leave one actor out
    UT-Interaction  ROOT/{set1,set2}/ID_SEQUENCE_CLASS.avi   no split: leave one sequence out

Split files and file names come from others: an entry is a name inside its class folder or it is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import yaml

from arsr import names
from arsr.data.stores import reasons
from arsr_core import video
from arsr_core.errors import InputError

if TYPE_CHECKING:
    import pandas

Subset = Literal["train", "test", "unused"]
NO_CLASS = "(no class)"
HMDB51_CODES: dict[str, Subset] = {"1": "train", "2": "test", "0": "unused"}
WEIZMANN_ACTORS = ("daria", "denis", "eli", "ido", "ira", "lena", "lyova", "moshe", "shahar")
UT_SEQUENCES = {  # each clip's label; clips count from 0 in each set, sequences from 1 through both
    "set1": "421305 450213 421350 412035 042135 25130 054231 0244531 352401 045312",
    "set2": "425031 035142 421350 015342 104235 301425 103542 241350 014352 105342",
}


@dataclass(frozen=True)
class Item:
    """One clip that a data set names; `group` are clips cut from one recording, never to be split apart."""

    path: Path
    name: str  # relative to the class folders' parent, with "/": unique within the data set
    action: str
    label: int
    group: str  # UCF101: g08, HMDB51: source video, Weizmann: actor, UT-Interaction: set1_4 (set and sequence)
    subset: Subset | None  # None: no official split


class Named(NamedTuple):
    """A clip as a split file, or the data set's own rule, names it."""

    folder: str
    file: str
    action: str
    group: str
    subset: Subset | None = None
    where: str = ""  # "FILE, line N"


@dataclass(frozen=True)
class Dataset:
    """What is known of a data set without having it; `datasets.yaml` says what the fields mean."""

    title: str
    classes: tuple[str, ...]
    clips: int
    splits: dict[int, dict[str, int]]
    folders: tuple[str, ...]
    homes: tuple[str, ...]
    lists: tuple[str, ...]
    list_name: str
    named: Callable[[Path, Path | None, int], Iterator[Named]]  # (home, lists, split) -> every official clip

    def scan(self, home: Path, lists: Path | None, split: int) -> list[Item]:
        """Every official clip, there or not; InputError for one that is named twice."""
        found, seen = [], {}
        for folder, file, action, group, subset, where in self.named(home, lists, split):
            name = f"{folder}/{file}"
            if name in seen:
                raise InputError(f"{where}: {file!r} again, first in {seen[name]}; expected each clip once")
            seen[name] = where
            found.append(Item(home / folder / file, name, action, self.classes.index(action), group, subset))
        return found


def items(
    kind: str,
    root: str | Path,
    *,
    splits: str | Path | None = None,
    split: int = 1,
    subset: Subset | None = "test",
    present_only: bool = False,
) -> list[Item]:
    """Every clip of a subset (None: of all), sorted by label and name.

    Weizmann and UT-Interaction have no split: each clip is tested once, so "test" is all of them and the
    caller leaves out one group at a time. Raises InputError for missing folders, malformed split files, and
    missing clips (with present_only: only if none is there).

    >>> [item.path for item in items("hmdb51", "hmdb51_org", splits="testTrainMulti_7030_splits")]
    """
    home, _, found = _scan(kind, root, splits, split)
    subsets = {item.subset or "test" for item in found}
    if subset is not None and subset not in subsets:
        raise InputError(f"{kind}: expected subset {' or '.join(sorted(subsets))} or None, got {subset!r}")
    found = [item for item in found if subset in (None, item.subset or "test")]
    present = [item for item in found if item.path.is_file()]
    if not present or (len(present) < len(found) and not present_only):
        absent = next(item for item in found if not item.path.is_file())
        raise InputError(
            f"{home}: {len(found) - len(present):,} of {len(found):,} clips missing, first {absent.name}; "
            f"complete the data set ('arsr data check {kind}' lists them) or ask for present clips only"
        )
    return present


@dataclass(frozen=True)
class Completeness:
    """The outcome of `check`; the table counts clips, expected = found + missing, unreadable among found."""

    title: str
    root: Path
    split: int | None
    expected: dict[str, int]  # subset: clips that the split files name
    official: dict[str, int]  # subset: clips of the official split
    table: pandas.DataFrame  # class, expected, found, missing, unreadable, extra
    missing: dict[str, str]  # clip: reason
    unreadable: dict[str, str]
    extra: dict[str, str]

    @property
    def complete(self) -> bool:
        """Every official clip is there and readable; extra files do no harm."""
        return not self.missing and not self.unreadable and self.expected == self.official

    def __str__(self) -> str:
        expected, official = (", ".join(f"{n:,} {s}" for s, n in x.items()) for x in (self.expected, self.official))
        split = "" if self.split is None else f", split {self.split}"
        lines = [f"{self.title} in {self.root}{split}: {'complete' if self.complete else 'INCOMPLETE'}"]
        lines.append(f"expected {expected}")
        if self.expected != self.official:
            lines.append(f"the official split has {official}; download the split files again")
        odd = self.table[self.table[["missing", "unreadable", "extra"]].any(axis=1)].copy()
        if len(odd):
            odd.loc[len(self.table)] = ["(all)", *self.table.sum(numeric_only=True)]
            lines += ["", odd.to_string(index=False)]
        for kind in ("missing", "unreadable", "extra"):
            lines += reasons(f"\n{kind} ({len(getattr(self, kind)):,})", getattr(self, kind))
        return "\n".join(lines)


def check(
    kind: str, root: str | Path, *, splits: str | Path | None = None, split: int = 1, decode: bool = False
) -> Completeness:
    """Looks for every clip of a data set and opens it (decode: reads all its frames); reports all it finds.

    A terminal shows a progress bar after two seconds. Raises InputError for missing folders and malformed
    split files; missing, unreadable and extra clips are in the report, each with the reason.
    """
    import pandas
    from tqdm.contrib.concurrent import thread_map  # FFmpeg releases the interpreter's lock

    dataset = _dataset(kind)
    home, lists, expected = _scan(kind, root, splits, split)

    def fault(item: Item) -> tuple[str, str] | None:
        if not item.path.exists():
            folder = item.path.parent
            return "missing", "no such file" if folder.is_dir() else f"no folder {folder.name}"
        try:
            (video.count if decode else video.probe)(item.path)
        except InputError as error:
            return "unreadable", str(error).removeprefix(f"{item.path}: ")
        return None

    faults = thread_map(fault, expected, desc=kind, delay=2, disable=None, unit="clip")
    found: dict[str, dict[str, str]] = {"missing": {}, "unreadable": {}}
    for item, (state, reason) in ((i, f) for i, f in zip(expected, faults, strict=True) if f):
        found[state][item.name] = reason
    actions = {item.name: item.action for item in expected}
    found["extra"] = dict(_extra(dataset, home, lists, set(actions)))

    def count(clips: Iterable[str]) -> Counter:
        of = (actions.get(name, name.partition("/")[0]) for name in clips)
        return Counter(action if action in dataset.classes else NO_CLASS for action in of)

    counts = {"expected": count(actions)} | {state: count(clips) for state, clips in found.items()}
    counts["found"] = counts["expected"] - counts["missing"]
    rows = [*dataset.classes] + [NO_CLASS] * (NO_CLASS in counts["extra"])
    columns = ("expected", "found", "missing", "unreadable", "extra")
    table = pandas.DataFrame({"class": rows} | {c: [counts[c][row] for row in rows] for c in columns})
    subsets = dict(sorted(Counter(item.subset or "clips" for item in expected).items()))
    official = dataset.splits[split] if dataset.splits else subsets
    return Completeness(dataset.title, home, split if dataset.splits else None, subsets, official, table, **found)


def matching(root: str | Path, patterns: Iterable[str], count: int) -> list[Path]:
    """Up to `count` files for each glob pattern below `root`, evenly spaced in the sorted matches.

    Raises InputError for a pattern that nothing matches and for count < 1.

    >>> matching("data", ["hmdb51/*/*.avi", "ucf101/*/*.avi"], 4)
    """
    if count < 1:
        raise InputError(f"expected 1 clip or more for each pattern, got {count}")
    chosen = []
    for pattern in patterns:
        found = sorted(Path(root).glob(pattern))
        if not found:
            raise InputError(f"{root}: nothing matches {pattern}; check the folder, or the patterns in book/params")
        n = min(count, len(found))
        chosen += [found[round(i * (len(found) - 1) / max(1, n - 1))] for i in range(n)]
    return chosen


# Finding ----------------------------------------------------------------------------------------------------


def _dataset(kind: str) -> Dataset:
    if kind not in DATASETS:
        raise InputError(f"unknown data set {kind!r}; expected one of {', '.join(DATASETS)}")
    return DATASETS[kind]


def _scan(kind: str, root: str | Path, splits: str | Path | None, split: int) -> tuple[Path, Path | None, list[Item]]:
    """The class folders' parent, the split files' folder, and every official clip, sorted."""
    dataset = _dataset(kind)
    if split not in (dataset.splits or (1,)):
        known = ", ".join(map(str, dataset.splits)) or "none: leave one group out"
        raise InputError(f"{dataset.title} has no split {split}; its official splits: {known}")
    home = _home(dataset, Path(root))
    lists = _lists(dataset, Path(root), splits and Path(splits), split) if dataset.splits else None
    found = dataset.scan(home, lists, split)
    return home, lists, sorted(found, key=lambda item: (item.label, item.name))


def _home(dataset: Dataset, root: Path) -> Path:
    layout = f"expected folders such as {dataset.folders[0]} and {dataset.folders[-1]} in it"
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; {layout}: give the folder where {dataset.title} was unpacked")
    for home in (root, *(root / name for name in dataset.homes)):
        if any((home / folder).is_dir() for folder in dataset.folders):
            return home
    raise InputError(f"{root}: holds no clips of {dataset.title}; {layout}, or in {' or '.join(dataset.homes)}")


def _lists(dataset: Dataset, root: Path, splits: Path | None, split: int) -> Path:
    """The folder of the split files: given, or beside or in the data set."""
    bases = [splits] if splits else [root, root.parent]
    for base in bases:
        for folder in (base, *(base / name for name in dataset.lists)):
            if any(folder.glob(dataset.list_name.format(split=split))):
                return folder
    raise InputError(
        f"{' and '.join(map(str, bases))}: no split files ({dataset.list_name.format(split=split)}) there "
        f"or in {' or '.join(dataset.lists)}; download them from the data set's page and give their folder"
    )


def _extra(dataset: Dataset, home: Path, lists: Path | None, expected: set[str]) -> Iterator[tuple[str, str]]:
    """(name, reason) for everything in the data set's folder that it does not name."""
    for entry in sorted(home.iterdir()):
        if entry.is_dir() and entry.name in dataset.folders:
            inside = [f"{entry.name}/{file.name}" for file in sorted(entry.iterdir())]
            yield from ((name, f"not a clip that {dataset.title} names") for name in inside if name not in expected)
        elif entry.is_dir() and entry != lists and entry.name not in dataset.lists:
            yield f"{entry.name}/", f"unknown folder, {sum(1 for _ in entry.iterdir()):,} entries"
        elif not entry.is_dir() and not (home == lists and entry.suffix == ".txt"):
            yield entry.name, "not in a class folder"


# Split files, and the rules of the sets without them ----------------------------------------------------------


def _entries(file: Path, pattern: str, expected: str) -> Iterator[tuple[str, re.Match]]:
    """("file, line n", match) for each line; raises InputError at the first that does not match."""
    try:
        text = file.read_text("utf-8-sig", "surrogateescape")  # names verbatim, whatever their encoding
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); download the split files again") from error
    lines = [(number, line.rstrip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    for number, line in lines:
        match = re.fullmatch(pattern, line)
        if not match:
            raise InputError(f"{file}, line {number}: expected {expected}, got {line[:100]!r}")
        yield f"{file}, line {number}", match
    if not lines:
        raise InputError(f"{file}: the file is empty; expected lines of {expected}: download the split files again")


def _ucf101(home: Path, lists: Path, split: int) -> Iterator[Named]:
    classes = DATASETS["ucf101"].classes
    index = lists / "classInd.txt"
    if index.exists():  # the labels in the lists are these numbers
        for where, match in _entries(index, r"([0-9]+) +(\S+)", "'1 ApplyEyeMakeup'"):
            number = int(match[1])
            if classes[number - 1 : number] != (match[2],):
                raise InputError(f"{where}: expected the official class {match[1]}, got {match[2]!r}")
    forms = {"train": ("", "'CLASS/v_CLASS_gNN_cNN.avi LABEL'"), "test": ("?", "'CLASS/v_CLASS_gNN_cNN.avi'")}
    for subset, (label_there, form) in forms.items():
        pattern = r"([^/\\\0]+)/(v_[^/\\\0]+_(g[0-9]+)_c[0-9]+\.avi)(?:\s+([0-9]+))" + label_there
        for where, match in _entries(lists / f"{subset}list{split:02d}.txt", pattern, form):
            action, file, group, label = match.groups()
            if action not in classes:
                raise InputError(f"{where}: unknown class {action!r}; expected one of UCF101's 101 classes")
            number = classes.index(action) + 1
            if label and int(label) != number:
                raise InputError(f"{where}: expected label {number} for {action}, got {label}")
            yield Named(action, file, action, group, subset, where)


def _hmdb51(home: Path, lists: Path, split: int) -> Iterator[Named]:
    classes, suffix = DATASETS["hmdb51"].classes, f"_test_split{split}.txt"
    listed = {file.name.removesuffix(suffix) for file in lists.glob(f"*{suffix}")}
    for action in sorted(listed ^ set(classes)):
        if action in listed:
            raise InputError(f"{lists / action}{suffix}: unknown class {action!r}; expected one of HMDB51's 51 classes")
        raise InputError(f"{lists / action}{suffix}: no such file; expected one for each of 51 classes: download again")
    for action in classes:
        tags = re.compile(rf"(.+)_{action}(?:_[a-z]+){{2}}_np[0-9]+(?:_[a-z]+){{2}}_[0-9]+\.avi")
        for where, match in _entries(lists / f"{action}{suffix}", r"([^/\\\0]+\.avi)\s+([0-9]+)", "'NAME.avi CODE'"):
            file, code = match.groups()
            if code not in HMDB51_CODES:
                raise InputError(f"{where}: unknown code {code}; expected 1 (train), 2 (test) or 0 (unused)")
            source = tags.fullmatch(file)
            if not source:
                raise InputError(f"{where}: expected 'VIDEO_{action}_TAGS_N.avi', got {file!r}")
            yield Named(action, file, action, source[1], HMDB51_CODES[code], where)


def _weizmann(home: Path, lists: None, split: int) -> Iterator[Named]:
    for action in DATASETS["weizmann"].classes:
        for actor in WEIZMANN_ACTORS:
            files = [f"{actor}_{action}.avi"]
            # the first release has Lena's run, skip and walk twice, as lena_run1 and lena_run2
            twice = [f"{actor}_{action}{take}.avi" for take in (1, 2)]
            if actor == "lena" and action in ("run", "skip", "walk"):
                files = twice if any((home / action / file).is_file() for file in twice) else files
            yield from (Named(action, file, action, actor) for file in files)


def _ut_interaction(home: Path, lists: None, split: int) -> Iterator[Named]:
    classes, sequence = DATASETS["ut_interaction"].classes, 0
    for name, sequences in UT_SEQUENCES.items():
        folder = next((f for f in (name, f"segmented_{name}") if (home / f).is_dir()), name)
        identifier = 0
        for labels in sequences.split():
            sequence += 1
            for label in map(int, labels):
                yield Named(folder, f"{identifier}_{sequence}_{label}.avi", classes[label], f"{name}_{sequence}")
                identifier += 1


def _known() -> Iterator[tuple[str, Dataset]]:
    rules = {"ucf101": _ucf101, "hmdb51": _hmdb51, "weizmann": _weizmann, "ut_interaction": _ut_interaction}
    facts = yaml.safe_load(Path(__file__).with_name("datasets.yaml").read_text("utf-8"))
    for kind, row in facts.items():
        row = {"folders": row["classes"], "lists": [], "list_name": ""} | row
        row = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
        yield kind, Dataset(names.title(kind), named=rules[kind], **row)


DATASETS: dict[str, Dataset] = dict(_known())
