"""Hard files, hard days: writing. Nothing foreign is touched, what is written is whole or absent, two writers meet."""

import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_book import digest, failing, make_book
from test_evaluate import CLASSES, PROTOCOL, QUICK, clips
from test_evaluate import files as networks  # noqa: F401
from test_train import Points, task

from arsr import cli, evaluate, places, records, scores
from arsr.book import build as book
from arsr.book import notebooks
from arsr.data import clips as sources
from arsr.data import flow_cache, pairs, snippets, stores
from arsr.evaluation import Evaluation
from arsr.reproduce import conduct
from arsr.reproduce.study import Study
from arsr.training import loop, runs
from arsr.training.checkpoint import Checkpoint
from arsr_core import files, flow, recognition, sr, video
from arsr_core.errors import InputError
from arsr_core.recognition import PROTOCOLS

HERE = records.Provenance(kind="measured", source="a test", command="arsr")
TINY = {"embedded": 2, "clip_frames": 2, "windows": 2}


@pytest.fixture
def small(monkeypatch):
    """Trainings of seconds."""
    monkeypatch.setitem(runs.PAIRS, "embedded", TINY)
    monkeypatch.setattr(runs, "EMBEDDED_CLIPS", {"rgb": 18, "flow": 18})


def moving(seed=0, count=8, size=(48, 64)):
    """A texture that moves by a pixel a frame: uint8 (T, H, W, 3)."""
    wide = np.random.default_rng(seed).integers(0, 256, (size[0], size[1] + count, 3), np.uint8)
    return np.stack([wide[:, t : t + size[1]] for t in range(count)])


def run(*words):
    """A command, in this process."""
    cli.parse([str(word) for word in words])()


def quiet(line):
    """Of what a build says."""


def evaluation(networks, out, **changed):  # noqa: F811
    recognisers = (str(networks / "rgb.safetensors"), str(networks / "flow.safetensors"))
    common = dict(protocol=PROTOCOL, flow="fast", precision="float32", device="cpu", workers=1)
    return Evaluation("synthetic", out, recognisers, ("hr",), **common | changed)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setitem(flow.PRESETS, "fast", QUICK)


# Nothing foreign is touched ---------------------------------------------------------------------------------


def train(folder, book_root, networks):  # noqa: F811
    runs.train(runs.Run("vdsr", out=folder.parent), say=quiet)


def study(folder):
    return Study("embedded", out=folder, clips=18, methods=("hr",), shipped=Path(__file__).parents[1] / "weights")


WRITERS = {  # what writes into a folder: (name of the folder, how)
    "arsr book --out into a folder that holds other things": (
        "thesis",
        lambda folder, root, _: run("book", "--root", root, "--out", folder),
    ),
    "arsr run --out": ("thesis", lambda folder, root, _: run("run", "00", "--root", root, "--out", folder)),
    "arsr train --out": ("vdsr-lite", train),
    "arsr data generate OUT": ("g", lambda folder, *_: run("data", "generate", folder, "--count", 1, "--frames", 2)),
    "arsr data pairs OUT": ("p", lambda folder, *_: run("data", "pairs", folder, "--embedded", 1, "--patch", 32)),
    "evaluate's parts": (
        "s.parquet.parts",
        lambda folder, _, nets: evaluate.evaluate(evaluation(nets, folder.with_suffix("")), clips(), CLASSES),
    ),
    "arsr evaluate --cache": (
        "cache",
        lambda folder, _, nets: evaluate.evaluate(
            evaluation(nets, folder.with_name("s.parquet"), cache=folder), clips(), CLASSES
        ),
    ),
    "arsr reproduce --out": (
        "study",
        lambda folder, *_: conduct.conduct(study(folder), HERE, "prepare", say=quiet, tell=quiet),
    ),
}
OTHERS = ("chapters/1/text.tex", "source/main.c", "html/site.html", "flow/a.flo", "weights.safetensors", "ab/cd.npz")


@pytest.fixture(scope="module")
def book_root(tmp_path_factory, root):
    return make_book(tmp_path_factory.mktemp("book"), root)


