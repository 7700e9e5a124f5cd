"""The claims ledger: its rules on made-up records, its text, and what the paper's own numbers come to."""

import json
from math import isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arsr import claims, paper
from arsr.records import Provenance, Record, wilson
from arsr_core.errors import InputError

MEASURED = Provenance(kind="measured", source="a study", command="arsr evaluate", profile="embedded")


def share(key: str, count: int, n: int = 1530) -> Record:
    low, high = wilson(count, n)
    value = 100 * count / n
    extra = dict(unit="%", count=count, n=n, low=min(low, value), high=max(high, value), interval="Wilson")
    return Record(key=key, value=value, description="accuracy", provenance=MEASURED, **extra)


def paired(key: str, value: float, low: float, high: float, provenance=MEASURED, **extra) -> Record:
    bounds = dict(low=low, high=high, interval="paired bootstrap over clips", unit="points", n=100)
    return Record(key=key, value=value, description="a difference", provenance=provenance, **bounds | extra)


def weigh(how: str, *differences: tuple[float, float, float]) -> claims.Finding:
    records = {f"d.{i}": paired(f"d.{i}", *d) for i, d in enumerate(differences)}
    return claims.combined(how, [claims.weighed(claims.Contrast("one", (key,)), records.get) for key in records])


def contrasts(tier: str, *place: str, **row) -> tuple[claims.Contrast, ...]:
    return claims.Row((tier,), **row).contrasts(claims.TIERS[tier], *place)


UP, NIL, DOWN = (2.0, 1.0, 3.0), (0.2, -1.0, 1.4), (-2.0, -3.0, -1.0)


def test_difference_is_newcombe_s_interval():
    """Newcombe (1998), Table II, 56/70 against 48/80, method 10 without continuity correction: 0.0524 to 0.3339."""
    found = claims.difference(share("a", 56, 70), share("b", 48, 80))
    assert isclose(found.value, 20.0) and found.test == "unpaired, Newcombe"
    assert (round(found.low, 2), round(found.high, 2)) == (5.24, 33.39)


def test_difference_agrees_with_statsmodels():
    from statsmodels.stats.proportion import confint_proportions_2indep

    found = claims.difference(share("a", 820), share("b", 803))
    low, high = confint_proportions_2indep(820, 1530, 803, 1530, method="newcomb")
    assert isclose(found.low, 100 * low, abs_tol=1e-6) and isclose(found.high, 100 * high, abs_tol=1e-6)


def test_printed_values_are_used_where_there_are_no_counts_and_the_test_says_so():
    cell = "table4.{}.ucf101.tsn.spatial".format
    found = claims.difference(paper.records()[cell("sosr")], paper.records()[cell("esrgan")])
    assert isclose(found.value, 83.11 - 82.97) and "approximate" in found.test


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 200), st.integers(0, 200))
def test_difference_turned_round_is_its_mirror_image(k, m):
    one = claims.difference(share("a", k, 200), share("b", m, 200))
    two = claims.difference(share("b", m, 200), share("a", k, 200))
    assert isclose(one.low, -two.high, abs_tol=1e-9) and isclose(one.p, two.p, abs_tol=1e-9)
    assert (one.p < 0.05) == (one.low > 1e-9 or one.high < -1e-9) or isclose(one.p, 0.05, abs_tol=1e-6)


@pytest.mark.parametrize(
    "value, low, high, p", [(0.0, -1.0, 1.0, 1.0), (1.0, 0.0, 9.0, 0.05), (-1.0, -9.0, 0.0, 0.05), (3.0, 3.0, 3.0, 0.0)]
)
def test_p_goes_with_the_interval(value, low, high, p):
    assert isclose(claims.p_value(value, low, high), p, abs_tol=1e-9)


@given(st.floats(1e-6, 100), st.floats(0, 100))
def test_an_interval_that_ends_at_zero_decides_nothing(value, more):
    assert claims.p_value(value, 0.0, value + more) >= claims.ALPHA
    assert claims.p_value(-value, -value - more, 0.0) >= claims.ALPHA


@pytest.mark.parametrize(
    "how, parts, verdict",
    [
        ("all", [UP, UP], "supported"),
        ("all", [UP, NIL], "undecided"),
        ("all", [UP, DOWN], "not supported"),
        ("any", [UP, DOWN], "supported"),
        ("any", [NIL, DOWN], "undecided"),
        ("any", [DOWN, DOWN], "not supported"),
        ("any", [], "not yet measured"),
    ],
)
def test_how_contrasts_combine(how, parts, verdict):
    assert weigh(how, *parts).verdict == verdict


