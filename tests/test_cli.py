"""The commands, as a user types them: in a process of their own, with right and wrong input."""

import inspect
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from arsr import cli
from arsr.commands import assignments
from arsr_core import sr, video


@pytest.fixture
def arsr(tmp_path):
    def run(*arguments):
        command = [sys.executable, "-m", "arsr", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    return run


@pytest.fixture
def clip(tmp_path):
    rng = np.random.default_rng(0)
    video.write(tmp_path / "in.mkv", list(rng.integers(0, 256, (3, 12, 16, 3), np.uint8)), 25)
    return tmp_path / "in.mkv"


def test_upscale_keeps_rate_and_multiplies_the_size(arsr, clip, tmp_path):
    done = arsr("upscale", clip, "out.mp4")
    assert done.returncode == 0, done.stderr
    info = video.probe(tmp_path / "out.mp4")
    assert (info.width, info.height, info.fps, video.count(tmp_path / "out.mp4")) == (64, 48, 25, 3)


def test_upscale_with_weights_equals_the_call(arsr, clip, tmp_path):
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = sr.build("vdsr", layers=3, features=8)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    options = ("--method", "vdsr", "--weights", "w.safetensors", "--precision", "float32", "--lossless")
    assert arsr("upscale", clip, "out.mkv", *options).returncode == 0
    expected = sr.upscale(model.eval(), video.to_tensor(video.read(clip).frames), precision="float32")
    assert np.abs(video.read(tmp_path / "out.mkv").frames - video.to_uint8(expected).astype(int)).max() <= 1


def test_weights_commands(arsr, tmp_path):
    listed = arsr("weights", "list").stdout
    assert all(name in listed for name in sr.METHODS) and "16,697,987" in listed
    state = {f"module.{k}": v for k, v in sr.build("esrgan", features=8, blocks=1, growth=4).state_dict().items()}
    torch.save({"params_ema": state}, tmp_path / "w.pth")
    done = arsr("weights", "import", "w.pth", "w.safetensors")
    assert done.returncode == 0 and "RRDBNet" in done.stdout
    assert sr.load("esrgan", tmp_path / "w.safetensors").frames == 1


def test_generate_writes_lossless_clips(arsr, tmp_path):
    from arsr.embedded import generated

    assert arsr("data", "generate", "clips", "--count", "2", "--frames", "3").returncode == 0
    [first, second] = sorted(p.relative_to(tmp_path / "clips").as_posix() for p in (tmp_path / "clips").glob("*/*"))
    assert (first, second) == ("drink/test-00000.mkv", "phone/test-00001.mkv")
    made = generated.clip(1, split="test", frames=3).frames
    assert np.array_equal(video.read(tmp_path / "clips" / second).frames, made)


def test_values_are_yaml_and_exponents_are_numbers():
    given = ("rate=1e-4", "steps=16", "weight=2.5E3", "name=1e", "warp=[1, 0.8, 0.1]")
    expected = {"rate": 1e-4, "steps": 16, "weight": 2500.0, "name": "1e", "warp": [1, 0.8, 0.1]}
    assert assignments(given) == expected


OPTIONS = {  # what a user may type; a name that goes, or changes, breaks somebody's script
    "book": "--profile --data --root --out --set -p --jobs --figures",
    "run": "CHAPTER --profile --data --root --out --set -p --keep",
    "claims": "--root --out",
    "upscale": "IN OUT --method --weights --padding --device --precision --tile --batch --lossless --fps",
    "flow": "IN OUT --format --method --preset --weights --download --bound --workers --device --fps",
    "train": "RECIPE --profile --data --dataset --splits --fold --seed --start --out --set -p --precision --workers "
    "--ship --test --root",
    "train --list": "",
    "evaluate": "DATASET OUT --recogniser -r --method -m --weights --data --splits --split --present-only --clips "
    "--seed --protocol --preset --network --precision --cache --device --workers --batch",
    "reproduce": "--profile --data --out --stage --dry-run --dataset --method -m --protocol --preset --split --splits "
    "--present-only --clips --device --keep --root",
    "data check": "KIND ROOT --splits --split --decode",
    "data generate": "OUT --count --split --frames --seed",
    "data pairs": "OUT SOURCE --embedded --patch --clip-frames --windows --frames --spacing --side --lr --flow "
    "--preset --seed --workers --device",
    "weights list": "",
    "weights import": "SOURCE TARGET",
}


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_the_names_of_options_stay(command, capsys):
    with pytest.raises(SystemExit):
        cli.parse([*command.split(), "--help"])
    boxes = [line.strip("│ ") for line in capsys.readouterr().out.splitlines()]
    heads = [line.split("  ")[0] for line in boxes if re.match(r"-|[A-Z]+(  |$)", line)]
    found = {word.rstrip(",") for head in heads for word in head.split() if re.match(r"--?[a-z]|[A-Z]+$", word)}
    named = {word for word in found if word.startswith("-")} - {"-h", "--help"}
    placed = {head for head in heads if head.isupper() and head.isalpha()}
    assert named | placed == set(OPTIONS[command].split())


def test_the_list_of_commands_says_what_their_help_says():
    for command, (_, line) in cli.COMMANDS.items():
        assert inspect.getdoc(cli.load(command)).startswith(line.rstrip(".")), command


WRONG = [
    (["upscale", "absent.mp4", "out.mp4"], "absent.mp4: no such file"),
    (["upscale", "in.mkv", "out.txt"], "out.txt"),
    (["upscale", "in.mkv", "out.mp4", "--method", "nothing"], "unknown method 'nothing'"),
    (["upscale", "in.mkv", "out.mp4", "--method", "vdsr"], "give path="),
    (["upscale", "in.mkv", "out.mp4", "--method", "vdsr", "--weights", "in.mkv"], "in.mkv: damaged or no PyTorch file"),
    (["upscale", "in.mkv", "out.mp4", "--padding", "grey"], "grey"),
    (["upscale", "in.mkv", "out.mp4", "--device", "quantum"], "quantum"),
    (["weights", "import", "in.mkv", "w.safetensors"], "in.mkv"),
    (["data", "generate", "clips", "--split", "dev"], "choose one of train, test"),
    (["data", "check", "kinetics", "."], "unknown data set 'kinetics'"),
    (["data", "check", "weizmann", "absent"], "absent: no such folder"),
]


@pytest.mark.parametrize("arguments, message", WRONG, ids=[" ".join(a[:2] + a[-1:]) for a, _ in WRONG])
def test_wrong_input_is_one_line_and_exit_code_2(arsr, clip, tmp_path, arguments, message):
    done = arsr(*arguments)
    assert done.returncode == 2, done
    assert message in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["in.mkv"]  # nothing half-written


@pytest.mark.parametrize("command", [[], ["upscale"], ["weights", "import"], ["data", "generate"], ["data", "check"]])
def test_every_command_explains_itself(arsr, command):
    text = arsr(*command, "--help").stdout
    assert "sage: arsr" in text and (not command or "Examples" in text)


def test_help_and_wrong_options_wait_for_no_torch():
    code = (
        "import sys\n"
        "from arsr import cli\n"
        "for words in (['--help'], ['nothing'], ['run'], ['upscale', 'in.mkv'], ['flow', 'absent', 'out'],\n"
        "    ['train', 'nothing'], ['evaluate', 'nothing', 'x'], ['reproduce', '--data', 'absent']):\n"
        "    try: cli.parse(words)\n"
        "    except ValueError: pass\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_half_a_word_is_no_command_and_a_closed_pipe_no_error(arsr):
    assert arsr("r").returncode == 2
    done = subprocess.run(f"{sys.executable} -m arsr | true", shell=True, capture_output=True, text=True)
    assert done.stderr == "", done.stderr
