"""reproduce: what is there is found and scored, what is not is named; killed and shared, the numbers are the same.

Recognisers of HMDB51 have random weights here: what is tested is the road, not accuracy.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from arsr import manifest, records, reproduce, scores
from arsr.data import folders
from arsr.embedded import generated
from arsr.reproduce import Study
from arsr_core import recognition, sr, video
from arsr_core.errors import InputError

HERE = records.Provenance(kind="measured", source="a test", command="arsr reproduce", profile="paper")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three clips in HMDB51's layout, split files that name one clip more, a network and recognisers of both kinds."""
    folder = tmp_path_factory.mktemp("data")
    torch.manual_seed(0)
    lists = folder / "hmdb51" / "testTrainMulti_7030_splits"
    lists.mkdir(parents=True)
    wave = [f"v{i}_wave_f_nm_np1_fr_goo_{i}.avi" for i in range(3)]
    for action in folders.DATASETS["hmdb51"].classes:
        names = wave if action == "wave" else [f"x_{action}_f_nm_np1_fr_goo_0.avi"]
        code = 2 if action in ("wave", "walk") else 1
        (lists / f"{action}_test_split1.txt").write_text("".join(f"{name} {code}\n" for name in names))
    for i, action in enumerate(("wave", "wave", "walk")):
        name = wave[i] if action == "wave" else "x_walk_f_nm_np1_fr_goo_0.avi"
        (folder / "hmdb51" / action).mkdir(exist_ok=True)
        video.write(folder / "hmdb51" / action / name, generated.clip(i, split="test", frames=8 + i).frames, fps=25)
    about = dict(classes=list(folders.DATASETS["hmdb51"].classes), protocol={"bound": 10.0})
    (folder / "weights").mkdir()
    for modality in ("rgb", "flow"):
        net = recognition.TSN(51, modality, "lite")
        torch.nn.init.normal_(net.fc.weight)
        recognition.save(net, folder / "weights" / f"tsn-{modality}-hmdb51.safetensors", **about)
    both = recognition.STResNet(51, "lite", frames=5, flow_frames=5)
    recognition.save(both, folder / "weights" / "st-resnet-hmdb51.safetensors", **about)
    save_file(sr.build("vdsr", **sr.METHODS["vdsr"].lite).state_dict(), folder / "weights" / "vdsr.safetensors")
    return folder


def study(data, out, **changed):
    settings = dict(protocol="lite", preset="fast", present_only=True, device="cpu", methods=("hr", "bicubic", "vdsr"))
    return Study("paper", data, out, **settings | {"datasets": ("hmdb51",)} | changed)


def test_the_plan_names_what_is_there_and_what_is_not(data, tmp_path):
    plan = reproduce.prepare(study(data, tmp_path, methods=reproduce.TABLE4, datasets=("hmdb51", "ucf101")))
    assert [(p.config.dataset, p.config.network, len(p.clips)) for p in plan.parts] == [
        ("hmdb51", "tsn", 3),
        ("hmdb51", "st-resnet", 3),
    ]
    assert "esrgan: no weights of esrgan" in plan.missing and "sosr+tosr: no weights of tosr" in plan.missing
    assert "ucf101, tsn: no weights of tsn-rgb-ucf101 and tsn-flow-ucf101" in plan.missing
    assert [(part.config.network, method) for part, method, _ in plan.jobs()] == [
        (network, method) for method in ("hr", "bicubic", "vdsr") for network in ("tsn", "st-resnet")
    ]


def test_estimate_and_its_words(data, tmp_path):
    plan = reproduce.prepare(study(data, tmp_path))
    costs = reproduce.estimate(plan)
    assert costs["method"].tolist() == ["hr", "hr", "bicubic", "bicubic", "vdsr", "vdsr"]
    assert (costs["hours"] > 0).all() and (costs["clips"] == 3).all()
    assert (costs["disk"] > 0).tolist() == [True, False] * 3  # the second recogniser finds the flow in the cache
    pair = reproduce.estimate(reproduce.prepare(study(data, tmp_path, methods=("vdsr", "hr+vdsr")))).iloc[-1]
    assert pair.method == "hr+vdsr" and pair.disk == 0  # a pair finds its second method's flow there, too
    text = reproduce.describe(plan, costs, processes=2)
    assert "hmdb51, tsn: 3 clips; lite, TV-L1 fast" in text and "on 2 processes" in text


