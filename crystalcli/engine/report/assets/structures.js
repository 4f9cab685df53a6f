/* Structures that can be turned: atoms as shaded discs on a canvas, far ones first, bonds where radii touch. */
"use strict";

const MOST_BONDED = 1500, MOST_DRAWN = 4000;

function unpacked(packed, first) {
  const z = bytes(packed.z || first.z), r = new Int16Array(bytes(packed.r).buffer), n = z.length, at = new Float64Array(3 * n);
  for (let k = 0; k < 3 * n; k++) at[k] = r[k] * packed.s;
  return { z, at, cell: packed.c || first.c, pbc: packed.p || first.p, said: packed.t || "" };
}

/* Moves atoms into the cell, along its periodic directions. */
function wrapped(one) {
  const back = one.cell && inverse(one.cell);
  if (!back) return one;
  const at = Float64Array.from(one.at), c = one.cell;
  for (let k = 0; k < at.length; k += 3) {
    const [x, y, w] = at.subarray(k, k + 3);
    for (let axis = 0; axis < 3; axis++) {
      if (one.pbc[axis] !== "T") continue;
      const cells = Math.floor(x * back[axis] + y * back[3 + axis] + w * back[6 + axis] + .01);
      for (let i = 0; i < 3; i++) at[k + i] -= cells * c[3 * axis + i];
    }
  }
  return { ...one, at };
}

/* Whether many atoms are far out of the cell: they have wandered. */
function wandered(one) {
  const inside = wrapped(one);
  let out = 0;
  for (let k = 0; k < one.at.length; k += 3) if (Math.hypot(one.at[k] - inside.at[k], one.at[k + 1] - inside.at[k + 1], one.at[k + 2] - inside.at[k + 2]) > .5) out++;
  return out * 3 > .02 * one.at.length && one.at.length > 60;
}

function inverse(m) {
  const [a, b, c, d, e, f, g, h, i] = m, det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  if (Math.abs(det) < 1e-9) return null;
  return [e * i - f * h, c * h - b * i, b * f - c * e, f * g - d * i, a * i - c * g, c * d - a * f, d * h - e * g, b * g - a * h, a * e - b * d].map(v => v / det);
}

/* Atoms of so many cells, and those on faces of the cell on the other face, too. */
function repeated(one, times) {
  const { z, cell } = one, n = z.length, back = cell && inverse(cell), list = [];
  const reach = [0, 1, 2].map(k => back && one.pbc[k] === "T" ? times : 1);
  const faces = back && n <= 200;
  for (let k = 0; k < n; k++) {
    const x = one.at[3 * k], y = one.at[3 * k + 1], w = one.at[3 * k + 2];
    const counts = reach.map((r, axis) => {
      if (!faces || one.pbc[axis] !== "T") return r;
      const s = x * back[axis] + y * back[3 + axis] + w * back[6 + axis];
      return Math.abs(s) < .015 ? r + 1 : r;
    });
    for (let a = 0; a < counts[0]; a++) for (let b = 0; b < counts[1]; b++) for (let c = 0; c < counts[2]; c++) {
      if (list.length >= MOST_DRAWN) return list;
      list.push({ z: z[k], k, x: x + (back ? a * cell[0] + b * cell[3] + c * cell[6] : 0), y: y + (back ? a * cell[1] + b * cell[4] + c * cell[7] : 0), w: w + (back ? a * cell[2] + b * cell[5] + c * cell[8] : 0) });
    }
  }
  return list;
}

function bonds(atoms, elements) {
  const found = [], n = atoms.length;
  if (n > MOST_BONDED) return found;
  const order = atoms.map((_, k) => k).sort((i, j) => atoms[i].x - atoms[j].x);
  for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) {
    const a = atoms[order[p]], b = atoms[order[q]], most = 1.15 * (elements[a.z][2] + elements[b.z][2]);
    if (b.x - a.x > 5.6) break;
    const d = (a.x - b.x) ** 2 + (a.y - b.y) ** 2 + (a.w - b.w) ** 2;
    if (d < most * most && d > .16) found.push([order[p], order[q]]);
  }
  return found;
}

