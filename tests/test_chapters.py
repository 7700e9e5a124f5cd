"""The chapters as text: what a reader sees of their code, and how it is written."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

BOOK = Path(__file__).parents[1] / "book"
CHAPTERS = sorted(BOOK.glob("[01][0-9]-*.md"))
COMPUTING = [chapter for chapter in CHAPTERS if "01" <= chapter.stem[:2] <= "11"]
FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell"}


def _cells(chapter):
    """(tags, lines that are not empty) of each cell of code."""
    cells = [cell for cell in jupytext.read(chapter).cells if cell.cell_type == "code"]
    return [({*cell.metadata.get("tags", [])}, [x for x in cell.source.splitlines() if x.strip()]) for cell in cells]


@pytest.mark.parametrize("chapter", COMPUTING, ids=lambda chapter: chapter.stem)
def test_a_chapter_shows_what_it_computes(chapter):
    cells = [(tags, lines) for tags, lines in _cells(chapter) if "parameters" not in tags]
    shown = sum(len(lines) for tags, lines in cells if not tags & FOLDED)
    assert shown >= sum(len(lines) for _, lines in cells) / 2


@pytest.mark.parametrize("chapter", [*CHAPTERS, BOOK / "explore.md"], ids=lambda chapter: chapter.stem)
def test_code_fits_the_page_and_uses_public_names(chapter):
    lines = [line for _, lines in _cells(chapter) for line in lines]
    assert [line for line in lines if len(line) > 100] == []
    assert "getsource" not in "".join(lines)
    names = [node for node in ast.walk(ast.parse("\n".join(lines))) if isinstance(node, ast.Attribute | ast.alias)]
    assert [n for n in names if re.match("_[a-z]", getattr(n, "attr", None) or getattr(n, "name", ""))] == []


def test_code_is_as_clean_as_the_packages(tmp_path):
    for chapter in (*CHAPTERS, BOOK / "explore.md"):
        jupytext.write(jupytext.read(chapter), tmp_path / f"{chapter.stem}.ipynb")
    rules = ["--config", BOOK.parent / "pyproject.toml", "--config", "line-length = 100"]
    rules += ["--ignore", "B018,B905"]  # a value at a cell's end is shown; zip is for readers
    ruff = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise", *rules, tmp_path]
    found = subprocess.run(ruff, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
