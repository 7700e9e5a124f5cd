"""The claims ledger: what the paper claims, C1 to C11, and what each tier of evidence says, by stated rules.

A claim is data, the rows of claims.yaml: contrasts between records, and how they combine. A contrast is a difference
that the claim says is above zero. Nothing here knows a verdict: a record that is added fills its place, and a tier
without records is "not yet measured".

>>> from arsr import paper
>>> print(ledger(paper.records())["c4"]["paper"].verdict)
undecided
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from itertools import combinations, product
from math import hypot
from typing import Annotated, Literal, NamedTuple

import yaml
from annotated_types import Ge, Len
from pydantic import StringConstraints

from arsr import names
from arsr.records import Record
from arsr.settings import settings

ALPHA = 0.05
SUPPORTED, NOT_SUPPORTED, UNDECIDED = "supported", "not supported", "undecided"
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
        """The record of this tier: a committed measurement first, for it has more clips than a build of the book."""
        if self.profile and f"{self.profile}.{key}" in records:
            return records[f"{self.profile}.{key}"]
        record = records.get(key)
        return record if record and record.provenance.profile in (None, self.profile) else None


class Contrast(NamedTuple):
    """side (a - b) + margin > 0, of the records with two keys; one key is that of a difference, paired by clip."""

    words: str
    keys: tuple[str, ...]
    side: int = 1
    margin: float = 0.0
    opposes: tuple[str, ...] = ()  # two keys; then `side` is against the order of their records


@settings
class Row:
    """Contrasts that differ in what the row's lists name; claims.yaml explains the fields."""

    tiers: tuple[str, ...]
    everywhere: bool = False
    how: How | None = None
    words: Key = "{a} \N{MINUS SIGN} {b}, {stream}"
    stream: tuple[Literal[names.SCORES], ...] = ("",)
    of: tuple[str | int, ...] = ("",)
    a: tuple[Method, ...] = ("",)
    b: tuple[Method, ...] = ("",)
    among: tuple[Method, ...] = ()
    records: Annotated[tuple[Key, ...], Len(0, 2)] = ()
    side: Literal[tuple(SIDES)] = "above"
    margin: Annotated[float, Ge(0)] = 0.0

    def cells(self) -> Iterator[dict[str, str]]:
        """Every combination of what the lists name: stream, of, a, b."""
        pairs = list(combinations(self.among, 2) if self.among else product(self.a, self.b))
        for stream, of, (a, b) in product(self.stream, map(str, self.of), pairs):
            yield {"stream": stream, "of": of, "a": a, "b": b}

    def contrasts(self, tier: Tier, dataset: str = "", network: str = "") -> tuple[Contrast, ...]:
        """The contrasts that the row stands for, in a tier and one of its places.

        >>> row = Row(("paper",), stream=("temporal",), a=("duf16", "duf52"), b=("rcan",))
        >>> [c.words for c in row.contrasts(TIERS["paper"], "hmdb51", "tsn")]
        ['DUF-16 \N{MINUS SIGN} RCAN, temporal', 'DUF-52 \N{MINUS SIGN} RCAN, temporal']
        """
        found = []
        for cell in self.cells():
            words = self.words.format_map({name: names.title(value) for name, value in cell.items()})
            place = cell | {"dataset": dataset, "network": network}
            if not tier.profile:
                place = {name: names.PRINTED.get(value, value) for name, value in place.items()}  # the paper's own keys
            keys = tuple(key.format_map(place).lower() for key in self.records or tier.accuracy)
            psnr = tuple(tier.psnr.format(method=cell[side], dataset=dataset) for side in "ab")
            opposes = psnr if self.side == "against psnr" else ()
            found.append(Contrast(words, keys, SIDES[self.side], self.margin, opposes))
        return tuple(found)


@settings
class Claim:
    """What the paper says, the rule in words and in rows, or why a tier has none; claims.yaml explains the fields."""

    statement: str
    rule: str
    how: How
    rows: tuple[Row, ...]
    without: dict[str, str] = field(default_factory=dict)


@settings
class Rules:
    """All of claims.yaml. Raises InputError for what cannot be read, with its place in the file."""

    tiers: dict[str, Tier]
    claims: dict[str, Claim]


_RULES = Rules(**yaml.safe_load(files("arsr").joinpath("claims.yaml").read_text(encoding="utf-8")))
TIERS, CLAIMS = _RULES.tiers, _RULES.claims


def comparisons(dataset: str, network: str) -> list[tuple[str, str, str]]:
    """What a study of a data set has to compare for the ledger: (stream, method a, method b), a less b, each once.

    >>> comparisons("embedded", "tsn")[:2]
    [('spatial', 'hr', 'bicubic'), ('temporal', 'hr', 'bicubic')]
    """
    tiers = {name for name, tier in TIERS.items() if tier.profile and (dataset, network) in tier.settings}
    rows = [row for claim in CLAIMS.values() for row in claim.rows if tiers & {*row.tiers} and not row.records]
    return list(dict.fromkeys((cell["stream"], cell["a"], cell["b"]) for row in rows for cell in row.cells()))


