"use strict";
const get = (id) => document.getElementById(id);
const meta = JSON.parse(get("meta").textContent);
const columns = readColumns(get("data").textContent, meta.columns);
const [height, width] = meta.resolution;
const state = { time: meta.duration, window: 0, playing: false, before: 0 };

function readColumns(text, places) {
  const binary = atob(text.trim());
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  const kinds = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array };
  const read = ([kind, offset, length]) => new kinds[kind](bytes.buffer, offset, length);
  return Object.fromEntries(Object.entries(places).map(([name, place]) => [name, read(place)]));
}

/* The first event later than `time`. */
function after(time) {
  let low = 0, high = columns.t.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (columns.t[middle] <= time) low = middle + 1; else high = middle;
  }
  return low;
}

function drawFrame() {
  const first = after(state.time - state.window), last = after(state.time);
  const counts = [new Float32Array(width * height), new Float32Array(width * height)];
  for (let i = first; i < last; i++) counts[columns.p[i]][columns.y[i] * width + columns.x[i]]++;
  const image = new ImageData(width, height);
  let fired = 0;
  for (let i = 0; i < width * height; i++) fired += counts[0][i] + counts[1][i] > 0;
  const typical = Math.max((last - first) / Math.max(fired, 1), 1);
  for (let i = 0; i < width * height; i++) {
    const total = counts[0][i] + counts[1][i];
    const ink = 1 - Math.exp(-2 * total / typical), share = total ? counts[1][i] / total : 0;
    for (let c = 0; c < 3; c++) {
      const color = share * meta.colors[1][c] + (1 - share) * meta.colors[0][c];
      image.data[4 * i + c] = 255 + ink * (color - 255);
    }
    image.data[4 * i + 3] = 255;
  }
  get("frame").getContext("2d").putImageData(image, 0, 0);
  get("now").textContent = `${(state.time / 1e6).toFixed(3)} s, ${last - first} events`;
}

function prepare(canvas) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.max(canvas.clientWidth * scale, 1);
  canvas.height = Math.max(canvas.clientHeight * scale, 1);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  return [pen, canvas.clientWidth, canvas.clientHeight];
}

const rate = (() => {
  const bins = 400, counts = [new Float64Array(bins), new Float64Array(bins)];
  for (let i = 0; i < columns.t.length; i++) {
    counts[columns.p[i]][Math.min(bins - 1, Math.floor(columns.t[i] * bins / meta.duration))]++;
  }
  return { counts, most: Math.max(1, ...counts[0], ...counts[1]) };
})();

function drawRate() {
  const [pen, wide, high] = prepare(get("rate"));
  rate.counts.forEach((counts, p) => {
    pen.strokeStyle = `rgb(${meta.colors[p]})`;
    pen.beginPath();
    counts.forEach((n, i) => pen.lineTo((i + 0.5) * wide / counts.length,
      high - 2 - (high - 6) * n / rate.most));
    pen.stroke();
  });
  cursor(pen, wide, high);
}

function drawAnswers() {
  const found = meta.answers;
  if (!found) return;
  const [pen, wide, high] = prepare(get("answers"));
  pen.strokeStyle = "#e5e7eb";
  for (const share of [0, 0.5, 1]) {
    pen.strokeRect(0, high - 4 - (high - 8) * share, wide, 0);
  }
  for (const { color, values } of found.curves) {
    pen.strokeStyle = pen.fillStyle = `rgb(${color})`;
    pen.lineWidth = 2;
    pen.beginPath();
    values.forEach((value, i) => {
      const x = found.times[i] * wide / meta.duration, y = high - 4 - (high - 8) * value;
      pen.lineTo(x, y);
      pen.fillRect(x - 2, y - 2, 4, 4);
    });
    pen.stroke();
  }
  cursor(pen, wide, high);
}

function cursor(pen, wide, high) {
  const x = state.time * wide / meta.duration;
  pen.strokeStyle = "#1f2328";
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(x, 0);
  pen.lineTo(x, high);
  pen.stroke();
}

function draw() {
  get("time").value = 1000 * state.time / meta.duration;
  drawFrame();
  drawRate();
  drawAnswers();
}

function choose() {
  const least = Math.min(1000, meta.duration), share = get("window").value / 100;
  state.window = least * Math.pow(meta.duration / least, share);
  const ms = state.window / 1000;
  get("length").textContent = ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

function step(now) {
  if (!state.playing) return;
  state.time += (now - state.before) * 1000 * get("speed").value;
  state.before = now;
  if (state.time >= meta.duration) state.time %= meta.duration;
  draw();
  requestAnimationFrame(step);
}

function toggle() {
  state.playing = !state.playing;
  get("play").textContent = state.playing ? "pause" : "play";
  if (state.time >= meta.duration) state.time = 0;
  state.before = performance.now();
  if (state.playing) requestAnimationFrame(step);
}

function jump(event) {
  const box = event.currentTarget.getBoundingClientRect();
  state.time = meta.duration * Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  draw();
}

function label(holder, color, text) {
  const span = document.createElement("span"), dot = document.createElement("i");
  dot.style.background = `rgb(${color})`;
  span.append(dot, text);
  holder.append(span);
}

get("frame").width = width;
get("frame").height = height;
get("title").textContent = meta.title;
get("note").textContent = meta.notes.join("; ");
label(get("rates"), meta.colors[1], "brighter ");
label(get("rates"), meta.colors[0], "darker");
if (meta.answers) {
  get("names").append(`${meta.answers.title}:`);
  for (const { name, color } of meta.answers.curves) label(get("names"), color, name);
} else {
  get("answers").remove();
}
get("play").addEventListener("click", toggle);
get("window").addEventListener("input", () => { choose(); draw(); });
get("time").addEventListener("input", (event) => {
  state.time = meta.duration * event.target.value / 1000;
  draw();
});
for (const id of ["rate", "answers"]) get(id)?.addEventListener("click", jump);
document.addEventListener("keydown", (event) => {
  if (event.key === " " && event.target.tagName !== "BUTTON") { event.preventDefault(); toggle(); }
});
window.addEventListener("resize", draw);
state.time = meta.duration / 2;
choose();
draw();
document.body.dataset.ready = "yes";
