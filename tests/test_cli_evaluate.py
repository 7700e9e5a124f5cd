"""arsr evaluate, as a user types it."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from arsr import cli, evaluate, scores
from arsr.embedded.actions import ACTIONS
from arsr_core import recognition, video
from arsr_core.recognition import PROTOCOLS

FAST = replace(PROTOCOLS["lite"], snippets=2, flow_frames=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Recognisers with random weights: the road is tested, not accuracy."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for modality in ("rgb", "flow"):
        net = recognition.TSN(18, modality, "lite", flow_frames=1)
        recognition.save(net, folder / f"{modality}.safetensors", classes=list(ACTIONS))
    return folder


@pytest.fixture
def arsr(tmp_path, monkeypatch, capsys):
    """The command in this process: -> (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(PROTOCOLS, "lite", FAST)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["arsr", "evaluate", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


def test_scores_a_table_and_the_command(arsr, files, tmp_path):
    own = ("-r", files / "rgb.safetensors", "-r", files / "flow.safetensors")
    options = ("--clips", 18, "--preset", "fast", "--device", "cpu", "-m", "bicubic", "-m", "hr+bicubic")
    code, table, said = arsr("embedded", "scores.parquet", *own, *options)
    assert code == 0, said
    assert "18 clips, 0 of them unreadable; written: scores.parquet" in said
    lines = [line.split()[:3] for line in table.splitlines()]
    assert lines[0] == ["network", "method", "stream"]
    expected = [("bicubic", "spatial"), ("bicubic", "temporal"), ("bicubic", "fused")]
    assert [tuple(line[1:]) for line in lines[1:]] == [("hr", "spatial"), *expected, ("hr+bicubic", "fused")]
    frame, header = scores.load(tmp_path / "scores.parquet")
    assert len(frame) == 18 * 3 and header.protocol["name"] == "lite"
    assert header.runs[0].command.startswith("arsr evaluate embedded scores.parquet -r ")


def test_unreadable_clips_are_named(arsr, files, monkeypatch):
    def torn(numbers):
        raise evaluate.InputError("clip 3: damaged after frame 7")

    clips, classes = evaluate.dataset_clips(evaluate.Evaluation("embedded", "s", ("r",), clips=18))
    clips[3] = replace(clips[3], read=torn)
    monkeypatch.setattr(evaluate, "dataset_clips", lambda config: (clips, classes))
    code, table, said = arsr("embedded", "s.parquet", "-r", files / "rgb.safetensors", "-m", "hr", "--device", "cpu")
    assert code == 0 and "unreadable: clip 3: damaged after frame 7" in said
    assert "18 clips, 1 of them unreadable" in said and table.splitlines()[1].split()[-1] == "1"


RGB = ("-r", "rgb.safetensors")
WRONG = [
    (("kinetics", "s.parquet", *RGB, "--data", "."), "unknown data set 'kinetics'"),
    (("weizmann", "s.parquet", *RGB), "weizmann: give the folder of its clips"),
    (("weizmann", "s.parquet", *RGB, "--data", "absent"), "absent: no such file or folder"),
    (("embedded", "s.parquet", *RGB), "rgb.safetensors: no such recogniser"),
    (("embedded", "s.parquet", "-r", __file__, "--clips", "4"), "no clips of "),
    (("embedded", "s.parquet", *RGB, "--protocol", "half"), "invalid choice 'half' for argument '--protocol'"),
    (("embedded", "s.parquet", *RGB, "-m", "magic"), "unknown method 'magic'"),
    (("embedded", "s.parquet", *RGB, "-m", "vdsr", "--weights", "vdsr"), "expected METHOD=FILE"),
    (("embedded", "s.parquet", *RGB, "--preset", "quick"), "invalid choice 'quick' for argument '--preset'"),
]


@pytest.mark.parametrize("arguments, message", WRONG, ids=[" ".join(a[:2] + a[4:]) for a, _ in WRONG])
def test_wrong_input_is_one_line_and_exit_code_2(arsr, tmp_path, arguments, message):
    code, _, said = arsr(*arguments)
    assert code == 2 and message in said and said.count("\n") == 1, said
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A folder of two classes, each of three scenes, and recognisers of two folds that say what they did not see."""
    root, rng = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    for action in ("run", "walk"):
        (root / "clips" / action).mkdir(parents=True)
        for scene in range(3):
            video.write(root / "clips" / action / f"s{scene}_1.avi", rng.integers(0, 256, (9, 32, 40, 3), np.uint8), 25)
    for fold, without in (("1", ["0", "2"]), ("2", ["1"])):
        net = recognition.TSN(2, "rgb", "lite")
        recognition.save(net, root / "runs" / f"{fold}.safetensors", classes=["run", "walk"], without=without)
    return root


OWN = ("folder", "s.parquet", "-m", "hr", "--protocol", "lite", "--device", "cpu")
SCENES = ("--groups", "s([0-9])_")


def test_a_folder_in_folds(arsr, own, tmp_path):
    data, recognisers = ("--data", own / "clips"), ("-r", own / "runs" / "{fold}.safetensors")
    code, table, said = arsr(*OWN, *data, *recognisers, *SCENES, "--folds", 2)
    assert code == 0 and "6 clips, 0 of them unreadable" in said, said
    frame, header = scores.load(tmp_path / "s.parquet")
    assert header.classes == ("run", "walk") and set(header.recognisers) == {"tsn/spatial/1", "tsn/spatial/2"}
    assert frame.set_index("clip")[["group", "fold"]].T.to_dict("list") == {
        f"{action}/s{scene}_1.avi": [str(scene), "12"[scene % 2]] for action in ("run", "walk") for scene in range(3)
    }
    rows = [f"{clip},{clip[-7]}\n" for clip in frame["clip"]]  # the same groups
    (tmp_path / "g.csv").write_text("".join(["clip,group\n", *rows]))
    (tmp_path / "s.parquet").unlink()
    code, _, said = arsr(*OWN, *data, *recognisers, "--groups", "g.csv", "--folds", 3)
    assert code == 2 and "3.safetensors: no such recogniser" in said


LACKS = {  # files below the folder that leave it without what folds need
    "run/s0_1.avi": "run/s0_1.avi is the only clip of class run",
    "run/s0_1.avi run/s0_2.avi": "group 0 holds all 2 clips of class run: who has not seen them cannot learn it",
}


@pytest.mark.parametrize("only", LACKS)
def test_a_class_that_no_fold_can_learn(arsr, own, tmp_path, only):
    for name in (*only.split(), "walk/s0_1.avi", "walk/s1_1.avi"):
        path = tmp_path / "clips" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((own / "clips" / "run" / "s0_1.avi").read_bytes())
    for more in ((), ("--folds", "2")):
        code, _, said = arsr(*OWN, "--data", "clips", "-r", own / "runs" / "{fold}.safetensors", *SCENES, *more)
        assert code == 2 and LACKS[only] in said and said.count("\n") == 1


FOLDS = ("-r", "{fold}.safetensors")
WRONG_OWN = [
    (FOLDS, ("--groups", "(s"), "missing ), unterminated subpattern"),
    (FOLDS, ("--groups", "s[0-9]"), "0 groups in parentheses"),
    (FOLDS, ("--groups", "(t)"), "matches nothing in run/s0_1.avi and 5 others"),
    (FOLDS, ("--groups", "g.csv"), "g.csv: no such file"),
    (FOLDS, ("--folds", "7"), "7 folds of 6 groups"),
    (FOLDS, ("--folds", "-1"), "expected folds greater than or equal to 0, got -1"),
    (FOLDS, ("--folds", "2", "--present-only"), "would change the folds"),
    (FOLDS, ("--split", "2"), "has no split 2"),
    (("-r", "one.safetensors"), ("--folds", "2"), "each fold has a recogniser of its own: write {fold}"),
]


@pytest.mark.parametrize("recogniser, options, message", WRONG_OWN, ids=[m for *_, m in WRONG_OWN])
def test_wrong_options_of_a_folder(arsr, own, tmp_path, recogniser, options, message):
    code, _, said = arsr(*OWN, "--data", own / "clips", *recogniser, *options)
    assert code == 2 and message in said and said.count("\n") == 1, said
    assert not list(tmp_path.iterdir())


def test_a_recogniser_that_saw_the_clips_is_refused(arsr, own, tmp_path):
    for fold, other in (("1", "2"), ("2", "1")):
        (tmp_path / f"{fold}.safetensors").write_bytes((own / "runs" / f"{other}.safetensors").read_bytes())
    code, _, said = arsr(*OWN, "--data", own / "clips", *FOLDS, *SCENES, "--folds", 2)
    assert code == 2 and "of group 0: the recogniser of fold 1 was trained without 1;" in said


def test_help_has_examples():
    done = subprocess.run([sys.executable, "-m", "arsr", "evaluate", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "Examples" in done.stdout and "arsr evaluate embedded" in done.stdout