def test_some_is_corrected_for_how_many_were_tried_and_every_is_not():
    barely = (2.0, 0.1, 3.9)  # p = 0.04
    assert weigh("any", barely).verdict == "supported"
    assert weigh("any", barely, NIL).verdict == "undecided"
    assert weigh("all", barely, UP).verdict == "supported"
    against = tuple(-x for x in (barely[0], barely[2], barely[1]))
    assert weigh("all", against).verdict == "not supported" and weigh("all", against, UP).verdict == "undecided"


def test_the_decisive_contrast_is_the_weakest_of_all_and_the_strongest_of_any():
    assert weigh("all", UP, NIL).decisive().effect.value == 0.2
    assert weigh("any", NIL, UP).decisive().effect.value == 2.0


def test_a_missing_contrast_keeps_all_from_being_supported_but_a_missing_setting_is_left_out():
    find = {"d.0": paired("d.0", *UP)}.get
    here, missing = (claims.weighed(claims.Contrast("one", (key,)), find) for key in ("d.0", "d.1"))
    found = claims.combined("all", [here, missing])
    assert (found.verdict, found.measured, found.of) == ("undecided", 1, 2)
    places = [claims.combined("all", [part]) for part in (here, missing)]
    assert claims.combined("all", places).verdict == "supported"


def test_rows_of_the_ledger():
    one, two = (dict(stream=("fused",), a=("sosr+tosr",), b=("hr",)), dict(margin=2, side="below"))
    [printed] = contrasts("paper", "hmdb51", "st-resnet", **one, **two)
    assert printed.keys == tuple(f"table4.{m}.hmdb51.st_resnet.fusion" for m in ("sosr+tosr", "hr"))
    assert (printed.words, printed.side, printed.margin) == ("SoSR+ToSR \N{MINUS SIGN} HR, fusion", -1, 2.0)
    [ours] = contrasts("embedded", "embedded", "st-resnet", **one)
    assert ours.keys == ("benchmark.embedded.st-resnet.fused.sosr+tosr.to_hr.accuracy",) and ours.side == 1
    keys = ("table1.{of}.vdsr", "table1.{of}.hr")
    found = contrasts("paper", words="(a) {of}", of=("Archery", "JumpRope"), records=keys)
    assert [c.keys[0] for c in found] == ["table1.archery.vdsr", "table1.jumprope.vdsr"]
    assert found[0].words == "(a) Archery"
    among = dict(stream=("spatial",), among=("rcan", "sosr", "tosr"), side="against psnr")
    pairs = contrasts("paper", "hmdb51", "tsn", **among)
    assert len(pairs) == 3 and pairs[0].opposes == ("table_b.rcan.hmdb51.psnr", "table_b.sosr.hmdb51.psnr")


