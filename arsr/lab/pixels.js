// Frames in the browser as in arsr_core: MATLAB's imresize, luma, PSNR, SSIM, noise.
//
// A frame is {width, height, data}: red, green and blue one after the other, whole levels from 0 to 255.

const toLevel = (x) => Math.floor(Math.min(1, Math.max(0, x)) * 255 + 0.5); // as degrade.quantise

function fromRGBA(rgba, width, height) {
  const size = width * height;
  const data = new Uint8Array(3 * size);
  for (let i = 0; i < size; i += 1) {
    for (let c = 0; c < 3; c += 1) data[c * size + i] = rgba[4 * i + c];
  }
  return { width, height, data };
}

function toRGBA({ width, height, data }) {
  const size = width * height;
  const rgba = new Uint8ClampedArray(4 * size).fill(255);
  for (let i = 0; i < size; i += 1) {
    for (let c = 0; c < 3; c += 1) rgba[4 * i + c] = data[c * size + i];
  }
  return rgba;
}

// Levels -> what a network takes: float in [0, 1], colours one after the other.
const toFloat = ({ data }) => Float32Array.from(data, (x) => x / 255);

const fromFloat = (data, width, height) => ({ width, height, data: Uint8Array.from(data, toLevel) });

// Keys' cubic convolution kernel with a = -0.5.
function keys(x) {
  const d = Math.abs(x);
  if (d <= 1) return (1.5 * d - 2.5) * d * d + 1;
  return d <= 2 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : 0;
}

// Of each output along one side: the inputs it sees and their weights, as degrade._blocks.
function taps(inputs, outputs) {
  const scale = outputs / inputs;
  const shrink = Math.min(scale, 1);
  const count = Math.ceil(4 / shrink) + 2;
  return Array.from({ length: outputs }, (_, k) => {
    const centre = (k + 1) / scale + 0.5 * (1 - 1 / scale); // among inputs 1 ... n
    const first = Math.floor(centre - 2 / shrink);
    const weights = Array.from({ length: count }, (__, i) => keys(shrink * (centre - first - i)));
    const sum = weights.reduce((a, b) => a + b);
    const index = weights.map((__, i) => {
      const place = (((first + i - 1) % (2 * inputs)) + 2 * inputs) % (2 * inputs);
      return Math.min(place, 2 * inputs - 1 - place); // symmetric border
    });
    return { index, weights: weights.map((w) => w / sum) };
  });
}

// degrade.imresize(x, size=(height, width)), rounded to levels after each of the two passes (eightBit) or at the end.
function imresize(frame, width, height, eightBit = true) {
  const along = { rows: [frame.height, height], columns: [frame.width, width] };
  const ratio = ([from, to]) => to / from;
  const order = ratio(along.rows) <= ratio(along.columns) ? ['rows', 'columns'] : ['columns', 'rows'];
  const made = order.reduce((x, side) => resizeSide(x, side, along[side][1], eightBit), frame);
  return eightBit ? made : fromFloat(made.data.map((x) => x / 255), width, height);
}

function resizeSide({ width, height, data }, side, outputs, eightBit) {
  const rows = side === 'rows';
  const [outWidth, outHeight] = rows ? [width, outputs] : [outputs, height];
  const out = new (eightBit ? Uint8Array : Float32Array)(3 * outWidth * outHeight);
  const [step, line, lines] = rows ? [width, 1, width] : [1, width, height];
  const [outStep, outLine] = rows ? [outWidth, 1] : [1, outWidth];
  taps(rows ? height : width, outputs).forEach(({ index, weights }, k) => {
    for (let c = 0; c < 3; c += 1) {
      for (let j = 0; j < lines; j += 1) {
        const from = c * width * height + j * line;
        let sum = 0;
        for (let i = 0; i < index.length; i += 1) sum += weights[i] * data[from + index[i] * step];
        out[c * outWidth * outHeight + k * outStep + j * outLine] = eightBit ? toLevel(sum / 255) : sum;
      }
    }
  });
  return { width: outWidth, height: outHeight, data: out };
}

// Larger pixels, for a look at LR.
function enlarge({ width, height, data }, outWidth, outHeight) {
  const out = new Uint8Array(3 * outWidth * outHeight);
  for (let c = 0, at = 0; c < 3; c += 1) {
    for (let y = 0; y < outHeight; y += 1) {
      const row = (c * height + Math.floor((y * height) / outHeight)) * width;
      for (let x = 0; x < outWidth; x += 1, at += 1) out[at] = data[row + Math.floor((x * width) / outWidth)];
    }
  }
  return { width: outWidth, height: outHeight, data: out };
}

// A bilinear resize as recognition.resize, rounded to levels.
function bilinear({ width, height, data }, outWidth, outHeight) {
  if (width === outWidth && height === outHeight) return { width, height, data };
  const out = new Uint8Array(3 * outWidth * outHeight);
  const places = (inputs, outputs) => Array.from({ length: outputs }, (_, i) => {
    const at = Math.max(0, ((i + 0.5) * inputs) / outputs - 0.5);
    const below = Math.min(Math.floor(at), inputs - 1);
    return [below, Math.min(below + 1, inputs - 1), at - below];
  });
  const columns = places(width, outWidth);
  const rows = places(height, outHeight);
  let at = 0;
  for (let c = 0; c < 3; c += 1) {
    for (const [y0, y1, wy] of rows) {
      const [top, bottom] = [(c * height + y0) * width, (c * height + y1) * width];
      for (const [x0, x1, wx] of columns) {
        const above = data[top + x0] * (1 - wx) + data[top + x1] * wx;
        const under = data[bottom + x0] * (1 - wx) + data[bottom + x1] * wx;
        out[at] = Math.floor(above * (1 - wy) + under * wy + 0.5);
        at += 1;
      }
    }
  }
  return { width: outWidth, height: outHeight, data: out };
}

