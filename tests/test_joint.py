"""One network against two: which trainings go together, and what is recorded of them."""

import pandas
import pooled
import pytest
from test_ablation import SOURCE, rows

from arsr import manifest, scores
from arsr.studies import joint

BOTH = ("spatial", "temporal")
CLIPS = 8


def scores_of(right):
    """Scores of both streams by method: as many clips right, the first ones."""
    frames = [
        rows(method, [i < n for i in range(CLIPS)], stream=stream, sure=4.0)
        for method, of in right.items()
        for stream, n in zip(BOTH, of, strict=True)
    ]
    return pandas.concat(frames)


@pytest.fixture(scope="module")
def frame():
    two = {
        "sosr": (6, 3),
        "sosr-seed1": (6, 3),
        "sosr-seed2": (6, 3),
        "tosr": (2, 5),
        "tosr-seed1": (2, 6),
        "tosr-seed2": (2, 7),
        "esrgan": (6, 2),
        "duf52": (2, 6),
    }
    return scores_of({"joint": (6, 6), "joint-seed1": (4, 6), "joint-seed2": (5, 6), "joint-control": (6, 4)} | two)


def test_trainings_of_a_pair_go_together_by_seed(frame):
    assert [*joint.trainings(frame, "sosr+tosr", "fused")] == [0, 1, 2]
    assert [*joint.trainings(frame, "joint-control", "spatial")] == [0]
    assert joint.trainings(frame, "rcan+duf52", "fused") == {}
    assert [*joint.trainings(frame[frame["method"] != "tosr-seed1"], "tosr", "temporal")] == [0, 2]


def test_one_network_against_all_others(frame):
    found = {r.key: r for r in joint.recorded(frame, "k", SOURCE)}
    assert found["k.spatial.joint"].count == 6 and "k.temporal.sosr+tosr" not in found
    assert found["k.spatial.joint.to_tosr.accuracy"].value == pytest.approx(100 * (6 + 4 + 5 - 2 - 2 - 2) / 3 / CLIPS)
    assert found["k.temporal.joint.to_joint-control.accuracy"].value == pytest.approx(100 * 2 / CLIPS)  # seed 0 alone
    assert "3 trainings of each" in found["k.fused.joint.to_sosr+tosr.accuracy"].description
    # one training of a rival stands against the first of ours
    assert "trainings" not in found["k.spatial.joint.to_esrgan.accuracy"].description
    assert found["k.spatial.joint.to_esrgan.accuracy"].value == 0
    assert "k.fused.joint.to_esrgan+duf52.accuracy" in found and "k.fused.joint.to_rcan+duf52.accuracy" not in found


def test_no_network_stands_in_for_another_of_its_name_or_way(root):
    shipped = {name: entry.sha256 for name, entry in manifest.load(root / "weights").items()}
    weights = {"sosr": shipped["sosr-video"], "sosr-seed1": shipped["sosr-video-seed1"], "tosr": shipped["tosr-lite"]}
    how = dict(classes=("a",), protocol={}, flow={}, precision="float32", runs=())
    own = scores.Header(**how, recognisers={"tsn/spatial/": "1", "tsn/temporal/": "2"})
    of = scores.Header(**how, weights=weights, recognisers={"tsn/spatial/": "1"})
    frame = pandas.DataFrame({"method": ["hr", "sosr", "sosr-seed1", "tosr"]})

    def left(header, profile="video"):
        return joint.beside(own, frame, header, root / "weights", profile)["method"].tolist()

    assert left(of) == ["hr", "sosr", "sosr-seed1"] and left(of, "embedded") == ["hr", "tosr"]
    for other in (
        {"precision": "auto"},
        {"flow": {"warps": 5}},
        {"protocol": {"snippets": 25}},
        {"recognisers": {"tsn/spatial/": "3"}},
        {"recognisers": {}},
    ):
        assert left(of.model_copy(update=other)) == []


def test_a_method_that_one_set_lacks_does_not_speak_for_all(capsys):
    rows = [
        ("tsn", "spatial", m, clip)
        for m in ("hr", "sosr")
        for clip in ("w/1", "w/2", "u/1")
        if (m, clip[0]) != ("sosr", "u")
    ]
    frame = pandas.DataFrame(rows, columns=["network", "stream", "method", "clip"])
    assert pooled.whole(frame)["method"].unique().tolist() == ["hr"] and "sosr" in capsys.readouterr().out
