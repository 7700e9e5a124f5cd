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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from arsr_core import video
from arsr_core.errors import InputError

if TYPE_CHECKING:
    import pandas

# Labels are positions in these tuples: the official order, alphabetical without regard to case
UCF101_CLASSES = tuple(
    """
    ApplyEyeMakeup ApplyLipstick Archery BabyCrawling BalanceBeam BandMarching BaseballPitch Basketball
    BasketballDunk BenchPress Biking Billiards BlowDryHair BlowingCandles BodyWeightSquats Bowling
    BoxingPunchingBag BoxingSpeedBag BreastStroke BrushingTeeth CleanAndJerk CliffDiving CricketBowling
    CricketShot CuttingInKitchen Diving Drumming Fencing FieldHockeyPenalty FloorGymnastics FrisbeeCatch
    FrontCrawl GolfSwing Haircut Hammering HammerThrow HandstandPushups HandstandWalking HeadMassage
    HighJump HorseRace HorseRiding HulaHoop IceDancing JavelinThrow JugglingBalls JumpingJack JumpRope
    Kayaking Knitting LongJump Lunges MilitaryParade Mixing MoppingFloor Nunchucks ParallelBars
    PizzaTossing PlayingCello PlayingDaf PlayingDhol PlayingFlute PlayingGuitar PlayingPiano PlayingSitar
    PlayingTabla PlayingViolin PoleVault PommelHorse PullUps Punch PushUps Rafting RockClimbingIndoor
    RopeClimbing Rowing SalsaSpin ShavingBeard Shotput SkateBoarding Skiing Skijet SkyDiving
    SoccerJuggling SoccerPenalty StillRings SumoWrestling Surfing Swing TableTennisShot TaiChi TennisSwing
    ThrowDiscus TrampolineJumping Typing UnevenBars VolleyballSpiking WalkingWithDog WallPushups
    WritingOnBoard YoYo
    """.split()  # noqa: SIM905 (a list would take a line a name)
)
HMDB51_CLASSES = tuple(
    """
    brush_hair cartwheel catch chew clap climb climb_stairs dive draw_sword dribble drink eat fall_floor
    fencing flic_flac golf handstand hit hug jump kick kick_ball kiss laugh pick pour pullup punch push
    pushup ride_bike ride_horse run shake_hands shoot_ball shoot_bow shoot_gun sit situp smile smoke
    somersault stand swing_baseball sword sword_exercise talk throw turn walk wave
    """.split()  # noqa: SIM905 (a list would take a line a name)
)
WEIZMANN_CLASSES = ("bend", "jack", "jump", "pjump", "run", "side", "skip", "walk", "wave1", "wave2")
WEIZMANN_ACTORS = ("daria", "denis", "eli", "ido", "ira", "lena", "lyova", "moshe", "shahar")
UT_CLASSES = ("handshake", "hug", "kick", "point", "punch", "push")
UT_SEQUENCES = {  # each clip's label; clips count from 0 in each set, sequences from 1 through both
    "set1": "421305 450213 421350 412035 042135 25130 054231 0244531 352401 045312",
    "set2": "425031 035142 421350 015342 104235 301425 103542 241350 014352 105342",
}
NO_CLASS = "(no class)"
HMDB51_CODES = {"1": "train", "2": "test", "0": "unused"}


@dataclass(frozen=True)
class Item:
    """One clip that a data set names; `group` are clips cut from one recording, never to be split apart."""

    path: Path
    name: str  # relative to the class folders' parent, with "/": unique within the data set
    action: str
    label: int
    group: str  # UCF101: g08, HMDB51: source video, Weizmann: actor, UT-Interaction: set1_4 (set and sequence)
    subset: Literal["train", "test", "unused"] | None  # None: no official split


@dataclass(frozen=True)
class Dataset:
    """What is known of a data set without having it."""

    title: str
    classes: tuple[str, ...]
    clips: int
    splits: dict[int, dict[str, int]]  # official split: subset: number of clips
    folders: tuple[str, ...]  # that hold the clips
    homes: tuple[str, ...]  # usual names of those folders' parent
    lists: tuple[str, ...]  # usual names of the split files' folder
    list_name: str  # one split file, with {split}
    scan: Callable[[Path, Path | None, int], list[Item]]  # (home, lists, split) -> every official clip