class Viewer {
  constructor(parent, structures, elements, word) {
    this.list = structures; this.elements = elements; this.word = word || "frame";
    this.times = 1; this.size = 1; this.chosen = 0; this.frame = 0; this.words = false;
    this.turned = [1, 0, 0, 0, 1, 0, 0, 0, 1];
    this.turn(-.35, 1); this.turn(.3, 0);
    this.build(parent);
    this.pick(0);
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    document.addEventListener("theme", () => this.draw());
  }

  build(parent) {
    if (this.list.length > 1) {
      const row = html("div", "picks", parent);
      this.picks = this.list.map((s, k) => { const b = html("button", "pick", row, s.id); b.type = "button"; b.onclick = () => this.pick(k); return b; });
    }
    const body = html("div", "viewer", parent), left = html("div", "stage", body);
    this.canvas = html("canvas", "", left);
    this.canvas.tabIndex = 0;
    this.side = html("div", "side", body);
    const row = html("div", "buttons", left);
    const button = (text, said, act) => { const b = html("button", "small", row, text); b.type = "button"; b.title = said; b.onclick = act; return b; };
    this.more = button("1 cell", "repeat the cell", () => { this.times = this.times % 3 + 1; this.load(); });
    this.letters = button("labels", "names of elements on the atoms", () => { this.words = !this.words; this.letters.setAttribute("aria-pressed", this.words); this.draw(); });
    this.letters.setAttribute("aria-pressed", "false");
    this.inside = button("wrap", "atoms that have left the cell are shown in it", () => { this.wrap = !this.wrap; this.show(this.frame); });
    button("−", "farther", () => { this.size /= 1.2; this.draw(); });
    button("+", "nearer", () => { this.size *= 1.2; this.draw(); });
    for (const [k, text] of ["a", "b", "c"].entries()) button(text, `look along ${text}`, () => this.along(k));
    const film = this.film = html("div", "film", left);
    this.play = html("button", "small", film, "▶"); this.play.type = "button"; this.play.title = "play";
    this.play.onclick = () => this.running ? this.stop() : this.start();
    this.slider = html("input", "", film); this.slider.type = "range"; this.slider.min = 0; this.slider.setAttribute("aria-label", this.word);
    this.slider.oninput = () => { this.stop(); this.show(+this.slider.value); };
    this.said = html("span", "said", film);
    this.listen();
  }

  listen() {
    const c = this.canvas;
    let last = null;
    c.addEventListener("pointerdown", e => { last = [e.clientX, e.clientY]; c.setPointerCapture(e.pointerId); c.focus({ preventScroll: true }); });
    c.addEventListener("pointermove", e => {
      if (!last) return;
      this.turn((e.clientX - last[0]) * .01, 1); this.turn((e.clientY - last[1]) * .01, 0);
      last = [e.clientX, e.clientY]; this.draw();
    });
    for (const end of ["pointerup", "pointercancel"]) c.addEventListener(end, () => { last = null; });
    c.addEventListener("wheel", e => { if (document.activeElement !== c) return; e.preventDefault(); this.size *= Math.exp(-e.deltaY * .001); this.draw(); }, { passive: false });
    c.addEventListener("keydown", e => {
      const move = { ArrowLeft: [-.1, 1], ArrowRight: [.1, 1], ArrowUp: [-.1, 0], ArrowDown: [.1, 0] }[e.key];
      if (move) { e.preventDefault(); this.turn(...move); this.draw(); }
    });
  }

