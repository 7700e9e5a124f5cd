"""The whole study, small: prepare, train, adapt, score, tables; killed in every kind of job, it gives the same records.

Clips are laid out as HMDB51, a training clip a class, with split files cut down to them; recipes take a few steps. With
ARSR_DATA the clips are real ones. Recognisers that took two steps know nothing: what is tested is the road.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from itertools import cycle
from pathlib import Path

import psutil
import pytest

from arsr import records, scores
from arsr.data import folders
from arsr.embedded import generated
from arsr_core import video

CLASSES = folders.DATASETS["hmdb51"].classes
RESULTS = (  # one of each kind; what they need comes with them
    "table-4/hmdb51-tsn/hr",
    "table-4/hmdb51-tsn/vdsr",
    "tables-2-3/hmdb51-tsn/temporal-vdsr-warp",
    "figure-8/hmdb51/spatial-4-hr",
    "end-to-end/hmdb51-tsn/control",
)
OPTIONS = ["--profile", "small", "--dataset", "hmdb51", "-m", "hr", "-m", "vdsr", "--seeds", "1", "--preset", "fast"]
OPTIONS += ["--present-only", "--device", "cpu", "--set", "steps=2", "--set", "batch=2", "--set", "protocol=lite"]
KILLS = (1.0, 4.0)  # CPU-seconds of a job, after which it is killed the first and the second time
RATES = {"machine": "stated in a test", "operations": [1e9, 1e10], "fields": [1, 9], "frames": [100, 900]}


def layout(folder: Path, clips: list) -> Path:
    """HMDB51's folders and split files: a training clip of each class, a test clip of three; videos; some weights."""
    lists, frames = folder / "hmdb51_splits", cycle(clips)
    lists.mkdir(parents=True)
    for number, action in enumerate(CLASSES):
        subsets = {"goo_1": 1} | ({"goo_2": 2} if number < 3 else {})
        names = {f"x{number}_{action}_f_nm_np1_fr_{end}.avi": code for end, code in subsets.items()}
        (lists / f"{action}_test_split1.txt").write_text("".join(f"{n} {code}\n" for n, code in names.items()))
        (folder / "hmdb51" / action).mkdir(parents=True)
        for name in names:
            video.write(folder / "hmdb51" / action / name, next(frames), fps=25)
    (folder / "CDVL134").mkdir()
    for number in range(2):
        video.write(folder / "CDVL134" / f"{number}.avi", next(frames), fps=25)
    return folder


def generated_clips() -> list:
    return [generated.clip(i, split="test", size=(72, 96), frames=12).frames for i in range(5)]


def command(data: Path, out: Path, *more: object) -> list[str]:
    rates = data / "rates.json"
    rates.write_text(json.dumps(RATES))
    only = [word for name in RESULTS for word in ("--only", name)]
    words = ["reproduce", "--data", data, "--out", out, "--rates", rates, *OPTIONS, *only, *more]
    return [sys.executable, "-m", "arsr", *map(str, words)]


def kill_all(process: subprocess.Popen) -> None:
    """kill -9 of a process and all below it, as when a machine goes."""
    below = psutil.Process(process.pid).children(recursive=True)
    for one in (psutil.Process(process.pid), *below):
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


def kind(name: str) -> str:
    """The stage of a job; trainings and scores of one stage differ."""
    return f"{name.partition('/')[0]}{' training' * ('train-' in name)}"


def busy(out: Path, kills: Counter) -> str | None:
    """A kind of job of which one has computed long enough to be killed: in its start first, then in its middle."""
    for path in (out / "jobs").rglob("running.json"):
        name = path.parent.relative_to(out / "jobs").as_posix()
        try:
            job = psutil.Process(json.loads(path.read_text())["process"])
            spent = sum(sum(p.cpu_times()[:2]) for p in (job, *job.children(recursive=True)))
        except (OSError, ValueError, psutil.NoSuchProcess):
            continue
        times = kills[kind(name)]
        if times < len(KILLS) and spent > KILLS[times]:
            return kind(name)
    return None


