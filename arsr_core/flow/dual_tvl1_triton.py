"""`dual_tvl1.linearise` and `dual_tvl1.solve` as one GPU kernel each.

In `solve` one block of threads takes a pair from its first iteration to its last: each pair stops at its own iteration
with no word to the host or to another block, and some hundred pairs keep a large GPU busy. An iteration is a single
sweep over the frame, in place: the primal step of a chunk of pixels is followed by the dual step of the chunk before,
whose flow is now known and still in the cache, so that memory sees 9 values a pixel read and 6 written.
"""

import torch
import triton
import triton.language as tl

from arsr_core.flow.dual_tvl1 import FLAT, TVL1

CHUNK = 1024  # pixels a block works on at a time
WARPS = 16  # of 32 threads, in a block


def linearise(image0: torch.Tensor, target: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """As `dual_tvl1.linearise`, of contiguous float32."""
    n, _, height, width = flow.shape
    linear = torch.empty_like(target)
    grid = n, triton.cdiv(height * width, CHUNK)
    with torch.cuda.device_of(flow):
        strides = flow.stride(0), linear.stride(0)
        _linearise[grid](image0, target, flow, linear, height, width, *strides, CHUNK, num_warps=WARPS // 2)
    return linear


def solve(flow: torch.Tensor, dual: torch.Tensor, linear: torch.Tensor, parameters: TVL1) -> torch.Tensor:
    """As `dual_tvl1.solve`, of contiguous float32."""
    p = parameters
    n, _, height, width = flow.shape
    count = torch.empty(n, dtype=torch.int32, device=flow.device)
    arrays = flow, dual, linear, torch.empty_like(flow), count
    limit = p.epsilon**2 * height * width
    sizes = height, width, flow.stride(0), linear.stride(0), dual.stride(0)
    numbers = p.outer * p.inner, p.inner, limit, p.lambda_, p.theta, p.tau / p.theta
    # one stage: no load moves before the barrier that it waits for; 64 registers: two blocks fit a multiprocessor
    options = {"num_warps": WARPS, "num_stages": 1, "maxnreg": 64}
    with torch.cuda.device_of(flow):
        _solve[(n,)](*arrays, *sizes, *numbers, FLAT, p.median, CHUNK, **options)
    return count


# Not to specialise on sizes compiles once for all of them, and keeps neighbouring threads on neighbouring pixels.
SIZES = ("height", "width", "flow_stride", "linear_stride", "dual_stride")


@triton.jit(do_not_specialize=SIZES[:4])
def _linearise(
    image0, target, flow, linear, height, width, flow_stride, linear_stride, CHUNK: tl.constexpr
):  # fmt: skip
    pair = tl.program_id(0).to(tl.int64)
    size = height * width
    i = tl.program_id(1) * CHUNK + tl.arange(0, CHUNK)
    inside = i < size
    flow += pair * flow_stride  # (2, H, W): u, v
    u = tl.load(flow + i, inside, 0.0)
    v = tl.load(flow + size + i, inside, 0.0)
    x = (i % width).to(tl.float32) + u
    y = (i // width).to(tl.float32) + v
    left = tl.floor(x)
    top = tl.floor(y)
    column = tl.minimum(tl.maximum(left, -3.0), width + 1.0).to(tl.int32)  # far outside is as good as just outside
    row = tl.minimum(tl.maximum(top, -3.0), height + 1.0).to(tl.int32)

    target += pair * linear_stride  # (3, H, W): image, gradient
    warped = tl.zeros([CHUNK], tl.float32)
    gx = tl.zeros([CHUNK], tl.float32)
    gy = tl.zeros([CHUNK], tl.float32)
    for j in tl.static_range(-1, 3):
        for k in tl.static_range(-1, 3):
            weight = _cubic(y - top - j) * _cubic(x - left - k)
            seen = inside & (row + j >= 0) & (row + j < height) & (column + k >= 0) & (column + k < width)
            at = target + (row + j) * width + column + k
            warped += weight * tl.load(at, seen, 0.0)
            gx += weight * tl.load(at + size, seen, 0.0)
            gy += weight * tl.load(at + 2 * size, seen, 0.0)
    rho = warped - gx * u - gy * v - tl.load(image0 + pair * size + i, inside, 0.0)
    linear += pair * linear_stride + i
    tl.store(linear, rho, inside)
    tl.store(linear + size, gx, inside)
    tl.store(linear + 2 * size, gy, inside)


@triton.jit
def _cubic(distance):
    """Keys' kernel with a = -0.75, for distances up to 2."""
    d = tl.abs(distance)
    return tl.where(d <= 1, (1.25 * d - 2.25) * d * d + 1, ((3.75 - 0.75 * d) * d - 6) * d + 3)


@triton.jit(do_not_specialize=(*SIZES, "iterations", "inner"))
def _solve(
    flow, dual, linear, spare, count, height, width, flow_stride, linear_stride, dual_stride,
    iterations, inner, limit, lambda_, theta, rate, FLAT: tl.constexpr, MEDIAN: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    pair = tl.program_id(0).to(tl.int64)
    size = height * width
    flow += pair * flow_stride  # (2, H, W): u, v
    spare += pair * flow_stride
    dual_x = dual + pair * flow_stride  # (2, H, W)
    dual_y = dual_x + dual_stride
    linear += pair * linear_stride  # (3, H, W): rho, gradient
    chunks = tl.cdiv(size, CHUNK)
    lag = tl.cdiv(width, CHUNK)  # the dual step needs the flow one row further down

    k = 0
    change = limit + 1
    while (k < iterations) & (change > limit):
        if MEDIAN > 1:  # noqa: SIM102 - known when the kernel is compiled
            if k % inner == 0:
                for part in range(2 * chunks):
                    plane = part // chunks * size
                    _median(flow + plane, spare + plane, part % chunks, height, width, MEDIAN, CHUNK)
                tl.debug_barrier()
                for chunk in range(2 * chunks):
                    i = chunk * CHUNK + tl.arange(0, CHUNK)
                    tl.store(flow + i, tl.load(spare + i, i < 2 * size), i < 2 * size)
                tl.debug_barrier()
        squares = tl.zeros([CHUNK], tl.float32)
        for chunk in range(chunks + lag):
            squares += _primal(flow, dual_x, dual_y, linear, chunk, size, width, lambda_, theta, FLAT, CHUNK)
            tl.debug_barrier()
            _dual(flow, dual_x, dual_y, chunk - lag, size, width, rate, CHUNK)
            _dual(flow + size, dual_x + size, dual_y + size, chunk - lag, size, width, rate, CHUNK)
        tl.debug_barrier()
        change = tl.sum(squares)
        k += 1
    tl.store(count + pair, k)


@triton.jit
def _primal(flow, dual_x, dual_y, linear, chunk, size, width, lambda_, theta, FLAT: tl.constexpr, CHUNK: tl.constexpr):
    """u <- u + theta (div p - clamp(rho(u) / (theta |g|^2), -lambda, lambda) g); returns the squared changes."""
    i = chunk * CHUNK + tl.arange(0, CHUNK)
    inside = i < size
    u = tl.load(flow + i, inside, 0.0)
    v = tl.load(flow + size + i, inside, 0.0)
    rho = tl.load(linear + i, inside, 0.0)
    gx = tl.load(linear + size + i, inside, 0.0)
    gy = tl.load(linear + 2 * size + i, inside, 0.0)
    div_u = _divergence(dual_x, dual_y, i, inside, width)
    div_v = _divergence(dual_x + size, dual_y + size, i, inside, width)
    t = (rho + gx * u + gy * v) / (theta * tl.maximum(gx * gx + gy * gy, FLAT))
    t = tl.minimum(tl.maximum(t, -lambda_), lambda_)
    step_u = theta * (div_u - t * gx)
    step_v = theta * (div_v - t * gy)
    tl.store(flow + i, u + step_u, inside)
    tl.store(flow + size + i, v + step_v, inside)
    return step_u * step_u + step_v * step_v


@triton.jit
def _divergence(dual_x, dual_y, i, inside, width):
    """Backward differences, zero before the first column and row."""
    left = tl.load(dual_x + i - 1, inside & (i % width > 0), 0.0)
    above = tl.load(dual_y + i - width, inside & (i >= width), 0.0)
    return tl.load(dual_x + i, inside, 0.0) - left + tl.load(dual_y + i, inside, 0.0) - above


@triton.jit
def _dual(flow, dual_x, dual_y, chunk, size, width, rate, CHUNK: tl.constexpr):
    """p <- (p + rate grad u) / (1 + rate |grad u|), forward differences, zero beyond the last column and row."""
    i = chunk * CHUNK + tl.arange(0, CHUNK)
    inside = (i >= 0) & (i < size)
    u = tl.load(flow + i, inside, 0.0)
    x = rate * (tl.load(flow + i + 1, inside & (i % width < width - 1), 0.0) - u)
    y = rate * (tl.load(flow + i + width, inside & (i < size - width), 0.0) - u)
    x = tl.where(i % width < width - 1, x, 0.0)
    y = tl.where(i < size - width, y, 0.0)
    norm = 1 + tl.sqrt(x * x + y * y)
    tl.store(dual_x + i, (tl.load(dual_x + i, inside, 0.0) + x) / norm, inside)
    tl.store(dual_y + i, (tl.load(dual_y + i, inside, 0.0) + y) / norm, inside)


@triton.jit
def _median(plane, out, chunk, height, width, WIDTH: tl.constexpr, CHUNK: tl.constexpr):
    """One chunk of a plane, median filtered as `dual_tvl1.middle` does it."""
    KEEP: tl.constexpr = WIDTH * WIDTH // 2 + 2
    i = chunk * CHUNK + tl.arange(0, CHUNK)
    inside = i < height * width
    kept = ()
    for j in tl.static_range(WIDTH * WIDTH):
        x = tl.minimum(tl.maximum(i % width + j % WIDTH - WIDTH // 2, 0), width - 1)
        y = tl.minimum(tl.maximum(i // width + j // WIDTH - WIDTH // 2, 0), height - 1)
        kept = kept + (tl.load(plane + y * width + x, inside, 0.0),)
        if j + 1 >= KEEP:
            kept = _without_extremes(kept)
    tl.store(out + i, kept[0], inside)


@triton.jit
def _without_extremes(values):
    N: tl.constexpr = len(values)
    for i in tl.static_range(N // 2):
        values = _order(values, i, N - 1 - i)
    for i in tl.static_range(1, (N + 1) // 2):
        values = _order(values, 0, i)
    for i in tl.static_range(N // 2, N - 1):
        values = _order(values, i, N - 1)
    return values[1 : N - 1]


@triton.jit
def _order(values, i: tl.constexpr, j: tl.constexpr):
    low = tl.minimum(values[i], values[j])
    high = tl.maximum(values[i], values[j])
    return values[:i] + (low,) + values[i + 1 : j] + (high,) + values[j + 1 :]
