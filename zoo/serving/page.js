"use strict";
(async () => {
  const at = (id) => document.getElementById(id);
  const AT_ONCE = 2; // pictures under way: one is answered while the next one is sent
  const answers = []; // {name, said} in the order dropped; said is null until the answer is there
  const queue = [];
  let underWay = 0;

  const about = await (await fetch("/about")).json();
  const [positive, two] = [about.classes.at(-1), about.classes.length === 2];
  const networks = about.networks.length;
  const number = (value) => value.toFixed(value < 0.01 || value > 0.99 ? 4 : 3);
  document.title = about.model;
  at("model").textContent = `${about.classes.join(" or ")}? ${about.model}`;
  at("how").textContent =
    (networks > 1 ? `The mean of ${networks} networks. ` : `One network, ${about.networks[0]}. `) +
    (two ? `Called ${positive} from a probability of ${Number(about.threshold.toPrecision(4))} on (${about.operating_point}).` : "");
  at("notes").replaceChildren(...about.notes.map((note) => element("li", note)));

  function element(tag, text, name) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    return made;
  }

  function take(files) {
    const taken = [...files].slice(0, about.most_files);
    for (const file of taken) {
      const answer = { name: file.name, said: null, card: element("article") };
      answers.push(answer);
      fill(answer);
      at("answers").append(answer.card);
      queue.push({ file, answer });
    }
    const left = files.length - taken.length;
    at("state").dataset.left = left ? `${left} more than ${about.most_files} at once are left out. ` : "";
    next();
  }

  async function next() {
    state();
    if (!queue.length || underWay >= AT_ONCE) return;
    const { file, answer } = queue.shift();
    underWay += 1;
    next();
    try {
      answer.said = await ask(file);
    } catch (error) {
      answer.said = { fault: `zoo does not answer (${error.message}); is it still running?` };
    }
    fill(answer);
    underWay -= 1;
    if (!queue.length && !underWay) sort();
    next();
  }

  async function ask(file) {
    if (file.size > about.most_bytes) return { fault: `larger than ${about.most_bytes / 1e6} MB` };
    for (;;) {
      const answer = await fetch(at("heat").checked ? "/predict?heat=1" : "/predict", { method: "POST", body: file });
      if (answer.status !== 503) return answer.json();
      await new Promise((later) => setTimeout(later, 1000));
    }
  }

  function state() {
    const done = answers.filter((each) => each.said).length;
    const called = answers.filter((each) => each.said?.decision === positive).length;
    const failed = answers.filter((each) => each.said?.fault).length;
    const open = done < answers.length;
    at("state").textContent = answers.length
      ? (at("state").dataset.left ?? "") + (open ? `${done} of ${answers.length} answered. ` : "") +
        (two ? `${called} of ${done - failed} called ${positive}.` : "") + (failed ? ` ${failed} cannot be used.` : "")
      : "";
    at("save").disabled = !done || open;
    at("clear").disabled = !answers.length || open;
    at("colours").hidden = !answers.some((each) => each.said?.heat);
    at("colours").textContent = `Orange speaks for ${two ? positive : "what it is called"}, blue against it.`;
  }

  const chance = (said) => (said.fault ? -1 : two ? said.probabilities[positive] : said.probabilities[said.decision]);

  function fill({ name, said, card }) {
    const body = element("div");
    if (!said || said.fault) {
      card.className = "";
      body.append(element("p", name, "name"), said ? element("p", said.fault, "bad") : element("p", "…"));
      card.replaceChildren(body);
      return;
    }
    card.className = said.decision === positive ? "positive" : "";
    const picture = document.createElement("img");
    picture.alt = name;
    show(picture, said);
    body.append(element("h2", said.decision), element("p", name, "name"), scale(chance(said)));
    if (said.seen) {
      const who = networks > 1 ? `${said.seen} of ${networks} networks` : "the network";
      body.append(element("p", `In the training or selection of ${who}: the number says nothing of new pictures.`, "bad"));
    }
    const facts = element("dl");
    const fact = (what, value) => facts.append(element("dt", what), element("dd", value));
    if (two) fact(`probability of ${positive}`, number(chance(said)));
    else for (const [each, value] of Object.entries(said.probabilities)) fact(each, number(value));
    if (said.calibrated !== null) fact("calibrated", number(said.calibrated));
    if (said.spread !== null) fact("spread of the networks", number(said.spread));
    body.append(facts, ...said.notes.map((note) => element("p", note, "name")));
    card.replaceChildren(picture, body);
  }

  function show(picture, said) {
    picture.src = said.heat && at("heat").checked ? said.heat : said.picture;
  }

  // A bar as long as the probability, and a mark at the threshold.
  function scale(value) {
    const drawn = (tag, attributes) => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, each] of Object.entries(attributes)) made.setAttribute(name, each);
      return made;
    };
    const holder = element("div", undefined, "scale");
    const svg = drawn("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" });
    svg.append(drawn("rect", { class: "bar", width: 100 * value, height: 6, rx: 1 }));
    if (two) svg.append(drawn("rect", { class: "mark", x: 100 * about.threshold - 0.4, y: -2, width: 0.8, height: 10 }));
    holder.append(svg);
    return holder;
  }

  function sort() {
    const order = [...answers];
    if (at("sort").value === "chance") order.sort((one, other) => chance(other.said ?? { fault: 1 }) - chance(one.said ?? { fault: 1 }));
    at("answers").replaceChildren(...order.map((each) => each.card));
  }

  function save() {
    const columns = ["path", "decision", ...about.classes.map((name) => `probability_${name}`), "calibrated", "spread", "seen", "fault"];
    const rows = answers.map(({ name, said }) =>
      said.fault
        ? { path: name, fault: said.fault }
        : { ...said, path: name, ...Object.fromEntries(about.classes.map((each) => [`probability_${each}`, said.probabilities[each]])) });
    const cell = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
    const lines = [columns, ...rows.map((row) => columns.map((name) => String(row[name] ?? "")))];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.map((line) => line.map(cell).join(",")).join("\n") + "\n"], { type: "text/csv" }));
    link.download = `${about.model}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  }

  at("files").addEventListener("change", () => { take(at("files").files); at("files").value = ""; });
  for (const kind of ["dragover", "dragleave", "drop"])
    addEventListener(kind, (event) => {
      event.preventDefault();
      at("drop").classList.toggle("over", kind === "dragover");
      if (kind === "drop") take(event.dataTransfer.files);
    });
  at("heat").addEventListener("change", () => {
    for (const { card, said } of answers) if (said?.picture) show(card.querySelector("img"), said);
  });
  at("sort").addEventListener("change", sort);
  at("save").addEventListener("click", save);
  at("clear").addEventListener("click", () => { answers.length = 0; at("answers").replaceChildren(); state(); });
})();
