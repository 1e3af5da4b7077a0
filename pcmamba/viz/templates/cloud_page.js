"use strict";
const by = (id) => document.getElementById(id);
const problems = [];
window.addEventListener("error", (event) => { problems.push(event.message); report(); });

const meta = JSON.parse(by("meta").textContent);
const bytes = decode(by("data").textContent);
by("data").remove();
const canvas = by("canvas");
const gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
const view = { azimuth: -55, elevation: 22, zoom: 1, right: 0, up: 0 };
const state = { sample: 0, mode: meta.mode, order: meta.order, line: meta.line, size: 0, drawn: 0 };
let cloud = null;

function decode(text) {
  const binary = atob(text.trim());
  const out = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) out[i] = binary.charCodeAt(i);
  return out;
}

function array(place) { // [kind, offset, length] of the data
  const kinds = { u1: Uint8Array, u2: Uint16Array, i4: Int32Array, u4: Uint32Array };
  return new kinds[place[0]](bytes.buffer, place[1], place[2]);
}

function program(vertex, fragment) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, "#version 300 es\nprecision highp float;\n" + source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw Error(gl.getShaderInfoLog(shader));
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  return made;
}

// A point is a disc whose depth bulges; its inside has the exact colour, its rim is darker.
const POINTS = `in vec3 xyz; in vec3 rgb; uniform mat4 see; uniform float size; out vec3 color;
void main() { gl_Position = see * vec4(xyz, 1.); gl_PointSize = size; color = rgb; }`;
const DISC = `in vec3 color; uniform float bulge; uniform float rim; out vec4 pixel;
void main() { vec2 at = 2. * gl_PointCoord - 1.; float r2 = dot(at, at); if (r2 > 1.) discard;
  gl_FragDepth = gl_FragCoord.z - bulge * sqrt(1. - r2);
  pixel = vec4(r2 > rim ? color * .72 : color, 1.); }`;
const SEGMENTS = `in vec3 from; in vec3 to; in vec3 rgb; uniform mat4 see; uniform vec2 pixel;
uniform float width; out vec3 color;
void main() { vec4 a = see * vec4(from, 1.), b = see * vec4(to, 1.);
  vec2 along = (b.xy - a.xy) / pixel; float far = length(along);
  vec2 side = far > 0. ? vec2(-along.y, along.x) / far : vec2(0.);
  vec4 end = (gl_VertexID & 1) == 0 ? a : b;
  end.xy += side * pixel * width * ((gl_VertexID & 2) == 0 ? -.5 : .5);
  gl_Position = end; color = rgb; }`;
const FLAT = `in vec3 color; out vec4 pixel; void main() { pixel = vec4(color, 1.); }`;

function matrix(aspect) { // column by column; parallel rays, z up
  const a = view.azimuth * Math.PI / 180, e = view.elevation * Math.PI / 180;
  const ca = Math.cos(a), sa = Math.sin(a), ce = Math.cos(e), se = Math.sin(e);
  const k = view.zoom * Math.min(1, aspect) * cloud.fit, x = k / aspect, d = 0.25;
  return [-sa * x, -se * ca * k, -ce * ca * d, 0, ca * x, -se * sa * k, -ce * sa * d, 0,
    0, ce * k, -se * d, 0, view.right * x, view.up * k, 0, 1];
}

function buffer(values) {
  const made = gl.createBuffer();
  gl.bindBuffer(gl.ARRAY_BUFFER, made);
  gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
  return made;
}

function attribute(use, name, source, kind, normalized, stride, offset, divisor) {
  const place = gl.getAttribLocation(use, name);
  gl.bindBuffer(gl.ARRAY_BUFFER, source);
  gl.enableVertexAttribArray(place);
  gl.vertexAttribPointer(place, 3, kind, normalized, stride, offset);
  gl.vertexAttribDivisor(place, divisor);
}

