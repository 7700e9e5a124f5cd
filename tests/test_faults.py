"""Hard files and wrong words: each is one line that names it, with exit code 2; nothing is written, nothing hangs.

Media, weights and functions: test_faults_files.py. Writers, disks, kills: test_faults_writing.py.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from traitlets import TraitError

from arsr import cli, manifest, printing, reading, records, scores
from arsr.book import build as book
from arsr.book import chapter, notebooks, parameters, tables
from arsr.commands import assignments
from arsr.data import clips, flow_cache, folders, pairs, snippets, stores
from arsr.training.loop import fit
from arsr.viewer import Viewer
from arsr_core import recognition
from arsr_core.errors import InputError


@pytest.fixture
def arsr(monkeypatch, capsys, tmp_path):
    """The command in this process, in a folder of its own -> (exit code, what it said to a pipe, to a person)."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["arsr", *map(str, words)])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


def refused(done, *words):
    """Exit code 2, one line, nothing to a pipe, and the words in the line."""
    code, out, said = done
    assert code == 2 and not out and said.startswith("arsr: ") and said.count("\n") == 1, done
    assert all(str(word) in said for word in words), said


def hostile(path: Path, kind: str | bytes) -> Path:
    """A file that is none: of these bytes, or of a kind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(kind)
    return path


# --- files that are read back: plain, in UTF-8, of bounded size and depth

JSON = {
    "binary": b"\xff\xfe\x00\x01",
    "latin-1": '[{"key": "caf\xe9"}]'.encode("latin-1"),
    "utf-16": '[{"key": "a"}]'.encode("utf-16"),
    "empty": b"",
    "cut": b'[{"key": "a.b", "val',
    "deep nesting": b"[" * 100_000 + b"]" * 100_000,
    "a little too deep": b"[" * 70 + b"]" * 70,
    "huge integer": b'[{"value": ' + b"9" * 5000 + b"}]",
    "a name twice": b'[{"key": "a", "key": "b"}]',
    "a fifo": "fifo",
    "a device": "device",
    "a folder": "folder",
}
NO_ROWS = {"null": b"null", "a number": b"3", "a mapping": b"{}", "no mappings": b"[1, 2]", "empty rows": b"[{}]"}


@pytest.mark.parametrize("content", (JSON | NO_ROWS).values(), ids=(JSON | NO_ROWS).keys())
def test_records_and_manifests_are_read_with_care(tmp_path, content):
    hostile(tmp_path / "manifest.json", content)
    hostile(tmp_path / "zz.json", content)
    for read, name in ((records.load, "zz.json"), (lambda path: manifest.load(path.parent), "manifest.json")):
        with pytest.raises(InputError, match=name) as error:
            read(tmp_path / name)
        assert len(str(error.value)) < 800


@pytest.mark.parametrize("name", ["settings.json", "index.json"])
@pytest.mark.parametrize("content", (JSON | NO_ROWS).values(), ids=(JSON | NO_ROWS).keys())
def test_the_index_of_a_store_is_read_with_care(tmp_path, content, name):
    good = {"settings.json": b'{"embedded": 1}', "index.json": b'[{"name": "a", "file": "a.safetensors"}]'}
    for file, whole in good.items():
        hostile(tmp_path / file, content if file == name else whole)
    with pytest.raises(InputError, match=name):
        pairs.PairSet(tmp_path)


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "LARGEST", 1024)
    hostile(tmp_path / "a.json", b"[" + b" " * 1024 + b"]")
    hostile(tmp_path / "a.yaml", b"a: 1\n" * 2)
    for name in ("a.json", "a.yaml"):
        with pytest.raises(InputError, match=rf"{name}: 1?,?\d+ bytes, expected"):
            reading.data(tmp_path / name, "correct it")


YAML = {
    "anchors that explode": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
    "an anchor of itself": "&a [*a]",
    "deep": "[" * 5000,
    "a name twice": "frames: 8\nframes: 16",
    "an object": "!!python/object/apply:os.system ['true']",
    "huge integer": "a: " + "9" * 5000,
    "control characters": "a: \x07",
    "a tag that lies": "!!int ten",
}


@pytest.mark.parametrize("text", YAML.values(), ids=YAML.keys())
def test_yaml_that_is_refused(tmp_path, text):
    (tmp_path / "small.yaml").write_text(text)
    with pytest.raises(InputError, match="small.yaml: damaged or not YAML .*; correct it"):
        reading.data(tmp_path / "small.yaml", "correct it")
    with pytest.raises(InputError, match="--set .*: expected NAME=VALUE in YAML"):
        assignments((f"a={text}",))


def test_yaml_is_read_as_a_person_does():
    text = "[010, 3_500, -7, 1e-4, .5, 2., 1:30, yes, on, true, ~, 2020-01-02, 0x1f, '8', .nan, =, <<]"
    *values, nan, equals, merge = reading.parsed(text)
    expected = [10, 3500, -7, 1e-4, 0.5, 2.0, "1:30", "yes", "on", True, None, "2020-01-02", "0x1f", "8"]
    assert values == expected and list(map(type, values)) == list(map(type, expected))
    assert nan != nan and (equals, merge) == ("=", "<<")


# --- stores

ROW = {"name": "a", "file": "a-1.safetensors", "label": 0, "action": "wave", "group": "x", "frames": 9}
ROWS = {
    "a file elsewhere": {"file": "../../a.safetensors"},
    "a hidden file": {"file": ".a.safetensors"},
    "another kind of file": {"file": "a.pth"},
    "label as text": {"label": "0"},
    "label below 0": {"label": -1},
    "no frames": {"frames": -4},
    "frames as text": {"frames": "9"},
    "group a list": {"group": ["x"]},
    "no class for label 0": {"label": 1},
}


@pytest.mark.parametrize("changed", ROWS.values(), ids=ROWS.keys())
def test_rows_of_snippets_are_checked(tmp_path, changed):
    made = asdict(snippets.Preparation(recognition.PROTOCOLS["lite"]))
    (tmp_path / "settings.json").write_text(json.dumps(made))
    (tmp_path / "index.json").write_text(json.dumps([ROW | changed]))
    with pytest.raises(InputError, match=str(tmp_path)):
        snippets.Snippets(tmp_path, "rgb")
    (tmp_path / "index.json").write_text(json.dumps([ROW, ROW | {"name": "b", "action": "bend"}]))
    with pytest.raises(InputError, match="expected one class for each label"):
        snippets.Snippets(tmp_path, "rgb")
    (tmp_path / "index.json").write_text(json.dumps([ROW]))
    assert snippets.Snippets(tmp_path, "rgb").classes == ["wave"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Pairs of one embedded clip."""
    folder = tmp_path_factory.mktemp("pairs")
    pairs.store_pairs(pairs.Pairs(embedded=1, patch=64, clip_frames=2, windows=2), folder)
    return folder


