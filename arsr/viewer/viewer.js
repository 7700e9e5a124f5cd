// The flow-artefact viewer in the browser. One source for two hosts:
//   live    JupyterLab calls renderWidget; frames and flow come from the kernel as binary buffers, on demand
//   static  the element <arsr-viewer> reads the JSON inside it: no kernel, no network, also from file://
// Python puts CSS, the style sheet's text, in front, and makes this a module or a classic script.
//
//   sources   where coded frames and flow come from
//   Store     decoded frames and flow, the least recently used thrown out
//   Painter   pixels -> colours: the flow wheel, error maps, lens, arrows, profiles
//   ViewerUI  the controls and the view's state
//   hosts     the custom element and the widget

const MEMORY = 256e6; // bytes of decoded frames and flow kept
const MAPS = 150; // painted layers kept
const ANSWER_SECONDS = 60;
const AHEAD = 4; // frames fetched in advance
const ARROW_GRID = 16; // CSS pixels from arrow to arrow

// Methods' colours: 3:1 or more against white and against the dark theme; a second round is dashed.
const COLOURS = ['#3b82c4', '#d55e00', '#1a9874', '#b4559a', '#967a00', '#6f74d6', '#7a7f87'];
const DASHES = ['', '6 3', '2 3', '8 3 2 3'];

const LAYERS = {
  frame: 'Frame',
  flow: 'Flow',
  flow_error: 'Flow error',
  frame_error: 'Frame error',
  weight: 'Motion weight',
  exact_flow: 'Exact flow',
};
const FLOW_LAYERS = ['flow', 'flow_error', 'weight', 'exact_flow'];
const WHEELS = ['flow', 'exact_flow']; // in the wheel's colours
const OF_ALL = ['weight', 'exact_flow']; // the same for every method
const LENSES = [0, 4, 8, 16];
const DARK = 'rgb(0 0 0 / .8)'; // around what is drawn over the pictures
const YELLOW = '#ffdd33';
const SPEEDS = [1, 2, 4, 8, 12, 15, 24, 25, 30];
// What linked viewers share, and what a link to a view holds besides.
const SHARED = ['frame', 'layer', 'opacity', 'scale', 'arrows', 'mode', 'wipe', 'lens', 'picked', 'line'];
const LINKABLE = ['left', 'right', ...SHARED];

const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const reducedMotion = () => matchMedia('(prefers-reduced-motion: reduce)').matches;
const number = (x, digits = 2) => x.toFixed(digits).replace(/^-(0\.?0*)$/, '$1').replace('-', '\u2212');

// ---------------------------------------------------------------------------------------------- sources

