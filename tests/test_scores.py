"""scores: the file, and every measure by hand."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arsr import paired, scores
from arsr.records import Provenance, wilson
from arsr_core import files
from arsr_core.errors import InputError

CLASSES = ("bend", "jump", "run")
MEASURED = Provenance(kind="measured", source="a study", command="arsr evaluate ...")
HEADER = scores.Header(
    classes=CLASSES,
    protocol={"name": "light", "size": [256, 340]},
    flow={"preset": "fast"},
    precision="auto",
    weights={"vdsr": "ab"},
    runs=(MEASURED,),
)


def row(clip, label, values, **changed):
    """A row; values: the class scores, or None for an unreadable clip."""
    ok = values is not None
    common = dict(dataset="weizmann", network="tsn", stream="spatial", method="hr", protocol="light", fold="ido")
    own = dict(clip=clip, group=clip, label=label, action=CLASSES[label] if label < 3 else "?")
    state = dict(status="ok" if ok else "unreadable", reason="" if ok else "cut", scores=values if ok else [])
    return common | own | state | changed


def one(predictions, labels=None, **changed):
    """A frame of one row a clip that predicts these classes (None: unreadable) for these labels (0 1 2 0 ...)."""
    labels = labels or [i % 3 for i in range(len(predictions))]
    values = [None if p is None else [3.0 * (p == c) for c in range(3)] for p in predictions]
    rows = [row(f"a{i:03d}", label, v, **changed) for i, (label, v) in enumerate(zip(labels, values, strict=True))]
    return frame(rows)


def readable(found):
    return found[found["status"] == "ok"]


def frame(rows):
    found = pd.DataFrame(rows)
    found["scores"] = [np.asarray(s, np.float32) for s in found["scores"]]
    found["action"] = pd.Categorical.from_codes(found["label"], CLASSES)
    return found


def test_rows_of_a_stream_stored_or_fused():
    streams = [one([0, 1, 2], stream=s, method=m) for m in ("hr", "vdsr") for s in ("spatial", "temporal")]
    found = pd.concat(streams, ignore_index=True)
    assert scores.rows_of(found, "vdsr", "spatial")["method"].unique().tolist() == ["vdsr"]
    joint = scores.rows_of(found, "hr+vdsr", "fused")
    assert joint["method"].unique().tolist() == ["hr+vdsr"] and joint["stream"].unique().tolist() == ["fused"]
    assert joint["scores"][0].tolist() == scores.fused(streams[0], streams[3])["scores"][0].tolist()
    assert scores.rows_of(found, "rcan", "spatial") is scores.rows_of(found, "hr+vdsr", "spatial") is None


# --- the file


def test_round_trip(tmp_path):
    rows = [row("b", 1, [0.1, -2.5, 1e-3]), row("a", 0, [1, 2, 3]), row("c", 2, None)]
    path = scores.save(tmp_path / "deep" / "s.parquet", rows, HEADER)
    found, header = scores.load(path)
    assert header == HEADER and [p.name for p in path.parent.iterdir()] == ["s.parquet"]
    assert found["clip"].tolist() == ["a", "b", "c"] and list(found.columns) == scores.SCHEMA.names
    assert found["action"].tolist() == ["bend", "jump", "run"] and tuple(found["action"].cat.categories) == CLASSES
    assert found["scores"][1].dtype == np.float32 and found["scores"][1].tolist() == [
        np.float32(x) for x in rows[0]["scores"]
    ]
    assert len(found["scores"][2]) == 0 and found["reason"].tolist() == ["", "", "cut"]


def test_other_tools_read_the_file(tmp_path):
    path = scores.save(tmp_path / "s.parquet", [row("a", 0, [1, 2, 3])], HEADER)
    assert pd.read_parquet(path)["scores"][0].tolist() == [1, 2, 3]


def test_merge_does_not_depend_on_the_parts(tmp_path):
    rows = [row(f"{i}", i % 3, [i, 0, 1], stream=s) for i in range(6) for s in ("spatial", "temporal")]
    whole = scores.save(tmp_path / "whole.parquet", rows, HEADER).read_bytes()
    for name, cuts in {"one": (0, 3, 12), "two": (0, 1, 7, 9, 12)}.items():
        parts = [
            scores.save(tmp_path / f"{name}-{9 - i}.parquet", rows[a:b], HEADER)
            for i, (a, b) in enumerate(itertools.pairwise(cuts))
        ]
        both = scores.load(*parts[::-1], parts[0])  # twice the same rows: no matter
        merged = scores.save(tmp_path / f"{name}.parquet", *both)
        assert merged.read_bytes() == whole


def test_merge_prefers_scores_to_an_unreadable_row(tmp_path):
    good = scores.save(tmp_path / "1.parquet", [row("a", 0, [1, 2, 3])], HEADER)
    bad = scores.save(tmp_path / "2.parquet", [row("a", 0, None)], HEADER)
    worse = scores.save(tmp_path / "3.parquet", [row("a", 0, None, reason="empty")], HEADER)
    for order in itertools.permutations((good, bad, worse)):
        assert scores.load(*order)[0]["status"].tolist() == ["ok"]
    assert [scores.load(*p)[0]["reason"].tolist() for p in ((bad, worse), (worse, bad))] == [["cut"], ["cut"]]


def test_contradictions_are_refused(tmp_path):
    def save(name, rows, **changed):
        return scores.save(tmp_path / f"{name}.parquet", rows, HEADER.model_copy(update=changed))

    with pytest.raises(InputError, match="two rows for tsn/spatial/hr/ido/a"):
        save("twice", [row("a", 0, [1, 2, 3]), row("a", 0, [1, 2, 3])])
    first = save("first", [row("a", 0, [1, 2, 3])])
    with pytest.raises(InputError, match="other scores for tsn/spatial/hr/ido/a"):
        scores.load(first, save("other", [row("a", 0, [1, 2, 4])]))
    for name, value in dict(
        classes=CLASSES[::-1], protocol={}, flow={}, precision="float32", weights={"vdsr": "cd"}
    ).items():
        with pytest.raises(InputError, match=name):
            scores.load(first, save("header", [row("b", 1, [1, 2, 3])], **{name: value}))
    joined = scores.load(first, save("more", [row("b", 1, [1, 2, 3])], weights={"rcan": "ef"}))[1]
    assert joined.weights == {"rcan": "ef", "vdsr": "ab"} and joined.runs == (MEASURED,)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"label": 3}, "label 3"),
        ({"label": -1}, "label -1"),
        ({"action": "run"}, "label 0 .run. is none of the 3 classes"),
        ({"scores": [1.0, 2.0]}, "expected 3 finite scores"),
        ({"scores": [1.0, 2.0, math.nan]}, "expected 3 finite scores"),
        ({"stream": "audio"}, "stream 'audio'"),
        ({"status": "lost"}, "status 'lost'"),
        ({"status": "unreadable"}, "has a reason and no scores"),
        ({"status": "unreadable", "scores": []}, "has a reason and no scores"),
    ],
)
def test_bad_rows(tmp_path, changed, message):
    with pytest.raises(InputError, match=message):
        scores.save(tmp_path / "s.parquet", [row("a", 0, [1, 2, 3]) | changed], HEADER)
    assert not list(tmp_path.iterdir())


def test_files_that_are_none(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    good = scores.save(tmp_path / "good.parquet", [row("a", 0, [1, 2, 3])], HEADER).read_bytes()
    (tmp_path / "cut.parquet").write_bytes(good[: len(good) // 2])
    (tmp_path / "empty.parquet").touch()
    pq.write_table(pa.table({"a": [1]}), tmp_path / "foreign.parquet")
    for name in ("cut", "empty", "foreign"):
        with pytest.raises(InputError, match=f"{name}.parquet: not a file of scores") as error:
            scores.load(tmp_path / f"{name}.parquet")
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="no such file of scores"):
        scores.load(tmp_path / "absent.parquet")
    with pytest.raises(InputError, match="no file"):
        scores.load()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = scores.save(tmp_path / "s.parquet", [row("a", 0, [1, 2, 3])], HEADER)
    before = path.read_bytes()
    monkeypatch.setattr(files.os, "replace", lambda *names: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(InputError, match="s.parquet: cannot be written .disk full"):
        scores.save(path, [row("b", 0, [1, 2, 3])], HEADER)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["s.parquet"]


# --- one row a clip


def test_select():
    both = pd.concat([one([0, 1, 2]), one([0, 0, 0], method="vdsr")])
    assert scores.select(both, method="vdsr")["method"].unique().tolist() == ["vdsr"]
    with pytest.raises(InputError, match="choose one method"):
        scores.select(both, stream="spatial")
    with pytest.raises(InputError, match="no rows with method 'rcan'; there are hr, vdsr"):
        scores.select(both, method="rcan")
    with pytest.raises(InputError, match="several rows a clip"):
        scores.accuracy(both)


def test_fused_is_the_weighted_mean():
    spatial = frame([row("a", 0, [1, 0, 0]), row("b", 1, [1, 2, 3]), row("c", 2, None)])
    temporal = frame([row(c, i, [0, 2, 1], stream="temporal", method="vdsr") for i, c in enumerate("abc")])
    got = scores.fused(spatial, temporal.iloc[::-1])
    np.testing.assert_allclose(got["scores"][0], [0.4, 1.2, 0.6], rtol=1e-6)
    np.testing.assert_allclose(got["scores"][1], [0.4, 2.0, 1.8], rtol=1e-6)
    assert got["status"].tolist() == ["ok", "ok", "unreadable"] and got["reason"][2] == "cut"
    assert set(got["method"]) == {"hr+vdsr"} and set(got["stream"]) == {"fused"}
    assert set(scores.fused(spatial, spatial.assign(stream="temporal"))["method"]) == {"hr"}
    for weights, stream in (((1, 0), spatial), ((0, 1), temporal)):
        expected = [s.tolist() for s in stream["scores"][:2]]
        assert [s.tolist() for s in scores.fused(spatial, temporal, weights)["scores"][:2]] == expected
    for weights in ((0, 0), (-1, 2)):
        with pytest.raises(InputError, match="two weights"):
            scores.fused(spatial, temporal, weights)
    with pytest.raises(InputError, match="3 and 2 rows, 1 unpaired"):
        scores.fused(spatial, temporal[:2])
    with pytest.raises(InputError, match="differ in network"):
        scores.fused(spatial, temporal.assign(network="st-resnet"))


def test_log_probability():
    got = scores.log_probability(frame([row("a", 0, [math.log(3), 0, 0]), row("b", 1, None), row("c", 2, [0, 1e4, 0])]))
    np.testing.assert_allclose(got, [math.log(0.6), math.nan, -1e4])


# --- one method


def test_accuracy_with_unreadable_clips():
    got = one([0, 1, 0, None, 1, None])  # labels 0 1 2 0 1 2
    wrong, excluded = scores.accuracy(got), scores.accuracy(readable(got))
    assert (wrong.count, wrong.n, wrong.value, wrong.unreadable) == (3, 6, 50, 2)
    assert (excluded.count, excluded.n, excluded.value, excluded.unreadable) == (3, 4, 75, 0)
    assert (wrong.low, wrong.high) == wilson(3, 6) and (excluded.low, excluded.high) == wilson(3, 4)
    assert "2 unreadable clips counted as wrong" in wrong.record("a", "accuracy", MEASURED).description
    assert scores.accuracy(one([0, 1])).record("a", "accuracy", MEASURED).description == "accuracy"
    with pytest.raises(InputError, match="no clip; expected one or more"):
        scores.accuracy(readable(one([None])))


def test_class_accuracy_weighs_classes_equally():
    got = one([0, 0, 0, 1, 1, 0, 2, 0], [0, 0, 0, 0, 1, 1, 2, 2])  # 3/4, 1/2, 1/2; overall 5/8
    assert scores.class_accuracy(got).value == pytest.approx(100 * (0.75 + 0.5 + 0.5) / 3)
    assert scores.accuracy(got).value == 62.5
    unread = one([0, None, 1, 2], [0, 0, 1, 2])
    assert scores.class_accuracy(unread).value == pytest.approx(100 * (0.5 + 1 + 1) / 3)
    assert scores.class_accuracy(readable(unread)).value == 100


def test_class_accuracy_needs_every_class():
    got = one([0, 1], [0, 1])
    with pytest.raises(InputError, match="no clips of run"):
        scores.class_accuracy(got)
    assert scores.class_accuracy(got, present_only=True).value == 100


def test_class_accuracy_interval():
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], (40, 80, 20)).tolist()
    hits = [rng.random() < (0.8, 0.5, 0.3)[label] for label in labels]
    got = scores.class_accuracy(one([c if hit else (c + 1) % 3 for c, hit in zip(labels, hits, strict=True)], labels))
    shares = [(sum(h for h, c in zip(hits, labels, strict=True) if c == i), labels.count(i)) for i in range(3)]
    # classes are independent binomials: the deviation of their mean
    deviation = 100 * math.sqrt(sum(k / n * (1 - k / n) / n for k, n in shares)) / 3
    assert got.low == pytest.approx(got.value - 1.96 * deviation, abs=1)
    assert got.high == pytest.approx(got.value + 1.96 * deviation, abs=1)


def test_groups_widen_the_interval():
    # ten actors, each right in all nine clips or in none: ten trials, not ninety
    labels = [i % 3 for i in range(90)]
    actors = [f"actor{i // 9}" for i in range(90)]
    hits = [i // 9 < 6 for i in range(90)]
    got = one([c if hit else (c + 1) % 3 for c, hit in zip(labels, hits, strict=True)], labels).assign(group=actors)
    alone, grouped = scores.class_accuracy(got), scores.class_accuracy(got, groups="group")
    assert grouped.value == alone.value == 60
    assert (grouped.low, grouped.high) == (30, 90)  # the 2.5 % and 97.5 % points of Binomial(10, 0.6)
    assert alone.high - alone.low < 25
    overall = scores.accuracy(got, groups="group")
    assert (overall.low, overall.value, overall.high, overall.count) == (30, 60, 90, 54)
    assert overall.interval == grouped.interval == "bootstrap over groups"
    assert scores.class_accuracy(got, groups="clip") == alone._replace(interval="bootstrap over groups")
    with pytest.raises(InputError, match="no column actor"):
        scores.class_accuracy(got, groups="actor")


# --- one against another


def compared(a, b, groups=None):
    """The records by the last part of their keys."""
    found = scores.compare(a, b, "weizmann.a-b", "a against b", MEASURED, groups=groups)
    assert all("a against b" in record.description for record in found)
    return {record.key.removeprefix("weizmann.a-b."): record for record in found}


def test_compare():
    a, b = one([0, 1, 2] * 20), one([0, 1, 1] * 20)
    got = compared(a, b)
    assert list(got) == ["accuracy", "log-probability"]
    points, nats = got.values()
    assert points.value == pytest.approx(100 / 3) and (points.unit, points.n) == ("points", 60)
    assert points.p == paired.mid_p(20, 0) and points.interval == "McNemar mid-p, Tango's interval"
    assert (points.low, points.high) == pytest.approx([100 * end for end in paired.tango(20, 0, 60)])
    difference = scores.log_probability(a) - scores.log_probability(b)
    expected = paired.means(difference)
    got = (nats.value, nats.low, nats.high, nats.p, nats.interval, nats.freedom)
    assert got == pytest.approx(tuple(expected))
    assert nats.unit == "" and expected.test.startswith("sign flips over clips")
    same = compared(a, a)
    assert same["accuracy"].value == 0 and {record.p for record in same.values()} == {1}
    assert same["accuracy"].high == pytest.approx(100 * paired.tango(0, 0, 60)[1])  # no clip differs: no certainty


def test_compare_turned_round():
    a, b = one([0, 1, 2, 0, 1, 2, 0, 0]), one([0, 1, 1, 2, 0, 0, 0, 1])  # labels 0 1 2 0 1 2 0 1
    there, back = compared(a, b)["accuracy"], compared(b, a)["accuracy"]
    assert there.value == 37.5 and there.p == back.p == paired.mid_p(4, 1)
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low), abs=1e-6)


def test_compare_counts_unreadable_clips():
    a, b = one([0, 1, None, 0, 1, 2]), one([0, 0, 2, 0, None, 2])
    got = compared(a, b)
    assert got["accuracy"].n == 6 and "2 unreadable clips counted as wrong" in got["accuracy"].description
    assert got["log-probability"].n == 4 and "2 unreadable clips left out" in got["log-probability"].description
    assert got["accuracy"].p == paired.mid_p(2, 1)  # both count as wrong
    both = (a["status"] == "ok") & (b["status"] == "ok")
    assert compared(a[both], b[both])["accuracy"].p == paired.mid_p(1, 0)
    with pytest.raises(InputError, match="no clip with scores of both"):
        compared(one([0, None]), one([None, 1]))
    with pytest.raises(InputError, match="got 0 and 0 rows"):
        compared(a[:0], b[:0])


def test_compare_by_groups():
    a, b = one([0, 1, 2] * 12), one([0, 1, 1] * 12)
    actors = {"group": [f"actor{i // 4}" for i in range(36)]}  # nine
    got = compared(a.assign(**actors), b.assign(**actors))
    value, low, high, p, *_ = paired.accuracies(scores.correct(a), scores.correct(b), actors["group"])
    points = got["accuracy"]
    assert (points.value, points.low, points.high) == pytest.approx((100 * value, 100 * low, 100 * high))
    assert points.p == p and points.interval == "sign flips over 9 groups, McNemar mid-p, Tango's interval: the widest"
    assert got["log-probability"].interval == "sign flips over 9 groups"
    assert compared(a.assign(**actors), b.assign(**actors), groups="clip") == compared(a, b)
    with pytest.raises(InputError, match="no column actor"):
        compared(a, b, groups="actor")


def test_too_few_groups_leave_a_value_and_its_p():
    a, b = one([0, 1, 2] * 12), one([0, 1, 1] * 12)
    got = compared(a.assign(group=["p"] * 18 + ["q"] * 18), b.assign(group=["p"] * 18 + ["q"] * 18))
    for record in got.values():
        assert (record.low, record.high, record.interval, record.p) == (None, None, None, 0.5)
        assert "(sign flips over 2 groups: too few for an interval)" in record.description
    assert got["accuracy"].value == pytest.approx(100 / 3)


def test_compare_over_trainings():
    rng = np.random.default_rng(0)
    sides = [[one(rng.integers(0, 3, 60).tolist()) for _ in range(3)] for _ in "ab"]
    got = compared(*sides)["accuracy"]
    gains = np.stack([100.0 * scores.correct(a) - 100.0 * scores.correct(b) for a, b in zip(*sides, strict=True)])
    expected = paired.trainings(gains)
    made = (got.value, got.low, got.high, got.p, got.interval, got.freedom)
    assert made == pytest.approx(tuple(expected)) and got.n == 60 and got.description.endswith("3 trainings of each")
    two = [side[:2] for side in sides]  # too few: the first alone
    assert compared(*two) == compared(sides[0][0], sides[1][0])
    with pytest.raises(InputError, match="unpaired"):  # trainings of different clips
        compared([sides[0][0], sides[0][1][:30], sides[0][2]], [sides[1][0], sides[1][1][:30], sides[1][2]])
    assert compared(sides[0][:1], sides[1][:1]) == compared(sides[0][0], sides[1][0])
    assert compared(sides[0], sides[0])["accuracy"].high > 5  # no clip differs in any training


def test_a_trend_is_each_clip_s_slope():
    wrong, right = one([2, 2, 2] * 12), one([0, 1, 2] * 12)  # labels 0 1 2: two thirds turn
    half = one([0, 1, 2] * 6 + [2, 2, 2] * 6)
    frames = {0.0: wrong, 0.5: half, 1.0: right.iloc[::-1]}  # the order of rows does not matter
    points, nats = scores.trend(frames, "k", "d", MEASURED)
    assert (points.key, points.unit, points.n) == ("k.accuracy", "points", 36) and nats.key == "k.log-probability"
    expected = paired.means(100.0 * scores.correct(right) - 100.0 * scores.correct(wrong))
    assert (points.value, points.low, points.high, points.p) == pytest.approx(tuple(expected)[:4])
    known = scores.log_probability(right) - scores.log_probability(wrong)
    assert nats.value == pytest.approx(known.mean())  # of three evenly spaced, the middle one does not count
    falling = scores.trend({-x: frame for x, frame in frames.items()}, "k", "d", MEASURED)
    assert falling[0].value == pytest.approx(-points.value)
    with pytest.raises(InputError, match="unpaired"):
        scores.trend({0: wrong, 1: right[:9]}, "k", "d", MEASURED)


def test_compare_class_by_class():
    a, b = one([0, 1, 0, 1] * 3, [0, 1, 1, 1] * 3), one([0, 0, 1, 1] * 3, [0, 1, 1, 1] * 3)  # no clip of run
    found = {r.key: r for r in scores.by_class(a, b, "c.{}.a.to_b", "a less b", MEASURED)}
    assert [*found] == [f"c.{c}.a.to_b.{m}" for c in ("bend", "jump") for m in ("accuracy", "log-probability")]
    assert found["c.bend.a.to_b.accuracy"].p == 1 and found["c.jump.a.to_b.accuracy"].p == paired.mid_p(3, 3)
    assert (
        found["c.jump.a.to_b.accuracy"].description == "accuracy, a less b, jump"
        and found["c.jump.a.to_b.accuracy"].n == 9
    )


def test_a_class_that_nobody_could_read_has_no_contrast():
    a, b = one([0, None, 2], [0, 1, 2]), one([0, 1, None], [0, 1, 2])
    found = [r.key for r in scores.by_class(a, b, "c.{}.a.to_b", "a less b", MEASURED)]
    assert found == ["c.bend.a.to_b.accuracy", "c.bend.a.to_b.log-probability"]


def test_contrasts_are_those_whose_rows_are_there():
    rows = pd.concat([one([0, 1, 2], method=m, stream=s) for m in ("hr", "vdsr") for s in ("spatial", "temporal")])
    wanted = [("spatial", "hr", "vdsr"), ("fused", "hr", "vdsr"), ("spatial", "hr", "rcan")]
    found = scores.contrasts(rows, wanted, "b.weizmann.tsn", "tsn on weizmann", MEASURED)
    keys = [f"b.weizmann.tsn.{s}.hr.to_vdsr.{m}" for s in ("spatial", "fused") for m in ("accuracy", "log-probability")]
    assert [record.key for record in found] == keys
    assert found[0].description == "accuracy, hr less vdsr, spatial stream, tsn on weizmann"


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 2), st.none() | st.integers(0, 2)), min_size=1, max_size=20))
def test_measures_agree_with_each_other(case):
    labels, predictions = map(list, zip(*case, strict=True))
    got = one(predictions, labels)
    overall, classes = scores.accuracy(got), [scores.accuracy(part) for _, part in got.groupby("label")]
    assert (overall.count, overall.n) == (sum(of.count for of in classes), sum(of.n for of in classes))
    mean, expected = scores.class_accuracy(got, present_only=True), sum(of.value for of in classes) / len(classes)
    assert mean.value == pytest.approx(expected) and 0 <= mean.low <= mean.value <= mean.high <= 100
    if overall.unreadable < overall.n:
        assert compared(got, got)["accuracy"].p == 1


# --- the table


def test_table_and_records():
    rows = [one([0, 1, 2], method=m, stream=s) for m in ("vdsr", "hr") for s in ("spatial", "temporal")]
    rows += [one([0, 1, 1], method="sosr"), one([0, 0, 0], method="tosr", stream="temporal")]
    table = scores.table(pd.concat(rows), pairs=["sosr+tosr"])
    cells = list(zip(table["method"], table["stream"], strict=True))
    assert cells[:3] == [("hr", "spatial"), ("hr", "temporal"), ("hr", "fused")]
    assert cells[-3:] == [("vdsr", "temporal"), ("vdsr", "fused"), ("sosr+tosr", "fused")] and len(table) == 9
    assert table.iloc[-1]["count"] == 1  # 1:1.5: the temporal stream wins where they differ
    records = {r.key: r for r in scores.records(table, MEASURED)}
    assert len(records) == 18
    assert records["accuracy.weizmann.tsn.hr.fused"].value == 100
    assert records["accuracy.weizmann.tsn.sosr+tosr.fused.class-mean"].interval == "bootstrap over clips"
    with pytest.raises(InputError, match="both streams of sosr.duf16"):
        scores.table(pd.concat(rows), pairs=["sosr+duf16"])


def test_table_keeps_a_trained_fusion():
    rows = [one([0, 1, 2], stream=s) for s in ("spatial", "temporal")] + [one([0, 0, 0], stream="fused")]
    table = scores.table(pd.concat(rows)).set_index("stream")
    assert table["count"].to_dict() == {"spatial": 3, "temporal": 3, "fused": 1}


def test_table_names_networks_apart():
    rows = [one([0, 1, 2]), one([0, 0, 0], network="st-resnet")]
    assert scores.table(pd.concat(rows))["count"].tolist() == [1, 3]
