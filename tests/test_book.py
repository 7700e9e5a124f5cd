"""The build, on a book of two small chapters in a temporary folder."""

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from arsr import ChapterError
from arsr import records as results
from arsr.book import build as book
from arsr.book import filling, keys, notebooks
from arsr_core.errors import InputError

FRONT = """---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {display_name: Python 3, language: python, name: python3}
---
"""
CHAPTER = (
    FRONT
    + """
# First

```{code-cell} ipython3
:tags: [parameters]

profile = "embedded"
data_root = ""
height = 2
```

```{code-cell} ipython3
import os
import matplotlib.pyplot as plt
from arsr import records
from arsr.book import chapter

source = records.Provenance(kind="recomputed", source="First", profile=profile)
records.save([records.mean("first.height", [height, height + 1], "px", "a height", source)],
             chapter.output("records") / "first.json")
print(data_root, chapter.output("records"), "threads:", os.environ["OMP_NUM_THREADS"])
figure, ax = plt.subplots()
ax.plot([0, height])
chapter.save_figure(figure, "first")
```

The height is {num}`first.height:.1f`, the paper's cell {num}`table4.sosr.hmdb51.tsn.spatial`, and $a^2$ is mathematics.
"""
)


def make_book(folder: Path, root: Path, chapter: str = CHAPTER, plain: str = "# Plain\n") -> Path:
    (folder / "book" / "params").mkdir(parents=True)
    shutil.copy(root / "_config.yml", folder)
    shutil.copytree(root / "book" / "assets", folder / "book" / "assets")
    shutil.copy(root / "book" / "references.bib", folder / "book")
    (folder / "_toc.yml").write_text("format: jb-book\nroot: book/00-first\nchapters: [{file: book/records}]\n")
    (folder / "book" / "00-first.md").write_text(chapter)
    (folder / "book" / "records.md").write_text(plain + "\n```{records}\n```\n")
    (folder / "book" / "params" / "embedded.yaml").write_text("height: 3\n")
    (folder / "book" / "params" / "small.yaml").write_text("data_root: null\nheight: 4\n")
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory, root):
    """A built book and what the build said."""
    folder = make_book(tmp_path_factory.mktemp("book"), root)
    said: list[str] = []
    book.build(book.Build(folder), say=said.append)
    return folder, said


def digest(folder: Path) -> dict[str, str]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def page(folder: Path, profile="embedded") -> str:
    return (folder / "_build" / profile / "html" / "book" / "00-first.html").read_text()


def test_numbers_reach_the_page_with_badge_and_link(built):
    text = page(built[0])
    assert "3.5\N{NO-BREAK SPACE}px" in text and "recomputed<span>: embedded</span>" in text
    assert "53.59\N{NO-BREAK SPACE}%" in text and 'class="arsr-badge arsr-badge-paper"' in text
    target = filling.anchor("table4.sosr.hmdb51.tsn.spatial")
    assert f"../book/records.html#{target}" in text
    records = (built[0] / "_build/embedded/html/book/records.html").read_text()
    assert f'id="{target}"' in records and "<code>arsr run 00-first --profile embedded</code>" in records


def test_no_machine_path_and_no_time_in_the_executed_copy(built):
    [executed] = (built[0] / "_build/embedded/chapters").glob("*/executed.ipynb")
    text = executed.read_text()
    assert str(built[0]) not in text and "papermill" not in text and "OUTPUT/records" in text


def test_figures_are_exported_once_and_alike(built, tmp_path):
    [folder] = (built[0] / "_build/embedded/chapters").iterdir()
    assert {p.name for p in (folder / "figures").iterdir()} == {"first.svg", "first.png"}
    config = book.Build(built[0])
    with pytest.raises(InputError, match="embedded clips only"):
        book.export_figures(book.Build(built[0], "small", tmp_path), {})
    (built[0] / "figures").mkdir(exist_ok=True)
    copied = book.export_figures(config, book.execute(config, config.chapters, say=lambda line: None))
    assert sorted(p.name for p in copied) == ["first.png", "first.svg"]
    assert b"<dc:date>" not in (built[0] / "figures" / "first.svg").read_bytes()


