"""The pages that the project writes about itself, and the verdicts' HTML."""

import importlib

from arsr import claims, paper
from arsr.book import appendix, verdicts


def cell(kind, text):
    return {"cell_type": kind, "source": [text]}


def test_a_chapter_s_deviations_are_found_in_its_own_words():
    own = f"{appendix.HEADING}\n\n- The first.\n- The second."
    notebook = {"cells": [cell("markdown", "# A title\n\ntext"), cell("code", "# no title"), cell("markdown", own)]}
    assert appendix.departures(notebook) == ("A title", ["- The first.", "- The second."])
    notebook["cells"].append(cell("markdown", "## More\n\n- Another."))
    assert appendix.departures(notebook)[1] == ["- The first.", "- The second."]
    assert appendix.departures({"cells": [cell("markdown", "# A title")]}) is None


def test_every_chapter_that_computes_says_where_it_departs(root):
    from arsr.book import build as book

    for chapter in book.Build(root).chapters[1:]:
        text = chapter.read_text()
        assert appendix.HEADING in text or "{deviations}" in text, chapter.stem


def test_the_reference_has_the_contract_s_names_with_docstrings():
    found = appendix.public(importlib.import_module("arsr_core.losses"))
    assert {"wmse", "siamese_warp", "FeatureLoss"} <= found.keys() and not any(n.startswith("_") for n in found)
    text = appendix._module(importlib.import_module("arsr.claims"))
    assert "Newcombe (1998)" in text and "def " not in text and "<script" not in text
    assert appendix._module(importlib.import_module("arsr.data")) == ""
    assert "arsr_core.metrics" in {m.__name__ for m in appendix.modules()}


def test_a_verdict_has_a_mark_and_a_word_besides_its_colour():
    for verdict in (claims.SUPPORTED, claims.NOT_SUPPORTED, claims.UNDECIDED, claims.UNMEASURED, "no numbers"):
        text = verdicts.badge(verdict)
        assert verdict in text and verdicts.MARKS[verdict] in text and verdict.replace(" ", "-") in text


def test_a_claim_shows_its_contrasts_with_links_to_both_records():
    found = claims.ledger(paper.records())["c4"]["paper"]
    text = verdicts._tier(claims.TIERS["paper"], found, paper.records(), "C4")
    assert "records.html#record-table2.vdsr.wmse" in text and "records.html#record-table2.vdsr.mse" in text
    assert "+1.1 (\N{MINUS SIGN}2.4 to +4.6)" in text and "Of 2 contrasts: 2 undecided" in text
    many = verdicts._tier(claims.TIERS["paper"], claims.ledger(paper.records())["c7"]["paper"], paper.records(), "C7")
    assert "<details><summary>All 44 contrasts" in many and ", 2 allowed" in many


def test_an_empty_tier_says_so():
    found = claims.ledger({})["c1"]["full"]
    assert "not yet measured" in verdicts._tier(claims.TIERS["full"], found, {}, "C1")
    assert "prints no number" in verdicts._tier(claims.TIERS["paper"], claims.ledger({})["c10"]["paper"], {}, "C10")