class Finding(NamedTuple):
    name: str
    reason: str


@dataclass(frozen=True)
class Report:
    """The outcome of `check`; the table counts clips, expected = found + missing, unreadable among found."""

    title: str
    root: Path
    split: int | None
    expected: dict[str, int]  # subset: clips that the split files name
    official: dict[str, int]  # subset: clips of the official split
    table: pandas.DataFrame  # class, expected, found, missing, unreadable, extra
    missing: list[Finding]
    unreadable: list[Finding]
    extra: list[Finding]

    @property
    def complete(self) -> bool:
        """Every official clip is there and readable; extra files do no harm."""
        return not self.missing and not self.unreadable and self.expected == self.official

    def __str__(self) -> str:
        def counts(subsets: dict[str, int]) -> str:
            return ", ".join(f"{number:,} {subset}" for subset, number in subsets.items())

        split = "" if self.split is None else f", split {self.split}"
        lines = [f"{self.title} in {self.root}{split}: {'complete' if self.complete else 'INCOMPLETE'}"]
        lines.append(f"expected {counts(self.expected)}")
        if self.expected != self.official:
            lines.append(f"the official split has {counts(self.official)}; download the split files again")
        odd = self.table[self.table[["missing", "unreadable", "extra"]].any(axis=1)].copy()
        if len(odd):
            total = self.table.sum(numeric_only=True)
            odd.loc[len(self.table)] = ["(all)", *total]
            lines += ["", odd.to_string(index=False)]
        for kind in ("missing", "unreadable", "extra"):
            findings = getattr(self, kind)
            lines += [f"\n{kind} ({len(findings):,})"] if findings else []
            lines += [f"  {name}: {reason}" for name, reason in findings[:20]]
            lines += [f"  and {len(findings) - 20:,} more"] if len(findings) > 20 else []
        return "\n".join(lines)


def items(
    kind: str,
    root: str | Path,
    *,
    splits: str | Path | None = None,
    split: int = 1,
    subset: Literal["train", "test", "unused"] | None = "test",
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


def check(
    kind: str, root: str | Path, *, splits: str | Path | None = None, split: int = 1, decode: bool = False
) -> Report:
    """Looks for every clip of a data set and opens it (decode: reads all its frames); reports all it finds.

    A terminal shows a progress bar after two seconds. Raises InputError for missing folders and malformed
    split files; missing, unreadable and extra clips are in the report, each with the reason.
    """
    import pandas
    from tqdm import tqdm

    dataset = _dataset(kind)
    home, lists, expected = _scan(kind, root, splits, split)
    read = video.count if decode else video.probe

    def fault(item: Item) -> tuple[str, str] | None:
        if not item.path.parent.is_dir():
            return "missing", f"no folder {item.path.parent.name}"
        if not item.path.exists():
            return "missing", "no such file"
        try:
            read(item.path)
        except InputError as error:
            return "unreadable", str(error).removeprefix(f"{item.path}: ")
        return None

    pool = ThreadPoolExecutor()  # FFmpeg releases the interpreter's lock
    try:
        faults = list(tqdm(pool.map(fault, expected), kind, len(expected), delay=2, disable=None, unit="clip"))
    finally:  # an interrupt does not wait for 13,320 clips
        pool.shutdown(cancel_futures=True)
    findings = {"missing": [], "unreadable": []}
    counts = {
        "expected": Counter(item.action for item in expected),
        "missing": Counter(),
        "unreadable": Counter(),
    }
    for item, (kind_of_fault, reason) in ((i, f) for i, f in zip(expected, faults, strict=True) if f):
        findings[kind_of_fault].append(Finding(item.name, reason))
        counts[kind_of_fault][item.action] += 1
    extra = list(_extra(dataset, home, lists, {item.name for item in expected}))
    counts["extra"] = Counter(action for action, _ in extra)
    counts["found"] = counts["expected"] - counts["missing"]
    rows = [*dataset.classes] + [NO_CLASS] * (NO_CLASS in counts["extra"])
    columns = ("expected", "found", "missing", "unreadable", "extra")
    named = dict(sorted(Counter(item.subset or "clips" for item in expected).items()))
    return Report(
        title=dataset.title,
        root=home,
        split=split if dataset.splits else None,
        expected=named,
        official=dataset.splits[split] if dataset.splits else named,
        table=pandas.DataFrame({"class": rows} | {c: [counts[c][row] for row in rows] for c in columns}),
        extra=[finding for _, finding in extra],
        **findings,
    )


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


def _extra(dataset: Dataset, home: Path, lists: Path | None, expected: set[str]) -> Iterator[tuple[str, Finding]]:
    """(class, finding) for everything in the data set's folder that it does not name."""
    for entry in sorted(home.iterdir()):
        if entry.is_dir() and entry.name in dataset.folders:
            action = entry.name if entry.name in dataset.classes else NO_CLASS
            for file in sorted(entry.iterdir()):
                name = f"{entry.name}/{file.name}"
                if name not in expected:
                    yield action, Finding(name, f"not a clip that {dataset.title} names")
        elif entry.is_dir() and entry != lists and entry.name not in dataset.lists:
            number = sum(1 for _ in entry.iterdir())
            yield NO_CLASS, Finding(f"{entry.name}/", f"unknown folder, {number:,} entries")
        elif not entry.is_dir() and not (home == lists and entry.suffix == ".txt"):
            yield NO_CLASS, Finding(entry.name, "not in a class folder")


# Split files ------------------------------------------------------------------------------------------------


def _entries(file: Path, pattern: str, expected: str) -> Iterator[tuple[str, re.Match]]:
    """("file, line n", match) for each line; raises InputError at the first that does not match."""
    try:
        text = file.read_text("utf-8-sig", "surrogateescape")  # names verbatim, whatever their encoding
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); download the split files again") from error
    entries = 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = re.fullmatch(pattern, line.rstrip())
        if not match:
            raise InputError(f"{file}, line {number}: expected {expected}, got {line[:100]!r}")
        entries += 1
        yield f"{file}, line {number}", match
    if not entries:
        raise InputError(f"{file}: the file is empty; expected lines of {expected}: download the split files again")