@pytest.mark.parametrize("column, value", [(1, 0), (1, 99), (2, 99), (2, -1), (3, 4000), (4, -8)])
def test_windows_lie_in_their_frames(store, tmp_path, column, value):
    from safetensors.numpy import load_file, save_file

    for path in store.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    [path] = tmp_path.glob("*.safetensors")
    arrays = load_file(path)
    arrays["windows"][0, column] = value
    save_file(arrays, path)
    with pytest.raises(InputError, match=f"{path.name}: no clip with its windows"):
        pairs.PairSet(tmp_path)
    for lacking in ("frames", "flow", "windows"):
        save_file({name: x for name, x in arrays.items() if name != lacking}, path)
        with pytest.raises(InputError, match=f"{path.name}: no clip with its windows"):
            pairs.PairSet(tmp_path)


def test_keys_of_a_cache_stay_inside_it(tmp_path):
    cache = flow_cache.Cache(tmp_path / "deep" / "cache")
    for key in ("../../../escaped", "", "a" * 63, "A" * 64, "a" * 64 + "\n"):
        with pytest.raises(InputError, match="expected a key that cache_key made"):
            cache.get(key, lambda: torch.zeros(1, 2, 4, 4, dtype=torch.uint8))
    assert not [*tmp_path.rglob("*.npz")]


# --- files of scores