function fromBase64(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

// Where a viewer's data come from, decoded: RGBA of sheet k of method m, spec.rows frames one below the other; its
// flow, (frames, 2, rows, columns) in 1/spec.unit pixels; the errors of all frames. `live`: they come frame by frame.

// A page's own data: {spec, view, sheets, flows, summaries, traces}, pictures and flow in base64.
function embeddedSource({ spec, sheets, flows, summaries, traces }) {
  return {
    pixels: (m, k) => decodePicture(fromBase64(sheets[m][k]), spec),
    flow: (m) => unpackFlow(fromBase64(flows[m]), spec),
    summary: async (m) => summaries[m],
    trace: async (name, m) => traces[name][m],
  };
}

// Requests to the kernel; an answer carries the request's id and its data as a binary buffer.
function kernelSource(model, spec) {
  const waiting = new Map();
  let last = 0;
  const receive = (message, buffers) => {
    const asked = waiting.get(message.id);
    if (!asked) return;
    waiting.delete(message.id);
    clearTimeout(asked.timer);
    asked.resolve(new Uint8Array(buffers[0].buffer, buffers[0].byteOffset, buffers[0].byteLength));
  };
  model.on('msg:custom', receive);
  const ask = (request) =>
    new Promise((resolve, reject) => {
      const id = (last += 1);
      const timer = setTimeout(() => {
        waiting.delete(id);
        reject(new Error('no answer from Python; is the kernel running?'));
      }, ANSWER_SECONDS * 1000);
      waiting.set(id, { resolve, reject, timer });
      model.send({ ...request, id });
    });
  return {
    live: true,
    pixels: async (method, frame) => decodePicture(await ask({ ask: 'frame', method, frame }), spec),
    flow: async (method, frame) => unpackFlow(await ask({ ask: 'flow', method, frame }), spec),
    summary: async (method) => JSON.parse(new TextDecoder().decode(await ask({ ask: 'summary', method }))),
    trace: async (trace, method) => JSON.parse(new TextDecoder().decode(await ask({ ask: 'trace', trace, method }))),
    close: () => model.off('msg:custom', receive),
  };
}

// ---------------------------------------------------------------------------------------------- decoding

// RGBA of a coded picture.
async function decodePicture(bytes, { loss }) {
  const blob = new Blob([bytes], { type: loss ? 'image/avif' : 'image/webp' });
  const picture = await createImageBitmap(blob, { colorSpaceConversion: 'none' });
  const { width, height } = picture;
  const context = element('canvas', { width, height }).getContext('2d', { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  picture.close();
  const { data } = context.getImageData(0, 0, width, height);
  context.canvas.width = context.canvas.height = 0;
  return data;
}

async function gunzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Low bytes, then high bytes, of zigzag differences along x -> int16 (frames, 2, height, width).
function undoDifferences(bytes, width) {
  const count = bytes.length / 2;
  const out = new Int16Array(count);
  for (let start = 0; start < count; start += width) {
    for (let i = start, value = 0; i < start + width; i += 1) {
      const zigzag = bytes[i] | (bytes[i + count] << 8);
      value += (zigzag >>> 1) ^ -(zigzag & 1);
      out[i] = value;
    }
  }
  return out;
}

async function unpackFlow(bytes, { width, stride }) {
  return undoDifferences(await gunzip(bytes), Math.ceil(width / stride));
}

class Store {
  constructor(spec, source, loaded, failed) {
    Object.assign(this, { spec, source, loaded, failed });
    this.kept = new Map(); // key -> decoded array, in the order of their last use
    this.loading = new Map(); // key -> promise
    this.bytes = 0;
    this.flowRows = source.live ? 1 : spec.count; // frames whose flow arrives together
    this.flowWidth = Math.ceil(spec.width / spec.stride);
    this.flowHeight = Math.ceil(spec.height / spec.stride);
  }

  // RGBA of a frame, or undefined while it is loading.
  pixels(m, t) {
    const k = Math.floor(t / this.spec.rows);
    const sheet = this.get(`frames ${m} ${k}`, () => this.source.pixels(m, k));
    const size = this.spec.width * this.spec.height * 4;
    return sheet && sheet.subarray((t - k * this.spec.rows) * size, (t - k * this.spec.rows + 1) * size);
  }

  // {u, v} in 1/spec.unit pixels, null where there is no flow, undefined while it is loading.
  flow(m, t) {
    if (!this.spec.flows[m] || t >= this.spec.count - 1) return null;
    const k = Math.floor(t / this.flowRows);
    const all = this.get(`flow ${m} ${k}`, () => this.source.flow(m, k));
    const size = this.flowWidth * this.flowHeight;
    const start = 2 * size * (t - k * this.flowRows);
    return all && { u: all.subarray(start, start + size), v: all.subarray(start + size, start + 2 * size) };
  }

  // Where in the flow's grid a pixel lies.
  flowIndex(x, y) {
    const { stride } = this.spec;
    return Math.floor(y / stride) * this.flowWidth + Math.floor(x / stride);
  }

  get(key, make) {
    const found = this.kept.get(key);
    if (found) {
      this.kept.delete(key);
      this.kept.set(key, found);
    } else if (!this.loading.has(key)) {
      this.loading.set(key, this.fill(key, make));
    }
    return found;
  }

  async fill(key, make) {
    try {
      const value = await make();
      this.kept.set(key, value);
      this.bytes += value.byteLength;
      for (const [old, array] of this.kept) {
        if (this.bytes <= MEMORY || old === key) break;
        this.kept.delete(old);
        this.bytes -= array.byteLength;
      }
      this.loading.delete(key);
      this.loaded();
    } catch (error) {
      setTimeout(() => this.loading.delete(key), 2000); // the next look tries again
      this.failed(error);
    }
  }
}

// ---------------------------------------------------------------------------------------------- painting

class Painter {
  constructor(spec, store) {
    Object.assign(this, { spec, store });
    this.maps = new Map(); // painted layers, in the order of their last use
    this.viridis = new Uint32Array(256); // as ImageData holds it: alpha, blue, green, red from the high byte down
    for (let i = 0; i < 256; i += 1) {
      const [red, green, blue] = spec.viridis.slice(3 * i, 3 * i + 3);
      this.viridis[i] = ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
    }
    this.lensPixels = document.createElement('canvas').getContext('2d');
  }

  // The Middlebury wheel as in arsr_core.flow.to_rgb; length 1 is the rim.
  flowColour(u, v, length) {
    const { wheel } = this.spec;
    const count = wheel.length / 3;
    const place = ((Math.atan2(-v, -u) / Math.PI + 1) / 2) * (count - 1);
    const index = Math.floor(place);
    const weight = place - index;
    const at = 3 * index;
    const next = 3 * ((index + 1) % count);
    const red = wheel[at] + weight * (wheel[next] - wheel[at]);
    const green = wheel[at + 1] + weight * (wheel[next + 1] - wheel[at + 1]);
    const blue = wheel[at + 2] + weight * (wheel[next + 2] - wheel[at + 2]);
    const [most, share] = length <= 1 ? [255 * (1 - length), length] : [0, 0.75]; // white in the middle, dark outside
    return (255 << 24) | (Math.round(most + share * blue) << 16) | (Math.round(most + share * green) << 8)
      | Math.round(most + share * red);
  }

  scalarColour(share) { return this.viridis[share < 1 ? Math.round(255 * share) : 255]; }

  // The layer's picture, kept for the next time; null where its flow is absent.
  map(layer, bound, look) {
    const needs = { flow: ['flow'], flow_error: ['flow', 'trueFlow'], weight: ['motion'], exact_flow: ['motion'] };
    if (needs[layer]?.some((name) => !look[name])) return null;
    const key = [layer, bound, OF_ALL.includes(layer) ? '' : look.m, look.t].join(' ');
    const map = this.maps.get(key) || this.paintMap(layer, bound, look);
    this.maps.delete(key);
    this.maps.set(key, map);
    if (this.maps.size > MAPS) this.maps.delete(this.maps.keys().next().value);
    return map;
  }

  // One pixel for each pixel of the frame or, in layers of flow, for each vector.
  paintMap(layer, bound, { flow, trueFlow, motion, pixels, truePixels }) {
    const { spec, store } = this;
    const byFlow = FLOW_LAYERS.includes(layer);
    const width = byFlow ? store.flowWidth : spec.width;
    const height = byFlow ? store.flowHeight : spec.height;
    const image = new ImageData(width, height);
    const out = new Uint32Array(image.data.buffer);
    const perBound = 1 / (bound * spec.unit);
    if (WHEELS.includes(layer)) {
      const shown = layer === 'flow' ? flow : motion;
      for (let i = 0; i < out.length; i += 1) {
        const u = shown.u[i];
        const v = shown.v[i];
        out[i] = this.flowColour(u, v, Math.sqrt(u * u + v * v) * perBound);
      }
    } else if (layer === 'frame_error') {
      for (let i = 0, at = 0; i < out.length; i += 1, at += 4) {
        const sum = Math.abs(pixels[at] - truePixels[at]) + Math.abs(pixels[at + 1] - truePixels[at + 1])
          + Math.abs(pixels[at + 2] - truePixels[at + 2]);
        out[i] = this.scalarColour(sum / (3 * bound));
      }
    } else {
      const error = layer === 'flow_error'; // else the motion weight
      const from = error ? trueFlow : motion;
      for (let i = 0; i < out.length; i += 1) {
        const du = from.u[i] - (error ? flow.u[i] : 0);
        const dv = from.v[i] - (error ? flow.v[i] : 0);
        out[i] = this.scalarColour(Math.sqrt(du * du + dv * dv) * perBound);
      }
    }
    const canvas = element('canvas', { width, height });
    canvas.getContext('2d').putImageData(image, 0, 0);
    return canvas;
  }

  // A frame and its layer, columns from .. to - 1; returns whether the layer could be shown.
  paintFrame(context, look, layer, bound, opacity, from, to) {
    const { width, height } = this.spec;
    if (to <= from) return true;
    context.putImageData(new ImageData(look.pixels, width, height), 0, 0, from, 0, to - from, height);
    if (layer === 'frame') return true;
    const map = this.map(layer, bound, look);
    context.save();
    context.beginPath();
    context.rect(from, 0, to - from, height);
    context.clip();
    if (map) {
      const cell = layer === 'frame_error' ? 1 : this.spec.stride;
      context.globalAlpha = opacity / 100;
      context.imageSmoothingEnabled = false;
      context.drawImage(map, 0, 0, map.width * cell, map.height * cell);
    } else {
      context.fillStyle = 'rgb(90 90 90 / .75)';
      context.fillRect(from, 0, to - from, height);
    }
    context.restore();
    return Boolean(map);
  }

  // Flow as arrows `factor` times as long as the motion; zoom: CSS pixels a frame pixel; between columns from, to.
  paintArrows(context, flow, zoom, factor, from, to) {
    const { width, height, unit, stride } = this.spec;
    const step = Math.max(stride, Math.round(ARROW_GRID / zoom));
    const path = new Path2D();
    for (let y = Math.floor(step / 2); y < height; y += step) {
      for (let x = Math.floor(step / 2); x < width; x += step) {
        const i = this.store.flowIndex(x, y);
        const u = flow.u[i] / unit;
        const v = flow.v[i] / unit;
        if (x < from || x >= to || Math.hypot(u, v) * factor * zoom < 4) continue;
        addArrow(path, (x + 0.5) * zoom, (y + 0.5) * zoom, u * factor * zoom, v * factor * zoom);
      }
    }
    stroke(context, path);
  }

  // The true pixels around (x, y), magnified, in the corner of the panel farthest from there.
  paintLens(context, look, { x, y, cell, size, left, top, note }) {
    const { width, height } = this.spec;
    const n = 2 * Math.floor(size / cell / 2) + 1;
    const side = n * cell;
    const image = new ImageData(n, n);
    for (let j = 0; j < n; j += 1) {
      for (let i = 0; i < n; i += 1) {
        const px = x + i - (n - 1) / 2;
        const py = y + j - (n - 1) / 2;
        const inside = px >= 0 && px < width && py >= 0 && py < height;
        const from = 4 * (py * width + px);
        const to = 4 * (j * n + i);
        for (let c = 0; c < 3; c += 1) image.data[to + c] = inside ? look.pixels[from + c] : 40;
        image.data[to + 3] = 255;
      }
    }
    this.lensPixels.canvas.width = this.lensPixels.canvas.height = n;
    this.lensPixels.putImageData(image, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.lensPixels.canvas, left, top, side, side);
    const centre = ((n - 1) / 2) * cell;
    outline(context, left + centre, top + centre, cell, cell);
    outline(context, left, top, side, side, 2);
    label(context, note, left + 4, top + side - 6);
  }

  // The wheel itself, its rim at length 1.
  paintWheel(canvas) {
    const { width } = canvas;
    const image = new ImageData(width, width);
    const out = new Uint32Array(image.data.buffer);
    const radius = width / 2;
    for (let i = 0; i < out.length; i += 1) {
      const u = ((i % width) + 0.5 - radius) / radius;
      const v = (Math.floor(i / width) + 0.5 - radius) / radius;
      const length = Math.hypot(u, v);
      out[i] = this.flowColour(u, v, Math.min(1, length));
      image.data[4 * i + 3] = 255 * clamp((1 - length) * radius + 0.5, 0, 1); // a smooth edge
    }
    canvas.getContext('2d').putImageData(image, 0, 0);
  }

  paintScale(canvas) {
    Object.assign(canvas, { width: 256, height: 1 });
    const image = new ImageData(256, 1);
    new Uint32Array(image.data.buffer).set(this.viridis);
    canvas.getContext('2d').putImageData(image, 0, 0);
  }
}

function addArrow(path, x, y, dx, dy) {
  const length = Math.hypot(dx, dy);
  const head = Math.min(5, 0.5 * length) / length;
  const [tipX, tipY] = [x + dx, y + dy];
  path.moveTo(x, y);
  path.lineTo(tipX, tipY);
  path.moveTo(tipX - head * (dx + 0.6 * dy), tipY - head * (dy - 0.6 * dx));
  path.lineTo(tipX, tipY);
  path.lineTo(tipX - head * (dx - 0.6 * dy), tipY - head * (dy + 0.6 * dx));
}

// Light on dark, so that it shows on any picture.
function stroke(context, path, thick = 1.5, colour = '#fff') {
  context.lineWidth = thick + 2;
  context.strokeStyle = DARK;
  context.stroke(path);
  context.lineWidth = thick;
  context.strokeStyle = colour;
  context.stroke(path);
}

function outline(context, x, y, width, height, thick = 1) {
  const path = new Path2D();
  path.rect(x, y, width, height);
  stroke(context, path, thick);
}

function label(context, text, x, y) {
  context.font = '600 11px system-ui, sans-serif';
  context.lineWidth = 3;
  context.lineJoin = 'round';
  context.strokeStyle = DARK;
  context.strokeText(text, x, y);
  context.fillStyle = '#fff';
  context.fillText(text, x, y);
}

// ---------------------------------------------------------------------------------------------- controls

const icon = (path) => `<svg viewBox="0 0 16 16" aria-hidden="true"><path d="${path}"/></svg>`;
const ICONS = {
  swap: icon('M5 2 1.5 5.5 5 9V6.5h9v-2H5zm6 5v2.5H2v2h9V14l3.5-3.5z'),
  first: icon('M2.5 3h2v10h-2zm11 0v10L5.5 8z'),
  back: icon('M10.5 3v10L3 8z M11.5 3h1.5v10h-1.5z'),
  play: icon('M4 2.5v11L13.5 8z'),
  pause: icon('M3.5 2.5h3.2v11H3.5zm5.8 0h3.2v11H9.3z'),
  next: icon('M5.5 3v10L13 8z M3 3h1.5v10H3z'),
  last: icon('M11.5 3h2v10h-2zm-9 0v10l8-5z'),
  worst: icon('M3 1.5h1.5v1h8.5l-2 3 2 3H4.5V14.5H3z'),
  save: icon('M7 1.5h2v6h2.5L8 11.5 4.5 7.5H7zM2 10.5h1.8v2.2h8.4v-2.2H14v4H2z'),
  link: icon(
    'M6.5 9.5 9.5 6.5M7 4.5 9 2.6a3 3 0 0 1 4.3 4.3L11.4 9M9 11.5 7 13.4a3 3 0 0 1-4.3-4.3L4.6 7',
  ),
  full: icon(
    'M2 2h4.5v1.8H3.8v2.7H2zm7.5 0H14v4.5h-1.8V3.8H9.5zM2 9.5h1.8v2.7h2.7V14H2zm10.2 0H14V14H9.5v-1.8h2.7z',
  ),
};

const button = (name, text, key, shown = '') =>
  `<button type="button" name="${name}" title="${text} (${key})" aria-label="${text}">${ICONS[name] || ''}${
    shown && `<span>${shown}</span>`}</button>`;

const KEYS = [
  ['Arrow keys', 'walk the pixel, when a picture has the focus; with Shift ten pixels'],
  [', and .', 'frame before, frame after'],
  ['Home and End', 'first and last frame'],
  ['Space', 'play and pause'],
  ['1 to 6', 'layer: frame, flow, flow error, frame error, motion weight, exact flow'],
  ['+ and −', 'colours for smaller and for larger values'],
  ['a', 'arrows of flow'],
  ['z', 'lens: off, 4, 8, 16 times'],
  ['w', 'side by side, or a wipe'],
  ['[ and ]', 'move the wipe'],
  ['b and n', 'next method on the left, on the right; with Shift the one before'],
  ['x', 'swap left and right'],
  ['g', 'go to the worst artefact; again: the next worst frame'],
  ['d', 'profile line from the pixel; again: to the pixel'],
  ['Escape', 'remove the line, then the pixel'],
  ['s', 'save the view as PNG'],
  ['c', 'copy a link to this view'],
  ['f', 'full screen'],
  ['?', 'this help'],
];

const panel = (side) => `
  <figure class="panel ${side}">
    <figcaption><span class="names"></span><span class="note"></span></figcaption>
    <div class="screen ${side}" tabindex="0" role="application" aria-roledescription="picture">
      <canvas class="picture"></canvas><canvas class="overlay"></canvas><p class="message" hidden></p>
    </div>
  </figure>`;

const toggle = (name, text, title, more = '') => `
  <label class="toggle ${name}" title="${title}" ${more}>
    <input type="checkbox" name="${name}"><span>${text}</span>
  </label>`;

const TEMPLATE = `
<div class="viewer" role="group">
  <div class="bar">
    <label class="field method">Left <select name="left"></select></label>
    ${button('swap', 'Swap left and right', 'x')}
    <label class="field method">Right <select name="right"></select></label>
    <span class="group tools">
      ${button('save', 'Save the view as PNG', 's', 'PNG')}
      ${button('link', 'Copy a link to this view', 'c', 'Link')}
      ${button('full', 'Full screen', 'f')}
      ${button('help', 'Help and keys', '?', '?')}
    </span>
  </div>
  <div class="bar">
    <fieldset class="segments layers"><legend>Layer</legend></fieldset>
    <fieldset class="segments"><legend>View</legend>
      <label title="Side by side (w)"><input type="radio" name="mode" value="side"><span>Side by side</span></label>
      <label title="Wipe (w)"><input type="radio" name="mode" value="wipe"><span>Wipe</span></label>
    </fieldset>
    <span class="group">
      ${toggle('arrows', 'Arrows', 'Flow as arrows (a)')}
      ${toggle('drawing', 'Profile line', 'Drag a line over a picture: its pixels over time (d)')}
      <label class="field" title="Magnify true pixels (z)">Lens <select name="lens"></select></label>
      ${toggle('linked', 'Linked', "Move together with the page's other linked viewers", 'hidden')}
    </span>
  </div>
  <label class="path" hidden><span class="title"></span> <input type="range" name="path" min="0" step="1"><output></output></label>
  <div class="panels">${panel('left')}${panel('right')}</div>
  <label class="wiper">Wipe <input type="range" name="wipe" min="0" max="100" step="0.5"></label>
  <div class="transport">
    <div class="curve" aria-hidden="true"></div>
    <input type="range" name="frame" min="0" step="1" aria-label="Frame">
    <div class="bar">
      <span class="group">
        ${button('first', 'First frame', 'Home')}${button('back', 'Frame before', ',')}
        ${button('play', 'Play', 'Space')}
        ${button('next', 'Frame after', '.')}${button('last', 'Last frame', 'End')}
      </span>
      <span class="where"></span>
      <label class="field">Speed <select name="fps"></select></label>
      <label class="field trace">Curve <select name="trace"></select></label>
      ${button('worst', 'Go to the worst artefact; again: the next worst frame', 'g', 'Worst artefact')}
      <span class="worst-note"></span>
    </div>
  </div>
  <div class="cards">
    <div class="legend">
      <div class="key"></div>
      <div class="row ranges">
        <label class="field">Opacity <input type="range" name="opacity" min="0" max="100" step="5"></label>
        <span class="field">Range ${button('coarser', 'Colours for larger values', '\u2212', '\u2212')}${
          button('finer', 'Colours for smaller values', '+', '+')}</span>
      </div>
    </div>
    <div class="reading"></div>
  </div>
  <section class="profile" hidden><h3>Temporal profile</h3>
    <p class="hint">Across: the line, from its dot. Down: time, up to this frame. Click to go to a pixel and frame.</p>
    <div class="pair"></div>
  </section>
  <section class="scores" hidden><h3>Recogniser</h3><p class="hint"></p><div class="pair"></div></section>
  <p class="coding"></p>
  <p class="toast" hidden></p>
  <p class="hidden" role="status"></p>
  <dialog aria-label="Help and keys"><form method="dialog"><button class="close">Close</button></form>
    <p>Two versions of one clip, side by side or under a wipe. Click a pixel to read both. Errors are measured against
    <b class="reference"></b>: the flow error is the distance of the two flow vectors (EPE), the frame error the mean
    difference of red, green and blue. The motion weight, with which WMSE weighs each pixel, is the length of the exact
    flow if that is known, else of the reference's flow.</p>
    <table><thead><tr><th scope="col">Key</th><th scope="col">What it does</th></tr></thead><tbody></tbody></table>
  </dialog>
</div><slot></slot>`;

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function darkTheme() {
  const book = document.documentElement.dataset.theme;
  if (book === 'dark' || book === 'light') return book === 'dark';
  const lab = document.body.dataset.jpThemeLight;
  if (lab) return lab === 'false';
  return matchMedia('(prefers-color-scheme: dark)').matches;
}

class ViewerUI {
  // host: the element that gets the shadow root; moved(name, value): called when the reader changes the view.
  constructor(host, spec, view, source, moved = () => {}) {
    Object.assign(this, { host, spec, source, moved });
    const fps = reducedMotion() ? 2 : 8;
    this.view = { opacity: 100, arrows: false, wipe: 50, lens: 0, fps, linked: false, playing: false, trace: 'error', ...view };
    this.store = new Store(spec, source, () => this.repaint(), (error) => this.failed(error));
    this.painter = new Painter(spec, this.store);
    this.summaries = new Map(); // method -> rows [mean, peak, x, y], or a promise of them
    this.traces = new Map(); // trace and method -> values of all frames, null while they come
    this.hasFlow = spec.flows.includes(true);
    this.comparesFlow = spec.layers.includes('flow_error'); // else errors are those of frames
    this.sizes = new Map(); // screen -> [width, height] in CSS pixels
    this.hover = null; // pixel under the mouse
    this.mark = null; // the worst place jumped to
    this.lineStart = null; // of a line drawn by keyboard
    this.started = false;
    this.root = host.shadowRoot || host.attachShadow({ mode: 'open' });
    this.root.innerHTML = `<style>${CSS}</style>${TEMPLATE}`;
    this.box = this.root.querySelector('.viewer');
    this.build();
    this.attach();
    this.showControls();
    this.connect();
  }

  find(selector) { return this.box.querySelector(selector); }
  control(name) { return this.box.querySelector(`[name="${name}"]`); }
  index(side) { return this.spec.labels.indexOf(this.view[side]); }

  // --- building ---

  build() {
    const { spec, box } = this;
    box.setAttribute('aria-label', `Viewer of super-resolved video${spec.alt ? `: ${spec.alt}` : ''}`);
    for (const side of ['left', 'right']) {
      this.control(side).append(...spec.labels.map((text) => element('option', { value: text, textContent: text })));
    }
    const option = (value, textContent) => element('option', { value, textContent });
    this.control('lens').append(...LENSES.map((n) => option(n, n ? `${n}×` : 'off')));
    this.control('fps').append(...SPEEDS.map((n) => option(n, `${n} fps`)));
    const traces = spec.traces ?? [];
    this.control('trace').append(option('error', this.errorName()), ...traces.map((name) => option(name, name)));
    this.find('.trace').hidden = !traces.length;
    for (const layer of spec.layers) {
      const title = `${LAYERS[layer]} (${Object.keys(LAYERS).indexOf(layer) + 1})`;
      const input = element('input', { type: 'radio', name: 'layer', value: layer });
      const name = element('span', { textContent: LAYERS[layer] });
      this.find('.layers').append(element('label', { title }, input, name));
    }
    this.steps = spec.path?.steps ?? [];
    this.find('.path').hidden = !this.steps.length;
    this.find('.path .title').textContent = spec.path?.title ?? '';
    this.control('path').max = this.steps.length - 1;
    this.find('.arrows').hidden = !this.hasFlow;
    this.control('frame').max = spec.count - 1;
    this.find('.transport').hidden = spec.count === 1;
    this.control('worst').hidden = spec.labels.length === 1;
    this.control('link').hidden = Boolean(this.source.live);
    this.control('full').hidden = !document.fullscreenEnabled;
    const grid = spec.stride === 1 ? 'at every pixel' : `one vector for ${spec.stride} × ${spec.stride} pixels`;
    const steps = spec.unit > 1 ? `, in steps of 1/${spec.unit} pixel` : '';
    const flow = this.hasFlow ? ` Flow: ${grid}${steps}.` : '';
    this.find('.coding').textContent = `Frames: ${spec.loss || 'every value is exact'}.${flow}`;
    this.find('.reference').textContent = spec.labels[spec.reference];
    const keys = KEYS.filter(([key]) => key !== 'c' || !this.source.live);
    this.find('dialog tbody').append(...keys.map(([key, text]) =>
      element('tr', {}, element('th', { scope: 'row', textContent: key }), element('td', { textContent: text }))));
    for (const canvas of box.querySelectorAll('.picture')) {
      canvas.width = spec.width;
      canvas.height = spec.height;
    }
    box.style.setProperty('--shape', spec.width / spec.height);
  }

  attach() {
    const { box } = this;
    box.addEventListener('input', (event) => this.input(event.target));
    box.addEventListener('click', (event) => {
      const pressed = event.target.closest('button[name]');
      if (pressed) this.press(pressed.name);
    });
    box.addEventListener('keydown', (event) => this.key(event));
    for (const side of ['left', 'right']) {
      const screen = this.find(`.screen.${side}`);
      screen.addEventListener('pointerdown', (event) => this.pointerDown(event, screen));
      screen.addEventListener('pointermove', (event) => this.pointerMove(event, screen));
      screen.addEventListener('pointerup', (event) => this.pointerUp(event, screen));
      screen.addEventListener('pointercancel', () => this.pointerUp()); // the finger scrolls the page
      screen.addEventListener('pointerleave', () => {
        this.hover = null;
        this.repaint();
      });
    }
    this.find('.curve').addEventListener('pointerdown', (event) => {
      const area = event.currentTarget.getBoundingClientRect();
      this.set({ frame: Math.round(((event.clientX - area.left) / area.width) * (this.spec.count - 1)) });
    });
    this.find('.profile').addEventListener('click', (event) => this.profileClick(event));
    this.find('dialog').addEventListener('click', (event) => {
      if (event.target.localName === 'dialog') event.target.close();
    });
  }

  // Listeners outside the viewer's own box; undone by disconnect.
  connect() {
    const theme = () => {
      this.box.dataset.theme = darkTheme() ? 'dark' : 'light';
    };
    theme();
    this.watchers = [
      new MutationObserver(theme),
      new ResizeObserver((changed) => {
        for (const { target, contentRect } of changed) this.sizes.set(target, [contentRect.width, contentRect.height]);
        this.repaint();
      }),
      new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && this.start(), {
        rootMargin: '600px',
      }),
    ];
    const [themes, sizes, sight] = this.watchers;
    themes.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] });
    themes.observe(document.body, { attributes: true, attributeFilter: ['data-jp-theme-light'] });
    for (const screen of this.box.querySelectorAll('.screen')) sizes.observe(screen);
    sight.observe(this.host);
    this.ears = new AbortController();
    const { signal } = this.ears;
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', theme, { signal });
    document.addEventListener('arsr-viewer-here', () => this.showLinked(), { signal });
    document.addEventListener('arsr-viewer-moved', (event) => this.follow(event.detail), { signal });
    this.host.setAttribute('data-arsr-viewer', '');
    document.dispatchEvent(new CustomEvent('arsr-viewer-here'));
  }

  // What the source gives has changed, the frames' size and the methods have not.
  renew() {
    const { spec, source } = this;
    this.store = new Store(spec, source, () => this.repaint(), (error) => this.failed(error));
    this.painter = new Painter(spec, this.store);
    this.summaries.clear();
    this.traces.clear();
    this.mark = this.profiles = this.curveKey = this.scoresKey = null;
    this.showControls();
    this.repaint();
  }

  disconnect() {
    this.set({ playing: false });
    this.ears.abort();
    for (const watcher of this.watchers) watcher.disconnect();
  }

  // Frames are decoded when the viewer comes near the window.
  start() {
    if (this.started) return;
    this.started = true;
    this.repaint();
  }

  // --- the view ---

  // Change the view; tell: whether Python and linked viewers hear of it.
  set(changes, tell = true) {
    const { view, spec } = this;
    const told = {};
    for (const [name, value] of Object.entries(changes)) {
      if (same(view[name], value)) continue;
      view[name] = value;
      told[name] = value;
      if (tell) this.moved(name, value);
    }
    if (!Object.keys(told).length) return;
    if ('frame' in told && this.mark && this.mark.frame !== view.frame) this.mark = null;
    if ('playing' in told) this.playOrPause();
    if ('line' in told) this.profiles = null;
    this.showControls();
    this.repaint();
    if (tell && view.linked) {
      const change = Object.fromEntries(Object.entries(told).filter(([name]) => SHARED.includes(name)));
      const detail = { from: this, change, width: spec.width, height: spec.height };
      document.dispatchEvent(new CustomEvent('arsr-viewer-moved', { detail }));
    }
  }

  // A linked viewer moved: do the same, on our own grid.
  follow({ from, change, width, height }) {
    const { spec, view } = this;
    if (from === this || !view.linked) return;
    const place = (xy) => xy && xy.map((value, i) => (i % 2
      ? clamp(Math.floor((value + 0.5) * spec.height / height), 0, spec.height - 1)
      : clamp(Math.floor((value + 0.5) * spec.width / width), 0, spec.width - 1)));
    const own = { ...change };
    if ('frame' in own) own.frame = clamp(own.frame, 0, spec.count - 1);
    if ('layer' in own && !spec.layers.includes(own.layer)) delete own.layer;
    for (const name of ['picked', 'line']) if (name in own) own[name] = place(own[name]);
    this.set(own, false);
    for (const [name, value] of Object.entries(own)) this.moved(name, value);
  }

  step(by) { this.set({ frame: clamp(this.view.frame + by, 0, this.spec.count - 1) }); }

  playOrPause() {
    clearTimeout(this.timer);
    if (!this.view.playing) return;
    const tick = () => {
      // no frame is skipped: the next one waits until this one is on the screen
      if (!this.waiting && !this.pending) this.set({ frame: (this.view.frame + 1) % this.spec.count });
      this.timer = setTimeout(tick, 1000 / this.view.fps);
    };
    this.timer = setTimeout(tick, 1000 / this.view.fps);
  }

  bound(layer = this.view.layer) { return (this.spec.bounds[layer] ?? 1) * this.view.scale; }

  otherMethod(side, by) {
    const { labels } = this.spec;
    this.set({ [side]: labels[(this.index(side) + by + labels.length) % labels.length] });
  }

  pick(x, y) {
    const { width, height } = this.spec;
    this.set({ picked: [clamp(x, 0, width - 1), clamp(y, 0, height - 1)] });
    this.sayReading();
  }

  // The errors of every frame of a method, or a promise of them; asked for once, and again after a failure.
  summary(m) {
    if (!this.summaries.has(m)) {
      const asked = this.source.summary(m);
      this.summaries.set(m, asked);
      asked.then((rows) => {
        this.summaries.set(m, rows);
        this.showNames();
        this.repaint();
      }, (error) => {
        this.summaries.delete(m);
        this.failed(error);
      });
    }
    return this.summaries.get(m);
  }

  // The frames with the largest errors of the right method, or of the left if the right one is the reference.
  async goToWorst() {
    const { spec } = this;
    const side = this.index('right') === spec.reference ? 'left' : 'right';
    const m = this.index(side);
    if (m === spec.reference) return this.toast('The reference has no error; choose another method.');
    const rows = await Promise.resolve(this.summary(m)).catch(() => null);
    if (!rows) return null;
    if (!rows.length) return this.toast(`There is no flow of ${spec.labels[m]} to measure.`);
    const order = rows.map((row, frame) => ({ frame, value: row[1], x: row[2], y: row[3] }))
      .sort((a, b) => b.value - a.value || a.frame - b.frame);
    const before = this.mark && this.mark.method === m ? this.mark.place : -1;
    const place = (before + 1) % order.length;
    const { frame, x, y, value } = order[place];
    this.set({ frame, picked: [x, y], playing: false });
    this.mark = { method: m, place, frame, x, y };
    const error = this.errorText(value);
    const rank = `${place + 1} of ${order.length}`;
    this.find('.worst-note').textContent = `${rank}: ${error} over ${spec.peakSide} × ${spec.peakSide} pixels`;
    this.say(`Worst frame ${rank} of ${spec.labels[m]}: frame ${frame}, pixel ${x}, ${y}, ${error}.`);
    return this.repaint();
  }

  errorText(value) { return this.comparesFlow ? `${number(value)} px` : `${number(value, 1)} levels`; }

  // --- painting ---

  failed(error) {
    for (const message of this.box.querySelectorAll('.message')) {
      message.hidden = false;
      message.textContent = error.message;
    }
  }

  repaint() {
    this.pending ??= requestAnimationFrame(() => {
      this.pending = null;
      this.paint();
    });
  }

  // What is known of a side's frame; undefined while something that the layer needs is loading.
  look(side) {
    const { spec, store, view } = this;
    const m = this.index(side);
    const t = view.frame;
    const byFlow = FLOW_LAYERS.includes(view.layer);
    const found = { m, t, pixels: store.pixels(m, t) };
    if (byFlow || view.arrows || view.picked) {
      found.flow = store.flow(m, t);
      found.trueFlow = store.flow(spec.reference, t);
      found.motion = store.flow(spec.exact ?? spec.reference, t); // that really happens
    }
    if (view.layer === 'frame_error' || view.picked) found.truePixels = store.pixels(spec.reference, t);
    const needed = [found.pixels];
    if (byFlow || view.arrows) needed.push(found.flow, found.trueFlow, found.motion);
    if (view.layer === 'frame_error') needed.push(found.truePixels);
    return needed.includes(undefined) ? undefined : found;
  }

  paint() {
    if (!this.started) return;
    const { view, spec } = this;
    const looks = { left: this.look('left'), right: this.look('right') };
    this.waiting = !looks.left || !looks.right;
    this.box.classList.toggle('waiting', this.waiting);
    if (this.waiting) return;
    const wipe = view.mode === 'wipe';
    const cut = wipe ? Math.round((spec.width * view.wipe) / 100) : spec.width;
    const { left, right } = looks;
    const parts = wipe
      ? { left: [[left, 0, cut], [right, cut, spec.width]] }
      : { left: [[left, 0, spec.width]], right: [[right, 0, spec.width]] };
    for (const [side, pieces] of Object.entries(parts)) {
      const screen = this.find(`.screen.${side}`);
      const context = screen.querySelector('.picture').getContext('2d');
      const shown = pieces.map(([look, from, to]) =>
        this.painter.paintFrame(context, look, view.layer, this.bound(), view.opacity, from, to));
      this.paintOverlay(screen, pieces, wipe ? cut : null);
      const message = screen.querySelector('.message');
      message.hidden = !shown.includes(false);
      message.textContent = view.frame === spec.count - 1 ? 'No flow: the last frame has no next one.'
        : `No flow of ${spec.labels[pieces[shown.indexOf(false)]?.[0].m]} was given.`;
    }
    this.showReading(left, right);
    this.showCurve();
    this.showProfile();
    this.fetchAhead();
    this.box.dataset.painted = view.frame;
  }

  paintOverlay(screen, pieces, cut) {
    const canvas = screen.querySelector('.overlay');
    const { spec, view } = this;
    const [wide, high] = this.sizes.get(screen) || [screen.clientWidth, screen.clientHeight];
    const density = window.devicePixelRatio || 1;
    const size = { width: Math.round(wide * density), height: Math.round(high * density) };
    if (canvas.width !== size.width || canvas.height !== size.height) Object.assign(canvas, size);
    const context = canvas.getContext('2d');
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, wide, high);
    if (!wide) return; // hidden until a moment ago: its size comes
    const zoom = wide / spec.width;
    this.zoom = zoom;
    if (view.arrows) {
      for (const [look, from, to] of pieces) {
        if (look.flow) this.painter.paintArrows(context, look.flow, zoom, this.arrowFactor(), from, to);
      }
    }
    const line = this.dragged || view.line || (this.lineStart && view.picked && [...this.lineStart, ...view.picked]);
    if (line) this.paintLine(context, line, zoom);
    if (this.mark && this.mark.frame === view.frame) {
      const circle = new Path2D();
      const radius = (spec.peakSide / 2 + 3) * Math.max(1, zoom);
      circle.arc((this.mark.x + 0.5) * zoom, (this.mark.y + 0.5) * zoom, radius, 0, 7);
      stroke(context, circle, 2, YELLOW);
    }
    if (view.picked) this.paintCursor(context, view.picked, zoom);
    if (cut !== null) {
      context.fillStyle = DARK;
      context.fillRect(cut * zoom - 2, 0, 4, high);
      context.fillStyle = '#fff';
      context.fillRect(cut * zoom - 1, 0, 2, high);
      context.beginPath();
      context.roundRect(cut * zoom - 5, high / 2 - 14, 10, 28, 5);
      context.fill();
      context.lineWidth = 1.5;
      context.strokeStyle = DARK;
      context.stroke();
    }
    const at = this.hover || view.picked;
    if (view.lens && at) this.paintLenses(context, pieces, at, zoom, wide, high);
  }

  // Under a wipe the lens shows both methods, one beside the other.
  paintLenses(context, pieces, [x, y], zoom, wide, high) {
    const { view } = this;
    const cell = view.lens * zoom;
    const size = Math.min(0.46 * Math.min(wide, high), 190);
    const side = (2 * Math.floor(size / cell / 2) + 1) * cell;
    const total = pieces.length * (side + 6) - 6;
    const start = (x + 0.5) * zoom < wide / 2 ? wide - total - 6 : 6;
    const top = (y + 0.5) * zoom < high / 2 ? high - side - 6 : 6;
    const exact = this.spec.loss ? 'coded' : 'exact';
    pieces.forEach(([look], i) => {
      const note = pieces.length > 1 ? `${i ? 'right' : 'left'}, ${exact}` : `${view.lens}× ${exact}`;
      this.painter.paintLens(context, look, { x, y, cell, size, left: start + i * (side + 6), top, note });
    });
  }

  paintLine(context, [x0, y0, x1, y1], zoom) {
    const [path, dot] = [new Path2D(), new Path2D()];
    path.moveTo((x0 + 0.5) * zoom, (y0 + 0.5) * zoom);
    path.lineTo((x1 + 0.5) * zoom, (y1 + 0.5) * zoom);
    dot.arc((x0 + 0.5) * zoom, (y0 + 0.5) * zoom, 2.5, 0, 7); // the start, left in the profile
    stroke(context, path, 2, YELLOW);
    stroke(context, dot, 3, YELLOW);
  }

  paintCursor(context, [x, y], zoom) {
    const [cx, cy] = [(x + 0.5) * zoom, (y + 0.5) * zoom];
    const gap = Math.max(4, zoom / 2 + 2);
    const cross = new Path2D();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      cross.moveTo(cx + dx * gap, cy + dy * gap);
      cross.lineTo(cx + dx * (gap + 8), cy + dy * (gap + 8));
    }
    stroke(context, cross);
    if (zoom >= 3) outline(context, x * zoom, y * zoom, zoom, zoom);
  }

  // How many times longer than the motion arrows are drawn: a power of two, the bound about 1.5 grid steps.
  arrowFactor() {
    const wanted = (1.5 * ARROW_GRID) / (this.bound('flow') * (this.zoom || 1));
    return 2 ** Math.round(Math.log2(wanted));
  }

  fetchAhead() {
    const { spec, view, store } = this;
    if (!this.source.live) { // a page's flow is decoded before a layer asks for it
      const used = [this.index('left'), this.index('right'), spec.reference, spec.exact ?? spec.reference];
      for (const m of used) store.flow(m, view.frame);
      return;
    }
    for (let i = 1; i <= (view.playing ? AHEAD : 1); i += 1) {
      const t = (view.frame + i) % spec.count;
      for (const m of new Set([this.index('left'), this.index('right')])) {
        store.pixels(m, t);
        if (view.arrows || FLOW_LAYERS.includes(view.layer)) store.flow(m, t);
      }
    }
  }

  // --- what stands around the pictures ---

  showControls() {
    const { view, spec } = this;
    const valued = ['left', 'right', 'lens', 'fps', 'wipe', 'frame', 'opacity', 'trace'];
    for (const name of valued) this.control(name).value = view[name];
    this.showPath();
    this.box.style.setProperty('--now', spec.count > 1 ? view.frame / (spec.count - 1) : 0);
    for (const name of ['arrows', 'linked']) this.control(name).checked = view[name];
    for (const name of ['layer', 'mode']) {
      for (const radio of this.box.querySelectorAll(`[name="${name}"]`)) radio.checked = radio.value === view[name];
    }
    const play = this.control('play');
    const action = view.playing ? 'Pause' : 'Play';
    if (play.getAttribute('aria-label') !== action) {
      play.setAttribute('aria-label', action);
      play.title = `${action} (Space)`;
      play.innerHTML = view.playing ? ICONS.pause : ICONS.play;
    }
    this.find('.where').textContent = `frame ${view.frame} of 0\u2013${spec.count - 1}`;
    this.control('frame').setAttribute('aria-valuetext', `frame ${view.frame} of 0 to ${spec.count - 1}`);
    this.box.classList.toggle('wipe', view.mode === 'wipe');
    this.box.classList.toggle('drawing', this.control('drawing').checked);
    if (!this.mark) this.find('.worst-note').textContent = '';
    this.showLinked();
    this.showNames();
    this.showLegend();
    this.showScores();
  }

  // The slider stands where the right method is on the path; nowhere if it is not on it.
  showPath() {
    const { steps } = this;
    const at = steps.findIndex(([m]) => m === this.index('right'));
    if (at >= 0) this.control('path').value = at;
    const value = at >= 0 ? tidy(steps[at][1]) : '\u2013';
    this.find('.path output').textContent = value;
    this.control('path').setAttribute('aria-valuetext', at >= 0 ? `${value}: ${this.view.right}` : 'not on the path');
  }

  showLinked() {
    const others = document.querySelectorAll('[data-arsr-viewer]').length > 1;
    this.find('.linked').hidden = !others && !this.view.linked;
  }

  named(side) {
    const m = this.index(side);
    const swatch = element('i', { className: 'swatch' });
    swatch.style.setProperty('--colour', this.colour(m));
    if (m >= COLOURS.length && m !== this.spec.reference) swatch.classList.add('dashed');
    const name = element('b', { textContent: this.view[side], title: this.view[side] });
    return element('span', { className: 'name' }, swatch, name);
  }

  colour(m) {
    if (m === this.spec.reference) return 'currentColor';
    return COLOURS[m % COLOURS.length];
  }

  showNames() {
    const { view, spec } = this;
    const wipe = view.mode === 'wipe';
    for (const side of ['left', 'right']) {
      const names = wipe && side === 'left' ? [this.named('left'), this.named('right')] : [this.named(side)];
      this.find(`.panel.${side} .names`).replaceChildren(...names);
      const shown = wipe ? `${view.left} left of the wipe, ${view.right} right of it` : `${view[side]}`;
      const what = `${shown}, ${LAYERS[view.layer].toLowerCase()}${spec.alt && `. ${spec.alt}`}`;
      this.find(`.screen.${side}`).setAttribute('aria-label', `${what}. Arrow keys walk the pixel, ? shows all keys.`);
      const m = this.index(side);
      const row = this.rows(m)?.[view.frame];
      const about = this.comparesFlow ? FLOW_LAYERS.includes(view.layer) : !FLOW_LAYERS.includes(view.layer);
      const mean = row && about ? `mean ${this.comparesFlow ? 'EPE' : 'error'} ${this.errorText(row[0])}` : '';
      const note = m === spec.reference ? 'reference' : mean;
      this.find(`.panel.${side} .note`).textContent = wipe ? '' : note;
    }
  }

  showLegend() {
    const { view } = this;
    const key = JSON.stringify([view.layer, view.scale, view.arrows, this.zoom]);
    if (key === this.legendKey) return;
    this.legendKey = key;
    this.find('.key').replaceChildren(...this.layerLegend(), ...(view.arrows ? [this.arrowLegend()] : []));
    this.find('.ranges').hidden = view.layer === 'frame';
  }

  layerLegend() {
    const { view, spec } = this;
    const reference = spec.labels[spec.reference];
    const bound = tidy(this.bound());
    const words = {
      frame: 'The frames as they are.',
      flow: `Flow to the next frame. Hue is direction, the rim is ${bound} px a frame, darker is faster.`,
      flow_error: `Flow error: distance to the flow of ${reference}.`,
      frame_error: `Frame error: mean difference of R, G and B to ${reference}.`,
      weight: `Motion weight of WMSE: length of the ${
        spec.exact ? 'exact flow' : `flow of ${reference}`}, the same on both sides.`,
      exact_flow: `The motion that really happens, the same on both sides. Hue is direction, the rim is ${bound} px a frame.`,
    };
    const text = element('p', { textContent: words[view.layer] });
    if (view.layer === 'frame') return [text];
    const canvas = element('canvas');
    canvas.setAttribute('role', 'img');
    if (WHEELS.includes(view.layer)) {
      Object.assign(canvas, { className: 'wheel', width: 144, height: 144 });
      canvas.setAttribute('aria-label', 'Colour wheel: red is to the right, yellow-green down, cyan left, violet up');
      this.painter.paintWheel(canvas);
      return [element('div', { className: 'row' }, canvas, text)];
    }
    const unit = { flow_error: 'px', frame_error: 'levels of 255', weight: 'px a frame' }[view.layer];
    canvas.className = 'scale';
    canvas.setAttribute('aria-label', `Colour scale: dark violet is 0, yellow is ${bound} ${unit} or more`);
    this.painter.paintScale(canvas);
    const ticks = ['0', tidy(this.bound() / 2), `${bound} ${unit}`];
    const spans = ticks.map((textContent) => element('span', { textContent }));
    return [text, canvas, element('div', { className: 'ticks' }, ...spans)];
  }

  arrowLegend() {
    const [wide, high, density] = [64, 16, 2];
    const canvas = element('canvas', { className: 'arrow', width: wide * density, height: high * density });
    const context = canvas.getContext('2d');
    context.scale(density, density);
    const factor = this.arrowFactor();
    const perPixel = factor * (this.zoom || 1);
    const lengths = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50];
    const length = lengths.filter((n) => n * perPixel <= wide - 12).pop() ?? 0.1;
    const path = new Path2D();
    addArrow(path, 5, high / 2, length * perPixel, 0);
    stroke(context, path);
    const times = factor === 1 ? 'as long as the motion' : `${tidy(factor)} times as long as the motion`;
    const text = element('p', { textContent: `${tidy(length)} px a frame; arrows are ${times}.` });
    return element('div', { className: 'row' }, canvas, text);
  }

  reading(look) {
    const { view, store, spec } = this;
    const [x, y] = view.picked;
    const at = 4 * (y * spec.width + x);
    const i = store.flowIndex(x, y);
    const of = (flow) => flow && [flow.u[i] / spec.unit, flow.v[i] / spec.unit];
    const [flow, trueFlow, motion] = [look.flow, look.trueFlow, look.motion].map(of);
    const rgb = look.pixels && [...look.pixels.subarray(at, at + 3)];
    const error = look.truePixels && rgb.reduce((sum, c, k) => sum + Math.abs(c - look.truePixels[at + k]), 0) / 3;
    const epe = flow && trueFlow && Math.hypot(flow[0] - trueFlow[0], flow[1] - trueFlow[1]);
    return { rgb, error, flow, epe, weight: motion && Math.hypot(...motion) };
  }

  showReading(left, right) {
    const card = this.find('.reading');
    const { view } = this;
    if (!view.picked) {
      const textContent = 'Click a pixel to read both methods there, or focus a picture and press the arrow keys.';
      card.replaceChildren(element('p', { className: 'hint', textContent }));
      return;
    }
    if (!card.querySelector('table')) card.replaceChildren(this.readingTable());
    const about = this.spec.loss ? '\u2248\u202f' : ''; // coded with loss
    const show = (value, text) => {
      if (value === undefined) return '\u2026'; // still loading
      return value === null ? '\u2013' : text(value);
    };
    const reads = [['left', this.reading(left)], ['right', this.reading(right)]];
    for (const [side, read] of reads) {
      const row = card.querySelector(`tr.${side}`);
      row.firstChild.replaceChildren(this.named(side));
      const texts = {
        rgb: show(read.rgb, (rgb) => about + rgb.join(' ')),
        error: show(read.error, (error) => about + number(error, 1)),
        flow: show(read.flow, ([u, v]) => `${number(u)}, ${number(v)}`),
        epe: show(read.epe, (epe) => number(epe)),
      };
      for (const cell of row.querySelectorAll('td')) cell.textContent = texts[cell.className];
    }
    const { weight } = reads[0][1];
    const heavy = typeof weight === 'number' ? `, motion weight ${number(weight)} px` : '';
    card.querySelector('caption').textContent = `Pixel (${view.picked.join(', ')}), frame ${view.frame}${heavy}`;
  }

  readingTable() {
    const columns = { rgb: 'R G B', error: 'error', ...(this.hasFlow && { flow: 'flow u, v', epe: 'EPE' }) };
    const heads = ['Method', ...Object.values(columns)].map((text) =>
      element('th', { scope: 'col', textContent: text }));
    const rows = ['left', 'right'].map((side) => element('tr', { className: side }, element('th', { scope: 'row' }),
      ...Object.keys(columns).map((name) => element('td', { className: name }))));
    const head = element('thead', {}, element('tr', {}, ...heads));
    return element('table', {}, element('caption'), head, element('tbody', {}, ...rows));
  }

  // Spoken a moment after the reader stops walking, never while frames play.
  sayReading() {
    clearTimeout(this.speech);
    this.speech = setTimeout(() => {
      const table = this.find('.reading table');
      if (!table || this.view.playing) return;
      const rows = [...table.querySelectorAll('tbody tr')].map((row) => {
        const get = (name) => row.querySelector(`.${name}`)?.textContent;
        const flow = this.hasFlow ? `, flow ${get('flow')}, EPE ${get('epe')}` : '';
        return `${row.firstChild.textContent}: RGB ${get('rgb')}${flow}`;
      });
      this.say(`${table.caption.textContent}. ${rows.join('. ')}.`);
    }, 500);
  }

  say(text) { this.find('[role="status"]').textContent = text; }

  rows(m) {
    const rows = this.summaries.get(m);
    return Array.isArray(rows) ? rows : null;
  }

  errorName() { return this.comparesFlow ? 'Mean flow error' : 'Mean frame error'; }

  // The values of all frames of a method in the chosen trace, null where there are none, or none yet.
  traced(m) {
    const { view, spec, source } = this;
    if (view.trace === 'error') {
      if (m !== spec.reference) this.summary(m);
      return this.rows(m)?.map(([mean]) => mean) ?? null;
    }
    const key = `${view.trace} ${m}`;
    if (!this.traces.has(key)) {
      this.traces.set(key, null);
      source.trace(view.trace, m).then((values) => {
        this.traces.set(key, values);
        this.repaint();
      }, (error) => this.failed(error));
    }
    return this.traces.get(key);
  }

  // A value of every frame over the slider, the two methods in full colour; errors start at 0.
  showCurve() {
    const { spec, view } = this;
    if (spec.labels.length === 1 || spec.count === 1) return;
    const chosen = [this.index('left'), this.index('right')];
    const wanted = this.source.live ? [...new Set(chosen)] : [...spec.labels.keys()];
    const known = wanted.map((m) => [m, this.traced(m)]).filter(([, values]) => values?.length > 1);
    const key = JSON.stringify([known.map(([m]) => m), chosen, view.trace]);
    if (key === this.curveKey || !known.length) return;
    this.curveKey = key;
    const every = known.flatMap(([, values]) => values);
    const low = view.trace === 'error' ? 0 : Math.min(...every);
    const high = Math.max(...every);
    const share = (value) => (high > low ? (value - low) / (high - low) : 0);
    const lines = known.sort(([a], [b]) => chosen.includes(a) - chosen.includes(b)).map(([m, values]) => {
      const points = values.map((value, t) => `${t},${(1 - share(value)).toFixed(4)}`).join(' ');
      const dash = DASHES[Math.floor(m / COLOURS.length) % DASHES.length];
      const kind = chosen.includes(m) ? 'chosen' : '';
      return `<polyline points="${points}" stroke="${this.colour(m)}" stroke-dasharray="${dash}" class="${kind}"/>`;
    });
    const curve = this.find('.curve');
    const box = `viewBox="0 -0.04 ${spec.count - 1} 1.08" preserveAspectRatio="none"`;
    curve.innerHTML = `<svg ${box}>${lines.join('')}</svg>`;
    const what = view.trace === 'error' ? `${this.errorName()}, up to ${this.errorText(high)}`
      : `${view.trace}, ${number(low)} to ${number(high)}`;
    const others = known.some(([m]) => !chosen.includes(m)) ? '; faint: other methods' : '';
    curve.append(element('span', { textContent: `${what}${others}` }));
  }

  // --- the temporal profile ---

  // Pixels along the line: indices into a frame's RGBA.
  lineIndices() {
    const [x0, y0, x1, y1] = this.view.line;
    const count = Math.round(Math.hypot(x1 - x0, y1 - y0)) + 1;
    return Array.from({ length: count }, (_, i) => {
      const share = count > 1 ? i / (count - 1) : 0;
      return 4 * (Math.round(y0 + share * (y1 - y0)) * this.spec.width + Math.round(x0 + share * (x1 - x0)));
    });
  }

  showProfile() {
    const box = this.find('.profile');
    const { view, spec } = this;
    box.hidden = !view.line;
    if (!view.line) return;
    if (!this.profiles) {
      this.profiles = { at: this.lineIndices(), images: new Map() };
      const count = this.profiles.at.length;
      const figures = ['left', 'right'].map((side) => {
        const canvas = element('canvas', { className: side, width: count, height: spec.count });
        canvas.style.height = `${clamp(spec.count * 6, 72, 320)}px`;
        canvas.setAttribute('role', 'img');
        return element('figure', {}, element('figcaption'), canvas);
      });
      box.querySelector('.pair').replaceChildren(...figures);
    }
    const { at, images } = this.profiles;
    for (const side of ['left', 'right']) {
      const m = this.index(side);
      if (!images.has(m)) images.set(m, { data: new ImageData(at.length, spec.count), filled: new Set() });
      const image = images.get(m);
      for (let t = 0; t <= view.frame; t += 1) {
        if (image.filled.has(t)) continue;
        const pixels = this.peek(m, t);
        if (!pixels) continue;
        at.forEach((from, i) => image.data.data.set(pixels.subarray(from, from + 4), 4 * (t * at.length + i)));
        image.filled.add(t);
      }
      const canvas = box.querySelector(`canvas.${side}`);
      const context = canvas.getContext('2d');
      context.clearRect(0, 0, at.length, spec.count);
      context.putImageData(image.data, 0, 0, 0, 0, at.length, view.frame + 1); // up to this frame
      const what = `Temporal profile of ${view[side]} along the line (${view.line.join(', ')})`;
      canvas.setAttribute('aria-label', `${what}, frames 0 to ${view.frame}`);
      canvas.previousSibling.replaceChildren(this.named(side));
    }
    this.fillProfile();
  }

  // A frame if it is there; in a page everything is, live frames come one after the other below.
  peek(m, t) {
    const absent = this.source.live && !this.store.kept.has(`frames ${m} ${t}`);
    return absent ? null : this.store.pixels(m, t);
  }

  // One missing frame of a live clip; the repaint that shows it asks for the next.
  async fillProfile() {
    if (this.filling || !this.source.live) return;
    const { store, view } = this;
    for (const m of [this.index('left'), this.index('right')]) {
      const { filled } = this.profiles.images.get(m);
      for (let t = 0; t <= view.frame; t += 1) {
        if (filled.has(t)) continue;
        this.filling = true;
        store.pixels(m, t);
        await store.loading.get(`frames ${m} ${t}`);
        this.filling = false;
        this.repaint();
        return;
      }
    }
  }

  profileClick(event) {
    const canvas = event.target.closest('canvas');
    if (!canvas) return;
    const area = canvas.getBoundingClientRect();
    const { at } = this.profiles;
    const i = clamp(Math.floor(((event.clientX - area.left) / area.width) * at.length), 0, at.length - 1);
    const t = clamp(Math.floor(((event.clientY - area.top) / area.height) * this.spec.count), 0, this.spec.count - 1);
    const pixel = at[i] / 4;
    this.set({ frame: t, picked: [pixel % this.spec.width, Math.floor(pixel / this.spec.width)] });
  }

  // --- scores ---

  showScores() {
    const { spec, view } = this;
    const box = this.find('.scores');
    const chosen = [this.index('left'), this.index('right')];
    box.hidden = !chosen.some((m) => spec.scores[m].length);
    const key = JSON.stringify(chosen.map((m) => [m, spec.scores[m]]));
    if (box.hidden || key === this.scoresKey) return;
    this.scoresKey = key;
    const before = ['left', 'right'].map((_, i) => this.bars(i));
    box.querySelector('.hint').textContent = `The three classes with the highest scores${
      spec.action === null ? '' : '; \u2713 marks the true class, shown with its rank'}.`;
    box.querySelector('.pair').replaceChildren(...['left', 'right'].map((side, i) => {
      const rows = spec.scores[chosen[i]];
      const none = element('p', { className: 'hint', textContent: 'No scores were given.' });
      return element('div', {}, this.named(side), ...(rows.length ? this.ranks(rows, view[side]) : [none]));
    }));
    if (reducedMotion()) return;
    before.forEach((old, i) => this.bars(i).forEach((bar, action) => { // from where the class was
      const [from, to] = [old.get(action), bar].map((b) => `${100 * (b?.style.getPropertyValue('--share') ?? 0)}%`);
      bar.animate([{ width: from }, { width: to }], { duration: 400, pseudoElement: '::before' });
    }));
  }

  // A side's bars by class, and stream where there are several.
  bars(i) {
    const items = this.find('.scores .pair').children[i]?.querySelectorAll('li') ?? [];
    return new Map([...items].map((li) => [li.dataset.key, li.querySelector('.score')]));
  }

  // A list of classes, or one for each stream.
  ranks(rows, name) {
    const streams = [...new Set(rows.map(([, , , stream]) => stream))];
    return streams.flatMap((stream) => {
      const list = this.ranking(rows.filter((row) => row[3] === stream), stream, name);
      return stream === undefined ? [list] : [element('h4', { textContent: `${stream} stream` }), list];
    });
  }

  ranking(rows, stream, name) {
    const all = this.spec.scores.flat().filter((row) => row[3] === stream).map(([, score]) => score); // one scale for all methods
    const [low, high] = [Math.min(0, ...all), Math.max(...all)];
    const list = element('ol', {}, ...rows.map(([action, score, rank]) => {
      const right = action === this.spec.action;
      const bar = element('span', { className: 'score' });
      bar.style.setProperty('--share', high > low ? (score - low) / (high - low) : 1);
      const item = element('li', { className: right ? 'right' : '', value: rank },
        element('span', { className: 'rank', textContent: `${rank}.` }),
        element('span', { className: 'class', textContent: action.replaceAll('_', ' ') + (right ? ' \u2713' : '') }),
        bar, element('span', { className: 'value', textContent: number(score) }));
      item.dataset.key = `${stream ?? ''} ${action}`;
      if (right) item.append(element('span', { className: 'hidden', textContent: ' (true class)' }));
      return item;
    }));
    list.setAttribute('aria-label', `Scores of the recogniser${stream ? `, ${stream} stream` : ''}, on ${name}`);
    return list;
  }

  // --- input ---

  input(target) {
    const { name, type, value, checked } = target;
    if (name === 'drawing') this.box.classList.toggle('drawing', checked);
    else if (type === 'checkbox') this.set({ [name]: checked });
    else if (name === 'path') this.set({ right: this.spec.labels[this.steps[Number(value)][0]] });
    else if (['left', 'right', 'layer', 'mode', 'trace'].includes(name)) this.set({ [name]: value });
    else if (name) this.set({ [name]: Number(value) });
  }

  press(name) {
    const { view, spec } = this;
    const actions = {
      swap: () => this.set({ left: view.right, right: view.left }),
      first: () => this.set({ frame: 0 }),
      back: () => this.step(-1),
      play: () => this.set({ playing: !view.playing }),
      next: () => this.step(1),
      last: () => this.set({ frame: spec.count - 1 }),
      worst: () => this.goToWorst(),
      save: () => this.savePicture(),
      link: () => this.copyLink(),
      full: () => (document.fullscreenElement ? document.exitFullscreen() : this.host.requestFullscreen()),
      help: () => this.find('dialog').showModal(),
      finer: () => this.set({ scale: Math.max(view.scale / 2, 1 / 64) }),
      coarser: () => this.set({ scale: Math.min(view.scale * 2, 64) }),
    };
    actions[name]?.();
  }

  key(event) {
    // the notebook's and the page's own shortcuts must not see what is typed here
    const chord = (event.ctrlKey || event.metaKey || event.altKey) && !event.getModifierState('AltGraph');
    if (chord) return;
    event.stopPropagation();
    if (this.find('dialog').open) return;
    const { view, spec } = this;
    const { target, key, shiftKey } = event;
    const inSelect = target.localName === 'select';
    const slider = target.type === 'range';
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (target.classList.contains('screen') && moves[key]) {
      const [x, y] = view.picked || [Math.floor(spec.width / 2), Math.floor(spec.height / 2)];
      const far = view.picked ? (shiftKey ? 10 : 1) : 0;
      this.pick(x + moves[key][0] * far, y + moves[key][1] * far);
      event.preventDefault();
      return;
    }
    if (inSelect || (slider && /^(Arrow|Home|End|Page)/.test(key))) return;
    if (key === ' ' && /^(button|input)$/.test(target.localName) && !slider) return;
    const actions = {
      ',': 'back', '.': 'next', Home: 'first', End: 'last', ' ': 'play', x: 'swap', g: 'worst', s: 'save', f: 'full',
      '?': 'help', '+': 'finer', '=': 'finer', '-': 'coarser', c: this.source.live ? null : 'link',
    };
    const layer = Object.keys(LAYERS)[Number(key) - 1];
    const others = {
      a: () => this.hasFlow && this.set({ arrows: !view.arrows }),
      z: () => this.set({ lens: LENSES[(LENSES.indexOf(view.lens) + 1) % LENSES.length] }),
      w: () => this.set({ mode: view.mode === 'wipe' ? 'side' : 'wipe' }),
      '[': () => this.set({ wipe: clamp(view.wipe - 2, 0, 100) }),
      ']': () => this.set({ wipe: clamp(view.wipe + 2, 0, 100) }),
      b: () => this.otherMethod('left', 1),
      B: () => this.otherMethod('left', -1),
      n: () => this.otherMethod('right', 1),
      N: () => this.otherMethod('right', -1),
      d: () => this.keyLine(),
      Escape: () => this.escape(),
    };
    if (layer) spec.layers.includes(layer) && this.set({ layer });
    else if (actions[key]) this.press(actions[key]);
    else if (others[key]) others[key]();
    else return;
    event.preventDefault();
  }

  keyLine() {
    const { view } = this;
    if (!view.picked) return this.toast('First choose a pixel: click, or press the arrow keys on a picture.');
    if (this.lineStart) {
      this.set({ line: [...this.lineStart, ...view.picked] });
      this.lineStart = null;
      this.say('The profile is shown.');
    } else {
      this.lineStart = [...view.picked];
      this.set({ line: null });
      this.toast('The line starts here. Walk to its end and press d again.');
    }
    return this.repaint();
  }

  escape() {
    if (this.lineStart || this.view.line) {
      this.lineStart = null;
      this.set({ line: null });
    } else {
      this.set({ picked: null });
    }
    this.repaint();
  }

  pixelAt(event, screen) {
    const area = screen.getBoundingClientRect();
    const { width, height } = this.spec;
    const x = Math.floor(((event.clientX - area.left) / area.width) * width);
    const y = Math.floor(((event.clientY - area.top) / area.height) * height);
    return [clamp(x, 0, width - 1), clamp(y, 0, height - 1)];
  }

  pointerDown(event, screen) {
    if (event.button) return;
    screen.setPointerCapture(event.pointerId);
    const at = this.pixelAt(event, screen);
    const area = screen.getBoundingClientRect();
    const fromWipe = Math.abs(event.clientX - area.left - (area.width * this.view.wipe) / 100);
    if (this.view.mode === 'wipe' && fromWipe < (event.pointerType === 'touch' ? 20 : 9)) this.drag = 'wipe';
    else if (event.shiftKey || this.control('drawing').checked) this.drag = 'line';
    else this.drag = 'pick';
    if (this.drag === 'line') this.dragged = [...at, ...at];
    // a finger that comes down may begin to scroll the page: it picks where it ends, or once it moves sideways
    this.finger = event.pointerType === 'touch' ? [event.clientX, event.clientY] : null;
    if (this.drag === 'pick' && !this.finger) this.pick(...at);
  }

  pointerMove(event, screen) {
    const at = this.pixelAt(event, screen);
    this.hover = event.pointerType === 'mouse' ? at : null;
    if (this.drag === 'wipe') {
      const area = screen.getBoundingClientRect();
      this.set({ wipe: Math.round(clamp(((event.clientX - area.left) / area.width) * 100, 0, 100) * 2) / 2 });
    } else if (this.drag === 'line') {
      this.dragged = [...this.dragged.slice(0, 2), ...at];
      this.repaint();
    } else if (this.drag === 'pick') {
      const [dx, dy] = (this.finger ?? []).map((from, i) => Math.abs(from - [event.clientX, event.clientY][i]));
      if (this.finger && dx > Math.max(8, dy)) this.finger = null;
      if (!this.finger) this.pick(...at);
    } else if (this.view.lens) {
      this.repaint();
    }
  }

  // event: none where the gesture became another.
  pointerUp(event, screen) {
    if (this.drag === 'pick' && this.finger && event) this.pick(...this.pixelAt(event, screen));
    if (this.drag === 'line' && event) {
      const [x0, y0, x1, y1] = this.dragged;
      if (x0 !== x1 || y0 !== y1) {
        this.set({ line: this.dragged });
        this.control('drawing').checked = false;
        this.box.classList.remove('drawing');
      }
    }
    this.drag = this.dragged = null;
    this.repaint();
  }

  // --- saving the view ---

  toast(text) {
    const box = this.find('.toast');
    box.textContent = text;
    box.hidden = false;
    clearTimeout(this.toasted);
    this.toasted = setTimeout(() => { box.hidden = true; }, 4000);
    this.say(text);
  }

  // Both pictures with what is drawn over them, their names, and the legend in words.
  picture() {
    const { view, spec } = this;
    const sides = view.mode === 'wipe' ? ['left'] : ['left', 'right'];
    const zoom = Math.max(1, Math.ceil(640 / spec.width));
    const [wide, high, bar, gap] = [spec.width * zoom, spec.height * zoom, 34, 8];
    const canvas = element('canvas', { width: sides.length * (wide + gap) - gap, height: high + 2 * bar });
    const context = canvas.getContext('2d');
    context.fillStyle = '#fff';
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = false;
    context.font = '600 18px system-ui, sans-serif';
    context.fillStyle = '#111';
    sides.forEach((side, i) => {
      const screen = this.find(`.screen.${side}`);
      const left = i * (wide + gap);
      const name = sides.length === 1 ? `${view.left} | ${view.right}` : view[side];
      context.fillText(name, left + 4, 23, wide - 8);
      context.drawImage(screen.querySelector('.picture'), left, bar, wide, high);
      context.drawImage(screen.querySelector('.overlay'), left, bar, wide, high);
    });
    context.font = '15px system-ui, sans-serif';
    const unit = view.layer === 'frame_error' ? 'levels' : 'px';
    const range = view.layer === 'frame' ? '' : `, colours from 0 to ${tidy(this.bound())} ${unit}`;
    const pixel = view.picked ? `, pixel (${view.picked.join(', ')})` : '';
    const text = `Frame ${view.frame}, ${LAYERS[view.layer].toLowerCase()}${range}${pixel}`;
    context.fillText(text, 4, high + bar + 22, canvas.width - 260);
    const key = this.find('.legend .wheel, .legend .scale');
    if (key) {
      const size = key.className === 'wheel' ? [bar - 4, bar - 4] : [240, 16];
      context.drawImage(key, canvas.width - size[0] - 4, high + bar + (bar - size[1]) / 2, ...size);
    }
    return canvas;
  }

  async savePicture() {
    this.paint();
    const { view } = this;
    const blob = await new Promise((done) => { this.picture().toBlob(done, 'image/png'); });
    const name = `${view.left} ${view.right} frame ${view.frame}`.replace(/[^\p{L}\p{N}]+/gu, '-');
    const link = element('a', { href: URL.createObjectURL(blob), download: `${name}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    this.toast('The view was saved as PNG.');
  }

  name() { return String([...document.querySelectorAll('arsr-viewer')].indexOf(this.host) + 1); }

  fragment() { return `#${this.query({ viewer: this.name() })}`; }

  // The view as a link holds it, behind what is given.
  query(first) {
    const query = new URLSearchParams(first);
    for (const name of LINKABLE) {
      const value = this.view[name];
      if (value !== null) query.set(name, Array.isArray(value) ? value.join(' ') : String(value));
    }
    return query;
  }

  // Restore what a link holds; whatever does not fit this viewer is left out.
  restore(fragment) {
    const query = new URLSearchParams(fragment.replace(/^#/, ''));
    if (query.get('viewer') !== this.name()) return;
    this.set(this.read(query));
    this.host.scrollIntoView({ block: 'center', behavior: 'instant' });
  }

  // The changes that a query asks for.
  read(query) {
    const { spec } = this;
    const between = (low, high) => (text) => {
      const value = Number(text);
      return text.trim() !== '' && value >= low && value <= high ? value : undefined;
    };
    const whole = (low, high) => (text) => (Number.isInteger(Number(text)) ? between(low, high)(text) : undefined);
    const among = (known) => (text) => (known.includes(text) ? text : undefined);
    const places = (count) => (text) => {
      const values = text.split(' ').map((part, i) => whole(0, (i % 2 ? spec.height : spec.width) - 1)(part));
      return values.length === count && !values.includes(undefined) ? values : undefined;
    };
    const read = {
      left: among(spec.labels),
      right: among(spec.labels),
      frame: whole(0, spec.count - 1),
      layer: among(spec.layers),
      opacity: whole(0, 100),
      scale: between(1 / 64, 64),
      arrows: (text) => text === 'true',
      mode: among(['side', 'wipe']),
      wipe: between(0, 100),
      lens: (text) => (LENSES.includes(Number(text)) ? Number(text) : undefined),
      picked: places(2),
      line: places(4),
    };
    const changes = {};
    for (const [name, parse] of Object.entries(read)) {
      const value = query.has(name) ? parse(query.get(name)) : undefined;
      if (value !== undefined) changes[name] = value;
    }
    return changes;
  }

  async copyLink() {
    const fragment = this.fragment();
    try {
      history.replaceState(null, '', fragment);
    } catch {
      location.hash = fragment;
    }
    const copied = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
    this.toast(copied ? 'A link to this view was copied.' : 'The link to this view is in the address bar.');
  }
}

function tidy(x) { return String(Number(x.toPrecision(3))); }

// ---------------------------------------------------------------------------------------------- hosts

function defineElement() {
  if (customElements.get('arsr-viewer')) return;
  customElements.define('arsr-viewer', class extends HTMLElement {
    connectedCallback() {
      if (this.viewer) {
        this.viewer.connect();
      } else if (document.readyState === 'loading') {
        document.addEventListener('DOMContentLoaded', () => this.open(), { once: true });
      } else {
        setTimeout(() => this.open());
      }
    }

    open() {
      const data = this.querySelector('script[type="application/json"]');
      if (this.viewer || !data || !this.isConnected) return;
      const payload = JSON.parse(data.textContent);
      data.remove();
      this.viewer = new ViewerUI(this, payload.spec, payload.view, embeddedSource(payload));
      this.viewer.restore(location.hash);
      window.addEventListener('hashchange', () => this.viewer.restore(location.hash));
    }

    disconnectedCallback() { this.viewer?.disconnect(); }
  });
}

const TRAITS = ['frame', 'left', 'right', 'layer', 'scale', 'mode', 'trace', 'picked', 'line']; // that Python knows

function renderWidget({ model, el }) {
  const host = element('div');
  host.setAttribute('data-lm-suppress-shortcuts', 'true');
  el.append(host);
  const source = kernelSource(model, model.get('spec'));
  const view = Object.fromEntries(TRAITS.map((name) => [name, model.get(name)]));
  // Python hears of a change a moment after the reader stops moving
  let timer = null;
  const moved = (name, value) => {
    if (!TRAITS.includes(name)) return;
    model.set(name, value);
    clearTimeout(timer);
    timer = setTimeout(() => model.save_changes(), 120);
  };
  const viewer = new ViewerUI(host, model.get('spec'), view, source, moved);
  const listeners = TRAITS.map((name) => [`change:${name}`, () => viewer.set({ [name]: model.get(name) }, false)]);
  for (const [event, listener] of listeners) model.on(event, listener);
  return () => {
    viewer.disconnect();
    source.close();
    for (const [event, listener] of listeners) model.off(event, listener);
  };
}
