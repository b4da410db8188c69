"use strict";
// Draws the report. All texts of runs go into text nodes, or escaped into plots.

const data = JSON.parse(document.getElementById("data").textContent);
const LIGHT = ["#1f77b4", "#c2410c", "#15803d", "#b91c1c", "#7e22ce", "#7c4a3a", "#be185d", "#52525b", "#737300", "#0e7490"];
const DARK = ["#6cb6ff", "#ffa657", "#7ee787", "#ff7b72", "#d2a8ff", "#d9a790", "#ff9bce", "#c9d1d9", "#e3e36a", "#76e3ea"];
const DASHES = ["solid", "dash", "dot", "dashdot"];
const dark = matchMedia("(prefers-color-scheme: dark)");
const hidden = new Set();
const plots = []; // {place, panel, kind, drawn}

function element(tag, text, attributes) {
  const node = document.createElement(tag);
  if (text !== undefined && text !== null) node.textContent = text;
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  return node;
}

function row(cells, tag) {
  const line = element("tr");
  for (const cell of cells) {
    line.append(cell instanceof Node ? cell : element(tag || "td", cell, tag === "th" ? { scope: "col" } : {}));
  }
  return line;
}

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const shown = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const short = (value) => (value === null || value === undefined ? "none" : Number(value).toPrecision(3));

function look(label) {
  const index = data.methods.indexOf(label);
  const colors = dark.matches ? DARK : LIGHT;
  return { color: colors[index % 10], dash: DASHES[Math.floor(index / 10) % 4] };
}

// -- the table ------------------------------------------------------------------------------------

function drawTable() {
  const table = document.getElementById("rows");
  const head = element("thead"), body = element("tbody"), line = element("tr");
  table.append(head, body);
  data.headings.forEach((heading, column) => {
    const cell = element("th", null, { scope: "col", class: "sorted" });
    const button = element("button", heading, { type: "button" });
    button.addEventListener("click", () => sortBy(column, cell, body, line));
    cell.append(button);
    line.append(cell);
  });
  head.append(line);
  for (const item of data.rows) {
    item.line = row(item.cells.map((text) => text.replace(/ (over|\()/g, "\n$1")));
    body.append(item.line);
  }
}

function sortBy(column, cell, body, head) {
  const rising = cell.getAttribute("aria-sort") !== "ascending";
  for (const other of head.children) other.removeAttribute("aria-sort");
  cell.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const sign = rising ? 1 : -1;
  const ordered = [...data.rows].sort((a, b) => {
    const x = a.keys[column], y = b.keys[column];
    if (x === null || y === null) return (x === null) - (y === null); // unknown comes last
    return sign * (typeof x === "string" ? x.localeCompare(y) : x - y);
  });
  body.append(...ordered.map((item) => item.line));
}

function drawMatrix() {
  if (!data.matrix) return;
  const [headings, lines] = data.matrix;
  document.getElementById("matrix").hidden = false;
  document.getElementById("cells").append(...filled(headings, lines));
}

function filled(headings, lines) {
  const head = element("thead"), body = element("tbody");
  head.append(row(headings, "th"));
  body.append(...lines.map(([first, ...rest]) => row([element("th", first, { scope: "row" }), ...rest])));
  return [head, body];
}

// -- plots ----------------------------------------------------------------------------------------

const KINDS = {
  learning: {
    title: "Meta-training", x: "environment steps", y: "validation score",
    hint: "Interquartile mean over seeds, 95 % interval over seeds.",
  },
  adaptation: {
    title: "Learning within a task", x: "episodes spent in the task", y: "return",
    hint: "Interquartile mean over seeds and tasks, 95 % interval.",
  },
  profiles: {
    title: "Performance profile", x: "score", y: "share of seeds and tasks above",
    hint: "How many of the seeds and tasks score more.",
  },
};

function traces(panel, kind) {
  const found = [];
  panel.labels.forEach((label, index) => {
    const curve = panel[kind][label];
    if (!curve || hidden.has(label)) return;
    const name = shown(label), line = look(label);
    if (kind === "profiles") {
      found.push({ x: panel.levels, y: curve, name, mode: "lines", line: { ...line, shape: "hv" } });
      return;
    }
    const ends = { x: curve.x, mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false };
    const alone = curve.x.length === 1 && curve.low[0] !== null;
    const error = { type: "data", symmetric: false, array: [curve.high[0] - curve.y[0]], arrayminus: [curve.y[0] - curve.low[0]] };
    if (!alone && curve.low.some((value) => value !== null)) {
      found.push({ ...ends, y: curve.low }, { ...ends, y: curve.high, fill: "tonexty", fillcolor: line.color + "33" });
    }
    const text = curve.y.map((y, i) => (curve.low[i] === null ? "no interval" : `[${short(curve.low[i])}, ${short(curve.high[i])}] over ${curve.over}`));
    found.push({
      x: curve.x, y: curve.y, name: `${name} (${panel.seeds[index]})`, line, text,
      mode: curve.x.length <= 12 ? "lines+markers" : "lines", hovertemplate: "%{y:.4g} %{text}",
      ...(alone ? { error_y: error } : {}),
    });
  });
  return found;
}

function lines(panel, kind) {
  const levels = kind === "learning" && panel.threshold !== null ? [["threshold", panel.threshold]] : [];
  return (kind === "adaptation" ? panel.anchors : levels).filter(([, y]) => y !== null);
}

function layout(panel, kind) {
  const words = KINDS[kind], ink = style("--ink"), grid = style("--line");
  const axis = (text) => ({ title: { text, font: { size: 12 } }, gridcolor: grid, zerolinecolor: grid, linecolor: grid, automargin: true });
  const levels = lines(panel, kind), x = axis(kind === "profiles" && panel.units ? shown(`score (${panel.units})`) : words.x);
  const y = kind === "profiles" ? { ...axis(words.y), range: [-0.02, 1.02] } : axis(words.y);
  const spent = Object.values(panel.adaptation).map((curve) => Math.max(...curve.x));
  if (kind === "adaptation" && Math.max(...spent) <= 10) x.dtick = 1;
  return {
    margin: { l: 50, r: 10, t: 10, b: 40 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: ink, size: 12 }, xaxis: x, yaxis: y, hovermode: "x unified",
    hoverlabel: { bgcolor: style("--shade"), font: { color: ink } },
    showlegend: false,
    shapes: levels.map(([, y]) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: { color: style("--faint"), width: 1, dash: "dot" } })),
    annotations: levels.map(([name, y]) => ({
      xref: "paper", x: 1, y, xanchor: "right", yanchor: "bottom", showarrow: false, text: shown(name), font: { size: 11, color: style("--faint") },
    })),
  };
}

