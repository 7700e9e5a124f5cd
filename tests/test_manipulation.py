"""Checks of contrasts, on frames and networks made by hand."""

import numpy as np
import pytest
import torch

from arsr.records import Provenance
from arsr.studies import manipulation
from arsr.studies.ablation import Reference
from arsr_core import degrade, sr

SOURCE = Provenance(kind="recomputed", source="test", profile="embedded")


def grey(*levels, clips=3):
    """Frames of a training, (2, 3, 16, 16), each clip of one grey level."""
    return [torch.full((2, 3, 16, 16), level, dtype=torch.uint8) for level in (levels * clips)[:clips]]


def still_and_fast(level=0.5):
    """A clip whose left half stands still and whose right half moves 3 px a frame."""
    flow = torch.zeros(1, 1, 2, 16, 16)
    flow[..., 0, :, 8:] = 3
    hr = torch.full((1, 2, 3, 16, 16), level)
    return Reference(hr, degrade.to_lr(hr, 4), flow, torch.ones(1, 1, 1, 16, 16, dtype=torch.bool))


def test_distance_counts_grey_levels_both_ways():
    assert manipulation.distance(grey(10), grey(250)).tolist() == [240] * 3
    assert manipulation.distance(grey(250), grey(10)).tolist() == [240] * 3


def test_arms_against_luck():
    a, b = [grey(100), grey(103), grey(103)], [grey(110), grey(115), grey(110)]
    arms, luck = manipulation.apart(a, b)
    assert arms == pytest.approx(np.full(3, 29 / 3))  # 10, 12 and 7
    assert luck == pytest.approx(np.full(3, 16 / 6))  # 3, 3 and 0 in the one, 5, 0 and 5 in the other


def test_a_start_is_compared_with_every_training_and_the_worst_luck():
    arms, luck = manipulation.apart([grey(100), grey(104), grey(102)], [grey(90)])
    assert arms.tolist() == [12] * 3 and luck.tolist() == [4] * 3


def test_psnr_of_what_moves():
    clip, made = still_and_fast(), grey(128, clips=1)[0]
    made[..., 8:] = 153  # a tenth brighter: 25 of 255 grey levels, luma 25 * 219 / 255 of them
    ((low, high, _), (fast, top, _)) = manipulation.SPEEDS.values()
    error = (153 / 255 - 0.5) * 219 / 255
    [found] = manipulation.psnr_where([made], [clip], fast, top)
    assert found == pytest.approx(-20 * np.log10(error), abs=1e-3)
    [still] = manipulation.psnr_where([made], [clip], low, high)
    assert still > found + 20
    assert np.isnan(manipulation.psnr_where([made], [clip], 5, np.inf)).all()  # nothing is so fast


def test_records_of_a_check():
    of = {"a": grey(100), "a-seed1": grey(101), "a-seed2": grey(99), "b": grey(110), "b-seed1": grey(113)}
    of["b-seed2"] = grey(110)
    clips = [still_and_fast(0.4)] * 3
    found = {r.key: r for r in manipulation.records("a", "b", of, clips, SOURCE)}
    assert [*found] == [f"check.a.to_b.{name}" for name in ("apart", "arms", "luck", "still", "fast")]
    assert found["check.a.to_b.arms"].value == 11 and found["check.a.to_b.luck"].value == pytest.approx(10 / 6)
    assert found["check.a.to_b.apart"].value == found["check.a.to_b.apart"].low == pytest.approx(6.6)
    assert found["check.a.to_b.still"].value > 0  # a is nearer to the truth, 102
    del of["a-seed2"], of["b-seed2"]
    assert manipulation.records("a", "b", of, clips, SOURCE) == []  # little luck is known


def test_frozen_sees_the_middle_frame_alone():
    torch.manual_seed(0)
    network = sr.build("duf16", **sr.METHODS["duf16"].lite).eval()
    frozen, x = manipulation.Frozen(network), torch.rand(1, 7, 3, 8, 8)
    other = torch.rand(1, 7, 3, 8, 8)
    other[:, 3] = x[:, 3]
    with torch.inference_mode():
        assert torch.equal(frozen(x), frozen(other)) and not torch.equal(network(x), network(other))
        assert torch.equal(frozen(x), network(x[:, 3:4].expand(-1, 7, -1, -1, -1)))


def test_neighbours_help_a_network_that_averages_them():
    class Average(torch.nn.Module):
        """The mean of three frames, enlarged: what noise needs."""

        scale, frames, margin, footprint = 4, 3, None, 1

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def forward(self, x):
            return degrade.imresize(x.mean(1), 4)

    torch.manual_seed(0)
    hr = torch.full((1, 6, 3, 32, 32), 0.5)
    noisy = (degrade.to_lr(hr, 4) + 0.1 * torch.randn(1, 6, 3, 8, 8)).clamp(0, 1)
    clip = Reference(hr, noisy, torch.zeros(1, 5, 2, 32, 32), torch.ones(1, 5, 1, 32, 32, dtype=torch.bool))
    [record] = manipulation.neighbours("average", Average(), [clip, clip], SOURCE)
    assert record.key == "check.average.neighbours" and 2 < record.value < 6  # 10 log10(3) = 4.8 dB of noise alone
