"""Paired differences: printed examples, what small tables must give, agreement of tests and their intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from arsr import paired
from arsr_core.errors import InputError


def test_printed_example():
    """Fagerland, Lydersen and Laake (2013, 2014): airway hyper-responsiveness of 21 children, 1 and 7 that changed."""
    assert paired.mid_p(1, 7) == pytest.approx(0.0391, abs=5e-5)
    assert paired.tango(1, 7, 21) == pytest.approx((-0.517, -0.026), abs=5e-4)


@pytest.mark.parametrize(
    ("a", "b", "p"), [(0, 0, 1.0), (4, 0, 0.0625), (1, 0, 0.5), (5, 0, 0.03125), (3, 3, 1 - 10 / 64)]
)
def test_few_clips_that_differ(a, b, p):
    assert paired.mid_p(a, b) == pytest.approx(p) == pytest.approx(paired.mid_p(b, a))


@pytest.mark.parametrize(
    ("gain", "most"), [(17, 73), (31, 249), (15, 57), (-17, 73), (5, 5), (4, 0), (0, 0), (1000, 1530)]
)
def test_break_even(gain, most):
    """SoSR less ESRGAN, DUF-16's warp loss and ToSR less DUF-52 of Tables 2 to 4; exact p would give 67, 233 and 51."""
    assert paired.break_even(gain, 1530) == most


@settings(deadline=None, max_examples=60)
@given(gain=st.integers(5, 60), n=st.integers(60, 400))
def test_one_pair_more_than_the_break_even_is_too_many(gain, n):
    most = paired.break_even(gain, n)
    lost = (most - gain) // 2
    assert most <= n and paired.mid_p(gain + lost, lost) < 0.05
    assert most + 2 > n or paired.mid_p(gain + lost + 1, lost + 1) >= 0.05


def test_no_clip_that_differs_is_no_certainty():
    low, high = paired.tango(0, 0, 90)
    assert (low, high) == pytest.approx((-0.041, 0.041), abs=5e-4)  # z^2 / (n + z^2)
    right = np.arange(90) % 2 == 0
    assert paired.accuracies(right, right, np.arange(90) // 10)[:4] == (0, low, high, 1)  # groups say no more
    assert paired.accuracies(right, right, np.arange(90) // 20)[:4] == (0, -np.inf, np.inf, 1)  # but five are too few


counts = st.integers(0, 40)


@settings(deadline=None, max_examples=200)
@given(a=counts, b=counts, same=st.integers(0, 200))
def test_tangos_interval_is_symmetric_and_holds_the_difference(a, b, same):
    n = max(a + b + same, 1)
    low, high = paired.tango(a, b, n)
    assert -1 <= low <= (a - b) / n <= high <= 1
    assert paired.tango(b, a, n) == pytest.approx((-high, -low), abs=1e-9)


def test_accuracies_of_independent_clips():
    a, b = np.arange(60) < 40, np.arange(60) < 30
    found = paired.accuracies(a, b)
    assert found[0] == pytest.approx(1 / 6) and found.p == paired.mid_p(10, 0)
    assert found[1:3] == paired.tango(10, 0, 60) and found.low > 0


def test_every_way_to_flip_is_tried_where_there_are_few_groups():
    groups = np.repeat(np.arange(9), 4)  # 9 actors
    found = paired.means(np.ones(36), groups)
    assert found.p == 2 / 2**9 and found.value == 1 and found.low <= 1 <= found.high
    assert "9 groups" in found.test


def test_too_few_groups_for_any_interval():
    found = paired.means(np.ones(8), np.repeat([0, 1], 4))
    assert (found.low, found.high) == (-np.inf, np.inf) and found.p == 0.5


def test_groups_without_a_sign_to_flip_do_not_end_the_interval_at_zero():
    groups, none = np.repeat(np.arange(9), 10), np.zeros(90, bool)
    one = none | (np.arange(90) == 0)  # one clip of 90 differs, and eight of nine sums are zero
    found = paired.accuracies(one, none, groups)
    assert (found.low, found.high) == pytest.approx(paired.tango(1, 0, 90)) and found.p == 1 and "Tango" in found.test
    slopes = np.r_[np.zeros(20), 1.0, 2.0, 3.0]
    student = ttest_1samp(slopes, 0)
    assert paired.means(slopes)[1:3] == pytest.approx(student.confidence_interval(), abs=0.1)
    assert paired.means(slopes).low < -0.06 and "Student" in paired.means(slopes).test


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), differ=st.floats(0.01, 0.2), count=st.integers(6, 40))
def test_grouped_intervals_are_no_narrower_than_those_of_independent_clips(seed, differ, count):
    rng = np.random.default_rng(seed)
    x = rng.choice([-1, 0, 1], 120, p=[differ / 2, 1 - differ, differ / 2])
    alone, grouped = (paired.accuracies(x > 0, x < 0, groups) for groups in (None, rng.integers(0, count, 120)))
    assert grouped.low <= alone.low <= alone.high <= grouped.high and grouped.p >= alone.p


