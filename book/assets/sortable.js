/* Benchmark tables: a button in each head sorts, the first press from high to low; another button shows counts and intervals. */
document.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll(".arsr-benchmark")) {
    const body = box.querySelector("tbody"), heads = box.querySelectorAll("th[data-column]");
    const value = (row, column) => {
      const cell = row.cells[column];
      return "value" in cell.dataset ? (cell.dataset.value === "" ? -Infinity : Number(cell.dataset.value)) : cell.textContent;
    };
    for (const head of heads)
      head.querySelector("button").addEventListener("click", () => {
        const descending = head.getAttribute("aria-sort") !== "descending", column = Number(head.dataset.column);
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        const rows = [...body.rows].sort((a, b) => {
          const x = value(a, column), y = value(b, column);
          return (x < y ? -1 : x > y ? 1 : 0) * (descending ? -1 : 1);
        });
        body.append(...rows);
        box.classList.add("sorted");
      });
    const details = box.querySelector("button.details");
    details.hidden = false;
    details.addEventListener("click", () => {
      const shown = box.classList.toggle("detailed");
      details.setAttribute("aria-pressed", String(shown));
    });
  }
});
