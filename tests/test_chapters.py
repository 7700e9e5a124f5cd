"""The chapters as text: what a reader sees of their code, and how it is written."""

import ast
import math
import re
import subprocess
import sys
import types
from functools import cache
from pathlib import Path

import jupytext
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from arsr.embedded import generated
from arsr.records import wilson

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


@pytest.mark.parametrize("chapter", [*CHAPTERS, BOOK / "explore.md"], ids=lambda chapter: chapter.stem)
def test_what_code_takes_from_the_packages_is_there(chapter):
    tree = ast.parse("\n".join(line for _, lines in _cells(chapter) for line in lines if line[0] != "%"))
    ours = {}
    exec("\n".join(ast.unparse(n) for n in ast.walk(tree) if "arsr" in str(getattr(n, "module", ""))), ours)
    modules = {name: module for name, module in ours.items() if isinstance(module, types.ModuleType)}
    named = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)]
    used = [(n.value.id, n.attr) for n in named if n.value.id in modules]
    assert [f"{name}.{attr}" for name, attr in used if not hasattr(modules[name], attr)] == []


def test_code_is_as_clean_as_the_packages(tmp_path):
    for chapter in (*CHAPTERS, BOOK / "explore.md"):
        jupytext.write(jupytext.read(chapter), tmp_path / f"{chapter.stem}.ipynb")
    rules = ["--config", BOOK.parent / "pyproject.toml", "--config", "line-length = 100"]
    rules += ["--ignore", "B018,B905"]  # a value at a cell's end is shown; zip is for readers
    ruff = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise", *rules, tmp_path]
    found = subprocess.run(ruff, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


# What they show, executed -----------------------------------------------------------------------------------


@cache
def _shown(stem, **parameters):
    """The functions that a chapter defines at the left margin, by name, without running the rest of it."""
    (chapter,) = BOOK.glob(f"{stem}-*.md")
    body = ast.parse("\n".join(line for _, lines in _cells(chapter) for line in lines)).body
    kept = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef)]
    exec(compile(ast.Module(kept, []), chapter, "exec"), parameters)
    return parameters


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(7)))
def test_kendall_and_its_exact_p_agree_with_scipy(order):
    from scipy.stats import kendalltau

    shown, expected = _shown("09"), kendalltau(range(7), order, method="exact")
    assert np.isclose(shown["kendall"](range(7), order), expected.statistic)
    assert np.isclose(shown["order_p"](shown["kendall"], range(7), order), expected.pvalue)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=9, max_size=9).filter(lambda values: len({*values}) > 2))
def test_spearman_agrees_with_scipy_and_its_p_for_many_methods_with_a_permutation_test(values):
    from scipy.stats import pearsonr, permutation_test, rankdata, spearmanr

    shown, ranks = _shown("09", seed=0), rankdata(values)
    assert np.isclose(shown["spearman"](range(9), values), spearmanr(range(9), values).statistic)
    p = shown["order_p"](shown["spearman"], range(9), np.array(values))

    def rho(orders, axis):  # many ties: the t distribution of `spearmanr` does not hold
        return pearsonr(orders, np.arange(9.0), axis=axis).statistic

    test = {"permutation_type": "pairings", "vectorized": True, "n_resamples": 9_999, "rng": 1}
    assert 1 / 10_000 <= p <= 1 and abs(p - permutation_test((ranks,), rho, **test).pvalue) < 0.05


def test_clear_ranks_have_a_narrow_interval_and_close_ones_a_wide_one():
    shown = _shown("09", seed=0)
    for accuracies, ends in (([10, 50, 90], [1, 1]), ([50.0, 50.1, 50.2], [-1, 1])):
        for of in (shown["kendall"], shown["spearman"]):
            values = of([1, 2, 3], shown["drawn"](accuracies, 1530))
            assert np.percentile(values, (2.5, 97.5)) == pytest.approx(ends)


def test_a_gain_of_one_point_needs_many_clips_and_fewer_in_pairs():
    from statsmodels.stats.power import NormalIndPower

    needed, effect = _shown("11")["clips_needed"], 5.0 / 100 / 0.5  # a gain over its standard deviation
    expected = NormalIndPower().solve_power(effect, power=0.8, alpha=0.05)
    assert math.isclose(needed(5.0, 50.0), expected, rel_tol=0.01)
    assert needed(1.0, 53, 10) < needed(1.0, 53)
    assert (round(needed(5.0, 50.0)), round(needed(5.0, 50.0, 15.0))) == (1570, 469)


def test_classes_and_whom_they_are_taken_for():
    labels, values = [0, 0, 1, 1, 1], [[1, 0, 0], [0, 1, 0], [0, 1, 0], [], [0, 0, 1]]
    rows = pd.DataFrame({"clip": list("abcde"), "label": labels, "scores": [np.float32(v) for v in values]})
    rows["action"] = pd.Categorical.from_codes(labels, ["bend", "jump", "run"])
    rows["status"] = ["ok" if len(v) else "unreadable" for v in values]
    assert _shown("03", classes=range(3))["confusion"](rows).tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]
    table = _shown("04")["by_class"](rows)
    assert table.index.tolist() == ["bend", "jump"] and table["n"].tolist() == [2, 3]
    assert table.loc["bend", ["value", "low", "high"]].tolist() == [50, *wilson(1, 2)]


def test_psnr_by_speed():
    hr = torch.full((1, 2, 3, 10, 20), 100 / 255)
    made, speed = hr.clone(), torch.zeros(1, 2, 1, 10, 20)
    speed[..., 10:] = 2
    speed[0, 0, 0, 0, :2] = 5  # too few for a mean
    made[..., :10] += 1 / 255
    made[..., 10:] += 10 / 255
    still, moving, fast, none = _shown("05")["psnr_by_speed"](made, hr, speed, (0, 1, 3, 9, 12))
    assert still - moving == pytest.approx(20, abs=1e-3) and np.isnan([fast, none]).all()  # ten times the error
    assert still == pytest.approx(-20 * np.log10(219 / 255 / 255), abs=1e-3)


def test_every_profile_asks_chapter_7_for_frames_that_embedded_clips_have(root):
    there = len(generated.clip(0, split="test").frames)
    for path in sorted((root / "book" / "params").glob("*.yaml")):
        frames = yaml.safe_load(path.read_text(encoding="utf-8")).get("flow_frames", 8)
        assert 8 + frames <= there, path.name  # chapter 7 leaves out the first eight