// Normal noise of standard deviation `sigma` levels; the same frame number has the same noise.
function withNoise({ width, height, data }, sigma, number) {
  let state = (number + 1) * 0x9e3779b9;
  const uniform = () => { // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { width, height, data: Uint8Array.from(data, (x) => toLevel((x + sigma * normal()) / 255)) };
}

// 8-bit grey exactly as colour.to_grey.
function toGrey({ width, height, data }) {
  const size = width * height;
  const grey = new Float32Array(size);
  for (let i = 0; i < size; i += 1) {
    grey[i] = (9798 * data[i] + 19235 * data[size + i] + 3735 * data[2 * size + i] + 16384) >> 15;
  }
  return grey;
}

const BORDER = 4; // pixels that PSNR and SSIM leave out at each side

// Luma of the frame without its border, as colour.rgb_to_y.
function luma({ width, height, data }) {
  const [w, h, size] = [width - 2 * BORDER, height - 2 * BORDER, width * height];
  const y = new Float64Array(w * h);
  for (let j = 0; j < h; j += 1) {
    for (let i = 0; i < w; i += 1) {
      const at = (j + BORDER) * width + i + BORDER;
      const sum = 65.481 * data[at] + 128.553 * data[size + at] + 24.966 * data[2 * size + at];
      y[j * w + i] = (sum / 255 + 16) / 255;
    }
  }
  return { width: w, height: h, y };
}

// metrics.psnr of two frames: dB, Infinity where they are the same.
function psnr(one, two) {
  const [a, b] = [luma(one).y, luma(two).y];
  const sum = a.reduce((total, x, i) => total + (x - b[i]) ** 2, 0);
  return -10 * Math.log10(sum / a.length);
}

const GAUSSIAN = Array.from({ length: 11 }, (_, i) => Math.exp(-((i - 5) ** 2) / 4.5));
const WEIGHT = GAUSSIAN.reduce((a, b) => a + b);

// Separable, 11 taps of sigma 1.5, only windows inside the picture.
function gaussian(x, width, height) {
  const w = width - 10;
  const across = new Float64Array(w * height);
  for (let j = 0; j < height; j += 1) {
    for (let i = 0; i < w; i += 1) {
      let sum = 0;
      for (let k = 0; k < 11; k += 1) sum += GAUSSIAN[k] * x[j * width + i + k];
      across[j * w + i] = sum / WEIGHT;
    }
  }
  const out = new Float64Array(w * (height - 10));
  for (let i = 0; i < out.length; i += 1) {
    let sum = 0;
    for (let k = 0; k < 11; k += 1) sum += GAUSSIAN[k] * across[i + k * w];
    out[i] = sum / WEIGHT;
  }
  return out;
}

// metrics.ssim of two frames.
function ssim(one, two) {
  const { width, height, y: a } = luma(one);
  const b = luma(two).y;
  const blur = (f) => gaussian(a.map((x, i) => f(x, b[i])), width, height);
  const [ma, mb, aa, bb, ab] = [(x) => x, (_, y) => y, (x) => x * x, (_, y) => y * y, (x, y) => x * y].map(blur);
  const [c1, c2] = [0.01 ** 2, 0.03 ** 2];
  let sum = 0;
  for (let i = 0; i < ma.length; i += 1) {
    const luminance = (2 * ma[i] * mb[i] + c1) / (ma[i] ** 2 + mb[i] ** 2 + c1);
    const [va, vb, cov] = [aa[i] - ma[i] ** 2, bb[i] - mb[i] ** 2, ab[i] - ma[i] * mb[i]];
    sum += luminance * ((2 * cov + c2) / (va + vb + c2));
  }
  return sum / ma.length;
}

// [mean, highest mean over `side` x `side` pixels, its x, its y]: what the viewer sums up a map of errors by.
function peak(error, width, height, side) {
  const table = new Float64Array((width + 1) * (height + 1)); // sums of all above and left
  for (let y = 0; y < height; y += 1) {
    for (let x = 0, row = 0; x < width; x += 1) {
      row += error[y * width + x];
      table[(y + 1) * (width + 1) + x + 1] = table[y * (width + 1) + x + 1] + row;
    }
  }
  const at = (x, y) => table[Math.min(height, Math.max(0, y)) * (width + 1) + Math.min(width, Math.max(0, x))];
  const reach = (side - 1) / 2;
  let best = [-1, 0, 0];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const [left, right, top, bottom] = [x - reach, x + reach + 1, y - reach, y + reach + 1];
      const mean = (at(right, bottom) - at(left, bottom) - at(right, top) + at(left, top)) / side ** 2;
      if (mean > best[0]) best = [mean, x, y];
    }
  }
  return [at(width, height) / (width * height), ...best];
}
