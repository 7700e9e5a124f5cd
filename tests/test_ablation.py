"""Rows, contrasts and seeds of Tables 2 and 3, on scores and frames made by hand."""

import numpy as np
import pandas
import pytest

from arsr import manifest, paired, paper, records, scores
from arsr.data import clips
from arsr.studies import ablation
from arsr.training.recipes import RECIPES
from arsr_core.errors import InputError

SOURCE = records.Provenance(kind="recomputed", source="test", profile="embedded")


def rows(method, right, sure=1.0, stream="spatial"):
    """One row a clip of two classes; the true one's score exceeds the other by `sure` where it is right."""
    label = np.arange(len(right)) % 2
    scores = [np.float32([0, 0]) for _ in label]
    for s, k, good in zip(scores, label, right, strict=True):
        s[k] = sure if good else -sure
    names = [f"c{i:02d}" for i in range(len(label))]
    same = dict(dataset="embedded", network="tsn", stream=stream, protocol="lite", fold="", status="ok", reason="")
    frame = pandas.DataFrame({"clip": names, "group": names, "label": label, "scores": scores}).assign(
        method=method, **same
    )
    return frame.assign(action=pandas.Categorical.from_codes(label, ["a", "b"]))


def test_rows_are_recipes_and_the_papers_rows():
    for stream, table in ablation.ROWS.items():
        assert all(
            name in RECIPES and (row.paper is None or row.paper in paper.records()) for name, row in table.items()
        )
        assert all({c.a, c.b} <= table.keys() for c in ablation.CONTRASTS[stream])
    named = {row.paper for table in ablation.ROWS.values() for row in table.values()} - {None}
    assert named == {key for key in paper.records() if key.startswith(("table2.", "table3."))}
    assert ablation.method("sosr-seed2") == "sosr" and ablation.method("rrdb") == "esrgan"


def test_key_rows_differ_in_the_loss_alone_and_find_their_weights(root):
    assert ablation.key_rows("spatial") == ["vdsr-mse", "vdsr-wmse", "esrgan", "sosr"]
    assert list(ablation.networks(root / "weights", "spatial", rows=["sosr", "vdsr"])) == ["sosr", "vdsr"]


def test_contrasts_on_real_clips_are_found_by_their_records():
    places = {"real.tsn": "real clips, TSN", "weizmann.st-resnet": "Weizmann, ST-ResNet"}
    keys = {words: f"small.ablation.{place}.temporal.tosr.to_tosr-control" for place, words in places.items()}
    found = ablation.on_real_clips("temporal", dict.fromkeys([f"{key}.accuracy" for key in keys.values()]))
    assert list(found.items()) == [(f"warp loss, DUF-16; {words}", key) for words, key in keys.items()]


def test_how_far_two_frames_of_scores_are_apart():
    one = pandas.concat([rows("a", [1, 1, 0]), rows("b", [1, 0])])
    other = pandas.concat([rows("a", [1, 1], sure=1.25), rows("c", [1, 1], sure=9)])
    assert ablation.apart(one, one) == 0
    assert ablation.apart(one, other) == 0.25  # two clips of a: the rest is in one frame alone
    with pytest.raises(InputError, match="no row in common"):
        ablation.apart(rows("a", [1]), rows("b", [1]))


def test_a_control_differs_from_its_row_in_one_term():
    for a, b, terms in (
        ("vdsr-wmse", "vdsr-mse", {"pixel"}),
        ("sosr", "esrgan", {"pixel", "method"}),
        ("vdsr-warp", "vdsr-warp-control", {"warp"}),
        ("tosr", "tosr-control", {"warp"}),
    ):
        for profile in ("paper", "embedded"):
            one, other = (vars(RECIPES[name][profile]) for name in (a, b))
            assert {key for key in one if one[key] != other[key]} == terms


def test_networks_at_hand(tmp_path, root):
    found = ablation.networks(root / "weights", "spatial")
    assert [*found] == [name for name in ablation.ROWS["spatial"] if f"{name}-video" in manifest.load(root / "weights")]
    assert "vdsr" in found and found["vdsr"].name == "vdsr-video.safetensors"
    assert ablation.networks(root / "weights", "spatial", profile="embedded")["vdsr"].name == "vdsr-lite.safetensors"
    assert ablation.networks(tmp_path, "temporal") == {}


def test_both_sides_of_a_contrast_learnt_alike(root):
    """The same windows, as many steps, the same precision; and they are the networks that were scored."""
    shipped = manifest.load(root / "weights")
    for stream, contrasts in ablation.CONTRASTS.items():
        known = ablation.networks(root / "weights", stream, ablation.SEEDS)
        for pair in (pair for c in contrasts if c.seeds for pair in c.pairs(known)):
            entries = [shipped[known[name].stem] for name in pair]
            alike = [(e.data_hash, e.recipe["steps"], e.recipe["batch"], "bfloat16" in e.command) for e in entries]
            assert len({*alike}) == 1, pair
    _, header = scores.load(root / "results" / "ablation-embedded.parquet")
    for name, digest in header.weights.items():
        row, _, seed = name.partition("-seed")
        assert digest == shipped[ablation.named(f"{row}-video", int(seed or 0))].sha256, name


