"""The clips behind a number: scores reach the page unchanged, links name what is there; then the page in Chromium."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from bs4 import BeautifulSoup

from arsr import scores
from arsr.book import offline, pages, tables
from arsr.book.build import Build, pictured
from arsr.explorer import page, studies
from arsr.records import Provenance, Record
from arsr_core.errors import InputError

CLASSES = ("bend", "jump", "run")
METHODS = ("hr", "bicubic", "sosr", "tosr")
COUNT = 40
MEASURED = Provenance(kind="measured", source="a study", command="arsr evaluate ...")


def saved(path, dataset="embedded", network="tsn", methods=METHODS, count=COUNT, unreadable=()):
    """A file of random scores of both streams."""
    draw, rows = np.random.default_rng(3), []
    for method in methods:
        for stream in ("spatial", "temporal"):
            for i in range(count):
                ok = i not in unreadable
                common = dict(dataset=dataset, network=network, stream=stream, method=method, protocol="lite", fold="")
                own = dict(clip=f"test-0-{i:05d}", group=str(i), label=i % 3, action=CLASSES[i % 3])
                state = dict(status="ok" if ok else "unreadable", reason="" if ok else "cut")
                rows.append(common | own | state | dict(scores=draw.normal(size=3).astype(np.float32) if ok else []))
    path.parent.mkdir(parents=True, exist_ok=True)
    flow, weights = {"preset": "fast"}, {"sosr": "ab", "tosr": "cd"}
    header = dict(classes=CLASSES, protocol={"name": "lite"}, flow=flow, precision="auto", weights=weights)
    return scores.save(path, rows, scores.Header(**header, runs=(MEASURED,)))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    saved(folder / "scores" / "embedded-tsn.parquet")
    saved(folder / "study-weizmann.parquet", "weizmann", unreadable=(5,))
    saved(folder / "ablation-embedded.parquet", methods=("bicubic", "vdsr-wmse-seed1"), count=6)
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
    assert studies.found(tmp_path) == {}


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
    assert studies.in_laboratory(found["embedded-tsn"], {"sosr": "ab", "tosr": "other"}) == ["hr", "bicubic", "sosr"]


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
    keys = [f"embedded.benchmark.embedded.{name}" for name in names]
    env = SimpleNamespace(arsr_studies=studies.index(found.values()), arsr_records=dict.fromkeys(keys))
    assert pages.behind(env) == {
        keys[0]: "../clips.html#study=embedded-tsn&stream=spatial&a=bicubic&b=sosr",
        keys[1]: "../clips.html#study=embedded-tsn&stream=temporal&a=bicubic&b=hr",
        keys[2]: "../clips.html#study=embedded-tsn&stream=fused&a=bicubic&b=sosr",
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
    opened.click("[name=after]")  # beyond the stored frames
    assert opened.locator("iframe").is_hidden() and "beyond them" in opened.inner_text("#about")
    opened.click("[name=close]")
    assert opened.locator("#clip").is_hidden()
    opened.wait_for_function("document.activeElement.dataset.clip == 'test-0-00003'")
    real = visit(CHOSEN.format("weizmann-tsn", "spatial") + "&show=all&clip=test-0-00005")
    assert "no scores" in real.inner_text("#answers") and "not the book" in real.inner_text("#about")


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_narrow_screens_and_touch(visit, theme):
    opened = visit(CHOSEN.format("embedded-tsn", "spatial"), width=390, has_touch=True, color_scheme=theme)
    opened.tap("#list button")
    assert opened.locator("#clip").is_visible()
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
