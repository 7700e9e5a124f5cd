"""Rendering: layers composited in depth order, with exact flow.

A drawing is a list of `Layer`s from back to front, each a flat painted `Sprite` moved by one affine matrix a
frame; the first is the background, mirrored without end beyond its borders. The flow of a pixel follows from the
matrices alone: A[t + 1] A[t]^-1 p - p for the top layer at p.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from arsr.embedded.painting import DENSITY, Sprite

Cover = tuple[int, tuple[slice, slice], np.ndarray]  # the number of a layer, its box of samples, its alpha there


@dataclass(frozen=True)
class Layer:
    """A sprite and its pose: float64 (T, 3, 3) from the sprite's units to the scene."""

    sprite: Sprite
    pose: np.ndarray


def render(
    layers: Sequence[Layer], size: tuple[int, int], numbers: Sequence[int]
) -> Iterator[tuple[np.ndarray, list[Cover]]]:
    """Yields frames of layers (back to front, poses into frame pixels), and what covers each of them, for `exact`.

    Frames uint8 (H, W, 3). numbers: of the frames that are drawn, K of T.
    """
    high, wide = (DENSITY * n + 1 for n in size)  # one sample around the frame for the tent filter
    to_grid = np.array([[DENSITY, 0, 1.0], [0, DENSITY, 1.0], [0, 0, 1]])
    sprites = [layer.sprite.rgba for layer in layers]
    matrices = (to_grid @ _matrices(layers)[:, np.array(numbers, int)])[:, :, :2]  # (L, K, 2, 3) sprite -> samples
    corners = [[[0, n, 0, n], [0, 0, m, m], [1, 1, 1, 1.0]] for m, n, _ in (sprite.shape for sprite in sprites)]
    corners = matrices @ np.array(corners)[:, None]  # (L, K, 2, 4)
    first = np.maximum(np.floor(corners.min(-1)).astype(int) - 1, 0)  # (L, K, 2): x, y
    last = np.minimum(np.ceil(corners.max(-1)).astype(int) + 2, (wide, high))
    matrices[1:, :, :, 2] -= first[1:]  # each layer within its box
    boxes = np.concatenate([first, last], -1).swapaxes(0, 1).tolist()
    for k, box in enumerate(boxes):
        if not k or (matrices[0, k] != matrices[0, k - 1]).any():  # a tripod shows the same background again
            how = dict(flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
            background = cv2.warpAffine(sprites[0], matrices[0, k], (wide, high), **how)
        yield _composite(background.copy(), sprites[1:], matrices[1:, k], box[1:])


def exact(
    layers: Sequence[Layer], covers: Sequence[list[Cover]], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Forward flow, occlusion and mixed masks of layers whose frames are all rendered.

    Flow float32 (T - 1, 2, H, W) in pixels, t -> t + 1; occluded and mixed bool (T - 1, H, W). occluded: the surface
    point at p leaves the frame or is covered by another layer at t + 1. mixed: the colour at p, or one of the four
    that bilinear warping reads at t + 1, blends layers.
    """
    matrices = _matrices(layers)
    labels, samples, mixed = zip(*(_tops(part, size) for part in covers), strict=True)
    steps = matrices[:, 1:] @ np.linalg.inv(matrices[:, :-1])  # (L, T - 1, 3, 3)
    pairs = map(_correspond, steps.swapaxes(0, 1), labels, samples[1:], mixed, mixed[1:])
    return tuple(np.stack(part) for part in zip(*pairs, strict=True))


def _matrices(layers: Sequence[Layer]) -> np.ndarray:
    """(L, T, 3, 3), from the sprites' pixels to the frames'."""
    return np.stack([layer.pose @ layer.sprite.to_units for layer in layers])


def _composite(
    canvas: np.ndarray, sprites: list[np.ndarray], matrices: np.ndarray, boxes: list[list[int]]
) -> tuple[np.ndarray, list[Cover]]:
    """One frame (H, W, 3), painted over the background's samples, and its layers' boxes with their alpha."""
    covers = []
    for k, (sprite, matrix, (x0, y0, x1, y1)) in enumerate(zip(sprites, matrices, boxes, strict=True), 1):
        if x0 >= x1 or y0 >= y1:
            continue
        part = cv2.warpAffine(sprite, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
        box, alpha = np.s_[y0:y1, x0:x1], cv2.extractChannel(part, 3)
        through = cv2.cvtColor(255 - alpha, cv2.COLOR_GRAY2RGB)
        canvas[box] = cv2.add(cv2.multiply(canvas[box], through, scale=1 / 255), cv2.cvtColor(part, cv2.COLOR_RGBA2RGB))
        covers.append((k, box, alpha))
    return cv2.GaussianBlur(canvas, (3, 3), 0)[1::DENSITY, 1::DENSITY], covers  # 1-2-1 tent about each pixel's centre


def _tops(covers: list[Cover], size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """The top layer of one frame at pixels (H, W) and at samples (2H + 1, 2W + 1), and mixed (H, W)."""
    label, soft = np.zeros((2, *(DENSITY * n + 1 for n in size)), np.uint8)
    for k, box, alpha in covers:
        np.copyto(label[box], k, where=alpha > 127)
        np.copyto(soft[box], 1, where=alpha > 4)
        np.copyto(soft[box], 0, where=alpha > 250)
    square = np.ones((3, 3), np.uint8)
    mixed = cv2.dilate(soft, square) | (cv2.dilate(label, square) != cv2.erode(label, square))
    return label[1::DENSITY, 1::DENSITY], label, mixed[1::DENSITY, 1::DENSITY].astype(bool)


def _correspond(
    step: np.ndarray, label: np.ndarray, samples_next: np.ndarray, mixed: np.ndarray, mixed_next: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Flow (2, H, W), occluded and mixed (H, W) of a pair, from every layer's matrix frame t -> t + 1."""
    h, w = label.shape
    x, y = np.arange(w, dtype=float)[None], np.arange(h, dtype=float)[:, None]
    a, b, c, d, e, f = step.reshape(-1, 9).T[:6].take(label, axis=1)  # each (H, W)
    qx, qy = a * x + b * y + c, d * x + e * y + f
    slack = 1e-6  # rounding must not push a still border pixel out
    outside = (qx < -slack) | (qx > w - 1 + slack) | (qy < -slack) | (qy > h - 1 + slack)
    cx, cy = np.clip(qx, 0, w - 1), np.clip(qy, 0, h - 1)
    covering = samples_next[np.rint(DENSITY * cy + 1).astype(np.intp), np.rint(DENSITY * cx + 1).astype(np.intp)]
    occluded = outside | (covering > label)  # a layer in front; one behind can only be the layer's own soft edge
    wide = np.pad(mixed_next, ((0, 1), (0, 1)), mode="edge")
    footprint = wide[:-1, :-1] | wide[1:, :-1] | wide[:-1, 1:] | wide[1:, 1:]
    mixed = mixed | footprint[cy.astype(np.intp), cx.astype(np.intp)]
    return np.stack([qx - x, qy - y]).astype(np.float32), occluded, mixed
