"""Differences of two methods on the same clips, with intervals and tests that hold for few clips, groups and seeds.

Accuracy of independent clips: McNemar's mid-p test with Tango's interval. Means of anything, and clips in groups that
are alike (actors, scenes, recordings): sign flips over the groups. Several trainings of each method: clips and
trainings are both drawn at random. benchmarks/intervals.py simulates how often the intervals hold.
"""

from bisect import bisect_left
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from arsr_core.errors import InputError

FEWEST = 6  # groups of which sign flips can have p < 5 %
FLIPS = 9_999  # drawn, where there are more than this many ways to flip
TRAININGS = 3  # of each side: with fewer, their luck cannot be told from the clips'
Z = 1.959963984540054  # of 95 %
WIDEST = ": the widest"  # interval, of several tests


class Difference(NamedTuple):
    """The mean of a - b with its 95 % interval and the two-sided p of "no difference"."""

    value: float
    low: float
    high: float
    p: float
    test: str
    freedom: float | None = None  # of the t distribution that interval and p are from; None: another, near the normal

    def wider(self, other: "Difference") -> "Difference":
        """The union of both intervals, with the larger p."""
        ends = dict(low=float(min(self.low, other.low)), high=float(max(self.high, other.high)))
        test = f"{self.test.removesuffix(WIDEST)}, {other.test}{WIDEST}"
        return self._replace(**ends, p=max(self.p, other.p), test=test)


def accuracies(right_a: np.ndarray, right_b: np.ndarray, groups: np.ndarray | None = None) -> Difference:
    """Of two methods' bool (clips,), in shares: Tango's interval and McNemar's mid-p.

    groups: of clips that are alike; then sign flips over them, and the wider of both intervals, the larger p. Where few
    clips differ, most groups have no sign to flip, and an interval of sign flips alone ends at zero.
    """
    right_a, right_b = (np.asarray(right, bool) for right in (right_a, right_b))
    only_a, only_b, n = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum()), len(right_a)
    low, high = tango(only_a, only_b, n)
    alone = Difference((only_a - only_b) / n, low, high, mid_p(only_a, only_b), "McNemar mid-p, Tango's interval")
    if groups is None:
        return alone
    if not only_a + only_b:  # nothing to flip
        few = len(np.unique(groups)) < FEWEST
        return alone._replace(low=-np.inf, high=np.inf) if few else alone
    flipped = means(right_a.astype(float) - right_b, groups)
    return flipped.wider(alone) if np.isfinite(flipped.high - flipped.low) else flipped


def mid_p(only_a: int, only_b: int) -> float:
    """McNemar's test, mid-p (Lancaster 1961): of the clips that one method alone gets right each has half by chance.

    2 P(X < k) + P(X = k), X binomial of all those clips and 1/2, k the fewer; with as many of both 1 - P(X = k) / 2.
    1 where no clip differs.

    >>> round(mid_p(1, 7), 4)
    0.0391
    """
    from scipy.stats import binom

    k, n = min(only_a, only_b), only_a + only_b
    at = float(binom.pmf(k, n, 0.5))
    return 1 - at / 2 * (n > 0) if only_a == only_b else 2 * float(binom.cdf(k, n, 0.5)) - at


