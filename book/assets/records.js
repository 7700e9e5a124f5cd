/* The records page: words that a reader types leave the rows that hold them all; the open studies are those with such rows. */
{
  const box = document.querySelector(".records-filter"), [field, said] = box.querySelectorAll("input, output");
  const studies = [...document.querySelectorAll("details.records")].map((details) => ({
    details, open: details.open, about: details.querySelector("summary").textContent.toLowerCase(),
    rows: [...details.querySelectorAll("tbody tr")].map((row) => ({ row, text: row.textContent.toLowerCase() })),
  }));
  const filter = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { details, open, about, rows } of studies) {
      let found = 0;
      for (const { row, text } of rows) {
        row.hidden = !words.every((word) => text.includes(word) || about.includes(word));
        if (!row.hidden) found += 1;
      }
      details.hidden = !found;
      details.open = words.length ? found > 0 && (found < 200 || details.open) : open;
      count += found;
    }
    said.textContent = words.length ? `${count} records` : "";
  };
  let timer = null;
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(filter, 150); // thousands of rows
  });
  const linked = () => { // a link to a record wins over what is typed, and opens its study
    const target = document.getElementById(location.hash.slice(1));
    if (!target) return;
    if (field.value) {
      field.value = "";
      filter();
    }
    const study = target.closest("details");
    if (study) study.open = true;
    target.scrollIntoView();
  };
  window.addEventListener("hashchange", linked);
  linked();
}
