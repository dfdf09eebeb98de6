"use strict";
(() => {
const all = (what, where = document) => [...where.querySelectorAll(what)];
const make = (tag, values = {}, ...inside) => {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(values)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
};
const SIDE = 1000, NONE = "–";
const written = value => value === null || value === undefined ? NONE : value.toFixed(3).replace("-", "−");
const whole = value => Math.round(value).toLocaleString("en-US");
const duration = value => value < 60 ? `${value.toPrecision(3)} s`
  : `${Math.floor(value / 60)} min ${String(Math.round(value % 60)).padStart(2, "0")} s`;
const moment = (axis, value) => axis.kind === "seconds" ? duration(value)
  : axis.kind === "experience" ? `${axis.label} ${Number(value.toFixed(2))}` : `${whole(value)} ${axis.label}`;

function chart(figure) {
  const data = JSON.parse(figure.querySelector("script.data").textContent);
  const plot = figure.querySelector(".plot"), svg = plot.querySelector("svg");
  const groups = all("g.series", svg), xs = plot.querySelector(".xs");
  let axis = data.axes[0], at = null, tip = null;
  const right = value => (value - axis.span[0]) / (axis.span[1] - axis.span[0]) * SIDE;
  const down = value => SIDE - (value - data.y[0]) / (data.y[1] - data.y[0]) * SIDE;
  const times = series => data.clocks[series.clock][axis.key];

  function points(series, values) {
    return values.map((value, i) => value === null ? null
      : [Math.round(right(times(series)[i])), Math.round(down(value))]);
  }
  function path(list) {
    let begun = false, d = "";
    for (const point of list) {
      if (point) d += `${begun ? "L" : "M"}${point[0]} ${point[1]}`;
      begun = point !== null;
    }
    return d;
  }
  function draw() {
    data.series.forEach((series, number) => {
      const group = groups[number], known = times(series) !== undefined;
      group.style.display = known ? "" : "none";
      if (!known) return;
      const places = points(series, series.y);
      group.querySelector(".line").setAttribute("d", path(places));
      for (const dot of all(".mark", group)) {
        const [x, y] = places[Number(dot.dataset.at)];
        dot.setAttribute("d", `M${x} ${y}h0`);
      }
      const band = group.querySelector(".band");
      if (band) {
        const there = list => list.filter(point => point);
        const edge = [...there(points(series, series.high)), ...there(points(series, series.low)).reverse()];
        band.setAttribute("d", `${path(edge)}Z`);
      }
    });
    xs.replaceChildren(...axis.ticks.map(([place, text]) => make("span", {style: `left:${place}%`}, text)));
    plot.querySelector(".x-label").textContent = axis.label;
  }
  function choose(key, buttons) {
    axis = data.axes.find(each => each.key === key);
    buttons.forEach(each => each.setAttribute("aria-pressed", String(each.dataset.axis === key)));
    hide();
    draw();
  }
  const clock = () => data.clocks[0][axis.key];
  function hide() {
    if (tip) tip.remove();
    all(".cursor", svg).forEach(each => each.remove());
    tip = null; at = null;
  }
  function show(number) {
    hide();
    at = Math.max(0, Math.min(clock().length - 1, number));
    const x = right(clock()[at]);
    const line = document.createElementNS(svg.namespaceURI, "path");
    line.setAttribute("class", "cursor");
    line.setAttribute("d", `M${x} 0V${SIDE}`);
    svg.append(line);
    const rows = data.series.filter(series => times(series)).map(series => {
      const near = series.clock === 0 ? at : nearest(times(series), clock()[at]);
      return [series.name, series.y[near], series.low ? [series.low[near], series.high[near]] : null];
    }).filter(([, value]) => value !== null && value !== undefined).slice(0, 14);
    const texts = rows.map(([name, value, ends]) => [name, written(value)
      + (ends && ends[0] !== null ? ` (${written(ends[0])} to ${written(ends[1])})` : "")]);
    tip = make("div", {class: "tip"}, make("b", {}, moment(axis, clock()[at])),
      ...texts.map(([name, text]) => make("span", {}, make("span", {}, name), text)));
    plot.append(tip);
    const share = x / SIDE;
    tip.style[share > .5 ? "right" : "left"] = `calc(${(share > .5 ? 1 - share : share) * 100}% + .8rem)`;
    return `${moment(axis, clock()[at])}: ${texts.map(each => each.join(" ")).join(", ")}`;
  }
  const nearest = (list, value) => list.reduce((best, each, i) =>
    Math.abs(each - value) < Math.abs(list[best] - value) ? i : best, 0);
  const said = make("p", {class: "visually-hidden", "aria-live": "polite"});
  plot.after(said);
  plot.tabIndex = 0;
  plot.setAttribute("aria-label", `${plot.getAttribute("aria-label")} Arrow keys read the values.`);
  plot.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect();
    const share = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    show(nearest(clock(), axis.span[0] + share * (axis.span[1] - axis.span[0])));
  });
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", event => {
    const last = clock().length - 1;
    const next = {ArrowRight: at === null ? 0 : at + 1, ArrowLeft: at === null ? last : at - 1, Home: 0, End: last}[event.key];
    if (event.key === "Escape") return hide();
    if (next === undefined) return;
    event.preventDefault();
    said.textContent = show(next);
  });
  const head = figure.querySelector(".head");
  if (data.axes.length > 1) {
    const buttons = data.axes.map((each, i) => make("button", {type: "button", "data-axis": each.key, "aria-pressed": String(i === 0)}, each.key));
    buttons.forEach(each => each.addEventListener("click", () => choose(each.dataset.axis, buttons)));
    head.append(make("div", {class: "choices", role: "group", "aria-label": "Count from left to right"}, make("span", {}, "by"), ...buttons));
  }
  legend(figure, groups);
}