@pytest.mark.parametrize("case", WRITERS)
def test_a_folder_of_others_stays_as_it_is(case, tmp_path, book_root, networks, small, quick):  # noqa: F811
    name, write = WRITERS[case]
    for other in OTHERS:
        (tmp_path / name / other).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name / other).write_text("precious")
    before = digest(tmp_path)
    with pytest.raises(InputError, match=f"{name}: holds something else than .*; give a new or empty folder"):
        write(tmp_path / name, book_root, networks)
    assert digest(tmp_path) == before


@pytest.mark.parametrize("name", ["source", "html", "chapters", ".pages", "read"])
def test_book_out_source_is_a_link_to_a_folder_elsewhere(name, tmp_path, book_root):
    (tmp_path / "elsewhere" / "1").mkdir(parents=True)
    (tmp_path / "elsewhere" / "1" / "main.c").write_text("precious")
    out = tmp_path / "out"
    out.mkdir()
    (out / ".arsr-book").touch()
    (out / name).symlink_to(tmp_path / "elsewhere")
    before = digest(tmp_path)
    with pytest.raises(InputError, match=f"out/{name}: a link"):
        run("book", "--root", book_root, "--out", out)
    assert digest(tmp_path) == before and (out / name).is_symlink()


def test_an_empty_folder_stays_where_nothing_comes_of_it(tmp_path, book_root):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new"):
        with pytest.raises(InputError, match="unknown profile 'huge'"):
            run("run", "00", "--profile", "huge", "--root", book_root, "--out", tmp_path / name)
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_a_folder_of_one_command_is_not_that_of_another(tmp_path):
    run("data", "generate", tmp_path / "g", "--count", 1, "--frames", 2)
    run("data", "generate", tmp_path / "g", "--count", 2, "--frames", 2)  # its own
    assert len(list((tmp_path / "g").glob("*/*.mkv"))) == 2
    with pytest.raises(InputError, match="holds something else than arsr's book"), places.own(tmp_path / "g", "book"):
        pytest.fail("entered")


SPECIAL = {
    "upscale onto a device": lambda clip, target: run("upscale", clip, target),
    "flow onto a device": lambda clip, target: run("flow", clip, target, "--preset", "fast"),
    "flow files onto a device": lambda clip, target: run("flow", clip, target, "--format", "flo"),
    "claims --out onto a device": lambda clip, target: run("claims", "--out", target),
    "evaluate onto a device": lambda clip, target: evaluate.evaluate(Evaluation("x", target, ("r",)), clips(), CLASSES),
    "flow.write onto a device": lambda clip, target: flow.write(target, torch.zeros(1, 2, 4, 4)),
    "weights import onto a device": lambda clip, target: sr.namings.convert(
        Path(__file__).parents[1] / "weights" / "vdsr-lite.safetensors", target
    ),
}


@pytest.mark.parametrize("case", SPECIAL)
@pytest.mark.parametrize("through", ["itself", "a link"])
def test_a_device_stays_a_device(case, through, tmp_path):
    video.write(tmp_path / "in.mkv", moving(), 25)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    suffix = {"flow files onto a device": "", "flow.write onto a device": ".flo", "evaluate onto a device": ".parquet"}
    target = tmp_path / f"target{suffix.get(case, '.mp4')}"
    target.symlink_to(pipe) if through == "a link" else pipe.rename(target)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=f"{target.name}: "):
        SPECIAL[case](tmp_path / "in.mkv", target)
    assert target.is_fifo() and sorted(tmp_path.iterdir()) == before


def test_claims_out_is_a_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"folder: cannot be written \(Is a directory\)"):
        run("claims", "--out", tmp_path / "folder")
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]


def test_a_link_to_a_file_is_written_through(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "file")
    files.write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "deep" / "file").read_text() == "new"


@pytest.mark.parametrize("name", ["folder.parquet", "a.csv", "a"])
def test_evaluate_out_is_no_name_of_a_file_of_scores(name, tmp_path):
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(InputError, match=f"{name}: expected a file of scores, OUT.parquet"):
        evaluate.evaluate(Evaluation("x", tmp_path / name, ("r",)), clips(), CLASSES)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder.parquet"]


# Whole or absent --------------------------------------------------------------------------------------------