def test_an_embedded_chapter_has_one_thread_even_alone(built):
    [executed] = (built[0] / "_build/embedded/chapters").glob("*/executed.ipynb")
    assert "OUTPUT/records threads: 1\\n" in executed.read_text()


def test_unchanged_sources_are_neither_executed_nor_rendered(built):
    said: list[str] = []
    book.build(book.Build(built[0]), say=said.append)
    assert said == ["00-first: unchanged", "pages: unchanged"]


def test_two_builds_are_byte_identical(built, tmp_path):
    book.build(book.Build(built[0], out=tmp_path / "again"), say=lambda line: None)
    first, second = digest(built[0] / "_build/embedded/html"), digest(tmp_path / "again" / "html")
    assert first == second and len(first) > 20


def test_key_follows_source_parameters_and_data(built, tmp_path):
    chapter = built[0] / "book" / "00-first.md"
    (tmp_path / "clip.bin").write_bytes(b"1")

    def key(**options):
        profile = "small" if "data" in options else "embedded"
        return book.chapter_key(book.Build(built[0], profile, **options), chapter)

    keys = [key(), key(overrides={"height": 9}), key(data=tmp_path)]
    (tmp_path / "clip.bin").write_bytes(b"12")
    keys.append(key(data=tmp_path))
    assert len(set(keys)) == 4 and key() == keys[0]
    original = chapter.read_text()
    try:
        chapter.write_text(original + "\nMore.\n")
        assert key() == keys[0]  # prose computes nothing
        chapter.write_text(original.replace("height = 2", "height = 2  # px"))
        assert key() != keys[0]
    finally:
        chapter.write_text(original)


KEYS = """
import json, sys
from pathlib import Path
from arsr.book import build, keys

assert keys.ABOVE == Path.cwd()

def found():
    config = build.Build(Path(sys.argv[1]))
    return {chapter.stem: build.chapter_key(config, chapter) for chapter in config.chapters}

before = found()
for name in sys.argv[2:]:
    with open(name, "a") as file:
        file.write("\\n# edited\\n")
    after = found()
    print(json.dumps([stem for stem in after if after[stem] != before[stem]]))
    before = after
"""


def test_keys_follow_the_modules_that_a_chapter_reaches_and_their_data(tmp_path, root):
    for name in ("arsr", "arsr_core"):
        shutil.copytree(root / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    folder = make_book(tmp_path / "project", root)
    (folder / "_toc.yml").write_text("format: jb-book\nroot: book/00-first\nchapters: [{file: book/01-second}]\n")
    magic = "%config Application.verbose_crash = False"
    source = f"{magic}\nfrom arsr.book import tables\nfrom arsr_core import losses"
    cell = f"```{{code-cell}} ipython3\n{source}\n```\n"
    (folder / "book" / "01-second.md").write_text(FRONT + "\n# Second\n\n" + cell)
    edited = {
        "arsr/cli.py": [],
        "arsr/book/build.py": [],
        "arsr/book/templates/records.html": [],
        "arsr_core/losses.py": ["01-second"],
        "arsr/book/tables.html": ["01-second"],
        "arsr/book/chapter.py": ["00-first"],
        "arsr/book/filling.py": ["01-second"],
        "arsr_core/files.py": ["00-first", "01-second"],
        "arsr/paper.yaml": [],
        "arsr/claims.yaml": [],
    }
    command = [sys.executable, "-c", KEYS, str(folder), *edited]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert [json.loads(line) for line in done.stdout.splitlines()] == list(edited.values())


def test_a_module_reaches_its_data():
    names = {path.name for path in keys.reached({"arsr.paper", "pandas"})}
    assert {"paper.py", "paper.yaml", "__init__.py"} <= names and "claims.yaml" not in names
    assert {"viewer.js", "viewer.css"} <= {path.name for path in keys.reached({"arsr.viewer.viewer"})}


def test_a_name_that_loads_its_file_when_asked_for_is_reached():
    reached = {path.name for path in keys.reached({"arsr_core.flow", "arsr_core.flow.tvl1"})}
    assert {"estimation.py", "dual_tvl1.py", "dual_tvl1_numba.py", "colour.py"} <= reached
    assert {"rrdb.py", "building.py"} <= {path.name for path in keys.reached({"arsr_core.sr"})}


def test_new_prose_and_captions_reach_the_page_and_execute_nothing(tmp_path, built):
    [ran] = (built[0] / "_build/embedded/chapters").glob("*/executed.ipynb")
    chapter = tmp_path / "00-first.md"
    chapter.write_text(CHAPTER)
    assert notebooks.text(notebooks.retold(ran, chapter)) == ran.read_text()
    captioned = "```{code-cell} ipython3\n:caption: Two pixels\n\nimport os\n"
    chapter.write_text(CHAPTER.replace("```{code-cell} ipython3\nimport os\n", captioned) + "\nOne sentence more.\n")
    before, after = json.loads(ran.read_text())["cells"], notebooks.retold(ran, chapter)["cells"]
    assert [cell.get("outputs") for cell in after] == [cell.get("outputs") for cell in before]
    assert after[-1]["source"][-1] == "One sentence more." and len(after) == len(before)
    assert {"caption": "Two pixels"} in [cell["metadata"] for cell in after]


def test_keep_turns_recomputed_into_measured(built):
    def git(*words):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *words], cwd=built[0], check=True, capture_output=True)

    config = book.Build(built[0], overrides={"height": 5})
    [(chapter, folder)] = book.execute(config, config.chapters, say=lambda line: None).items()
    try:
        git("init", "-q")
        with pytest.raises(InputError, match="needs committed code"):
            book.keep(config, chapter, folder)
        git("add", "book")
        git("commit", "-qm", "chapters")
        path = book.keep(config, chapter, folder)
        record = results.load(path)["embedded.first.height"]
        assert (record.provenance.kind, record.value, len(record.provenance.code)) == ("measured", 5.5, 12)
        assert record.provenance.command == "arsr run 00-first --profile embedded --set height=5 --keep"
    finally:
        shutil.rmtree(built[0] / "results", ignore_errors=True)
        shutil.rmtree(built[0] / ".git")