function load() { // the sample's points, once
  const from = meta.samples[state.sample];
  const packed = array(from.xyz), count = from.count, xyz = new Float32Array(3 * count);
  for (let i = 0; i < 3 * count; i++) xyz[i] = packed[i] / 65535 - from.middle[i % 3];
  let across = 1e-6, up = 1e-6;
  for (let i = 0; i < count; i++) {
    across = Math.max(across, Math.hypot(xyz[3 * i], xyz[3 * i + 1]));
    up = Math.max(up, Math.abs(xyz[3 * i + 2]));
  }
  const fit = .9 / Math.max(across, .93 * up + .37 * across); // as seen from 22 degrees above
  cloud = { from, count, xyz, fit, points: buffer(xyz), panels: [], ends: null };
  if (!(state.mode in from.modes)) state.mode = from.first;
  if (!(state.order in from.orders)) state.order = Object.keys(from.orders)[0];
}

function paint() { // colours and the line of what is chosen
  const { from, count } = cloud, perm = from.orders[state.order] && array(from.orders[state.order]);
  let look = from.modes[state.mode];
  if (state.mode === "sequence") {
    const index = new Uint8Array(count), steps = look.table.length - 1;
    for (let i = 0; i < count; i++) index[perm[i]] = Math.round(steps * i / Math.max(1, count - 1));
    look = { ...look, panels: [{ index, caption: "" }] };
  }
  for (const panel of cloud.panels) gl.deleteBuffer(panel.colors);
  cloud.panels = look.panels.map((panel) => {
    const rgb = panel.rgb ? array(panel.rgb) : indexed(look.table, panel.index);
    return { rgb, colors: buffer(rgb), caption: panel.caption };
  });
  if (cloud.ends) { gl.deleteBuffer(cloud.ends); gl.deleteBuffer(cloud.shades); cloud.ends = null; }
  if (state.mode === "sequence" && state.line && count > 1) threaded(perm);
  legend(look);
}

function indexed(table, place) {
  const index = place instanceof Uint8Array ? place : array(place);
  const rgb = new Uint8Array(3 * index.length);
  for (let i = 0; i < index.length; i++) {
    const color = table[index[i]];
    rgb[3 * i] = color[0]; rgb[3 * i + 1] = color[1]; rgb[3 * i + 2] = color[2];
  }
  return rgb;
}

function threaded(perm) {
  const xyz = new Float32Array(3 * cloud.count), rgb = new Uint8Array(3 * cloud.count);
  for (let i = 0; i < cloud.count; i++) for (let c = 0; c < 3; c++) {
    xyz[3 * i + c] = cloud.xyz[3 * perm[i] + c];
    rgb[3 * i + c] = cloud.panels[0].rgb[3 * perm[i] + c];
  }
  cloud.ends = buffer(xyz);
  cloud.shades = buffer(rgb);
}

const text = (tag, content) => {
  const made = document.createElement(tag);
  made.textContent = content;
  return made;
};

function legend(look) {
  const box = by("legend");
  box.replaceChildren(text("b", look.title));
  box.style.display = look.title ? "" : "none";
  const hex = (color) => `rgb(${color.join(",")})`;
  for (const [name, color] of look.names || []) {
    const row = box.appendChild(document.createElement("div")), dot = text("i", "");
    dot.style.background = hex(color);
    row.append(dot, text("span", name));
  }
  if (look.ends) {
    const row = box.appendChild(document.createElement("div")), bar = text("span", "");
    bar.className = "ramp";
    bar.style.background = `linear-gradient(to top, ${look.ramp.map(hex).join(",")})`;
    const ends = text("span", "");
    ends.className = "ends";
    ends.append(text("span", look.ends[1]), text("span", look.ends[0]));
    row.append(bar, ends);
  }
}

