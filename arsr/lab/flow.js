// TV-L1 optical flow as arsr_core.flow computes it, preset "fast": Zach, Pock and Bischof 2007, with OpenCV's choices.
//
// The steps are those of dual_tvl1_numba: one sweep an iteration, the dual step of a row behind the primal of the next.

const TVL1 = {
  tau: 0.25, lambda: 0.15, theta: 0.3, scales: 5, warps: 2, epsilon: 0.01, inner: 30, outer: 10, step: 0.8,
  smallest: 16,
};
const FLAT = 1.1920929e-7; // least squared gradient, so that flat regions divide by no zero

// grey0, grey1: Float32Array of width * height levels -> {u, v} in pixels.
function tvl1(grey0, grey1, width, height, p = TVL1) {
  const pyramid = [{ width, height, image0: grey0, image1: grey1 }]; // finest first
  while (pyramid.length < p.scales) {
    const last = pyramid.at(-1);
    const [w, h] = [Math.round(last.width * p.step), Math.round(last.height * p.step)];
    if (Math.min(w, h) < p.smallest) break;
    const smaller = (image) => resizeGrey(image, last.width, last.height, w, h, 1 / p.step);
    pyramid.push({ width: w, height: h, image0: smaller(last.image0), image1: smaller(last.image1) });
  }
  let flow = null;
  let before = null;
  for (const level of pyramid.reverse()) {
    const size = level.width * level.height;
    const larger = (x) => resizeGrey(x, before.width, before.height, level.width, level.height).map((d) => d / p.step);
    flow = flow ? { u: larger(flow.u), v: larger(flow.v) } : { u: new Float32Array(size), v: new Float32Array(size) };
    const dual = Array.from({ length: 4 }, () => new Float32Array(size)); // x and y of u's, x and y of v's
    const slopes = gradient(level.image1, level.width, level.height);
    for (let i = 0; i < p.warps; i += 1) solve(flow, dual, linearise(level, slopes, flow, p), level, p);
    before = level;
  }
  return flow;
}

// Bilinear, not antialiased, borders replicated; step: input pixels an output, else the ratio of the sizes.
function resizeGrey(x, width, height, outWidth, outHeight, step = 0) {
  const places = (inputs, outputs) => Array.from({ length: outputs }, (_, i) => {
    const at = Math.min(inputs - 1, Math.max(0, (i + 0.5) * (step || inputs / outputs) - 0.5));
    const below = Math.min(Math.floor(at), inputs - 2);
    return [below, at - below];
  });
  const columns = places(width, outWidth);
  const across = new Float32Array(outWidth * height);
  for (let y = 0, at = 0; y < height; y += 1) {
    for (const [below, weight] of columns) {
      const [a, b] = [x[y * width + below], x[y * width + below + 1]];
      across[at] = a + weight * (b - a);
      at += 1;
    }
  }
  const out = new Float32Array(outWidth * outHeight);
  let at = 0;
  for (const [below, weight] of places(height, outHeight)) {
    for (let i = 0; i < outWidth; i += 1, at += 1) {
      const [a, b] = [across[below * outWidth + i], across[(below + 1) * outWidth + i]];
      out[at] = a + weight * (b - a);
    }
  }
  return out;
}

// Central differences along x and y, borders replicated.
function gradient(image, width, height) {
  const [x, y] = [new Float32Array(image.length), new Float32Array(image.length)];
  for (let j = 0, at = 0; j < height; j += 1) {
    const [up, down] = [j ? -width : 0, j < height - 1 ? width : 0];
    for (let i = 0; i < width; i += 1, at += 1) {
      x[at] = (image[at + (i < width - 1)] - image[at - (i > 0)]) / 2;
      y[at] = (image[at + down] - image[at + up]) / 2;
    }
  }
  return { x, y };
}

// Keys' cubic with a = -0.75: weights of the taps at -1, 0, 1 and 2 for a place t in [0, 1).
function cubic(t, weights) {
  const [a, s] = [-0.75, 1 - t];
  weights[0] = a * t * s * s;
  weights[1] = ((a + 2) * t - (a + 3)) * t * t + 1;
  weights[2] = ((a + 2) * s - (a + 3)) * s * s + 1;
  weights[3] = a * s * t * t;
}

