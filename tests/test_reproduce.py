"""reproduce: what there is, the graph of what is left, its costs; jobs that fail, are killed, or are shared.

The jobs of the engine's tests are small shell scripts; tests/test_reproduce_whole.py runs the real ones.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
import tyro
from safetensors.torch import save_file
from test_reproduce_whole import kill_all, layout

from arsr import cli, manifest, places, records
from arsr.data import folders
from arsr.evaluation import TABLE4
from arsr.names import RIVALS
from arsr.reproduce import conduct, costs, engine, graph, holdings, pages, tables
from arsr.reproduce.costs import Hours, Rates, Work
from arsr.reproduce.graph import Job
from arsr.reproduce.holdings import Clips, Holdings
from arsr.reproduce.study import Study
from arsr.training.recipes import RECIPES
from arsr_core import recognition, sr
from arsr_core.errors import InputError
from arsr_core.recognition import PROTOCOLS

HERE = records.Provenance(kind="measured", source="a test", command="arsr reproduce", profile="paper")
RATES = Rates("stated in a test", (1e13, 5e13), (50, 200), (500, 2000))
ALL = {"hmdb51": Clips(Path("hmdb51"), 1530, 3570, 93), "ucf101": Clips(Path("UCF-101"), 3783, 9537, 186)}
VIDEOS = Clips(Path("CDVL134"), 0, 134, 617)
IMAGENET = {"bn_inception": "bn_inception.pth", "resnet50": "resnet50.pth"}
CLUSTER = engine.Machine("cluster", 0, 1, 1, "--executor slurm --jobs 64")


def study(out="out", **changed):
    return Study(**{"data": Path("."), "out": Path(out)} | changed)


# What there is ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Clips in HMDB51's layout, one of each class to train on, three to test; a network, a recogniser's two streams."""
    frames = torch.randint(0, 256, (8, 24, 32, 3), dtype=torch.uint8).numpy()
    folder = layout(tmp_path_factory.mktemp("data"), [frames])
    (folder / "weights").mkdir()
    for modality in ("rgb", "flow"):
        net = recognition.TSN(51, modality, "lite")
        recognition.save(net, folder / "weights" / f"tsn-{modality}-hmdb51.safetensors", protocol={"bound": 10.0})
    save_file(sr.build("vdsr", **sr.METHODS["vdsr"].lite).state_dict(), folder / "weights" / "vdsr.safetensors")
    return folder


def test_what_there_is_is_found_and_what_lacks_is_named(data, tmp_path, uncounted):
    have = holdings.look(study(tmp_path, data=data, present_only=True))
    found = have.datasets["hmdb51"]
    assert found == Clips(data / "hmdb51", 3, 51, 8.0, found.first)
    assert have.videos.train == 2 and {"vdsr", "tsn-rgb-hmdb51", "tsn-flow-hmdb51"} == have.weights.keys()
    assert have.missing["ucf101"].startswith("UCF101: no folder UCF-101 or UCF101 or ucf101 or videos in ")
    built = graph.build(study(tmp_path, data=data, present_only=True, only=("table-4/hmdb51-tsn/hr",)), have)
    used, idle = conduct._found(study(tmp_path, data=data), have, built)
    assert used.startswith("used: hmdb51 (3 test clips, 51 to train on), 2 videos, ") and "tsn-flow-hmdb51" in used
    assert idle == f"not used: vdsr.safetensors in {data / 'weights'}"
    score = built.jobs["table-4/hmdb51-tsn/hr"].plain()
    assert data / "weights" / "tsn-rgb-hmdb51.safetensors" in map(Path, score["given"]) and score["clips"]
    path = sorted((data / "hmdb51").rglob("*goo_2.avi"))[0]
    path.rename(path.with_suffix(".away"))
    try:
        fewer = holdings.look(study(tmp_path, data=data, present_only=True)).datasets["hmdb51"]
    finally:
        path.with_suffix(".away").rename(path)
    assert fewer.tested != found.tested and fewer.trained == found.trained


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"profile": "tiny"}, "expected profile 'paper', 'small' or 'embedded', got 'tiny'"),
        ({"data": None}, "give the folder that holds hmdb51, ucf101 and weights, --data FOLDER"),
        ({"data": Path("absent")}, "absent: no such folder; expected one that holds hmdb51"),
        ({"videos": (Path("absent"),)}, "absent: no such folder; expected one of videos"),
        ({"methods": ("hr", "sosr+best")}, "unknown method 'best'; expected hr, bicubic, "),
        ({"methods": ()}, "methods: tuple should have at least 1 item"),
        ({"datasets": ("kinetics",)}, "expected datasets.0 'hmdb51' or 'ucf101', got 'kinetics'"),
        ({"protocol": "fast"}, "expected protocol 'full', 'light', .*, got 'fast'"),
        ({"budget": "200"}, "budget: .*, got '200'"),
        ({"seeds": 6}, "seeds .*less than or equal to 5, got 6"),
        ({"settings": {"pace": 1}}, "--set pace: no recipe has it; expected one of "),
        ({"settings": {"protocol": "foo"}}, "--set protocol=foo: no such protocol; expected one of full, light"),
    ],
)
def test_bad_settings(changed, message):
    with pytest.raises(InputError, match=message):
        study(**changed)