CLASSES = ("bend", "jump", "run")
MEASURED = records.Provenance(kind="measured", source="a study", command="arsr evaluate ...")
HEADER = dict(classes=CLASSES, protocol={}, flow={}, precision="auto", runs=[MEASURED.model_dump()])
SCORED = dict(dataset="weizmann", network="tsn", stream="spatial", method="hr", protocol="light", fold="", clip="a")
SCORED |= dict(group="x", label=0, action="bend", status="ok", reason="", scores=[1.0, 2.0, 3.0])
SCORE_FAULTS = {
    "label 99": ({"label": 99}, {}),
    "label null": ({"label": None}, {}),
    "scores null": ({"scores": None}, {}),
    "a score null": ({"scores": [1.0, None, 2.0]}, {}),
    "scores of another length": ({"scores": [1.0, 2.0]}, {}),
    "scores nan": ({"scores": [1.0, 2.0, float("nan")]}, {}),
    "action of another label": ({"action": "run"}, {}),
    "unknown status": ({"status": "lost"}, {}),
    "unknown stream": ({"stream": "audio"}, {}),
    "unreadable with scores": ({"status": "unreadable", "reason": "cut"}, {}),
    "unreadable without a reason": ({"status": "unreadable", "scores": []}, {}),
    "no clip": ({"clip": None}, {}),
    "a class twice": ({}, {"classes": ("bend", "bend", "run")}),
    "no classes": ({}, {"classes": ()}),
    "another field": ({}, {"colour": 1}),
    "runs null": ({}, {"runs": None}),
}


def write_scores(path, rows, header):
    table = pa.Table.from_pylist(rows, scores.SCHEMA).replace_schema_metadata({"arsr": json.dumps(header)})
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize("row, header", SCORE_FAULTS.values(), ids=SCORE_FAULTS.keys())
def test_scores_are_checked_when_they_are_read(tmp_path, row, header):
    assert len(scores.load(write_scores(tmp_path / "good.parquet", [SCORED], HEADER))[0]) == 1
    path = write_scores(tmp_path / "s.parquet", [SCORED | {"clip": "b"}, SCORED | row], HEADER | header)
    with pytest.raises(InputError, match=r"s\.parquet: not a file of scores \(.*\); write it again") as error:
        scores.load(path)
    assert "\n" not in str(error.value)


def test_an_empty_table_of_scores_is_refused(tmp_path):
    with pytest.raises(InputError, match="no rows in it"):
        scores.load(write_scores(tmp_path / "s.parquet", [], HEADER))
    with pytest.raises(InputError, match="a folder, or no plain file"):
        scores.load(tmp_path)


# --- checkpoints


def checkpoints(good):
    identity = good["identity"]
    return {
        "a tensor": torch.zeros(3),
        "a list": [1],
        "no identity": {k: v for k, v in good.items() if k != "identity"},
        "identity text": good | {"identity": "not JSON"},
        "identity a number": good | {"identity": 3},
        "identity of lists": good | {"identity": {part: [1] for part in identity}},
        "identity without its parts": good | {"identity": {}},
        "optimizer empty": good | {"optimizers": {"loss": {}}},
        "modules empty": good | {"modules": {}},
        "weights of another shape": good | {"modules": {"loss": {"weight": torch.zeros(9), "bias": torch.zeros(1)}}},
        "step text": good | {"step": "many"},
        "rows numbers": good | {"rows": [1, 2]},
    }


@pytest.mark.parametrize("kind", [*checkpoints({"identity": {}}), "fifo", "folder"])
def test_checkpoints_are_checked(tmp_path, kind):
    def train(steps=2):
        data = [torch.rand(3) for _ in range(4)]
        how = dict(steps=steps, batch=2, folder=tmp_path, progress=False)
        return fit(torch.nn.Linear(3, 1), data, loss=lambda batch, net: net(batch).mean(), **how)

    train()
    path = tmp_path / "checkpoint.pt"
    good = torch.load(path, weights_only=True)
    if kind in ("fifo", "folder"):
        path.unlink()
        hostile(path, kind)
    else:
        torch.save(checkpoints(good)[kind], path)
    with pytest.raises(InputError, match=r"checkpoint\.pt: .*remove it") as error:
        train()
    assert len(str(error.value)) < 1000


# --- recipes

