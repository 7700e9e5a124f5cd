"""The claims ledger: its rules on made-up records, its text, and what the paper's own numbers come to."""

import json
import subprocess
from importlib.resources import files
from math import isclose

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from arsr import claims, paper
from arsr.records import Provenance, Record, wilson
from arsr_core.errors import InputError

MEASURED = Provenance(kind="measured", source="a study", command="arsr evaluate", profile="embedded")


def share(key: str, count: int, n: int = 1530) -> Record:
    low, high = wilson(count, n)
    value = 100 * count / n
    extra = dict(unit="%", count=count, n=n, low=min(low, value), high=max(high, value), interval="Wilson")
    return Record(key=key, value=value, description="accuracy", provenance=MEASURED, **extra)


def paired(key: str, value: float, low: float | None, high: float | None, provenance=MEASURED, **extra) -> Record:
    bounds = dict(low=low, high=high, interval=low and "bootstrap", unit="points", n=100)
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


def test_p_of_students_t_has_its_tails():
    half, error = student.ppf(0.975, 2), 1.0  # of two degrees of freedom
    p = claims.p_value(5.5, 5.5 - half * error, 5.5 + half * error, 2)
    assert isclose(p, 2 * student.sf(5.5, 2)) and p > 0.03 > claims.p_value(5.5, 5.5 - half, 5.5 + half)
    found = claims.weighed(
        claims.Contrast("one", ("d",), margin=1.0), {"d": paired("d", -6.5, -6.5 - half, half - 6.5, freedom=2)}.get
    )
    assert isclose(found.p_against, p)


def test_an_unseen_recogniser_that_is_none_is_no_test_of_c14():
    [contrast] = claims.CLAIMS["c14"].rows[1].contrasts(claims.TIERS["embedded"], "embedded", "tsn")
    gain, of_hr = contrast.keys[0], contrast.check[0]
    for low, verdict in ((79, "not a test"), (81, "supported")):
        known = {gain: paired(gain, 0.5, -0.5, 1.5), of_hr: paired(of_hr, 90, low, 95, unit="%")}
        assert claims.weighed(contrast, known.get).verdict == verdict


@given(st.floats(1e-6, 100), st.floats(0, 100))
def test_an_interval_that_ends_at_zero_decides_nothing(value, more):
    assert claims.p_value(value, 0.0, value + more) >= claims.ALPHA
    assert claims.p_value(-value, -value - more, 0.0) >= claims.ALPHA


def leaf(p_for=1.0, p_against=1.0, effect=NIL, printed=None, **more) -> claims.Finding:
    """A contrast's finding; effect: value, low and high in points."""
    known = claims.Effect(*effect, min(p_for, p_against), 100, "points", "a test", ("d",))
    return claims.Finding("one", p_for, p_against, 1, effect=known, printed=printed, **more)


FOR, AGAINST = leaf(1e-5, effect=UP), leaf(1, 1e-5, effect=DOWN)
BARELY, BARELY_AGAINST = leaf(0.03, effect=UP), leaf(1, 0.03, effect=DOWN)
OPEN, FEW, SMALL = leaf(0.7), leaf(0.7, printed=1.0), leaf(0.7, printed=1.5)
NO_TEST, MISSING = leaf(checked=False), claims.Finding()


def whole(*parts: claims.Finding) -> claims.Finding:
    """A case of a claim, as C8's: one class is enough."""
    return claims.combined("any", parts, whole=True)


def test_what_a_contrast_comes_to():
    kinds = {
        FOR: "supported",
        AGAINST: "contradicted",
        OPEN: "undecided",
        FEW: "too few clips",
        MISSING: "not yet measured",
    }
    kinds |= {SMALL: "smaller than the paper's", NO_TEST: "not a test", leaf(1e-5, checked=False): "not a test"}
    assert {finding.verdict for finding in kinds} == {*kinds.values()}
    assert all(finding.verdict == verdict for finding, verdict in kinds.items())


