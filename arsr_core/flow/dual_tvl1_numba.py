"""`dual_tvl1.linearise` and `dual_tvl1.solve` compiled for a CPU, pair by pair.

An iteration of `solve` is a single sweep over the frame, in place: the primal step of a row is followed by the dual
step of the row above, whose flow is now known and still in the cache. Memory sees 11 values a pixel read and 6 written,
and what one pair needs at 340x256, 4 MB, stays in the last cache.
"""

from math import floor, sqrt

import numpy as np
import torch
from numba import njit

from arsr_core.flow.dual_tvl1 import FLAT, TVL1, median

# cache: compiled once for all processes; fastmath: sums in any order, so that all loops take vectors
compiled = njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
f32 = np.float32


def linearise(image0: torch.Tensor, target: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """As `dual_tvl1.linearise`, of contiguous float32 on the CPU."""
    linear = torch.empty_like(target)
    for arrays in zip(image0, target, flow, linear, strict=True):
        _linearise(*(x.numpy() for x in arrays))
    return linear


def solve(flow: torch.Tensor, dual: torch.Tensor, linear: torch.Tensor, parameters: TVL1) -> torch.Tensor:
    """As `dual_tvl1.solve`, of contiguous float32 on the CPU."""
    p, limit = parameters, parameters.epsilon**2 * flow[0, 0].numel()
    numbers = f32(p.theta), f32(p.lambda_), f32(p.tau / p.theta), limit, p.inner
    counts = torch.zeros(len(flow), dtype=torch.int)
    for i, (rho, *g) in enumerate(linear.numpy()):
        its = np.ascontiguousarray(dual[:, i].numpy())
        scale = f32(1) / (f32(p.theta) * np.maximum(g[0] * g[0] + g[1] * g[1], f32(FLAT)))
        data = np.stack((rho * scale, g[0] * scale, g[1] * scale, *g))
        for _ in range(p.outer):
            if p.median > 1:
                flow[i] = median(flow[i : i + 1], p.median)[0]
            count, converged = _iterate(flow[i].numpy(), its, data, *numbers)
            counts[i] += count
            if converged:
                break
        dual[:, i] = torch.from_numpy(its)
    return counts


@compiled
def _iterate(flow, dual, data, theta, bound, step, limit, most):
    """Iterations until the flow changes by `limit` or less, `most` at most -> (their number, whether it did).

    flow: (2, H, W); dual: (x and y, u and v, H, W); data: rho and its slopes over theta |g|^2, and g: (5, H, W).
    """
    last, none = flow.shape[1] - 1, np.zeros(flow.shape[2], np.float32)
    for k in range(most):
        change = 0.0
        for y in range(last + 1):
            # rows one by one: of several at once the compiler would not know that they are contiguous
            px, py, qx, qy = dual[0, 0, y], dual[1, 0, y], dual[0, 1, y], dual[1, 1, y]
            above = (dual[1, 0, y - 1], dual[1, 1, y - 1]) if y else (none, none)
            rho = data[0, y], data[1, y], data[2, y], data[3, y], data[4, y]
            change += _primal(flow[0, y], flow[1, y], px, py, qx, qy, *above, *rho, theta, bound)
            for c in range(2 if y else 0):
                _dual(flow[c, y - 1], flow[c, y], dual[0, c, y - 1], dual[1, c, y - 1], step)
        for c in range(2):
            _dual(flow[c, last], flow[c, last], dual[0, c, last], dual[1, c, last], step)
        if change <= limit:
            return k + 1, True
    return most, False


@compiled
def _primal(u, v, px, py, qx, qy, py_above, qy_above, rho, sx, sy, gx, gy, theta, bound):
    """A row of u <- u + theta (div p - clamp(rho(u) / (theta |g|^2)) g), and of v by q -> sum of squared changes."""
    change = f32(0)
    for x in range(len(u)):
        left, inner = (x - 1, f32(1)) if x else (0, f32(0))
        t = min(max(rho[x] + sx[x] * u[x] + sy[x] * v[x], -bound), bound)
        du = theta * (px[x] - inner * px[left] + py[x] - py_above[x] - t * gx[x])
        dv = theta * (qx[x] - inner * qx[left] + qy[x] - qy_above[x] - t * gy[x])
        u[x] += du
        v[x] += dv
        change += du * du + dv * dv
    return change


@compiled
def _dual(u, below, px, py, step):
    """A row of p <- (p + step grad u) / (1 + step |grad u|) of one component; below: the next row, itself the last."""
    last = len(u) - 1
    for x in range(last):
        dx, dy = step * (u[x + 1] - u[x]), step * (below[x] - u[x])
        share = f32(1) / (f32(1) + sqrt(dx * dx + dy * dy))
        px[x] = (px[x] + dx) * share
        py[x] = (py[x] + dy) * share
    dy = step * (below[last] - u[last])
    share = f32(1) / (f32(1) + abs(dy))
    px[last] *= share
    py[last] = (py[last] + dy) * share


@compiled
def _linearise(image0, target, flow, linear):
    """image0: (H, W); target, linear: (3, H, W); flow: (2, H, W)."""
    height, width = image0.shape
    across, down = np.empty(4, np.float32), np.empty(4, np.float32)
    for y in range(height):
        for x in range(width):
            u, v = flow[0, y, x], flow[1, y, x]
            left, top = floor(u), floor(v)
            _cubic(u - f32(left), across)
            _cubic(v - f32(top), down)
            column, row = x + int(left) - 1, y + int(top) - 1
            within = column >= 0 and row >= 0 and column + 3 < width and row + 3 < height
            warped = dx = dy = f32(0)
            for j in range(4):
                for i in range(4):
                    if within or (0 <= row + j < height and 0 <= column + i < width):
                        weight = down[j] * across[i]
                        warped += weight * target[0, row + j, column + i]
                        dx += weight * target[1, row + j, column + i]
                        dy += weight * target[2, row + j, column + i]
            linear[0, y, x] = warped - dx * u - dy * v - image0[y, x]
            linear[1, y, x] = dx
            linear[2, y, x] = dy


@compiled
def _cubic(t, weights):
    """Of the taps at -1, 0, 1 and 2 for a place t in [0, 1): Keys's with a = -0.75."""
    a, s = f32(-0.75), f32(1) - t
    weights[0] = a * t * s * s
    weights[1] = ((a + f32(2)) * t - (a + f32(3))) * t * t + f32(1)
    weights[2] = ((a + f32(2)) * s - (a + f32(3))) * s * s + f32(1)
    weights[3] = a * s * t * t
