// The laboratory's worker: all that takes time, so that the page never freezes.
//
// The page sends {id, ask, ...} and gets {id, value} or {id, error}. Frames are made when they are first asked for, and
// kept. Methods: hr, the clip; lr, its pixels as squares; bicubic; or a network by its name.

let clip = null; // {width, height, hr: frames}
let settings = { scale: 4, noise: 0, jpeg: 100 };
const made = new Map(); // 'method t', 'flow method t': frames and flows, or promises of them
const sessions = new Map(); // network: {session, frames}
let provider = 'wasm'; // what runs the networks
const SAME = 1e-3; // colours in [0, 1] and scores: how far WebGPU may be from the processor
let PROTOCOL = null;

const once = (key, make) => {
  if (!made.has(key)) {
    const promise = make();
    made.set(key, promise);
    promise.catch(() => made.delete(key));
  }
  return made.get(key);
};

// --- frames ---

// The LR frame: shrunk, then noisy, then coded, as in a camera.
const lr = (t) => once(`small ${t}`, async () => {
  const { scale, noise, jpeg } = settings;
  let frame = imresize(clip.hr[t], Math.round(clip.width / scale), Math.round(clip.height / scale));
  if (noise) frame = withNoise(frame, noise, t);
  return jpeg < 100 ? coded(frame, jpeg / 100) : frame;
});

// What is left of a frame after the browser's JPEG.
async function coded(frame, quality) {
  const { width, height } = frame;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.putImageData(new ImageData(toRGBA(frame), width, height), 0, 0);
  const picture = await createImageBitmap(await canvas.convertToBlob({ type: 'image/jpeg', quality }));
  context.drawImage(picture, 0, 0);
  return fromRGBA(context.getImageData(0, 0, width, height).data, width, height);
}

const frame = (method, t) => once(`${method} ${t}`, async () => {
  if (method === 'hr') return clip.hr[t];
  const small = await lr(t);
  if (method === 'lr') return enlarge(small, clip.width, clip.height);
  const start = performance.now();
  const four = method === 'bicubic'
    ? imresize(small, 4 * small.width, 4 * small.height, false) : await upscaled(method, t);
  const ms = performance.now() - start;
  return Object.assign(imresize(four, clip.width, clip.height), { ms }); // of x2 and x3: back to the size of HR
});

const input = (frames, height, width) => [1, ...(frames > 1 ? [frames] : []), 3, height, width];

// A network's frame; one of several frames sees its neighbours, beyond the ends the last again.
async function upscaled(method, t) {
  const { frames } = sessions.get(method);
  const inside = (number) => Math.min(clip.hr.length - 1, Math.max(0, number));
  const numbers = Array.from({ length: frames }, (_, i) => inside(t + i - (frames >> 1)));
  const window = await Promise.all(numbers.map(lr));
  const { width, height } = window[0];
  const y = await run(method, window.map(toFloat), input(frames, height, width));
  return fromFloat(y.data, y.dims[3], y.dims[2]);
}

const flow = (method, t) => once(`flow ${method} ${t}`, async () => {
  const [one, two] = [toGrey(await frame(method, t)), toGrey(await frame(method, t + 1))];
  return tvl1(one, two, clip.width, clip.height);
});

async function run(name, parts, dims) {
  const x = new Float32Array(dims.reduce((a, b) => a * b));
  parts.forEach((part, i) => x.set(part, i * part.length));
  return graphically(() => computed(sessions.get(name).session, x, dims));
}

// One run at a time: on WebGPU a second one would disturb the first.
let last = Promise.resolve();
function computed(session, x, dims) {
  const now = last.then(async () => (await session.run({ x: new ort.Tensor('float32', x, dims) })).y);
  last = now.catch(() => {});
  return now;
}

// --- WebGPU where there is one ---

class GraphicsError extends Error {} // WebGPU failed: its engine is of no more use, the processor's may be

const graphically = (work) => work().catch((error) => {
  throw provider === 'webgpu' ? new GraphicsError(error?.message ?? 'it stopped') : error;
});

const created = (bytes, by) => ort.InferenceSession.create(bytes, { executionProviders: [by] });

// A session on the graphics processor, if it computes what the processor does.
async function graphicsSession(bytes, dims) {
  const [session, other] = [await created(bytes, 'webgpu'), await created(bytes, 'wasm')];
  const x = Float32Array.from({ length: dims.reduce((a, b) => a * b) }, (_, i) => ((i * 7919) % 256) / 255);
  const [one, two] = [(await computed(session, x, dims)).data, (await computed(other, x, dims)).data];
  await other.release();
  if (!one.every((value, i) => Math.abs(value - two[i]) < SAME)) throw new Error('it gives other numbers');
  return session;
}

// --- the recogniser, under the protocol "lite" of arsr_core.recognition ---

// Where the snippets of a clip begin.
function starts(count, length) {
  const step = Math.floor((count - length) / (PROTOCOL.snippets - 1));
  return Array.from({ length: PROTOCOL.snippets }, (_, i) => i * step);
}