def test_a_training_without_its_counterpart_is_refused(root):
    for stream in ablation.ROWS:
        ablation.require_pairs(ablation.networks(root / "weights", stream, ablation.SEEDS), stream)
    both = ["vdsr-mse", "vdsr-wmse", "vdsr-wmse-seed1"]
    ablation.require_pairs(both[:2], "spatial")
    with pytest.raises(InputError, match="vdsr-wmse-seed1 is there, but not vdsr-mse-seed1"):
        ablation.require_pairs(both, "spatial")


def test_records_of_rows_and_contrasts():
    right = {"vdsr-mse": 4, "vdsr-wmse": 6, "vdsr-mse-seed1": 5, "vdsr-wmse-seed1": 6, "hr": 8}
    right |= {"vdsr-mse-seed2": 4, "vdsr-wmse-seed2": 5}
    frame = pandas.concat([rows(name, np.arange(8) < k) for name, k in right.items()])
    found = {r.key: r for r in ablation.records(frame, "x", SOURCE)}
    assert found["x.hr"].value == 100 and found["x.vdsr-mse-seed1"].count == 5
    key = "x.vdsr-wmse.to_vdsr-mse"
    each = [found[f"{key}.seeds.{s}.accuracy"] for s in (0, 1, 2)]
    assert [record.value for record in each] == [25, 12.5, 12.5] and each[0].p == paired.mid_p(2, 0)
    both, expected = (
        found[f"{key}.accuracy"],
        paired.trainings(100.0 * np.array([np.arange(8) // 2 == 2, np.arange(8) == 5, np.arange(8) == 4])),
    )
    got = (both.value, both.low, both.high, both.p, both.interval, both.freedom)
    assert got == pytest.approx(tuple(expected)) and expected.freedom
    assert both.n == 8 and both.description.endswith("VDSR, WMSE less VDSR, MSE, 3 trainings of each")
    assert each[1].description.endswith("VDSR, MSE, seed 1") and f"{key}.seeds.1.log-probability" in found
    assert not any(key.startswith("x.sosr") for key in found)  # not trained: no contrast


def test_one_seed_says_nothing_of_seeds():
    frame = pandas.concat(
        [rows("tosr", np.arange(8) < 6, stream="temporal"), rows("tosr-control", np.arange(8) < 4, stream="temporal")]
    )
    found = [r.key for r in ablation.records(frame, "x", SOURCE)]
    assert "x.tosr.to_tosr-control.log-probability" in found and not any("seeds" in key for key in found)


def test_the_papers_contrasts():
    spatial, temporal = ablation.CONTRASTS["spatial"], ablation.CONTRASTS["temporal"]
    clips_, p = ablation.printed(spatial[0], "spatial")
    assert clips_ == 20 and 0.4 < p < 0.6  # 733 and 713 of 1,530
    assert ablation.printed(temporal[0], "temporal") is None  # the paper has no control


def test_measures_and_their_contrasts():
    def of(psnr, phantom):
        return {name: np.array([psnr, psnr + 1]) for name in ablation.MEASURES} | {
            "phantom": np.array([phantom, np.nan])
        }

    values = {"tosr": of(31, 1), "tosr-seed1": of(33, 3), "tosr-control": of(30, 2), "tosr-control-seed1": of(30, 2)}
    found = {r.key: r for r in ablation.compare(values, "x", SOURCE)}
    assert found["x.tosr.psnr"].value == 31.5 and found["x.tosr.phantom"].n == 1
    assert found["x.tosr.to_tosr-control.psnr"].value == 2 and found["x.tosr.to_tosr-control.phantom"].value == 0


def test_measuring_bicubic():
    from arsr_core import sr

    made = [ablation.reference(clip.read()[8:14]) for clip in clips.embedded(2, "test")]
    hr, bicubic = ablation.measure(None, made), ablation.measure(sr.load("bicubic"), made)
    assert (hr["epe"] == 0).all() and (hr["tof"] == 0).all() and (hr["phantom"] > 0).all()
    assert (bicubic["epe"] > 0).all() and (bicubic["psnr"] > 25).all()
    assert (bicubic["ewarp"] < hr["ewarp"]).all()  # blur lowers it


def test_scores_of_a_network_bear_its_rows_name(tmp_path, root):
    files = {"vdsr": manifest.find(root / "weights", "vdsr-lite")}
    tests, config = clips.embedded(18, "test"), ablation.lite(manifest.find(root / "weights", "tsn-rgb-lite"), tmp_path)
    options = dict(references=("hr",), progress=False)
    frame = ablation.score(files, "spatial", config, tests, **options)
    assert sorted(frame["method"].unique()) == ["hr", "vdsr"] and len(frame) == 36
    assert {path.name for path in tmp_path.iterdir()} == {"spatial-vdsr.parquet", "spatial-references.parquet"}
    fewer = ablation.score(files, "spatial", config, tests[:9], **options)
    assert len(fewer) == 18 and set(fewer["clip"]) == {clip.name for clip in tests[:9]}
