"""recognition.fuse and the trained fusion."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arsr_core import recognition
from arsr_core.errors import InputError
from arsr_core.recognition import Fusion, fuse, train_fusion


def scores(seed, n=300, classes=4, trusted=(0, 1)):
    """Scores that tell the classes in `trusted` and are noise for the others; labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=torch.Generator().manual_seed(7))
    known = torch.isin(labels, torch.tensor(trusted)).float()[:, None]
    return torch.randn(n, classes, generator=generator) + 3 * known * torch.eye(classes)[labels], labels


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


def test_fusion_begins_as_fuse():
    (spatial, _), (temporal, _) = scores(0), scores(1)
    with torch.no_grad():
        torch.testing.assert_close(Fusion(4)(spatial, temporal), fuse(spatial, temporal))
        torch.testing.assert_close(Fusion(4, (3, 1))(spatial, temporal), fuse(spatial, temporal, (3, 1)))


def test_trained_fusion_learns_which_stream_to_trust():
    def right(fused, labels):
        return (fused.argmax(1) == labels).float().mean().item()

    (spatial, labels), (temporal, _) = scores(0, trusted=(0, 1)), scores(1, trusted=(2, 3))
    (spatial_test, _), (temporal_test, _) = scores(2, trusted=(0, 1)), scores(3, trusted=(2, 3))
    model = train_fusion(spatial, temporal, labels, decay=0.01)
    with torch.no_grad():
        trained, fixed = (
            right(model(spatial_test, temporal_test), labels),
            right(fuse(spatial_test, temporal_test), labels),
        )
    assert trained > fixed + 0.05
    again = train_fusion(spatial, temporal, labels, decay=0.01)
    assert torch.equal(model.linear.weight, again.linear.weight)


def test_decay_holds_the_fusion_at_fuse():
    (spatial, labels), (temporal, _) = scores(0), scores(1)
    free, held = (train_fusion(spatial, temporal, labels, decay=d).linear.weight for d in (1e-3, 1e4))
    start = Fusion(4).linear.weight
    assert (held - start).abs().max() < 1e-3 < 0.1 < (free - start).abs().max()


def test_trained_fusion_is_the_minimum():
    (spatial, labels), (temporal, _) = scores(0), scores(1)
    model, start = train_fusion(spatial, temporal, labels, decay=0.1), Fusion(4)
    loss = torch.nn.functional.cross_entropy(model(spatial, temporal), labels)
    for p, p0 in zip(model.parameters(), start.parameters(), strict=True):
        loss = loss + 0.05 * (p - p0.detach()).square().sum()
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    assert max(g.abs().max() for g in gradients) < 1e-4


nan = torch.full((3, 2), float("nan"))
ones = torch.ones(3, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fuse(ones, ones[:2]), r"one shape \(..., classes\), got \(3, 2\) and \(2, 2\)"),
        (lambda: fuse(ones, nan), "fuse: scores are not finite"),
        (lambda: fuse(ones.numpy(), np.full((3, 2), np.inf)), "not finite"),
        (lambda: fuse(ones, ones, (0, 0)), "not both 0"),
        (lambda: fuse(ones, ones, (-1, 2)), "two weights"),
        (lambda: train_fusion(ones, ones, torch.tensor([0, 1, 2])), r"3 labels from 0 to 1, got \[0, 1, 2\]"),
        (lambda: train_fusion(ones, ones, torch.tensor([0, -1, 1])), "labels"),
        (lambda: train_fusion(ones, ones, torch.tensor([0, 1])), "3 labels"),
        (lambda: train_fusion(ones, nan, torch.tensor([0, 1, 1])), "train_fusion: scores are not finite"),
        (lambda: recognition.Fusion(3, (0, 0)), "two weights"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
