"""Charts of statistics: points lie where their values are, and bars reach as far as their intervals."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from arsr.book import charts
from arsr.book.charts import Panel, Series, Value


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def bars(ax) -> list[np.ndarray]:
    """The ends of an axes' bars of intervals."""
    return [segment for lines in ax.collections for segment in lines.get_segments() if len(segment)]


def test_points_and_bars_lie_at_their_values():
    values = [Value(1.0, 0.5, 2.0), Value(3.0), Value(2.0, 2.0, 2.5)]  # one without an interval
    panel = Panel([Series(values, [0, 1, 2])], "left", rows=["a", "b", "c"], x_at=1.5, line="--")
    (ax,) = charts.grid([panel], columns=1, size=(3, 2)).axes
    points, line = ax.lines
    assert points.get_xydata().tolist() == [[1, 0], [3, 1], [2, 2]]
    known = [segment for segment in bars(ax) if np.isfinite(segment).all()]
    assert np.allclose(known, [[[0.5, 0], [2, 0]], [[2, 2], [2.5, 2]]])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]
    assert line.get_xdata() == [1.5, 1.5] and line.get_linestyle() == "--" and ax.get_title() == "left"


def test_an_interval_may_miss_its_value_by_a_rounding():
    series = Series([0], [Value(100.0, 90.0, 100.0 - 1e-12)])  # errorbar takes no negative reach
    (ax,) = charts.grid([Panel([series])], columns=1, size=(2, 2)).axes
    assert np.allclose(bars(ax), [[[0, 90], [0, 100]]])


def test_the_negative_of_a_difference_turns_its_interval_round():
    assert charts.negative(Value(2.0, 1.0, 4.0)) == (-2.0, -4.0, -1.0)
    assert charts.negative(Value(2.0)) == (-2.0, None, None)


def test_a_grid_hides_what_is_empty_and_has_one_legend_of_all():
    panels = [Panel([Series([0, 1], [0, 1], "ours", look="-"), Series([0], [1], "theirs", "C1")]), Panel([])]
    panels.append(Panel([Series([0], [2], "ours")], y="%", axes={"ylim": (0, 4)}))
    figure = charts.grid(panels, columns=2, size=(4, 3), legend="outside upper center")
    assert [ax.get_visible() for ax in figure.axes] == [True, False, True, False]
    assert [text.get_text() for text in figure.legends[0].texts] == ["ours", "theirs"]
    assert figure.axes[2].get_ylim() == (0, 4) and figure.axes[2].get_ylabel() == "%"


def test_bars_stand_side_by_side_with_their_intervals():
    gains = [Value(1.0, 0.0, 2.0), Value(-1.0, -3.0, 0.5)]
    series = Series([-0.2, 0.8], gains, "own", look="bar", bar="black", thick=1.5)
    panel = Panel([series], columns=["TSN", "Lite0"], y_at=0, legend=True)
    (ax,) = charts.grid([panel], columns=1, size=(4, 3)).axes
    assert np.allclose([(bar.get_center()[0], bar.get_height()) for bar in ax.patches], [(-0.2, 1.0), (0.8, -1.0)])
    assert np.allclose(bars(ax), [[[-0.2, 0], [-0.2, 2]], [[0.8, -3], [0.8, 0.5]]])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["TSN", "Lite0"] and ax.get_legend()


def test_strips_show_their_values_and_count_their_dots():
    values, right = np.array([[0.2, 0.9, 0.4], [0.1, 0.3, 0.2]]), np.array([[0, 1, 1], [0, 0, 0]])
    figure = charts.strips([("jump", values, right)], ["HR", "LR"], (4, 2), x="snippet", bar="p")
    ax = figure.axes[0]
    assert np.array_equal(ax.images[0].get_array(), values) and ax.images[0].get_clim() == (0, 1)
    assert [text.get_text() for text in ax.texts] == ["2 of 3", "0 of 3"]
    assert ax.collections[0].get_offsets().tolist() == [[1, 0], [2, 0]]
    assert ax.get_title("left") == "jump" and ax.get_xlabel() == "snippet"