RECIPES = {
    "unknown name": ("vdsr", "speed=1", "no speed; expected method"),
    "clip below 0": ("vdsr", "clip=-1", "expected clip greater than 0, got -1"),
    "clip 0": ("vdsr", "clip=0", "clip"),
    "rate below 0": ("vdsr", "rate=-1", "expected rate greater than or equal to 0, got -1"),
    "rate not finite": ("vdsr", "rate=.nan", "expected rate a finite number, got nan"),
    "rate endless": ("vdsr", "rate=.inf", "rate"),
    "rate text": ("vdsr", "rate=nan", "expected rate a valid number, got 'nan'"),
    "steps 0": ("vdsr", "steps=0", "steps"),
    "steps a truth": ("vdsr", "steps=true", "steps"),
    "steps 1:30": ("vdsr", "steps=1:30", "expected steps a valid integer, got '1:30'"),
    "lite maybe": ("vdsr", "lite=maybe", "lite"),
    "lite of another form": ("vdsr", "lite=false", "vdsr: lite is what its name stands for"),
    "another method": ("vdsr", "method=rcan", "vdsr: method is what its name stands for"),
    "another stream": ("tsn-rgb", "stream=flow", "tsn-rgb: stream is what its name stands for"),
    "milestones a number": ("tsn-rgb", "milestones=5", "milestones"),
    "optimizer magic": ("tsn-rgb", "optimizer=magic", "expected optimizer 'sgd' or 'adamw', got 'magic'"),
    "backbone magic": ("tsn-rgb", "backbone=magic", "backbone"),
    "frozen below 0": ("tsn-rgb", "frozen=-3", "expected frozen greater than or equal to 0, got -3"),
    "dropout 1": ("tsn-rgb", "dropout=1.0", "expected dropout less than 1, got 1.0"),
    "decay below 0": ("tsn-rgb", "decay=-0.1", "decay"),
    "partial_bn text": ("tsn-rgb", "partial_bn=yes", "partial_bn"),
    "imagenet of no file": ("tsn-rgb", "imagenet=absent.pth", "imagenet: absent.pth: no such file"),
    "imagenet of none": ("tsn-rgb", "imagenet=true", "imagenet: true is for efficientnet_lite0"),
    "batch beyond memory": ("vdsr", "batch=1000000000", "expected batch less than or equal to 10000"),
    "steps beyond a life": ("vdsr", "steps=99999999999999999999", "steps"),
    "no loss": ("vdsr", "pixel_weight=0", "a recipe needs a loss; expected one weight above 0"),
    "no warp loss": ("tosr", "warp=[0, 0, 0]", "a recipe needs a loss"),
    "no start": ("st-resnet", "start=[]", "start: expected two streams for ST-ResNet, at most one for TSN, got ()"),
    "imagenet no weights": ("tsn-rgb", f"imagenet={__file__}", "damaged or no PyTorch file"),
    "a patch between": ("vdsr", "patch=18", "expected patch a multiple of 4, got 18"),
    "unknown augmentation": ("tsn-rgb", "augmentation={zoom: 1}", "no augmentation.zoom"),
    "augmentation beyond": ("tsn-rgb", "augmentation={mirror: 5}", "mirror"),
    "augmentation of nothing": ("tsn-rgb", "augmentation={degrade_scale: 0}", "degrade_scale"),
    "anchors": ("tsn-rgb", "milestones=[&a [1], *a]", "expected NAME=VALUE in YAML"),
    "deep": ("tsn-rgb", "milestones=" + "[" * 5000, "expected NAME=VALUE in YAML"),
}


@pytest.mark.parametrize("recipe, setting, message", RECIPES.values(), ids=RECIPES.keys())
def test_a_recipe_is_checked_before_all_preparation(arsr, tmp_path, recipe, setting, message):
    refused(arsr("train", recipe, "--set", setting, "--out", "t"), message)
    assert not any(tmp_path.iterdir())


