"""The claims ledger: the paper's, C1 to C11d, and ours, C12 to C14; what each tier of evidence says, by stated rules.

A claim is data, the rows of claims.yaml: contrasts between records, and how they combine. A contrast is a difference
that the claim says is above zero. Nothing here knows a verdict: a record that is added fills its place, and a tier
without records is "not yet measured".

>>> from arsr import paper
>>> print(ledger(paper.records())["c4"]["paper"].verdict)
too few clips
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.resources import files
from itertools import combinations, product
from math import hypot
from statistics import fmean
from typing import Annotated, Literal, NamedTuple

import yaml
from annotated_types import Ge, Len
from pydantic import StringConstraints

from arsr import names, paired
from arsr.records import Record
from arsr.settings import settings

ALPHA = 0.05
SUPPORTED, CONTRADICTED, MIXED, NOT_A_TEST = "supported", "contradicted", "mixed", "not a test"
OPEN = TOO_FEW, SMALLER, UNDECIDED = "too few clips", "smaller than the paper's", "undecided"
UNMEASURED, NO_NUMBERS = "not yet measured", "no numbers"
SIDES = {"above": 1, "below": -1, "against psnr": 1}

How = Literal["all", "any"]
Method = Literal[tuple(names.METHODS)]
Key = Annotated[str, StringConstraints(pattern=r"^([^{}]|\{(stream|of|a|b|method|dataset|network)\})+$")]  # a template
Records = Mapping[str, Record]
Find = Callable[[str], Record | None]  # a key's record, None where it has none


# The rules, as claims.yaml has them -------------------------------------------------------------------------


@settings
class Tier:
    """One kind of evidence; claims.yaml explains the fields."""

    title: str
    words: str
    datasets: tuple[str, ...]
    profile: str | None = None
    accuracy: tuple[Key, ...] = ("benchmark.{dataset}.{network}.{stream}.{a}.to_{b}.accuracy",)
    psnr: Key = "sr.{method}.psnr"

    @property
    def settings(self) -> tuple[tuple[str, str], ...]:
        """The places: every data set with both recognisers."""
        return tuple(product(self.datasets, names.NETWORKS))

    def find(self, records: Records, key: str) -> Record | None:
        """The record of this tier: a committed measurement first, for it has more clips than a build of the book.

        What a build derives from the paper's numbers is evidence in the paper's tier alone.
        """
        if self.profile and f"{self.profile}.{key}" in records:
            return records[f"{self.profile}.{key}"]
        record = records.get(key)
        source = record and record.provenance
        own = source and source.kind not in ("paper", "derived") and source.profile in (None, self.profile)
        return record if own or not self.profile else None

    def keys(self, templates: Sequence[str], cell: Mapping[str, str], dataset: str, network: str) -> tuple[str, ...]:
        """The keys that templates stand for in a place; the paper's records have names of their own."""
        place = cell | {"dataset": dataset, "network": network}
        if not self.profile:
            place = {name: names.PRINTED.get(value, value) for name, value in place.items()}
        return tuple(key.format_map(place).lower() for key in templates)


class Contrast(NamedTuple):
    """side (a - b) + margin > 0, of the records with two keys; one key is that of a difference, paired by clip."""

    words: str
    keys: tuple[str, ...]
    side: int = 1
    margin: float = 0.0
    opposes: tuple[str, ...] = ()  # two keys; then `side` is against the order of their records
    tie: float = 0.0  # records that differ by less have no order
    printed: tuple[tuple[str, ...], ...] = ()  # the paper's pairs of keys: the mean difference is its effect
    check: tuple[str, float] | None = None  # a key, and what its record's interval has to lie above


@settings
class Check:
    """A manipulation check; claims.yaml explains the fields."""

    record: Key
    above: float


