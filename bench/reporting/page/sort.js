"use strict";
// A header sorts its column upwards, then downwards, then gives the printed order back.
const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

function numberOf(text) {
  const found = /^[<>≥≤+]?\s*(-?\d+(\.\d+)?)/.exec(text.replace("−", "-"));
  return found ? parseFloat(found[1]) : NaN;
}

function compare(texts, sign) {
  const blank = texts.map((text) => text === "" || text === "–");
  const numbers = texts.map(numberOf);
  const numeric = texts.every((_, place) => blank[place] || !isNaN(numbers[place]));
  return (one, other) => {
    if (blank[one] || blank[other]) return blank[one] - blank[other] || one - other;
    const order = numeric ? numbers[one] - numbers[other] : texts[one].localeCompare(texts[other], "en");
    return sign * order || one - other;
  };
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const rows = [...body.rows];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const order = NEXT[head.getAttribute("aria-sort")];
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", order);
      const places = rows.map((_, place) => place);
      const texts = rows.map((row) => row.cells[column].textContent.trim());
      if (order !== "none") places.sort(compare(texts, order === "ascending" ? 1 : -1));
      body.append(...places.map((place) => rows[place]));
    });
  });
}

for (const table of document.querySelectorAll("table:not(.changes):not(.rates)")) {
  if (table.tBodies.length === 1 && table.tBodies[0].rows.length > 1) makeSortable(table);
}
