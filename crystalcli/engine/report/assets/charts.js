/* Plots: SVG drawn from plain numbers, with tooltips, zoom and a legend that hides. Colours are those of the page's
   style sheet, so that dark, light and print are the same drawing; series differ in shape and dash, too. */
"use strict";

const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (parent) parent.appendChild(made);
  return made;
}

function html(name, className, parent, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  if (parent) parent.appendChild(made);
  return made;
}

/* Numbers come as a list, or as 32-bit floats in base64. */
function numbers(packed) {
  return typeof packed === "string" ? new Float32Array(bytes(packed).buffer) : Float32Array.from(packed, v => v ?? NaN);
}

function bytes(text) {
  const raw = atob(text), found = new Uint8Array(raw.length);
  for (let k = 0; k < raw.length; k++) found[k] = raw.charCodeAt(k);
  return found;
}

function shown(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(3).replace("-", "−").replace("e−", "e−");
  return Number(value.toPrecision(5)).toString().replace("-", "−");
}

/* Round places on an axis. */
function ticks(low, high, log, room) {
  if (log) {
    const found = [], first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
    const steps = last - first <= 2 ? [1, 2, 5] : [1];
    const every = Math.max(1, Math.ceil((last - first) / Math.max(2, room)));
    for (let e = first; e <= last; e += every)
      for (const m of steps) { const v = m * 10 ** e; if (v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9)) found.push(v); }
    return found;
  }
  const rough = (high - low) / Math.max(2, room), power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find(m => m * power >= rough * (1 - 1e-9));
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(k * step);
  return found;
}

function tickText(value, all) {
  if (value === 0) return "0";
  const size = Math.abs(value), gap = all.length > 1 ? Math.abs(all[1] - all[0]) : size;
  if (size >= 1e5 || Math.max(...all.map(Math.abs)) < 1e-3) return value.toExponential().replace(/(\.\d{2})\d*/, "$1").replace(/-/g, "−");
  const digits = Math.max(0, Math.min(8, 1 - Math.floor(Math.log10(gap) + 1e-9)));
  return Number(value.toFixed(digits)).toString().replace("-", "−");
}

const SHAPES = [
  (x, y, r) => `M${x - r},${y}a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0z`,
  (x, y, r) => `M${x - r * .9},${y - r * .9}h${r * 1.8}v${r * 1.8}h${-r * 1.8}z`,
  (x, y, r) => `M${x},${y - r * 1.2}l${r * 1.15},${r * 2}h${-r * 2.3}z`,
  (x, y, r) => `M${x},${y - r * 1.3}l${r * 1.3},${r * 1.3}l${-r * 1.3},${r * 1.3}l${-r * 1.3},${-r * 1.3}z`,
  (x, y, r) => `M${x},${y + r * 1.2}l${r * 1.15},${-r * 2}h${-r * 2.3}z`,
  (x, y, r) => `M${x - r},${y - r}l${2 * r},${2 * r}M${x + r},${y - r}l${-2 * r},${2 * r}`,
];
const LAYERS = 10;   // points of one colour lie on so many sheets: where many overlap it is darker

class Chart {
  constructor(figure, spec, library) {
    this.figure = figure; this.spec = spec; this.library = library;
    this.series = spec.series.map((s, k) => ({ ...s, k: s.style ?? k, x: numbers(s.x), y: numbers(s.y),
      low: s.low && numbers(s.low), high: s.high && numbers(s.high), off: false }));
    this.triangle = !!spec.corners;
    this.logs = { x: this.canLog("x") && spec.x.log, y: this.canLog("y") && spec.y.log };
    this.tools = html("div", "tools", figure);
    this.legend(); this.buttons();
    this.frame = html("div", this.spec.square || this.triangle ? "frame even" : "frame", figure);
    this.root = svg("svg", { role: "img", "aria-label": spec.title }, this.frame);
    if (spec.caption) html("p", "caption", figure, spec.caption);
    this.zoom = null;
    this.listen();
    new ResizeObserver(() => { if (this.frame.clientWidth && this.frame.clientWidth !== this.width) this.draw(); }).observe(this.frame);
    this.draw();
  }

  canLog(axis) {
    if (this.triangle) return false;
    const all = this.series.flatMap(s => [...s[axis]]).filter(Number.isFinite);
    return all.length > 1 && all.every(v => v > 0) && this.series.every(s => s.kind !== "bars" || axis === "x");
  }

