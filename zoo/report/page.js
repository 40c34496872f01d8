"use strict";
(() => {
  const data = JSON.parse(document.getElementById("explorer").textContent);
  const at = (id) => document.getElementById(id);
  const two = data.classes.length === 2;
  const SHOWN = 60; // pictures of a kind; the rest is counted
  const state = { model: 0, threshold: null, prevalence: data.prevalence };
  const cards = new Map();

  const model = () => data.models[state.model];
  const share = (part, whole) => (whole ? part / whole : NaN);
  const percent = (value) => (Number.isNaN(value) ? "–" : `${(100 * value).toFixed(1)} %`);
  const count = (value) => value.toLocaleString("en");

  // Which images the model has, and whether it calls each positive.
  function decisions() {
    const { p, t } = model();
    return p.flatMap((value, image) =>
      value === null ? [] : [{ image, p: value, called: value >= (state.threshold ?? t[image]) }]);
  }

  function show() {
    if (!two) {
      fill("missed", model().wrong.map(([image, p, called]) => ({ image, p, called })), "called another class");
      return;
    }
    const [negative, positive] = data.classes;
    const all = decisions();
    const ill = all.filter((each) => data.images[each.image].label === 1);
    const healthy = all.filter((each) => data.images[each.image].label === 0);
    const missed = ill.filter((each) => !each.called).sort((one, other) => one.p - other.p);
    const alarms = healthy.filter((each) => each.called).sort((one, other) => other.p - one.p);
    const sensitivity = share(ill.length - missed.length, ill.length);
    const specificity = share(healthy.length - alarms.length, healthy.length);
    const prevalence = state.prevalence ?? share(ill.length, all.length);
    const found = sensitivity * prevalence, alarmed = (1 - specificity) * (1 - prevalence);
    const clear = specificity * (1 - prevalence), lost = (1 - sensitivity) * prevalence;
    const numbers = { sensitivity, specificity, ppv: share(found, found + alarmed), npv: share(clear, clear + lost) };
    for (const [name, value] of Object.entries(numbers)) {
      at(name).textContent = percent(value);
      at(name).dataset.value = value;
    }
    const counts = { tp: ill.length - missed.length, fn: missed.length, fp: alarms.length, tn: healthy.length - alarms.length };
    for (const [name, value] of Object.entries(counts)) at(name).textContent = count(value);
    at("said").textContent =
      `${model().title} misses ${count(missed.length)} of ${count(ill.length)} ${positive} images and calls ` +
      `${count(alarms.length)} of ${count(healthy.length)} ${negative} ones ${positive}` +
      (state.threshold === null ? `, at thresholds chosen on validation (${data.aim}).` : ".");
    const chosen = state.threshold === null;
    at("chosen").setAttribute("aria-pressed", String(chosen));
    if (document.activeElement !== at("prevalence")) at("prevalence").value = (100 * prevalence).toFixed(1);
    fill("missed", missed, `${positive}, missed`);
    fill("alarm", alarms, `${negative}, called ${positive}`);
  }

  function fill(kind, wrong, what) {
    const shown = wrong.slice(0, SHOWN);
    const rest = wrong.length > shown.length ? `, the worst ${shown.length} here` : "";
    at(`${kind}-heading`).textContent = `${what}: ${count(wrong.length)}${rest}`;
    at(kind).replaceChildren(...shown.map(card));
  }

  function card({ image, p, called }) {
    const key = `${state.model}/${image}`;
    if (cards.has(key)) return cards.get(key);
    const { path, group, label, thumbnail } = data.images[image];
    const figure = document.createElement("figure");
    const picture = document.createElement("div");
    picture.className = "picture";
    if (thumbnail !== null) {
      const shown = document.createElement("img");
      shown.src = `data:image/jpeg;base64,${data.thumbnails[thumbnail]}`;
      shown.alt = path;
      picture.append(shown);
      const map = model().maps[image];
      if (map) picture.append(heat(map));
    }
    const caption = document.createElement("figcaption");
    const probability = document.createElement("b");
    probability.textContent = p.toFixed(p < 0.01 || p > 0.99 ? 4 : 2);
    const facts = [path.split("/").pop(), ...(group ? [`patient ${group}`] : [])];
    if (!two) facts.push(`${data.classes[label]}, called ${data.classes[called]}`);
    caption.append(probability, document.createElement("br"), facts.join(" · "));
    caption.title = path;
    figure.append(picture, caption);
    cards.set(key, figure);
    return figure;
  }

  // A pixel for each part of the map; the browser makes it smooth.
  function heat(map) {
    const canvas = document.createElement("canvas");
    [canvas.height, canvas.width] = [map.length, map[0].length];
    const pixels = canvas.getContext("2d").createImageData(canvas.width, canvas.height);
    map.flat().forEach((value, place) => {
      const colour = value > 0 ? [213, 94, 0] : [0, 114, 178];
      pixels.data.set([...colour, Math.abs(value) * 1.65], 4 * place);
    });
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    return canvas;
  }

  // The slider goes from one test probability to the next; its last place is above all of them.
  let steps = [];
  function useModel() {
    if (two) {
      steps = [...new Set(model().p.filter((value) => value !== null))].sort((one, other) => one - other);
      at("slider").max = steps.length;
      useThreshold(state.threshold);
    }
    show();
  }

  function useThreshold(threshold) {
    state.threshold = threshold;
    const { p, t } = model();
    const own = t.filter((_, image) => p[image] !== null);
    const shown = threshold ?? own.reduce((sum, value) => sum + value, 0) / own.length;
    const place = steps.findIndex((value) => value >= shown);
    at("slider").value = place < 0 ? steps.length : place;
    if (document.activeElement !== at("exact")) at("exact").value = Number(shown.toPrecision(4));
  }

  let waiting = false;
  function later() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; show(); });
  }

  for (const [number, each] of data.models.entries()) at("model").append(new Option(each.title, number));
  at("model").value = 0;
  at("model").addEventListener("change", () => { state.model = Number(at("model").value); useModel(); });
  const mapped = data.models.some((each) => Object.keys(each.maps).length);
  at("heat").closest("label").hidden = at("colours").hidden = !mapped;
  at("heat").addEventListener("change", () => document.body.classList.toggle("no-heat", !at("heat").checked));
  if (two) {
    at("slider").addEventListener("input", () => {
      const place = Number(at("slider").value);
      state.threshold = place < steps.length ? steps[place] : 1.000001;
      at("exact").value = place < steps.length ? Number(steps[place].toPrecision(4)) : 1;
      later();
    });
    at("exact").addEventListener("input", () => {
      const typed = at("exact").valueAsNumber;
      if (typed >= 0 && typed <= 1) { useThreshold(typed); later(); }
    });
    at("chosen").addEventListener("click", () => { useThreshold(null); show(); });
    at("prevalence").addEventListener("input", () => {
      const typed = at("prevalence").valueAsNumber / 100;
      state.prevalence = typed > 0 && typed < 1 ? typed : data.prevalence;
      later();
    });
  }
  useModel();

  // On paper nothing can be opened.
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => (each.open = true)));
})();
