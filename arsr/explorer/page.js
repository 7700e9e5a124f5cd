// Which clips turn when one method takes the place of another.
//
//   Study      the scores of one recogniser on one data set, and what follows from them
//   Explorer   the state, in the address; the lists, the matrix and the chosen clip

const STREAMS = { spatial: 'frames', temporal: 'flow', fused: 'frames and flow' };
const SHOWN = {
  turned: 'turned either way', gained: 'wrong to right', lost: 'right to wrong', hr: 'HR right, second wrong',
  wrong: 'both wrong', right: 'both right', all: 'all',
};
const ORDERS = {
  gain: 'largest gain in log-probability', loss: 'largest loss', low: 'least probable with the second method',
  first: 'least probable with the first', name: 'name',
};
const STARTED = { stream: 'spatial', a: 'bicubic', b: 'srgan', show: 'turned', label: '', taken: '', sort: 'gain' };
const get = (id) => document.getElementById(id);
const words = (name) => name.replaceAll('_', ' ');

// ---------------------------------------------------------------------------------------------- scores

class Study {
  // bytes: as arsr.explorer.studies.packed writes them.
  constructor(bytes, fusion) {
    const size = new DataView(bytes.buffer).getUint32(0, true);
    Object.assign(this, JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + size))));
    this.values = new Float32Array(bytes.buffer, 4 + size);
    this.places = new Map(this.blocks.map((block, i) => [block.join(' '), i]));
    this.fusion = fusion.map((weight) => Math.fround(weight / (fusion[0] + fusion[1])));
    this.known = new Map();
  }

  // Scores (clips x classes) of a method in a stream: stored, or fused as arsr.scores.rows_of does.
  scores(method, stream) {
    const size = this.clips.length * this.classes.length;
    const place = this.places.get(`${method} ${stream}`);
    if (place !== undefined) return this.values.subarray(place * size, (place + 1) * size);
    const [one, other = one] = this.places.has(`${method} spatial`) ? [method] : method.split('+');
    const [spatial, temporal] = [this.scores(one, 'spatial'), this.scores(other, 'temporal')];
    const [ws, wt] = this.fusion;
    return spatial.map((score, i) => Math.fround(Math.fround(ws * score) + Math.fround(wt * temporal[i])));
  }

  // Of every clip: the class with the highest score, -1 without scores, and the true class's log-probability.
  answers(method, stream) {
    const key = `${method} ${stream}`;
    if (!this.known.has(key)) {
      const scores = this.scores(method, stream);
      const count = this.classes.length;
      this.known.set(key, this.clips.map((_, i) => {
        const row = scores.subarray(i * count, (i + 1) * count);
        const top = Math.max(...row); // NaN where one is
        const sum = row.reduce((total, score) => total + Math.exp(score - top), 0);
        const taken = row.indexOf(top);
        return { taken, right: taken === this.labels[i], log: row[this.labels[i]] - top - Math.log(sum) };
      }));
    }
    return this.known.get(key);
  }
}

// ---------------------------------------------------------------------------------------------- the page

class Explorer {
  constructor(index) {
    this.index = index;
    this.assets = new Assets(index.assets, () => {});
    this.studies = new Map(); // name: a promise of it
    this.state = { ...STARTED, study: Object.keys(index.studies)[0], clip: '' };
    this.pictured = new Map(index.pictured.map((name, i) => [name, i]));
    this.build();
    this.restore();
    window.addEventListener('hashchange', () => this.restore());
  }

  // --- the controls ---

  build() {
    const { studies } = this.index;
    this.fill('study', Object.entries(studies).map(([name, { title }]) => [name, title]));
    this.fill('sort', Object.entries(ORDERS));
    get('choice').addEventListener('submit', (event) => event.preventDefault());
    document.addEventListener('input', ({ target: { name, value } }) => name in this.state && this.set({ [name]: value }));
    get('swap').addEventListener('click', () => this.set({ a: this.state.b, b: this.state.a, sort: 'gain' }));
    get('steps').addEventListener('click', ({ target: { name } }) => name && this.step(name));
    get('list').addEventListener('click', ({ target }) => this.open(target.closest('button')?.dataset.clip));
    get('list').addEventListener('keydown', (event) => this.walk(event));
    get('every').addEventListener('click', ({ target }) => target.dataset.method && this.set({ b: target.dataset.method }));
    get('confusion').addEventListener('click', ({ target: { dataset: { label, taken } } }) => {
      if (label) this.set({ label, taken, show: 'all' });
    });
    get('confusion').addEventListener('toggle', () => this.show());
    const frame = get('clip').querySelector('iframe');
    window.addEventListener('message', ({ source, data }) => { // the laboratory says how high it is
      if (source === frame.contentWindow && data?.height > 0) frame.style.height = `${data.height + 8}px`;
    });
  }