TRAININGS = {
    "a split of super-resolution": (["vdsr", "--splits", "."], "vdsr, profile embedded: has no use for --splits"),
    "data of embedded clips": (["tsn-rgb", "--data", "."], "has no use for --data"),
    "an unknown data set": (["tsn-rgb", "--profile", "small", "--dataset", "kinetics"], "kinetics"),
    "seed below 0": (["vdsr", "--seed", "-1"], "expected seed greater than or equal to 0, got -1"),
    "seed too large": (["tsn-rgb", "--seed", "99999999999"], "seed"),
    "workers below 0": (["vdsr", "--workers", "-1"], "workers"),
    "workers beyond": (["vdsr", "--workers", "5000"], "expected workers less than or equal to 512"),
    "start no weights": (["sosr", "--start", __file__], "damaged or no PyTorch file"),
    "a test of nothing": (["vdsr", "--test", __file__], "--test has no use without --ship"),
    "outside the checkout": (["esrgan"], "no manifest there; run arsr in the project's checkout or add --root"),
    "nothing as --out": (["vdsr", "--out", ""], "--out: expected a value, got ''"),
    "nothing as --out=": (["vdsr", "--out="], "--out: expected a value, got ''"),
}


@pytest.mark.parametrize("words, message", TRAININGS.values(), ids=TRAININGS.keys())
def test_a_training_is_checked_before_all_preparation(arsr, tmp_path, words, message):
    refused(arsr("train", *words), message)
    assert not any(tmp_path.iterdir())


# --- parameters of chapters

PARAMETERS = {
    "clips=1": "--set: clips: expected greater than or equal to 2, got 1",
    "clips=-3": "clips",
    "clips=99999999": "--set: clips: expected less than or equal to 10000",
    "clips=two": "--set: clips: expected a valid integer, got 'two'",
    "clips=010.5": "clips",
    "frames=1": "frames",
    "frames=true": "frames",
    "flow_pairs=0": "flow_pairs",
    "flow_frames=5": "flow_frames",
    "show_clip=-1": "show_clip",
    "seed=-1": "seed",
    "seed=1:30": "--set: seed: expected a valid integer, got '1:30'",
    "patterns=[1]": "--set: patterns: expected 0 a valid string, got 1",
    "patterns='*.avi'": "--set: patterns: expected a valid list, got '*.avi'",
    "weights=[vdsr]": "weights",
    "weights={magic: a.pth}": "weights",
    "preset=slow": "preset",
    "protocol=magic": "protocol",
    "dataset=kinetics": "dataset",
    "measured=../../etc": "measured",
    "streams=[]": "streams",
    "streams=[audio]": "streams",
    "one_video=[-1]": "one_video",
    "end_to_end_weight=.nan": "end_to_end_weight",
    "training_steps=1.5": "training_steps",
    "profile=[1, 2]": "profile is not set by --set: give it with --profile",
    "profile=<img src=x onerror=alert(1)>": "profile is not set by --set",
    "data_root=x": "data_root is not set by --set: give it with --data",
    "speed=1": "no chapter has a parameter speed; the chapters declare benchmark_clips",
}


@pytest.fixture(scope="module")
def config(root):
    return book.Build(root)


@pytest.mark.parametrize("setting, message", PARAMETERS.items(), ids=PARAMETERS.keys())
def test_parameters_of_chapters_have_types_and_ranges(config, setting, message, monkeypatch):
    with pytest.raises(InputError) as error:
        _ = book.Build(config.root, overrides=assignments((setting,))).parameters
    assert message in str(error.value) and "\n" not in str(error.value)


def test_every_parameter_of_a_chapter_is_declared_in_one_place(config):
    declared = {name for path in config.chapters for name in notebooks.declared_parameters(path)}
    assert declared - {"profile", "data_root"} == parameters.KINDS.keys()
    for path in config.chapters:
        parameters.require(path.stem, notebooks.declared_parameters(path), {})


def test_a_chapter_takes_its_own_parameters_alone(arsr, config, tmp_path):
    run = ("--root", config.root, "--out", "b")
    refused(arsr("run", "08", "--set", "methods=[vdsr]", *run), "08-benchmark has no parameter methods")
    known = "embedded, paper, small"
    refused(arsr("run", "01", "--profile", "huge", *run), f"unknown profile 'huge'; choose one of {known}")
    refused(arsr("run", "01", "--profile", "../params/small", *run), "unknown profile")
    refused(arsr("run", "12", *run), "12-claims: a page without code")
    refused(arsr("run", "99", *run), "no chapter '99'")
    assert not any(tmp_path.iterdir())  # no lock either


