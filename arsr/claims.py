"""The claims ledger: what the paper claims, C1 to C11, and what each tier of evidence says, by stated rules.

A claim is data: contrasts between records, and how they combine. A contrast is a difference that the claim says is
above zero. Nothing here knows a verdict: a record that is added fills its place, and a tier without records is "not
yet measured".

>>> from arsr import paper
>>> print(weigh(claims()["c4"].evidence["paper"], paper.records().get).verdict)
undecided
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from itertools import product, zip_longest
from math import hypot
from typing import Literal, NamedTuple

import yaml

from arsr.records import Record
from arsr_core.errors import InputError

ALPHA = 0.05
SUPPORTED, NOT_SUPPORTED, UNDECIDED, UNMEASURED = "supported", "not supported", "undecided", "not yet measured"

Records = Mapping[str, Record]


def everywhere(*datasets: str) -> tuple[tuple[str, str], ...]:
    """Every data set with both recognisers."""
    return tuple(product(datasets, ("tsn", "st_resnet")))


class Tier(NamedTuple):
    """One kind of evidence."""

    title: str
    words: str
    settings: tuple[tuple[str, str], ...]  # data sets and networks
    profile: str | None = None  # of the builds that make its records

    def find(self, records: Records, key: str) -> Record | None:
        """The record of this tier: a committed measurement first, for it has more clips than a build of the book."""
        if self.profile and f"{self.profile}.{key}" in records:
            return records[f"{self.profile}.{key}"]
        record = records.get(key)
        return record if record and record.provenance.profile in (None, self.profile) else None


TIERS = {
    "paper": Tier("paper", "the paper's printed numbers, analysed again", everywhere("hmdb51", "ucf101")),
    "embedded": Tier(
        "embedded clips", "generated (synthetic) clips, small networks", everywhere("embedded"), "embedded"
    ),
    "small": Tier("real clips", "Weizmann and UT-Interaction", everywhere("weizmann", "ut_interaction"), "small"),
    "full": Tier("full data sets", "UCF101 and HMDB51", everywhere("hmdb51", "ucf101"), "paper"),
}


# What a claim is made of ------------------------------------------------------------------------------------


class Contrast(NamedTuple):
    """`side` (a - b) + margin > 0. Without b, a is a difference already, such as one paired by clip."""

    words: str
    a: str  # a record's key
    b: str | None = None
    side: int = 1
    margin: float = 0.0
    opposes: tuple[str, str] | None = None  # two records; `side` is against their order


class Group(NamedTuple):
    """Contrasts, or groups of them. "all": each must hold; "any": one is enough."""

    words: str
    how: Literal["all", "any"]
    parts: tuple[Group | Contrast, ...]


@dataclass(frozen=True)
class Claim:
    """What the paper says, the rule in words, and for each tier the contrasts, or why there are none."""

    statement: str
    rule: str
    evidence: Mapping[str, Group | str]


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


@dataclass(frozen=True)
class Finding:
    """How far records bear out a contrast or a group: p of the claim's side, p of the other side, and the verdict."""

    words: str
    p_for: float
    p_against: float
    measured: int  # contrasts
    of: int
    how: Literal["all", "any"] | None = None
    parts: tuple[Finding, ...] = ()
    effect: Effect | None = None
    side: int = 1
    margin: float = 0.0

    @property
    def verdict(self) -> str:
        if not self.measured:
            return UNMEASURED
        return SUPPORTED if self.p_for < ALPHA else NOT_SUPPORTED if self.p_against < ALPHA else UNDECIDED

    def leaves(self) -> list[Finding]:
        """The findings of single contrasts."""
        return [leaf for part in self.parts for leaf in part.leaves()] if self.how else [self]

    def decisive(self) -> Finding:
        """The contrast that the verdict hangs on: where all must hold the weakest, where any will do the strongest."""
        if not self.how:
            return self
        choose = max if self.how == "all" else min
        heard = [part for part in self.parts if part.measured]
        return choose(heard, key=lambda part: (part.p_for, -part.p_against)).decisive()


