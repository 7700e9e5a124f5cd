// The laboratory's page: what the reader chooses, the worker that computes it, and the viewer that shows it.
//
//   Door     questions to the worker, those of the reader first
//   Lab      the state, the viewer's source, the table and the sentence

const MEASURED = ['spatial', 'temporal'];
const FUSION = [1, 1.5]; // arsr_core.recognition.fusion.WEIGHTS
const BOUNDS = { flow: 3, weight: 3, flow_error: 1, frame_error: 30 }; // where the viewer's colours end
const OWN = 'own';
const NEEDED = ['Worker', 'DecompressionStream', 'OffscreenCanvas', 'createImageBitmap'];
const get = (id) => document.getElementById(id);

// ---------------------------------------------------------------------------------------------- the worker

class Door {
  constructor(shown, graphicsFailed) {
    Object.assign(this, { shown, graphicsFailed }); // shown: whether a method is on the screen: others wait
    this.queue = [];
    this.busy = null;
    this.last = 0;
    this.worker = new Worker(URL.createObjectURL(new Blob([WORKER], { type: 'text/javascript' })));
    this.worker.onmessage = ({ data }) => this.answered(data);
    this.worker.onerror = (event) => this.answered({ error: event.message || 'the worker stopped' });
  }

  // urgent: before all that waits in the background.
  ask(ask, given = {}, urgent = true) {
    return new Promise((resolve, reject) => {
      this.queue.push({ ask, given, urgent, resolve, reject });
      this.next();
    });
  }

  // What was asked of the clip is no longer wanted, and nobody gets an answer; engine and networks are.
  forget() {
    this.queue = this.queue.filter(({ given }) => !given.method);
    if (this.busy?.given.method) Object.assign(this.busy, { resolve: null, reject: null });
  }

  next() {
    if (this.busy) return;
    const waiting = this.queue.filter(({ given, urgent }) => urgent || !given.method || this.shown(given.method));
    const chosen = waiting.find(({ urgent }) => urgent) ?? waiting[0];
    if (!chosen) return;
    this.queue.splice(this.queue.indexOf(chosen), 1);
    this.busy = chosen;
    this.worker.postMessage({ id: (this.last += 1), ask: chosen.ask, ...chosen.given });
  }

  answered({ value, error, graphics }) {
    if (graphics) {
      this.graphicsFailed(error); // all is asked again, of another door
      return;
    }
    const { resolve, reject } = this.busy ?? {};
    this.busy = null;
    if (error === undefined) resolve?.(value);
    else reject?.(new Error(error));
    this.next();
  }
}

function friendly(error) {
  if (error instanceof Unreadable) return error.message;
  const text = String(error?.message ?? error);
  const memory = 'Too little memory for this; close other pages, or choose the smaller size.';
  if (/memory|alloc|Array buffer|OOM/i.test(text)) return memory;
  return `This went wrong: ${text}. Choose something else, or load the page again.`;
}

// ---------------------------------------------------------------------------------------------- the laboratory

class Lab {
  constructor(index) {
    this.index = index;
    const plain = { hr: 'HR', lr: 'LR', bicubic: 'Bicubic' };
    this.methods = [...Object.entries(plain).map(([name, title]) => ({ name, title })), ...index.networks];
    this.state = { clip: index.clips[0].name, scale: 4, noise: 0, jpeg: 100, stream: 'fused', engine: 'auto' };
    const right = this.methods.find(({ name }) => name === 'srgan') ?? this.methods.at(-1);
    const sides = { left: 'Bicubic', right: right.title };
    this.view = { frame: 0, layer: 'frame', scale: 1, mode: 'side', picked: null, line: null, ...sides };
    this.assets = new Assets(index.assets, (text) => this.tell(text));
    this.networks = new Map(); // name: a promise of its session
    this.outcomes = new Map(); // name: what was measured of it
    this.times = {};
    const query = new URLSearchParams(location.hash.slice(1));
    document.body.classList.toggle('bare', query.has('bare')); // within the page of the clips: the pictures alone
    this.build();
    this.restore();
    window.addEventListener('hashchange', () => this.restore());
    if (query.has('bare') || query.has('start')) this.start();
    const told = new ResizeObserver(() => parent.postMessage({ height: document.body.offsetHeight }, '*'));
    if (query.has('bare')) told.observe(document.body);
  }