def store(folder):
    made = stores.Source("a", {}, lambda: ({"x": np.zeros(3)}, {}))
    stores.fill(folder, snippets.Preparation(PROTOCOLS["lite"]), [made], "")


FULL = {  # a writer, and the name in its message
    "upscale to a full disk (PNGs)": (lambda to: run("upscale", to / "in.mkv", to / "o"), "o"),
    "upscale to a full disk": (lambda to: run("upscale", to / "in.mkv", to / "o.mp4"), "o.mp4"),
    "flow to a full disk": (
        lambda to: run("flow", to / "in.mkv", to / "o", "--format", "flo", "--preset", "fast"),
        "o",
    ),
    "weights import to a full disk": (
        lambda to: run("weights", "import", "weights/vdsr-lite.safetensors", to / "v.safetensors"),
        "v.safetensors",
    ),
    "train: prepare clips on a full disk": (lambda to: store(to / "s"), "s/"),
    "train: a checkpoint": (
        lambda to: loop.fit(**task(), data=Points(), folder=to / "t", steps=2, batch=2),
        "checkpoint.pt",
    ),
    "evaluate to a full disk": (
        lambda to: scores.save(
            to / "s.parquet",
            [],
            scores.Header(classes=("a",), protocol={}, flow={}, precision="auto", runs=(HERE,)),
        ),
        "s.parquet",
    ),
    "flow cache": (
        lambda to: flow_cache.Cache(to / "c").get("a" * 64, lambda: torch.zeros(9, dtype=torch.uint8)),
        "a.npz",
    ),
    "claims --out": (lambda to: run("claims", "--out", to / "c.json"), "c.json"),
    "data generate": (lambda to: run("data", "generate", to / "g", "--count", 1, "--frames", 2), "00000.mkv"),
}


@pytest.mark.parametrize("case", FULL)
def test_a_full_disk_is_one_line_that_names_the_target(case, tmp_path, monkeypatch):
    video.write(tmp_path / "in.mkv", moving(), 25)
    write, name = FULL[case]

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(os, "replace", full)  # of folders
    with pytest.raises(InputError) as error:
        write(tmp_path)
    assert re.search(rf"{name}\S*: cannot be written \(No space left on device\); free some space", str(error.value))
    assert ".tmp" not in str(error.value)
    left = [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith(places.OURS)]
    assert left == [tmp_path / "in.mkv"]


def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_a_killed_run_left_goes_at_the_next(tmp_path):
    gone, ours = dead(), f"{os.getppid()}-1-{files.HOST}.tmp"
    for name in (f".o.mp4.{gone}-1-{files.HOST}.tmp.mp4", f".x.{gone}-1-{files.HOST}.tmp", f".o.{ours}", ".a.tmp"):
        (tmp_path / name).touch()
    (tmp_path / f".o.{gone}-2-{files.HOST}.tmp").mkdir()
    (tmp_path / f".o.{gone}-2-{files.HOST}.tmp" / "000000.png").touch()
    (tmp_path / f".o.{gone}-1-01234567.tmp").touch()  # of another machine, where it may run
    files.write_atomically(tmp_path / "o.mp4", "")
    assert {p.name for p in tmp_path.iterdir()} == {"o.mp4", f".o.{ours}", ".a.tmp", f".o.{gone}-1-01234567.tmp"}


@pytest.mark.parametrize("name", ["x" * 251 + ".mp4", "é" * 125 + ".mkv", "x" * 255, "x." + "y" * 253], ids=len)
def test_names_may_be_as_long_as_the_system_takes(tmp_path, name):
    files.write_atomically(tmp_path / name, "1")
    assert [p.name for p in tmp_path.iterdir()] == [name]


WORK = """
import sys, time
from pathlib import Path
from arsr import cli
from arsr_core import files

def work():
    with files.atomic(sys.argv[1]) as folder:
        folder.mkdir()
        (folder / "0.png").touch()
        print("begun", flush=True)
        time.sleep(float(sys.argv[2]))

cli.parse = lambda words: work
cli.main()
"""


