// Test sets: one at a time on the screen, all of them on paper.
const chosen = [...document.querySelectorAll("input[name=place]")];
const places = [...document.querySelectorAll("section.place")];

function show() {
  const at = chosen.find((input) => input.checked);
  places.forEach((place) => { place.hidden = Boolean(at) && place.dataset.place !== at.value; });
}
chosen.forEach((input) => input.addEventListener("change", show));
show();

// A box beside the pointer, or below the row that has the focus, tells the numbers.
const tip = document.querySelector(".tip");

function tell(row, x, y) {
  tip.textContent = row.dataset.tip;
  tip.hidden = false;
  tip.style.left = `${Math.max(4, Math.min(x, window.innerWidth - tip.offsetWidth - 8) + window.scrollX)}px`;
  tip.style.top = `${y + window.scrollY}px`;
}
for (const row of document.querySelectorAll("[data-tip]")) {
  row.addEventListener("pointermove", (event) => tell(row, event.clientX + 14, event.clientY + 14));
  row.addEventListener("pointerleave", () => { tip.hidden = true; });
  row.addEventListener("focus", () => { const box = row.getBoundingClientRect(); tell(row, box.left, box.bottom); });
  row.addEventListener("blur", () => { tip.hidden = true; });
}

// A method that is switched off in one list is off in all of them, and in every drawing.
for (const box of document.querySelectorAll(".filter input")) {
  box.addEventListener("change", () => {
    for (const same of document.querySelectorAll(".filter input")) if (same.value === box.value) same.checked = box.checked;
    for (const mark of document.querySelectorAll("[data-method]")) {
      if (mark.dataset.method === box.value) mark.classList.toggle("off", !box.checked);
    }
  });
}

// What a link or the printer needs is opened.
function openAround(name) {
  const target = name && document.getElementById(name);
  for (let around = target; around; around = around.parentElement) if (around.tagName === "DETAILS") around.open = true;
}
window.addEventListener("hashchange", () => openAround(location.hash.slice(1)));
openAround(location.hash.slice(1));
window.addEventListener("beforeprint", () => document.querySelectorAll("details.part").forEach((part) => { part.open = true; }));
