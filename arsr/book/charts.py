"""Values with their intervals, drawn on axes of matplotlib.

A value is a number, or a record: what has value, low and high. The interval of a record is drawn as a bar.

>>> figure, ax = plt.subplots()
>>> points(ax, [0, 1, 2], [3.0, Value(4.0, 3.5, 4.5), 2.0], "o-", label="ours")
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

LINE = {"color": "0.2", "linewidth": 1, "zorder": 1}  # across the axes, where zero or another mark is


class Value(NamedTuple):
    """A value and its interval, where it has one."""

    value: float
    low: float | None = None
    high: float | None = None


def points(
    ax: Axes, x: Sequence[Any], y: Sequence[Any], look: str = "o", *, thick: float = 2.5, ecolor: str = "", **style: Any
) -> None:
    """Draw numbers or records x, y. look, style: as `Axes.plot` takes them; thick: of the intervals' bars, points.

    Bars under 2 points have caps and are as strong as the values, others half as strong. ecolor: of strong bars.
    """
    style = {"color": "C0", "markersize": 5} | style
    values = [[getattr(v, "value", v) for v in of_axis] for of_axis in (x, y)]
    ends = {"xerr": reach(x), "yerr": reach(y)}
    if any(found is not None for found in ends.values()):
        thin = thick < 2
        bars = {"elinewidth": thick, "capsize": 3 if thin else 0, "zorder": 1.5 if thin else 2}
        bars |= {"ecolor": ecolor or style["color"], "alpha": 1 if thin or ecolor else 0.5}
        ax.errorbar(*values, **ends, fmt="none", **bars)
    ax.plot(*values, look, **style)


def reach(values: Sequence[Any]) -> np.ndarray | None:
    """How far intervals reach below and above their values, (2, N), nan where there are none; None: nowhere."""
    ends = [(v.value - v.low, v.high - v.value) if getattr(v, "low", None) is not None else None for v in values]
    return np.array([end or (np.nan, np.nan) for end in ends]).T.clip(0) if any(ends) else None
