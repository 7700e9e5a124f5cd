"""The paired tests of committed studies, made again from their scores: no network, and only they change."""

import re

import again
import pytest

from arsr import records, scores

SAME = ("ablation-weizmann", "ablation-ut_interaction", "frontier-embedded", "turns-embedded")


@pytest.mark.parametrize("name", SAME)
def test_what_comes_out_as_it_stands_stays_as_it_is(name):
    old = records.load(again.RESULTS / f"{name}.json")
    assert {record.key: record for record in again.again(name, "0123456789ab")} == old


def test_what_comes_out_otherwise_says_when_it_was_made(monkeypatch):
    name, groups = "ablation-weizmann", "groups|Tango"  # Tango alone where no clip differs
    old, accuracies = records.load(again.RESULTS / f"{name}.json"), scores.accuracy
    monkeypatch.setattr(scores, "accuracy", lambda rows, groups: accuracies(rows))  # as if clips were independent
    made = {record.key: record for record in again.again(name, "0123456789ab")}
    assert made.keys() == old.keys() and all(re.search(groups, record.interval) for record in old.values())
    for key, record in made.items():
        anew, note = ".to_" not in key, record.provenance.note or ""
        assert (record != old[key]) == anew == (record.interval == "Wilson")
        assert anew == note.endswith("statistics computed again at commit 0123456789ab") and note.count(again.SAID) < 2


def test_clips_of_a_sequence_belong_together():
    found = records.load(again.RESULTS / "ablation-ut_interaction.json").values()
    groups = {match[1] for record in found if (match := re.search(r"over (\d+) groups", record.interval or ""))}
    assert groups == {"20"}


def test_every_committed_difference_of_scores_has_its_p():
    for name in again.MADE:
        found = records.load(again.RESULTS / f"{name}.json").values()
        tested = [r for r in found if re.search(r"\.(to_|slope\.)", r.key) and ".video." not in r.key]
        assert tested and all(r.p is not None for r in tested), name
