"use strict";
// One row for each ticked card, in the columns that `gender-pipeline accept-corrections` reads.
const cards = [...document.querySelectorAll("article")];
const output = document.querySelector("textarea");
const link = document.querySelector("a[download]");
const quoted = (text) => `"${text.replaceAll('"', '""')}"`;

function answer(card) {
  if (card.querySelector("[name=yes]").checked) return "yes";
  return card.querySelector("[name=out]").checked ? "out" : "";
}

function update() {
  const rows = cards.map((card) => [card.dataset.imageId, card.dataset.suggested, answer(card)]).filter((row) => row[2]);
  output.value = ["image_id,suggested_label,accept", ...rows.map((row) => row.map(quoted).join(","))].join("\n") + "\n";
  link.href = "data:text/csv;charset=utf-8," + encodeURIComponent(output.value);
  document.querySelector("#count").textContent = rows.length;
}

document.addEventListener("change", (event) => {
  const card = event.target.closest("article");
  if (card && event.target.checked) {
    const other = event.target.name === "yes" ? "out" : "yes";
    card.querySelector(`[name=${other}]`).checked = false;
  }
  update();
});

// Arrows go from card to card; y and o tick the boxes of the one that has the focus.
document.addEventListener("keydown", (event) => {
  const card = document.activeElement.closest("article");
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (event.ctrlKey || event.metaKey || event.altKey || document.activeElement === output) return;
  if (step && cards.length) {
    const place = card ? Math.min(Math.max(cards.indexOf(card) + step, 0), cards.length - 1) : 0;
    cards[place].focus();
    event.preventDefault();
  } else if (card && (event.key === "y" || event.key === "o")) {
    card.querySelector(event.key === "y" ? "[name=yes]" : "[name=out]").click();
  }
});

output.addEventListener("focus", () => output.select());
update();