def test_the_estimate_bounds_the_disk_and_passes_by_what_cannot_be_read(data, tmp_path, monkeypatch):
    plan = reproduce.prepare(study(data, tmp_path, methods=("bicubic",)))

    def damaged():
        raise InputError("damaged")

    parts = [replace(part, clips=[replace(part.clips[0], read=damaged), *part.clips[1:]]) for part in plan.parts]
    costs = reproduce.estimate(replace(plan, parts=parts))
    nothing = [replace(part, clips=[replace(clip, read=damaged) for clip in part.clips]) for part in plan.parts]
    with pytest.raises(InputError, match="no clip can be read; 'arsr data check hmdb51' says why"):
        reproduce.estimate(replace(plan, parts=nothing))
    monkeypatch.setattr(reproduce, "shutil", SimpleNamespace(rmtree=lambda *_, **__: None))  # the flow stays
    reproduce.score(plan, say=str)
    kept = sum(file.stat().st_size for file in (tmp_path / "flow").rglob("*") if file.is_file())
    assert 0 < kept <= costs["disk"].max()


def test_whole_study_and_its_second_run(data, tmp_path):
    plan = reproduce.prepare(study(data, tmp_path, methods=("hr", "bicubic", "vdsr", "hr+vdsr")))
    said = []
    reproduce.score(plan, say=said.append)
    assert said[0] == "1 of 7: hmdb51, tsn, hr" and len(said) == 7  # TSN needs no run for the pair
    assert not any((tmp_path / "flow").iterdir())
    nothing = reproduce.estimate(plan)
    assert nothing.empty and "every score is there" in reproduce.describe(plan, nothing)
    table, found = reproduce.tables(plan, HERE)
    assert set(table["network"]) == {"tsn", "st-resnet"} and "hr+vdsr" in set(table["method"])
    keys = {record.key for record in found}
    assert {"paper.benchmark.hmdb51.tsn.vdsr.fused", "paper.benchmark.hmdb51.st-resnet.hr.spatial"} <= keys
    for network in ("tsn", "st-resnet"):
        assert f"paper.benchmark.hmdb51.{network}.temporal.hr.to_bicubic.accuracy" in keys
    kept = reproduce.keep(plan, found, tmp_path / "results")
    assert [path.name for path in kept] == [
        "benchmark-paper.json",
        "hmdb51-tsn.parquet",
        "hmdb51-st-resnet.parquet",
    ]
    assert len(records.load(kept[0])) == len(found)
    part = plan.parts[0]
    fewer = replace(plan, parts=[replace(part, clips=part.clips[:2])])
    frame, _ = scores.load(reproduce.keep(fewer, found, tmp_path / "fewer")[1])
    assert set(frame["clip"]) == {clip.name for clip in part.clips[:2]}  # the scores that the records were made from
    before = {path: path.read_bytes() for path in tmp_path.glob("*.parquet")}
    reproduce.score(plan, say=said.append)
    assert {path: path.read_bytes() for path in tmp_path.glob("*.parquet")} == before


def test_cached_flow_gives_the_scores_of_a_study_of_one_recogniser(data, tmp_path):
    alone = tmp_path / "alone"
    shutil.copytree(data, alone)
    for path in (alone / "weights").glob("tsn-*"):
        path.unlink()
    for folder, name in ((data, "two"), (alone, "one")):
        reproduce.score(reproduce.prepare(study(folder, tmp_path / name, methods=("bicubic",))), say=str)
    frames = [scores.load(tmp_path / name / "hmdb51-st-resnet.parquet")[0] for name in ("one", "two")]
    assert frames[0]["scores"].map(tuple).equals(frames[1]["scores"].map(tuple))


def command(data, out, *more):
    options = ["--protocol", "lite", "--preset", "fast", "--present-only", "--device", "cpu", "--dataset", "hmdb51"]
    methods = ["-m", "hr", "-m", "bicubic", "-m", "vdsr"]
    begin = [sys.executable, "-m", "arsr", "reproduce", "--data", data, "--out", out]
    return [str(word) for word in (*begin, *options, *methods, *more)]


