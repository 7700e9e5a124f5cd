"""benchmarks/study.py: folds of groups, and each kind of study on a tiny copy of a data set."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import study
import torch

from arsr import names, scores
from arsr.data import folders
from arsr.training.recipes import RECIPES
from arsr_core import degrade, sr, video
from arsr_core.errors import InputError
from arsr_core.recognition import PROTOCOLS

TINY = replace(PROTOCOLS["small"], snippets=2, size=(60, 80), crop=48)


def test_ut_interactions_folds_are_of_whole_sequences():
    seen = [study.square(item) for item in folders.DATASETS["ut_interaction"].named(Path("nowhere"), None, 1)]
    assert len({clip.group for clip in seen}) == 20
    assert Counter(fold for fold, _ in {(clip.fold, clip.group) for clip in seen}) == {
        f"fold{n}": 4 for n in range(1, 6)
    }
    assert {c.group for c in seen if c.fold == "fold2"} == {"set1_2", "set1_7", "set2_12", "set2_17"}


def test_every_network_has_a_title():
    assert names.title("squeezenet") == "TSN, SqueezeNet" and "squeezenet" not in names.NETWORKS  # no place of a tier
    assert all(names.title(network) != network for network in study.NETWORKS)


def test_rivals_see_what_the_tests_show():
    clip = torch.rand(1, 2, 3, 33, 40)
    small = degrade.to_lr(clip[..., :32, :], 4, eight_bit=True)
    made = study.enlarged(clip, sr.load("bicubic"))
    assert torch.equal(made, degrade.quantise(degrade.imresize(small, 4)))


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Yoga's folders with two people's clips, recipes of one step, a small protocol: -> (run, folder of scores)."""
    import torchvision

    rng = np.random.default_rng(0)
    for label, action in enumerate(folders.DATASETS["yoga"].classes):
        (tmp_path / "yoga" / action).mkdir(parents=True)
        for person in (1, 2):
            frames = rng.integers(20 * label, 20 * label + 99, (8, 24, 32, 3), np.uint8)
            video.write(tmp_path / "yoga" / action / f"p{person:02d}_{action}_1.mp4", frames, fps=25)
    for name in ("tsn-rgb", "tsn-flow", "squeezenet-rgb"):
        lite = {} if name.startswith("squeeze") else dict(backbone="lite", imagenet=False, frozen=0, partial_bn=False)
        monkeypatch.setitem(RECIPES[name], "small", replace(RECIPES[name]["small"], steps=1, batch=2, **lite))
    monkeypatch.setitem(PROTOCOLS, "small", TINY)
    monkeypatch.setitem(study.STUDIES, "yoga", replace(study.STUDIES["yoga"], folds=2))
    torch.save(torchvision.models.squeezenet1_1().state_dict(), tmp_path / "squeezenet.pth")

    def run(*words):
        argv = [study.__file__, "yoga", *words, "--data", tmp_path / "yoga", "--out", tmp_path / "out"]
        monkeypatch.setattr("sys.argv", [str(word) for word in argv])
        study.main()

    return run, tmp_path / "out" / "yoga"


def test_weights_of_another_network_are_refused_before_a_training(tiny):
    run, out = tiny
    with pytest.raises(InputError, match="sosr-lite.safetensors"):
        run("published", "--weights", f"vdsr={study._common.ROOT}/weights/sosr-lite.safetensors")
    assert not out.exists()