// The brightness residual around the flow and its slopes, over theta |g|^2; outside the frame all is zero.
function linearise({ width, height, image0, image1 }, slopes, { u, v }, p) {
  const [rho, sx, sy, gx, gy] = Array.from({ length: 5 }, () => new Float32Array(u.length));
  const [across, down] = [new Float64Array(4), new Float64Array(4)];
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      const left = Math.floor(u[at]);
      const top = Math.floor(v[at]);
      cubic(u[at] - left, across);
      cubic(v[at] - top, down);
      let warped = 0;
      let dx = 0;
      let dy = 0;
      for (let j = 0; j < 4; j += 1) {
        const row = y + top - 1 + j;
        if (row < 0 || row >= height) continue;
        for (let i = 0; i < 4; i += 1) {
          const column = x + left - 1 + i;
          if (column < 0 || column >= width) continue;
          const weight = down[j] * across[i];
          const from = row * width + column;
          warped += weight * image1[from];
          dx += weight * slopes.x[from];
          dy += weight * slopes.y[from];
        }
      }
      const scale = 1 / (p.theta * Math.max(dx * dx + dy * dy, FLAT));
      rho[at] = (warped - dx * u[at] - dy * v[at] - image0[at]) * scale;
      sx[at] = dx * scale;
      sy[at] = dy * scale;
      gx[at] = dx;
      gy[at] = dy;
    }
  }
  return { rho, sx, sy, gx, gy };
}

// Minimise lambda |rho(u)| + |grad u| + |grad v| for one linearisation, in place; a median filter every `inner` steps.
function solve(flow, dual, data, { width, height }, p) {
  const limit = p.epsilon ** 2 * width * height;
  for (let i = 0; i < p.outer; i += 1) {
    flow.u = median(flow.u, width, height);
    flow.v = median(flow.v, width, height);
    for (let k = 0; k < p.inner; k += 1) {
      if (sweep(flow.u, flow.v, dual, data, width, height, p) <= limit) return;
    }
  }
}

// One iteration; returns the sum of the squared changes.
function sweep(u, v, [px, py, qx, qy], { rho, sx, sy, gx, gy }, width, height, { theta, lambda, tau }) {
  const step = tau / theta;
  let change = 0;
  for (let y = 0; y < height; y += 1) {
    const start = y * width;
    for (let at = start; at < start + width; at += 1) {
      const t = Math.min(lambda, Math.max(-lambda, rho[at] + sx[at] * u[at] + sy[at] * v[at]));
      let divU = px[at] + py[at];
      let divV = qx[at] + qy[at];
      if (at > start) {
        divU -= px[at - 1];
        divV -= qx[at - 1];
      }
      if (y) {
        divU -= py[at - width];
        divV -= qy[at - width];
      }
      const du = theta * (divU - t * gx[at]);
      const dv = theta * (divV - t * gy[at]);
      u[at] += du;
      v[at] += dv;
      change += du * du + dv * dv;
    }
    if (y) {
      dualRow(u, px, py, start - width, width, width, step);
      dualRow(v, qx, qy, start - width, width, width, step);
    }
  }
  dualRow(u, px, py, (height - 1) * width, 0, width, step);
  dualRow(v, qx, qy, (height - 1) * width, 0, width, step);
  return change;
}

// A row of p <- (p + step grad u) / (1 + step |grad u|); below: from a pixel to the next row's, 0 in the last.
function dualRow(u, px, py, start, below, width, step) {
  const last = start + width - 1;
  for (let at = start; at <= last; at += 1) {
    const dx = at < last ? step * (u[at + 1] - u[at]) : 0;
    const dy = step * (u[at + below] - u[at]);
    const share = 1 / (1 + Math.sqrt(dx * dx + dy * dy));
    px[at] = (px[at] + dx) * share;
    py[at] = (py[at] + dy) * share;
  }
}

// The median over 5 x 5 pixels, borders replicated: of 25 values, those that cannot be it fall off at both ends.
function median(x, width, height) {
  const out = new Float32Array(x.length);
  const window = new Float32Array(14);
  const rows = new Int32Array(5);
  const columns = new Int32Array(5);
  const inside = (i, count) => Math.min(count - 1, Math.max(0, i));
  for (let j = 0, at = 0; j < height; j += 1) {
    for (let k = 0; k < 5; k += 1) rows[k] = inside(j + k - 2, height) * width;
    for (let i = 0; i < width; i += 1, at += 1) {
      for (let k = 0; k < 5; k += 1) columns[k] = inside(i + k - 2, width);
      for (let k = 0; k < 14; k += 1) window[k] = x[rows[Math.floor(k / 5)] + columns[k % 5]];
      // of n + 2 values the lowest and the highest are not the median; two go, one comes
      for (let n = 14, next = 14; ; n -= 1, next += 1) {
        let low = 0;
        let high = 0;
        for (let k = 1; k < n; k += 1) {
          if (window[k] < window[low]) low = k;
          if (window[k] >= window[high]) high = k;
        }
        if (n === 3) {
          out[at] = window[3 - low - high];
          break;
        }
        window[Math.max(low, high)] = window[n - 1];
        window[Math.min(low, high)] = window[n - 2];
        window[n - 2] = x[rows[Math.floor(next / 5)] + columns[next % 5]];
      }
    }
  }
  return out;
}