  /* Turn about the screen's x (0) or y (1). */
  turn(angle, about) {
    const c = Math.cos(angle), s = Math.sin(angle);
    const m = about === 1 ? [c, 0, s, 0, 1, 0, -s, 0, c] : [1, 0, 0, 0, c, -s, 0, s, c], t = this.turned, found = [];
    for (let i = 0; i < 3; i++) for (let j = 0; j < 3; j++) found.push(m[3 * i] * t[j] + m[3 * i + 1] * t[3 + j] + m[3 * i + 2] * t[6 + j]);
    this.turned = found;
    if (this.canvas) this.canvas.dataset.turned = found.map(v => v.toFixed(3)).join(" ");
  }

  along(k) {
    const cell = this.now && this.now.cell;
    let axis = cell ? cell.slice(3 * k, 3 * k + 3) : [0, 0, 0];
    if (Math.hypot(...axis) < 1e-6) axis = [0, 1, 2].map(i => +(i === k));
    const unit = v => { const l = Math.hypot(...v); return v.map(x => x / l); }, cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    const z = unit(axis), helper = Math.abs(z[2]) < .9 ? [0, 0, 1] : [0, 1, 0], x = unit(cross(helper, z)), y = cross(z, x);
    this.turned = [...x, ...y, ...z];
    this.turn(0, 0); this.draw();
  }

  pick(k) {
    this.stop();
    this.chosen = k;
    if (this.picks) this.picks.forEach((b, i) => b.setAttribute("aria-pressed", String(i === k)));
    const one = this.list[k];
    this.frames = one.frames.map(f => unpacked(f, one.frames[0]));
    this.wrap = this.frames.some(wandered);
    this.inside.hidden = !this.frames[0].cell;
    this.film.hidden = this.frames.length < 2;
    this.slider.max = this.frames.length - 1;
    this.times = 1; this.size = 1;
    this.side.replaceChildren();
    html("b", "", this.side, one.id);
    const facts = html("dl", "", this.side);
    for (const [name, value] of one.facts || []) { html("dt", "", facts, name); html("dd", "", facts, value); }
    const key = html("div", "elements", this.side);
    for (const z of [...new Set(this.frames[0].z)].sort((a, b) => a - b)) {
      const chip = html("span", "chip", key), dot = html("i", "", chip);
      dot.style.background = this.elements[z][1];
      html("span", "", chip, this.elements[z][0]);
    }
    this.centre = null;
    this.show(this.frames.length > 1 && this.word === "before and after" ? this.frames.length - 1 : 0);
  }

  show(k) {
    this.frame = k; this.now = this.wrap ? wrapped(this.frames[k]) : this.frames[k];
    this.inside.setAttribute("aria-pressed", String(this.wrap));
    this.slider.value = k;
    this.said.textContent = this.now.said || `${this.word} ${k + 1} of ${this.frames.length}`;
    this.load();
  }

  start() {
    this.running = setInterval(() => this.show((this.frame + 1) % this.frames.length), this.frames.length > 4 ? 120 : 700);
    this.play.textContent = "❚❚";
  }

  stop() { clearInterval(this.running); this.running = null; if (this.play) this.play.textContent = "▶"; }

  load() {
    this.more.textContent = this.times === 1 ? "1 cell" : `${this.times} × ${this.times} × ${this.times}`;
    this.more.hidden = !this.now.cell || !this.now.pbc.includes("T");
    this.atoms = repeated(this.now, this.times);
    this.bonded = bonds(this.atoms, this.elements);
    let low = [Infinity, Infinity, Infinity], high = low.map(v => -v);
    const see = p => p.forEach((v, k) => { low[k] = Math.min(low[k], v); high[k] = Math.max(high[k], v); });
    for (const a of this.atoms) see([a.x, a.y, a.w]);
    for (const p of this.box()) { see(p[0]); see(p[1]); }
    if (!this.centre || this.times !== this.was) {
      this.centre = low.map((v, k) => (v + high[k]) / 2);
      this.reach = Math.max(2, Math.hypot(...low.map((v, k) => high[k] - v)) / 2);
      this.was = this.times;
    }
    this.draw();
  }

