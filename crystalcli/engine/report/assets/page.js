/* Puts plots, structures and long tables where the page has kept room for them. */
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);

/* A table of many rows: some at a time, sorted and searched. */
class LongTable {
  constructor(place, data) {
    this.data = data; this.at = 0; this.by = -1; this.down = false; this.rows = data.rows;
    const tools = html("div", "tools", place);
    const search = this.search = html("input", "search", tools);
    search.type = "search"; search.placeholder = `search ${data.rows.length.toLocaleString("en")} rows`; search.setAttribute("aria-label", "search");
    search.oninput = () => { this.at = 0; this.pickRows(); };
    const box = html("div", "scroll", place), table = html("table", "", box), head = html("tr", "", html("thead", "", table));
    this.heads = data.heads.map((text, k) => {
      const cell = html("th", data.numeric[k] ? "num" : "", head), button = html("button", "sort", cell, text);
      button.type = "button";
      button.onclick = () => { this.down = this.by === k ? !this.down : false; this.by = k; this.pickRows(); };
      return cell;
    });
    this.body = html("tbody", "", table);
    const foot = html("div", "buttons", place);
    const step = (text, by) => { const b = html("button", "small", foot, text); b.type = "button"; b.onclick = () => { this.at = Math.max(0, Math.min(this.at + by, Math.floor((this.rows.length - 1) / data.page) * data.page)); this.fill(); }; };
    step("←", -data.page); step("→", data.page);
    this.said = html("span", "said", foot);
    this.pickRows();
  }

  pickRows() {
    const word = this.search.value.trim().toLowerCase(), { numeric } = this.data, by = this.by, sign = this.down ? -1 : 1;
    this.rows = word ? this.data.rows.filter(r => r.some(c => c.toLowerCase().includes(word))) : this.data.rows.slice();
    if (by >= 0) this.rows.sort((a, b) => {
      if (!numeric[by]) return sign * a[by].localeCompare(b[by], "en", { numeric: true });
      const x = parseFloat(a[by].replace("−", "-")), y = parseFloat(b[by].replace("−", "-"));
      return Number.isNaN(x) ? 1 : Number.isNaN(y) ? -1 : sign * (x - y);
    });
    this.heads.forEach((cell, k) => { cell.setAttribute("aria-sort", k !== by ? "none" : this.down ? "descending" : "ascending"); });
    this.fill();
  }

  fill() {
    this.body.replaceChildren();
    const end = Math.min(this.at + this.data.page, this.rows.length);
    for (const row of this.rows.slice(this.at, end)) {
      const line = html("tr", "", this.body);
      row.forEach((text, k) => html("td", this.data.numeric[k] ? "num" : text.length <= 24 ? "short" : "", line, text));
    }
    this.said.textContent = this.rows.length ? `${this.at + 1}–${end} of ${this.rows.length.toLocaleString("en")}` : "nothing found";
  }
}

let dialog = null;
function openStructure(id, packed, facts) {
  if (dialog) dialog.remove();
  dialog = html("dialog", "", document.body);
  const close = html("button", "small close", dialog, "close");
  close.type = "button"; close.onclick = () => dialog.close();
  dialog.showModal();
  new Viewer(dialog, [{ id, frames: [packed], facts }], DATA.elements);
}

/* What is far down the page is made when it comes near, so that the first screen is there at once. */
const makers = new Map();
function when(place, make) { makers.set(place, make); }
function make(place) { const maker = makers.get(place); if (maker) { makers.delete(place); maker(); } }

for (const place of document.querySelectorAll("[data-plot]")) {
  const spec = DATA.plots[+place.dataset.plot];
  when(place, () => { place.chart = new Chart(place, spec, DATA.libraries[spec.library]); });
}
for (const place of document.querySelectorAll("[data-structures]")) {
  const one = DATA.structures[+place.dataset.structures];
  when(place, () => { const viewer = html("div", "", null); place.insertBefore(viewer, place.querySelector(".caption")); new Viewer(viewer, one.shown, DATA.elements, one.word); });
}
for (const place of document.querySelectorAll("[data-table]")) {
  const one = DATA.tables[+place.dataset.table];
  when(place, () => new LongTable(place, one));
}
const watcher = new IntersectionObserver(seen => { for (const one of seen) if (one.isIntersecting) { watcher.unobserve(one.target); make(one.target); } }, { rootMargin: "600px" });
for (const place of makers.keys()) watcher.observe(place);
addEventListener("beforeprint", () => { for (const fold of document.querySelectorAll("details")) if (fold.querySelector("figure")) fold.open = true; for (const place of [...makers.keys()]) make(place); });

for (const cell of document.querySelectorAll("[data-tip]")) {
  const [title, ...rows] = cell.dataset.tip.split("\n");
  cell.addEventListener("pointermove", event => tip.show(event, title, rows.map(r => { const [a, ...b] = r.split(": "); return [a, b.join(": ")]; }), ""));
  cell.addEventListener("pointerleave", () => tip.hide());
}
addEventListener("scroll", () => tip.hide(), { passive: true });

const theme = document.getElementById("theme");
theme.onclick = () => {
  const root = document.documentElement, now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  document.dispatchEvent(new Event("theme"));
};
const links = [...document.querySelectorAll("nav a")], heads = links.map(a => document.getElementById(a.hash.slice(1)));
new IntersectionObserver(() => {
  let now = 0;
  heads.forEach((h, k) => { if (h && h.getBoundingClientRect().top < 140) now = k; });
  links.forEach((a, k) => a.classList.toggle("here", k === now));
}, { threshold: [0, .02, .1, .3, .6, 1] }).observe(document.querySelector("main"));
addEventListener("scroll", () => {
  let now = 0;
  heads.forEach((h, k) => { if (h && h.getBoundingClientRect().top < 140) now = k; });
  links.forEach((a, k) => a.classList.toggle("here", k === now));
}, { passive: true });
document.documentElement.dataset.ready = "1";
