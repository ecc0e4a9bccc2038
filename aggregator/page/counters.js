// The four counters, as the sum that they are, with their rates.

import { byId, element, setText } from "./dom.js";
import { number, rate, t } from "./language.js";
import { present, rates } from "./rates.js";
import { KEPT } from "./samples.js";
import { draw, sparkline } from "./sparkline.js";

/** @typedef {import("./rates.js").Counter} Counter */

/** @type {[counter: Counter, text: "received" | "unique" | "duplicate" | "dead", before: string][]} */
const SUM = [
  ["received", "received", ""],
  ["unique_processed", "unique", "="],
  ["duplicate_dropped", "duplicate", "+"],
  ["dead_lettered", "dead", "+"],
];

export class Counters {
  /** @type {Map<Counter, { name: HTMLElement, value: HTMLElement, rate: HTMLElement, curve: SVGSVGElement }>} */
  #parts = new Map();

  /** @param {import("./samples.js").Samples} samples */
  constructor(samples) {
    this.samples = samples;
    for (const [counter, text, before] of SUM) {
      const parts = {
        name: element("span", { class: "name", id: `counter-${text}-name` }),
        value: element("strong", { class: "value big", id: `counter-${text}` }, "–"),
        rate: element("span", { class: "quiet rate" }),
        curve: sparkline(),
      };
      this.#parts.set(counter, parts);
      const sign = element("span", { class: "sign", "aria-hidden": "true" }, before);
      const name = element("div", { class: "row" }, parts.name, parts.rate);
      byId("counters-sum").append(element("li", { class: `panel ${text}` }, sign, name, parts.value, parts.curve));
    }
  }

  render() {
    const moments = this.samples.all;
    const last = moments.at(-1);
    for (const [counter, text] of SUM) {
      const parts = this.#parts.get(counter);
      if (!parts) continue;
      setText(parts.name, t(text));
      if (!last) continue;
      setText(parts.value, number(last.sample[counter]));
      const now = present(moments, counter);
      setText(parts.rate, now === null ? "" : rate(Math.max(0, now)));
      draw(parts.curve, rates(moments, counter), KEPT);
    }
  }
}