  // --- the controls ---

  build() {
    get('clips').append(...this.index.clips.map((clip) => this.thumb(clip)));
    document.addEventListener('input', ({ target }) => this.input(target));
    get('file').addEventListener('change', ({ target }) => {
      if (target.files[0]) this.own((size, told) => readFile(target.files[0], size, told));
      target.value = '';
    });
    get('open').addEventListener('click', () => get('file').click());
    get('camera').addEventListener('click', () => this.own(readCamera));
    get('start').addEventListener('click', () => this.start());
    document.addEventListener('dragover', (event) => event.preventDefault());
    document.addEventListener('drop', (event) => {
      event.preventDefault();
      const file = event.dataTransfer.files[0];
      if (file) this.own((size, told) => readFile(file, size, told));
      else this.complain('What was dropped is no file; drop a picture or a video.');
    });
    this.showControls();
  }

  thumb({ name, title, poster }) {
    const input = element('input', { type: 'radio', name: 'clip', value: name });
    const picture = poster ? [element('img', { src: poster, alt: '', width: 80, height: 60 })] : [];
    const text = element('span', { textContent: title });
    return element('label', { className: 'clip' }, input, element('span', {}, ...picture, text));
  }

  // One of the book's clips, or of those of the benchmark, which have a place in the list when a link names them.
  known(name) {
    const shown = this.index.clips.find((clip) => clip.name === name);
    if (shown || !this.index.studied[name]) return shown;
    const action = this.index.studied[name];
    const title = `${action.replaceAll('_', ' ')}, ${name}`;
    const clip = { name, action, title, alt: `A drawn puppet: ${title}` };
    this.index.clips.push(clip);
    get('clips').append(this.thumb(clip));
    return clip;
  }

