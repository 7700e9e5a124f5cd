"""recognition.fuse."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arsr_core.errors import InputError
from arsr_core.recognition import fuse


def test_fuse_by_hand():
    spatial, temporal = torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[0.0, 1.0, -1.0]])
    torch.testing.assert_close(fuse(spatial, temporal), torch.tensor([[1.0, 1.5, 0.5]]) / 2.5)
    assert torch.equal(fuse(spatial, temporal, (1, 0)), spatial) and torch.equal(
        fuse(spatial, temporal, (0, 2)), temporal
    )
    assert np.allclose(fuse(spatial.numpy(), temporal.numpy()), np.array([[1.0, 1.5, 0.5]]) / 2.5)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 100), st.floats(0.01, 100), st.integers(0, 2**31))
def test_fuse_ranks_as_the_weighted_sum_and_lies_between(ws, wt, seed):
    spatial, temporal = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    fused = fuse(spatial, temporal, (ws, wt))
    assert torch.equal(fused.argmax(1), (ws * spatial + wt * temporal).argmax(1))
    low, high = torch.minimum(spatial, temporal), torch.maximum(spatial, temporal)
    assert ((fused >= low - 1e-9) & (fused <= high + 1e-9)).all()
    torch.testing.assert_close(fused, fuse(spatial, temporal, (10 * ws, 10 * wt)))


nan = torch.full((3, 2), float("nan"))
ones = torch.ones(3, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fuse(ones, ones[:2]), r"one shape \(..., classes\), got float32 \(3, 2\) and float32 \(2, 2\)"),
        (lambda: fuse(ones, nan), "fuse: scores are not finite"),
        (lambda: fuse(ones.numpy(), np.full((3, 2), np.inf)), "not finite"),
        (lambda: fuse(ones, ones, (0, 0)), "not both 0"),
        (lambda: fuse(ones, ones, (-1, 2)), "two weights"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