# What records say of it -------------------------------------------------------------------------------------


class Effect(NamedTuple):
    """A difference with its 95 % interval and two-sided p; n clips on either side."""

    value: float
    low: float
    high: float
    p: float
    n: int | None
    unit: str
    test: str
    records: tuple[str, ...]  # keys

    @classmethod
    def of(cls, r: Record) -> Effect:
        """The effect that a record is already."""
        return cls(r.value, r.low, r.high, p_value(r.value, r.low, r.high), r.n, r.unit, r.interval, (r.key,))


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
    effect: Effect | None = None
    side: int = 1
    margin: float = 0.0
    why: str = ""  # there can be none

    @property
    def verdict(self) -> str:
        """The side whose p is below 5 %, if one is."""
        if not self.measured:
            return NO_NUMBERS if self.why else UNMEASURED
        return SUPPORTED if self.p_for < ALPHA else NOT_SUPPORTED if self.p_against < ALPHA else UNDECIDED

    def leaves(self) -> list[Finding]:
        """The findings of single contrasts."""
        return [leaf for part in self.parts for leaf in part.leaves()] if self.how else [self]

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
        head = {"words": self.words, "verdict": self.verdict, "p_for": self.p_for, "p_against": self.p_against}
        if self.how:
            head |= {"measured": self.measured, "of": self.of, "how": self.how}
            return head | {"parts": [part.plain() for part in self.parts]}
        return head | {"side": self.side, "margin": self.margin} | (self.effect._asdict() if self.effect else {})


def p_value(value: float, low: float, high: float) -> float:
    """Two-sided p of "zero" that goes with a 95 % interval: below 0.05 just where zero lies outside it.

    The estimate is taken as normal, with the standard error that the arm of the interval towards zero implies.

    >>> round(p_value(2.0, 1.0, 5.0), 3), p_value(2.0, 0.0, 5.0)
    (0.0, 0.05)
    """
    from scipy.stats import norm

    arm = value - low if value > 0 else high - value
    p = 1.0 if value == 0 else float(2 * norm.sf(norm.isf(0.025) * abs(value) / arm)) if arm > 0 else 0.0
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
    return Effect(d, low, high, p_value(d, low, high), n, unit, test, (a.key, b.key))


def weighed(contrast: Contrast, find: Find) -> Finding:
    """The finding of one contrast. A record that is not there, or has no interval, leaves it not measured."""
    found, order = ([find(key) for key in keys] for keys in (contrast.keys, contrast.opposes))
    if None in [*found, *order] or any(r.low is None for r in found):
        return Finding(contrast.words)
    side = contrast.side if not order else -1 if order[0].value > order[1].value else 1
    effect = difference(*found) if len(found) == 2 else Effect.of(*found)
    value, *bounds = (side * x + contrast.margin for x in (effect.value, effect.low, effect.high))
    p = p_value(value, *sorted(bounds))
    p_for, p_against = (p, 1.0) if value > 0 else (1.0, p)
    return Finding(contrast.words, p_for, p_against, 1, 1, effect=effect, side=side, margin=contrast.margin)


def combined(how: How, parts: Sequence[Finding], words: str = "") -> Finding:
    """The finding of a group from those of its parts.

    A contrast that is not measured speaks for neither side, unless its whole group is not measured: that is left out.
    "all" is for the claim as far as its weakest part is (an intersection-union test: Berger, 1982), and against it if
    one part is, Bonferroni-corrected for the number of parts; "any" the other way round. So a claim errs in at most
    5 % of cases on either side, however its parts depend on each other.
    """
    heard = [(part.p_for, part.p_against) for part in parts if part.measured or part.how is None]
    spoken = sum(part.measured > 0 for part in parts)
    both = list(zip(*heard, strict=True)) or [(1.0,), (1.0,)]  # an unmeasured contrast's are 1
    every, some = [max(p) for p in both], [min(1.0, spoken * min(p)) for p in both]
    p_for, p_against = (every[0], some[1]) if how == "all" else (some[0], every[1])
    measured, of = sum(part.measured for part in parts), sum(part.of for part in parts)
    return Finding(words, p_for, p_against, measured, of, how, tuple(parts))


def finding(claim: Claim, tier: str, records: Records) -> Finding:
    """What the records of a tier say of a claim, or why there can be none."""
    rows, find = [row for row in claim.rows if tier in row.tiers], partial(TIERS[tier].find, records)

    def at(*place: str) -> Finding:
        parts = []
        for row in rows:
            found = [weighed(contrast, find) for contrast in row.contrasts(TIERS[tier], *place)]
            parts += [combined(row.how, found)] if row.how else found
        return combined(claim.how, parts, ", ".join(map(names.title, place)))

    if tier in claim.without:
        return Finding(why=claim.without[tier])
    everywhere = any(row.everywhere for row in rows)
    return combined(claim.how, [at(*place) for place in TIERS[tier].settings]) if everywhere else at()


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