  control(name) { return document.querySelector(`select[name="${name}"]`); }

  fill(name, options) {
    const made = options.map(([value, textContent]) => element('option', { value, textContent }));
    this.control(name).replaceChildren(...made);
  }

  title(method) { return this.index.titles[method]; }

  set(changes) {
    const anew = 'study' in changes ? { label: '', taken: '', clip: '' } : 'b' in changes || 'stream' in changes ? { taken: '' } : {};
    Object.assign(this.state, anew, changes);
    this.show();
  }

  // --- the state in the address ---

  restore() {
    const query = new URLSearchParams(location.hash.slice(1));
    for (const name of Object.keys(this.state)) if (query.has(name)) this.state[name] = query.get(name);
    if (query.has('study') && !query.has('clip')) this.state.clip = '';
    if (query.get('matrix') === '1') get('confusion').open = true;
    this.show();
  }

  remember() {
    const query = new URLSearchParams(Object.entries(this.state).filter(([name, value]) => value !== (STARTED[name] ?? '')));
    if (get('confusion').open) query.set('matrix', '1');
    try {
      history.replaceState(null, '', `#${query}`);
    } catch { /* a browser that lets no file: page do that: the address stays */ }
  }

  // What cannot be chosen gives way to what can: an address may be old.
  settle() {
    const { state } = this;
    const { studies } = this.index;
    if (!studies[state.study]) [state.study] = Object.keys(studies);
    const { methods } = studies[state.study];
    const streams = Object.keys(STREAMS).filter((stream) => Object.values(methods).some((all) => all.includes(stream)));
    if (!streams.includes(state.stream)) [state.stream] = streams;
    const there = Object.keys(methods).filter((method) => methods[method].includes(state.stream));
    if (!there.includes(state.a)) state.a = there.includes('bicubic') ? 'bicubic' : there[0];
    if (!there.includes(state.b)) state.b = there.find((method) => !['hr', state.a].includes(method)) ?? there[0];
    if (!(state.show in SHOWN) || (state.show === 'hr' && !this.hasHr())) state.show = STARTED.show;
    if (!(state.sort in ORDERS)) state.sort = STARTED.sort;
    this.fill('stream', streams.map((stream) => [stream, STREAMS[stream]]));
    for (const side of ['a', 'b']) this.fill(side, there.map((method) => [method, this.title(method)]));
    for (const name of ['study', 'stream', 'a', 'b', 'sort']) this.control(name).value = state[name];
  }

  load(name) {
    if (!this.studies.has(name)) {
      const promise = this.assets.load(`study-${name}`).then((bytes) => new Study(bytes, this.index.fusion));
      this.studies.set(name, promise);
      promise.catch(() => this.studies.delete(name));
    }
    return this.studies.get(name);
  }

  // --- what is shown ---

  async show() {
    this.settle();
    const wanted = this.state.study;
    try {
      const study = await this.load(wanted);
      if (wanted !== this.state.study) return; // the reader has chosen another meanwhile
      if (this.pictured.size && !this.sheet) {
        this.sheet = URL.createObjectURL(new Blob([await this.assets.load('small')], { type: 'image/webp' }));
      }
      this.study = study;
      get('trouble').hidden = true;
    } catch (error) {
      get('trouble').textContent = error.message;
      get('trouble').hidden = false;
      return;
    }
    this.compare();
    this.showCounts();
    this.showFilters();
    if (get('confusion').open) this.showConfusion();
    this.showList();
    this.showClip();
    this.remember();
  }

  // Every clip with both methods' answers, and which of SHOWN it belongs to.
  compare() {
    const { study, state } = this;
    const [a, b] = [state.a, state.b].map((method) => study.answers(method, state.stream));
    const hr = this.hasHr() ? study.answers('hr', state.stream) : null;
    this.clips = study.clips.map((name, i) => {
      const [one, other] = [a[i], b[i]];
      const kind = one.right === other.right ? (one.right ? 'right' : 'wrong') : (other.right ? 'gained' : 'lost');
      const among = new Set(['all', kind, ...(one.right === other.right ? [] : ['turned'])]);
      if (hr?.[i].right && !other.right) among.add('hr');
      return { name, i, label: study.labels[i], a: one, b: other, among };
    });
  }