def difference(a: Record, b: Record) -> Effect:
    """a - b of two records with intervals, as independent: Newcombe's interval where those are Wilson's.

    [d - sqrt((a - a_low)^2 + (b_high - b)^2), d + sqrt((a_high - a)^2 + (b - b_low)^2)]: Newcombe (1998), method 10;
    Zou and Donner (2008) for any two intervals. Counts are used where there are some, else printed values. Methods
    that saw the same clips agree more than independent ones do, so the interval is wider than a paired one.

    >>> from arsr import paper
    >>> cell = "table4.{}.hmdb51.tsn.spatial".format
    >>> e = difference(paper.records()[cell("sosr")], paper.records()[cell("esrgan")])
    >>> [round(x, 2) for x in (e.value, e.low, e.high, e.p)]
    [1.11, -2.42, 4.64, 0.54]
    """
    x, y = (100 * r.count / r.n if r.unit == "%" and r.count is not None else r.value for r in (a, b))
    d = x - y
    low, high = d - hypot(x - a.low, b.high - y), d + hypot(a.high - x, y - b.low)
    exact = "approximate" not in f"{a.interval} {b.interval}"
    test = "unpaired, " + ("Newcombe" if {a.interval, b.interval} == {"Wilson"} else "from two intervals")
    unit, n = "points" if a.unit == "%" else a.unit, min(filter(None, (a.n, b.n)), default=None)
    return Effect(
        d, low, high, p_value(d, low, high), n, unit, test + ("" if exact else ", approximate"), (a.key, b.key)
    )


def clips_needed(gain: float, share: float, discordant: float | None = None) -> float:
    """Test clips that show a true gain of `gain` points with 80 % power at the 5 % level; all in percent.

    Unpaired, two shares around `share`: 2 share (1 - share) (z_.025 + z_.20)^2 / gain^2. Paired, when only one of the
    two methods is right in `discordant` percent of the clips: Connor (1987), for McNemar's test.

    >>> round(clips_needed(5.0, 50.0)), round(clips_needed(5.0, 50.0, discordant=15.0))
    (1570, 469)
    """
    from scipy.stats import norm

    alpha, power = norm.isf(0.025), norm.isf(0.2)
    d, p = gain / 100, share / 100
    if discordant is None:
        return float(2 * p * (1 - p) * (alpha + power) ** 2 / d**2)
    q = discordant / 100
    if q < d:
        raise InputError(
            f"clips_needed: a gain of {gain} points needs at least as many discordant clips, got {discordant} %"
        )
    return float((alpha * q**0.5 + power * (q - d**2) ** 0.5) ** 2 / d**2)


def p_value(value: float, low: float, high: float) -> float:
    """Two-sided p of "zero" that goes with a 95 % interval, normal on its side towards zero: below 0.05 outside alone.

    >>> round(p_value(2.0, 1.0, 5.0), 3), p_value(2.0, 0.0, 5.0)
    (0.0, 0.05)
    """
    from scipy.stats import norm

    arm = value - low if value > 0 else high - value
    p = 1.0 if value == 0 else float(2 * norm.sf(norm.isf(0.025) * abs(value) / arm)) if arm > 0 else 0.0
    return max(p, ALPHA) if low <= 0 <= high else p  # an end at zero is not outside, however it rounds


def weigh(node: Group | Contrast, find: Callable[[str], Record | None]) -> Finding:
    """The finding of a contrast or, from those of its parts, of a group. find: a key's record, None where it has none.

    A contrast that is not measured speaks for neither side, unless its whole group is not measured: that is left out.
    "all" is for the claim as far as its weakest part is, and against it if one part is, Bonferroni-corrected for the
    number of parts; "any" the other way round. So a claim errs in at most 5 % of cases on either side.
    """
    if isinstance(node, Contrast):
        return _weigh_contrast(node, find)
    parts = tuple(weigh(part, find) for part in node.parts)
    heard = [part for part in parts if part.measured or part.how is None]
    spoken = [part for part in parts if part.measured]

    def every(side: str) -> float:
        return max((getattr(part, side) for part in heard), default=1.0)

    def some(side: str) -> float:
        return min(1.0, len(spoken) * min((getattr(part, side) for part in spoken), default=1.0))

    rule_for, rule_against = (every, some) if node.how == "all" else (some, every)
    measured, of = sum(part.measured for part in parts), sum(part.of for part in parts)
    return Finding(node.words, rule_for("p_for"), rule_against("p_against"), measured, of, node.how, parts)


