"""Folds: whole groups, alike in their classes, the same on every machine."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arsr.data.clips import Clip
from arsr.data.folds import left_out, require_every_class, share_out
from arsr_core.errors import InputError


def clips(*rows):
    """("a", 0), a group and a label, or with a number of clips -> clips."""
    rows = [(group, label) for group, label, *number in rows for _ in range(*number or (1,))]
    return [
        Clip(f"{label}/{group}_{i}", f"class{label}", label, group, None, None) for i, (group, label) in enumerate(rows)
    ]


def test_a_group_is_its_own_fold():
    assert [clip.fold for clip in clips(("ido", 0), ("eli", 0))] == ["ido", "eli"]


def test_equal_groups_make_equal_folds():
    """Ten people who each show both classes once, then scenes of one class each."""
    for rows in (
        [(f"p{n}", c) for n in range(10) for c in (0, 1)],
        [(f"s{n}{c}", c) for n in range(10) for c in (0, 1)],
    ):
        held = Counter((clip.fold, clip.label) for clip in share_out(clips(*rows), 5))
        assert held == {(str(fold), label): 2 for fold in range(1, 6) for label in (0, 1)}


def test_the_largest_group_is_balanced_by_others_of_its_class():
    shared = share_out(clips(("big", 0, 4), *((f"s{n}", 0) for n in range(4)), *((f"t{n}", 1) for n in range(4))), 2)
    fold = {clip.group: clip.fold for clip in shared}
    assert {fold[f"s{n}"] for n in range(4)} == {"1", "2"} - {fold["big"]}
    assert Counter(fold[f"t{n}"] for n in range(4)) == {"1": 2, "2": 2}


ROWS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 2), st.integers(1, 3)), min_size=2)


@settings(deadline=None)
@given(ROWS, st.integers(2, 4), st.randoms())
def test_whole_groups_whatever_the_order(rows, count, random):
    before = clips(*rows)
    try:
        after = share_out(before, count)
    except InputError:  # too few groups, all of them or of a class
        assert count > 2 or any(len({g for g, c, _ in rows if c == label}) < 3 for _, label, _ in rows)
        return
    assert [(clip.name, clip.group) for clip in after] == [(clip.name, clip.group) for clip in before]
    fold = {clip.group: clip.fold for clip in after}
    assert all(clip.fold == fold[clip.group] for clip in after)
    assert {*fold.values()} == {str(n) for n in range(1, count + 1)}  # none is empty
    for name in fold.values():  # who sees all but one fold sees every class
        assert {c.label for c in after if c.fold != name} == {c.label for c in after}
    random.shuffle(before)
    assert {clip.name: clip.fold for clip in share_out(before, count)} == {clip.name: clip.fold for clip in after}


def test_left_out():
    its = share_out(clips(*((f"p{n}", c) for n in range(4) for c in (0, 1))), 2)
    assert left_out(its, "1") | left_out(its, "2") == {f"p{n}" for n in range(4)}
    assert not left_out(its, "1") & left_out(its, "2")
    assert left_out(clips(("ido", 0), ("eli", 0)), "eli") == {"eli"}
    with pytest.raises(InputError, match="no clips of a fold '3'; expected one of 1, 2"):
        left_out(its, "3")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: share_out(clips(("a", 0), ("b", 0)), 3), "3 folds of 2 groups; expected 2 or more"),
        (lambda: share_out(clips(("a", 0), ("b", 0)), 1), "1 folds of 2 groups"),
        (lambda: share_out(clips(("a", 0), ("b", 0), ("a", 1, 2)), 2), "group a holds all 2 clips of class class1"),
        (lambda: share_out(clips(("a", 0), ("b", 0), ("c", 1)), 2), r"1/c_2 is the only clip of class class1: who"),
        (lambda: left_out(clips(("a", 0), ("b", 0), ("a", 1, 2)), "a"), "group a holds all 2 clips of class class1"),
    ],
)
def test_what_cannot_be_learnt_is_named(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_fold_of_several_groups_is_named_and_other_folds_may_be_left_out():
    its = clips(("a", 0), ("b", 0), ("c", 0), ("a", 1), ("b", 1))
    its = [Clip(c.name, c.action, c.label, c.group, None, None, fold="2" if c.group == "c" else "1") for c in its]
    with pytest.raises(InputError, match="fold 1 holds all 2 clips of class class1"):
        require_every_class(its)
    assert left_out(its, "2") == {"c"}