def _once(seen: dict[str, str], name: str, where: str) -> None:
    if name in seen:
        raise InputError(f"{where}: {name!r} again, first in {seen[name]}; expected each clip once")
    seen[name] = where


def _scan_ucf101(home: Path, lists: Path, split: int) -> list[Item]:
    index = lists / "classInd.txt"
    if index.exists():  # the labels in the lists are these numbers
        for where, match in _entries(index, r"([0-9]+) +(\S+)", "'1 ApplyEyeMakeup'"):
            number = int(match[1])
            if UCF101_CLASSES[number - 1 : number] != (match[2],):
                raise InputError(f"{where}: expected the official class {match[1]}, got {match[2]!r}")
    found, seen = [], {}
    for subset in ("train", "test"):
        label_there = "" if subset == "train" else "?"  # the test lists have none
        pattern = r"([^/\\\0]+)/(v_[^/\\\0]+_(g[0-9]+)_c[0-9]+\.avi)(?:\s+([0-9]+))" + label_there
        form = "'CLASS/v_CLASS_gNN_cNN.avi" + (" LABEL'" if subset == "train" else "'")
        for where, match in _entries(lists / f"{subset}list{split:02d}.txt", pattern, form):
            action, file, group, label = match.groups()
            if action not in UCF101_CLASSES:
                raise InputError(f"{where}: unknown class {action!r}; expected one of UCF101's 101 classes")
            number = UCF101_CLASSES.index(action)
            if label and int(label) != number + 1:
                raise InputError(f"{where}: expected label {number + 1} for {action}, got {label}")
            name = f"{action}/{file}"
            _once(seen, name, where)
            found.append(Item(home / action / file, name, action, number, group, subset))
    return found