let disc, segment;
function draw() {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  gl.clearColor(1, 1, 1, 1);
  gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  gl.enable(gl.DEPTH_TEST);
  const part = Math.floor(width / cloud.panels.length), see = matrix(part / height);
  cloud.panels.forEach((panel, k) => {
    gl.viewport(k * part, 0, part, height);
    const edge = Math.min(part, height), lined = cloud.ends !== null;
    const wanted = edge * view.zoom * (lined ? .55 : 1.1) / Math.sqrt(cloud.count);
    const size = Math.max(1.5, Math.min(wanted, edge / (lined ? 55 : 36) * view.zoom)) * 2 ** state.size;
    gl.useProgram(disc);
    attribute(disc, "xyz", cloud.points, gl.FLOAT, false, 0, 0, 0);
    attribute(disc, "rgb", panel.colors, gl.UNSIGNED_BYTE, true, 0, 0, 0);
    gl.uniformMatrix4fv(gl.getUniformLocation(disc, "see"), false, see);
    gl.uniform1f(gl.getUniformLocation(disc, "size"), size);
    gl.uniform1f(gl.getUniformLocation(disc, "rim"), size > 4 ? (1 - 2 / size) ** 2 : 2);
    const unit = cloud.fit * view.zoom * edge / 2;
    gl.uniform1f(gl.getUniformLocation(disc, "bulge"), size / 2 / unit * 0.25 / 2);
    gl.drawArrays(gl.POINTS, 0, cloud.count);
    gl.disableVertexAttribArray(gl.getAttribLocation(disc, "xyz"));
    gl.disableVertexAttribArray(gl.getAttribLocation(disc, "rgb"));
    if (lined) drawLine(see, part, height, edge);
  });
  captions(part / ratio);
  state.drawn++;
}

function drawLine(see, width, height, edge) {
  gl.useProgram(segment);
  attribute(segment, "from", cloud.ends, gl.FLOAT, false, 12, 0, 1);
  attribute(segment, "to", cloud.ends, gl.FLOAT, false, 12, 12, 1);
  attribute(segment, "rgb", cloud.shades, gl.UNSIGNED_BYTE, true, 3, 0, 1);
  gl.uniformMatrix4fv(gl.getUniformLocation(segment, "see"), false, see);
  gl.uniform2f(gl.getUniformLocation(segment, "pixel"), 2 / width, 2 / height);
  const wide = Math.max(1, Math.min(4, edge * 0.2 / Math.sqrt(cloud.count))) * Math.sqrt(view.zoom);
  gl.uniform1f(gl.getUniformLocation(segment, "width"), wide);
  gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, cloud.count - 1);
  for (const name of ["from", "to", "rgb"]) {
    gl.vertexAttribDivisor(gl.getAttribLocation(segment, name), 0);
    gl.disableVertexAttribArray(gl.getAttribLocation(segment, name));
  }
}

function captions(part) {
  by("captions").replaceChildren(...cloud.panels.filter((panel) => panel.caption).map((panel, k) => {
    const made = text("div", panel.caption);
    made.className = "caption";
    made.style.left = `${(k + .5) * part}px`;
    return made;
  }));
}

let asked = false;
function later() { // draw once, however much changed until the next frame
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; draw(); report(); });
}

function options(list, values, chosen) {
  list.replaceChildren(...values.map((value) => text("option", value)));
  list.value = chosen;
}

function update(reload) {
  if (reload) {
    if (cloud) { gl.deleteBuffer(cloud.points); for (const p of cloud.panels) gl.deleteBuffer(p.colors); }
    load();
    options(by("mode"), Object.keys(cloud.from.modes), state.mode);
    options(by("order"), Object.keys(cloud.from.orders), state.order);
    by("title").textContent = cloud.from.title;
    by("note").textContent = cloud.from.note;
    by("count").textContent = `${state.sample + 1} of ${meta.samples.length}`;
    by("steps").style.display = meta.samples.length > 1 ? "" : "none";
  }
  by("mode").value = state.mode;
  by("order").value = state.order;
  by("line").checked = state.line;
  const ordered = state.mode === "sequence" ? "" : "none";
  by("orders").style.display = by("lines").style.display = ordered;
  by("tip").style.display = "none";
  paint();
  later();
}

function step(by) {
  state.sample = (state.sample + by + meta.samples.length) % meta.samples.length;
  update(true);
}

function cycle(name, values, by) {
  state[name] = values[(values.indexOf(state[name]) + by + values.length) % values.length];
  update(false);
}

function reset() { Object.assign(view, { azimuth: -55, elevation: 22, zoom: 1, right: 0, up: 0 }); later(); }