  input({ name, value }) {
    if (!(name in this.state)) return;
    this.state[name] = /^\d+$/.test(value) ? Number(value) : value;
    this.showControls();
    if (!this.door) return;
    if (name === 'clip') this.open();
    else if (name === 'stream') this.show();
    else if (name === 'engine') this.restart();
    else {
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => this.degrade(), 250); // while a slider moves nothing is computed
    }
  }

  showControls() {
    const { clip, scale, noise, jpeg, stream, engine } = this.state;
    for (const input of document.querySelectorAll('[name="clip"]')) input.checked = input.value === clip;
    for (const input of document.querySelectorAll('[name="scale"]')) input.checked = Number(input.value) === scale;
    Object.entries({ noise, jpeg, stream, engine }).forEach(([name, value]) => { get(name).value = value; });
    get('noise-text').textContent = noise ? `${noise} of 255 levels` : 'none';
    get('jpeg-text').textContent = jpeg < 100 ? `quality ${jpeg}` : 'none';
    get('noise').setAttribute('aria-valuetext', get('noise-text').textContent);
    get('jpeg').setAttribute('aria-valuetext', get('jpeg-text').textContent);
  }

  tell(text) { get('progress').textContent = text; }

  complain(text) {
    get('trouble').textContent = text;
    get('trouble').hidden = !text;
  }

  // --- the state in the address ---

  restore() {
    const query = new URLSearchParams(location.hash.slice(1));
    const allowed = {
      clip: (text) => this.known(text),
      scale: (text) => ['2', '3', '4'].includes(text),
      noise: (text) => /^\d+$/.test(text) && Number(text) <= 25,
      jpeg: (text) => /^\d+$/.test(text) && Number(text) >= 10 && Number(text) <= 100,
      stream: (text) => [...MEASURED, 'fused'].includes(text),
      engine: (text) => ['auto', 'webgpu', 'wasm'].includes(text),
    };
    const before = JSON.stringify(this.state);
    for (const [name, fits] of Object.entries(allowed)) {
      const text = query.get(name === 'scale' ? 'times' : name);
      if (text !== null && fits(text)) this.state[name] = /^\d+$/.test(text) ? Number(text) : text;
    }
    for (const side of ['left', 'right']) { // methods by name or title
      const found = this.methods.find(({ name, title }) => [name, title].includes(query.get(side)));
      if (found) query.set(side, found.title);
    }
    this.wanted = query;
    this.showControls();
    if (!this.door) return;
    if (JSON.stringify(this.state) !== before) this.open();
    else this.viewer?.set(this.viewer.read(query));
  }

  remember() {
    clearTimeout(this.remembering);
    this.remembering = setTimeout(() => {
      const { clip, scale, noise, jpeg, stream, engine } = this.state;
      const query = this.viewer.query({ clip, times: scale, noise, jpeg, stream, engine });
      for (const side of ['left', 'right']) query.set(side, this.method(this.viewer.view[side]).name);
      try {
        history.replaceState(null, '', `#${query}`);
      } catch { /* a browser that lets no file: page do that: the address stays */ }
    }, 400);
  }

  method(title) { return this.methods.find((one) => one.title === title); }

  // --- what is looked at ---

  start() {
    const lacking = NEEDED.filter((name) => !(name in window));
    if (lacking.length) {
      this.complain(`This browser has no ${lacking[0]}, which the laboratory needs; try a newer one.`);
      return;
    }
    this.times.start = performance.now();
    get('ready').hidden = true;
    get('bench').hidden = false;
    this.restart();
  }

  leaveGraphics(reason) {
    this.graphicsFailed = `WebGPU failed (${reason.split('\n')[0].slice(0, 80)}). `;
    this.restart();
  }

  // A new worker, in which nothing is left of the one before.
  restart() {
    this.door?.worker.terminate();
    this.engine = null;
    this.spent = false;
    this.networks.clear();
    const shown = (method) => method === 'hr' || this.sides().includes(method);
    try {
      this.door = new Door(shown, (reason) => this.leaveGraphics(reason));
    } catch (error) {
      this.complain(`This browser starts no worker (${error.message}); try another browser.`);
      return;
    }
    this.open();
  }

  sides() { return ['left', 'right'].map((side) => this.method(this.viewer?.view[side] ?? this.view[side]).name); }

  async own(read) {
    this.complain('');
    if (!this.door) this.start();
    if (!this.door) return;
    const [width, height] = get('size').value.split('x').map(Number);
    try {
      this.footage = await read({ width, height }, (text) => this.tell(text));
      this.state.clip = OWN;
      this.showControls();
      await this.open();
    } catch (error) {
      this.complain(friendly(error));
      this.tell('');
    }
  }

  // What was asked before has no answer any more.
  begin() {
    this.round = {};
    this.door.forget();
    this.complain('');
    this.asked = null;
  }

  async open() {
    if (this.spent) {
      this.restart();
      return;
    }
    this.begin();
    const wanted = this.state.clip;
    try {
      const found = wanted === OWN ? this.footage : await this.embedded(wanted);
      if (wanted !== this.state.clip) return; // the reader has chosen another meanwhile
      const own = { action: null, alt: 'Your own footage' };
      const { action, alt } = this.known(wanted) ?? own;
      this.clip = { ...found, action, alt };
      this.outcomes = new Map();
      const { width, height, frames } = found;
      const { protocol } = this.index;
      await Promise.all([
        this.door.ask('clip', { width, height, protocol, frames }),
        this.door.ask('degrade', this.degradation()),
      ]);
      this.look();
    } catch (error) {
      this.complain(friendly(error));
    }
  }

  async embedded(name) {
    const [width, height] = [this.index.width, this.index.height];
    const rgba = await decodePicture(await this.assets.load(`clip-${name}`, 'the clip'), { loss: '' });
    const size = 4 * width * height;
    const count = rgba.length / size;
    return { width, height, frames: Array.from({ length: count }, (_, t) => rgba.slice(t * size, (t + 1) * size)) };
  }

  degradation() {
    const { scale, noise, jpeg } = this.state;
    return { scale, noise, jpeg };
  }

  async degrade() {
    this.begin();
    for (const name of [...this.outcomes.keys()]) if (name !== 'hr') this.outcomes.delete(name);
    await this.door.ask('degrade', this.degradation());
    if (!this.viewer) return; // the first clip is still on its way
    this.viewer.spec.scores = this.methods.map(() => []);
    this.viewer.renew();
    this.show();
  }

  // A viewer of the clip; the reader's view of the one before is kept.
  look() {
    const { width, height, frames } = this.clip;
    const before = this.viewer?.view ?? this.view;
    this.viewer?.disconnect();
    const moving = frames.length > 1;
    const layers = moving ? ['frame', 'flow', 'flow_error', 'frame_error', 'weight'] : ['frame', 'frame_error'];
    const spec = {
      width, height, count: frames.length, labels: this.methods.map(({ title }) => title), reference: 0, layers,
      flows: this.methods.map(({ name }) => moving && name !== 'lr'), bounds: BOUNDS, peakSide: 9,
      wheel: this.index.wheel, viridis: this.index.viridis, scores: this.methods.map(() => []),
      action: this.clip.action, rows: 1, stride: 1, unit: 1, loss: '',
      alt: this.clip.alt,
    };
    const frame = Math.min(before.frame, frames.length - 1);
    const view = { ...before, frame, picked: null, line: null, playing: false };
    if (!layers.includes(view.layer)) view.layer = 'frame';
    this.viewer = new ViewerUI(get('viewer'), spec, view, this.source(), (name) => this.moved(name));
    this.viewer.set(this.viewer.read(this.wanted ?? new URLSearchParams()));
    this.wanted = null;
    this.show();
  }

  moved(name) {
    if (name === 'left' || name === 'right') {
      this.door.next();
      this.show();
    }
    this.remember();
  }

  // What the viewer asks for. Only `live` sources give frame by frame.
  source() {
    const moving = this.clip.frames.length > 1;
    return {
      live: true,
      pixels: (m, t) => this.frame(this.methods[m].name, t),
      flow: async (m, t) => (await this.flow(this.methods[m].name, t)).vectors,
      summary: (m) => this.measure(this.methods[m].name, moving),
    };
  }

  outcome(name) {
    const fresh = () => ({ psnr: [], ssim: [], ms: [], rows: [], scores: {} });
    if (!this.outcomes.has(name)) this.outcomes.set(name, fresh());
    return this.outcomes.get(name);
  }

  async frame(name, t, urgent = true) {
    const outcome = this.outcome(name);
    try {
      await this.ready(name);
      const found = await this.door.ask('frame', { method: name, t }, urgent);
      Object.assign(outcome.psnr, { [t]: found.psnr });
      Object.assign(outcome.ssim, { [t]: found.ssim });
      Object.assign(outcome.ms, { [t]: found.ms });
      this.showSoon();
      this.times[name] ??= performance.now();
      return urgent ? found.pixels : found;
    } catch (error) {
      this.complain(friendly(error));
      this.spent = !(error instanceof Unreadable); // the next clip gets a new worker
      throw new Error('This picture could not be made.');
    }
  }

  async flow(name, t, urgent = true) {
    const outcome = this.outcome(name); // another takes its place when the reader changes something
    await this.ready(name);
    const found = await this.door.ask('flow', { method: name, t }, urgent);
    outcome.rows[t] = found.row;
    this.showSoon();
    return found;
  }

  // All that is known of a method, in the background: frames, answers, flow; returns the rows of the viewer's curve.
  async measure(name, moving) {
    const { clip } = this;
    const rows = [];
    for (const t of clip.frames.keys()) rows.push((await this.frame(name, t, false)).row);
    if (!moving) return rows;
    const asks = clip.action && name !== 'lr';
    if (asks) await this.score(name, 'spatial');
    if (name === 'lr') return [];
    for (let t = 0; t < clip.frames.length - 1; t += 1) rows[t] = (await this.flow(name, t, false)).row;
    if (asks) await this.score(name, 'temporal');
    return rows.slice(0, -1);
  }

  async score(name, stream) {
    const { scores } = this.outcome(name);
    await this.ready(stream);
    scores[stream] = await this.door.ask('scores', { method: name, stream }, false);
    const { spatial, temporal } = scores;
    const fused = (x, i) => (FUSION[0] * x + FUSION[1] * temporal[i]) / (FUSION[0] + FUSION[1]);
    if (spatial && temporal) scores.fused = spatial.map(fused);
    this.show();
    if (name !== 'hr') await this.reference(stream);
  }

  // HR's own answer, to compare with.
  async reference(stream) {
    if (this.outcome('hr').scores[stream] || this.asked === `${this.clip.action} ${stream}`) return;
    this.asked = `${this.clip.action} ${stream}`;
    await this.score('hr', stream);
  }

  // Waits for a network; never ends if the reader has changed something meanwhile.
  async ready(name) {
    const { round } = this;
    await this.network(name);
    if (round !== this.round) await new Promise(() => {});
  }

  // A network's session; the first one loads the engine.
  network(name) {
    if (['hr', 'lr', 'bicubic'].includes(name)) return null;
    if (!this.networks.has(name)) {
      const promise = this.load(name);
      this.networks.set(name, promise);
      promise.catch(() => this.networks.delete(name));
    }
    return this.networks.get(name);
  }

  async load(name) {
    const { door } = this; // a later one has another engine
    this.engine ??= this.loadEngine(door);
    const title = this.methods.find((method) => method.name === name)?.title ?? 'the recogniser';
    const [bytes] = await Promise.all([this.assets.load(`net-${name}`, title), this.engine]);
    const frames = this.methods.find((method) => method.name === name)?.frames ?? 0; // none: the recogniser
    await door.ask('network', { name, bytes, frames });
    this.tell('');
  }

  async loadEngine(door) {
    if (typeof WebAssembly === 'undefined') {
      throw new Unreadable('The networks need WebAssembly, which this browser lacks; HR, LR and Bicubic work.');
    }
    const { engine } = this.state;
    const graphics = engine === 'wasm' || this.graphicsFailed ? null : await door.ask('graphics');
    const by = graphics && (engine === 'webgpu' || !graphics.imitated) ? 'webgpu' : 'wasm';
    const parts = [0, 1, 2].map((part) => this.assets.load(`${by}-${part}`, 'the engine'));
    const { threads } = await door.ask('engine', { by, parts: await Promise.all(parts) });
    const many = threads === 1 ? 'one thread' : `${threads} threads`;
    const processor = `on this machine's processor, in ${many}`;
    const missing = engine === 'webgpu' && !graphics ? 'This browser has no WebGPU that serves here. ' : '';
    get('where').textContent = by === 'wasm' ? `${this.graphicsFailed ?? missing}They run ${processor}.`
      : `They run on the graphics processor (WebGPU, ${graphics.title}); flow and measures ${processor}.`;
  }

  // --- the table and the sentence ---

  showSoon() {
    this.soon ??= setTimeout(() => {
      this.soon = null;
      this.show();
    }, 300);
  }

  summed(name) {
    const { psnr, ssim, ms, rows, scores } = this.outcome(name);
    const mean = (list) => {
      const known = list.filter((x) => x !== undefined);
      return known.length ? known.reduce((a, b) => a + b) / known.length : NaN;
    };
    const answer = Object.fromEntries(Object.entries(scores).map(([stream, all]) =>
      [stream, this.index.actions[all.indexOf(Math.max(...all))]]));
    const { title } = this.methods.find((method) => method.name === name);
    const frames = psnr.filter((x) => x !== undefined).length;
    const pairs = rows.filter((x) => x !== undefined).length;
    const epe = mean(rows.map((row) => row?.[0]));
    return { title, frames, pairs, psnr: mean(psnr), ssim: mean(ssim), ms: mean(ms), epe, answer };
  }

  show() {
    if (!this.viewer) return;
    const { action, frames } = this.clip;
    const { stream } = this.state;
    const names = [...new Set(this.sides())];
    const found = names.map((name) => [name, this.summed(name)]);
    const text = (value, digits, unit) => {
      if (Number.isNaN(value)) return '\u2026'; // not yet
      return Number.isFinite(value) ? `${value.toFixed(digits)} ${unit}`.trim() : 'equal';
    };
    const cell = (textContent, className = '') => element('td', { textContent, className });
    const asked = (name, answer) => {
      if (!action || name === 'lr') return cell('\u2013');
      if (!answer[stream]) return cell('\u2026');
      const right = answer[stream] === action;
      return cell(`${answer[stream].replaceAll('_', ' ')} ${right ? '\u2713' : '\u2717'}`, right ? 'right' : 'wrong');
    };
    const moves = (name) => frames.length > 1 && name !== 'lr';
    const head = (textContent, scope) => element('th', { textContent, scope });
    const row = (title, made) => element('tr', {}, head(title, 'row'), ...found.map(([name, one]) => made(one, name)));
    get('columns').replaceChildren(element('td'), ...found.map(([, one]) => head(one.title, 'col')));
    get('rows').replaceChildren(
      row('PSNR', (one) => cell(text(one.psnr, 2, 'dB'))),
      row('SSIM', (one) => cell(text(one.ssim, 4, ''))),
      row('Flow off by', (one, name) => cell(moves(name) ? text(one.epe, 3, 'px') : '\u2013')),
      row('Recogniser says', (one, name) => asked(name, one.answer)),
      row('A frame takes', (one) => cell(one.ms > 0 ? `${one.ms.toFixed(0)} ms` : '\u2013')),
    );
    const least = Math.min(...found.map(([, one]) => one.frames));
    const pairs = Math.min(...found.filter(([name]) => name !== 'lr').map(([, one]) => one.pairs));
    const done = least === frames.length && (frames.length < 2 || pairs >= frames.length - 1);
    get('extent').textContent = done ? `Means over all ${frames.length} frames.`
      : `Computing: ${least} of ${frames.length} frames, flow of ${pairs} of ${frames.length - 1} pairs.`;
    get('recogniser').textContent = action
      ? 'The recogniser is the lite TSN, trained on eighteen actions of drawn puppets; over these its shares add to 1.'
      : `The recogniser is left out: it knows ${this.index.actions.length} actions of drawn puppets and nothing else, `
        + 'so its answer would mislead.';
    get('stream').parentElement.hidden = !action;
    if (action) this.showAnswers(names);
    const whole = (one) => ({ ...one, answer: one.answer[stream] ?? null, ...(done ? {} : { psnr: NaN, epe: NaN }) });
    const [left, right] = this.sides().map((name) => whole(this.summed(name)));
    const sentence = explain(whole(this.summed('hr')), left, right, action);
    if (get('sentence').textContent !== sentence) get('sentence').textContent = sentence;
    this.remember();
  }

  // The three best classes and the true one, as shares.
  showAnswers(names) {
    const { stream } = this.state;
    for (const name of names) {
      const scores = this.outcome(name).scores[stream];
      if (!scores) continue;
      const top = Math.max(...scores);
      const powers = scores.map((x) => Math.exp(x - top));
      const sum = powers.reduce((a, b) => a + b);
      const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a]);
      const rows = order.map((i, rank) => [this.index.actions[i], powers[i] / sum, rank + 1]);
      const kept = rows.filter(([one, , rank]) => rank <= 3 || one === this.clip.action);
      this.viewer.spec.scores[this.methods.findIndex((method) => method.name === name)] = kept;
    }
    this.viewer.showScores();
  }
}