// The centre of planes of width x height, each value as `level` makes it, over 255.
function centre(planes, width, height, level) {
  const side = PROTOCOL.crop;
  const [top, left] = [Math.floor((height - side) / 2), Math.floor((width - side) / 2)];
  const out = new Float32Array(planes.length * side * side);
  planes.forEach((plane, c) => {
    for (let y = 0; y < side; y += 1) {
      for (let x = 0; x < side; x += 1) {
        out[(c * side + y) * side + x] = level(plane[(top + y) * width + left + x]) / 255;
      }
    }
  });
  return out;
}

// flow.encode_uint8: [-bound, bound] pixels -> 0 ... 255, rounded half to even.
function eightBits(x) {
  const value = (255 * (x + PROTOCOL.bound)) / (2 * PROTOCOL.bound);
  const below = Math.floor(value);
  const odd = below % 2 !== 0;
  const up = value - below > 0.5 || (value - below === 0.5 && odd);
  return Math.min(255, Math.max(0, below + up));
}

const SNIPPETS = {
  spatial: (method) => starts(clip.hr.length, 1).map(async (t) => {
    const [height, width] = PROTOCOL.size;
    const { data } = bilinear(await frame(method, t), width, height);
    const size = width * height;
    return centre([0, 1, 2].map((c) => data.subarray(c * size, (c + 1) * size)), width, height, (x) => x);
  }),
  temporal: (method) => starts(clip.hr.length - 1, PROTOCOL.flow_frames).map(async (first) => {
    const planes = [];
    for (let i = 0; i < PROTOCOL.flow_frames; i += 1) {
      const { u, v } = await flow(method, first + i);
      planes.push(u, v);
    }
    return centre(planes, clip.width, clip.height, eightBits);
  }),
};

const clipInput = (stream) =>
  [PROTOCOL.snippets, stream === 'spatial' ? 3 : 2 * PROTOCOL.flow_frames, PROTOCOL.crop, PROTOCOL.crop];

// --- what the page asks ---

const asks = {
  // The graphics processor, if the browser has WebGPU, and can wait for it inside WebAssembly.
  async graphics() {
    const adapter = 'Suspending' in WebAssembly ? await navigator.gpu?.requestAdapter().catch(() => null) : null;
    if (!adapter) return null;
    const { description, vendor, architecture, isFallbackAdapter } = adapter.info;
    return { title: description || [vendor, architecture].join(' ').trim(), imitated: isFallbackAdapter };
  },

  async engine({ by, parts: [script, glue, wasm] }) {
    const url = (bytes) => URL.createObjectURL(new Blob([bytes], { type: 'text/javascript' }));
    importScripts(url(script));
    // threads share memory, which a page may do only where it is isolated from others
    const threads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
    ort.env.logLevel = 'error';
    Object.assign(ort.env.wasm, { numThreads: threads, wasmBinary: wasm.buffer, wasmPaths: { mjs: url(glue) } });
    provider = by;
    return { threads };
  },

  async network({ name, frames, bytes }) {
    const small = frames ? input(frames, 12, 16) : clipInput(name);
    const session = await graphically(() => (provider === 'wasm' ? created(bytes, 'wasm') : graphicsSession(bytes, small)));
    sessions.set(name, { session, frames });
  },

  // frames: RGBA of each
  clip({ frames, width, height, protocol }) {
    made.clear();
    PROTOCOL = protocol;
    clip = { width, height, hr: frames.map((rgba) => fromRGBA(rgba, width, height)) };
  },

  degrade(wanted) {
    settings = wanted;
    for (const key of [...made.keys()]) if (!/^(flow )?hr /.test(key)) made.delete(key);
  },

  async frame({ method, t }) {
    const found = await frame(method, t);
    const [hr, error] = [clip.hr[t], new Float32Array(clip.width * clip.height)];
    const size = error.length;
    for (let i = 0; i < 3 * size; i += 1) error[i % size] += Math.abs(found.data[i] - hr.data[i]) / 3;
    return {
      pixels: toRGBA(found), psnr: psnr(found, hr), ssim: ssim(found, hr), ms: found.ms ?? 0,
      row: peak(error, clip.width, clip.height, 9),
    };
  },

  // the flow as one array, and how far it is from that of HR
  async flow({ method, t }) {
    const [{ u, v }, hr] = [await flow(method, t), await flow('hr', t)];
    const vectors = new Float32Array(2 * u.length);
    vectors.set(u);
    vectors.set(v, u.length);
    return { vectors, row: peak(u.map((x, i) => Math.hypot(x - hr.u[i], v[i] - hr.v[i])), clip.width, clip.height, 9) };
  },

  // mean scores over the snippets, before softmax
  async scores({ method, stream }) {
    const parts = await Promise.all(SNIPPETS[stream](method));
    return [...(await run(stream, parts, clipInput(stream))).data];
  },
};

self.onmessage = async ({ data: { id, ask, ...given } }) => {
  try {
    self.postMessage({ id, value: await asks[ask](given) });
  } catch (error) {
    self.postMessage({ id, error: String(error?.message ?? error), graphics: error instanceof GraphicsError });
  }
};