@pytest.mark.parametrize(
    ("value", "low", "high", "side", "printed", "verdict"),
    [
        (0.5, -1.0, 2.0, 1, 2.5, "smaller than the paper's"),
        (0.5, -1.0, 2.0, 1, 1.6, "undecided"),  # the arm towards zero is 1.5
        (0.5, -1.0, 2.0, 1, 1.4, "too few clips"),
        (-0.5, -2.0, 1.0, 1, 1.2, "smaller than the paper's"),
        (-0.5, -2.0, 1.0, 1, 0.9, "too few clips"),
        (-0.5, -2.0, 1.0, -1, 2.5, "smaller than the paper's"),  # the claim says below
        (-0.5, -2.0, 1.0, -1, 1.4, "too few clips"),
        (0.5, -1.0, 2.0, 1, -3.0, "undecided"),  # the paper's own effect lies on the other side
        (0.5, -1.0, 2.0, 1, None, "undecided"),
        (0.5, None, None, 1, None, "too few clips"),
    ],
)
def test_an_open_contrast_is_thin_or_null(value, low, high, side, printed, verdict):
    effect = claims.Effect(value, low, high, 0.5, 100, "points", None, ("d",))
    assert effect.left_open(side, printed) == verdict
    assert effect._replace(unit="px").left_open(side, printed) == ("undecided" if low else verdict)


CASES = {
    "every contrast": ("all", [FOR, BARELY], "supported"),
    "one missing": ("all", [FOR, MISSING], "undecided"),
    "none": ("any", [], "not yet measured"),
    "on both sides": ("all", [FOR, AGAINST], "mixed"),
    "on both sides, one of them barely": ("all", [BARELY, AGAINST], "contradicted"),
    "barely, and none open": ("all", [FOR, BARELY_AGAINST], "undecided"),
    "one is enough": ("any", [FOR, OPEN], "supported"),
    "not one": ("any", [AGAINST, AGAINST], "contradicted"),
    "one open of any": ("any", [AGAINST, OPEN], "undecided"),
    "C3, paper: 13 of 16 for": ("all", [FOR] * 13 + [FEW, FEW, OPEN], "too few clips"),
    "C7, real clips: 12 of 44 against": ("all", [FEW] * 20 + [OPEN] * 12 + [AGAINST] * 12, "contradicted"),
    "C2, embedded: 20 pairs for, 107 against": ("any", [FOR] * 20 + [AGAINST] * 107 + [OPEN] * 50, "mixed"),
    "C6, embedded: one for, one below the paper's": ("all", [BARELY, SMALL], "smaller than the paper's"),
    "below the paper's, and one open": ("all", [FOR, SMALL, OPEN], "undecided"),
    "below the paper's, and one thin": ("all", [FOR, SMALL, FEW], "too few clips"),
    "a needed one is no test": ("all", [FOR, NO_TEST], "not a test"),
    "no test, and one open": ("all", [FOR, NO_TEST, SMALL], "smaller than the paper's"),
    "no test does not save a claim": ("all", [AGAINST, NO_TEST], "contradicted"),
    "no test is not needed": ("any", [FOR, NO_TEST], "supported"),
    "no test at all": ("any", [NO_TEST, NO_TEST], "not a test"),
    "C8: each case in one class": ("all", [whole(FOR, AGAINST), whole(AGAINST, FOR), whole(OPEN, FOR)], "supported"),
    "C8: one case in no class": ("all", [whole(FOR, OPEN), whole(FOR, OPEN), whole(AGAINST, AGAINST)], "mixed"),
    "C8: one case open": ("all", [whole(FOR, OPEN), whole(FOR, AGAINST), whole(FEW, AGAINST)], "too few clips"),
    "C8: one case not measured": ("all", [whole(FOR), whole(FOR), whole(MISSING)], "undecided"),
}


@pytest.mark.parametrize(("how", "parts", "verdict"), CASES.values(), ids=CASES)
def test_how_contrasts_combine(how, parts, verdict):
    assert claims.combined(how, parts).verdict == verdict
    assert claims.combined(how, [claims.combined(how, parts), claims.Finding(how=how)]).verdict == verdict  # in a place


def test_counts_of_contrasts():
    found = claims.combined("all", [FOR, whole(AGAINST, FOR, NO_TEST), FEW, SMALL, OPEN, MISSING])
    assert found.counts == (2, 3, 1, 1)


def test_some_is_corrected_for_how_many_were_tried_and_every_is_not():
    barely = (2.0, 0.1, 3.9)  # p = 0.04
    assert weigh("any", barely).verdict == "supported"
    assert weigh("any", barely, NIL).verdict == "undecided"
    assert weigh("all", barely, UP).verdict == "supported"
    against = tuple(-x for x in (barely[0], barely[2], barely[1]))
    assert weigh("all", against).verdict == "contradicted" and weigh("all", against, UP).verdict == "undecided"


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
        assert claims.weighed(contrast, {"d": paired("d", -0.5, -1.5, 0.5, p=0.3)}.get).verdict == verdict
        assert claims.weighed(contrast, {"d": paired("d", -0.5, None, None, p=0.3)}.get).verdict == "too few clips"