@pytest.mark.parametrize("name, code", [("SIGKILL", -9), ("SIGHUP", 129), ("SIGTERM", 143), ("SIGINT", 130)])
def test_a_closed_terminal_leaves_nothing_and_a_kill_nothing_for_good(name, code, tmp_path):
    command = [sys.executable, "-c", WORK, tmp_path / "out"]

    def heeds():  # whatever started the tests may ignore them, as a shell does for work in the background
        for one in (signal.SIGHUP, signal.SIGINT):
            signal.signal(one, signal.SIG_DFL)

    how = dict(stdout=subprocess.PIPE, text=True, preexec_fn=heeds)
    with subprocess.Popen([*command, "60"], **how) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(getattr(signal, name))
        assert process.wait(30) == code
    assert len(list(tmp_path.iterdir())) == (name == "SIGKILL")
    assert subprocess.run([*command, "0"], stdout=subprocess.DEVNULL).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_nohup_is_heeded(tmp_path):
    command = [sys.executable, "-c", WORK, tmp_path / "out", "1"]
    how = dict(stdout=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    with subprocess.Popen(command, **how) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGHUP)
        assert process.wait(30) == 0


def limited(*words, bytes, **how):
    """A command whose files may not grow beyond so many bytes: the system refuses the rest, as a full disk does."""
    return subprocess.run(
        [sys.executable, "-m", "arsr", *map(str, words)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes, bytes)),
        **how,
    )


@pytest.mark.slow
def test_file_size_limit_evaluate(tmp_path, root):
    words = ["-r", root / "weights" / "tsn-rgb-lite.safetensors", "--clips", 9, "--present-only", "-m", "hr"]
    done = limited("evaluate", "embedded", tmp_path / "s5.parquet", *words, bytes=2000)
    assert done.returncode == 2 and done.stderr.count("arsr: ") == 1, done.stderr
    assert re.search(r"s5.parquet.*: cannot be written \(.*File too large\); free some space", done.stderr)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_on_a_full_disk(tmp_path, monkeypatch):
    def full(path, view):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # the traceback holds on to the bytes

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"checkpoint\.pt: cannot be written .*free some space"):
        Checkpoint(tmp_path / "checkpoint.pt", {}, {}).save(1, [])
    assert not list(tmp_path.iterdir())


# Two writers ------------------------------------------------------------------------------------------------


@contextmanager
def held(folder):
    """A folder that another process writes to; its number."""
    code = "import sys; from pathlib import Path; from arsr import places\n"
    code += "with places.alone(Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()"
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with subprocess.Popen([sys.executable, "-c", code, folder], **pipes) as process:
        assert process.stdout.readline() == "in\n"
        yield process.pid


TWO = {
    "two evaluations to one file": WRITERS["evaluate's parts"],
    "book and run in one folder": WRITERS["arsr run --out"],
    "two books in one folder": WRITERS["arsr book --out into a folder that holds other things"],
    "two trainings in one folder": WRITERS["arsr train --out"],
    "two trainings in one folder, from Python": (
        "t",
        lambda folder, *_: loop.fit(**task(), data=Points(), folder=folder, steps=2, batch=2),
    ),
    "two data generate": WRITERS["arsr data generate OUT"],
}


@pytest.mark.parametrize("case", TWO)
def test_the_second_writer_learns_who_is_there_since_when(case, tmp_path, book_root, networks, small, quick):  # noqa: F811
    name, write = TWO[case]
    with held(tmp_path / name) as process:
        for mark in ("book", "training", "clips", "scores", "study"):
            (tmp_path / name / f".arsr-{mark}").touch()
        words = rf"{name}: in use by process {process} on \S+ since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d; wait for it"
        with pytest.raises(InputError, match=words):
            write(tmp_path / name, book_root, networks)


def test_a_lock_goes_with_its_writer(tmp_path):
    folder = tmp_path / "out"
    with places.alone(folder), places.alone(folder):  # one writer may nest
        assert (folder / places.LOCK).exists()
    assert not folder.exists()
    with held(folder) as process:
        os.kill(process, signal.SIGKILL)
    with places.alone(folder):  # what a killed one left holds nobody
        assert f"process {os.getpid()} on " in (folder / places.LOCK).read_text()


