"""What a running chapter uses: its numbers, where they go, and the style of its figures."""

import json

import matplotlib
import matplotlib.pyplot as plt
import pytest

from arsr.book import chapter
from arsr_core.errors import InputError


def test_numbers_are_kept_with_their_source(tmp_path, monkeypatch):
    monkeypatch.setenv("ARSR_OUTPUT", str(tmp_path))
    numbers = chapter.Numbers("A chapter", "embedded", "two clips", note="fast")
    assert numbers.mean("a.psnr", [30.0, 32.0], "dB", "PSNR").value == 31.0
    other = numbers.source.model_copy(update={"data": "none"})
    numbers.add("a.rho", 0.5, "correlation", n=2, provenance=other)
    numbers.save("a")
    psnr, rho = json.loads((tmp_path / "records" / "a.json").read_text())
    assert psnr["interval"] == "bootstrap" and psnr["n"] == 2 and psnr["provenance"]["data"] == "two clips"
    assert rho["value"] == 0.5 and rho["provenance"]["data"] == "none" and rho["provenance"]["note"] == "fast"
    with pytest.raises(InputError, match="a.rho occurs twice"):
        numbers.add("a.rho", 1, "again")
        numbers.save("a")
    with pytest.raises(InputError, match="a rank correlation: nan; too few clips for it, give more"):
        numbers.add("a.nan", float("nan"), "a rank correlation")


def test_an_index_beyond_the_clips_says_what_there_is():
    assert chapter.among(["a", "b"], show_clip=1) == 1
    for wrong in (2, -1):
        with pytest.raises(InputError, match=f"show_clip: expected 0 to 1, for there are 2 clips, got {wrong}; choose"):
            chapter.among(["a", "b"], show_clip=wrong)


def test_the_style_is_found_from_the_chapters_folder(root, monkeypatch):
    monkeypatch.chdir(root / "book")
    with matplotlib.rc_context():
        chapter.style()
        assert plt.rcParams["svg.hashsalt"] == "arsr"


def test_numbers_of_the_paper_s_own_say_so():
    kinds = [chapter.Numbers("A chapter", "embedded", data).source.kind for data in ("two clips", chapter.PRINTED)]
    assert kinds == ["recomputed", "derived"]