  legend() {
    const named = this.series.filter(s => s.name);
    if (named.length < 2 && !(named.length && this.spec.series.length > 1)) return;
    const box = html("div", "legend", this.tools);
    for (const s of named) {
      const button = html("button", `key s${s.k % 8}`, box);
      button.type = "button"; button.setAttribute("aria-pressed", "true");
      const mark = svg("svg", { width: 22, height: 12, viewBox: "0 0 22 12" }, button);
      if (s.kind === "points") svg("path", { d: SHAPES[s.k % 6](11, 6, 4), class: s.hollow ? "mark hollow" : "mark" }, mark);
      else if (s.kind === "bars") svg("rect", { x: 4, y: 2, width: 14, height: 9, class: s.hollow ? "bar hollow" : "bar" }, mark);
      else svg("path", { d: "M0,6h22", class: `line d${s.k % 8}` }, mark);
      html("span", "", button, s.name);
      button.onclick = () => { s.off = !s.off; button.setAttribute("aria-pressed", String(!s.off)); this.draw(); };
    }
  }

  buttons() {
    const box = html("div", "buttons", this.tools);
    for (const axis of ["x", "y"]) {
      if (!this.spec[axis].log || !this.canLog(axis)) continue;
      const all = this.series.flatMap(s => [...s[axis]]).filter(Number.isFinite);
      if (Math.max(...all) / Math.min(...all) < 8) { this.logs[axis] = false; continue; }
      const button = html("button", "small", box, `log ${axis}`);
      button.type = "button"; button.setAttribute("aria-pressed", String(!!this.logs[axis]));
      button.onclick = () => { this.logs[axis] = !this.logs[axis]; button.setAttribute("aria-pressed", String(this.logs[axis])); this.zoom = null; this.draw(); };
    }
    this.back = html("button", "small", box, "whole range");
    this.back.type = "button"; this.back.hidden = true;
    this.back.onclick = () => { this.zoom = null; this.draw(); };
  }

  ranges() {
    if (this.zoom) return this.zoom;
    if (this.triangle) return { x: [-.08, 1.08], y: [-.1, .96] };
    const found = {};
    for (const axis of ["x", "y"]) {
      let low = Infinity, high = -Infinity;
      const see = v => { if (Number.isFinite(v) && !(this.logs[axis] && v <= 0)) { if (v < low) low = v; if (v > high) high = v; } };
      for (const s of this.series) {
        if (s.off) continue;
        for (let k = 0; k < s.x.length; k++) if (Number.isFinite(s.x[k]) && Number.isFinite(s.y[k])) {
          see(s[axis][k]);
          if (axis === "y" && s.low) { see(s.low[k]); see(s.high[k]); }
        }
        if (s.kind === "bars") {
          const half = this.gap(s) / 2;
          if (axis === "y") see(0); else if (s.x.length) { see(s.x[0] - half); see(s.x[s.x.length - 1] + half); }
        }
      }
      for (const g of this.spec.guides) if (g.kind === axis) see(g.at);
      if (low > high) [low, high] = this.logs[axis] ? [1, 10] : [0, 1];
      if (low === high) { const d = Math.abs(low) * .1 || 1; low -= this.logs[axis] ? low / 2 : d; high += d; }
      const bars = this.series.some(s => s.kind === "bars" && !s.off);
      const points = this.series.some(s => s.kind === "points" && !s.off);
      if (this.logs[axis]) { const f = (high / low) ** .03; low /= f; high *= f; }
      else { const d = (high - low) * (axis === "x" && !points ? 0 : .04); if (!(bars && axis === "y" && low === 0)) low -= d; high += d; }
      found[axis] = [low, high];
    }
    if (this.spec.square) found.x = found.y = [Math.min(found.x[0], found.y[0]), Math.max(found.x[1], found.y[1])];
    return found;
  }

  gap(s) { return s.x.length > 1 ? Math.abs(s.x[1] - s.x[0]) : 1; }