def test_an_empty_folder_and_split_files_of_another_edition(data, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="nothing to score. HMDB51: no folder .*; UCF101: no folder"):
        holdings.look(study(data=tmp_path / "empty"))
    with pytest.raises(InputError, match=r"split files of another edition, 3 test, 51 train clips; .* has 1,530 test"):
        holdings.look(study(data=data))


def test_weights_of_another_number_of_classes(data, tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    for name in ("hmdb51", "hmdb51_splits", "CDVL134"):
        (root / name).symlink_to(data / name)
    (root / "weights").mkdir()
    recognition.save(recognition.TSN(7, "rgb", "lite"), root / "weights" / "tsn-rgb-hmdb51.safetensors")
    with pytest.raises(InputError, match="tsn-rgb-hmdb51.safetensors: .*7 classes.*51"):
        holdings.look(study(data=root, present_only=True))


def test_imagenet_weights_of_another_network(data, tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    (root / "hmdb51").symlink_to(data / "hmdb51")
    (root / "hmdb51_splits").symlink_to(data / "hmdb51_splits")
    (root / "weights").mkdir()
    torch.save(recognition.TSN(2, "rgb", "resnet18").state_dict(), root / "weights" / "resnet50-x.pth")
    with pytest.raises(InputError, match="resnet50-x.pth: weights of resnet18, expected resnet50"):
        holdings.look(study(data=root, present_only=True))


# The graph --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole():
    """The study of the paper from nothing but data sets and ImageNet weights."""
    return graph.build(study(), Holdings(ALL, VIDEOS, {}, IMAGENET))


def test_the_whole_study(whole):
    assert not whole.lost
    stages = [job.stage for job in whole.jobs.values()]
    assert stages.count("pairs") == 4 and stages.count("clips") == 4 and stages.count("starts") == 7
    assert stages.count("recognisers") == 10 and stages.count("table-4") == 2 * (len(TABLE4) + 2) + 2 * (
        len((*TABLE4, *RIVALS)) + 1
    )
    assert {f"networks/{row}-seed2" for row in ("vdsr-wmse", "sosr", "tosr-control")} <= whole.jobs.keys()
    seen = set()
    for job in whole.jobs.values():  # an order that respects the needs
        assert {*job.needs} <= seen
        seen.add(job.name)
    assert all(name.split("/")[0] in graph.STAGES for name in whole.jobs)


def test_jobs_are_commands_that_can_be_typed(whole):
    for job in {graph_job.stage: graph_job for graph_job in whole.jobs.values()}.values():  # one of each stage
        words = job.command[1:]
        name = max((name for name in cli.COMMANDS if [*words[: len(name.split())]] == name.split()), key=len)
        assert callable(tyro.cli(cli.load(name), args=words[len(name.split()) :])), job.name
    sosr = whole.jobs["networks/sosr-seed1"]
    assert " ".join(sosr.command) == (
        "arsr train sosr --profile paper --data out/pairs-128 --seed 1 --start out/train/rrdb/weights.safetensors "
        "--out out/train"
    )
    assert sosr.needs == ("pairs/128", "starts/rrdb") and sosr.makes == Path("out/train/sosr-seed1/weights.safetensors")
    score = whole.jobs["table-4/hmdb51-st-resnet/sosr+tosr"]
    assert {"recognisers/st-resnet-hmdb51", "networks/sosr", "networks/tosr"} == {*score.needs}


def test_what_is_there_is_used_and_what_cannot_be_had_costs_its_rows():
    given = {"sosr": Path("w/sosr.pth"), "tsn-rgb-hmdb51": Path("w/a.pth"), "tsn-flow-hmdb51": Path("w/b.pth")}
    have = Holdings(
        {"hmdb51": ALL["hmdb51"]}, None, given, {}, {"videos": "no videos to train on", "ucf101": "no folder"}
    )
    found = graph.build(study(), have)
    assert found.lost["table-4/ucf101, all"] == "no folder"
    assert not found.jobs["table-4/hmdb51-tsn/sosr"].needs
    assert found.lost["table-4/hmdb51-tsn/vdsr"] == "no weights of vdsr; no videos to train on"
    assert "no ImageNet weights of resnet50" in found.lost["table-4/hmdb51-st-resnet/hr"]
    assert "table-4/hmdb51-st-resnet/hr" not in found.jobs and "recognisers/st-resnet-hmdb51" not in found.jobs
    for name in ("clips/hmdb51", "figure-8/hmdb51/spatial-4-hr"):  # the recogniser is given, its clips are not prepared
        assert name in found.jobs
    alone = replace(have, weights=given | {"vdsr-mse": Path("w/vdsr-mse.pth")})
    alone = graph.build(study(skip_training=True), alone)
    assert {job.stage for job in alone.jobs.values()} == {"table-4", "tables-2-3"}
    with pytest.raises(InputError, match="nothing can be made. no weights of"):
        graph.build(study(skip_training=True), replace(have, weights={}))


def test_tsn_falls_back_on_lite0_where_its_own_imagenet_weights_lack():
    found = graph.build(study(datasets=("hmdb51",)), Holdings({"hmdb51": ALL["hmdb51"]}, VIDEOS))
    words = found.jobs["recognisers/tsn-rgb-hmdb51"].command
    assert "backbone=efficientnet_lite0" in words and "imagenet=true" in words


@pytest.fixture
def uncounted(monkeypatch):
    """Graphs whose hours do not matter: no operations are counted."""
    for name in ("operations", "upscaling", "recognising"):
        monkeypatch.setattr(costs, name, lambda *_: 1.0)


def test_settings_reach_the_jobs(uncounted):
    have = Holdings(ALL, VIDEOS, {}, IMAGENET)
    asked = study(protocol="light", device="cuda:1", shipped=Path("/code/weights"))
    found = graph.build(asked, have)
    for name in ("recognisers/tsn-rgb-hmdb51", "recognisers/st-resnet-hmdb51"):
        assert '--set protocol="light"' in " ".join(found.jobs[name].command)
    for name in ("clips/hmdb51", "table-4/hmdb51-tsn/hr"):
        assert "--protocol light" in " ".join(found.jobs[name].command)
        assert "--device cuda" in " ".join(found.jobs[name].command).replace("cuda:", "")
    assert "--protocol" not in found.jobs["networks/sosr"].command
    assert "--root /code" in " ".join(found.jobs["networks/sosr"].command)
    assert not any("cuda:1" in job.command for job in found.jobs.values())


def test_only_and_budget(whole):
    have = Holdings(ALL, VIDEOS, {}, IMAGENET)
    found = graph.build(study(only=("table-4/hmdb51-tsn/sosr",)), have)
    needed = {"pairs/128", "starts/rrdb", "networks/sosr", "clips/hmdb51"}
    needed |= {"recognisers/tsn-rgb-hmdb51", "recognisers/tsn-flow-hmdb51"}
    assert {*found.jobs} == needed | {"table-4/hmdb51-tsn/sosr"}
    with pytest.raises(InputError, match="--only table-5: no such job; stages are pairs, clips"):
        graph.build(study(only=("table-4", "table-5")), have)
    some = replace(have, datasets={"hmdb51": ALL["hmdb51"]}, imagenet={}, missing={"ucf101": "no UCF101"})
    for word in ("table-4/ucf101-tsn/hr", "ucf101", "ucf101-tsn", "figure-8/ucf101/spatial-4-hr"):
        with pytest.raises(InputError, match=f"--only {word}: cannot be had. no UCF101"):
            graph.build(study(only=(word,)), some)
    word = "table-4/hmdb51-st-resnet/hr"
    assert "no ImageNet" in graph.build(study(only=("hmdb51-tsn", word)), some).lost[word]
    cost = costs.total(RATES.hours(job.work) for job in whole.jobs.values()).high
    half = graph.within(whole, RATES, cost / 2, set())
    assert costs.total(RATES.hours(job.work) for job in half.jobs.values()).high <= cost / 2
    assert "table-4/hmdb51-tsn/hr" in half.jobs and "table-4/hmdb51-tsn/sosr" in half.jobs
    assert any("seed2" in name and reason.startswith("dropped, to stay within") for name, reason in half.lost.items())
    assert graph.within(whole, RATES, 2 * cost, set()) is whole
    with pytest.raises(InputError, match="--budget 0.01h: too small for any result; the cheapest takes up to"):
        graph.within(whole, RATES, 0.01, set())
    for share in (0.1, 0.4, 0.8):  # what is done is spent, but stays
        once = graph.within(whole, RATES, share * cost, set())
        for done in ({name for i, name in enumerate(once.jobs) if i % 2}, {*once.jobs}):
            assert graph.within(whole, RATES, share * cost, done).jobs.keys() == once.jobs.keys()
        assert graph.within(whole, RATES, 0.01, {*once.jobs}).jobs.keys() == once.jobs.keys()
        kept = {stage: [j.name for j in once.results if j.stage == stage] for stage in ("figure-8", "end-to-end")}
        for stage, names in kept.items():  # whole, or not
            for name in names:
                beside = [job.name for job in whole.results if graph._whole(job.name) == graph._whole(name)]
                assert {*beside} <= {*names} and len(beside) == (6 if stage == "end-to-end" else 5)


def test_the_embedded_study_is_scores_alone(root, tmp_path):
    asked = Study("embedded", out=tmp_path, clips=18, shipped=root / "weights")
    found = graph.build(asked, holdings.look(asked))
    assert {job.stage for job in found.jobs.values()} == {"table-4"}
    methods = {name.rpartition("/")[2] for name in found.jobs}
    assert {"hr", "bicubic", "vdsr", "srresnet", "rrdb"} <= methods  # claim C3 compares with the last two ...
    assert not {"srresnet", "rrdb", "joint"} & {*manifest.at_hand(root / "weights")}  # ... and chapters do without


# Costs ------------------------------------------------------------------------------------------------------


def test_work_is_counted_as_it_is_done():
    from torch.utils.flop_counter import FlopCounterMode

    net, x = sr.build("vdsr", **sr.METHODS["vdsr"].lite), torch.rand(2, 3, 16, 16)
    with FlopCounterMode(display=False) as counter:
        net(x).square().mean().backward()
    recipe = replace(RECIPES["vdsr"]["embedded"], steps=1, batch=2, patch=64)
    assert costs.training(recipe).operations == pytest.approx(counter.get_total_flops(), rel=0.1)
    one, three = (costs.scoring(n, 93, "hr", [("lite", "rgb")], PROTOCOLS["lite"]) for n in (1, 3))
    assert three.operations == pytest.approx(3 * one.operations) and one.fields == 0
    flows = costs.scoring(1, 200, "hr", [("lite", "flow")], PROTOCOLS["full"])
    assert flows.fields == 25 * 5  # each stack its own five
    assert costs.snippets(10, 100, PROTOCOLS["full"]).disk == 10 * 100 * 256 * 340 * 5


def test_hours_are_an_interval_and_the_wall_is_the_longest_road():
    hours = RATES.hours(Work(operations=3.6e17, fields=36000))
    assert hours == Hours(pytest.approx(2.0), pytest.approx(10.2)) and str(hours) == "2 to 10 h"
    jobs = {"a": (2.0, ()), "b": (1.0, ()), "c": (1.0, ()), "d": (1.0, ("a",))}
    assert [costs.wall(jobs, n) for n in (1, 2, 9)] == [5.0, 3.0, 3.0]


def test_rates_are_measured_kept_and_read(tmp_path):
    rates = costs.measure(torch.device("cpu"), seconds=1.0)
    for low, high in (rates.operations, rates.fields, rates.frames):
        assert 0 < low < high
    assert costs.load(rates.save(tmp_path / "rates.json")) == rates
    (tmp_path / "rates.json").write_text('{"machine": "x", "operations": [1, 0]}')
    with pytest.raises(InputError, match="rates.json.*; measure them again"):
        costs.load(tmp_path / "rates.json")


def test_the_plan_in_words_and_as_a_page(whole, tmp_path):
    text = pages.described(whole, RATES, set(), devices=8, free=1e9)
    assert "networks " in text and "on 8 devices about" in text and "warning: 1.9" in text
    counts = pages.write(tmp_path, replace(whole, lost={"<b>": "<i>"}), RATES, 8)
    page = (tmp_path / "status.html").read_text()
    assert counts["waiting"] == len(whole.jobs) and "&lt;b&gt;" in page and "<b>" not in page
    assert page.count("<rect") == len(graph.STAGES) and 'role="img"' in page


# Jobs that run ----------------------------------------------------------------------------------------------


def shell(out, **scripts):
    """Jobs of shell scripts: name=(script, needs...); each makes OUT/NAME."""
    jobs = {}
    for name, (script, *needs) in scripts.items():
        words = ("sh", "-c", script.replace("OUT", f"{out}/{name}"))
        jobs[name] = Job(name, words, out / name, tuple(needs))
    return [job.plain() | {"priority": 1, "minutes": 1} for job in jobs.values()]


def run(out, jobs, name="here", cores=2):
    engine.run(out, jobs, engine.Machine(name, 0, cores), lambda: None)
    return {job["name"]: "done" if engine.is_done(out, job) else "failed" if engine.state(out, job["name"], "failed")
            else "waiting" for job in jobs}  # fmt: skip


def test_a_job_that_fails_stops_what_needs_it_and_nothing_else(tmp_path):
    out = tmp_path / "out"
    scripts = dict(a=("echo a > OUT",), b=("echo 'arsr: no space' >&2; exit 2", "a"), c=("echo c > OUT", "b"))
    jobs = shell(out, **scripts, d=("echo d > OUT", "a"))
    assert run(out, jobs) == {"a": "done", "b": "failed", "c": "waiting", "d": "done"}
    assert engine.state(out, "b", "failed")["reason"] == "arsr: no space"
    before = engine.state(out, "a", "done")
    again = shell(out, **scripts | dict(b=("echo b > OUT", "a")), d=("echo d > OUT", "a"))
    assert {*run(out, again).values()} == {"done"}
    assert engine.state(out, "a", "done") == before  # what is done is done
    (out / "a").write_text("another")
    assert not any(engine.is_done(out, job) for job in again if job["name"] == "a")


def test_two_machines_in_one_folder_do_each_job_once(tmp_path):
    out = tmp_path / "out"
    log = tmp_path / "log"
    jobs = shell(out, **{f"j{i}": (f"echo {i} >> {log}; sleep 0.5; echo {i} > OUT",) for i in range(4)})
    code = f"import sys; sys.path[:0] = {sys.path!r}\nfrom test_reproduce import *\n"
    code += f"print(run(Path({str(out)!r}), json.loads({json.dumps(jobs)!r}), 'there'))"
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert {*run(out, jobs).values()} == {"done"}
    assert "failed" not in other.communicate(timeout=300)[0] and other.returncode == 0
    assert sorted(log.read_text().split()) == ["0", "1", "2", "3"]


def test_a_killed_job_is_done_by_the_next_run(tmp_path):
    out = tmp_path / "out"
    jobs = shell(out, a=("test -e OUT.begun && echo a > OUT && exit 0; touch OUT.begun; sleep 600",))
    code = f"import sys; sys.path[:0] = {sys.path!r}\nfrom test_reproduce import *\n"
    code += f"run(Path({str(out)!r}), json.loads({json.dumps(jobs)!r}))"
    victim = subprocess.Popen([sys.executable, "-c", code])
    limit = time.monotonic() + 200
    while not (out / "a.begun").exists() and time.monotonic() < limit:
        time.sleep(0.05)
    kill_all(victim)
    assert engine.state(out, "a", "running") and run(out, jobs) == {"a": "done"}
    assert not engine.state(out, "a", "running")


def set_to_work(out, name, jobs, machine):
    """Start a job as Snakemake does."""
    (out / "machines" / machine.name).mkdir(parents=True, exist_ok=True)
    (out / "machines" / machine.name / "jobs.json").write_text(json.dumps(engine.configured(out, jobs, machine)))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "ARSR_MACHINE": machine.name}
    return subprocess.Popen([sys.executable, "-m", "arsr.reproduce.engine", out, name], env=environment)


def wait_for(what):
    limit = time.monotonic() + 100
    while not what():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_while_another_machine_is_at_a_job_the_next_one_is_done(tmp_path):
    out = tmp_path / "out"
    jobs = shell(out, a=("echo a > OUT",), b=("exit 1", "a"), c=("echo x >> OUT",), d=("echo d > OUT", "c"))
    with places.alone(engine.place(out, "a")):  # as if another machine was at it
        process = set_to_work(out, "a", jobs, engine.Machine("here", 0, 1))
        wait_for(lambda: engine.is_done(out, jobs[3]))
        assert process.poll() is None and not (out / "a").exists()
    assert process.wait(100) == 0 and (out / "a").exists()
    assert (out / "c").read_text() == "x\n" and not engine.state(out, "b", "failed")  # once; a was not done
    with places.alone(engine.place(out, "b")):  # a cluster's job has the time of one job
        process = set_to_work(out, "b", shell(out, b=("exit 1",), e=("echo e > OUT",)), CLUSTER)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(4)
        assert not (out / "e").exists()
    assert process.wait(100) == 1


def test_a_job_whose_process_is_killed_has_failed_and_the_page_says_so(tmp_path):
    out, seen = tmp_path / "out", []
    jobs = shell(out, a=("echo a > OUT",), b=("kill -9 $PPID",))
    engine.run(out, jobs, engine.Machine("here", 0, 2), lambda: seen.append(engine.state(out, "b", "failed")))
    assert seen[-1]["reason"] == "its process was killed" and not engine.state(out, "b", "running")
    with pytest.raises(InputError, match="Snakemake failed: .*no-such"):  # nothing ran
        engine.run(out, jobs, engine.Machine("here", 0, 2, 1, "--no-such-option"), lambda: None)


def test_after_ctrl_c_the_page_has_no_running_job(tmp_path):
    out, seen = tmp_path / "out", []

    def watch():
        seen.append(engine.state(out, "a", "running"))
        if any(seen) and len(seen) < 100:
            seen.extend([None] * 100)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.run(out, shell(out, a=("sleep 600",)), engine.Machine("here", 0, 1), watch)
    assert len(seen) > 100 and seen[-1] is None and not engine.state(out, "a", "failed")


def test_a_reason_is_of_the_last_attempt_and_the_time_of_all(tmp_path):
    out = tmp_path / "out"
    script = "echo x >> OUT.n; case $(wc -l < OUT.n) in 1) sleep 1; echo 'arsr: old'; exit 1;; 2) kill -9 $$;; "
    jobs = shell(out, a=(script + "3) echo Killed; exit 3;; 4) ;; *) echo a > OUT;; esac",))
    for reason in ("arsr: old", "killed by SIGKILL", "Killed (exit code 3)", f"no {out / 'a'}"):
        assert set_to_work(out, "a", jobs, engine.Machine("here", 0, 1)).wait(100) != 0
        assert engine.state(out, "a", "failed")["reason"] == reason
    assert set_to_work(out, "a", jobs, engine.Machine("here", 0, 1)).wait(100) == 0
    assert not engine.state(out, "a", "failed") and engine.state(out, "a", "done")["seconds"] > 1


def test_what_nobody_needs_any_more_is_not_made_again(tmp_path):
    out = tmp_path / "out"
    jobs = shell(out, clips=("echo c > OUT",), train=("echo t > OUT", "clips"), score=("echo s > OUT", "train"))
    assert {*run(out, jobs).values()} == {"done"}
    (out / "clips").unlink()
    assert not engine.left(out, jobs)
    (out / "score").unlink()
    assert engine.left(out, jobs) == {"score"}
    other = shell(out, clips=("echo d > OUT",))  # another command: all that follows from it
    assert engine.left(out, other + jobs[1:]) == {"clips", "train", "score"}
    (out / "train").unlink()
    assert engine.left(out, jobs) == {"clips", "train", "score"}


def test_scores_of_other_weights_or_clips_are_made_anew(tmp_path):
    out, weights = tmp_path / "out", tmp_path / "vdsr.pth"
    weights.write_text("old")
    (job,) = shell(out, score=(f"test ! -e OUT.parquet && cat {weights} > OUT.parquet",))
    job |= {"makes": f"{out}/score.parquet", "given": [str(weights)], "clips": "abc"}
    machine = engine.Machine("here", 0, 1)
    assert set_to_work(out, "score", [job], machine).wait(100) == 0 and not engine.left(out, [job])
    weights.touch()
    assert not engine.left(out, [job])  # the same bytes
    weights.write_text("new")
    (out / "score.parquet.parts").mkdir()
    assert engine.left(out, [job]) == {"score"}
    assert set_to_work(out, "score", [job], machine).wait(100) == 0
    assert (out / "score.parquet").read_text() == "new" and not (out / "score.parquet.parts").exists()
    assert engine.left(out, [job | {"clips": "abd"}]) == {"score"}


def test_gpus_of_a_shell_inside_slurm_are_shared_out_among_jobs(tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    jobs = shell(out, **{name: ("echo $CUDA_VISIBLE_DEVICES > OUT; sleep 3",) for name in "ab"})
    both = [set_to_work(out, name, jobs, engine.Machine("here", 2, 4)) for name in "ab"]
    assert [process.wait(100) for process in both] == [0, 0]
    assert {(out / name).read_text().strip() for name in "ab"} == {"4", "5"}
    for name, machine in (("c", replace(CLUSTER, gpus=1)), ("d", engine.Machine("here", 1, 4, visible="5"))):
        (job,) = shell(out, **{name: ("echo $CUDA_VISIBLE_DEVICES > OUT",)})
        assert set_to_work(out, name, [job], machine).wait(100) == 0
    assert ((out / "c").read_text(), (out / "d").read_text()) == ("4,5\n", "5\n")


@pytest.mark.parametrize(
    ("words", "cluster", "devices"),
    [
        ("", False, 4),
        ("--executor slurm --jobs 64", True, 64),
        ("-e slurm -j64", True, 64),
        ("--profile p --default-resources a=b mem=1", True, 4),
        ("--workflow-profile=p -j 8", True, 8),
        ("--executor local --jobs unlimited", False, 4),
    ],
)
def test_what_the_words_for_snakemake_say(words, cluster, devices):
    machine = engine.Machine("m", 4, 8, 1, words)
    assert (machine.cluster, machine.devices) == (cluster, devices)


def test_two_runs_in_one_folder(root, tmp_path):
    asked = Study("embedded", out=tmp_path / "out", clips=18, methods=("hr",), shipped=root / "weights", machine="here")
    code = "import sys; from pathlib import Path; from arsr import places\n"
    code += "with places.alone(Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", code, str(tmp_path / "out" / "machines" / "here")]
    places.claim(tmp_path / "out", "study")
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "in\n"
        with pytest.raises(InputError, match=rf"machines/here: in use by process {other.pid} on "):
            conduct.conduct(asked, HERE, "prepare", say=str, tell=str)


def test_a_folder_that_cannot_be_written(root, tmp_path):
    (tmp_path / "file").write_text("")
    asked = Study("embedded", out=tmp_path / "file" / "out", clips=18, methods=("hr",), shipped=root / "weights")
    with pytest.raises(OSError, match="file"):
        conduct.conduct(asked, HERE, "prepare", say=str, tell=str)


def test_no_scores_no_tables(root, tmp_path):
    asked = Study("embedded", out=tmp_path, clips=18, shipped=root / "weights")
    with pytest.raises(InputError, match="no scores of Table 4 there yet"):
        tables.tables(asked, holdings.look(asked), HERE)


def test_where_jobs_failed_they_are_named_and_not_the_tables_that_lack(root, tmp_path, monkeypatch):
    rates = tmp_path / "rates.json"
    rates.write_text(json.dumps({"machine": "m", "operations": [1e9, 1e10], "fields": [1, 9], "frames": [9, 90]}))
    asked = Study("embedded", out=tmp_path / "out", clips=18, methods=("hr",), shipped=root / "weights", rates=rates)
    said = []
    for failed in ("starts/vdsr failed: no space", ""):
        monkeypatch.setattr(conduct, "_run", lambda *_, failed=failed: failed)
        if failed:
            assert conduct.conduct(asked, HERE, say=said.append, tell=str) == failed
            assert said[-1].endswith("no scores of Table 4 there yet")
            assert (tmp_path / "out" / "report.json").is_file()
            page = (tmp_path / "out" / "status.html").read_text()
            assert "What was made" in page and "refresh" not in page
        else:
            with pytest.raises(InputError, match="no scores of Table 4 there yet"):
                conduct.conduct(asked, HERE, say=said.append, tell=str)


def test_the_page_of_a_plan_stands_still_and_rates_are_of_a_kind_of_device(root, tmp_path, monkeypatch):
    asked = Study("embedded", out=tmp_path, clips=18, methods=("hr",), shipped=root / "weights", device="cpu")
    monkeypatch.setattr(conduct.costs, "measure", lambda *_: RATES)
    conduct.conduct(asked, HERE, "prepare", say=str, tell=str)
    running = tmp_path / "jobs" / "table-4" / "embedded-tsn" / "hr" / "running.json"
    running.parent.mkdir(parents=True)
    running.write_text(json.dumps({"machine": "m", "process": 1, "since": 0.0}))  # of a machine that is gone
    conduct.conduct(asked, HERE, "prepare", say=str, tell=str)
    page = (tmp_path / "status.html").read_text()
    assert not running.exists() and "running" not in page.partition("<h1>")[2].partition("<h2>")[0]
    assert "<h1>The plan</h1>" in page and "refresh" not in page and not (tmp_path / "report.json").exists()
    assert (tmp_path / "machines" / asked.machine / "rates-cpu.json").is_file()


def test_where_jobs_failed_nothing_is_kept(root, tmp_path, monkeypatch):
    (tmp_path / "rates.json").write_text(json.dumps(vars(RATES)))
    asked = Study("embedded", out=tmp_path / "out", clips=18, methods=("hr",), shipped=root / "weights")
    asked, kept, said = replace(asked, rates=tmp_path / "rates.json"), [], []
    monkeypatch.setattr(conduct, "_finish", lambda study, have, source, keep, *_: kept.append(keep))
    for failed in ("one failed", ""):
        monkeypatch.setattr(conduct, "_run", lambda *_, failed=failed: failed)
        conduct.conduct(asked, HERE, keep=tmp_path / "results", say=said.append, tell=str)
    assert kept == [None, tmp_path / "results"] and sum(line.startswith("not kept in ") for line in said) == 1


def test_devices(monkeypatch):
    def machine(built=None, **changed):
        return conduct._machine(study(machine="m", **changed), built)

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    cpu, all_, one = machine(device="cpu"), machine(), machine(device="cuda:1")
    assert (cpu.gpus, cpu.visible, cpu.devices) == (0, "", 1)  # one job at a time, on all cores
    assert engine.configured(Path("out"), [], cpu)["cores"] == cpu.cores
    assert (all_.gpus, all_.visible, all_.devices) == (4, "0,1,2,3", 4) and (one.gpus, one.visible) == (1, "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,7")
    assert machine(device="cuda:1").visible == "7"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with pytest.raises(InputError, match="--processes 8: a GPU each, and there are 4; give no more"):
        machine(processes=8)
    slurm = machine(processes=8, engine="--executor slurm")
    assert (slurm.cluster, slurm.gpus, slurm.visible) == (True, 1, None)
    built = graph.build(study(only=("recognisers",)), Holdings(ALL, VIDEOS, {}, IMAGENET))
    with pytest.raises(InputError, match="--processes 3: recognisers/.* 256 samples a step, which do not divide"):
        machine(built, processes=3)
    assert machine(built, processes=4).devices == 1


def test_a_cluster_s_jobs_ask_for_gpus_that_are_not_here(tmp_path):
    jobs = shell(tmp_path, a=("true",), b=("true", "a"))
    here = engine.configured(tmp_path, jobs, engine.Machine("m", 8, 64, 2))
    assert (here["gpus"], here["cores"], here["jobs"]["b"]["waits"]) == (2, 16, ["a"])
    there = engine.configured(tmp_path, jobs, engine.Machine("m", 1, 4, 1, "--executor slurm --jobs 64"))
    assert (there["gpus"], there["cores"]) == (1, engine.CORES)


def test_commands_are_started_by_as_many_processes_as_they_can_use():
    train, data = ["arsr", "train", "vdsr"], ["arsr", "data", "pairs"]
    assert engine.started(train, 1) == [sys.executable, "-m", *train]
    assert engine.started(data, 2) == [sys.executable, "-m", *data]
    train += ["--start", "a.safetensors", "--seed", "1", "--set", "steps=2", "--m", "--n"]
    module, *words = engine.started(train, 2)[2:]
    launched = import_module(module).get_args_parser().parse_args(words)
    assert (launched.nproc_per_node, launched.module, launched.training_script) == ("2", True, "arsr")
    assert launched.training_script_args == train[1:]


# What follows from the scores -------------------------------------------------------------------------------


def test_of_embedded_clips_it_makes_table_4_alone(root, tmp_path):
    """The rest has records of other studies, whose keys they would be."""
    from arsr import scores

    frame, header = scores.load(root / "results" / "scores" / "embedded-tsn.parquet")
    for method in ("hr", "bicubic", "vdsr"):
        path = tmp_path / "scores" / "embedded-tsn" / f"{method}.parquet"
        scores.save(path, frame[frame["method"] == method], header)
    asked = Study("embedded", out=tmp_path, clips=36, shipped=root / "weights")
    _, made, _ = tables.tables(asked, holdings.look(asked), HERE.model_copy(update={"profile": "embedded"}))
    keys = {r.key for r in made}
    assert {key.rpartition(".benchmark.")[0] for key in keys} == {"embedded"}
    assert "embedded.benchmark.embedded.tsn.vdsr.spatial" in keys


@pytest.mark.slow
def test_all_scores_fill_the_full_tier_of_the_ledger(tmp_path):
    """Random scores of every result of the graph, for a test clip a class: every claim on accuracies is measured."""
    from arsr import claims, evaluate, scores
    from arsr.names import SCORES

    data, rng = tmp_path / "data", np.random.default_rng(0)
    lists = {"hmdb51": data / "hmdb51_splits", "ucf101": data / "ucfTrainTestlist"}
    roots = {"hmdb51": data / "hmdb51", "ucf101": data / "UCF-101"}
    for folder in (*lists.values(), *roots.values()):
        folder.mkdir(parents=True)
    names = {}
    for number, action in enumerate(folders.DATASETS["hmdb51"].classes):
        name = f"x{number}_{action}_f_nm_np1_fr_goo_0.avi"
        names[f"{action}/{name}"] = roots["hmdb51"]
        (lists["hmdb51"] / f"{action}_test_split1.txt").write_text(f"{name} 2\n")
    tested = [f"{action}/v_{action}_g01_c01.avi" for action in folders.DATASETS["ucf101"].classes]
    (lists["ucf101"] / "testlist01.txt").write_text("\n".join(tested))
    (lists["ucf101"] / "trainlist01.txt").write_text("YoYo/v_YoYo_g09_c01.avi 101\n")
    for name, root in (names | dict.fromkeys(tested, roots["ucf101"])).items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    asked = study(tmp_path / "out", data=data, present_only=True, seeds=3)
    have = Holdings({name: replace(ALL[name], root=root) for name, root in roots.items()}, VIDEOS, {}, IMAGENET)
    header = dict(protocol={}, flow={}, precision="auto", runs=(HERE,))
    clips = {}
    for dataset, root in roots.items():
        config = evaluate.Evaluation(dataset, Path("x.parquet"), ("-",), root=root, present_only=True)
        clips[dataset], _ = evaluate.dataset_clips(config)
    for job in graph.build(asked, have).jobs.values():
        if job.command[1] == "evaluate":
            words = [*job.command]
            dataset, network, method = words[2], words[words.index("--network") + 1], words[words.index("-m") + 1]
            kinds = [Path(words[i + 1]).parent.name for i, word in enumerate(words) if word == "-r"]
            streams = SCORES if network == "st-resnet" else ["temporal" if "flow" in k else "spatial" for k in kinds]
            same = dict(
                dataset=dataset, network=network, method=method, fold="1", protocol="full", status="ok", reason=""
            )
            classes = folders.DATASETS[dataset].classes
            rows = [
                same | dict(clip=c.name, group=c.group, label=c.label, action=c.action, stream=stream)
                | dict(scores=rng.normal(size=len(classes)).astype(np.float32).tolist())
                for c in clips[dataset] for stream in streams
            ]  # fmt: skip
            scores.save(job.makes, rows, scores.Header(classes=classes, **header))
    _, made, kept = tables.tables(asked, have, HERE)
    found = {record.key: record for record in made}
    assert {*kept} == {f"{d}-{n}" for d in roots for n in ("tsn", "st-resnet")}
    three = found["paper.benchmark.ucf101.tsn.spatial.sosr.to_esrgan.accuracy"]
    assert "3 trainings of each" in three.description
    assert "paper.end-to-end.hmdb51.st-resnet.spatial.own.to_other.accuracy" in found
    assert "paper.retrained.hmdb51.tsn.temporal.lr.4.to_0.accuracy" in found
    ledger = claims.ledger(found)
    for claim in ("c1", "c3", "c4", "c5", "c6", "c7a", "c7b", "c8", "c10"):
        assert ledger[claim]["full"].verdict not in (claims.UNMEASURED, claims.NO_NUMBERS), claim
    written = tables.keep(made, kept, tmp_path / "results")
    assert records.load(written[0]).keys() == found.keys() and len(written) == 5