def test_a_full_disk_names_the_folder(tmp_path):
    with pytest.raises(OSError) as error, places.alone(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert error.value.filename == str(tmp_path)


def fill(folder, protocol, ready, found):
    ready.wait()
    try:
        stores.fill(folder, snippets.Preparation(PROTOCOLS[protocol]), [stores.Source("a", {}, lambda: ({}, {}))], "")
        found.put(protocol)
    except InputError as error:
        found.put(str(error))


def test_two_stores_of_other_settings_in_one_folder(tmp_path, forking):
    for number in range(3):
        ready, found = forking.Event(), forking.Queue()
        names = ("lite", "small") * 2
        tasks = [forking.Process(target=fill, args=(tmp_path / f"{number}", n, ready, found)) for n in names]
        for process in tasks:
            process.start()
        ready.set()
        said = [found.get(timeout=60) for _ in tasks]
        for process in tasks:
            process.join()
        assert sorted(word in names for word in said) == [False, False, True, True], said
        assert len({word for word in said if word in names}) == 1
        assert all("prepared with other settings" in word for word in said if word not in names)


@pytest.mark.slow
def test_two_evaluations_to_one_file_lose_nothing(tmp_path, root):
    words = ["evaluate", "embedded", tmp_path / "s.parquet", "-r", root / "weights" / "tsn-rgb-lite.safetensors"]
    words += ["--clips", "18", "--preset", "fast", "-m"]

    def start(method):
        return subprocess.Popen([sys.executable, "-m", "arsr", *words, method], stderr=subprocess.PIPE, text=True)

    both = [start("hr"), start("bicubic")]
    said = [process.communicate()[1] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 0], [0, 2]), said  # one after the other, or the second learns of the first
    assert codes == [0, 0] or sum("in use by process" in words for words in said) == 1
    for method in ("hr", "bicubic"):
        assert start(method).wait() == 0
    frame = scores.load(tmp_path / "s.parquet")[0]
    assert len(frame) == 36 and (frame["status"] == "ok").all()
    assert [path.name for path in tmp_path.iterdir()] == ["s.parquet"]


# Whose data -------------------------------------------------------------------------------------------------


def test_a_training_goes_on_with_other_data_in_the_same_folder(tmp_path):
    for seed in (0, 1):
        pairs.store_pairs(pairs.Pairs(patch=32, seed=seed, **TINY), tmp_path / f"{seed}")
    how = dict(out=tmp_path / "t", settings={"steps": 2, "batch": 2, "patch": 32})
    path, _ = runs.train(runs.Run("vdsr", data=(tmp_path / "0",), **how), say=quiet)
    before = digest(tmp_path)
    with pytest.raises(InputError, match=r"checkpoint.pt: .* differ in data.content\)"):
        runs.train(runs.Run("vdsr", data=(tmp_path / "1",), **how), say=quiet)
    assert digest(tmp_path) == before
    (tmp_path / "0").rename(tmp_path / "moved")  # the same data elsewhere
    assert runs.train(runs.Run("vdsr", data=(tmp_path / "moved",), **how), say=quiet)[0] == path


def test_fewer_samples_are_other_data(tmp_path):
    loop.fit(**task(), data=Points(), folder=tmp_path, steps=2, batch=2)
    with pytest.raises(InputError, match=r"differ in data.samples"):
        fewer = torch.utils.data.Subset(Points(), range(5))
        loop.fit(**task(), data=fewer, folder=tmp_path, steps=2, batch=2)


def test_clips_replaced_under_the_same_path_are_prepared_again(tmp_path):
    for name in "ab":
        video.write(
            tmp_path / "clips" / f"{name}.mkv" if name == "b" else _made(tmp_path / "clips") / "a.mkv", moving(), 25
        )
    config = pairs.Pairs(
        sources=(str(tmp_path / "clips"),), patch=32, clip_frames=2, windows=2, frames=3, preset="fast"
    )

    def prepare():
        pairs.store_pairs(config, tmp_path / "store")
        rows = {row["name"]: row for row in json.loads((tmp_path / "store" / "index.json").read_text())}
        written = {name: (tmp_path / "store" / row["file"]).stat().st_mtime_ns for name, row in rows.items()}
        return rows, written, pairs.PairSet(tmp_path / "store", frames=3).content

    rows, written, content = prepare()
    assert prepare() == (rows, written, content)
    times = os.stat(tmp_path / "clips" / "a.mkv")
    video.write(tmp_path / "clips" / "a.mkv", moving(seed=1), 25)
    os.utime(tmp_path / "clips" / "a.mkv", ns=(times.st_atime_ns, times.st_mtime_ns))  # only the content tells
    after, again, other = prepare()
    assert again["clips/b.mkv"] == written["clips/b.mkv"] and again["clips/a.mkv"] != written["clips/a.mkv"]
    assert after["clips/a.mkv"]["content"] != rows["clips/a.mkv"]["content"] and other != content