  hasHr() { return Boolean(this.index.studies[this.state.study].methods.hr?.includes(this.state.stream)); }

  count(kind) { return this.clips.filter(({ among }) => among.has(kind)).length; }

  showCounts() {
    const { state, clips } = this;
    const [a, b] = [this.title(state.a), this.title(state.b)];
    const [gained, lost] = [this.count('gained'), this.count('lost')];
    const points = (100 * (gained - lost)) / clips.length;
    const sign = points > 0 ? '+' : points < 0 ? '\u2212' : '';
    const difference = `${sign}${Math.abs(points).toFixed(1)} points`;
    get('sentence').textContent = state.a === state.b ? `Choose a method beside ${a}.`
      : `From ${a} to ${b}, ${gained} of ${clips.length} clips turn right and ${lost} turn wrong: ${difference}.`;
    const record = this.record();
    if (record) {
      const href = `book/records.html#record-${record}`;
      get('sentence').append(' ', element('a', { className: 'small', href, textContent: 'Interval and test' }));
    }
    get('bar').replaceChildren(...['right', 'gained', 'lost', 'wrong'].map((kind) => {
      const part = element('i', { className: kind });
      part.style.setProperty('--share', this.count(kind));
      return part;
    }));
    const kinds = Object.entries(SHOWN).filter(([value]) => value !== 'hr' || this.hasHr());
    const chips = kinds.map(([value, text]) => {
      const input = element('input', { type: 'radio', name: 'show', value, checked: value === state.show });
      return element('label', { className: 'chip' }, input, element('span', { textContent: `${text}: ${this.count(value)}` }));
    });
    const focused = document.activeElement?.name === 'show';
    get('shown').replaceChildren(get('shown').querySelector('legend'), ...chips);
    if (focused) get('shown').querySelector(':checked').focus();
  }

  // The record of this contrast, if the book has one.
  record() {
    const { study, stream, a, b } = this.state;
    const { records } = this.index.studies[study];
    return [[a, b], [b, a]].map(([x, y]) => `${records.prefix}.${stream}.${x}.to_${y}.accuracy`)
      .find((key) => records.keys.includes(key));
  }

  showFilters() {
    const { state, study } = this;
    const inKind = this.clips.filter(({ among }) => among.has(state.show));
    const options = (of, any) => {
      const counts = study.classes.map((name, k) => [k, name, inKind.filter((clip) => of(clip) === k).length]);
      const there = counts.filter(([k, , n]) => n || String(k) === state.label || String(k) === state.taken);
      return [['', any], ...there.map(([k, name, n]) => [k, `${words(name)} (${n})`])];
    };
    this.fill('label', options(({ label }) => label, 'any'));
    this.fill('taken', options(({ b }) => b.taken, 'anything'));
    for (const name of ['label', 'taken']) this.control(name).value = state[name];
  }

  showConfusion() {
    const { study, state } = this;
    const names = study.classes.map(words);
    const counts = study.classes.map(() => study.classes.map(() => 0));
    for (const { label, b } of this.clips) if (b.taken >= 0) counts[label][b.taken] += 1;
    const cell = (n, label, taken) => {
      const box = element('td', { className: label === taken ? 'right' : 'wrong' });
      if (!n) return box;
      const said = `${n} clips of ${names[label]} taken for ${names[taken]}`;
      const made = element('button', { type: 'button', textContent: n, title: said });
      made.setAttribute('aria-label', said);
      Object.assign(made.dataset, { label, taken });
      made.style.setProperty('--share', n / Math.max(...counts[label]));
      box.append(made);
      return box;
    };
    const heads = names.map((textContent) => element('th', { scope: 'col', textContent }));
    const rows = counts.map((row, label) => element('tr', {},
      element('th', { scope: 'row', textContent: names[label] }), ...row.map((n, taken) => cell(n, label, taken))));
    get('confusion').querySelector('table').replaceChildren(
      element('thead', {}, element('tr', {}, element('td'), ...heads)), element('tbody', {}, ...rows));
    this.matrix = `${state.study} ${state.stream} ${state.b}`;
  }

