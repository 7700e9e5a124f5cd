"""The pages that the project writes about itself, and the verdicts' HTML."""

import importlib
from types import SimpleNamespace

from bs4 import BeautifulSoup

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
    verdicts = {claims.SUPPORTED, claims.CONTRADICTED, claims.MIXED, claims.NOT_A_TEST, *claims.OPEN}
    assert {*filling.MARKS} == verdicts | {claims.UNMEASURED, claims.NO_NUMBERS}
    for verdict, mark in filling.MARKS.items():
        made = BeautifulSoup(filling.badge(verdict), "html.parser").span
        assert made.text == f"{mark}\N{NO-BREAK SPACE}{verdict}"
        assert made["class"] == ["arsr-verdict", f"arsr-verdict-{verdict.replace(' ', '-').replace(chr(39), '')}"]


def shown(known, claim: str, tier: str, template: str = "claim", plan=claims.PLAN) -> str:
    ledger = {claim: {tier: claims.ledger(known)[claim][tier]}}
    rules = {"claims": claims.CLAIMS, "tiers": claims.TIERS, "plan": plan}
    return filling.fill(template, ledger=ledger, records=known, **rules)


def test_a_claim_shows_its_contrasts_with_links_to_both_records():
    text = shown(paper.records(), "c4", "paper")
    assert "records.html#record-table2.vdsr.wmse" in text and "records.html#record-table2.vdsr.mse" in text
    assert "+1.1 (\N{MINUS SIGN}2.4 to +4.6)" in text.replace("\N{NO-BREAK SPACE}", " ")
    assert "Of 2 contrasts: 2 too few clips" in text
    assert "if at most 73 (4.8 %) of 1,530 clips differ" in text and "<td>102 (6.7 %)</td>" in text
    assert "<td>any</td>" in shown(paper.records(), "c1", "paper")
    many = shown(paper.records(), "c7a", "paper")
    assert "<details><summary>All 40 contrasts" in many and ", 2 allowed" in shown(paper.records(), "c7b", "paper")
    mixed = shown(paper.records(), "c2", "paper")
    assert "Most clearly for:" in mixed and "Most clearly against:" in mixed


def test_a_contrast_of_too_few_groups_has_a_p_and_no_interval():
    key = "benchmark.real.tsn.fused.sosr+tosr.to_hr.accuracy"
    source = records.Provenance(kind="measured", source="s", command="c", profile="small")
    few = records.Record(key=f"small.{key}", value=-1.0, unit="points", n=8, p=0.5, description="d", provenance=source)
    text = shown({few.key: few}, "c7b", "small")
    assert "(no interval)" in text and "too few groups for an interval" in text and "too few clips" in text
    assert "1.0 (no interval)" in shown({few.key: few}, "c7b", "small", "ledger")
    assert "p = 0.50" in filling.fill("records", studies=[[few]])


def test_the_role_of_a_number_gives_its_p():
    source = records.Provenance(kind="measured", source="s", command="c")
    r = records.Record(key="a.b", value=-1.5, p=0.0123, n=8, unit="points", description="d", provenance=source)
    env = SimpleNamespace(arsr_records={"a.b": r})
    shown = {form: pages.LINKS["num"](env, f"a.b:{form}")[1] for form in ("p", "p .3f", ".1f", ".1f interval")}
    minus, space = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"
    plain = f"{minus}1.5{space}points"
    assert [*shown.values()] == ["0.012", "0.012", plain, f"{plain} (no interval)"]


def test_the_overview_has_counts_the_main_effect_and_the_plan():
    text = shown(paper.records(), "c3", "paper", "ledger")
    assert "13 \N{MIDDLE DOT} 3 \N{MIDDLE DOT} 0" in text and 'href="#claim-c3">C3<' in text
    assert "ESRGAN \N{MINUS SIGN} RCAN, spatial, HMDB51, TSN: +3.7 (+0.2" in text
    assert "to be named" in shown(paper.records(), "c3", "paper", "ledger", claims.Plan())
    named = shown(paper.records(), "c3", "paper", "ledger", claims.Plan("0123456789ab", "Nothing <was> known."))
    assert "since commit <code>0123456789ab</code>" in named and "Nothing &lt;was&gt; known." in named


def test_an_empty_tier_says_so():
    assert "not yet measured" in shown({}, "c1", "full")
    assert "prints no number" in shown({}, "c10", "paper")


def test_what_is_not_html_is_escaped():
    text = filling.fill("api", modules=[("m", "About <b> and `code`", [("f", "(x=<object>)", "a < b")])])
    assert "&lt;b&gt; and <code>code</code>" in text and "(x=&lt;object&gt;)" in text and "a &lt; b" in text