def _made(folder):
    folder.mkdir(exist_ok=True)
    return folder


def test_snippets_of_replaced_clips_are_prepared_again(tmp_path):
    def prepare():
        clip = sources.from_file(tmp_path, "a.mkv", "wave", 0, "one")
        snippets.store_clips([clip], tmp_path / "store", snippets.Preparation(PROTOCOLS["lite"], None))
        return snippets.Snippets(tmp_path / "store", "rgb").content

    video.write(tmp_path / "a.mkv", moving(), 25)
    first = prepare()
    os.utime(tmp_path / "a.mkv", (0, 0))
    assert prepare() == first
    video.write(tmp_path / "a.mkv", moving(1), 25)
    assert prepare() != first


def test_scores_of_replaced_clips(tmp_path, networks, quick):  # noqa: F811
    def score():
        seen = [sources.from_file(tmp_path, f"{i}.mkv", name, i, "one") for i, name in enumerate(CLASSES)]
        return scores.load(evaluate.evaluate(evaluation(networks, tmp_path / "s.parquet"), seen, CLASSES))[0]

    for number in range(3):
        video.write(tmp_path / f"{number}.mkv", moving(number), 25)
    (tmp_path / "2.mkv").write_bytes(b"")
    assert (score()["status"] == "ok").sum() == 4
    video.write(tmp_path / "2.mkv", moving(2), 25)  # repaired
    assert (score()["status"] == "ok").all()
    before = (tmp_path / "s.parquet").read_bytes()
    video.write(tmp_path / "0.mkv", moving(3), 25)
    with pytest.raises(InputError, match="scores made with other clips of 0.mkv; keep them in another file"):
        score()
    assert (tmp_path / "s.parquet").read_bytes() == before and not (tmp_path / "s.parquet.parts").exists()


@pytest.mark.parametrize(
    "recipe, fold, message",
    [
        ("tsn-rgb", "nobody", "no clips of a fold 'nobody'; expected one of train-0-0, "),
        ("tsn-rgb", "../../../misc/escaped", "no clips of a fold '../../../misc/escaped'"),
        ("tsn-rgb", "", "no clips of a fold ''"),
        ("vdsr", "lena", "super-resolution leaves out no fold; drop --fold lena"),
    ],
)
def test_train_fold_unknown(recipe, fold, message, tmp_path, small):
    with pytest.raises(InputError, match=re.escape(message)):
        runs.train(runs.Run(recipe, fold=fold, out=tmp_path / "t"), say=quiet)
    assert not list(tmp_path.iterdir())


def test_a_key_leads_nowhere_else(tmp_path):
    cache = flow_cache.Cache(tmp_path / "deep")
    with pytest.raises(InputError, match="expected a key that cache_key made"):
        cache.get("../../../escaped", lambda: torch.zeros(1, 2, 4, 4, dtype=torch.uint8))


@pytest.mark.parametrize(
    "damage",
    [
        {"identity": "no JSON"},
        {"identity": 3},
        {"identity": {"recipe": 3}},
        {"optimizers": {"loss": {"state": {}, "param_groups": []}}},
        {"modules": {"loss": {}}},
        {"step": "many"},
        {"rows": 3},
    ],
    ids=str,
)
def test_a_checkpoint_of_other_content(damage, tmp_path):
    loop.fit(**task(), data=Points(), folder=tmp_path, steps=2, batch=2)
    path = tmp_path / "checkpoint.pt"
    torch.save(torch.load(path, weights_only=True) | damage, path)
    with pytest.raises(InputError, match=r"checkpoint.pt: no checkpoint of this project \(\w+\); remove it"):
        loop.fit(**task(), data=Points(), folder=tmp_path, steps=2, batch=2)


