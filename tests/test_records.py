import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arsr import records
from arsr.paired import Difference
from arsr.records import Provenance, Record
from arsr_core import files
from arsr_core.errors import InputError

PAPER = Provenance(kind="paper", source="Table 4")


def record(key="a.b", value=1.0, **extra):
    return Record(key=key, value=value, description="a number", provenance=PAPER, **extra)


def test_round_trip(tmp_path):
    kept = [record("b", 53.59, unit="%", count=820, n=1530, low=51.0, high=56.1, interval="Wilson"), record("a")]
    path = records.save(kept, tmp_path / "deep" / "study.json")
    assert list(records.load(path)) == ["a", "b"]
    assert records.load(path)["b"] == kept[0]
    assert records.load_folder(path.parent) == records.load(path)
    assert [p.name for p in path.parent.iterdir()] == ["study.json"]  # no temporary file stays


def test_saving_twice_is_byte_identical(tmp_path):
    one = records.save([record("a"), record("b")], tmp_path / "one.json").read_bytes()
    two = records.save([record("b"), record("a")], tmp_path / "two.json").read_bytes()
    assert one == two


@pytest.mark.parametrize(
    "extra",
    [
        {"count": 5},  # a count of nothing
        {"count": 6, "n": 5},
        {"low": 0.0},
        {"low": 2.0, "high": 3.0, "interval": "Student"},  # value 1 lies outside
        {"unit": "kg"},
        {"value": math.nan},
        {"p": 1.1},
        {"p": -0.1},
        {"p": math.nan},
        {"key": "Not A Key"},
        {"key": ""},
    ],
)
def test_inconsistent_records_are_refused(extra):
    with pytest.raises(ValueError):
        record(**extra)


def test_provenance_says_what_its_badge_promises():
    with pytest.raises(ValueError, match="profile"):
        Provenance(kind="recomputed", source="chapter")
    with pytest.raises(ValueError, match="command"):
        Provenance(kind="measured", source="study")
    assert Provenance(kind="recomputed", source="chapter", profile="small").badge == "recomputed: small"
    assert Provenance(kind="derived", source="chapter", profile="small").badge == "from the paper's numbers"


def test_duplicate_keys_are_an_error(tmp_path):
    with pytest.raises(InputError, match="a.b occurs twice"):
        records.save([record(), record(value=2.0)], tmp_path / "study.json")
    records.save([record()], tmp_path / "one.json")
    records.save([record()], tmp_path / "two.json")
    with pytest.raises(InputError, match="occurs twice"):
        records.load_folder(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]", '[{"key": "a"}]', "null"])
def test_malformed_file_is_named(tmp_path, text):
    path = tmp_path / "study.json"
    path.write_text(text)
    with pytest.raises(InputError, match="study.json") as error:
        records.load(path)
    assert "\n" not in str(error.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match="no such record file"):
        records.load(tmp_path / "nothing.json")
    assert records.load_folder(tmp_path / "nothing") == {}


def test_wilson_against_its_formula():
    p, n, z = 820 / 1530, 1530, 1.959963984540054
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert records.wilson(820, 1530) == pytest.approx((100 * (centre - half), 100 * (centre + half)), abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_contains_the_proportion(case):
    count, n = case
    low, high = records.wilson(count, n)
    assert -1e-9 <= low <= 100 * count / n + 1e-9 and 100 * count / n - 1e-9 <= high <= 100 + 1e-9


@pytest.mark.parametrize("count, n", [(-1, 5), (6, 5), (0, 0)])
def test_wilson_bad_input(count, n):
    with pytest.raises(InputError, match="count"):
        records.wilson(count, n)


def test_mean_with_bootstrap_interval():
    values = [1.0, 2.0, 3.0, 6.0]
    got = records.mean("a", values, "dB", "four values", PAPER)
    assert (got.value, got.n, got.interval) == (3.0, 4, "bootstrap")
    # the bootstrap distribution of a mean of four: its deviation is sqrt(sum (v - 3)^2 / 4 / 4)
    deviation = math.sqrt(14 / 16)
    assert got.low == pytest.approx(3 - 1.96 * deviation, abs=0.4)
    assert got.high == pytest.approx(3 + 1.96 * deviation, abs=0.4)
    assert got == records.mean("a", values, "dB", "four values", PAPER)
    assert records.mean("a", [1.5], "dB", "one value", PAPER).low is None
    same = records.mean("a", [2.0, 2.0], "dB", "no spread", PAPER)
    assert same.low == same.value == same.high


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=12))
def test_mean_interval_stays_in_the_range_of_the_values(values):
    got = records.mean("a", values, "px", "values", PAPER)
    assert min(values) - 1e-9 <= got.low <= got.value <= got.high <= max(values) + 1e-9


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_mean_bad_input(values):
    with pytest.raises(InputError, match="finite"):
        records.mean("a", values, "dB", "nothing", PAPER)


def test_a_paired_difference_is_a_record_with_its_p():
    found = records.difference("a.b", Difference(1.5, 1.5 + 1e-15, 3, 0.04, "flips"), "points", 90, "words", PAPER)
    assert (found.value, found.low, found.high, found.p, found.n) == (1.5, 1.5, 3, 0.04, 90)
    assert (found.interval, found.description, found.unit) == ("flips", "words", "points")
    few = records.difference(
        "a.b", Difference(1.5, -math.inf, math.inf, 0.5, "flips over 2 groups"), "", 9, "words", PAPER
    )
    assert (few.low, few.interval, few.p) == (None, None, 0.5)
    assert few.description == "words (flips over 2 groups: too few for an interval)"


def test_versions_name_the_package():
    assert {"arsr", "torch", "numpy"} <= set(records.versions())


def test_write_leaves_the_old_file_on_error(tmp_path):
    path = records.save([record()], tmp_path / "study.json")
    before = path.read_bytes()
    with pytest.raises(UnicodeEncodeError):
        files.write_atomically(path, "\ud800")
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["study.json"]


def test_records_are_plain_json(tmp_path):
    rows = json.loads(records.save([record()], tmp_path / "a.json").read_text())
    assert rows[0]["key"] == "a.b" and "low" not in rows[0]