def test_keys_follow_links_into_data(built, tmp_path):
    chapter, real, data = built[0] / "book" / "00-first.md", tmp_path / "real", tmp_path / "data"
    real.mkdir()
    data.mkdir()
    (data / "clips").symlink_to(real)
    before = book.chapter_key(book.Build(built[0], "small", data), chapter)
    (real / "clip.avi").write_bytes(b"1")
    assert book.chapter_key(book.Build(built[0], "small", data), chapter) != before


def test_damaged_records_stop_before_anything_is_executed(tmp_path, root):
    folder = make_book(tmp_path, root)
    (folder / "results").mkdir()
    (folder / "results" / "study.json").write_text("{")
    with pytest.raises(InputError, match="study.json: damaged or not JSON .*; restore it or run its study again"):
        book.build(book.Build(folder), say=pytest.fail)


def failing(tmp_path, root, *sources: str) -> book.Build:
    """A book of chapters of one cell each; the kernels of several are forked."""
    parameters = FRONT + "\n# F\n\n```{code-cell} ipython3\n:tags: [parameters]\nheight = 1\n```\n\n"
    folder = make_book(tmp_path, root)
    chapters = {f"{number:02}-first": source for number, source in enumerate(sources)}
    for name, source in chapters.items():
        (folder / "book" / f"{name}.md").write_text(f"{parameters}```{{code-cell}} ipython3\n{source}\n```\n")
    more = ", ".join(f"{{file: book/{name}}}" for name in [*chapters, "records"] if name != "00-first")
    (folder / "_toc.yml").write_text(f"format: jb-book\nroot: book/00-first\nchapters: [{more}]\n")
    return book.Build(folder)


def test_a_failing_cell_stops_the_build(tmp_path, root):
    config = failing(tmp_path, root, "1 / 0")
    with pytest.raises(ChapterError, match="00-first, code cell 3: ZeroDivisionError: division by zero"):
        book.build(config, say=lambda line: None)
    assert not config.folder.exists()  # nothing half-done stays


def test_wrong_input_in_a_cell_is_wrong_input(tmp_path, root):
    config = failing(tmp_path, root, "from arsr_core.errors import InputError; raise InputError('clip.avi: empty')")
    with pytest.raises(InputError, match="00-first, code cell 3: clip.avi: empty"):
        book.execute(config, config.chapters, say=lambda line: None)


