"""Charts of statistics: points lie where their values are, and bars reach as far as their intervals."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from arsr.book import charts
from arsr.book.charts import Value


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture
def ax():
    return plt.subplots()[1]


def bars(ax) -> list[np.ndarray]:
    """The ends of an axes' bars of intervals."""
    return [segment for lines in ax.collections for segment in lines.get_segments() if len(segment)]


def test_points_and_bars_lie_at_their_values(ax):
    values = [Value(1.0, 0.5, 2.0), Value(3.0), Value(2.0, 2.0, 2.5)]  # one without an interval
    charts.points(ax, values, [0, 1, 2], label="ours")
    (drawn,) = ax.lines
    assert drawn.get_xydata().tolist() == [[1, 0], [3, 1], [2, 2]] and drawn.get_label() == "ours"
    known = [segment for segment in bars(ax) if np.isfinite(segment).all()]
    assert np.allclose(known, [[[0.5, 0], [2, 0]], [[2, 2], [2.5, 2]]])


def test_an_interval_may_miss_its_value_by_a_rounding(ax):
    charts.points(ax, [0], [Value(100.0, 90.0, 100.0 - 1e-12)])  # errorbar takes no negative reach
    assert np.allclose(bars(ax), [[[0, 90], [0, 100]]])
