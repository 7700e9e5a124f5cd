"""Late fusion of the two streams' scores: by fixed weights, or trained."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import nn

from arsr_core.errors import InputError

WEIGHTS = (1.0, 1.5)  # spatial, temporal: TSN's
Scores = TypeVar("Scores", torch.Tensor, np.ndarray)  # (..., classes), before softmax


def fuse(spatial: Scores, temporal: Scores, weights: tuple[float, float] = WEIGHTS) -> Scores:
    """Weighted average of scores before softmax: (w_s spatial + w_t temporal) / (w_s + w_t).

    spatial, temporal: arrays or tensors of one shape (..., classes). TSN's tool leaves the division out: the same
    ranking. Raises InputError for scores of different shapes or not finite, and for weights that are no weights.

    >>> fuse(torch.tensor([4.0, 0.0]), torch.tensor([0.0, 1.0]))
    tensor([1.6000, 0.6000])
    """
    _check("fuse", spatial, temporal)
    ws, wt = _shares(weights)
    return ws * spatial + wt * temporal


class Fusion(nn.Module):
    """A linear layer on both streams' scores, begun as `fuse`: (N, classes), (N, classes) -> (N, classes)."""

    def __init__(self, classes: int, weights: tuple[float, float] = WEIGHTS):
        super().__init__()
        self.arguments = {"classes": classes, "weights": tuple(weights)}
        self.classes: tuple[str, ...] | None = None
        self.linear = nn.Linear(2 * classes, classes)
        with torch.no_grad():
            self.linear.weight.copy_(torch.cat([share * torch.eye(classes) for share in _shares(weights)], 1))
            self.linear.bias.zero_()

    def forward(self, spatial: torch.Tensor, temporal: torch.Tensor) -> torch.Tensor:
        """Both streams' scores (N, classes), before softmax -> their fusion (N, classes)."""
        return self.linear(torch.cat([spatial, temporal], -1))


def train_fusion(
    spatial: torch.Tensor,
    temporal: torch.Tensor,
    labels: torch.Tensor,
    *,
    decay: float = 0.1,
    weights: tuple[float, float] = WEIGHTS,
) -> Fusion:
    """The `Fusion` that minimises cross-entropy + decay / 2 * squared distance from `fuse`, by L-BFGS.

    spatial, temporal: (N, classes) scores of clips that the streams were not trained on; labels: (N,), 0 to
    classes - 1. The problem is convex: the result does not depend on a seed.
    """
    _check("train_fusion", spatial, temporal)
    n, classes = spatial.shape
    if labels.shape != (n,) or labels.min() < 0 or labels.max() >= classes:
        raise InputError(f"train_fusion: expected {n} labels from 0 to {classes - 1}, got {labels.tolist()[:8]} ...")
    model = Fusion(classes, weights).double()
    start = [p.detach().clone() for p in model.parameters()]
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")
    spatial, temporal, labels = spatial.detach().cpu().double(), temporal.detach().cpu().double(), labels.cpu()

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        distance = sum((p - p0).square().sum() for p, p0 in zip(model.parameters(), start, strict=True))
        value = nn.functional.cross_entropy(model(spatial, temporal), labels) + decay / 2 * distance
        value.backward()
        return value

    optimiser.step(loss)
    return model.float().eval()


def _shares(weights: tuple[float, float]) -> tuple[float, float]:
    ws, wt = weights
    if min(ws, wt) < 0 or not 0 < ws + wt < float("inf"):
        raise InputError(f"fusion: expected two weights of at least 0, not both 0, got {weights}")
    return ws / (ws + wt), wt / (ws + wt)


def _check(name: str, *streams: Scores) -> None:
    if len({tuple(x.shape) for x in streams}) > 1:
        shapes = " and ".join(str(tuple(x.shape)) for x in streams)
        raise InputError(f"{name}: expected scores of one shape (..., classes), got {shapes}")
    if not all(bool((abs(x) < float("inf")).all()) for x in streams):
        raise InputError(f"{name}: scores are not finite (NaN or infinite); look at the clips or weights they are of")
