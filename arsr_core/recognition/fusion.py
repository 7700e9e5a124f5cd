"""Late fusion of the two streams' scores by fixed weights."""

from typing import TypeVar

import numpy as np
import torch

from arsr_core.errors import InputError, checked, describe

WEIGHTS = (1.0, 1.5)  # spatial, temporal: TSN's
Scores = TypeVar("Scores", torch.Tensor, np.ndarray)  # (..., classes), before softmax


@checked
def fuse(spatial: Scores, temporal: Scores, weights: tuple[float, float] = WEIGHTS) -> Scores:
    """Weighted average of scores before softmax: (w_s spatial + w_t temporal) / (w_s + w_t).

    spatial, temporal: arrays or tensors of one shape (..., classes). TSN's tool leaves the division out: the same
    ranking. Raises InputError for scores of different shapes or not finite, and for weights that are no weights.

    >>> fuse(torch.tensor([4.0, 0.0]), torch.tensor([0.0, 1.0]))
    tensor([1.6000, 0.6000])
    """
    if not hasattr(spatial, "shape") or spatial.shape != getattr(temporal, "shape", None):
        shapes = f"{describe(spatial)} and {describe(temporal)}"
        raise InputError(f"fuse: expected scores of one shape (..., classes), got {shapes}")
    if not all(bool((abs(x) < float("inf")).all()) for x in (spatial, temporal)):
        raise InputError("fuse: scores are not finite (NaN or infinite); look at the clips or weights they are of")
    ws, wt = weights
    if min(ws, wt) < 0 or not 0 < ws + wt < float("inf"):
        raise InputError(f"fuse: expected two weights of at least 0, not both 0, got {weights}")
    return ws / (ws + wt) * spatial + wt / (ws + wt) * temporal