@settings
class Row:
    """Contrasts that differ in what the row's lists name; claims.yaml explains the fields."""

    tiers: tuple[str, ...]
    everywhere: bool = False
    how: How | None = None
    words: Key = "{a} \N{MINUS SIGN} {b}, {stream}"
    stream: tuple[Literal[names.SCORES], ...] = ("",)
    of: tuple[str | int, ...] | Literal["all"] = ("",)
    a: tuple[Method, ...] = ("",)
    b: tuple[Method, ...] = ("",)
    among: tuple[Method, ...] = ()
    records: Annotated[tuple[Key, ...], Len(0, 2)] = ()
    side: Literal[tuple(SIDES)] = "above"
    margin: Annotated[float, Ge(0)] = 0.0
    tie: Annotated[float, Ge(0)] = 0.0
    printed: tuple[Key, Key] | None = None
    check: Check | None = None

    def cells(self, known: Iterable[str] = ()) -> Iterator[dict[str, str]]:
        """Every combination of what the lists name: stream, of, a, b. known: keys, for what "all" may stand for."""
        pairs = list(combinations(self.among, 2) if self.among else product(self.a, self.b))
        of = self.of
        if of == "all":
            pattern = re.compile(r"(?:\w+\.)?" + re.escape(self.records[0]).replace(r"\{of\}", "([^.]+)"))
            of = sorted({found[1] for key in known if (found := pattern.fullmatch(key))})
        for stream, one, (a, b) in product(self.stream, map(str, of), pairs):
            yield {"stream": stream, "of": one, "a": a, "b": b}

    def contrasts(
        self, tier: Tier, dataset: str = "", network: str = "", known: Iterable[str] = ()
    ) -> tuple[Contrast, ...]:
        """The contrasts that the row stands for, in a tier and one of its places. known: as `cells` has it.

        >>> row = Row(("paper",), stream=("temporal",), a=("duf16", "duf52"), b=("rcan",))
        >>> [c.words for c in row.contrasts(TIERS["paper"], "hmdb51", "tsn")]
        ['DUF-16 \N{MINUS SIGN} RCAN, temporal', 'DUF-52 \N{MINUS SIGN} RCAN, temporal']
        """
        paper, found, where = TIERS["paper"], [], (dataset, network)
        for cell in self.cells(known):
            words = {name: names.title(value).replace("_", " ") for name, value in cell.items()}
            keys = tier.keys(self.records or tier.accuracy, cell, *where)
            psnr = tuple(tier.psnr.format(method=cell[side], dataset=dataset) for side in "ab")
            if self.margin or not tier.profile:  # what a margin adds is no effect; the paper's own is its own
                printed = () if self.margin or len(keys) < 2 else (keys,)
            elif self.records:
                printed = (paper.keys(self.printed, cell, *where),) if self.printed else ()
            else:
                printed = tuple(paper.keys(paper.accuracy, cell, *place) for place in paper.settings)
            contrast = Contrast(
                self.words.format_map(words),
                keys,
                SIDES[self.side],
                self.margin,
                psnr if self.side == "against psnr" else (),
                self.tie,
                printed,
                self.check and (*tier.keys((self.check.record,), cell, *where), self.check.above),
            )
            found.append(contrast)
        return tuple(found)


@settings
class Claim:
    """What the paper says, the rule in words and in rows, or why a tier has none; claims.yaml explains the fields."""

    statement: str
    rule: str
    how: How
    rows: tuple[Row, ...]
    main: tuple[Row, ...] = ()
    without: dict[str, str] = field(default_factory=dict)


@settings
class Before:
    """What the first edition said of a claim, by tier, and why that changed; claims.yaml explains the fields."""

    embedded: Literal["supported", "not supported", "undecided"]
    small: Literal["supported", "not supported", "undecided", "not yet measured"]
    why: str


@settings
class Plan:
    """Since when the rules stand; claims.yaml explains the fields."""

    fixed: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{7,40})?$")] = ""
    disclosed: str = ""
    before: dict[str, Before] = field(default_factory=dict)


@settings
class Rules:
    """All of claims.yaml. Raises InputError for what cannot be read, with its place in the file."""

    tiers: dict[str, Tier]
    claims: dict[str, Claim]
    plan: Plan = Plan()


_RULES = Rules(**yaml.safe_load(files("arsr").joinpath("claims.yaml").read_text(encoding="utf-8")))
TIERS, CLAIMS, PLAN = _RULES.tiers, _RULES.claims, _RULES.plan