// Name the nearest point under the pointer.
function pick(x, y) {
  const ratio = window.devicePixelRatio || 1, part = Math.floor(canvas.width / cloud.panels.length);
  const px = (x * ratio) % part, py = y * ratio, see = matrix(part / canvas.height);
  let best = -1, front = Infinity;
  for (let i = 0; i < cloud.count; i++) {
    const a = cloud.xyz[3 * i], b = cloud.xyz[3 * i + 1], c = cloud.xyz[3 * i + 2];
    const u = (see[0] * a + see[4] * b + see[12] + 1) / 2 * part;
    const v = (1 - see[1] * a - see[5] * b - see[9] * c - see[13]) / 2 * canvas.height;
    if ((u - px) ** 2 + (v - py) ** 2 > (6 * ratio) ** 2) continue;
    const depth = see[2] * a + see[6] * b + see[10] * c;
    if (depth < front) { front = depth; best = i; }
  }
  const tip = by("tip");
  tip.style.display = best < 0 ? "none" : "block";
  if (best < 0) return;
  const said = [`point ${(cloud.from.ids ? array(cloud.from.ids)[best] : best).toLocaleString("en")}`];
  for (const [word, place] of Object.entries(cloud.from.labels)) {
    const label = array(place)[best];
    said.push(`${word} ${label < 0 ? "no label" : cloud.from.names[label] || label}`);
  }
  tip.textContent = said.concat(cloud.from.said).join(", ");
  tip.style.left = `${Math.min(x + 12, canvas.clientWidth - 200)}px`;
  tip.style.top = `${y + 12}px`;
}

const held = new Map();
let moved = 0, spread = 0;
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  held.set(event.pointerId, event);
  moved = 0; spread = 0;
});
canvas.addEventListener("pointermove", (event) => {
  const last = held.get(event.pointerId);
  if (!last) return;
  const dx = event.clientX - last.clientX, dy = event.clientY - last.clientY;
  held.set(event.pointerId, event);
  moved += Math.abs(dx) + Math.abs(dy);
  if (held.size === 2) {
    const [a, b] = held.values(), now = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    if (spread) view.zoom = Math.min(50, Math.max(.2, view.zoom * now / spread));
    spread = now;
  } else if (event.shiftKey || event.buttons === 2) {
    const unit = cloud.fit * view.zoom * Math.min(canvas.clientWidth, canvas.clientHeight) / 2;
    view.right += dx / unit;
    view.up -= dy / unit;
  } else {
    view.azimuth -= dx * .4;
    view.elevation = Math.min(90, Math.max(-90, view.elevation + dy * .4));
  }
  later();
});
for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => {
  held.delete(event.pointerId);
  const box = canvas.getBoundingClientRect();
  if (moved < 4 && name === "pointerup") pick(event.clientX - box.left, event.clientY - box.top);
});
canvas.addEventListener("contextmenu", (event) => event.preventDefault());
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  view.zoom = Math.min(50, Math.max(.2, view.zoom * Math.exp(-event.deltaY * .0012)));
  later();
}, { passive: false });

by("mode").onchange = (event) => { state.mode = event.target.value; update(false); };
by("order").onchange = (event) => { state.order = event.target.value; update(false); };
by("line").onchange = (event) => { state.line = event.target.checked; update(false); };
by("size").oninput = (event) => { state.size = Number(event.target.value); later(); };
by("previous").onclick = () => step(-1);
by("next").onclick = () => step(1);
by("reset").onclick = reset;
window.addEventListener("resize", later);
window.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  const keys = {
    n: () => step(1), p: () => step(-1), r: reset,
    c: () => cycle("mode", Object.keys(cloud.from.modes), 1),
    o: () => cycle("order", Object.keys(cloud.from.orders), 1),
    l: () => { state.line = !state.line; update(false); },
  };
  if (keys[event.key]) keys[event.key]();
});

function report() { // what a test, or somebody who wonders, can read in the document
  const said = document.body.dataset;
  said.errors = problems.concat(gl && gl.getError() ? ["WebGL error"] : []).join("; ");
  said.requests = performance.getEntriesByType("resource").length;
  said.points = cloud ? cloud.count : 0;
  said.drawn = state.drawn;
  said.mode = state.mode;
  said.order = state.order;
}

if (gl) {
  disc = program(POINTS, DISC);
  segment = program(SEGMENTS, FLAT);
  update(true);
  draw();
  gl.finish();
  document.body.dataset.milliseconds = Math.round(performance.now());
} else {
  by("note").textContent = "This browser has no WebGL 2, so the points cannot be drawn.";
  problems.push("no WebGL 2");
}
report();
