"""Pictures side by side: frames and their details, maps of error and speed, flow in colours.

>>> tiles = [Tile(torch.zeros(3, 4, 6), "black"), Tile(torch.eye(4), "error", bar="px")]
>>> len(grid(tiles, columns=2, size=(2.4, 2.1)).axes)  # two pictures, one bar
3
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arsr_core import flow


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
    tiles: Sequence[Tile | None], columns: int, size: tuple[float, float], shrink: float = 0.7, **of_subplots: Any
) -> Figure:
    """Tiles in rows of `columns`, None an empty place. size: (width, height) of a tile, inches; shrink: of the bars."""
    rows = -(-len(tiles) // columns)
    whole = {"figsize": (columns * size[0], rows * size[1]), "squeeze": False, "layout": "constrained"}
    figure, axes = plt.subplots(rows, columns, **whole, **of_subplots)
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


def wheel(title: str = "") -> Tile:
    """The key to the colours of flow: hue is direction, saturation is speed."""
    v, u = torch.meshgrid(torch.linspace(-1, 1, 101), torch.linspace(-1, 1, 101), indexing="ij")
    return Tile(flow.to_rgb(torch.stack([u, v])[None], 1.0)[0].where(u.hypot(v) <= 1, 1.0), title)
