"""The paired tests of committed studies, made again from their scores: no network, and only they change."""

import re

import again
import pytest

from arsr import records


@pytest.mark.parametrize("name", ["ablation-weizmann", "ablation-ut_interaction"])
def test_what_does_not_follow_from_scores_stays_and_the_rest_says_when_it_was_made(name):
    old = records.load(again.RESULTS / f"{name}.json")
    made = {record.key: record for record in again.again(name, "0123456789ab")}
    assert made.keys() == old.keys()
    for key, record in made.items():
        made_again, note = ".to_" in key, record.provenance.note or ""
        assert (record.p is not None) == note.endswith("statistics computed again at commit 0123456789ab") == made_again
        assert note.count(again.SAID) == made_again
        assert record == old[key] or made_again
        assert (record.value, record.low, record.p) == pytest.approx((old[key].value, old[key].low, old[key].p))


def test_clips_of_a_sequence_belong_together():
    found = records.load(again.RESULTS / "ablation-ut_interaction.json").values()
    groups = {match[1] for record in found if (match := re.search(r"over (\d+) groups", record.interval or ""))}
    assert groups == {"20"}


def test_every_committed_difference_of_scores_has_its_p():
    for name in again.MADE:
        found = records.load(again.RESULTS / f"{name}.json").values()
        assert all(record.p is not None for record in found if ".to_" in record.key and ".video." not in record.key), (
            name
        )
