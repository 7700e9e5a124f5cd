"""Data sets in their official folders, with the official splits, and any folder of classes.

    UCF101          ROOT/CLASS/v_CLASS_gNN_cNN.avi           ucfTrainTestlist/{train,test}listNN.txt
    HMDB51          ROOT/CLASS/VIDEO_CLASS_TAGS_N.avi        testTrainMulti_7030_splits/CLASS_test_splitN.txt
    Weizmann        ROOT/CLASS/ACTOR_CLASS.avi               no split: leave one actor out
    UT-Interaction  ROOT/{set1,set2}/ID_SEQUENCE_CLASS.avi   no split: leave one sequence out
    tennis, yoga    ROOT/CLASS/GROUP_CLASS_N.mp4             no split: leave scenes or people out
    folder          ROOT/CLASS/**/*.mp4, .avi ...            no split: leave out groups that the caller names

Split files and file names come from others: an entry is a name inside its class folder or it is refused.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import yaml

from arsr import names, reading
from arsr.data.clips import VIDEOS, Clip, from_file
from arsr.data.folds import require_every_class, share_out
from arsr.data.stores import reasons, require_once
from arsr.printing import printable
from arsr.settings import settings
from arsr_core import video
from arsr_core.errors import InputError

HMDB51_CODES = {"1": "train", "2": "test", "0": "unused"}
WEIZMANN_ACTORS = ("daria", "denis", "eli", "ido", "ira", "lena", "lyova", "moshe", "shahar")
UT_SEQUENCES = {  # each clip's label; clips count from 0 in each set, sequences from 1 through both
    "set1": "421305 450213 421350 412035 042135 25130 054231 0244531 352401 045312",
    "set2": "425031 035142 421350 015342 104235 301425 103542 241350 014352 105342",
}


@settings
class Dataset:
    """What is known of a data set without having it; `datasets.yaml` says what the fields mean."""

    title: str
    classes: tuple[str, ...]
    folders: tuple[str, ...]
    homes: tuple[str, ...]
    named: Callable[[Path, Path | None, int], Iterator[Clip]]  # (home, lists, split) -> every official clip
    splits: dict[int, dict[str, int]]
    lists: str = ""
    clips: str = ""


def items(
    kind: str,
    root: str | Path,
    *,
    splits: str | Path | None = None,
    split: int = 1,
    subset: str | None = "test",
    present_only: bool = False,
    groups: str | None = None,
    folds: int = 0,
) -> list[Clip]:
    """Every clip of a subset (None: of all), sorted by label and name.

    Without a split each clip is tested once, so "test" is all of them and the caller leaves out one fold at a time:
    a group, or one of so many `folds`. groups: those of a `folder`'s clips, a pattern or a file, see `grouped`. Raises
    InputError for missing folders, malformed split files, and missing clips (with present_only: only if none is there).

    >>> [item.path for item in items("hmdb51", "hmdb51_org", splits="testTrainMulti_7030_splits")]
    >>> items("folder", "clips", groups="(s[0-9]+)_", folds=5)
    """
    _, home, found = _scan(kind, root, splits, split, groups, folds)
    if folds and present_only:
        raise InputError("clips that are missing would change the folds; complete the set, or leave out one option")
    subsets = {clip.subset or "test" for clip in found}
    if subset is not None and subset not in subsets:
        raise InputError(f"{kind}: expected subset {' or '.join(sorted(subsets))} or None, got {subset!r}")
    found = [clip for clip in found if subset in (None, clip.subset or "test")]
    present = [clip for clip in found if clip.path.is_file()]
    if not present or (len(present) < len(found) and not present_only):
        absent = next(clip for clip in found if not clip.path.is_file())
        raise InputError(
            f"{home}: {len(found) - len(present):,} of {len(found):,} clips missing, first {absent.name}; "
            f"complete the data set ('arsr data check {kind}' lists them) or take what there is (--present-only)"
        )
    return present


@dataclass(frozen=True)
class Completeness:
    """The outcome of `check`."""

    title: str  # the data set, its folder, the split
    expected: dict[str, int]  # subset: clips that the split files name
    official: dict[str, int]  # subset: clips of the official split
    clips: dict[str, dict[str, str]]  # found, missing, unreadable or extra: clip: reason
    folds: tuple[str, ...] = ()  # a line each

    @property
    def complete(self) -> bool:
        """Every official clip is there and readable; extra files do no harm."""
        return not self.clips["missing"] and not self.clips["unreadable"] and self.expected == self.official

    def __str__(self) -> str:
        expected, official = (", ".join(f"{n:,} {s}" for s, n in x.items()) for x in (self.expected, self.official))
        lines = [f"{self.title}: {'complete' if self.complete else 'INCOMPLETE'}", f"expected {expected}"]
        if self.expected != self.official:
            lines.append(f"the official split has {official}; download the split files again")
        lines += self.folds
        counts = Counter((name.rpartition("/")[0], state) for state, clips in self.clips.items() for name in clips)
        for folder in sorted({folder for folder, state in counts if state != "found"}):
            found = [f"{counts[folder, state]:,} {state}" for state in self.clips if counts[folder, state]]
            lines.append(f"  {folder}: {', '.join(found)}")
        for state in ("missing", "unreadable", "extra"):
            lines += reasons(f"\n{state} ({len(self.clips[state]):,})", self.clips[state])
        return "\n".join(lines)


def check(
    kind: str,
    root: str | Path,
    *,
    splits: str | Path | None = None,
    split: int = 1,
    decode: bool = False,
    groups: str | None = None,
    folds: int = 0,
) -> Completeness:
    """Looks for every clip of a data set and opens it (decode: reads all its frames); reports all it finds.

    A terminal shows a progress bar after two seconds. Raises InputError for missing folders, malformed split files, and
    a fold without which a class cannot be learnt; missing, unreadable and extra clips are in the report, each with the
    reason.
    """
    from tqdm.contrib.concurrent import thread_map  # FFmpeg releases the interpreter's lock

    dataset, home, expected = _scan(kind, root, splits, split, groups, folds)
    if not dataset.splits:
        require_every_class(expected)

    def state(clip: Clip) -> tuple[str, str]:
        if not clip.path.exists():
            return "missing", "no such file" if clip.path.parent.is_dir() else f"no folder {clip.path.parent.name}"
        try:
            (video.count if decode else video.probe)(clip.path)
        except InputError as error:
            return "unreadable", str(error).removeprefix(f"{clip.path}: ")
        return "found", ""

    clips: dict[str, dict[str, str]] = {"found": {}, "missing": {}, "unreadable": {}, "extra": {}}
    states = thread_map(state, expected, desc=kind, delay=2, disable=None, unit="clip")
    for clip, (found, reason) in zip(expected, states, strict=True):
        clips[found][clip.name] = reason
    there = [printable(path.relative_to(home).as_posix()) for path in sorted(home.rglob("*")) if _is_video(path)]
    extra = set(there).difference(clip.name for clip in expected)
    clips["extra"] = {name: f"not a clip that {dataset.title} names" for name in there if name in extra}
    subsets = dict(sorted(Counter(clip.subset or "clips" for clip in expected).items()))
    number = len({clip.group for clip in expected})
    title = f"{dataset.title} in {home}, " + (f"split {split}" if dataset.splits else f"{number} groups")
    sizes = Counter(clip.fold for clip in expected) if folds else {}
    lines = tuple(f"fold {name}: {size} clips" for name, size in sorted(sizes.items(), key=lambda x: int(x[0])))
    return Completeness(title, subsets, dataset.splits.get(split, subsets), clips, lines)


# Finding ----------------------------------------------------------------------------------------------------


def _scan(
    kind: str, root: str | Path, splits: str | Path | None, split: int, groups: str | None, folds: int
) -> tuple[Dataset, Path, list[Clip]]:
    """The data set, the class folders' parent, and every official clip with its fold, sorted by label and name."""
    if kind not in DATASETS:
        raise InputError(f"unknown data set {kind!r}; expected one of {', '.join(DATASETS)}")
    dataset, root = DATASETS[kind], Path(root)
    if groups and kind != "folder":
        raise InputError(f"{dataset.title}: the groups of its clips are known; leave out --groups")
    if folds and dataset.splits:
        raise InputError(f"{dataset.title} has official splits; leave out --folds")
    if kind == "folder":
        dataset = _own(root, groups)
    if split not in (dataset.splits or (1,)):
        known = ", ".join(map(str, dataset.splits)) or "none: leave one group out"
        raise InputError(f"{dataset.title} has no split {split}; its official splits: {known}")
    layout = f"expected folders such as {dataset.folders[0]} and {dataset.folders[-1]} in it"
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; {layout}: give the folder where {dataset.title} was unpacked")
    homes = (root, *(root / name for name in dataset.homes))
    home = next((home for home in homes if any((home / folder).is_dir() for folder in dataset.folders)), None)
    if not home:
        raise InputError(f"{root}: holds no clips of {dataset.title}; {layout}, or in {' or '.join(dataset.homes)}")
    lists = _lists(dataset, [Path(splits)] if splits else [root, root.parent], split) if dataset.splits else None
    found = list(dataset.named(home, lists, split))
    require_once([clip.name for clip in found], f"download the split files in {lists} again")
    found.sort(key=lambda clip: (clip.label, clip.name))
    return dataset, home, share_out(found, folds) if folds else found