# Memory -----------------------------------------------------------------------------------------------------


def test_evaluating_300_and_3000_frames_sees_as_many(networks, tmp_path):  # noqa: F811
    seen = []

    def read(numbers):
        seen[-1] += len(numbers)
        return np.zeros((len(numbers), 48, 64, 3), np.uint8)

    pipeline = evaluate.Pipeline(evaluation(networks, tmp_path / "s.parquet"), CLASSES, torch.device("cpu"), "")
    for count in (300, 3000):
        seen.append(0)
        clip = sources.Clip("a", "eat", 1, "g", read, lambda count=count: count)
        pipeline.read(clip, pipeline.units)
    assert seen[0] == seen[1] < 20


# The book ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def executed(tmp_path_factory, root):
    """A book of one chapter, and the folder of its execution."""
    config = failing(tmp_path_factory.mktemp("executed"), root, "print(height)")
    with book.alone(config):
        [folder] = book.execute(config, config.chapters, quiet).values()
    return config, folder


DAMAGE = {
    "book with a damaged run.json in its cache": lambda folder: (folder / "run.json").write_text('{"seconds'),
    "run.json is no object": lambda folder: (folder / "run.json").write_text("3"),
    "run.json is absent": lambda folder: (folder / "run.json").unlink(),
    "executed.ipynb is cut": lambda folder: (folder / "executed.ipynb").write_bytes(b"{"),
    "a file more": lambda folder: (folder / "more").touch(),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_what_is_damaged_in_the_cache_is_seen(case, executed, tmp_path):
    shutil.copytree(executed[1], tmp_path / "copy")
    assert notebooks.whole(tmp_path / "copy")
    DAMAGE[case](tmp_path / "copy")
    assert not notebooks.whole(tmp_path / "copy")


def test_what_is_damaged_is_executed_again_and_scratch_folders_go(executed):
    config, folder = executed
    before, scratch = digest(folder), folder.with_name(f".{folder.name}.{dead()}-1-{files.HOST}.tmp")
    (folder / "executed.ipynb").write_text("{")
    scratch.mkdir()
    said = []
    with book.alone(config):
        book.execute(config, config.chapters, said.append)
    assert re.fullmatch(r"00-first: executed in \d+ s", said[0]) and not scratch.exists()
    assert digest(folder).keys() == before.keys() and notebooks.whole(folder)
    assert not list(folder.parent.parent.rglob("kernel*"))


@pytest.mark.parametrize("half", [None, '{"cells": [', '{"cells": []}'])
def test_run_01_to_a_full_disk(half, executed, tmp_path, monkeypatch):
    import papermill

    def full(notebook, path, *_, **__):
        if half is not None:
            Path(path).write_text(half)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(papermill, "execute_notebook", full)
    [chapter] = executed[0].chapters
    with pytest.raises(InputError, match=r"01-x: cannot be written \(No space left on device\); free some space"):
        notebooks.run(chapter, tmp_path / "01-x", {}, {}, {}, None, [])
    assert not list(tmp_path.iterdir())


def test_a_cell_on_a_full_disk(executed, tmp_path, monkeypatch):
    """What the cell says names the target, not the folder beside it."""
    import papermill

    def ends(notebook, path, *_, **__):
        out = {"output_type": "error", "ename": "InputError", "evalue": f"{path}/records: not so", "traceback": []}
        cell = {"cell_type": "code", "metadata": {}, "source": "", "outputs": [out]}
        Path(path).write_text(json.dumps({"cells": [cell], "metadata": {}}))
        raise papermill.PapermillExecutionError(1, 1, "", "InputError", "not so", [])

    monkeypatch.setattr(papermill, "execute_notebook", ends)
    [chapter] = executed[0].chapters
    with pytest.raises(InputError, match=rf"00-first, code cell 1: {tmp_path}/01-x/executed.ipynb/records: not so"):
        notebooks.run(chapter, tmp_path / "01-x", {}, {}, {}, None, [])


def test_pages_on_a_full_disk(tmp_path):
    said = "Traceback ...\nOSError: [Errno 28] No space left on device"
    with pytest.raises(InputError, match=r"html: cannot be written \(No space left on device\); free some space"):
        places.require_space(tmp_path / "html", said)
    places.require_space(tmp_path / "html", "Warning, treated as error")


def test_book_html_static_without_write_permission(tmp_path, book_root, monkeypatch):
    out = tmp_path / "out"
    (out / "html" / "_static").mkdir(parents=True)
    (out / "html" / "_static" / "a.js").touch()
    (out / ".arsr-book").touch()
    before, access = digest(out), os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("_static") and access(path, mode))
    with pytest.raises(InputError, match="html/_static: no permission to replace"):
        book.build(book.Build(book_root, out=out), say=pytest.fail)
    assert digest(out) == before