def test_an_index_beyond_the_clips_is_said():
    with pytest.raises(InputError, match="show_clip: expected 0 to 1, for there are 2 clips, got 99"):
        chapter.among(["a", "b"], show_clip=99)


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", "frames: 8 # \xe9".encode("latin-1"), b"- 3", b"a: *b", b"frames: many", b"frames:", "fifo"],
)
def test_parameter_files_are_read_with_care(config, tmp_path, content):
    for name in ("_config.yml", "_toc.yml"):
        (tmp_path / name).write_text((config.root / name).read_text())
    (tmp_path / "book").mkdir()
    for page in config.pages:
        (tmp_path / "book" / page.name).symlink_to(page)
    hostile(tmp_path / "book" / "params" / "bin.yaml", content)
    with pytest.raises(InputError, match=r"bin\.yaml: "):
        _ = book.Build(tmp_path, "bin").parameters
    page = tmp_path / "book" / config.chapters[1].name
    page.unlink()
    hostile(page, b"\xff\xfe\x00")
    with pytest.raises(InputError, match=f"{page.name}: not text in UTF-8"):
        _ = book.Build(tmp_path, "bin").chapters


# --- claims and evaluations

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "claims outside the checkout": (["claims"], "no results here; run arsr in the project's checkout or add --root"),
    "claims --out ''": (["claims", "--out", ""], "--out: expected a value, got ''"),
    "reproduce outside the checkout": (["reproduce", "--profile", "embedded"], "no weights here; run arsr in"),
    "book outside the checkout": (["book"], "no _config.yml here; run arsr in the project's checkout or add --root"),
    "evaluate into a.csv": (["evaluate", "embedded", "a.csv", "-r", "file"], "a.csv: expected a file to write, OUT.p"),
    "evaluate: out is a folder": (["evaluate", "embedded", "folder.parquet", "-r", "file"], "folder.parquet: expected"),
    "evaluate: unknown data set": (["evaluate", "kinetics", "s.parquet", "-r", "file"], "unknown data set 'kinetics'"),
    "evaluate: no data": (["evaluate", "hmdb51", "s.parquet", "-r", "file"], "give the folder of its clips, --data"),
    "evaluate: method without weights": (
        ["evaluate", "embedded", "s.parquet", "-r", "file", "-m", "vdsr"],
        "vdsr needs weights, --weights vdsr=FILE",
    ),
    "evaluate: a network with control characters": (
        ["evaluate", "embedded", "s.parquet", "-r", "file", "--network", "a\x1b[2J"],
        "network",
    ),
    "evaluate: a split of embedded": (
        ["evaluate", "embedded", "s.parquet", "-r", "file", "--split", "9"],
        "evaluate embedded: has no use for --split; leave it out",
    ),
    "evaluate: clips of real": (
        ["evaluate", "weizmann", "s.parquet", "-r", "file", "--data", "folder", "--clips", "3"],
        "evaluate weizmann: has no use for --clips; leave it out",
    ),
    "evaluate: weights of hr": (
        ["evaluate", "embedded", "s.parquet", "-r", "file", "-m", "hr", "--weights", "hr=file"],
        "weights of hr, the clips as they are, which need none",
    ),
    "evaluate: half a pair": (["evaluate", "embedded", "s.parquet", "-r", "file", "-m", "hr+"], "unknown method ''"),
    "evaluate: clips without end": (["evaluate", "embedded", "s.parquet", "-r", "file", "--clips", "9999999"], "clips"),
    "evaluate: into what is no scores": (
        ["evaluate", "embedded", "file.parquet", "-r", "file"],
        "file.parquet: not a file of scores",
    ),
    "evaluate: damaged weights in new folders": (
        ["evaluate", "embedded", "n/m/s.parquet", "-r", "file", "-m", "bicubic", "--present-only"],
        "file: damaged or no PyTorch file",
    ),
    "claims through an endless link": (["claims", "--root", ROOT, "--out", "loop"], "loop: cannot be written"),
    "claims into a folder": (["claims", "--root", ROOT, "--out", "folder"], "folder: cannot be written"),
    "run through an endless link": (["run", "01", "--root", ROOT, "--out", "loop"], "loop: File exists"),
    "run nothing": (["run", ""], "run: expected a value, got ''"),
    "data pairs: larger than the frames": (
        ["data", "pairs", "p", "--embedded", "1", "--patch", "9000"],
        "none of 1 clips can serve",
    ),
    "data pairs: larger, into an empty folder": (
        ["data", "pairs", "folder", "--embedded", "1", "--patch", "9000"],
        "none of 1 clips can serve",
    ),
    "data pairs: clips without end": (["data", "pairs", "p", "--embedded", "9999999"], "embedded"),
    "data generate: no clips": (["data", "generate", "g", "--count", "0"], "expected count greater than or equal to 1"),
    "data generate: one frame": (["data", "generate", "g", "--frames", "1"], "frames"),
    "data generate: seed": (["data", "generate", "g", "--seed", "-1"], "seed"),
    "data pairs: workers": (["data", "pairs", "p", "--embedded", "1", "--workers", "0"], "workers"),
}


