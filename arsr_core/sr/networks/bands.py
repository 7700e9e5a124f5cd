"""The end of a network that enlarges, in bands of rows: its maps have 16 pixels for each one of the LR frame."""

from collections.abc import Callable

import torch

PIXELS = 40_000  # LR pixels of a band: its maps take 0.3 GB in float32


def in_bands(tail: Callable[[torch.Tensor], torch.Tensor], deep: torch.Tensor, margin: int) -> torch.Tensor:
    """tail(deep), computed band by band where no gradient is wanted: (N, C, H, W) -> (N, 3, 4H, 4W).

    margin: how far into `deep` an output pixel of the tail looks; bands overlap by it, so the seams are exact.
    """
    n, _, height, width = deep.shape
    if torch.is_grad_enabled() or n * height * width <= PIXELS:
        return tail(deep)
    rows, sr = max(PIXELS // width, 8 * margin), []
    for frames in deep.split(max(PIXELS // (height * width), 1)):
        bands = []
        for top in range(0, height, rows):
            first = max(top - margin, 0)
            band = tail(frames[:, :, first : top + rows + margin])
            bands.append(band[:, :, 4 * (top - first) :][:, :, : 4 * rows])
        sr.append(torch.cat(bands, 2))
    return torch.cat(sr)
