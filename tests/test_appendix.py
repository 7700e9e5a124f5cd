"""The pages that the project writes about itself, and the verdicts' HTML."""

import importlib

from arsr import claims, paper, records
from arsr.book import filling, pages


def cell(kind, text):
    return {"cell_type": kind, "source": [text]}


def test_a_chapter_s_deviations_are_found_in_its_own_words():
    own = f"{pages.HEADING}\n\n- The first.\n- The second."
    notebook = {"cells": [cell("markdown", "# A title\n\ntext"), cell("code", "# no title"), cell("markdown", own)]}
    assert pages.departures(notebook) == ("A title", ["- The first.", "- The second."])
    notebook["cells"].append(cell("markdown", "## More\n\n- Another."))
    assert pages.departures(notebook)[1] == ["- The first.", "- The second."]
    assert pages.departures({"cells": [cell("markdown", "# A title")]}) is None


def test_every_chapter_that_computes_says_where_it_departs(root):
    from arsr.book import build as book

    for chapter in book.Build(root).chapters[1:]:
        text = chapter.read_text()
        assert pages.HEADING in text or "{deviations}" in text, chapter.stem


def test_the_reference_has_the_contract_s_names_with_docstrings():
    found = pages.public(importlib.import_module("arsr_core.losses"))
    names = {name for name, _, _ in found}
    assert {"wmse", "siamese_warp", "FeatureLoss"} <= names and not any(n.startswith("_") for n in names)
    text = filling.fill("api", modules=[("arsr.records", "Records.", pages.public(records))])
    assert "Wilson (1927)" in text and "def " not in text and "<script" not in text
    assert pages.public(importlib.import_module("arsr.data")) == []
    assert "arsr_core.metrics" in {m.__name__ for m in pages.modules()}


def test_a_verdict_has_a_mark_and_a_word_besides_its_colour():
    for verdict in (claims.SUPPORTED, claims.NOT_SUPPORTED, claims.UNDECIDED, claims.UNMEASURED, claims.NO_NUMBERS):
        text = filling.badge(verdict)
        assert verdict in text and filling.MARKS[verdict] in text and verdict.replace(" ", "-") in text


def shown(known, claim: str, tier: str) -> str:
    ledger = {claim: {tier: claims.ledger(known)[claim][tier]}}
    return filling.fill("claim", ledger=ledger, records=known, claims=claims.CLAIMS, tiers=claims.TIERS)


def test_a_claim_shows_its_contrasts_with_links_to_both_records():
    text = shown(paper.records(), "c4", "paper")
    assert "records.html#record-table2.vdsr.wmse" in text and "records.html#record-table2.vdsr.mse" in text
    assert "+1.1 (\N{MINUS SIGN}2.4 to +4.6)" in text and "Of 2 contrasts: 2 undecided" in text
    many = shown(paper.records(), "c7", "paper")
    assert "<details><summary>All 44 contrasts" in many and ", 2 allowed" in many


def test_an_empty_tier_says_so():
    assert "not yet measured" in shown({}, "c1", "full")
    assert "prints no number" in shown({}, "c10", "paper")


def test_what_is_not_html_is_escaped():
    text = filling.fill("api", modules=[("m", "About <b> and `code`", [("f", "(x=<object>)", "a < b")])])
    assert "&lt;b&gt; and <code>code</code>" in text and "(x=&lt;object&gt;)" in text and "a &lt; b" in text
