// The topics, sorted as the reader likes.

import { topics } from "./api.js";
import { byId, button, element, setText } from "./dom.js";
import { counted, moment, number, short } from "./language.js";

/** @typedef {import("api-types").components["schemas"]["TopicStats"]} Topic */

/** How many topics a page has. */
const PAGE = 20;
/** Most topics that are shown, and kept up to date. */
const MAX_SHOWN = 1_000;
/** How long nobody must have typed before topics are looked for, in milliseconds. */
const TYPED = 200;

export class Topics {
  /** @type {Topic[]} */
  #shown = [];
  #order = "count";
  #wanted = PAGE;
  #more = false;
  #total = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #typed;

  /** @param {(topic: string) => void} open shows the events of a topic */
  constructor(open) {
    this.open = open;
    byId("topics-more").addEventListener("click", () => {
      this.#wanted = Math.min(this.#wanted + PAGE, MAX_SHOWN);
      this.#soon();
    });
    byId("topics-prefix").addEventListener("input", () => {
      clearTimeout(this.#typed);
      this.#typed = setTimeout(() => this.#soon(), TYPED);
    });
    for (const head of document.querySelectorAll("#topics-table [data-order]")) {
      head.addEventListener("click", () => {
        this.#order = head.getAttribute("data-order") ?? "count";
        this.#soon();
      });
    }
  }

  /** @param {number} total how many topics there are */
  async look(total) {
    this.#total = total;
    const prefix = /** @type {HTMLInputElement} */ (byId("topics-prefix")).value;
    const order = this.#order;
    const page = await topics({ order, limit: String(this.#wanted), ...(prefix ? { prefix } : {}) });
    if (order !== this.#order) return;
    this.#shown = page.topics;
    this.#more = page.next_cursor !== null && this.#wanted < MAX_SHOWN;
    this.render();
  }

  render() {
    setText(byId("topics-total"), counted("topics.total", this.#total));
    byId("topics-none").hidden = this.#shown.length > 0;
    byId("topics-more").hidden = !this.#more;
    for (const head of document.querySelectorAll("#topics-table [data-order]")) {
      const order = head.getAttribute("data-order");
      const direction = order === "name" ? "ascending" : "descending";
      head.parentElement?.setAttribute("aria-sort", order === this.#order ? direction : "none");
    }
    const body = document.querySelector("#topics-table tbody");
    // A row that has the focus keeps it.
    const focused = document.activeElement?.getAttribute("data-topic");
    body?.replaceChildren(...this.#shown.map((topic) => this.#row(topic)));
    if (focused) /** @type {HTMLElement | undefined} */ (this.#find(focused))?.focus({ preventScroll: true });
  }

  /** @param {Topic} topic */
  #row(topic) {
    const name = button(topic.topic, () => this.open(topic.topic), { class: "plain", "data-topic": topic.topic });
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, name),
      element("td", { class: "number" }, number(topic.unique_processed)),
      element("td", { class: "number" }, number(topic.duplicate_dropped)),
      element("td", { title: moment(topic.first_processed_at) }, short(topic.first_processed_at)),
      element("td", { title: moment(topic.last_processed_at) }, short(topic.last_processed_at)),
    );
  }

  /** @param {string} topic */
  #find(topic) {
    const names = document.querySelectorAll("#topics-table [data-topic]");
    return [...names].find((name) => name.getAttribute("data-topic") === topic);
  }

  #soon() {
    void this.look(this.#total).catch(() => {});
  }
}
