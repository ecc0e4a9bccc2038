// The rates of an hour, a day or a week, as a chart and as a table.

import { history } from "./api.js";
import { byId, element, setText } from "./dom.js";
import { language, moment, rate, t } from "./language.js";
import { rates } from "./rates.js";
import uPlot from "./uplot.js";

/** @typedef {import("./rates.js").Counter} Counter */

/** How far back one can look. */
const RANGES = /** @type {const} */ (["5m", "1h", "24h", "7d"]);
/** The same in seconds. */
const SECONDS = { "5m": 300, "1h": 3_600, "24h": 86_400, "7d": 604_800 };
/** The curves, by the classes of the legend. */
const CURVES = /** @type {const} */ ([
  ["unique_processed", "unique"],
  ["duplicate_dropped", "duplicate"],
  ["dead_lettered", "dead"],
]);
/** How often samples are asked for, in milliseconds. */
const EVERY = 10_000;
const HEIGHT = 220;
/** Between samples that are further apart than so many steps, there is a gap. */
const GAP = 2.5;

export class Chart {
  /** @type {typeof RANGES[number]} */
  #range = "1h";
  /** @type {import("api-types").components["schemas"]["History"] | null} */
  #history = null;
  /** @type {uPlot | null} */
  #plot = null;
  #due = 0;

  constructor() {
    for (const range of RANGES) {
      const input = element("input", { type: "radio", name: "range", id: `range-${range}`, value: range });
      input.checked = range === this.#range;
      input.addEventListener("change", () => {
        this.#range = range;
        this.#due = 0;
        void this.look().catch(() => {});
      });
      byId("chart-range").append(input, element("label", { for: `range-${range}` }, ""));
    }
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(byId("chart-canvas"));
  }

  /** Asks for samples, if that is due. */
  async look() {
    if (Date.now() < this.#due) return;
    this.#due = Date.now() + EVERY;
    const range = this.#range;
    const found = await history(range);
    if (range !== this.#range) return;
    this.#history = found;
    this.render();
  }

  render() {
    for (const range of RANGES) {
      const label = document.querySelector(`label[for="range-${range}"]`);
      if (label) setText(label, t(`range.${range}`));
    }
    if (!this.#history) return;
    const rows = this.#rows(this.#history);
    byId("chart-none").hidden = rows.length > 0;
    byId("chart-canvas").hidden = rows.length === 0;
    byId("chart-canvas").setAttribute("aria-label", t("chart.title"));
    this.#draw(rows);
    this.#tabulate(rows);
  }

  /** @param {import("api-types").components["schemas"]["History"]} history */
  #rows({ samples, step_seconds: step }) {
    const moments = samples.map(({ at, ...sample }) => ({ at: Date.parse(at), sample }));
    const curves = CURVES.map(([counter]) => rates(moments, counter));
    const first = curves[0] ?? [];
    return first.map(({ at }, index) => {
      const before = moments[index]?.at ?? at;
      const gap = at - before > step * 1_000 * GAP;
      return { at, gap, rates: curves.map((curve) => Math.max(0, curve[index]?.rate ?? 0)) };
    });
  }

  /** @param {{ at: number, gap: boolean, rates: number[] }[]} rows */
  #draw(rows) {
    /** @type {uPlot.AlignedData} */
    const data = [
      rows.map((row) => row.at / 1_000),
      ...CURVES.map((_, curve) => rows.map((row) => (row.gap ? null : (row.rates[curve] ?? 0)))),
    ];
    this.#plot?.destroy();
    this.#plot = null;
    if (rows.length > 0) this.#plot = new uPlot(this.#options(), data, byId("chart-canvas"));
  }

  /** @returns {uPlot.Options} */
  #options() {
    const ink = colour("chart-title");
    const lines = { stroke: getComputedStyle(byId("chart-table")).borderTopColor, width: 1 };
    const axis = { stroke: ink, grid: lines, ticks: lines, font: "12px system-ui, sans-serif" };
    const now = Date.now() / 1_000;
    const numbers = new Intl.NumberFormat(language(), { notation: "compact", maximumFractionDigits: 1 });
    return {
      ...this.#size(),
      legend: { show: false },
      cursor: { drag: { x: false, y: false } },
      scales: { x: { range: () => [now - SECONDS[this.#range], now] }, y: { range: (_, __, top) => [0, Math.max(top * 1.05, 1)] } },
      axes: [
        { ...axis, space: 78, values: (_, splits) => splits.map((at) => this.#label(at)) },
        { ...axis, size: 56, values: (_, splits) => splits.map((split) => numbers.format(split)) },
      ],
      series: [
        {},
        ...CURVES.map(([, name]) => {
          const swatch = document.querySelector(`#chart-legend .${name}`);
          return { label: name, stroke: swatch ? getComputedStyle(swatch).color : ink, width: 2, points: { show: false } };
        }),
      ],
    };
  }

  /** @param {number} at in seconds since 1970 */
  #label(at) {
    /** @type {Intl.DateTimeFormatOptions} */
    const short = this.#range === "7d" ? { month: "short", day: "numeric" } : this.#range === "5m" ? { timeStyle: "medium" } : { timeStyle: "short" };
    return new Intl.DateTimeFormat(language(), short).format(new Date(at * 1_000));
  }

  #size() {
    return { width: Math.max(byId("chart-canvas").clientWidth, 200), height: HEIGHT };
  }

  /** @param {{ at: number, rates: number[] }[]} rows */
  #tabulate(rows) {
    const cells = (/** @type {{ at: number, rates: number[] }} */ row) => [
      element("td", {}, moment(row.at)),
      ...row.rates.map((value) => element("td", { class: "number" }, rate(value))),
    ];
    const newest = rows.toReversed().map((row) => element("tr", {}, ...cells(row)));
    document.querySelector("#chart-table tbody")?.replaceChildren(...newest);
  }
}

/** @param {string} id */
function colour(id) {
  return getComputedStyle(byId(id)).color;
}
