"""The frame of the project: one list of versions, no machine paths, chapters and parameter files in order."""

import re
import subprocess
import tomllib

import pytest
import yaml

from arsr import scores
from arsr.book import build as book
from arsr.book import keys, notebooks


def tracked(root, *patterns):
    done = subprocess.run(["git", "ls-files", *patterns], cwd=root, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [root / name for name in done.stdout.splitlines() if (root / name).is_file()]


def test_constraints_pin_every_dependency_by_name_and_version(root):
    lines = [line for line in (root / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    names = {re.match(r"[A-Za-z0-9._-]+", d).group().lower() for d in wanted}
    assert names <= pinned, names - pinned


def test_conda_users_get_the_same_versions(root):
    environment = yaml.safe_load((root / "environment.yml").read_text())
    [pip] = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    assert pip == ["-c constraints.txt", "-e .[book,lab,test,imagenet,clips]"]


def test_every_profile_suits_the_chapters(root, tmp_path):
    profiles = sorted(p.stem for p in (root / "book" / "params").glob("*.yaml"))
    assert profiles == ["embedded", "paper", "small"]
    for profile in profiles:
        data = None if profile == "embedded" else tmp_path
        parameters = book.Build(root, profile, data).parameters
        assert parameters["profile"] == profile


def test_chapters_are_numbered_in_reading_order_and_have_parameters(root):
    config = book.Build(root)
    names = [p.stem for p in config.chapters]
    assert names == sorted(names) and all(re.match(r"\d\d-", n) for n in names)
    for chapter in config.chapters:
        assert {"profile", "seed"} <= notebooks.declared_parameters(chapter).keys()


def test_no_chapter_reaches_the_command_or_what_makes_pages(root):
    for chapter in book.Build(root).chapters:
        reached = {str(path.relative_to(keys.ABOVE)) for path in keys.reached(notebooks.imports(chapter))}
        assert "arsr_core/errors.py" in reached, chapter.stem
        assert not reached & {"arsr/cli.py", "arsr/book/build.py", "arsr/book/pages.py"}, chapter.stem


def test_figures_of_chapters_have_alternative_text_and_a_sentence_that_says_what_to_see(root):
    for chapter in book.Build(root).chapters:
        for cell in notebooks.notebook(chapter).cells:
            figure = cell.metadata.get("mystnb", {}).get("figure")
            if "save_figure" in cell.source:
                assert figure, f"{chapter.stem}: a figure without caption"
            if figure:
                assert "What to see" in figure["caption"], (chapter.stem, figure["name"])
                assert len(cell.metadata["mystnb"]["image"]["alt"]) > 60, (chapter.stem, figure["name"])


def test_no_machine_paths_and_no_outputs_are_committed(root):
    assert tracked(root, "*.ipynb") == []
    paths = re.compile(r"/(?:home/[a-z]+|root|work|tmp)/[a-z]", re.IGNORECASE)
    for path in tracked(root, "*.py", "*.md", "*.toml", "*.yml", "*.yaml", "*.json", "*.txt", "Makefile"):
        if path.parts[-2] != "tests":
            assert not paths.search(path.read_text(encoding="utf-8")), path
    for path in tracked(root, "*.parquet"):
        assert not paths.search(scores.load(path)[1].model_dump_json()), path


def test_committed_figures_come_from_the_chapters(root):
    sources = "".join(p.read_text(encoding="utf-8") for p in book.Build(root).chapters)
    names = set(re.findall(r'save_figure\(.+, "([\w-]+)"\)', sources))
    committed = {p.stem for p in (root / "figures").iterdir() if p.suffix in (".svg", ".png")}
    assert committed == names


def test_the_manifest_lists_what_the_chapters_regenerate(root):
    written = yaml.safe_load((root / "codecheck.yml").read_text(encoding="utf-8"))
    items = {entry["comment"].partition(":")[0] for entry in written["manifest"]}
    assert {f"Table {name}" for name in ("1", "2", "3", "4", "b")} <= items
    sources = {int(p.stem[:2]): p.read_text(encoding="utf-8") for p in book.Build(root).chapters}
    for entry in written["manifest"]:
        assert (root / entry["file"]).is_file(), entry
        number, title = re.search(r": chapter (\d+), (.+)$", entry["comment"]).groups()
        name = entry["file"].removeprefix("figures/").removesuffix(".svg")
        assert f"\n# {title}\n" in sources[int(number)], entry
        assert f', "{name}")' in sources[int(number)] or entry["file"].startswith(f"book/{int(number):02}-"), entry


def test_committed_records_are_valid_measurements(root):
    from arsr import records

    found = records.load_folder(root / "results")
    assert found and all(r.provenance.kind == "measured" for r in found.values())


def test_importing_the_package_needs_no_book_and_no_video_packages(root):
    code = (
        "import sys\n"
        "for name in ('av', 'jupytext', 'papermill', 'skimage', 'torchvision', 'sphinx'): sys.modules[name] = None\n"
        "from arsr_core import degrade, flow, metrics, video\n"
        "from arsr import paper, records\n"
        "from arsr.data import folders\n"
        "from arsr.embedded import generated\n"
        "import torch\n"
        "x = torch.rand(1, 3, 48, 48)\n"
        "flow.tvl1(x, x, warps=1), metrics.psnr(degrade.imresize(degrade.to_lr(x), 4), x)\n"
    )
    import sys

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