def _lists(dataset: Dataset, bases: list[Path], split: int) -> Path:
    """The folder of the split files: the first of `bases` that holds some, or a folder there does."""
    pattern = dataset.lists.format(split=split)
    for base in bases:
        for file in (*sorted(base.glob(pattern)), *sorted(base.glob(f"*/{pattern}"))):
            return file.parent
    raise InputError(
        f"{' and '.join(map(str, bases))}: no split files ({pattern}) there or one folder below; "
        "download them from the data set's page and give their folder"
    )


# Split files, and the rules of the sets without them ----------------------------------------------------------


def _entries(file: Path, pattern: str, expected: str) -> Iterator[tuple[str, re.Match]]:
    """("file, line n", match) for each line; raises InputError at the first that does not match."""
    # names verbatim, whatever their encoding
    text = reading.text(file, "download the split files again", errors="surrogateescape")
    lines = [(number, line.rstrip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    for number, line in lines:
        match = re.fullmatch(pattern, line)
        if not match:
            raise InputError(f"{file}, line {number}: expected {expected}, got {line[:100]!r}")
        yield f"{file}, line {number}", match
    if not lines:
        raise InputError(f"{file}: the file is empty; expected lines of {expected}: download the split files again")


def _ucf101(home: Path, lists: Path, split: int) -> Iterator[Clip]:
    classes = DATASETS["ucf101"].classes
    index = lists / "classInd.txt"
    if index.exists():  # the labels in the lists are these numbers
        for where, match in _entries(index, r"([0-9]{1,4}) +(\S+)", "'1 ApplyEyeMakeup'"):
            number = int(match[1])
            if classes[number - 1 : number] != (match[2],):
                raise InputError(f"{where}: expected the official class {match[1]}, got {match[2]!r}")
    forms = {"train": ("", "'CLASS/v_CLASS_gNN_cNN.avi LABEL'"), "test": ("?", "'CLASS/v_CLASS_gNN_cNN.avi'")}
    for subset, (label_there, form) in forms.items():
        pattern = r"([^/\\\0]+)/(v_[^/\\\0]+_(g[0-9]+)_c[0-9]+\.avi)(?:\s+([0-9]{1,4}))" + label_there
        for where, match in _entries(lists / f"{subset}list{split:02d}.txt", pattern, form):
            action, file, group, label = match.groups()
            if action not in classes:
                raise InputError(f"{where}: unknown class {action!r}; expected one of UCF101's 101 classes")
            number = classes.index(action) + 1
            if label and int(label) != number:
                raise InputError(f"{where}: expected label {number} for {action}, got {label}")
            yield from_file(home, f"{action}/{file}", action, number - 1, f"{action}_{group}", subset)


def _hmdb51(home: Path, lists: Path, split: int) -> Iterator[Clip]:
    classes, suffix = DATASETS["hmdb51"].classes, f"_test_split{split}.txt"
    listed = {file.name.removesuffix(suffix) for file in lists.glob(f"*{suffix}")}
    for action in sorted(listed ^ set(classes)):
        if action in listed:
            raise InputError(f"{lists / action}{suffix}: unknown class {action!r}; expected one of HMDB51's 51 classes")
        raise InputError(f"{lists / action}{suffix}: no such file; expected one for each of 51 classes: download again")
    for label, action in enumerate(classes):
        tags = re.compile(rf"(.+)_{action}(?:_[a-z]+){{2}}_np[0-9]+(?:_[a-z]+){{2}}_[0-9]+\.avi")
        for where, match in _entries(lists / f"{action}{suffix}", r"([^/\\\0]+\.avi)\s+([0-9])", "'NAME.avi CODE'"):
            file, code = match.groups()
            if code not in HMDB51_CODES:
                raise InputError(f"{where}: unknown code {code}; expected 1 (train), 2 (test) or 0 (unused)")
            source = tags.fullmatch(file)
            if not source:
                raise InputError(f"{where}: expected 'VIDEO_{action}_TAGS_N.avi', got {file!r}")
            yield from_file(home, f"{action}/{file}", action, label, source[1], HMDB51_CODES[code])


def _weizmann(home: Path, lists: None, split: int) -> Iterator[Clip]:
    for label, action in enumerate(DATASETS["weizmann"].classes):
        for actor in WEIZMANN_ACTORS:
            takes = ("",)
            # the first release has Lena's run, skip and walk twice, as lena_run1 and lena_run2
            if actor == "lena" and any((home / action / f"lena_{action}{take}.avi").is_file() for take in "12"):
                takes = ("1", "2")
            for take in takes:
                yield from_file(home, f"{action}/{actor}_{action}{take}.avi", action, label, actor)


def _ut_interaction(home: Path, lists: None, split: int) -> Iterator[Clip]:
    classes, sequence = DATASETS["ut_interaction"].classes, 0
    for name, sequences in UT_SEQUENCES.items():
        folder = next((f for f in (name, f"segmented_{name}") if (home / f).is_dir()), name)
        labels = [(n, int(label)) for n, word in enumerate(sequences.split(), sequence + 1) for label in word]
        for identifier, (sequence, label) in enumerate(labels):
            file = f"{folder}/{identifier}_{sequence}_{label}.avi"
            yield from_file(home, file, classes[label], label, f"{name}_{sequence}")


# Folders of classes ---------------------------------------------------------------------------------------------


def _own(root: Path, groups: str | None) -> Dataset:
    """A folder as a data set, whose classes are its subfolders in sorted order."""
    there = sorted(root.iterdir()) if root.is_dir() else []
    classes = tuple(path.name for path in there if path.is_dir() and not path.name.startswith("."))
    if len(classes) < 2:
        found = f"{len(classes)} subfolders" if root.is_dir() else "no such folder"
        raise InputError(f"{root}: {found}; expected a subfolder of videos for each class, two or more")
    named = partial(_tree, classes=classes, groups=groups)
    return replace(DATASETS["folder"], classes=classes, folders=classes, named=named)


def _tree(
    home: Path, lists: None, split: int, *, classes: Sequence[str], groups: str | None, clips: str = "(?s:.*)"
) -> Iterator[Clip]:
    """Every video below the folder of a class whose name fits the pattern `clips`; groups as `grouped` has them."""
    files = {action: sorted(filter(_is_video, (home / action).rglob("*"))) for action in classes}
    below = {action: [path.relative_to(home).as_posix() for path in its] for action, its in files.items()}
    below = {action: [name for name in its if re.fullmatch(clips, name)] for action, its in below.items()}
    if empty := [action for action, its in below.items() if not its]:
        raise InputError(f"{home / empty[0]}: no clips ({', '.join(VIDEOS)}); add some, or take the class out")
    of = grouped([name for its in below.values() for name in its], groups)
    for label, (action, its) in enumerate(below.items()):
        yield from (from_file(home, name, printable(action), label, of[name]) for name in its)


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEOS and not path.name.startswith(".") and not path.is_dir()


def grouped(clips: Sequence[str], groups: str | None) -> dict[str, str]:
    """The group of each clip, by its name: itself (None), what a pattern finds in it, or what a CSV file says of it.

    The pattern is a regular expression with one group, the file has columns clip and group. Raises InputError for
    another pattern, one that finds nothing, a damaged file, and one that does not name the same clips.

    >>> grouped(["run/s07_1.mp4", "run/s12_1.mp4"], "(s[0-9]+)_")
    {'run/s07_1.mp4': 's07', 'run/s12_1.mp4': 's12'}
    """
    if not groups:
        return {name: name for name in clips}
    found = _listed(Path(groups), clips) if groups.lower().endswith(".csv") else _matched(groups, clips)
    for name, group in found.items():
        if not group or {"/", "\\"} & {*group}:  # it names folders
            raise InputError(f"--groups {groups}: group {group!r} of {name}; expected a name without / or \\")
    return found


def _matched(groups: str, clips: Sequence[str]) -> dict[str, str]:
    expected = "expected a regular expression with one group, as '(s[0-9]+)_', or a file, NAME.csv"
    try:
        pattern = re.compile(groups)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(f"--groups {groups!r}: {error}; {expected}") from None
    if pattern.groups != 1:
        raise InputError(f"--groups {groups!r}: {pattern.groups} groups in parentheses; {expected}")
    found = {name: pattern.search(name) for name in clips}
    if lost := [name for name, match in found.items() if not match]:
        raise InputError(f"--groups {groups!r}: matches nothing in {lost[0]} and {len(lost) - 1} others; {expected}")
    return {name: match[1] or "" for name, match in found.items()}


def _listed(file: Path, clips: Sequence[str]) -> dict[str, str]:
    remedy = "write a row a clip, with columns clip and group"
    text = io.StringIO(reading.text(file, remedy, errors="surrogateescape"), newline="")
    table, rows = csv.DictReader(text, strict=True), []
    try:
        if lacking := {"clip", "group"} - {*(table.fieldnames or ())}:
            raise InputError(f"{file}: no column {min(lacking)}; {remedy}")
        for row in table:
            if None in row or None in row.values():  # more or fewer than there are columns
                raise InputError(f"{file}, line {table.line_num}: expected {len(table.fieldnames)} values; {remedy}")
            rows.append(row)
    except csv.Error as error:
        raise InputError(f"{file}, line {table.reader.line_num}: {error}; {remedy}") from None
    require_once([row["clip"] for row in rows], f"take one row out of {file}")
    found = {row["clip"]: row["group"] for row in rows}
    if missing := sorted(found.keys() - {*clips}):
        raise InputError(f"{file}: no clip {missing[0]} ({len(missing)} such); names are relative to the data's folder")
    if lacking := sorted({*clips} - found.keys()):
        raise InputError(f"{file}: lacks {lacking[0]} ({len(lacking)} such); {remedy}")
    return found


RULES = {"ucf101": _ucf101, "hmdb51": _hmdb51, "weizmann": _weizmann, "ut_interaction": _ut_interaction}


def _dataset(kind: str, facts: dict) -> Dataset:
    tree = partial(_tree, classes=facts["classes"], groups=facts.get("clips"), clips=facts.get("clips"))
    return Dataset(title=names.title(kind), named=RULES.get(kind, tree), **{"folders": facts["classes"]} | facts)


_FACTS = yaml.safe_load(Path(__file__).with_name("datasets.yaml").read_text("utf-8"))
DATASETS: dict[str, Dataset] = {kind: _dataset(kind, facts) for kind, facts in _FACTS.items()}