  chosen() {
    const { state } = this;
    const [label, taken] = [state.label, state.taken].map((text) => (text === '' ? null : Number(text)));
    const change = (clip) => clip.b.log - clip.a.log;
    const value = {
      gain: (clip) => -change(clip), loss: change, low: ({ b }) => b.log, first: ({ a }) => a.log, name: () => 0,
    }[state.sort];
    const key = (clip) => (Number.isNaN(value(clip)) ? Infinity : value(clip)); // without scores: last
    return this.clips.filter((clip) => clip.among.has(state.show) && (label === null || clip.label === label)
      && (taken === null || clip.b.taken === taken)).sort((x, y) => key(x) - key(y) || x.i - y.i);
  }

  showList() {
    const { state } = this;
    get('confusion').querySelector('summary').textContent = `What ${this.title(state.b)} is taken for, class by class`;
    this.list = this.chosen();
    get('list').replaceChildren(...this.list.map((clip, i) => this.card(clip, i)));
    if (!this.list.length) get('list').append(element('li', { className: 'none', textContent: 'No such clip.' }));
    const lacking = this.list.filter(({ name }) => !this.pictured.has(name)).length;
    get('stored').hidden = !lacking;
    get('stored').textContent = this.index.studies[state.study].dataset !== 'embedded'
      ? 'Real clips have no pictures here: their frames are not the book\u2019s to publish.'
      : `The frames of ${lacking} of these ${this.list.length} clips are not stored: the book has those of the first ${this.pictured.size}.`;
  }

  card(clip, place) {
    const { state, study } = this;
    const made = element('button', { type: 'button', tabIndex: place ? -1 : 0 });
    made.dataset.clip = clip.name;
    if (clip.name === state.clip) made.setAttribute('aria-current', 'true');
    if (this.pictured.has(clip.name)) made.append(this.picture(clip.name));
    else made.append(element('small', { textContent: `${clip.name}: no frames` }));
    made.append(element('b', { textContent: words(study.classes[clip.label]) }));
    for (const side of ['a', 'b']) made.append(this.answer(this.title(state[side]), clip[side]));
    return element('li', {}, made);
  }

  // One of the sheet of small pictures.
  picture(name) {
    const { columns, pictured, small: [width, height] } = this.index;
    const place = this.pictured.get(name);
    const rows = Math.ceil(pictured.length / columns);
    const [x, y] = [place % columns, Math.floor(place / columns)];
    const box = element('i', { className: 'picture' });
    const share = (at, count) => (count > 1 ? (100 * at) / (count - 1) : 0);
    Object.assign(box.style, {
      aspectRatio: `${width} / ${height}`, backgroundImage: `url(${this.sheet})`,
      backgroundSize: `${100 * Math.min(columns, pictured.length)}% ${100 * rows}%`,
      backgroundPosition: `${share(x, Math.min(columns, pictured.length))}% ${share(y, rows)}%`,
    });
    return box;
  }

  answer(who, { taken, right, log }) {
    const said = taken < 0 ? 'no scores' : `${words(this.study.classes[taken])} ${right ? '\u2713' : '\u2717'} ${number(log)}`;
    return element('span', { className: right ? 'right' : 'wrong', textContent: `${who}: ${said}` });
  }