def _weigh_contrast(contrast: Contrast, find: Callable[[str], Record | None]) -> Finding:
    found = [find(key) for key in (contrast.a, contrast.b) if key]
    order = [find(key) for key in contrast.opposes or ()]
    if None in order or any(r is None or r.low is None for r in found):
        return Finding(contrast.words, 1.0, 1.0, 0, 1)
    side = contrast.side
    if order:
        side = -1 if order[0].value > order[1].value else 1
    if contrast.b:
        effect = difference(*found)
    else:
        (r,) = found
        effect = Effect(r.value, r.low, r.high, p_value(r.value, r.low, r.high), r.n, r.unit, r.interval, (r.key,))
    value, *bounds = (side * x + contrast.margin for x in (effect.value, effect.low, effect.high))
    p = p_value(value, *sorted(bounds))
    p_for, p_against = (p, 1.0) if value > 0 else (1.0, p)
    return Finding(contrast.words, p_for, p_against, 1, 1, effect=effect, side=side, margin=contrast.margin)


def ledger(records: Records) -> dict[str, dict[str, Finding | str]]:
    """Claim and tier -> finding, or why there can be none."""
    return {
        name: {
            tier: evidence if isinstance(evidence, str) else weigh(evidence, partial(TIERS[tier].find, records))
            for tier, evidence in claim.evidence.items()
        }
        for name, claim in claims().items()
    }


def comparisons(dataset: str, network: str) -> list[tuple[str, str, str]]:
    """What a study of a data set has to compare for the ledger: (stream, method a, method b), a less b, each once.

    >>> comparisons("embedded", "tsn")[:2]
    [('spatial', 'hr', 'bicubic'), ('temporal', 'hr', 'bicubic')]
    """
    key = re.compile(rf"benchmark\.{dataset}\.{network}\.([\w]+)\.([\w+-]+)\.to_([\w+-]+)\.accuracy")

    def keys(node: Group | Contrast | str) -> list[str]:
        return (
            [] if isinstance(node, str) else [node.a] if isinstance(node, Contrast) else sum(map(keys, node.parts), [])
        )

    found = [key.fullmatch(k) for claim in claims().values() for e in claim.evidence.values() for k in keys(e)]
    return list(dict.fromkeys(match.groups() for match in found if match))


def verdict(finding: Finding | str) -> str:
    """Of a place in the ledger: a finding's verdict, or none where the tier has nothing to say."""
    return "no numbers" if isinstance(finding, str) else finding.verdict


def as_json(found: dict[str, dict[str, Finding | str]]) -> dict:
    """The ledger as plain data: deterministic, every contrast with its effect, interval, p and records."""

    def plain(f: Finding) -> dict:
        head = {"words": f.words, "verdict": f.verdict, "p_for": f.p_for, "p_against": f.p_against}
        if f.how:
            return head | {"measured": f.measured, "of": f.of, "how": f.how, "parts": [plain(p) for p in f.parts]}
        return head | {"side": f.side, "margin": f.margin} | (f.effect._asdict() if f.effect else {})

    return {
        name: {
            "statement": claims()[name].statement,
            "rule": claims()[name].rule,
            "tiers": {
                t: {"verdict": verdict(f), **({"why": f} if isinstance(f, str) else plain(f))} for t, f in of.items()
            },
        }
        for name, of in found.items()
    }


# The claims, as claims.yaml has them -----------------------------------------------------------------------

NAMES = {
    "hr": "HR",
    "bicubic": "bicubic",
    "vdsr": "VDSR",
    "rcan": "RCAN",
    "srgan": "SRGAN",
    "srresnet": "SRResNet",
    "esrgan": "ESRGAN",
    "rrdb": "RRDBNet",
    "sosr": "SoSR",
    "spmc": "SPMC",
    "duf16": "DUF-16",
    "duf52": "DUF-52",
    "tosr": "ToSR",
    "sosr+tosr": "SoSR+ToSR",
    "vdsr-mse": "VDSR with MSE",
    "vdsr-wmse": "VDSR with WMSE",
    "vdsr-warp": "VDSR with warp loss",
    "vdsr-warp-control": "VDSR without",
    "tosr-control": "DUF-16 without warp loss",
    "hmdb51": "HMDB51",
    "ucf101": "UCF101",
    "embedded": "embedded clips",
    "weizmann": "Weizmann",
    "ut_interaction": "UT-Interaction",
    "tsn": "TSN",
    "st_resnet": "ST-ResNet",
    "phantom": "phantom flow",
}
STREAMS = ("spatial", "temporal", "fusion")
_CONTRAST = re.compile(r"(?P<where>.+): (?P<a>\S+) (?P<sign>[<>~]) (?P<b>\S+)(?: - (?P<margin>[\d.]+))?")
_CHOICE = re.compile(r"\{([^{}]*,[^{}]*)\}")