def test_pages_that_cannot_be_removed_stay_whole_until_others_are(tmp_path, monkeypatch):
    for name, text in {"html": "old", "made": "new"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text(text)
    monkeypatch.setattr(shutil, "rmtree", lambda path, ignore_errors: None)
    book._replace(tmp_path / "html", tmp_path / "made")
    texts = {path.name: (path / "index.html").read_text() for path in tmp_path.iterdir()}
    assert texts == {"html": "new", ".html.old": "old"}
    shutil.copytree(tmp_path / "html", tmp_path / "made")
    with pytest.raises(OSError):
        book._replace(tmp_path / "html", tmp_path / "made")
    assert (tmp_path / "html" / "index.html").read_text() == "new"


def _until(true, seconds=60):
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("chapters", [1, 2])
def test_orphans_of_a_killed_run(chapters, tmp_path, root):
    """Kernels that are busy end with the build, at once, and what they left goes at the next run."""
    import psutil

    pids, wait = tmp_path / "pids", tmp_path / "wait"
    pids.mkdir()
    wait.touch()
    source = f"import ctypes, os\nopen({str(pids)!r} + f'/{{os.getpid()}}', 'w').close()\n"
    source += f"while os.path.exists({str(wait)!r}):\n    ctypes.PyDLL(None).sleep(60)\n"  # holds the interpreter
    config = failing(tmp_path / "book", root, *[source] * chapters)
    command = [sys.executable, "-m", "arsr", "book", "--jobs", "2", "--root", str(config.root)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        _until(lambda: len(list(pids.iterdir())) == chapters, 120)
        process.kill()
    kernels = [int(path.name) for path in pids.iterdir()]

    def runs(pid):
        return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE

    _until(lambda: not any(map(runs, kernels)), 5)
    assert len(list((config.folder / "chapters").glob(".*"))) == chapters
    wait.unlink()
    with book.alone(config):
        book.execute(config, config.chapters, quiet)
    assert not list((config.folder / "chapters").glob(".*"))


@pytest.mark.slow
def test_a_home_that_cannot_be_written(tmp_path, root):
    """matplotlib's remark would end the build."""
    config = failing(tmp_path / "book", root, "import matplotlib.pyplot as plt\nplt.plot([1, 2])")
    (tmp_path / "home").touch()  # no folder can be made in a file
    environment = os.environ | {"HOME": str(tmp_path / "home")}
    for name in ("MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "arsr", "run", "00", "--root", str(config.root)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.startswith("00-first: executed"), done.stderr


def test_the_lock_is_of_the_thread(tmp_path):
    """Two threads of a program are two writers."""
    said = []

    def second():
        try:
            with places.alone(tmp_path):
                said.append("in")
        except InputError as error:
            said.append(str(error))

    with places.alone(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert f"in use by process {os.getpid()}" in said[0]


def test_a_recogniser_that_is_replaced_is_another(tmp_path, networks, quick):  # noqa: F811
    """As clips are, weights are known by content."""
    for name in ("rgb", "flow"):
        shutil.copy(networks / f"{name}.safetensors", tmp_path)
    config = replace(evaluation(tmp_path, tmp_path / "s.parquet"))
    evaluate.evaluate(config, clips(), CLASSES)
    net = recognition.load(tmp_path / "rgb.safetensors")
    torch.nn.init.normal_(net.fc.weight)
    recognition.save(net, tmp_path / "rgb.safetensors", classes=list(CLASSES), protocol={"bound": 5.0})
    with pytest.raises(InputError, match="scores made with other recognisers"):
        evaluate.evaluate(config, clips(), CLASSES)