def comparisons(dataset: str, network: str) -> list[tuple[str, str, str]]:
    """What a study of a data set has to compare: (stream, method a, method b), a less b, each once.

    All that the ledger asks for, and the paper's pair with its fair rivals, of which no claim speaks.

    >>> comparisons("embedded", "tsn")[:2]
    [('spatial', 'hr', 'bicubic'), ('temporal', 'hr', 'bicubic')]
    """
    tiers = {name for name, tier in TIERS.items() if tier.profile and (dataset, network) in tier.settings}
    rows = [row for claim in CLAIMS.values() for row in claim.rows if tiers & {*row.tiers} and not row.records]
    found = [(cell["stream"], cell["a"], cell["b"]) for row in rows for cell in row.cells()]
    return list(dict.fromkeys(found + [("fused", "sosr+tosr", rival) for rival in names.RIVALS if found]))


# What records say of it -------------------------------------------------------------------------------------


class Effect(NamedTuple):
    """A difference with its 95 % interval, where there is one, and two-sided p; n clips on either side."""

    value: float
    low: float | None
    high: float | None
    p: float
    n: int | None
    unit: str
    test: str | None
    records: tuple[str, ...]  # keys
    break_even: int | None = None  # `paired.break_even` of two counts
    freedom: float | None = None  # of Student's t, where interval and p are from it

    @classmethod
    def of(cls, r: Record) -> Effect:
        """The effect that a record is already; its p, or the one that goes with its interval."""
        p = p_value(r.value, r.low, r.high) if r.p is None else r.p
        return cls(r.value, r.low, r.high, p, r.n, r.unit, r.interval, (r.key,), freedom=r.freedom)

    def left_open(self, side: int, printed: float | None) -> str:
        """What kind of open an effect is that decides nothing. printed: the paper's, on the claim's side, in points."""
        if self.low is None:
            return TOO_FEW
        if printed is None or printed <= 0 or self.unit != "points":
            return UNDECIDED
        value, (low, high) = side * self.value, sorted((side * self.low, side * self.high))
        if high < printed:
            return SMALLER
        return TOO_FEW if (value - low if value > 0 else high - value) > printed else UNDECIDED  # power below one half


