"""The commands, as a user types them: in a process of their own, with right and wrong input."""

import inspect
import re
import subprocess
import sys
from ast import literal_eval
from typing import get_args, get_type_hints

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
    "lab": "--root --out",
    "claims": "--root --out",
    "upscale": "IN OUT --method --weights --padding --device --precision --backend --tile --batch --lossless --fps",
    "flow": "IN OUT --format --method --preset --weights --download --bound --workers --device --fps",
    "train": "RECIPE --profile --data --dataset --splits --groups --folds --fold --seed --start --out --set -p "
    "--precision --workers --ship --test --root",
    "train --list": "",
    "evaluate": "DATASET OUT --recogniser -r --method -m --weights --data --splits --split --groups --folds "
    "--present-only --clips --seed --protocol --preset --network --precision --cache --device --workers --batch",
    "adapt": "KIND OUT --hr --lr --start --share --recipe --profile --recogniser --method --weight --still "
    "--steps --batch --seed --precision --workers",
    "reproduce": "--profile --data --videos --out --stage --dry-run --dataset --method -m --only --skip-training "
    "--seeds --budget --set -p --protocol --preset --split --splits --present-only --clips --device --processes "
    "--precision --rates --engine --machine --keep --root",
    "data clips": "OUT KIND --data --splits --split --groups --present-only --protocol --preset --method --workers "
    "--device",
    "data check": "KIND ROOT --splits --split --decode --groups --folds",
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
    (["upscale", "in.mkv", "out.mp4", "--method", "nothing"], "invalid choice 'nothing' for argument '--method'"),
    (["upscale", "in.mkv", "out.mp4", "--method", "vdsr"], "vdsr needs weights, --weights FILE"),
    (["upscale", "in.mkv", "out.mp4", "--method", "vdsr", "--weights", "in.mkv"], "in.mkv: damaged or no PyTorch file"),
    (["upscale", "in.mkv", "out.mp4", "--padding", "grey"], "grey"),
    (["upscale", "in.mkv", "out.mp4", "--device", "quantum"], "quantum"),
    (["weights", "import", "in.mkv", "w.safetensors"], "in.mkv"),
    (["data", "generate", "clips", "--split", "dev"], "Expected one of ('train', 'test')"),
    (["data", "check", "kinetics", "."], "invalid choice 'kinetics'"),
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


EARLY = """
--help
nothing
train --help
evaluate --help
reproduce --help
upscale --help
book --help
data pairs --help
train --list
train nothing
train vdsr --sedd 1
train vdsr --seed one
train vdsr --precision float64
train vdsr --profile huge
train vdsr --set steps=many
train vdsr --set pace=1
train vdsr --data absent
evaluate embedded
evaluate nothing out.parquet -r in.mkv
evaluate embedded out.parquet
evaluate embedded out.parquet -r absent.safetensors
evaluate embedded out.parquet -r in.mkv --clips many
evaluate embedded out.parquet -r in.mkv --clips 0
evaluate embedded out.parquet -r in.mkv --precision float64
evaluate embedded out.parquet -r in.mkv -m nothing
evaluate embedded out.parquet -r in.mkv --weights vdsr
evaluate embedded out.parquet -r in.mkv --weights vdsr=absent -m vdsr
evaluate embedded out.parquet -r in.mkv --device quantum
evaluate hmdb51 out.parquet -r in.mkv
reproduce
reproduce --stage none
reproduce --preset slow
reproduce --data absent
reproduce --data . --videos absent
reproduce --data . --budget 200
reproduce --data . --seeds 9
reproduce --data . --set pace=1
reproduce --profile embedded --clips 0
reproduce --profile embedded --dataset kinetics
reproduce --profile embedded -m nothing
upscale
upscale absent out.mp4
upscale in.txt out.mp4
upscale in.mkv out.mp4 --batch many
upscale in.mkv out.mp4 --method nothing
upscale in.mkv out.mp4 --method vdsr
upscale in.mkv out.mp4 --padding grey
upscale in.mkv out.mp4 --device quantum
upscale in.mkv out.txt
flow in.mkv out.mp4 --preset slow
flow in.mkv out --format jpeg
flow in.txt out.mp4
book --jobs two
book --profil small
book --root {root} --profile none
run
run 99 --root {root}
data check kinetics .
data check weizmann
data generate clips --split dev
data clips out hmdb51
data clips out hmdb51 --data absent
data clips out kinetics --data .
adapt retrained
adapt retrained out --hr . --start absent
adapt retrained out --hr . --start in.mkv --share 5
adapt retrained out --hr . --start in.mkv
adapt end-to-end out --hr . --start in.mkv
adapt retrained out --hr . --lr . --start in.mkv --recipe st-resnet
adapt turns out --hr . --start in.mkv
adapt end-to-end out --hr . --start in.mkv --recogniser in.mkv --still
data pairs
data pairs out
data pairs out --embedded 3 --patch 15
weights import in.mkv
claims --out
"""