@cache
def claims() -> dict[str, Claim]:
    """Every claim of the paper, by name."""
    found = yaml.safe_load(files("arsr").joinpath("claims.yaml").read_text(encoding="utf-8"))
    return {name: Claim(c["statement"], c["rule"], {t: _evidence(c, t) for t in TIERS}) for name, c in found.items()}


def _evidence(claim: dict, tier: str) -> Group | str:
    given = claim.get(tier, claim.get("evidence"))
    if isinstance(given, str):
        return given
    ((how, parts),) = given.items()
    if not how.startswith("everywhere "):
        return group(how, parts, tier)
    how = how.removeprefix("everywhere ")
    settings = TIERS[tier].settings
    return Group("", how, tuple(group(how, parts, tier, d, n, f"{NAMES[d]}, {NAMES[n]}") for d, n in settings))


def group(how: str, parts: list, tier: str, dataset: str = "", network: str = "", words: str = "") -> Group:
    """A group from its parts: texts of contrasts, or groups again, {"any": [...]}."""
    found = []
    for part in parts:
        if isinstance(part, dict):
            ((inner, texts),) = part.items()
            found.append(group(inner, texts, tier, dataset, network))
        else:
            found += contrasts(part, tier, dataset, network)
    return Group(words, how, tuple(found))


def contrasts(text: str, tier: str = "paper", dataset: str = "", network: str = "") -> list[Contrast]:
    """The contrasts that one line stands for; its notation is explained in claims.yaml.

    >>> [c.words for c in contrasts("temporal: {duf16,duf52} > rcan", "paper", "hmdb51", "tsn")]
    ['DUF-16 \N{MINUS SIGN} RCAN, temporal', 'DUF-52 \N{MINUS SIGN} RCAN, temporal']
    """
    found, pieces = [], _CHOICE.split(text)  # every other piece is a choice
    network = network if tier == "paper" else network.replace("_", "-")
    for chosen in product(*(choice.split(",") for choice in pieces[1::2])):
        named = [NAMES.get(name, name) for name in chosen]
        line, words = (_filled(pieces[::2], values, dataset=dataset, network=network) for values in (chosen, named))
        match = _CONTRAST.fullmatch(line)
        if match is None:
            raise InputError(f"claims.yaml: expected 'where: a > b' (or <, ~, a > b - 2), got {line!r}")
        where, a, sign, b, margin = match.groups()
        if sign == "~" and list(NAMES).index(a) >= list(NAMES).index(b):
            continue  # each pair once
        side, opposes = -1 if sign == "<" else 1, None
        if where in STREAMS:
            if sign == "~":
                psnr = f"table_b.{{}}.{dataset}.psnr" if tier == "paper" else "sr.{}.psnr"
                opposes = (psnr.format(a), psnr.format(b))
            words = f"{NAMES[a]} \N{MINUS SIGN} {NAMES[b]}, {where}"
            if tier == "paper":
                keys = (f"table4.{a}.{dataset}.{network}.{where}", f"table4.{b}.{dataset}.{network}.{where}")
            else:
                stream = "fused" if where == "fusion" else where
                keys = (f"benchmark.{dataset}.{network}.{stream}.{a}.to_{b}.accuracy", None)
        else:
            words, keys = words.rpartition(": ")[0], (a.lower(), None if b == "0" else b.lower())
        found.append(Contrast(words, *keys, side, float(margin or 0), opposes))
    return found


def _filled(fixed: Sequence[str], values: Sequence[str], **settings: str) -> str:
    """A line of claims.yaml with its choices, and what refers to them, put in."""
    line = "".join(part + value for part, value in zip_longest(fixed, values, fillvalue=""))
    return line.format("", *values, **settings)
