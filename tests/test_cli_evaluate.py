"""arsr evaluate, as a user types it."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from arsr import cli, evaluate, scores
from arsr.embedded.actions import ACTIONS
from arsr_core import recognition
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


def test_help_has_examples():
    done = subprocess.run([sys.executable, "-m", "arsr", "evaluate", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "Examples" in done.stdout and "arsr evaluate embedded" in done.stdout