def _scan_hmdb51(home: Path, lists: Path, split: int) -> list[Item]:
    files = {file.name.removesuffix(f"_test_split{split}.txt"): file for file in lists.glob(f"*_test_split{split}.txt")}
    for action in sorted(set(files) ^ set(HMDB51_CLASSES)):
        if action in files:
            raise InputError(f"{files[action]}: unknown class {action!r}; expected one of HMDB51's 51 classes")
        missing = lists / f"{action}_test_split{split}.txt"
        raise InputError(f"{missing}: no such file; expected one for each of 51 classes: download them again")
    found = []
    for label, action in enumerate(HMDB51_CLASSES):
        seen = {}
        tags = re.compile(rf"(.+)_{action}(?:_[a-z]+){{2}}_np[0-9]+(?:_[a-z]+){{2}}_[0-9]+\.avi")
        for where, match in _entries(files[action], r"([^/\\\0]+\.avi)\s+([0-9]+)", "'NAME.avi CODE'"):
            file, code = match.groups()
            if code not in HMDB51_CODES:
                raise InputError(f"{where}: unknown code {code}; expected 1 (train), 2 (test) or 0 (unused)")
            source = tags.fullmatch(file)
            if not source:
                raise InputError(f"{where}: expected 'VIDEO_{action}_TAGS_N.avi', got {file!r}")
            _once(seen, file, where)
            name = f"{action}/{file}"
            found.append(Item(home / action / file, name, action, label, source[1], HMDB51_CODES[code]))
    return found


def _scan_weizmann(home: Path, lists: None, split: int) -> list[Item]:
    found = []
    for label, action in enumerate(WEIZMANN_CLASSES):
        for actor in WEIZMANN_ACTORS:
            files = [f"{actor}_{action}.avi"]
            # the first release has Lena's run, skip and walk twice, as lena_run1 and lena_run2
            twice = [f"{actor}_{action}{take}.avi" for take in (1, 2)]
            if (actor, action) in {("lena", "run"), ("lena", "skip"), ("lena", "walk")} and any(
                (home / action / file).is_file() for file in twice
            ):
                files = twice
            found += [Item(home / action / f, f"{action}/{f}", action, label, actor, None) for f in files]
    return found


def _scan_ut_interaction(home: Path, lists: None, split: int) -> list[Item]:
    found, sequence = [], 0
    for name, sequences in UT_SEQUENCES.items():
        folder = next((f for f in (name, f"segmented_{name}") if (home / f).is_dir()), name)
        identifier = 0
        for labels in sequences.split():
            sequence += 1
            for label in map(int, labels):
                file = f"{identifier}_{sequence}_{label}.avi"
                group = f"{name}_{sequence}"
                action = UT_CLASSES[label]
                found.append(Item(home / folder / file, f"{folder}/{file}", action, label, group, None))
                identifier += 1
    return found


DATASETS: dict[str, Dataset] = {
    "ucf101": Dataset(
        title="UCF101",
        classes=UCF101_CLASSES,
        clips=13_320,
        splits={
            1: {"train": 9_537, "test": 3_783},
            2: {"train": 9_586, "test": 3_734},
            3: {"train": 9_624, "test": 3_696},
        },
        folders=UCF101_CLASSES,
        homes=("UCF-101", "UCF101", "ucf101", "videos"),
        lists=("ucfTrainTestlist", "ucf101_splits", "splits"),
        list_name="trainlist{split:02d}.txt",
        scan=_scan_ucf101,
    ),
    "hmdb51": Dataset(
        title="HMDB51",
        classes=HMDB51_CLASSES,
        clips=6_766,
        splits={split: {"train": 3_570, "test": 1_530, "unused": 1_666} for split in (1, 2, 3)},
        folders=HMDB51_CLASSES,
        homes=("hmdb51_org", "HMDB51", "hmdb51", "videos"),
        lists=("testTrainMulti_7030_splits", "hmdb51_splits", "splits"),
        list_name="*_test_split{split}.txt",
        scan=_scan_hmdb51,
    ),
    "weizmann": Dataset(
        title="Weizmann",
        classes=WEIZMANN_CLASSES,
        clips=90,
        splits={},
        folders=WEIZMANN_CLASSES,
        homes=("weizmann", "Weizmann", "videos"),
        lists=(),
        list_name="",
        scan=_scan_weizmann,
    ),
    "ut_interaction": Dataset(
        title="UT-Interaction",
        classes=UT_CLASSES,
        clips=120,
        splits={},
        folders=("set1", "set2", "segmented_set1", "segmented_set2"),
        homes=("ut_interaction", "UT-Interaction", "videos"),
        lists=(),
        list_name="",
        scan=_scan_ut_interaction,
    ),
}
