"""Pictures side by side: frames and their details, maps of error and speed, flow in colours, temporal profiles.

Each builder takes tensors and returns a matplotlib figure.

>>> tiles = [Tile(torch.zeros(3, 4, 6), "black"), Tile(torch.eye(4), "error", bar="px")]
>>> len(grid(tiles, columns=2, size=(2.4, 2.1)).axes)  # two pictures, one bar
3
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arsr_core import flow, metrics


@dataclass(frozen=True)
class Tile:
    """One picture of a grid, with what is drawn on it."""

    picture: torch.Tensor  # (3, H, W) RGB, shown as far as it lies in [0, 1]; or a map (H, W)
    title: str = ""
    colours: str = "viridis"  # of a map: a name of matplotlib's
    low: float | None = None  # value of the map's first colour; None: its least
    high: float | None = None  # of its last; None: its greatest
    bar: str | None = None  # label of a bar with the map's colours; None: no bar
    outline: tuple[torch.Tensor, float, str] | None = None  # a map, the level where a line runs, the line's colour
    box: tuple[float, float, float, float] | None = None  # x, y, width, height of a part that is framed, pixels


def grid(
    tiles: Sequence[Tile | None],
    columns: int,
    size: tuple[float, float],
    *,
    shrink: float = 0.7,
    widths: Sequence[float] | None = None,
) -> Figure:
    """Tiles in rows of `columns`, None an empty place. size: (width, height) of a tile, inches; shrink: of the bars;
    widths: of the columns."""
    rows = -(-len(tiles) // columns)
    whole = {"figsize": (columns * size[0], rows * size[1]), "squeeze": False, "layout": "constrained"}
    figure, axes = plt.subplots(rows, columns, width_ratios=widths, **whole)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, tile in ((ax, tile) for ax, tile in zip(axes.flat, tiles, strict=False) if tile):
        image = _show(ax, tile)
        if tile.bar is not None:
            figure.colorbar(image, ax=ax, shrink=shrink, label=tile.bar)
    return figure


def _show(ax: Axes, tile: Tile):
    if tile.picture.ndim == 3:
        image = ax.imshow(tile.picture.permute(1, 2, 0).clamp(0, 1).numpy())
    else:
        image = ax.imshow(tile.picture.numpy(), cmap=tile.colours, vmin=tile.low, vmax=tile.high)
    if tile.outline:
        values, level, colour = tile.outline
        if values.min() < level < values.max():
            ax.contour(values.numpy(), levels=[level], colors=colour, linewidths=0.6)
    if tile.box:
        x, y, width, height = tile.box
        ax.add_patch(plt.Rectangle((x, y), width, height, fill=False, color="#F0E442", lw=1.5))
    ax.set_title(tile.title, fontsize=9)
    return image


def peak(values: torch.Tensor, side: int, step: int = 1) -> tuple[int, int]:
    """Where the side x side window with the largest mean of a map (H, W) begins: row and column, multiples of `step`.

    >>> peak(torch.eye(8)[:4], 2)
    (0, 0)
    """
    means = F.avg_pool2d(values[None, None], side, 1)[0, 0]
    row, column = divmod(int(means.argmax()), means.shape[1])
    return row // step * step, column // step * step


def flow_tile(field: torch.Tensor, bound: float, title: str = "", **drawn: object) -> Tile:
    """Flow (2, H, W) in the colours of Middlebury's wheel, whose rim is at `bound` pixels. drawn: as of `Tile`."""
    return Tile(flow.to_rgb(field[None], bound)[0], title, **drawn)


def wheel(title: str = "") -> Tile:
    """The key to the colours of flow: hue is direction, saturation is speed."""
    v, u = torch.meshgrid(torch.linspace(-1, 1, 101), torch.linspace(-1, 1, 101), indexing="ij")
    return Tile(flow.to_rgb(torch.stack([u, v])[None], 1.0)[0].where(u.hypot(v) <= 1, 1.0), title)


def profiles(clips: Mapping[str, torch.Tensor], line: tuple[tuple[float, float], tuple[float, float]]) -> Figure:
    """One line of the picture over time, from top to bottom; a band for each titled clip (1, T, 3, H, W).

    line: its ends (x, y), pixels.
    """
    size = (8, 0.55 * len(clips) + 0.3)
    figure, axes = plt.subplots(len(clips), 1, figsize=size, squeeze=False, layout="constrained")
    for ax, (title, clip) in zip(axes.flat, clips.items(), strict=True):
        band = metrics.temporal_profile(clip, line)[0]  # (3, T, W)
        ax.imshow(band.permute(1, 2, 0).numpy(), aspect="auto", interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        ax.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=9)
    return figure


def diagram(
    pictures: Mapping[str, tuple[torch.Tensor, tuple[float, float]]],
    boxes: Mapping[str, tuple[float, float]],
    arrows: Iterable[tuple[tuple[float, float], tuple[float, float]]],
    notes: Mapping[str, tuple[float, float]],
    size: tuple[float, float] = (9, 3.1),
) -> Figure:
    """A drawing of titled pictures (3, H, W), boxes with text, arrows between two points, and small notes.

    Places (x, y) are shares of the figure from its lower left corner: a picture's corner, a text's centre.
    """
    figure = plt.figure(figsize=size)
    for title, (picture, place) in pictures.items():
        ax = figure.add_axes((*place, 0.17, 0.37))
        ax.imshow(picture.permute(1, 2, 0).numpy())
        ax.set_title(title, fontsize=9)
        ax.set_axis_off()
    canvas = figure.add_axes((0, 0, 1, 1), facecolor="none")
    canvas.set(xlim=(0, 1), ylim=(0, 1))
    canvas.set_axis_off()
    look = {"boxstyle": "round,pad=0.5", "fc": "#dff1fb", "ec": "#0072B2"}
    for text, place in boxes.items():
        canvas.text(*place, text, ha="center", va="center", bbox=look)
    line = {"arrowstyle": "-|>", "color": "0.25", "lw": 1.4, "shrinkA": 0, "shrinkB": 0}
    for start, end in arrows:
        canvas.annotate("", end, start, arrowprops=line)
    for text, place in notes.items():
        canvas.text(*place, text, ha="center", fontsize=8, color="0.3")
    return figure
