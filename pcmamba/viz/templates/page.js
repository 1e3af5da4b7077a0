"use strict";
// Click on a column's name: its rows by that column; empty values last.
document.querySelectorAll("table.rows th button").forEach((button) => {
  button.addEventListener("click", () => {
    const head = button.closest("th"), body = head.closest("table").tBodies[0];
    const up = head.getAttribute("aria-sort") === "descending";
    const place = head.cellIndex, sign = up ? 1 : -1;
    head.parentNode.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (row) => row.cells[place].dataset.value;
    const compare = (a, b) => {
      const x = key(a), y = key(b);
      if (x === "" || y === "") return (x === "") - (y === "");
      const numbers = !isNaN(x) && !isNaN(y);
      return sign * (numbers ? x - y : x.localeCompare(y));
    };
    body.append(...[...body.rows].sort(compare));
  });
});
// Two orders of the same pictures.
document.querySelectorAll(".choice button").forEach((button) => {
  button.addEventListener("click", () => {
    const cards = document.getElementById(button.parentNode.dataset.of), by = button.dataset.by;
    button.parentNode.querySelectorAll("button").forEach((other) => {
      other.setAttribute("aria-pressed", String(other === button));
    });
    const all = [...cards.children];
    all.forEach((card) => { card.hidden = by === "mistake" && card.dataset.right === "1"; });
    cards.append(...all.sort((a, b) => b.dataset[by] - a.dataset[by]));
  });
});
