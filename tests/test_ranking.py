import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from arsr import ranking
from arsr_core.errors import InputError


def test_kendall_of_the_same_and_of_the_reverse_order():
    assert ranking.kendall([1, 2, 3, 4], [10, 20, 30, 40]) == 1 and ranking.kendall([1, 2, 3], [3, 2, 1]) == -1
    assert ranking.kendall([1, 2], [5, 5]) == 0


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(7)))
def test_kendall_agrees_with_scipy_and_so_does_the_exact_p(order):
    expected = kendalltau(range(7), order, method="exact")
    assert np.isclose(ranking.kendall(range(7), order), expected.statistic)
    assert np.isclose(ranking.exact_p(range(7), order), expected.pvalue)


def test_kendall_of_many_draws_at_once():
    found = ranking.kendall([1, 2, 3], np.array([[1, 2, 3], [3, 2, 1], [1, 3, 2]]))
    assert np.allclose(found, [1, -1, 1 / 3])


def test_clear_ranks_have_a_narrow_interval_and_close_ones_a_wide_one():
    assert ranking.interval([1, 2, 3], [10, 50, 90], 1530) == (1.0, 1.0)
    low, high = ranking.interval([1, 2, 3], [50.0, 50.1, 50.2], 1530)
    assert low == -1.0 and high == 1.0
    assert ranking.interval([1, 2], [40, 60], 20) == ranking.interval([1, 2], [40, 60], 20)


def test_bad_input():
    with pytest.raises(InputError, match="got 2 and 3"):
        ranking.kendall([1, 2], [1, 2, 3])
    with pytest.raises(InputError, match="8 methods at most"):
        ranking.exact_p(range(9), range(9))