function draw(plot) {
  plot.drawn = true;
  Plotly.react(plot.place, traces(plot.panel, plot.kind), layout(plot.panel, plot.kind), {
    responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d"],
  });
}

const redraw = () => plots.filter((plot) => plot.drawn).forEach(draw);

function inWords(panel, kind) {
  const parts = panel.labels.filter((label) => panel[kind][label]).map((label) => {
    const curve = panel[kind][label];
    return kind === "profiles" ? label : `${label} ends at ${short(curve.y[curve.y.length - 1])}`;
  });
  return `${KINDS[kind].title}, ${panel.env}: ${parts.join(", ")}`;
}

function drawPanel(panel, number, watcher) {
  const section = element("section", null, { "aria-labelledby": `panel-${number}` });
  section.append(element("h2", panel.env, { id: `panel-${number}` }));
  const facts = element("ul", null, { class: "facts" });
  facts.append(element("li", panel.tasks));
  if (panel.units) facts.append(element("li", `normalised so that ${panel.units}`));
  if (panel.threshold !== null) facts.append(element("li", `threshold: a validation score of ${short(panel.threshold)}`));
  panel.notes.forEach((note) => facts.append(element("li", note)));
  const places = element("div", null, { class: "plots" });
  for (const kind of Object.keys(KINDS)) {
    if (!Object.keys(panel[kind]).length) continue;
    const figure = element("figure"), place = element("div", null, { class: "plot", role: "img", "aria-label": inWords(panel, kind) });
    figure.append(element("h3", KINDS[kind].title), element("p", KINDS[kind].hint, { class: "hint" }), place);
    places.append(figure);
    const plot = { place, panel, kind, drawn: false };
    plots.push(plot);
    place.plot = plot;
    watcher.observe(place);
  }
  section.append(facts, places);
  if (panel.labels.length > 1) section.append(improvements(panel));
  document.getElementById("panels").append(section);
}

