import pytest

from arsr_core import sr
from arsr_core.sr import summary


def test_cost_of_vdsr_by_hand():
    # 18 convolutions of 64 x 64 x 9, one into and one out of them, all on the HR grid; and the bicubic's two passes
    parameters, multiply_adds = summary.cost("vdsr")
    convolutions = 9 * (64 + 18 * 64 * 64 + 64)
    assert parameters == convolutions == 664_704
    assert convolutions <= multiply_adds < 1.002 * convolutions


def test_cost_of_convolutions_does_not_depend_on_the_size():
    assert summary.cost("srgan", (8, 8))[1] == pytest.approx(summary.cost("srgan", (12, 16))[1])


def test_shapes_follow_the_network():
    rows = summary.shapes("esrgan", (10, 12))
    output = {row["part"]: row["output"] for row in rows}
    assert output["conv_first"] == "64 × 10 × 12" and output["conv_last"] == "3 × 40 × 48"
    assert sum(row["parameters"] for row in rows) == 16_697_987
    output = {row["part"]: row["output"] for row in summary.shapes("duf16", (10, 12))}
    assert output["blocks.3"] == "32 × 5 × 10 × 12" and output["filters"] == "400 × 1 × 10 × 12"


@pytest.mark.parametrize("name", sorted(sr.METHODS))
def test_every_method_has_a_summary(name):
    rows = summary.shapes(name, (8, 8))
    assert all(list(row) == ["part", "output", "calls", "parameters"] for row in rows)
    assert sum(row["parameters"] for row in rows) == sum(p.numel() for p in sr.build(name).parameters())