@pytest.mark.parametrize("words, message", COMMANDS.values(), ids=COMMANDS.keys())
def test_commands_refuse_in_one_line(arsr, tmp_path, words, message):
    for name in ("folder", "folder.parquet"):
        (tmp_path / name).mkdir()
    for name in ("file", "file.parquet"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(tmp_path.rglob("*"))
    refused(arsr(*words), message)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("content", JSON.values(), ids=JSON.keys())
def test_claims_name_the_results_that_they_cannot_read(arsr, tmp_path, content):
    hostile(tmp_path / "results" / "zz.json", content)
    refused(arsr("claims"), "zz.json")


# --- folders of clips


def test_a_list_with_a_label_of_5000_digits(tmp_path):
    (tmp_path / "Archery").mkdir()
    (tmp_path / "trainlist01.txt").write_text(f"Archery/v_Archery_g01_c01.avi {'9' * 5000}\n")
    (tmp_path / "testlist01.txt").write_text("Archery/v_Archery_g02_c01.avi\n")
    with pytest.raises(InputError, match=r"trainlist01.txt, line 1: expected 'CLASS/.*', got 'Archery/v_A"):
        folders.items("ucf101", tmp_path)
    hostile(tmp_path / "classInd.txt", "fifo")
    with pytest.raises(InputError, match=r"classInd\.txt: not a plain file"):
        folders.items("ucf101", tmp_path)


@pytest.mark.parametrize("pattern", ["/etc/*", "", "/"])
def test_patterns_lie_below_their_folder(tmp_path, pattern):
    with pytest.raises(InputError, match="patterns: .*; expected one below"):
        clips.footage(tmp_path, [pattern])


# --- what reaches a terminal or a page

NASTY = "a\x1b[2J\x1b]0;pwned\x07\n\u202egpj\x9b31m"


def quiet(text):
    return all(c.isprintable() or c in "\n\N{NO-BREAK SPACE}" for c in text)


def test_control_characters_are_written_out():
    assert printing.printable("a\x1b[2J\u202e\x9b\n\t\ud800\udce9\N{NO-BREAK SPACE}é–") == (
        r"a\x1b[2J\u202e\x9b\n\t\ud800\udce9" + "\N{NO-BREAK SPACE}é–"
    )


def test_what_a_terminal_cannot_show_is_written_out(monkeypatch):
    import io

    narrow = io.TextIOWrapper(io.BytesIO(), "ascii")
    printing.tell("é\x1b\nb", file=narrow)
    narrow.flush()
    assert narrow.buffer.getvalue() == b"\\xe9\\x1b\nb\n"


def test_names_of_files_move_no_cursor(arsr, tmp_path):
    refused(arsr("upscale", NASTY + ".avi", "o.mp4"), r"a\x1b[2J\x1b]0;pwned\x07", r"\u202egpj\x9b31m")
    home = tmp_path / "weizmann" / "bend"
    home.mkdir(parents=True)
    for name in (NASTY.encode(), b"caf\xe9"):
        Path(os.fsdecode(os.fsencode(home) + b"/" + name + b".avi")).write_bytes(b"no video")
    code, out, said = arsr("data", "check", "weizmann", "weizmann")
    assert code == 1 and quiet(out) and quiet(said)
    assert r"caf\udce9.avi: not a clip that Weizmann names" in out and r"\x1b]0;pwned\x07\n" in out
    code, out, said = arsr("data", "pairs", "p", "weizmann")
    assert code == 2 and quiet(said) and said.count("\n") == 1
    assert all(quiet(name) for name, _ in pairs.find(pairs.Pairs((str(tmp_path),))))


def test_a_clip_of_any_name_is_scored_and_stored(tmp_path):
    clip = clips.from_file(tmp_path, "bend/caf\udce9_bend.avi", "bend", 0, "caf\udce9")
    assert (clip.name, clip.group) == (r"bend/caf\udce9_bend.avi", r"caf\udce9")
    assert os.fsencode(clip.path).endswith(b"caf\xe9_bend.avi") and stores.key(clip.name).isascii()


def test_tables_write_them_out():
    frame = pd.DataFrame({"clip": [NASTY, "<img src=x onerror=alert(1)>"], "PSNR": [1.0, 2.0]})
    html = tables.plain(frame, "names", "clips").format(precision=2).to_html()
    assert quiet(html) and "<img" not in html and "&lt;img src=x" in html
    assert quiet(tables.markdown(("clip",), [[NASTY]])) and tables.markdown(("clip",), [[NASTY]]).count("\n") == 2


def test_records_write_them_out():
    made = records.Record(key="a", value=1.0, description=NASTY, provenance=MEASURED)
    source = records.Provenance(kind="measured", source=NASTY, command=NASTY, note=NASTY, versions={"a\x1b": NASTY})
    assert quiet(made.model_dump_json()) and quiet("".join(map(str, source.model_dump().values())))


def frames():
    return np.zeros((2, 16, 16, 3), np.uint8)


def test_labels_of_a_viewer_are_written_out(tmp_path):
    label = "a\ud800b\x1b"
    view = Viewer({"HR": frames(), label: frames()}, scores={label: {"x\ud800": 1.0}}, action="x\ud800", right=label)
    assert view.labels == ["HR", r"a\ud800b\x1b"] and view.right == r"a\ud800b\x1b"
    text = view.to_html()
    assert "\x1b" not in text and text.encode() and "\\ud800" in view.save(tmp_path / "v.html").read_text("utf-8")
    assert view.worst(label)[3] == 0
    with pytest.raises(InputError, match="two labels of the clips are written alike"):
        Viewer({"a\x1b": frames(), r"a\x1b": frames()})


VIEWS = {
    "scale nan": ("scale", float("nan")),
    "scale text": ("scale", "1"),
    "frame between two": ("frame", 0.5),
    "frame text": ("frame", "1"),
    "frame a truth": ("frame", True),
    "frame nan": ("frame", float("nan")),
    "picked text": ("picked", "ab"),
    "picked between two": ("picked", (0.5, 1)),
    "picked three": ("picked", (1, 1, 1)),
    "line nan": ("line", (0, 0, 1, float("nan"))),
    "left a list": ("left", ["HR"]),
    "mode none": ("mode", None),
}


@pytest.mark.parametrize("name, value", VIEWS.values(), ids=VIEWS.keys())
def test_traits_of_a_viewer_are_checked(name, value):
    view = Viewer({"HR": frames(), "b": frames()}, picked=(np.float32(3.0), np.int8(2)))
    assert view.picked == (3, 2)
    with pytest.raises(TraitError, match=name):
        setattr(view, name, value)
    with pytest.raises(TraitError, match=name):
        Viewer({"HR": frames(), "b": frames()}, **{name: value})


@pytest.mark.parametrize("budget", [-1, "1", None, 2.5, float("nan")])
def test_the_budget_of_a_viewer_is_checked(budget):
    with pytest.raises(InputError, match="viewer: expected budget in bytes"):
        Viewer({"HR": frames()}, budget=budget)


@pytest.mark.parametrize("given", [{"x": "1"}, {"x": None}, {"x": float("inf")}, [1], "x"])
def test_the_scores_of_a_viewer_are_checked(given):
    with pytest.raises(InputError, match="finite score"):
        Viewer({"HR": frames()}, scores={"HR": given})