function legend(figure, groups) {
  const items = all(".legend li", figure), chosen = new Set();
  const dim = keep => groups.forEach((group, i) => group.classList.toggle("dimmed", keep.size > 0 && !keep.has(i)));
  items.forEach((item, number) => {
    const button = make("button", {type: "button", "aria-pressed": "false", title: "Show this one alone, or with others"}, ...item.childNodes);
    item.replaceChildren(button);
    button.addEventListener("click", () => {
      if (!chosen.delete(number)) chosen.add(number);
      button.setAttribute("aria-pressed", String(chosen.has(number)));
      dim(chosen);
    });
    button.addEventListener("pointerenter", () => dim(new Set([...chosen, number])));
    button.addEventListener("pointerleave", () => dim(chosen));
  });
}

function sortable(table) {
  const heads = all("thead th", table), body = table.tBodies[0];
  const key = (row, column) => {
    const cell = row.cells[column], given = cell.dataset.v ?? cell.textContent.trim();
    const number = Number(given.replaceAll(",", "").replace("−", "-"));
    return given === "" || given === NONE ? null : Number.isNaN(number) ? given : number;
  };
  heads.forEach((head, column) => {
    const button = make("button", {type: "button"}, ...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach(each => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].map(row => [key(row, column), row]);
      rows.sort(([a], [b]) => a === b ? 0 : a === null ? 1 : b === null ? -1
        : (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en")) * (up ? 1 : -1));
      body.append(...rows.map(([, row]) => row));
    });
  });
}

async function copied(text, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", {class: "visually-hidden"});
    area.value = text;
    button.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.textContent = "copied";
  setTimeout(() => { button.textContent = before; }, 1500);
}
function copyable(what) {
  const isTable = what.dataset.copy === "table";
  const button = make("button", {type: "button", class: "copy"}, isTable ? "copy table" : "copy");
  const shown = row => row.getClientRects().length > 0;
  button.addEventListener("click", () => copied(isTable
    ? [...what.rows].filter(shown).map(row => [...row.cells].map(cell => cell.innerText.trim().replaceAll("\n", " ")).join("\t")).join("\n")
    : what.textContent, button));
  (what.closest(".scroll") ?? what).after(button);
}

function contents() {
  const links = new Map(all("nav a").map(link => [link.getAttribute("href").slice(1), link]));
  const seen = new Set();
  const watch = new IntersectionObserver(entries => {
    entries.forEach(entry => seen[entry.isIntersecting ? "add" : "delete"](entry.target.id));
    const here = [...links.keys()].find(id => seen.has(id));
    links.forEach((link, id) => {
      if (id === here) {
        link.setAttribute("aria-current", "true");
        link.parentElement.parentElement.parentElement.scrollTo({left: link.offsetLeft - 60});
      } else link.removeAttribute("aria-current");
    });
  }, {rootMargin: "-15% 0px -70% 0px"});
  all("main > section").forEach(section => watch.observe(section));
}

all("figure.chart").filter(figure => figure.querySelector("script.data")).forEach(chart);
all("table.sortable").forEach(sortable);
all("[data-copy]").forEach(copyable);
contents();
})();