@dataclass(frozen=True)
class Finding:
    """How far records bear out a contrast or a group: p of the claim's side, p of the other side, and the verdict."""

    words: str = ""
    p_for: float = 1.0
    p_against: float = 1.0
    measured: int = 0  # contrasts
    of: int = 1
    how: How | None = None
    parts: tuple[Finding, ...] = ()
    whole: bool = False  # of a group: one part of the claim
    effect: Effect | None = None
    side: int = 1
    margin: float = 0.0
    printed: float | None = None  # the paper's effect on the claim's side, points
    checked: bool | None = None  # whether the manipulation check held; None: there is none
    why: str = ""  # there can be none
    main: Finding | None = None  # the contrast that stands for the claim

    @property
    def speaks(self) -> bool:
        """Whether it is measured, and a test."""
        return self.measured > 0 and self.checked is not False

    @property
    def verdict(self) -> str:
        """The side whose p is below 5 %, if one is; else what keeps it open. Chapter 12 has the rules in words."""
        if not self.measured:
            return NO_NUMBERS if self.why else UNMEASURED
        if self.checked is False:
            return NOT_A_TEST
        heard = [voice for voice in self.voices() if voice.speaks]
        sides = ([voice.p_for for voice in heard], [voice.p_against for voice in heard])
        if self.how and heard and all(len(heard) * min(side) < ALPHA for side in sides):
            return MIXED
        if min(self.p_for, self.p_against) < ALPHA:
            return SUPPORTED if self.p_for < ALPHA else CONTRADICTED
        if not self.how:
            return self.effect.left_open(self.side, self.printed)
        kinds = {leaf.verdict for leaf in self.leaves()}
        if not kinds & {*OPEN}:
            return NOT_A_TEST if NOT_A_TEST in kinds else UNDECIDED
        return TOO_FEW if TOO_FEW in kinds else UNDECIDED if UNDECIDED in kinds else SMALLER

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Contrasts for the claim, open, against it, and not a test."""
        found = [leaf.verdict for leaf in self.leaves()]
        return found.count(SUPPORTED), sum(map(found.count, OPEN)), found.count(CONTRADICTED), found.count(NOT_A_TEST)

    def leaves(self) -> list[Finding]:
        """The findings of single contrasts."""
        return [leaf for part in self.parts for leaf in part.leaves()] if self.how else [self]

    def voices(self) -> list[Finding]:
        """What may stand on one side or the other: single contrasts, and groups that are one part of the claim."""
        return [v for part in self.parts for v in part.voices()] if self.how and not self.whole else [self]

    def decisive(self) -> Finding:
        """The contrast that the verdict hangs on: where all must hold the weakest, where any will do the strongest."""
        if not self.how:
            return self
        heard = [part for part in self.parts if part.measured]
        return {"all": max, "any": min}[self.how](heard, key=lambda part: (part.p_for, -part.p_against)).decisive()

    def plain(self) -> dict:
        """As data: the verdict, and every contrast with its effect, interval, p and records."""
        if self.why:
            return {"verdict": self.verdict, "why": self.why}
        sides = (self.p_for, self.p_against) if self.speaks else (None, None)
        head = {"words": self.words, "verdict": self.verdict} | dict(zip(("p_for", "p_against"), sides, strict=True))
        head |= {"main": self.main.plain()} if self.main else {}
        if self.how:
            head |= {"measured": self.measured, "of": self.of, "how": self.how}
            return head | {"parts": [part.plain() for part in self.parts]}
        check = {None: "unchecked", True: "held", False: "failed"}[self.checked]
        head |= {"side": self.side, "margin": self.margin, "printed": self.printed, "check": check}
        return head | (self.effect._asdict() if self.effect else {})


def p_value(value: float, low: float, high: float, freedom: float | None = None) -> float:
    """Two-sided p of "zero" that goes with a 95 % interval: below 0.05 just where zero lies outside it.

    The estimate is taken as normal, or as Student's t with its degrees of freedom, with the standard error that the arm
    of the interval towards zero implies.

    >>> round(p_value(2.0, 1.0, 5.0), 3), p_value(2.0, 0.0, 5.0)
    (0.0, 0.05)
    """
    from scipy.stats import norm
    from scipy.stats import t as student

    of, arm = student(freedom) if freedom else norm, value - low if value > 0 else high - value
    p = 1.0 if value == 0 else float(2 * of.sf(of.isf(0.025) * abs(value) / arm)) if arm > 0 else 0.0
    return max(p, ALPHA) if low <= 0 <= high else p  # an end at zero is not outside, however it rounds


def difference(a: Record, b: Record) -> Effect:
    """a - b of two records with intervals, as independent: Newcombe's interval (1998, method 10) of Wilson's two.

    [d - sqrt((a - a_low)^2 + (b_high - b)^2), d + sqrt((a_high - a)^2 + (b - b_low)^2)]; Zou and Donner (2008) for any
    two intervals. Counts are used where there are some, else printed values. The same clips would allow a narrower one.

    >>> from arsr import paper
    >>> e = difference(*(paper.records()[f"table4.{m}.hmdb51.tsn.spatial"] for m in ("sosr", "esrgan")))
    >>> [round(x, 2) for x in (e.value, e.low, e.high, e.p)]
    [1.11, -2.42, 4.64, 0.54]
    """
    x, y = (100 * r.count / r.n if r.unit == "%" and r.count is not None else r.value for r in (a, b))
    d = x - y
    low, high = d - hypot(x - a.low, b.high - y), d + hypot(a.high - x, y - b.low)
    test = "unpaired, " + ("Newcombe" if {a.interval, b.interval} == {"Wilson"} else "from two intervals")
    test += ", approximate" if "approximate" in f"{a.interval} {b.interval}" else ""
    unit, n = "points" if a.unit == "%" else a.unit, min(filter(None, (a.n, b.n)), default=None)
    even = None if None in (a.count, b.count) or a.n != b.n else paired.break_even(a.count - b.count, a.n)
    return Effect(d, low, high, p_value(d, low, high), n, unit, test, (a.key, b.key), even)


def weighed(contrast: Contrast, find: Find, find_printed: Find | None = None) -> Finding | None:
    """The finding of one contrast; None of a tie, which is none. Records that lack, or have no test: not measured.

    find_printed: where the paper's own effect is looked up; default: `find`.
    """
    found, order = ([find(key) for key in keys] for keys in (contrast.keys, contrast.opposes))
    if order and None not in order and abs(order[0].value - order[1].value) < contrast.tie:
        return None
    if None in [*found, *order] or any(r.low is None and (r.p is None or len(found) > 1) for r in found):
        return Finding(contrast.words)
    side = contrast.side if not order else -1 if order[0].value > order[1].value else 1
    effect = difference(*found) if len(found) == 2 else Effect.of(*found)
    value, p = side * effect.value + contrast.margin, effect.p
    if contrast.margin:
        ends = sorted(side * end + contrast.margin for end in (effect.low, effect.high) if end is not None)
        p = p_value(value, *ends, effect.freedom) if ends else 1.0
    pairs = [pair for keys in contrast.printed if None not in (pair := [*map(find_printed or find, keys)])]
    printed = side * fmean(a.value - b.value for a, b in pairs) if pairs else None
    checked = contrast.check and find(contrast.check[0])
    checked = checked and checked.low is not None and checked.low > contrast.check[1] if checked else None
    p_for, p_against = (1.0, 1.0) if checked is False else (p, 1.0) if value > 0 else (1.0, p)
    known = dict(effect=effect, side=side, margin=contrast.margin, printed=printed, checked=checked)
    return Finding(contrast.words, p_for, p_against, 1, 1, **known)


def combined(how: How, parts: Sequence[Finding], words: str = "", whole: bool = False) -> Finding:
    """The finding of a group from those of its parts. whole: the group is one part of the claim.

    A contrast that is not measured, or not a test, speaks for neither side. A place without any number is left out.
    "all" is for the claim as far as its weakest part is (an intersection-union test: Berger, 1982), and against it if
    one part is, Bonferroni-corrected for the number of parts; "any" the other way round. So a claim errs in at most
    5 % of cases on either side, however its parts depend on each other.
    """
    heard = [(part.p_for, part.p_against) for part in parts if part.measured or part.how is None or part.whole]
    spoken = max(1, sum(part.speaks for part in parts))
    both = list(zip(*heard, strict=True)) or [(1.0,), (1.0,)]  # an unmeasured contrast's are 1
    every, some = [max(p) for p in both], [min(1.0, spoken * min(p)) for p in both]
    p_for, p_against = (every[0], some[1]) if how == "all" else (some[0], every[1])
    measured, of = sum(part.measured for part in parts), sum(part.of for part in parts)
    return Finding(words, p_for, p_against, measured, of, how, tuple(parts), whole)


def finding(claim: Claim, tier: str, records: Records) -> Finding:
    """What the records of a tier say of a claim, or why there can be none."""
    rows, kind = [row for row in claim.rows if tier in row.tiers], TIERS[tier]

    def found(row: Row, *place: str) -> list[Finding]:
        every = row.contrasts(kind, *place, known=records)
        finds = [partial(of.find, records) for of in (kind, TIERS["paper"])]
        return [one for contrast in every if (one := weighed(contrast, *finds))]

    def at(*place: str) -> Finding:
        parts = []
        for row in rows:
            parts += [combined(row.how, found(row, *place), whole=True)] if row.how else found(row, *place)
        return combined(claim.how, parts, ", ".join(map(names.title, place)))

    if tier in claim.without:
        return Finding(why=claim.without[tier])
    everywhere = any(row.everywhere for row in rows)
    whole = combined(claim.how, [at(*place) for place in kind.settings]) if everywhere else at()
    mine = [row for row in claim.main if tier in row.tiers] or rows
    measured = (
        replace(one, words=", ".join((one.words, *map(names.title, place))))
        for row in mine
        for place in (kind.settings if row.everywhere else ((),))
        for one in found(row, *place)
        if one.measured
    )
    return replace(whole, main=next(measured, None))


def ledger(records: Records) -> dict[str, dict[str, Finding]]:
    """Claim and tier -> finding."""
    return {name: {tier: finding(claim, tier, records) for tier in TIERS} for name, claim in CLAIMS.items()}


def as_json(found: dict[str, dict[str, Finding]]) -> dict:
    """The ledger as plain data, deterministic."""
    return {
        name: {
            "statement": CLAIMS[name].statement,
            "rule": CLAIMS[name].rule,
            "tiers": {tier: finding.plain() for tier, finding in tiers.items()},
        }
        for name, tiers in found.items()
    }
