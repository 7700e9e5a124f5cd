"""Do two measures rank methods alike? Rank correlations, and how sure they are with so many clips."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike

from arsr_core.errors import InputError

DRAWS = 9_999


def kendall(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Kendall's tau-a (1938): pairs of methods ranked alike less pairs ranked the other way, over all pairs.

    x, y: (..., methods), broadcast against each other; a tie counts for neither -> (...), in [-1, 1].

    >>> float(kendall([1, 2, 3], [2, 1, 3]).round(2))
    0.33
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.shape[-1] != y.shape[-1] or x.shape[-1] < 2:
        raise InputError(f"kendall: expected the same two methods or more, got {x.shape[-1]} and {y.shape[-1]}")
    one, two = np.triu_indices(x.shape[-1], 1)
    return (np.sign(x[..., one] - x[..., two]) * np.sign(y[..., one] - y[..., two])).mean(-1)


def interval(x: ArrayLike, accuracies: ArrayLike, n: int, seed: int = 0) -> tuple[float, float]:
    """95 % interval of `kendall(x, accuracies)` over other samples of n clips, for these very methods.

    Parametric bootstrap: each accuracy (percent) is drawn again as a binomial share of n clips; x stays. Draws are
    independent from method to method. They are not in truth, for all saw the same clips: the interval is too wide.
    """
    shares = np.asarray(accuracies, float) / 100
    drawn = np.random.default_rng(seed).binomial(n, shares, (DRAWS, len(shares)))
    low, high = np.percentile(kendall(x, drawn), (2.5, 97.5))
    return float(low), float(high)


def exact_p(x: ArrayLike, y: ArrayLike) -> float:
    """Two-sided p of "no association": the share of all orders of the methods whose |tau| is as large, or larger.

    With five methods it cannot fall below 2 / 120.
    """
    if len(x) > 8:
        raise InputError(f"exact_p: 8 methods at most, got {len(x)}; use scipy.stats.kendalltau")
    taus = np.abs(kendall(x, list(permutations(y))))
    return float((taus >= abs(kendall(x, y)) - 1e-9).mean())