  draw() {
    const width = this.width = this.frame.clientWidth || 560;
    const even = this.spec.square || this.triangle;
    const height = this.height = even ? width * (this.triangle ? .9 : .92) : Math.max(230, Math.min(width * .58, 320));
    const root = this.root, m = this.margin = this.triangle ? { l: 8, r: 8, t: 8, b: 8 } : { l: 64, r: 14, t: 10, b: 46 };
    root.replaceChildren();
    root.setAttribute("viewBox", `0 0 ${width} ${height}`);
    root.setAttribute("width", width); root.setAttribute("height", height);
    const range = this.range = this.ranges(), across = width - m.l - m.r, up = height - m.t - m.b;
    if (this.triangle && !this.zoom) {   // one scale for both axes
      const scale = Math.min(across / (range.x[1] - range.x[0]), up / (range.y[1] - range.y[0]));
      const dx = (across / scale - (range.x[1] - range.x[0])) / 2, dy = (up / scale - (range.y[1] - range.y[0])) / 2;
      this.range = { x: [range.x[0] - dx, range.x[1] + dx], y: [range.y[0] - dy, range.y[1] + dy] };
    }
    const place = (axis, from, length, sign) => {
      const [a, b] = this.range[axis], f = this.logs[axis] ? Math.log : v => v, fa = f(a), fb = f(b);
      return v => from + sign * length * (f(v) - fa) / (fb - fa);
    };
    this.px = place("x", m.l, across, 1); this.py = place("y", height - m.b, up, -1);
    this.back.hidden = !this.zoom;
    const clip = `clip${Chart.count = (Chart.count || 0) + 1}`;
    svg("rect", { x: m.l, y: m.t, width: across, height: up }, svg("clipPath", { id: clip }, svg("defs", {}, root)));
    if (this.triangle) this.corners(); else this.axes(across, up);
    const inside = svg("g", { "clip-path": `url(#${clip})` }, root);
    this.guides(inside, across, up);
    for (const s of this.series) if (!s.off) this.one(s, inside);
    this.hover = svg("g", { class: "hover" }, root);
    this.box = svg("rect", { class: "zoombox", visibility: "hidden" }, root);
  }

  axes(across, up) {
    const { l, t, b } = this.margin, root = this.root, bottom = this.height - b;
    const xs = ticks(...this.range.x, this.logs.x, across / 80), ys = ticks(...this.range.y, this.logs.y, up / 46);
    const grid = svg("g", { class: "grid" }, root), words = svg("g", { class: "ticks" }, root);
    for (const v of xs) {
      const x = this.px(v);
      svg("path", { d: `M${x},${t}V${bottom}` }, grid);
      svg("text", { x, y: bottom + 16, "text-anchor": "middle" }, words).textContent = tickText(v, xs);
    }
    for (const v of ys) {
      const y = this.py(v);
      svg("path", { d: `M${l},${y}h${across}` }, grid);
      svg("text", { x: l - 7, y: y + 4, "text-anchor": "end" }, words).textContent = tickText(v, ys);
    }
    svg("path", { d: `M${l},${t}V${bottom}H${l + across}`, class: "axis" }, root);
    const label = (text, attributes) => { svg("text", { class: "label", "text-anchor": "middle", ...attributes }, root).textContent = text; };
    label(this.spec.x.label, { x: l + across / 2, y: this.height - 8 });
    label(this.spec.y.label, { transform: `translate(14 ${t + up / 2}) rotate(-90)` });
  }

  corners() {
    const at = [[0, 0], [1, 0], [.5, Math.sqrt(3) / 2]], d = at.map(([x, y]) => `${this.px(x)},${this.py(y)}`);
    svg("path", { d: `M${d.join("L")}z`, class: "axis" }, this.root);
    const away = [[-6, 16, "end"], [6, 16, "start"], [0, -8, "middle"]];
    at.forEach(([x, y], k) => { svg("text", { x: this.px(x) + away[k][0], y: this.py(y) + away[k][1], "text-anchor": away[k][2], class: "corner" }, this.root).textContent = this.spec.corners[k]; });
  }

  guides(parent, across, up) {
    const { l, t } = this.margin;
    let beside = 0;
    for (const g of this.spec.guides) {
      let d, at;
      if (g.kind === "diagonal") {
        const [a, b] = [Math.max(this.range.x[0], this.range.y[0]), Math.min(this.range.x[1], this.range.y[1])];
        d = `M${this.px(a)},${this.py(a)}L${this.px(b)},${this.py(b)}`;
      } else if (g.kind === "y") { const y = this.py(g.at); if (!Number.isFinite(y)) continue; d = `M${l},${y}h${across}`; at = { x: l + across - 4, y: y - 4 < t + 10 ? y + 13 : y - 4, "text-anchor": "end" }; }
      else { const x = this.px(g.at); if (!Number.isFinite(x)) continue; d = `M${x},${t}v${up}`; at = { x: x + 4, y: t + 11 + 13 * beside++ }; }
      svg("path", { d, class: "guide" }, parent);
      if (g.label && at) svg("text", { ...at, class: "guidetext" }, parent).textContent = g.label;
    }
  }