TORCHLESS = """
import contextlib, io, sys
class Refuse:
    def find_spec(name, *_):
        if name in ("torch", "jupytext"):
            raise ImportError("what is slow to load")
sys.meta_path.insert(0, Refuse)
from arsr import cli
for words in {lines}:
    sys.argv, sys.stderr, out = ["arsr", *words.split()], io.StringIO(), io.StringIO()
    sys.stderr.isatty = lambda: {terminal}
    with contextlib.redirect_stdout(out):
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code
        except ImportError as error:
            code = str(error)
    print(repr((words, code, out.getvalue(), sys.stderr.getvalue())))
"""


def torchless(lines, folder, terminal=False):
    """(words, exit code, said to a pipe, said to a person) of each line, in a process that may load nothing slow."""
    code = TORCHLESS.format(lines=lines, terminal=terminal)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder)
    return [literal_eval(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("command", sorted({words.split()[0] for words in EARLY.split("\n") if words}))
def test_help_and_wrong_words_wait_for_no_torch(command, clip, tmp_path, root):
    (tmp_path / "in.txt").write_text("no video")
    lines = [words.format(root=root) for words in EARLY.split("\n") if words.split()[:1] == [command]]
    said = torchless(lines, tmp_path)
    assert [words for words, *_ in said] == lines
    for words, code, out, error in said:
        asked = "--help" in words or "--list" in words
        assert code == (0 if asked else 2) and bool(out) == asked, (words, code, out, error)
        assert asked or (error.startswith("arsr: ") and error.count("\n") == 1), (words, error)


BEGUN = {
    "train vdsr": "vdsr-lite: 2,000 steps",
    "evaluate embedded out.parquet -r in.mkv": "embedded: hr, bicubic, seen by 1 recognisers, lite",
    "reproduce --profile embedded": "embedded: looking for what there is",
    "book --root {root} --out book": "embedded: looking for chapters that changed",
    "run 01 --root {root} --out book": "01-data-and-degradation: to execute",
    "upscale in.mkv out.mp4": "in.mkv: to four times its size by bicubic",
    "flow in.mkv out.mp4": "in.mkv: flow by tvl1",
}


def test_a_person_reads_what_begins_before_torch_loads(clip, tmp_path, root):
    begun = {words.format(root=root): line for words, line in BEGUN.items()}
    for words, code, _, error in torchless([*begun], tmp_path, terminal=True):
        assert error.startswith(begun.pop(words)) and "what is slow to load" in f"{code} {error}", (words, code, error)
    assert not begun


def test_choices_are_those_of_what_they_choose_from():
    from arsr.book.parameters import KINDS
    from arsr.commands.clips import Flow
    from arsr.data.windows import Pairs
    from arsr.evaluation import Evaluation
    from arsr.training import tasks
    from arsr_core.flow import METHODS, PRESETS, extraction
    from arsr_core.recognition import BACKBONES

    def choices(cls, name):  # of a Literal, perhaps annotated, perhaps | None
        hint = get_type_hints(cls)[name]
        return set(get_args(next((part for part in get_args(hint) if get_args(part)), hint)))

    assert choices(Flow, "preset") == choices(Evaluation, "flow") == choices(Pairs, "preset") == set(PRESETS)
    assert set(get_args(KINDS["preset"])) == set(PRESETS)
    assert choices(Flow, "method") == {*METHODS, "precomputed"}
    assert choices(Flow, "format") == {*extraction.FORMATS, "png"}
    assert choices(tasks.RecogniserRecipe, "backbone") == set(BACKBONES)
    assert choices(tasks.SRRecipe, "pixel") == set(tasks.PIXEL)
    assert choices(tasks.SRRecipe, "gan") == set(tasks.ADVERSARIAL)


def test_half_a_word_is_no_command_and_a_closed_pipe_no_error(arsr):
    assert arsr("r").returncode == 2
    done = subprocess.run(f"{sys.executable} -m arsr | true", shell=True, capture_output=True, text=True)
    assert done.stderr == "", done.stderr


def test_a_command_in_a_record_has_no_machine_s_paths(monkeypatch):
    from arsr.printing import typed

    words = ["evaluate", "x", "/tmp/out/a b.parquet", "--weights", "vdsr=/work/v.pth", "--set", 'p=["a/*.avi"]', "/"]
    monkeypatch.setattr("sys.argv", ["arsr", *words])
    assert typed("arsr") == "arsr evaluate x 'a b.parquet' --weights vdsr=v.pth --set 'p=[\"a/*.avi\"]' /"