def test_a_cell_that_warns_fails_its_chapter(tmp_path, root):
    config = failing(tmp_path, root, "import sys; print('careful', file=sys.stderr)")
    with pytest.raises(ChapterError, match="code cell 3 warns, and a page shows no warnings:\ncareful"):
        book.execute(config, config.chapters, say=lambda line: None)
    assert not list((config.folder / "chapters").iterdir())


@pytest.mark.parametrize("others", [[], ["import time; time.sleep(1000)"]], ids=["alone", "others stop"])
def test_a_dying_kernel_is_reported(tmp_path, root, others):
    source = "import os; os.write(2, b'out of luck'); os._exit(7)"
    config, started = failing(tmp_path, root, source, *others), time.monotonic()
    with pytest.raises(ChapterError, match="(?s)00-first: .*died.*out of luck"):
        book.execute(config, config.chapters, say=lambda line: None, jobs=2)
    assert time.monotonic() - started < 500
    assert not list((config.folder / "chapters").iterdir())


@pytest.mark.parametrize("number, code, chapters", [("SIGTERM", 143, 1), ("SIGTERM", 143, 2), ("SIGKILL", -9, 2)])
def test_an_ended_build_leaves_no_kernel(tmp_path, root, number, code, chapters):
    source = f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    config = failing(tmp_path, root, *[source] * chapters)
    command = [sys.executable, "-m", "arsr", "book", "--jobs", "2", "--root", str(config.root)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        _until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), 120)  # under load too
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) > 1 or chapters == 1  # a server, and its kernels
        process.send_signal(getattr(signal, number))
        assert process.wait(30) == code
    _until(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family))
    assert number == "SIGKILL" or not config.folder.exists()


def test_forked_kernels_compute_what_plain_ones_do(tmp_path, root):
    source = """
import os, psutil, random, sys, threading
import matplotlib.pyplot as plt, numpy as np
print(set("kernels"), sys.path, os.getcwd(), plt.get_backend(), threading.active_count())
with open(os.environ["ARSR_OUTPUT"] + "/loaded", "w") as file:
    print("scipy.stats" in sys.modules, psutil.Process(os.getppid()).num_threads(), random.random(), file=file)
plt.plot(np.linalg.inv(np.arange(9.).reshape(3, 3) ** 2)); np.eye(2)"""
    config = failing(tmp_path, root, source, source)
    plain = book.execute(config, config.chapters[:1], say=lambda line: None)
    forked = book.execute(book.Build(config.root, out=tmp_path / "forked"), config.chapters, lambda line: None, jobs=2)
    executed = [*plain.values(), *forked.values()]
    assert len({(folder / "executed.ipynb").read_bytes() for folder in executed}) == 1
    loaded = [(folder / "loaded").read_text().split() for folder in executed]
    assert [yes for yes, _, _ in loaded] == ["False", "True", "True"] and len({value for _, _, value in loaded}) == 3
    assert [threads for _, threads, _ in loaded[1:]] == ["1", "1"]  # of the server: a fork would lose others


def _until(true, seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.1)


def plain_build(tmp_path, root, chapter: str) -> book.Build:
    """A book whose root page is plain text: rendering without execution."""
    folder = make_book(tmp_path, root, chapter)
    (folder / "book" / "params" / "embedded.yaml").write_text("{}\n")
    return book.Build(folder)


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "# F\n\n{num}`table4.sosr.hmdb51.tsn.spatia` {num}`table4.sosr.hmdb51.tsn.spatial:zz`\n"
            "{num}`table4.sosr.hmdb51.tsn.spatial x` {num}`figure6.sosr interval` {num}`figure6.sosr:p`\n",
            "did you mean table4.sosr.hmdb51.tsn.spatial.*a format.*unknown option.*has no interval.*has no p",
        ),
        ('# F\n\n<img src="https://example.org/a.png" alt="a">\n', "load from the network.*example.org"),
        ("# F\n\n[missing](nowhere.md)\n", "nowhere"),
    ],
    ids=["num roles", "loads from the network", "broken link"],
)
def test_pages_that_fail_the_build(tmp_path, root, text, message):
    config = plain_build(tmp_path, root, text)
    with pytest.raises(ChapterError) as error:
        book.build(config, say=lambda line: None)
    import re

    assert re.search(message, str(error.value), re.S)
    assert not (config.folder / "html").exists()
    assert not list(config.folder.glob(".pages-*"))


