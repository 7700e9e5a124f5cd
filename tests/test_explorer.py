"""The clips behind a number: scores reach the page unchanged, links name what is there; then the page in Chromium."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from bs4 import BeautifulSoup

from arsr import scores
from arsr.book import offline, pages, tables
from arsr.book.build import Build, pictured
from arsr.explorer import behind, page, studies
from arsr.records import Provenance, Record
from arsr_core.errors import InputError

CLASSES = ("bend", "jump", "run")
STREAMS = ("spatial", "temporal")
METHODS = ("hr", "bicubic", "sosr", "tosr")
COUNT = 40
MEASURED = Provenance(kind="measured", source="a study", command="arsr evaluate ...")


def saved(path, dataset="embedded", networks=None, count=COUNT, unreadable=(), **header):
    """A file of random scores of both streams, of `count` clips or of so many a stream. networks: name: methods."""
    draw, rows = np.random.default_rng(3), []
    counts = count if isinstance(count, dict) else dict.fromkeys(STREAMS, count)
    for network, method in ((network, m) for network, its in (networks or {"tsn": METHODS}).items() for m in its):
        for stream in STREAMS:
            for i in range(counts[stream]):
                ok = i not in unreadable
                common = dict(dataset=dataset, network=network, stream=stream, method=method, protocol="lite", fold="")
                own = dict(clip=f"test-0-{i:05d}", group=str(i), label=i % 3, action=CLASSES[i % 3])
                state = dict(status="ok" if ok else "unreadable", reason="" if ok else "cut")
                rows.append(common | own | state | dict(scores=draw.normal(size=3).astype(np.float32) if ok else []))
    path.parent.mkdir(parents=True, exist_ok=True)
    flow, weights = {"preset": "fast"}, {"sosr": "ab", "tosr": "cd"}
    header = dict(classes=CLASSES, protocol={"name": "lite"}, flow=flow, precision="auto", weights=weights) | header
    return scores.save(path, rows, scores.Header(**header, runs=(MEASURED,)))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    saved(folder / "scores" / "embedded-tsn.parquet")
    saved(folder / "study-weizmann.parquet", "weizmann", unreadable=(5,))
    saved(folder / "ablation-embedded.parquet", networks={"tsn": ("bicubic", "vdsr-wmse-seed1")}, count=6)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Results of what was trained in several ways, beside a benchmark of two real sets."""
    folder = tmp_path_factory.mktemp("trained")
    saved(folder / "scores" / "embedded-tsn.parquet", recognisers={"tsn/spatial/": "ef"})
    saved(folder / "study-weizmann.parquet", "weizmann", {"tsn": ("hr", "bicubic", "vdsr")}, unreadable=(5,))
    saved(folder / "study-tennis.parquet", "tennis", {"tsn": ("hr", "bicubic")}, count=6)
    path = {"tsn": ("srgan-0", "srgan-0.5", "srgan-1")}
    saved(folder / "frontier-embedded.parquet", networks=path, recognisers={"tsn/spatial/": "ef"})
    judged = ("original-control-seed0", "original-both-seed0", "own-both-seed0", "unseen-control-seed0")
    networks = dict.fromkeys(judged, ("srgan",)) | {"original-references": ("hr", "bicubic")}
    both = dict.fromkeys(("tsn", "st-resnet"), ("hr", "vdsr-mse"))
    saved(folder / "ablation-tennis.parquet", "tennis", both, count={"spatial": 6, "temporal": 4})
    saved(folder / "turns-embedded.parquet", networks=networks, count=6)
    judged = ("retrained-0", "retrained-4", "end-to-end-lite-control", "end-to-end-lite-control-seen")
    networks = dict.fromkeys(judged, ("srgan",)) | {"end-to-end-lite-references": ("hr",)}
    saved(folder / "retraining-embedded.parquet", networks=networks, count={"spatial": 6, "temporal": 4})
    return folder


@pytest.fixture(scope="module")
def found(results):
    return studies.found(results)


