// Engine, networks, clips and scores, fetched when they are needed: scripts, which load from file:// too.

class Unreadable extends Error {} // what is said of it is written for the reader

class Assets {
  // index: {name: number of parts}; told(text): hears how far it is.
  constructor(index, told) {
    Object.assign(this, { index, told, loaded: new Map() });
  }

  // The bytes of an asset.
  load(name, title) {
    if (!this.loaded.has(name)) {
      const promise = this.fetch(name, title);
      this.loaded.set(name, promise);
      promise.catch(() => this.loaded.delete(name));
    }
    return this.loaded.get(name);
  }

  async fetch(name, title) {
    const count = this.index[name];
    const parts = [];
    for (let i = 0; i < count; i += 1) {
      if (count > 1) this.told(`Loading ${title}: ${Math.round((100 * i) / count)} %`);
      const file = `lab/${name}.${i}.js`;
      await new Promise((resolve, reject) => {
        const failed = () => reject(new Unreadable(`${file} is missing; the folder lab belongs beside this page.`));
        const script = Object.assign(document.createElement('script'), { src: file, onload: resolve, onerror: failed });
        document.head.append(script);
        script.addEventListener('load', () => script.remove());
      });
      parts.push(fromBase64(window.ARSR_LAB[`${name}.${i}`]));
      delete window.ARSR_LAB[`${name}.${i}`];
    }
    return gunzip(await new Blob(parts).arrayBuffer());
  }
}