  // Arrow keys walk the list.
  walk(event) {
    const cards = [...get('list').querySelectorAll('button')];
    const at = cards.indexOf(document.activeElement);
    const columns = cards.filter((card) => card.offsetTop === cards[0].offsetTop).length;
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -at, End: cards.length - 1 - at };
    if (!(event.key in by) || !cards[at + by[event.key]]) return;
    event.preventDefault();
    cards[at].tabIndex = -1;
    cards[at + by[event.key]].tabIndex = 0;
    cards[at + by[event.key]].focus();
  }

  // --- the chosen clip ---

  open(clip) {
    if (!clip) return;
    this.set({ clip });
    this.arrived = true; // by a press: the reader is taken there
  }

  step(name) {
    const at = this.list.findIndex((clip) => clip.name === this.state.clip);
    const next = { before: this.list[at - 1], after: this.list[at + 1] }[name];
    if (name === 'close') {
      const { clip } = this.state;
      this.set({ clip: '' });
      setTimeout(() => get('list').querySelector(`[data-clip="${CSS.escape(clip)}"]`)?.focus());
    } else if (next) this.set({ clip: next.name });
  }

  showClip() {
    const { state, study } = this;
    const clip = this.clips.find(({ name }) => name === state.clip);
    get('clip').hidden = !clip;
    const frame = get('clip').querySelector('iframe');
    if (!clip) {
      state.clip = '';
      frame.hidden = true;
      frame.removeAttribute('src');
      return;
    }
    const at = this.list.findIndex(({ name }) => name === clip.name);
    const head = get('clip').querySelector('h2');
    head.textContent = `${words(study.classes[clip.label])}, clip ${clip.name}`;
    const [before, after] = ['before', 'after'].map((name) => get('steps').querySelector(`[name="${name}"]`));
    before.disabled = at <= 0;
    after.disabled = at < 0 || at === this.list.length - 1;
    this.showAnswers(clip);
    this.showFrames(clip, frame);
    if (this.arrived) {
      get('clip').scrollIntoView({ block: 'start', behavior: 'instant' });
      head.focus({ preventScroll: true });
      this.arrived = false;
    }
  }

  // What each stream answers to HR and both methods, as measured, and who is right in this one.
  showAnswers(clip) {
    const { state, study } = this;
    const { methods } = this.index.studies[state.study];
    const rows = [...new Set(['hr', state.a, state.b])].filter((method) => methods[method]);
    const cell = (method, stream) => (methods[method].includes(stream)
      ? element('td', {}, this.answer(STREAMS[stream], study.answers(method, stream)[clip.i]))
      : element('td', { textContent: '\u2013' }));
    const streams = Object.keys(STREAMS).filter((stream) => rows.some((method) => methods[method].includes(stream)));
    const caption = element('caption', { className: 'small', textContent:
      'As measured: the class with the highest score and the log-probability of the true class.' });
    get('answers').replaceChildren(caption, element('tbody', {}, ...rows.map((method) => element('tr', {},
      element('th', { scope: 'row', textContent: this.title(method) }), ...streams.map((s) => cell(method, s))))));
    const all = Object.keys(methods).filter((method) => methods[method].includes(state.stream));
    get('every').replaceChildren(`From ${STREAMS[state.stream]}:`, ...all.map((method) => {
      const { right } = study.answers(method, state.stream)[clip.i];
      const textContent = `${this.title(method)} ${right ? '\u2713' : '\u2717'}`;
      const made = element('button', { type: 'button', textContent, className: right ? 'right' : 'wrong' });
      made.title = `Compare with ${this.title(method)}`;
      made.setAttribute('aria-pressed', method === state.b);
      made.dataset.method = method;
      return made;
    }));
  }

  // The laboratory, with this clip and both methods, where it has them.
  showFrames(clip, frame) {
    const { state } = this;
    const { laboratory, dataset } = this.index.studies[state.study];
    const seen = (method) => laboratory[method.split('+')[state.stream === 'temporal' && method.includes('+') ? 1 : 0]];
    const able = (method) => method.split('+').every((one) => one in laboratory);
    const shown = this.pictured.has(clip.name);
    const lacking = [...new Set([state.a, state.b])].filter((method) => !able(method)).map((m) => this.title(m));
    const [left, right] = [state.a, state.b].map((method) => (able(method) ? seen(method) : 'hr'));
    frame.hidden = !shown;
    const about = get('about');
    if (!shown) {
      frame.removeAttribute('src');
      about.textContent = dataset === 'embedded'
        ? `The book stores the frames of ${this.pictured.size} embedded clips; this one is beyond them.`
        : 'The frames of this clip are not the book\u2019s to publish; with the data set at hand, the notebook explore.md shows them.';
      return;
    }
    const query = new URLSearchParams({ clip: clip.name, left, right, stream: state.stream, times: 4, noise: 0, jpeg: 100 });
    const link = element('a', { href: `lab.html#${query}&start=1`, textContent: 'Open it in the laboratory' });
    const said = lacking.length ? `The laboratory has no network of ${lacking.join(' and ')} as it was measured: HR stands there. ` : '';
    about.replaceChildren(`${said}Below, your browser computes frames, flow and the lite TSN\u2019s answers anew from the exact clip. `, link, '.');
    const src = `lab.html#bare=1&${query}`;
    if (frame.getAttribute('src') !== src) frame.src = src;
  }
}