def test_studies_are_what_the_results_hold(found, tmp_path):
    assert [*found] == ["embedded-tsn", "weizmann-tsn", "ablation-embedded-tsn"]
    assert found["embedded-tsn"].methods == (*METHODS, "sosr+tosr")  # a pair follows from its streams
    index = studies.index(found.values())
    assert index["embedded-tsn"]["methods"]["sosr+tosr"] == ["fused"]
    assert index["embedded-tsn"]["methods"]["hr"] == ["spatial", "temporal", "fused"]
    assert index["ablation-embedded-tsn"]["title"] == "embedded clips, TSN: losses and training"
    for study in found.values():  # the cheap answer is that of the scores themselves
        for method, streams in study.streams.items():
            stored = [s for s in scores.SCORES if scores.rows_of(study.frame, method, s) is not None]
            assert streams == stored, (study.name, method)
            assert streams, (study.name, method)  # a pair of a recogniser of frames alone is no choice
    assert studies.found(tmp_path) == {}


def test_a_recogniser_of_frames_alone_has_no_pairs(found):
    study = found["embedded-tsn"]
    frames = replace(study, frame=study.frame[study.frame["stream"] == "spatial"])
    assert "sosr+tosr" in study.methods and not any("+" in method for method in frames.methods)


def test_what_was_trained_in_several_ways_is_shown_apart(trained):
    found = studies.found(trained)
    expected = {
        "embedded-tsn": METHODS,
        "tennis-tsn": ("hr", "bicubic"),
        "weizmann-tsn": ("hr", "bicubic", "vdsr"),
        "real-tsn": ("hr", "bicubic"),
        "ablation-tennis-st-resnet-spatial": ("hr", "vdsr-mse"),
        "ablation-tennis-st-resnet-temporal": ("hr", "vdsr-mse"),
        "ablation-tennis-tsn-spatial": ("hr", "vdsr-mse"),
        "ablation-tennis-tsn-temporal": ("hr", "vdsr-mse"),
        "frontier-embedded-tsn": ("hr", "bicubic", "srgan-0", "srgan-0.5", "srgan-1"),
        "turns-embedded-original": ("hr", "bicubic", "both-seed0", "control-seed0"),
        "turns-embedded-own": ("both-seed0", "control-seed0"),  # the control's recogniser stays the original one
        "turns-embedded-unseen": ("control-seed0",),
        "retraining-embedded-lite-spatial": ("hr", "control"),
        "retraining-embedded-lite-temporal": ("hr", "control"),
        "retraining-embedded-retrained-spatial": ("srgan@0", "srgan@4"),
        "retraining-embedded-retrained-temporal": ("srgan@0", "srgan@4"),
    }
    assert {name: study.methods for name, study in found.items()} == expected | {
        "embedded-tsn": (*METHODS, "sosr+tosr")
    }
    assert len({study.title for study in found.values()}) == len(found)
    # streams that saw other clips are not mixed: no clip counts as wrong that was never shown
    assert found["retraining-embedded-retrained-temporal"].frame["clip"].nunique() == 4
    assert found["frontier-embedded-tsn"].streams["srgan-0"] == [*scores.SCORES]
    assert studies.in_laboratory(found["retraining-embedded-lite-spatial"], {}) == {"hr": "hr"}
    weights = {"srgan-0.5": "12", "srgan-1": "34", "tosr": "56"}
    frontier = found["frontier-embedded-tsn"]
    frontier = replace(frontier, header=frontier.header.model_copy(update={"weights": weights}))
    shown = {"hr": "hr", "bicubic": "bicubic", "srgan-1": "srgan"}
    assert studies.in_laboratory(frontier, {"srgan": "34", "tosr": "56"}) == shown


def test_real_sets_together_answer_as_each_alone(trained):
    found = studies.found(trained)
    real, sets = found["real-tsn"], [found["tennis-tsn"], found["weizmann-tsn"]]
    assert real.header.classes == tuple(f"{place}: {c}" for place in ("tennis strokes", "Weizmann") for c in CLASSES)
    for measure in (scores.correct, scores.log_probability):
        for stream in scores.SCORES:
            apart = [measure(scores.rows_of(study.frame, "hr", stream)) for study in sets]
            together = measure(scores.rows_of(real.frame, "hr", stream))
            np.testing.assert_allclose(together, np.concatenate(apart), rtol=1e-6)