def test_flips_agree_with_students_t_where_that_holds():
    x = np.random.default_rng(3).normal(0.3, 1, 60)
    found, expected = paired.means(x), ttest_1samp(x, 0)
    assert found.p == pytest.approx(expected.pvalue, abs=0.01)
    assert found[1:3] == pytest.approx(expected.confidence_interval(), abs=0.02)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), n=st.integers(6, 80), shift=st.floats(-1, 1))
def test_the_interval_leaves_zero_out_where_the_test_rejects_it(seed, n, shift):
    rng = np.random.default_rng(seed)
    found = paired.means(rng.normal(shift, 1, n), rng.integers(0, 12, n))
    assert (found.p < 0.05) == (not found.low <= 0 <= found.high) or abs(found.p - 0.05) < 0.01
    assert found.low <= found.value <= found.high


def test_alike_clips_count_as_one():
    x = np.random.default_rng(0).normal(0.5, 1, 12)
    alone, eight = paired.means(x), paired.means(np.repeat(x, 8), np.repeat(np.arange(12), 8))
    assert eight.p == pytest.approx(alone.p) and eight[1:3] == pytest.approx(alone[1:3], abs=1e-9)


def test_two_ways_is_students_t_where_one_of_them_does_nothing():
    rows = np.random.default_rng(1).normal(0.2, 1, 200)
    found = paired.trainings(np.stack([rows, rows, rows]))  # trainings that do not differ
    expected = ttest_1samp(rows, 0)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)
    assert found[1:3] == pytest.approx(expected.confidence_interval(), rel=1e-6)
    seeds = np.array([0.1, 0.3, 0.2])[:, None] + np.zeros(200)  # clips that do not differ
    assert paired.trainings(seeds)[1:3] == pytest.approx(ttest_1samp(seeds[:, 0], 0).confidence_interval(), rel=1e-6)


def test_few_trainings_that_differ_widen_the_interval():
    rng = np.random.default_rng(2)
    clips, seeds = rng.normal(0.3, 1, (1, 400)), rng.normal(0, 0.5, (3, 1))
    found = paired.trainings(clips + seeds + rng.normal(0, 0.2, (3, 400)))
    one_way = paired.means((clips + seeds).mean(0))
    assert found.high - found.low > 3 * (one_way.high - one_way.low)


def test_groups_of_one_clip_change_nothing():
    x = np.random.default_rng(4).normal(0.1, 1, (3, 50))
    assert paired.trainings(x, np.arange(50))[:4] == pytest.approx(paired.trainings(x)[:4])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired.tango(3, 4, 6), "expected only_a"),
        (lambda: paired.means(np.array([])), "expected finite differences"),
        (lambda: paired.means(np.array([1, np.nan])), "expected finite differences"),
        (lambda: paired.trainings(np.ones((1, 5))), "2 trainings or more"),
        (lambda: paired.trainings(np.ones((2, 5)), np.zeros(5)), "two groups or more"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()