def test_killed_and_continued_by_two_processes(data, tmp_path):
    """kill -9 in the middle, then two gloo processes: the scores of one run that was never killed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
    out = tmp_path / "killed"
    victim = subprocess.Popen(command(data, out), env=environment, stdout=subprocess.DEVNULL)
    limit = time.monotonic() + 100
    while not list(out.glob("**/*.parquet")) and victim.poll() is None and time.monotonic() < limit:
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = environment | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    ranks = [shared | {"RANK": str(i), "LOCAL_RANK": str(i)} for i in range(2)]
    running = [subprocess.Popen(command(data, out), env=rank, stdout=subprocess.PIPE, text=True) for rank in ranks]
    printed = [process.communicate(timeout=200)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert "vdsr" in printed[0] and not printed[1]
    plan = reproduce.prepare(study(data, tmp_path / "whole"))
    reproduce.score(plan, say=str)
    for part in plan.parts:
        whole, name = scores.load(part.config.out)[0], Path(part.config.out).name
        again = scores.load(out / name)[0]
        assert whole.drop(columns="scores").equals(again.drop(columns="scores"))
        for one, other in zip(whole["scores"], again["scores"], strict=True):
            assert one == pytest.approx(other, rel=1e-4, abs=1e-6)  # rounding differs between processes
    assert len(records.load(out / "records.json")) == len(reproduce.tables(plan, HERE)[1])


def test_real_clips(shared_data, data, tmp_path):
    """The three real HMDB51 clips of one class and the one of another, with the official lists."""
    root = tmp_path / "data"
    shutil.copytree(data / "weights", root / "weights")
    shutil.copytree(shared_data / "clips" / "hmdb51", root / "hmdb51")
    shutil.copytree(shared_data / "splits" / "hmdb51_splits", root / "hmdb51_splits")
    plan = reproduce.prepare(study(root, tmp_path / "out", methods=("bicubic",)))
    reproduce.score(plan, say=str)
    table, _ = reproduce.tables(plan, HERE)
    assert set(table["n"]) == {len(plan.parts[0].clips)} and (table["unreadable"] == 0).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"profile": "small"}, "expected profile 'paper' or 'embedded', got 'small'"),
        ({"data": None}, "give the folder that holds hmdb51, ucf101 and weights, --data FOLDER"),
        ({"methods": ("hr", "sosr+best")}, "unknown method 'best'; expected hr, bicubic, "),
        ({"methods": ()}, "methods: tuple should have at least 1 item"),
        ({"datasets": ("kinetics",)}, "expected datasets.0 'hmdb51' or 'ucf101', got 'kinetics'"),
        ({"protocol": "fast"}, "expected protocol 'full', 'light', .*, got 'fast'"),
    ],
)
def test_bad_settings(tmp_path, changed, message):
    with pytest.raises(InputError, match=message):
        Study(**{"profile": "paper", "data": tmp_path} | changed)


def test_nothing_there(data, tmp_path):
    with pytest.raises(InputError, match="nothing can be scored.*ucf101, tsn: no weights of tsn-rgb-ucf101"):
        reproduce.prepare(study(data, tmp_path, datasets=("ucf101",)))
    with pytest.raises(InputError, match="nothing can be scored.*hmdb51: .*48 of 51 classes|clips missing"):
        reproduce.prepare(study(data, tmp_path, present_only=False))
    with pytest.raises(InputError, match="no scores there yet; run the stage scores first"):
        reproduce.tables(reproduce.prepare(study(data, tmp_path)), HERE)


def test_embedded_plan(root, tmp_path):
    plan = reproduce.prepare(Study("embedded", out=tmp_path, clips=18, shipped=root / "weights"))
    part, *others = plan.parts
    missing = "embedded, st-resnet: no weights of st-resnet-lite" in plan.missing
    assert [p.config.network for p in others] == ([] if missing else ["st-resnet"])
    assert part.config.protocol.name == "lite" and {"hr", "bicubic", "vdsr"} <= set(part.config.methods)
    assert len(part.clips) == 18
    assert {"srresnet", "rrdb"} <= set(part.config.methods)  # claim C3 compares with them ...
    assert not {"srresnet", "rrdb"} & set(manifest.at_hand(root / "weights"))  # ... and the chapters' rows do without
