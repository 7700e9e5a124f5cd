"""Folds: clips that are tested together, by recognisers that saw no clip of their groups."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from arsr.data.clips import Clip
from arsr_core.errors import InputError


def share_out(clips: Sequence[Clip], count: int) -> list[Clip]:
    """The clips, each with its fold, "1" to str(count): whole groups, so that folds are alike in their classes.

    The largest group first, each goes to the fold that has least of its classes. The same clips get the same folds, in
    whatever order. Raises InputError for more folds than groups, and for a fold that holds all clips of a class.
    """
    totals, groups = Counter(clip.label for clip in clips), defaultdict(Counter)
    for clip in clips:
        groups[clip.group][clip.label] += 1
    if not 2 <= count <= len(groups):
        raise InputError(f"{count} folds of {len(groups)} groups; expected 2 or more, a group each at the least")
    folds, chosen = [Counter() for _ in range(count)], {}
    for group, its in sorted(groups.items(), key=lambda item: (-item[1].total(), item[0])):

        def crowded(n: int, its: Counter = its) -> tuple[Fraction, int, int]:
            """By how much the group makes the classes' shares less even there, then how many clips it has."""
            return sum(Fraction(k * folds[n][c], totals[c] ** 2) for c, k in its.items()), folds[n].total(), n

        n = min(range(count), key=crowded)
        folds[n].update(its)
        chosen[group] = str(n + 1)
    shared = [replace(clip, fold=chosen[clip.group]) for clip in clips]
    require_every_class(shared)
    return shared


def left_out(clips: Sequence[Clip], fold: str) -> frozenset[str]:
    """The groups of a fold. Raises InputError for a fold without clips, and for one that holds all clips of a class."""
    groups = frozenset(clip.group for clip in clips if clip.fold == fold)
    if not groups:
        known = sorted({clip.fold for clip in clips})
        names = ", ".join(known[:12]) + ", ..." * (len(known) > 12)
        raise InputError(f"no clips of a fold {fold!r}; expected one of {names}")
    require_every_class(clips, fold)
    return groups


def require_every_class(clips: Sequence[Clip], fold: str | None = None) -> None:
    """InputError for a class whose clips are all in one fold (in this one, if given): without it none can learn it."""
    classes = defaultdict(list)
    for clip in clips:
        classes[clip.action].append(clip)
    for action, its in classes.items():
        first, *_ = its
        if {clip.fold for clip in its} == {fold or first.fold}:
            what, groups = f"fold {first.fold} holds all {len(its)} clips", {clip.group for clip in its}
            what = f"group {first.group} holds all {len(its)} clips" if len(groups) == 1 else what
            what = f"{first.name} is the only clip" if len(its) == 1 else what
            remedy = "add clips of other groups, or leave the class out"
            raise InputError(f"{what} of class {action}: who has not seen them cannot learn it; {remedy}")