def test_packed_scores_are_those_of_the_file(found):
    study = found["weizmann-tsn"]
    data = studies.packed(study)
    size = int(np.frombuffer(data, np.uint32, 1)[0])
    head = json.loads(data[4 : 4 + size])
    values = np.frombuffer(data, "<f4", offset=4 + size).reshape(len(head["blocks"]), COUNT, 3)
    assert size % 4 == 0 and head["classes"] == [*CLASSES]
    for (method, stream), block in zip(head["blocks"], values, strict=True):
        rows = scores.select(study.frame, method=method, stream=stream)
        assert head["clips"] == rows["clip"].tolist() and head["labels"] == rows["label"].tolist()
        for mine, theirs in zip(block, rows["scores"], strict=True):
            assert np.isnan(mine).all() if not len(theirs) else (mine == theirs).all()


def test_the_laboratory_shows_networks_that_the_study_had(found):
    known = {"sosr": "ab", "tosr": "other"}
    same = {"hr": "hr", "bicubic": "bicubic", "sosr": "sosr"}
    assert studies.in_laboratory(found["embedded-tsn"], known) == same


def test_links_name_what_is_there(found):
    env = SimpleNamespace(arsr_studies=studies.index(found.values()))
    query = "study=embedded-tsn&stream=fused&a=bicubic&b=sosr%2Btosr&show=gained"
    assert pages.LINKS["clips"](env, f"94 <{query}>") == (f"clips.html#{query}", "94", None)
    for wrong in (
        "study=other&stream=fused&a=hr&b=sosr",
        "study=embedded-tsn&stream=spatial&a=hr&b=sosr%2Btosr",  # a pair has fused scores alone
        "study=embedded-tsn&stream=spatial&a=hr",
        "study=embedded-tsn&stream=spatial&a=hr&b=sosr&show=some",
        "study",
    ):
        with pytest.raises(ValueError):
            pages.LINKS["clips"](env, f"94 <{wrong}>")
    env.arsr_studies = {}  # a checkout without scores has no such page
    assert pages.LINKS["clips"](env, f"94 <{query}>") == ("", "94", None)


def test_records_and_cells_lead_to_their_clips(found):
    names = ["tsn.spatial.bicubic.to_sosr.accuracy", "tsn.hr.temporal", "tsn.sosr.fused.class-mean", "tsn.hr.psnr"]
    names += ["other.spatial.hr.to_sosr.accuracy", "tsn.spatial.hr.to_duf16.accuracy"]  # neither has scores
    keys = [f"embedded.benchmark.embedded.{name}" for name in names] + ["small.accuracy.embedded.tsn.hr.spatial"]
    env = SimpleNamespace(arsr_studies=studies.index(found.values()), arsr_records=dict.fromkeys(keys))
    assert pages.behind(env) == {
        keys[0]: "../clips.html#study=embedded-tsn&stream=spatial&a=bicubic&b=sosr",
        keys[1]: "../clips.html#study=embedded-tsn&stream=temporal&a=bicubic&b=hr",
        keys[2]: "../clips.html#study=embedded-tsn&stream=fused&a=bicubic&b=sosr",
        keys[-1]: "../clips.html#study=embedded-tsn&stream=spatial&a=bicubic&b=hr",
    }
    source = Record(key="k", value=1, description="d", provenance=MEASURED)
    frame = scores.table(found["embedded-tsn"].frame, pairs=["sosr+tosr"])
    for clips in (True, False):
        table = BeautifulSoup(tables.benchmark(frame, "c", source, clips=clips), "html.parser")
        links = [a["href"] for a in table.select("td a")]
        assert len(links) == clips * len(frame)
    assert "../clips.html#study=embedded-tsn&stream=fused&a=bicubic&b=sosr%2Btosr" in tables.benchmark(
        frame, "c", source, clips=True
    ).replace("&amp;", "&")