@pytest.mark.parametrize(("p", "verdict"), [(0.049, "supported"), (0.051, "undecided")])
def test_a_record_s_own_p_decides_and_no_end_of_its_interval(p, verdict):
    found = claims.weighed(claims.Contrast("one", ("d",)), {"d": paired("d", 1.0, -0.01, 2.0, p=p)}.get)
    assert (found.verdict, found.p_for, found.p_against) == (verdict, p, 1.0)


def test_a_record_with_neither_interval_nor_p_is_no_evidence():
    found = claims.weighed(claims.Contrast("one", ("d",)), {"d": paired("d", 1.0, None, None)}.get)
    assert found.verdict == "not yet measured" and found.plain()["p_for"] is None


@pytest.mark.parametrize(
    ("low", "verdict", "said"),
    [(0.6, "supported", "held"), (0.5, "not a test", "failed"), (None, "supported", "unchecked")],
)
def test_a_manipulation_check_has_to_lie_wholly_above_its_number(low, verdict, said):
    row = dict(words="x", of=("vdsr",), records=("gain.{of}",), check={"record": "apart.{of}", "above": 0.5})
    [contrast] = contrasts("embedded", **row)
    records = {"gain.vdsr": paired("gain.vdsr", *UP)}
    records |= {"apart.vdsr": paired("apart.vdsr", 0.8, low, 1.0)} if low else {}
    found = claims.weighed(contrast, records.get)
    assert (found.verdict, found.plain()["check"]) == (verdict, said)
    assert found.speaks == (verdict == "supported") == (found.plain()["p_for"] is not None)


def test_the_paper_s_effect_of_a_contrast():
    methods = dict(stream=("temporal",), a=("tosr",), b=("bicubic",))
    [ours] = contrasts("small", "weizmann", "tsn", **methods)
    assert len(ours.printed) == 4 and ours.printed[-1][1] == "table4.bicubic.ucf101.st_resnet.temporal"
    known = paper.records() | {ours.keys[0]: paired(ours.keys[0], *NIL)}
    mean = sum(known[a].value - known[b].value for a, b in ours.printed) / 4
    assert isclose(claims.weighed(ours, known.get).printed, mean) and mean > 0
    [below] = contrasts("small", "weizmann", "tsn", **methods, side="below")
    assert isclose(claims.weighed(below, known.get).printed, -mean)
    records = ("retrained.{stream}.{of}",)
    named = dict(
        stream=("spatial",), of=(3,), records=records, printed=("figure8.{stream}.lr.4", "figure8.{stream}.lr.{of}")
    )
    [row] = contrasts("embedded", **named)
    assert row.printed == (("figure8.spatial.lr.4", "figure8.spatial.lr.3"),)
    assert contrasts("embedded", **named | {"printed": None})[0].printed == ()
    [own] = contrasts("paper", "hmdb51", "tsn", **methods)
    assert own.printed == (own.keys,)
    assert contrasts("small", "weizmann", "tsn", **methods, margin=2)[0].printed == ()


def test_all_stands_for_what_the_records_have():
    row = dict(words="(a) {of}", of="all", records=("classes.embedded.{of}.vdsr.to_bicubic.accuracy",))
    keys = [
        "embedded.classes.embedded.stand_up.vdsr.to_bicubic.accuracy",
        "classes.embedded.bend.vdsr.to_bicubic.accuracy",
    ]
    keys += ["classes.embedded.vdsr.to_bicubic.accuracy", "classes.ucf101.bend.vdsr.to_bicubic.accuracy"]
    found = claims.Row(("embedded",), **row).contrasts(claims.TIERS["embedded"], known=keys)
    assert [(c.words, c.keys) for c in found] == [
        ("(a) bend", (keys[1],)),
        ("(a) stand up", (keys[0].partition(".")[2],)),
    ]
    records = {key: paired(key, *(UP if "stand_up" in key else NIL)) for key in keys[:2]}
    c8 = claims.finding(claims.CLAIMS["c8"], "embedded", records)
    assert c8.measured == 4 and c8.verdict == "undecided"  # (a) and (b) of two classes; no (c)


