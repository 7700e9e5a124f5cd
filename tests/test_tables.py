"""The benchmark table: ranks, groups, cells, and what the browser makes of it."""

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from arsr import paper
from arsr.book import tables
from arsr.records import Provenance, Record

SOURCE = paper.records()["table4.hr.hmdb51.tsn.spatial"]


@pytest.fixture(scope="module")
def table4():
    return BeautifulSoup(tables.benchmark(paper.table("table4"), "Table <4>", SOURCE), "html.parser")


def test_every_printed_cell_is_there(table4):
    rows = table4.select("tbody tr")
    assert len(rows) == 12 and all(len(row.find_all("td")) == 13 for row in rows)  # the kind, and 12 cells
    values = [float(td["data-value"]) for td in table4.select("td[data-value]") if td["data-value"]]
    assert sorted(values) == sorted(paper.table("table4").accuracy)
    assert [row.find_all("td")[0].text for row in rows] == ["SISR"] * 6 + ["VSR"] * 4 + ["pair", "HR"]
    assert "Table <4>" in table4.caption.text and table4.caption.span["class"][-1] == "arsr-badge-paper"


def test_best_and_second_best_are_marked_and_hr_does_not_compete(table4):
    rows = {row.th.text: row.find_all("td")[1:] for row in table4.select("tbody tr")}
    assert rows["SoSR"][0].b.text == "53.59" and rows["ESRGAN"][0].u.text == "52.48"
    assert rows["SoSR+ToSR"][2].b and rows["DUF-52"][2].u and not any(td.b or td.u for td in rows["HR"])
    assert len(table4.find_all("b")) == 12 and len(table4.find_all("u")) == 12


def test_counts_and_intervals_are_in_the_cells(table4):
    sosr = next(row for row in table4.select("tbody tr") if row.th.text == "SoSR").find_all("td")
    assert sosr[1].small.text == "820 of 1530, 51.1 to 56.1"
    assert "of" not in sosr[7].small.text  # UCF101: no counts


def test_heads_are_buttons_that_name_their_column(table4):
    heads = table4.select("th[data-column]")
    assert [int(h["data-column"]) for h in heads] == list(range(14)) and all(
        h.button["type"] == "button" for h in heads
    )
    assert [th.text for th in table4.select('th[scope="colgroup"]')][:2] == ["HMDB51", "UCF101"]
    assert [th["colspan"] for th in table4.select('th[scope="colgroup"]')] == ["6", "6", "3", "3", "3", "3"]


def test_equals_share_a_rank():
    frame = pd.DataFrame(
        {
            "method": ["hr", "a", "b", "c"],
            "dataset": "d",
            "network": "n",
            "stream": "s",
            "accuracy": [9.0, 5.0, 5.0, 4.0],
        }
    )
    assert tables.ranks(frame).tolist() == [0, 1, 1, 3]


def test_names_are_escaped_and_unknown_methods_come_last():
    row = {"method": "<b>x</b>", "dataset": "d", "network": "n", "stream": "spatial", "accuracy": 50.0}
    frame = pd.DataFrame([row | {"low": 40, "high": 60, "count": None, "n": 10}])
    text = tables.benchmark(frame, "c", SOURCE)
    assert "<b>x</b>" not in text and "&lt;b&gt;x&lt;/b&gt;" in text and ">other<" in text


def test_committed_records_become_a_table():
    source = Provenance(kind="measured", source="s", command="c")

    def record(key, value):
        extra = dict(count=int(value), n=100, low=value - 5, high=value + 5, interval="Wilson")
        return Record(key=key, value=value, unit="%", description="d", provenance=source, **extra)

    keys = ["embedded.benchmark.embedded.tsn.hr.fused", "small.accuracy.weizmann.tsn.hr.spatial"]
    keys += ["embedded.benchmark.embedded.tsn.sosr+tosr.fused", "embedded.benchmark.embedded.tsn.hr.spatial"]
    keys += ["embedded.benchmark.embedded.tsn.hr.spatial.class-mean"]
    records = {key: record(key, 50.0) for key in keys}
    found = tables.from_records(records, "embedded")
    assert found[["method", "stream"]].to_numpy().tolist() == [
        ["hr", "spatial"],
        ["hr", "fused"],
        ["sosr+tosr", "fused"],
    ]
    assert len(tables.from_records(records, "small")) == 1 and tables.from_records(records, "paper").empty
    both = pd.concat([found, found.assign(network="st-resnet")], ignore_index=True)
    assert all(f">{head}<" in tables.benchmark(both, "c", SOURCE) for head in ("embedded clips", "TSN", "ST-ResNet"))


@pytest.mark.browser
def test_it_sorts_and_unfolds_in_a_browser(browser, root):
    script = (root / "book" / "assets" / "sortable.js").read_text()
    style = (root / "book" / "assets" / "arsr.css").read_text()
    text = (
        f"<style>{style}</style>{tables.benchmark(paper.table('table4'), 'Table 4', SOURCE)}<script>{script}</script>"
    )
    page = browser.new_page()
    page.set_content(text)
    names = "[...document.querySelectorAll('tbody th')].map(e => e.textContent)"
    head = page.locator("th[data-column='2']")
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending" and page.evaluate(names)[:3] == ["HR", "SoSR", "ESRGAN"]
    head.locator("button").click()
    assert (
        head.get_attribute("aria-sort") == "ascending" and page.evaluate(names)[1] == "bicubic"
    )  # the pair has no cell
    page.locator("th[data-column='0'] button").click()
    assert head.get_attribute("aria-sort") is None and page.evaluate(names)[0] == "bicubic"
    small = page.locator("td small").first
    assert not small.is_visible()
    page.get_by_role("button", name="Counts and intervals").click()
    assert small.is_visible() and page.locator("button.details").get_attribute("aria-pressed") == "true"
    page.close()


def test_a_table_of_contrasts_has_a_row_a_key():
    head, rule, row = tables.contrasts({"warp loss": "a.to_b"}, "here").splitlines()
    assert head.startswith("| here | points | p |") and head.count("|") == rule.count("|") == row.count("|")
    assert row.startswith("| warp loss | {num}`a.to_b.accuracy:+.1f interval` | {num}`a.to_b.accuracy:p` |")


def test_a_plain_table_has_no_index_and_says_what_it_shows():
    frame = pd.DataFrame({"method": ["VDSR"], "parameters": [665_000]})
    made = BeautifulSoup(tables.plain(frame, "costs", 'what "it" costs').to_html(), "html.parser")
    assert [cell.text for cell in made.select("tbody > tr > *")] == ["VDSR", "665,000"]
    assert made.table["aria-label"] == 'what "it" costs' and made.table["id"] == "T_costs"


def test_pairs_that_the_paper_has_not_stand_before_hr():
    rows = [("hr", 90.0), ("esrgan+duf52", 80.0), ("sosr+tosr", 85.0), ("bicubic", 70.0)]
    cells = [("d", "tsn", m, "fused", value, value - 5, value + 5, None, 100) for m, value in rows]
    columns = ["dataset", "network", "method", "stream", "accuracy", "low", "high", "count", "n"]
    found = BeautifulSoup(tables.benchmark(pd.DataFrame(cells, columns=columns), "t", SOURCE), "html.parser")
    heads = [row.th.text for row in found.select("tbody tr")]
    assert heads == ["bicubic", "SoSR+ToSR", "ESRGAN+DUF-52", "HR"]