function improvements(panel) {
  const words = "Chance that a run of the line beats one of the column in a task";
  const name = `${words}, ${panel.env}`;
  const block = element("div"), table = element("table", null, { "aria-label": name });
  const region = element("div", null, { class: "scroll", role: "region", tabindex: "0", "aria-label": name });
  const chances = panel.improvements.map((line, index) => [
    panel.labels[index], ...line.map((chance) => (chance === null ? "" : chance.toFixed(2))),
  ]);
  table.append(...filled(["", ...panel.labels], chances));
  region.append(table);
  block.append(element("p", words, { class: "hint" }), region);
  return block;
}

// -- methods and runs -----------------------------------------------------------------------------

function show(label, visible) {
  if (visible) hidden.delete(label);
  else hidden.add(label);
}

function showAll(visible) {
  for (const box of document.querySelectorAll("#methods input")) box.checked = visible;
  for (const label of data.methods) show(label, visible);
  redraw();
}

function drawMethods() {
  document.getElementById("all").addEventListener("click", () => showAll(true));
  document.getElementById("none").addEventListener("click", () => showAll(false));
  const group = document.getElementById("methods");
  for (const label of data.methods) {
    const line = element("label"), box = element("input", null, { type: "checkbox" });
    const swatch = element("span", null, { class: "swatch", "aria-hidden": "true" });
    const paint = () => { swatch.style.background = look(label).color; };
    box.checked = true;
    box.addEventListener("change", () => {
      show(label, box.checked);
      redraw();
    });
    dark.addEventListener("change", paint);
    paint();
    line.append(box, swatch, element("span", label));
    group.append(line);
  }
}

function drawRuns() {
  const table = document.getElementById("runs"), head = element("thead"), body = element("tbody");
  head.append(row(["run", "environment", "method", "seed", "return", "settings"], "th"));
  data.runs.forEach((run, index) => {
    const cell = element("td"), button = element("button", run.film ? "show, film" : "show", { type: "button" });
    button.setAttribute("aria-label", `Show the settings of ${run.title}`);
    button.addEventListener("click", () => open(run));
    cell.append(button);
    body.append(row([run.name, run.env, run.method, run.seed === null ? "" : String(run.seed), short(run.score), cell]));
    for (const id of ["one", "other"]) document.getElementById(id).append(element("option", run.title, { value: index }));
  });
  table.append(head, body);
  if (data.runs.length > 1) document.getElementById("other").value = "1";
  for (const id of ["one", "other"]) document.getElementById(id).addEventListener("change", differences);
  differences();
}

function differences() {
  const [one, other] = ["one", "other"].map((id) => data.runs[Number(document.getElementById(id).value)]);
  const keys = [...new Set([...Object.keys(one.settings), ...Object.keys(other.settings)])].sort();
  const differing = keys.filter((key) => one.settings[key] !== other.settings[key]);
  const table = document.getElementById("differences");
  table.replaceChildren();
  document.getElementById("same").textContent = differing.length ? `${differing.length} settings differ.` : "No setting differs.";
  if (!differing.length) return;
  const value = (run, key) => element("td", key in run.settings ? run.settings[key] : "not there", { class: "free" });
  table.append(...filled(["setting", one.title, other.title], differing.map((key) => [key, value(one, key), value(other, key)])));
}

function open(run) {
  document.getElementById("run-title").textContent = run.title;
  const film = document.getElementById("film"), table = document.getElementById("settings");
  film.replaceChildren();
  if (run.film) {
    const name = { "aria-label": `Film of ${run.title}` };
    const picture = run.film.startsWith("data:video") ? element("video", null, { controls: "", loop: "", ...name }) : element("img", null, name);
    picture.src = run.film;
    film.append(picture);
  }
  if (run.film_words) film.append(element("p", run.film_words, { class: "small" }));
  const pairs = [...Object.entries(run.facts), ...Object.entries(run.settings)];
  const line = ([key, value]) => row([element("th", key, { scope: "row" }), element("td", value, { class: "free" })]);
  table.replaceChildren(...pairs.map(line));
  document.getElementById("run").showModal();
}

// -- everything -----------------------------------------------------------------------------------

const several = (num, word) => `${num} ${word}${num === 1 ? "" : "s"}`;
document.getElementById("lead").textContent = `${several(data.runs.length, "run")}, ${several(data.methods.length, "method")}, `
  + `${several(data.panels.length, "task distribution")}; metarl ${data.version}`;
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting && !entry.target.plot.drawn) draw(entry.target.plot);
  }
}, { rootMargin: "300px" });
drawMethods();
drawTable();
drawMatrix();
data.panels.forEach((panel, number) => drawPanel(panel, number, watcher));
drawRuns();
dark.addEventListener("change", redraw);