@pytest.mark.parametrize(
    "key, study, a, b",
    [
        ("embedded.ablation.spatial.sosr.to_esrgan.accuracy", "ablation-embedded-tsn-spatial", "sosr", "esrgan"),
        ("small.ablation.real.tsn.spatial.sosr.to_esrgan.log-probability", "ablation-real-tsn", "sosr", "esrgan"),
        ("small.published.yoga.tsn.spatial.realsr.to_bicubic.accuracy", "published-yoga-tsn", "realsr", "bicubic"),
        ("small.joint.real.tsn.spatial.joint.to_tosr.accuracy", "joint-real-tsn", "joint", "tosr"),
        ("small.frontier.real.tsn.spatial.srgan.slope.accuracy", "frontier-real-tsn", "srgan-0", "srgan-1"),
        ("small.turns.real.both.own.to_control.accuracy", "turns-real-own", "both-seed0", "control-seed0"),
        (
            "embedded.retrained.embedded.tsn.spatial.lr.4.to_1.accuracy",
            "retraining-embedded-retrained-spatial",
            "bicubic@4",
            "bicubic@1",
        ),
        ("small.retrained.real.tsn.spatial.hr.4.to_0.accuracy", "rivals-real-tsn", "hr@lr", "hr"),
        ("embedded.end-to-end.embedded.lite.own.to_control.accuracy", "retraining-embedded-lite", "lite", "control"),
    ],
)
def test_contrasts_of_trainings_lead_to_the_clips_of_the_first(key, study, a, b):
    known = {study: {"methods": {a: ["spatial"], b: ["spatial"]}}}
    assert behind.address(key, known) == studies.address(study, "spatial", a, b)
    assert behind.address(key, {}) == behind.address(key, {study: {"methods": {a: ["spatial"]}}}) == ""


def test_frames_are_made_once(found, tmp_path):
    shown = page.pictured(tmp_path, found, 3)
    assert [clip.name for clip in shown] == [f"test-0-{i:05d}" for i in range(3)]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    shown[1].poster.unlink()  # a build was killed
    assert page.pictured(tmp_path, found, 3) == shown
    after = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert {path for path in before if before[path] != after[path]} == {shown[1].file, shown[1].poster}


def test_a_build_without_scores_has_no_such_page(tmp_path, root):
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(root / name, tmp_path)
    (tmp_path / "book").mkdir()
    assert pictured(Build(tmp_path)) == []


def test_damaged_scores_are_named(tmp_path):
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "embedded-tsn.parquet").write_text("no")
    with pytest.raises(InputError, match="not a file of scores"):
        studies.found(tmp_path)


# --- in Chromium ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(found, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    shown = page.pictured(folder / "coded", found, 3)
    key = "embedded.benchmark.embedded.tsn.spatial.bicubic.to_sosr.accuracy"
    made = page.write(folder, found, shown, {"sosr": "ab"}, [key])
    assert made.stat().st_size < 1_000_000 and offline.outside_loads(folder) == []
    assert all(path.stat().st_size < 2_000_000 for path in (folder / "lab").iterdir())
    (folder / "lab.html").write_text("<title>lab</title>")
    return folder


@pytest.fixture
def visit(site, browser):
    trouble, contexts = [], []

    def open_page(query="", width=1280, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, offline=True, **options))
        opened = contexts[-1].new_page()
        opened.on("console", lambda m: trouble.append(m.text) if m.type in ("error", "warning") else None)
        opened.on("pageerror", lambda error: trouble.append(str(error)))
        opened.goto(f"{(site / 'clips.html').as_uri()}#{query}")
        opened.wait_for_selector("#list button, #list .none")
        return opened

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []


CHOSEN = "study={}&stream={}&a=bicubic&b=sosr"


@pytest.mark.browser
@pytest.mark.parametrize("name", ["embedded-tsn", "weizmann-tsn"])
@pytest.mark.parametrize("stream", scores.SCORES)
def test_counts_are_those_of_the_scores(visit, found, name, stream):
    frame = found[name].frame
    a, b, hr = (scores.correct(scores.rows_of(frame, m, stream)) for m in ("bicubic", "sosr", "hr"))
    opened = visit(CHOSEN.format(name, stream))
    expected = dict(turned=a != b, gained=~a & b, lost=a & ~b, hr=hr & ~b, wrong=~a & ~b, right=a & b, all=a == a)
    for kind, its in expected.items():
        opened.click(f"#shown label:has([value={kind}])")
        assert opened.locator("#list button").count() == its.sum(), kind
    gained, lost = expected["gained"].sum(), expected["lost"].sum()
    assert f"{gained} of {COUNT} clips turn right and {lost} turn wrong" in opened.inner_text("#sentence")
    logs = scores.log_probability(scores.rows_of(frame, "sosr", stream))
    opened.select_option("[name=sort]", "low")
    cards = [text.split()[-1] for text in opened.locator("#list button span:last-child").all_inner_texts()]
    shown = [float(text.replace("\N{MINUS SIGN}", "-")) for text in cards if text != "scores"]
    np.testing.assert_allclose(shown, np.sort(logs[~np.isnan(logs)]), atol=0.0051)