def test_rows_are_multiplied_out_in_the_order_that_the_file_states():
    lists = dict(stream=("spatial", "temporal"), of=(1, 2), a=("vdsr", "rcan"), b=("hr", "bicubic"))
    cells = [tuple(cell.values()) for cell in claims.Row(("small",), **lists).cells()]
    assert len(set(cells)) == 16 and cells[:3] == [
        ("spatial", "1", "vdsr", "hr"),
        ("spatial", "1", "vdsr", "bicubic"),
        ("spatial", "1", "rcan", "hr"),
    ]
    assert cells[-1] == ("temporal", "2", "rcan", "bicubic")


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"side": "over"}, "claims.c.rows.0.side 'above', 'below' or 'against psnr', got 'over'"),
        ({"a": ["hrr"]}, "claims.c.rows.0.a.0 'hr', 'bicubic'"),
        ({"margn": 2}, "no claims.c.rows.0.margn"),
        ({"records": ["x.{dataset}.{share}"]}, "claims.c.rows.0.records.0: string should match"),
        ({"records": ["x", "y", "z"]}, "claims.c.rows.0.records: .*at most 2"),
        ({"margin": -1}, "greater than or equal to 0, got -1"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(changed, message):
    row = {"tiers": ["paper"], "stream": ["spatial"], "a": ["hr"], "b": ["bicubic"]} | changed
    with pytest.raises(InputError, match=message) as error:
        claims.Rules({}, {"c": {"statement": "x", "rule": "x", "how": "all", "rows": [row]}})
    assert "\n" not in str(error.value)


def test_every_claim_has_rows_or_a_reason_in_every_tier_and_its_rows_agree_on_the_places():
    for claim in claims.CLAIMS.values():
        for tier in claims.TIERS:
            rows = [row for row in claim.rows if tier in row.tiers]
            assert bool(rows) != (tier in claim.without) and len({row.everywhere for row in rows}) <= 1


def test_a_margin_allows_to_be_a_little_below():
    for margin, verdict in ((0, "undecided"), (2, "supported")):
        contrast = claims.Contrast("one", ("d",), margin=margin)
        assert claims.weighed(contrast, {"d": paired("d", -0.5, -1.5, 0.5)}.get).verdict == verdict


def test_opposing_psnr():
    psnr = [
        Record(key=f"sr.{m}.psnr", value=v, description="PSNR", provenance=MEASURED)
        for m, v in (("rcan", 33.0), ("sosr", 29.0))
    ]
    key = "benchmark.embedded.tsn.spatial.rcan.to_sosr.accuracy"
    row = dict(stream=("spatial",), among=("rcan", "sosr"), side="against psnr")
    [contrast] = contrasts("embedded", "embedded", "tsn", **row)
    for difference, verdict in ((DOWN, "supported"), (UP, "not supported")):
        records = {r.key: r for r in [*psnr, paired(key, *difference)]}
        assert claims.weighed(contrast, records.get).verdict == verdict
    assert claims.weighed(contrast, {key: paired(key, *DOWN)}.get).verdict == "not yet measured"


def test_a_committed_measurement_counts_before_a_build_s_own_number_and_another_profile_s_not_at_all():
    tier, key = claims.TIERS["embedded"], "flow.vdsr.flicker.to_hr"
    mine, other = (Provenance(kind="recomputed", source="c", profile=p) for p in ("embedded", "small"))
    built, kept = paired(key, *UP, mine), paired(f"embedded.{key}", *DOWN)
    assert tier.find({key: built}, key) is built
    assert tier.find({key: built, kept.key: kept}, key) is kept
    assert tier.find({key: paired(key, *UP, other)}, key) is None and tier.find({}, key) is None


def test_a_record_that_is_added_fills_the_ledger():
    keys = [f"benchmark.embedded.tsn.{s}.hr.to_bicubic.accuracy" for s in ("spatial", "temporal")]
    records = {f"embedded.{k}": paired(f"embedded.{k}", *UP) for k in keys}
    assert claims.ledger({})["c1"]["embedded"].verdict == "not yet measured"
    assert claims.ledger(records)["c1"]["embedded"].verdict == "supported"


def test_words_name_methods_by_their_titles():
    row = dict(words="{of} against HR", of=("vdsr", "rcan"), records=("flow.{of}.flicker.to_hr",))
    first, last = contrasts("embedded", **row)
    assert (first.words, first.keys) == ("VDSR against HR", ("flow.vdsr.flicker.to_hr",))
    assert (last.words, last.keys) == ("RCAN against HR", ("flow.rcan.flicker.to_hr",))


def test_a_study_learns_what_to_compare():
    wanted = claims.comparisons("embedded", "tsn")
    assert len(wanted) == len(set(wanted)) and ("fused", "sosr+tosr", "hr") in wanted
    assert ("spatial", "bicubic", "tosr") in wanted
    assert ("spatial", "vdsr-wmse", "vdsr-mse") in claims.comparisons("hmdb51", "st-resnet")
    assert not claims.comparisons("hmdb51", "resnet")


def test_every_key_of_the_paper_s_tier_is_a_printed_number_and_every_claim_has_all_tiers():
    found = claims.ledger(paper.records())
    assert list(found) == [f"c{i}" for i in range(1, 12)]
    for tiers in found.values():
        assert list(tiers) == list(claims.TIERS)
        assert tiers["paper"].why or tiers["paper"].measured == tiers["paper"].of
        assert {f.verdict for t, f in tiers.items() if t != "paper"} <= {"not yet measured", "no numbers"}


def test_what_the_paper_s_own_numbers_come_to():
    """Golden: the printed numbers do not change, so neither may these."""
    found = {name: tiers["paper"].verdict for name, tiers in claims.ledger(paper.records()).items()}
    assert {name for name, verdict in found.items() if verdict == "supported"} == {"c1", "c2"}
    assert {name for name, verdict in found.items() if verdict == "no numbers"} == {"c10", "c11"}
    assert "not supported" not in found.values()


def test_as_json_is_plain_and_deterministic():
    one, two = (json.dumps(claims.as_json(claims.ledger(paper.records()))) for _ in range(2))
    assert one == two
    c4 = json.loads(one)["c4"]["tiers"]["paper"]
    assert c4["verdict"] == "undecided" and c4["parts"][0]["records"] == ["table2.vdsr.wmse", "table2.vdsr.mse"]
