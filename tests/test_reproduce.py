"""reproduce: what is there is found and scored, what is not is named; killed and shared, the numbers are the same.

Recognisers of HMDB51 have random weights here: what is tested is the road, not accuracy.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from arsr import evaluate, manifest, records, reproduce, scores
from arsr.data import folders
from arsr.embedded import generated
from arsr.evaluation import TABLE4, Study
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
    found, missing = reproduce.prepare(study(data, tmp_path, methods=TABLE4, datasets=("hmdb51", "ucf101")))
    assert [(c.dataset, c.network, c.methods) for c in found] == [
        ("hmdb51", network, ("hr", "bicubic", "vdsr")) for network in ("tsn", "st-resnet")
    ]
    assert "esrgan: no weights of esrgan" in missing and "sosr+tosr: no weights of tosr" in missing
    assert "ucf101, tsn: no weights of tsn-rgb-ucf101 and tsn-flow-ucf101" in missing


def test_the_plan_in_words_passes_by_what_cannot_be_read(data, tmp_path, monkeypatch):
    found, _ = reproduce.prepare(study(data, tmp_path))
    text = reproduce.describe(found, ["tosr: no weights of tosr"], devices=2)
    assert "hmdb51, tsn: 3 clips; lite, TV-L1 fast: hr, bicubic, vdsr" in text and "missing: tosr: no" in text
    assert re.search(r"about \d+\.\d\d h at most, by 2 of this device", text)
    clips, classes = evaluate.dataset_clips(found[0])

    def damaged(numbers):
        raise InputError("damaged")

    torn = [replace(clip, read=damaged) for clip in clips]
    monkeypatch.setattr(evaluate, "dataset_clips", lambda config: ([torn[0], *clips[1:]], classes))
    assert "h at most" in reproduce.describe(found, [])
    monkeypatch.setattr(evaluate, "dataset_clips", lambda config: (torn, classes))
    with pytest.raises(InputError, match="no clip can be read; 'arsr data check hmdb51' says why"):
        reproduce.describe(found, [])


def test_whole_study_and_its_second_run(data, tmp_path):
    found, _ = reproduce.prepare(study(data, tmp_path, methods=("hr", "bicubic", "vdsr", "hr+vdsr")))
    said = []
    reproduce.score(found, HERE, said.append)
    assert said[:2] == ["1 of 8: hmdb51, tsn, hr", "2 of 8: hmdb51, st-resnet, hr"] and len(said) == 8
    assert not (tmp_path / "flow").exists()
    assert "every score is there" in reproduce.describe(found, [])
    table, numbers = reproduce.tables(found, HERE)
    assert set(table["network"]) == {"tsn", "st-resnet"} and "hr+vdsr" in set(table["method"])
    keys = {record.key for record in numbers}
    assert {"paper.benchmark.hmdb51.tsn.vdsr.fused", "paper.benchmark.hmdb51.st-resnet.hr.spatial"} <= keys
    for network in ("tsn", "st-resnet"):
        assert f"paper.benchmark.hmdb51.{network}.temporal.hr.to_bicubic.accuracy" in keys
    kept = reproduce.keep(found, numbers, tmp_path / "results")
    assert [path.name for path in kept] == [
        "benchmark-paper.json",
        "hmdb51-tsn.parquet",
        "hmdb51-st-resnet.parquet",
    ]
    assert len(records.load(kept[0])) == len(numbers)
    before = {path: path.read_bytes() for path in tmp_path.glob("*.parquet")}
    reproduce.score(found, HERE, said.append)
    assert {path: path.read_bytes() for path in tmp_path.glob("*.parquet")} == before


def test_scores_of_clips_that_are_no_longer_asked_for_do_not_count(data, tmp_path):
    fewer = tmp_path / "fewer"
    shutil.copytree(data, fewer)
    for root, count in ((data, 3), (fewer, 2)):
        found, _ = reproduce.prepare(study(root, tmp_path / "out", methods=("hr",)))
        reproduce.score(found, HERE, str)
        assert set(reproduce.tables(found, HERE)[0]["n"]) == {count}
        for path in (fewer / "hmdb51" / "walk").glob("*.avi"):
            path.unlink()
    assert len(scores.load(found[0].out)[0]["clip"].unique()) == 3


def test_cached_flow_gives_the_scores_of_a_study_of_one_recogniser(data, tmp_path):
    alone = tmp_path / "alone"
    shutil.copytree(data, alone)
    for path in (alone / "weights").glob("tsn-*"):
        path.unlink()
    for folder, name in ((data, "two"), (alone, "one")):
        reproduce.score(reproduce.prepare(study(folder, tmp_path / name, methods=("bicubic",)))[0], HERE, str)
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
    found, _ = reproduce.prepare(study(data, tmp_path / "whole"))
    reproduce.score(found, HERE, str)
    for config in found:
        whole, again = (scores.load(path)[0] for path in (config.out, out / config.out.name))
        assert whole.drop(columns="scores").equals(again.drop(columns="scores"))
        for one, other in zip(whole["scores"], again["scores"], strict=True):
            assert one == pytest.approx(other, rel=1e-4, abs=1e-6)  # rounding differs between processes
    assert len(records.load(out / "records.json")) == len(reproduce.tables(found, HERE)[1])


def test_real_clips(shared_data, data, tmp_path):
    """The three real HMDB51 clips of one class and the one of another, with the official lists."""
    root = tmp_path / "data"
    shutil.copytree(data / "weights", root / "weights")
    shutil.copytree(shared_data / "clips" / "hmdb51", root / "hmdb51")
    shutil.copytree(shared_data / "splits" / "hmdb51_splits", root / "hmdb51_splits")
    found, _ = reproduce.prepare(study(root, tmp_path / "out", methods=("bicubic",)))
    reproduce.score(found, HERE, str)
    table, _ = reproduce.tables(found, HERE)
    assert set(table["n"]) == {len(evaluate.dataset_clips(found[0])[0])} and (table["unreadable"] == 0).all()


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
    with pytest.raises(InputError, match="nothing can be scored. sosr: no weights of sosr"):
        reproduce.prepare(study(data, tmp_path, methods=("sosr",)))
    with pytest.raises(InputError, match="no scores there yet; run the stage scores first"):
        reproduce.tables(reproduce.prepare(study(data, tmp_path))[0], HERE)


def test_embedded_plan(root, tmp_path):
    found, missing = reproduce.prepare(Study("embedded", out=tmp_path, clips=18, shipped=root / "weights"))
    absent = "embedded, st-resnet: no weights of st-resnet-lite" in missing
    assert [config.network for config in found] == (["tsn"] if absent else ["tsn", "st-resnet"])
    assert found[0].protocol.name == "lite" and {"hr", "bicubic", "vdsr"} <= set(found[0].methods)
    assert len(evaluate.dataset_clips(found[0])[0]) == 18
    assert {"srresnet", "rrdb"} <= set(found[0].methods)  # claim C3 compares with them ...
    assert not {"srresnet", "rrdb"} & set(manifest.at_hand(root / "weights"))  # ... and the chapters' rows do without
