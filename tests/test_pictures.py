"""Grids of pictures: what lies in them, where a detail is found, and the key to the colours of flow."""

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from arsr.book import pictures
from arsr.book.pictures import Tile
from arsr_core import flow


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_a_grid_shows_each_tile_with_what_is_drawn_on_it():
    frame, error = torch.rand(3, 12, 16) * 1.5, torch.arange(12.0).repeat(16, 1).T
    tiles = [
        Tile(frame, "HR", box=(2, 3, 4, 5)),
        Tile(error, "error", "magma", low=0, high=5, bar="px", outline=(error, 6.5, "black")),
        Tile(error, "still", outline=(error, 99, "black")),  # no such level: no line, and no warning
    ]
    figure = pictures.grid(tiles, columns=2, size=(2, 1.5))
    first, second, third, empty, bar = figure.axes
    assert figure.get_size_inches().tolist() == [4, 3]
    assert [ax.get_title() for ax in figure.axes[:4]] == ["HR", "error", "still", ""] and not empty.images
    assert np.allclose(first.images[0].get_array(), frame.clamp(0, 1).permute(1, 2, 0))
    assert first.patches[0].get_bbox().bounds == (2, 3, 4, 5)
    assert second.images[0].get_clim() == (0, 5) and bar.get_ylabel() == "px"
    assert len(second.collections) == 1 and not third.collections and third.images[0].get_clim() == (0, 11)


@pytest.mark.parametrize("step, expected", [(1, (5, 9)), (4, (4, 8))])
def test_the_peak_is_the_window_with_the_largest_mean(step, expected):
    values = torch.zeros(12, 16)
    values[5:8, 9:12] = 1
    values[0, 0] = 3  # brighter, but alone
    assert pictures.peak(values, 3, step) == expected


def test_flow_has_the_colours_of_the_wheel():
    right = torch.zeros(1, 2, 101, 101)
    right[:, 0] = 2.0
    colour = flow.to_rgb(right, 2.0)[0, :, 0, 0]
    wheel = pictures.wheel("2 px")
    assert torch.allclose(wheel.picture[:, 50, 100], colour, atol=0.02) and wheel.title == "2 px"
    assert (wheel.picture[:, 0, 0] == 1).all()  # beyond the rim
