"""Points, curves and bars with their intervals, drawn on axes of matplotlib.

A value is a number, or a record: what has value, low and high. The interval of a record is drawn as a bar.

>>> figure, ax = plt.subplots()
>>> points(ax, [0, 1, 2], [3.0, Value(4.0, 3.5, 4.5), 2.0], "ours", look="o-")
"""

from __future__ import annotations

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
    ax: Axes,
    x: Sequence[Any],
    y: Sequence[Any],
    label: str = "",
    colour: str = "C0",
    look: str = "o",
    *,
    size: float = 5.0,
    opacity: float = 1.0,
    hollow: bool = False,
    bar: str | None = None,
    thick: float = 2.5,
) -> None:
    """Draw values that look alike. x, y: numbers or records, as many; label: in the legend.

    look: marker and line in matplotlib's short form, e.g. "s-" or "."; "bar": upright bars. size: of the markers,
    points; opacity: of what is not a bar of an interval; hollow: markers are white inside. bar: colour of the
    intervals' bars, if not `colour`, half as strong; thick: of these bars, points; those under 2 have caps, and are as
    strong as the rest.
    """
    places = [[getattr(v, "value", v) for v in values] for values in (x, y)]
    ends = {"xerr": _reach(x), "yerr": _reach(y)}
    if any(reach is not None for reach in ends.values()):
        thin = thick < 2
        style = {"elinewidth": thick, "capsize": 3 if thin else 0, "zorder": 1.5 if thin else 2}
        half = 1 if thin or bar else 0.5
        ax.errorbar(*places, **ends, fmt="none", ecolor=bar or colour, alpha=half, **style)
    style = {"color": colour, "alpha": opacity, "label": label or None}
    if look == "bar":
        ax.bar(*places, 0.34, **style)
    else:
        ax.plot(*places, look, markersize=size, markerfacecolor="white" if hollow else None, **style)


def _reach(values: Sequence[Any]) -> np.ndarray | None:
    """How far intervals reach below and above their values, (2, N), nan where there are none; None: nowhere."""
    ends = [(v.value - v.low, v.high - v.value) if getattr(v, "low", None) is not None else None for v in values]
    return np.array([end or (np.nan, np.nan) for end in ends]).T.clip(0) if any(ends) else None