  one(s, parent) {
    const group = svg("g", { class: `s${s.k % 8}` }, parent), X = this.px, Y = this.py, n = s.x.length, put = v => v.toFixed(1);
    const fine = k => Number.isFinite(s.x[k]) && Number.isFinite(s.y[k]);
    if (s.kind === "bars") {
      const half = this.gap(s) / 2;
      let d = "";
      for (let k = 0; k < n; k++) if (fine(k) && s.y[k]) d += `M${put(X(s.x[k] - half) + .5)},${put(Y(0))}V${put(Y(s.y[k]))}H${put(X(s.x[k] + half) - .5)}V${put(Y(0))}z`;
      svg("path", { d, class: s.hollow ? "bar hollow" : "bar" }, group);
      return;
    }
    if (s.kind === "line" || s.kind === "steps") {
      if (s.low) {
        let there = "", back = "";
        for (let k = 0; k < n; k++) if (fine(k)) { there += `${there ? "L" : "M"}${put(X(s.x[k]))},${put(Y(s.high[k]))}`; back = `L${put(X(s.x[k]))},${put(Y(s.low[k]))}` + back; }
        svg("path", { d: there + back + "z", class: "band" }, group);
      }
      let d = "", pen = false;
      for (let k = 0; k < n; k++) {
        if (!fine(k)) { pen = false; continue; }
        if (pen && s.kind === "steps") d += `H${put(X(s.x[k]))}`;
        d += `${pen ? "L" : "M"}${put(X(s.x[k]))},${put(Y(s.y[k]))}`;
        pen = true;
      }
      svg("path", { d, class: `line d${s.k % 8}` }, group);
      if (n <= 40 && s.kind === "line") for (let k = 0; k < n; k++) if (fine(k)) svg("path", { d: SHAPES[s.k % 6](X(s.x[k]), Y(s.y[k]), 2.6), class: "mark" }, group);
      return;
    }
    const many = n > 400, r = n > 4000 ? 1.7 : n > 800 ? 2.2 : many ? 2.8 : 4, shape = SHAPES[s.k % 6];
    if (s.low) {
      let d = "";
      for (let k = 0; k < n; k++) if (fine(k)) d += `M${put(X(s.x[k]))},${put(Y(s.low[k]))}V${put(Y(s.high[k]))}`;
      svg("path", { d, class: "whisker" }, group);
    }
    const sheets = Array(many ? LAYERS : 1).fill("");
    for (let k = 0; k < n; k++) {
      if (!fine(k)) continue;
      const x = +put(X(s.x[k])), y = +put(Y(s.y[k]));
      sheets[k % sheets.length] += many && s.k % 6 === 0 ? `M${x},${y}h0` : shape(x, y, r);
    }
    for (const d of sheets) if (d) {
      const dots = many && s.k % 6 === 0;
      const path = svg("path", { d, class: dots ? "dots" : `mark${s.hollow ? " hollow" : ""}${many ? " many" : ""}` }, group);
      if (dots) path.setAttribute("stroke-width", 2 * r);
    }
  }

  /* The nearest point of points within reach; of lines, those at the nearest x. */
  nearest(px, py) {
    let best = null, least = 30 * 30;
    const lines = [];
    for (const s of this.series) {
      if (s.off) continue;
      const flat = s.kind !== "points";
      let mine = null, near = Infinity;
      for (let k = 0; k < s.x.length; k++) {
        if (!Number.isFinite(s.x[k]) || !Number.isFinite(s.y[k])) continue;
        const dx = this.px(s.x[k]) - px, dy = flat ? 0 : this.py(s.y[k]) - py, d = dx * dx + dy * dy;
        if (flat ? d < near : d < least) { if (flat) { near = d; mine = k; } else { least = d; best = { s, k }; } }
      }
      if (mine !== null && near < 60 * 60) lines.push({ s, k: mine });
    }
    return best ? [best] : lines;
  }

