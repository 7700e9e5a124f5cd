/* Intervals by tap: the first tap on a number shows its interval, the second follows the link. Tables. A box that is wider than the screen says that it scrolls. Benchmark tables: a button in each head sorts, the first press from high to low; another button shows counts and intervals. */
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
  const boxes = ".arsr-ledger, .arsr-benchmark > div, .records > div, .cell_output > .output, .pst-scrollable-table-container";
  const watcher = new ResizeObserver((seen) => {
    for (const { target } of seen) target.classList.toggle("arsr-wide", target.scrollWidth > target.clientWidth + 1);
  });
  for (const box of document.querySelectorAll(boxes)) watcher.observe(box);
  const shut = () => document.querySelectorAll(".arsr-interval").forEach((bubble) => bubble.remove());
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[title^="95 %"]'), open = link?.nextElementSibling?.matches(".arsr-interval");
    shut();
    if (!link || open || !matchMedia("(hover: none)").matches) return;
    event.preventDefault();
    const bubble = document.createElement("span");
    bubble.className = "arsr-interval";
    bubble.setAttribute("role", "status");
    bubble.textContent = link.title;
    link.after(bubble);
  });
});
