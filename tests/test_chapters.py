"""The chapters as text: what a reader sees of their code, and how it is written."""

import ast
import re
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