def break_even(gain: int, n: int) -> int:
    """The most clips, of n, in which two methods may differ for a net gain of so many to be significant: mid-p < 5 %.

    0 where no number would do, as for a gain of fewer than five clips.

    >>> break_even(17, 1530)
    73
    """
    gain = abs(gain)
    lost = bisect_left(range((n - gain) // 2 + 1), 0.05, key=lambda k: mid_p(gain + k, k))  # that may be: fewer
    return gain + 2 * (lost - 1) if lost else 0


def tango(only_a: int, only_b: int, n: int) -> tuple[float, float]:
    """The score interval of a difference of paired shares (Tango 1998): where a test of the difference keeps it.

    only_a, only_b: of n clips, those that one method alone gets right.

    >>> tuple(round(end, 3) for end in tango(1, 7, 21))
    (-0.517, -0.026)
    """
    from scipy.optimize import brentq

    if min(only_a, only_b) < 0 or only_a + only_b > n or n < 1:
        raise InputError(f"tango: expected only_a + only_b <= n, got {only_a}, {only_b}, {n}")

    def score(share: float) -> float:
        b = (2 * n - only_a + only_b) * share - only_a - only_b
        c = -only_b * share * (1 - share)
        q = (np.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)  # P(only b) under this difference, most likely
        spread = np.sqrt(max(n * (2 * q + share * (1 - share)), 0.0))
        return (only_a - only_b - n * share) / spread if spread > 0 else np.inf * np.sign(only_a - only_b - n * share)

    value, edge = (only_a - only_b) / n, 1 - 1e-12
    low = -1.0 if only_b == n else brentq(lambda share: score(share) - Z, -edge, min(value, edge) - 1e-12)
    high = 1.0 if only_a == n else brentq(lambda share: score(share) + Z, max(value, -edge) + 1e-12, edge)
    return float(low), float(high)


def means(difference: np.ndarray, groups: np.ndarray | None = None) -> Difference:
    """Of what differs clip by clip, (clips,): sign flips over clips, or over groups of clips that are alike.

    Without a difference every group's sum is as likely to have the other sign. p is the share of all ways to flip, or
    of 9,999 drawn ones, with a mean as far from zero; the interval holds the means that the test would keep. Where some
    sum is zero, it has no sign to flip, and Student's t over the groups may say less: then the wider interval counts,
    and the larger p.
    """
    difference = np.asarray(difference, float)
    if not len(difference) or not np.isfinite(difference).all():
        raise InputError("means: expected finite differences, one a clip or more")
    units = np.arange(len(difference)) if groups is None else np.unique(groups, return_inverse=True)[1]
    sums, sizes = np.bincount(units, difference), np.bincount(units).astype(float)
    k = len(sums)
    flipped, weights = (_signs(k) @ np.stack([sums, sizes], 1)).T  # of sums less mean * sizes: flipped - mean * weights

    def p(mean: float) -> float:
        apart = np.abs(flipped - mean * weights)
        return float((apart >= apart[0] - 1e-9 * max(1.0, apart[0])).mean())

    def end(side: int) -> float:
        """Where p falls below 5 %, from the mean outwards."""
        inside, step = value, max(np.abs(sums / sizes - value).max(), 1e-12)
        if p(value + side * 1e6 * step) >= 0.05:
            return side * np.inf  # too few groups for any interval
        outside = value + side * step
        while p(outside) >= 0.05:
            inside, outside = outside, value + 2 * (outside - value)
        for _ in range(50):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if p(middle) >= 0.05 else (inside, middle)
        return inside

    value = float(difference.mean())
    what = "clips" if groups is None else f"{k} groups"
    flips = Difference(value, end(-1), end(1), p(0.0), f"sign flips over {what}")
    if sums.all() or not sums.any() or k < FEWEST:
        return flips
    error = np.sqrt(k / (k - 1) * ((sums - value * sizes) ** 2).sum()) / sizes.sum()
    return flips.wider(_student(value, error, k - 1, "Student's t"))


def _student(value: float, error: float, freedom: float, test: str) -> Difference:
    """Of a value with its standard error."""
    from scipy.stats import t as student

    half = float(student.ppf(0.975, freedom) * error)
    p = float(2 * student.sf(abs(value) / error, freedom)) if error else float(value == 0)
    return Difference(value, value - half, value + half, p, test, float(freedom) if np.isfinite(freedom) else None)


@lru_cache(maxsize=1)  # a study's contrasts have as many clips
def _signs(k: int) -> np.ndarray:
    """Every way to flip k signs, or 9,999 drawn ones; the first flips nothing: float (ways, k)."""
    if 2**k <= FLIPS + 1:
        return 1.0 - 2 * ((np.arange(2**k)[:, None] >> np.arange(k)) & 1)
    signs = np.random.default_rng(0).choice((-1.0, 1.0), (FLIPS + 1, k))
    signs[0] = 1
    return signs


def trainings(difference: np.ndarray, groups: np.ndarray | None = None) -> Difference:
    """Of what differs clip by clip between trainings that go together, (trainings, clips): both are drawn at random.

    Var = (MS_trainings + MS_clips - MS_both) / (trainings * clips), mean squares of the two-way table, with
    Satterthwaite's degrees of freedom; no smaller than clips alone, or trainings alone, would give. groups: of clips
    that are alike; their sums take the clips' place. It holds its level from three trainings on.
    """
    x = np.asarray(difference, float)
    if x.ndim != 2 or min(x.shape) < 2 or not np.isfinite(x).all():
        raise InputError(
            f"trainings: expected finite differences (2 trainings or more, 2 clips or more), got {x.shape}"
        )
    value = float(x.mean())
    if groups is not None:
        units = np.unique(groups, return_inverse=True)[1]
        k = units.max() + 1
        x = value + np.stack([np.bincount(units, row - value, k) for row in x]) * k / x.shape[1]
    s, c = x.shape
    if c < 2:
        raise InputError("trainings: expected two groups or more, got one")
    rows, columns = x.mean(1), x.mean(0)
    of_rows, of_columns = c * rows.var(ddof=1), s * columns.var(ddof=1)
    rest = (x - rows[:, None] - columns + value) ** 2
    both = rest.sum() / ((s - 1) * (c - 1))
    total = max(of_rows + of_columns - both, of_rows, of_columns)
    parts = of_rows**2 / (s - 1) + of_columns**2 / (c - 1) + both**2 / ((s - 1) * (c - 1))
    freedom = total**2 / parts if parts else np.inf
    error = np.sqrt(total / (s * c))
    what = f"{s} trainings, {c} {'clips' if groups is None else 'groups'}"
    return _student(value, error, freedom, f"two-way, {what}")