@pytest.mark.browser
def test_filters_matrix_and_address(visit, found):
    opened = visit(CHOSEN.format("embedded-tsn", "spatial"))
    rows = scores.rows_of(found["embedded-tsn"].frame, "sosr", "spatial")
    taken = scores.predicted(rows)
    opened.click("#confusion summary")
    for label, answer in ((0, 0), (1, 2)):
        n = int(((rows["label"] == label) & (taken == answer)).sum())
        cell = opened.locator(f"#confusion tbody tr:nth-child({label + 1}) td:nth-of-type({answer + 1})")
        assert cell.inner_text() == (str(n) if n else "")
    opened.click("#confusion tbody tr:nth-child(2) td:nth-of-type(3) button")
    assert opened.locator("#list button").count() == n
    other = visit(opened.evaluate("location.hash.slice(1)"))  # the link holds it all
    assert other.locator("#list button").count() == n and other.locator("#confusion[open]").count() == 1
    assert "record-embedded.benchmark.embedded.tsn.spatial.bicubic.to_sosr.accuracy" in other.inner_html("#sentence")
    strange = visit("study=none&stream=smell&a=x&b=y&show=z&sort=q&label=77&clip=gone")
    assert strange.locator("#sentence").inner_text().startswith("From bicubic to")
    pair = visit("study=embedded-tsn&stream=fused&a=bicubic&b=sosr%2Btosr")
    assert "From bicubic to SoSR+ToSR" in pair.inner_text("#sentence")


@pytest.mark.browser
def test_a_clip_opens_by_keyboard_with_both_methods(visit):
    opened = visit(CHOSEN.format("embedded-tsn", "temporal") + "&show=all&sort=name")
    opened.focus("#list button")
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("Enter")
    assert "test-0-00001" in opened.inner_text("#clip h2")
    source = opened.get_attribute("iframe", "src")
    assert source.startswith("lab.html#bare=1&clip=test-0-00001&left=bicubic&right=sosr&stream=temporal")
    assert opened.locator("#answers tr").count() == 3  # HR and both
    opened.click("#every [data-method=tosr]")  # whose network the laboratory has not
    assert "no network of ToSR as it was measured" in opened.inner_text("#about")
    assert "right=hr" in opened.get_attribute("iframe", "src")
    opened.click("[name=after]")
    assert "test-0-00002" in opened.inner_text("#clip h2")
    assert f"The frames of {COUNT - 3} of these {COUNT} clips are not stored" in opened.inner_text("#stored")
    assert opened.locator("#list small").first.text_content() == "test-0-00003: no frames"
    opened.click("[name=after]")  # beyond the stored frames
    assert opened.locator("iframe").is_hidden() and "beyond them" in opened.inner_text("#about")
    opened.click("[name=close]")
    assert opened.locator("#clip").is_hidden()
    opened.wait_for_function("document.activeElement.dataset.clip == 'test-0-00003'")
    real = visit(CHOSEN.format("weizmann-tsn", "spatial") + "&show=all&clip=test-0-00005")
    assert "no scores" in real.inner_text("#answers") and "not the book" in real.inner_text("#about")
    assert "not the book" in real.inner_text("#stored")
    without = visit("study=ablation-embedded-tsn&stream=spatial&a=bicubic&b=vdsr-wmse-seed1&show=hr")
    assert without.locator("#shown [value=hr]").count() == 0 and without.locator("#shown [value=turned]").is_checked()
    assert "VDSR with WMSE, training 2" in without.inner_text("#sentence")


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_narrow_screens_and_touch(visit, theme):
    opened = visit(CHOSEN.format("embedded-tsn", "spatial"), width=390, has_touch=True, color_scheme=theme)
    opened.tap("#list button")
    assert opened.locator("#clip").is_visible()
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