  box() {
    const c = this.now.cell;
    if (!c || !inverse(c)) return [];
    const corner = (i, j, k) => [0, 1, 2].map(x => i * c[x] + j * c[3 + x] + k * c[6 + x]), lines = [];
    for (let i = 0; i < 2; i++) for (let j = 0; j < 2; j++) lines.push([corner(0, i, j), corner(1, i, j)], [corner(i, 0, j), corner(i, 1, j)], [corner(i, j, 0), corner(i, j, 1)]);
    return lines;
  }

  draw() {
    const c = this.canvas, ratio = devicePixelRatio || 1, w = c.clientWidth, h = c.clientHeight;
    if (!w || !this.atoms) return;
    if (c.width !== Math.round(w * ratio)) c.width = Math.round(w * ratio);
    if (c.height !== Math.round(h * ratio)) c.height = Math.round(h * ratio);
    const g = c.getContext("2d"), t = this.turned, o = this.centre;
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, w, h);
    const scale = this.size * .46 * Math.min(w, h) / this.reach;
    const put = (x, y, z) => {
      x -= o[0]; y -= o[1]; z -= o[2];
      return [w / 2 + scale * (t[0] * x + t[1] * y + t[2] * z), h / 2 - scale * (t[3] * x + t[4] * y + t[5] * z), t[6] * x + t[7] * y + t[8] * z];
    };
    const style = getComputedStyle(c), ink = style.getPropertyValue("--ink-2").trim() || "#666", rim = style.getPropertyValue("--rim").trim() || "#0008";
    g.lineWidth = 1; g.strokeStyle = ink;
    g.beginPath();
    for (const [a, b] of this.box()) { const p = put(...a), q = put(...b); g.moveTo(p[0], p[1]); g.lineTo(q[0], q[1]); }
    g.stroke();
    const seen = this.atoms.map(a => put(a.x, a.y, a.w)), things = [];
    seen.forEach((p, k) => things.push([p[2], k, -1]));
    for (const [i, j] of this.bonded) things.push([(seen[i][2] + seen[j][2]) / 2 - .05, i, j]);
    things.sort((a, b) => a[0] - b[0]);
    for (const [depth, i, j] of things) {
      const p = seen[i], [symbol, colour, radius] = this.elements[this.atoms[i].z];
      if (j >= 0) {
        const q = seen[j], middle = [(p[0] + q[0]) / 2, (p[1] + q[1]) / 2];
        for (const [from, kind] of [[p, this.atoms[i].z], [q, this.atoms[j].z]]) {
          g.lineCap = "butt";
          for (const [width, paint] of [[.2, rim], [.15, this.elements[kind][1]]]) { g.beginPath(); g.moveTo(from[0], from[1]); g.lineTo(middle[0], middle[1]); g.lineWidth = width * scale; g.strokeStyle = paint; g.stroke(); }
        }
        continue;
      }
      const r = Math.max(2, .42 * radius * scale), fog = Math.max(.55, Math.min(1, .8 + .25 * depth / this.reach));
      g.globalAlpha = fog;
      const shade = g.createRadialGradient(p[0] - r * .35, p[1] - r * .4, r * .1, p[0], p[1], r * 1.05);
      shade.addColorStop(0, "#fff"); shade.addColorStop(.25, colour); shade.addColorStop(1, colour);
      g.beginPath(); g.arc(p[0], p[1], r, 0, 2 * Math.PI); g.fillStyle = shade; g.fill();
      g.lineWidth = 1; g.strokeStyle = rim; g.stroke();
      if (this.words && r > 5) {
        g.font = `600 ${Math.max(9, Math.min(15, r))}px system-ui, sans-serif`; g.textAlign = "center"; g.textBaseline = "middle";
        g.lineWidth = 3; g.strokeStyle = "#ffffffcc"; g.strokeText(symbol, p[0], p[1]); g.fillStyle = "#111"; g.fillText(symbol, p[0], p[1]);
      }
      g.globalAlpha = 1;
    }
    c.dataset.drawn = String(this.atoms.length);
  }
}
