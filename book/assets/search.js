/* Ranks the sections of searchtext.js (BM25, words of headings and titles weigh more) and quotes where the words are. */
(() => {
  const WEIGHTS = { text: 1, heading: 6, title: 8 }, SATURATION = 1.2, LENGTH = 0.6, SHOWN = 3, QUOTED = 220;
  const split = (text) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const sections = (window.ARSR_PAGES ?? []).flatMap(([page, title, all]) => all.map(([anchor, heading, text]) =>
    ({ page, title, anchor, heading, text, words: { text: split(text), heading: split(heading), title: split(title) } })));
  const mean = sections.reduce((sum, { words }) => sum + words.text.length, 0) / sections.length;

  // How often a word, or one that begins with it, stands in a section, by weight.
  const often = (section, word) => Object.entries(WEIGHTS).reduce((sum, [field, weight]) => sum
    + weight * section.words[field].filter((one) => one === word || (word.length > 2 && one.startsWith(word))).length, 0);

  function search(query) {
    const words = [...new Set(split(query))];
    const scored = sections.map((section) => ({ ...section, found: words.map((word) => often(section, word)), score: 0 }));
    words.forEach((_, i) => {
      const holding = scored.filter(({ found }) => found[i]).length;
      const rare = Math.log(1 + (scored.length - holding + 0.5) / (holding + 0.5));
      for (const one of scored) {
        const long = 1 - LENGTH + (LENGTH * one.words.text.length) / mean;
        one.score += (rare * one.found[i] * (SATURATION + 1)) / (one.found[i] + SATURATION * long);
      }
    });
    const pages = new Map();
    const whole = scored.filter(({ found }) => found.length && found.every(Boolean));
    for (const one of whole.length ? whole : scored.filter(({ score }) => score)) {
      if (!pages.has(one.page)) pages.set(one.page, []);
      pages.get(one.page).push(one);
    }
    const ranked = [...pages.values()].map((all) => all.sort((a, b) => b.score - a.score));
    const value = (all) => all.slice(0, SHOWN).reduce((sum, { score }, i) => sum + score / (i + 1), 0);
    return { words, pages: ranked.sort((a, b) => value(b) - value(a)) };
  }

  const make = (tag, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  };

  // The text around the first word that was looked for, with all of them marked.
  function quote(text, words) {
    const pattern = new RegExp(`(?<![\\p{L}\\p{N}])(${words.join("|")})`, "iu");
    const at = Math.max(0, (text.search(pattern) + 1 || 1) - 1 - QUOTED / 4);
    const start = at ? text.indexOf(" ", at) + 1 : 0;
    const part = text.slice(start, start + QUOTED);
    const pieces = part.split(new RegExp(pattern, "giu")).map((piece, i) => (i % 2 ? make("mark", { textContent: piece }) : piece));
    return make("p", {}, start ? "\u2026 " : "", ...pieces, start + QUOTED < text.length ? " \u2026" : "");
  }

  document.addEventListener("DOMContentLoaded", () => {
    const box = document.getElementById("search-results");
    const query = new URLSearchParams(location.search).get("q") ?? "";
    for (const field of document.querySelectorAll('input[name="q"]')) field.value = query;
    if (!box || !query.trim()) return;
    const { words, pages } = search(query);
    const said = pages.length ? `${pages.length} pages with \u201c${query}\u201d` : `No page has \u201c${query}\u201d; try fewer words.`;
    const list = make("ol", { className: "arsr-found" }, ...pages.map((all) => make("li", {},
      make("a", { href: all[0].page, textContent: all[0].title }), ...all.slice(0, SHOWN).map((one) => make("div", {},
        make("a", { href: `${one.page}#${one.anchor}`, textContent: one.heading === one.title ? "first lines" : one.heading }),
        quote(one.text || one.heading, words))))));
    box.replaceChildren(make("p", { role: "status", textContent: said }), list);
  });
})();