def test_what_changed_is_made_again_as_if_all_were(tmp_path, root):
    config = plain_build(tmp_path, root, "# F\n\n(label)=\n## Target\n\nAn uncommon word.\n")
    other, chapter = tmp_path / "book" / "records.md", tmp_path / "book" / "00-first.md"
    other.write_text("# Plain\n\n{ref}`label`\n\n```{records}\n```\n")
    html = book.build(config, say=lambda line: None)[0].parent
    made = (html / "book" / "records.html").stat().st_mtime_ns

    chapter.write_text(text := chapter.read_text().replace("uncommon", "plain"))
    book.build(config, say=lambda line: None)
    assert (html / "book" / "records.html").stat().st_mtime_ns == made  # its page stays
    assert not any("uncommon" in (html / name).read_text() for name in ("searchindex.js", "searchtext.js"))
    before = digest(html)

    gone = text.replace("(label)=\n", ""), "undefined label: 'label'"
    for broken, message in (gone, gone, (text + "\n[missing](nowhere.md)\n", "nowhere")):
        chapter.write_text(broken)  # what has failed hides no warning, neither its own nor another page's
        with pytest.raises(ChapterError, match=message):
            book.build(config, say=lambda line: None)
        assert digest(html) == before

    chapter.write_text(text.replace("Target", "A new heading"))
    book.build(config, say=lambda line: None)
    again, _ = book.build(dataclasses.replace(config, out=tmp_path / "again"), say=lambda line: None)
    assert digest(html) == digest(again.parent) and "A new heading" in (html / "book" / "records.html").read_text()


def test_bad_builds(built, tmp_path):
    with pytest.raises(InputError, match="unknown profile 'huge'; choose one of embedded, small"):
        book.build(book.Build(built[0], profile="huge"))
    with pytest.raises(InputError, match="profile small needs real clips: add --data"):
        book.build(book.Build(built[0], profile="small"))
    with pytest.raises(InputError, match="no such data folder"):
        book.Build(built[0], profile="small", data=tmp_path / "nothing")
    with pytest.raises(InputError, match="no _config.yml here"):
        book.Build(tmp_path)
    with pytest.raises(InputError, match="profile embedded makes its own clips: drop --data"):
        book.build(book.Build(built[0], data=tmp_path))
    with pytest.raises(InputError, match="--set: height: expected a valid integer, got 'tall'"):
        book.build(book.Build(built[0], overrides={"height": "tall"}))
    with pytest.raises(InputError, match="data_root is not set by --set: give it with --data"):
        book.build(book.Build(built[0], overrides={"data_root": "x"}))
    with pytest.raises(InputError, match="no chapter has a parameter weight; the chapters declare .*height"):
        book.build(book.Build(built[0], overrides={"weight": 1}))


def test_malformed_sources_are_named(tmp_path, root):
    folder = make_book(tmp_path, root)
    (folder / "book" / "params" / "embedded.yaml").write_text("height: [")
    with pytest.raises(InputError, match="embedded.yaml: damaged or not YAML"):
        book.build(book.Build(folder))
    (folder / "book" / "params" / "embedded.yaml").write_text("- 3")
    with pytest.raises(InputError, match="expected `name: value` lines, got a list"):
        book.build(book.Build(folder))
    (folder / "book" / "params" / "embedded.yaml").write_text("height: 3")
    (folder / "_toc.yml").write_text("chapters: []")
    with pytest.raises(InputError, match="_toc.yml: not a table of contents"):
        book.build(book.Build(folder))


def test_two_builds_into_one_folder_do_not_meet(built):
    config = book.Build(built[0])
    command = [sys.executable, "-m", "arsr", "book", "--root", str(built[0])]
    with book.alone(config):
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and f"in use by process {os.getpid()} on" in done.stderr


def test_table_of_contents_names_an_absent_page(tmp_path, root):
    folder = make_book(tmp_path, root)
    (folder / "_toc.yml").write_text("format: jb-book\nroot: book/99-nothing\n")
    with pytest.raises(InputError, match="99-nothing.md: named in _toc.yml but absent"):
        book.build(book.Build(folder))