  listen() {
    let from = null;
    const where = event => { const box = this.root.getBoundingClientRect(); return [(event.clientX - box.left) * this.width / box.width, (event.clientY - box.top) * this.height / box.height]; };
    this.root.addEventListener("pointermove", event => {
      const [x, y] = where(event);
      if (from) {
        this.far = Math.hypot(x - from[0], y - from[1]) > 8;
        for (const [key, value] of Object.entries({ x: Math.min(x, from[0]), y: Math.min(y, from[1]), width: Math.abs(x - from[0]), height: Math.abs(y - from[1]), visibility: this.far ? "visible" : "hidden" })) this.box.setAttribute(key, value);
        return;
      }
      this.point(this.nearest(x, y), event);
    });
    this.root.addEventListener("pointerleave", () => { if (!from) { this.hover.replaceChildren(); tip.hide(); } });
    this.root.addEventListener("pointerdown", event => {
      if (event.button || event.pointerType === "touch") return;
      from = where(event); this.far = false; this.root.setPointerCapture(event.pointerId); event.preventDefault();
    });
    this.root.addEventListener("pointerup", event => {
      if (!from) return;
      const to = where(event), start = from;
      from = null; this.box.setAttribute("visibility", "hidden");
      if (this.far) this.zoomTo(start, to);
    });
    this.root.addEventListener("click", event => {
      if (this.far) return;
      const [hit] = this.nearest(...where(event)), id = hit && hit.s.ids && hit.s.ids[hit.k];
      if (id !== undefined && this.library && this.library[id]) openStructure(id, this.library[id], this.lines(hit));
    });
    this.root.addEventListener("dblclick", () => { this.zoom = null; this.draw(); });
  }

  zoomTo([x0, y0], [x1, y1]) {
    const back = (axis, from, length, sign, v) => {
      const [a, b] = this.range[axis], part = sign * (v - from) / length;
      return this.logs[axis] ? a * (b / a) ** part : a + (b - a) * part;
    };
    const m = this.margin, w = this.width - m.l - m.r, h = this.height - m.t - m.b;
    const x = [x0, x1].map(v => back("x", m.l, w, 1, v)).sort((a, b) => a - b);
    const y = [y0, y1].map(v => back("y", this.height - m.b, h, -1, v)).sort((a, b) => a - b);
    this.zoom = { x, y };
    this.draw();
  }

  lines({ s, k }) {
    const said = [], [wx, wy] = this.spec.words;
    if (s.name && this.series.length > 1) said.push(["", s.name]);
    if (!this.triangle) said.push([wx || this.spec.x.label, shown(s.x[k])], [wy || this.spec.y.label, shown(s.y[k])]);
    if (s.low) said.push(["from … to", `${shown(s.low[k])} … ${shown(s.high[k])}`]);
    for (const name in s.notes || {}) if (s.notes[name][k]) said.push([name, s.notes[name][k]]);
    return said;
  }

  point(hits, event) {
    this.hover.replaceChildren();
    if (!hits.length) { tip.hide(); this.root.style.cursor = ""; return; }
    for (const { s, k } of hits) svg("circle", { cx: this.px(s.x[k]), cy: this.py(s.y[k]), r: s.kind === "bars" ? 0 : 6, class: "ring" }, this.hover);
    const one = hits.length === 1, id = one && hits[0].s.ids && hits[0].s.ids[hits[0].k], seen = id && this.library && this.library[id];
    this.root.style.cursor = seen ? "pointer" : "crosshair";
    const rows = one ? this.lines(hits[0]) : [[this.spec.words[0] || this.spec.x.label, shown(hits[0].s.x[hits[0].k])], ...hits.map(({ s, k }) => [s.name || this.spec.y.label, shown(s.y[k])])];
    tip.show(event, id || "", rows, seen ? "click: its structure" : "");
  }
}

/* One tooltip for the whole page. Everything in it is text. */
const tip = {
  box: null,
  show(event, title, rows, foot) {
    const box = this.box || (this.box = html("div", "tip", document.body));
    box.replaceChildren();
    if (title) html("b", "", box, title);
    const table = html("dl", "", box);
    for (const [name, value] of rows) { html("dt", "", table, name); html("dd", "", table, value); }
    if (foot) html("i", "", box, foot);
    box.style.display = "block";
    const w = box.offsetWidth, h = box.offsetHeight, x = event.clientX, y = event.clientY;
    box.style.left = `${Math.max(4, x + 16 + w > innerWidth ? x - w - 14 : x + 16)}px`;
    box.style.top = `${Math.max(4, y + 16 + h > innerHeight ? y - h - 12 : y + 14)}px`;
  },
  hide() { if (this.box) this.box.style.display = "none"; },
};