def test_the_contrast_that_stands_for_a_claim_is_the_first_that_is_measured():
    printed = {name: tiers["paper"].main for name, tiers in claims.ledger(paper.records()).items()}
    assert printed["c1"].words == "HR \N{MINUS SIGN} bicubic, spatial, HMDB51, TSN"
    assert printed["c3"].words == "ESRGAN \N{MINUS SIGN} RCAN, spatial, HMDB51, TSN"
    assert printed["c2"] is None and printed["c10"] is None  # no record
    key = "benchmark.real.st-resnet.spatial.hr.to_bicubic.accuracy"
    found = claims.ledger({f"small.{key}": paired(f"small.{key}", *UP)})["c1"]["small"]
    assert found.main.words.endswith("real clips, ST-ResNet") and found.plain()["main"]["value"] == 2.0


def test_a_gain_in_whole_clips_says_in_how_many_clips_two_methods_may_differ():
    sosr, esrgan = (f"table2.esrgan.{pixel}+feature+adversarial" for pixel in ("wmse", "mse"))
    found = claims.difference(paper.records()[sosr], paper.records()[esrgan])
    assert found.break_even == 73 and found.n == 1530
    cell = "table4.{}.ucf101.tsn.spatial".format  # a mean of classes
    assert claims.difference(paper.records()[cell("sosr")], paper.records()[cell("esrgan")]).break_even is None


def test_opposing_psnr():
    psnr = [
        Record(key=f"sr.{m}.psnr", value=v, description="PSNR", provenance=MEASURED)
        for m, v in (("rcan", 33.0), ("sosr", 29.0))
    ]
    key = "benchmark.embedded.tsn.spatial.rcan.to_sosr.accuracy"
    row = dict(stream=("spatial",), among=("rcan", "sosr"), side="against psnr")
    [contrast] = contrasts("embedded", "embedded", "tsn", **row)
    for difference, verdict in ((DOWN, "supported"), (UP, "contradicted")):
        records = {r.key: r for r in [*psnr, paired(key, *difference)]}
        assert claims.weighed(contrast, records.get).verdict == verdict
    assert claims.weighed(contrast, {key: paired(key, *DOWN)}.get).verdict == "not yet measured"
    assert claims.weighed(contrast._replace(tie=4.1), records.get) is None
    assert claims.weighed(contrast._replace(tie=4.0), records.get) is not None


def test_a_committed_measurement_counts_before_a_build_s_own_number_and_another_profile_s_not_at_all():
    tier, key = claims.TIERS["embedded"], "flow.vdsr.flicker.to_hr"
    mine, other = (Provenance(kind="recomputed", source="c", profile=p) for p in ("embedded", "small"))
    built, kept = paired(key, *UP, mine), paired(f"embedded.{key}", *DOWN)
    assert tier.find({key: built}, key) is built
    assert tier.find({key: built, kept.key: kept}, key) is kept
    assert tier.find({key: paired(key, *UP, other)}, key) is None and tier.find({}, key) is None


def test_what_a_build_derives_from_printed_numbers_is_no_measurement():
    key = "fidelity.hmdb51.tsn.spatial.psnr.rho"
    derived = paired(key, *UP, Provenance(kind="derived", source="chapter 9", profile="paper"))
    assert claims.TIERS["paper"].find({key: derived}, key) is derived
    assert claims.TIERS["full"].find({key: derived}, key) is None
    mine = paired(key, *UP, Provenance(kind="recomputed", source="chapter 9", profile="paper"))
    assert claims.TIERS["full"].find({key: mine}, key) is mine


def test_what_we_measure_is_weighed_against_the_effect_that_the_paper_prints():
    key = "embedded.ablation.temporal.vdsr-warp.to_vdsr-warp-control.accuracy"
    for low, high, verdict in ((-0.5, 1.5, "smaller than the paper's"), (-5.5, 6.5, "too few clips")):
        known = paper.records() | {key: paired(key, 0.5, low, high, p=0.3)}
        leaf = next(part for part in claims.ledger(known)["c6"]["embedded"].parts if part.measured)
        while leaf.parts:
            leaf = next(part for part in leaf.parts if part.measured)
        assert leaf.verdict == verdict and leaf.printed > 3


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
    assert ("spatial", "bicubic", "tosr") in wanted and ("fused", "sosr+tosr", "esrgan+duf52") in wanted
    assert ("spatial", "vdsr-wmse", "vdsr-mse") in claims.comparisons("hmdb51", "st-resnet")
    assert not claims.comparisons("hmdb51", "resnet")


