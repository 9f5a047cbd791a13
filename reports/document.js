// Click on a column's head: its rows in order, again: the other way round. Numbers go by value, an interval by its middle.
const powers = {"⁻": "-", "⁰": "0", "¹": "1", "²": "2", "³": "3", "⁴": "4", "⁵": "5", "⁶": "6", "⁷": "7", "⁸": "8", "⁹": "9"};
function value(text) {
  const plain = text.trim().replace(/−/g, "-").replace(/\u202f/g, "").replace(/^< /, "");
  const power = plain.match(/^(?:([-+]?[\d.]+)·)?10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)/);
  if (power) return (power[1] ? parseFloat(power[1]) : 1) * 10 ** parseInt([...power[2]].map(c => powers[c]).join(""));
  if (plain.startsWith("∞")) return Infinity;
  return /^[-+]?\d/.test(plain) ? parseFloat(plain) : NaN;
}
function sort(head) {
  const body = head.closest("table").tBodies[0], place = head.cellIndex;
  const up = head.getAttribute("aria-sort") !== "ascending";
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const rows = [...body.rows].map(row => [row, row.cells[place].textContent, value(row.cells[place].textContent)]);
  // What has no number stays below, whichever way round.
  rows.sort(([, text, x], [, other, y]) => isNaN(x) && isNaN(y) ? (up ? 1 : -1) * text.localeCompare(other)
    : isNaN(x) ? 1 : isNaN(y) ? -1 : up ? x - y : y - x);
  body.append(...rows.map(([row]) => row));
}
addEventListener("DOMContentLoaded", () => {
  for (const head of document.querySelectorAll("figure thead th")) {
    head.tabIndex = 0;
    head.title = "Sort by this column";
    head.addEventListener("click", () => sort(head));
    head.addEventListener("keydown", event => event.key === "Enter" && sort(head));
  }
});