def test_tidy_folds_the_injected_parameters():
    cells = [
        {"cell_type": "code", "source": "a = 1", "metadata": {"tags": ["parameters"], "papermill": {"duration": 1}}},
        {
            "cell_type": "code",
            "source": "a = '/x/y/data'  # <b at 0x7fc150dab890>",
            "metadata": {"tags": ["injected-parameters"]},
        },
    ]
    tidied = notebooks.tidy({"metadata": {"papermill": {}, "kernelspec": {}}, "cells": cells}, {"/x/y": "DATA"})
    assert tidied["metadata"] == {"kernelspec": {}}
    assert tidied["cells"][0]["metadata"]["tags"] == ["parameters", "remove-cell"]
    assert tidied["cells"][1]["source"] == "a = 'DATA/data'  # <b>"
    assert "hide-input" in tidied["cells"][1]["metadata"]["tags"]
    assert "papermill" not in json.dumps(tidied)


def test_tidy_joins_what_a_kernel_printed_in_pieces():
    def cell(*outputs):
        return {"cell_type": "code", "id": "x", "metadata": {}, "outputs": list(outputs)}

    def printed(*lines, name="stdout"):
        return {"output_type": "stream", "name": name, "text": list(lines)}

    picture = {"output_type": "display_data", "data": {}, "metadata": {}}
    one = cell(printed("a\n", "b"), printed("c\n"), picture, printed("d\n"), printed("e", name="stderr"))
    other = cell(printed("a\n"), printed("bc\n"), picture, printed("d"), printed("\n"), printed("e", name="stderr"))
    tidied = [notebooks.tidy({"metadata": {}, "cells": [x]}, {})["cells"][0]["outputs"] for x in (one, other)]
    assert tidied[0] == tidied[1]
    assert tidied[0][0] == printed("a\n", "bc\n") and len(tidied[0]) == 4


def test_tidy_keeps_a_widget_s_html_and_drops_its_model():
    data = {"application/vnd.jupyter.widget-view+json": {"model_id": "1a2b"}, "text/html": "<p>viewer</p>"}
    node = {"metadata": {}, "cells": [{"cell_type": "code", "metadata": {}, "outputs": [{"data": data}]}]}
    assert notebooks.tidy(node, {})["cells"][0]["outputs"] == [{"data": {"text/html": "<p>viewer</p>"}}]


def test_tidy_replaces_whole_paths_outside_pictures():
    data = {"image/png": "AB/app/CD", "text/plain": "/app/x /apple '/app' /app-old"}
    node = {"metadata": {}, "cells": [{"metadata": {}, "source": "", "outputs": [{"data": data}]}]}
    [out] = notebooks.tidy(node, {"/app": "."})["cells"][0]["outputs"]
    assert out["data"] == {"image/png": "AB/app/CD", "text/plain": "./x /apple '.' /app-old"}


def test_command_line(built, tmp_path):
    def arsr(*arguments):
        command = [sys.executable, "-m", "arsr", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    wrong = [
        (["book", "--profile", "huge", "--root", built[0]], "unknown profile 'huge'"),
        (["book"], "no _config.yml here"),
        (["book", "--root", built[0], "--set", "height"], "expected NAME=VALUE"),
        (["run", "07", "--root", built[0]], "no chapter '07'; choose one of 00-first"),
        (["book", "--root", built[0], "--out", built[0] / "_toc.yml"], "_toc.yml"),
        (["data", "check", "hmdb51", tmp_path / "nothing"], "nothing"),
        (["data", "generate", built[0] / "_toc.yml"], "_toc.yml"),
    ]
    for arguments, message in wrong:
        done = arsr(*arguments)
        assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1, done
    assert arsr("--version").stdout.startswith("arsr ")
    for command in (["--help"], ["book", "--help"], ["run", "-h"], ["data", "check", "--help"]):
        assert "usage" in arsr(*command).stdout.lower()
    done = arsr("run", "00", "--root", built[0])
    assert done.returncode == 0 and "executed.ipynb" in done.stdout
    assert "first.height: 3.500\N{NO-BREAK SPACE}px (" in done.stderr