def test_every_key_of_the_paper_s_tier_is_a_printed_number_and_every_claim_has_all_tiers():
    found = claims.ledger(paper.records())
    parts = {"c7": "ab", "c11": "abcd"}
    assert list(found) == [f"c{i}{part}" for i in range(1, 15) for part in parts.get(f"c{i}", [""])]
    for tiers in found.values():
        assert list(tiers) == list(claims.TIERS)
        assert tiers["paper"].why or tiers["paper"].measured == tiers["paper"].of
        assert "p_for" not in (unmeasured := tiers["full"].plain()) or unmeasured["p_for"] is None
        assert {f.verdict for t, f in tiers.items() if t != "paper"} <= {"not yet measured", "no numbers"}


def test_what_the_paper_s_own_numbers_come_to():
    """Golden: the printed numbers do not change, so neither may these."""
    found = {name: tiers["paper"] for name, tiers in claims.ledger(paper.records()).items()}
    verdicts = {name: finding.verdict for name, finding in found.items()}
    assert {name for name, verdict in verdicts.items() if verdict == "no numbers"} == {
        "c10",
        "c11a",
        "c11b",
        "c11c",
        "c11d",
        "c12",
        "c13",
        "c14",
    }
    others = {"c1": "supported", "c2": "mixed", "c7b": "undecided"}
    assert all(
        verdict == others.get(name, "too few clips") for name, verdict in verdicts.items() if verdict != "no numbers"
    )
    assert found["c3"].counts == (13, 3, 0, 0)


def test_every_claim_has_its_section_and_every_verdict_its_words(root):
    text = (root / "book" / "12-claims.md").read_text(encoding="utf-8")
    for name in claims.CLAIMS:
        assert f"(claim-{name})=\n" in text and f"```{{claim}} {name}\n" in text
    told = {claims.SUPPORTED, claims.CONTRADICTED, claims.MIXED, claims.NOT_A_TEST, *claims.OPEN}
    assert all(f"*{verdict}*" in text for verdict in told)


# --- the plan


def changed_since(root, commit: str) -> str:
    """What is wrong with a commit that is said to have fixed the rules; empty: nothing."""

    def git(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True)

    if git("merge-base", "--is-ancestor", commit, "HEAD").returncode:
        return "not in the history"
    then = yaml.safe_load(git("show", f"{commit}:arsr/claims.yaml").stdout)
    now = yaml.safe_load((root / "arsr" / "claims.yaml").read_text(encoding="utf-8"))
    return "" if then["claims"] == now["claims"] else "other claims than then"


def test_the_rules_are_those_that_were_fixed_beforehand(root):
    fixed = claims.PLAN.fixed
    if not fixed or subprocess.run(["git", "rev-parse"], cwd=root, capture_output=True).returncode:
        pytest.skip("no commit is named yet" if not fixed else "not a git checkout")
    assert changed_since(root, fixed) == ""


def test_rules_that_changed_since_they_were_fixed_are_seen(tmp_path):
    def git(*words: str) -> str:
        options = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", *options, *words], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout

    rules = yaml.safe_load(files("arsr").joinpath("claims.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "arsr" / "claims.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(rules))
    git("init", "--quiet")
    git("add", "arsr")
    git("commit", "--quiet", "-m", "rules")
    commit = git("rev-parse", "--short=12", "HEAD").strip()
    path.write_text(yaml.safe_dump(rules | {"plan": {"fixed": commit}}))
    assert changed_since(tmp_path, commit) == ""
    rules["claims"]["c1"]["how"] = "any"
    path.write_text(yaml.safe_dump(rules))
    assert changed_since(tmp_path, commit) == "other claims than then"
    assert changed_since(tmp_path, "0123456789ab") == "not in the history"


def test_what_was_said_before_names_claims_of_the_paper():
    ours = {"c12", "c13", "c14"}
    assert [*claims.PLAN.before] == [name for name in claims.CLAIMS if name not in ours]


@pytest.mark.parametrize("fixed", ["main", "12345", "g" * 12])
def test_a_plan_names_a_commit(fixed):
    with pytest.raises(InputError, match="plan.fixed"):
        claims.Rules({}, {}, {"fixed": fixed})


def test_as_json_is_plain_and_deterministic():
    one, two = (json.dumps(claims.as_json(claims.ledger(paper.records()))) for _ in range(2))
    assert one == two
    c4 = json.loads(one)["c4"]["tiers"]["paper"]
    assert c4["verdict"] == "too few clips" and c4["parts"][0]["records"] == ["table2.vdsr.wmse", "table2.vdsr.mse"]
