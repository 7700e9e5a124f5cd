"""Charts of statistics: points and curves with intervals, rows of values, bars, strips of heat.

A value is a number, or a record: what has value, low and high. The interval of a record is drawn as a bar.

>>> dots = Series([0, 1, 2], [3.0, Value(4.0, 3.5, 4.5), 2.0], "ours", look="o-")
>>> len(grid([Panel([dots], "dB"), Panel([dots])], columns=2, size=(3, 2)).axes)
2
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure


class Value(NamedTuple):
    """A value and its interval, where it has one."""

    value: float
    low: float | None = None
    high: float | None = None


def negative(record: Any) -> Value:
    """The other way round: the value of `b less a` from that of `a less b`.

    >>> negative(Value(1.0, -0.5, 2.5))
    Value(value=-1.0, low=-2.5, high=0.5)
    """
    return Value(-record.value, *(None if end is None else -end for end in (record.high, record.low)))


@dataclass(frozen=True)
class Series:
    """Values that look alike."""

    x: Sequence[Any]  # numbers or records
    y: Sequence[Any]  # the same; as many
    label: str = ""  # in the legend
    colour: str = "C0"
    look: str = "o"  # marker and line in matplotlib's short form, e.g. "s-" or "."; "bar": upright bars
    size: float = 5.0  # of the markers, points
    opacity: float = 1.0  # of what is not a bar of an interval
    hollow: bool = False  # markers are white inside
    bar: str | None = None  # colour of the intervals' bars; None: `colour`, half as strong
    thick: float = 2.5  # of these bars, points; those under 2 have caps, and are as strong as the rest


@dataclass(frozen=True)
class Panel:
    """One pair of axes and what it shows; without series it stays empty."""

    series: Sequence[Series]
    title: str = ""
    x: str = ""  # label of the axis
    y: str = ""
    rows: Sequence[str] = ()  # names of y = 0, 1, 2 ..., from the bottom
    columns: Sequence[str] = ()  # names of x = 0, 1, 2 ...
    font: float | None = None  # size of these names, points
    x_at: float | None = None  # where an upright line runs
    y_at: float | None = None  # where a level line runs
    line: str = "-"  # how: matplotlib's name of a line
    legend: bool = False
    axes: Mapping[str, Any] = field(default_factory=dict)  # what `Axes.set` takes: xlim, yscale, xticks ...


def grid(
    panels: Sequence[Panel],
    columns: int,
    size: tuple[float, float],
    *,
    sharex: bool | str = False,
    sharey: bool | str = False,
    legend: str | None = None,
) -> Figure:
    """Panels in rows of `columns`. size: (width, height) of the whole, inches; legend: a place for one of all panels.

    sharex, sharey: as `plt.subplots` takes them.
    """
    shared = {"sharex": sharex, "sharey": sharey, "squeeze": False, "layout": "constrained"}
    figure, axes = plt.subplots(-(-len(panels) // columns), columns, figsize=size, **shared)
    for ax, panel in zip(axes.flat, [*panels, *[Panel(())] * (axes.size - len(panels))], strict=True):
        ax.set_visible(bool(panel.series))
        _show(ax, panel)
    if legend:
        named = dict(zip(*_labels(axes.flat), strict=True))
        figure.legend(named.values(), named.keys(), loc=legend, ncols=len(named), fontsize=8)
    return figure


def strips(
    strips: Sequence[tuple[str, np.ndarray, np.ndarray]],
    rows: Sequence[str],
    size: tuple[float, float],
    *,
    x: str,
    bar: str,
) -> Figure:
    """Heat maps below each other: title, values from 0 to 1, and what has a dot, both (rows, columns).

    Beside each row stands how many dots it has. x: label of the lower axis; bar: of the colours; size: of all, inches.
    """
    figure, axes = plt.subplots(len(strips), 1, figsize=size, squeeze=False, layout="constrained")
    for ax, (title, values, dotted) in zip(axes.flat, strips, strict=True):
        image = ax.imshow(np.asarray(values), vmin=0, vmax=1, cmap="viridis", aspect="auto")
        for y, of_row in enumerate(np.asarray(dotted, bool)):
            found = of_row.nonzero()[0]
            ax.scatter(found, [y] * len(found), s=10, color="white", edgecolor="black", linewidth=0.5)
            ax.text(len(of_row) - 0.2, y, f"{len(found)} of {len(of_row)}", va="center", fontsize=8)
        ax.set_yticks(range(len(rows)), rows)
        ax.set_title(title, loc="left")
        ax.grid(False)
    axes[-1, 0].set_xlabel(x)
    figure.colorbar(image, ax=axes, label=bar, pad=0.03)
    return figure


def _show(ax: Axes, panel: Panel) -> None:
    for series in panel.series:
        _draw(ax, series)
    look = {"color": "0.2", "linewidth": 1, "linestyle": panel.line, "zorder": 1}
    if panel.x_at is not None:
        ax.axvline(panel.x_at, **look)
    if panel.y_at is not None:
        ax.axhline(panel.y_at, **look)
    if panel.rows:
        ax.set_yticks(range(len(panel.rows)), panel.rows, fontsize=panel.font)
    if panel.columns:
        ax.set_xticks(range(len(panel.columns)), panel.columns, fontsize=panel.font)
    ax.set_title(panel.title, fontsize=9)
    ax.set(xlabel=panel.x, ylabel=panel.y, **panel.axes)
    if panel.legend:
        ax.legend(fontsize=8)


def _draw(ax: Axes, series: Series) -> None:
    x, y = ([getattr(v, "value", v) for v in values] for values in (series.x, series.y))
    ends = {"xerr": _reach(series.x), "yerr": _reach(series.y)}
    if any(reach is not None for reach in ends.values()):
        thin = series.thick < 2
        look = {"elinewidth": series.thick, "capsize": 3 if thin else 0, "zorder": 1.5 if thin else 2}
        half = 1 if thin or series.bar else 0.5
        ax.errorbar(x, y, **ends, fmt="none", ecolor=series.bar or series.colour, alpha=half, **look)
    look = {"color": series.colour, "alpha": series.opacity, "label": series.label or None}
    if series.look == "bar":
        ax.bar(x, y, 0.34, **look)
    else:
        inside = {"markerfacecolor": "white"} if series.hollow else {}
        ax.plot(x, y, series.look, markersize=series.size, **look, **inside)


def _reach(values: Sequence[Any]) -> np.ndarray | None:
    """How far intervals reach below and above their values, (2, N), nan where there are none; None: nowhere."""
    ends = [(v.value - v.low, v.high - v.value) if getattr(v, "low", None) is not None else None for v in values]
    return np.array([end or (np.nan, np.nan) for end in ends]).T.clip(0) if any(ends) else None


def _labels(axes: Sequence[Axes]) -> tuple[list[str], list[Any]]:
    found = [ax.get_legend_handles_labels() for ax in axes]
    return [label for _, labels in found for label in labels], [handle for handles, _ in found for handle in handles]