@pytest.mark.slow
def test_a_study_of_two_networks_and_its_rivals(tiny, capsys, tmp_path):
    run, out = tiny
    run("--networks", "tsn", "squeezenet", "--imagenet", tmp_path / "squeezenet.pth")
    frame, header = scores.load(out / "scores.parquet")
    assert Counter(zip(frame["network"], frame["stream"], strict=True)) == {
        place: 24 for place in (("tsn", "spatial"), ("tsn", "temporal"), ("squeezenet", "spatial"))
    }
    assert {*frame["fold"]} == {"1", "2"} and {*frame["group"]} == {"p01", "p02"}
    assert "squeezenet/spatial/1" in header.recognisers and "aspect ratio alone: 16.7 %" in capsys.readouterr().out
    with pytest.raises(InputError, match="rivals shows clips by sosr: give its weights"):
        run("rivals")
    files = [f"{method}={study._common.ROOT}/weights/{method}-lite.safetensors" for method in ("sosr", "tosr")]
    run("rivals", "--networks", "tsn", "--weights", files[0], "--weights", files[1])
    shown = capsys.readouterr().out
    for stream in ("spatial", "temporal"):
        for part in ("lr ", "sr ", "lr.to_sr.accuracy", "lr.to_hr-on-sr.accuracy", "sr.to_hr-on-sr.log-probability"):
            assert f"small.retrained.yoga.tsn.{stream}.{part}" in shown
    with pytest.raises(InputError, match="published compares given weights: --weights vdsr=FILE"):
        run("published")
    run("published", "--recipes", "tsn-rgb", "--weights", files[0])
    shown = capsys.readouterr().out
    assert "small.published.yoga.tsn.spatial.sosr.to_bicubic.accuracy" in shown and "temporal" not in shown
    headers = [scores.load(path)[1] for path in (out / "rivals").glob("*.parquet")]
    assert {method for header in headers for method in header.weights} == {"sosr", "tosr"}
    hashes = {digest for header in headers for digest in header.recognisers.values()}
    assert len(hashes) == 12  # three kinds, two streams, two folds


@pytest.mark.slow
def test_one_network_the_paths_and_turns_on_a_tiny_set(tiny, capsys, tmp_path, monkeypatch):
    run, out = tiny
    shared = ("--networks", "tsn", "squeezenet", "--imagenet", tmp_path / "squeezenet.pth")
    monkeypatch.setattr(study.joint, "SEEDS", (0, 1))
    monkeypatch.setattr(study, "TURNS", dict(steps=1, batch=2))
    run("joint", *shared)
    shown = capsys.readouterr().out
    assert "small.joint.yoga.tsn.temporal.tosr " in shown and "small.joint.yoga.tsn.fused.sosr+tosr " in shown
    run("frontier", *shared)
    shown = capsys.readouterr().out
    for stream in ("spatial", "temporal"):
        for end in ("srgan", "esrgan"):
            assert f"small.frontier.yoga.tsn.{stream}.{end}.slope.accuracy" in shown
    with pytest.raises(InputError, match="turns has two judges"):
        run("turns")
    run("turns", *shared)
    shown = capsys.readouterr().out
    for judge in ("own", "original", "unseen"):
        assert f"small.turns.yoga.both.{judge}.to_control.accuracy" in shown
        assert f"small.turns.yoga.control.on.{judge}" in shown
    assert len([*(out / "turns").rglob("own.parquet")]) == 4  # two folds, two seeds


def test_psnr_of_the_middle_frames_of_a_set_and_of_all_sets(tiny, tmp_path, monkeypatch, capsys):
    import fidelity

    monkeypatch.setattr(fidelity, "METHODS", ["bicubic", "vdsr", "spmc"])

    def run(*words):
        monkeypatch.setattr("sys.argv", [fidelity.__file__, *words])
        fidelity.main()

    run(f"yoga={tmp_path / 'yoga'}")
    found = {words[0]: float(words[1]) for line in capsys.readouterr().out.splitlines() if (words := line.split())}
    assert len(found) == 6 and found["small.fidelity.yoga.spmc.psnr"] == found["small.fidelity.real.spmc.psnr"]
    shown, middle = fidelity.window(folders.items("yoga", tmp_path / "yoga")[0])
    assert shown.shape == (1, 7, 3, 24, 32) and middle == 3  # of eight frames the fifth
    assert 10 < found["small.fidelity.real.bicubic.psnr"] < 40
    for words, message in (
        (["kitchen=x"], "unknown name 'kitchen'"),
        (["yoga=x"], "expected yoga=FOLDER"),
        (["yoga"], "expected yoga=FOLDER"),
    ):
        with pytest.raises(InputError, match=message):
            run(*words)
