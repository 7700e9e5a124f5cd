"""Rendering: layers composited in depth order, with exact flow.

A drawing is a list of `Layer`s from back to front, each a flat painted `Sprite` moved by one affine matrix a
frame; the first is the background, mirrored without end beyond its borders. The flow of a pixel follows from the
matrices alone: A[t + 1] A[t]^-1 p - p for the top layer at p.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from arsr.embedded.painting import DENSITY, Sprite


@dataclass(frozen=True)
class Layer:
    """A sprite and its pose: float64 (T, 3, 3) from the sprite's units to the scene."""

    sprite: Sprite
    pose: np.ndarray


def render(layers: list[Layer], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Frames, forward flow, occlusion and mixed masks of layers (back to front, poses into frame pixels).

    Frames uint8 (T, H, W, 3); flow float32 (T - 1, 2, H, W) in pixels, t -> t + 1; occluded and mixed
    bool (T - 1, H, W). occluded: the surface point at p leaves the frame or is covered by another layer at
    t + 1. mixed: the colour at p, or one of the four that bilinear warping reads at t + 1, blends layers.
    """
    matrices = np.stack([layer.pose @ layer.sprite.to_units for layer in layers])  # (K, T, 3, 3) sprite -> frame px
    drawn = [_composite(layers, matrices[:, t], size) for t in range(matrices.shape[1])]
    frames, labels, samples, mixed = (np.stack(part) for part in zip(*drawn, strict=True))
    steps = matrices[:, 1:] @ np.linalg.inv(matrices[:, :-1])  # (K, T - 1, 3, 3)
    pairs = map(_correspond, steps.swapaxes(0, 1), labels, samples[1:], mixed, mixed[1:])
    return frames, *(np.stack(part) for part in zip(*pairs, strict=True))


def _composite(layers: list[Layer], matrices: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """One frame (H, W, 3), its top layer at pixels (H, W) and at samples (2H + 1, 2W + 1), mixed (H, W)."""
    h, w = (DENSITY * n + 1 for n in size)  # one sample around the frame for the tent filter
    to_grid = np.array([[DENSITY, 0, 1.0], [0, DENSITY, 1.0], [0, 0, 1]])
    sprites, matrices = [layer.sprite.rgba for layer in layers], (to_grid @ matrices)[:, :2]
    canvas = cv2.warpAffine(sprites[0], matrices[0], (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    label, soft = np.zeros((h, w), np.uint8), np.zeros((h, w), np.uint8)
    for k, (rgba, matrix) in enumerate(zip(sprites[1:], matrices[1:], strict=True), 1):
        sh, sw = rgba.shape[:2]
        corners = matrix @ np.array([[0, sw, 0, sw], [0, 0, sh, sh], [1, 1, 1, 1.0]])
        x0, y0 = np.maximum(np.floor(corners.min(1)).astype(int) - 1, 0).tolist()
        x1, y1 = np.minimum(np.ceil(corners.max(1)).astype(int) + 2, (w, h)).tolist()
        if x0 >= x1 or y0 >= y1:
            continue
        local = matrix.copy()
        local[:, 2] -= (x0, y0)
        part = cv2.warpAffine(rgba, local, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
        box = np.s_[y0:y1, x0:x1]
        alpha = np.ascontiguousarray(part[..., 3])
        through = cv2.cvtColor(255 - alpha, cv2.COLOR_GRAY2RGB)
        canvas[box] = cv2.add(cv2.multiply(canvas[box], through, scale=1 / 255), cv2.cvtColor(part, cv2.COLOR_RGBA2RGB))
        np.copyto(label[box], k, where=alpha > 127)
        np.copyto(soft[box], 1, where=alpha > 4)
        np.copyto(soft[box], 0, where=alpha > 250)
    frame = cv2.GaussianBlur(canvas, (3, 3), 0)[1::DENSITY, 1::DENSITY]  # 1-2-1 tent about each pixel's centre
    square = np.ones((3, 3), np.uint8)
    mixed = cv2.dilate(soft, square) | (cv2.dilate(label, square) != cv2.erode(label, square))
    return frame, label[1::DENSITY, 1::DENSITY], label, mixed[1::DENSITY, 1::DENSITY].astype(bool)


def _correspond(
    step: np.ndarray, label: np.ndarray, samples_next: np.ndarray, mixed: np.ndarray, mixed_next: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Flow (2, H, W), occluded and mixed (H, W) of a pair, from every layer's matrix frame t -> t + 1."""
    h, w = label.shape
    x, y = np.arange(w, dtype=float)[None], np.arange(h, dtype=float)[:, None]
    row = step.reshape(len(step), 9).T
    qx, qy = (row[i][label] * x + row[i + 1][label] * y + row[i + 2][label] for i in (0, 3))
    slack = 1e-6  # rounding must not push a still border pixel out
    outside = (qx < -slack) | (qx > w - 1 + slack) | (qy < -slack) | (qy > h - 1 + slack)
    cx, cy = np.clip(qx, 0, w - 1), np.clip(qy, 0, h - 1)
    covering = samples_next[np.rint(DENSITY * cy + 1).astype(np.intp), np.rint(DENSITY * cx + 1).astype(np.intp)]
    occluded = outside | (covering > label)  # a layer in front; one behind can only be the layer's own soft edge
    wide = np.pad(mixed_next, ((0, 1), (0, 1)), mode="edge")
    footprint = wide[:-1, :-1] | wide[1:, :-1] | wide[:-1, 1:] | wide[1:, 1:]
    mixed = mixed | footprint[cy.astype(np.intp), cx.astype(np.intp)]
    return np.stack([qx - x, qy - y]).astype(np.float32), occluded, mixed