@pytest.fixture(params=["generated", "real"])
def clips(request):
    """Clips, and how many processes share a job: two of real ones."""
    if request.param == "generated":
        return generated_clips(), 1
    shared = request.getfixturevalue("shared_data")
    paths = [*sorted((shared / "clips").rglob("*.avi"))[:3], *sorted((shared / "tennis").rglob("*.mp4"))[:4]]
    return [video.read(path, stop=12).frames[:, ::2, ::2] for path in paths], 2


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("ARSR_WHOLE"), reason="some minutes: ARSR_WHOLE=1 runs it")
def test_a_full_disk_fails_the_jobs_that_meet_it_by_name_and_a_damaged_clip_none(tmp_path, root):
    data = layout(tmp_path / "data", generated_clips())
    first, *_ = sorted((data / "hmdb51").rglob("*goo_2.avi"))
    first.write_bytes(first.read_bytes()[:1000])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    words = [*command(data, tmp_path / "out", "--processes", "1")]
    # no file may be larger than that, as if the disk were full; clips are smaller, weights are not
    limited = ["sh", "-c", 'ulimit -f 8000; trap "" XFSZ; exec "$@"', "sh", *words]
    how = dict(env=environment, cwd=root, capture_output=True, text=True)
    run = subprocess.run(limited, **how)
    assert run.returncode == 1 and "cannot be written" in run.stderr, run.stdout + run.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    states = {job["name"]: job["state"] for job in report["jobs"]}
    assert states["clips/hmdb51"] == states["pairs/64"] == "done"
    failed = [name for name, state in states.items() if state == "failed"]
    assert failed and f"{failed[0]} failed" in run.stderr
    again = subprocess.run(words, **how)  # with room it goes on, and ends
    assert again.returncode == 0, again.stderr
    frame, _ = scores.load(tmp_path / "out" / "scores" / "hmdb51-tsn" / "hr.parquet")
    assert frame[frame["status"] != "ok"]["clip"].nunique() == 1 and frame["clip"].nunique() == 3


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("ARSR_WHOLE"), reason="ten minutes or more: ARSR_WHOLE=1 runs it")
def test_killed_in_every_kind_of_job_the_records_are_those_of_a_whole_run(clips, tmp_path, root):
    given, processes = clips
    data = layout(tmp_path / "data", given)
    (data / "weights").mkdir()
    for name in ("sosr", "tosr", "srresnet"):  # what is there is used
        shutil.copy(root / "weights" / f"{name}-lite.safetensors", data / "weights" / f"{name}.safetensors")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    how = dict(env=environment, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    killed, kills = tmp_path / "killed", Counter()
    while True:
        process = subprocess.Popen(command(data, killed, "--processes", processes), **how)
        while process.poll() is None and not (found := busy(killed, kills)):
            time.sleep(0.1)
        if process.poll() is not None:
            break
        kills[found] += 1
        kill_all(process)
    assert process.returncode == 0, process.stdout.read()
    stages = {"pairs", "clips", "starts", "networks", "recognisers", "table-4", "tables-2-3"}
    assert {*kills} >= stages | {"figure-8", "figure-8 training", "end-to-end", "end-to-end training"}, kills
    whole = subprocess.run(command(data, tmp_path / "whole", "--processes", processes), **how)
    assert whole.returncode == 0, whole.stdout
    found = [records.load(folder / "records.json") for folder in (killed, tmp_path / "whole")]
    assert found[0].keys() == found[1].keys() and "small.benchmark.hmdb51.tsn.vdsr.fused" in found[0]
    for key, record in found[0].items():
        for name in ("value", "low", "high", "p", "n", "count"):
            one, other = getattr(record, name), getattr(found[1][key], name)
            assert one == other or one == pytest.approx(other, rel=1e-6), (key, name)
    reports = [json.loads((folder / "report.json").read_text()) for folder in (killed, tmp_path / "whole")]
    for one, other in zip(reports[0]["jobs"], reports[1]["jobs"], strict=True):
        assert one["state"] == other["state"] == "done"
        if one["makes"].endswith("weights.safetensors"):
            assert one["sha256"] == other["sha256"], one["name"]  # the very weights
